//! A running gateway: the real program as a process of its own, seen through `/proc` and its own counters.

use crate::Failure;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Longest wait for the daemon to be there, and for it to end.
const PATIENCE: Duration = Duration::from_secs(45);
/// Pause between two looks whether it is there.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Unit of the times in `/proc/PID/stat`: fixed by Linux for programs (USER_HZ).
const TICKS_PER_SEC: f64 = 100.0;

/// How a daemon stands at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// User and system time since its start.
    pub(crate) cpu_secs: f64,
    pub(crate) rss_mb: f64,
    pub(crate) peak_mb: f64,
    /// Readings and events committed.
    pub(crate) observations: f64,
    /// Polled deliveries that were shed.
    pub(crate) shed: f64,
}

/// The environment that the service manager gives it.
fn environment() -> impl Iterator<Item = (&'static str, &'static str)> {
    let unit = include_str!("../../systemd/schoolgate.service");
    let lines = unit.lines().filter_map(|line| line.strip_prefix("Environment="));
    lines.flat_map(str::split_whitespace).filter_map(|set| set.split_once('='))
}

/// A daemon that was started here; it is killed when dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    process: Child,
    client: reqwest::Client,
    base: String,
}

impl Daemon {
    /// Starts the gateway with this configuration and waits until it is ready.
    pub(crate) async fn start(config: &Path) -> Result<Self, Failure> {
        Self::start_with(config, &[]).await
    }

    /// The same with these variables in its environment.
    pub(crate) async fn start_with(config: &Path, variables: &[(&str, &Path)]) -> Result<Self, Failure> {
        let client = client()?;
        let base = api(config).ok_or("the configuration has no `listen`")?;
        let log = std::fs::File::create(config.with_extension("log"))?;
        let mut process = Command::new(env!("CARGO_BIN_EXE_schoolgate"))
            .arg("run")
            .arg("--config")
            .arg(config)
            .envs(environment())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        tokio::select! {
            ready = timeout(PATIENCE, ready(&client, &base)) => ready.map_err(|_| "the daemon does not become ready")?,
            status = process.wait() => return Err(format!("the daemon ended: {}", status?).into()),
        }
        Ok(Self { process, client, base })
    }

    /// Where its API is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// How it stands.
    pub(crate) async fn look(&self) -> Result<Look, Failure> {
        let id = self.process.id().ok_or("the daemon has ended")?;
        look(&self.client, &self.base, &PathBuf::from(format!("/proc/{id}"))).await
    }

    /// Ends it as the service manager would.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        // There is no safe call for it in the standard library.
        let id = self.process.id().unwrap_or(0);
        Command::new("/bin/sh").arg("-c").arg(format!("kill -TERM {id}")).status().await?;
        let status =
            timeout(PATIENCE, self.process.wait()).await.map_err(|_| "the daemon does not end")??;
        if status.success() { Ok(()) } else { Err(format!("the daemon ended: {status}").into()) }
    }
}

/// A client of daemons' APIs.
pub(crate) fn client() -> Result<reqwest::Client, Failure> {
    Ok(reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build()?)
}

async fn ready(client: &reqwest::Client, base: &str) {
    let mut looking = interval(LOOK_EVERY);
    looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looking.tick().await;
        let answer = client.get(format!("{base}/readyz")).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return;
        }
    }
}

/// The API's address in a configuration that may not be written yet.
pub(crate) fn api(config: &Path) -> Option<String> {
    let text = std::fs::read_to_string(config).ok()?;
    let listen = text.lines().find_map(|line| line.strip_prefix("listen = "))?;
    Some(format!("http://{}", listen.trim().trim_matches('"')))
}

/// How the daemon with this directory in `/proc` stands.
pub(crate) async fn look(client: &reqwest::Client, base: &str, daemon: &Path) -> Result<Look, Failure> {
    let metrics = client.get(format!("{base}/metrics")).send().await?.error_for_status()?.text().await?;
    let counted = |name: &str| -> f64 {
        let samples = metrics.lines().filter(|line| line.starts_with(name));
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    let stat = std::fs::read_to_string(daemon.join("stat"))?;
    // Fields are counted behind the name, which may hold spaces: state is the first, utime and stime 12th and 13th.
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let ticks: Vec<f64> = behind.split_whitespace().skip(11).take(2).filter_map(|t| t.parse().ok()).collect();
    let [user, system] = ticks.as_slice() else { return Err("/proc/PID/stat is not as expected".into()) };
    let status = std::fs::read_to_string(daemon.join("status"))?;
    let mb = |name| {
        let kib = field(&status, name).ok_or_else(|| format!("/proc/PID/status has no {name}"));
        kib.map(|kib| kib * 1024.0 / 1e6)
    };
    Ok(Look {
        cpu_secs: (user + system) / TICKS_PER_SEC,
        rss_mb: mb("VmRSS:")?,
        peak_mb: mb("VmHWM:")?,
        observations: counted("schoolgate_readings_total{") + counted("schoolgate_events_total{"),
        shed: counted("schoolgate_shed_deliveries_total"),
    })
}

/// A number in a file of `/proc` that has a line for each.
pub(crate) fn field(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

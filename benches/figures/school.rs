//! What the daemon needs of a machine: the demonstration's school with the real program in it, seen through `/proc`.

use crate::daemon::{self, Look};
use crate::{Failure, Figure, Goal, scratch, source};
use hil::demo;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;
use tokio::process::Command;
use tokio::runtime::Runtime;
use tokio::time::{MissedTickBehavior, interval, timeout};

pub(crate) const FIGURES: &[&str] = &["pipe.rss_mb", "pipe.cpu_s_per_1000", "pipe.rss_peak_mb"];

/// This program as the school: a process of its own, so that its needs are not the daemon's.
const SCHOOL: &str = "--school";
/// The school lives so long after the daemon is ready.
const SCHOOL_SECS: u64 = 30;
/// The daemon is looked at so long after it is ready.
const LOAD: Duration = Duration::from_secs(25);
/// Longest wait for the daemon to be there, and for the school to end.
const PATIENCE: Duration = Duration::from_secs(45);
/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The directory given on the command line, when this process is to be the school.
pub(crate) fn asked_to_be_the_school() -> Option<PathBuf> {
    let mut arguments = std::env::args_os().skip_while(|argument| argument != SCHOOL);
    arguments.next()?;
    arguments.next().map(PathBuf::from)
}

/// Runs school and daemon; fails unless every leg of the demonstration carried something.
pub(crate) fn be_the_school(runtime: &Runtime, dir: PathBuf) -> ExitCode {
    let plan = demo::Plan {
        gateway: PathBuf::from(env!("CARGO_BIN_EXE_schoolgate")),
        secs: Some(SCHOOL_SECS),
        templates: source("deploy/demo"),
        profiles: source("device-profiles"),
        dir,
    };
    match runtime.block_on(demo::run(&plan)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("figures: the school: {error}");
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn measure(runtime: &Runtime) -> Result<Vec<Figure>, Failure> {
    let (first, last) = runtime.block_on(watch())?;
    let observations = last.observations - first.observations;
    if observations <= 0.0 {
        return Err("the daemon committed nothing".into());
    }
    let cpu_secs = last.cpu_secs - first.cpu_secs;
    let secs = LOAD.as_secs();
    Ok(vec![
        Figure::new(
            "pipe.rss_mb",
            last.rss_mb,
            "MB",
            Goal::Below(40.0),
            format!("VmRSS of the daemon after {secs} s of the demonstration's school (55 devices)"),
        ),
        Figure::new(
            "pipe.cpu_s_per_1000",
            cpu_secs * 1000.0 / observations,
            "s",
            Goal::AtMost(0.25),
            format!(
                "user and system time of the daemon in those {secs} s, from ready on, everything it does included \
                 ({cpu_secs:.2} s), per 1,000 of the {observations:.0} readings and events committed meanwhile"
            ),
        ),
        Figure::new(
            "pipe.rss_peak_mb",
            last.peak_mb,
            "MB",
            Goal::Info,
            "VmHWM: the most memory it ever had, start included".to_owned(),
        ),
    ])
}

/// Runs the school, and looks at the daemon when it is ready and after the load.
async fn watch() -> Result<(Look, Look), Failure> {
    let dir = scratch()?;
    let mut school = Command::new(std::env::current_exe()?)
        .arg(SCHOOL)
        .arg(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let looks = tokio::select! {
        looks = looks(dir.path(), school.id().unwrap_or(0)) => looks,
        status = school.wait() => return Err(format!("the school ended too early: {}", status?).into()),
    };
    if looks.is_err() {
        // Asked and not killed: it takes the daemon along. There is no safe call for it in the standard library.
        let id = school.id().unwrap_or(0);
        Command::new("/bin/sh").arg("-c").arg(format!("kill -TERM {id}")).status().await?;
    }
    let status = timeout(PATIENCE, school.wait()).await.map_err(|_| "the school does not end")??;
    let looks = looks?;
    if !status.success() {
        return Err(format!("the demonstration failed: {status}").into());
    }
    Ok(looks)
}

async fn looks(dir: &Path, school: u32) -> Result<(Look, Look), Failure> {
    let client = daemon::client()?;
    let (base, process) = timeout(PATIENCE, ready(&client, dir, school))
        .await
        .map_err(|_| "the daemon does not become ready")??;
    let end = tokio::time::Instant::now() + LOAD;
    let first = daemon::look(&client, &base, &process).await?;
    tokio::time::sleep_until(end).await;
    let last = daemon::look(&client, &base, &process).await?;
    Ok((first, last))
}

/// Waits until the daemon is ready; where its API is and its directory in `/proc`.
async fn ready(client: &reqwest::Client, dir: &Path, school: u32) -> Result<(String, PathBuf), Failure> {
    let mut looking = interval(LOOK_EVERY);
    looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looking.tick().await;
        let Some(base) = daemon::api(&dir.join("gateway.toml")) else { continue };
        let answer = client.get(format!("{base}/readyz")).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok((base, child_of(school)?));
        }
    }
}

/// The one child of a process, in `/proc`.
fn child_of(parent: u32) -> Result<PathBuf, Failure> {
    for entry in std::fs::read_dir("/proc")? {
        let dir = entry?.path();
        // Processes come and go, and not everything there is one.
        let status = std::fs::read_to_string(dir.join("status")).unwrap_or_default();
        if daemon::field(&status, "PPid:").is_some_and(|id| id == f64::from(parent)) {
            return Ok(dir);
        }
    }
    Err("the school has no daemon".into())
}

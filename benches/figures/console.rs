//! What fifty desks that watch and programs that ask cost an alarm: from its publish at Mosquitto to every desk; and how
//! soon the pages are there in a browser.

use crate::daemon::{Daemon, client};
use crate::events::{Client, Mosquitto};
use crate::latency::{self, BUTTONS, GATES, PRESS_EVERY, SCHOOL_PER_S};
use crate::{Failure, Figure, Goal, quantile, scratch, source};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

pub(crate) const FIGURES: &[&str] =
    &["console.alarm_p99_ms_50_desks", "console.api_p99_ms", "console.rss_mb"];

pub(crate) const PAGES: &[&str] =
    &["console.first_load_kb", "console.usable_s_throttled", "console.year_chart_ms"];

/// Desks that watch the live stream.
const DESKS: usize = 50;
/// Programs that ask, and how often all of them together.
const PROGRAMS: usize = 8;
const ASKED_PER_S: f64 = 200.0;
/// What they ask for, in turn.
const ASKED: [&str; 4] =
    ["/api/v1/alarms?open=true&limit=50", "/api/v1/devices", "/api/v1/events?limit=100", "/api/v1/alarms/1"];
/// Longest wait for a desk to hear of the last alarm.
const PATIENCE: Duration = Duration::from_secs(20);

/// When a desk heard of each button's alarm.
type Heard = BTreeMap<String, Instant>;

pub(crate) fn measure(runtime: &Runtime) -> Result<Vec<Figure>, Failure> {
    runtime.block_on(async {
        let dir = scratch()?;
        let broker = Mosquitto::start().await?;
        // Nobody is told by a webhook here: what does not answer costs nothing but an attempt.
        let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?;
        let config = latency::configure(dir.path(), broker.address, nobody)?;
        let daemon = Daemon::start(&config).await?;
        let token = token(&dir.path().join("data"))?;
        let (stop, stopped) = watch::channel(false);
        let load = tokio::spawn(latency::passes(broker.address, SCHOOL_PER_S, stopped.clone()));
        let mut desks = JoinSet::new();
        for _ in 0..DESKS {
            desks.spawn(desk(format!("{}/api/v1/stream", daemon.base()), token.clone()));
        }
        let mut programs = JoinSet::new();
        for number in 0..PROGRAMS {
            let (base, token, stopped) = (daemon.base().to_owned(), token.clone(), stopped.clone());
            programs.spawn(program(number, base, token, stopped));
        }
        sleep(Duration::from_secs(3)).await;
        let mut presser = Client::connect(broker.address, "presser").await?;
        let mut pressed = Vec::new();
        for _ in 0..GATES * BUTTONS {
            latency::press(&mut presser, &mut pressed).await?;
            sleep(PRESS_EVERY).await;
        }
        let mut waited = Vec::new();
        while let Some(heard) = timeout(PATIENCE, desks.join_next()).await.map_err(|_| "a desk missed an alarm")? {
            let heard = heard??;
            for (turn, at) in pressed.iter().enumerate() {
                let button = format!("button-{}-{}", turn % GATES, turn / GATES);
                let told = heard.get(&button).ok_or_else(|| format!("a desk never heard of {button}"))?;
                waited.push(told.saturating_duration_since(*at).as_secs_f64() * 1000.0);
            }
        }
        let look = daemon.look().await?;
        stop.send_replace(true);
        load.await??;
        let mut asked = Vec::new();
        while let Some(took) = programs.join_next().await {
            asked.extend(took??);
        }
        daemon.stop().await?;
        let amid = format!("amid {SCHOOL_PER_S} passes and {ASKED_PER_S} requests a second");
        Ok(vec![
            Figure::new(
                "console.alarm_p99_ms_50_desks",
                quantile(&waited, 0.99),
                "ms",
                Goal::AtMost(50.0),
                format!(
                    "from publishing at Mosquitto to each of {DESKS} desks on the live stream, {amid}; {} presses, median \
                     {:.1} ms, worst {:.1} ms",
                    pressed.len(),
                    quantile(&waited, 0.5),
                    quantile(&waited, 1.0)
                ),
            ),
            Figure::new(
                "console.api_p99_ms",
                quantile(&asked, 0.99),
                "ms",
                Goal::Info,
                format!("of {} requests in turn for {}, median {:.1} ms", asked.len(), ASKED.join(", "), quantile(&asked, 0.5)),
            ),
            Figure::new(
                "console.rss_mb",
                look.rss_mb,
                "MB",
                Goal::AtMost(60.0),
                format!("resident with {DESKS} desks, {amid}; peak {:.1} MB", look.peak_mb),
            ),
        ])
    })
}

/// What `web/figures.ts` tells.
#[derive(Debug, Deserialize)]
struct Told {
    first_load_kb: f64,
    first_load_sign_in_kb: f64,
    usable_s_throttled: f64,
    usable_s_throttled_all: Vec<f64>,
    usable_s: f64,
    year_chart_ms: f64,
    year_chart_ms_all: Vec<f64>,
    year_chart_api_ms: f64,
}

/// The pages in Chromium, in front of this program with a year of forty meters.
pub(crate) fn pages(runtime: &Runtime) -> Result<Vec<Figure>, Failure> {
    let mut node = Command::new("node");
    node.args(["--import", "tsx", "figures.ts"])
        .current_dir(source("web"))
        .env("SCHOOLGATE_BIN", env!("CARGO_BIN_EXE_schoolgate"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let out = runtime
        .block_on(async { node.output().await })
        .map_err(|error| format!("node cannot be started: {error}"))?;
    if !out.status.success() {
        return Err(format!("web/figures.ts ended: {}", out.status).into());
    }
    let told: Told = serde_json::from_slice(&out.stdout)?;
    let worst = |all: &[f64]| quantile(all, 1.0);
    Ok(vec![
        Figure::new(
            "console.first_load_kb",
            told.first_load_kb,
            "kB",
            Goal::Below(300.0),
            format!(
                "bytes on the wire, compressed, by a browser that knows nothing yet, until the desk can be used; {:.1} kB \
                 until one can sign in",
                told.first_load_sign_in_kb
            ),
        ),
        Figure::new(
            "console.usable_s_throttled",
            told.usable_s_throttled,
            "s",
            Goal::AtMost(2.0),
            format!(
                "from opening the address, signed in and nothing cached, to a desk that can be used, processor throttled \
                 fourfold; median of {}, worst {:.2} s; {:.2} s unthrottled",
                told.usable_s_throttled_all.len(),
                worst(&told.usable_s_throttled_all),
                told.usable_s
            ),
        ),
        Figure::new(
            "console.year_chart_ms",
            told.year_chart_ms,
            "ms",
            Goal::AtMost(200.0),
            format!(
                "from the click to the painted chart of 365 days of 40 meters beside the year before; median of {}, worst \
                 {:.0} ms; {:.0} ms of it waiting for the gateway's answer",
                told.year_chart_ms_all.len(),
                worst(&told.year_chart_ms_all),
                told.year_chart_api_ms
            ),
        ),
    ])
}

/// The token of this machine's command line.
fn token(data: &Path) -> Result<String, Failure> {
    Ok(std::fs::read_to_string(data.join("local.token"))?.trim().to_owned())
}

/// Watches until it has heard of every button.
async fn desk(url: String, token: String) -> Result<Heard, Failure> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut stream = client.get(url).bearer_auth(token).send().await?.error_for_status()?;
    let (mut heard, mut bytes) = (Heard::new(), Vec::new());
    while heard.len() < GATES * BUTTONS {
        bytes.extend(stream.chunk().await?.ok_or("the stream ended")?);
        let at = Instant::now();
        while let Some(end) = bytes.windows(2).position(|two| two == b"\n\n") {
            let message: Vec<u8> = bytes.drain(..end + 2).collect();
            let message = String::from_utf8(message)?;
            if !message.lines().any(|line| line == "event: alarm") {
                continue;
            }
            let data = message.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default();
            let told: Value = serde_json::from_str(data)?;
            let text = |at: &str| told.pointer(at).and_then(Value::as_str);
            if let (Some("raised"), Some(device)) = (text("/change/kind"), text("/alarm/device")) {
                heard.entry(device.to_owned()).or_insert(at);
            }
        }
    }
    Ok(heard)
}

/// Asks at its pace until it is told to stop; how long each answer took, milliseconds.
async fn program(
    number: usize,
    base: String,
    token: String,
    stopped: watch::Receiver<bool>,
) -> Result<Vec<f64>, Failure> {
    let client = client()?;
    let pause = Duration::from_secs_f64(PROGRAMS as f64 / ASKED_PER_S);
    let mut pace = interval_at(Instant::now() + pause.mul_f64(number as f64 / PROGRAMS as f64), pause);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut took = Vec::new();
    for path in ASKED.iter().cycle() {
        pace.tick().await;
        if *stopped.borrow() {
            break;
        }
        let asked = Instant::now();
        let answer = client.get(format!("{base}{path}")).bearer_auth(&token).send().await?;
        // The first alarm is not there yet for a while.
        if !answer.status().is_success() && answer.status() != reqwest::StatusCode::NOT_FOUND {
            return Err(format!("{path} was answered with {}", answer.status()).into());
        }
        answer.bytes().await?;
        took.push(asked.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(took)
}

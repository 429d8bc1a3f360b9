//! The demonstration: the simulated school, a real gateway in it, and what both say of it.

mod daemon;
mod figures;
mod metrics;
mod screen;
mod templates;

use crate::school::{School, Secrets};
use daemon::Daemon;
use figures::Figures;
use metrics::Metrics;
use screen::Screen;
use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep_until};

/// What is run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The gateway's program.
    pub gateway: PathBuf,
    /// Ends by itself after so many seconds.
    pub secs: Option<u64>,
    /// The configuration's templates.
    pub templates: PathBuf,
    /// The device profiles.
    pub profiles: PathBuf,
    /// Where everything of the run is kept.
    pub dir: PathBuf,
}

type Failure = Box<dyn Error + Send + Sync>;

/// `DEMO_SECS`, when set.
///
/// # Errors
/// When it is no number of seconds.
pub fn secs_from_environment() -> Result<Option<u64>, String> {
    match std::env::var("DEMO_SECS") {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => match text.trim().parse() {
            Ok(secs) if secs > 0 => Ok(Some(secs)),
            _ => Err(format!("DEMO_SECS is '{text}'; write a number of seconds, such as DEMO_SECS=40")),
        },
        Err(_) => Ok(None),
    }
}

/// Runs the demonstration; true when every leg carried something and the gateway behaved.
///
/// # Errors
/// When the school or the gateway cannot be started.
pub async fn run(plan: &Plan) -> Result<bool, Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut screen = Screen::new();
    screen.step("starting the simulated school");
    templates::empty(&plan.dir)?;
    let secrets = Secrets::random();
    let school = School::start(&plan.dir.join("broker"), &secrets).await?;
    let http = templates::free_address().await?;
    let config = templates::write(plan, &school, &secrets, http)?;
    screen.step("starting the gateway");
    let mut daemon = Daemon::start(&plan.gateway, &config, &plan.dir.join("daemon.log"))?;
    let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).no_proxy().build()?;
    let ready = tokio::select! {
        ready = daemon.ready(&client, http) => ready,
        _ = interrupt.recv() => Err("stopped before the gateway was ready".into()),
        _ = terminate.recv() => Err("stopped before the gateway was ready".into()),
    };
    if let Err(why) = ready {
        daemon.show_tail();
        return Err(why);
    }

    let begun = Instant::now();
    let end = plan.secs.map(|secs| tokio::time::Instant::now() + Duration::from_secs(secs));
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut metrics = Metrics::default();
    let mut died = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                if let Ok(now) = Metrics::fetch(&client, http).await {
                    metrics = now;
                }
                screen.show(begun.elapsed(), plan.secs, &Figures::of(&metrics, &school), http);
            }
            status = daemon.ended() => {
                died = Some(status);
                break;
            }
            () = async { match end { Some(end) => sleep_until(end).await, None => std::future::pending().await } } => break,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        }
    }
    if let Ok(last) = Metrics::fetch(&client, http).await {
        metrics = last;
    }
    screen.close();
    let mut complaints = Vec::new();
    match died {
        Some(status) => complaints.push(format!("the gateway ended by itself: {status}")),
        None => complaints.extend(daemon.stop().await.err()),
    }
    // After the stop: what the platforms acknowledged last is counted too.
    let figures = Figures::of(&metrics, &school);
    complaints.extend(figures.missing().into_iter().map(|leg| format!("nothing came through: {leg}")));
    for complaint in &complaints {
        eprintln!("demo: {complaint}");
    }
    if !complaints.is_empty() {
        daemon.show_tail();
    }
    screen::last_line(&figures.json());
    Ok(complaints.is_empty())
}

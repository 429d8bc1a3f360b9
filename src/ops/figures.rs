//! The figures of alarms over the last day, reckoned every minute beside everything else.

use crate::alarm::kpi::{Kpi, Reckoning};
use crate::console::Console;
use crate::model::Wall;
use crate::runtime::Chain;
use crate::store::{Reader, StoreError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long the figures look back, milliseconds: a day.
const SPAN_MS: i64 = 24 * 3600 * 1000;
/// Pause between two reckonings.
const EVERY: Duration = Duration::from_secs(60);
/// The pause is at least so many times as long as the reckoning took: it never takes more than a twentieth of a core.
const REST: u32 = 20;

/// What was reckoned.
#[derive(Debug)]
pub struct Figures {
    /// The figures of the last day.
    pub kpi: Kpi,
    /// When.
    pub at: Wall,
    /// How long that took.
    pub took: Duration,
}

/// Reckons for as long as it is polled, and where the last figures can be seen.
pub fn figures(
    console: &Console,
) -> (impl Future<Output = ()> + Send + use<>, watch::Receiver<Option<Arc<Figures>>>) {
    let (tell, seen) = watch::channel(None);
    let (clock, guards) = (Arc::clone(&console.clock), console.duty.guards);
    let dir = console.data_dir.clone();
    let reckoning = async move {
        loop {
            let (at, began, dir) = (clock.now().wall, Instant::now(), dir.clone());
            let reckoned = tokio::task::spawn_blocking(move || reckoned(&dir, at, guards)).await;
            let took = began.elapsed();
            match reckoned {
                Ok(Ok(kpi)) => drop(tell.send_replace(Some(Arc::new(Figures { kpi, at, took })))),
                Ok(Err(error)) => {
                    tracing::warn!(error = %Chain(&error), "the figures of alarms were not reckoned");
                }
                Err(error) => tracing::warn!(error = %error, "reckoning the figures of alarms was cut off"),
            }
            tokio::time::sleep(EVERY.max(took * REST)).await;
        }
    };
    (reckoning, seen)
}

fn reckoned(dir: &Path, now: Wall, guards: u32) -> Result<Kpi, StoreError> {
    // What is of this very moment belongs to it.
    let span = (now.plus_ms(-SPAN_MS), now.plus_ms(1));
    let mut reckoning = Reckoning::new(span, guards);
    Reader::open(dir)?.lives(span, |alarm, steps| drop(reckoning.alarm(alarm, steps)))?;
    Ok(reckoning.kpi())
}

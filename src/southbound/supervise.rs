//! Keeps one driver at work: opens, runs, tells the pipe when it fails, waits, and tries again until told to stop.

use super::{Driver, Failure, Field, Link, Links, Session};
use crate::model::{Delivery, DeviceId, Fault, Input};
use crate::runtime::lanes::Stopping;
use crate::runtime::tasks::{Ended, isolated};
use crate::runtime::{Backoff, Chain};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Span of the first pause after a failure; the jitter makes it 1 s at least.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A session that lasted this long was a good one: the next pause is short again.
const GOOD_SESSION: Duration = Duration::from_secs(60);

/// Our own code failed in a driver.
#[derive(Debug, thiserror::Error)]
enum Crash {
    #[error("panic: {0}")]
    Panicked(String),
    #[error("its task was cut off")]
    Aborted,
}

/// Runs a driver until `stop` becomes true (or its sender is gone).
///
/// Every failure makes the driver's devices [`Link::Down`], is counted and logged once, and is followed by a pause of
/// 1 s to 60 s with jitter. A panic in the driver is a failure like any other ([`Fault::Internal`]). On stop the
/// session is dropped at once, wherever it stands.
pub fn supervise(
    driver: Arc<dyn Driver>,
    field: Field,
    mut stop: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send {
    let mut watched = Watched {
        backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE, seed(&(driver.bus(), driver.devices()))),
        links: Links::default(),
        last: None,
        driver,
        field,
    };
    // No `async fn`: it would hold its arguments beside what is made of them, once for each of thousands of buses.
    async move {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => {}
            Stopping = watched.keep_at_it() => {}
        }
    }
}

/// A number of its own for each name, so that the pauses of several buses and cameras differ.
pub(super) fn seed(name: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

struct Watched {
    driver: Arc<dyn Driver>,
    field: Field,
    backoff: Backoff,
    /// What the pipe was last told by us; forgotten when a session opens, because then the session tells it.
    links: Links,
    /// The failure last logged as news.
    last: Option<(Fault, String)>,
}

impl Watched {
    async fn keep_at_it(&mut self) -> Stopping {
        loop {
            let failure = self.one_session().await;
            if let Err(stopping) = self.tell_down(failure.fault).await {
                return stopping;
            }
            let pause = self.backoff.pause();
            self.log(&failure, pause);
            tokio::time::sleep(pause).await;
        }
    }

    async fn one_session(&mut self) -> Failure {
        let session = match isolated(open(Arc::clone(&self.driver), self.field.clone())).await {
            Ok(Ok(session)) => session,
            Ok(Err(failure)) => return failure,
            Err(ended) => return self.crashed("open", ended),
        };
        let bus = self.driver.bus();
        self.field.tally.connects.of(bus).one();
        tracing::info!(bus = %bus, "bus connected");
        self.links = Links::default();
        let began = self.field.clock.now().mono;
        let ended = isolated(run(session, self.field.clone())).await;
        let lasted = self.field.clock.now().mono.since(began);
        let (failure, delivered) = match ended {
            Ok(ended) => ended,
            Err(ended) => (self.crashed("work on", ended), false),
        };
        if delivered || lasted >= GOOD_SESSION {
            self.backoff.reset();
            self.last = None;
        }
        failure
    }

    fn crashed(&self, verb: &str, ended: Ended) -> Failure {
        let crash = match ended {
            Ended::Panicked(message) => Crash::Panicked(message),
            Ended::Done | Ended::Aborted => Crash::Aborted,
        };
        Failure::new(Fault::Internal, format!("{verb} bus '{}'", self.driver.bus())).because(crash)
    }

    async fn tell_down(&mut self, fault: Fault) -> Result<(), Stopping> {
        let now = self.field.clock.now().wall;
        let mut inputs: Vec<Input> = Vec::new();
        for device in self.driver.devices() {
            inputs.extend(self.links.set(&device, Link::Down(fault), now));
            self.field.tally.device_faults.of(&(device, fault)).one();
        }
        if inputs.is_empty() {
            return Ok(());
        }
        let delivery = Delivery { bus: Some(self.driver.bus().clone()), key: None, inputs };
        // Nothing to answer for: the receipt is not waited for.
        self.field.inlet.deliver(delivery).await.map(drop)
    }

    /// A failure that repeats itself is news only once; after that it stays in the debug log.
    fn log(&mut self, failure: &Failure, pause: Duration) {
        let this = (failure.fault, failure.doing.clone());
        let (bus, advice) = (self.driver.bus(), failure.fault.advice().en);
        let (devices, retry_secs) = (named(&self.driver.devices()), pause.as_secs_f32());
        let fault = failure.fault;
        if self.last.as_ref() == Some(&this) {
            tracing::debug!(%bus, devices, %fault, retry_secs, "bus still fails: {}", Chain(failure));
        } else {
            tracing::warn!(%bus, devices, %fault, advice, retry_secs, "bus failed: {}", Chain(failure));
            self.last = Some(this);
        }
    }
}

/// The first few devices by name, and how many more.
fn named(devices: &[DeviceId]) -> String {
    const SHOWN: usize = 3;
    let mut names: Vec<String> = devices.iter().take(SHOWN).map(ToString::to_string).collect();
    if devices.len() > SHOWN {
        names.push(format!("and {} more", devices.len() - SHOWN));
    }
    names.join(", ")
}

async fn open(driver: Arc<dyn Driver>, field: Field) -> Result<Box<dyn Session>, Failure> {
    driver.open(&field).await
}

async fn run(mut session: Box<dyn Session>, field: Field) -> (Failure, bool) {
    let failure = session.run(&field).await;
    (failure, session.delivered())
}

#[cfg(test)]
mod tests;

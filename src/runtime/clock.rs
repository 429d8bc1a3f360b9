//! The only place that asks the machine for the time.

use crate::model::{Mono, Now, Wall};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Tells the moment.
pub trait Clock: Send + Sync {
    /// The moment, by both clocks.
    fn now(&self) -> Now;
}

/// The machine's clocks. Under a paused tokio runtime the monotonic one is tokio's.
#[derive(Debug)]
pub struct SystemClock {
    origin: tokio::time::Instant,
}

impl SystemClock {
    /// Starts counting now.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: tokio::time::Instant::from_std(std_now()) }
    }
}

#[expect(clippy::disallowed_methods, reason = "this file is where the time comes from")]
fn std_now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this file is where the time comes from")]
fn wall_now() -> Wall {
    let ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    };
    Wall(ms)
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let passed = tokio::time::Instant::now().saturating_duration_since(self.origin);
        Now { mono: Mono(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)), wall: wall_now() }
    }
}

/// A clock that a test moves.
#[derive(Debug)]
pub struct ManualClock {
    mono: AtomicU64,
    wall: AtomicI64,
}

impl ManualClock {
    /// Starts at monotonic zero and the given wall time.
    #[must_use]
    pub fn new(wall: Wall) -> Self {
        Self { mono: AtomicU64::new(0), wall: AtomicI64::new(wall.0) }
    }

    /// Somebody sets the wall clock, on or back.
    pub fn set_wall_ms(&self, by: i64) {
        self.wall.fetch_add(by, Ordering::SeqCst);
    }

    /// Both clocks go on.
    pub fn advance_ms(&self, ms: u32) {
        self.mono.fetch_add(u64::from(ms), Ordering::SeqCst);
        self.wall.fetch_add(i64::from(ms), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        Now { mono: Mono(self.mono.load(Ordering::SeqCst)), wall: Wall(self.wall.load(Ordering::SeqCst)) }
    }
}

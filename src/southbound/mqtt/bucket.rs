//! How many messages a device may send: a bucket of tokens each, so that one that floods takes nothing from the others.

use crate::model::{BusId, DeviceId, Mono};
use crate::runtime::Tally;
use std::collections::BTreeMap;

/// Tokens that come back per second.
pub const MESSAGES_PER_SEC: u32 = 200;
/// Tokens in a full bucket.
pub const BURST: u32 = 2000;
/// What a broker may have kept for a device while the gateway was away: that much more when a session begins.
pub const BACKLOG: u32 = 100_000;
/// Shortest pause between two lines in the log about the same device, milliseconds.
const TOLD_EVERY_MS: u64 = 60_000;

/// Tokens of one sender, in thousandths.
#[derive(Debug, Clone)]
pub struct Bucket {
    per_sec: u32,
    full: u64,
    level: u64,
    last: Mono,
}

impl Bucket {
    /// A full one: `burst` messages at once, then `per_sec` each second.
    #[must_use]
    pub fn new(per_sec: u32, burst: u32, now: Mono) -> Self {
        let full = u64::from(burst) * 1000;
        Self { per_sec: per_sec.max(1), full, level: full, last: now }
    }

    /// Takes a token for a message; `false` when there is none left.
    pub fn take(&mut self, now: Mono) -> bool {
        self.refill(now);
        let taken = self.level.checked_sub(1000);
        self.level = taken.unwrap_or(self.level);
        taken.is_some()
    }

    /// Takes a token, or tells how many milliseconds it is until there is one.
    pub fn wait_ms(&mut self, now: Mono) -> u64 {
        if self.take(now) { 0 } else { (1000 - self.level).div_ceil(u64::from(self.per_sec)).max(1) }
    }

    fn refill(&mut self, now: Mono) {
        let passed = now.0.saturating_sub(self.last.0);
        self.last = Mono(self.last.0.max(now.0));
        // What was granted beyond a full bucket is kept until it is used.
        let room = self.full.saturating_sub(self.level);
        self.level += room.min(passed.saturating_mul(u64::from(self.per_sec)));
    }
}

/// The buckets of all devices of a bus, and one for all that nobody knows.
#[derive(Debug, Default)]
pub(in crate::southbound) struct Floods {
    buckets: BTreeMap<Option<DeviceId>, Watched>,
    /// Messages that each device may send at once, besides a full bucket, when its first comes.
    backlog: u32,
}

#[derive(Debug)]
struct Watched {
    bucket: Bucket,
    /// Shed since it was last told, and when that was.
    shed: u64,
    told: Option<Mono>,
}

impl Floods {
    /// For a session behind a broker that keeps messages while the gateway is away.
    pub(in crate::southbound) fn behind_a_broker() -> Self {
        Self { backlog: BACKLOG, ..Self::default() }
    }

    /// Whether a message of a device, or of somebody unknown, may pass. One that may not is counted, and told once a
    /// minute.
    pub(in crate::southbound) fn admits(
        &mut self,
        bus: &BusId,
        device: Option<&DeviceId>,
        now: Mono,
        tally: &Tally,
    ) -> bool {
        let backlog = self.backlog;
        let watched = self.buckets.entry(device.cloned()).or_insert_with(|| {
            let mut bucket = Bucket::new(MESSAGES_PER_SEC, BURST, now);
            bucket.level += u64::from(backlog) * 1000;
            Watched { bucket, shed: 0, told: None }
        });
        if watched.bucket.take(now) {
            return true;
        }
        match device {
            Some(device) => tally.shed_device.of(device).one(),
            None => tally.shed_unknown.of(bus).one(),
        }
        watched.shed += 1;
        if watched.told.is_none_or(|told| now.0.saturating_sub(told.0) >= TOLD_EVERY_MS) {
            let (device, shed) = (device.map_or("unknown devices", DeviceId::as_str), watched.shed);
            tracing::warn!(%bus, device, shed, "too many messages: those above {MESSAGES_PER_SEC} a second are thrown away");
            (watched.shed, watched.told) = (0, Some(now));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_a_burst_then_its_rate_and_never_more_than_a_burst() {
        let mut bucket = Bucket::new(200, 2000, Mono(0));
        let taken = |bucket: &mut Bucket, at: u64| (0..5000).filter(|_| bucket.take(Mono(at))).count();
        assert_eq!(taken(&mut bucket, 0), 2000);
        assert_eq!(bucket.wait_ms(Mono(0)), 5);
        assert_eq!(taken(&mut bucket, 1000), 200);
        assert_eq!(taken(&mut bucket, 500), 0, "a clock that goes back gives nothing");
        assert_eq!(taken(&mut bucket, 1005), 1);
        assert_eq!(taken(&mut bucket, 100_000_000), 2000);
    }

    #[test]
    fn one_that_floods_takes_nothing_from_another_and_is_counted_alone() {
        let (tally, bus) = (Tally::default(), BusId::new("b").unwrap());
        let [noisy, quiet] = ["noisy", "quiet"].map(|id| DeviceId::new(id).unwrap());
        let mut floods = Floods::default();
        let passed = (0..10_000).filter(|_| floods.admits(&bus, Some(&noisy), Mono(7), &tally)).count();
        assert_eq!(passed, 2000);
        assert!(floods.admits(&bus, Some(&quiet), Mono(7), &tally));
        assert_eq!(tally.shed_device.all(), [(noisy.clone(), 8000)]);
        let mut floods = Floods::behind_a_broker();
        let passed = (0..200_000).filter(|_| floods.admits(&bus, Some(&noisy), Mono(7), &tally)).count();
        assert_eq!(passed, 102_000, "what a broker kept is not a flood");
    }
}

//! Devices that do not answer: when each is tried again, and how much of the bus's time all of them may take.

use crate::model::Mono;
use crate::runtime::Backoff;
use std::time::Duration;

/// So many tries in a row without a value make a device one that does not answer.
const MISSES_TO_DOWN: u32 = 3;
/// Longest pause between two tries of a silent device, unless the bus has not the time.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Of the bus's time, silent devices get one part in so many: 5 %.
const ONE_PART_IN: u32 = 20;

/// How long one device has been silent.
#[derive(Debug)]
pub(super) struct Silence {
    misses: u32,
    heard: bool,
    backoff: Backoff,
    until: Mono,
}

impl Silence {
    /// A device of which nothing is known; it is tried again after about twice `timeout`, then ever later.
    pub(super) fn new(timeout: Duration, seed: u64) -> Self {
        let backoff = Backoff::new(timeout * 2, LONGEST_PAUSE, seed);
        Self { misses: 0, heard: false, backoff, until: Mono(0) }
    }

    /// It gave a value.
    pub(super) fn broken(&mut self) {
        if self.misses > 0 {
            self.backoff.reset();
        }
        (self.misses, self.heard, self.until) = (0, true, Mono(0));
    }

    /// It gave none; returns when it is to be tried again.
    pub(super) fn goes_on(&mut self, now: Mono) -> Mono {
        self.misses = self.misses.saturating_add(1);
        self.until = now.plus(self.backoff.pause());
        self.until
    }

    /// Before then it is not to be tried; in the past where it answers.
    pub(super) fn until(&self) -> Mono {
        self.until
    }

    /// Whether it was heard and nothing has been amiss since.
    pub(super) fn is_none(&self) -> bool {
        self.heard && self.misses == 0
    }

    /// Whether it has been silent often enough to be called down.
    pub(super) fn is_down(&self) -> bool {
        self.misses >= MISSES_TO_DOWN
    }
}

/// The time on a bus that devices may take that do not answer.
#[derive(Debug)]
pub(super) struct Allowance {
    free_at: Mono,
}

impl Allowance {
    /// Nothing is spent yet.
    pub(super) fn new(now: Mono) -> Self {
        Self { free_at: now }
    }

    /// When there is time again to try a device that is down.
    pub(super) fn free_at(&self) -> Mono {
        self.free_at
    }

    /// A request without an answer took so long, up to `now`. Never asks for a pause longer than 5 minutes, so that a
    /// bus on which much fell silent at once finds out soon when it is back.
    pub(super) fn charge(&mut self, took: Duration, now: Mono) {
        let latest = now.plus(LONGEST_PAUSE);
        self.free_at = self.free_at.max(now).plus(took.saturating_mul(ONE_PART_IN - 1)).min(latest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);

    #[test]
    fn a_silent_device_is_tried_ever_less_and_at_once_well_when_it_answers() {
        let mut silence = Silence::new(SEC, 3);
        let (mut now, mut tries) = (Mono(0), 0_u32);
        while now.0 < 3_600_000 {
            assert_eq!(silence.is_down(), tries >= 3);
            let until = silence.goes_on(now);
            assert!(until > now && until.since(now) <= LONGEST_PAUSE);
            now = until;
            tries += 1;
        }
        assert!((12..=40).contains(&tries), "{tries} tries in an hour");
        silence.broken();
        assert!(silence.is_none() && !silence.is_down() && silence.until() <= now);
        assert!(silence.goes_on(now).since(now) <= SEC * 2, "it begins anew");
    }

    #[test]
    fn all_silent_devices_together_get_a_twentieth() {
        let (mut allowance, mut now, mut spent) = (Allowance::new(Mono(0)), Mono(0), Duration::ZERO);
        while now.0 < 3_600_000 {
            let took = Duration::from_millis(1300);
            spent += took;
            now = now.plus(took);
            allowance.charge(took, now);
            assert!(allowance.free_at() > now);
            now = allowance.free_at();
        }
        assert!(spent.as_secs_f64() <= 0.0501 * now.since(Mono(0)).as_secs_f64(), "{spent:?}");
        for _ in 0..100 {
            allowance.charge(SEC * 60, now);
        }
        assert_eq!(allowance.free_at().since(now), LONGEST_PAUSE);
    }
}

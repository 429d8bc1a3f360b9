//! When each device on a bus is due: its own period on a grid that does not drift, its own backoff while it is silent.

use crate::model::Mono;
use crate::runtime::Backoff;
use std::time::Duration;

/// Longest pause between two tries of a silent device.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The first polls after connecting are spread over this, so that every device is heard soon.
const FIRST_ROUND_MS: u64 = 1000;

#[derive(Debug)]
struct Slot {
    /// The grid: `anchor`, `anchor + period`, …
    anchor: u64,
    period_ms: u64,
    /// The grid point that follows the poll now due.
    following: u64,
    due: Mono,
    backoff: Backoff,
    /// The poll now due is the first, or a try of a silent device.
    off_grid: bool,
}

/// The due times of the devices on one bus. Pure: time is an argument.
#[derive(Debug)]
pub struct Schedule(Vec<Slot>);

impl Schedule {
    /// Devices by their periods. The grids are spread so that devices of one bus do not fall due together, nor those
    /// of different buses (`seed`). A silent device is asked again after about twice `timeout`, then ever later.
    #[must_use]
    pub fn new(periods: &[Duration], timeout: Duration, seed: u64, now: Mono) -> Self {
        let count = u64::try_from(periods.len()).unwrap_or(u64::MAX).max(1);
        let slots = (0u64..).zip(periods).map(|(index, period)| {
            let period_ms = u64::try_from(period.as_millis()).unwrap_or(u64::MAX).max(1);
            // A share of the period in 1/65536: even steps within the bus, begun at a point of the bus's own.
            let share = ((index << 16) / count).wrapping_add(seed & 0xFFFF) & 0xFFFF;
            let part = |span: u64| u64::try_from((u128::from(span) * u128::from(share)) >> 16).unwrap_or(0);
            Slot {
                anchor: now.0.saturating_add(part(period_ms)),
                period_ms,
                following: 0,
                due: Mono(now.0.saturating_add(part(period_ms.min(FIRST_ROUND_MS)))),
                backoff: Backoff::new(timeout * 2, LONGEST_PAUSE, seed.wrapping_add(index)),
                off_grid: true,
            }
        });
        Self(slots.collect())
    }

    /// The device that is due first, and when; `None` when there is no device.
    #[must_use]
    pub fn first_due(&self) -> Option<(usize, Mono)> {
        self.0.iter().enumerate().map(|(index, slot)| (index, slot.due)).min_by_key(|(_, due)| *due)
    }

    /// A device was polled: it is due again at its next grid point after `now`. Returns how many grid points were
    /// passed over because the bus was too slow or stood still; they are not made up for.
    pub fn polled(&mut self, index: usize, now: Mono) -> u64 {
        let Some(slot) = self.0.get_mut(index) else { return 0 };
        let next = match now.0.checked_sub(slot.anchor) {
            Some(since) => since / slot.period_ms + 1,
            None => 0,
        };
        let skipped = if slot.off_grid { 0 } else { next.saturating_sub(slot.following) };
        slot.due = Mono(slot.anchor.saturating_add(next.saturating_mul(slot.period_ms)));
        slot.following = next + 1;
        slot.off_grid = false;
        slot.backoff.reset();
        skipped
    }

    /// A device did not answer: it is due again after its own backoff.
    pub fn missed(&mut self, index: usize, now: Mono) {
        if let Some(slot) = self.0.get_mut(index) {
            slot.off_grid = true;
            slot.due = now.plus(slot.backoff.pause());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);

    fn minutes(count: usize) -> Schedule {
        Schedule::new(&vec![SEC * 60; count], SEC, 0, Mono(5000))
    }

    /// Polls whatever is due, each poll taking `cost_ms`; returns (when, whom).
    fn play(schedule: &mut Schedule, cost_ms: u64, until: u64) -> Vec<(u64, usize)> {
        let (mut now, mut polls) = (5000, Vec::new());
        while let Some((index, due)) = schedule.first_due() {
            now = due.0.max(now);
            if now >= until {
                break;
            }
            polls.push((now, index));
            now += cost_ms;
            schedule.polled(index, Mono(now));
        }
        polls
    }

    #[test]
    fn every_device_is_heard_within_a_second_and_then_keeps_its_own_grid() {
        let polls = play(&mut minutes(6), 20, 5000 + 600_000);
        assert_eq!(polls.iter().take(6).map(|p| p.1).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
        assert!(polls[5].0 < 6000, "{polls:?}");
        for device in 1..6 {
            let times: Vec<u64> = polls.iter().filter(|p| p.1 == device).map(|p| p.0).skip(1).collect();
            assert!(times.len() >= 9);
            assert!(times.windows(2).all(|w| w[1] - w[0] == 60_000), "drift in {times:?}");
        }
        let grid: Vec<u64> = polls.iter().skip(6).take(6).map(|p| p.0).collect();
        assert!(grid.windows(2).all(|w| w[1] - w[0] >= 9000), "bunched: {grid:?}");
    }

    #[test]
    fn after_a_stall_cycles_are_skipped_and_counted_not_made_up_for() {
        let mut schedule = minutes(1);
        schedule.polled(0, Mono(5010));
        assert_eq!(schedule.first_due(), Some((0, Mono(65_000))));
        // the poll due at 65 s ends ten minutes late
        assert_eq!(schedule.polled(0, Mono(665_001)), 10);
        assert_eq!(schedule.first_due(), Some((0, Mono(725_000))));
        assert_eq!(schedule.polled(0, Mono(725_050)), 0);
    }

    #[test]
    fn a_bus_slower_than_its_periods_skips_and_serves_everyone() {
        let mut schedule = Schedule::new(&[SEC; 4], SEC, 7, Mono(5000));
        let polls = play(&mut schedule, 400, 5000 + 60_000);
        for device in 0..4 {
            let share = polls.iter().filter(|p| p.1 == device).count();
            assert!((30..=45).contains(&share), "device {device} got {share} of {}", polls.len());
        }
    }

    #[test]
    fn a_silent_device_is_asked_ever_less_and_is_back_on_its_grid_once_it_answers() {
        let mut schedule = Schedule::new(&[SEC * 10], SEC, 3, Mono(0));
        let (mut now, mut tries) = (0, 0u32);
        while now < 3_600_000 {
            schedule.missed(0, Mono(now));
            let (_, due) = schedule.first_due().unwrap();
            assert!(due.0 > now && due.0 - now <= 300_000);
            now = due.0;
            tries += 1;
        }
        assert!((12..=40).contains(&tries), "{tries} tries in an hour");
        assert_eq!(schedule.polled(0, Mono(now)), 0, "silence is not a skipped cycle");
        let (_, due) = schedule.first_due().unwrap();
        assert!(due.0 > now && due.0 - now <= 10_000);
    }

    #[test]
    fn one_dead_device_of_32_takes_little_of_the_bus() {
        let mut schedule = Schedule::new(&vec![SEC * 10; 32], SEC, 1, Mono(0));
        let (mut now, mut dead_ms) = (0, 0);
        while let Some((index, due)) = schedule.first_due() {
            now = due.0.max(now);
            if now > 3_600_000 {
                break;
            }
            if index == 5 {
                now += 1000;
                dead_ms += 1000;
                schedule.missed(index, Mono(now));
            } else {
                now += 50;
                schedule.polled(index, Mono(now));
            }
        }
        assert!(dead_ms * 20 <= 3_600_000, "the dead device took {dead_ms} ms of an hour");
    }
}

//! When each round of reads on a bus is due, and which of those that are due goes first. Pure: time is an argument.
//!
//! Every round has its own grid, which does not drift. Of the rounds that are due, those with alarmed points go first,
//! then the normal ones, then the slow ones; within a rank, and for whatever is overdue by two of its periods, the one
//! that will soonest be (or longest was) so far overdue. Therefore nothing waits for ever.

use crate::model::Mono;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// The first rounds after connecting are spread over this, so that every device is heard soon.
const FIRST_ROUND_MS: u64 = 1000;
/// Overdue by so many of its periods, a round stands with the alarmed ones.
const PATIENCE_PERIODS: u64 = 2;

/// What goes first among rounds that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// It holds a point that a rule judges.
    Alarmed,
    /// Read at every poll.
    Normal,
    /// Read at every so many-th poll, or of a device that does not answer.
    Slow,
}

/// How often a round is due, and what it is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rhythm {
    pub(super) period: Duration,
    pub(super) rank: Rank,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// This round; it is given back with [`Schedule::again`], [`Schedule::polled`], [`Schedule::postpone`] or
    /// [`Schedule::hold`].
    Now(usize),
    /// Nothing until then.
    At(Mono),
    /// There is nothing at all.
    Never,
}

#[derive(Debug)]
struct Slot {
    rank: Rank,
    /// The grid: `anchor`, `anchor + period`, …
    anchor: u64,
    period_ms: u64,
    /// The grid point that follows the one now due.
    following: u64,
    due: Mono,
    /// What is now due is the first, or was postponed.
    off_grid: bool,
    postponed: bool,
}

impl Slot {
    /// From then on it is overdue beyond patience.
    fn deadline(&self) -> Mono {
        Mono(self.due.0.saturating_add(self.period_ms.saturating_mul(PATIENCE_PERIODS)))
    }
}

/// The rounds of one bus.
#[derive(Debug)]
pub(super) struct Schedule {
    slots: Vec<Slot>,
    /// Those that wait, the next first.
    waiting: BinaryHeap<Reverse<(Mono, usize)>>,
    /// Those that are due, by rank; in each the one with the nearest deadline first.
    ready: [BinaryHeap<Reverse<(Mono, usize)>>; 3],
}

impl Schedule {
    /// The grids are spread so that rounds of one bus do not fall due together, nor those of different buses (`seed`).
    pub(super) fn new(rounds: impl ExactSizeIterator<Item = Rhythm>, seed: u64, now: Mono) -> Self {
        let count = u64::try_from(rounds.len()).unwrap_or(u64::MAX).max(1);
        let slots = (0_u64..).zip(rounds).map(|(index, Rhythm { period, rank })| {
            let period_ms = u64::try_from(period.as_millis()).unwrap_or(u64::MAX).max(1);
            // A share of the period in 1/65536: even steps within the bus, begun at a point of the bus's own.
            let share = ((index << 16) / count).wrapping_add(seed & 0xFFFF) & 0xFFFF;
            let part = |span: u64| u64::try_from((u128::from(span) * u128::from(share)) >> 16).unwrap_or(0);
            Slot {
                rank,
                anchor: now.0.saturating_add(part(period_ms)),
                period_ms,
                following: 0,
                due: Mono(now.0.saturating_add(part(period_ms.min(FIRST_ROUND_MS)))),
                off_grid: true,
                postponed: false,
            }
        });
        let slots: Vec<Slot> = slots.collect();
        let waiting = slots.iter().enumerate().map(|(index, slot)| Reverse((slot.due, index))).collect();
        Self { slots, waiting, ready: Default::default() }
    }

    /// What to do at this moment.
    pub(super) fn next(&mut self, now: Mono) -> Next {
        while let Some(Reverse((due, index))) = self.waiting.peek().copied()
            && due <= now
        {
            self.waiting.pop();
            self.again(index);
        }
        let urgency = |(rank, heap): (usize, &BinaryHeap<Reverse<(Mono, usize)>>)| {
            let Reverse((deadline, _)) = heap.peek()?;
            Some((if *deadline <= now { 0 } else { rank }, *deadline, rank))
        };
        let first = self.ready.iter().enumerate().filter_map(urgency).min();
        let heap = first.and_then(|(_, _, rank)| self.ready.get_mut(rank));
        match (heap.and_then(BinaryHeap::pop), self.waiting.peek()) {
            (Some(Reverse((_, index))), _) => Next::Now(index),
            (None, Some(Reverse((due, _)))) => Next::At(*due),
            (None, None) => Next::Never,
        }
    }

    /// More of the round is to be read.
    pub(super) fn again(&mut self, index: usize) {
        let Some(slot) = self.slots.get(index) else { return };
        let rank = if slot.postponed { Rank::Slow } else { slot.rank };
        let [alarmed, normal, slow] = &mut self.ready;
        let heap = match rank {
            Rank::Alarmed => alarmed,
            Rank::Normal => normal,
            Rank::Slow => slow,
        };
        heap.push(Reverse((slot.deadline(), index)));
    }

    /// The round is over: it is due again at its next grid point after `now`. Returns how many grid points were passed
    /// over because the bus was too slow or stood still; they are not made up for.
    pub(super) fn polled(&mut self, index: usize, now: Mono) -> u64 {
        let Some(slot) = self.slots.get_mut(index) else { return 0 };
        let next = match now.0.checked_sub(slot.anchor) {
            Some(since) => since / slot.period_ms + 1,
            None => 0,
        };
        let skipped = if slot.off_grid { 0 } else { next.saturating_sub(slot.following) };
        slot.due = Mono(slot.anchor.saturating_add(next.saturating_mul(slot.period_ms)));
        slot.following = next + 1;
        (slot.off_grid, slot.postponed) = (false, false);
        self.waiting.push(Reverse((slot.due, index)));
        skipped
    }

    /// The round gave nothing: it is due again then.
    pub(super) fn postpone(&mut self, index: usize, until: Mono) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.due = until;
            (slot.off_grid, slot.postponed) = (true, true);
            self.waiting.push(Reverse((until, index)));
        }
    }

    /// The round is due but must wait until then; it keeps its place among those that wait with it.
    pub(super) fn hold(&mut self, index: usize, until: Mono) {
        if let Some(slot) = self.slots.get_mut(index) {
            (slot.off_grid, slot.postponed) = (true, true);
            self.waiting.push(Reverse((until, index)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);

    fn schedule(periods: &[Duration], rank: Rank, seed: u64, now: Mono) -> Schedule {
        Schedule::new(periods.iter().map(|period| Rhythm { period: *period, rank }), seed, now)
    }

    fn minutes(count: usize) -> Schedule {
        schedule(&vec![SEC * 60; count], Rank::Normal, 0, Mono(5000))
    }

    /// Polls whatever is due, each poll taking `cost_ms`; returns (when, whom).
    fn play(schedule: &mut Schedule, cost_ms: u64, until: u64) -> Vec<(u64, usize)> {
        let (mut now, mut polls) = (5000, Vec::new());
        loop {
            match schedule.next(Mono(now)) {
                _ if now >= until => return polls,
                Next::Now(index) => {
                    polls.push((now, index));
                    now += cost_ms;
                    schedule.polled(index, Mono(now));
                }
                Next::At(due) => now = due.0,
                Next::Never => return polls,
            }
        }
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
        assert_eq!(schedule.next(Mono(5000)), Next::Now(0));
        schedule.polled(0, Mono(5010));
        assert_eq!(schedule.next(Mono(5010)), Next::At(Mono(65_000)));
        assert_eq!(schedule.next(Mono(65_000)), Next::Now(0));
        // the poll due at 65 s ends ten minutes late
        assert_eq!(schedule.polled(0, Mono(665_001)), 10);
        assert_eq!(schedule.next(Mono(665_001)), Next::At(Mono(725_000)));
        assert_eq!(schedule.next(Mono(725_000)), Next::Now(0));
        assert_eq!(schedule.polled(0, Mono(725_050)), 0);
    }

    #[test]
    fn a_bus_slower_than_its_periods_skips_and_serves_everyone() {
        let polls = play(&mut schedule(&[SEC; 4], Rank::Normal, 7, Mono(5000)), 400, 5000 + 60_000);
        for device in 0..4 {
            let share = polls.iter().filter(|p| p.1 == device).count();
            assert!((30..=45).contains(&share), "device {device} got {share} of {}", polls.len());
        }
    }

    #[test]
    fn alarmed_rounds_go_first_then_normal_then_slow_ones() {
        let ranks = [Rank::Slow, Rank::Normal, Rank::Alarmed, Rank::Normal];
        let rounds = ranks.iter().map(|rank| Rhythm { period: SEC * 60, rank: *rank });
        let mut schedule = Schedule::new(rounds, 0, Mono(0));
        let order: Vec<Next> = (0..4).map(|_| schedule.next(Mono(1000))).collect();
        assert_eq!(order, [Next::Now(2), Next::Now(1), Next::Now(3), Next::Now(0)]);
        assert_eq!(schedule.next(Mono(1000)), Next::Never, "all are in hand");
    }

    #[test]
    fn on_a_bus_that_cannot_keep_up_the_alarmed_go_before_the_others_and_nobody_starves() {
        let ranks = [Rank::Alarmed, Rank::Alarmed, Rank::Normal, Rank::Slow];
        let periods = [1, 1, 2, 10];
        let rounds = ranks.iter().zip(periods).map(|(rank, secs)| Rhythm { period: SEC * secs, rank: *rank });
        let mut schedule = Schedule::new(rounds, 3, Mono(5000));
        // Each read takes 0.6 s: the two alarmed rounds alone would fill the bus and more.
        let polls = play(&mut schedule, 600, 5000 + 600_000);
        let count = |device| polls.iter().filter(|p| p.1 == device).count();
        assert!(count(0) > 300 && count(1) > 300, "{} and {}", count(0), count(1));
        assert!((75..=200).contains(&count(2)), "normal: {}", count(2));
        assert!((15..=60).contains(&count(3)), "slow: {}", count(3));
    }

    #[test]
    fn a_held_round_keeps_its_place_and_a_postponed_one_is_the_last() {
        let mut schedule = minutes(3);
        for expected in [0, 1, 2] {
            assert_eq!(schedule.next(Mono(6000)), Next::Now(expected));
        }
        schedule.postpone(0, Mono(7000));
        schedule.hold(2, Mono(8000));
        schedule.hold(1, Mono(8000));
        assert_eq!(schedule.next(Mono(6500)), Next::At(Mono(7000)));
        let order: Vec<Next> = (0..3).map(|_| schedule.next(Mono(8000))).collect();
        assert_eq!(order, [Next::Now(1), Next::Now(2), Next::Now(0)]);
        assert_eq!(schedule.polled(0, Mono(8000)), 0, "silence is no skipped cycle");
        let Next::At(due) = schedule.next(Mono(8000)) else { panic!("it waits") };
        assert!(due.0 <= 8000 + 60_000, "back on its grid within a cycle");
    }

    #[test]
    fn a_thousand_rounds_cost_little_each() {
        let mut schedule = schedule(&vec![SEC; 1000], Rank::Normal, 9, Mono(5000));
        let polls = play(&mut schedule, 1, 5000 + 100_000);
        assert!(polls.len() >= 98_000, "{}", polls.len());
    }
}

//! Roll-ups: what a point did in each period. Only good values count; late ones reopen their period with a higher
//! revision.

use crate::model::few::Few;
use crate::model::{DeviceId, PointId, PointKind, Reading, RollUp, Stamp, Unit, Wall};
use crate::profile::{Counted, Counting, Nature, countable};
use std::collections::{BTreeMap, BTreeSet};

/// Periods of one point that late data can still change.
pub const REVISABLE_PERIODS: usize = 8;
/// Only periods that began at most so many before the last one of their point can still change. A restart takes up
/// again as many: what was already given of older ones is not known to it.
pub const REVISABLE_SPAN: i64 = 32;

/// What a counter stood at when its last roll-up ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The device.
    pub device: DeviceId,
    /// The counter.
    pub point: PointId,
    /// First moment of the roll-up.
    pub start: Wall,
    /// The counter at its end.
    pub last: f64,
}

/// The roll-ups of every point that are not over, and the last few that are.
#[derive(Debug)]
pub struct Aggregates {
    period_secs: u32,
    devices: BTreeMap<DeviceId, Few<PointId, Series>>,
    /// Devices with a period that holds something not given yet, by its start.
    pending: BTreeSet<(Wall, DeviceId)>,
    /// Periods before this are taken only if they were restored.
    floor: Option<Wall>,
    /// Readings before this were not all replayed.
    whole_from: Option<Wall>,
    /// Good values too old for any period that can still change.
    pub too_late: u64,
}

#[derive(Debug, Default)]
struct Series {
    /// Of a counter.
    counting: Option<Box<Counting>>,
    /// By start.
    periods: Few<Wall, Period>,
}

/// A roll-up in the making, without what its place says.
#[derive(Debug)]
struct Period {
    unit: Unit,
    kind: PointKind,
    count: u32,
    sum: f64,
    min: f64,
    max: f64,
    last: f64,
    /// Time of `last`.
    last_at: Wall,
    /// How much a counter grew.
    grown: f64,
    revision: u32,
    /// It was given.
    emitted: bool,
    /// It holds something not given yet.
    due: bool,
}

impl Period {
    fn new(reading: &Reading, value: f64) -> Self {
        Self {
            unit: reading.unit,
            kind: reading.kind,
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            last: value,
            last_at: Wall(i64::MIN),
            grown: 0.0,
            revision: 0,
            emitted: false,
            due: false,
        }
    }

    /// One that was given before; its last value's own time is not stored, and its end lets no late value pass for it.
    fn given(roll_up: &RollUp, end: Wall) -> Self {
        let RollUp { unit, kind, count, sum, min, max, last, delta, revision, .. } = *roll_up;
        let grown = delta.unwrap_or(0.0);
        Self {
            unit,
            kind,
            count,
            sum,
            min,
            max,
            last,
            last_at: end,
            grown,
            revision,
            emitted: true,
            due: false,
        }
    }

    fn roll_up(&self, device: &DeviceId, point: &PointId, start: Wall, period_secs: u32) -> RollUp {
        RollUp {
            device: device.clone(),
            point: point.clone(),
            unit: self.unit,
            kind: self.kind,
            start,
            period_secs,
            count: self.count,
            sum: self.sum,
            min: self.min,
            max: self.max,
            last: self.last,
            delta: (self.kind == PointKind::Counter).then_some(self.grown),
            revision: self.revision,
        }
    }
}

impl Aggregates {
    /// Roll-ups of `period_secs`, which divides an hour.
    #[must_use]
    pub fn new(period_secs: u32) -> Self {
        Self {
            period_secs,
            devices: BTreeMap::new(),
            pending: BTreeSet::new(),
            floor: None,
            whole_from: None,
            too_late: 0,
        }
    }

    fn period_ms(&self) -> i64 {
        i64::from(self.period_secs) * 1000
    }

    /// How long after its end a period stays open for what is under way: a sixtieth of it, 1 to 15 s.
    fn grace_ms(&self) -> i64 {
        (self.period_ms() / 60).clamp(1_000, 15_000)
    }

    /// Says how far the memory of the run before reaches: roll-ups that start at or after `roll_ups_from` are all
    /// restored, readings that arrived at or after `readings_from` are all replayed. Call it before either.
    pub fn remember_from(&mut self, roll_ups_from: Wall, readings_from: Wall) {
        self.floor = Some(roll_ups_from);
        self.whole_from =
            Some(readings_from.plus_ms(-1).period_start(self.period_ms()).plus_ms(self.period_ms()));
    }

    fn series(&mut self, device: &DeviceId, point: &PointId) -> &mut Series {
        self.devices.entry(device.clone()).or_default().get_or_insert_with(point, Series::default)
    }

    /// Takes up a roll-up that was emitted before the restart.
    pub fn restore(&mut self, roll_up: &RollUp) {
        let end = roll_up.start.plus_ms(self.period_ms());
        let series = self.series(&roll_up.device, &roll_up.point);
        if roll_up.kind == PointKind::Counter {
            series.counting().stood(roll_up.start, roll_up.last);
        }
        series.make_room(roll_up.start);
        series.periods.insert(roll_up.start, Period::given(roll_up, end));
    }

    /// Takes up what a counter stood at in a roll-up that is too old to be restored.
    pub fn restore_counter(&mut self, standing: &Standing) {
        let series = self.series(&standing.device, &standing.point);
        series.counting().stood(standing.start, standing.last);
    }

    /// Takes up a reading stored before the restart; one whose period was emitted is in it already.
    pub fn replay(&mut self, device: &DeviceId, stamp: &Stamp, reading: &Reading, nature: Nature) {
        let start = stamp.effective().period_start(self.period_ms());
        let series = self.devices.get_mut(device).and_then(|points| points.get_mut(&reading.point));
        match series.filter(|series| series.periods.get(&start).is_some_and(|period| period.emitted)) {
            Some(series) if reading.kind == PointKind::Counter => {
                series.counting().replay(stamp.effective(), reading);
            }
            Some(_) => {}
            None if self.whole_from.is_none_or(|whole| start >= whole) => {
                self.add(device, stamp, reading, nature);
            }
            None => {}
        }
    }

    /// Adds a reading to its period, and says what it is to the count; `None` where there is no count, or the reading
    /// is too late for it.
    pub fn add(
        &mut self,
        device: &DeviceId,
        stamp: &Stamp,
        reading: &Reading,
        nature: Nature,
    ) -> Option<Counted> {
        let at = stamp.effective();
        // While our own clock is not set, no period can be named; the reading itself is stored all the same.
        let value = reading.good().or(countable(reading)).filter(|_| at.plausible())?;
        let start = at.period_start(self.period_ms());
        let (floor, period_ms) = (self.floor, self.period_ms());
        let series = self.series(device, &reading.point);
        // Periods ahead of our clock were made before it was set back; they must not push out the present.
        let horizon = stamp.gateway.plus_ms(period_ms);
        series.periods.retain(|start, period| *start <= horizon || !period.emitted);
        if let Some(counting) = &mut series.counting {
            counting.clock_set_back(horizon, at);
        }
        let full = series.periods.len() >= REVISABLE_PERIODS
            && series.periods.first().is_some_and(|(first, _)| start < *first);
        let newest = series.periods.iter().rev().map(|(start, _)| *start).find(|start| *start <= horizon);
        let old = newest.is_some_and(|newest| start < newest.plus_ms(-REVISABLE_SPAN * period_ms));
        let forgotten = floor.is_some_and(|floor| start < floor) && series.periods.get(&start).is_none();
        if full || old || forgotten {
            self.too_late = self.too_late.saturating_add(1);
            return None;
        }
        let counted = (reading.kind == PointKind::Counter).then(|| series.counting().next(at, value, nature));
        let growth = match counted {
            Some(Counted::Odd(_)) => return counted,
            // It was odd before the restart and is late now.
            _ if reading.good().is_none() => return None,
            Some(Counted::Grown(grown) | Counted::Anew { grown, .. }) => grown,
            None => 0.0,
        };
        series.make_room(start);
        let period = series.periods.get_or_insert_with(&start, || Period::new(reading, value));
        let sum = period.sum + value;
        if !sum.is_finite() {
            return counted;
        }
        period.count = period.count.saturating_add(1);
        period.sum = sum;
        period.min = period.min.min(value);
        period.max = period.max.max(value);
        period.grown += growth;
        if at >= period.last_at {
            period.last_at = at;
            period.last = value;
        }
        if !std::mem::replace(&mut period.due, true) {
            self.pending.insert((start, device.clone()));
        }
        counted
    }

    /// The roll-ups that are over by `now` and new or changed since they were last given, oldest first.
    pub fn close(&mut self, now: Wall) -> Vec<RollUp> {
        let not_over = now.plus_ms(1 - self.period_ms() - self.grace_ms());
        let mut closed = Vec::new();
        while let Some((start, device)) = self.pending.pop_first() {
            if start >= not_over {
                self.pending.insert((start, device));
                break;
            }
            for (point, series) in self.devices.get_mut(&device).into_iter().flat_map(Few::iter_mut) {
                let Some(period) = series.periods.get_mut(&start).filter(|period| period.due) else {
                    continue;
                };
                if period.emitted {
                    period.revision = period.revision.saturating_add(1);
                }
                (period.emitted, period.due) = (true, false);
                closed.push(period.roll_up(&device, point, start, self.period_secs));
            }
        }
        closed
    }

    /// Milliseconds until the next period is over.
    #[must_use]
    pub fn next_close_ms(&self, now: Wall) -> u64 {
        let since_grace = now.plus_ms(-self.grace_ms());
        let next = since_grace.period_start(self.period_ms()).plus_ms(self.period_ms());
        u64::try_from(next.since(since_grace)).unwrap_or(0)
    }
}

impl Series {
    fn counting(&mut self) -> &mut Counting {
        self.counting.get_or_insert_default()
    }

    /// Forgets the oldest periods that were given, so that there is room for one that starts then. Before it is put in,
    /// because a list that once held one more keeps that much memory.
    fn make_room(&mut self, start: Wall) {
        while self.periods.len() >= REVISABLE_PERIODS
            && self.periods.get(&start).is_none()
            && self.periods.first().is_some_and(|(_, period)| period.emitted)
        {
            self.periods.remove_first();
        }
    }
}

#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;

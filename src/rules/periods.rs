//! What rules of consumption have in common: amounts and rates of closed periods, windows of time, what happened in
//! comparable ones.
//!
//! Everything is reckoned in kilowatt-hours and kilowatts, or in cubic metres and cubic metres per hour, whatever the
//! point's own unit is, and shown in the unit that the technician wrote.

use super::World;
use super::hours::calendar;
use super::subject::{self, Subject};
use crate::calendar::{Calendar, Cycle, Period};
use crate::document::Reader;
use crate::model::{DeviceId, Now, PointId, PointKind, Quantity, RollUp, Text, Unit, Wall};
use crate::profile::Point;
use jiff::civil::Weekday;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A mean is judged when so much of its time was measured.
pub(super) const LEAST_COVER: f64 = 0.5;
/// Past windows are judged against at least so many comparable ones.
pub(super) const LEAST_COMPARED: usize = 3;
/// Periods of a point that a late value can still change.
const REVISABLE: usize = 8;
/// Windows that ended so long ago are not changed by late values any more, milliseconds.
const LATE_MS: i64 = 9 * 3_600_000;
/// Windows of a point kept at most: a clock that jumps about leaves some that never end.
const MOST_WINDOWS: usize = 16;
const HOUR_MS: f64 = 3_600_000.0;
const WHOLE_HOUR_MS: i64 = 3_600_000;
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// What is consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Medium {
    /// Kilowatt-hours and kilowatts.
    Energy,
    /// Cubic metres and cubic metres per hour.
    Volume,
}

impl Medium {
    fn of(unit: Unit) -> Option<Self> {
        match unit.quantity() {
            Quantity::ActivePower | Quantity::Energy => Some(Self::Energy),
            Quantity::Flow | Quantity::Volume => Some(Self::Volume),
            _ => None,
        }
    }

    pub(super) fn amount_unit(self) -> Unit {
        match self {
            Self::Energy => Unit::KilowattHour,
            Self::Volume => Unit::CubicMetre,
        }
    }

    pub(super) fn rate_unit(self) -> Unit {
        match self {
            Self::Energy => Unit::Kilowatt,
            Self::Volume => Unit::CubicMetrePerHour,
        }
    }
}

/// How much was consumed from one moment to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stretch {
    pub(super) start: Wall,
    pub(super) end: Wall,
    pub(super) amount: f64,
}

impl Stretch {
    pub(super) fn hours(&self) -> f64 {
        hours(self.end.since(self.start))
    }
}

/// Milliseconds as hours.
pub(super) fn hours(ms: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "spans of years are far below 2^53 ms")]
    let ms = ms as f64;
    ms / HOUR_MS
}

pub(super) fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// A count as a number to reckon with.
pub(super) fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

/// A point that measures consumption, as a rule follows it.
#[derive(Debug)]
pub(super) struct Metered {
    pub(super) subject: Subject,
    pub(super) point: PointId,
    pub(super) name: Text,
    pub(super) medium: Medium,
    /// How often there is a value.
    pub(super) every: Duration,
    /// The last periods of a counter, each with the moment from which on its growth is.
    known: VecDeque<(Wall, Wall)>,
    /// The end of the last of them.
    through: Option<Wall>,
}

impl Metered {
    /// A point that measures neither energy, power, volume nor flow is a problem.
    pub(super) fn new(reader: &Reader<'_>, subject: Subject, point: &Point, world: &World) -> Option<Self> {
        let medium = Medium::of(point.unit).filter(|_| point.kind != PointKind::State);
        if medium.is_none() {
            reader.problem(
                "point",
                (
                    format!("'{}' 的单位是 {}，不是用量", point.id, point.unit),
                    format!("'{}' measures {}, which is no consumption", point.id, point.unit),
                ),
                (
                    "选电能、有功功率、体积或流量的测点",
                    "choose a point of energy, active power, volume or flow",
                ),
            );
        }
        let poll = world.devices.get(&subject.device).map_or(Duration::from_secs(60), |of| of.poll);
        let every = poll.saturating_mul(u32::from(point.every)).max(Duration::from_millis(1));
        let (id, name) = (point.id.clone(), point.name.clone());
        Some(Self { subject, point: id, name, medium: medium?, every, known: VecDeque::new(), through: None })
    }

    pub(super) fn start(&mut self) {
        self.known.clear();
        self.through = None;
    }

    /// What a closed period says. `None` when too few values came in it, or when it cannot be said from when on a
    /// counter grew: after a silence its growth lies somewhere in all of it.
    pub(super) fn take(&mut self, now: Now, period: &RollUp) -> Option<Stretch> {
        let length_ms = i64::from(period.period_secs) * 1000;
        let (start, end) = (period.start, period.start.plus_ms(length_ms));
        // The clock was ahead and has been set back.
        if now.wall.plausible() && self.through.is_some_and(|through| through > now.wall.plus_ms(length_ms)) {
            self.start();
        }
        match period.kind {
            PointKind::Counter => {
                let amount = period.unit.convert(period.delta?, self.medium.amount_unit())?;
                let from = self.counted_from(start, end)?;
                Some(Stretch { start: from, end, amount })
            }
            PointKind::Gauge => {
                let wanted = Duration::from_secs(u64::from(period.period_secs)).as_secs_f64()
                    / self.every.as_secs_f64();
                if period.count == 0 || f64::from(period.count) < LEAST_COVER * wanted {
                    return None;
                }
                let mean = period.sum / f64::from(period.count);
                let rate = period.unit.convert(mean, self.medium.rate_unit())?;
                Some(Stretch { start, end, amount: rate * hours(length_ms) })
            }
            PointKind::State => None,
        }
    }

    fn counted_from(&mut self, start: Wall, end: Wall) -> Option<Wall> {
        if let Some((_, from)) = self.known.iter().find(|(known, _)| *known == start) {
            return Some(*from);
        }
        // Growth of a late period is in a later one already.
        let from = self.through.replace(self.through.map_or(end, |through| through.max(end)));
        let from = from.filter(|from| *from <= start)?;
        self.known.push_back((start, from));
        if self.known.len() > REVISABLE {
            self.known.pop_front();
        }
        Some(from)
    }
}

/// Reads the devices and `point`: each as [`Metered`].
pub(super) fn metered(reader: &Reader<'_>, world: &World) -> Vec<Metered> {
    let points = subject::points(reader, world);
    points.into_iter().filter_map(|(subject, point)| Metered::new(reader, subject, point, world)).collect()
}

/// Without those whose growth another of them counts already.
pub(super) fn counted_once(mut metered: Vec<Metered>, world: &World) -> Vec<Metered> {
    let all: BTreeSet<DeviceId> = metered.iter().map(|meter| meter.subject.device.clone()).collect();
    let within = |meter: &Metered| {
        world.sub_meters.above(meter.subject.device.as_str()).any(|main| all.contains(main))
    };
    metered.retain(|meter| !within(meter));
    metered
}

/// The points of some meters, as [`super::Rule::periods`] wants them.
pub(super) fn points<'m>(meters: impl Iterator<Item = &'m Metered>) -> Vec<(DeviceId, PointId)> {
    meters.map(|meter| (meter.subject.device.clone(), meter.point.clone())).collect()
}

/// A unit that a person chose for rates, or for amounts in windows of one length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    unit: Unit,
    /// One kilowatt or cubic metre per hour in `unit`.
    factor: f64,
}

impl Scale {
    /// A unit that does not fit is a problem.
    pub(super) fn new(reader: &Reader<'_>, unit: Unit, medium: Medium, window_hours: f64) -> Option<Self> {
        let factor = medium
            .rate_unit()
            .convert(1.0, unit)
            .or_else(|| medium.amount_unit().convert(window_hours, unit));
        if factor.is_none() {
            let (rate, amount) = (medium.rate_unit(), medium.amount_unit());
            reader.problem(
                "unit",
                (
                    format!("以 {unit} 为单位的限值与所测的量不符"),
                    format!("a limit in {unit} does not fit what is measured"),
                ),
                (
                    format!("写与 {rate} 或 {amount} 同类的单位"),
                    format!("write a unit of the quantity of {rate} or of {amount}"),
                ),
            );
        }
        Some(Self { unit, factor: factor? })
    }

    /// What was written, as a rate.
    pub(super) fn rate(&self, written: f64) -> f64 {
        written / self.factor
    }

    /// A rate, for people.
    pub(super) fn shown(&self, rate: f64) -> String {
        shown(rate * self.factor, self.unit)
    }
}

/// A mean or an estimate for people: four digits.
pub(super) fn shown(value: f64, unit: Unit) -> String {
    subject::shown(format!("{value:.3e}").parse().unwrap_or(value), unit)
}

/// Percent for people, whole.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// A local day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) start: Wall,
    pub(super) end: Wall,
    pub(super) weekday: Weekday,
    /// Some of it is teaching time.
    pub(super) teaching: bool,
}

impl Day {
    /// The hour, counted from its midnight, that holds a moment.
    pub(super) fn hour_of(&self, at: Wall) -> (Wall, Wall) {
        let start = self.start.plus_ms(at.since(self.start).div_euclid(WHOLE_HOUR_MS) * WHOLE_HOUR_MS);
        (start, start.plus_ms(WHOLE_HOUR_MS))
    }
}

/// The calendar's days; the last answer is kept, because periods come in order.
#[derive(Debug)]
pub(super) struct Days {
    pub(super) calendar: Arc<Calendar>,
    last: Option<Day>,
}

impl Days {
    pub(super) fn new(calendar: Arc<Calendar>) -> Self {
        Self { calendar, last: None }
    }

    /// The hour or the day that holds all of a stretch.
    pub(super) fn window(&mut self, hourly: bool, stretch: &Stretch) -> Option<(Wall, Wall)> {
        let day = self.at(stretch.start)?;
        let window = if hourly { day.hour_of(stretch.start) } else { (day.start, day.end) };
        (stretch.end <= window.1).then_some(window)
    }

    /// An hour or a day as people name it.
    pub(super) fn name(&self, hourly: bool, start: Wall) -> String {
        let day = self.calendar.day_name(start);
        if hourly { format!("{day} {}", self.calendar.clock_name(start)) } else { day }
    }

    pub(super) fn at(&mut self, at: Wall) -> Option<Day> {
        if self.last.is_none_or(|day| at < day.start || day.end <= at) {
            let (start, end) = self.calendar.cycle(Cycle::Day, at)?;
            let weekday = self.calendar.weekday_at(at)?;
            let teaching = self.calendar.is_taught((start, end));
            self.last = Some(Day { start, end, weekday, teaching });
        }
        self.last
    }
}

/// Hours of every night.
#[derive(Debug)]
pub(super) struct Nights {
    hours: Period,
    days: Days,
    /// The nights around a day.
    near: Option<(Day, Vec<(Wall, Wall)>)>,
}

impl Nights {
    /// Reads `hours` and `calendar`.
    pub(super) fn parse(reader: &Reader<'_>, default: &str, world: &World) -> Option<Self> {
        let advice = (
            "按 24 小时制写起止时间：\"23:00-05:00\"",
            "write from-to in 24-hour local time: \"23:00-05:00\"",
        );
        let hours = match reader.has("hours") {
            true => reader.parsed("hours", advice, Period::over_night),
            false => Period::over_night(default).ok(),
        };
        Some(Self { hours: hours?, days: Days::new(calendar(reader, world)), near: None })
    }

    /// The night that holds all of a stretch outside teaching time.
    pub(super) fn around(&mut self, stretch: &Stretch) -> Option<(Wall, Wall)> {
        let day = self.days.at(stretch.start)?;
        if self.near.as_ref().is_none_or(|(near, _)| *near != day) {
            let nights = self.days.calendar.daily(&[self.hours], stretch.start);
            self.near = Some((day, nights.into_iter().map(|(_, start, end)| (start, end)).collect()));
        }
        let nights = self.near.iter().flat_map(|(_, nights)| nights);
        let mut within = nights.filter(|(start, end)| *start <= stretch.start && stretch.end <= *end);
        let night = within.next().copied()?;
        let calendar = &self.days.calendar;
        (!calendar.is_taught((stretch.start, stretch.end))).then_some(night)
    }

    /// Whether the day on which a night begins is one of teaching.
    pub(super) fn teaching(&mut self, night: Wall) -> bool {
        self.days.at(night).is_some_and(|day| day.teaching)
    }

    /// A night as people name it.
    pub(super) fn name(&self, night: Wall) -> String {
        format!("{} {}", self.days.calendar.day_name(night), self.hours)
    }
}

/// What was measured in one window of time.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) start: Wall,
    pub(super) end: Wall,
    stretches: BTreeMap<Wall, Stretch>,
    /// Since it was last judged.
    changed: bool,
}

impl Window {
    /// Whether late values may still change it.
    fn is_near(&self, by: Wall) -> bool {
        let length = self.end.since(self.start);
        by.since(self.end).saturating_abs() <= length.saturating_add(LATE_MS)
    }

    pub(super) fn amount(&self) -> f64 {
        self.stretches.values().map(|stretch| stretch.amount).sum()
    }

    fn covered(&self) -> f64 {
        self.stretches.values().map(Stretch::hours).sum()
    }

    /// The share of it that was measured.
    pub(super) fn cover(&self) -> f64 {
        self.covered() / hours(self.end.since(self.start))
    }

    /// Its mean rate, when enough of it was measured.
    pub(super) fn mean(&self) -> Option<f64> {
        (self.cover() >= LEAST_COVER).then(|| self.amount() / self.covered())
    }

    /// The smallest mean rate of any unbroken run that is as long as `span` or as one stretch at least.
    pub(super) fn least(&self, span: Duration) -> Option<f64> {
        let stretches: Vec<&Stretch> = self.stretches.values().collect();
        let span = span.as_secs_f64() / 3600.0 - 1e-9;
        let mut least: Option<f64> = None;
        for (first, _) in stretches.iter().enumerate() {
            let (mut amount, mut covered, mut end) = (0.0, 0.0, None);
            for stretch in stretches.iter().skip(first) {
                if end.is_some_and(|end| end != stretch.start) {
                    break;
                }
                amount += stretch.amount;
                covered += stretch.hours();
                end = Some(stretch.end);
                if covered >= span {
                    let rate = amount / covered;
                    least = Some(least.map_or(rate, |least| least.min(rate)));
                    break;
                }
            }
        }
        least
    }
}

/// The last windows of one point.
#[derive(Debug, Default)]
pub(super) struct Windows {
    windows: VecDeque<Window>,
}

impl Windows {
    pub(super) fn clear(&mut self) {
        self.windows.clear();
    }

    /// Adds a stretch to its window, or puts it in the place of the one that it changes.
    pub(super) fn add(&mut self, (start, end): (Wall, Wall), stretch: Stretch) {
        let window = match self.windows.iter_mut().position(|window| window.start == start) {
            Some(index) => self.windows.get_mut(index),
            None => {
                let window = Window { start, end, stretches: BTreeMap::new(), changed: false };
                self.windows.push_back(window);
                if self.windows.len() > MOST_WINDOWS {
                    self.windows.pop_front();
                }
                self.windows.back_mut()
            }
        };
        if let Some(window) = window
            && window.stretches.insert(stretch.start, stretch) != Some(stretch)
        {
            window.changed = true;
        }
    }

    pub(super) fn get(&self, start: Wall) -> Option<&Window> {
        self.windows.iter().find(|window| window.start == start)
    }

    /// Forgets what late values cannot change any more, and what a clock that was ahead has left.
    pub(super) fn forget(&mut self, by: Wall) {
        self.windows.retain(|window| window.is_near(by));
    }

    /// The windows that are over at `by` and new or changed since they were last asked for, oldest first.
    /// Forgets as [`Windows::forget`], but nothing that was not asked for.
    pub(super) fn over(&mut self, by: Wall) -> Vec<&Window> {
        self.windows.retain(|window| window.changed || window.is_near(by));
        let over = self.windows.iter_mut().filter(|window| window.changed && window.end <= by);
        let mut over: Vec<&Window> = over
            .map(|window| {
                window.changed = false;
                &*window
            })
            .collect();
        over.sort_by_key(|window| window.start);
        over
    }
}

/// Outcomes of past windows, by what is comparable.
#[derive(Debug)]
pub(super) struct History<K> {
    outcomes: BTreeMap<K, BTreeMap<Wall, f64>>,
    most: usize,
}

impl<K: Ord> History<K> {
    /// Compares with `most` outcomes.
    pub(super) fn new(most: usize) -> Self {
        Self { outcomes: BTreeMap::new(), most }
    }

    pub(super) fn clear(&mut self) {
        self.outcomes.clear();
    }

    pub(super) fn note(&mut self, now: Now, kind: K, at: Wall, outcome: f64) {
        let outcomes = self.outcomes.entry(kind).or_default();
        if now.wall.plausible() {
            // What a clock that was ahead has left.
            outcomes.retain(|at, _| *at <= now.wall);
        }
        outcomes.insert(at, outcome);
        // One more than is compared with: a late value may change the last.
        while outcomes.len() > self.most.saturating_add(1) {
            outcomes.pop_first();
        }
    }

    /// The last outcomes before a moment, if there are enough to compare with.
    pub(super) fn before(&self, kind: &K, at: Wall) -> Option<Vec<f64>> {
        let outcomes = self.outcomes.get(kind)?;
        let last: Vec<f64> =
            outcomes.range(..at).rev().take(self.most).map(|(_, outcome)| *outcome).collect();
        let least = LEAST_COMPARED.max(self.most.div_ceil(2)).min(self.most);
        (last.len() >= least).then_some(last)
    }
}

/// How far back so many comparable days lie, holidays between them allowed for; at most so many days.
pub(super) fn looks_back(compared: usize, most_days: u32) -> Duration {
    let days = u32::try_from(compared).unwrap_or(u32::MAX).saturating_mul(3).saturating_add(10);
    DAY.saturating_mul(days.min(most_days))
}

/// The end of a closed period.
pub(super) fn end(period: &RollUp) -> Wall {
    period.start.plus_ms(i64::from(period.period_secs) * 1000)
}

pub(super) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / number(values.len()))
}

/// The middle value; of an even number the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    match sorted.len().is_multiple_of(2) {
        true => Some((sorted.get(middle - 1)? + upper) / 2.0),
        false => Some(upper),
    }
}

#[cfg(test)]
mod tests;

//! `sum`: how much a counter grew, or a power or flow came to, within a sliding window.

use super::band::{Band, Side};
use super::series::{Sample, Series};
use super::subject::{self, Header, Measured, Subject, shown};
use super::{Finding, Level, Rule, RuleKind, Watch, Watched, World};
use crate::document::Reader;
use crate::model::few::Few;
use crate::model::{
    AlarmClass, DeviceId, Mono, Now, Observation, PointId, PointKind, Priority, Quantity, RuleId, Unit, Wall,
};
use crate::profile::Point;
use std::collections::VecDeque;
use std::time::Duration;

/// What comes within a fiftieth of a window is taken for coming evenly.
const SLOTS: u32 = 50;
/// A power or flow is known between two readings if at most so many polls lie between them, and at least a minute.
const MOST_POLLS_APART: u32 = 3;
const LEAST_APART: Duration = Duration::from_secs(60);

pub(super) const KIND: RuleKind = RuleKind {
    name: "sum",
    doc: "The growth of a counter, or a power or flow over time, adds up to more or less than a limit within a sliding \
          window. What comes between two readings is spread evenly over the \
          time between them, so that what was counted during an outage does not count as a burst. A counter that was \
          exchanged or set back has not grown; a power is not known while readings are missing. That the sum is small \
          is said only when the whole window is known. While the device is silent nothing begins and nothing ends.",
    example: r#"devices = ["m1"]               # which devices; see "Which devices"
point = "power_total"          # a counter, a power, a flow or a current
above = 40.0                   # or below = …
unit = "kWh"                   # of the growth; of a power kWh, of a flow m3, of a current Ah …
window_secs = 3600             # 60 to a week
deadband = 5.0                 # ends at 35 kWh; 0 unless told otherwise
alarm_class = "energy"         # energy unless told otherwise
priority = "medium"            # medium unless told otherwise
"#,
    parse,
};

/// What came in each part of a window.
#[derive(Debug)]
struct Slots {
    slot_ms: i64,
    /// Number of the newest slot since 1970.
    newest: i64,
    /// Oldest first: always one more than [`SLOTS`], since the window begins within the oldest.
    amounts: VecDeque<f64>,
    /// How much of the oldest is in the window.
    share: f64,
}

impl Slots {
    fn new(within: Duration) -> Self {
        let slot_ms = i64::try_from(within.as_millis()).unwrap_or(i64::MAX) / i64::from(SLOTS);
        let amounts = (0..=SLOTS).map(|_| 0.0).collect();
        Self { slot_ms: slot_ms.max(1), newest: i64::MIN, amounts, share: 0.0 }
    }

    fn clear(&mut self) {
        self.newest = i64::MIN;
        self.amounts.iter_mut().for_each(|amount| *amount = 0.0);
    }

    /// Spreads an amount over the time after `from` and up to `to`.
    fn add(&mut self, from: Wall, to: Wall, amount: f64) {
        // The last millisecond counts, the one before the first does not.
        let newest = (to.0 - 1).div_euclid(self.slot_ms);
        if newest > self.newest {
            let steps = newest.saturating_sub(self.newest).min(i64::from(SLOTS) + 1);
            for _ in 0..steps {
                self.amounts.pop_front();
                self.amounts.push_back(0.0);
            }
            self.newest = newest;
        }
        let per_ms = amount / span(to.since(from));
        let mut end = to.0;
        let mut start = self.newest * self.slot_ms;
        self.share = 1.0 - span(end - start) / span(self.slot_ms);
        for slot in self.amounts.iter_mut().rev() {
            *slot += per_ms * span(end - start.max(from.0));
            if start <= from.0 {
                break;
            }
            end = start;
            start -= self.slot_ms;
        }
    }

    fn sum(&self) -> f64 {
        let oldest = self.amounts.front().map_or(0.0, |oldest| oldest * self.share);
        self.amounts.iter().skip(1).sum::<f64>() + oldest
    }
}

#[expect(clippy::cast_precision_loss, reason = "spans far below 2^53 ms")]
fn span(ms: i64) -> f64 {
    ms as f64
}

/// One point of one device.
#[derive(Debug)]
struct Watching {
    measured: Measured,
    /// Of the sum, in `unit`.
    band: Band,
    unit: Unit,
    /// Of a power: what one of it comes to in a millisecond, and how long it stays known.
    power: Option<(f64, i64)>,
    series: Series,
    slots: Slots,
    /// Since when everything is known.
    known_from: Option<Wall>,
    /// What was last said; nothing since the start.
    said: Option<bool>,
}

#[derive(Debug)]
struct Sum {
    header: Header,
    within: Duration,
    watching: Few<DeviceId, Watching>,
}

impl Rule for Sum {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.watching.iter().map(|(device, _)| device.clone()).collect())
    }

    fn points(&self) -> Vec<(DeviceId, PointId)> {
        self.watching.iter().map(|(device, of)| (device.clone(), of.measured.point.clone())).collect()
    }

    fn start(&mut self, _: Now) {
        for (_, watching) in self.watching.iter_mut() {
            watching.series.clear();
            watching.slots.clear();
            watching.known_from = None;
            watching.said = None;
        }
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        let Some(watching) = self.watching.get_mut(&seen.device) else { return };
        let Some(reading) = watching.measured.reading(seen) else { return };
        let Some(sample) = watching.series.take(now, &seen.stamp, reading) else { return };
        let known_ms = watching.add(sample);
        let sum = watching.slots.sum();
        // What is not known can only make it more.
        let whole = known_ms >= i64::try_from(self.within.as_millis()).unwrap_or(i64::MAX);
        let more = watching.band.side == Side::Above;
        let holds = watching.band.judge(sum).filter(|holds| whole || *holds == more);
        if let Some(holds) = holds.filter(|holds| watching.said != Some(*holds)) {
            watching.said = Some(holds);
            out.push(watching.says(&self.header, holds, sum, self.within));
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        None
    }

    fn expire(&mut self, _: Now, _: &mut Vec<Finding>) {}
}

impl Watching {
    /// Adds what came with a value; for how long everything is known, milliseconds.
    fn add(&mut self, sample: Sample) -> i64 {
        let Some((from, before)) = sample.before else {
            self.slots.clear();
            self.known_from = Some(sample.at);
            return 0;
        };
        match self.power {
            None => self.slots.add(from, sample.at, sample.value - before),
            Some((per_ms, most_ms)) => {
                let passed_ms = sample.at.since(from);
                let known = passed_ms <= most_ms;
                let amount =
                    if known { (before + sample.value) / 2.0 * per_ms * span(passed_ms) } else { 0.0 };
                self.slots.add(from, sample.at, amount);
                if !known {
                    self.known_from = Some(sample.at);
                }
            }
        }
        self.known_from.map_or(0, |from| sample.at.since(from))
    }

    fn says(&self, header: &Header, holds: bool, sum: f64, within: Duration) -> Finding {
        let secs = within.as_secs();
        let (level, zh, en) = match (holds, self.band.side) {
            (true, Side::Above) => (Level::Holds, "高于", "above"),
            (true, Side::Below) => (Level::Holds, "低于", "below"),
            (false, Side::Above) => (Level::Ended, "不再高于", "no longer above"),
            (false, Side::Below) => (Level::Ended, "不再低于", "no longer below"),
        };
        let (sum, limit) = (shown(sum, self.unit), shown(self.band.limit, self.unit));
        let name = &self.measured.name;
        let what = self.measured.subject.says(
            format!("{} {secs} 秒内累计 {sum}，{zh} {limit}", name.zh),
            format!("{}: {sum} in {secs} s, {en} {limit}", name.en),
        );
        header.finding(&self.measured.subject, level, what)
    }
}

/// What a unit comes to in an hour: the unit of the power or flow, and of the amount.
fn in_an_hour(unit: Unit) -> Option<(Unit, Unit)> {
    Some(match unit.quantity() {
        Quantity::ActivePower => (Unit::Kilowatt, Unit::KilowattHour),
        Quantity::ReactivePower => (Unit::Kilovar, Unit::KilovarHour),
        Quantity::ApparentPower => (Unit::KilovoltAmpere, Unit::KilovoltAmpereHour),
        Quantity::Current => (Unit::Ampere, Unit::AmpereHour),
        Quantity::Flow => (Unit::CubicMetrePerHour, Unit::CubicMetre),
        _ => return None,
    })
}

const MS_PER_HOUR: f64 = 3_600_000.0;

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let points = subject::points(reader, world);
    let (side, key) = Side::parse(reader);
    let limit = subject::limit(reader, key);
    let unit = subject::unit(reader);
    let within = subject::secs(reader, "window_secs", 60..=7 * 24 * 3600);
    let deadband = reader.number_opt("deadband", 0.0..=1e12).unwrap_or(0.0);
    let header = Header::parse(reader, id, AlarmClass::Energy, Priority::Medium);
    let (limit, unit, within) = (limit?, unit?, within?);
    let watch = |(subject, point): (Subject, &Point)| {
        let watched = world.devices.get(&subject.device)?;
        subject::polled_within(reader, "window_secs", (within, 1), watched, point);
        let watching =
            watching(reader, (side, key), (limit, deadband, unit), within, (subject, watched, point))?;
        Some((watching.measured.subject.device.clone(), watching))
    };
    let watching = points.into_iter().filter_map(watch).collect();
    let rule = Sum { header, within, watching };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

fn watching(
    reader: &Reader<'_>,
    (side, key): (Side, &'static str),
    (limit, deadband, unit): (f64, f64, Unit),
    within: Duration,
    (subject, watched, point): (Subject, &Watched, &Point),
) -> Option<Watching> {
    let hours = within.as_secs_f64() / 3600.0;
    let (sum_unit, power, range) = match (point.kind, in_an_hour(point.unit)) {
        (PointKind::Counter, _) => {
            let most = point.max_growth_per_hour.map_or(f64::INFINITY, |most| most * hours);
            (point.unit, None, Some((0.0, most)))
        }
        (PointKind::Gauge, Some((per_hour, amount))) => {
            let factor = point.unit.convert(1.0, per_hour)?;
            let poll = watched.poll.saturating_mul(u32::from(point.every));
            let apart = poll.saturating_mul(MOST_POLLS_APART).max(LEAST_APART);
            let apart_ms = i64::try_from(apart.as_millis()).unwrap_or(i64::MAX);
            let range = point.range.map(|(low, high)| (low * factor * hours, high * factor * hours));
            (amount, Some((factor / MS_PER_HOUR, apart_ms)), range)
        }
        (PointKind::Gauge | PointKind::State, _) => {
            reader.problem(
                "point",
                (format!("'{}' 的值不能累加", point.id), format!("values of '{}' do not add up", point.id)),
                ("选累计量、功率、流量或电流", "choose a counter, a power, a flow or a current"),
            );
            return None;
        }
    };
    let clear = subject::converted_to(reader, side.clear(limit, deadband), unit, sum_unit, point)?;
    let limit = subject::converted_to(reader, limit, unit, sum_unit, point)?;
    let band = Band { side, limit, clear };
    if !band.fits(reader, key, point.id.as_str(), range, sum_unit) {
        return None;
    }
    let (measured, series) = (Measured::new(subject, point), Series::new(point));
    let slots = Slots::new(within);
    Some(Watching { measured, band, unit: sum_unit, power, series, slots, known_from: None, said: None })
}

#[cfg(test)]
mod tests;

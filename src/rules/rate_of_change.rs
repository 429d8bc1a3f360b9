//! `rate_of_change`: a value rises or falls too fast.
//!
//! The rate is the slope of the straight line that fits the window's values best (least squares). The last value less
//! the first would be simpler, but hangs on two values alone: one slip of a probe would raise the alarm, and the last
//! digit of a coarse one would make it flutter.

use super::band::{Band, Side};
use super::series::{Sample, Series};
use super::subject::{self, Header, Measured, Subject, shown};
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::document::Reader;
use crate::model::few::Few;
use crate::model::{
    AlarmClass, DeviceId, Mono, Now, Observation, PointId, PointKind, Priority, RuleId, Text, Unit, Wall,
};
use crate::profile::Point;
use std::collections::VecDeque;
use std::time::Duration;

/// A window holds values at least a fiftieth of it apart, so one more than this at most.
const MOST_VALUES: u32 = 50;
/// Fewer values make no rate, and neither do values over less than half of the window.
const LEAST_VALUES: usize = 3;

pub(super) const KIND: RuleKind = RuleKind {
    name: "rate_of_change",
    doc: "A value rises or falls faster than a limit: by the straight line that fits the values of a sliding window \
          best, so that no single value decides. A counter rises by what it grows; exchanged or set back it has not \
          grown. At least three values over half of the window are needed. Doubted, absent and retained values do not \
          count, and while the device is silent nothing begins and nothing ends.",
    example: r#"class = "sensor"               # which devices; see "Which devices"
point = "temperature"
rise = 5.0                     # or fall = …: by so much within window_secs
unit = "°C"                    # any unit of the point's quantity
window_secs = 600              # 60 to a week
deadband = 1.0                 # ends at a rise of 4 °C; 0 unless told otherwise
alarm_class = "environment"    # equipment unless told otherwise
priority = "high"              # medium unless told otherwise
"#,
    parse,
};

/// One point of one device.
#[derive(Debug)]
struct Watching {
    measured: Measured,
    /// Of the change within a window, in the point's unit; a fall is a negative one.
    band: Band,
    series: Series,
    window: VecDeque<(Wall, f64)>,
    /// What was last said; nothing since the start.
    said: Option<bool>,
}

#[derive(Debug)]
struct RateOfChange {
    header: Header,
    within: Duration,
    watching: Few<DeviceId, Watching>,
}

impl Rule for RateOfChange {
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
            watching.window.clear();
            watching.said = None;
        }
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        let Some(watching) = self.watching.get_mut(&seen.device) else { return };
        let Some(reading) = watching.measured.reading(seen) else { return };
        let Some(sample) = watching.series.take(now, &seen.stamp, reading) else { return };
        let Some(change) = watching.change(sample, self.within) else { return };
        let holds = watching.band.judge(change).filter(|holds| watching.said != Some(*holds));
        if let Some(holds) = holds {
            watching.said = Some(holds);
            let (level, what) = watching.says(holds, change, self.within);
            out.push(self.header.finding(&watching.measured.subject, level, what));
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        None
    }

    fn expire(&mut self, _: Now, _: &mut Vec<Finding>) {}
}

impl Watching {
    /// Takes a value into the window; the change over it, if it is one for the window and enough of it is known.
    fn change(&mut self, sample: Sample, within: Duration) -> Option<f64> {
        let within_ms = i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
        if sample.before.is_none() {
            self.window.clear();
        }
        let apart = within_ms / i64::from(MOST_VALUES);
        if self.window.back().is_some_and(|(at, _)| sample.at.since(*at) < apart) {
            return None;
        }
        self.window.push_back((sample.at, sample.value));
        while self.window.front().is_some_and(|(at, _)| sample.at.since(*at) > within_ms) {
            self.window.pop_front();
        }
        let known_ms = self.window.front().map_or(0, |(at, _)| sample.at.since(*at));
        let enough = self.window.len() >= LEAST_VALUES && known_ms >= within_ms / 2;
        enough
            .then(|| slope(&self.window, sample.at) * seconds(within_ms))
            .filter(|change| change.is_finite())
    }

    fn says(&self, holds: bool, change: f64, within: Duration) -> (Level, Text) {
        let secs = within.as_secs();
        let (zh, en) = match self.band.side {
            Side::Above => ("上升", "rises"),
            Side::Below => ("下降", "falls"),
        };
        let (level, zh_limit, en_limit) = if holds {
            (Level::Holds, "超过", "more than")
        } else {
            (Level::Ended, "不再超过", "no longer more than")
        };
        let change = if self.band.side == Side::Above { change } else { -change };
        let (change, limit) =
            (shown(change, self.measured.unit), shown(self.band.limit.abs(), self.measured.unit));
        let name = &self.measured.name;
        let what = self.measured.subject.says(
            format!("{} {secs} 秒内{zh} {change}，{zh_limit} {limit}", name.zh),
            format!("{} {en} by {change} in {secs} s, {en_limit} {limit}", name.en),
        );
        (level, what)
    }
}

#[expect(clippy::cast_precision_loss, reason = "spans of days")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// How steep the straight line through values is, per second (least squares).
fn slope(values: &VecDeque<(Wall, f64)>, end: Wall) -> f64 {
    let (mut count, mut times, mut sum) = (0.0, 0.0, 0.0);
    for (at, value) in values {
        count += 1.0;
        times += seconds(at.since(end));
        sum += value;
    }
    // About their middle, where the least is lost by rounding.
    let (time, mean) = (times / count, sum / count);
    let (mut both, mut square) = (0.0, 0.0);
    for (at, value) in values {
        let from_middle = seconds(at.since(end)) - time;
        both += from_middle * (value - mean);
        square += from_middle * from_middle;
    }
    both / square
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let points = subject::points(reader, world);
    if reader.has("rise") && reader.has("fall") {
        reader.problem(
            "fall",
            ("规则有两个限值", "the rule has two limits"),
            ("rise 和 fall 各写一条规则", "write one rule for rise and one for fall"),
        );
    }
    let (side, key) = if reader.has("fall") { (Side::Below, "fall") } else { (Side::Above, "rise") };
    let limit = subject::limit(reader, key).filter(|limit| {
        let sound = *limit > 0.0;
        if !sound {
            reader.problem(
                key,
                ("这不是变化", "this is no change"),
                ("写变化多少，大于 0", "write by how much it changes, above 0"),
            );
        }
        sound
    });
    let unit = subject::unit(reader);
    let within = subject::secs(reader, "window_secs", 60..=7 * 24 * 3600);
    let deadband = reader.number_opt("deadband", 0.0..=1e12).unwrap_or(0.0);
    let header = Header::parse(reader, id, AlarmClass::Equipment, Priority::Medium);
    let (limit, unit, within) = (limit?, unit?, within?);
    if deadband > limit {
        reader.problem(
            "deadband",
            ("要等它反向变化报警才会结束", "the alarm would end only when it goes the other way"),
            ("不要大于限值", "write no more than the limit"),
        );
        return None;
    }
    let watch = |(subject, point): (Subject, &Point)| {
        let watched = world.devices.get(&subject.device)?;
        let band = band(reader, (side, key), (limit, deadband, unit), within, point)?;
        subject::polled_within(reader, "window_secs", (within, 2), watched, point);
        let device = subject.device.clone();
        let (measured, series) = (Measured::new(subject, point), Series::new(point));
        Some((device, Watching { measured, band, series, window: VecDeque::new(), said: None }))
    };
    let watching = points.into_iter().filter_map(watch).collect();
    let rule = RateOfChange { header, within, watching };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

/// The band of the change in the point's unit; a change that the point can never make is a problem.
fn band(
    reader: &Reader<'_>,
    (side, key): (Side, &str),
    (limit, deadband, unit): (f64, f64, Unit),
    within: Duration,
    point: &Point,
) -> Option<Band> {
    // Of a difference: where the scale begins is of no matter.
    let zero = subject::converted(reader, 0.0, unit, point)?;
    let difference = |value: f64| Some(unit.convert(value, point.unit)? - zero);
    let (limit, clear) = (difference(limit)?, difference(limit - deadband)?);
    let most = match point.kind {
        PointKind::Counter if side == Side::Below => {
            reader.problem(
                key,
                (
                    format!("'{}' 是累计量，不会下降", point.id),
                    format!("'{}' is a counter and never falls", point.id),
                ),
                ("写 rise", "write rise"),
            );
            return None;
        }
        PointKind::Counter => point.max_growth_per_hour.map(|most| most * within.as_secs_f64() / 3600.0),
        PointKind::Gauge | PointKind::State => point.range.map(|(low, high)| high - low),
    };
    let sound = Band { side: Side::Above, limit, clear };
    if !sound.fits(reader, key, point.id.as_str(), most.map(|most| (0.0, most)), point.unit) {
        return None;
    }
    Some(if side == Side::Above { sound } else { Band { side, limit: -limit, clear: -clear } })
}

#[cfg(test)]
mod tests;

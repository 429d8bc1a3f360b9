//! `threshold`: a value is above or below a limit for a while.

use super::subject::{self, Header, Measured};
use super::timers::Timers;
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::document::Reader;
use crate::model::{AlarmClass, Body, DeviceId, Mono, Now, Observation, PointId, Priority, RuleId, Unit};
use crate::profile::Point;
use std::collections::BTreeMap;
use std::time::Duration;

const MAX_DELAY_SECS: i64 = 7 * 24 * 3600;

pub(super) const KIND: RuleKind = RuleKind {
    name: "threshold",
    doc: "A value is above or below a limit, with a deadband and delays against flutter. Doubted, absent and \
          retained values neither raise nor clear.",
    example: r#"class = "energy-meter"         # which devices; see "Which devices"
point = "power_total"
above = 5.0                    # or below = …
unit = "kW"                    # any unit of the point's quantity
deadband = 0.2                 # clears at 4.8 kW; 0 unless told otherwise
on_delay_secs = 30             # above for this long raises; 0 unless told otherwise
off_delay_secs = 60            # back for this long clears; 0 unless told otherwise
alarm_class = "energy"         # equipment unless told otherwise
priority = "medium"            # medium unless told otherwise
"#,
    parse,
};

/// Which side of the limit is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Above,
    Below,
}

/// A limit and the value at which it is left again, in the point's unit.
#[derive(Debug, Clone, Copy)]
struct Band {
    side: Side,
    limit: f64,
    clear: f64,
}

impl Band {
    /// Whether the value is beyond the limit (`true`), back (`false`), or between the two.
    fn judge(&self, value: f64) -> Option<bool> {
        let (beyond, back) = match self.side {
            Side::Above => (value > self.limit, value <= self.clear),
            Side::Below => (value < self.limit, value >= self.clear),
        };
        if beyond { Some(true) } else { back.then_some(false) }
    }
}

/// One point of one device.
#[derive(Debug)]
struct Watching {
    measured: Measured,
    band: Band,
    value: f64,
    /// What was last said; nothing since the start.
    said: Option<bool>,
    /// What will be said when the delay is over.
    coming: Option<bool>,
}

#[derive(Debug)]
struct Threshold {
    header: Header,
    on_delay: Duration,
    off_delay: Duration,
    watching: BTreeMap<DeviceId, Watching>,
    timers: Timers<DeviceId>,
}

impl Rule for Threshold {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.watching.keys().cloned().collect())
    }

    fn points(&self) -> Vec<(DeviceId, PointId)> {
        self.watching.iter().map(|(device, of)| (device.clone(), of.measured.point.clone())).collect()
    }

    fn start(&mut self, _: Now) {
        self.timers.clear();
        for watching in self.watching.values_mut() {
            watching.said = None;
            watching.coming = None;
        }
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        let Body::Reading(reading) = &seen.body else { return };
        let Some(watching) = self.watching.get_mut(&seen.device) else { return };
        let Some(value) =
            reading.good().filter(|_| reading.point == watching.measured.point && !seen.retained)
        else {
            return;
        };
        watching.value = value;
        let next = watching.band.judge(value).filter(|holds| watching.said != Some(*holds));
        if next == watching.coming {
            return;
        }
        watching.coming = next;
        let delay = next.map(|holds| if holds { self.on_delay } else { self.off_delay });
        if delay == Some(Duration::ZERO) {
            self.timers.set(&seen.device, None);
            out.extend(watching.say(&self.header));
        } else {
            self.timers.set(&seen.device, delay.map(|delay| now.mono.plus(delay)));
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.timers.next()
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        for device in self.timers.take_due(now.mono) {
            out.extend(self.watching.get_mut(&device).and_then(|watching| watching.say(&self.header)));
        }
    }
}

impl Watching {
    fn say(&mut self, header: &Header) -> Option<Finding> {
        let holds = self.coming.take()?;
        self.said = Some(holds);
        let (level, zh, en) = match (holds, self.band.side) {
            (true, Side::Above) => (Level::Holds, "高于", "above"),
            (true, Side::Below) => (Level::Holds, "低于", "below"),
            (false, Side::Above) => (Level::Ended, "不再高于", "no longer above"),
            (false, Side::Below) => (Level::Ended, "不再低于", "no longer below"),
        };
        let what = self.measured.says(self.value, zh, en, self.band.limit);
        Some(header.finding(&self.measured.subject, level, what))
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let points = subject::points(reader, world);
    let (above, below) = (reader.has("above"), reader.has("below"));
    if above && below {
        reader.problem("below", "the rule has two limits", "write one rule for above and one for below");
    }
    let (side, key) = if below { (Side::Below, "below") } else { (Side::Above, "above") };
    let limit = subject::limit(reader, key);
    let unit = subject::unit(reader);
    let deadband = reader.number_opt("deadband", 0.0..=1e12).unwrap_or(0.0);
    let on_delay = subject::secs_opt(reader, "on_delay_secs", 0..=MAX_DELAY_SECS).unwrap_or_default();
    let off_delay = subject::secs_opt(reader, "off_delay_secs", 0..=MAX_DELAY_SECS).unwrap_or_default();
    let header = Header::parse(reader, id, AlarmClass::Equipment, Priority::Medium);
    let (limit, unit) = (limit?, unit?);
    let mut watching = BTreeMap::new();
    for (subject, point) in points {
        if let Some(band) = band(reader, (side, key), (limit, deadband, unit), point) {
            let measured = Measured::new(subject, point);
            let device = measured.subject.device.clone();
            watching.insert(device, Watching { measured, band, value: 0.0, said: None, coming: None });
        }
    }
    let rule = Threshold { header, on_delay, off_delay, watching, timers: Timers::new() };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

/// The band in the point's unit; one that the point's range can never enter or never leave is a problem.
fn band(
    reader: &Reader<'_>,
    (side, key): (Side, &str),
    (limit, deadband, unit): (f64, f64, Unit),
    point: &Point,
) -> Option<Band> {
    let clear = match side {
        Side::Above => limit - deadband,
        Side::Below => limit + deadband,
    };
    let limit = subject::converted(reader, limit, unit, point)?;
    let clear = subject::converted(reader, clear, unit, point)?;
    if let Some((low, high)) = point.range {
        let (never_enters, never_leaves) = match side {
            Side::Above => (limit >= high, clear < low),
            Side::Below => (limit <= low, clear > high),
        };
        let why = match (never_enters, never_leaves) {
            (true, _) => "can never be reached",
            (_, true) => "could never be left again (limit and deadband)",
            (false, false) => return Some(Band { side, limit, clear }),
        };
        reader.problem(
            key,
            format!("this limit of '{}' {why}", point.id),
            format!(
                "its values lie from {} to {}; set limit and deadband within",
                subject::shown(low, point.unit),
                subject::shown(high, point.unit)
            ),
        );
        return None;
    }
    Some(Band { side, limit, clear })
}

#[cfg(test)]
mod tests;

//! `threshold`: a value is above or below a limit for a while.

use super::band::{Band, Side};
use super::subject::{self, Header, Measured, Subject};
use super::timers::Timers;
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::document::Reader;
use crate::model::few::Few;
use crate::model::{AlarmClass, DeviceId, Mono, Now, Observation, PointId, Priority, RuleId, Unit};
use crate::profile::Point;
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

/// One point of one device.
#[derive(Debug)]
struct Watching {
    measured: Measured,
    /// In the point's unit.
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
    watching: Few<DeviceId, Watching>,
    timers: Timers<DeviceId>,
}

impl Rule for Threshold {
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
        self.timers.clear();
        for (_, watching) in self.watching.iter_mut() {
            watching.said = None;
            watching.coming = None;
        }
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        let Some(watching) = self.watching.get_mut(&seen.device) else { return };
        let Some(value) = watching.measured.value(seen) else { return };
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
    let (side, key) = Side::parse(reader);
    let limit = subject::limit(reader, key);
    let unit = subject::unit(reader);
    let deadband = reader.number_opt("deadband", 0.0..=1e12).unwrap_or(0.0);
    let on_delay = subject::secs_opt(reader, "on_delay_secs", 0..=MAX_DELAY_SECS).unwrap_or_default();
    let off_delay = subject::secs_opt(reader, "off_delay_secs", 0..=MAX_DELAY_SECS).unwrap_or_default();
    let header = Header::parse(reader, id, AlarmClass::Equipment, Priority::Medium);
    let (limit, unit) = (limit?, unit?);
    let watch = |(subject, point): (Subject, &Point)| {
        let band = band(reader, (side, key), (limit, deadband, unit), point)?;
        let device = subject.device.clone();
        let measured = Measured::new(subject, point);
        Some((device, Watching { measured, band, value: 0.0, said: None, coming: None }))
    };
    let watching = points.into_iter().filter_map(watch).collect();
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
    let clear = subject::converted(reader, side.clear(limit, deadband), unit, point)?;
    let limit = subject::converted(reader, limit, unit, point)?;
    let band = Band { side, limit, clear };
    band.fits(reader, key, point.id.as_str(), point.range, point.unit).then_some(band)
}

#[cfg(test)]
mod tests;

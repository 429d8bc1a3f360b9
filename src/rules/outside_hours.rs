//! `outside_hours`: a load runs while the calendar says that nobody is taught.

use super::hours::{self, Hours};
use super::subject::{self, Header, Measured};
use super::timers::Timers;
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::document::Reader;
use crate::model::{
    AlarmClass, Body, DeviceId, Link, Mono, Now, Observation, PointId, Priority, RuleId, Text,
};
use std::collections::BTreeMap;
use std::time::Duration;

const DEFAULT_FOR: Duration = Duration::from_secs(900);

pub(super) const KIND: RuleKind = RuleKind {
    name: "outside_hours",
    doc: "A load stays above a limit outside teaching time (section `[calendar]`). The bell counts as well as \
          readings: the alarm ends when teaching begins. While the gateway's clock is not set, nothing is judged.",
    example: r#"class = "energy-meter"         # which devices; see "Which devices"
point = "power_total"
above = 2.0
unit = "kW"                    # any unit of the point's quantity
for_secs = 900                 # this long outside teaching time; 900 unless told otherwise
calendar = "main"              # that of the devices' places unless told otherwise; see "Which calendar"
alarm_class = "energy"         # energy unless told otherwise
priority = "low"               # low unless told otherwise
"#,
    parse,
};

/// One point of one device.
#[derive(Debug)]
struct Watching {
    measured: Measured,
    /// In the point's unit.
    limit: f64,
    /// The last good value; forgotten when the device stops answering.
    value: Option<f64>,
    /// What was last said; nothing since the start.
    said: Option<bool>,
}

#[derive(Debug)]
struct OutsideHours {
    header: Header,
    hold: Duration,
    hours: Hours,
    watching: BTreeMap<DeviceId, Watching>,
    timers: Timers<DeviceId>,
}

impl Rule for OutsideHours {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.watching.keys().cloned().collect())
    }

    fn points(&self) -> Vec<(DeviceId, PointId)> {
        self.watching.iter().map(|(device, of)| (device.clone(), of.measured.point.clone())).collect()
    }

    fn start(&mut self, now: Now) {
        self.timers.clear();
        self.hours.start(now);
        for watching in self.watching.values_mut() {
            watching.value = None;
            watching.said = None;
        }
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        self.look(now, out);
        let Some(watching) = self.watching.get_mut(&seen.device) else { return };
        match &seen.body {
            Body::Reading(reading) if reading.point == watching.measured.point && !seen.retained => {
                let Some(value) = reading.good() else { return };
                watching.value = Some(value);
            }
            Body::Link(Link::Down(_)) => watching.value = None,
            Body::Reading(_) | Body::Event(_) | Body::Link(Link::Up) => return,
        }
        let device = seen.device.clone();
        self.judge(&device, now, out);
    }

    fn never(&self) -> Option<Text> {
        self.hours.never(false, self.hold)
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.timers.next().into_iter().chain(self.hours.deadline()).min()
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        // In the order in which they were due: a call that comes late must not let the bell undo an earlier timer.
        let end = now.mono.plus(Duration::from_millis(1));
        self.expire_before(self.hours.bell().map_or(end, |bell| bell.min(end)), out);
        if self.hours.deadline().is_some_and(|at| at <= now.mono) {
            self.look(now, out);
        }
        self.expire_before(end, out);
    }
}

impl OutsideHours {
    fn expire_before(&mut self, end: Mono, out: &mut Vec<Finding>) {
        while self.timers.next().is_some_and(|at| at < end) {
            let watching = self.timers.pop().and_then(|device| self.watching.get_mut(&device));
            out.extend(watching.and_then(|watching| watching.say(&self.header, true)));
        }
    }

    /// Asks the calendar, and judges every device again when its answer has changed.
    fn look(&mut self, now: Now, out: &mut Vec<Finding>) {
        if self.hours.look(now) {
            let all: Vec<DeviceId> = self.watching.keys().cloned().collect();
            for device in all {
                self.judge(&device, now, out);
            }
        }
    }

    fn judge(&mut self, device: &DeviceId, now: Now, out: &mut Vec<Finding>) {
        let Some(watching) = self.watching.get_mut(device) else { return };
        let holds = match self.hours.outside() {
            Some(true) => watching.value.map(|value| value > watching.limit),
            other => other,
        };
        match holds {
            Some(true) if watching.said == Some(true) => {}
            Some(true) if self.timers.is_set(device) => {}
            Some(true) => self.timers.set(device, Some(now.mono.plus(self.hold))),
            Some(false) => {
                self.timers.set(device, None);
                out.extend(watching.say(&self.header, false));
            }
            None => self.timers.set(device, None),
        }
    }
}

impl Watching {
    fn say(&mut self, header: &Header, holds: bool) -> Option<Finding> {
        if self.said == Some(holds) {
            return None;
        }
        self.said = Some(holds);
        let what = match (holds, self.value) {
            (true, Some(value)) => {
                self.measured.says(value, "非教学时间高于", "outside teaching time above", self.limit)
            }
            _ => self.measured.subject.says("非教学时间用电已结束", "the load outside teaching time is over"),
        };
        let level = if holds { Level::Holds } else { Level::Ended };
        Some(header.finding(&self.measured.subject, level, what))
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let points = subject::points(reader, world);
    let limit = subject::limit(reader, "above");
    let unit = subject::unit(reader);
    let hold = subject::secs_opt(reader, "for_secs", 0..=24 * 3600).unwrap_or(DEFAULT_FOR);
    let calendar = hours::calendar(reader, world);
    let header = Header::parse(reader, id, AlarmClass::Energy, Priority::Low);
    let (limit, unit) = (limit?, unit?);
    let mut watching = BTreeMap::new();
    for (subject, point) in points {
        let Some(limit) = subject::converted(reader, limit, unit, point) else { continue };
        if let Some((low, high)) = point.range
            && limit >= high
        {
            let (low, high) = (subject::shown(low, point.unit), subject::shown(high, point.unit));
            reader.problem(
                "above",
                (
                    format!("'{}' 永远达不到这个限值", point.id),
                    format!("this limit of '{}' can never be reached", point.id),
                ),
                (
                    format!("它的值在 {low} 到 {high} 之间，限值要在其中"),
                    format!("its values lie from {low} to {high}; set the limit within"),
                ),
            );
        }
        let measured = Measured::new(subject, point);
        let device = measured.subject.device.clone();
        watching.insert(device, Watching { measured, limit, value: None, said: None });
    }
    let hours = Hours::new(calendar);
    let rule = OutsideHours { header, hold, hours, watching, timers: Timers::new() };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

#[cfg(test)]
mod tests;

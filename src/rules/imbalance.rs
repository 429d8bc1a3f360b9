//! `imbalance`: one of three phases carries much more than the others.

use super::periods::{percent, shown};
use super::subject::{self, Header, Subject};
use super::together::{Lasting, Together};
use super::{Finding, Level, Rule, RuleKind, Watch, Watched, World};
use crate::document::Reader;
use crate::model::{
    AlarmClass, Body, DeviceId, Link, Mono, Now, Observation, PointId, Priority, RuleId, Text, Unit,
};
use crate::profile::Point;
use std::collections::BTreeMap;
use std::time::Duration;

const FOR_SECS: u64 = 600;
const PHASES: usize = 3;
/// With one phase of three alone, the largest is 200 % above the mean.
const MOST_PERCENT: f64 = 200.0;

pub(super) const KIND: RuleKind = RuleKind {
    name: "imbalance",
    doc: "The largest of three currents (or voltages) of a device lies more than a share above their mean for a while. \
          Below a least mean nothing is out of balance. The three values must be of the same poll; doubted, absent and \
          retained values neither raise nor clear, and a device that is not heard waits anew.",
    example: r#"devices = ["p1"]
points = ["current_a", "current_b", "current_c"]
above_percent = 25             # (largest - mean) / mean
deadband_percent = 5           # clears at 20 %; 0 unless told otherwise
least = 20.0                   # mean of the three below which nothing is judged out of balance
unit = "A"                     # of least
for_secs = 600                 # 600 unless told otherwise
alarm_class = "energy"         # energy unless told otherwise
priority = "low"               # low unless told otherwise
"#,
    parse,
};

#[derive(Debug)]
struct Watching {
    subject: Subject,
    phases: Together,
    /// In the unit of the points.
    least: f64,
    unit: Unit,
    /// The last values.
    values: Vec<f64>,
}

#[derive(Debug)]
struct Imbalance {
    header: Header,
    points: Vec<PointId>,
    above: f64,
    clear: f64,
    watching: BTreeMap<DeviceId, Watching>,
    lasting: Lasting,
}

impl Rule for Imbalance {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.watching.keys().cloned().collect())
    }

    fn points(&self) -> Vec<(DeviceId, PointId)> {
        let of =
            |device: &DeviceId| self.points.iter().map(|point| (device.clone(), point.clone())).collect();
        self.watching.keys().flat_map(|device| -> Vec<_> { of(device) }).collect()
    }

    fn start(&mut self, _: Now) {
        self.lasting.clear();
        self.watching.values_mut().for_each(|watching| watching.phases.clear());
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        let Some(watching) = self.watching.get_mut(&seen.device) else { return };
        match &seen.body {
            Body::Link(Link::Down(_)) => {
                watching.phases.clear();
                self.lasting.unheard(&seen.device);
            }
            Body::Reading(reading) if !seen.retained => {
                let Some(values) = watching.phases.take(now.mono, reading) else { return };
                let share = imbalance(&values, watching.least);
                watching.values = values;
                let holds =
                    if share > self.above { Some(true) } else { (share <= self.clear).then_some(false) };
                let said = self.lasting.judge(&seen.device, holds, now);
                out.extend(said.map(|holds| watching.says(&self.header, holds)));
            }
            Body::Reading(_) | Body::Event(_) | Body::Link(Link::Up) => {}
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.lasting.next()
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        for (device, holds) in self.lasting.due(now) {
            out.extend(self.watching.get(&device).map(|watching| watching.says(&self.header, holds)));
        }
    }
}

/// By how much the largest lies above the mean, as a share of it; none where they are all small.
fn imbalance(values: &[f64], least: f64) -> f64 {
    let largest = values.iter().map(|value| value.abs()).fold(0.0, f64::max);
    let mean = values.iter().map(|value| value.abs()).sum::<f64>() / super::periods::number(values.len());
    if mean > 0.0 && mean >= least { (largest - mean) / mean } else { 0.0 }
}

impl Watching {
    fn says(&self, header: &Header, holds: bool) -> Finding {
        let values: Vec<String> = self.values.iter().map(|value| shown(*value, self.unit)).collect();
        let (values, share) = (values.join(" / "), percent(imbalance(&self.values, self.least)));
        let (level, zh, en) = match holds {
            true => (Level::Holds, "三相不平衡", "phases out of balance"),
            false => (Level::Ended, "三相恢复平衡", "phases in balance"),
        };
        let what: Text =
            self.subject.says(format!("{zh} {share}（{values}）"), format!("{en}: {share} ({values})"));
        header.finding(&self.subject, level, what)
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let devices = subject::devices(reader, world);
    let names = reader.texts("points");
    if names.len() != PHASES {
        let advice = "write the points of the three phases: [\"current_a\", \"current_b\", \"current_c\"]";
        reader.problem("points", format!("there are {} points", names.len()), advice);
    }
    let above = reader.number("above_percent", 1.0..=MOST_PERCENT - 1.0);
    let deadband = reader.number_opt("deadband_percent", 0.0..=MOST_PERCENT).unwrap_or(0.0);
    let least = reader.number("least", 0.0..=1e9);
    let unit = subject::unit(reader);
    let lasts = subject::secs_opt(reader, "for_secs", 0..=24 * 3600).unwrap_or(Duration::from_secs(FOR_SECS));
    let header = Header::parse(reader, id, AlarmClass::Energy, Priority::Low);
    if above.is_some_and(|above| above - deadband < 0.0) {
        reader.problem(
            "deadband_percent",
            "the limit could never be left again",
            "write less than above_percent",
        );
    }
    let (above, least, unit) = (above?, least?, unit?);
    let mut watching = BTreeMap::new();
    let mut points = Vec::new();
    for (subject, watched) in devices {
        let Some(found) = phases(reader, &names, watched) else { continue };
        let converted: Option<Vec<f64>> =
            found.iter().map(|point| subject::converted(reader, least, unit, point)).collect();
        let (Some(converted), Some(first)) = (converted, found.first()) else { continue };
        let Some(least) = converted.first().copied() else { continue };
        if found.iter().any(|point| point.unit != first.unit) {
            reader.problem("points", "they are not of one unit", "choose three points of one quantity");
        }
        points = found.iter().map(|point| point.id.clone()).collect();
        let slowest = found.iter().map(|point| point.every).max().unwrap_or(1);
        let phases = Together::new(points.clone(), watched.poll.saturating_mul(u32::from(slowest)));
        let (unit, values) = (first.unit, Vec::new());
        watching.insert(subject.device.clone(), Watching { subject, phases, least, unit, values });
    }
    let (above, clear) = (above / 100.0, (above - deadband) / 100.0);
    let rule = Imbalance { header, points, above, clear, watching, lasting: Lasting::new(lasts, lasts) };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

/// The named points of a device; one that is missing is a problem.
fn phases<'w>(
    reader: &Reader<'_>,
    names: &[(String, crate::document::Spot)],
    watched: &'w Watched,
) -> Option<Vec<&'w Point>> {
    let profile = &watched.profile;
    let mut found = Vec::new();
    for (name, spot) in names {
        match profile.point(name) {
            Some(point) => found.push(point),
            None => reader.problems().at(
                spot,
                format!("the profile '{}' has no point '{name}'", profile.id),
                subject::known("points", profile.points.iter().map(|point| &point.id)),
            ),
        }
    }
    (found.len() == names.len()).then_some(found)
}

#[cfg(test)]
mod tests;

//! `power_factor`: too much reactive power while there is a load worth speaking of.

use super::periods::shown;
use super::subject::{self, Header, Subject};
use super::together::{Lasting, Together};
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::document::Reader;
use crate::model::{
    AlarmClass, Body, DeviceId, Link, Mono, Now, Observation, PointId, Priority, RuleId, Unit,
};
use std::collections::BTreeMap;
use std::time::Duration;

const FOR_SECS: u64 = 900;
const POINT: &str = "power_factor";
const LOAD_POINT: &str = "power_total";

pub(super) const KIND: RuleKind = RuleKind {
    name: "power_factor",
    doc: "The power factor stays below a limit for a while, with active power above a least load; below the load \
          nothing is wrong. Signs do not count: capacitive is as bad as inductive. Both values must be of the same \
          poll; doubted, absent and retained values neither raise nor clear, and a device that is not heard waits \
          anew.",
    example: r#"devices = ["p1"]
point = "power_factor"         # power_factor unless told otherwise
below = 0.9
deadband = 0.02                # clears at 0.92; 0 unless told otherwise
load_point = "power_total"     # power_total unless told otherwise
least = 5.0                    # load below which nothing is judged
unit = "kW"                    # of least
for_secs = 900                 # 900 unless told otherwise
alarm_class = "energy"         # energy unless told otherwise
priority = "low"               # low unless told otherwise
"#,
    parse,
};

#[derive(Debug)]
struct Watching {
    subject: Subject,
    /// The factor and the load.
    both: Together,
    points: [PointId; 2],
    /// What makes a factor from 0 to 1 of the first value.
    scale: f64,
    /// In the unit of the load.
    least: f64,
    load_unit: Unit,
    /// The last values.
    factor: f64,
    load: f64,
}

#[derive(Debug)]
struct PowerFactor {
    header: Header,
    below: f64,
    clear: f64,
    watching: BTreeMap<DeviceId, Watching>,
    lasting: Lasting,
}

impl Rule for PowerFactor {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.watching.keys().cloned().collect())
    }

    fn points(&self) -> Vec<(DeviceId, PointId)> {
        let points = self.watching.iter();
        points
            .flat_map(|(device, of)| of.points.iter().map(|point| (device.clone(), point.clone())))
            .collect()
    }

    fn start(&mut self, _: Now) {
        self.lasting.clear();
        self.watching.values_mut().for_each(|watching| watching.both.clear());
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        let Some(watching) = self.watching.get_mut(&seen.device) else { return };
        match &seen.body {
            Body::Link(Link::Down(_)) => {
                watching.both.clear();
                self.lasting.unheard(&seen.device);
            }
            Body::Reading(reading) if !seen.retained => {
                let Some(both) = watching.both.take(now.mono, reading) else { return };
                let &[factor, load] = both.as_slice() else { return };
                (watching.factor, watching.load) = ((factor * watching.scale).abs(), load);
                let holds = match watching.factor {
                    _ if load.abs() < watching.least => Some(false),
                    factor if factor < self.below => Some(true),
                    factor => (factor >= self.clear).then_some(false),
                };
                let said = self.lasting.judge(&seen.device, holds, now);
                out.extend(said.map(|holds| watching.says(&self.header, holds, self.below)));
            }
            Body::Reading(_) | Body::Event(_) | Body::Link(Link::Up) => {}
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.lasting.next()
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        for (device, holds) in self.lasting.due(now) {
            let watching = self.watching.get(&device);
            out.extend(watching.map(|watching| watching.says(&self.header, holds, self.below)));
        }
    }
}

impl Watching {
    fn says(&self, header: &Header, holds: bool, below: f64) -> Finding {
        let (factor, load) = (shown(self.factor, Unit::One), shown(self.load, self.load_unit));
        let (level, zh, en) = match holds {
            true => (Level::Holds, "低于", "below"),
            false => (Level::Ended, "不再低于", "no longer below"),
        };
        let what = self.subject.says(
            format!("功率因数 {factor}，{zh} {below}，有功功率 {load}"),
            format!("power factor {factor}, {en} {below}, active power {load}"),
        );
        header.finding(&self.subject, level, what)
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let devices = subject::devices(reader, world);
    let [point, load_point] = [("point", POINT), ("load_point", LOAD_POINT)]
        .map(|(key, default)| (key, reader.text_opt(key).unwrap_or_else(|| default.to_owned())));
    let below = reader.number("below", 0.01..=1.0);
    let deadband = reader.number_opt("deadband", 0.0..=1.0).unwrap_or(0.0);
    let least = reader.number("least", 0.0..=1e12);
    let unit = subject::unit(reader);
    let lasts = subject::secs_opt(reader, "for_secs", 0..=24 * 3600).unwrap_or(Duration::from_secs(FOR_SECS));
    let header = Header::parse(reader, id, AlarmClass::Energy, Priority::Low);
    if below.is_some_and(|below| below + deadband > 1.0) {
        reader.problem(
            "below",
            "the limit could never be left again",
            "limit and deadband together are 1 at most",
        );
    }
    let (below, least, unit) = (below?, least?, unit?);
    let mut watching = BTreeMap::new();
    for (subject, watched) in devices {
        let found = [&point, &load_point].map(|(key, name)| subject::point(reader, key, name, watched));
        let [Some(factor), Some(load)] = found else { continue };
        let scale = match factor.unit {
            Unit::One => 1.0,
            Unit::Percent => 0.01,
            other => {
                let advice = "choose a point in 1 or in %";
                reader.problem("point", format!("'{}' in {other} is no power factor", factor.id), advice);
                continue;
            }
        };
        let Some(least) = subject::converted(reader, least, unit, load) else { continue };
        let points = [factor.id.clone(), load.id.clone()];
        let every = watched.poll.saturating_mul(u32::from(factor.every.max(load.every)));
        let both = Together::new(points.to_vec(), every);
        let (load_unit, device) = (load.unit, subject.device.clone());
        let of = Watching { subject, both, points, scale, least, load_unit, factor: 0.0, load: 0.0 };
        watching.insert(device, of);
    }
    let rule =
        PowerFactor { header, below, clear: below + deadband, watching, lasting: Lasting::new(lasts, lasts) };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

#[cfg(test)]
mod tests;

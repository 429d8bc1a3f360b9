//! `power_factor`: too much reactive power while there is a load worth speaking of.

use super::periods::shown;
use super::subject::{self, Header, Subject};
use super::together::{AtOnce, Judged, Together};
use super::{Rule, RuleKind, World};
use crate::document::Reader;
use crate::model::{AlarmClass, Priority, RuleId, Text, Unit};
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
struct Factor {
    subject: Subject,
    below: f64,
    clear: f64,
    /// What makes a factor from 0 to 1 of the first value.
    scale: f64,
    /// In the unit of the load.
    least: f64,
    load_unit: Unit,
    /// The last values.
    factor: f64,
    load: f64,
}

impl Judged for Factor {
    fn subject(&self) -> &Subject {
        &self.subject
    }

    fn take(&mut self, values: &[f64]) -> Option<bool> {
        let &[factor, load] = values else { return None };
        (self.factor, self.load) = ((factor * self.scale).abs(), load);
        match self.factor {
            _ if load.abs() < self.least => Some(false),
            factor if factor < self.below => Some(true),
            factor => (factor >= self.clear).then_some(false),
        }
    }

    fn says(&self, holds: bool) -> Text {
        let (factor, load) = (shown(self.factor, Unit::One), shown(self.load, self.load_unit));
        let (zh, en) = if holds { ("低于", "below") } else { ("不再低于", "no longer below") };
        let below = self.below;
        self.subject.says(
            format!("功率因数 {factor}，{zh} {below}，有功功率 {load}"),
            format!("power factor {factor}, {en} {below}, active power {load}"),
        )
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
            ("报警后永远回不到限值以内", "the limit could never be left again"),
            ("限值加回差最大为 1", "limit and deadband together are 1 at most"),
        );
    }
    let (below, least, unit) = (below?, least?, unit?);
    let mut watching = Vec::new();
    for (subject, watched) in devices {
        let found = [&point, &load_point].map(|(key, name)| subject::point(reader, key, name, watched));
        let [Some(factor), Some(load)] = found else { continue };
        let scale = match factor.unit {
            Unit::One => 1.0,
            Unit::Percent => 0.01,
            other => {
                let advice = ("选单位为 1 或 % 的测点", "choose a point in 1 or in %");
                reader.problem(
                    "point",
                    (
                        format!("'{}' 的单位是 {other}，不是功率因数", factor.id),
                        format!("'{}' in {other} is no power factor", factor.id),
                    ),
                    advice,
                );
                continue;
            }
        };
        let Some(least) = subject::converted(reader, least, unit, load) else { continue };
        let points = vec![factor.id.clone(), load.id.clone()];
        let every = watched.poll.saturating_mul(u32::from(factor.every.max(load.every)));
        let (load_unit, clear) = (load.unit, below + deadband);
        let of = Factor { subject, below, clear, scale, least, load_unit, factor: 0.0, load: 0.0 };
        watching.push((Together::new(points, every), of));
    }
    let rule = AtOnce::new(header, watching, lasts);
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

#[cfg(test)]
mod tests;

//! `imbalance`: one of three phases carries much more than the others.

use super::periods::{percent, shown};
use super::subject::{self, Header, Subject};
use super::together::{AtOnce, Judged, Together};
use super::{Rule, RuleKind, Watched, World};
use crate::document::Reader;
use crate::model::{AlarmClass, Priority, RuleId, Text, Unit};
use crate::profile::Point;
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
struct Phases {
    subject: Subject,
    above: f64,
    clear: f64,
    /// In the unit of the points.
    least: f64,
    unit: Unit,
    /// The last values.
    values: Vec<f64>,
}

/// By how much the largest lies above the mean, as a share of it; none where they are all small.
fn imbalance(values: &[f64], least: f64) -> f64 {
    let largest = values.iter().map(|value| value.abs()).fold(0.0, f64::max);
    let mean = values.iter().map(|value| value.abs()).sum::<f64>() / super::periods::number(values.len());
    if mean > 0.0 && mean >= least { (largest - mean) / mean } else { 0.0 }
}

impl Judged for Phases {
    fn subject(&self) -> &Subject {
        &self.subject
    }

    fn take(&mut self, values: &[f64]) -> Option<bool> {
        self.values = values.to_vec();
        let share = imbalance(values, self.least);
        if share > self.above { Some(true) } else { (share <= self.clear).then_some(false) }
    }

    fn says(&self, holds: bool) -> Text {
        let values: Vec<String> = self.values.iter().map(|value| shown(*value, self.unit)).collect();
        let (values, share) = (values.join(" / "), percent(imbalance(&self.values, self.least)));
        let (zh, en) = match holds {
            true => ("三相不平衡", "phases out of balance"),
            false => ("三相恢复平衡", "phases in balance"),
        };
        self.subject.says(format!("{zh} {share}（{values}）"), format!("{en}: {share} ({values})"))
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let devices = subject::devices(reader, world);
    let names = reader.texts("points");
    if names.len() != PHASES {
        let advice = (
            "写三相的测点：[\"current_a\", \"current_b\", \"current_c\"]",
            "write the points of the three phases: [\"current_a\", \"current_b\", \"current_c\"]",
        );
        reader.problem(
            "points",
            (format!("写了 {} 个测点", names.len()), format!("there are {} points", names.len())),
            advice,
        );
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
            ("报警后永远回不到限值以内", "the limit could never be left again"),
            ("写小于 above_percent 的数", "write less than above_percent"),
        );
    }
    let (above, least, unit) = (above?, least?, unit?);
    let (above, clear) = (above / 100.0, (above - deadband) / 100.0);
    let mut watching = Vec::new();
    for (subject, watched) in devices {
        let Some(found) = phases(reader, &names, watched) else { continue };
        let converted: Option<Vec<f64>> =
            found.iter().map(|point| subject::converted(reader, least, unit, point)).collect();
        let (Some(converted), Some(first)) = (converted, found.first()) else { continue };
        let Some(least) = converted.first().copied() else { continue };
        if found.iter().any(|point| point.unit != first.unit) {
            reader.problem(
                "points",
                ("它们的单位不一样", "they are not of one unit"),
                ("选同一种量的三个测点", "choose three points of one quantity"),
            );
        }
        let points = found.iter().map(|point| point.id.clone()).collect();
        let slowest = found.iter().map(|point| point.every).max().unwrap_or(1);
        let together = Together::new(points, watched.poll.saturating_mul(u32::from(slowest)));
        let (unit, values) = (first.unit, Vec::new());
        watching.push((together, Phases { subject, above, clear, least, unit, values }));
    }
    let rule = AtOnce::new(header, watching, lasts);
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
                (
                    format!("模板 '{}' 没有测点 '{name}'", profile.id),
                    format!("the profile '{}' has no point '{name}'", profile.id),
                ),
                subject::known(("测点", "points"), profile.points.iter().map(|point| &point.id)),
            ),
        }
    }
    (found.len() == names.len()).then_some(found)
}

#[cfg(test)]
mod tests;

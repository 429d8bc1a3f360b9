//! Rules to begin with: those of `deploy/rules` that judge a value which the chosen devices have.

use crate::calendar::Calendar;
use crate::document::{Document, Problems};
use crate::model::{DeviceId, PlaceId, SubMeters, Text};
use crate::profile::Profile;
use crate::rules::{RULE_KINDS, Watched, World, says};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The files, as they are handed out.
const FILES: [&str; 10] = [
    include_str!("../../../deploy/rules/batteries.toml"),
    include_str!("../../../deploy/rules/cameras.toml"),
    include_str!("../../../deploy/rules/classroom.toml"),
    include_str!("../../../deploy/rules/doors.toml"),
    include_str!("../../../deploy/rules/dormitory.toml"),
    include_str!("../../../deploy/rules/energy.toml"),
    include_str!("../../../deploy/rules/kitchen.toml"),
    include_str!("../../../deploy/rules/machine-room.toml"),
    include_str!("../../../deploy/rules/panels.toml"),
    include_str!("../../../deploy/rules/water.toml"),
];
/// Kinds whose rules need a point of a device and nothing else of the school.
const KINDS: [&str; 2] = ["threshold", "rate_of_change"];
/// What such a rule may say.
const PLAIN: [&str; 13] = [
    "id",
    "kind",
    "devices",
    "point",
    "above",
    "below",
    "unit",
    "deadband",
    "on_delay_secs",
    "off_delay_secs",
    "alarm_class",
    "priority",
    "doc",
];

/// A rule that fits.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Fitted {
    id: String,
    /// What it is for: in Chinese as written above it, in English what it says.
    about: Text,
    /// The `[[rule]]` table, for these devices.
    rule: Value,
}

/// The rules for these devices, each with all those that it can judge.
pub(super) fn fitting(devices: &[(&str, Arc<Profile>)]) -> Vec<Fitted> {
    let world = world(devices);
    FILES
        .iter()
        .flat_map(|file| pieces(file))
        .filter_map(|(about, rule)| fitted(about, rule, devices, &world))
        .collect()
}

/// A school that has these devices and nothing else.
fn world(devices: &[(&str, Arc<Profile>)]) -> World {
    let watched = |(id, profile): &(&str, Arc<Profile>)| {
        let watched = Watched {
            name: (*id).to_owned(),
            profile: Arc::clone(profile),
            place: PlaceId::new("school").ok()?,
            bus: None,
            poll: Duration::from_secs(60),
            leads_to: None,
        };
        Some((DeviceId::new(id).ok()?, watched))
    };
    World {
        devices: devices.iter().filter_map(watched).collect(),
        places: BTreeMap::new(),
        calendar: Arc::new(Calendar::default_school(TimeZone::UTC)),
        calendars: BTreeMap::new(),
        aggregate_secs: 900,
        sub_meters: SubMeters::default(),
    }
}

/// What a rule says, in English.
fn said(kind: &str, rule: &toml::Table, world: &World) -> Option<String> {
    let (text, problems) = (format!("[[rule]]\n{rule}"), Problems::new());
    let document = Document::parse("rule", &text, &problems);
    let tables = document.reader(&problems).tables("rule");
    let kind = RULE_KINDS.iter().find(|known| known.name == kind)?;
    Some(says(tables.first()?, kind, world).en)
}

fn fitted(
    about: String,
    mut rule: toml::Table,
    devices: &[(&str, Arc<Profile>)],
    world: &World,
) -> Option<Fitted> {
    let text = |key: &str| rule.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let (id, kind, point, unit) = (text("id")?, text("kind")?, text("point")?, text("unit"));
    if !KINDS.contains(&kind.as_str()) || rule.keys().any(|key| !PLAIN.contains(&key.as_str())) {
        return None;
    }
    let has = |profile: &Profile| {
        profile.points.iter().any(|own| {
            own.id.as_str() == point && unit.as_deref().is_none_or(|unit| own.unit.symbol() == unit)
        })
    };
    let able: Vec<toml::Value> =
        devices.iter().filter(|(_, profile)| has(profile)).map(|(id, _)| (*id).into()).collect();
    if able.is_empty() {
        return None;
    }
    rule.insert("devices".into(), able.into());
    let about = Text::new(about, said(&kind, &rule, world)?);
    let rule = serde_json::to_value(&rule).ok()?;
    Some(Fitted { id, about, rule })
}

/// Each rule of a file, with the lines above it.
fn pieces(file: &str) -> Vec<(String, toml::Table)> {
    let mut parts = file.split("[[rule]]");
    let mut above = parts.next().unwrap_or_default();
    let mut pieces = Vec::new();
    for part in parts {
        let about: Vec<&str> = above.lines().rev().take_while(|line| line.starts_with('#')).collect();
        let about: Vec<&str> =
            about.into_iter().rev().map(|line| unnumbered(line.trim_start_matches(['#', ' ']))).collect();
        // Tables of cases that follow belong to no rule.
        let own = part.split("\n[[").next().unwrap_or_default();
        if let Ok(rule) = own.parse::<toml::Table>() {
            pieces.push((about.join("\n"), rule));
        }
        above = part;
    }
    pieces
}

/// A line without the numbers of what it fulfils, such as `AC-35`: they say nothing to whoever sets up.
fn unnumbered(mut line: &str) -> &str {
    while let Some(rest) = line.strip_prefix("AC-") {
        line = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric()).trim_start();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;
    use std::collections::BTreeSet;

    #[test]
    fn a_rule_that_fits_is_told_in_both_languages() {
        let text = include_str!("../../../device-profiles/sensor/elt-sensor-mb-350u-c/profile.toml");
        let profile = profile::parse("profile.toml", text, &Problems::new()).expect("a good one");
        let found = fitting(&[("air-1", Arc::new(profile))]);
        let air = found.iter().find(|fitted| fitted.id == "classroom-co2").expect("it fits");
        assert!(air.about.zh.starts_with("教室二氧化碳超过 1500 ppm"), "{:?}", air.about);
        assert!(air.about.en.ends_with(" above 1500 ppm, for 10 min, deadband 200 ppm"), "{:?}", air.about);
        assert_eq!(air.rule["devices"], serde_json::json!(["air-1"]));
    }

    #[test]
    fn every_file_gives_its_rules_each_with_what_it_is_for() {
        for file in FILES {
            let pieces = pieces(file);
            assert_eq!(pieces.len(), file.matches("\n[[rule]]").count());
            assert!(pieces.iter().all(|(about, rule)| !about.is_empty() && rule.contains_key("id")));
        }
        let ids: BTreeSet<String> =
            FILES.iter().flat_map(|file| pieces(file)).map(|(_, rule)| rule["id"].to_string()).collect();
        assert!(ids.len() > 20, "{ids:?}");
        assert_eq!(unnumbered("AC-11 AC-33b 电压偏低"), "电压偏低");
        assert!(FILES.iter().flat_map(|file| pieces(file)).all(|(about, _)| !about.starts_with("AC-")));
    }
}

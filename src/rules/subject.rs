//! What rules have in common: choosing devices and points, limits in the right unit, and the words of a finding.

use super::{Finding, Level, Watched, World};
use crate::document::{Reader, Spot};
use crate::model::{
    AlarmClass, AlarmKey, Body, DeviceId, EventKind, Observation, Place, PlaceId, PointId, Priority, Reading,
    RuleId, Text, Unit,
};
use crate::profile::Point;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Largest limit a person may write, in any unit.
const MAX_LIMIT: f64 = 1e12;
/// How many known names an advice lists.
const MAX_LISTED: usize = 12;
/// Places are at most this deep; a circle of parents ends here.
const MAX_PLACE_DEPTH: usize = 16;

/// A device, with the words people know it by.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) device: DeviceId,
    place: Option<PlaceId>,
    /// Place and name.
    label: Text,
}

impl Subject {
    pub(super) fn new(device: &DeviceId, watched: &Watched, world: &World) -> Self {
        let path = world.places.get(&watched.place).map(|place| &place.path);
        let label = |path: Option<&str>| match path {
            Some(path) => format!("{path} {}", watched.name),
            None => watched.name.clone(),
        };
        Self {
            device: device.clone(),
            place: Some(watched.place.clone()),
            label: Text::new(label(path.map(|p| p.zh.as_str())), label(path.map(|p| p.en.as_str()))),
        }
    }

    /// A device that the configuration does not know: its id must do.
    pub(super) fn stranger(device: &DeviceId) -> Self {
        Self { device: device.clone(), place: None, label: Text::same(device.as_str()) }
    }

    pub(super) fn place(&self) -> Option<&PlaceId> {
        self.place.as_ref()
    }

    /// Place and name.
    pub(super) fn label(&self) -> &Text {
        &self.label
    }

    /// "place and name: what".
    pub(super) fn says(&self, zh: impl Display, en: impl Display) -> Text {
        Text::new(format!("{}: {zh}", self.label.zh), format!("{}: {en}", self.label.en))
    }
}

/// What all findings of one rule share.
#[derive(Debug)]
pub struct Header {
    /// Whose they are.
    pub rule: RuleId,
    /// What they are about.
    pub class: AlarmClass,
    /// How soon to act.
    pub priority: Priority,
}

impl Header {
    /// Reads `alarm_class` and `priority`.
    pub(super) fn parse(reader: &Reader<'_>, rule: &RuleId, class: AlarmClass, priority: Priority) -> Self {
        let classes: Vec<_> = AlarmClass::ALL.iter().map(|c| (c.as_str(), *c)).collect();
        let priorities: Vec<_> = Priority::ALL.iter().map(|p| (p.as_str(), *p)).collect();
        Self {
            rule: rule.clone(),
            class: reader.word_opt("alarm_class", &classes).unwrap_or(class),
            priority: reader.word_opt("priority", &priorities).unwrap_or(priority),
        }
    }

    /// A finding about a place.
    pub(super) fn of_place(&self, place: &Place, level: Level, what: Text) -> Finding {
        Finding {
            key: AlarmKey { rule: self.rule.clone(), subject: place.id.to_string() },
            level,
            class: self.class,
            priority: self.priority,
            device: None,
            place: Some(place.id.clone()),
            what: Text::new(
                format!("{}: {}", place.path.zh, what.zh),
                format!("{}: {}", place.path.en, what.en),
            ),
        }
    }

    pub(super) fn finding(&self, subject: &Subject, level: Level, what: Text) -> Finding {
        Finding {
            key: AlarmKey { rule: self.rule.clone(), subject: subject.device.to_string() },
            level,
            class: self.class,
            priority: self.priority,
            device: Some(subject.device.clone()),
            place: subject.place.clone(),
            what,
        }
    }
}

/// Reads `devices`, or `class` and/or `place`; an empty list when a problem was noted.
pub(super) fn devices<'w>(reader: &Reader<'_>, world: &'w World) -> Vec<(Subject, &'w Watched)> {
    let by_trait = reader.has("class") | reader.has("place");
    let chosen = match (reader.has("devices"), by_trait) {
        (true, false) => listed(reader, world),
        (false, true) => by_class_and_place(reader, world),
        (true, true) => {
            reader.problem(
                "devices",
                ("设备选了两遍", "devices are chosen twice"),
                (
                    "留下 devices，或留下 class 和 place，不要都写",
                    "keep devices, or class and place, not both",
                ),
            );
            Vec::new()
        }
        (false, false) => {
            reader.problems().at(
                &reader.here(),
                ("这条规则没有监视任何设备", "this rule watches no device"),
                (
                    "加上 devices = [\"…\"]，或 class = \"…\" 和（或）place = \"…\"",
                    "add devices = [\"…\"], or class = \"…\" and/or place = \"…\"",
                ),
            );
            Vec::new()
        }
    };
    chosen.into_iter().map(|(id, watched)| (Subject::new(id, watched, world), watched)).collect()
}

fn listed<'w>(reader: &Reader<'_>, world: &'w World) -> Vec<(&'w DeviceId, &'w Watched)> {
    let written = reader.texts("devices");
    if written.is_empty() {
        reader.problem(
            "devices",
            ("这条规则没有监视任何设备", "this rule watches no device"),
            known(("设备", "devices"), world.devices.keys()),
        );
    }
    named(reader, written, world)
}

/// Devices by their ids; one that does not exist, or comes twice, is a problem.
pub(super) fn named<'w>(
    reader: &Reader<'_>,
    written: Vec<(String, Spot)>,
    world: &'w World,
) -> Vec<(&'w DeviceId, &'w Watched)> {
    let mut chosen = Vec::new();
    let mut before = BTreeSet::new();
    for (text, spot) in written {
        match world.devices.get_key_value(text.as_str()) {
            None => reader.problems().at(
                &spot,
                (format!("没有编号为 '{text}' 的设备"), format!("no device has the id '{text}'")),
                known(("设备", "devices"), world.devices.keys()),
            ),
            Some(_) if !before.insert(text.clone()) => {
                reader.problems().at(
                    &spot,
                    (format!("'{text}' 写了两次"), format!("'{text}' is listed twice")),
                    ("每台设备只写一次", "list each device once"),
                );
            }
            Some(device) => chosen.push(device),
        }
    }
    chosen
}

fn by_class_and_place<'w>(reader: &Reader<'_>, world: &'w World) -> Vec<(&'w DeviceId, &'w Watched)> {
    let class = reader.text_opt("class");
    let place = reader.text_opt("place");
    if let Some(place) = &place
        && !world.places.contains_key(place.as_str())
    {
        reader.problem(
            "place",
            (format!("没有编号为 '{place}' 的地点"), format!("no place has the id '{place}'")),
            known(("地点", "places"), world.places.keys()),
        );
        return Vec::new();
    }
    let chosen = matching(class.as_deref(), place.as_deref(), world);
    if chosen.is_empty() {
        let classes: BTreeSet<&str> = world.devices.values().map(|w| w.profile.class.as_str()).collect();
        let key = if class.is_some() { "class" } else { "place" };
        reader.problem(
            key,
            ("按 class 和 place 没有选中任何设备", "no device is chosen by class and place"),
            known(("类别", "classes"), classes),
        );
    }
    chosen
}

fn matching<'w>(
    class: Option<&str>,
    place: Option<&str>,
    world: &'w World,
) -> Vec<(&'w DeviceId, &'w Watched)> {
    let fits = |watched: &Watched| {
        class.is_none_or(|class| watched.profile.class == *class)
            && place.is_none_or(|place| lies_in(&watched.place, place, world))
    };
    world.devices.iter().filter(|(_, watched)| fits(watched)).collect()
}

/// The devices that [`devices`] gives; what is wrong is not noted, and no key counts as asked for.
pub(super) fn chosen<'w>(reader: &Reader<'_>, world: &'w World) -> Vec<(&'w DeviceId, &'w Watched)> {
    let text = |key| reader.peek(key).first().copied();
    match (text("class"), text("place")) {
        (None, None) => {
            let written = reader.peek("devices").into_iter();
            written.filter_map(|id| world.devices.get_key_value(id)).collect()
        }
        (class, place) => matching(class, place, world),
    }
}

/// Whether `place` is `above` or somewhere below it.
fn lies_in(place: &PlaceId, above: &str, world: &World) -> bool {
    std::iter::successors(Some(place), |place| world.places.get(*place)?.parent.as_ref())
        .take(MAX_PLACE_DEPTH)
        .any(|place| place.as_str() == above)
}

/// Advice that lists what there is; `what` in Chinese and English.
pub(super) fn known((zh, en): (&str, &str), names: impl IntoIterator<Item = impl Display>) -> Text {
    let mut names = names.into_iter();
    let some: Vec<String> = names.by_ref().take(MAX_LISTED).map(|name| name.to_string()).collect();
    let (some, more) = (some.join(", "), names.count());
    match (some.is_empty(), more) {
        (true, _) => Text::new(format!("还没有{zh}"), format!("there are no {en} yet")),
        (false, 0) => Text::new(format!("可选的{zh}：{some}"), format!("known {en}: {some}")),
        (false, more) => Text::new(
            format!("可选的{zh}：{some}，另有 {more} 个"),
            format!("known {en}: {some} and {more} more"),
        ),
    }
}

/// Every device by its id, as a subject.
pub(super) fn all_of<'d>(
    devices: impl Iterator<Item = &'d DeviceId>,
    world: &World,
) -> BTreeMap<DeviceId, Subject> {
    let subject = |id: &DeviceId| {
        world.devices.get(id).map_or_else(|| Subject::stranger(id), |w| Subject::new(id, w, world))
    };
    devices.map(|id| (id.clone(), subject(id))).collect()
}

/// Reads the devices and `point`: each device with its point. A device without the point is a problem.
pub(super) fn points<'w>(reader: &Reader<'_>, world: &'w World) -> Vec<(Subject, &'w Point)> {
    let chosen = devices(reader, world);
    let Some(point) = reader.text("point") else { return Vec::new() };
    let mut points = Vec::new();
    for (subject, watched) in chosen {
        if let Some(found) = self::point(reader, "point", &point, watched) {
            points.push((subject, found));
        }
    }
    points
}

/// A point of a device, named at `key`; one that its profile does not have is a problem.
pub(super) fn point<'w>(
    reader: &Reader<'_>,
    key: &str,
    name: &str,
    watched: &'w Watched,
) -> Option<&'w Point> {
    let found = watched.profile.point(name);
    if found.is_none() {
        // Names the profile, not the device: the same slip for a hundred meters is one problem.
        reader.problem(
            key,
            (
                format!("模板 '{}' 没有测点 '{name}'", watched.profile.id),
                format!("the profile '{}' has no point '{name}'", watched.profile.id),
            ),
            known(("测点", "points"), watched.profile.points.iter().map(|p| &p.id)),
        );
    }
    found
}

/// Notes a problem at `key` for each profile among the chosen that does not give such events.
pub(super) fn gives(reader: &Reader<'_>, key: &str, kind: EventKind, chosen: &[(Subject, &Watched)]) {
    for (_, watched) in chosen.iter().filter(|(_, watched)| !watched.profile.events.contains(&kind)) {
        reader.problem(
            key,
            (
                format!("模板 '{}' 没有 '{kind}' 事件", watched.profile.id),
                format!("the profile '{}' gives no '{kind}' events", watched.profile.id),
            ),
            known(("事件", "events"), &watched.profile.events),
        );
    }
}

/// Reads a limit, in the unit a person chose.
pub(super) fn limit(reader: &Reader<'_>, key: &str) -> Option<f64> {
    reader.number(key, -MAX_LIMIT..=MAX_LIMIT)
}

/// Reads `unit`.
pub(super) fn unit(reader: &Reader<'_>) -> Option<Unit> {
    let symbols: Vec<_> = Unit::ALL.iter().map(|u| (u.symbol(), *u)).collect();
    reader.word("unit", &symbols)
}

/// A limit in the unit of the point; a unit of another quantity is a problem.
pub(super) fn converted(reader: &Reader<'_>, value: f64, unit: Unit, point: &Point) -> Option<f64> {
    converted_to(reader, value, unit, point.unit, point)
}

/// A limit in the unit of what is made of a point.
pub(super) fn converted_to(
    reader: &Reader<'_>,
    value: f64,
    unit: Unit,
    to: Unit,
    point: &Point,
) -> Option<f64> {
    let converted = unit.convert(value, to);
    if converted.is_none() {
        let fitting: Vec<_> = Unit::ALL.iter().filter(|u| u.quantity() == to.quantity()).collect();
        reader.problem(
            "unit",
            (
                format!("以 {unit} 为单位的限值不适合测点 '{}'", point.id),
                format!("a limit in {unit} does not fit the point '{}'", point.id),
            ),
            known(("单位", "units that fit"), fitting),
        );
    }
    converted
}

/// Notes a problem at `key` if the device is not polled `times` within a span.
pub(super) fn polled_within(
    reader: &Reader<'_>,
    key: &str,
    (span, times): (Duration, u32),
    watched: &Watched,
    point: &Point,
) {
    let poll = watched.poll.saturating_mul(u32::from(point.every));
    let least = poll.saturating_mul(times);
    if least > span {
        reader.problem(
            key,
            (
                format!(
                    "模板 '{1}' 的 '{0}' 每 {2} 秒读一次，对这条规则太少",
                    point.id,
                    watched.profile.id,
                    poll.as_secs()
                ),
                format!(
                    "'{}' of the profile '{}' is read every {} s, too seldom for this",
                    point.id,
                    watched.profile.id,
                    poll.as_secs()
                ),
            ),
            (format!("写 {} 或更大", least.as_secs()), format!("write {} or more", least.as_secs())),
        );
    }
}

/// Reads a span of whole seconds.
pub(super) fn secs_opt(reader: &Reader<'_>, key: &str, range: RangeInclusive<i64>) -> Option<Duration> {
    reader.integer_opt(key, range).map(|secs| Duration::from_secs(secs.unsigned_abs()))
}

/// A span of whole seconds that must be there.
pub(super) fn secs(reader: &Reader<'_>, key: &str, range: RangeInclusive<i64>) -> Option<Duration> {
    reader.integer(key, range).map(|secs| Duration::from_secs(secs.unsigned_abs()))
}

/// A value with its unit, rounded to nine digits.
pub(super) fn shown(value: f64, unit: Unit) -> String {
    let rounded = format!("{value:.8e}").parse().unwrap_or(value);
    if unit == Unit::One { rounded.to_string() } else { format!("{rounded} {unit}") }
}

/// What a measured point is called, its limit and its unit.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) subject: Subject,
    pub(super) point: PointId,
    pub(super) name: Text,
    pub(super) unit: Unit,
}

impl Measured {
    pub(super) fn new(subject: Subject, point: &Point) -> Self {
        Self { subject, point: point.id.clone(), name: point.name.clone(), unit: point.unit }
    }

    /// The reading, if it is one of this point; what a broker retained is of unknown age.
    pub(super) fn reading<'s>(&self, seen: &'s Observation) -> Option<&'s Reading> {
        let Body::Reading(reading) = &seen.body else { return None };
        (!seen.retained && reading.point == self.point).then_some(reading)
    }

    /// The value, if it is one of this point and may be believed.
    pub(super) fn value(&self, seen: &Observation) -> Option<f64> {
        self.reading(seen)?.good()
    }

    /// "place and name: active power 5200 W, above 5000 W".
    pub(super) fn says(&self, value: f64, zh: &str, en: &str, limit: f64) -> Text {
        let (value, limit) = (shown(value, self.unit), shown(limit, self.unit));
        self.subject.says(
            format!("{} {value}，{zh} {limit}", self.name.zh),
            format!("{} {value}, {en} {limit}", self.name.en),
        )
    }
}

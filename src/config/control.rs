//! `[controls]` and `[[control]]`: what may be switched in the field, and nothing else.

use super::Device;
use super::fields::{finish, millis, name_opt, number, secs};
use super::names::{Names, at};
use crate::control::{Allowed, Condition, Interlock, Spec};
use crate::document::{Reader, Spot, one_of};
use crate::model::{ControlId, DeviceId, PointId, RuleId};
use crate::profile::Protocol;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Any number a register can hold.
const ANY: std::ops::RangeInclusive<f64> = -1e9..=1e9;
/// Most values in a list.
const MAX_VALUES: usize = 64;

/// What may be switched.
#[derive(Debug, Clone, Default)]
pub struct Controls {
    /// Whether anything may be switched at all. Off unless told otherwise.
    pub enabled: bool,
    /// Each, checked against the profile of its device.
    pub all: Vec<Arc<Spec>>,
}

/// What a control may refer to.
pub(super) struct Around<'a> {
    pub(super) device_names: &'a Names,
    pub(super) devices: &'a BTreeMap<DeviceId, Device>,
    /// Every rule that is written, well or badly, or always on.
    pub(super) rules: &'a BTreeSet<String>,
}

/// `[controls]` and every `[[control]]`.
pub(super) fn controls(
    switch: Option<Reader<'_>>,
    readers: Vec<Reader<'_>>,
    around: &Around<'_>,
) -> Controls {
    let enabled = switch.is_some_and(|table| {
        let enabled = table.flag_opt("enabled").unwrap_or(false);
        finish(table, None);
        enabled
    });
    let mut names = Names::of("control");
    let mut targets = BTreeMap::new();
    let mut all = Vec::new();
    for reader in readers {
        all.extend(control(&reader, &mut names, &mut targets, around).map(Arc::new));
        finish(reader, None);
    }
    Controls { enabled, all }
}

fn control(
    reader: &Reader<'_>,
    names: &mut Names,
    targets: &mut BTreeMap<(DeviceId, PointId), Spot>,
    around: &Around<'_>,
) -> Option<Spec> {
    let before = reader.problems().len();
    let id = names.declare(reader, ControlId::new);
    let name = name_opt(reader, "name");
    let target = point_of(reader, None, around);
    // Told already where it is missing or wrong.
    let own = reader.text_opt("device").and_then(|text| DeviceId::new(&text).ok());
    let allowed = allowed(reader);
    let rest = reader.number_opt("rest", ANY);
    let max_on = reader.integer_opt("max_on_secs", 1..=86_400).and_then(|n| u64::try_from(n).ok());
    let max_on = max_on.map(Duration::from_secs);
    let min_interval = secs(reader, "min_interval_secs", (0, 86_400), 1);
    let max_per_hour = number(reader, "max_per_hour", (1, 120), 60);
    let mut settle = millis(reader, "settle_ms", (100, 60_000), 2000);
    if let Some(span) = max_on.filter(|_| !reader.has("settle_ms")) {
        settle = settle.min(span / 2);
    }
    let dry_run = reader.flag_opt("dry_run").unwrap_or(false);
    let off_when = off_when(reader, around.rules);
    let exit = reader.flag_opt("exit").unwrap_or(false);
    let read_back = reader.table_opt("read_back").map(|table| {
        let found = point_of(&table, Some(own.as_ref()), around).filter(|read| polled(&table, read));
        finish(table, None);
        found
    });
    let interlocks = interlocks(reader, own.as_ref(), around);
    let Target { device, point } = target?;
    check_target(reader, device, &point, targets);
    let allowed = allowed?;
    check_rest(reader, &allowed, rest);
    if exit && !reader.has("rest") {
        let advice = "add `rest = 0`, or whatever value leaves the way out free";
        reader.problem("exit", "nothing says which value leaves this exit free", advice);
    }
    check_values(reader, device, &point, &allowed, rest);
    if let Some(span) = max_on.filter(|span| settle >= *span) {
        reader.problem(
            "settle_ms",
            format!(
                "the device may take {} ms to switch, which is no less than max_on_secs",
                settle.as_millis()
            ),
            format!("write less than {}, or a longer max_on_secs", span.as_millis()),
        );
    }
    let read_back = match read_back {
        None => (device.id.clone(), point.clone()),
        Some(target) => target.map(|target| (target.device.id.clone(), target.point))?,
    };
    let (id, place) = (id?, device.place.clone());
    let name = name.unwrap_or_else(|| id.to_string());
    let device = device.id.clone();
    let spec = Spec {
        id,
        name,
        device,
        point,
        place,
        allowed,
        rest,
        max_on,
        min_interval,
        max_per_hour,
        interlocks,
        read_back,
        settle,
        dry_run,
        off_when,
        exit,
        inert_in_fire: false,
    };
    (reader.problems().len() == before).then_some(spec)
}

/// A point of a device.
struct Target<'a> {
    device: &'a Device,
    point: PointId,
}

/// `device` and `point`. `own` is the control's device, where it may be left out; one with a problem of its own is not
/// judged.
fn point_of<'a>(
    reader: &Reader<'_>,
    own: Option<Option<&DeviceId>>,
    around: &Around<'a>,
) -> Option<Target<'a>> {
    let point = reader.parsed("point", "write the id of a point of the device's profile", PointId::new);
    let device = match own {
        Some(own) if !reader.has("device") => own?.clone(),
        _ => {
            let device = reader.parsed("device", "write the id of a [[device]]", DeviceId::new)?;
            around.device_names.check(reader, "device", device.as_str()).then_some(device)?
        }
    };
    let (device, point) = (around.devices.get(&device)?, point?);
    if device.profile.point(point.as_str()).is_none() {
        let known: Vec<&str> = device.profile.points.iter().map(|point| point.id.as_str()).collect();
        reader.problem(
            "point",
            format!("the profile '{}' of '{}' has no point '{point}'", device.profile.id, device.id),
            one_of(point.as_str(), &known),
        );
        return None;
    }
    Some(Target { device, point })
}

fn allowed(reader: &Reader<'_>) -> Option<Allowed> {
    let listed = reader.numbers("allow");
    let (min, max) = (reader.number_opt("min", ANY), reader.number_opt("max", ANY));
    let step = reader.number_opt("step", 1e-6..=1e9);
    let range = reader.has("min") || reader.has("max") || reader.has("step");
    if reader.has("allow") == range {
        reader.problem(
            "allow",
            "a control has either a list of allowed values or a range",
            "write `allow = [0, 1]`, or `min = …` and `max = …`, and `step = …` if there are steps",
        );
        return None;
    }
    if range {
        let (min, max) =
            (min.or_else(|| reader.number("min", ANY))?, max.or_else(|| reader.number("max", ANY))?);
        if min >= max {
            reader.problem(
                "max",
                format!("the range ends at {max}, where it has not begun"),
                "write min < max",
            );
            return None;
        }
        return Some(Allowed::Range { min, max, step });
    }
    if listed.is_empty() || listed.len() > MAX_VALUES {
        let advice = format!("write 1 to {MAX_VALUES} numbers: `allow = [0, 1]`");
        reader.problem("allow", format!("{} values are allowed", listed.len()), advice);
        return None;
    }
    Some(Allowed::Values(listed.into_iter().map(|(value, _)| value).collect()))
}

fn off_when(reader: &Reader<'_>, rules: &BTreeSet<String>) -> BTreeSet<RuleId> {
    let mut found = BTreeSet::new();
    for (text, spot) in reader.texts("off_when") {
        match RuleId::new(&text) {
            Ok(rule) if rules.contains(&text) => {
                found.insert(rule);
            }
            _ => {
                let known: Vec<&str> = rules.iter().map(String::as_str).collect();
                reader.problems().at(&spot, format!("there is no rule '{text}'"), one_of(&text, &known));
            }
        }
    }
    found
}

fn interlocks(reader: &Reader<'_>, own: Option<&DeviceId>, around: &Around<'_>) -> Vec<Interlock> {
    let mut found = Vec::new();
    for table in reader.tables("interlock") {
        let target = point_of(&table, Some(own), around);
        let conditions = [
            table.number_opt("is", ANY).map(Condition::Is),
            table.number_opt("above", ANY).map(Condition::Above),
            table.number_opt("below", ANY).map(Condition::Below),
        ];
        let written = ["is", "above", "below"].into_iter().filter(|key| table.has(key)).count();
        if written != 1 {
            table.problem(
                "is",
                format!("an interlock has one condition, this has {written}"),
                "write one of `is = …`, `above = …` and `below = …`; for two conditions write two interlocks",
            );
        }
        let max_age = secs(&table, "max_age_secs", (1, 86_400), 60);
        if let Some(target) = &target {
            check_age(&table, target, max_age);
        }
        let condition = conditions.into_iter().flatten().next();
        if let (Some(Target { device, point }), Some(holds)) = (target, condition) {
            found.push(Interlock { device: device.id.clone(), point, holds, max_age });
        }
        finish(table, None);
    }
    found
}

/// A point that is read less often than an interlock needs it would bar the way most of the time.
fn check_age(reader: &Reader<'_>, target: &Target<'_>, max_age: Duration) {
    let Target { device, point } = target;
    let every = device.profile.point(point.as_str()).map_or(1, |point| point.every);
    let period = device.poll.saturating_mul(u32::from(every));
    if period > max_age {
        let (period, max_age) = (period.as_secs(), max_age.as_secs());
        reader.problem(
            "max_age_secs",
            format!(
                "'{point}' of '{}' comes every {period} s, so it is mostly older than {max_age} s",
                device.id
            ),
            "write a longer `max_age_secs` here, or a shorter `poll_secs` for the device",
        );
    }
}

/// Two controls of one point could work against each other.
fn check_target(
    reader: &Reader<'_>,
    device: &Device,
    point: &PointId,
    targets: &mut BTreeMap<(DeviceId, PointId), Spot>,
) {
    let key = (device.id.clone(), point.clone());
    if let Some(first) = targets.get(&key) {
        reader.problem(
            "point",
            format!("two controls write to '{point}' of '{}'; the first is at {}", device.id, at(first)),
            "keep one of them",
        );
    } else {
        targets.insert(key, reader.spot("point"));
    }
}

fn check_rest(reader: &Reader<'_>, allowed: &Allowed, rest: Option<f64>) {
    if let Some(rest) = rest.filter(|rest| allowed.find(*rest).is_none()) {
        reader.problem(
            "rest",
            format!("the value of rest, {rest}, is not one that may be written"),
            format!("write one of those that are allowed ({allowed}), or allow it"),
        );
    }
    for key in ["max_on_secs", "off_when"].into_iter().filter(|key| reader.has(key)) {
        if !reader.has("rest") {
            reader.problem(
                key,
                format!("'{key}' is there, but not the value to return to"),
                "add `rest = 0`, or whatever value is off",
            );
        }
    }
}

/// Every named value must be one that the profile can write.
fn check_values(reader: &Reader<'_>, device: &Device, point: &PointId, allowed: &Allowed, rest: Option<f64>) {
    let mut values = allowed.named();
    values.extend(rest);
    let refused = values.into_iter().find_map(|value| write(device, point, value).err());
    if let Some(why) = refused {
        let advice = if device.profile.protocol == Protocol::Modbus {
            "name a point whose profile says `write = …`, and values within its limits"
        } else {
            "name a device that speaks Modbus: only those can be written to"
        };
        reader.problem("point", format!("'{point}' of '{}' cannot be written so: {why}", device.id), advice);
    }
}

fn write(device: &Device, point: &PointId, value: f64) -> Result<(), String> {
    device.profile.write(point.as_str(), value).map(drop)
}

/// Whether the point can be asked for at any time; noted if not.
fn polled(reader: &Reader<'_>, target: &Target<'_>) -> bool {
    let polled = target.device.profile.protocol == Protocol::Modbus;
    if !polled {
        reader.problem(
            "point",
            format!("'{}' cannot be asked for a value at any time", target.device.id),
            "read back from a device that speaks Modbus",
        );
    }
    polled
}

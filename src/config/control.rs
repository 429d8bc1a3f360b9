//! `[controls]` and `[[control]]`: what may be switched in the field, and nothing else.

use super::Device;
use super::fields::{finish, id_of, millis, name_opt, number, secs};
use super::names::{Names, What, at};
use crate::control::{Allowed, Condition, Interlock, Spec};
use crate::document::{Reader, Spot, one_of};
use crate::model::{ControlId, DeviceId, PointId, RuleId, Text};
use crate::profile::Protocol;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The word for what may be switched.
pub(super) const CONTROL: What = ("控制点", "control");
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
    let mut names = Names::of(CONTROL);
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
        let message =
            ("没有写哪个值让人能从这扇疏散门出去", "nothing says which value leaves this exit free");
        let advice = (
            "加上 `rest = 0`，或别的让人出得去的值",
            "add `rest = 0`, or whatever value leaves the way out free",
        );
        reader.problem("exit", message, advice);
    }
    check_values(reader, device, &point, &allowed, rest);
    if let Some(span) = max_on.filter(|span| settle >= *span) {
        let (settle, span) = (settle.as_millis(), span.as_millis());
        reader.problem(
            "settle_ms",
            (
                format!("设备到位可能要 {settle} 毫秒，不比 max_on_secs 短"),
                format!("the device may take {settle} ms to switch, which is no less than max_on_secs"),
            ),
            (
                format!("写得比 {span} 小，或把 max_on_secs 写长"),
                format!("write less than {span}, or a longer max_on_secs"),
            ),
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
    let advice = ("写设备模板里一个测点的编号", "write the id of a point of the device's profile");
    let point = reader.parsed("point", advice, PointId::new);
    let device = match own {
        Some(own) if !reader.has("device") => own?.clone(),
        _ => {
            let device = reader.parsed("device", id_of("device"), DeviceId::new)?;
            around.device_names.check(reader, "device", device.as_str()).then_some(device)?
        }
    };
    let (device, point) = (around.devices.get(&device)?, point?);
    if device.profile.point(point.as_str()).is_none() {
        let known: Vec<&str> = device.profile.points.iter().map(|point| point.id.as_str()).collect();
        reader.problem(
            "point",
            (
                format!("'{}' 的设备模板 '{}' 没有测点 '{point}'", device.id, device.profile.id),
                format!("the profile '{}' of '{}' has no point '{point}'", device.profile.id, device.id),
            ),
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
            (
                "控制点要么列出允许的值，要么写一个范围",
                "a control has either a list of allowed values or a range",
            ),
            (
                "写 `allow = [0, 1]`；或 `min = …` 和 `max = …`，有步长时再写 `step = …`",
                "write `allow = [0, 1]`, or `min = …` and `max = …`, and `step = …` if there are steps",
            ),
        );
        return None;
    }
    if range {
        let (min, max) =
            (min.or_else(|| reader.number("min", ANY))?, max.or_else(|| reader.number("max", ANY))?);
        if min >= max {
            reader.problem(
                "max",
                (
                    format!("范围的结尾 {max} 不大于开头"),
                    format!("the range ends at {max}, where it has not begun"),
                ),
                ("写成 min < max", "write min < max"),
            );
            return None;
        }
        return Some(Allowed::Range { min, max, step });
    }
    if listed.is_empty() || listed.len() > MAX_VALUES {
        let count = listed.len();
        let advice = (
            format!("写 1 到 {MAX_VALUES} 个数字：`allow = [0, 1]`"),
            format!("write 1 to {MAX_VALUES} numbers: `allow = [0, 1]`"),
        );
        let message = (format!("允许的值有 {count} 个"), format!("{count} values are allowed"));
        reader.problem("allow", message, advice);
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
                let message = (format!("没有规则 '{text}'"), format!("there is no rule '{text}'"));
                reader.problems().at(&spot, message, one_of(&text, &known));
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
                (
                    format!("一个联锁只有一个条件，这里有 {written} 个"),
                    format!("an interlock has one condition, this has {written}"),
                ),
                (
                    "`is = …`、`above = …`、`below = …` 只写一个；两个条件写两个联锁",
                    "write one of `is = …`, `above = …` and `below = …`; for two conditions write two interlocks",
                ),
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
        let (device, period, max_age) = (&device.id, period.as_secs(), max_age.as_secs());
        reader.problem(
            "max_age_secs",
            (
                format!("'{device}' 的 '{point}' 每 {period} 秒才来一次，大多超过 {max_age} 秒"),
                format!(
                    "'{point}' of '{device}' comes every {period} s, so it is mostly older than {max_age} s"
                ),
            ),
            (
                "这里的 `max_age_secs` 写长些，或设备的 `poll_secs` 写短些",
                "write a longer `max_age_secs` here, or a shorter `poll_secs` for the device",
            ),
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
            (
                format!("有两个控制点写 '{}' 的 '{point}'；第一个在 {}", device.id, at(first)),
                format!("two controls write to '{point}' of '{}'; the first is at {}", device.id, at(first)),
            ),
            ("留下一个", "keep one of them"),
        );
    } else {
        targets.insert(key, reader.spot("point"));
    }
}

fn check_rest(reader: &Reader<'_>, allowed: &Allowed, rest: Option<f64>) {
    if let Some(rest) = rest.filter(|rest| allowed.find(*rest).is_none()) {
        let allowed = told(allowed);
        reader.problem(
            "rest",
            (
                format!("`rest` 的值 {rest} 不是允许写的值"),
                format!("the value of rest, {rest}, is not one that may be written"),
            ),
            (
                format!("写允许的值（{}），或允许这个值", allowed.zh),
                format!("write one of those that are allowed ({}), or allow it", allowed.en),
            ),
        );
    }
    for key in ["max_on_secs", "off_when"].into_iter().filter(|key| reader.has(key)) {
        if !reader.has("rest") {
            reader.problem(
                key,
                (
                    format!("写了 '{key}'，却没有写恢复到哪个值"),
                    format!("'{key}' is there, but not the value to return to"),
                ),
                ("加上 `rest = 0`，或别的表示关的值", "add `rest = 0`, or whatever value is off"),
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
            (
                "换一个模板里有 `write = …` 的测点，值要在它的范围内",
                "name a point whose profile says `write = …`, and values within its limits",
            )
        } else {
            (
                "换一台用 Modbus 的设备：只有它们能写",
                "name a device that speaks Modbus: only those can be written to",
            )
        };
        let message = (
            format!("'{}' 的 '{point}' 不能这样写：{}", device.id, why.zh),
            format!("'{point}' of '{}' cannot be written so: {}", device.id, why.en),
        );
        reader.problem("point", message, advice);
    }
}

fn write(device: &Device, point: &PointId, value: f64) -> Result<(), Text> {
    device.profile.write(point.as_str(), value).map(drop)
}

/// The values that are allowed.
pub(super) fn told(allowed: &Allowed) -> Text {
    let zh = match allowed {
        Allowed::Values(values) => values.iter().map(f64::to_string).collect::<Vec<_>>().join("、"),
        Allowed::Range { min, max, step: None } => format!("{min} 到 {max}"),
        Allowed::Range { min, max, step: Some(step) } => format!("{min} 到 {max}，步长 {step}"),
    };
    Text::new(zh, allowed.to_string())
}

/// Whether the point can be asked for at any time; noted if not.
fn polled(reader: &Reader<'_>, target: &Target<'_>) -> bool {
    let polled = target.device.profile.protocol == Protocol::Modbus;
    if !polled {
        reader.problem(
            "point",
            (
                format!("'{}' 不能随时读取", target.device.id),
                format!("'{}' cannot be asked for a value at any time", target.device.id),
            ),
            ("从用 Modbus 的设备回读", "read back from a device that speaks Modbus"),
        );
    }
    polled
}

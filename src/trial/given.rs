//! What a case gives: readings, events, links and persons, each once or again and again.

use super::span::{MOMENT, SPAN, moment, span_ms};
use crate::document::{Reader, one_of};
use crate::model::{
    AccessResult, Body, Carrier, CredentialUse, DeviceId, Direction, Doubt, Event, EventKind, Fault, Link,
    Observation, Person, PersonRef, Personal, Phase, Reading, Role, Service, SiteKey, Stamp, Unit, Wall,
};
use crate::rules::{Watched, World};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;

/// Most observations of one case.
const MAX_STEPS: usize = 200_000;
/// Largest value a person may write.
const MAX_VALUE: f64 = 1e12;

/// One observation of a case.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) at: Wall,
    pub(super) seen: Observation,
}

/// What a case gives.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) steps: Vec<Step>,
    pub(super) people: Vec<(PersonRef, Person)>,
    pub(super) names: BTreeMap<String, PersonRef>,
}

/// What one entry gives, before its times.
enum What {
    /// The values in turn, in the point's unit, and by how much more each time.
    Values {
        point: crate::profile::Point,
        values: Vec<f64>,
        grow: f64,
        quality: Worth,
    },
    Other(Body),
}

/// How far a value may be believed.
#[derive(Debug, Clone, Copy)]
enum Worth {
    Good,
    Uncertain,
    Bad,
}

/// Reads every entry of `given`, in order of time.
pub(super) fn steps(reader: &Reader<'_>, start: Wall, world: &World, zone: &TimeZone) -> Known {
    let mut known = Known::default();
    for entry in reader.tables("given") {
        one(&entry, start, (world, zone), &mut known);
        entry.finish();
    }
    known.steps.sort_by_key(|step| step.at);
    known
}

fn one(entry: &Reader<'_>, start: Wall, (world, zone): (&World, &TimeZone), known: &mut Known) {
    let when = |key: &str| entry.parsed_opt(key, MOMENT, |t| moment(t, start, zone));
    let at = entry.parsed("at", MOMENT, |t| moment(t, start, zone));
    let every = entry.parsed_opt("every", SPAN, span_ms).filter(|ms| *ms > 0);
    let until = when("until");
    let behind = entry.parsed_opt("late", SPAN, span_ms);
    let retained = entry.flag_opt("retained").unwrap_or(false);
    if until.is_some() != entry.has("every") {
        entry.problems().at(
            &entry.here(),
            ("反复给出的要同时写间隔和结束", "what is given again and again needs both a pause and an end"),
            (
                "写 every = \"60s\" 和 until = \"+1h\"，或都不写",
                "write every = \"60s\" and until = \"+1h\", or neither",
            ),
        );
    }
    let device = entry.text("device");
    let found = device.as_deref().and_then(|id| world.devices.get_key_value(id));
    if let (Some(device), None) = (&device, found) {
        let ids: Vec<&str> = world.devices.keys().map(DeviceId::as_str).collect();
        let message = (format!("没有编号为 '{device}' 的设备"), format!("no device has the id '{device}'"));
        entry.problem("device", message, one_of(device, &ids));
    }
    let what = what(entry, found.map(|(_, watched)| watched), start, (zone, &mut *known));
    let (Some(at), Some((device, _)), Some(what)) = (at, found, what) else { return };
    let last = until.unwrap_or(at);
    let pause = every.unwrap_or(1).max(1);
    let times = usize::try_from(last.since(at).max(0) / pause).unwrap_or(MAX_STEPS).saturating_add(1);
    if known.steps.len().saturating_add(times) > MAX_STEPS {
        entry.problem(
            "every",
            (format!("这里给出 {times} 个观测"), format!("this gives {times} observations")),
            (format!("一个用例最多 {MAX_STEPS} 个"), format!("at most {MAX_STEPS} in one case")),
        );
        return;
    }
    for turn in 0..times {
        let gone = i64::try_from(turn).unwrap_or(i64::MAX).saturating_mul(pause);
        let at = at.plus_ms(gone);
        let stamp = Stamp::new(behind.map(|ms| at.plus_ms(-ms)), at);
        let Some(body) = what.body(turn) else { continue };
        known.steps.push(Step { at, seen: Observation { device: device.clone(), stamp, body, retained } });
    }
}

impl What {
    fn body(&self, turn: usize) -> Option<Body> {
        match self {
            Self::Other(body) => Some(body.clone()),
            Self::Values { point, values, grow, quality } => {
                let value = values.get(turn % values.len().max(1))?;
                #[expect(clippy::cast_precision_loss, reason = "a case has few steps")]
                let value = value + grow * turn as f64;
                let good = Reading::new(point.id.clone(), value, point.unit, point.kind);
                Some(Body::Reading(match quality {
                    Worth::Good => good,
                    Worth::Uncertain => good.doubted(Doubt::DeviceSays),
                    Worth::Bad => {
                        Reading::absent(point.id.clone(), point.unit, point.kind, Doubt::DeviceSays)
                    }
                }))
            }
        }
    }
}

fn what(
    entry: &Reader<'_>,
    watched: Option<&Watched>,
    start: Wall,
    (zone, known): (&TimeZone, &mut Known),
) -> Option<What> {
    match (entry.has("point"), entry.has("event"), entry.has("link")) {
        (true, false, false) => reading(entry, watched),
        (false, true, false) => {
            event(entry, watched, start, (zone, known)).map(|event| What::Other(Body::Event(event)))
        }
        (false, false, true) => {
            let mut words = vec![("up", Link::Up), ("down", Link::Down(Fault::Timeout))];
            words.extend(Fault::ALL.iter().map(|fault| (fault.as_str(), Link::Down(*fault))));
            entry.word("link", &words).map(|link| What::Other(Body::Link(link)))
        }
        _ => {
            entry.problems().at(
                &entry.here(),
                (
                    "给出的要么是数值，要么是事件，要么是设备通断",
                    "what is given is a value, an event, or whether a device answers",
                ),
                (
                    "写 point = \"…\" 和 value = …，或 event = \"…\"，或 link = \"down\"",
                    "write point = \"…\" and value = …, or event = \"…\", or link = \"down\"",
                ),
            );
            None
        }
    }
}

fn reading(entry: &Reader<'_>, watched: Option<&Watched>) -> Option<What> {
    let id = entry.text("point")?;
    let mut values: Vec<f64> = entry.numbers("values").into_iter().map(|(value, _)| value).collect();
    if entry.has("values") {
        if values.is_empty() {
            let advice = ("写一个或几个：values = [1.5, 2]", "write one or more: values = [1.5, 2]");
            entry.problem("values", ("没有数值", "there is no value"), advice);
        }
    } else {
        values.extend(entry.number("value", -MAX_VALUE..=MAX_VALUE));
    }
    let mut grow = entry.number_opt("grow", -MAX_VALUE..=MAX_VALUE).unwrap_or(0.0);
    let symbols: Vec<_> = Unit::ALL.iter().map(|u| (u.symbol(), *u)).collect();
    let unit = entry.word_opt("unit", &symbols);
    let worth = [("good", Worth::Good), ("uncertain", Worth::Uncertain), ("bad", Worth::Bad)];
    let quality = entry.word_opt("quality", &worth).unwrap_or(Worth::Good);
    let profile = &watched?.profile;
    let Some(point) = profile.point(&id) else {
        let ids: Vec<&str> = profile.points.iter().map(|p| p.id.as_str()).collect();
        entry.problem(
            "point",
            (
                format!("设备模板 '{}' 没有测点 '{id}'", profile.id),
                format!("the profile '{}' has no point '{id}'", profile.id),
            ),
            one_of(&id, &ids),
        );
        return None;
    };
    if let Some(unit) = unit {
        let Some(zero) = unit.convert(0.0, point.unit) else {
            let advice = (
                format!("写与测点同类的单位，如 {}", point.unit),
                format!("write a unit of the point's quantity, such as {}", point.unit),
            );
            let message = (
                format!("单位 {unit} 不能用于测点 '{id}'"),
                format!("a value in {unit} does not fit the point '{id}'"),
            );
            entry.problem("unit", message, advice);
            return None;
        };
        values = values.iter().filter_map(|value| unit.convert(*value, point.unit)).collect();
        grow = unit.convert(grow, point.unit)? - zero;
    }
    if let Some((low, high)) = point.range
        && let Some(value) = values.iter().find(|value| !(low..=high).contains(*value))
    {
        entry.problem(
            if entry.has("values") { "values" } else { "value" },
            (
                format!("{value} {} 会被存疑：'{id}' 的值在 {low} 到 {high} 之间", point.unit),
                format!("{value} {} would be doubted: values of '{id}' lie from {low} to {high}", point.unit),
            ),
            (
                "写范围内的值，或写 quality = \"uncertain\" 和范围内的值",
                "write a value within, or quality = \"uncertain\" and one within",
            ),
        );
    }
    (!values.is_empty()).then(|| What::Values { point: point.clone(), values, grow, quality })
}

fn event(
    entry: &Reader<'_>,
    watched: Option<&Watched>,
    start: Wall,
    (zone, known): (&TimeZone, &mut Known),
) -> Option<Event> {
    let kinds: Vec<_> = EventKind::ALL.iter().map(|kind| (kind.as_str(), *kind)).collect();
    let kind = entry.word("event", &kinds);
    let phases: Vec<_> = Phase::ALL.iter().map(|phase| (phase.as_str(), *phase)).collect();
    let phase = entry.word_opt("phase", &phases).unwrap_or(Phase::Moment);
    let code = entry.text_opt("code");
    let credential = credential(entry, kind, start, (zone, known));
    let kind = kind?;
    let profile = &watched?.profile;
    if !profile.events.contains(&kind) {
        let given: Vec<&str> = profile.events.iter().map(|kind| kind.as_str()).collect();
        entry.problem(
            "event",
            (
                format!("设备模板 '{}' 没有 '{kind}' 事件", profile.id),
                format!("the profile '{}' gives no '{kind}' events", profile.id),
            ),
            one_of(kind.as_str(), &given),
        );
    }
    Some(Event { code, credential, ..Event::bare(kind, phase) })
}

/// Who presented what; persons are known from the beginning.
fn credential(
    entry: &Reader<'_>,
    kind: Option<EventKind>,
    start: Wall,
    (zone, known): (&TimeZone, &mut Known),
) -> Option<CredentialUse> {
    fn words<T: Copy>(all: &[T], word: fn(T) -> &'static str) -> Vec<(&'static str, T)> {
        all.iter().map(|one| (word(*one), *one)).collect()
    }
    let when = |key: &str| entry.parsed_opt(key, MOMENT, |t| moment(t, start, zone));
    let name = entry.text_opt("person");
    let carrier = entry.word_opt("carrier", &words(Carrier::ALL, Carrier::as_str));
    let service = entry.word_opt("service", &words(Service::ALL, Service::as_str));
    let direction = entry.word_opt("direction", &words(Direction::ALL, Direction::as_str));
    let result = entry.word_opt("result", &words(AccessResult::ALL, AccessResult::as_str));
    let role = entry.word_opt("role", &words(Role::ALL, Role::as_str));
    let group = entry.text_opt("group");
    let (valid_from, valid_until) = (when("valid_from"), when("valid_until"));
    let written = name.is_some() || carrier.is_some() || service.is_some() || direction.is_some();
    let presented = matches!(kind, Some(EventKind::Credential | EventKind::Duress | EventKind::VehiclePass));
    if !(presented || written || result.is_some()) {
        return None;
    }
    let person = name.map(|name| {
        // A case names nobody: the pseudonym is made of a word in it.
        let who = Personal::new(name.clone()).pseudonym(&SiteKey::new([0; 32]));
        known.names.insert(name, who.clone());
        who
    });
    if let (Some(who), Some(role)) = (&person, role) {
        let new = Person { role, group, platform_id: None, valid_from, valid_until };
        known.people.retain(|(before, _)| before != who);
        known.people.push((who.clone(), new));
    }
    Some(CredentialUse {
        carrier: carrier.unwrap_or(Carrier::Card),
        service: service.unwrap_or(Service::Access),
        direction: direction.unwrap_or(Direction::Unknown),
        result: result.unwrap_or(AccessResult::Granted),
        reason: None,
        person,
        known: None,
    })
}

//! MQTT: a JSON field that is a value, tells an event, or is the device's own time.

use super::credential::CredentialFields;
use super::parse::{self, Phases, Scale};
use super::pointer::{Pointers, bad_type, place, short_text};
use super::{Both, Context, Point, Refusal};
use crate::document::Reader;
use crate::model::{Doubt, Event, EventKind, PointId, PointKind, Reading, Wall};
use crate::notice::json::{Fields, Leaf};
use jiff::Timestamp;
use jiff::civil::DateTime;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

/// Whether a point is health data, which is refused unless the school allowed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Health(bool);

impl Health {
    /// Reads `health`.
    pub(super) fn parse(reader: &Reader<'_>) -> Self {
        Self(reader.flag_opt("health").unwrap_or(false))
    }

    /// Whether the value is not to be taken; one that is not is counted.
    pub(super) fn withholds(self, cx: &Context<'_>) -> bool {
        let withheld = self.0 && !cx.allow_health;
        if let (true, Some(count)) = (withheld, cx.withheld) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        withheld
    }
}

/// A field that is a value.
#[derive(Debug, Clone)]
pub(super) struct PointField {
    pub(super) point: Point,
    at: String,
    scale: Scale,
    required: bool,
    numeric_text: bool,
    health: Health,
    values: BTreeMap<String, f64>,
    invalid: Vec<f64>,
}

impl PointField {
    pub(super) fn parse(
        reader: &Reader<'_>,
        pointers: &mut Pointers<'_>,
        taken: &mut BTreeSet<PointId>,
    ) -> Option<Self> {
        let point = parse::point(reader, taken, PointKind::Gauge);
        let at = pointers.read(reader, "at");
        let scale = Scale::parse(reader);
        let required = reader.flag_opt("required").unwrap_or(false);
        let numeric_text = reader.flag_opt("numeric_text").unwrap_or(false);
        let health = Health::parse(reader);
        let mut values = BTreeMap::new();
        if let Some(table) = reader.table_opt("values") {
            for key in table.keys() {
                values.extend(table.number_opt(key, -1e15..=1e15).map(|v| (key.to_owned(), v)));
            }
            table.finish();
        }
        let invalid = reader.numbers("invalid").into_iter().map(|(number, _)| number).collect();
        Some(Self { point: point?, at: at?, scale, required, numeric_text, health, values, invalid })
    }

    /// `None`: the field is not there.
    pub(super) fn read(&self, cx: &Context<'_>, fields: &Fields) -> Result<Option<Reading>, Refusal> {
        let Some(leaf) = fields.get(&self.at) else {
            if self.required {
                let reason = format!("{} is missing; expected {}", place(&self.at), self.expected());
                return Err(Refusal::new("missing_field", reason));
            }
            return Ok(None);
        };
        if self.health.withholds(cx) {
            return Err(Refusal::health());
        }
        let raw = self.raw(leaf)?;
        if self.invalid.contains(&raw) {
            return Ok(Some(self.point.absent(Doubt::Sentinel)));
        }
        let value = self.scale.apply(raw);
        let finite = value.is_finite();
        Ok(Some(if finite { self.point.reading(value) } else { self.point.absent(Doubt::NotANumber) }))
    }

    fn raw(&self, leaf: &Leaf) -> Result<f64, Refusal> {
        if !self.values.is_empty() {
            let word = leaf.word().ok_or_else(|| bad_type(&self.at, &self.expected(), leaf))?;
            return self.values.get(&word).copied().ok_or_else(|| {
                let reason = format!("{} is not {}", place(&self.at), self.expected());
                Refusal::new("unknown_value", reason)
            });
        }
        let number = match leaf {
            Leaf::Number(number) => number.as_f64(),
            Leaf::Text(text) if self.numeric_text => text.trim().parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| bad_type(&self.at, &self.expected(), leaf))
    }

    fn expected(&self) -> String {
        if self.values.is_empty() {
            return "a number".to_owned();
        }
        let words: Vec<String> = self.values.keys().map(|word| format!("\"{word}\"")).collect();
        format!("one of {}", words.join(", "))
    }
}

/// A field that tells an event.
#[derive(Debug, Clone)]
pub(super) struct EventField {
    pub(super) kind: EventKind,
    at: String,
    phases: Phases,
    required: bool,
    serial: Option<String>,
    code: Option<String>,
    pub(super) credential: Option<CredentialFields>,
}

impl EventField {
    pub(super) fn parse(reader: &Reader<'_>, pointers: &mut Pointers<'_>) -> Option<Self> {
        let kind = parse::event_kind(reader);
        let at = pointers.read(reader, "at");
        if !reader.has("phases") {
            reader.problem(
                "phases",
                ("缺少 'phases'", "'phases' is missing"),
                (
                    "加上 phases = { \"true\" = \"start\", \"false\" = \"end\" }",
                    "add phases = { \"true\" = \"start\", \"false\" = \"end\" }",
                ),
            );
        }
        let phases = Phases::parse_opt(reader);
        let required = reader.flag_opt("required").unwrap_or(false);
        let serial = pointers.read_opt(reader, "serial");
        let code = pointers.read_opt(reader, "code");
        let credential = reader.table_opt("credential").map(|table| {
            let credential = CredentialFields::parse(&table, pointers);
            table.finish();
            credential
        });
        if credential.is_some() && !kind.is_none_or(names_somebody) {
            reader.problem("kind", ("这类事件没有凭证", "an event of this kind has no credential"), NAMED);
        }
        if credential.is_none() && kind == Some(EventKind::Credential) {
            reader.problem(
                "credential",
                ("凭证事件缺少 [credential]", "a credential event without [credential]"),
                (
                    "加一个表 `[message.event.credential]`，写 carrier、service、direction、result",
                    "add a table `[message.event.credential]` with carrier, service, direction, result",
                ),
            );
        }
        let names = |pointer: &String| credential.as_ref().is_some_and(|c| c.names(pointer));
        for (key, pointer) in [("serial", &serial), ("code", &code), ("at", &at)] {
            if pointer.as_ref().is_some_and(names) {
                reader.problem(
                    key,
                    (
                        format!("'{key}' 会明文留下人员编号"),
                        format!("'{key}' would keep the person's number in the clear"),
                    ),
                    ("换一个字段", "name another field"),
                );
            }
        }
        Some(Self { kind: kind?, at: at?, phases: phases?, required, serial, code, credential })
    }

    /// Outer `None`: the field is not there. Inner `None`: it is, and says nothing.
    pub(super) fn read(&self, cx: &Context<'_>, fields: &Fields) -> Result<Option<Option<Event>>, Refusal> {
        let Some(leaf) = fields.get(&self.at) else {
            if self.required {
                let known = self.phases.known();
                let reason = format!("{} is missing; expected one of {known}", place(&self.at));
                return Err(Refusal::new("missing_field", reason));
            }
            return Ok(None);
        };
        let word = leaf
            .word()
            .ok_or_else(|| bad_type(&self.at, &format!("one of {}", self.phases.known()), leaf))?;
        let phase = self.phases.of(&word).ok_or_else(|| {
            let reason = format!("{} is not one of {}", place(&self.at), self.phases.known());
            Refusal::new("unknown_value", reason)
        })?;
        let Some(phase) = phase else { return Ok(Some(None)) };
        let mut event = Event::bare(self.kind, phase);
        event.serial = self.detail(&self.serial, fields)?;
        event.code = self.detail(&self.code, fields)?;
        if let Some(credential) = &self.credential {
            event.credential = match credential.read(cx, fields) {
                Err(_) if urgent(self.kind) => None,
                other => Some(other?),
            };
        }
        Ok(Some(Some(event)))
    }

    /// A short text that belongs to the event. An urgent event does without one that cannot be read.
    fn detail(&self, pointer: &Option<String>, fields: &Fields) -> Result<Option<String>, Refusal> {
        let Some(pointer) = pointer else { return Ok(None) };
        match short_text(fields, pointer) {
            Err(_) if urgent(self.kind) => Ok(None),
            other => other,
        }
    }
}

/// Advice where one does not.
pub(super) const NAMED: Both = (
    "写 kind = \"credential\"、\"vehicle_pass\"、\"presence\"、\"help\" 或 \"duress\"",
    "write kind = \"credential\", \"vehicle_pass\", \"presence\", \"help\" or \"duress\"",
);

/// Whether an event of this kind may say who it was.
pub(super) fn names_somebody(kind: EventKind) -> bool {
    use EventKind::{Credential, Duress, Help, Presence, VehiclePass};
    matches!(kind, Credential | VehiclePass | Presence | Help | Duress)
}

/// Whether an event must get through whatever else is wrong with its message.
pub(super) fn urgent(kind: EventKind) -> bool {
    matches!(kind, EventKind::Help | EventKind::Duress | EventKind::Fire | EventKind::Smoke)
}

/// Where the device's own time stands and how it is written.
#[derive(Debug, Clone)]
pub(super) struct DeviceTime {
    at: String,
    format: TimeFormat,
}

#[derive(Debug, Clone, Copy)]
enum TimeFormat {
    EpochSeconds,
    EpochMilliseconds,
    Rfc3339,
    Local,
}

impl DeviceTime {
    pub(super) fn parse(reader: &Reader<'_>, pointers: &mut Pointers<'_>) -> Option<Self> {
        let at = pointers.read(reader, "at");
        let formats = [
            ("epoch-s", TimeFormat::EpochSeconds),
            ("epoch-ms", TimeFormat::EpochMilliseconds),
            ("rfc3339", TimeFormat::Rfc3339),
            ("local", TimeFormat::Local),
        ];
        let format = reader.word("format", &formats);
        Some(Self { at: at?, format: format? })
    }

    /// The time, or `None` when it is missing or unreadable: a bad clock never costs an event.
    pub(super) fn read(&self, cx: &Context<'_>, fields: &Fields) -> Option<Wall> {
        let word = fields.get(&self.at)?.word()?;
        let epoch = |per_unit: i64| match word.parse::<i64>() {
            Ok(whole) => whole.checked_mul(per_unit),
            // A fraction of a second: the digits after the point, to the millisecond.
            Err(_) => {
                let (whole, fraction) = word.split_once('.')?;
                let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
                let fraction = digits.parse::<i64>().ok()? * per_unit / 1000;
                whole.parse::<i64>().ok()?.checked_mul(per_unit)?.checked_add(fraction)
            }
        };
        let ms = match self.format {
            TimeFormat::EpochSeconds => epoch(1000)?,
            TimeFormat::EpochMilliseconds => epoch(1)?,
            TimeFormat::Rfc3339 => word.parse::<Timestamp>().ok()?.as_millisecond(),
            TimeFormat::Local => {
                let local = word.replace('/', "-").parse::<DateTime>().ok()?;
                cx.zone.to_ambiguous_timestamp(local).compatible().ok()?.as_millisecond()
            }
        };
        Some(Wall(ms))
    }
}

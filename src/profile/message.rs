//! MQTT: which topics a device sends, and which JSON fields of them are which points and events.

use super::json::{self, Fields, Leaf};
use super::parse::{self, Phases, Scale};
use super::topic::{check_filter, topic_matches};
use super::{Context, Decoded, Point, Refusal};
use crate::document::Reader;
use crate::model::{
    AccessResult, Body, Carrier, CredentialUse, Direction, Doubt, Event, EventKind, Fault, Link, PersonRef,
    Personal, PointId, Reading, Service, Wall,
};
use jiff::Timestamp;
use jiff::civil::DateTime;
use std::collections::{BTreeMap, BTreeSet};

/// Longest code, serial or credential number taken from a device, in characters.
pub(super) const MAX_TEXT_CHARS: usize = 128;

const POINTER_ADVICE: &str = "write a JSON pointer such as \"/info/time\"";

/// A device's messages.
#[derive(Debug)]
pub(super) struct Messages {
    messages: Vec<Message>,
    personal: bool,
}

/// One topic and what its payload holds.
#[derive(Debug)]
struct Message {
    filter: String,
    ignorable: bool,
    time: Option<DeviceTime>,
    content: Content,
    /// Every pointer that is read.
    wanted: BTreeSet<String>,
}

#[derive(Debug)]
enum Content {
    Fields { points: Vec<PointField>, events: Vec<EventField> },
    Availability { at: String, online: Vec<String>, offline: Vec<String> },
}

/// Collects the pointers of one message while they are read, and keeps personal fields out of the others.
struct Pointers<'r> {
    dropped: &'r [String],
    wanted: BTreeSet<String>,
}

impl Pointers<'_> {
    fn read(&mut self, reader: &Reader<'_>, key: &str) -> Option<String> {
        let pointer = reader.parsed(key, POINTER_ADVICE, check_pointer)?;
        if self.dropped.iter().any(|d| within(&pointer, d)) {
            reader.problem(
                key,
                format!("'{pointer}' is listed in mqtt.drop"),
                "take it out of one of the two",
            );
        }
        self.wanted.insert(pointer.clone());
        Some(pointer)
    }

    fn read_opt(&mut self, reader: &Reader<'_>, key: &str) -> Option<String> {
        if reader.has(key) { self.read(reader, key) } else { None }
    }
}

fn within(pointer: &str, parent: &str) -> bool {
    pointer.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// RFC 6901: empty, or levels that each begin with '/', with '~' only as `~0` and `~1`.
fn check_pointer(text: &str) -> Result<String, &'static str> {
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if (text.is_empty() || text.starts_with('/')) && escapes && text.len() <= 256 {
        Ok(text.to_owned())
    } else {
        Err("this is not a JSON pointer (RFC 6901)")
    }
}

/// The place of a pointer, for a person.
fn place(pointer: &str) -> &str {
    if pointer.is_empty() { "the payload" } else { pointer }
}

fn bad_type(pointer: &str, expected: &str, leaf: &Leaf) -> Refusal {
    Refusal::new("bad_type", format!("{} is {}; expected {expected}", place(pointer), leaf.what()))
}

/// A field that is a value.
#[derive(Debug)]
struct PointField {
    point: Point,
    at: String,
    scale: Scale,
    required: bool,
    numeric_text: bool,
    values: BTreeMap<String, f64>,
    invalid: Vec<f64>,
}

impl PointField {
    fn parse(
        reader: &Reader<'_>,
        pointers: &mut Pointers<'_>,
        taken: &mut BTreeSet<PointId>,
    ) -> Option<Self> {
        let point = parse::point(reader, taken);
        let at = pointers.read(reader, "at");
        let scale = Scale::parse(reader);
        let required = reader.flag_opt("required").unwrap_or(false);
        let numeric_text = reader.flag_opt("numeric_text").unwrap_or(false);
        let mut values = BTreeMap::new();
        if let Some(table) = reader.table_opt("values") {
            for key in table.keys() {
                values.extend(table.number_opt(key, -1e15..=1e15).map(|v| (key.to_owned(), v)));
            }
            table.finish();
        }
        let invalid = reader.numbers("invalid").into_iter().map(|(number, _)| number).collect();
        Some(Self { point: point?, at: at?, scale, required, numeric_text, values, invalid })
    }

    fn read(&self, fields: &Fields) -> Result<Option<Reading>, Refusal> {
        let Some(leaf) = fields.get(&self.at) else {
            if self.required {
                let reason = format!("{} is missing; expected {}", place(&self.at), self.expected());
                return Err(Refusal::new("missing_field", reason));
            }
            return Ok(None);
        };
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
#[derive(Debug)]
struct EventField {
    kind: EventKind,
    at: String,
    phases: Phases,
    required: bool,
    serial: Option<String>,
    code: Option<String>,
    credential: Option<CredentialFields>,
}

impl EventField {
    fn parse(reader: &Reader<'_>, pointers: &mut Pointers<'_>) -> Option<Self> {
        let kind = parse::event_kind(reader);
        let at = pointers.read(reader, "at");
        if !reader.has("phases") {
            reader.problem(
                "phases",
                "'phases' is missing",
                "add phases = { \"true\" = \"start\", \"false\" = \"end\" }",
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
        if credential.is_some() && kind.is_some_and(|k| k != EventKind::Credential) {
            reader.problem("kind", "only a credential event has a credential", "write kind = \"credential\"");
        }
        if credential.is_none() && kind == Some(EventKind::Credential) {
            reader.problem(
                "credential",
                "a credential event without [credential]",
                "add a table `[message.event.credential]` with carrier, service, direction, result",
            );
        }
        let person = credential.as_ref().and_then(|c| c.person.as_ref());
        for (key, pointer) in [("serial", &serial), ("code", &code), ("at", &at)] {
            if person.is_some() && person == pointer.as_ref() {
                reader.problem(
                    key,
                    format!("'{key}' would keep the person's number in the clear"),
                    "name another field",
                );
            }
        }
        Some(Self { kind: kind?, at: at?, phases: phases?, required, serial, code, credential })
    }

    /// Outer `None`: the field is not there. Inner `None`: it is, and says nothing.
    fn read(&self, cx: &Context<'_>, fields: &Fields) -> Result<Option<Option<Event>>, Refusal> {
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
            event.credential = Some(credential.read(cx, fields)?);
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

/// Whether an event must get through whatever else is wrong with its message.
fn urgent(kind: EventKind) -> bool {
    matches!(kind, EventKind::Help | EventKind::Fire)
}

/// A text or number of at most [`MAX_TEXT_CHARS`]; missing and empty are `None`.
fn short_text(fields: &Fields, pointer: &str) -> Result<Option<String>, Refusal> {
    let Some(leaf) = fields.get(pointer) else { return Ok(None) };
    match (leaf, leaf.word()) {
        (Leaf::Text(_) | Leaf::Number(_), Some(word)) if word.chars().count() <= MAX_TEXT_CHARS => {
            Ok((!word.is_empty()).then_some(word))
        }
        (Leaf::Text(_), _) => {
            let reason = format!("{} has more than {MAX_TEXT_CHARS} characters", place(pointer));
            Err(Refusal::new("bad_type", reason))
        }
        _ => Err(bad_type(pointer, "a text or a number", leaf)),
    }
}

/// A word of ours, fixed or looked up in a field. What the device does not say, or says in a way nobody listed,
/// is the fixed word.
#[derive(Debug)]
struct Mapped<T> {
    otherwise: T,
    from: Option<(String, BTreeMap<String, T>)>,
}

impl<T: Copy> Mapped<T> {
    /// Reads `key = "word"` and `[key_from]` with `at` and `values`.
    fn parse(
        reader: &Reader<'_>,
        pointers: &mut Pointers<'_>,
        (key, key_from): (&str, &str),
        words: &[(&str, T)],
        otherwise: T,
    ) -> Self {
        let otherwise = reader.word_opt(key, words).unwrap_or(otherwise);
        let from = reader.table_opt(key_from).and_then(|table| {
            let at = pointers.read(&table, "at");
            let mut map = BTreeMap::new();
            if let Some(values) = table.table("values") {
                for value in values.keys() {
                    map.extend(values.word_opt(value, words).map(|word| (value.to_owned(), word)));
                }
                values.finish();
            }
            table.finish();
            Some((at?, map))
        });
        Self { otherwise, from }
    }

    fn read(&self, fields: &Fields) -> T {
        let listed = self.from.as_ref().and_then(|(at, map)| map.get(&fields.get(at)?.word()?));
        listed.copied().unwrap_or(self.otherwise)
    }
}

/// What a credential event tells besides that it happened.
#[derive(Debug)]
struct CredentialFields {
    carrier: Mapped<Carrier>,
    service: Mapped<Service>,
    direction: Mapped<Direction>,
    result: Mapped<AccessResult>,
    person: Option<String>,
    no_person: Vec<String>,
}

impl CredentialFields {
    fn parse(reader: &Reader<'_>, pointers: &mut Pointers<'_>) -> Self {
        macro_rules! mapped {
            ($key:literal, $words:ident, $otherwise:expr) => {{
                let words: Vec<_> = $words::ALL.iter().map(|w| (w.as_str(), *w)).collect();
                Mapped::parse(reader, pointers, ($key, concat!($key, "_from")), &words, $otherwise)
            }};
        }
        Self {
            carrier: mapped!("carrier", Carrier, Carrier::Unknown),
            service: mapped!("service", Service, Service::Access),
            direction: mapped!("direction", Direction, Direction::Unknown),
            result: mapped!("result", AccessResult, AccessResult::Reported),
            person: pointers.read_opt(reader, "person"),
            no_person: reader.texts("no_person").into_iter().map(|(text, _)| text).collect(),
        }
    }

    fn read(&self, cx: &Context<'_>, fields: &Fields) -> Result<CredentialUse, Refusal> {
        Ok(CredentialUse {
            carrier: self.carrier.read(fields),
            service: self.service.read(fields),
            direction: self.direction.read(fields),
            result: self.result.read(fields),
            person: self.person(cx, fields)?,
        })
    }

    fn person(&self, cx: &Context<'_>, fields: &Fields) -> Result<Option<PersonRef>, Refusal> {
        let Some(pointer) = &self.person else { return Ok(None) };
        let number = short_text(fields, pointer)?.filter(|number| !self.no_person.contains(number));
        Ok(number.map(|number| Personal::new(number).pseudonym(cx.site_key)))
    }
}

/// Where the device's own time stands and how it is written.
#[derive(Debug)]
struct DeviceTime {
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
    fn parse(reader: &Reader<'_>, pointers: &mut Pointers<'_>) -> Option<Self> {
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
    fn read(&self, cx: &Context<'_>, fields: &Fields) -> Option<Wall> {
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
                let local = word.parse::<DateTime>().ok()?;
                cx.zone.to_ambiguous_timestamp(local).compatible().ok()?.as_millisecond()
            }
        };
        Some(Wall(ms))
    }
}

impl Message {
    fn parse(reader: &Reader<'_>, dropped: &[String], taken: &mut BTreeSet<PointId>) -> Option<Self> {
        let advice = "write it with {address} once, such as \"zigbee2mqtt/{address}\"";
        let filter = reader.parsed("topic", advice, check_filter);
        let ignorable = reader.flag_opt("ignorable").unwrap_or(false);
        let mut pointers = Pointers { dropped, wanted: BTreeSet::new() };
        let time = reader.table_opt("time").and_then(|table| {
            let time = DeviceTime::parse(&table, &mut pointers);
            table.finish();
            time
        });
        let (mut points, mut events) = (Vec::new(), Vec::new());
        for table in reader.tables("point") {
            points.extend(PointField::parse(&table, &mut pointers, taken));
            table.finish();
        }
        for table in reader.tables("event") {
            events.extend(EventField::parse(&table, &mut pointers));
            table.finish();
        }
        let has_fields = reader.has("point") || reader.has("event");
        let availability = reader.table_opt("availability").map(|table| {
            let availability = availability(&table, &mut pointers);
            table.finish();
            availability
        });
        if has_fields == availability.is_some() {
            reader.problem(
                "topic",
                "a message holds either points and events, or the availability of the device",
                "add `[[message.point]]`, `[[message.event]]` or `[message.availability]`, not both",
            );
        }
        let content = availability.unwrap_or(Some(Content::Fields { points, events }));
        Some(Self { filter: filter?, ignorable, time, content: content?, wanted: pointers.wanted })
    }

    fn decode(&self, cx: &Context<'_>, payload: &[u8]) -> Result<Vec<Decoded>, Refusal> {
        let text = json::text(payload)?;
        match &self.content {
            Content::Fields { points, events } => self.decode_fields(cx, text, points, events),
            Content::Availability { at, online, offline } => {
                let up = Body::Link(Link::Up);
                let down = Body::Link(Link::Down(Fault::Unreachable));
                let judge = |word: &str| {
                    let is = |words: &[String]| words.iter().any(|w| w == word);
                    if is(online) { Some(up.clone()) } else { is(offline).then(|| down.clone()) }
                };
                // The bare word, or JSON with the word in a field.
                let body = match judge(text.trim()) {
                    Some(body) => body,
                    None => {
                        let fields = json::read(text, &self.wanted)?;
                        let word = fields.get(at).and_then(Leaf::word);
                        word.and_then(|word| judge(&word)).ok_or_else(|| {
                            let known = online.iter().chain(offline).map(|w| format!("\"{w}\""));
                            let known = known.collect::<Vec<_>>().join(", ");
                            let reason = format!("{} is not one of {known}", place(at));
                            Refusal::new("unknown_value", reason)
                        })?
                    }
                };
                Ok(vec![Decoded { device_time: None, body }])
            }
        }
    }

    fn decode_fields(
        &self,
        cx: &Context<'_>,
        text: &str,
        points: &[PointField],
        events: &[EventField],
    ) -> Result<Vec<Decoded>, Refusal> {
        let mut fields = json::read(text, &self.wanted)?;
        let mut trouble = fields.take_trouble();
        let mut known = false;
        let mut bodies = Vec::new();
        let mut saved = false;
        for event in events {
            match event.read(cx, &fields) {
                Ok(None) => {}
                Ok(Some(event)) => {
                    known = true;
                    saved |= event.as_ref().is_some_and(|e| urgent(e.kind));
                    bodies.extend(event.map(Body::Event));
                }
                Err(refusal) => trouble = trouble.or(Some(refusal)),
            }
        }
        for point in points {
            match point.read(&fields) {
                Ok(reading) => {
                    known |= reading.is_some();
                    bodies.extend(reading.map(Body::Reading));
                }
                Err(refusal) => trouble = trouble.or(Some(refusal)),
            }
        }
        match trouble {
            Some(refusal) if !saved => return Err(refusal),
            None if !known && !self.ignorable => {
                return Err(Refusal::new("nothing_known", self.nothing_known()));
            }
            _ => {}
        }
        let device_time = self.time.as_ref().and_then(|time| time.read(cx, &fields));
        Ok(bodies.into_iter().map(|body| Decoded { device_time, body }).collect())
    }

    fn nothing_known(&self) -> String {
        let some: Vec<&str> = self.wanted.iter().map(|p| place(p)).take(8).collect();
        format!("none of the fields that the profile knows is there; expected {}", some.join(", "))
    }
}

fn availability(reader: &Reader<'_>, pointers: &mut Pointers<'_>) -> Option<Content> {
    let words = |key: &str| {
        let words: Vec<String> = reader.texts(key).into_iter().map(|(word, _)| word).collect();
        if words.is_empty() {
            reader.problem(key, format!("'{key}' is missing or empty"), format!("add {key} = [\"{key}\"]"));
        }
        words
    };
    let (online, offline) = (words("online"), words("offline"));
    Some(Content::Availability { at: pointers.read(reader, "at")?, online, offline })
}

impl Messages {
    /// Reads `[mqtt]` and every `[[message]]`.
    pub(super) fn parse(reader: &Reader<'_>) -> Self {
        let mut dropped = Vec::new();
        if let Some(mqtt) = reader.table_opt("mqtt") {
            for (pointer, spot) in mqtt.texts("drop") {
                match check_pointer(&pointer) {
                    Ok(pointer) if !pointer.is_empty() => dropped.push(pointer),
                    _ => mqtt.problems().at(&spot, "this is not a JSON pointer to a field", POINTER_ADVICE),
                }
            }
            mqtt.finish();
        }
        let tables = reader.tables("message");
        if tables.is_empty() {
            reader.problem("message", "the profile has no message", "write one `[[message]]` per topic");
        }
        let mut taken = BTreeSet::new();
        let mut messages: Vec<Message> = Vec::new();
        for table in tables {
            if let Some(message) = Message::parse(&table, &dropped, &mut taken) {
                if messages.iter().any(|m| m.filter == message.filter) {
                    table.problem(
                        "topic",
                        "two messages have this topic",
                        "put their fields into one [[message]]",
                    );
                }
                messages.push(message);
            }
            table.finish();
        }
        let names_a_person = |message: &Message| match &message.content {
            Content::Fields { events, .. } => {
                events.iter().any(|e| e.credential.as_ref().is_some_and(|c| c.person.is_some()))
            }
            Content::Availability { .. } => false,
        };
        let personal = !dropped.is_empty() || messages.iter().any(names_a_person);
        Self { messages, personal }
    }

    pub(super) fn personal(&self) -> bool {
        self.personal
    }

    fn fields(&self) -> impl Iterator<Item = (&[PointField], &[EventField])> {
        self.messages.iter().filter_map(|message| match &message.content {
            Content::Fields { points, events } => Some((points.as_slice(), events.as_slice())),
            Content::Availability { .. } => None,
        })
    }

    pub(super) fn points(&self) -> Vec<Point> {
        self.fields().flat_map(|(points, _)| points).map(|p| p.point.clone()).collect()
    }

    pub(super) fn events(&self) -> Vec<EventKind> {
        self.fields().flat_map(|(_, events)| events).map(|e| e.kind).collect()
    }

    pub(super) fn topics(&self, address: &str) -> Vec<String> {
        self.messages.iter().map(|m| m.filter.replace("{address}", address)).collect()
    }

    pub(super) fn decode(
        &self,
        cx: &Context<'_>,
        address: &str,
        topic: &str,
        payload: &[u8],
    ) -> Result<Vec<Decoded>, Refusal> {
        let message = self
            .messages
            .iter()
            .find(|m| topic_matches(&m.filter.replace("{address}", address), topic))
            .ok_or_else(|| Refusal::new("wrong_topic", "the profile names no such topic for this device"))?;
        message.decode(cx, payload)
    }
}

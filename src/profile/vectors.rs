//! Golden vectors: what a device sent, byte for byte, and exactly what a profile must make of it.
//!
//! They are kept in `vectors.toml` beside the profile and also run by whoever writes a profile in the field.

use super::notices;
use super::register::Register;
use super::{Context, Decoded, Notification, Profile, Protocol, Refusal, Reply, Said, Wire, cell};
use crate::document::{Document, Problems, Reader, Spot};
use crate::model::{
    Body, DeviceId, Event, EventKind, Fault, Link, Personal, PointId, Quality, Reading, SiteKey, Text, Wall,
};
use crate::notice::Notice;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::BTreeSet;

/// Runs a profile's vectors and returns how many there were. Every mismatch is a problem with its place, what was
/// expected and what came; so is a point or event kind of the profile that no vector gives a value for.
///
/// Vectors are decoded at UTC+8 under a site key of 32 bytes of value 7.
#[must_use]
pub fn check(profile: &Profile, file: &str, text: &str, problems: &Problems) -> usize {
    let before = problems.len();
    let document = Document::parse(file, text, problems);
    if problems.len() > before {
        return 0;
    }
    let reader = document.reader(problems);
    let zone = TimeZone::fixed(jiff::tz::offset(8));
    let site_key = SiteKey::new([7; 32]);
    let Ok(device) = DeviceId::new("vector") else { return 0 };
    let cx = Context {
        device: &device,
        now: Wall(0),
        site_key: &site_key,
        zone: &zone,
        allow_health: false,
        withheld: None,
    };
    let mut run =
        Run { profile, cx, points: BTreeSet::new(), events: BTreeSet::new(), written: BTreeSet::new() };
    let kind = match profile.protocol {
        Protocol::Modbus => "registers",
        Protocol::Dlt645 | Protocol::Cjt188 => "answer",
        Protocol::Mqtt => "message",
        Protocol::Onvif => "notification",
        Protocol::Isapi | Protocol::Dahua | Protocol::Zkteco | Protocol::Gb26875 | Protocol::ContactId => {
            "notice"
        }
    };
    let vectors = reader.tables(kind);
    if vectors.is_empty() {
        reader.problem(
            kind,
            ("没有测试向量", "there are no vectors"),
            (format!("至少加一个 `[[{kind}]]`"), format!("add at least one `[[{kind}]]`")),
        );
    }
    let mut checked = vectors.len();
    for vector in vectors {
        run.vector(&vector);
        vector.finish();
    }
    if profile.protocol == Protocol::Modbus {
        let writes = reader.tables("write");
        checked += writes.len();
        for write in writes {
            run.write(&write);
            write.finish();
        }
    }
    run.coverage(&reader);
    reader.finish();
    checked
}

struct Run<'a> {
    profile: &'a Profile,
    cx: Context<'a>,
    points: BTreeSet<PointId>,
    events: BTreeSet<EventKind>,
    written: BTreeSet<PointId>,
}

type Outcome = Result<Vec<Decoded>, Refusal>;

impl Run<'_> {
    fn vector(&mut self, vector: &Reader<'_>) {
        self.cx.allow_health = vector.flag_opt("allow_health").unwrap_or(false);
        let before = vector.problems().len();
        let _name = vector.text("name");
        let outcome = match self.profile.protocol {
            Protocol::Modbus => self.registers(vector),
            Protocol::Dlt645 | Protocol::Cjt188 => self.answer(vector),
            Protocol::Mqtt => self.message(vector),
            Protocol::Onvif => self.notification(vector),
            Protocol::Isapi
            | Protocol::Dahua
            | Protocol::Zkteco
            | Protocol::Gb26875
            | Protocol::ContactId => self.notice(vector),
        };
        let expected = self.expected(vector);
        let (Some(outcome), true) = (outcome, vector.problems().len() == before) else { return };
        self.compare(vector, outcome, expected);
    }

    fn registers(&self, vector: &Reader<'_>) -> Option<Outcome> {
        let (table, address, words) = (cell::table(vector), cell::address(vector), words(vector));
        Some(Ok(self.profile.decode_registers(&self.cx, table?, address?, &words?)))
    }

    /// What must go over the line when a point is given a value.
    fn write(&mut self, vector: &Reader<'_>) {
        let _name = vector.text("name");
        let point = vector.text("point");
        let value = vector.number("value", f64::MIN..=f64::MAX);
        let (table, address, words) = (cell::table(vector), cell::address(vector), words(vector));
        let (Some(point), Some(value), Some(table), Some(address), Some(words)) =
            (point, value, table, address, words)
        else {
            return;
        };
        let said = |table, address, words: &[u16]| {
            let words: Vec<String> = words.iter().map(|word| format!("{word:04X}")).collect();
            format!("{table:?} {address}: {}", words.join(" "))
        };
        match self.profile.write(&point, value) {
            Ok(write) if (write.table, write.address, &write.words) == (table, address, &words) => {
                self.written.extend(PointId::new(&point));
            }
            Ok(write) => {
                let got = said(write.table, write.address, &write.words);
                mismatch(vector, &vector.here(), Text::same(said(table, address, &words)), Text::same(got));
            }
            Err(why) => mismatch(vector, &vector.here(), Text::same(said(table, address, &words)), why),
        }
    }

    fn answer(&self, vector: &Reader<'_>) -> Option<Outcome> {
        let Wire::Digits(digits) = &self.profile.wire else { return None };
        let (identifier, data) = (digits.identifier(vector), bytes(vector, "data"));
        Some(Ok(digits.decode(identifier?, &data?)))
    }

    fn message(&self, vector: &Reader<'_>) -> Option<Outcome> {
        let address = vector.text("address");
        let topic = vector.text("topic");
        let payload = if vector.has("payload_hex") {
            bytes(vector, "payload_hex")
        } else {
            vector.text("payload").map(String::into_bytes)
        };
        let (address, topic, payload) = (address?, topic?, payload?);
        let Said { decoded, reply } = self.profile.hear(&self.cx, &address, &topic, &payload);
        if vector.has("reply") {
            answered(vector, reply);
        }
        Some(decoded)
    }

    fn notification(&self, vector: &Reader<'_>) -> Option<Outcome> {
        let note = Notification {
            topic: vector.text("topic")?,
            utc_time: vector.parsed_opt("utc_time", ("按 RFC 3339 写", "write RFC 3339"), wall),
            initialized: vector.flag_opt("initialized").unwrap_or(false),
            source: vector.texts_by_key("source"),
            data: vector.texts_by_key("data"),
        };
        Some(self.profile.decode_notification(&self.cx, &note))
    }

    /// A notice by its code, or what a device sent, run through the reader of its form.
    fn notice(&self, vector: &Reader<'_>) -> Option<Outcome> {
        let raw = if vector.has("hex") { Some(bytes(vector, "hex")?) } else { None };
        let raw = raw.or_else(|| vector.text_opt("raw").map(String::into_bytes));
        let notices = match raw {
            None => Ok(vec![Notice::bare(vector.text("code")?)]),
            Some(raw) => {
                let form = vector.text_opt("form").unwrap_or_default();
                notices::read(self.profile.protocol, &form, &raw).map_err(Refusal::from)
            }
        };
        let decoded = notices.and_then(|notices| {
            let decoded = notices.iter().map(|notice| self.profile.decode_notice(&self.cx, notice));
            Ok(decoded.collect::<Result<Vec<_>, _>>()?.concat())
        });
        Some(decoded)
    }

    fn expected(&self, vector: &Reader<'_>) -> Expected {
        let link = [("up", Link::Up), ("down", Link::Down(Fault::Unreachable))];
        let mut points = Vec::new();
        for table in vector.tables("point") {
            points.extend(self.expected_point(&table).map(|p| (p, table.here())));
            table.finish();
        }
        let mut events = Vec::new();
        for table in vector.tables("event") {
            events.extend(self.expected_event(&table).map(|e| (e, table.here())));
            table.finish();
        }
        Expected {
            points,
            events,
            link: vector.word_opt("link", &link),
            device_time: vector.parsed_opt("device_time", ("按 RFC 3339 写", "write RFC 3339"), wall),
            refused: vector.text_opt("refused"),
        }
    }

    fn expected_point(&self, table: &Reader<'_>) -> Option<ExpectedPoint> {
        let id = table.text("id")?;
        let quality = table.text_opt("quality").unwrap_or_else(|| "good".to_owned());
        let value = table.number_opt("value", f64::MIN..=f64::MAX);
        let unit = table.text("unit")?;
        Some(ExpectedPoint { id, value, unit, quality })
    }

    fn expected_event(&self, table: &Reader<'_>) -> Option<String> {
        let words =
            ["kind", "phase", "serial", "code", "carrier", "service", "direction", "result", "reason"];
        let mut parts: Vec<String> =
            words.iter().filter_map(|key| Some(format!("{key} {}", table.text_opt(key)?))).collect();
        if let Some(number) = table.text_opt("person") {
            parts.push(format!("person {}", Personal::new(number).pseudonym(self.cx.site_key).as_str()));
        }
        Some(parts.join(", "))
    }

    fn compare(&mut self, vector: &Reader<'_>, outcome: Outcome, expected: Expected) {
        let decoded = match (outcome, &expected.refused) {
            (Ok(decoded), None) => decoded,
            (Err(refusal), Some(kind)) if refusal.kind == kind => return,
            (Err(refusal), kind) => {
                let kind = kind.as_ref().map_or_else(no_refusal, |kind| refused(kind));
                mismatch(vector, &vector.here(), kind, Text::same(format!("{}: {refusal}", refusal.kind)));
                return;
            }
            (Ok(_), Some(kind)) => {
                mismatch(vector, &vector.spot("refused"), refused(kind), no_refusal());
                return;
            }
        };
        if let Some(one) = decoded.iter().find(|d| d.device_time != expected.device_time) {
            let said = |time: Option<Wall>| {
                time.map_or_else(|| ("没有设备时间", "no device time").into(), |t| Text::same(t.to_string()))
            };
            mismatch(vector, &vector.spot("device_time"), said(expected.device_time), said(one.device_time));
        }
        let mut readings: Vec<Reading> = Vec::new();
        let mut events: Vec<Event> = Vec::new();
        let mut link = None;
        for one in decoded {
            match one.body {
                Body::Reading(reading) => readings.push(reading),
                Body::Event(event) => events.push(event),
                Body::Link(l) => link = Some(l),
            }
        }
        if link != expected.link {
            let said = |link| match link {
                None => ("没有通断", "no link"),
                Some(Link::Up) => ("link up", "link up"),
                Some(Link::Down(_)) => ("link down", "link down"),
            };
            mismatch(vector, &vector.spot("link"), said(expected.link), said(link));
        }
        self.compare_points(vector, readings, expected.points);
        self.compare_events(vector, &events, &expected.events);
    }

    fn compare_points(
        &mut self,
        vector: &Reader<'_>,
        mut got: Vec<Reading>,
        expected: Vec<(ExpectedPoint, Spot)>,
    ) {
        for (point, spot) in expected {
            let Some(at) = got.iter().position(|r| r.point.as_str() == point.id) else {
                mismatch(vector, &spot, point.said(), ("没有这个测点", "no such point"));
                continue;
            };
            let reading = got.swap_remove(at);
            if point.same(&reading, self.single(&point.id)) {
                if reading.value.is_some() {
                    self.points.insert(reading.point);
                }
            } else {
                mismatch(vector, &spot, point.said(), said(&reading));
            }
        }
        for reading in got {
            let Text { zh, en } = said(&reading);
            let got = (format!("{} {zh}", reading.point), format!("{} {en}", reading.point));
            mismatch(vector, &vector.here(), ("没有别的测点", "no further point"), got);
        }
    }

    fn compare_events(&mut self, vector: &Reader<'_>, got: &[Event], expected: &[(String, Spot)]) {
        for (i, event) in got.iter().enumerate() {
            let said = said_event(event);
            match expected.get(i) {
                Some((wanted, _)) if *wanted == said => {
                    self.events.insert(event.kind);
                }
                Some((wanted, spot)) => mismatch(vector, spot, Text::same(wanted), Text::same(said)),
                None => {
                    mismatch(vector, &vector.here(), ("没有别的事件", "no further event"), Text::same(said))
                }
            }
        }
        for (wanted, spot) in expected.iter().skip(got.len()) {
            mismatch(vector, spot, Text::same(wanted), ("没有这个事件", "no such event"));
        }
    }

    /// Whether a point is sent as a 32-bit float; then values are compared as such.
    fn single(&self, point: &str) -> bool {
        match &self.profile.wire {
            Wire::Modbus(registers) => registers.register(point).is_some_and(Register::is_float32),
            Wire::Digits(_) | Wire::Mqtt(_) | Wire::Onvif(_) | Wire::Noticed(_) => false,
        }
    }

    fn coverage(&self, reader: &Reader<'_>) {
        let points = self.profile.points.iter().filter(|p| !self.points.contains(&p.id));
        let events = self.profile.events.iter().filter(|kind| !self.events.contains(kind));
        let writes = self.profile.writable().into_iter().map(|w| w.point);
        let writes = writes.filter(|point| !self.written.contains(point));
        let missing = points.map(|p| (format!("测点 '{}'", p.id), format!("point '{}'", p.id)));
        let missing = missing.chain(events.map(|k| (format!("事件 '{k}'"), format!("event '{k}'"))));
        let missing =
            missing.chain(writes.map(|point| (format!("写 '{point}'"), format!("write of '{point}'"))));
        for (zh, en) in missing {
            reader.problems().at(
                &reader.here(),
                (format!("没有测试向量给出模板的{zh}"), format!("no vector gives the {en} of the profile")),
                ("加一个能给出它的测试向量", "add a vector that does"),
            );
        }
    }
}

fn words(reader: &Reader<'_>) -> Option<Vec<u16>> {
    reader.parsed(
        "words",
        ("每个寄存器写四位数：\"435C 199A\"", "write registers as four digits each: \"435C 199A\""),
        |text| {
            let word = |w: &str| if w.len() == 4 { u16::from_str_radix(w, 16).ok() } else { None };
            text.split_whitespace()
                .map(word)
                .collect::<Option<Vec<u16>>>()
                .ok_or(("有的寄存器不是十六进制", "a word is not hexadecimal"))
        },
    )
}

fn bytes(reader: &Reader<'_>, key: &str) -> Option<Vec<u8>> {
    reader.parsed(
        key,
        ("每个字节写两位数：\"7B 7D\"", "write two digits per byte: \"7B 7D\""),
        |text| {
            let byte = |b: &str| if b.len() == 2 { u8::from_str_radix(b, 16).ok() } else { None };
            text.split_whitespace()
                .map(byte)
                .collect::<Option<Vec<u8>>>()
                .ok_or(("有的字节不是十六进制", "a byte is not hexadecimal"))
        },
    )
}

fn wall(text: &str) -> Result<Wall, (String, String)> {
    let time = text.parse::<Timestamp>().map(|t| Wall(t.as_millisecond()));
    time.map_err(|error| (format!("这不是 RFC 3339 时间：{error}"), error.to_string()))
}

/// Compares what the device is answered: topic and JSON.
fn answered(vector: &Reader<'_>, got: Option<Reply>) {
    let Some(table) = vector.table("reply") else { return };
    let (topic_wanted, payload_wanted) = (table.text("topic"), table.text("payload"));
    table.finish();
    let said = got.map(|reply| format!("{} {}", reply.topic, String::from_utf8_lossy(&reply.payload)));
    let wanted = format!("{} {}", topic_wanted.unwrap_or_default(), payload_wanted.unwrap_or_default());
    if said.as_ref() != Some(&wanted) {
        let said = said.map_or_else(|| ("没有应答", "no reply").into(), Text::same);
        mismatch(vector, &vector.spot("reply"), Text::same(wanted), said);
    }
}

/// What is expected and what came, in the words of a vector.
fn mismatch(vector: &Reader<'_>, spot: &Spot, expected: impl Into<Text>, got: impl Into<Text>) {
    let (expected, got) = (expected.into(), got.into());
    vector.problems().at(
        spot,
        (format!("模板给出：{}", got.zh), format!("the profile gives: {}", got.en)),
        (
            format!("应为：{}；请改模板或测试向量", expected.zh),
            format!("expected: {}; mend the profile or the vector", expected.en),
        ),
    );
}

struct Expected {
    points: Vec<(ExpectedPoint, Spot)>,
    events: Vec<(String, Spot)>,
    link: Option<Link>,
    device_time: Option<Wall>,
    refused: Option<String>,
}

struct ExpectedPoint {
    id: String,
    value: Option<f64>,
    unit: String,
    /// `good`, or the doubt's word.
    quality: String,
}

impl ExpectedPoint {
    #[expect(clippy::cast_possible_truncation, reason = "the device sent this many digits and no more")]
    fn same(&self, reading: &Reading, single: bool) -> bool {
        let value = match (self.value, reading.value) {
            (Some(a), Some(b)) if single => (a as f32).to_bits() == (b as f32).to_bits(),
            (a, b) => a == b,
        };
        value && self.unit == reading.unit.symbol() && self.quality == quality(reading.quality)
    }

    fn said(&self) -> Text {
        let Text { zh, en } = number(self.value);
        let (id, unit, quality) = (&self.id, &self.unit, &self.quality);
        Text::new(format!("{id} {zh} {unit}, {quality}"), format!("{id} {en} {unit}, {quality}"))
    }
}

fn said(reading: &Reading) -> Text {
    let Text { zh, en } = number(reading.value);
    let (unit, quality) = (reading.unit, quality(reading.quality));
    Text::new(format!("{zh} {unit}, {quality}"), format!("{en} {unit}, {quality}"))
}

fn number(value: Option<f64>) -> Text {
    value.map_or_else(|| ("无数值", "no value").into(), |value| Text::same(value.to_string()))
}

fn refused(kind: &str) -> Text {
    Text::same(format!("refused = \"{kind}\""))
}

fn no_refusal() -> Text {
    ("没有拒绝", "no refusal").into()
}

fn quality(quality: Quality) -> &'static str {
    quality.doubt().map_or("good", |doubt| doubt.as_str())
}

/// An event in the order and words of a vector.
fn said_event(event: &Event) -> String {
    let mut parts = vec![format!("kind {}", event.kind), format!("phase {}", event.phase)];
    parts.extend(event.serial.iter().map(|serial| format!("serial {serial}")));
    parts.extend(event.code.iter().map(|code| format!("code {code}")));
    if let Some(credential) = &event.credential {
        parts.push(format!("carrier {}", credential.carrier));
        parts.push(format!("service {}", credential.service));
        parts.push(format!("direction {}", credential.direction));
        parts.push(format!("result {}", credential.result));
        parts.extend(credential.reason.map(|reason| format!("reason {reason}")));
        parts.extend(credential.person.iter().map(|person| format!("person {}", person.as_str())));
    }
    parts.join(", ")
}

//! Reading `profile.toml`: the header, and what every protocol's points and events share.

use super::digits::{Digits, Standard};
use super::message::Messages;
use super::modbus::Registers;
use super::notices::Codes;
use super::onvif::Notifications;
use super::ratio::{Ratio, Ratios};
use super::{Point, Profile, Protocol, Wire};
use crate::document::{Document, Problems, Reader};
use crate::model::{EventKind, Phase, PointId, PointKind, ProfileId, Text, Unit};
use std::collections::BTreeSet;

/// Reads a profile; problems are noted, and `None` is returned when there is any.
#[must_use]
pub fn parse(file: &str, text: &str, problems: &Problems) -> Option<Profile> {
    let before = problems.len();
    let document = Document::parse(file, text, problems);
    let reader = document.reader(problems);
    if problems.len() > before {
        return None;
    }
    let header = header(&reader);
    let protocols = [
        ("modbus", Protocol::Modbus),
        ("dlt645", Protocol::Dlt645),
        ("cjt188", Protocol::Cjt188),
        ("mqtt", Protocol::Mqtt),
        ("onvif", Protocol::Onvif),
        ("isapi", Protocol::Isapi),
        ("dahua", Protocol::Dahua),
        ("zkteco", Protocol::Zkteco),
        ("gb26875", Protocol::Gb26875),
        ("contact-id", Protocol::ContactId),
    ];
    let protocol = reader.word("protocol", &protocols)?;
    let (wire, points, events) = match protocol {
        Protocol::Modbus => {
            let registers = Registers::parse(&reader);
            let (points, events) = (registers.points(), registers.events());
            (Wire::Modbus(registers), points, events)
        }
        Protocol::Dlt645 | Protocol::Cjt188 => {
            let standard = if protocol == Protocol::Dlt645 { Standard::Dlt645 } else { Standard::Cjt188 };
            let digits = Digits::parse(&reader, standard);
            let points = digits.points();
            (Wire::Digits(digits), points, Vec::new())
        }
        Protocol::Mqtt => {
            let messages = Messages::parse(&reader);
            let (points, events) = (messages.points(), messages.events());
            (Wire::Mqtt(messages), points, events)
        }
        Protocol::Onvif => {
            let notifications = Notifications::parse(&reader);
            let events = notifications.events();
            (Wire::Onvif(notifications), Vec::new(), events)
        }
        Protocol::Isapi | Protocol::Dahua | Protocol::Zkteco | Protocol::Gb26875 | Protocol::ContactId => {
            let codes = Codes::parse(&reader);
            let (points, events) = (codes.points(), codes.events());
            (Wire::Noticed(codes), points, events)
        }
    };
    reader.finish();
    let (id, class, name, source, confirmed) = header?;
    (problems.len() == before).then_some(Profile {
        id,
        class,
        name,
        source,
        confirmed,
        protocol,
        points,
        events: in_order_once(events),
        ratios: Ratios::NONE,
        wire,
    })
}

fn header(reader: &Reader<'_>) -> Option<(ProfileId, String, Text, String, bool)> {
    let id = reader.parsed(
        "id",
        ("用小写写 `<厂商>-<型号>`", "write `<vendor>-<model>` in lower case"),
        ProfileId::new,
    );
    let class = reader.parsed(
        "class",
        (
            "写一个词，例如 \"energy-meter\" 或 \"sensor\"",
            "write a word such as \"energy-meter\" or \"sensor\"",
        ),
        |text| {
            let good = !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
            if good {
                Ok(text.to_owned())
            } else {
                Err(("类别只能有小写字母和 '-'", "a class has lower-case letters and '-' only"))
            }
        },
    );
    let vendor = required_text(reader, "vendor");
    let model = required_text(reader, "model");
    if let (Some(id), Some(vendor), Some(model)) = (&id, vendor, model) {
        let expected = format!("{}-{}", slug(&vendor), slug(&model));
        if id.as_str() != expected {
            reader.problem(
                "id",
                ("'id' 不是由 vendor 和 model 组成的", "'id' is not made of vendor and model"),
                (
                    format!("写 id = \"{expected}\"，或改 vendor 或 model"),
                    format!("write id = \"{expected}\", or change vendor or model"),
                ),
            );
        }
    }
    let name = name(reader);
    let source = required_text(reader, "source");
    let confirmed = reader.flag_opt("confirmed");
    if !reader.has("confirmed") {
        reader.problem(
            "confirmed",
            ("缺少 'confirmed'", "'confirmed' is missing"),
            ("用这个模板读过真实设备就加上 `confirmed = true`，否则加上 `confirmed = false`", "add `confirmed = true` if a real device was read with this profile, else `confirmed = false`"),
        );
    }
    Some((id?, class?, name?, source?, confirmed?))
}

/// Lower-case letters and digits, everything else a single '-'.
fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

fn required_text(reader: &Reader<'_>, key: &str) -> Option<String> {
    reader.parsed(key, ("至少写一个词", "write at least one word"), |text| {
        if text.trim().is_empty() {
            Err(("文字是空的", "the text is empty"))
        } else {
            Ok(text.to_owned())
        }
    })
}

fn name(reader: &Reader<'_>) -> Option<Text> {
    let (zh, en) = (required_text(reader, "name_zh"), required_text(reader, "name_en"));
    Some(Text::new(zh?, en?))
}

fn in_order_once(events: Vec<EventKind>) -> Vec<EventKind> {
    let mut seen = BTreeSet::new();
    events.into_iter().filter(|kind| seen.insert(*kind)).collect()
}

/// What a point is, whatever wire it comes by; `taken` are the ids used so far, `otherwise` the kind when none is
/// written.
pub(super) fn point(
    reader: &Reader<'_>,
    taken: &mut BTreeSet<PointId>,
    otherwise: PointKind,
) -> Option<Point> {
    let id = reader.parsed(
        "id",
        ("写一个编号，例如 \"energy_import\"", "write an id such as \"energy_import\""),
        PointId::new,
    );
    if let Some(id) = &id
        && !taken.insert(id.clone())
    {
        reader.problem(
            "id",
            (format!("测点 '{id}' 写了两次"), format!("the point '{id}' is there twice")),
            ("每个测点用各自的编号", "give every point its own id"),
        );
    }
    let name = name(reader);
    let units: Vec<(&str, Unit)> = Unit::ALL.iter().map(|u| (u.symbol(), *u)).collect();
    let unit = reader.word("unit", &units);
    let kinds = [("gauge", PointKind::Gauge), ("counter", PointKind::Counter), ("state", PointKind::State)];
    let kind = reader.word_opt("kind", &kinds).unwrap_or(otherwise);
    let wrap = reader.number_opt("wrap", f64::MIN_POSITIVE..=1e18);
    let jump = reader.number_opt("jump_per_hour", f64::MIN_POSITIVE..=1e18);
    for (key, written) in [("wrap", wrap), ("jump_per_hour", jump)] {
        if written.is_some() && kind != PointKind::Counter {
            reader.problem(
                key,
                (
                    format!("'{key}' 写在不是累计量的测点上"),
                    format!("'{key}' on a point that does not count"),
                ),
                (
                    format!("写 kind = \"counter\"，或删去 `{key}`"),
                    format!("write kind = \"counter\" or drop `{key}`"),
                ),
            );
        }
    }
    let range = range(reader);
    let ratio = reader.word_opt("ratio", &Ratio::WORDS);
    let point = Point::new(id?, name?, unit?, kind);
    Some(Point { wrap, range, ratio, max_growth_per_hour: jump, ..point })
}

/// Reads `every`: the point is read at every n-th poll of its device.
pub(super) fn every(reader: &Reader<'_>) -> u16 {
    reader.integer_opt("every", 1..=1000).and_then(|every| u16::try_from(every).ok()).unwrap_or(1)
}

fn range(reader: &Reader<'_>) -> Option<(f64, f64)> {
    if !reader.has("range") {
        return None;
    }
    match reader.numbers("range").as_slice() {
        [(low, _), (high, _)] if low < high => Some((*low, *high)),
        _ => {
            reader.problem(
                "range",
                ("'range' 不是从小到大的两个数", "'range' is not two rising numbers"),
                ("写 range = [最小值, 最大值]", "write range = [lowest, highest]"),
            );
            None
        }
    }
}

/// How a raw number becomes a value: `raw × scale + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    factor: f64,
    divide: bool,
    offset: f64,
}

impl Scale {
    /// Reads `scale` and `offset`; missing are 1 and 0.
    pub(super) fn parse(reader: &Reader<'_>) -> Self {
        let scale = reader.number_opt("scale", -1e12..=1e12).unwrap_or(1.0);
        if scale == 0.0 {
            reader.problem(
                "scale",
                ("'scale' 是 0", "'scale' is 0"),
                ("写原始值每一步代表多少，例如 0.1", "write what one raw step is worth, such as 0.1"),
            );
        }
        let offset = reader.number_opt("offset", -1e12..=1e12).unwrap_or(0.0);
        // 0.01 has no exact binary form, 100 has: 12345 / 100 is 123.45, 12345 × 0.01 is not.
        let inverse = (1.0 / scale).round();
        let divide = inverse.abs() > 1.0 && (scale * inverse - 1.0).abs() < 1e-12;
        Self { factor: if divide { inverse } else { scale }, divide, offset }
    }

    pub(super) fn apply(self, raw: f64) -> f64 {
        let scaled = if self.divide { raw / self.factor } else { raw * self.factor };
        scaled + self.offset
    }

    /// The raw number that gives a value.
    pub(super) fn undo(self, value: f64) -> f64 {
        let scaled = value - self.offset;
        if self.divide { scaled * self.factor } else { scaled / self.factor }
    }
}

/// Words of a device and the phase each means; `None` is a word that is no event.
#[derive(Debug, Clone)]
pub(super) struct Phases(Vec<(String, Option<Phase>)>);

impl Phases {
    /// Reads the table `phases`.
    pub(super) fn parse_opt(reader: &Reader<'_>) -> Option<Self> {
        let table = reader.table_opt("phases")?;
        let words = [
            ("start", Some(Phase::Start)),
            ("end", Some(Phase::End)),
            ("moment", Some(Phase::Moment)),
            ("none", None),
        ];
        let keys: Vec<&str> = table.keys().collect();
        if keys.is_empty() {
            reader.problem(
                "phases",
                ("'phases' 是空的", "'phases' is empty"),
                (
                    "写每个值的含义：{ \"true\" = \"start\" }",
                    "write what each value means: { \"true\" = \"start\" }",
                ),
            );
        }
        let phases =
            keys.iter().filter_map(|k| Some(((*k).to_owned(), table.word_opt(k, &words)?))).collect();
        table.finish();
        Some(Self(phases))
    }

    /// As XML Schema writes a boolean: true is a start, false an end.
    pub(super) fn boolean() -> Self {
        let (start, end) = (Some(Phase::Start), Some(Phase::End));
        Self(vec![("true".into(), start), ("1".into(), start), ("false".into(), end), ("0".into(), end)])
    }

    /// What a word means; the outer `None` is a word nobody listed.
    pub(super) fn of(&self, word: &str) -> Option<Option<Phase>> {
        let find = |wanted: &str| self.0.iter().find(|(w, _)| w == wanted).map(|(_, phase)| *phase);
        find(word).or_else(|| find("*"))
    }

    /// The listed words and what each means.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Option<Phase>)> {
        self.0.iter().map(|(word, phase)| (word.as_str(), *phase))
    }

    /// The listed words, for a refusal.
    pub(super) fn known(&self) -> String {
        self.0.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
    }
}

/// Reads `kind` of an event.
pub(super) fn event_kind(reader: &Reader<'_>) -> Option<EventKind> {
    let kinds: Vec<(&str, EventKind)> = EventKind::ALL.iter().map(|k| (k.as_str(), *k)).collect();
    reader.word("kind", &kinds)
}

//! ONVIF: which notification topics of a camera are which events (ONVIF Core Specification, section 9).

mod credential;
pub(super) mod mqtt;

use super::fields::{NAMED, names_somebody};
use super::parse::{self, Phases};
use super::pointer::MAX_TEXT_CHARS;
use super::{Context, Decoded, Notification, Refusal};
use crate::document::Reader;
use crate::model::{Body, Event, EventKind, Phase};
use credential::Credential;
use std::collections::BTreeSet;

/// What one or several topics mean.
#[derive(Debug, Clone)]
struct Meaning {
    topics: Vec<String>,
    kind: EventKind,
    /// The data item that tells start from end; none for a topic that is a moment in itself.
    item: Option<(String, Phases)>,
    /// The item kept as the event's code, such as the token of an input.
    code: Option<String>,
    credential: Option<Credential>,
}

impl Meaning {
    fn parse(reader: &Reader<'_>, taken: &mut BTreeSet<(String, Option<EventKind>)>) -> Option<Self> {
        let kind = parse::event_kind(reader);
        let mut topics = Vec::new();
        for (topic, spot) in reader.texts("topics") {
            let clean = plain_topic(&topic);
            if clean.is_empty() || clean != topic {
                reader.problems().at(
                    &spot,
                    (format!("'{topic}' 不是主题"), format!("'{topic}' is not a topic")),
                    (
                        "不写命名空间前缀：\"VideoSource/SignalLoss/ImagingService\"",
                        "write it without namespace prefixes: \"VideoSource/SignalLoss/ImagingService\"",
                    ),
                );
            } else if !taken.insert((clean.clone(), kind)) {
                reader.problems().at(
                    &spot,
                    (format!("'{topic}' 写了两次"), format!("'{topic}' is there twice")),
                    ("留下一个", "keep one of them"),
                );
            }
            topics.push(clean);
        }
        if topics.is_empty() {
            reader.problem(
                "topics",
                ("缺少 'topics'，或者是空的", "'topics' is missing or empty"),
                ("加上 topics = [\"VideoSource/MotionAlarm\"]", "add topics = [\"VideoSource/MotionAlarm\"]"),
            );
        }
        let item = reader
            .text_opt("item")
            .map(|item| (item, Phases::parse_opt(reader).unwrap_or_else(Phases::boolean)));
        let moment = reader.flag_opt("moment") == Some(true);
        if item.is_some() == moment || (moment && reader.has("phases")) {
            reader.problem(
                "moment",
                (
                    "一个通知要么由数据项表示，要么本身就是瞬时事件",
                    "a notification is either told by a data item or a moment in itself",
                ),
                (
                    "写 item = \"State\" 或 moment = true，只写一个",
                    "write item = \"State\", or moment = true, and not both",
                ),
            );
        }
        let code = reader.text_opt("code");
        let credential = reader.table_opt("credential").map(|table| {
            let credential = Credential::parse(&table);
            table.finish();
            credential
        });
        let person = credential.as_ref().and_then(|c| c.person.as_ref());
        if person.is_some() && person == code.as_ref() {
            reader.problem(
                "code",
                ("'code' 会明文留下人员信息", "'code' would keep who it was in the clear"),
                ("换一个数据项", "name another item"),
            );
        }
        if let (Some(kind), true) = (kind, reader.has("credential"))
            && !names_somebody(kind)
        {
            reader.problem("kind", ("这类事件没有凭证", "an event of this kind has no credential"), NAMED);
        }
        Some(Self { topics, kind: kind?, item, code, credential })
    }

    fn decode(&self, cx: &Context<'_>, note: &Notification) -> Result<Option<Event>, Refusal> {
        let phase = match &self.item {
            None => Some(Phase::Moment),
            Some((item, phases)) => {
                let value = find(&note.data, item).ok_or_else(|| {
                    Refusal::new("missing_field", format!("{}: no data item '{item}'", self.topic(note)))
                })?;
                phases.of(value.trim()).ok_or_else(|| {
                    let known = phases.known();
                    let reason = format!("{}: data item '{item}': expected one of {known}", self.topic(note));
                    Refusal::new("unknown_value", reason)
                })?
            }
        };
        let Some(phase) = phase else { return Ok(None) };
        let mut event = Event::bare(self.kind, phase);
        let code = self.code.as_ref().and_then(|c| find(&note.source, c).or_else(|| find(&note.data, c)));
        event.code = code.map(|c| c.trim().chars().take(MAX_TEXT_CHARS).collect());
        event.credential = self.credential.as_ref().map(|credential| credential.read(cx, note));
        Ok(Some(event))
    }

    /// Every item that the meaning is read from.
    fn items(&self) -> impl Iterator<Item = &str> {
        let own = self.item.as_ref().map(|(item, _)| item).into_iter().chain(&self.code);
        own.map(String::as_str).chain(self.credential.iter().flat_map(Credential::items))
    }

    /// The profile's own word for the topic, so that a reason never repeats what a camera sent.
    fn topic(&self, note: &Notification) -> &str {
        let topic = plain_topic(&note.topic);
        self.topics.iter().find(|t| **t == topic).map_or("", String::as_str)
    }
}

fn find<'n>(items: &'n [(String, String)], name: &str) -> Option<&'n str> {
    items.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

/// A topic without blanks and namespace prefixes.
fn plain_topic(topic: &str) -> String {
    let levels = topic.trim().split('/').map(|level| level.rsplit(':').next().unwrap_or(level).trim());
    levels.collect::<Vec<_>>().join("/")
}

/// A camera's topics.
#[derive(Debug, Clone)]
pub(super) struct Notifications(Vec<Meaning>);

impl Notifications {
    /// Reads every `[[notification]]`.
    pub(super) fn parse(reader: &Reader<'_>) -> Self {
        let tables = reader.tables("notification");
        if tables.is_empty() {
            reader.problem(
                "notification",
                ("模板里没有通知", "the profile has no notification"),
                ("每类事件写一个 `[[notification]]`", "write one `[[notification]]` per kind of event"),
            );
        }
        let mut taken = BTreeSet::new();
        let mut meanings = Vec::new();
        for table in tables {
            meanings.extend(Meaning::parse(&table, &mut taken));
            table.finish();
        }
        Self(meanings)
    }

    pub(super) fn events(&self) -> Vec<EventKind> {
        self.0.iter().map(|m| m.kind).collect()
    }

    /// Whether an event says who it was.
    pub(super) fn personal(&self) -> bool {
        self.0.iter().any(|m| m.credential.as_ref().is_some_and(|c| c.person.is_some()))
    }

    /// Every source and data item that a topic's meanings are read from.
    fn items(&self, topic: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |m| m.topics.iter().any(|t| t == topic)).flat_map(Meaning::items)
    }

    pub(super) fn decode(&self, cx: &Context<'_>, note: &Notification) -> Result<Vec<Decoded>, Refusal> {
        let topic = plain_topic(&note.topic);
        let mut decoded = Vec::new();
        for meaning in self.0.iter().filter(|m| m.topics.contains(&topic)) {
            let event = meaning.decode(cx, note)?;
            decoded
                .extend(event.map(|event| Decoded { device_time: note.utc_time, body: Body::Event(event) }));
        }
        Ok(decoded)
    }
}

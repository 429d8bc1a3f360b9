//! MQTT: which topics a device sends, and which JSON fields of them are which points and events.

use super::fields::{DeviceTime, EventField, PointField, urgent};
use super::onvif::{Notifications, mqtt};
use super::pointer::{POINTER_ADVICE, Pointers, check_pointer, place};
use super::reply::Template;
use super::topic::{check_filter, check_shared, topic_matches};
use super::{Context, Decoded, Point, Refusal, Said};
use crate::document::Reader;
use crate::model::{Body, EventKind, Fault, Link, PointId};
use crate::notice::json::{self, Fields, Leaf};
use std::collections::BTreeSet;

/// A device's messages.
#[derive(Debug, Clone)]
pub(super) struct Messages {
    messages: Vec<Message>,
    personal: bool,
    notifications: Option<Notifications>,
}

/// One topic and what its payload holds.
#[derive(Debug, Clone)]
struct Message {
    filter: String,
    /// On a topic that devices share: the field with the sender's address.
    sender: Option<String>,
    /// What the device waits for.
    reply: Option<Template>,
    ignorable: bool,
    time: Option<DeviceTime>,
    content: Content,
    /// Every pointer that is read.
    wanted: BTreeSet<String>,
}

#[derive(Debug, Clone)]
enum Content {
    Fields {
        points: Vec<PointField>,
        events: Vec<EventField>,
    },
    Availability {
        at: String,
        online: Vec<String>,
        offline: Vec<String>,
    },
    /// Nothing that is read: its sender is there, and that is all.
    Alive,
    /// ONVIF events: the profile's `[[notification]]` says what they mean.
    Notifications,
}

impl Message {
    fn parse(reader: &Reader<'_>, dropped: &[String], taken: &mut BTreeSet<PointId>) -> Option<Self> {
        let advice = (
            "写上一次 {address}，例如 \"zigbee2mqtt/{address}\"",
            "write it with {address} once, such as \"zigbee2mqtt/{address}\"",
        );
        let mut pointers = Pointers { dropped, wanted: BTreeSet::new() };
        let sender = pointers.read_opt(reader, "sender");
        let filter = match sender {
            None => reader.parsed("topic", advice, check_filter),
            Some(_) => reader.parsed(
                "topic",
                ("不写 {address}：已经写明了发送者", "write it without {address}: the sender is named"),
                check_shared,
            ),
        };
        let ignorable = reader.flag_opt("ignorable").unwrap_or(false);
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
        let onvif = reader.flag_opt("onvif") == Some(true);
        let kinds = [has_fields, availability.is_some(), onvif].into_iter().filter(|there| *there).count();
        if kinds != 1 && !(kinds == 0 && ignorable) {
            reader.problem(
                "topic",
                ("一个消息只能是测点和事件、设备在线状态、ONVIF 事件三者之一", "a message holds either points and events, or the availability of the device, or ONVIF events"),
                ("加上 `[[message.point]]`、`[[message.event]]`、`[message.availability]` 或 `onvif = true`，只用一种", "add `[[message.point]]`, `[[message.event]]`, `[message.availability]` or `onvif = true`, and one alone"),
            );
        }
        let reply = reader.table_opt("reply").and_then(|table| {
            let reply = Template::parse(&table, &mut pointers);
            table.finish();
            reply
        });
        let content = match availability {
            _ if onvif => Some(Content::Notifications),
            None if !has_fields && ignorable => Some(Content::Alive),
            Some(availability) => availability,
            None => Some(Content::Fields { points, events }),
        };
        let wanted = pointers.wanted;
        Some(Self { filter: filter?, sender, reply, ignorable, time, content: content?, wanted })
    }

    fn is_on(&self, address: &str, topic: &str) -> bool {
        match self.filter.split_once("{address}") {
            None => topic_matches(&self.filter, topic),
            // Filters mostly are a topic with the address in it.
            Some((before, after)) if !self.filter.contains(['+', '#']) && !address.contains(['+', '#']) => {
                let rest = topic.strip_prefix(before).and_then(|rest| rest.strip_prefix(address));
                rest == Some(after)
            }
            Some(_) => topic_matches(&self.filter.replace("{address}", address), topic),
        }
    }

    /// That the sender is the device of this address.
    fn check_sender(&self, address: &str, fields: &Fields) -> Result<(), Refusal> {
        let Some(sender) = &self.sender else { return Ok(()) };
        match fields.word(sender) {
            Some(word) if word == address => Ok(()),
            Some(_) => {
                Err(Refusal::new(Refusal::OTHER_DEVICE, format!("{} names another device", place(sender))))
            }
            None => Err(Refusal::new(
                "missing_field",
                format!("{} is missing; expected who sends", place(sender)),
            )),
        }
    }

    /// What a message says, and what its device waits for. Its JSON is read once for both, and not at all where nothing
    /// is wanted of it: a bare word, or a sign of life on a topic of the device's own.
    fn hear(&self, cx: &Context<'_>, address: &str, payload: &[u8]) -> Said {
        let text = match json::text(payload) {
            Ok(text) => text,
            Err(unreadable) => return Said::refused(unreadable.into()),
        };
        let bare = match &self.content {
            _ if self.sender.is_some() => None,
            Content::Alive => Some(Body::Link(Link::Up)),
            Content::Availability { online, offline, .. } => link(text.trim(), online, offline),
            Content::Fields { .. } | Content::Notifications => None,
        };
        if let (Some(body), None) = (&bare, &self.reply) {
            return Said {
                decoded: Ok(vec![Decoded { device_time: None, body: body.clone() }]),
                reply: None,
            };
        }
        let mut fields = json::read(text, &self.wanted).map_err(Refusal::from);
        if let Ok(read) = &fields
            && let Err(refusal) = self.check_sender(address, read)
        {
            fields = Err(refusal);
        }
        let reply = self.reply.as_ref().zip(fields.as_ref().ok());
        let reply = reply.and_then(|(reply, fields)| reply.fill(address, fields));
        let alone = |body| vec![Decoded { device_time: None, body }];
        let decoded = match (bare, &self.content) {
            (Some(body), _) => Ok(alone(body)),
            (None, Content::Fields { points, events }) => {
                fields.and_then(|fields| self.decode_fields(cx, fields, points, events))
            }
            (None, Content::Availability { at, online, offline }) => fields.and_then(|fields| {
                let word = fields.get(at).and_then(Leaf::word);
                word.and_then(|word| link(&word, online, offline)).map(alone).ok_or_else(|| {
                    let known = online.iter().chain(offline).map(|w| format!("\"{w}\""));
                    let known = known.collect::<Vec<_>>().join(", ");
                    Refusal::new("unknown_value", format!("{} is not one of {known}", place(at)))
                })
            }),
            (None, Content::Alive) => fields.map(|_| alone(Body::Link(Link::Up))),
            (None, Content::Notifications) => Ok(Vec::new()),
        };
        Said { decoded, reply }
    }

    fn decode_fields(
        &self,
        cx: &Context<'_>,
        mut fields: Fields,
        points: &[PointField],
        events: &[EventField],
    ) -> Result<Vec<Decoded>, Refusal> {
        let mut trouble = fields.take_trouble().map(Refusal::from);
        let mut known = false;
        let mut bodies = Vec::new();
        let mut saved = false;
        let mut withheld = None;
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
            match point.read(cx, &fields) {
                Ok(reading) => {
                    known |= reading.is_some();
                    bodies.extend(reading.map(Body::Reading));
                }
                // What is not to be taken costs nothing else of the message.
                Err(refusal) if refusal == Refusal::health() => withheld = Some(refusal),
                Err(refusal) => trouble = trouble.or(Some(refusal)),
            }
        }
        let known = known || withheld.is_some();
        if bodies.is_empty() {
            trouble = trouble.or(withheld);
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

/// What a word says of the device's availability.
fn link(word: &str, online: &[String], offline: &[String]) -> Option<Body> {
    let is = |words: &[String]| words.iter().any(|w| w == word);
    let down = || is(offline).then_some(Link::Down(Fault::Unreachable));
    if is(online) { Some(Link::Up) } else { down() }.map(Body::Link)
}

fn availability(reader: &Reader<'_>, pointers: &mut Pointers<'_>) -> Option<Content> {
    let words = |key: &str| {
        let words: Vec<String> = reader.texts(key).into_iter().map(|(word, _)| word).collect();
        if words.is_empty() {
            reader.problem(
                key,
                (format!("缺少 '{key}'，或者是空的"), format!("'{key}' is missing or empty")),
                (format!("加上 {key} = [\"{key}\"]"), format!("add {key} = [\"{key}\"]")),
            );
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
                    _ => mqtt.problems().at(
                        &spot,
                        ("这不是指向字段的 JSON 指针", "this is not a JSON pointer to a field"),
                        POINTER_ADVICE,
                    ),
                }
            }
            mqtt.finish();
        }
        let tables = reader.tables("message");
        if tables.is_empty() {
            reader.problem(
                "message",
                ("模板里没有消息", "the profile has no message"),
                ("每个主题写一个 `[[message]]`", "write one `[[message]]` per topic"),
            );
        }
        let mut taken = BTreeSet::new();
        let mut messages: Vec<Message> = Vec::new();
        for table in tables {
            if let Some(message) = Message::parse(&table, &dropped, &mut taken) {
                if messages.iter().any(|m| m.filter == message.filter) {
                    table.problem(
                        "topic",
                        ("两个消息用了这个主题", "two messages have this topic"),
                        ("把它们的字段写进同一个 [[message]]", "put their fields into one [[message]]"),
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
            Content::Availability { .. } | Content::Alive | Content::Notifications => false,
        };
        let notifications = messages.iter().any(|m| matches!(m.content, Content::Notifications));
        let notifications = notifications.then(|| Notifications::parse(reader));
        let personal = !dropped.is_empty()
            || messages.iter().any(names_a_person)
            || notifications.as_ref().is_some_and(Notifications::personal);
        Self { messages, personal, notifications }
    }

    pub(super) fn personal(&self) -> bool {
        self.personal
    }

    fn fields(&self) -> impl Iterator<Item = (&[PointField], &[EventField])> {
        self.messages.iter().filter_map(|message| match &message.content {
            Content::Fields { points, events } => Some((points.as_slice(), events.as_slice())),
            Content::Availability { .. } | Content::Alive | Content::Notifications => None,
        })
    }

    pub(super) fn points(&self) -> Vec<Point> {
        self.fields().flat_map(|(points, _)| points).map(|p| p.point.clone()).collect()
    }

    pub(super) fn points_mut(&mut self) -> impl Iterator<Item = &mut Point> {
        let fields = self.messages.iter_mut().filter_map(|message| match &mut message.content {
            Content::Fields { points, .. } => Some(points),
            Content::Availability { .. } | Content::Alive | Content::Notifications => None,
        });
        fields.flatten().map(|field| &mut field.point)
    }

    pub(super) fn events(&self) -> Vec<EventKind> {
        let told = self.fields().flat_map(|(_, events)| events).map(|e| e.kind);
        told.chain(self.notifications.iter().flat_map(Notifications::events)).collect()
    }

    pub(super) fn topics(&self, address: &str) -> Vec<String> {
        self.messages.iter().map(|m| m.filter.replace("{address}", address)).collect()
    }

    pub(super) fn hear(&self, cx: &Context<'_>, address: &str, topic: &str, payload: &[u8]) -> Said {
        let Some(message) = self.messages.iter().find(|m| m.is_on(address, topic)) else {
            let reason = "the profile names no such topic for this device";
            return Said::refused(Refusal::new("wrong_topic", reason));
        };
        let said = message.hear(cx, address, payload);
        match (&message.content, &self.notifications) {
            (Content::Notifications, Some(notifications)) => {
                Said { decoded: mqtt::decode(notifications, cx, topic, payload), ..said }
            }
            _ => said,
        }
    }

    pub(super) fn reply_topics(&self, address: &str) -> Vec<String> {
        self.messages.iter().filter_map(|m| Some(m.reply.as_ref()?.topic(address))).collect()
    }
}

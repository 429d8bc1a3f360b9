//! MQTT: the acknowledgement that a device waits for, made of what its message says.

use super::Reply;
use super::pointer::{MAX_TEXT_CHARS, Pointers, check_pointer};
use super::topic::check_filter;
use crate::document::Reader;
use crate::notice::json::{Fields, Leaf};
use serde_json::Value;

/// Longest acknowledgement as it stands in a profile, in bytes.
const MAX_TEMPLATE: usize = 2000;

/// The acknowledgement of a message.
#[derive(Debug, Clone)]
pub(super) struct Template {
    topic: String,
    payload: Vec<Part>,
}

/// A piece of an acknowledgement's JSON.
#[derive(Debug, Clone)]
enum Part {
    /// As it stands in the profile.
    Fixed(String),
    /// That field of the message, which a text such as `{/info/RecordID}` stands for.
    Field(String),
}

impl Template {
    /// Reads `[message.reply]`.
    pub(super) fn parse(reader: &Reader<'_>, pointers: &mut Pointers<'_>) -> Option<Self> {
        let advice = (
            "写主题，其中写一次 {address}：\"mqtt/face/{address}\"",
            "write the topic with {address} once: \"mqtt/face/{address}\"",
        );
        let topic = reader.parsed("topic", advice, |topic| match topic.contains(['+', '#']) {
            true => Err(("不能向通配符主题发布", "nothing can be published to a wildcard")),
            false => check_filter(topic),
        });
        let advice = (
            "写 JSON：payload = '{\"operator\":\"PushAck\",\"info\":{\"RecordID\":\"{/info/RecordID}\"}}'",
            "write JSON: payload = '{\"operator\":\"PushAck\",\"info\":{\"RecordID\":\"{/info/RecordID}\"}}'",
        );
        let payload = reader.parsed("payload", advice, |text| {
            let payload = serde_json::from_str(text).ok().filter(Value::is_object);
            payload
                .filter(|_| text.len() <= MAX_TEMPLATE)
                .ok_or(("这不是 JSON 对象，或者太长", "this is no JSON object, or a very long one"))
        });
        let payload: Value = payload?;
        note_fields(&payload, reader, pointers);
        let mut parts = Vec::new();
        take_apart(&payload, &mut parts);
        Some(Self { topic: topic?, payload: parts })
    }

    /// The acknowledgement, unless something that it repeats is missing from the message.
    pub(super) fn fill(&self, address: &str, fields: &Fields) -> Option<Reply> {
        let mut payload = Vec::with_capacity(128);
        for part in &self.payload {
            match part {
                Part::Fixed(text) => payload.extend_from_slice(text.as_bytes()),
                Part::Field(pointer) => match fields.get(pointer)? {
                    Leaf::Number(number) => serde_json::to_writer(&mut payload, number).ok()?,
                    Leaf::Text(text) if text.chars().count() <= MAX_TEXT_CHARS => {
                        serde_json::to_writer(&mut payload, text).ok()?;
                    }
                    Leaf::Bool(flag) => serde_json::to_writer(&mut payload, flag).ok()?,
                    _ => return None,
                },
            }
        }
        Some(Reply { topic: self.topic(address), payload })
    }

    /// Where the device listens for it.
    pub(super) fn topic(&self, address: &str) -> String {
        self.topic.replace("{address}", address)
    }
}

/// The field that a text stands for.
fn field(text: &str) -> Option<&str> {
    text.strip_prefix("{/")?.strip_suffix('}').and_then(|_| text.get(1..text.len() - 1))
}

fn note_fields(value: &Value, reader: &Reader<'_>, pointers: &mut Pointers<'_>) {
    match value {
        Value::String(text) => {
            if let Some(pointer) = field(text) {
                match check_pointer(pointer) {
                    Ok(pointer) => pointers.note(reader, "payload", &pointer),
                    Err(why) => reader.problem("payload", why, super::pointer::POINTER_ADVICE),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| note_fields(item, reader, pointers)),
        Value::Object(items) => items.values().for_each(|item| note_fields(item, reader, pointers)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Appends what a value consists of.
fn take_apart(value: &Value, parts: &mut Vec<Part>) {
    match value {
        Value::String(text) if let Some(pointer) = field(text) => parts.push(Part::Field(pointer.to_owned())),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                fixed(if index == 0 { "[" } else { "," }, parts);
                take_apart(item, parts);
            }
            fixed(if items.is_empty() { "[]" } else { "]" }, parts);
        }
        Value::Object(items) => {
            for (index, (key, item)) in items.iter().enumerate() {
                let key = Value::from(key.as_str());
                fixed(&format!("{}{key}:", if index == 0 { '{' } else { ',' }), parts);
                take_apart(item, parts);
            }
            fixed(if items.is_empty() { "{}" } else { "}" }, parts);
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {
            fixed(&value.to_string(), parts)
        }
    }
}

fn fixed(text: &str, parts: &mut Vec<Part>) {
    match parts.last_mut() {
        Some(Part::Fixed(before)) => before.push_str(text),
        _ => parts.push(Part::Fixed(text.to_owned())),
    }
}

#[cfg(test)]
mod tests;

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
    /// JSON in which a text such as `{/info/RecordID}` stands for that field of the message.
    payload: Value,
}

impl Template {
    /// Reads `[message.reply]`.
    pub(super) fn parse(reader: &Reader<'_>, pointers: &mut Pointers<'_>) -> Option<Self> {
        let advice = "write the topic with {address} once: \"mqtt/face/{address}\"";
        let topic = reader.parsed("topic", advice, |topic| match topic.contains(['+', '#']) {
            true => Err("nothing can be published to a wildcard"),
            false => check_filter(topic),
        });
        let advice =
            "write JSON: payload = '{\"operator\":\"PushAck\",\"info\":{\"RecordID\":\"{/info/RecordID}\"}}'";
        let payload = reader.parsed("payload", advice, |text| {
            let payload = serde_json::from_str(text).ok().filter(Value::is_object);
            payload.filter(|_| text.len() <= MAX_TEMPLATE).ok_or("this is no JSON object, or a very long one")
        });
        let payload: Value = payload?;
        note_fields(&payload, reader, pointers);
        Some(Self { topic: topic?, payload })
    }

    /// The acknowledgement, unless something that it repeats is missing from the message.
    pub(super) fn fill(&self, address: &str, fields: &Fields) -> Option<Reply> {
        let mut payload = self.payload.clone();
        fill(&mut payload, fields)?;
        Some(Reply {
            topic: self.topic.replace("{address}", address),
            payload: payload.to_string().into_bytes(),
        })
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

/// Puts fields in their places; `None` if one of them is not there or no scalar.
fn fill(value: &mut Value, fields: &Fields) -> Option<()> {
    match value {
        Value::String(text) => {
            if let Some(pointer) = field(text) {
                *value = match fields.get(pointer)? {
                    Leaf::Number(number) => Value::Number(number.clone()),
                    Leaf::Text(text) if text.chars().count() <= MAX_TEXT_CHARS => Value::String(text.clone()),
                    Leaf::Bool(flag) => Value::Bool(*flag),
                    _ => return None,
                };
            }
            Some(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| fill(item, fields)),
        Value::Object(items) => items.values_mut().try_for_each(|item| fill(item, fields)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(()),
    }
}

#[cfg(test)]
mod tests;

//! ONVIF events that a camera publishes itself: `<prefix>/onvif-ej/<topic>[/&<source values>]` with JSON in it (ONVIF
//! Core Specification, section 9.11: event broker).
//!
//! What a property is when somebody subscribes comes as a retained message. A message without a byte says that a
//! property is gone, which is neither a start nor an end.

use super::Notifications;
use crate::model::Wall;
use crate::notice::json::{self, Fields};
use crate::profile::{Context, Decoded, Notification, Refusal};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// What stands between the prefix of a topic and the event's own topic.
const MARK: &str = "onvif-ej/";

/// Decodes one message by the profile's table of topics.
pub(in crate::profile) fn decode(
    notifications: &Notifications,
    cx: &Context<'_>,
    topic: &str,
    payload: &[u8],
) -> Result<Vec<Decoded>, Refusal> {
    let wrong = || Refusal::new("wrong_topic", "the topic is not <prefix>/onvif-ej/<topic>");
    let (prefix, topic) = topic.split_once(MARK).ok_or_else(wrong)?;
    if !prefix.is_empty() && !prefix.ends_with('/') {
        return Err(wrong());
    }
    let topic = topic.split("/&").next().unwrap_or(topic);
    if payload.is_empty() {
        return Ok(Vec::new());
    }
    let topic = super::plain_topic(topic);
    let names: BTreeSet<&str> = notifications.items(&topic).collect();
    let pointer = |of: &str, name: &str| format!("/{of}/{}", name.replace('~', "~0").replace('/', "~1"));
    let wanted = names.iter().flat_map(|name| ["Source", "Data"].map(|of| pointer(of, name)));
    let wanted: BTreeSet<String> = wanted.chain(["/UtcTime".to_owned()]).collect();
    let fields = json::read(json::text(payload)?, &wanted)?;
    // Values stand in quotes or bare.
    let items = |of: &str| items(&fields, &names, |name| pointer(of, name));
    let utc_time = fields.word("/UtcTime").and_then(|word| word.parse::<Timestamp>().ok());
    notifications.decode(
        cx,
        &Notification {
            topic,
            utc_time: utc_time.map(|time| Wall(time.as_millisecond())),
            initialized: false,
            source: items("Source"),
            data: items("Data"),
        },
    )
}

fn items(fields: &Fields, names: &BTreeSet<&str>, pointer: impl Fn(&str) -> String) -> Vec<(String, String)> {
    names.iter().filter_map(|name| Some(((*name).to_owned(), fields.word(&pointer(name))?))).collect()
}

//! Channels that sound or show nearby: `mqtt`, `sound` and `control`.

use super::super::bus::mqtt as broker;
use super::super::fields::quiet;
use super::template::{Escape, template_opt};
use super::web::success;
use super::{Around, Control, MqttTopic, Sound, Success, is_plain};
use crate::document::{Reader, one_of};
use crate::model::{ChannelId, ControlId, Priority};
use std::collections::BTreeMap;

/// `kind = "mqtt"`.
pub(super) fn mqtt(reader: &Reader<'_>, id: Option<&ChannelId>, around: &Around<'_>) -> Option<MqttTopic> {
    let client = format!("{}-{}", around.gateway, id.map_or("channel", ChannelId::as_str));
    let broker = broker(reader, &client, around.sources);
    let advice = "write a topic such as \"school/alarm\", without '+' and '#'";
    let topic = reader.parsed("topic", advice, topic_of);
    let payload = template_opt(reader, "payload", Escape::Json);
    let state_topic = reader.parsed_opt("state_topic", advice, topic_of);
    let success = success(reader)?;
    if reader.has("state_topic") == (success == Success::Status) {
        let (key, message, advice) = if reader.has("state_topic") {
            (
                "state_topic",
                "nothing says what is said there when it was done",
                "add `ok_contains`, or `ok_pointer` and `ok_values`",
            )
        } else {
            ("topic", "nobody says where the answer comes", "add `state_topic`, or remove what judges it")
        };
        reader.problem(key, message, advice);
    }
    let local = reader.flag_opt("local").unwrap_or(false);
    let state = state_topic.map(|topic| (topic, success));
    Some(MqttTopic { broker: broker?, topic: topic?, payload, state, local })
}

fn topic_of(text: &str) -> Result<String, &'static str> {
    if is_plain(text, 250) && !text.contains(['+', '#']) && !text.starts_with('$') {
        Ok(text.to_owned())
    } else {
        Err("this is no topic to publish to")
    }
}

/// `kind = "sound"`.
pub(super) fn sound(reader: &Reader<'_>, around: &Around<'_>) -> Option<Sound> {
    let advice = "write a device as `aplay -L` lists it, such as \"default\" or \"plughw:0,0\"";
    let device = reader.parsed_opt("device", advice, |text| {
        let good = |c: char| c.is_ascii_alphanumeric() || ":,=._-".contains(c);
        let head = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if head && text.len() <= 100 && text.chars().all(good) {
            Ok(text.to_owned())
        } else {
            Err("this is no device of ALSA")
        }
    });
    let mut files = BTreeMap::new();
    if let Some(table) = reader.table_opt("files") {
        for priority in [Priority::Critical, Priority::High, Priority::Medium, Priority::Low] {
            let file = table.parsed_opt(priority.as_str(), "write the path of a file in WAV", |text| {
                if is_plain(text, 1000) { Ok(around.sources.base.join(text)) } else { Err("this is no path") }
            });
            files.extend(file.map(|file| (priority, file)));
        }
        table.finish();
    }
    let device = if reader.has("device") { device? } else { "default".into() };
    Some(Sound { device, files })
}

/// `kind = "control"`.
pub(super) fn control(reader: &Reader<'_>, around: &Around<'_>) -> Option<Control> {
    let before = reader.problems().len();
    let on = reader.number_opt("on", -1e9..=1e9);
    let on = if reader.has("on") { on? } else { 1.0 };
    let id = reader.parsed("control", "write the id of a [[control]]", ControlId::new)?;
    if !around.control_names.contains(id.as_str()) {
        let known: Vec<&str> = around.control_names.iter().map(String::as_str).collect();
        let advice = if known.is_empty() {
            format!("add a [[control]] with `id = \"{id}\"`")
        } else {
            one_of(id.as_str(), &known)
        };
        reader.problem("control", format!("there is no control '{id}'"), advice);
        return None;
    }
    // One with a problem of its own is not judged.
    let spec = around.controls.all.iter().find(|spec| spec.id == id)?;
    if !around.controls.enabled {
        reader.problem(
            "control",
            "control is off, so nothing would be switched",
            "write `enabled = true` under [controls]",
        );
    }
    match spec.allowed.find(on) {
        None => {
            let advice = format!("write one of those that are allowed ({}) as `on`", spec.allowed);
            reader.problem("control", format!("'{id}' cannot be {on}"), advice);
        }
        Some(on) if spec.rest == Some(on) => {
            reader.problem(
                "control",
                format!("for '{id}', {on} is off"),
                "write the value that is on as `on`",
            );
        }
        Some(_) if spec.exit => {
            let advice = "name another [[control]]: software only ever brings an exit to rest";
            reader.problem("control", format!("'{id}' is an exit"), advice);
        }
        Some(_) => {}
    }
    if spec.max_on.is_none() || spec.rest.is_none() {
        reader.problem(
            "control",
            format!("'{id}' would stay on until somebody comes"),
            "add `rest = 0` and `max_on_secs = …` to the [[control]]",
        );
    }
    if spec.dry_run {
        quiet(
            reader,
            "control",
            format!("'{id}' is only tried, never switched"),
            "remove `dry_run` from the [[control]]",
        );
    }
    (reader.problems().len() == before).then_some(Control { control: id, on })
}

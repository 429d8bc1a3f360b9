//! Channels that sound or show nearby: `mqtt`, `sound` and `control`.

use super::super::bus::mqtt as broker;
use super::super::control::{CONTROL, told};
use super::super::fields::{id_of, quiet};
use super::super::names::absent;
use super::template::{Escape, template_opt};
use super::web::success;
use super::{Around, Control, MqttTopic, Sound, Success, is_plain};
use crate::document::Reader;
use crate::model::{ChannelId, ControlId, Priority};
use std::collections::BTreeMap;

/// `kind = "mqtt"`.
pub(super) fn mqtt(reader: &Reader<'_>, id: Option<&ChannelId>, around: &Around<'_>) -> Option<MqttTopic> {
    let client = format!("{}-{}", around.gateway, id.map_or("channel", ChannelId::as_str));
    let broker = broker(reader, &client, around.sources);
    let advice = (
        "写主题，如 \"school/alarm\"，不带 '+' 和 '#'",
        "write a topic such as \"school/alarm\", without '+' and '#'",
    );
    let topic = reader.parsed("topic", advice, topic_of);
    let payload = template_opt(reader, "payload", Escape::Json);
    let state_topic = reader.parsed_opt("state_topic", advice, topic_of);
    let success = success(reader)?;
    if reader.has("state_topic") == (success == Success::Status) {
        let (key, message, advice) = if reader.has("state_topic") {
            (
                "state_topic",
                ("没有写怎样的回报才算做到", "nothing says what is said there when it was done"),
                (
                    "加上 `ok_contains`，或 `ok_pointer` 和 `ok_values`",
                    "add `ok_contains`, or `ok_pointer` and `ok_values`",
                ),
            )
        } else {
            (
                "topic",
                ("没有写从哪里得到回报", "nobody says where the answer comes"),
                ("加上 `state_topic`，或删去判断回报的键", "add `state_topic`, or remove what judges it"),
            )
        };
        reader.problem(key, message, advice);
    }
    let local = reader.flag_opt("local").unwrap_or(false);
    let state = state_topic.map(|topic| (topic, success));
    Some(MqttTopic { broker: broker?, topic: topic?, payload, state, local })
}

fn topic_of(text: &str) -> Result<String, (&'static str, &'static str)> {
    if is_plain(text, 250) && !text.contains(['+', '#']) && !text.starts_with('$') {
        Ok(text.to_owned())
    } else {
        Err(("这不是可以发布的主题", "this is no topic to publish to"))
    }
}

/// `kind = "sound"`.
pub(super) fn sound(reader: &Reader<'_>, around: &Around<'_>) -> Option<Sound> {
    let advice = (
        "照 `aplay -L` 列出的写声卡，如 \"default\" 或 \"plughw:0,0\"",
        "write a device as `aplay -L` lists it, such as \"default\" or \"plughw:0,0\"",
    );
    let device = reader.parsed_opt("device", advice, |text| {
        let good = |c: char| c.is_ascii_alphanumeric() || ":,=._-".contains(c);
        let head = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if head && text.len() <= 100 && text.chars().all(good) {
            Ok(text.to_owned())
        } else {
            Err(("这不是 ALSA 的设备", "this is no device of ALSA"))
        }
    });
    let mut files = BTreeMap::new();
    if let Some(table) = reader.table_opt("files") {
        for priority in [Priority::Critical, Priority::High, Priority::Medium, Priority::Low] {
            let advice = ("写 WAV 文件的路径", "write the path of a file in WAV");
            let file = table.parsed_opt(priority.as_str(), advice, |text| match is_plain(text, 1000) {
                true => Ok(around.sources.base.join(text)),
                false => Err(("这不是路径", "this is no path")),
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
    let id = reader.parsed("control", id_of("control"), ControlId::new)?;
    if !around.control_names.contains(id.as_str()) {
        let known = around.control_names.iter().map(String::as_str);
        let (message, advice) = absent(CONTROL, id.as_str(), known);
        reader.problem("control", message, advice);
        return None;
    }
    // One with a problem of its own is not judged.
    let spec = around.controls.all.iter().find(|spec| spec.id == id)?;
    if !around.controls.enabled {
        reader.problem(
            "control",
            ("没有启用控制，什么也不会动作", "control is off, so nothing would be switched"),
            ("在 [controls] 下写 `enabled = true`", "write `enabled = true` under [controls]"),
        );
    }
    match spec.allowed.find(on) {
        None => {
            let allowed = told(&spec.allowed);
            let advice = (
                format!("`on` 写允许的值（{}）", allowed.zh),
                format!("write one of those that are allowed ({}) as `on`", allowed.en),
            );
            let message = (format!("'{id}' 不能是 {on}"), format!("'{id}' cannot be {on}"));
            reader.problem("control", message, advice);
        }
        Some(on) if spec.rest == Some(on) => {
            reader.problem(
                "control",
                (format!("对 '{id}' 来说，{on} 是关"), format!("for '{id}', {on} is off")),
                ("`on` 写表示开的值", "write the value that is on as `on`"),
            );
        }
        Some(_) if spec.exit => {
            let advice = (
                "换一个 [[control]]：软件只能使疏散门恢复到 `rest`",
                "name another [[control]]: software only ever brings an exit to rest",
            );
            reader.problem("control", (format!("'{id}' 是疏散门"), format!("'{id}' is an exit")), advice);
        }
        Some(_) => {}
    }
    if spec.max_on.is_none() || spec.rest.is_none() {
        reader.problem(
            "control",
            (
                format!("'{id}' 会一直开着，直到有人来关"),
                format!("'{id}' would stay on until somebody comes"),
            ),
            (
                "在 [[control]] 里加上 `rest = 0` 和 `max_on_secs = …`",
                "add `rest = 0` and `max_on_secs = …` to the [[control]]",
            ),
        );
    }
    if spec.dry_run {
        quiet(
            reader,
            "control",
            (format!("'{id}' 只试不动，不会真的开关"), format!("'{id}' is only tried, never switched")),
            ("从 [[control]] 里删去 `dry_run`", "remove `dry_run` from the [[control]]"),
        );
    }
    (reader.problems().len() == before).then_some(Control { control: id, on })
}

//! MQTT topic filters.

use super::Both;

/// Whether a topic filter matches a topic (MQTT 3.1.1, section 4.7): `+` is one level, `#` the rest, its parent
/// level included, and neither matches a first level that begins with `$`.
#[must_use]
pub fn topic_matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// Why a text cannot be a topic filter that the devices of a profile share.
pub(super) fn check_shared(filter: &str) -> Result<String, Both> {
    if filter.contains("{address}") {
        return Err(("主题里有设备地址，消息里也有", "the topic names the device, and so does the message"));
    }
    check_filter(&format!("{filter}/{{address}}")).map(|_| filter.to_owned())
}

/// Why a text cannot be the topic filter of a profile.
pub(super) fn check_filter(filter: &str) -> Result<String, Both> {
    if filter.matches("{address}").count() != 1 {
        return Err(("主题里没有设备地址，或写了两次", "the topic names the device nowhere or twice"));
    }
    let rest = filter.replace("{address}", "x");
    if rest.contains(['{', '}', '\0']) || rest.len() > 1000 {
        return Err((
            "主题里有 `{address}` 以外的花括号、零字符，或超过 1000 字节",
            "the topic has a brace that is not `{address}`, a zero character, or over 1000 bytes",
        ));
    }
    let last = rest.split('/').count() - 1;
    for (i, level) in rest.split('/').enumerate() {
        if (level.contains('+') && level != "+") || (level.contains('#') && (level != "#" || i != last)) {
            return Err((
                "通配符和别的字符写在了一起，或 `#` 不在末尾",
                "a wildcard stands beside other characters, or `#` not at the end",
            ));
        }
    }
    Ok(filter.to_owned())
}

//! Dahua's event stream: `Code=VideoMotion;action=Start;index=0;data={…}` in each part of a multipart answer.
//!
//! What stands before `data` is read first; the JSON behind it is often cut or malformed and never costs the event.

use super::json::{self, Fields};
use super::{At, MAX_TEXT, Notice, Unreadable, at, label, short, text};
use crate::model::{Direction, Personal, Phase, Wall};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The fields of `data` that are looked at. Names, pictures and identity card numbers are not among them.
static FIELDS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let fields = ["/LocaleTime", "/UTC", "/CardNo", "/UserID", "/Type", "/Status", "/RegionName/0"];
    fields.map(str::to_owned).into()
});

/// Reads the text of one part; `None` is a heartbeat.
///
/// At a door the code is told with the result: `AccessControl/1` is let through, `AccessControl/0` refused.
///
/// # Errors
/// [`Unreadable`]: `empty`, `too_long`, `missing_field`, `unknown_value`.
pub fn read(part_text: &[u8]) -> Result<Option<Notice>, Unreadable> {
    if part_text.len() > MAX_TEXT {
        return Err(Unreadable::new("too_long", format!("the part has more than {MAX_TEXT} bytes")));
    }
    let part_text = text(part_text);
    let part_text = part_text.trim();
    if part_text.is_empty() {
        return Err(Unreadable::new("empty", "the part is empty; expected Code=…;action=…;index=…"));
    }
    if part_text.eq_ignore_ascii_case("heartbeat") {
        return Ok(None);
    }
    let (header, data) = match part_text.split_once(";data=") {
        Some((header, data)) => (header, Some(data)),
        None => (part_text, None),
    };
    let said = |name: &str| {
        let pairs = header.split(';').filter_map(|pair| pair.split_once('='));
        let mut found = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
        found.next().and_then(|(_, value)| short(value))
    };
    let is_code = |code: &String| code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let code = said("Code").filter(is_code);
    let missing =
        || Unreadable::new("missing_field", "Code is missing or no word; expected Code=VideoMotion");
    let code = code.ok_or_else(missing)?;
    let phase = match said("action").as_deref() {
        Some("Start") => Phase::Start,
        Some("Stop") => Phase::End,
        // `State` tells what holds when somebody attaches; it neither begins nor happens.
        Some("Pulse" | "State") | None => Phase::Moment,
        Some(_) => {
            return Err(Unreadable::new("unknown_value", "action is not one of Start, Stop, Pulse, State"));
        }
    };
    let mut notice = Notice::bare(code);
    notice.phase = Some(phase);
    notice.part = said("index");
    if let Some(fields) = data.and_then(|data| json::read(data, &FIELDS).ok()) {
        add_data(&mut notice, &fields);
    }
    Ok(Some(notice))
}

fn add_data(notice: &mut Notice, fields: &Fields) {
    // `UTC` is local time on many models, so what the clock shows is asked first.
    let shown = fields.word("/LocaleTime").as_deref().and_then(at);
    let seconds = || fields.word("/UTC").and_then(|word| word.parse::<i64>().ok()?.checked_mul(1000));
    notice.at = shown.or_else(|| seconds().map(|ms| At::Wall(Wall(ms))));
    let somebody = |name: &str| fields.word(name).filter(|number| number != "0");
    notice.subject = somebody("/UserID").or_else(|| somebody("/CardNo")).map(Personal::new);
    notice.label = fields.word("/RegionName/0").as_deref().and_then(label);
    if notice.code == "AccessControl" {
        notice.direction = match fields.word("/Type").as_deref() {
            Some("Entry") => Some(Direction::In),
            Some("Exit") => Some(Direction::Out),
            _ => None,
        };
        if let Some(status @ ("0" | "1")) = fields.word("/Status").as_deref() {
            notice.code = format!("AccessControl/{status}");
        }
    }
}

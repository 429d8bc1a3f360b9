//! Hikvision ISAPI: alerts and passes as XML or JSON, alone or beside pictures; and what was missed, asked for later.
//!
//! Element names as `EventNotificationAlert` and `AccessControllerEvent` of public captures; namespaces differ between
//! models and are not looked at. A code is `<major>/<sub>` in decimal for a pass, the event type for an alert.

use super::json::{self, Fields};
use super::parts::{Parts, boundary};
use super::xml::{BadXml, Node};
use super::{MAX_TEXT, Notice, Unreadable, at, label, short, text};
use crate::model::{Direction, Personal, Phase};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Who sent a message, as it says itself: any of these may be a device's address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// In lower case with colons: `4f:e4:2f:81:cd:1b`.
    pub mac: Option<String>,
    /// IPv4 or IPv6.
    pub address: Option<String>,
    /// The device's serial number.
    pub serial: Option<String>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Message {
    /// Who sent it.
    pub from: Source,
    /// It only says that the sender is there.
    pub heartbeat: bool,
    /// What it tells.
    pub notices: Vec<Notice>,
    /// The number of the notice before this one, where it says so: another one than the last that came is a gap.
    pub previous_serial: Option<u64>,
    /// Its own number.
    pub serial_no: Option<u64>,
}

/// A page of what was missed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// Its notices, each `late`.
    pub notices: Vec<Notice>,
    /// Whether there are further pages.
    pub more: bool,
    /// How many notices there are on all pages.
    pub total: u64,
    /// How many the device says are on this one.
    pub count: u64,
}

/// Most notices that [`ask`] wants on one page.
pub const PAGE: usize = 30;
/// Most that are read from a page; devices that send more than was asked for are known.
const MAX_ROWS: usize = 100;

/// The fields of an alert, as pointers; XML is asked for the same names.
const ALERT: &[&str] = &[
    "/eventType",
    "/eventState",
    "/dateTime",
    "/macAddress",
    "/ipAddress",
    "/ipv6Address",
    "/deviceSerialNo",
    "/activePostCount",
    "/channelID",
    "/dynChannelID",
    "/channelName",
    "/inputIOPortID",
    "/isDataRetransmission",
    "/DurationList/Duration/relationEvent",
    "/DurationList/0/relationEvent",
    "/DurationList/Duration/0/relationEvent",
];

/// The fields of a pass. Names, telephone and identity card numbers are not among them, nor are pictures.
const PASS: &[&str] = &[
    "/majorEventType",
    "/subEventType",
    "/major",
    "/minor",
    "/time",
    "/cardNo",
    "/employeeNoString",
    "/employeeNo",
    "/doorNo",
    "/serialNo",
    "/frontSerialNo",
    "/attendanceStatus",
    "/currTemperature",
];

/// In JSON an alert stands alone or within its own name.
const WRAPPED: &str = "/EventNotificationAlert";
const WITHIN: &str = "/AccessControllerEvent";
const ROWS: &str = "/AcsEvent/InfoList";

static MESSAGE_FIELDS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let outer = ["", WRAPPED].into_iter();
    outer
        .flat_map(|outer| {
            let alert = ALERT.iter().map(move |field| format!("{outer}{field}"));
            alert.chain(PASS.iter().map(move |field| format!("{outer}{WITHIN}{field}")))
        })
        .chain([WRAPPED.to_owned()])
        .collect()
});

static PAGE_FIELDS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let head = ["responseStatusStrg", "totalMatches", "numOfMatches"].into_iter();
    let head = head.map(|field| format!("/AcsEvent/{field}"));
    let rows = (0..MAX_ROWS)
        .flat_map(|row| PASS.iter().chain(ALERT).map(move |field| format!("{ROWS}/{row}{field}")));
    head.chain(rows).collect()
});

/// A message in either form.
enum Said<'a> {
    Xml(&'a Node),
    Json(&'a Fields, &'static str),
}

impl Said<'_> {
    /// The text of a field by its pointer.
    fn word(&self, pointer: &str) -> Option<String> {
        match self {
            Self::Xml(node) => {
                let names: Vec<&str> = pointer.split('/').skip(1).collect();
                node.text_at(&names).and_then(short)
            }
            Self::Json(fields, outer) => fields.word(&format!("{outer}{pointer}")),
        }
    }

    fn number(&self, pointer: &str) -> Option<u64> {
        self.word(pointer)?.parse().ok()
    }
}

/// Reads one message: XML, JSON, or either of them beside pictures in a multipart body.
///
/// # Errors
/// [`Unreadable`]: `empty`, `too_long`, `not_xml`, `not_json`, `too_deep`, `missing_field` and others of these readers.
pub fn read(content_type: &str, body: &[u8]) -> Result<Message, Unreadable> {
    let body = body.trim_ascii();
    let named = boundary(content_type).or_else(|| boundary_of_body(body));
    match named {
        Some(named) => read_parts(&named, body),
        None => read_text(body),
    }
}

/// Some models send parts and name no boundary: it is what the first line begins with.
fn boundary_of_body(body: &[u8]) -> Option<String> {
    let line = body.strip_prefix(b"--")?.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line.trim_ascii()).ok()?;
    (!line.is_empty() && line.len() <= 100).then(|| line.to_owned())
}

/// The first part that can be read counts: the others are pictures and what belongs to them.
fn read_parts(boundary: &str, body: &[u8]) -> Result<Message, Unreadable> {
    let mut parts = Parts::new(boundary, MAX_TEXT);
    parts.feed(body);
    parts.finish();
    let mut trouble = None;
    while let Some(part) = parts.next() {
        match part.and_then(|part| read_text(&part.body)) {
            Ok(message) => return Ok(message),
            Err(error) => trouble = trouble.or(Some(error)),
        }
    }
    Err(trouble.unwrap_or_else(|| {
        Unreadable::new("empty", "no part of the body is a text; expected an alert in XML or JSON")
    }))
}

fn read_text(body: &[u8]) -> Result<Message, Unreadable> {
    if body.len() > MAX_TEXT {
        return Err(Unreadable::new("too_long", format!("the text has more than {MAX_TEXT} bytes")));
    }
    let text = text(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err(Unreadable::new("empty", "the body is empty; expected an alert in XML or JSON"));
    }
    if text.starts_with('<') {
        let node = Node::parse(text).map_err(not_xml)?;
        if node.local() != "EventNotificationAlert" {
            let reason = "the element is another one; expected EventNotificationAlert";
            return Err(Unreadable::new("not_an_alert", reason));
        }
        let pass = node.child("AccessControllerEvent").map(Said::Xml);
        return message(&Said::Xml(&node), pass.as_ref());
    }
    let fields = json::read(text, &MESSAGE_FIELDS)?;
    let wrapped = fields.get(WRAPPED).is_some();
    let (outer, within) = match wrapped {
        true => (WRAPPED, "/EventNotificationAlert/AccessControllerEvent"),
        false => ("", WITHIN),
    };
    let pass = Said::Json(&fields, within);
    let has_pass = pass.word("/majorEventType").is_some();
    message(&Said::Json(&fields, outer), has_pass.then_some(&pass))
}

fn not_xml(error: BadXml) -> Unreadable {
    let kind = match error {
        BadXml::TooDeep | BadXml::TooMany => "too_deep",
        BadXml::Doctype => "doctype",
        BadXml::Html | BadXml::Truncated | BadXml::Malformed { .. } => "not_xml",
    };
    let reason = match error {
        BadXml::Html => "an HTML page; expected an alert in XML".to_owned(),
        BadXml::Malformed { at, .. } => format!("not well-formed XML at byte {at}"),
        other => other.to_string(),
    };
    Unreadable::new(kind, reason)
}

fn message(alert: &Said<'_>, pass: Option<&Said<'_>>) -> Result<Message, Unreadable> {
    let from = Source {
        mac: alert.word("/macAddress").map(|mac| mac.to_ascii_lowercase().replace('-', ":")),
        address: alert.word("/ipAddress").or_else(|| alert.word("/ipv6Address")),
        serial: alert.word("/deviceSerialNo"),
    };
    let kind = alert.word("/eventType");
    let phase = match alert.word("/eventState").as_deref() {
        Some("active") => Some(Phase::Start),
        Some("inactive") => Some(Phase::End),
        _ => None,
    };
    let mut message = Message { from, ..Message::default() };
    if let Some(pass) = pass {
        message.serial_no = pass.number("/serialNo");
        message.previous_serial = pass.number("/frontSerialNo");
        let mut notice = passed(pass)?;
        notice.late = flag(alert, "/isDataRetransmission");
        notice.at = alert.word("/dateTime").as_deref().and_then(at);
        message.notices.push(notice);
        return Ok(message);
    }
    let missing =
        || Unreadable::new("missing_field", "eventType is missing; expected what kind of alert it is");
    let kind = kind.ok_or_else(missing)?;
    if kind.eq_ignore_ascii_case("heartbeat") || is_idle(&kind, phase, alert) {
        message.heartbeat = true;
        return Ok(message);
    }
    message.notices.push(alerted(&kind, phase, alert));
    Ok(message)
}

/// Recorders and cameras say that they are there by "no picture is lost", of which nothing was posted before.
fn is_idle(kind: &str, phase: Option<Phase>, alert: &Said<'_>) -> bool {
    let first = alert.number("/activePostCount").is_none_or(|count| count == 0);
    kind.eq_ignore_ascii_case("videoloss") && phase == Some(Phase::End) && first
}

fn alerted(kind: &str, phase: Option<Phase>, alert: &Said<'_>) -> Notice {
    let real = ["/DurationList/Duration/relationEvent", "/DurationList/0/relationEvent"];
    let real = real.into_iter().chain(["/DurationList/Duration/0/relationEvent"]);
    let kind = match kind {
        "duration" => {
            real.filter_map(|pointer| alert.word(pointer)).next().unwrap_or_else(|| kind.to_owned())
        }
        kind => kind.to_owned(),
    };
    let channel = alert.word("/dynChannelID").or_else(|| alert.word("/channelID"));
    let mut notice = Notice::bare(kind);
    notice.phase = phase;
    notice.part = alert.word("/inputIOPortID").or(channel);
    notice.label = alert.word("/channelName").as_deref().and_then(label);
    notice.at = alert.word("/dateTime").as_deref().and_then(at);
    notice.late = flag(alert, "/isDataRetransmission");
    notice
}

fn flag(said: &Said<'_>, pointer: &str) -> bool {
    said.word(pointer).is_some_and(|word| word == "true" || word == "1")
}

/// A pass at a door; also an alarm, an exception or an operation of its controller.
fn passed(pass: &Said<'_>) -> Result<Notice, Unreadable> {
    let number = |names: [&str; 2]| {
        let found = names.into_iter().find_map(|name| pass.number(name)).filter(|number| *number <= 0xFFFF);
        let what = names[0].trim_start_matches('/');
        found.ok_or_else(|| {
            Unreadable::new("missing_field", format!("{what} is missing or no number up to 65535"))
        })
    };
    let (major, minor) = (number(["/majorEventType", "/major"])?, number(["/subEventType", "/minor"])?);
    let mut notice = Notice::bare(format!("{major}/{minor}"));
    notice.part = pass.word("/doorNo");
    notice.serial = pass.word("/serialNo");
    // The number of the person is the same whether card, face or finger is shown; that of the card is not always told.
    let somebody = |name: &&str| pass.word(name).filter(|number| number != "0");
    let subject = ["/employeeNoString", "/employeeNo", "/cardNo"].iter().find_map(somebody);
    notice.subject = subject.map(Personal::new);
    notice.direction = match pass.word("/attendanceStatus").as_deref() {
        Some("checkIn" | "breakIn" | "overtimeIn") => Some(Direction::In),
        Some("checkOut" | "breakOut" | "overtimeOut") => Some(Direction::Out),
        _ => None,
    };
    let warmth = pass.word("/currTemperature").and_then(|word| word.parse::<f64>().ok());
    let warmth = warmth.filter(|value| value.is_finite() && *value > 0.0);
    notice.amounts.extend(warmth.map(|value| super::Amount { name: "currTemperature".to_owned(), value }));
    Ok(notice)
}

/// Reads the answer to [`ask`].
///
/// # Errors
/// [`Unreadable`] when it is not such an answer.
pub fn page(body: &[u8]) -> Result<Page, Unreadable> {
    if body.len() > MAX_TEXT {
        return Err(Unreadable::new("too_long", format!("the answer has more than {MAX_TEXT} bytes")));
    }
    let fields = json::read(json::text(body)?, &PAGE_FIELDS)?;
    let status = fields.word("/AcsEvent/responseStatusStrg");
    let number = |field: &str| fields.word(&format!("/AcsEvent/{field}")).and_then(|word| word.parse().ok());
    let missing = || {
        let reason = "AcsEvent.responseStatusStrg is missing; expected OK, MORE or NO MATCH";
        Unreadable::new("missing_field", reason)
    };
    let more = status.ok_or_else(missing)?.eq_ignore_ascii_case("MORE");
    let (total, count) = (number("totalMatches").unwrap_or(0), number("numOfMatches").unwrap_or(0));
    let mut notices = Vec::new();
    for row in fields.rows(ROWS) {
        let row = Said::Json(&row, "");
        let Ok(mut notice) = passed(&row) else { continue };
        notice.at = row.word("/time").or_else(|| row.word("/dateTime")).as_deref().and_then(at);
        notice.late = true;
        notices.push(notice);
    }
    Ok(Page { notices, more, total, count })
}

/// The question for what was missed between two times, from a position on: the body of
/// `POST /ISAPI/AccessControl/AcsEvent?format=json`. Times as RFC 3339 with the device's offset.
#[must_use]
pub fn ask(search_id: &str, position: u64, from: &str, to: &str) -> String {
    serde_json::json!({ "AcsEventCond": {
        "searchID": search_id,
        "searchResultPosition": position,
        "maxResults": PAGE,
        "major": 0,
        "minor": 0,
        "startTime": from,
        "endTime": to,
    }})
    .to_string()
}

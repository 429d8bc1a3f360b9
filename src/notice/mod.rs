//! What terminals, recorders and panels send, read from its own form into one: a [`Notice`].
//!
//! One file per form. A reader takes bytes and gives notices or says what was wrong and what was expected; it opens
//! nothing, knows no clock and keeps nothing. Names, pictures, identity card and telephone numbers are left behind here:
//! a notice has no field for them, and the number of a credential can only become a pseudonym.

pub mod contact_id;
pub mod dahua;
pub mod fire;
pub mod isapi;
pub(crate) mod json;
pub mod parts;
pub(crate) mod xml;
pub mod zkteco;

#[cfg(test)]
mod tests;

use crate::model::{Carrier, Direction, Personal, Phase, Service, Wall};
use jiff::Timestamp;
use jiff::civil::DateTime;
use memchr::memmem::Finder;
use std::sync::LazyLock;

/// Largest text of one message that is read, in bytes; pictures beside it are skipped and do not count.
pub const MAX_TEXT: usize = 1024 * 1024;
/// Longest code, number or part, in characters.
const MAX_WORD_CHARS: usize = 128;
/// Longest label, in characters.
const MAX_LABEL_CHARS: usize = 100;

/// The device's own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// A moment.
    Wall(Wall),
    /// What a clock on its wall shows; the school's zone makes it a moment.
    Local(DateTime),
}

/// A number that came along, such as a battery's charge or a pipe's pressure.
#[derive(Debug, Clone, PartialEq)]
pub struct Amount {
    /// Its name as the profile's points are told from.
    pub name: String,
    /// Its value in the unit of the form.
    pub value: f64,
}

/// One thing that a device told of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The device's own code for it, as tables of codes in profiles write it: `5/75`, `VideoMotion`, `130`.
    pub code: String,
    /// Whether it begins, ends or is a moment, where the form says so.
    pub phase: Option<Phase>,
    /// Of which part: a door, zone, loop, channel, detector.
    pub part: Option<String>,
    /// The part in the device's own words, such as 三楼走廊烟感; at most 100 characters, never a person's name.
    pub label: Option<String>,
    /// The device's own time.
    pub at: Option<At>,
    /// The device's own number for this notice: the same number twice is the same notice.
    pub serial: Option<String>,
    /// Sent again later, such as after an outage: it is true, but it does not happen now.
    pub late: bool,
    /// Card, employee or plate number.
    pub subject: Option<Personal<String>>,
    /// What carried it, where the form says more than the code.
    pub carrier: Option<Carrier>,
    /// What for, where the form says so.
    pub service: Option<Service>,
    /// Which way, where the form says so.
    pub direction: Option<Direction>,
    /// Numbers that came along.
    pub amounts: Vec<Amount>,
}

impl Notice {
    /// A notice with nothing but its code.
    #[must_use]
    pub fn bare(code: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            phase: None,
            part: None,
            label: None,
            at: None,
            serial: None,
            late: false,
            subject: None,
            carrier: None,
            service: None,
            direction: None,
            amounts: Vec::new(),
        }
    }
}

/// How pictures begin: as a data URL, as a JPEG in base64 behind a quotation mark, as the bytes of a JPEG or PNG.
const PICTURES: [&[u8]; 4] = [b"data:image/", b"\"/9j/", b"\xFF\xD8\xFF", b"\x89PNG\r\n"];

/// Whether there is a picture in what came. It is left behind by whoever reads it; this is to count it.
#[must_use]
pub fn holds_picture(bytes: &[u8]) -> bool {
    // Made once: that takes longer than to look through a short message.
    static BEGINNINGS: LazyLock<[Finder<'static>; 4]> = LazyLock::new(|| PICTURES.map(Finder::new));
    BEGINNINGS.iter().any(|begin| begin.find(bytes).is_some())
}

/// Why bytes are no notice of their form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unreadable {
    /// One word for the metric: `not_json`, `not_xml`, `too_deep`, `bad_checksum`, `missing_field`, `bad_number` …
    pub kind: &'static str,
    /// What was wrong, where, and what was expected; never a value that was sent.
    pub reason: String,
}

impl Unreadable {
    /// With a word for the metric and a sentence for a person.
    pub fn new(kind: &'static str, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into() }
    }
}

/// A word that is kept: without blanks around it, neither empty nor over-long, and without control characters.
pub(crate) fn short(text: &str) -> Option<String> {
    let text = text.trim();
    let good = !text.is_empty() && text.chars().take(MAX_WORD_CHARS + 1).count() <= MAX_WORD_CHARS;
    (good && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// A description that is kept: without control characters, cut where it is over-long; none when nothing is left.
fn label(text: &str) -> Option<String> {
    let clean = text.trim().chars().filter(|c| !c.is_control() && *c != '\u{feff}');
    let clean: String = clean.take(MAX_LABEL_CHARS).collect();
    (!clean.is_empty()).then_some(clean)
}

/// A time as ISO 8601 writes it: with a zone it is a moment, without one what a clock shows.
fn at(text: &str) -> Option<At> {
    let text = text.trim();
    match text.parse::<Timestamp>() {
        Ok(moment) => Some(At::Wall(Wall(moment.as_millisecond()))),
        Err(_) => text.parse::<DateTime>().ok().map(At::Local),
    }
}

/// Text in UTF-8, or in GB 18030 where it is not.
fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => encoding_rs::GB18030.decode_without_bom_handling(bytes).0,
    }
}

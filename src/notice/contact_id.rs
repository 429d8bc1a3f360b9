//! Contact ID in SIA DC-09 frames: what intrusion panels report over TCP, unencrypted.
//!
//! `<LF><CRC><0LLL>"ADM-CID"<sequence>R<receiver>L<prefix>#<account>[#<account>|<QXYZ> <GG> <CCC>]<CR>`, as Ademco's
//! Contact ID (SIA DC-05) within SIA DC-09. It was not tried with a panel.

use super::{At, Notice, Unreadable};
use crate::model::{Personal, Phase, Wall};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::collections::VecDeque;

/// Longest frame, in bytes.
pub const MAX_FRAME: usize = 1024;
/// Check sum and length before the message.
const HEAD: usize = 8;

/// One frame whose check sum and length are right.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// What kind of message: `ADM-CID`, `NULL` …; with `*` before it when it is encrypted.
    pub id: String,
    /// Sequence number, four digits; its answer has the same.
    pub sequence: String,
    /// Receiver, prefix and account as sent, which the answer repeats: `R1L0#1234`.
    line: String,
    /// Who sent it: 3 to 16 hexadecimal digits.
    pub account: String,
    /// What stands in the first brackets.
    data: String,
    /// When it was sent, if it says so.
    pub at: Option<Wall>,
}

/// Without what stands in the brackets: there may be the number of a person.
impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} of account {}", self.id, self.sequence, self.account)
    }
}

impl Frame {
    /// Whether it only asks whether somebody is there.
    #[must_use]
    pub fn is_ping(&self) -> bool {
        self.id == "NULL"
    }
}

/// CRC-16 with the polynomial 8005h, lowest bit first, from 0 (SIA DC-09, 5.5.1.2).
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xA001 } else { 0 })
    })
}

fn framed(message: &str) -> Vec<u8> {
    format!("\n{:04X}{:04X}{message}\r", crc(message.as_bytes()), message.len()).into_bytes()
}

/// The frame arrived and is kept.
#[must_use]
pub fn acknowledge(frame: &Frame) -> Vec<u8> {
    framed(&format!("\"ACK\"{}{}[]", frame.sequence, frame.line))
}

/// The frame arrived and cannot be understood: the panel need not send it again.
#[must_use]
pub fn refuse(frame: &Frame) -> Vec<u8> {
    framed(&format!("\"DUH\"{}{}[]", frame.sequence, frame.line))
}

/// Finds frames in a stream and goes on behind what is none. It holds one frame at most.
#[derive(Debug, Default)]
pub struct Frames {
    held: Vec<u8>,
    ready: VecDeque<Result<Frame, Unreadable>>,
    /// The frame under way is too long, and was told of.
    skips: bool,
}

impl Frames {
    /// At the beginning of a connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes. Call [`Frames::next`] until there is nothing before the next ones.
    pub fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => {
                    self.held.clear();
                    self.skips = false;
                }
                b'\r' if self.skips => self.skips = false,
                b'\r' if self.held.is_empty() => {}
                b'\r' => {
                    let frame = frame(&self.held);
                    self.held.clear();
                    self.ready.push_back(frame);
                }
                _ if self.skips => {}
                _ if self.held.len() >= MAX_FRAME => {
                    self.skips = true;
                    self.held.clear();
                    let reason =
                        format!("a frame of more than {MAX_FRAME} bytes; expected a carriage return");
                    self.ready.push_back(Err(Unreadable::new("too_long", reason)));
                }
                byte => self.held.push(*byte),
            }
        }
    }

    /// The next frame, or what was wrong with it; `None` until more bytes come.
    #[expect(clippy::should_implement_trait, reason = "more may come after nothing")]
    pub fn next(&mut self) -> Option<Result<Frame, Unreadable>> {
        self.ready.pop_front()
    }
}

fn frame(bytes: &[u8]) -> Result<Frame, Unreadable> {
    let wrong = |kind, reason: &str| Unreadable::new(kind, reason);
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii());
    let text = text.ok_or_else(|| wrong("not_ascii", "the frame is not ASCII"))?;
    let head =
        || wrong("no_frame", "the frame does not begin with check sum and length, eight hexadecimal digits");
    let (head, message) = text.split_at_checked(HEAD).ok_or_else(head).and_then(|(head, message)| {
        let digits = head.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digits {
            Ok((head, message))
        } else {
            Err(wrong("no_frame", "check sum and length are not hexadecimal"))
        }
    })?;
    let (said_crc, said_length) = head.split_at_checked(4).unwrap_or((head, ""));
    if usize::from_str_radix(said_length, 16) != Ok(message.len()) {
        return Err(wrong("bad_length", "the frame has another length than it says"));
    }
    if u16::from_str_radix(said_crc, 16) != Ok(crc(message.as_bytes())) {
        return Err(wrong("bad_checksum", "the check sum of the frame is wrong"));
    }
    parsed(message).ok_or_else(|| {
        wrong("no_frame", "the frame is not \"<kind>\"<sequence>R<receiver>L<prefix>#<account>[<what>]")
    })
}

fn parsed(message: &str) -> Option<Frame> {
    let (id, rest) = message.strip_prefix('"')?.split_once('"')?;
    let (sequence, rest) = rest.split_at_checked(4)?;
    let (line, rest) = rest.split_once('[')?;
    let (data, behind) = rest.split_once(']')?;
    let account = line.rsplit_once('#')?.1;
    let digits = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let good = (1..=16).contains(&id.len()) && line.len() <= 48 && !line.contains('"');
    if !good || !digits(sequence, 4..=4) || !digits(account, 1..=16) {
        return None;
    }
    let at = behind.rsplit_once('_').and_then(|(_, time)| sent_at(time));
    let [id, sequence, line, data] = [id, sequence, line, data].map(str::to_owned);
    Some(Frame { id, sequence, line, account: account.to_ascii_uppercase(), data, at })
}

/// `HH:MM:SS,MM-DD-YYYY` in universal time (SIA DC-09, 5.5.1.9).
fn sent_at(text: &str) -> Option<Wall> {
    let (time, date) = text.split_once(',')?;
    let mut date = date.split('-');
    let (month, day, year) = (date.next()?, date.next()?, date.next()?);
    let at: DateTime = format!("{year}-{month}-{day}T{time}").parse().ok()?;
    Some(Wall(at.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond()))
}

/// What a frame tells: one notice, or none of a ping. The code is the event's three digits; the part is
/// `<partition>/<zone>`, of what a user does (4xx) the partition alone.
///
/// # Errors
/// [`Unreadable`]: `encrypted`, `unsupported`, `missing_field`.
pub fn read(frame: &Frame) -> Result<Vec<Notice>, Unreadable> {
    if frame.is_ping() {
        return Ok(Vec::new());
    }
    if frame.id.starts_with('*') {
        let reason =
            "the frame is encrypted; switch the panel to unencrypted reports within the school's network";
        return Err(Unreadable::new("encrypted", reason));
    }
    if frame.id != "ADM-CID" {
        return Err(Unreadable::new("unsupported", "the frame is of another kind; expected \"ADM-CID\""));
    }
    let expected =
        || Unreadable::new("missing_field", "the event is not written as #<account>|<QXYZ> <GG> <CCC>");
    let (_, event) = frame.data.split_once('|').ok_or_else(expected)?;
    let mut words = event.split_ascii_whitespace();
    let (Some(what), Some(partition), Some(zone)) = (words.next(), words.next(), words.next()) else {
        return Err(expected());
    };
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
    let (qualifier, code) = what.split_at_checked(1).ok_or_else(expected)?;
    if !hex(code, 3) || !hex(partition, 2) || !hex(zone, 3) {
        return Err(expected());
    }
    let (phase, late) = match qualifier {
        "1" => (Phase::Start, false),
        "3" => (Phase::End, false),
        "6" => (Phase::Start, true),
        _ => return Err(Unreadable::new("unknown_value", "the qualifier is not one of 1, 3, 6")),
    };
    let mut notice = Notice::bare(code.to_ascii_uppercase());
    notice.phase = Some(phase);
    notice.late = late;
    // Of openings and closings the last number is who did it.
    if code.starts_with('4') {
        notice.part = Some(partition.to_owned());
        notice.subject = Some(Personal::new(zone.to_owned()));
    } else {
        notice.part = Some(format!("{partition}/{zone}"));
    }
    // A panel without a clock counts to 9999 and from anew: only with its time the number is this notice's own.
    notice.at = frame.at.map(At::Wall);
    notice.serial = frame.at.map(|_| frame.sequence.clone());
    Ok(vec![notice])
}

#[cfg(test)]
mod tests;

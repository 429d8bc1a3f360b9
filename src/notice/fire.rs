//! GB/T 26875.3-2011: what a user information transmission device (用户信息传输装置) of a fire system sends.
//!
//! A frame is `40 40`, control unit, application data, sum, `23 23` (clause 6). What an object tells is one code for
//! each bit of its state that is set. A fire is told whatever else the state says, also in a test.

use super::{Amount, At, Notice, Unreadable, label};
use crate::model::Phase;
use jiff::civil::DateTime;
use std::collections::VecDeque;
use std::fmt::Write as _;

/// Longest application data, in bytes (clause 6.3).
pub const MAX_DATA: usize = 1024;
/// Bytes of the control unit and the two start bytes: all before the application data.
const HEAD: usize = 27;
/// The sum and the two end bytes behind it.
const TAIL: usize = 3;
const START: [u8; 2] = *b"@@";
const END: [u8; 2] = *b"##";

const SEND: u8 = 2;
const CONFIRM: u8 = 3;
const ANSWER: u8 = 5;
const DENY: u8 = 6;

/// One frame whose sum is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Serial number of the exchange; its answer has the same.
    pub serial: u16,
    /// Version of the protocol, as sent.
    pub version: [u8; 2],
    /// Second, minute, hour, day, month, year of the century.
    pub time: [u8; 6],
    /// Who sent it, lowest byte first.
    pub source: [u8; 6],
    /// To whom, lowest byte first.
    pub destination: [u8; 6],
    /// 1 control, 2 send, 3 confirm, 4 request, 5 answer, 6 deny (table 2).
    pub action: u8,
    /// Application data.
    pub data: Vec<u8>,
}

impl Frame {
    /// Whether its sender waits for [`acknowledge`].
    #[must_use]
    pub fn wants_answer(&self) -> bool {
        self.action == SEND
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + self.data.len() + TAIL);
        bytes.extend(START);
        bytes.extend(self.serial.to_le_bytes());
        bytes.extend(self.version);
        bytes.extend(self.time);
        bytes.extend(self.source);
        bytes.extend(self.destination);
        bytes.extend(u16::try_from(self.data.len()).unwrap_or(u16::MAX).to_le_bytes());
        bytes.push(self.action);
        bytes.extend(&self.data);
        bytes.push(sum(bytes.get(2..).unwrap_or_default()));
        bytes.extend(END);
        bytes
    }
}

/// The sum of all bytes, of which the lowest eight bits count (clause 6.2).
fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}

/// Who sent a frame, lowest byte first.
#[must_use]
pub fn source(frame: &Frame) -> [u8; 6] {
    frame.source
}

/// Who sent a frame, as a number.
#[must_use]
pub fn address(frame: &Frame) -> u64 {
    frame.source.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The confirmation of a frame: the same serial number and time, sender and receiver exchanged (clause 7.2).
#[must_use]
pub fn acknowledge(frame: &Frame) -> Vec<u8> {
    answer(frame, CONFIRM)
}

/// The denial of a frame whose application data cannot be read.
#[must_use]
pub fn refuse(frame: &Frame) -> Vec<u8> {
    answer(frame, DENY)
}

fn answer(frame: &Frame, action: u8) -> Vec<u8> {
    let (source, destination) = (frame.destination, frame.source);
    Frame { source, destination, action, data: Vec::new(), ..frame.clone() }.bytes()
}

/// Finds frames in a stream and goes on behind what is none. It holds less than one frame.
#[derive(Debug, Default)]
pub struct Frames {
    held: Vec<u8>,
    ready: VecDeque<Result<Frame, Unreadable>>,
    /// Bytes between frames were told of; the next frame ends that.
    lost: bool,
}

impl Frames {
    /// At the beginning of a connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes. Call [`Frames::next`] until there is nothing before the next ones.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(rest) = self.held.get(at..).filter(|rest| !rest.is_empty()) {
            match look(rest) {
                Look::Wait => break,
                Look::Frame(frame, length) => {
                    self.lost = false;
                    self.ready.push_back(Ok(frame));
                    at += length;
                }
                Look::Skip(length, error) => {
                    at += length;
                    if !std::mem::replace(&mut self.lost, true) {
                        self.ready.push_back(Err(error));
                    }
                }
            }
        }
        self.held.drain(..at.min(self.held.len()));
    }

    /// The next frame, or what was wrong (told once until the next frame); `None` until more bytes come.
    #[expect(clippy::should_implement_trait, reason = "more may come after nothing")]
    pub fn next(&mut self) -> Option<Result<Frame, Unreadable>> {
        self.ready.pop_front()
    }
}

enum Look {
    Wait,
    Frame(Frame, usize),
    Skip(usize, Unreadable),
}

fn look(bytes: &[u8]) -> Look {
    let start = bytes.windows(2).position(|pair| pair == START);
    let begins = start.unwrap_or(bytes.len() - usize::from(bytes.ends_with(b"@")));
    if begins > 0 {
        return Look::Skip(begins, Unreadable::new("no_frame", "bytes outside of frames; expected 40 40"));
    }
    let wrong = |kind, reason: String| Look::Skip(1, Unreadable::new(kind, reason));
    let Some((head, rest)) = bytes.split_at_checked(HEAD) else { return Look::Wait };
    let mut fields = Fields(head.get(2..).unwrap_or_default());
    let (Some(serial), Some(version), Some(time)) = (fields.take(), fields.take(), fields.take()) else {
        return Look::Wait;
    };
    let (Some(source), Some(destination), Some(length)) = (fields.take(), fields.take(), fields.take())
    else {
        return Look::Wait;
    };
    let Some([action]) = fields.take() else { return Look::Wait };
    let length = usize::from(u16::from_le_bytes(length));
    if length > MAX_DATA {
        return wrong("too_long", format!("{length} bytes of application data; expected at most {MAX_DATA}"));
    }
    let (Some(data), Some(tail)) = (rest.get(..length), rest.get(length..length + TAIL)) else {
        return Look::Wait;
    };
    if tail.get(1..) != Some(END.as_slice()) {
        return wrong("no_frame", "the frame does not end in 23 23 where its length says".to_owned());
    }
    let whole = bytes.get(2..HEAD + length).unwrap_or_default();
    if tail.first() != Some(&sum(whole)) {
        return wrong("bad_checksum", "the sum of the frame is wrong".to_owned());
    }
    let serial = u16::from_le_bytes(serial);
    let frame = Frame { serial, version, time, source, destination, action, data: data.to_vec() };
    Look::Frame(frame, HEAD + length + TAIL)
}

/// Takes fields of fixed size from the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }
}

/// Bits of the state of a system or of its equipment, from the lowest (tables 6 and 7). The first is the other way
/// round: set it is normal, unset a test. The order is that in which they are told: what is urgent first.
const STATES: &[(u16, &str)] = &[
    (1 << 1, "fire"),
    (1 << 4, "supervise"),
    (1 << 5, "start"),
    (1 << 6, "feedback"),
    (1 << 2, "fault"),
    (1 << 3, "shield"),
    (1 << 7, "delay"),
    (1 << 8, "main_power"),
    (1 << 9, "backup_power"),
    (1 << 10, "bus"),
    (1 << 11, "manual"),
];
/// Bits that are moments.
const MOMENTS: &[(u16, &str)] = &[(1 << 12, "config_changed"), (1 << 13, "reset")];
/// Bits of the state of the transmission device itself (table 11).
const OWN_STATES: &[(u16, &str)] = &[
    (1 << 1, "fire"),
    (1 << 2, "fault"),
    (1 << 3, "main_power"),
    (1 << 4, "backup_power"),
    (1 << 5, "comm"),
    (1 << 6, "line"),
];
/// What somebody did at the controls (tables 9 and 12).
const OPERATIONS: &[(u16, &str)] = &[
    (1 << 2, "op_manual_alarm"),
    (1 << 0, "op_reset"),
    (1 << 1, "op_mute"),
    (1 << 3, "op_cancel"),
    (1 << 4, "op_self_test"),
    (1 << 5, "op_acknowledge"),
    (1 << 6, "op_test"),
];
/// Analog values: number of the parameter, name, steps to one unit (table 8).
const PARAMETERS: &[(u8, &str, f64)] = &[
    (1, "count", 1.0),
    (2, "height_m", 100.0),
    (3, "temperature_c", 10.0),
    (4, "pressure_mpa", 10.0),
    (5, "pressure_kpa", 10.0),
    (6, "gas_lel", 10.0),
    (7, "time_s", 1.0),
    (8, "voltage_v", 10.0),
    (9, "current_a", 10.0),
    (10, "flow_l_s", 10.0),
    (11, "flow_m3_min", 10.0),
    (12, "speed_m_s", 1.0),
];

/// One object of application data.
enum Object {
    /// 1: state of a system, 10 bytes.
    System,
    /// 2: state of its equipment, 46 bytes.
    Equipment,
    /// 3: analog value of its equipment, 16 bytes.
    Analog,
    /// 4: what was done at a system, 10 bytes.
    Operation,
    /// 21: state of the transmission device, 7 bytes.
    Own,
    /// 24: what was done at the transmission device, 8 bytes.
    OwnOperation,
}

impl Object {
    /// By the type flag (table 3), with its size.
    fn of(kind: u8) -> Option<(Self, usize)> {
        match kind {
            1 => Some((Self::System, 10)),
            2 => Some((Self::Equipment, 46)),
            3 => Some((Self::Analog, 16)),
            4 => Some((Self::Operation, 10)),
            21 => Some((Self::Own, 7)),
            24 => Some((Self::OwnOperation, 8)),
            _ => None,
        }
    }
}

/// What a frame tells. Nothing, if it tells versions, settings or times, or sends no data at all.
///
/// Phases: `Start` for a bit that is set; when a state is normal again, `End` of all that could have been. The part is
/// `<system type>/<system address>` and, of equipment, `/<equipment type>/<equipment address>`. Analog values are the
/// code `analog` with an amount. Types that the standard leaves to makers are the code `type/<number>`.
///
/// # Errors
/// [`Unreadable`] of kind `cut_off` when there is not one whole object.
pub fn read(frame: &Frame) -> Result<Vec<Notice>, Unreadable> {
    if !matches!(frame.action, SEND | ANSWER) {
        return Ok(Vec::new());
    }
    let Some((&kind, rest)) = frame.data.split_first() else {
        return Err(Unreadable::new("cut_off", "there is no application data; expected type and count"));
    };
    let Some((object, size)) = Object::of(kind) else {
        // 5 to 8 and 25 to 28: versions, settings and times.
        let told = kind >= 128 && frame.action == SEND;
        return Ok(if told { vec![Notice::bare(format!("type/{kind}"))] } else { Vec::new() });
    };
    let (count, objects) = rest.split_first().unwrap_or((&0, &[]));
    // Some write 0 where they mean as many as there are; and what is there is told even if fewer are than counted.
    let count = if *count == 0 { usize::MAX } else { usize::from(*count) };
    let mut notices = Vec::new();
    let mut any = false;
    for bytes in objects.chunks_exact(size).take(count) {
        any = true;
        let Some(mut told) = one(&object, Fields(bytes)) else { continue };
        notices.append(&mut told);
    }
    if !any {
        let reason = format!("type {kind}: not one whole object; expected {size} bytes for each");
        return Err(Unreadable::new("cut_off", reason));
    }
    number(frame, &mut notices);
    Ok(notices)
}

/// A frame that is sent again has the same serial number and times. A transmission device that lost its clock counts
/// anew and has the same times as well, so such a notice has no number: better twice than not at all.
fn number(frame: &Frame, notices: &mut [Notice]) {
    for (i, notice) in notices.iter_mut().enumerate() {
        if matches!(notice.at, Some(At::Local(at)) if at.year() >= 2020) {
            notice.serial = Some(format!("{}/{i}", frame.serial));
        }
    }
}

fn one(object: &Object, mut bytes: Fields<'_>) -> Option<Vec<Notice>> {
    let mut part = String::new();
    let mut about = None;
    if !matches!(object, Object::Own | Object::OwnOperation) {
        let [kind, address] = bytes.take()?;
        let _written = write!(part, "{kind}/{address}");
    }
    if matches!(object, Object::Equipment | Object::Analog) {
        let ([kind], address) = (bytes.take()?, bytes.take()?);
        let _written = write!(part, "/{kind}/{}", u32::from_le_bytes(address));
    }
    let mut notices = match object {
        Object::System => states(u16::from_le_bytes(bytes.take()?), STATES),
        Object::Equipment => {
            let state = u16::from_le_bytes(bytes.take()?);
            about = description(&bytes.take::<31>()?);
            states(state, STATES)
        }
        Object::Analog => {
            let ([parameter], raw) = (bytes.take()?, i16::from_le_bytes(bytes.take()?));
            vec![analog(parameter, raw)]
        }
        Object::Own => {
            let [state] = bytes.take()?;
            states(u16::from(state), OWN_STATES)
        }
        Object::Operation | Object::OwnOperation => {
            // Who did it follows; it is a number of a person.
            let [what, _who] = bytes.take()?;
            let set = OPERATIONS.iter().filter(|(bit, _)| u16::from(what) & bit != 0);
            set.map(|(_, code)| Notice { phase: Some(Phase::Moment), ..Notice::bare(*code) }).collect()
        }
    };
    let at = bytes.take().and_then(time);
    for notice in &mut notices {
        notice.part = Some(part.clone()).filter(|part| !part.is_empty());
        notice.label.clone_from(&about);
        notice.at = at.map(At::Local);
    }
    Some(notices)
}

fn states(state: u16, table: &[(u16, &str)]) -> Vec<Notice> {
    let told = |code: &str, phase| Notice { phase: Some(phase), ..Notice::bare(code) };
    let set = table.iter().filter(|(bit, _)| state & bit != 0);
    let mut notices: Vec<Notice> = set.map(|(_, code)| told(code, Phase::Start)).collect();
    let normal = state & 1 != 0;
    let troubled = notices.iter().any(|notice| !matches!(notice.code.as_str(), "manual" | "delay"));
    if normal && !troubled {
        let over = table.iter().filter(|(bit, _)| state & bit == 0);
        notices.extend(over.map(|(_, code)| told(code, Phase::End)));
        notices.push(told("test", Phase::End));
    }
    if !normal {
        notices.push(told("test", Phase::Start));
    }
    let moments = MOMENTS.iter().filter(|(bit, _)| state & bit != 0);
    notices.extend(moments.map(|(_, code)| told(code, Phase::Moment)));
    notices
}

fn analog(parameter: u8, raw: i16) -> Notice {
    let mut notice = Notice::bare("analog");
    if let Some((_, name, steps)) = PARAMETERS.iter().find(|(number, ..)| *number == parameter) {
        notice.amounts.push(Amount { name: (*name).to_owned(), value: f64::from(raw) / steps });
    }
    notice
}

/// A description in GB 18030, filled up with zeros.
fn description(bytes: &[u8]) -> Option<String> {
    let written = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    label(&encoding_rs::GB18030.decode_without_bom_handling(written).0)
}

/// Second, minute, hour, day, month, year since 2000.
fn time([second, minute, hour, day, month, year]: [u8; 6]) -> Option<DateTime> {
    let [second, minute, hour, day, month] = [second, minute, hour, day, month].map(|n| i8::try_from(n).ok());
    DateTime::new(2000 + i16::from(year), month?, day?, hour?, minute?, second?, 0).ok()
}

#[cfg(test)]
mod tests;

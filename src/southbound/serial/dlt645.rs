//! DL/T 645-2007: frames of multi-function electricity meters.
//!
//! Source: DL/T 645-2007, sections 5.2 (frame), 7 (control codes) and annex A (data identifiers). A frame is
//! `68 A0…A5 68 C L DATA CS 16`, after one to four bytes FE that wake the line; the address is 12 digits, two to a
//! byte, the last two first; every byte of DATA is sent with 33h added; CS is the sum of all bytes before it from the
//! first 68 on.

use super::codec::{Codec, Look, Refusal, Stray, sum, to_next};
use super::plate::Plate;
use std::fmt;

const START: u8 = 0x68;
const END: u8 = 0x16;
const WAKE: u8 = 0xFE;
/// Sent before each request (section 5.2.1): four at most, and some meters sleep without them.
const WAKES: usize = 4;
/// Added to every byte of data (section 5.2.6).
const OFFSET: u8 = 0x33;
/// Before the data: 68, address, 68, control code, length.
const HEADER: usize = 10;
/// After it: check sum and 16.
const TAIL: usize = 2;
/// Most data bytes of a read (section 5.2.5).
pub(super) const MAX_DATA: usize = 200;
/// Bit of the control code: sent by the meter.
const FROM_METER: u8 = 0x80;
/// Bit of the control code: the meter refuses.
const REFUSED: u8 = 0x40;
/// Bit of the control code: more frames follow.
const MORE: u8 = 0x20;
const FUNCTION: u8 = 0x1F;

/// A meter's address: the 12 digits on its plate.
pub type Address = Plate<6>;

/// Names a quantity: DI3 DI2 DI1 DI0, as the standard writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Di(pub u32);

impl Di {
    /// DI0 goes first.
    fn wire(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }
}

impl fmt::Display for Di {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X}", self.0)
    }
}

/// The error byte of a refusal (DL/T 645-2007, annex A, table A.7): one bit per reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errors(pub u8);

impl Errors {
    /// Whether the meter does not have what was asked for.
    #[must_use]
    pub fn no_such_data(self) -> bool {
        self.0 & 2 != 0
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const REASONS: [&str; 8] = [
            "another error",
            "the meter has no such data",
            "wrong password or no authority",
            "the baud rate cannot be changed",
            "too many yearly zones",
            "too many daily slots",
            "too many tariffs",
            "a reserved error bit",
        ];
        let set = (0..8).zip(REASONS).filter(|(bit, _)| self.0 & (1 << bit) != 0).map(|(_, reason)| reason);
        let said: Vec<&str> = set.collect();
        if said.is_empty() { f.write_str("refused without a reason") } else { f.write_str(&said.join(", ")) }
    }
}

/// A whole frame with a right check sum; its data without the 33h.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Whose, or to whom.
    pub address: Address,
    /// The control code.
    pub control: u8,
    /// What it carries.
    pub data: Vec<u8>,
}

impl Frame {
    /// The bytes on the line, without FE.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![START];
        bytes.extend(self.address.wire());
        bytes.extend([START, self.control, u8::try_from(self.data.len()).unwrap_or(u8::MAX)]);
        bytes.extend(self.data.iter().map(|byte| byte.wrapping_add(OFFSET)));
        bytes.extend([sum(&bytes), END]);
        bytes
    }

    /// Looks at the front of what was received.
    fn first(held: &[u8]) -> First {
        let begins = |byte| byte == START;
        let Some(&front) = held.first() else { return First::Wait };
        let skip = |what| First::Skip(to_next(held, begins), what);
        if front != START || held.get(7).is_some_and(|byte| *byte != START) {
            return skip(Stray::Noise);
        }
        let Some(len) = held.get(9).map(|len| usize::from(*len)) else { return First::Wait };
        if len > MAX_DATA {
            return skip(Stray::Noise);
        }
        let whole = HEADER + len + TAIL;
        let Some(frame) = held.get(..whole) else { return First::Wait };
        let (body, tail) = frame.split_at(HEADER + len);
        let [check, end] = [tail.first(), tail.last()].map(|byte| byte.copied().unwrap_or_default());
        if end != END {
            return skip(Stray::Noise);
        }
        if check != sum(body) {
            return skip(Stray::BadSum);
        }
        let control = body.get(8).copied().unwrap_or_default();
        let data = body.iter().skip(HEADER).map(|byte| byte.wrapping_sub(OFFSET)).collect();
        First::Frame(Self { address: Address::from_wire(body.iter().skip(1)), control, data }, whole)
    }
}

enum First {
    Wait,
    Skip(usize, Stray),
    Frame(Frame, usize),
}

/// What is asked of a meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Read a quantity (control code 11).
    Read(Di),
    /// Read the frame of a quantity that follows the one with this number (control code 12); numbers begin at 1.
    ReadOn(Di, u8),
    /// The address of the only meter on the line (control code 13).
    ReadAddress,
}

/// One request to one meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// To whom.
    pub address: Address,
    /// What.
    pub ask: Ask,
}

/// What a meter answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The meter's address: it is asked for, or the wildcard was used.
    pub address: Address,
    /// The quantity's bytes, the identifier and frame number aside; least significant byte first.
    pub data: Vec<u8>,
    /// Whether more frames of this quantity follow.
    pub more: bool,
}

impl Request {
    fn function(self) -> u8 {
        match self.ask {
            Ask::Read(_) => 0x11,
            Ask::ReadOn(..) => 0x12,
            Ask::ReadAddress => 0x13,
        }
    }

    fn frame(self) -> Frame {
        let data = match self.ask {
            Ask::Read(di) => di.wire().to_vec(),
            Ask::ReadOn(di, number) => [&di.wire()[..], &[number]].concat(),
            Ask::ReadAddress => Vec::new(),
        };
        Frame { address: self.address, control: self.function(), data }
    }

    /// What a whole frame of the meter says; `None` when it answers something else.
    fn judge(self, frame: &Frame) -> Option<Result<Answer, Refusal>> {
        let Frame { address, control, data } = frame;
        if control & REFUSED != 0 {
            return Some(Err(Refusal::Dlt645(Errors(data.first().copied().unwrap_or_default()))));
        }
        let data = match self.ask {
            Ask::Read(di) => data.strip_prefix(&di.wire())?.to_vec(),
            Ask::ReadOn(di, number) => {
                let (last, data) = data.strip_prefix(&di.wire())?.split_last()?;
                (*last == number).then(|| data.to_vec())?
            }
            Ask::ReadAddress => (data.len() == 6).then(|| data.clone())?,
        };
        Some(Ok(Answer { address: *address, data, more: control & MORE != 0 }))
    }
}

impl Codec for Request {
    type Answer = Answer;

    fn request(&self) -> Vec<u8> {
        [vec![WAKE; WAKES], self.frame().encode()].concat()
    }

    fn look(&self, held: &[u8]) -> Look<Answer> {
        match Frame::first(held) {
            First::Wait => Look::Wait,
            First::Skip(bytes, what) => Look::Skip { bytes, what },
            First::Frame(frame, bytes) => {
                let stray = |what| Look::Skip { bytes, what };
                if frame.control & FROM_METER == 0 {
                    return stray(if frame == self.frame() { Stray::Echo } else { Stray::OtherRequest });
                }
                if !self.address.means(frame.address) {
                    return stray(Stray::OtherDevice);
                }
                if frame.control & FUNCTION != self.function() {
                    return stray(Stray::OtherRequest);
                }
                match self.judge(&frame) {
                    Some(said) => Look::Answer { said, bytes },
                    None => stray(Stray::OtherRequest),
                }
            }
        }
    }

    fn expected_len(&self) -> usize {
        // An identifier and the longest of the common quantities: a block of five energies.
        HEADER + TAIL + 4 + 20
    }
}

/// Sets every meter's clock (control code 08, section 7.1): nobody answers, and a meter takes it once a day, and only
/// if its own clock is less than five minutes off.
#[must_use]
pub fn broadcast_time(year: u8, month: u8, day: u8, hour: u8, minute: u8, second: u8) -> Vec<u8> {
    let bcd = |n: u8| ((n / 10 % 10) << 4) | (n % 10);
    let data = [second, minute, hour, day, month, year].map(bcd).to_vec();
    [vec![WAKE; WAKES], Frame { address: Address::ALL, control: 0x08, data }.encode()].concat()
}

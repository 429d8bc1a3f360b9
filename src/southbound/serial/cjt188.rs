//! CJ/T 188-2004 and -2018: frames of water, gas and heat meters.
//!
//! Source: CJ/T 188-2004, sections 5 and 6. A frame is `68 T A0…A6 C L DI0 DI1 SER DATA CS 16`, after any number of bytes
//! FE; T is the kind of meter, the address is 14 digits, two to a byte, the last two first; CS is the sum of all bytes
//! before it from the 68 on. Unlike DL/T 645, data are sent as they are. Makers disagree about which byte of the data
//! identifier goes first, so it is the profile's to say.

use super::codec::{Codec, Look, Refusal, Stray, sum, to_next};
use super::plate::Plate;

const START: u8 = 0x68;
const END: u8 = 0x16;
const WAKE: u8 = 0xFE;
/// Sent before each request: meters with a battery wake by them.
const WAKES: usize = 4;
/// Before the data: 68, kind, address, control code, length.
const HEADER: usize = 11;
/// After it: check sum and 16.
const TAIL: usize = 2;
/// Data identifier and serial number.
const PREFIX: usize = 3;
/// Bit of the control code: sent by the meter.
const FROM_METER: u8 = 0x80;
/// Bit of the control code: the meter is in trouble.
const IN_TROUBLE: u8 = 0x40;
const FUNCTION: u8 = 0x3F;

/// A meter's address: the 14 digits on its plate, of which the first four are the maker's code.
pub type Address = Plate<7>;

/// What is asked of a meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Read data (control code 01): the identifier, as its two bytes go over the line.
    Read([u8; 2]),
    /// The address of the only meter on the line (control code 03, identifier 810A).
    ReadAddress,
}

/// One request to one meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The kind of meter: 10h cold water, 11h hot water, 20h heat, 30h gas, 40h electricity; AAh any.
    pub kind: u8,
    /// To whom.
    pub address: Address,
    /// What.
    pub ask: Ask,
    /// The frame's number, which the meter gives back.
    pub serial: u8,
}

/// What a meter answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its kind.
    pub kind: u8,
    /// Its address.
    pub address: Address,
    /// What follows identifier and serial number, as it came.
    pub data: Vec<u8>,
}

impl Request {
    fn function(self) -> u8 {
        match self.ask {
            Ask::Read(_) => 0x01,
            Ask::ReadAddress => 0x03,
        }
    }

    fn identifier(self) -> [u8; 2] {
        match self.ask {
            Ask::Read(di) => di,
            Ask::ReadAddress => [0x81, 0x0A],
        }
    }

    fn frame(self) -> Vec<u8> {
        let mut bytes = vec![START, self.kind];
        bytes.extend(self.address.wire());
        bytes.extend([self.function(), 3]);
        bytes.extend(self.identifier());
        bytes.push(self.serial);
        bytes.extend([sum(&bytes), END]);
        bytes
    }

    fn whole(self, frame: &[u8], body: &[u8]) -> Look<Answer> {
        let bytes = frame.len();
        let stray = |what| Look::Skip { bytes, what };
        let at = |i: usize| body.get(i).copied().unwrap_or_default();
        if frame == self.frame() {
            return stray(Stray::Echo);
        }
        let (kind, address, control) = (at(1), Address::from_wire(body.iter().skip(2)), at(9));
        if control & FROM_METER == 0 {
            return stray(Stray::OtherRequest);
        }
        let mine = self.address.means(address) && (self.kind == 0xAA || self.kind == kind);
        if !mine {
            return stray(Stray::OtherDevice);
        }
        let data = body.get(HEADER..).unwrap_or_default();
        if control & FUNCTION != self.function() {
            return stray(Stray::OtherRequest);
        }
        if control & IN_TROUBLE != 0 {
            // Serial number, then the status word (section 6.1.4, table 6).
            let status = data.get(1..3).and_then(|s| s.try_into().ok()).map_or(0, u16::from_le_bytes);
            return Look::Answer { said: Err(Refusal::Cjt188(status)), bytes };
        }
        match data.split_at_checked(PREFIX) {
            Some((prefix, data)) if prefix.strip_prefix(&self.identifier()) == Some(&[self.serial]) => {
                Look::Answer { said: Ok(Answer { kind, address, data: data.to_vec() }), bytes }
            }
            _ => stray(Stray::OtherRequest),
        }
    }
}

/// Kinds of meter (CJ/T 188-2004, table 1): water, heat, gas, others; AAh stands for any.
fn is_kind(byte: u8) -> bool {
    matches!(byte, 0x10..=0x49 | 0xAA)
}

impl Codec for Request {
    type Answer = Answer;

    fn request(&self) -> Vec<u8> {
        [vec![WAKE; WAKES], self.frame()].concat()
    }

    fn look(&self, held: &[u8]) -> Look<Answer> {
        let Some(&front) = held.first() else { return Look::Wait };
        let skip = |what| Look::Skip { bytes: to_next(held, |byte| byte == START), what };
        if front != START || held.get(1).is_some_and(|kind| !is_kind(*kind)) {
            return skip(Stray::Noise);
        }
        let Some(len) = held.get(10).map(|len| usize::from(*len)) else { return Look::Wait };
        let Some(frame) = held.get(..HEADER + len + TAIL) else { return Look::Wait };
        let (body, tail) = frame.split_at(HEADER + len);
        let [check, end] = [tail.first(), tail.last()].map(|byte| byte.copied().unwrap_or_default());
        if end != END {
            return skip(Stray::Noise);
        }
        if check != sum(body) {
            return skip(Stray::BadSum);
        }
        self.whole(frame, body)
    }

    fn expected_len(&self) -> usize {
        // The longest common reply, that of a heat meter.
        HEADER + TAIL + PREFIX + 43
    }
}

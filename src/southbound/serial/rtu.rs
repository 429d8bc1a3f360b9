//! Modbus RTU: frames with a check sum and without anything that tells one answer from another.
//!
//! Source: MODBUS over Serial Line V1.02, section 2.5.1. A frame is `unit function data… CRC`, the CRC's low byte first.
//! There is no mark of where a frame begins and no number that ties an answer to its request: the length an answer
//! must have is known from the request, and what is late is kept apart by silence (`line.rs`).

use super::codec::{Codec, Look, Refusal, Stray};
use crate::southbound::modbus::pdu::{self, Length, REFUSED};
use crate::southbound::polled::Exception;

/// Bytes of an exception: unit, function, code, CRC.
const EXCEPTION_LEN: usize = 5;

/// CRC-16/MODBUS (MODBUS over Serial Line V1.02, section 6.2.2).
#[must_use]
pub fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 })
    })
}

fn whole(frame: &[u8]) -> bool {
    let sound = frame.split_last_chunk::<2>().map(|(body, end)| u16::from_le_bytes(*end) == crc(body));
    sound.unwrap_or(false)
}

/// One request: the unit, and the protocol data unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    unit: u8,
    pdu: pdu::Request,
    frame: Vec<u8>,
}

impl Request {
    /// A request to a unit.
    #[must_use]
    pub fn new(unit: u8, pdu: pdu::Request) -> Self {
        let mut frame = vec![unit];
        frame.extend(pdu.bytes());
        frame.extend(crc(&frame).to_le_bytes());
        Self { unit, pdu, frame }
    }
}

impl Codec for Request {
    /// The protocol data unit, function code first.
    type Answer = Vec<u8>;

    fn request(&self) -> Vec<u8> {
        self.frame.clone()
    }

    fn look(&self, held: &[u8]) -> Look<Vec<u8>> {
        let [unit, function, rest @ ..] = held else { return Look::Wait };
        let own = self.pdu.function();
        let begins = |pair: &[u8]| pair == [self.unit, own] || pair == [self.unit, own | REFUSED];
        let skip = |what| {
            let next = held.windows(2).skip(1).position(begins).map_or(held.len() - 1, |at| at + 1);
            Look::Skip { bytes: next, what }
        };
        if !begins(&[*unit, *function]) {
            return skip(Stray::Noise);
        }
        if *function == own | REFUSED {
            let Some(frame) = held.get(..EXCEPTION_LEN) else { return Look::Wait };
            if !whole(frame) {
                return skip(Stray::BadSum);
            }
            let code = rest.first().copied().unwrap_or_default();
            let said = Err(Refusal::Modbus(Exception::from_code(code)));
            return Look::Answer { said, bytes: EXCEPTION_LEN };
        }
        // The request, whole, is an echo, unless the right answer is the very same. No answer to a read of registers
        // looks like it: its third byte would be the count.
        if held.starts_with(&self.frame) && !self.pdu.is_repeated() {
            return Look::Skip { bytes: self.frame.len(), what: Stray::Echo };
        }
        let bytes = match self.pdu.length(held.get(1..).unwrap_or_default()) {
            Length::Is(len) => 1 + len + 2,
            Length::Later => return Look::Wait,
            Length::Never => return skip(Stray::Noise),
        };
        // What can only be an echo still coming is waited for, too.
        let Some(frame) = held.get(..bytes) else { return Look::Wait };
        if !whole(frame) {
            // A longer echo, of a write of several, may still be coming.
            return if self.frame.starts_with(held) { Look::Wait } else { skip(Stray::BadSum) };
        }
        let pdu = frame.get(1..bytes - 2).unwrap_or_default();
        if !self.pdu.repeats(pdu) {
            return Look::Skip { bytes, what: Stray::OtherRequest };
        }
        Look::Answer { said: Ok(pdu.to_vec()), bytes }
    }

    /// Any answer of this unit to this function with as many bytes; the answer to a write names it.
    fn shape(&self) -> Vec<u8> {
        if self.pdu.is_named() {
            return Vec::new();
        }
        let len = u8::try_from(self.pdu.expected_len()).unwrap_or(u8::MAX);
        vec![self.unit, self.pdu.function(), len]
    }

    fn expected_len(&self) -> usize {
        1 + self.pdu.expected_len() + 2
    }
}

//! Modbus RTU: frames with a check sum and without anything that tells one answer from another.
//!
//! Source: MODBUS over Serial Line V1.02, section 2.5.1. A frame is `unit function data… CRC`, the CRC's low byte first.
//! There is no mark of where a frame begins and no number that ties an answer to its request: the length an answer
//! must have is known from the request, and what is late is kept apart by silence (`line.rs`).

use super::codec::{Codec, Look, Refusal, Stray};
use crate::southbound::polled::Exception;

/// Bytes of an exception: unit, function, code, CRC.
const EXCEPTION_LEN: usize = 5;
/// Bit of the function code: the device refuses.
const REFUSED: u8 = 0x80;

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
    pdu: Vec<u8>,
    answer_len: usize,
}

impl Request {
    /// A request whose answer has so many bytes behind the function code; `pdu` begins with the function code.
    #[must_use]
    pub fn new(unit: u8, pdu: &[u8], answer_len: usize) -> Self {
        Self { unit, pdu: pdu.to_vec(), answer_len }
    }

    fn function(&self) -> u8 {
        self.pdu.first().copied().unwrap_or_default()
    }

    fn frame(&self) -> Vec<u8> {
        let mut bytes = vec![self.unit];
        bytes.extend(&self.pdu);
        bytes.extend(crc(&bytes).to_le_bytes());
        bytes
    }
}

impl Codec for Request {
    /// The protocol data unit, function code first.
    type Answer = Vec<u8>;

    fn request(&self) -> Vec<u8> {
        self.frame()
    }

    fn look(&self, held: &[u8]) -> Look<Vec<u8>> {
        let [unit, function, rest @ ..] = held else { return Look::Wait };
        let begins = |pair: &[u8]| {
            pair == [self.unit, self.function()] || pair == [self.unit, self.function() | REFUSED]
        };
        let skip = |what| {
            let next = held.windows(2).skip(1).position(begins).map_or(held.len() - 1, |at| at + 1);
            Look::Skip { bytes: next, what }
        };
        if *unit == self.unit && *function == self.function() | REFUSED {
            let Some(frame) = held.get(..EXCEPTION_LEN) else { return Look::Wait };
            if !whole(frame) {
                return skip(Stray::BadSum);
            }
            let code = rest.first().copied().unwrap_or_default();
            let said = Err(Refusal::Modbus(Exception::from_code(code)));
            return Look::Answer { said, bytes: EXCEPTION_LEN };
        }
        if *unit != self.unit || *function != self.function() {
            return skip(Stray::Noise);
        }
        // An echo is the request, whole, and no answer to a read looks like it: its second byte would be the count.
        let own = self.frame();
        let bytes = 2 + self.answer_len + 2;
        if held.starts_with(&own) && bytes != own.len() {
            return Look::Skip { bytes: own.len(), what: Stray::Echo };
        }
        let Some(frame) = held.get(..bytes) else {
            // What can only be an echo still coming is waited for, too.
            return Look::Wait;
        };
        if !whole(frame) {
            return skip(Stray::BadSum);
        }
        let pdu = frame.get(1..bytes - 2).unwrap_or_default().to_vec();
        Look::Answer { said: Ok(pdu), bytes }
    }

    /// Any answer of this unit to this function with as many bytes.
    fn shape(&self) -> Vec<u8> {
        vec![self.unit, self.function(), u8::try_from(self.answer_len).unwrap_or(u8::MAX)]
    }

    fn expected_len(&self) -> usize {
        2 + self.answer_len + 2
    }
}

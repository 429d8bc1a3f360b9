//! What a scan hears: Modbus RTU answers picked out of whatever comes over the line, each known by its unit id.
//!
//! A scan asks all units the same question, so an answer tells by its unit id whose it is, however late it comes. That
//! is what lets a scan send the next question while a slow device still thinks about the last one. Polling could not do
//! so: there one unit is asked many questions, and an answer does not tell which.

use crate::southbound::polled::Exception;
use crate::southbound::serial::rtu::crc;

/// Longest run of bytes kept while no frame is found in it.
const MAX_HELD: usize = 512;
/// The question: holding registers 0 and 1.
///
/// Two and not one, so that an answer with values (9 bytes) is longer than a question (8 bytes): when one is drowned by
/// the question to the next unit, some bytes of it still stand out and tell that somebody answered late.
const QUESTION: [u8; 5] = [3, 0, 0, 0, 2];
/// Bytes of a question.
pub(super) const QUESTION_LEN: usize = 8;
/// Bytes of an answer with values: unit, function, count, two registers, CRC.
pub(super) const ANSWER_LEN: usize = 9;
/// Bytes of a refusal: unit, function, code, CRC.
const REFUSAL_LEN: usize = 5;

/// The question to a unit.
pub(super) fn question(unit: u8) -> Vec<u8> {
    let mut bytes = vec![unit];
    bytes.extend(QUESTION);
    bytes.extend(crc(&bytes).to_le_bytes());
    bytes
}

/// How a unit answered the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// With its first two holding registers.
    Words([u16; 2]),
    /// With an exception: it is there, and has no such registers.
    Refused(Exception),
}

/// What stands at the front of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// A unit's answer.
    Reply(u8, Reply),
    /// A question read back.
    Echo,
}

/// Bytes from the line, and where the answers in them are.
#[derive(Debug, Default)]
pub(super) struct Ear {
    held: Vec<u8>,
    /// Bytes that belonged to no frame.
    noise: usize,
}

impl Ear {
    /// Takes in what came.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        let surplus = self.held.len().saturating_sub(MAX_HELD);
        self.noise += surplus;
        self.held.drain(..surplus);
    }

    /// The next whole frame, whatever noise is before it.
    pub(super) fn next(&mut self) -> Option<Heard> {
        let (at, heard, len) = (0..self.held.len()).find_map(|at| {
            let (heard, len) = first(self.held.get(at..)?)?;
            Some((at, heard, len))
        })?;
        self.noise += at;
        self.held.drain(..at + len);
        Some(heard)
    }

    /// Whether bytes are held that may yet become a frame.
    pub(super) fn expects_more(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether nothing came that was no frame, since the noise was last taken.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.noise == 0
    }

    /// Gives up on what is held; how many bytes belonged to no frame since last asked.
    pub(super) fn take_noise(&mut self) -> usize {
        let noise = self.noise + self.held.len();
        self.held.clear();
        self.noise = 0;
        noise
    }
}

/// The frame at the very front of the bytes and its length, if there is a whole one.
fn first(bytes: &[u8]) -> Option<(Heard, usize)> {
    let [unit, function, rest @ ..] = bytes else { return None };
    if !(1..=247).contains(unit) {
        return None;
    }
    match (function, rest) {
        (3, [4, a, b, c, d, ..]) if is_whole(bytes, ANSWER_LEN) => {
            let words = [u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])];
            Some((Heard::Reply(*unit, Reply::Words(words)), ANSWER_LEN))
        }
        (0x83, [code, ..]) if is_whole(bytes, REFUSAL_LEN) => {
            let refused = Reply::Refused(Exception::from_code(*code));
            Some((Heard::Reply(*unit, refused), REFUSAL_LEN))
        }
        (3, rest) if rest.starts_with(&[0, 0, 0, 2]) && is_whole(bytes, QUESTION_LEN) => {
            Some((Heard::Echo, QUESTION_LEN))
        }
        _ => None,
    }
}

fn is_whole(bytes: &[u8], len: usize) -> bool {
    let frame = bytes.get(..len).and_then(|frame| frame.split_last_chunk::<2>());
    frame.is_some_and(|(body, end)| u16::from_le_bytes(*end) == crc(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(body: &[u8]) -> Vec<u8> {
        [body, &crc(body).to_le_bytes()].concat()
    }

    #[test]
    fn asks_as_the_standard_writes_it() {
        // CRC computed by the example of MODBUS over Serial Line V1.02, appendix B.
        assert_eq!(question(1), [0x01, 0x03, 0x00, 0x00, 0x00, 0x02, 0xC4, 0x0B]);
    }

    #[test]
    fn finds_answers_between_noise_echo_and_each_other() {
        let values = sealed(&[7, 3, 4, 0x43, 0x5C, 0x19, 0x9A]);
        let refusal = sealed(&[9, 0x83, 2]);
        let mut broken = sealed(&[8, 3, 4, 0, 0, 0, 0]);
        broken[4] ^= 1;
        let all = [&[0, 0xFF][..], &question(7), &values, &broken, &refusal, &[7, 3, 4]].concat();
        // In one piece and byte by byte, the same.
        for piece in [all.len(), 1, 5] {
            let mut ear = Ear::default();
            let mut heard = Vec::new();
            for bytes in all.chunks(piece) {
                ear.hear(bytes);
                heard.extend(std::iter::from_fn(|| ear.next()));
            }
            let expected = [
                Heard::Echo,
                Heard::Reply(7, Reply::Words([0x435C, 0x199A])),
                Heard::Reply(9, Reply::Refused(Exception::IllegalAddress)),
            ];
            assert_eq!(heard, expected, "in pieces of {piece}");
            assert!(ear.expects_more());
            assert_eq!(ear.take_noise(), 2 + 9 + 3);
            assert!(!ear.expects_more());
        }
    }

    #[test]
    fn noise_without_end_is_bounded_and_hides_no_answer_behind_it() {
        let mut ear = Ear::default();
        for _ in 0..100 {
            ear.hear(&[0x55; 100]);
            assert_eq!(ear.next(), None);
            assert!(ear.held.len() <= MAX_HELD);
        }
        ear.hear(&sealed(&[5, 0x83, 1]));
        assert_eq!(ear.next(), Some(Heard::Reply(5, Reply::Refused(Exception::IllegalFunction))));
        assert_eq!(ear.take_noise(), 10_000);
    }
}

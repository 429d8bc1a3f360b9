//! Bytes on the wire: requests out, frames in, and whether a frame answers the request.
//!
//! Sources: MODBUS Messaging on TCP/IP Implementation Guide V1.0b (section 3.1.3, the MBAP header) and MODBUS
//! Application Protocol Specification V1.1b3 (sections 6.3, 6.4 and 7).

use crate::profile::RegisterTable;
use crate::southbound::polled::Exception;

/// Longest frame: 7 bytes of header and 253 bytes of protocol data unit.
pub(super) const MAX_ADU: usize = 260;
/// Length of a read request.
pub(super) const REQUEST_LEN: usize = 12;
/// Most registers in one read.
pub(super) const MAX_QUANTITY: u16 = 125;
/// Bytes before the unit id.
const PREFIX: usize = 6;

/// One read of registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) id: u16,
    pub(super) unit: u8,
    pub(super) table: RegisterTable,
    pub(super) address: u16,
    pub(super) quantity: u16,
}

impl Request {
    fn function(self) -> u8 {
        match self.table {
            RegisterTable::Holding => 3,
            RegisterTable::Input => 4,
            RegisterTable::Coil => 1,
            RegisterTable::Discrete => 2,
        }
    }

    fn pdu(self) -> [u8; 5] {
        let [a, b] = self.address.to_be_bytes();
        let [c, d] = self.quantity.to_be_bytes();
        [self.function(), a, b, c, d]
    }

    /// The request as sent.
    pub(super) fn encode(self) -> [u8; REQUEST_LEN] {
        let [i, j] = self.id.to_be_bytes();
        let [f, a, b, c, d] = self.pdu();
        [i, j, 0, 0, 0, 6, self.unit, f, a, b, c, d]
    }

    /// The register bytes of the reply that is known to answer this request.
    pub(super) fn judge(self, pdu: &[u8]) -> Result<&[u8], Verdict> {
        let function = self.function();
        match pdu {
            _ if pdu == self.pdu() => Err(Verdict::Echo),
            [f, code] if *f == function | 0x80 => Err(Verdict::Exception(Exception::from_code(*code))),
            [f, rest @ ..] if *f == function | 0x80 => Err(Verdict::Malformed(format!(
                "an exception reply has 1 byte of data, this one {}",
                rest.len()
            ))),
            [f, ..] if *f != function => {
                Err(Verdict::Malformed(format!("function {f} answers function {function}")))
            }
            [_, count, data @ ..] => {
                let expected = usize::from(self.quantity) * 2;
                if usize::from(*count) == expected && data.len() == expected {
                    Ok(data)
                } else {
                    let len = data.len();
                    Err(Verdict::Malformed(format!(
                        "{} registers are {expected} bytes; the reply says {count} and holds {len}",
                        self.quantity
                    )))
                }
            }
            [] | [_] => Err(Verdict::Malformed("the reply has no data".into())),
        }
    }
}

/// What is wrong with a reply that has our transaction id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The device says no.
    Exception(Exception),
    /// It is our own request.
    Echo,
    /// It is not what the protocol says, and how.
    Malformed(String),
}

/// One whole frame at the head of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) id: u16,
    pub(super) unit: u8,
    pub(super) pdu: &'a [u8],
    /// Its whole length in bytes, at most [`MAX_ADU`].
    pub(super) len: usize,
}

/// Finds the frame at the head of `bytes`; `None` while more bytes are needed.
///
/// # Errors
/// What is wrong with the header, as soon as that can be seen.
pub(super) fn first_frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, String> {
    let [i, j, p, q, l, m, rest @ ..] = bytes else { return Ok(None) };
    let protocol = u16::from_be_bytes([*p, *q]);
    if protocol != 0 {
        return Err(format!("protocol identifier {protocol:#06x} in the header, 0 expected: not Modbus TCP"));
    }
    let length = usize::from(u16::from_be_bytes([*l, *m]));
    if !(2..=MAX_ADU - PREFIX).contains(&length) {
        return Err(format!("length {length} in the header, 2 to {} expected", MAX_ADU - PREFIX));
    }
    let Some([unit, pdu @ ..]) = rest.get(..length) else { return Ok(None) };
    let id = u16::from_be_bytes([*i, *j]);
    Ok(Some(Frame { id, unit: *unit, pdu, len: PREFIX + length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Request =
        Request { id: 0x0102, unit: 7, table: RegisterTable::Holding, address: 0x006B, quantity: 3 };

    #[test]
    fn encodes_the_example_of_the_specification() {
        // V1.1b3 section 6.3: read registers 108 to 110.
        assert_eq!(ASKED.encode(), [1, 2, 0, 0, 0, 6, 7, 3, 0x00, 0x6B, 0x00, 0x03]);
        let input = Request { table: RegisterTable::Input, ..ASKED };
        assert_eq!(input.encode()[7], 4);
    }

    #[test]
    fn takes_only_the_reply_that_fits() {
        let good = [3, 6, 0x02, 0x2B, 0x00, 0x00, 0x00, 0x64];
        assert_eq!(ASKED.judge(&good), Ok(&good[2..]));
        let malformed: &[(&[u8], &str)] = &[
            (&[], "no data"),
            (&[3], "no data"),
            (&[4, 6, 0, 0, 0, 0, 0, 0], "function 4 answers function 3"),
            (&[0x84, 2], "function 132 answers function 3"),
            (&[0x83], "1 byte of data"),
            (&[0x83, 2, 2], "1 byte of data"),
            (&[3, 4, 0, 0, 0, 0], "3 registers are 6 bytes; the reply says 4 and holds 4"),
            (&[3, 6, 0, 0, 0, 0], "says 6 and holds 4"),
            (&[3, 6, 0, 0, 0, 0, 0], "says 6 and holds 5"),
            (&[3, 6, 0, 0, 0, 0, 0, 0, 0], "says 6 and holds 7"),
            (&[3, 255, 0, 0, 0, 0, 0, 0], "says 255"),
        ];
        for (pdu, why) in malformed {
            match ASKED.judge(pdu) {
                Err(Verdict::Malformed(text)) => assert!(text.contains(why), "{pdu:?}: {text}"),
                other => panic!("{pdu:?} gave {other:?}"),
            }
        }
        assert_eq!(ASKED.judge(&[0x83, 2]), Err(Verdict::Exception(Exception::IllegalAddress)));
        assert_eq!(ASKED.judge(&[3, 0, 0x6B, 0, 3]), Err(Verdict::Echo));
    }

    #[test]
    fn waits_for_a_whole_frame_and_refuses_a_wrong_header_early() {
        let frame = [1, 2, 0, 0, 0, 5, 7, 3, 2, 0xAB, 0xCD, 0xFF];
        for cut in 0..11 {
            assert_eq!(first_frame(&frame[..cut]), Ok(None), "{cut} bytes");
        }
        let whole = Frame { id: 0x0102, unit: 7, pdu: &frame[7..11], len: 11 };
        assert_eq!(first_frame(&frame), Ok(Some(whole)));
        assert!(first_frame(b"HTTP/1.1 400").unwrap_err().contains("not Modbus TCP"));
        for length in [0u16, 1, 255, 256, 0xFFFF] {
            let [l, m] = length.to_be_bytes();
            let error = first_frame(&[0, 1, 0, 0, l, m]).unwrap_err();
            assert!(error.contains(&format!("length {length}")), "{error}");
        }
        let mut longest = vec![0, 1, 0, 0, 0, 254, 1];
        longest.resize(MAX_ADU, 0);
        assert_eq!(first_frame(&longest).unwrap().unwrap().len, MAX_ADU);
    }

    #[test]
    fn random_bytes_never_panic_and_never_overrun() {
        let mut seed = 0x9E37_79B9_7F4A_7C15u64;
        for _ in 0..50_000 {
            let mut bytes = [0u8; 40];
            for byte in &mut bytes {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                *byte = seed.to_be_bytes()[3] % 9;
            }
            bytes[2] = 0;
            bytes[3] = 0;
            bytes[4] = 0;
            if let Ok(Some(frame)) = first_frame(&bytes) {
                assert!(frame.len <= bytes.len());
                if let Ok(data) = ASKED.judge(frame.pdu) {
                    assert_eq!(data.len(), 6);
                }
            }
        }
    }
}

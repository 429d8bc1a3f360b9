//! Frames of Modbus TCP: a header with a number that ties an answer to its request, then the protocol data unit.
//!
//! Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, section 3.1.3 (the MBAP header).

use super::pdu::MAX_PDU;

/// Longest frame: 7 bytes of header and the longest protocol data unit.
pub(super) const MAX_ADU: usize = 7 + MAX_PDU;
/// Bytes before the unit id.
const PREFIX: usize = 6;

/// A request as sent.
pub fn encode(id: u16, unit: u8, pdu: &[u8]) -> Vec<u8> {
    let ([i, j], [l, m]) = (id.to_be_bytes(), u16::try_from(pdu.len() + 1).unwrap_or(u16::MAX).to_be_bytes());
    let mut bytes = Vec::with_capacity(PREFIX + 1 + pdu.len());
    bytes.extend([i, j, 0, 0, l, m, unit]);
    bytes.extend(pdu);
    bytes
}

/// One whole frame at the head of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The number of the request it answers.
    pub id: u16,
    /// Whose answer it is.
    pub unit: u8,
    /// The protocol data unit, function code first.
    pub pdu: &'a [u8],
    /// Its whole length in bytes, at most 260.
    pub len: usize,
}

/// Finds the frame at the head of `bytes`; `None` while more bytes are needed.
///
/// # Errors
/// What is wrong with the header, as soon as that can be seen.
pub fn first_frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, String> {
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
    use crate::southbound::modbus::pdu::Request;

    #[test]
    fn a_request_has_its_length_in_the_header() {
        assert_eq!(encode(0x0102, 7, &[3, 0, 0x6B, 0, 3]), [1, 2, 0, 0, 0, 6, 7, 3, 0x00, 0x6B, 0x00, 0x03]);
        assert_eq!(encode(1, 2, &[0; 252])[4..6], [0, 253]);
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
        let asked = Request::read(crate::profile::RegisterTable::Holding, 1, 3).unwrap();
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
                if asked.judge(frame.pdu).is_ok() {
                    assert_eq!(frame.pdu.len(), 8);
                }
            }
        }
    }
}

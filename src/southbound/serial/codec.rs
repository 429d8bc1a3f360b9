//! What every protocol on a shared line has in common: one request, and a look at the bytes that came back.

use crate::model::Fault;
use std::fmt;

/// Longest frame of any of the protocols: Modbus RTU has 256 bytes, DL/T 645 at most 212, CJ/T 188 at most 269.
pub(super) const MAX_FRAME: usize = 272;

/// One request on the line, and what answers it. Pure.
pub trait Codec {
    /// What a whole answer holds.
    type Answer;

    /// The bytes to send.
    fn request(&self) -> Vec<u8>;

    /// What the bytes received so far are. The caller drops what is skipped and asks again; a codec never skips
    /// beyond the first byte that could begin the answer.
    fn look(&self, held: &[u8]) -> Look<Self::Answer>;

    /// What an answer to this has in common with whatever could be mistaken for it. Empty where an answer names what
    /// it answers.
    fn shape(&self) -> Vec<u8> {
        Vec::new()
    }

    /// How many bytes the answer has, preambles aside, when all goes well; for the time it takes on the line.
    fn expected_len(&self) -> usize;
}

/// What the bytes at the front are to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look<T> {
    /// They may become the answer.
    Wait,
    /// So many of them are not the answer, nor its beginning.
    Skip {
        /// How many; at least 1.
        bytes: usize,
        /// What they are.
        what: Stray,
    },
    /// They answer the request.
    Answer {
        /// What it says, or how the device refuses.
        said: Result<T, Refusal>,
        /// How many bytes it takes.
        bytes: usize,
    },
}

/// Bytes on the line that answer nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stray {
    /// No frame begins here.
    Noise,
    /// The request itself, read back.
    Echo,
    /// A whole frame of, or to, another device.
    OtherDevice,
    /// A whole frame of the device, but not in answer to this request: an older one's, or another master's.
    OtherRequest,
    /// A frame whose check sum is wrong.
    BadSum,
}

impl Stray {
    /// The word in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Echo => "echo",
            Self::OtherDevice => "other_device",
            Self::OtherRequest => "other_request",
            Self::BadSum => "bad_sum",
        }
    }
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Noise => "noise: check the wiring, its termination, and the baud rate and parity",
            Self::Echo => {
                "our own request read back: check the A and B wires, or turn off echo in the adapter"
            }
            Self::OtherDevice => "a frame of another device",
            Self::OtherRequest => {
                "an answer to another request: too short a timeout, or a second master on the line"
            }
            Self::BadSum => {
                "a frame with a wrong check sum: noise on the line, or two devices with one address"
            }
        })
    }
}

/// How a device refuses, in the words of its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A Modbus exception code.
    Modbus(crate::southbound::polled::Exception),
    /// The error byte of DL/T 645.
    Dlt645(super::dlt645::Errors),
    /// The status of a CJ/T 188 answer with the error bit.
    Cjt188(u16),
}

impl Refusal {
    /// What kind of fault it is.
    #[must_use]
    pub fn fault(self) -> Fault {
        match self {
            Self::Modbus(exception) => exception.fault(),
            Self::Dlt645(_) | Self::Cjt188(_) => Fault::Refused,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Modbus(exception) => exception.fmt(f),
            Self::Dlt645(errors) => errors.fmt(f),
            Self::Cjt188(status) => {
                write!(f, "status {status:04X}: valve or battery, see the meter's manual")
            }
        }
    }
}

/// Up to the next byte that could begin a frame, the first aside: what is passed over in one go.
pub(super) fn to_next(held: &[u8], begins: impl Fn(u8) -> bool) -> usize {
    held.iter().skip(1).position(|byte| begins(*byte)).map_or(held.len(), |at| at + 1)
}

/// The sum of bytes modulo 256, as DL/T 645 and CJ/T 188 check their frames.
pub(super) fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

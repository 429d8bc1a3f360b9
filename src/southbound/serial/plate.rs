//! The address of a meter: the digits on its plate, two to a byte, the last two first.

use std::fmt;
use std::str::FromStr;

/// An address of `N` bytes, which are twice as many digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Plate<const N: usize>([u8; N]);

/// What was written is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a meter's address is the {digits} digits on its plate")]
pub struct BadPlate {
    /// How many digits there may be.
    pub digits: usize,
}

impl<const N: usize> Plate<N> {
    /// Whichever meter is alone on the line.
    pub const ANY: Self = Self([0xAA; N]);
    /// Every meter, and none answers.
    pub const ALL: Self = Self([0x99; N]);

    /// The address as it goes over the line; bytes that are missing are 0.
    pub(super) fn from_wire<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> Self {
        let mut own = [0; N];
        own.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Self(own)
    }

    /// The bytes as they go over the line.
    pub(super) fn wire(self) -> [u8; N] {
        self.0
    }

    /// Whether a meter of the address `other` is meant by this one.
    pub(super) fn means(self, other: Self) -> bool {
        self == Self::ANY || self == other
    }
}

impl<const N: usize> FromStr for Plate<N> {
    type Err = BadPlate;

    /// Up to twice `N` digits; leading zeros may be left out.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > 2 * N || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadPlate { digits: 2 * N });
        }
        let mut bytes = [0; N];
        for (i, digit) in text.bytes().rev().enumerate() {
            if let Some(byte) = bytes.get_mut(i / 2) {
                *byte |= (digit - b'0') << (4 * (i % 2));
            }
        }
        Ok(Self(bytes))
    }
}

impl<const N: usize> fmt::Display for Plate<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().rev().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

//! How a number lies in registers: its type, and the order of its words and bytes.

/// What the bits of a value stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A coil, a discrete input.
    Bit,
    Unsigned {
        words: u16,
    },
    /// Two's complement.
    Signed {
        words: u16,
    },
    /// The top bit is the sign, the others are the number.
    SignMagnitude {
        words: u16,
    },
    /// IEEE 754.
    Float32,
    /// IEEE 754.
    Float64,
    /// Four bits to a decimal digit.
    Bcd {
        words: u16,
    },
    /// A whole number of 32 bits, and behind it what follows the decimal point as a 32-bit float.
    WholeAndFraction,
}

/// Beyond this, neighbouring whole numbers are the same to an f64: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Format {
    /// Every type by its word in a profile.
    pub(super) const WORDS: [(&str, Self); 16] = [
        ("u16", Self::Unsigned { words: 1 }),
        ("i16", Self::Signed { words: 1 }),
        ("u32", Self::Unsigned { words: 2 }),
        ("i32", Self::Signed { words: 2 }),
        ("u64", Self::Unsigned { words: 4 }),
        ("i64", Self::Signed { words: 4 }),
        ("f32", Self::Float32),
        ("f64", Self::Float64),
        ("bcd16", Self::Bcd { words: 1 }),
        ("bcd32", Self::Bcd { words: 2 }),
        ("bcd48", Self::Bcd { words: 3 }),
        ("bcd64", Self::Bcd { words: 4 }),
        ("sm16", Self::SignMagnitude { words: 1 }),
        ("sm32", Self::SignMagnitude { words: 2 }),
        ("i32+f32", Self::WholeAndFraction),
        ("bit", Self::Bit),
    ];

    /// How many registers it takes.
    pub(super) fn words(self) -> u16 {
        match self {
            Self::Unsigned { words }
            | Self::Signed { words }
            | Self::SignMagnitude { words }
            | Self::Bcd { words } => words,
            Self::Bit => 1,
            Self::Float32 => 2,
            Self::Float64 | Self::WholeAndFraction => 4,
        }
    }

    /// The number these bits stand for; not finite when they stand for none.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a 64-bit counter beyond 2^53 loses less than one part in 10^15"
    )]
    pub(super) fn value(self, bits: u64) -> f64 {
        match self {
            Self::Bit if bits > 1 => f64::NAN,
            Self::Bit | Self::Unsigned { .. } => bits as f64,
            Self::Signed { words } => {
                let shift = 64_u32.saturating_sub(16 * u32::from(words));
                ((bits << shift).cast_signed() >> shift) as f64
            }
            Self::SignMagnitude { words } => {
                let sign = 1_u64 << (16 * u32::from(words) - 1);
                let number = (bits & (sign - 1)) as f64;
                if bits & sign == 0 { number } else { -number }
            }
            Self::Float32 => f64::from(f32::from_bits(u32::try_from(bits).unwrap_or(u32::MAX))),
            Self::Float64 => f64::from_bits(bits),
            Self::Bcd { words } => decimal(bits, words),
            Self::WholeAndFraction => {
                let (whole, fraction) = (bits >> 32, bits & 0xFFFF_FFFF);
                let fraction = Self::Float32.value(fraction);
                if fraction.abs() < 1.0 {
                    Self::Signed { words: 2 }.value(whole) + fraction
                } else {
                    f64::NAN
                }
            }
        }
    }

    /// The bits that stand for a number; `None` when none do exactly (floats: as near as the type comes).
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number of at most 2^53, compared with the limits of the type"
    )]
    pub(super) fn bits(self, value: f64) -> Option<u64> {
        match self {
            Self::Float32 => {
                let single = value as f32;
                return single.is_finite().then(|| u64::from(single.to_bits()));
            }
            Self::Float64 => return value.is_finite().then(|| value.to_bits()),
            _ if value.fract() != 0.0 || value.abs() > EXACT => return None,
            _ => {}
        }
        let number = value.abs() as u64;
        let negative = value < 0.0;
        let width = 16 * u32::from(self.words());
        let fits = |bits: u32| bits >= 64 || number < 1 << bits;
        match self {
            Self::Bit => (number <= 1 && !negative).then_some(number),
            Self::Unsigned { .. } => (fits(width) && !negative).then_some(number),
            Self::Signed { .. } => {
                let mask = u64::MAX >> (64 - width);
                let lowest = negative && number == 1 << (width - 1);
                let bits = if negative { number.wrapping_neg() & mask } else { number };
                (fits(width - 1) || lowest).then_some(bits)
            }
            Self::SignMagnitude { .. } => {
                let sign = if negative { 1 << (width - 1) } else { 0 };
                fits(width - 1).then_some(number | sign)
            }
            Self::Bcd { words } => {
                let digits = (0..u32::from(words) * 4).map(|i| (number / 10_u64.pow(i) % 10) << (4 * i));
                let bits = digits.fold(0, |bits, digit| bits | digit);
                (decimal(bits, words) == value).then_some(bits)
            }
            Self::Float32 | Self::Float64 | Self::WholeAndFraction => None,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "sixteen digits: off by one beyond 2^53 at most")]
fn decimal(bits: u64, words: u16) -> f64 {
    let mut value = 0_u64;
    for digit in (0..u32::from(words) * 4).rev().map(|i| (bits >> (4 * i)) & 0xF) {
        if digit > 9 {
            return f64::NAN;
        }
        value = value * 10 + digit;
    }
    value as f64
}

/// How the bytes of a value lie in its registers; A is the most significant byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) low_word_first: bool,
    pub(super) low_byte_first: bool,
}

impl Order {
    /// Every order by its word in a profile.
    pub(super) const WORDS: [(&str, Self); 4] = [
        ("ABCD", Self { low_word_first: false, low_byte_first: false }),
        ("CDAB", Self { low_word_first: true, low_byte_first: false }),
        ("BADC", Self { low_word_first: false, low_byte_first: true }),
        ("DCBA", Self { low_word_first: true, low_byte_first: true }),
    ];
    /// As the standard has it.
    pub(super) const ABCD: Self = Self { low_word_first: false, low_byte_first: false };

    /// One register, its bytes the right way round.
    pub(super) fn word(self, word: u16) -> u16 {
        if self.low_byte_first { word.swap_bytes() } else { word }
    }

    /// The bits of a value of this type; whole and fraction are each put in order for themselves.
    pub(super) fn bits(self, format: Format, words: &[u16]) -> u64 {
        match (format, words) {
            (Format::WholeAndFraction, [a, b, c, d]) => self.join(&[*a, *b]) << 32 | self.join(&[*c, *d]),
            _ => self.join(words),
        }
    }

    fn join(self, words: &[u16]) -> u64 {
        let join = |bits: u64, word: &u16| (bits << 16) | u64::from(self.word(*word));
        if self.low_word_first { words.iter().rev().fold(0, join) } else { words.iter().fold(0, join) }
    }

    /// The registers in which a value's bits go over the line.
    pub(super) fn words(self, bits: u64, count: u16) -> Vec<u16> {
        let word = |i: u16| u16::try_from(bits >> (16 * u32::from(i)) & 0xFFFF).unwrap_or(0);
        let mut words: Vec<u16> = (0..count).map(|i| self.word(word(i))).collect();
        if !self.low_word_first {
            words.reverse();
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written is what would be read.
    #[test]
    fn every_type_takes_back_what_it_gave() {
        let numbers = [
            0.0,
            1.0,
            -1.0,
            9.0,
            99.0,
            127.0,
            -128.0,
            255.0,
            9999.0,
            32_767.0,
            -32_767.0,
            -32_768.0,
            32_768.0,
            65_535.0,
            65_536.0,
            1e7,
            99_999_999.0,
            -2_147_483_648.0,
            4_294_967_295.0,
            4_294_967_296.0,
            1e12,
            0.5,
        ];
        for (word, format) in Format::WORDS {
            for number in numbers {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "the nearest number that a float can hold"
                )]
                let number = if format == Format::Float32 { f64::from(number as f32) } else { number };
                let Some(bits) = format.bits(number) else { continue };
                assert_eq!(format.value(bits), number, "{word} {number}");
                for (name, order) in Order::WORDS {
                    let words = order.words(bits, format.words());
                    assert_eq!(order.bits(format, &words), bits, "{word} {name} {number}");
                }
            }
        }
    }

    #[test]
    fn what_a_type_cannot_hold_is_refused() {
        let cases: &[(&str, &[f64], &[f64])] = &[
            ("bit", &[0.0, 1.0], &[2.0, -1.0, 0.5]),
            ("u16", &[0.0, 65_535.0], &[-1.0, 65_536.0, 0.1]),
            ("i16", &[-32_768.0, 32_767.0], &[-32_769.0, 32_768.0]),
            ("sm16", &[-32_767.0, 32_767.0], &[-32_768.0, 32_768.0]),
            ("i32", &[-2_147_483_648.0, 2_147_483_647.0], &[-2_147_483_649.0, 2_147_483_648.0]),
            ("bcd16", &[9999.0], &[10_000.0, -1.0]),
            ("bcd48", &[999_999_999_999.0], &[1e12]),
            ("u64", &[1e15], &[-1.0, 1e19]),
            ("i64", &[-1e15, 1e15], &[1e19]),
            ("f32", &[1.5, -1e30], &[1e39, f64::NAN, f64::INFINITY]),
            ("f64", &[1.5, 1e300], &[f64::NAN]),
            ("i32+f32", &[], &[1.0]),
        ];
        for (word, good, bad) in cases {
            let format = Format::WORDS.iter().find(|(w, _)| w == word).unwrap().1;
            for number in *good {
                assert!(format.bits(*number).is_some(), "{word} {number}");
            }
            for number in *bad {
                assert_eq!(format.bits(*number), None, "{word} {number}");
            }
        }
    }
}

//! Words that nobody described: what they would mean in each type and order, and which of it could be true.

use super::format::{Format, Order};

/// What some registers would mean, were they of this type and order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guess {
    /// The type, as a profile writes it.
    pub kind: &'static str,
    /// The order of words and bytes, as a profile writes it.
    pub order: &'static str,
    /// The number; not finite when the bits stand for none.
    pub value: f64,
    /// Whether a device of a school could mean it.
    pub plausible: bool,
}

/// Whole numbers beyond this are no readings: ten million kilowatt-hours in hundredths.
const MOST: f64 = 1e9;
/// Floats nearer to zero than this are other bits misread.
const LEAST: f64 = 1e-4;

/// Every type that fills these registers exactly, in every order that makes a difference; the plausible ones first, and
/// of those the ones with the fewest digits.
///
/// One, two, three or four registers can be numbers; of any other count there are no guesses.
#[must_use]
pub fn orders(words: &[u16]) -> Vec<Guess> {
    let mut guesses = Vec::new();
    let formats = Format::WORDS.iter().filter(|(_, format)| {
        usize::from(format.words()) == words.len()
            && !matches!(format, Format::Bit | Format::SignMagnitude { .. })
    });
    for (kind, format) in formats {
        for (order, of) in Order::WORDS {
            if words.len() == 1 && of.low_word_first {
                continue;
            }
            let value = format.value(of.bits(*format, words));
            guesses.push(Guess { kind, order, value, plausible: plausible(*format, value) });
        }
    }
    guesses.sort_by_key(|guess| (!guess.plausible, guess.digits()));
    guesses
}

impl Guess {
    /// Significant digits: a reading has few, other bits misread have as many as the type.
    fn digits(&self) -> usize {
        let single = self.kind == "f32";
        #[expect(clippy::cast_possible_truncation, reason = "it was a 32-bit float before")]
        let shown = if single { format!("{:e}", self.value as f32) } else { format!("{:e}", self.value) };
        shown.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count()
    }
}

fn plausible(format: Format, value: f64) -> bool {
    let size = value.abs();
    match format {
        Format::Float32 | Format::Float64 | Format::WholeAndFraction => {
            value == 0.0 || (LEAST..=MOST).contains(&size)
        }
        // Energy that runs backwards a little is a negative number near zero.
        _ => size <= MOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plausible_of<'g>(guesses: &'g [Guess], kind: &str) -> Vec<(&'g str, f64)> {
        guesses.iter().filter(|g| g.plausible && g.kind == kind).map(|g| (g.order, g.value)).collect()
    }

    /// Whether two orders have the words alike: bytes swapped within them can look like another reading, swapped words
    /// cannot.
    fn words_kept(a: &str, b: &str) -> bool {
        matches!(a, "ABCD" | "BADC") == matches!(b, "ABCD" | "BADC")
    }

    /// A value sent in any order comes first of its type: the order can be told from one reading.
    #[test]
    fn m13_the_true_order_is_the_plausible_one() {
        let cases: &[(&str, f64)] = &[
            ("f32", 220.1_f32.into()),
            ("f32", 5.02_f32.into()),
            ("f32", 1234.56_f32.into()),
            ("f32", 49.98_f32.into()),
            ("f32", (-0.87_f32).into()),
            ("f64", 123.45),
            ("f64", 1_234_567.8),
            ("i64", 123_456_789.0),
            ("u64", 98_765.0),
        ];
        for (kind, value) in cases {
            let format = Format::WORDS.iter().find(|(word, _)| word == kind).unwrap().1;
            for (name, order) in Order::WORDS {
                let words = order.words(format.bits(*value).unwrap(), format.words());
                let guesses = orders(&words);
                let found = plausible_of(&guesses, kind);
                assert_eq!(found.first(), Some(&(name, *value)), "{kind} {name}: {words:04X?} {found:?}");
                assert!(found.iter().all(|(other, _)| words_kept(other, name)), "{kind} {name}: {found:?}");
            }
        }
    }

    #[test]
    fn every_type_and_order_is_shown() {
        for (count, expected) in [(0, 0), (1, 3 * 2), (2, 4 * 4), (3, 4), (4, 5 * 4), (5, 0), (125, 0)] {
            assert_eq!(orders(&vec![0x1234; count]).len(), expected, "{count} registers");
        }
        let zero = orders(&[0, 0]);
        assert!(zero.iter().all(|guess| guess.plausible && guess.value == 0.0));
        let broken = orders(&[0x7FC0, 0]);
        assert!(broken.iter().any(|g| g.kind == "f32" && g.value.is_nan() && !g.plausible));
    }
}

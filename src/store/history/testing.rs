//! Dice, values and damage for the tests of sealed readings.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "numbers of tests are small or meant to be odd"
)]

use super::SeriesName;

/// Numbers that look random and are the same in every run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let a = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let b = (a ^ (a >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        b ^ (b >> 31)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Within ±1, most often near 0.
    pub(super) fn noise(&mut self) -> f64 {
        (0..3).map(|_| (self.below(2_000_001) as f64 - 1e6) / 3e6).sum()
    }
}

pub(super) fn name(point: &str) -> SeriesName {
    SeriesName { point: point.into(), unit: "W".into(), kind: "gauge".into() }
}

/// A value as one of many sources gives them.
pub(super) fn odd_value(dice: &mut Dice) -> f64 {
    match dice.below(9) {
        0 => f64::from_bits(dice.roll()),
        1 => -0.0,
        2 => f64::INFINITY,
        3 => f64::MIN_POSITIVE / 3.0,
        4 => f64::from(f32::from_bits(dice.roll() as u32)),
        5 => dice.below(5_000) as f64 / 10.0,
        6 => dice.below(5_000) as f64 * 0.1,
        7 => f64::from((dice.below(5_000_000) as f64 / 100.0) as f32),
        _ => (dice.roll() as i64) as f64,
    }
}

pub(super) fn damage(dice: &mut Dice, bytes: &mut Vec<u8>) {
    let at = dice.below(bytes.len() as u64) as usize;
    match dice.below(4) {
        0 => bytes.truncate(at),
        1 => bytes[at] = dice.roll() as u8,
        2 => {
            let end = bytes.len().min(at + 1 + dice.below(40) as usize);
            bytes[at..end].fill(dice.roll() as u8);
        }
        _ => bytes[at] ^= 1 << dice.below(8),
    }
}

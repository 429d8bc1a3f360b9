//! Current and voltage transformers before a meter: the meter gives secondary values, the school pays for primary ones.

use super::Point;

/// By which transformers a value is to be multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ratio {
    /// Current transformer: currents.
    Ct,
    /// Voltage transformer: voltages.
    Pt,
    /// Both: powers and energies.
    CtPt,
}

impl Ratio {
    pub(super) const WORDS: [(&str, Self); 3] = [("ct", Self::Ct), ("pt", Self::Pt), ("ct_pt", Self::CtPt)];
}

/// What a device's transformers step down: 40 for 200 A to 5 A, 100 for 10 kV to 100 V; 1 where there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratios {
    /// Current.
    pub ct: f64,
    /// Voltage.
    pub pt: f64,
}

impl Ratios {
    /// No transformers: the meter is connected directly.
    pub const NONE: Self = Self { ct: 1.0, pt: 1.0 };

    /// By how much values of this ratio are multiplied.
    #[must_use]
    pub fn factor(self, ratio: Ratio) -> f64 {
        match ratio {
            Ratio::Ct => self.ct,
            Ratio::Pt => self.pt,
            Ratio::CtPt => self.ct * self.pt,
        }
    }

    /// Turns everything a point says of its values into the primary side's.
    pub(super) fn apply(self, point: &mut Point) {
        let Some(factor) = point.ratio.map(|ratio| self.factor(ratio)) else { return };
        point.factor *= factor;
        point.wrap = point.wrap.map(|wrap| wrap * factor);
        point.range = point.range.map(|(low, high)| (low * factor, high * factor));
        point.max_growth_per_hour = point.max_growth_per_hour.map(|growth| growth * factor);
    }
}

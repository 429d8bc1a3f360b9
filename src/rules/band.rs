//! A limit with a deadband: which side of it is wrong, and where it is left again.

use super::subject::shown;
use crate::document::Reader;
use crate::model::Unit;

/// Which side of the limit is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Above,
    Below,
}

impl Side {
    /// Reads which of `above` and `below` is there, and gives its key; one of them must be.
    pub(super) fn parse(reader: &Reader<'_>) -> (Self, &'static str) {
        if reader.has("above") && reader.has("below") {
            reader.problem("below", "the rule has two limits", "write one rule for above and one for below");
        }
        if reader.has("below") { (Self::Below, "below") } else { (Self::Above, "above") }
    }

    /// Where a limit is left again.
    pub(super) fn clear(self, limit: f64, deadband: f64) -> f64 {
        match self {
            Self::Above => limit - deadband,
            Self::Below => limit + deadband,
        }
    }
}

/// A limit and the value at which it is left again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Band {
    pub(super) side: Side,
    pub(super) limit: f64,
    pub(super) clear: f64,
}

impl Band {
    /// Whether the value is beyond the limit (`true`), back (`false`), or between the two.
    pub(super) fn judge(&self, value: f64) -> Option<bool> {
        let (beyond, back) = match self.side {
            Side::Above => (value > self.limit, value <= self.clear),
            Side::Below => (value < self.limit, value >= self.clear),
        };
        if beyond { Some(true) } else { back.then_some(false) }
    }

    /// Notes a problem at `key` if values in a range can never enter the band, or never leave it; whether it is sound.
    pub(super) fn fits(
        &self,
        reader: &Reader<'_>,
        key: &str,
        of: &str,
        range: Option<(f64, f64)>,
        unit: Unit,
    ) -> bool {
        let Some((low, high)) = range else { return true };
        let (never_enters, never_leaves) = match self.side {
            Side::Above => (self.limit >= high, self.clear < low),
            Side::Below => (self.limit <= low, self.clear > high),
        };
        let why = match (never_enters, never_leaves) {
            (true, _) => "can never be reached",
            (_, true) => "could never be left again (limit and deadband)",
            (false, false) => return true,
        };
        reader.problem(
            key,
            format!("this limit of '{of}' {why}"),
            if high.is_finite() {
                let (low, high) = (shown(low, unit), shown(high, unit));
                format!("its values lie from {low} to {high}; set limit and deadband within")
            } else {
                format!("its values are {} and more; set limit and deadband within", shown(low, unit))
            },
        );
        false
    }
}

//! A limit with a deadband: which side of it is wrong, and where it is left again.

use super::subject::shown;
use crate::document::Reader;
use crate::model::{Text, Unit};

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
            reader.problem(
                "below",
                ("规则有两个限值", "the rule has two limits"),
                ("above 和 below 各写一条规则", "write one rule for above and one for below"),
            );
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
            (true, _) => ("永远达不到", "can never be reached"),
            (_, true) => ("永远回不来（限值与回差）", "could never be left again (limit and deadband)"),
            (false, false) => return true,
        };
        let (low, most) = (shown(low, unit), shown(high, unit));
        let advice = if high.is_finite() {
            Text::new(
                format!("它的值在 {low} 到 {most} 之间，限值和回差要在其中"),
                format!("its values lie from {low} to {most}; set limit and deadband within"),
            )
        } else {
            Text::new(
                format!("它的值不小于 {low}，限值和回差要在其中"),
                format!("its values are {low} and more; set limit and deadband within"),
            )
        };
        let (zh, en) = why;
        reader.problem(key, (format!("'{of}' 的这个限值{zh}"), format!("this limit of '{of}' {en}")), advice);
        false
    }
}

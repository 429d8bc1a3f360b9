//! What a restart has to know of a control.

use crate::model::{Now, Wall};
use serde::{Deserialize, Serialize};

/// What a restart has to know of a control.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// It may be away from rest and has to return.
    pub owes_rest: bool,
    /// When it was last written to.
    pub switched: Option<Wall>,
    /// When it was ordered away from rest, in the last hour, oldest first.
    pub orders: Vec<Wall>,
}

impl Memory {
    /// As it is stored.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From what is stored. What cannot be read may have been on.
    #[must_use]
    pub fn of(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or(Self { owes_rest: true, ..Self::default() })
    }
}

/// Milliseconds on the clock that never jumps, negative before this run. A time that cannot be placed counts as now:
/// who does not know when, waits.
pub(super) fn placed(now: Now, at: Wall) -> i64 {
    let mono = i64::try_from(now.mono.0).unwrap_or(i64::MAX);
    let age = now.wall.since(at);
    if age < 0 || !now.wall.plausible() || !at.plausible() { mono } else { mono.saturating_sub(age) }
}

/// The other way round.
pub(super) fn dated(now: Now, at: i64) -> Wall {
    let mono = i64::try_from(now.mono.0).unwrap_or(i64::MAX);
    now.wall.plus_ms(at.saturating_sub(mono))
}

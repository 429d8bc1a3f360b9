//! A hazard (隐患): something that could do harm, followed from the moment it is found until it is gone.

use super::alarm::Handled;
use super::event::words;
use super::{AlarmId, PlaceId, Text};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest description, in characters.
pub const MAX_HAZARD_CHARS: usize = 200;

words! {
    /// How far it has come; one after the other.
    Stage {
        /// Somebody found it (发现).
        Found = "found",
        /// Somebody looked at it (检查).
        Checked = "checked",
        /// Somebody did something about it (处理).
        Handled = "handled",
        /// Somebody saw that it is gone (销号).
        Closed = "closed",
    }
}

impl Stage {
    /// Its name for people.
    #[must_use]
    pub fn name(self) -> Text {
        match self {
            Self::Found => Text::new("发现", "found"),
            Self::Checked => Text::new("检查", "checked"),
            Self::Handled => Text::new("处理", "handled"),
            Self::Closed => Text::new("销号", "closed"),
        }
    }
}

/// The number of a hazard in this school; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HazardId(pub u64);

impl fmt::Display for HazardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One hazard, with who took which step, when, and what they wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hazard {
    /// Its number.
    pub id: HazardId,
    /// The alarm that showed it, if one did.
    pub alarm: Option<AlarmId>,
    /// Where.
    pub place: Option<PlaceId>,
    /// What it is, in the words of who found it.
    pub what: String,
    /// Who found it.
    pub found: Handled,
    /// Who looked at it.
    pub checked: Option<Handled>,
    /// Who did something about it.
    pub handled: Option<Handled>,
    /// Who saw that it is gone.
    pub closed: Option<Handled>,
}

impl Hazard {
    /// How far it has come.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match (&self.closed, &self.handled, &self.checked) {
            (Some(_), ..) => Stage::Closed,
            (_, Some(_), _) => Stage::Handled,
            (.., Some(_)) => Stage::Checked,
            _ => Stage::Found,
        }
    }
}

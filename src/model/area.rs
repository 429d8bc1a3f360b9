//! How an area that can be armed (布防) stands.

use super::event::words;
use super::{Actor, AlarmKey, AreaId, Text, Wall};
use serde::{Deserialize, Serialize};

words! {
    /// What of an area is watched against intruders.
    ArmMode {
        /// All of it (外出布防).
        Armed = "armed",
        /// Its outer side, while people are inside (留守布防).
        Partial = "partial",
        /// Nothing (撤防).
        Disarmed = "disarmed",
    }
}

impl ArmMode {
    /// Its name for people.
    #[must_use]
    pub fn name(self) -> Text {
        match self {
            Self::Armed => Text::new("布防", "armed"),
            Self::Partial => Text::new("留守布防", "armed in part"),
            Self::Disarmed => Text::new("撤防", "disarmed"),
        }
    }
}

/// How an area stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AreaState {
    /// Which.
    pub id: AreaId,
    /// Its name for people.
    pub name: String,
    /// What is watched.
    pub mode: ArmMode,
    /// Who armed or disarmed it; the gateway by its times.
    pub by: Actor,
    /// When.
    pub since: Wall,
    /// What they wrote.
    pub note: String,
    /// It is armed and people may still leave.
    pub leaving: bool,
    /// Somebody came in by the way in and has not disarmed it yet.
    pub entering: bool,
    /// What is open now: the alarms there would be.
    pub open: Vec<AlarmKey>,
    /// What was open when it was armed all the same, and is passed over until it closes.
    pub bypassed: Vec<AlarmKey>,
}

//! What a school does at once when there is danger, in the five words of the Standard Response Protocol.

use super::Text;
use super::event::words;
use serde::{Deserialize, Serialize};

words! {
    /// What is done.
    ResponseKind {
        /// Everybody stays in the room they are in; the corridors are clear.
        Hold = "hold",
        /// The outer doors are closed; inside teaching goes on.
        Secure = "secure",
        /// Doors locked, lights out, out of sight.
        Lockdown = "lockdown",
        /// Everybody leaves the building.
        Evacuate = "evacuate",
        /// Everybody takes cover where it is safe from what comes (a storm, smoke, an earthquake).
        Shelter = "shelter",
    }
}

impl ResponseKind {
    /// Its name for people.
    #[must_use]
    pub fn name(self) -> Text {
        match self {
            Self::Hold => Text::new("原地待命", "hold"),
            Self::Secure => Text::new("封闭校园", "secure"),
            Self::Lockdown => Text::new("紧急封控", "lockdown"),
            Self::Evacuate => Text::new("疏散", "evacuate"),
            Self::Shelter => Text::new("就地避险", "shelter"),
        }
    }

    /// Whether it may keep people in: while there is fire it is not begun, and what it locked is free.
    #[must_use]
    pub fn closes(self) -> bool {
        self != Self::Evacuate
    }
}

//! What people are told, why, and what became of it.

use super::{AlarmClass, AlarmId, Priority, Text, Wall};
use std::time::Duration;

/// What people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its number; when the same message is tried again it keeps it, so that nobody who has it gets it twice.
    pub number: u64,
    /// Why it is sent.
    pub occasion: Occasion,
    /// How soon to act.
    pub priority: Priority,
    /// What it is about, where that is one thing.
    pub class: Option<AlarmClass>,
    /// Whether it is an exercise.
    pub drill: bool,
    /// What happened, in one line, without occasion, priority or the mark of an exercise: channels add these.
    pub title: Text,
    /// Where, where that is one place.
    pub place: Option<Text>,
    /// Further lines.
    pub lines: Vec<Text>,
    /// When.
    pub at: Wall,
    /// The alarms it is about.
    pub alarms: Vec<AlarmId>,
}

/// Why a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Occasion {
    /// An alarm was raised.
    Raised,
    /// Nobody took it yet.
    Reminder,
    /// Nobody took it, so others are told.
    Escalated,
    /// Somebody has seen it and asks for more people.
    Support,
    /// Many at once.
    Digest,
    /// It is over.
    Over,
    /// A technician tries the channel.
    Trial,
}

impl Occasion {
    /// One word, for programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Reminder => "reminder",
            Self::Escalated => "escalated",
            Self::Support => "support",
            Self::Digest => "digest",
            Self::Over => "over",
            Self::Trial => "trial",
        }
    }
}

/// What became of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The other side has it.
    Accepted,
    /// It takes no more for now.
    Busy {
        /// The pause it asked for.
        retry_after: Option<Duration>,
    },
    /// Try again, or elsewhere.
    Failed {
        /// Why, in a line without secrets.
        why: String,
    },
    /// It will never work so (a wrong key): for the technician.
    Refused {
        /// Why, in a line without secrets.
        why: String,
    },
}

impl Verdict {
    /// One word, for metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Busy { .. } => "busy",
            Self::Failed { .. } => "failed",
            Self::Refused { .. } => "refused",
        }
    }
}

/// How many messages a channel takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many.
    pub messages: u32,
    /// In this time.
    pub per: Duration,
}

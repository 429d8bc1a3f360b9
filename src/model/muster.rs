//! What people order about a muster: the list of those who entered and were not seen leaving.

use super::event::words;
use super::{Actor, PersonRef};
use serde::{Deserialize, Serialize};

words! {
    /// Why a person calls a muster.
    Called {
        /// To practise (演练).
        Drill = "drill",
        /// Because everybody must go (疏散).
        Evacuation = "evacuation",
    }
}

/// What a person wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MusterOrder {
    /// Call one.
    Start(Called),
    /// End the one that was called.
    Close,
    /// These are safe.
    SafePersons(Vec<PersonRef>),
    /// Everybody listed of this class or department is safe.
    SafeGroup(String),
}

/// An order with who gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MusterCommand {
    /// What to do.
    pub order: MusterOrder,
    /// Who says so.
    pub actor: Actor,
    /// What they wrote, possibly nothing.
    pub note: String,
}

//! What a restart has to know of responses.

use super::Stage;
use crate::model::{Actor, ControlId, ResponseId, ResponseKind, Wall};
use serde::{Deserialize, Serialize};

/// A response that was not off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Noted {
    pub(super) id: ResponseId,
    pub(super) kind: ResponseKind,
    pub(super) silent: bool,
    pub(super) by: Actor,
    pub(super) at: Wall,
    pub(super) drill: bool,
    pub(super) stage: Word,
    /// What may be away from rest because of it, with the rest: also what the configuration no longer names.
    pub(super) switched: Vec<(ControlId, f64)>,
}

/// How far it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    On,
    GivenBack,
    Returning,
}

impl Word {
    pub(super) fn of(stage: Stage) -> Option<Self> {
        match stage {
            Stage::Off => None,
            Stage::On => Some(Self::On),
            Stage::GivenBack => Some(Self::GivenBack),
            Stage::Returning => Some(Self::Returning),
        }
    }
}

pub(super) fn text(noted: &[Noted]) -> String {
    serde_json::to_string(noted).unwrap_or_default()
}

/// From what is stored; nothing where it cannot be read.
pub(super) fn of(text: &str) -> Vec<Noted> {
    serde_json::from_str(text).unwrap_or_default()
}

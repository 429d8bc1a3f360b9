//! Hazards (隐患) that are not closed: found, checked, handled, closed, each step by somebody at a time.

use super::OrderRefused;
use crate::model::hazard::MAX_HAZARD_CHARS;
use crate::model::{AlarmId, Handled, Hazard, HazardId, PlaceId, Stage};
use std::collections::BTreeMap;

/// Most hazards that may be open: beyond it somebody has to close some.
pub const MAX_OPEN_HAZARDS: usize = 5_000;

/// Those that are open, and those that changed since they were last written down.
#[derive(Debug)]
pub(super) struct Hazards {
    open: BTreeMap<HazardId, Hazard>,
    next: u64,
    notes: Vec<Hazard>,
}

impl Hazards {
    pub(super) fn new(open: Vec<Hazard>, next: u64) -> Self {
        let open = open.into_iter().map(|hazard| (hazard.id, hazard)).collect();
        Self { open, next, notes: Vec::new() }
    }

    pub(super) fn open(&self) -> impl Iterator<Item = &Hazard> {
        self.open.values()
    }

    pub(super) fn take_notes(&mut self) -> Vec<Hazard> {
        std::mem::take(&mut self.notes)
    }

    pub(super) fn find(
        &mut self,
        alarm: Option<AlarmId>,
        place: Option<PlaceId>,
        what: &str,
        found: Handled,
    ) -> Result<Hazard, OrderRefused> {
        let what = what.trim();
        if what.is_empty() || what.chars().count() > MAX_HAZARD_CHARS {
            return Err(OrderRefused::NoWords(MAX_HAZARD_CHARS));
        }
        if self.open.len() >= MAX_OPEN_HAZARDS {
            return Err(OrderRefused::TooMany(self.open.len()));
        }
        let id = HazardId(self.next);
        self.next = self.next.saturating_add(1);
        let what = what.to_owned();
        let hazard = Hazard { id, alarm, place, what, found, checked: None, handled: None, closed: None };
        self.open.insert(id, hazard.clone());
        self.notes.push(hazard.clone());
        Ok(hazard)
    }

    /// Goes on to the next stage. A step says what was seen or done.
    pub(super) fn step(
        &mut self,
        id: HazardId,
        stage: Stage,
        handled: Handled,
    ) -> Result<Hazard, OrderRefused> {
        let hazard = self.open.get_mut(&id).ok_or(OrderRefused::NoHazard(id))?;
        let at = hazard.stage();
        let (next, place) = match at {
            Stage::Found => (Stage::Checked, &mut hazard.checked),
            Stage::Checked => (Stage::Handled, &mut hazard.handled),
            Stage::Handled | Stage::Closed => (Stage::Closed, &mut hazard.closed),
        };
        if stage != next {
            return Err(OrderRefused::WrongStage { id, at, next });
        }
        if handled.note.trim().is_empty() {
            return Err(OrderRefused::NoReason);
        }
        *place = Some(handled);
        let hazard = hazard.clone();
        if stage == Stage::Closed {
            self.open.remove(&id);
        }
        self.notes.push(hazard.clone());
        Ok(hazard)
    }
}

//! What one step decided: everything that becomes durable at once.

use super::seen::Fingerprint;
use crate::alarm::OrderRefused;
use crate::campus::MusterRefused;
use crate::model::{
    AlarmChange, AreaId, Audit, BusId, ControlId, DeviceId, Done, Event, Hazard, Link, OutboxItem,
    PeopleChange, Reading, Refused, RollUp, Stamp, Unknown, Wall,
};

/// A reading as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredReading {
    /// Whose.
    pub device: DeviceId,
    /// When.
    pub stamp: Stamp,
    /// What.
    pub reading: Reading,
}

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Whose.
    pub device: DeviceId,
    /// When.
    pub stamp: Stamp,
    /// A state told on connecting, not something that happened now.
    pub retained: bool,
    /// What.
    pub event: Event,
}

/// A device that began or ceased to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkChange {
    /// Whose.
    pub device: DeviceId,
    /// When.
    pub at: Wall,
    /// How it is now.
    pub link: Link,
}

/// Everything one step makes true, all of it or nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Commit {
    /// Readings to append.
    pub readings: Vec<StoredReading>,
    /// Events to append.
    pub events: Vec<StoredEvent>,
    /// Devices that began or ceased to answer.
    pub links: Vec<LinkChange>,
    /// Steps in the lives of alarms.
    pub alarm_changes: Vec<AlarmChange>,
    /// Periods that are over, or changed after they were.
    pub roll_ups: Vec<RollUp>,
    /// What is owed to platforms because of it.
    pub outbox: Vec<OutboxItem>,
    /// What could not be understood.
    pub refused: Vec<Refused>,
    /// What came from strangers.
    pub unknown: Vec<Unknown>,
    /// Traces by which a repeated message is known.
    pub fingerprints: Vec<Fingerprint>,
    /// Deliveries left out because they were here before, by bus.
    pub duplicates: Vec<BusId>,
    /// What became of each order in the batch, in turn.
    pub orders: Vec<Result<Done, OrderRefused>>,
    /// What became of each order about the muster in the batch, in turn.
    pub musters: Vec<Result<(), MusterRefused>>,
    /// What had to be left out, to be counted for good.
    pub dropped: Vec<Dropped>,
    /// What happened to the gateway itself, and what was switched, for the audit trail.
    pub audit: Vec<Audit>,
    /// What a restart has to know of a control, in its own words; the last one holds.
    pub controls: Vec<(ControlId, String)>,
    /// What a restart has to know of an area, in its own words; the last one holds.
    pub areas: Vec<(AreaId, String)>,
    /// Hazards that were found or have come a step further.
    pub hazards: Vec<Hazard>,
    /// What a restart has to know of the muster, in its own words; empty when there is none.
    pub muster: Option<String>,
    /// What a restart has to know of responses, in their own words.
    pub responses: Option<String>,
    /// What a restart has to know of drills, in its own words.
    pub drill: Option<String>,
    /// Changes to the table of persons, in turn, and when; the erasure of one is done after everything else.
    pub people: Vec<(Wall, PeopleChange)>,
}

/// Rows that will never be stored, or were given up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// Why, one word.
    pub reason: &'static str,
    /// How many.
    pub rows: u64,
    /// When.
    pub at: Wall,
}

impl Commit {
    /// Whether there is nothing to make durable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.readings.is_empty()
            && self.events.is_empty()
            && self.links.is_empty()
            && self.alarm_changes.is_empty()
            && self.roll_ups.is_empty()
            && self.outbox.is_empty()
            && self.refused.is_empty()
            && self.unknown.is_empty()
            && self.fingerprints.is_empty()
            && self.dropped.is_empty()
            && self.audit.is_empty()
            && self.controls.is_empty()
            && self.areas.is_empty()
            && self.hazards.is_empty()
            && self.muster.is_none()
            && self.responses.is_none()
            && self.drill.is_none()
            && self.people.is_empty()
    }

    /// How many rows it makes durable.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.readings.len()
            + self.events.len()
            + self.links.len()
            + self.alarm_changes.len()
            + self.roll_ups.len()
            + self.outbox.len()
            + self.refused.len()
            + self.unknown.len()
            + self.fingerprints.len()
            + self.audit.len()
            + self.controls.len()
            + self.areas.len()
            + self.hazards.len()
            + usize::from(self.muster.is_some())
            + usize::from(self.responses.is_some())
            + usize::from(self.drill.is_some())
            + self.people.iter().map(|(_, change)| change.rows()).sum::<usize>()
    }

    /// Takes in a later commit: both become true together, in this order.
    pub fn absorb(&mut self, later: Self) {
        self.readings.extend(later.readings);
        self.events.extend(later.events);
        self.links.extend(later.links);
        self.alarm_changes.extend(later.alarm_changes);
        self.roll_ups.extend(later.roll_ups);
        self.outbox.extend(later.outbox);
        self.refused.extend(later.refused);
        self.unknown.extend(later.unknown);
        self.fingerprints.extend(later.fingerprints);
        self.duplicates.extend(later.duplicates);
        self.orders.extend(later.orders);
        self.musters.extend(later.musters);
        self.dropped.extend(later.dropped);
        self.audit.extend(later.audit);
        self.controls.extend(later.controls);
        self.areas.extend(later.areas);
        self.hazards.extend(later.hazards);
        self.muster = later.muster.or(self.muster.take());
        self.responses = later.responses.or(self.responses.take());
        self.drill = later.drill.or(self.drill.take());
        self.people.extend(later.people);
    }
}

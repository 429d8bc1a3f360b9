//! The words of Schoolgate: ids, time, units, quality, readings, events, alarms, what is owed to platforms.
//!
//! Nothing here does anything: no I/O, no clock, no decisions beyond what a value may be.

pub mod alarm;
pub mod area;
pub mod drill;
mod energy;
pub mod event;
pub mod fault;
pub mod few;
pub mod hazard;
pub mod id;
pub mod input;
pub mod message;
pub mod muster;
pub mod outbox;
pub mod pass;
pub mod person;
pub mod personal;
pub mod place;
pub mod quality;
pub mod reach;
pub mod reading;
pub mod response;
pub mod secret;
pub mod text;
pub mod time;
pub mod unit;

pub use alarm::{
    Actor, Alarm, AlarmChange, AlarmClass, AlarmId, AlarmKey, ChangeKind, Handled, Marks, Priority, Truth,
};
pub use area::{AreaState, ArmMode};
pub use drill::Drill;
pub use energy::{EnergyItem, SubMeters};
pub use event::{AccessResult, Carrier, CredentialUse, Direction, Event, EventKind, Phase, Reason, Service};
pub use fault::Fault;
pub use hazard::{Hazard, HazardId, Stage};
pub use id::{
    AreaId, BadId, BusId, ChannelId, ControlId, DestinationId, DeviceId, PlaceId, PointId, ProfileId,
    ResponseId, RuleId,
};
pub use input::{
    Audit, Body, Command, Delivery, Done, Input, Link, MessageKey, Observation, Order, Refused, Unknown,
};
pub use message::{Message, Occasion, Rate, Verdict};
pub use muster::{Called, MusterCommand, MusterOrder};
pub use outbox::{AuditHead, Lane, OutboxItem, Record, RollUp};
pub use pass::{Pass, When};
pub use person::{People, PeopleChange, Person, Role};
pub use personal::{PersonRef, Personal, SiteKey};
pub use place::{Place, PlaceKind};
pub use quality::{Doubt, Quality};
pub use reading::{PointKind, Reading};
pub use response::ResponseKind;
pub use secret::Secret;
pub use text::{Lang, Text};
pub use time::{ClockQuality, Mono, Now, Stamp, Wall};
pub use unit::{Quantity, Unit};

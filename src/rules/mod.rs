//! What is worth an alarm: each rule watches observations and reports levels ("this holds for that subject").
//!
//! Only `alarm::AlarmBook` makes edges of levels. A rule may forget everything at a power cut and still be right a
//! second later; it arms its timers in [`Rule::start`], so a device silent since boot is noticed.

mod always;
mod anti_passback;
mod bus;
mod coverage_lost;
mod curfew;
mod door_forced;
mod engine;
mod event;
mod exam_watch;
mod hours;
mod outside_hours;
mod patrol;
mod repeated_denied;
mod silent;
mod subject;
#[cfg(test)]
mod testing;
mod threshold;
pub(crate) mod timers;
mod visitor_overstay;
mod zones;

pub use always::always;
pub use bus::{BUS_RULE, UPLINK_ALL, UPLINK_RULE};
pub use engine::Engine;
pub use zones::Door;

use crate::calendar::Calendar;
use crate::document::Reader;
use crate::model::{
    AlarmClass, AlarmKey, BusId, DeviceId, Mono, Now, Observation, Place, PlaceId, PointId, Priority, RuleId,
    Text,
};
use crate::profile::Profile;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a rule says of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The condition holds. Saying it again changes nothing.
    Holds,
    /// It does not hold. Saying it again changes nothing.
    Ended,
    /// It happened and is over (a help button was pressed); each time counts.
    Happened,
}

/// One report of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The rule and its subject.
    pub key: AlarmKey,
    /// What the rule says.
    pub level: Level,
    /// What it is about.
    pub class: AlarmClass,
    /// How soon to act.
    pub priority: Priority,
    /// The device concerned.
    pub device: Option<DeviceId>,
    /// Where.
    pub place: Option<PlaceId>,
    /// What happened, in words, with place, value and limit; no personal data.
    pub what: Text,
}

/// A rule. Deadlines are on the monotonic clock; school time is asked of the calendar by wall time.
pub trait Rule: Send + Sync + std::fmt::Debug {
    /// Its id.
    fn id(&self) -> &RuleId;
    /// Which observations it wants to see; asked once.
    fn watches(&self) -> Watch {
        Watch::All
    }
    /// Whether it may ever speak of this subject again; what is open of others is over at the start.
    fn judges(&self, _subject: &str) -> bool {
        true
    }
    /// The devices of which nothing is heard, where that alone makes it hold for this subject; none where it holds for
    /// what they said. While their buses are dead it is explained by that.
    fn absent(&self, _subject: &str) -> Vec<DeviceId> {
        Vec::new()
    }
    /// The points whose values it judges; asked once. Their devices are read before others.
    fn points(&self) -> Vec<(DeviceId, PointId)> {
        Vec::new()
    }
    /// The gateway has started: forget everything and arm timers.
    fn start(&mut self, now: Now);
    /// This was observed before the start; what a rule knows of persons and rounds it learns from here. Nothing is
    /// reported of it.
    fn remember(&mut self, _now: Now, _seen: &Observation) {}
    /// Something was observed. Deadlines up to `now` have been expired before.
    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>);
    /// When [`Rule::expire`] wants to be called next.
    fn next_deadline(&self) -> Option<Mono>;
    /// A deadline has passed (or not: calling too early or too often does nothing).
    fn expire(&mut self, now: Now, out: &mut Vec<Finding>);
}

/// Whose observations a rule wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watch {
    /// Every device's, also of those the configuration does not know.
    All,
    /// These devices', each named once.
    Devices(Vec<DeviceId>),
}

/// What a rule may refer to.
#[derive(Debug)]
pub struct World {
    /// Devices by id.
    pub devices: BTreeMap<DeviceId, Watched>,
    /// Places by id.
    pub places: BTreeMap<PlaceId, Place>,
    /// The school's calendar.
    pub calendar: Arc<Calendar>,
}

/// A device as rules see it.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Its name for people.
    pub name: String,
    /// What it is.
    pub profile: Arc<Profile>,
    /// Where it is.
    pub place: PlaceId,
    /// The bus by which it is heard.
    pub bus: Option<BusId>,
    /// How often it is polled or expected to speak.
    pub poll: std::time::Duration,
    /// The place behind a reader: whoever passes is in it then.
    pub leads_to: Option<PlaceId>,
}

/// One kind of rule.
pub struct RuleKind {
    /// The word written as `kind`.
    pub name: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
    /// A working example: the TOML below `[[rule]]`.
    pub example: &'static str,
    /// Reads one. `id` and `kind` are already read; problems are noted in the reader.
    pub parse: fn(&Reader<'_>, &RuleId, &World) -> Option<Box<dyn Rule>>,
}

/// Every kind of rule. [`always`] gives those that nobody writes and nobody can switch off.
pub const RULE_KINDS: &[RuleKind] = &[
    threshold::KIND,
    outside_hours::KIND,
    silent::KIND,
    coverage_lost::KIND,
    exam_watch::KIND,
    repeated_denied::KIND,
    door_forced::KIND,
    anti_passback::KIND,
    visitor_overstay::KIND,
    curfew::KIND,
    patrol::KIND,
    event::KIND,
];

#[cfg(test)]
mod tests;

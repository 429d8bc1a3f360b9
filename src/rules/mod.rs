//! What is worth an alarm: each rule watches observations and reports levels ("this holds for that subject").
//!
//! Only `alarm::AlarmBook` makes edges of levels. A rule may forget everything at a power cut and still be right a
//! second later; it arms its timers in [`Rule::start`], so a device silent since boot is noticed.

mod always;
mod anti_passback;
mod balance;
mod band;
mod budget;
mod bus;
mod calendar_end;
mod cold_chain;
mod count;
mod coverage_lost;
mod curfew;
mod demand;
mod deviation;
mod door_forced;
mod dormitory_load;
mod engine;
mod event;
mod exam_watch;
mod expression;
mod held;
mod hours;
mod imbalance;
mod min_flow;
mod night_base;
mod outside_hours;
mod patrol;
mod pattern;
mod periods;
mod power_factor;
mod rate_of_change;
#[cfg(test)]
mod reference;
mod repeated_denied;
mod scope;
mod sequence;
mod series;
mod silent;
mod subject;
mod sum;
#[cfg(test)]
mod testing;
mod threshold;
pub(crate) mod timers;
mod together;
mod visitor_overstay;
mod windowed;
mod words;
mod zones;

pub use always::always;
pub use bus::{BUS_RULE, UPLINK_ALL, UPLINK_RULE};
pub use engine::Engine;
pub use expression::{Formula, Sort, Value};
pub(crate) use periods::median;
pub use subject::Header;
pub use words::says;
pub use zones::Door;

use crate::calendar::Calendar;
use crate::document::Reader;
use crate::model::{
    AlarmClass, AlarmKey, BusId, DeviceId, Mono, Now, Observation, Place, PlaceId, PointId, Priority, RollUp,
    RuleId, SubMeters, Text,
};
use crate::profile::Profile;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

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
    /// What its findings share; `None` of a rule that nobody wrote.
    fn header(&self) -> Option<&Header> {
        None
    }
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
    /// Closed periods of which points it wants to see; asked once.
    fn periods(&self) -> Vec<(DeviceId, PointId)> {
        Vec::new()
    }
    /// How far back from the start it wants to know closed periods.
    fn looks_back(&self) -> Duration {
        Duration::ZERO
    }
    /// A period that was closed before the start, oldest first; nothing is reported of it. It may be longer than those
    /// that follow: what is older is recalled by the hour and by the day.
    fn recall(&mut self, _now: Now, _period: &RollUp) {}
    /// A period of such a point was closed just now, or a late value changed it (then with a higher revision).
    fn close(&mut self, _now: Now, _period: &RollUp, _out: &mut Vec<Finding>) {}
    /// Why it can never raise an alarm, if that is certain: the hours in which it judges never come or are too short, or
    /// its devices are read too seldom.
    fn never(&self) -> Option<Text> {
        None
    }
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
    /// Meters whose energy another one counts already.
    pub sub_meters: SubMeters,
    /// Places by id.
    pub places: BTreeMap<PlaceId, Place>,
    /// The school's calendar, called `main`.
    pub calendar: Arc<Calendar>,
    /// Others by name.
    pub calendars: BTreeMap<String, Arc<Calendar>>,
    /// Length of the periods that rules are shown, seconds; it divides an hour.
    pub aggregate_secs: u32,
}

impl World {
    /// The same with another calendar.
    #[must_use]
    pub fn with_calendar(&self, calendar: Calendar) -> Self {
        Self {
            devices: self.devices.clone(),
            sub_meters: self.sub_meters.clone(),
            places: self.places.clone(),
            calendar: Arc::new(calendar),
            calendars: self.calendars.clone(),
            aggregate_secs: self.aggregate_secs,
        }
    }
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
    pub poll: Duration,
    /// The place behind a reader: whoever passes is in it then.
    pub leads_to: Option<PlaceId>,
}

/// One kind of rule.
#[derive(Debug)]
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
    rate_of_change::KIND,
    sum::KIND,
    count::KIND,
    held::KIND,
    sequence::KIND,
    cold_chain::KIND,
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
    night_base::KIND,
    min_flow::KIND,
    deviation::KIND,
    balance::KIND,
    budget::KIND,
    demand::KIND,
    imbalance::KIND,
    power_factor::KIND,
    dormitory_load::KIND,
    expression::KIND,
];

#[cfg(test)]
mod tests;

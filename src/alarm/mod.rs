//! The only place where an alarm changes state, and beside it who is told of it.
//!
//! Rules report levels; the book makes edges of them. The states follow ISA-18.2 with the fields kept apart, and
//! GB 50394-2007 5.2.3: help, fire and intrusion latch, and only a person's reset closes them. What keeps an alarm quiet
//! (a shelf, an area that is not armed, work on its device, a cause that explains it) never closes it, and always ends.

mod again;
mod area;
mod causes;
mod chatter;
mod drill;
mod explain;
mod flood;
mod hazard;
pub mod kpi;
mod ladder;
mod order;
mod plan;
mod refused;
mod wording;

pub(crate) use again::UNTIL_TOLD;
pub use area::{Area, AreaNotes, Schedule};
pub use causes::Causes;
pub use chatter::{CHATTER_NOTED, CHATTER_TIMES, CHATTER_WITHIN};
pub use drill::{
    DRILL_RULES, DrillNotes, MAX_DRILL_ALARMS, MAX_DRILL_CHARS, MOST_DRILL_SECS, USUAL_DRILL_SECS,
};
pub use hazard::MAX_OPEN_HAZARDS;
pub use ladder::{ACCEPT_WITHIN, Climbed, Deed, Ladder, LadderCounts, MAX_FOLLOWED};
pub use plan::{DayHours, Plan, Policy, Route, Scope, Step, usual};
pub use refused::OrderRefused;

use crate::model::alarm::Chatter;
use crate::model::{
    Actor, Alarm, AlarmChange, AlarmId, AlarmKey, AreaId, AreaState, BusId, ChangeKind, DeviceId, Handled,
    Hazard, Marks, Mono, Now, PersonRef, PlaceId, Wall,
};
use crate::rules::timers::Timers;
use crate::rules::{BUS_RULE, Finding, Level};
use area::Areas;
use chatter::Pulse;
use drill::Drills;
use hazard::Hazards;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Alarms of one place or one bus within so long follow from the first of them, perhaps.
pub const GROUP_WITHIN: Duration = Duration::from_secs(60);
/// Alarms that are over and can still be confirmed.
pub const CONFIRMABLE: usize = 500;
/// The longest shelf unless told otherwise, seconds: a day.
pub const DEFAULT_SHELF_SECS: u32 = 24 * 3600;

/// What a school says of its alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The longest shelf, seconds.
    pub most_shelf_secs: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { most_shelf_secs: DEFAULT_SHELF_SECS }
    }
}

/// What the book is made with.
#[derive(Debug, Default)]
pub struct Setup {
    /// What the school says.
    pub settings: Settings,
    /// Which alarm explains which.
    pub causes: Causes,
    /// What can be armed.
    pub areas: Vec<Area>,
}

/// What the last run left behind.
#[derive(Debug, Default)]
pub struct Before {
    /// Alarms that were open.
    pub open: Vec<Alarm>,
    /// The last that were over, oldest first.
    pub over: Vec<Alarm>,
    /// A number above every alarm's.
    pub next_id: u64,
    /// Hazards that were open.
    pub hazards: Vec<Hazard>,
    /// A number above every hazard's.
    pub next_hazard: u64,
    /// What was noted of each area.
    pub areas: Vec<(AreaId, String)>,
    /// What was noted of drills.
    pub drill: Option<String>,
}

/// What stands in an alarm where a person stood who was erased: no two alarms get the same subject.
#[must_use]
pub fn erased(id: AlarmId) -> String {
    format!("erased-{id}")
}

/// What the name of an area begins with, where it keeps an alarm quiet.
const AREA: &str = "area.";

/// What the book waits for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// A shelf ends.
    Shelf(AlarmId),
    /// A device is in service again.
    Service(AlarmId),
    /// Nothing has come or gone for a while.
    Quiet(AlarmKey),
    /// The count of one that chatters is written down.
    Count(AlarmKey),
    /// What a cause explained has had its time.
    Release(AlarmKey),
    /// Nothing more belongs to the first of a group.
    Group(Group),
    /// A drill has lasted as long as it was to.
    Drill,
}

/// Alarms that may follow from one another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Place(PlaceId),
    Bus(BusId),
}

/// Every open alarm, one per rule and subject.
#[derive(Debug)]
pub struct AlarmBook {
    settings: Settings,
    causes: Causes,
    open: BTreeMap<AlarmKey, Alarm>,
    next_id: u64,
    /// The last that were over, oldest first.
    over: VecDeque<Alarm>,
    /// What came or went of late.
    pulses: BTreeMap<AlarmKey, Pulse>,
    /// The devices of which nothing is heard, for each open alarm that holds for that alone.
    absent: BTreeMap<AlarmKey, Vec<DeviceId>>,
    timers: Timers<Due>,
    areas: Areas,
    hazards: Hazards,
    drills: Drills,
}

impl AlarmBook {
    /// Takes up what the last run left. Call [`AlarmBook::start`] before anything else.
    #[must_use]
    pub fn restore(before: Before, setup: Setup) -> Self {
        let mut over: VecDeque<Alarm> = before.over.into();
        over.drain(..over.len().saturating_sub(CONFIRMABLE));
        Self {
            settings: setup.settings,
            causes: setup.causes,
            open: before.open.into_iter().map(|alarm| (alarm.key.clone(), alarm)).collect(),
            next_id: before.next_id,
            over,
            pulses: BTreeMap::new(),
            absent: BTreeMap::new(),
            timers: Timers::new(),
            areas: Areas::new(setup.areas, before.areas),
            hazards: Hazards::new(before.hazards, before.next_hazard),
            drills: Drills::new(before.drill.as_deref()),
        }
    }

    /// Arms every timer from what is stored; `absent` says of an alarm of which devices nothing is heard, where it holds
    /// for that alone.
    pub fn start(&mut self, now: Now, absent: impl Fn(&AlarmKey) -> Vec<DeviceId>) -> Vec<AlarmChange> {
        let mut changes = Vec::new();
        for alarm in self.open.values() {
            let devices = absent(&alarm.key);
            if !devices.is_empty() {
                self.absent.insert(alarm.key.clone(), devices);
            }
            if let Some(shelf) = &alarm.marks.shelved {
                let end = resumed(now, shelf.by.at, shelf.until);
                self.timers.set(&Due::Shelf(alarm.id), Some(end));
            }
            if let Some((out, until)) = alarm.marks.out_of_service.as_ref().and_then(|o| Some((o, o.until?)))
            {
                self.timers.set(&Due::Service(alarm.id), Some(resumed(now, out.by.at, until)));
            }
            if alarm.marks.chattering.is_some() {
                self.pulses.insert(alarm.key.clone(), Pulse::new(alarm.active, now.wall));
                self.timers.set(&Due::Quiet(alarm.key.clone()), Some(now.mono.plus(CHATTER_WITHIN)));
                self.timers.set(&Due::Count(alarm.key.clone()), Some(now.mono.plus(CHATTER_NOTED)));
            }
            // What it explained may have had its time while the gateway was off.
            if let Some(wait) = self.causes.settles(&alarm.key).filter(|_| !alarm.active) {
                self.timers.set(&Due::Release(alarm.key.clone()), Some(now.mono.plus(wait)));
            }
        }
        // Their cause is not open any more.
        let inhibited = self.open.values().filter(|alarm| alarm.marks.inhibited_by.is_some());
        let orphans: Vec<AlarmKey> = inhibited
            .filter(|alarm| {
                let by = alarm.marks.inhibited_by;
                !self.open.values().any(|cause| Some(cause.id) == by)
            })
            .map(|alarm| alarm.key.clone())
            .collect();
        for key in orphans {
            self.uninhibit(now.wall, &key, &mut changes);
        }
        self.areas.start(now);
        for alarm in self.open.values_mut() {
            let area = alarm.marks.suppressed.as_ref().and_then(|by| by.by.strip_prefix(AREA));
            if area.is_some_and(|area| !self.areas.disarmed(area)) {
                alarm.marks.suppressed = None;
                changes.push(change(ChangeKind::Unsuppressed, now.wall, Actor::gateway(), "", alarm));
            }
        }
        self.resume_drill(now, &mut changes);
        changes
    }

    /// Forgets what is open in areas of rules and subjects that nothing will ever be heard of again.
    pub fn keep_open(&mut self, known: impl Fn(&AlarmKey) -> bool) {
        self.areas.retain(known);
    }

    /// The open alarms, by rule and subject.
    pub fn open(&self) -> impl Iterator<Item = &Alarm> {
        self.open.values()
    }

    /// The hazards that are not closed.
    pub fn hazards(&self) -> impl Iterator<Item = &Hazard> {
        self.hazards.open()
    }

    /// How every area stands.
    #[must_use]
    pub fn areas(&self) -> Vec<AreaState> {
        self.areas.states()
    }

    /// What is to be written down of areas since the last call.
    pub fn area_notes(&mut self, now: Now) -> AreaNotes {
        self.areas.take_notes(now)
    }

    /// What is to be written down of hazards since the last call.
    pub fn hazard_notes(&mut self) -> Vec<Hazard> {
        self.hazards.take_notes()
    }

    /// When [`AlarmBook::expire`] wants to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        [self.timers.next(), self.areas.next_deadline()].into_iter().flatten().min()
    }

    /// Takes a rule's report and says what changed. `absent` are the devices of which nothing is heard, where the rule
    /// speaks for that alone.
    pub fn apply(&mut self, now: Now, finding: &Finding, absent: &[DeviceId]) -> Vec<AlarmChange> {
        let mut changes = self.expire(now);
        if drill::is_of_drill(&finding.key.rule) {
            self.take_in_drill(now, finding, &mut changes);
        } else if self.areas.lets_through(now, finding) {
            if finding.level == Level::Holds && !absent.is_empty() {
                self.absent.insert(finding.key.clone(), absent.to_vec());
            }
            self.take(now, finding, &mut changes);
        }
        changes
    }

    /// Does what is due; calling too early or too often does nothing.
    pub fn expire(&mut self, now: Now) -> Vec<AlarmChange> {
        let mut changes = Vec::new();
        while self.timers.next().is_some_and(|at| at <= now.mono) {
            let Some(due) = self.timers.pop() else { break };
            match due {
                Due::Shelf(id) => self.unshelve(now.wall, id, &Actor::gateway(), "", &mut changes),
                Due::Service(id) => self.put_back(now.wall, id, &Actor::gateway(), "", &mut changes),
                Due::Quiet(key) => self.settle(now, &key, &mut changes),
                Due::Count(key) => self.note_count(now, &key, &mut changes),
                Due::Release(cause) => self.release(now.wall, &cause, &mut changes),
                Due::Group(_) => {}
                Due::Drill => self.drill_is_over(now, &mut changes),
            }
        }
        let passed = self.areas.expire(now);
        for (area, armed) in passed.turned {
            self.suppress(now.wall, &area, !armed, &Actor::gateway(), "", &mut changes);
        }
        for finding in passed.findings {
            self.take(now, &finding, &mut changes);
        }
        changes
    }

    fn take(&mut self, now: Now, finding: &Finding, changes: &mut Vec<AlarmChange>) {
        let key = &finding.key;
        let open = self.open.get(key);
        let chatters = open.is_some_and(|alarm| alarm.marks.chattering.is_some());
        let held = match self.pulses.get(key).filter(|_| chatters) {
            Some(pulse) => pulse.holds,
            None => open.is_some_and(|alarm| alarm.active),
        };
        if matches!((finding.level, held), (Level::Holds, true) | (Level::Ended, false)) {
            return;
        }
        // Each press of a help button is told, however many there are.
        let holds = match finding.level {
            Level::Holds => true,
            Level::Ended => false,
            Level::Happened => held,
        };
        let often = !finding.class.protected() && {
            let pulse = self.pulses.entry(key.clone()).or_insert_with(|| Pulse::new(held, now.wall));
            self.timers.set(&Due::Quiet(key.clone()), Some(now.mono.plus(CHATTER_WITHIN)));
            pulse.beat(now.mono, holds, now.wall)
        };
        if chatters {
            // Whoever took an intruder has not seen what comes after.
            let taken = self.open.get(key).is_some_and(|a| a.class.latches() && a.acknowledged.is_some());
            if taken && finding.level != Level::Ended {
                self.come(now, finding, changes);
            } else {
                self.count_on(finding);
            }
            return;
        }
        let quietly = often && self.open.get(key).is_some_and(|alarm| alarm.acknowledged.is_none());
        match finding.level {
            // One that begins to chatter counts as active, until it has settled.
            Level::Ended if often => {}
            Level::Ended => self.clear(now, key, changes),
            Level::Holds | Level::Happened if quietly => self.count_on(finding),
            Level::Holds | Level::Happened => self.come(now, finding, changes),
        }
        if often {
            self.begin_chatter(now, finding, changes);
        }
        if finding.level != Level::Ended || often {
            if self.causes.settles(key).is_some() {
                self.timers.set(&Due::Release(key.clone()), None);
                self.explain(now.wall, key, changes);
            }
            self.inhibit(now.wall, key, changes);
        }
    }

    /// It comes: raised, or once more.
    fn come(&mut self, now: Now, finding: &Finding, changes: &mut Vec<AlarmChange>) {
        let at = now.wall;
        if let Some(alarm) = self.open.get_mut(&finding.key) {
            alarm.active |= finding.level == Level::Holds;
            alarm.cleared_at = (!alarm.active).then_some(at);
            alarm.occurrences = alarm.occurrences.saturating_add(1);
            // A new occurrence wants a new look, and a new reset.
            (alarm.acknowledged, alarm.reset, alarm.marks.confirmed) = (None, None, None);
            alarm.what = finding.what.clone();
            changes.push(change(ChangeKind::Recurred, at, Actor::gateway(), "", alarm));
        } else {
            self.raise(now, finding, changes);
        }
    }

    fn raise(&mut self, now: Now, finding: &Finding, changes: &mut Vec<AlarmChange>) {
        let active = finding.level == Level::Holds;
        let drill = drill::is_of_drill(&finding.key.rule);
        let alarm = Alarm {
            id: AlarmId(self.next_id),
            key: finding.key.clone(),
            class: finding.class,
            priority: finding.priority,
            device: finding.device.clone(),
            place: finding.place.clone(),
            what: finding.what.clone(),
            raised_at: now.wall,
            active,
            occurrences: 1,
            cleared_at: (!active).then_some(now.wall),
            acknowledged: None,
            latched: finding.class.latches() && !drill,
            reset: None,
            closed_at: None,
            marks: Marks { first: !drill && self.is_first(now, finding), drill, ..Marks::default() },
        };
        self.next_id = self.next_id.saturating_add(1);
        changes.push(change(ChangeKind::Raised, now.wall, Actor::gateway(), "", &alarm));
        self.open.insert(finding.key.clone(), alarm);
    }

    /// Whether no other alarm of its place or bus came of late.
    fn is_first(&mut self, now: Now, finding: &Finding) -> bool {
        let own = BusId::new(&finding.key.subject).ok().filter(|_| finding.key.rule.as_str() == BUS_RULE);
        let bus = finding.device.as_ref().and_then(|device| self.causes.bus(device).cloned()).or(own);
        let groups = finding.place.clone().map(Group::Place).into_iter().chain(bus.map(Group::Bus));
        let (mut any, mut first) = (false, true);
        for group in groups.map(Due::Group) {
            any = true;
            first &= !self.timers.is_set(&group);
            self.timers.set(&group, Some(now.mono.plus(GROUP_WITHIN)));
        }
        any && first
    }

    /// Its condition has ended.
    fn clear(&mut self, now: Now, key: &AlarmKey, changes: &mut Vec<AlarmChange>) {
        let Some(alarm) = self.open.get_mut(key) else { return };
        alarm.active = false;
        alarm.cleared_at = Some(now.wall);
        changes.push(change(ChangeKind::Cleared, now.wall, Actor::gateway(), "", alarm));
        let (id, once) = (alarm.id, alarm.marks.shelved.as_ref().is_some_and(|shelf| shelf.once));
        if let Some(wait) = self.causes.settles(key) {
            self.timers.set(&Due::Release(key.clone()), Some(now.mono.plus(wait)));
        }
        if once {
            self.unshelve(now.wall, id, &Actor::gateway(), "", changes);
        }
        self.close_if_over(key, now.wall, changes);
    }

    /// Counts without a word.
    fn count_on(&mut self, finding: &Finding) {
        let Some(alarm) = self.open.get_mut(&finding.key) else { return };
        if let Some(chatter) = &mut alarm.marks.chattering {
            chatter.count = chatter.count.saturating_add(1);
        }
        if finding.level != Level::Ended {
            alarm.occurrences = alarm.occurrences.saturating_add(1);
            alarm.active |= finding.level == Level::Holds;
            alarm.what = finding.what.clone();
        }
    }

    fn begin_chatter(&mut self, now: Now, finding: &Finding, changes: &mut Vec<AlarmChange>) {
        let Some(alarm) = self.open.get_mut(&finding.key) else { return };
        let count = u32::try_from(CHATTER_TIMES).unwrap_or(u32::MAX);
        alarm.marks.chattering = Some(Chatter { since: now.wall, count });
        if alarm.active {
            alarm.cleared_at = None;
        }
        changes.push(change(ChangeKind::Chattering, now.wall, Actor::gateway(), &count.to_string(), alarm));
        self.timers.set(&Due::Count(finding.key.clone()), Some(now.mono.plus(CHATTER_NOTED)));
    }

    /// Writes down how often it has come and gone so far.
    fn note_count(&mut self, now: Now, key: &AlarmKey, changes: &mut Vec<AlarmChange>) {
        let Some(alarm) = self.open.get(key) else { return };
        let Some(chatter) = alarm.marks.chattering else { return };
        let count = chatter.count.to_string();
        changes.push(change(ChangeKind::Chattering, now.wall, Actor::gateway(), &count, alarm));
        self.timers.set(&Due::Count(key.clone()), Some(now.mono.plus(CHATTER_NOTED)));
    }

    /// Nothing has come or gone for a while: what was said last is so.
    fn settle(&mut self, now: Now, key: &AlarmKey, changes: &mut Vec<AlarmChange>) {
        let pulse = self.pulses.remove(key);
        self.timers.set(&Due::Count(key.clone()), None);
        let Some(alarm) = self.open.get_mut(key) else { return };
        let Some(chatter) = alarm.marks.chattering.take() else { return };
        let count = chatter.count.to_string();
        changes.push(change(ChangeKind::Settled, now.wall, Actor::gateway(), &count, alarm));
        if alarm.active && pulse.is_some_and(|pulse| !pulse.holds) {
            self.clear(now, key, changes);
        } else {
            self.close_if_over(key, now.wall, changes);
        }
    }

    fn unshelve(&mut self, at: Wall, id: AlarmId, by: &Actor, note: &str, changes: &mut Vec<AlarmChange>) {
        self.timers.set(&Due::Shelf(id), None);
        let Some(alarm) = self.open.values_mut().find(|alarm| alarm.id == id) else { return };
        if alarm.marks.shelved.take().is_some() {
            changes.push(change(ChangeKind::Unshelved, at, by.clone(), note, alarm));
            let key = alarm.key.clone();
            self.close_if_over(&key, at, changes);
        }
    }

    fn put_back(&mut self, at: Wall, id: AlarmId, by: &Actor, note: &str, changes: &mut Vec<AlarmChange>) {
        self.timers.set(&Due::Service(id), None);
        let Some(alarm) = self.open.values_mut().find(|alarm| alarm.id == id) else { return };
        if alarm.marks.out_of_service.take().is_some() {
            changes.push(change(ChangeKind::InService, at, by.clone(), note, alarm));
            let key = alarm.key.clone();
            self.close_if_over(&key, at, changes);
        }
    }

    /// An area was disarmed: its open alarms of intruders sound no longer and stay open; or it was armed.
    fn suppress(
        &mut self,
        at: Wall,
        area: &AreaId,
        disarmed: bool,
        by: &Actor,
        note: &str,
        changes: &mut Vec<AlarmChange>,
    ) {
        for alarm in self.open.values_mut() {
            if alarm.marks.drill || !self.areas.concerns(area, alarm.class, alarm.place.as_ref()) {
                continue;
            }
            let kind = match (disarmed, alarm.marks.suppressed.is_some()) {
                (true, false) => {
                    let by = format!("{AREA}{area}");
                    alarm.marks.suppressed = Some(crate::model::alarm::Suppressed { by, at });
                    ChangeKind::Suppressed
                }
                (false, true) => {
                    alarm.marks.suppressed = None;
                    ChangeKind::Unsuppressed
                }
                _ => continue,
            };
            changes.push(change(kind, at, by.clone(), note, alarm));
        }
    }

    /// Takes a person out of the open alarms that are about them. One that still held has ended: nobody can say any
    /// more of whom it speaks.
    pub fn forget(&mut self, at: Wall, who: &PersonRef) -> Vec<AlarmChange> {
        let about: Vec<AlarmKey> =
            self.open.keys().filter(|key| key.subject.contains(who.as_str())).cloned().collect();
        let mut changes = Vec::new();
        for key in about {
            let Some(mut alarm) = self.open.remove(&key) else { continue };
            self.pulses.remove(&key);
            self.absent.remove(&key);
            for due in [Due::Quiet(key.clone()), Due::Count(key.clone())] {
                self.timers.set(&due, None);
            }
            alarm.key.subject = key.subject.replace(who.as_str(), &erased(alarm.id));
            alarm.marks.chattering = None;
            let (key, held) = (alarm.key.clone(), std::mem::take(&mut alarm.active));
            if held {
                alarm.cleared_at = Some(at);
                changes.push(change(ChangeKind::Cleared, at, Actor::gateway(), "", &alarm));
            }
            self.open.insert(key.clone(), alarm);
            if held {
                self.close_if_over(&key, at, &mut changes);
            }
        }
        for alarm in self.over.iter_mut().filter(|alarm| alarm.key.subject.contains(who.as_str())) {
            alarm.key.subject = alarm.key.subject.replace(who.as_str(), &erased(alarm.id));
        }
        self.areas.forget(who);
        changes
    }

    /// Closes an alarm whose condition is gone, that somebody took and, if it latches, reset, and that nothing holds.
    fn close_if_over(&mut self, key: &AlarmKey, at: Wall, changes: &mut Vec<AlarmChange>) {
        let over = self.open.get(key).is_some_and(|alarm| {
            let marks = &alarm.marks;
            let held =
                marks.shelved.is_some() || marks.out_of_service.is_some() || marks.chattering.is_some();
            !alarm.active
                && alarm.acknowledged.is_some()
                && (!alarm.latched || alarm.reset.is_some())
                && !held
        });
        if !over {
            return;
        }
        if let Some(alarm) = self.open.remove(key) {
            self.close(alarm, &Handled { by: Actor::gateway(), at, note: String::new() }, changes);
        }
    }

    fn close(&mut self, mut alarm: Alarm, handled: &Handled, changes: &mut Vec<AlarmChange>) {
        alarm.closed_at = Some(handled.at);
        changes.push(change(ChangeKind::Closed, handled.at, handled.by.clone(), &handled.note, &alarm));
        self.absent.remove(&alarm.key);
        if self.over.len() >= CONFIRMABLE {
            self.over.pop_front();
        }
        self.over.push_back(alarm);
    }
}

/// When something that was to last from `begun` to `until` ends in this run: in doubt about the clock, at once.
fn resumed(now: Now, begun: Wall, until: Wall) -> Mono {
    if !now.wall.plausible() || now.wall < begun {
        return now.mono;
    }
    now.mono.plus(Duration::from_millis(u64::try_from(until.since(now.wall)).unwrap_or(0)))
}

fn change(kind: ChangeKind, at: Wall, actor: Actor, note: &str, alarm: &Alarm) -> AlarmChange {
    AlarmChange { kind, at, actor, note: note.to_owned(), alarm: alarm.clone() }
}

#[cfg(test)]
mod tests;

//! Areas that can be armed (布防): what an intruder alarm of a place is worth now.
//!
//! While an area is not armed, what its detectors say is no alarm; what is open is remembered, so that nobody arms over
//! an open window without knowing. Help, fire and everything that is not about intruders is never held back here.

use super::OrderRefused;
use crate::calendar::{Calendar, Times};
use crate::model::{
    Actor, AlarmClass, AlarmKey, AreaId, AreaState, ArmMode, Audit, DeviceId, Handled, Mono, Now, PersonRef,
    PlaceId, Priority, Text, Wall,
};
use crate::rules::{Finding, Level};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What is open is written down this long after it changed: doors of a school open and close all day.
const NOTED_WITHIN: Duration = Duration::from_secs(60);
/// The times of day are looked at this often: a step of the wall clock moves them without a word.
const LOOK: Duration = Duration::from_secs(30);
/// Teaching that begins so soon after the time of day at which an area is disarmed makes it a school day.
const MORNING_MS: i64 = 12 * 3600 * 1000;

/// Part of the school that can be armed.
#[derive(Debug, Clone)]
pub struct Area {
    /// Its id.
    pub id: AreaId,
    /// Its name for people.
    pub name: String,
    /// Every place in it.
    pub places: BTreeSet<PlaceId>,
    /// Devices on its outer side, which alone count when it is armed in part.
    pub perimeter: BTreeSet<DeviceId>,
    /// Devices on the way in, at which whoever may disarm it passes.
    pub entry: BTreeSet<DeviceId>,
    /// How long somebody who came in has to disarm it.
    pub entry_delay: Duration,
    /// How long people have to leave once it is armed.
    pub exit_delay: Duration,
    /// When it is armed and disarmed by itself.
    pub schedule: Option<Schedule>,
}

/// Times of day at which an area is armed, every day, and disarmed, on school days.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Says which days are school days.
    pub calendar: Arc<Calendar>,
    /// Minutes since midnight at which it is armed.
    pub arm_at: i64,
    /// Minutes since midnight at which it is disarmed.
    pub disarm_at: i64,
}

impl Schedule {
    /// How it is to stand by the last of its times, and when that was.
    fn wants(&self, at: Wall) -> Option<(ArmMode, Wall)> {
        if !at.plausible() {
            return None;
        }
        let armed = self.calendar.last_at(self.arm_at, at)?;
        let disarmed = self.calendar.last_at(self.disarm_at, at).filter(|time| self.school_day(*time));
        match disarmed.filter(|time| *time > armed) {
            Some(time) => Some((ArmMode::Disarmed, time)),
            None => Some((ArmMode::Armed, armed)),
        }
    }

    fn school_day(&self, morning: Wall) -> bool {
        let begins = || self.calendar.next_change(Times::Teaching, morning);
        self.calendar.holds(Times::Teaching, morning)
            || begins().is_some_and(|begins| begins.since(morning) <= MORNING_MS)
    }
}

/// What is to be written down.
#[derive(Debug, Default)]
pub struct AreaNotes {
    /// Into the audit trail.
    pub audit: Vec<Audit>,
    /// What a restart has to know of an area, in its own words.
    pub rows: Vec<(AreaId, String)>,
}

/// What has come to its time.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// Areas that armed or disarmed themselves, and whether they are armed now.
    pub(super) turned: Vec<(AreaId, bool)>,
    /// What is an alarm now.
    pub(super) findings: Vec<Finding>,
}

/// Something that would be an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    key: AlarmKey,
    priority: Priority,
    device: Option<DeviceId>,
    place: Option<PlaceId>,
    what: Text,
}

impl Held {
    fn of(finding: &Finding) -> Self {
        Self {
            key: finding.key.clone(),
            priority: finding.priority,
            device: finding.device.clone(),
            place: finding.place.clone(),
            what: finding.what.clone(),
        }
    }

    fn finding(self, level: Level) -> Finding {
        let Self { key, priority, device, place, what } = self;
        Finding { key, level, class: AlarmClass::Intrusion, priority, device, place, what }
    }
}

/// What a restart has to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Memory {
    mode: ArmMode,
    by: Actor,
    since: Wall,
    note: String,
    /// People may still leave.
    leaving: bool,
    /// What is open, whether it counts or not.
    open: Vec<Held>,
    /// What was open when it was armed all the same; until it closes.
    bypassed: Vec<AlarmKey>,
    /// What came on the way in; an alarm unless somebody disarms in time.
    entered: Vec<Held>,
    /// The last of its times of day that it has followed.
    followed: Option<Wall>,
}

#[derive(Debug)]
struct Standing {
    area: Area,
    memory: Memory,
    leave_by: Option<Mono>,
    disarm_by: Option<Mono>,
    look: Option<Mono>,
    /// When the memory is to be written down.
    note_by: Option<Mono>,
}

/// Every area.
#[derive(Debug)]
pub(super) struct Areas {
    all: BTreeMap<AreaId, Standing>,
    of_place: BTreeMap<PlaceId, AreaId>,
    audit: Vec<Audit>,
}

impl Areas {
    pub(super) fn new(areas: Vec<Area>, remembered: Vec<(AreaId, String)>) -> Self {
        let mut remembered: BTreeMap<AreaId, String> = remembered.into_iter().collect();
        let mut of_place = BTreeMap::new();
        let mut all = BTreeMap::new();
        for area in areas {
            of_place.extend(area.places.iter().map(|place| (place.clone(), area.id.clone())));
            let text = remembered.remove(&area.id);
            let memory = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_else(|| Memory {
                mode: ArmMode::Disarmed,
                by: Actor::gateway(),
                since: Wall(0),
                note: String::new(),
                leaving: false,
                open: Vec::new(),
                bypassed: Vec::new(),
                entered: Vec::new(),
                followed: None,
            });
            let standing =
                Standing { area, memory, leave_by: None, disarm_by: None, look: None, note_by: None };
            all.insert(standing.area.id.clone(), standing);
        }
        Self { all, of_place, audit: Vec::new() }
    }

    /// Whoever was on the way out or in gets the whole time once more.
    pub(super) fn start(&mut self, now: Now) {
        for standing in self.all.values_mut() {
            let Standing { area, memory, .. } = standing;
            standing.leave_by = memory.leaving.then(|| now.mono.plus(area.exit_delay));
            standing.disarm_by = (!memory.entered.is_empty()).then(|| now.mono.plus(area.entry_delay));
            standing.look = area.schedule.is_some().then_some(now.mono);
        }
    }

    /// Whether an alarm of this class and place is one of intruders in this area.
    pub(super) fn concerns(&self, area: &AreaId, class: AlarmClass, place: Option<&PlaceId>) -> bool {
        class == AlarmClass::Intrusion && place.and_then(|place| self.of_place.get(place)) == Some(area)
    }

    /// Whether an area exists and is not armed.
    pub(super) fn disarmed(&self, area: &str) -> bool {
        self.all.get(area).is_some_and(|standing| standing.memory.mode == ArmMode::Disarmed)
    }

    pub(super) fn states(&self) -> Vec<AreaState> {
        self.all.values().map(Standing::state).collect()
    }

    /// What a restart has to know of an area, in its own words.
    #[cfg(test)]
    pub(super) fn row(&self, area: &AreaId) -> Option<String> {
        serde_json::to_string(&self.all.get(area)?.memory).ok()
    }

    pub(super) fn next_deadline(&self) -> Option<Mono> {
        self.all.values().filter_map(Standing::next_deadline).min()
    }

    /// Whether what a rule reports is for the book to judge, or is no alarm here and now.
    pub(super) fn lets_through(&mut self, now: Now, finding: &Finding) -> bool {
        let place = finding.place.as_ref().filter(|_| finding.class == AlarmClass::Intrusion);
        let area = place.and_then(|place| self.of_place.get(place));
        match area.and_then(|area| self.all.get_mut(area)) {
            Some(standing) => standing.lets_through(now, finding),
            None => true,
        }
    }

    /// Arms or disarms; `active` are the alarms of intruders there that hold.
    pub(super) fn order(
        &mut self,
        now: Now,
        area: &AreaId,
        mode: ArmMode,
        force: bool,
        active: &[AlarmKey],
        handled: &Handled,
    ) -> Result<AreaState, OrderRefused> {
        let standing = self.all.get_mut(area).ok_or_else(|| OrderRefused::NoArea(area.clone()))?;
        if standing.memory.mode == mode {
            return Err(OrderRefused::AlreadySo { area: area.clone(), mode });
        }
        if mode == ArmMode::Partial && standing.area.perimeter.is_empty() {
            return Err(OrderRefused::NoPerimeter(area.clone()));
        }
        let open = standing.in_the_way(mode, active);
        if !force && !open.is_empty() {
            return Err(OrderRefused::Open { area: area.clone(), open });
        }
        self.audit.push(standing.turn(now, mode, open, handled));
        Ok(standing.state())
    }

    /// An area stands like this, and nothing is known of what is open in it.
    pub(super) fn stand(&mut self, now: Now, area: &AreaId, mode: ArmMode) {
        if let Some(standing) = self.all.get_mut(area) {
            standing.memory.mode = mode;
            standing.note_by = Some(now.mono);
        }
    }

    /// What has come to its time. Call it as often as you like.
    pub(super) fn expire(&mut self, now: Now) -> Passed {
        let mut passed = Passed::default();
        for (id, standing) in &mut self.all {
            if let Some(wanted) = standing.scheduled(now) {
                let by = Actor::gateway();
                let handled = Handled { by, at: now.wall, note: "按时间 / by its times".to_owned() };
                let open = standing.in_the_way(wanted, &[]);
                self.audit.push(standing.turn(now, wanted, open, &handled));
                passed.turned.push((id.clone(), wanted != ArmMode::Disarmed));
            }
            standing.expire(now, &mut passed.findings);
        }
        passed
    }

    pub(super) fn take_notes(&mut self, now: Now) -> AreaNotes {
        let mut notes = AreaNotes { audit: std::mem::take(&mut self.audit), rows: Vec::new() };
        for (id, standing) in &mut self.all {
            if standing.note_by.is_some_and(|by| by <= now.mono) {
                standing.note_by = None;
                // Words and numbers can always be written as JSON.
                notes
                    .rows
                    .extend(serde_json::to_string(&standing.memory).ok().map(|text| (id.clone(), text)));
            }
        }
        notes
    }

    /// Forgets what speaks of a person.
    pub(super) fn forget(&mut self, who: &PersonRef) {
        self.retain(|key| !key.subject.contains(who.as_str()));
    }

    /// Forgets what is open of rules and subjects that nothing will ever be heard of again.
    pub(super) fn retain(&mut self, known: impl Fn(&AlarmKey) -> bool) {
        for standing in self.all.values_mut() {
            let memory = &mut standing.memory;
            let before = (memory.open.len(), memory.entered.len(), memory.bypassed.len());
            memory.open.retain(|held| known(&held.key));
            memory.entered.retain(|held| known(&held.key));
            memory.bypassed.retain(&known);
            if before != (memory.open.len(), memory.entered.len(), memory.bypassed.len()) {
                standing.note_by = Some(Mono(0));
            }
        }
    }
}

impl Standing {
    fn state(&self) -> AreaState {
        let memory = &self.memory;
        AreaState {
            id: self.area.id.clone(),
            name: self.area.name.clone(),
            mode: memory.mode,
            by: memory.by.clone(),
            since: memory.since,
            note: memory.note.clone(),
            leaving: memory.leaving,
            entering: !memory.entered.is_empty(),
            open: memory.open.iter().map(|held| held.key.clone()).collect(),
            bypassed: memory.bypassed.clone(),
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        [self.leave_by, self.disarm_by, self.look, self.note_by].into_iter().flatten().min()
    }

    /// Whether a device counts in a mode; what has no device always does.
    fn counts(&self, mode: ArmMode, device: Option<&DeviceId>) -> bool {
        match mode {
            ArmMode::Armed => true,
            ArmMode::Partial => device.is_none_or(|device| self.area.perimeter.contains(device)),
            ArmMode::Disarmed => false,
        }
    }

    fn on_the_way(&self, device: Option<&DeviceId>) -> bool {
        device.is_some_and(|device| self.area.entry.contains(device))
    }

    fn lets_through(&mut self, now: Now, finding: &Finding) -> bool {
        let known = self.memory.open.iter().position(|held| held.key == finding.key);
        if finding.level == Level::Ended {
            if let Some(known) = known {
                self.memory.open.remove(known);
                let passed_over = self.memory.bypassed.len();
                self.memory.bypassed.retain(|key| *key != finding.key);
                if self.memory.bypassed.len() < passed_over {
                    // It counts again, also after a power cut.
                    self.note_by = Some(now.mono);
                }
                self.note_by.get_or_insert(now.mono.plus(NOTED_WITHIN));
            }
            return true;
        }
        if finding.level == Level::Holds && known.is_none() {
            self.memory.open.push(Held::of(finding));
            self.note_by.get_or_insert(now.mono.plus(NOTED_WITHIN));
        }
        let device = finding.device.as_ref();
        if self.memory.leaving
            || !self.counts(self.memory.mode, device)
            || self.memory.bypassed.contains(&finding.key)
        {
            return false;
        }
        if !self.on_the_way(device) || self.area.entry_delay.is_zero() {
            return true;
        }
        self.enter(now, Held::of(finding));
        false
    }

    /// Somebody came in: an alarm unless they disarm in time.
    fn enter(&mut self, now: Now, held: Held) {
        if !self.memory.entered.iter().any(|entered| entered.key == held.key) {
            self.memory.entered.push(held);
            self.disarm_by.get_or_insert(now.mono.plus(self.area.entry_delay));
            self.note_by = Some(now.mono);
        }
    }

    /// What is open and would count in a mode. Who leaves opens the way out.
    fn in_the_way(&self, mode: ArmMode, active: &[AlarmKey]) -> Vec<AlarmKey> {
        if mode == ArmMode::Disarmed {
            return Vec::new();
        }
        let leaves = self.leaves(mode);
        let open = self.memory.open.iter().filter(|held| {
            let device = held.device.as_ref();
            self.counts(mode, device) && !(leaves && self.on_the_way(device))
        });
        let mut keys: BTreeSet<AlarmKey> = open.map(|held| held.key.clone()).collect();
        keys.extend(active.iter().cloned());
        keys.into_iter().collect()
    }

    fn leaves(&self, mode: ArmMode) -> bool {
        mode == ArmMode::Armed && !self.area.exit_delay.is_zero()
    }

    fn turn(&mut self, now: Now, mode: ArmMode, bypassed: Vec<AlarmKey>, handled: &Handled) -> Audit {
        let leaving = self.leaves(mode);
        let mut detail = handled.note.clone();
        if !bypassed.is_empty() {
            let devices = self.memory.open.iter().filter(|held| bypassed.contains(&held.key));
            let devices: Vec<&str> =
                devices.filter_map(|held| Some(held.device.as_ref()?.as_str())).collect();
            detail = format!("{detail}; {} open and passed over: {}", bypassed.len(), devices.join(", "));
        }
        let memory = &mut self.memory;
        (memory.mode, memory.leaving, memory.bypassed) = (mode, leaving, bypassed);
        (memory.by, memory.since, memory.note) = (handled.by.clone(), now.wall, handled.note.clone());
        memory.entered.clear();
        self.leave_by = leaving.then(|| now.mono.plus(self.area.exit_delay));
        self.disarm_by = None;
        self.note_by = Some(now.mono);
        Audit {
            at: now.wall,
            actor: handled.by.as_str().to_owned().into(),
            action: mode.as_str(),
            subject: format!("area {}", self.area.id).into(),
            detail,
        }
    }

    /// How it is to turn by its times of day, if one has come.
    fn scheduled(&mut self, now: Now) -> Option<ArmMode> {
        if self.look.is_none_or(|at| at > now.mono) {
            return None;
        }
        self.look = Some(now.mono.plus(LOOK));
        let (wanted, time) = self.area.schedule.as_ref()?.wants(now.wall)?;
        if self.memory.followed == Some(time) {
            return None;
        }
        self.memory.followed = Some(time);
        self.note_by = Some(now.mono);
        (self.memory.mode != wanted).then_some(wanted)
    }

    fn expire(&mut self, now: Now, findings: &mut Vec<Finding>) {
        if self.leave_by.is_some_and(|by| by <= now.mono) {
            self.leave_by = None;
            self.memory.leaving = false;
            self.note_by = Some(now.mono);
            let left_open = self.memory.open.iter().filter(|held| !self.memory.bypassed.contains(&held.key));
            let left_open: Vec<Held> = left_open
                .filter(|held| self.counts(self.memory.mode, held.device.as_ref()))
                .cloned()
                .collect();
            for held in left_open {
                if self.on_the_way(held.device.as_ref()) && !self.area.entry_delay.is_zero() {
                    self.enter(now, held);
                } else {
                    findings.push(held.finding(Level::Holds));
                }
            }
        }
        if self.disarm_by.is_some_and(|by| by <= now.mono) {
            self.disarm_by = None;
            self.note_by = Some(now.mono);
            for held in std::mem::take(&mut self.memory.entered) {
                let holds = self.memory.open.iter().any(|open| open.key == held.key);
                findings.push(held.finding(if holds { Level::Holds } else { Level::Happened }));
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! The past once more: rules and alarm book are shown what was stored, in the order in which it arrived, with the time
//! of its arrival for `now`.
//!
//! What the gateway did then and what comes out here are the same, where the same rules ran: a reading carries the
//! doubts that it was given then, a start makes the rules forget, and what was done to alarms and areas is done again.
//! So is what one alarm did to another, told by its steps: rules can be tried without those that explain them.

use crate::aggregate::Aggregates;
use crate::alarm::{AlarmBook, Area, Before, Setup};
use crate::model::{
    Actor, Alarm, AlarmChange, AlarmId, AlarmKey, AreaId, ArmMode, Body, ChangeKind, DeviceId, Event,
    Handled, Mono, Now, Observation, PointId, PointKind, RollUp, Stamp, Wall,
};
use crate::profile::Nature;
use crate::rules::{Engine, Finding, Rule, World};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What was done to an alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// To which.
    pub key: AlarmKey,
    /// What: taken, reset, shelved, and the end of that.
    pub kind: ChangeKind,
    /// Who.
    pub actor: Actor,
    /// What they wrote.
    pub note: String,
}

/// One thing of the past.
#[derive(Debug)]
pub enum Told<'a> {
    /// This was observed.
    Seen(&'a Observation),
    /// The gateway started; what it knew of the time before.
    Started {
        /// Passes, oldest first.
        passes: &'a [(DeviceId, Stamp, Event)],
        /// Closed periods, oldest first.
        periods: &'a [RollUp],
    },
    /// The wall clock was set by so many milliseconds.
    ClockSet(i64),
    /// Something was done to an alarm.
    Done(&'a Done),
    /// An area was armed or disarmed.
    Turned {
        /// Which.
        area: AreaId,
        /// How it stands since.
        mode: ArmMode,
        /// Who did it.
        by: Actor,
    },
    /// The gateway was at work.
    Alive,
}

/// How things stood where the past begins, as far as it is known.
#[derive(Debug)]
pub struct Begin {
    /// When.
    pub at: Wall,
    /// Alarms that were open.
    pub open: Vec<Alarm>,
    /// Areas that were armed, or had been; others were not.
    pub armed: Vec<(AreaId, ArmMode)>,
}

/// Rules and alarm book in the past.
#[derive(Debug)]
pub struct Again {
    world: Arc<World>,
    engine: Engine,
    book: AlarmBook,
    areas: Vec<Area>,
    /// What the store knew by now, for the next start: alarms, and areas in their own words.
    stored: BTreeMap<AlarmId, Alarm>,
    rows: BTreeMap<AreaId, String>,
    next_id: u64,
    /// What could not be done yet: it was done in the same moment as something that is not told yet.
    early: Vec<Done>,
    aggregates: Aggregates,
    /// Points of which some rule wants to see closed periods.
    counted: BTreeSet<(DeviceId, PointId)>,
    now: Now,
    findings: Vec<Finding>,
}

impl Again {
    /// Begins at a time. The first that is told is the start, or what came after it.
    #[must_use]
    pub fn new(begin: Begin, rules: Vec<Box<dyn Rule>>, world: Arc<World>, areas: Vec<Area>) -> Self {
        let mut engine = Engine::new(rules);
        let now = Now { mono: Mono(0), wall: begin.at };
        engine.start(now);
        let counted = engine.periods().into_keys().collect();
        let next_id = begin.open.iter().map(|alarm| alarm.id.0).max().unwrap_or(0).saturating_add(1);
        let mut again = Self {
            aggregates: Aggregates::new(world.aggregate_secs),
            world,
            engine,
            book: AlarmBook::restore(Before::default(), Setup::default()),
            // When they turned by themselves is told.
            areas: areas.into_iter().map(|area| Area { schedule: None, ..area }).collect(),
            stored: begin.open.into_iter().map(|alarm| (alarm.id, alarm)).collect(),
            rows: BTreeMap::new(),
            next_id,
            early: Vec::new(),
            counted,
            now,
            findings: Vec::new(),
        };
        again.open_book(&mut |_| {});
        begin.armed.iter().for_each(|(area, mode)| again.book.stand(now, area, *mode));
        again.settle(&mut |_| {});
        again
    }

    /// The book as a start finds it.
    fn open_book(&mut self, each: &mut impl FnMut(&AlarmChange)) {
        let before = Before {
            open: self.stored.values().cloned().collect(),
            next_id: self.next_id,
            areas: self.rows.clone().into_iter().collect(),
            ..Before::default()
        };
        self.book = AlarmBook::restore(before, Setup { areas: self.areas.clone(), ..Setup::default() });
        let begun = self.book.start(self.now, |_| Vec::new());
        self.book.keep_open(|key| self.engine.judges(&key.rule, &key.subject));
        self.note(&begun, each);
    }

    /// The points of which periods before the start are wanted, and how far back each.
    #[must_use]
    pub fn recalls(&self) -> BTreeMap<(DeviceId, PointId), Duration> {
        self.engine.periods()
    }

    /// The next thing of the past, and when it was; what it does to alarms is handed on.
    pub fn tell(&mut self, at: Wall, told: &Told<'_>, each: &mut impl FnMut(&AlarmChange)) {
        match told {
            Told::Seen(seen) => {
                self.pass(at, each);
                self.count(seen);
                self.engine.observe(self.now, seen, &mut self.findings);
                self.engine.expire(self.now, &mut self.findings);
                self.settle(each);
            }
            Told::Started { passes, periods } => {
                // Nothing was due while the gateway was not there.
                self.jump(at);
                self.engine.start(self.now);
                self.open_book(each);
                for (device, stamp, event) in *passes {
                    let (device, body) = (device.clone(), Body::Event(event.clone()));
                    self.engine
                        .remember(self.now, &Observation { device, stamp: *stamp, body, retained: false });
                }
                // A period that was over while the gateway was away was closed after the start, not known at it.
                let late = if self.counted.is_empty() { Vec::new() } else { self.aggregates.close(at) };
                let closed = |of: &RollUp| {
                    late.iter().any(|l| (&l.device, &l.point, l.start) == (&of.device, &of.point, of.start))
                };
                periods.iter().filter(|of| !closed(of)).for_each(|of| self.engine.recall(self.now, of));
                self.engine.expire(self.now, &mut self.findings);
                for period in &late {
                    self.engine.close(self.now, period, &mut self.findings);
                }
                self.settle(each);
            }
            Told::ClockSet(by_ms) => {
                self.pass(at.plus_ms(by_ms.saturating_neg()), each);
                self.now.wall = at;
            }
            Told::Done(done) => {
                self.pass(at, each);
                self.repeat(done, each);
            }
            Told::Turned { area, mode, by } => {
                // By its times of day it turned before anything else was looked at.
                let by_itself = *by == Actor::gateway();
                self.pass(if by_itself { self.now.wall.max(at.plus_ms(-1)) } else { at }, each);
                self.jump(at);
                let changes = self.book.turn_again(self.now, area, *mode, by);
                self.note(&changes, each);
                self.engine.expire(self.now, &mut self.findings);
                self.close();
                self.settle(each);
            }
            Told::Alive => self.pass(at, each),
        }
    }

    /// Lets time pass, stopping at each deadline; a clock that goes back lets none pass.
    fn pass(&mut self, to: Wall, each: &mut impl FnMut(&AlarmChange)) {
        loop {
            let left = u64::try_from(to.since(self.now.wall)).unwrap_or(0);
            let Some(due) = self.due_ms().filter(|due| *due <= left) else { break };
            // A deadline that stays due must not hold time up.
            let pass = due.max(1);
            if pass > left {
                break;
            }
            self.step(pass);
            self.engine.expire(self.now, &mut self.findings);
            self.close();
            self.settle(each);
        }
        let left = u64::try_from(to.since(self.now.wall)).unwrap_or(0);
        self.step(left);
        self.now.wall = to;
    }

    fn jump(&mut self, to: Wall) {
        self.step(u64::try_from(to.since(self.now.wall)).unwrap_or(0));
        self.now.wall = to;
    }

    fn step(&mut self, ms: u64) {
        if ms > 0 {
            self.early.clear();
        }
        let wall = self.now.wall.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX));
        self.now = Now { mono: self.now.mono.plus(Duration::from_millis(ms)), wall };
    }

    /// Milliseconds until something is due.
    fn due_ms(&self) -> Option<u64> {
        let timer = self.engine.next_deadline().map(|at| at.0.saturating_sub(self.now.mono.0));
        let book = self.book.next_deadline().map(|at| at.0.saturating_sub(self.now.mono.0));
        let close = (!self.counted.is_empty()).then(|| self.aggregates.next_close_ms(self.now.wall));
        timer.into_iter().chain(book).chain(close).min()
    }

    fn count(&mut self, seen: &Observation) {
        let Body::Reading(reading) = &seen.body else { return };
        if self.counted.is_empty() || !self.counted.contains(&(seen.device.clone(), reading.point.clone())) {
            return;
        }
        let device = self.world.devices.get(&seen.device);
        let point = device.and_then(|device| device.profile.point(reading.point.as_str()));
        let nature =
            point.filter(|_| reading.kind == PointKind::Counter).map_or_else(Nature::default, Nature::from);
        // What it is to the count was said then: the reading has the doubt, and an exchange is an event of its own.
        let _said = self.aggregates.add(&seen.device, &seen.stamp, reading, nature);
    }

    fn close(&mut self) {
        if self.counted.is_empty() {
            return;
        }
        for period in self.aggregates.close(self.now.wall) {
            self.engine.close(self.now, &period, &mut self.findings);
        }
    }

    fn settle(&mut self, each: &mut impl FnMut(&AlarmChange)) {
        for finding in std::mem::take(&mut self.findings) {
            let changes = self.book.apply(self.now, &finding, &[]);
            self.note(&changes, each);
        }
        let changes = self.book.expire(self.now);
        self.note(&changes, each);
        self.rows.extend(self.book.area_notes(self.now).rows);
        for done in std::mem::take(&mut self.early) {
            self.repeat(&done, each);
        }
    }

    fn repeat(&mut self, done: &Done, each: &mut impl FnMut(&AlarmChange)) {
        let handled = Handled { by: done.actor.clone(), at: self.now.wall, note: done.note.clone() };
        let changes = self.book.repeat(self.now, &done.key, done.kind, handled);
        if changes.is_empty() {
            self.early.push(done.clone());
        }
        self.note(&changes, each);
        // Whatever the step, the store knows the alarm as it stood then.
        let open = self.book.open().find(|alarm| alarm.key == done.key);
        self.stored.extend(open.map(|alarm| (alarm.id, alarm.clone())));
    }

    fn note(&mut self, changes: &[AlarmChange], each: &mut impl FnMut(&AlarmChange)) {
        for change in changes {
            let alarm = &change.alarm;
            self.next_id = self.next_id.max(alarm.id.0.saturating_add(1));
            if alarm.closed_at.is_some() {
                self.stored.remove(&alarm.id);
            } else {
                self.stored.insert(alarm.id, alarm.clone());
            }
            each(change);
        }
    }
}

//! The past once more: rules and alarm book are shown what was stored, in the order in which it arrived, with the time
//! of its arrival for `now`.
//!
//! What the gateway did then and what comes out here are the same, where the same rules ran: a reading carries the
//! doubts that it was given then, a start makes the rules forget, and what persons did to alarms is done again.

use crate::aggregate::Aggregates;
use crate::alarm::{AlarmBook, Before, Causes, Setup};
use crate::model::{
    Actor, Alarm, AlarmChange, AlarmKey, Body, Command, DeviceId, Event, Mono, Now, Observation, Order,
    PointId, PointKind, RollUp, Stamp, Wall,
};
use crate::profile::Nature;
use crate::rules::{Engine, Finding, Level, Rule, World};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What a person did to an alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// To which.
    pub key: AlarmKey,
    /// It was reset; else acknowledged.
    pub reset: bool,
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
    /// A person did something to an alarm.
    Done(&'a Done),
    /// The gateway was at work.
    Alive,
}

/// Rules and alarm book in the past.
#[derive(Debug)]
pub struct Again {
    world: Arc<World>,
    engine: Engine,
    book: AlarmBook,
    aggregates: Aggregates,
    /// Points of which some rule wants to see closed periods.
    counted: BTreeSet<(DeviceId, PointId)>,
    now: Now,
    findings: Vec<Finding>,
}

impl Again {
    /// Begins at a time at which these alarms were open. The first that is told is the start, or what came after it.
    #[must_use]
    pub fn new(at: Wall, rules: Vec<Box<dyn Rule>>, world: Arc<World>, open: Vec<Alarm>) -> Self {
        let mut engine = Engine::new(rules);
        let now = Now { mono: Mono(0), wall: at };
        engine.start(now);
        let counted = engine.periods().into_keys().collect();
        let next_id = open.iter().map(|alarm| alarm.id.0).max().unwrap_or(0).saturating_add(1);
        let mut book = AlarmBook::restore(
            Before { open, next_id, ..Before::default() },
            Setup { causes: Causes::new(&world), ..Setup::default() },
        );
        book.start(now, |key| engine.absent(&key.rule, &key.subject));
        Self {
            aggregates: Aggregates::new(world.aggregate_secs),
            world,
            engine,
            book,
            counted,
            now,
            findings: Vec::new(),
        }
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
                let open = self.book.open().find(|alarm| alarm.key == done.key).map(|alarm| alarm.id);
                if let Some(id) = open {
                    let order = if done.reset { Order::Reset(id) } else { Order::Acknowledge(id) };
                    let command = Command { order, actor: done.actor.clone(), note: done.note.clone() };
                    // What cannot be done now was done then to an alarm that other rules had made.
                    let changes = self
                        .book
                        .order(self.now, &command)
                        .map_or_else(|_| Vec::new(), |(changes, _)| changes);
                    changes.iter().for_each(&mut *each);
                }
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
        for finding in self.findings.drain(..) {
            let absent = match finding.level {
                Level::Holds => self.engine.absent(&finding.key.rule, &finding.key.subject),
                Level::Ended | Level::Happened => Vec::new(),
            };
            self.book.apply(self.now, &finding, &absent).iter().for_each(&mut *each);
        }
        self.book.expire(self.now).iter().for_each(&mut *each);
    }
}

//! What waits for one channel, and how much of it goes when: something critical at once, the rest a few times a minute
//! and then together, so that a flood of alarms is a handful of messages.

use super::plan::Route;
use crate::model::{Alarm, AlarmId, Mono, Occasion, Priority};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Most messages in a minute. Only something critical that was not told yet goes beyond it, see [`GATHER`], and a call for
/// support at once.
pub(super) const PUSHES: usize = 5;
/// Of those, what is not critical takes so many: the others are kept for what is.
pub(super) const CALM_PUSHES: usize = 2;
/// The minute.
pub(super) const MINUTE: Duration = Duration::from_secs(60);
/// What is not critical waits so long after a message for company. What is critical waits no longer even when the
/// messages of the minute are used up; then all of it goes together.
pub(super) const GATHER: Duration = Duration::from_secs(10);
/// Pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// Longest pause, also where the other side asks for a longer one.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Messages whose times are remembered: a channel that takes more in its span counts as one that takes so many.
const REMEMBERED: usize = 1000;

/// An alarm that waits to be told by a channel.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) alarm: Arc<Alarm>,
    pub(super) occasion: Occasion,
}

impl Waiting {
    /// Whether it may not wait for others; a call for support may not, whatever its alarm is.
    fn urgent(&self) -> bool {
        self.is_call()
            || (self.alarm.priority == Priority::Critical
                && matches!(self.occasion, Occasion::Raised | Occasion::Escalated))
    }

    /// Whether somebody asks for more people.
    pub(super) fn is_call(&self) -> bool {
        self.occasion == Occasion::Support
    }
}

/// How many alarms of each priority, the most urgent first.
pub(super) type Counts = [u64; Priority::ALL.len()];

/// What one message is to tell.
#[derive(Debug, Clone)]
pub(super) struct Load {
    /// Its number.
    pub(super) number: u64,
    pub(super) told: Vec<Waiting>,
    /// Alarms that are only counted.
    pub(super) uncounted: Counts,
}

/// What waits for one channel.
#[derive(Debug)]
pub(super) struct Queue {
    route: Route,
    waiting: BTreeMap<AlarmId, Waiting>,
    /// Those of them that may not wait.
    urgent: BTreeSet<AlarmId>,
    /// Those of them that quiet hours do not hold back, the urgent ones among them.
    critical: BTreeSet<AlarmId>,
    /// Alarms that are only counted.
    uncounted: Counts,
    /// What is on its way.
    flight: Option<Load>,
    /// When the last messages went, the newest last, and whether each was for something critical.
    pushes: VecDeque<(Mono, bool)>,
    failures: u32,
    /// Nothing goes before this.
    not_before: Mono,
    /// The other side asked for this pause.
    asked: bool,
    /// What failed last, so that the same message keeps its number.
    again: Option<(u64, Vec<AlarmId>)>,
    /// The other side said that it will never work.
    pub(super) refused: bool,
}

impl Queue {
    pub(super) fn new(route: Route) -> Self {
        Self {
            route,
            waiting: BTreeMap::new(),
            urgent: BTreeSet::new(),
            critical: BTreeSet::new(),
            uncounted: Counts::default(),
            flight: None,
            pushes: VecDeque::new(),
            failures: 0,
            not_before: Mono(0),
            asked: false,
            again: None,
            refused: false,
        }
    }

    pub(super) fn route(&self) -> &Route {
        &self.route
    }

    /// How many alarms wait, also those that are only counted.
    pub(super) fn waits(&self) -> u64 {
        let waiting = u64::try_from(self.waiting.len()).unwrap_or(u64::MAX);
        self.uncounted.iter().fold(waiting, |sum, n| sum.saturating_add(*n))
    }

    /// Adds an alarm. Where it may not wait, the pause of a channel that failed is the shortest again.
    pub(super) fn add(&mut self, alarm: &Arc<Alarm>, occasion: Occasion) {
        self.put(alarm, occasion);
        if self.urgent.contains(&alarm.id) && !self.asked {
            self.not_before = self.not_before.min(self.free_at(1, FIRST_PAUSE, |_| true));
        }
    }

    /// Adds an alarm, or adds again what failed. What waits already was not told yet, and stays what it was unless this
    /// is more urgent.
    pub(super) fn put(&mut self, alarm: &Arc<Alarm>, occasion: Occasion) {
        let new = Waiting { alarm: Arc::clone(alarm), occasion };
        match self.waiting.get_mut(&alarm.id) {
            Some(old)
                if old.occasion == Occasion::Over
                    || (new.is_call(), new.urgent()) > (old.is_call(), old.urgent()) =>
            {
                *old = new;
            }
            Some(old) => old.alarm = new.alarm,
            None => drop(self.waiting.insert(alarm.id, new)),
        }
        let Some(waiting) = self.waiting.get(&alarm.id) else { return };
        if waiting.urgent() {
            self.urgent.insert(alarm.id);
        }
        let critical = waiting.alarm.priority == Priority::Critical && waiting.occasion != Occasion::Over;
        if critical || waiting.is_call() {
            self.critical.insert(alarm.id);
        }
    }

    /// Adds an alarm that will only be counted.
    pub(super) fn count(&mut self, priority: Priority) {
        if let Some(n) = self.uncounted.get_mut(rank(priority)) {
            *n = n.saturating_add(1);
        }
    }

    /// Nobody needs to be told of it any more, but for a call for support.
    pub(super) fn drop(&mut self, alarm: AlarmId) {
        self.drop_if(alarm, |waiting| !waiting.is_call());
    }

    /// Nobody needs a call for support any more.
    pub(super) fn drop_call(&mut self, alarm: AlarmId) {
        self.drop_if(alarm, Waiting::is_call);
    }

    fn drop_if(&mut self, alarm: AlarmId, gone: impl Fn(&Waiting) -> bool) {
        if self.waiting.get(&alarm).is_some_and(gone) {
            self.waiting.remove(&alarm);
            self.urgent.remove(&alarm);
            self.critical.remove(&alarm);
        }
    }

    /// Whether an alarm waits or is on its way.
    #[cfg(test)]
    pub(super) fn holds(&self, alarm: AlarmId) -> bool {
        let flying = self.flight.iter().flat_map(|load| &load.told).any(|waiting| waiting.alarm.id == alarm);
        flying || self.waiting.contains_key(&alarm)
    }

    /// Whether it failed and has its pause.
    pub(super) fn is_down(&self, now: Mono) -> bool {
        self.failures > 0 && now < self.not_before
    }

    /// When the `n`th newest of the messages that count is `span` ago.
    fn free_at(&self, n: usize, span: Duration, counts: impl Fn(bool) -> bool) -> Mono {
        let mut pushes = self.pushes.iter().rev().filter(|(_, urgent)| counts(*urgent));
        pushes.nth(n.saturating_sub(1)).map_or(Mono(0), |(at, _)| at.plus(span))
    }

    /// When the channel itself takes a message.
    fn open_at(&self) -> Mono {
        let taken = usize::try_from(self.route.rate.messages).unwrap_or(REMEMBERED).clamp(1, REMEMBERED);
        self.not_before.max(self.free_at(taken, self.route.rate.per, |_| true))
    }

    fn urgent_at(&self) -> Mono {
        let calls = |id: &AlarmId| self.waiting.get(id).is_some_and(Waiting::is_call);
        if self.urgent.iter().any(calls) {
            // They are made by hand, and few; what else is urgent goes with them.
            return self.open_at();
        }
        let gathered = self.free_at(1, GATHER, |_| true);
        self.open_at().max(self.free_at(PUSHES, MINUTE, |_| true).min(gathered))
    }

    fn calm_at(&self) -> Mono {
        self.open_at()
            .max(self.free_at(1, GATHER, |_| true))
            .max(self.free_at(PUSHES, MINUTE, |_| true))
            .max(self.free_at(CALM_PUSHES, MINUTE, |urgent| !urgent))
    }

    /// When something can go; `None` while nothing waits or a message is on its way. `quiet` says whether the channel
    /// is to be left alone.
    pub(super) fn next_at(&self, quiet: bool) -> Option<Mono> {
        if self.flight.is_some() {
            return None;
        }
        if !self.urgent.is_empty() {
            return Some(self.urgent_at());
        }
        let open = if quiet { !self.critical.is_empty() } else { self.waits() > 0 };
        open.then(|| self.calm_at())
    }

    /// What is to go now. `number` is the next that is free; whether it was used is seen in the load.
    pub(super) fn take(&mut self, now: Mono, quiet: bool, number: u64) -> Option<Load> {
        if self.next_at(quiet)? > now {
            return None;
        }
        let urgent = !self.urgent.is_empty();
        let recent = self.pushes.iter().rev().take_while(|(at, _)| at.plus(MINUTE) > now).count();
        let single = if urgent && self.urgent.len() <= PUSHES.saturating_sub(recent) {
            self.urgent.first().copied()
        } else if urgent {
            (self.waits() == 1).then(|| self.urgent.first().copied()).flatten()
        } else {
            (self.waits() == 1).then(|| self.waiting.keys().next().copied()).flatten()
        };
        let (mut told, mut uncounted) = (Vec::new(), Counts::default());
        match single {
            Some(id) => told.extend(self.waiting.remove(&id)),
            None => {
                told.extend(std::mem::take(&mut self.waiting).into_values());
                uncounted = std::mem::take(&mut self.uncounted);
            }
        }
        told.sort_by_key(|waiting| (waiting.alarm.priority, waiting.alarm.id));
        let ids: Vec<AlarmId> = told.iter().map(|waiting| waiting.alarm.id).collect();
        for id in &ids {
            self.urgent.remove(id);
            self.critical.remove(id);
        }
        let number = self.again.take().filter(|(_, before)| *before == ids).map_or(number, |(n, _)| n);
        self.pushes.push_back((now, urgent));
        if self.pushes.len() > REMEMBERED {
            self.pushes.pop_front();
        }
        let load = Load { number, told, uncounted };
        self.flight = Some(load.clone());
        Some(load)
    }

    /// What was on its way with this number has come back.
    pub(super) fn landed(&mut self, number: u64) -> Option<Load> {
        self.flight.take_if(|load| load.number == number)
    }

    /// The channel works.
    pub(super) fn worked(&mut self) {
        self.failures = 0;
        self.not_before = Mono(0);
    }

    /// The channel did not take a load now. What of it still matters has to be added again.
    pub(super) fn failed(&mut self, now: Mono, load: &Load, asked: Option<Duration>) {
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10));
        let pause = asked.unwrap_or(doubled).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.asked = asked.is_some();
        self.not_before = now.plus(pause);
        for (waiting, more) in self.uncounted.iter_mut().zip(load.uncounted) {
            *waiting = waiting.saturating_add(more);
        }
        self.again = Some((load.number, load.told.iter().map(|waiting| waiting.alarm.id).collect()));
    }
}

/// The place of a priority in [`Counts`].
pub(super) fn rank(priority: Priority) -> usize {
    Priority::ALL.iter().position(|known| *known == priority).unwrap_or_default()
}

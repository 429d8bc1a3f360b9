//! Whether it is teaching time, an examination or curfew now, for rules that must notice the bell as well as readings.

use crate::calendar::{Calendar, Times};
use crate::model::{Mono, Now};
use std::sync::Arc;
use std::time::Duration;

/// The calendar is asked again at least this often: a step of the wall clock moves the bell without a word.
pub(super) const RECHECK: Duration = Duration::from_secs(60);

/// The calendar's present answer and when to ask again.
#[derive(Debug)]
pub(super) struct Hours {
    calendar: Arc<Calendar>,
    times: Times,
    within: Option<bool>,
    /// When the answer changes, unless the wall clock is set before.
    bell: Option<Mono>,
    ask: Option<Mono>,
}

impl Hours {
    /// Of lessons and self-study.
    pub(super) fn new(calendar: Arc<Calendar>) -> Self {
        Self::of(Times::Teaching, calendar)
    }

    pub(super) fn of(times: Times, calendar: Arc<Calendar>) -> Self {
        Self { calendar, times, within: None, bell: None, ask: None }
    }

    /// Forgets the answer and asks at once.
    pub(super) fn start(&mut self, now: Now) {
        self.within = None;
        self.bell = None;
        self.ask = Some(now.mono);
    }

    /// Asks the calendar; whether the answer has changed.
    pub(super) fn look(&mut self, now: Now) -> bool {
        let within = now.wall.plausible().then(|| self.calendar.holds(self.times, now.wall));
        let changed = within != self.within;
        if changed || self.ask.is_none_or(|at| at <= now.mono) {
            let bell = self.calendar.next_change(self.times, now.wall).filter(|_| within.is_some());
            let pause = bell.and_then(|bell| u64::try_from(bell.since(now.wall)).ok());
            self.bell = pause.map(|ms| now.mono.plus(Duration::from_millis(ms)));
            let recheck = now.mono.plus(RECHECK);
            self.ask = Some(self.bell.map_or(recheck, |bell| bell.min(recheck)));
        }
        self.within = within;
        changed
    }

    /// The last answer turned round; `None` while our clock cannot be true.
    pub(super) fn outside(&self) -> Option<bool> {
        self.within.map(|within| !within)
    }

    /// The last answer; `None` while our clock cannot be true.
    pub(super) fn within(&self) -> Option<bool> {
        self.within
    }

    /// When the answer will change, as far as is known.
    pub(super) fn bell(&self) -> Option<Mono> {
        self.bell
    }

    /// When to ask again.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.ask
    }
}

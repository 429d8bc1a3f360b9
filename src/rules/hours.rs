//! Whether it is outside teaching hours now, for rules that must notice the bell as well as readings.

use crate::calendar::Calendar;
use crate::model::{Mono, Now};
use std::sync::Arc;
use std::time::Duration;

/// The calendar is asked again at least this often: a step of the wall clock moves the bell without a word.
pub(super) const RECHECK: Duration = Duration::from_secs(60);

/// The calendar's present answer and when to ask again.
#[derive(Debug)]
pub(super) struct Hours {
    calendar: Arc<Calendar>,
    outside: Option<bool>,
    ask: Option<Mono>,
}

impl Hours {
    pub(super) fn new(calendar: Arc<Calendar>) -> Self {
        Self { calendar, outside: None, ask: None }
    }

    /// Forgets the answer and asks at once.
    pub(super) fn start(&mut self, now: Now) {
        self.outside = None;
        self.ask = Some(now.mono);
    }

    /// Asks the calendar; whether the answer has changed.
    pub(super) fn look(&mut self, now: Now) -> bool {
        let outside = now.wall.plausible().then(|| !self.calendar.is_teaching_time(now.wall));
        let changed = outside != self.outside;
        if changed || self.ask.is_none_or(|at| at <= now.mono) {
            let bell = self.calendar.next_change(now.wall).filter(|_| outside.is_some());
            let pause = bell.and_then(|bell| u64::try_from(bell.since(now.wall)).ok());
            let pause = pause.map_or(RECHECK, Duration::from_millis).min(RECHECK);
            self.ask = Some(now.mono.plus(pause));
        }
        self.outside = outside;
        changed
    }

    /// The last answer; `None` while our clock cannot be true.
    pub(super) fn outside(&self) -> Option<bool> {
        self.outside
    }

    /// When to ask again.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.ask
    }
}

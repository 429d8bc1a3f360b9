//! Whether it is teaching time, an examination or curfew now, for rules that must notice the bell as well as readings.

use super::World;
use super::subject;
use crate::calendar::{Calendar, MAIN, MAX_LOOKAHEAD_DAYS, Times};
use crate::document::{Reader, one_of};
use crate::model::time::EARLIEST_TRUE_WALL;
use crate::model::{Mono, Now, PlaceId, Text};
use std::sync::Arc;
use std::time::Duration;

/// Hours are looked for so many times over the calendar's longest look ahead: 16 years.
const SEARCHED_STEPS: usize = 15;
/// And through so many bells: those of half a year.
const SEARCHED_CHANGES: usize = 1_000;

/// The calendar is asked again at least this often: a step of the wall clock moves the bell without a word.
pub(super) const RECHECK: Duration = Duration::from_secs(60);

impl World {
    /// The calendar of this name.
    #[must_use]
    pub fn calendar_named(&self, name: &str) -> Option<&Arc<Calendar>> {
        if name == MAIN { Some(&self.calendar) } else { self.calendars.get(name) }
    }

    /// The name of the calendar that holds at a place.
    #[must_use]
    pub fn calendar_at(&self, place: &PlaceId) -> &str {
        self.up(place).find_map(|place| place.calendar.as_deref()).unwrap_or(MAIN)
    }
}

/// Reads `calendar`, the name of one. Unless it is told, it is the calendar of the rule's zone or of the places of its
/// devices if these have one and the same, else the main one.
pub(super) fn calendar(reader: &Reader<'_>, world: &World) -> Arc<Calendar> {
    let told = reader.text_opt("calendar");
    let name = told.as_deref().unwrap_or_else(|| common(reader, world));
    if let Some(calendar) = world.calendar_named(name) {
        return Arc::clone(calendar);
    }
    let known: Vec<&str> = std::iter::once(MAIN).chain(world.calendars.keys().map(String::as_str)).collect();
    reader.problem(
        "calendar",
        (format!("没有名为 '{name}' 的校历"), format!("there is no calendar '{name}'")),
        one_of(name, &known),
    );
    Arc::clone(&world.calendar)
}

/// The name of the calendar that all places of a rule share.
fn common<'w>(reader: &Reader<'_>, world: &'w World) -> &'w str {
    let mut places: Vec<&PlaceId> = match reader.peek("zone").first() {
        Some(zone) => world.places.get_key_value(*zone).map(|(id, _)| id).into_iter().collect(),
        None => subject::chosen(reader, world).into_iter().map(|(_, watched)| &watched.place).collect(),
    };
    places.dedup();
    let mut names = places.into_iter().map(|place| world.calendar_at(place));
    let first = names.next().unwrap_or(MAIN);
    if names.all(|name| name == first) { first } else { MAIN }
}

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

    /// Why a condition that has to hold for `least` within these hours (or outside them) never does.
    pub(super) fn never(&self, within: bool, least: Duration) -> Option<Text> {
        let least_ms = i64::try_from(least.as_millis()).unwrap_or(i64::MAX);
        let (mut at, mut longest) = (EARLIEST_TRUE_WALL, None);
        let step = 24 * 3_600_000 * i64::try_from(MAX_LOOKAHEAD_DAYS - 10).unwrap_or(0);
        let (mut steps, mut changes) = (0, 0);
        while steps < SEARCHED_STEPS && changes < SEARCHED_CHANGES {
            let holds = self.calendar.holds(self.times, at) == within;
            let next = self.calendar.next_change(self.times, at);
            let span = next.map_or(step, |next| next.since(at));
            if holds && span >= least_ms {
                return None;
            }
            if holds {
                longest = longest.max(Some(span));
            }
            match next {
                Some(next) => (at, changes) = (next, changes + 1),
                None => (at, steps) = (at.plus_ms(step), steps + 1),
            }
        }
        let (zh, en) = match self.times {
            Times::Teaching if within => ("教学时间", "teaching time"),
            Times::Teaching => ("非教学时间", "time outside teaching"),
            Times::Exam => ("考试时间", "examination"),
            Times::Curfew => ("宿舍关门时间", "curfew"),
        };
        Some(match longest {
            None => Text::new(format!("校历里没有{zh}"), format!("there is no {en} in the calendar")),
            Some(ms) => Text::new(
                format!("{zh}最长 {} 分钟，短于规则要求的 {} 分钟", ms / 60_000, least_ms / 60_000),
                format!(
                    "the longest {en} lasts {} min, and the rule wants {} min",
                    ms / 60_000,
                    least_ms / 60_000
                ),
            ),
        })
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

#[cfg(test)]
mod tests;

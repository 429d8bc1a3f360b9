//! Which alarms rules would have raised in the stored past, beside those that were raised.

use super::past::{self, Came, Stretch, Way};
use crate::alarm::Area;
use crate::config::Config;
use crate::model::{AlarmKey, Wall};
use crate::rules::{Rule, World};
use crate::store::{Reach, Reader, StoreError};
use crate::trial::{Compared, Episode, compare};
use jiff::tz::TimeZone;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Two alarms so near to one another are the same: what was decided a moment after an arrival is judged at it here.
const WITHIN_MS: i64 = 5_000;

/// Rules that are shown a stretch of the past.
#[derive(Debug)]
pub struct Replay {
    /// Which stretch.
    pub stretch: Stretch,
    dir: PathBuf,
    rules: Vec<Box<dyn Rule>>,
    /// Those that are told of.
    shown: Vec<String>,
    world: Arc<World>,
    areas: Vec<Area>,
    zone: TimeZone,
    reach: Reach,
}

/// What came of it.
#[derive(Debug)]
pub struct Replayed {
    /// The stretch.
    pub stretch: Stretch,
    /// Up to when, if it was stopped.
    pub reached: Wall,
    /// Readings that were shown.
    pub readings: u64,
    /// From when on there was something to judge by.
    pub reach: Reach,
    /// The rules that were tried.
    pub rules: Vec<String>,
    /// What they would have raised.
    pub now: Came,
    /// What was raised.
    pub then: Came,
    /// Both side by side.
    pub compared: Compared,
}

impl Replay {
    /// The rules of a configuration, or `only` those named, on what is stored from `from` on and before `to`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(
        dir: PathBuf,
        mut config: Config,
        only: &[String],
        (from, to): (Wall, Wall),
    ) -> Result<Self, StoreError> {
        let reader = Reader::open(&dir)?;
        let asked = |rule: &str| only.is_empty() || only.iter().any(|id| id == rule);
        let ids = config.rules.iter().map(|rule| rule.id().to_string());
        let shown = ids.filter(|id| asked(id)).collect();
        // Whoever comes in by the way into an area is given time there, whatever rule says so: all have a say in it.
        if config.areas.is_empty() {
            config.rules.retain(|rule| asked(rule.id().as_str()));
        }
        Ok(Self {
            stretch: Stretch::around(&reader, from, to)?,
            dir,
            rules: config.rules,
            shown,
            world: Arc::new(config.world),
            areas: config.areas,
            zone: config.site.zone,
            reach: reader.reach()?,
        })
    }

    /// Shows it to them; blocks for as long as that takes, or until it is told to stop.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn run(self, way: &Way) -> Result<Replayed, StoreError> {
        let Self { stretch, dir, rules, shown, world, areas, zone, reach } = self;
        let asked = |rule: &str| shown.iter().any(|id| id == rule);
        let now = past::run(&dir, rules, (&world, &areas), &zone, (stretch, way))?;
        let stopped = way.stop.load(Ordering::Relaxed);
        let reached = if stopped { way.reached(stretch.begin).max(stretch.from) } else { stretch.to };
        let steps = Reader::open(&dir)?.alarm_steps(stretch.from, reached)?;
        let then = past::raised(&steps, asked);
        let upto = now.episodes.iter().filter(|e| e.from < reached && asked(e.key.rule.as_str()));
        let upto: Vec<Episode> = upto.cloned().collect();
        let compared = compare(&upto, &then.episodes, WITHIN_MS);
        let now = Came { episodes: upto, more: now.more };
        let readings = way.readings.load(Ordering::Relaxed);
        Ok(Replayed { stretch, reached, readings, reach, rules: shown, now, then, compared })
    }
}

/// A rule's subject without whom it speaks of.
#[must_use]
pub fn subject(key: &AlarmKey) -> String {
    key.subject.split('/').next().unwrap_or_default().to_owned()
}

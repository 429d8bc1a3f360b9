//! The stored past through rules: where to begin, rules side by side on the processor's cores, and how far it is.

use crate::alarm::Area;
use crate::model::{AlarmChange, Wall};
use crate::rules::{Rule, World};
use crate::store::{AlarmStep, Reader, StoreError};
use crate::trial::{Again, Begin, Episode, Episodes, Told, Wanted};
use jiff::tz::TimeZone;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;

/// The past is begun at a start of the gateway that is at most so long before, milliseconds.
const START_MS: i64 = 7 * 24 * 3_600_000;
/// Where there is none, so long before: what rules remember of the time before is there by then.
const LEAD_MS: i64 = 24 * 3_600_000;
/// Most rules side by side: the box has other things to do.
const MOST_SIDES: usize = 4;
/// How often it is told how far it is, in things told.
const LOOK: u64 = 4096;

/// A stretch of the past.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// When the rules begin to run.
    pub begin: Wall,
    /// From when on alarms count.
    pub from: Wall,
    /// Up to when.
    pub to: Wall,
}

impl Stretch {
    /// Begins early enough before `from`.
    pub fn around(reader: &Reader, from: Wall, to: Wall) -> Result<Self, StoreError> {
        let started = reader.started_before(from)?.filter(|at| from.since(*at) <= START_MS);
        Ok(Self { begin: started.unwrap_or_else(|| from.plus_ms(-LEAD_MS)), from, to })
    }
}

/// How far it is; shared by those who work and who tells.
#[derive(Debug, Default)]
pub struct Way {
    /// It is to stop.
    pub stop: AtomicBool,
    /// Readings so far.
    pub readings: AtomicU64,
    /// Where each side is, milliseconds.
    sides: [AtomicI64; MOST_SIDES],
    /// How many sides there are.
    many: AtomicU64,
}

impl Way {
    /// How far the slowest is.
    pub fn reached(&self, begin: Wall) -> Wall {
        let many = usize::try_from(self.many.load(Ordering::Relaxed)).unwrap_or(0);
        let sides = self.sides.iter().take(many).map(|side| Wall(side.load(Ordering::Relaxed)));
        sides.min().unwrap_or(begin).max(begin)
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Came {
    /// The stretches of alarms that begin within, in order of time.
    pub episodes: Vec<Episode>,
    /// Those of them that were too many to be kept.
    pub more: u64,
}

/// Shows the past to rules, some on each core.
///
/// # Errors
/// When the store cannot be read.
pub fn run(
    dir: &Path,
    rules: Vec<Box<dyn Rule>>,
    (world, areas): (&Arc<World>, &[Area]),
    zone: &TimeZone,
    (stretch, way): (Stretch, &Way),
) -> Result<Came, StoreError> {
    let sides = thread::available_parallelism().map_or(1, |n| n.get()).min(MOST_SIDES);
    let sides = share(rules, sides);
    way.many.store(u64::try_from(sides.len()).unwrap_or(0), Ordering::Relaxed);
    for side in &way.sides {
        side.store(stretch.begin.0, Ordering::Relaxed);
    }
    let all: Vec<Result<Episodes, StoreError>> = thread::scope(|scope| {
        let running: Vec<_> = sides
            .into_iter()
            .zip(&way.sides)
            .map(|(rules, at)| {
                scope.spawn(move || one_side(dir, rules, (world, areas), zone, (stretch, way, at)))
            })
            .collect();
        running.into_iter().map(|side| side.join().unwrap_or(Err(StoreError::Closed))).collect()
    });
    let mut came = Came::default();
    for episodes in all {
        let episodes = episodes?;
        came.more = came.more.saturating_add(episodes.more);
        came.episodes.extend(episodes.into_sorted());
    }
    came.episodes.sort_by(|a, b| (a.from, &a.key).cmp(&(b.from, &b.key)));
    Ok(came)
}

/// Shares rules out so that each side has about as much to do.
fn share(rules: Vec<Box<dyn Rule>>, sides: usize) -> Vec<Vec<Box<dyn Rule>>> {
    let mut sides: Vec<(usize, Vec<Box<dyn Rule>>)> = (0..sides.max(1)).map(|_| (0, Vec::new())).collect();
    let mut rules: Vec<(usize, Box<dyn Rule>)> =
        rules.into_iter().map(|rule| (rule.points().len() + rule.periods().len() + 1, rule)).collect();
    rules.sort_by_key(|(work, _)| std::cmp::Reverse(*work));
    for (work, rule) in rules {
        if let Some(side) = sides.iter_mut().min_by_key(|(sum, _)| *sum) {
            side.0 += work;
            side.1.push(rule);
        }
    }
    sides.into_iter().map(|(_, rules)| rules).filter(|rules| !rules.is_empty()).collect()
}

fn one_side(
    dir: &Path,
    rules: Vec<Box<dyn Rule>>,
    (world, areas): (&Arc<World>, &[Area]),
    zone: &TimeZone,
    (stretch, way, reached): (Stretch, &Way, &AtomicI64),
) -> Result<Episodes, StoreError> {
    let reader = Reader::open(dir)?;
    let mut episodes = Episodes::default();
    let (mut told, mut before) = (0_u64, 0);
    each(&reader, rules, (world, areas), (zone, stretch), |at, step| {
        match step {
            Step::Told(..) => {
                told += 1;
                if told.is_multiple_of(LOOK) {
                    reached.store(at.0, Ordering::Relaxed);
                }
            }
            Step::Read(count) => {
                way.readings.fetch_add(count - before, Ordering::Relaxed);
                before = count;
            }
            Step::Changed(change) if at >= stretch.from => {
                episodes.note(&change.alarm.key, change.kind, change.at);
            }
            Step::Changed(_) => {}
        }
        !way.stop.load(Ordering::Relaxed)
    })?;
    if !way.stop.load(Ordering::Relaxed) {
        reached.store(stretch.to.0, Ordering::Relaxed);
    }
    Ok(episodes)
}

/// What happens while the past is shown.
pub enum Step<'a> {
    /// The rules are shown this.
    Told(&'a Told<'a>),
    /// So many readings were shown so far; said now and then.
    Read(u64),
    /// An alarm changed.
    Changed(&'a AlarmChange),
}

/// Shows the past to rules and says what happens, until it is over or nobody wants to hear more.
///
/// # Errors
/// When the store cannot be read.
pub fn each(
    reader: &Reader,
    rules: Vec<Box<dyn Rule>>,
    (world, areas): (&Arc<World>, &[Area]),
    (zone, stretch): (&TimeZone, Stretch),
    mut each: impl FnMut(Wall, Step<'_>) -> bool,
) -> Result<(), StoreError> {
    let wanted = Wanted::of(rules.iter().map(AsRef::as_ref));
    let ids: BTreeSet<_> = rules.iter().map(|rule| rule.id().clone()).collect();
    let mut open = reader.open_at(stretch.begin)?;
    open.retain(|alarm| ids.contains(&alarm.key.rule));
    let begin = Begin { at: stretch.begin, open, armed: reader.armed_at(stretch.begin)? };
    let mut again = Again::new(begin, rules, Arc::clone(world), areas.to_vec());
    let mut past = reader.past(wanted, (stretch.begin, stretch.to), again.recalls(), zone)?;
    let (mut more, mut told) = (true, 0_u64);
    while more {
        let count = past.count;
        let Some((at, next)) = past.take_next()? else { break };
        more = each(at, Step::Told(&next));
        let mut changed = |change: &AlarmChange| more &= each(change.at, Step::Changed(change));
        again.tell(at, &next, &mut changed);
        told += 1;
        if told.is_multiple_of(LOOK) {
            more &= each(at, Step::Read(count));
        }
    }
    each(stretch.to, Step::Read(past.count));
    if more {
        again.tell(stretch.to.plus_ms(-1), &Told::Alive, &mut |change| {
            each(change.at, Step::Changed(change));
        });
    }
    Ok(())
}

/// The stretches of alarms that were raised then, of these rules.
pub fn raised(steps: &[AlarmStep], wanted: impl Fn(&str) -> bool) -> Came {
    let mut episodes = Episodes::default();
    for step in steps.iter().filter(|step| wanted(step.key.rule.as_str())) {
        episodes.note(&step.key, step.kind, step.at);
    }
    let more = episodes.more;
    Came { episodes: episodes.into_sorted(), more }
}

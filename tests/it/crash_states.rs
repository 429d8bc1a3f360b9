//! What the medium may hold after a power failure at any moment: the store opens on all of it, whole, with everything
//! that was acknowledged before.

use crate::script::{Script, Worker, memory_dir};
use crate::torture::{self, Progress};
use hil::chance::Chance;
use hil::disk::{Cut, Disk, Image, Op, Replay};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Mutex;

/// Steps of the workload: enough for the log to be copied into the file several times.
const STEPS: usize = 100;
const STATES: usize = 2_000;
const LONG_STATES: usize = 80_000;
/// So many different workloads share them: beyond, one workload shows the same states again.
const STATES_EACH: usize = 20_000;
const THREADS: usize = 2;
/// Bad states of which each thread says what is wrong.
const PROBLEMS: usize = 5;

/// What was looked at.
#[derive(Debug, Default)]
pub struct Seen {
    pub states: usize,
    /// Of them, those that are like no other.
    pub distinct: usize,
    /// Of these, those that are not as they must be.
    pub bad: usize,
    /// What is wrong with the first few.
    pub problems: Vec<String>,
}

/// Everything that happened to the files, and how many readings were dropped after each step.
pub struct Record {
    pub log: Vec<Op>,
    pub dropped: Vec<RangeInclusive<u64>>,
}

/// Everything that happens to the files while the workload runs, marked after each step that was acknowledged.
pub fn record(script: &Script) -> Record {
    let dir = memory_dir();
    let disk = Disk::new();
    let mut worker = Worker::open(dir.path(), &disk).expect("the store opens");
    let mut dropped = vec![0..=0];
    for (step, done) in script.steps.iter().zip(1..) {
        worker.step(step).expect("nothing fails here");
        disk.mark(done);
        dropped.push(worker.dropped.clone());
    }
    drop(worker);
    Record { log: disk.take_log(), dropped }
}

impl Record {
    /// Looks at `states` of them that are not `known`, spread evenly over all moments; of every `share.1`-th moment the
    /// `share.0`-th. Ends early once `enough` are bad.
    pub fn check(
        &self,
        script: &Script,
        states: usize,
        share: (usize, usize),
        known: &Known,
        enough: usize,
        mut told: impl FnMut(),
    ) -> Seen {
        let mut chance = Chance::seeded(7 + share.0 as u64);
        let mut replay = Replay::new(&self.log);
        let mut seen = Seen::default();
        let dir = memory_dir();
        let mut at = 0;
        while let Some(op) = replay.step() {
            at += 1;
            if at % share.1 != share.0 {
                continue;
            }
            let (until_here, until_last) = (at / share.1, (at / share.1).saturating_sub(1));
            let moments = self.log.len() / share.1;
            let here = until_here * states / share.1 / moments - until_last * states / share.1 / moments;
            for n in 0..here {
                let cut = match (n + at / share.1) % 8 {
                    0 => Cut::Nothing,
                    1 => Cut::Everything,
                    2 | 3 if matches!(op, Op::Write { .. }) => Cut::Torn,
                    _ => Cut::Some,
                };
                let image = replay.cut(cut, &mut chance);
                seen.states += 1;
                told();
                let marked = replay.last_mark();
                if !known.insert(&image, marked) {
                    continue;
                }
                seen.distinct += 1;
                if let Err(problem) = self.look(script, &image, marked, dir.path()) {
                    seen.bad += 1;
                    if seen.problems.len() < PROBLEMS {
                        seen.problems
                            .push(format!("op {at}, {cut:?}, {marked} steps acknowledged: {problem}"));
                    }
                    if seen.bad >= enough {
                        return seen;
                    }
                }
            }
        }
        seen
    }

    /// Steps acknowledged are there; the one under way is there as a whole or not at all.
    pub fn look(&self, script: &Script, image: &Image, marked: usize, dir: &Path) -> Result<(), String> {
        image.write_to(dir).map_err(|error| error.to_string())?;
        let after = self.dropped.get(marked + 1).unwrap_or(&self.dropped[marked]);
        script.wanted(marked, *self.dropped[marked].start()..=*after.end()).judge(dir)
    }
}

impl Seen {
    fn and(mut self, other: Self) -> Self {
        self.states += other.states;
        self.distinct += other.distinct;
        self.bad += other.bad;
        self.problems.extend(other.problems);
        self
    }
}

/// The states that were looked at.
#[derive(Default)]
pub struct Known(Mutex<HashSet<u64>>);

impl Known {
    /// Whether it is a new one.
    fn insert(&self, image: &Image, mark: usize) -> bool {
        let mut hasher = DefaultHasher::new();
        (image, mark).hash(&mut hasher);
        self.0.lock().expect("no panic").insert(hasher.finish())
    }
}

/// Two threads look at the states of one workload.
fn look_at(script: &Script, record: &Record, states: usize, known: &Known, progress: &Progress) -> Seen {
    std::thread::scope(|scope| {
        let look =
            |n| move || record.check(script, states, (n, THREADS), known, usize::MAX, || progress.one());
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(look(n))).collect();
        let seen = threads.into_iter().map(|thread| thread.join().expect("no panic"));
        seen.reduce(Seen::and).expect("a thread")
    })
}

#[test]
fn every_state_after_a_power_failure_holds_what_was_acknowledged() {
    let states = torture::scale("CRASH_STATES", STATES, LONG_STATES);
    let (progress, known, mut seen) =
        (Progress::new("crash states", states), Known::default(), Seen::default());
    for seed in (1..).take(states.div_ceil(STATES_EACH)) {
        let script = Script::new(seed, STEPS);
        let record = record(&script);
        let each = STATES_EACH.min(states - seen.states);
        seen = seen.and(look_at(&script, &record, each, &known, &progress));
        // What is tried must be in the window: files sealed, named, dropped.
        let ops = |of: fn(&Op) -> bool| record.log.iter().filter(|op| of(op)).count();
        let sealed = ops(|op| matches!(op, Op::Rename { .. }));
        let dropped = ops(|op| matches!(op, Op::Delete { name } if name.ends_with(".sgh")));
        assert!(sealed >= 10 && dropped >= 2, "seed {seed}: {sealed} files sealed, {dropped} dropped");
        println!("seed {seed}: {} ops", record.log.len());
    }
    let Seen { states, distinct, bad, problems } = seen;
    println!("{states} states, {distinct} of them distinct, {bad} bad");
    torture::crash_states(distinct, bad);
    assert_eq!(problems, [""; 0]);
    assert!(distinct * 3 > states, "too many states look the same");
}

//! What the medium may hold after a power failure at any moment: the store opens on all of it, whole, with everything
//! that was acknowledged before.

use crate::script::{Script, Worker, judge, memory_dir};
use crate::torture::{self, Progress};
use hil::chance::Chance;
use hil::disk::{Cut, Disk, Image, Op, Replay};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Steps of the workload: enough for the log to be copied into the file several times.
const STEPS: usize = 100;
const STATES: usize = 2_000;
const LONG_STATES: usize = 60_000;
const THREADS: usize = 2;

/// What was looked at.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub states: usize,
    /// Of them, those that are like no other.
    pub distinct: usize,
}

/// Everything that happens to the files while the workload runs, marked after each step that was acknowledged.
pub fn record(script: &Script) -> Vec<Op> {
    let dir = memory_dir();
    let disk = Disk::new();
    let mut worker = Worker::open(dir.path(), disk.name()).expect("the store opens");
    for (step, done) in script.steps.iter().zip(1..) {
        worker.step(step).expect("nothing fails here");
        disk.mark(done);
    }
    drop(worker);
    disk.take_log()
}

/// Looks at `states` of them, spread evenly over all moments; of every `share.1`-th moment the `share.0`-th.
pub fn check(
    script: &Script,
    log: &[Op],
    states: usize,
    share: (usize, usize),
    mut told: impl FnMut(),
) -> Result<Seen, String> {
    let mut chance = Chance::seeded(7 + share.0 as u64);
    let mut replay = Replay::new(log);
    let mut known = HashSet::new();
    let mut seen = Seen::default();
    let dir = memory_dir();
    let mut at = 0;
    while let Some(op) = replay.step() {
        at += 1;
        if at % share.1 != share.0 {
            continue;
        }
        let (until_here, until_last) = (at / share.1, (at / share.1).saturating_sub(1));
        let moments = log.len() / share.1;
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
            if known.insert(trace(&image, replay.last_mark())) {
                seen.distinct += 1;
                let marked = replay.last_mark();
                look(script, &image, marked, dir.path())
                    .map_err(|problem| format!("op {at}, {cut:?}, {marked} steps acknowledged: {problem}"))?;
            }
        }
    }
    Ok(seen)
}

/// Steps acknowledged are there; the one under way is there as a whole or not at all.
pub fn look(script: &Script, image: &Image, marked: usize, dir: &std::path::Path) -> Result<(), String> {
    image.write_to(dir).map_err(|error| error.to_string())?;
    let under_way = script.expected.get(marked + 1).unwrap_or(&script.expected[marked]);
    judge(dir, &[&script.expected[marked], under_way])
}

fn trace(image: &Image, mark: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    (image, mark).hash(&mut hasher);
    hasher.finish()
}

#[test]
fn every_state_after_a_power_failure_holds_what_was_acknowledged() {
    let states = torture::scale("CRASH_STATES", STATES, LONG_STATES);
    let script = Script::new(1, STEPS);
    let log = record(&script);
    let progress = Progress::new("crash states", states);
    let parts: Vec<Result<Seen, String>> = std::thread::scope(|scope| {
        let (script, log, progress) = (&script, &log, &progress);
        let threads: Vec<_> = (0..THREADS)
            .map(|n| scope.spawn(move || check(script, log, states, (n, THREADS), || progress.one())))
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let mut seen = Seen::default();
    let mut bad = Vec::new();
    for part in parts {
        match part {
            Ok(part) => {
                seen.states += part.states;
                seen.distinct += part.distinct;
            }
            Err(problem) => bad.push(problem),
        }
    }
    println!("{} ops, {} states, {} of them distinct", log.len(), seen.states, seen.distinct);
    assert_eq!(bad, [""; 0]);
    assert!(seen.distinct * 3 > states, "too many states look the same: {seen:?}");
    torture::crash_states(seen.distinct);
}

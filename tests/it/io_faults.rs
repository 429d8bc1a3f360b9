//! Every call that the store makes to its files fails once, and for ever: an error is told, nothing that was
//! acknowledged is lost, nothing is there by half.

use crate::crash_states::Record;
use crate::script::{Content, Script, Step, Worker, memory_dir};
use crate::torture;
use hil::chance::Chance;
use hil::disk::{Call, Cut, Disk, Fault, Op, Replay};

const STEPS: usize = 26;
/// Of the calls of a kind this many are made to fail, spread evenly; all of them in the long form.
const TRIED: u64 = 12;
/// Attempts at a step before the run is given up.
const ATTEMPTS: usize = 3;

/// What a run under a fault came to.
struct Outcome {
    /// Calls that were made to fail.
    failed: u64,
    /// Errors that the store told.
    told: u64,
    record: Record,
}

/// Runs the workload on a failing disk, each step again when it fails, and looks at what is left.
fn run(script: &Script, fault: Fault) -> Result<Outcome, String> {
    let dir = memory_dir();
    let disk = Disk::new();
    disk.fail(Some(fault));
    let mut told = 0;
    let mut dropped = vec![0..=0];
    let mut worker = None;
    'steps: for step in &script.steps {
        for attempt in 1..=ATTEMPTS {
            let done = match &mut worker {
                None => Worker::open(dir.path(), &disk).and_then(|opened| worker.insert(opened).step(step)),
                Some(worker) => worker.step(step),
            };
            match done {
                Ok(()) => break,
                Err(_) if attempt < ATTEMPTS => told += 1,
                Err(_) => {
                    told += 1;
                    break 'steps;
                }
            }
        }
        disk.mark(dropped.len());
        dropped.push(worker.as_ref().map_or(0..=0, |worker| worker.dropped.clone()));
    }
    let acknowledged = dropped.len() - 1;
    // A step that failed may all the same be there, as a whole, once the process is gone.
    let gone = worker.as_ref().map_or(0..=0, |worker| worker.dropped.clone());
    drop(worker);
    let failed = disk.failed();
    let mut wanted = script.wanted(acknowledged, gone);
    wanted.faults = true;
    wanted
        .judge(dir.path())
        .map_err(|problem| format!("{fault:?}, {acknowledged} steps acknowledged: {problem}"))?;
    Ok(Outcome { failed, told, record: Record { log: disk.take_log(), dropped } })
}

/// Cuts the power behind each of the next few steps that were acknowledged after a sync failed: the kernel does not
/// write again what it failed to write.
fn cut_after_failed_sync(script: &Script, record: &Record) -> Result<(), String> {
    let dir = memory_dir();
    let mut replay = Replay::new(&record.log);
    let mut looked = None;
    while let Some(op) = replay.step() {
        match (op, looked) {
            (Op::SyncFailed { .. }, _) => looked = Some(0),
            (Op::Mark(mark), Some(n)) if n < 3 => {
                looked = Some(n + 1);
                let image = replay.cut(Cut::Everything, &mut Chance::seeded(1));
                record
                    .look(script, &image, *mark, dir.path())
                    .map_err(|problem| format!("power cut after a failed sync, {mark} steps: {problem}"))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// A sync fails, the process ends as it is, and the next one works on: on what the system's memory holds, of which the
/// medium lacks a part. Then the power is cut.
fn next_process_after_failed_sync(script: &Script, at: u64) -> Result<(), String> {
    let (dir, disk) = (memory_dir(), Disk::new());
    disk.fail(Some(Fault { call: Call::Sync, at, for_ever: true }));
    let mut dropped = vec![0..=0];
    let mut worker = Worker::open(dir.path(), &disk).ok();
    for step in &script.steps {
        let Some(worker) = worker.as_mut() else { break };
        if worker.step(step).is_err() {
            break;
        }
        disk.mark(dropped.len());
        dropped.push(worker.dropped.clone());
    }
    let gone = worker.as_ref().map_or(0..=0, |worker| worker.dropped.clone());
    let mut log = disk.take_log();
    let mut replay = Replay::new(&log);
    while replay.step().is_some() {}
    let (second, next) = (memory_dir(), disk.next());
    let image = replay.cut(Cut::Nothing, &mut Chance::seeded(1));
    image.write_to(second.path()).map_err(|error| error.to_string())?;
    let mut worker = Worker::open(second.path(), &next).map_err(|error| error.to_string())?;
    worker.dropped = gone;
    // The step that failed is there all the same, in memory.
    let done = dropped.len() - 1;
    let unanswered = script.steps.get(done);
    if matches!(unanswered, Some(Step::Commit(_)))
        && worker.next_seq() == script.expected.get(done + 1).map(Content::next_seq)
    {
        dropped.push(worker.dropped.clone());
    }
    next.mark(dropped.len() - 1);
    for step in script.steps.iter().skip(dropped.len() - 1) {
        worker.step(step).map_err(|error| error.to_string())?;
        next.mark(dropped.len());
        dropped.push(worker.dropped.clone());
    }
    log.extend(next.take_log());
    cut_after_failed_sync(script, &Record { log, dropped })
        .map_err(|problem| format!("next process, sync {at}: {problem}"))
}

/// How many calls of each kind a run makes in which none fails.
fn calls(script: &Script) -> Vec<(Call, u64)> {
    let dir = memory_dir();
    let disk = Disk::new();
    let mut worker = Worker::open(dir.path(), &disk).expect("the store opens");
    for step in &script.steps {
        worker.step(step).expect("nothing fails here");
    }
    drop(worker);
    Call::ALL.iter().map(|call| (*call, disk.calls(*call))).collect()
}

/// Makes calls fail, `tried` of each kind, once and for ever; how many runs that were.
pub fn check(script: &Script, tried: u64) -> Result<u64, String> {
    let mut runs = 0;
    for (call, count) in calls(script) {
        let tried = tried.min(count);
        let mut told = 0;
        for n in 0..tried {
            for for_ever in [false, true] {
                let fault = Fault { call, at: n * count / tried + 1, for_ever };
                let outcome = run(script, fault)?;
                if outcome.failed == 0 {
                    return Err(format!("{fault:?}: no call failed"));
                }
                told += outcome.told;
                if call == Call::Sync {
                    cut_after_failed_sync(script, &outcome.record)
                        .map_err(|problem| format!("{fault:?}: {problem}"))?;
                    next_process_after_failed_sync(script, fault.at)?;
                }
                runs += 1;
            }
        }
        // SQLite may swallow one (it reads and copies the log later again), never all of a kind that matters.
        if told == 0 && matches!(call, Call::Open | Call::Read | Call::Write | Call::Sync) {
            return Err(format!("{call:?}: {tried} of {count} calls failed and no error was told"));
        }
    }
    Ok(runs)
}

#[test]
fn a_call_that_fails_loses_nothing_that_was_acknowledged() {
    let tried = if torture::long() { u64::MAX } else { TRIED };
    let runs = check(&Script::new(2, STEPS), tried).unwrap_or_else(|problem| panic!("{problem}"));
    torture::io_faults(runs);
    println!("{runs} runs, each with a call that failed");
}

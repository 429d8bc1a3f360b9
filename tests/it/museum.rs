//! The bug museum: every deliberate fault is noticed by the test that is there for it.

use crate::control::switching;
use crate::crash_states::{self, Known};
use crate::script::{Script, Worker, memory_dir, one_reading};
use crate::{faults, io_faults, notify, power_cut, sim, torture};
use hil::disk::Disk;
use schoolgate::model::Wall;
use schoolgate::museum::{EXHIBITS, show};
use schoolgate::store::{self, Reader, Store, StoreError};
use std::panic::catch_unwind;
use std::path::Path;

/// Which test must notice a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// States of the medium after a power failure.
    CrashStates,
    /// Calls that fail.
    Faults,
    /// The running gateway losing its power.
    PowerCuts,
    /// The simulated school.
    Simulation,
    /// A backup put in place on new hardware.
    Restore,
    /// An output that is switched, and a death after every step of it.
    Switching,
    /// A serial line whose answers come late.
    Line,
    /// What a server says to a message.
    Replies,
}

const GUARDS: &[(&str, Guard)] = &[
    ("synchronous_normal", Guard::CrashStates),
    ("synchronous_off", Guard::CrashStates),
    ("partial_commit", Guard::CrashStates),
    ("settled_in_two_commits", Guard::CrashStates),
    ("set_aside_dropped", Guard::Simulation),
    ("retry_failed_fsync", Guard::Faults),
    ("log_not_renewed", Guard::Faults),
    ("acknowledged_whatever_happens", Guard::Faults),
    ("acknowledged_before_commit", Guard::PowerCuts),
    ("ordered_by_wall_clock", Guard::Simulation),
    ("sequence_reused_after_restart", Guard::Simulation),
    ("alarm_forgotten_at_restart", Guard::Simulation),
    ("fingerprint_not_stored", Guard::Simulation),
    ("seal_before_durable", Guard::CrashStates),
    ("sealed_file_not_in_directory", Guard::CrashStates),
    ("unlinked_before_struck", Guard::CrashStates),
    ("reuse_of_sequence_after_restore", Guard::Restore),
    ("redelivery_not_recognised", Guard::Simulation),
    ("roll_up_replayed_twice", Guard::Simulation),
    ("control_trusts_the_echo", Guard::Switching),
    ("pulse_not_remembered", Guard::Switching),
    ("late_answer_not_awaited", Guard::Line),
    ("status_alone_is_believed", Guard::Replies),
    ("outbox_deleted_before_yes", Guard::Simulation),
    ("drop_on_400", Guard::Simulation),
];

/// Steps of the workload, and states of it that are looked at.
const STEPS: usize = 30;
const STATES: usize = 400;
/// Power cuts of the running gateway.
const CUTS: usize = 5;
/// Calls of each kind that fail.
const TRIED: u64 = 6;
/// Schools simulated; the first that goes wrong is enough.
const SEEDS: u64 = 30;
/// Reads of a line, a third of them answered late.
const LATE_READS: u32 = 1000;

/// A backup, work that platforms see, and the backup put in place elsewhere: no number is given a second time.
fn restore() -> Result<(), String> {
    let (dir, backup, other) = (memory_dir(), memory_dir(), memory_dir());
    let script = Script::new(5, STEPS);
    let disk = Disk::new();
    let mut worker = Worker::open(dir.path(), &disk).map_err(|error| error.to_string())?;
    for (step, done) in script.steps.iter().zip(1..) {
        worker.step(step).map_err(|error| error.to_string())?;
        if done == STEPS / 2 {
            store::backup(dir.path(), backup.path()).map_err(|error| error.to_string())?;
        }
    }
    drop(worker);
    let numbers = |dir: &Path| -> Result<(u64, u64, i64), StoreError> {
        let mut store = Store::open(dir)?;
        let remembered = store.recall(900)?;
        store.commit(&[&one_reading()])?;
        let last = Reader::open(dir)?.readings(None, None, None, 1)?.rows.first().map_or(0, |(seq, _)| *seq);
        Ok((remembered.next_seq, remembered.next_alarm, i64::try_from(last).unwrap_or(0)))
    };
    store::restore(backup.path(), other.path(), false, Wall(1_790_000_000_000))
        .map_err(|error| error.to_string())?;
    let given = numbers(dir.path()).map_err(|error| error.to_string())?;
    let next = numbers(other.path()).map_err(|error| error.to_string())?;
    if next.0 < given.0 || next.1 < given.1 || next.2 <= given.2 {
        return Err(format!("{given:?} were given, and after the restore {next:?} are the next"));
    }
    Ok(())
}

/// Runs a test in its shortest form; what it found.
fn run(guard: Guard, exhibit: Option<&str>) -> Result<(), String> {
    let outcome = catch_unwind(|| match guard {
        Guard::CrashStates => {
            let script = Script::new(3, STEPS);
            let seen =
                crash_states::record(&script).check(&script, STATES, (0, 1), &Known::default(), 1, || ());
            seen.problems.into_iter().next().map_or(Ok(()), Err)
        }
        Guard::Faults => io_faults::check(&Script::new(4, STEPS), TRIED).map(drop),
        Guard::PowerCuts => {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            match runtime.block_on(power_cut::lost(CUTS, exhibit)) {
                0 => Ok(()),
                lost => Err(format!("{lost} messages lost")),
            }
        }
        Guard::Simulation => {
            for seed in 1..=SEEDS {
                sim::play(seed);
            }
            Ok(())
        }
        Guard::Restore => restore(),
        Guard::Switching => switching::check(),
        Guard::Line => {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
            runtime.expect("a runtime").block_on(faults::late_answers(LATE_READS));
            Ok(())
        }
        Guard::Replies => notify::errors_are_no_success(),
    });
    outcome.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        Err(said.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
    })
}

#[test]
fn every_guard_is_content_with_the_product_as_it_is() {
    for guard in [
        Guard::CrashStates,
        Guard::Faults,
        Guard::PowerCuts,
        Guard::Simulation,
        Guard::Restore,
        Guard::Switching,
        Guard::Line,
        Guard::Replies,
    ] {
        assert_eq!(run(guard, None), Ok(()), "{guard:?}");
    }
}

#[test]
fn every_exhibit_is_noticed() {
    let named: Vec<&str> = GUARDS.iter().map(|(exhibit, _)| *exhibit).collect();
    assert_eq!(named, EXHIBITS, "each exhibit has its guard");
    let mut missed = Vec::new();
    for (exhibit, guard) in GUARDS {
        let shown = show(exhibit);
        match run(*guard, Some(exhibit)) {
            Err(found) => println!("{exhibit}: {guard:?} noticed: {found}"),
            Ok(()) => missed.push(*exhibit),
        }
        drop(shown);
    }
    torture::mutants(EXHIBITS.len(), missed.len());
    assert_eq!(missed, [""; 0], "nobody noticed");
}

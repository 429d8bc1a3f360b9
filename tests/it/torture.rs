//! The long form of the tests that try the store: how much of it, how far it is, and what it came to.

#[path = "../../benches/figures/figure.rs"]
mod figure;

use figure::{Figure, Goal};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Pause between two lines that say how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Whether the long form was asked for (`make torture`).
pub fn long() -> bool {
    std::env::var_os("TORTURE").is_some()
}

/// How many of something: what the environment variable says, or what the form asks for.
pub fn scale(name: &str, short: usize, full: usize) -> usize {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) if long() => full,
        Err(_) => short,
    }
}

/// Says how far it is in the long form.
pub struct Progress {
    what: &'static str,
    of: usize,
    done: AtomicUsize,
    begun: Instant,
    told: Mutex<Instant>,
}

impl Progress {
    pub fn new(what: &'static str, of: usize) -> Self {
        let now = Instant::now();
        Self { what, of, done: AtomicUsize::new(0), begun: now, told: Mutex::new(now) }
    }

    pub fn one(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if !long() {
            return;
        }
        if let Ok(mut told) = self.told.try_lock()
            && (told.elapsed() >= TELL_EVERY || done == self.of)
        {
            *told = Instant::now();
            let left = self.begun.elapsed().as_secs_f64() / done as f64 * self.of.saturating_sub(done) as f64;
            eprintln!("torture: {done} of {} {}, {left:.0} s left", self.of, self.what);
        }
    }
}

/// Prints a figure and writes it down, in the long form.
fn tell(name: &'static str, value: usize, unit: &'static str, goal: Goal, compared_to: &str) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    if long() {
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let figure = Figure::new(name, value as f64, unit, goal, compared_to.to_owned());
        println!("{}", figure.line());
        figure::add(&[figure]).expect("target/figures.json is written");
    }
}

pub fn crash_states(distinct: usize, bad: usize) {
    let how = "distinct states of the medium after a power failure at any write, cut, sync or delete of a workload of \
               100 steps; each opened, checked whole and compared with what was acknowledged";
    tell("torture.crash_states", distinct, "states", Goal::AtLeast(40_000.0), how);
    tell(
        "torture.crash_states_bad",
        bad,
        "states",
        Goal::Below(1.0),
        "of them, corrupt or without what was acknowledged",
    );
}

pub fn io_faults(runs: u64) {
    let how = "runs in which a call failed, once or for ever: an error told, nothing acknowledged lost";
    tell("torture.io_faults", usize::try_from(runs).unwrap_or(usize::MAX), "runs", Goal::Info, how);
}

pub fn power_cuts(cuts: usize, lost: i64) {
    let how = "the running gateway killed and its disk set back to what was synced, half of the time with some of the \
               rest";
    tell("torture.power_cuts", cuts, "cuts", Goal::AtLeast(1_000.0), how);
    let lost = usize::try_from(lost).unwrap_or(usize::MAX);
    tell(
        "torture.lost",
        lost,
        "messages",
        Goal::AtMost(0.0),
        "messages acknowledged to the broker before a power cut",
    );
}

#[cfg(feature = "museum")]
pub fn control(lost: i64) {
    let lost = usize::try_from(lost).unwrap_or(0);
    let how = "the same with synchronous NORMAL: a trial that does not see this one fail sees nothing";
    tell("torture.control_normal_lost", lost, "messages", Goal::AtLeast(1.0), how);
}

pub fn kills(kills: usize) {
    tell(
        "torture.kills",
        kills,
        "kills",
        Goal::AtLeast(10_000.0),
        "kill -9 of the running gateway; nothing was lost",
    );
}

#[cfg(feature = "museum")]
pub fn mutants(all: usize, missed: usize) {
    tell("torture.mutants", all, "mutants", Goal::AtLeast(10.0), "deliberate faults, one at a time");
    tell(
        "torture.mutants_missed",
        missed,
        "mutants",
        Goal::AtMost(0.0),
        "of them, those that no test noticed",
    );
}

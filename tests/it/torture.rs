//! The long form of the tests that try the store: how much of it, how far it is, and what it came to.

#[path = "../../benches/figures/figure.rs"]
mod figure;

use figure::{Figure, Goal};
use std::path::Path;
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
        self.some(1);
    }

    pub fn some(&self, more: usize) {
        let done = self.done.fetch_add(more, Ordering::Relaxed) + more;
        if !long() {
            return;
        }
        if let Ok(mut told) = self.told.try_lock()
            && (told.elapsed() >= TELL_EVERY || done >= self.of)
        {
            *told = Instant::now();
            let left = self.begun.elapsed().as_secs_f64() / done as f64 * self.of.saturating_sub(done) as f64;
            eprintln!("torture: {done} of {} {}, {left:.0} s left", self.of, self.what);
        }
    }
}

/// Prints a figure and writes it down, in the long form.
fn tell(name: &'static str, value: usize, unit: &'static str, goal: Goal, compared_to: &str) {
    tell_real(name, value as f64, unit, goal, compared_to);
}

fn tell_real(name: &'static str, value: f64, unit: &'static str, goal: Goal, compared_to: &str) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    if long() {
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let figure = Figure::new(name, value, unit, goal, compared_to.to_owned());
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
    lost("crash_states", bad);
}

pub fn io_faults(runs: u64) {
    let how = "runs in which a call failed, once or for ever: an error told, nothing acknowledged lost";
    tell("torture.io_faults", usize::try_from(runs).unwrap_or(usize::MAX), "runs", Goal::Info, how);
}

/// Adds to what was lost in all trials together: of each the last outcome counts.
fn lost(trial: &str, lost: usize) {
    if !long() {
        return;
    }
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/torture");
    let file = |trial: &str| dir.join(format!("lost.{trial}"));
    std::fs::create_dir_all(&dir)
        .and_then(|()| std::fs::write(file(trial), lost.to_string()))
        .expect("written");
    let of =
        |trial| std::fs::read_to_string(file(trial)).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let all: usize = ["crash_states", "power_cut", "kill"].into_iter().map(of).sum();
    let how = "messages acknowledged to the broker before a power cut or a kill that are not in the store, and crash \
               states without a step that was acknowledged";
    tell("torture.lost", all, "messages", Goal::AtMost(0.0), how);
}

pub fn power_cuts(cuts: usize, gone: i64) {
    let how = "the running gateway killed and its disk set back to what was synced, half of the time with some of the \
               rest";
    tell("torture.power_cuts", cuts, "cuts", Goal::AtLeast(1_000.0), how);
    lost("power_cut", usize::try_from(gone).unwrap_or(usize::MAX));
}

#[cfg(feature = "museum")]
pub fn control(lost: i64) {
    let lost = usize::try_from(lost).unwrap_or(0);
    let how = "the same with synchronous NORMAL: a trial that does not see this one fail sees nothing";
    tell("torture.control_normal_lost", lost, "messages", Goal::AtLeast(1.0), how);
}

pub fn kills(kills: usize, gone: usize) {
    let how = "kill -9 of the running gateway in the midst of its work or of its start";
    tell("torture.kills", kills, "kills", Goal::AtLeast(10_000.0), how);
    lost("kill", gone);
}

pub fn activations(made: usize) {
    let how = "calls for help through power failures, disks that refuse, steps of the clock and platforms that do not \
               answer; each is stored and is an alarm or its recurrence";
    tell("torture.activations", made, "calls", Goal::AtLeast(1_000_000.0), how);
    tell("torture.activations_missed", 0, "calls", Goal::AtMost(0.0), how);
}

pub fn sim(seeds: usize, days: f64, replayed: u64) {
    let how =
        "simulated schools over the real store: crashes, refusing disks and platforms, steps of the clock";
    tell("torture.sim_seeds", seeds, "schools", Goal::AtLeast(2_000.0), how);
    tell_real("torture.sim_days", days, "days", Goal::AtLeast(2.0), "of each of them, on average");
    let replayed = usize::try_from(replayed).unwrap_or(usize::MAX);
    let how =
        "of them, those played twice: every commit, every request and every row the same to the last bit";
    tell("torture.sim_replayed", replayed, "schools", Goal::AtLeast(1.0), how);
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

//! The store's own thread: commits and settlements that wait together become durable together, and what fails is
//! tried again in the one way that cannot lie.
//!
//! After a failed commit the system may call pages clean that are not on the medium. So nothing is tried again on the
//! same connection: the file is closed and opened anew, its tail says whether the commit is there, and if it is not,
//! the same commit is sent again from memory. A disk that is full or read-only is waited for; anything else is given
//! up after [`ATTEMPTS`], and the process ends with nothing answered.

use super::handle::REQUESTS;
use super::{Committed, Health, Room, Settlement, Store, StoreError, StoreFault};
use crate::model::{DestinationId, Now, OutboxItem, Wall};
use crate::museum;
use crate::pipeline::Commit;
use crate::runtime::{Chain, Clock, Tally};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

/// Failures in a row after which the store gives up, unless the trouble is one that passes.
const ATTEMPTS: u32 = 3;
/// Pause before the next attempt while the disk is full or read-only: it is to be in use again within 10 s.
const RETRY: Duration = Duration::from_secs(1);
/// A step of keeping order waits at most so long for a moment in which nobody waits: under a load that never pauses
/// the disk would fill up otherwise, and nothing would be sealed.
const OVERDUE: Duration = Duration::from_millis(500);
/// Longest time without a look at what there is to keep in order.
const UPKEEP: Duration = Duration::from_secs(5);
/// Steps of keeping order between two commits while the disk is filling up: more rows are given up than one commit
/// brings, in some tens of milliseconds.
const PRESSED_STEPS: u32 = 8;

pub(super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

pub(super) enum Request {
    Commit(Box<Commit>, Answer<Committed>),
    Owed(DestinationId, usize, Answer<Vec<OutboxItem>>),
    Settle(DestinationId, Settlement, Answer<()>),
    Flush(Answer<bool>),
    Rewrite(Answer<bool>),
}

/// What the thread needs of a store; tests put one here that fails.
pub(super) trait Ledger: Send + 'static {
    fn commit(&mut self, commits: &[&Commit]) -> Result<Vec<Committed>, StoreError>;
    /// Closes the file and opens it anew. Whether the last commit that was begun is in it, durable.
    fn reopen(&mut self) -> Result<bool, StoreError>;
    /// What an error really is, having asked the file system.
    fn judge(&self, error: &StoreError) -> StoreFault;
    /// Remembers that the file is damaged, so that the next start looks closely.
    fn suspect(&mut self);
    /// The disk is full: lets go of what was held in reserve; `false` when there was nothing.
    fn release(&mut self) -> bool;
    /// The disk is full: gives room inside the file back. `false` when there is nothing more to give.
    fn give_room(&mut self, now: Now, room: &mut Room) -> Result<bool, StoreError>;
    /// One small step of keeping order; whether there is more to do.
    fn upkeep(&mut self, now: Now, idle: bool, room: &mut Room) -> Result<bool, StoreError>;
    fn owed(&mut self, to: &DestinationId, limit: usize) -> Result<Vec<OutboxItem>, StoreError>;
    fn settle(&mut self, to: &DestinationId, answer: &Settlement, at: Wall) -> Result<usize, StoreError>;
    fn backlog(&self) -> Result<Vec<(DestinationId, u64)>, StoreError>;
    /// Whether keeping order cannot wait: the disk is filling up.
    fn pressed(&mut self, now: Now) -> bool;
    /// Empties the write-ahead log into the file; `false` while somebody reads in it.
    fn flush(&mut self) -> Result<bool, StoreError>;
    /// Writes the file anew; `false` where it is too large.
    fn rewrite(&mut self) -> Result<bool, StoreError>;
}

impl Ledger for Store {
    fn commit(&mut self, commits: &[&Commit]) -> Result<Vec<Committed>, StoreError> {
        Self::commit(self, commits)
    }
    fn reopen(&mut self) -> Result<bool, StoreError> {
        Self::reopen(self)
    }
    fn judge(&self, error: &StoreError) -> StoreFault {
        Self::judge(self, error)
    }
    fn suspect(&mut self) {
        Self::suspect(self);
    }
    fn release(&mut self) -> bool {
        Self::release(self)
    }
    fn give_room(&mut self, now: Now, room: &mut Room) -> Result<bool, StoreError> {
        Self::give_room(self, now, room)
    }
    fn upkeep(&mut self, now: Now, idle: bool, room: &mut Room) -> Result<bool, StoreError> {
        Self::upkeep(self, now, idle, room)
    }
    fn owed(&mut self, to: &DestinationId, limit: usize) -> Result<Vec<OutboxItem>, StoreError> {
        Self::owed(self, to, limit)
    }
    fn settle(&mut self, to: &DestinationId, answer: &Settlement, at: Wall) -> Result<usize, StoreError> {
        Self::settle(self, to, answer, at)
    }
    fn backlog(&self) -> Result<Vec<(DestinationId, u64)>, StoreError> {
        Self::backlog(self)
    }
    fn pressed(&mut self, now: Now) -> bool {
        Self::pressed(self, now)
    }
    fn flush(&mut self) -> Result<bool, StoreError> {
        Self::flush(self)
    }
    fn rewrite(&mut self) -> Result<bool, StoreError> {
        Self::rewrite(self)
    }
}

/// A commit and who waits for it.
type Waiting = (Box<Commit>, Answer<Committed>);

/// What came of an attempt.
enum Outcome {
    Done(Vec<Committed>),
    /// Not yet; again later.
    Later,
    GivenUp(StoreError),
}

pub(super) struct Worker<L> {
    ledger: L,
    clock: Arc<dyn Clock>,
    tally: Arc<Tally>,
    owed_changed: watch::Sender<u64>,
    health: watch::Sender<Health>,
    room: Room,
    /// Commits that are not durable yet; they are tried together until they are.
    pending: Vec<Waiting>,
    /// How many of them the last attempt held.
    tried: usize,
    /// The disk was full at the last attempt: room is to be made before the next.
    short: bool,
    /// Making room has not been in vain since the last pause.
    hope: bool,
    /// The connection failed and is not to be used before it was opened anew.
    distrusted: bool,
    failures: u32,
    retry_at: Option<Instant>,
    upkeep_at: Instant,
    /// Keeping order cannot wait until nobody does.
    pressed: bool,
    /// Commits counted at the last upkeep.
    commits_seen: u64,
    pub(super) retry: Duration,
}

impl<L: Ledger> Worker<L> {
    pub(super) fn new(
        ledger: L,
        clock: Arc<dyn Clock>,
        tally: Arc<Tally>,
        owed_changed: watch::Sender<u64>,
        health: watch::Sender<Health>,
    ) -> Self {
        Self {
            ledger,
            clock,
            tally,
            owed_changed,
            health,
            room: Room::default(),
            pending: Vec::new(),
            tried: 0,
            short: false,
            hope: true,
            distrusted: false,
            failures: 0,
            retry_at: None,
            // At once: the first is to hold something in reserve.
            upkeep_at: Instant::now(),
            pressed: false,
            commits_seen: 0,
            retry: RETRY,
        }
    }

    pub(super) fn run(mut self, waiter: &tokio::runtime::Runtime, mut inbox: mpsc::Receiver<Request>) {
        self.count_backlog();
        loop {
            let until = self.retry_at.unwrap_or(self.upkeep_at).min(self.upkeep_at);
            let wait = until.saturating_duration_since(Instant::now());
            let first = waiter.block_on(async { timeout(wait, inbox.recv()).await });
            match first {
                Ok(None) => break,
                Ok(Some(first)) => {
                    let mut waiting = vec![first];
                    while waiting.len() < REQUESTS
                        && let Ok(next) = inbox.try_recv()
                    {
                        waiting.push(next);
                    }
                    self.serve(waiting);
                }
                Err(_) => {}
            }
            if self.retry_at.is_some_and(|at| at <= Instant::now()) {
                self.push();
            }
            let now = Instant::now();
            if self.pressed {
                (0..PRESSED_STEPS).take_while(|_| self.upkeep()).for_each(drop);
                self.pressed = false;
            } else if self.upkeep_at <= now && (inbox.is_empty() || self.upkeep_at + OVERDUE <= now) {
                self.upkeep();
            }
        }
        // Whoever waits for these was cut off; they were never answered.
        for (_, answer) in self.pending.drain(..) {
            tell(answer, Err(StoreError::Closed));
        }
    }

    fn serve(&mut self, waiting: Vec<Request>) {
        let mut rest = Vec::new();
        let mut fresh = false;
        for request in waiting {
            match request {
                Request::Commit(commit, answer) => {
                    self.pending.push((commit, answer));
                    fresh = true;
                }
                other => rest.push(other),
            }
        }
        if fresh && self.retry_at.is_none() {
            self.push();
        }
        for request in rest {
            match request {
                Request::Commit(..) => {}
                Request::Owed(to, limit, answer) => tell(answer, self.ledger.owed(&to, limit)),
                Request::Flush(answer) => tell(answer, self.at_rest(L::flush)),
                Request::Rewrite(answer) => tell(answer, self.at_rest(L::rewrite)),
                Request::Settle(to, settlement, answer) => {
                    let settled = self.settle(&to, &settlement);
                    tell(
                        answer,
                        settled.map(|rows| {
                            let backlog = self.tally.backlog.of(&to);
                            backlog
                                .set(backlog.get().saturating_sub(u64::try_from(rows).unwrap_or(u64::MAX)));
                        }),
                    );
                }
            }
        }
    }

    /// Does something to the whole file, unless a commit that failed is tried again first.
    fn at_rest<T>(&mut self, work: impl FnOnce(&mut L) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.distrusted || !self.pending.is_empty() {
            return Err(StoreError::Waiting);
        }
        work(&mut self.ledger)
    }

    /// A settlement that fails leaves its rows, and they are sent again under the same uid: it is not tried again here.
    fn settle(&mut self, to: &DestinationId, settlement: &Settlement) -> Result<usize, StoreError> {
        if !self.pending.is_empty() {
            return Err(StoreError::Waiting);
        }
        if self.distrusted {
            self.ledger.reopen()?;
            self.distrusted = false;
        }
        let outcome = self.ledger.settle(to, settlement, self.clock.now().wall);
        if outcome.is_err() {
            self.distrusted = true;
        }
        outcome
    }

    /// Tries to make durable what is pending.
    fn push(&mut self) {
        self.retry_at = None;
        if self.pending.is_empty() {
            return;
        }
        self.hope = true;
        let started = Instant::now();
        let outcome = loop {
            match self.attempt() {
                Ok(done) => break Outcome::Done(done),
                Err(error) => match self.failed(error) {
                    Some(outcome) => break outcome,
                    None => continue,
                },
            }
        };
        match outcome {
            Outcome::Done(done) => self.done(started, done),
            Outcome::Later => self.retry_at = Some(Instant::now() + self.retry),
            Outcome::GivenUp(error) => {
                // One cause, told to the first; the others learn that nothing of theirs is stored.
                let mut answers = self.pending.drain(..).map(|(_, answer)| answer);
                if let Some(first) = answers.next() {
                    tell(first, Err(error));
                }
                answers.for_each(|answer| tell(answer, Err(StoreError::Closed)));
            }
        }
    }

    fn attempt(&mut self) -> Result<Vec<Committed>, StoreError> {
        if self.short && self.ledger.release() {
            (self.short, self.hope) = (false, true);
        }
        if self.distrusted {
            let stored = self.ledger.reopen()?;
            self.distrusted = false;
            if stored {
                tracing::info!("the commit that failed is on the medium after all");
                self.answer(std::iter::repeat_n(Committed::default(), self.tried));
            }
            self.tried = 0;
        }
        if std::mem::take(&mut self.short) {
            self.hope = self.made_room();
        }
        if self.pending.is_empty() {
            return Ok(Vec::new());
        }
        if museum::on("acknowledged_before_commit") {
            return self.answer_first();
        }
        let all: Vec<&Commit> = self.pending.iter().map(|(commit, _)| commit.as_ref()).collect();
        self.tried = all.len();
        self.ledger.commit(&all)
    }

    /// As the museum has it, with a medium slow enough for a power failure to come between.
    #[expect(clippy::disallowed_methods, reason = "this is the store's own thread, and no release does this")]
    fn answer_first(&mut self) -> Result<Vec<Committed>, StoreError> {
        let (commits, answers): (Vec<_>, Vec<_>) = self.pending.drain(..).unzip();
        answers.into_iter().for_each(|answer| tell(answer, Ok(Committed::default())));
        std::thread::sleep(Duration::from_millis(50));
        self.ledger.commit(&commits.iter().map(AsRef::as_ref).collect::<Vec<_>>())
    }

    /// Judges a failure; `None` means to try again at once.
    fn failed(&mut self, error: StoreError) -> Option<Outcome> {
        self.distrusted = true;
        self.failures += 1;
        let fault = self.ledger.judge(&error);
        self.tally.commit_failures.of(&fault.as_str()).one();
        let news = self.health.borrow().fault != Some(fault);
        if news {
            tracing::error!(
                fault = fault.as_str(), error = %Chain(&error), failures = self.failures,
                "a commit failed; nothing of it is answered, and it is tried again on a new connection"
            );
        }
        if fault == StoreFault::Full {
            self.short = true;
            // Once, unless room is made.
            if std::mem::take(&mut self.hope) {
                return None;
            }
        }
        if fault.passes() {
            self.failures = self.failures.min(1);
            self.tell_health(|health| health.fault = Some(fault));
            return Some(Outcome::Later);
        }
        if self.failures < ATTEMPTS {
            return None;
        }
        tracing::error!(error = %Chain(&error), attempts = ATTEMPTS, "the store gives up; the process ends");
        if fault == StoreFault::Corrupt {
            self.ledger.suspect();
        }
        Some(Outcome::GivenUp(error))
    }

    /// Whether room was made, so that it is worth trying again at once.
    fn made_room(&mut self) -> bool {
        let made = self.ledger.give_room(self.clock.now(), &mut self.room);
        self.tell_room();
        made.unwrap_or_else(|error| {
            tracing::debug!(error = %Chain(&error), "no room could be made");
            false
        })
    }

    fn done(&mut self, started: Instant, done: Vec<Committed>) {
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.tally.commits.one();
        self.tally.commit_micros_sum.add(micros);
        self.tally.commit_micros_max.set(self.tally.commit_micros_max.get().max(micros));
        self.failures = 0;
        if self.health.borrow().fault.is_some() {
            tracing::info!("the store works again; everything that waited is on disk");
            self.tell_health(|health| health.fault = None);
        }
        self.answer(done.into_iter());
        self.pressed = self.ledger.pressed(self.clock.now());
    }

    /// Tells as many of those that wait as there are answers, the oldest first, that theirs is durable.
    fn answer(&mut self, answers: impl ExactSizeIterator<Item = Committed>) {
        let count = answers.len().min(self.pending.len());
        let mut owes = false;
        for ((commit, answer), committed) in self.pending.drain(..count).zip(answers) {
            tell(answer, Ok(committed));
            for item in &commit.outbox {
                self.tally.backlog.of(&item.destination).one();
                owes = true;
            }
        }
        if owes {
            self.owed_changed.send_modify(|n| *n += 1);
        }
    }

    /// One step of keeping order; whether there is more to do.
    fn upkeep(&mut self) -> bool {
        let commits = self.tally.commits.get();
        let idle = commits == std::mem::replace(&mut self.commits_seen, commits);
        let more = if self.distrusted {
            // Only an attempt opens the file anew.
            false
        } else {
            self.ledger.upkeep(self.clock.now(), idle, &mut self.room).unwrap_or_else(|error| {
                // What follows a transaction that could not be synced would be lost with it.
                self.distrusted = true;
                tracing::warn!(error = %Chain(&error), "the store could not be kept in order; trying again later");
                // Never on the same connection, whatever it was that the medium did not take.
                self.distrusted |= matches!(error, StoreError::Sqlite { .. });
                false
            })
        };
        self.tell_room();
        self.upkeep_at = Instant::now() + if more { Duration::ZERO } else { UPKEEP };
        more
    }

    fn tell_room(&mut self) {
        for (reason, rows) in self.room.take_dropped() {
            self.tally.dropped.of(&reason).add(rows);
        }
        self.tally.store_bytes.set(self.room.used);
        self.tally.store_budget_bytes.set(self.room.budget);
        let sacrificing = self.room.sacrificing;
        self.tell_health(|health| health.sacrificing = sacrificing);
    }

    fn tell_health(&self, change: impl FnOnce(&mut Health)) {
        self.health.send_if_modified(|health| {
            let before = health.clone();
            change(health);
            *health != before
        });
    }

    /// Once, at the start; from then on what comes and goes is added and taken off.
    fn count_backlog(&self) {
        match self.ledger.backlog() {
            Ok(backlog) => {
                for (destination, rows) in backlog {
                    self.tally.backlog.of(&destination).set(rows);
                }
            }
            Err(error) => tracing::warn!(
                error = %Chain(&error),
                "the backlog could not be counted; its metric is out of date"
            ),
        }
    }
}

/// An answer nobody waits for any more is dropped: the asker was cut off, the work is done all the same.
fn tell<T>(answer: Answer<T>, outcome: Result<T, StoreError>) {
    if answer.send(outcome).is_err() {
        tracing::debug!("nobody waits for this answer of the store any more");
    }
}

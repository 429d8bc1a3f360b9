//! The store's own thread: commits and settlements that wait together become durable together.

use super::{Committed, Settlement, Store, StoreError};
use crate::model::{DestinationId, OutboxItem, Wall};
use crate::pipeline::Commit;
use crate::runtime::{Clock, Tally};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot, watch};

/// Requests waiting for the thread; a full queue makes the sender wait.
const REQUESTS: usize = 64;

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

enum Request {
    Commit(Box<Commit>, Answer<Committed>),
    Owed(DestinationId, usize, Answer<Vec<OutboxItem>>),
    Settle(DestinationId, Settlement, Answer<()>),
    Prune(Wall, u32, Answer<usize>),
}

/// The store, from any task. The last handle closes it.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    owed: watch::Receiver<u64>,
}

/// A commit that the store has, but has not made durable yet.
#[derive(Debug)]
pub struct PendingCommit(oneshot::Receiver<Result<Committed, StoreError>>);

impl PendingCommit {
    /// Waits until it is durable. May be dropped and called again until it has answered.
    ///
    /// # Errors
    /// When SQLite refuses; nothing of it is stored then.
    pub async fn durable(&mut self) -> Result<Committed, StoreError> {
        (&mut self.0).await.map_err(|_| StoreError::Closed)?
    }
}

/// Moves a store to its own thread. Joining the thread waits until the last handle is gone and the file closed.
///
/// # Errors
/// When the system gives no thread.
pub fn open(
    store: Store,
    clock: Arc<dyn Clock>,
    tally: Arc<Tally>,
) -> Result<(Handle, JoinHandle<()>), StoreError> {
    let (requests, inbox) = mpsc::channel(REQUESTS);
    let (owed_changed, owed) = watch::channel(0);
    let path = store.path().to_owned();
    let thread = std::thread::Builder::new()
        .name("store".into())
        .spawn(move || Worker { store, clock, tally, owed_changed }.run(inbox))
        .map_err(|cause| StoreError::File { path, doing: "starting the store's thread", cause })?;
    Ok((Handle { requests, owed }, thread))
}

struct Worker {
    store: Store,
    clock: Arc<dyn Clock>,
    tally: Arc<Tally>,
    owed_changed: watch::Sender<u64>,
}

impl Worker {
    fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        self.count_backlog();
        while let Some(first) = inbox.blocking_recv() {
            let mut waiting = vec![first];
            while waiting.len() < REQUESTS
                && let Ok(next) = inbox.try_recv()
            {
                waiting.push(next);
            }
            self.serve(waiting);
        }
    }

    fn serve(&mut self, waiting: Vec<Request>) {
        let mut commits = Vec::new();
        let mut rest = Vec::new();
        for request in waiting {
            match request {
                Request::Commit(commit, answer) => commits.push((commit, answer)),
                other => rest.push(other),
            }
        }
        if !commits.is_empty() {
            self.commit(commits);
        }
        for request in rest {
            match request {
                Request::Commit(..) => {}
                Request::Owed(to, limit, answer) => tell(answer, self.store.owed(&to, limit)),
                Request::Settle(to, settlement, answer) => {
                    let settled = self.store.settle(&to, &settlement, self.clock.now().wall);
                    tell(
                        answer,
                        settled.map(|rows| {
                            let backlog = self.tally.backlog.of(&to);
                            backlog
                                .set(backlog.get().saturating_sub(u64::try_from(rows).unwrap_or(u64::MAX)));
                        }),
                    );
                }
                Request::Prune(before, limit, answer) => {
                    tell(answer, self.store.prune_readings(before, self.clock.now().wall, limit));
                }
            }
        }
    }

    fn commit(&mut self, commits: Vec<(Box<Commit>, Answer<Committed>)>) {
        let started = tokio::time::Instant::now();
        let all: Vec<&Commit> = commits.iter().map(|(commit, _)| commit.as_ref()).collect();
        let owed = count_owed(&all);
        let outcome = self.store.commit(&all);
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        match outcome {
            Ok(done) => {
                self.tally.commits.one();
                self.tally.commit_micros_sum.add(micros);
                self.tally.commit_micros_max.set(self.tally.commit_micros_max.get().max(micros));
                for ((_, answer), committed) in commits.into_iter().zip(done) {
                    tell(answer, Ok(committed));
                }
                if !owed.is_empty() {
                    for (destination, more) in owed {
                        self.tally.backlog.of(&destination).add(more);
                    }
                    self.owed_changed.send_modify(|n| *n += 1);
                }
            }
            Err(error) => {
                // One cause, told to the first; the others learn that nothing of theirs is stored.
                let mut answers = commits.into_iter().map(|(_, answer)| answer);
                if let Some(first) = answers.next() {
                    tell(first, Err(error));
                }
                answers.for_each(|answer| tell(answer, Err(StoreError::Closed)));
            }
        }
    }

    /// Once, at the start; from then on what comes and goes is added and taken off.
    fn count_backlog(&self) {
        match self.store.backlog() {
            Ok(backlog) => {
                for (destination, rows) in backlog {
                    self.tally.backlog.of(&destination).set(rows);
                }
            }
            Err(error) => tracing::warn!(
                error = %crate::runtime::Chain(&error),
                "the backlog could not be counted; its metric is out of date"
            ),
        }
    }
}

fn count_owed(commits: &[&Commit]) -> BTreeMap<DestinationId, u64> {
    let mut owed = BTreeMap::new();
    for item in commits.iter().flat_map(|commit| &commit.outbox) {
        *owed.entry(item.destination.clone()).or_insert(0) += 1;
    }
    owed
}

/// An answer nobody waits for any more is dropped: the asker was cut off, the work is done all the same.
fn tell<T>(answer: Answer<T>, outcome: Result<T, StoreError>) {
    if answer.send(outcome).is_err() {
        tracing::debug!("nobody waits for this answer of the store any more");
    }
}

impl Handle {
    async fn ask<T>(&self, make: impl FnOnce(Answer<T>) -> Request) -> Result<T, StoreError> {
        let (answer, reply) = oneshot::channel();
        self.requests.send(make(answer)).await.map_err(|_| StoreError::Closed)?;
        reply.await.map_err(|_| StoreError::Closed)?
    }

    /// Makes a commit durable.
    ///
    /// # Errors
    /// When SQLite refuses; nothing of it is stored then.
    pub async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.begin_commit(commit).await?.durable().await
    }

    /// Gives a commit to the store without waiting until it is durable. Commits become durable in the order in which
    /// they were given, those that wait at the same time in one transaction.
    ///
    /// # Errors
    /// When the store is closed.
    pub async fn begin_commit(&self, commit: Commit) -> Result<PendingCommit, StoreError> {
        let (answer, reply) = oneshot::channel();
        self.requests
            .send(Request::Commit(Box::new(commit), answer))
            .await
            .map_err(|_| StoreError::Closed)?;
        Ok(PendingCommit(reply))
    }

    /// The next records owed to a destination, alarms first, then by number; at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be read or the store is closed.
    pub async fn owed(&self, to: &DestinationId, limit: usize) -> Result<Vec<OutboxItem>, StoreError> {
        self.ask(|answer| Request::Owed(to.clone(), limit, answer)).await
    }

    /// Makes a platform's answer durable.
    ///
    /// # Errors
    /// When the database cannot be written or the store is closed.
    pub async fn settle(&self, to: &DestinationId, answer: Settlement) -> Result<(), StoreError> {
        self.ask(|reply| Request::Settle(to.clone(), answer, reply)).await
    }

    /// Deletes the oldest readings that arrived before `before`, at most `limit`; returns how many.
    ///
    /// # Errors
    /// When the database cannot be written or the store is closed.
    pub async fn prune_readings(&self, before: Wall, limit: u32) -> Result<usize, StoreError> {
        self.ask(|answer| Request::Prune(before, limit, answer)).await
    }

    /// Changes whenever a commit adds records to the outbox.
    #[must_use]
    pub fn owed_changed(&self) -> watch::Receiver<u64> {
        self.owed.clone()
    }
}

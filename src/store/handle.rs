//! The store, from any task; what it asks is done on the store's own thread (`worker.rs`).

use super::worker::{Answer, Ledger, Request, Worker};
use super::{Committed, Health, Settlement, Store, StoreError};
use crate::model::{DestinationId, OutboxItem};
use crate::pipeline::Commit;
use crate::runtime::{Clock, Tally};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot, watch};

/// Requests waiting for the thread; a full queue makes the sender wait.
pub(super) const REQUESTS: usize = 64;

/// The store, from any task. The last handle closes it.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    owed: watch::Receiver<u64>,
    health: watch::Receiver<Health>,
}

/// A commit that the store has, but has not made durable yet.
#[derive(Debug)]
pub struct PendingCommit(oneshot::Receiver<Result<Committed, StoreError>>);

impl PendingCommit {
    /// Waits until it is durable, also while the disk is full or read-only; [`Handle::health`] says so then. May be
    /// dropped and called again until it has answered.
    ///
    /// # Errors
    /// When the store gives up: nothing of it may be answered, and the process has to end.
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
    let path = store.path().to_owned();
    let health = Health { rescued: store.rescued().cloned(), ..Health::default() };
    start(store, health, clock, tally).map_err(|cause| StoreError::File {
        path,
        doing: "starting the store's thread",
        cause,
    })
}

/// Starts the thread over anything that keeps books as a store does.
pub(super) fn start(
    ledger: impl Ledger,
    health: Health,
    clock: Arc<dyn Clock>,
    tally: Arc<Tally>,
) -> std::io::Result<(Handle, JoinHandle<()>)> {
    let (requests, inbox) = mpsc::channel(REQUESTS);
    let (owed_changed, owed) = watch::channel(0);
    let (health_changed, health) = watch::channel(health);
    // The thread's own: it only waits for requests, at most for a while.
    let waiter = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let worker = Worker::new(ledger, clock, tally, owed_changed, health_changed);
    let thread =
        std::thread::Builder::new().name("store".into()).spawn(move || worker.run(&waiter, inbox))?;
    Ok((Handle { requests, owed, health }, thread))
}

impl Handle {
    async fn ask<T>(&self, make: impl FnOnce(Answer<T>) -> Request) -> Result<T, StoreError> {
        ask(&self.requests, make).await
    }

    /// Makes a commit durable. While the disk is full or read-only this waits; [`Handle::health`] says so.
    ///
    /// # Errors
    /// When the store gives up: nothing of it may be answered, and the process has to end.
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

    /// Makes a platform's answer durable. Doing it again changes nothing.
    ///
    /// # Errors
    /// When the database cannot be written or the store is closed.
    pub async fn settle(&self, to: &DestinationId, answer: Settlement) -> Result<(), StoreError> {
        self.ask(|reply| Request::Settle(to.clone(), answer, reply)).await
    }

    /// A way to the store that does not hold it open.
    #[must_use]
    pub fn weak(&self) -> WeakHandle {
        WeakHandle(self.requests.downgrade())
    }

    /// Changes whenever a commit adds records to the outbox.
    #[must_use]
    pub fn owed_changed(&self) -> watch::Receiver<u64> {
        self.owed.clone()
    }

    /// How the store is.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }
}

/// A way to the store for what may outlive it, such as a connection to the API: the store closes all the same.
#[derive(Debug, Clone)]
pub struct WeakHandle(mpsc::WeakSender<Request>);

impl WeakHandle {
    /// Empties the write-ahead log into the file; `false` while somebody reads in it.
    ///
    /// # Errors
    /// When the disk refuses, a commit that failed is tried again first, or the store is closed.
    pub async fn flush(&self) -> Result<bool, StoreError> {
        self.ask(Request::Flush).await
    }

    /// Writes the file anew, so that nothing lies between its rows; `false` where it is too large for that.
    ///
    /// # Errors
    /// As [`WeakHandle::flush`].
    pub async fn rewrite(&self) -> Result<bool, StoreError> {
        self.ask(Request::Rewrite).await
    }

    async fn ask<T>(&self, make: impl FnOnce(Answer<T>) -> Request) -> Result<T, StoreError> {
        let requests = self.0.upgrade().ok_or(StoreError::Closed)?;
        ask(&requests, make).await
    }
}

async fn ask<T>(
    requests: &mpsc::Sender<Request>,
    make: impl FnOnce(Answer<T>) -> Request,
) -> Result<T, StoreError> {
    let (answer, reply) = oneshot::channel();
    requests.send(make(answer)).await.map_err(|_| StoreError::Closed)?;
    reply.await.map_err(|_| StoreError::Closed)?
}

#[cfg(test)]
mod tests;

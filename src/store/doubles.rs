//! Books that fail and stall as a test tells them, behind a real handle and thread.

use super::handle::start;
use super::worker::Ledger;
use super::{Committed, Handle, Health, Room, Settlement, StoreError, StoreFault};
use crate::model::{DestinationId, Now, OutboxItem, Wall};
use crate::pipeline::Commit;
use crate::runtime::{SystemClock, Tally};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use tokio::sync::watch;

/// How one call of `commit` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Durable.
    Good,
    /// It fails, and nothing of it is stored.
    Fails(StoreFault),
    /// It fails although it is stored: the answer of the medium was lost.
    Lies(StoreFault),
}

/// What is on the double's medium, and what will happen.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// What becomes of the next commits; when it is over, all is good.
    pub(crate) fates: VecDeque<Fate>,
    /// What becomes of the next times it is opened anew.
    pub(crate) reopenings: VecDeque<StoreFault>,
    /// What is durable, in order.
    pub(crate) stored: Vec<Commit>,
    /// Times it was opened anew.
    pub(crate) reopened: u32,
    /// Times that room can still be made.
    pub(crate) room: u32,
    /// It was told that the file is suspect.
    pub(crate) suspected: bool,
    /// The last commit failed, and was (or was not) stored.
    unsure: Option<bool>,
}

/// A script that a test shares with the thread.
#[derive(Debug, Clone)]
pub(crate) struct Medium {
    script: Arc<Mutex<Script>>,
    /// While it is false, commits do not return.
    flowing: watch::Sender<bool>,
}

impl Medium {
    pub(crate) fn new(fates: &[Fate]) -> Self {
        let script = Script { fates: fates.iter().copied().collect(), ..Script::default() };
        Self { script: Arc::new(Mutex::new(script)), flowing: watch::channel(true).0 }
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// Commits that are under way, and later ones, do not return until it flows again.
    pub(crate) fn stall(&self, stalls: bool) {
        self.flowing.send_replace(!stalls);
    }

    pub(crate) fn open(&self, tally: &Arc<Tally>) -> (Handle, JoinHandle<()>) {
        start(self.clone(), Health::default(), Arc::new(SystemClock::new()), Arc::clone(tally)).unwrap()
    }
}

fn error(fault: StoreFault) -> StoreError {
    let code = match fault {
        StoreFault::Full => rusqlite::ffi::SQLITE_FULL,
        StoreFault::ReadOnly => rusqlite::ffi::SQLITE_READONLY,
        StoreFault::Io => rusqlite::ffi::SQLITE_IOERR_FSYNC,
        StoreFault::Corrupt => rusqlite::ffi::SQLITE_CORRUPT,
        StoreFault::Busy => rusqlite::ffi::SQLITE_BUSY,
        StoreFault::Other => rusqlite::ffi::SQLITE_CONSTRAINT,
    };
    let cause = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
    StoreError::Sqlite { doing: "committing", cause }
}

impl Ledger for Medium {
    fn commit(&mut self, commits: &[&Commit]) -> Result<Vec<Committed>, StoreError> {
        let mut flowing = self.flowing.subscribe();
        let waiter = tokio::runtime::Builder::new_current_thread().build().unwrap();
        waiter.block_on(flowing.wait_for(|flowing| *flowing)).unwrap();
        let mut script = self.script();
        assert_eq!(script.unsure, None, "a commit on a connection that had failed");
        let fate = script.fates.pop_front().unwrap_or(Fate::Good);
        if !matches!(fate, Fate::Fails(_)) {
            script.stored.extend(commits.iter().map(|commit| (*commit).clone()));
        }
        match fate {
            Fate::Good => Ok(vec![Committed::default(); commits.len()]),
            Fate::Fails(fault) | Fate::Lies(fault) => {
                script.unsure = Some(matches!(fate, Fate::Lies(_)));
                Err(error(fault))
            }
        }
    }

    fn reopen(&mut self) -> Result<bool, StoreError> {
        let mut script = self.script();
        script.reopened += 1;
        match script.reopenings.pop_front() {
            Some(fault) => Err(error(fault)),
            None => Ok(script.unsure.take().unwrap_or(false)),
        }
    }

    fn judge(&self, error: &StoreError) -> StoreFault {
        error.fault()
    }

    fn suspect(&mut self) {
        self.script().suspected = true;
    }

    fn release(&mut self) -> bool {
        false
    }

    fn give_room(&mut self, _: Now, _: &mut Room) -> Result<bool, StoreError> {
        let mut script = self.script();
        assert_eq!(script.unsure, None, "room is made on a connection that had failed");
        script.room = script.room.saturating_sub(1);
        Ok(script.room > 0)
    }

    fn upkeep(&mut self, _: Now, _: bool, _: &mut Room) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn owed(&mut self, _: &DestinationId, _: usize) -> Result<Vec<OutboxItem>, StoreError> {
        Ok(Vec::new())
    }

    fn settle(&mut self, _: &DestinationId, _: &Settlement, _: Wall) -> Result<usize, StoreError> {
        Ok(0)
    }

    fn backlog(&self) -> Result<Vec<(DestinationId, u64)>, StoreError> {
        Ok(Vec::new())
    }

    fn pressed(&mut self, _: Now) -> bool {
        false
    }

    fn flush(&mut self) -> Result<bool, StoreError> {
        Ok(true)
    }

    fn rewrite(&mut self) -> Result<bool, StoreError> {
        Ok(true)
    }
}

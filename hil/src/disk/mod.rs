//! A disk under SQLite that remembers what it was told, forgets what was not synced, and fails when asked to.
//!
//! [`Disk`] is a file system of SQLite's ("VFS") laid over the usual one: every file stays where it is, locks and
//! shared memory work as ever, and readers may open the same database in the ordinary way. [`Files`] does the same for
//! files that SQLite does not write, in the same record. [`Replay`] turns the record into what a medium could hold after the power failed.

mod files;
mod replay;
#[cfg(test)]
mod tests;
mod vfs;

pub use files::Files;
pub use replay::{Cut, Image, Replay, SECTOR};

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One thing that happened to the files, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// A file was made under a name.
    Create {
        /// Its number: a name may be used again, a number never.
        file: u64,
        /// Its name from the root on.
        name: String,
    },
    /// Bytes were written.
    Write {
        /// To which file.
        file: u64,
        /// Where.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// A file was cut, or made longer with zeros.
    Truncate {
        /// Which.
        file: u64,
        /// Its length afterwards.
        len: u64,
    },
    /// What was written to a file is on the medium.
    Sync {
        /// Which.
        file: u64,
    },
    /// A sync failed: what was written since the one before it may never reach the medium.
    SyncFailed {
        /// Of which file.
        file: u64,
    },
    /// A name is gone.
    Delete {
        /// Which.
        name: String,
    },
    /// A file has another name, in place of what had it.
    Rename {
        /// Its name before.
        from: String,
        /// Its name now.
        to: String,
    },
    /// A directory was made.
    MakeDir {
        /// Its name.
        name: String,
    },
    /// Names made, changed and gone in a directory are on the medium.
    SyncDir {
        /// Its name; the root's is empty.
        dir: String,
    },
    /// Whoever uses the disk says that something happened, see [`Disk::mark`].
    Mark(usize),
}

/// A call that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// Opening or making a file or a directory.
    Open,
    /// Reading.
    Read,
    /// Writing; the first half of the bytes is written all the same.
    Write,
    /// Making durable.
    Sync,
    /// Cutting a file.
    Truncate,
    /// Deleting one.
    Delete,
    /// Giving one another name.
    Rename,
}

impl Call {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::Open, Self::Read, Self::Write, Self::Sync, Self::Truncate, Self::Delete, Self::Rename];
}

/// Which calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What kind of call.
    pub call: Call,
    /// The how-manieth of this kind, from 1.
    pub at: u64,
    /// Every later one of this kind fails, too.
    pub for_ever: bool,
}

#[derive(Debug, Default)]
struct State {
    log: Vec<Op>,
    /// Nothing is recorded.
    deaf: bool,
    /// Files that exist, by name.
    names: BTreeMap<String, u64>,
    files: u64,
    calls: BTreeMap<Call, u64>,
    fault: Option<Fault>,
    failed: u64,
    /// Files made, whose directory is synced together with their first sync.
    dir_dirty: BTreeSet<u64>,
}

/// What the file system and its owner share.
#[derive(Debug, Default)]
struct Tape(Mutex<State>);

/// A recording and failing file system, registered with SQLite under [`Disk::name`] until dropped.
#[derive(Debug)]
pub struct Disk {
    tape: Arc<Tape>,
    registration: vfs::Registration,
}

impl Disk {
    /// Registers a new one, which records and does not fail yet.
    ///
    /// # Panics
    /// When SQLite has no file system or refuses a further one.
    #[must_use]
    pub fn new() -> Self {
        let tape = Arc::new(Tape::default());
        let registration = vfs::Registration::new(Arc::clone(&tape));
        Self { tape, registration }
    }

    /// A further one for a copy of the directory, its record the continuation of this one's: the next process.
    ///
    /// # Panics
    /// As [`Disk::new`].
    #[must_use]
    pub fn next(&self) -> Self {
        let next = Self::new();
        {
            let (before, mut after) = (self.tape.state(), next.tape.state());
            after.names.clone_from(&before.names);
            after.files = before.files;
            after.dir_dirty.clone_from(&before.dir_dirty);
        }
        next
    }

    /// What to give SQLite as the name of the file system.
    #[must_use]
    pub fn name(&self) -> &str {
        self.registration.name()
    }

    /// From now on nothing is recorded: calls still fail when asked to.
    pub fn forget(&self) {
        let mut state = self.tape.state();
        state.deaf = true;
        state.log.clear();
    }

    /// For files that SQLite does not write: those below `root`, the directory of the database.
    #[must_use]
    pub fn files(&self, root: &Path) -> Files {
        Files::new(Arc::clone(&self.tape), root)
    }

    /// From now on these calls fail; counting starts anew.
    pub fn fail(&self, fault: Option<Fault>) {
        let mut state = self.tape.state();
        state.fault = fault;
        state.calls.clear();
        state.failed = 0;
    }

    /// How many calls of a kind there were since [`Disk::fail`].
    #[must_use]
    pub fn calls(&self, call: Call) -> u64 {
        self.tape.state().calls.get(&call).copied().unwrap_or(0)
    }

    /// How many calls were made to fail since [`Disk::fail`].
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.tape.state().failed
    }

    /// Writes a mark into the record: what it stands for is for the caller to know.
    pub fn mark(&self, mark: usize) {
        self.tape.push(Op::Mark(mark));
    }

    /// Takes the record so far.
    #[must_use]
    pub fn take_log(&self) -> Vec<Op> {
        std::mem::take(&mut self.tape.state().log)
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn push(&mut self, op: Op) {
        if !self.deaf {
            self.log.push(op);
        }
    }
}

impl Tape {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, op: Op) {
        self.state().push(op);
    }

    /// Counts a call; whether it is to fail.
    fn fails(&self, call: Call) -> bool {
        let mut state = self.state();
        let count = state.calls.entry(call).or_insert(0);
        *count += 1;
        let count = *count;
        let hit = state.fault.is_some_and(|fault| {
            fault.call == call && (count == fault.at || fault.for_ever && count > fault.at)
        });
        state.failed += u64::from(hit);
        hit
    }

    /// Notes that a file is open; its number.
    fn opened(&self, name: &str, existed: bool) -> u64 {
        let mut state = self.state();
        if let Some(file) = state.names.get(name).copied().filter(|_| existed) {
            return file;
        }
        state.files += 1;
        let file = state.files;
        state.names.insert(name.to_owned(), file);
        state.dir_dirty.insert(file);
        state.push(Op::Create { file, name: name.to_owned() });
        file
    }

    /// Notes a sync. SQLite syncs the directory with the first sync of a journal or log that it made.
    fn synced(&self, file: u64, syncs_dir: bool) {
        let mut state = self.state();
        state.push(Op::Sync { file });
        if syncs_dir && state.dir_dirty.remove(&file) {
            state.push(Op::SyncDir { dir: String::new() });
        }
    }

    fn renamed(&self, from: &str, to: &str) {
        let mut state = self.state();
        if let Some(file) = state.names.remove(from) {
            state.names.insert(to.to_owned(), file);
        }
        state.push(Op::Rename { from: from.to_owned(), to: to.to_owned() });
    }

    fn deleted(&self, name: &str, dir_synced: bool) {
        let mut state = self.state();
        state.names.remove(name);
        state.push(Op::Delete { name: name.to_owned() });
        if dir_synced {
            state.push(Op::SyncDir { dir: String::new() });
        }
    }
}

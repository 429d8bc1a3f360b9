//! After a failure: closes the file and opens it anew, and finds out whether the last commit is in it.

use super::{Doing, Store, StoreError, StoreFault, append, chain, connect, renew};
use rusqlite::Connection;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Exists while the file is suspected to be damaged: the next start looks at every page.
pub(super) const SUSPECT: &str = "schoolgate.suspect";
/// A file that is written to learn why the medium refuses.
const PROBE: &str = "schoolgate.probe";
/// Bytes written to it: a block of every file system.
const PROBE_BYTES: usize = 4096;

/// Where the tables to which every commit that must not be repeated adds something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail([i64; 7]);

impl Tail {
    pub(super) fn of(db: &Connection) -> Result<Self, StoreError> {
        db.prepare_cached(
            "select (select coalesce(max(seq), 0) from reading), (select coalesce(max(seq), 0) from event), \
             (select coalesce(max(seq), 0) from alarm_change), (select coalesce(max(seq), 0) from quarantine), \
             (select coalesce(max(cast(value as integer)), 0) from meta where key = 'next_seq'), \
             (select coalesce(sum(rows), 0) from dropped), (select coalesce(max(seq), 0) from audit)",
        )
        .and_then(|mut s| {
            s.query_row([], |row| {
                let mut ends = [0; 7];
                for (i, end) in ends.iter_mut().enumerate() {
                    *end = row.get(i)?;
                }
                Ok(Self(ends))
            })
        })
        .doing("finding the last rows")
    }

    /// Whether anything was added since. What only replaces rows (links, periods) may be written again unharmed.
    fn beyond(self, before: Self) -> bool {
        self.0.iter().zip(before.0).any(|(now, then)| *now > then)
    }
}

impl Store {
    /// Closes the file and opens it anew, as after every failure: what the system calls written may not be. Whether
    /// the last commit, which did not return well, is in it all the same; then it is on the medium.
    ///
    /// # Errors
    /// When the file cannot be opened; the store is of no use then until this succeeds.
    pub fn reopen(&mut self) -> Result<bool, StoreError> {
        let nothing = Connection::open_in_memory().doing("letting go of the database")?;
        // Closing as the last one copies the log into the file and deletes it, which leaves out a commit that was not
        // finished. Its failure is no news: the medium has just failed.
        if let Err((broken, cause)) = std::mem::replace(&mut self.db, nothing).close() {
            tracing::debug!(error = %cause, "the database was not closed well");
            drop(broken);
        }
        let mut db = connect(&self.path, self.vfs.as_deref())?;
        self.series = append::SeriesIds::load(&db)?;
        let stored = match self.before {
            None => false,
            Some(before) => Tail::of(&db)?.beyond(before),
        };
        self.budget.fit_log(&db)?;
        renew(&db)?;
        chain::install(&mut db)?;
        self.db = db;
        self.before = None;
        // What was under way goes on from what is in the file.
        self.upkeep.forget_sealing();
        self.levels.begin_anew();
        Ok(stored)
    }

    /// What an error really is: SQLite tells a write that was refused from one that failed by the system's code alone,
    /// so the file system is asked.
    #[must_use]
    pub fn judge(&self, error: &StoreError) -> StoreFault {
        let fault = error.fault();
        if fault != StoreFault::Io {
            return fault;
        }
        let Some(dir) = self.path.parent() else { return fault };
        probe(dir).err().map_or(fault, |cause| StoreFault::of_io(&cause))
    }

    /// Has the next start look at every page of the file.
    pub fn suspect(&mut self) {
        if let Err(cause) = File::create(self.path.with_file_name(SUSPECT)) {
            tracing::debug!(error = %cause, "the suspicion could not be written down");
        }
    }
}

/// Writes a little and takes it away again.
pub(super) fn probe(dir: &Path) -> std::io::Result<()> {
    let path = dir.join(PROBE);
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&[0; PROBE_BYTES])?;
        file.sync_all()
    });
    let removed = std::fs::remove_file(&path);
    written.and(match removed {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    })
}

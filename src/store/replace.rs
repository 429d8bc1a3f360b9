//! Putting new data in place of old ones, which are kept: a power failure at any moment leaves the one or the other.
//!
//! New data are made in a directory of their own. When they are finished and synced, one rename says so; from then on
//! every start carries on with what is left of the exchange until it is done.

use super::history::DIRECTORY;
use super::reopen::SUSPECT;
use super::{FILE_NAME, StoreError};
use crate::model::Wall;
use crate::runtime::{Clock, SystemClock};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Directory of data that were found damaged.
pub(super) const DAMAGED: &str = "damaged";
/// Directory of data in whose place a backup was put.
pub(super) const REPLACED: &str = "replaced";
/// New data while they are made.
const UNFINISHED: &str = "replacement.unfinished";
/// New data that are finished.
const FINISHED: &str = "replacement";
/// The new data within it.
const NEW: &str = "new";

/// New data being made.
pub(super) struct Replacement<'a> {
    data_dir: &'a Path,
    old: &'static str,
}

impl<'a> Replacement<'a> {
    /// Makes room for new data; the old will be kept in [`DAMAGED`] or [`REPLACED`].
    pub(super) fn begin(data_dir: &'a Path, old: &'static str) -> Result<Self, StoreError> {
        let this = Self { data_dir, old };
        remove(&data_dir.join(UNFINISHED))?;
        for dir in [this.new_dir(), this.old_dir()] {
            fs::create_dir_all(&dir).map_err(failed(&dir, "making the directory"))?;
        }
        Ok(this)
    }

    /// Where the new database goes, and the new sealed files if those are replaced, too.
    pub(super) fn new_dir(&self) -> PathBuf {
        self.data_dir.join(UNFINISHED).join(NEW)
    }

    /// Where the old data go; a report may be put beside them.
    pub(super) fn old_dir(&self) -> PathBuf {
        self.data_dir.join(UNFINISHED).join(self.old)
    }

    /// Exchanges the data; where the old are now, if there were any. What is new is synced but for its directory.
    pub(super) fn finish(self) -> Result<Option<PathBuf>, StoreError> {
        let (from, to) = (self.data_dir.join(UNFINISHED), self.data_dir.join(FINISHED));
        for dir in [&self.new_dir(), &self.old_dir(), &from] {
            sync_dir(dir)?;
        }
        fs::rename(&from, &to).map_err(failed(&to, "finishing new data"))?;
        sync_dir(self.data_dir)?;
        carry_on(self.data_dir)
    }
}

/// Finishes an exchange that was cut off, and removes new data that never were finished; done before data are opened.
/// Where the old data are.
pub(super) fn carry_on(data_dir: &Path) -> Result<Option<PathBuf>, StoreError> {
    remove(&data_dir.join(UNFINISHED))?;
    let all = data_dir.join(FINISHED);
    let Some(what) = [DAMAGED, REPLACED].into_iter().find(|what| all.join(what).exists()) else {
        remove(&all)?;
        return Ok(None);
    };
    let (new, old) = (all.join(NEW), all.join(what));
    // The log goes first: beside another database it would be taken for that one's.
    let log = [format!("{FILE_NAME}-wal"), format!("{FILE_NAME}-shm")];
    let with_database = [&log[0], &log[1], SUSPECT, FILE_NAME];
    for (name, moved) in [(DIRECTORY, &[DIRECTORY][..]), (FILE_NAME, &with_database)] {
        if !new.join(name).exists() {
            continue;
        }
        for name in moved {
            rename(&data_dir.join(name), &old.join(name))?;
        }
        sync_dir(&old)?;
        sync_dir(data_dir)?;
        rename(&new.join(name), &data_dir.join(name))?;
    }
    sync_dir(data_dir)?;
    let kept = match fs::read_dir(&old).map_err(failed(&old, "reading the directory"))?.next() {
        None => None,
        Some(_) => Some(keep(data_dir, &old, what)?),
    };
    remove(&all)?;
    Ok(kept)
}

fn keep(data_dir: &Path, old: &Path, what: &str) -> Result<PathBuf, StoreError> {
    let all = data_dir.join(what);
    fs::create_dir_all(&all).map_err(failed(&all, "making the directory"))?;
    let to = free_name(&all, SystemClock::new().now().wall);
    fs::rename(old, &to).map_err(failed(&to, "keeping the data from before"))?;
    sync_dir(&all)?;
    sync_dir(data_dir)?;
    Ok(to)
}

/// `<time>` in UTC, and a number where several were in one second or the clock is not set.
fn free_name(all: &Path, now: Wall) -> PathBuf {
    let time: String = now.to_string().chars().take(19).filter(|c| *c != ':').collect();
    let names = std::iter::once(time.clone()).chain((2..).map(|n| format!("{time}-{n}")));
    names.map(|name| all.join(name)).find(|path| !path.exists()).unwrap_or_else(|| all.join(time))
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    match fs::rename(from, to) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(failed(from, "moving")(cause)),
        _ => Ok(()),
    }
}

fn remove(dir: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(dir) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(failed(dir, "removing")(cause)),
        _ => Ok(()),
    }
}

pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed(dir, "syncing the directory"))
}

fn failed(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |cause| StoreError::File { path, doing, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Old data in place, and new ones finished but for the exchange.
    fn finished(dir: &Path) {
        let old = ["schoolgate.db", "schoolgate.db-wal", "history/1.sgh"];
        let new = ["replacement/new/schoolgate.db", "replacement/new/history/2.sgh"];
        for name in old.into_iter().chain(new) {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, if name.starts_with("replacement") { "new" } else { "old" }).unwrap();
        }
        fs::create_dir(dir.join("replacement/replaced")).unwrap();
    }

    #[test]
    fn an_exchange_cut_off_anywhere_is_carried_on() {
        // The moves in their order; a power failure lies behind each of them.
        let moves = [
            ("history", "replacement/replaced/history"),
            ("replacement/new/history", "history"),
            ("schoolgate.db-wal", "replacement/replaced/schoolgate.db-wal"),
            ("schoolgate.db", "replacement/replaced/schoolgate.db"),
            ("replacement/new/schoolgate.db", "schoolgate.db"),
        ];
        for done in 0..=moves.len() {
            let dir = tempfile::tempdir().unwrap();
            finished(dir.path());
            for (from, to) in &moves[..done] {
                fs::rename(dir.path().join(from), dir.path().join(to)).unwrap();
            }
            let kept = carry_on(dir.path()).unwrap().unwrap();
            assert_eq!(names(dir.path()), ["history", "replaced", "schoolgate.db"], "{done}");
            assert_eq!(names(&kept), ["history", "schoolgate.db", "schoolgate.db-wal"], "{done}");
            assert_eq!(fs::read_to_string(dir.path().join(FILE_NAME)).unwrap(), "new");
            assert_eq!(names(&dir.path().join("history")), ["2.sgh"]);
            assert_eq!(carry_on(dir.path()).unwrap(), None, "once");
        }
        // Kept, and not cleared up.
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("replacement/new")).unwrap();
        assert_eq!(carry_on(dir.path()).unwrap(), None);
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn new_data_that_were_never_finished_are_dropped() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE_NAME), "old").unwrap();
        let new = Replacement::begin(dir.path(), DAMAGED).unwrap();
        fs::write(new.new_dir().join(FILE_NAME), "half").unwrap();
        assert_eq!(carry_on(dir.path()).unwrap(), None);
        assert_eq!(names(dir.path()), [FILE_NAME]);
        assert_eq!(fs::read_to_string(dir.path().join(FILE_NAME)).unwrap(), "old");
    }
}

//! Opening a database that may be damaged: what cannot be used is moved aside, never deleted, and every row that can
//! still be read is taken over into a new file.
//!
//! The order keeps a power failure harmless: the new file is finished first, then the damaged ones are moved to
//! `damaged/<time>/`, then the new one gets its name. A new file whose old one is gone is finished, so it is taken.

use super::reopen::{SUSPECT, probe};
use super::{Doing, FILE_NAME, Rescued, Store, StoreError, StoreFault, append, connect, migrate, salvage};
use crate::model::Wall;
use crate::pipeline::Remembered;
use crate::runtime::{Chain, Clock, SystemClock};
use rusqlite::{Connection, ErrorCode, ffi};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Directory of what was found damaged.
pub(super) const DAMAGED: &str = "damaged";
/// The new file while it is being made.
const SALVAGED: &str = "schoolgate.db.salvaged";
/// Made at the first start, after the database: where it is, an empty database is none that was never used.
const SITE_KEY: &str = "site.key";
/// A file up to this long is read through at start, bytes: a quarter of a second on a slow card.
const CHECKED_BYTES: u64 = 8 * 1024 * 1024;
/// The first four bytes of a write-ahead log, but for the last bit (SQLite file format, 4.1).
const LOG_MAGIC: u32 = 0x377f_0682;
const LOG_HEADER: usize = 32;
/// What SQLite says of a file that it cannot read.
const UNREADABLE: [i32; 4] = [
    ffi::SQLITE_IOERR_READ,
    ffi::SQLITE_IOERR_SHORT_READ,
    ffi::SQLITE_IOERR_CORRUPTFS,
    ffi::SQLITE_IOERR_DATA,
];

/// Opens the database, and where it is damaged what could be saved of it.
pub(super) fn open(
    dir: &Path,
    path: &Path,
    vfs: Option<&str>,
) -> Result<(Connection, Option<Rescued>), StoreError> {
    take_finished(dir, path)?;
    match examine(dir, path, vfs) {
        Ok(db) => Ok((db, None)),
        Err(error) if damaged(dir, &error) => {
            let rescued = rescue(dir, path, &error)?;
            Ok((examine(dir, path, vfs)?, Some(rescued)))
        }
        Err(error) => Err(error),
    }
}

impl Store {
    /// Opens the database and reads what the last run left behind; what turns out to be damaged then is rescued, too.
    ///
    /// # Errors
    /// As [`Store::open`] and [`Store::recall`].
    pub fn take_up(dir: &Path, aggregate_secs: u32) -> Result<(Self, Remembered), StoreError> {
        let store = Self::open(dir)?;
        match store.recall(aggregate_secs) {
            Ok(remembered) => Ok((store, remembered)),
            Err(error) if store.rescued.is_none() && damaged(dir, &error) => {
                let store = store.rescue(&error)?;
                let remembered = store.recall(aggregate_secs)?;
                Ok((store, remembered))
            }
            Err(error) => Err(error),
        }
    }

    fn rescue(mut self, why: &StoreError) -> Result<Self, StoreError> {
        self.db = Connection::open_in_memory().doing("letting go of the database")?;
        let dir = self.path.parent().map(Path::to_owned).unwrap_or_default();
        self.rescued = Some(rescue(&dir, &self.path, why)?);
        self.db = examine(&dir, &self.path, self.vfs.as_deref())?;
        self.series = append::SeriesIds::load(&self.db)?;
        Ok(self)
    }
}

/// Whether an error says that the file itself is damaged, and not that it may not be used.
fn damaged(dir: &Path, error: &StoreError) -> bool {
    let failure = match error {
        StoreError::Sqlite { cause, .. } => cause.sqlite_error(),
        _ => None,
    };
    let code = failure.map(|failure| failure.code);
    match error.fault() {
        StoreFault::Corrupt => true,
        // A damaged header can look like a file that may only be read.
        StoreFault::ReadOnly => code == Some(ErrorCode::ReadOnly) && probe(dir).is_ok(),
        // A damaged sector gives an error of reading. One of writing or syncing says nothing of what is in the file.
        StoreFault::Io => {
            failure.is_some_and(|failure| UNREADABLE.contains(&failure.extended_code)) && probe(dir).is_ok()
        }
        // "No such table" and the like: the schema is not what it says it is.
        StoreFault::Other => code == Some(ErrorCode::Unknown),
        StoreFault::Full | StoreFault::Busy => false,
    }
}

/// Opens, brings up to date and looks whether it is sound, as far as that takes no time.
fn examine(dir: &Path, path: &Path, vfs: Option<&str>) -> Result<Connection, StoreError> {
    let broken = |what: &str| StoreError::Unsound { path: path.to_owned(), what: what.to_owned() };
    if dir.join(SUSPECT).exists() {
        return Err(broken("SQLite met damaged pages while it ran"));
    }
    let len = std::fs::metadata(path).map_or(None, |meta| Some(meta.len()));
    if len.is_some_and(|len| len < salvage::PAGE_BYTES) && dir.join(SITE_KEY).exists() {
        return Err(broken("the file is shorter than a page"));
    }
    if !log_is_sound(&beside(path, "-wal")) {
        return Err(broken("the write-ahead log has a damaged header"));
    }
    let mut db = connect(path, vfs)?;
    migrate::migrate(&mut db, path)?;
    // A damaged header may say that the file may only be read, which nothing but a write notices.
    db.execute_batch("begin immediate; rollback").doing("looking whether the database can be written")?;
    for table in salvage::TABLES {
        db.query_row(&format!("select count(*) from (select 1 from {} limit 1)", table.name), [], |_| Ok(()))
            .doing("looking at the tables")?;
    }
    if len.is_some_and(|len| len <= CHECKED_BYTES) {
        let said: String =
            db.query_row("pragma quick_check(1)", [], |row| row.get(0)).doing("checking the database")?;
        if said != "ok" {
            return Err(broken(&said));
        }
    }
    Ok(db)
}

/// Whether a write-ahead log's header is absent, empty, or what SQLite wrote there. SQLite would overlook a log whose
/// header is damaged, and with it commits that were answered.
fn log_is_sound(path: &Path) -> bool {
    let mut header = [0; LOG_HEADER];
    match File::open(path).and_then(|mut file| file.read_exact(&mut header)) {
        Ok(()) => {}
        // Shorter than a header: nothing was ever committed to it.
        Err(_) => return true,
    }
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_be_bytes);
    let magic = word(header.get(..4).unwrap_or_default());
    if header == [0; LOG_HEADER] {
        return true;
    }
    let order = |word: u32| if magic & 1 == 1 { word } else { word.swap_bytes() };
    let mut sums = (0_u32, 0_u32);
    for pair in header.get(..24).unwrap_or_default().chunks_exact(8) {
        let (first, second) = pair.split_at(4);
        sums.0 = sums.0.wrapping_add(order(word(first))).wrapping_add(sums.1);
        sums.1 = sums.1.wrapping_add(order(word(second))).wrapping_add(sums.0);
    }
    let written = header.get(24..).unwrap_or_default().split_at(4);
    magic & !1 == LOG_MAGIC & !1 && sums == (word(written.0), word(written.1))
}

/// Makes a new file of what can be read, and moves the damaged ones aside.
fn rescue(dir: &Path, path: &Path, why: &StoreError) -> Result<Rescued, StoreError> {
    tracing::error!(
        database = %path.display(), error = %Chain(why),
        "the database is damaged; it is moved aside, and what can be read of it is taken over"
    );
    let salvaged = dir.join(SALVAGED);
    let saved = salvage::salvage(path, &salvaged)?;
    let kept_in = move_aside(dir, path)?;
    put_in_place(dir, &salvaged, path)?;
    match std::fs::remove_file(dir.join(SUSPECT)) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => {
            return Err(StoreError::File { path: dir.join(SUSPECT), doing: "deleting the suspicion", cause });
        }
        _ => {}
    }
    tracing::warn!(kept_in = %kept_in.display(), rows = saved.rows, incomplete = saved.torn.join(", "), "rescued");
    Ok(Rescued { kept_in, rows: saved.rows, torn: saved.torn })
}

/// Moves the database's files to a directory of their own; which.
fn move_aside(dir: &Path, path: &Path) -> Result<PathBuf, StoreError> {
    let now = SystemClock::new().now().wall;
    let kept_in = free_name(&dir.join(DAMAGED), now);
    let failed =
        |cause| StoreError::File { path: kept_in.clone(), doing: "moving the damaged files aside", cause };
    std::fs::create_dir_all(&kept_in).map_err(failed)?;
    // The main file goes last: as long as it is there, the rescue is done anew.
    for from in [beside(path, "-wal"), beside(path, "-shm"), path.to_owned()] {
        let Some(name) = from.file_name() else { continue };
        match std::fs::rename(&from, kept_in.join(name)) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => {}
            other => other.map_err(failed)?,
        }
    }
    sync_dir(&kept_in)?;
    Ok(kept_in)
}

/// `<time>` in UTC, and a number where several were in one second or the clock is not set.
fn free_name(damaged: &Path, now: Wall) -> PathBuf {
    let time: String = now.to_string().chars().take(19).filter(|c| *c != ':').collect();
    let names = std::iter::once(time.clone()).chain((2..).map(|n| format!("{time}-{n}")));
    names.map(|name| damaged.join(name)).find(|path| !path.exists()).unwrap_or_else(|| damaged.join(time))
}

/// A rescue that was cut off after its new file was finished is brought to its end; an unfinished one is dropped.
fn take_finished(dir: &Path, path: &Path) -> Result<(), StoreError> {
    let salvaged = dir.join(SALVAGED);
    if !salvaged.exists() {
        return Ok(());
    }
    if path.exists() {
        return std::fs::remove_file(&salvaged).map_err(|cause| StoreError::File {
            path: salvaged,
            doing: "deleting an unfinished rescue",
            cause,
        });
    }
    put_in_place(dir, &salvaged, path)
}

fn put_in_place(dir: &Path, salvaged: &Path, path: &Path) -> Result<(), StoreError> {
    std::fs::rename(salvaged, path).map_err(|cause| StoreError::File {
        path: path.to_owned(),
        doing: "putting the rescued file in place",
        cause,
    })?;
    sync_dir(dir)
}

fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|cause| StoreError::File {
        path: dir.to_owned(),
        doing: "syncing the directory",
        cause,
    })
}

/// `<path><suffix>`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    path.with_file_name(format!("{}{suffix}", path.file_name().unwrap_or(FILE_NAME.as_ref()).display()))
}

#[cfg(test)]
mod tests;

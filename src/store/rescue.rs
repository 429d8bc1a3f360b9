//! Opening a database that may be damaged: what cannot be used is moved to `damaged/<time>/`, never deleted, and every
//! row that can still be read is taken over into a new file.

use super::reopen::{SUSPECT, probe};
use super::replace::{DAMAGED, Replacement, carry_on};
use super::salvage::{self, Salvage};
use super::{
    Doing, FILE_NAME, Rescued, Store, StoreError, StoreFault, append, chain, connect, migrate, numbers, renew,
};
use crate::pipeline::Remembered;
use crate::runtime::{Chain, Clock, SystemClock};
use rusqlite::{Connection, ErrorCode, ffi};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// Longest time for the tables that may be long: the gateway is to be at work again within 2 s.
const LONG_TABLES: Duration = Duration::from_millis(800);
/// Made at the first start, after the database: where it is, an empty database is none that was never used.
const SITE_KEY: &str = "site.key";
/// A file up to this long is read through at start, bytes: a quarter of a second on a slow card.
const CHECKED_BYTES: u64 = 8 * 1024 * 1024;
/// In a longer one, as many records that are owed are looked at.
const CHECKED_OWED: i64 = 10_000;
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

/// A database in which a store can work.
pub(super) type Ready = (Connection, append::SeriesIds);

/// Opens the database, and where it is damaged what could be saved of it.
pub(super) fn open(
    dir: &Path,
    path: &Path,
    vfs: Option<&str>,
) -> Result<(Ready, Option<Rescued>), StoreError> {
    carry_on(dir)?;
    match make_ready(dir, path, vfs) {
        Ok(ready) => Ok((ready, None)),
        Err(error) if damaged(dir, &error) => {
            let rescued = rescue(dir, path, &error)?;
            Ok((make_ready(dir, path, vfs)?, Some(rescued)))
        }
        Err(error) => Err(error),
    }
}

/// Opens the database and does what comes before the first commit.
pub(super) fn make_ready(dir: &Path, path: &Path, vfs: Option<&str>) -> Result<Ready, StoreError> {
    let mut db = examine(dir, path, vfs)?;
    renew(&db)?;
    chain::install(&mut db)?;
    numbers::mend(&mut db, path)?;
    let series = append::SeriesIds::load(&db)?;
    Ok((db, series))
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
        (self.db, self.series) = make_ready(&dir, &self.path, self.vfs.as_deref())?;
        Ok(self)
    }
}

/// Whether an error says that the file itself is damaged, and not that it may not be used.
pub(super) fn damaged(dir: &Path, error: &StoreError) -> bool {
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
    // What is owed is found by an index; one that is damaged would hide it.
    let all = len.is_none_or(|len| len <= CHECKED_BYTES);
    if all || chain::head(&db, "outbox").is_ok_and(|sum| sum.is_some_and(|sum| sum.seq <= CHECKED_OWED)) {
        let what = if all { "1" } else { "outbox" };
        let check = format!("pragma integrity_check({what})");
        let said: String = db.query_row(&check, [], |row| row.get(0)).doing("checking the database")?;
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
    let replacement = Replacement::begin(dir, DAMAGED)?;
    let salvage = Salvage {
        actor: "gateway",
        why: &Chain(why).to_string(),
        now: SystemClock::new().now().wall,
        deadline: Some(Instant::now() + LONG_TABLES),
    };
    let saved = salvage.run(path, &replacement.new_dir())?;
    let kept_in = replacement.finish()?.unwrap_or_else(|| dir.join(DAMAGED));
    tracing::warn!(kept_in = %kept_in.display(), rows = saved.rows, incomplete = saved.torn.join(", "), "rescued");
    Ok(Rescued { kept_in, rows: saved.rows, torn: saved.torn.into_iter().map(str::to_owned).collect() })
}

/// `<path><suffix>`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    path.with_file_name(format!("{}{suffix}", path.file_name().unwrap_or(FILE_NAME.as_ref()).display()))
}

#[cfg(test)]
mod tests;

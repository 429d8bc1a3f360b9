//! Sealed readings: compressed, in files that never change, removed whole. `docs/adr/0008` says why.

mod chunk;
mod columns;
mod disk;
mod file;
mod keep;
mod read;
mod seal;

pub use chunk::{Chunk, Row, SeriesName};
pub use disk::{Disk, Machine};
pub use file::{ChunkPlace, HistoryFile};
pub use keep::Dropped;
pub use read::Span;

pub(super) use disk::Place;
use file::Writer;
pub(super) use keep::{Found, check_listed, count_dropped, drop_oldest, examine, sealed_names, tidy, verify};
pub(super) use seal::Sealing;

use super::{Doing, StoreError};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

/// The directory of sealed files in the data directory.
pub const DIRECTORY: &str = "history";
/// Where files go that are damaged, below [`DIRECTORY`]; nothing there is deleted.
pub const DAMAGED: &str = "damaged";
/// Where files go that the database does not know, below [`DIRECTORY`]; nothing there is deleted.
pub const UNLISTED: &str = "unlisted";
/// Most readings of one file, and so of one chunk and one column: what a compressor's page holds.
pub const SEAL_MOST: usize = 1 << 18;
/// `meta` key: readings up to this number are sealed; rows of them in `reading` are dead.
const SEALED_THROUGH: &str = "sealed_through";
/// `meta` key: the file that is being removed.
const UNLINKING: &str = "unlinking";

/// Why sealed bytes cannot be read, or readings not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// They are not as they were written.
    #[error("{0}")]
    Shape(&'static str),
    /// The compressor refuses a column.
    #[error("a column is refused by the compressor")]
    Column(#[source] pco::errors::PcoError),
}

/// A sealed file as the table `sealed` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Its name in [`DIRECTORY`].
    pub file: String,
    /// Number of its first reading.
    pub first_seq: i64,
    /// Number of its last reading.
    pub last_seq: i64,
    /// How many it holds.
    pub readings: u64,
    /// Its length.
    pub bytes: u64,
    /// Earliest time a reading in it is reckoned with, milliseconds.
    pub first_at: i64,
    /// Latest such time, milliseconds.
    pub last_at: i64,
    /// SHA-256 that its footer bears.
    pub digest: [u8; 32],
}

impl Sealed {
    fn of(row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        let count = |column: &str| Ok::<u64, rusqlite::Error>(row.get::<_, i64>(column)?.unsigned_abs());
        Ok(Self {
            file: row.get("file")?,
            first_seq: row.get("first_seq")?,
            last_seq: row.get("last_seq")?,
            readings: count("readings")?,
            bytes: count("bytes")?,
            first_at: row.get("first_at")?,
            last_at: row.get("last_at")?,
            digest: row.get("digest")?,
        })
    }

    fn insert(&self, db: &Connection) -> Result<(), StoreError> {
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        db.prepare_cached(
            "insert into sealed (file, first_seq, last_seq, readings, bytes, first_at, last_at, digest) \
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .and_then(|mut s| {
            s.execute(params![
                self.file,
                self.first_seq,
                self.last_seq,
                count(self.readings),
                count(self.bytes),
                self.first_at,
                self.last_at,
                self.digest
            ])
        })
        .doing("listing a sealed file")?;
        Ok(())
    }
}

/// The sealed files that `condition` picks, in the order it gives.
pub(super) fn listed(
    db: &Connection,
    condition: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<Sealed>, StoreError> {
    let mut statement =
        db.prepare_cached(&format!("select * from sealed {condition}")).doing("reading the sealed files")?;
    let rows = statement.query_map(parameters, Sealed::of).doing("reading the sealed files")?;
    rows.collect::<Result<_, _>>().doing("reading the sealed files")
}

/// Number of the last reading that is sealed, 0 before the first.
pub(super) fn sealed_through(db: &Connection) -> Result<i64, StoreError> {
    let noted = meta(db, SEALED_THROUGH)?.and_then(|text| text.parse().ok()).unwrap_or(0);
    // The list says the same, unless everything was dropped; a database that was salvaged may have lost either.
    let newest = listed(db, "order by first_seq desc limit 1", [])?;
    Ok(newest.first().map_or(noted, |newest| newest.last_seq.max(noted)))
}

fn meta(db: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    db.prepare_cached("select value from meta where key = ?1")
        .and_then(|mut s| s.query_row([key], |row| row.get(0)).optional())
        .doing("reading what the store notes of itself")
}

pub(super) fn set_meta(db: &Connection, key: &str, value: &str) -> Result<(), StoreError> {
    db.prepare_cached("insert or replace into meta (key, value) values (?1, ?2)")
        .and_then(|mut s| s.execute([key, value]))
        .doing("noting what the store does")?;
    Ok(())
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

//! How much is stored, and from when to when.

use super::{Doing, FILE_NAME, Reader, StoreError, history};
use crate::model::Wall;

/// What there is of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindStats {
    /// Which: a table, or `sealed` for sealed readings.
    pub name: String,
    /// How many rows.
    pub rows: u64,
    /// Time of the oldest.
    pub oldest: Option<Wall>,
    /// Time of the newest.
    pub newest: Option<Wall>,
}

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// Per kind.
    pub kinds: Vec<KindStats>,
    /// Bytes of the database and its log.
    pub database_bytes: u64,
    /// Sealed files.
    pub sealed_files: u64,
    /// Their bytes.
    pub sealed_bytes: u64,
    /// Rows dropped, by reason.
    pub dropped: Vec<(String, u64)>,
}

/// Tables and the column with their time.
const TIMED: [(&str, &str); 9] = [
    ("event", "arrived"),
    ("alarm", "raised_at"),
    ("alarm_change", "at"),
    ("hazard", "found_at"),
    ("outbox", "created"),
    ("set_aside", "at"),
    ("audit", "at"),
    ("quarantine", "at"),
    ("roll_up", "start"),
];

impl Reader {
    /// How much there is, as of one moment.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let doing = "counting what is stored";
        let tx = self.db.unchecked_transaction().doing(doing)?;
        let mut stats = Stats::default();
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        let mut kind = |name: &str, sql: &str| -> Result<(), StoreError> {
            let row = |r: &rusqlite::Row<'_>| {
                let time = |i| Ok::<_, rusqlite::Error>(r.get::<_, Option<i64>>(i)?.map(Wall));
                let (rows, oldest, newest) = (count(r.get(0)?), time(1)?, time(2)?);
                Ok(KindStats { name: name.to_owned(), rows, oldest, newest })
            };
            stats.kinds.push(tx.query_row(sql, [], row).doing(doing)?);
            Ok(())
        };
        let through = history::sealed_through(&tx)?;
        let hot = "select count(*), min(arrived), max(arrived) from reading where seq >";
        kind("reading", &format!("{hot} {through}"))?;
        kind("sealed", "select coalesce(sum(readings), 0), min(first_at), max(last_at) from sealed")?;
        for (table, time) in TIMED {
            kind(table, &format!("select count(*), min({time}), max({time}) from {table}"))?;
        }
        for sealed in history::listed(&tx, "", [])? {
            stats.sealed_files += 1;
            stats.sealed_bytes += sealed.bytes;
        }
        let mut dropped = tx.prepare("select reason, rows from dropped order by reason").doing(doing)?;
        let rows = dropped.query_map([], |r| Ok((r.get(0)?, count(r.get(1)?)))).doing(doing)?;
        stats.dropped = rows.collect::<Result<_, _>>().doing(doing)?;
        for suffix in ["", "-wal"] {
            let path = self.dir.join(format!("{FILE_NAME}{suffix}"));
            stats.database_bytes += std::fs::metadata(path).map_or(0, |file| file.len());
        }
        Ok(stats)
    }
}

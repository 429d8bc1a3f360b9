//! How complete uploads are: what was owed in the last hours and days, and what platforms took of it.
//!
//! What is taken leaves the outbox, so it is counted by the hour in which it was owed, in the same transaction.

use super::append::number;
use super::recall::each;
use super::rows::get;
use super::{Doing, Reader, StoreError};
use crate::model::{DestinationId, Wall};
use rusqlite::{Connection, OptionalExtension, params};

const HOUR_MS: i64 = 3_600_000;
/// Counts are kept this long before the newest, milliseconds: a quarter, and what is still of use when it is over.
const KEEP_MS: i64 = 190 * 24 * HOUR_MS;

/// What became of what was owed to a destination in a span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uploaded {
    /// Records that it took.
    pub accepted: u64,
    /// Records that wait.
    pub waiting: u64,
    /// Records that it will never take.
    pub set_aside: u64,
}

impl Uploaded {
    /// Records that were owed.
    #[must_use]
    pub fn owed(&self) -> u64 {
        self.accepted.saturating_add(self.waiting).saturating_add(self.set_aside)
    }

    /// Accepted of owed, 0 to 1; `None` where nothing was owed.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "records of a quarter stay far below 2^52")]
    pub fn share(&self) -> Option<f64> {
        (self.owed() > 0).then(|| self.accepted as f64 / self.owed() as f64)
    }
}

/// Counts what a destination took, before it leaves the outbox; part of the transaction.
pub(super) fn note(tx: &Connection, to: &DestinationId, delivered: &[u64]) -> Result<(), StoreError> {
    let doing = "counting what was uploaded";
    let mut hours = std::collections::BTreeMap::<i64, i64>::new();
    for seq in delivered.iter().collect::<std::collections::BTreeSet<_>>() {
        let created = tx
            .prepare_cached("select created from outbox where seq = ?1 and destination = ?2")
            .and_then(|mut s| s.query_row(params![number(*seq), to.as_str()], |row| row.get(0)).optional())
            .doing(doing)?;
        if let Some(created) = created.map(Wall) {
            *hours.entry(created.period_start(HOUR_MS).0).or_default() += 1;
        }
    }
    for (hour, records) in &hours {
        tx.prepare_cached(
            "insert into uploaded (destination, hour, records) values (?1, ?2, ?3) \
             on conflict do update set records = records + ?3",
        )
        .and_then(|mut s| s.execute(params![to.as_str(), hour, records]))
        .doing(doing)?;
    }
    if let Some(newest) = hours.keys().next_back() {
        tx.prepare_cached("delete from uploaded where destination = ?1 and hour < ?2")
            .and_then(|mut s| s.execute(params![to.as_str(), newest.saturating_sub(KEEP_MS)]))
            .doing(doing)?;
    }
    Ok(())
}

impl Reader {
    /// What was owed to a destination from the hour of `from` on and before that of `to`, and what became of it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn uploaded(
        &self,
        destination: &DestinationId,
        (from, to): (Wall, Wall),
    ) -> Result<Uploaded, StoreError> {
        let (from, to) = (from.period_start(HOUR_MS), to.plus_ms(HOUR_MS - 1).period_start(HOUR_MS));
        let id = destination.as_str();
        let one = |sql: &str| -> Result<u64, StoreError> {
            let rows = each(&self.db, sql, params![id, from.0, to.0], |row| get::<i64>(row, "n"))?;
            Ok(rows.first().and_then(|n| u64::try_from(*n).ok()).unwrap_or(0))
        };
        let accepted = one(
            "select coalesce(sum(records), 0) as n from uploaded where destination = ?1 and hour >= ?2 and hour < ?3",
        )?;
        let set_aside = one(
            "select count(*) as n from set_aside where destination = ?1 and created >= ?2 and created < ?3",
        )?;
        let mut waiting = 0;
        for lane in 0..=1 {
            let (first, end) = (self.first_owed(id, lane, from)?, self.first_owed(id, lane, to)?);
            waiting += self.owed_between(id, lane, (first, end))?;
        }
        Ok(Uploaded { accepted, waiting, set_aside })
    }

    /// The number of the first record of a lane that was owed at a moment or later. Numbers and times grow together, so
    /// it is found by halving: a backlog may be a million records long.
    fn first_owed(&self, destination: &str, lane: i64, at: Wall) -> Result<i64, StoreError> {
        let doing = "looking what waits";
        let bounds = "select min(seq), max(seq) from outbox where destination = ?1 and lane = ?2";
        let bounds: (Option<i64>, Option<i64>) = self
            .db
            .query_row(bounds, params![destination, lane], |row| Ok((row.get(0)?, row.get(1)?)))
            .doing(doing)?;
        let (Some(mut low), Some(last)) = bounds else { return Ok(i64::MAX) };
        let mut high = last.saturating_add(1);
        let next = "select seq, created from outbox where destination = ?1 and lane = ?2 and seq >= ?3 \
             order by seq limit 1";
        let mut next = self.db.prepare_cached(next).doing(doing)?;
        while low < high {
            let middle = low + (high - low) / 2;
            let found: Option<(i64, i64)> = next
                .query_row(params![destination, lane, middle], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
                .doing(doing)?;
            match found {
                Some((seq, created)) if created < at.0 => low = seq.saturating_add(1),
                _ => high = middle,
            }
        }
        Ok(low)
    }

    fn owed_between(
        &self,
        destination: &str,
        lane: i64,
        (first, end): (i64, i64),
    ) -> Result<u64, StoreError> {
        let sql =
            "select count(*) from outbox where destination = ?1 and lane = ?2 and seq >= ?3 and seq < ?4";
        let many: i64 = self
            .db
            .query_row(sql, params![destination, lane, first, end], |row| row.get(0))
            .doing("counting what waits")?;
        Ok(u64::try_from(many).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{DestinationId, Wall};
    use crate::store::{FILE_NAME, Reader, Store, Uploaded};

    const HOUR: i64 = 3_600_000;
    const AT: i64 = 1_790_000_000_000 / HOUR * HOUR;

    #[test]
    fn what_was_owed_in_a_span_is_counted_whatever_became_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        // One record in every hour, in turn of both lanes, for two destinations.
        for n in 0..100_i64 {
            for (destination, seq) in [("city", 2 * n), ("other", 2 * n + 1)] {
                store
                    .db
                    .execute(
                        "insert into outbox (seq, destination, lane, uid, created, record) \
                         values (?1, ?2, ?3, ?1, ?4, '{}')",
                        rusqlite::params![seq, destination, n % 2, AT + n * HOUR + 7],
                    )
                    .unwrap();
            }
        }
        let city = DestinationId::new("city").unwrap();
        // The first half is taken, of the rest two are refused.
        let answer = crate::store::Settlement {
            delivered: (0..50).map(|n| 2 * n).collect(),
            set_aside: vec![(120, "no".into()), (122, "no".into())],
        };
        store.settle(&city, &answer, Wall(AT)).unwrap();
        drop(store);
        assert!(dir.path().join(FILE_NAME).exists());
        let reader = Reader::open(dir.path()).unwrap();
        for (from, to, accepted, waiting, set_aside) in [
            (0, 100, 50, 48, 2),
            (40, 70, 10, 18, 2),
            (45, 46, 1, 0, 0),
            (60, 62, 0, 0, 2),
            (100, 200, 0, 0, 0),
        ] {
            let found = reader.uploaded(&city, (Wall(AT + from * HOUR), Wall(AT + to * HOUR))).unwrap();
            assert_eq!(found, Uploaded { accepted, waiting, set_aside }, "{from} to {to}");
            assert_eq!(found.owed(), u64::try_from(to.min(100) - from.min(100)).unwrap());
        }
    }
}

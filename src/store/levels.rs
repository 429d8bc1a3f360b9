//! Hours and school days, made of the roll-ups that are uploaded; how long each level is kept; questions about them.
//!
//! The commit that holds a part notes, in the same transaction, that its hour and its day are due. When nothing waits,
//! [`Store::maintain`](super::Store::maintain) makes due periods that are over anew from all their parts and strikes
//! the note off with the last row. A crash in between leaves the note, and the period is made again: the outcome is
//! the same, so there is nothing to replay. A part belongs to the hour and the day in which it starts.

use super::read::{MAX_ROWS, roll_up_of};
use super::recall::each;
use super::{Doing, Reader, StoreError};
use crate::model::{DeviceId, Now, PointId, RollUp, Wall};
use jiff::tz::TimeZone;
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Roll-ups of the upload period are kept this long, milliseconds (92 days): a term's detail.
pub const KEEP_PARTS_MS: i64 = 92 * DAY_MS;
/// Hours are kept this long, milliseconds (three years), as long as the readings; days are kept for ever.
pub const KEEP_HOURS_MS: i64 = 3 * 366 * DAY_MS;
/// Parts are read so much of a day at once, milliseconds (2 hours): 8,000 rows of a thousand series.
const SCAN_MS: i64 = 2 * HOUR_MS;
/// Rows written in one step.
const WRITE_ROWS: usize = 500;
/// A period may still get parts so long after its end, milliseconds: the longest grace of a roll-up and a commit.
const SETTLE_MS: i64 = 20_000;
/// So much of a level's oldest rows is deleted at once, milliseconds.
const PRUNE_MS: i64 = 15 * 60_000;
/// Pause between two such deletions: four times as fast as rows are made, and a clock that is years ahead for an hour
/// costs no more than four hours' rows.
pub(super) const PRUNE_EVERY: Duration = Duration::from_secs(225);
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A level of roll-ups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The period that is uploaded, a quarter of an hour unless told otherwise.
    Upload,
    /// The hour.
    Hour,
    /// The school's local day.
    Day,
}

impl Level {
    /// From its word: `upload`, `hour`, `day`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Upload, Self::Hour, Self::Day].into_iter().find(|level| level.as_str() == word)
    }

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

/// The school's day, and the period that is being made.
#[derive(Debug)]
pub(super) struct Levels {
    zone: TimeZone,
    work: Option<Work>,
}

impl Default for Levels {
    /// China's day: one offset all the year.
    fn default() -> Self {
        Self { zone: TimeZone::fixed(jiff::tz::offset(8)), work: None }
    }
}

impl Levels {
    pub(super) fn in_zone(zone: TimeZone) -> Self {
        Self { zone, work: None }
    }

    /// The school day that holds a moment: its first moment and the next day's.
    pub(super) fn day_of(&self, at: Wall) -> (Wall, Wall) {
        day_of(&self.zone, at)
    }

    /// Notes which hours and days the parts of a commit are in; part of its transaction.
    pub(super) fn note<'a>(
        &self,
        tx: &Connection,
        parts: impl Iterator<Item = &'a RollUp>,
    ) -> Result<(), StoreError> {
        let starts: BTreeSet<Wall> = parts.map(|part| part.start).collect();
        let mut periods = BTreeSet::new();
        for start in starts {
            let hour = start.period_start(HOUR_MS);
            periods.insert((Level::Hour.as_str(), hour.0, hour.plus_ms(HOUR_MS).0));
            let (day, ends) = self.day_of(start);
            periods.insert((Level::Day.as_str(), day.0, ends.0));
        }
        for (level, start, ends) in periods {
            tx.prepare_cached("insert or replace into level_due (level, start, ends) values (?1, ?2, ?3)")
                .and_then(|mut s| s.execute(params![level, start, ends]))
                .doing("noting which hour and day are due")?;
        }
        Ok(())
    }

    /// What is being made has changed under way: it is begun anew.
    pub(super) fn forget<'a>(&mut self, mut parts: impl Iterator<Item = &'a RollUp>) {
        if let Some(Work { start, ends, .. }) = self.work
            && parts.any(|part| (start..ends).contains(&part.start.0))
        {
            self.work = None;
        }
    }

    /// Begins the period that is being made anew.
    pub(super) fn begin_anew(&mut self) {
        self.work = None;
    }

    /// One step; whether there is more to do at once.
    pub(super) fn step(&mut self, db: &mut Connection, now: Now) -> Result<bool, StoreError> {
        let Some(mut work) = self.work.take() else {
            self.work = next_due(db, now)?;
            return Ok(self.work.is_some());
        };
        // A step that fails leaves the note, and the next call begins anew.
        if work.next < work.ends {
            work.scan(db)?;
            self.work = Some(work);
        } else if work.write(db)? {
            self.work = Some(work);
        }
        Ok(true)
    }
}

/// The school day that holds a moment: its midnight and the next one. Where a change of the clocks leaves out midnight,
/// the first moment after it.
fn day_of(zone: &TimeZone, at: Wall) -> (Wall, Wall) {
    let day = || -> Result<(i64, i64), jiff::Error> {
        let local = jiff::Timestamp::from_millisecond(at.0)?.to_zoned(zone.clone());
        let start = local.start_of_day()?;
        let ends = local.tomorrow()?.start_of_day()?;
        Ok((start.timestamp().as_millisecond(), ends.timestamp().as_millisecond()))
    };
    match day() {
        Ok((start, ends)) if start <= at.0 && at.0 < ends => (Wall(start), Wall(ends)),
        // The ends of time, which no reading has.
        _ => (at.period_start(DAY_MS), at.period_start(DAY_MS).plus_ms(DAY_MS)),
    }
}

/// The oldest due period that is over. One whose clock ran ahead is over when a later one is due.
fn next_due(db: &Connection, now: Now) -> Result<Option<Work>, StoreError> {
    let over = if now.wall.plausible() { now.wall.plus_ms(-SETTLE_MS).0 } else { i64::MIN };
    db.prepare_cached(
        "select level, start, ends from level_due d where ends <= ?1 or exists \
         (select 1 from level_due later where later.level = d.level and later.start > d.start) \
         order by level desc, start limit 1",
    )
    .and_then(|mut s| {
        s.query_row([over], |row| {
            let (level, start): (String, i64) = (row.get(0)?, row.get(1)?);
            let day = level == Level::Day.as_str();
            Ok(Work { day, start, ends: row.get(2)?, next: start, sums: BTreeMap::new() })
        })
        .optional()
    })
    .doing("looking for hours and days that are due")
}

/// A period being made: parts up to `next` are in `sums`.
#[derive(Debug)]
struct Work {
    day: bool,
    start: i64,
    ends: i64,
    next: i64,
    sums: BTreeMap<i64, Sums>,
}

#[derive(Debug, Clone, Copy)]
struct Sums {
    count: i64,
    sum: f64,
    min: f64,
    max: f64,
    last: f64,
    delta: Option<f64>,
}

impl Sums {
    /// Adds a part that is later than those before it.
    fn add(&mut self, part: Self) {
        self.count = self.count.saturating_add(part.count);
        self.sum += part.sum;
        self.min = self.min.min(part.min);
        self.max = self.max.max(part.max);
        self.last = part.last;
        self.delta = match (self.delta, part.delta) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
    }

    fn of(row: &Row<'_>) -> rusqlite::Result<(i64, Self)> {
        let sums = Self {
            count: row.get(1)?,
            sum: row.get(2)?,
            min: row.get(3)?,
            max: row.get(4)?,
            last: row.get(5)?,
            delta: row.get(6)?,
        };
        Ok((row.get(0)?, sums))
    }
}

impl Work {
    fn scan(&mut self, db: &Connection) -> Result<(), StoreError> {
        let to = self.next.saturating_add(SCAN_MS).min(self.ends);
        let mut statement = db
            .prepare_cached(
                "select series, count, sum, min, max, last, delta from roll_up \
                 where start >= ?1 and start < ?2 order by start",
            )
            .doing("reading the parts of a period")?;
        let mut rows = statement.query([self.next, to]).doing("reading the parts of a period")?;
        while let Some(row) = rows.next().doing("reading the parts of a period")? {
            let (series, part) = Sums::of(row).doing("reading the parts of a period")?;
            self.sums.entry(series).and_modify(|sums| sums.add(part)).or_insert(part);
        }
        self.next = to;
        Ok(())
    }

    /// Writes some rows, with the last of them that the period is no longer due; whether there are more.
    fn write(&mut self, db: &mut Connection) -> Result<bool, StoreError> {
        let table = if self.day { "roll_up_day" } else { "roll_up_hour" };
        let tx = db.transaction().doing("storing a level")?;
        {
            // A row that would not change is not written: making a period again costs reads alone.
            let mut upsert = tx
                .prepare_cached(&format!(
                    "insert into {table} (series, start, ends, count, sum, min, max, last, delta, revision) \
                     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0) on conflict do update set \
                     ends = ?3, count = ?4, sum = ?5, min = ?6, max = ?7, last = ?8, delta = ?9, \
                     revision = revision + 1 where (ends, count, sum, min, max, last) \
                     <> (?3, ?4, ?5, ?6, ?7, ?8) or delta is not ?9"
                ))
                .doing("storing a level")?;
            for _ in 0..WRITE_ROWS {
                let Some((series, s)) = self.sums.pop_first() else { break };
                // Only a device that gives nonsense sums up to no number.
                if s.sum.is_finite() {
                    upsert
                        .execute(params![
                            series, self.start, self.ends, s.count, s.sum, s.min, s.max, s.last, s.delta
                        ])
                        .doing("storing a level")?;
                }
            }
        }
        if self.sums.is_empty() {
            let level = if self.day { Level::Day } else { Level::Hour };
            tx.prepare_cached("delete from level_due where level = ?1 and start = ?2")
                .and_then(|mut s| s.execute(params![level.as_str(), self.start]))
                .doing("noting that a level is made")?;
        }
        tx.commit().doing("storing a level")?;
        Ok(!self.sums.is_empty())
    }
}

/// Deletes the oldest [`PRUNE_MS`] of a level that is older than it is kept; whether there was any. A period whose hour
/// or day is still due stays: they are made of it.
pub(super) fn prune(db: &Connection, now: Now) -> Result<bool, StoreError> {
    if !now.wall.plausible() {
        return Ok(false);
    }
    let mut pruned = false;
    for (table, keep) in [("roll_up", KEEP_PARTS_MS), ("roll_up_hour", KEEP_HOURS_MS)] {
        let deleted = db
            .prepare_cached(&format!(
                "delete from {table} where start < (select min(start) from {table}) + ?1 and start < ?2 \
                 and not exists (select 1 from level_due d where {table}.start >= d.start \
                 and {table}.start < d.ends)"
            ))
            .and_then(|mut s| s.execute([PRUNE_MS, now.wall.plus_ms(-keep).0]))
            .doing("deleting old roll-ups")?;
        pruned |= deleted > 0;
    }
    Ok(pruned)
}

impl Reader {
    /// One device's roll-ups of a level that start in `[from, to)`, oldest first; at most [`MAX_ROWS`]. Hours and days
    /// are there once they are over.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn levels(
        &self,
        level: Level,
        device: &DeviceId,
        point: Option<&PointId>,
        from: Wall,
        to: Wall,
    ) -> Result<Vec<RollUp>, StoreError> {
        let named = "s.device, s.point, s.unit, s.kind from";
        let of = "s.device = :device and (:point is null or s.point = :point)";
        // Parts and hours are clustered by time: from one start to the next, and at each the device's few series.
        let by_time = |table: &str, secs: &str| {
            format!(
                "with recursive moment (at) as (select min(start) from {table} where start >= :from and start < :to \
                 union all select (select min(start) from {table} where start > moment.at and start < :to) \
                 from moment where moment.at is not null) \
                 select r.*, {secs} {named} moment cross join series s cross join {table} r \
                 on r.start = moment.at and r.series = s.id where {of} limit :limit"
            )
        };
        let sql = match level {
            Level::Upload => by_time("roll_up", ""),
            Level::Hour => by_time("roll_up_hour", "3600 as period_secs,"),
            Level::Day => format!(
                "select r.*, (r.ends - r.start) / 1000 as period_secs, {named} series s \
                 cross join roll_up_day r on r.series = s.id \
                 where {of} and r.start >= :from and r.start < :to order by r.start limit :limit"
            ),
        };
        let mut rows = each(
            &self.db,
            &sql,
            named_params! {
                ":device": device.as_str(), ":point": point.map(PointId::as_str),
                ":from": from.0, ":to": to.0, ":limit": MAX_ROWS
            },
            roll_up_of,
        )?;
        rows.sort_by_key(|r| r.start);
        Ok(rows)
    }
}

#[cfg(test)]
mod tests;

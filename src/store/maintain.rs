//! What the store does for itself when nothing waits: sealing, deleting what is dead, dropping what is too old, and
//! reading sealed files through, always one small step at a time.

use super::history::{self, Dropped, Sealing};
use super::retire::RETIRE_EVERY;
use super::{Doing, Store, StoreError, chain, levels, recall};
use crate::config::Keep;
use crate::model::time::EARLIEST_TRUE_WALL;
use crate::model::{Mono, Now, Wall};
use rusqlite::{OptionalExtension, params};
use std::time::Duration;

/// Readings of one file. More make better use of the compressor and fewer files, and take longer to be sealed: this
/// is four hours of a large school (16 readings a second), six files a day.
pub const SEAL_ROWS: u32 = 240_000;
const _: () = assert!(SEAL_ROWS as usize <= history::SEAL_MOST);
/// Readings are sealed at this age at the latest, milliseconds (26 hours): a small school's file holds one day, and
/// is made when the readings that a start looks at are of the next.
pub const SEAL_AGE_MS: i64 = 26 * 3600 * 1000;
/// Dead rows deleted in one step.
const DELETE_ROWS: i64 = 20_000;
/// Readings are kept this long, milliseconds (three years), room permitting; roll-ups stay.
pub const KEEP_READINGS_MS: i64 = 3 * 366 * 24 * 3600 * 1000;
/// Pause between two files dropped for their age: four times as many as are made, and a clock that is years ahead
/// for a day costs no more than a day's drops.
const DROP_EVERY: Duration = Duration::from_secs(3600);
/// Pause between two sealed files being read through: three years of them in two months.
const EXAMINE_EVERY: Duration = Duration::from_secs(600);
/// Pause between two looks for something to seal, unless many readings have come.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What the store remembers of its upkeep; all of it may be forgotten.
#[derive(Debug)]
pub(super) struct Upkeep {
    seal_rows: i64,
    checked: bool,
    sealing: Option<Sealing>,
    /// When something to seal was last looked for in vain, and up to which number.
    looked: Option<(Mono, i64)>,
    dropped: Option<Mono>,
    pruned: Option<Mono>,
    /// How long data are kept; `None` is for ever.
    pub(super) keep: Option<Keep>,
    retired: Option<Mono>,
    examined: Option<Mono>,
    /// Name of the file last examined.
    last_examined: String,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self {
            seal_rows: i64::from(SEAL_ROWS),
            checked: false,
            sealing: None,
            looked: None,
            dropped: None,
            pruned: None,
            keep: None,
            retired: None,
            examined: None,
            last_examined: String::new(),
        }
    }
}

impl Upkeep {
    /// Begins the sealing that is under way anew: the rows are about to change.
    pub(super) fn forget_sealing(&mut self) {
        self.sealing = None;
    }
}

impl Store {
    /// Does one small step of what the store does for itself; whether more is to be done at once.
    ///
    /// Call it when nothing waits, and again at once while it says so, else every few seconds. A step that fails has
    /// changed nothing that counts, and is begun anew by a later call.
    ///
    /// # Errors
    /// When SQLite or the disk refuses.
    pub fn maintain(&mut self, now: Now) -> Result<bool, StoreError> {
        if !self.upkeep.checked {
            let found = history::check_listed(&mut self.db, &self.place, now.wall)?;
            found.iter().for_each(history::Found::tell);
            self.upkeep.checked = true;
            return Ok(true);
        }
        if let Some(sealing) = &mut self.upkeep.sealing {
            let outcome = sealing.step(&mut self.db, now.wall);
            if !matches!(outcome, Ok(None)) {
                self.upkeep.sealing = None;
                self.upkeep.looked = outcome.is_err().then_some((now.mono, i64::MAX));
            }
            if let Some(sealed) = outcome?.flatten() {
                let history::Sealed { file, readings, bytes, .. } = sealed;
                tracing::info!(file, readings, bytes, "readings sealed");
            }
            return Ok(true);
        }
        if self.delete_dead()? || self.levels.step(&mut self.db, now)? {
            return Ok(true);
        }
        if let Some((after, through)) = self.sealable(now)? {
            self.upkeep.sealing = Some(Sealing::begin(&self.db, &self.place, after, through)?);
            return Ok(true);
        }
        if due(&mut self.upkeep.pruned, now, levels::PRUNE_EVERY) {
            levels::prune(&self.db, now)?;
        }
        if due(&mut self.upkeep.retired, now, RETIRE_EVERY) {
            self.retire(now)?;
        }
        self.drop_old(now)?;
        self.examine_next(now)?;
        Ok(false)
    }

    /// Seals after so many readings instead of [`SEAL_ROWS`], at most as many: tests do not want to wait.
    pub fn seal_rows(&mut self, rows: u32) {
        self.upkeep.seal_rows = i64::from(rows.clamp(1, SEAL_ROWS));
    }

    /// Drops the oldest sealed file to make room, and counts its readings under `reason`; `None` if there is none.
    ///
    /// # Errors
    /// When SQLite or the disk refuses.
    pub fn drop_oldest_readings(&mut self, reason: &str, at: Wall) -> Result<Option<Dropped>, StoreError> {
        history::drop_oldest(&mut self.db, &self.place, reason, at)
    }

    pub(super) fn delete_dead(&mut self) -> Result<bool, StoreError> {
        let sealed = history::sealed_through(&self.db)?;
        // Readings hold no persons, and overwriting every page of them would double what the card writes.
        let secure = |db: &rusqlite::Connection, how: &str| {
            db.pragma_update(None, "secure_delete", how).doing("configuring the database")
        };
        secure(&self.db, "fast")?;
        let deleted = chain::delete_readings(
            &mut self.db,
            "seq <= ?1 and seq < (select min(seq) from reading) + ?2",
            params![sealed, DELETE_ROWS],
        );
        secure(&self.db, "on")?;
        Ok(deleted? > 0)
    }

    /// The rows to seal now: those behind the first number, up to the second.
    fn sealable(&mut self, now: Now) -> Result<Option<(i64, i64)>, StoreError> {
        let seal_rows = self.upkeep.seal_rows;
        let last = self.series.last_reading();
        if let Some((at, seen)) = self.upkeep.looked {
            let grown = last.saturating_sub(seen) >= seal_rows / 8;
            if !grown && now.mono.since(at) < LOOK_EVERY {
                return Ok(None);
            }
        }
        self.upkeep.looked = Some((now.mono, last));
        let end = |sql: &str, parameters: &[&dyn rusqlite::ToSql]| {
            self.db
                .prepare_cached(sql)
                .and_then(|mut s| s.query_row(parameters, |row| Ok((row.get(0)?, row.get(1)?))).optional())
                .doing("looking for readings to seal")
        };
        let sealed = history::sealed_through(&self.db)?;
        let oldest: Option<(i64, i64)> =
            end("select seq, arrived from reading where seq > ?1 order by seq limit 1", &[&sealed])?;
        let newest: Option<(i64, i64)> =
            end("select seq, arrived from reading order by seq desc limit 1", &[])?;
        let (Some((first, oldest)), Some((_, newest))) = (oldest, newest) else { return Ok(None) };
        let old = now.wall.plausible() && now.wall.since(Wall(oldest)) > SEAL_AGE_MS;
        if !old && last - first + 1 < seal_rows {
            return Ok(None);
        }
        // What a start looks at stays hot: what is near the newest in time, and not too many.
        let (from, to) =
            (newest.saturating_sub(recall::LONGEST_LOOK_MS), newest.saturating_add(recall::LONGEST_LOOK_MS));
        let far: Option<(i64, i64)> = end(
            "select seq, arrived from reading where seq > ?1 and (arrived < ?2 or arrived > ?3) \
             order by seq desc limit 1",
            &[&sealed, &from, &to],
        )?;
        let boundary = far.map_or(0, |(seq, _)| seq).max(last - recall::RECALLED_READINGS);
        if boundary < first {
            return Ok(None);
        }
        if !old && boundary - first + 1 < seal_rows {
            return Ok(None);
        }
        self.upkeep.looked = None;
        Ok(Some((first - 1, boundary.min(first - 1 + seal_rows))))
    }

    fn drop_old(&mut self, now: Now) -> Result<(), StoreError> {
        if !due(&mut self.upkeep.dropped, now, DROP_EVERY) || !now.wall.plausible() {
            return Ok(());
        }
        // A file from before the clock was set goes when the one after it does.
        let oldest = history::listed(
            &self.db,
            "where last_at >= ?1 order by first_seq limit 1",
            [EARLIEST_TRUE_WALL.0],
        )?;
        if oldest.iter().any(|file| now.wall.since(Wall(file.last_at)) > KEEP_READINGS_MS)
            && let Some(Dropped { readings, bytes }) = self.drop_oldest_readings("age", now.wall)?
        {
            tracing::info!(readings, bytes, "readings older than three years dropped; their roll-ups stay");
        }
        Ok(())
    }

    fn examine_next(&mut self, now: Now) -> Result<(), StoreError> {
        if !due(&mut self.upkeep.examined, now, EXAMINE_EVERY) {
            return Ok(());
        }
        let next =
            history::listed(&self.db, "where file > ?1 order by file limit 1", [&self.upkeep.last_examined])?;
        let Some(sealed) = next.into_iter().next() else {
            self.upkeep.last_examined.clear();
            return Ok(());
        };
        self.upkeep.last_examined.clone_from(&sealed.file);
        if let Some(found) = history::examine(&mut self.db, &self.place, sealed, now.wall)? {
            found.tell();
        }
        Ok(())
    }
}

/// Whether a pause has passed, counted from the first time this was asked; begins the next.
fn due(last: &mut Option<Mono>, now: Now, pause: Duration) -> bool {
    let since = *last.get_or_insert(now.mono);
    let due = now.mono.since(since) >= pause;
    if due {
        *last = Some(now.mono);
    }
    due
}

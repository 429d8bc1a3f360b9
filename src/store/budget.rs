//! How much room the data directory may take, and what is given up when it is used up.
//!
//! All files below the data directory count, whoever wrote them: the database, its log, what is owed, sealed readings,
//! pictures, log files. The order of sacrifice: the oldest readings (sealed files whole, then rows), then quarantined
//! payloads, then the oldest roll-ups. Alarms, events, what is owed to platforms, what was set aside and the audit
//! trail are never given up. Every row given up is counted in the table `dropped`, and that rows are given up is itself
//! an alarm.
//!
//! A ballast file is room in reserve: when the disk is full it is deleted, so that alarms can still be stored. It is
//! never smaller than the write-ahead log may grow, because the log can only be emptied while there is room for what
//! it holds.

use super::append::count_dropped;
use super::replace::{DAMAGED, REPLACED};
use super::{CHECKPOINT_PAGES, Doing, FILE_NAME, Store, StoreError, chain};
use crate::model::{Mono, Now, Wall};
use crate::pipeline::Dropped;
use rusqlite::{Connection, TransactionBehavior, params};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Room that the data directory may take unless it is told, MiB.
pub const DEFAULT_BUDGET_MB: u32 = 4096;

const MIB: u64 = 1024 * 1024;
/// The ballast, where budget and disk are large enough; else a sixteenth of the smaller of them.
const BALLAST: u64 = 64 * MIB;
/// The ballast grows by this much in a step: a slow card writes it in a tenth of a second.
const BALLAST_STEP: u64 = MIB;
/// Bytes of a page of the database, as SQLite makes it.
const PAGE_BYTES: u64 = 4096;
const BALLAST_FILE: &str = "ballast";
/// Room that is to be left on the disk, for the write-ahead log and for others; on a small disk a quarter of it.
const RESERVE: u64 = 80 * MIB;
/// Free room inside the database and beside it that is made first for a commit that did not fit; twice as much each time
/// that it still does not.
const ROOM_FOR_COMMITS: u64 = MIB;
/// Fewest pages of the write-ahead log at which it is copied into the file.
const FEWEST_PAGES: u64 = 64;
/// Rows given up in one step: some 100 KiB, in some milliseconds.
const STEP_ROWS: u32 = 2000;
/// Pause between two looks at how much room is taken.
const MEASURE_EVERY: Duration = Duration::from_secs(10);
/// Pause between two checkpoints by the clock. Each writes the pages that were changed since the last once more, so
/// more often would wear the card; SQLite makes one of its own after every 1,000 pages.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(600);

/// The word under which readings that were given up are counted.
const READINGS: &str = "readings";
/// What is given up after readings, in this order: the word under which it is counted, and how the oldest rows are
/// deleted.
const SACRIFICES: &[(&str, &str)] = &[
    ("quarantine", "delete from quarantine where seq in (select seq from quarantine order by seq limit ?1)"),
    (
        "roll_ups",
        "delete from roll_up where (start, series, period_secs) in \
         (select start, series, period_secs from roll_up order by start limit ?1)",
    ),
];

/// How much room there is, as the store found it last.
#[derive(Debug, Clone, Default)]
pub struct Room {
    /// Bytes that the data directory takes; inside the database only those in use.
    pub used: u64,
    /// Bytes that it may take.
    pub budget: u64,
    /// Whether old data is being given up.
    pub sacrificing: bool,
    dropped: Vec<(&'static str, u64)>,
}

impl Room {
    /// Rows given up since this was asked last, by reason.
    pub fn take_dropped(&mut self) -> Vec<(&'static str, u64)> {
        std::mem::take(&mut self.dropped)
    }
}

/// What was found on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Measured {
    /// Bytes in use by us.
    used: u64,
    /// Bytes free inside the database.
    free_inside: u64,
    /// Bytes that the write-ahead log takes and will use again.
    log: u64,
    /// Bytes by which the database will grow when the log is copied into it.
    growth: u64,
    /// Bytes free on the disk.
    free: u64,
    /// Bytes of the whole disk.
    disk: u64,
}

impl Measured {
    /// Bytes that can still be stored on the disk.
    fn left(&self) -> u64 {
        self.free.saturating_add(self.free_inside).saturating_add(self.log).saturating_sub(self.growth)
    }
}

/// The room that may be taken.
#[derive(Debug)]
pub(super) struct Budget {
    dir: PathBuf,
    bytes: u64,
    measured_at: Option<Mono>,
    checkpointed_at: Option<Mono>,
    /// Old data is being given up until there is some room again.
    sacrificing: bool,
    /// Room that is made at once when the disk is full.
    wanted: u64,
}

impl Budget {
    pub(super) fn new(dir: &Path, mb: u32) -> Self {
        let bytes = u64::from(mb) * MIB;
        let dir = dir.to_owned();
        let (measured_at, checkpointed_at) = (None, None);
        Self { dir, bytes, measured_at, checkpointed_at, sacrificing: false, wanted: ROOM_FOR_COMMITS }
    }

    pub(super) fn set(&mut self, mb: u32) {
        self.bytes = u64::from(mb) * MIB;
    }

    fn ballast(&self) -> PathBuf {
        self.dir.join(BALLAST_FILE)
    }

    fn ballast_bytes(&self) -> u64 {
        std::fs::metadata(self.ballast()).map_or(0, |meta| meta.len())
    }

    fn ballast_goal(&self, disk: u64) -> u64 {
        BALLAST.min(self.bytes / 16).min(disk / 16)
    }

    /// Whether more room is taken than may be; `slack` is what is to be free beyond that, in sixteenths.
    fn over(&self, found: &Measured, slack: u64) -> bool {
        let reserve = RESERVE.min(found.disk / 4);
        found.used > self.bytes - self.bytes / 16 * slack || found.left() < reserve + reserve / 16 * slack
    }

    /// Keeps the write-ahead log smaller than the ballast, on a small disk.
    pub(super) fn fit_log(&self, db: &Connection) -> Result<(), StoreError> {
        let disk = rustix::fs::statvfs(&self.dir).map(|disk| disk.f_blocks.saturating_mul(disk.f_frsize));
        let pages = disk.map_or(u64::MAX, |bytes| self.ballast_goal(bytes) / PAGE_BYTES);
        let pages = pages.clamp(FEWEST_PAGES, u64::from(CHECKPOINT_PAGES));
        db.pragma_update(None, "wal_autocheckpoint", i64::try_from(pages).unwrap_or(i64::MAX))
            .doing("configuring the database")
    }

    /// Looks how much room is taken and left.
    fn measure(&self, db: &Connection) -> Result<Measured, StoreError> {
        let mut found = self.look(db)?;
        found.used += others_bytes(&self.dir).map_err(|cause| self.unmeasured(cause))?;
        Ok(found)
    }

    fn unmeasured(&self, cause: std::io::Error) -> StoreError {
        StoreError::File { path: self.dir.clone(), doing: "measuring", cause }
    }

    /// The same without the files beside the database: cheap enough for every commit.
    fn look(&self, db: &Connection) -> Result<Measured, StoreError> {
        let number = |name: &str| {
            db.pragma_query_value(None, name, |row| row.get::<_, i64>(0))
                .map(|n| u64::try_from(n).unwrap_or(0))
                .doing("measuring the database")
        };
        let page = number("page_size")?;
        let (pages, unused) = (number("page_count")?, number("freelist_count")?);
        let disk = rustix::fs::statvfs(&self.dir).map_err(|errno| self.unmeasured(errno.into()))?;
        let length = |name: &str| std::fs::metadata(self.dir.join(name)).map_or(0, |meta| meta.len());
        Ok(Measured {
            used: pages.saturating_sub(unused) * page,
            free_inside: unused * page,
            log: length(&format!("{FILE_NAME}-wal")),
            growth: (pages * page).saturating_sub(length(FILE_NAME)),
            free: disk.f_bavail.saturating_mul(disk.f_frsize),
            disk: disk.f_blocks.saturating_mul(disk.f_frsize),
        })
    }

    /// Lets the ballast grow by a step where there is room for it; whether there is more to do.
    fn load_ballast(&self, found: &Measured) -> Result<bool, StoreError> {
        let (has, goal) = (self.ballast_bytes(), self.ballast_goal(found.disk));
        let step = goal.saturating_sub(has).min(BALLAST_STEP);
        if step == 0 || found.free < goal - has + RESERVE.min(found.disk / 8) {
            return Ok(false);
        }
        let failed = |cause| StoreError::File { path: self.ballast(), doing: "writing the ballast", cause };
        let zeros = vec![0; usize::try_from(step).unwrap_or(0)];
        let mut file = OpenOptions::new().create(true).append(true).open(self.ballast()).map_err(failed)?;
        file.write_all(&zeros).and_then(|()| file.sync_data()).map_err(failed)?;
        Ok(has + step < goal)
    }

    /// Throws the ballast away; whether there was any.
    fn drop_ballast(&self) -> bool {
        let path = self.ballast();
        // Emptied first: then its room is free even where the directory itself cannot be written.
        let emptied = self.ballast_bytes() > 0 && File::create(&path).is_ok();
        std::fs::remove_file(&path).is_ok() || emptied
    }
}

/// Bytes of all files below a directory but the database's main file and what was moved aside as damaged or replaced.
fn others_bytes(dir: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(&next)? {
            let entry = entry?;
            let name = entry.file_name();
            if next == dir && [FILE_NAME, DAMAGED, REPLACED].iter().any(|kept| name == *kept) {
                continue;
            }
            // A file that is gone meanwhile takes no room.
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => dirs.push(entry.path()),
                Ok(meta) => sum += meta.len(),
                Err(_) => {}
            }
        }
    }
    Ok(sum)
}

impl Store {
    /// The disk is full: throws the ballast away, if there is any. This needs no room and no database.
    pub(super) fn release(&mut self) -> bool {
        let dropped = self.budget.drop_ballast();
        if dropped {
            tracing::warn!(
                "the disk is full: the ballast is thrown away, so that alarms can still be stored"
            );
        }
        dropped
    }

    /// The disk is full: gives up old data until a commit fits into the file again. `false` when that would not help.
    ///
    /// # Errors
    /// When there is not even room for that.
    pub(super) fn give_room(&mut self, now: Now, room: &mut Room) -> Result<bool, StoreError> {
        let wanted = self.budget.wanted;
        self.budget.wanted = wanted.saturating_mul(2).min(self.budget.bytes);
        let mut gave = false;
        loop {
            let found = self.budget.look(&self.db)?;
            if found.free_inside.saturating_add(found.free) >= wanted {
                break;
            }
            // Rows that are sealed already cost nothing.
            if self.delete_dead()? {
                gave = true;
                continue;
            }
            let rows = self.sacrifice(now.wall, room)?;
            if rows == 0 {
                break;
            }
            gave = true;
        }
        // Until there is room again, the reserve is watched.
        self.budget.measured_at = None;
        Ok(gave)
    }

    /// Whether the room that is to be left on the disk is being used up, and something may be done about it. Asked after
    /// every commit, as a small disk is full long before it is measured again.
    pub(super) fn pressed(&mut self, now: Now) -> bool {
        self.budget.wanted = ROOM_FOR_COMMITS;
        let in_vain = |at| now.mono.since(at) < MEASURE_EVERY;
        if self.budget.sacrificing && self.budget.measured_at.is_some_and(in_vain) {
            return false;
        }
        // What of the budget is used is measured by the clock.
        self.budget.look(&self.db).is_ok_and(|found| self.budget.over(&Measured { used: 0, ..found }, 0))
    }

    /// One small step of keeping order: room, ballast, checkpoint, sealing. Whether there is more to do.
    ///
    /// # Errors
    /// When the database or the directory cannot be read or written.
    pub(super) fn upkeep(&mut self, now: Now, idle: bool, room: &mut Room) -> Result<bool, StoreError> {
        let due = |at: Option<Mono>, every| at.is_none_or(|at| now.mono.since(at) >= every);
        if self.budget.sacrificing || due(self.budget.measured_at, MEASURE_EVERY) || self.pressed(now) {
            let found = self.budget.measure(&self.db)?;
            self.budget.sacrificing = self.budget.over(&found, u64::from(self.budget.sacrificing));
            (room.used, room.budget) = (found.used, self.budget.bytes);
            if self.budget.sacrificing {
                let rows = self.sacrifice(now.wall, room)?;
                // With nothing left to give up it holds on, and is looked at again.
                self.budget.measured_at = (rows == 0).then_some(now.mono);
                room.sacrificing = true;
                return Ok(rows > 0);
            }
            room.sacrificing = false;
            if self.budget.load_ballast(&found)? {
                return Ok(true);
            }
            self.budget.measured_at = Some(now.mono);
        }
        if due(self.budget.checkpointed_at, CHECKPOINT_EVERY) {
            if self.budget.checkpointed_at.is_some() {
                self.checkpoint(idle)?;
            }
            self.budget.checkpointed_at = Some(now.mono);
        }
        self.maintain(now)
    }

    /// Copies the log into the file; when nothing is being written, also gives the log's room back.
    pub(super) fn checkpoint(&self, idle: bool) -> Result<(), StoreError> {
        let sql = if idle { "pragma wal_checkpoint(truncate)" } else { "pragma wal_checkpoint(passive)" };
        // A reader in the way is no failure: what it holds up is copied the next time.
        self.db.query_row(sql, [], |_| Ok(())).doing("writing the log into the database")
    }

    /// Gives up the oldest readings that are not sealed, and counts them in the same transaction; how many.
    fn drop_oldest_rows(&mut self, now: Wall) -> Result<u64, StoreError> {
        let doing = "giving up old readings";
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
        let rows = chain::delete_readings_in(
            &tx,
            "seq in (select seq from reading where seq > \
             (select coalesce(max(cast(value as integer)), 0) from meta where key = 'sealed_through') \
             order by seq limit ?1)",
            params![STEP_ROWS],
        )?;
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        if rows > 0 {
            count_dropped(&tx, Dropped { reason: READINGS, rows, at: now })?;
            tx.commit().doing(doing)?;
        }
        Ok(rows)
    }

    /// Gives up the oldest sealed file, or the oldest rows of the first kind that has any; how many.
    fn sacrifice(&mut self, now: Wall, room: &mut Room) -> Result<u64, StoreError> {
        if let Some(file) = self.drop_oldest_readings(READINGS, now)? {
            let rows = file.readings;
            room.dropped.push((READINGS, rows));
            return Ok(rows);
        }
        // What is being sealed may be among what is given up.
        self.upkeep.forget_sealing();
        // Rows that are sealed already are dead and cost nothing but their deletion, which is not a loss.
        let rows = self.drop_oldest_rows(now)?;
        if rows > 0 {
            room.dropped.push((READINGS, rows));
            return Ok(rows);
        }
        for (reason, sql) in SACRIFICES {
            let tx = self
                .db
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .doing("beginning to give up rows")?;
            let rows = tx
                .prepare_cached(sql)
                .and_then(|mut s| s.execute(params![STEP_ROWS]))
                .doing("giving up old rows")?;
            if rows > 0 {
                let rows = u64::try_from(rows).unwrap_or(u64::MAX);
                count_dropped(&tx, Dropped { reason, rows, at: now })?;
                tx.commit().doing("giving up old rows")?;
                room.dropped.push((reason, rows));
                return Ok(rows);
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1024 * MIB;

    #[test]
    fn over_the_budget_or_into_the_reserve_is_over() {
        let budget = Budget::new(Path::new("/"), 1024);
        let roomy =
            Measured { used: GIB / 2, free_inside: 0, log: 0, growth: 0, free: 100 * GIB, disk: 200 * GIB };
        let card = Measured { used: 10 * MIB, free: 6 * MIB, disk: 16 * MIB, ..Measured::default() };
        for (found, over, not_yet_enough) in [
            (roomy, false, false),
            (Measured { used: GIB, ..roomy }, false, true),
            (Measured { used: GIB + 1, ..roomy }, true, true),
            (Measured { free: RESERVE, ..roomy }, false, true),
            (Measured { free: RESERVE - 1, ..roomy }, true, true),
            // What is free inside the file or in its log is room, too.
            (Measured { free: 0, free_inside: RESERVE, ..roomy }, false, true),
            (Measured { free: MIB, free_inside: RESERVE / 2, log: RESERVE / 2, ..roomy }, false, true),
            (Measured { free: 0, log: RESERVE + MIB, growth: MIB, ..roomy }, false, true),
            (Measured { free: 0, log: RESERVE, growth: 1, ..roomy }, true, true),
            (card, false, false),
            (Measured { free: 4 * MIB - 1, ..card }, true, true),
        ] {
            assert_eq!((budget.over(&found, 0), budget.over(&found, 1)), (over, not_yet_enough), "{found:?}");
        }
    }

    #[test]
    fn the_ballast_fits_budget_and_disk() {
        for (mb, disk, goal) in [
            (4096, 100 * GIB, 64 * MIB),
            (64, 100 * GIB, 4 * MIB),
            (4096, 16 * MIB, MIB),
            (4096, GIB, 64 * MIB),
        ] {
            assert_eq!(Budget::new(Path::new("/"), mb).ballast_goal(disk), goal);
        }
    }

    #[test]
    fn the_ballast_grows_in_steps_where_there_is_room_and_is_thrown_away_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let budget = Budget::new(dir.path(), 64);
        let found = Measured { disk: 100 * GIB, free: 50 * GIB, ..Measured::default() };
        let mut steps = 1;
        while budget.load_ballast(&found).unwrap() {
            steps += 1;
        }
        assert_eq!((steps, budget.ballast_bytes()), (4, 4 * MIB));
        assert!(!budget.load_ballast(&found).unwrap());
        assert!(budget.drop_ballast());
        assert!(!budget.drop_ballast());
        assert!(!budget.load_ballast(&Measured { free: RESERVE, ..found }).unwrap());
        assert_eq!(budget.ballast_bytes(), 0);
    }
}

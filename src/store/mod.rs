//! The store: one SQLite file, one transaction per commit, one thread that owns the write connection.
//!
//! [`Store`] is synchronous and is what tests use; [`Handle`] is the same thing from any task, on its own thread.
//! [`Reader`] looks at the file through a connection that cannot write.

mod alarms;
mod append;
mod backup;
mod budget;
mod chain;
mod climbed;
#[cfg(test)]
pub(crate) mod doubles;
mod energy;
mod export;
mod fault;
mod handle;
mod health;
mod history;
mod levels;
mod links;
mod lives;
mod lock;
mod maintain;
mod migrate;
mod minutes;
mod numbers;
mod past;
mod people;
mod periods;
mod read;
mod recall;
mod reopen;
mod repair;
mod replace;
mod rescue;
mod retire;
mod rows;
mod salvage;
mod since;
mod site_key;
mod sought;
mod stats;
mod steps;
mod trail;
mod uploaded;
mod usage;
mod verify;
mod worker;

pub use backup::{BACKUP_DATABASE, Backup, BackupError, MANIFEST, Restored, backup, backup_while, restore};
pub use budget::{DEFAULT_BUDGET_MB, Room};
pub use energy::{ENERGY_COUNTERS, Metered};
pub use export::{ExportError, Exported, Format, What, export};
pub use fault::StoreFault;
pub use handle::{Handle, PendingCommit, WeakHandle, open};
pub use health::{Health, Rescued};
pub use history::{
    Chunk, ChunkPlace, Damage, Disk, Dropped, HistoryFile, Machine, Row, Sealed, SeriesName, Span,
};
pub use levels::{KEEP_HOURS_MS, KEEP_PARTS_MS, Level};
pub use maintain::{KEEP_READINGS_MS, SEAL_AGE_MS, SEAL_ROWS};
pub use migrate::SCHEMA_VERSION;
pub use minutes::{MINUTE_READINGS, MINUTES_MS};
pub use numbers::RESTORE_MARGIN;
pub use past::{Past, Reach};
pub use people::{is_database, traces};
pub use periods::{RECALLED_HOURS_DAYS, RECALLED_PARTS_DAYS};
pub use read::{EventFilter, MAX_ROWS, Page, QuarantineRow, Reader, SetAsideRow, StrangerRow};
pub use repair::{Repaired, repair};
pub use since::{MOST_MISSED, Missed, Standing};
pub use site_key::site_key;
pub use sought::{AlarmFilter, AlarmState};
pub use stats::{KindStats, Stats};
pub use steps::{AlarmStep, Raised};
pub use trail::{TrailRow, TrailSought, TrailVerdict};
pub use uploaded::Uploaded;
pub use usage::{Usage, usage};
pub use verify::{Broken, Depth, QUICK_ROWS, Verdict};

use crate::model::{DestinationId, OutboxItem, SiteKey, Wall};
use crate::museum;
use crate::pipeline::{Commit, Remembered};
use jiff::tz::TimeZone;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The database's file name in the data directory.
pub const FILE_NAME: &str = "schoolgate.db";
/// `PRAGMA application_id` of the file: "SGAT".
pub const APPLICATION_ID: i32 = 0x5347_4154;
/// Oldest SQLite that is safe: 3.7.0 to 3.51.2 can corrupt a WAL file that two connections use.
pub const OLDEST_SQLITE: i32 = 3_051_003;
/// Pages in the write-ahead log at which it is copied into the file.
const CHECKPOINT_PAGES: u32 = 1000;
/// Statements kept prepared: more than this module has, so that none is parsed twice.
const STATEMENTS: usize = 64;
/// Size to which the write-ahead log is cut after a checkpoint, bytes.
const JOURNAL_LIMIT_BYTES: u32 = 16 * 1024 * 1024;
/// Rows kept in quarantine; the oldest give way.
pub const QUARANTINE_ROWS: i64 = 10_000;
/// Strangers remembered; further ones are only counted.
pub const STRANGERS: i64 = 1_000;

/// What a platform said of records, to be made durable.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settlement {
    /// Numbers of records it has; their rows are deleted.
    pub delivered: Vec<u64>,
    /// Numbers of records it will never take, with its reason; their rows move to `set_aside`.
    pub set_aside: Vec<(u64, String)>,
}

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store's thread has ended.
    #[error("the store is closed")]
    Closed,
    /// A commit that failed is tried again first.
    #[error("the store waits for its disk")]
    Waiting,
    /// A file or directory could not be used.
    #[error("{path}: {doing} failed")]
    File {
        /// Which.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// Another process has it.
    #[error("{0}: another schoolgate uses this data directory; stop it first (systemctl stop schoolgate)")]
    Locked(PathBuf),
    /// It is some other program's file.
    #[error(
        "{path} is not a Schoolgate database (application id {found:#010x}); set [store] dir to another directory"
    )]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Whose mark it bears.
        found: i32,
    },
    /// It is not what was written.
    #[error("{path} is damaged: {what}")]
    Unsound {
        /// Which.
        path: PathBuf,
        /// In which way.
        what: String,
    },
    /// It is no SQLite file, or no longer.
    #[error(
        "{path} is damaged or not a SQLite database; restore a backup, or move it away to begin with an empty one"
    )]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        cause: rusqlite::Error,
    },
    /// A newer Schoolgate wrote it.
    #[error(
        "{path} was written by a newer Schoolgate (schema {found}, this program knows {SCHEMA_VERSION}); install that version or restore a backup"
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its schema.
        found: i32,
    },
    /// The SQLite linked in can corrupt the file.
    #[error("SQLite {0} is older than 3.51.3, which can corrupt the database; build with the bundled one")]
    OldSqlite(&'static str),
    /// The database works without a write-ahead log, and what it acknowledged could be lost.
    #[error(
        "the database cannot have a write-ahead log (its journal is '{found}'): the disk fails, or is a network share; [store] dir must be on a sound disk of this machine"
    )]
    NoLog {
        /// How it works instead.
        found: String,
    },
    /// SQLite refused.
    #[error("{doing} failed")]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        cause: rusqlite::Error,
    },
    /// A row cannot be read back.
    #[error("{table} row {row} is not readable: {problem}")]
    Row {
        /// In which table.
        table: &'static str,
        /// Which.
        row: i64,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of sealed readings is not as it was written.
    #[error("{path}: the sealed readings cannot be read back")]
    Sealed {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        cause: Damage,
    },
    /// A record cannot be written down.
    #[error("a record cannot be written as JSON")]
    Json(#[source] serde_json::Error),
}

impl StoreError {
    /// Says which file is damaged, when that is what SQLite says.
    fn of_file(self, path: &Path) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Sqlite { cause, .. }
                if matches!(cause.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)) =>
            {
                Self::Damaged { path: path.to_owned(), cause }
            }
            other => other,
        }
    }
}

/// Names what was being done when SQLite refused.
trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, rusqlite::Error> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|cause| StoreError::Sqlite { doing, cause })
    }
}

/// What a commit did that could not be known before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// Events left out because the device's serial was stored before.
    pub duplicate_events: u64,
    /// The number of the last step of an alarm in it; those before it have the numbers before. 0 where it has none.
    pub last_step: u64,
}

/// The database, open for writing by this process alone.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    series: append::SeriesIds,
    path: PathBuf,
    /// Where sealed files are.
    place: history::Place,
    /// SQLite's name of the file system it is on; `None` is the machine's.
    vfs: Option<String>,
    /// Where the tables ended when the last commit that did not return well was begun.
    before: Option<reopen::Tail>,
    budget: budget::Budget,
    rescued: Option<Rescued>,
    upkeep: maintain::Upkeep,
    levels: levels::Levels,
    /// Dropped after the connection.
    _lock: lock::DirLock,
}

impl Store {
    /// Opens or makes the database in a data directory, which is made if it is missing.
    ///
    /// # Errors
    /// When the directory is in use by another process, or the file is not ours, newer, or unusable.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_on(dir, None, Arc::new(Machine))
    }

    /// As [`Store::open`], on a file system that this process has registered with SQLite under that name; sealed files
    /// are written to `disk`.
    ///
    /// # Errors
    /// As there; and when there is no file system of that name.
    pub fn open_on(dir: &Path, vfs: Option<&str>, disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(StoreError::OldSqlite(rusqlite::version()));
        }
        let file = |doing| move |cause| StoreError::File { path: dir.to_owned(), doing, cause };
        std::fs::create_dir_all(dir).map_err(file("making the data directory"))?;
        let lock = lock::DirLock::take(dir)?;
        let path = dir.join(FILE_NAME);
        let place = history::Place { dir: dir.to_owned(), disk };
        let ((mut db, mut series), rescued) =
            rescue::open(dir, &path, vfs).map_err(|error| error.of_file(&path))?;
        match history::tidy(&mut db, &place) {
            Ok(found) => {
                found.iter().for_each(history::Found::tell);
                // A file that was listed again has numbers of its own.
                series = append::SeriesIds::load(&db).map_err(|error| error.of_file(&path))?;
            }
            // Nothing depends on it: the next start tries again.
            Err(error) => tracing::warn!(
                error = %crate::runtime::Chain(&error),
                "the directory of sealed readings could not be put in order"
            ),
        }
        let budget = budget::Budget::new(dir, DEFAULT_BUDGET_MB);
        budget.fit_log(&db)?;
        Ok(Self {
            db,
            series,
            budget,
            path,
            place,
            vfs: vfs.map(str::to_owned),
            before: None,
            rescued,
            upkeep: maintain::Upkeep::default(),
            levels: levels::Levels::default(),
            _lock: lock,
        })
    }

    /// Sets how much room everything in the data directory may take together, MiB.
    pub fn set_budget(&mut self, mb: u32) {
        self.budget.set(mb);
    }

    /// What was found damaged when it was opened.
    #[must_use]
    pub fn rescued(&self) -> Option<&Rescued> {
        self.rescued.as_ref()
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The school's key for pseudonyms, made at first start.
    ///
    /// # Errors
    /// When its file cannot be read or made.
    pub fn site_key(&self) -> Result<SiteKey, StoreError> {
        site_key::read_or_make(&self.path.with_file_name("site.key"))
    }

    /// Makes commits durable, all of them in one transaction, or none.
    ///
    /// # Errors
    /// When SQLite refuses; nothing of the commits is stored then.
    pub fn commit(&mut self, commits: &[&Commit]) -> Result<Vec<Committed>, StoreError> {
        let outcome = append::commit(&mut self.db, &mut self.series, &mut self.before, &self.levels, commits);
        self.levels.forget(commits.iter().flat_map(|commit| &commit.roll_ups));
        if outcome.is_err() {
            // Series made in the transaction that was rolled back are not there. Where they cannot be read now, they
            // are when the file is opened anew.
            self.series = append::SeriesIds::load(&self.db).unwrap_or_default();
            if museum::on("acknowledged_whatever_happens") {
                return Ok(vec![Committed::default(); commits.len()]);
            }
        }
        outcome
    }

    /// Says in which zone the school's days begin; China's unless told. Days that are made already stay as they are.
    pub fn school_days(&mut self, zone: TimeZone) {
        self.levels = levels::Levels::in_zone(zone);
    }

    /// What the last run left behind, for [`crate::pipeline::Pipeline::start`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn recall(&self, aggregate_secs: u32) -> Result<Remembered, StoreError> {
        recall::recall(&self.db, aggregate_secs)
    }

    /// The next records owed to a destination, alarms first, then by number; at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn owed(&mut self, to: &DestinationId, limit: usize) -> Result<Vec<OutboxItem>, StoreError> {
        append::owed(&mut self.db, to, limit)
    }

    /// Makes a platform's answer durable; returns how many records are no longer owed. `at` is the wall time written
    /// beside records set aside.
    ///
    /// # Errors
    /// When SQLite refuses; nothing is changed then.
    pub fn settle(&mut self, to: &DestinationId, answer: &Settlement, at: Wall) -> Result<usize, StoreError> {
        append::settle(&mut self.db, to, answer, at)
    }

    /// How many records each destination is owed.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn backlog(&self) -> Result<Vec<(DestinationId, u64)>, StoreError> {
        append::backlog(&self.db)
    }
}

/// Makes durable what is read from now on. What the run before could not sync reads back well from the system's memory
/// and may never reach the medium, and whatever followed it in the write-ahead log would be lost with it. So the log is
/// copied into the file, which writes its pages anew, and one small commit makes a new log that says so.
fn renew(db: &Connection) -> Result<(), StoreError> {
    if museum::on("log_not_renewed") {
        return Ok(());
    }
    let busy: i64 = db
        .query_row("pragma wal_checkpoint(truncate)", [], |row| row.get(0))
        .doing("copying the log into the database")?;
    if busy != 0 {
        return Err(StoreError::Waiting);
    }
    db.pragma_update(None, "user_version", SCHEMA_VERSION).doing("beginning a new log")
}

fn connect(path: &Path, vfs: Option<&str>) -> Result<Connection, StoreError> {
    let flags = OpenFlags::default();
    let db = match vfs {
        None => Connection::open_with_flags(path, flags),
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs),
    }
    .doing("opening the database")?;
    configure(&db)?;
    Ok(db)
}

fn configure(db: &Connection) -> Result<(), StoreError> {
    let set = |name: &str, value: &dyn rusqlite::ToSql| {
        db.pragma_update(None, name, value).doing("configuring the database")
    };
    db.busy_timeout(std::time::Duration::from_secs(5)).doing("configuring the database")?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    // Read to its end: SQLite first answers "wal" and then makes the change, which may fail.
    let mut mode = String::new();
    db.pragma(None, "journal_mode", "wal", |row| {
        mode = row.get(0)?;
        Ok(())
    })
    .doing("configuring the database")?;
    if mode != "wal" {
        return Err(StoreError::NoLog { found: mode });
    }
    // FULL: an acknowledgement follows a commit that is on the medium. NORMAL loses the last commits at a power cut.
    set("synchronous", &synchronous())?;
    set("wal_autocheckpoint", &CHECKPOINT_PAGES)?;
    set("journal_size_limit", &JOURNAL_LIMIT_BYTES)?;
    set("cache_size", &-8192)?;
    set("temp_store", &"memory")?;
    set("mmap_size", &0)?;
    set("trusted_schema", &false)?;
    set("cell_size_check", &true)?;
    // What is deleted is overwritten: persons are to be gone when they are erased or were kept long enough.
    set("secure_delete", &true)?;
    set("foreign_keys", &true)?;
    // A row that is replaced is deleted for the triggers, too (chain.rs).
    set("recursive_triggers", &true)?;
    // SQL cannot reach behind the tables (writable_schema, shadow tables), whatever a damaged file makes of it.
    db.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)
        .doing("configuring the database")?;
    Ok(())
}

fn synchronous() -> &'static str {
    match () {
        () if museum::on("synchronous_normal") => "normal",
        () if museum::on("synchronous_off") => "off",
        () => "full",
    }
}

#[cfg(test)]
mod tests;

//! Making a usable database of a damaged one: what can be read is copied into a new one, the old one is kept.

use super::backup::{BackupError, move_aside, put_in_place, raise};
use super::history::{self, DIRECTORY};
use super::lock::DirLock;
use super::{Depth, Doing, FILE_NAME, Reader, Store, StoreError, Verdict, chain};
use crate::model::Wall;
use crate::runtime::Chain;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Tables in the order in which they are copied: those others refer to first.
const TABLES: [&str; 18] = [
    "meta",
    "series",
    "alarm",
    "alarm_change",
    "event",
    "outbox",
    "set_aside",
    "audit",
    "link",
    "roll_up",
    "roll_up_hour",
    "roll_up_day",
    "level_due",
    "sealed",
    "dropped",
    "quarantine",
    "stranger",
    "fingerprint",
];
/// Tables whose rows are numbered, so that a damaged page can be stepped over.
const NUMBERED: [&str; 9] =
    ["series", "alarm", "alarm_change", "event", "outbox", "set_aside", "audit", "quarantine", "reading"];
/// Numbers first left out behind a row that cannot be read; twice as many each time that fails again.
const STEP: i64 = 1;

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Repaired {
    /// What was wrong; empty if nothing was, and then nothing was done.
    pub found: Verdict,
    /// Rows copied.
    pub kept: u64,
    /// Rows that were read and do not fit the tables.
    pub refused: u64,
    /// Places at which rows could not be read.
    pub gaps: u64,
    /// Where the old data are.
    pub moved_to: Option<PathBuf>,
}

/// Repairs the data of a stopped gateway, if anything is wrong with them. Chains and sums begin anew with what was
/// kept, and the audit trail says so.
///
/// # Errors
/// When the gateway runs or the disk refuses; the data are as they were then.
pub fn repair(data_dir: &Path, now: Wall) -> Result<Repaired, BackupError> {
    let lock = DirLock::take(data_dir)?;
    let found = match Reader::open(data_dir).and_then(|reader| reader.verify(Depth::Whole)) {
        Ok(verdict) if verdict.broken.is_empty() => {
            return Ok(Repaired { found: verdict, ..Repaired::default() });
        }
        Ok(verdict) => verdict,
        Err(error) => {
            let mut verdict = Verdict::default();
            let why = Chain(&error).to_string();
            let problem =
                crate::model::Text::new(format!("读不出来：{why}"), format!("cannot be read: {why}"));
            verdict.broken.push(super::Broken { place: "database".into(), seq: None, problem });
            verdict
        }
    };
    let mut done = Repaired { found, ..Repaired::default() };
    let staged = data_dir.join("repairing");
    if staged.exists() {
        // Left by a repair that was cut off; a copy, nothing else.
        fs::remove_dir_all(&staged).map_err(failed(&staged))?;
    }
    fs::create_dir_all(&staged).map_err(failed(&staged))?;
    salvage(&data_dir.join(FILE_NAME), &staged, now, &mut done)?;
    // The numbers that were given last may be among what was lost.
    raise(&staged, "db repair", now)?;
    let aside = move_aside(data_dir, "damaged", now)?;
    report(&aside, &done).map_err(failed(&aside))?;
    // The sealed files go back: the store itself sets aside those that are damaged.
    let history = data_dir.join(DIRECTORY);
    if aside.join(DIRECTORY).exists() {
        fs::rename(aside.join(DIRECTORY), &history).map_err(failed(&history))?;
    }
    put_in_place(&staged, data_dir)?;
    done.moved_to = Some(aside);
    drop(lock);
    let mut store = Store::open(data_dir)?;
    history::check_listed(&mut store.db, &store.place, now)?;
    for sealed in history::listed(&store.db, "order by first_seq", [])? {
        history::examine(&mut store.db, &store.place, sealed, now)?;
    }
    Ok(done)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |cause| BackupError::File { path, doing: "repairing", cause }
}

/// Copies what can be read into a new database, and hashes it anew.
fn salvage(old: &Path, staged: &Path, now: Wall, done: &mut Repaired) -> Result<(), BackupError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let old = Connection::open_with_flags(old, flags).doing("opening the damaged database")?;
    let mut store = Store::open(staged)?;
    let tx = store.db.transaction().doing("copying what can be read")?;
    // A step whose alarm was lost is kept all the same.
    tx.pragma_update(None, "defer_foreign_keys", true).doing("copying what can be read")?;
    for table in TABLES.iter().copied().chain([chain::READINGS]) {
        copy(&old, &tx, table, done)?;
    }
    tx.execute("delete from alarm_change where alarm not in (select id from alarm)", [])
        .map(|lost| done.refused += u64::try_from(lost).unwrap_or(0))
        .doing("copying what can be read")?;
    anchor(&tx)?;
    let detail = format!(
        "{} problems; {} rows kept, {} refused, {} gaps; chains and sums begin anew",
        done.found.broken.len(),
        done.kept,
        done.refused,
        done.gaps
    );
    chain::audit(&tx, now, "db repair", "repaired", "database", &detail)?;
    tx.commit().doing("copying what can be read")?;
    store.db.pragma_update(None, "wal_checkpoint", "truncate").doing("writing the new database")?;
    Ok(())
}

fn copy(old: &Connection, new: &Connection, table: &str, done: &mut Repaired) -> Result<(), StoreError> {
    let columns = chain::columns(new, table)?;
    let marks: Vec<String> = (1..=columns.len()).map(|i| format!("?{i}")).collect();
    let names = columns.join(", ");
    let insert = format!("insert or replace into {table} ({names}) values ({})", marks.join(", "));
    let mut insert = new.prepare(&insert).doing("copying what can be read")?;
    let numbered = NUMBERED.contains(&table);
    let key = columns.first().map_or("rowid", String::as_str);
    let select = if numbered {
        format!("select {names} from {table} where {key} > ?1 order by {key}")
    } else {
        format!("select {names} from {table} where ?1 is not null")
    };
    let (mut after, mut step) = (i64::MIN, STEP);
    let last: i64 = if numbered {
        let sql = format!("select max({key}) from {table}");
        old.query_row(&sql, [], |row| row.get::<_, Option<i64>>(0)).ok().flatten().unwrap_or(i64::MAX)
    } else {
        i64::MIN
    };
    while let Err(read_to) = pass(old, &select, after, columns.len(), &mut |row| {
        step = STEP;
        match insert.execute(params_from_iter(row)) {
            Ok(_) => done.kept += 1,
            Err(_) => done.refused += 1,
        }
    }) {
        done.gaps += 1;
        // Numbers begin at 1, whatever cannot be read.
        after = read_to.unwrap_or(after).max(after).max(0).saturating_add(step);
        step = step.saturating_mul(2);
        if !numbered || after >= last {
            break;
        }
    }
    Ok(())
}

/// Reads rows until the end, or until one cannot be read: then the number of the last that could.
fn pass(
    old: &Connection,
    select: &str,
    after: i64,
    width: usize,
    each: &mut impl FnMut(Vec<Value>),
) -> Result<(), Option<i64>> {
    let mut read_to = None;
    let mut statement = old.prepare(select).map_err(|_| None)?;
    let mut rows = statement.query([after]).map_err(|_| None)?;
    loop {
        let Some(row) = rows.next().map_err(|_| read_to)? else { return Ok(()) };
        let values: Result<Vec<Value>, _> = (0..width).map(|i| row.get(i)).collect();
        if let Ok(Value::Integer(number)) = row.get(0) {
            read_to = Some(number);
        }
        each(values.map_err(|_| read_to)?);
    }
}

/// Hashes all rows anew. The sums of other tables followed what was copied.
fn anchor(db: &Connection) -> Result<(), StoreError> {
    for table in chain::CHAINED {
        rehash(db, table, true)?;
    }
    for table in chain::HASHED {
        rehash(db, table, false)?;
    }
    let sum = chain::sum_of(db, chain::READINGS, chain::READING_COLUMNS, i64::MIN)?;
    chain::set_head(db, chain::READINGS, sum)?;
    chain::set_head(db, chain::READINGS_FROM, chain::readings_from(i64::MIN))
}

fn rehash(db: &Connection, table: &'static str, chained: bool) -> Result<(), StoreError> {
    let doing = "hashing rows anew";
    let columns = chain::columns(db, table)?;
    let row: Vec<&str> = columns.iter().map(String::as_str).filter(|name| *name != "hash").collect();
    let mut numbers = db.prepare(&format!("select seq from {table} order by seq")).doing(doing)?;
    let mut update = db
        .prepare(&format!(
            "update {table} set hash = row_hash(?2, {}) where seq = ?1 returning hash",
            row.join(", ")
        ))
        .doing(doing)?;
    let mut head = chain::Head { seq: 0, hash: chain::START };
    let mut rows = numbers.query([]).doing(doing)?;
    while let Some(row) = rows.next().doing(doing)? {
        head.seq = row.get(0).doing(doing)?;
        let before = if chained { head.hash } else { chain::START };
        head.hash = update.query_row(rusqlite::params![head.seq, before], |row| row.get(0)).doing(doing)?;
    }
    if chained { chain::set_head(db, table, head) } else { Ok(()) }
}

/// Writes beside the old data what was wrong with them.
fn report(aside: &Path, done: &Repaired) -> io::Result<()> {
    let mut file = File::create(aside.join("report.txt"))?;
    for broken in &done.found.broken {
        let seq = broken.seq.map(|seq| format!(" row {seq}")).unwrap_or_default();
        writeln!(file, "{}{seq}: {}", broken.place, broken.problem.en)?;
    }
    file.sync_all()
}

//! Reads what can be read of a damaged database into a new one, row by row, and from the other end where it breaks off.

use super::rescue::beside;
use super::rows::{ALARM_COLUMNS, alarm_of};
use super::{Doing, StoreError, migrate};
use crate::model::Record;
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// Longest time for the tables that may be long: the gateway is to be at work again within 2 s. What is not taken over
/// stays in the damaged file.
const LONG_TABLES: Duration = Duration::from_millis(1200);
/// When the numbers of records were lost, new ones begin this far above every one that is known: a number that a
/// platform has seen is never used again. No school sends so many in a hundred years.
const LEAP: i64 = 1_000_000_000_000;
/// Largest file of which a copy with a new header is made, bytes.
const PATCHED_BYTES: u64 = 256 * 1024 * 1024;

/// The page size of our files, bytes.
pub(super) const PAGE_BYTES: u64 = 4096;

/// One table, in the order in which they are taken over.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// It may have any number of rows: the newest come first, as many as there is time for.
    long: bool,
}

const fn table(name: &'static str) -> Table {
    Table { name, long: false }
}

const fn long(name: &'static str) -> Table {
    Table { name, long: true }
}

/// Every table: what people and platforms wait for first.
pub(super) const TABLES: &[Table] = &[
    table("meta"),
    table("series"),
    table("alarm"),
    table("outbox"),
    table("set_aside"),
    table("chain"),
    table("sealed"),
    table("dropped"),
    table("link"),
    table("fingerprint"),
    table("stranger"),
    table("level_due"),
    long("alarm_change"),
    long("audit"),
    long("event"),
    long("roll_up_day"),
    long("roll_up_hour"),
    long("roll_up"),
    long("reading"),
    long("quarantine"),
];

/// What was taken over.
#[derive(Debug, Default)]
pub(super) struct Saved {
    pub(super) rows: u64,
    /// Tables of which not everything was.
    pub(super) torn: Vec<String>,
}

/// Makes `new`, with what can be read of `damaged`, which is not changed.
pub(super) fn salvage(damaged: &Path, new: &Path) -> Result<Saved, StoreError> {
    let file = |doing| move |cause| StoreError::File { path: new.to_owned(), doing, cause };
    match std::fs::remove_file(new) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            return Err(file("deleting an unfinished rescue")(cause));
        }
        _ => {}
    }
    let mut fresh = Connection::open(new).doing("making a new database")?;
    // It is synced as a whole when it is finished; until then it is worth nothing.
    for (name, value) in [("journal_mode", "off"), ("synchronous", "off")] {
        fresh.pragma_update(None, name, value).doing("making a new database")?;
    }
    migrate::migrate(&mut fresh, new)?;
    fresh.pragma_update(None, "foreign_keys", false).doing("making a new database")?;
    let patched = beside(new, ".patched");
    let mut saved = Saved::default();
    match open_damaged(damaged, &patched) {
        Some(old) => copy(&old, &mut fresh, &mut saved)?,
        None => saved.torn = TABLES.iter().map(|table| table.name.to_owned()).collect(),
    }
    for suffix in ["", "-wal", "-shm"] {
        // It was a copy, and is there only in the rare case.
        std::fs::remove_file(beside(&patched, suffix)).ok();
    }
    mend(&fresh, &mut saved)?;
    fresh.close().map_err(|(_, cause)| StoreError::Sqlite { doing: "finishing the new database", cause })?;
    File::open(new).and_then(|file| file.sync_all()).map_err(file("syncing the new database"))?;
    Ok(saved)
}

/// Opens the damaged file so that reading changes nothing of it; `None` when nothing can be read.
fn open_damaged(path: &Path, patched: &Path) -> Option<Connection> {
    let len = std::fs::metadata(path).ok()?.len();
    if len < PAGE_BYTES {
        // SQLite takes it for an empty file, and would delete its log.
        return None;
    }
    readable(path).or_else(|| {
        (len <= PATCHED_BYTES).then_some(())?;
        std::fs::copy(path, patched).ok()?;
        std::fs::copy(beside(path, "-wal"), beside(patched, "-wal")).ok();
        patch_header(patched).ok()?;
        readable(patched)
    })
}

fn readable(path: &Path) -> Option<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).ok()?;
    // Closing would copy the log into the file and delete it.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).ok()?;
    db.pragma_update(None, "query_only", true).ok()?;
    db.pragma_update(None, "trusted_schema", false).ok()?;
    db.pragma_update(None, "cell_size_check", true).ok()?;
    // Entries of the schema that make no sense are passed over.
    db.pragma_update(None, "writable_schema", true).ok()?;
    let tables: i64 = db.query_row("select count(*) from sqlite_schema", [], |row| row.get(0)).ok()?;
    (tables > 0).then_some(db)
}

/// Writes the header that our files have (SQLite file format, 1.3) over a damaged one.
fn patch_header(path: &Path) -> std::io::Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let pages = u32::try_from(file.metadata()?.len() / PAGE_BYTES).unwrap_or(u32::MAX);
    let mut header = [0_u8; 100];
    file.read_exact(&mut header)?;
    let mut put = |at: usize, bytes: &[u8]| {
        header.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
    };
    put(0, b"SQLite format 3\0");
    // Page size 4096, versions 2 for the write-ahead log, no reserved bytes, and the fixed fractions.
    put(16, &[0x10, 0, 2, 2, 0, 64, 32, 32]);
    put(24, &1_u32.to_be_bytes());
    put(28, &pages.to_be_bytes());
    // No list of free pages, which only writing would need; schema format 4, UTF-8.
    put(32, &[0; 8]);
    put(44, &4_u32.to_be_bytes());
    put(52, &[0; 4]);
    put(56, &1_u32.to_be_bytes());
    put(92, &1_u32.to_be_bytes());
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&header)?;
    file.sync_all()
}

fn copy(old: &Connection, fresh: &mut Connection, saved: &mut Saved) -> Result<(), StoreError> {
    let deadline = Instant::now() + LONG_TABLES;
    let tx = fresh.transaction().doing("taking rows over")?;
    for table in TABLES {
        let (rows, whole) = copy_table(old, &tx, table, deadline)?;
        saved.rows += rows;
        if !whole {
            saved.torn.push(table.name.to_owned());
        }
    }
    tx.commit().doing("taking rows over")
}

/// How many rows were taken over, and whether those are all.
fn copy_table(
    old: &Connection,
    fresh: &Connection,
    table: &Table,
    deadline: Instant,
) -> Result<(u64, bool), StoreError> {
    let wanted = columns(fresh, table.name).doing("reading the new schema")?;
    // An older schema has fewer tables and columns; that is no damage.
    let there = columns(old, table.name).unwrap_or_default();
    let names: Vec<&str> = wanted
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| there.iter().any(|(n, _)| n == name))
        .collect();
    if names.is_empty() {
        let older = old.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0));
        return Ok((0, older.is_ok_and(|version| version < migrate::SCHEMA_VERSION)));
    }
    let mut key: Vec<_> = wanted.iter().filter(|(_, place)| *place > 0).collect();
    key.sort_by_key(|(_, place)| *place);
    let order =
        |way: &str| key.iter().map(|(name, _)| format!("{name} {way}")).collect::<Vec<_>>().join(", ");
    let list = names.join(", ");
    let marks = vec!["?"; names.len()].join(", ");
    let insert = format!("insert or ignore into {} ({list}) values ({marks})", table.name);
    let mut insert = fresh.prepare(&insert).doing("taking rows over")?;
    let mut rows = 0;
    let (first, second) = if table.long { ("desc", "asc") } else { ("asc", "desc") };
    for way in [first, second] {
        let query = format!("select {list} from {} order by {}", table.name, order(way));
        match read(old, &query, &mut insert, &mut rows, table.long.then_some(deadline), way == second) {
            End::All => return Ok((rows, way == first)),
            End::TimeIsUp => return Ok((rows, false)),
            End::Broken => {}
        }
    }
    Ok((rows, false))
}

/// Name, and place in the primary key or 0, of each column.
fn columns(db: &Connection, table: &str) -> rusqlite::Result<Vec<(String, i64)>> {
    let mut statement = db.prepare(&format!("pragma table_info({table})"))?;
    let rows = statement.query_map([], |row| Ok((row.get("name")?, row.get("pk")?)))?;
    rows.collect()
}

/// How reading a table ended.
enum End {
    All,
    TimeIsUp,
    Broken,
}

/// Takes rows over until there are no more, or none can be read, or the time is up; the second time round, until one
/// comes that is there already.
fn read(
    old: &Connection,
    query: &str,
    insert: &mut rusqlite::Statement<'_>,
    taken: &mut u64,
    deadline: Option<Instant>,
    again: bool,
) -> End {
    let Ok(mut statement) = old.prepare(query) else { return End::Broken };
    let width = statement.column_count();
    let Ok(mut rows) = statement.query([]) else { return End::Broken };
    let mut end = End::All;
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => return end,
            Err(_) => return End::Broken,
        };
        let values: rusqlite::Result<Vec<Value>> = (0..width).map(|i| row.get(i)).collect();
        // A value that its column does not allow is damage, too; the next row may be sound.
        match values.and_then(|values| insert.execute(params_from_iter(values))) {
            Ok(0) if again => return end,
            Ok(n) => *taken += u64::try_from(n).unwrap_or(0),
            Err(_) => end = End::Broken,
        }
        if deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return End::TimeIsUp;
        }
    }
}

/// Leaves out what would stop the gateway at every start, and makes sure that no number is used twice.
fn mend(fresh: &Connection, saved: &mut Saved) -> Result<(), StoreError> {
    let mut bad = Vec::new();
    {
        let query = format!("select {ALARM_COLUMNS} from alarm");
        let mut statement = fresh.prepare(&query).doing("checking alarms")?;
        let mut rows = statement.query([]).doing("checking alarms")?;
        while let Some(row) = rows.next().doing("checking alarms")? {
            if alarm_of(row).is_err() {
                bad.push(("alarm", "id", row.get::<_, i64>("id").doing("checking alarms")?));
            }
        }
        let mut statement = fresh.prepare("select seq, record from outbox").doing("checking what is owed")?;
        let mut rows = statement.query([]).doing("checking what is owed")?;
        while let Some(row) = rows.next().doing("checking what is owed")? {
            let text: String = row.get(1).doing("checking what is owed")?;
            if serde_json::from_str::<Record>(&text).is_err() {
                bad.push(("outbox", "seq", row.get(0).doing("checking what is owed")?));
            }
        }
    }
    for (table, key, row) in bad {
        fresh
            .execute(&format!("delete from {table} where {key} = ?1"), [row])
            .doing("leaving out a row that makes no sense")?;
        saved.rows = saved.rows.saturating_sub(1);
        if !saved.torn.iter().any(|torn| torn == table) {
            saved.torn.push(table.to_owned());
        }
    }
    fresh
        .execute("delete from alarm_change where alarm not in (select id from alarm)", [])
        .doing("leaving out steps of alarms that are gone")?;
    fresh
        .execute(
            "insert into meta (key, value) select 'sealed_through', cast(max(last_seq) as text) from sealed \
             having count(*) > 0 on conflict (key) do nothing",
            [],
        )
        .doing("finding the last sealed reading")?;
    if saved.torn.iter().any(|torn| torn == "meta" || torn == "outbox") {
        fresh
            .execute(
                "insert into meta (key, value) select 'next_seq', cast(?1 + max( \
                 (select coalesce(max(seq), 0) from outbox), (select coalesce(max(seq), 0) from set_aside), \
                 (select coalesce(max(cast(value as integer)), 0) from meta where key = 'next_seq')) as text) \
                 where true on conflict (key) do update set value = excluded.value",
                [LEAP],
            )
            .doing("leaping over numbers that may have been used")?;
    }
    Ok(())
}

//! Reads what can be read of a damaged database into a new one, stepping over what cannot, and anchors chains and sums
//! anew.

use super::alarms::{hazard_of, stored_alarm_of};
use super::chain::{
    self, CHAINED, FINGERPRINTS, HASHED, READING_COLUMNS, READINGS, READINGS_FROM, START, SUMMED,
};
use super::read::{link_change_of, person_of};
use super::rescue::beside;
use super::verify::proof_of;
use super::{Doing, FILE_NAME, SCHEMA_VERSION, StoreError, migrate, numbers};
use crate::model::{BusId, DeviceId, PointId, PointKind, Unit, Wall};
use rusqlite::config::DbConfig;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OpenFlags, Row, Statement, params, params_from_iter};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use tokio::time::Instant;

/// Largest file of which a copy with a new header is made, bytes.
const PATCHED_BYTES: u64 = 256 * 1024 * 1024;

/// The page size of our files, bytes.
pub(super) const PAGE_BYTES: u64 = 4096;

/// One table, in the order in which they are taken over.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// It may have any number of rows: as many as there is time for.
    long: bool,
    /// Whether a row is one that a start can read.
    sound: fn(&Row<'_>) -> bool,
}

const fn table(name: &'static str) -> Table {
    Table { name, long: false, sound: |_| true }
}

const fn long(name: &'static str) -> Table {
    Table { name, long: true, sound: |_| true }
}

/// Every table but `chain`, which is made anew: what people and platforms wait for first.
pub(super) const TABLES: &[Table] = &[
    table("meta"),
    Table { sound: series_is_sound, ..table("series") },
    Table { sound: |row| stored_alarm_of(row).is_ok(), ..table("alarm") },
    Table { sound: |row| hazard_of(row).is_ok(), ..table("hazard") },
    table("outbox"),
    table("set_aside"),
    table("sealed"),
    table("dropped"),
    Table { sound: |row| link_change_of(row).is_ok(), ..table("link") },
    Table { sound: |row| word(row, "bus", |t| BusId::new(t).is_ok()), ..table("fingerprint") },
    table("stranger"),
    table("level_due"),
    table("counter"),
    table("uploaded"),
    Table { sound: |row| person_of(row).is_ok(), ..table("person") },
    long("alarm_change"),
    long("audit"),
    Table { sound: |row| word(row, "device", |t| DeviceId::new(t).is_ok()), ..long("event") },
    long("roll_up_day"),
    long("roll_up_hour"),
    Table { sound: roll_up_is_sound, ..long("roll_up") },
    long(READINGS),
    long("quarantine"),
];

/// How a value is put into a new row: what can be told without it does not cost the row.
fn mark(table: &str, column: &str, n: usize) -> String {
    match (table, column) {
        // Rows are hashed anew.
        (_, "hash") => format!(
            "case when ?{n} is null or (typeof(?{n}) = 'blob' and length(?{n}) = 32) then ?{n} else zeroblob(32) end"
        ),
        ("alarm", "first_of_group" | "drill") => format!("case when ?{n} in (0, 1) then ?{n} else 0 end"),
        ("alarm", "shelf_once") => format!("case when ?{n} in (0, 1) then ?{n} end"),
        ("outbox", "lane") => format!("case when ?{n} in (0, 1) then ?{n} else 0 end"),
        _ => format!("?{n}"),
    }
}

/// A value of a damaged row; text that is none is taken as bytes, which only a column of bytes takes.
fn value_of(row: &Row<'_>, place: usize) -> rusqlite::Result<Value> {
    let value = row.get_ref(place)?;
    Ok(match value {
        ValueRef::Text(bytes) if std::str::from_utf8(bytes).is_err() => Value::Blob(bytes.to_vec()),
        other => other.try_into()?,
    })
}

fn word(row: &Row<'_>, column: &str, known: impl FnOnce(&str) -> bool) -> bool {
    row.get_ref(column).is_ok_and(|value| value.as_str().is_ok_and(known))
}

fn series_is_sound(row: &Row<'_>) -> bool {
    word(row, "device", |t| DeviceId::new(t).is_ok())
        && word(row, "point", |t| PointId::new(t).is_ok())
        && word(row, "unit", |t| Unit::from_symbol(t).is_some())
        && word(row, "kind", |t| PointKind::from_word(t).is_some())
}

fn roll_up_is_sound(row: &Row<'_>) -> bool {
    ["period_secs", "count", "revision"].iter().all(|column| row.get::<_, u32>(*column).is_ok())
}

/// What was taken over.
#[derive(Debug, Default)]
pub(super) struct Saved {
    /// Rows taken over.
    pub(super) rows: u64,
    /// Rows that were read and do not fit their table or make no sense.
    pub(super) refused: u64,
    /// Places at which rows could not be read.
    pub(super) gaps: u64,
    /// Tables of which not everything was taken over, or something was changed.
    pub(super) torn: Vec<&'static str>,
}

impl Saved {
    fn tear(&mut self, table: &'static str) {
        if !self.torn.contains(&table) {
            self.torn.push(table);
        }
    }
}

/// Who salvages, and how long it may take.
pub(super) struct Salvage<'a> {
    /// For the audit trail.
    pub(super) actor: &'static str,
    /// Why, in English.
    pub(super) why: &'a str,
    /// When.
    pub(super) now: Wall,
    /// Tables that may be long are given up then; what is not taken over stays in the damaged file.
    pub(super) deadline: Option<Instant>,
}

impl Salvage<'_> {
    /// Makes a database in the directory `new` of what can be read of `damaged`, which is not changed.
    pub(super) fn run(&self, damaged: &Path, new: &Path) -> Result<Saved, StoreError> {
        let doing = "making a new database";
        let path = new.join(FILE_NAME);
        let mut fresh = Connection::open(&path).doing(doing)?;
        // It is synced as a whole when it is finished; until then it is worth nothing.
        for (name, value) in
            [("journal_mode", "memory"), ("synchronous", "off"), ("recursive_triggers", "on")]
        {
            fresh.pragma_update(None, name, value).doing(doing)?;
        }
        fresh.pragma_update(None, "foreign_keys", false).doing(doing)?;
        migrate::migrate(&mut fresh, &path)?;
        chain::install(&mut fresh)?;
        let tx = fresh.transaction().doing(doing)?;
        let mut saved = Saved::default();
        match open_damaged(damaged, &new.join("patched.db")) {
            Some(old) => self.copy(&old, &tx, &mut saved)?,
            None => TABLES.iter().for_each(|table| saved.tear(table.name)),
        }
        let lost = saved.torn.contains(&"meta").then(|| self.now.max(numbers::changed_at(damaged)));
        let next = numbers::raise(&tx, lost)?;
        let Saved { rows, refused, gaps, .. } = &saved;
        let torn = if saved.torn.is_empty() { "none".to_owned() } else { saved.torn.join(", ") };
        let detail = format!(
            "{}; {rows} rows kept, {refused} refused, {gaps} gaps; incomplete: {torn}; chains and sums begin anew; \
             next record {next}",
            self.why
        );
        super::retire::tell_again(&tx, self.now)?;
        chain::audit(&tx, self.now, self.actor, "salvaged", "database", &detail)?;
        tx.commit().doing(doing)?;
        fresh.close().map_err(|(_, cause)| StoreError::Sqlite { doing, cause })?;
        File::open(&path).and_then(|file| file.sync_all()).map_err(|cause| StoreError::File {
            path,
            doing: "syncing the new database",
            cause,
        })?;
        Ok(saved)
    }

    fn copy(&self, old: &Connection, fresh: &Connection, saved: &mut Saved) -> Result<(), StoreError> {
        let version = old.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0)).unwrap_or(0);
        // An older schema has fewer tables and columns; that is no damage. Its sums are others.
        let older = (1..SCHEMA_VERSION).contains(&version);
        for table in TABLES {
            let whole = self.copy_table(old, fresh, table, older, saved)?;
            let agrees = agrees(old, fresh, table.name)?;
            if !whole || !(agrees || older) {
                saved.tear(table.name);
            }
        }
        let orphans = fresh
            .execute("delete from alarm_change where alarm not in (select id from alarm)", [])
            .doing("leaving out steps of alarms that are gone")?;
        if orphans > 0 {
            saved.refused += u64::try_from(orphans).unwrap_or(0);
            saved.tear("alarm_change");
        }
        for table in CHAINED {
            let was = chain::head(old, table).ok().flatten();
            if !rehash(fresh, table, was, chain::root(old, table).ok().flatten())? {
                saved.tear(table);
            }
        }
        if older || ["roll_up_hour", "roll_up_day", "level_due"].iter().any(|t| saved.torn.contains(t)) {
            fresh.execute_batch(LEVELS_DUE).doing("noting which hours and days are to be made")?;
        }
        Ok(())
    }

    /// Whether all rows were taken over.
    fn copy_table(
        &self,
        old: &Connection,
        fresh: &Connection,
        table: &Table,
        older: bool,
        saved: &mut Saved,
    ) -> Result<bool, StoreError> {
        let wanted = columns(fresh, table.name).doing("reading the new schema")?;
        // Columns are only ever added behind the others, so their places tell which they are, whatever they are called.
        let there = columns(old, table.name).unwrap_or_default();
        if there.is_empty() {
            return Ok(older);
        }
        let hashed = HASHED.contains(&table.name);
        let pairs = || wanted.iter().zip(&there).filter(|(new, _)| !hashed || new.name != "hash");
        let mut list = pairs().map(|(new, _)| new.name.as_str()).collect::<Vec<_>>().join(", ");
        let read = pairs().map(|(new, old)| match new.text {
            // One flipped bit of a row's header makes bytes of a text.
            true => format!(
                "iif(typeof(\"{0}\") = 'blob', cast(\"{0}\" as text), \"{0}\") as {1}",
                old.name, new.name
            ),
            false => format!("\"{}\" as {}", old.name, new.name),
        });
        let read = read.collect::<Vec<_>>().join(", ");
        let marks = (1..).zip(pairs()).map(|(n, (column, _))| mark(table.name, &column.name, n));
        let mut marks = marks.collect::<Vec<_>>().join(", ");
        if hashed {
            // Of the row alone: the one that it bears can be spared, and may be all that is damaged.
            list.push_str(", hash");
            marks = format!("{marks}, row_hash(zeroblob(32), {marks})");
        }
        let mut key: Vec<_> = pairs().filter(|(column, _)| column.key > 0).collect();
        key.sort_by_key(|(column, _)| column.key);
        // A row that is there already is passed over; one that breaks a rule of its table is an error, and refused.
        let insert = format!("insert into {} ({list}) values ({marks}) on conflict do nothing", table.name);
        let mut sweep = Sweep {
            old,
            insert: fresh.prepare(&insert).doing("taking rows over")?,
            sound: table.sound,
            deadline: self.deadline.filter(|_| table.long),
            rows: 0,
            refused: 0,
            gaps: 0,
            highest: 0,
        };
        let steps = key.first().is_some_and(|(column, _)| column.integer);
        let first = key.first().map_or("rowid".to_owned(), |(_, old)| format!("\"{}\"", old.name));
        let query = |range: &str, way: &str| {
            let order: Vec<String> = key.iter().map(|(_, old)| format!("\"{}\" {way}", old.name)).collect();
            format!("select {read}, {first} from {} where {range} order by {}", table.name, order.join(", "))
        };
        let whole = "?1 is not null";
        let range = |sign: &str| if steps { format!("{first} {sign} ?1") } else { whole.to_owned() };
        let (down, up) = (query(&range("<="), "desc"), query(&range(">="), "asc"));
        let mut end = sweep.through(&down, steps, -1, i64::MAX);
        let (refused, gaps) = (sweep.refused, sweep.gaps);
        if end == End::Broken {
            // From the other side, for what lies behind a gap and what was stepped over beyond its end; and once more
            // from above, where the first time nothing could be read there.
            end = sweep.through(&up, steps, 1, 0);
            if end == End::Broken && steps {
                end = sweep.through(&down, steps, -1, sweep.highest);
            }
            if end == End::Broken && steps {
                // Looking for a key goes by pages between, which may be what is damaged; the first and the last row are
                // found without.
                sweep.pass(&query(whole, "asc"), 0);
                sweep.pass(&query(whole, "desc"), 0);
            }
        }
        saved.rows += sweep.rows;
        saved.refused += refused;
        saved.gaps += gaps;
        Ok(end == End::All && refused == 0 && gaps == 0)
    }
}

/// Hours and days that the roll-ups make and that are not there, its days as the schema has them.
const LEVELS_DUE: &str = "\
    insert or ignore into level_due (level, start, ends) \
    select distinct 'hour', hour, hour + 3600000 from (select start - start % 3600000 as hour from roll_up \
    where start > 0) where hour not in (select start from roll_up_hour); \
    insert or ignore into level_due (level, start, ends) \
    select distinct 'day', day, day + 86400000 from (select start - (start + 28800000) % 86400000 as day from roll_up \
    where start > 0) where day not in (select start from roll_up_day);";

/// How going over a table ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    All,
    TimeIsUp,
    Broken,
}

/// Taking over the rows of one table.
struct Sweep<'a> {
    old: &'a Connection,
    insert: Statement<'a>,
    sound: fn(&Row<'_>) -> bool,
    deadline: Option<Instant>,
    rows: u64,
    refused: u64,
    gaps: u64,
    /// The highest key that was read.
    highest: i64,
}

impl Sweep<'_> {
    /// Takes over rows in the order of the query, down (`sign` -1) or up (1), from a key on; where it
    /// is a number, behind a row that cannot be read it goes on further away, in steps that double until one can be.
    fn through(&mut self, query: &str, steps: bool, sign: i64, from: i64) -> End {
        let (mut bound, mut step) = (from, 1_i64);
        let mut whole = true;
        loop {
            let (last, end) = self.pass(query, bound);
            if end != End::Broken {
                return if whole || end == End::TimeIsUp { end } else { End::Broken };
            }
            whole = false;
            if let Some(last) = last {
                (bound, step) = (last, 1);
                self.highest = self.highest.max(last);
                self.gaps += 1;
            }
            let next = bound.saturating_add(step.saturating_mul(sign));
            if !steps || next < 0 || next == bound {
                self.gaps = self.gaps.max(1);
                return End::Broken;
            }
            bound = next;
            step = step.saturating_mul(2);
        }
    }

    /// Takes over rows until there are no more, one cannot be read, or the time is up; the key of the last.
    fn pass(&mut self, query: &str, bound: i64) -> (Option<i64>, End) {
        let mut last = None;
        let Ok(mut statement) = self.old.prepare_cached(query) else { return (last, End::Broken) };
        let width = statement.column_count();
        let Ok(mut rows) = statement.query([bound]) else { return (last, End::Broken) };
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return (last, End::All),
                Err(_) => return (last, End::Broken),
            };
            last = row.get(width - 1).ok().or(last);
            let values: rusqlite::Result<Vec<Value>> = (0..width - 1).map(|i| value_of(row, i)).collect();
            let taken = match values {
                Ok(values) if (self.sound)(row) => self.insert.execute(params_from_iter(values)).ok(),
                _ => None,
            };
            match taken {
                Some(n) => self.rows += u64::try_from(n).unwrap_or(0),
                None => self.refused += 1,
            }
            if self.deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return (last, End::TimeIsUp);
            }
        }
    }
}

/// A column of a table.
struct Column {
    name: String,
    /// Its place in the primary key, or 0.
    key: i64,
    integer: bool,
    text: bool,
}

fn columns(db: &Connection, table: &str) -> rusqlite::Result<Vec<Column>> {
    let mut statement = db.prepare(&format!("pragma table_info({table})"))?;
    let rows = statement.query_map([], |row| {
        let kind: String = row.get("type")?;
        let is = |word| kind.eq_ignore_ascii_case(word);
        Ok(Column { name: row.get("name")?, key: row.get("pk")?, integer: is("integer"), text: is("text") })
    })?;
    rows.collect()
}

/// Whether the sum of a table's rows is that which the damaged file has for it, if it has one.
fn agrees(old: &Connection, fresh: &Connection, table: &str) -> Result<bool, StoreError> {
    let was = |name: &str| chain::head(old, name).ok().flatten();
    if table == FINGERPRINTS {
        // Its sum is kept by the statements that write it, which did not write these rows.
        let columns = chain::columns(fresh, table)?.join(", ");
        chain::set_head(fresh, table, chain::sum_of(fresh, table, &columns, i64::MIN)?)?;
    }
    if SUMMED.contains(&table) {
        let is = chain::head(fresh, table)?;
        return Ok(was(table).is_none_or(|was| Some(was) == is));
    }
    if table == READINGS {
        let from = was(READINGS_FROM).filter(|from| *from == chain::readings_from(from.seq));
        let after = from.map_or(i64::MIN, |from| from.seq);
        let sum = chain::sum_of(fresh, READINGS, READING_COLUMNS, after)?;
        chain::set_head(fresh, READINGS, sum)?;
        chain::set_head(fresh, READINGS_FROM, chain::readings_from(after))?;
        return Ok(from.is_none() || was(READINGS).is_none_or(|was| was == sum));
    }
    Ok(true)
}

/// Hashes anew the rows of a chain whose hash does not agree, and sets its head. Whether all were as they should be.
fn rehash(
    db: &Connection,
    table: &str,
    was: Option<chain::Head>,
    root: Option<chain::Head>,
) -> Result<bool, StoreError> {
    let doing = "hashing rows anew";
    if let Some(root) = root {
        chain::set_head(db, &format!("{table}.root"), root)?;
    }
    let mut select = db.prepare(&format!("select * from {table} order by seq")).doing(doing)?;
    let mut update = db.prepare(&format!("update {table} set hash = ?2 where seq = ?1")).doing(doing)?;
    // Only rows of events can be without their person.
    let erased = if table == "event" { "erased" } else { "hash" };
    let mut reseal = db.prepare(&format!("update {table} set {erased} = ?2 where seq = ?1")).doing(doing)?;
    let width = select.column_count();
    let mut head = root.unwrap_or(chain::Head { seq: 0, hash: START });
    let (mut sound, mut begun) = (true, head.hash != START);
    let mut rows = select.query([]).doing(doing)?;
    while let Some(row) = rows.next().doing(doing)? {
        let proof = proof_of(row, width, &head.hash).doing(doing)?;
        head.seq = proof.seq;
        begun |= proof.stored.is_some();
        if !begun {
            // From before there were hashes.
            continue;
        }
        if !proof.sound {
            sound = false;
            let place = if proof.erased { &mut reseal } else { &mut update };
            place.execute(params![proof.seq, proof.reckoned]).doing(doing)?;
        }
        head.hash = proof.stored.filter(|_| proof.erased).unwrap_or(proof.reckoned);
    }
    chain::set_head(db, table, head)?;
    Ok(sound && was.is_none_or(|was| was.hash == head.hash))
}

/// Opens the damaged file so that reading changes nothing of it; `None` when nothing can be read.
fn open_damaged(path: &Path, patched: &Path) -> Option<Connection> {
    let len = std::fs::metadata(path).ok()?.len();
    if len < PAGE_BYTES {
        // SQLite takes it for an empty file, and would delete its log.
        return None;
    }
    // In a wrong encoding no table has its name.
    let ours = |db: &Connection| columns(db, "meta").is_ok_and(|columns| !columns.is_empty());
    let patched = || {
        (len <= PATCHED_BYTES).then_some(())?;
        std::fs::copy(path, patched).ok()?;
        std::fs::copy(beside(path, "-wal"), beside(patched, "-wal")).ok();
        patch_header(patched).ok()?;
        readable(patched)
    };
    readable(path).filter(ours).or_else(patched).or_else(|| readable(path))
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

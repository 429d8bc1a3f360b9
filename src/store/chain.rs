//! What makes a flipped bit, an edited or a missing row show: hash chains of what may not change, sums of what may.
//!
//! Rows of `event`, `alarm_change` and `audit` bear `hash` = SHA-256(hash of the row before, the row). Rows of `outbox`
//! and `set_aside`, which come and go in no order, bear the hash of themselves alone. Rows that change or go enter a sum
//! of XXH3 hashes, from which they are taken again: it finds rot and slips, and costs nearly nothing where readings come
//! in; whoever wants to deceive could make it agree. Heads and sums stand in the table `chain` and change in the
//! transaction that changes the rows: for chains and for `reading` by the statements that write, else by temporary
//! triggers of the one connection that writes, so that no statement can forget it.

use super::{Doing, StoreError};
use crate::model::Wall;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use twox_hash::xxhash3_128;

/// A SHA-256; or a sum, in the first 16 bytes.
pub(super) type Hash = [u8; 32];

/// Tables whose rows are chained in order of their number.
pub(super) const CHAINED: [&str; 3] = ["event", "alarm_change", "audit"];
/// Where the chains begin once what was kept long enough was deleted: the last row that is gone, and its hash.
pub(super) const ROOTS: [&str; 3] = ["event.root", "alarm_change.root", "audit.root"];
/// The word under which the audit trail tells of a chain's new root.
pub(super) const RETIRED: &str = "retired";
/// Tables whose rows bear a hash of themselves.
pub(super) const HASHED: [&str; 2] = ["outbox", "set_aside"];
/// Tables whose rows are summed by triggers.
pub(super) const SUMMED: [&str; 18] = [
    "alarm",
    "counter",
    "dropped",
    FINGERPRINTS,
    "hazard",
    "level_due",
    "link",
    "meta",
    "outbox",
    "person",
    "quarantine",
    "roll_up",
    "roll_up_day",
    "roll_up_hour",
    "sealed",
    "series",
    "set_aside",
    "stranger",
];
/// One of them whose sum the statement that writes it keeps: two triggers for each message would cost too much.
pub(super) const FINGERPRINTS: &str = "fingerprint";
/// The sum of hot readings, kept by the statements that write them: a trigger for each would cost too much.
pub(super) const READINGS: &str = "reading";
/// Where that sum begins: readings up to this number are from before there was one.
pub(super) const READINGS_FROM: &str = "reading.from";
/// The columns of `reading` in the order in which they are hashed.
pub(super) const READING_COLUMNS: &str = "seq, series, arrived, device_at, clock, value, quality, doubt";

/// The hash before the first.
pub(super) const START: Hash = [0; 32];

/// A row of the table `chain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The last row's number, or how many rows are summed.
    pub(super) seq: i64,
    /// Its hash, or the sum.
    pub(super) hash: Hash,
}

impl Head {
    /// A row that adds this number is there.
    pub(super) fn with(&mut self, row: u128) {
        add(&mut self.hash, row);
        self.seq += 1;
    }

    /// A row that added this number is there no longer.
    pub(super) fn without(&mut self, row: u128) {
        add(&mut self.hash, row.wrapping_neg());
        self.seq -= 1;
    }
}

/// Hands on one value: its type, its length if it has one, its bytes.
fn pack(value: ValueRef<'_>, mut out: impl FnMut(&[u8])) {
    let mut sized = |tag: u8, bytes: &[u8]| {
        out(&[tag]);
        out(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
        out(bytes);
    };
    match value {
        ValueRef::Null => out(&[0]),
        ValueRef::Integer(n) => sized(1, &n.to_le_bytes()),
        // SQLite keeps no sign of zero.
        ValueRef::Real(x) => sized(2, &if x == 0.0 { 0.0_f64 } else { x }.to_bits().to_le_bytes()),
        ValueRef::Text(text) => sized(3, text),
        ValueRef::Blob(blob) => sized(4, blob),
    }
}

/// What enters the hash of a row as it is stored: every column before `hash`; behind it stand those that later versions
/// added, each with its place and only where it is not null, so that rows from before have the hash they had.
pub(super) fn hashed_values<'a>(
    values: impl IntoIterator<Item = ValueRef<'a>>,
    hash: usize,
) -> impl Iterator<Item = ValueRef<'a>> {
    values.into_iter().enumerate().flat_map(move |(at, value)| {
        let place = (at > hash).then(|| ValueRef::Integer(i64::try_from(at).unwrap_or(i64::MAX)));
        let counts = at < hash || (at > hash && value != ValueRef::Null);
        counts.then_some(place.into_iter().chain([value])).into_iter().flatten()
    })
}

/// The hash of a row behind another.
pub(super) fn row_hash<'a>(before: &Hash, row: impl IntoIterator<Item = ValueRef<'a>>) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(before);
    row.into_iter().for_each(|value| pack(value, |bytes| hasher.update(bytes)));
    hasher.finalize().into()
}

/// The hash that proves a row of which something was erased: of the row before's hash, what is left, and the hash that it
/// bore with it. That one is kept, so that the rows behind it are proven as they were.
pub(super) fn seal<'a>(
    before: &Hash,
    left: impl IntoIterator<Item = ValueRef<'a>>,
    hash: usize,
    borne: &'a Hash,
) -> Hash {
    row_hash(before, hashed_values(left, hash).chain([ValueRef::Blob(borne)]))
}

/// What rows add to a sum; one buffer serves them all.
#[derive(Debug, Default)]
pub(super) struct Summand(Vec<u8>);

impl Summand {
    /// The number that a row adds.
    pub(super) fn of<'a>(&mut self, row: impl IntoIterator<Item = ValueRef<'a>>) -> u128 {
        self.0.clear();
        row.into_iter().for_each(|value| pack(value, |bytes| self.0.extend_from_slice(bytes)));
        xxhash3_128::Hasher::oneshot(&self.0)
    }
}

/// Adds a row's number to a sum.
pub(super) fn add(sum: &mut Hash, row: u128) {
    if let Some(sum) = sum.first_chunk_mut() {
        *sum = u128::from_le_bytes(*sum).wrapping_add(row).to_le_bytes();
    }
}

fn hash_of(ctx: &Context<'_>, at: usize) -> rusqlite::Result<Hash> {
    let wrong = || rusqlite::Error::UserFunctionError("a hash is 32 bytes".into());
    ctx.get_raw(at).as_blob().ok().and_then(|b| b.try_into().ok()).ok_or_else(wrong)
}

/// Makes a connection keep what this module promises; done at every start, before anything is written.
pub(super) fn install(db: &mut Connection) -> Result<(), StoreError> {
    let doing = "preparing the hash chains";
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    let row = |ctx: &Context<'_>, from: usize| -> rusqlite::Result<Hash> {
        let before = if from == 0 { START } else { hash_of(ctx, 0)? };
        Ok(row_hash(&before, (from..ctx.len()).map(|i| ctx.get_raw(i))))
    };
    db.create_scalar_function("row_hash", -1, flags, move |ctx| row(ctx, 1)).doing(doing)?;
    for (name, sign) in [("sum_with", 1), ("sum_without", u128::MAX)] {
        let summand = RefCell::new(Summand::default());
        db.create_scalar_function(name, -1, flags, move |ctx| {
            let mut sum = hash_of(ctx, 0)?;
            let row = summand.borrow_mut().of((1..ctx.len()).map(|i| ctx.get_raw(i)));
            // Times -1, which is all ones.
            add(&mut sum, row.wrapping_mul(sign));
            Ok(sum)
        })
        .doing(doing)?;
    }
    let tx = db.transaction().doing(doing)?;
    for table in SUMMED {
        let columns = columns(&tx, table)?;
        let of = |row: &str| columns.iter().map(|c| format!("{row}.{c}")).collect::<Vec<_>>().join(", ");
        let (old, new) = (of("old"), of("new"));
        if table != FINGERPRINTS {
            tx.execute_batch(&format!(
                "create temp trigger sum_{table}_insert after insert on main.{table} begin \
                 update chain set seq = seq + 1, head = sum_with(head, {new}) where name = '{table}'; end; \
                 create temp trigger sum_{table}_delete after delete on main.{table} begin \
                 update chain set seq = seq - 1, head = sum_without(head, {old}) where name = '{table}'; end; \
                 create temp trigger sum_{table}_update after update on main.{table} begin \
                 update chain set head = sum_with(sum_without(head, {old}), {new}) where name = '{table}'; end;"
            ))
            .doing(doing)?;
        }
        if head(&tx, table)?.is_none() {
            let sum = sum_of(&tx, table, &columns.join(", "), i64::MIN)?;
            set_head(&tx, table, sum)?;
        }
    }
    if head(&tx, READINGS)?.is_none() {
        // There may be millions; they are sealed within days, and their files bear digests.
        let last: Option<i64> =
            tx.query_row("select max(seq) from reading", [], |row| row.get(0)).doing(doing)?;
        set_head(&tx, READINGS, Head { seq: 0, hash: START })?;
        set_head(&tx, READINGS_FROM, readings_from(last.unwrap_or(0)))?;
    }
    for table in CHAINED {
        if head(&tx, table)?.is_none() {
            let last: Option<i64> =
                tx.query_row(&format!("select max(seq) from {table}"), [], |row| row.get(0)).doing(doing)?;
            set_head(&tx, table, Head { seq: last.unwrap_or(0), hash: START })?;
        }
    }
    tx.commit().doing(doing)
}

/// The columns of a table in their order.
pub(super) fn columns(db: &Connection, table: &str) -> Result<Vec<String>, StoreError> {
    let mut statement = db
        .prepare_cached("select name from pragma_table_info(?1) order by cid")
        .doing("reading the schema")?;
    let names = statement.query_map([table], |row| row.get(0)).doing("reading the schema")?;
    names.collect::<Result<_, _>>().doing("reading the schema")
}

/// How many rows a table has behind a number, and their sum.
pub(super) fn sum_of(db: &Connection, table: &str, columns: &str, after: i64) -> Result<Head, StoreError> {
    let condition = if after == i64::MIN { String::new() } else { format!("where seq > {after}") };
    let mut statement =
        db.prepare(&format!("select {columns} from {table} {condition}")).doing("reading a table")?;
    let width = statement.column_count();
    let mut rows = statement.query([]).doing("reading a table")?;
    let (mut sum, mut summand) = (Head { seq: 0, hash: START }, Summand::default());
    while let Some(row) = rows.next().doing("reading a table")? {
        let values = (0..width).map(|i| row.get_ref(i).unwrap_or(ValueRef::Null));
        add(&mut sum.hash, summand.of(values));
        sum.seq += 1;
    }
    Ok(sum)
}

/// The row that says where the sum of readings begins; its hash is that of the number, as nothing else proves it.
pub(super) fn readings_from(seq: i64) -> Head {
    Head { seq, hash: row_hash(&START, [ValueRef::Integer(seq)]) }
}

/// A row of the table `chain`.
pub(super) fn head(db: &Connection, name: &str) -> Result<Option<Head>, StoreError> {
    db.prepare_cached("select seq, head from chain where name = ?1")
        .and_then(|mut s| s.query_row([name], |r| Ok(Head { seq: r.get(0)?, hash: r.get(1)? })).optional())
        .doing("reading the head of a chain")
}

/// Where a chain begins since its beginning was deleted.
pub(super) fn root(db: &Connection, table: &str) -> Result<Option<Head>, StoreError> {
    head(db, &format!("{table}.root"))
}

/// A chain's root as the audit trail tells it.
pub(super) fn told(root: &Head) -> String {
    let digits: String = root.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("root {} {digits}", root.seq)
}

/// Writes a row of the table `chain`.
pub(super) fn set_head(db: &Connection, name: &str, head: Head) -> Result<(), StoreError> {
    db.prepare_cached("insert or replace into chain (name, seq, head) values (?1, ?2, ?3)")
        .and_then(|mut s| s.execute(params![name, head.seq, head.hash]))
        .doing("writing the head of a chain")?;
    Ok(())
}

/// The end of one chain while rows are added to it within a transaction.
pub(super) struct Link<'a> {
    db: &'a Connection,
    name: &'static str,
    head: Head,
    moved: bool,
}

impl<'a> Link<'a> {
    /// The chain of a table as this transaction finds it.
    pub(super) fn of(db: &'a Connection, name: &'static str) -> Result<Self, StoreError> {
        let mut head = head(db, name)?.unwrap_or(Head { seq: 0, hash: START });
        // A damaged head shows when the chain is verified; it must not stop what comes, nor have a number given twice.
        let last: Option<i64> = db
            .prepare_cached(&format!("select max(seq) from {name}"))
            .and_then(|mut s| s.query_row([], |row| row.get(0)))
            .doing("finding the end of a chain")?;
        head.seq = head.seq.max(last.unwrap_or(0));
        Ok(Self { db, name, head, moved: false })
    }

    /// The number of the next row.
    pub(super) fn next(&self) -> i64 {
        self.head.seq + 1
    }

    /// The hash of the last row.
    pub(super) fn last(&self) -> Hash {
        self.head.hash
    }

    /// A row was added under [`Link::next`], with this hash.
    pub(super) fn added(&mut self, hash: Hash) {
        self.head = Head { seq: self.head.seq + 1, hash };
        self.moved = true;
    }

    /// Writes the head down, if it moved.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        if self.moved { set_head(self.db, self.name, self.head) } else { Ok(()) }
    }
}

/// Changes the sum of a table's rows, as the statement does that writes them.
pub(super) fn sum_changed(
    db: &Connection,
    table: &str,
    change: impl FnOnce(&mut Head) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut sum = head(db, table)?.unwrap_or(Head { seq: 0, hash: START });
    let before = sum;
    change(&mut sum)?;
    if sum == before { Ok(()) } else { set_head(db, table, sum) }
}

/// Changes the sum of hot readings.
pub(super) fn readings_changed(
    db: &Connection,
    change: impl FnOnce(&mut Head) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    sum_changed(db, READINGS, change)
}

/// Deletes readings that `condition` picks and takes them out of their sum; returns how many.
pub(super) fn delete_readings(
    db: &mut Connection,
    condition: &str,
    parameters: impl rusqlite::Params,
) -> Result<usize, StoreError> {
    let doing = "deleting readings";
    let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).doing(doing)?;
    let deleted = delete_readings_in(&tx, condition, parameters)?;
    tx.commit().doing(doing)?;
    Ok(deleted)
}

/// The same within a transaction.
pub(super) fn delete_readings_in(
    db: &Connection,
    condition: &str,
    parameters: impl rusqlite::Params,
) -> Result<usize, StoreError> {
    let doing = "deleting readings";
    let from = head(db, READINGS_FROM)?.map_or(0, |from| from.seq);
    let (mut deleted, mut summand) = (0, Summand::default());
    readings_changed(db, |sum| {
        let sql = format!("delete from reading where {condition} returning {READING_COLUMNS}");
        let mut statement = db.prepare_cached(&sql).doing(doing)?;
        let mut rows = statement.query(parameters).doing(doing)?;
        while let Some(row) = rows.next().doing(doing)? {
            deleted += 1;
            if row.get::<_, i64>(0).doing(doing)? > from {
                let values = (0..8).map(|i| row.get_ref(i).unwrap_or(ValueRef::Null));
                add(&mut sum.hash, summand.of(values).wrapping_neg());
                sum.seq -= 1;
            }
        }
        Ok(())
    })?;
    Ok(deleted)
}

/// Writes down who did what, for ever.
pub(super) fn audit(
    db: &Connection,
    at: Wall,
    actor: &str,
    action: &str,
    subject: &str,
    detail: &str,
) -> Result<(), StoreError> {
    let mut link = Link::of(db, "audit")?;
    let hash = db
        .prepare_cached(
            "insert into audit (seq, at, actor, action, subject, detail, hash) \
             values (?1, ?2, ?3, ?4, ?5, ?6, row_hash(?7, ?1, ?2, ?3, ?4, ?5, ?6)) returning hash",
        )
        .and_then(|mut s| {
            s.query_row(params![link.next(), at.0, actor, action, subject, detail, link.last()], |r| r.get(0))
        })
        .doing("writing to the audit trail")?;
    link.added(hash);
    link.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_forgets_what_is_taken_off_in_any_order() {
        let mut summand = Summand::default();
        let mut row = |n: i64| summand.of([ValueRef::Integer(n), ValueRef::Null]);
        let mut sum = START;
        (0..100).for_each(|n| add(&mut sum, row(n)));
        (1..100).rev().for_each(|n| add(&mut sum, row(n).wrapping_neg()));
        let mut zero = START;
        add(&mut zero, row(0));
        assert_eq!(sum, zero);
        add(&mut sum, row(0).wrapping_neg());
        assert_eq!(sum, START);
        add(&mut sum, row(7).wrapping_neg());
        add(&mut sum, row(7));
        assert_eq!(sum, START, "it may pass below zero");
    }

    #[test]
    fn rows_that_look_alike_have_different_hashes() {
        let rows: [&[ValueRef<'_>]; 7] = [
            &[ValueRef::Text(b"ab"), ValueRef::Text(b"c")],
            &[ValueRef::Text(b"a"), ValueRef::Text(b"bc")],
            &[ValueRef::Blob(b"a"), ValueRef::Text(b"bc")],
            &[ValueRef::Text(b"abc"), ValueRef::Null],
            &[ValueRef::Text(b"abc"), ValueRef::Integer(0)],
            &[ValueRef::Text(b"abc"), ValueRef::Real(0.0)],
            &[ValueRef::Text(b"abc")],
        ];
        let hashes: std::collections::BTreeSet<Hash> =
            rows.iter().map(|row| row_hash(&START, row.iter().copied())).collect();
        assert_eq!(hashes.len(), rows.len());
        let mut summand = Summand::default();
        let numbers: std::collections::BTreeSet<u128> =
            rows.iter().map(|row| summand.of(row.iter().copied())).collect();
        assert_eq!(numbers.len(), rows.len());
        assert_eq!(row_hash(&START, [ValueRef::Real(-0.0)]), row_hash(&START, [ValueRef::Real(0.0)]));
    }
}

//! The yardstick of the store: the rows of a finished run put into the same tables by rusqlite alone.

use crate::Failure;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params_from_iter};
use schoolgate::pipeline::FINGERPRINTS_KEPT;
use std::path::Path;
use std::time::{Duration, Instant};

/// One table's rows, in the order in which they were written.
#[derive(Debug)]
struct Table {
    insert: String,
    rows: Vec<Vec<Value>>,
}

/// What a run left in its database, and how its tables are made.
#[derive(Debug)]
pub(crate) struct Rows {
    schema: String,
    tables: Vec<Table>,
}

impl Rows {
    /// Reads what a run stored. `traces` are the fingerprints of its messages in turn: the table keeps the last few
    /// only, though each of them was written.
    pub(crate) fn of_run(file: &Path, traces: &[(String, u64)]) -> Result<Self, Failure> {
        let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let schema: String = db.query_row(
            "select group_concat(sql, ';') from (select sql from sqlite_master where sql is not null order by rowid)",
            [],
            |row| row.get(0),
        )?;
        let traces = traces.iter().zip(0..).map(|((bus, value), turn)| -> Result<_, Failure> {
            let slot = turn % i64::try_from(FINGERPRINTS_KEPT)?;
            Ok(vec![bus.clone().into(), slot.into(), turn.into(), value.cast_signed().into()])
        });
        let fingerprints = Table {
            insert:
                "insert or replace into fingerprint (bus, slot, turn, value, at) values (?1, ?2, ?3, ?4, 0)"
                    .into(),
            rows: traces.collect::<Result<_, _>>()?,
        };
        let tables = vec![table(&db, "reading")?, table(&db, "event")?, fingerprints];
        Ok(Self { schema, tables })
    }

    /// Readings and events.
    pub(crate) fn observations(&self) -> usize {
        self.tables.iter().take(2).map(|table| table.rows.len()).sum()
    }

    /// Inserts everything into a new file, in so many transactions of equal size; how long that took.
    pub(crate) fn insert(&self, file: &Path, transactions: usize) -> Result<Duration, Failure> {
        let mut db = Connection::open(file)?;
        // As src/store has it.
        db.pragma_update(None, "journal_mode", "wal")?;
        db.pragma_update(None, "synchronous", "full")?;
        db.pragma_update(None, "wal_autocheckpoint", 1000)?;
        db.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024)?;
        db.pragma_update(None, "cache_size", -8192)?;
        db.pragma_update(None, "mmap_size", 0)?;
        db.pragma_update(None, "cell_size_check", true)?;
        db.pragma_update(None, "foreign_keys", true)?;
        db.execute_batch(&self.schema)?;
        let begun = Instant::now();
        for turn in 0..transactions {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for table in &self.tables {
                let mut insert = tx.prepare_cached(&table.insert)?;
                let part = |turn: usize| turn * table.rows.len() / transactions;
                for row in table.rows.get(part(turn)..part(turn + 1)).unwrap_or_default() {
                    insert.execute(params_from_iter(row))?;
                }
            }
            tx.commit()?;
        }
        Ok(begun.elapsed())
    }
}

/// All rows of a table but for their number, which is given anew.
fn table(db: &Connection, name: &str) -> Result<Table, Failure> {
    let mut columns = db.prepare("select name from pragma_table_info(?1) where name <> 'seq'")?;
    let columns: Vec<String> = columns.query_map([name], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let marks = vec!["?"; columns.len()].join(", ");
    let listed = columns.join(", ");
    let mut select = db.prepare(&format!("select {listed} from {name} order by seq"))?;
    let rows = select.query_map([], |row| (0..columns.len()).map(|i| row.get(i)).collect())?;
    Ok(Table {
        insert: format!("insert into {name} ({listed}) values ({marks})"),
        rows: rows.collect::<Result<_, _>>()?,
    })
}

//! From whatever schema a file has to the one this program knows, one version at a time, each in its transaction.

use super::{APPLICATION_ID, Doing, StoreError};
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::Path;

/// One step per version: the first makes version 1 of an empty file.
const STEPS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
    include_str!("schema-5.sql"),
    include_str!("schema-6.sql"),
    include_str!("schema-7.sql"),
];

/// The schema this program knows.
pub const SCHEMA_VERSION: i32 = 7;
const _: () = assert!(STEPS.len() == SCHEMA_VERSION as usize);

/// An empty database of this schema, in memory.
pub(super) fn fresh() -> Result<Connection, StoreError> {
    let db = Connection::open_in_memory().doing("making a schema to compare with")?;
    STEPS.iter().try_for_each(|step| db.execute_batch(step)).doing("making a schema to compare with")?;
    Ok(db)
}

/// The words of a schema.
pub(super) fn schema(db: &Connection) -> Result<BTreeSet<[Option<String>; 4]>, StoreError> {
    let mut statement =
        db.prepare("select type, name, tbl_name, sql from sqlite_schema").doing("reading the schema")?;
    let rows = statement
        .query_map([], |r| Ok([r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?]))
        .doing("reading the schema")?;
    rows.collect::<Result<_, _>>().doing("reading the schema")
}

pub(super) fn migrate(db: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let pragma = |db: &Connection, name: &str| {
        db.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).doing("reading the schema version")
    };
    let application = pragma(db, "application_id")?;
    let version = pragma(db, "user_version")?;
    let tables: i64 = db
        .query_row("select count(*) from sqlite_schema", [], |row| row.get(0))
        .doing("reading the schema")?;
    let foreign = application != APPLICATION_ID && (tables > 0 || application != 0);
    if (foreign || version >= SCHEMA_VERSION) && tables > 0 {
        let ours = schema(db)? == schema(&fresh()?)?;
        let what = match (foreign, ours) {
            // A mark that is damaged, not another's: every version changes the tables.
            (true, true) => format!("its application id is {application:#010x}"),
            (false, true) if version > SCHEMA_VERSION => format!("its schema version is {version}"),
            (false, false) if version == SCHEMA_VERSION => {
                "its tables are not those of this program".to_owned()
            }
            (false, true) => String::new(),
            (true, false) => return Err(StoreError::Foreign { path: path.to_owned(), found: application }),
            (false, false) => return Err(StoreError::Newer { path: path.to_owned(), found: version }),
        };
        if !what.is_empty() {
            return Err(StoreError::Unsound { path: path.to_owned(), what });
        }
    }
    for (step, next) in STEPS.iter().zip(1..).skip(usize::try_from(version).unwrap_or(0)) {
        let tx = db.transaction().doing("upgrading the schema")?;
        tx.execute_batch(step).doing("upgrading the schema")?;
        tx.pragma_update(None, "user_version", next).doing("upgrading the schema")?;
        tx.pragma_update(None, "application_id", APPLICATION_ID).doing("upgrading the schema")?;
        tx.commit().doing("upgrading the schema")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Depth, FILE_NAME, Reader, Store};
    use tempfile::{TempDir, tempdir};

    /// Rows of an older version beyond those of the versions before it.
    const ROWS: [&str; 6] = [
        include_str!("history/version-1.sql"),
        "insert into event values (2, 'gate', 1790000001000, null, 1, 0, 'help', 'start', null, '18', null, null, \
         null, null, null, null);
         insert into outbox values (12, 'city', 0, 'gw:12', 1790000000000, '{}', null);
         update meta set value = '13' where key = 'next_seq';
         insert into dropped values ('shed', 7, 1790000000000, 1790000000000);",
        "insert into roll_up_day values (1, 1789920000000, 1790006400000, 3, 6.0, 1.0, 3.0, 3.0, 2.0, 0);",
        "insert into counter values (1, 1790000000000, 3.0);",
        "insert into person values ('00112233445566778899aabbccddeeff', 'student', null, null, null, null, 1790000000000);",
        "insert into hazard (id, what, found_by, found_at, found_note) values (1, 'w', 'guard', 1790000000000, '');",
    ];

    /// The file that a program of that version left behind.
    fn of_version(version: usize) -> TempDir {
        let dir = tempdir().unwrap();
        let db = Connection::open(dir.path().join(FILE_NAME)).unwrap();
        for (step, rows) in STEPS.iter().zip(ROWS).take(version) {
            db.execute_batch(step).unwrap();
            db.execute_batch(rows).unwrap();
        }
        db.pragma_update(None, "user_version", i32::try_from(version).unwrap()).unwrap();
        db.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        dir
    }

    fn count(db: &Connection, table: &str) -> i64 {
        db.query_row(&format!("select count(*) from {table}"), [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_file_of_every_version_becomes_one_that_equals_a_new_one_with_its_rows_and_verifies() {
        assert_eq!(ROWS.len(), STEPS.len() - 1, "rows of every version but the last");
        for version in 1..STEPS.len() {
            let dir = of_version(version);
            let path = dir.path().join(FILE_NAME);
            let before = Connection::open(&path).unwrap();
            let tables: Vec<String> = schema(&before)
                .unwrap()
                .into_iter()
                .filter_map(|[kind, name, ..]| name.filter(|_| kind.as_deref() == Some("table")))
                .collect();
            let rows: Vec<i64> = tables.iter().map(|table| count(&before, table)).collect();
            drop(before);
            for _ in 0..2 {
                drop(Store::open(dir.path()).unwrap());
                let after = Connection::open(&path).unwrap();
                assert_eq!(schema(&after).unwrap(), schema(&fresh().unwrap()).unwrap(), "{version}");
                for (table, rows) in tables.iter().zip(&rows).filter(|(table, _)| *table != "chain") {
                    assert_eq!(count(&after, table), *rows, "{version}: {table}");
                }
                let verdict = Reader::open(dir.path()).unwrap().verify(Depth::Whole).unwrap();
                assert_eq!(verdict.broken, [], "{version}");
                assert!(verdict.unproven > 0, "nothing is proven of rows from before there were hashes");
            }
        }
    }

    #[test]
    fn every_version_changes_the_tables() {
        let db = Connection::open_in_memory().unwrap();
        for step in STEPS {
            let before = schema(&db).unwrap();
            db.execute_batch(step).unwrap();
            assert_ne!(
                schema(&db).unwrap(),
                before,
                "a damaged version number could not be told from a newer one"
            );
        }
    }
}

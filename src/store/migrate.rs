//! From whatever schema a file has to the one this program knows, one version at a time, each in its transaction.

use super::{APPLICATION_ID, Doing, StoreError};
use rusqlite::Connection;
use std::path::Path;

/// One step per version: the first makes version 1 of an empty file.
const STEPS: &[&str] =
    &[include_str!("schema.sql"), include_str!("schema-2.sql"), include_str!("schema-3.sql")];

/// The schema this program knows.
pub const SCHEMA_VERSION: i32 = 3;
const _: () = assert!(STEPS.len() == SCHEMA_VERSION as usize);

/// An empty database of this schema, in memory.
pub(super) fn fresh() -> Result<Connection, StoreError> {
    let db = Connection::open_in_memory().doing("making a schema to compare with")?;
    STEPS.iter().try_for_each(|step| db.execute_batch(step)).doing("making a schema to compare with")?;
    Ok(db)
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
    if application != APPLICATION_ID && (tables > 0 || application != 0) {
        return Err(StoreError::Foreign { path: path.to_owned(), found: application });
    }
    if version > SCHEMA_VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found: version });
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

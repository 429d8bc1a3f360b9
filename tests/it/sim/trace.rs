//! What a simulated school did, as one digest: two plays of a seed must have the same.

use rusqlite::types::ValueRef;
use sha2::{Digest as _, Sha256};
use std::fmt::{Debug, Write};
use std::path::Path;

/// Of everything that was done.
pub(super) type Digest = [u8; 32];

/// Takes up what is done, if anybody wants to know.
pub(super) struct Trace(Option<Hasher>);

struct Hasher(Sha256);

impl Write for Hasher {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.update(text);
        Ok(())
    }
}

impl Trace {
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn begin() -> Self {
        Self(Some(Hasher(Sha256::new())))
    }

    /// This was done now.
    pub(super) fn note(&mut self, what: &impl Debug) {
        if let Some(hasher) = &mut self.0 {
            writeln!(hasher, "{what:?}").expect("a digest takes everything");
        }
    }

    /// With every row of every table of the database in this directory.
    pub(super) fn end(self, dir: &Path) -> Option<Digest> {
        let mut hasher = self.0?;
        dump(&mut hasher, dir).expect("the database is read");
        Some(hasher.0.finalize().into())
    }
}

fn dump(hasher: &mut Hasher, dir: &Path) -> rusqlite::Result<()> {
    let db = crate::oracle::look_at(dir)?;
    let mut tables = db.prepare("select name from sqlite_schema where type = 'table' order by name")?;
    let tables: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for table in tables {
        let mut rows = db.prepare(&format!("select * from \"{table}\""))?;
        let width = rows.column_count();
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            for i in 0..width {
                let value: ValueRef<'_> = row.get_ref(i)?;
                write!(hasher, "{table} {value:?} ").expect("a digest takes everything");
            }
        }
    }
    Ok(())
}

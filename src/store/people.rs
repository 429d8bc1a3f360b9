//! The table of persons: who is behind a pseudonym, as the school told.

use super::{Doing, StoreError};
use crate::model::{PeopleChange, Person, PersonRef, Wall};
use rusqlite::{Transaction, params};

/// Makes a change true; the erasure of somebody is done elsewhere, after everything else.
pub(super) fn write(tx: &Transaction<'_>, change: &PeopleChange, at: Wall) -> Result<(), StoreError> {
    let rows = match change {
        PeopleChange::Replace(rows) => {
            tx.execute("delete from person", []).doing("replacing the table of persons")?;
            rows
        }
        PeopleChange::Put(rows) => rows,
        PeopleChange::Erase(_) => return Ok(()),
    };
    rows.iter().try_for_each(|(who, person)| put(tx, who, person, at))
}

fn put(tx: &Transaction<'_>, who: &PersonRef, person: &Person, at: Wall) -> Result<(), StoreError> {
    tx.prepare_cached(
        "insert or replace into person (pseudonym, role, grp, platform_id, valid_from, valid_until, imported_at) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )
    .and_then(|mut s| {
        s.execute(params![
            who.as_str(),
            person.role.as_str(),
            person.group,
            person.platform_id,
            person.valid_from.map(|w| w.0),
            person.valid_until.map(|w| w.0),
            at.0,
        ])
    })
    .doing("storing a person")?;
    Ok(())
}

//! The table of persons: who is behind a pseudonym, as the school told; and how nothing is left of one.

use super::read::{event_of, person_of};
use super::recall::each;
use super::{Doing, FILE_NAME, Reader, Store, StoreError, chain, connect};
use crate::alarm::erased;
use crate::model::{AlarmId, PeopleChange, Person, PersonRef, Role, Wall};
use crate::pipeline::StoredEvent;
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Transaction, params};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The word under which the audit trail tells that nothing is left of a person.
const ERASED: &str = "erased";
/// Largest database that is written anew to get at what lies between its rows, bytes.
const REWRITTEN_BYTES: u64 = 512 * 1024 * 1024;
/// Bytes looked at together when a file is searched.
const SEARCHED_BYTES: usize = 1024 * 1024;

/// Makes a change true; the erasure of somebody is [`erase`]'s.
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

/// Takes a person out of everything stored, and tells the audit trail how much it was; done last in a commit.
pub(super) fn erase(tx: &Transaction<'_>, change: &PeopleChange, at: Wall) -> Result<(), StoreError> {
    let PeopleChange::Erase(who) = change else { return Ok(()) };
    let doing = "erasing a person";
    let digits = who.as_str();
    let persons = tx.execute("delete from person where pseudonym = ?1", [digits]).doing(doing)?;
    let events = erase_events(tx, who)?;
    let alarms = erase_alarms(tx, who)?;
    let mut records = 0;
    for (table, of_alarms, row) in [
        ("outbox", "lane = 0 and", "seq, destination, lane, uid, created, {}"),
        ("set_aside", "", "seq, destination, uid, created, {}, reason, at"),
    ] {
        let row = row.replace("{}", "replace(record, ?1, 'erased')");
        records += tx
            .execute(
                &format!(
                    "update {table} set record = replace(record, ?1, 'erased'), \
                     hash = case when hash is null then null else row_hash(zeroblob(32), {row}) end \
                     where {of_alarms} instr(record, ?1) > 0"
                ),
                [digits],
            )
            .doing(doing)?;
    }
    for column in ["what", "found_note", "checked_note", "handled_note", "closed_note"] {
        let sql = format!(
            "update hazard set {column} = replace({column}, ?1, 'erased') where instr({column}, ?1) > 0"
        );
        tx.execute(&sql, [digits]).doing(doing)?;
    }
    // What a restart has to know (of a muster, say) may name them.
    tx.execute("update meta set value = replace(value, ?1, 'erased') where instr(value, ?1) > 0", [digits])
        .doing(doing)?;
    let payloads = tx
        .execute(
            "delete from quarantine where instr(raw, cast(?1 as blob)) > 0 \
             or instr(origin || reason || coalesce(device, ''), ?1) > 0",
            [digits],
        )
        .doing(doing)?;
    let detail = format!(
        "{events} events, {persons} rows of the table of persons, {alarms} alarms, {records} records for platforms, \
         {payloads} quarantined payloads"
    );
    chain::audit(tx, at, "gateway", ERASED, &format!("person {}", who.tag()), &detail)
}

/// The rows stay, without the person, and bear a seal; their hashes go on holding the chain.
fn erase_events(tx: &Transaction<'_>, who: &PersonRef) -> Result<usize, StoreError> {
    let doing = "erasing a person from events";
    let rows: Vec<i64> =
        each(tx, "select seq from event where person = ?1 order by seq", [who.as_str()], |row| {
            row.get(0).doing(doing)
        })?;
    let root = chain::root(tx, "event")?.map_or(chain::START, |root| root.hash);
    let mut select = tx.prepare("select * from event where seq = ?1").doing(doing)?;
    let width = select.column_count();
    let hash = select.column_index("hash").doing(doing)?;
    let person = select.column_index("person").doing(doing)?;
    for seq in &rows {
        let before: Option<Option<chain::Hash>> = tx
            .prepare_cached("select hash from event where seq < ?1 order by seq desc limit 1")
            .and_then(|mut s| s.query_row([seq], |row| row.get(0)).optional())
            .doing(doing)?;
        let before = before.flatten().unwrap_or(root);
        let seal = select
            .query_row([seq], |row| {
                // A row from before there were hashes has none to keep.
                let Some(borne) = row.get::<_, Option<chain::Hash>>(hash)? else { return Ok(None) };
                let left = (0..width).map(|at| match at == person {
                    true => ValueRef::Null,
                    false => row.get_ref(at).unwrap_or(ValueRef::Null),
                });
                Ok(Some(chain::seal(&before, left, hash, &borne)))
            })
            .doing(doing)?;
        tx.prepare_cached("update event set person = null, erased = ?2 where seq = ?1")
            .and_then(|mut s| s.execute(params![seq, seal]))
            .doing(doing)?;
    }
    Ok(rows.len())
}

/// Alarms that are about the person, or where somebody wrote the pseudonym into a note.
fn erase_alarms(tx: &Transaction<'_>, who: &PersonRef) -> Result<usize, StoreError> {
    let doing = "erasing a person from alarms";
    let about: Vec<i64> = each(
        tx,
        "select id from alarm where instr(subject || what_zh || what_en || coalesce(ack_note, '') \
         || coalesce(reset_note, '') || coalesce(shelf_note, '') || coalesce(out_note, '') \
         || coalesce(truth_note, ''), ?1) > 0",
        [who.as_str()],
        |row| row.get(0).doing(doing),
    )?;
    for id in &about {
        let instead = erased(AlarmId(u64::try_from(*id).unwrap_or(0)));
        tx.execute(
            "update alarm set subject = replace(subject, ?1, ?2), what_zh = replace(what_zh, ?1, ?2), \
             what_en = replace(what_en, ?1, ?2), ack_note = replace(ack_note, ?1, ?2), \
             reset_note = replace(reset_note, ?1, ?2), shelf_note = replace(shelf_note, ?1, ?2), \
             out_note = replace(out_note, ?1, ?2), truth_note = replace(truth_note, ?1, ?2) where id = ?3",
            params![who.as_str(), instead, id],
        )
        .doing(doing)?;
    }
    Ok(about.len())
}

impl Store {
    /// Copies the whole write-ahead log into the file and empties it. `false` while somebody reads what stands in it;
    /// then it is to be tried again.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn flush(&mut self) -> Result<bool, StoreError> {
        let busy: i64 = self
            .db
            .query_row("pragma wal_checkpoint(truncate)", [], |row| row.get(0))
            .doing("writing the log into the database")?;
        Ok(busy == 0)
    }

    /// Writes the whole file anew, so that nothing lies between its rows or in pages that are free. `false` where it is
    /// too large for that.
    ///
    /// # Errors
    /// When the disk refuses; the file is as it was then.
    pub fn rewrite(&mut self) -> Result<bool, StoreError> {
        let bytes = std::fs::metadata(&self.path).map_or(u64::MAX, |meta| meta.len());
        if bytes > REWRITTEN_BYTES {
            return Ok(false);
        }
        self.upkeep.forget_sealing();
        // A connection of its own: this one's triggers would be gone when its temporary files are to be on the disk.
        let other = connect(&self.path, self.vfs.as_deref())?;
        other.pragma_update(None, "temp_store", "file").doing("writing the database anew")?;
        other.execute_batch("vacuum").doing("writing the database anew")?;
        Ok(true)
    }
}

impl Reader {
    /// What a person did in a span, oldest first, at most `limit` events from `from` on and before `to` by arrival.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn track(
        &self,
        who: &PersonRef,
        (from, to): (Wall, Wall),
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        each(
            &self.db,
            "select * from event where person = ?1 and arrived >= ?2 and arrived < ?3 order by seq limit ?4",
            params![who.as_str(), from.0, to.0, limit],
            event_of,
        )
    }

    /// How many persons there are, by role and class.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn people_by_group(&self) -> Result<Vec<(Role, Option<String>, u64)>, StoreError> {
        let mut counts = std::collections::BTreeMap::new();
        for (_, person) in self.people()? {
            *counts.entry((person.role, person.group)).or_insert(0) += 1;
        }
        Ok(counts.into_iter().map(|((role, group), n)| (role, group, n)).collect())
    }

    /// Everybody in the table of persons.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn people(&self) -> Result<Vec<(PersonRef, Person)>, StoreError> {
        each(&self.db, "select * from person order by pseudonym", [], person_of)
    }

    /// What the audit trail last told of a person's erasure.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn erasure(&self, who: &PersonRef) -> Result<Option<String>, StoreError> {
        self.db
            .query_row(
                "select detail from audit where action = ?1 and subject = ?2 order by seq desc limit 1",
                [ERASED, &format!("person {}", who.tag())],
                |row| row.get(0),
            )
            .optional()
            .doing("reading the audit trail")
    }
}

/// The files of a data directory in which the pseudonym still stands, by their names in it: the database with its log, and
/// what was moved aside as damaged or replaced. Sealed files hold no persons.
///
/// # Errors
/// When one cannot be read.
pub fn traces(dir: &Path, who: &PersonRef) -> Result<Vec<String>, StoreError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |cause| StoreError::File { path, doing: "searching", cause }
    };
    let mut found = Vec::new();
    let mut dirs: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(&next).map_err(failed(&next))? {
            let path = entry.map_err(failed(&next))?.path();
            if path.is_dir() {
                if path != dir.join(super::history::DIRECTORY) {
                    dirs.push(path);
                }
            } else if holds(&path, who.as_str().as_bytes()).map_err(failed(&path))? {
                let name = path.strip_prefix(dir).unwrap_or(&path);
                found.push(name.display().to_string());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether some bytes stand in a file; one that is gone meanwhile holds nothing.
fn holds(path: &Path, wanted: &[u8]) -> std::io::Result<bool> {
    let mut file = match File::open(path) {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let mut held: Vec<u8> = Vec::new();
    loop {
        let kept = held.len().min(wanted.len().saturating_sub(1));
        held.drain(..held.len() - kept);
        let read =
            file.by_ref().take(u64::try_from(SEARCHED_BYTES).unwrap_or(u64::MAX)).read_to_end(&mut held)?;
        if held.windows(wanted.len()).any(|window| window == wanted) {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
    }
}

/// Whether a file in which something was found is the database itself or its log.
#[must_use]
pub fn is_database(name: &str) -> bool {
    name.starts_with(FILE_NAME)
}

#[cfg(test)]
mod tests;

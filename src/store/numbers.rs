//! Numbers that are never given twice, also when it was lost which were given.

use super::append::{ALARMS_GIVEN, HAZARDS_GIVEN, READINGS_GIVEN, floor};
use super::{Doing, StoreError, chain, history};
use crate::model::Wall;
use crate::museum;
use crate::runtime::{Clock, SystemClock};
use rusqlite::Connection;
use std::path::Path;

/// Numbers left out by a restore and a rescue. Numbers may have been given that the database does not know of, and
/// platforms have seen them; given again, their records would be dropped as repeats. This is more than two years of
/// the readings of a large school (1.4 million a day), and of records and alarms more than there will ever be.
pub const RESTORE_MARGIN: i64 = 1_000_000_000;
/// Chains whose numbers are raised; those of the audit trail are nobody else's.
const RAISED_CHAINS: [&str; 2] = ["event", "alarm_change"];

/// `meta` key: rows of a chain up to this number are given, whatever the table holds.
fn given(table: &str) -> String {
    format!("{table}_given")
}

/// The number that the head of a chain should have behind its last row.
pub(super) fn head_seq(db: &Connection, table: &str, last: i64) -> Result<i64, StoreError> {
    Ok(last.max(floor(db, &given(table))?))
}

/// Raises every number if where they were noted is not as it was written; done at every start.
pub(super) fn mend(db: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let doing = "looking whether the numbers are as they were written";
    let sum = |db: &Connection| chain::sum_of(db, "meta", "key, value", i64::MIN);
    if chain::head(db, "meta")? == Some(sum(db)?) {
        return Ok(());
    }
    tracing::error!("the numbers given last are damaged; they are raised past all that may have been given");
    let tx = db.transaction().doing(doing)?;
    let now = SystemClock::new().now().wall;
    let next = raise(&tx, Some(now.max(changed_at(path))))?;
    chain::set_head(&tx, "meta", sum(&tx)?)?;
    chain::audit(&tx, now, "gateway", "raised", "meta", &format!("it was damaged; next record {next}"))?;
    tx.commit().doing(doing)
}

/// When a file was last written, by its file system: the newest time that is known where the clock is not set yet.
pub(super) fn changed_at(path: &Path) -> Wall {
    let changed = std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let since = changed.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    Wall(since.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0))
}

/// Raises every number past all that may have been given; the next record's.
///
/// Where `unknown` is a time, it was lost how far the numbers were raised before. No counter grows faster than the
/// milliseconds of the time since 1970, and a thousand raises are allowed for.
pub(super) fn raise(db: &Connection, unknown: Option<Wall>) -> Result<i64, StoreError> {
    let least = unknown.map_or(0, |now| now.0.max(0).saturating_add(1_000 * RESTORE_MARGIN));
    let raised = |key: &str, highest: &str| -> Result<i64, StoreError> {
        let known: i64 = db
            .query_row(&format!("select coalesce(max(n), 0) from ({highest})"), [], |row| row.get(0))
            .doing("finding the highest number given")?;
        let margin = if museum::on("reuse_of_sequence_after_restore") { 0 } else { RESTORE_MARGIN };
        let to = known.max(floor(db, key)?).max(least).saturating_add(margin);
        history::set_meta(db, key, &to.to_string())?;
        Ok(to)
    };
    let next = raised(
        "next_seq",
        "select max(seq) + 1 as n from outbox union all select max(seq) + 1 from set_aside",
    )?;
    raised(ALARMS_GIVEN, "select max(id) as n from alarm union all select max(alarm) from alarm_change")?;
    raised(HAZARDS_GIVEN, "select max(id) as n from hazard")?;
    let through = history::sealed_through(db)?;
    raised(READINGS_GIVEN, &format!("select max(seq) as n from reading union all select {through}"))?;
    for table in RAISED_CHAINS {
        let seq = raised(&given(table), &format!("select max(seq) as n from {table}"))?;
        let hash = chain::head(db, table)?.map_or(chain::START, |head| head.hash);
        chain::set_head(db, table, chain::Head { seq, hash })?;
    }
    Ok(next)
}

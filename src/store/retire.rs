//! What has been kept long enough is deleted: events, alarms and hazards that are over, the audit trail, quarantined
//! payloads, and persons whose time is over.
//!
//! Of a chain only the beginning goes. The number and hash of the last row that is gone become its root, and the audit
//! trail tells of it, so that `db verify` proves the rest and tells a beginning that was cut from one that is missing.
//! Alarms that are open or that nobody took, what is owed to platforms and what was set aside are never deleted.

use super::append::{ALARMS_GIVEN, HAZARDS_GIVEN, floor};
use super::{Doing, Store, StoreError, chain, history};
use crate::config::Keep;
use crate::model::{Now, Wall};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::time::Duration;

const DAY_MS: i64 = 24 * 3600 * 1000;
/// Pause between two steps. Each deletes a day of each table at most, so that a clock that is years ahead for a day
/// costs no more than a month.
pub(super) const RETIRE_EVERY: Duration = Duration::from_secs(3600);
/// Most rows of a table deleted in one step: some seconds of a slow card.
const MOST_ROWS: i64 = 20_000;

impl Store {
    /// Says how long data are kept; for ever unless told.
    pub fn set_keep(&mut self, keep: Keep) {
        self.upkeep.keep = Some(keep);
    }

    /// Deletes a little of what has been kept long enough.
    pub(super) fn retire(&mut self, now: Now) -> Result<(), StoreError> {
        let Some(keep) = self.upkeep.keep.filter(|_| now.wall.plausible()) else { return Ok(()) };
        let doing = "deleting what was kept long enough";
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
        let before = |days: u32| Wall(now.wall.0 - i64::from(days) * DAY_MS);
        cut(&tx, "event", ("arrived", ""), before(keep.events_days), now.wall)?;
        retire_alarms(&tx, before(keep.alarms_days), now.wall)?;
        retire_hazards(&tx, before(keep.alarms_days))?;
        if cut(&tx, "audit", ("at", ""), before(keep.security_log_days), now.wall)? {
            tell_again(&tx, now.wall)?;
        }
        for (sql, limit) in [
            (
                "delete from quarantine where seq in \
                 (select seq from quarantine where at < ?1 order by seq limit ?2)",
                before(keep.quarantine_days),
            ),
            (
                "delete from person where pseudonym in \
                 (select pseudonym from person where valid_until < ?1 limit ?2)",
                before(keep.persons_days),
            ),
        ] {
            tx.execute(sql, params![limit.0, MOST_ROWS]).doing(doing)?;
        }
        tx.commit().doing(doing)
    }
}

/// Alarms that are over and were taken, or were of a drill, with their steps.
fn retire_alarms(tx: &Transaction<'_>, limit: Wall, now: Wall) -> Result<(), StoreError> {
    let doing = "deleting old alarms";
    let living = format!(
        "or alarm in (select id from alarm where closed_at is null or (ack_at is null and drill = 0) \
         or closed_at >= {})",
        limit.0
    );
    cut(tx, "alarm_change", ("at", &living), limit, now)?;
    let highest: i64 =
        tx.query_row("select coalesce(max(id), 0) from alarm", [], |row| row.get(0)).doing(doing)?;
    let gone = tx
        .execute(
            "delete from alarm where id in (select id from alarm where closed_at < ?1 and (ack_at is not null or drill = 1) \
             and not exists (select 1 from alarm_change where alarm = alarm.id) order by id limit ?2)",
            params![limit.0, MOST_ROWS],
        )
        .doing(doing)?;
    if gone > 0 && highest > floor(tx, ALARMS_GIVEN)? {
        // Their numbers are not given again.
        history::set_meta(tx, ALARMS_GIVEN, &highest.to_string())?;
    }
    Ok(())
}

/// Hazards that are closed, as long after that as alarms.
fn retire_hazards(tx: &Transaction<'_>, limit: Wall) -> Result<(), StoreError> {
    let doing = "deleting old hazards";
    let highest: i64 =
        tx.query_row("select coalesce(max(id), 0) from hazard", [], |row| row.get(0)).doing(doing)?;
    let gone = tx
        .execute(
            "delete from hazard where id in (select id from hazard where closed_at < ?1 order by id limit ?2)",
            params![limit.0, MOST_ROWS],
        )
        .doing(doing)?;
    if gone > 0 && highest > floor(tx, HAZARDS_GIVEN)? {
        // Their numbers are not given again.
        history::set_meta(tx, HAZARDS_GIVEN, &highest.to_string())?;
    }
    Ok(())
}

/// Deletes the beginning of a chain up to the last row that is older than `limit` and stands before the first that is
/// kept, a day and [`MOST_ROWS`] at most; whether anything was. A time that is ahead of the clock says nothing.
fn cut(
    tx: &Transaction<'_>,
    table: &'static str,
    (time, or_kept): (&str, &str),
    limit: Wall,
    now: Wall,
) -> Result<bool, StoreError> {
    let doing = "deleting the beginning of a chain";
    let one = |sql: &str, parameters: &[&dyn rusqlite::ToSql]| {
        tx.query_row(sql, parameters, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .optional()
            .doing(doing)
    };
    let Some((first, oldest)) = one(&format!("select seq, {time} from {table} order by seq limit 1"), &[])?
    else {
        return Ok(false);
    };
    let limit = limit.0.min(oldest.saturating_add(DAY_MS));
    let kept = one(
        &format!(
            "select seq, {time} from {table} where {time} between ?1 and ?2 {or_kept} order by seq limit 1"
        ),
        &[&limit, &now.0],
    )?;
    let end = kept.map_or(i64::MAX, |(seq, _)| seq).min(first.saturating_add(MOST_ROWS));
    let last = one(
        &format!("select seq, {time} from {table} where seq < ?1 and {time} < ?2 order by seq desc limit 1"),
        &[&end, &limit],
    )?;
    let Some((last, _)) = last else { return Ok(false) };
    let hash: Option<chain::Hash> = tx
        .query_row(&format!("select hash from {table} where seq = ?1"), [last], |row| row.get(0))
        .doing(doing)?;
    let root = chain::Head { seq: last, hash: hash.unwrap_or(chain::START) };
    let rows = tx.execute(&format!("delete from {table} where seq <= ?1"), [last]).doing(doing)?;
    chain::set_head(tx, &format!("{table}.root"), root)?;
    let detail = format!("{rows} rows from {} on", Wall(oldest));
    tell(tx, table, &detail, &root, now)?;
    Ok(true)
}

/// Tells the audit trail of every root once more: where it told before may be gone.
pub(super) fn tell_again(db: &Connection, now: Wall) -> Result<(), StoreError> {
    for table in chain::CHAINED {
        if let Some(root) = chain::root(db, table)? {
            tell(db, table, "still", &root, now)?;
        }
    }
    Ok(())
}

fn tell(
    db: &Connection,
    table: &'static str,
    what: &str,
    root: &chain::Head,
    now: Wall,
) -> Result<(), StoreError> {
    chain::audit(db, now, "gateway", chain::RETIRED, table, &format!("{what}; {}", chain::told(root)))
}

#[cfg(test)]
mod tests;

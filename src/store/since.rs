//! What happened to alarms after a step that somebody has seen: for whoever follows them without a gap.

use super::alarms::{ALARM_COLUMNS, alarm_of};
use super::recall::each;
use super::rows::{get, word};
use super::sought::URGENCY;
use super::{Doing, MAX_ROWS, Reader, StoreError};
use crate::model::{Actor, Alarm, AlarmChange, ChangeKind, Wall};

/// Steps that somebody may have missed and still be told one by one; beyond it they had better look anew.
pub const MOST_MISSED: u64 = 2_000;

/// How alarms stand, and up to which step.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The number of the last step; 0 where there is none.
    pub last: u64,
    /// The open alarms, the most urgent first; at most [`MAX_ROWS`].
    pub open: Vec<Alarm>,
}

/// Steps in the lives of alarms, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Missed {
    /// Each with its number. The alarm is shown as it stands after the last of all steps.
    pub rows: Vec<(u64, AlarmChange)>,
    /// All up to this number have been told then.
    pub through: u64,
    /// There are more.
    pub more: bool,
}

impl Reader {
    /// How alarms stand now.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn standing(&self) -> Result<Standing, StoreError> {
        let look = self.db.unchecked_transaction().doing("looking at open alarms")?;
        let last = last_step(self)?;
        let sql = format!(
            "select {} from alarm indexed by alarm_open where closed_at is null order by {URGENCY}, id desc limit ?1",
            *ALARM_COLUMNS
        );
        let open = each(&self.db, &sql, [MAX_ROWS], alarm_of)?;
        look.finish().doing("looking at open alarms")?;
        Ok(Standing { last, open })
    }

    /// The next steps after one, at most `limit`; `None` where not all of them are there any more, where there are more
    /// than [`MOST_MISSED`], and where there was no such step.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn missed(&self, after: u64, limit: u32) -> Result<Option<Missed>, StoreError> {
        let look = self.db.unchecked_transaction().doing("looking for steps of alarms")?;
        let last = last_step(self)?;
        if last.checked_sub(after).is_none_or(|missed| missed > MOST_MISSED) {
            return Ok(None);
        }
        let number = i64::try_from(after).unwrap_or(i64::MAX);
        // Numbers follow one another, except where some were deleted, or left out by a restore.
        let there: i64 = self
            .db
            .prepare_cached("select count(*) from alarm_change where seq > ?1")
            .and_then(|mut s| s.query_row([number], |row| row.get(0)))
            .doing("counting steps of alarms")?;
        if u64::try_from(there).ok() != Some(last - after) {
            return Ok(None);
        }
        let sql = format!(
            "select c.seq, c.kind, c.at, c.actor, c.note, {} from alarm_change c \
             join alarm on alarm.id = c.alarm where c.seq > ?1 order by c.seq limit ?2",
            *ALARM_COLUMNS
        );
        let rows = each(&self.db, &sql, [number, i64::from(limit)], |row| {
            let seq: i64 = get(row, "seq")?;
            let actor: String = get(row, "actor")?;
            let change = AlarmChange {
                kind: word("alarm_change", seq, &get::<String>(row, "kind")?, ChangeKind::from_word)?,
                at: Wall(get(row, "at")?),
                actor: word("alarm_change", seq, &actor, Actor::named)?,
                note: get(row, "note")?,
                alarm: alarm_of(row)?,
            };
            Ok((u64::try_from(seq).unwrap_or(0), change))
        })?;
        look.finish().doing("looking for steps of alarms")?;
        let more = rows.len() == usize::try_from(limit).unwrap_or(usize::MAX);
        let through = rows.last().filter(|_| more).map_or(last, |(seq, _)| *seq);
        Ok(Some(Missed { rows, through, more }))
    }
}

fn last_step(reader: &Reader) -> Result<u64, StoreError> {
    let last: i64 = reader
        .db
        .prepare_cached("select coalesce(max(seq), 0) from alarm_change")
        .and_then(|mut s| s.query_row([], |row| row.get(0)))
        .doing("looking for the last step of an alarm")?;
    Ok(u64::try_from(last).unwrap_or(0))
}

#[cfg(test)]
mod tests;

//! The lives of the alarms that were open in a span, one after the other: for reports and figures.

use super::alarms::{ALARM_COLUMNS, alarm_of, hazard_of};
use super::read::MAX_ROWS;
use super::recall::each;
use super::rows::{get, word};
use super::{Doing, Reader, StoreError};
use crate::alarm::kpi::Step;
use crate::model::{Actor, Alarm, ChangeKind, Hazard, Wall};
use crate::runtime::Chain;
use rusqlite::{Row, params};

/// What came before the span is read for how the alarm stood when it began; these say nothing of that, and may be many.
const IDLE: &str = "('escalated', 'reset', 'confirmed', 'support_called', 'support_told')";

/// The alarms that were open from ?1 on and before ?2: what is open and what ended since stand in one index.
fn opened() -> String {
    let of = |when: &str| {
        format!(
            "select {} from alarm indexed by alarm_closed where {when} and raised_at < ?2",
            *ALARM_COLUMNS
        )
    };
    format!("{} union all {} order by id", of("closed_at is null"), of("closed_at >= ?1"))
}

impl Reader {
    /// Goes through the alarms that were open at any time from `from` on and before `to`, oldest number first, each with
    /// its steps from the first on: no more than one of them is in memory. How many could not be read back and were left
    /// out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn lives(
        &self,
        (from, to): (Wall, Wall),
        mut tell: impl FnMut(&Alarm, &[Step]),
    ) -> Result<u64, StoreError> {
        const DOING: &str = "reading the lives of alarms";
        // Alarms and steps of one moment, whatever is written meanwhile.
        let _snapshot = self.db.unchecked_transaction().doing(DOING)?;
        let sql = opened();
        let steps = format!(
            "select seq, kind, at, actor from alarm_change where alarm = ?1 \
             and (at >= ?2 or kind not in {IDLE}) order by seq"
        );
        let mut statement = self.db.prepare_cached(&sql).doing(DOING)?;
        let mut steps = self.db.prepare_cached(&steps).doing(DOING)?;
        let mut rows = statement.query(params![from.0, to.0]).doing(DOING)?;
        let (mut life, mut bad) = (Vec::new(), 0_u64);
        while let Some(row) = rows.next().doing(DOING)? {
            life.clear();
            let mut changes = steps.query(params![get::<i64>(row, "id")?, from.0]).doing(DOING)?;
            let mut read = alarm_of(row);
            while let Some(change) = changes.next().doing(DOING)? {
                match step_of(change) {
                    Ok(step) => life.push(step),
                    Err(error) => read = Err(error),
                }
            }
            match read {
                Ok(alarm) => tell(&alarm, &life),
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "an alarm cannot be read back and is left out");
                    bad += 1;
                }
            }
        }
        Ok(bad)
    }

    /// The hazards that were open at any time from `from` on and before `to`, newest first, at most [`MAX_ROWS`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn hazards_in(&self, (from, to): (Wall, Wall)) -> Result<Vec<Hazard>, StoreError> {
        let sql = "select * from hazard where found_at < ?2 and (closed_at is null or closed_at >= ?1) \
             order by id desc limit ?3";
        each(&self.db, sql, params![from.0, to.0, MAX_ROWS], hazard_of)
    }
}

fn step_of(row: &Row<'_>) -> Result<Step, StoreError> {
    let seq: i64 = get(row, "seq")?;
    let actor: String = get(row, "actor")?;
    Ok(Step {
        at: Wall(get(row, "at")?),
        kind: word("alarm_change", seq, &get::<String>(row, "kind")?, ChangeKind::from_word)?,
        by: word("alarm_change", seq, &actor, Actor::named)?,
    })
}

#[cfg(test)]
mod tests;

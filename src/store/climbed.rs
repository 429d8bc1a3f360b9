//! How far the ladders of the alarms had come that nobody has taken: for the start.

use super::StoreError;
use super::read::Reader;
use super::recall::each;
use super::rows::{ALARM_COLUMNS, alarm_of, get};
use crate::alarm::Climbed;
use crate::model::{ChangeKind, Wall};
use rusqlite::named_params;

impl Reader {
    /// The open alarms that nobody has taken, each with the last step of its ladder that was written down; without one,
    /// it stands on the first since it was raised, or since it came back after a person had taken it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn climbed(&self) -> Result<Vec<Climbed>, StoreError> {
        let open = format!(
            "select {ALARM_COLUMNS} from alarm indexed by alarm_open \
             where closed_at is null and ack_by is null order by id"
        );
        let mut climbed = Vec::new();
        for alarm in each(&self.db, &open, [], alarm_of)? {
            let steps = "select kind, at, note from alarm_change where alarm = :alarm and seq > \
                 (select coalesce(max(seq), 0) from alarm_change where alarm = :alarm and kind = 'acknowledged') \
                 and kind in ('raised', 'recurred', 'escalated') order by seq";
            let number = i64::try_from(alarm.id.0).unwrap_or(i64::MAX);
            let mut reached = None;
            for (kind, at, note) in each(&self.db, steps, named_params! { ":alarm": number }, |row| {
                Ok((get::<String>(row, "kind")?, Wall(get(row, "at")?), get::<String>(row, "note")?))
            })? {
                // What comes back before anybody took it goes on where it was.
                if kind == ChangeKind::Escalated.as_str() {
                    reached = Some((step_of(&note).unwrap_or(1), at));
                } else {
                    reached.get_or_insert((1, at));
                }
            }
            let (step, at) = reached.unwrap_or((1, alarm.raised_at));
            climbed.push(Climbed { alarm, step, at });
        }
        Ok(climbed)
    }
}

/// The step that a note speaks of: `step 2 of 4`.
fn step_of(note: &str) -> Option<usize> {
    note.strip_prefix("step ")?.split(' ').next()?.parse().ok()
}

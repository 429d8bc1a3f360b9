//! How far the ladders of the alarms had come that nobody has taken, and which calls for support are not known to have
//! reached everybody: for the start.

use super::StoreError;
use super::alarms::{ALARM_COLUMNS, alarm_of};
use super::read::Reader;
use super::recall::each;
use super::rows::get;
use crate::alarm::Climbed;
use crate::model::{Alarm, ChangeKind, Wall};
use rusqlite::named_params;

impl Reader {
    /// The open alarms that nobody has taken, each with the last step of its ladder that was written down; without one,
    /// it stands on the first since it was raised, or since it came back after a person had taken it. With them those
    /// with a call for support that not every group is known to have.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn climbed(&self) -> Result<Vec<Climbed>, StoreError> {
        let open = format!(
            "select {} from alarm indexed by alarm_open \
             where closed_at is null order by id",
            *ALARM_COLUMNS
        );
        let mut climbed = Vec::new();
        let wanted = |alarm: &Alarm| alarm.acknowledged.is_none() || alarm.calls().is_some();
        for alarm in each(&self.db, &open, [], alarm_of)?.into_iter().filter(wanted) {
            let steps = "select kind, at, note from alarm_change where alarm = :alarm and seq > \
                 (select coalesce(max(seq), 0) from alarm_change where alarm = :alarm and kind = 'acknowledged') \
                 order by seq";
            let number = i64::try_from(alarm.id.0).unwrap_or(i64::MAX);
            let mut reached = None;
            for (kind, at, note) in each(&self.db, steps, named_params! { ":alarm": number }, |row| {
                Ok((get::<String>(row, "kind")?, Wall(get(row, "at")?), get::<String>(row, "note")?))
            })? {
                match ChangeKind::from_word(&kind) {
                    Some(ChangeKind::Escalated) => reached = Some((step_of(&note).unwrap_or(1), at)),
                    // What comes back before anybody took it goes on where it was.
                    Some(ChangeKind::Raised | ChangeKind::Recurred) => {
                        reached.get_or_insert((1, at));
                    }
                    // It was quiet, and its ladder begins anew.
                    Some(kind) if kind.announces() => reached = Some((1, at)),
                    _ => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Actor, AlarmChange, AlarmClass, AlarmId, AlarmKey, Handled, Marks, Priority, RuleId, Text,
    };
    use crate::pipeline::Commit;
    use crate::store::Store;

    fn change(id: u64, kind: ChangeKind, at: i64, note: &str, taken: bool) -> AlarmChange {
        let by = Handled { by: Actor::named("guard").unwrap(), at: Wall(at), note: String::new() };
        let alarm = Alarm {
            id: AlarmId(id),
            key: AlarmKey { rule: RuleId::new("r").unwrap(), subject: id.to_string() },
            class: AlarmClass::Help,
            priority: Priority::Critical,
            device: None,
            place: None,
            what: Text::same("x"),
            raised_at: Wall(1),
            active: false,
            occurrences: 1,
            cleared_at: None,
            acknowledged: taken.then_some(by),
            latched: true,
            reset: None,
            closed_at: (kind == ChangeKind::Closed).then_some(Wall(at)),
            marks: Marks::default(),
        };
        AlarmChange { kind, at: Wall(at), actor: Actor::gateway(), note: note.into(), alarm }
    }

    #[test]
    fn a_call_for_support_that_not_everybody_has_is_told_again_and_only_the_last() {
        use ChangeKind::{Acknowledged, Closed, Raised, Recurred, SupportCalled, SupportTold};
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let mut alarm_changes = Vec::new();
        // Which steps each alarm has had, 10 ms after one another.
        for (id, steps) in [
            (1, &[Raised, Acknowledged, SupportCalled][..]),
            (2, &[Raised, Acknowledged, SupportCalled, SupportTold]),
            (3, &[Raised, Acknowledged, SupportCalled, SupportTold, SupportCalled]),
            (4, &[Raised, Acknowledged, SupportCalled, Closed]),
            (5, &[Raised, Acknowledged, SupportCalled, Recurred]),
            (6, &[Raised, Acknowledged, SupportCalled, SupportTold, Recurred]),
        ] {
            for (kind, at) in steps.iter().zip((100..).step_by(10)) {
                alarm_changes.push(change(id, *kind, at, "", !matches!(kind, Raised | Recurred)));
            }
        }
        store.commit(&[&Commit { alarm_changes, ..Commit::default() }]).unwrap();
        let climbed = Reader::open(dir.path()).unwrap().climbed().unwrap();
        let calls: Vec<_> =
            climbed.iter().map(|one| (one.alarm.id.0, one.alarm.calls().map(|at| at.0))).collect();
        assert_eq!(calls, [(1, Some(120)), (3, Some(140)), (5, Some(120)), (6, None)]);
        let by = climbed.first().and_then(|one| one.alarm.marks.support.clone()).unwrap().by;
        assert_eq!((by.by.as_str(), by.note.as_str()), ("gateway", ""));
    }

    #[test]
    fn each_alarm_stands_on_the_last_step_since_somebody_had_taken_it() {
        use ChangeKind::{Acknowledged, Closed, Escalated, Raised, Recurred};
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        let alarm_changes = vec![
            change(1, Raised, 100, "", false),
            change(2, Raised, 110, "", false),
            change(2, Escalated, 140, "step 2 of 4", false),
            change(2, Escalated, 170, "step 3 of 4", false),
            change(2, Recurred, 180, "", false),
            change(3, Raised, 120, "", false),
            change(3, Escalated, 150, "step 2 of 4", false),
            change(3, Acknowledged, 160, "", true),
            change(4, Raised, 130, "", false),
            change(4, Escalated, 160, "step 2 of 4", false),
            change(4, Acknowledged, 170, "", true),
            change(4, Recurred, 200, "", false),
            change(5, Raised, 140, "", false),
            change(5, Closed, 190, "", true),
            change(6, Raised, 150, "", false),
            change(6, Escalated, 180, "a note that says nothing", false),
        ];
        store.commit(&[&Commit { alarm_changes, ..Commit::default() }]).unwrap();
        let climbed = Reader::open(dir.path()).unwrap().climbed().unwrap();
        let stands: Vec<_> = climbed.iter().map(|one| (one.alarm.id.0, one.step, one.at.0)).collect();
        // Taken and closed ones are left out; what came back after it was taken begins anew.
        assert_eq!(stands, [(1, 1, 100), (2, 3, 170), (4, 1, 200), (6, 1, 180)]);
    }
}

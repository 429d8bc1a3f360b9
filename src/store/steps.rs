//! What was done to alarms and areas, step by step, and how they stood at a moment of the past.

use super::recall::each;
use super::rows::{get, word};
use super::{Reader, StoreError};
use crate::alarm::UNTIL_TOLD;
use crate::model::alarm::{Chatter, OutOfService, Shelf, Support};
use crate::model::{Actor, Alarm, AlarmChange, AlarmKey, AreaId, ArmMode, ChangeKind, Handled, RuleId, Wall};
use std::collections::BTreeMap;

/// What a rule has raised so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raised {
    /// How many alarms.
    pub alarms: u64,
    /// When one was last raised or came back.
    pub last: Wall,
}

/// A step in an alarm's life, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmStep {
    /// Of what.
    pub key: AlarmKey,
    /// Which step.
    pub kind: ChangeKind,
    /// When.
    pub at: Wall,
    /// Who.
    pub actor: Actor,
    /// What they wrote.
    pub note: String,
}

impl Reader {
    /// What each rule has raised, by its id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn raised(&self) -> Result<BTreeMap<String, Raised>, StoreError> {
        let rows = each(
            &self.db,
            "select a.rule, count(distinct a.id) as alarms, max(c.at) as last from alarm a \
             join alarm_change c on c.alarm = a.id where c.kind in ('raised', 'recurred') group by a.rule",
            [],
            |row| {
                let alarms = u64::try_from(get::<i64>(row, "alarms")?).unwrap_or(0);
                Ok((get(row, "rule")?, Raised { alarms, last: Wall(get(row, "last")?) }))
            },
        )?;
        Ok(rows.into_iter().collect())
    }

    /// How often each rule has raised an alarm since a moment.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn raised_since(&self, since: Wall) -> Result<BTreeMap<String, u64>, StoreError> {
        let rows = each(
            &self.db,
            "select a.rule, count(*) as many from alarm_change c join alarm a on a.id = c.alarm \
             where c.at >= ?1 and c.kind in ('raised', 'recurred') group by a.rule",
            [since.0],
            |row| Ok((get(row, "rule")?, u64::try_from(get::<i64>(row, "many")?).unwrap_or(0))),
        )?;
        Ok(rows.into_iter().collect())
    }

    /// When one of these actions was last written into the audit trail.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn last_audited(&self, actions: &[&str]) -> Result<Option<Wall>, StoreError> {
        let mut last = None;
        for action in actions {
            let sql = "select max(at) as at from audit where action = ?1";
            let rows = each(&self.db, sql, [action], |row| Ok(get::<Option<i64>>(row, "at")?.map(Wall)))?;
            last = last.max(rows.into_iter().flatten().next());
        }
        Ok(last)
    }

    /// The steps in the lives of alarms between two moments, in their order.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn alarm_steps(&self, from: Wall, to: Wall) -> Result<Vec<AlarmStep>, StoreError> {
        each(
            &self.db,
            "select c.seq, a.rule, a.subject, c.kind, c.at, c.actor, c.note from alarm_change c \
             join alarm a on a.id = c.alarm where c.at >= ?1 and c.at < ?2 order by c.seq",
            [from.0, to.0],
            |row| {
                let seq = get(row, "seq")?;
                let (rule, actor): (String, String) = (get(row, "rule")?, get(row, "actor")?);
                Ok(AlarmStep {
                    key: AlarmKey {
                        rule: word("alarm", seq, &rule, |t| RuleId::new(t).ok())?,
                        subject: get(row, "subject")?,
                    },
                    kind: word("alarm_change", seq, &get::<String>(row, "kind")?, ChangeKind::from_word)?,
                    at: Wall(get(row, "at")?),
                    actor: word("alarm_change", seq, &actor, Actor::named)?,
                    note: get(row, "note")?,
                })
            },
        )
    }

    /// The alarms that were open at a moment, as they stood then, as far as their steps tell.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open_at(&self, at: Wall) -> Result<Vec<Alarm>, StoreError> {
        let sql = format!(
            "select {} from alarm where raised_at < ?1 and (closed_at is null or closed_at >= ?1) order by id",
            *super::alarms::ALARM_COLUMNS
        );
        let mut open = each(&self.db, &sql, [at.0], super::alarms::alarm_of)?;
        for alarm in &mut open {
            if let Some((_, steps)) = self.alarm(alarm.id)? {
                stood(alarm, &steps, at);
            }
        }
        Ok(open)
    }

    /// How the areas stood before a moment that were ever armed by then.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn armed_at(&self, at: Wall) -> Result<Vec<(AreaId, ArmMode)>, StoreError> {
        let turns = each(
            &self.db,
            "select subject, action from audit \
             where action in ('armed', 'partial', 'disarmed') and at < ?1 order by seq",
            [at.0],
            |row| Ok(turn_of(&get::<String>(row, "action")?, &get::<String>(row, "subject")?)),
        )?;
        Ok(turns.into_iter().flatten().collect::<BTreeMap<_, _>>().into_iter().collect())
    }
}

/// An alarm as it stood at a moment, from its steps. A shelf ends with a step, so none has an end of its own here.
fn stood(alarm: &mut Alarm, steps: &[AlarmChange], at: Wall) {
    let (ended_last, marks) = (alarm.active, std::mem::take(&mut alarm.marks));
    (alarm.marks.first, alarm.marks.drill) = (marks.first, marks.drill);
    alarm.latched = alarm.class.latches() && !marks.drill;
    (alarm.closed_at, alarm.cleared_at, alarm.active, alarm.occurrences) = (None, None, false, 0);
    (alarm.acknowledged, alarm.reset) = (None, None);
    let mut holds = None;
    for step in steps {
        let by = || Handled { by: step.actor.clone(), at: step.at, note: step.note.clone() };
        if step.at >= at {
            // What ends later holds now.
            if step.kind == ChangeKind::Cleared {
                holds = holds.or(Some(true));
            }
            continue;
        }
        match step.kind {
            ChangeKind::Raised | ChangeKind::Recurred => {
                alarm.occurrences = alarm.occurrences.saturating_add(1);
                (alarm.acknowledged, alarm.reset, holds) = (None, None, None);
            }
            ChangeKind::Cleared => {
                holds = Some(false);
                alarm.cleared_at = Some(step.at);
            }
            ChangeKind::Acknowledged => alarm.acknowledged = Some(by()),
            ChangeKind::Reset => alarm.reset = Some(by()),
            ChangeKind::SupportCalled => {
                alarm.marks.support = Some(Support { by: by(), told_at: None });
                (alarm.latched, alarm.reset) = (alarm.latched || !marks.drill, None);
            }
            ChangeKind::SupportTold => {
                if let Some(support) = &mut alarm.marks.support {
                    support.told_at = Some(step.at);
                }
            }
            ChangeKind::Shelved => {
                alarm.marks.shelved = Some(Shelf { by: by(), until: UNTIL_TOLD, once: false });
            }
            ChangeKind::Unshelved => alarm.marks.shelved = None,
            ChangeKind::OutOfService => {
                alarm.marks.out_of_service = Some(OutOfService { by: by(), until: None });
            }
            ChangeKind::InService => alarm.marks.out_of_service = None,
            ChangeKind::Uninhibited if holds != Some(false) => alarm.acknowledged = None,
            ChangeKind::Chattering => {
                let since = alarm.marks.chattering.map_or(step.at, |chatter| chatter.since);
                alarm.marks.chattering = Some(Chatter { since, count: step.note.parse().unwrap_or(0) });
            }
            ChangeKind::Settled => alarm.marks.chattering = None,
            _ => {}
        }
    }
    alarm.active = holds.unwrap_or(ended_last);
}

/// An area and how it was turned.
pub(super) fn turn_of(action: &str, subject: &str) -> Option<(AreaId, ArmMode)> {
    AreaId::new(subject.strip_prefix("area ")?).ok().zip(ArmMode::from_word(action))
}

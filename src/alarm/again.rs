//! What was done to alarms and areas, once more: as the store tells it, for rules that are tried on the past.

use super::{AlarmBook, change};
use crate::model::alarm::{OutOfService, Shelf, Support};
use crate::model::{Actor, AlarmChange, AlarmKey, AreaId, ArmMode, ChangeKind, Handled, Now, Wall};

/// In the past a shelf ends where its end is told.
pub(crate) const UNTIL_TOLD: Wall = Wall(i64::MAX);

impl AlarmBook {
    /// Does to an open alarm what was done then, by whomever; nothing where it cannot be done, and for steps that the
    /// book makes by itself.
    pub fn repeat(&mut self, now: Now, key: &AlarmKey, kind: ChangeKind, by: Handled) -> Vec<AlarmChange> {
        let Some(alarm) = self.open.get_mut(key) else { return Vec::new() };
        let (id, at, mut changes) = (alarm.id, now.wall, Vec::new());
        match kind {
            ChangeKind::Acknowledged => {
                return self.acknowledge(id, by).map_or_else(|_| Vec::new(), |(all, _)| all);
            }
            ChangeKind::Reset => return self.reset(id, by).map_or_else(|_| Vec::new(), |(all, _)| all),
            ChangeKind::SupportCalled => {
                let (actor, note) = (by.by.clone(), by.note.clone());
                alarm.marks.support = Some(Support { by, told_at: None });
                (alarm.latched, alarm.reset) = (alarm.latched || !alarm.marks.drill, None);
                changes.push(change(kind, at, actor, &note, alarm));
            }
            ChangeKind::Shelved => {
                let (actor, note) = (by.by.clone(), by.note.clone());
                alarm.marks.shelved = Some(Shelf { by, until: UNTIL_TOLD, once: false });
                changes.push(change(kind, at, actor, &note, alarm));
            }
            ChangeKind::OutOfService => {
                let (actor, note) = (by.by.clone(), by.note.clone());
                alarm.marks.out_of_service = Some(OutOfService { by, until: None });
                changes.push(change(kind, at, actor, &note, alarm));
            }
            ChangeKind::Unshelved => self.unshelve(at, id, &by.by, &by.note, &mut changes),
            ChangeKind::InService => self.put_back(at, id, &by.by, &by.note, &mut changes),
            ChangeKind::Uninhibited => self.uninhibit(at, key, &mut changes),
            _ => {}
        }
        changes
    }

    /// An area stands like this where the past begins; what was open in it is not known.
    pub fn stand(&mut self, now: Now, area: &AreaId, mode: ArmMode) {
        self.areas.stand(now, area, mode);
    }

    /// An area was armed or disarmed then, and is again, whatever is open in it.
    pub fn turn_again(&mut self, now: Now, area: &AreaId, mode: ArmMode, by: &Actor) -> Vec<AlarmChange> {
        let handled = Handled { by: by.clone(), at: now.wall, note: String::new() };
        self.arm(now, area, (mode, true), &handled).map_or_else(|_| Vec::new(), |(changes, _)| changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alarm::{Before, Setup};
    use crate::model::{AlarmClass, Mono, Priority, RuleId, Text};
    use crate::rules::{Finding, Level};

    fn now(secs: u64) -> Now {
        let wall = Wall(1_791_504_000_000).plus_ms(i64::try_from(secs).unwrap() * 1000);
        Now { mono: Mono(secs * 1000), wall }
    }

    #[test]
    fn what_was_done_is_done_again_and_a_shelf_lasts_until_its_end_is_told() {
        let mut book = AlarmBook::restore(Before { next_id: 1, ..Before::default() }, Setup::default());
        book.start(now(0), |_| Vec::new());
        let key = AlarmKey { rule: RuleId::new("r").unwrap(), subject: "d".into() };
        let mut finding = Finding {
            key: key.clone(),
            level: Level::Holds,
            class: AlarmClass::Energy,
            priority: Priority::Low,
            device: None,
            place: None,
            what: Text::new("", ""),
        };
        let told = |changes: Vec<AlarmChange>| changes.iter().map(|c| c.kind).collect::<Vec<_>>();
        let repeat = |book: &mut AlarmBook, secs, kind| {
            let handled = Handled { by: Actor::gateway(), at: now(secs).wall, note: String::new() };
            told(book.repeat(now(secs), &key, kind, handled))
        };
        assert_eq!(repeat(&mut book, 0, ChangeKind::Acknowledged), []);
        assert_eq!(told(book.apply(now(1), &finding, &[])), [ChangeKind::Raised]);
        for kind in [ChangeKind::Shelved, ChangeKind::OutOfService, ChangeKind::Acknowledged] {
            assert_eq!(repeat(&mut book, 2, kind), [kind]);
        }
        for kind in [ChangeKind::Acknowledged, ChangeKind::Reset, ChangeKind::Escalated, ChangeKind::Raised] {
            assert_eq!(repeat(&mut book, 3, kind), [], "{kind}");
        }
        // The one that explained it is gone: whoever took that one has not looked at this.
        assert_eq!(repeat(&mut book, 4, ChangeKind::Uninhibited), [ChangeKind::Uninhibited]);
        assert_eq!(repeat(&mut book, 5, ChangeKind::Acknowledged), [ChangeKind::Acknowledged]);
        finding.level = Level::Ended;
        assert_eq!(told(book.apply(now(400 * 86_400), &finding, &[])), [ChangeKind::Cleared]);
        assert_eq!(repeat(&mut book, 400 * 86_400, ChangeKind::InService), [ChangeKind::InService]);
        let ends = [ChangeKind::Unshelved, ChangeKind::Closed];
        assert_eq!(repeat(&mut book, 400 * 86_400, ChangeKind::Unshelved), ends);
        // After a call for support only a reset closes it, then as now.
        finding.level = Level::Happened;
        assert_eq!(told(book.apply(now(401 * 86_400), &finding, &[])), [ChangeKind::Raised]);
        let ends = [ChangeKind::Reset, ChangeKind::Closed];
        for (kind, expected) in [
            (ChangeKind::SupportCalled, &[ChangeKind::SupportCalled][..]),
            (ChangeKind::Acknowledged, &[ChangeKind::Acknowledged]),
            (ChangeKind::SupportTold, &[]),
            (ChangeKind::Reset, &ends),
        ] {
            assert_eq!(repeat(&mut book, 401 * 86_400, kind), expected, "{kind}");
        }
    }
}

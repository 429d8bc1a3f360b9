//! The way of alarm changes from the pipe to the desk, ahead of the disk: it never waits, and never loses what is
//! critical.

use crate::model::{AlarmChange, AlarmId, ChangeKind, Priority};
use std::collections::BTreeMap;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Changes on their way.
const CHANGES: usize = 1024;
/// Alarms of which the last change is kept while the way is full. Beyond it only critical ones are.
const KEPT: usize = 10_000;

/// Where the pipe says what changed.
#[derive(Debug, Default)]
pub struct Bell {
    /// `None` where nobody is told.
    out: Option<mpsc::Sender<AlarmChange>>,
    /// What the way had no room for, by alarm.
    kept: BTreeMap<AlarmId, AlarmChange>,
}

/// A bell, and where it is heard.
#[must_use]
pub fn bell() -> (Bell, mpsc::Receiver<AlarmChange>) {
    let (out, heard) = mpsc::channel(CHANGES);
    (Bell { out: Some(out), kept: BTreeMap::new() }, heard)
}

impl Bell {
    /// A bell that nobody hears: the school has no channel.
    #[must_use]
    pub fn unheard() -> Self {
        Self::default()
    }

    /// Says what changed. Returns how many changes were given up.
    pub fn ring(&mut self, changes: &[AlarmChange]) -> u64 {
        self.say_kept();
        let mut lost = 0;
        for change in changes {
            lost += u64::from(!self.say(change.clone()));
        }
        lost
    }

    /// Says what there was no room for, as far as there is now.
    pub fn say_kept(&mut self) {
        while let (Some(out), Some(entry)) = (&self.out, self.kept.first_entry()) {
            let (alarm, change) = entry.remove_entry();
            if let Err(TrySendError::Full(change)) = out.try_send(change) {
                self.kept.insert(alarm, change);
                return;
            }
        }
    }

    fn say(&mut self, change: AlarmChange) -> bool {
        let Some(out) = &self.out else { return true };
        let id = change.alarm.id;
        // The changes of one alarm keep their order.
        if let Some(kept) = self.kept.get_mut(&id) {
            *kept = merged(kept, change);
            return true;
        }
        let change = match out.try_send(change) {
            Ok(()) | Err(TrySendError::Closed(_)) => return true,
            Err(TrySendError::Full(change)) => change,
        };
        if self.kept.len() >= KEPT && change.alarm.priority != Priority::Critical {
            return false;
        }
        self.kept.insert(id, change);
        true
    }
}

/// Both changes of an alarm in one: that it was raised is not lost because it has ended since, and no call for support
/// is.
fn merged(before: &AlarmChange, mut after: AlarmChange) -> AlarmChange {
    use ChangeKind::{Acknowledged, Closed, SupportCalled};
    let settles = matches!(after.kind, Acknowledged | Closed | SupportCalled);
    // A call for support is told whatever else comes, until the alarm is closed.
    if (before.kind.announces() && !settles) || (before.kind == SupportCalled && after.kind != Closed) {
        after.kind = before.kind;
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Actor, Alarm, AlarmClass, AlarmKey, RuleId, Text, Wall};

    fn change(id: u64, kind: ChangeKind, priority: Priority) -> AlarmChange {
        let alarm = Alarm {
            id: AlarmId(id),
            key: AlarmKey { rule: RuleId::new("r").unwrap(), subject: id.to_string() },
            class: AlarmClass::Help,
            priority,
            device: None,
            place: None,
            what: Text::same("x"),
            raised_at: Wall(0),
            active: false,
            occurrences: 1,
            cleared_at: None,
            acknowledged: None,
            latched: true,
            reset: None,
            closed_at: None,
            marks: Default::default(),
        };
        AlarmChange { kind, at: Wall(0), actor: Actor::gateway(), note: String::new(), alarm }
    }

    #[test]
    fn what_finds_no_room_comes_later_and_nothing_critical_is_lost() {
        let (mut bell, mut heard) = bell();
        let all = CHANGES + KEPT;
        let all = u64::try_from(all).unwrap();
        for id in 0..all {
            assert_eq!(bell.ring(&[change(id, ChangeKind::Raised, Priority::Low)]), 0, "{id}");
        }
        assert_eq!(bell.ring(&[change(all, ChangeKind::Raised, Priority::Low)]), 1, "there is an end to it");
        assert_eq!(bell.ring(&[change(all + 1, ChangeKind::Raised, Priority::Critical)]), 0);
        assert_eq!(bell.ring(&[change(all - 1, ChangeKind::Cleared, Priority::Low)]), 0);
        assert_eq!(bell.ring(&[change(all - 2, ChangeKind::Acknowledged, Priority::Low)]), 0);
        for kind in [ChangeKind::Acknowledged, ChangeKind::SupportCalled, ChangeKind::Cleared] {
            assert_eq!(bell.ring(&[change(all - 3, kind, Priority::Low)]), 0);
        }
        let mut kinds = BTreeMap::new();
        loop {
            while let Ok(change) = heard.try_recv() {
                assert!(kinds.insert(change.alarm.id.0, change.kind).is_none(), "each once");
            }
            if bell.kept.is_empty() {
                break;
            }
            bell.say_kept();
        }
        while let Ok(change) = heard.try_recv() {
            kinds.insert(change.alarm.id.0, change.kind);
        }
        assert_eq!(kinds.len(), usize::try_from(all).unwrap() + 1);
        assert_eq!(kinds[&(all + 1)], ChangeKind::Raised);
        assert_eq!(kinds[&(all - 1)], ChangeKind::Raised, "that it ended does not hide that it was raised");
        assert_eq!(kinds[&(all - 2)], ChangeKind::Acknowledged);
        assert_eq!(kinds[&(all - 3)], ChangeKind::SupportCalled, "nor that somebody called for support");
    }

    #[test]
    fn a_bell_that_nobody_hears_keeps_nothing() {
        let (mut deaf, heard) = bell();
        drop(heard);
        for bell in [&mut deaf, &mut Bell::unheard()] {
            assert_eq!(bell.ring(&[change(1, ChangeKind::Raised, Priority::Critical)]), 0);
            assert!(bell.kept.is_empty());
        }
    }
}

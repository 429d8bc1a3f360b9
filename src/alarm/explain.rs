//! What another alarm explains is stored, counted and listed under it, and announced in its own right when that is gone.

use super::{AlarmBook, change};
use crate::model::{Actor, Alarm, AlarmChange, AlarmId, AlarmKey, ChangeKind, Handled, Wall};

/// An alarm that came so long before its cause was found, milliseconds, is explained by it; an older one is not.
const EARLY_MS: i64 = 10 * 60 * 1000;

impl AlarmBook {
    /// The alarm that explains this one: when every cause it could have holds, and none is less urgent than it.
    fn cause_of(&self, alarm: &Alarm) -> Option<&Alarm> {
        if alarm.class.protected() {
            return None;
        }
        let absent = self.absent.get(&alarm.key).map_or(&[][..], Vec::as_slice);
        let mut first = None;
        for cause in self.causes.of(&alarm.key, absent) {
            let cause = self.open.get(&cause)?;
            if !cause.active || cause.priority > alarm.priority {
                return None;
            }
            first.get_or_insert(cause);
        }
        first
    }

    /// Keeps an alarm quiet that another explains. Whoever took that one has taken this one.
    pub(super) fn inhibit(&mut self, at: Wall, key: &AlarmKey, changes: &mut Vec<AlarmChange>) {
        let Some(alarm) = self.open.get(key) else { return };
        let Some(cause) = self.cause_of(alarm) else { return };
        let (id, taken) = (cause.id, cause.acknowledged.clone());
        let Some(alarm) = self.open.get_mut(key) else { return };
        if alarm.marks.inhibited_by != Some(id) {
            alarm.marks.inhibited_by = Some(id);
            changes.push(change(ChangeKind::Inhibited, at, Actor::gateway(), &format!("{id}"), alarm));
        }
        if let Some(taken) = taken {
            self.take_along(at, key, id, &taken.by, changes);
        }
    }

    /// Acknowledges an alarm with the one that explains it.
    pub(super) fn take_along(
        &mut self,
        at: Wall,
        key: &AlarmKey,
        cause: AlarmId,
        by: &Actor,
        changes: &mut Vec<AlarmChange>,
    ) {
        let Some(alarm) = self.open.get_mut(key).filter(|alarm| alarm.acknowledged.is_none()) else { return };
        let note = format!("随报警 {cause} 一并确认 / with alarm {cause}");
        alarm.acknowledged = Some(Handled { by: by.clone(), at, note: note.clone() });
        changes.push(change(ChangeKind::Acknowledged, at, by.clone(), &note, alarm));
        self.close_if_over(key, at, changes);
    }

    /// A cause has come: what came shortly before it, or was explained by the last one, is explained by it.
    pub(super) fn explain(&mut self, at: Wall, cause: &AlarmKey, changes: &mut Vec<AlarmChange>) {
        let explained = |alarm: &&Alarm| {
            let fresh = at.since(alarm.raised_at).saturating_abs() <= EARLY_MS;
            alarm.active && (fresh || alarm.marks.inhibited_by.is_some())
        };
        let candidates: Vec<AlarmKey> = self
            .open
            .values()
            .filter(explained)
            .filter(|alarm| {
                let absent = self.absent.get(&alarm.key).map_or(&[][..], Vec::as_slice);
                self.causes.of(&alarm.key, absent).contains(cause)
            })
            .map(|alarm| alarm.key.clone())
            .collect();
        for key in candidates {
            self.inhibit(at, &key, changes);
        }
    }

    /// A cause has been gone for long enough: what still holds is announced in its own right.
    pub(super) fn release(&mut self, at: Wall, cause: &AlarmKey, changes: &mut Vec<AlarmChange>) {
        if self.open.get(cause).is_some_and(|alarm| alarm.active) {
            return;
        }
        let inhibited = self.open.values().filter(|alarm| alarm.marks.inhibited_by.is_some());
        let free: Vec<AlarmKey> = inhibited
            .filter(|alarm| {
                let absent = self.absent.get(&alarm.key).map_or(&[][..], Vec::as_slice);
                let causes = self.causes.of(&alarm.key, absent);
                // One that is gone and nobody took waits for its cause to be taken.
                let waits = !alarm.active
                    && !alarm.latched
                    && alarm.acknowledged.is_none()
                    && self.open.values().any(|cause| Some(cause.id) == alarm.marks.inhibited_by);
                (causes.is_empty() || causes.contains(cause)) && self.cause_of(alarm).is_none() && !waits
            })
            .map(|alarm| alarm.key.clone())
            .collect();
        for key in free {
            self.uninhibit(at, &key, changes);
        }
    }

    pub(super) fn uninhibit(&mut self, at: Wall, key: &AlarmKey, changes: &mut Vec<AlarmChange>) {
        let Some(alarm) = self.open.get_mut(key) else { return };
        alarm.marks.inhibited_by = None;
        if alarm.active {
            // Who took the cause has not looked at this.
            alarm.acknowledged = None;
        }
        changes.push(change(ChangeKind::Uninhibited, at, Actor::gateway(), "", alarm));
        self.close_if_over(key, at, changes);
    }
}

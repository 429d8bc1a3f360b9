//! The only place where an alarm changes state, and beside it who is told of it.
//!
//! Rules report levels; the book makes edges of them. The states follow ISA-18.2 with the fields kept apart, and
//! GB 50394-2007 5.2.3: help, fire and intrusion latch, and only a person's reset closes them.

mod flood;
mod ladder;
mod plan;
mod wording;

pub use ladder::{ACCEPT_WITHIN, Climbed, Deed, Ladder, LadderCounts, MAX_FOLLOWED};
pub use plan::{DayHours, Plan, Policy, Route, Scope, Step, usual};

use crate::model::{
    Actor, Alarm, AlarmChange, AlarmId, AlarmKey, ChangeKind, Command, Handled, Order, PersonRef, Wall,
};
use crate::rules::{Finding, Level};
use std::collections::BTreeMap;

/// Why an order to an alarm was not carried out. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefused {
    /// There is no open alarm of this number.
    #[error("alarm {0} is not open: it was closed already, or never existed")]
    NotOpen(AlarmId),
    /// Somebody was first; both see who and when.
    #[error("alarm {id} was acknowledged already, by {} at {}", .by.by.as_str(), .by.at)]
    AlreadyAcknowledged {
        /// Which.
        id: AlarmId,
        /// Who was first.
        by: Handled,
    },
    /// It does not latch; it closes by itself.
    #[error("alarm {0} does not latch: it closes by itself once it is acknowledged and its cause is gone")]
    NotLatched(AlarmId),
    /// A latched alarm is acknowledged first, then reset.
    #[error("alarm {0} is not acknowledged yet: acknowledge it, then reset it")]
    NotAcknowledged(AlarmId),
    /// The cause is still there.
    #[error("the cause of alarm {0} still holds: it can be reset once the device reports it gone")]
    StillActive(AlarmId),
}

/// What stands in an alarm where a person stood who was erased: no two alarms get the same subject.
#[must_use]
pub fn erased(id: AlarmId) -> String {
    format!("erased-{id}")
}

/// Every open alarm, one per rule and subject.
#[derive(Debug)]
pub struct AlarmBook {
    open: BTreeMap<AlarmKey, Alarm>,
    next_id: u64,
}

impl AlarmBook {
    /// Takes up the open alarms of the last run; `next_id` is above every number ever used.
    #[must_use]
    pub fn restore(open: Vec<Alarm>, next_id: u64) -> Self {
        let open = open.into_iter().map(|alarm| (alarm.key.clone(), alarm)).collect();
        Self { open, next_id }
    }

    /// The open alarms, by rule and subject.
    pub fn open(&self) -> impl Iterator<Item = &Alarm> {
        self.open.values()
    }

    /// Takes a rule's report and says what changed.
    pub fn apply(&mut self, at: Wall, finding: &Finding) -> Vec<AlarmChange> {
        let Some(alarm) = self.open.get_mut(&finding.key) else {
            return match finding.level {
                Level::Ended => Vec::new(),
                Level::Holds | Level::Happened => vec![self.raise(at, finding)],
            };
        };
        let gateway = Actor::gateway;
        match finding.level {
            Level::Holds if alarm.active => Vec::new(),
            Level::Holds | Level::Happened => {
                alarm.active |= finding.level == Level::Holds;
                alarm.cleared_at = (!alarm.active).then_some(at);
                alarm.occurrences = alarm.occurrences.saturating_add(1);
                // A new occurrence wants a new look.
                alarm.acknowledged = None;
                alarm.what = finding.what.clone();
                vec![change(ChangeKind::Recurred, at, gateway(), "", alarm)]
            }
            Level::Ended if !alarm.active => Vec::new(),
            Level::Ended => {
                alarm.active = false;
                alarm.cleared_at = Some(at);
                let cleared = change(ChangeKind::Cleared, at, gateway(), "", alarm);
                let mut changes = vec![cleared];
                changes.extend(self.close_if_over(&finding.key, at));
                changes
            }
        }
    }

    /// Takes a person out of the open alarms that are about them. One that still held has ended: nobody can say any
    /// more of whom it speaks.
    pub fn forget(&mut self, at: Wall, who: &PersonRef) -> Vec<AlarmChange> {
        let about: Vec<AlarmKey> =
            self.open.keys().filter(|key| key.subject.contains(who.as_str())).cloned().collect();
        let mut changes = Vec::new();
        for key in about {
            let Some(mut alarm) = self.open.remove(&key) else { continue };
            alarm.key.subject = key.subject.replace(who.as_str(), &erased(alarm.id));
            let (key, held) = (alarm.key.clone(), std::mem::take(&mut alarm.active));
            if held {
                alarm.cleared_at = Some(at);
                changes.push(change(ChangeKind::Cleared, at, Actor::gateway(), "", &alarm));
            }
            self.open.insert(key.clone(), alarm);
            if held {
                changes.extend(self.close_if_over(&key, at));
            }
        }
        changes
    }

    fn raise(&mut self, at: Wall, finding: &Finding) -> AlarmChange {
        let active = finding.level == Level::Holds;
        let alarm = Alarm {
            id: AlarmId(self.next_id),
            key: finding.key.clone(),
            class: finding.class,
            priority: finding.priority,
            device: finding.device.clone(),
            place: finding.place.clone(),
            what: finding.what.clone(),
            raised_at: at,
            active,
            occurrences: 1,
            cleared_at: (!active).then_some(at),
            acknowledged: None,
            latched: finding.class.latches(),
            reset: None,
            closed_at: None,
        };
        self.next_id = self.next_id.saturating_add(1);
        let raised = change(ChangeKind::Raised, at, Actor::gateway(), "", &alarm);
        self.open.insert(finding.key.clone(), alarm);
        raised
    }

    /// Carries out what a person wants.
    ///
    /// # Errors
    /// [`OrderRefused`], with what to do instead; nothing has changed then.
    pub fn order(&mut self, at: Wall, command: &Command) -> Result<Vec<AlarmChange>, OrderRefused> {
        let (Order::Acknowledge(id) | Order::Reset(id) | Order::Escalate(id)) = command.order;
        let Some(alarm) = self.open.values_mut().find(|alarm| alarm.id == id) else {
            return Err(OrderRefused::NotOpen(id));
        };
        let handled = Handled { by: command.actor.clone(), at, note: command.note.clone() };
        let kind = match command.order {
            Order::Acknowledge(_) => {
                if let Some(by) = &alarm.acknowledged {
                    return Err(OrderRefused::AlreadyAcknowledged { id, by: by.clone() });
                }
                alarm.acknowledged = Some(handled);
                ChangeKind::Acknowledged
            }
            Order::Reset(_) => {
                if !alarm.latched {
                    return Err(OrderRefused::NotLatched(id));
                }
                if alarm.acknowledged.is_none() {
                    return Err(OrderRefused::NotAcknowledged(id));
                }
                if alarm.active {
                    return Err(OrderRefused::StillActive(id));
                }
                alarm.reset = Some(handled);
                ChangeKind::Reset
            }
            Order::Escalate(_) => {
                if let Some(by) = &alarm.acknowledged {
                    return Err(OrderRefused::AlreadyAcknowledged { id, by: by.clone() });
                }
                ChangeKind::Escalated
            }
        };
        let key = alarm.key.clone();
        let mut changes = vec![change(kind, at, command.actor.clone(), &command.note, alarm)];
        changes.extend(self.close_if_over(&key, at));
        Ok(changes)
    }

    fn close_if_over(&mut self, key: &AlarmKey, at: Wall) -> Option<AlarmChange> {
        let over = self.open.get(key).is_some_and(|alarm| {
            !alarm.active && alarm.acknowledged.is_some() && (!alarm.latched || alarm.reset.is_some())
        });
        if !over {
            return None;
        }
        let mut alarm = self.open.remove(key)?;
        alarm.closed_at = Some(at);
        Some(change(ChangeKind::Closed, at, Actor::gateway(), "", &alarm))
    }
}

fn change(kind: ChangeKind, at: Wall, actor: Actor, note: &str, alarm: &Alarm) -> AlarmChange {
    AlarmChange { kind, at, actor, note: note.to_owned(), alarm: alarm.clone() }
}

#[cfg(test)]
mod tests;

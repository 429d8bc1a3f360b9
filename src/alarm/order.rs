//! What people want done to alarms, hazards, areas and drills, and whether it may be.

use super::drill::Asked;
use super::{AlarmBook, Due, OrderRefused, change};
use crate::model::alarm::{Confirmed, OutOfService, Shelf, Support};
use crate::model::{
    Actor, Alarm, AlarmChange, AlarmId, AlarmKey, AreaId, ArmMode, ChangeKind, Command, Done, Handled, Now,
    Order, Truth, Wall,
};
use std::time::Duration;

/// A device is out of service for at most so long without somebody looking at it again, seconds: a year.
const MOST_OUT_SECS: u32 = 366 * 24 * 3600;

/// Calls for support within so long are one: a key that is held down, or pressed twice. Milliseconds.
const ONE_CALL_MS: i64 = 10_000;

/// What came of an order.
pub(super) type Outcome = Result<(Vec<AlarmChange>, Done), OrderRefused>;

impl AlarmBook {
    /// Carries out what a person wants.
    ///
    /// # Errors
    /// [`OrderRefused`], with what to do instead; nothing has changed then.
    pub fn order(&mut self, now: Now, command: &Command) -> Outcome {
        let at = now.wall;
        let handled = Handled { by: command.actor.clone(), at, note: command.note.clone() };
        match &command.order {
            Order::Acknowledge(id) => self.acknowledge(*id, handled),
            Order::Reset(id) => self.reset(*id, handled),
            Order::Escalate(id) => self.escalate(*id, &handled),
            Order::CallSupport(id) => self.call_support(*id, &handled),
            Order::SupportTold { id, called } => self.support_told(*id, *called, &handled),
            Order::Shelve { id, secs, once } => self.shelve(now, *id, handled, (*secs, *once)),
            Order::Unshelve(id) => {
                let alarm = self.find(*id)?;
                if alarm.marks.shelved.is_none() {
                    return Err(OrderRefused::NotShelved(*id));
                }
                let mut changes = Vec::new();
                self.unshelve(at, *id, &handled.by, &handled.note, &mut changes);
                done(changes, *id)
            }
            Order::TakeOut { id, secs } => self.take_out(now, *id, handled, *secs),
            Order::PutBack(id) => {
                let alarm = self.find(*id)?;
                if alarm.marks.out_of_service.is_none() {
                    return Err(OrderRefused::InService(*id));
                }
                let mut changes = Vec::new();
                self.put_back(at, *id, &handled.by, &handled.note, &mut changes);
                done(changes, *id)
            }
            Order::Confirm { id, truth } => self.confirm(*id, *truth, handled),
            Order::FindHazard { alarm, place, what } => {
                let shown = alarm.map(|id| self.known(id)).transpose()?;
                let place = place.clone().or_else(|| shown.and_then(|alarm| alarm.place.clone()));
                let hazard = self.hazards.find(*alarm, place, what, handled)?;
                Ok((Vec::new(), Done::Hazard(Box::new(hazard))))
            }
            Order::StepHazard { id, stage } => {
                let hazard = self.hazards.step(*id, *stage, handled)?;
                Ok((Vec::new(), Done::Hazard(Box::new(hazard))))
            }
            Order::Arm { area, mode, force } => self.arm(now, area, (*mode, *force), &handled),
            Order::StartDrill { secs } => self.start_drill(now, *secs, handled),
            Order::StopDrill => self.stop_drill(handled),
            Order::DrillAlarm { class, priority, place, what } => {
                let asked = Asked { class: *class, priority: *priority, place, what: what.as_deref() };
                self.drill_alarm(now, asked, &handled)
            }
        }
    }

    fn find(&mut self, id: AlarmId) -> Result<&mut Alarm, OrderRefused> {
        self.open.values_mut().find(|alarm| alarm.id == id).ok_or(OrderRefused::NotOpen(id))
    }

    /// An alarm that is open or was of late.
    fn known(&self, id: AlarmId) -> Result<&Alarm, OrderRefused> {
        let mut all = self.open.values().chain(&self.over);
        all.find(|alarm| alarm.id == id).ok_or(OrderRefused::NotOpen(id))
    }

    /// Arms or disarms an area. What is an alarm already stands in the way of a person; times of day ask nobody.
    pub(super) fn arm(
        &mut self,
        now: Now,
        area: &AreaId,
        (mode, force): (ArmMode, bool),
        handled: &Handled,
    ) -> Outcome {
        let asked = handled.by != Actor::gateway();
        let holding = self.open.values().filter(|alarm| asked && alarm.active && !alarm.marks.drill);
        let concerned = holding.filter(|a| self.areas.concerns(area, a.class, a.place.as_ref()));
        let active: Vec<AlarmKey> = concerned.map(|alarm| alarm.key.clone()).collect();
        let state = self.areas.order(now, area, mode, force, &active, handled)?;
        let (mut changes, disarmed) = (Vec::new(), mode == ArmMode::Disarmed);
        self.suppress(now.wall, area, disarmed, &handled.by, &handled.note, &mut changes);
        Ok((changes, Done::Area(Box::new(state))))
    }

    pub(super) fn acknowledge(&mut self, id: AlarmId, handled: Handled) -> Outcome {
        let alarm = self.find(id)?;
        if let Some(by) = &alarm.acknowledged {
            return Err(OrderRefused::AlreadyAcknowledged { id, by: by.clone() });
        }
        let (at, by, key) = (handled.at, handled.by.clone(), alarm.key.clone());
        let note = handled.note.clone();
        alarm.acknowledged = Some(handled);
        let mut changes = vec![change(ChangeKind::Acknowledged, at, by.clone(), &note, alarm)];
        self.close_if_over(&key, at, &mut changes);
        let own = changes.last().map(|last| last.alarm.clone()).ok_or(OrderRefused::NotOpen(id))?;
        self.take_explained(at, id, &by, &mut changes);
        Ok((changes, Done::Alarm(Box::new(own))))
    }

    /// What an alarm explains is taken with it.
    fn take_explained(&mut self, at: Wall, id: AlarmId, by: &Actor, changes: &mut Vec<AlarmChange>) {
        let explained = self.open.values().filter(|alarm| alarm.marks.inhibited_by == Some(id));
        let explained: Vec<AlarmKey> = explained.map(|alarm| alarm.key.clone()).collect();
        for key in explained {
            self.take_along(at, &key, id, by, changes);
        }
    }

    /// Somebody has seen it, it is real, and they need more people. Whoever comes must find it open: from then on only a
    /// reset closes it.
    fn call_support(&mut self, id: AlarmId, handled: &Handled) -> Outcome {
        let (at, by) = (handled.at, &handled.by);
        let alarm = self.find(id)?;
        let standing = alarm.marks.support.as_ref().map(|support| at.since(support.by.at));
        if alarm.acknowledged.is_some() && standing.is_some_and(|ago| (0..ONE_CALL_MS).contains(&ago)) {
            return Ok((Vec::new(), Done::Alarm(Box::new(alarm.clone()))));
        }
        let (taken, mut changes) = (alarm.acknowledged.is_none(), Vec::new());
        if taken {
            // The note is that of the call.
            alarm.acknowledged = Some(Handled { note: String::new(), ..handled.clone() });
            changes.push(change(ChangeKind::Acknowledged, at, by.clone(), "", alarm));
        }
        alarm.marks.support = Some(Support { by: handled.clone(), told_at: None });
        // Those of drills all end with the drill. Of a reset before the call nobody who comes knows.
        (alarm.latched, alarm.reset) = (alarm.latched || !alarm.marks.drill, None);
        changes.push(change(ChangeKind::SupportCalled, at, by.clone(), &handled.note, alarm));
        let own = alarm.clone();
        if taken {
            self.take_explained(at, id, by, &mut changes);
        }
        Ok((changes, Done::Alarm(Box::new(own))))
    }

    /// Every group of its ladder has the call that was made then.
    fn support_told(&mut self, id: AlarmId, called: Wall, handled: &Handled) -> Outcome {
        let alarm = self.find(id)?;
        let support = alarm.marks.support.as_mut();
        let Some(support) = support.filter(|of| of.by.at == called && of.told_at.is_none()) else {
            // There is a newer call by now.
            return Ok((Vec::new(), Done::Alarm(Box::new(alarm.clone()))));
        };
        support.told_at = Some(handled.at);
        done(vec![change(ChangeKind::SupportTold, handled.at, handled.by.clone(), &handled.note, alarm)], id)
    }

    fn escalate(&mut self, id: AlarmId, handled: &Handled) -> Outcome {
        let alarm = self.find(id)?;
        if let Some(by) = &alarm.acknowledged {
            return Err(OrderRefused::AlreadyAcknowledged { id, by: by.clone() });
        }
        let by = handled.by.clone();
        done(vec![change(ChangeKind::Escalated, handled.at, by, &handled.note, alarm)], id)
    }

    pub(super) fn reset(&mut self, id: AlarmId, handled: Handled) -> Outcome {
        let alarm = self.find(id)?;
        if !alarm.latched {
            return Err(OrderRefused::NotLatched(id));
        }
        if alarm.acknowledged.is_none() {
            return Err(OrderRefused::NotAcknowledged(id));
        }
        if alarm.active {
            return Err(OrderRefused::StillActive(id));
        }
        if let Some(by) = &alarm.reset {
            return Err(OrderRefused::AlreadyReset { id, by: by.clone() });
        }
        let key = alarm.key.clone();
        alarm.reset = Some(handled.clone());
        let mut changes = vec![change(ChangeKind::Reset, handled.at, handled.by, &handled.note, alarm)];
        self.close_if_over(&key, handled.at, &mut changes);
        done(changes, id)
    }

    fn shelve(&mut self, now: Now, id: AlarmId, handled: Handled, (secs, once): (u32, bool)) -> Outcome {
        let most = self.settings.most_shelf_secs;
        let alarm = self.quietable(id, &handled, Some(secs), most)?;
        if once && !alarm.active {
            return Err(OrderRefused::NotActive(id));
        }
        let (by, note) = (handled.by.clone(), handled.note.clone());
        let until = ends(now.wall, secs);
        alarm.marks.shelved = Some(Shelf { by: handled, until, once });
        let changes = vec![change(ChangeKind::Shelved, now.wall, by, &note, alarm)];
        self.timers.set(&Due::Shelf(id), Some(now.mono.plus(Duration::from_secs(secs.into()))));
        done(changes, id)
    }

    fn take_out(&mut self, now: Now, id: AlarmId, handled: Handled, secs: Option<u32>) -> Outcome {
        let alarm = self.quietable(id, &handled, secs, MOST_OUT_SECS)?;
        let (by, note) = (handled.by.clone(), handled.note.clone());
        let until = secs.map(|secs| ends(now.wall, secs));
        alarm.marks.out_of_service = Some(OutOfService { by: handled, until });
        let changes = vec![change(ChangeKind::OutOfService, now.wall, by, &note, alarm)];
        let deadline = secs.map(|secs| now.mono.plus(Duration::from_secs(secs.into())));
        self.timers.set(&Due::Service(id), deadline);
        done(changes, id)
    }

    /// An alarm that a person may keep quiet for this long, and who says why.
    fn quietable(
        &mut self,
        id: AlarmId,
        handled: &Handled,
        secs: Option<u32>,
        most: u32,
    ) -> Result<&mut Alarm, OrderRefused> {
        let alarm = self.find(id)?;
        if alarm.class.protected() {
            return Err(OrderRefused::Protected { id, class: alarm.class });
        }
        if handled.note.trim().is_empty() {
            return Err(OrderRefused::NoReason);
        }
        if secs.is_some_and(|secs| secs == 0 || secs > most) {
            return Err(OrderRefused::BadSpan { most });
        }
        Ok(alarm)
    }

    fn confirm(&mut self, id: AlarmId, truth: Truth, handled: Handled) -> Outcome {
        let mut all = self.open.values_mut().chain(&mut self.over);
        let alarm = all.find(|alarm| alarm.id == id).ok_or(OrderRefused::NotOpen(id))?;
        if alarm.acknowledged.is_none() {
            return Err(OrderRefused::NotAcknowledged(id));
        }
        let (at, by, note) = (handled.at, handled.by.clone(), noted(truth, &handled));
        alarm.marks.confirmed = Some(Confirmed { truth, by: handled });
        done(vec![change(ChangeKind::Confirmed, at, by, &note, alarm)], id)
    }
}

/// The note of a confirmation: its word, and what the person wrote.
fn noted(truth: Truth, handled: &Handled) -> String {
    match handled.note.trim() {
        "" => truth.to_string(),
        note => format!("{truth}: {note}"),
    }
}

fn ends(at: Wall, secs: u32) -> Wall {
    at.plus_ms(i64::from(secs) * 1000)
}

/// The last change is of the alarm that the order was about.
fn done(changes: Vec<AlarmChange>, id: AlarmId) -> Outcome {
    let last = changes.last().map(|last| last.alarm.clone()).ok_or(OrderRefused::NotOpen(id))?;
    Ok((changes, Done::Alarm(Box::new(last))))
}

//! The escalation ladder: whom to tell of an alarm, by which channel and when, until a person takes it; and all of them
//! at once when that person calls for support.
//!
//! It is told what changed, what the time is and what became of each message; it says what to send. Delays are on the
//! monotonic clock, so that a wall clock that is set neither hurries nor delays anything; only the time of day, by
//! which a ladder is chosen and a channel left alone, is asked of the wall clock.

mod case;

use super::flood::{Load, Queue};
use super::plan::{Plan, Policy};
use super::wording;
use crate::model::{
    Alarm, AlarmChange, AlarmId, ChangeKind, ChannelId, Message, Mono, Now, Occasion, Priority, Verdict, Wall,
};
use case::{Case, Errand, group};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A channel that did not accept something critical within this time has failed: the next has its turn.
pub const ACCEPT_WITHIN: Duration = Duration::from_secs(5);
/// Most alarms that are followed one by one. Beyond it only critical ones are; the rest is counted in digests.
pub const MAX_FOLLOWED: usize = 10_000;
/// While something waits for the end of quiet hours, the wall clock is looked at this often.
const QUIET_LOOK: Duration = Duration::from_secs(30);
/// A ladder that began longer ago than this has come to its end. Milliseconds.
const LONGEST_AGO_MS: i64 = 7 * 24 * 3600 * 1000;

/// How far the ladder of an alarm had come when the gateway stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Climbed {
    /// The alarm, which nobody has taken, or for which somebody called for support that not everybody has yet.
    pub alarm: Alarm,
    /// The step that was reached; the first is 1.
    pub step: usize,
    /// When.
    pub at: Wall,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// A message is to be sent; the channel has no other on its way.
    Tell {
        /// By which channel.
        channel: ChannelId,
        /// What.
        message: Message,
    },
    /// A further step of a ladder began: it is to be written down.
    Reached {
        /// Of which alarm.
        alarm: AlarmId,
        /// Which; the second is 2.
        step: usize,
    },
    /// Every group of the ladder has a call for support: it is to be written down.
    SupportTold {
        /// Of which alarm.
        alarm: AlarmId,
        /// When it was made.
        called: Wall,
    },
    /// A channel says that it will never work so, and had not said it before.
    Refused {
        /// Which.
        channel: ChannelId,
        /// Why.
        why: String,
    },
    /// It works again.
    Mended {
        /// Which.
        channel: ChannelId,
    },
}

/// What the ladder counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LadderCounts {
    /// Times the next channel of a group had its turn.
    pub failed_over: u64,
    /// Alarms that are only counted in digests, because too many were followed.
    pub only_counted: u64,
}

/// Every ladder that is being climbed, and what waits for each channel.
#[derive(Debug)]
pub struct Ladder {
    plan: Plan,
    cases: BTreeMap<AlarmId, Case>,
    queues: BTreeMap<ChannelId, Queue>,
    timers: BTreeSet<(Mono, AlarmId)>,
    /// How many of the cases are of drills.
    drills: usize,
    next_number: u64,
    deeds: Vec<Deed>,
    counts: LadderCounts,
}

impl Ladder {
    /// Goes on where the last run ended: whatever nobody took is told again at once, and each ladder goes on from its
    /// step, by the wall clock where that can be believed, else from the beginning of the step.
    #[must_use]
    pub fn restore(plan: Plan, climbed: impl IntoIterator<Item = Climbed>, now: Now) -> Self {
        let queues = plan.routes.iter().map(|(id, route)| (id.clone(), Queue::new(*route))).collect();
        let mut ladder = Self {
            plan,
            cases: BTreeMap::new(),
            queues,
            timers: BTreeSet::new(),
            drills: 0,
            // Above those of the runs before, as long as the wall clock goes on: a receiver knows a repeat by it.
            next_number: u64::try_from(now.wall.0).unwrap_or(0).max(1),
            deeds: Vec::new(),
            counts: LadderCounts::default(),
        };
        for climbed in climbed {
            ladder.go_on(now, climbed);
        }
        ladder
    }

    fn go_on(&mut self, now: Now, climbed: Climbed) {
        let Climbed { alarm, step, at } = climbed;
        if alarm.acknowledged.is_some() || !alarm.announced() {
            return self.call(now, &alarm);
        }
        let Some(policy) = self.plan.choose(&alarm, alarm.raised_at) else { return };
        let Some(spec) = self.plan.policies.get(policy) else { return };
        let reached = step.clamp(1, spec.steps.len().max(1));
        let after = spec.steps.get(reached - 1).map_or(Duration::ZERO, |step| step.after);
        let ago = now.wall.since(at);
        let believed = now.wall.plausible() && at.plausible() && (0..=LONGEST_AGO_MS).contains(&ago);
        let elapsed = millis(after).saturating_add(if believed { ago } else { 0 });
        let alarm = Arc::new(alarm);
        self.begin(now, Arc::clone(&alarm), policy, elapsed, reached);
        self.call(now, &alarm);
    }

    /// Takes a change of an alarm.
    pub fn take(&mut self, now: Now, change: &AlarmChange) {
        let alarm = &change.alarm;
        match change.kind {
            ChangeKind::Closed => self.closed(now, alarm),
            ChangeKind::SupportCalled => self.call(now, alarm),
            // Something keeps it quiet.
            _ if !alarm.announced() => {
                let case = self.forget(alarm.id);
                self.keep_call(case);
            }
            ChangeKind::Acknowledged => self.acknowledged(alarm.id),
            ChangeKind::Cleared => self.cleared(now, alarm),
            kind if kind.announces() => self.raised(now, alarm),
            _ => {}
        }
    }

    fn raised(&mut self, now: Now, alarm: &Alarm) {
        if alarm.acknowledged.is_some() {
            return self.acknowledged(alarm.id);
        }
        if let Some(case) = self.cases.get_mut(&alarm.id).filter(|case| !case.taken) {
            // It came back before anybody took it: its ladder goes on.
            case.alarm = Arc::new(alarm.clone());
            return;
        }
        let Some(policy) = self.plan.choose(alarm, now.wall) else { return };
        self.begin(now, Arc::new(alarm.clone()), policy, 0, 1);
    }

    /// Begins a ladder, or takes it up where so much time has passed and so many steps were reached.
    fn begin(&mut self, now: Now, alarm: Arc<Alarm>, policy: usize, elapsed_ms: i64, reached: usize) {
        // Those of drills take no room from the others.
        let followed = self.cases.len().saturating_sub(self.drills);
        if followed >= MAX_FOLLOWED && alarm.priority != Priority::Critical && !alarm.marks.drill {
            return self.only_count(&alarm, policy);
        }
        let mut case = match self.forget(alarm.id).filter(|case| case.called.is_some()) {
            // What is being told of it is told on.
            Some(case) => Case { alarm, taken: false, steps: 0, told: BTreeSet::new(), ..case.calling() },
            None => Case::new(alarm, policy),
        };
        case.begun_ms = mono_ms(now.mono).saturating_sub(elapsed_ms);
        for step in 0..reached {
            self.begin_step(now.mono, &mut case, step);
        }
        self.keep(case);
    }

    /// Somebody asks for more people: every group of every step is told at once, whatever it was told before.
    fn call(&mut self, now: Now, alarm: &Alarm) {
        let Some(called) = alarm.calls() else { return };
        if alarm.acknowledged.is_some() {
            self.acknowledged(alarm.id);
        } else if alarm.announced() {
            // It came back after the call.
            self.raised(now, alarm);
        }
        let mut case = match self.cases.remove(&alarm.id) {
            Some(case) => case,
            None => {
                let Some(policy) = self.plan.choose(alarm, now.wall) else { return };
                self.drills += usize::from(alarm.marks.drill);
                Case { taken: true, ..Case::new(Arc::new(alarm.clone()), policy) }
            }
        };
        case.alarm = Arc::new(alarm.clone());
        (case.called, case.heard) = (Some(called), BTreeSet::new());
        case.errands.retain(|errand| !errand.call);
        let policy = self.plan.policies.get(case.policy);
        let steps = policy.into_iter().flat_map(|policy| policy.steps.iter().enumerate());
        let all = steps.flat_map(|(step, of)| (0..of.groups.len()).map(move |number| (step, number)));
        // A group of which nobody may hear of this alarm is none.
        let groups: Vec<(usize, usize)> =
            all.filter(|at| !group(&self.plan, alarm, case.policy, *at).is_empty()).collect();
        for (step, number) in groups {
            let index = case.errands.len();
            case.errands.push(Errand::new(step, number, true));
            self.start(now.mono, &mut case, index, Occasion::Support);
        }
        self.put_back(case);
    }

    /// A case is looked at when it wants to be, as long as there is anything to tell of it.
    fn put_back(&mut self, mut case: Case) {
        let id = case.alarm.id;
        let mut calls = case.errands.iter().filter(|errand| errand.call).peekable();
        if calls.peek().is_none() {
            // Nobody is to hear of it.
            case.called = None;
        } else if calls.all(|errand| errand.accepted)
            && let Some(called) = case.called.take()
        {
            self.deeds.push(Deed::SupportTold { alarm: id, called });
            case.errands.retain(|errand| !errand.call);
            // Who failed before need not hear of it late.
            self.queues.values_mut().for_each(|queue| queue.drop_call(id));
        }
        let over = self.over(&case) && !case.told.is_empty();
        let due = std::mem::take(&mut case.due);
        if let Some(due) = due {
            self.timers.remove(&(due, id));
        }
        if case.taken && case.called.is_none() && !over {
            self.drills = self.drills.saturating_sub(usize::from(case.alarm.marks.drill));
            return;
        }
        self.cases.insert(id, case);
        self.arm(id);
    }

    /// A case that was taken out is followed again.
    fn keep(&mut self, case: Case) {
        self.drills += usize::from(case.alarm.marks.drill);
        self.put_back(case);
    }

    /// Of a case that was taken out only a call for support is told on.
    fn keep_call(&mut self, case: Option<Case>) {
        if let Some(case) = case.filter(|case| case.called.is_some()) {
            self.keep(Case { told: BTreeSet::new(), ..case.calling() });
        }
    }

    /// Too many are followed: the first channels of its ladder count it.
    fn only_count(&mut self, alarm: &Alarm, policy: usize) {
        let step = self.plan.policies.get(policy).and_then(|policy| policy.steps.first());
        let silent = alarm.silent();
        for group in step.into_iter().flat_map(|step| &step.groups) {
            let first = group.iter().find(|channel| !(silent && self.plan.is_local(channel)));
            if let Some(queue) = first.and_then(|channel| self.queues.get_mut(channel)) {
                queue.count(alarm.priority);
            }
        }
        self.counts.only_counted = self.counts.only_counted.saturating_add(1);
    }

    fn acknowledged(&mut self, id: AlarmId) {
        if let Some(case) = self.forget(id) {
            self.keep(case.calling());
        }
    }

    fn cleared(&mut self, now: Now, alarm: &Alarm) {
        let Some(case) = self.cases.get_mut(&alarm.id) else { return };
        case.alarm = Arc::new(alarm.clone());
        // What is critical or latched has to be looked at all the same.
        if alarm.priority != Priority::Critical && !alarm.latched {
            self.end(now, alarm.id);
        }
    }

    fn closed(&mut self, now: Now, alarm: &Alarm) {
        if let Some(case) = self.cases.get_mut(&alarm.id) {
            case.alarm = Arc::new(alarm.clone());
            case.called = None;
            self.queues.values_mut().for_each(|queue| queue.drop_call(alarm.id));
            self.end(now, alarm.id);
        }
    }

    /// It is over: nobody is told any more, but for those who want to know just that, and of a call for support.
    fn end(&mut self, now: Now, id: AlarmId) {
        let Some(case) = self.forget(id) else { return };
        let told = if self.over(&case) { &case.told } else { &BTreeSet::new() };
        for channel in told {
            let Some(queue) = self.queues.get_mut(channel) else { continue };
            let quiet = queue.route().quiet.is_some_and(|hours| hours.hold(now.wall, &self.plan.zone));
            if !quiet && queue.waits() < u64::try_from(MAX_FOLLOWED).unwrap_or(u64::MAX) {
                queue.add(&case.alarm, Occasion::Over);
            }
        }
        self.keep_call(Some(case));
    }

    fn over(&self, case: &Case) -> bool {
        self.plan.policies.get(case.policy).is_some_and(|policy| policy.over)
    }

    /// Takes an alarm out of everything that waits, but for a call for support.
    fn forget(&mut self, id: AlarmId) -> Option<Case> {
        self.queues.values_mut().for_each(|queue| queue.drop(id));
        let mut case = self.cases.remove(&id)?;
        self.drills = self.drills.saturating_sub(usize::from(case.alarm.marks.drill));
        if let Some(due) = case.due.take() {
            self.timers.remove(&(due, id));
        }
        Some(case)
    }

    /// Takes what became of a message.
    pub fn verdict(&mut self, now: Now, channel: &ChannelId, number: u64, verdict: Verdict) {
        let Some(queue) = self.queues.get_mut(channel) else { return };
        let Some(load) = queue.landed(number) else { return };
        match verdict {
            Verdict::Accepted => {
                queue.worked();
                if std::mem::take(&mut queue.refused) {
                    self.deeds.push(Deed::Mended { channel: channel.clone() });
                }
                for waiting in &load.told {
                    let Some(mut case) = self.cases.remove(&waiting.alarm.id) else { continue };
                    if case.accepted(channel, waiting, &self.plan)
                        && let Some(queue) = self.queues.get_mut(channel)
                    {
                        // It was to be told once more by way of another group.
                        queue.drop_call(waiting.alarm.id);
                    }
                    self.put_back(case);
                }
            }
            Verdict::Busy { retry_after } => {
                queue.failed(now.mono, &load, retry_after);
                self.failed_over(now.mono, channel, &load, true);
            }
            Verdict::Failed { .. } => {
                queue.failed(now.mono, &load, None);
                self.failed_over(now.mono, channel, &load, true);
            }
            Verdict::Refused { why } => {
                if !std::mem::replace(&mut queue.refused, true) {
                    self.deeds.push(Deed::Refused { channel: channel.clone(), why });
                }
                self.failed_over(now.mono, channel, &load, false);
            }
        }
    }

    /// The next channel of each group has its turn, and the one that failed tries again.
    fn failed_over(&mut self, now: Mono, channel: &ChannelId, load: &Load, again: bool) {
        for waiting in &load.told {
            let Some(mut case) = self.cases.remove(&waiting.alarm.id) else { continue };
            let occasion = match waiting.occasion {
                Occasion::Support if case.called.is_none() => case.occasion(),
                occasion => occasion,
            };
            let wanted = if waiting.is_call() { case.called.is_some() || !case.taken } else { !case.taken };
            if let (true, true, Some(queue)) = (again, wanted, self.queues.get_mut(channel)) {
                queue.put(&case.alarm, occasion);
            }
            for index in 0..case.errands.len() {
                if case.current(index, &self.plan) == Some(channel) {
                    self.move_on(now, &mut case, index, occasion);
                }
            }
            self.put_back(case);
        }
    }

    /// Does what is due and says what is to be done.
    pub fn act(&mut self, now: Now) -> Vec<Deed> {
        while let Some((due, id)) = self.timers.first().copied()
            && due <= now.mono
        {
            self.timers.pop_first();
            if let Some(mut case) = self.cases.remove(&id) {
                case.due = None;
                self.expire(now.mono, &mut case);
                self.put_back(case);
            }
        }
        // What is real goes first.
        let (drills, real): (Vec<_>, Vec<_>) =
            self.queues.iter_mut().partition(|(_, queue)| queue.route().drill);
        for (channel, queue) in real.into_iter().chain(drills) {
            let quiet = queue.route().quiet.is_some_and(|hours| hours.hold(now.wall, &self.plan.zone));
            if let Some(load) = queue.take(now.mono, quiet, self.next_number) {
                if load.number == self.next_number {
                    self.next_number = self.next_number.saturating_add(1);
                }
                let message = wording::message(&load, &self.plan, now.wall);
                self.deeds.push(Deed::Tell { channel: channel.clone(), message });
            }
        }
        std::mem::take(&mut self.deeds)
    }

    fn expire(&mut self, now: Mono, case: &mut Case) {
        for index in 0..case.errands.len() {
            let overdue = case
                .errands
                .get(index)
                .is_some_and(|e| !e.accepted && e.move_on_at.is_some_and(|at| at <= now));
            if overdue {
                self.move_on(now, case, index, case.occasion());
            }
        }
        if case.taken {
            return;
        }
        while self.step_due(case).is_some_and(|due| due <= now) {
            let step = case.steps;
            self.begin_step(now, case, step);
            self.deeds.push(Deed::Reached { alarm: case.alarm.id, step: step.saturating_add(1) });
        }
        if case.remind_at.is_some_and(|at| at <= now) {
            case.remind_at = self.remind(case).map(|pause| now.plus(pause));
            for index in 0..case.errands.len() {
                if case.errands.get(index).is_some_and(|errand| !errand.call) {
                    self.start(now, case, index, Occasion::Reminder);
                }
            }
        }
    }

    fn remind(&self, case: &Case) -> Option<Duration> {
        self.plan.policies.get(case.policy).and_then(|policy| policy.remind)
    }

    /// When the next step of a ladder is due.
    fn step_due(&self, case: &Case) -> Option<Mono> {
        let step = self.plan.policies.get(case.policy)?.steps.get(case.steps)?;
        let due = case.begun_ms.saturating_add(millis(step.after));
        Some(Mono(u64::try_from(due).unwrap_or(0)))
    }

    fn begin_step(&mut self, now: Mono, case: &mut Case, step: usize) {
        case.steps = step.saturating_add(1);
        case.remind_at = self.remind(case).map(|pause| now.plus(pause));
        let groups = self.plan.policies.get(case.policy).and_then(|policy| policy.steps.get(step));
        let groups = groups.map_or(0, |step| step.groups.len());
        let occasion = if step > 0 { Occasion::Escalated } else { Occasion::Raised };
        for group in 0..groups {
            case.errands.push(Errand::new(step, group, false));
            self.start(now, case, case.errands.len().saturating_sub(1), occasion);
        }
    }

    /// The first channel of a group has its turn.
    fn start(&mut self, now: Mono, case: &mut Case, index: usize, occasion: Occasion) {
        if let Some(errand) = case.errands.get_mut(index) {
            (errand.turns, errand.accepted, errand.move_on_at) = (0, false, None);
        }
        self.next(now, case, index, occasion);
    }

    /// The next channel of a group has its turn because the one before it failed.
    fn move_on(&mut self, now: Mono, case: &mut Case, index: usize, occasion: Occasion) {
        if self.next(now, case, index, occasion) {
            self.counts.failed_over = self.counts.failed_over.saturating_add(1);
        }
    }

    /// Whether there was a next channel; one that is known to be down is not waited for.
    fn next(&mut self, now: Mono, case: &mut Case, index: usize, occasion: Occasion) -> bool {
        let mut moved = false;
        loop {
            let Some(errand) = case.errands.get_mut(index) else { return moved };
            errand.move_on_at = None;
            let turn = errand.turns;
            let channels = group(&self.plan, &case.alarm, case.policy, (errand.step, errand.group));
            let Some(channel) = channels.get(turn) else { return moved };
            let Some(queue) = self.queues.get_mut(*channel) else { return moved };
            moved = true;
            errand.turns = turn.saturating_add(1);
            if errand.call && case.heard.contains(*channel) {
                errand.accepted = true;
                return moved;
            }
            let (told, down) = (case.told.contains(*channel), queue.is_down(now));
            let occasion = match occasion {
                _ if errand.call => Occasion::Support,
                // Who has it already is only reminded.
                _ if told => Occasion::Reminder,
                occasion => occasion,
            };
            queue.add(&case.alarm, occasion);
            if !down {
                let urgent = errand.call || case.alarm.priority == Priority::Critical;
                if urgent && channels.len() > errand.turns {
                    errand.move_on_at = Some(now.plus(ACCEPT_WITHIN));
                }
                return moved;
            }
        }
    }

    /// Sets the timer of an alarm to the earliest of what it waits for.
    fn arm(&mut self, id: AlarmId) {
        let due = self.cases.get(&id).and_then(|case| {
            let moving = case.errands.iter().filter(|e| !e.accepted).filter_map(|e| e.move_on_at);
            let climbing = if case.taken { [None; 2] } else { [self.step_due(case), case.remind_at] };
            moving.chain(climbing.into_iter().flatten()).min()
        });
        let Some(case) = self.cases.get_mut(&id) else { return };
        if let Some(before) = std::mem::replace(&mut case.due, due) {
            self.timers.remove(&(before, id));
        }
        self.timers.extend(due.map(|due| (due, id)));
    }

    /// When [`Ladder::act`] wants to be called next even if nothing happens.
    #[must_use]
    pub fn next_deadline(&self, now: Now) -> Option<Mono> {
        let timer = self.timers.first().map(|(due, _)| *due);
        let queues = self.queues.values().filter_map(|queue| {
            let quiet = queue.route().quiet.is_some_and(|hours| hours.hold(now.wall, &self.plan.zone));
            queue.next_at(quiet).or_else(|| (quiet && queue.waits() > 0).then(|| now.mono.plus(QUIET_LOOK)))
        });
        timer.into_iter().chain(queues).min()
    }

    /// What waits for each channel.
    pub fn waiting(&self) -> impl Iterator<Item = (&ChannelId, u64)> {
        self.queues.iter().map(|(channel, queue)| (channel, queue.waits()))
    }

    /// How many steps the ladder of an alarm has.
    #[must_use]
    pub fn steps(&self, alarm: AlarmId) -> usize {
        let policy = self.cases.get(&alarm).and_then(|case| self.plan.policies.get(case.policy));
        policy.map_or(0, |policy: &Policy| policy.steps.len())
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> LadderCounts {
        self.counts
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn mono_ms(at: Mono) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;

//! The escalation ladder: whom to tell of an alarm, by which channel and when, until a person takes it.
//!
//! It is told what changed, what the time is and what became of each message; it says what to send. Delays are on the
//! monotonic clock, so that a wall clock that is set neither hurries nor delays anything; only the time of day, by
//! which a ladder is chosen and a channel left alone, is asked of the wall clock.

use super::flood::{Load, Queue};
use super::plan::{Plan, Policy};
use super::wording;
use crate::model::{
    Alarm, AlarmChange, AlarmId, ChangeKind, ChannelId, Message, Mono, Now, Occasion, Priority, Verdict, Wall,
};
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
    /// The alarm, which nobody has taken.
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

/// A group of channels of which one has to accept.
#[derive(Debug)]
struct Errand {
    step: usize,
    group: usize,
    /// How many of the group had their turn.
    turns: usize,
    accepted: bool,
    /// When the next has its turn although nothing failed.
    move_on_at: Option<Mono>,
}

/// An alarm that is followed.
#[derive(Debug)]
struct Case {
    alarm: Arc<Alarm>,
    policy: usize,
    /// When the ladder began, milliseconds of the monotonic clock; before its origin where it began in an earlier run.
    begun_ms: i64,
    /// Steps that were begun.
    steps: usize,
    remind_at: Option<Mono>,
    errands: Vec<Errand>,
    /// Who accepted it.
    told: BTreeSet<ChannelId>,
    /// A person took it: it is followed only for those who are told when it is over.
    taken: bool,
    /// When it has to be looked at.
    due: Option<Mono>,
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
            return;
        }
        let Some(policy) = self.plan.choose(&alarm, alarm.raised_at) else { return };
        let Some(spec) = self.plan.policies.get(policy) else { return };
        let reached = step.clamp(1, spec.steps.len().max(1));
        let after = spec.steps.get(reached - 1).map_or(Duration::ZERO, |step| step.after);
        let ago = now.wall.since(at);
        let believed = now.wall.plausible() && at.plausible() && (0..=LONGEST_AGO_MS).contains(&ago);
        let elapsed = millis(after).saturating_add(if believed { ago } else { 0 });
        self.begin(now, Arc::new(alarm), policy, elapsed, reached);
    }

    /// Takes a change of an alarm.
    pub fn take(&mut self, now: Now, change: &AlarmChange) {
        let alarm = &change.alarm;
        match change.kind {
            ChangeKind::Closed => self.closed(now, alarm),
            // Something keeps it quiet.
            _ if !alarm.announced() => {
                self.forget(alarm.id);
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
        let id = alarm.id;
        self.forget(id);
        let begun_ms = mono_ms(now.mono).saturating_sub(elapsed_ms);
        self.drills += usize::from(alarm.marks.drill);
        let mut case = Case {
            alarm,
            policy,
            begun_ms,
            steps: 0,
            remind_at: None,
            errands: Vec::new(),
            told: BTreeSet::new(),
            taken: false,
            due: None,
        };
        for step in 0..reached {
            self.begin_step(now.mono, &mut case, step);
        }
        self.cases.insert(id, case);
        self.arm(id);
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
        let Some(mut case) = self.forget(id) else { return };
        if self.over(&case) && !case.told.is_empty() {
            case.taken = true;
            case.errands.clear();
            self.cases.insert(id, case);
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
            self.end(now, alarm.id);
        }
    }

    /// It is over: nobody is told any more, but for those who want to know just that.
    fn end(&mut self, now: Now, id: AlarmId) {
        let Some(case) = self.forget(id) else { return };
        if !self.over(&case) {
            return;
        }
        for channel in &case.told {
            let Some(queue) = self.queues.get_mut(channel) else { continue };
            let quiet = queue.route().quiet.is_some_and(|hours| hours.hold(now.wall, &self.plan.zone));
            if !quiet && queue.waits() < u64::try_from(MAX_FOLLOWED).unwrap_or(u64::MAX) {
                queue.add(&case.alarm, Occasion::Over);
            }
        }
    }

    fn over(&self, case: &Case) -> bool {
        self.plan.policies.get(case.policy).is_some_and(|policy| policy.over)
    }

    /// Takes an alarm out of everything that waits.
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
                    if let Some(case) = self.cases.get_mut(&waiting.alarm.id) {
                        case.accepted(channel, &self.plan);
                    }
                    self.arm(waiting.alarm.id);
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
            let id = waiting.alarm.id;
            let Some(mut case) = self.cases.remove(&id) else { continue };
            if !case.taken {
                if let (true, Some(queue)) = (again, self.queues.get_mut(channel)) {
                    queue.put(&case.alarm, waiting.occasion);
                }
                for index in 0..case.errands.len() {
                    if case.current(index, &self.plan) == Some(channel) {
                        self.move_on(now, &mut case, index, waiting.occasion);
                    }
                }
            }
            self.cases.insert(id, case);
            self.arm(id);
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
                self.cases.insert(id, case);
                self.arm(id);
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
                let occasion = if case.steps > 1 { Occasion::Escalated } else { Occasion::Raised };
                self.move_on(now, case, index, occasion);
            }
        }
        while self.step_due(case).is_some_and(|due| due <= now) {
            let step = case.steps;
            self.begin_step(now, case, step);
            self.deeds.push(Deed::Reached { alarm: case.alarm.id, step: step.saturating_add(1) });
        }
        if case.remind_at.is_some_and(|at| at <= now) {
            case.remind_at = self.remind(case).map(|pause| now.plus(pause));
            for index in 0..case.errands.len() {
                self.start(now, case, index, Occasion::Reminder);
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
            case.errands.push(Errand { step, group, turns: 0, accepted: false, move_on_at: None });
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
            // Who has it already is only reminded.
            let (told, down) = (case.told.contains(*channel), queue.is_down(now));
            queue.add(&case.alarm, if told { Occasion::Reminder } else { occasion });
            if !down {
                if case.alarm.priority == Priority::Critical && channels.len() > errand.turns {
                    errand.move_on_at = Some(now.plus(ACCEPT_WITHIN));
                }
                return moved;
            }
        }
    }

    /// Sets the timer of an alarm to the earliest of what it waits for.
    fn arm(&mut self, id: AlarmId) {
        let due = self.cases.get(&id).filter(|case| !case.taken).and_then(|case| {
            let moving = case.errands.iter().filter(|e| !e.accepted).filter_map(|e| e.move_on_at);
            moving.chain(self.step_due(case)).chain(case.remind_at).min()
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

impl Case {
    /// The channel that has its turn in a group that still waits.
    fn current<'p>(&self, index: usize, plan: &'p Plan) -> Option<&'p ChannelId> {
        let errand = self.errands.get(index).filter(|errand| !errand.accepted)?;
        let channels = group(plan, &self.alarm, self.policy, (errand.step, errand.group));
        channels.get(errand.turns.checked_sub(1)?).copied()
    }

    /// A channel has it: every group that had asked it is served.
    fn accepted(&mut self, channel: &ChannelId, plan: &Plan) {
        self.told.insert(channel.clone());
        for errand in &mut self.errands {
            let channels = group(plan, &self.alarm, self.policy, (errand.step, errand.group));
            if channels.iter().take(errand.turns).any(|asked| *asked == channel) {
                (errand.accepted, errand.move_on_at) = (true, None);
            }
        }
    }
}

/// The channels of a group that may be told of this alarm.
fn group<'p>(
    plan: &'p Plan,
    alarm: &Alarm,
    policy: usize,
    (step, group): (usize, usize),
) -> Vec<&'p ChannelId> {
    let step = plan.policies.get(policy).and_then(|policy| policy.steps.get(step));
    let group = step.and_then(|step| step.groups.get(group));
    let silent = alarm.silent();
    group.into_iter().flatten().filter(|channel| !(silent && plan.is_local(channel))).collect()
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

//! An alarm that the ladder follows, and the groups of channels that are being asked for it.

use super::super::flood::Waiting;
use super::super::plan::Plan;
use crate::model::{Alarm, ChannelId, Mono, Occasion, Wall};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A group of channels of which one has to accept.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) step: usize,
    pub(super) group: usize,
    /// It is for a call for support, not for a step of the ladder.
    pub(super) call: bool,
    /// How many of the group had their turn.
    pub(super) turns: usize,
    pub(super) accepted: bool,
    /// When the next has its turn although nothing failed.
    pub(super) move_on_at: Option<Mono>,
}

/// An alarm that is followed.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) alarm: Arc<Alarm>,
    pub(super) policy: usize,
    /// When the ladder began, milliseconds of the monotonic clock; before its origin where it began in an earlier run.
    pub(super) begun_ms: i64,
    /// Steps that were begun.
    pub(super) steps: usize,
    pub(super) remind_at: Option<Mono>,
    pub(super) errands: Vec<Errand>,
    /// Who accepted it.
    pub(super) told: BTreeSet<ChannelId>,
    /// A person took it: it is followed only for a call for support and for those who are told when it is over.
    pub(super) taken: bool,
    /// When the call for support was made that is being told.
    pub(super) called: Option<Wall>,
    /// Who accepted that call.
    pub(super) heard: BTreeSet<ChannelId>,
    /// When it has to be looked at.
    pub(super) due: Option<Mono>,
}

impl Errand {
    pub(super) fn new(step: usize, group: usize, call: bool) -> Self {
        Self { step, group, call, turns: 0, accepted: false, move_on_at: None }
    }
}

impl Case {
    pub(super) fn new(alarm: Arc<Alarm>, policy: usize) -> Self {
        Self {
            alarm,
            policy,
            begun_ms: 0,
            steps: 0,
            remind_at: None,
            errands: Vec::new(),
            told: BTreeSet::new(),
            taken: false,
            called: None,
            heard: BTreeSet::new(),
            due: None,
        }
    }

    /// The same without its ladder.
    pub(super) fn calling(mut self) -> Self {
        self.errands.retain(|errand| errand.call);
        Self { taken: true, remind_at: None, ..self }
    }

    /// Why it is told now for the first time.
    pub(super) fn occasion(&self) -> Occasion {
        if self.steps > 1 { Occasion::Escalated } else { Occasion::Raised }
    }

    /// The channel that has its turn in a group that still waits.
    pub(super) fn current<'p>(&self, index: usize, plan: &'p Plan) -> Option<&'p ChannelId> {
        let errand = self.errands.get(index).filter(|errand| !errand.accepted)?;
        let channels = group(plan, &self.alarm, self.policy, (errand.step, errand.group));
        channels.get(errand.turns.checked_sub(1)?).copied()
    }

    /// A channel has it: every group that had asked it is served. Whether it was the call for support that is being told;
    /// nothing else stands in for that.
    pub(super) fn accepted(&mut self, channel: &ChannelId, waiting: &Waiting, plan: &Plan) -> bool {
        let call = waiting.is_call() && self.called.is_some() && waiting.alarm.calls() == self.called;
        self.told.insert(channel.clone());
        if call {
            self.heard.insert(channel.clone());
        }
        for errand in &mut self.errands {
            if errand.call && !call {
                continue;
            }
            let channels = group(plan, &self.alarm, self.policy, (errand.step, errand.group));
            if channels.iter().take(errand.turns).any(|asked| *asked == channel) {
                (errand.accepted, errand.move_on_at) = (true, None);
            }
        }
        call
    }
}

/// The channels of a group that may be told of this alarm.
pub(super) fn group<'p>(
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

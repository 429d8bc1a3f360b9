//! A response that is on, with what came of each of its outputs.

use super::{ANSWER_WITHIN, Answer, Does, MOST_WAIT, Output, PAUSES, Response, Stage, State, Step};
use crate::control::By;
use crate::model::{Actor, ControlId, Mono, Now, Text, Wall};
use std::collections::BTreeSet;

/// What is wanted of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// As the response says.
    Set,
    /// As it was before.
    Back,
}

/// An output in use.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slot {
    pub(super) output: Output,
    pub(super) goal: Goal,
    pub(super) state: State,
    /// The number of the order whose answer counts; an older one's does not.
    pub(super) ticket: u64,
    /// When it has not answered, is tried again, or goes back by itself.
    pub(super) due: Option<Mono>,
    /// Attempts that failed.
    tries: usize,
}

impl Slot {
    /// One that waits for its order.
    pub(super) fn new(output: Output, goal: Goal) -> Self {
        Self { output, goal, state: State::Waiting, ticket: 0, due: None, tries: 0 }
    }

    pub(super) fn control(&self) -> Option<&ControlId> {
        self.output.does.control()
    }

    /// It may be as the response says.
    pub(super) fn may_be_set(&self) -> bool {
        self.state != State::LeftOut && !(self.goal == Goal::Set && matches!(self.state, State::Refused(_)))
    }

    pub(super) fn leave_out(&mut self) {
        (self.state, self.ticket, self.due) = (State::LeftOut, 0, None);
    }

    /// What came of its order; whether that is the last word on it.
    pub(super) fn take(&mut self, now: Now, answer: Answer) -> bool {
        let pause = PAUSES.get(self.tries);
        (self.state, self.due) = match answer {
            Answer::Done { back_in } => {
                let back_in = back_in.filter(|_| self.goal == Goal::Set);
                (State::Done, back_in.map(|span| now.mono.plus(span)))
            }
            Answer::Later { why, wait } => match pause {
                Some(pause) if wait.is_none_or(|wait| wait <= MOST_WAIT) => {
                    let wait = wait.unwrap_or_default().max(*pause);
                    (State::Again(why), Some(now.mono.plus(wait)))
                }
                _ => (State::Failed(why), None),
            },
            Answer::Never(why) => (State::Refused(why), None),
        };
        self.ticket = 0;
        self.tries += 1;
        self.state.known()
    }
}

/// A response that is on, or was.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    pub(super) by: Actor,
    pub(super) at: Wall,
    pub(super) drill: bool,
    pub(super) stage: Stage,
    pub(super) slots: Vec<Slot>,
    /// On whose behalf its outputs are ordered at present, and why.
    pub(super) whose: By,
    pub(super) reason: String,
    /// It was told what came of the outputs ordered last.
    pub(super) told: bool,
    /// It was told that outputs go back by themselves.
    pub(super) told_back: bool,
}

impl Run {
    /// Orders the outputs that are picked.
    pub(super) fn order(
        &mut self,
        now: Now,
        spec: &Response,
        (goal, pick): (Goal, impl Fn(&Slot) -> bool),
        (ticket, steps): (&mut u64, &mut Vec<Step>),
    ) {
        self.told = false;
        for slot in self.slots.iter_mut().filter(|slot| pick(slot)) {
            (slot.goal, slot.tries) = (goal, 0);
            steps.extend(go(slot, now, spec, (&self.whose, &self.reason, self.drill), ticket));
        }
    }

    /// Orders again what has waited long enough; what another one holds by now does not go back.
    pub(super) fn again(
        &mut self,
        now: Now,
        spec: &Response,
        held: &BTreeSet<ControlId>,
        (ticket, steps): (&mut u64, &mut Vec<Step>),
    ) {
        let due = |slot: &Slot| slot.due.is_some_and(|due| due <= now.mono);
        let again = |slot: &Slot| matches!(slot.state, State::Again(_)) && due(slot);
        for slot in self.slots.iter_mut().filter(|slot| again(slot)) {
            if slot.goal == Goal::Back && slot.control().is_some_and(|control| held.contains(control)) {
                slot.leave_out();
                continue;
            }
            steps.extend(go(slot, now, spec, (&self.whose, &self.reason, self.drill), ticket));
        }
    }

    /// Whether it is known what came of every output.
    pub(super) fn known(&self) -> bool {
        self.slots.iter().all(|slot| slot.state.known())
    }

    /// The names of those that are known not to be as they should.
    pub(super) fn failing(&self) -> Vec<&str> {
        let failing = self.slots.iter().filter(|slot| slot.state.failing());
        failing.map(|slot| slot.output.name.as_str()).collect()
    }
}

/// Orders one output.
fn go(
    slot: &mut Slot,
    now: Now,
    spec: &Response,
    (by, reason, drill): (&By, &str, bool),
    ticket: &mut u64,
) -> Option<Step> {
    let number = *ticket + 1;
    let switch = |control: &ControlId, value: f64| Step::Switch {
        ticket: number,
        control: control.clone(),
        value,
        by: by.clone(),
        reason: reason.to_owned(),
    };
    let step = match (&slot.output.does, slot.goal) {
        (Does::Switch { control, value, .. }, Goal::Set) => switch(control, *value),
        (Does::Switch { control, rest: Some(rest), .. }, Goal::Back) => switch(control, *rest),
        (Does::Switch { rest: None, .. }, Goal::Back) => {
            slot.leave_out();
            return None;
        }
        (Does::Tell { channel, text }, goal) => {
            let (over, name) = (goal == Goal::Back, &spec.name);
            let clear = Text::new(format!("{}：解除", name.zh), format!("{}: all clear", name.en));
            let text = if over { clear } else { text.clone() };
            Step::Tell { ticket: number, channel: channel.clone(), text, over, drill }
        }
    };
    *ticket = number;
    (slot.state, slot.ticket, slot.due) = (State::Waiting, number, Some(now.mono.plus(ANSWER_WITHIN)));
    Some(step)
}

//! What is on is taken up after a restart.

use super::machine::{Responses, Standing, slots};
use super::memory::{self, Noted, Word};
use super::run::{Goal, Run, Slot};
use super::wording::{because_of_fire, found, key, reason, row, started};
use super::{Does, Output, Response, Stage, State, Step};
use crate::control::By;
use crate::model::{AlarmKey, ControlId, Now, RuleId, Text};
use crate::rules::Level;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Responses {
    /// Takes up where the last run left off: what is on is ordered anew, unless there is fire. `open` are the active alarms
    /// of responses; those that nothing holds any more end.
    #[must_use]
    pub fn restore(
        now: Now,
        all: &[Arc<Response>],
        noted: Option<&str>,
        (open, fire, drilling): (&[AlarmKey], Option<RuleId>, bool),
    ) -> (Self, Vec<Step>) {
        let all = all.iter().map(|spec| (spec.id.clone(), Standing::new(Arc::clone(spec), false))).collect();
        let (mut this, mut steps) = (Self { all, fire, drilling, ticket: 0 }, Vec::new());
        let mut rows = Vec::new();
        let (noted, mut stay) = (noted.map(memory::of).unwrap_or_default(), BTreeSet::new());
        for one in &noted {
            let others = noted.iter().filter(|other| other.id != one.id && other.stage == Word::On);
            let held = others.flat_map(|other| &other.switched).map(|(control, _)| control.clone()).collect();
            stay.extend(this.take_up(now, one.clone(), &held, &mut steps));
            let stage = this.all.get(&one.id).and_then(|standing| Some(standing.run.as_ref()?.stage.word()));
            let said = format!("stage={}", stage.unwrap_or("off"));
            rows.push(row(now, &one.id, one.by.as_str(), "restarted", &said));
        }
        for key in open.iter().filter(|key| !stay.contains(*key)) {
            let text = Text::new("已不在配置中", "it is not in the configuration any more");
            steps.push(Step::Report(found(key.clone(), Level::Ended, None, text)));
        }
        this.free(&mut steps);
        if !rows.is_empty() {
            // What was given back stays so over the next restart, too.
            steps.push(this.note(rows));
        }
        (this, steps)
    }

    /// One that was not off; the alarm that it goes on holding.
    fn take_up(
        &mut self,
        now: Now,
        noted: Noted,
        held: &BTreeSet<ControlId>,
        steps: &mut Vec<Step>,
    ) -> Option<AlarmKey> {
        let Noted { id, kind, silent, by, at, drill, stage, switched } = noted;
        let burns = self.fire.is_some() && kind.closes();
        let standing = self.all.entry(id.clone()).or_insert_with(|| {
            let spec = Response {
                id: id.clone(),
                kind,
                name: kind.name(),
                place: None,
                silent,
                outputs: Vec::new(),
            };
            Standing::new(Arc::new(spec), true)
        });
        let spec = Arc::clone(&standing.spec);
        let gone = standing.gone || spec.kind != kind || spec.silent != silent;
        let now_is = match stage {
            _ if gone || (drill && !self.drilling) => Stage::Returning,
            Word::On if burns => Stage::GivenBack,
            Word::On => Stage::On,
            Word::GivenBack => Stage::GivenBack,
            Word::Returning => Stage::Returning,
        };
        let goal = if now_is == Stage::On { Goal::Set } else { Goal::Back };
        let mut slots = slots(&spec, drill, goal);
        for (control, rest) in switched {
            if !slots.iter().any(|slot| slot.control() == Some(&control)) {
                let name = control.to_string();
                let does = Does::Switch { control, value: rest, rest: Some(rest) };
                slots.push(Slot::new(Output { name, does, drills: true }, Goal::Back));
            }
        }
        let whose = match &self.fire {
            Some(rule) if burns => By::Rule(rule.clone()),
            _ => By::Person(by.clone()),
        };
        let reason = reason(&spec, "again after a restart");
        let (told, told_back) = (false, false);
        let mut run = Run { by, at, drill, stage: now_is, slots, whose, reason, told, told_back };
        // Who was told before is not told again; that it is over is told rather twice than never.
        for slot in run.slots.iter_mut().filter(|slot| slot.control().is_none()) {
            if now_is != Stage::Returning {
                (slot.goal, slot.state) = (Goal::Set, State::Done);
            }
        }
        let kept = |slot: &&mut Slot| {
            slot.goal == Goal::Back && slot.control().is_some_and(|control| held.contains(control))
        };
        run.slots.iter_mut().filter(kept).for_each(Slot::leave_out);
        for goal in [Goal::Set, Goal::Back] {
            let pick = |slot: &Slot| slot.goal == goal && slot.state == State::Waiting && slot.ticket == 0;
            run.order(now, &spec, (goal, pick), (&mut self.ticket, &mut *steps));
        }
        standing.run = Some(run);
        let key = key(&spec, drill)?;
        if now_is != Stage::Returning {
            self.report(&id, Level::Holds, &started(&spec), steps);
        }
        if now_is == Stage::GivenBack && stage == Word::On {
            self.report(&id, Level::Happened, &because_of_fire(&spec), steps);
        }
        self.settle(now, &id, steps);
        (self.all.get(&id)?.run.as_ref()?.stage != Stage::Off && !gone).then_some(key)
    }
}

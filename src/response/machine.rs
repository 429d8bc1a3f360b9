//! Every response of the school, from the first step to the last output that has returned.

use super::memory::{self, Noted, Word};
use super::run::{Goal, Run, Slot};
use super::wording::{because_of_fire, found, key, reason, row, started, told};
use super::{Answer, CODE_FOR, Does, Output, Refused, Response, Stage, State, Step, View};
use crate::control::By;
use crate::model::{Actor, ControlId, Mono, Now, ResponseId, RuleId, Text, drill};
use crate::pipeline::Audit;
use crate::rules::Level;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The first step, taken.
#[derive(Debug, Clone, PartialEq)]
struct Prepared {
    code: String,
    until: Mono,
    by: Actor,
    drill: bool,
}

/// One response.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) spec: Arc<Response>,
    /// It was on when it was taken out of the configuration: it only returns.
    pub(super) gone: bool,
    prepared: Option<Prepared>,
    pub(super) run: Option<Run>,
}

impl Standing {
    pub(super) fn new(spec: Arc<Response>, gone: bool) -> Self {
        Self { spec, gone, prepared: None, run: None }
    }

    fn is(&self, stage: Stage) -> bool {
        self.run.as_ref().is_some_and(|run| run.stage == stage)
    }
}

/// What a person gives with a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Who.
    pub actor: Actor,
    /// What they wrote, possibly nothing.
    pub note: String,
}

/// Every response of the school.
#[derive(Debug)]
pub struct Responses {
    pub(super) all: BTreeMap<ResponseId, Standing>,
    /// The rule of the fire alarm that is open.
    pub(super) fire: Option<RuleId>,
    /// A drill is running.
    pub(super) drilling: bool,
    pub(super) ticket: u64,
}

impl Responses {
    /// The first step: nothing is done, and for [`CODE_FOR`] the second may be taken with this code.
    ///
    /// # Errors
    /// Why it could not be begun now.
    pub fn prepare(
        &mut self,
        now: Now,
        id: &ResponseId,
        (actor, drill): (Actor, bool),
        code: &str,
    ) -> Result<(), Refused> {
        self.may_begin(id, drill)?;
        let standing = self.all.get_mut(id).ok_or(Refused::Unknown)?;
        let until = now.mono.plus(CODE_FOR);
        standing.prepared = Some(Prepared { code: code.to_owned(), until, by: actor, drill });
        Ok(())
    }

    /// The second step, by the same or another person: everything is ordered at once. What is on already stays, and what
    /// of it failed is tried again.
    ///
    /// # Errors
    /// Why it was not begun; a code that was good is used up all the same.
    pub fn start(
        &mut self,
        now: Now,
        id: &ResponseId,
        code: &str,
        given: &Given,
    ) -> Result<Vec<Step>, Refused> {
        let standing = self.all.get_mut(id).ok_or(Refused::Unknown)?;
        let good = standing.prepared.as_ref().filter(|prepared| prepared.until > now.mono);
        match good.map(|prepared| prepared.code == code) {
            None => return Err(Refused::NotPrepared),
            Some(false) => return Err(Refused::WrongCode),
            Some(true) => {}
        }
        let Some(Prepared { drill, by, .. }) = standing.prepared.take() else {
            return Err(Refused::NotPrepared);
        };
        self.may_begin(id, drill)?;
        let mut steps = Vec::new();
        self.make_way(now, id, drill, &given.actor, &mut steps);
        let said = format!("drill={drill} prepared_by={:?} note={:?}", by.as_str(), given.note);
        let row = row(now, id, given.actor.as_str(), "started", &said);
        self.begin(now, id, drill, &given.actor, &mut steps);
        self.settle(now, id, &mut steps);
        steps.push(self.note(vec![row]));
        Ok(steps)
    }

    /// All is clear: what was switched returns. Whoever began it needs another person for this, or says why not.
    ///
    /// # Errors
    /// Why it is not clear.
    pub fn clear(
        &mut self,
        now: Now,
        id: &ResponseId,
        given: &Given,
        alone: bool,
    ) -> Result<Vec<Step>, Refused> {
        let run = self.all.get(id).ok_or(Refused::Unknown)?.run.as_ref().ok_or(Refused::NotOn)?;
        if matches!(run.stage, Stage::Off | Stage::Returning) && run.failing().is_empty() {
            return Err(Refused::NotOn);
        }
        let same = run.by.as_str().to_lowercase() == given.actor.as_str().to_lowercase();
        match (same, alone) {
            (true, false) => return Err(Refused::SamePerson),
            (true, true) if given.note.trim().is_empty() => return Err(Refused::NoReason),
            _ => {}
        }
        let said = format!("alone={} note={:?}", same && alone, given.note);
        let row = row(now, id, given.actor.as_str(), "clear", &said);
        let (mut steps, again) = (Vec::new(), run.stage == Stage::Off);
        let whose = By::Person(given.actor.clone());
        if again {
            let name = &self.all.get(id).ok_or(Refused::Unknown)?.spec.name;
            let text = Text::new(
                format!("{}：再次恢复未恢复的输出", name.zh),
                format!("{}: what did not return is tried again", name.en),
            );
            self.report(id, Level::Holds, &text, &mut steps);
        }
        self.turn_back(now, id, (Stage::Returning, whose, "all clear"), &BTreeSet::new(), &mut steps);
        self.settle(now, id, &mut steps);
        steps.push(self.note(vec![row]));
        Ok(steps)
    }

    /// What came of an order.
    pub fn took(&mut self, now: Now, ticket: u64, answer: Answer) -> Vec<Step> {
        let mut steps = Vec::new();
        let found = self.all.iter_mut().find_map(|(id, standing)| {
            let run = standing.run.as_mut()?;
            let slot = run.slots.iter_mut().find(|slot| slot.ticket == ticket && ticket > 0)?;
            let last = slot.take(now, answer.clone());
            Some((id.clone(), last.then(|| told(slot)), run.by.clone()))
        });
        let Some((id, said, by)) = found else { return steps };
        if let Some(said) = said {
            let row = row(now, &id, by.as_str(), "output", &said);
            steps.push(self.note(vec![row]));
        }
        self.settle(now, &id, &mut steps);
        steps
    }

    /// Whether a fire alarm is open, by its rule: what could keep people in goes back at once, and is not begun.
    pub fn fire(&mut self, now: Now, fire: Option<&RuleId>) -> Vec<Step> {
        let mut steps = Vec::new();
        let began = self.fire.is_none() && fire.is_some();
        self.fire = fire.cloned();
        let Some(rule) = fire.filter(|_| began) else { return steps };
        let on = self.all.iter().filter(|(_, s)| s.spec.kind.closes() && s.is(Stage::On));
        let on: Vec<ResponseId> = on.map(|(id, _)| id.clone()).collect();
        for id in on {
            let whose = By::Rule(rule.clone());
            self.turn_back(now, &id, (Stage::GivenBack, whose, "fire"), &BTreeSet::new(), &mut steps);
            let Some(spec) = self.all.get(&id).map(|standing| Arc::clone(&standing.spec)) else { continue };
            self.report(&id, Level::Happened, &because_of_fire(&spec), &mut steps);
            let row = row(now, &id, "gateway", "given_back", &format!("why=fire rule={rule}"));
            steps.push(self.note(vec![row]));
            self.settle(now, &id, &mut steps);
        }
        self.free(&mut steps);
        steps
    }

    /// Whether a drill is running: with it ends what is practised.
    pub fn drill(&mut self, now: Now, running: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        let ended = std::mem::replace(&mut self.drilling, running) && !running;
        let practised = |standing: &Standing| {
            let run = standing.run.as_ref();
            run.is_some_and(|run| run.drill && matches!(run.stage, Stage::On | Stage::GivenBack))
        };
        let ids = self.all.iter().filter(|(_, standing)| ended && practised(standing));
        let ids: Vec<ResponseId> = ids.map(|(id, _)| id.clone()).collect();
        for id in ids {
            let whose = By::Person(Actor::gateway());
            self.turn_back(
                now,
                &id,
                (Stage::Returning, whose, "the drill is over"),
                &BTreeSet::new(),
                &mut steps,
            );
            steps.push(self.note(vec![row(now, &id, "gateway", "clear", "why=drill")]));
            self.settle(now, &id, &mut steps);
        }
        steps
    }

    /// Time has passed.
    pub fn expire(&mut self, now: Now) -> Vec<Step> {
        let mut steps = Vec::new();
        let ids: Vec<ResponseId> = self.all.keys().cloned().collect();
        for id in ids {
            let held = self.held(Some(&id));
            let Some(standing) = self.all.get_mut(&id) else { continue };
            standing.prepared.take_if(|prepared| prepared.until <= now.mono);
            let Some(run) = &mut standing.run else { continue };
            let mut rows = Vec::new();
            let mut back = Vec::new();
            for slot in run.slots.iter_mut().filter(|slot| slot.due.is_some_and(|due| due <= now.mono)) {
                match slot.state {
                    // What is to go back is not left to chance.
                    State::Waiting if slot.goal == Goal::Back => {
                        let why = Text::new("没有回应", "no answer");
                        if !slot.take(now, Answer::Later { why, wait: None }) {
                            continue;
                        }
                    }
                    // An answer that comes late still counts.
                    State::Waiting => (slot.state, slot.due) = (State::NoAnswer, None),
                    State::Done => {
                        (slot.state, slot.due) = (State::ByItself, None);
                        back.push(slot.output.name.clone());
                    }
                    _ => continue,
                }
                rows.push(row(now, &id, "gateway", "output", &told(slot)));
            }
            let tell = !back.is_empty() && !run.told_back;
            run.told_back |= tell;
            run.again(now, &standing.spec, &held, (&mut self.ticket, &mut steps));
            let name = standing.spec.name.clone();
            if tell {
                let text = Text::new(
                    format!("{}：输出到达最长时间，已自动恢复：{}", name.zh, back.join("、")),
                    format!(
                        "{}: outputs went back by themselves, their longest time is over: {}",
                        name.en,
                        back.join(", ")
                    ),
                );
                self.report(&id, Level::Happened, &text, &mut steps);
            }
            if !rows.is_empty() {
                steps.push(self.note(rows));
            }
            self.settle(now, &id, &mut steps);
        }
        steps
    }

    /// When [`Responses::expire`] wants to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let prepared = self.all.values().filter_map(|standing| Some(standing.prepared.as_ref()?.until));
        let slots = self.all.values().filter_map(|standing| standing.run.as_ref()).flat_map(|run| &run.slots);
        prepared.chain(slots.filter_map(|slot| slot.due)).min()
    }

    /// Every response as it stands.
    #[must_use]
    pub fn views(&self) -> Vec<View> {
        let view = |standing: &Standing| {
            let run = standing.run.as_ref();
            let outputs =
                |run: &Run| run.slots.iter().map(|slot| (slot.output.clone(), slot.state.clone())).collect();
            View {
                spec: Arc::clone(&standing.spec),
                stage: run.map_or(Stage::Off, |run| run.stage),
                prepared_by: standing.prepared.as_ref().map(|prepared| prepared.by.clone()),
                begun: run.map(|run| (run.by.clone(), run.at)),
                drill: run.is_some_and(|run| run.drill),
                outputs: run.map(outputs).unwrap_or_default(),
            }
        };
        self.all.values().map(view).collect()
    }

    fn may_begin(&self, id: &ResponseId, drill: bool) -> Result<(), Refused> {
        let wanted = self.all.get(id).filter(|standing| !standing.gone).ok_or(Refused::Unknown)?;
        let spec = &wanted.spec;
        if spec.kind.closes() && self.fire.is_some() {
            return Err(Refused::Fire);
        }
        let others = self.all.iter().filter(|(other, _)| *other != id);
        let on = |standing: &Standing| standing.is(Stage::On) || standing.is(Stage::GivenBack);
        let in_earnest = |standing: &Standing| standing.run.as_ref().is_some_and(|run| !run.drill);
        if drill && !self.drilling {
            return Err(Refused::NoDrill);
        }
        let over = |standing: &Standing| standing.is(Stage::Off);
        if drill && self.all.values().any(|standing| in_earnest(standing) && !over(standing)) {
            return Err(Refused::InEarnest);
        }
        if !spec.kind.closes() {
            return Ok(());
        }
        // A drill makes way for what is in earnest.
        let stay = others.map(|(_, other)| other).filter(|other| on(other) && (drill || in_earnest(other)));
        for other in stay {
            if !other.spec.kind.closes() {
                return Err(Refused::Evacuating);
            }
            let theirs = other.run.iter().flat_map(|run| &run.slots).filter_map(Slot::control);
            let theirs: BTreeSet<&ControlId> = theirs.collect();
            if let Some(output) =
                spec.outputs.iter().find(|o| o.does.control().is_some_and(|control| theirs.contains(control)))
                && other.is(Stage::On)
            {
                return Err(Refused::InUse { by: other.spec.name.clone(), output: output.name.clone() });
            }
        }
        Ok(())
    }

    /// A drill ends for what is in earnest; for an evacuation everything that could keep people in is given back.
    fn make_way(&mut self, now: Now, id: &ResponseId, drill: bool, actor: &Actor, steps: &mut Vec<Step>) {
        let Some(spec) = self.all.get(id).map(|standing| Arc::clone(&standing.spec)) else { return };
        let wants: BTreeSet<ControlId> =
            spec.outputs.iter().filter_map(|output| output.does.control()).cloned().collect();
        let ids: Vec<ResponseId> = self.all.keys().filter(|other| *other != id).cloned().collect();
        for other in ids {
            let Some((its, run)) = self.all.get(&other).and_then(|s| Some((&s.spec, s.run.as_ref()?))) else {
                continue;
            };
            let (closes, its) = (its.kind.closes(), Arc::clone(its));
            let stage = match run.stage {
                Stage::On | Stage::GivenBack if run.drill && !drill => Stage::Returning,
                Stage::On if !spec.kind.closes() && closes => Stage::GivenBack,
                _ => continue,
            };
            let whose = By::Person(actor.clone());
            self.turn_back(now, &other, (stage, whose, "it makes way"), &wants, steps);
            if stage == Stage::GivenBack {
                let text = Text::new(
                    format!("{}：因疏散，全部控制输出恢复到静止值", its.name.zh),
                    format!("{}: everybody must out, so all it had switched goes back to rest", its.name.en),
                );
                self.report(&other, Level::Happened, &text, steps);
            }
            let why = format!("why={id}");
            let row = row(now, &other, actor.as_str(), "made_way", &why);
            steps.push(self.note(vec![row]));
            self.settle(now, &other, steps);
        }
    }

    fn begin(&mut self, now: Now, id: &ResponseId, drill: bool, actor: &Actor, steps: &mut Vec<Step>) {
        let Some(standing) = self.all.get_mut(id) else { return };
        let spec = Arc::clone(&standing.spec);
        let before = standing.run.take();
        let mut slots = slots(&spec, drill, Goal::Set);
        let (mut by, mut at, mut level) = (actor.clone(), now.wall, Level::Holds);
        if let Some(before) = before.filter(|before| before.stage != Stage::Off) {
            if before.drill == drill {
                level = Level::Happened;
            } else {
                // What was practised is over; this is another alarm.
                let ended =
                    key(&spec, before.drill).map(|key| found(key, Level::Ended, None, started(&spec)));
                steps.extend(ended.map(Step::Report));
            }
            if before.stage == Stage::On {
                if before.drill == drill {
                    (by, at, level) = (before.by, before.at, Level::Holds);
                }
                let so = |slot: &Slot| {
                    slot.goal == Goal::Set && matches!(slot.state, State::Done | State::Waiting)
                };
                for kept in before.slots.into_iter().filter(so) {
                    if let Some(slot) = slots.iter_mut().find(|slot| slot.output == kept.output) {
                        *slot = kept;
                    }
                }
            }
        }
        let (whose, reason) = (By::Person(actor.clone()), reason(&spec, "begun"));
        let (told, told_back) = (false, false);
        let mut run = Run { by, at, drill, stage: Stage::On, slots, whose, reason, told, told_back };
        let pick = |slot: &Slot| slot.state == State::Waiting && slot.ticket == 0;
        run.order(now, &spec, (Goal::Set, pick), (&mut self.ticket, &mut *steps));
        standing.run = Some(run);
        self.report(id, level, &started(&spec), steps);
    }

    /// What may be set goes back, but not what another one that is on holds, or one that begins wants.
    fn turn_back(
        &mut self,
        now: Now,
        id: &ResponseId,
        (stage, whose, why): (Stage, By, &str),
        wanted: &BTreeSet<ControlId>,
        steps: &mut Vec<Step>,
    ) {
        let mut held = self.held(Some(id));
        held.extend(wanted.iter().cloned());
        let Some(standing) = self.all.get_mut(id) else { return };
        let spec = Arc::clone(&standing.spec);
        let Some(run) = &mut standing.run else { return };
        (run.stage, run.whose, run.reason) = (stage, whose, reason(&spec, why));
        for slot in &mut run.slots {
            // Held by another, or never switched at all.
            if slot.control().is_some_and(|control| held.contains(control)) || !slot.may_be_set() {
                slot.leave_out();
            }
        }
        let all = stage == Stage::Returning;
        let pick = |slot: &Slot| {
            let there = slot.goal == Goal::Back && slot.state == State::Done;
            slot.state != State::LeftOut && !there && (all || slot.control().is_some())
        };
        run.order(now, &spec, (Goal::Back, pick), (&mut self.ticket, &mut *steps));
    }

    /// The controls that responses hold that are on.
    fn held(&self, but: Option<&ResponseId>) -> BTreeSet<ControlId> {
        let others =
            self.all.iter().filter(|(other, standing)| Some(*other) != but && standing.is(Stage::On));
        let slots = others.filter_map(|(_, standing)| standing.run.as_ref()).flat_map(|run| &run.slots);
        slots.filter(|slot| slot.state != State::LeftOut).filter_map(Slot::control).cloned().collect()
    }

    /// While there is fire nothing that could lock is away from rest, whoever switched it; what an evacuation switches on
    /// is left to it.
    pub(super) fn free(&self, steps: &mut Vec<Step>) {
        let Some(rule) = &self.fire else { return };
        let specs = || self.all.values().map(|standing| &standing.spec);
        let outputs = |closes: bool| {
            let specs = specs().filter(move |spec| spec.kind.closes() == closes);
            specs.flat_map(|spec| &spec.outputs).map(|output| &output.does)
        };
        let mut done: BTreeSet<ControlId> = outputs(false).filter_map(Does::away).cloned().collect();
        done.extend(steps.iter().filter_map(|step| match step {
            Step::Switch { control, .. } => Some(control.clone()),
            _ => None,
        }));
        for does in outputs(true).filter(|does| does.away().is_some()) {
            if let Does::Switch { control, rest: Some(rest), .. } = does
                && done.insert(control.clone())
            {
                steps.push(Step::Switch {
                    ticket: 0,
                    control: control.clone(),
                    value: *rest,
                    by: By::Rule(rule.clone()),
                    reason: "fire".to_owned(),
                });
            }
        }
    }

    /// Tells once what came of the outputs ordered last, and ends what has returned.
    pub(super) fn settle(&mut self, now: Now, id: &ResponseId, steps: &mut Vec<Step>) {
        let Some(standing) = self.all.get_mut(id) else { return };
        let name = standing.spec.name.clone();
        let Some(run) = standing.run.as_mut().filter(|run| !run.told && run.known()) else { return };
        run.told = true;
        let (over, failing) = (run.stage == Stage::Returning, run.failing());
        let done = run.slots.iter().filter(|slot| slot.state == State::Done).count();
        let said = format!("done={done} failed={}", failing.len());
        let text = (!failing.is_empty()).then(|| {
            let (zh, en) = if over { ("未能恢复", "did not return") } else { ("未成功", "failed") };
            Text::new(
                format!("{}：以下输出{zh}：{}", name.zh, failing.join("、")),
                format!("{}: these outputs {en}: {}", name.en, failing.join(", ")),
            )
        });
        let by = run.by.clone();
        if let Some(text) = &text {
            self.report(id, Level::Happened, text, steps);
        }
        if over {
            self.report(id, Level::Ended, &name, steps);
            if let Some(run) = self.all.get_mut(id).and_then(|standing| standing.run.as_mut()) {
                run.stage = Stage::Off;
            }
        }
        let word = if over { "over" } else { "finished" };
        let row = row(now, id, by.as_str(), word, &said);
        steps.push(self.note(vec![row]));
    }

    pub(super) fn report(&self, id: &ResponseId, level: Level, what: &Text, steps: &mut Vec<Step>) {
        let Some(standing) = self.all.get(id) else { return };
        let Some(run) = &standing.run else { return };
        let what = if run.drill { drill::marked(what) } else { what.clone() };
        let Some(key) = key(&standing.spec, run.drill) else { return };
        steps.push(Step::Report(found(key, level, standing.spec.place.clone(), what)));
    }

    pub(super) fn note(&self, rows: Vec<Audit>) -> Step {
        let noted = |(id, standing): (&ResponseId, &Standing)| {
            let (run, spec) = (standing.run.as_ref()?, &standing.spec);
            let switched = run.slots.iter().filter_map(|slot| match &slot.output.does {
                Does::Switch { control, rest: Some(rest), .. } if slot.state != State::LeftOut => {
                    Some((control.clone(), *rest))
                }
                _ => None,
            });
            Some(Noted {
                id: id.clone(),
                kind: spec.kind,
                silent: spec.silent,
                by: run.by.clone(),
                at: run.at,
                drill: run.drill,
                stage: Word::of(run.stage)?,
                switched: switched.collect(),
            })
        };
        let noted: Vec<Noted> = self.all.iter().filter_map(noted).collect();
        Step::Note(memory::text(&noted), rows)
    }
}

/// Its outputs, before anything is ordered; what is not for drills is left out of them.
pub(super) fn slots(spec: &Response, drill: bool, goal: Goal) -> Vec<Slot> {
    let slot = |output: &Output| {
        let mut slot = Slot::new(output.clone(), goal);
        if drill && !output.drills {
            slot.leave_out();
        }
        slot
    };
    spec.outputs.iter().map(slot).collect()
}

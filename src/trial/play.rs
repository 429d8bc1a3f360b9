//! Runs a case through the pipeline and compares what happened with what was expected.

use super::case::{Case, Expected};
use crate::model::{AlarmChange, ChangeKind, Delivery, DeviceId, Input, PeopleChange, Priority, Text, Wall};
use crate::pipeline::{Player, Remembered, Settings};
use crate::rules::{Engine, Rule, World};
use std::sync::Arc;

/// Something that happened to an alarm of the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// When.
    pub at: Wall,
    /// It was raised or came back; else it ended.
    pub raised: bool,
    /// Of what; persons by the names that the case gives them.
    pub subject: String,
    /// How soon to act.
    pub priority: Priority,
    /// What it said.
    pub what: Text,
}

/// What came of a case.
#[derive(Debug, Default)]
pub struct Outcome {
    /// As expected, in order.
    pub fits: Vec<Happened>,
    /// Expected and did not come.
    pub missing: Vec<Expected>,
    /// Came and was not expected.
    pub surplus: Vec<Happened>,
}

impl Outcome {
    /// Whether all is as expected.
    #[must_use]
    pub fn good(&self) -> bool {
        self.missing.is_empty() && self.surplus.is_empty()
    }
}

/// Runs a case with the rule it is about, made for this world.
#[must_use]
pub fn play(case: &Case, rule: Option<Box<dyn Rule>>, world: Arc<World>, aggregate_secs: u32) -> Outcome {
    #[expect(clippy::expect_used, reason = "the text is an id")]
    let gateway = DeviceId::new("gateway").expect("an id");
    let settings = Settings {
        gateway,
        aggregate_secs,
        destinations: Vec::new(),
        campus: Default::default(),
        alarms: Default::default(),
        areas: Vec::new(),
    };
    let engine = Engine::new(rule.into_iter().collect());
    let remembered = Remembered { next_alarm: 1, next_seq: 1, ..Remembered::default() };
    let mut player = Player::start(case.start, settings, world, engine, remembered);
    let mut changes = Vec::new();
    let mut note = |change: &AlarmChange| changes.push(change.clone());
    if !case.people.is_empty() {
        let put = Input::People(PeopleChange::Put(case.people.clone()));
        player.take([Delivery { bus: None, key: None, inputs: vec![put] }], &mut note);
    }
    for together in case.steps.chunk_by(|a, b| a.at == b.at) {
        let Some(first) = together.first() else { continue };
        player.until(first.at, &mut note);
        let inputs = together.iter().map(|step| Input::Observed(step.seen.clone())).collect();
        player.take([Delivery { bus: None, key: None, inputs }], &mut note);
    }
    player.until(case.until, &mut note);
    compare(case, changes.iter().filter_map(|change| happened(case, change)))
}

/// What a change says of the rule's alarms.
fn happened(case: &Case, change: &AlarmChange) -> Option<Happened> {
    let raised = match change.kind {
        ChangeKind::Raised | ChangeKind::Recurred => true,
        ChangeKind::Cleared => false,
        _ => return None,
    };
    let alarm = &change.alarm;
    let mut subject = alarm.key.subject.clone();
    for (name, who) in &case.names {
        subject = subject.replace(who.as_str(), name);
    }
    Some(Happened { at: change.at, raised, subject, priority: alarm.priority, what: alarm.what.clone() })
}

/// Each expectation takes the first that fits it and was not taken.
fn compare(case: &Case, all: impl Iterator<Item = Happened>) -> Outcome {
    let mut outcome = Outcome { surplus: all.collect(), ..Outcome::default() };
    for expected in &case.expected {
        match outcome.surplus.iter().position(|happened| expected.fits(happened)) {
            Some(at) => outcome.fits.push(outcome.surplus.remove(at)),
            None => outcome.missing.push(expected.clone()),
        }
    }
    outcome
}

impl Expected {
    fn fits(&self, happened: &Happened) -> bool {
        let said = |text: &String| happened.what.zh.contains(text) || happened.what.en.contains(text);
        self.raised == happened.raised
            && self.subject == happened.subject
            && happened.at.since(self.at).saturating_abs() <= self.within_ms
            && self.contains.as_ref().is_none_or(said)
            && self.priority.is_none_or(|priority| priority == happened.priority)
    }
}

//! `[[rule]]`: the id and kind are read here, the rest by the kind itself.

use super::names::Names;
use crate::document::{Problems, Reader, Spot};
use crate::model::RuleId;
use crate::rules::{RULE_KINDS, Rule, RuleKind, World};
use std::collections::BTreeSet;

/// Rules with such ids are always on and cannot be written.
const RESERVED: &str = "always.";

/// Reads every rule.
pub(super) fn rules(readers: Vec<Reader<'_>>, names: &mut Names, world: &World) -> Vec<Box<dyn Rule>> {
    let kinds: Vec<(&str, &RuleKind)> = RULE_KINDS.iter().map(|kind| (kind.name, kind)).collect();
    let mut rules = Vec::new();
    for reader in readers {
        let id = names.declare(&reader, RuleId::new);
        if id.as_ref().is_some_and(|id| id.as_str().starts_with(RESERVED)) {
            reader.problem(
                "id",
                format!("ids that begin with '{RESERVED}' belong to the rules that are always on"),
                "write another id; rules that are always on need not be written",
            );
        }
        let Some(kind) = reader.word("kind", &kinds) else { continue };
        // A rule whose id is wrong is still read, so that all its problems are told at once.
        let placeholder = || RuleId::new("unnamed").ok();
        if let Some(rule) = id.or_else(placeholder).and_then(|id| (kind.parse)(&reader, &id, world)) {
            rules.push(rule);
        }
        reader.finish();
    }
    rules
}

/// What cannot be judged because something else is broken and told already.
#[derive(Debug, Default)]
pub(super) struct Undecided {
    /// Devices and places with problems: a rule that names one is not to blame.
    pub(super) ids: BTreeSet<String>,
    /// Where rules choose by class or place, while some device may have any class.
    pub(super) choices: BTreeSet<Spot>,
}

impl Undecided {
    /// Notes where the rules choose by class, or by a place that exists.
    pub(super) fn note_choices(&mut self, rules: &[Reader<'_>], places: &Names) {
        for reader in rules {
            for key in reader.keys().filter(|key| matches!(*key, "class" | "place")) {
                let spot = reader.spot(key);
                if key == "class" || places.has(spot.text.trim_matches('"')) {
                    self.choices.insert(spot);
                }
            }
        }
    }

    /// Passes on the problems of rules that can be judged.
    pub(super) fn pass_on(&self, from: Problems, to: &Problems) {
        for problem in from.into_sorted() {
            let named = self.ids.contains(problem.spot.text.trim_matches('"'));
            if !named && !self.choices.contains(&problem.spot) {
                to.add(problem);
            }
        }
    }
}

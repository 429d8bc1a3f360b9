//! `[[rule]]`: the id and kind are read here, the rest by the kind itself.

use super::names::Names;
use crate::document::{Problems, Reader};
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

/// Passes on the problems of rules, except those that only say that a broken device or place is unknown.
pub(super) fn pass_on(from: Problems, broken: &BTreeSet<String>, to: &Problems) {
    for problem in from.into_sorted() {
        if !broken.contains(problem.spot.text.trim_matches('"')) {
            to.add(problem);
        }
    }
}

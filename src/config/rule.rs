//! `[[rule]]`: the id and kind are read here, the rest by the kind itself.

use super::WrittenRule;
use super::ground::Drawing;
use super::names::Names;
use crate::alarm::DRILL_RULES;
use crate::document::{Problem, Problems, Reader, Spot};
use crate::model::alarm::RESPONSE_RULES;
use crate::model::{PlaceId, RuleId, Text};
use crate::rules::{RULE_KINDS, Rule, RuleKind, Watch, World, says};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Rules with such ids are always on and cannot be written; what the others find is of a drill or of a response.
const RESERVED: [(&str, (&str, &str)); 3] = [
    ("always.", ("始终启用的规则", "the rules that are always on")),
    (DRILL_RULES, ("演练报警", "alarms of drills")),
    (RESPONSE_RULES, ("应急响应", "responses")),
];

/// Reads every rule.
pub(super) fn rules(
    readers: Vec<Reader<'_>>,
    names: &mut Names,
    world: &World,
    drawing: &mut Drawing,
) -> Vec<Box<dyn Rule>> {
    let kinds: Vec<(&str, &RuleKind)> = RULE_KINDS.iter().map(|kind| (kind.name, kind)).collect();
    let mut rules = Vec::new();
    for reader in readers {
        let id = names.declare(&reader, RuleId::new);
        let reserved = |id: &RuleId| RESERVED.into_iter().find(|(prefix, _)| id.as_str().starts_with(prefix));
        if let Some((prefix, (zh, en))) = id.as_ref().and_then(reserved) {
            let message = (
                format!("以 '{prefix}' 开头的编号留给{zh}"),
                format!("ids that begin with '{prefix}' belong to {en}"),
            );
            let advice = ("换一个编号；那些不用写", "write another id; these need not be written");
            reader.problem("id", message, advice);
        }
        drawing.rule(&reader);
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

/// Rules that can never raise an alarm, and rules that say the same as another.
pub(super) fn cautions(readers: Vec<Reader<'_>>, rules: &[Box<dyn Rule>]) -> Vec<Problem> {
    let mut cautions = Vec::new();
    let mut before: BTreeMap<String, String> = BTreeMap::new();
    for reader in readers {
        let Some(id) = reader.text_opt("id") else { continue };
        let spot = reader.spot("id");
        if let Some(why) = rules.iter().find(|rule| rule.id().as_str() == id).and_then(|rule| rule.never()) {
            cautions.push(Problem {
                spot: spot.clone(),
                message: Text::new(
                    format!("规则 '{id}' 永远不会报警：{}", why.zh),
                    format!("the rule '{id}' can never raise an alarm: {}", why.en),
                ),
                advice: Text::new(
                    "改规则、校历或设备的采集间隔，或删去这条规则",
                    "change the rule, the calendar or how often its devices are read, or take it out",
                ),
            });
        }
        match before.entry(reader.written_without(&["id", "steps"])) {
            Entry::Occupied(first) => cautions.push(Problem {
                spot,
                message: Text::new(
                    format!("规则 '{id}' 与 '{}' 相同", first.get()),
                    format!("the rule '{id}' says the same as '{}'", first.get()),
                ),
                advice: Text::new(
                    "留下一条：否则各自报警",
                    "keep one of them: each would raise an alarm of its own",
                ),
            }),
            Entry::Vacant(new) => drop(new.insert(id)),
        }
    }
    cautions
}

/// The rules as they were written, for those who look at them.
pub(super) fn written(readers: Vec<Reader<'_>>, rules: &[Box<dyn Rule>], world: &World) -> Vec<WrittenRule> {
    let written = |reader: Reader<'_>| {
        let id = reader.text_opt("id")?;
        let rule = rules.iter().find(|rule| rule.id().as_str() == id)?;
        let kind = reader.text_opt("kind")?;
        let kind = RULE_KINDS.iter().find(|known| known.name == kind)?;
        let header = rule.header()?;
        Some(WrittenRule {
            id: rule.id().clone(),
            kind,
            spot: reader.spot("id"),
            class: header.class,
            priority: header.priority,
            devices: match rule.watches() {
                Watch::All => None,
                Watch::Devices(devices) => Some(devices),
            },
            points: if rule.points().is_empty() { rule.periods() } else { rule.points() },
            place: reader.text_opt("place").and_then(|place| PlaceId::new(&place).ok()),
            says: says(&reader, kind, world),
            never: rule.never(),
        })
    };
    readers.into_iter().filter_map(written).collect()
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

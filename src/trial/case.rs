//! `[[case]]`: what is observed, and which alarms are expected of one rule.

use super::given::{self, Step};
use super::span::{MOMENT, SPAN, local, moment, span_ms};
use crate::calendar::Calendar;
use crate::document::{Document, Problems, Reader, Spot, one_of};
use crate::model::{Person, PersonRef, Priority, RuleId, Wall};
use crate::rules::World;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;

/// How far from its time an alarm may be unless the case says otherwise, milliseconds.
const WITHIN_MS: i64 = 1000;

/// One case.
#[derive(Debug)]
pub struct Case {
    /// What it shows, in words.
    pub name: String,
    /// The rule it is about; no other runs.
    pub rule: RuleId,
    /// Where it stands.
    pub spot: Spot,
    /// When it begins: the gateway has just started.
    pub start: Wall,
    /// When it is over.
    pub until: Wall,
    /// A calendar of its own.
    pub calendar: Option<Calendar>,
    /// What must happen, and nothing else may.
    pub expected: Vec<Expected>,
    /// What arrives, in order.
    pub(super) steps: Vec<Step>,
    /// Whom the school knows.
    pub(super) people: Vec<(PersonRef, Person)>,
    /// The names by which the case speaks of persons.
    pub(super) names: BTreeMap<String, PersonRef>,
}

/// An alarm that must be raised, or must end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// When.
    pub at: Wall,
    /// How far from that it may be, milliseconds.
    pub within_ms: i64,
    /// It is raised or comes back; else it ends.
    pub raised: bool,
    /// Of what: the alarm's subject.
    pub subject: String,
    /// What its text holds, in either language.
    pub contains: Option<String>,
    /// Its priority.
    pub priority: Option<Priority>,
}

/// Reads every `[[case]]` of a file; what is wrong is noted.
#[must_use]
pub fn cases(
    (file, text): (&str, &str),
    rules: &[&str],
    world: &World,
    zone: &TimeZone,
    problems: &Problems,
) -> Vec<Case> {
    let document = Document::parse(file, text, problems);
    let root = document.reader(problems);
    let tables = root.tables("case");
    if tables.is_empty() && !root.has("rule") {
        problems.at(
            &root.here(),
            ("这个文件里没有用例", "this file has no case"),
            ("加一行 `[[case]]`，它的键写在下面", "add a line `[[case]]` and its keys below it"),
        );
    }
    // What else stands in a file with rules is told where rules are read.
    if !root.has("rule") {
        root.finish();
    }
    tables.into_iter().filter_map(|table| case(table, rules, world, zone)).collect()
}

fn case(reader: Reader<'_>, rules: &[&str], world: &World, zone: &TimeZone) -> Option<Case> {
    let before = reader.problems().len();
    let spot = reader.here();
    let advice = ("要试的规则的编号", "the id of the rule that is tried");
    let rule = reader.parsed("rule", advice, RuleId::new);
    if let Some(rule) = &rule
        && !rules.contains(&rule.as_str())
    {
        let message = (format!("没有规则 '{rule}'"), format!("there is no rule '{rule}'"));
        reader.problem("rule", message, one_of(rule.as_str(), rules));
    }
    let name = reader.text("name").unwrap_or_default();
    let advice =
        ("写当地的日期和时刻：\"2026-10-09T12:00\"", "write a local date and time: \"2026-10-09T12:00\"");
    let start = reader.parsed("start", advice, |t| local(t, zone));
    let until_written =
        start.and_then(|start| reader.parsed_opt("until", MOMENT, |t| moment(t, start, zone)));
    let calendar = reader.table_opt("calendar").and_then(|table| {
        let calendar = Calendar::parse(&table, zone);
        table.finish();
        calendar
    });
    let known = start.map(|start| given::steps(&reader, start, world, zone));
    if !reader.has("expect") {
        reader.problems().at(
            &spot,
            ("这个用例没有写期望什么", "this case expects nothing and does not say so"),
            (
                "加上 expect = [{ at = \"+10m\", raise = \"…\" }]；不应报警的写 expect = []",
                "add expect = [{ at = \"+10m\", raise = \"…\" }], or expect = [] where no alarm may come",
            ),
        );
    }
    let mut expected = Vec::new();
    for entry in reader.tables("expect") {
        expected.extend(start.and_then(|start| expect(&entry, start, zone)));
        entry.finish();
    }
    expected.sort_by_key(|expected| expected.at);
    let problems = reader.problems();
    reader.finish();
    let (rule, start, known) = (rule?, start?, known?);
    let last = known.steps.iter().map(|step| step.at);
    let last = last.chain(expected.iter().map(|e| e.at.plus_ms(e.within_ms))).max().unwrap_or(start);
    let until = until_written.unwrap_or(last);
    if until < last {
        problems.at(
            &spot,
            (
                "用例在它给出或期望的最后一件事之前就结束了",
                "this case is over before the last that it gives or expects",
            ),
            ("不写 `until`，或写晚些", "leave `until` out, or write a later moment"),
        );
    }
    let given::Known { steps, people, names } = known;
    (problems.len() == before).then_some(Case {
        name,
        rule,
        spot,
        start,
        until,
        calendar,
        expected,
        steps,
        people,
        names,
    })
}

fn expect(entry: &Reader<'_>, start: Wall, zone: &TimeZone) -> Option<Expected> {
    let at = entry.parsed("at", MOMENT, |t| moment(t, start, zone));
    let within_ms = entry.parsed_opt("within", SPAN, span_ms).unwrap_or(WITHIN_MS);
    let (raise, end) = (entry.text_opt("raise"), entry.text_opt("end"));
    let contains = entry.text_opt("contains");
    let priorities: Vec<_> = Priority::ALL.iter().map(|p| (p.as_str(), *p)).collect();
    let priority = entry.word_opt("priority", &priorities);
    let (raised, subject) = match (raise, end) {
        (Some(subject), None) => (true, subject),
        (None, Some(subject)) => (false, subject),
        _ => {
            entry.problems().at(
                &entry.here(),
                (
                    "一项期望要么是一个报警产生，要么是一个报警结束",
                    "an expectation is of one alarm that is raised, or of one that ends",
                ),
                (
                    "写 raise = \"…\" 或 end = \"…\"，值是报警的设备或地点",
                    "write raise = \"…\" or end = \"…\" with the device or place of the alarm",
                ),
            );
            return None;
        }
    };
    Some(Expected { at: at?, within_ms, raised, subject, contains, priority })
}

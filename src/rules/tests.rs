//! Every entry of the table has a working example, and `docs/rules.md` is made of the table.

use super::testing::{parse, world};
use super::{RULE_KINDS, always};
use crate::calendar;
use std::collections::BTreeSet;
use std::path::Path;

fn example(kind: &super::RuleKind) -> String {
    format!("[[rule]]\nid = \"my-rule\"\nkind = \"{}\"\n{}", kind.name, kind.example)
}

#[test]
fn every_example_works_and_every_name_is_used_once() {
    let mut names = BTreeSet::new();
    for kind in RULE_KINDS {
        assert!(names.insert(kind.name), "{} is there twice", kind.name);
        assert!(!kind.doc.is_empty() && !kind.doc.contains('\n'), "{}", kind.name);
        let rules = parse(&example(kind), &world()).unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0].id().as_str(), "my-rule");
    }
    assert_eq!(always(&world()).len(), 5);
}

fn page() -> String {
    let mut page = String::from(HEAD);
    for kind in RULE_KINDS {
        page += &format!("\n## `{}`\n\n{}\n\n```toml\n{}```\n", kind.name, kind.doc, example(kind));
    }
    page + TAIL + "\n```toml\n" + calendar::EXAMPLE + "```\n"
}

const HEAD: &str = r#"# Rules

<!-- Made from the table of rule kinds; `BLESS=1 cargo test --lib rules::` writes it anew. -->

A rule says what is worth an alarm. Each is one `[[rule]]` with an `id` of its own and a `kind`; `schoolgate check`
tells what is wrong with it. A rule reports whether its condition holds for a device; the alarm's life (acknowledged,
cleared, latched) is not its business. After a restart a rule decides anew by what it sees; what rules of consumption
compare with is read from the store first: roll-ups as they were closed for the last 3 days, by the hour for the last 60,
by the day before that. These rules judge closed periods, so an alarm of them comes with the end of its period.

`alarm_class` is what the alarm is about (`help`, `fire`, `intrusion`, `security`, `energy`, `environment`,
`equipment`; the first three stay until a person resets them), `priority` how soon to act (`critical`, `high`,
`medium`, `low`).

## Which devices

Either `devices = ["meter-1", "meter-2"]`, or `class = "energy-meter"` (the class of the device's profile) and/or
`place = "building-1"`, which includes every place below it. A rule that chooses no device is refused, and so is one
that chooses a device without the point or event that the rule is about.

## Which calendar

Rules that ask for teaching time, examinations, nights or days take the calendar named by `calendar = "main"` or
`calendar = "dormitory"` ([calendar.md](calendar.md)). Unless it is told, it is the calendar that holds at the places of
the rule's devices (or of its zone) if that is one and the same, else the main one.

## Always on

`always.help`, `always.duress`, `always.fire` and `always.smoke` need no `[[rule]]` and cannot be switched off: each help,
duress, fire or smoke event of any device raises a critical alarm, whatever the clocks say. A help press that a broker
retained is not raised a second time. Smoke of a detector that is behind no fire panel is an alarm of the class `fire`.
An alarm of `always.duress` (somebody opened under threat) is silent: the API gives it with `"silent": true`, and nothing
may sound or show at that door.

`always.calendar` is there where a calendar has terms: a low alarm from 30 days before the last of them ends, and another
in its place once it is over, until the gateway starts with a newer calendar. It has no device.

`always.bus` is always on, too: when no device of a bus with two or more answers, that is one alarm of the bus, and alarms
that hold only because nothing is heard of its devices are listed under it. `always.uplink` says the same of platforms.

## Zones

Rules with a `zone` name a place that has `counts = true`; they watch the readers that lead into it and out of it
([campus.md](campus.md)).
"#;

const TAIL: &str = r#"
# Calendar

`[calendar]` says when teaching time is, in the school's time zone. A day's bells ring when it lies in a term and is
no holiday; a make-up workday in a term rings the bells of the weekday it stands for. More, and how to take the holidays
from a file: [calendar.md](calendar.md).
"#;

#[test]
fn the_page_is_made_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, page()).expect("docs/ can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page(), "docs/rules.md is behind the table: run BLESS=1 cargo test --lib rules::");
}

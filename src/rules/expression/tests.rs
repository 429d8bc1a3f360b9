//! Values, hours of school, what is missing, slips, and any text at all.

use super::{Formula, Sort, Value};
use crate::model::{Fault, Link};
use crate::rules::testing::{Dice, Player, local, one_slip, parse, world};
use std::collections::BTreeMap;
use std::time::Duration;

/// A rule over both meters in watts.
fn rule(when: &str) -> String {
    format!("devices = [\"m1\", \"m2\"]\nwhen = {when:?}\n")
}

#[test]
fn a_value_and_the_bell() {
    let body = rule("power_total > 2000 && !teaching") + "for_secs = 600\ntext = \"夜间用电\"\n";
    let mut player = Player::at("2026-10-09T17:00", "expression", &body);
    assert_eq!(
        player.power("m1", 3000.0).said(),
        ["m1 ended", "m2 ended"],
        "teaching decides without a value"
    );
    assert!(player.wait_ms(40 * 60_000 - 1).said().is_empty());
    player.wait_ms(1);
    assert_eq!(player.findings[0].what.zh, "1号楼 / 2层 / 201 1号电表: 夜间用电，有功功率 3000 W");
    assert_eq!(player.said(), ["m1 holds"], "17:40 to the millisecond");
    player.wait_ms((14 * 60 + 20) * 60_000 - 1);
    assert!(player.said().is_empty());
    // Saturday has no bells; on Monday they ring.
    assert!(player.wait(2 * 24 * 3600).said().is_empty());
    assert_eq!(player.wait_ms(1).said(), ["m1 ended"]);
}

#[test]
fn a_late_call_decides_in_the_order_in_which_things_were_due() {
    let body = rule("power_total > 2000 && !teaching") + "for_secs = 600\n";
    let mut player = Player::at("2026-10-12T07:49:59", "expression", &body);
    player.power("m1", 3000.0).wait(595).stall(10).wait_ms(0);
    assert_eq!(player.said(), ["m1 holds", "m1 ended", "m2 ended"], "due at 07:59:59, the bell at 08:00");
    let mut player = Player::at("2026-10-12T07:50:01", "expression", &body);
    player.power("m1", 3000.0).wait(595).stall(10).wait_ms(0);
    assert_eq!(player.said(), ["m1 ended", "m2 ended"], "the bell at 08:00, due at 08:00:01");
}

#[test]
fn hours_days_and_who_it_is() {
    for (when, start, holds) in [
        ("hour >= 22 || hour < 6", "2026-10-09T22:00", true),
        ("hour >= 22 || hour < 6", "2026-10-09T21:59", false),
        ("hour >= 22 || hour < 6", "2026-12-31T23:59", true),
        ("hour >= 22 || hour < 6", "2027-01-01T00:00", true),
        ("weekday in [6, 7]", "2026-10-11T12:00", true),
        ("weekday in [6, 7]", "2026-10-12T12:00", false),
        ("curfew", "2026-10-10T05:59", true),
        ("holiday || exam", "2026-10-10T05:59", false),
        ("teaching ? power_total > 5000 : power_total > 500", "2026-10-09T12:00", false),
        ("teaching ? power_total > 5000 : power_total > 500", "2026-10-09T18:00", true),
        ("device.id == \"m1\"", "2026-10-09T12:00", true),
        ("device.place in [\"r201\", \"gate\"] && device.class != \"sensor\"", "2026-10-09T12:00", true),
        // Whole numbers and others are one sort of number.
        ("power_total / 7 * 7 == 1000 && 5 > 4.0 && 7 / 2 == 3.5 && -1 < 0", "2026-10-09T12:00", true),
        ("power_total + 1u == 1001 && 1e3 == 1000", "2026-10-09T12:00", true),
    ] {
        let body = rule(&format!("power_total > 0 && ({when})")).replace(", \"m2\"", "");
        let mut player = Player::at(start, "expression", &body);
        player.wait_ms(0).power("m1", 1000.0);
        assert_eq!(player.said(), [if holds { "m1 holds" } else { "m1 ended" }], "{when} {start}");
    }
}

#[test]
fn what_is_missing_is_not_judged() {
    let mut player = Player::at("2026-10-09T18:00", "expression", &rule("power_total > 500 && !teaching"));
    assert!(player.wait(600).said().is_empty(), "nothing was read");
    assert!(player.power("m1", f64::NAN).said().is_empty(), "an absent value");
    assert_eq!(player.power("m1", 700.0).said(), ["m1 holds"]);
    player.link("m1", Link::Down(Fault::Timeout)).wait(600);
    assert!(player.said().is_empty(), "no answer is no end");
    assert_eq!(player.power("m1", 100.0).said(), ["m1 ended"]);
    assert_eq!(player.restart().power("m1", 100.0).said(), ["m1 ended"], "a restart asks anew");

    let mut player = Player::at("1970-01-01T00:00", "expression", &rule("power_total > 500 && !teaching"));
    assert!(player.power("m1", 700.0).wait(600).said().is_empty(), "the clock is not set");
    assert_eq!(player.power("m1", 400.0).said(), ["m1 ended"], "false whatever the hour");
    player.power("m1", 700.0).set_wall(local("2026-10-10T03:00"));
    assert_eq!(player.wait(60).said(), ["m1 holds"], "set: judged from then on");
}

#[test]
fn true_for_a_while() {
    let body = rule("power_total > 500") + "for_secs = 60\n";
    let mut player = Player::of("expression", &body);
    assert_eq!(player.power("m1", 700.0).wait(59).power("m1", 400.0).said(), ["m1 ended"]);
    player.power("m1", 700.0).wait(59).power("m1", 800.0);
    assert!(player.said().is_empty());
    assert_eq!(player.wait(1).said(), ["m1 holds"], "further readings do not lengthen the wait");
    let points =
        parse(&format!("[[rule]]\nid = \"r\"\nkind = \"expression\"\n{body}"), &world()).expect("good");
    assert_eq!(points[0].points().len(), 2);
}

#[test]
fn slips_are_told_with_what_to_write() {
    for (when, expected) in [
        (
            "power_totl > 5",
            ["the profile 'acme-w' has no point 'power_totl'", "teaching, exam, curfew, holiday, hour"],
        ),
        ("device.floor == \"2\" && power_total > 1", ["no point 'device.floor'", "device.place"]),
        ("power_total > 70000", ["can never be true", "ranges"]),
        ("power_total > 5 && device.place == \"r102\"", ["can never be true", ""]),
        ("power_total >= 0", ["is always true", "ranges"]),
        ("power_total > 5 && hour > 23", ["can never be true", ""]),
        ("power_total", ["is a number, not true or false", ""]),
        ("power_total > \"5\"", ["'>' is for numbers", ""]),
        ("power_total && teaching", ["'&&' joins what is true or false", ""]),
        ("power_total == teaching", ["compares a number with a number", ""]),
        ("teaching", ["asks for no value of a device", "power_total"]),
        ("power_total >", ["this is no expression: at character", ""]),
        ("power_total > 5 and teaching", ["this is no expression", ""]),
        ("power_total ＞ 5", ["full-width", ""]),
        ("[1, 2].exists(x, x > power_total)", ["no functions and no loops", ""]),
        ("[power_total].map(x, x)", ["no functions and no loops", ""]),
        ("has(power_total.x)", ["only device", ""]),
        ("size(\"abc\") > power_total", ["'size' cannot be used here", ""]),
        ("power_total.abs() > 1", ["'abs' cannot be used here", ""]),
        ("power_total % 2 == 0", ["'%' cannot be used here", ""]),
        ("power_total in [hour]", ["plain numbers or texts", ""]),
        ("power_total in hour", ["behind 'in' stands a list", ""]),
        ("power_total == 1 ? 1 : teaching", ["on both sides of ':'", ""]),
        ("power_total > null", ["nothing else", ""]),
        ("", ["this is no expression", ""]),
    ] {
        one_slip("expression", &rule(when), &expected);
    }
    let mixed = "class = \"energy-meter\"\nwhen = \"power_total > 5\"\n";
    one_slip("expression", mixed, &["'power_total' is in", "one rule for each unit"]);
    one_slip(
        "expression",
        &(rule("power_total > 5 && exam") + "calendar = \"dorm\"\n"),
        &["there is no calendar 'dorm'"],
    );
    one_slip(
        "expression",
        &(rule("power_total > 5") + "calendar = \"main\"\n"),
        &["asks no calendar", "teaching"],
    );
    one_slip("expression", &(rule("power_total > 5") + "text = \"\"\n"), &["the text is empty"]);
}

fn known(name: &str) -> Option<Sort> {
    match name {
        "a" | "b" => Some(Sort::Number(-10.0, 10.0)),
        "t" => Some(Sort::Flag),
        "s" => Some(Sort::Text("x".into())),
        _ => None,
    }
}

#[test]
fn nesting_and_length_have_limits() {
    for (text, expected) in [
        (format!("{}a > 1{}", "(".repeat(200), ")".repeat(200)), ""),
        (format!("{}t", "!".repeat(400)), ""),
        (format!("a{} > 1", " + a".repeat(30)), "nested deeper"),
        (format!("t{}", " || t".repeat(99)), ""),
        ("a > 1 || ".repeat(60) + "t", "characters"),
        (format!("a in [{}1]", "1,".repeat(210)), "more than 200 parts"),
    ] {
        match Formula::parse(&text) {
            Err(why) => assert!(why.en.contains(expected), "{text}: {why:?}"),
            Ok(_) => assert_eq!(expected, "", "{text}"),
        }
    }
}

const TOKENS: [&str; 48] = [
    "a",
    "b",
    "t",
    "s",
    "x",
    "device",
    ".place",
    ".",
    "1",
    "2.5",
    "0",
    "1e308",
    "1e999",
    "9223372036854775808",
    "0x1F",
    "7u",
    "\"x\"",
    "'y'",
    "\"",
    "b'z'",
    "r'q'",
    "true",
    "false",
    "null",
    "+",
    "-",
    "*",
    "/",
    "%",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "&&",
    "||",
    "!",
    "?",
    ":",
    "in",
    "(",
    ")",
    "[",
    "]",
    ",",
    ".map(a, a)",
    "has(",
];

/// No text panics, takes long, or breaks the limits; and what is taken keeps its promises.
#[test]
fn any_text_at_all_is_refused_or_judged_in_time() {
    let mut dice = Dice::seeded(1);
    let (mut taken, mut judged, mut slowest) = (0_u32, 0_u32, Duration::ZERO);
    for case in 0..20_000 {
        let mut text = String::new();
        // Most short, so that some make sense; some as long as is allowed, and longer.
        let most = if case % 10 == 0 { 200 } else { 24 };
        for _ in 0..=dice.roll(most) {
            let token = TOKENS[usize::try_from(dice.roll(48)).expect("small")];
            text.push_str(token);
            if dice.roll(3) > 0 {
                text.push(' ');
            }
        }
        let begun = tokio::time::Instant::now();
        if let Ok(formula) = Formula::parse(&text) {
            taken += 1;
            let reach = formula.reach(&known);
            let values = |a: f64, b: f64, t: bool| {
                BTreeMap::from([
                    ("a", Value::Number(a)),
                    ("b", Value::Number(b)),
                    ("t", Value::Flag(t)),
                    ("s", Value::Text("x")),
                ])
            };
            for (a, b, t) in [(0.0, 0.0, true), (-10.0, 10.0, false), (10.0, 2.5, true), (1.0, -10.0, false)]
            {
                let given = values(a, b, t);
                let says = formula.judge(&|name| given.get(name).copied());
                if let (Ok((ever_true, ever_false)), Some(says)) = (&reach, says) {
                    judged += 1;
                    assert!(
                        if says { *ever_true } else { *ever_false },
                        "{case}: {text} is {says} at {a}, {b}, {t}"
                    );
                }
            }
            let _missing = formula.judge(&|_| None);
        }
        slowest = slowest.max(begun.elapsed());
    }
    assert!(taken > 200 && judged > 100, "{taken} taken, {judged} judged: the tokens make no sense");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

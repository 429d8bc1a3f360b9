//! Which calendar a rule has: named, of its places where they agree, else the main one.

use super::calendar;
use crate::calendar::{Calendar, Times};
use crate::document::{Document, Problems};
use crate::model::{EventKind, Phase, PlaceId};
use crate::rules::testing::{Player, local, one_slip, parse, period, world, zone};
use crate::rules::{RULE_KINDS, World};
use std::sync::Arc;

const DORM: &str = "[calendar]\nbell = []\n[[calendar.curfew]]\ndays = [\"fri\"]\nhours = \"20:00-05:00\"\n";

/// The small school, where another calendar holds in building b1 and, named for itself, in the shed.
fn two_calendars() -> World {
    let problems = Problems::new();
    let document = Document::parse("gateway.toml", DORM, &problems);
    let table = document.reader(&problems).table("calendar").expect("a table");
    let dorm = Arc::new(Calendar::parse(&table, &zone()).expect("a good one"));
    let mut world = World { calendars: [("dorm".to_owned(), dorm)].into(), ..world() };
    for place in ["b1", "shed"] {
        let place = world.places.get_mut(&PlaceId::new(place).expect("an id")).expect("a place");
        place.calendar = Some("dorm".into());
    }
    world
}

#[test]
fn named_or_of_the_places_where_they_agree() {
    let world = two_calendars();
    let friday = local("2026-10-09T20:30");
    for (body, dorm) in [
        ("devices = [\"m1\"]\n", true),                       // in b1
        ("devices = [\"m1\", \"m2\"]\n", true),               // both are
        ("devices = [\"m1\", \"k1\"]\n", false),              // one is at the gate
        ("class = \"energy-meter\"\n", false),                // so is one of these
        ("class = \"energy-meter\"\nplace = \"b1\"\n", true), // here it is not
        ("place = \"campus\"\n", false),
        ("zone = \"b1\"\n", true),
        ("zone = \"campus\"\n", false),
        ("devices = [\"m1\"]\ncalendar = \"main\"\n", false),
        ("devices = [\"k1\"]\ncalendar = \"dorm\"\n", true),
        ("devices = [\"nobody\"]\n", false),
        ("", false),
    ] {
        let problems = Problems::new();
        let document = Document::parse("gateway.toml", body, &problems);
        let reader = document.reader(&problems);
        let found = calendar(&reader, &world);
        assert_eq!(found.holds(Times::Curfew, friday), dorm, "{body}");
        assert!(problems.is_empty(), "{body}: what is wrong with the devices is told elsewhere");
    }
    let problems = Problems::new();
    let document = Document::parse("gateway.toml", "calendar = \"drom\"\n", &problems);
    calendar(&document.reader(&problems), &world);
    let told = format!("{:?}", problems.into_sorted());
    assert!(told.contains("there is no calendar 'drom'") && told.contains("did you mean 'dorm'"), "{told}");
}

#[test]
fn the_boarding_house_has_its_own_night_over_midnight() {
    let world = two_calendars();
    let text = "[[rule]]\nid = \"r\"\nkind = \"curfew\"\nzone = \"b1\"\n";
    let mut player = Player::new(parse(text, &world).expect("good"), local("2026-10-09T19:59"));
    use crate::model::Direction::Out;
    assert!(player.card("card2", "p", Out).said().iter().all(|said| said.ends_with("ended")));
    player.wait(61).card("card2", "q", Out);
    assert_eq!(player.said(), ["card2 happened"]);
    player.set_wall(local("2026-10-10T04:59")).card("card2", "r", Out);
    assert!(player.said().contains(&"card2 happened".to_owned()), "Friday's night, on Saturday");
    player.set_wall(local("2026-10-10T23:00")).card("card2", "s", Out);
    assert!(
        !player.said().contains(&"card2 happened".to_owned()),
        "Saturday has none, though the main calendar has"
    );
}

#[test]
fn a_load_is_judged_by_the_bells_of_its_own_building() {
    let world = two_calendars();
    let rule = |device: &str| {
        format!(
            "[[rule]]\nid = \"{device}\"\nkind = \"outside_hours\"\ndevices = [\"{device}\"]\npoint = \"power_total\"\n\
             above = 2\nunit = \"kW\"\nfor_secs = 0\n"
        )
    };
    let mut player =
        Player::new(parse(&(rule("m1") + &rule("k1")), &world).expect("good"), local("2026-10-09T12:00"));
    player.wait_ms(0).said();
    player.power("m1", 3000.0).power("k1", 3.0).wait_ms(1);
    assert_eq!(player.said(), ["m1 holds"], "there are no bells in b1, and there are at the gate");
}

#[test]
fn looking_for_the_places_makes_no_wrong_key_right() {
    one_slip("exam_watch", "devices = [\"cam1\"]\nzone = \"b1\"\n", &["'zone' is not a key that is known"]);
    one_slip("curfew", "zone = \"b1\"\ndevices = [\"cam1\"]\n", &["'devices' is not a key that is known"]);
    one_slip("curfew", "zone = \"b1\"\nplace = \"b1\"\n", &["'place' is not a key that is known"]);
}

#[test]
fn every_kind_that_has_a_calendar_can_be_told_which() {
    let mut with = Vec::new();
    for kind in RULE_KINDS.iter().filter(|kind| kind.example.contains("\ncalendar = ")) {
        one_slip(
            kind.name,
            &kind.example.replace("\ncalendar = \"main\"", "\ncalendar = \"drom\""),
            &["there is no calendar 'drom'"],
        );
        with.push(kind.name);
    }
    for kind in ["held", "night_base", "min_flow", "deviation", "balance", "budget"] {
        assert!(with.contains(&kind), "{kind} has none: {with:?}");
    }
}

/// On teaching days the main calendar teaches from morning to afternoon, the other one never.
const BOTH: [(&str, bool); 2] = [("calendar = \"main\"\n", true), ("calendar = \"dorm\"\n", false)];

#[test]
fn nights_are_outside_the_bells_of_the_named_calendar() {
    let world = two_calendars();
    for kind in ["night_base", "min_flow"] {
        for (calendar, taught) in BOTH {
            let rule = format!(
                "devices = [\"e1\"]\npoint = \"energy_total\"\nhours = \"09:00-11:00\"\nabove = 1\nunit = \"kW\"\n{calendar}"
            );
            let mut player = Player::in_world(&world, local("2026-10-09T08:00"), kind, &rule);
            for quarter in 0..16 {
                let start = local("2026-10-09T08:00").plus_ms(quarter * 900_000);
                player.close(&period("e1", "energy_total", start, 900, 1.0));
            }
            let expected: &[&str] = if taught { &[] } else { &["e1 holds"] };
            assert_eq!(player.said(), expected, "{kind} {calendar}");
        }
    }
}

#[test]
fn days_are_comparable_by_the_named_calendar() {
    let world = two_calendars();
    for (calendar, taught) in BOTH {
        let rule = format!(
            "devices = [\"e1\"]\npoint = \"energy_total\"\nwindow = \"day\"\ntimes = 2\nleast_difference = 3\n\
             unit = \"kWh\"\ndays = 4\n{calendar}"
        );
        // From Sunday evening to Saturday.
        let begin = local("2026-10-11T23:00");
        let mut player = Player::in_world(&world, begin, "deviation", &rule);
        for hour in 0..=6 * 24 {
            let much = hour > 5 * 24;
            let start = begin.plus_ms(hour * 3_600_000);
            player.close(&period("e1", "energy_total", start, 3600, if much { 9.0 } else { 1.0 }));
        }
        let holds = player.said().contains(&"e1 holds".to_owned());
        assert_eq!(holds, !taught, "{calendar}: Saturday is compared with school days, or with nothing");
    }
}

#[test]
fn a_state_counts_by_the_bells_of_the_named_calendar() {
    let world = two_calendars();
    for (calendar, taught) in BOTH {
        let rule = format!(
            "devices = [\"door1\"]\nevent = \"contact\"\nfor_secs = 600\nwhen = \"outside\"\n{calendar}"
        );
        let mut player = Player::in_world(&world, local("2026-10-09T10:00"), "held", &rule);
        player.event("door1", EventKind::Contact, Phase::Start).wait(600);
        assert_eq!(player.said().contains(&"door1 holds".to_owned()), !taught, "{calendar}");
    }
}

#[test]
fn a_term_is_one_of_the_named_calendar() {
    let world = two_calendars();
    let rule = |calendar: &str| {
        format!(
            "[[rule]]\nid = \"r\"\nkind = \"budget\"\ndevices = [\"e1\"]\npoint = \"energy_total\"\nbudget = 4\n\
             unit = \"kWh\"\nper = \"term\"\n{calendar}"
        )
    };
    let told = format!("{:?}", parse(&rule("calendar = \"dorm\"\n"), &world).expect_err("it has no terms"));
    assert!(told.contains("the calendar has no terms"), "{told}");
}

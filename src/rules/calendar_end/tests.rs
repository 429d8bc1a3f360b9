//! Thirty days before the last term ends, when it is over, a newer calendar, no terms, a clock that is not set.

use super::rule;
use crate::calendar::Calendar;
use crate::document::{Document, Problems};
use crate::model::{Priority, RuleId};
use crate::rules::World;
use crate::rules::testing::{Player, local, world, zone};
use std::sync::Arc;

fn until(last: &str) -> World {
    let text =
        format!("[calendar]\n[[calendar.term]]\nname = \"a\"\nfirst = \"2026-09-01\"\nlast = \"{last}\"\n");
    let problems = Problems::new();
    let document = Document::parse("gateway.toml", &text, &problems);
    let table = document.reader(&problems).table("calendar").expect("a table");
    let calendar = Arc::new(Calendar::parse(&table, &zone()).expect("a good one"));
    let calendars = [("dorm".to_owned(), Arc::clone(&calendar)), ("all year".to_owned(), world().calendar)];
    World { calendar, calendars: calendars.into(), ..world() }
}

fn player(last: &str, start: &str) -> Player {
    Player::new(rule(&until(last)).into_iter().collect(), local(start))
}

#[test]
fn thirty_days_before_the_end_and_when_it_is_over() {
    let mut player = player("2027-01-22", "2026-12-22T23:00");
    player.wait(60);
    assert_eq!(player.said(), ["main ended", "main/over ended", "dorm ended", "dorm/over ended"]);
    player.wait(3600);
    assert_eq!(player.findings[0].what.zh, "校历“main”的最后一个学期将于 2027-01-22 结束，请录入下一学期");
    assert_eq!((player.findings[0].priority, player.findings[0].device.as_ref()), (Priority::Low, None));
    assert_eq!(player.said(), ["main holds", "dorm holds"]);
    player.set_wall(local("2027-01-22T23:59:30"));
    assert!(player.wait(20).said().is_empty(), "the last day counts");
    assert_eq!(player.wait(70).said(), ["main ended", "main/over holds", "dorm ended", "dorm/over holds"]);
    assert_eq!(player.restart().wait(0).said().len(), 4, "a restart says it anew");
}

#[test]
fn a_newer_calendar_ends_it_and_a_school_without_terms_has_no_such_alarm() {
    let mut player = player("2027-07-09", "2027-01-23T00:00");
    assert_eq!(player.wait(60).said(), ["main ended", "main/over ended", "dorm ended", "dorm/over ended"]);
    let id = RuleId::new("always.calendar").expect("an id");
    assert!(player.engine.judges(&id, "main/over") && !player.engine.judges(&id, "all year"));
    assert!(rule(&world()).is_none());
}

#[test]
fn a_clock_that_is_not_set_says_nothing() {
    let mut player = player("2027-01-22", "1970-01-01T00:00");
    assert!(player.wait(600).said().is_empty());
    player.set_wall(local("2027-02-01T00:00"));
    assert_eq!(player.wait(60).said(), ["main ended", "main/over holds", "dorm ended", "dorm/over holds"]);
}

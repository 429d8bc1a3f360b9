//! States and moments, by day and by night. The school teaches Monday to Friday 08:00 to 17:30.

use crate::model::{AlarmClass, Body, Event, EventKind, Phase, Priority, Stamp};
use crate::rules::testing::{Player, local, one_slip};

const RULE: &str = "devices = [\"cam1\"]\nevent = \"motion\"\n";
const NIGHT: &str = "devices = [\"cam1\"]\nevent = \"motion\"\nonly_outside_hours = true\n";

#[test]
fn a_state_holds_from_its_beginning_to_its_end_and_a_moment_happens() {
    let mut player = Player::of("event", RULE);
    player.event("cam1", EventKind::Motion, Phase::Start);
    assert_eq!(player.findings[0].what.en, "大门 摄像机: motion");
    assert_eq!(
        (player.findings[0].class, player.findings[0].priority),
        (AlarmClass::Security, Priority::Medium)
    );
    assert_eq!(player.said(), ["cam1 holds"]);
    assert_eq!(player.event("cam1", EventKind::Motion, Phase::End).said(), ["cam1 ended"]);
    assert_eq!(player.event("cam1", EventKind::Motion, Phase::Moment).said(), ["cam1 happened"]);
    assert!(player.event("cam1", EventKind::Tamper, Phase::Start).said().is_empty(), "another kind");
    assert_eq!(player.engine.next_deadline(), None);
}

#[test]
fn a_retained_state_counts_and_a_retained_moment_does_not() {
    let mut player = Player::of("event", RULE);
    assert!(player.retained_event("cam1", EventKind::Motion, Phase::Moment).said().is_empty());
    assert_eq!(player.retained_event("cam1", EventKind::Motion, Phase::Start).said(), ["cam1 holds"]);
    assert_eq!(
        player.restart().retained_event("cam1", EventKind::Motion, Phase::End).said(),
        ["cam1 ended"],
        "an alarm of the last run is ended"
    );
}

#[test]
fn by_day_a_night_rule_says_that_nothing_holds() {
    let mut player = Player::at("2026-10-09T17:00", "event", NIGHT);
    assert_eq!(player.event("cam1", EventKind::Motion, Phase::Start).said(), ["cam1 ended"]);
    assert!(player.event("cam1", EventKind::Motion, Phase::Moment).said().is_empty());
    assert!(player.wait_ms(30 * 60_000 - 1).said().is_empty());
    assert_eq!(player.wait_ms(1).said(), ["cam1 holds"], "still moving when the bell rings");
}

#[test]
fn at_night_it_holds_until_the_state_or_the_night_ends() {
    let mut player = Player::at("2026-10-12T07:00", "event", NIGHT);
    assert_eq!(player.event("cam1", EventKind::Motion, Phase::Start).said(), ["cam1 holds"]);
    assert_eq!(player.event("cam1", EventKind::Motion, Phase::End).said(), ["cam1 ended"]);
    assert_eq!(player.event("cam1", EventKind::Motion, Phase::Moment).said(), ["cam1 happened"]);
    player.event("cam1", EventKind::Motion, Phase::Start).said();
    assert_eq!(player.wait(3600).said(), ["cam1 ended"], "08:00");
}

#[test]
fn a_moment_is_judged_by_the_hour_at_which_it_happened() {
    let mut player = Player::at("2026-10-09T09:00", "event", NIGHT);
    let mut seen = player.observation("cam1", Body::Event(Event::bare(EventKind::Motion, Phase::Moment)));
    seen.stamp = Stamp::new(Some(local("2026-10-09T03:00")), player.now.wall);
    assert_eq!(player.see(&seen).said().last().map(String::as_str), Some("cam1 happened"));
}

#[test]
fn while_the_clock_is_not_set_nothing_is_missed() {
    let mut player = Player::at("1970-01-01T00:00", "event", NIGHT);
    assert_eq!(player.event("cam1", EventKind::Motion, Phase::Start).said(), ["cam1 holds"]);
    assert_eq!(player.event("cam1", EventKind::Motion, Phase::Moment).said(), ["cam1 happened"]);
    player.set_wall(local("2026-10-09T09:00"));
    assert_eq!(player.wait(60).said(), ["cam1 ended"]);
}

#[test]
fn slips_are_told_with_what_to_write() {
    one_slip("event", &RULE.replace("motion", "gas"), &["gives no 'gas' events", "motion, tamper"]);
    one_slip("event", &RULE.replace("motion", "fire"), &["'rule.event' cannot be \"fire\""]);
    one_slip("event", "devices = [\"cam1\"]\n", &["'rule.event' is missing"]);
    let by_day = "devices = [\"cam1\"]\nevent = \"motion\"\ncalendar = \"main\"\n";
    one_slip("event", by_day, &["this rule asks no calendar", "only_outside_hours"]);
}

//! States, values and stuck sensors, at all hours and in some.

use crate::model::{EventKind, Phase};
use crate::rules::testing::{Player, local, one_slip, parse, world};

const DOOR: &str = "devices = [\"door1\"]\nevent = \"contact\"\nfor_secs = 600\n";
const STUCK: &str = "devices = [\"t1\"]\npoint = \"temperature\"\nunchanged = true\nfor_secs = 600\n";
const KIND: &str = "held";

fn door(player: &mut Player, phase: Phase) -> &mut Player {
    player.event("door1", EventKind::Contact, phase)
}

#[test]
fn a_door_left_open_is_told_once_and_ends_when_it_closes() {
    let mut player = Player::of(KIND, DOOR);
    assert_eq!(door(&mut player, Phase::End).said(), ["door1 ended"]);
    door(&mut player, Phase::Start).wait(300);
    assert!(
        door(&mut player, Phase::Start).wait_ms(299_999).said().is_empty(),
        "told again it is open no longer"
    );
    player.wait_ms(1);
    assert_eq!(player.findings[0].what.zh, "1号楼 门磁: 门窗打开，持续超过 600 秒");
    assert_eq!(player.findings[0].what.en, "1号楼 门磁: opened, for more than 600 s");
    assert_eq!(player.said(), ["door1 holds"]);
    assert!(player.wait(86_400).said().is_empty());
    assert_eq!(door(&mut player, Phase::End).said(), ["door1 ended"]);
    door(&mut player, Phase::Start).wait(599);
    assert!(door(&mut player, Phase::End).wait(3600).said().is_empty());
    door(&mut player, Phase::Start).wait(599).restart();
    assert!(player.wait(3600).said().is_empty());
    player.retained_event("door1", EventKind::Contact, Phase::Start);
    assert_eq!(player.wait(600).said(), ["door1 holds"], "it is open, whenever it was opened");
}

#[test]
fn outside_teaching_time_only() {
    // Friday; teaching ends at 17:30 and begins again on Monday.
    let mut player = Player::at("2026-10-09T17:00", KIND, &format!("{DOOR}when = \"outside\"\n"));
    assert_eq!(door(&mut player, Phase::Start).said(), ["door1 ended"]);
    assert!(player.wait(3600 / 2 + 599).said().is_empty());
    assert_eq!(player.wait(1).said(), ["door1 holds"], "ten minutes after the bell");
    let mut late = Player::at("2026-10-09T17:00", KIND, &format!("{DOOR}when = \"teaching\"\n"));
    door(&mut late, Phase::Start).stall(3600);
    late.engine.expire(late.now, &mut late.findings);
    assert_eq!(late.said(), ["door1 holds", "door1 ended"], "in the order in which it was");
}

#[test]
fn without_a_clock_it_counts_at_all_hours() {
    let mut player = Player::at("2026-10-09T12:00", KIND, &format!("{DOOR}when = \"outside\"\n"));
    player.set_wall(local("1970-01-01T12:00")).restart();
    door(&mut player, Phase::Start);
    assert_eq!(player.wait(600).said(), ["door1 holds"]);
    assert_eq!(
        player.set_wall(local("2026-10-09T12:00")).wait(60).said(),
        ["door1 ended"],
        "it is teaching time"
    );
}

#[test]
fn a_value_that_lasts() {
    let rule = "devices = [\"m1\"]\npoint = \"power_total\"\nequals = 1\nfor_secs = 60\n";
    let mut player = Player::of(KIND, rule);
    assert_eq!(player.power("m1", 0.0).said(), ["m1 ended"]);
    player.power("m1", 1.0).wait(59).power("m1", f64::NAN);
    assert!(player.said().is_empty());
    player.wait(1);
    assert_eq!(
        player.findings[0].what.en,
        "1号楼 / 2层 / 201 1号电表: active power is 1 W, for more than 60 s"
    );
    assert_eq!(player.said(), ["m1 holds"]);
    assert_eq!(player.power("m1", 2.0).said(), ["m1 ended"]);
}

#[test]
fn a_stuck_sensor_is_one_that_speaks_and_never_changes() {
    let mut player = Player::of(KIND, STUCK);
    assert!(player.celsius(21.5).wait(3600).said().is_empty(), "silent, not stuck");
    player.celsius(21.5);
    assert_eq!(player.findings[0].what.zh, "1号楼 / 101 温度计: 温度 一直不变，持续超过 600 秒");
    assert_eq!(player.said(), ["t1 holds"]);
    assert_eq!(player.wait(60).celsius(21.6).said(), ["t1 ended"]);
    for _ in 0..9 {
        player.wait(60).celsius(21.6);
    }
    assert!(player.said().is_empty());
    assert_eq!(player.wait(60).celsius(21.6).said(), ["t1 holds"]);
    assert!(player.restart().celsius(21.6).said().is_empty(), "not known yet");
    assert_eq!(player.celsius(21.7).said(), ["t1 ended"]);
}

#[test]
fn stuck_in_some_hours_is_timed_from_the_bell() {
    let mut player = Player::at("2026-10-09T17:00", KIND, &format!("{STUCK}when = \"outside\"\n"));
    player.celsius(20.0);
    assert_eq!(player.said(), ["t1 ended"]);
    for minute in 1..=39 {
        player.wait(60).celsius(20.0);
        assert!(player.said().is_empty(), "{minute}");
    }
    assert_eq!(player.wait(60).celsius(20.0).said(), ["t1 holds"]);
}

#[test]
fn slips_are_told_with_what_to_write() {
    one_slip(KIND, &DOOR.replace("for_secs = 600\n", ""), &["'rule.for_secs' is missing"]);
    one_slip(KIND, &DOOR.replace("\"contact\"", "\"motion\""), &["gives no 'motion' events"]);
    one_slip(KIND, "devices = [\"card1\"]\nevent = \"credential\"\nfor_secs = 600\n", &["cannot last"]);
    one_slip(KIND, &format!("{DOOR}when = \"night\"\n"), &["cannot be \"night\"", "teaching"]);
    one_slip(KIND, &STUCK.replace("unchanged = true\n", ""), &["which state"]);
    one_slip(KIND, &STUCK.replace("unchanged", "equals = 20\nunchanged"), &["which state"]);
    one_slip(
        KIND,
        &STUCK.replace("unchanged = true", "equals = 99"),
        &["can never be this", "-40 °C to 85 °C"],
    );
    one_slip(KIND, &STUCK.replace("600", "20"), &["read every 10 s, too seldom", "write 30 or more"]);
    one_slip(KIND, &format!("{STUCK}event = \"contact\"\n"), &["two states"]);
}

#[test]
fn hours_that_are_too_short_are_told() {
    let never = |when: &str, secs: u32| {
        let text = format!("[[rule]]\nid = \"r\"\nkind = \"held\"\n{DOOR}when = \"{when}\"\n")
            .replace("600", &secs.to_string());
        let rules = parse(&text, &world()).expect("a good one");
        rules[0].never().map(|why| why.en)
    };
    assert_eq!(never("teaching", 600), None);
    assert!(never("teaching", 86_400).is_some_and(|why| why.contains("the longest teaching time lasts")));
    assert_eq!(never("outside", 86_400), None, "a weekend is longer");
}

//! Events and changes within a window, per device and per place.

use crate::model::{Body, Direction, Event, EventKind, Phase};
use crate::rules::testing::{Player, one_slip, parse, refused, world};

const REFUSED: &str =
    "class = \"card-reader\"\nevent = \"credential\"\nresult = \"denied\"\ncount = 3\nwindow_secs = 60\n";
const KIND: &str = "count";

fn refuse(player: &mut Player, id: &str) -> Vec<String> {
    let seen = refused(id, "", player.now.wall);
    player.see(&seen).said()
}

#[test]
fn so_many_in_the_window_raise_and_fewer_end_to_the_millisecond() {
    let mut player = Player::of(KIND, REFUSED);
    assert!(refuse(&mut player, "card1").is_empty());
    player.wait(30);
    assert!(refuse(&mut player, "card1").is_empty());
    player.wait(30);
    assert!(player.card("card1", "", Direction::In).said().is_empty(), "let through");
    assert_eq!(refuse(&mut player, "card1"), ["card1 holds"], "the first is exactly as old as the window");
    assert_eq!(
        player.wait_ms(1).said(),
        ["card1 ended", "card2 ended", "card3 ended"],
        "whose window has passed"
    );
    player.wait(29);
    assert_eq!(refuse(&mut player, "card1"), ["card1 holds"]);
    assert!(refuse(&mut player, "card2").is_empty(), "each device by itself");
    assert_eq!(player.wait(3600).said(), ["card1 ended"]);
}

#[test]
fn a_lower_bound_keeps_it_until_there_are_so_few() {
    let mut player = Player::of(KIND, &format!("{REFUSED}end_below = 2\n"));
    player.wait(61).said();
    for expected in [0, 0, 1] {
        assert_eq!(refuse(&mut player, "card1").len(), expected);
        player.wait(10);
    }
    assert!(player.wait(40).said().is_empty(), "the second is exactly as old as the window");
    assert_eq!(player.wait_ms(1).said(), ["card1 ended"], "one is left");
}

#[test]
fn all_devices_of_a_building_count_together() {
    let mut player = Player::of(KIND, &format!("{REFUSED}per = \"building\"\n"));
    assert!(refuse(&mut player, "card2").is_empty());
    assert!(refuse(&mut player, "card3").is_empty());
    assert!(refuse(&mut player, "card1").is_empty(), "the gate is in no building");
    assert!(player.findings.is_empty());
    let seen = refused("card3", "", player.now.wall);
    player.see(&seen);
    assert_eq!(player.findings[0].what.zh, "1号楼: 刷卡被拒绝，60 秒内达到 3 次");
    assert_eq!(player.findings[0].what.en, "1号楼: credential refused, 3 times or more within 60 s");
    assert_eq!(player.said(), ["b1 holds"]);
    assert_eq!(player.wait(61).said(), ["gate ended", "b1 ended"]);
}

#[test]
fn a_state_counts_when_it_begins_and_what_is_late_or_retained_does_not() {
    let rule = "devices = [\"door1\"]\nevent = \"contact\"\ncount = 2\nwindow_secs = 60\n";
    let mut player = Player::of(KIND, rule);
    player.event("door1", EventKind::Contact, Phase::Start).event("door1", EventKind::Contact, Phase::Start);
    assert!(player.event("door1", EventKind::Contact, Phase::End).said().is_empty(), "opened once");
    player.retained_event("door1", EventKind::Contact, Phase::Start);
    player.event("door1", EventKind::Contact, Phase::End);
    let late = player.observation("door1", Body::Event(Event::bare(EventKind::Contact, Phase::Start)));
    player.see_late(late, 61).event("door1", EventKind::Contact, Phase::End);
    assert!(player.said().is_empty());
    assert_eq!(player.event("door1", EventKind::Contact, Phase::Start).said(), ["door1 holds"]);
    assert!(player.restart().said().is_empty());
    assert_eq!(player.wait(61).said(), ["door1 ended"], "the last run's alarm is over");
}

#[test]
fn codes_and_changes_of_a_value() {
    let rule = "devices = [\"door1\"]\nevent = \"contact\"\ncode = \"7\"\ncount = 2\nwindow_secs = 60\n";
    let mut player = Player::of(KIND, rule);
    for code in ["7", "8", "7"] {
        let event = Event { code: Some(code.into()), ..Event::bare(EventKind::Contact, Phase::Moment) };
        player.see(&player.observation("door1", Body::Event(event)));
    }
    assert_eq!(player.said(), ["door1 holds"]);
    let rule = "devices = [\"m1\"]\npoint = \"power_total\"\ncount = 3\nwindow_secs = 60\n";
    let mut player = Player::of(KIND, rule);
    player.power("m1", 0.0).power("m1", 1.0).power("m1", 1.0).power("m1", f64::NAN).power("m1", 0.0);
    assert!(player.said().is_empty(), "two changes");
    player.power("m1", 1.0);
    assert_eq!(
        player.findings[0].what.en,
        "1号楼 / 2层 / 201 1号电表: active power changed, 3 times or more within 60 s"
    );
    assert_eq!(player.said(), ["m1 holds"]);
}

#[test]
fn slips_are_told_with_what_to_write() {
    let rule = |from: &str, to: &str| {
        assert!(REFUSED.contains(from), "{from}");
        REFUSED.replace(from, to)
    };
    one_slip(KIND, &rule("count = 3\n", ""), &["'rule.count' is missing"]);
    one_slip(KIND, &rule("count = 3", "count = 1"), &["out of range", "2 to 1000"]);
    one_slip(KIND, &rule("count = 3", "count = 3\nend_below = 4"), &["would end at more", "from 1 to 3"]);
    one_slip(KIND, &rule("count = 3", "count = 3\nper = \"street\""), &["cannot be \"street\""]);
    one_slip(KIND, &rule("result = \"denied\"", "code = \"\""), &["no device's code"]);
    one_slip(KIND, &rule("\"credential\"\nresult = \"denied\"", "\"motion\""), &["gives no 'motion' events"]);
    one_slip(KIND, &rule("event = \"credential\"\nresult = \"denied\"\n", ""), &["'rule.event' is missing"]);
    let contact =
        "devices = [\"door1\"]\nevent = \"contact\"\nresult = \"denied\"\ncount = 3\nwindow_secs = 60\n";
    one_slip(KIND, contact, &["only readers of credentials"]);
    let both =
        "devices = [\"m1\"]\nevent = \"motion\"\npoint = \"power_total\"\ncount = 3\nwindow_secs = 60\n";
    one_slip(KIND, both, &["counts two things"]);
}

#[test]
fn more_changes_than_can_be_read_in_the_window_are_never_counted() {
    // Read every ten seconds.
    for (choice, window, never) in [
        ("devices = [\"m1\"]", 19, true),
        ("devices = [\"m1\"]", 20, false),
        ("devices = [\"m1\", \"m2\"]", 19, true),
        ("devices = [\"m1\", \"m2\"]\nper = \"building\"", 19, false),
    ] {
        let text = format!(
            "[[rule]]\nid = \"r\"\nkind = \"count\"\n{choice}\npoint = \"power_total\"\ncount = 3\nwindow_secs = {window}\n"
        );
        let rules = parse(&text, &world()).expect("a good one");
        let why = rules[0].never();
        assert_eq!(why.is_some(), never, "{text}: {why:?}");
        assert!(why.is_none_or(|why| why.en.contains("2 changes at most")), "{text}");
    }
    let events = format!("[[rule]]\nid = \"r\"\nkind = \"count\"\n{}", REFUSED.replace("60", "1"));
    assert_eq!(parse(&events, &world()).expect("a good one")[0].never(), None, "events come by themselves");
}

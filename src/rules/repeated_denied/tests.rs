//! Runs of refusals, and which events do not count.

use crate::model::{
    AccessResult, Body, Carrier, CredentialUse, Direction, Event, EventKind, PersonRef, Phase, Service,
    Stamp, Wall,
};
use crate::rules::testing::{Player, one_slip};

const RULE: &str = "class = \"card-reader\"\ncount = 3\nwindow_secs = 60\n";

struct Swipe {
    result: AccessResult,
    person: Option<String>,
    serial: Option<&'static str>,
    retained: bool,
    late_ms: Option<i64>,
}

const REFUSED: Swipe =
    Swipe { result: AccessResult::Denied, person: None, serial: None, retained: false, late_ms: None };

fn swipe(player: &mut Player, device: &str, swipe: &Swipe) {
    let credential = CredentialUse {
        carrier: Carrier::Card,
        service: Service::Access,
        direction: Direction::In,
        result: swipe.result,
        reason: None,
        person: swipe.person.clone().map(PersonRef::from_stored),
        known: None,
    };
    let mut event = Event::bare(EventKind::Credential, Phase::Moment);
    event.serial = swipe.serial.map(str::to_owned);
    event.credential = Some(credential);
    let mut seen = player.observation(device, Body::Event(event));
    seen.retained = swipe.retained;
    if let Some(late_ms) = swipe.late_ms {
        seen.stamp = Stamp::new(Some(player.now.wall.plus_ms(-late_ms)), player.now.wall);
    }
    player.see(&seen);
}

fn times(player: &mut Player, count: usize, what: &Swipe) -> Vec<String> {
    (0..count).for_each(|_| swipe(player, "card1", what));
    player.said()
}

#[test]
fn each_full_count_happens_once() {
    let mut player = Player::of("repeated_denied", RULE);
    assert!(times(&mut player, 2, &REFUSED).is_empty());
    swipe(&mut player, "card1", &Swipe { result: AccessResult::UnknownCredential, ..REFUSED });
    assert_eq!(player.findings[0].what.zh, "大门 读卡器: 60 秒内被拒绝 3 次");
    assert_eq!(player.said(), ["card1 happened"]);
    assert_eq!(times(&mut player, 7, &REFUSED), ["card1 happened", "card1 happened"]);
}

#[test]
fn the_window_slides() {
    let mut player = Player::of("repeated_denied", RULE);
    times(&mut player, 1, &REFUSED);
    player.wait(30);
    times(&mut player, 1, &REFUSED);
    player.wait_ms(30_001);
    assert!(times(&mut player, 1, &REFUSED).is_empty(), "the first is too old");
    assert_eq!(times(&mut player, 1, &REFUSED), ["card1 happened"]);
    times(&mut player, 2, &REFUSED);
    player.wait(60);
    assert_eq!(
        times(&mut player, 1, &REFUSED),
        ["card1 happened"],
        "exactly as old as the window still counts"
    );
}

#[test]
fn what_does_not_count() {
    let none = |what: Swipe| {
        let mut player = Player::of("repeated_denied", RULE);
        assert!(times(&mut player, 9, &what).is_empty());
        assert_eq!(player.engine.next_deadline().is_some(), what.serial.is_some(), "nothing is kept");
    };
    none(Swipe { result: AccessResult::Granted, ..REFUSED });
    none(Swipe { result: AccessResult::Reported, ..REFUSED });
    none(Swipe { retained: true, ..REFUSED });
    none(Swipe { late_ms: Some(60_001), ..REFUSED });
    none(Swipe { serial: Some("17"), ..REFUSED });
    let mut player = Player::of("repeated_denied", RULE);
    times(&mut player, 2, &REFUSED);
    swipe(&mut player, "card2", &REFUSED);
    assert!(player.said().is_empty(), "each device counts alone");
}

#[test]
fn a_reader_with_a_wrong_clock_is_counted_by_arrival() {
    let mut player = Player::of("repeated_denied", RULE);
    let since_1970 = player.now.wall.since(Wall(0));
    assert_eq!(times(&mut player, 3, &Swipe { late_ms: Some(since_1970), ..REFUSED }), ["card1 happened"]);
    assert_eq!(times(&mut player, 3, &Swipe { late_ms: Some(60_000), ..REFUSED }), ["card1 happened"]);
}

#[test]
fn a_person_counts_alone_and_is_not_named_in_words() {
    let mut player = Player::of("repeated_denied", &format!("{RULE}same_person = true\n"));
    for _ in 0..3 {
        for person in ["aa", "bb"] {
            swipe(&mut player, "card1", &Swipe { person: Some(person.into()), ..REFUSED });
        }
    }
    assert!(player.findings.iter().all(|f| !f.what.zh.contains("aa") && !f.what.en.contains("aa")));
    assert_eq!(player.said(), ["card1/aa happened", "card1/bb happened"]);
    assert_eq!(times(&mut player, 3, &REFUSED), ["card1 happened"], "a reader that names nobody");
}

#[test]
fn a_flood_of_strangers_is_forgotten_in_time_and_in_number() {
    let mut player = Player::of("repeated_denied", &format!("{RULE}same_person = true\n"));
    for person in 0..super::MAX_RUNS + 500 {
        swipe(&mut player, "card1", &Swipe { person: Some(person.to_string()), ..REFUSED });
        player.wait_ms(1);
    }
    let debug = format!("{:?}", player.engine);
    assert!(!debug.contains("PersonRef(\"499\")"), "beyond the limit the oldest go");
    assert!(debug.contains("PersonRef(\"500\")"));
    player.wait(61);
    assert_eq!(player.engine.next_deadline(), None);
    assert!(!format!("{:?}", player.engine).contains("PersonRef"));
    assert!(player.said().is_empty());
}

#[test]
fn a_restart_counts_anew() {
    let mut player = Player::of("repeated_denied", RULE);
    times(&mut player, 2, &REFUSED);
    player.restart();
    assert!(times(&mut player, 2, &REFUSED).is_empty());
}

#[test]
fn slips_are_told_with_what_to_write() {
    one_slip(
        "repeated_denied",
        &RULE.replace("card-reader", "camera"),
        &["gives no 'credential' events", "motion"],
    );
    one_slip("repeated_denied", &RULE.replace("count = 3", "count = 1"), &["from 2 to 100"]);
    one_slip("repeated_denied", &RULE.replace("window_secs = 60\n", ""), &["'rule.window_secs' is missing"]);
}

//! Steps in their order and in any, without another, in a place; also against a naive reference.

use crate::model::{Body, Direction, Event, EventKind, Phase};
use crate::rules::testing::{Dice, Player, one_slip, refused};

const KIND: &str = "sequence";
const FORCED: &str = "same = \"place\"\nwithin_secs = 10\n[[rule.step]]\nevent = \"door_forced\"\n\
                      [[rule.step]]\nevent = \"credential\"\nresult = \"granted\"\nabsent = true\n";
const BOTH: &str = "same = \"campus\"\nwithin_secs = 30\norder = \"free\"\n[[rule.step]]\nevent = \"intrusion\"\n\
                    [[rule.step]]\nevent = \"motion\"\n";
const DENIED: &str = "same = \"building\"\nwithin_secs = 60\n[[rule.step]]\nevent = \"credential\"\nresult = \"denied\"\n\
                      times = 3\n[[rule.step]]\nevent = \"door_forced\"\ndevices = [\"door1\"]\n";

fn forced(player: &mut Player) -> &mut Player {
    player.event("door1", EventKind::DoorForced, Phase::Moment)
}

fn deny(player: &mut Player, id: &str) {
    let seen = refused(id, "", player.now.wall);
    player.see(&seen);
}

#[test]
fn a_door_is_forced_and_no_valid_card_was_there() {
    let mut player = Player::of(KIND, FORCED);
    forced(&mut player).wait_ms(2999);
    assert!(player.said().is_empty(), "the reader's message may still come");
    player.wait_ms(1);
    assert_eq!(player.findings[0].what.zh, "1号楼: 10 秒内：门被强行打开，且没有刷卡通过");
    assert_eq!(player.findings[0].what.en, "1号楼: within 10 s: door forced, without credential let through");
    assert_eq!(player.said(), ["b1 happened"]);
    player.card("card2", "", Direction::In).wait(10);
    assert!(forced(&mut player).wait(60).said().is_empty(), "a card ten seconds before");
    forced(&mut player).wait(2).card("card2", "", Direction::In);
    assert!(player.wait(60).said().is_empty(), "a card that comes later than the door");
    player.card("card1", "", Direction::In);
    assert_eq!(forced(&mut player).wait(60).said(), ["b1 happened"], "a card somewhere else");
    deny(&mut player, "card2");
    assert_eq!(forced(&mut player).wait(60).said(), ["b1 happened"], "a card that was refused");
}

#[test]
fn intrusion_and_motion_in_any_order() {
    let mut player = Player::of(KIND, BOTH);
    player.event("pir1", EventKind::Intrusion, Phase::Start).wait(30);
    player.event("cam1", EventKind::Motion, Phase::Moment);
    assert_eq!(player.findings[0].what.en, "校区: within 30 s: intrusion and motion");
    assert_eq!(player.said(), ["campus happened"]);
    assert!(player.event("cam1", EventKind::Motion, Phase::Moment).said().is_empty(), "it begins anew");
    player.event("pir1", EventKind::Intrusion, Phase::Start);
    assert!(player.said().is_empty(), "the detector has told its state again");
    player.event("pir1", EventKind::Intrusion, Phase::End).event("pir1", EventKind::Intrusion, Phase::Start);
    assert_eq!(player.said(), ["campus happened"], "motion was before");
    player.event("pir1", EventKind::Intrusion, Phase::End).event("pir1", EventKind::Intrusion, Phase::Start);
    player.wait_ms(30_001).event("cam1", EventKind::Motion, Phase::Moment);
    assert!(player.said().is_empty(), "too late");
    player.restart().event("pir1", EventKind::Intrusion, Phase::Start);
    assert!(player.said().is_empty());
}

#[test]
fn three_refused_cards_and_then_the_door() {
    let mut player = Player::of(KIND, DENIED);
    forced(&mut player);
    for id in ["card2", "card3", "card2"] {
        deny(player.wait(10), id);
    }
    assert!(player.said().is_empty(), "the door came first");
    forced(&mut player);
    assert_eq!(player.findings[0].what.zh, "1号楼: 60 秒内：刷卡被拒绝 3 次、门被强行打开");
    assert_eq!(
        player.findings[0].what.en,
        "1号楼: within 60 s: credential refused 3 times, then door forced"
    );
    assert_eq!(player.said(), ["b1 happened"]);
    for id in ["card2", "card3", "card1"] {
        deny(&mut player, id);
    }
    assert!(forced(&mut player).said().is_empty(), "two of them in the building");
    let seen = Event::bare(EventKind::DoorForced, Phase::Moment);
    deny(&mut player, "card2");
    let late = player.observation("door1", Body::Event(seen));
    assert!(player.see_late(late, 61).said().is_empty(), "it happened before them");
    assert_eq!(forced(&mut player).said(), ["b1 happened"]);
}

/// Tries every choice of events that ends with the newest.
fn naive(events: &[(u64, usize)], path: &[usize], within: u64, end: u64) -> bool {
    let Some((last, before)) = path.split_last() else { return true };
    (0..events.len()).rev().any(|at| {
        let (time, step) = events[at];
        step == *last && end - time <= within && naive(&events[..at], before, within, end)
    })
}

#[test]
fn agrees_with_a_naive_reference_on_random_events() {
    // Motion, then two intrusions, then motion again.
    let rule = "same = \"campus\"\nwithin_secs = 20\n[[rule.step]]\nevent = \"motion\"\n[[rule.step]]\n\
                event = \"intrusion\"\ntimes = 2\n[[rule.step]]\nevent = \"motion\"\n";
    let mut happened = 0;
    for seed in 0..300 {
        let mut dice = Dice::seeded(seed);
        let mut player = Player::of(KIND, rule);
        let mut events: Vec<(u64, usize)> = Vec::new();
        for _ in 0..60 {
            player.wait(dice.roll(8));
            let step = usize::try_from(dice.roll(2)).expect("small");
            let (id, kind) = [("cam1", EventKind::Motion), ("pir1", EventKind::Intrusion)][step];
            player.event(id, kind, Phase::Moment);
            events.push((player.now.mono.0, step));
            let expected = step == 0 && naive(&events, &[0, 1, 1, 0], 20_000, player.now.mono.0);
            assert_eq!(player.said().len(), usize::from(expected), "seed {seed}: {events:?}");
            if expected {
                events.clear();
                happened += 1;
            }
        }
    }
    assert!(happened > 300, "{happened}");
}

#[test]
fn slips_are_told_with_what_to_write() {
    let rule = |from: &str, to: &str| {
        assert!(DENIED.contains(from), "{from}");
        DENIED.replace(from, to)
    };
    one_slip(KIND, &rule("same = \"building\"\n", ""), &["where do the steps", "same = \"place\""]);
    one_slip(
        KIND,
        &rule("\"building\"", "\"device\""),
        &["no place has devices for every step", "larger place"],
    );
    one_slip(KIND, &rule("within_secs = 60", "within_secs = 0"), &["out of range"]);
    one_slip(KIND, &rule("within_secs = 60", "within_secs = 60\nwait_secs = 3"), &["nothing to wait for"]);
    one_slip(KIND, &rule("\"door_forced\"", "\"gas\""), &["gives no 'gas' events"]);
    one_slip(KIND, &rule("\"door_forced\"\ndevices = [\"door1\"]", "\"gas\""), &["no device gives 'gas'"]);
    one_slip(KIND, &rule("times = 3", "times = 3\nabsent = true"), &["absent must be so altogether"]);
    one_slip(KIND, &rule("times = 3", "many = 3"), &["'many' is not a key"]);
    one_slip(
        KIND,
        "same = \"place\"\nwithin_secs = 5\n[[rule.step]]\nevent = \"motion\"\n",
        &["make no sequence"],
    );
    one_slip(KIND, "same = \"place\"\nwithin_secs = 5\n", &["0 steps make no sequence"]);
}

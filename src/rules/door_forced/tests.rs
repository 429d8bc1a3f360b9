//! Opened with and without a card, the card's message late, a door that repeats itself, retained, slips.

use crate::model::{Direction, EventKind, Phase};
use crate::rules::testing::{Player, card, one_slip, refused};
use Direction::In;

const RULE: &str = "devices = [\"door1\"]\nreaders = [\"card2\"]\n";

fn player() -> Player {
    Player::of("door_forced", RULE)
}

#[test]
fn opened_without_a_card_is_told_after_the_wait() {
    let mut p = player();
    p.event("door1", EventKind::Contact, Phase::Start).wait_ms(2999);
    assert!(p.said().is_empty());
    p.wait_ms(1);
    assert_eq!(p.findings[0].what.zh, "1号楼 门磁: 门打开，10 秒内没有人刷卡通过");
    assert_eq!(p.said(), ["door1 happened"]);
    // It tells its state again and again.
    p.event("door1", EventKind::Contact, Phase::Start).wait(60);
    assert!(p.said().is_empty());
    p.event("door1", EventKind::Contact, Phase::End).event("door1", EventKind::Contact, Phase::Start).wait(3);
    assert_eq!(p.said(), ["door1 happened"]);
    assert_eq!(p.event("door1", EventKind::DoorForced, Phase::Moment).wait(3).said(), ["door1 happened"]);
}

#[test]
fn a_card_shortly_before_or_just_after_opens_it() {
    let mut p = player();
    p.card("card2", "p", In).wait(10).event("door1", EventKind::Contact, Phase::Start).wait(60);
    p.event("door1", EventKind::Contact, Phase::End);
    p.event("door1", EventKind::Contact, Phase::Start).wait(2).card("card2", "", In).wait(60);
    p.event("door1", EventKind::Contact, Phase::End);
    p.retained_event("door1", EventKind::Contact, Phase::Start).wait(60);
    assert_eq!(p.said(), Vec::<String>::new());
}

#[test]
fn an_old_card_a_refused_one_and_one_delivered_late_do_not() {
    for what in ["old", "refused", "late", "elsewhere"] {
        let mut p = player();
        let now = p.now.wall;
        let seen = match what {
            "refused" => refused("card2", "p", now),
            "late" => card("card2", "p", In, (Some(now.plus_ms(-60_000)), now)),
            "elsewhere" => card("card1", "p", In, (None, now)),
            _ => card("card2", "p", In, (None, now)),
        };
        p.see(&seen);
        if what == "old" {
            p.wait(11);
        }
        p.event("door1", EventKind::Contact, Phase::Start).wait(3);
        assert_eq!(p.said(), ["door1 happened"], "{what}");
    }
    one_slip("door_forced", "devices = [\"card1\"]\nreaders = [\"card2\"]\n", &["gives no 'contact'"]);
    one_slip("door_forced", "devices = [\"door1\"]\n", &["no readers"]);
    one_slip("door_forced", "devices = [\"door1\"]\nreaders = [\"x\"]\n", &["no device has the id 'x'"]);
}

//! Rounds walked in order, out of order, in part and not at all; over midnight; late messages; clocks; slips.

use crate::model::{Direction, Person, Role, Wall};
use crate::rules::testing::{Player, card, card_of, local, one_slip, slips};
use Direction::Unknown;

const STRICT: &str = "checkpoints = [\"card1\", \"r101\", \"card2\"]\nrounds = [\"22:00-22:40\", \"23:30-00:30\"]\n\
                      order = \"strict\"\nanybody = true\n";

fn at(start: &str) -> Player {
    Player::at(start, "patrol", STRICT)
}

fn words(player: &mut Player) -> Vec<String> {
    player.findings.drain(..).map(|finding| finding.what.zh).collect()
}

#[test]
fn a_round_in_order_is_no_alarm() {
    let mut p = at("2026-10-09T21:59");
    for reader in ["card1", "card3", "card2"] {
        p.wait(600).card(reader, "g", Unknown);
    }
    p.wait(1800);
    assert_eq!(words(&mut p), Vec::<String>::new());
}

#[test]
fn what_was_missed_or_out_of_order_is_named_after_the_grace() {
    let mut p = at("2026-10-09T22:01");
    p.card("card3", "g", Unknown).wait(60).card("card1", "g", Unknown);
    p.wait(38 * 60 + 299);
    assert_eq!(words(&mut p), Vec::<String>::new());
    p.wait(1);
    assert_eq!(
        words(&mut p),
        ["巡更 22:00-22:40 顺序错误：1号楼 / 101", "巡更 22:00-22:40 漏巡：1号楼 读卡器2"]
    );
}

#[test]
fn a_round_not_walked_is_one_alarm_also_over_midnight() {
    let mut p = at("2026-10-09T22:50");
    p.wait(2 * 3600);
    assert_eq!(words(&mut p), ["巡更 23:30-00:30 未进行，第一个巡更点：大门 读卡器"]);
    p.wait(20 * 3600);
    assert!(words(&mut p).is_empty());
    p.wait(2 * 3600);
    assert_eq!(words(&mut p).len(), 1, "the next day's first");
}

#[test]
fn messages_count_by_the_readers_clock() {
    let mut p = at("2026-10-09T22:42");
    for (reader, at) in
        [("card2", "2026-10-09T22:30"), ("card1", "2026-10-09T22:05"), ("card3", "2026-10-09T22:20")]
    {
        let seen = card(reader, "g", Unknown, (Some(local(at)), p.now.wall));
        p.see(&seen);
    }
    p.wait(600);
    assert_eq!(words(&mut p), Vec::<String>::new());
}

#[test]
fn a_restart_within_a_round_knows_what_was_stored() {
    let mut p = at("2026-10-09T22:30");
    for (reader, at) in [("card1", "2026-10-09T22:05"), ("card3", "2026-10-09T22:20")] {
        let seen = card(reader, "g", Unknown, (None, local(at)));
        p.remember(&seen);
    }
    p.wait(1800);
    assert_eq!(words(&mut p), ["巡更 22:00-22:40 漏巡：1号楼 读卡器2"]);
}

#[test]
fn a_clock_that_is_set_makes_no_rounds() {
    let mut p = at("2026-10-09T12:00");
    p.set_wall(Wall(0)).wait(600).set_wall(local("2026-10-09T22:44")).wait(600);
    assert!(words(&mut p).is_empty(), "first set after the round");
    p.set_wall(local("2026-10-10T02:00")).wait(600).set_wall(local("2026-10-09T22:44")).wait(600);
    assert!(words(&mut p).is_empty(), "forward over a round, and back");
}

#[test]
fn pupils_do_not_walk_rounds() {
    let rule = "checkpoints = [\"card1\"]\nrounds = [\"12:00-12:30\"]\n";
    for (role, missed) in [(Role::Student, 1), (Role::Guard, 0)] {
        let mut p = Player::of("patrol", rule);
        let who = Person { role, group: None, platform_id: None, valid_from: None, valid_until: None };
        let seen = card_of("card1", "g", Unknown, (None, p.now.wall), &who);
        p.see(&seen).wait(3600);
        assert_eq!(words(&mut p).len(), missed, "{role}");
    }
}

#[test]
fn slips_are_told() {
    one_slip(
        "patrol",
        "checkpoints = [\"x\"]\nrounds = [\"22:00-22:40\"]\n",
        &["no device or place has the id 'x'"],
    );
    one_slip(
        "patrol",
        "checkpoints = [\"cam1\"]\nrounds = [\"22:00-22:40\"]\n",
        &["no reader of credentials is at 'cam1'"],
    );
    one_slip(
        "patrol",
        "checkpoints = [\"shed\"]\nrounds = [\"22:00-22:40\"]\n",
        &["no reader of credentials is at 'shed'"],
    );
    one_slip("patrol", "checkpoints = [\"card1\"]\nrounds = [\"22\"]\n", &["is not a span of hours"]);
    assert_eq!(slips("patrol", "checkpoints = []\nrounds = []\n").len(), 2);
}

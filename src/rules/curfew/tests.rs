//! Cards in the night, who has not come back, the night's end, roles, late messages, a restart.

use crate::model::{Direction, Person, Role};
use crate::rules::testing::{Player, card, card_of, local, one_slip};
use Direction::{In, Out};

const RULE: &str = "zone = \"b1\"\n";

#[test]
fn cards_in_the_night_are_told_by_the_time_of_the_pass() {
    let mut player = Player::at("2026-10-09T22:00", "curfew", RULE);
    player.card("card2", "p", Out).card("card2", "p", In);
    player.wait(1801).card("card2", "p", Out);
    assert_eq!(player.findings.last().expect("one").what.zh, "1号楼 读卡器2: 宿舍关门后外出");
    player.said();
    let early = card("card2", "q", In, (Some(local("2026-10-09T22:10")), player.now.wall));
    assert!(player.see(&early).said().is_empty(), "delivered late, it was before");
    player.card("card2", "", In);
    assert_eq!(player.said(), ["card2 happened"]);
}

#[test]
fn who_has_not_come_back_is_one_alarm_until_the_last_is_back() {
    let mut player = Player::at("2026-10-09T21:00", "curfew", RULE);
    player.card("card2", "p", Out).card("card2", "q", Out).card("card2", "r", Out).card("card2", "r", In);
    player.wait(5400 + 899);
    assert_eq!(player.said(), ["b1 ended"], "it is not yet due");
    player.wait(2);
    assert_eq!(player.findings[0].what.zh, "1号楼: 关门后 2 人未归");
    assert_eq!(player.said(), ["b1 holds"]);
    assert_eq!(player.card("card2", "p", In).said(), ["card2 happened"]);
    assert_eq!(player.card("card2", "q", In).said(), ["card2 happened", "b1 ended"]);
    assert_eq!(player.card("card2", "q", Out).said(), ["card2 happened", "b1 holds"]);
    assert_eq!(player.wait(8 * 3600).said(), ["b1 ended"], "the night is over");
}

#[test]
fn a_restart_in_the_night_forgets_nobody_and_those_gone_home_are_not_missed() {
    let mut player = Player::at("2026-10-09T23:00", "curfew", RULE);
    let out = card("card2", "p", Out, (None, local("2026-10-09T21:00")));
    let home = card("card2", "q", Out, (None, local("2026-10-08T21:00")));
    player.restart().remember(&home).remember(&out).wait(901);
    assert_eq!(player.findings.last().expect("one").what.zh, "1号楼: 关门后 1 人未归");
}

#[test]
fn only_the_roles_that_are_named() {
    let mut player = Player::at("2026-10-09T23:00", "curfew", "zone = \"b1\"\nroles = [\"student\"]\n");
    let who = |role| Person { role, group: None, platform_id: None, valid_from: None, valid_until: None };
    for (role, told) in [(Role::Staff, 0), (Role::Student, 1)] {
        let seen = card_of("card2", "p", In, (None, player.now.wall), &who(role));
        player.see(&seen);
        assert_eq!(player.said().iter().filter(|said| said.as_str() == "card2 happened").count(), told);
    }
    one_slip("curfew", "zone = \"b1\"\nroles = [\"pupil\"]\n", &["'pupil' is no role", "student"]);
}

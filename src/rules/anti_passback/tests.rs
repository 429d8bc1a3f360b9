//! Twice in, tapping again, going out between, late messages, another zone, a restart, slips.

use crate::model::{Direction, Wall};
use crate::rules::testing::{Player, card, local, one_slip};
use Direction::{In, Out, Unknown};

const RULE: &str = "zone = \"b1\"\n";

#[test]
fn twice_in_without_out_is_told_with_the_pseudonym() {
    let mut player = Player::of("anti_passback", RULE);
    player.card("card2", "p", In).wait(600).card("card2", "p", In);
    assert_eq!(player.findings[0].what.zh, "1号楼 读卡器2: 11 分钟内第二次进入1号楼，中间没有出来");
    assert_eq!(player.said(), ["card2/p happened"]);
    assert!(
        player
            .card("card2", "q", In)
            .wait(600)
            .card("card2", "p", Out)
            .card("card2", "p", In)
            .said()
            .is_empty()
    );
}

#[test]
fn the_same_pass_again_and_what_says_nothing_are_not_told() {
    let mut player = Player::of("anti_passback", RULE);
    player.card("card2", "p", In).wait(60).card("card2", "p", In).wait(600).card("card2", "p", Unknown);
    // A room of the house is no bound of it, and the gate another one.
    player.card("card3", "p", Unknown).card("card1", "p", In).wait(17 * 3600).card("card2", "p", In);
    assert_eq!(player.said(), Vec::<String>::new());
}

#[test]
fn late_messages_are_judged_in_their_order() {
    let mut player = Player::of("anti_passback", RULE);
    let now = |player: &Player| player.now.wall;
    player.card("card2", "p", In).wait(3600);
    let (at, arrived): (Wall, Wall) = (local("2026-10-09T12:10"), now(&player));
    let out = card("card2", "p", Out, (Some(at), arrived));
    player.see(&out).card("card2", "p", In);
    let (at, arrived) = (local("2026-10-09T12:05"), now(&player));
    let old = card("card2", "p", In, (Some(at), arrived));
    assert_eq!(player.see(&old).said(), Vec::<String>::new());
}

#[test]
fn what_was_stored_is_known_after_a_restart_and_told_no_second_time() {
    let mut player = Player::of("anti_passback", RULE);
    let first = card("card2", "p", In, (None, player.now.wall));
    let second = card("card2", "p", In, (None, player.now.wall.plus_ms(600_000)));
    player.see(&first).wait(600).see(&second);
    assert_eq!(player.said(), ["card2/p happened"]);
    player.restart().remember(&first).remember(&second);
    assert!(player.said().is_empty());
    assert_eq!(player.wait(600).card("card2", "p", In).said(), ["card2/p happened"]);
}

#[test]
fn slips_are_told() {
    one_slip("anti_passback", "", &["'rule.zone' is missing"]);
    one_slip("anti_passback", "zone = \"b9\"\n", &["no place has the id 'b9'"]);
    one_slip("anti_passback", "zone = \"gate\"\n", &["who is in 'gate' is not counted", "counts = true"]);
    one_slip("anti_passback", "zone = \"b1\"\nrepeat_secs = -1\n", &["repeat_secs"]);
}

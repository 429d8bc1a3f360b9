//! A visitor's time ends while they are in, they come outside of it, they leave, the clock is not set.

use crate::model::{Direction, Person, Role, Wall};
use crate::rules::testing::{Player, card_of, local, one_slip};
use Direction::{In, Out};

const RULE: &str = "zone = \"campus\"\n";

fn person(role: Role, from: &str, until: &str) -> Person {
    let time = |text: &str| (!text.is_empty()).then(|| local(text));
    Person { role, group: None, platform_id: None, valid_from: time(from), valid_until: time(until) }
}

fn pass(player: &mut Player, direction: Direction, who: &Person) {
    let seen = card_of("card1", "v", direction, (None, player.now.wall), who);
    player.see(&seen);
}

#[test]
fn who_is_still_in_after_their_time_is_told_once() {
    let visitor = person(Role::Visitor, "2026-10-09T11:00", "2026-10-09T14:00");
    let mut player = Player::of("visitor_overstay", RULE);
    pass(&mut player, In, &visitor);
    assert!(player.wait(2 * 3600 + 600).said().is_empty(), "the grace is not over");
    player.wait(1);
    assert_eq!(player.findings[0].what.en, "大门 读卡器: a visitor is still in 校区 after their time");
    assert_eq!(player.said(), ["card1/v happened"]);
    assert!(player.wait(24 * 3600).said().is_empty());
    pass(&mut player, Out, &visitor);
    assert!(player.said().is_empty(), "leaving late is no second alarm");
    pass(&mut player, In, &visitor);
    assert_eq!(player.said(), ["card1/v happened"], "coming after it is");
}

#[test]
fn who_leaves_in_time_or_is_no_visitor_is_not_told() {
    let mut player = Player::of("visitor_overstay", RULE);
    pass(&mut player, In, &person(Role::Contractor, "", "2026-10-09T14:00"));
    player.wait(3600);
    pass(&mut player, Out, &person(Role::Contractor, "", "2026-10-09T14:00"));
    pass(&mut player, In, &person(Role::Student, "", "2026-10-09T11:00"));
    pass(&mut player, In, &person(Role::Visitor, "", ""));
    assert_eq!(player.wait(48 * 3600).said(), Vec::<String>::new());
}

#[test]
fn a_credential_before_its_time_is_told() {
    let mut player = Player::of("visitor_overstay", RULE);
    pass(&mut player, In, &person(Role::Visitor, "2026-10-09T13:00", "2026-10-09T14:00"));
    assert_eq!(player.findings[0].what.zh, "大门 读卡器: 访客凭证在有效期外使用");
}

#[test]
fn after_a_restart_and_while_the_clock_is_not_set() {
    let visitor = person(Role::Visitor, "", "2026-10-09T14:00");
    let mut player = Player::of("visitor_overstay", RULE);
    let seen = card_of("card1", "v", In, (None, player.now.wall), &visitor);
    player.restart().remember(&seen);
    player.set_wall(Wall(0)).wait(24 * 3600);
    assert!(player.said().is_empty());
    player.set_wall(local("2026-10-09T15:00"));
    assert_eq!(player.wait(61).said(), ["card1/v happened"]);
    one_slip("visitor_overstay", "zone = \"shed\"\n", &["not counted"]);
}

//! Silence since the start, since the last word, and what does not count as a word.

use crate::model::{EventKind, Fault, Link, Phase};
use crate::rules::testing::{Player, local, one_slip};

const RULE: &str = "devices = [\"m1\"]\nafter_secs = 100\n";

#[test]
fn a_device_silent_since_the_start_is_noticed_to_the_millisecond() {
    let mut player = Player::of("silent", RULE);
    assert!(player.wait_ms(99_999).said().is_empty());
    player.wait_ms(1);
    assert_eq!(player.findings[0].what.zh, "1号楼 / 2层 / 201 1号电表: 100 秒没有数据");
    assert_eq!(player.said(), ["m1 holds"]);
    assert!(player.wait(10_000).said().is_empty(), "said once");
}

#[test]
fn every_word_ends_it_and_starts_the_wait_anew() {
    let mut player = Player::of("silent", RULE);
    player.wait(100).said();
    assert_eq!(player.power("m1", 1.0).said(), ["m1 ended"]);
    assert!(player.wait(99).power("m1", f64::NAN).wait(99).said().is_empty(), "an absent value is a word");
    player.event("m1", EventKind::Fault, Phase::Moment).wait(99).link("m1", Link::Up);
    assert!(player.wait_ms(99_999).said().is_empty());
    assert_eq!(player.wait_ms(1).said(), ["m1 holds"]);
    assert_eq!(player.link("m1", Link::Up).said(), ["m1 ended"]);
}

#[test]
fn a_lost_link_and_a_retained_message_are_no_words() {
    let mut player = Player::of("silent", RULE);
    player.power("m1", 1.0).said();
    player.wait(50).link("m1", Link::Down(Fault::Timeout));
    player.retained_event("m1", EventKind::Contact, Phase::Start);
    assert!(player.wait_ms(49_999).said().is_empty(), "only silence counts, not the fault");
    player.wait_ms(1);
    assert!(player.findings[0].what.en.contains("not heard for 100 s; no answer in time"));
    assert_eq!(player.said(), ["m1 holds"]);
}

#[test]
fn other_devices_and_clock_steps_change_nothing() {
    let mut player = Player::of("silent", RULE);
    player.wait(99).power("m2", 1.0).set_wall(local("2033-01-01T00:00"));
    assert!(player.wait_ms(999).said().is_empty());
    assert_eq!(player.set_wall(local("1970-01-01T00:00")).wait_ms(1).said(), ["m1 holds"]);
}

#[test]
fn a_restart_waits_anew_and_says_again() {
    let mut player = Player::of("silent", RULE);
    player.wait(100).said();
    assert!(player.restart().wait(99).said().is_empty());
    assert_eq!(player.wait(1).said(), ["m1 holds"]);
    assert_eq!(player.restart().power("m1", 1.0).said(), ["m1 ended"], "an alarm of the last run is ended");
}

#[test]
fn three_polls_but_at_least_a_minute_unless_told() {
    let mut player = Player::of("silent", "devices = [\"m1\"]\n");
    assert!(player.wait(59).said().is_empty());
    assert_eq!(player.wait(1).said(), ["m1 holds"]);
}

#[test]
fn slips_are_told_with_what_to_write() {
    one_slip("silent", "devices = [\"m1\"]\nafter_secs = 10\n", &["would always be silent", "more than 10"]);
    one_slip("silent", "devices = [\"m9\"]\n", &["no device has the id 'm9'", "cam1"]);
    one_slip("silent", "devices = [\"m1\", \"m1\"]\n", &["listed twice"]);
    one_slip("silent", "devices = []\n", &["watches no device"]);
    one_slip("silent", "", &["watches no device", "class"]);
    one_slip("silent", "class = \"boiler\"\n", &["no device is chosen", "energy-meter"]);
    one_slip("silent", "place = \"moon\"\n", &["no place has the id 'moon'", "campus"]);
    one_slip("silent", "place = \"shed\"\n", &["no device is chosen"]);
    one_slip("silent", "class = \"camera\"\nplace = \"b1\"\n", &["no device is chosen"]);
    one_slip("silent", "devices = [\"m1\"]\nclass = \"camera\"\n", &["chosen twice"]);
    one_slip("silent", "devices = [\"m1\"]\npriority = \"urgent\"\n", &["'rule.priority' cannot be"]);
}

#[test]
fn a_place_holds_the_places_below_it() {
    let mut player = Player::of("silent", "place = \"b1\"\n");
    assert_eq!(
        player.wait(60).said(),
        ["card2 holds", "card3 holds", "door1 holds", "help1 holds", "m1 holds", "m2 holds", "t1 holds"]
    );
    let mut meters = Player::of("silent", "place = \"b1\"\nclass = \"energy-meter\"\n");
    assert_eq!(meters.wait(60).said(), ["m1 holds", "m2 holds"]);
}

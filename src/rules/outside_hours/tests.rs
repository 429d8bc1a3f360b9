//! Loads at night, the bell, and a clock that steps. The school teaches Monday to Friday 08:00 to 17:30.

use crate::model::{Fault, Link};
use crate::rules::testing::{Player, local, one_slip};

const RULE: &str =
    "devices = [\"m1\", \"m2\"]\npoint = \"power_active\"\nabove = 2\nunit = \"kW\"\nfor_secs = 600\n";

#[test]
fn the_bell_starts_the_wait_without_a_reading() {
    let mut player = Player::at("2026-10-09T17:00", "outside_hours", RULE);
    assert_eq!(player.power("m1", 3000.0).said(), ["m1 ended", "m2 ended"], "teaching: nothing holds");
    assert!(player.wait_ms(40 * 60_000 - 1).said().is_empty());
    player.wait_ms(1);
    assert!(player.findings[0].what.zh.contains("有功功率 3000 W，非教学时间高于 2000 W"));
    assert_eq!(player.said(), ["m1 holds"], "17:40 to the millisecond");
}

#[test]
fn teaching_ends_it_to_the_millisecond() {
    let mut player = Player::at("2026-10-12T07:00", "outside_hours", RULE);
    assert_eq!(player.power("m1", 3000.0).wait(600).said(), ["m1 holds"]);
    player.wait_ms(50 * 60_000 - 1);
    assert!(player.said().is_empty());
    assert_eq!(player.wait_ms(1).said(), ["m1 ended", "m2 ended"]);
}

#[test]
fn a_late_call_decides_in_the_order_in_which_things_were_due() {
    let mut player = Player::at("2026-10-12T07:49:59", "outside_hours", RULE);
    player.power("m1", 3000.0).wait(595).stall(10).wait_ms(0);
    assert_eq!(player.said(), ["m1 holds", "m1 ended", "m2 ended"], "due at 07:59:59, the bell at 08:00");
    let mut player = Player::at("2026-10-12T07:50:01", "outside_hours", RULE);
    player.power("m1", 3000.0).wait(595).stall(10).wait_ms(0);
    assert_eq!(player.said(), ["m1 ended", "m2 ended"], "the bell at 08:00, due at 08:00:01");
}

#[test]
fn a_load_that_drops_starts_the_wait_anew() {
    let mut player = Player::at("2026-10-10T12:00", "outside_hours", RULE);
    player.power("m1", 3000.0).wait(599).power("m1", 100.0);
    assert_eq!(player.said(), ["m1 ended"]);
    player.power("m1", 3000.0).wait(599).power("m1", 4000.0);
    assert!(player.said().is_empty());
    assert_eq!(player.wait(1).said(), ["m1 holds"], "further readings above do not lengthen the wait");
    assert_eq!(player.power("m1", 2000.0).said(), ["m1 ended"]);
}

#[test]
fn a_meter_that_stopped_answering_is_not_judged() {
    let mut player = Player::at("2026-10-09T17:00", "outside_hours", RULE);
    player.power("m1", 3000.0).link("m1", Link::Down(Fault::Timeout)).said();
    assert!(player.wait(7200).said().is_empty());
    player.power("m1", 3000.0).power("m1", f64::NAN);
    assert_eq!(player.wait(600).said(), ["m1 holds"], "an absent value changes nothing");
    assert!(player.link("m1", Link::Down(Fault::Timeout)).wait(600).said().is_empty(), "nor does it clear");
}

#[test]
fn a_step_of_the_clock_over_the_bell_is_noticed_within_a_minute_or_with_the_next_reading() {
    let mut player = Player::at("2026-10-09T12:00", "outside_hours", RULE);
    player.power("m1", 3000.0).said();
    player.set_wall(local("2026-10-09T22:00"));
    assert_eq!(player.wait(660).said(), ["m1 holds"]);
    player.set_wall(local("2026-10-09T12:30"));
    assert_eq!(player.power("m2", 0.0).said(), ["m1 ended"]);
}

#[test]
fn a_clock_that_is_not_set_judges_nothing() {
    let mut player = Player::at("1970-01-01T00:00", "outside_hours", RULE);
    assert!(player.power("m1", 9000.0).wait(7200).said().is_empty());
    player.set_wall(local("2026-10-10T03:00"));
    assert_eq!(player.wait(660).said(), ["m1 holds"], "set: judged from then on");
    assert!(player.set_wall(local("1970-01-01T00:00")).wait(600).said().is_empty());
}

#[test]
fn a_restart_during_teaching_ends_what_the_last_run_left() {
    let mut player = Player::at("2026-10-09T12:00", "outside_hours", RULE);
    assert_eq!(player.wait_ms(0).said(), ["m1 ended", "m2 ended"]);
    assert_eq!(player.restart().wait_ms(0).said(), ["m1 ended", "m2 ended"]);
}

#[test]
fn slips_are_told_with_what_to_write() {
    one_slip("outside_hours", &RULE.replace("above = 2", "above = 70"), &["can never be reached"]);
    one_slip("outside_hours", &RULE.replace("kW", "kWh"), &["a limit in kWh does not fit"]);
    one_slip("outside_hours", &RULE.replace("m2", "t1"), &["'acme-t' has no point", "temperature"]);
}

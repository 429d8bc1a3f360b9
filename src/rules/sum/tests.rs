//! Growth of counters and time integrals within a window, unknown time, exchanged meters.

use crate::rules::testing::{Player, one_slip};

const WATER: &str =
    "devices = [\"w1\"]\npoint = \"volume\"\nabove = 2\nunit = \"m3\"\nwindow_secs = 3600\ndeadband = 0.5\n";
const POWER: &str =
    "devices = [\"m1\"]\npoint = \"power_total\"\nabove = 5\nunit = \"kWh\"\nwindow_secs = 3600\n";
const KIND: &str = "sum";

/// So many minutes of a counter from a value, by so much each.
fn minutes(player: &mut Player, from: f64, by: f64, count: u32) -> f64 {
    for minute in 1..=count {
        player.wait(60).volume(from + by * f64::from(minute));
    }
    from + by * f64::from(count)
}

#[test]
fn more_than_two_cubic_metres_in_an_hour() {
    let mut player = Player::of(KIND, WATER);
    player.volume(100.0);
    let reached = minutes(&mut player, 100.0, 0.05, 40);
    assert!(player.said().is_empty(), "exactly two");
    let reached = minutes(&mut player, reached, 0.05, 1);
    assert_eq!(player.findings[0].what.en, "配电房 水表: volume: 2.05 m3 in 3600 s, above 2 m3");
    assert_eq!(player.findings[0].what.zh, "配电房 水表: 用水量 3600 秒内累计 2.05 m3，高于 2 m3");
    assert_eq!(player.said(), ["w1 holds"]);
    let reached = minutes(&mut player, reached, 0.0, 19);
    assert!(player.said().is_empty());
    minutes(&mut player, reached, 0.0, 13);
    assert_eq!(player.said(), ["w1 ended"], "1.5 m3 are left");
}

#[test]
fn what_was_counted_during_an_outage_is_no_burst_and_silence_ends_nothing() {
    let mut player = Player::of(KIND, WATER);
    player.volume(100.0).wait(10 * 3600).volume(110.0);
    assert_eq!(player.said(), ["w1 ended"], "one in the last hour of ten");
    player.wait(60).volume(113.0);
    assert_eq!(player.said(), ["w1 holds"]);
    assert!(player.wait(30 * 3600).said().is_empty());
    player.volume(113.0);
    assert_eq!(player.said(), ["w1 ended"]);
}

#[test]
fn an_exchanged_meter_has_not_grown() {
    let mut player = Player::of(KIND, WATER);
    player.volume(9000.0);
    minutes(&mut player, 9000.0, 0.001, 90);
    assert_eq!(player.said(), ["w1 ended"]);
    minutes(&mut player, 0.0, 0.001, 90);
    assert!(player.said().is_empty());
    minutes(&mut player, 0.09, 0.1, 30);
    assert_eq!(player.said(), ["w1 holds"]);
}

#[test]
fn a_power_over_time_is_energy() {
    let mut player = Player::of(KIND, POWER);
    for _ in 0..=60 {
        player.power("m1", 4900.0).wait(60);
    }
    assert_eq!(player.said(), ["m1 ended"], "4.9 kWh");
    for _ in 0..=60 {
        player.power("m1", 5100.0).wait(60);
    }
    assert_eq!(player.said(), ["m1 holds"]);
    // The readings are missing for ten minutes: what is not known is not said to be small.
    player.wait(600);
    for _ in 0..55 {
        player.power("m1", 10.0).wait(60);
    }
    assert!(player.said().is_empty());
    for _ in 0..10 {
        player.power("m1", 10.0).wait(60);
    }
    assert_eq!(player.said(), ["m1 ended"]);
}

#[test]
fn too_little_is_said_of_a_whole_window_only() {
    let mut player = Player::of(KIND, &WATER.replace("above", "below"));
    player.volume(100.0);
    let reached = minutes(&mut player, 100.0, 0.01, 59);
    assert!(player.said().is_empty());
    let reached = minutes(&mut player, reached, 0.01, 1);
    assert_eq!(player.said(), ["w1 holds"]);
    let reached = minutes(&mut player, reached, 0.1, 25);
    assert_eq!(player.said(), ["w1 ended"], "2.5 m3 and more");
    player.restart().volume(reached);
    assert!(player.wait(60).volume(reached).said().is_empty());
}

#[test]
fn slips_are_told_with_what_to_write() {
    let rule = |from: &str, to: &str| {
        assert!(WATER.contains(from), "{from}");
        WATER.replace(from, to)
    };
    one_slip(KIND, &rule("above = 2\n", ""), &["'rule.above' is missing"]);
    one_slip(KIND, &rule("above = 2", "above = 2\nbelow = 1"), &["two limits"]);
    one_slip(KIND, &rule("m3", "kWh"), &["a limit in kWh does not fit", "m3, L"]);
    one_slip(KIND, &rule("above = 2", "above = -1"), &["could never be left", "0 m3 and more"]);
    one_slip(KIND, &rule("above = 2", "below = 0"), &["can never be reached"]);
    one_slip(KIND, &POWER.replace("above = 5", "above = 60"), &["can never be reached", "0 kWh to 60 kWh"]);
    one_slip(KIND, &POWER.replace("kWh", "kW"), &["a limit in kW does not fit", "kWh"]);
    one_slip(
        KIND,
        "devices = [\"t1\"]\npoint = \"temperature\"\nabove = 5\nunit = \"°C\"\nwindow_secs = 3600\n",
        &["do not add up", "a counter, a power"],
    );
}

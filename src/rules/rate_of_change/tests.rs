//! Slopes, deadband, slips of a probe, counters, what was kept during an outage.

use crate::model::{Body, Doubt, Unit};
use crate::rules::testing::{Player, local, one_slip, reading};

const RISE: &str = "devices = [\"t1\"]\npoint = \"temperature\"\nrise = 5\nunit = \"°C\"\nwindow_secs = 600\n\
                    deadband = 1\n";
const KIND: &str = "rate_of_change";

/// So many minutes from the last temperature, changing by so much each.
fn minutes(player: &mut Player, from: f64, by: f64, count: u32) -> f64 {
    for minute in 1..=count {
        player.wait(60).celsius(from + by * f64::from(minute));
    }
    from + by * f64::from(count)
}

#[test]
fn a_steady_rise_is_told_when_half_the_window_is_known_and_ends_behind_the_deadband() {
    let mut player = Player::of(KIND, RISE);
    player.celsius(20.0);
    let reached = minutes(&mut player, 20.0, 0.6, 4);
    assert!(player.said().is_empty(), "less than half of the window");
    let reached = minutes(&mut player, reached, 0.6, 1);
    assert_eq!(
        player.findings[0].what.en,
        "1号楼 / 101 温度计: temperature rises by 6 °C in 600 s, more than 5 °C"
    );
    assert_eq!(player.findings[0].what.zh, "1号楼 / 101 温度计: 温度 600 秒内上升 6 °C，超过 5 °C");
    assert_eq!(player.said(), ["t1 holds"]);
    let reached = minutes(&mut player, reached, 0.45, 20);
    assert!(player.said().is_empty(), "4.5 °C is within the deadband");
    minutes(&mut player, reached, 0.1, 8);
    assert_eq!(player.said(), ["t1 ended"]);
}

#[test]
fn a_fall_is_the_mirror_of_a_rise_and_a_rise_no_fall() {
    let mut player = Player::of(KIND, &RISE.replace("rise", "fall"));
    player.celsius(20.0);
    let reached = minutes(&mut player, 20.0, -0.6, 5);
    assert_eq!(
        player.findings[0].what.en,
        "1号楼 / 101 温度计: temperature falls by 6 °C in 600 s, more than 5 °C"
    );
    assert_eq!(player.said(), ["t1 holds"]);
    minutes(&mut player, reached, 2.0, 10);
    assert_eq!(player.said(), ["t1 ended"]);
}

#[test]
fn one_slip_of_the_probe_is_no_rise() {
    let mut player = Player::of(KIND, RISE);
    player.celsius(20.0);
    minutes(&mut player, 20.0, 0.0, 9);
    assert_eq!(player.said(), ["t1 ended"]);
    player.wait(60).celsius(28.0);
    minutes(&mut player, 20.0, 0.0, 10);
    assert!(player.said().is_empty(), "eight degrees, but of one value only");
}

#[test]
fn silence_doubt_and_retained_values_say_nothing() {
    let mut player = Player::of(KIND, RISE);
    player.celsius(20.0);
    minutes(&mut player, 20.0, 1.0, 6);
    assert_eq!(player.said(), ["t1 holds"]);
    player.wait(24 * 3600).celsius(10.0).wait(1);
    let doubted = reading("temperature", 99.0, Unit::Celsius).doubted(Doubt::OutOfRange);
    let doubted = player.observation("t1", Body::Reading(doubted));
    let mut retained = player.observation("t1", Body::Reading(reading("temperature", 99.0, Unit::Celsius)));
    retained.retained = true;
    for _ in 0..6 {
        player.wait(60).see(&doubted).see(&retained);
    }
    assert!(player.said().is_empty());
    assert!(player.restart().wait(60).celsius(50.0).wait(60).celsius(80.0).said().is_empty(), "two values");
}

#[test]
fn what_a_device_kept_has_its_own_times_and_the_wall_clock_has_no_say() {
    let mut player = Player::of(KIND, RISE);
    let body = |value| Body::Reading(reading("temperature", value, Unit::Celsius));
    player.see_late(player.observation("t1", body(20.0)), 0).wait(1800);
    for minute in (1..30).rev() {
        player.see_late(
            player.observation("t1", body(20.0 + f64::from(30 - minute) / 10.0)),
            i64::from(minute) * 60,
        );
    }
    assert_eq!(player.said(), ["t1 ended"], "a degree in ten minutes, delivered in one moment");
    player.see_late(player.observation("t1", body(5.0)), 3600);
    let mut stepped = Player::of(KIND, RISE);
    stepped.celsius(20.0);
    for minute in 1..=10 {
        let wall = if minute % 2 == 0 { "2031-01-01T00:00" } else { "2025-01-01T00:00" };
        stepped.set_wall(local(wall)).wait(60).celsius(20.0 + f64::from(minute) / 10.0);
    }
    assert_eq!(stepped.said(), ["t1 ended"]);
}

#[test]
fn a_device_whose_clock_is_set_back_is_not_lost() {
    let mut player = Player::of(KIND, RISE);
    let body = |value| Body::Reading(reading("temperature", value, Unit::Celsius));
    player.see_late(player.observation("t1", body(20.0)), 0);
    for minute in 1..=30 {
        let seen = player.wait(60).observation("t1", body(20.0 + f64::from(minute)));
        player.see_late(seen, 3 * 3600);
    }
    assert_eq!(player.said(), ["t1 holds"]);
}

#[test]
fn a_counter_rises_by_its_growth_and_not_by_an_exchange() {
    let rule = "devices = [\"w1\"]\npoint = \"volume\"\nrise = 500\nunit = \"L\"\nwindow_secs = 600\n";
    let mut player = Player::of(KIND, rule);
    player.volume(1000.0);
    for minute in 1..=10 {
        player.wait(60).volume(1000.0 + f64::from(minute) * 0.04);
    }
    assert_eq!(player.said(), ["w1 ended"]);
    for minute in 1..=10 {
        player.wait(60).volume(f64::from(minute) * 0.04);
    }
    assert!(player.said().is_empty(), "exchanged: it counts from zero");
    for minute in 1..=10 {
        player.wait(60).volume(0.4 + f64::from(minute) * 0.06);
    }
    assert_eq!(player.said(), ["w1 holds"]);
}

#[test]
fn slips_are_told_with_what_to_write() {
    let rule = |from: &str, to: &str| {
        assert!(RISE.contains(from), "{from}");
        RISE.replace(from, to)
    };
    one_slip(KIND, &rule("rise = 5\n", ""), &["'rule.rise' is missing"]);
    one_slip(KIND, &rule("rise = 5", "rise = 5\nfall = 5"), &["two limits"]);
    one_slip(KIND, &rule("rise = 5", "rise = -5"), &["no change", "above 0"]);
    one_slip(KIND, &rule("rise = 5", "rise = 200"), &["can never be reached", "0 °C to 125 °C"]);
    one_slip(KIND, &rule("°C", "kW"), &["a limit in kW does not fit", "°C, K"]);
    one_slip(KIND, &rule("window_secs = 600", "window_secs = 6"), &["out of range"]);
    one_slip(KIND, &rule("deadband = 1", "deadband = 6"), &["the other way"]);
    one_slip(
        KIND,
        "devices = [\"w1\"]\npoint = \"volume\"\nfall = 1\nunit = \"m3\"\nwindow_secs = 600\n",
        &["never falls", "write rise"],
    );
    let kelvin = Player::of(KIND, &rule("°C", "K"));
    assert!(kelvin.findings.is_empty(), "of a difference, a kelvin is a degree");
}

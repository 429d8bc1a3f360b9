//! Too warm, too cold, the door's allowance, no readings, a stuck probe.

use crate::model::{Body, Doubt, EventKind, Phase, Unit};
use crate::rules::testing::{Player, one_slip, reading};

const KIND: &str = "cold_chain";
const FRIDGE: &str = "devices = [\"t1\"]\npoint = \"temperature\"\nabove = 8\nbelow = 2\nunit = \"°C\"\ndeadband = 0.5\n\
                      for_secs = 600\ncontacts = [\"door1\"]\nopen_secs = 900\nstuck_secs = 7200\n";

/// Readings each minute that flutter a little, for so many minutes.
fn minutes(player: &mut Player, celsius: f64, count: u32) -> &mut Player {
    for minute in 0..count {
        player.wait(60).celsius(celsius + f64::from(minute % 2) / 10.0);
    }
    player
}

fn door(player: &mut Player, phase: Phase) -> &mut Player {
    player.event("door1", EventKind::Contact, phase)
}

#[test]
fn too_warm_for_longer_than_the_tolerance() {
    let mut player = Player::of(KIND, FRIDGE);
    assert_eq!(minutes(&mut player, 4.0, 10).said(), ["t1 ended"], "well, by a probe that lives");
    minutes(&mut player, 9.0, 10).wait(59);
    assert!(player.said().is_empty());
    player.wait(1);
    assert_eq!(player.findings[0].what.zh, "1号楼 / 101 温度计: 温度 9.1 °C，温度过高，高于 8 °C");
    assert_eq!(player.findings[0].what.en, "1号楼 / 101 温度计: temperature 9.1 °C, too warm, above 8 °C");
    assert_eq!(player.said(), ["t1 holds"]);
    assert!(minutes(&mut player, 7.6, 5).said().is_empty(), "within the deadband");
    assert_eq!(minutes(&mut player, 7.0, 1).said(), ["t1 ended"]);
    minutes(&mut player, 9.0, 9);
    assert!(minutes(&mut player, 5.0, 30).said().is_empty());
}

#[test]
fn too_cold_follows_too_warm_with_a_tolerance_of_its_own() {
    let mut player = Player::of(KIND, FRIDGE);
    minutes(&mut player, 9.0, 12);
    assert_eq!(player.said(), ["t1 holds"]);
    minutes(&mut player, 0.0, 10);
    assert!(player.said().is_empty(), "not well, and not yet too cold for long");
    player.wait(60);
    assert!(player.findings[0].what.en.ends_with("too cold, below 2 °C"));
    assert_eq!(player.said(), ["t1 holds"]);
}

#[test]
fn an_open_door_stops_the_tolerance_for_the_allowance() {
    let mut player = Player::of(KIND, FRIDGE);
    minutes(&mut player, 4.0, 3).said();
    door(&mut player, Phase::Start);
    minutes(&mut player, 9.0, 6);
    door(&mut player, Phase::End);
    // Five of the six minutes it was too warm: 600 + 300 s after the first.
    assert!(minutes(&mut player, 9.0, 9).wait(59).said().is_empty());
    assert_eq!(player.wait(1).said(), ["t1 holds"]);
    let mut left_open = Player::of(KIND, FRIDGE);
    minutes(&mut left_open, 4.0, 3).said();
    door(&mut left_open, Phase::Start);
    assert!(minutes(&mut left_open, 9.0, 25).wait(59).said().is_empty());
    assert_eq!(left_open.wait(1).said(), ["t1 holds"], "600 + 900 s");
    assert!(door(&mut left_open, Phase::End).said().is_empty());
}

#[test]
fn no_good_reading() {
    let mut player = Player::of(KIND, FRIDGE);
    let doubted = Body::Reading(reading("temperature", 4.0, Unit::Celsius).doubted(Doubt::DeviceSays));
    player.see(&player.observation("t1", doubted)).wait(1799);
    assert!(player.said().is_empty());
    player.wait(1);
    assert_eq!(player.findings[0].what.zh, "1号楼 / 101 温度计: 1800 秒没有有效温度读数");
    assert_eq!(player.said(), ["t1 holds"], "also right after the start");
    assert_eq!(minutes(&mut player, 4.0, 2).said(), ["t1 ended"]);
    assert_eq!(player.wait(1800).said(), ["t1 holds"]);
    assert_eq!(minutes(&mut player, 9.0, 12).said(), ["t1 holds"], "now it says which");
}

#[test]
fn a_stuck_probe() {
    let mut player = Player::of(KIND, FRIDGE);
    for _ in 0..=120 {
        player.celsius(4.0).wait(60);
    }
    assert_eq!(
        player.findings[0].what.en,
        "1号楼 / 101 温度计: has read 4 °C for 7200 s: the probe may be stuck"
    );
    assert_eq!(player.said(), ["t1 holds"]);
    assert!(player.celsius(4.0).said().is_empty());
    assert_eq!(player.celsius(4.1).said(), ["t1 ended"]);
}

#[test]
fn a_restart_forgets_and_decides_anew() {
    let mut player = Player::of(KIND, FRIDGE);
    minutes(&mut player, 9.0, 12);
    assert_eq!(player.said(), ["t1 holds"]);
    player.restart();
    assert!(minutes(&mut player, 9.0, 10).said().is_empty(), "neither well nor too warm for long");
    assert_eq!(minutes(&mut player, 9.0, 2).said(), ["t1 holds"]);
    player.restart();
    assert_eq!(minutes(&mut player, 4.0, 2).said(), ["t1 ended"]);
}

#[test]
fn slips_are_told_with_what_to_write() {
    let rule = |from: &str, to: &str| {
        assert!(FRIDGE.contains(from), "{from}");
        FRIDGE.replace(from, to)
    };
    one_slip(KIND, &rule("above = 8\nbelow = 2\n", ""), &["nothing is too warm", "above = <number>"]);
    one_slip(KIND, &rule("above = 8", "above = 2.5"), &["no temperature would be good"]);
    one_slip(KIND, &rule("above = 8", "above = 90"), &["can never be reached", "-40 °C to 85 °C"]);
    one_slip(KIND, &rule("\"door1\"", "\"door9\""), &["no device has the id 'door9'"]);
    one_slip(KIND, &rule("\"door1\"", "\"card1\""), &["gives no 'contact' events"]);
    one_slip(KIND, &rule("contacts = [\"door1\"]\n", ""), &["no contact to be open"]);
    one_slip(KIND, &rule("°C", "kW"), &["a limit in kW does not fit"]);
}

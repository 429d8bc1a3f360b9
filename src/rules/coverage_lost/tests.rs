//! Areas with several devices, silence of those that speak, links of those that do not, a restart.

use crate::model::{EventKind, Fault, Link, Phase};
use crate::rules::testing::{Player, one_slip};

const METERS: &str = "class = \"energy-meter\"\n";

#[test]
fn an_area_is_lost_with_its_last_device_and_back_with_its_first() {
    // m1 and m2 are in building 1, k1 is in the gate.
    let mut player = Player::of("coverage_lost", METERS);
    player.power("m1", 1.0).power("m2", 1.0).power("k1", 1.0);
    assert_eq!(player.said(), ["b1 ended", "gate ended"]);
    player.link("m1", Link::Down(Fault::Timeout));
    assert!(player.said().is_empty(), "m2 is there");
    player.wait(20).power("k1", 1.0).wait(10);
    assert_eq!(player.findings[0].what.zh, "1号楼: 全部 2 台设备离线，该区域失去覆盖");
    assert_eq!(player.said(), ["b1 holds"], "m2 missed three polls");
    assert_eq!(player.wait(20).said(), ["gate holds"]);
    assert_eq!(player.power("m2", 1.0).said(), ["b1 ended"]);
}

#[test]
fn nothing_heard_since_the_start() {
    let mut player = Player::of("coverage_lost", METERS);
    assert!(player.wait(29).said().is_empty());
    assert_eq!(player.wait(1).said(), ["gate holds", "b1 holds"]);
    assert_eq!(player.restart().power("k1", 1.0).said(), ["gate ended"]);
}

#[test]
fn a_device_without_values_is_there_while_its_driver_says_so() {
    let mut player = Player::of("coverage_lost", "devices = [\"cam1\"]\nper = \"campus\"\n");
    player.retained_event("cam1", EventKind::Motion, Phase::Start);
    assert!(player.said().is_empty());
    assert_eq!(player.link("cam1", Link::Up).wait(24 * 3600).said(), ["campus ended"]);
    assert_eq!(player.link("cam1", Link::Down(Fault::Timeout)).said(), ["campus holds"]);
    assert_eq!(player.link("cam1", Link::Up).said(), ["campus ended"]);
    one_slip("coverage_lost", "class = \"camera\"\nper = \"street\"\n", &["per"]);
}

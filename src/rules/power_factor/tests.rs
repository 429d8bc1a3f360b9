//! The factor under load, delays; values that do not belong together; restarts, clocks; a naive reference.

use crate::model::{Fault, Link, Wall};
use crate::rules::Level;
use crate::rules::testing::{Dice, Player, one_slip};

const RULE: &str =
    "devices = [\"p1\"]\nbelow = 0.9\ndeadband = 0.02\nleast = 5\nunit = \"kW\"\nfor_secs = 60\n";

fn reads(player: &mut Player, factor: f64, watts: f64) -> &mut Player {
    player.reads("p1", "power_factor", factor).reads("p1", "power_total", watts)
}

#[test]
fn a_low_factor_under_load_is_told_after_a_while() {
    let mut player = Player::of("power_factor", RULE);
    reads(&mut player, 0.8, 6000.0).wait_ms(59_999);
    assert!(player.said().is_empty());
    player.wait_ms(1);
    assert_eq!(player.findings[0].what.zh, "配电房 配电柜: 功率因数 0.8，低于 0.9，有功功率 6000 W");
    assert_eq!(player.said(), ["p1 holds"]);
    assert!(reads(&mut player, 0.91, 6000.0).wait(600).said().is_empty(), "within the deadband");
    assert_eq!(reads(&mut player, -0.92, 6000.0).wait(60).said(), ["p1 ended"], "capacitive or inductive");
}

#[test]
fn without_a_load_nothing_is_wrong() {
    let mut player = Player::of("power_factor", RULE);
    assert_eq!(reads(&mut player, 0.1, 4999.0).wait(60).said(), ["p1 ended"]);
    assert_eq!(reads(&mut player, 0.1, -5000.0).wait(60).said(), ["p1 holds"], "fed back");
}

#[test]
fn values_of_two_polls_silence_restart_and_clock() {
    let mut player = Player::of("power_factor", RULE);
    player.reads("p1", "power_factor", 0.5).wait(11).reads("p1", "power_total", 9000.0);
    assert!(player.wait(600).said().is_empty());
    reads(&mut player, 0.5, 9000.0).wait(59).link("p1", Link::Down(Fault::Timeout));
    assert!(player.wait(600).said().is_empty());
    reads(&mut player, 0.5, 9000.0).set_wall(Wall(7)).wait(60);
    assert_eq!(player.said(), ["p1 holds"]);
    assert_eq!(reads(player.restart(), 1.0, 9000.0).wait(60).said(), ["p1 ended"]);
}

#[test]
fn slips_are_told_with_what_to_write() {
    one_slip("power_factor", &RULE.replace("\"p1\"", "\"e1\""), &["no point 'power_factor'"]);
    one_slip(
        "power_factor",
        &format!("{RULE}point = \"current_a\"\n"),
        &["'current_a' in A is no power factor"],
    );
    one_slip("power_factor", &RULE.replace("kW", "A"), &["a limit in A does not fit", "kW"]);
    one_slip("power_factor", &RULE.replace("below = 0.9", "below = 0.99"), &["could never be left"]);
    one_slip("power_factor", &RULE.replace("below = 0.9", "below = 90"), &["out of range"]);
}

/// Of each poll, every 10 s, from the whole series: 60 s are 6 polls after the first.
#[test]
fn agrees_with_a_naive_reference() {
    let judge = |factor: f64, watts: f64| match () {
        () if watts < 5000.0 || factor >= 0.92 => Some(false),
        () if factor < 0.9 => Some(true),
        () => None,
    };
    let mut edges_seen = 0;
    for seed in 0..40 {
        let mut dice = Dice::seeded(seed);
        let mut player = Player::of("power_factor", RULE);
        let (mut verdicts, mut said, mut expected, mut heard) = (Vec::new(), None, Vec::new(), Vec::new());
        let (mut factor, mut watts) = (0.95, 9000.0);
        for turn in 0..600 {
            if dice.roll(8) == 0 {
                factor = [0.95, 0.91, 0.85, 0.6][usize::try_from(dice.roll(4)).expect("small")];
                watts = [9000.0, 9000.0, 4000.0][usize::try_from(dice.roll(3)).expect("small")];
            }
            let verdict = judge(factor, watts);
            verdicts.push(verdict);
            reads(&mut player, factor, watts).wait_ms(9_999);
            heard.extend(player.findings.drain(..).map(|finding| (turn, finding.level == Level::Holds)));
            player.wait_ms(1);
            heard.extend(player.findings.drain(..).map(|finding| (turn + 1, finding.level == Level::Holds)));
            // What held at the last six polls is said as the sixth interval is over.
            let run = verdicts.iter().rev().take_while(|other| **other == verdict).count();
            if let Some(holds) = verdict
                && run >= 6
                && said != Some(holds)
            {
                said = Some(holds);
                expected.push((turn + 1, holds));
            }
        }
        assert_eq!(heard, expected, "seed {seed}");
        edges_seen += heard.len();
    }
    assert!(edges_seen > 200, "{edges_seen}");
}

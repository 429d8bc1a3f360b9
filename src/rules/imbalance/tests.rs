//! Three phases, a least load, delays; values that do not belong together; restarts, clocks; a naive reference.

use crate::model::{Fault, Link, Wall};
use crate::rules::Level;
use crate::rules::testing::{Dice, Player, one_slip};

const RULE: &str = "devices = [\"p1\"]\npoints = [\"current_a\", \"current_b\", \"current_c\"]\nabove_percent = 20\n\
                    deadband_percent = 10\nleast = 10\nunit = \"A\"\nfor_secs = 60\n";

fn phases(player: &mut Player, values: [f64; 3]) -> &mut Player {
    for (point, value) in ["current_a", "current_b", "current_c"].into_iter().zip(values) {
        player.reads("p1", point, value);
    }
    player
}

#[test]
fn a_phase_far_above_the_mean_is_told_after_a_while_and_ends_after_one() {
    let mut player = Player::of("imbalance", RULE);
    phases(&mut player, [50.0, 50.0, 50.0]).wait(60);
    assert_eq!(player.said(), ["p1 ended"]);
    phases(&mut player, [65.0, 50.0, 35.0]).wait_ms(59_999);
    assert!(player.said().is_empty());
    player.wait_ms(1);
    assert_eq!(player.findings[0].what.zh, "配电房 配电柜: 三相不平衡 30%（65 A / 50 A / 35 A）");
    assert_eq!(player.said(), ["p1 holds"]);
    assert!(phases(&mut player, [58.0, 50.0, 42.0]).wait(600).said().is_empty(), "within the deadband");
    assert_eq!(phases(&mut player, [55.0, 50.0, 45.0]).wait(60).said(), ["p1 ended"]);
}

#[test]
fn little_is_never_out_of_balance_and_nothing_divides_by_zero() {
    let mut player = Player::of("imbalance", RULE);
    phases(&mut player, [20.0, 4.0, 4.0]).wait(60);
    assert_eq!(player.said(), ["p1 ended"]);
    phases(&mut player, [0.0, 0.0, 0.0]).wait(60);
    let all = RULE.replace("least = 10", "least = 0");
    let mut player = Player::of("imbalance", &all);
    assert_eq!(phases(&mut player, [0.0, 0.0, 0.0]).wait(60).said(), ["p1 ended"]);
    assert_eq!(
        phases(&mut player, [-9.0, 0.0, 0.0]).wait(60).said(),
        ["p1 holds"],
        "the sign is a direction"
    );
}

#[test]
fn values_of_two_polls_are_not_compared() {
    let mut player = Player::of("imbalance", RULE);
    player.reads("p1", "current_a", 90.0).wait(11).reads("p1", "current_b", 50.0).reads(
        "p1",
        "current_c",
        50.0,
    );
    assert!(player.wait(600).said().is_empty());
    player.reads("p1", "current_a", f64::NAN);
    assert!(player.wait(600).said().is_empty());
}

#[test]
fn a_device_that_is_not_heard_a_restart_and_a_clock_begin_the_wait_anew() {
    let mut player = Player::of("imbalance", RULE);
    phases(&mut player, [90.0, 50.0, 50.0]).wait(30).link("p1", Link::Down(Fault::Timeout));
    assert!(player.wait(600).said().is_empty());
    phases(&mut player, [90.0, 50.0, 50.0]).wait(59);
    assert!(player.said().is_empty());
    assert_eq!(player.wait(1).said(), ["p1 holds"]);
    player.restart();
    phases(&mut player, [50.0, 50.0, 50.0]).set_wall(Wall(1_000)).wait(60);
    assert_eq!(player.said(), ["p1 ended"], "an alarm of the run before is ended, whatever the clock says");
}

#[test]
fn slips_are_told_with_what_to_write() {
    one_slip("imbalance", &RULE.replace(", \"current_c\"", ""), &["there are 2 points", "three phases"]);
    one_slip("imbalance", &RULE.replace("current_c", "current_d"), &["no point 'current_d'", "current_c"]);
    one_slip("imbalance", &RULE.replace("current_c", "voltage_c"), &["a limit in A does not fit"]);
    one_slip("imbalance", &RULE.replace("= 10\nleast", "= 30\nleast"), &["could never be left"]);
    one_slip("imbalance", &RULE.replace("above_percent = 20", "above_percent = 200"), &["out of range"]);
    one_slip("imbalance", &RULE.replace("unit = \"A\"\n", ""), &["'rule.unit' is missing"]);
}

/// Of each poll, every 10 s, from the whole series: what held at six polls is said as the sixth interval is over.
#[test]
fn agrees_with_a_naive_reference() {
    let judge = |values: &[f64; 3]| {
        let mean = values.iter().sum::<f64>() / 3.0;
        let largest = values.iter().copied().fold(0.0, f64::max);
        match () {
            () if mean < 10.0 || largest <= 1.1 * mean => Some(false),
            () if largest > 1.2 * mean => Some(true),
            () => None,
        }
    };
    let mut edges_seen = 0;
    for seed in 0..40 {
        let mut dice = Dice::seeded(seed);
        let mut player = Player::of("imbalance", RULE);
        let (mut verdicts, mut said, mut expected, mut heard) = (Vec::new(), None, Vec::new(), Vec::new());
        let mut values = [50.0; 3];
        for turn in 0..600 {
            if dice.roll(8) == 0 {
                values = [
                    50.0,
                    50.0,
                    [50.0, 57.0, 60.0, 75.0, 80.0][usize::try_from(dice.roll(5)).expect("small")],
                ];
                if dice.roll(6) == 0 {
                    values = [1.0, 1.0, 9.0];
                }
            }
            verdicts.push(judge(&values));
            phases(&mut player, values).wait_ms(9_999);
            heard.extend(player.findings.drain(..).map(|finding| (turn, finding.level == Level::Holds)));
            player.wait_ms(1);
            heard.extend(player.findings.drain(..).map(|finding| (turn + 1, finding.level == Level::Holds)));
            let run = verdicts.iter().rev().take_while(|other| **other == judge(&values)).count();
            if let Some(holds) = judge(&values)
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
    assert!(edges_seen > 100, "{edges_seen}");
}

//! Sub-meters against the main; what is missing accuses nobody; restarts, clocks; a naive reference.

use crate::calendar::Calendar;
use crate::model::{RollUp, Wall};
use crate::rules::testing::{Dice, Player, device, eastern, local, one_slip, period, slips, world};
use crate::rules::{Level, World};
use std::sync::Arc;

const RULE: &str = "main = \"e0\"\ndevices = [\"e1\", \"e2\"]\npoint = \"energy_total\"\nwindow = \"hour\"\n\
                    above_percent = 10\nabove = 2\nunit = \"kWh\"\n";
const QUARTER_MS: i64 = 900_000;

/// The quarter hours of an hour, each meter's growth spread over them; nothing of a meter that is missing.
fn hour(start: Wall, meters: [Option<f64>; 3]) -> Vec<RollUp> {
    let quarters = (0..4).map(|turn| start.plus_ms(turn * QUARTER_MS));
    let of = |at: Wall| {
        let devices = ["e0", "e1", "e2"].into_iter().zip(meters);
        devices.filter_map(move |(id, kwh)| Some(period(id, "energy_total", at, 900, kwh? / 4.0)))
    };
    quarters.flat_map(of).collect()
}

/// Hours from 08:00 on; what was said after each.
fn said(hours: &[[Option<f64>; 3]]) -> Vec<String> {
    let mut player = Player::at("2026-10-12T07:00", "balance", RULE);
    player.close_all(&hour(local("2026-10-12T07:00"), [Some(1.0); 3]));
    player.findings.clear();
    for (turn, meters) in (0..).zip(hours) {
        player.close_all(&hour(local("2026-10-12T08:00").plus_ms(turn * 4 * QUARTER_MS), *meters));
    }
    player.words()
}

#[test]
fn a_difference_above_both_limits_is_told_with_the_largest_meter() {
    let even = [Some(30.0), Some(20.0), Some(10.0)];
    let lost = [Some(40.0), Some(20.0), Some(10.0)];
    let words = said(&[even, lost, lost, even, even]);
    assert_eq!(
        words[1..],
        [
            "配电房 总表: 2026-10-12 09:00 总表 40 kWh，分表合计 30 kWh，差额 10 kWh，最大分表 配电房 照明分表 20 kWh",
            "配电房 总表: 2026-10-12 11:00 总表 30 kWh，分表合计 30 kWh，差额 0 kWh，在允许范围内",
        ]
    );
    assert_eq!(said(&[[Some(2.1), Some(0.5), Some(0.5)], even]).len(), 1, "much of little is little");
    assert_eq!(said(&[[Some(100.0), Some(50.0), Some(41.0)], even]).len(), 1, "9 %");
}

#[test]
fn what_is_missing_accuses_nobody() {
    let lost = [Some(40.0), Some(20.0), Some(10.0)];
    let fine = "总表 1 kWh";
    for gap in
        [[None, Some(20.0), Some(10.0)], [Some(40.0), None, Some(10.0)], [Some(40.0), Some(10.0), None]]
    {
        let words = said(&[gap, gap, gap]);
        assert!(words.iter().all(|words| words.contains(fine)), "{words:#?}");
    }
    let words = said(&[[Some(10.0), Some(40.0), None], lost]);
    assert!(
        words.iter().any(|words| words.contains("08:00 总表 10 kWh，分表合计 40 kWh，差额 -30 kWh")),
        "{words:#?}"
    );
}

#[test]
fn growth_after_a_silence_within_the_hour_is_of_the_hour() {
    let mut player = Player::at("2026-10-12T07:00", "balance", RULE);
    let mut all = hour(local("2026-10-12T07:00"), [Some(3.0), Some(2.0), Some(1.0)]);
    let mut next = hour(local("2026-10-12T08:00"), [Some(40.0), Some(28.0), Some(12.0)]);
    // The second meter misses two quarters, and has their growth in the third.
    next[7].delta = Some(21.0);
    next.remove(4);
    next.remove(1);
    all.extend(next);
    all.extend(hour(local("2026-10-12T09:00"), [Some(3.0), Some(2.0), Some(1.0)]));
    assert_eq!(player.close_all(&all).said(), ["e0 ended"]);
}

#[test]
fn a_restart_within_the_hour_knows_its_beginning() {
    let before = hour(local("2026-10-12T07:00"), [Some(3.0), Some(2.0), Some(1.0)]);
    let lost = hour(local("2026-10-12T08:00"), [Some(40.0), Some(20.0), Some(10.0)]);
    let after = hour(local("2026-10-12T09:00"), [Some(3.0), Some(2.0), Some(1.0)]);
    let mut player = Player::at("2026-10-12T08:31", "balance", RULE);
    for period in before.iter().chain(&lost[..6]) {
        player.recall(period);
    }
    assert!(player.findings.is_empty());
    assert_eq!(player.close_all(&lost[6..]).close(&after[0]).said(), ["e0 holds"]);
}

#[test]
fn a_clock_that_ran_ahead_leaves_nothing_behind() {
    let mut player = Player::at("2031-10-12T07:00", "balance", RULE);
    for start in ["2031-10-12T07:00", "2031-10-12T08:00"] {
        player.close_all(&hour(local(start), [Some(3.0), Some(2.0), Some(1.0)]));
    }
    player.findings.clear();
    player.set_wall(local("2026-10-12T07:00"));
    for (start, main) in [("2026-10-12T07:00", 3.0), ("2026-10-12T08:00", 40.0), ("2026-10-12T09:00", 3.0)] {
        player.close_all(&hour(local(start), [Some(main), Some(2.0), Some(1.0)]));
    }
    assert_eq!(player.said(), ["e0 holds"]);
}

/// What is below a sub-meter is in that one already.
#[test]
fn a_meter_below_a_sub_meter_is_not_added_again() {
    let of = |sub: &str, main: &str| (device(sub), device(main));
    for (sub_meters, said) in [
        (vec![of("e1", "e0"), of("e2", "e0")], vec!["e0 holds"]),
        (vec![of("e1", "e0"), of("e2", "e1")], vec!["e0 ended"]),
    ] {
        let world = World { sub_meters: sub_meters.into_iter().collect(), ..world() };
        let mut player = Player::in_world(&world, local("2026-10-12T07:00"), "balance", RULE);
        player.close_all(&hour(local("2026-10-12T07:00"), [Some(1.0); 3]));
        for turn in 1..3 {
            let start = local("2026-10-12T07:00").plus_ms(turn * 4 * QUARTER_MS);
            player.close_all(&hour(start, [Some(30.0), Some(29.0), Some(20.0)]));
        }
        assert_eq!(player.said(), said);
    }
}

#[test]
fn slips_are_told_with_what_to_write() {
    one_slip("balance", &RULE.replace("\"e0\"", "\"e9\""), &["no device has the id 'e9'", "e0"]);
    one_slip(
        "balance",
        &RULE.replace("main = \"e0\"", "main = \"e1\""),
        &["its own sub-meter", "take it out"],
    );
    one_slip(
        "balance",
        &RULE.replace("main = \"e0\"", "main = \"w1\""),
        &["'w1' has no point 'energy_total'"],
    );
    one_slip("balance", &RULE.replace("above = 2\n", ""), &["'rule.above' is missing"]);
    one_slip("balance", &RULE.replace("kWh", "m3"), &["a limit in m3 does not fit"]);
    let by_class = RULE.replace("devices = [\"e1\", \"e2\"]", "class = \"sub-meter\"");
    assert!(slips("balance", &by_class).is_empty(), "the main is left out");
}

/// By the day, over the change of the clocks, with gauges: every quarter that is missing is missing.
#[test]
fn agrees_with_a_naive_reference() {
    let zone = eastern();
    let world = World { calendar: Arc::new(Calendar::default_school(zone.clone())), ..world() };
    let rule = RULE
        .replace("energy_total", "power_total")
        .replace("\"hour\"", "\"day\"")
        .replace("above = 2", "above = 40");
    let begin: jiff::civil::DateTime = "2026-10-30T00:00".parse().expect("a time");
    let start = Wall(zone.to_timestamp(begin).expect("a time").as_millisecond());
    let mut judged = 0;
    for seed in 0..30 {
        let mut dice = Dice::seeded(seed);
        let mut player = Player::in_world(&world, start, "balance", &rule);
        let mut days: Vec<(jiff::civil::Date, [f64; 3], [bool; 3])> = Vec::new();
        let mut load = [30.0, 20.0, 10.0];
        for turn in 0..6 * 96 {
            let at = start.plus_ms(turn * QUARTER_MS);
            let local = jiff::Timestamp::from_millisecond(at.0).expect("a time").to_zoned(zone.clone());
            if days.last().is_none_or(|day| day.0 != local.date()) {
                days.push((local.date(), [0.0; 3], [true; 3]));
                load[0] = [30.0, 31.0, 33.5, 26.0][usize::try_from(dice.roll(4)).expect("small")];
            }
            for (meter, id) in ["e0", "e1", "e2"].into_iter().enumerate() {
                let (_, sums, whole) = days.last_mut().expect("a day");
                if dice.roll(600) == 0 {
                    whole[meter] = false;
                } else {
                    sums[meter] += load[meter] / 4.0;
                    player.close(&period(id, "power_total", at, 900, load[meter]));
                }
            }
        }
        days.pop();
        let too_much = |by: f64, main: f64| by > 40.0 && by > 0.1 * main;
        let verdicts = days.iter().filter(|day| day.2[0]).filter_map(|(_, [main, a, b], whole)| {
            let off = main - a - b;
            let all = whole.iter().all(|whole| *whole);
            if all { Some(too_much(off.abs(), *main)) } else { too_much(-off, *main).then_some(true) }
        });
        let mut expected: Vec<bool> = verdicts.collect();
        expected.dedup();
        let said: Vec<bool> = player.findings.iter().map(|finding| finding.level == Level::Holds).collect();
        assert_eq!(said, expected, "seed {seed}");
        judged += said.len();
    }
    assert!(judged > 30, "{judged}");
}

//! Leaks by night, with counters and gauges; gaps, restarts, clocks; a naive reference.

use crate::calendar::Calendar;
use crate::model::{RollUp, Wall};
use crate::rules::testing::{Dice, Player, eastern, local, one_slip, period, world};
use crate::rules::{Level, World};
use std::sync::Arc;

const RULE: &str = "devices = [\"w1\"]\npoint = \"volume_total\"\nabove = 20\nunit = \"L/h\"\n";
const QUARTER_MS: i64 = 900_000;

/// Quarter hours from 00:00 to 06:00 of a day with so many litres each; less than 0 is a quarter that is missing.
fn night(midnight: Wall, litres: impl Fn(i64) -> f64) -> Vec<RollUp> {
    let quarters = (0..24).map(|turn| (midnight.plus_ms(turn * QUARTER_MS), litres(turn)));
    let measured = quarters.filter(|(_, litres)| *litres >= 0.0);
    measured.map(|(at, litres)| period("w1", "volume_total", at, 900, litres / 1000.0)).collect()
}

#[test]
fn water_that_never_stands_still_is_a_leak_and_says_how_much() {
    let mut player = Player::at("2026-10-12T00:00", "min_flow", RULE);
    // A pulse of 10 L every 15 minutes, and somebody showers at 02:00.
    player.close_all(&night(local("2026-10-12T00:00"), |turn| if turn == 8 { 60.0 } else { 10.0 }));
    let finding = &player.findings[0].what;
    assert_eq!(
        finding.zh,
        "配电房 水表: 2026-10-12 01:00-05:00 夜间用水量最小值 40 L/h，高于 20 L/h：疑似泄漏，每小时约 40 L，每天约 960 L"
    );
    assert!(finding.en.contains("some 40 L an hour, 960 L a day"), "{}", finding.en);
    assert_eq!(player.said(), ["w1 holds"]);
    player.close_all(&night(
        local("2026-10-13T00:00"),
        |turn| if (9..13).contains(&turn) { 5.0 } else { 40.0 },
    ));
    assert_eq!(player.said(), ["w1 ended"], "one hour of it was within");
}

#[test]
fn a_counter_that_moves_twice_an_hour_leaks_all_the_same() {
    let mut player = Player::at("2026-10-12T00:00", "min_flow", RULE);
    player.close_all(&night(local("2026-10-12T00:00"), |turn| if turn % 2 == 0 { 20.0 } else { 0.0 }));
    assert_eq!(player.said(), ["w1 holds"]);
}

#[test]
fn what_was_not_measured_may_have_stood_still() {
    let mut player = Player::at("2026-10-12T00:00", "min_flow", RULE);
    player.close_all(&night(
        local("2026-10-12T00:00"),
        |turn| if (8..13).contains(&turn) { -1.0 } else { 20.0 },
    ));
    assert!(player.said().is_empty());
    // A silence whose growth comes at once does not count as a flow without end.
    player.close_all(&night(local("2026-10-13T00:00"), |turn| match turn {
        5..14 => -1.0,
        14 => 200.0,
        _ => 0.0,
    }));
    assert!(player.said().is_empty());
}

#[test]
fn a_restart_in_the_night_knows_its_beginning() {
    let tonight = night(local("2026-10-12T00:00"), |_| 10.0);
    let mut player = Player::at("2026-10-12T04:00", "min_flow", RULE);
    for period in &tonight[..16] {
        player.recall(period);
    }
    assert_eq!(player.close_all(&tonight[16..]).said(), ["w1 holds"]);
    assert!(player.restart().close_all(&tonight[16..]).said().is_empty(), "an hour is not the night");
}

#[test]
fn a_clock_that_is_not_set_and_a_clock_that_ran_ahead_lose_no_later_night() {
    let mut player = Player::at("2026-10-12T00:00", "min_flow", RULE);
    player.set_wall(local("2031-01-01T00:00"));
    player.close_all(&night(local("2031-01-01T00:00"), |_| 0.0)[..18]);
    player.set_wall(Wall(5_000)).wait(600).set_wall(local("2026-10-12T00:00"));
    assert_eq!(player.close_all(&night(local("2026-10-12T00:00"), |_| 10.0)).said(), ["w1 holds"]);
}

#[test]
fn slips_are_told_with_what_to_write() {
    one_slip("min_flow", &RULE.replace("above = 20\n", ""), &["'rule.above' is missing"]);
    one_slip("min_flow", &RULE.replace("L/h", "kW"), &["a limit in kW does not fit", "m3/h"]);
    one_slip("min_flow", &format!("{RULE}span_secs = 5\n"), &["'rule.span_secs' is out of range"]);
    one_slip("min_flow", &format!("{RULE}hour = \"01:00-02:00\"\n"), &["'hour' is not a key", "hours"]);
}

/// Over each unbroken hour of each night that is covered by three quarters.
fn reference(series: &[Option<f64>], zone: &jiff::tz::TimeZone, start: Wall) -> Vec<bool> {
    let local = |turn: usize| {
        let at = start.plus_ms(i64::try_from(turn).expect("small") * QUARTER_MS);
        jiff::Timestamp::from_millisecond(at.0).expect("a time").to_zoned(zone.clone())
    };
    let mut nights: Vec<(jiff::civil::Date, Vec<usize>)> = Vec::new();
    for turn in (0..series.len()).filter(|turn| (1..5).contains(&local(*turn).hour())) {
        match nights.last_mut() {
            Some((date, turns)) if *date == local(turn).date() => turns.push(turn),
            _ => nights.push((local(turn).date(), vec![turn])),
        }
    }
    let mut verdicts = Vec::new();
    for (_, turns) in nights {
        let measured = turns.iter().filter(|turn| series[**turn].is_some()).count();
        let runs =
            turns.windows(4).filter_map(|run| run.iter().map(|turn| series[*turn]).sum::<Option<f64>>());
        if let Some(least) = runs.min_by(f64::total_cmp)
            && measured * 4 >= turns.len() * 3
        {
            verdicts.push(least > 0.02);
        }
    }
    verdicts.dedup();
    verdicts
}

/// With a gauge, over the change of the clocks: one night has five hours.
#[test]
fn agrees_with_a_naive_reference() {
    let zone = eastern();
    let world = World { calendar: Arc::new(Calendar::default_school(zone.clone())), ..world() };
    let rule = RULE.replace("volume_total", "flow");
    let begin: jiff::civil::DateTime = "2026-10-30T12:00".parse().expect("a time");
    let start = Wall(zone.to_timestamp(begin).expect("a time").as_millisecond());
    let mut judged = 0;
    for seed in 0..60 {
        let mut dice = Dice::seeded(seed);
        let mut flow = 0.03;
        let series: Vec<Option<f64>> = (0..5 * 96)
            .map(|_| {
                if dice.roll(6) == 0 {
                    flow = [0.03, 0.03, 0.05, 0.0, 0.01][usize::try_from(dice.roll(5)).expect("small")];
                }
                (dice.roll(40) > 0).then_some(flow / 4.0)
            })
            .collect();
        let mut player = Player::in_world(&world, start, "min_flow", &rule);
        for (turn, litres) in (0..).zip(&series) {
            if let Some(volume) = litres {
                let at = start.plus_ms(turn * QUARTER_MS);
                player.close(&period("w1", "flow", at, 900, volume * 4.0));
            }
        }
        let said: Vec<bool> = player.findings.iter().map(|finding| finding.level == Level::Holds).collect();
        assert_eq!(said, reference(&series, &zone, start), "seed {seed}");
        judged += said.len();
    }
    assert!(judged > 60, "{judged}");
}

//! Hours and days against comparable ones; gaps, restarts, clocks; a naive reference.

use crate::calendar::Calendar;
use crate::model::{RollUp, Wall};
use crate::rules::testing::{Dice, Player, eastern, local, one_slip, period, world};
use crate::rules::{Level, World};
use jiff::tz::TimeZone;
use std::sync::Arc;

const RULE: &str = "devices = [\"e1\"]\npoint = \"energy_total\"\ntimes = 2\nleast_difference = 3\nunit = \"kWh\"\ndays = 4\n";
const HOUR_MS: i64 = 3_600_000;

fn hour(start: Wall, kilowatt_hours: f64) -> RollUp {
    period("e1", "energy_total", start, 3600, kilowatt_hours)
}

/// One day of hours, of which that at 10:00 is another.
fn day(midnight: &str, ten: f64) -> Vec<RollUp> {
    let midnight = local(midnight);
    (0..24).map(|turn| hour(midnight.plus_ms(turn * HOUR_MS), if turn == 10 { ten } else { 1.0 })).collect()
}

/// From Monday on, each at 00:00.
const WEEKDAYS: [&str; 5] =
    ["2026-10-12T00:00", "2026-10-13T00:00", "2026-10-14T00:00", "2026-10-15T00:00", "2026-10-16T00:00"];

#[test]
fn an_hour_far_above_the_same_hour_of_other_teaching_days_is_told() {
    let mut player = Player::at("2026-10-11T20:00", "deviation", RULE);
    player.close(&hour(local("2026-10-11T23:00"), 1.0));
    for (midnight, ten) in WEEKDAYS.into_iter().zip([4.0, 4.0, 5.0, 4.0, 9.0]) {
        player.close_all(&day(midnight, ten));
    }
    let said: Vec<String> = player.words();
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[0].contains("2026-10-15 00:00 电量 1 kWh，接近同类日同时段 1 kWh"), "{said:#?}");
    assert_eq!(said[1], "配电房 照明分表: 2026-10-16 10:00 电量 9 kWh，明显高于同类日同时段 4 kWh");
    assert!(said[2].contains("2026-10-16 11:00"));
    // On Saturday nothing is comparable yet.
    player.close_all(&day("2026-10-17T00:00", 90.0));
    assert!(player.said().is_empty());
}

#[test]
fn a_spread_that_is_usual_is_no_deviation_and_little_is_none() {
    let spread = RULE.replace("times = 2", "deviations = 3");
    let mut player = Player::at("2026-10-11T20:00", "deviation", &spread);
    player.close(&hour(local("2026-10-11T23:00"), 1.0));
    for (midnight, ten) in WEEKDAYS.into_iter().zip([10.0, 14.0, 20.0, 26.0, 43.0]) {
        player.close_all(&day(midnight, ten));
    }
    // Median 17, median distance 5: three deviations are 22.2 above.
    assert_eq!(player.said(), ["e1 ended", "e1 holds", "e1 ended"]);
    let mut player = Player::at("2026-10-11T20:00", "deviation", RULE);
    player.close(&hour(local("2026-10-11T23:00"), 1.0));
    for (midnight, ten) in WEEKDAYS.into_iter().zip([1.0, 1.0, 1.0, 1.0, 4.0]) {
        player.close_all(&day(midnight, ten));
    }
    assert_eq!(player.said(), ["e1 ended"], "three kilowatt-hours more are not too much");
}

#[test]
fn days_are_compared_as_a_whole_and_by_weekday() {
    let rule = RULE.replace("days = 4", "days = 3\nwindow = \"day\"\nsame_weekday = true");
    let mut player = Player::at("2026-09-06T20:00", "deviation", &rule);
    player.close(&hour(local("2026-09-06T23:00"), 1.0));
    let monday = local("2026-09-07T00:00");
    for turn in 0..7 * 24 * 5 {
        // Mondays take 24 kWh, other days 240; the fifth Monday takes 100.
        let (week, weekday) = (turn / 168, turn % 168 / 24);
        let kwh = match (week, weekday) {
            (4, 0) => 100.0 / 24.0,
            (_, 0) => 1.0,
            _ => 10.0,
        };
        player.close(&hour(monday.plus_ms(turn * HOUR_MS), kwh));
    }
    let said = player.words();
    assert!(said[0].contains("2026-09-28 电量 24 kWh，接近"), "{said:#?}");
    assert!(said[1].contains("2026-10-05 电量 100 kWh，明显高于同类日同时段 24 kWh"), "{said:#?}");
    assert_eq!(said.len(), 3);
}

#[test]
fn hours_of_which_too_little_was_measured_neither_judge_nor_count() {
    let gauge = RULE.replace("energy_total", "power_total").replace("days = 4", "days = 3");
    let mut player = Player::at("2026-10-11T20:00", "deviation", &gauge);
    let ten = |midnight: &str, kilowatts: f64, values: u32| {
        let whole = period("e1", "power_total", local(midnight).plus_ms(10 * HOUR_MS), 3600, kilowatts);
        RollUp { count: values, sum: kilowatts * f64::from(values), ..whole }
    };
    for midnight in &WEEKDAYS[..2] {
        player.close(&ten(midnight, 4.0, 360));
    }
    player.close(&ten(WEEKDAYS[2], 400.0, 179));
    player.close(&ten(WEEKDAYS[3], 4.0, 180));
    assert!(player.said().is_empty(), "two hours are too few to compare with");
    player.close(&ten(WEEKDAYS[4], 9.0, 360));
    assert_eq!(player.said(), ["e1 holds"]);
}

#[test]
fn a_restart_knows_the_days_before() {
    let mut player = Player::at("2026-10-16T10:00", "deviation", RULE);
    for midnight in &WEEKDAYS[..4] {
        for period in day(midnight, 4.0) {
            player.recall(&period);
        }
    }
    for period in &day(WEEKDAYS[4], 9.0)[..10] {
        player.recall(period);
    }
    assert!(player.findings.is_empty());
    player.close(&day(WEEKDAYS[4], 9.0)[10]);
    assert_eq!(player.said(), ["e1 holds"]);
}

#[test]
fn clocks_that_are_wrong_for_a_while_leave_nothing_behind() {
    let mut player = Player::at("2031-10-13T00:00", "deviation", RULE);
    for midnight in ["2031-10-13T00:00", "2031-10-14T00:00", "2031-10-15T00:00", "2031-10-16T00:00"] {
        player.close_all(&day(midnight, 0.1));
    }
    player.set_wall(Wall(5_000)).wait(600).set_wall(local("2026-10-11T23:00")).findings.clear();
    player.close(&hour(local("2026-10-11T23:00"), 1.0));
    for (midnight, ten) in WEEKDAYS.into_iter().zip([9.0, 9.0, 9.0, 9.0, 9.0]) {
        player.close_all(&day(midnight, ten));
    }
    assert!(player.said().is_empty(), "9 kWh are not compared with what was little in 2031");
}

#[test]
fn slips_are_told_with_what_to_write() {
    one_slip("deviation", &RULE.replace("times = 2\n", ""), &["no limit", "deviations = 5"]);
    one_slip("deviation", &RULE.replace("times = 2", "times = 0.5"), &["'rule.times' is out of range"]);
    one_slip(
        "deviation",
        &RULE.replace("days = 4", "days = 20\nsame_weekday = true"),
        &["60 days", "days = 8"],
    );
    one_slip("deviation", &RULE.replace("unit = \"kWh\"\n", ""), &["'rule.unit' is missing"]);
    one_slip("deviation", &format!("{RULE}window = \"week\"\n"), &["hour", "day"]);
}

/// Of each hour, anew from the whole series.
fn reference(series: &[(Wall, Option<f64>)], zone: &TimeZone) -> Vec<(Wall, bool)> {
    let of = |at: Wall| {
        let local = jiff::Timestamp::from_millisecond(at.0).expect("a time").to_zoned(zone.clone());
        (local.weekday().to_monday_zero_offset() < 5, local.hour())
    };
    let mut verdicts: Vec<(Wall, bool)> = Vec::new();
    for (turn, (at, value)) in series.iter().enumerate() {
        let Some(value) = value else { continue };
        let mut usual: Vec<f64> = series[..turn]
            .iter()
            .rev()
            .filter(|(other, value)| value.is_some() && of(*other) == of(*at))
            .filter_map(|(_, value)| *value)
            .take(4)
            .collect();
        if usual.len() < 3 {
            continue;
        }
        usual.sort_by(f64::total_cmp);
        let median = if usual.len() == 3 { usual[1] } else { (usual[1] + usual[2]) / 2.0 };
        let holds = *value > (2.0 * median).max(median + 3.0);
        if verdicts.last().map(|(_, held)| *held) != Some(holds) {
            verdicts.push((*at, holds));
        }
    }
    verdicts
}

#[test]
fn agrees_with_a_naive_reference_over_the_change_of_the_clocks() {
    let zone = eastern();
    let world = World { calendar: Arc::new(Calendar::default_school(zone.clone())), ..world() };
    let rule = RULE.replace("energy_total", "power_total");
    let begin: jiff::civil::DateTime = "2026-10-20T00:00".parse().expect("a time");
    let start = Wall(zone.to_timestamp(begin).expect("a time").as_millisecond());
    let mut judged = 0;
    for seed in 0..30 {
        let mut dice = Dice::seeded(seed);
        let series: Vec<(Wall, Option<f64>)> = (0..21 * 24)
            .map(|turn| {
                let value =
                    [1.0, 2.0, 4.0, 4.5, 5.0, 9.0, 12.0][usize::try_from(dice.roll(7)).expect("small")];
                (start.plus_ms(turn * HOUR_MS), (dice.roll(12) > 0).then_some(value))
            })
            .collect();
        let mut player = Player::in_world(&world, start, "deviation", &rule);
        let mut said = Vec::new();
        for (at, value) in &series {
            if let Some(value) = value {
                player.close(&period("e1", "power_total", *at, 3600, *value));
            }
            said.extend(player.findings.drain(..).map(|finding| (*at, finding.level == Level::Holds)));
        }
        assert_eq!(said, reference(&series, &zone), "seed {seed}");
        judged += said.len();
    }
    assert!(judged > 1000, "{judged}");
}

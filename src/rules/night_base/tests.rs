//! Nights against a limit and against each other; gaps, restarts, exchanged meters, clocks; a naive reference.

use crate::calendar::Calendar;
use crate::model::{RollUp, Wall};
use crate::rules::World;
use crate::rules::testing::{Dice, Player, eastern, local, one_slip, period, world};
use jiff::tz::TimeZone;
use std::sync::Arc;

const LIMIT: &str = "devices = [\"e1\"]\npoint = \"energy_total\"\nabove = 5\nunit = \"kW\"\n";
const SHARE: &str =
    "devices = [\"e1\"]\npoint = \"energy_total\"\npercent_of_mean = 150\nunit = \"kWh\"\nnights = 4\n";
const QUARTER_MS: i64 = 900_000;

/// Quarter hours of so many hours from `start` on, at so many kilowatts.
fn quarters(start: Wall, hours: i64, kilowatts: f64) -> impl Iterator<Item = RollUp> {
    (0..hours * 4)
        .map(move |turn| period("e1", "energy_total", start.plus_ms(turn * QUARTER_MS), 900, kilowatts / 4.0))
}

/// From noon to noon: a load by day and another one in the night.
fn day(noon: Wall, night: f64) -> Vec<RollUp> {
    let hour = |hours: i64| noon.plus_ms(hours * 3_600_000);
    quarters(noon, 11, 20.0).chain(quarters(hour(11), 6, night)).chain(quarters(hour(17), 7, 20.0)).collect()
}

fn live(player: &mut Player, night: f64) {
    for period in day(player.now.wall.period_start(QUARTER_MS), night) {
        player.close(&period);
    }
}

#[test]
fn a_night_above_the_limit_is_told_when_it_is_over_and_ends_with_a_later_one() {
    let mut player = Player::at("2026-10-12T12:00", "night_base", LIMIT);
    let noon = player.now.wall;
    for period in day(noon, 6.0) {
        assert!(player.findings.is_empty() || period.start >= local("2026-10-13T05:00"));
        player.close(&period);
    }
    assert_eq!(
        player.findings[0].what.zh,
        "配电房 照明分表: 2026-10-12 23:00-05:00 夜间电量平均 6 kW，高于 5 kW"
    );
    assert_eq!(player.said(), ["e1 holds"]);
    live(&mut player, 5.5);
    assert!(player.said().is_empty(), "it holds still");
    live(&mut player, 5.0);
    assert_eq!(player.said(), ["e1 ended"]);
}

#[test]
fn nights_after_teaching_days_are_compared_with_such() {
    // A Friday noon; the nights of Friday are after a teaching day, those of Saturday and Sunday are not.
    let mut player = Player::at("2026-10-02T12:00", "night_base", SHARE);
    for night in [4.0, 1.0, 1.0, 4.0, 4.0, 4.0, 4.0, 4.0, 1.0, 1.0] {
        live(&mut player, night);
    }
    assert_eq!(player.said(), ["e1 ended"], "Saturdays are no reason to take 4 kW for too much on Monday");
    live(&mut player, 6.1);
    let said = player.words();
    assert_eq!(said, ["配电房 照明分表: 2026-10-12 23:00-05:00 夜间电量平均 6.1 kWh，高于 6 kWh"]);
}

#[test]
fn next_to_nothing_is_not_too_much_however_little_was_usual() {
    let rule = format!("{SHARE}least_difference = 0.5\n");
    let mut player = Player::at("2026-10-05T12:00", "night_base", &rule);
    for night in [0.0, 0.0, 0.0, 0.4] {
        live(&mut player, night);
    }
    assert_eq!(player.said(), ["e1 ended"]);
    live(&mut player, 0.7);
    assert_eq!(player.said(), ["e1 holds"]);
}

#[test]
fn a_night_of_which_too_little_was_measured_is_not_judged() {
    let mut player = Player::at("2026-10-12T12:00", "night_base", LIMIT);
    for period in day(player.now.wall, 9.0) {
        // The growth of the silence comes with the quarter after it, and belongs to the evening as well.
        if !(local("2026-10-12T22:00")..local("2026-10-13T02:30")).contains(&period.start) {
            player.close(&period);
        }
    }
    assert!(player.said().is_empty());
}

#[test]
fn growth_after_a_silence_is_no_load_of_the_quarter_in_which_it_came() {
    let mut player = Player::at("2026-10-12T12:00", "night_base", LIMIT);
    for mut period in day(player.now.wall, 1.0) {
        // Silent from 20:00 to 23:30: 70 kWh of the evening come at once.
        if (local("2026-10-12T20:00")..local("2026-10-12T23:30")).contains(&period.start) {
            continue;
        }
        if period.start == local("2026-10-12T23:30") {
            period.delta = Some(70.0);
        }
        player.close(&period);
    }
    assert_eq!(player.said(), ["e1 ended"]);
}

#[test]
fn an_exchanged_meter_counts_on_from_its_new_value() {
    let mut player = Player::at("2026-10-12T12:00", "night_base", LIMIT);
    for mut period in day(player.now.wall, 6.0) {
        // A quarter in which nothing could be counted: the aggregate says 0 growth.
        if period.start == local("2026-10-13T01:00") {
            period.delta = Some(0.0);
        }
        player.close(&period);
    }
    assert_eq!(player.said(), ["e1 holds"]);
}

#[test]
fn a_restart_in_the_night_knows_the_nights_before_by_the_hour() {
    let history = |player: &mut Player| {
        let mut noon = local("2026-10-05T12:00");
        for night in [4.0, 4.0, 4.0, 4.0, 4.0, 1.0, 1.0] {
            for four in day(noon, night).chunks(4) {
                let delta = four.iter().filter_map(|period| period.delta).sum();
                player.recall(&period("e1", "energy_total", four[0].start, 3600, delta));
            }
            noon = noon.plus_ms(24 * 3_600_000);
        }
        assert!(player.findings.is_empty(), "nothing is said of what was before");
    };
    for (night, said) in [(6.1, "e1 holds"), (5.9, "e1 ended")] {
        let mut player = Player::at("2026-10-13T01:00", "night_base", SHARE);
        history(&mut player);
        let tonight: Vec<RollUp> = day(local("2026-10-12T12:00"), night);
        for period in tonight.iter().filter(|period| period.start < local("2026-10-13T01:00")) {
            player.recall(period);
        }
        player.close_all(&tonight[13 * 4..]);
        assert_eq!(player.said(), [said]);
        // Without what was before there is nothing to compare with.
        player.restart();
        player.close_all(&tonight);
        assert!(player.said().is_empty());
    }
}

#[test]
fn late_values_change_a_night_that_was_judged() {
    let rule = LIMIT.replace("energy_total", "power_total");
    let mut player = Player::at("2026-10-12T12:00", "night_base", &rule);
    let mut last = None;
    for hour in 11..18 {
        for quarter in 0..4 {
            let start = local("2026-10-12T12:00").plus_ms((hour * 4 + quarter) * QUARTER_MS);
            let closed = period("e1", "power_total", start, 900, 5.2);
            player.close(&closed);
            last = (hour == 16).then_some(closed).or(last);
        }
    }
    assert_eq!(player.said(), ["e1 holds"]);
    let last = last.expect("closed");
    player.close(&RollUp { revision: 1, sum: -0.2 * f64::from(last.count), ..last });
    assert_eq!(player.said(), ["e1 ended"]);
}

#[test]
fn a_clock_that_ran_ahead_leaves_nothing_behind() {
    let mut player = Player::at("2026-10-12T12:00", "night_base", SHARE);
    for _ in 0..3 {
        player.set_wall(local("2031-03-03T12:00"));
        live(&mut player, 0.1);
    }
    player.findings.clear();
    player.set_wall(local("2026-10-12T12:00"));
    for night in [4.0, 4.0, 4.0, 4.0, 4.1] {
        live(&mut player, night);
    }
    assert_eq!(player.said(), ["e1 ended"]);
}

#[test]
fn slips_are_told_with_what_to_write() {
    one_slip("night_base", &LIMIT.replace("above = 5\n", ""), &["no limit", "percent_of_mean"]);
    one_slip("night_base", &LIMIT.replace("kW", "V"), &["does not fit", "kWh"]);
    one_slip("night_base", &LIMIT.replace("energy_total", "energy"), &["no point 'energy'"]);
    one_slip("night_base", &format!("{LIMIT}hours = \"23-5\"\n"), &["hours", "23:00-05:00"]);
    one_slip("night_base", &format!("{LIMIT}nights = 1\n"), &["'rule.nights' is out of range"]);
    let currents = LIMIT.replace("\"e1\"", "\"p1\"").replace("energy_total", "current_a").replace("kW", "A");
    one_slip("night_base", &currents, &["'current_a' measures A, which is no consumption"]);
}

/// A world whose clocks change in autumn.
fn changing() -> World {
    World { calendar: Arc::new(Calendar::default_school(eastern())), ..world() }
}

fn at(zone: &TimeZone, text: &str) -> Wall {
    let local: jiff::civil::DateTime = text.parse().expect("a date and time");
    Wall(zone.to_timestamp(local).expect("exists").as_millisecond())
}

/// The verdicts on the nights from 23:00 to 05:00 by the local clock, from all that came: growth that came after a
/// silence counts where all of the silence was in the night.
fn reference(zone: &TimeZone, came: &[RollUp], limit: f64) -> Vec<bool> {
    let evening = |at: Wall| {
        let local = jiff::Timestamp::from_millisecond(at.0).expect("a time").to_zoned(zone.clone());
        match local.hour() {
            23 => Some(local.date()),
            0..=4 => Some(local.date().yesterday().expect("a day")),
            _ => None,
        }
    };
    let mut verdicts = Vec::new();
    let mut seen: Vec<jiff::civil::Date> = came.iter().filter_map(|period| evening(period.start)).collect();
    seen.dedup();
    for night in seen {
        let noon = night.at(12, 0, 0, 0).to_zoned(zone.clone()).expect("a time").timestamp().as_millisecond();
        let quarters = (0..112).filter(|turn| evening(Wall(noon + turn * QUARTER_MS)) == Some(night)).count();
        let (mut covered, mut amount) = (0, 0.0);
        for two in came.windows(2) {
            let (from, end) = (two[0].start.plus_ms(QUARTER_MS), two[1].start.plus_ms(QUARTER_MS));
            let all: Vec<_> = (0..end.since(from) / QUARTER_MS)
                .map(|turn| evening(from.plus_ms(turn * QUARTER_MS)))
                .collect();
            if all.iter().all(|of| *of == Some(night)) {
                covered += all.len();
                amount += two[1].delta.expect("a counter");
            }
        }
        if covered * 2 >= quarters {
            verdicts.push(amount / (f64::from(u32::try_from(covered).expect("small")) / 4.0) > limit);
        }
    }
    verdicts.dedup();
    verdicts
}

#[test]
fn agrees_with_a_naive_reference_over_the_change_of_the_clocks() {
    let zone = eastern();
    let mut judged = 0;
    for seed in 0..40 {
        let mut dice = Dice::seeded(seed);
        let start = at(&zone, "2026-10-26T12:00");
        let (mut load, mut missing, mut gone) = (4.0, 0, 0.0);
        let mut came = Vec::new();
        for turn in 0..14 * 96 {
            if dice.roll(20) == 0 {
                load = [3.0, 4.0, 5.0, 5.5, 7.0][usize::try_from(dice.roll(5)).expect("small")];
            }
            if dice.roll(60) == 0 {
                missing = dice.roll(20);
            }
            gone += load / 4.0;
            if missing > 0 {
                missing -= 1;
                continue;
            }
            came.push(period("e1", "energy_total", start.plus_ms(turn * QUARTER_MS), 900, gone));
            gone = 0.0;
        }
        let mut player = Player::in_world(&changing(), start, "night_base", LIMIT);
        player.close_all(&came);
        let said: Vec<bool> = player.findings.iter().map(|f| f.level == crate::rules::Level::Holds).collect();
        assert_eq!(said, reference(&zone, &came, 5.0), "seed {seed}");
        judged += said.len();
    }
    assert!(judged > 60, "{judged}");
}

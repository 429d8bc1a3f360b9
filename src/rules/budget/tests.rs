//! Budgets of days and months; for a head; projections; resets, restarts, silences, clocks; a naive reference.

use crate::calendar::Calendar;
use crate::model::{Priority, RollUp, Wall};
use crate::rules::testing::{Dice, Player, device, eastern, local, one_slip, parse, period, world};
use crate::rules::{Level, World};
use std::sync::Arc;

const DAY: &str =
    "devices = [\"e1\"]\npoint = \"energy_total\"\nbudget = 100\nunit = \"kWh\"\nper = \"day\"\n";
const HOUR_MS: i64 = 3_600_000;

fn hours(start: &str, count: i64, kwh: f64) -> Vec<RollUp> {
    let start = local(start);
    (0..count).map(|turn| period("e1", "energy_total", start.plus_ms(turn * HOUR_MS), 3600, kwh)).collect()
}

/// One that has seen the hour before, and said that nothing holds.
fn begun(start: &str, rule: &str) -> Player {
    let mut player = Player::in_world(&world(), local(start).plus_ms(-HOUR_MS), "budget", rule);
    player.close(&period("e1", "energy_total", local(start).plus_ms(-2 * HOUR_MS), 3600, 0.0));
    player.close(&period("e1", "energy_total", local(start).plus_ms(-HOUR_MS), 3600, 0.0));
    player.findings.clear();
    player
}

#[test]
fn shares_of_a_day_are_told_as_they_are_reached_and_end_at_midnight() {
    let mut player = begun("2026-10-12T00:00", DAY);
    player.close_all(&hours("2026-10-12T00:00", 7, 10.0));
    assert!(player.said().is_empty());
    player.close_all(&hours("2026-10-12T07:00", 1, 10.0));
    assert_eq!(
        player.findings[0].what.zh,
        "配电房 照明分表: 当日（2026-10-12 起）用量 80 kWh，达到预算 100 kWh 的 80%"
    );
    assert_eq!(player.findings[0].priority, Priority::Low);
    assert_eq!(player.said(), ["e1:80 holds"]);
    player.close_all(&hours("2026-10-12T08:00", 2, 10.0));
    assert_eq!(
        (player.findings[0].priority, player.findings[0].device.clone()),
        (Priority::Medium, Some(device("e1")))
    );
    assert_eq!(player.said(), ["e1:100 holds"]);
    player.close_all(&hours("2026-10-12T10:00", 13, 0.0));
    let left = local("2026-10-13T00:00").since(player.now.wall);
    assert!(player.wait_ms(u64::try_from(left).expect("ahead") - 1).said().is_empty());
    assert_eq!(player.wait_ms(1).said(), ["e1:80 ended", "e1:100 ended"]);
}

/// What a main meter counts of its sub-meters is not added to what they count themselves.
#[test]
fn meters_together_are_counted_once() {
    let rule = "class = \"sub-meter\"\nplace = \"plant\"\npoint = \"energy_total\"\nbudget = 50\nunit = \"kWh\"\n\
                per = \"day\"\nsum = true\nwarn_percent = [100]\n";
    let sub_meters = [("e1", "e0"), ("e2", "e1")].map(|(sub, main)| (device(sub), device(main)));
    let world = World { sub_meters: sub_meters.into_iter().collect(), ..world() };
    for (rule, watched) in [(rule.to_owned(), 1), (rule.replace("sum = true", "sum = false"), 3)] {
        let mut player = Player::in_world(&world, local("2026-10-12T00:00"), "budget", &rule);
        for (hour, (id, kwh)) in
            (0..6).flat_map(|hour| [("e0", 9.0), ("e1", 8.0), ("e2", 7.0)].map(|of| (hour, of)))
        {
            let start = local("2026-10-12T00:00").plus_ms(hour * HOUR_MS);
            player.close(&period(id, "energy_total", start, 3600, kwh));
        }
        let said = player.said();
        assert_eq!(said.len(), watched, "{said:?}");
        assert!(said.iter().all(|said| said.ends_with("ended")), "45 kWh of 50: {said:?}");
    }
}

#[test]
fn a_budget_for_a_head_of_all_meters_of_a_place() {
    let rule = "class = \"sub-meter\"\nplace = \"plant\"\npoint = \"energy_total\"\nbudget = 0.5\nunit = \"kWh\"\n\
                per = \"day\"\nheads = 100\nsum = true\nwarn_percent = [100]\n";
    let mut player = Player::at("2026-10-12T00:00", "budget", rule);
    for (hour, id) in (0..6).flat_map(|hour| ["e0", "e1", "e2"].map(|id| (hour, id))) {
        player.close(&period(
            id,
            "energy_total",
            local("2026-10-12T00:00").plus_ms(hour * HOUR_MS),
            3600,
            5.0,
        ));
    }
    assert_eq!(player.findings.last().map(|f| f.device.clone()), Some(None));
    assert_eq!(
        player.findings.last().and_then(|f| f.place.clone()).map(|p| p.to_string()).as_deref(),
        Some("plant")
    );
    let last = player.findings.last().map(|finding| finding.what.zh.clone());
    assert_eq!(
        last.as_deref(),
        Some(
            "配电房: 当日（2026-10-12 起）用量 50 kWh（人均 0.5 kWh），达到预算 50 kWh（人均 0.5 kWh） 的 100%"
        ),
        "the first hour of each meter begins somewhere"
    );
    assert_eq!(player.said(), ["r:100 ended", "r:100 holds"]);
}

#[test]
fn a_line_and_comparable_days_look_ahead() {
    let month = DAY.replace("\"day\"", "\"month\"").replace("budget = 100", "budget = 2500");
    for projection in ["linear", "school_days"] {
        let rule = format!("{month}projection = \"{projection}\"\nwarn_percent = [100]\n");
        let mut player = begun("2026-10-01T00:00", &rule);
        // October 2026 begins on a Thursday: 22 teaching days of 100 kWh, 9 others of 24 kWh.
        let series = [100.0, 100.0, 24.0, 24.0, 100.0, 100.0, 100.0, 100.0, 100.0];
        let mut words = Vec::new();
        for (turn, kwh) in (0..).zip(series) {
            let day = local("2026-10-01T00:00").plus_ms(turn * 24 * HOUR_MS);
            let of = |hour| period("e1", "energy_total", day.plus_ms(hour * HOUR_MS), 3600, kwh / 24.0);
            player.close_all(&(0..24).map(of).collect::<Vec<_>>());
            words.extend(player.words());
        }
        let said = |what: &str| words.iter().any(|words| words.contains(what));
        assert!(said("预计不超出预算 2500 kWh"), "{projection}: {words:#?}");
        // The line goes up with each teaching day; the days themselves make 22 × 100 and 9 × 24 kWh.
        assert_eq!(said("预计将达 25"), projection == "linear", "{words:#?}");
    }
}

#[test]
fn a_restart_in_the_middle_of_the_month_knows_what_was_used() {
    let month = DAY.replace("\"day\"", "\"month\"").replace("budget = 100", "budget = 1000");
    let world = world();
    let mut player = Player::in_world(&world, local("2026-10-12T10:00"), "budget", &month);
    assert!(player.engine.looks_back() >= std::time::Duration::from_secs(32 * 86_400));
    for day in -5..8 {
        // By the day, as what is older is recalled; from the 1st to the 8th 80 kWh each.
        let start = local("2026-10-01T00:00").plus_ms(day * 24 * HOUR_MS);
        player.recall(&period("e1", "energy_total", start, 86_400, 80.0));
    }
    for hour in hours("2026-10-09T00:00", 82, 2.0) {
        player.recall(&hour);
    }
    assert!(player.findings.is_empty());
    // 640 + 164 kWh.
    player.close_all(&hours("2026-10-12T10:00", 1, 2.0));
    assert_eq!(
        player.findings[0].what.zh,
        "配电房 照明分表: 本月（2026-10-01 起）用量 806 kWh，达到预算 1000 kWh 的 80%"
    );
    assert_eq!(player.said(), ["e1:80 holds", "e1:100 ended"]);
}

#[test]
fn growth_after_a_silence_is_spread_over_it_and_an_exchange_counts_nothing_twice() {
    let mut player = begun("2026-10-12T00:00", DAY);
    player.close_all(&hours("2026-10-12T00:00", 12, 1.0));
    // Silent for 24 hours: half of the growth is of the next day.
    let mut late = hours("2026-10-13T11:00", 1, 168.0);
    player.close_all(&late);
    assert!(player.words().iter().any(|words| words.contains("用量 84 kWh，达到预算 100 kWh 的 80%")));
    // The same period again, changed by a late value: 82. Then a meter that begins at zero.
    late[0].revision = 1;
    late[0].delta = Some(164.0);
    player.close_all(&late).close_all(&hours("2026-10-13T12:00", 1, 17.0));
    player.close_all(&hours("2026-10-13T13:00", 1, 0.0));
    assert!(player.said().is_empty(), "99");
    player.close_all(&hours("2026-10-13T14:00", 1, 1.0));
    assert_eq!(player.said(), ["e1:100 holds"]);
}

#[test]
fn a_clock_that_is_not_set_ends_nothing_and_one_that_ran_ahead_leaves_nothing() {
    let mut player = begun("2026-10-12T00:00", DAY);
    player.close_all(&hours("2026-10-12T00:00", 8, 10.0));
    assert_eq!(player.said(), ["e1:80 holds"]);
    let true_time = player.now.wall;
    assert!(player.set_wall(Wall(1_000)).wait(300).said().is_empty());
    player.set_wall(local("2027-03-03T00:00")).wait(60);
    assert_eq!(player.said(), ["e1:80 ended"]);
    player.set_wall(true_time).wait(60);
    player.findings.clear();
    player.close_all(&hours("2026-10-12T08:00", 8, 9.0));
    assert!(
        player.said().is_empty(),
        "what was used before is forgotten with the clock; nothing is counted twice"
    );
}

#[test]
fn a_term_that_is_over_ends_its_alarms() {
    let text =
        "[calendar]\n[[calendar.term]]\nname = \"autumn\"\nfirst = \"2026-09-01\"\nlast = \"2026-10-13\"\n";
    let problems = crate::document::Problems::new();
    let document = crate::document::Document::parse("gateway.toml", text, &problems);
    let table = document.reader(&problems).table("calendar").expect("a table");
    let calendar = Calendar::parse(&table, &crate::rules::testing::zone()).expect("good");
    let world = World { calendar: Arc::new(calendar), ..world() };
    let term = DAY.replace("\"day\"", "\"term\"");
    let mut player = Player::in_world(&world, local("2026-10-13T10:00"), "budget", &term);
    player.close_all(&hours("2026-10-13T10:00", 10, 10.0));
    assert_eq!(player.said(), ["e1:80 ended", "e1:100 ended", "e1:80 holds"]);
    player.wait(4 * 3600);
    assert_eq!(player.said(), ["e1:80 ended"]);
    one_slip("budget", &term, &["the calendar has no terms", "per = \"month\""]);
}

#[test]
fn a_subject_is_judged_as_long_as_its_share_is_written() {
    let rules = parse(&format!("[[rule]]\nid = \"r\"\nkind = \"budget\"\n{DAY}"), &world()).expect("good");
    for (subject, judged) in
        [("e1:80", true), ("e1:100", true), ("e1:90", false), ("e1:projected", false), ("e2:80", false)]
    {
        assert_eq!(rules[0].judges(subject), judged, "{subject}");
    }
}

#[test]
fn slips_are_told_with_what_to_write() {
    one_slip("budget", &DAY.replace("per = \"day\"\n", ""), &["'rule.per' is missing", "school_year"]);
    one_slip("budget", &DAY.replace("kWh", "kW"), &["a budget in kW does not fit", "kWh"]);
    one_slip("budget", &DAY.replace("budget = 100", "budget = 0"), &["'rule.budget' is out of range"]);
    one_slip("budget", &format!("{DAY}heads = 10\narea_m2 = 10\n"), &["head and for a square metre"]);
    one_slip("budget", &format!("{DAY}warn_percent = [80, 80]\n"), &["80 is no share"]);
    one_slip("budget", &format!("{DAY}warn_percent = []\n"), &["there are 0 shares"]);
    one_slip("budget", &format!("{DAY}projection = \"school_days\"\n"), &["not made of school days"]);
}

/// The verdict of 100 % after each hour, from the sum of all hours of the local day. The last hour of a day is closed
/// when the next day has begun.
#[test]
fn agrees_with_a_naive_reference_over_the_change_of_the_clocks() {
    let zone = eastern();
    let world = World { calendar: Arc::new(Calendar::default_school(zone.clone())), ..world() };
    let rule = format!("{DAY}warn_percent = [100]\n");
    let begin: jiff::civil::DateTime = "2026-10-29T22:00".parse().expect("a time");
    let start = Wall(zone.to_timestamp(begin).expect("a time").as_millisecond());
    let mut reached = 0;
    for seed in 0..40 {
        let mut dice = Dice::seeded(seed);
        let mut player = Player::in_world(&world, start, "budget", &rule);
        player.close(&period("e1", "energy_total", start, 3600, 0.0));
        player.findings.clear();
        let (mut day, mut used, mut holds, mut expected) = (None, 0.0, None, Vec::new());
        let date_at =
            |at: Wall| jiff::Timestamp::from_millisecond(at.0).expect("a time").to_zoned(zone.clone()).date();
        for turn in 1..6 * 24 {
            let at = start.plus_ms(turn * HOUR_MS);
            let date = date_at(at);
            if day.replace(date) != Some(date) {
                used = 0.0;
                if holds == Some(true) {
                    holds = Some(false);
                    expected.push(false);
                }
            }
            // Halves add up exactly.
            let kwh = [0.5, 4.0, 6.0, 8.5][usize::try_from(dice.roll(4)).expect("small")];
            used += kwh;
            let last = date_at(at.plus_ms(HOUR_MS)) != date;
            if !last && holds.replace(used >= 100.0) != Some(used >= 100.0) {
                expected.push(used >= 100.0);
            }
            player.close(&period("e1", "energy_total", at, 3600, kwh));
        }
        let said: Vec<bool> = player.findings.iter().map(|finding| finding.level == Level::Holds).collect();
        assert_eq!(said, expected, "seed {seed}");
        reached += said.iter().filter(|holds| **holds).count();
    }
    assert!(reached > 40, "{reached}");
}

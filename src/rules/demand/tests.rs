//! Quarter hours against the contract: projected, exceeded, closed; gaps, restarts, exchanged meters, clocks; a naive
//! reference.

use crate::model::{Fault, Link, Priority, Wall};
use crate::rules::testing::{Dice, Player, local, one_slip, period, world};
use crate::rules::{Level, World};

const GAUGE: &str = "devices = [\"e0\"]\npoint = \"power_total\"\ncontract = 400\nunit = \"kW\"\n";

/// The power for so many seconds, read every 10.
fn runs(player: &mut Player, secs: u64, kilowatts: f64) {
    for _ in 0..secs / 10 {
        player.reads("e0", "power_total", kilowatts).wait(10);
    }
}

#[test]
fn the_trend_warns_before_the_contract_is_exceeded() {
    let mut player = Player::at("2026-10-12T10:00", "demand", GAUGE);
    runs(&mut player, 300, 100.0);
    assert!(player.said().is_empty(), "a third of the quarter");
    runs(&mut player, 60, 100.0);
    assert_eq!(player.said(), ["e0:projected ended"]);
    // 6 minutes at 100 kW, then 590 kW: at the end of the trend it leads to 100·6 + 590·9 over 15 = 394 kW.
    runs(&mut player, 200, 590.0);
    let finding = &player.findings[0];
    assert_eq!((finding.priority, finding.level), (Priority::Low, Level::Holds));
    assert!(finding.what.zh.starts_with("配电房 总表: 第0分起15分钟需量预计达 3"), "{}", finding.what.zh);
    assert!(finding.what.zh.ends_with(" kW，合同需量 400 kW"), "{}", finding.what.zh);
    assert_eq!(player.said(), ["e0:projected holds"]);
    runs(&mut player, 340, 100.0);
    assert!(player.said().is_empty(), "a warning does not flutter within its quarter");
    runs(&mut player, 320, 100.0);
    assert_eq!(player.said(), ["e0:projected ended"]);
}

#[test]
fn what_is_used_up_already_is_exceeded_at_once_and_ends_with_a_quarter_that_is_within() {
    let mut player = Player::at("2026-10-12T10:00", "demand", GAUGE);
    runs(&mut player, 610, 605.0);
    assert_eq!(player.said(), ["e0:projected holds", "e0 holds"]);
    runs(&mut player, 290, 605.0);
    player.engine.close(
        player.now,
        &period("e0", "power_total", local("2026-10-12T10:00"), 900, 605.0),
        &mut player.findings,
    );
    assert!(player.said().is_empty(), "it holds still");
    player.close(&period("e0", "power_total", local("2026-10-12T10:15"), 900, 400.0));
    assert_eq!(player.said(), ["e0 ended"]);
}

#[test]
fn a_closed_quarter_decides_by_a_counter_also_of_five_minute_parts() {
    let rule = GAUGE.replace("power_total", "energy_total");
    let world = World { aggregate_secs: 300, ..world() };
    let mut player = Player::in_world(&world, local("2026-10-12T09:50"), "demand", &rule);
    let close = |player: &mut Player, time: &str, kwh: f64| {
        player.close(&period("e0", "energy_total", local(time), 300, kwh));
    };
    close(&mut player, "2026-10-12T09:55", 30.0);
    for (time, kwh) in [("2026-10-12T10:00", 40.0), ("2026-10-12T10:05", 30.0)] {
        close(&mut player, time, kwh);
    }
    assert!(player.said().is_empty());
    close(&mut player, "2026-10-12T10:10", 31.0);
    assert_eq!(player.findings[0].what.zh, "配电房 总表: 第0分起15分钟需量已达 404 kW，合同需量 400 kW");
    assert_eq!((player.findings[0].priority, player.said()), (Priority::High, vec!["e0 holds".to_owned()]));
    // A part that is missing: its growth comes with the next, which is of the same quarter.
    close(&mut player, "2026-10-12T10:15", 40.0);
    close(&mut player, "2026-10-12T10:25", 60.0);
    assert_eq!(player.said(), ["e0 ended"]);
    // Silent over the end of the quarter: neither is judged.
    close(&mut player, "2026-10-12T10:30", 90.0);
    close(&mut player, "2026-10-12T10:45", 90.0);
    close(&mut player, "2026-10-12T10:50", 0.0);
    close(&mut player, "2026-10-12T10:55", 0.0);
    assert!(player.said().is_empty());
}

#[test]
fn a_counter_is_projected_and_an_exchange_begins_anew() {
    let rule = GAUGE.replace("power_total", "energy_total");
    let mut player = Player::at("2026-10-12T09:59:50", "demand", &rule);
    let mut counter = 5_000.0;
    let mut reads = |player: &mut Player, secs: u64, kilowatts: f64| {
        for _ in 0..secs / 10 {
            player.reads("e0", "energy_total", counter).wait(10);
            counter += kilowatts / 360.0;
        }
    };
    reads(&mut player, 310, 380.0);
    reads(&mut player, 10, 380.0);
    assert_eq!(player.said(), ["e0:projected holds"]);
    let mut player = Player::at("2026-10-12T09:59:50", "demand", &rule);
    reads(&mut player, 200, 380.0);
    player.reads("e0", "energy_total", 0.0).wait(10);
    for turn in 1..60 {
        player.reads("e0", "energy_total", f64::from(turn) * 2.0).wait(10);
    }
    assert!(player.said().is_empty(), "of this quarter the beginning is not known");
}

#[test]
fn what_is_not_known_is_not_judged() {
    let quiet = |disturb: &dyn Fn(&mut Player)| {
        let mut player = Player::at("2026-10-12T10:00", "demand", GAUGE);
        runs(&mut player, 120, 500.0);
        disturb(&mut player);
        runs(&mut player, 300, 500.0);
        player.said()
    };
    assert_eq!(quiet(&|_| {}), ["e0:projected holds"]);
    assert!(quiet(&|player| drop(player.restart().said())).is_empty(), "a restart within the quarter");
    assert!(quiet(&|player| drop(player.link("e0", Link::Down(Fault::Timeout)).said())).is_empty());
    assert!(quiet(&|player| drop(player.wait(120).said())).is_empty(), "a silence");
    assert!(quiet(&|player| drop(player.set_wall(Wall(5_000)).said())).is_empty(), "a clock that is not set");
    assert!(
        quiet(&|player| drop(player.set_wall(local("2026-10-12T08:05")).said())).is_empty(),
        "a clock set back"
    );
}

#[test]
fn a_restart_does_not_take_the_growth_of_the_time_between_for_a_quarter() {
    let rule = GAUGE.replace("power_total", "energy_total");
    let quarter = |time: &str, kwh: f64| period("e0", "energy_total", local(time), 900, kwh);
    let mut player = Player::at("2026-10-12T12:00", "demand", &rule);
    player.recall(&quarter("2026-10-12T10:00", 90.0)).close(&quarter("2026-10-12T12:00", 300.0));
    assert!(player.said().is_empty());
    player.close(&quarter("2026-10-12T12:15", 101.0));
    assert_eq!(player.said(), ["e0 holds"]);
}

#[test]
fn slips_are_told_with_what_to_write() {
    one_slip("demand", &GAUGE.replace("contract = 400\n", ""), &["'rule.contract' is missing"]);
    one_slip("demand", &GAUGE.replace("kW", "V"), &["does not fit"]);
    let water = GAUGE.replace("\"e0\"", "\"w1\"").replace("power_total", "flow");
    one_slip("demand", &water, &["'flow' measures no energy"]);
    let text = format!("[[rule]]\nid = \"r\"\nkind = \"demand\"\n{GAUGE}");
    for (secs, fits) in [(60, true), (300, true), (900, true), (1800, false), (3600, false)] {
        let world = World { aggregate_secs: secs, ..world() };
        let problems = crate::rules::testing::parse(&text, &world).err().unwrap_or_default();
        assert_eq!(problems.is_empty(), fits, "{secs}");
        assert!(problems.iter().all(|problem| problem.advice.en.contains("aggregate_secs = 900")));
    }
}

fn number(ms: i64) -> f64 {
    f64::from(i32::try_from(ms).expect("small"))
}

/// Energy up to a moment, from every reading of the run: the line between two readings is the load.
fn energy(readings: &[(i64, f64)], at: i64) -> f64 {
    let parts = readings.windows(2).map(|two| {
        let ((from, a), (to, b)) = (two[0], two[1]);
        let end = to.min(at);
        let whole = (a + b) / 2.0 * number(to - from);
        if end <= from { 0.0 } else { whole * number(end - from) / number(to - from) }
    });
    parts.sum::<f64>() / 3_600_000.0
}

#[test]
fn agrees_with_a_naive_reference() {
    let mut told = 0;
    for seed in 0..30 {
        let mut dice = Dice::seeded(seed);
        let mut player = Player::at("2026-10-12T10:00", "demand", GAUGE);
        let start = player.now.wall;
        let (mut readings, mut load) = (Vec::new(), 200.0);
        let (mut warned, mut said, mut over) = (false, None, false);
        let (mut expected, mut heard) = (Vec::new(), Vec::new());
        for turn in 0..4 * 90_i64 {
            if dice.roll(20) == 0 {
                load = [101.3, 303.7, 351.1, 423.9, 607.3][usize::try_from(dice.roll(5)).expect("small")];
            }
            let at = turn * 10_000;
            readings.push((at, load));
            player.reads("e0", "power_total", load);
            let window = at / 900_000 * 900_000;
            warned &= at != window;
            let here = energy(&readings, at) - energy(&readings, window);
            let trend = (energy(&readings, at) - energy(&readings, at - 180_000)) / 0.05;
            let projected = (here + trend * number(window + 900_000 - at) / 3_600_000.0) / 0.25;
            if here / 0.25 > 400.0 && !std::mem::replace(&mut over, true) {
                expected.push((at, "e0 holds"));
            }
            if at - window >= 300_000 && !warned {
                warned = projected >= 360.0;
                if said.replace(warned) != Some(warned) {
                    expected.push((at, if warned { "e0:projected holds" } else { "e0:projected ended" }));
                }
            }
            let now = player.now.wall.since(start);
            heard.extend(player.findings.drain(..).map(|finding| {
                let word = if finding.level == Level::Holds { "holds" } else { "ended" };
                (now, format!("{} {word}", finding.key.subject))
            }));
            player.wait(10);
        }
        let expected: Vec<(i64, String)> =
            expected.into_iter().map(|(at, word)| (at, word.to_owned())).collect();
        assert_eq!(heard, expected, "seed {seed}");
        told += heard.len();
    }
    assert!(told > 100, "{told}");
}

//! Limits, delays and windows against the plainest computation of the same: from the whole list, anew at every point, on a
//! million points with gaps, doubted and retained values, steps of the wall clock, late calls and restarts.
#![expect(clippy::cast_precision_loss, reason = "spans of hours, in milliseconds")]

use super::testing::{Dice, Player, local, parse, reading, world};
use super::{Level, World};
use crate::model::{Body, Doubt, Event, EventKind, Observation, Phase, Stamp, Unit};

/// Series of each kind, and points of each: five kinds make a million.
const SERIES: u64 = 1000;
const POINTS: usize = 200;

/// What is seen at a point.
#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    Value(f64),
    Doubted(f64),
    Retained(f64),
    Absent,
}

/// One point of a series.
#[derive(Debug, Clone, Copy)]
struct Point {
    wait_ms: u64,
    /// The pipeline is busy: time passes and no timer is asked.
    stuck: bool,
    /// The wall clock is set by so much before.
    step_ms: i64,
    restart: bool,
    what: What,
    /// How late it is by the device's clock, if it has one.
    late_ms: Option<i64>,
}

/// Values of a generator at random times with all that may go wrong.
fn series(
    dice: &mut Dice,
    most_secs: u64,
    device_clock: bool,
    mut value: impl FnMut(&mut Dice) -> f64,
) -> Vec<Point> {
    let clock = |dice: &mut Dice| if dice.roll(4) == 0 { dice.roll(120_000) } else { 0 };
    let point = |_| {
        let restart = dice.roll(70) == 0;
        let value = value(dice);
        Point {
            wait_ms: match dice.roll(40) {
                0 => dice.roll(40 * most_secs * 1000),
                1 => 0,
                2..=20 => most_secs * 500,
                _ => dice.roll(most_secs * 1000),
            },
            stuck: dice.roll(3) == 0,
            step_ms: match dice.roll(30) {
                0 if !device_clock => i64::try_from(dice.roll(200_000_000)).expect("small") - 100_000_000,
                _ => 0,
            },
            restart,
            what: match dice.roll(16) {
                0 => What::Doubted(value),
                1 => What::Retained(value),
                2 => What::Absent,
                _ => What::Value(value),
            },
            late_ms: device_clock.then(|| i64::try_from(clock(dice)).expect("small")),
        }
    };
    (0..POINTS).map(point).collect()
}

/// What a rule says of a series: at which point, and whether it holds.
fn said(
    world: &World,
    rule: &str,
    series: &[Point],
    see: impl Fn(&Player, What) -> Observation,
) -> Vec<(usize, bool)> {
    let rules = parse(rule, world).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let mut player = Player::new(rules, local("2026-10-09T12:00"));
    let mut edges = Vec::new();
    for (index, point) in series.iter().enumerate() {
        if point.stuck {
            player.stall_ms(point.wait_ms);
        } else {
            player.wait_ms(point.wait_ms);
        }
        player.now.wall = player.now.wall.plus_ms(point.step_ms);
        if point.restart {
            player.restart();
        }
        let mut seen = see(&player, point.what);
        if let Some(late_ms) = point.late_ms {
            seen.stamp = Stamp::new(Some(player.now.wall.plus_ms(-late_ms)), player.now.wall);
        }
        player.see(&seen);
        edges.extend(player.findings.drain(..).map(|finding| (index, finding.level == Level::Holds)));
    }
    edges
}

/// A believed value: when it was measured, on a line that begins at the wall clock of the first.
#[derive(Debug, Clone, Copy)]
struct Good {
    at: i64,
    value: f64,
}

/// What is known at a moment.
struct Known<'k> {
    /// Since the start of the rule, in the order of their times.
    good: &'k [Good],
    /// On the same line.
    now: i64,
    started: i64,
    said: Option<bool>,
    /// The newest value has just come.
    fresh: bool,
}

/// Which points count.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Order {
    /// Each as it comes.
    Arrival,
    /// Those that are newer than the one before, by our clock or, in every second series, by the device's.
    Measured,
}

/// What a judge says of a series, asked before and after each point.
fn expected(series: &[Point], order: Order, judge: impl Fn(Known<'_>) -> Option<bool>) -> Vec<(usize, bool)> {
    let (mut mono, mut wall) = (5_000_i64, local("2026-10-09T12:00").0);
    let (mut good, mut said, mut edges): (Vec<Good>, _, _) = (Vec::new(), None, Vec::new());
    let (mut line, mut started) = (wall - mono, mono);
    for (index, point) in series.iter().enumerate() {
        let wait_ms = i64::try_from(point.wait_ms).expect("small");
        (mono, wall) = (mono + wait_ms, wall + wait_ms + point.step_ms);
        let mut fresh = false;
        // A restart forgets what was due and had not been asked for.
        let asked_before = !(point.restart && point.stuck);
        for after in [false, true] {
            if after {
                if point.restart {
                    (said, started) = (None, mono);
                    good.clear();
                }
                if let What::Value(value) = point.what {
                    if good.is_empty() {
                        line = wall - mono;
                    }
                    let at = mono + line - point.late_ms.unwrap_or(0);
                    fresh = order == Order::Arrival || good.last().is_none_or(|last| last.at < at);
                    if fresh {
                        good.push(Good { at, value });
                    }
                }
            } else if !asked_before {
                continue;
            }
            let known = Known { good: &good, now: mono + line, started: started + line, said, fresh };
            if let Some(holds) = judge(known).filter(|holds| said != Some(*holds)) {
                said = Some(holds);
                edges.push((index, holds));
            }
        }
    }
    edges
}

/// Plays many series, and compares what was said.
fn compare(
    most_secs: u64,
    order: Order,
    value: impl Fn(&mut Dice) -> f64,
    rule: impl Fn(u64) -> String,
    see: impl Fn(&Player, What) -> Observation,
    judge: impl Fn(u64, Known<'_>) -> Option<bool>,
) {
    let world = world();
    let mut edges = 0;
    for seed in 0..SERIES {
        let mut dice = Dice::seeded(seed);
        let device_clock = order == Order::Measured && seed % 2 == 1;
        let series = series(&mut dice, most_secs, device_clock, &value);
        let found = said(&world, &rule(seed), &series, &see);
        let wanted = expected(&series, order, |known| judge(seed, known));
        assert_eq!(found, wanted, "seed {seed}");
        edges += found.len();
    }
    assert!(edges > 5000, "the series must cross the limit often: {edges}");
}

fn see_reading(id: &str, point: &str, unit: Unit) -> impl Fn(&Player, What) -> Observation {
    move |player, what| {
        let of = |value| Body::Reading(reading(point, value, unit));
        let body = match what {
            What::Value(value) | What::Retained(value) => of(value),
            What::Doubted(value) => Body::Reading(reading(point, value, unit).doubted(Doubt::DeviceSays)),
            What::Absent => of(f64::NAN),
        };
        let mut seen = player.observation(id, body);
        seen.retained = matches!(what, What::Retained(_));
        seen
    }
}

fn few(dice: &mut Dice, most: u32) -> f64 {
    f64::from(u32::try_from(dice.roll(u64::from(most))).expect("small"))
}

/// A delay in seconds that depends on the series.
fn delays(seed: u64) -> (i64, i64) {
    let secs = |of: u64| i64::try_from(of % 6).expect("small");
    (secs(seed) * 1000, secs(seed / 6) * 1000)
}

#[test]
fn a06_thresholds_with_deadband_and_delays() {
    let judge_value = |value: f64| if value > 100.0 { Some(true) } else { (value <= 90.0).then_some(false) };
    let rule = |seed: u64| {
        let (on, off) = delays(seed);
        format!(
            "[[rule]]\nid = \"r\"\nkind = \"threshold\"\ndevices = [\"m1\"]\npoint = \"power_total\"\nabove = 100\n\
             unit = \"W\"\ndeadband = 10\non_delay_secs = {}\noff_delay_secs = {}\n",
            on / 1000,
            off / 1000
        )
    };
    let value = |dice: &mut Dice| match dice.roll(7) {
        0 => 95.0,
        1 => 100.0,
        2 => 90.0,
        3 | 4 => 150.0,
        _ => 20.0,
    };
    compare(4, Order::Arrival, value, rule, see_reading("m1", "power_total", Unit::Watt), |seed, known| {
        let (on, off) = delays(seed);
        let newest = judge_value(known.good.last()?.value)?;
        // Since when every value says the same.
        let other = known.good.iter().rposition(|good| judge_value(good.value) != Some(newest));
        let since = known.good[other.map_or(0, |at| at + 1)].at;
        (known.now - since >= if newest { on } else { off }).then_some(newest)
    });
}

#[test]
fn a06_counts_in_a_window() {
    let rule = |_| {
        "[[rule]]\nid = \"r\"\nkind = \"count\"\ndevices = [\"door1\"]\nevent = \"door_forced\"\ncount = 5\n\
         end_below = 3\nwindow_secs = 20\n"
            .to_owned()
    };
    let see = |player: &Player, what: What| {
        let kind = if matches!(what, What::Value(_)) { EventKind::DoorForced } else { EventKind::Contact };
        let mut seen = player.observation("door1", Body::Event(Event::bare(kind, Phase::Moment)));
        if let What::Retained(_) = what {
            seen =
                player.observation("door1", Body::Event(Event::bare(EventKind::DoorForced, Phase::Moment)));
            seen.retained = true;
        }
        seen
    };
    compare(
        12,
        Order::Arrival,
        |_| 1.0,
        rule,
        see,
        |_, known| {
            let count = known.good.iter().filter(|good| known.now - good.at <= 20_000).count();
            let whole = known.now - known.started > 20_000 || known.said == Some(true);
            if count >= 5 { Some(true) } else { (count < 3 && whole).then_some(false) }
        },
    );
}

#[test]
fn a06_rates_of_change() {
    let rule = |_| {
        "[[rule]]\nid = \"r\"\nkind = \"rate_of_change\"\ndevices = [\"t1\"]\npoint = \"temperature\"\nrise = 7.0317\n\
         unit = \"°C\"\nwindow_secs = 120\ndeadband = 3.0119\n"
            .to_owned()
    };
    let see = see_reading("t1", "temperature", Unit::Celsius);
    compare(
        20,
        Order::Measured,
        |dice| few(dice, 18),
        rule,
        see,
        |_, known| {
            let newest = known.good.last().filter(|_| known.fresh)?;
            let mut kept: Vec<Good> = Vec::new();
            for good in known.good {
                if kept.last().is_none_or(|last| good.at - last.at >= 2400) {
                    kept.push(*good);
                }
            }
            kept.retain(|good| newest.at - good.at <= 120_000);
            let first = kept.first()?.at;
            if kept.len() < 3 || newest.at - first < 60_000 || kept.last()?.at != newest.at {
                return None;
            }
            let secs = |good: &Good| (good.at - first) as f64 / 1000.0;
            let sum =
                |of: fn(f64, f64) -> f64| kept.iter().map(|good| of(secs(good), good.value)).sum::<f64>();
            let (n, t, v) = (sum(|_, _| 1.0), sum(|t, _| t), sum(|_, v| v));
            let change = 120.0 * (n * sum(|t, v| t * v) - t * v) / (n * sum(|t, _| t * t) - t * t);
            if change > 7.0317 { Some(true) } else { (change <= 7.0317 - 3.0119).then_some(false) }
        },
    );
}

/// An amount that came evenly between two moments.
struct Segment {
    from: i64,
    to: i64,
    amount: f64,
}

/// What of the segments lies in the window that ends with the newest value. It begins within a fiftieth, counted from
/// 1970, of which it takes an even part.
fn within(segments: &[Segment], newest: i64, window_ms: i64) -> f64 {
    let slot_ms = window_ms / 50;
    let slot = ((newest - 1).div_euclid(slot_ms) - 50) * slot_ms;
    let between = |from: i64, to: i64| {
        let part =
            |of: &Segment| (of.to.min(to) - of.from.max(from)).max(0) as f64 / (of.to - of.from) as f64;
        segments.iter().map(|segment| segment.amount * part(segment)).sum::<f64>()
    };
    let share = (slot + slot_ms - (newest - window_ms)) as f64 / slot_ms as f64;
    between(slot, slot + slot_ms) * share + between(slot + slot_ms, newest)
}

#[test]
fn a06_sums_of_a_counter() {
    let rule = |seed: u64| {
        let (side, limit) = if seed.is_multiple_of(2) { ("above", "40.3137") } else { ("below", "35.7291") };
        format!(
            "[[rule]]\nid = \"r\"\nkind = \"sum\"\ndevices = [\"w1\"]\npoint = \"volume\"\n{side} = {limit}\n\
             unit = \"m3\"\nwindow_secs = 100\ndeadband = 5.2071\n"
        )
    };
    // What it grows by, and sometimes it is set back; the meter is one of every series.
    let meter = std::cell::Cell::new(1000.0);
    let value = move |dice: &mut Dice| {
        let set_back = dice.roll(50) == 0;
        let from = if set_back { 0.0 } else { meter.get() };
        meter.set(from + few(dice, 9));
        meter.get()
    };
    let see = see_reading("w1", "volume", Unit::CubicMetre);
    compare(20, Order::Measured, value, rule, see, |seed, known| {
        let newest = known.good.last().filter(|_| known.fresh)?;
        let (mut segments, mut last, mut odd): (Vec<Segment>, Good, Option<Good>) =
            (Vec::new(), *known.good.first()?, None);
        for good in &known.good[1..] {
            let base =
                if good.value >= last.value { Some(last) } else { odd.filter(|odd| good.value >= odd.value) };
            match base {
                Some(base) => {
                    segments.push(Segment { from: last.at, to: good.at, amount: good.value - base.value });
                    (last, odd) = (*good, None);
                }
                None => odd = Some(*good),
            }
        }
        if odd.is_some() || known.good.len() < 2 {
            return None;
        }
        let sum = within(&segments, newest.at, 100_000);
        let whole = newest.at - known.good.first()?.at >= 100_000;
        if seed % 2 == 0 {
            if sum > 40.3137 { Some(true) } else { (sum <= 40.3137 - 5.2071 && whole).then_some(false) }
        } else if sum < 35.7291 {
            whole.then_some(true)
        } else {
            (sum >= 35.7291 + 5.2071).then_some(false)
        }
    });
}

#[test]
fn a06_sums_of_a_power() {
    let rule = |_| {
        "[[rule]]\nid = \"r\"\nkind = \"sum\"\ndevices = [\"m1\"]\npoint = \"power_total\"\nabove = 1.0313\n\
         unit = \"kWh\"\nwindow_secs = 100\ndeadband = 0.2317\n"
            .to_owned()
    };
    let see = see_reading("m1", "power_total", Unit::Watt);
    compare(
        20,
        Order::Measured,
        |dice| 10_000.0 * few(dice, 7),
        rule,
        see,
        |_, known| {
            let newest = known.good.last().filter(|_| known.fresh)?;
            let (mut segments, mut known_from) = (Vec::new(), known.good.first()?.at);
            for pair in known.good.windows(2) {
                let (from, to) = (pair[0], pair[1]);
                if to.at - from.at > 60_000 {
                    known_from = to.at;
                    continue;
                }
                let amount = (from.value + to.value) / 2.0 / 1000.0 * (to.at - from.at) as f64 / 3_600_000.0;
                segments.push(Segment { from: from.at, to: to.at, amount });
            }
            let sum = within(&segments, newest.at, 100_000);
            let whole = newest.at - known_from >= 100_000;
            if sum > 1.0313 { Some(true) } else { (sum <= 1.0313 - 0.2317 && whole).then_some(false) }
        },
    );
}

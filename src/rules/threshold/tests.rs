//! Limits, deadband and delays, also against a naive reference.

use crate::model::{AlarmClass, Body, Doubt, PointId, PointKind, Priority, Reading, Unit};
use crate::rules::Level;
use crate::rules::testing::{Dice, Player, local, one_slip};

const RULE: &str = "devices = [\"m1\"]\npoint = \"power_active\"\nabove = 5\nunit = \"kW\"\ndeadband = 0.2\n\
                    on_delay_secs = 30\noff_delay_secs = 60\nalarm_class = \"energy\"\npriority = \"high\"\n";
const PLAIN: &str = "devices = [\"m1\", \"k1\"]\npoint = \"power_active\"\nabove = 5\nunit = \"kW\"\n";

#[test]
fn raises_and_clears_after_the_delays_to_the_millisecond() {
    let mut player = Player::of("threshold", RULE);
    player.power("m1", 5200.0).wait_ms(29_999);
    assert!(player.said().is_empty());
    assert_eq!(player.wait_ms(1).said(), ["m1 holds"]);
    assert!(player.power("m1", 4900.0).wait(600).said().is_empty(), "within the deadband");
    player.power("m1", 4800.0).wait_ms(59_999);
    assert!(player.said().is_empty());
    assert_eq!(player.wait_ms(1).said(), ["m1 ended"]);
    assert!(player.wait(86_400).said().is_empty());
}

#[test]
fn a_finding_says_where_what_how_much_and_the_limit() {
    let mut player = Player::of("threshold", RULE);
    player.power("m1", 5200.0).wait(30);
    let finding = &player.findings[0];
    assert_eq!(finding.what.zh, "1号楼 / 2层 / 201 1号电表: 有功功率 5200 W，高于 5000 W");
    assert_eq!(finding.what.en, "1号楼 / 2层 / 201 1号电表: active power 5200 W, above 5000 W");
    assert_eq!((finding.class, finding.priority), (AlarmClass::Energy, Priority::High));
    assert_eq!(finding.level, Level::Holds);
    assert_eq!(finding.key.rule.as_str(), "r");
    assert_eq!(finding.place.as_ref().map(|p| p.as_str()), Some("r201"));
}

#[test]
fn the_limit_is_in_the_unit_of_each_point() {
    let mut player = Player::of("threshold", PLAIN);
    assert_eq!(player.power("m1", 6.0).power("k1", 6.0).said(), ["m1 ended", "k1 holds"]);
    assert_eq!(player.power("m1", 5000.0).power("k1", 5.0).said(), ["k1 ended"], "the limit itself is fine");
}

#[test]
fn below_is_the_mirror_of_above() {
    let rule = "devices = [\"m1\"]\npoint = \"power_active\"\nbelow = 100\nunit = \"W\"\ndeadband = 20\n";
    let mut player = Player::of("threshold", rule);
    assert_eq!(player.power("m1", 99.0).said(), ["m1 holds"]);
    assert!(player.power("m1", 119.0).said().is_empty());
    assert_eq!(player.power("m1", 120.0).said(), ["m1 ended"]);
}

#[test]
fn doubted_absent_and_retained_values_decide_nothing() {
    let mut player = Player::of("threshold", PLAIN);
    let reading = |value| {
        Reading::new(PointId::new("power_active").expect("an id"), value, Unit::Watt, PointKind::Gauge)
    };
    for value in [9000.0, 10.0] {
        let doubted = Body::Reading(reading(value).doubted(Doubt::OutOfRange));
        player.see(&player.observation("m1", doubted));
        let mut retained = player.observation("m1", Body::Reading(reading(value)));
        retained.retained = true;
        player.see(&retained).power("m1", f64::NAN);
        assert!(player.said().is_empty());
    }
    let mut other = reading(9000.0);
    other.point = PointId::new("voltage").expect("an id");
    player.see(&player.observation("m1", Body::Reading(other)));
    assert!(player.said().is_empty(), "another point");
}

#[test]
fn steps_of_the_wall_clock_change_no_delay() {
    let mut player = Player::of("threshold", RULE);
    player.power("m1", 5200.0).wait(10).set_wall(local("2031-01-01T00:00")).wait(10);
    assert!(player.set_wall(local("1970-01-01T00:00")).wait_ms(9_999).said().is_empty());
    assert_eq!(player.wait_ms(1).said(), ["m1 holds"]);
}

#[test]
fn a_restart_forgets_and_says_again_what_holds() {
    let mut player = Player::of("threshold", PLAIN);
    assert_eq!(player.power("m1", 6000.0).said(), ["m1 holds"]);
    assert_eq!(player.restart().power("m1", 6000.0).said(), ["m1 holds"]);
    assert_eq!(player.restart().power("m1", 10.0).said(), ["m1 ended"], "an alarm of the last run is ended");
    let mut delayed = Player::of("threshold", RULE);
    assert!(delayed.power("m1", 6000.0).wait(29).restart().wait(600).said().is_empty());
}

#[test]
fn a_timer_that_was_due_is_not_lost_to_a_reading_that_comes_late() {
    let mut player = Player::of("threshold", RULE);
    player.power("m1", 6000.0).stall(40).power("m1", 10.0);
    assert_eq!(player.said(), ["m1 holds"]);
}

/// Decides from the whole series each second anew.
fn reference(series: &[Option<f64>], on: usize, off: usize) -> Vec<(usize, bool)> {
    let judge = |value: f64| if value > 100.0 { Some(true) } else { (value <= 90.0).then_some(false) };
    let (mut said, mut edges) = (None, Vec::new());
    for second in 0..series.len() {
        // Once with what was known before this second, once with its reading.
        for known in [second, second + 1] {
            let good = || series[..known].iter().enumerate().filter_map(|(at, value)| Some((at, (*value)?)));
            let Some(verdict) = good().next_back().and_then(|(_, value)| judge(value)) else { continue };
            let run: Vec<usize> = good()
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
                .take_while(|(_, value)| judge(*value) == Some(verdict))
                .map(|(at, _)| at)
                .collect();
            let since = *run.last().expect("not empty");
            if said != Some(verdict) && second - since >= if verdict { on } else { off } {
                said = Some(verdict);
                edges.push((second, verdict));
            }
        }
    }
    edges
}

#[test]
fn agrees_with_a_naive_reference_on_random_series() {
    let mut edges_seen = 0;
    for seed in 0..400 {
        let mut dice = Dice::seeded(seed);
        let (on, off) = (dice.roll(6), dice.roll(6));
        let series: Vec<Option<f64>> = (0..200)
            .map(|_| match dice.roll(8) {
                0..=2 => None,
                3 => Some(95.0),
                4 => Some(100.0),
                5 => Some(90.0),
                _ => Some(if dice.roll(2) == 0 { 150.0 } else { 20.0 }),
            })
            .collect();
        let rule = format!(
            "devices = [\"m1\"]\npoint = \"power_active\"\nabove = 100\nunit = \"W\"\ndeadband = 10\n\
             on_delay_secs = {on}\noff_delay_secs = {off}\n"
        );
        let mut player = Player::of("threshold", &rule);
        let mut edges = Vec::new();
        for (second, value) in series.iter().enumerate() {
            // Sometimes the pipeline is late: the reading itself brings the time.
            if second > 0 {
                if dice.roll(2) == 0 {
                    player.wait(1)
                } else {
                    player.stall(1)
                };
            }
            match value {
                Some(value) => player.power("m1", *value),
                None => player.power("m1", f64::NAN),
            };
            edges.extend(player.findings.drain(..).map(|f| (second, f.level == Level::Holds)));
        }
        let (on, off) = (usize::try_from(on).expect("small"), usize::try_from(off).expect("small"));
        assert_eq!(edges, reference(&series, on, off), "seed {seed}");
        edges_seen += edges.len();
    }
    assert!(edges_seen > 2000, "the series must cross the limit: {edges_seen}");
}

#[test]
fn slips_are_told_with_what_to_write() {
    let rule = |from: &str, to: &str| {
        let one = PLAIN.replace(", \"k1\"", "");
        assert!(one.contains(from), "{from}");
        one.replace(from, to)
    };
    one_slip("threshold", &PLAIN.replace("kW", "V"), &["a limit in V does not fit", "W, kW"]);
    one_slip("threshold", &rule("kW", "V"), &["a limit in V does not fit", "W, kW"]);
    one_slip("threshold", &rule("kW", "KW"), &["'rule.unit' cannot be"]);
    one_slip("threshold", &rule("power_active", "power"), &["acme", "no point 'power'"]);
    one_slip("threshold", &rule("above = 5\n", ""), &["'rule.above' is missing"]);
    one_slip("threshold", &rule("above = 5", "above = 5\nbelow = 1"), &["two limits"]);
    one_slip("threshold", &rule("above = 5", "above = 5\nhigher = 1"), &["'higher' is not a key"]);
    one_slip("threshold", &rule("above = 5", "above = -3"), &["could never be left", "0 W to 60000 W"]);
    one_slip("threshold", &rule("above = 5", "below = 0"), &["can never be reached"]);
    one_slip("threshold", &rule("above = 5", "above = 60"), &["can never be reached"]);
    one_slip("threshold", &rule("above = 5", "above = 5\ndeadband = 6"), &["could never be left"]);
}

//! Rules see what they watch, and deadlines are exact and idempotent.

use crate::model::{
    DeviceId, EventKind, Mono, Now, Observation, Phase, PointId, PointKind, RollUp, RuleId, Unit, Wall,
};
use crate::rules::testing::{Player, device, local, parse, world};
use crate::rules::{Finding, Rule, Watch, always};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Counts what it is shown.
#[derive(Debug)]
struct Counting {
    id: RuleId,
    watch: Watch,
    seen: Arc<AtomicUsize>,
}

impl Rule for Counting {
    fn id(&self) -> &RuleId {
        &self.id
    }
    fn watches(&self) -> Watch {
        self.watch.clone()
    }
    fn start(&mut self, _: Now) {}
    fn observe(&mut self, _: Now, _: &Observation, _: &mut Vec<Finding>) {
        self.seen.fetch_add(1, Ordering::Relaxed);
    }
    fn next_deadline(&self) -> Option<Mono> {
        None
    }
    fn expire(&mut self, _: Now, _: &mut Vec<Finding>) {}
}

#[test]
fn a_rule_is_shown_only_what_it_watches() {
    let counts: Vec<_> = (0..4).map(|_| Arc::new(AtomicUsize::new(0))).collect();
    let watches = [
        Watch::All,
        Watch::Devices(vec![device("m1")]),
        Watch::Devices(vec![device("m1"), device("m2")]),
        Watch::Devices(Vec::new()),
    ];
    let rule = |(watch, seen): (Watch, &Arc<AtomicUsize>)| {
        let id = RuleId::new("counting").expect("an id");
        Box::new(Counting { id, watch, seen: Arc::clone(seen) }) as Box<dyn Rule>
    };
    let rules = watches.into_iter().zip(&counts).map(rule).collect();
    let mut player = Player::new(rules, local("2026-10-09T12:00"));
    player.power("m1", 1.0).power("m2", 1.0).power("m2", 2.0).power("k1", 1.0);
    let seen: Vec<_> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    assert_eq!(seen, [4, 1, 3, 0]);
}

/// Counts recalled periods as 1 and closed ones as 100, and wants a deadline after one.
#[derive(Debug)]
struct Following {
    id: RuleId,
    points: Vec<(DeviceId, PointId)>,
    back: Duration,
    seen: Arc<AtomicUsize>,
    deadline: Option<Mono>,
}

impl Rule for Following {
    fn id(&self) -> &RuleId {
        &self.id
    }
    fn watches(&self) -> Watch {
        Watch::Devices(Vec::new())
    }
    fn start(&mut self, _: Now) {}
    fn observe(&mut self, _: Now, _: &Observation, _: &mut Vec<Finding>) {}
    fn periods(&self) -> Vec<(DeviceId, PointId)> {
        self.points.clone()
    }
    fn looks_back(&self) -> Duration {
        self.back
    }
    fn recall(&mut self, _: Now, _: &RollUp) {
        self.seen.fetch_add(1, Ordering::Relaxed);
    }
    fn close(&mut self, now: Now, _: &RollUp, _: &mut Vec<Finding>) {
        self.seen.fetch_add(100, Ordering::Relaxed);
        self.deadline = Some(now.mono.plus(Duration::from_secs(1)));
    }
    fn next_deadline(&self) -> Option<Mono> {
        self.deadline
    }
    fn expire(&mut self, _: Now, _: &mut Vec<Finding>) {
        self.deadline = None;
    }
}

#[test]
fn a_rule_is_shown_the_periods_of_its_points_and_its_deadline_is_known_after_each() {
    let point = |name: &str| PointId::new(name).expect("an id");
    let counts: Vec<_> = (0..2).map(|_| Arc::new(AtomicUsize::new(0))).collect();
    let rule = |(index, points): (usize, Vec<(DeviceId, PointId)>)| {
        let (id, seen) = (RuleId::new("following").expect("an id"), Arc::clone(&counts[index]));
        let back = Duration::from_secs([60, 120][index]);
        Box::new(Following { id, points, back, seen, deadline: None }) as Box<dyn Rule>
    };
    let (power, energy) = (point("power_total"), point("energy_total"));
    let first = vec![(device("m1"), power.clone())];
    let second =
        vec![(device("m1"), power.clone()), (device("m1"), energy.clone()), (device("m2"), power.clone())];
    let mut player =
        Player::new([first, second].into_iter().enumerate().map(rule).collect(), local("2026-10-09T12:00"));
    let wanted = player.engine.periods();
    assert_eq!(wanted.get(&(device("m1"), power.clone())), Some(&Duration::from_secs(120)), "the longest");
    assert_eq!(wanted.len(), 3);
    assert_eq!(player.engine.looks_back(), Duration::from_secs(120));
    let period = |id: &str, point: &PointId| RollUp {
        device: device(id),
        point: point.clone(),
        unit: Unit::Watt,
        kind: PointKind::Gauge,
        start: Wall(0),
        period_secs: 900,
        count: 1,
        sum: 1.0,
        min: 1.0,
        max: 1.0,
        last: 1.0,
        delta: None,
        revision: 0,
    };
    player.engine.recall(player.now, &period("m1", &power));
    assert_eq!(player.engine.next_deadline(), None);
    for (id, point) in [("m1", &power), ("m1", &energy), ("m2", &energy), ("k1", &power)] {
        player.engine.close(player.now, &period(id, point), &mut player.findings);
    }
    assert_eq!(player.engine.next_deadline(), Some(player.now.mono.plus(Duration::from_secs(1))));
    assert_eq!(counts.iter().map(|count| count.load(Ordering::Relaxed)).collect::<Vec<_>>(), [101, 201]);
}

const SCHOOL: &str = r#"
[[rule]]
id = "quiet-m1"
kind = "silent"
devices = ["m1"]
after_secs = 300

[[rule]]
id = "quiet-m2"
kind = "silent"
devices = ["m2"]
after_secs = 100
"#;

#[test]
fn the_earliest_deadline_of_all_rules_is_next() {
    let rules = parse(SCHOOL, &world()).expect("good");
    assert_eq!(rules[0].watches(), Watch::Devices(vec![device("m1")]));
    let mut player = Player::new(rules, local("2026-10-09T12:00"));
    let start = player.now.mono.0;
    assert_eq!(player.engine.next_deadline(), Some(Mono(start + 100_000)));
    player.wait(50).power("m2", 1.0);
    assert_eq!(player.engine.next_deadline(), Some(Mono(start + 150_000)));
    player.wait(100);
    assert_eq!(player.engine.next_deadline(), Some(Mono(start + 300_000)));
    assert_eq!(player.wait(150).said(), ["m2 ended", "m2 holds", "m1 holds"]);
    assert_eq!(player.engine.next_deadline(), None);
}

#[test]
fn expiring_early_or_often_does_nothing() {
    let mut player = Player::new(parse(SCHOOL, &world()).expect("good"), local("2026-10-09T12:00"));
    for _ in 0..3 {
        player.engine.expire(player.now, &mut player.findings);
    }
    assert!(player.said().is_empty());
    player.stall(1000);
    for _ in 0..3 {
        player.engine.expire(player.now, &mut player.findings);
    }
    assert_eq!(player.said(), ["m2 holds", "m1 holds"], "each once, earliest first");
}

#[test]
fn always_on_rules_come_first() {
    let world = world();
    let mut rules =
        parse("[[rule]]\nid = \"quiet\"\nkind = \"silent\"\ndevices = [\"help1\"]\n", &world).expect("good");
    rules.extend(always(&world));
    let mut player = Player::new(rules, local("2026-10-09T12:00"));
    player.event("help1", EventKind::Help, Phase::Moment);
    assert_eq!(player.said(), ["help1 happened", "help1 ended"]);
}

//! Rules see what they watch, and deadlines are exact and idempotent.

use crate::model::{EventKind, Mono, Now, Observation, Phase, RuleId};
use crate::rules::testing::{Player, device, local, parse, world};
use crate::rules::{Finding, Rule, Watch, always};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

//! The lives of alarms against a look at each alarm by itself.

use crate::alarm::kpi::{Kpi, Reckoning, Step};
use crate::model::*;
use crate::pipeline::Commit;
use crate::runtime::{Clock, SystemClock};
use crate::store::{AlarmFilter, Reader, Store};
use std::path::Path;
use tempfile::tempdir;

mod reports;

const AT: Wall = Wall(1_790_000_000_000);

fn change(id: u64, secs: i64, kind: ChangeKind) -> AlarmChange {
    let (at, actor) = (AT.plus_ms(secs * 1000), Actor::named("王老师").unwrap());
    let closed = kind == ChangeKind::Closed;
    let alarm = Alarm {
        id: AlarmId(id),
        key: AlarmKey { rule: RuleId::new("r").unwrap(), subject: format!("d{id}") },
        class: AlarmClass::Energy,
        priority: Priority::Low,
        device: None,
        place: None,
        what: Text::same("it"),
        raised_at: AT.plus_ms(i64::try_from(id).unwrap() * 10_000),
        active: !closed,
        occurrences: 1,
        cleared_at: None,
        acknowledged: None,
        latched: false,
        reset: None,
        closed_at: closed.then_some(at),
        marks: Marks::default(),
    };
    AlarmChange { kind, at, actor, note: String::new(), alarm }
}

/// Alarms ten seconds apart, each taken, gone and over after a while; some never.
fn seeded(dir: &Path, alarms: u64) {
    use ChangeKind::*;
    let mut store = Store::open(dir).unwrap();
    let mut commit = Commit::default();
    for id in 1..=alarms {
        let begin = i64::try_from(id).unwrap() * 10;
        let lasts = 5 + begin * 7 % 400;
        commit.alarm_changes.push(change(id, begin, Raised));
        commit.alarm_changes.push(change(id, begin + 1, Escalated));
        if id % 9 != 0 {
            commit.alarm_changes.push(change(id, begin + lasts, Acknowledged));
            commit.alarm_changes.push(change(id, begin + lasts + 1, Closed));
        }
    }
    commit.alarm_changes.sort_by_key(|change| change.at);
    store.commit(&[&commit]).unwrap();
}

fn lives(reader: &Reader, span: (Wall, Wall)) -> Vec<(AlarmId, Vec<Step>)> {
    let mut lives = Vec::new();
    let bad = reader.lives(span, |alarm, steps| lives.push((alarm.id, steps.to_vec()))).unwrap();
    assert_eq!(bad, 0);
    lives
}

#[test]
fn the_lives_are_those_of_the_alarms_that_were_open_in_the_span() {
    let dir = tempdir().unwrap();
    seeded(dir.path(), 300);
    let reader = Reader::open(dir.path()).unwrap();
    let all = reader.alarms(&AlarmFilter::default(), None, 1000).unwrap().rows;
    for (from, to) in [(0, 1), (0, 10_000), (500, 600), (1000, 1000), (2990, 3000), (9000, 10_000)] {
        let (from, to) = (AT.plus_ms(from * 1000), AT.plus_ms(to * 1000));
        let mut wanted = Vec::new();
        for (_, alarm) in all.iter().rev() {
            let (alarm, steps) = reader.alarm(alarm.id).unwrap().unwrap();
            if alarm.raised_at < to && alarm.closed_at.is_none_or(|closed| closed >= from) {
                let tells = |change: &AlarmChange| change.at >= from || change.kind != ChangeKind::Escalated;
                let steps = steps.into_iter().filter(tells);
                let step = |change: AlarmChange| Step { at: change.at, kind: change.kind, by: change.actor };
                wanted.push((alarm.id, steps.map(step).collect()));
            }
        }
        assert_eq!(lives(&reader, (from, to)), wanted);
    }
    assert_eq!(lives(&reader, (AT.plus_ms(500_000), AT.plus_ms(600_000))).len(), 30);
}

#[test]
fn what_is_open_and_what_ended_lately_is_found_by_an_index() {
    let dir = tempdir().unwrap();
    seeded(dir.path(), 1);
    let reader = Reader::open(dir.path()).unwrap();
    let sql = format!("explain query plan {}", super::opened());
    let mut plan = reader.db.prepare(&sql).unwrap();
    let lines: Vec<String> = plan.query_map([5, 9], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
    assert!(!lines.iter().any(|line| line.starts_with("SCAN")), "{lines:?}");
}

fn reckoned(reader: &Reader, span: (Wall, Wall)) -> Kpi {
    let mut reckoning = Reckoning::new(span, 1);
    reader.lives(span, |alarm, steps| drop(reckoning.alarm(alarm, steps))).unwrap();
    reckoning.kpi()
}

/// What a day costs of which ten thousand steps are stored.
#[test]
fn ten_thousand_steps_are_reckoned_in_a_moment() {
    let dir = tempdir().unwrap();
    seeded(dir.path(), 2_650);
    let reader = Reader::open(dir.path()).unwrap();
    let clock = SystemClock::new();
    let began = clock.now().mono;
    let kpi = reckoned(&reader, (AT, AT.plus_ms(24 * 3_600_000)));
    let took = clock.now().mono.since(began);
    assert_eq!((kpi.announced, kpi.most), (2_650, 60));
    let taken = kpi.taken[&Priority::Low];
    assert_eq!((taken.count, taken.p50_ms), (2_356, 205_000));
    // 0.2 s in a test's build; a busy machine is far slower.
    assert!(took.as_secs() < 20, "{took:?}");
}

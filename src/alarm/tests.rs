//! Every step of an alarm's life, and a long random walk against the rules that must never break.

use super::*;
use crate::model::{AlarmClass, Priority, RuleId, Text};

fn finding(class: AlarmClass, level: Level) -> Finding {
    Finding {
        key: AlarmKey { rule: RuleId::new("r").unwrap(), subject: "d".into() },
        level,
        class,
        priority: Priority::High,
        device: None,
        place: None,
        what: Text::same("it"),
    }
}

fn command(order: Order, who: &str) -> Command {
    Command { order, actor: Actor::named(who).unwrap(), note: "seen".into() }
}

fn kinds(changes: &[AlarmChange]) -> Vec<ChangeKind> {
    changes.iter().map(|c| c.kind).collect()
}

const AT: Wall = Wall(1_790_000_000_000);
const ID: AlarmId = AlarmId(7);

fn book() -> AlarmBook {
    AlarmBook::restore(Vec::new(), ID.0)
}

#[test]
fn a_level_is_an_edge_only_once() {
    let mut book = book();
    let holds = finding(AlarmClass::Energy, Level::Holds);
    let ended = finding(AlarmClass::Energy, Level::Ended);
    assert_eq!(kinds(&book.apply(AT, &ended)), []);
    assert_eq!(kinds(&book.apply(AT, &holds)), [ChangeKind::Raised]);
    assert_eq!(kinds(&book.apply(AT, &holds)), []);
    assert_eq!(kinds(&book.apply(AT, &ended)), [ChangeKind::Cleared]);
    assert_eq!(kinds(&book.apply(AT, &ended)), []);
    assert_eq!(kinds(&book.apply(AT, &holds)), [ChangeKind::Recurred]);
    assert_eq!(book.open().next().map(|a| (a.occurrences, a.isa_state())), Some((2, 'B')));
    // Who took it before has not seen this: it wants a new look.
    book.order(AT, &command(Order::Acknowledge(ID), "guard")).unwrap();
    assert_eq!(kinds(&book.apply(AT, &finding(AlarmClass::Energy, Level::Happened))), [ChangeKind::Recurred]);
    assert_eq!(book.open().next().map(|a| a.acknowledged.is_some()), Some(false));
}

#[test]
fn cleared_then_acknowledged_closes_and_the_other_way_round() {
    for ack_first in [true, false] {
        let mut book = book();
        let _ = book.apply(AT, &finding(AlarmClass::Energy, Level::Holds));
        let ack = command(Order::Acknowledge(ID), "guard");
        let mut steps = Vec::new();
        if ack_first {
            steps.extend(book.order(AT, &ack).unwrap());
        }
        steps.extend(book.apply(AT, &finding(AlarmClass::Energy, Level::Ended)));
        if !ack_first {
            steps.extend(book.order(AT, &ack).unwrap());
        }
        assert_eq!(kinds(&steps).last(), Some(&ChangeKind::Closed));
        assert_eq!(book.open().count(), 0);
        let closed = &steps.last().unwrap().alarm;
        assert_eq!(closed.acknowledged.as_ref().map(|h| h.by.as_str()), Some("guard"));
    }
}

#[test]
fn help_latches_until_acknowledged_and_reset_by_a_person() {
    let mut book = book();
    assert_eq!(kinds(&book.apply(AT, &finding(AlarmClass::Help, Level::Happened))), [ChangeKind::Raised]);
    assert_eq!(book.open().next().map(Alarm::isa_state), Some('E'));
    let reset = command(Order::Reset(ID), "guard");
    assert_eq!(book.order(AT, &reset), Err(OrderRefused::NotAcknowledged(ID)));
    book.order(AT, &command(Order::Acknowledge(ID), "guard")).unwrap();
    assert_eq!(book.open().next().map(Alarm::isa_state), Some('F'));
    assert_eq!(kinds(&book.order(AT, &reset).unwrap()), [ChangeKind::Reset, ChangeKind::Closed]);
    assert_eq!(book.order(AT, &reset), Err(OrderRefused::NotOpen(ID)));
}

#[test]
fn a_latched_alarm_whose_cause_holds_cannot_be_reset() {
    let mut book = book();
    let _ = book.apply(AT, &finding(AlarmClass::Fire, Level::Holds));
    book.order(AT, &command(Order::Acknowledge(ID), "a")).unwrap();
    assert_eq!(book.order(AT, &command(Order::Reset(ID), "a")), Err(OrderRefused::StillActive(ID)));
    assert_eq!(kinds(&book.apply(AT, &finding(AlarmClass::Fire, Level::Ended))), [ChangeKind::Cleared]);
    assert_eq!(book.open().count(), 1, "no auto-reset");
}

#[test]
fn the_second_to_acknowledge_learns_who_was_first() {
    let mut book = book();
    let _ = book.apply(AT, &finding(AlarmClass::Security, Level::Holds));
    book.order(AT, &command(Order::Acknowledge(ID), "first")).unwrap();
    let refused = book.order(AT, &command(Order::Acknowledge(ID), "second")).unwrap_err();
    assert!(refused.to_string().contains("by first"), "{refused}");
}

#[test]
fn every_state_takes_every_step_and_no_invariant_breaks() {
    let classes = [AlarmClass::Help, AlarmClass::Energy];
    for class in classes {
        let mut seed = 0x9E37_79B9_u64;
        let mut book = book();
        for step in 0..200_000u32 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let before = book.open().next().cloned();
            let id = before.as_ref().map_or(AlarmId(0), |a| a.id);
            let changes = match (seed >> 33) % 5 {
                0 => book.apply(AT, &finding(class, Level::Holds)),
                1 => book.apply(AT, &finding(class, Level::Ended)),
                2 => book.apply(AT, &finding(class, Level::Happened)),
                3 => book.order(AT, &command(Order::Acknowledge(id), "p")).unwrap_or_default(),
                _ => book.order(AT, &command(Order::Reset(id), "p")).unwrap_or_default(),
            };
            let after = book.open().next();
            for change in &changes {
                if change.kind == ChangeKind::Closed {
                    assert!(change.alarm.acknowledged.is_some(), "step {step}: closed unseen");
                    assert!(!class.latches() || change.alarm.reset.is_some(), "step {step}: auto-reset");
                }
            }
            let closed = changes.iter().any(|c| c.kind == ChangeKind::Closed);
            assert_eq!(before.is_some() && after.is_none(), closed, "step {step}: vanished without closing");
            if changes.is_empty() {
                assert_eq!(before.as_ref(), after, "step {step}: changed in silence");
            }
        }
    }
}

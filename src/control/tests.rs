//! What a control does with orders, answers and time: every refusal, and the way back to rest.

use super::testing::{Rig, T0, id, locked, pulse, spec, word};
use super::*;
use crate::model::{Alarm, AlarmClass, AlarmId, AlarmKey, Marks, Priority, Quality};
use std::sync::Arc;

#[test]
fn an_order_is_durable_then_written_then_read_and_each_step_is_written_down() {
    let mut rig = Rig::new(spec());
    rig.disk_stalls = true;
    rig.give("王老师", 1.0, false);
    rig.work();
    assert!(rig.written.is_empty(), "nothing is written before its intent is durable");
    let mut rig = Rig::new(spec());
    assert_eq!(rig.order(1.0), Outcome::Done { value: 1.0, back_in: None });
    assert_eq!((rig.written.as_slice(), rig.output), ([1.0].as_slice(), Some(1.0)));
    assert_eq!(rig.results(), ["王老师 asked", "王老师 done"]);
    let row = &rig.rows[0];
    assert_eq!((row.action, &*row.subject), ("control", "hall"));
    for part in ["from=unknown", "to=1", "device=relay", "point=light", "reason=\"test\""] {
        assert!(row.detail.contains(part), "{part}: {}", row.detail);
    }
}

/// What is done to the rig before the order.
type Before = Box<dyn Fn(&mut Rig)>;

#[test]
fn every_refusal_is_told_written_down_and_writes_nothing() {
    let soft = Quality::Uncertain(crate::model::Doubt::Retained);
    let off = |_: &mut Rig| {};
    let cases: Vec<(&str, Rig, f64, Before, &str)> = vec![
        ("off", Rig::started(spec(), false, None, Some(0.0)), 1.0, Box::new(off), "enabled = true"),
        ("not_allowed", Rig::new(spec()), 2.0, Box::new(off), "2 is not allowed; allowed: 0, 1"),
        ("not_allowed", Rig::new(spec()), 0.5, Box::new(off), "0.5"),
        ("not_allowed", Rig::new(spec()), f64::NAN, Box::new(off), "NaN"),
        ("interlock", Rig::new(locked()), 1.0, Box::new(off), "was not read yet"),
        ("interlock", Rig::new(locked()), 1.0, Box::new(|r| r.see(Some(1.0), 1, Quality::Good)), "but is 1"),
        (
            "interlock",
            Rig::new(locked()),
            1.0,
            Box::new(|r| r.see(Some(0.0), 61, Quality::Good)),
            "last 60 s",
        ),
        (
            "interlock",
            Rig::new(locked()),
            1.0,
            Box::new(|r| r.see(Some(0.0), -5, Quality::Good)),
            "last 60 s",
        ),
        ("interlock", Rig::new(locked()), 1.0, Box::new(move |r| r.see(Some(0.0), 1, soft)), "be trusted"),
        ("interlock", Rig::new(locked()), 1.0, Box::new(|r| r.see(None, 1, Quality::Good)), "be trusted"),
        ("not_stored", Rig::new(pulse()), 1.0, Box::new(|r| r.disk_stalls = true), "could not be written"),
        (
            "too_soon",
            Rig::new(Spec { min_interval: Duration::from_secs(300), ..spec() }),
            1.0,
            Box::new(|r| assert_eq!(word(&r.order(0.0)), "done")),
            "try again in 292 s",
        ),
        (
            "too_many",
            Rig::new(Spec { max_per_hour: 1, ..spec() }),
            1.0,
            Box::new(|r| assert_eq!(word(&r.order(1.0)), "done")),
            "at most 1 orders in an hour",
        ),
    ];
    for (expected, mut rig, value, prepare, says) in cases {
        prepare(&mut rig);
        let before = rig.written.len();
        let outcome = rig.order(value);
        assert_eq!(word(&outcome), expected);
        assert!(outcome.says().en.contains(says), "{expected}: {}", outcome.says().en);
        assert!(!outcome.says().zh.is_empty());
        assert_eq!(rig.written.len(), before, "{expected}");
        let last = rig.rows.last().map(|row| row.detail.clone()).unwrap_or_default();
        assert!(rig.disk_stalls || last.starts_with(&format!("result={expected} ")), "{expected}: {last}");
        assert!(rig.control.at_peace(), "{expected}");
    }
}

#[test]
fn nothing_bars_the_way_to_rest() {
    let mut rig = Rig::new(Spec { max_per_hour: 1, min_interval: Duration::from_secs(600), ..locked() });
    rig.see(Some(0.0), 1, Quality::Good);
    assert_eq!(word(&rig.order(1.0)), "done");
    rig.see(Some(1.0), 1, Quality::Good);
    assert_eq!(word(&rig.order(1.0)), "interlock");
    rig.disk_stalls = true;
    for _ in 0..5 {
        rig.output = Some(1.0);
        assert_eq!(word(&rig.order(0.0)), "done", "no interlock, no rate, no waiting for the disk");
        assert_eq!(rig.output, Some(0.0));
    }
}

#[test]
fn an_interlock_is_looked_at_again_before_the_write() {
    let mut rig = Rig::new(Spec { max_on: Some(Duration::from_secs(60)), ..locked() });
    rig.see(Some(0.0), 1, Quality::Good);
    let number = rig.give("王老师", 1.0, false);
    rig.see(Some(1.0), 0, Quality::Good);
    rig.settle();
    assert_eq!(rig.outcome(number).map(|o| o.word()), Some("interlock"));
    assert!(rig.written.is_empty());
    assert!(!rig.memory.owes_rest && rig.control.at_peace(), "it was never on");
}

#[test]
fn a_device_that_echoes_and_does_not_switch_has_not_done_it() {
    let mut rig = Rig::new(spec());
    rig.echoes_only = true;
    let outcome = rig.order(1.0);
    assert_eq!(outcome, Outcome::Failed(Failure::NotDone { wanted: 1.0, read: 0.0 }));
    assert_eq!(rig.results(), ["王老师 asked", "王老师 not_done"]);
    assert_eq!(rig.written, [1.0], "it said that it did, so it is not told again");
    // Slow is not dead.
    let mut rig = Rig::new(spec());
    rig.echoes_only = true;
    let number = rig.give("王老师", 1.0, false);
    rig.pass(1);
    assert_eq!(rig.outcome(number), None);
    rig.output = Some(1.0);
    rig.pass(1);
    assert_eq!(rig.outcome(number).map(|o| o.word()), Some("done"));
}

#[test]
fn a_write_that_was_lost_is_made_again_and_one_that_was_refused_is_not() {
    let mut rig = Rig::new(spec());
    let lost = |rig: &mut Rig, arrives: bool| {
        let Some(Step::Write { ticket, value }) = rig.pending.pop() else { panic!("{:?}", rig.pending) };
        rig.written.push(value);
        if arrives {
            rig.output = Some(value);
        }
        let steps = rig.control.wrote(rig.now(), ticket, Err(NotWritten::Unclear(Text::same("timeout"))));
        rig.pending.extend(steps);
    };
    let begin = |rig: &mut Rig, value: f64| {
        let number = rig.give("王老师", value, false);
        let Some(Step::Store { ticket: Some(ticket), .. }) = rig.pending.pop() else { panic!() };
        rig.pending = rig.control.stored(rig.now(), &rig.live, ticket);
        number
    };
    let number = begin(&mut rig, 1.0);
    lost(&mut rig, false);
    rig.settle();
    assert_eq!(rig.outcome(number).map(|o| o.word()), Some("done"), "the device reads as before: once more");
    assert_eq!(rig.written, [1.0, 1.0]);

    let mut rig = Rig::new(spec());
    let number = begin(&mut rig, 1.0);
    lost(&mut rig, true);
    rig.settle();
    assert_eq!(
        (rig.outcome(number).map(|o| o.word()), rig.written),
        (Some("done"), vec![1.0]),
        "it had arrived"
    );

    let mut rig = Rig::new(spec());
    let number = begin(&mut rig, 1.0);
    let Some(Step::Write { ticket, .. }) = rig.pending.pop() else { panic!() };
    rig.pending = rig.control.wrote(rig.now(), ticket, Err(NotWritten::Refused(Text::same("exception 02"))));
    rig.settle();
    let outcome = rig.outcome(number).expect("an outcome");
    assert!(outcome.word() == "device_refused" && outcome.says().en.contains("exception 02"), "{outcome:?}");
}

#[test]
fn a_dead_device_is_not_done_and_said_so() {
    let mut rig = Rig::started(spec(), true, None, None);
    let outcome = rig.order(1.0);
    assert!(outcome.word() == "not_read" && outcome.says().en.contains("no reply"), "{outcome:?}");
    assert_eq!(rig.results(), ["王老师 asked", "王老师 not_read"]);
}

#[test]
fn of_two_orders_at_once_the_second_is_refused_and_rest_overtakes() {
    let mut rig = Rig::new(spec());
    let first = rig.give("王老师", 1.0, false);
    let second = rig.give("李老师", 1.0, false);
    rig.settle();
    assert_eq!(rig.outcome(first).map(|o| o.word()), Some("done"));
    let refused = rig.outcome(second).expect("an outcome");
    assert_eq!(refused, Outcome::Refused(Refusal::UnderWay { by: "王老师".into() }));

    // While it is stored.
    let mut rig = Rig::new(pulse());
    let on = rig.give("王老师", 1.0, false);
    let off = rig.give("李老师", 0.0, false);
    rig.settle();
    assert_eq!(
        (rig.outcome(on).map(|o| o.word()), rig.outcome(off).map(|o| o.word())),
        (Some("overtaken"), Some("done"))
    );
    assert_eq!((rig.written.as_slice(), rig.output), ([0.0].as_slice(), Some(0.0)), "it was never on");
    assert!(!rig.memory.owes_rest && rig.control.at_peace());

    // While it is written: the write is waited for, so that it cannot come after the next.
    let mut rig = Rig::new(pulse());
    let on = rig.give("王老师", 1.0, false);
    let Some(Step::Store { ticket: Some(ticket), .. }) = rig.pending.pop() else { panic!() };
    let writing = rig.control.stored(rig.now(), &rig.live, ticket);
    let off = rig.give("李老师", 0.0, false);
    let again = rig.give("赵老师", 0.0, false);
    rig.work();
    assert_eq!((rig.outcome(off), rig.outcome(again).map(|o| o.word())), (None, Some("under_way")));
    rig.pending.extend(writing);
    rig.settle();
    assert_eq!(
        (rig.outcome(on).map(|o| o.word()), rig.outcome(off).map(|o| o.word())),
        (Some("overtaken"), Some("done"))
    );
    assert_eq!((rig.written.as_slice(), rig.output), ([1.0, 0.0].as_slice(), Some(0.0)));
    assert!(!rig.memory.owes_rest && rig.control.at_peace());

    // While it settles; what is read of the first says nothing of the second.
    let mut rig = Rig::new(pulse());
    rig.echoes_only = true;
    let on = rig.give("王老师", 1.0, false);
    rig.pass(1);
    rig.echoes_only = false;
    let off = rig.give("李老师", 0.0, false);
    rig.settle();
    assert_eq!(
        (rig.outcome(on).map(|o| o.word()), rig.outcome(off).map(|o| o.word())),
        (Some("overtaken"), Some("done"))
    );
    assert!(!rig.memory.owes_rest && rig.control.at_peace());
}

#[test]
fn a_pulse_ends_by_itself_and_cannot_be_made_longer() {
    let mut rig = Rig::new(pulse());
    let outcome = rig.order(1.0);
    assert!(
        matches!(outcome, Outcome::Done { back_in: Some(left), .. } if left.as_secs() == 60),
        "{outcome:?}"
    );
    assert!(rig.memory.owes_rest);
    rig.pass(40);
    let outcome = rig.order(1.0);
    assert!(
        matches!(outcome, Outcome::Done { back_in: Some(left), .. } if left.as_secs() == 12),
        "{outcome:?}"
    );
    rig.pass(3);
    assert_eq!(rig.output, Some(1.0));
    rig.pass(2);
    assert_eq!(rig.output, Some(0.0));
    assert!(!rig.memory.owes_rest && rig.control.at_peace());
    assert_eq!(
        rig.results(),
        ["王老师 asked", "王老师 done", "王老师 asked", "王老师 done", "gateway asked", "gateway done"]
    );
    // Off by hand ends it, too.
    rig.pass(3600);
    assert_eq!(word(&rig.order(1.0)), "done");
    assert_eq!(word(&rig.order(0.0)), "done");
    let written = rig.written.len();
    rig.pass(600);
    assert_eq!(rig.written.len(), written);
}

#[test]
fn the_duty_to_return_is_durable_before_the_write_and_survives_a_death_at_any_moment() {
    let mut owed = 0;
    // The process dies after so many steps.
    for steps in 0..20 {
        let mut rig = Rig::new(pulse());
        rig.give("王老师", 1.0, false);
        for _ in 0..steps {
            if rig.pending.is_empty() {
                rig.mono += 250;
                let more = rig.control.expire(rig.now());
                rig.pending.extend(more);
            }
            if !rig.pending.is_empty() {
                rig.work_one();
            }
        }
        let (memory, output) = (rig.memory.clone(), rig.output);
        assert!(
            output == Some(0.0) || memory.owes_rest,
            "after {steps} steps it is on and nobody would know"
        );
        owed += i32::from(memory.owes_rest);
        let text = memory.text();
        let mut rig = Rig::started(pulse(), true, Some(&Memory::of(&text)), output);
        rig.settle();
        assert_eq!(rig.output, Some(0.0), "after {steps} steps");
        assert!(!rig.memory.owes_rest && rig.control.at_peace(), "after {steps} steps");
    }
    assert!(owed > 5, "{owed}");
    assert!(Memory::of("{not what was written").owes_rest, "what cannot be read may have been on");
}

#[test]
fn a_pulse_that_was_not_confirmed_returns_at_once() {
    let mut rig = Rig::new(pulse());
    rig.echoes_only = true;
    let number = rig.give("王老师", 1.0, false);
    rig.pass(3);
    assert_eq!(rig.outcome(number).map(|o| o.word()), Some("not_done"));
    assert_eq!(rig.written, [1.0, 0.0]);
    assert!(rig.control.at_peace());
}

#[test]
fn a_device_that_dies_while_it_is_on_is_tried_until_it_is_off_with_an_alarm_and_few_rows() {
    let mut rig = Rig::new(pulse());
    assert_eq!(word(&rig.order(1.0)), "done");
    rig.output = None;
    rig.pass(55);
    assert_eq!(rig.reports, []);
    rig.pass(30);
    assert_eq!(rig.reports, [Level::Holds]);
    assert!(rig.memory.owes_rest && rig.control.view(rig.now()).stuck);
    let refused = rig.order(1.0);
    assert_eq!(word(&refused), "under_way", "not on again before it was off");
    rig.pass(7200);
    assert!(rig.written.len() > 100 && rig.written.len() < 500, "{}", rig.written.len());
    assert_eq!(rig.rows.len(), 5, "{:?}", rig.results());
    rig.output = Some(1.0);
    rig.pass(60);
    assert_eq!(rig.output, Some(0.0));
    assert_eq!(rig.reports, [Level::Holds, Level::Ended]);
    assert_eq!(rig.results().last().map(String::as_str), Some("gateway done"));
    assert!(!rig.memory.owes_rest && rig.control.at_peace());
}

#[test]
fn the_rate_is_kept_over_a_restart_and_a_clock_that_is_wrong_makes_nothing_sooner() {
    let spec = Spec { max_per_hour: 2, ..spec() };
    let mut rig = Rig::new(spec.clone());
    for _ in 0..2 {
        assert_eq!(word(&rig.order(1.0)), "done");
    }
    let memory = rig.memory.clone();
    let restarted = |wall_ms: i64| {
        let mut rig = Rig::started(spec.clone(), true, Some(&memory), Some(0.0));
        rig.set = T0 + wall_ms - 100_000;
        let now = rig.now();
        rig.control = Control::new(Arc::new(spec.clone()), true, Some(&memory), now);
        rig
    };
    assert_eq!(word(&restarted(60_000).order(1.0)), "too_many");
    assert_eq!(word(&restarted(3_700_000).order(1.0)), "done");
    assert_eq!(word(&restarted(-T0).order(1.0)), "too_soon", "1970: who does not know when, waits");
    let mut rig = restarted(-T0);
    rig.pass(2);
    assert_eq!(word(&rig.order(1.0)), "too_many");
    rig.pass(3600);
    assert_eq!(word(&rig.order(1.0)), "done");
}

#[test]
fn the_wall_clock_changes_no_pulse() {
    let mut rig = Rig::new(pulse());
    assert_eq!(word(&rig.order(1.0)), "done");
    rig.set -= 10 * 365 * 86_400_000;
    rig.pass(51);
    assert_eq!(rig.output, Some(1.0));
    rig.pass(2);
    assert_eq!(rig.output, Some(0.0));
}

#[test]
fn a_dry_run_checks_everything_and_writes_nothing() {
    let mut rig = Rig::new(locked());
    let number = rig.give("王老师", 1.0, true);
    rig.settle();
    assert_eq!(rig.outcome(number).map(|o| o.word()), Some("interlock"));
    rig.see(Some(0.0), 1, Quality::Good);
    let number = rig.give("王老师", 1.0, true);
    rig.settle();
    assert_eq!(rig.outcome(number), Some(Outcome::DryRun { value: 1.0 }));
    let mut rig = Rig::new(Spec { dry_run: true, ..pulse() });
    assert_eq!((word(&rig.order(1.0)), word(&rig.order(0.0))), ("dry_run", "dry_run"));
    assert_eq!((rig.written.as_slice(), rig.results().len()), ([].as_slice(), 2));
    assert!(rig.control.at_peace());
}

#[test]
fn switching_control_off_or_to_dry_run_still_ends_what_is_on() {
    let memory = Memory { owes_rest: true, ..Memory::default() };
    for (spec, enabled) in [(pulse(), false), (Spec { dry_run: true, ..pulse() }, true), (spec(), true)] {
        let mut rig = Rig::started(spec, enabled, Some(&memory), Some(1.0));
        rig.settle();
        assert_eq!((rig.output, rig.memory.owes_rest), (Some(0.0), false));
        assert_eq!(rig.results(), ["gateway asked", "gateway done"]);
    }
    let (row, finding) = abandoned(&id(ControlId::new("hall")), Wall(T0));
    assert!(row.detail.starts_with("result=abandoned"), "{row:?}");
    assert_eq!(finding.map(|finding| finding.level), Some(Level::Happened));
}

#[test]
fn a_stop_ends_a_pulse_and_leaves_the_rest_alone() {
    let mut rig = Rig::new(pulse());
    assert_eq!(word(&rig.order(1.0)), "done");
    let steps = rig.control.stop(rig.now());
    rig.pending.extend(steps);
    rig.work();
    assert_eq!((rig.output, rig.memory.owes_rest, rig.control.at_peace()), (Some(0.0), false, true));
    let mut rig = Rig::new(spec());
    assert_eq!(word(&rig.order(1.0)), "done");
    assert_eq!(rig.control.stop(rig.now()), []);
    assert!(rig.control.at_peace());
}

#[test]
fn refusals_fill_no_disk() {
    let mut rig = Rig::new(spec());
    for _ in 0..1000 {
        let number = rig.give("script", 7.0, false);
        rig.work();
        assert_eq!(rig.outcome(number).map(|o| o.word()), Some("not_allowed"));
    }
    assert_eq!(rig.rows.len(), 60);
    rig.pass(3600);
    assert_eq!(word(&rig.order(7.0)), "not_allowed");
    let last = &rig.rows.last().expect("a row").detail;
    assert!(last.contains("940 refusals before it"), "{last}");
}

#[test]
fn values_are_those_of_the_list_or_of_the_grid() {
    let range = |step| Allowed::Range { min: 16.0, max: 30.0, step };
    for (allowed, value, found) in [
        (range(Some(0.5)), 21.5, Some(21.5)),
        (range(Some(0.5)), 21.3, None),
        (range(Some(0.1)), 16.3, Some(16.3)),
        (range(Some(0.5)), 30.5, None),
        (range(None), 29.99, Some(29.99)),
        (range(None), 15.99, None),
        (range(None), f64::NAN, None),
        (Allowed::Values(vec![0.0, 1.0]), 1.000_000_1, Some(1.0)),
        (Allowed::Values(vec![0.0, 1.0]), f64::INFINITY, None),
    ] {
        let got = allowed.find(value);
        assert!(
            match (got, found) {
                (Some(a), Some(b)) => (a - b).abs() < 1e-9,
                (a, b) => a == b,
            },
            "{allowed} {value}: {got:?}"
        );
    }
    assert!(range(Some(0.5)).reached(21.5, 21.4) && !range(Some(0.5)).reached(21.5, 22.0));
    assert!(range(None).reached(21.5, 21.500_001) && !range(None).reached(21.5, 21.6));
}

#[test]
fn memory_is_bounded_and_comes_back() {
    let mut rig = Rig::new(Spec { max_per_hour: 120, min_interval: Duration::ZERO, ..pulse() });
    for _ in 0..500 {
        rig.order(1.0);
        rig.order(0.0);
    }
    assert!(rig.memory.orders.len() <= 120, "{}", rig.memory.orders.len());
    assert_eq!(Memory::of(&rig.memory.text()), rig.memory);
}

#[test]
fn an_exit_is_never_brought_away_from_rest_whoever_orders() {
    for spec in [Spec { exit: true, ..spec() }, Spec { exit: true, rest: None, ..spec() }] {
        let has_rest = spec.rest.is_some();
        let mut rig = Rig::new(spec);
        assert_eq!(rig.order(1.0), Outcome::Refused(Refusal::Exit));
        for by in [By::Rule(id(RuleId::new("always.fire"))), By::Time, By::Restart, By::Doubt] {
            let order = Order { number: 90, value: 1.0, by, reason: String::new(), dry_run: false };
            let steps = rig.control.order(rig.now(), &rig.live, order);
            assert!(!steps.iter().any(|step| matches!(step, Step::Write { .. })), "{steps:?}");
        }
        assert_eq!(word(&rig.order(0.0)), if has_rest { "done" } else { "exit" });
        assert_eq!(rig.written, if has_rest { vec![0.0] } else { Vec::new() });
    }
}

/// A fire alarm that is open.
fn fire() -> Alarm {
    let (at, rule) = (Wall(T0), id(RuleId::new("always.fire")));
    Alarm {
        id: AlarmId(1),
        key: AlarmKey { rule, subject: "panel".into() },
        class: AlarmClass::Fire,
        priority: Priority::Critical,
        device: None,
        place: None,
        what: Text::same("fire"),
        raised_at: at,
        active: true,
        occurrences: 1,
        cleared_at: None,
        acknowledged: None,
        latched: true,
        reset: None,
        closed_at: None,
        marks: Marks::default(),
    }
}

#[test]
fn what_could_lock_people_in_only_goes_to_rest_while_there_is_fire() {
    let inert = Spec { inert_in_fire: true, min_interval: Duration::ZERO, ..spec() };
    let mut rig = Rig::new(inert);
    assert_eq!(word(&rig.order(1.0)), "done");
    rig.live.alarms = vec![fire()];
    assert_eq!(rig.order(1.0), Outcome::Refused(Refusal::Fire));
    assert_eq!(word(&rig.order(0.0)), "done");
    // It began while the intent was on its way to the disk.
    rig.live.alarms.clear();
    let number = rig.give("王老师", 1.0, false);
    rig.live.alarms = vec![fire()];
    rig.settle();
    assert_eq!(rig.outcome(number), Some(Outcome::Refused(Refusal::Fire)));
    assert_eq!(rig.written, [1.0, 0.0]);
    // A drill is no fire, and what is not of a lockdown is free.
    let marks = Marks { drill: true, ..Marks::default() };
    rig.live.alarms = vec![Alarm { marks, ..fire() }];
    assert_eq!(word(&rig.order(1.0)), "done");
    let mut free = Rig::new(spec());
    free.live.alarms = vec![fire()];
    assert_eq!(word(&free.order(1.0)), "done");
}

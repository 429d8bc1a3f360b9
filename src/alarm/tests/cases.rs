//! The cases of the field, each with its figure.

use super::*;
use crate::model::{Handled, Stage};

const ID: AlarmId = AlarmId(7);

fn ack(book: &mut AlarmBook, at: Now, id: AlarmId, who: &str) -> Result<Vec<AlarmChange>, OrderRefused> {
    book.order(at, &command(Order::Acknowledge(id), who, "")).map(|(changes, _)| changes)
}

fn silent(n: usize, level: Level) -> Finding {
    let subject = format!("m{n}");
    Finding { key: key("silent", &subject), ..finding(AlarmClass::Equipment, &subject, level) }
}

/// Reports of a rule that holds only because nothing is heard of the device.
fn report(book: &mut AlarmBook, at: Now, n: usize, level: Level) -> Vec<AlarmChange> {
    book.apply(at, &silent(n, level), &[device(&format!("m{n}"))])
}

#[test]
fn a_level_is_an_edge_only_once() {
    let mut book = book();
    let holds = finding(AlarmClass::Energy, "d", Level::Holds);
    let ended = finding(AlarmClass::Energy, "d", Level::Ended);
    for (at, finding, expected) in [
        (0, &ended, ""),
        (100, &holds, "raised"),
        (200, &holds, ""),
        (300, &ended, "cleared"),
        (400, &ended, ""),
        (500, &holds, "recurred"),
    ] {
        assert_eq!(words(&book.apply(secs(at), finding, &[])), expected, "{at}");
    }
    assert_eq!(book.open().next().map(|a| (a.occurrences, a.isa_state())), Some((2, 'B')));
    // Who took it before has not seen this: it wants a new look.
    ack(&mut book, secs(501), ID, "guard").unwrap();
    let again = book.apply(secs(600), &finding(AlarmClass::Energy, "d", Level::Happened), &[]);
    assert_eq!(words(&again), "recurred");
    assert_eq!(book.open().next().map(|a| a.acknowledged.is_some()), Some(false));
}

#[test]
fn a04_a_bus_that_breaks_is_one_alarm_and_its_32_meters_are_listed_under_it() {
    // In whichever order it is noticed: before the bus, after it, or some before.
    for before in [0, 5, 32] {
        let mut book = book();
        let mut steps: Vec<AlarmChange> = Vec::new();
        for n in 1..=before {
            steps.extend(report(&mut book, secs(1), n, Level::Holds));
        }
        steps.extend(book.apply(secs(2), &bus(Level::Holds), &[]));
        for n in before + 1..=32 {
            steps.extend(report(&mut book, secs(3), n, Level::Holds));
        }
        let cause = book.open().find(|alarm| alarm.key.rule.as_str() == BUS_RULE).unwrap().id;
        let told: Vec<&Alarm> = book.open().filter(|alarm| alarm.announced()).collect();
        assert_eq!(told.iter().map(|alarm| alarm.id).collect::<Vec<_>>(), [cause], "{before}");
        let children = book.open().filter(|alarm| alarm.marks.inhibited_by == Some(cause));
        assert_eq!(children.count(), 32);
        assert_eq!(steps.iter().filter(|step| step.kind == ChangeKind::Inhibited).count(), 32);
        // Who takes the bus takes what it explains.
        let taken = ack(&mut book, secs(10), cause, "guard").unwrap();
        assert_eq!(taken.len(), 33);
        assert!(taken.iter().all(|c| c.kind == ChangeKind::Acknowledged && c.actor.as_str() == "guard"));
        // It is back: 30 meters are heard within their time, two are not.
        let _ = book.apply(secs(20), &bus(Level::Ended), &[]);
        for n in 1..=30 {
            assert_eq!(words(&report(&mut book, secs(22), n, Level::Ended)), "cleared closed", "{n}");
        }
        let late = book.expire(secs(31));
        assert_eq!(words(&late), "uninhibited uninhibited", "{before}");
        let told: BTreeSet<&str> = book
            .open()
            .filter(|a| a.announced() && a.acknowledged.is_none())
            .map(|a| a.key.subject.as_str())
            .collect();
        assert_eq!(told, BTreeSet::from(["m31", "m32"]));
    }
}

#[test]
fn a04_a_bus_that_comes_and_goes_is_still_one_alarm() {
    let mut book = book();
    let _ = book.apply(secs(0), &bus(Level::Holds), &[]);
    let raised = report(&mut book, secs(1), 1, Level::Holds);
    assert_eq!(words(&raised), "raised inhibited");
    let mut steps = Vec::new();
    for n in 0..100 {
        let level = if n % 2 == 0 { Level::Ended } else { Level::Holds };
        steps.extend(book.apply(secs(10 + n), &bus(level), &[]));
    }
    assert_eq!(words(&steps), "cleared chattering");
    assert_eq!(book.open().filter(|alarm| alarm.announced()).count(), 1);
    let settled = book.expire(secs(500));
    assert!(settled.iter().any(|c| c.kind == ChangeKind::Settled), "{}", words(&settled));
}

#[test]
fn a04_a_line_to_the_outside_is_one_alarm() {
    let mut book = book();
    let platform = |subject: &str, level| Finding {
        key: key(UPLINK, subject),
        device: None,
        place: None,
        ..finding(AlarmClass::Equipment, "x", level)
    };
    assert_eq!(words(&book.apply(secs(0), &platform("city", Level::Holds), &[])), "raised");
    assert_eq!(words(&book.apply(secs(1), &platform("all", Level::Holds), &[])), "raised inhibited");
    assert_eq!(words(&book.apply(secs(2), &platform("province", Level::Holds), &[])), "raised inhibited");
    assert_eq!(book.open().filter(|alarm| alarm.announced()).count(), 1);
    let _ = book.apply(secs(10), &platform("all", Level::Ended), &[]);
    let _ = book.apply(secs(11), &platform("city", Level::Ended), &[]);
    assert_eq!(words(&book.expire(secs(30))), "uninhibited", "the province still does not answer");
}

const UPLINK: &str = crate::rules::UPLINK_RULE;

#[test]
fn what_is_urgent_is_not_explained_by_what_is_not_and_help_by_nothing() {
    let mut book = book();
    let _ = book.apply(secs(0), &bus(Level::Holds), &[]);
    let absent = [device("m1")];
    let critical = Finding { priority: Priority::Critical, ..silent(1, Level::Holds) };
    assert_eq!(words(&book.apply(secs(1), &critical, &absent)), "raised");
    for class in [AlarmClass::Help, AlarmClass::Fire] {
        let help = Finding { key: key(class.as_str(), "m1"), ..finding(class, "m1", Level::Happened) };
        assert_eq!(words(&book.apply(secs(1), &help, &absent)), "raised");
    }
    // Of two devices one is on no bus that is dead.
    let area = [device("m1"), device("elsewhere")];
    assert_eq!(words(&book.apply(secs(1), &silent(2, Level::Holds), &area)), "raised");
    // What is said of a device that is heard is its own alarm.
    assert_eq!(words(&book.apply(secs(1), &silent(3, Level::Holds), &[])), "raised");
}

#[test]
fn an_old_alarm_is_not_explained_by_a_new_cause() {
    let mut book = book();
    assert_eq!(words(&report(&mut book, secs(0), 1, Level::Holds)), "raised");
    assert_eq!(words(&report(&mut book, secs(3000), 2, Level::Holds)), "raised");
    assert_eq!(words(&book.apply(secs(3001), &bus(Level::Holds), &[])), "raised inhibited");
    assert_eq!(book.open().filter(|alarm| alarm.announced()).count(), 2);
}

#[test]
fn what_a_lost_cause_explained_is_announced_after_a_restart() {
    let mut book = book();
    let _ = book.apply(secs(0), &bus(Level::Holds), &[]);
    let _ = report(&mut book, secs(1), 1, Level::Holds);
    let open = book.open().filter(|alarm| alarm.marks.inhibited_by.is_some()).cloned().collect();
    let mut again = AlarmBook::restore(Before { open, next_id: 20, ..Before::default() }, setup());
    assert_eq!(words(&again.start(secs(0), |_| vec![device("m1")])), "uninhibited");
}

#[test]
fn a05_five_times_a_second_for_an_hour_is_one_announcement_and_few_rows() {
    let mut book = book();
    let mut steps = Vec::new();
    let last = 5 * 3600;
    for n in 0..last {
        let level = if n % 2 == 0 { Level::Holds } else { Level::Ended };
        steps.extend(book.apply(now(n * 200), &finding(AlarmClass::Security, "d", level), &[]));
        if book.next_deadline().is_some_and(|at| at <= Mono(n * 200)) {
            steps.extend(book.expire(now(n * 200)));
        }
    }
    assert_eq!(steps.iter().filter(|step| step.kind.announces()).count(), 1, "{}", words(&steps));
    assert!(steps.len() <= 120, "{} rows", steps.len());
    let counted = book.open().next().unwrap().marks.chattering.unwrap().count;
    assert_eq!(u64::from(counted), last, "every coming and going is counted");
    assert!(book.open().all(|alarm| alarm.active), "while it chatters it counts as active");
    let settled = book.expire(now(last * 200 + 60_000));
    assert!(words(&settled).ends_with("settled cleared"), "{}", words(&settled));
    assert_eq!(settled[settled.len() - 2].note, last.to_string());
    // A minute's quiet, and it is an alarm like any other.
    let again = book.apply(now(last * 200 + 200_000), &finding(AlarmClass::Security, "d", Level::Holds), &[]);
    assert_eq!(words(&again), "recurred");
}

#[test]
fn one_that_chatters_and_was_taken_stays_taken_until_it_has_settled() {
    let mut book = book();
    let apply = |book: &mut AlarmBook, ms, level| {
        words(&book.apply(now(ms), &finding(AlarmClass::Security, "d", level), &[]))
    };
    assert_eq!(apply(&mut book, 0, Level::Holds), "raised");
    ack(&mut book, now(1), ID, "guard").unwrap();
    assert_eq!(apply(&mut book, 2, Level::Ended), "cleared closed");
    // The third within a minute: announced, because the last one was over, and held from now on.
    assert_eq!(apply(&mut book, 4, Level::Holds), "raised chattering");
    ack(&mut book, now(5), AlarmId(8), "guard").unwrap();
    for ms in 6..100 {
        let level = if ms % 2 == 0 { Level::Ended } else { Level::Holds };
        assert_eq!(apply(&mut book, ms, level), "", "{ms}");
    }
    assert_eq!(apply(&mut book, 100, Level::Ended), "");
    assert_eq!(words(&book.expire(now(70_000))), "settled cleared closed");
}

#[test]
fn every_press_of_a_help_button_is_told() {
    let mut book = book();
    for n in 0..50 {
        let pressed = book.apply(now(n * 100), &finding(AlarmClass::Help, "b", Level::Happened), &[]);
        assert_eq!(words(&pressed), if n == 0 { "raised" } else { "recurred" });
    }
    assert_eq!(book.open().next().unwrap().occurrences, 50);
}

#[test]
fn a07_help_fire_and_duress_are_never_kept_quiet() {
    for (rule_of, class) in [
        ("always.help", AlarmClass::Help),
        ("always.fire", AlarmClass::Fire),
        ("always.duress", AlarmClass::Help),
    ] {
        let mut book = book();
        let pressed = Finding { key: key(rule_of, "m1"), ..finding(class, "m1", Level::Holds) };
        let _ = book.apply(secs(0), &pressed, &[]);
        for order in [
            Order::Shelve { id: ID, secs: 60, once: false },
            Order::Shelve { id: ID, secs: 60, once: true },
            Order::TakeOut { id: ID, secs: Some(60) },
            Order::TakeOut { id: ID, secs: None },
        ] {
            let refused = book.order(secs(1), &command(order, "guard", "it disturbs")).unwrap_err();
            assert_eq!(refused, OrderRefused::Protected { id: ID, class }, "{rule_of}");
            assert!(refused.to_string().contains("never shelved"), "{refused}");
            assert!(refused.zh().contains("不得搁置"), "{}", refused.zh());
        }
        // Nor is it suppressed with its area, nor held back in one that is not armed.
        let disarm = Order::Arm { area: area_id(), mode: ArmMode::Disarmed, force: false };
        let (changes, _) = book.order(secs(2), &command(disarm, "guard", "")).unwrap();
        assert_eq!(changes, []);
        let again = Finding { key: key(rule_of, "m2"), ..finding(class, "m2", Level::Holds) };
        assert_eq!(words(&book.apply(secs(3), &again, &[])), "raised");
        assert!(book.open().all(Alarm::announced));
    }
}

#[test]
fn a09_two_who_acknowledge_at_once_both_learn_who_was_first() {
    let mut book = book();
    let _ = book.apply(secs(0), &finding(AlarmClass::Security, "d", Level::Holds), &[]);
    ack(&mut book, secs(1), ID, "first").unwrap();
    let refused = ack(&mut book, secs(1), ID, "second").unwrap_err();
    let by = Handled { by: Actor::named("first").unwrap(), at: secs(1).wall, note: String::new() };
    assert_eq!(refused, OrderRefused::AlreadyAcknowledged { id: ID, by });
    assert!(refused.to_string().contains("by first") && refused.zh().contains("first"), "{refused}");
    // The phone that was offline tells the same, as often as it likes, and nothing changes.
    let before: Vec<Alarm> = book.open().cloned().collect();
    assert_eq!(ack(&mut book, secs(99), ID, "second").unwrap_err(), refused);
    assert_eq!(book.open().cloned().collect::<Vec<_>>(), before);
}

#[test]
fn a_shelf_always_ends() {
    let shelve = |secs, note| command(Order::Shelve { id: ID, secs, once: false }, "guard", note);
    let mut book = book();
    let _ = book.apply(secs(0), &finding(AlarmClass::Energy, "d", Level::Holds), &[]);
    let most = DEFAULT_SHELF_SECS;
    for (order, refused) in [
        (shelve(0, "why"), OrderRefused::BadSpan { most }),
        (shelve(most + 1, "why"), OrderRefused::BadSpan { most }),
        (shelve(60, " "), OrderRefused::NoReason),
    ] {
        assert_eq!(book.order(secs(1), &order).unwrap_err(), refused);
    }
    book.order(secs(1), &shelve(most, "why")).unwrap();
    ack(&mut book, secs(2), ID, "guard").unwrap();
    let ended = book.apply(secs(3), &finding(AlarmClass::Energy, "d", Level::Ended), &[]);
    assert_eq!(words(&ended), "cleared", "what is on the shelf stays");
    assert_eq!(words(&book.expire(secs(u64::from(most)))), "");
    assert_eq!(words(&book.expire(secs(u64::from(most) + 1))), "unshelved closed");
}

#[test]
fn a_shelf_ends_in_the_next_run_and_at_once_when_the_clock_cannot_be_believed() {
    let mut book = book();
    let _ = book.apply(secs(0), &finding(AlarmClass::Energy, "d", Level::Holds), &[]);
    let order = Order::Shelve { id: ID, secs: 3600, once: false };
    book.order(secs(0), &command(order, "guard", "why")).unwrap();
    let open: Vec<Alarm> = book.open().cloned().collect();
    for (wall, left) in [
        (AT.plus_ms(600_000), 3000),
        (AT.plus_ms(3_600_001), 0),
        // 1970, and a clock that was set back.
        (Wall(5_000), 0),
        (AT.plus_ms(-1), 0),
    ] {
        let before = Before { open: open.clone(), next_id: 8, ..Before::default() };
        let mut book = AlarmBook::restore(before, setup());
        let at = |s: u64| Now { mono: Mono(s * 1000), wall: wall.plus_ms(i64::try_from(s * 1000).unwrap()) };
        assert_eq!(book.start(at(0), |_| Vec::new()), []);
        if left > 0 {
            assert_eq!(words(&book.expire(at(left - 1))), "", "{wall}");
        }
        assert_eq!(words(&book.expire(at(left))), "unshelved", "{wall}");
    }
}

#[test]
fn a_step_of_the_clock_moves_no_shelf() {
    let mut book = book();
    let _ = book.apply(secs(0), &finding(AlarmClass::Energy, "d", Level::Holds), &[]);
    let order = Order::Shelve { id: ID, secs: 3600, once: false };
    book.order(secs(0), &command(order, "guard", "why")).unwrap();
    let at = |s: u64, wall: i64| Now { mono: Mono(s * 1000), wall: Wall(wall) };
    assert_eq!(words(&book.expire(at(3599, AT.0 + 400 * 24 * 3_600_000))), "");
    assert_eq!(words(&book.expire(at(3600, 0))), "unshelved");
}

#[test]
fn the_first_of_a_place_and_of_a_bus_is_marked() {
    let mut book = book();
    let first = |book: &mut AlarmBook, at, subject: &str, at_place: &str| {
        let place = Some(place(at_place));
        let finding = Finding { place, ..finding(AlarmClass::Security, subject, Level::Holds) };
        book.apply(secs(at), &finding, &[])[0].alarm.marks.first
    };
    assert!(first(&mut book, 0, "a", "yard"));
    assert!(!first(&mut book, 30, "b", "yard"));
    assert!(!first(&mut book, 89, "c", "yard"), "the group goes on while alarms follow");
    assert!(first(&mut book, 150, "e", "yard"));
    assert!(first(&mut book, 150, "m1", "r1"));
    assert!(!first(&mut book, 151, "m2", "r2"), "the same bus");
}

#[test]
fn what_an_alarm_was_can_be_said_while_it_is_open_and_for_a_while_after() {
    let mut book = book();
    let _ = book.apply(secs(0), &finding(AlarmClass::Energy, "d", Level::Happened), &[]);
    let confirm = |truth| command(Order::Confirm { id: ID, truth }, "guard", "a cat");
    assert_eq!(book.order(secs(1), &confirm(Truth::False)).unwrap_err(), OrderRefused::NotAcknowledged(ID));
    assert_eq!(words(&ack(&mut book, secs(2), ID, "guard").unwrap()), "acknowledged closed");
    let (changes, done) = book.order(secs(3), &confirm(Truth::False)).unwrap();
    assert_eq!((words(&changes).as_str(), changes[0].note.as_str()), ("confirmed", "false: a cat"));
    assert!(done.alarm().unwrap().closed_at.is_some());
    // A slip is put right.
    book.order(secs(4), &confirm(Truth::Nuisance)).unwrap();
    for n in 0..CONFIRMABLE {
        let at = secs(100 + u64::try_from(n).unwrap());
        let subject = format!("x{n}");
        let _ = book.apply(at, &finding(AlarmClass::Energy, &subject, Level::Happened), &[]);
        ack(&mut book, at, AlarmId(8 + u64::try_from(n).unwrap()), "guard").unwrap();
    }
    assert_eq!(book.order(secs(999), &confirm(Truth::Real)).unwrap_err(), OrderRefused::NotOpen(ID));
}

#[test]
fn a_hazard_goes_from_found_to_closed_with_who_and_when_at_each_step() {
    let mut book = book();
    let _ = book.apply(secs(0), &finding(AlarmClass::Energy, "d", Level::Happened), &[]);
    let find = |what: &str, alarm| Order::FindHazard { alarm, place: None, what: what.into() };
    let no_words = book.order(secs(1), &command(find(" ", None), "a", ""));
    assert!(matches!(no_words, Err(OrderRefused::NoWords(_))));
    let nothing = book.order(secs(1), &command(find("wire", Some(AlarmId(99))), "a", ""));
    assert_eq!(nothing.unwrap_err(), OrderRefused::NotOpen(AlarmId(99)));
    let (_, done) = book.order(secs(1), &command(find("a bare wire", Some(ID)), "a", "")).unwrap();
    let crate::model::Done::Hazard(hazard) = done else { panic!("{done:?}") };
    assert_eq!((hazard.stage(), hazard.place.clone()), (Stage::Found, Some(place("lab"))));
    let id = hazard.id;
    let step = |stage, note: &str| command(Order::StepHazard { id, stage }, "b", note);
    let skipped = book.order(secs(2), &step(Stage::Handled, "done"));
    let wrong = OrderRefused::WrongStage { id, at: Stage::Found, next: Stage::Checked };
    assert_eq!(skipped.unwrap_err(), wrong);
    assert_eq!(book.order(secs(2), &step(Stage::Checked, "")).unwrap_err(), OrderRefused::NoReason);
    for stage in [Stage::Checked, Stage::Handled, Stage::Closed] {
        assert_eq!(book.hazards().count(), 1);
        book.order(secs(3), &step(stage, "so")).unwrap();
    }
    assert_eq!(book.hazards().count(), 0);
    let notes = book.hazard_notes();
    assert_eq!(notes.len(), 4);
    let closed = notes.last().unwrap();
    for handled in [&closed.checked, &closed.handled, &closed.closed] {
        let handled = handled.as_ref().unwrap();
        assert_eq!((handled.by.as_str(), handled.at, handled.note.as_str()), ("b", secs(3).wall, "so"));
    }
    assert_eq!(book.order(secs(4), &step(Stage::Closed, "x")).unwrap_err(), OrderRefused::NoHazard(id));
}

#[test]
fn a_person_who_is_erased_leaves_no_trace() {
    use crate::model::{PersonRef, Personal, SiteKey};
    let who: PersonRef = Personal::new("1".to_owned()).pseudonym(&SiteKey::new([1; 32]));
    let subject = format!("gate/{}", who.as_str());
    let about = |level| Finding {
        key: key("curfew", &subject),
        device: None,
        ..finding(AlarmClass::Security, "x", level)
    };
    let mut book = book();
    let _ = book.apply(secs(0), &about(Level::Holds), &[]);
    ack(&mut book, secs(1), ID, "guard").unwrap();
    assert_eq!(words(&book.forget(secs(2).wall, &who)), "cleared closed");
    let order = Order::Confirm { id: ID, truth: Truth::Real };
    let (changes, _) = book.order(secs(3), &command(order, "guard", "")).unwrap();
    assert_eq!(changes[0].alarm.key.subject, "gate/erased-7");
}

/// Gives an order and says what changed.
fn calls(book: &mut AlarmBook, at: Now, who: &str, note: &str) -> Result<(String, Alarm), OrderRefused> {
    let (changes, done) = book.order(at, &command(Order::CallSupport(ID), who, note))?;
    Ok((words(&changes), done.alarm().unwrap().clone()))
}

#[test]
fn who_calls_for_support_takes_the_alarm_and_a_key_that_is_held_down_is_one_call() {
    let mut book = book();
    assert_eq!(calls(&mut book, secs(0), "guard", ""), Err(OrderRefused::NotOpen(ID)));
    let _ = book.apply(secs(1), &finding(AlarmClass::Energy, "d", Level::Holds), &[]);
    let (steps, alarm) = calls(&mut book, secs(2), "guard", "two more").unwrap();
    assert_eq!(steps, "acknowledged support_called");
    let taken = alarm.acknowledged.clone().unwrap();
    assert_eq!((taken.by.as_str(), taken.note.as_str()), ("guard", ""), "the note is that of the call");
    let support = alarm.marks.support.clone().unwrap();
    assert_eq!(
        (support.by.by.as_str(), support.by.note.as_str(), support.told_at),
        ("guard", "two more", None)
    );
    assert_eq!(alarm.calls(), Some(secs(2).wall));
    // Pressed again, by whomever: what stands is the answer.
    for (at, who) in [(2, "guard"), (11, "head")] {
        assert_eq!(calls(&mut book, secs(at), who, "again").unwrap(), (String::new(), alarm.clone()), "{at}");
    }
    let told = |book: &mut AlarmBook, at: Now, called: Now| {
        let order = Order::SupportTold { id: ID, called: called.wall };
        words(&book.order(at, &command(order, "gateway", "")).unwrap().0)
    };
    // Later it is a call of its own, and what was told of the one before says nothing of it.
    let (steps, alarm) = calls(&mut book, secs(12), "head", "").unwrap();
    assert_eq!((steps.as_str(), alarm.acknowledged.unwrap().by.as_str()), ("support_called", "guard"));
    assert_eq!(told(&mut book, secs(13), secs(2)), "");
    assert_eq!(told(&mut book, secs(13), secs(12)), "support_told");
    assert_eq!(told(&mut book, secs(14), secs(12)), "", "once");
    let alarm = book.open().next().unwrap();
    assert_eq!((alarm.calls(), alarm.marks.support.as_ref().unwrap().told_at), (None, Some(secs(13).wall)));
    // What comes back is to be looked at again, and a call takes it again, however soon.
    let _ = book.apply(secs(14), &finding(AlarmClass::Energy, "d", Level::Happened), &[]);
    assert_eq!(calls(&mut book, secs(15), "guard", "").unwrap().0, "acknowledged support_called");
    // A clock that was set back says nothing of how long ago the last was.
    let back = Now { wall: AT.plus_ms(-3_600_000), ..secs(16) };
    assert_eq!(calls(&mut book, back, "guard", "").unwrap().0, "support_called");
}

#[test]
fn whoever_comes_to_help_finds_the_alarm_open_until_somebody_resets_it() {
    let mut book = book();
    // Gone before anybody took it: an acknowledgement alone would close it.
    let _ = book.apply(secs(1), &finding(AlarmClass::Energy, "d", Level::Happened), &[]);
    let (steps, alarm) = calls(&mut book, secs(2), "guard", "").unwrap();
    assert_eq!(
        (steps.as_str(), alarm.latched, alarm.isa_state()),
        ("acknowledged support_called", true, 'F')
    );
    let (reset, _) = book.order(secs(300), &command(Order::Reset(ID), "guard", "")).unwrap();
    assert_eq!(words(&reset), "reset closed");
    assert_eq!(reset.last().unwrap().alarm.calls(), None);
    assert_eq!(calls(&mut book, secs(301), "guard", ""), Err(OrderRefused::NotOpen(ID)));
}

#[test]
fn a_call_for_support_takes_what_the_alarm_explains() {
    let mut book = book();
    let _ = book.apply(secs(1), &bus(Level::Holds), &[]);
    for n in 1..=3 {
        report(&mut book, secs(2), n, Level::Holds);
    }
    let (steps, alarm) = calls(&mut book, secs(3), "guard", "").unwrap();
    assert_eq!(steps, "acknowledged support_called acknowledged acknowledged acknowledged");
    assert_eq!(alarm.id, ID, "the answer is of the alarm that was asked about");
}

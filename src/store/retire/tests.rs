//! What was kept long enough goes, what must stay stays, and the rest is proven all the same.

use super::*;
use crate::model::*;
use crate::pipeline::{Audit, Commit, StoredEvent};
use crate::store::recall::each;
use crate::store::rows::get;
use crate::store::{Depth, Reader, Verdict, repair};
use tempfile::{TempDir, tempdir};

/// The first day of the school.
const BEGIN: i64 = 1_790_000_000_000;
const KEEP: Keep =
    Keep { events_days: 90, alarms_days: 365, security_log_days: 180, quarantine_days: 30, persons_days: 10 };

fn day(n: i64) -> Wall {
    Wall(BEGIN + n * DAY_MS)
}

fn event(at: Wall) -> StoredEvent {
    StoredEvent {
        device: DeviceId::new("door").unwrap(),
        stamp: Stamp::new(None, at),
        retained: false,
        event: Event::bare(EventKind::Contact, Phase::Start),
    }
}

fn alarm(id: u64, at: Wall, closed: bool) -> AlarmChange {
    let by = Handled { by: Actor::named("guard").unwrap(), at, note: String::new() };
    let alarm = Alarm {
        id: AlarmId(id),
        key: AlarmKey { rule: RuleId::new("r").unwrap(), subject: format!("s{id}") },
        class: AlarmClass::Energy,
        priority: Priority::Low,
        device: None,
        place: None,
        what: Text::same("w"),
        raised_at: at,
        active: !closed,
        occurrences: 1,
        cleared_at: closed.then_some(at),
        acknowledged: closed.then_some(by),
        latched: false,
        reset: None,
        closed_at: closed.then_some(at),
        marks: crate::model::Marks::default(),
    };
    AlarmChange { kind: ChangeKind::Raised, at, actor: Actor::gateway(), note: String::new(), alarm }
}

fn refused(at: Wall) -> Refused {
    Refused {
        device: None,
        bus: BusId::new("mqtt").unwrap(),
        origin: "t".into(),
        kind: "not_json",
        reason: "no".into(),
        raw: Vec::new(),
        raw_len: 0,
        stamp: Stamp::new(None, at),
    }
}

/// A row of every kind on each day.
fn lived(days: i64, alarms_closed: bool) -> (TempDir, Store) {
    let dir = tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.set_keep(KEEP);
    for n in 0..days {
        let at = day(n);
        let entry =
            Audit { at, actor: "zhang".into(), action: "test", subject: "s".into(), detail: String::new() };
        let commit = Commit {
            events: vec![event(at), event(at)],
            alarm_changes: vec![alarm(u64::try_from(n).unwrap() + 1, at, alarms_closed)],
            refused: vec![refused(at)],
            audit: vec![entry],
            ..Commit::default()
        };
        store.commit(&[&commit]).unwrap();
    }
    (dir, store)
}

/// As many steps as it takes until nothing goes any more.
fn retire(store: &mut Store, now: Wall) -> u32 {
    let rows = |store: &Store| -> i64 {
        let sql = "select (select count(*) from event) + (select count(*) from alarm) \
                   + (select count(*) from quarantine) + (select count(*) from audit where action = 'test')";
        store.db.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    for steps in 0..2000 {
        let before = rows(store);
        store.retire(Now { mono: Mono(0), wall: now }).unwrap();
        if rows(store) == before {
            return steps;
        }
    }
    panic!("it never ends");
}

fn oldest(store: &Store, table: &str, time: &str) -> Option<Wall> {
    store
        .db
        .query_row(&format!("select min({time}) from {table}"), [], |row| row.get(0))
        .map(|at: Option<i64>| at.map(Wall))
        .unwrap()
}

fn verdict(dir: &TempDir) -> Verdict {
    Reader::open(dir.path()).unwrap().verify(Depth::Whole).unwrap()
}

#[test]
fn each_kind_is_kept_for_its_days_and_the_chains_say_where_they_begin() {
    let (dir, mut store) = lived(400, true);
    let steps = retire(&mut store, day(400));
    assert!(steps >= 300, "a day goes at a time: {steps}");
    assert_eq!(oldest(&store, "event", "arrived"), Some(day(310)));
    assert_eq!(oldest(&store, "alarm", "raised_at"), Some(day(35)));
    assert_eq!(oldest(&store, "alarm_change", "at"), Some(day(35)));
    assert_eq!(oldest(&store, "audit", "at"), Some(day(220)));
    assert_eq!(oldest(&store, "quarantine", "at"), Some(day(370)));
    let found = verdict(&dir);
    assert_eq!(found.broken, []);
    let cut: Vec<_> = found.cut.iter().map(|(table, _)| *table).collect();
    assert_eq!(cut, ["event", "alarm_change", "audit"]);
    assert_eq!(found.cut[0].1, 620, "the last row that is gone");
    // It goes on behind, also after a restart.
    drop(store);
    let mut store = Store::open(dir.path()).unwrap();
    store.commit(&[&Commit { events: vec![event(day(400))], ..Commit::default() }]).unwrap();
    assert_eq!(verdict(&dir).broken, []);
}

#[test]
fn a_chain_of_which_all_went_goes_on_where_it_was_and_numbers_are_not_given_again() {
    let (dir, mut store) = lived(3, true);
    retire(&mut store, day(1000));
    for table in ["event", "alarm", "alarm_change"] {
        assert_eq!(oldest(&store, table, "rowid"), None, "{table}");
    }
    assert_eq!(verdict(&dir).broken, []);
    drop(store);
    let mut store = Store::open(dir.path()).unwrap();
    assert_eq!(store.recall(900).unwrap().next_alarm, 4);
    store.commit(&[&Commit { events: vec![event(day(1000))], ..Commit::default() }]).unwrap();
    assert_eq!(oldest(&store, "event", "seq"), Some(Wall(7)));
    assert_eq!(verdict(&dir).broken, []);
}

#[test]
fn alarms_that_are_open_or_that_nobody_took_stay() {
    let (dir, mut store) = lived(3, false);
    retire(&mut store, day(1000));
    assert_eq!(oldest(&store, "alarm", "raised_at"), Some(day(0)));
    assert_eq!(oldest(&store, "alarm_change", "at"), Some(day(0)));
    assert_eq!(verdict(&dir).broken, []);
}

#[test]
fn alarms_of_drills_go_though_nobody_took_them() {
    let (dir, mut store) = lived(0, false);
    for (id, drill) in [(1, true), (2, false)] {
        let mut change = alarm(id, day(0), true);
        (change.alarm.acknowledged, change.alarm.marks.drill) = (None, drill);
        store.commit(&[&Commit { alarm_changes: vec![change], ..Commit::default() }]).unwrap();
    }
    retire(&mut store, day(1000));
    assert_eq!(oldest(&store, "alarm", "id"), Some(Wall(2)));
    assert_eq!(oldest(&store, "alarm_change", "alarm"), Some(Wall(2)));
    assert_eq!(verdict(&dir).broken, []);
}

#[test]
fn a_clock_that_is_not_set_deletes_nothing_and_a_time_ahead_keeps_nothing() {
    let (dir, mut store) = lived(3, true);
    retire(&mut store, Wall(1000));
    assert_eq!(oldest(&store, "event", "arrived"), Some(day(0)));
    // An event of a clock that was years ahead lies among the old ones.
    let events = vec![event(day(5000)), event(day(4))];
    store.commit(&[&Commit { events, ..Commit::default() }]).unwrap();
    retire(&mut store, day(93));
    assert_eq!(oldest(&store, "event", "arrived"), Some(day(4)));
    retire(&mut store, day(200));
    assert_eq!(oldest(&store, "event", "arrived"), None);
    assert_eq!(verdict(&dir).broken, []);
}

#[test]
fn a_beginning_that_was_cut_in_secret_shows() {
    for sql in [
        "delete from event where seq <= 190",
        "delete from event where seq <= 190; update chain set seq = 190, \
         head = (select hash from event where seq = 190) where name = 'event.root'",
        "delete from chain where name = 'event.root'",
        "update chain set head = zeroblob(32) where name = 'event.root'",
        "update chain set seq = 5 where name = 'event.root'",
    ] {
        let (dir, mut store) = lived(100, true);
        retire(&mut store, day(100));
        let root: i64 = store
            .db
            .query_row("select seq from chain where name = 'event.root'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(root, 20);
        // The hash is read before its row is gone.
        let sql = match sql.split_once("; ") {
            Some((delete, update)) => format!("{update}; {delete}"),
            None => sql.to_owned(),
        };
        store.db.execute_batch(&sql).unwrap();
        let broken = verdict(&dir).broken;
        assert!(broken.iter().any(|broken| broken.place == "event"), "{sql}: {broken:?}");
    }
}

#[test]
fn a_repair_keeps_the_beginning() {
    let (dir, mut store) = lived(100, true);
    retire(&mut store, day(100));
    store.db.execute("update event set code = 'x' where seq = 50", []).unwrap();
    store.db.execute("delete from audit where action = 'retired'", []).unwrap();
    drop(store);
    repair(dir.path(), day(100)).unwrap();
    let found = verdict(&dir);
    assert_eq!(found.broken, []);
    assert_eq!(found.cut.first(), Some(&("event", 20)));
}

#[test]
fn persons_whose_time_is_over_go() {
    let (_dir, mut store) = lived(1, true);
    let person = |until: Option<Wall>| Person {
        role: Role::Visitor,
        group: None,
        platform_id: None,
        valid_from: None,
        valid_until: until,
    };
    let who = |n: u8| PersonRef::from_digits(&format!("{n:032x}")).unwrap();
    let rows = vec![(who(1), person(Some(day(0)))), (who(2), person(Some(day(9)))), (who(3), person(None))];
    let people = vec![(day(0), PeopleChange::Put(rows))];
    store.commit(&[&Commit { people, ..Commit::default() }]).unwrap();
    retire(&mut store, day(12));
    assert_eq!(store.recall(900).unwrap().people.keys().collect::<Vec<_>>(), [&who(2), &who(3)]);
}

#[test]
fn a_hazard_goes_a_year_after_it_was_closed_and_its_number_is_not_given_again() {
    let (_dir, mut store) = lived(1, true);
    let hazard = |id: u64, closed: Option<i64>| {
        let by = |n: i64| Handled { by: Actor::named("li").unwrap(), at: day(n), note: "so".into() };
        let (found, closed) = (by(0), closed.map(by));
        let (checked, handled) = (closed.clone(), closed.clone());
        Hazard {
            id: HazardId(id),
            alarm: None,
            place: None,
            what: "wire".into(),
            found,
            checked,
            handled,
            closed,
        }
    };
    let hazards = vec![hazard(1, Some(10)), hazard(2, None), hazard(3, Some(500)), hazard(4, Some(20))];
    store.commit(&[&Commit { hazards, ..Commit::default() }]).unwrap();
    store.retire(Now { mono: Mono(0), wall: day(600) }).unwrap();
    let ids: Vec<i64> =
        each(&store.db, "select id from hazard order by id", [], |row| get(row, "id")).unwrap();
    assert_eq!(ids, [2, 3]);
    let remembered = store.recall(900).unwrap();
    assert_eq!((remembered.hazards, remembered.next_hazard), (vec![hazard(2, None)], 5));
}

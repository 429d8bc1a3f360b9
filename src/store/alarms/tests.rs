//! A02: the process is killed after each step, and what the store has is what the book had.

use crate::alarm::{AlarmBook, Area, Before, Setup};
use crate::model::*;
use crate::pipeline::Commit;
use crate::rules::{Finding, Level};
use crate::store::{AlarmFilter, Depth, Reader, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use tempfile::tempdir;

const AT: Wall = Wall(1_790_000_000_000);

fn now(secs: u64) -> Now {
    Now { mono: Mono(secs * 1000), wall: AT.plus_ms(i64::try_from(secs).unwrap() * 1000) }
}

fn area() -> Area {
    Area {
        id: AreaId::new("lab").unwrap(),
        name: "实验楼".into(),
        places: BTreeSet::from([PlaceId::new("lab").unwrap()]),
        perimeter: BTreeSet::from([DeviceId::new("d1").unwrap()]),
        entry: BTreeSet::new(),
        entry_delay: Duration::ZERO,
        exit_delay: Duration::from_secs(30),
        schedule: None,
    }
}

fn finding(class: AlarmClass, n: u64, level: Level) -> Finding {
    Finding {
        key: AlarmKey { rule: RuleId::new(class.as_str()).unwrap(), subject: format!("d{n}") },
        level,
        class,
        priority: Priority::High,
        device: DeviceId::new(&format!("d{n}")).ok(),
        place: PlaceId::new("lab").ok(),
        what: Text::new("某事", "something"),
    }
}

/// Takes up what is stored, as a start does.
fn begin(dir: &Path, at: Now) -> (Store, AlarmBook, Vec<AlarmChange>) {
    let store = Store::open(dir).unwrap();
    let remembered = store.recall(900).unwrap();
    let before = Before {
        open: remembered.open_alarms,
        over: remembered.closed_alarms,
        next_id: remembered.next_alarm,
        hazards: remembered.hazards,
        next_hazard: remembered.next_hazard,
        areas: remembered.areas,
        drill: remembered.drill,
    };
    let mut book = AlarmBook::restore(before, Setup { areas: vec![area()], ..Setup::default() });
    let changes = book.start(at, |_| Vec::new());
    (store, book, changes)
}

/// One step of a school's day, by its number.
fn step(book: &mut AlarmBook, at: Now, n: u64) -> Vec<AlarmChange> {
    let open: Vec<AlarmId> = book.open().map(|alarm| alarm.id).collect();
    let id = open.get(usize::try_from(n / 7).unwrap() % open.len().max(1)).copied().unwrap_or(AlarmId(1));
    let order = match n % 20 {
        0..=3 => {
            let class = [AlarmClass::Help, AlarmClass::Intrusion, AlarmClass::Energy]
                [usize::try_from(n / 5).unwrap() % 3];
            let level = [Level::Holds, Level::Ended, Level::Happened][usize::try_from(n / 3).unwrap() % 3];
            return book.apply(at, &finding(class, n % 2, level), &[]);
        }
        4 | 5 => Order::Acknowledge(id),
        6 => Order::Reset(id),
        7 => Order::Shelve { id, secs: 90, once: n % 32 < 16 },
        8 => Order::Unshelve(id),
        9 => Order::TakeOut { id, secs: (n % 32 < 16).then_some(120) },
        10 => Order::PutBack(id),
        11 => Order::Confirm { id, truth: Truth::ALL[usize::try_from(n / 16).unwrap() % 4] },
        12 => {
            let mode = ArmMode::ALL[usize::try_from(n / 16).unwrap() % 3];
            Order::Arm { area: AreaId::new("lab").unwrap(), mode, force: true }
        }
        13 => Order::FindHazard { alarm: None, place: PlaceId::new("lab").ok(), what: format!("hazard {n}") },
        14 => {
            let Some((id, stage)) = book.hazards().next().map(|hazard| (hazard.id, hazard.stage())) else {
                return Vec::new();
            };
            let next = Stage::ALL.iter().skip_while(|known| **known != stage).nth(1);
            Order::StepHazard { id, stage: *next.unwrap() }
        }
        15 => Order::Escalate(id),
        16 => Order::StartDrill { secs: if n.is_multiple_of(3) { 60 } else { 600 } },
        17 => {
            let (place, what) = (PlaceId::new("lab").unwrap(), Some(format!("practise {n}")));
            Order::DrillAlarm { class: AlarmClass::Fire, priority: Priority::Critical, place, what }
        }
        18 if n.is_multiple_of(3) => Order::StopDrill,
        19 if n % 40 < 20 => Order::CallSupport(id),
        19 => {
            let support = book.open().find_map(|alarm| alarm.marks.support.clone().map(|of| (alarm.id, of)));
            let Some((id, support)) = support else { return Vec::new() };
            Order::SupportTold { id, called: support.by.at }
        }
        _ => return book.expire(at),
    };
    let command = Command { order, actor: Actor::named("王老师").unwrap(), note: format!("note {n}") };
    book.order(at, &command).map(|(changes, _)| changes).unwrap_or_default()
}

/// What one that chatters counts without a word is behind in the store.
fn counted(alarm: &Alarm) -> Alarm {
    let mut alarm = alarm.clone();
    if let Some(chatter) = &mut alarm.marks.chattering {
        chatter.count = 0;
        alarm.occurrences = 0;
    }
    alarm
}

#[test]
fn a02_killed_after_each_step_the_state_is_the_same_and_goes_on() {
    let dir = tempdir().unwrap();
    let (mut store, mut book, _) = begin(dir.path(), now(0));
    let (mut kinds, mut drills, mut restarts) = (BTreeMap::new(), BTreeSet::new(), 0);
    for n in 0..480 {
        let at = now(n * 13);
        let mut commit = Commit { alarm_changes: book.expire(at), ..Commit::default() };
        commit.alarm_changes.extend(step(&mut book, at, n));
        commit.hazards = book.hazard_notes();
        commit.areas = book.area_notes(at).rows;
        commit.drill = book.drill_notes().row;
        drills.insert((book.drill().is_some(), book.open().any(|alarm| alarm.marks.drill)));
        for change in &commit.alarm_changes {
            *kinds.entry(change.kind).or_insert(0) += 1;
        }
        store.commit(&[&commit]).unwrap();
        if commit.is_empty() {
            continue;
        }
        // Killed: nothing but the file is left.
        drop(store);
        let (stored, again, changes) = begin(dir.path(), at);
        store = stored;
        restarts += 1;
        assert_eq!(changes, [], "{n}: a start changes nothing");
        let (had, has): (Vec<_>, Vec<_>) =
            (book.open().map(counted).collect(), again.open().map(counted).collect());
        assert_eq!(has, had, "{n}");
        assert_eq!(again.hazards().collect::<Vec<_>>(), book.hazards().collect::<Vec<_>>(), "{n}");
        // What is open may be a minute behind; how an area stands may not.
        let stands = |book: &AlarmBook| {
            let state = book.areas().remove(0);
            (state.mode, state.by, state.note, state.since, state.leaving, state.bypassed)
        };
        assert_eq!(stands(&again), stands(&book), "{n}");
        assert_eq!(again.drill(), book.drill(), "{n}");
        book = again;
    }
    assert_eq!(
        drills,
        [(false, false), (true, false), (true, true)].into(),
        "each state of a drill was tried"
    );
    assert!(restarts > 200, "{restarts}");
    let never = [ChangeKind::Inhibited, ChangeKind::Uninhibited, ChangeKind::Chattering, ChangeKind::Settled];
    for kind in ChangeKind::ALL.iter().filter(|kind| !never.contains(kind)) {
        assert!(kinds.contains_key(kind), "{kind} was never tried: {kinds:?}");
    }
    drop(store);
    let verdict = Reader::open(dir.path()).unwrap().verify(Depth::Whole).unwrap();
    assert_eq!(verdict.broken, []);
}

#[test]
fn every_mark_comes_back_as_it_was() {
    use crate::model::alarm::{Chatter, Confirmed, OutOfService, Shelf, Support, Suppressed};
    let dir = tempdir().unwrap();
    let (mut store, mut book, _) = begin(dir.path(), now(0));
    let mut change = book.apply(now(1), &finding(AlarmClass::Energy, 1, Level::Holds), &[]).remove(0);
    let by = Handled { by: Actor::named("李").unwrap(), at: AT, note: "修理".into() };
    let told_at = AT.plus_ms(9);
    for (shelf, out, truth, told) in
        [(true, Some(AT), Truth::Real, None), (false, None, Truth::Nuisance, Some(told_at))]
    {
        // A call for support is in the steps of its alarm.
        (change.kind, change.at) =
            told.map_or((ChangeKind::SupportCalled, AT), |at| (ChangeKind::SupportTold, at));
        (change.actor, change.note) = (by.by.clone(), by.note.clone());
        change.alarm.marks = Marks {
            shelved: Some(Shelf { by: by.clone(), until: AT.plus_ms(5), once: shelf }),
            suppressed: Some(Suppressed { by: "area.lab".into(), at: AT }),
            out_of_service: Some(OutOfService { by: by.clone(), until: out }),
            inhibited_by: Some(AlarmId(77)),
            chattering: Some(Chatter { since: AT, count: 99 }),
            first: shelf,
            confirmed: Some(Confirmed { truth, by: by.clone() }),
            support: Some(Support { by: by.clone(), told_at: told }),
            drill: true,
        };
        let commit = Commit { alarm_changes: vec![change.clone()], ..Commit::default() };
        store.commit(&[&commit]).unwrap();
        assert_eq!(store.recall(900).unwrap().open_alarms, [change.alarm.clone()]);
        let reader = Reader::open(dir.path()).unwrap();
        assert_eq!(reader.explained(AlarmId(77)).unwrap(), [change.alarm.clone()]);
        // A record that is owed says the same, and one from before there were marks can be read.
        let json = serde_json::to_value(&change).unwrap();
        assert_eq!(serde_json::from_value::<AlarmChange>(json.clone()).unwrap(), change);
        let mut old = json;
        for mark in [
            "shelved",
            "suppressed",
            "out_of_service",
            "inhibited_by",
            "chattering",
            "first",
            "confirmed",
            "support",
            "drill",
        ] {
            old["alarm"].as_object_mut().unwrap().remove(mark);
        }
        assert_eq!(serde_json::from_value::<AlarmChange>(old).unwrap().alarm.marks, Marks::default());
    }
}

#[test]
fn open_alarms_are_listed_the_most_urgent_first_page_by_page() {
    let dir = tempdir().unwrap();
    let (mut store, mut book, _) = begin(dir.path(), now(0));
    let mut expected = Vec::new();
    for n in 0..20 {
        let priority = Priority::ALL[usize::try_from(n * 7 % 4).unwrap()];
        let finding = Finding { priority, ..finding(AlarmClass::Energy, n, Level::Holds) };
        let changes = book.apply(now(n), &finding, &[]);
        expected.push((priority, std::cmp::Reverse(changes[0].alarm.id)));
        store.commit(&[&Commit { alarm_changes: changes, ..Commit::default() }]).unwrap();
    }
    expected.sort();
    let reader = Reader::open(dir.path()).unwrap();
    let (mut listed, mut before) = (Vec::new(), None);
    loop {
        let page = reader.alarms(&AlarmFilter::open(), before, 3).unwrap();
        listed.extend(page.rows.into_iter().map(|(_, alarm)| (alarm.priority, std::cmp::Reverse(alarm.id))));
        before = page.next_before;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(listed, expected);
}

/// A3: 2,000 alarms in a minute, three of them critical: all are stored, and the critical ones are the first of the list.
#[test]
fn a03_in_a_flood_all_are_stored_and_the_critical_ones_listed_first() {
    let dir = tempdir().unwrap();
    let (mut store, mut book, _) = begin(dir.path(), now(0));
    let critical = [177, 900, 1999];
    for n in 0..2000_u64 {
        let at = Now { mono: Mono(n * 30), wall: AT.plus_ms(i64::try_from(n).unwrap() * 30) };
        let priority = if critical.contains(&n) { Priority::Critical } else { Priority::High };
        let finding = Finding { priority, ..finding(AlarmClass::Security, n, Level::Happened) };
        let alarm_changes = book.apply(at, &finding, &[]);
        store.commit(&[&Commit { alarm_changes, ..Commit::default() }]).unwrap();
        if critical.contains(&n) {
            let page = Reader::open(dir.path()).unwrap().alarms(&AlarmFilter::open(), None, 1).unwrap();
            assert_eq!(page.rows[0].1.key.subject, format!("d{n}"), "at once");
        }
    }
    let reader = Reader::open(dir.path()).unwrap();
    let (mut listed, mut before) = (Vec::new(), None);
    loop {
        let page = reader.alarms(&AlarmFilter::open(), before, 1000).unwrap();
        listed.extend(page.rows.into_iter().map(|(_, alarm)| alarm));
        before = page.next_before;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(listed.len(), 2000, "0 lost");
    let subjects: Vec<&str> = listed.iter().take(3).map(|alarm| alarm.key.subject.as_str()).collect();
    assert_eq!(subjects, ["d1999", "d900", "d177"]);
}

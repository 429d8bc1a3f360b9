//! The store on a real file: what goes in comes out after a restart, limits hold, and other files are refused.

use super::*;
use crate::alarm::{AlarmBook, Before, Setup};
use crate::model::*;
use crate::pipeline::{Fingerprint, LinkChange, StoredEvent, StoredReading};
use crate::rules::{Finding, Level};
use rusqlite::params;
use tempfile::{TempDir, tempdir};

const AT: Wall = Wall(1_790_000_000_000);

fn device() -> DeviceId {
    DeviceId::new("meter").unwrap()
}

fn destination() -> DestinationId {
    DestinationId::new("city").unwrap()
}

fn bus() -> BusId {
    BusId::new("bus").unwrap()
}

fn open() -> (TempDir, Store) {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn reading(value: f64, at: Wall) -> StoredReading {
    let point = PointId::new("power").unwrap();
    StoredReading {
        device: device(),
        stamp: Stamp::new(None, at),
        reading: Reading::new(point, value, Unit::Watt, PointKind::Gauge),
    }
}

fn card(serial: &str) -> StoredEvent {
    let mut event = Event::bare(EventKind::Credential, Phase::Moment);
    event.serial = Some(serial.to_owned());
    event.credential = Some(CredentialUse {
        carrier: Carrier::Card,
        service: Service::Canteen,
        direction: Direction::In,
        result: AccessResult::Granted,
        reason: None,
        known: None,
        person: Some(Personal::new("123".to_owned()).pseudonym(&SiteKey::new([1; 32]))),
    });
    StoredEvent { device: device(), stamp: Stamp::new(Some(AT), AT), retained: false, event }
}

fn raised() -> AlarmChange {
    let finding = Finding {
        key: AlarmKey { rule: RuleId::new("r").unwrap(), subject: "meter".into() },
        level: Level::Holds,
        class: AlarmClass::Energy,
        priority: Priority::High,
        device: Some(device()),
        place: None,
        what: Text::new("高", "high"),
    };
    let mut book = AlarmBook::restore(Before { next_id: 5, ..Before::default() }, Setup::default());
    book.apply(Now { mono: Mono(0), wall: AT }, &finding, &[]).remove(0)
}

fn item(seq: u64, record: Record) -> OutboxItem {
    OutboxItem { seq, destination: destination(), uid: format!("gw:{seq}"), created: AT, record }
}

fn roll_up(start: Wall) -> RollUp {
    RollUp {
        device: device(),
        point: PointId::new("power").unwrap(),
        unit: Unit::Watt,
        kind: PointKind::Gauge,
        start,
        period_secs: 900,
        count: 2,
        sum: 3.0,
        min: 1.0,
        max: 2.0,
        last: 2.0,
        delta: None,
        revision: 0,
    }
}

fn full() -> Commit {
    Commit {
        readings: vec![reading(1.5, AT)],
        events: vec![card("1"), card("2")],
        links: vec![LinkChange { device: device(), at: AT, link: Link::Down(Fault::Timeout) }],
        alarm_changes: vec![raised()],
        roll_ups: vec![roll_up(AT.period_start(900_000))],
        outbox: vec![
            item(7, Record::Aggregate(roll_up(AT))),
            item(8, Record::Aggregate(roll_up(AT))),
            item(9, Record::Alarm(raised())),
        ],
        fingerprints: vec![Fingerprint { bus: bus(), turn: 1030, value: u64::MAX - 3, at: AT }],
        ..Commit::default()
    }
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let (dir, mut store) = open();
    let commit = full();
    assert_eq!(store.commit(&[&commit]).unwrap(), [Committed { last_step: 1, ..Committed::default() }]);
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    let remembered = store.recall(900).unwrap();
    assert_eq!(remembered.open_alarms, [raised().alarm]);
    assert_eq!((remembered.next_alarm, remembered.next_seq), (6, 10));
    let recent = remembered.recent.unwrap();
    assert_eq!(recent.readings, commit.readings);
    assert_eq!(recent.roll_ups, commit.roll_ups);
    assert_eq!(remembered.fingerprints, commit.fingerprints);
    assert_eq!(remembered.links, commit.links);
    let serials: Vec<&str> = remembered.serials.iter().map(|s| s.number.as_str()).collect();
    assert_eq!(serials, ["1", "2"]);
    let reader = Reader::open(dir.path()).unwrap();
    let events = reader.events(&EventFilter::default(), None, 10).unwrap();
    assert_eq!(events.rows, [(2, card("2")), (1, card("1"))]);
    let readings = reader.readings(Some(&device()), None, None, 1).unwrap();
    assert_eq!((readings.rows.len(), readings.next_before), (1, Some(1)));
    let (alarm, steps) = reader.alarm(AlarmId(5)).unwrap().unwrap();
    assert_eq!((alarm, steps.len()), (raised().alarm, 1));
}

#[test]
fn alarms_are_owed_first_and_a_settled_record_is_gone_or_set_aside_for_good() {
    let (dir, mut store) = open();
    store.commit(&[&full()]).unwrap();
    let seqs = |store: &mut Store| -> Vec<u64> {
        store.owed(&destination(), 10).unwrap().iter().map(|item| item.seq).collect()
    };
    assert_eq!(seqs(&mut store), [9, 7, 8]);
    assert_eq!(store.owed(&destination(), 1).unwrap(), [item(9, Record::Alarm(raised()))]);
    let other = DestinationId::new("other").unwrap();
    let answer = Settlement { delivered: vec![9], set_aside: vec![(7, "no such point".into())] };
    store.settle(&other, &answer, AT).unwrap();
    assert_eq!(seqs(&mut store), [9, 7, 8], "another destination's answer settles nothing of ours");
    store.settle(&destination(), &answer, AT).unwrap();
    assert_eq!(seqs(&mut store), [8]);
    assert_eq!(store.backlog().unwrap(), [(destination(), 1)]);
    let aside = Reader::open(dir.path()).unwrap().set_aside(&destination(), None, 10).unwrap();
    assert_eq!(
        aside.rows.iter().map(|(seq, row)| (*seq, row.reason.as_str())).collect::<Vec<_>>(),
        [(7, "no such point")]
    );
    store.settle(&destination(), &Settlement { delivered: vec![8], set_aside: vec![] }, AT).unwrap();
    assert_eq!(store.recall(900).unwrap().next_seq, 10, "a number is never used again");
}

#[test]
fn an_event_that_was_stored_before_is_left_out_and_counted() {
    let (_dir, mut store) = open();
    let commit = Commit { events: vec![card("1"), card("1")], ..Commit::default() };
    assert_eq!(
        store.commit(&[&commit]).unwrap(),
        [Committed { duplicate_events: 1, ..Committed::default() }]
    );
    assert_eq!(
        store.commit(&[&commit]).unwrap(),
        [Committed { duplicate_events: 2, ..Committed::default() }]
    );
}

#[test]
fn commits_that_wait_together_are_stored_together_or_not_at_all() {
    let (dir, mut store) = open();
    let good = Commit { readings: vec![reading(1.0, AT)], ..Commit::default() };
    // The same record number twice cannot be stored.
    let bad = Commit {
        outbox: vec![item(1, Record::Aggregate(roll_up(AT))), item(1, Record::Aggregate(roll_up(AT)))],
        ..Commit::default()
    };
    assert!(store.commit(&[&good, &bad]).is_err());
    let rows =
        |dir: &TempDir| Reader::open(dir.path()).unwrap().readings(None, None, None, 9).unwrap().rows.len();
    assert_eq!(rows(&dir), 0);
    // The series made in the failed transaction is made again.
    store.commit(&[&good]).unwrap();
    assert_eq!(rows(&dir), 1);
}

#[test]
fn quarantine_strangers_and_fingerprints_are_bounded() {
    let (dir, mut store) = open();
    let refused = Refused {
        device: None,
        bus: bus(),
        origin: "t".into(),
        kind: "not_json",
        reason: "not JSON".into(),
        raw: b"\x00{".to_vec(),
        raw_len: 2,
        stamp: Stamp::new(None, AT),
    };
    let kept = usize::try_from(QUARANTINE_ROWS).unwrap();
    let commit = Commit {
        refused: vec![refused; kept + 10],
        unknown: (0..STRANGERS + 10)
            .map(|i| Unknown {
                bus: bus(),
                origin: format!("t/{}", i % (STRANGERS + 5)),
                stamp: Stamp::new(None, AT),
            })
            .collect(),
        fingerprints: (0..5000).map(|turn| Fingerprint { bus: bus(), turn, value: turn, at: AT }).collect(),
        ..Commit::default()
    };
    store.commit(&[&commit]).unwrap();
    let count = |table: &str| -> i64 {
        store.db.query_row(&format!("select count(*) from {table}"), params![], |row| row.get(0)).unwrap()
    };
    assert_eq!(count("quarantine"), QUARANTINE_ROWS);
    assert_eq!(count("stranger"), STRANGERS);
    assert_eq!(count("fingerprint"), 1024);
    // Not kept by triggers, and still the sum of what is there.
    let kept = super::chain::head(&store.db, "fingerprint").unwrap();
    let there =
        super::chain::sum_of(&store.db, "fingerprint", "bus, slot, turn, value, at", i64::MIN).unwrap();
    assert_eq!(kept, Some(there));
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.quarantine(None, 1).unwrap().rows[0].1.raw, "·{");
    assert_eq!(reader.strangers().unwrap().iter().map(|s| s.messages).max(), Some(2));
}

#[test]
fn a_restart_after_the_clock_was_set_back_takes_up_the_last_readings_only() {
    let (_dir, mut store) = open();
    let mut readings: Vec<_> = (0..100).map(|i| reading(1.0, AT.plus_ms(i * 60_000))).collect();
    readings.extend((0..3).map(|i| reading(2.0, Wall(i * 1000))));
    store.commit(&[&Commit { readings, ..Commit::default() }]).unwrap();
    assert_eq!(store.recall(900).unwrap().recent.unwrap().readings.len(), 3);
}

#[test]
fn a_record_that_cannot_be_read_back_is_set_aside_and_holds_up_nobody() {
    let (dir, mut store) = open();
    store.commit(&[&full()]).unwrap();
    store.db.execute("update outbox set record = '{' where seq = 7", []).unwrap();
    let seqs: Vec<u64> = store.owed(&destination(), 10).unwrap().iter().map(|item| item.seq).collect();
    assert_eq!(seqs, [9, 8]);
    let aside = Reader::open(dir.path()).unwrap().set_aside(&destination(), None, 10).unwrap();
    assert!(aside.rows[0].1.reason.contains("cannot read this record back"), "{aside:?}");
}

#[test]
fn a_reader_that_counts_anew_is_believed() {
    let (_dir, mut store) = open();
    let mut later = card("1");
    later.stamp = Stamp::new(Some(AT.plus_ms(1000)), AT.plus_ms(1000));
    let commit = Commit { events: vec![card("1"), later], ..Commit::default() };
    assert_eq!(store.commit(&[&commit]).unwrap(), [Committed::default()]);
}

#[test]
fn a_second_process_is_told_to_stay_away() {
    let (dir, _store) = open();
    let refused = Store::open(dir.path()).unwrap_err();
    assert!(matches!(&refused, StoreError::Locked(path) if path == dir.path()), "{refused}");
}

#[test]
fn files_of_others_and_of_newer_versions_are_refused_and_left_alone() {
    for (application, version, expected) in
        [(0x1234, 0, "is not a Schoolgate database"), (APPLICATION_ID, 99, "written by a newer Schoolgate")]
    {
        let dir = tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let db = Connection::open(&path).unwrap();
        db.pragma_update(None, "application_id", application).unwrap();
        db.pragma_update(None, "user_version", version).unwrap();
        db.execute_batch("create table t (x)").unwrap();
        drop(db);
        let refused = Store::open(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
        let tables: i64 = Connection::open(&path)
            .unwrap()
            .query_row("select count(*) from sqlite_schema", [], |row| row.get(0))
            .unwrap();
        assert_eq!(tables, 1);
    }
}

#[test]
fn every_column_has_a_comment() {
    let columns = |line: &&str| line.starts_with("  ") || line.starts_with("alter table");
    let schema =
        concat!(include_str!("schema.sql"), include_str!("schema-2.sql"), include_str!("schema-3.sql"));
    for line in schema.lines().filter(columns) {
        let constraint = ["  unique", "  primary key ("].iter().any(|start| line.starts_with(start));
        assert!(constraint || line.contains("-- "), "no comment: {line}");
    }
}

#[test]
fn the_site_key_is_made_once_and_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, store) = open();
    let card = Personal::new("1".to_owned());
    let first = card.pseudonym(&store.site_key().unwrap());
    assert_eq!(card.pseudonym(&store.site_key().unwrap()), first);
    let mode = std::fs::metadata(dir.path().join("site.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::write(dir.path().join("site.key"), "short").unwrap();
    assert!(store.site_key().unwrap_err().to_string().contains("32-byte site key"));
}

#[test]
fn durability_is_set_as_promised() {
    let (_dir, store) = open();
    let number = |name: &str| -> i64 { store.db.pragma_query_value(None, name, |row| row.get(0)).unwrap() };
    let mode: String = store.db.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(
        (mode.as_str(), number("synchronous"), number("user_version")),
        ("wal", 2, i64::from(SCHEMA_VERSION))
    );
    assert_eq!(number("foreign_keys"), 1);
}

#[test]
fn what_is_noted_of_a_control_is_recalled_as_it_was_last_and_nothing_else_of_meta_is() {
    let (dir, mut store) = open();
    let note = |id: &str, text: &str| {
        let audit = crate::pipeline::Audit {
            at: AT,
            actor: "王老师".to_owned().into(),
            action: "control",
            subject: id.to_owned().into(),
            detail: text.to_owned(),
        };
        let controls = vec![(ControlId::new(id).unwrap(), text.to_owned())];
        Commit { audit: vec![audit], controls, ..Commit::default() }
    };
    let first = note("hall", "first");
    let mut both = note("pump.1", "on");
    both.absorb(note("hall", "last"));
    assert!(!first.is_empty() && both.rows() == 4);
    store.commit(&[&first, &both]).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    let mut recalled = store.recall(900).unwrap().controls;
    recalled.sort();
    let expected = [("hall", "last"), ("pump.1", "on")];
    assert_eq!(recalled, expected.map(|(id, text)| (ControlId::new(id).unwrap(), text.to_owned())));
    let verdict = Reader::open(dir.path()).unwrap().verify(Depth::Whole).unwrap();
    assert_eq!(verdict.broken, []);
}

#[test]
fn what_a_counter_stood_at_is_remembered_whatever_its_age() {
    let (_dir, mut store) = open();
    let counter = |start: Wall, last: f64| RollUp { kind: PointKind::Counter, start, last, ..roll_up(start) };
    let reading = |at: Wall| StoredReading {
        device: DeviceId::new("meter").unwrap(),
        stamp: Stamp::new(None, at),
        reading: Reading::new(PointId::new("p").unwrap(), 1.0, Unit::Watt, PointKind::Gauge),
    };
    let hours = |n: i64| AT.plus_ms(n * 3_600_000);
    // A period of late data comes last; then one of a clock that was a year ahead, which the next right one replaces.
    let commits = [
        (vec![counter(hours(0), 5.0), counter(hours(-1), 4.0)], Some(5.0)),
        (vec![counter(hours(365 * 24), 6.0)], None),
        (vec![counter(hours(2), 7.0)], Some(7.0)),
    ];
    for (roll_ups, stood_at) in commits {
        let readings = vec![reading(hours(100))];
        store.commit(&[&Commit { roll_ups, readings, ..Commit::default() }]).unwrap();
        let counters = store.recall(900).unwrap().recent.unwrap().counters;
        assert_eq!(counters.first().map(|standing| standing.last), stood_at);
    }
}

#[test]
fn the_last_pass_of_each_person_is_recalled_and_the_muster() {
    const HOUR: i64 = 3_600_000;
    let (dir, mut store) = open();
    let pass = |person: &str, direction: Direction, arrived: Wall, told: Option<Wall>| {
        let mut event = Event::bare(EventKind::Credential, Phase::Moment);
        event.code = Some(format!("{person} {direction}"));
        event.credential = Some(CredentialUse {
            carrier: Carrier::Card,
            service: Service::Access,
            direction,
            result: AccessResult::Granted,
            reason: None,
            person: (person != "nobody").then(|| PersonRef::from_stored(person.to_owned())),
            known: None,
        });
        let (device, stamp) = (DeviceId::new("gate").unwrap(), Stamp::new(told, arrived));
        StoredEvent { device, stamp, retained: false, event }
    };
    let at = |hours: i64| AT.plus_ms(hours * HOUR);
    let mut retained = pass("c", Direction::In, at(399), None);
    retained.retained = true;
    let mut refused = pass("a", Direction::Out, at(310), None);
    refused.event.credential.as_mut().unwrap().result = AccessResult::Denied;
    let events = vec![
        pass("z", Direction::In, at(0), None),
        pass("a", Direction::In, at(300), None),
        // Delivered after it, and before it in truth.
        pass("a", Direction::In, at(301), Some(at(290))),
        refused,
        pass("nobody", Direction::In, at(320), None),
        pass("b", Direction::Out, at(330), None),
        pass("nobody", Direction::Out, at(390), None),
        retained,
        pass("a", Direction::Unknown, at(400), None),
    ];
    let said = |muster: &str| Commit { muster: Some(muster.to_owned()), ..Commit::default() };
    let mut commit = Commit { events, ..said("first") };
    commit.absorb(said("last"));
    commit.absorb(Commit::default());
    store.commit(&[&commit]).unwrap();
    drop(store);
    let recalled = Store::open(dir.path()).unwrap().recall(900).unwrap();
    assert_eq!(recalled.muster.as_deref(), Some("last"));
    let passes: Vec<_> = recalled.passes.iter().map(|(_, _, event)| event.code.clone().unwrap()).collect();
    assert_eq!(passes, ["a in", "b out", "nobody out", "a unknown"]);
    assert_eq!(recalled.passes[0].1.gateway, at(300), "the newest by its time");
}

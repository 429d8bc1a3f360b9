//! Persons are there after a restart, and nothing is left of one who was erased.

use super::*;
use crate::model::*;
use crate::pipeline::{Audit, Commit};
use crate::store::{Broken, Depth, EventFilter, Verdict, repair};
use std::collections::BTreeMap;
use std::sync::Arc;
use tempfile::{TempDir, tempdir};

const AT: Wall = Wall(1_790_000_000_000);

fn who(card: &str) -> PersonRef {
    Personal::new(card.to_owned()).pseudonym(&SiteKey::new([1; 32]))
}

fn person(group: &str) -> Person {
    Person {
        role: Role::Student,
        group: Some(group.into()),
        platform_id: Some("p-1".into()),
        valid_from: None,
        valid_until: Some(AT),
    }
}

fn pass(card: &str, serial: u32, reason: Option<Reason>) -> StoredEvent {
    let mut event = Event::bare(EventKind::Credential, Phase::Moment);
    event.serial = Some(serial.to_string());
    event.credential = Some(CredentialUse {
        carrier: Carrier::Card,
        service: Service::Access,
        direction: Direction::In,
        result: if reason.is_some() { AccessResult::Denied } else { AccessResult::Granted },
        reason,
        person: Some(who(card)),
        known: None,
    });
    let at = AT.plus_ms(i64::from(serial) * 1000);
    StoredEvent {
        device: DeviceId::new("gate").unwrap(),
        stamp: Stamp::new(None, at),
        retained: false,
        event,
    }
}

fn alarm_about(id: u64, card: &str) -> AlarmChange {
    let alarm = Alarm {
        id: AlarmId(id),
        key: AlarmKey {
            rule: RuleId::new("denied").unwrap(),
            subject: format!("gate/{}", who(card).as_str()),
        },
        class: AlarmClass::Energy,
        priority: Priority::Low,
        device: None,
        place: None,
        what: Text::same("denied again and again"),
        raised_at: AT,
        active: true,
        occurrences: 1,
        cleared_at: None,
        acknowledged: None,
        latched: false,
        reset: None,
        closed_at: None,
        marks: crate::model::Marks::default(),
    };
    AlarmChange { kind: ChangeKind::Raised, at: AT, actor: Actor::gateway(), note: String::new(), alarm }
}

/// Passes of three persons, one with alarms, records owed and set aside.
fn school() -> (TempDir, Store) {
    let dir = tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let cards = ["a", "b", "c"];
    let city = DestinationId::new("city").unwrap();
    for n in 0..60 {
        let card = cards[n as usize % 3];
        let reason = (n % 7 == 0).then_some(Reason::Expired);
        store.commit(&[&Commit { events: vec![pass(card, n, reason)], ..Commit::default() }]).unwrap();
    }
    let owed = |seq: u64| OutboxItem {
        seq,
        destination: city.clone(),
        uid: format!("gw:{seq}"),
        created: AT,
        record: Record::Alarm(alarm_about(1, "b")),
    };
    let commit = Commit {
        alarm_changes: vec![alarm_about(1, "b"), alarm_about(2, "c")],
        outbox: vec![owed(1), owed(2)],
        refused: vec![Refused {
            device: None,
            bus: BusId::new("mqtt").unwrap(),
            origin: "t".into(),
            kind: "not_json",
            reason: "no".into(),
            raw: who("b").as_str().as_bytes().to_vec(),
            raw_len: 32,
            stamp: Stamp::new(None, AT),
        }],
        people: vec![(AT, PeopleChange::Put(vec![(who("a"), person("1")), (who("b"), person("2"))]))],
        ..Commit::default()
    };
    store.commit(&[&commit]).unwrap();
    let aside = super::super::Settlement { delivered: vec![], set_aside: vec![(2, "no".into())] };
    store.settle(&city, &aside, AT).unwrap();
    (dir, store)
}

fn erase(store: &mut Store, card: &str) {
    let people = vec![(AT, PeopleChange::Erase(who(card)))];
    store.commit(&[&Commit { people, ..Commit::default() }]).unwrap();
}

fn verdict(dir: &Path) -> Verdict {
    Reader::open(dir).unwrap().verify(Depth::Whole).unwrap()
}

#[test]
fn persons_are_there_after_a_restart_and_replaced_as_a_whole() {
    let (dir, mut store) = school();
    assert_eq!(
        store.recall(900).unwrap().people,
        BTreeMap::from([(who("a"), Arc::new(person("1"))), (who("b"), Arc::new(person("2"))),])
    );
    let all = PeopleChange::Replace(vec![(who("c"), person("3"))]);
    store.commit(&[&Commit { people: vec![(AT, all)], ..Commit::default() }]).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.recall(900).unwrap().people.keys().collect::<Vec<_>>(), [&who("c")]);
    let groups = Reader::open(dir.path()).unwrap().people_by_group().unwrap();
    assert_eq!(groups, [(Role::Student, Some("3".into()), 1)]);
    assert_eq!(verdict(dir.path()).broken, []);
}

#[test]
fn why_a_reader_refused_is_stored_and_proven() {
    let (dir, store) = school();
    let page = Reader::open(dir.path()).unwrap().events(&EventFilter::default(), None, 100).unwrap();
    let stored: Vec<StoredEvent> = page.rows.into_iter().rev().map(|(_, event)| event).collect();
    assert_eq!(stored[0], pass("a", 0, Some(Reason::Expired)));
    assert_eq!(stored[1], pass("b", 1, None));
    store.db.execute("update event set reason = 'blocked' where seq = 8", []).unwrap();
    assert_eq!(verdict(dir.path()).broken.first().and_then(|b| b.seq), Some(8));
}

#[test]
fn nothing_is_left_of_an_erased_person_and_the_chain_still_holds() {
    let (dir, mut store) = school();
    let erased = who("b");
    store.flush().unwrap();
    assert_eq!(traces(dir.path(), &erased).unwrap(), [FILE_NAME], "the search finds what is there");
    erase(&mut store, "b");
    assert!(store.flush().unwrap());
    assert_eq!(traces(dir.path(), &erased).unwrap(), Vec::<String>::new());
    assert_eq!(traces(dir.path(), &who("a")).unwrap(), [FILE_NAME], "nobody else is gone");
    let found = verdict(dir.path());
    assert_eq!((found.broken, found.erased), (vec![], 20));
    let reader = Reader::open(dir.path()).unwrap();
    let told = reader.erasure(&erased).unwrap().unwrap();
    assert_eq!(
        told,
        "20 events, 1 rows of the table of persons, 1 alarms, 2 records for platforms, 1 quarantined payloads"
    );
    assert_eq!(reader.erasure(&who("a")).unwrap(), None);
    let all = (Wall(0), Wall(i64::MAX));
    assert_eq!(reader.track(&erased, all, 100).unwrap(), []);
    assert_eq!(reader.track(&who("a"), all, 100).unwrap().len(), 20);
    // What was owed is owed, and can be read.
    let owed = store.owed(&DestinationId::new("city").unwrap(), 10).unwrap();
    let [OutboxItem { record: Record::Alarm(change), .. }] = owed.as_slice() else { panic!("{owed:?}") };
    assert_eq!(change.alarm.key.subject, "gate/erased");
    // Again is no harm, and it goes on.
    erase(&mut store, "b");
    store.commit(&[&Commit { events: vec![pass("a", 99, None)], ..Commit::default() }]).unwrap();
    drop(store);
    drop(Store::open(dir.path()).unwrap());
    assert_eq!(verdict(dir.path()).broken, []);
}

#[test]
fn a_row_that_was_changed_after_or_before_an_erasure_shows() {
    for (sql, row) in [
        ("update event set code = 'x' where seq = 2", 2),
        ("update event set code = 'x' where seq = 1", 1),
        ("delete from event where seq = 1", 2),
        ("delete from event where seq = 2", 3),
        ("update event set erased = null where seq = 2", 2),
        ("update event set person = 'x' where seq = 2", 2),
        ("update event set hash = zeroblob(32) where seq = 2", 2),
        // Called erased by somebody else.
        ("update event set person = null, erased = hash where seq = 1", 1),
    ] {
        let (dir, mut store) = school();
        erase(&mut store, "b");
        store.db.execute(sql, []).unwrap();
        let broken: Vec<Broken> = verdict(dir.path()).broken;
        assert_eq!(broken.iter().map(|b| b.seq).collect::<Vec<_>>(), [Some(row)], "{sql}");
    }
}

#[test]
fn a_repair_keeps_what_is_left_of_an_erased_person() {
    let (dir, mut store) = school();
    erase(&mut store, "b");
    store.db.execute("update event set code = 'x' where seq = 1", []).unwrap();
    drop(store);
    let done = repair(dir.path(), AT).unwrap();
    assert_eq!(done.torn, ["event"]);
    let found = verdict(dir.path());
    assert_eq!((found.broken, found.erased), (vec![], 20));
}

#[test]
fn an_audit_row_and_the_change_become_true_together() {
    let (dir, mut store) = school();
    let entry = Audit {
        at: AT,
        actor: "zhang".into(),
        action: "people_erase",
        subject: format!("person {}", who("c").tag()).into(),
        detail: "left the school".into(),
    };
    let people = vec![(AT, PeopleChange::Erase(who("c")))];
    let later = pass("c", 200, None);
    // What was stored in the same commit is gone, too.
    store
        .commit(&[&Commit { audit: vec![entry], people, events: vec![later], ..Commit::default() }])
        .unwrap();
    store.flush().unwrap();
    assert_eq!(traces(dir.path(), &who("c")).unwrap(), Vec::<String>::new());
    let actions: Vec<String> =
        each(&store.db, "select action from audit order by seq", [], |row| row.get(0).doing("reading"))
            .unwrap();
    assert_eq!(actions, ["people_erase", "erased"]);
}

#[test]
fn what_lies_between_rows_goes_when_the_file_is_written_anew() {
    let (dir, mut store) = school();
    // As an older program deleted, and as rows leave behind when they move.
    store.db.pragma_update(None, "secure_delete", "off").unwrap();
    erase(&mut store, "c");
    store.db.pragma_update(None, "secure_delete", "on").unwrap();
    store.flush().unwrap();
    assert_eq!(traces(dir.path(), &who("c")).unwrap(), [FILE_NAME]);
    assert!(store.rewrite().unwrap() && store.flush().unwrap());
    assert_eq!(traces(dir.path(), &who("c")).unwrap(), Vec::<String>::new());
    store.commit(&[&Commit { events: vec![pass("a", 300, None)], ..Commit::default() }]).unwrap();
    assert_eq!(verdict(dir.path()).broken, []);
}

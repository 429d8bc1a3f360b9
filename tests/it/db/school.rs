//! A data directory with rows of every kind.

use rusqlite::Connection;
use rusqlite::types::Value;
use schoolgate::alarm::{AlarmBook, Before, Setup};
use schoolgate::model::*;
use schoolgate::pipeline::{Commit, Dropped, Fingerprint, LinkChange, StoredEvent, StoredReading};
use schoolgate::rules::{Finding, Level};
use schoolgate::store::{self, Depth, FILE_NAME, Reader, Settlement, Store};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::{TempDir, tempdir};

pub const AT: i64 = 1_790_000_000_000;
pub const MINUTE: i64 = 60_000;

pub fn city() -> DestinationId {
    DestinationId::new("city").unwrap()
}

pub fn reading(n: i64) -> StoredReading {
    let point = PointId::new(if n % 2 == 0 { "power" } else { "energy" }).unwrap();
    StoredReading {
        device: DeviceId::new(&format!("meter-{}", n % 3)).unwrap(),
        stamp: Stamp::new(Some(Wall(AT + n * MINUTE)), Wall(AT + n * MINUTE + 20)),
        reading: Reading::new(point, n as f64 / 7.0, Unit::Watt, PointKind::Gauge),
    }
}

pub fn event(n: i64) -> StoredEvent {
    let mut event = Event::bare(EventKind::Credential, Phase::Moment);
    event.serial = Some(n.to_string());
    event.code = Some("a,\"b\"\r\n门".to_owned());
    event.credential = Some(CredentialUse {
        carrier: Carrier::Card,
        service: Service::Canteen,
        direction: Direction::In,
        result: AccessResult::Granted,
        reason: (n % 3 == 0).then_some(Reason::WrongTime),
        known: None,
        person: Some(Personal::new(n.to_string()).pseudonym(&SiteKey::new([1; 32]))),
    });
    let stamp = Stamp::new(None, Wall(AT + n * MINUTE));
    StoredEvent { device: DeviceId::new("gate").unwrap(), stamp, retained: false, event }
}

pub fn person(n: i64) -> (PersonRef, Person) {
    let person = Person {
        role: Role::Student,
        group: Some(format!("class {}", n % 5)),
        platform_id: None,
        valid_from: None,
        valid_until: (n % 2 == 0).then_some(Wall(AT)),
    };
    (Personal::new(n.to_string()).pseudonym(&SiteKey::new([1; 32])), person)
}

pub fn change(n: i64) -> AlarmChange {
    let finding = Finding {
        key: AlarmKey { rule: RuleId::new("r").unwrap(), subject: format!("meter-{n}") },
        level: Level::Holds,
        class: AlarmClass::Energy,
        priority: Priority::High,
        device: None,
        place: None,
        what: Text::new("功率高", "power is high"),
    };
    let before = Before { next_id: u64::try_from(n).unwrap(), ..Before::default() };
    let now = Now { mono: Mono(0), wall: Wall(AT + n) };
    AlarmBook::restore(before, Setup::default()).apply(now, &finding, &[]).remove(0)
}

fn hazard(n: i64) -> Hazard {
    let found = Handled { by: Actor::named("guard").unwrap(), at: Wall(AT + n), note: String::new() };
    let (id, what) = (HazardId(u64::try_from(n).unwrap()), format!("wire {n}"));
    Hazard { id, alarm: None, place: None, what, found, checked: None, handled: None, closed: None }
}

pub fn roll_up(n: i64) -> RollUp {
    RollUp {
        device: DeviceId::new("meter-0").unwrap(),
        point: PointId::new("power").unwrap(),
        unit: Unit::Watt,
        kind: PointKind::Gauge,
        start: Wall(AT + n * 900_000),
        period_secs: 900,
        count: 2,
        sum: 3.5,
        min: 1.0,
        max: 2.0,
        last: 2.0,
        delta: None,
        revision: 0,
    }
}

pub fn commit(n: i64) -> Commit {
    let bus = BusId::new("bus").unwrap();
    let seq = u64::try_from(n).unwrap();
    let owed = |seq: u64, record| OutboxItem {
        seq,
        destination: city(),
        uid: format!("gw:{seq}"),
        created: Wall(AT),
        record,
    };
    Commit {
        readings: (n * 20..n * 20 + 20).map(reading).collect(),
        events: vec![event(2 * n), event(2 * n + 1)],
        links: vec![LinkChange {
            device: DeviceId::new(&format!("meter-{}", n % 3)).unwrap(),
            at: Wall(AT),
            link: if n % 2 == 0 { Link::Up } else { Link::Down(Fault::Timeout) },
        }],
        alarm_changes: vec![change(n)],
        hazards: vec![hazard(n)],
        roll_ups: vec![roll_up(n)],
        outbox: vec![
            owed(2 * seq, Record::Aggregate(roll_up(n))),
            owed(2 * seq + 1, Record::Alarm(change(n))),
        ],
        refused: vec![Refused {
            bus: bus.clone(),
            device: None,
            origin: "topic".into(),
            kind: "bad_json",
            reason: "no JSON".into(),
            raw: b"{".to_vec(),
            raw_len: 1,
            stamp: Stamp::new(None, Wall(AT)),
        }],
        unknown: vec![Unknown {
            bus: bus.clone(),
            origin: format!("stranger/{}", n % 4),
            stamp: Stamp::new(None, Wall(AT)),
        }],
        dropped: vec![Dropped { reason: "shed", rows: 1, at: Wall(AT) }],
        fingerprints: vec![Fingerprint { bus, turn: seq, value: seq * 77, at: Wall(AT) }],
        people: vec![(Wall(AT), PeopleChange::Put(vec![person(n)]))],
        ..Commit::default()
    }
}

/// Rows of every kind and sealed files, closed. The audit trail has the row that a restore writes.
pub fn filled() -> TempDir {
    let dir = tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.seal_rows(200);
    for n in 1..=40 {
        store.commit(&[&commit(n)]).unwrap();
    }
    let answer =
        Settlement { delivered: vec![2, 3, 5], set_aside: vec![(9, "no".into()), (7, "nein".into())] };
    store.settle(&city(), &answer, Wall(AT)).unwrap();
    let now = Now { mono: Mono(0), wall: Wall(AT + 3 * 24 * 60 * MINUTE) };
    for _ in 0..2_000 {
        if !store.maintain(now).unwrap() {
            break;
        }
    }
    // Its hour and day are still to be made.
    let energy = RollUp {
        point: PointId::new("energy_import").unwrap(),
        unit: Unit::KilowattHour,
        kind: PointKind::Counter,
        delta: Some(0.5),
        ..roll_up(41)
    };
    store.commit(&[&Commit { roll_ups: vec![roll_up(41), energy], ..Commit::default() }]).unwrap();
    drop(store);
    let copy = tempdir().unwrap();
    store::backup(dir.path(), &copy.path().join("b")).unwrap();
    let restored = tempdir().unwrap();
    store::restore(&copy.path().join("b"), restored.path(), false, Wall(AT)).unwrap();
    Store::open(restored.path()).unwrap().site_key().unwrap();
    assert!(sealed(restored.path()).len() > 1, "something is sealed");
    let db = Connection::open(restored.path().join(FILE_NAME)).unwrap();
    for table in tables(&db).unwrap() {
        let rows: i64 = db.query_row(&format!("select count(*) from {table}"), [], |row| row.get(0)).unwrap();
        assert!(rows > 0, "{table} is empty");
    }
    restored
}

pub fn sealed(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir.join("history")).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "sgh"));
    files.sort();
    files
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|e| (e.path(), e.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

fn tables(db: &Connection) -> rusqlite::Result<Vec<String>> {
    db.prepare("select name from sqlite_schema where type = 'table' order by 1")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Every row of every table, and the words of the schema; `None` if something cannot be read.
pub fn content(dir: &Path) -> Option<Vec<Vec<Value>>> {
    let db = Connection::open(dir.join(FILE_NAME)).ok()?;
    let mut all = Vec::new();
    for table in tables(&db).ok()?.iter().map(String::as_str).chain(["sqlite_schema"]) {
        let rows = || -> rusqlite::Result<Vec<Vec<Value>>> {
            // Its own order: an index read in place of the table would hide the table.
            let mut statement = db.prepare(&format!("select * from {table} not indexed"))?;
            let width = statement.column_count();
            statement.query_map([], |row| (0..width).map(|i| row.get(i)).collect())?.collect()
        };
        all.extend(rows().ok()?);
    }
    let whole: String = db.query_row("pragma integrity_check", [], |row| row.get(0)).ok()?;
    (whole == "ok").then_some(all)
}

/// What `db verify` finds; a database that cannot be opened is found, too.
pub fn found(dir: &Path) -> Vec<String> {
    match Reader::open(dir).and_then(|reader| reader.verify(Depth::Whole)) {
        Ok(verdict) => {
            verdict.broken.iter().map(|b| format!("{} {:?} {}", b.place, b.seq, b.problem.en)).collect()
        }
        Err(error) => vec![error.to_string()],
    }
}

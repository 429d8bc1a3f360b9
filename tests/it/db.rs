//! What is stored, after bits flipped and rows were tampered with; backups put in place elsewhere; tables for others.

use parquet::file::reader::{FileReader, SerializedFileReader};
use rusqlite::Connection;
use rusqlite::types::Value;
use schoolgate::alarm::AlarmBook;
use schoolgate::model::*;
use schoolgate::pipeline::{Commit, Fingerprint, LinkChange, StoredEvent, StoredReading};
use schoolgate::rules::{Finding, Level};
use schoolgate::store::{
    self, Backup, Depth, FILE_NAME, Format, MANIFEST, RESTORE_MARGIN, Reader, Settlement, Span, Store, What,
};
use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::{TempDir, tempdir};

const AT: i64 = 1_790_000_000_000;
const MINUTE: i64 = 60_000;
const FLIPS: usize = 400;

fn city() -> DestinationId {
    DestinationId::new("city").unwrap()
}

fn reading(n: i64) -> StoredReading {
    let point = PointId::new(if n % 2 == 0 { "power" } else { "energy" }).unwrap();
    StoredReading {
        device: DeviceId::new(&format!("meter-{}", n % 3)).unwrap(),
        stamp: Stamp::new(Some(Wall(AT + n * MINUTE)), Wall(AT + n * MINUTE + 20)),
        reading: Reading::new(point, n as f64 / 7.0, Unit::Watt, PointKind::Gauge),
    }
}

fn event(n: i64) -> StoredEvent {
    let mut event = Event::bare(EventKind::Credential, Phase::Moment);
    event.serial = Some(n.to_string());
    event.code = Some("a,\"b\"\r\n门".to_owned());
    event.credential = Some(CredentialUse {
        carrier: Carrier::Card,
        service: Service::Canteen,
        direction: Direction::In,
        result: AccessResult::Granted,
        person: Some(Personal::new(n.to_string()).pseudonym(&SiteKey::new([1; 32]))),
    });
    let stamp = Stamp::new(None, Wall(AT + n * MINUTE));
    StoredEvent { device: DeviceId::new("gate").unwrap(), stamp, retained: false, event }
}

fn change(n: i64) -> AlarmChange {
    let finding = Finding {
        key: AlarmKey { rule: RuleId::new("r").unwrap(), subject: format!("meter-{n}") },
        level: Level::Holds,
        class: AlarmClass::Energy,
        priority: Priority::High,
        device: None,
        place: None,
        what: Text::new("功率高", "power is high"),
    };
    AlarmBook::restore(Vec::new(), u64::try_from(n).unwrap()).apply(Wall(AT + n), &finding).remove(0)
}

fn roll_up(n: i64) -> RollUp {
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

fn commit(n: i64) -> Commit {
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
        fingerprints: vec![Fingerprint { bus, turn: seq, value: seq * 77, at: Wall(AT) }],
        ..Commit::default()
    }
}

/// A data directory with rows of every kind and sealed files, closed.
fn filled() -> TempDir {
    let dir = tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.seal_rows(200);
    for n in 1..=40 {
        store.commit(&[&commit(n)]).unwrap();
    }
    let answer =
        Settlement { delivered: vec![2, 3, 5], set_aside: vec![(9, "no".into()), (7, "nein".into())] };
    store.settle(&city(), &answer, Wall(AT)).unwrap();
    let now = Now { mono: Mono(0), wall: Wall(AT + 800 * MINUTE) };
    for _ in 0..2_000 {
        if !store.maintain(now).unwrap() {
            break;
        }
    }
    drop(store);
    // The rows that a restore writes, so that the audit trail has some.
    let copy = tempdir().unwrap();
    store::backup(dir.path(), &copy.path().join("b")).unwrap();
    let restored = tempdir().unwrap();
    store::restore(&copy.path().join("b"), restored.path(), false, Wall(AT)).unwrap();
    assert!(!sealed(restored.path()).is_empty(), "something is sealed");
    restored
}

fn sealed(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir.join("history")).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "sgh"));
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
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

/// Every row of every table, and the words of the schema; `None` if something cannot be read.
fn content(dir: &Path) -> Option<Vec<Vec<Value>>> {
    let db = Connection::open(dir.join(FILE_NAME)).ok()?;
    let tables = || -> rusqlite::Result<Vec<String>> {
        db.prepare("select name from sqlite_schema where type = 'table' order by 1")?
            .query_map([], |row| row.get(0))?
            .collect()
    };
    let tables = tables().ok()?;
    let mut all = Vec::new();
    for table in tables.iter().map(String::as_str).chain(["sqlite_schema"]) {
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
fn found(dir: &Path) -> Vec<String> {
    match Reader::open(dir).and_then(|reader| reader.verify(Depth::Whole)) {
        Ok(verdict) => {
            verdict.broken.iter().map(|b| format!("{} {:?} {}", b.place, b.seq, b.problem.en)).collect()
        }
        Err(error) => vec![error.to_string()],
    }
}

#[test]
fn every_flipped_bit_in_used_bytes_is_found() {
    let dir = filled();
    assert_eq!(found(dir.path()), Vec::<String>::new());
    let (work, whole) = (tempdir().unwrap(), content(dir.path()).unwrap());
    copy(dir.path(), work.path());
    let mut files = sealed(work.path());
    files.insert(0, work.path().join(FILE_NAME));
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % u64::try_from(limit).unwrap()).unwrap()
    };
    let (mut flipped, mut unused) = (0, 0);
    while flipped < FLIPS {
        // Three in four in the database.
        let file = if below(4) > 0 { 0 } else { below(files.len()) };
        let path = &files[file];
        let before = fs::read(path).unwrap();
        let (byte, bit) = (below(before.len()), below(8));
        let mut after = before.clone();
        after[byte] ^= 1 << bit;
        fs::write(path, &after).unwrap();
        let found = found(work.path());
        if !found.is_empty() {
            flipped += 1;
        } else if file == 0 && content(work.path()).as_ref() == Some(&whole) {
            unused += 1;
            assert!(unused < 20 * FLIPS, "hardly a byte is used");
        } else {
            panic!("bit {bit} of byte {byte} of {} is not found", path.display());
        }
        fs::write(path, &before).unwrap();
        for suffix in ["-wal", "-shm"] {
            fs::remove_file(work.path().join(format!("{FILE_NAME}{suffix}"))).ok();
        }
    }
    println!("{flipped} flips found, {unused} in bytes that hold nothing");
}

#[test]
fn twenty_ways_to_tamper_are_found() {
    let dir = filled();
    let by_sql: &[(&str, &str, Option<i64>)] = &[
        ("event", "update event set kind = 'help' where seq = 17", Some(17)),
        ("event", "delete from event where seq = 17", Some(18)),
        ("event", "delete from event where seq > 70", Some(70)),
        ("event", "delete from event", None),
        ("event", "update event set hash = null where seq = 5", Some(5)),
        ("event", "update event set seq = 1000 where seq = 17", Some(18)),
        (
            "event",
            "update event set seq = -1 where seq = 5; update event set seq = 5 where seq = 6; \
             update event set seq = 6 where seq = -1",
            Some(5),
        ),
        (
            "event",
            "insert into event select 81, device, arrived, device_at, clock, retained, kind, phase, code, null, \
          carrier, service, direction, result, person, hash from event where seq = 80",
            Some(81),
        ),
        ("alarm_change", "update alarm_change set actor = 'nobody' where seq = 3", Some(3)),
        ("alarm_change", "delete from alarm_change where seq = 40", Some(39)),
        ("audit", "delete from audit", None),
        ("audit", "update audit set actor = 'x'", Some(1)),
        ("alarm", "update alarm set closed_at = 1 where id = 4", None),
        ("outbox", "update outbox set record = replace(record, '900', '901') where seq = 20", Some(20)),
        ("outbox", "delete from outbox where seq = 20", None),
        ("set_aside", "update set_aside set reason = 'x' where seq = 7", Some(7)),
        ("reading", "update reading set value = value + 1 where seq = (select max(seq) from reading)", None),
        ("reading", "delete from reading where seq = (select max(seq) - 1 from reading)", None),
        ("roll_up", "update roll_up set sum = sum + 1 where start = (select min(start) from roll_up)", None),
        ("meta", "update meta set value = '1' where key = 'next_seq'", None),
        ("series", "update series set unit = 'kW' where id = 1", None),
        ("chain", "insert into chain values ('x', 1, zeroblob(32))", None),
        ("sealed", "delete from sealed", None),
        ("schema", "drop index event_serial", None),
    ];
    for (place, sql, seq) in by_sql {
        let work = tempdir().unwrap();
        copy(dir.path(), work.path());
        let db = Connection::open(work.path().join(FILE_NAME)).unwrap();
        db.execute_batch(&format!("pragma foreign_keys = off; {sql}"))
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
        drop(db);
        let verdict = Reader::open(work.path()).unwrap().verify(Depth::Whole).unwrap();
        let hit = verdict.broken.iter().any(|b| b.place == *place && (seq.is_none() || b.seq == *seq));
        assert!(hit, "{sql}: {:?}", verdict.broken);
    }
    let by_file: &[(&str, fn(&Path))] = &[
        ("a sealed file is gone", |dir| fs::remove_file(&sealed(dir)[0]).unwrap()),
        ("another file stands in its place", |dir| {
            fs::copy(&sealed(dir)[0], &sealed(dir)[1]).unwrap();
        }),
        ("a file that nobody listed", |dir| {
            fs::copy(&sealed(dir)[0], dir.join("history/000000000001-000000000002.sgh")).unwrap();
        }),
        ("a sealed file is cut short", |dir| {
            let bytes = fs::read(&sealed(dir)[0]).unwrap();
            fs::write(&sealed(dir)[0], &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("the database is cut short", |dir| {
            let bytes = fs::read(dir.join(FILE_NAME)).unwrap();
            fs::write(dir.join(FILE_NAME), &bytes[..bytes.len() - 8192]).unwrap();
        }),
        ("a page is overwritten", |dir| {
            let mut bytes = fs::read(dir.join(FILE_NAME)).unwrap();
            bytes[8192..12288].fill(0);
            fs::write(dir.join(FILE_NAME), &bytes).unwrap();
        }),
    ];
    for (what, tamper) in by_file {
        let work = tempdir().unwrap();
        copy(dir.path(), work.path());
        tamper(work.path());
        assert!(!found(work.path()).is_empty(), "{what}");
    }
}

#[test]
fn a_backup_made_while_the_gateway_writes_is_whole_and_its_numbers_are_never_given_again() {
    let dir = tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.seal_rows(200);
    for n in 1..=40 {
        store.commit(&[&commit(n)]).unwrap();
    }
    let target = tempdir().unwrap();
    let to = target.path().join("backup");
    let stop = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut n = 41;
            while !stop.load(Ordering::SeqCst) || n < 50 {
                store.commit(&[&commit(n)]).unwrap();
                store.maintain(Now { mono: Mono(0), wall: Wall(AT + 20 * n * MINUTE) }).unwrap();
                n += 1;
            }
            n
        });
        let made = store::backup(dir.path(), &to);
        stop.store(true, Ordering::SeqCst);
        let written = writer.join().unwrap();
        let Backup { files, bytes } = made.unwrap();
        assert!(files >= 1 && bytes > 0);
        written
    });
    assert!(store::backup(dir.path(), &to).unwrap_err().to_string().contains("is not empty"));
    let new = tempdir().unwrap();
    let restored = store::restore(&to, new.path(), false, Wall(AT)).unwrap();
    assert_eq!(found(new.path()), Vec::<String>::new());
    let mut after = Store::open(new.path()).unwrap();
    let remembered = after.recall(900).unwrap();
    let given = u64::try_from(2 * written).unwrap();
    assert!(remembered.next_seq > given, "the next record is one no platform has seen");
    assert!(remembered.next_alarm > u64::try_from(written).unwrap());
    assert_eq!(i64::try_from(remembered.next_seq).unwrap(), restored.next_record);
    let n = i64::try_from(remembered.next_alarm).unwrap();
    after.commit(&[&Commit { readings: vec![reading(1)], ..commit(n) }]).unwrap();
    let page = Reader::open(new.path()).unwrap().readings(None, None, None, 1).unwrap();
    assert!(page.rows[0].0 > u64::try_from(RESTORE_MARGIN).unwrap());
    let busy = store::restore(&to, new.path(), true, Wall(AT)).unwrap_err();
    assert!(busy.to_string().contains("another schoolgate"), "{busy}");
    drop(after);
    assert_eq!(found(new.path()), Vec::<String>::new());
    assert!(store::restore(&to, new.path(), false, Wall(AT)).unwrap_err().to_string().contains("--force"));
    let aside = store::restore(&to, new.path(), true, Wall(AT)).unwrap().moved_to.unwrap();
    assert_eq!(found(&aside), Vec::<String>::new(), "what was there is kept");
    // A damaged backup changes nothing.
    fs::write(to.join(FILE_NAME), b"x").unwrap();
    let refused = store::restore(&to, new.path(), true, Wall(AT)).unwrap_err();
    assert!(refused.to_string().contains(MANIFEST), "{refused}");
    assert_eq!(found(new.path()), Vec::<String>::new());
}

#[test]
fn a_repair_keeps_what_can_be_read_and_says_so() {
    let dir = filled();
    assert!(store::repair(dir.path(), Wall(AT)).unwrap().moved_to.is_none(), "nothing is wrong yet");
    let owed = |dir: &Path| Reader::open(dir).unwrap().waiting(&city()).unwrap().0;
    let before = owed(dir.path());
    let db = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    db.execute_batch("update event set kind = 'help' where seq = 17; delete from event where seq = 30")
        .unwrap();
    drop(db);
    let file = sealed(dir.path()).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    fs::write(&file, bytes).unwrap();
    let done = store::repair(dir.path(), Wall(AT)).unwrap();
    let aside = done.moved_to.unwrap();
    assert!(aside.join("report.txt").exists() && aside.join(FILE_NAME).exists());
    assert_eq!((done.refused, done.gaps), (0, 0));
    assert_eq!(found(dir.path()), Vec::<String>::new());
    assert_eq!(owed(dir.path()), before, "what is owed is still owed");
    assert_eq!(
        Reader::open(dir.path()).unwrap().events(&Default::default(), None, 1000).unwrap().rows.len(),
        79
    );
    // A page of zeros in the middle.
    let path = dir.path().join(FILE_NAME);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 8192 * 4096;
    bytes[middle..middle + 4096].fill(0);
    fs::write(&path, bytes).unwrap();
    assert!(!found(dir.path()).is_empty());
    store::repair(dir.path(), Wall(AT + 1)).unwrap();
    assert_eq!(found(dir.path()), Vec::<String>::new());
    Store::open(dir.path()).unwrap();
}

/// Cells of a CSV file by RFC 4180.
fn cells(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quoted) {
            ('"', true) if chars.peek() == Some(&'"') => cell.extend(chars.next()),
            ('"', _) => quoted = !quoted,
            (',', false) => row.push(std::mem::take(&mut cell)),
            ('\r', false) => {}
            ('\n', false) => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            _ => cell.push(c),
        }
    }
    rows
}

#[test]
fn exports_hold_every_row_and_every_value() {
    let dir = filled();
    let reader = Reader::open(dir.path()).unwrap();
    let out = tempdir().unwrap();
    let (from, to) = (Wall(AT + 100 * MINUTE), Wall(AT + 500 * MINUTE));
    let mut wanted = BTreeSet::new();
    let span = Span { device: None, point: None, from, to };
    reader
        .scan(&span, |seq, stored| {
            wanted.insert((seq, stored.reading.value.unwrap().to_bits()));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(wanted.len() > 300);
    let path = out.path().join("r.csv");
    let done =
        store::export(&reader, What::Readings, (from, to), Format::Csv { bom: true }, &path, |_| {}).unwrap();
    assert_eq!(done.rows, u64::try_from(wanted.len()).unwrap());
    let text = fs::read_to_string(&path).unwrap();
    let rows = cells(text.strip_prefix('\u{feff}').unwrap());
    let column = |name: &str| rows[0].iter().position(|cell| cell == name).unwrap();
    let (seq, value) = (column("seq"), column("value"));
    let got: BTreeSet<(u64, u64)> = rows[1..]
        .iter()
        .map(|row| (row[seq].parse().unwrap(), row[value].parse::<f64>().unwrap().to_bits()))
        .collect();
    assert_eq!(got, wanted);
    let all = (Wall(0), Wall(i64::MAX));
    for (what, rows) in [(What::Readings, 800), (What::RollUps, 40), (What::Events, 80), (What::Alarms, 40)] {
        let path = out.path().join(format!("{what:?}.csv"));
        store::export(&reader, what, all, Format::Csv { bom: false }, &path, |_| {}).unwrap();
        let table = cells(&fs::read_to_string(&path).unwrap());
        assert_eq!(table.len(), rows + 1, "{what:?}");
        assert!(table.iter().all(|row| row.len() == table[0].len()), "{what:?}");
        if what == What::Events {
            let code = table[0].iter().position(|cell| cell == "code").unwrap();
            assert!(table[1..].iter().all(|row| row[code] == "a,\"b\"\r\n门"));
        }
        let path = out.path().join(format!("{what:?}.parquet"));
        store::export(&reader, what, all, Format::Parquet, &path, |_| {}).unwrap();
        let file = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
        assert_eq!(file.get_row_iter(None).unwrap().map(Result::unwrap).count(), rows, "{what:?}");
    }
    let again = store::export(&reader, What::Alarms, all, Format::Parquet, &path, |_| {}).unwrap_err();
    assert!(again.to_string().contains("r.csv"), "a file that exists is left alone");
}

#[test]
fn the_command_line_tells_what_is_broken_and_in_which_row() {
    let dir = filled();
    let run = |lang: &str, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_schoolgate"));
        command.env("LC_ALL", lang).arg("db").args(args).arg("--dir").arg(dir.path());
        let done = command.output().unwrap();
        let text = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        (done.status.code(), text)
    };
    for action in ["check", "verify"] {
        let (code, text) = run("C", &[action]);
        assert!(code == Some(0) && text.starts_with("ok: "), "{action}: {text}");
    }
    let (code, text) = run("C", &["stats"]);
    assert!(code == Some(0) && text.contains("sealed files") && text.contains("outbox"), "{text}");
    let file = dir.path().join("out.csv");
    let export =
        ["export", "--what", "events", "--from", "2020-01-01", "--to", "2100-01-01", "--format", "csv"];
    let (code, text) = run("C", &[&export[..], &["--out", file.to_str().unwrap()]].concat());
    assert_eq!((code, text.trim()), (Some(0), "exported 80 rows"));
    let db = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    db.execute("update event set kind = 'help' where seq = 17", []).unwrap();
    drop(db);
    let (code, text) = run("C", &["verify"]);
    assert!(code == Some(1) && text.contains("event row 17: "), "{text}");
    let (code, text) = run("zh_CN.UTF-8", &["check"]);
    assert!(code == Some(1) && text.contains("event 第 17 行"), "{text}");
    let (code, text) = run("C", &["repair"]);
    assert!(code == Some(0) && text.contains("repaired"), "{text}");
    assert_eq!(run("C", &["verify"]).0, Some(0));
}

//! What is sealed comes back bit for bit and exactly once, whatever happens in between; what is damaged is found.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "numbers of tests are small"
)]

use super::file::Writer;
use super::testing::{Dice, damage, name, odd_value};
use super::*;
use crate::model::*;
use crate::pipeline::{Commit, StoredReading};
use crate::store::{FILE_NAME, Reader, Store};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::{TempDir, tempdir};

const AT: i64 = 1_790_000_000_000;
const MINUTE: i64 = 60_000;

fn now(wall: i64, mono: Duration) -> Now {
    Now { mono: Mono(0).plus(mono), wall: Wall(wall) }
}

/// Maintains until nothing is left to be done at once; how many steps it took.
fn settle(store: &mut Store, wall: i64) -> usize {
    let mut steps = 1;
    while store.maintain(now(wall, Duration::ZERO)).unwrap() {
        steps += 1;
        assert!(steps < 10_000, "upkeep ends");
    }
    steps
}

fn sealed_files(dir: &Path) -> Vec<Sealed> {
    listed(&Reader::open(dir).unwrap().db, "order by first_seq", []).unwrap()
}

/// Every reading with its number, page by page; no page twice, newest first.
fn all(dir: &Path, device: Option<&DeviceId>) -> Vec<(u64, StoredReading)> {
    let reader = Reader::open(dir).unwrap();
    let (mut rows, mut before) = (Vec::new(), None);
    loop {
        let page = reader.readings(device, None, before, 1_000).unwrap();
        rows.extend(page.rows);
        assert!(page.next_before.is_none() || page.next_before < before.or(Some(u64::MAX)));
        before = page.next_before;
        if before.is_none() {
            rows.reverse();
            return rows;
        }
    }
}

/// Readings with their values as bits.
fn bits(rows: &[(u64, StoredReading)]) -> Vec<(u64, StoredReading, Option<u64>)> {
    rows.iter().map(|(seq, r)| (*seq, r.clone(), r.reading.value.map(f64::to_bits))).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn small_file(dir: &Path) -> Sealed {
    let mut writer = Writer::create(&super::disk::Place::here(dir)).unwrap();
    for device in 0..3_i64 {
        let rows: Vec<Row> = (0..40)
            .map(|i| Row {
                seq: i * 3 + device + 1,
                arrived: AT + i * MINUTE,
                device_at: None,
                value: Some((i * device) as f64 / 10.0),
                series: 0,
                clock: 1,
                quality: 0,
                doubt: 0,
            })
            .collect();
        writer.add(&format!("d{device}"), &[name("p")], &[], &rows).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn every_flipped_bit_and_every_other_damage_of_a_file_is_found() {
    let dir = tempdir().unwrap();
    let sealed = small_file(dir.path());
    let path = dir.path().join(DIRECTORY).join(&sealed.file);
    keep::verify(&path, &sealed, true).unwrap();
    assert_eq!(HistoryFile::open(&path).unwrap().sealed(), sealed);
    let good = fs::read(&path).unwrap();
    let other = dir.path().join("damaged.sgh");
    let check = |bytes: &[u8], what: &str| {
        fs::write(&other, bytes).unwrap();
        let found = HistoryFile::open(&other).and_then(|file| file.verify());
        assert!(matches!(found, Err(StoreError::Sealed { .. })), "{what}: {found:?}");
    };
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        check(&bytes, &format!("bit {bit}"));
    }
    let mut dice = Dice(3);
    for turn in 0..10_000 {
        let mut bytes = good.clone();
        damage(&mut dice, &mut bytes);
        if bytes != good {
            check(&bytes, &format!("damage {turn}"));
        }
    }
    check(&[], "empty");
    check(&[good.as_slice(), &[0]].concat(), "one byte more");
}

fn reading(device: &str, point: &str, value: f64, at: i64) -> StoredReading {
    StoredReading {
        device: DeviceId::new(device).unwrap(),
        stamp: Stamp::new(None, Wall(at)),
        reading: Reading::new(PointId::new(point).unwrap(), value, Unit::Watt, PointKind::Gauge),
    }
}

fn commit(store: &mut Store, readings: Vec<StoredReading>) {
    store.commit(&[&Commit { readings, ..Commit::default() }]).unwrap();
}

/// Readings of all sorts from a few devices around one moment.
fn odd_readings(dice: &mut Dice, at: i64) -> Vec<StoredReading> {
    let device = format!("d{}", dice.below(4));
    let told = match dice.below(4) {
        0 => Some(at - 1_500),
        1 => Some(at - 3 * 24 * 60 * MINUTE),
        2 => Some(0),
        _ => None,
    };
    let mut all = Vec::new();
    for point in 0..=dice.below(4) {
        let mut stored = reading(&device, &format!("p{point}"), odd_value(dice), at);
        stored.stamp = Stamp::new(told.map(Wall), Wall(at));
        if dice.one_in(6) {
            stored.reading = stored.reading.doubted(Doubt::OutOfRange);
        }
        all.push(stored);
    }
    all
}

#[test]
fn every_reading_is_there_exactly_once_before_during_and_after_every_step_of_a_seal() {
    for seed in 0..4 {
        let mut dice = Dice(seed);
        let dir = tempdir().unwrap();
        let crashed = tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        store.seal_rows(400);
        let (mut expected, mut at, mut crashes): (Vec<StoredReading>, i64, u32) = (Vec::new(), AT, 0);
        for turn in 0..60 {
            for _ in 0..dice.below(50) {
                let readings = odd_readings(&mut dice, at);
                expected.extend(readings.iter().cloned());
                commit(&mut store, readings);
            }
            at += dice.below(60) as i64 * MINUTE;
            let mut mono = Duration::from_secs(turn * 100_000);
            for _ in 0..dice.below(12) {
                mono += Duration::from_millis(1);
                store.maintain(now(at, mono)).unwrap();
                if dice.one_in(25) {
                    let rows = all(dir.path(), None);
                    check(&rows, &expected);
                    // The machine stops here and starts again from what is there.
                    let copied = crashed.path().join(format!("{seed}-{crashes}"));
                    copy(dir.path(), &copied);
                    let mut again = Store::open(&copied).unwrap();
                    again.seal_rows(400);
                    assert_eq!(bits(&all(&copied, None)), bits(&rows));
                    settle(&mut again, at);
                    assert_eq!(bits(&all(&copied, None)), bits(&rows));
                    let leftovers = files_of(&copied).len() - sealed_files(&copied).len();
                    assert_eq!(leftovers, 0, "no file is left over");
                    crashes += 1;
                }
            }
            if dice.one_in(8) {
                drop(store);
                store = Store::open(dir.path()).unwrap();
                store.seal_rows(400);
            }
        }
        check(&all(dir.path(), None), &expected);
        assert!(sealed_files(dir.path()).len() > 2, "something was sealed");
        assert!(crashes > 5, "something crashed");
        by_device_and_by_time_agree(dir.path());
    }
}

fn files_of(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join(DIRECTORY)).into_iter().flatten().map(|e| e.unwrap());
    entries.map(|e| e.file_name().into_string().unwrap()).collect()
}

fn check(rows: &[(u64, StoredReading)], expected: &[StoredReading]) {
    let numbers: Vec<u64> = rows.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(numbers, (1..=expected.len() as u64).collect::<Vec<u64>>(), "each number once");
    for ((seq, row), expected) in rows.iter().zip(expected) {
        assert_eq!(row, expected, "reading {seq}");
        // SQLite keeps no sign of zero; every other bit is the same.
        let bits = |r: &StoredReading| r.reading.value.map(|v| (v + 0.0).to_bits());
        assert_eq!(bits(row), bits(expected), "reading {seq}");
    }
}

fn by_device_and_by_time_agree(dir: &Path) {
    let rows = all(dir, None);
    let reader = Reader::open(dir).unwrap();
    let device = DeviceId::new("d1").unwrap();
    let own: Vec<_> = rows.iter().filter(|(_, r)| r.device == device).cloned().collect();
    assert_eq!(bits(&all(dir, Some(&device))), bits(&own));
    let (from, to) = (Wall(AT + 200 * MINUTE), Wall(AT + 900 * MINUTE));
    let point = PointId::new("p1").unwrap();
    let span = Span { device: Some(device), point: Some(point.clone()), from, to };
    let mut between: Vec<_> = own
        .into_iter()
        .filter(|(_, r)| r.reading.point == point && (from..to).contains(&r.stamp.effective()))
        .collect();
    between.sort_by_key(|(seq, r)| (r.stamp.effective(), *seq));
    assert!(!between.is_empty());
    assert_eq!(reader.readings_between(&span, 1_000_000).unwrap(), (between.clone(), true));
    let (some, whole) = reader.readings_between(&span, between.len() - 1).unwrap();
    assert_eq!((some.len(), whole), (between.len() - 1, false));
}

/// A store with three sealed files of two devices, and some hot rows.
fn sealed_store() -> (TempDir, Store, Vec<(u64, StoredReading)>) {
    let dir = tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.seal_rows(300);
    for i in 0..1_200 {
        let of = |device| reading(device, "p", i as f64, AT + i * MINUTE);
        commit(&mut store, vec![of("a"), of("b")]);
    }
    while sealed_files(dir.path()).len() < 3 {
        store.maintain(now(AT, Duration::ZERO)).unwrap();
    }
    let rows = all(dir.path(), None);
    assert_eq!(rows.len(), 2_400);
    (dir, store, rows)
}

fn dropped(dir: &Path) -> BTreeMap<String, i64> {
    let reader = Reader::open(dir).unwrap();
    let mut statement = reader.db.prepare("select reason, rows from dropped").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn the_oldest_file_goes_whole_and_its_readings_are_counted() {
    let (dir, mut store, rows) = sealed_store();
    let files = sealed_files(dir.path());
    let gone = store.drop_oldest_readings("room", Wall(AT)).unwrap().unwrap();
    assert_eq!(gone, Dropped { readings: 300, bytes: files[0].bytes });
    assert_eq!(bits(&all(dir.path(), None)), bits(&rows[300..]));
    assert!(!dir.path().join(DIRECTORY).join(&files[0].file).exists());
    assert_eq!(dropped(dir.path()), BTreeMap::from([("room".to_owned(), 300)]));
    while store.drop_oldest_readings("room", Wall(AT)).unwrap().is_some() {}
    // Numbers are not given again, even when nothing is left.
    let last = rows.last().unwrap().0;
    drop(store);
    let mut store = Store::open(dir.path()).unwrap();
    commit(&mut store, vec![reading("a", "p", 1.0, AT)]);
    assert_eq!(all(dir.path(), None).last().unwrap().0, last + 1);
}

#[test]
fn a_drop_that_a_crash_cut_off_is_finished_and_counted_once() {
    let (dir, store, rows) = sealed_store();
    let oldest = sealed_files(dir.path()).remove(0);
    let path = dir.path().join(DIRECTORY).join(&oldest.file);
    let bytes = fs::read(&path).unwrap();
    let mut store = store;
    store.drop_oldest_readings("room", Wall(AT)).unwrap();
    // As if the power had failed between the transaction and the unlink.
    fs::write(&path, bytes).unwrap();
    set_meta(&store.db, UNLINKING, &oldest.file).unwrap();
    drop(store);
    let mut store = Store::open(dir.path()).unwrap();
    settle(&mut store, AT);
    assert!(!path.exists());
    assert_eq!(dropped(dir.path()), BTreeMap::from([("room".to_owned(), 300)]));
    assert_eq!(bits(&all(dir.path(), None)), bits(&rows[300..]));
}

#[test]
fn files_that_are_damaged_missing_or_unknown_are_told_counted_and_kept() {
    let (dir, store, rows) = sealed_store();
    drop(store);
    let files = sealed_files(dir.path());
    let history = dir.path().join(DIRECTORY);
    let path = |i: usize| history.join(&files[i].file);
    fs::remove_file(path(0)).unwrap();
    let whole = fs::read(path(1)).unwrap();
    fs::write(path(1), &whole[..whole.len() - 1]).unwrap();
    let mut flipped = fs::read(path(2)).unwrap();
    flipped[20] ^= 4;
    fs::write(path(2), &flipped).unwrap();
    fs::write(history.join(file::file_name(900_000, 900_300)), &whole).unwrap();
    fs::write(history.join("sealing.tmp"), "half").unwrap();

    let mut store = Store::open(dir.path()).unwrap();
    let mut wrong = Vec::new();
    let reader = Reader::open(dir.path()).unwrap();
    reader.verify_sealed(|sealed, outcome| wrong.push((sealed.first_seq, outcome.is_err()))).unwrap();
    assert_eq!(wrong, [(1, true), (301, true), (601, true)]);
    let refused = reader.readings(None, None, Some(700), 10).unwrap_err();
    assert!(matches!(refused, StoreError::Sealed { .. }), "{refused}");

    settle(&mut store, AT);
    assert_eq!(
        dropped(dir.path()),
        BTreeMap::from([("missing".to_owned(), 300), ("damaged".to_owned(), 300)])
    );
    // The flipped bit is found when its turn comes to be read through; the other device's readings are kept.
    for turn in 0..5 {
        store.maintain(now(AT, Duration::from_secs(turn * 601))).unwrap();
    }
    assert_eq!(dropped(dir.path())["damaged"], 450);
    let kept = |(seq, r): &&(u64, StoredReading)| *seq > 900 || (*seq > 600 && r.device.as_str() == "b");
    assert_eq!(bits(&all(dir.path(), None)), bits(&rows.iter().filter(kept).cloned().collect::<Vec<_>>()));
    assert_eq!(fs::read_dir(history.join(DAMAGED)).unwrap().count(), 2);
    assert_eq!(fs::read_dir(history.join(UNLISTED)).unwrap().count(), 1);
    assert!(!history.join("sealing.tmp").exists());
}

#[test]
fn a_database_that_is_made_anew_finds_its_sealed_readings_again() {
    let (dir, mut store, rows) = sealed_store();
    settle(&mut store, AT);
    let sealed = sealed_files(dir.path());
    let last = sealed.last().unwrap().last_seq;
    drop(store);
    for end in ["", "-wal", "-shm"] {
        fs::remove_file(dir.path().join(format!("{FILE_NAME}{end}"))).ok();
    }
    let mut store = Store::open(dir.path()).unwrap();
    assert_eq!(sealed_files(dir.path()), sealed);
    commit(&mut store, vec![reading("a", "p", 1.0, AT)]);
    let (new, old) = all(dir.path(), None).split_last().map(|(a, b)| (a.clone(), b.to_vec())).unwrap();
    assert_eq!(bits(&old), bits(&rows[..usize::try_from(last).unwrap()]));
    assert_eq!(i64::try_from(new.0).unwrap(), last + 1);
    // Files whose numbers are in use are not taken.
    drop(store);
    let db = rusqlite::Connection::open(dir.path().join(FILE_NAME)).unwrap();
    db.execute_batch("delete from sealed; delete from meta; update reading set seq = 5").unwrap();
    drop(db);
    drop(Store::open(dir.path()).unwrap());
    assert_eq!((sealed_files(dir.path()).len(), all(dir.path(), None).len()), (0, 1));
    assert_eq!(fs::read_dir(dir.path().join(DIRECTORY).join(UNLISTED)).unwrap().count(), sealed.len());
}

#[test]
fn what_a_start_looks_at_is_never_sealed() {
    let dir = tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.seal_rows(100);
    let end = AT + 999 * MINUTE;
    commit(&mut store, (0..1_000).map(|i| reading("a", "p", i as f64, AT + i * MINUTE)).collect());
    let before = store.recall(3_600).unwrap().recent.unwrap().readings;
    settle(&mut store, end + 40 * 3_600_000);
    assert_eq!(store.recall(3_600).unwrap().recent.unwrap().readings, before);
    let last = sealed_files(dir.path()).pop().unwrap();
    assert!(last.last_at < before[0].stamp.gateway.0, "recalled readings are hot");
    let hot: i64 = store.db.query_row("select count(*) from reading", [], |row| row.get(0)).unwrap();
    assert_eq!(
        hot as usize + sealed_files(dir.path()).iter().map(|f| f.readings as usize).sum::<usize>(),
        1_000
    );
    assert!(before.len() == 126 && hot < 226, "{} recalled, {hot} hot", before.len());
}

#[test]
fn old_files_go_by_age_one_an_hour_and_not_while_the_clock_is_unset() {
    let (dir, mut store, _) = sealed_store();
    let count = |dir: &Path| sealed_files(dir).len();
    let later = AT + crate::store::KEEP_READINGS_MS + 2_000 * MINUTE;
    settle(&mut store, later);
    let before = count(dir.path());
    let hours = |n: u64| Duration::from_secs(n * 3_600);
    store.maintain(now(1_000, hours(2))).unwrap();
    assert_eq!(count(dir.path()), before);
    store.maintain(now(later, hours(4))).unwrap();
    store.maintain(now(later, hours(4))).unwrap();
    assert_eq!(count(dir.path()), before - 1);
    assert_eq!(dropped(dir.path()), BTreeMap::from([("age".to_owned(), 300)]));
}

#[test]
fn a_file_of_version_1_becomes_one_that_equals_a_new_one_and_keeps_its_rows() {
    let schema = |path: &Path| -> Vec<(String, Option<String>)> {
        let db = rusqlite::Connection::open(path).unwrap();
        let mut statement = db.prepare("select name, sql from sqlite_schema order by name").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let (old, new) = (tempdir().unwrap(), tempdir().unwrap());
    let path = old.path().join(FILE_NAME);
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch(include_str!("../schema.sql")).unwrap();
    db.execute_batch(include_str!("version-1.sql")).unwrap();
    db.pragma_update(None, "user_version", 1).unwrap();
    db.pragma_update(None, "application_id", crate::store::APPLICATION_ID).unwrap();
    drop(db);
    drop(Store::open(new.path()).unwrap());
    let mut store = Store::open(old.path()).unwrap();
    assert_eq!(schema(&path), schema(&new.path().join(FILE_NAME)));
    assert_eq!(
        all(old.path(), None),
        [(7, reading("meter", "power", 1.5, AT)), (9, reading("meter", "power", 2.5, AT + MINUTE))]
    );
    let remembered = store.recall(900).unwrap();
    assert_eq!((remembered.open_alarms.len(), remembered.next_seq, remembered.serials.len()), (1, 12, 1));
    let destination = DestinationId::new("city").unwrap();
    assert_eq!(store.backlog().unwrap(), [(destination, 1)]);
    commit(&mut store, vec![reading("meter", "power", 3.5, AT + 2 * MINUTE)]);
    assert_eq!(all(old.path(), None).last().unwrap().0, 10);
}

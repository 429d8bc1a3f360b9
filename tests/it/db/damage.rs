//! Bits that flip, rows that are tampered with, files that are torn: all of it is found, and the store starts.

use super::school::{AT, city, content, copy, filled, found, sealed};
use rusqlite::Connection;
use schoolgate::model::Wall;
use schoolgate::store::{Depth, FILE_NAME, Reader, Store};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::tempdir;
use tokio::time::Instant;

const FLIPS: usize = 400;
/// Start is to be over within this, whatever the files look like.
const START: Duration = Duration::from_secs(2);
const PAGE: usize = 4096;

/// Number and record of what is owed, as far as SQLite alone can read it from either end.
fn owed(dir: &Path) -> BTreeMap<i64, String> {
    let mut owed = BTreeMap::new();
    let Ok(db) = Connection::open(dir.join(FILE_NAME)) else { return owed };
    for way in ["asc", "desc"] {
        let sql =
            format!("select seq, destination || created || uid || record from outbox order by seq {way}");
        let Ok(mut statement) = db.prepare(&sql) else { continue };
        let Ok(rows) = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))) else { continue };
        owed.extend(rows.map_while(Result::ok));
    }
    owed
}

/// What a sound store holds that must not be lost.
struct Sound {
    owed: BTreeMap<i64, String>,
    next_seq: u64,
    next_alarm: u64,
}

impl Sound {
    fn of(dir: &Path) -> Self {
        let work = tempdir().unwrap();
        copy(dir, work.path());
        let owed = owed(work.path());
        assert!(owed.len() > 50);
        let (_store, remembered) = Store::take_up(work.path(), 900).unwrap();
        Self { owed, next_seq: remembered.next_seq, next_alarm: remembered.next_alarm }
    }
}

#[derive(Default)]
struct Tally {
    starts: usize,
    rescued: usize,
    slowest: Duration,
}

impl Tally {
    /// Starts a store on a copy of damaged data: in time, with what is owed, no number given again, what was damaged
    /// kept, and what was made of it sound.
    fn start(&mut self, what: &str, dir: &Path, sound: &Sound) {
        let work = tempdir().unwrap();
        copy(dir, work.path());
        let damaged = fs::read(work.path().join(FILE_NAME)).unwrap_or_default();
        let probe = tempdir().unwrap();
        copy(dir, probe.path());
        let readable = owed(probe.path());
        let begun = Instant::now();
        let (mut store, remembered) = Store::take_up(work.path(), 900)
            .unwrap_or_else(|error| panic!("{what}: {error}: {:?}", std::error::Error::source(&error)));
        let took = begun.elapsed();
        assert!(took < START, "{what}: {took:?}");
        assert!(remembered.next_seq >= sound.next_seq, "{what}: {} is given again", remembered.next_seq);
        assert!(
            remembered.next_alarm >= sound.next_alarm,
            "{what}: {} is given again",
            remembered.next_alarm
        );
        let kept: Vec<u64> = store.owed(&city(), 1000).unwrap().iter().map(|item| item.seq).collect();
        for (seq, record) in &sound.owed {
            let there = kept.contains(&u64::try_from(*seq).unwrap());
            assert!(there || readable.get(seq) != Some(record), "{what}: {seq} is lost");
        }
        let rescued = store.rescued().cloned();
        drop(store);
        self.starts += 1;
        self.slowest = self.slowest.max(took);
        if let Some(rescued) = rescued {
            self.rescued += 1;
            let kept = fs::read(rescued.kept_in.join(FILE_NAME)).unwrap_or_default();
            assert_eq!(kept.len(), damaged.len(), "{what}: the damaged file is not kept");
            let broken: Vec<String> =
                found(work.path()).into_iter().filter(|line| !line.starts_with("history")).collect();
            assert_eq!(broken, Vec::<String>::new(), "{what}");
        }
    }
}

/// xorshift64: the same flips every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }
}

#[test]
fn every_flipped_bit_in_used_bytes_is_found_and_the_store_starts() {
    let dir = filled();
    assert_eq!(found(dir.path()), Vec::<String>::new());
    let (work, whole, sound) = (tempdir().unwrap(), content(dir.path()).unwrap(), Sound::of(dir.path()));
    copy(dir.path(), work.path());
    let mut files = sealed(work.path());
    files.insert(0, work.path().join(FILE_NAME));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut flipped, mut in_files, mut unused, mut tally) = (0, 0, 0, Tally::default());
    while flipped < FLIPS {
        // Three in four in the database.
        let file = if random.below(4) > 0 { 0 } else { random.below(files.len()) };
        let path = &files[file];
        let before = fs::read(path).unwrap();
        let (byte, bit) = (random.below(before.len()), random.below(8));
        let mut after = before.clone();
        after[byte] ^= 1 << bit;
        fs::write(path, &after).unwrap();
        let what = format!("bit {bit} of byte {byte} of {}", path.display());
        // Every byte of a sealed file is used. Of the database those are without which it reads as before.
        if file == 0 && content(work.path()).as_ref() == Some(&whole) && found(work.path()).is_empty() {
            unused += 1;
            assert!(unused < 20 * FLIPS, "hardly a byte is used");
        } else {
            assert!(!found(work.path()).is_empty(), "{what} is not found");
            tally.start(&what, work.path(), &sound);
            flipped += 1;
            in_files += usize::from(file > 0);
        }
        fs::write(path, &before).unwrap();
        for suffix in ["-wal", "-shm"] {
            fs::remove_file(work.path().join(format!("{FILE_NAME}{suffix}"))).ok();
        }
    }
    let Tally { starts, rescued, slowest } = tally;
    println!(
        "{flipped} flips found ({in_files} in sealed files), {unused} in unused bytes; {starts} starts, {rescued} \
         rescued, the slowest in {slowest:?}"
    );
}

/// Runs `change` on a copy of the data.
fn changed(dir: &Path, change: impl FnOnce(&Path)) -> tempfile::TempDir {
    let work = tempdir().unwrap();
    copy(dir, work.path());
    change(work.path());
    work
}

#[test]
fn every_way_to_tamper_with_rows_is_found_and_the_store_starts() {
    let dir = filled();
    let (sound, mut tally) = (Sound::of(dir.path()), Tally::default());
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
          carrier, service, direction, result, person, hash, null, null from event where seq = 80",
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
        ("person", "update person set role = 'staff'", None),
        ("person", "delete from person where grp = 'class 1'", None),
        ("event", "update event set reason = null where seq = 5", Some(5)),
        ("event", "update event set person = null, erased = zeroblob(32) where seq = 5", Some(5)),
        ("event", "insert into chain select 'event.root', 3, head from chain where name = 'event'", Some(3)),
        ("meta", "update meta set value = '1' where key = 'next_seq'", None),
        ("series", "update series set unit = 'kW' where id = 1", None),
        ("chain", "insert into chain values ('x', 1, zeroblob(32))", None),
        ("sealed", "delete from sealed", None),
        ("schema", "drop index event_serial", None),
    ];
    for (place, sql, seq) in by_sql {
        let work = changed(dir.path(), |dir| {
            let db = Connection::open(dir.join(FILE_NAME)).unwrap();
            db.execute_batch(&format!("pragma foreign_keys = off; {sql}"))
                .unwrap_or_else(|e| panic!("{sql}: {e}"));
        });
        let verdict = Reader::open(work.path()).unwrap().verify(Depth::Whole).unwrap();
        let hit = verdict.broken.iter().any(|b| b.place == *place && (seq.is_none() || b.seq == *seq));
        assert!(hit, "{sql}: {:?}", verdict.broken);
        tally.start(sql, work.path(), &sound);
    }
    let Tally { starts, rescued, slowest } = tally;
    println!("{} ways found; {starts} starts, {rescued} rescued, the slowest in {slowest:?}", by_sql.len());
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn every_torn_or_foreign_file_is_found_and_the_store_starts() {
    let dir = filled();
    let (sound, mut tally) = (Sound::of(dir.path()), Tally::default());
    type Change = fn(&mut Vec<u8>);
    let database: &[(&str, Change)] = &[
        ("it is empty", |b| b.clear()),
        ("half a header is left", |b| b.truncate(50)),
        ("one page is left", |b| b.truncate(PAGE)),
        ("half of it is gone", |b| b.truncate(b.len() / 2)),
        ("the last two pages are gone", |b| b.truncate(b.len() - 2 * PAGE)),
        ("half of the last page is gone", |b| b.truncate(b.len() - PAGE / 2)),
        ("the third page is zero", |b| b[2 * PAGE..3 * PAGE].fill(0)),
        ("a page in the middle is zero", |b| {
            let middle = b.len() / PAGE / 2 * PAGE;
            b[middle..middle + PAGE].fill(0);
        }),
        ("a block of zeros over two pages", |b| b[6 * PAGE + 512..7 * PAGE + 512].fill(0)),
        ("two pages are swapped", |b| {
            let (first, second) = b.split_at_mut(9 * PAGE);
            first[4 * PAGE..5 * PAGE].swap_with_slice(&mut second[..PAGE]);
        }),
        ("a page stands twice", |b| b.copy_within(5 * PAGE..6 * PAGE, 11 * PAGE)),
        ("the first page is zero", |b| b[..PAGE].fill(0)),
        ("the magic is another's", |b| b[..16].copy_from_slice(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")),
        ("the schema is noise", |b| b[100..PAGE].fill(0xa5)),
        ("all is noise", |b| {
            b.iter_mut().enumerate().for_each(|(i, b)| *b = ((i * 7919) >> 3).to_le_bytes()[0])
        }),
        ("it is a text", |b| *b = "not a database\n".repeat(1000).into_bytes()),
    ];
    type Tear = fn(&Path);
    let files: &[(&str, Tear)] = &[
        ("a sealed file is gone", |dir| fs::remove_file(&sealed(dir)[0]).unwrap()),
        ("another file stands in its place", |dir| {
            fs::copy(&sealed(dir)[0], &sealed(dir)[1]).unwrap();
        }),
        ("a file that nobody listed", |dir| {
            fs::copy(&sealed(dir)[0], dir.join("history/000000000001-000000000002.sgh")).unwrap();
        }),
        ("a sealed file is cut short", |dir| edit(&sealed(dir)[0], |b| b.truncate(b.len() / 2))),
        ("a sealed file is empty", |dir| edit(&sealed(dir)[0], Vec::clear)),
        ("a sealed file is noise", |dir| edit(&sealed(dir)[0], |b| b.fill(0xa5))),
        ("the directory of sealed files is gone", |dir| fs::remove_dir_all(dir.join("history")).unwrap()),
    ];
    let mut cases = 0;
    for (what, change) in database {
        let work = changed(dir.path(), |dir| edit(&dir.join(FILE_NAME), change));
        assert!(!found(work.path()).is_empty(), "{what}");
        tally.start(what, work.path(), &sound);
        cases += 1;
    }
    for (what, change) in files {
        let work = changed(dir.path(), change);
        assert!(!found(work.path()).is_empty(), "{what}");
        tally.start(what, work.path(), &sound);
        cases += 1;
    }
    assert!(cases >= 20);
    let Tally { starts, rescued, slowest } = tally;
    println!("{cases} torn files found; {starts} starts, {rescued} rescued, the slowest in {slowest:?}");
}

#[test]
fn a_lost_or_noisy_log_costs_what_was_in_it_and_nothing_else() {
    let dir = filled();
    let mut store = Store::open(dir.path()).unwrap();
    let sound = Sound::of(dir.path());
    store.commit(&[&super::school::commit(1_000)]).unwrap();
    let log = format!("{FILE_NAME}-wal");
    let mut tally = Tally::default();
    let gone = changed(dir.path(), |dir| fs::remove_file(dir.join(&log)).unwrap());
    tally.start("the log is gone", gone.path(), &sound);
    let noise = changed(dir.path(), |dir| edit(&dir.join(&log), |b| b.fill(0x5a)));
    tally.start("the log is noise", noise.path(), &sound);
    let torn = changed(dir.path(), |dir| edit(&dir.join(&log), |b| b.truncate(b.len() - 1000)));
    tally.start("the log is torn", torn.path(), &sound);
    assert!(tally.rescued >= 1, "noise in the log is noticed");
}

#[test]
fn a_repair_keeps_what_can_be_read_and_says_so() {
    let dir = filled();
    assert!(
        schoolgate::store::repair(dir.path(), Wall(AT)).unwrap().moved_to.is_none(),
        "nothing is wrong yet"
    );
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
    let done = schoolgate::store::repair(dir.path(), Wall(AT)).unwrap();
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
    schoolgate::store::repair(dir.path(), Wall(AT + 1)).unwrap();
    assert_eq!(found(dir.path()), Vec::<String>::new());
    Store::open(dir.path()).unwrap();
}

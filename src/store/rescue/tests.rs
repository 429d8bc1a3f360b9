//! Damaged files: every one starts, nothing is deleted, what can be read is there, and what is owed first of all.

use super::*;
use crate::model::*;
use crate::pipeline::{Commit, StoredReading};
use crate::store::{Depth, Reader};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

const AT: Wall = Wall(1_790_000_000_000);
/// Start is to be over within this, whatever the file looks like.
const START: Duration = Duration::from_secs(2);
const PAGE: usize = 4096;

fn change(id: u64) -> AlarmChange {
    let alarm = Alarm {
        id: AlarmId(id),
        key: AlarmKey { rule: RuleId::new("r").unwrap(), subject: format!("d{id}") },
        class: AlarmClass::Energy,
        priority: Priority::High,
        device: None,
        place: None,
        what: Text::same("x"),
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

fn reading(n: u32) -> StoredReading {
    let point = PointId::new(&format!("p{}", n % 7)).unwrap();
    StoredReading {
        device: DeviceId::new("meter").unwrap(),
        stamp: Stamp::new(None, AT.plus_ms(i64::from(n))),
        reading: Reading::new(point, f64::from(n), Unit::Watt, PointKind::Gauge),
    }
}

fn commit(from: u32, rows: u32) -> Commit {
    let owed = |n: u32| OutboxItem {
        seq: u64::from(n),
        destination: DestinationId::new("city").unwrap(),
        uid: format!("gw:{n}"),
        created: AT,
        record: Record::Alarm(change(u64::from(n))),
    };
    Commit {
        readings: (from..from + rows * 10).map(reading).collect(),
        alarm_changes: (from..from + rows).map(|n| change(u64::from(n))).collect(),
        outbox: (from..from + rows).map(owed).collect(),
        ..Commit::default()
    }
}

const ROWS: u32 = 400;

/// A database with all in its main file, and one whose log was left over by a power failure.
fn school(with_log: bool) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.site_key().unwrap();
    store.commit(&[&commit(1, ROWS / 2)]).unwrap();
    if !with_log {
        store.commit(&[&commit(1 + ROWS / 2, ROWS / 2)]).unwrap();
        return dir;
    }
    store.checkpoint(true).unwrap();
    store.commit(&[&commit(1 + ROWS / 2, ROWS / 2)]).unwrap();
    // What a power failure leaves: the files as they are while it runs.
    let copy = tempfile::tempdir().unwrap();
    for name in [FILE_NAME, "schoolgate.db-wal", SITE_KEY] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    copy
}

struct Start {
    /// `None` if it was sound.
    rescued: Option<Rescued>,
    owed: usize,
    alarms: usize,
    next_seq: u64,
}

fn start(dir: &TempDir) -> Start {
    let begun = Instant::now();
    let (mut store, remembered) = Store::take_up(dir.path(), 900).unwrap();
    let took = begun.elapsed();
    assert!(took < START, "{took:?}");
    let start = Start {
        rescued: store.rescued().cloned(),
        owed: store.owed(&DestinationId::new("city").unwrap(), 10_000).unwrap().len(),
        alarms: remembered.open_alarms.len(),
        next_seq: remembered.next_seq,
    };
    if let Some(rescued) = &start.rescued {
        let verdict = Reader::open(dir.path()).unwrap().verify(Depth::Whole).unwrap();
        assert_eq!((verdict.broken, verdict.unproven), (Vec::new(), 0), "{rescued:?}");
    }
    // It can be worked with.
    store.commit(&[&commit(1_000_000, 1)]).unwrap();
    drop(store);
    assert_eq!(Store::open(dir.path()).unwrap().rescued(), None, "it is sound after that");
    start
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// The pages of a table, its root first.
fn root_page(dir: &TempDir, table: &str) -> usize {
    let db = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    let root: i64 = db
        .query_row("select rootpage from sqlite_schema where name = ?1", [table], |row| row.get(0))
        .unwrap();
    usize::try_from(root).unwrap()
}

fn wipe(bytes: &mut [u8], page: usize) {
    bytes[(page - 1) * PAGE..page * PAGE].fill(0xa5);
}

#[test]
fn every_kind_of_damage_starts_and_keeps_the_damaged_file() {
    type Damage = (&'static str, fn(&TempDir, &mut Vec<u8>), Kept);
    /// What of the outbox must be there.
    #[derive(Clone, Copy, PartialEq)]
    enum Kept {
        All,
        Some,
        Any,
    }
    let cases: &[Damage] = &[
        ("the file is empty", |_, b| b.clear(), Kept::Any),
        ("one byte is left", |_, b| b.truncate(1), Kept::Any),
        ("half a header is left", |_, b| b.truncate(50), Kept::Any),
        ("one page is left", |_, b| b.truncate(PAGE), Kept::Any),
        ("half a page too much is gone", |_, b| b.truncate(b.len() - PAGE / 2), Kept::Some),
        ("a third is gone", |_, b| b.truncate(b.len() / 3 * 2), Kept::Any),
        ("the magic is gone", |_, b| b[..16].fill(0), Kept::All),
        ("the header is gone", |_, b| b[..100].fill(0xff), Kept::All),
        ("a foreign header", |_, b| b[..16].copy_from_slice(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), Kept::All),
        ("the page size is wrong", |_, b| b[16..18].copy_from_slice(&[2, 0]), Kept::All),
        ("the page size is none", |_, b| b[16..18].copy_from_slice(&[3, 3]), Kept::All),
        ("it says that it may not be written", |_, b| b[18] = 9, Kept::All),
        ("it says that it may not be read", |_, b| b[19] = 9, Kept::All),
        ("the encoding is unknown", |_, b| b[56..60].fill(7), Kept::All),
        ("the first page is gone", |_, b| b[..PAGE].fill(0), Kept::Any),
        ("the schema is gone", |_, b| b[100..PAGE].fill(0), Kept::Any),
        ("the root of the readings is gone", |d, b| wipe(b, root_page(d, "reading")), Kept::All),
        ("the root of the outbox is gone", |d, b| wipe(b, root_page(d, "outbox")), Kept::Any),
        ("a leaf of the outbox is gone", |d, b| wipe_leaf(d, b), Kept::Some),
        ("an index of the outbox is gone", |d, b| wipe(b, root_page(d, "outbox_next")), Kept::All),
        ("the numbers are gone", |d, b| wipe(b, root_page(d, "meta")), Kept::All),
        (
            "all is noise",
            |_, b| b.iter_mut().enumerate().for_each(|(i, b)| *b = ((i * 7919) >> 3).to_le_bytes()[0]),
            Kept::Any,
        ),
    ];
    for (name, damage, kept) in cases {
        println!("{name}");
        let dir = school(false);
        let path = dir.path().join(FILE_NAME);
        let mut broken = std::fs::read(&path).unwrap();
        damage(&dir, &mut broken);
        std::fs::write(&path, &broken).unwrap();
        let started = start(&dir);
        let rescued = started.rescued.unwrap_or_else(|| panic!("{name}: not noticed"));
        let kept_file = rescued.kept_in.join(FILE_NAME);
        assert!(std::fs::read(kept_file).unwrap() == broken, "{name}: the damaged file is not as it was");
        let all = usize::try_from(ROWS).unwrap();
        match kept {
            Kept::All => assert_eq!((started.owed, started.alarms), (all, all), "{name}"),
            Kept::Some => assert!(started.owed > all / 4, "{name}: {} owed", started.owed),
            Kept::Any => {}
        }
        assert!(started.owed == all || !rescued.torn.is_empty(), "{name}: a loss that is not told");
        assert!(started.next_seq > u64::from(ROWS), "{name}: {} was used before", started.next_seq);
    }
    assert!(cases.len() >= 20);
}

fn wipe_leaf(dir: &TempDir, bytes: &mut [u8]) {
    let leaves = leaves(dir, bytes, "outbox");
    wipe(bytes, leaves[leaves.len() / 2]);
}

/// How many rows a page has, or an inner one children but for the last.
fn cells(bytes: &[u8], page: usize) -> usize {
    let at = (page - 1) * PAGE;
    usize::from(u16::from_be_bytes([bytes[at + 3], bytes[at + 4]]))
}

/// The leaves of a table of two levels.
fn leaves(dir: &TempDir, bytes: &[u8], table: &str) -> Vec<usize> {
    let page = root_page(dir, table);
    let root = (page - 1) * PAGE;
    assert_eq!(bytes[root], 5, "the table has more than one page");
    let number =
        |at: usize| usize::try_from(u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())).unwrap();
    let child = |n: usize| {
        let at = root + 12 + 2 * n;
        number(root + usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]])))
    };
    (0..cells(bytes, page)).map(child).chain([number(root + 8)]).collect()
}

#[test]
fn the_rows_of_damaged_pages_are_lost_and_no_others() {
    for which in [&[0][..], &[7, 8, 20], &[3, usize::MAX], &[0, 15, usize::MAX]] {
        let dir = school(false);
        let mut lost = 0;
        edit(&dir.path().join(FILE_NAME), |bytes| {
            let leaves = leaves(&dir, bytes, "outbox");
            for n in which {
                let page = leaves[(*n).min(leaves.len() - 1)];
                lost += cells(bytes, page);
                wipe(bytes, page);
            }
        });
        let started = start(&dir);
        assert_eq!(started.owed, usize::try_from(ROWS).unwrap() - lost, "{which:?}");
        assert_eq!(started.rescued.unwrap().torn, ["outbox"], "{which:?}");
    }
}

#[test]
fn a_log_left_by_a_power_failure_is_no_damage() {
    let started = start(&school(true));
    assert_eq!(started.rescued, None);
    assert_eq!(started.owed, usize::try_from(ROWS).unwrap());
}

#[test]
fn a_damaged_log_is_noticed_and_kept() {
    let log = |dir: &TempDir| dir.path().join("schoolgate.db-wal");
    for (name, damage) in [
        ("noise", (|b: &mut Vec<u8>| b.iter_mut().for_each(|b| *b ^= 0x5a)) as fn(&mut Vec<u8>)),
        ("a foreign magic", |b| b[0] = 0),
        ("a flipped bit in its header", |b| b[13] ^= 4),
    ] {
        let dir = school(true);
        edit(&log(&dir), damage);
        let broken = std::fs::read(log(&dir)).unwrap();
        let started = start(&dir);
        let rescued = started.rescued.unwrap_or_else(|| panic!("{name}: not noticed"));
        assert!(std::fs::read(rescued.kept_in.join("schoolgate.db-wal")).unwrap() == broken, "{name}");
        assert!(started.owed >= usize::try_from(ROWS / 2).unwrap(), "{name}: what is in the main file");
    }
    // What a power failure may leave of a log that nothing was committed to.
    for harmless in [Vec::new(), vec![0; 10], vec![0; 3 * PAGE]] {
        let dir = school(false);
        std::fs::write(log(&dir), harmless).unwrap();
        let started = start(&dir);
        assert_eq!((started.rescued, started.owed), (None, usize::try_from(ROWS).unwrap()));
    }
}

#[test]
fn rows_in_the_log_of_a_damaged_file_are_taken_over() {
    let dir = school(true);
    // A page that the log does not hold.
    let sound = tempfile::tempdir().unwrap();
    std::fs::copy(dir.path().join(FILE_NAME), sound.path().join(FILE_NAME)).unwrap();
    let root = root_page(&sound, "series");
    edit(&dir.path().join(FILE_NAME), |b| wipe(b, root));
    let started = start(&dir);
    assert_eq!(started.owed, usize::try_from(ROWS).unwrap());
    let kept = started.rescued.unwrap().kept_in;
    assert!(kept.join("schoolgate.db-wal").exists(), "the log is kept, too");
}

#[test]
fn rows_that_make_no_sense_do_not_stop_the_start() {
    let dir = school(false);
    let db = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    db.execute_batch(
        "update alarm set priority = 'hiXh' where id = 3; update outbox set record = '{' where seq = 5",
    )
    .unwrap();
    drop(db);
    let started = start(&dir);
    let rescued = started.rescued.unwrap();
    assert_eq!(rescued.torn, ["alarm", "outbox", "alarm_change"]);
    let all = usize::try_from(ROWS).unwrap();
    assert_eq!((started.alarms, started.owed), (all - 1, all - 1));
}

#[test]
fn a_suspicion_of_the_last_run_is_followed_up() {
    let dir = school(false);
    Store::open(dir.path()).unwrap().suspect();
    let started = start(&dir);
    let rescued = started.rescued.unwrap();
    assert_eq!(rescued.torn, [""; 0], "nothing was lost");
    assert!(!dir.path().join(SUSPECT).exists());
}

#[test]
fn a_power_failure_during_the_rescue_loses_nothing() {
    // Before the new file was finished: it is done anew.
    let dir = school(false);
    let unfinished = Replacement::begin(dir.path(), DAMAGED).unwrap();
    std::fs::write(unfinished.new_dir().join(FILE_NAME), b"half of it").unwrap();
    edit(&dir.path().join(FILE_NAME), |b| b[..16].fill(0));
    assert_eq!(start(&dir).owed, usize::try_from(ROWS).unwrap());
    // After that: it is carried on with.
    let dir = school(false);
    let finished = Replacement::begin(dir.path(), DAMAGED).unwrap();
    std::fs::rename(dir.path().join(FILE_NAME), finished.new_dir().join(FILE_NAME)).unwrap();
    std::fs::write(dir.path().join(FILE_NAME), b"damaged").unwrap();
    std::fs::rename(dir.path().join("replacement.unfinished"), dir.path().join("replacement")).unwrap();
    let started = start(&dir);
    assert_eq!((started.rescued, started.owed), (None, usize::try_from(ROWS).unwrap()));
}

#[test]
fn a_file_that_may_not_be_used_is_not_taken_for_a_damaged_one() {
    let dir = tempfile::tempdir().unwrap();
    // SQLite cannot open a directory.
    std::fs::create_dir(dir.path().join(FILE_NAME)).unwrap();
    assert!(Store::open(dir.path()).is_err());
    assert!(!dir.path().join(DAMAGED).exists());
}

//! The disk against SQLite itself: what was synced is there after a cut, what was not is not, and calls fail in turn.

use super::*;
use crate::chance::Chance;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use tempfile::TempDir;

fn connect(disk: &Disk, dir: &Path, synchronous: &str) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags_and_vfs(dir.join("t.db"), OpenFlags::default(), disk.name())?;
    db.execute_batch(&format!("pragma journal_mode = wal; pragma synchronous = {synchronous}"))?;
    db.execute_batch("create table if not exists t (x integer primary key)")?;
    Ok(db)
}

/// Writes ten rows, each marked once committed; the record, and the database, which is still open: closing it would
/// write more.
fn ten_rows(synchronous: &str) -> (Vec<Op>, (Connection, TempDir)) {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::new();
    let db = connect(&disk, dir.path(), synchronous).unwrap();
    for n in 1..=10 {
        db.execute("insert into t values (null)", []).unwrap();
        disk.mark(n);
    }
    (disk.take_log(), (db, dir))
}

fn rows(image: &Image) -> usize {
    let dir = tempfile::tempdir().unwrap();
    image.write_to(dir.path()).unwrap();
    let db = Connection::open(dir.path().join("t.db")).unwrap();
    let sound: String = db.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    db.query_row("select count(*) from t", [], |row| row.get::<_, u32>(0)).map_or(0, |rows| rows as usize)
}

#[test]
fn what_was_committed_survives_every_cut_if_it_was_synced() {
    let (log, _open) = ten_rows("full");
    let mut replay = Replay::new(&log);
    let mut chance = Chance::seeded(1);
    while replay.step().is_some() {
        for cut in [Cut::Nothing, Cut::Torn, Cut::Everything, Cut::Some] {
            let found = rows(&replay.cut(cut, &mut chance));
            let marked = replay.last_mark();
            assert!(found == marked || found == marked + 1, "{cut:?}: {found} rows, {marked} committed");
        }
    }
    assert_eq!(replay.last_mark(), 10);
}

#[test]
fn what_was_committed_and_not_synced_is_lost() {
    let (log, _open) = ten_rows("normal");
    let mut replay = Replay::new(&log);
    while replay.step().is_some() {}
    let mut chance = Chance::seeded(1);
    assert_eq!(rows(&replay.cut(Cut::Everything, &mut chance)), 0);
    assert_eq!(rows(&replay.cut(Cut::Nothing, &mut chance)), 10);
}

#[test]
fn the_record_says_what_the_files_say() {
    let (log, (_db, dir)) = ten_rows("full");
    let mut replay = Replay::new(&log);
    while replay.step().is_some() {}
    for (name, bytes) in replay.cut(Cut::Nothing, &mut Chance::seeded(1)).0 {
        assert!(bytes == std::fs::read(dir.path().join(&name)).unwrap(), "{name}");
    }
}

#[test]
fn the_call_that_is_to_fail_fails() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::new();
    let db = connect(&disk, dir.path(), "full").unwrap();
    let insert = |n: i64| db.execute("insert into t values (?1)", [n]);
    disk.fail(Some(Fault { call: Call::Sync, at: 2, for_ever: false }));
    assert_eq!([1, 2, 3].map(|n| insert(n).is_ok()), [true, false, true]);
    assert_eq!((disk.calls(Call::Sync), disk.failed()), (3, 1));
    disk.fail(Some(Fault { call: Call::Write, at: 3, for_ever: true }));
    assert_eq!([4, 5, 6].map(|n| insert(n).is_ok()), [true, false, false]);
    disk.fail(None);
    assert!(insert(7).is_ok());
    drop(db);
    disk.fail(Some(Fault { call: Call::Open, at: 1, for_ever: true }));
    assert!(connect(&disk, dir.path(), "full").is_err());
}

/// A file made, written, named and listed as a careful program does it; the record, marked after each step.
fn named_file() -> Vec<Op> {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::new();
    let files = disk.files(dir.path());
    let (sub, made, named) = (dir.path().join("d"), dir.path().join("d/new"), dir.path().join("d/named"));
    files.make_dir(&sub).unwrap();
    files.sync_dir(dir.path()).unwrap();
    let file = files.create(&made).unwrap();
    files.append(&file, &made, b"whole").unwrap();
    disk.mark(1);
    files.sync(&made).unwrap();
    disk.mark(2);
    files.rename(&made, &named).unwrap();
    disk.mark(3);
    files.sync_dir(&sub).unwrap();
    disk.mark(4);
    files.remove(&named).unwrap();
    disk.mark(5);
    disk.take_log()
}

#[test]
fn a_name_is_durable_when_its_directory_is_and_its_bytes_when_the_file_is() {
    let log = named_file();
    let mut replay = Replay::new(&log);
    let mut chance = Chance::seeded(1);
    let mut seen = Vec::new();
    while let Some(op) = replay.step() {
        if let Op::Mark(_) = op {
            let names = |cut, chance: &mut Chance| {
                let files = replay.cut(cut, chance).0.into_iter();
                files
                    .map(|(name, bytes)| format!("{name}{}", String::from_utf8(bytes).unwrap()))
                    .collect::<Vec<_>>()
            };
            seen.push((names(Cut::Nothing, &mut chance), names(Cut::Everything, &mut chance)));
        }
    }
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        seen,
        [
            (list(&["d/", "d/newwhole"]), list(&["d/"])),
            (list(&["d/", "d/newwhole"]), list(&["d/"])),
            (list(&["d/", "d/namedwhole"]), list(&["d/"])),
            (list(&["d/", "d/namedwhole"]), list(&["d/", "d/namedwhole"])),
            (list(&["d/"]), list(&["d/", "d/namedwhole"])),
        ]
    );
}

#[test]
fn a_named_file_that_was_not_synced_may_have_any_part_of_its_bytes() {
    let mut log = named_file();
    log.retain(|op| !matches!(op, Op::Sync { .. } | Op::Mark(5) | Op::Delete { .. }));
    let mut replay = Replay::new(&log);
    while replay.step().is_some() {}
    let mut chance = Chance::seeded(1);
    let found: BTreeSet<Vec<u8>> =
        (0..50).map(|_| replay.cut(Cut::Some, &mut chance).0.remove("d/named").unwrap()).collect();
    assert_eq!(found, BTreeSet::from([Vec::new(), b"whole".to_vec()]));
}

#[test]
fn calls_beside_the_database_fail_in_turn_with_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::new();
    let files = disk.files(dir.path());
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    disk.fail(Some(Fault { call: Call::Rename, at: 2, for_ever: false }));
    let file = files.create(&a).unwrap();
    assert_eq!(
        [(&a, &b), (&b, &a), (&b, &a)].map(|(from, to)| files.rename(from, to).is_ok()),
        [true, false, true]
    );
    disk.fail(Some(Fault { call: Call::Write, at: 1, for_ever: false }));
    assert!(files.append(&file, &a, b"12345678").is_err());
    assert_eq!(std::fs::read(&a).unwrap(), b"1234");
    disk.fail(Some(Fault { call: Call::Sync, at: 1, for_ever: true }));
    assert!(files.sync(&a).is_err() && files.sync_dir(dir.path()).is_err());
    assert_eq!(disk.failed(), 2);
}

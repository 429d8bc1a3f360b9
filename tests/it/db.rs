//! The tools that look after what is stored: verified, backed up and put in place elsewhere, exported, upgraded.

mod damage;
mod school;

use parquet::file::reader::{FileReader, SerializedFileReader};
use rusqlite::Connection;
use school::{AT, MINUTE, commit, filled, found, reading};
use schoolgate::model::*;
use schoolgate::pipeline::Commit;
use schoolgate::store::{
    self, Backup, FILE_NAME, Format, MANIFEST, RESTORE_MARGIN, Reader, Span, Store, What,
};
use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::tempdir;

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
    let page = Reader::open(new.path()).unwrap().events(&Default::default(), None, 1).unwrap();
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
    let done = store::export(&reader, What::Readings, (from, to), Format::Csv { bom: true }, &path, |_| {
        ControlFlow::Continue(())
    })
    .unwrap();
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
    for (what, rows) in [(What::Readings, 800), (What::RollUps, 42), (What::Events, 80), (What::Alarms, 40)] {
        let path = out.path().join(format!("{what:?}.csv"));
        store::export(&reader, what, all, Format::Csv { bom: false }, &path, |_| ControlFlow::Continue(()))
            .unwrap();
        let table = cells(&fs::read_to_string(&path).unwrap());
        assert_eq!(table.len(), rows + 1, "{what:?}");
        assert!(table.iter().all(|row| row.len() == table[0].len()), "{what:?}");
        if what == What::Events {
            let code = table[0].iter().position(|cell| cell == "code").unwrap();
            assert!(table[1..].iter().all(|row| row[code] == "a,\"b\"\r\n门"));
        }
        let path = out.path().join(format!("{what:?}.parquet"));
        store::export(&reader, what, all, Format::Parquet, &path, |_| ControlFlow::Continue(())).unwrap();
        let file = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
        assert_eq!(file.get_row_iter(None).unwrap().map(Result::unwrap).count(), rows, "{what:?}");
    }
    let again =
        store::export(&reader, What::Alarms, all, Format::Parquet, &path, |_| ControlFlow::Continue(()))
            .unwrap_err();
    assert!(again.to_string().contains("r.csv"), "a file that exists is left alone");
}

/// Runs `schoolgate db`; its exit code and all that it prints.
fn db(lang: &str, dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_schoolgate"));
    command.env("LC_ALL", lang).arg("db").args(args).arg("--dir").arg(dir);
    let done = command.output().unwrap();
    (done.status.code(), String::from_utf8([done.stdout, done.stderr].concat()).unwrap())
}

#[test]
fn the_command_line_tells_what_is_broken_and_in_which_row() {
    let dir = filled();
    let run = |lang: &str, args: &[&str]| db(lang, dir.path(), args);
    for action in ["check", "verify"] {
        let (code, text) = run("C", &[action]);
        assert!(code == Some(0) && text.starts_with("ok: "), "{action}: {text}");
    }
    let (code, text) = run("C", &["repair"]);
    assert_eq!((code, text.trim()), (Some(0), "nothing is broken; nothing was changed"));
    let file = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    file.execute("update event set kind = 'help' where seq = 17", []).unwrap();
    drop(file);
    let (code, text) = run("C", &["verify"]);
    assert!(code == Some(1) && text.contains("event row 17: "), "{text}");
    let (code, text) = run("zh_CN.UTF-8", &["check"]);
    assert!(code == Some(1) && text.contains("event 第 17 行"), "{text}");
    let (code, text) = run("C", &["repair"]);
    assert!(code == Some(0) && text.contains("repaired") && text.contains("damaged/"), "{text}");
    assert_eq!(run("C", &["verify"]).0, Some(0));
    let empty = tempdir().unwrap();
    let (code, text) = db("C", empty.path(), &["repair"]);
    assert!(code == Some(1) && text.contains("looking for the database"), "{text}");
    assert!(!empty.path().join(FILE_NAME).exists(), "nothing is made");
}

/// An older copy of everything put back, and a trail reckoned anew, both agree with themselves; a platform knows better.
#[test]
fn a_head_that_a_platform_keeps_finds_a_trail_that_was_cut_short_or_made_anew() {
    let dir = tempdir().unwrap();
    let entry = |n: i64, actor: &str| Commit {
        audit: vec![Audit {
            at: Wall(AT + n),
            actor: actor.to_owned().into(),
            action: "tried",
            subject: "door".into(),
            detail: n.to_string(),
        }],
        ..Commit::default()
    };
    let write = |dir: &Path, entries: &[(i64, &str)]| {
        let mut store = Store::open(dir).unwrap();
        for (n, actor) in entries {
            store.commit(&[&entry(*n, actor)]).unwrap();
        }
        drop(store);
        Reader::open(dir).unwrap().audit_head(Wall(AT)).unwrap().unwrap()
    };
    let early = write(dir.path(), &[(1, "a"), (2, "b")]);
    let older = tempdir().unwrap();
    store::backup(dir.path(), &older.path().join("copy")).unwrap();
    let late = write(dir.path(), &[(3, "c"), (4, "d")]);
    assert_eq!((early.entries + 2, early.hash.len()), (late.entries, 64));
    let verify = |dir: &Path, head: &AuditHead| {
        db("C", dir, &["verify", "--audit-head", &format!("{}:{}", head.entries, head.hash)])
    };
    for head in [&early, &late] {
        assert_eq!(verify(dir.path(), head).0, Some(0));
    }
    let copy = older.path().join("copy");
    assert_eq!(db("C", &copy, &["verify"]).0, Some(0), "by itself it is whole");
    assert_eq!(verify(&copy, &early).0, Some(0));
    let (code, text) = verify(&copy, &late);
    assert!(code == Some(1) && text.contains("cut short"), "{text}");
    let forged = tempdir().unwrap();
    write(forged.path(), &[(1, "a"), (2, "nobody"), (3, "c"), (4, "d")]);
    assert_eq!(db("C", forged.path(), &["verify"]).0, Some(0), "by itself it is whole");
    let (code, text) = verify(forged.path(), &late);
    assert!(code == Some(1) && text.contains("was changed"), "{text}");
    let (code, text) = db("C", dir.path(), &["verify", "--audit-head", "four"]);
    assert!(code != Some(0) && text.contains("with a colon between them"), "{text}");
}

#[test]
fn the_command_line_counts_exports_backs_up_and_restores() {
    let dir = filled();
    let run = |args: &[&str]| db("C", dir.path(), args);
    let (code, text) = run(&["stats"]);
    assert!(code == Some(0) && text.contains("sealed files") && text.contains("outbox"), "{text}");
    let out = tempdir().unwrap();
    for (what, rows) in [("readings", 800), ("rollups", 42), ("events", 80), ("alarms", 40)] {
        for format in ["csv", "parquet"] {
            let path = out.path().join(format!("{what}.{format}"));
            let days = ["--from", "2020-01-01", "--to", "2100-01-01"];
            let file = ["--format", format, "--out", path.to_str().unwrap()];
            let (code, text) = run(&[&["export", "--what", what][..], &days, &file].concat());
            assert_eq!((code, text.trim()), (Some(0), format!("exported {rows} rows").as_str()));
            let bytes = fs::read(&path).unwrap();
            if format == "parquet" {
                assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
                let file = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
                assert_eq!(file.metadata().file_metadata().num_rows(), rows);
            }
        }
    }
    let backup = out.path().join("backup");
    let to = backup.to_str().unwrap();
    let (code, text) = run(&["backup", to]);
    assert!(code == Some(0) && text.starts_with("backed up: "), "{text}");
    let (code, text) = run(&["backup", to]);
    assert!(code == Some(1) && text.contains("is not empty"), "{text}");
    let (code, text) = run(&["restore", to]);
    assert!(code == Some(1) && text.contains("--force"), "{text}");
    let (code, text) = run(&["restore", to, "--force"]);
    assert!(code == Some(0) && text.contains("the next record") && text.contains("replaced/"), "{text}");
    assert_eq!(run(&["verify"]).0, Some(0));
    let new = tempdir().unwrap();
    assert_eq!(db("C", new.path(), &["restore", to]).0, Some(0));
    assert_eq!(db("C", new.path(), &["verify"]).0, Some(0));
}

#[test]
fn data_of_a_newer_version_or_another_program_are_refused_and_left_alone() {
    let (dir, out) = (filled(), tempdir().unwrap());
    let path = dir.path().join(FILE_NAME);
    let newer = "create table future (x); pragma user_version = 99";
    let foreign = "pragma user_version = 5; pragma application_id = 4660";
    for (sql, sentence) in [
        (newer, "was written by a newer Schoolgate (schema 99, this program knows 7)"),
        (foreign, "not a Schoolgate database"),
    ] {
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let before = fs::read(&path).unwrap();
        let to = out.path().join("backup");
        for args in [&["check"][..], &["verify"], &["stats"], &["repair"], &["backup", to.to_str().unwrap()]]
        {
            if sql == newer || ["check", "verify", "repair"].contains(&args[0]) {
                let (code, text) = db("C", dir.path(), args);
                // A verification lists it among the rest.
                let said = sentence.to_lowercase();
                assert!(code == Some(1) && text.to_lowercase().contains(&said), "{args:?}: {text}");
            }
        }
        let refused = Store::open(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(sentence), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), before);
        assert!(!dir.path().join("damaged").exists());
    }
}

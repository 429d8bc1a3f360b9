//! A month as a table and as JSON, what `check` notes, and taking a file: shown, written, refused, replaced.

use super::*;
use clap::Parser;
use std::fs;
use tempfile::TempDir;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    calendars: Calendars,
}

const GATEWAY: &str = "[site]\ngateway = \"gw-1\"\nname = \"学校\"\n[profiles]\ndir = \"profiles\"\n[calendar]\n\
    [[calendar.term]]\nname = \"秋季学期\"\nfirst = \"2026-09-01\"\nlast = \"2027-01-22\"\n\
    [[calendars]]\nname = \"dorm\"\nlike = \"main\"\n[[calendars.curfew]]\ndays = [\"fri\"]\nhours = \"21:00-06:00\"\n";

const HOLIDAYS: &str = "类型,日期,结束,名称\n放假,2026-10-01,2026-10-07,国庆节\n补班,2026-10-10,,\n";

fn school() -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("profiles")).expect("made");
    fs::write(dir.path().join("gateway.toml"), GATEWAY).expect("written");
    dir
}

/// Whether it went well, and what it printed.
fn run(dir: &TempDir, args: &[&str]) -> (bool, String) {
    let config = dir.path().join("gateway.toml");
    let config = config.to_str().expect("text");
    let line =
        Line::try_parse_from(["calendar", "--config", config].iter().chain(args)).expect("good arguments");
    let mut out = Vec::new();
    let code = line.calendars.run(&mut out).expect("it can print");
    (code == ExitCode::SUCCESS, String::from_utf8(out).expect("text"))
}

fn take(dir: &TempDir, name: &str, text: &str, more: &[&str]) -> (bool, String) {
    let file = dir.path().join(name);
    fs::write(&file, text).expect("written");
    let args = [&["import", file.to_str().expect("text")], more].concat();
    run(dir, &args)
}

#[test]
fn a_month_as_json_and_as_a_table() {
    let dir = school();
    let (good, told) = run(&dir, &["show", "--month", "2026-09", "--name", "dorm", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let days = told["days"].as_array().expect("days");
    assert!(good && days.len() == 30 && told["calendar"] == "dorm");
    assert_eq!(days[3]["date"], "2026-09-04");
    assert_eq!((&days[3]["weekday"], &days[3]["kind"]), (&json!("fri"), &json!("teaching")));
    assert_eq!((&days[3]["bells"], &days[3]["curfew"]), (&json!(["08:00-17:30"]), &json!(["21:00-06:00"])));
    assert_eq!(
        (&days[4]["kind"], &days[4]["bells"], &days[4]["curfew"]),
        (&json!("free"), &json!([]), &json!([]))
    );
    let (good, told) = run(&dir, &["show", "--month", "2027-02"]);
    assert!(good && told.lines().count() == 29 && told.contains("2027-02-28"), "{told}");
    assert!(!run(&dir, &["show", "--name", "dormitory"]).0);
    for bad in ["2026-13", "2026-1", "October"] {
        assert!(month(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_file_is_shown_first_and_written_when_told_and_never_over_another() {
    let dir = school();
    let written = dir.path().join("conf.d/calendar-2026.toml");
    let (good, told) = take(&dir, "2026.csv", HOLIDAYS, &[]);
    assert!(good && !written.exists(), "{told}");
    assert!(
        told.contains("2026-10-05 – 2026-10-07") && told.contains("国庆节") && told.contains("2026-10-10"),
        "{told}"
    );

    let (good, told) = take(&dir, "2026.csv", HOLIDAYS, &["--write", "--as", "2026-10-10=wed"]);
    assert!(good, "{told}");
    let text = fs::read_to_string(&written).expect("written");
    assert!(text.contains("\"2026-10-10 as wed\"") && text.contains("name = \"国庆节\""), "{text}");
    let left: Vec<_> = fs::read_dir(dir.path().join("conf.d")).expect("there").collect();
    assert_eq!(left.len(), 1, "nothing is left beside it");
    let (_, told) = run(&dir, &["show", "--month", "2026-10", "--name", "dorm", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(
        (&told["days"][0]["kind"], &told["days"][9]["as"]),
        (&json!("holiday"), &json!("wed")),
        "the dorm is like main"
    );

    let shorter = HOLIDAYS.replace("2026-10-07", "2026-10-03");
    assert!(!take(&dir, "2026.csv", &shorter, &["--write"]).0, "it is there already");
    assert_eq!(fs::read_to_string(&written).expect("there"), text);
    let (good, told) = take(&dir, "2026.csv", &shorter, &["--write", "--replace"]);
    assert!(
        good && told.contains("2026-10-05 – 2026-10-07"),
        "the days that are no holidays any more: {told}"
    );
    assert!(!fs::read_to_string(&written).expect("there").contains("2026-10-07"));

    let (good, told) = take(&dir, "again.csv", &shorter, &["--write"]);
    assert!(good && !dir.path().join("conf.d/calendar-again.toml").exists(), "all of it is known: {told}");
}

#[test]
fn a_file_that_is_wrong_or_does_not_fit_is_not_written() {
    let dir = school();
    let (good, told) = take(&dir, "a.csv", "类型,日期\n放假,soon\n", &["--write"]);
    assert!(!good && told.contains('2'), "{told}");
    let overlap = "kind,first,last\nterm,2027-01-01,2027-07-01\n";
    let (good, told) = take(&dir, "b.csv", overlap, &["--write"]);
    assert!(!good && told.contains("while '秋季学期' still lasts"), "{told}");
    let (good, _) = take(&dir, "c.csv", HOLIDAYS, &["--write", "--name", "nobody"]);
    assert!(!good);
    assert!(!take(&dir, "c.csv", HOLIDAYS, &["--write", "--as", "2026-10-11=wed"]).0, "no make-up day");
    assert!(!dir.path().join("conf.d").exists());
    let bells = "[[calendar.bell]]\ndays = [\"mon\"]\nperiods = [\"08:00-09:00\"]\n";
    fs::write(
        dir.path().join("gateway.toml"),
        GATEWAY.replace("[[calendars]]", &format!("{bells}[[calendars]]")),
    )
    .expect("written");
    let (good, told) = take(&dir, "d.csv", HOLIDAYS, &["--write"]);
    assert!(!good && told.contains("which ring on 2026-10-10") && told.contains("--as"), "{told}");
    assert!(take(&dir, "d.csv", HOLIDAYS, &["--write", "--as", "2026-10-10=mon", "--to", "x.toml"]).0);
    assert!(dir.path().join("conf.d/x.toml").exists());
}

#[test]
fn check_notes_what_will_run_out() {
    let dir = school();
    let (good, told) = take(&dir, "2026.csv", HOLIDAYS, &["--write"]);
    assert!(good, "{told}");
    let config = config::load(&dir.path().join("gateway.toml")).expect("good");
    let notes = |day: &str| {
        let at = format!("{day}T12:00:00+08:00").parse::<jiff::Timestamp>().expect("a moment");
        notes(&config, Wall(at.as_millisecond()))
    };
    assert_eq!(notes("2026-10-01").len(), 0);
    assert_eq!(notes("2026-11-02").len(), 2, "59 days before the year's end, for both calendars");
    assert_eq!(notes("2026-11-23").len(), 2, "60 days before the end of term");
    assert_eq!(notes("2026-11-24").len(), 4);
    let over = notes("2027-01-23");
    assert!(over.len() == 4 && over[0].contains("2027-01-22"), "{over:?}");
}

#[test]
fn names_of_files_stay_in_conf_d() {
    for bad in ["../x.toml", "a/b.toml", ".x.toml", "x.txt", "x", ""] {
        assert!(file_name(bad).is_err(), "{bad}");
    }
    assert!(file_name("节假日-2027.toml").is_ok());
    for bad in ["2026-10-10", "2026-10-10=mit", "10=wed"] {
        assert!(rings(bad).is_err(), "{bad}");
    }
}

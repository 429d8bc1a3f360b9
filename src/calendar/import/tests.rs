//! Tables and iCalendar files as schools and those who publish holidays write them, and files that are none.

use super::{Import, changes};
use crate::calendar::{Calendar, DayKind};
use crate::document::{Document, Problems};
use jiff::civil::{Date, Weekday};
use jiff::tz::{TimeZone, offset};

fn china() -> TimeZone {
    TimeZone::fixed(offset(8))
}

fn read(text: &str) -> Import {
    Import::read(text.as_bytes(), &china())
}

fn day(text: &str) -> Date {
    text.parse().expect("a day")
}

/// The calendar that an import makes of nothing.
fn calendar(import: &Import) -> Calendar {
    assert_eq!(import.slips, [], "no slips");
    let text = import.toml("made\nof a test", None);
    let problems = Problems::new();
    let document = Document::parse("conf.d/x.toml", &text, &problems);
    let root = document.reader(&problems);
    let [days] = root.tables("calendar_days").try_into().ok().expect("one table");
    let calendar = super::super::Written::read(&days).calendar(&china(), &problems);
    days.finish();
    root.finish();
    assert!(problems.is_empty(), "{text}\n{:#?}", problems.into_sorted());
    calendar
}

fn event(lines: &str) -> String {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\n{lines}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
}

/// The forms in which four publishers write National Day of 2026 and a make-up workday.
const FORMS: [&str; 4] = [
    // Days one by one with an end that is the day itself, make-up days with hours and an alarm within.
    "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:Asia/Shanghai\nBEGIN:STANDARD\nDTSTART:19700101T000000\nEND:STANDARD\nEND:VTIMEZONE\n\
     BEGIN:VEVENT\nDTSTART;VALUE=DATE:20261001\nDTEND;VALUE=DATE:20261001\nSUMMARY:国庆节 假期 第1天/共2天\nEND:VEVENT\n\
     BEGIN:VEVENT\nDTSTART;VALUE=DATE:20261002\nDTEND;VALUE=DATE:20261002\nSUMMARY:国庆节 假期 第2天/共2天\nEND:VEVENT\n\
     BEGIN:VEVENT\nDTSTART:20261010T090000\nDTEND:20261010T180000\nSUMMARY:国庆节 补班 第1天/共1天\n\
     BEGIN:VALARM\nTRIGGER:-PT60M\nSUMMARY:假期\nEND:VALARM\nEND:VEVENT\nEND:VCALENDAR\n",
    // Spans whose end is the day after, named as holiday.
    "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:国庆节假期\nDTSTART;VALUE=DATE:20261001\nDTEND;VALUE=DATE:20261003\nEND:VEVENT\n\
     BEGIN:VEVENT\nSUMMARY:上班(补国庆节假期)\nDTSTART;VALUE=DATE:20261010\nDTEND;VALUE=DATE:20261011\nEND:VEVENT\n\
     END:VCALENDAR\n",
    // A mark in brackets, no end of a single day, a language, folded lines, a special day.
    "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261001\r\nDTEND;VALUE=DATE:20261003\r\nSUMMARY;LANGUAGE=zh_CN\r\n :国\r\n 庆节（休）\r\n\
     X-APPLE-SPECIAL-DAY:WORK-HOLIDAY\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261010\r\nSUMMARY:国庆节（班）\r\n\
     END:VEVENT\r\nEND:VCALENDAR\r\n",
    // A length instead of an end, moments in UTC, words of one character.
    "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20261001\nDURATION:P2D\nSUMMARY:国庆节 休\nEND:VEVENT\n\
     BEGIN:VEVENT\nDTSTART:20261010T000000Z\nDTEND:20261010T090000Z\nSUMMARY:调休上班\nEND:VEVENT\nEND:VCALENDAR\n",
];

#[test]
fn holidays_and_make_up_days_in_the_forms_in_which_they_are_published() {
    for form in FORMS {
        let import = read(form);
        assert_eq!((import.unclear.as_slice(), import.encoding), ([].as_slice(), "UTF-8"), "{form}");
        let calendar = calendar(&import);
        for (date, kind) in [
            ("2026-09-30", DayKind::Teaching),
            ("2026-10-01", DayKind::Holiday),
            ("2026-10-02", DayKind::Holiday),
            ("2026-10-03", DayKind::Free),
            ("2026-10-10", DayKind::MakeUp(Weekday::Monday)),
        ] {
            assert_eq!(calendar.day(day(date)).kind, kind, "{date} in {form}");
        }
        assert_eq!(calendar.day(day("2026-10-02")).names, ["国庆节"], "{form}");
        assert!(import.toml("", None).contains("first = \"2026-10-01\"\nlast = \"2026-10-02\""), "one span");
    }
}

#[test]
fn what_does_not_say_what_it_is_is_listed_and_not_guessed() {
    for summary in ["教师节", "国庆节", "调休", "放假通知：10月10日上班", "First day of school"]
    {
        let import = read(&event(&format!("DTSTART;VALUE=DATE:20260910\r\nSUMMARY:{summary}")));
        assert!(import.is_empty() && import.slips.is_empty(), "{summary}: {import:?}");
        assert_eq!(import.unclear.len(), 1, "{summary}");
        assert_eq!(import.unclear[0].line, 3);
        assert!(import.unclear[0].what.zh.contains(&summary.chars().take(60).collect::<String>()));
    }
    let cancelled = read(&event("DTSTART;VALUE=DATE:20260910\r\nSUMMARY:休\r\nSTATUS:CANCELLED"));
    assert!(cancelled.is_empty() && cancelled.unclear.is_empty());
    let escaped = read(&event("DTSTART;VALUE=DATE:20260910\r\nSUMMARY:a\\, b\\nc\\;d"));
    assert!(escaped.unclear[0].what.en.contains("'a, b c;d'"), "{:?}", escaped.unclear);
}

#[test]
fn slips_in_an_icalendar_file_are_told_with_their_line() {
    let good = "DTSTART;VALUE=DATE:20261001\r\nSUMMARY:国庆节（休）";
    for (text, line, expected) in [
        (
            event(&format!("{good}\r\nRRULE:FREQ=YEARLY")),
            3,
            "an event that repeats (RRULE, RDATE) is not read",
        ),
        (event(&good.replace("20261001", "20261301")), 3, "DTSTART is not a day"),
        (event(&good.replace("20261001", "2026-10-01")), 3, "DTSTART is not a day"),
        (event(&format!("{good}\r\nDURATION:PT5H")), 3, "whole days such as P7D"),
        (event("SUMMARY:休"), 3, "has no DTSTART"),
        (event(&format!("{good}\r\nDTEND;VALUE=DATE:20991001")), 3, "is more than 400 days"),
        (event(&good.replace("2026", "1926")), 3, "within the years 2000 to 2100"),
        (event("DTSTART:20261001T130000\r\nDTEND:20261001T180000\r\nSUMMARY:放假"), 3, "must be whole days"),
        (event(good).replace("END:VCALENDAR\r\n", ""), 6, "END:VCALENDAR is missing"),
        (event(good).replace("END:VEVENT", "END:VTODO"), 6, "END:VTODO ends nothing"),
        (
            event(good).replace(
                "END:VCALENDAR",
                "BEGIN:VEVENT\r\nSUMMARY:班\r\nDTSTART:20261001T090000\r\nEND:VEVENT\r\nEND:VCALENDAR",
            ),
            7,
            "2026-10-01 is a holiday on line 3 and a make-up workday here",
        ),
        (
            event(&format!("{good}\r\nDTEND;VALUE=DATE:20261101").replace('休', "班")),
            3,
            "no make-up workdays for so long",
        ),
        ("BEGIN:VCALENDAR\n".repeat(20), 9, "too deep"),
        (format!("BEGIN:VCALENDAR{}\nEND:VTODO\n", "长".repeat(2000)), 2, "END:VTODO ends nothing"),
        ("BEGIN:VCALENDAR\nEND:VCALENDAR\n".to_owned(), 1, "there is no day in the file"),
    ] {
        let import = read(&text);
        let told: Vec<_> = import.slips.iter().map(|slip| (slip.line, slip.what.en.as_str())).collect();
        assert!(
            told.len() == 1 && told[0].0 == line && told[0].1.contains(expected),
            "{text}\n{expected}: {told:?}"
        );
        assert!(import.slips[0].what.zh.chars().count() < 200, "{}", import.slips[0].what.zh);
    }
}

const TABLE: &str = "类型,开始日期,结束日期,名称,按周几上课,时段\r\n学期,2026-09-01,2027/1/22,秋季学期,,\r\n\
                     放假,2026年10月1日,2026年10月7日,国庆节,,\r\n调休上班,2026.10.10,,,周三,\r\n\r\n\
                     考试,2027-01-18,2027-01-19,\"期末, 考试\",,08:30-11:30 14:00-16:30\r\n";

#[test]
fn the_same_table_is_read_in_every_encoding_and_language() {
    let english = "kind;first;last;name;as;periods\nterm;2026-09-01;2027-01-22;秋季学期\n\
                   holiday;2026-10-01;2026-10-07;国庆节\nmakeup;2026-10-10;;;wed;\n\
                   exam;2027-01-18;2027-01-19;期末, 考试;;08:30-11:30, 14:00-16:30\n";
    let gbk = encoding_rs::GBK.encode(TABLE).0.into_owned();
    for (bytes, encoding) in [(TABLE.as_bytes(), "UTF-8"), (&gbk, "GBK"), (english.as_bytes(), "UTF-8")] {
        let import = Import::read(bytes, &china());
        assert_eq!((import.len(), import.encoding), (4, encoding), "{:?}", import.slips);
        let calendar = calendar(&import);
        assert_eq!(calendar.day(day("2026-10-10")).kind, DayKind::MakeUp(Weekday::Wednesday));
        assert_eq!(calendar.day(day("2026-10-07")).kind, DayKind::Holiday);
        assert_eq!(calendar.day(day("2027-01-23")).kind, DayKind::OutsideTerms);
        let exam = calendar.day(day("2027-01-19"));
        assert_eq!((exam.exams.len(), exam.names[1].as_str()), (2, "期末, 考试"));
    }
}

#[test]
fn slips_in_a_table_are_told_with_their_line() {
    for (text, line, expected) in [
        ("", 1, "empty"),
        ("kind,first,shoe\nholiday,2026-10-01,44\n", 1, "unknown column 'shoe'"),
        ("kind,first,first\n", 1, "stands here twice"),
        ("first\n2026-10-01\n", 1, "the column 'kind' is missing"),
        ("kind\nholiday\n", 1, "the column 'first' is missing"),
        ("kind,first\nparty,2026-10-01\n", 2, "must be term, holiday, makeup or exam"),
        ("kind,first\nholiday,soon\n", 2, "must be a day"),
        ("kind,first\nholiday,\n", 2, "the first day is missing"),
        ("kind,first,last\nholiday,2026-10-07,2026-10-01\n", 2, "before it begins"),
        ("kind,first,last\nmakeup,2026-10-10,2026-10-11\n", 2, "a line of its own"),
        ("kind,first,as\nmakeup,2026-10-10,Mi\n", 2, "expected a weekday"),
        ("kind,first,as\nholiday,2026-10-10,wed\n", 2, "only make-up workdays"),
        ("kind,first\nexam,2027-01-18\n", 2, "needs periods"),
        ("kind,first,periods\nexam,2027-01-18,8-9\n", 2, "write 08:30-11:30"),
        ("kind,first,periods\nterm,2027-01-18,08:00-09:00\n", 2, "only examinations have periods"),
        ("kind,first\n", 1, "there is no day in the file"),
    ] {
        let import = read(text);
        let told: Vec<_> = import.slips.iter().map(|slip| (slip.line, slip.what.en.as_str())).collect();
        assert!(
            told.len() == 1 && told[0].0 == line && told[0].1.contains(expected),
            "{text}\n{expected}: {told:?}"
        );
    }
    assert_eq!(Import::read(b"\x81\x20\xff\n", &china()).slips.len(), 1);
    assert_eq!(Import::read(&vec![b'a'; super::MAX_BYTES + 1], &china()).slips.len(), 1);
}

#[test]
fn what_is_known_already_is_left_out_and_what_changes_is_told() {
    let known = calendar(&read(TABLE));
    let mut again = read(TABLE);
    again.leave_out(&known);
    assert!(again.is_empty(), "{again:?}");
    let longer = TABLE.replace("10月7日", "10月8日").replace("周三", "周四");
    let mut longer = read(&longer);
    longer.leave_out(&known);
    assert_eq!(longer.len(), 1, "the eighth of October; whose bells ring is not what is new: {longer:?}");

    let old = Calendar::default_school(china());
    let told = changes(&old, &known);
    let national = told.iter().find(|change| change.first == day("2026-10-05")).expect("Monday to Wednesday");
    assert_eq!(
        (national.last, national.from, national.to),
        (day("2026-10-07"), DayKind::Teaching, DayKind::Holiday)
    );
    assert!(told.iter().any(|change| change.first == day("2026-10-10") && change.from == DayKind::Free));
    assert!(told.iter().any(|change| change.first == day("2027-01-18") && change.exams));
    assert_eq!(changes(&known, &known), []);
    assert_eq!(changes(&old, &old), []);
}

#[test]
fn whose_bells_ring_can_be_said_beside_the_file() {
    let mut import = read(FORMS[1]);
    assert!(import.ring(day("2026-10-10"), Weekday::Wednesday));
    assert!(!import.ring(day("2026-10-11"), Weekday::Wednesday));
    assert!(import.toml("", None).contains("\"2026-10-10 as wed\""));
    let named = import.toml("", Some("宿舍 \"A\""));
    assert!(named.parse::<toml::Table>().is_ok_and(|table| table.contains_key("calendar_days")), "{named}");
}

//! Bells, terms, holidays, make-up workdays, clock changes, and slips.

use super::{Calendar, EXAMPLE, Period, Times, time_of_day};
use crate::document::{Document, Problems};
use crate::model::Wall;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, offset};

fn china() -> TimeZone {
    TimeZone::fixed(offset(8))
}

/// US eastern time, from its rule, so that no zone files are needed.
fn eastern() -> TimeZone {
    TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").expect("a rule")
}

fn read(text: &str, zone: &TimeZone) -> Result<Calendar, Vec<String>> {
    let problems = Problems::new();
    let document = Document::parse("gateway.toml", text, &problems);
    let root = document.reader(&problems);
    let table = root.table("calendar").expect("a table");
    let calendar = Calendar::parse(&table, zone);
    table.finish();
    root.finish();
    assert!(calendar.is_some() || !problems.is_empty(), "a refusal has its problem");
    match calendar {
        Some(calendar) if problems.is_empty() => Ok(calendar),
        _ => Err(problems
            .into_sorted()
            .iter()
            .map(|p| format!("{}:{}: {} -> {}", p.spot.line, p.spot.column, p.message, p.advice))
            .collect()),
    }
}

fn example() -> Calendar {
    read(EXAMPLE, &china()).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn at(zone: &TimeZone, text: &str) -> Wall {
    let local: DateTime = text.parse().expect("a date and time");
    Wall(zone.to_timestamp(local).expect("exists").as_millisecond())
}

#[test]
fn teaching_time_by_bells_terms_holidays_and_makeup_days() {
    let calendar = example();
    for (time, teaching) in [
        ("2026-09-01T07:59:59.999", false),
        ("2026-09-01T08:00", true),
        ("2026-09-01T11:39:59.999", true),
        ("2026-09-01T11:40", false),
        ("2026-09-01T14:00", true),
        ("2026-09-01T20:00", true),
        ("2026-09-04T20:00", false), // Friday has no self-study
        ("2026-09-05T09:00", false), // Saturday
        ("2026-08-31T09:00", false), // before the term
        ("2027-01-22T09:00", true),  // its last day
        ("2027-01-25T09:00", false), // after it
        ("2026-10-01T09:00", false), // holiday, Thursday
        ("2026-10-07T09:00", false), // its last day
        ("2026-10-08T09:00", true),
        ("2026-09-20T09:00", true),  // make-up Sunday as Friday
        ("2026-09-20T20:00", false), // so without self-study
        ("2026-10-10T20:00", true),  // make-up Saturday as Wednesday
    ] {
        assert_eq!(calendar.is_teaching_time(at(&china(), time)), teaching, "{time}");
    }
}

#[test]
fn the_next_change_is_the_next_bell_that_rings() {
    let calendar = example();
    for (from, to) in [
        ("2026-09-01T07:00", "2026-09-01T08:00"),
        ("2026-09-01T08:00", "2026-09-01T11:40"),
        ("2026-09-01T21:00", "2026-09-02T08:00"),
        ("2026-09-30T22:00", "2026-10-08T08:00"), // over the holiday
        ("2026-10-09T18:00", "2026-10-10T08:00"), // make-up Saturday
        ("2026-07-01T00:00", "2026-09-01T08:00"), // before the term
    ] {
        assert_eq!(
            calendar.next_change(Times::Teaching, at(&china(), from)),
            Some(at(&china(), to)),
            "{from}"
        );
    }
    assert_eq!(
        calendar.next_change(Times::Teaching, at(&china(), "2027-01-22T17:30")),
        None,
        "no further term is known"
    );
    assert_eq!(calendar.next_change(Times::Teaching, Wall(i64::MAX)), None);
    assert!(!calendar.is_teaching_time(Wall(i64::MIN)));
}

#[test]
fn the_next_change_agrees_with_asking_every_five_minutes() {
    for (calendar, zone, from) in [
        (example(), china(), "2026-09-17T00:00"),
        (Calendar::default_school(eastern()), eastern(), "2026-10-30T00:00"),
        (read(NIGHT_SCHOOL, &eastern()).expect("good"), eastern(), "2026-10-31T12:00"),
        (read(NIGHT_SCHOOL, &eastern()).expect("good"), eastern(), "2026-03-07T12:00"),
    ] {
        let mut now = at(&zone, from);
        let end = now.plus_ms(30 * 24 * 3_600_000);
        let mut due = calendar.next_change(Times::Teaching, now).expect("changes");
        let mut changes = 0;
        while now < end {
            let before = calendar.is_teaching_time(now);
            now = now.plus_ms(300_000);
            let changed = calendar.is_teaching_time(now) != before;
            assert_eq!(changed, now == due, "{now}");
            if changed {
                due = calendar.next_change(Times::Teaching, now).expect("changes");
                changes += 1;
            }
        }
        assert!(changes > 20, "{changes}");
    }
}

const NIGHT_SCHOOL: &str = r#"
[calendar]
[[calendar.bell]]
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
periods = ["00:00-01:30", "02:15-03:00", "22:00-24:00"]
"#;

#[test]
fn lessons_that_meet_at_midnight_are_one() {
    let calendar = read(NIGHT_SCHOOL, &china()).expect("good");
    let (from, to) = (at(&china(), "2026-09-01T22:00"), at(&china(), "2026-09-02T01:30"));
    assert_eq!(calendar.next_change(Times::Teaching, from), Some(to));
}

#[test]
fn a_change_to_summer_time_and_back_shortens_or_lengthens_the_night() {
    let calendar = read(NIGHT_SCHOOL, &eastern()).expect("good");
    // 8 March 2026: 02:00 becomes 03:00, so that 02:15 to 03:00 is no time at all or starts when it ends.
    let spring = at(&eastern(), "2026-03-08T01:30");
    assert_eq!(calendar.next_change(Times::Teaching, spring), Some(at(&eastern(), "2026-03-08T22:00")));
    // 1 November 2026: 02:00 becomes 01:00; the lesson ends at the first 01:30 and not again at the second.
    let autumn = at(&eastern(), "2026-11-01T00:30");
    let end = calendar.next_change(Times::Teaching, autumn).expect("ends");
    assert_eq!(end.since(autumn), 3_600_000);
    assert_eq!(calendar.next_change(Times::Teaching, end), Some(at(&eastern(), "2026-11-01T02:15")));
}

#[test]
fn teaching_day_and_night_never_changes() {
    let text = NIGHT_SCHOOL.replace("\"00:00-01:30\", \"02:15-03:00\", \"22:00-24:00\"", "\"00:00-24:00\"");
    let calendar = read(&text, &china()).expect("good");
    assert_eq!(calendar.next_change(Times::Teaching, at(&china(), "2026-09-01T22:00")), None);
}

#[test]
fn a_school_that_told_nothing_teaches_by_day() {
    for calendar in [Calendar::default_school(china()), read("[calendar]\n", &china()).expect("good")] {
        assert!(calendar.is_teaching_time(at(&china(), "2026-07-31T17:29")));
        assert!(!calendar.is_teaching_time(at(&china(), "2026-07-31T17:30")));
        let monday = Some(at(&china(), "2026-08-03T08:00"));
        assert_eq!(calendar.next_change(Times::Teaching, at(&china(), "2026-07-31T17:30")), monday);
    }
}

#[test]
fn a_makeup_day_needs_no_weekday_while_all_have_the_same_bells() {
    let calendar = read("[calendar]\nmakeup = [\"2026-10-10\"]\n", &china()).expect("good");
    assert!(calendar.is_teaching_time(at(&china(), "2026-10-10T09:00")));
}

#[test]
fn every_slip_has_its_place_and_advice() {
    let term = |first: &str, last: &str| {
        format!("[[calendar.term]]\nname = \"{first}\"\nfirst = \"{first}\"\nlast = \"{last}\"\n")
    };
    let bell = |days: &str, periods: &str| format!("[[calendar.bell]]\ndays = {days}\nperiods = {periods}\n");
    let cases = [
        (term("2026-09-01", "2026-02-01"), "4:8: '2026-09-01' ends on 2026-02-01, before"),
        (term("2026-09-31", "2026-12-01"), "3:9: 'calendar.term.first': \"2026-09-31\" is not a day"),
        (term("2026-9-1", "2026-12-01"), "is not a day of the calendar -> write a day as"),
        (
            term("2026-09-01", "2027-01-22") + &term("2027-01-22", "2027-07-01"),
            "7:9: term '2027-01-22' begins on 2027-01-22, while '2026-09-01' still lasts",
        ),
        ("[[calendar.holiday]]\nfirst = \"2026-10-01\"\nlast = \"2026-10-07\"\n".into(), "'calendar.holiday.name' is missing"),
        (bell("[\"mon\", \"die\"]", "[\"08:00-09:00\"]"), "2:16: \"die\" is not a weekday -> write one of: mon"),
        (bell("[]", "[\"08:00-09:00\"]"), "2:8: these bells have no days"),
        (bell("[\"mon\"]", "[]"), "3:11: these bells have no periods"),
        (bell("[\"mon\"]", "[\"8-9\"]"), "3:12: \"8-9\" does not begin with a time of day"),
        (bell("[\"mon\"]", "[\"08:00-24:01\"]"), "does not end with a time of day"),
        (bell("[\"mon\"]", "[\"08:00-+9:00\"]"), "does not end with a time of day"),
        (bell("[\"mon\"]", "[\"08:00\"]"), "is not a period -> write from-to"),
        (bell("[\"mon\"]", "[\"22:00-06:00\"]"), "past midnight, write two periods"),
        (bell("[\"mon\"]", "[\"08:00-10:00\", \"09:59-12:00\"]"), "3:27: this period overlaps 08:00-10:00"),
        (
            bell("[\"mon\"]", "[\"08:00-10:00\"]") + &bell("[\"tue\", \"mon\"]", "[\"09:00-12:00\"]"),
            "6:12: this period overlaps 08:00-10:00 of the same mon",
        ),
        ("[calendar]\nmakeup = [\"2026-10-1o\"]\n".into(), "2:11: \"2026-10-1o\" is not a day"),
        ("[calendar]\nmakeup = [\"2026-10-10 as Mi\"]\n".into(), "\"Mi\" is not a weekday"),
        ("[calendar]\nmakeup = [\"2026-10-09\"]\n".into(), "2026-10-09 is a fri already"),
        ("[calendar]\nmakeup = [\"2026-10-10\", \"2026-10-10\"]\n".into(), "2:25: 2026-10-10 is written twice"),
        (
            format!("[calendar]\nmakeup = [\"2026-10-10\"]\n{}", bell("[\"mon\"]", "[\"08:00-09:00\"]")),
            "have different bells: which ring on 2026-10-10? -> say whose",
        ),
        (
            "[calendar]\nmakeup = [\"2026-10-10\"]\n[[calendar.holiday]]\nname = \"h\"\nfirst = \"2026-10-10\"\n\
             last = \"2026-10-10\"\n"
                .into(),
            "both a holiday and a make-up workday",
        ),
        ("[calendar]\nterms = []\n".into(), "did you mean 'term'"),
    ];
    for (text, expected) in cases {
        let found = read(&text, &china()).expect_err(&text);
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{text}\nexpected {expected}\nfound {found:#?}"
        );
    }
}

#[test]
fn examinations_and_nights() {
    let calendar = read(EXAMPLE, &china()).expect("good");
    for (times, at_text, expected) in [
        (Times::Exam, "2027-01-18T08:29", false),
        (Times::Exam, "2027-01-18T08:30", true),
        (Times::Exam, "2027-01-20T16:29", true),
        (Times::Exam, "2027-01-20T16:30", false),
        (Times::Exam, "2027-01-21T09:00", false),
        // A Thursday's night ends on Friday morning; Friday's evening has none.
        (Times::Curfew, "2026-09-03T22:29", false),
        (Times::Curfew, "2026-09-03T22:30", true),
        (Times::Curfew, "2026-09-04T05:59", true),
        (Times::Curfew, "2026-09-04T06:00", false),
        (Times::Curfew, "2026-09-04T23:00", false),
    ] {
        assert_eq!(calendar.holds(times, at(&china(), at_text)), expected, "{times:?} {at_text}");
    }
    let change = |times, from| calendar.next_change(times, at(&china(), from));
    assert_eq!(change(Times::Exam, "2027-01-18T09:00"), Some(at(&china(), "2027-01-18T11:30")));
    assert_eq!(change(Times::Curfew, "2026-09-04T01:00"), Some(at(&china(), "2026-09-04T06:00")));
    assert_eq!(change(Times::Curfew, "2026-09-04T06:00"), Some(at(&china(), "2026-09-06T22:30")));
    let told_nothing = Calendar::default_school(china());
    assert!(told_nothing.holds(Times::Curfew, at(&china(), "2026-09-05T02:00")));
    assert!(!told_nothing.holds(Times::Exam, at(&china(), "2027-01-18T09:00")));
}

#[test]
fn rounds_of_a_day_and_the_last_time_of_day() {
    let calendar = Calendar::default_school(china());
    let rounds = ["22:00-22:40", "23:30-00:30"].map(|text| Period::over_night(text).expect("good"));
    assert_eq!(rounds[1].to_string(), "23:30-00:30");
    let midnight = at(&china(), "2026-09-04T00:10");
    let daily = calendar.daily(&rounds, midnight);
    assert!(daily.contains(&(1, at(&china(), "2026-09-03T23:30"), at(&china(), "2026-09-04T00:30"))));
    assert_eq!(daily.len(), 6, "of yesterday, today and tomorrow");
    let three = time_of_day("03:00").expect("good");
    assert_eq!(calendar.last_at(three, midnight), Some(at(&china(), "2026-09-03T03:00")));
    let three_sharp = at(&china(), "2026-09-04T03:00");
    assert_eq!(calendar.last_at(three, three_sharp), Some(three_sharp));
    for bad in ["", "22:00", "22:00-22:00", "24:00-01:00", "22:60-23:00", "2:00-3:00"] {
        assert!(Period::over_night(bad).is_err(), "{bad}");
    }
    assert_eq!(time_of_day("24:00"), None);
}

#[test]
fn slips_in_examinations_and_nights_are_told() {
    let slips = read(
        "[calendar]\n[[calendar.exam]]\nname = \"a\"\nfirst = \"2027-01-20\"\nlast = \"2027-01-18\"\n\
         periods = [\"8-9\"]\n[[calendar.exam]]\nname = \"b\"\nfirst = \"2027-01-18\"\nlast = \"2027-01-18\"\n\
         [[calendar.curfew]]\ndays = [\"sunday\"]\nhours = \"22:30\"\n[[calendar.curfew]]\nhours = \"22:30-06:00\"\n",
        &china(),
    )
    .expect_err("slips");
    for expected in ["ends on 2027-01-18", "\"8-9\"", "no periods", "not a weekday", "22:30", "no days"] {
        assert!(slips.iter().any(|slip| slip.contains(expected)), "{expected}: {slips:#?}");
    }
}

//! Bells, terms, holidays, make-up workdays, clock changes, and slips.

use super::{Calendar, DayKind, EXAMPLE, Period, Times, Written, time_of_day};
use crate::document::{Document, Problems};
use crate::model::Wall;
use jiff::civil::{Date, DateTime, Weekday};
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
            .map(|p| format!("{}:{}: {} -> {}", p.spot.line, p.spot.column, p.message.en, p.advice.en))
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
    let after = |from| calendar.next_change(Times::Teaching, at(&china(), from));
    assert_eq!(after("2027-01-22T17:30"), Some(at(&china(), "2027-07-20T09:00")), "the camp");
    assert_eq!(after("2027-07-31T12:00"), None, "no further term is known");
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

fn days_of(calendar: &Calendar, from: &str, days: usize) -> Vec<DayKind> {
    let first: Date = from.parse().expect("a day");
    first.series(jiff::ToSpan::day(1)).take(days).map(|day| calendar.day(day).kind).collect()
}

#[test]
fn an_exception_has_its_own_bells_and_nights_between_two_days_only() {
    let text = EXAMPLE.replace("last = \"2027-01-22\"", "last = \"2027-07-09\"");
    let calendar = read(&text, &china()).unwrap_or_else(|problems| panic!("{problems:#?}"));
    for (times, time, expected) in [
        (Times::Teaching, "2027-04-30T14:10", true),  // Friday before
        (Times::Teaching, "2027-05-03T14:10", false), // in summer the afternoon begins later
        (Times::Teaching, "2027-05-03T17:50", true),
        (Times::Teaching, "2027-05-03T20:00", false), // and has no self-study
        (Times::Teaching, "2027-07-12T10:00", false), // after the term: the summer timetable does not ring
        (Times::Teaching, "2027-07-20T10:00", true),  // the camp does
        (Times::Teaching, "2027-07-24T10:00", true),  // on Saturdays, too
        (Times::Teaching, "2027-07-31T11:59", true),
        (Times::Teaching, "2027-08-02T10:00", false), // it is over
        (Times::Curfew, "2027-07-19T22:00", false),
        (Times::Curfew, "2027-07-20T22:00", true), // the camp's night begins earlier
        (Times::Curfew, "2027-08-01T06:20", true), // and its last ends after the camp
        (Times::Curfew, "2027-08-01T06:30", false),
        (Times::Curfew, "2027-08-01T22:00", false),
    ] {
        assert_eq!(calendar.holds(times, at(&china(), time)), expected, "{times:?} {time}");
    }
    let after = calendar.next_change(Times::Teaching, at(&china(), "2027-07-09T18:00"));
    assert_eq!(after, Some(at(&china(), "2027-07-20T09:00")), "from the end of term to the camp");
}

#[test]
fn of_two_exceptions_the_later_counts_and_bells_may_be_taken_away() {
    let text = "[calendar]\n[[calendar.exception]]\nname = \"summer\"\nfirst = \"2026-05-01\"\nlast = \"2026-09-30\"\n\
                [[calendar.exception.bell]]\ndays = [\"mon\"]\nperiods = [\"09:00-10:00\"]\n\
                [[calendar.exception]]\nname = \"flood\"\nfirst = \"2026-06-01\"\nlast = \"2026-06-01\"\nbell = []\n\
                curfew = []\n";
    let calendar = read(text, &china()).expect("good");
    assert!(calendar.is_teaching_time(at(&china(), "2026-06-08T09:30")));
    assert!(!calendar.is_teaching_time(at(&china(), "2026-06-01T09:30")));
    assert!(calendar.holds(Times::Curfew, at(&china(), "2026-06-02T23:00")));
    assert!(!calendar.holds(Times::Curfew, at(&china(), "2026-06-01T23:00")));
    assert!(
        !calendar.holds(Times::Curfew, at(&china(), "2026-06-02T05:00")),
        "that night is the first of June's"
    );
    assert!(calendar.holds(Times::Curfew, at(&china(), "2026-06-01T05:00")), "and this the last of May's");
}

#[test]
fn a_day_says_what_it_is() {
    let calendar = example();
    assert_eq!(
        days_of(&calendar, "2026-09-18", 3),
        [DayKind::Teaching, DayKind::Free, DayKind::MakeUp(Weekday::Friday)]
    );
    assert_eq!(days_of(&calendar, "2026-09-30", 2), [DayKind::Teaching, DayKind::Holiday]);
    assert_eq!(days_of(&calendar, "2027-01-22", 2), [DayKind::Teaching, DayKind::OutsideTerms]);
    let day = calendar.day("2027-01-18".parse().expect("a day"));
    assert_eq!(day.names, ["2026 autumn", "final examination"]);
    let texts = |periods: &[Period]| periods.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(texts(&day.bells), "08:00-11:40 14:00-17:30 19:00-21:00");
    assert_eq!(texts(&day.exams), "08:30-11:30 14:00-16:30");
    assert_eq!(texts(&day.curfew), "22:30-06:00");
}

#[test]
fn the_turn_of_the_year_and_how_long_the_calendar_will_do() {
    let text = "[calendar]\n[[calendar.term]]\nname = \"a\"\nfirst = \"2026-09-01\"\nlast = \"2027-01-22\"\n\
                [[calendar.holiday]]\nname = \"元旦\"\nfirst = \"2026-12-31\"\nlast = \"2027-01-02\"\n";
    let calendar = read(text, &china()).expect("good");
    let kinds = days_of(&calendar, "2026-12-30", 5);
    assert_eq!(
        kinds,
        [DayKind::Teaching, DayKind::Holiday, DayKind::Holiday, DayKind::Holiday, DayKind::Free],
        "Wednesday to Sunday"
    );
    let change = calendar.next_change(Times::Teaching, at(&china(), "2026-12-30T18:00"));
    assert_eq!(change, Some(at(&china(), "2027-01-04T08:00")));
    assert_eq!(calendar.last_term_day(), Some("2027-01-22".parse().expect("a day")));
    let known = calendar.holidays_known_until().expect("known");
    assert_eq!(
        known.to_string(),
        "2026-12-31",
        "a holiday over the turn of the year says nothing of the next"
    );
    for (now, days) in [("2026-12-31T23:59", 0), ("2026-12-30T00:00", 1), ("2027-01-01T00:00", -1)] {
        assert_eq!(calendar.days_until(known, at(&china(), now)), Some(days), "{now}");
    }
    let nothing = Calendar::default_school(china());
    assert_eq!(
        (nothing.last_term_day(), nothing.holidays_known_until(), nothing.extent()),
        (None, None, None)
    );
}

#[test]
fn a_night_over_the_change_of_clocks_is_shorter_or_longer() {
    let calendar = Calendar::default_school(eastern());
    for (evening, morning, minutes) in [
        ("2026-03-07T22:30", "2026-03-08T06:00", 390),
        ("2026-10-31T22:30", "2026-11-01T06:00", 510),
        ("2026-12-31T22:30", "2027-01-01T06:00", 450),
    ] {
        let (evening, morning) = (at(&eastern(), evening), at(&eastern(), morning));
        assert!(calendar.holds(Times::Curfew, evening));
        assert_eq!(calendar.next_change(Times::Curfew, evening), Some(morning));
        assert_eq!(morning.since(evening), minutes * 60_000);
    }
}

#[test]
fn another_calendar_takes_over_what_it_does_not_write_and_takes_further_days() {
    let problems = Problems::new();
    let text = EXAMPLE.to_owned()
        + "[[calendars]]\nname = \"dorm\"\n[[calendars.curfew]]\ndays = [\"fri\"]\nhours = \"21:00-05:00\"\n\
           [[calendar_days]]\nmakeup = [\"2027-02-06 as tue\"]\n[[calendar_days.term]]\nname = \"spring\"\n\
           first = \"2027-02-01\"\nlast = \"2027-07-01\"\n";
    let document = Document::parse("gateway.toml", &text, &problems);
    let root = document.reader(&problems);
    let mut main = Written::read(&root.table("calendar").expect("a table"));
    let [days] = root.tables("calendar_days").try_into().ok().expect("one");
    main.add_days(&days);
    let [dorm] = root.tables("calendars").try_into().ok().expect("one");
    let dorm = Written::read(&dorm).like(&main);
    let (main, dorm) = (main.calendar(&china(), &problems), dorm.calendar(&china(), &problems));
    assert!(problems.is_empty(), "{:#?}", problems.into_sorted());
    for calendar in [&main, &dorm] {
        assert!(calendar.is_teaching_time(at(&china(), "2026-10-10T20:00")), "its make-up day");
        assert!(calendar.is_teaching_time(at(&china(), "2027-02-06T20:00")), "the further one");
        assert!(!calendar.is_teaching_time(at(&china(), "2027-01-25T10:00")), "between terms");
    }
    let friday = at(&china(), "2026-09-04T21:30");
    assert!(!main.holds(Times::Curfew, friday) && dorm.holds(Times::Curfew, friday));
    let thursday = at(&china(), "2026-09-03T23:00");
    assert!(main.holds(Times::Curfew, thursday) && !dorm.holds(Times::Curfew, thursday));
}

#[test]
fn slips_in_exceptions_and_further_days_are_told() {
    let exception =
        "[calendar]\n[[calendar.exception]]\nname = \"x\"\nfirst = \"2027-07-01\"\nlast = \"2027-07-31\"\n";
    let bell = "[[calendar.exception.bell]]\ndays = [\"mon\"]\nperiods = [\"08:00-09:00\"]\n";
    for (text, expected) in [
        (exception.to_owned(), "this exception changes nothing"),
        (format!("{exception}also_in_holidays = true\ncurfew = []\n"), "no bells that could ring"),
        (format!("{exception}holidays = true\n{bell}"), "'holidays' is not a key"),
        (format!("{exception}{bell}").replace("2027-07-31", "2027-06-31"), "is not a day"),
        (format!("{exception}{bell}").replace("08:00-09:00", "9-10"), "does not begin with a time"),
        (
            format!(
                "[calendar]\nmakeup = [\"2027-07-03\"]\n{}",
                format!("{exception}{bell}").replace("[calendar]\n", "")
            ),
            "which ring on 2027-07-03",
        ),
    ] {
        let found = read(&text, &china()).expect_err(&text);
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{text}\nexpected {expected}\nfound {found:#?}"
        );
    }
}

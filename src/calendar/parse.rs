//! Reading `[calendar]`: what a school writes, and what is wrong with it.

use super::{Calendar, Days, Period};
use crate::document::{Reader, Spot};
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];
const DATE_ADVICE: &str = "write a day as \"2026-09-01\"";
const WEEKDAY_ADVICE: &str = "write one of: mon, tue, wed, thu, fri, sat, sun";
const NIGHT_ADVICE: &str = "write from-to in 24-hour local time, also past midnight: \"22:30-06:00\"";
const PERIOD_ADVICE: &str = "write from-to in 24-hour local time: \"08:00-11:40\"; the latest end is 24:00";

type Bells = BTreeMap<i8, Vec<Period>>;

pub(super) fn calendar(reader: &Reader<'_>, zone: &TimeZone) -> Option<Calendar> {
    let before = reader.problems().len();
    let mut calendar = Calendar::default_school(zone.clone());
    calendar.terms = days(reader, "term");
    calendar.holidays = days(reader, "holiday");
    if reader.has("bell") {
        calendar.bells = bells(reader);
    }
    calendar.makeup = makeup(reader, &calendar);
    calendar.exams = exams(reader);
    if reader.has("curfew") {
        calendar.curfew = curfew(reader);
    }
    (reader.problems().len() == before).then_some(calendar)
}

/// Every `[[term]]` or `[[holiday]]`; two of a kind must not share a day.
fn days(reader: &Reader<'_>, key: &str) -> Vec<Days> {
    let mut found: Vec<(Days, String, Spot)> = Vec::new();
    for entry in reader.tables(key) {
        let name = entry.text("name").unwrap_or_default();
        let first = entry.parsed("first", DATE_ADVICE, date);
        let last = entry.parsed("last", DATE_ADVICE, date);
        if let (Some(first), Some(last)) = (first, last) {
            if first <= last {
                found.push((Days { first, last }, name, entry.spot("first")));
            } else {
                entry.problem(
                    "last",
                    format!("'{name}' ends on {last}, before it begins on {first}"),
                    "write the earlier day as first and the later day as last",
                );
            }
        }
        entry.finish();
    }
    found.sort_by_key(|(days, ..)| days.first);
    for pair in found.windows(2) {
        if let [(earlier, earlier_name, _), (later, later_name, spot)] = pair
            && later.first <= earlier.last
        {
            reader.problems().at(
                spot,
                format!("{key} '{later_name}' begins on {}, while '{earlier_name}' still lasts", later.first),
                format!(
                    "'{earlier_name}' lasts from {} to {}; let them not overlap",
                    earlier.first, earlier.last
                ),
            );
        }
    }
    found.into_iter().map(|(days, ..)| days).collect()
}

/// Every `[[bell]]`; several may add to one weekday, but not at the same time.
fn bells(reader: &Reader<'_>) -> Bells {
    let mut bells = Bells::new();
    for entry in reader.tables("bell") {
        let mut days = Vec::new();
        for (text, spot) in entry.texts("days") {
            match weekday(&text) {
                Some(day) => days.push(day),
                None => reader.problems().at(&spot, format!("\"{text}\" is not a weekday"), WEEKDAY_ADVICE),
            }
        }
        let periods = entry.texts("periods");
        for key in ["days", "periods"] {
            if entry.texts(key).is_empty() {
                entry.problem(
                    key,
                    format!("these bells have no {key}"),
                    "add days = [\"mon\"] and periods = [\"08:00-11:40\"]",
                );
            }
        }
        for (text, spot) in periods {
            match period(&text) {
                Ok(period) => {
                    for day in &days {
                        ring(
                            bells.entry(day.to_monday_zero_offset()).or_default(),
                            period,
                            *day,
                            reader,
                            &spot,
                        );
                    }
                }
                Err(why) => reader.problems().at(&spot, format!("\"{text}\" {why}"), PERIOD_ADVICE),
            }
        }
        entry.finish();
    }
    bells
}

/// Every `[[exam]]`; several may share a day.
fn exams(reader: &Reader<'_>) -> Vec<(Days, Vec<Period>)> {
    let mut exams = Vec::new();
    for entry in reader.tables("exam") {
        let name = entry.text("name").unwrap_or_default();
        let first = entry.parsed("first", DATE_ADVICE, date);
        let last = entry.parsed("last", DATE_ADVICE, date);
        let mut periods = Vec::new();
        let written = entry.texts("periods");
        if written.is_empty() {
            entry.problem("periods", "this examination has no periods", "add periods = [\"08:30-11:30\"]");
        }
        for (text, spot) in written {
            match period(&text) {
                Ok(period) => periods.push(period),
                Err(why) => reader.problems().at(&spot, format!("\"{text}\" {why}"), PERIOD_ADVICE),
            }
        }
        match (first, last) {
            (Some(first), Some(last)) if first <= last => exams.push((Days { first, last }, periods)),
            (Some(first), Some(last)) => entry.problem(
                "last",
                format!("'{name}' ends on {last}, before it begins on {first}"),
                "write the earlier day as first and the later day as last",
            ),
            _ => {}
        }
        entry.finish();
    }
    exams
}

/// Every `[[curfew]]`; several may add to one evening.
fn curfew(reader: &Reader<'_>) -> Bells {
    let mut nights = Bells::new();
    for entry in reader.tables("curfew") {
        let hours = entry.parsed("hours", NIGHT_ADVICE, over_night);
        let days = entry.texts("days");
        if days.is_empty() {
            entry.problem("days", "this curfew has no days", "add days = [\"sun\", \"mon\"]");
        }
        for (text, spot) in days {
            match (weekday(&text), hours) {
                (Some(day), Some(hours)) => {
                    let nights: &mut Vec<Period> = nights.entry(day.to_monday_zero_offset()).or_default();
                    nights.push(hours);
                    nights.sort_unstable();
                }
                (Some(_), None) => {}
                (None, _) => {
                    reader.problems().at(&spot, format!("\"{text}\" is not a weekday"), WEEKDAY_ADVICE);
                }
            }
        }
        entry.finish();
    }
    nights
}

fn ring(periods: &mut Vec<Period>, new: Period, day: Weekday, reader: &Reader<'_>, spot: &Spot) {
    if let Some(old) = periods.iter().find(|old| old.start < new.end && new.start < old.end) {
        reader.problems().at(
            spot,
            format!("this period overlaps {}-{} of the same {}", clock(old.start), clock(old.end), word(day)),
            "name each minute of a weekday once",
        );
    }
    periods.push(new);
    periods.sort_unstable();
}

/// `makeup = ["2026-10-10 as wed"]`.
fn makeup(reader: &Reader<'_>, calendar: &Calendar) -> BTreeMap<Date, Weekday> {
    let mut makeup = BTreeMap::new();
    for (text, spot) in reader.texts("makeup") {
        let problem = |message: String, advice: &str| reader.problems().at(&spot, message, advice);
        let (day, stands_for) = match text.split_once(" as ") {
            Some((day, stands_for)) => (day.trim(), Some(stands_for.trim())),
            None => (text.trim(), None),
        };
        let day = match date(day) {
            Ok(day) => day,
            Err(why) => {
                problem(why, "write a day and whose bells ring: \"2026-10-10 as wed\"");
                continue;
            }
        };
        let Some(rings) = rings(day, stands_for, &calendar.bells, problem) else { continue };
        if calendar.holidays.iter().any(|holiday| holiday.hold(day)) {
            problem(
                format!("{day} is both a holiday and a make-up workday"),
                "take it out of one of the two",
            );
        }
        if makeup.insert(day, rings).is_some() {
            problem(format!("{day} is written twice"), "write each make-up workday once");
        }
    }
    makeup
}

/// Whose bells ring on a make-up workday.
fn rings(
    day: Date,
    stands_for: Option<&str>,
    bells: &Bells,
    problem: impl Fn(String, &str),
) -> Option<Weekday> {
    let Some(stands_for) = stands_for else {
        let alike = (1..5).all(|weekday| bells.get(&weekday) == bells.get(&0));
        let weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
        if !weekend {
            problem(
                format!("{day} is a {} already", word(day.weekday())),
                "a make-up workday is a Saturday or Sunday; if other bells ring, say whose: \"2026-10-09 as mon\"",
            );
        } else if !alike {
            problem(
                format!("Monday to Friday have different bells: which ring on {day}?"),
                "say whose bells ring: \"2026-10-10 as wed\"",
            );
        }
        return (weekend && alike).then_some(Weekday::Monday);
    };
    let weekday = weekday(stands_for);
    if weekday.is_none() {
        problem(format!("\"{stands_for}\" is not a weekday"), WEEKDAY_ADVICE);
    }
    weekday
}

fn date(text: &str) -> Result<Date, String> {
    let day = (text.len() == 10).then(|| text.parse().ok()).flatten();
    day.ok_or_else(|| format!("\"{text}\" is not a day of the calendar"))
}

fn weekday(text: &str) -> Option<Weekday> {
    WEEKDAYS.iter().find(|(word, _)| *word == text).map(|(_, day)| *day)
}

fn word(day: Weekday) -> &'static str {
    WEEKDAYS.iter().find(|(_, known)| *known == day).map_or("", |(word, _)| word)
}

fn period(text: &str) -> Result<Period, &'static str> {
    let (start, end) = text.split_once('-').ok_or("is not a period")?;
    let start = minutes(start.trim()).ok_or("does not begin with a time of day")?;
    let end = minutes(end.trim()).ok_or("does not end with a time of day")?;
    if start < end {
        Ok(Period { start, end })
    } else {
        Err("does not end after it begins; past midnight, write two periods")
    }
}

/// As [`period`], but one that does not end after it begins ends on the next day.
pub(super) fn over_night(text: &str) -> Result<Period, &'static str> {
    let (start, end) = text.split_once('-').ok_or("is not a span of hours")?;
    let start = super::time_of_day(start.trim()).ok_or("does not begin with a time of day")?;
    let end = minutes(end.trim()).ok_or("does not end with a time of day")?;
    match end - start {
        0 => Err("ends as it begins"),
        span if span > 0 => Ok(Period { start, end }),
        _ => Ok(Period { start, end: end + 24 * 60 }),
    }
}

/// Minutes since midnight of "HH:MM", up to 24:00.
pub(super) fn minutes(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str, most: i64| {
        let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<i64>().ok().filter(|n| plain && *n <= most)
    };
    let total = number(hours, 24)? * 60 + number(minutes, 59)?;
    (total <= 24 * 60).then_some(total)
}

fn clock(minutes: i64) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

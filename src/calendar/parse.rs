//! Days, weekdays, times of day and periods as a school writes them.

use super::Period;
use jiff::civil::{Date, Weekday};

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

pub(super) fn date(text: &str) -> Result<Date, String> {
    let day = (text.len() == 10).then(|| text.parse().ok()).flatten();
    day.ok_or_else(|| format!("\"{text}\" is not a day of the calendar"))
}

/// The weekday of a word: `mon`.
#[must_use]
pub fn weekday(text: &str) -> Option<Weekday> {
    WEEKDAYS.iter().find(|(word, _)| *word == text).map(|(_, day)| *day)
}

/// The word for a weekday: `mon`.
#[must_use]
pub fn weekday_word(day: Weekday) -> &'static str {
    WEEKDAYS.iter().find(|(_, known)| *known == day).map_or("", |(word, _)| word)
}

pub(super) fn period(text: &str) -> Result<Period, &'static str> {
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

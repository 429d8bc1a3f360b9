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

/// What is wrong with a text, in Chinese and English; the text goes before it.
pub(super) type Wrong = (&'static str, &'static str);

const NOT_BEGUN: Wrong = ("开头不是时刻", "does not begin with a time of day");
const NOT_ENDED: Wrong = ("结尾不是时刻", "does not end with a time of day");

pub(super) fn date(text: &str) -> Result<Date, (String, String)> {
    let day = (text.len() == 10).then(|| text.parse().ok()).flatten();
    day.ok_or_else(|| (format!("\"{text}\" 不是日期"), format!("\"{text}\" is not a day of the calendar")))
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

pub(super) fn period(text: &str) -> Result<Period, Wrong> {
    let (start, end) = text.split_once('-').ok_or(("不是时段", "is not a period"))?;
    let start = minutes(start.trim()).ok_or(NOT_BEGUN)?;
    let end = minutes(end.trim()).ok_or(NOT_ENDED)?;
    if start < end {
        Ok(Period { start, end })
    } else {
        Err((
            "结束不晚于开始；跨过午夜的写成两段",
            "does not end after it begins; past midnight, write two periods",
        ))
    }
}

/// As [`period`], but one that does not end after it begins ends on the next day.
pub(super) fn over_night(text: &str) -> Result<Period, Wrong> {
    let (start, end) = text.split_once('-').ok_or(("不是一段时间", "is not a span of hours"))?;
    let start = super::time_of_day(start.trim()).ok_or(NOT_BEGUN)?;
    let end = minutes(end.trim()).ok_or(NOT_ENDED)?;
    match end - start {
        0 => Err(("开始和结束相同", "ends as it begins")),
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

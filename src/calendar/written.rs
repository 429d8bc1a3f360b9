//! Reading `[calendar]`, `[[calendars]]` and `[[calendar_days]]`: what a school writes, and what is wrong with it.

use super::parse::{date, over_night, period, weekday, weekday_word};
use super::{Calendar, Exception, Period, Span, Week};
use crate::document::{Problems, Reader, Spot};
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;

/// What to write, in Chinese and English.
type Advice = (&'static str, &'static str);

const DATE_ADVICE: Advice = ("写日期，如 \"2026-09-01\"", "write a day as \"2026-09-01\"");
const WEEKDAY_ADVICE: Advice =
    ("写其中一个：mon、tue、wed、thu、fri、sat、sun", "write one of: mon, tue, wed, thu, fri, sat, sun");
const NIGHT_ADVICE: Advice = (
    "写当地 24 小时制的起止时间，可以跨过午夜：\"22:30-06:00\"",
    "write from-to in 24-hour local time, also past midnight: \"22:30-06:00\"",
);
const PERIOD_ADVICE: Advice = (
    "写当地 24 小时制的起止时间：\"08:00-11:40\"；最晚到 24:00",
    "write from-to in 24-hour local time: \"08:00-11:40\"; the latest end is 24:00",
);
const MAKEUP_ADVICE: Advice = (
    "写日期和按周几的作息：\"2026-10-10 as wed\"",
    "write a day and whose bells ring: \"2026-10-10 as wed\"",
);

/// What was written of one calendar; a part that was not written is `None`.
#[derive(Debug, Clone, Default)]
pub struct Written {
    terms: Option<Vec<(Span, Spot)>>,
    holidays: Option<Vec<(Span, Spot)>>,
    /// Days, and the weekday whose bells ring.
    makeup: Option<Vec<(Date, Option<Weekday>, Spot)>>,
    bells: Option<Week>,
    exams: Option<Vec<(Span, Vec<Period>)>>,
    curfew: Option<Week>,
    exceptions: Option<Vec<Exception>>,
}

impl Written {
    /// Reads what one table says of a calendar; problems are noted in the reader. The caller finishes it.
    #[must_use]
    pub fn read(reader: &Reader<'_>) -> Self {
        let mut written = Self::default();
        written.add_days(reader);
        written.bells = reader.has("bell").then(|| bells(reader));
        written.curfew = reader.has("curfew").then(|| curfew(reader));
        written.exceptions = reader.has("exception").then(|| exceptions(reader));
        written
    }

    /// Reads further terms, holidays, make-up workdays and examinations of the same calendar.
    pub fn add_days(&mut self, reader: &Reader<'_>) {
        if reader.has("term") {
            self.terms.get_or_insert_default().extend(spans(reader, "term"));
        }
        if reader.has("holiday") {
            self.holidays.get_or_insert_default().extend(spans(reader, "holiday"));
        }
        if reader.has("makeup") {
            self.makeup.get_or_insert_default().extend(makeup(reader));
        }
        if reader.has("exam") {
            self.exams.get_or_insert_default().extend(exams(reader));
        }
    }

    /// This calendar where a part that was not written is that of `other`.
    #[must_use]
    pub fn like(self, other: &Self) -> Self {
        let other = other.clone();
        Self {
            terms: self.terms.or(other.terms),
            holidays: self.holidays.or(other.holidays),
            makeup: self.makeup.or(other.makeup),
            bells: self.bells.or(other.bells),
            exams: self.exams.or(other.exams),
            curfew: self.curfew.or(other.curfew),
            exceptions: self.exceptions.or(other.exceptions),
        }
    }

    /// What it means; a part that was not written is that of [`Calendar::default_school`]. What does not fit together is
    /// noted.
    #[must_use]
    pub fn calendar(&self, zone: &TimeZone, problems: &Problems) -> Calendar {
        let mut calendar = Calendar::default_school(zone.clone());
        calendar.terms = in_order(("学期", "term"), self.terms.as_deref(), problems);
        calendar.holidays = in_order(("假期", "holiday"), self.holidays.as_deref(), problems);
        if let Some(bells) = &self.bells {
            calendar.bells.clone_from(bells);
        }
        if let Some(curfew) = &self.curfew {
            calendar.curfew.clone_from(curfew);
        }
        calendar.exams = self.exams.clone().unwrap_or_default();
        calendar.exceptions = self.exceptions.clone().unwrap_or_default();
        for (day, stands_for, spot) in self.makeup.iter().flatten() {
            let told = |message: (String, String), advice: Advice| problems.at(spot, message, advice);
            let Some(rings) = rings(*day, *stands_for, &calendar, told) else { continue };
            if calendar.holiday(*day).is_some() {
                told(
                    (
                        format!("{day} 既是假期又是调休上课日"),
                        format!("{day} is both a holiday and a make-up workday"),
                    ),
                    ("从其中一处删去", "take it out of one of the two"),
                );
            }
            if calendar.makeup.insert(*day, rings).is_some() {
                told(
                    (format!("{day} 写了两次"), format!("{day} is written twice")),
                    ("每个调休上课日只写一次", "write each make-up workday once"),
                );
            }
        }
        calendar
    }
}

/// Terms or holidays by their first day; two of a kind must not share a day.
fn in_order((zh, en): (&str, &str), written: Option<&[(Span, Spot)]>, problems: &Problems) -> Vec<Span> {
    let mut found: Vec<&(Span, Spot)> = written.unwrap_or_default().iter().collect();
    found.sort_by_key(|(span, _)| span.first);
    for pair in found.windows(2) {
        if let [(earlier, _), (later, spot)] = pair
            && later.first <= earlier.last
        {
            let (name, begins, before) = (&later.name, later.first, &earlier.name);
            let (first, last) = (earlier.first, earlier.last);
            problems.at(
                spot,
                (
                    format!("{zh} '{name}' 在 {begins} 开始，'{before}' 还没有结束"),
                    format!("{en} '{name}' begins on {begins}, while '{before}' still lasts"),
                ),
                (
                    format!("'{before}' 从 {first} 到 {last}；两个不要重叠"),
                    format!("'{before}' lasts from {first} to {last}; let them not overlap"),
                ),
            );
        }
    }
    found.into_iter().map(|(span, _)| span.clone()).collect()
}

/// Reads `name`, `first` and `last`.
fn span(entry: &Reader<'_>) -> Option<Span> {
    let name = entry.text("name").unwrap_or_default();
    let first = entry.parsed("first", DATE_ADVICE, date);
    let last = entry.parsed("last", DATE_ADVICE, date);
    let (first, last) = (first?, last?);
    if last < first {
        entry.problem(
            "last",
            (
                format!("'{name}' 在 {last} 结束，却在 {first} 才开始"),
                format!("'{name}' ends on {last}, before it begins on {first}"),
            ),
            ("早的日期写在 first，晚的写在 last", "write the earlier day as first and the later day as last"),
        );
        return None;
    }
    Some(Span { name, first, last })
}

/// Every `[[term]]` or `[[holiday]]`.
fn spans(reader: &Reader<'_>, key: &str) -> Vec<(Span, Spot)> {
    let mut found = Vec::new();
    for entry in reader.tables(key) {
        found.extend(span(&entry).map(|span| (span, entry.spot("first"))));
        entry.finish();
    }
    found
}

/// Reads `days` of the week.
fn weekdays(entry: &Reader<'_>) -> Vec<Weekday> {
    let mut days = Vec::new();
    for (text, spot) in entry.texts("days") {
        match weekday(&text) {
            Some(day) => days.push(day),
            None => entry.problems().at(&spot, no_weekday(&text), WEEKDAY_ADVICE),
        }
    }
    days
}

fn no_weekday(text: &str) -> (String, String) {
    (format!("\"{text}\" 不是星期"), format!("\"{text}\" is not a weekday"))
}

/// Reads `periods` of a day, each with its place.
fn periods(entry: &Reader<'_>) -> Vec<(Period, Spot)> {
    let mut periods = Vec::new();
    for (text, spot) in entry.texts("periods") {
        match period(&text) {
            Ok(period) => periods.push((period, spot)),
            Err((zh, en)) => {
                let message = (format!("\"{text}\" {zh}"), format!("\"{text}\" {en}"));
                entry.problems().at(&spot, message, PERIOD_ADVICE);
            }
        }
    }
    periods
}

/// Every `[[bell]]`; several may add to one weekday, but not at the same time.
fn bells(reader: &Reader<'_>) -> Week {
    let mut bells = Week::new();
    for entry in reader.tables("bell") {
        for key in ["days", "periods"] {
            if entry.texts(key).is_empty() {
                entry.problem(
                    key,
                    (format!("这段作息没有 {key}"), format!("these bells have no {key}")),
                    (
                        "加上 days = [\"mon\"] 和 periods = [\"08:00-11:40\"]",
                        "add days = [\"mon\"] and periods = [\"08:00-11:40\"]",
                    ),
                );
            }
        }
        let days = weekdays(&entry);
        for (period, spot) in periods(&entry) {
            for day in &days {
                let ringing = bells.entry(day.to_monday_zero_offset()).or_default();
                ring(ringing, period, *day, reader, &spot);
            }
        }
        entry.finish();
    }
    bells
}

fn ring(periods: &mut Vec<Period>, new: Period, day: Weekday, reader: &Reader<'_>, spot: &Spot) {
    if let Some(old) = periods.iter().find(|old| old.start < new.end && new.start < old.end) {
        reader.problems().at(
            spot,
            (
                format!("这个时段与同一天（{}）的 {old} 重叠", weekday_word(day)),
                format!("this period overlaps {old} of the same {}", weekday_word(day)),
            ),
            ("同一天里每分钟只写一次", "name each minute of a weekday once"),
        );
    }
    periods.push(new);
    periods.sort_unstable();
}

/// Every `[[exam]]`; several may share a day.
fn exams(reader: &Reader<'_>) -> Vec<(Span, Vec<Period>)> {
    let mut exams = Vec::new();
    for entry in reader.tables("exam") {
        if entry.texts("periods").is_empty() {
            entry.problem(
                "periods",
                ("这场考试没有时段", "this examination has no periods"),
                ("加上 periods = [\"08:30-11:30\"]", "add periods = [\"08:30-11:30\"]"),
            );
        }
        let periods = periods(&entry).into_iter().map(|(period, _)| period).collect();
        exams.extend(span(&entry).map(|span| (span, periods)));
        entry.finish();
    }
    exams
}

/// Every `[[curfew]]`; several may add to one evening.
fn curfew(reader: &Reader<'_>) -> Week {
    let mut nights = Week::new();
    for entry in reader.tables("curfew") {
        let hours = entry.parsed("hours", NIGHT_ADVICE, over_night);
        if entry.texts("days").is_empty() {
            entry.problem(
                "days",
                ("这段宵禁没有写周几", "this curfew has no days"),
                ("加上 days = [\"sun\", \"mon\"]", "add days = [\"sun\", \"mon\"]"),
            );
        }
        for day in weekdays(&entry) {
            let nights: &mut Vec<Period> = nights.entry(day.to_monday_zero_offset()).or_default();
            nights.extend(hours);
            nights.sort_unstable();
        }
        entry.finish();
    }
    nights
}

/// Every `[[exception]]`.
fn exceptions(reader: &Reader<'_>) -> Vec<Exception> {
    let mut exceptions = Vec::new();
    for entry in reader.tables("exception") {
        let span = span(&entry);
        let bells = entry.has("bell").then(|| bells(&entry));
        let curfew = entry.has("curfew").then(|| curfew(&entry));
        let also_in_holidays = entry.flag_opt("also_in_holidays").unwrap_or(false);
        if bells.is_none() && curfew.is_none() {
            entry.problem(
                "name",
                ("这段例外什么也没有改", "this exception changes nothing"),
                (
                    "在下面加上 [[….exception.bell]] 或 [[….exception.curfew]]；bell = [] 是没有作息的一段",
                    "add [[….exception.bell]] or [[….exception.curfew]] below it; bell = [] is a time without bells",
                ),
            );
        }
        if also_in_holidays && bells.is_none() {
            entry.problem(
                "also_in_holidays",
                (
                    "这段例外没有假期里可用的作息",
                    "this exception has no bells that could ring in the holidays",
                ),
                (
                    "在下面加上 [[….exception.bell]]，或删去 also_in_holidays",
                    "add [[….exception.bell]] below it, or take also_in_holidays out",
                ),
            );
        }
        exceptions.extend(span.map(|span| Exception { span, bells, curfew, also_in_holidays }));
        entry.finish();
    }
    exceptions
}

/// `makeup = ["2026-10-10 as wed"]`.
fn makeup(reader: &Reader<'_>) -> Vec<(Date, Option<Weekday>, Spot)> {
    let mut makeup = Vec::new();
    for (text, spot) in reader.texts("makeup") {
        let (day, stands_for) = match text.split_once(" as ") {
            Some((day, stands_for)) => (day.trim(), Some(stands_for.trim())),
            None => (text.trim(), None),
        };
        match (date(day), stands_for.map(|word| weekday(word).ok_or(word))) {
            (Err(why), _) => reader.problems().at(&spot, why, MAKEUP_ADVICE),
            (Ok(_), Some(Err(word))) => {
                reader.problems().at(&spot, no_weekday(word), WEEKDAY_ADVICE);
            }
            (Ok(day), Some(Ok(weekday))) => makeup.push((day, Some(weekday), spot)),
            (Ok(day), None) => makeup.push((day, None, spot)),
        }
    }
    makeup
}

/// Whose bells ring on a make-up workday.
fn rings(
    day: Date,
    stands_for: Option<Weekday>,
    calendar: &Calendar,
    problem: impl Fn((String, String), Advice),
) -> Option<Weekday> {
    if stands_for.is_some() {
        return stands_for;
    }
    let exception = calendar.exceptions.iter().rev().filter(|exception| exception.span.holds(day));
    let other = exception.into_iter().find_map(|exception| exception.bells.as_ref());
    let bells: &BTreeMap<_, _> = other.unwrap_or(&calendar.bells);
    let alike = (1..5).all(|weekday| bells.get(&weekday) == bells.get(&0));
    let weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
    if !weekend {
        let weekday = weekday_word(day.weekday());
        problem(
            (format!("{day} 本来就是上课日（{weekday}）"), format!("{day} is a {weekday} already")),
            (
                "调休上课日是周六或周日；用别的作息时写明按周几：\"2026-10-09 as mon\"",
                "a make-up workday is a Saturday or Sunday; if other bells ring, say whose: \"2026-10-09 as mon\"",
            ),
        );
    } else if !alike {
        problem(
            (
                format!("周一到周五的作息不同：{day} 按哪一天？"),
                format!("Monday to Friday have different bells: which ring on {day}?"),
            ),
            ("写明按周几的作息：\"2026-10-10 as wed\"", "say whose bells ring: \"2026-10-10 as wed\""),
        );
    }
    (weekend && alike).then_some(Weekday::Monday)
}

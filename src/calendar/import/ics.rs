//! iCalendar (RFC 5545): holidays and make-up workdays as those who publish the State Council's notices write them.
//!
//! Only what such files have is read: events with a first and a last day and a summary. A repeated event is refused, and
//! one whose summary does not say whether people rest or work is listed and left out.

use super::{Entry, Import, Kind, Remark};
use crate::model::Text;
use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

/// Longest line after unfolding, bytes; what is longer is cut, which no date or summary is.
const MAX_LINE_BYTES: usize = 4_096;
/// Most make-up workdays in a row.
const MAX_MAKEUP_DAYS: i32 = 14;
/// Most slips that are told.
const MAX_SLIPS: usize = 100;

/// A content line without its parameters: the form of a value tells day and moment apart.
struct Content<'t> {
    name: String,
    value: &'t str,
}

/// One event as far as it was read.
#[derive(Default)]
struct Event {
    line: usize,
    start: Option<(Date, Option<Time>)>,
    end: Option<(Date, Option<Time>)>,
    days: Option<i32>,
    summary: String,
    /// What Apple's calendars say of it.
    special: Option<Kind>,
    repeated: bool,
    cancelled: bool,
    wrong: Option<Text>,
}

pub(super) fn read(import: &mut Import, text: &str, zone: &TimeZone) {
    // What is open: an event counts directly below VCALENDAR, and what is within it (VALARM) does not.
    let mut open: Vec<String> = Vec::new();
    let mut event: Option<Event> = None;
    for (line, text) in unfolded(text) {
        if import.slips.len() >= MAX_SLIPS {
            return;
        }
        let Some(content) = content(&text) else { continue };
        let value = content.value.trim().to_ascii_uppercase();
        match content.name.as_str() {
            "BEGIN" => {
                if open.len() >= 8 {
                    import.slip(line, "BEGIN 嵌套过深", "BEGIN within BEGIN, too deep");
                    return;
                }
                if value == "VEVENT" && open == ["VCALENDAR"] {
                    event = Some(Event { line, ..Event::default() });
                }
                open.push(value);
            }
            "END" => {
                if open.last() != Some(&value) {
                    let zh =
                        format!("这里应是 END:{}", open.last().map_or_else(String::new, |open| short(open)));
                    import.slip(line, zh, format!("this END:{} ends nothing that is open", short(&value)));
                    return;
                }
                open.pop();
                if value == "VEVENT"
                    && open == ["VCALENDAR"]
                    && let Some(event) = event.take()
                {
                    judge(import, event);
                }
            }
            _ if open == ["VCALENDAR", "VEVENT"] => {
                if let Some(event) = &mut event {
                    note(event, &content, zone);
                }
            }
            _ => {}
        }
    }
    if let Some(open) = open.last() {
        let lines = text.lines().count();
        import.slip(
            lines,
            format!("文件不完整：缺少 END:{}", short(open)),
            format!("the file is not complete: END:{} is missing", short(open)),
        );
    }
}

/// Logical lines and where each begins: a line that begins with a space or a tab goes on the one before (3.1).
fn unfolded(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(more), Some((_, before))) => {
                if before.len() + more.len() <= MAX_LINE_BYTES {
                    before.push_str(more);
                }
            }
            _ => {
                let cut = line
                    .char_indices()
                    .map(|(at, c)| at + c.len_utf8())
                    .take_while(|end| *end <= MAX_LINE_BYTES);
                let kept = line.get(..cut.last().unwrap_or(0)).unwrap_or_default();
                lines.push((number + 1, kept.to_owned()));
            }
        }
    }
    lines
}

fn content(line: &str) -> Option<Content<'_>> {
    let mut quoted = false;
    let colon = line.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        !quoted && *c == ':'
    });
    let (at, _) = colon?;
    let (head, value) = (line.get(..at)?, line.get(at + 1..)?);
    let name = head.split(';').next().unwrap_or_default();
    Some(Content { name: name.trim().to_ascii_uppercase(), value })
}

fn note(event: &mut Event, content: &Content<'_>, zone: &TimeZone) {
    let mut when = || {
        let moment = moment(content.value.trim(), zone);
        if moment.is_none() {
            let name = &content.name;
            event.wrong = Some(Text::new(
                format!("{name} 不是日期"),
                format!("{name} is not a day such as 20261001 or a moment such as 20261001T090000"),
            ));
        }
        moment
    };
    match content.name.as_str() {
        "DTSTART" => event.start = when(),
        "DTEND" => event.end = when(),
        "DURATION" => {
            event.days = days(content.value.trim());
            if event.days.is_none() {
                event.wrong =
                    Some(Text::new("DURATION 应是整天，例如 P7D", "DURATION must be whole days such as P7D"));
            }
        }
        "SUMMARY" => event.summary = unescaped(content.value),
        "RRULE" | "RDATE" | "RECURRENCE-ID" => event.repeated = true,
        "STATUS" => event.cancelled = content.value.trim().eq_ignore_ascii_case("CANCELLED"),
        "X-APPLE-SPECIAL-DAY" => {
            event.special = match content.value.trim() {
                "WORK-HOLIDAY" => Some(Kind::Holiday),
                "ALTERNATE-WORKDAY" => Some(Kind::MakeUp),
                _ => None,
            }
        }
        _ => {}
    }
}

fn judge(import: &mut Import, event: Event) {
    let Event { line, start, end, days, summary, special, repeated, cancelled, wrong } = event;
    if cancelled {
        return;
    }
    let kind = special.or_else(|| kind_of(&summary));
    let Some(kind) = kind else {
        let summary = short(&summary);
        import.unclear.push(Remark {
            line,
            what: Text::new(
                format!("“{summary}”没有写明是放假（休）还是上班（班）"),
                format!("'{summary}' says neither that people rest (休, 假) nor that they work (班)"),
            ),
        });
        return;
    };
    if let Some(wrong) = wrong {
        import.slip(line, wrong.zh, wrong.en);
        return;
    }
    if repeated {
        import.slip(
            line,
            "重复的日程（RRULE、RDATE）不读取：请改用每天一条的文件",
            "an event that repeats (RRULE, RDATE) is not read: use a file with one event for each time",
        );
        return;
    }
    let Some((first, time)) = start else {
        import.slip(line, "日程没有 DTSTART", "the event has no DTSTART");
        return;
    };
    let last = last_day(first, end, days);
    let whole_days = time.is_none() || kind == Kind::MakeUp;
    if !whole_days && first == last && time.is_some_and(|at| at != Time::midnight()) {
        import.slip(
            line,
            "放假应是整天，这一条只有几个小时",
            "a holiday must be whole days, this is some hours of one",
        );
        return;
    }
    let name = if kind == Kind::MakeUp { "补班".to_owned() } else { name_of(&summary) };
    if kind != Kind::MakeUp || last <= first {
        import.take(Entry { line, kind, name, first, last, rings: None, periods: Vec::new() });
        return;
    }
    // One entry for each day: each may ring the bells of another weekday.
    if first.until(last).is_ok_and(|span| span.get_days() >= MAX_MAKEUP_DAYS) {
        import.slip(line, "补班不会有这么多天", "there are no make-up workdays for so long");
        return;
    }
    for day in first.series(1.day()).take_while(|day| *day <= last) {
        import.take(super::single(line, kind, name.clone(), day));
    }
}

/// DTEND is the day after the last, or a moment; some write the last day itself where it is also the first.
fn last_day(first: Date, end: Option<(Date, Option<Time>)>, days: Option<i32>) -> Date {
    match (end, days) {
        (Some((end, at)), _) if end > first && at.is_none_or(|at| at == Time::midnight()) => {
            end.yesterday().unwrap_or(end)
        }
        (Some((end, _)), _) => end,
        (None, Some(days)) => first.checked_add((days - 1).days()).unwrap_or(first),
        (None, None) => first,
    }
}

/// Whether people rest or work, by the words in use: 休, 假 and 班.
fn kind_of(summary: &str) -> Option<Kind> {
    // 调休 is the exchange as such and says neither.
    let summary = summary.replace("调休", "");
    let of = |text: &str| {
        let (rest, work) = (text.contains(['休', '假']), text.contains('班'));
        match (rest, work) {
            (true, false) => Some(Kind::Holiday),
            (false, true) => Some(Kind::MakeUp),
            _ => None,
        }
    };
    // 上班(补国庆节假期): what stands in brackets explains what stands before them.
    let before = summary.split(['(', '（', '【', '[']).next().unwrap_or_default();
    of(before).or_else(|| of(&summary))
}

/// A holiday's name without the mark: 国庆节（休）, 国庆节 假期 第1天/共7天, 国庆节假期.
fn name_of(summary: &str) -> String {
    let head = summary.trim().split(['(', '（', '【', '[', ' ', '\u{3000}']).next().unwrap_or_default();
    let mut name = head;
    for mark in ["放假", "假期", "调休", "休"] {
        name = name.strip_suffix(mark).unwrap_or(name);
    }
    let name = if name.is_empty() { summary.trim() } else { name };
    if name.is_empty() { "放假".to_owned() } else { name.to_owned() }
}

/// `20261001`, `20261001T090000` (local), `20261001T010000Z` (UTC).
fn moment(text: &str, zone: &TimeZone) -> Option<(Date, Option<Time>)> {
    let digits = |range: std::ops::Range<usize>| -> Option<i16> {
        let part = text.get(range)?;
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten()
    };
    let small = |range| digits(range).and_then(|n| i8::try_from(n).ok());
    let date = Date::new(digits(0..4)?, small(4..6)?, small(6..8)?).ok()?;
    if text.len() == 8 {
        return Some((date, None));
    }
    let time = Time::new(small(9..11)?, small(11..13)?, small(13..15)?.min(59), 0).ok()?;
    match (text.get(8..9)?, text.get(15..)?) {
        ("T", "") => Some((date, Some(time))),
        ("T", "Z") => {
            let utc = DateTime::from_parts(date, time).to_zoned(TimeZone::UTC).ok()?;
            let local = utc.with_time_zone(zone.clone());
            Some((local.date(), Some(local.time())))
        }
        _ => None,
    }
}

/// Whole days of a `DURATION` (3.3.6): `P7D`, `P1W`.
fn days(text: &str) -> Option<i32> {
    let rest = text.trim_start_matches('+').strip_prefix('P')?;
    let (number, unit) = rest.split_at_checked(rest.len().checked_sub(1)?)?;
    let number: i32 = number.parse().ok().filter(|n| (1..=400).contains(n))?;
    match unit {
        "D" => Some(number),
        "W" => number.checked_mul(7),
        _ => None,
    }
}

/// A text without the escapes of 3.3.11.
fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n' | 'N') => plain.push(' '),
                Some(other) => plain.push(other),
                None => {}
            },
            other => plain.push(other),
        }
    }
    plain
}

/// A text for a message.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

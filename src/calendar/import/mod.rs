//! Terms, holidays, make-up workdays and examinations from a file that somebody else made: a table (CSV) or an
//! iCalendar file (RFC 5545).
//!
//! What is not clear is told with its line and never guessed.

mod ics;
mod table;

use super::parse::weekday_word;
use super::{Calendar, DayKind, Period};
use crate::document::sheet;
use crate::model::Text;
use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Largest file that is read, bytes.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Most entries of a file.
pub const MAX_ENTRIES: usize = 5_000;
/// Longest term, holiday or examination, days.
const MAX_DAYS: i32 = 400;
/// Longest name, characters.
const MAX_NAME_CHARS: usize = 100;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Term,
    Holiday,
    MakeUp,
    Exam,
}

/// One entry of a file.
#[derive(Debug, Clone)]
struct Entry {
    line: usize,
    kind: Kind,
    name: String,
    first: Date,
    last: Date,
    /// Of a make-up workday: whose bells ring.
    rings: Option<Weekday>,
    /// Of an examination.
    periods: Vec<Period>,
}

/// Something about a line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// From 1.
    pub line: usize,
    /// What, and what was expected.
    pub what: Text,
}

/// What a file says.
#[derive(Debug, Default)]
pub struct Import {
    /// What is wrong: with any of it the file should not be taken.
    pub slips: Vec<Remark>,
    /// What is left out because it does not say what it is.
    pub unclear: Vec<Remark>,
    /// The name of the file's encoding.
    pub encoding: &'static str,
    entries: Vec<Entry>,
}

impl Import {
    /// Reads a file; moments in it are turned into days of `zone`.
    #[must_use]
    pub fn read(bytes: &[u8], zone: &TimeZone) -> Self {
        let mut import = Self::default();
        if bytes.len() > MAX_BYTES {
            let zh = format!("文件有 {} 字节，最多 {MAX_BYTES}", bytes.len());
            import.slip(1, zh, format!("the file has {} bytes, at most {MAX_BYTES} are read", bytes.len()));
            return import;
        }
        let Some((text, encoding)) = sheet::decoded(bytes) else {
            import.slip(
                1,
                "文件既不是 UTF-8 也不是 GBK；请另存为“CSV UTF-8”",
                "the file is neither UTF-8 nor GBK: save it as \"CSV UTF-8\"",
            );
            return import;
        };
        import.encoding = encoding;
        if text.trim_start().get(..15).is_some_and(|head| head.eq_ignore_ascii_case("BEGIN:VCALENDAR")) {
            ics::read(&mut import, &text, zone);
        } else {
            table::read(&mut import, &text);
        }
        if import.slips.is_empty() && import.entries.is_empty() && import.unclear.is_empty() {
            import.slip(1, "文件里没有任何日期", "there is no day in the file");
        }
        import.contradictions();
        import
    }

    /// How many entries say what they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing says what it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Says whose bells ring on a make-up workday of the file; `false` where it has none on that day.
    pub fn ring(&mut self, day: Date, rings: Weekday) -> bool {
        let mut found = false;
        for entry in self.entries.iter_mut().filter(|entry| entry.kind == Kind::MakeUp) {
            if (entry.first..=entry.last).contains(&day) && entry.first == entry.last {
                entry.rings = Some(rings);
                found = true;
            }
        }
        found
    }

    /// Leaves out what the calendar knows already.
    pub fn leave_out(&mut self, known: &Calendar) {
        let days = self.days(Kind::Holiday);
        let new = days.into_iter().filter(|(day, _)| known.holiday(*day).is_none());
        let mut holidays = Vec::new();
        for (day, (line, name)) in new {
            holidays.push(single(line, Kind::Holiday, name, day));
        }
        self.entries.retain(|entry| match entry.kind {
            Kind::Holiday => false,
            Kind::MakeUp => !known.makeup.contains_key(&entry.first),
            Kind::Term => !known.terms.iter().any(|t| (t.first, t.last) == (entry.first, entry.last)),
            Kind::Exam => !known
                .exams
                .iter()
                .any(|(e, periods)| (e.first, e.last, periods) == (entry.first, entry.last, &entry.periods)),
        });
        self.entries.extend(holidays);
    }

    /// The text of a file for `conf.d`.
    #[must_use]
    pub fn toml(&self, head: &str, calendar: Option<&str>) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut text = String::new();
        for line in head.lines() {
            writeln!(text, "# {}", plain(line)).ok();
        }
        text.push_str("[[calendar_days]]\n");
        if let Some(calendar) = calendar {
            writeln!(text, "calendar = {}", quoted(calendar)).ok();
        }
        let mut makeup: BTreeMap<Date, Option<Weekday>> = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| entry.kind == Kind::MakeUp) {
            for day in each(entry) {
                makeup.insert(day, entry.rings);
            }
        }
        if !makeup.is_empty() {
            let word = |(day, rings): (Date, Option<Weekday>)| match rings {
                Some(rings) => format!("    \"{day} as {}\",\n", weekday_word(rings)),
                None => format!("    \"{day}\",\n"),
            };
            let days: String = makeup.into_iter().map(word).collect();
            writeln!(text, "makeup = [\n{days}]").ok();
        }
        let mut table = |key: &str, name: &str, first: Date, last: Date, periods: &[Period]| {
            let name = quoted(name);
            writeln!(
                text,
                "\n[[calendar_days.{key}]]\nname = {name}\nfirst = \"{first}\"\nlast = \"{last}\""
            )
            .ok();
            if !periods.is_empty() {
                let periods: Vec<String> = periods.iter().map(|period| format!("\"{period}\"")).collect();
                writeln!(text, "periods = [{}]", periods.join(", ")).ok();
            }
        };
        let mut terms: Vec<&Entry> = self.entries.iter().filter(|e| e.kind == Kind::Term).collect();
        terms.sort_by_key(|entry| entry.first);
        for term in terms {
            table("term", &term.name, term.first, term.last, &[]);
        }
        for (name, first, last) in runs(self.days(Kind::Holiday)) {
            table("holiday", &name, first, last, &[]);
        }
        let mut exams: Vec<&Entry> = self.entries.iter().filter(|e| e.kind == Kind::Exam).collect();
        exams.sort_by_key(|entry| (entry.first, entry.periods.clone()));
        for exam in exams {
            table("exam", &exam.name, exam.first, exam.last, &exam.periods);
        }
        text
    }

    /// Every day of the entries of a kind, with the line and name of the first that has it.
    fn days(&self, kind: Kind) -> BTreeMap<Date, (usize, String)> {
        let mut days = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| entry.kind == kind) {
            for day in each(entry) {
                days.entry(day).or_insert((entry.line, entry.name.clone()));
            }
        }
        days
    }

    /// Notes days that are both a holiday and a make-up workday.
    fn contradictions(&mut self) {
        let holidays = self.days(Kind::Holiday);
        for (day, (line, _)) in self.days(Kind::MakeUp) {
            if let Some((other, _)) = holidays.get(&day) {
                self.slip(
                    line,
                    format!("{day} 在第 {other} 行是放假，在这里是上班"),
                    format!("{day} is a holiday on line {other} and a make-up workday here"),
                );
            }
        }
    }

    fn slip(&mut self, line: usize, zh: impl Into<String>, en: impl Into<String>) {
        self.slips.push(Remark { line, what: Text::new(zh, en) });
    }

    /// Takes an entry, if it is one that can be.
    fn take(&mut self, entry: Entry) {
        let (line, first, last) = (entry.line, entry.first, entry.last);
        let days = first.until(last).map_or(i32::MAX, |span| span.get_days());
        if last < first {
            let zh = format!("结束 {last} 早于开始 {first}");
            self.slip(line, zh, format!("it ends on {last}, before it begins on {first}"));
        } else if days > MAX_DAYS {
            let zh = format!("从 {first} 到 {last} 超过 {MAX_DAYS} 天");
            self.slip(line, zh, format!("from {first} to {last} is more than {MAX_DAYS} days"));
        } else if !(2000..=2100).contains(&first.year()) {
            let zh = format!("{first} 不在 2000 年到 2100 年之间");
            self.slip(line, zh, format!("{first} is not within the years 2000 to 2100"));
        } else if self.entries.len() >= MAX_ENTRIES {
            if self.entries.len() == MAX_ENTRIES && self.slips.last().is_none_or(|slip| slip.line != 0) {
                let zh = format!("超过 {MAX_ENTRIES} 项");
                self.slip(0, zh, format!("there are more than {MAX_ENTRIES} entries"));
            }
        } else {
            let name = plain(&entry.name);
            self.entries.push(Entry { name, ..entry });
        }
    }
}

fn single(line: usize, kind: Kind, name: String, day: Date) -> Entry {
    Entry { line, kind, name, first: day, last: day, rings: None, periods: Vec::new() }
}

fn each(entry: &Entry) -> impl Iterator<Item = Date> + use<> {
    let last = entry.last;
    entry.first.series(1.day()).take_while(move |day| *day <= last)
}

/// Days in a row that have one name.
fn runs(days: BTreeMap<Date, (usize, String)>) -> Vec<(String, Date, Date)> {
    let mut runs: Vec<(String, Date, Date)> = Vec::new();
    for (day, (_, name)) in days {
        match runs.last_mut() {
            Some((before, _, last)) if *before == name && last.tomorrow().is_ok_and(|next| next == day) => {
                *last = day;
            }
            _ => runs.push((name, day, day)),
        }
    }
    runs
}

/// A name on one line and not too long.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_NAME_CHARS).collect::<String>().trim().to_owned()
}

/// Days in a row that change alike from one calendar to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// First of them.
    pub first: Date,
    /// Last of them.
    pub last: Date,
    /// What they were.
    pub from: DayKind,
    /// What they become.
    pub to: DayKind,
    /// What names them then.
    pub names: Vec<String>,
    /// Whether the examinations of these days change.
    pub exams: bool,
}

/// What is different in `new`, over all days that either of them says anything of.
#[must_use]
pub fn changes(old: &Calendar, new: &Calendar) -> Vec<Change> {
    let extents: Vec<(Date, Date)> = [old.extent(), new.extent()].into_iter().flatten().collect();
    let Some((first, last)) = extents.into_iter().reduce(|(a, b), (c, d)| (a.min(c), b.max(d))) else {
        return Vec::new();
    };
    let mut changes: Vec<Change> = Vec::new();
    for day in first.series(1.day()).take_while(|day| *day <= last) {
        let (before, after) = (old.day(day), new.day(day));
        let names: BTreeSet<&String> = before.names.iter().collect();
        let renamed = after.names.iter().any(|name| !names.contains(name)) && !after.exams.is_empty();
        let exams = before.exams != after.exams || renamed;
        if before.kind == after.kind && before.bells == after.bells && !exams {
            continue;
        }
        let change =
            Change { first: day, last: day, from: before.kind, to: after.kind, names: after.names, exams };
        match changes.last_mut() {
            Some(run)
                if run.last.tomorrow().is_ok_and(|next| next == day)
                    && (run.from, run.to, run.exams) == (change.from, change.to, change.exams)
                    && run.names == change.names =>
            {
                run.last = day;
            }
            _ => changes.push(change),
        }
    }
    changes
}

#[cfg(test)]
mod tests;

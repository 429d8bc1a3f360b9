//! Terms, holidays with make-up workdays, bell schedule: "is this teaching time?"
//!
//! A day's bells ring when it lies in a term (or no terms are given) and is no holiday; a make-up workday (调休)
//! rings the bells of the weekday it stands for. An exception has bells or nights of its own from one day to another: a
//! summer timetable, a camp in the holidays. Periods are local time; each becomes a span between two instants, so a
//! change to summer time inside a lesson makes it shorter or longer and nothing else.

mod cycle;
mod day;
pub mod import;
mod parse;
mod written;

pub use day::{Day, DayKind};
pub use parse::{weekday as weekday_named, weekday_word};
pub use written::Written;

pub use cycle::Cycle;

use crate::document::Reader;
use crate::model::Wall;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use std::collections::BTreeMap;

/// What the school's own calendar is called where a name is asked for.
pub const MAIN: &str = "main";

/// The curfew of a school that told us nothing.
const NIGHT: Period = Period { start: 22 * 60 + 30, end: 30 * 60 };

/// How far [`Calendar::next_change`] looks ahead, in days: past any summer holiday.
pub const MAX_LOOKAHEAD_DAYS: usize = 400;

/// A working example: the TOML of `[calendar]`.
pub const EXAMPLE: &str = r#"[calendar]
# Workdays in exchange for a holiday, each with the weekday whose bells ring. Without "as" it is an ordinary
# school day, which is clear only while Monday to Friday have the same bells.
makeup = ["2026-09-20 as fri", "2026-10-10 as wed"]

[[calendar.term]]            # no terms at all: the whole year is term
name = "2026 autumn"
first = "2026-09-01"
last = "2027-01-22"          # the last day counts

[[calendar.holiday]]
name = "National Day"
first = "2026-10-01"
last = "2026-10-07"

[[calendar.bell]]            # no bells at all: Monday to Friday 08:00-17:30
days = ["mon", "tue", "wed", "thu", "fri"]
periods = ["08:00-11:40", "14:00-17:30"]

[[calendar.bell]]            # adds to the above: evening self-study
days = ["mon", "tue", "wed", "thu"]
periods = ["19:00-21:00"]    # up to "24:00"

[[calendar.exam]]            # examinations, also on days without bells; rules of the kind exam_watch ask for them
name = "final examination"
first = "2027-01-18"
last = "2027-01-20"
periods = ["08:30-11:30", "14:00-16:30"]

[[calendar.curfew]]          # nights for rules of the kind curfew; none at all: every evening 22:30-06:00
days = ["sun", "mon", "tue", "wed", "thu"]   # the weekday of the evening
hours = "22:30-06:00"        # may go past midnight

[[calendar.exception]]       # other bells, or other nights, from one day to another
name = "summer timetable"
first = "2027-05-01"
last = "2027-09-30"

[[calendar.exception.bell]]  # instead of every [[calendar.bell]] on these days
days = ["mon", "tue", "wed", "thu", "fri"]
periods = ["08:00-11:40", "14:30-18:00"]

[[calendar.exception]]
name = "summer camp"
first = "2027-07-20"
last = "2027-07-31"
also_in_holidays = true      # its bells ring outside terms and on holidays, too

[[calendar.exception.bell]]
days = ["mon", "tue", "wed", "thu", "fri", "sat"]
periods = ["09:00-12:00"]

[[calendar.exception.curfew]]   # instead of every [[calendar.curfew]] in these nights
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
hours = "21:30-06:30"
"#;

/// Which hours of the calendar are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// Lessons and self-study.
    Teaching,
    /// Examinations.
    Exam,
    /// Nights in which boarders stay in.
    Curfew,
}

/// By days since Monday: periods in order.
type Week = BTreeMap<i8, Vec<Period>>;

/// A calendar: the school's, or another one such as that of a second campus or of the boarding house.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: TimeZone,
    /// Empty: the whole year.
    terms: Vec<Span>,
    holidays: Vec<Span>,
    /// Make-up workdays and the weekday whose bells ring.
    makeup: BTreeMap<Date, Weekday>,
    /// Without overlaps.
    bells: Week,
    /// Days with examinations, and when.
    exams: Vec<(Span, Vec<Period>)>,
    /// When the curfew of each evening begins and ends.
    curfew: Week,
    /// Of several that hold on a day the last counts.
    exceptions: Vec<Exception>,
}

/// Days from the first to the last, both included, by their name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    name: String,
    first: Date,
    last: Date,
}

impl Span {
    fn holds(&self, day: Date) -> bool {
        (self.first..=self.last).contains(&day)
    }
}

/// Other bells or nights for some time.
#[derive(Debug, Clone)]
struct Exception {
    span: Span,
    bells: Option<Week>,
    curfew: Option<Week>,
    /// Its bells ring outside terms and on holidays, too.
    also_in_holidays: bool,
}

/// Local time from `start` up to but not including `end`, in minutes since midnight; an end past 1440 is on the next
/// day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period {
    start: i64,
    end: i64,
}

impl Period {
    /// Reads `"22:30-06:00"`: hours of a day that may go past midnight.
    ///
    /// # Errors
    /// What is wrong with it, in Chinese and English.
    pub fn over_night(text: &str) -> Result<Self, (&'static str, &'static str)> {
        parse::over_night(text)
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let clock = |minutes: i64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        // 24:00 is the end of a day; what is later is a time of the next.
        let end = if self.end > 24 * 60 { self.end - 24 * 60 } else { self.end };
        write!(f, "{}-{}", clock(self.start), clock(end))
    }
}

/// Reads a time of day, `"03:00"`, as minutes since midnight.
#[must_use]
pub fn time_of_day(text: &str) -> Option<i64> {
    parse::minutes(text).filter(|minutes| *minutes < 24 * 60)
}

impl Calendar {
    /// Reads `[calendar]`; problems are noted in the reader, and `None` is returned when there is any. The caller
    /// finishes the reader.
    #[must_use]
    pub fn parse(reader: &Reader<'_>, zone: &TimeZone) -> Option<Self> {
        let before = reader.problems().len();
        let calendar = Written::read(reader).calendar(zone, reader.problems());
        (reader.problems().len() == before).then_some(calendar)
    }

    /// A school that told us nothing: Monday to Friday 08:00 to 17:30, the whole year.
    #[must_use]
    pub fn default_school(zone: TimeZone) -> Self {
        let day = vec![Period { start: 8 * 60, end: 17 * 60 + 30 }];
        Self {
            zone,
            terms: Vec::new(),
            holidays: Vec::new(),
            makeup: BTreeMap::new(),
            bells: (0..5).map(|weekday| (weekday, day.clone())).collect(),
            exams: Vec::new(),
            curfew: (0..7).map(|weekday| (weekday, vec![NIGHT])).collect(),
            exceptions: Vec::new(),
        }
    }

    /// Whether lessons or self-study are scheduled at `at`.
    #[must_use]
    pub fn is_teaching_time(&self, at: Wall) -> bool {
        self.holds(Times::Teaching, at)
    }

    /// Whether some of the time from one moment to another is teaching time.
    #[must_use]
    pub fn is_taught(&self, (from, to): (Wall, Wall)) -> bool {
        self.is_teaching_time(from) || self.next_change(Times::Teaching, from).is_some_and(|bell| bell < to)
    }

    /// Whether `at` lies within such hours.
    #[must_use]
    pub fn holds(&self, times: Times, at: Wall) -> bool {
        // Four days, because a zone that turns its clocks back over midnight lives part of a day twice, and a night
        // begins on the day before.
        self.spans(times, at, 4).any(|(start, end)| start <= at && at < end)
    }

    /// When the answer of [`Calendar::holds`] next changes after `at`; `None` when it does not within
    /// [`MAX_LOOKAHEAD_DAYS`].
    #[must_use]
    pub fn next_change(&self, times: Times, at: Wall) -> Option<Wall> {
        let mut over = None;
        for (start, end) in self.spans(times, at, MAX_LOOKAHEAD_DAYS) {
            match over {
                _ if end <= at => {}
                None if start > at => return Some(start),
                None => over = Some(end),
                // One period ends as the next begins: still the same.
                Some(until) if start <= until => over = Some(end.max(until)),
                Some(until) => return Some(until),
            }
        }
        // Teaching day and night up to the end of the search is no change.
        let horizon = at.plus_ms(24 * 3_600_000 * i64::try_from(MAX_LOOKAHEAD_DAYS - 3).unwrap_or(0));
        over.filter(|until| *until < horizon)
    }

    /// These hours of each day from the day before `at` to the day after, as instants, each with its place in the
    /// list.
    #[must_use]
    pub fn daily(&self, periods: &[Period], at: Wall) -> Vec<(usize, Wall, Wall)> {
        let spans = self.days(at, 3).flat_map(|day| {
            periods.iter().enumerate().filter_map(move |(turn, period)| {
                Some((turn, self.instant(day, period.start)?, self.instant(day, period.end)?))
            })
        });
        spans.filter(|(_, start, end)| start < end).collect()
    }

    /// The last moment up to `at` at which a local clock showed this time of day, in minutes since midnight.
    #[must_use]
    pub fn last_at(&self, minutes: i64, at: Wall) -> Option<Wall> {
        self.days(at, 3).filter_map(|day| self.instant(day, minutes)).filter(|moment| *moment <= at).max()
    }

    /// Some days from the day before `at` on.
    fn days(&self, at: Wall, days: usize) -> impl Iterator<Item = Date> + use<> {
        let today = Timestamp::from_millisecond(at.0).ok().map(|t| t.to_zoned(self.zone.clone()).date());
        let first = today.and_then(|day| day.yesterday().ok());
        first.into_iter().flat_map(move |first| first.series(1.day()).take(days))
    }

    /// The periods of some days from the day before `at` on, as instants, in order.
    fn spans(&self, times: Times, at: Wall, days: usize) -> impl Iterator<Item = (Wall, Wall)> {
        self.days(at, days).flat_map(move |day| {
            let periods = match times {
                Times::Teaching => self.bells_of(day).to_vec(),
                Times::Exam => self.exams_of(day),
                Times::Curfew => self.curfew_of(day).to_vec(),
            };
            periods
                .into_iter()
                .filter_map(move |p| Some((self.instant(day, p.start)?, self.instant(day, p.end)?)))
                .filter(|(start, end)| start < end)
        })
    }

    fn exams_of(&self, day: Date) -> Vec<Period> {
        let here = self.exams.iter().filter(|(span, _)| span.holds(day));
        let mut periods: Vec<Period> = here.flat_map(|(_, periods)| periods.iter().copied()).collect();
        periods.sort_unstable();
        periods
    }

    /// The nights that begin on this day.
    fn curfew_of(&self, day: Date) -> &[Period] {
        let exception = self.exceptions.iter().rev().filter(|exception| exception.span.holds(day));
        let other = exception.into_iter().find_map(|exception| exception.curfew.as_ref());
        on(other.unwrap_or(&self.curfew), day.weekday())
    }

    fn bells_of(&self, day: Date) -> &[Period] {
        let stands_for = self.school_day(day);
        let exception = self.ringing(day);
        if stands_for.is_none() && !exception.is_some_and(|exception| exception.also_in_holidays) {
            return &[];
        }
        let bells = exception.and_then(|exception| exception.bells.as_ref()).unwrap_or(&self.bells);
        on(bells, stands_for.unwrap_or(day.weekday()))
    }

    /// The exception whose bells ring on this day instead of the usual ones.
    fn ringing(&self, day: Date) -> Option<&Exception> {
        let school_day = self.school_day(day).is_some();
        self.exceptions.iter().rev().find(|exception| {
            exception.span.holds(day)
                && exception.bells.is_some()
                && (school_day || exception.also_in_holidays)
        })
    }

    /// The weekday whose bells ring on this day; `None` outside terms and on holidays.
    fn school_day(&self, day: Date) -> Option<Weekday> {
        if !self.terms.is_empty() && !self.terms.iter().any(|term| term.holds(day)) {
            return None;
        }
        let makeup = self.makeup.get(&day).copied();
        makeup.or_else(|| self.holiday(day).is_none().then(|| day.weekday()))
    }

    fn holiday(&self, day: Date) -> Option<&Span> {
        self.holidays.iter().find(|holiday| holiday.holds(day))
    }

    fn instant(&self, day: Date, minutes: i64) -> Option<Wall> {
        let local = day.to_datetime(Time::midnight()).checked_add(SignedDuration::from_mins(minutes)).ok()?;
        Some(Wall(self.zone.to_timestamp(local).ok()?.as_millisecond()))
    }
}

/// The periods of a weekday.
fn on(week: &Week, day: Weekday) -> &[Period] {
    week.get(&day.to_monday_zero_offset()).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests;

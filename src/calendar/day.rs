//! One day as a calendar sees it, and how long a calendar will do.

use super::{Calendar, Period};
use crate::model::Wall;
use jiff::civil::{Date, Weekday};
use jiff::{Timestamp, ToSpan};

/// What sort of day it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayKind {
    /// Bells ring.
    Teaching,
    /// A workday in exchange for a holiday (调休); the bells of this weekday ring.
    MakeUp(Weekday),
    /// A day of a term without bells.
    Free,
    /// A holiday of the calendar.
    Holiday,
    /// Between terms.
    OutsideTerms,
}

impl DayKind {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Teaching => "teaching",
            Self::MakeUp(_) => "makeup",
            Self::Free => "free",
            Self::Holiday => "holiday",
            Self::OutsideTerms => "outside_terms",
        }
    }
}

/// One day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// Which.
    pub date: Date,
    /// What sort of day.
    pub kind: DayKind,
    /// What names it: the term, the holiday, examinations, an exception that holds; in this order.
    pub names: Vec<String>,
    /// Lessons and self-study.
    pub bells: Vec<Period>,
    /// Examinations.
    pub exams: Vec<Period>,
    /// Nights that begin on this day.
    pub curfew: Vec<Period>,
}

impl Calendar {
    /// What this day is.
    #[must_use]
    pub fn day(&self, date: Date) -> Day {
        let bells = self.bells_of(date).to_vec();
        let holiday = self.holiday(date);
        let kind = match (self.school_day(date), self.makeup.get(&date)) {
            (Some(_), Some(weekday)) => DayKind::MakeUp(*weekday),
            (Some(_), None) if bells.is_empty() => DayKind::Free,
            (Some(_), None) => DayKind::Teaching,
            (None, _) if holiday.is_some() => DayKind::Holiday,
            (None, _) => DayKind::OutsideTerms,
        };
        let term = self.terms.iter().find(|term| term.holds(date));
        let exams = self.exams.iter().map(|(span, _)| span).filter(|span| span.holds(date));
        let exceptions = self.exceptions.iter().map(|e| &e.span).filter(|span| span.holds(date));
        let names = term.into_iter().chain(holiday).chain(exams).chain(exceptions);
        Day {
            date,
            kind,
            names: names.map(|span| span.name.clone()).collect(),
            bells,
            exams: self.exams_of(date),
            curfew: self.curfew_of(date).to_vec(),
        }
    }

    /// The local date at a moment, and the hour of the day, 0 to 23.
    #[must_use]
    pub fn local(&self, at: Wall) -> Option<(Date, i8)> {
        let local = Timestamp::from_millisecond(at.0).ok()?.to_zoned(self.zone.clone());
        Some((local.date(), local.hour()))
    }

    /// The moment at which a day begins.
    #[must_use]
    pub fn begin(&self, date: Date) -> Option<Wall> {
        self.instant(date, 0)
    }

    /// The last day of the last term; `None` where no terms are given.
    #[must_use]
    pub fn last_term_day(&self) -> Option<Date> {
        self.terms.iter().map(|term| term.last).max()
    }

    /// The last day of the last year of which a holiday is known; `None` where none is.
    #[must_use]
    pub fn holidays_known_until(&self) -> Option<Date> {
        // A holiday over the turn of the year says nothing of the second.
        let year = self.holidays.iter().map(|holiday| holiday.first.year()).max()?;
        Date::new(year, 12, 31).ok()
    }

    /// From the first to the last day of which something is written; `None` where nothing is.
    #[must_use]
    pub fn extent(&self) -> Option<(Date, Date)> {
        let exams = self.exams.iter().map(|(span, _)| span);
        let exceptions = self.exceptions.iter().map(|exception| &exception.span);
        let spans = self.terms.iter().chain(&self.holidays).chain(exams).chain(exceptions);
        let spans = spans.map(|span| (span.first, span.last));
        let makeup = self.makeup.keys().map(|day| (*day, *day));
        spans.chain(makeup).reduce(|(a, b), (first, last)| (a.min(first), b.max(last)))
    }

    /// How many days from the local date at `at` to `date`; negative when it is over.
    #[must_use]
    pub fn days_until(&self, date: Date, at: Wall) -> Option<i32> {
        let (today, _) = self.local(at)?;
        today.until(date).ok().map(|span| span.get_days())
    }

    /// The moment `days` before `date` begins.
    #[must_use]
    pub fn days_before(&self, date: Date, days: i32) -> Option<Wall> {
        self.begin(date.checked_sub(days.days()).ok()?)
    }
}

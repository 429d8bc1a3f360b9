//! Days, months, terms and school years as spans between two instants: what budgets and comparisons are about.

use super::Calendar;
use crate::model::Wall;
use jiff::civil::{Date, Weekday};
use jiff::{Timestamp, ToSpan};

/// The month with which a school year begins.
const FIRST_MONTH: i8 = 9;

/// What begins anew again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cycle {
    /// The local day.
    Day,
    /// The local month.
    Month,
    /// The term, as the calendar says.
    Term,
    /// From the first of September on.
    SchoolYear,
}

impl Calendar {
    /// The cycle that holds a moment: its first moment and the first one after it. `None` between terms.
    #[must_use]
    pub fn cycle(&self, cycle: Cycle, at: Wall) -> Option<(Wall, Wall)> {
        let today = self.date_at(at)?;
        let (first, last) = match cycle {
            Cycle::Day => (today, today),
            Cycle::Month => (today.first_of_month(), today.last_of_month()),
            Cycle::Term => {
                let term = self.terms.iter().find(|term| (term.first..=term.last).contains(&today))?;
                (term.first, term.last)
            }
            Cycle::SchoolYear => {
                let before = i16::from(today.month() < FIRST_MONTH);
                let first = Date::new(today.year().checked_sub(before)?, FIRST_MONTH, 1).ok()?;
                (first, first.checked_add(1.year()).ok()?.yesterday().ok()?)
            }
        };
        Some((self.instant(first, 0)?, self.instant(last.tomorrow().ok()?, 0)?))
    }

    /// The local weekday.
    #[must_use]
    pub fn weekday_at(&self, at: Wall) -> Option<Weekday> {
        Some(self.date_at(at)?.weekday())
    }

    /// The hour by the local clock, 0 to 23.
    #[must_use]
    pub fn hour_at(&self, at: Wall) -> Option<i8> {
        Some(Timestamp::from_millisecond(at.0).ok()?.to_zoned(self.zone.clone()).hour())
    }

    /// The local date, for people: `2026-10-09`.
    #[must_use]
    pub fn day_name(&self, at: Wall) -> String {
        self.date_at(at).map_or_else(|| at.to_string(), |date| date.to_string())
    }

    /// The local time of day, for people: `08:15`.
    #[must_use]
    pub fn clock_name(&self, at: Wall) -> String {
        at.in_zone(&self.zone).get(11..16).map_or_else(|| at.to_string(), str::to_owned)
    }

    /// Whether terms are given.
    #[must_use]
    pub fn has_terms(&self) -> bool {
        !self.terms.is_empty()
    }

    fn date_at(&self, at: Wall) -> Option<Date> {
        Some(Timestamp::from_millisecond(at.0).ok()?.to_zoned(self.zone.clone()).date())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Document, Problems};
    use jiff::tz::TimeZone;

    fn read(text: &str, zone: &TimeZone) -> Calendar {
        let problems = Problems::new();
        let document = Document::parse("gateway.toml", text, &problems);
        let table = document.reader(&problems).table("calendar").expect("a table");
        Calendar::parse(&table, zone).expect("good")
    }

    fn at(zone: &TimeZone, text: &str) -> Wall {
        let local: jiff::civil::DateTime = text.parse().expect("a date and time");
        Wall(zone.to_timestamp(local).expect("exists").as_millisecond())
    }

    #[test]
    fn a_cycle_goes_from_midnight_to_midnight_also_where_the_clocks_change() {
        let eastern = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").expect("a rule");
        let calendar = read(crate::calendar::EXAMPLE, &eastern);
        for (cycle, moment, first, after) in [
            (Cycle::Day, "2026-11-01T00:00", "2026-11-01T00:00", "2026-11-02T00:00"),
            (Cycle::Day, "2026-10-31T23:59:59", "2026-10-31T00:00", "2026-11-01T00:00"),
            (Cycle::Month, "2026-11-15T12:00", "2026-11-01T00:00", "2026-12-01T00:00"),
            (Cycle::Month, "2026-12-31T23:59", "2026-12-01T00:00", "2027-01-01T00:00"),
            (Cycle::Term, "2026-10-03T12:00", "2026-09-01T00:00", "2027-01-23T00:00"),
            (Cycle::SchoolYear, "2026-08-31T23:59", "2025-09-01T00:00", "2026-09-01T00:00"),
            (Cycle::SchoolYear, "2026-09-01T00:00", "2026-09-01T00:00", "2027-09-01T00:00"),
        ] {
            let expected = (at(&eastern, first), at(&eastern, after));
            assert_eq!(calendar.cycle(cycle, at(&eastern, moment)), Some(expected), "{cycle:?} at {moment}");
        }
        let (start, end) = calendar.cycle(Cycle::Day, at(&eastern, "2026-11-01T12:00")).expect("a day");
        assert_eq!(end.since(start), 25 * 3_600_000);
        assert_eq!(calendar.cycle(Cycle::Term, at(&eastern, "2027-02-01T12:00")), None);
        assert_eq!(calendar.weekday_at(at(&eastern, "2026-11-01T00:00")), Some(Weekday::Sunday));
        assert_eq!(calendar.day_name(at(&eastern, "2026-11-01T00:00")), "2026-11-01");
        assert_eq!(calendar.clock_name(at(&eastern, "2026-11-01T00:05")), "00:05");
        assert_eq!(calendar.cycle(Cycle::Day, Wall(i64::MAX)), None);
        assert!(calendar.has_terms());
    }
}

//! The energy of a span, hour by hour or day by day, beside that of comparable times: teaching days with teaching days,
//! others with others, as the rule `deviation` has it.

use crate::calendar::{Calendar, Cycle};
use crate::model::Wall;
use crate::rules::median;
use std::collections::BTreeMap;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Compared with the last so many comparable days, at least half of them.
const COMPARED: usize = 10;
/// Comparable days are looked for so far back, days: over the longest holiday of a teaching term.
const MOST_BACK: usize = 60;
/// A year, in whole weeks, so that weekdays fall on weekdays: days.
const YEAR_DAYS: i64 = 52 * 7;

/// What a span is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// The median of the last comparable days.
    Comparable,
    /// The same weekday of the week before.
    Week,
    /// The same weekday a year before.
    Year,
}

impl Against {
    /// How many days before, where it is one day.
    fn days(self) -> Option<i64> {
        match self {
            Self::Comparable => None,
            Self::Week => Some(7),
            Self::Year => Some(YEAR_DAYS),
        }
    }
}

/// Periods of one length, by their first moment.
pub type Periods = BTreeMap<Wall, f64>;

/// A local day: its first moment, the next day's, and whether it is taught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Day {
    start: Wall,
    end: Wall,
    taught: bool,
}

/// A span, and the days with which its own are compared.
#[derive(Debug)]
pub struct Comparing<'c> {
    calendar: &'c Calendar,
    against: Against,
    span: (Wall, Wall),
    /// The days before the span as far back as is looked, then those of the span.
    days: Vec<Day>,
    /// Where those of the span begin.
    first: usize,
}

impl<'c> Comparing<'c> {
    /// Compares `[from, to)`.
    #[must_use]
    pub fn new(calendar: &'c Calendar, against: Against, span: (Wall, Wall)) -> Self {
        let mut comparing = Self { calendar, against, span, days: Vec::new(), first: 0 };
        if let Some(first) = comparing.day(span.0) {
            let before = |day: &Day| comparing.day(day.start.plus_ms(-1));
            let mut days: Vec<Day> = match against {
                Against::Comparable => {
                    std::iter::successors(before(&first), before).take(MOST_BACK).collect()
                }
                Against::Week | Against::Year => Vec::new(),
            };
            days.reverse();
            comparing.first = days.len();
            let next = |day: &Day| comparing.day(day.end);
            days.extend(std::iter::successors(Some(first), next).take_while(|day| day.start < span.1));
            comparing.days = days;
        }
        comparing
    }

    fn day(&self, at: Wall) -> Option<Day> {
        let (start, end) = self.calendar.cycle(Cycle::Day, at)?;
        Some(Day { start, end, taught: self.calendar.is_taught((start, end)) })
    }

    /// The same weekday so many days before, whatever clocks did between.
    fn earlier(&self, day: &Day, days: i64) -> Option<Day> {
        // Noon of a day is in it, also where clocks were turned.
        self.day(day.start.plus_ms(DAY_MS / 2 - days * DAY_MS))
    }

    /// The days, besides those of the span, that are needed to compare: spans that do not overlap, in their order.
    #[must_use]
    pub fn needs(&self) -> Vec<(Wall, Wall)> {
        let (before, own) = self.days.split_at_checked(self.first).unwrap_or_default();
        let mut days: BTreeMap<Wall, Wall> = BTreeMap::new();
        for taught in [true, false] {
            let alike = before.iter().rev().filter(|day| day.taught == taught);
            days.extend(alike.take(COMPARED).map(|day| (day.start, day.end)));
        }
        if let Some(back) = self.against.days() {
            let earlier = own.iter().filter_map(|day| self.earlier(day, back));
            days.extend(earlier.filter(|day| day.start < self.span.0).map(|day| (day.start, day.end)));
        }
        let mut spans: Vec<(Wall, Wall)> = Vec::new();
        for (start, end) in days {
            match spans.last_mut() {
                Some(last) if last.1 == start => last.1 = end,
                _ => spans.push((start, end)),
            }
        }
        // What is of the span itself is known.
        spans.retain_mut(|(from, to)| {
            *to = (*to).min(self.span.0);
            from < to
        });
        spans
    }

    /// What each period that was over by `now` is compared with; of `all` that are known, by days or by hours.
    #[must_use]
    pub fn compare(&self, all: &Periods, hourly: bool, now: Wall) -> Periods {
        let mut compared = Periods::new();
        for (place, day) in self.days.iter().enumerate().skip(self.first) {
            let starts = match hourly {
                true => all.range(day.start..day.end).map(|(start, _)| *start).collect(),
                false => vec![day.start],
            };
            let length = if hourly { HOUR_MS } else { day.end.since(day.start) };
            let (from, to) = self.span;
            let wanted = |start: &Wall| start.plus_ms(length) <= now && from <= *start && *start < to;
            let alike = self.alike(place, day);
            for start in starts.into_iter().filter(wanted) {
                let offset = start.since(day.start);
                let of = |other: &Day| all.get(&other.start.plus_ms(offset)).copied();
                let usual: Vec<f64> = alike.iter().filter_map(of).take(COMPARED).collect();
                let enough = if self.against == Against::Comparable { COMPARED / 2 } else { 1 };
                if usual.len() >= enough {
                    compared.extend(median(&usual).map(|usual| (start, usual)));
                }
            }
        }
        compared
    }

    /// The days with which one is compared, the last first.
    fn alike(&self, place: usize, day: &Day) -> Vec<Day> {
        match self.against.days() {
            Some(back) => self.earlier(day, back).into_iter().collect(),
            None => {
                let before = self.days.get(..place).unwrap_or_default().iter().rev().take(MOST_BACK);
                before.filter(|other| other.taught == day.taught).copied().collect()
            }
        }
    }
}

/// What days of a span would take if each took the mean of its sort in an earlier span; `None` where a sort of day was not
/// in that.
#[must_use]
pub fn expected(calendar: &Calendar, days: &Periods, earlier: &Periods) -> Option<f64> {
    let taught = |day: &Wall| calendar.cycle(Cycle::Day, *day).is_some_and(|day| calendar.is_taught(day));
    let mut sum = 0.0;
    for sort in [true, false] {
        let here = days.keys().filter(|day| taught(day) == sort).count();
        let before: Vec<f64> =
            earlier.iter().filter(|(day, _)| taught(day) == sort).map(|(_, kwh)| *kwh).collect();
        if here > 0 {
            let (here, many) = (u32::try_from(here).ok()?, u32::try_from(before.len()).ok()?);
            if many == 0 {
                return None;
            }
            sum += before.iter().sum::<f64>() / f64::from(many) * f64::from(here);
        }
    }
    (!days.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    /// Days from Monday, 2 March 2026 on; teaching on weekdays, as a school has it that told us nothing.
    fn at(day: i64) -> Wall {
        let monday: jiff::Timestamp = "2026-03-02T00:00:00+08:00".parse().unwrap();
        Wall(monday.as_millisecond() + day * DAY_MS)
    }

    fn calendar() -> Calendar {
        Calendar::default_school(TimeZone::get("Asia/Shanghai").unwrap())
    }

    /// 100 kWh on weekdays, 10 at weekends, and one day that is far off.
    fn days(many: std::ops::Range<i64>) -> Periods {
        let kwh = |day: i64| {
            if day == 28 {
                900.0
            } else if day.rem_euclid(7) < 5 {
                100.0
            } else {
                10.0
            }
        };
        many.map(|day| (at(day), kwh(day))).collect()
    }

    #[test]
    fn teaching_days_are_compared_with_teaching_days_and_others_with_others() {
        let calendar = calendar();
        let all = days(0..42);
        let span = (at(28), at(35));
        let comparing = Comparing::new(&calendar, Against::Comparable, span);
        let compared = comparing.compare(&all, false, at(50));
        let kwh: Vec<f64> = compared.values().copied().collect();
        assert_eq!(kwh, [100.0, 100.0, 100.0, 100.0, 100.0, 10.0, 10.0]);
        // A day that is not over is compared with nothing, nor one that knows less than half of the days before it.
        assert_eq!(comparing.compare(&all, false, at(30)).len(), 2);
        assert_eq!(comparing.compare(&days(25..42), false, at(50)).len(), 1, "Friday alone knows five");
        let needs = comparing.needs();
        let many: i64 = needs.iter().map(|(from, to)| to.since(*from) / DAY_MS).sum();
        assert_eq!(many, 20, "{needs:?}");
        assert!(needs.iter().zip(needs.iter().skip(1)).all(|(a, b)| a.1 < b.0));
    }

    #[test]
    fn a_week_or_a_year_before_means_the_same_weekday() {
        let calendar = calendar();
        let all = days(-365..42);
        for (against, first) in [(Against::Week, 28), (Against::Year, 35 - 364)] {
            let comparing = Comparing::new(&calendar, against, (at(35), at(36)));
            assert_eq!(comparing.needs(), [(at(first), at(first + 1))]);
            let compared = comparing.compare(&all, false, at(50));
            assert_eq!(compared.get(&at(35)), all.get(&at(first)), "{against:?}");
        }
    }

    #[test]
    fn hours_are_compared_with_the_same_hour() {
        let calendar = calendar();
        let all: Periods = (0..20 * 24)
            .map(|hour| (Wall(at(0).0 + hour * HOUR_MS), f64::from(u32::try_from(hour % 24).unwrap())))
            .collect();
        let comparing = Comparing::new(&calendar, Against::Comparable, (at(18), at(19)));
        let compared = comparing.compare(&all, true, at(50));
        assert_eq!(compared.len(), 24);
        assert!(compared.iter().all(|(start, kwh)| all.get(start) == Some(kwh)));
    }

    #[test]
    fn a_period_is_expected_to_take_what_its_days_took_before() {
        let calendar = calendar();
        assert_eq!(expected(&calendar, &days(7..14), &days(0..7)), Some(520.0));
        assert_eq!(expected(&calendar, &days(7..14), &days(0..5)), None, "no weekend before");
        assert_eq!(expected(&calendar, &days(0..0), &days(0..5)), None);
    }
}

//! Who is on duty, and from when to when.

use crate::model::Wall;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// Times of day at which a shift begins unless told otherwise, minutes since midnight: 08:00 and 20:00.
pub const DEFAULT_SHIFTS: [i64; 2] = [8 * 60, 20 * 60];
/// Most shifts of a day.
pub const MAX_SHIFTS: usize = 12;
/// Most people on duty at a time.
pub const MAX_GUARDS: u32 = 20;

/// The shifts of a school.
#[derive(Debug, Clone)]
pub struct Duty {
    /// Local times of day at which a shift begins, minutes since midnight; there is one at least.
    pub shifts: Vec<i64>,
    /// How many people are on duty at a time.
    pub guards: u32,
    /// The school's zone.
    pub zone: TimeZone,
}

impl Duty {
    /// Two shifts of one guard.
    #[must_use]
    pub fn usual(zone: TimeZone) -> Self {
        Self { shifts: DEFAULT_SHIFTS.to_vec(), guards: 1, zone }
    }

    /// From when to when the shift goes in which `at` lies, by the clock on the wall: the one in which clocks are turned
    /// is an hour longer or shorter. `None` for times that no calendar has.
    #[must_use]
    pub fn shift(&self, at: Wall) -> Option<(Wall, Wall)> {
        let today = Timestamp::from_millisecond(at.0).ok()?.to_zoned(self.zone.clone()).date();
        let days = today.yesterday().ok()?.series(1.day()).take(4);
        let mut begins: Vec<Wall> = days
            .flat_map(|day| self.shifts.iter().map(move |minutes| (day, *minutes)))
            .filter_map(|(day, minutes)| {
                let local = day.to_datetime(Time::midnight()).checked_add(SignedDuration::from_mins(minutes));
                Some(Wall(self.zone.to_timestamp(local.ok()?).ok()?.as_millisecond()))
            })
            .collect();
        begins.sort_unstable();
        let from = begins.iter().rev().find(|begin| **begin <= at)?;
        let to = begins.iter().find(|begin| **begin > at)?;
        Some((*from, *to))
    }
}

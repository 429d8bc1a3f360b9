//! Two clocks: `Mono` never jumps and carries deadlines; `Wall` is what people read and may be wrong.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z by a clock that may jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wall(pub i64);

/// Milliseconds since an origin of this process; never jumps, means nothing after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

/// The moment a decision is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub mono: Mono,
    /// For records.
    pub wall: Wall,
}

/// Earliest wall time that can be true: a box without a battery clock boots at 1970 or at its image's date.
/// 2024-01-01T00:00:00Z in milliseconds.
pub const EARLIEST_TRUE_WALL: Wall = Wall(1_704_067_200_000);
/// A device clock further ahead of ours than this is wrong, not early. Milliseconds.
pub const MAX_AHEAD_MS: i64 = 5 * 60 * 1000;
/// A device clock further behind ours than this is wrong, not late (readers keep up to a year). Milliseconds.
pub const MAX_BEHIND_MS: i64 = 400 * 24 * 3600 * 1000;

impl Wall {
    /// This time plus `ms`, saturating at the ends of time.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time, negative if it is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The start of the period of `period_ms` that holds this time.
    #[must_use]
    pub fn period_start(self, period_ms: i64) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(period_ms.max(1))))
    }

    /// Date and time of day in a zone, for people: `2026-09-01 08:00:00`.
    #[must_use]
    pub fn in_zone(self, zone: &jiff::tz::TimeZone) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => t.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
            Err(_) => self.to_string(),
        }
    }

    /// Whether this can be a true date at all.
    #[must_use]
    pub fn plausible(self) -> bool {
        self >= EARLIEST_TRUE_WALL
    }
}

impl fmt::Display for Wall {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl Mono {
    /// This moment plus a span, saturating.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The span since `earlier`, zero if it is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// What may be believed of an observation's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockQuality {
    /// The device's time agrees with ours well enough to be used.
    Good,
    /// The device gives no time; ours is used.
    NoDeviceTime,
    /// The device's time cannot be true (1970, 2099, seconds taken for milliseconds); ours is used.
    DeviceWrong,
    /// Our own clock is not set yet; the order of arrival is all that is certain.
    GatewayUnset,
}

impl ClockQuality {
    /// The word stored in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::NoDeviceTime => "no_device_time",
            Self::DeviceWrong => "device_wrong",
            Self::GatewayUnset => "gateway_unset",
        }
    }
}

/// When something was observed: by the device, by us, and how far each can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The device's own time, as it said, if it said one.
    pub device: Option<Wall>,
    /// Our time at arrival.
    pub gateway: Wall,
    /// What may be believed.
    pub clock: ClockQuality,
}

impl Stamp {
    /// Judges the device's time against ours.
    #[must_use]
    pub fn new(device: Option<Wall>, now: Wall) -> Self {
        let clock = match device {
            _ if !now.plausible() => ClockQuality::GatewayUnset,
            None => ClockQuality::NoDeviceTime,
            Some(d) if d.since(now) > MAX_AHEAD_MS || now.since(d) > MAX_BEHIND_MS => {
                ClockQuality::DeviceWrong
            }
            Some(_) => ClockQuality::Good,
        };
        Self { device, gateway: now, clock }
    }

    /// The time to reckon with: the device's if it can be believed, else ours.
    #[must_use]
    pub fn effective(&self) -> Wall {
        match (self.clock, self.device) {
            (ClockQuality::Good, Some(device)) => device,
            _ => self.gateway,
        }
    }

    /// How long after it happened it arrived, as far as its clock can be believed.
    #[must_use]
    pub fn late(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.gateway.since(self.effective())).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(1_790_000_000_000);

    #[test]
    fn a_device_clock_is_believed_only_within_reason() {
        let judge = |d: i64| Stamp::new(Some(Wall(d)), NOW).clock;
        assert_eq!(judge(NOW.0 - 60_000), ClockQuality::Good);
        assert_eq!(judge(0), ClockQuality::DeviceWrong, "1970");
        assert_eq!(judge(4_070_908_800_000), ClockQuality::DeviceWrong, "2099");
        assert_eq!(judge(NOW.0 / 1000), ClockQuality::DeviceWrong, "seconds as milliseconds");
        assert_eq!(Stamp::new(None, NOW).clock, ClockQuality::NoDeviceTime);
        assert_eq!(Stamp::new(Some(NOW), Wall(5)).clock, ClockQuality::GatewayUnset);
        assert_eq!(Stamp::new(Some(Wall(0)), NOW).effective(), NOW);
        for (device, late_ms) in [(NOW.plus_ms(-1500), 1500), (NOW.plus_ms(1000), 0), (Wall(0), 0)] {
            assert_eq!(Stamp::new(Some(device), NOW).late(), Duration::from_millis(late_ms));
        }
    }

    #[test]
    fn periods_start_on_their_grid_before_1970_too() {
        assert_eq!(Wall(1_000_001).period_start(900_000), Wall(900_000));
        assert_eq!(Wall(-1).period_start(900_000), Wall(-900_000));
    }

    #[test]
    fn prints_rfc_3339() {
        assert_eq!(Wall(1_609_430_400_000).to_string(), "2020-12-31T16:00:00.000Z");
        let china = jiff::tz::TimeZone::fixed(jiff::tz::offset(8));
        assert_eq!(Wall(1_609_430_400_000).in_zone(&china), "2021-01-01 00:00:00");
    }
}

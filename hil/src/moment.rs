//! Wall-clock moments as the devices write them.

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// Milliseconds since 1970, UTC.
#[must_use]
pub fn unix_millis() -> i64 {
    Timestamp::now().as_millisecond()
}

/// UTC now, moved by `skew_secs`, as in `2026-06-05T01:46:05.123Z`.
#[must_use]
pub fn utc_text(skew_secs: i64) -> String {
    skewed(skew_secs).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// UTC now, moved by `skew_secs`.
#[must_use]
pub fn skewed(skew_secs: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(skew_secs)
}

/// China's time (UTC+8, no summer time) as card terminals write it: `2026-06-05 09:46:05`.
#[must_use]
pub fn china_text() -> String {
    china().strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// China's time now.
#[must_use]
pub fn china() -> jiff::Zoned {
    Timestamp::now().to_zoned(TimeZone::fixed(Offset::constant(8)))
}

/// How far an RFC 3339 text is from `now`, in seconds without sign; `None` when it is no such text.
#[must_use]
pub fn seconds_from(now: Timestamp, text: &str) -> Option<i64> {
    let at: Timestamp = text.trim().parse().ok()?;
    Some(now.duration_since(at).as_secs().abs())
}

//! `[privacy]`: how long each kind of data is kept, and what may be done with persons at all.

use super::fields::finish;
use crate::document::Reader;

/// Ten years, days: what is kept longer is not kept for a purpose.
const MOST_DAYS: i64 = 3660;
/// The audit trail is kept so long at the least, days (网络安全法 第二十一条: six months).
const LEAST_LOG_DAYS: i64 = 180;

/// How long each kind of data is kept, days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Events. 90 unless told otherwise.
    pub events_days: u32,
    /// Alarms, after they were closed. 365 unless told otherwise.
    pub alarms_days: u32,
    /// The audit trail. 180 unless told otherwise, and at the least.
    pub security_log_days: u32,
    /// Payloads that could not be understood. 30 unless told otherwise.
    pub quarantine_days: u32,
    /// Rows of the table of persons, after their validity ended. 30 unless told otherwise.
    pub persons_days: u32,
}

/// What may be done with persons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Privacy {
    /// How long data are kept.
    pub keep: Keep,
    /// Pictures of alarms are kept so long, days. 30 unless told otherwise.
    pub pictures_days: u32,
    /// The track of a person may be asked for. Not unless told.
    pub track: bool,
    /// Values of a person's health may be taken. Not unless told.
    pub allow_health: bool,
}

impl Default for Privacy {
    fn default() -> Self {
        let keep = Keep {
            events_days: 90,
            alarms_days: 365,
            security_log_days: 180,
            quarantine_days: 30,
            persons_days: 30,
        };
        Self { keep, pictures_days: 30, track: false, allow_health: false }
    }
}

/// `[privacy]`.
pub(super) fn privacy(reader: Option<Reader<'_>>) -> Privacy {
    let default = Privacy::default();
    let Some(reader) = reader else { return default };
    let days = |key: &str, least: i64, otherwise: u32| {
        let written = reader.integer_opt(key, least..=MOST_DAYS);
        written.and_then(|days| u32::try_from(days).ok()).unwrap_or(otherwise)
    };
    let keep = Keep {
        events_days: days("events_days", 1, default.keep.events_days),
        alarms_days: days("alarms_days", 1, default.keep.alarms_days),
        security_log_days: days("security_log_days", LEAST_LOG_DAYS, default.keep.security_log_days),
        quarantine_days: days("quarantine_days", 1, default.keep.quarantine_days),
        persons_days: days("persons_days", 1, default.keep.persons_days),
    };
    let pictures_days = days("pictures_days", 1, default.pictures_days);
    let track = reader.flag_opt("track").unwrap_or(default.track);
    let allow_health = reader.flag_opt("allow_health").unwrap_or(default.allow_health);
    finish(reader, None);
    Privacy { keep, pictures_days, track, allow_health }
}

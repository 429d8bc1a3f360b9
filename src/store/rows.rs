//! How words and times of the model are written in columns, and read back.

use super::StoreError;
use crate::model::{
    Actor, Alarm, AlarmClass, AlarmId, AlarmKey, ClockQuality, DeviceId, Doubt, Fault, Handled, Link,
    PlaceId, Priority, Quality, RuleId, Stamp, Text, Wall,
};
use rusqlite::Row;

pub(super) fn clock_code(clock: ClockQuality) -> i64 {
    match clock {
        ClockQuality::Good => 0,
        ClockQuality::NoDeviceTime => 1,
        ClockQuality::DeviceWrong => 2,
        ClockQuality::GatewayUnset => 3,
    }
}

pub(super) fn clock_of(code: i64) -> ClockQuality {
    match code {
        0 => ClockQuality::Good,
        1 => ClockQuality::NoDeviceTime,
        2 => ClockQuality::DeviceWrong,
        _ => ClockQuality::GatewayUnset,
    }
}

/// A stamp from the columns `arrived`, `device_at`, `clock`.
pub(super) fn stamp_of(row: &Row<'_>) -> rusqlite::Result<Stamp> {
    Ok(Stamp {
        gateway: Wall(row.get("arrived")?),
        device: row.get::<_, Option<i64>>("device_at")?.map(Wall),
        clock: clock_of(row.get("clock")?),
    })
}

pub(super) fn quality_code(quality: Quality) -> (i64, Option<&'static str>) {
    let code = match quality {
        Quality::Good => 0,
        Quality::Uncertain(_) => 1,
        Quality::Bad(_) => 2,
    };
    (code, quality.doubt().map(Doubt::as_str))
}

pub(super) fn quality_of(code: i64, doubt: Option<&str>) -> Quality {
    let doubt = doubt.and_then(Doubt::from_word).unwrap_or(Doubt::DeviceSays);
    match code {
        0 => Quality::Good,
        1 => Quality::Uncertain(doubt),
        _ => Quality::Bad(doubt),
    }
}

pub(super) fn link_code(link: Link) -> (bool, Option<&'static str>) {
    match link {
        Link::Up => (true, None),
        Link::Down(fault) => (false, Some(fault.as_str())),
    }
}

pub(super) fn link_of(up: bool, fault: Option<&str>) -> Link {
    if up { Link::Up } else { Link::Down(fault.and_then(Fault::from_word).unwrap_or(Fault::Internal)) }
}

/// A text that must be a word of the model.
pub(super) fn word<T>(
    table: &'static str,
    row: i64,
    text: &str,
    find: impl FnOnce(&str) -> Option<T>,
) -> Result<T, StoreError> {
    find(text).ok_or_else(|| StoreError::Row { table, row, problem: format!("'{text}' is not a known word") })
}

/// The columns of `alarm` as [`alarm_of`] reads them.
pub(super) const ALARM_COLUMNS: &str = "id, rule, subject, class, priority, device, place, what_zh, what_en, \
     raised_at, active, occurrences, cleared_at, ack_by, ack_at, ack_note, latched, reset_by, reset_at, \
     reset_note, closed_at";

/// An alarm from its row.
pub(super) fn alarm_of(row: &Row<'_>) -> Result<Alarm, StoreError> {
    let number: i64 = get(row, "id")?;
    let handled = |by: &str, at: &str, note: &str| -> Result<Option<Handled>, StoreError> {
        let (Some(by), Some(at)) = (
            get::<Option<String>>(row, by)?.and_then(|name| Actor::named(&name)),
            get::<Option<i64>>(row, at)?,
        ) else {
            return Ok(None);
        };
        Ok(Some(Handled { by, at: Wall(at), note: get::<Option<String>>(row, note)?.unwrap_or_default() }))
    };
    let id = |column: &str| -> Result<String, StoreError> { get(row, column) };
    Ok(Alarm {
        id: AlarmId(u64::try_from(number).unwrap_or(0)),
        key: AlarmKey {
            rule: word("alarm", number, &id("rule")?, |t| RuleId::new(t).ok())?,
            subject: id("subject")?,
        },
        class: word("alarm", number, &id("class")?, AlarmClass::from_word)?,
        priority: word("alarm", number, &id("priority")?, Priority::from_word)?,
        device: get::<Option<String>>(row, "device")?.and_then(|t| DeviceId::new(&t).ok()),
        place: get::<Option<String>>(row, "place")?.and_then(|t| PlaceId::new(&t).ok()),
        what: Text::new(id("what_zh")?, id("what_en")?),
        raised_at: Wall(get(row, "raised_at")?),
        active: get(row, "active")?,
        occurrences: get(row, "occurrences")?,
        cleared_at: get::<Option<i64>>(row, "cleared_at")?.map(Wall),
        acknowledged: handled("ack_by", "ack_at", "ack_note")?,
        latched: get(row, "latched")?,
        reset: handled("reset_by", "reset_at", "reset_note")?,
        closed_at: get::<Option<i64>>(row, "closed_at")?.map(Wall),
    })
}

pub(super) fn get<T: rusqlite::types::FromSql>(row: &Row<'_>, column: &str) -> Result<T, StoreError> {
    row.get(column).map_err(|cause| StoreError::Sqlite { doing: "reading a row", cause })
}

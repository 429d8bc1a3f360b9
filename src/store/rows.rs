//! How words and times of the model are written in columns, and read back.

use super::StoreError;
use crate::model::{ClockQuality, Doubt, Fault, Link, Quality, Stamp, Wall};
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

pub(super) fn get<T: rusqlite::types::FromSql>(row: &Row<'_>, column: &str) -> Result<T, StoreError> {
    row.get(column).map_err(|cause| StoreError::Sqlite { doing: "reading a row", cause })
}

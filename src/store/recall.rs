//! What a restart needs to know of the run before it.

use super::read::{link_change_of, reading_of, roll_up_of};
use super::rows::{ALARM_COLUMNS, alarm_of, get, word};
use super::{Doing, StoreError, history};
use crate::aggregate::REVISABLE_PERIODS;
use crate::model::{BusId, DeviceId, RollUp, Wall};
use crate::pipeline::{Fingerprint, Remembered, SERIALS_KEPT, StoredReading};
use rusqlite::{Connection, Row, params};

/// Readings arrive at most this long before the period they belong to: a device clock may be ahead. Milliseconds.
const AHEAD_MS: i64 = crate::model::time::MAX_AHEAD_MS;
/// The longest look back over readings that a start takes, for periods of an hour. Milliseconds.
pub(super) const LONGEST_LOOK_MS: i64 = 2 * 3600 * 1000 + AHEAD_MS;
/// Event rows looked at for serials: enough for the last few of every reader.
const SERIAL_ROWS: i64 = 20_000;

pub(super) fn recall(db: &Connection, aggregate_secs: u32) -> Result<Remembered, StoreError> {
    let period_ms = i64::from(aggregate_secs) * 1000;
    let next_alarm: i64 = db
        .query_row("select coalesce(max(id), 0) + 1 from alarm", [], |row| row.get(0))
        .doing("reading alarms")?;
    let next_seq: Option<String> =
        match db.query_row("select value from meta where key = 'next_seq'", [], |row| row.get(0)) {
            Ok(text) => Some(text),
            Err(rusqlite::Error::QueryReturnedNoRows) => None,
            Err(cause) => return Err(StoreError::Sqlite { doing: "reading the next number", cause }),
        };
    Ok(Remembered {
        open_alarms: each(
            db,
            &format!("select {ALARM_COLUMNS} from alarm where closed_at is null order by id"),
            [],
            alarm_of,
        )?,
        next_alarm: u64::try_from(next_alarm).unwrap_or(1),
        next_seq: next_seq.and_then(|text| text.parse().ok()).unwrap_or(1),
        roll_ups: roll_ups(db, aggregate_secs, period_ms)?,
        readings: readings(db, period_ms)?,
        fingerprints: each(db, "select bus, turn, value from fingerprint", [], |row| {
            let bus: String = get(row, "bus")?;
            Ok(Fingerprint {
                bus: word("fingerprint", 0, &bus, |t| BusId::new(t).ok())?,
                turn: u64::try_from(get::<i64>(row, "turn")?).unwrap_or(0),
                value: get::<i64>(row, "value")?.cast_unsigned(),
            })
        })?,
        serials: serials(db)?,
        links: each(db, "select * from link", [], link_change_of)?,
    })
}

/// The last periods of every series.
fn roll_ups(db: &Connection, aggregate_secs: u32, period_ms: i64) -> Result<Vec<RollUp>, StoreError> {
    let kept = i64::try_from(REVISABLE_PERIODS).unwrap_or(8) * period_ms;
    each(
        db,
        "select r.*, s.device, s.point, s.unit, s.kind from roll_up r join series s on s.id = r.series \
         where r.period_secs = ?1 and r.start > (select coalesce(max(start), 0) from roll_up) - ?2 \
         order by r.start",
        params![aggregate_secs, kept],
        roll_up_of,
    )
}

/// The readings whose period may not have been over: those of the last two periods before the last reading.
fn readings(db: &Connection, period_ms: i64) -> Result<Vec<StoredReading>, StoreError> {
    // Only what is older than any look is sealed, so hot rows are enough.
    let sealed = history::sealed_through(db)?;
    let mut statement = db
        .prepare(
            "select r.*, s.device, s.point, s.unit, s.kind from reading r \
             join series s on s.id = r.series where r.seq > ?1 order by r.seq desc",
        )
        .doing("reading the last readings")?;
    let mut rows = statement.query(params![sealed]).doing("reading the last readings")?;
    let mut readings: Vec<StoredReading> = Vec::new();
    let mut newest: Option<Wall> = None;
    while let Some(row) = rows.next().doing("reading the last readings")? {
        let stored = reading_of(row)?;
        let newest = *newest.get_or_insert(stored.stamp.gateway);
        if newest.since(stored.stamp.gateway) > 2 * period_ms + AHEAD_MS {
            break;
        }
        readings.push(stored);
    }
    readings.reverse();
    Ok(readings)
}

fn serials(db: &Connection) -> Result<Vec<(DeviceId, String)>, StoreError> {
    let mut newest_first = each(
        db,
        "select device, serial from (select seq, device, serial from event order by seq desc limit ?1) \
         where serial is not null order by seq desc",
        params![SERIAL_ROWS],
        |row| {
            let device: String = get(row, "device")?;
            Ok((word("event", 0, &device, |t| DeviceId::new(t).ok())?, get::<String>(row, "serial")?))
        },
    )?;
    let mut counts: std::collections::BTreeMap<DeviceId, usize> = std::collections::BTreeMap::new();
    newest_first.retain(|(device, _)| {
        let count = counts.entry(device.clone()).or_insert(0);
        *count += 1;
        *count <= SERIALS_KEPT
    });
    newest_first.reverse();
    Ok(newest_first)
}

/// Every row of a query, as `read` makes of it.
pub(super) fn each<T>(
    db: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = db.prepare_cached(sql).doing("preparing a query")?;
    let mut rows = statement.query(parameters).doing("running a query")?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().doing("reading a row")? {
        all.push(read(row)?);
    }
    Ok(all)
}

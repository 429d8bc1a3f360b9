//! What a restart needs to know of the run before it.

use super::alarms::{ALARM_COLUMNS, alarm_of, hazard_of};
use super::append::{ALARMS_GIVEN, AREA, CONTROL, DRILL, HAZARDS_GIVEN, MUSTER, floor};
use super::read::{event_of, link_change_of, person_of, reading_of, roll_up_of};
use super::rows::{get, word};
use super::{Doing, StoreError, history};
use crate::aggregate::{REVISABLE_SPAN, Standing};
use crate::alarm::CONFIRMABLE;
use crate::campus::{MAX_PERSONS, RECALL_MS, RECALL_PERSONS_MS};
use crate::model::{Alarm, AreaId, BusId, ControlId, DeviceId, Direction, Event, PointId, Stamp, Wall, When};
use crate::museum;
use crate::pipeline::{Fingerprint, Recent, Remembered, SERIALS_KEPT, Serial, StoredEvent, StoredReading};
use crate::runtime::Chain;
use rusqlite::{Connection, Row, params};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// Readings arrive at most this long before the period they belong to: a device clock may be ahead. Milliseconds.
const AHEAD_MS: i64 = crate::model::time::MAX_AHEAD_MS;
/// The longest look back over readings that a start takes, for periods of an hour. Milliseconds.
pub(super) const LONGEST_LOOK_MS: i64 = 2 * 3600 * 1000 + AHEAD_MS;
/// Most readings taken up, however fast they came: some 60 MB.
pub(super) const RECALLED_READINGS: i64 = 300_000;
/// Passes looked at for where everybody is: two weeks of a large school.
const PASS_ROWS: i64 = 200_000;
/// Passes of the last day taken up, however many came.
const RECALLED_PASSES: usize = 50_000;
/// Most passes of one person at the same moment.
const SAME_MOMENT: usize = 8;
/// Event rows looked at for serials: enough for the last few of every reader.
const SERIAL_ROWS: i64 = 20_000;

pub(super) fn recall(db: &Connection, aggregate_secs: u32) -> Result<Remembered, StoreError> {
    let period_ms = i64::from(aggregate_secs) * 1000;
    let next_alarm: i64 = db
        .query_row(
            "select coalesce(max(id), 0) + 1 from (select max(id) as id from alarm \
             union all select max(alarm) from alarm_change)",
            [],
            |row| row.get(0),
        )
        .doing("reading alarms")?;
    let next_seq = if museum::on("sequence_reused_after_restart") {
        "select cast(max(seq) + 1 as text) from outbox having count(*) > 0"
    } else {
        "select value from meta where key = 'next_seq'"
    };
    let next_seq: Option<String> = match db.query_row(next_seq, [], |row| row.get(0)) {
        Ok(text) => Some(text),
        Err(rusqlite::Error::QueryReturnedNoRows) => None,
        Err(cause) => return Err(StoreError::Sqlite { doing: "reading the next number", cause }),
    };
    Ok(Remembered {
        open_alarms: each(
            db,
            &format!("select {} from alarm where closed_at is null order by id", *ALARM_COLUMNS),
            [],
            alarm_of,
        )?
        .into_iter()
        .filter(|_| !museum::on("alarm_forgotten_at_restart"))
        .collect(),
        closed_alarms: lately_closed(db)?,
        hazards: readable(db, "select * from hazard where closed_at is null order by id", [], hazard_of)?,
        next_hazard: next_hazard(db)?,
        areas: readable(db, "select key, value from meta where substr(key, 1, 5) = ?1", [AREA], |row| {
            let key: String = get(row, "key")?;
            let id = key.strip_prefix(AREA).unwrap_or_default();
            Ok((word("meta", 0, id, |t| AreaId::new(t).ok())?, get(row, "value")?))
        })?,
        next_alarm: u64::try_from(next_alarm.max(floor(db, ALARMS_GIVEN)? + 1)).unwrap_or(1),
        next_seq: next_seq.and_then(|text| text.parse().ok()).unwrap_or(1),
        recent: recent(db, period_ms)?,
        fingerprints: readable(db, "select bus, turn, value, at from fingerprint", [], |row| {
            let bus: String = get(row, "bus")?;
            Ok(Fingerprint {
                bus: word("fingerprint", 0, &bus, |t| BusId::new(t).ok())?,
                turn: u64::try_from(get::<i64>(row, "turn")?).unwrap_or(0),
                value: get::<i64>(row, "value")?.cast_unsigned(),
                at: Wall(get(row, "at")?),
            })
        })?,
        serials: serials(db)?,
        links: readable(db, "select * from link", [], link_change_of)?,
        controls: readable(
            db,
            "select key, value from meta where substr(key, 1, 8) = ?1",
            [CONTROL],
            |row| {
                let key: String = get(row, "key")?;
                let id = key.strip_prefix(CONTROL).unwrap_or_default();
                Ok((word("meta", 0, id, |t| ControlId::new(t).ok())?, get(row, "value")?))
            },
        )?,
        people: readable(db, "select * from person", [], person_of)?
            .into_iter()
            .map(|(who, person)| (who, Arc::new(person)))
            .collect(),
        passes: passes_since(db, i64::MAX)?,
        muster: noted(db, MUSTER)?,
        drill: noted(db, DRILL)?,
    })
}

/// The alarms that were over last, oldest first.
fn noted(db: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    Ok(each(db, "select value from meta where key = ?1", [key], |row| get(row, "value"))?.pop())
}

fn lately_closed(db: &Connection) -> Result<Vec<Alarm>, StoreError> {
    let most = i64::try_from(CONFIRMABLE).unwrap_or(i64::MAX);
    let sql =
        format!("select {} from alarm where closed_at is not null order by id desc limit ?1", *ALARM_COLUMNS);
    let mut alarms = readable(db, &sql, [most], alarm_of)?;
    alarms.reverse();
    Ok(alarms)
}

fn next_hazard(db: &Connection) -> Result<u64, StoreError> {
    let highest: i64 = db
        .query_row("select coalesce(max(id), 0) from hazard", [], |row| row.get(0))
        .doing("reading hazards")?;
    Ok(u64::try_from(highest.max(floor(db, HAZARDS_GIVEN)?).saturating_add(1)).unwrap_or(1))
}

/// The last periods of every series, and the last readings; nothing when there has been no reading.
fn recent(db: &Connection, period_ms: i64) -> Result<Option<Recent>, StoreError> {
    let mut rows = each(db, "select arrived from reading order by seq desc limit 1", [], |row| {
        Ok(Wall(get(row, "arrived")?))
    })?;
    let Some(newest) = rows.pop() else { return Ok(None) };
    let roll_ups_from = newest.plus_ms(-REVISABLE_SPAN * period_ms).period_start(period_ms);
    let readings_from = newest.plus_ms(-(2 * period_ms + AHEAD_MS));
    let roll_ups = readable(
        db,
        "select r.*, s.device, s.point, s.unit, s.kind from roll_up r join series s on s.id = r.series \
         where r.period_secs = ?1 and r.start between ?2 and ?3 order by r.start",
        params![period_ms / 1000, roll_ups_from.0, newest.plus_ms(period_ms).0],
        roll_up_of,
    )?;
    let counters = readable(
        db,
        "select c.series, c.start, c.last, s.device, s.point from counter c join series s on s.id = c.series \
         where c.start < ?1 order by c.start",
        [roll_ups_from.0],
        |row| {
            let (device, point): (String, String) = (get(row, "device")?, get(row, "point")?);
            let series = get(row, "series")?;
            Ok(Standing {
                device: word("series", series, &device, |t| DeviceId::new(t).ok())?,
                point: word("series", series, &point, |t| PointId::new(t).ok())?,
                start: Wall(get(row, "start")?),
                last: get(row, "last")?,
            })
        },
    )?;
    Ok(Some(Recent {
        roll_ups_from,
        roll_ups,
        counters,
        readings_from,
        readings: readings(db, newest, readings_from)?,
    }))
}

/// The readings whose period may not have been over, oldest first.
fn readings(db: &Connection, newest: Wall, from: Wall) -> Result<Vec<StoredReading>, StoreError> {
    // Only what is older than any look is sealed, so hot rows are enough.
    let sealed = history::sealed_through(db)?;
    let mut statement = db
        .prepare(
            "select r.*, s.device, s.point, s.unit, s.kind from reading r \
             join series s on s.id = r.series where r.seq > ?1 order by r.seq desc limit ?2",
        )
        .doing("reading the last readings")?;
    let mut rows = statement.query(params![sealed, RECALLED_READINGS]).doing("reading the last readings")?;
    let mut readings: Vec<StoredReading> = Vec::new();
    while let Some(row) = rows.next().doing("reading the last readings")? {
        let Ok(stored) = reading_of(row) else {
            // `schoolgate db verify` finds it.
            continue;
        };
        // A clock that was set back leaves later times before earlier ones: they are as far away.
        if newest.since(stored.stamp.gateway).saturating_abs() > newest.since(from) {
            break;
        }
        readings.push(stored);
    }
    readings.reverse();
    Ok(readings)
}

fn serials(db: &Connection) -> Result<Vec<Serial>, StoreError> {
    let mut newest_first = readable(
        db,
        "select device, serial, device_at from \
         (select seq, device, serial, device_at from event order by seq desc limit ?1) \
         where serial is not null order by seq desc",
        params![SERIAL_ROWS],
        |row| {
            let device: String = get(row, "device")?;
            Ok(Serial {
                device: word("event", 0, &device, |t| DeviceId::new(t).ok())?,
                number: get(row, "serial")?,
                device_at: get::<Option<i64>>(row, "device_at")?.map(Wall),
            })
        },
    )?;
    let mut counts: BTreeMap<DeviceId, usize> = BTreeMap::new();
    newest_first.retain(|serial| {
        let count = counts.entry(serial.device.clone()).or_insert(0);
        *count += 1;
        *count <= SERIALS_KEPT
    });
    newest_first.reverse();
    Ok(newest_first)
}

/// The passes of the day before the newest event below `before`, and the last pass of each person in the two weeks
/// before, oldest first: where everybody is. What came while our clock was not set is taken by its place in the order.
pub(super) fn passes_since(
    db: &Connection,
    before: i64,
) -> Result<Vec<(DeviceId, Stamp, Event)>, StoreError> {
    let newest = "select arrived from event where clock <> 3 and seq < ?1 order by seq desc limit 1";
    let newest = each(db, newest, [before], |row| get::<i64>(row, "arrived"))?;
    let newest = Wall(newest.last().copied().unwrap_or(0));
    let (day, fortnight) = (newest.plus_ms(-RECALL_MS), newest.plus_ms(-RECALL_PERSONS_MS));
    let mut statement = db
        .prepare(
            "select * from event where retained = 0 and kind in ('credential', 'duress', 'presence', 'vehicle_pass') \
             and seq < ?2 order by seq desc limit ?1",
        )
        .doing("reading passes")?;
    let mut rows = statement.query([PASS_ROWS, before]).doing("reading passes")?;
    let (mut passes, mut last, mut bad) = (Vec::new(), BTreeMap::new(), 0_u64);
    while let Some(row) = rows.next().doing("reading passes")? {
        let Ok(stored) = event_of(row) else {
            bad += 1;
            continue;
        };
        let arrived = stored.stamp.gateway;
        if arrived.plausible() && arrived < fortnight {
            break;
        }
        let seq: i64 = get(row, "seq")?;
        if (!arrived.plausible() || arrived >= day) && passes.len() < RECALLED_PASSES {
            passes.push((seq, stored));
        } else if let Some(credential) = &stored.event.credential
            && let Some(person) = &credential.person
        {
            if credential.result.refused() {
                continue;
            }
            // A reader that leads somewhere need not say a direction, and any other says nothing without.
            let unknown = credential.direction == Direction::Unknown;
            let key = (person.clone(), credential.direction, unknown.then(|| stored.device.clone()));
            let at = When::of(&stored.stamp).at;
            let room = last.len() < 2 * MAX_PERSONS;
            match last.entry(key) {
                Entry::Vacant(entry) if room => drop(entry.insert((at, vec![(seq, stored)]))),
                Entry::Occupied(mut entry) if entry.get().0 < at => {
                    entry.insert((at, vec![(seq, stored)]));
                }
                // Two readers say the same moment: who is in judges.
                Entry::Occupied(mut entry) if entry.get().0 == at && entry.get().1.len() < SAME_MOMENT => {
                    entry.get_mut().1.push((seq, stored));
                }
                _ => {}
            }
        }
    }
    if bad > 0 {
        tracing::error!(rows = bad, "passes cannot be read back and are left out");
    }
    passes.extend(last.into_values().flat_map(|(_, passes): (Wall, Vec<(i64, StoredEvent)>)| passes));
    passes.sort_by_key(|(seq, _)| *seq);
    Ok(passes.into_iter().map(|(_, stored)| (stored.device, stored.stamp, stored.event)).collect())
}

/// As [`each`], but for rows that cannot be read back: what they are good for is done without them.
fn readable<T>(
    db: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let (sound, bad): (Vec<_>, Vec<_>) =
        each(db, sql, parameters, |row| Ok(read(row)))?.into_iter().partition(Result::is_ok);
    if let Some(Err(error)) = bad.first() {
        tracing::error!(rows = bad.len(), error = %Chain(error), "rows cannot be read back and are left out");
    }
    Ok(sound.into_iter().filter_map(Result::ok).collect())
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

//! Looking at the store through a connection that cannot write: for the command line and the API.

use super::alarms::{ALARM_COLUMNS, alarm_of, hazard_of};
use super::recall::each;
use super::rows::{get, link_of, quality_of, stamp_of, word};
use super::{Doing, FILE_NAME, SCHEMA_VERSION, StoreError, chain};
use crate::model::{
    AccessResult, Actor, Alarm, AlarmChange, AlarmId, AuditHead, Carrier, ChangeKind, CredentialUse,
    DestinationId, DeviceId, Direction, Event, EventKind, Hazard, HazardId, Person, PersonRef, Phase,
    PointId, PointKind, Reading, Reason, Role, RollUp, Service, Unit, Wall,
};
use crate::pipeline::{LinkChange, StoredEvent, StoredReading};
use rusqlite::{Connection, OpenFlags, Row, ToSql, named_params};
use std::path::{Path, PathBuf};

/// Most rows one query returns.
pub const MAX_ROWS: u32 = 1_000;
/// Events that one page looks at: bounds the work for a device or a kind that is rare among years of them.
const EVENTS_PER_PAGE: i64 = 20_000;

/// Rows in descending order of their number, and the number to go on from.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// Number and row, newest first.
    pub rows: Vec<(u64, T)>,
    /// Ask for rows before this number to go on; `None` at the end.
    pub next_before: Option<u64>,
}

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Of this device only.
    pub device: Option<DeviceId>,
    /// Of this kind only.
    pub kind: Option<EventKind>,
}

/// A payload that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct QuarantineRow {
    /// When it arrived.
    pub at: Wall,
    /// By which bus.
    pub bus: String,
    /// Of whom, if known.
    pub device: Option<String>,
    /// Topic, registers or URL.
    pub origin: String,
    /// One word.
    pub kind: String,
    /// What was wrong and what was expected.
    pub reason: String,
    /// First bytes, what is not text replaced by `·`.
    pub raw: String,
    /// Whole length in bytes.
    pub raw_len: u64,
}

/// A record that a platform rejected.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SetAsideRow {
    /// By which the platform knows it.
    pub uid: String,
    /// Why it was rejected.
    pub reason: String,
    /// When.
    pub at: Wall,
    /// The record, JSON.
    pub record: String,
}

/// Something that sends and is not configured.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StrangerRow {
    /// By which bus.
    pub bus: String,
    /// Topic or address.
    pub origin: String,
    /// First heard.
    pub first_at: Wall,
    /// Last heard.
    pub last_at: Wall,
    /// How many messages.
    pub messages: u64,
}

/// A connection that cannot write.
#[derive(Debug)]
pub struct Reader {
    pub(super) db: Connection,
    /// The data directory.
    pub(super) dir: PathBuf,
}

impl Reader {
    /// Opens the database of a data directory.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let path = dir.join(FILE_NAME);
        std::fs::metadata(&path).map_err(|cause| StoreError::File {
            path: path.clone(),
            doing: "looking for the database (has the gateway run with this data directory?)",
            cause,
        })?;
        let db = Connection::open_with_flags(&path, flags).doing("opening the database to read")?;
        db.busy_timeout(std::time::Duration::from_secs(5)).doing("opening the database to read")?;
        db.pragma_update(None, "cache_size", -2048).doing("opening the database to read")?;
        let version = db.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0));
        let version = version.doing("opening the database to read")?;
        if version > SCHEMA_VERSION {
            return Err(StoreError::Newer { path, found: version });
        }
        Ok(Self { db, dir: dir.to_owned() })
    }

    /// Events, newest first. A page that looked at many events in vain may hold fewer rows than asked for, and still
    /// say where to go on.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn events(
        &self,
        filter: &EventFilter,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Page<StoredEvent>, StoreError> {
        // Counted in rows: numbers leap where they were raised.
        let before = before.map_or(i64::MAX, signed);
        let from: Option<i64> = self
            .db
            .prepare_cached(
                "select min(seq) from (select seq from event where seq < ?1 order by seq desc limit ?2)",
            )
            .and_then(|mut s| s.query_row([before, EVENTS_PER_PAGE], |row| row.get(0)))
            .doing("reading events")?;
        let Some(from) = from else { return Ok(Page { rows: Vec::new(), next_before: None }) };
        let sql = "select * from event where seq < :before and seq >= :from \
             and (:device is null or device = :device) and (:kind is null or kind = :kind) \
             order by seq desc limit :limit";
        let device = filter.device.as_ref().map(DeviceId::as_str);
        let kind = filter.kind.map(EventKind::as_str);
        let narrowed: &[(&str, &dyn ToSql)] = &[(":from", &from), (":device", &device), (":kind", &kind)];
        let mut page = page(&self.db, sql, Some(unsigned(before)), limit, narrowed, event_of)?;
        let older = "select exists (select 1 from event where seq < ?1)";
        if page.next_before.is_none()
            && self.db.query_row(older, [from], |row| row.get(0)).doing("reading events")?
        {
            page.next_before = Some(unsigned(from));
        }
        Ok(page)
    }

    /// The alarms that one explains or explained, oldest first; at most [`MAX_ROWS`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn explained(&self, id: AlarmId) -> Result<Vec<Alarm>, StoreError> {
        let number = i64::try_from(id.0).unwrap_or(i64::MAX);
        let sql =
            format!("select {} from alarm where inhibited_by = ?1 order by id limit ?2", *ALARM_COLUMNS);
        each(&self.db, &sql, [number, i64::from(MAX_ROWS)], alarm_of)
    }

    /// Hazards, newest first; only those that are not closed if `open`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn hazards(&self, open: bool, before: Option<u64>, limit: u32) -> Result<Page<Hazard>, StoreError> {
        let open = if open { "and closed_at is null" } else { "" };
        let sql = format!(
            "select id as seq, * from hazard where id < :before {open} order by id desc limit :limit"
        );
        page(&self.db, &sql, before, limit, &[], hazard_of)
    }

    /// One hazard; `None` if there is no such.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn hazard(&self, id: HazardId) -> Result<Option<Hazard>, StoreError> {
        let number = i64::try_from(id.0).unwrap_or(i64::MAX);
        Ok(each(&self.db, "select * from hazard where id = ?1", [number], hazard_of)?.pop())
    }

    /// One alarm with its whole history, oldest step first; `None` if there is no such alarm.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn alarm(&self, id: AlarmId) -> Result<Option<(Alarm, Vec<AlarmChange>)>, StoreError> {
        let number = i64::try_from(id.0).unwrap_or(i64::MAX);
        let sql = format!("select {} from alarm where id = ?1", *ALARM_COLUMNS);
        let Some(alarm) = each(&self.db, &sql, [number], alarm_of)?.pop() else { return Ok(None) };
        let steps =
            each(&self.db, "select * from alarm_change where alarm = ?1 order by seq", [number], |row| {
                let seq: i64 = get(row, "seq")?;
                let actor: String = get(row, "actor")?;
                Ok(AlarmChange {
                    kind: word("alarm_change", seq, &get::<String>(row, "kind")?, ChangeKind::from_word)?,
                    at: Wall(get(row, "at")?),
                    actor: word("alarm_change", seq, &actor, Actor::named)?,
                    note: get(row, "note")?,
                    alarm: alarm.clone(),
                })
            })?;
        Ok(Some((alarm, steps)))
    }

    /// Roll-ups that start in `[from, to)`, oldest first; at most [`MAX_ROWS`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn roll_ups(
        &self,
        device: Option<&DeviceId>,
        from: Wall,
        to: Wall,
    ) -> Result<Vec<RollUp>, StoreError> {
        each(
            &self.db,
            "select r.*, s.device, s.point, s.unit, s.kind from roll_up r join series s on s.id = r.series \
             where r.start >= :from and r.start < :to and (:device is null or s.device = :device) \
             order by r.start limit :limit",
            named_params! {
                ":from": from.0, ":to": to.0, ":device": device.map(DeviceId::as_str), ":limit": MAX_ROWS
            },
            roll_up_of,
        )
    }

    /// What could not be understood, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn quarantine(&self, before: Option<u64>, limit: u32) -> Result<Page<QuarantineRow>, StoreError> {
        let sql = "select * from quarantine where seq < :before order by seq desc limit :limit";
        page(&self.db, sql, before, limit, &[], |row| {
            Ok(QuarantineRow {
                at: Wall(get(row, "at")?),
                bus: get(row, "bus")?,
                device: get(row, "device")?,
                origin: get(row, "origin")?,
                kind: get(row, "kind")?,
                reason: get(row, "reason")?,
                raw: printable(&get::<Vec<u8>>(row, "raw")?),
                raw_len: u64::try_from(get::<i64>(row, "raw_len")?).unwrap_or(0),
            })
        })
    }

    /// What a platform rejected, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn set_aside(
        &self,
        destination: &DestinationId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Page<SetAsideRow>, StoreError> {
        let sql = "select * from set_aside where seq < :before and destination = :destination \
             order by seq desc limit :limit";
        page(&self.db, sql, before, limit, &[(":destination", &destination.as_str())], |row| {
            Ok(SetAsideRow {
                uid: get(row, "uid")?,
                reason: get(row, "reason")?,
                at: Wall(get(row, "at")?),
                record: get(row, "record")?,
            })
        })
    }

    /// How far the audit trail has come; `None` while it is empty.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn audit_head(&self, at: Wall) -> Result<Option<AuditHead>, StoreError> {
        let head = chain::head(&self.db, "audit")?.filter(|head| head.seq > 0);
        Ok(head.map(|head| AuditHead {
            at,
            entries: u64::try_from(head.seq).unwrap_or(0),
            hash: head.hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        }))
    }

    /// When the audit trail last told of an action.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn last_done(&self, action: &str) -> Result<Option<Wall>, StoreError> {
        let sql = "select at from audit where action = ?1 order by seq desc limit 1";
        Ok(each(&self.db, sql, [action], |row| Ok(Wall(get(row, "at")?)))?.pop())
    }

    /// How many records wait for a destination, and since when the oldest does.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn waiting(&self, destination: &DestinationId) -> Result<(u64, Option<Wall>), StoreError> {
        let mut rows = each(
            &self.db,
            "select count(*) as waiting, \
             (select min(created) from (\
             select * from (select created from outbox where destination = ?1 and lane = 0 order by seq limit 1) \
             union all \
             select * from (select created from outbox where destination = ?1 and lane = 1 order by seq limit 1)\
             )) as oldest from outbox where destination = ?1",
            [destination.as_str()],
            |row| {
                let waiting = u64::try_from(get::<i64>(row, "waiting")?).unwrap_or(0);
                Ok((waiting, get::<Option<i64>>(row, "oldest")?.map(Wall)))
            },
        )?;
        Ok(rows.pop().unwrap_or((0, None)))
    }

    /// Everything that sends and is not configured.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn strangers(&self) -> Result<Vec<StrangerRow>, StoreError> {
        each(&self.db, "select * from stranger order by last_at desc", [], |row| {
            Ok(StrangerRow {
                bus: get(row, "bus")?,
                origin: get(row, "origin")?,
                first_at: Wall(get(row, "first_at")?),
                last_at: Wall(get(row, "last_at")?),
                messages: u64::try_from(get::<i64>(row, "messages")?).unwrap_or(0),
            })
        })
    }

    /// How each device last was.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn links(&self) -> Result<Vec<LinkChange>, StoreError> {
        each(&self.db, "select * from link", [], link_change_of)
    }
}

pub(super) fn link_change_of(row: &Row<'_>) -> Result<LinkChange, StoreError> {
    let device: String = get(row, "device")?;
    let fault: Option<String> = get(row, "fault")?;
    Ok(LinkChange {
        device: word("link", 0, &device, |t| DeviceId::new(t).ok())?,
        at: Wall(get(row, "since")?),
        link: link_of(get(row, "up")?, fault.as_deref()),
    })
}

/// The columns a row has by joining `series`.
struct Series {
    device: DeviceId,
    point: PointId,
    unit: Unit,
    kind: PointKind,
}

fn series_of(row: &Row<'_>) -> Result<Series, StoreError> {
    let id: i64 = get(row, "series")?;
    let text = |column: &str| get::<String>(row, column);
    Ok(Series {
        device: word("series", id, &text("device")?, |t| DeviceId::new(t).ok())?,
        point: word("series", id, &text("point")?, |t| PointId::new(t).ok())?,
        unit: word("series", id, &text("unit")?, Unit::from_symbol)?,
        kind: word("series", id, &text("kind")?, PointKind::from_word)?,
    })
}

pub(super) fn reading_of(row: &Row<'_>) -> Result<StoredReading, StoreError> {
    let Series { device, point, unit, kind } = series_of(row)?;
    let doubt: Option<String> = get(row, "doubt")?;
    let quality = quality_of(get(row, "quality")?, doubt.as_deref());
    let reading = Reading { point, value: get(row, "value")?, unit, kind, quality };
    Ok(StoredReading { device, stamp: stamp_of(row).doing("reading a row")?, reading })
}

pub(super) fn roll_up_of(row: &Row<'_>) -> Result<RollUp, StoreError> {
    let Series { device, point, unit, kind } = series_of(row)?;
    Ok(RollUp {
        device,
        point,
        unit,
        kind,
        start: Wall(get(row, "start")?),
        period_secs: get(row, "period_secs")?,
        count: get(row, "count")?,
        sum: get(row, "sum")?,
        min: get(row, "min")?,
        max: get(row, "max")?,
        last: get(row, "last")?,
        delta: get(row, "delta")?,
        revision: get(row, "revision")?,
    })
}

/// A person from their row.
pub(super) fn person_of(row: &Row<'_>) -> Result<(PersonRef, Person), StoreError> {
    let wall = |column: &str| Ok::<_, StoreError>(get::<Option<i64>>(row, column)?.map(Wall));
    let who: String = get(row, "pseudonym")?;
    let person = Person {
        role: word("person", 0, &get::<String>(row, "role")?, Role::from_word)?,
        group: get(row, "grp")?,
        platform_id: get(row, "platform_id")?,
        valid_from: wall("valid_from")?,
        valid_until: wall("valid_until")?,
    };
    Ok((word("person", 0, &who, PersonRef::from_digits)?, person))
}

pub(super) fn event_of(row: &Row<'_>) -> Result<StoredEvent, StoreError> {
    let seq: i64 = get(row, "seq")?;
    let text = |column: &str| get::<Option<String>>(row, column);
    let device: String = get(row, "device")?;
    let credential = match (text("carrier")?, text("service")?, text("direction")?, text("result")?) {
        (Some(carrier), Some(service), Some(direction), Some(result)) => Some(CredentialUse {
            carrier: word("event", seq, &carrier, Carrier::from_word)?,
            service: word("event", seq, &service, Service::from_word)?,
            direction: word("event", seq, &direction, Direction::from_word)?,
            result: word("event", seq, &result, AccessResult::from_word)?,
            reason: text("reason")?.map(|text| word("event", seq, &text, Reason::from_word)).transpose()?,
            person: text("person")?.map(PersonRef::from_stored),
            known: None,
        }),
        _ => None,
    };
    Ok(StoredEvent {
        device: word("event", seq, &device, |t| DeviceId::new(t).ok())?,
        stamp: stamp_of(row).doing("reading a row")?,
        retained: get(row, "retained")?,
        event: Event {
            kind: word("event", seq, &get::<String>(row, "kind")?, EventKind::from_word)?,
            phase: word("event", seq, &get::<String>(row, "phase")?, Phase::from_word)?,
            code: text("code")?,
            serial: text("serial")?,
            credential,
        },
    })
}

/// Runs a query that has `:before` and `:limit`, its rows numbered by `seq`.
pub(super) fn page<T>(
    db: &Connection,
    sql: &str,
    before: Option<u64>,
    limit: u32,
    narrowed: &[(&str, &dyn ToSql)],
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let limit = limit.clamp(1, MAX_ROWS);
    let before = before.map_or(i64::MAX, signed);
    let mut parameters: Vec<(&str, &dyn ToSql)> = vec![(":before", &before), (":limit", &limit)];
    parameters.extend(narrowed);
    let rows =
        each(db, sql, parameters.as_slice(), |row| Ok((unsigned(get::<i64>(row, "seq")?), read(row)?)))?;
    let full = rows.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let next_before = rows.last().filter(|_| full).map(|(seq, _)| *seq);
    Ok(Page { rows, next_before })
}

pub(super) fn signed(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(seq: i64) -> u64 {
    u64::try_from(seq).unwrap_or(0)
}

/// Bytes as a person can read them on one line.
fn printable(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw)
        .chars()
        .map(|c| if c.is_control() || c == char::REPLACEMENT_CHARACTER { '·' } else { c })
        .collect()
}

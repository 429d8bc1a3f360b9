//! The statements that write: commits, settlements, and the deletion of what is too old.

use super::chain::{self, FINGERPRINTS, Link};
use super::levels::Levels;
use super::reopen::Tail;
use super::rows::{clock_code, link_code, quality_code};
use super::{
    Committed, Doing, QUARANTINE_ROWS, STRANGERS, Settlement, StoreError, alarms, history, people, uploaded,
};
use crate::aggregate::REVISABLE_SPAN;
use crate::model::{
    BusId, DestinationId, DeviceId, Lane, OutboxItem, PointId, PointKind, Record, RollUp, Unit, Wall,
};
use crate::museum;
use crate::pipeline::{Commit, Dropped, FINGERPRINTS_KEPT, Fingerprint, StoredEvent, StoredReading};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Transaction, params, params_from_iter};
use std::collections::HashMap;

/// `meta` key: numbers of readings up to this one are given, whatever the tables hold; a restore sets it.
pub(super) const READINGS_GIVEN: &str = "readings_given";
/// `meta` key: the same for alarms.
pub(super) const ALARMS_GIVEN: &str = "alarms_given";
/// Keys of `meta` that begin so: what a restart has to know of the control whose id follows.
pub(super) const CONTROL: &str = "control.";
/// Keys of `meta` that begin so: what a restart has to know of the area whose id follows.
pub(super) const AREA: &str = "area.";
/// `meta` key: numbers of hazards up to this one are given.
pub(super) const HAZARDS_GIVEN: &str = "hazards_given";
/// Key of what was noted of the muster.
pub(super) const MUSTER: &str = "muster";
/// Key of what was noted of responses.
pub(super) const RESPONSE: &str = "response";
/// Key of what was noted of drills.
pub(super) const DRILL: &str = "drill";

/// The number that a key of `meta` holds; 0 if there is none.
pub(super) fn floor(db: &Connection, key: &str) -> Result<i64, StoreError> {
    let text: Option<String> = db
        .query_row("select value from meta where key = ?1", [key], |row| row.get(0))
        .optional()
        .doing("reading which numbers are given")?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// What commits need of the tables again and again: the short numbers of series, as the `series` table has them, and
/// the number of the last reading. Read anew after a commit that failed.
#[derive(Debug, Default)]
pub(super) struct SeriesIds {
    ids: HashMap<DeviceId, OfDevice>,
    last_reading: i64,
    /// What the traces of messages that were written since add to their sum, by slot; others are looked up.
    traces: HashMap<BusId, HashMap<i64, u128>>,
}

/// A device's series by point: one for each, unless its unit or kind was changed. A sorted list, because there may be
/// 100,000 points.
#[derive(Debug, Default)]
struct OfDevice(Vec<(PointId, Unit, PointKind, i64)>);

impl OfDevice {
    fn place(&self, point: &PointId) -> usize {
        self.0.partition_point(|(own, ..)| own < point)
    }

    fn get(&self, point: &PointId, unit: Unit, kind: PointKind) -> Option<i64> {
        let of_point = self.0.iter().skip(self.place(point)).take_while(|(own, ..)| own == point);
        of_point.filter(|(_, u, k, _)| (*u, *k) == (unit, kind)).map(|(.., id)| *id).next()
    }

    fn add(&mut self, point: PointId, unit: Unit, kind: PointKind, id: i64) {
        self.0.insert(self.place(&point), (point, unit, kind, id));
    }
}

impl SeriesIds {
    pub(super) fn load(db: &Connection) -> Result<Self, StoreError> {
        let mut ids: HashMap<DeviceId, OfDevice> = HashMap::new();
        let mut rows =
            db.prepare("select id, device, point, unit, kind from series").doing("reading series")?;
        let mut rows = rows.query([]).doing("reading series")?;
        while let Some(row) = rows.next().doing("reading series")? {
            let text = |i: usize| row.get::<_, String>(i).doing("reading series");
            let (device, point) = (DeviceId::new(&text(1)?).ok(), PointId::new(&text(2)?).ok());
            let (unit, kind) = (Unit::from_symbol(&text(3)?), PointKind::from_word(&text(4)?));
            // A series of a unit that this program no longer knows stays in the file; new rows get a new number.
            if let (Some(device), Some(point), Some(unit), Some(kind)) = (device, point, unit, kind) {
                let id = row.get(0).doing("reading series")?;
                ids.entry(device).or_default().add(point, unit, kind, id);
            }
        }
        // Sealed readings are no longer rows, and their numbers are not given again.
        let last: Option<i64> = db
            .query_row("select max(seq) from reading", [], |row| row.get(0))
            .doing("reading the last reading")?;
        let last_reading =
            last.unwrap_or(0).max(history::sealed_through(db)?).max(floor(db, READINGS_GIVEN)?);
        Ok(Self { ids, last_reading, traces: HashMap::new() })
    }

    /// The highest number that was given to a reading.
    pub(super) fn last_reading(&self) -> i64 {
        self.last_reading
    }

    fn of(
        &mut self,
        tx: &Transaction<'_>,
        (device, point): (&DeviceId, &PointId),
        (unit, kind): (Unit, PointKind),
    ) -> Result<i64, StoreError> {
        if let Some(id) = self.ids.get(device).and_then(|all| all.get(point, unit, kind)) {
            return Ok(id);
        }
        tx.prepare_cached("insert into series (device, point, unit, kind) values (?1, ?2, ?3, ?4)")
            .and_then(|mut s| {
                s.execute(params![device.as_str(), point.as_str(), unit.symbol(), kind.as_str()])
            })
            .doing("adding a series")?;
        let id = tx.last_insert_rowid();
        self.ids.entry(device.clone()).or_default().add(point.clone(), unit, kind, id);
        Ok(id)
    }
}

pub(super) fn commit(
    db: &mut Connection,
    series: &mut SeriesIds,
    before: &mut Option<Tail>,
    levels: &Levels,
    commits: &[&Commit],
) -> Result<Vec<Committed>, StoreError> {
    *before = None;
    let tx =
        db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).doing("beginning a commit")?;
    *before = Some(Tail::of(&tx)?);
    let mut done = Vec::with_capacity(commits.len());
    let (mut events, mut changes) = (Link::of(&tx, "event")?, Link::of(&tx, "alarm_change")?);
    for commit in commits {
        done.push(write(&tx, series, (&mut events, &mut changes), commit)?);
    }
    events.finish()?;
    changes.finish()?;
    levels.note(&tx, commits.iter().flat_map(|commit| &commit.roll_ups))?;
    match tx.commit() {
        Err(error) if museum::on("retry_failed_fsync") && failed_sync(&error) => {
            db.execute_batch("pragma wal_checkpoint").doing("committing")?;
        }
        outcome => outcome.doing("committing")?,
    }
    *before = None;
    Ok(done)
}

/// Whether the medium did not take what was to be made durable.
fn failed_sync(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|e| e.extended_code == rusqlite::ffi::SQLITE_IOERR_FSYNC)
}

fn write(
    tx: &Transaction<'_>,
    series: &mut SeriesIds,
    (events, changes): (&mut Link<'_>, &mut Link<'_>),
    commit: &Commit,
) -> Result<Committed, StoreError> {
    let mut committed = Committed::default();
    write_readings(tx, series, &commit.readings)?;
    if museum::on("partial_commit") {
        tx.execute_batch("commit; begin immediate").doing("committing half")?;
    }
    committed.duplicate_events = write_events(tx, events, &commit.events)?;
    for change in &commit.links {
        let (up, fault) = link_code(change.link);
        tx.prepare_cached(
            "insert into link (device, up, fault, since) values (?1, ?2, ?3, ?4) \
             on conflict (device) do update set up = ?2, fault = ?3, since = ?4",
        )
        .and_then(|mut s| s.execute(params![change.device.as_str(), up, fault, change.at.0]))
        .doing("storing a device's state")?;
    }
    for change in &commit.alarm_changes {
        alarms::write_change(tx, changes, change)?;
        committed.last_step = u64::try_from(changes.next() - 1).unwrap_or(0);
    }
    for roll_up in &commit.roll_ups {
        write_roll_up(tx, series, roll_up)?;
    }
    for item in &commit.outbox {
        let record = serde_json::to_string(&item.record).map_err(StoreError::Json)?;
        tx.prepare_cached(
            "insert into outbox (seq, destination, lane, uid, created, record, hash) \
             values (?1, ?2, ?3, ?4, ?5, ?6, row_hash(?7, ?1, ?2, ?3, ?4, ?5, ?6))",
        )
        .and_then(|mut s| {
            let lane = lane_code(item.record.lane());
            s.execute(params![
                number(item.seq),
                item.destination.as_str(),
                lane,
                item.uid,
                item.created.0,
                record,
                chain::START
            ])
        })
        .doing("storing what is owed")?;
    }
    if let Some(last) = commit.outbox.iter().map(|item| item.seq).max() {
        // Rows are deleted when delivered, so the highest number ever used is kept apart.
        tx.prepare_cached("insert or replace into meta (key, value) values ('next_seq', ?1)")
            .and_then(|mut s| s.execute(params![(last + 1).to_string()]))
            .doing("storing the next number")?;
    }
    write_odd(tx, commit)?;
    for dropped in &commit.dropped {
        count_dropped(tx, *dropped)?;
    }
    for entry in &commit.audit {
        chain::audit(tx, entry.at, &entry.actor, entry.action, &entry.subject, &entry.detail)?;
    }
    for (at, change) in &commit.people {
        people::write(tx, change, *at)?;
    }
    for (control, memory) in &commit.controls {
        history::set_meta(tx, &format!("{CONTROL}{control}"), memory)?;
    }
    for (area, memory) in &commit.areas {
        history::set_meta(tx, &format!("{AREA}{area}"), memory)?;
    }
    for hazard in &commit.hazards {
        alarms::write_hazard(tx, hazard)?;
    }
    if let Some(muster) = &commit.muster {
        history::set_meta(tx, MUSTER, muster)?;
    }
    if let Some(responses) = &commit.responses {
        history::set_meta(tx, RESPONSE, responses)?;
    }
    if let Some(drill) = &commit.drill {
        history::set_meta(tx, DRILL, drill)?;
    }
    if !museum::on("fingerprint_not_stored") {
        write_fingerprints(tx, &mut series.traces, &commit.fingerprints)?;
    }
    for (at, change) in &commit.people {
        people::erase(tx, change, *at)?;
    }
    Ok(committed)
}

/// Adds to the count of what was given up.
pub(super) fn count_dropped(db: &Connection, dropped: Dropped) -> Result<(), StoreError> {
    db.prepare_cached(
        "insert into dropped (reason, rows, first_at, last_at) values (?1, ?2, ?3, ?3) \
         on conflict (reason) do update set rows = rows + ?2, last_at = ?3",
    )
    .and_then(|mut s| s.execute(params![dropped.reason, number(dropped.rows), dropped.at.0]))
    .doing("counting what was given up")?;
    Ok(())
}

/// Readings are put in so many with one statement: beginning and ending one costs as much as the row.
const READINGS_AT_ONCE: usize = 16;
const READING_WIDTH: usize = 8;

fn insert_readings(rows: usize) -> String {
    let marks = format!("({})", ["?"; READING_WIDTH].join(", "));
    format!("insert into reading ({}) values {}", chain::READING_COLUMNS, vec![marks; rows].join(", "))
}

fn write_readings(
    tx: &Transaction<'_>,
    series: &mut SeriesIds,
    readings: &[StoredReading],
) -> Result<(), StoreError> {
    if readings.is_empty() {
        return Ok(());
    }
    let doing = "storing a reading";
    let mut many = tx.prepare_cached(&insert_readings(READINGS_AT_ONCE)).doing(doing)?;
    let mut one = tx.prepare_cached(&insert_readings(1)).doing(doing)?;
    let mut summand = chain::Summand::default();
    chain::readings_changed(tx, |sum| {
        for group in readings.chunks(READINGS_AT_ONCE) {
            let whole = group.len() == READINGS_AT_ONCE;
            let insert = if whole { &mut many } else { &mut one };
            for part in group.chunks(if whole { READINGS_AT_ONCE } else { 1 }) {
                let mut place = 0;
                for stored in part {
                    let point = (&stored.device, &stored.reading.point);
                    let id = series.of(tx, point, (stored.reading.unit, stored.reading.kind))?;
                    series.last_reading += 1;
                    let row = reading_row(series.last_reading, id, stored);
                    for value in row {
                        place += 1;
                        insert.raw_bind_parameter(place, ToSqlOutput::Borrowed(value)).doing(doing)?;
                    }
                    sum.with(summand.of(row));
                }
                insert.raw_execute().doing(doing)?;
            }
        }
        Ok(())
    })
}

/// A row of `reading` in the order of its columns.
fn reading_row(seq: i64, series: i64, stored: &StoredReading) -> [ValueRef<'_>; READING_WIDTH] {
    let StoredReading { stamp, reading, .. } = stored;
    let (quality, doubt) = quality_code(reading.quality);
    [
        ValueRef::Integer(seq),
        ValueRef::Integer(series),
        ValueRef::Integer(stamp.gateway.0),
        stamp.device.map_or(ValueRef::Null, |at| ValueRef::Integer(at.0)),
        ValueRef::Integer(clock_code(stamp.clock)),
        // NaN is stored as null.
        reading.value.filter(|value| !value.is_nan()).map_or(ValueRef::Null, ValueRef::Real),
        ValueRef::Integer(quality),
        doubt.map_or(ValueRef::Null, text),
    ]
}

/// The place of `hash` among the columns of `event`.
const EVENT_HASH: usize = 15;

/// How many were there already.
fn write_events(
    tx: &Transaction<'_>,
    link: &mut Link<'_>,
    events: &[StoredEvent],
) -> Result<u64, StoreError> {
    if events.is_empty() {
        return Ok(0);
    }
    let mut insert = tx
        .prepare_cached(
            "insert into event (seq, device, arrived, device_at, clock, retained, kind, phase, code, serial, \
             carrier, service, direction, result, person, hash, reason) \
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) \
             on conflict (device, serial, coalesce(device_at, 0)) where serial is not null do nothing",
        )
        .doing("storing an event")?;
    let mut duplicates = 0;
    for StoredEvent { device, stamp, retained, event } in events {
        let credential = event.credential.as_ref();
        let mut row = [
            ValueRef::Integer(link.next()),
            text(device.as_str()),
            ValueRef::Integer(stamp.gateway.0),
            stamp.device.map_or(ValueRef::Null, |at| ValueRef::Integer(at.0)),
            ValueRef::Integer(clock_code(stamp.clock)),
            ValueRef::Integer(i64::from(*retained)),
            text(event.kind.as_str()),
            text(event.phase.as_str()),
            event.code.as_deref().map_or(ValueRef::Null, text),
            event.serial.as_deref().map_or(ValueRef::Null, text),
            credential.map_or(ValueRef::Null, |c| text(c.carrier.as_str())),
            credential.map_or(ValueRef::Null, |c| text(c.service.as_str())),
            credential.map_or(ValueRef::Null, |c| text(c.direction.as_str())),
            credential.map_or(ValueRef::Null, |c| text(c.result.as_str())),
            credential.and_then(|c| c.person.as_ref()).map_or(ValueRef::Null, |p| text(p.as_str())),
            ValueRef::Null,
            credential.and_then(|c| c.reason).map_or(ValueRef::Null, |r| text(r.as_str())),
        ];
        let hash = chain::row_hash(&link.last(), chain::hashed_values(row, EVENT_HASH));
        if let Some(place) = row.get_mut(EVENT_HASH) {
            *place = ValueRef::Blob(&hash);
        }
        match insert.execute(params_from_iter(row.map(ToSqlOutput::Borrowed))).doing("storing an event")? {
            0 => duplicates += 1,
            _ => link.added(hash),
        }
    }
    Ok(duplicates)
}

fn text(text: &str) -> ValueRef<'_> {
    ValueRef::Text(text.as_bytes())
}

fn write_fingerprints(
    tx: &Transaction<'_>,
    traces: &mut HashMap<BusId, HashMap<i64, u128>>,
    fingerprints: &[Fingerprint],
) -> Result<(), StoreError> {
    if fingerprints.is_empty() {
        return Ok(());
    }
    let doing = "storing a message's trace";
    let mut before = tx
        .prepare_cached("select bus, slot, turn, value, at from fingerprint where bus = ?1 and slot = ?2")
        .doing(doing)?;
    let mut insert = tx
        .prepare_cached(
            "insert or replace into fingerprint (bus, slot, turn, value, at) values (?1, ?2, ?3, ?4, ?5)",
        )
        .doing(doing)?;
    let mut summand = chain::Summand::default();
    chain::sum_changed(tx, FINGERPRINTS, |sum| {
        for f in fingerprints {
            let slot = number(f.turn % FINGERPRINTS_KEPT);
            let row = [
                text(f.bus.as_str()),
                ValueRef::Integer(slot),
                ValueRef::Integer(number(f.turn)),
                ValueRef::Integer(f.value.cast_signed()),
                ValueRef::Integer(f.at.0),
            ];
            let new = summand.of(row);
            let old = match traces.get_mut(&f.bus) {
                Some(slots) => slots.insert(slot, new),
                None => traces.entry(f.bus.clone()).or_default().insert(slot, new),
            };
            if let Some(old) = old {
                sum.without(old);
            } else if let Some(old) =
                before.query(params![f.bus.as_str(), slot]).doing(doing)?.next().doing(doing)?
            {
                sum.without(summand.of((0..row.len()).map(|i| old.get_ref(i).unwrap_or(ValueRef::Null))));
            }
            insert.execute(params_from_iter(row.map(ToSqlOutput::Borrowed))).doing(doing)?;
            sum.with(new);
        }
        Ok(())
    })
}

fn write_roll_up(tx: &Transaction<'_>, series: &mut SeriesIds, r: &RollUp) -> Result<(), StoreError> {
    let id = series.of(tx, (&r.device, &r.point), (r.unit, r.kind))?;
    tx.prepare_cached(
        "insert or replace into roll_up (series, start, period_secs, count, sum, min, max, last, delta, revision) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )
    .and_then(|mut s| {
        s.execute(params![
            id, r.start.0, r.period_secs, r.count, r.sum, r.min, r.max, r.last, r.delta, r.revision
        ])
    })
    .doing("storing a roll-up")?;
    if r.kind == PointKind::Counter {
        // Late data does not change it; a period so much earlier that it cannot be late data means that the clock was
        // set back.
        let revisable_ms = REVISABLE_SPAN * i64::from(r.period_secs) * 1000;
        tx.prepare_cached(
            "insert into counter (series, start, last) values (?1, ?2, ?3) \
             on conflict (series) do update set start = ?2, last = ?3 where ?2 >= start or ?2 < start - ?4",
        )
        .and_then(|mut s| s.execute(params![id, r.start.0, r.last, revisable_ms]))
        .doing("storing what a counter stood at")?;
    }
    Ok(())
}

/// What could not be understood, and what came from strangers.
fn write_odd(tx: &Transaction<'_>, commit: &Commit) -> Result<(), StoreError> {
    for r in &commit.refused {
        tx.prepare_cached(
            "insert into quarantine (at, bus, device, origin, kind, reason, raw, raw_len) \
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .and_then(|mut s| {
            let device = r.device.as_ref().map(DeviceId::as_str);
            let len = i64::try_from(r.raw_len).unwrap_or(i64::MAX);
            s.execute(params![
                r.stamp.gateway.0,
                r.bus.as_str(),
                device,
                r.origin,
                r.kind,
                r.reason,
                r.raw,
                len
            ])
        })
        .doing("storing a quarantined payload")?;
    }
    if !commit.refused.is_empty() {
        tx.prepare_cached("delete from quarantine where seq <= (select max(seq) from quarantine) - ?1")
            .and_then(|mut s| s.execute(params![QUARANTINE_ROWS]))
            .doing("making room in quarantine")?;
    }
    for u in &commit.unknown {
        tx.prepare_cached(
            "insert into stranger (bus, origin, first_at, last_at, messages) \
             select ?1, ?2, ?3, ?3, 1 where (select count(*) from stranger) < ?4 \
             or exists (select 1 from stranger where bus = ?1 and origin = ?2) \
             on conflict (bus, origin) do update set last_at = ?3, messages = messages + 1",
        )
        .and_then(|mut s| s.execute(params![u.bus.as_str(), u.origin, u.stamp.gateway.0, STRANGERS]))
        .doing("remembering a stranger")?;
    }
    Ok(())
}

pub(super) fn owed(
    db: &mut Connection,
    to: &DestinationId,
    limit: usize,
) -> Result<Vec<OutboxItem>, StoreError> {
    let (items, unreadable) = read_owed(db, to, limit)?;
    if unreadable.is_empty() {
        return Ok(items);
    }
    // One row that cannot be read must not hold up the rest for ever; a person finds it among those set aside.
    for (seq, created, problem) in unreadable {
        tracing::error!(destination = %to, seq, problem, "a record cannot be read back and is set aside");
        let reason = format!("the gateway cannot read this record back: {problem}");
        let answer = Settlement { delivered: Vec::new(), set_aside: vec![(seq, reason)] };
        settle(db, to, &answer, created)?;
    }
    owed(db, to, limit)
}

type Unreadable = (u64, Wall, String);

fn read_owed(
    db: &Connection,
    to: &DestinationId,
    limit: usize,
) -> Result<(Vec<OutboxItem>, Vec<Unreadable>), StoreError> {
    let order = if museum::on("ordered_by_wall_clock") { "created" } else { "seq" };
    let mut statement = db
        .prepare_cached(&format!(
            "select seq, uid, created, record from outbox where destination = ?1 order by lane, {order} limit ?2"
        ))
        .doing("reading what is owed")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![to.as_str(), limit]).doing("reading what is owed")?;
    let (mut items, mut unreadable) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next().doing("reading what is owed")? {
        let seq = u64::try_from(row.get::<_, i64>(0).doing("reading what is owed")?).unwrap_or(0);
        let created = Wall(row.get(2).doing("reading what is owed")?);
        let uid = row.get::<_, String>(1).map_err(|error| error.to_string());
        let text = row.get::<_, String>(3).map_err(|error| error.to_string());
        let record = text.and_then(|t| serde_json::from_str::<Record>(&t).map_err(|error| error.to_string()));
        match (uid, record) {
            (Ok(uid), Ok(record)) => {
                items.push(OutboxItem { seq, destination: to.clone(), uid, created, record });
            }
            (Err(error), _) | (_, Err(error)) => unreadable.push((seq, created, error)),
        }
    }
    Ok((items, unreadable))
}

pub(super) fn settle(
    db: &mut Connection,
    to: &DestinationId,
    answer: &Settlement,
    at: Wall,
) -> Result<usize, StoreError> {
    let tx = db
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .doing("beginning a settlement")?;
    for (seq, reason) in answer.set_aside.iter().filter(|_| !museum::on("set_aside_dropped")) {
        tx.prepare_cached(
            "insert or ignore into set_aside (seq, destination, uid, created, record, reason, at, hash) \
             select seq, destination, uid, created, record, ?3, ?4, \
             row_hash(?5, seq, destination, uid, created, record, ?3, ?4) \
             from outbox where seq = ?1 and destination = ?2",
        )
        .and_then(|mut s| s.execute(params![number(*seq), to.as_str(), reason, at.0, chain::START]))
        .doing("setting a record aside")?;
    }
    if museum::on("settled_in_two_commits") {
        tx.execute_batch("commit; begin immediate").doing("committing half")?;
    }
    uploaded::note(&tx, to, &answer.delivered)?;
    let mut settled = 0;
    for seq in answer.delivered.iter().chain(answer.set_aside.iter().map(|(seq, _)| seq)) {
        settled += tx
            .prepare_cached("delete from outbox where seq = ?1 and destination = ?2")
            .and_then(|mut s| s.execute(params![number(*seq), to.as_str()]))
            .doing("settling a record")?;
    }
    tx.commit().doing("committing a settlement")?;
    Ok(settled)
}

pub(super) fn backlog(db: &Connection) -> Result<Vec<(DestinationId, u64)>, StoreError> {
    let mut statement = db
        .prepare_cached("select destination, count(*) from outbox group by destination")
        .doing("counting the backlog")?;
    let rows = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))
        .doing("counting the backlog")?;
    let mut backlog = Vec::new();
    for row in rows {
        let (destination, count) = row.doing("counting the backlog")?;
        if let Ok(destination) = DestinationId::new(&destination) {
            backlog.push((destination, u64::try_from(count).unwrap_or(0)));
        }
    }
    Ok(backlog)
}

fn lane_code(lane: Lane) -> i64 {
    match lane {
        Lane::Alarm => 0,
        Lane::Aggregate => 1,
    }
}

/// Numbers of ours stay far below 2^63.
pub(super) fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

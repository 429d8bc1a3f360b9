//! Closed periods of the runs before, for rules that compare with them: as fine as the store has them for the last
//! days, by the hour for the last months, by the school's day before that.
//!
//! A start must be quick on a slow card, and parts and hours lie by time: whoever reads two months of them for some
//! points has nearly all pages of two months in hand. Hours are a quarter of the pages that quarter hours are.

use super::levels::Levels;
use super::rows::get;
use super::{Doing, Reader, Store, StoreError};
use crate::model::{DeviceId, PointId, PointKind, RollUp, Unit, Wall};
use jiff::tz::TimeZone;
use rusqlite::{Connection, Row, named_params};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Roll-ups of the upload period are recalled of so many school days before the newest. Late values change none that
/// is older.
pub const RECALLED_PARTS_DAYS: i64 = 3;
/// Before them, hours of so many school days before the newest; days before that.
pub const RECALLED_HOURS_DAYS: i64 = 60;
/// Days of this long are gone through at once: a year of a few hundred points is some thousand rows each.
const DAYS_AT_ONCE: i64 = 31;
const DAY_MS: i64 = 24 * 3_600_000;

/// The columns of a row, in the order in which [`Reading::take`] reads them.
const COLUMNS: &str = "r.count, r.sum, r.min, r.max, r.last, r.delta, r.revision, r.series, r.start";

/// Whose values a series holds, and from when on they are wanted.
struct Series {
    device: DeviceId,
    point: PointId,
    unit: Unit,
    kind: PointKind,
    since: Wall,
}

type Wanted = BTreeMap<i64, Series>;

/// A table of roll-ups by time, and what its rows say of their length.
struct Table {
    name: &'static str,
    length: &'static str,
}

const PARTS: Table = Table { name: "roll_up", length: "r.period_secs" };
const HOURS: Table = Table { name: "roll_up_hour", length: "3600" };

impl Store {
    /// Shows the stored periods of these points, oldest first, each point as far back as is asked: the last
    /// [`RECALLED_PARTS_DAYS`] as they were closed, the last [`RECALLED_HOURS_DAYS`] by the hour, and what is older by
    /// the day. No moment of a point is in two of them. `now` is believed only when it is earlier than what is stored:
    /// a clock that is not set yet shortens nothing.
    ///
    /// # Errors
    /// When the database cannot be read. Rows that make no sense are left out and told to the log.
    pub fn periods(
        &self,
        points: &BTreeMap<(DeviceId, PointId), Duration>,
        now: Wall,
        mut show: impl FnMut(&RollUp),
    ) -> Result<(), StoreError> {
        if points.is_empty() {
            return Ok(());
        }
        // As of one moment: hours and what is still due of them belong together.
        let tx = self.db.unchecked_transaction().doing("beginning to read")?;
        let newest: Option<i64> = tx
            .query_row("select max(start) from roll_up", [], |row| row.get(0))
            .doing("looking for the newest roll-up")?;
        let Some(newest) = newest.map(Wall) else { return Ok(()) };
        let newest = if now.plausible() { newest.min(now) } else { newest };
        recalled(&tx, &self.levels, points, newest, &mut show)
    }
}

impl Reader {
    /// The periods that [`Store::periods`] would have shown at a start at this time, by the school's days in `zone`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn periods_before(
        &self,
        points: &BTreeMap<(DeviceId, PointId), Duration>,
        at: Wall,
        zone: &TimeZone,
    ) -> Result<Vec<RollUp>, StoreError> {
        let mut all = Vec::new();
        if points.is_empty() {
            return Ok(all);
        }
        let tx = self.db.unchecked_transaction().doing("beginning to read")?;
        let newest: Option<i64> = tx
            .query_row(
                "select max(start) from roll_up where start + period_secs * 1000 <= ?1",
                [at.0],
                |row| row.get(0),
            )
            .doing("looking for the newest roll-up")?;
        if let Some(newest) = newest.map(Wall) {
            let levels = Levels::in_zone(zone.clone());
            recalled(&tx, &levels, points, newest, &mut |period: &RollUp| all.push(period.clone()))?;
        }
        Ok(all)
    }
}

fn recalled(
    db: &Connection,
    levels: &Levels,
    points: &BTreeMap<(DeviceId, PointId), Duration>,
    newest: Wall,
    show: &mut impl FnMut(&RollUp),
) -> Result<(), StoreError> {
    let day = |days: i64| levels.day_of(newest.plus_ms(-days * DAY_MS)).0;
    let (hours_from, parts_from) = (day(RECALLED_HOURS_DAYS), day(RECALLED_PARTS_DAYS));
    let wanted = wanted(db, points, newest)?;
    let Some(oldest) = wanted.values().map(|series| series.since).min() else { return Ok(()) };

    let mut reading = Reading { db, rows: Vec::new(), bad: 0 };
    let mut at = levels.day_of(oldest).0;
    while at < hours_from {
        let to = levels.day_of(at.plus_ms(DAYS_AT_ONCE * DAY_MS)).0.min(hours_from);
        reading.days(&wanted, at, to)?;
        reading.show(show);
        at = to;
    }
    while at < parts_from {
        let to = levels.day_of(at).1.min(parts_from);
        reading.hours(&wanted, at, to)?;
        reading.show(show);
        at = to;
    }
    while at <= newest {
        // What began after the newest is none of the past.
        let to = levels.day_of(at).1.min(newest.plus_ms(1));
        reading.parts(&wanted, at, to)?;
        reading.show(show);
        at = to;
    }
    if reading.bad > 0 {
        tracing::error!(rows = reading.bad, "roll-ups cannot be read back and are left out");
    }
    Ok(())
}

/// A point that changed its unit has several series.
fn wanted(
    db: &Connection,
    points: &BTreeMap<(DeviceId, PointId), Duration>,
    newest: Wall,
) -> Result<Wanted, StoreError> {
    let named: BTreeMap<(&str, &str), _> =
        points.iter().map(|(of, back)| ((of.0.as_str(), of.1.as_str()), (of, *back))).collect();
    let mut statement = db.prepare_cached("select * from series").doing("reading series")?;
    let mut rows = statement.query([]).doing("reading series")?;
    let mut wanted = Wanted::new();
    while let Some(row) = rows.next().doing("reading series")? {
        let text = |column: &str| get::<String>(row, column);
        let (device, point) = (text("device")?, text("point")?);
        let Some(((device, point), back)) = named.get(&(device.as_str(), point.as_str())) else { continue };
        // A word that this program does not know is of no use to it.
        let (unit, kind) = (Unit::from_symbol(&text("unit")?), PointKind::from_word(&text("kind")?));
        if let (Some(unit), Some(kind)) = (unit, kind) {
            let since = newest.plus_ms(i64::try_from(back.as_millis()).unwrap_or(i64::MAX).saturating_neg());
            let (device, point) = (device.clone(), point.clone());
            wanted.insert(get(row, "id")?, Series { device, point, unit, kind, since });
        }
    }
    Ok(wanted)
}

/// Rows of one stretch of time, to be shown in order.
struct Reading<'c> {
    db: &'c Connection,
    rows: Vec<RollUp>,
    bad: u64,
}

impl Reading<'_> {
    fn show(&mut self, show: &mut impl FnMut(&RollUp)) {
        self.rows.sort_by_key(|row| row.start);
        self.rows.drain(..).for_each(|row| show(&row));
    }

    /// Takes a row of [`COLUMNS`] and its length; one that cannot be read is counted.
    fn take(&mut self, wanted: &Wanted, row: &Row<'_>, without: &BTreeSet<Wall>) {
        match period(wanted, row) {
            Ok(Some(period)) if !without.contains(&period.start) => self.rows.push(period),
            Ok(_) => {}
            Err(_) => self.bad += 1,
        }
    }

    fn parts(&mut self, wanted: &Wanted, from: Wall, to: Wall) -> Result<(), StoreError> {
        self.by_time(&PARTS, wanted, from, to, &BTreeSet::new())
    }

    /// Hours that are not made yet, or not made again, are given by their parts.
    fn hours(&mut self, wanted: &Wanted, from: Wall, to: Wall) -> Result<(), StoreError> {
        let due = self.due("hour", from, to)?;
        self.by_time(&HOURS, wanted, from, to, &due.iter().map(|(start, _)| *start).collect())?;
        for (start, ends) in due {
            self.parts(wanted, start, ends)?;
        }
        Ok(())
    }

    fn days(&mut self, wanted: &Wanted, from: Wall, to: Wall) -> Result<(), StoreError> {
        let due = self.due("day", from, to)?;
        let starts: BTreeSet<Wall> = due.iter().map(|(start, _)| *start).collect();
        let db = self.db;
        let mut statement = db
            .prepare_cached(&format!(
                "select {COLUMNS}, (r.ends - r.start) / 1000 from roll_up_day r \
                 where r.series = ?1 and r.start >= ?2 and r.start < ?3"
            ))
            .doing("reading days")?;
        for (id, series) in wanted.iter().filter(|(_, series)| series.since < to) {
            let mut rows = statement.query([*id, from.max(series.since).0, to.0]).doing("reading days")?;
            while let Some(row) = rows.next().doing("reading days")? {
                self.take(wanted, row, &starts);
            }
        }
        for (start, ends) in due {
            self.parts(wanted, start, ends)?;
        }
        Ok(())
    }

    fn due(&self, level: &str, from: Wall, to: Wall) -> Result<Vec<(Wall, Wall)>, StoreError> {
        super::recall::each(
            self.db,
            "select start, ends from level_due where level = :level and start >= :from and start < :to",
            named_params! { ":level": level, ":from": from.0, ":to": to.0 },
            |row| Ok((Wall(get(row, "start")?), Wall(get(row, "ends")?))),
        )
    }

    /// From one start to the next, and at each the wanted series.
    fn by_time(
        &mut self,
        table: &Table,
        wanted: &Wanted,
        from: Wall,
        to: Wall,
        without: &BTreeSet<Wall>,
    ) -> Result<(), StoreError> {
        let ids: Vec<String> =
            wanted.iter().filter(|(_, series)| series.since < to).map(|(id, _)| id.to_string()).collect();
        let ids = format!("[{}]", ids.join(","));
        let Table { name, length } = table;
        let db = self.db;
        let mut statement = db
            .prepare_cached(&format!(
                "with recursive moment (at) as (select min(start) from {name} where start >= :from and start < :to \
                 union all select (select min(start) from {name} where start > moment.at and start < :to) \
                 from moment where moment.at is not null) \
                 select {COLUMNS}, {length} from moment cross join json_each(:ids) wanted cross join {name} r \
                 on r.start = moment.at and r.series = wanted.value"
            ))
            .doing("reading roll-ups")?;
        let mut rows = statement
            .query(named_params! { ":from": from.0, ":to": to.0, ":ids": ids })
            .doing("reading roll-ups")?;
        while let Some(row) = rows.next().doing("reading roll-ups")? {
            self.take(wanted, row, without);
        }
        Ok(())
    }
}

/// A row as a period; nothing before its series is wanted.
fn period(wanted: &Wanted, row: &Row<'_>) -> rusqlite::Result<Option<RollUp>> {
    let (id, start): (i64, i64) = (row.get(7)?, row.get(8)?);
    let Some(series) = wanted.get(&id).filter(|series| series.since.0 <= start) else { return Ok(None) };
    Ok(Some(RollUp {
        device: series.device.clone(),
        point: series.point.clone(),
        unit: series.unit,
        kind: series.kind,
        start: Wall(start),
        period_secs: row.get(9)?,
        count: row.get(0)?,
        sum: row.get(1)?,
        min: row.get(2)?,
        max: row.get(3)?,
        last: row.get(4)?,
        delta: row.get(5)?,
        revision: row.get(6)?,
    }))
}

#[cfg(test)]
mod tests;

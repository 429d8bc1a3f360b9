//! What meters counted, by school days or by hours: from the roll-ups, and for the few periods that are not made yet from
//! their parts.

use super::levels::Level;
use super::recall::each;
use super::rows::get;
use super::{Doing, Reader, StoreError};
use crate::model::Wall;
use rusqlite::{Connection, params};
use std::collections::{BTreeMap, BTreeSet};

/// Counters that say what a device used, in kWh, the first that it has: others count a part of the same energy.
pub const ENERGY_COUNTERS: [&str; 2] = ["energy_import", "energy_total"];
/// Due periods that one question reads from their parts: what runs, the one before, and what late data reopened.
const DUE: u32 = 32;

/// What one meter counted, period by period.
#[derive(Debug, Clone, PartialEq)]
pub struct Metered {
    /// Which meter.
    pub device: String,
    /// Which of its counters.
    pub point: String,
    /// First moment of each period and what was counted in it, kWh; oldest first.
    pub rows: Vec<(Wall, f64)>,
}

impl Metered {
    /// What it counted in all of them; `None` where nothing is known.
    #[must_use]
    pub fn kwh(&self) -> Option<f64> {
        (!self.rows.is_empty()).then(|| self.rows.iter().map(|(_, kwh)| kwh).sum())
    }
}

/// A meter: which counter counts, and the numbers of its series.
struct Meter {
    rank: usize,
    point: String,
    series: Vec<i64>,
}

impl Reader {
    /// What each meter that is `wanted` counted in every hour or day that starts in one of these spans, which follow on
    /// one another and do not overlap.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn metered(
        &self,
        level: Level,
        spans: &[(Wall, Wall)],
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<Metered>, StoreError> {
        // Periods and notes as of one moment.
        let tx = self.db.unchecked_transaction().doing("beginning to read")?;
        let mut meters = meters(&tx)?;
        meters.retain(|device, _| wanted(device));
        let (starts, kwh) = due(&tx, level, spans)?;
        let table = if level == Level::Day { "roll_up_day" } else { "roll_up_hour" };
        let mut found: BTreeMap<i64, BTreeMap<i64, f64>> = BTreeMap::new();
        for ((series, start), kwh) in kwh {
            *found.entry(series).or_default().entry(start).or_default() += kwh;
        }
        let mut made = Made { tx: &tx, table, due: &starts, found };
        for (from, to) in spans {
            let series = meters.values().flat_map(|meter| meter.series.iter().copied());
            if level == Level::Day { made.days(series, *from, *to)? } else { made.hours(series, *from, *to)? }
        }
        let mut found = made.found;
        let metered = meters.into_iter().map(|(device, meter)| {
            let mut rows: BTreeMap<i64, f64> = BTreeMap::new();
            for (start, kwh) in meter.series.iter().filter_map(|id| found.remove(id)).flatten() {
                *rows.entry(start).or_default() += kwh;
            }
            let rows = rows.into_iter().map(|(start, kwh)| (Wall(start), kwh)).collect();
            Metered { device, point: meter.point, rows }
        });
        Ok(metered.collect())
    }
}

/// Meters by their device.
fn meters(tx: &Connection) -> Result<BTreeMap<String, Meter>, StoreError> {
    let counters = each(
        tx,
        "select id, device, point from series where unit = 'kWh' and kind = 'counter' order by device, id",
        [],
        |row| Ok((get::<i64>(row, "id")?, get::<String>(row, "device")?, get::<String>(row, "point")?)),
    )?;
    let mut meters: BTreeMap<String, Meter> = BTreeMap::new();
    for (id, device, point) in counters {
        let Some(rank) = ENERGY_COUNTERS.iter().position(|name| *name == point) else { continue };
        let new = || Meter { rank, point: point.clone(), series: Vec::new() };
        let meter = meters.entry(device).or_insert_with(new);
        if rank < meter.rank {
            *meter = Meter { rank, point, series: vec![id] };
        } else if rank == meter.rank {
            meter.series.push(id);
        }
    }
    Ok(meters)
}

type Sums = BTreeMap<(i64, i64), f64>;

/// The periods that are not made yet or have to be made anew, and what their parts add up to by series and period.
fn due(tx: &Connection, level: Level, spans: &[(Wall, Wall)]) -> Result<(BTreeSet<i64>, Sums), StoreError> {
    let (mut starts, mut kwh) = (BTreeSet::new(), Sums::new());
    for (from, to) in spans {
        let due = each(
            tx,
            "select start, ends from level_due where level = ?4 and start >= ?1 and start < ?2 \
             order by start desc limit ?3",
            params![from.0, to.0, DUE, level.as_str()],
            |row| Ok((get::<i64>(row, "start")?, get::<i64>(row, "ends")?)),
        )?;
        for (start, ends) in due {
            starts.insert(start);
            for (series, delta) in each(
                tx,
                "select series, delta from roll_up where start >= ?1 and start < ?2 and delta is not null",
                [start, ends],
                |row| Ok((get::<i64>(row, "series")?, get::<f64>(row, "delta")?)),
            )? {
                *kwh.entry((series, start)).or_default() += delta;
            }
        }
    }
    Ok((starts, kwh))
}

/// Periods that are made, beside those that are due.
struct Made<'t> {
    tx: &'t Connection,
    table: &'static str,
    due: &'t BTreeSet<i64>,
    found: BTreeMap<i64, BTreeMap<i64, f64>>,
}

impl Made<'_> {
    /// Days are clustered by series.
    fn days(&mut self, series: impl Iterator<Item = i64>, from: Wall, to: Wall) -> Result<(), StoreError> {
        let doing = "reading days";
        let mut days = self
            .tx
            .prepare_cached(&format!(
                "select start, delta from {} where series = ?1 and start >= ?2 and start < ?3",
                self.table
            ))
            .doing(doing)?;
        for id in series {
            let mut rows = days.query(params![id, from.0, to.0]).doing(doing)?;
            let found = self.found.entry(id).or_default();
            while let Some(row) = rows.next().doing(doing)? {
                let start: i64 = row.get(0).doing(doing)?;
                if !self.due.contains(&start)
                    && let Some(delta) = row.get::<_, Option<f64>>(1).doing(doing)?
                {
                    *found.entry(start).or_default() += delta;
                }
            }
        }
        Ok(())
    }

    /// Hours are clustered by time: from one start to the next, and at each the series that are wanted.
    fn hours(&mut self, series: impl Iterator<Item = i64>, from: Wall, to: Wall) -> Result<(), StoreError> {
        let doing = "reading hours";
        let series: Vec<i64> = series.collect();
        let table = self.table;
        let prepared = |sql: String| self.tx.prepare_cached(&sql).doing(doing);
        let mut next = prepared(format!("select min(start) from {table} where start >= ?1 and start < ?2"))?;
        let mut one = prepared(format!("select delta from {table} where start = ?1 and series = ?2"))?;
        let mut at = from.0;
        while let Some(start) = next.query_row([at, to.0], |row| row.get::<_, Option<i64>>(0)).doing(doing)? {
            at = start.saturating_add(1);
            if self.due.contains(&start) {
                continue;
            }
            for id in &series {
                let mut rows = one.query([start, *id]).doing(doing)?;
                while let Some(row) = rows.next().doing(doing)? {
                    if let Some(delta) = row.get::<_, Option<f64>>(0).doing(doing)? {
                        *self.found.entry(*id).or_default().entry(start).or_default() += delta;
                    }
                }
            }
        }
        Ok(())
    }
}

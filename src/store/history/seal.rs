//! Moving hot readings into a sealed file, a small step at a time: gather, write, finish, list.
//!
//! Nothing of a seal counts before its last step, one transaction that lists the file and makes the hot rows dead.
//! Whatever ends the process before leaves the rows hot, and a file that [`super::keep`] recognises and removes.

use super::disk::Place as DataDir;
use super::{Doing, Row, SEALED_THROUGH, Sealed, SeriesName, StoreError, Writer, count_dropped, set_meta};
use crate::model::Wall;
use rusqlite::{Connection, params};
use std::collections::HashMap;

/// Hot rows looked at in one step.
const GATHER_ROWS: i64 = 20_000;
/// Readings compressed in one step.
const WRITE_ROWS: usize = 10_000;
/// Readings held in memory at most, about 6 MB: a seal of more goes over the rows again for each part of the devices.
const PART_ROWS: i64 = 100_000;
/// Words of doubt that one file can have; there are fewer than ten.
const MOST_DOUBTS: usize = 250;

/// A seal under way.
#[derive(Debug)]
pub(in crate::store) struct Sealing {
    after: i64,
    through: i64,
    /// The devices are dealt out into parts; this one is being gathered or written.
    part: usize,
    parts: usize,
    stage: Stage,
    series: HashMap<i64, Place>,
    devices: Vec<Device>,
    /// Each once: devices of one model have the same.
    names: Vec<SeriesName>,
    doubts: Vec<String>,
    /// Rows whose series is not known: nobody can read them.
    nameless: u64,
    writer: Option<Writer>,
}

#[derive(Debug)]
enum Stage {
    /// Gathering the part's rows behind this number.
    Gather(i64),
    /// Writing the devices from this one on.
    Write(usize),
    Finish,
    /// The file is durable and not listed; none if there was nothing readable to seal.
    List(Option<Sealed>),
}

#[derive(Debug, Clone, Copy)]
struct Place {
    device: usize,
    name: u32,
}

#[derive(Debug)]
struct Device {
    id: String,
    rows: Vec<Row>,
}

impl Sealing {
    /// Begins to seal the rows behind `after`, up to `through`.
    pub(in crate::store) fn begin(
        db: &Connection,
        data_dir: &DataDir,
        after: i64,
        through: i64,
    ) -> Result<Self, StoreError> {
        let mut sealing = Self {
            after,
            through,
            part: 0,
            parts: usize::try_from((through - after) / PART_ROWS + 1).unwrap_or(1),
            stage: Stage::Gather(after),
            series: HashMap::new(),
            devices: Vec::new(),
            names: Vec::new(),
            doubts: Vec::new(),
            nameless: 0,
            writer: Some(Writer::create(data_dir)?),
        };
        let mut statement = db
            .prepare_cached("select id, device, point, unit, kind from series order by device, id")
            .doing("reading series")?;
        let mut rows = statement.query([]).doing("reading series")?;
        let mut known: HashMap<SeriesName, u32> = HashMap::new();
        while let Some(row) = rows.next().doing("reading series")? {
            let text = |i: usize| row.get::<_, String>(i).doing("reading series");
            let device = text(1)?;
            if sealing.devices.last().is_none_or(|last| last.id != device) {
                sealing.devices.push(Device { id: device, rows: Vec::new() });
            }
            let name = SeriesName { point: text(2)?, unit: text(3)?, kind: text(4)? };
            let name = *known.entry(name).or_insert_with_key(|name| {
                sealing.names.push(name.clone());
                u32::try_from(sealing.names.len() - 1).unwrap_or(u32::MAX)
            });
            let place = Place { device: sealing.devices.len() - 1, name };
            sealing.series.insert(row.get(0).doing("reading series")?, place);
        }
        Ok(sealing)
    }

    /// One step; once all is done, the file, unless no row was readable.
    pub(in crate::store) fn step(
        &mut self,
        db: &mut Connection,
        at: Wall,
    ) -> Result<Option<Option<Sealed>>, StoreError> {
        match &mut self.stage {
            Stage::Gather(after) => {
                let after = *after;
                self.stage = match self.gather(db, after)? {
                    Some(last) => Stage::Gather(last),
                    None => Stage::Write(0),
                };
            }
            Stage::Write(first) => {
                let first = *first;
                self.stage = self.write(first)?;
            }
            Stage::Finish => {
                let writer = self.writer.take().filter(|writer| !writer.is_empty());
                self.stage = Stage::List(writer.map(Writer::finish).transpose()?);
            }
            Stage::List(sealed) => {
                let sealed = sealed.take();
                let tx = db.transaction().doing("listing a sealed file")?;
                sealed.iter().try_for_each(|sealed| sealed.insert(&tx))?;
                set_meta(&tx, SEALED_THROUGH, &self.through.to_string())?;
                if self.nameless > 0 {
                    count_dropped(&tx, "no_series", self.nameless, at)?;
                }
                tx.commit().doing("listing a sealed file")?;
                return Ok(Some(sealed));
            }
        }
        Ok(None)
    }

    /// Takes up to [`GATHER_ROWS`] rows behind `after`; the number to go on from.
    fn gather(&mut self, db: &Connection, after: i64) -> Result<Option<i64>, StoreError> {
        let mut statement = db
            .prepare_cached(
                "select seq, series, arrived, device_at, clock, value, quality, doubt from reading \
                 where seq > ?1 and seq <= ?2 order by seq limit ?3",
            )
            .doing("reading hot readings")?;
        let mut rows =
            statement.query(params![after, self.through, GATHER_ROWS]).doing("reading hot readings")?;
        let (mut last, mut seen) = (after, 0);
        while let Some(row) = rows.next().doing("reading hot readings")? {
            (last, seen) = (row.get(0).doing("reading hot readings")?, seen + 1);
            let series: i64 = row.get(1).doing("reading hot readings")?;
            let Some(place) = self.series.get(&series).copied() else {
                self.nameless += u64::from(self.part == 0);
                continue;
            };
            if place.device % self.parts == self.part {
                let row = self.row(row, place.name).doing("reading hot readings")?;
                if let Some(device) = self.devices.get_mut(place.device) {
                    device.rows.push(row);
                }
            }
        }
        Ok((seen == GATHER_ROWS).then_some(last))
    }

    fn row(&mut self, row: &rusqlite::Row<'_>, series: u32) -> rusqlite::Result<Row> {
        Ok(Row {
            seq: row.get(0)?,
            arrived: row.get(2)?,
            device_at: row.get(3)?,
            value: row.get(5)?,
            series,
            clock: row.get(4)?,
            quality: row.get(6)?,
            doubt: match row.get_ref(7)?.as_str_or_null()? {
                Some(word) => self.doubt(word),
                None => 0,
            },
        })
    }

    fn doubt(&mut self, word: &str) -> u8 {
        let known = self.doubts.iter().position(|doubt| doubt == word);
        let place = known.unwrap_or_else(|| {
            if self.doubts.len() < MOST_DOUBTS {
                self.doubts.push(word.to_owned());
            }
            self.doubts.len() - 1
        });
        u8::try_from(place + 1).unwrap_or(u8::MAX)
    }

    /// Compresses devices until [`WRITE_ROWS`] readings are through.
    fn write(&mut self, first: usize) -> Result<Stage, StoreError> {
        let mut done = 0;
        let mut next = first;
        while done < WRITE_ROWS
            && let Some(device) = self.devices.get_mut(next)
        {
            let rows = std::mem::take(&mut device.rows);
            if let Some(writer) = &mut self.writer {
                writer.add(&device.id, &self.names, &self.doubts, &rows)?;
            }
            (done, next) = (done + rows.len(), next + 1);
        }
        if next < self.devices.len() {
            return Ok(Stage::Write(next));
        }
        self.part += 1;
        Ok(if self.part < self.parts { Stage::Gather(self.after) } else { Stage::Finish })
    }
}

//! Reading readings wherever they are: hot rows and sealed files, each exactly once.

use super::file::HistoryFile;
use super::{Chunk, DIRECTORY, Doing, Row, Sealed, SeriesName, listed, sealed_through};
use crate::model::{DeviceId, PointId, PointKind, Reading, Stamp, Unit, Wall};
use crate::pipeline::StoredReading;
use crate::store::read::{MAX_ROWS, reading_of};
use crate::store::rows::{clock_of, get, quality_of, word};
use crate::store::{Page, Reader, StoreError};
use rusqlite::{Connection, named_params};
use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;

/// Sealed files that one page looks into: bounds the work for a device that has been silent for long.
const FILES_PER_PAGE: i64 = 32;
/// Sealed files listed at once while a long span is read.
const FILES_AT_ONCE: i64 = 64;
/// Attempts at a page while files are being removed.
const ATTEMPTS: usize = 3;

/// Hot readings: dead rows of sealed ones are left out. The device's series are looked up once, not per row.
const HOT: &str = "select r.*, s.device, s.point, s.unit, s.kind from reading r cross join series s \
     on s.id = r.series where r.seq > :sealed and r.seq < :before and (:any or r.series in \
     (select id from series where (:device is null or device = :device) and (:point is null or point = :point)))";

/// Which readings, by the time they are reckoned with.
#[derive(Debug, Clone)]
pub struct Span {
    /// Of this device only.
    pub device: Option<DeviceId>,
    /// Of this point only.
    pub point: Option<PointId>,
    /// Not before.
    pub from: Wall,
    /// Before.
    pub to: Wall,
}

/// Hands hot readings to `each`, those numbered between the two ends, newest first or oldest first, until it breaks.
fn each_hot(
    db: &Connection,
    (device, point): (Option<&DeviceId>, Option<&PointId>),
    (sealed, before): (i64, i64),
    order: &'static str,
    each: &mut impl FnMut(u64, StoredReading) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let mut statement =
        db.prepare_cached(&format!("{HOT} order by r.seq {order}")).doing("reading hot readings")?;
    let mut rows = statement
        .query(named_params! {
            ":sealed": sealed,
            ":before": before,
            ":any": device.is_none() && point.is_none(),
            ":device": device.map(DeviceId::as_str),
            ":point": point.map(PointId::as_str),
        })
        .doing("reading hot readings")?;
    while let Some(row) = rows.next().doing("reading hot readings")? {
        if each(number(get(row, "seq")?), reading_of(row)?).is_break() {
            break;
        }
    }
    Ok(())
}

impl Reader {
    /// Readings, newest first by order of arrival. A page that looked into many sealed files in vain may hold fewer
    /// rows than asked for, and still say where to go on.
    ///
    /// # Errors
    /// When the database or a sealed file cannot be read.
    pub fn readings(
        &self,
        device: Option<&DeviceId>,
        point: Option<&PointId>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Page<StoredReading>, StoreError> {
        let limit = usize::try_from(limit.clamp(1, MAX_ROWS)).unwrap_or(1);
        let before = before.and_then(|n| i64::try_from(n).ok()).unwrap_or(i64::MAX);
        let mut attempt = 1;
        loop {
            match self.page_of_readings(device, point, before, limit) {
                // The file was listed a moment ago and has been dropped since: the list is read anew.
                Err(error) if is_gone(&error) && attempt < ATTEMPTS => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    fn page_of_readings(
        &self,
        device: Option<&DeviceId>,
        point: Option<&PointId>,
        before: i64,
        limit: usize,
    ) -> Result<Page<StoredReading>, StoreError> {
        // Hot rows and list as of one moment: a seal in between would show readings twice or not at all.
        let tx = self.db.unchecked_transaction().doing("beginning to read")?;
        let sealed = sealed_through(&tx)?;
        let mut rows = Vec::new();
        each_hot(&tx, (device, point), (sealed, before), "desc", &mut |seq, stored| {
            rows.push((seq, stored));
            if rows.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let files = if rows.len() < limit {
            let newest_first = "where first_seq < ?1 order by first_seq desc limit ?2";
            listed(&tx, newest_first, [before, FILES_PER_PAGE])?
        } else {
            Vec::new()
        };
        tx.finish().doing("ending to read")?;
        let listed_all = i64::try_from(files.len()).is_ok_and(|n| n < FILES_PER_PAGE);
        let mut next_before = None;
        for file in files {
            let mut more = self.sealed_readings(&file, device, point, |row| row.seq < before)?;
            more.sort_unstable_by_key(|(seq, _)| std::cmp::Reverse(*seq));
            more.truncate(limit - rows.len());
            rows.append(&mut more);
            next_before = Some(number(file.first_seq));
            if rows.len() == limit {
                break;
            }
        }
        if rows.len() == limit {
            next_before = rows.last().map(|(seq, _)| *seq);
        } else if listed_all {
            next_before = None;
        }
        Ok(Page { rows, next_before })
    }

    /// Hands every reading of a span to `each`, oldest file first, within a file by device, hot readings last, until
    /// it breaks. Only one device's part of one file is in memory at a time, so years can be read.
    ///
    /// # Errors
    /// When the database or a sealed file cannot be read.
    pub fn scan(
        &self,
        span: &Span,
        mut each: impl FnMut(u64, StoredReading) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let (device, point) = (span.device.as_ref(), span.point.as_ref());
        let within = |at: i64| at >= span.from.0 && at < span.to.0;
        let mut behind = i64::MIN;
        loop {
            let tx = self.db.unchecked_transaction().doing("beginning to read")?;
            let of_span =
                "where first_seq > ?1 and last_at >= ?2 and first_at < ?3 order by first_seq limit ?4";
            let files = listed(&tx, of_span, [behind, span.from.0, span.to.0, FILES_AT_ONCE])?;
            if files.is_empty() {
                // What is hot now was in none of the files.
                let numbers = (sealed_through(&tx)?, i64::MAX);
                return each_hot(&tx, (device, point), numbers, "asc", &mut |seq, stored| {
                    if within(stored.stamp.effective().0) {
                        each(seq, stored)
                    } else {
                        ControlFlow::Continue(())
                    }
                });
            }
            // A long look would keep the log from being cut back.
            tx.finish().doing("ending to read")?;
            for sealed in files {
                behind = sealed.first_seq;
                let rows = self.each_sealed(&sealed, device, point, |row| within(row.effective()), &mut each);
                match rows {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => return Ok(()),
                    // Dropped since it was listed.
                    Err(error) if is_gone(&error) && !self.is_listed(&sealed)? => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// The readings of a span by the time they are reckoned with, oldest first, and whether these are all: at most
    /// `limit` are returned.
    ///
    /// # Errors
    /// When the database or a sealed file cannot be read.
    pub fn readings_between(
        &self,
        span: &Span,
        limit: usize,
    ) -> Result<(Vec<(u64, StoredReading)>, bool), StoreError> {
        let (mut rows, mut all) = (Vec::new(), true);
        self.scan(span, |seq, stored| {
            all = rows.len() < limit;
            if all {
                rows.push((seq, stored));
                return ControlFlow::Continue(());
            }
            ControlFlow::Break(())
        })?;
        rows.sort_by_key(|(seq, stored)| (stored.stamp.effective(), *seq));
        Ok((rows, all))
    }

    /// Reads every sealed file through, oldest first, and says of each what is wrong with it, if anything.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn verify_sealed(
        &self,
        mut each: impl FnMut(&Sealed, Result<(), StoreError>),
    ) -> Result<(), StoreError> {
        for sealed in listed(&self.db, "order by first_seq", [])? {
            let outcome = super::keep::verify(&self.dir.join(DIRECTORY).join(&sealed.file), &sealed, true);
            match outcome {
                Err(error) if is_gone(&error) && !self.is_listed(&sealed)? => {}
                outcome => each(&sealed, outcome),
            }
        }
        Ok(())
    }

    fn is_listed(&self, sealed: &Sealed) -> Result<bool, StoreError> {
        Ok(!listed(&self.db, "where file = ?1", [&sealed.file])?.is_empty())
    }

    fn sealed_readings(
        &self,
        sealed: &Sealed,
        device: Option<&DeviceId>,
        point: Option<&PointId>,
        wanted: impl Fn(&Row) -> bool,
    ) -> Result<Vec<(u64, StoredReading)>, StoreError> {
        let mut rows = Vec::new();
        let all = self.each_sealed(sealed, device, point, wanted, &mut |seq, stored| {
            rows.push((seq, stored));
            ControlFlow::Continue(())
        })?;
        debug_assert!(all.is_continue(), "nobody broke off");
        Ok(rows)
    }

    fn each_sealed(
        &self,
        sealed: &Sealed,
        device: Option<&DeviceId>,
        point: Option<&PointId>,
        wanted: impl Fn(&Row) -> bool,
        each: &mut impl FnMut(u64, StoredReading) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let file = HistoryFile::open(&self.dir.join(DIRECTORY).join(&sealed.file))?;
        for place in file.places().iter().filter(|p| device.is_none_or(|d| d.as_str() == p.device)) {
            let named = |name: &SeriesName| point.is_none_or(|p| p.as_str() == name.point);
            let chunk = file.chunk(place, named)?;
            let words = Words::of(&place.device, &chunk)?;
            for row in chunk.rows.iter().filter(|row| wanted(row)) {
                if let Some(stored) = words.stored(row)
                    && each(number(row.seq), stored).is_break()
                {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// A chunk's words as those of the model.
struct Words<'a> {
    device: DeviceId,
    series: BTreeMap<u32, (PointId, Unit, PointKind)>,
    doubts: &'a [String],
}

impl<'a> Words<'a> {
    fn of(device: &str, chunk: &'a Chunk) -> Result<Self, StoreError> {
        let mut series = BTreeMap::new();
        for (number, name) in (0_u32..).zip(&chunk.names) {
            let row = i64::from(number);
            let point = word("sealed", row, &name.point, |t| PointId::new(t).ok())?;
            let unit = word("sealed", row, &name.unit, Unit::from_symbol)?;
            series.insert(number, (point, unit, word("sealed", row, &name.kind, PointKind::from_word)?));
        }
        let device = word("sealed", 0, device, |t| DeviceId::new(t).ok())?;
        Ok(Self { device, series, doubts: &chunk.doubts })
    }

    fn stored(&self, row: &Row) -> Option<StoredReading> {
        let (point, unit, kind) = self.series.get(&row.series)?;
        let doubt = row.doubt.checked_sub(1).and_then(|i| self.doubts.get(usize::from(i)));
        let quality = quality_of(i64::from(row.quality), doubt.map(String::as_str));
        Some(StoredReading {
            device: self.device.clone(),
            stamp: Stamp {
                device: row.device_at.map(Wall),
                gateway: Wall(row.arrived),
                clock: clock_of(i64::from(row.clock)),
            },
            reading: Reading { point: point.clone(), value: row.value, unit: *unit, kind: *kind, quality },
        })
    }
}

/// Whether a file is not there.
fn is_gone(error: &StoreError) -> bool {
    matches!(error, StoreError::File { cause, .. } if cause.kind() == io::ErrorKind::NotFound)
}

fn number(seq: i64) -> u64 {
    u64::try_from(seq).unwrap_or(0)
}

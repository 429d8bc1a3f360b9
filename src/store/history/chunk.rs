//! One device's readings of one file as bytes: what was read at the same moment shares its time and number.
//!
//! A meter gives ten values a minute under one stamp. The moments (`frames`) stand once, and each series says at
//! which of them it was read, so that a reading costs little more than its value.

use super::columns::{
    Bytes, floats, integers, put_count, put_floats, put_integers, put_runs, put_text, runs,
};
use super::{Damage, SEAL_MOST};
use std::collections::BTreeMap;

/// Most series of one device, and most words of doubt: far more than there are.
const MOST_NAMES: usize = 65_536;

/// What a series is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SeriesName {
    /// Point id.
    pub point: String,
    /// Unit symbol.
    pub unit: String,
    /// Kind of point.
    pub kind: String,
}

/// One reading as the table `reading` has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Order of arrival.
    pub seq: i64,
    /// The gateway's time, milliseconds.
    pub arrived: i64,
    /// The device's own time, milliseconds.
    pub device_at: Option<i64>,
    /// The value, if there is one.
    pub value: Option<f64>,
    /// Which of the chunk's names.
    pub series: u32,
    /// What may be believed of the times.
    pub clock: u8,
    /// How far the value may be believed.
    pub quality: u8,
    /// Why not further: 0 for no reason, else one more than the place among the chunk's doubts.
    pub doubt: u8,
}

impl Row {
    /// The time to reckon with, as [`crate::model::Stamp::effective`] has it.
    #[must_use]
    pub fn effective(&self) -> i64 {
        match (self.clock, self.device_at) {
            (0, Some(device)) => device,
            _ => self.arrived,
        }
    }
}

/// What one device gave, in order of arrival.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Chunk {
    /// Its series.
    pub names: Vec<SeriesName>,
    /// Words for why a value is doubted.
    pub doubts: Vec<String>,
    /// Its readings.
    pub rows: Vec<Row>,
}

/// A moment at which readings arrived one behind the other.
#[derive(PartialEq)]
struct Frame {
    first_seq: i64,
    arrived: i64,
    device_at: Option<i64>,
    clock: u8,
}

/// Which moment, which reading of it, and the reading.
type Placed<'a> = (i64, i64, &'a Row);

impl Chunk {
    /// As bytes. The rows are in order of their numbers.
    ///
    /// # Errors
    /// When a row's series has no name, or the compressor refuses.
    pub fn encode(&self) -> Result<Vec<u8>, Damage> {
        encode(&self.names, &self.doubts, &self.rows)
    }

    /// From bytes; only the series that `wanted` asks for are unpacked.
    ///
    /// # Errors
    /// When the bytes are not those of a chunk.
    pub fn decode(bytes: &[u8], wanted: impl Fn(&SeriesName) -> bool) -> Result<Self, Damage> {
        let mut bytes = Bytes(bytes);
        let frames = frames(&mut bytes)?;
        let mut chunk = Self::default();
        for _ in 0..bytes.count(usize::from(u8::MAX))? {
            chunk.doubts.push(bytes.text()?);
        }
        for _ in 0..bytes.count(MOST_NAMES)? {
            let name = SeriesName { point: bytes.text()?, unit: bytes.text()?, kind: bytes.text()? };
            let count = bytes.count(SEAL_MOST.saturating_sub(chunk.rows.len()))?;
            let len = bytes.count(bytes.0.len())?;
            let body = bytes.take(len)?;
            if wanted(&name) {
                let series = u32::try_from(chunk.names.len()).unwrap_or(u32::MAX);
                section(Bytes(body), count, &frames, series, &mut chunk)?;
                chunk.names.push(name);
            }
        }
        if !bytes.0.is_empty() {
            return Err(Damage::Shape("bytes follow its end"));
        }
        chunk.rows.sort_unstable_by_key(|row| row.seq);
        Ok(chunk)
    }
}

/// Readings of one device as bytes; `names` and `doubts` may be those of a whole file, what is used is written.
pub(super) fn encode(names: &[SeriesName], doubts: &[String], rows: &[Row]) -> Result<Vec<u8>, Damage> {
    let mut frames: Vec<Frame> = Vec::new();
    let mut sections: BTreeMap<u32, Vec<Placed<'_>>> = BTreeMap::new();
    let (mut index, mut slot) = (-1_i64, 0_i64);
    for row in rows {
        let here = frames.last().is_some_and(|f| {
            f.first_seq + slot + 1 == row.seq
                && (f.arrived, f.device_at, f.clock) == (row.arrived, row.device_at, row.clock)
        });
        if here {
            slot += 1;
        } else {
            (index, slot) = (index + 1, 0);
            let Row { seq, arrived, device_at, clock, .. } = *row;
            frames.push(Frame { first_seq: seq, arrived, device_at, clock });
        }
        sections.entry(row.series).or_default().push((index, slot, row));
    }
    let mut out = Vec::new();
    put_frames(&mut out, &frames)?;
    put_count(&mut out, doubts.len());
    doubts.iter().for_each(|doubt| put_text(&mut out, doubt));
    put_count(&mut out, sections.len());
    for (series, placed) in sections {
        let name = usize::try_from(series).ok().and_then(|i| names.get(i));
        let name = name.ok_or(Damage::Shape("a reading's series has no name"))?;
        for text in [&name.point, &name.unit, &name.kind] {
            put_text(&mut out, text);
        }
        put_count(&mut out, placed.len());
        let body = put_section(&placed)?;
        put_count(&mut out, body.len());
        out.extend_from_slice(&body);
    }
    Ok(out)
}

fn put_frames(out: &mut Vec<u8>, frames: &[Frame]) -> Result<(), Damage> {
    put_count(out, frames.len());
    let column = |of: fn(&Frame) -> i64| frames.iter().map(of).collect::<Vec<i64>>();
    put_integers(out, &column(|f| f.first_seq))?;
    // A device's own time is often in whole seconds and regular; ours follows it by a little.
    put_integers(out, &column(|f| f.device_at.unwrap_or(f.arrived)))?;
    let codes = frames.iter().map(|f| u64::from(f.clock) << 1 | u64::from(f.device_at.is_some()));
    put_runs(out, &codes.collect::<Vec<u64>>());
    let behind = frames.iter().filter_map(|f| f.device_at.map(|d| f.arrived.wrapping_sub(d)));
    put_integers(out, &behind.collect::<Vec<i64>>())
}

fn frames(bytes: &mut Bytes<'_>) -> Result<Vec<Frame>, Damage> {
    let count = bytes.count(SEAL_MOST)?;
    let (seqs, times) = (integers(bytes, count)?, integers(bytes, count)?);
    let codes = runs(bytes, count)?;
    let mut behind = integers(bytes, codes.iter().filter(|code| *code & 1 == 1).count())?.into_iter();
    let mut frames = Vec::with_capacity(count);
    for ((first_seq, time), code) in seqs.into_iter().zip(times).zip(codes) {
        let behind = (code & 1 == 1).then(|| behind.next()).flatten();
        let clock = u8::try_from(code >> 1).ok().filter(|clock| *clock <= 3);
        frames.push(Frame {
            first_seq,
            arrived: time.wrapping_add(behind.unwrap_or(0)),
            device_at: behind.map(|_| time),
            clock: clock.ok_or(Damage::Shape("a time is of no known quality"))?,
        });
    }
    Ok(frames)
}

fn put_section(placed: &[Placed<'_>]) -> Result<Vec<u8>, Damage> {
    let mut body = Vec::new();
    put_integers(&mut body, &placed.iter().map(|(frame, _, _)| *frame).collect::<Vec<i64>>())?;
    put_integers(&mut body, &placed.iter().map(|(_, slot, _)| *slot).collect::<Vec<i64>>())?;
    let state = |row: &Row| {
        u64::from(row.doubt) << 3 | u64::from(row.quality & 3) << 1 | u64::from(row.value.is_some())
    };
    put_runs(&mut body, &placed.iter().map(|(_, _, row)| state(row)).collect::<Vec<u64>>());
    put_floats(&mut body, &placed.iter().filter_map(|(_, _, row)| row.value).collect::<Vec<f64>>())?;
    Ok(body)
}

fn section(
    mut body: Bytes<'_>,
    count: usize,
    frames: &[Frame],
    series: u32,
    chunk: &mut Chunk,
) -> Result<(), Damage> {
    let (moments, slots) = (integers(&mut body, count)?, integers(&mut body, count)?);
    let states = runs(&mut body, count)?;
    let mut values = floats(&mut body, states.iter().filter(|state| *state & 1 == 1).count())?.into_iter();
    for ((moment, slot), state) in moments.into_iter().zip(slots).zip(states) {
        let frame = usize::try_from(moment).ok().and_then(|i| frames.get(i));
        let frame = frame.ok_or(Damage::Shape("a reading is of no moment"))?;
        let doubt = u8::try_from(state >> 3).ok().filter(|doubt| usize::from(*doubt) <= chunk.doubts.len());
        chunk.rows.push(Row {
            seq: frame.first_seq.wrapping_add(slot),
            arrived: frame.arrived,
            device_at: frame.device_at,
            value: (state & 1 == 1).then(|| values.next()).flatten(),
            series,
            clock: frame.clock,
            quality: u8::try_from(state >> 1 & 3).unwrap_or(2),
            doubt: doubt.ok_or(Damage::Shape("a doubt has no word"))?,
        });
    }
    if !body.0.is_empty() {
        return Err(Damage::Shape("bytes follow a series' end"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

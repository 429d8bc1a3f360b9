//! What a reading takes once it is sealed: a day of a school's mixed devices, every value compared with what was given.

use crate::store::{Dice, METERS, Meter, SEPTEMBER, minute_of, upkeep};
use crate::{Failure, Figure, Goal, scratch};
use rusqlite::Connection;
use schoolgate::model::{DeviceId, PointId, PointKind, Reading, Stamp, Unit, Wall};
use schoolgate::pipeline::{Commit, StoredReading};
use schoolgate::store::{Chunk, FILE_NAME, HistoryFile, Row, Store};
use std::collections::BTreeMap;
use std::path::Path;
use tokio::runtime::Runtime;

pub(crate) const FIGURES: &[&str] = &["store.bytes_per_reading"];

/// Meters whose registers are rounded, ten points each.
const ROUNDED: usize = 60;
/// Meters that give single floats as they compute them, noise in every bit, ten points each.
const FLOATS: usize = 20;
/// Rooms: temperature and humidity with one decimal.
const ROOMS: usize = 80;
/// Doors and switches, one state each.
const STATES: usize = 40;
/// A day and two hours and some: what a start looks at stays hot.
const MINUTES: i64 = 1440 + 150;

/// All devices; a minute of them has a thousand readings.
struct School {
    rounded: Vec<Meter>,
    floats: Vec<Meter>,
    /// Temperature and humidity in tenths.
    rooms: Vec<(i64, i64)>,
    states: Vec<bool>,
    dice: Dice,
}

impl School {
    fn new() -> Self {
        let mut dice = Dice::new(5);
        let climate = |dice: &mut Dice| (200 + small(dice, 60), 400 + small(dice, 200));
        Self {
            rounded: (0..ROUNDED).map(Meter::new).collect(),
            floats: (METERS..METERS + FLOATS).map(Meter::new).collect(),
            rooms: (0..ROOMS).map(|_| climate(&mut dice)).collect(),
            states: vec![false; STATES],
            dice,
        }
    }

    fn minute(&mut self, minute: i64) -> Result<Vec<StoredReading>, Failure> {
        let mut all = minute_of(&mut self.rounded, SEPTEMBER, minute)?;
        for mut stored in minute_of(&mut self.floats, SEPTEMBER, minute)? {
            stored.device = DeviceId::new(&format!("float-{}", stored.device.as_str()))?;
            let noise = 1.0 + (self.dice.below(1 << 24) as f64 / f64::from(1 << 24) - 0.5) / 5000.0;
            let counter = stored.reading.kind == PointKind::Counter;
            // A counter of single floats has noise only in where it stands.
            stored.reading.value =
                stored.reading.value.map(|value| single(if counter { value } else { value * noise }));
            all.push(stored);
        }
        let dice = &mut self.dice;
        for (number, (temperature, humidity)) in self.rooms.iter_mut().enumerate() {
            for value in [&mut *temperature, &mut *humidity] {
                *value += if dice.below(5) == 0 { small(dice, 3) - 1 } else { 0 };
            }
            let stamp = stamp(minute, number, dice)?;
            let tenths = |tenths: i64| tenths as f64 / 10.0;
            let points = [
                ("temperature", tenths(*temperature), Unit::Celsius),
                ("humidity", tenths(*humidity), Unit::RelativeHumidity),
            ];
            for (point, value, unit) in points {
                let reading = Reading::new(PointId::new(point)?, value, unit, PointKind::Gauge);
                all.push(StoredReading {
                    device: DeviceId::new(&format!("room-{number:03}"))?,
                    stamp,
                    reading,
                });
            }
        }
        for (number, state) in self.states.iter_mut().enumerate() {
            *state ^= dice.below(30) == 0;
            let stamp = stamp(minute, number, dice)?;
            let value = f64::from(u8::from(*state));
            let reading = Reading::new(PointId::new("open")?, value, Unit::One, PointKind::State);
            all.push(StoredReading { device: DeviceId::new(&format!("door-{number:03}"))?, stamp, reading });
        }
        Ok(all)
    }
}

fn small(dice: &mut Dice, below: u64) -> i64 {
    i64::try_from(dice.below(below)).unwrap_or(0)
}

fn stamp(minute: i64, number: usize, dice: &mut Dice) -> Result<Stamp, Failure> {
    let jitter = i64::try_from(number)? * 700 + small(dice, 400);
    Ok(Stamp::new(None, Wall(SEPTEMBER + minute * 60_000 + jitter)))
}

#[expect(clippy::cast_possible_truncation, reason = "registers hold single floats")]
fn single(value: f64) -> f64 {
    f64::from(value as f32)
}

/// Which kind a series is reported under.
fn kind(device: &str, point: &str) -> &'static str {
    match point {
        "temperature" | "humidity" => "temperature and humidity in tenths",
        "open" => "states",
        "energy_import" | "energy_export" => "counters",
        _ if device.starts_with("float-") => "single floats with noise",
        _ => "rounded volts, amperes, watts",
    }
}

/// Bytes and readings.
#[derive(Debug, Default, Clone, Copy)]
struct Size {
    bytes: u64,
    readings: u64,
}

impl Size {
    fn each(self) -> f64 {
        self.bytes as f64 / self.readings as f64
    }
}

pub(crate) fn measure(_: &Runtime) -> Result<Vec<Figure>, Failure> {
    let dir = scratch()?;
    let data = dir.path().join("data");
    let mut store = Store::open(&data)?;
    let mut school = School::new();
    let mut given = Vec::new();
    for minute in 0..MINUTES {
        let readings = school.minute(minute)?;
        given.extend(readings.iter().map(|r| (r.stamp.gateway.0, r.reading.value.map(f64::to_bits))));
        store.commit(&[&Commit { readings, ..Commit::default() }])?;
    }
    let plain = row_bytes(&data)?;
    upkeep(&mut store, Wall(SEPTEMBER + MINUTES * 60_000))?;
    drop(store);
    let (mut whole, mut other) = (Size::default(), 0);
    let mut kinds: BTreeMap<&str, Size> = BTreeMap::new();
    for entry in std::fs::read_dir(data.join("history"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|e| e != "sgh") {
            continue;
        }
        let file = HistoryFile::open(&path)?;
        whole.bytes += file.sealed().bytes;
        whole.readings += file.sealed().readings;
        let mut apart: BTreeMap<&str, Vec<(String, Chunk)>> = BTreeMap::new();
        for place in file.places() {
            let chunk = file.chunk(place, |_| true)?;
            for row in &chunk.rows {
                let given = given.get(usize::try_from(row.seq - 1)?).ok_or("a number that was not given")?;
                if (row.arrived, row.value.map(f64::to_bits)) != *given {
                    return Err(format!("reading {} is not what was given", row.seq).into());
                }
            }
            other += zstd_of(&chunk)?;
            for (kind, part) in split(&place.device, &chunk) {
                apart.entry(kind).or_default().push((place.device.clone(), part));
            }
        }
        for (kind, chunks) in apart {
            let alone = HistoryFile::write(&scratch()?.path().join("alone"), &chunks)?;
            let size = kinds.entry(kind).or_default();
            size.bytes += alone.bytes;
            size.readings += alone.readings;
        }
    }
    if whole.readings < 1_400_000 {
        return Err(format!("{} readings were sealed", whole.readings).into());
    }
    let kinds: Vec<_> = kinds.iter().map(|(kind, size)| format!("{kind} {:.2}", size.each())).collect();
    Ok(vec![Figure::new(
        "store.bytes_per_reading",
        whole.each(),
        "bytes",
        Goal::AtMost(3.0),
        format!(
            "the whole sealed files of {} readings of a synthetic day, every value and time compared bit for bit with \
             what was given; each kind in files by itself, times and numbers included: {}; as plain rows {plain:.1}, \
             the same columns as deltas through zstd level 9 {:.2}",
            whole.readings,
            kinds.join(", "),
            other as f64 / whole.readings as f64
        ),
    )])
}

/// The series of a device, by the kind they are reported under.
fn split(device: &str, chunk: &Chunk) -> BTreeMap<&'static str, Chunk> {
    let mut parts: BTreeMap<&'static str, Chunk> = BTreeMap::new();
    for (number, name) in (0_u32..).zip(&chunk.names) {
        let empty = || Chunk { names: Vec::new(), doubts: chunk.doubts.clone(), rows: Vec::new() };
        let part = parts.entry(kind(device, &name.point)).or_insert_with(empty);
        let series = u32::try_from(part.names.len()).unwrap_or(u32::MAX);
        part.names.push(name.clone());
        let own = chunk.rows.iter().filter(|row| row.series == number);
        part.rows.extend(own.map(|row| Row { series, ..*row }));
    }
    parts.values_mut().for_each(|part| part.rows.sort_by_key(|row| row.seq));
    parts
}

/// Bytes a plain row takes.
fn row_bytes(dir: &Path) -> Result<f64, Failure> {
    let db = Connection::open(dir.join(FILE_NAME))?;
    let pages: f64 = db.query_row("pragma page_count", [], |row| row.get::<_, i64>(0))? as f64;
    let rows: f64 = db.query_row("select count(*) from reading", [], |row| row.get::<_, i64>(0))? as f64;
    Ok(pages * 4096.0 / rows)
}

/// One device's readings column by column: differences of the bits, which is what a byte codec is best at.
fn zstd_of(chunk: &Chunk) -> Result<u64, Failure> {
    let mut bytes = Vec::new();
    for series in 0..u32::try_from(chunk.names.len())? {
        let rows: Vec<_> = chunk.rows.iter().filter(|row| row.series == series).collect();
        let mut column = |of: &dyn Fn(&Row) -> i64| {
            let (mut before, mut planes) = (0_i64, vec![Vec::new(); 8]);
            for row in &rows {
                let value = of(row);
                let delta = value.wrapping_sub(before);
                before = value;
                for (plane, byte) in planes.iter_mut().zip(delta.to_le_bytes()) {
                    plane.push(byte);
                }
            }
            planes.into_iter().for_each(|mut plane| bytes.append(&mut plane));
        };
        column(&|row| row.value.unwrap_or(0.0).to_bits().cast_signed());
        // Times and numbers of a poll stand once, as in the sealed file.
        if series == 0 {
            column(&|row| row.arrived);
            column(&|row| row.seq);
        }
    }
    Ok(u64::try_from(zstd::bulk::compress(&bytes, 9)?.len())?)
}

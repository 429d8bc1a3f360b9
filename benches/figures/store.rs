//! The store by itself: durable ingest against rusqlite alone; and meters for the other figures of it.

use crate::traffic::demo_config;
use crate::{Failure, Figure, Goal, ingest, median, scratch, spread};
use schoolgate::model::{DeviceId, Mono, Now, PointId, PointKind, Reading, Stamp, Unit, Wall};
use schoolgate::pipeline::{Commit, StoredReading};
use schoolgate::store::Store;
use tokio::runtime::Runtime;

pub(crate) const INGEST: &[&str] = &["store.ingest_per_s", "store.ingest_ratio_bare"];

/// Pairs of runs that count; one more before them warms the caches.
const PAIRS: usize = 15;
/// Meters of the large school; with ten points a minute each they give 1.44 million readings a day.
pub(crate) const METERS: usize = 100;
/// Points of a meter, and what they are.
pub(crate) const POINTS: [(&str, Unit, PointKind); 10] = [
    ("energy_import", Unit::KilowattHour, PointKind::Counter),
    ("energy_export", Unit::KilowattHour, PointKind::Counter),
    ("power", Unit::Watt, PointKind::Gauge),
    ("voltage_l1", Unit::Volt, PointKind::Gauge),
    ("voltage_l2", Unit::Volt, PointKind::Gauge),
    ("voltage_l3", Unit::Volt, PointKind::Gauge),
    ("current_l1", Unit::Ampere, PointKind::Gauge),
    ("current_l2", Unit::Ampere, PointKind::Gauge),
    ("current_l3", Unit::Ampere, PointKind::Gauge),
    ("frequency", Unit::Hertz, PointKind::Gauge),
];
/// 2026-09-01T00:00:00+08:00.
pub(crate) const SEPTEMBER: i64 = 1_788_192_000_000;
/// Readings in a transaction that fills a store.
const FILL_ROWS: usize = 5_000;

pub(crate) fn ingest(runtime: &Runtime) -> Result<Vec<Figure>, Failure> {
    let dir = scratch()?;
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());
    for pair in 0..=PAIRS {
        let run = ingest::flood(runtime, demo_config(&dir.path().join(format!("store-{pair}")))?)?;
        let bare = run.rows.insert(&dir.path().join(format!("bare-{pair}.db")), run.transactions)?;
        if pair > 0 {
            ratios.push(bare.as_secs_f64() / run.took.as_secs_f64());
            rates.push(run.rows.observations() as f64 / run.took.as_secs_f64());
        }
    }
    Ok(vec![
        Figure::new(
            "store.ingest_per_s",
            median(&rates),
            "1/s",
            Goal::AtLeast(10_000.0),
            format!(
                "readings and events a second through lanes, pipeline and store, each answered after a commit with \
                 synchronous FULL; {}",
                spread(&rates)
            ),
        ),
        Figure::new(
            "store.ingest_ratio_bare",
            median(&ratios),
            "ratio",
            Goal::AtLeast(0.6),
            format!(
                "rusqlite alone inserting the same rows into the same tables in as many transactions, in the same \
                 run; {}",
                spread(&ratios)
            ),
        ),
    ])
}

/// Random numbers that are the same in every run.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    /// Between -1 and 1, mostly near 0.
    fn swing(&mut self) -> f64 {
        (0..4).map(|_| self.below(2001) as f64 / 1000.0 - 1.0).sum::<f64>() / 4.0
    }
}

/// One meter: registers as a DIN-rail meter gives them (0.01 kWh, 1 W, 0.1 V, 0.01 A, 0.01 Hz), under a load that
/// follows the school day.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    kwh: f64,
    exported: f64,
    base_watts: f64,
    dice: Dice,
}

impl Meter {
    pub(crate) fn new(number: usize) -> Self {
        let mut dice = Dice::new(u64::try_from(number).unwrap_or(0) + 7);
        let kwh = 1_000.0 + dice.below(500_000) as f64 / 10.0;
        Self { kwh, exported: 0.0, base_watts: 500.0 + dice.below(8_000) as f64, dice }
    }

    /// Its registers at a minute of the day, in the order of [`POINTS`].
    pub(crate) fn read(&mut self, minute: i64) -> [f64; 10] {
        let hour = minute.rem_euclid(1440) / 60;
        let share = if (7..18).contains(&hour) { 1.0 } else { 0.15 };
        let watts = (self.base_watts * share * (1.0 + 0.1 * self.dice.swing())).round();
        self.kwh += watts / 60_000.0;
        let to = |value: f64, digits: f64| (value * digits).round() / digits;
        let volts = [(); 3].map(|()| to(230.0 + 2.0 * self.dice.swing(), 10.0));
        let amps = volts.map(|v| to(watts / 3.0 / v * (1.0 + 0.02 * self.dice.swing()), 100.0));
        let [v1, v2, v3] = volts;
        let [a1, a2, a3] = amps;
        let hertz = to(50.0 + 0.02 * self.dice.swing(), 100.0);
        [to(self.kwh, 100.0), self.exported, watts, v1, v2, v3, a1, a2, a3, hertz]
    }
}

pub(crate) fn meter_id(number: usize) -> String {
    format!("meter-{number:03}")
}

/// What `meters` give in one minute, each with its own few milliseconds on the bus.
pub(crate) fn minute_of(
    meters: &mut [Meter],
    start: i64,
    minute: i64,
) -> Result<Vec<StoredReading>, Failure> {
    let mut all = Vec::with_capacity(meters.len() * POINTS.len());
    for (number, meter) in meters.iter_mut().enumerate() {
        let device = DeviceId::new(&meter_id(number))?;
        let jitter = i64::try_from(number)? * 600 + i64::try_from(meter.dice.below(40))?;
        let stamp = Stamp::new(None, Wall(start + minute * 60_000 + jitter));
        for (value, (point, unit, kind)) in meter.read(minute).into_iter().zip(POINTS) {
            let reading = Reading::new(PointId::new(point)?, value, unit, kind);
            all.push(StoredReading { device: device.clone(), stamp, reading });
        }
    }
    Ok(all)
}

/// Commits `minutes` of all meters in large transactions.
pub(crate) fn fill(store: &mut Store, meters: &mut [Meter], start: i64, minutes: i64) -> Result<(), Failure> {
    let mut readings = Vec::with_capacity(FILL_ROWS + 1000);
    for minute in 0..minutes {
        readings.append(&mut minute_of(meters, start, minute)?);
        if readings.len() >= FILL_ROWS || minute + 1 == minutes {
            let commit = Commit { readings: std::mem::take(&mut readings), ..Commit::default() };
            store.commit(&[&commit])?;
        }
    }
    Ok(())
}

pub(crate) fn upkeep(store: &mut Store, now: Wall) -> Result<(), Failure> {
    while store.maintain(Now { mono: Mono(0), wall: now })? {}
    Ok(())
}

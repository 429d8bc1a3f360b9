//! How long a scan of a whole line takes: all 247 unit ids at 9600 baud, on a line where every character takes its time.

use crate::{Failure, Figure, Goal, spread};
use hil::chance::Chance;
use hil::line::{Device, Line};
use schoolgate::southbound::serial::line::Wire;
use schoolgate::southbound::serial::rtu::crc;
use schoolgate::southbound::survey::Sweep;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::duplex;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(crate) const FIGURES: &[&str] = &[
    "meters.scan_247_s",
    "meters.scan_247_contiguous_s",
    "meters.scan_247_slow_s",
    "meters.scan_247_late_adapter_s",
];

const BAUD: u32 = 9600;
/// One character of 11 bits.
const CHARACTER: Duration = Duration::from_micros(11_000_000 / BAUD as u64);
/// Meters on the line: as many as RS-485 carries without a repeater.
const UNITS: usize = 32;
/// An adapter that hands bytes over only so often: those of FTDI, unless told otherwise.
const LATE_ADAPTER: Duration = Duration::from_millis(16);
/// Scans, each of another line.
const SCANS: u64 = 3;

/// A kind of line.
#[derive(Clone, Copy)]
struct Kind {
    /// How long a meter thinks, in milliseconds, at least and at most.
    think_ms: (f64, f64),
    /// Whether the meters have the ids from 1 on, or any.
    is_contiguous: bool,
    every: Option<Duration>,
}

pub(crate) fn measure(runtime: &Runtime) -> Result<Vec<Figure>, Failure> {
    let quick = Kind { think_ms: (2.0, 10.0), is_contiguous: false, every: None };
    Ok(vec![
        figure(runtime, "meters.scan_247_s", quick, Goal::AtMost(8.0))?,
        figure(
            runtime,
            "meters.scan_247_contiguous_s",
            Kind { is_contiguous: true, ..quick },
            Goal::AtMost(8.0),
        )?,
        figure(runtime, "meters.scan_247_slow_s", Kind { think_ms: (5.0, 50.0), ..quick }, Goal::Info)?,
        figure(
            runtime,
            "meters.scan_247_late_adapter_s",
            Kind { every: Some(LATE_ADAPTER), ..quick },
            Goal::Info,
        )?,
    ])
}

fn figure(runtime: &Runtime, name: &'static str, kind: Kind, goal: Goal) -> Result<Figure, Failure> {
    let lines = (1..=SCANS).map(|seed| runtime.block_on(scan(seed, kind)));
    let scans: Vec<f64> = lines.collect::<Result<_, _>>()?;
    let questions = CHARACTER * 8 * 247;
    let adapter = kind.every.map_or_else(String::new, |every| {
        format!(" behind an adapter that hands bytes over every {} ms", every.as_millis())
    });
    let ids = if kind.is_contiguous { " with ids 1 to 32" } else { "" };
    let how = format!(
        "the slowest of {SCANS} half-duplex lines of {BAUD} baud{adapter} with {UNITS} meters{ids} that think {} to {} ms, \
         all of them found; the questions alone take {:.1} s on the wire, and waiting 1 s for each silent id would take \
         {} s; {}",
        kind.think_ms.0,
        kind.think_ms.1,
        questions.as_secs_f64(),
        247 - UNITS,
        spread(&scans)
    );
    Ok(Figure::new(name, scans.iter().copied().fold(0.0, f64::max), "s", goal, how))
}

/// Seconds for a scan that finds every meter and nothing else.
async fn scan(seed: u64, kind: Kind) -> Result<f64, Failure> {
    let (mut chance, (least, most)) = (Chance::seeded(seed), kind.think_ms);
    let mut devices = BTreeMap::new();
    while devices.len() < UNITS {
        let id = if kind.is_contiguous { devices.len() as u64 } else { chance.below(247) };
        let id = u8::try_from(id + 1)?;
        let mut answer = vec![id, 3, 4, 0, id, 0x12, 0x34];
        answer.extend(crc(&answer).to_le_bytes());
        let thinks = Duration::from_secs_f64(chance.between(least, most) / 1000.0);
        devices.insert(id, Device { thinks, wavers: Duration::ZERO, answer });
    }
    let units: Vec<u8> = devices.keys().copied().collect();
    let (mut near, far) = duplex(4096);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let line = Line::new(BAUD, devices, seed);
        let line = if let Some(every) = kind.every { line.handed_over_every(every) } else { line };
        line.serve(far).await;
    });
    let ids: Vec<u8> = (1..=247).collect();
    let begun = Instant::now();
    let (mut sweep, wire): (_, &mut dyn Wire) = (Sweep::new(BAUD, false), &mut near);
    sweep.quick(wire, &ids, &mut |_| ()).await?;
    sweep.patient(wire, None, &mut |_| ()).await?;
    let took = begun.elapsed().as_secs_f64();
    let found: Vec<u8> = sweep.answers.keys().copied().collect();
    if found != units {
        return Err(format!("the scan found {found:?} and not {units:?}").into());
    }
    Ok(took)
}

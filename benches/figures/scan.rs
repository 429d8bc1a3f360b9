//! How long a scan of a whole line takes: all 247 unit ids at 9600 baud, on a line where every character takes its time.

use crate::{Failure, Figure, Goal, spread};
use hil::chance::Chance;
use schoolgate::southbound::serial::line::Wire;
use schoolgate::southbound::serial::rtu::crc;
use schoolgate::southbound::survey::Sweep;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

pub(crate) const FIGURES: &[&str] = &["meters.scan_247_s", "meters.scan_247_slow_s"];

const BAUD: u32 = 9600;
/// One character of 11 bits.
const CHARACTER: Duration = Duration::from_micros(11_000_000 / BAUD as u64);
/// Meters on the line: as many as RS-485 carries without a repeater.
const UNITS: usize = 32;
/// How long a meter thinks, in milliseconds, at least and at most: where all are quick, and where many are not.
const QUICK_MS: (f64, f64) = (2.0, 10.0);
const SLOW_MS: (f64, f64) = (5.0, 50.0);
/// Scans, each of another line.
const SCANS: u64 = 3;

pub(crate) fn measure(runtime: &Runtime) -> Result<Vec<Figure>, Failure> {
    Ok(vec![
        figure(runtime, "meters.scan_247_s", QUICK_MS, Goal::AtMost(8.0))?,
        figure(runtime, "meters.scan_247_slow_s", SLOW_MS, Goal::Info)?,
    ])
}

fn figure(
    runtime: &Runtime,
    name: &'static str,
    thinking_ms: (f64, f64),
    goal: Goal,
) -> Result<Figure, Failure> {
    let lines = (1..=SCANS).map(|seed| runtime.block_on(scan(Chance::seeded(seed), thinking_ms)));
    let scans: Vec<f64> = lines.collect::<Result<_, _>>()?;
    let questions = CHARACTER * 8 * 247;
    let how = format!(
        "the slowest of {SCANS} half-duplex lines of {BAUD} baud with {UNITS} meters that think {} to {} ms, all of \
         them found; the questions alone take {:.1} s on the wire, and waiting 1 s for each silent id would take {} s; {}",
        thinking_ms.0,
        thinking_ms.1,
        questions.as_secs_f64(),
        247 - UNITS,
        spread(&scans)
    );
    Ok(Figure::new(name, scans.iter().copied().fold(0.0, f64::max), "s", goal, how))
}

/// Seconds for a scan that finds every meter and nothing else.
async fn scan(mut chance: Chance, (least, most): (f64, f64)) -> Result<f64, Failure> {
    let mut units = BTreeMap::new();
    while units.len() < UNITS {
        let id = u8::try_from(chance.below(247) + 1)?;
        units.insert(id, Duration::from_secs_f64(chance.between(least, most) / 1000.0));
    }
    let (mut near, far) = duplex(4096);
    let mut tasks = JoinSet::new();
    tasks.spawn(line(far, units.clone()));
    let ids: Vec<u8> = (1..=247).collect();
    let begun = Instant::now();
    let (mut sweep, wire): (_, &mut dyn Wire) = (Sweep::new(BAUD, false), &mut near);
    sweep.quick(wire, &ids, &mut |_| ()).await?;
    sweep.patient(wire, None, &mut |_| ()).await?;
    let took = begun.elapsed().as_secs_f64();
    let found: Vec<u8> = sweep.answers.keys().copied().collect();
    if found.iter().ne(units.keys()) {
        return Err(format!("the scan found {found:?} and not {:?}", units.keys()).into());
    }
    Ok(took)
}

/// An answer that is on the wire, or will be.
struct Answer {
    from: Instant,
    to: Instant,
    bytes: Vec<u8>,
}

/// A half-duplex line with meters: what two send at the same time nobody understands.
async fn line(mut wire: DuplexStream, units: BTreeMap<u8, Duration>) {
    let mut answers: Vec<Answer> = Vec::new();
    let mut question = [0; 8];
    loop {
        answers.sort_by_key(|answer| answer.to);
        let next = answers.first().map_or_else(|| Instant::now() + Duration::from_secs(3600), |next| next.to);
        tokio::select! {
            read = wire.read_exact(&mut question) => {
                if read.is_err() {
                    return;
                }
                let from = Instant::now();
                let to = from + CHARACTER * 8;
                let mut clear = true;
                for answer in answers.iter_mut().filter(|answer| answer.from < to && answer.to > from) {
                    clear = false;
                    answer.bytes.iter_mut().for_each(|byte| *byte ^= 0x5A);
                }
                let [unit, function, ..] = question;
                if let (true, Some(thinking)) = (clear, units.get(&unit)) {
                    let mut bytes = vec![unit, function, 4, 0, unit, 0x12, 0x34];
                    bytes.extend(crc(&bytes).to_le_bytes());
                    let from = to + *thinking;
                    answers.push(Answer { from, to: from + CHARACTER * 9, bytes });
                }
            }
            () = sleep_until(next) => {
                let done = answers.remove(0);
                if wire.write_all(&done.bytes).await.is_err() {
                    return;
                }
            }
        }
    }
}

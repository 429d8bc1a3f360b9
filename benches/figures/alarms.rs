//! What rules cost: how fast they judge, and how much memory each takes.

use crate::{Failure, Figure, Goal, median, scratch, source, spread};
use schoolgate::config::{self, Config};
use schoolgate::document::{Document, Problems};
use schoolgate::model::{Body, DeviceId, Mono, Now, Observation, PointKind, Reading, RuleId, Stamp, Wall};
use schoolgate::profile::Point;
use schoolgate::rules::{Engine, RULE_KINDS, Rule, World};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

pub(crate) const RULES: &[&str] =
    &["alarms.threshold_evals_per_s", "alarms.window_evals_per_s", "alarms.bytes_per_rule"];

/// Devices, each with a rule of its own: the hardest case, since no two evaluations are near each other in memory.
const DEVICES: usize = 10_000;
/// Each device speaks so often.
const POLL: Duration = Duration::from_secs(10);
/// Rounds of all devices before it counts: after them every window is full.
const WARM_UP: u64 = 80;
/// Rounds of one run, and runs.
const ROUNDS: u64 = 40;
const RUNS: usize = 5;

/// A kind of rule as it is measured: what stands below `[[rule]]`, without the devices.
struct Measured {
    kind: &'static str,
    point: &'static str,
    keys: &'static str,
}

const THRESHOLD: Measured = Measured {
    kind: "threshold",
    point: "power",
    keys: "above = 60\nunit = \"W\"\ndeadband = 5\non_delay_secs = 30\noff_delay_secs = 60\n",
};
const WINDOWS: &[Measured] = &[
    Measured { kind: "rate_of_change", point: "power", keys: "rise = 60\nunit = \"W\"\nwindow_secs = 500\n" },
    Measured {
        kind: "sum",
        point: "power",
        keys: "above = 6\nunit = \"Wh\"\nwindow_secs = 500\ndeadband = 0.5\n",
    },
    Measured { kind: "sum", point: "energy_total", keys: "above = 5.0\nunit = \"kWh\"\nwindow_secs = 500\n" },
    Measured { kind: "count", point: "power", keys: "count = 45\nwindow_secs = 500\nend_below = 35\n" },
];

/// Rules of one kind, one for each device, and what the devices send.
struct Field {
    engine: Engine,
    /// Each device's reading, to be given the round's value.
    seen: Vec<Observation>,
    now: Now,
}

pub(crate) fn rules(_: &Runtime) -> Result<Vec<Figure>, Failure> {
    let dir = scratch()?;
    let config = plugs(dir.path())?;
    let (threshold, said) = rate(&mut Field::new(&THRESHOLD, &config.world)?)?;
    let mut windows = Vec::new();
    for window in WINDOWS {
        let (rates, _) = rate(&mut Field::new(window, &config.world)?)?;
        windows.push((format!("{} of {}", window.kind, window.point), rates));
    }
    let slowest = windows.iter().min_by(|a, b| median(&a.1).total_cmp(&median(&b.1)));
    let slowest = slowest.map(|(_, rates)| rates.clone()).unwrap_or_default();
    let list = |of: &[(String, f64)]| {
        of.iter().map(|(name, value)| format!("{name} {value:.0}")).collect::<Vec<_>>().join(", ")
    };
    let rates: Vec<_> = windows.iter().map(|(name, rates)| (name.clone(), median(rates))).collect();
    let mut bytes = Vec::new();
    // Nothing of it is given back before all is measured.
    let mut kept = Vec::new();
    for measured in std::iter::once(&THRESHOLD).chain(WINDOWS) {
        let (each, fields) = memory(measured, &config.world)?;
        bytes.push((format!("{} of {}", measured.kind, measured.point), each));
        kept.push(fields);
    }
    let most = bytes.iter().map(|(_, each)| *each).fold(0.0, f64::max);
    Ok(vec![
        Figure::new(
            "alarms.threshold_evals_per_s",
            median(&threshold),
            "1/s",
            Goal::AtLeast(1e6),
            format!(
                "readings judged a second on one core by {DEVICES} rules of one device each, through the engine, with \
                 deadband and delays; {said} findings in {RUNS} runs; {}",
                spread(&threshold)
            ),
        ),
        Figure::new(
            "alarms.window_evals_per_s",
            median(&slowest),
            "1/s",
            Goal::AtLeast(1e5),
            format!(
                "the slowest of {}; as above, with windows of 50 readings; {}",
                list(&rates),
                spread(&slowest)
            ),
        ),
        Figure::new(
            "alarms.bytes_per_rule",
            most,
            "B",
            Goal::AtMost(5120.0),
            format!(
                "growth of VmRSS by {DEVICES} rules of one device each and their engine, windows full; the largest of {}",
                list(&bytes)
            ),
        ),
    ])
}

/// Evaluations a second of each run, and how often something was said in all.
fn rate(field: &mut Field) -> Result<(Vec<f64>, usize), Failure> {
    field.play(WARM_UP)?;
    let (mut rates, mut said) = (Vec::new(), 0);
    for _ in 0..RUNS {
        let (took, findings) = field.play(ROUNDS)?;
        rates.push((ROUNDS * DEVICES as u64) as f64 / took.as_secs_f64());
        said += findings;
    }
    if said == 0 {
        return Err("the values never crossed a limit".into());
    }
    Ok((rates, said))
}

/// Bytes of one rule. The first rules take what memory the process has left over; the growth by the second ones counts.
fn memory(measured: &Measured, world: &World) -> Result<(f64, [Field; 2]), Failure> {
    let mut first = Field::new(measured, world)?;
    first.play(WARM_UP)?;
    let mut second = Field::sending(measured, world)?;
    let before = resident()?;
    second.engine = engine(measured, world)?;
    second.engine.start(second.now);
    second.play(WARM_UP)?;
    let each = resident()?.saturating_sub(before) as f64 / DEVICES as f64;
    Ok((each, [first, second]))
}

/// Bytes of this process that are in memory.
fn resident() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmRSS in /proc/self/status")?;
    Ok(kib.parse::<u64>()? * 1024)
}

impl Field {
    /// The rules and their devices, started.
    fn new(measured: &Measured, world: &World) -> Result<Self, Failure> {
        let mut field = Self::sending(measured, world)?;
        field.engine = engine(measured, world)?;
        field.engine.start(field.now);
        Ok(field)
    }

    /// The devices alone.
    fn sending(measured: &Measured, world: &World) -> Result<Self, Failure> {
        let now = Now { mono: Mono(0), wall: Wall(1_790_000_000_000) };
        let reading = |(device, point): (&DeviceId, &Point)| Observation {
            device: device.clone(),
            stamp: Stamp::new(None, now.wall),
            body: Body::Reading(Reading::new(point.id.clone(), 0.0, point.unit, point.kind)),
            retained: false,
        };
        let seen: Vec<_> = world
            .devices
            .iter()
            .filter_map(|(device, watched)| Some((device, watched.profile.point(measured.point)?)))
            .map(reading)
            .collect();
        if seen.len() != DEVICES {
            return Err(format!("{} of {DEVICES} devices have {}", seen.len(), measured.point).into());
        }
        Ok(Self { engine: Engine::new(Vec::new()), seen, now })
    }

    /// Every device speaks so many times; how long the engine took, and how often something was said.
    fn play(&mut self, rounds: u64) -> Result<(Duration, usize), Failure> {
        let (mut took, mut said, mut out) = (Duration::ZERO, 0, Vec::new());
        let poll_ms = u64::try_from(POLL.as_millis())?;
        for _ in 0..rounds {
            let round = self.now.mono.0 / poll_ms;
            for (device, seen) in self.seen.iter_mut().enumerate() {
                seen.stamp = Stamp::new(None, self.now.wall);
                if let Body::Reading(reading) = &mut seen.body {
                    reading.value = Some(value(reading, round, device));
                }
            }
            let begun = Instant::now();
            for seen in &self.seen {
                self.engine.observe(self.now, seen, &mut out);
            }
            self.engine.expire(self.now, &mut out);
            took += begun.elapsed();
            said += out.len();
            out.clear();
            let mono = self.now.mono.plus(POLL);
            self.now = Now { mono, wall: self.now.wall.plus_ms(i64::try_from(poll_ms)?) };
        }
        Ok((took, said))
    }
}

/// A load that rests and then goes up and down, all within some thirteen minutes, each device's at another time, and the
/// energy that it takes: longer than the windows, so that what is in them changes.
fn value(reading: &Reading, round: u64, device: usize) -> f64 {
    let phase = (round + device as u64 * 7) % 80;
    let triangle = if phase < 50 { phase.saturating_sub(20) } else { 80 - phase };
    if reading.kind == PointKind::Counter {
        round as f64 * 100.0 + (triangle * 20) as f64
    } else {
        triangle as f64 * 4.0
    }
}

/// Metering plugs, as many as there are devices.
fn plugs(dir: &Path) -> Result<Config, Failure> {
    let mut text = format!(
        "[site]\ngateway = \"gw-bench\"\nname = \"school\"\n\n[store]\ndir = \"data\"\n\n[profiles]\ndir = \"{}\"\n\n\
         [[place]]\nid = \"campus\"\nname = \"campus\"\nkind = \"campus\"\n\n\
         [[bus]]\nid = \"mqtt\"\nkind = \"mqtt\"\nhost = \"127.0.0.1\"\nport = 1883\n",
        source("device-profiles").display()
    );
    for device in 0..DEVICES {
        write!(
            text,
            "\n[[device]]\nid = \"plug-{device:05}\"\nname = \"plug {device}\"\nprofile = \"shelly-plus-plug-s\"\n\
             bus = \"mqtt\"\naddress = \"p{device}\"\nplace = \"campus\"\npoll_secs = 10\n"
        )?;
    }
    let main = dir.join("gateway.toml");
    fs::write(&main, text)?;
    config::load(&main).map_err(|problems| {
        let problems: Vec<_> = problems.iter().take(5).map(ToString::to_string).collect();
        problems.join("; ").into()
    })
}

fn engine(measured: &Measured, world: &World) -> Result<Engine, Failure> {
    let rules: Result<Vec<_>, _> = world.devices.keys().map(|device| rule(measured, device, world)).collect();
    Ok(Engine::new(rules?))
}

/// The rule of one device, read as the configuration reads it.
fn rule(measured: &Measured, device: &DeviceId, world: &World) -> Result<Box<dyn Rule>, Failure> {
    let Measured { kind, point, keys } = measured;
    let text = format!("devices = [\"{device}\"]\npoint = \"{point}\"\n{keys}");
    let kind = RULE_KINDS.iter().find(|known| known.name == *kind).ok_or("no such kind of rule")?;
    let id = RuleId::new(&format!("{}-{device}", kind.name.replace('_', "-")))?;
    let problems = Problems::new();
    let document = Document::parse("rule.toml", &text, &problems);
    let rule = (kind.parse)(&document.reader(&problems), &id, world);
    rule.ok_or_else(|| problems.into_sorted().iter().map(ToString::to_string).collect::<String>().into())
}

//! `dormitory_load`: somebody plugged a kettle or a heater into a socket of a dormitory room.

use super::periods::shown;
use super::subject::{self, Header, Subject};
use super::together::Together;
use super::{Finding, Level, Rule, RuleKind, Watch, Watched, World};
use crate::document::Reader;
use crate::model::{
    AlarmClass, Body, DeviceId, Link, Mono, Now, Observation, PointId, Priority, RuleId, Unit,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A resistor takes what it takes: the step stays within this of its height.
const FLAT: f64 = 0.1;
/// The load is gone when this share of the step is left.
const GONE: f64 = 0.5;
/// Below this power a factor says nothing, W.
const LEAST_SPOKEN_W: f64 = 20.0;
const FACTOR: f64 = 0.97;
const FOR_SECS: u64 = 20;
const LEAST_WITHIN: Duration = Duration::from_secs(5);
/// Values looked back on for the step at most.
const MOST_BEFORE: usize = 64;

pub(super) const KIND: RuleKind = RuleKind {
    name: "dormitory_load",
    doc: "The signature of a heating appliance in a room's meter: active power rises by a step within a few seconds, \
          the step itself has a power factor near 1 (whatever ran before is taken off), and it stays flat for a while. \
          Motors do not accuse: an air conditioner's inrush falls off, its factor is lower, and an inverter rises \
          slowly. The factor comes from its point, or from current and voltage. The alarm names the room and ends when \
          the step is gone. After a restart a load that runs already is not known.",
    example: r#"class = "three-phase-meter"   # the rooms' meters
step = 800.0
unit = "W"                     # of the step
point = "power_total"          # power_total unless told otherwise
factor_point = "power_factor"  # power_factor unless told otherwise; or current_point and voltage_point
factor = 0.97                  # of the step, at least; 0.97 unless told otherwise
within_secs = 20               # the step is over within this; two polls (5 at least) unless told otherwise
for_secs = 20                  # flat for so long; 20 unless told otherwise
times = 1                      # so many of them …
in_secs = 3600                 # … within this time make an alarm; 1 in 3600 unless told otherwise
alarm_class = "security"       # security unless told otherwise
priority = "medium"            # medium unless told otherwise
"#,
    parse,
};

/// Active and reactive power, W and var.
#[derive(Debug, Clone, Copy)]
struct Load {
    active: f64,
    reactive: f64,
}

/// A step that may be one.
#[derive(Debug, Clone, Copy)]
struct Step {
    before: Load,
    height: f64,
    since: Mono,
    /// The smallest power factor of the step while it was flat.
    factor: f64,
}

/// From which points the reactive power is reckoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// Active power and factor; what makes a factor from 0 to 1.
    Factor { percent: bool },
    /// Active power, current and voltage.
    Current,
}

#[derive(Debug)]
struct Watching {
    subject: Subject,
    points: Vec<(PointId, Unit)>,
    values: Together,
    from: From,
    within: Duration,
    /// The last loads, as long ago as a step may last.
    before: VecDeque<(Mono, Load)>,
    step: Option<Step>,
    /// An appliance is on: the active power below which it is off, W.
    on: Option<f64>,
    /// When the last ones were found.
    found: VecDeque<Mono>,
    /// What was last said; nothing since the start.
    said: Option<bool>,
}

#[derive(Debug, Clone, Copy)]
struct Signature {
    /// W.
    step: f64,
    factor: f64,
    lasts: Duration,
    times: usize,
    during: Duration,
}

#[derive(Debug)]
struct DormitoryLoad {
    header: Header,
    signature: Signature,
    watching: BTreeMap<DeviceId, Watching>,
}

impl Rule for DormitoryLoad {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.watching.keys().cloned().collect())
    }

    fn points(&self) -> Vec<(DeviceId, PointId)> {
        let points = self.watching.iter();
        points
            .flat_map(|(device, of)| of.points.iter().map(|(point, _)| (device.clone(), point.clone())))
            .collect()
    }

    fn start(&mut self, _: Now) {
        for watching in self.watching.values_mut() {
            watching.forget();
            watching.on = None;
            watching.found.clear();
            watching.said = None;
        }
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        let Some(watching) = self.watching.get_mut(&seen.device) else { return };
        match &seen.body {
            Body::Link(Link::Down(_)) => watching.forget(),
            Body::Reading(reading) if !seen.retained => {
                let values = watching.values.take(now.mono, reading);
                if let Some(load) = values.and_then(|values| watching.load(&values)) {
                    out.extend(watching.look(&self.header, &self.signature, now.mono, load));
                }
            }
            Body::Reading(_) | Body::Event(_) | Body::Link(Link::Up) => {}
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        None
    }

    fn expire(&mut self, _: Now, _: &mut Vec<Finding>) {}
}

impl Watching {
    /// Nothing is known of what comes next to what was before.
    fn forget(&mut self) {
        self.values.clear();
        self.before.clear();
        self.step = None;
    }

    fn load(&self, values: &[f64]) -> Option<Load> {
        let base = |turn: usize, to: Unit| self.points.get(turn)?.1.convert(*values.get(turn)?, to);
        let active = base(0, Unit::Watt)?.abs();
        let apparent = match self.from {
            From::Current => base(1, Unit::Ampere)?.abs() * base(2, Unit::Volt)?.abs(),
            // The factor of next to nothing is noise.
            From::Factor { .. } if active < LEAST_SPOKEN_W => active,
            From::Factor { percent } => {
                let factor = values.get(1)?.abs() * if percent { 0.01 } else { 1.0 };
                if factor > 0.0 { active / factor.min(1.0) } else { return None }
            }
        };
        Some(Load { active, reactive: (apparent * apparent - active * active).max(0.0).sqrt() })
    }

    fn look(&mut self, header: &Header, signature: &Signature, now: Mono, load: Load) -> Option<Finding> {
        let gone = match self.on {
            Some(off) => load.active < off,
            // One that was open before the start: so little cannot be it.
            None => self.said.is_none() && load.active < GONE * signature.step,
        };
        if gone {
            self.on = None;
            self.begin(signature, now, load);
            let told = self.said.replace(false) != Some(false);
            let what = ("大功率电器已关闭", "the heating appliance is off");
            return told
                .then(|| header.finding(&self.subject, Level::Ended, self.subject.says(what.0, what.1)));
        }
        if self.on.is_some() {
            return None;
        }
        match self.step {
            Some(step) => self.follow(header, signature, now, (step, load)),
            None => {
                self.begin(signature, now, load);
                None
            }
        }
    }

    fn forget_before(&mut self) {
        self.before.clear();
        self.step = None;
    }

    /// Whether the load has risen by a step since the smallest of the last few seconds.
    fn begin(&mut self, signature: &Signature, now: Mono, load: Load) {
        let within = self.within;
        self.before.retain(|(at, _)| now.since(*at) <= within);
        let least = self.before.iter().map(|(_, load)| *load).min_by(|a, b| a.active.total_cmp(&b.active));
        if let Some(before) = least.filter(|before| load.active - before.active >= signature.step) {
            let height = load.active - before.active;
            self.step = Some(Step { before, height, since: now, factor: factor(before, load) });
            self.before.clear();
        } else {
            self.before.push_back((now, load));
            if self.before.len() > MOST_BEFORE {
                self.before.pop_front();
            }
        }
    }

    /// Whether the step stays as it is.
    fn follow(
        &mut self,
        header: &Header,
        signature: &Signature,
        now: Mono,
        (mut step, load): (Step, Load),
    ) -> Option<Finding> {
        let height = load.active - step.before.active;
        let rising = now.since(step.since) <= self.within;
        if height > step.height * (1.0 + FLAT) && rising {
            // It was read in the middle of its rise.
            (step.height, step.factor) = (height, factor(step.before, load));
        } else if height < step.height * (1.0 - FLAT) {
            // Inrush that falls off, or it is over.
            self.forget_before();
            self.begin(signature, now, load);
            return None;
        } else if height <= step.height * (1.0 + FLAT) {
            step.factor = step.factor.min(factor(step.before, load));
        }
        self.step = Some(step);
        if now.since(step.since) < signature.lasts {
            return None;
        }
        self.forget_before();
        if step.factor < signature.factor {
            return None;
        }
        self.on = Some(step.before.active + GONE * step.height);
        self.found.retain(|at| now.since(*at) <= signature.during);
        self.found.push_back(now);
        if self.found.len() < signature.times {
            return None;
        }
        self.found.clear();
        self.said = Some(true);
        let (height, secs) = (shown(step.height, Unit::Watt), signature.lasts.as_secs());
        let what = self.subject.says(
            format!(
                "疑似使用大功率电热器具：功率突增 {height}，功率因数 {:.2}，已持续 {secs} 秒",
                step.factor
            ),
            format!(
                "a heating appliance, it seems: a step of {height}, power factor {:.2}, for {secs} s",
                step.factor
            ),
        );
        Some(header.finding(&self.subject, Level::Holds, what))
    }
}

/// The power factor of what came on top.
fn factor(before: Load, load: Load) -> f64 {
    let active = load.active - before.active;
    active / active.hypot(load.reactive - before.reactive)
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let devices = subject::devices(reader, world);
    let step = reader.number("step", 1e-3..=1e9);
    let unit = subject::unit(reader);
    let named = named(reader);
    let factor = reader.number_opt("factor", 0.5..=1.0).unwrap_or(FACTOR);
    let within = subject::secs_opt(reader, "within_secs", 1..=300);
    let lasts = subject::secs_opt(reader, "for_secs", 1..=3600).unwrap_or(Duration::from_secs(FOR_SECS));
    let times = reader.integer_opt("times", 1..=100).unwrap_or(1);
    let during = subject::secs_opt(reader, "in_secs", 60..=7 * 86_400).unwrap_or(Duration::from_secs(3600));
    let header = Header::parse(reader, id, AlarmClass::Security, Priority::Medium);
    let (step, unit) = (step?, unit?);
    let watts = unit.convert(step, Unit::Watt);
    if watts.is_none() {
        reader.problem(
            "unit",
            (format!("以 {unit} 为单位的阶跃不是有功功率"), format!("a step in {unit} is no active power")),
            ("写 \"W\" 或 \"kW\"", "write \"W\" or \"kW\""),
        );
    }
    let times = usize::try_from(times).unwrap_or(1);
    let signature = Signature { step: watts?, factor, lasts, times, during };
    let mut watching = BTreeMap::new();
    for (subject, watched) in devices {
        let device = subject.device.clone();
        if let Some(of) = room(reader, &named, subject, watched, within) {
            watching.insert(device, of);
        }
    }
    let rule = DormitoryLoad { header, signature, watching };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

/// The points that are wanted, as key and name: active power, and factor or current and voltage.
fn named(reader: &Reader<'_>) -> Vec<(&'static str, String)> {
    let name =
        |key: &'static str, default: &str| (key, reader.text_opt(key).unwrap_or_else(|| default.to_owned()));
    let mut named = vec![name("point", "power_total")];
    match (reader.has("current_point"), reader.has("voltage_point")) {
        (true, true) => named.extend([name("current_point", ""), name("voltage_point", "")]),
        (false, false) => named.push(name("factor_point", "power_factor")),
        (current, _) => reader.problem(
            if current { "current_point" } else { "voltage_point" },
            (
                "只有电流或只有电压，得不出功率因数",
                "one of current and voltage says nothing of the power factor",
            ),
            (
                "current_point 和 voltage_point 都写，或写 factor_point",
                "write both current_point and voltage_point, or factor_point",
            ),
        ),
    }
    named
}

fn room(
    reader: &Reader<'_>,
    named: &[(&'static str, String)],
    subject: Subject,
    watched: &Watched,
    within: Option<Duration>,
) -> Option<Watching> {
    let mut points = Vec::new();
    let mut slowest = 1;
    for (key, name) in named {
        let point = subject::point(reader, key, name, watched)?;
        let wanted = match *key {
            "point" => Unit::Watt,
            "current_point" => Unit::Ampere,
            "voltage_point" => Unit::Volt,
            _ if point.unit == Unit::Percent => Unit::Percent,
            _ => Unit::One,
        };
        if point.unit.convert(1.0, wanted).is_none() {
            let advice = (
                format!("选单位与 {wanted} 同类的测点"),
                format!("choose a point in a unit of the quantity of {wanted}"),
            );
            reader.problem(
                key,
                (
                    format!("'{name}' 的单位是 {}", point.unit),
                    format!("'{name}' is measured in {}", point.unit),
                ),
                advice,
            );
            return None;
        }
        slowest = slowest.max(point.every);
        points.push((point.id.clone(), point.unit));
    }
    let percent = points.get(1).is_some_and(|(_, unit)| *unit == Unit::Percent);
    let from = if points.len() > 2 { From::Current } else { From::Factor { percent } };
    let every = watched.poll.saturating_mul(u32::from(slowest));
    let within = within.unwrap_or(every.saturating_mul(2).max(LEAST_WITHIN));
    if within < every {
        let message = (
            format!("模板 '{}' 的值每 {} 秒来一次", watched.profile.id, every.as_secs()),
            format!("values of the profile '{}' come every {} s", watched.profile.id, every.as_secs()),
        );
        reader.problem(
            "within_secs",
            message,
            (format!("写 {} 或更大", every.as_secs()), format!("write {} or more", every.as_secs())),
        );
    }
    let values = Together::new(points.iter().map(|(point, _)| point.clone()).collect(), every);
    let (before, found) = (VecDeque::new(), VecDeque::new());
    Some(Watching { subject, points, values, from, within, before, step: None, on: None, found, said: None })
}

#[cfg(test)]
mod tests;

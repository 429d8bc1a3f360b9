//! `demand`: the mean power of a quarter of an hour goes beyond what the contract allows, or is going to.

use super::periods::{self, DAY, Medium, Metered, Scale, Windows};
use super::subject::{self, Header};
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::document::Reader;
use crate::model::{
    AlarmClass, Body, DeviceId, Link, Mono, Now, Observation, PointId, PointKind, Priority, Reading, RollUp,
    RuleId, Wall,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The quarter hours by which a contract counts, milliseconds.
const WINDOW_MS: i64 = 900_000;
const WINDOW_SECS: u32 = 900;
/// A projection is made when a third of the window is over.
const LEAST_ELAPSED_MS: i64 = WINDOW_MS / 3;
/// The rest of the window is taken to go on as the last three minutes did.
const TREND_MS: i64 = 180_000;
/// Samples nearer to each other are thinned out, milliseconds: some 200 of a window and the trend before it.
const THIN_MS: i64 = 5_000;
/// Between two values that are further apart than so many polls, and than a minute, nothing is known.
const MOST_POLLS: u32 = 3;
const LEAST_GAP_MS: i64 = 60_000;
const WHOLE: f64 = 0.999;

pub(super) const KIND: RuleKind = RuleKind {
    name: "demand",
    doc: "The mean power of a quarter of an hour (0, 15, 30, 45 minutes past the hour, as contracts count it) goes \
          beyond the contract. While the quarter runs, an alarm of low priority warns when what was used and the trend \
          of the last three minutes lead beyond a share of the contract; when the contract is exceeded, at once or by \
          the closed quarter, it is an alarm of the rule's priority, until a quarter is within. Works with an energy \
          counter and with a power gauge. A quarter of which something is missing is not judged.",
    example: r#"devices = ["e0"]
point = "energy_total"         # energy or active power
contract = 400.0
unit = "kW"
warn_percent = 90              # of the contract; 90 unless told otherwise
alarm_class = "energy"         # energy unless told otherwise
priority = "high"              # high unless told otherwise
"#,
    parse,
};

/// The quarter that runs, from readings.
#[derive(Debug, Default)]
struct Running {
    /// Time and what was used since some moment, kWh.
    samples: VecDeque<(Wall, f64)>,
    /// The last power and its time, kW.
    power: Option<(Wall, f64)>,
}

impl Running {
    fn clear(&mut self) {
        self.samples.clear();
        self.power = None;
    }

    /// A value of a counter, kWh, or of a gauge, kW. Whether it goes on from the one before.
    fn add(&mut self, at: Wall, value: f64, kind: PointKind, most_gap_ms: i64) -> bool {
        let Some((last_at, last)) = self.samples.back().copied() else {
            let begins = if kind == PointKind::Counter { value } else { 0.0 };
            self.samples.push_back((at, begins));
            self.power = Some((at, value));
            return false;
        };
        let gap = at.since(last_at);
        if gap <= 0 && gap > -most_gap_ms {
            // Late, or told twice.
            return false;
        }
        let before = self.power.replace((at, value));
        let used = match kind {
            PointKind::Counter => value,
            _ => last + (before.map_or(value, |(_, before)| before) + value) / 2.0 * periods::hours(gap),
        };
        if gap > most_gap_ms || gap < 0 || (kind == PointKind::Counter && used < last) {
            // Silent, the clock was set, or the meter exchanged.
            self.clear();
            return self.add(at, value, kind, most_gap_ms);
        }
        let thin = self.samples.len().checked_sub(2).and_then(|index| self.samples.get(index));
        if thin.is_some_and(|(before, _)| at.since(*before) < THIN_MS) {
            self.samples.pop_back();
        }
        self.samples.push_back((at, used));
        let wanted = at.period_start(WINDOW_MS).min(at.plus_ms(-TREND_MS));
        while self.samples.get(1).is_some_and(|(second, _)| *second <= wanted) {
            self.samples.pop_front();
        }
        true
    }

    /// What had been used at a moment; `None` before the first sample.
    fn used_at(&self, at: Wall) -> Option<f64> {
        let later = self.samples.iter().position(|(sample, _)| *sample >= at)?;
        let (later_at, used) = *self.samples.get(later)?;
        if later_at == at {
            return Some(used);
        }
        let (earlier_at, before) = *self.samples.get(later.checked_sub(1)?)?;
        let share = periods::hours(at.since(earlier_at)) / periods::hours(later_at.since(earlier_at));
        Some(before + (used - before) * share)
    }

    /// The mean power of the window so far if nothing more were used, and what it is going to be, kW.
    fn outlook(&self) -> Option<(f64, f64)> {
        let (at, used) = self.samples.back().copied()?;
        let start = at.period_start(WINDOW_MS);
        let here = used - self.used_at(start)?;
        let trend = used - self.used_at(at.plus_ms(-TREND_MS))?;
        let rest = trend / periods::hours(TREND_MS) * periods::hours(start.plus_ms(WINDOW_MS).since(at));
        let window = periods::hours(WINDOW_MS);
        Some((here / window, (here + rest) / window))
    }
}

#[derive(Debug)]
struct Watching {
    meter: Metered,
    scale: Scale,
    running: Running,
    windows: Windows,
    /// The window that the last reading was in, and whether it was warned of.
    window: Option<(Wall, bool)>,
    /// The window that was found to exceed the contract before it was closed.
    exceeded: Option<Wall>,
    /// What was last said of the warning and of the contract; nothing since the start.
    said: [Option<bool>; 2],
}

/// What is reported by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Projected,
    Exceeded,
}

#[derive(Debug)]
struct Demand {
    header: Header,
    /// kW.
    contract: f64,
    share: f64,
    watching: BTreeMap<DeviceId, Watching>,
}

impl Rule for Demand {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.watching.keys().cloned().collect())
    }

    fn judges(&self, subject: &str) -> bool {
        let device = subject.strip_suffix(PROJECTED).unwrap_or(subject);
        self.watching.keys().any(|known| known.as_str() == device)
    }

    fn points(&self) -> Vec<(DeviceId, PointId)> {
        self.periods()
    }

    fn start(&mut self, _: Now) {
        for watching in self.watching.values_mut() {
            watching.meter.start();
            watching.running.clear();
            watching.windows.clear();
            watching.window = None;
            watching.exceeded = None;
            watching.said = [None; 2];
        }
    }

    fn observe(&mut self, _: Now, seen: &Observation, out: &mut Vec<Finding>) {
        let Some(watching) = self.watching.get_mut(&seen.device) else { return };
        match &seen.body {
            Body::Link(Link::Down(_)) => watching.running.clear(),
            Body::Reading(reading) if reading.point == watching.meter.point && !seen.retained => {
                let at = seen.stamp.effective();
                if at.plausible() && watching.add(at, reading) {
                    watching.look(&self.header, (self.contract, self.share), at, out);
                }
            }
            Body::Reading(_) | Body::Event(_) | Body::Link(Link::Up) => {}
        }
    }

    fn periods(&self) -> Vec<(DeviceId, PointId)> {
        periods::points(self.watching.values().map(|watching| &watching.meter))
    }

    fn looks_back(&self) -> Duration {
        DAY / 12
    }

    fn recall(&mut self, now: Now, period: &RollUp) {
        if let Some(watching) = self.watching.get_mut(&period.device) {
            watching.take(now, period);
            watching.windows.over(periods::end(period));
        }
    }

    fn close(&mut self, now: Now, period: &RollUp, out: &mut Vec<Finding>) {
        let Some(watching) = self.watching.get_mut(&period.device) else { return };
        watching.take(now, period);
        let over = watching.windows.over(periods::end(period));
        let Some(window) = over.into_iter().rfind(|window| window.cover() >= WHOLE) else { return };
        // A late close of the window before does not end what the one that runs has said already.
        if watching.exceeded.is_some_and(|exceeded| window.start < exceeded && exceeded <= now.wall) {
            return;
        }
        let (start, mean) = (window.start, window.amount() / periods::hours(WINDOW_MS));
        watching.say(&self.header, Mark::Exceeded, mean > self.contract, (start, mean, self.contract), out);
    }

    fn next_deadline(&self) -> Option<Mono> {
        None
    }

    fn expire(&mut self, _: Now, _: &mut Vec<Finding>) {}
}

const PROJECTED: &str = ":projected";

impl Watching {
    fn add(&mut self, at: Wall, reading: &Reading) -> bool {
        let unit = match reading.kind {
            PointKind::Counter => Medium::Energy.amount_unit(),
            PointKind::Gauge => Medium::Energy.rate_unit(),
            PointKind::State => return false,
        };
        let Some(value) = reading.good().and_then(|value| reading.unit.convert(value, unit)) else {
            return false;
        };
        let most_gap = periods::ms(self.meter.every.saturating_mul(MOST_POLLS)).max(LEAST_GAP_MS);
        self.running.add(at, value, reading.kind, most_gap)
    }

    fn look(&mut self, header: &Header, (contract, share): (f64, f64), at: Wall, out: &mut Vec<Finding>) {
        let start = at.period_start(WINDOW_MS);
        let warned = self.window.is_some_and(|(window, warned)| window == start && warned);
        self.window = Some((start, warned));
        let Some((used, projected)) = self.running.outlook() else { return };
        if used > contract {
            self.exceeded = Some(start);
            self.say(header, Mark::Exceeded, true, (start, used, contract), out);
        }
        if at.since(start) < LEAST_ELAPSED_MS || warned {
            return;
        }
        // Once warned of, a window stays so: the warning would flutter with every reading.
        let warns = projected >= share * contract;
        self.window = Some((start, warns));
        self.say(header, Mark::Projected, warns, (start, projected, contract), out);
    }

    fn take(&mut self, now: Now, period: &RollUp) {
        if let Some(stretch) = self.meter.take(now, period) {
            let start = stretch.start.period_start(WINDOW_MS);
            let end = start.plus_ms(WINDOW_MS);
            if stretch.end <= end {
                self.windows.add((start, end), stretch);
            }
        }
    }

    fn say(
        &mut self,
        header: &Header,
        mark: Mark,
        holds: bool,
        (start, power, contract): (Wall, f64, f64),
        out: &mut Vec<Finding>,
    ) {
        let said = match mark {
            Mark::Projected => self.said.first_mut(),
            Mark::Exceeded => self.said.last_mut(),
        };
        if said.and_then(|said| said.replace(holds)) == Some(holds) {
            return;
        }
        let (power, contract) = (self.scale.shown(power), self.scale.shown(contract));
        let minutes = start.0.rem_euclid(3_600_000) / 60_000;
        let (zh, en) = match (mark, holds) {
            (Mark::Projected, true) => ("15分钟需量预计达", "going to be"),
            (Mark::Projected, false) => ("15分钟需量预计降至", "going to be only"),
            (Mark::Exceeded, true) => ("15分钟需量已达", "exceeded:"),
            (Mark::Exceeded, false) => ("15分钟需量降至", "within:"),
        };
        let what = self.meter.subject.says(
            format!("第{minutes}分起{zh} {power}，合同需量 {contract}"),
            format!("demand of the 15 minutes from :{minutes:02} on {en} {power}, contract {contract}"),
        );
        let level = if holds { Level::Holds } else { Level::Ended };
        let mut finding = header.finding(&self.meter.subject, level, what);
        if mark == Mark::Projected {
            finding.key.subject += PROJECTED;
            finding.priority = Priority::Low;
        }
        out.push(finding);
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let meters = periods::metered(reader, world);
    if let Some(other) = meters.iter().find(|meter| meter.medium != Medium::Energy) {
        let advice = ("选电能或有功功率的测点", "choose a point of energy or active power");
        reader.problem(
            "point",
            (format!("'{}' 测的不是电能", other.point), format!("'{}' measures no energy", other.point)),
            advice,
        );
    }
    if !WINDOW_SECS.is_multiple_of(world.aggregate_secs.max(1)) {
        reader.problems().at(
            &reader.here(),
            (
                format!("{} 秒的时段不能等分一刻钟", world.aggregate_secs),
                format!("periods of {} s do not fill a quarter of an hour", world.aggregate_secs),
            ),
            (
                "在 [uploads] 里写 aggregate_secs = 900（或 300、60 …）",
                "write aggregate_secs = 900 (or 300, 60 …) in [uploads]",
            ),
        );
    }
    let contract = reader.number("contract", 1e-6..=1e12);
    let unit = subject::unit(reader);
    let share = reader.number_opt("warn_percent", 10.0..=100.0).unwrap_or(90.0) / 100.0;
    let header = Header::parse(reader, id, AlarmClass::Energy, Priority::High);
    let (contract, unit) = (contract?, unit?);
    let scale = Scale::new(reader, unit, Medium::Energy, 1.0)?;
    let watching = |meter: Metered| Watching {
        meter,
        scale,
        running: Running::default(),
        windows: Windows::default(),
        window: None,
        exceeded: None,
        said: [None; 2],
    };
    let watching = meters.into_iter().map(|meter| (meter.subject.device.clone(), watching(meter))).collect();
    let rule = Demand { header, contract: scale.rate(contract), share, watching };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

#[cfg(test)]
mod tests;

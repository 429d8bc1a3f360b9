//! `deviation`: an hour or a day takes much more than the same one of comparable days.

use super::periods::{self, DAY, Days, History, Metered, Scale, Windows};
use super::subject::{self, Header};
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::document::Reader;
use crate::model::{AlarmClass, DeviceId, Mono, Now, Observation, PointId, Priority, RollUp, RuleId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const COMPARED: i64 = 10;
/// Comparable days are looked for so far back at most: as far as hours are recalled.
const MOST_BACK: u32 = 60;
/// Of values that are spread normally, the standard deviation is so many times the median of the distances from the
/// median.
const MAD_TO_DEVIATION: f64 = 1.4826;

pub(super) const KIND: RuleKind = RuleKind {
    name: "deviation",
    doc: "An hour (or a day) takes more than so many times the median of the same hour of the last comparable days, or \
          lies so many standard deviations above it (robust: from the median distance), and is above it by a least \
          difference. Teaching days are compared with teaching days, others with others. Works with a gauge and with a \
          counter. Judged when the hour is over; one of which less than half was measured is not judged.",
    example: r#"devices = ["e0"]
point = "energy_total"         # energy, active power, volume or flow
window = "hour"                # hour or day; hour unless told otherwise
times = 2.0                    # more than so many times the median, or …
deviations = 5.0               # … so many standard deviations above it; either that is written is enough
least_difference = 10.0        # … and at least so much above it
unit = "kWh"                   # of the difference and of what is shown: in one window, or a rate
days = 10                      # compared with so many, at least half of them; 10 unless told otherwise
same_weekday = false           # only with the same day of the week; false unless told otherwise
alarm_class = "energy"         # energy unless told otherwise
priority = "low"               # low unless told otherwise
"#,
    parse,
};

/// What is comparable: windows at the same time of days of the same sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sort {
    teaching: bool,
    /// Days since Monday, where only these are compared.
    weekday: Option<i8>,
    /// The hour by the local clock; none of a whole day.
    hour: Option<i8>,
}

#[derive(Debug)]
struct Watching {
    meter: Metered,
    scale: Scale,
    windows: Windows,
    past: History<Sort>,
    /// What was last said; nothing since the start.
    said: Option<bool>,
}

#[derive(Debug)]
struct Deviation {
    header: Header,
    days: Days,
    hourly: bool,
    same_weekday: bool,
    times: Option<f64>,
    deviations: Option<f64>,
    /// As written.
    difference: f64,
    back: Duration,
    watching: BTreeMap<DeviceId, Watching>,
}

impl Rule for Deviation {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.watching.keys().cloned().collect())
    }

    fn start(&mut self, _: Now) {
        for watching in self.watching.values_mut() {
            watching.meter.start();
            watching.windows.clear();
            watching.past.clear();
            watching.said = None;
        }
    }

    fn observe(&mut self, _: Now, _: &Observation, _: &mut Vec<Finding>) {}

    fn periods(&self) -> Vec<(DeviceId, PointId)> {
        periods::points(self.watching.values().map(|watching| &watching.meter))
    }

    fn looks_back(&self) -> Duration {
        self.back
    }

    fn recall(&mut self, now: Now, period: &RollUp) {
        self.take(now, period, None);
    }

    fn close(&mut self, now: Now, period: &RollUp, out: &mut Vec<Finding>) {
        self.take(now, period, Some(out));
    }

    fn next_deadline(&self) -> Option<Mono> {
        None
    }

    fn expire(&mut self, _: Now, _: &mut Vec<Finding>) {}
}

impl Deviation {
    fn take(&mut self, now: Now, period: &RollUp, mut out: Option<&mut Vec<Finding>>) {
        let Some(watching) = self.watching.get_mut(&period.device) else { return };
        if let Some(stretch) = watching.meter.take(now, period)
            && let Some(day) = self.days.at(stretch.start)
        {
            let window = if self.hourly { day.hour_of(stretch.start) } else { (day.start, day.end) };
            if stretch.end <= window.1 {
                watching.windows.add(window, stretch);
            }
        }
        for window in watching.windows.over(periods::end(period)) {
            let (Some(mean), Some(day)) = (window.mean(), self.days.at(window.start)) else { continue };
            let sort = Sort {
                teaching: day.teaching,
                weekday: self.same_weekday.then(|| day.weekday.to_monday_zero_offset()),
                hour: self.days.calendar.hour_at(window.start).filter(|_| self.hourly),
            };
            let usual = watching.past.before(&sort, window.start);
            watching.past.note(now, sort, window.start, mean);
            let (Some(usual), Some(out)) = (usual, &mut out) else { continue };
            let Some((usual, limit)) = limit(&usual, self.times, self.deviations) else { continue };
            let holds = mean > limit.max(usual + watching.scale.rate(self.difference));
            if watching.said.replace(holds) != Some(holds) {
                let calendar = &self.days.calendar;
                let name = match self.hourly {
                    true => {
                        format!("{} {}", calendar.day_name(window.start), calendar.clock_name(window.start))
                    }
                    false => calendar.day_name(window.start),
                };
                let (meter, scale) = (&watching.meter, watching.scale);
                let (mean, usual) = (scale.shown(mean), scale.shown(usual));
                let (level, zh, en) = match holds {
                    true => (Level::Holds, "明显高于", "far above"),
                    false => (Level::Ended, "接近", "near"),
                };
                let what = meter.subject.says(
                    format!("{name} {} {mean}，{zh}同类日同时段 {usual}", meter.name.zh),
                    format!("{name}: {} {mean}, {en} the {usual} of comparable days", meter.name.en),
                );
                out.push(self.header.finding(&meter.subject, level, what));
            }
        }
    }
}

/// The median, and what is too much.
fn limit(usual: &[f64], times: Option<f64>, deviations: Option<f64>) -> Option<(f64, f64)> {
    let median = periods::median(usual)?;
    let distances: Vec<f64> = usual.iter().map(|value| (value - median).abs()).collect();
    let spread = MAD_TO_DEVIATION * periods::median(&distances)?;
    let limits = [times.map(|times| times * median), deviations.map(|many| median + many * spread)];
    Some((median, limits.into_iter().flatten().reduce(f64::min)?))
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let meters = periods::metered(reader, world);
    let hourly = reader.word_opt("window", &[("hour", true), ("day", false)]).unwrap_or(true);
    let times = reader.number_opt("times", 1.0..=1000.0);
    let deviations = reader.number_opt("deviations", 1.0..=1000.0);
    if !reader.has("times") && !reader.has("deviations") {
        reader.problems().at(
            &reader.here(),
            "the rule has no limit",
            "add times = 2, or deviations = 5, or both",
        );
    }
    let difference = reader.number("least_difference", 0.0..=1e12);
    let unit = subject::unit(reader);
    let compared = reader.integer_opt("days", 3..=30).unwrap_or(COMPARED);
    let same_weekday = reader.flag_opt("same_weekday").unwrap_or(false);
    if same_weekday && compared > 8 {
        reader.problem(
            if reader.has("days") { "days" } else { "same_weekday" },
            format!("{compared} days of the same weekday lie further back than {MOST_BACK} days"),
            "write days = 8 or fewer",
        );
    }
    let header = Header::parse(reader, id, AlarmClass::Energy, Priority::Low);
    let (difference, unit) = (difference?, unit?);
    let compared = usize::try_from(compared).unwrap_or(1);
    let mut watching = BTreeMap::new();
    for meter in meters {
        let hours = if hourly { 1.0 } else { 24.0 };
        let Some(scale) = Scale::new(reader, unit, meter.medium, hours) else { continue };
        let (windows, past) = (Windows::default(), History::new(compared));
        watching.insert(meter.subject.device.clone(), Watching { meter, scale, windows, past, said: None });
    }
    let back = match same_weekday {
        true => DAY.saturating_mul(MOST_BACK),
        false => periods::looks_back(compared, MOST_BACK),
    };
    let days = Days::new(Arc::clone(&world.calendar));
    let rule =
        Deviation { header, days, hourly, same_weekday, times, deviations, difference, back, watching };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

#[cfg(test)]
mod tests;

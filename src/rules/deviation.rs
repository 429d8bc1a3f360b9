//! `deviation`: an hour or a day takes much more than the same one of comparable days.

use super::hours;
use super::periods::{self, DAY, Days, History, Metered, Scale, Stretch, Window};
use super::subject::{self, Header};
use super::windowed::{Judge, Plan, Verdict, Windowed};
use super::{Rule, RuleKind, World};
use crate::document::Reader;
use crate::model::{AlarmClass, Now, Priority, RollUp, RuleId, Text, Wall};

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
calendar = "main"              # that of the devices' places unless told otherwise; see "Which calendar"
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
struct Deviation {
    days: Days,
    hourly: bool,
    same_weekday: bool,
    times: Option<f64>,
    deviations: Option<f64>,
    /// As written.
    difference: f64,
}

impl Judge for Deviation {
    type Sort = Sort;

    fn window(&mut self, stretch: &Stretch, _: &RollUp) -> Option<(Wall, Wall)> {
        self.days.window(self.hourly, stretch)
    }

    fn judge(
        &mut self,
        now: Now,
        window: &Window,
        scale: Scale,
        past: &mut History<Sort>,
    ) -> Option<Verdict> {
        let (mean, day) = (window.mean()?, self.days.at(window.start)?);
        let sort = Sort {
            teaching: day.teaching,
            weekday: self.same_weekday.then(|| day.weekday.to_monday_zero_offset()),
            hour: self.days.calendar.hour_at(window.start).filter(|_| self.hourly),
        };
        let usual = past.before(&sort, window.start);
        past.note(now, sort, window.start, mean);
        let (usual, limit) = limit(&usual?, self.times, self.deviations)?;
        let holds = mean > limit.max(usual + scale.rate(self.difference));
        Some(Verdict { holds, measured: mean, against: usual })
    }

    fn words(&self, window: &Window, meter: &Metered, scale: Scale, verdict: Verdict) -> Text {
        let (mean, usual) = (scale.shown(verdict.measured), scale.shown(verdict.against));
        let (zh, en) = if verdict.holds { ("明显高于", "far above") } else { ("接近", "near") };
        let name = self.days.name(self.hourly, window.start);
        meter.subject.says(
            format!("{name} {} {mean}，{zh}同类日同时段 {usual}", meter.name.zh),
            format!("{name}: {} {mean}, {en} the {usual} of comparable days", meter.name.en),
        )
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
            ("规则没有限值", "the rule has no limit"),
            ("加上 times = 2 或 deviations = 5，也可以都写", "add times = 2, or deviations = 5, or both"),
        );
    }
    let difference = reader.number("least_difference", 0.0..=1e12);
    let unit = subject::unit(reader);
    let compared = reader.integer_opt("days", 3..=30).unwrap_or(COMPARED);
    let same_weekday = reader.flag_opt("same_weekday").unwrap_or(false);
    if same_weekday && compared > 8 {
        reader.problem(
            if reader.has("days") { "days" } else { "same_weekday" },
            (
                format!("{compared} 个相同星期的日子超出了 {MOST_BACK} 天"),
                format!("{compared} days of the same weekday lie further back than {MOST_BACK} days"),
            ),
            ("写 days = 8 或更小", "write days = 8 or fewer"),
        );
    }
    let header = Header::parse(reader, id, AlarmClass::Energy, Priority::Low);
    let (difference, unit) = (difference?, unit?);
    let compared = usize::try_from(compared).unwrap_or(1);
    let back = match same_weekday {
        true => DAY.saturating_mul(MOST_BACK),
        false => periods::looks_back(compared, MOST_BACK),
    };
    let days = Days::new(hours::calendar(reader, world));
    let judge = Deviation { days, hourly, same_weekday, times, deviations, difference };
    let plan = Plan { unit, window_hours: if hourly { 1.0 } else { 24.0 }, compared, back };
    let rule = Windowed::new(reader, header, judge, meters, plan);
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

#[cfg(test)]
mod tests;

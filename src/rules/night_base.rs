//! `night_base`: what runs through the night is more than a limit, or more than in comparable nights.

use super::periods::{self, DAY, History, Metered, Nights, Scale, Windows};
use super::subject::{self, Header};
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::document::Reader;
use crate::model::{AlarmClass, DeviceId, Mono, Now, Observation, PointId, Priority, RollUp, RuleId};
use std::collections::BTreeMap;
use std::time::Duration;

const HOURS: &str = "23:00-05:00";
const NIGHTS: i64 = 10;
/// Comparable nights are looked for so far back at most.
const MOST_BACK: u32 = 60;

pub(super) const KIND: RuleKind = RuleKind {
    name: "night_base",
    doc: "The mean power (or flow) of the night is above a limit, or above a share of the mean of the last comparable \
          nights: nights after teaching days are compared with such, others with others. Works with a gauge and with a \
          counter. Judged once when the night is over; the alarm holds until a later night is within. A night of which \
          less than half was measured is not judged, and the finding names the night. A load that stays becomes what \
          is usual after some nights; write `above` as well for a limit that does not move.",
    example: r#"devices = ["e0", "e1"]         # which devices; see "Which devices"
point = "energy_total"         # energy, active power, volume or flow
hours = "23:00-05:00"          # local time, outside teaching time; 23:00-05:00 unless told otherwise
above = 5.0                    # a limit, or …
percent_of_mean = 130          # … a share of the mean of comparable nights, or both
least_difference = 0.5         # at least so much above that mean; 0 unless told otherwise
unit = "kW"                    # of the limit and of what is shown; kWh means in an hour
nights = 10                    # compared with so many, at least half of them; 10 unless told otherwise
alarm_class = "energy"         # energy unless told otherwise
priority = "low"               # low unless told otherwise
"#,
    parse,
};

#[derive(Debug)]
struct Watching {
    meter: Metered,
    scale: Scale,
    windows: Windows,
    /// Means of past nights, by whether they followed a teaching day.
    past: History<bool>,
    /// What was last said; nothing since the start.
    said: Option<bool>,
}

#[derive(Debug)]
struct NightBase {
    header: Header,
    nights: Nights,
    /// As written.
    above: Option<f64>,
    share: Option<f64>,
    /// Above the mean of comparable nights, as written.
    difference: f64,
    back: Duration,
    watching: BTreeMap<DeviceId, Watching>,
}

impl Rule for NightBase {
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

impl NightBase {
    fn take(&mut self, now: Now, period: &RollUp, mut out: Option<&mut Vec<Finding>>) {
        let Some(watching) = self.watching.get_mut(&period.device) else { return };
        if let Some(stretch) = watching.meter.take(now, period)
            && let Some(night) = self.nights.around(&stretch)
        {
            watching.windows.add(night, stretch);
        }
        for night in watching.windows.over(periods::end(period)) {
            let Some(mean) = night.mean() else { continue };
            let after_teaching = self.nights.teaching(night.start);
            let usual = watching.past.before(&after_teaching, night.start);
            watching.past.note(now, after_teaching, night.start, mean);
            let Some(out) = &mut out else { continue };
            let usual = usual.as_deref().and_then(periods::mean);
            let difference = watching.scale.rate(self.difference);
            let limits = [
                self.above.map(|above| watching.scale.rate(above)),
                self.share.zip(usual).map(|(share, usual)| (share * usual).max(usual + difference)),
            ];
            let Some(limit) = limits.into_iter().flatten().reduce(f64::min) else { continue };
            let holds = mean > limit;
            if watching.said.replace(holds) != Some(holds) {
                let name = self.nights.name(night.start);
                out.push(finding(
                    &self.header,
                    (&watching.meter, watching.scale),
                    holds,
                    (&name, mean, limit),
                ));
            }
        }
    }
}

fn finding(
    header: &Header,
    (meter, scale): (&Metered, Scale),
    holds: bool,
    (night, mean, limit): (&str, f64, f64),
) -> Finding {
    let (mean, limit) = (scale.shown(mean), scale.shown(limit));
    let (level, zh, en) = match holds {
        true => (Level::Holds, "高于", "above"),
        false => (Level::Ended, "不高于", "not above"),
    };
    let what = meter.subject.says(
        format!("{night} 夜间{}平均 {mean}，{zh} {limit}", meter.name.zh),
        format!("night {night}: {} {mean} on the mean, {en} {limit}", meter.name.en),
    );
    header.finding(&meter.subject, level, what)
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let meters = periods::metered(reader, world);
    let nights = Nights::parse(reader, HOURS, world);
    let above = reader.number_opt("above", 0.0..=1e12);
    let share = reader.number_opt("percent_of_mean", 100.0..=10_000.0).map(|percent| percent / 100.0);
    if !reader.has("above") && !reader.has("percent_of_mean") {
        reader.problems().at(
            &reader.here(),
            "the rule has no limit",
            "add above = …, or percent_of_mean = 130, or both",
        );
    }
    let difference = reader.number_opt("least_difference", 0.0..=1e12).unwrap_or(0.0);
    let unit = subject::unit(reader);
    let compared = reader.integer_opt("nights", 3..=30).unwrap_or(NIGHTS);
    let header = Header::parse(reader, id, AlarmClass::Energy, Priority::Low);
    let (nights, unit) = (nights?, unit?);
    let compared = usize::try_from(compared).unwrap_or(1);
    let mut watching = BTreeMap::new();
    for meter in meters {
        let Some(scale) = Scale::new(reader, unit, meter.medium, 1.0) else { continue };
        let (windows, past) = (Windows::default(), History::new(compared));
        watching.insert(meter.subject.device.clone(), Watching { meter, scale, windows, past, said: None });
    }
    let back = if share.is_some() { periods::looks_back(compared, MOST_BACK) } else { 2 * DAY };
    let rule = NightBase { header, nights, above, share, difference, back, watching };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

#[cfg(test)]
mod tests;

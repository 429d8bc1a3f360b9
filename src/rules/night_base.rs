//! `night_base`: what runs through the night is more than a limit, or more than in comparable nights.

use super::periods::{self, DAY, History, Metered, Nights, Scale, Stretch, Window};
use super::subject::{self, Header};
use super::windowed::{Judge, Plan, Verdict, Windowed};
use super::{Rule, RuleKind, World};
use crate::document::Reader;
use crate::model::{AlarmClass, Now, Priority, RollUp, RuleId, Text, Wall};

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
calendar = "main"              # that of the devices' places unless told otherwise; see "Which calendar"
alarm_class = "energy"         # energy unless told otherwise
priority = "low"               # low unless told otherwise
"#,
    parse,
};

#[derive(Debug)]
struct NightBase {
    nights: Nights,
    /// As written.
    above: Option<f64>,
    share: Option<f64>,
    /// Above the mean of comparable nights, as written.
    difference: f64,
}

impl Judge for NightBase {
    /// Whether the night followed a teaching day.
    type Sort = bool;

    fn window(&mut self, stretch: &Stretch, _: &RollUp) -> Option<(Wall, Wall)> {
        self.nights.around(stretch)
    }

    fn judge(&mut self, now: Now, night: &Window, scale: Scale, past: &mut History<bool>) -> Option<Verdict> {
        let mean = night.mean()?;
        let after_teaching = self.nights.teaching(night.start);
        let usual = past.before(&after_teaching, night.start).as_deref().and_then(periods::mean);
        past.note(now, after_teaching, night.start, mean);
        let difference = scale.rate(self.difference);
        let limits = [
            self.above.map(|above| scale.rate(above)),
            self.share.zip(usual).map(|(share, usual)| (share * usual).max(usual + difference)),
        ];
        let limit = limits.into_iter().flatten().reduce(f64::min)?;
        Some(Verdict { holds: mean > limit, measured: mean, against: limit })
    }

    fn words(&self, night: &Window, meter: &Metered, scale: Scale, verdict: Verdict) -> Text {
        let (mean, limit) = (scale.shown(verdict.measured), scale.shown(verdict.against));
        let (zh, en) = if verdict.holds { ("高于", "above") } else { ("不高于", "not above") };
        let night = self.nights.name(night.start);
        meter.subject.says(
            format!("{night} 夜间{}平均 {mean}，{zh} {limit}", meter.name.zh),
            format!("night {night}: {} {mean} on the mean, {en} {limit}", meter.name.en),
        )
    }
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
            ("规则没有限值", "the rule has no limit"),
            (
                "加上 above = … 或 percent_of_mean = 130，也可以都写",
                "add above = …, or percent_of_mean = 130, or both",
            ),
        );
    }
    let difference = reader.number_opt("least_difference", 0.0..=1e12).unwrap_or(0.0);
    let unit = subject::unit(reader);
    let compared = reader.integer_opt("nights", 3..=30).unwrap_or(NIGHTS);
    let header = Header::parse(reader, id, AlarmClass::Energy, Priority::Low);
    let (nights, unit) = (nights?, unit?);
    let compared = usize::try_from(compared).unwrap_or(1);
    let back = if share.is_some() { periods::looks_back(compared, MOST_BACK) } else { 2 * DAY };
    let judge = NightBase { nights, above, share, difference };
    let rule = Windowed::new(reader, header, judge, meters, Plan { unit, window_hours: 1.0, compared, back });
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

#[cfg(test)]
mod tests;

//! `min_flow`: the water or gas never stands still in the night: a leak.

use super::periods::{self, DAY, History, Metered, Nights, Scale, Stretch, Window};
use super::subject::{self, Header};
use super::windowed::{Judge, Plan, Verdict, Windowed};
use super::{Rule, RuleKind, World};
use crate::document::Reader;
use crate::model::{AlarmClass, Now, Priority, RollUp, RuleId, Text, Unit, Wall};
use std::time::Duration;

const HOURS: &str = "01:00-05:00";
const SPAN_SECS: i64 = 3600;
/// What was not measured may have been the moment at which nothing flowed.
const LEAST_COVER: f64 = 0.75;

pub(super) const KIND: RuleKind = RuleKind {
    name: "min_flow",
    doc: "The smallest flow of the night, over any hour of it, stays above a limit near zero: water or gas leaks. \
          Works with a counter and with a flow gauge; the span must be long enough for a leak to move the counter. \
          Judged once when the night is over; the alarm holds until a night in which it stood still. A night of which \
          less than three quarters were measured is not judged, and the finding names the night and estimates what \
          is lost in an hour and in a day.",
    example: r#"devices = ["w1"]
point = "volume_total"         # volume or flow; also energy or power
hours = "01:00-05:00"          # local time, outside teaching time; 01:00-05:00 unless told otherwise
above = 20.0
unit = "L/h"                   # or any unit of flow; L and m3 mean in an hour
span_secs = 3600               # the flow is a mean over this; 3600 unless told otherwise
calendar = "main"              # that of the devices' places unless told otherwise; see "Which calendar"
alarm_class = "energy"         # energy unless told otherwise
priority = "medium"            # medium unless told otherwise
"#,
    parse,
};

#[derive(Debug)]
struct MinFlow {
    nights: Nights,
    /// As written.
    above: f64,
    span: Duration,
}

impl Judge for MinFlow {
    /// No night is compared with another.
    type Sort = ();

    fn window(&mut self, stretch: &Stretch, period: &RollUp) -> Option<(Wall, Wall)> {
        // What grew over a longer time than the span says nothing of its smallest flow.
        let longest = periods::ms(self.span).max(i64::from(period.period_secs) * 1000);
        self.nights.around(stretch).filter(|_| stretch.end.since(stretch.start) <= longest)
    }

    fn judge(&mut self, _: Now, night: &Window, scale: Scale, _: &mut History<()>) -> Option<Verdict> {
        let least = night.least(self.span).filter(|_| night.cover() >= LEAST_COVER)?;
        let limit = scale.rate(self.above);
        Some(Verdict { holds: least > limit, measured: least, against: limit })
    }

    fn words(&self, night: &Window, meter: &Metered, scale: Scale, verdict: Verdict) -> Text {
        let (least, limit) = (scale.shown(verdict.measured), scale.shown(verdict.against));
        let (night, name) = (self.nights.name(night.start), &meter.name);
        if !verdict.holds {
            return meter.subject.says(
                format!("{night} 夜间{}最小值 {least}，不高于 {limit}", name.zh),
                format!("night {night}: {} down to {least}, limit {limit}", name.en),
            );
        }
        let unit = match meter.medium {
            periods::Medium::Volume => Unit::Litre,
            periods::Medium::Energy => Unit::KilowattHour,
        };
        let lost = |hours: f64| match meter.medium.amount_unit().convert(verdict.measured * hours, unit) {
            Some(lost) => periods::shown(lost, unit),
            None => String::new(),
        };
        let (hour, day) = (lost(1.0), lost(24.0));
        meter.subject.says(
            format!("{night} 夜间{}最小值 {least}，高于 {limit}：疑似泄漏，每小时约 {hour}，每天约 {day}", name.zh),
            format!(
                "night {night}: {} never below {least}, limit {limit}: it seems to leak, some {hour} an hour, {day} \
                 a day",
                name.en
            ),
        )
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let meters = periods::metered(reader, world);
    let nights = Nights::parse(reader, HOURS, world);
    let above = reader.number("above", 0.0..=1e12);
    let unit = subject::unit(reader);
    let span = reader.integer_opt("span_secs", 60..=6 * 3600).unwrap_or(SPAN_SECS);
    let span = Duration::from_secs(span.unsigned_abs());
    let header = Header::parse(reader, id, AlarmClass::Energy, Priority::Medium);
    let (nights, above, unit) = (nights?, above?, unit?);
    // The night that is not over, and what the counter stood at before it.
    let plan = Plan { unit, window_hours: 1.0, compared: 0, back: 2 * DAY };
    let rule = Windowed::new(reader, header, MinFlow { nights, above, span }, meters, plan);
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

#[cfg(test)]
mod tests;

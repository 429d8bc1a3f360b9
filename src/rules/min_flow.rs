//! `min_flow`: the water or gas never stands still in the night: a leak.

use super::periods::{self, DAY, Metered, Nights, Scale, Windows};
use super::subject::{self, Header};
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::document::Reader;
use crate::model::{
    AlarmClass, DeviceId, Mono, Now, Observation, PointId, Priority, RollUp, RuleId, Text, Unit,
};
use std::collections::BTreeMap;
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
alarm_class = "energy"         # energy unless told otherwise
priority = "medium"            # medium unless told otherwise
"#,
    parse,
};

#[derive(Debug)]
struct Watching {
    meter: Metered,
    scale: Scale,
    windows: Windows,
    /// What was last said; nothing since the start.
    said: Option<bool>,
}

#[derive(Debug)]
struct MinFlow {
    header: Header,
    nights: Nights,
    /// As written.
    above: f64,
    span: Duration,
    watching: BTreeMap<DeviceId, Watching>,
}

impl Rule for MinFlow {
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
            watching.said = None;
        }
    }

    fn observe(&mut self, _: Now, _: &Observation, _: &mut Vec<Finding>) {}

    fn periods(&self) -> Vec<(DeviceId, PointId)> {
        periods::points(self.watching.values().map(|watching| &watching.meter))
    }

    fn looks_back(&self) -> Duration {
        // The night that is not over, and what the counter stood at before it.
        2 * DAY
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

impl MinFlow {
    fn take(&mut self, now: Now, period: &RollUp, mut out: Option<&mut Vec<Finding>>) {
        let Some(watching) = self.watching.get_mut(&period.device) else { return };
        // What grew over a longer time than the span says nothing of its smallest flow.
        let longest = periods::ms(self.span).max(i64::from(period.period_secs) * 1000);
        if let Some(stretch) = watching.meter.take(now, period)
            && stretch.end.since(stretch.start) <= longest
            && let Some(night) = self.nights.around(&stretch)
        {
            watching.windows.add(night, stretch);
        }
        let limit = watching.scale.rate(self.above);
        for night in watching.windows.over(periods::end(period)) {
            let least = night.least(self.span).filter(|_| night.cover() >= LEAST_COVER);
            let (Some(least), Some(out)) = (least, &mut out) else { continue };
            let holds = least > limit;
            if watching.said.replace(holds) != Some(holds) {
                let name = self.nights.name(night.start);
                let (meter, scale) = (&watching.meter, watching.scale);
                let what = words(meter, (&name, holds), (least, scale.shown(least), scale.shown(limit)));
                let level = if holds { Level::Holds } else { Level::Ended };
                out.push(self.header.finding(&meter.subject, level, what));
            }
        }
    }
}

fn words(meter: &Metered, (night, holds): (&str, bool), (rate, least, limit): (f64, String, String)) -> Text {
    let unit = match meter.medium {
        periods::Medium::Volume => Unit::Litre,
        periods::Medium::Energy => Unit::KilowattHour,
    };
    let lost = |hours: f64| match meter.medium.amount_unit().convert(rate * hours, unit) {
        Some(lost) => periods::shown(lost, unit),
        None => String::new(),
    };
    let (hour, day) = (lost(1.0), lost(24.0));
    let name = &meter.name;
    if holds {
        meter.subject.says(
            format!("{night} 夜间{}最小值 {least}，高于 {limit}：疑似泄漏，每小时约 {hour}，每天约 {day}", name.zh),
            format!(
                "night {night}: {} never below {least}, limit {limit}: it seems to leak, some {hour} an hour, {day} \
                 a day",
                name.en
            ),
        )
    } else {
        meter.subject.says(
            format!("{night} 夜间{}最小值 {least}，不高于 {limit}", name.zh),
            format!("night {night}: {} down to {least}, limit {limit}", name.en),
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
    let mut watching = BTreeMap::new();
    for meter in meters {
        let Some(scale) = Scale::new(reader, unit, meter.medium, 1.0) else { continue };
        let windows = Windows::default();
        watching.insert(meter.subject.device.clone(), Watching { meter, scale, windows, said: None });
    }
    let rule = MinFlow { header, nights, above, span, watching };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

#[cfg(test)]
mod tests;

//! `balance`: what the sub-meters measure together is not what the main meter measures.

use super::hours;
use super::periods::{self, DAY, Days, Metered, Scale, Window, Windows};
use super::subject::{self, Header, Subject};
use super::{Finding, Level, Rule, RuleKind, Watch, Watched, World};
use crate::document::Reader;
use crate::model::{AlarmClass, DeviceId, Mono, Now, Observation, PointId, Priority, RollUp, RuleId, Text};
use std::collections::BTreeMap;
use std::time::Duration;

/// So much of a window must have been measured for its amount to be known.
const WHOLE: f64 = 0.999;

pub(super) const KIND: RuleKind = RuleKind {
    name: "balance",
    doc: "The sub-meters together and the main meter differ by more than a share of the main and by more than a least \
          amount, in an hour or a day: a loss, a theft, a leak, or a meter that is connected wrongly. A window in \
          which something is missing of the main is not judged; one in which something is missing of a sub-meter is \
          judged only where the sub-meters have more than the main already. A meter within another sub-meter is not added \
          again. Names the largest sub-meter.",
    example: r#"main = "e0"
devices = ["e1", "e2"]         # the sub-meters; or class and/or place, of which the main is left out
point = "energy_total"         # of all of them; energy, active power, volume or flow
window = "day"                 # hour or day; day unless told otherwise
above_percent = 10             # of the main
above = 20.0                   # and at least so much in the window
unit = "kWh"
calendar = "main"              # that of the devices' places unless told otherwise; see "Which calendar"
alarm_class = "energy"         # energy unless told otherwise
priority = "medium"            # medium unless told otherwise
"#,
    parse,
};

#[derive(Debug)]
struct Meter {
    metered: Metered,
    windows: Windows,
}

#[derive(Debug)]
struct Balance {
    header: Header,
    days: Days,
    limits: Limits,
    main: Meter,
    subs: BTreeMap<DeviceId, Meter>,
    /// What was last said; nothing since the start.
    said: Option<bool>,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    hourly: bool,
    /// Of the main.
    share: f64,
    /// In one window.
    amount: f64,
    scale: Scale,
}

impl Limits {
    fn shown(&self, amount: f64) -> String {
        self.scale.shown(amount / window_hours(self.hourly))
    }
}

fn window_hours(hourly: bool) -> f64 {
    if hourly { 1.0 } else { 24.0 }
}

/// A window of all meters.
struct Sums<'m> {
    main: f64,
    subs: f64,
    /// Nothing is missing of any.
    whole: bool,
    largest: Option<(&'m Metered, f64)>,
}

impl Sums<'_> {
    /// Whether they differ too much; `None` when something is missing that may explain it.
    fn differ(&self, limits: &Limits) -> Option<bool> {
        let too_much = |by: f64| by > limits.amount && by > limits.share * self.main.abs();
        if self.whole {
            Some(too_much((self.main - self.subs).abs()))
        } else {
            // More of a sub-meter would only make it worse.
            too_much(self.subs - self.main).then_some(true)
        }
    }
}

impl Rule for Balance {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.meters().map(|meter| meter.metered.subject.device.clone()).collect())
    }

    fn judges(&self, subject: &str) -> bool {
        subject == self.main.metered.subject.device.as_str()
    }

    fn start(&mut self, _: Now) {
        self.said = None;
        for meter in std::iter::once(&mut self.main).chain(self.subs.values_mut()) {
            meter.metered.start();
            meter.windows.clear();
        }
    }

    fn observe(&mut self, _: Now, _: &Observation, _: &mut Vec<Finding>) {}

    fn periods(&self) -> Vec<(DeviceId, PointId)> {
        periods::points(self.meters().map(|meter| &meter.metered))
    }

    fn looks_back(&self) -> Duration {
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

impl Balance {
    fn meters(&self) -> impl Iterator<Item = &Meter> {
        std::iter::once(&self.main).chain(self.subs.values())
    }

    fn take(&mut self, now: Now, period: &RollUp, mut out: Option<&mut Vec<Finding>>) {
        let is_main = period.device == self.main.metered.subject.device;
        let sub = self.subs.get_mut(&period.device);
        let Some(meter) = (if is_main { Some(&mut self.main) } else { sub }) else { return };
        if let Some(stretch) = meter.metered.take(now, period)
            && let Some(window) = self.days.window(self.limits.hourly, &stretch)
        {
            meter.windows.add(window, stretch);
        }
        // Periods are closed in the order of their starts: when the main tells of a later one, all have told.
        if !is_main {
            meter.windows.forget(period.start);
            return;
        }
        for window in self.main.windows.over(period.start) {
            if window.cover() < WHOLE {
                continue;
            }
            let sums = sums(window, &self.subs);
            if let (Some(holds), Some(out)) = (sums.differ(&self.limits), &mut out)
                && self.said.replace(holds) != Some(holds)
            {
                let name = self.days.name(self.limits.hourly, window.start);
                let subject = &self.main.metered.subject;
                let level = if holds { Level::Holds } else { Level::Ended };
                out.push(self.header.finding(
                    subject,
                    level,
                    words(subject, &name, &sums, (&self.limits, holds)),
                ));
            }
        }
    }
}

fn sums<'m>(window: &Window, subs: &'m BTreeMap<DeviceId, Meter>) -> Sums<'m> {
    let mut sums = Sums { main: window.amount(), subs: 0.0, whole: true, largest: None };
    for sub in subs.values() {
        let here = sub.windows.get(window.start);
        sums.whole &= here.is_some_and(|here| here.cover() >= WHOLE);
        let amount = here.map_or(0.0, Window::amount);
        sums.subs += amount;
        if sums.largest.is_none_or(|(_, largest)| amount > largest) {
            sums.largest = Some((&sub.metered, amount));
        }
    }
    sums
}

fn words(subject: &Subject, name: &str, sums: &Sums<'_>, (limits, holds): (&Limits, bool)) -> Text {
    let (main, subs) = (limits.shown(sums.main), limits.shown(sums.subs));
    let difference = limits.shown(sums.main - sums.subs);
    if !holds {
        return subject.says(
            format!("{name} 总表 {main}，分表合计 {subs}，差额 {difference}，在允许范围内"),
            format!("{name}: main {main}, sub-meters {subs}, the difference of {difference} is allowed"),
        );
    }
    let largest = sums.largest.map(|(meter, amount)| (meter.subject.label(), limits.shown(amount)));
    let (zh, en) = largest.map_or_else(Default::default, |(label, amount)| {
        (format!("，最大分表 {} {amount}", label.zh), format!("; the largest is {} with {amount}", label.en))
    });
    subject.says(
        format!("{name} 总表 {main}，分表合计 {subs}，差额 {difference}{zh}"),
        format!("{name}: main {main}, sub-meters {subs}, a difference of {difference}{en}"),
    )
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let main = reader.text("main");
    let mut metered = periods::metered(reader, world);
    let named = main.as_deref().and_then(|main| world.devices.get_key_value(main));
    if let (Some(main), None) = (&main, named) {
        let advice = subject::known(("设备", "devices"), world.devices.keys());
        reader.problem(
            "main",
            (format!("没有编号为 '{main}' 的设备"), format!("no device has the id '{main}'")),
            advice,
        );
    }
    if let Some((device, _)) = named {
        let all = metered.len();
        metered.retain(|meter| meter.subject.device != *device);
        if reader.has("devices") && metered.len() < all {
            reader.problem(
                "main",
                (format!("'{device}' 成了自己的分表"), format!("'{device}' is its own sub-meter")),
                ("从 devices 里删去它", "take it out of devices"),
            );
        }
    }
    metered = periods::counted_once(metered, world);
    let main = named.and_then(|(device, watched)| main_meter(reader, device, watched, world));
    let hourly = reader.word_opt("window", &[("hour", true), ("day", false)]).unwrap_or(false);
    let share = reader.number("above_percent", 0.0..=100.0).map(|percent| percent / 100.0);
    let above = reader.number("above", 0.0..=1e12);
    let unit = subject::unit(reader);
    let calendar = hours::calendar(reader, world);
    let header = Header::parse(reader, id, AlarmClass::Energy, Priority::Medium);
    let (main, share, above, unit) = (main?, share?, above?, unit?);
    if let Some(other) = metered.iter().find(|meter| meter.medium != main.medium) {
        reader.problem(
            "main",
            (
                format!("'{}' 与 '{}' 测的量不同", main.subject.device, other.subject.device),
                format!("'{}' measures something else than '{}'", main.subject.device, other.subject.device),
            ),
            ("都选电表，或都选水表、气表", "choose meters of energy, or meters of volume"),
        );
    }
    if metered.is_empty() && reader.problems().len() == before {
        reader.problem(
            "main",
            ("没有分表", "it has no sub-meter"),
            (
                "用 devices，或用 class 和（或）place 选分表",
                "choose sub-meters by devices, or by class and/or place",
            ),
        );
    }
    let scale = Scale::new(reader, unit, main.medium, window_hours(hourly))?;
    let limits = Limits { hourly, share, amount: scale.rate(above) * window_hours(hourly), scale };
    let meter = |metered: Metered| Meter { metered, windows: Windows::default() };
    let rule = Balance {
        header,
        days: Days::new(calendar),
        limits,
        main: meter(main),
        subs: metered.into_iter().map(|of| (of.subject.device.clone(), meter(of))).collect(),
        said: None,
    };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

fn main_meter(reader: &Reader<'_>, device: &DeviceId, watched: &Watched, world: &World) -> Option<Metered> {
    let name = reader.text_opt("point")?;
    let Some(point) = watched.profile.point(&name) else {
        let advice = subject::known(("测点", "points"), watched.profile.points.iter().map(|point| &point.id));
        reader.problem(
            "main",
            (format!("'{device}' 没有测点 '{name}'"), format!("'{device}' has no point '{name}'")),
            advice,
        );
        return None;
    };
    Metered::new(reader, Subject::new(device, watched, world), point, world)
}

#[cfg(test)]
mod tests;

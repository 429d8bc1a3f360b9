//! `expression`: an expression over the values of a device and the hours of school is true for a while.

mod formula;

pub use formula::{Formula, Sort, Value};

use super::hours;
use super::subject::{self, Header, Subject};
use super::timers::Timers;
use super::{Finding, Level, Rule, RuleKind, Watch, Watched, World};
use crate::calendar::{Calendar, DayKind, Times};
use crate::document::Reader;
use crate::model::{
    AlarmClass, Body, DeviceId, Link, Mono, Now, Observation, PointId, Priority, RuleId, Text, Unit, Wall,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const MAX_FOR_SECS: i64 = 7 * 24 * 3600;
const MINUTE_MS: i64 = 60_000;
/// Longest text of an alarm, characters.
const MAX_TEXT_CHARS: usize = 100;

/// What the calendar says, by name.
const OF_CALENDAR: [(&str, Sort); 6] = [
    ("teaching", Sort::Flag),
    ("exam", Sort::Flag),
    ("curfew", Sort::Flag),
    ("holiday", Sort::Flag),
    ("hour", Sort::Number(0.0, 23.0)),
    ("weekday", Sort::Number(1.0, 7.0)),
];
/// What is known of a device without asking it.
const OF_DEVICE: [&str; 3] = ["device.id", "device.class", "device.place"];

pub(super) const KIND: RuleKind = RuleKind {
    name: "expression",
    doc: "An expression is true. Names are the points of the devices (each in the unit of its profile), `teaching`, \
          `exam`, `curfew`, `holiday` (also between terms), `hour` (0 to 23), `weekday` (1 is Monday, 7 is Sunday), \
          `device.id`, `device.class` and `device.place`. Operators are `+ - * / == != < <= > >= && || ! ?: in`; there \
          are no functions and no loops. All numbers are floating-point numbers. A value that is not there (not yet \
          read, the device does not answer, the gateway's clock is not set) leaves open what it would decide: then \
          nothing is judged. Doubted and retained values are passed over. An expression that can never be true, or \
          never false, is refused. A fixed limit is better written as `threshold`, which has a deadband.",
    example: r#"class = "energy-meter"         # which devices; see "Which devices"
place = "b1"
when = "power_total > 2000 && !teaching && (hour >= 22 || hour < 6)"   # in the points' own units
for_secs = 600                 # true for this long; 0 unless told otherwise
text = "夜间大功率用电"          # what the alarm says; the expression unless told otherwise
text_en = "heavy load at night"
calendar = "main"              # that of the devices' places unless told otherwise; see "Which calendar"
alarm_class = "energy"         # equipment unless told otherwise
priority = "medium"            # medium unless told otherwise
"#,
    parse,
};

/// One device.
#[derive(Debug)]
struct Watching {
    subject: Subject,
    class: String,
    place: String,
    /// The last good values; forgotten when the device stops answering.
    values: BTreeMap<PointId, f64>,
    said: Option<bool>,
}

/// What the calendar says in one minute.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Moment {
    teaching: bool,
    exam: bool,
    curfew: bool,
    holiday: bool,
    hour: f64,
    weekday: f64,
}

#[derive(Debug)]
struct Expression {
    header: Header,
    formula: Formula,
    words: Text,
    hold: Duration,
    /// The points in the expression, with their name and unit.
    points: Vec<(PointId, Text, Unit)>,
    /// Only where the expression asks for it.
    calendar: Option<Arc<Calendar>>,
    /// Of which minute it is, counted from 1970.
    moment: Option<(i64, Moment)>,
    /// When the next minute begins.
    look: Option<Mono>,
    watching: BTreeMap<DeviceId, Watching>,
    timers: Timers<DeviceId>,
}

impl Rule for Expression {
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
        let of = |device: &DeviceId| {
            let device = device.clone();
            self.points.iter().map(move |(point, ..)| (device.clone(), point.clone()))
        };
        self.watching.keys().flat_map(of).collect()
    }

    fn start(&mut self, now: Now) {
        self.timers.clear();
        self.moment = None;
        self.look = self.calendar.is_some().then_some(now.mono);
        for watching in self.watching.values_mut() {
            watching.values.clear();
            watching.said = None;
        }
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        self.look(now, out);
        let Some(watching) = self.watching.get_mut(&seen.device) else { return };
        match &seen.body {
            Body::Reading(reading) if !seen.retained => {
                let Some(value) = reading.good() else { return };
                if !self.points.iter().any(|(point, ..)| *point == reading.point) {
                    return;
                }
                watching.values.insert(reading.point.clone(), value);
            }
            Body::Link(Link::Down(_)) => watching.values.clear(),
            Body::Reading(_) | Body::Event(_) | Body::Link(Link::Up) => return,
        }
        let device = seen.device.clone();
        self.judge(&device, now, out);
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.timers.next().into_iter().chain(self.look).min()
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        // In the order in which they were due: a call that comes late must not let the bell undo an earlier timer.
        let end = now.mono.plus(Duration::from_millis(1));
        self.expire_before(self.look.map_or(end, |bell| bell.min(end)), out);
        if self.look.is_some_and(|at| at <= now.mono) {
            self.look(now, out);
        }
        self.expire_before(end, out);
    }
}

impl Expression {
    fn expire_before(&mut self, end: Mono, out: &mut Vec<Finding>) {
        while self.timers.next().is_some_and(|at| at < end) {
            let Some(device) = self.timers.pop() else { return };
            self.say(&device, true, out);
        }
    }

    /// Asks the calendar once a minute, and judges every device again when something has changed: bells ring, hours and
    /// days begin on a minute.
    fn look(&mut self, now: Now, out: &mut Vec<Finding>) {
        let Some(calendar) = &self.calendar else { return };
        let minute = now.wall.0.div_euclid(MINUTE_MS);
        let due = self.look.is_some_and(|at| at <= now.mono);
        if self.moment.is_some_and(|(of, _)| of == minute) && !due {
            return;
        }
        let rest = u64::try_from(MINUTE_MS - now.wall.0.rem_euclid(MINUTE_MS)).unwrap_or_default();
        self.look = Some(now.mono.plus(Duration::from_millis(rest)));
        let moment = now.wall.plausible().then(|| Moment::at(calendar, now.wall)).flatten();
        let changed = moment != self.moment.map(|(_, moment)| moment);
        self.moment = moment.map(|moment| (minute, moment));
        if changed {
            let all: Vec<DeviceId> = self.watching.keys().cloned().collect();
            for device in all {
                self.judge(&device, now, out);
            }
        }
    }

    fn judge(&mut self, device: &DeviceId, now: Now, out: &mut Vec<Finding>) {
        let Some(watching) = self.watching.get(device) else { return };
        let moment = self.moment.map(|(_, moment)| moment);
        match self.formula.judge(&|name| watching.value(device, moment, name)) {
            Some(true) if watching.said == Some(true) || self.timers.is_set(device) => {}
            Some(true) if self.hold.is_zero() => self.say(device, true, out),
            Some(true) => self.timers.set(device, Some(now.mono.plus(self.hold))),
            Some(false) => {
                self.timers.set(device, None);
                self.say(device, false, out);
            }
            None => self.timers.set(device, None),
        }
    }

    fn say(&mut self, device: &DeviceId, holds: bool, out: &mut Vec<Finding>) {
        let Some(watching) = self.watching.get_mut(device) else { return };
        if watching.said == Some(holds) {
            return;
        }
        watching.said = Some(holds);
        let (level, zh, en) =
            if holds { (Level::Holds, "", "") } else { (Level::Ended, "不再：", "no longer: ") };
        let (mut zh, mut en) = (format!("{zh}{}", self.words.zh), format!("{en}{}", self.words.en));
        for (point, name, unit) in &self.points {
            if let Some(value) = watching.values.get(point) {
                let value = subject::shown(*value, *unit);
                zh = format!("{zh}，{} {value}", name.zh);
                en = format!("{en}, {} {value}", name.en);
            }
        }
        out.push(self.header.finding(&watching.subject, level, watching.subject.says(zh, en)));
    }
}

impl Moment {
    fn at(calendar: &Calendar, at: Wall) -> Option<Self> {
        let (date, hour) = calendar.local(at)?;
        let kind = calendar.day(date).kind;
        Some(Self {
            teaching: calendar.holds(Times::Teaching, at),
            exam: calendar.holds(Times::Exam, at),
            curfew: calendar.holds(Times::Curfew, at),
            holiday: matches!(kind, DayKind::Holiday | DayKind::OutsideTerms),
            hour: f64::from(hour),
            weekday: f64::from(date.weekday().to_monday_one_offset()),
        })
    }

    fn value(&self, name: &str) -> Option<Value<'static>> {
        Some(match name {
            "teaching" => Value::Flag(self.teaching),
            "exam" => Value::Flag(self.exam),
            "curfew" => Value::Flag(self.curfew),
            "holiday" => Value::Flag(self.holiday),
            "hour" => Value::Number(self.hour),
            "weekday" => Value::Number(self.weekday),
            _ => return None,
        })
    }
}

impl Watching {
    fn value<'w>(&'w self, device: &'w DeviceId, moment: Option<Moment>, name: &str) -> Option<Value<'w>> {
        match name {
            "device.id" => Some(Value::Text(device.as_str())),
            "device.class" => Some(Value::Text(&self.class)),
            "device.place" => Some(Value::Text(&self.place)),
            _ if is_of_calendar(name) => moment?.value(name),
            _ => self.values.get(name).copied().map(Value::Number),
        }
    }
}

fn is_of_calendar(name: &str) -> bool {
    OF_CALENDAR.iter().any(|(known, _)| *known == name)
}

/// What a name can stand for at a device.
fn sort(device: &DeviceId, watched: &Watched, name: &str) -> Option<Sort> {
    match name {
        "device.id" => Some(Sort::Text(device.to_string())),
        "device.class" => Some(Sort::Text(watched.profile.class.clone())),
        "device.place" => Some(Sort::Text(watched.place.to_string())),
        _ => {
            OF_CALENDAR.iter().find(|(known, _)| *known == name).map(|(_, sort)| sort.clone()).or_else(|| {
                let point = watched.profile.point(name)?;
                let (low, high) = point.range.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
                Some(Sort::Number(low, high))
            })
        }
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let chosen = subject::devices(reader, world);
    let advice = (
        "写应成立的条件，例如 \"power_total > 2000 && !teaching\"",
        "write what must be true, such as \"power_total > 2000 && !teaching\"",
    );
    let written = reader.text("when");
    let formula = reader.parsed_opt("when", advice, Formula::parse);
    let hold = subject::secs_opt(reader, "for_secs", 0..=MAX_FOR_SECS).unwrap_or_default();
    let calendar = hours::calendar(reader, world);
    let (zh, en) = (text(reader, "text"), text(reader, "text_en"));
    let header = Header::parse(reader, id, AlarmClass::Equipment, Priority::Medium);
    let (written, formula) = (written?, formula?);
    let points = points(reader, &formula, &chosen);
    if reader.problems().len() == before {
        judged(reader, &formula, &chosen);
    }
    let zh = zh.unwrap_or_else(|| written.clone());
    let en = en.unwrap_or_else(|| zh.clone());
    let asks = formula.names().any(is_of_calendar);
    if reader.has("calendar") && !asks {
        let advice = (
            "在表达式里用校历的词，例如 teaching，或删去 calendar",
            "name one of its words in the expression, such as teaching, or take calendar out",
        );
        reader.problem("calendar", ("这条规则不看校历", "this rule asks no calendar"), advice);
    }
    let watch = |(subject, watched): (Subject, &Watched)| {
        let (class, place) = (watched.profile.class.clone(), watched.place.to_string());
        let watching = Watching { subject, class, place, values: BTreeMap::new(), said: None };
        (watching.subject.device.clone(), watching)
    };
    let rule = Expression {
        header,
        formula,
        words: Text::new(zh, en),
        hold,
        points,
        calendar: asks.then_some(calendar),
        moment: None,
        look: None,
        watching: chosen.into_iter().map(watch).collect(),
        timers: Timers::new(),
    };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

/// What an alarm says: one short line.
fn text(reader: &Reader<'_>, key: &str) -> Option<String> {
    reader.parsed_opt(
        key,
        ("写一行 1 到 100 个字符", "write 1 to 100 characters on one line"),
        |text| {
            let text = text.trim();
            let good =
                (1..=MAX_TEXT_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control);
            if good {
                Ok(text.to_owned())
            } else {
                Err((
                    "文字是空的、太长，或有控制字符",
                    "the text is empty, too long or has control characters",
                ))
            }
        },
    )
}

/// The points in the expression. A name that is none, and a point that has different units, are problems.
fn points(
    reader: &Reader<'_>,
    formula: &Formula,
    chosen: &[(Subject, &Watched)],
) -> Vec<(PointId, Text, Unit)> {
    let mut points: Vec<(PointId, Text, Unit)> = Vec::new();
    let ours = |name: &str| is_of_calendar(name) || OF_DEVICE.contains(&name);
    for name in formula.names().filter(|name| !ours(name)) {
        for (_, watched) in chosen {
            let Some(point) = watched.profile.point(name) else {
                let of_points = watched.profile.points.iter().map(|point| point.id.to_string());
                let ours = OF_CALENDAR.iter().map(|(name, _)| *name).chain(OF_DEVICE).map(ToOwned::to_owned);
                reader.problem(
                    "when",
                    (
                        format!("模板 '{}' 没有测点 '{name}'", watched.profile.id),
                        format!("the profile '{}' has no point '{name}'", watched.profile.id),
                    ),
                    subject::known(("名称", "names"), ours.chain(of_points).collect::<Vec<_>>()),
                );
                continue;
            };
            match points.iter().find(|(known, ..)| known.as_str() == name) {
                None => points.push((point.id.clone(), point.name.clone(), point.unit)),
                Some((_, _, unit)) if *unit != point.unit => reader.problem(
                    "when",
                    (
                        format!("'{name}' 在有的设备上单位是 {unit}，在有的设备上是 {}", point.unit),
                        format!(
                            "'{name}' is in {unit} at some of these devices and in {} at others",
                            point.unit
                        ),
                    ),
                    (
                        "每种单位写一条规则：用 devices = [\"…\"] 选设备",
                        "write one rule for each unit: choose the devices with devices = [\"…\"]",
                    ),
                ),
                Some(_) => {}
            }
        }
    }
    if points.is_empty() && !chosen.is_empty() && formula.names().all(ours) {
        reader.problem(
            "when",
            ("表达式没有用到设备的值", "the expression asks for no value of a device"),
            ("写设备的一个测点，例如 power_total", "name a point of the devices, such as power_total"),
        );
    }
    points
}

/// Notes what does not fit together, and an expression that is never true, or never false, whatever is measured.
fn judged(reader: &Reader<'_>, formula: &Formula, chosen: &[(Subject, &Watched)]) {
    let (mut ever_true, mut ever_false) = (false, false);
    for (subject, watched) in chosen {
        match formula.reach(&|name| sort(&subject.device, watched, name)) {
            Ok((true_, false_)) => (ever_true, ever_false) = (ever_true || true_, ever_false || false_),
            Err(why) => {
                reader.problem(
                    "when",
                    why,
                    ("数与数比，文字与文字比", "compare numbers with numbers and texts with texts"),
                );
                return;
            }
        }
    }
    let advice = (
        "看测点的量程：`schoolgate profile show` 会列出",
        "look at the ranges of the points: `schoolgate profile show` tells them",
    );
    if !ever_true {
        reader.problem(
            "when",
            ("表达式在任何一台设备上都不会成立", "the expression can never be true at any of the devices"),
            advice,
        );
    } else if !ever_false {
        reader.problem(
            "when",
            ("表达式在所有设备上总是成立", "the expression is always true at all of the devices"),
            advice,
        );
    }
}

#[cfg(test)]
mod tests;

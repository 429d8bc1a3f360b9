//! `held`: a state lasts too long, or a value never changes.

use super::hours::{self, Hours};
use super::pattern::Pattern;
use super::subject::{self, Header, Measured, Subject, shown};
use super::timers::Timers;
use super::{Finding, Level, Rule, RuleKind, Watch, Watched, World};
use crate::document::Reader;
use crate::model::few::Few;
use crate::model::{
    AlarmClass, Body, DeviceId, EventKind, Mono, Now, Observation, Phase, PointId, Priority, RuleId, Text,
};
use crate::profile::Point;
use std::time::Duration;

pub(super) const KIND: RuleKind = RuleKind {
    name: "held",
    doc: "A state lasts too long: one that an event began and none has ended (a door left open), a point that has a \
          value, or with unchanged = true a point that always has the same one (a stuck sensor). It ends when the \
          state does. A state lasts until the device says otherwise; that a value does not change is judged by the \
          readings that come, never by silence. With when = \"teaching\" or \"outside\" the time counts only in \
          teaching time or outside it (section `[calendar]`), and always while the gateway's clock is not set.",
    example: r#"class = "contact"              # which devices; see "Which devices"
event = "contact"              # or point = "…" with equals = 1 or unchanged = true; code = "…" as in count
for_secs = 600                 # 1 to 30 days
when = "outside"               # teaching or outside; always unless told otherwise
calendar = "main"              # that of the devices' places unless told otherwise; see "Which calendar"
alarm_class = "security"       # security, of a value equipment, unless told otherwise
priority = "medium"            # medium unless told otherwise
"#,
    parse,
};

/// What may last too long.
#[derive(Debug)]
enum What {
    Event(Pattern),
    Equals(f64),
    Unchanged,
}

/// When it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Teaching,
    Outside,
}

/// One device, with its point if it is about one.
#[derive(Debug)]
struct Watching {
    subject: Subject,
    measured: Option<Measured>,
    /// Whether the state is on, once the device has said so.
    on: Option<bool>,
    /// The last good value, and since when it is the same.
    value: Option<(f64, Mono)>,
    /// What was last said; nothing since the start.
    said: Option<bool>,
}

#[derive(Debug)]
struct Held {
    header: Header,
    what: What,
    hold: Duration,
    when: Option<(When, Hours)>,
    /// Since when it counts without a break.
    counts_from: Mono,
    watching: Few<DeviceId, Watching>,
    timers: Timers<DeviceId>,
}

impl Rule for Held {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.watching.iter().map(|(device, _)| device.clone()).collect())
    }

    fn points(&self) -> Vec<(DeviceId, PointId)> {
        let point =
            |(device, of): &(DeviceId, Watching)| Some((device.clone(), of.measured.as_ref()?.point.clone()));
        self.watching.iter().filter_map(point).collect()
    }

    fn start(&mut self, now: Now) {
        self.timers.clear();
        self.counts_from = now.mono;
        if let Some((_, hours)) = &mut self.when {
            hours.start(now);
        }
        for (_, watching) in self.watching.iter_mut() {
            watching.on = None;
            watching.value = None;
            watching.said = None;
        }
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        self.look(now, out);
        let (counts, counts_from) = (self.counts(), self.counts_from);
        let Some(watching) = self.watching.get_mut(&seen.device) else { return };
        match &self.what {
            What::Event(pattern) => match &seen.body {
                // What a broker retained is the state now; it is timed from here.
                Body::Event(event) if pattern.fits(event) && event.phase != Phase::Moment => {
                    watching.on = Some(event.phase == Phase::Start);
                }
                _ => return,
            },
            What::Equals(wanted) => match watching.value(seen) {
                Some(value) => watching.on = Some(same(value, *wanted)),
                None => return,
            },
            What::Unchanged => {
                let Some(value) = watching.value(seen) else { return };
                let since = match watching.value {
                    Some((before, since)) if same(before, value) => since,
                    _ => now.mono,
                };
                let changed = watching.value.is_some_and(|(before, _)| !same(before, value));
                watching.value = Some((value, since));
                let lasts = now.mono.since(since.max(counts_from)) >= self.hold;
                match (counts, lasts, changed) {
                    (false, ..) | (_, _, true) => out.extend(self.say(&seen.device, false)),
                    (true, true, false) => out.extend(self.say(&seen.device, true)),
                    (true, false, false) => {}
                }
                return;
            }
        }
        self.judge(&seen.device, now, out);
    }

    fn never(&self) -> Option<Text> {
        let (when, hours) = self.when.as_ref()?;
        hours.never(*when == When::Teaching, self.hold)
    }

    fn next_deadline(&self) -> Option<Mono> {
        let bell = self.when.as_ref().and_then(|(_, hours)| hours.deadline());
        self.timers.next().into_iter().chain(bell).min()
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        // In the order in which they were due: a call that comes late must not let the bell undo an earlier timer.
        let end = now.mono.plus(Duration::from_millis(1));
        let bell = self.when.as_ref().and_then(|(_, hours)| hours.bell());
        self.expire_before(bell.map_or(end, |bell| bell.min(end)), out);
        let asks = self.when.as_ref().and_then(|(_, hours)| hours.deadline());
        if asks.is_some_and(|at| at <= now.mono) {
            self.look(now, out);
        }
        self.expire_before(end, out);
    }
}

/// Whether two readings are the same value: a conversion may have turned its last bits.
fn same(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * one.abs().max(other.abs()).max(1.0)
}

impl Held {
    fn expire_before(&mut self, end: Mono, out: &mut Vec<Finding>) {
        while self.timers.next().is_some_and(|at| at < end) {
            let Some(device) = self.timers.pop() else { return };
            out.extend(self.say(&device, true));
        }
    }

    /// Whether it counts now; always while our clock cannot be true.
    fn counts(&self) -> bool {
        self.when.as_ref().is_none_or(|(when, hours)| match when {
            When::Teaching => hours.within().unwrap_or(true),
            When::Outside => hours.outside().unwrap_or(true),
        })
    }

    /// Asks the calendar, and judges every device again when its answer has changed.
    fn look(&mut self, now: Now, out: &mut Vec<Finding>) {
        let before = self.counts();
        if !self.when.as_mut().is_some_and(|(_, hours)| hours.look(now)) || before == self.counts() {
            return;
        }
        self.counts_from = now.mono;
        let all: Vec<DeviceId> = self.watching.iter().map(|(device, _)| device.clone()).collect();
        for device in all {
            if !self.counts() {
                self.timers.set(&device, None);
                out.extend(self.say(&device, false));
            } else if !matches!(self.what, What::Unchanged) {
                self.judge(&device, now, out);
            }
        }
    }

    /// Of a state that is on or off.
    fn judge(&mut self, device: &DeviceId, now: Now, out: &mut Vec<Finding>) {
        let Some(watching) = self.watching.get(device) else { return };
        match watching.on.map(|on| on && self.counts()) {
            Some(true) if watching.said == Some(true) || self.timers.is_set(device) => {}
            Some(true) => self.timers.set(device, Some(now.mono.plus(self.hold))),
            Some(false) => {
                self.timers.set(device, None);
                out.extend(self.say(device, false));
            }
            None => {}
        }
    }

    fn say(&mut self, device: &DeviceId, holds: bool) -> Option<Finding> {
        let watching = self.watching.get_mut(device)?;
        if watching.said.replace(holds) == Some(holds) {
            return None;
        }
        let state = watching.names(&self.what);
        let secs = self.hold.as_secs();
        let (level, what) = if holds {
            let zh = format!("{}，持续超过 {secs} 秒", state.zh);
            (Level::Holds, watching.subject.says(zh, format!("{}, for more than {secs} s", state.en)))
        } else {
            let zh = format!("{}，已结束", state.zh);
            (Level::Ended, watching.subject.says(zh, format!("{}: over", state.en)))
        };
        Some(self.header.finding(&watching.subject, level, what))
    }
}

impl Watching {
    fn value(&self, seen: &Observation) -> Option<f64> {
        self.measured.as_ref()?.value(seen)
    }

    /// What the state is called.
    fn names(&self, what: &What) -> Text {
        let Some(measured) = &self.measured else {
            return if let What::Event(pattern) = what { pattern.name() } else { Text::same("") };
        };
        let name = &measured.name;
        match what {
            What::Equals(value) => {
                let value = shown(*value, measured.unit);
                Text::new(format!("{} 为 {value}", name.zh), format!("{} is {value}", name.en))
            }
            _ => Text::new(format!("{} 一直不变", name.zh), format!("{} does not change", name.en)),
        }
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let hold = subject::secs(reader, "for_secs", 1..=30 * 24 * 3600);
    let words = [("teaching", When::Teaching), ("outside", When::Outside)];
    let calendar = hours::calendar(reader, world);
    let when = reader.word_opt("when", &words).map(|when| (when, Hours::new(calendar)));
    let (watching, what) =
        if reader.has("point") { values(reader, hold, world) } else { events(reader, world) };
    let class = if reader.has("point") { AlarmClass::Equipment } else { AlarmClass::Security };
    let header = Header::parse(reader, id, class, Priority::Medium);
    let rule = Held {
        header,
        what: what?,
        hold: hold?,
        when,
        counts_from: Mono(0),
        watching,
        timers: Timers::new(),
    };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

impl Watching {
    fn new(subject: Subject, measured: Option<Measured>) -> (DeviceId, Self) {
        let device = subject.device.clone();
        (device, Self { subject, measured, on: None, value: None, said: None })
    }
}

fn events(reader: &Reader<'_>, world: &World) -> (Few<DeviceId, Watching>, Option<What>) {
    let chosen = subject::devices(reader, world);
    let pattern = Pattern::parse(reader);
    pattern.iter().for_each(|pattern| pattern.given_by(reader, &chosen));
    let moments = [EventKind::Credential, EventKind::VehiclePass, EventKind::CountedAnew];
    if let Some(kind) = pattern.as_ref().map(|pattern| pattern.kind).filter(|kind| moments.contains(kind)) {
        reader.problem(
            "event",
            (format!("'{kind}' 是瞬时事件，不会持续"), format!("'{kind}' is a moment and cannot last")),
            (
                "选有开始和结束的事件，例如 contact，或用规则类型 `count`",
                "choose an event that begins and ends, such as contact, or the kind `count`",
            ),
        );
    }
    let watching = chosen.into_iter().map(|(subject, _)| Watching::new(subject, None));
    (watching.collect(), pattern.map(What::Event))
}

fn values(
    reader: &Reader<'_>,
    hold: Option<Duration>,
    world: &World,
) -> (Few<DeviceId, Watching>, Option<What>) {
    if reader.has("event") {
        reader.problem(
            "event",
            ("规则写了两种状态", "the rule is about two states"),
            ("事件和测点各写一条规则", "write one rule for the event and one for the point"),
        );
    }
    let points = subject::points(reader, world);
    let equals = reader.number_opt("equals", -1e12..=1e12);
    let unchanged = reader.flag_opt("unchanged").unwrap_or(false);
    if reader.has("equals") == unchanged {
        reader.problem(
            "point",
            ("没有写明是哪种状态", "which state of it is meant?"),
            (
                "写 equals = <数> 或 unchanged = true，只写一个",
                "write either equals = <number> or unchanged = true",
            ),
        );
    }
    for (subject, point) in &points {
        possible(reader, (equals, hold), world.devices.get(&subject.device), point);
    }
    let watch = |(subject, point): (Subject, &Point)| {
        let measured = Measured::new(subject.clone(), point);
        Watching::new(subject, Some(measured))
    };
    (points.into_iter().map(watch).collect(), Some(equals.map_or(What::Unchanged, What::Equals)))
}

/// Notes a problem if the state can never be.
fn possible(
    reader: &Reader<'_>,
    (equals, hold): (Option<f64>, Option<Duration>),
    watched: Option<&Watched>,
    point: &Point,
) {
    if let (Some(value), Some((low, high))) = (equals, point.range)
        && !(low..=high).contains(&value)
    {
        let (low, high) = (shown(low, point.unit), shown(high, point.unit));
        reader.problem(
            "equals",
            (format!("'{}' 不会是这个值", point.id), format!("'{}' can never be this", point.id)),
            (format!("它的值在 {low} 到 {high} 之间"), format!("its values lie from {low} to {high}")),
        );
    }
    if let (None, Some(hold), Some(watched)) = (equals, hold, watched) {
        // By fewer readings nobody can say that a value is stuck.
        subject::polled_within(reader, "for_secs", (hold, 3), watched, point);
    }
}

#[cfg(test)]
mod tests;

//! `count`: something happens, or a value changes, too often within a sliding window.

use super::pattern::{Pattern, State};
use super::scope::{Scope, Whole};
use super::subject::{self, Header, Subject};
use super::timers::Timers;
use super::{Finding, Level, Rule, RuleKind, Watch, Watched, World};
use crate::document::Reader;
use crate::model::few::Few;
use crate::model::{
    AlarmClass, Body, DeviceId, Mono, Now, Observation, PointId, Priority, Reading, RuleId, Text,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Most that can be counted: as many times are remembered of each device or place.
const MOST: i64 = 1000;
/// Something exactly as old as the window still counts.
const AFTER: Duration = Duration::from_millis(1);

pub(super) const KIND: RuleKind = RuleKind {
    name: "count",
    doc: "So many events of a kind, or changes of a value, within a sliding window, of each device or of all in a \
          place together; it ends when there are fewer in the window. A state counts when it begins. What a device \
          kept and delivers later than the window does not count, so set the devices' clocks; neither do retained \
          events and doubted values. After a restart it is said that there are few only when a whole window has passed.",
    example: r#"class = "card-reader"          # which devices; see "Which devices"
event = "credential"           # a kind of event that the devices' profiles give; or point = "…": its changes
result = "denied"              # of credentials: granted or denied; code = "…" is the device's own code
count = 10                     # so many or more raise, 2 to 1000
window_secs = 300              # 1 to a week
end_below = 4                  # fewer than this end it; as count unless told otherwise
per = "building"               # device, place, room, floor, building or campus; device unless told otherwise
alarm_class = "security"       # security unless told otherwise
priority = "medium"            # medium unless told otherwise
"#,
    parse,
};

/// What is counted.
#[derive(Debug)]
enum What {
    Events(Pattern),
    Changes { point: PointId, name: Text },
}

/// A device that is watched.
#[derive(Debug)]
struct Member {
    /// Its place among the tallies.
    tally: usize,
    state: State,
    /// The last good value.
    value: Option<f64>,
}

/// The last times of one device or place, as many as are to be counted at most.
#[derive(Debug)]
struct Tally {
    whole: Whole,
    times: VecDeque<Mono>,
    /// What was last said; nothing since the start.
    said: Option<bool>,
}

#[derive(Debug)]
struct Count {
    header: Header,
    what: What,
    count: usize,
    end_below: usize,
    within: Duration,
    members: Few<DeviceId, Member>,
    tallies: Vec<Tally>,
    timers: Timers<usize>,
    /// The most changes that a tally can see in a window, by how often its devices are read.
    most: Option<usize>,
}

impl Rule for Count {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.members.iter().map(|(device, _)| device.clone()).collect())
    }

    fn judges(&self, subject: &str) -> bool {
        self.tallies.iter().any(|tally| tally.whole.id() == subject)
    }

    fn points(&self) -> Vec<(DeviceId, PointId)> {
        let What::Changes { point, .. } = &self.what else { return Vec::new() };
        self.members.iter().map(|(device, _)| (device.clone(), point.clone())).collect()
    }

    fn start(&mut self, now: Now) {
        self.timers.clear();
        for (_, member) in self.members.iter_mut() {
            member.state = State::default();
            member.value = None;
        }
        for (index, tally) in self.tallies.iter_mut().enumerate() {
            tally.times.clear();
            tally.said = None;
            self.timers.set(&index, Some(now.mono.plus(self.within).plus(AFTER)));
        }
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        let Some(member) = self.members.get_mut(&seen.device) else { return };
        let counts = match (&self.what, &seen.body) {
            (What::Events(pattern), Body::Event(event)) => {
                pattern.fits(event) && member.state.happens(event.phase)
            }
            (What::Changes { point, .. }, Body::Reading(reading)) => {
                !seen.retained && reading.point == *point && member.changes(reading)
            }
            _ => false,
        };
        if !counts || seen.retained || seen.stamp.late() > self.within {
            return;
        }
        let index = member.tally;
        let Some(tally) = self.tallies.get_mut(index) else { return };
        if tally.times.len() >= self.count {
            tally.times.pop_front();
        }
        tally.times.push_back(now.mono);
        if tally.within(now, self.within) >= self.count && tally.said != Some(true) {
            tally.said = Some(true);
            out.push(self.finding(index, Level::Holds));
        }
        self.arm(index);
    }

    fn never(&self) -> Option<Text> {
        let most = self.most.filter(|most| *most < self.count)?;
        let (secs, count) = (self.within.as_secs(), self.count);
        Some(Text::new(
            format!("设备的轮询间隔使 {secs} 秒内最多读到 {most} 次变化，规则要求 {count} 次"),
            format!(
                "its devices are read so seldom that {secs} s hold {most} changes at most, and the rule wants {count}"
            ),
        ))
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.timers.next()
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        for index in self.timers.take_due(now.mono) {
            let Some(tally) = self.tallies.get_mut(index) else { continue };
            if tally.within(now, self.within) < self.end_below && tally.said != Some(false) {
                tally.said = Some(false);
                out.push(self.finding(index, Level::Ended));
            } else {
                self.arm(index);
            }
        }
    }
}

impl Member {
    fn changes(&mut self, reading: &Reading) -> bool {
        let Some(value) = reading.good() else { return false };
        self.value.replace(value).is_some_and(|before| before != value)
    }
}

impl Tally {
    /// Forgets what is older than the window, and says how many are left.
    fn within(&mut self, now: Now, within: Duration) -> usize {
        while self.times.front().is_some_and(|at| now.mono.since(*at) > within) {
            self.times.pop_front();
        }
        self.times.len()
    }
}

impl Count {
    /// While the alarm stands, and after the start until it is known that there are few: when there will be few.
    fn arm(&mut self, index: usize) {
        let Some(tally) = self.tallies.get(index).filter(|tally| tally.said != Some(false)) else { return };
        let oldest = tally.times.len().checked_sub(self.end_below).and_then(|at| tally.times.get(at));
        // With fewer already the timer of the start is still to come.
        if let Some(at) = oldest {
            self.timers.set(&index, Some(at.plus(self.within).plus(AFTER)));
        }
    }

    fn finding(&self, index: usize, level: Level) -> Finding {
        let name = match &self.what {
            What::Events(pattern) => pattern.name(),
            What::Changes { name, .. } => {
                Text::new(format!("{}变化", name.zh), format!("{} changed", name.en))
            }
        };
        let secs = self.within.as_secs();
        let what = if level == Level::Holds {
            Text::new(
                format!("{}，{secs} 秒内达到 {} 次", name.zh, self.count),
                format!("{}, {} times or more within {secs} s", name.en, self.count),
            )
        } else {
            Text::new(
                format!("{}，{secs} 秒内不足 {} 次", name.zh, self.end_below),
                format!("{}, fewer than {} times within {secs} s", name.en, self.end_below),
            )
        };
        #[expect(clippy::indexing_slicing, reason = "the caller has found it")]
        let whole = &self.tallies[index].whole;
        whole.finding(&self.header, level, what)
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let (chosen, what) = what(reader, world);
    let count = reader.integer("count", 2..=MOST).and_then(|count| usize::try_from(count).ok());
    let end_below = reader.integer_opt("end_below", 1..=MOST).and_then(|count| usize::try_from(count).ok());
    let within = subject::secs(reader, "window_secs", 1..=7 * 24 * 3600);
    let scope = Scope::parse(reader, "per").unwrap_or(Scope::Device);
    let header = Header::parse(reader, id, AlarmClass::Security, Priority::Medium);
    let (what, count, within) = (what?, count?, within?);
    let end_below = end_below.unwrap_or(count);
    if end_below > count {
        reader.problem(
            "end_below",
            (
                format!("结束报警的次数多于引发报警的次数（{count}）"),
                format!("the alarm would end at more than raise it ({count})"),
            ),
            (format!("写 1 到 {count} 的数"), format!("write a number from 1 to {count}")),
        );
    }
    let mut tallies: Vec<Tally> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut most: Vec<usize> = Vec::new();
    let member = |(subject, watched): (Subject, &Watched)| {
        let device = subject.device.clone();
        let whole = scope.of(subject, watched, world);
        let tally = *places.entry(whole.id().to_owned()).or_insert(tallies.len());
        if tally == tallies.len() {
            tallies.push(Tally { whole, times: VecDeque::new(), said: None });
            most.push(0);
        }
        if let (Some(most), What::Changes { point, .. }) = (most.get_mut(tally), &what) {
            *most = most.saturating_add(values_within(within, watched, point));
        }
        (device, Member { tally, state: State::default(), value: None })
    };
    let members = chosen.into_iter().map(member).collect();
    // Events come by themselves.
    let most = most.into_iter().max().filter(|_| matches!(what, What::Changes { .. }));
    let rule =
        Count { header, what, count, end_below, within, members, tallies, timers: Timers::new(), most };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

/// How many values of a point can be read within a span.
fn values_within(span: Duration, watched: &Watched, point: &PointId) -> usize {
    let every = watched.profile.point(point.as_str()).map_or(1, |point| point.every);
    let poll_ms = watched.poll.saturating_mul(u32::from(every)).as_millis().max(1);
    usize::try_from(span.as_millis() / poll_ms).unwrap_or(usize::MAX).saturating_add(1)
}

/// Reads the devices, and `event` or `point`.
fn what<'w>(reader: &Reader<'_>, world: &'w World) -> (Vec<(Subject, &'w Watched)>, Option<What>) {
    if !reader.has("point") {
        let chosen = subject::devices(reader, world);
        let pattern = Pattern::parse(reader);
        pattern.iter().for_each(|pattern| pattern.given_by(reader, &chosen));
        return (chosen, pattern.map(What::Events));
    }
    if reader.has("event") {
        reader.problem(
            "event",
            ("规则在数两样东西", "the rule counts two things"),
            ("事件和测点各写一条规则", "write one rule for the event and one for the point"),
        );
    }
    let points = subject::points(reader, world);
    let what =
        points.first().map(|(_, point)| What::Changes { point: point.id.clone(), name: point.name.clone() });
    let watched =
        |(subject, _): (Subject, _)| world.devices.get(&subject.device).map(|watched| (subject, watched));
    (points.into_iter().filter_map(watched).collect(), what)
}

#[cfg(test)]
mod tests;

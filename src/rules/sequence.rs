//! `sequence`: several things happen together in a place, or one without another.

use super::pattern::{Pattern, State};
use super::scope::{Scope, Whole};
use super::subject::{self, Header, Subject};
use super::timers::Timers;
use super::{Finding, Level, Rule, RuleKind, Watch, Watched, World};
use crate::document::Reader;
use crate::model::few::Few;
use crate::model::{AlarmClass, Body, DeviceId, EventKind, Mono, Now, Observation, Priority, RuleId, Text};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Most steps.
const MOST_STEPS: usize = 8;
/// Most times of one step.
const MOST_TIMES: i64 = 20;
/// A reader's message may come so much later than that of its door, unless told otherwise.
const DEFAULT_WAIT: Duration = Duration::from_secs(3);

pub(super) const KIND: RuleKind = RuleKind {
    name: "sequence",
    doc: "Events of several devices in one place come together: all steps within within_secs, each so many times, in \
          their order or in any. A step with absent = true must not have happened: not within within_secs before the \
          last of the others, nor in the wait_secs after it. Then it begins anew. A step may choose its devices as a \
          rule does; without that it is about all that give such events. What a device delivers later than within_secs \
          does not count, and neither does what a broker retained.",
    example: r#"same = "building"              # device, place, room, floor, building or campus: where together is
within_secs = 30               # 1 to a day
order = "strict"               # strict or free; strict unless told otherwise
wait_secs = 3                  # for what must be absent, 0 to a day; 3 unless told otherwise
alarm_class = "intrusion"      # intrusion unless told otherwise
priority = "high"              # high unless told otherwise

[[rule.step]]
event = "credential"
result = "denied"              # of credentials: granted or denied; code = "…" is the device's own code
times = 3                      # 1 to 20; 1 unless told otherwise

[[rule.step]]
event = "door_forced"
devices = ["door1"]            # or class and/or place

[[rule.step]]
event = "credential"
result = "granted"
absent = true                  # false unless told otherwise
"#,
    parse,
};

/// One of the things that happen, or must not.
#[derive(Debug)]
struct Step {
    pattern: Pattern,
    times: usize,
    absent: bool,
}

/// What a device does in the rule.
#[derive(Debug)]
struct Member {
    group: usize,
    /// The steps it can take, each with the state of the device's events of this kind.
    steps: Vec<(usize, State)>,
}

/// The devices of one place, and how far they have come.
#[derive(Debug)]
struct Group {
    whole: Whole,
    /// In their order: when the latest run began that has come so far, for every time of every step.
    runs: Vec<Option<Mono>>,
    /// In any order: when each step last happened, as many times as it must.
    times: Vec<VecDeque<Mono>>,
    /// When something that must be absent last happened.
    spoilt: Option<Mono>,
}

#[derive(Debug)]
struct Sequence {
    header: Header,
    steps: Vec<Step>,
    strict: bool,
    /// In their order: the steps that must come, each as often as it must.
    path: Vec<usize>,
    within: Duration,
    /// How long it waits for what must be absent; nothing must be if `None`.
    wait: Option<Duration>,
    members: Few<DeviceId, Member>,
    groups: Vec<Group>,
    /// Groups in which all has come, and nothing that must be absent yet.
    waiting: Timers<usize>,
}

impl Rule for Sequence {
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
        self.groups.iter().any(|group| group.whole.id() == subject)
    }

    fn start(&mut self, _: Now) {
        self.waiting.clear();
        for (_, member) in self.members.iter_mut() {
            member.steps.iter_mut().for_each(|(_, state)| *state = State::default());
        }
        for group in &mut self.groups {
            group.begin_anew();
            group.spoilt = None;
        }
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        let Body::Event(event) = &seen.body else { return };
        let Some(member) = self.members.get_mut(&seen.device) else { return };
        let mut taken = Vec::new();
        for (step, state) in &mut member.steps {
            let fits = self.steps.get(*step).is_some_and(|step| step.pattern.fits(event));
            if fits && state.happens(event.phase) {
                taken.push(*step);
            }
        }
        if taken.is_empty() || seen.retained || seen.stamp.late() > self.within {
            return;
        }
        let index = member.group;
        let Some(group) = self.groups.get_mut(index) else { return };
        if taken.iter().any(|step| self.steps.get(*step).is_some_and(|step| step.absent)) {
            group.spoilt = Some(now.mono);
            self.waiting.set(&index, None);
        }
        let recent = |at: Mono| now.mono.since(at) <= self.within;
        let complete = if self.strict {
            group.next(now, &taken, &self.path)
        } else {
            group.any(now, &taken, &self.steps)
        };
        if !complete.is_some_and(recent) {
            return;
        }
        group.begin_anew();
        match self.wait {
            Some(_) if group.spoilt.is_some_and(recent) => {}
            Some(wait) if wait > Duration::ZERO => {
                if !self.waiting.is_set(&index) {
                    self.waiting.set(&index, Some(now.mono.plus(wait)));
                }
            }
            _ => out.push(self.finding(index)),
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.waiting.next()
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        for group in self.waiting.take_due(now.mono) {
            out.push(self.finding(group));
        }
    }
}

impl Group {
    fn new(whole: Whole, steps: &[Step]) -> Self {
        let (runs, times) = (vec![None; path(steps).len()], steps.iter().map(|_| VecDeque::new()).collect());
        Self { whole, runs, times, spoilt: None }
    }

    fn begin_anew(&mut self) {
        self.runs.iter_mut().for_each(|run| *run = None);
        self.times.iter_mut().for_each(VecDeque::clear);
    }

    /// Takes an event that is one of these steps; when the latest run through the whole path began that it completes.
    /// A run that began later can always take the place of one that began earlier, so one of each length is enough.
    fn next(&mut self, now: Now, taken: &[usize], path: &[usize]) -> Option<Mono> {
        // Backwards, because one event goes one step.
        for at in (0..path.len()).rev().filter(|at| path.get(*at).is_some_and(|step| taken.contains(step))) {
            let began = match at.checked_sub(1) {
                None => Some(now.mono),
                Some(before) => self.runs.get(before).copied().flatten(),
            };
            if let Some(run) = self.runs.get_mut(at) {
                *run = began.max(*run);
            }
        }
        self.runs.last().copied().flatten()
    }

    /// As [`Group::next`] in any order: the earliest of the times that all steps need.
    fn any(&mut self, now: Now, taken: &[usize], steps: &[Step]) -> Option<Mono> {
        let mut earliest = Some(now.mono);
        for (index, (step, times)) in steps.iter().zip(&mut self.times).enumerate() {
            if step.absent {
                continue;
            }
            if taken.contains(&index) {
                times.push_back(now.mono);
            }
            if times.len() > step.times {
                times.pop_front();
            }
            let first = times.front().filter(|_| times.len() == step.times).copied();
            earliest = earliest.zip(first).map(|(earliest, first)| earliest.min(first));
        }
        earliest
    }
}

impl Sequence {
    fn finding(&self, group: usize) -> Finding {
        let name = |step: &Step| {
            let Text { zh, en } = step.pattern.name();
            if step.times == 1 {
                Text { zh, en }
            } else {
                Text::new(format!("{zh} {} 次", step.times), format!("{en} {} times", step.times))
            }
        };
        let join = |absent: bool, zh: &str, en: &str| {
            let names: Vec<Text> = self.steps.iter().filter(|step| step.absent == absent).map(name).collect();
            let one = |each: fn(&Text) -> &str, between: &str| {
                names.iter().map(each).collect::<Vec<_>>().join(between)
            };
            Text::new(one(|name| &name.zh, zh), one(|name| &name.en, en))
        };
        let (come, missing) =
            (join(false, "、", if self.strict { ", then " } else { " and " }), join(true, "、", " or "));
        let secs = self.within.as_secs();
        let mut what =
            Text::new(format!("{secs} 秒内：{}", come.zh), format!("within {secs} s: {}", come.en));
        if self.wait.is_some() {
            what = Text::new(
                format!("{}，且没有{}", what.zh, missing.zh),
                format!("{}, without {}", what.en, missing.en),
            );
        }
        #[expect(clippy::indexing_slicing, reason = "groups are made once and named by their place")]
        let whole = &self.groups[group].whole;
        whole.finding(&self.header, Level::Happened, what)
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let scope = Scope::parse(reader, "same");
    if !reader.has("same") {
        reader.problem(
            "same",
            ("没有写明各步在哪里算一起", "where do the steps belong together?"),
            (
                "加上 `same = \"place\"`，或 device、room、floor、building、campus",
                "add `same = \"place\"`, or device, room, floor, building or campus",
            ),
        );
    }
    let within = subject::secs(reader, "within_secs", 1..=24 * 3600);
    let strict = reader.word_opt("order", &[("strict", true), ("free", false)]).unwrap_or(true);
    let wait = subject::secs_opt(reader, "wait_secs", 0..=24 * 3600);
    let header = Header::parse(reader, id, AlarmClass::Intrusion, Priority::High);
    let (mut steps, mut chosen) = (Vec::new(), Vec::new());
    for table in reader.tables("step") {
        let (step, devices) = step(&table, world);
        table.finish();
        steps.extend(step);
        chosen.push(devices);
    }
    let wanted = path(&steps).len();
    let absent = steps.iter().any(|step| step.absent);
    if chosen.len() > MOST_STEPS || (steps.len() == chosen.len() && (wanted == 0 || (wanted == 1 && !absent)))
    {
        reader.problem(
            "step",
            (format!("{} 步构不成先后", chosen.len()), format!("{} steps make no sequence", chosen.len())),
            (
                format!("写 2 到 {MOST_STEPS} 个 [[rule.step]]，各有一个事件，不能都是 absent"),
                format!("write 2 to {MOST_STEPS} of them: [[rule.step]], each with an event; not all absent"),
            ),
        );
    }
    if wait.is_some() && !absent {
        reader.problem(
            "wait_secs",
            ("没有要等的步骤", "there is nothing to wait for"),
            ("删去它，或给某一步写 absent = true", "leave it out, or give a step absent = true"),
        );
    }
    if reader.problems().len() > before {
        return None;
    }
    let wait = absent.then(|| wait.unwrap_or(DEFAULT_WAIT));
    let (members, groups) = grouped(scope?, &steps, chosen, world);
    if groups.is_empty() {
        reader.problem(
            "same",
            (
                "没有哪个地点具备每一步的设备，永远不会发生",
                "no place has devices for every step, so it can never happen",
            ),
            ("选大一些的范围，或别的设备", "choose a larger place, or other devices"),
        );
        return None;
    }
    let (path, waiting) = (path(&steps), Timers::new());
    Some(Box::new(Sequence { header, steps, strict, path, within: within?, wait, members, groups, waiting }))
}

/// The steps that must come, each as often as it must.
fn path(steps: &[Step]) -> Vec<usize> {
    let come = steps.iter().enumerate().filter(|(_, step)| !step.absent);
    come.flat_map(|(index, step)| std::iter::repeat_n(index, step.times)).collect()
}

/// Reads a step, and which devices can take it.
fn step<'w>(reader: &Reader<'_>, world: &'w World) -> (Option<Step>, Vec<(Subject, &'w Watched)>) {
    let pattern = Pattern::parse(reader);
    let times = reader.integer_opt("times", 1..=MOST_TIMES).and_then(|times| usize::try_from(times).ok());
    let absent = reader.flag_opt("absent").unwrap_or(false);
    if absent && times.is_some() {
        reader.problem(
            "times",
            ("没有发生就是一次也没有", "what must be absent must be so altogether"),
            ("删去 `times`", "leave `times` out"),
        );
    }
    let chosen = if ["devices", "class", "place"].iter().any(|key| reader.has(key)) {
        let chosen = subject::devices(reader, world);
        pattern.iter().for_each(|pattern| pattern.given_by(reader, &chosen));
        chosen
    } else {
        pattern.as_ref().map_or_else(Vec::new, |pattern| giving(reader, pattern.kind, world))
    };
    (pattern.map(|pattern| Step { pattern, times: times.unwrap_or(1), absent }), chosen)
}

/// All devices that give such events.
fn giving<'w>(reader: &Reader<'_>, kind: EventKind, world: &'w World) -> Vec<(Subject, &'w Watched)> {
    let gives = |(_, watched): &(&DeviceId, &Watched)| watched.profile.events.contains(&kind);
    let all = world.devices.iter().filter(gives);
    let chosen: Vec<_> = all.map(|(id, watched)| (Subject::new(id, watched, world), watched)).collect();
    if chosen.is_empty() {
        reader.problem(
            "event",
            (format!("没有设备给出 '{kind}' 事件"), format!("no device gives '{kind}' events")),
            ("选别的事件，或删去这一步", "choose another event, or leave the step out"),
        );
    }
    chosen
}

/// The places that have devices for every step that must come, and what each device does there.
fn grouped(
    scope: Scope,
    steps: &[Step],
    chosen: Vec<Vec<(Subject, &Watched)>>,
    world: &World,
) -> (Few<DeviceId, Member>, Vec<Group>) {
    let mut wholes: BTreeMap<String, Whole> = BTreeMap::new();
    let mut takers: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    let mut devices: BTreeMap<DeviceId, (String, Vec<(usize, State)>)> = BTreeMap::new();
    for (step, chosen) in chosen.into_iter().enumerate() {
        for (subject, watched) in chosen {
            let device = subject.device.clone();
            let whole = scope.of(subject, watched, world);
            let id = whole.id().to_owned();
            wholes.entry(id.clone()).or_insert(whole);
            takers.entry(id.clone()).or_default().insert(step);
            devices.entry(device).or_insert_with(|| (id, Vec::new())).1.push((step, State::default()));
        }
    }
    let complete = |id: &String| {
        let taken = takers.get(id);
        steps
            .iter()
            .enumerate()
            .all(|(index, step)| step.absent || taken.is_some_and(|taken| taken.contains(&index)))
    };
    let whole: Vec<(String, Whole)> = wholes.into_iter().filter(|(id, _)| complete(id)).collect();
    let group = |id: &String| whole.iter().position(|(own, _)| own == id);
    let members = devices
        .into_iter()
        .filter_map(|(device, (id, steps))| Some((device, Member { group: group(&id)?, steps })))
        .collect();
    (members, whole.into_iter().map(|(_, whole)| Group::new(whole, steps)).collect())
}

#[cfg(test)]
mod tests;

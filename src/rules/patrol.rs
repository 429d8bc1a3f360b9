//! `patrol`: the checkpoints of a guard's round were not all passed in time, or not in their order.

use super::subject::{self, Header};
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::calendar::{Calendar, Period};
use crate::document::Reader;
use crate::model::{
    AccessResult, AlarmClass, AlarmKey, Body, DeviceId, EventKind, Mono, Now, Observation, Pass, PlaceId,
    Priority, Role, RuleId, Service, Text, Wall,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

const DEFAULT_GRACE: Duration = Duration::from_secs(300);
/// The calendar is asked this often: the wall clock may be set.
const LOOK: Duration = Duration::from_secs(60);
/// The wall clock was set when it and the other have moved apart by more than this, milliseconds.
const STEP_MS: i64 = 60_000;
/// Most checkpoints of a route.
const MAX_CHECKPOINTS: usize = 200;
/// Most rounds of a day.
const MAX_ROUNDS: usize = 48;
/// Visits remembered; the oldest are forgotten.
const MAX_VISITS: usize = 4096;

pub(super) const KIND: RuleKind = RuleKind {
    name: "patrol",
    doc: "A round of guards: every checkpoint must be passed within each round, in their order or in any, by the \
          readers' clocks where these can be believed. What is missing is told when the round and its grace are over, \
          with the checkpoint's name; a round of which nothing was done is one alarm. Credentials of the role guard, \
          or presented for patrol, count; with anybody = true every credential. A round that ended while the gateway \
          was not running is not judged.",
    example: r#"checkpoints = ["card1", "r101", "card2"]   # devices, or places with a reader in them, in their order
rounds = ["19:00-20:00", "23:30-00:30"]    # every day, local time, also past midnight
order = "strict"               # strict or free; free unless told otherwise
grace_secs = 300               # so late may the messages come; 300 unless told otherwise
anybody = false                # false unless told otherwise
alarm_class = "security"       # security unless told otherwise
priority = "medium"            # medium unless told otherwise
"#,
    parse,
};

#[derive(Debug)]
struct Checkpoint {
    /// As written.
    id: String,
    name: Text,
    place: Option<PlaceId>,
}

#[derive(Debug)]
struct Patrol {
    header: Header,
    checkpoints: Vec<Checkpoint>,
    /// The checkpoints of each device.
    at: BTreeMap<DeviceId, Vec<usize>>,
    rounds: Vec<Period>,
    strict: bool,
    grace_ms: i64,
    anybody: bool,
    calendar: Arc<Calendar>,
    /// Checkpoint and time, as they came.
    visits: VecDeque<(usize, Wall)>,
    /// Up to when rounds have been judged, and when that was.
    judged: Option<(Wall, Mono)>,
    look: Option<Mono>,
}

impl Rule for Patrol {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.at.keys().cloned().collect())
    }

    fn start(&mut self, now: Now) {
        self.visits.clear();
        self.judged = now.wall.plausible().then_some((now.wall, now.mono));
        self.arm(now);
    }

    fn remember(&mut self, _: Now, seen: &Observation) {
        self.visit(seen);
    }

    fn observe(&mut self, _: Now, seen: &Observation, _: &mut Vec<Finding>) {
        self.visit(seen);
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.look
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        if self.look.is_none_or(|at| at > now.mono) {
            return;
        }
        if !now.wall.plausible() {
            self.judged = None;
        } else if let Some((from, mono)) = self.judged {
            let passed = i64::try_from(now.mono.since(mono).as_millis()).unwrap_or(i64::MAX);
            let set = now.wall.since(from).saturating_sub(passed).saturating_abs() > STEP_MS;
            // Nobody walked in hours that the clock has left out, and those it goes through again were judged.
            if !set {
                self.judge(from, now.wall, out);
            }
            self.judged = Some((now.wall, now.mono));
        } else {
            self.judged = Some((now.wall, now.mono));
        }
        self.arm(now);
    }
}

impl Patrol {
    fn visit(&mut self, seen: &Observation) {
        let Some(checkpoints) = self.at.get(&seen.device) else { return };
        let Body::Event(event) = &seen.body else { return };
        let Some(pass) = Pass::of(seen).filter(|_| event.kind == EventKind::Credential) else { return };
        let credential = event.credential.as_ref();
        let on_patrol = credential.is_some_and(|c| c.service == Service::Patrol);
        let guard = pass.known.as_ref().is_some_and(|who| who.role == Role::Guard);
        // A checkpoint's reader opens no door: a known card that it refuses was there all the same.
        let nobody = credential.is_some_and(|c| c.result == AccessResult::UnknownCredential);
        if nobody || !(self.anybody || on_patrol || guard) {
            return;
        }
        for checkpoint in checkpoints {
            self.visits.push_back((*checkpoint, pass.when.at));
        }
        while self.visits.len() > MAX_VISITS {
            self.visits.pop_front();
        }
    }

    /// Judges the rounds whose grace was over after `from` and up to `to`.
    fn judge(&mut self, from: Wall, to: Wall, out: &mut Vec<Finding>) {
        for (turn, start, end) in self.calendar.daily(&self.rounds, to) {
            let over = end.plus_ms(self.grace_ms);
            if over > from && over <= to {
                self.judge_round(turn, start, end, out);
            }
        }
        let kept = to.plus_ms(-2 * 24 * 3600 * 1000);
        self.visits.retain(|(_, at)| *at >= kept);
    }

    fn judge_round(&self, turn: usize, start: Wall, end: Wall, out: &mut Vec<Finding>) {
        let round = self.rounds.get(turn).map(ToString::to_string).unwrap_or_default();
        let within = |at: Wall| start <= at && at <= end;
        let first = |checkpoint: usize| {
            self.visits.iter().filter(|(c, at)| *c == checkpoint && within(*at)).map(|(_, at)| *at).min()
        };
        let times: Vec<Option<Wall>> = (0..self.checkpoints.len()).map(first).collect();
        if times.iter().all(Option::is_none) {
            if let Some(checkpoint) = self.checkpoints.first() {
                let zh = format!("巡更 {round} 未进行，第一个巡更点：{}", checkpoint.name.zh);
                let en = format!("patrol {round} was not walked, beginning with {}", checkpoint.name.en);
                out.push(self.finding(self.header.rule.as_str(), checkpoint, Text::new(zh, en)));
            }
            return;
        }
        let mut latest: Option<Wall> = None;
        for (checkpoint, time) in self.checkpoints.iter().zip(times) {
            let (zh, en) = match time {
                None => ("漏巡", "missed"),
                Some(time) if self.strict && latest.is_some_and(|latest| time < latest) => {
                    ("顺序错误", "out of order")
                }
                Some(time) => {
                    latest = latest.max(Some(time));
                    continue;
                }
            };
            let what = Text::new(
                format!("巡更 {round} {zh}：{}", checkpoint.name.zh),
                format!("patrol {round}: {en}: {}", checkpoint.name.en),
            );
            out.push(self.finding(&checkpoint.id, checkpoint, what));
        }
    }

    fn finding(&self, subject: &str, checkpoint: &Checkpoint, what: Text) -> Finding {
        Finding {
            key: AlarmKey { rule: self.header.rule.clone(), subject: subject.to_owned() },
            level: Level::Happened,
            class: self.header.class,
            priority: self.header.priority,
            device: None,
            place: checkpoint.place.clone(),
            what,
        }
    }

    /// Looks again when the next round is over, and at least once a minute.
    fn arm(&mut self, now: Now) {
        let overs = self.calendar.daily(&self.rounds, now.wall);
        let overs = overs.into_iter().map(|(_, _, end)| end.plus_ms(self.grace_ms).since(now.wall));
        let next = overs.filter(|ms| *ms > 0).min().and_then(|ms| u64::try_from(ms).ok());
        let pause = next.map_or(LOOK, |ms| Duration::from_millis(ms).min(LOOK));
        self.look = Some(now.mono.plus(pause));
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let (checkpoints, at) = checkpoints(reader, world);
    let mut rounds = Vec::new();
    let written = reader.texts("rounds");
    if written.is_empty() || written.len() > MAX_ROUNDS {
        reader.problem(
            "rounds",
            (format!("写了 {} 轮", written.len()), format!("there are {} rounds", written.len())),
            (
                format!("写 1 到 {MAX_ROUNDS} 轮：rounds = [\"22:00-22:40\"]"),
                format!("write 1 to {MAX_ROUNDS} of them: rounds = [\"22:00-22:40\"]"),
            ),
        );
    }
    for (text, spot) in written {
        match Period::over_night(&text) {
            Ok(round) => rounds.push(round),
            Err((zh, en)) => reader.problems().at(
                &spot,
                (format!("\"{text}\" {zh}"), format!("\"{text}\" {en}")),
                (
                    "按 24 小时制写起止时间：\"22:00-22:40\"",
                    "write from-to in 24-hour local time: \"22:00-22:40\"",
                ),
            ),
        }
    }
    let strict = reader.word_opt("order", &[("strict", true), ("free", false)]).unwrap_or(false);
    let grace = subject::secs_opt(reader, "grace_secs", 0..=6 * 3600).unwrap_or(DEFAULT_GRACE);
    let anybody = reader.flag_opt("anybody").unwrap_or(false);
    let header = Header::parse(reader, id, AlarmClass::Security, Priority::Medium);
    let rule = Patrol {
        header,
        checkpoints,
        at,
        rounds,
        strict,
        grace_ms: i64::try_from(grace.as_millis()).unwrap_or(i64::MAX),
        anybody,
        calendar: Arc::clone(&world.calendar),
        visits: VecDeque::new(),
        judged: None,
        look: None,
    };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

/// Reads `checkpoints`: each with its name, and which devices stand for it.
fn checkpoints(reader: &Reader<'_>, world: &World) -> (Vec<Checkpoint>, BTreeMap<DeviceId, Vec<usize>>) {
    let mut checkpoints = Vec::new();
    let mut at: BTreeMap<DeviceId, Vec<usize>> = BTreeMap::new();
    let written = reader.texts("checkpoints");
    if written.is_empty() || written.len() > MAX_CHECKPOINTS {
        reader.problem(
            "checkpoints",
            (
                format!("路线上有 {} 个巡更点", written.len()),
                format!("this route has {} checkpoints", written.len()),
            ),
            (
                format!("写 1 到 {MAX_CHECKPOINTS} 个设备或地点的编号"),
                format!("write 1 to {MAX_CHECKPOINTS} ids of devices or places"),
            ),
        );
    }
    let reads = |device: &DeviceId| {
        let watched = world.devices.get(device);
        watched.is_some_and(|watched| watched.profile.events.contains(&EventKind::Credential))
    };
    for (text, spot) in written {
        let problem = |message: (String, String), advice: Text| reader.problems().at(&spot, message, advice);
        let (name, place, devices): (Text, Option<PlaceId>, Vec<DeviceId>) =
            if let Some((id, watched)) = world.devices.get_key_value(text.as_str()) {
                let path = world.places.get(&watched.place).map(|place| place.path.clone());
                let path = path.unwrap_or_else(|| Text::same(""));
                let name = Text::new(
                    format!("{} {}", path.zh, watched.name).trim(),
                    format!("{} {}", path.en, watched.name).trim(),
                );
                (name, Some(watched.place.clone()), Vec::from_iter(reads(id).then(|| id.clone())))
            } else if let Some(place) = world.places.get(text.as_str()) {
                let here = |(_, watched): &(&DeviceId, &super::Watched)| {
                    world.up(&watched.place).any(|around| around.id == place.id)
                };
                let devices = world.devices.iter().filter(here).map(|(id, _)| id.clone()).filter(reads);
                (place.path.clone(), Some(place.id.clone()), devices.collect())
            } else {
                let ids = world.devices.keys().map(ToString::to_string);
                let all = ids.chain(world.places.keys().map(ToString::to_string));
                problem(
                    (
                        format!("没有编号为 '{text}' 的设备或地点"),
                        format!("no device or place has the id '{text}'"),
                    ),
                    subject::known(("设备和地点", "devices and places"), all),
                );
                continue;
            };
        if devices.is_empty() {
            problem(
                (format!("'{text}' 没有凭证读取器"), format!("no reader of credentials is at '{text}'")),
                ("写一个读卡器，或一个有读卡器的地点", "name a reader, or a place with a reader in it")
                    .into(),
            );
        }
        for device in devices {
            at.entry(device).or_default().push(checkpoints.len());
        }
        checkpoints.push(Checkpoint { id: text, name, place });
    }
    (checkpoints, at)
}

#[cfg(test)]
mod tests;

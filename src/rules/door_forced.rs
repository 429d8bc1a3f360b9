//! `door_forced`: a door opens and nobody was let through at its readers.

use super::subject::{self, Header, Subject};
use super::timers::Timers;
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::document::Reader;
use crate::model::{
    AlarmClass, Body, DeviceId, EventKind, Mono, Now, Observation, Pass, Phase, Priority, RuleId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const DEFAULT_WITHIN: Duration = Duration::from_secs(10);
const DEFAULT_WAIT: Duration = Duration::from_secs(3);

pub(super) const KIND: RuleKind = RuleKind {
    name: "door_forced",
    doc: "A door opens, or a device says that it was forced, and no credential was let through at its readers shortly \
          before; the reader's message may also come a little later than the door's. One rule per door or group of \
          doors with the same readers. A door that also opens with a button from inside needs that button's events \
          among the readers, or this rule is not for it.",
    example: r#"devices = ["door1"]            # the contacts, or devices that give door_forced
readers = ["card1", "card2"]
within_secs = 10               # 10 unless told otherwise
wait_secs = 3                  # 3 unless told otherwise
alarm_class = "intrusion"      # intrusion unless told otherwise
priority = "high"              # high unless told otherwise
"#,
    parse,
};

#[derive(Debug)]
struct Watching {
    subject: Subject,
    open: bool,
}

#[derive(Debug)]
struct DoorForced {
    header: Header,
    within: Duration,
    wait: Duration,
    doors: BTreeMap<DeviceId, Watching>,
    readers: BTreeSet<DeviceId>,
    /// When somebody was last let through.
    let_through: Option<Mono>,
    timers: Timers<DeviceId>,
}

impl Rule for DoorForced {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        let all: BTreeSet<_> = self.doors.keys().chain(&self.readers).cloned().collect();
        Watch::Devices(all.into_iter().collect())
    }

    fn start(&mut self, _: Now) {
        self.timers.clear();
        self.let_through = None;
        self.doors.values_mut().for_each(|door| door.open = false);
    }

    fn observe(&mut self, now: Now, seen: &Observation, _: &mut Vec<Finding>) {
        let Body::Event(event) = &seen.body else { return };
        if self.readers.contains(&seen.device) && self.lets_through(seen, event.kind) {
            self.let_through = Some(now.mono);
            self.timers.clear();
        }
        let Some(door) = self.doors.get_mut(&seen.device) else { return };
        let opened = match (event.kind, event.phase) {
            // A contact that tells its state again and again has opened once.
            (EventKind::Contact, Phase::Start) => !std::mem::replace(&mut door.open, true),
            (EventKind::Contact, Phase::End) => {
                door.open = false;
                false
            }
            (EventKind::DoorForced, Phase::Start | Phase::Moment) => true,
            _ => false,
        };
        let expected = self.let_through.is_some_and(|at| now.mono.since(at) <= self.within);
        if opened && !expected && !seen.retained && !self.timers.is_set(&seen.device) {
            self.timers.set(&seen.device, Some(now.mono.plus(self.wait)));
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.timers.next()
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        for door in self.timers.take_due(now.mono) {
            let Some(Watching { subject, .. }) = self.doors.get(&door) else { continue };
            let secs = self.within.as_secs();
            let what = subject.says(
                format!("门打开，{secs} 秒内没有人刷卡通过"),
                format!("opened, and nobody was let through within {secs} s"),
            );
            out.push(self.header.finding(subject, Level::Happened, what));
        }
    }
}

impl DoorForced {
    /// Whether somebody is let through now: by a credential, or by a button at the door.
    fn lets_through(&self, seen: &Observation, kind: EventKind) -> bool {
        let late = seen.stamp.late() > self.within;
        let button = kind == EventKind::Other;
        !seen.retained && !late && (button || Pass::of(seen).is_some_and(|pass| pass.moves))
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let chosen = subject::devices(reader, world);
    for (_, watched) in &chosen {
        let opens = |kind: &EventKind| matches!(kind, EventKind::Contact | EventKind::DoorForced);
        if !watched.profile.events.iter().any(opens) {
            reader.problem(
                "devices",
                (
                    format!("模板 '{}' 没有 'contact' 和 'door_forced' 事件", watched.profile.id),
                    format!(
                        "the profile '{}' gives no 'contact' or 'door_forced' events",
                        watched.profile.id
                    ),
                ),
                (
                    "选各门的门磁；读卡器写在 `readers` 里",
                    "choose the contacts of the doors; their readers go into `readers`",
                ),
            );
        }
    }
    let written = reader.texts("readers");
    if written.is_empty() {
        reader.problem(
            "readers",
            ("这扇门没有读卡器", "this door has no readers"),
            ("加上 readers = [\"…\"]，写设备编号", "add readers = [\"…\"] with the ids of devices"),
        );
    }
    let readers = subject::named(reader, written, world).into_iter().map(|(id, _)| id.clone()).collect();
    let within = subject::secs_opt(reader, "within_secs", 1..=300).unwrap_or(DEFAULT_WITHIN);
    let wait = subject::secs_opt(reader, "wait_secs", 0..=60).unwrap_or(DEFAULT_WAIT);
    let header = Header::parse(reader, id, AlarmClass::Intrusion, Priority::High);
    let watch = |subject: Subject| (subject.device.clone(), Watching { subject, open: false });
    let doors = chosen.into_iter().map(|(subject, _)| watch(subject)).collect();
    let rule = DoorForced { header, within, wait, doors, readers, let_through: None, timers: Timers::new() };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

#[cfg(test)]
mod tests;

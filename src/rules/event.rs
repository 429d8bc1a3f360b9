//! `event`: a device says that something happened, or that a state began or ended.

use super::hours::{self, Hours};
use super::subject::{self, Header, Subject};
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::calendar::Calendar;
use crate::document::Reader;
use crate::model::{
    AlarmClass, Body, DeviceId, EventKind, Mono, Now, Observation, Phase, Priority, RuleId, Text,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(super) const KIND: RuleKind = RuleKind {
    name: "event",
    doc: "A kind of event raises an alarm: a state from its beginning to its end, a moment once. With \
          only_outside_hours it counts only outside teaching time (section `[calendar]`), and always while the \
          gateway's clock is not set. Help, duress, fire and smoke need no rule: they always raise one.",
    example: r#"class = "camera"               # which devices; see "Which devices"
event = "motion"               # a kind of event that the devices' profiles give
only_outside_hours = true      # false unless told otherwise
alarm_class = "intrusion"      # chosen by the kind of event unless told otherwise
priority = "high"              # chosen by the kind of event unless told otherwise
"#,
    parse,
};

/// Kinds that always raise an alarm.
const ALWAYS: [EventKind; 4] = [EventKind::Help, EventKind::Duress, EventKind::Fire, EventKind::Smoke];

#[derive(Debug)]
struct Watching {
    subject: Subject,
    /// Whether the device's state is on, once it has said so.
    on: Option<bool>,
    /// What was last said; nothing since the start.
    said: Option<bool>,
}

#[derive(Debug)]
struct OnEvent {
    header: Header,
    kind: EventKind,
    watching: BTreeMap<DeviceId, Watching>,
    /// `None`: at all hours.
    only_outside: Option<(Hours, Arc<Calendar>)>,
}

impl Rule for OnEvent {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.watching.keys().cloned().collect())
    }

    fn start(&mut self, now: Now) {
        if let Some((hours, _)) = &mut self.only_outside {
            hours.start(now);
        }
        for watching in self.watching.values_mut() {
            watching.on = None;
            watching.said = None;
        }
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        self.look(now, out);
        let Body::Event(event) = &seen.body else { return };
        if event.kind != self.kind {
            return;
        }
        let counts = self.counts_now();
        let Some(watching) = self.watching.get_mut(&seen.device) else { return };
        if event.phase != Phase::Moment {
            watching.on = Some(event.phase == Phase::Start);
            out.extend(watching.judge(counts, &self.header, self.kind));
            return;
        }
        // A moment that arrives late is judged by the hour at which it happened.
        let happened = seen.stamp.effective();
        let counted = match &self.only_outside {
            Some((_, calendar)) => !happened.plausible() || !calendar.is_teaching_time(happened),
            None => true,
        };
        if counted && !seen.retained {
            let what = watching.subject.says(words(self.kind).zh, words(self.kind).en);
            out.push(self.header.finding(&watching.subject, Level::Happened, what));
        }
    }

    fn never(&self) -> Option<Text> {
        self.only_outside.as_ref().and_then(|(hours, _)| hours.never(false, Duration::from_millis(1)))
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.only_outside.as_ref().and_then(|(hours, _)| hours.deadline())
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        if self.next_deadline().is_some_and(|at| at <= now.mono) {
            self.look(now, out);
        }
    }
}

impl OnEvent {
    fn counts_now(&self) -> bool {
        self.only_outside.as_ref().is_none_or(|(hours, _)| hours.outside().unwrap_or(true))
    }

    /// Asks the calendar, and judges every device again when its answer has changed.
    fn look(&mut self, now: Now, out: &mut Vec<Finding>) {
        let changed = self.only_outside.as_mut().is_some_and(|(hours, _)| hours.look(now));
        let counts = self.counts_now();
        if changed {
            for watching in self.watching.values_mut() {
                out.extend(watching.judge(counts, &self.header, self.kind));
            }
        }
    }
}

impl Watching {
    fn judge(&mut self, counts: bool, header: &Header, kind: EventKind) -> Option<Finding> {
        let holds = if counts { self.on? } else { false };
        if self.said == Some(holds) {
            return None;
        }
        self.said = Some(holds);
        let Text { zh, en } = words(kind);
        if holds {
            Some(header.finding(&self.subject, Level::Holds, self.subject.says(zh, en)))
        } else {
            let what = self.subject.says(format!("{zh}已解除"), format!("{en} ended"));
            Some(header.finding(&self.subject, Level::Ended, what))
        }
    }
}

/// What a kind of event is called.
pub(super) fn words(kind: EventKind) -> Text {
    match kind {
        EventKind::Credential => Text::new("刷卡或刷脸", "credential presented"),
        EventKind::Contact => Text::new("门窗打开", "opened"),
        EventKind::Help => Text::new("紧急求助", "call for help"),
        EventKind::Fire => Text::new("火警", "fire"),
        EventKind::Intrusion => Text::new("入侵报警", "intrusion"),
        EventKind::Motion => Text::new("画面有移动", "motion"),
        EventKind::Tamper => Text::new("设备被拆动或遮挡", "tampered with or covered"),
        EventKind::DoorForced => Text::new("门被强行打开", "door forced"),
        EventKind::DoorHeld => Text::new("门超时未关", "door held open"),
        EventKind::WaterLeak => Text::new("漏水", "water leak"),
        EventKind::Gas => Text::new("燃气泄漏", "gas"),
        EventKind::VideoLoss => Text::new("视频丢失", "video lost"),
        EventKind::Fault => Text::new("设备故障", "device fault"),
        EventKind::CountedAnew => {
            Text::new("读数重新开始：换表或清零", "counts from another value: meter exchanged or set back")
        }
        EventKind::BatteryLow => Text::new("电池电量低", "battery low"),
        EventKind::Duress => Text::new("胁迫报警", "duress"),
        EventKind::Smoke => Text::new("烟雾报警", "smoke"),
        EventKind::Supervision => Text::new("设备失联", "no longer heard by its panel"),
        EventKind::PowerFault => Text::new("电源故障", "power fault"),
        EventKind::Bypass => Text::new("屏蔽或旁路", "bypassed"),
        EventKind::Armed => Text::new("布防", "armed"),
        EventKind::VehiclePass => Text::new("车辆通行", "vehicle passed"),
        EventKind::Presence => Text::new("有人在场", "somebody is there"),
        EventKind::Other => Text::new("其他事件", "other event"),
    }
}

/// The class and priority of a kind of event unless told otherwise.
fn ranked(kind: EventKind) -> (AlarmClass, Priority) {
    match kind {
        EventKind::Help | EventKind::Duress => (AlarmClass::Help, Priority::Critical),
        EventKind::Fire | EventKind::Smoke => (AlarmClass::Fire, Priority::Critical),
        EventKind::Gas => (AlarmClass::Environment, Priority::Critical),
        EventKind::Intrusion => (AlarmClass::Intrusion, Priority::Critical),
        EventKind::DoorForced => (AlarmClass::Intrusion, Priority::High),
        EventKind::Tamper => (AlarmClass::Security, Priority::High),
        EventKind::WaterLeak => (AlarmClass::Environment, Priority::High),
        EventKind::Credential
        | EventKind::Contact
        | EventKind::Motion
        | EventKind::DoorHeld
        | EventKind::VideoLoss
        | EventKind::Bypass => (AlarmClass::Security, Priority::Medium),
        EventKind::Fault | EventKind::Other | EventKind::Supervision | EventKind::PowerFault => {
            (AlarmClass::Equipment, Priority::Medium)
        }
        EventKind::Armed | EventKind::VehiclePass | EventKind::Presence => {
            (AlarmClass::Security, Priority::Low)
        }
        EventKind::CountedAnew | EventKind::BatteryLow => (AlarmClass::Equipment, Priority::Low),
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let chosen = subject::devices(reader, world);
    let written: Vec<_> = EventKind::ALL
        .iter()
        .filter(|kind| !ALWAYS.contains(kind))
        .map(|kind| (kind.as_str(), *kind))
        .collect();
    let kind = reader.word("event", &written);
    let only_outside = reader.flag_opt("only_outside_hours").unwrap_or(false);
    let (class, priority) = ranked(kind.unwrap_or(EventKind::Other));
    let calendar = hours::calendar(reader, world);
    if reader.has("calendar") && !only_outside {
        reader.problem(
            "calendar",
            ("这条规则不看校历", "this rule asks no calendar"),
            (
                "加上 only_outside_hours = true，或删去 calendar",
                "add only_outside_hours = true, or take calendar out",
            ),
        );
    }
    let header = Header::parse(reader, id, class, priority);
    let kind = kind?;
    subject::gives(reader, "event", kind, &chosen);
    let watch = |subject: Subject| (subject.device.clone(), Watching { subject, on: None, said: None });
    let rule = OnEvent {
        header,
        kind,
        watching: chosen.into_iter().map(|(subject, _)| watch(subject)).collect(),
        only_outside: only_outside.then(|| (Hours::new(Arc::clone(&calendar)), calendar)),
    };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

#[cfg(test)]
mod tests;

//! `silent`: nothing has been heard of a device for too long.

use super::subject::{self, Header, Subject};
use super::timers::Timers;
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::document::Reader;
use crate::model::{AlarmClass, Body, DeviceId, Fault, Link, Mono, Now, Observation, Priority, RuleId};
use std::collections::BTreeMap;
use std::time::Duration;

/// Unless told otherwise, a device may miss three polls and a minute.
const MISSED_POLLS: u32 = 3;
const LEAST_DEFAULT: Duration = Duration::from_secs(60);

pub(super) const KIND: RuleKind = RuleKind {
    name: "silent",
    doc: "Nothing was heard of a device for too long, also right after the gateway's start. What a broker retained \
          is not the device speaking. Choose only devices that speak by themselves: a door contact may be \
          silent all night.",
    example: r#"class = "energy-meter"         # which devices; see "Which devices"
after_secs = 300               # longer than the device's poll; 3 polls, at least 60, unless told otherwise
alarm_class = "equipment"      # equipment unless told otherwise
priority = "medium"            # medium unless told otherwise
"#,
    parse,
};

#[derive(Debug)]
struct Watching {
    subject: Subject,
    after: Duration,
    /// Why, if the driver said so.
    fault: Option<Fault>,
    /// What was last said; nothing since the start.
    said: Option<bool>,
}

#[derive(Debug)]
struct Silent {
    header: Header,
    watching: BTreeMap<DeviceId, Watching>,
    timers: Timers<DeviceId>,
}

impl Rule for Silent {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.watching.keys().cloned().collect())
    }

    fn absent(&self, subject: &str) -> Vec<DeviceId> {
        self.watching.get_key_value(subject).map(|(device, _)| device.clone()).into_iter().collect()
    }

    fn start(&mut self, now: Now) {
        self.timers.clear();
        for (device, watching) in &mut self.watching {
            watching.fault = None;
            watching.said = None;
            self.timers.set(device, Some(now.mono.plus(watching.after)));
        }
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        let Some(watching) = self.watching.get_mut(&seen.device) else { return };
        match &seen.body {
            Body::Link(Link::Down(fault)) => {
                watching.fault = Some(*fault);
                return;
            }
            Body::Reading(_) | Body::Event(_) if seen.retained => return,
            Body::Reading(_) | Body::Event(_) | Body::Link(Link::Up) => watching.fault = None,
        }
        self.timers.set(&seen.device, Some(now.mono.plus(watching.after)));
        if watching.said != Some(false) {
            watching.said = Some(false);
            let what = watching.subject.says("恢复数据", "heard again");
            out.push(self.header.finding(&watching.subject, Level::Ended, what));
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.timers.next()
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        for device in self.timers.take_due(now.mono) {
            let Some(watching) = self.watching.get_mut(&device) else { continue };
            watching.said = Some(true);
            let secs = watching.after.as_secs();
            let (mut zh, mut en) = (format!("{secs} 秒没有数据"), format!("not heard for {secs} s"));
            if let Some(fault) = watching.fault {
                let why = fault.advice();
                zh = format!("{zh}；{}", why.zh);
                en = format!("{en}; {}", why.en);
            }
            out.push(self.header.finding(&watching.subject, Level::Holds, watching.subject.says(zh, en)));
        }
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let chosen = subject::devices(reader, world);
    let after = subject::secs_opt(reader, "after_secs", 1..=7 * 24 * 3600);
    let header = Header::parse(reader, id, AlarmClass::Equipment, Priority::Medium);
    let mut watching = BTreeMap::new();
    for (subject, watched) in chosen {
        if after.is_some_and(|after| after <= watched.poll) {
            reader.problem(
                "after_secs",
                (
                    format!(
                        "'{}' 每 {} 秒采集一次，会一直算作无消息",
                        subject.device,
                        watched.poll.as_secs()
                    ),
                    format!(
                        "'{}' is polled every {} s and would always be silent",
                        subject.device,
                        watched.poll.as_secs()
                    ),
                ),
                (
                    format!("写大于 {} 的数，最好是它的三倍", watched.poll.as_secs()),
                    format!("write more than {}, better three times as much", watched.poll.as_secs()),
                ),
            );
        }
        let after = after.unwrap_or(LEAST_DEFAULT.max(watched.poll.saturating_mul(MISSED_POLLS)));
        watching.insert(subject.device.clone(), Watching { subject, after, fault: None, said: None });
    }
    let rule = Silent { header, watching, timers: Timers::new() };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

#[cfg(test)]
mod tests;

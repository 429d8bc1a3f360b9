//! `exam_watch`: a camera or another device is not there while an examination is sat.

use super::hours::{self, Hours};
use super::subject::{self, Header, Subject};
use super::timers::Timers;
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::calendar::Times;
use crate::document::Reader;
use crate::model::{
    AlarmClass, Body, DeviceId, EventKind, Fault, Link, Mono, Now, Observation, Phase, Priority, RuleId, Text,
};
use std::collections::BTreeMap;
use std::time::Duration;

const DEFAULT_AFTER: Duration = Duration::from_secs(20);

pub(super) const KIND: RuleKind = RuleKind {
    name: "exam_watch",
    doc: "A device does not answer, or a camera gives no picture, while an examination of the calendar \
          (`[[calendar.exam]]`) is sat: also one that has not been heard of since the gateway's start. It ends when \
          the device is back or the examination is over. While the gateway's clock is not set, nothing is judged.",
    example: r#"class = "camera"               # which devices; see "Which devices"
after_secs = 20                # 20 unless told otherwise
alarm_class = "equipment"      # equipment unless told otherwise
priority = "high"              # high unless told otherwise
"#,
    parse,
};

#[derive(Debug)]
struct Watching {
    subject: Subject,
    /// Whether it answers; `None` until it is known.
    up: Option<bool>,
    fault: Option<Fault>,
    /// It says that there is no picture.
    blind: bool,
    said: Option<bool>,
}

#[derive(Debug)]
struct ExamWatch {
    header: Header,
    after: Duration,
    hours: Hours,
    watching: BTreeMap<DeviceId, Watching>,
    timers: Timers<DeviceId>,
}

impl Rule for ExamWatch {
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
        self.timers.clear();
        self.hours.start(now);
        for watching in self.watching.values_mut() {
            (watching.up, watching.fault, watching.said) = (None, None, None);
            watching.blind = false;
        }
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        self.look(now, out);
        let Some(watching) = self.watching.get_mut(&seen.device) else { return };
        match &seen.body {
            Body::Link(Link::Down(fault)) => (watching.up, watching.fault) = (Some(false), Some(*fault)),
            Body::Link(Link::Up) => (watching.up, watching.fault) = (Some(true), None),
            Body::Event(event) if event.kind == EventKind::VideoLoss => match event.phase {
                Phase::Start => watching.blind = true,
                Phase::End => watching.blind = false,
                Phase::Moment => return,
            },
            Body::Reading(_) | Body::Event(_) if seen.retained => return,
            // Whoever speaks is there, until its driver says otherwise.
            Body::Reading(_) | Body::Event(_) => watching.up = watching.up.or(Some(true)),
        }
        let device = seen.device.clone();
        self.judge(&device, now, out);
    }

    fn never(&self) -> Option<Text> {
        self.hours.never(true, self.after)
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.timers.next().into_iter().chain(self.hours.deadline()).min()
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        // The bell first: a device that is missing as the examination ends is not told.
        self.look(now, out);
        for device in self.timers.take_due(now.mono) {
            if let Some(watching) = self.watching.get_mut(&device) {
                out.extend(watching.say(&self.header, true));
            }
        }
    }
}

impl ExamWatch {
    fn look(&mut self, now: Now, out: &mut Vec<Finding>) {
        if self.hours.look(now) {
            let all: Vec<DeviceId> = self.watching.keys().cloned().collect();
            for device in all {
                self.judge(&device, now, out);
            }
        }
    }

    fn judge(&mut self, device: &DeviceId, now: Now, out: &mut Vec<Finding>) {
        let Some(watching) = self.watching.get_mut(device) else { return };
        let missing = watching.blind || watching.up != Some(true);
        match (self.hours.within(), missing) {
            (Some(true), true) => {
                if watching.said != Some(true) && !self.timers.is_set(device) {
                    self.timers.set(device, Some(now.mono.plus(self.after)));
                }
            }
            (Some(_), _) => {
                self.timers.set(device, None);
                out.extend(watching.say(&self.header, false));
            }
            (None, _) => self.timers.set(device, None),
        }
    }
}

impl Watching {
    fn say(&mut self, header: &Header, holds: bool) -> Option<Finding> {
        if self.said == Some(holds) {
            return None;
        }
        self.said = Some(holds);
        if !holds {
            let what = self.subject.says("考试期间设备在线", "there, or no examination is sat");
            return Some(header.finding(&self.subject, Level::Ended, what));
        }
        let (mut zh, mut en) = if self.blind {
            ("考试期间无画面".to_owned(), "no picture during an examination".to_owned())
        } else {
            ("考试期间设备离线".to_owned(), "not there during an examination".to_owned())
        };
        if let Some(fault) = self.fault {
            let why = fault.advice();
            zh = format!("{zh}；{}", why.zh);
            en = format!("{en}; {}", why.en);
        }
        Some(header.finding(&self.subject, Level::Holds, self.subject.says(zh, en)))
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let chosen = subject::devices(reader, world);
    let after = subject::secs_opt(reader, "after_secs", 0..=600).unwrap_or(DEFAULT_AFTER);
    let calendar = hours::calendar(reader, world);
    let header = Header::parse(reader, id, AlarmClass::Equipment, Priority::High);
    let watch = |subject: Subject| {
        let device = subject.device.clone();
        (device, Watching { subject, up: None, fault: None, blind: false, said: None })
    };
    let rule = ExamWatch {
        header,
        after,
        hours: Hours::of(Times::Exam, calendar),
        watching: chosen.into_iter().map(|(subject, _)| watch(subject)).collect(),
        timers: Timers::new(),
    };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

#[cfg(test)]
mod tests;

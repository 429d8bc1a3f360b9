//! `anti_passback`: a credential goes into a zone twice and never came out between.

use super::subject::{self, Header, Subject};
use super::zones::{Bounds, Tracked};
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::document::Reader;
use crate::model::{AlarmClass, DeviceId, Mono, Now, Observation, Pass, Priority, RuleId};
use std::collections::BTreeMap;
use std::time::Duration;

const DEFAULT_REPEAT: Duration = Duration::from_secs(60);
const DEFAULT_FORGET: Duration = Duration::from_secs(16 * 3600);

pub(super) const KIND: RuleKind = RuleKind {
    name: "anti_passback",
    doc: "A credential goes into a zone twice without having come out between: it was handed back, or its owner left \
          with somebody else. Soft: it is only told, no door is barred. Only credentials with a pseudonym and passes \
          with a direction count.",
    example: r#"zone = "b1"                    # a place with counts = true; the readers that lead into it and out of it
repeat_secs = 60               # again so soon is the same pass; 60 unless told otherwise
forget_hours = 16              # after which a pass no longer counts; 16 unless told otherwise
alarm_class = "security"       # security unless told otherwise
priority = "low"               # low unless told otherwise
"#,
    parse,
};

#[derive(Debug)]
struct AntiPassback {
    header: Header,
    bounds: Bounds,
    repeat: Duration,
    forget: Duration,
    subjects: BTreeMap<DeviceId, Subject>,
    tracked: Tracked,
}

impl Rule for AntiPassback {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.subjects.keys().cloned().collect())
    }

    fn start(&mut self, _: Now) {
        self.tracked.clear();
    }

    fn remember(&mut self, _: Now, seen: &Observation) {
        // What it would report was reported then.
        let _reported = self.judge(seen);
    }

    fn observe(&mut self, _: Now, seen: &Observation, out: &mut Vec<Finding>) {
        out.extend(self.judge(seen));
    }

    fn next_deadline(&self) -> Option<Mono> {
        None
    }

    fn expire(&mut self, _: Now, _: &mut Vec<Finding>) {}
}

impl AntiPassback {
    fn judge(&mut self, seen: &Observation) -> Option<Finding> {
        let subject = self.subjects.get(&seen.device)?;
        let pass = Pass::of(seen).filter(|pass| !pass.vehicle)?;
        let person = pass.person.as_ref()?;
        let inside = self.bounds.entered(&seen.device, &pass)?;
        let (before, was_inside) = self.tracked.note(person, &pass, inside)??;
        let apart = Duration::from_millis(u64::try_from(pass.when.at.since(before)).ok()?);
        if !inside || !was_inside || apart <= self.repeat || apart > self.forget {
            return None;
        }
        let minutes = apart.as_secs() / 60;
        let place = &self.bounds.place.path;
        let what = subject.says(
            format!("{} 分钟内第二次进入{}，中间没有出来", minutes + 1, place.zh),
            format!("into {} a second time within {} minutes and never out", place.en, minutes + 1),
        );
        let mut finding = self.header.finding(subject, Level::Happened, what);
        finding.key.subject = format!("{}/{}", seen.device, person.as_str());
        Some(finding)
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let bounds = Bounds::parse(reader, world);
    let repeat = subject::secs_opt(reader, "repeat_secs", 0..=3600).unwrap_or(DEFAULT_REPEAT);
    let hours = reader.integer_opt("forget_hours", 1..=168).map(|hours| hours.unsigned_abs() * 3600);
    let header = Header::parse(reader, id, AlarmClass::Security, Priority::Low);
    let bounds = bounds?;
    let subjects = subject::all_of(bounds.readers(), world);
    let forget = hours.map_or(DEFAULT_FORGET, Duration::from_secs);
    let rule = AntiPassback { header, bounds, repeat, forget, subjects, tracked: Tracked::default() };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

#[cfg(test)]
mod tests;

//! `visitor_overstay`: a visitor is still in after the time they were allowed, or comes outside of it.

use super::subject::{self, Header, Subject};
use super::zones::{Bounds, MAX_TRACKED, Tracked};
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::document::Reader;
use crate::model::{
    AlarmClass, DeviceId, Mono, Now, Observation, Pass, PersonRef, Priority, Role, RuleId, Text, Wall,
};
use std::collections::BTreeMap;
use std::time::Duration;

const DEFAULT_GRACE: Duration = Duration::from_secs(600);
/// Visitors are looked at this often: the wall clock may be set.
const LOOK: Duration = Duration::from_secs(60);

pub(super) const KIND: RuleKind = RuleKind {
    name: "visitor_overstay",
    doc: "A visitor or contractor, by the table of persons, is still in a zone after their credential's time is over, \
          or presents it outside of its time. While the gateway's clock is not set, nothing is judged.",
    example: r#"zone = "campus"                # a place with counts = true; the readers that lead into it and out of it
grace_secs = 600               # 600 unless told otherwise
alarm_class = "security"       # security unless told otherwise
priority = "medium"            # medium unless told otherwise
"#,
    parse,
};

/// A visitor who is in.
#[derive(Debug)]
struct Visitor {
    until: Wall,
    device: DeviceId,
    told: bool,
}

#[derive(Debug)]
struct VisitorOverstay {
    header: Header,
    bounds: Bounds,
    grace_ms: i64,
    subjects: BTreeMap<DeviceId, Subject>,
    tracked: Tracked,
    inside: BTreeMap<PersonRef, Visitor>,
    look: Option<Mono>,
}

impl Rule for VisitorOverstay {
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
        self.inside.clear();
        self.look = None;
    }

    fn remember(&mut self, now: Now, seen: &Observation) {
        let _reported = self.pass(now, seen);
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        out.extend(self.pass(now, seen));
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.look
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        if self.look.is_none_or(|at| at > now.mono) {
            return;
        }
        let over = |until: Wall| now.wall.plausible() && now.wall.since(until) > self.grace_ms;
        for (person, visitor) in self.inside.iter_mut().filter(|(_, v)| !v.told && over(v.until)) {
            visitor.told = true;
            let Some(subject) = self.subjects.get(&visitor.device) else { continue };
            let place = &self.bounds.place.path;
            let what = Text::new(
                format!("访客超时未离开{}", place.zh),
                format!("a visitor is still in {} after their time", place.en),
            );
            out.push(finding(&self.header, subject, person, &what));
        }
        self.arm(now);
    }
}

impl VisitorOverstay {
    fn pass(&mut self, now: Now, seen: &Observation) -> Option<Finding> {
        let subject = self.subjects.get(&seen.device)?;
        let pass = Pass::of(seen)?;
        let person = pass.person.as_ref()?;
        let who = pass.known.as_ref().filter(|who| matches!(who.role, Role::Visitor | Role::Contractor))?;
        let entered = self.bounds.entered(&seen.device, &pass);
        let newer = entered.is_some_and(|inside| self.tracked.note(person, &pass, inside).is_some());
        if newer {
            self.inside.remove(person);
            if let (Some(true), Some(until)) = (entered, who.valid_until)
                && self.inside.len() < MAX_TRACKED
            {
                let device = seen.device.clone();
                self.inside.insert(person.clone(), Visitor { until, device, told: false });
            }
        }
        let at = pass.when.at;
        let late = who.valid_until.is_some_and(|until| at.since(until) > self.grace_ms);
        let early = who.valid_from.is_some_and(|from| from.since(at) > self.grace_ms);
        // Whoever leaves late has been told of already.
        let outside = at.plausible() && (late || early) && entered != Some(false);
        let found = outside.then(|| {
            let what =
                Text::new("访客凭证在有效期外使用", "a visitor's credential is presented outside its time");
            finding(&self.header, subject, person, &what)
        });
        if let Some(visitor) = self.inside.get_mut(person).filter(|_| found.is_some()) {
            visitor.told = true;
        }
        self.arm(now);
        found
    }

    /// Looks again when the first visitor's time is over, and at least once a minute.
    fn arm(&mut self, now: Now) {
        let waiting = self.inside.values().filter(|visitor| !visitor.told);
        let first = waiting.map(|visitor| visitor.until.plus_ms(self.grace_ms + 1)).min();
        self.look = first.map(|over| {
            let ms = u64::try_from(over.since(now.wall)).unwrap_or(0);
            let pause = if now.wall.plausible() { Duration::from_millis(ms.max(1)) } else { LOOK };
            now.mono.plus(pause.min(LOOK))
        });
    }
}

fn finding(header: &Header, subject: &Subject, person: &PersonRef, what: &Text) -> Finding {
    let mut finding = header.finding(subject, Level::Happened, subject.says(&what.zh, &what.en));
    finding.key.subject = format!("{}/{}", subject.device, person.as_str());
    finding
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let bounds = Bounds::parse(reader, world);
    let grace = subject::secs_opt(reader, "grace_secs", 0..=24 * 3600).unwrap_or(DEFAULT_GRACE);
    let header = Header::parse(reader, id, AlarmClass::Security, Priority::Medium);
    let bounds = bounds?;
    let subjects = subject::all_of(bounds.readers(), world);
    let rule = VisitorOverstay {
        header,
        bounds,
        grace_ms: i64::try_from(grace.as_millis()).unwrap_or(i64::MAX),
        subjects,
        tracked: Tracked::default(),
        inside: BTreeMap::new(),
        look: None,
    };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

#[cfg(test)]
mod tests;

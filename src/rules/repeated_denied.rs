//! `repeated_denied`: credentials are refused again and again at one device.

use super::subject::{self, Header, Subject};
use super::timers::Timers;
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::document::Reader;
use crate::model::{
    AlarmClass, Body, DeviceId, EventKind, Mono, Now, Observation, PersonRef, Priority, RuleId,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Most runs of refusals remembered at a time; beyond it the one that would be forgotten first is forgotten now.
const MAX_RUNS: usize = 4096;

pub(super) const KIND: RuleKind = RuleKind {
    name: "repeated_denied",
    doc: "So many credentials are refused at one device within a time; then the count begins anew. Events that a \
          reader kept and delivers later than that time do not count, so set the readers' clocks.",
    example: r#"class = "card-reader"          # which devices; see "Which devices"
count = 3                      # refusals, 2 to 100
window_secs = 60
same_person = false            # true counts each person (pseudonym) apart; false unless told otherwise
alarm_class = "security"       # security unless told otherwise
priority = "medium"            # medium unless told otherwise
"#,
    parse,
};

type Run = (DeviceId, Option<PersonRef>);

#[derive(Debug)]
struct RepeatedDenied {
    header: Header,
    count: usize,
    within: Duration,
    same_person: bool,
    subjects: BTreeMap<DeviceId, Subject>,
    /// When each run's refusals came, with the device's number of the event; at most `count` each.
    runs: BTreeMap<Run, VecDeque<(Mono, Option<String>)>>,
    /// When a run is over because its last refusal is too old.
    over: Timers<Run>,
}

impl Rule for RepeatedDenied {
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
        self.runs.clear();
        self.over.clear();
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        let Body::Event(event) = &seen.body else { return };
        let Some(subject) = self.subjects.get(&seen.device) else { return };
        let Some(credential) = event.credential.as_ref().filter(|c| c.result.refused()) else { return };
        if event.kind != EventKind::Credential || seen.retained || seen.stamp.late() > self.within {
            return;
        }
        // Refusals of nobody in particular count together: a reader that names no cards is watched all the same.
        let person = credential.person.clone().filter(|_| self.same_person);
        let run: Run = (seen.device.clone(), person);
        let refusals = self.runs.entry(run.clone()).or_default();
        if event.serial.is_some() && refusals.iter().any(|(_, serial)| *serial == event.serial) {
            return;
        }
        refusals.push_back((now.mono, event.serial.clone()));
        while refusals.front().is_some_and(|(at, _)| now.mono.since(*at) > self.within) {
            refusals.pop_front();
        }
        if refusals.len() < self.count {
            // One millisecond later, because a refusal exactly that old still counts.
            self.over.set(&run, Some(now.mono.plus(self.within).plus(Duration::from_millis(1))));
            if self.runs.len() > MAX_RUNS
                && let Some(oldest) = self.over.pop()
            {
                self.runs.remove(&oldest);
            }
            return;
        }
        self.runs.remove(&run);
        self.over.set(&run, None);
        out.push(self.finding(subject, run.1.as_ref()));
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.over.next()
    }

    fn expire(&mut self, now: Now, _: &mut Vec<Finding>) {
        for run in self.over.take_due(now.mono) {
            self.runs.remove(&run);
        }
    }
}

impl RepeatedDenied {
    fn finding(&self, subject: &Subject, person: Option<&PersonRef>) -> Finding {
        let (secs, count) = (self.within.as_secs(), self.count);
        let (who_zh, who_en) = if person.is_some() { ("同一人 ", "one person ") } else { ("", "") };
        let what = subject.says(
            format!("{who_zh}{secs} 秒内被拒绝 {count} 次"),
            format!("{who_en}refused {count} times within {secs} s"),
        );
        let mut finding = self.header.finding(subject, Level::Happened, what);
        if let Some(person) = person {
            finding.key.subject = format!("{}/{}", subject.device, person.as_str());
        }
        finding
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let chosen = subject::devices(reader, world);
    subject::gives(reader, "count", EventKind::Credential, &chosen);
    let count = reader.integer("count", 2..=100).and_then(|count| usize::try_from(count).ok());
    let within = subject::secs(reader, "window_secs", 1..=24 * 3600);
    let same_person = reader.flag_opt("same_person").unwrap_or(false);
    let header = Header::parse(reader, id, AlarmClass::Security, Priority::Medium);
    let rule = RepeatedDenied {
        header,
        count: count?,
        within: within?,
        same_person,
        subjects: chosen.into_iter().map(|(subject, _)| (subject.device.clone(), subject)).collect(),
        runs: BTreeMap::new(),
        over: Timers::new(),
    };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

#[cfg(test)]
mod tests;

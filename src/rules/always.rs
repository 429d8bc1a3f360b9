//! Help, duress, fire, smoke, dead buses and the end of the terms: rules that nobody writes and nobody can switch off (GB 50394-2007, 5.2.3).

use super::subject::{Header, Subject};
use super::{Finding, Level, Rule, World, calendar_end};
use crate::model::alarm::DURESS_RULE;
use crate::model::{
    AlarmClass, Body, DeviceId, EventKind, Mono, Now, Observation, Phase, Priority, RuleId, Text,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One of them. It keeps no state: what a device says now is the level now, whatever its clock says.
#[derive(Debug)]
struct Always {
    header: Header,
    kind: EventKind,
    subjects: Arc<BTreeMap<DeviceId, Subject>>,
}

/// The rules for help, duress, fire and smoke of every device, also of devices that the configuration does not know; that
/// for dead buses; and where terms are given, that for their end.
#[must_use]
pub fn always(world: &World) -> Vec<Box<dyn Rule>> {
    let subjects: BTreeMap<_, _> = world
        .devices
        .iter()
        .map(|(device, watched)| (device.clone(), Subject::new(device, watched, world)))
        .collect();
    let subjects = Arc::new(subjects);
    let kinds = [
        ("always.help", AlarmClass::Help, EventKind::Help),
        (DURESS_RULE, AlarmClass::Help, EventKind::Duress),
        ("always.fire", AlarmClass::Fire, EventKind::Fire),
        // A detector of its own has no panel that would tell smoke from fire.
        ("always.smoke", AlarmClass::Fire, EventKind::Smoke),
    ];
    kinds
        .into_iter()
        .map(|(id, class, kind)| {
            #[expect(clippy::expect_used, reason = "the texts are ids")]
            let rule = RuleId::new(id).expect("an id");
            let header = Header { rule, class, priority: Priority::Critical };
            Box::new(Always { header, kind, subjects: Arc::clone(&subjects) }) as Box<dyn Rule>
        })
        .chain(calendar_end::rule(world))
        .chain([Box::new(super::bus::Buses::new(world)) as Box<dyn Rule>])
        .collect()
}

impl Rule for Always {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn start(&mut self, _: Now) {}

    fn observe(&mut self, _: Now, seen: &Observation, out: &mut Vec<Finding>) {
        let Body::Event(event) = &seen.body else { return };
        if event.kind != self.kind {
            return;
        }
        let level = match event.phase {
            // Told again on connecting; it did not happen now.
            Phase::Moment if seen.retained => return,
            Phase::Moment => Level::Happened,
            Phase::Start => Level::Holds,
            Phase::End => Level::Ended,
        };
        let stranger;
        let subject = match self.subjects.get(&seen.device) {
            Some(subject) => subject,
            None => {
                stranger = Subject::stranger(&seen.device);
                &stranger
            }
        };
        out.push(self.header.finding(subject, level, self.words(subject, level)));
    }

    fn next_deadline(&self) -> Option<Mono> {
        None
    }

    fn expire(&mut self, _: Now, _: &mut Vec<Finding>) {}
}

impl Always {
    fn words(&self, subject: &Subject, level: Level) -> Text {
        match (self.kind, level) {
            (EventKind::Fire, Level::Ended) => subject.says("火警信号已解除", "fire signal ended"),
            (EventKind::Fire, _) => subject.says("火警", "fire"),
            (EventKind::Smoke, Level::Ended) => subject.says("烟雾报警已解除", "smoke ended"),
            (EventKind::Smoke, _) => subject.says("烟雾报警", "smoke"),
            (EventKind::Duress, Level::Ended) => subject.says("胁迫信号已解除", "duress ended"),
            (EventKind::Duress, _) => {
                subject.says("胁迫求助（静默：现场不得声响）", "duress (silent: let nothing sound there)")
            }
            (_, Level::Ended) => subject.says("求助信号已解除", "call for help ended"),
            (_, _) => subject.says("紧急求助", "call for help"),
        }
    }
}

#[cfg(test)]
mod tests;

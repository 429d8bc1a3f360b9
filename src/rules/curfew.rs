//! `curfew`: somebody passes a dormitory's readers in the night, or has not come back when it begins.

use super::hours::{self, Hours};
use super::subject::{self, Header, Subject};
use super::zones::{Bounds, Tracked};
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::calendar::{Calendar, Times};
use crate::document::Reader;
use crate::model::{AlarmClass, DeviceId, Mono, Now, Observation, Pass, Priority, Role, RuleId, Text};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const DEFAULT_GRACE: Duration = Duration::from_secs(900);
/// Who went out longer ago than this has gone home. Milliseconds.
const AWAY_MS: i64 = 24 * 3600 * 1000;

pub(super) const KIND: RuleKind = RuleKind {
    name: "curfew",
    doc: "In the nights of the calendar (`[[calendar.curfew]]`) a credential is presented at the readers of a \
          dormitory, or somebody who went out of it within a day has not come back some time after the night began: \
          that is one alarm with how many, until the last is back or the night is over. While the gateway's clock is \
          not set, nothing is judged.",
    example: r#"zone = "b1"                    # a place with counts = true, such as the dormitory
roles = ["student"]            # by the table of persons; everybody unless told otherwise
grace_secs = 900               # 900 unless told otherwise
alarm_class = "security"       # security unless told otherwise
priority = "medium"            # medium unless told otherwise
"#,
    parse,
};

#[derive(Debug)]
struct Curfew {
    header: Header,
    bounds: Bounds,
    /// Empty: everybody.
    roles: Vec<Role>,
    grace: Duration,
    calendar: Arc<Calendar>,
    hours: Hours,
    subjects: BTreeMap<DeviceId, Subject>,
    tracked: Tracked,
    /// When everybody must be back, once the night has begun.
    due: Option<Mono>,
    said: Option<bool>,
}

impl Rule for Curfew {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.subjects.keys().cloned().collect())
    }

    fn judges(&self, subject: &str) -> bool {
        self.bounds.place.id.as_str() == subject || self.subjects.contains_key(subject)
    }

    fn start(&mut self, now: Now) {
        self.hours.start(now);
        self.tracked.clear();
        (self.due, self.said) = (None, None);
    }

    fn remember(&mut self, _: Now, seen: &Observation) {
        let _reported = self.pass(seen);
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        self.look(now, out);
        if let Some(found) = self.pass(seen) {
            out.extend(found);
            self.judge(now, out);
        }
    }

    fn never(&self) -> Option<Text> {
        self.hours.never(true, Duration::from_millis(1))
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.hours.deadline().into_iter().chain(self.due).min()
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        self.look(now, out);
        if self.due.is_some_and(|due| due <= now.mono) {
            // Asked again with every pass; until then nobody comes back.
            self.due = None;
            self.judge_due(now, out);
        }
    }
}

impl Curfew {
    /// Notes a pass of somebody whom the rule concerns; what is to be told of it.
    fn pass(&mut self, seen: &Observation) -> Option<Option<Finding>> {
        let subject = self.subjects.get(&seen.device)?;
        let pass = Pass::of(seen).filter(|pass| !pass.vehicle)?;
        let role = pass.known.as_ref().map(|who| who.role);
        if !self.roles.is_empty() && !role.is_some_and(|role| self.roles.contains(&role)) {
            return None;
        }
        let entered = self.bounds.entered(&seen.device, &pass);
        if let (Some(person), Some(inside)) = (&pass.person, entered) {
            self.tracked.note(person, &pass, inside);
        }
        let at = pass.when.at;
        if !at.plausible() || !self.calendar.holds(Times::Curfew, at) {
            return Some(None);
        }
        let (zh, en) = match entered {
            Some(true) => ("宿舍关门后进入", "in after curfew"),
            Some(false) => ("宿舍关门后外出", "out after curfew"),
            None => ("宿舍关门后刷卡", "credential presented after curfew"),
        };
        Some(Some(self.header.finding(subject, Level::Happened, subject.says(zh, en))))
    }

    /// Asks the calendar whether the night has begun or ended.
    fn look(&mut self, now: Now, out: &mut Vec<Finding>) {
        if self.hours.look(now) {
            self.due = (self.hours.within() == Some(true)).then(|| now.mono.plus(self.grace));
            self.judge(now, out);
        }
    }

    fn judge(&mut self, now: Now, out: &mut Vec<Finding>) {
        if self.due.is_none() {
            self.judge_due(now, out);
        }
    }

    fn judge_due(&mut self, now: Now, out: &mut Vec<Finding>) {
        let night = self.hours.within() == Some(true);
        let away = if night { self.tracked.outside_since(now.wall.plus_ms(-AWAY_MS)) } else { 0 };
        let holds = away > 0;
        if self.said == Some(holds) {
            return;
        }
        self.said = Some(holds);
        let (level, what) = if holds {
            (
                Level::Holds,
                Text::new(format!("关门后 {away} 人未归"), format!("{away} not back after curfew")),
            )
        } else {
            (Level::Ended, Text::new("无人未归", "everybody is back, or the night is over"))
        };
        out.push(self.header.of_place(&self.bounds.place, level, what));
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let bounds = Bounds::parse(reader, world);
    let mut roles = Vec::new();
    for (text, spot) in reader.texts("roles") {
        match Role::from_word(&text) {
            Some(role) => roles.push(role),
            None => reader.problems().at(
                &spot,
                (format!("没有角色 '{text}'"), format!("'{text}' is no role")),
                subject::known(("角色", "roles"), Role::ALL),
            ),
        }
    }
    let grace = subject::secs_opt(reader, "grace_secs", 0..=6 * 3600).unwrap_or(DEFAULT_GRACE);
    let calendar = hours::calendar(reader, world);
    let header = Header::parse(reader, id, AlarmClass::Security, Priority::Medium);
    let bounds = bounds?;
    let subjects = subject::all_of(bounds.readers(), world);
    let rule = Curfew {
        header,
        bounds,
        roles,
        grace,
        hours: Hours::of(Times::Curfew, Arc::clone(&calendar)),
        calendar,
        subjects,
        tracked: Tracked::default(),
        due: None,
        said: None,
    };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

#[cfg(test)]
mod tests;

//! The calendar is about to run out, or has: nobody writes this rule, and a calendar without terms has no end.

use super::subject::Header;
use super::{Finding, Level, Rule, Watch, World};
use crate::calendar::{Calendar, MAIN};
use crate::model::{AlarmClass, AlarmKey, Mono, Now, Observation, Priority, RuleId, Text, Wall};
use jiff::civil::Date;
use std::time::Duration;

/// So long before the end it is told.
const DAYS_BEFORE: i32 = 30;
/// The wall clock is looked at this often: it may be set.
const LOOK: Duration = Duration::from_secs(60);

/// The last term of one calendar.
#[derive(Debug)]
struct End {
    /// The calendar's name.
    name: String,
    last: Date,
    soon: Wall,
    over: Wall,
    /// What was last said of "soon" and of "over"; nothing since the start.
    said: [Option<bool>; 2],
}

#[derive(Debug)]
struct CalendarEnd {
    header: Header,
    ends: Vec<End>,
    look: Option<Mono>,
}

/// The rule `always.calendar`, if any calendar has terms.
pub(super) fn rule(world: &World) -> Option<Box<dyn Rule>> {
    let others = world.calendars.iter().map(|(name, calendar)| (name.as_str(), calendar));
    let all = std::iter::once((MAIN, &world.calendar)).chain(others);
    let ends: Vec<End> = all.filter_map(|(name, calendar)| End::of(name, calendar)).collect();
    if ends.is_empty() {
        return None;
    }
    let header = Header {
        rule: RuleId::new("always.calendar").ok()?,
        class: AlarmClass::Equipment,
        priority: Priority::Low,
    };
    Some(Box::new(CalendarEnd { header, ends, look: None }))
}

impl End {
    fn of(name: &str, calendar: &Calendar) -> Option<Self> {
        let last = calendar.last_term_day()?;
        Some(Self {
            name: name.to_owned(),
            last,
            soon: calendar.days_before(last, DAYS_BEFORE)?,
            over: calendar.begin(last.tomorrow().ok()?)?,
            said: [None; 2],
        })
    }

    /// The subjects of "soon" and "over".
    fn subjects(&self) -> [String; 2] {
        [self.name.clone(), format!("{}/over", self.name)]
    }
}

impl Rule for CalendarEnd {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        Watch::Devices(Vec::new())
    }

    fn judges(&self, subject: &str) -> bool {
        self.ends.iter().flat_map(End::subjects).any(|known| known == subject)
    }

    fn start(&mut self, now: Now) {
        for end in &mut self.ends {
            end.said = [None; 2];
        }
        self.look = Some(now.mono);
    }

    fn observe(&mut self, _: Now, _: &Observation, _: &mut Vec<Finding>) {}

    fn next_deadline(&self) -> Option<Mono> {
        self.look
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        if self.look.is_none_or(|at| at > now.mono) {
            return;
        }
        self.look = Some(now.mono.plus(LOOK));
        if !now.wall.plausible() {
            return;
        }
        for end in &mut self.ends {
            let over = now.wall >= end.over;
            let holds = [now.wall >= end.soon && !over, over];
            let subjects = end.subjects();
            for (turn, (said, subject)) in end.said.iter_mut().zip(subjects).enumerate() {
                let now_holds = holds.get(turn).copied();
                if *said == now_holds {
                    continue;
                }
                *said = now_holds;
                let level = if now_holds == Some(true) { Level::Holds } else { Level::Ended };
                let what = words(&end.name, end.last, turn == 1, level);
                let key = AlarmKey { rule: self.header.rule.clone(), subject };
                let (class, priority) = (self.header.class, self.header.priority);
                out.push(Finding { key, level, class, priority, device: None, place: None, what });
            }
        }
    }
}

fn words(name: &str, last: Date, over: bool, level: Level) -> Text {
    match (level, over) {
        (Level::Ended, _) => Text::new(
            format!("校历“{name}”：最后一个学期到 {last}，无需处理"),
            format!("calendar '{name}': its last term ends on {last}, nothing is to be done"),
        ),
        (_, false) => Text::new(
            format!("校历“{name}”的最后一个学期将于 {last} 结束，请录入下一学期"),
            format!("calendar '{name}': its last term ends on {last}; enter the next one"),
        ),
        (_, true) => Text::new(
            format!("校历“{name}”已于 {last} 用完，此后没有教学时间；请录入新学期"),
            format!(
                "calendar '{name}' ran out on {last}, no time since is teaching time; enter the new term"
            ),
        ),
    }
}

#[cfg(test)]
mod tests;

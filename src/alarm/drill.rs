//! Drills: alarms that a person raises to practise. They go the whole way of an alarm and change nothing for a real one:
//! they do not latch, explain nothing, are kept quiet by nothing, and end with the drill.

use super::order::Outcome;
use super::{AlarmBook, Due, OrderRefused, resumed};
use crate::model::{
    Actor, AlarmChange, AlarmClass, AlarmKey, Audit, Done, Drill, Handled, Now, PlaceId, Priority, RuleId,
    Text, drill,
};
use crate::rules::{Finding, Level};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest drill, seconds.
pub const MOST_DRILL_SECS: u32 = 4 * 3600;
/// A drill lasts so long unless told otherwise, seconds.
pub const USUAL_DRILL_SECS: u32 = 3600;
/// Most alarms of one drill.
pub const MAX_DRILL_ALARMS: u32 = 100;
/// Longest words of an alarm of a drill, characters.
pub const MAX_DRILL_CHARS: usize = 200;
/// What the rules of drills begin with. Whatever is found under such a rule is of the drill that is running.
pub const DRILL_RULES: &str = "drill.";

/// What people practise.
const CLASSES: [AlarmClass; 4] =
    [AlarmClass::Fire, AlarmClass::Help, AlarmClass::Intrusion, AlarmClass::Security];

/// What a restart has to know.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Memory {
    /// The number of the last drill.
    last: u64,
    running: Option<Drill>,
}

/// The drill that is running, if any.
#[derive(Debug, Default)]
pub(super) struct Drills {
    memory: Memory,
    audit: Vec<Audit>,
    changed: bool,
}

/// What is to be written down of drills.
#[derive(Debug, Default)]
pub struct DrillNotes {
    /// Who did what.
    pub audit: Vec<Audit>,
    /// What a restart has to know, in its own words, where that has changed.
    pub row: Option<String>,
}

/// An alarm to practise with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) class: AlarmClass,
    pub(super) priority: Priority,
    pub(super) place: &'a PlaceId,
    pub(super) what: Option<&'a str>,
}

impl Drills {
    pub(super) fn new(row: Option<&str>) -> Self {
        // A row that cannot be read speaks of no drill: what was open in it is closed at the start.
        let memory = row.and_then(|row| serde_json::from_str(row).ok()).unwrap_or_default();
        Self { memory, ..Self::default() }
    }

    fn note(&mut self, handled: &Handled, action: &'static str, number: u64, detail: String) {
        self.changed = true;
        self.audit.push(Audit {
            at: handled.at,
            actor: handled.by.as_str().to_owned().into(),
            action,
            subject: format!("drill {number}").into(),
            detail,
        });
    }
}

/// Whether what this rule finds is of a drill.
pub(super) fn is_of_drill(rule: &RuleId) -> bool {
    rule.as_str().starts_with(DRILL_RULES)
}

impl AlarmBook {
    /// The drill that is running.
    #[must_use]
    pub fn drill(&self) -> Option<&Drill> {
        self.drills.memory.running.as_ref()
    }

    /// What is to be written down of drills since the last call.
    pub fn drill_notes(&mut self) -> DrillNotes {
        let changed = std::mem::take(&mut self.drills.changed);
        // Words and numbers can always be written as JSON.
        let row = changed.then(|| serde_json::to_string(&self.drills.memory).ok()).flatten();
        DrillNotes { audit: std::mem::take(&mut self.drills.audit), row }
    }

    /// A drill of the last run goes on for what is left of it; where that cannot be known it is over.
    pub(super) fn resume_drill(&mut self, now: Now, changes: &mut Vec<AlarmChange>) {
        let Some(running) = self.drill() else {
            // Its memory was lost.
            self.close_drill_alarms(&by_time(now), changes);
            return;
        };
        let begun = running.begun.at;
        let end = resumed(now, begun, running.until.min(begun.plus_ms(i64::from(MOST_DRILL_SECS) * 1000)));
        if end <= now.mono {
            self.end_drill(by_time(now), changes);
        } else {
            self.timers.set(&Due::Drill, Some(end));
        }
    }

    pub(super) fn start_drill(&mut self, now: Now, secs: u32, handled: Handled) -> Outcome {
        if let Some(running) = self.drill() {
            return Err(OrderRefused::DrillRunning { number: running.number, by: running.begun.clone() });
        }
        if handled.note.trim().is_empty() {
            return Err(OrderRefused::NoReason);
        }
        if !(1..=MOST_DRILL_SECS).contains(&secs) {
            return Err(OrderRefused::DrillSpan { most: MOST_DRILL_SECS });
        }
        let memory = &mut self.drills.memory;
        memory.last = memory.last.saturating_add(1);
        let (number, until) = (memory.last, now.wall.plus_ms(i64::from(secs) * 1000));
        let begun = Drill { number, begun: handled.clone(), until, alarms: 0, ended: None };
        memory.running = Some(begun.clone());
        self.drills.note(&handled, "drill_start", number, format!("for {secs} s: {}", handled.note));
        self.timers.set(&Due::Drill, Some(now.mono.plus(Duration::from_secs(secs.into()))));
        Ok((Vec::new(), Done::Drill(Box::new(begun))))
    }

    pub(super) fn stop_drill(&mut self, handled: Handled) -> Outcome {
        let mut changes = Vec::new();
        let ended = self.end_drill(handled, &mut changes).ok_or(OrderRefused::NoDrill)?;
        Ok((changes, Done::Drill(Box::new(ended))))
    }

    /// Its time has come.
    pub(super) fn drill_is_over(&mut self, now: Now, changes: &mut Vec<AlarmChange>) {
        self.end_drill(by_time(now), changes);
    }

    fn end_drill(&mut self, handled: Handled, changes: &mut Vec<AlarmChange>) -> Option<Drill> {
        let mut ended = self.drills.memory.running.take()?;
        self.timers.set(&Due::Drill, None);
        let open = self.close_drill_alarms(&handled, changes);
        let detail = format!("alarms={} open={open} {}", ended.alarms, handled.note);
        self.drills.note(&handled, "drill_stop", ended.number, detail.trim_end().to_owned());
        ended.ended = Some(handled);
        Some(ended)
    }

    /// Closes what is open of drills, taken or not; how many that were.
    fn close_drill_alarms(&mut self, handled: &Handled, changes: &mut Vec<AlarmChange>) -> usize {
        let of_drills = self.open.values().filter(|alarm| alarm.marks.drill);
        let keys: Vec<AlarmKey> = of_drills.map(|alarm| alarm.key.clone()).collect();
        for key in &keys {
            let Some(mut alarm) = self.open.remove(key) else { continue };
            for due in [Due::Shelf(alarm.id), Due::Service(alarm.id)] {
                self.timers.set(&due, None);
            }
            (alarm.marks.shelved, alarm.marks.out_of_service) = (None, None);
            if std::mem::take(&mut alarm.active) {
                alarm.cleared_at = Some(handled.at);
            }
            self.close(alarm, handled, changes);
        }
        keys.len()
    }

    /// Raises an alarm of the drill, or tells of it once more; it holds until the drill is over.
    pub(super) fn drill_alarm(&mut self, now: Now, asked: Asked<'_>, handled: &Handled) -> Outcome {
        let Asked { class, priority, place, what } = asked;
        let running = self.drill().ok_or(OrderRefused::NoDrill)?;
        if !CLASSES.contains(&class) {
            return Err(OrderRefused::DrillClass(class));
        }
        let what = match what.map(str::trim) {
            Some(what) if what.is_empty() || what.chars().count() > MAX_DRILL_CHARS => {
                return Err(OrderRefused::DrillWords(MAX_DRILL_CHARS));
            }
            Some(what) => Text::same(what),
            None => Text::new(format!("模拟{}", class.name().zh), format!("{} (simulated)", class.name().en)),
        };
        let number = running.number;
        // A word of ours behind a prefix of ours is always an id.
        let rule =
            RuleId::new(&format!("{DRILL_RULES}{class}")).map_err(|_| OrderRefused::DrillClass(class))?;
        let finding = Finding {
            key: AlarmKey { rule, subject: format!("{number}:{place}") },
            level: Level::Holds,
            class,
            priority,
            device: None,
            place: Some(place.clone()),
            what,
        };
        if !self.open.contains_key(&finding.key) && running.alarms >= MAX_DRILL_ALARMS {
            return Err(OrderRefused::DrillFull(MAX_DRILL_ALARMS));
        }
        let mut changes = Vec::new();
        self.come_in_drill(now, &finding, &mut changes);
        let Some(last) = changes.last_mut() else { return Err(OrderRefused::NoDrill) };
        (last.actor, last.note) = (handled.by.clone(), handled.note.clone());
        let alarm = last.alarm.clone();
        let detail = format!("alarm {}: {class} {priority} at {place} {}", alarm.id, handled.note);
        self.drills.note(handled, "drill_alarm", number, detail.trim_end().to_owned());
        Ok((changes, Done::Alarm(Box::new(alarm))))
    }

    /// Takes what was found under a rule of drills. Outside of a drill it is nothing.
    pub(super) fn take_in_drill(&mut self, now: Now, finding: &Finding, changes: &mut Vec<AlarmChange>) {
        let Some(running) = self.drill() else { return };
        let room = running.alarms < MAX_DRILL_ALARMS;
        let open = self.open.get(&finding.key);
        let (known, held) = (open.is_some(), open.is_some_and(|alarm| alarm.active));
        match finding.level {
            Level::Ended if held => self.clear(now, &finding.key, changes),
            Level::Ended => {}
            Level::Holds if held => {}
            Level::Holds | Level::Happened if known || room => self.come_in_drill(now, finding, changes),
            Level::Holds | Level::Happened => {}
        }
    }

    fn come_in_drill(&mut self, now: Now, finding: &Finding, changes: &mut Vec<AlarmChange>) {
        let known = self.open.contains_key(&finding.key);
        if let Some(running) = self.drills.memory.running.as_mut().filter(|_| !known) {
            running.alarms = running.alarms.saturating_add(1);
            self.drills.changed = true;
        }
        self.come(now, &Finding { what: drill::marked(&finding.what), ..finding.clone() }, changes);
    }
}

/// Nobody did it: the time had come.
fn by_time(now: Now) -> Handled {
    Handled { by: Actor::gateway(), at: now.wall, note: "到时 / its time was up".to_owned() }
}

#[cfg(test)]
mod tests;

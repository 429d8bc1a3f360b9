//! All rules together: each sees only the devices it watches, and the earliest deadline is known at once.

use super::timers::Timers;
use super::{Finding, Rule, Watch};
use crate::model::{DeviceId, Mono, Now, Observation, RuleId};
use std::collections::BTreeMap;

/// Owns the rules and their deadlines.
#[derive(Debug)]
pub struct Engine {
    rules: Vec<Box<dyn Rule>>,
    /// Rules that watch every device; they are asked first.
    everywhere: Vec<usize>,
    by_device: BTreeMap<DeviceId, Vec<usize>>,
    deadlines: Timers<usize>,
}

impl Engine {
    /// Takes the rules; call [`Engine::start`] before the first observation.
    #[must_use]
    pub fn new(rules: Vec<Box<dyn Rule>>) -> Self {
        let mut everywhere = Vec::new();
        let mut by_device: BTreeMap<DeviceId, Vec<usize>> = BTreeMap::new();
        for (index, rule) in rules.iter().enumerate() {
            match rule.watches() {
                Watch::All => everywhere.push(index),
                Watch::Devices(devices) => {
                    for device in devices {
                        by_device.entry(device).or_default().push(index);
                    }
                }
            }
        }
        Self { rules, everywhere, by_device, deadlines: Timers::new() }
    }

    /// Whether there is a rule of this id that watches this device (any device, if none is named).
    #[must_use]
    pub fn watches(&self, rule: &RuleId, device: Option<&DeviceId>) -> bool {
        let Some(index) = self.rules.iter().position(|r| r.id() == rule) else { return false };
        let here = device.and_then(|device| self.by_device.get(device));
        device.is_none()
            || self.everywhere.contains(&index)
            || here.is_some_and(|rules| rules.contains(&index))
    }

    /// Whether the rule of this id may speak of this subject again.
    #[must_use]
    pub fn judges(&self, rule: &RuleId, subject: &str) -> bool {
        self.rules.iter().find(|r| r.id() == rule).is_some_and(|rule| rule.judges(subject))
    }

    /// The devices of which nothing is heard, where that alone makes this rule hold for this subject.
    #[must_use]
    pub fn absent(&self, rule: &RuleId, subject: &str) -> Vec<DeviceId> {
        self.rules.iter().find(|r| r.id() == rule).map_or_else(Vec::new, |rule| rule.absent(subject))
    }

    /// The gateway has started: every rule forgets what it knew and arms its timers.
    pub fn start(&mut self, now: Now) {
        for (index, rule) in self.rules.iter_mut().enumerate() {
            rule.start(now);
            self.deadlines.set(&index, rule.next_deadline());
        }
    }

    /// Something was observed before the start.
    pub fn remember(&mut self, now: Now, seen: &Observation) {
        let here = self.by_device.get(&seen.device).into_iter().flatten();
        for index in self.everywhere.iter().chain(here) {
            if let Some(rule) = self.rules.get_mut(*index) {
                rule.remember(now, seen);
                self.deadlines.set(index, rule.next_deadline());
            }
        }
    }

    /// Something was observed. What was due before it is expired first, so a late call loses no timer.
    pub fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        self.expire(now, out);
        let here = self.by_device.get(&seen.device).into_iter().flatten();
        for index in self.everywhere.iter().chain(here) {
            if let Some(rule) = self.rules.get_mut(*index) {
                rule.observe(now, seen, out);
                self.deadlines.set(index, rule.next_deadline());
            }
        }
    }

    /// When [`Engine::expire`] wants to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.deadlines.next()
    }

    /// Lets every rule whose deadline has come decide; calling too early or too often does nothing.
    pub fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        for index in self.deadlines.take_due(now.mono) {
            if let Some(rule) = self.rules.get_mut(index) {
                rule.expire(now, out);
                self.deadlines.set(&index, rule.next_deadline());
            }
        }
    }
}

#[cfg(test)]
mod tests;

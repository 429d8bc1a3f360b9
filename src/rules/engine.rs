//! All rules together: each sees only the devices it watches, and the earliest deadline is known at once.

use super::timers::Timers;
use super::{Finding, Rule, Watch};
use crate::model::{DeviceId, Mono, Now, Observation, PointId, RollUp, RuleId};
use std::collections::BTreeMap;
use std::time::Duration;

/// Owns the rules and their deadlines.
#[derive(Debug)]
pub struct Engine {
    rules: Vec<Box<dyn Rule>>,
    /// Rules that watch every device; they are asked first.
    everywhere: Vec<usize>,
    by_device: BTreeMap<DeviceId, Vec<usize>>,
    /// Who wants to see the closed periods of a device's points.
    periods: BTreeMap<DeviceId, Vec<(PointId, usize)>>,
    deadlines: Timers<usize>,
}

impl Engine {
    /// Takes the rules; call [`Engine::start`] before the first observation.
    #[must_use]
    pub fn new(rules: Vec<Box<dyn Rule>>) -> Self {
        let mut everywhere = Vec::new();
        let mut by_device: BTreeMap<DeviceId, Vec<usize>> = BTreeMap::new();
        let mut periods: BTreeMap<DeviceId, Vec<(PointId, usize)>> = BTreeMap::new();
        for (index, rule) in rules.iter().enumerate() {
            for (device, point) in rule.periods() {
                periods.entry(device).or_default().push((point, index));
            }
            match rule.watches() {
                Watch::All => everywhere.push(index),
                Watch::Devices(devices) => {
                    for device in devices {
                        by_device.entry(device).or_default().push(index);
                    }
                }
            }
        }
        Self { rules, everywhere, by_device, periods, deadlines: Timers::new() }
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

    /// The points of which closed periods are wanted, and how far back from the start each is.
    #[must_use]
    pub fn periods(&self) -> BTreeMap<(DeviceId, PointId), Duration> {
        let mut wanted = BTreeMap::new();
        for (device, points) in &self.periods {
            for (point, index) in points {
                let back = self.rules.get(*index).map_or(Duration::ZERO, |rule| rule.looks_back());
                let longest = wanted.entry((device.clone(), point.clone())).or_insert(back);
                *longest = back.max(*longest);
            }
        }
        wanted
    }

    /// How far back from the start the rule that looks back furthest wants to know closed periods.
    #[must_use]
    pub fn looks_back(&self) -> Duration {
        self.rules.iter().map(|rule| rule.looks_back()).max().unwrap_or_default()
    }

    /// A period that was closed before the start, oldest first; call it between [`Engine::start`] and the first
    /// observation.
    pub fn recall(&mut self, now: Now, period: &RollUp) {
        self.each_of(period, |rule| rule.recall(now, period));
    }

    /// A period was closed just now, or a late value changed it.
    pub fn close(&mut self, now: Now, period: &RollUp, out: &mut Vec<Finding>) {
        self.each_of(period, |rule| rule.close(now, period, out));
    }

    fn each_of(&mut self, period: &RollUp, mut shows: impl FnMut(&mut dyn Rule)) {
        let wanted = self.periods.get(&period.device).into_iter().flatten();
        for (_, index) in wanted.filter(|(point, _)| *point == period.point) {
            if let Some(rule) = self.rules.get_mut(*index) {
                shows(rule.as_mut());
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

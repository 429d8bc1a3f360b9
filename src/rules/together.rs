//! Values of several points of one device that belong to the same moment, and verdicts that must last before they are
//! said.

use super::subject::{Header, Subject};
use super::timers::Timers;
use super::{Finding, Level, Rule, Watch};
use crate::model::{Body, DeviceId, Link, Mono, Now, Observation, PointId, Reading, RuleId, Text};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

/// Values that come by themselves may be so far apart at least.
const LEAST_APART: Duration = Duration::from_secs(5);

/// Some points of one device.
#[derive(Debug)]
pub(super) struct Together {
    points: Vec<PointId>,
    values: Vec<Option<(Mono, f64)>>,
    most_apart: Duration,
}

impl Together {
    /// Values that come within `every` of each other belong together.
    pub(super) fn new(points: Vec<PointId>, every: Duration) -> Self {
        let values = vec![None; points.len()];
        Self { points, values, most_apart: every.max(LEAST_APART) }
    }

    pub(super) fn clear(&mut self) {
        self.values.fill(None);
    }

    /// Takes a reading. All values, in the order of the points, once each has come anew; `None` before that. A value
    /// that is absent or doubted takes its moment's others with it.
    pub(super) fn take(&mut self, now: Mono, reading: &Reading) -> Option<Vec<f64>> {
        let turn = self.points.iter().position(|point| *point == reading.point)?;
        let Some(value) = reading.good() else {
            self.clear();
            return None;
        };
        *self.values.get_mut(turn)? = Some((now, value));
        let (oldest, newest) = (self.values.iter().flatten().map(|(at, _)| *at).min()?, now);
        if newest.since(oldest) > self.most_apart {
            self.values
                .iter_mut()
                .filter(|value| value.is_some_and(|(at, _)| at < now))
                .for_each(|old| *old = None);
        }
        let all: Option<Vec<f64>> = self.values.iter().map(|value| Some((*value)?.1)).collect();
        if all.is_some() {
            self.clear();
        }
        all
    }
}

/// A device whose values of one moment are judged.
pub(super) trait Judged: Debug + Send + Sync {
    /// Which.
    fn subject(&self) -> &Subject;
    /// Takes the values, in the order of the points; whether they are too bad, nothing in between.
    fn take(&mut self, values: &[f64]) -> Option<bool>;
    /// The last values in words.
    fn says(&self, holds: bool) -> Text;
}

/// A rule of devices each of which has several points.
#[derive(Debug)]
pub(super) struct AtOnce<J> {
    header: Header,
    watching: BTreeMap<DeviceId, (Together, J)>,
    lasting: Lasting,
}

impl<J: Judged> AtOnce<J> {
    /// What is said must have lasted.
    pub(super) fn new(header: Header, watching: Vec<(Together, J)>, lasts: Duration) -> Self {
        let by_device = |of: (Together, J)| (of.1.subject().device.clone(), of);
        let watching = watching.into_iter().map(by_device).collect();
        Self { header, watching, lasting: Lasting::new(lasts, lasts) }
    }

    fn finding(&self, device: &DeviceId, holds: bool) -> Option<Finding> {
        let (_, of) = self.watching.get(device)?;
        let level = if holds { Level::Holds } else { Level::Ended };
        Some(self.header.finding(of.subject(), level, of.says(holds)))
    }
}

impl<J: Judged> Rule for AtOnce<J> {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.watching.keys().cloned().collect())
    }

    fn points(&self) -> Vec<(DeviceId, PointId)> {
        let of = |(device, (together, _)): (&DeviceId, &(Together, J))| -> Vec<_> {
            together.points.iter().map(|point| (device.clone(), point.clone())).collect()
        };
        self.watching.iter().flat_map(of).collect()
    }

    fn start(&mut self, _: Now) {
        self.lasting.clear();
        self.watching.values_mut().for_each(|(together, _)| together.clear());
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        let Some((together, of)) = self.watching.get_mut(&seen.device) else { return };
        match &seen.body {
            Body::Link(Link::Down(_)) => {
                together.clear();
                self.lasting.unheard(&seen.device);
            }
            Body::Reading(reading) if !seen.retained => {
                let Some(values) = together.take(now.mono, reading) else { return };
                let holds = of.take(&values);
                let said = self.lasting.judge(&seen.device, holds, now);
                out.extend(said.and_then(|holds| self.finding(&seen.device, holds)));
            }
            Body::Reading(_) | Body::Event(_) | Body::Link(Link::Up) => {}
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.lasting.next()
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        for (device, holds) in self.lasting.due(now) {
            out.extend(self.finding(&device, holds));
        }
    }
}

/// Verdicts on devices that are said when they have lasted.
#[derive(Debug)]
pub(super) struct Lasting {
    on: Duration,
    off: Duration,
    states: BTreeMap<DeviceId, State>,
    timers: Timers<DeviceId>,
}

#[derive(Debug, Default)]
struct State {
    /// What was last said; nothing since the start.
    said: Option<bool>,
    /// What will be said when it has lasted.
    coming: Option<bool>,
}

impl Lasting {
    /// What holds is said after `on`, that it is over after `off`.
    pub(super) fn new(on: Duration, off: Duration) -> Self {
        Self { on, off, states: BTreeMap::new(), timers: Timers::new() }
    }

    pub(super) fn clear(&mut self) {
        self.states.clear();
        self.timers.clear();
    }

    /// The verdict now, nothing when it is between the two; what is to be said at once.
    pub(super) fn judge(&mut self, device: &DeviceId, holds: Option<bool>, now: Now) -> Option<bool> {
        let state = self.states.entry(device.clone()).or_default();
        let next = holds.filter(|holds| state.said != Some(*holds));
        if next == state.coming {
            return None;
        }
        state.coming = next;
        let delay = next.map(|holds| if holds { self.on } else { self.off });
        if delay == Some(Duration::ZERO) {
            self.timers.set(device, None);
            return self.say(device);
        }
        self.timers.set(device, delay.map(|delay| now.mono.plus(delay)));
        None
    }

    /// The device is not heard any more: what has not lasted yet begins anew.
    pub(super) fn unheard(&mut self, device: &DeviceId) {
        if let Some(state) = self.states.get_mut(device) {
            state.coming = None;
        }
        self.timers.set(device, None);
    }

    pub(super) fn next(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// What has lasted.
    pub(super) fn due(&mut self, now: Now) -> Vec<(DeviceId, bool)> {
        let due = self.timers.take_due(now.mono);
        due.into_iter().filter_map(|device| Some((device.clone(), self.say(&device)?))).collect()
    }

    fn say(&mut self, device: &DeviceId) -> Option<bool> {
        let state = self.states.get_mut(device)?;
        let holds = state.coming.take()?;
        state.said = Some(holds);
        Some(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PointKind, Unit};

    #[test]
    fn values_belong_together_when_each_came_anew_and_near() {
        let point = |id: &str| PointId::new(id).expect("an id");
        let mut together = Together::new(["a", "b"].map(point).to_vec(), Duration::from_secs(10));
        let mut take = |at: u64, id: &str, value: f64| {
            together.take(Mono(at), &Reading::new(point(id), value, Unit::Ampere, PointKind::Gauge))
        };
        assert_eq!(take(0, "a", 1.0), None);
        assert_eq!(take(0, "c", 9.0), None);
        assert_eq!(take(1_000, "b", 2.0), Some(vec![1.0, 2.0]));
        assert_eq!(take(10_000, "b", 3.0), None, "each must be new");
        assert_eq!(take(20_001, "a", 4.0), None, "too far apart");
        assert_eq!(take(20_002, "b", 5.0), Some(vec![4.0, 5.0]));
        assert_eq!(take(30_000, "a", 4.0), None);
        assert_eq!(take(30_000, "a", f64::NAN), None);
        assert_eq!(take(30_000, "b", 5.0), None, "one of them is absent");
    }
}

//! Rules that judge each of their meters by windows of time, such as nights or hours, once these are over.

use super::periods::{self, History, Metered, Scale, Stretch, Window, Windows};
use super::subject::Header;
use super::{Finding, Level, Rule, Watch};
use crate::document::Reader;
use crate::model::{DeviceId, Mono, Now, Observation, PointId, RollUp, RuleId, Text, Unit, Wall};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

/// What was measured in a window, and what it was held against, as rates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdict {
    pub(super) holds: bool,
    pub(super) measured: f64,
    pub(super) against: f64,
}

/// Says which windows there are and what is too much in one.
pub(super) trait Judge: Debug + Send + Sync {
    /// What windows must have in common to be compared.
    type Sort: Debug + Ord + Send + Sync;
    /// The window to which a stretch belongs, if it counts.
    fn window(&mut self, stretch: &Stretch, period: &RollUp) -> Option<(Wall, Wall)>;
    /// Judges a window that is over, unless too little of it is known, and notes what came of it.
    fn judge(
        &mut self,
        now: Now,
        window: &Window,
        scale: Scale,
        past: &mut History<Self::Sort>,
    ) -> Option<Verdict>;
    /// The verdict in words.
    fn words(&self, window: &Window, meter: &Metered, scale: Scale, verdict: Verdict) -> Text;
}

/// How windows are shown and what they are compared with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) unit: Unit,
    pub(super) window_hours: f64,
    /// With so many past ones at most.
    pub(super) compared: usize,
    /// How far back from the start periods are wanted.
    pub(super) back: Duration,
}

#[derive(Debug)]
struct Watching<S> {
    meter: Metered,
    scale: Scale,
    windows: Windows,
    past: History<S>,
    /// What was last said; nothing since the start.
    said: Option<bool>,
}

#[derive(Debug)]
pub(super) struct Windowed<J: Judge> {
    header: Header,
    judge: J,
    back: Duration,
    watching: BTreeMap<DeviceId, Watching<J::Sort>>,
}

impl<J: Judge> Windowed<J> {
    /// A meter that the unit does not fit is a problem.
    pub(super) fn new(
        reader: &Reader<'_>,
        header: Header,
        judge: J,
        meters: Vec<Metered>,
        plan: Plan,
    ) -> Self {
        let watching = meters.into_iter().filter_map(|meter| {
            let scale = Scale::new(reader, plan.unit, meter.medium, plan.window_hours)?;
            let (windows, past) = (Windows::default(), History::new(plan.compared));
            Some((meter.subject.device.clone(), Watching { meter, scale, windows, past, said: None }))
        });
        Self { header, judge, back: plan.back, watching: watching.collect() }
    }

    fn take(&mut self, now: Now, period: &RollUp, mut out: Option<&mut Vec<Finding>>) {
        let Some(watching) = self.watching.get_mut(&period.device) else { return };
        if let Some(stretch) = watching.meter.take(now, period)
            && let Some(window) = self.judge.window(&stretch, period)
        {
            watching.windows.add(window, stretch);
        }
        let (meter, scale) = (&watching.meter, watching.scale);
        for window in watching.windows.over(periods::end(period)) {
            let verdict = self.judge.judge(now, window, scale, &mut watching.past);
            let (Some(verdict), Some(out)) = (verdict, &mut out) else { continue };
            if watching.said.replace(verdict.holds) != Some(verdict.holds) {
                let level = if verdict.holds { Level::Holds } else { Level::Ended };
                let what = self.judge.words(window, meter, scale, verdict);
                out.push(self.header.finding(&meter.subject, level, what));
            }
        }
    }
}

impl<J: Judge> Rule for Windowed<J> {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.watching.keys().cloned().collect())
    }

    fn start(&mut self, _: Now) {
        for watching in self.watching.values_mut() {
            watching.meter.start();
            watching.windows.clear();
            watching.past.clear();
            watching.said = None;
        }
    }

    fn observe(&mut self, _: Now, _: &Observation, _: &mut Vec<Finding>) {}

    fn periods(&self) -> Vec<(DeviceId, PointId)> {
        periods::points(self.watching.values().map(|watching| &watching.meter))
    }

    fn looks_back(&self) -> Duration {
        self.back
    }

    fn recall(&mut self, now: Now, period: &RollUp) {
        self.take(now, period, None);
    }

    fn close(&mut self, now: Now, period: &RollUp, out: &mut Vec<Finding>) {
        self.take(now, period, Some(out));
    }

    fn next_deadline(&self) -> Option<Mono> {
        None
    }

    fn expire(&mut self, _: Now, _: &mut Vec<Finding>) {}
}

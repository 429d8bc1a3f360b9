//! How well alarms serve those who watch: the figures of EEMUA 191 and ISA-18.2, reckoned from the steps of alarms.
//!
//! Drills are left out of all of them. An alarm counts as announced when people are told of it: raised, back again, or
//! no longer kept quiet; one that another explains is not.

use crate::model::{AlarmChange, AlarmId, AlarmKey, ChangeKind, Priority, Truth, Wall};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The period in which announcements are counted, milliseconds: ten minutes.
pub const PERIOD_MS: i64 = 10 * 60 * 1000;
/// More than so many within ten minutes are a flood …
pub const FLOOD_BEGINS: usize = 10;
/// … until there are fewer than so many.
pub const FLOOD_ENDS: usize = 5;
/// An alarm that is there for longer stands, milliseconds: a day.
pub const STANDING_MS: i64 = 24 * 3600 * 1000;
/// So many of the busiest rules and subjects make the top.
const TOP: usize = 10;

/// More alarms than people can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Flood {
    /// When it began.
    pub begin: Wall,
    /// When it was over; `None` while it lasts.
    pub end: Option<Wall>,
    /// How many were announced from its beginning to its end.
    pub announced: u32,
}

/// How long people took to acknowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// How many were.
    pub count: u32,
    /// Half of them within, milliseconds.
    pub p50_ms: i64,
    /// 95 of 100 of them within, milliseconds.
    pub p95_ms: i64,
}

/// Something that is kept quiet by a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Quiet {
    /// Which alarm.
    pub id: AlarmId,
    /// Since when.
    pub since: Wall,
}

/// The figures of a span.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Kpi {
    /// Alarms announced.
    pub announced: u32,
    /// Announced per guard and ten minutes, on average over the span. 1 is acceptable, 2 is the most that can be managed.
    pub per_guard: f64,
    /// Most announced within ten minutes.
    pub most: u32,
    /// When there were too many.
    pub floods: Vec<Flood>,
    /// Share of the span that was flood, 0 to 1. Less than 0.01 is wanted.
    pub flood_share: f64,
    /// Alarms that were there for more than a day at the end of the span. Fewer than 5 are wanted.
    pub standing: Vec<AlarmId>,
    /// Alarms that came and went too often. None is wanted.
    pub chattering: u32,
    /// How long it took to acknowledge, by priority.
    pub taken: BTreeMap<Priority, Taken>,
    /// Announced by priority. 80 of 100 low, 15 medium, 5 high are wanted.
    pub by_priority: BTreeMap<Priority, u32>,
    /// Share of the ten busiest rules and subjects in what was announced, 0 to 1. Less than 0.05 is wanted.
    pub top_share: f64,
    /// What they turned out to be.
    pub confirmed: BTreeMap<Truth, u32>,
    /// Share of false alarms in those of which it is known, 0 to 1.
    pub false_share: Option<f64>,
    /// Raised or back again while another alarm explained them.
    pub inhibited: u32,
    /// On the shelf at the end of the span.
    pub shelved: Vec<Quiet>,
    /// Out of service at the end of the span.
    pub out_of_service: Vec<Quiet>,
}

/// One alarm while its steps are gone through.
#[derive(Debug, Default)]
struct Life {
    raised: Option<Wall>,
    active: bool,
    closed: bool,
    acknowledged: bool,
    shelved: Option<Wall>,
    out: Option<Wall>,
    suppressed: bool,
    inhibited: bool,
    /// Announced then, and not taken yet.
    waits: Option<Wall>,
}

impl Life {
    fn audible(&self) -> bool {
        self.shelved.is_none() && self.out.is_none() && !self.suppressed && !self.inhibited
    }

    /// Goes a step; whether it may be announced by that.
    fn go(&mut self, step: &AlarmChange) -> bool {
        let at = step.at;
        match step.kind {
            ChangeKind::Raised => (self.raised, self.active) = (Some(at), true),
            ChangeKind::Recurred => (self.acknowledged, self.active) = (false, true),
            ChangeKind::Cleared => self.active = false,
            ChangeKind::Acknowledged => self.acknowledged = true,
            ChangeKind::Closed => self.closed = true,
            ChangeKind::Shelved => self.shelved = self.shelved.or(Some(at)),
            ChangeKind::Unshelved => self.shelved = None,
            ChangeKind::OutOfService => self.out = self.out.or(Some(at)),
            ChangeKind::InService => self.out = None,
            ChangeKind::Suppressed => self.suppressed = true,
            ChangeKind::Unsuppressed => self.suppressed = false,
            ChangeKind::Inhibited => self.inhibited = true,
            ChangeKind::Uninhibited => {
                self.inhibited = false;
                // Who took the cause has not looked at this one while it holds.
                self.acknowledged &= !self.active;
            }
            _ => {}
        }
        step.kind.announces() && !self.acknowledged && !self.closed && self.audible()
    }
}

/// Reckons the figures of a span, `from` on and before `to`, of the steps of every alarm that was open in it, in order of
/// their numbers and from each alarm's first on.
#[must_use]
pub fn kpi(steps: &[AlarmChange], (from, to): (Wall, Wall), guards: u32) -> Kpi {
    let drills: BTreeSet<AlarmId> = steps.iter().filter(|step| is_drill(step)).map(|s| s.alarm.id).collect();
    let mut lives: BTreeMap<AlarmId, Life> = BTreeMap::new();
    let mut truths: BTreeMap<AlarmId, Truth> = BTreeMap::new();
    let mut announced: Vec<(Wall, Priority, AlarmKey)> = Vec::new();
    let mut waited: BTreeMap<Priority, Vec<i64>> = BTreeMap::new();
    let mut chattering = BTreeSet::new();
    let mut kpi = Kpi::default();
    let within = |at: Wall| from <= at && at < to;
    let counted: Vec<&AlarmChange> = steps.iter().filter(|step| !drills.contains(&step.alarm.id)).collect();
    for (n, step) in counted.iter().enumerate().filter(|(_, step)| step.at < to) {
        let (alarm, at) = (&step.alarm, step.at);
        let life = lives.entry(alarm.id).or_default();
        let tells = life.go(step);
        // Its cause is named in the step behind it, of the same moment.
        let mut rest = counted.iter().skip(n + 1).take_while(|next| next.at == at);
        let explained = rest.any(|next| next.alarm.id == alarm.id && next.kind == ChangeKind::Inhibited);
        if tells && !explained {
            life.waits = life.waits.or(Some(at));
            if within(at) {
                announced.push((at, alarm.priority, alarm.key.clone()));
            }
        }
        if step.kind == ChangeKind::Acknowledged
            && let Some(since) = life.waits.take()
            && within(at)
        {
            waited.entry(alarm.priority).or_default().push(at.since(since).max(0));
        }
        if !life.audible() || life.closed {
            life.waits = None;
        }
        match step.kind {
            ChangeKind::Chattering if within(at) => {
                chattering.insert(alarm.id);
            }
            ChangeKind::Inhibited if within(at) => kpi.inhibited = kpi.inhibited.saturating_add(1),
            ChangeKind::Confirmed if within(at) => {
                truths.extend(alarm.marks.confirmed.as_ref().map(|confirmed| (alarm.id, confirmed.truth)));
            }
            _ => {}
        }
    }
    announced.sort();
    let times: Vec<Wall> = announced.iter().map(|(at, ..)| *at).collect();
    kpi.announced = count(times.len());
    let periods = to.since(from).max(1);
    kpi.per_guard = f64::from(kpi.announced) * ratio(PERIOD_MS, periods) / f64::from(guards.max(1));
    kpi.most = most(&times);
    kpi.floods = floods(&times, to);
    let flooded: i64 = kpi.floods.iter().map(|flood| flood.end.unwrap_or(to).since(flood.begin)).sum();
    kpi.flood_share = ratio(flooded, periods);
    kpi.chattering = count(chattering.len());
    kpi.taken = waited.into_iter().map(|(priority, times)| (priority, taken(times))).collect();
    let mut busy: BTreeMap<&AlarmKey, u32> = BTreeMap::new();
    for (_, priority, key) in &announced {
        *kpi.by_priority.entry(*priority).or_default() += 1;
        *busy.entry(key).or_default() += 1;
    }
    kpi.top_share = top_share(busy.into_values().collect(), kpi.announced);
    for truth in truths.into_values() {
        *kpi.confirmed.entry(truth).or_default() += 1;
    }
    let known: u32 = kpi.confirmed.values().sum();
    let wrong = kpi.confirmed.get(&Truth::False).copied().unwrap_or(0);
    kpi.false_share = (known > 0).then(|| f64::from(wrong) / f64::from(known));
    for (id, life) in lives.into_iter().filter(|(_, life)| !life.closed) {
        if life.raised.is_some_and(|raised| to.since(raised) > STANDING_MS) {
            kpi.standing.push(id);
        }
        kpi.shelved.extend(life.shelved.map(|since| Quiet { id, since }));
        kpi.out_of_service.extend(life.out.map(|since| Quiet { id, since }));
    }
    kpi
}

fn is_drill(step: &AlarmChange) -> bool {
    step.alarm.marks.drill
        || step.alarm.marks.confirmed.as_ref().is_some_and(|confirmed| confirmed.truth == Truth::Drill)
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "spans of milliseconds are far below 2^52")]
fn ratio(part: i64, whole: i64) -> f64 {
    part as f64 / whole as f64
}

/// Most of these, which are in order, within ten minutes.
fn most(times: &[Wall]) -> u32 {
    let mut window: VecDeque<Wall> = VecDeque::new();
    let mut most = 0;
    for at in times {
        window.push_back(*at);
        while window.front().is_some_and(|first| at.since(*first) >= PERIOD_MS) {
            window.pop_front();
        }
        most = most.max(window.len());
    }
    count(most)
}

fn floods(times: &[Wall], to: Wall) -> Vec<Flood> {
    let mut floods = Vec::new();
    let mut now: Option<Flood> = None;
    let mut window: VecDeque<Wall> = VecDeque::new();
    // It is over when the fifth last is ten minutes old.
    let over = |window: &VecDeque<Wall>| {
        let fifth = window.len().checked_sub(FLOOD_ENDS).and_then(|n| window.get(n));
        fifth.map(|fifth| fifth.plus_ms(PERIOD_MS))
    };
    for moment in times.chunk_by(|a, b| a == b) {
        let Some(at) = moment.first().copied() else { continue };
        // Those that come at that very moment may go on with it.
        if let Some(end) = over(&window).filter(|end| *end < at)
            && let Some(flood) = now.take()
        {
            floods.push(Flood { end: Some(end), ..flood });
        }
        window.extend(moment);
        while window.front().is_some_and(|first| at.since(*first) >= PERIOD_MS) {
            window.pop_front();
        }
        let Some(flood) = &mut now else {
            let announced = count(window.len());
            now = (window.len() > FLOOD_BEGINS).then_some(Flood { begin: at, end: None, announced });
            continue;
        };
        if window.len() < FLOOD_ENDS {
            floods.push(Flood { end: Some(at), ..*flood });
            now = None;
        } else {
            flood.announced = flood.announced.saturating_add(count(moment.len()));
        }
    }
    floods.extend(now.map(|flood| Flood { end: over(&window).filter(|end| *end <= to), ..flood }));
    floods
}

/// The nearest rank: the smallest that so many of 100 do not exceed.
fn taken(mut times: Vec<i64>) -> Taken {
    times.sort_unstable();
    let rank = |percent: usize| {
        let rank = (times.len() * percent).div_ceil(100);
        times.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    };
    Taken { count: count(times.len()), p50_ms: rank(50), p95_ms: rank(95) }
}

fn top_share(mut counts: Vec<u32>, announced: u32) -> f64 {
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let top: u32 = counts.iter().take(TOP).sum();
    if announced == 0 { 0.0 } else { f64::from(top) / f64::from(announced) }
}

#[cfg(test)]
mod tests;

//! How well alarms serve those who watch: the figures of EEMUA 191 and ISA-18.2, reckoned from the steps of alarms.
//!
//! Drills are left out of all of them. An alarm counts as announced when people are told of it: raised, back again, or
//! no longer kept quiet; one that another explains is not.

use crate::model::{Actor, Alarm, AlarmId, AlarmKey, ChangeKind, Priority, Truth, Wall};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// The period in which announcements are counted, milliseconds: ten minutes.
pub const PERIOD_MS: i64 = 10 * 60 * 1000;
/// More than so many within ten minutes are a flood …
pub const FLOOD_BEGINS: usize = 10;
/// … until there are fewer than so many.
pub const FLOOD_ENDS: usize = 5;
/// An alarm that is there for longer stands, milliseconds: a day.
pub const STANDING_MS: i64 = 24 * 3600 * 1000;
/// A call for help or a fire is taken within so long, milliseconds: the first by most, the second by nearly all
/// (after EN 50518).
pub const LIFE_PROMPT_MS: [i64; 2] = [30_000, 60_000];
/// Every other alarm of high or critical priority.
pub const OTHER_PROMPT_MS: [i64; 2] = [90_000, 180_000];
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

/// How many were taken in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Prompt {
    /// How many were taken.
    pub count: u32,
    /// How many of them within the first bound.
    pub first: u32,
    /// How many of them within the second.
    pub second: u32,
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
    /// How promptly calls for help and fires were taken: [`LIFE_PROMPT_MS`].
    pub life: Prompt,
    /// How promptly others of high or critical priority were: [`OTHER_PROMPT_MS`].
    pub others: Prompt,
    /// Announced and not taken by the end of the span.
    pub untaken: u32,
    /// Announced by priority. 80 of 100 low, 15 medium, 5 high are wanted.
    pub by_priority: BTreeMap<Priority, u32>,
    /// Share of the ten busiest rules and subjects in what was announced, 0 to 1. Less than 0.05 is wanted.
    pub top_share: f64,
    /// What they turned out to be.
    pub confirmed: BTreeMap<Truth, u32>,
    /// Share of false alarms in those of which it is known, 0 to 1.
    pub false_share: Option<f64>,
    /// Times an alarm was put down to another that explains it.
    pub inhibited: u32,
    /// On the shelf at the end of the span.
    pub shelved: Vec<Quiet>,
    /// Out of service at the end of the span.
    pub out_of_service: Vec<Quiet>,
}

/// One step in an alarm's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Wall,
    /// What happened to it.
    pub kind: ChangeKind,
    /// Who did it.
    pub by: Actor,
}

/// How an alarm stood at the end of a span, and what became of it in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Life {
    /// When it was raised.
    pub raised: Option<Wall>,
    /// The condition held.
    pub active: bool,
    /// It was over.
    pub closed: bool,
    /// Who had taken it, and when.
    pub taken: Option<(Actor, Wall)>,
    /// On the shelf since then.
    pub shelved: Option<Wall>,
    /// Out of service since then.
    pub out: Option<Wall>,
    /// The school's own arrangement kept it quiet since then.
    pub suppressed: Option<Wall>,
    /// Another alarm explained it.
    pub inhibited: bool,
    /// It came and went.
    pub chattering: bool,
    /// How often it was raised or back again in the span.
    pub came: u32,
    /// How long after it was announced somebody first took it in the span, milliseconds.
    pub after_ms: Option<i64>,
    /// Announced then, and not taken yet.
    waits: Option<Wall>,
}

impl Life {
    /// Whether nothing kept it quiet.
    #[must_use]
    pub fn audible(&self) -> bool {
        self.shelved.is_none() && self.out.is_none() && self.suppressed.is_none() && !self.inhibited
    }

    /// The letter of [`Alarm::isa_state`].
    #[must_use]
    pub fn isa_state(&self, latched: bool) -> char {
        match (self.closed, self.active, self.taken.is_some()) {
            (true, ..) => 'A',
            _ if self.out.is_some() => 'I',
            _ if self.suppressed.is_some() || self.inhibited => 'H',
            _ if self.shelved.is_some() => 'G',
            (_, true, false) => 'B',
            (_, true, true) => 'C',
            (_, false, false) => {
                if latched {
                    'E'
                } else {
                    'D'
                }
            }
            (_, false, true) => 'F',
        }
    }

    /// Goes a step; whether it may be announced by that.
    fn go(&mut self, step: &Step) -> bool {
        let at = step.at;
        match step.kind {
            ChangeKind::Raised => (self.raised, self.active) = (Some(at), true),
            ChangeKind::Recurred => (self.taken, self.active) = (None, true),
            ChangeKind::Cleared => self.active = false,
            ChangeKind::Acknowledged => self.taken = Some((step.by.clone(), at)),
            ChangeKind::Closed => self.closed = true,
            ChangeKind::Shelved => self.shelved = self.shelved.or(Some(at)),
            ChangeKind::Unshelved => self.shelved = None,
            ChangeKind::OutOfService => self.out = self.out.or(Some(at)),
            ChangeKind::InService => self.out = None,
            ChangeKind::Suppressed => self.suppressed = self.suppressed.or(Some(at)),
            ChangeKind::Unsuppressed => self.suppressed = None,
            ChangeKind::Inhibited => self.inhibited = true,
            ChangeKind::Chattering => self.chattering = true,
            ChangeKind::Settled => self.chattering = false,
            ChangeKind::Uninhibited => {
                self.inhibited = false;
                // Who took the cause has not looked at this one while it holds.
                if self.active {
                    self.taken = None;
                }
            }
            _ => {}
        }
        step.kind.announces() && self.taken.is_none() && !self.closed && self.audible()
    }
}

/// Reckons the figures of a span, one alarm after the other in any order: of alarms it keeps no more than the moments at
/// which they were announced.
#[derive(Debug)]
pub struct Reckoning {
    from: Wall,
    to: Wall,
    guards: u32,
    announced: Vec<Wall>,
    waited: BTreeMap<Priority, Vec<i64>>,
    busy: BTreeMap<AlarmKey, u32>,
    kpi: Kpi,
}

impl Reckoning {
    /// For a span, `from` on and before `to`, in which so many guards are on duty.
    #[must_use]
    pub fn new((from, to): (Wall, Wall), guards: u32) -> Self {
        let (announced, waited, busy) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { from, to, guards, announced, waited, busy, kpi: Kpi::default() }
    }

    /// Takes an alarm that was open in the span, with its steps from the first on; what it turned out to be is taken as
    /// it is known now. How it stood at the end of the span; `None` if it is of a drill.
    pub fn alarm(&mut self, alarm: &Alarm, steps: &[Step]) -> Option<Life> {
        if is_drill(alarm) {
            return None;
        }
        let mut life = Life::default();
        let (mut chattered, mut judged) = (false, false);
        let (from, to) = (self.from, self.to);
        for (n, step) in steps.iter().enumerate().filter(|(_, step)| step.at < to) {
            let (at, within) = (step.at, from <= step.at);
            let tells = life.go(step);
            // Its cause is named in the step behind it, of the same moment.
            let mut rest = steps.iter().skip(n + 1).take_while(|next| next.at == at);
            if tells && !rest.any(|next| next.kind == ChangeKind::Inhibited) {
                life.waits = life.waits.or(Some(at));
                if within {
                    self.announced.push(at);
                    *self.kpi.by_priority.entry(alarm.priority).or_default() += 1;
                    *self.busy.entry(alarm.key.clone()).or_default() += 1;
                }
            }
            if step.kind == ChangeKind::Acknowledged
                && let Some(since) = life.waits.take()
                && within
            {
                let after_ms = at.since(since).max(0);
                life.after_ms = life.after_ms.or(Some(after_ms));
                self.took(alarm, after_ms);
            }
            if !life.audible() || life.closed {
                life.waits = None;
            }
            match step.kind {
                ChangeKind::Raised | ChangeKind::Recurred if within => life.came += 1,
                ChangeKind::Chattering if within => chattered = true,
                ChangeKind::Inhibited if within => self.kpi.inhibited = self.kpi.inhibited.saturating_add(1),
                ChangeKind::Confirmed if within => judged = true,
                _ => {}
            }
        }
        self.kpi.chattering += u32::from(chattered);
        if judged && let Some(confirmed) = &alarm.marks.confirmed {
            *self.kpi.confirmed.entry(confirmed.truth).or_default() += 1;
        }
        if !life.closed {
            self.left(alarm.id, &life);
        }
        Some(life)
    }

    fn took(&mut self, alarm: &Alarm, after_ms: i64) {
        self.waited.entry(alarm.priority).or_default().push(after_ms);
        let (prompt, [first, second]) = match alarm.priority {
            _ if alarm.class.protected() => (&mut self.kpi.life, LIFE_PROMPT_MS),
            Priority::Critical | Priority::High => (&mut self.kpi.others, OTHER_PROMPT_MS),
            _ => return,
        };
        prompt.count += 1;
        prompt.first += u32::from(after_ms <= first);
        prompt.second += u32::from(after_ms <= second);
    }

    fn left(&mut self, id: AlarmId, life: &Life) {
        if life.raised.is_some_and(|raised| self.to.since(raised) > STANDING_MS) {
            self.kpi.standing.push(id);
        }
        self.kpi.untaken += u32::from(life.waits.is_some());
        self.kpi.shelved.extend(life.shelved.map(|since| Quiet { id, since }));
        self.kpi.out_of_service.extend(life.out.map(|since| Quiet { id, since }));
    }

    /// The figures.
    #[must_use]
    pub fn kpi(self) -> Kpi {
        let Self { from, to, guards, announced: mut times, waited, busy, mut kpi } = self;
        times.sort_unstable();
        kpi.announced = count(times.len());
        let periods = to.since(from).max(1);
        kpi.per_guard = f64::from(kpi.announced) * ratio(PERIOD_MS, periods) / f64::from(guards.max(1));
        kpi.most = most(&times);
        kpi.floods = floods(&times, to);
        let flooded: i64 = kpi.floods.iter().map(|flood| flood.end.unwrap_or(to).since(flood.begin)).sum();
        kpi.flood_share = ratio(flooded, periods);
        kpi.taken = waited.into_iter().map(|(priority, times)| (priority, taken(times))).collect();
        kpi.top_share = top_share(busy.into_values().collect(), kpi.announced);
        let known: u32 = kpi.confirmed.values().sum();
        let wrong = kpi.confirmed.get(&Truth::False).copied().unwrap_or(0);
        kpi.false_share = (known > 0).then(|| f64::from(wrong) / f64::from(known));
        kpi.standing.sort_unstable();
        kpi.shelved.sort_unstable_by_key(|quiet| quiet.id);
        kpi.out_of_service.sort_unstable_by_key(|quiet| quiet.id);
        kpi
    }
}

/// Whether an alarm was set off to practise.
fn is_drill(alarm: &Alarm) -> bool {
    alarm.marks.drill
        || alarm.marks.confirmed.as_ref().is_some_and(|confirmed| confirmed.truth == Truth::Drill)
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

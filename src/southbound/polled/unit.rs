//! One device on the bus and the rounds of its reads: which comes next, and the registers it turned out not to have.

use super::plan::{Block, plan};
use super::schedule::{Rank, Rhythm};
use super::silence::Silence;
use super::{Ask, Station};
use crate::config::Device;
use crate::model::{Event, EventKind, Mono, Phase};
use crate::profile::{Identifier, RegisterSpan};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Registers that a device said it does not have are asked for again after this: it may only have been starting.
const ASK_HOLES_AGAIN: Duration = Duration::from_secs(3600);

/// A read that gets no answer while the device gives others is left out of so many rounds at most.
const MOST_ROUNDS_LEFT_OUT: u16 = 64;

/// A device. Pure.
#[derive(Debug)]
pub(super) struct PolledUnit {
    pub(super) device: Device,
    pub(super) station: Station,
    pub(super) silence: Silence,
    /// What its registers last said of each kind and code of event.
    said: BTreeMap<(EventKind, Option<String>), Phase>,
}

impl PolledUnit {
    /// A device and its rounds; `None` when the address has not the form of the protocol or the profile has nothing to
    /// ask for. `timeout` is about how long it holds the others up when it is silent.
    pub(super) fn new(device: &Device, timeout: Duration, seed: u64) -> Option<(Self, Vec<Round>)> {
        let station = Station::of(device)?;
        let rounds = rounds_of(device);
        let silence = Silence::new(timeout, seed);
        let unit = Self { device: device.clone(), station, silence, said: BTreeMap::new() };
        (!rounds.is_empty()).then_some((unit, rounds))
    }

    /// What an event that its registers tell is, which they do at every poll: `None` when it is no news, else whether it
    /// is a state found rather than a change seen. Of one kind, states are told by several bits: it ends with the last of
    /// them. That none is on is told once, because it may have ended while nobody asked.
    pub(super) fn news(&mut self, event: &Event) -> Option<bool> {
        let before = self.said.insert((event.kind, event.code.clone()), event.phase);
        if before == Some(event.phase) {
            return None;
        }
        let own = |code: &Option<String>| *code == event.code;
        let mut others = self.said.iter().filter(|((kind, code), _)| *kind == event.kind && !own(code));
        match (event.phase, before) {
            (Phase::End, None) => others.next().is_none().then_some(true),
            (Phase::End, Some(_)) => (!others.any(|(_, phase)| *phase == Phase::Start)).then_some(false),
            (Phase::Start | Phase::Moment, _) => Some(false),
        }
    }
}

/// Where a round stands after one request of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// More of it is to be read.
    More,
    /// It is over, and gave values.
    Done,
    /// It is over, and gave none.
    Missed,
}

/// One request of a round.
#[derive(Debug, Clone)]
struct Item {
    ask: Ask,
    /// The device has not all of it: it need not be asked for as a whole.
    doubted: bool,
    /// If the device has all of this, it has not all of the next.
    implicates_next: bool,
    /// How often in a row it had no answer, while the device gave others.
    misses: u8,
    /// It is left out of so many rounds to come.
    skip: u16,
}

impl Item {
    fn new(ask: Ask) -> Self {
        Self { ask, doubted: false, implicates_next: false, misses: 0, skip: 0 }
    }

    fn halves(&self) -> Option<(Block, Block)> {
        match &self.ask {
            Ask::Registers(block) => block.halves(),
            _ => None,
        }
    }
}

/// Reads of one device that have the same period and rank. Pure.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) rhythm: Rhythm,
    /// What there is to read as the profile has it.
    planned: Vec<Ask>,
    /// What is read, as learned.
    items: Vec<Item>,
    /// The request that is next.
    cursor: usize,
    /// Requests still to make in the round in hand; 0 between rounds.
    left: usize,
    /// Whether the round in hand gave values.
    gave: bool,
    /// The longest read that the device was not found to refuse for its length.
    longest: u16,
    /// Reads were split, and what is whole may be joined again.
    torn: bool,
    replan: Option<Mono>,
}

impl Round {
    fn new(rhythm: Rhythm, planned: Vec<Ask>) -> Self {
        let mut round = Self {
            rhythm,
            planned,
            items: Vec::new(),
            cursor: 0,
            left: 0,
            gave: false,
            longest: u16::MAX,
            torn: false,
            replan: None,
        };
        round.plan_anew();
        round
    }

    fn plan_anew(&mut self) {
        self.items = self.planned.iter().cloned().map(Item::new).collect();
        (self.longest, self.torn, self.replan) = (u16::MAX, false, None);
    }

    /// The request that is next; begins the round when none is in hand. `None` when nothing is left to ask in it.
    pub(super) fn next_ask(&mut self, now: Mono) -> Option<Ask> {
        if self.left == 0 {
            if self.items.is_empty() || self.replan.is_some_and(|at| now >= at) {
                self.plan_anew();
            } else if self.torn {
                self.join();
            }
            self.left = self.items.len();
            self.gave = false;
        }
        self.skip();
        while let Some(item) = self.items.get(self.cursor).filter(|item| item.doubted)
            && let Some((left, right)) = item.halves()
        {
            self.split(left, right, true);
        }
        if self.left == 0 {
            return None;
        }
        self.items.get(self.cursor).map(|item| item.ask.clone())
    }

    /// Passes over what is to be left out of this round.
    fn skip(&mut self) {
        while self.left > 0 {
            if self.cursor >= self.items.len() {
                self.cursor = 0;
            }
            match self.items.get_mut(self.cursor).filter(|item| item.skip > 0) {
                Some(item) => item.skip -= 1,
                None => return,
            }
            self.cursor += 1;
            self.left -= 1;
        }
    }

    /// The read gave values.
    pub(super) fn answered(&mut self) -> Progress {
        self.gave = true;
        if let [this, next, ..] = self.items.get_mut(self.cursor..).unwrap_or_default() {
            next.doubted |= std::mem::take(&mut this.implicates_next);
        }
        if let Some(item) = self.items.get_mut(self.cursor) {
            item.misses = 0;
        }
        self.cursor += 1;
        self.one_less()
    }

    /// The read failed. The rest of the round is left out, so that the device holds the others up once only; the next
    /// one begins with the read after this one, so that a bad block does not hide the rest. Some meters are silent where
    /// they should refuse: if the device answers otherwise, a read that fails again and again is made ever less often.
    /// Returns how often in a row it failed.
    pub(super) fn failed(&mut self, answers_otherwise: bool) -> (Progress, u8) {
        let answers_otherwise = answers_otherwise || self.gave;
        let mut misses = 0;
        if let Some(item) = self.items.get_mut(self.cursor).filter(|_| answers_otherwise) {
            item.misses = item.misses.saturating_add(1);
            misses = item.misses;
            if misses > 1 {
                item.skip = (1 << misses.min(8)).min(MOST_ROUNDS_LEFT_OUT);
            }
        }
        self.cursor += 1;
        (self.busy(), misses)
    }

    /// The device wants to be asked again later: the next round begins with this read.
    pub(super) fn busy(&mut self) -> Progress {
        self.left = 0;
        self.over()
    }

    /// The device does not have all of these registers: reads them in halves, or leaves a single point out. Returns
    /// whether it was left out. A single hole among n points is found by log2(n) + 2 reads at most: where the first
    /// half is whole, the second is not, and is not asked for as such.
    pub(super) fn refused(&mut self, now: Mono) -> (Progress, bool) {
        match self.items.get(self.cursor).and_then(Item::halves) {
            Some((left, right)) => {
                self.split(left, right, true);
                (Progress::More, false)
            }
            None => (self.leave_out(now), true),
        }
    }

    /// The device does not accept a read of this length: reads it in halves, or leaves a single point out. Returns
    /// whether it was left out.
    pub(super) fn too_long(&mut self, now: Mono) -> (Progress, bool) {
        match self.items.get(self.cursor).and_then(Item::halves) {
            Some((left, right)) => {
                self.longest = self.longest.min(left.words.max(right.words));
                self.split(left, right, false);
                (Progress::More, false)
            }
            None => (self.leave_out(now), true),
        }
    }

    /// The device will not give this: it is not asked for again for a while.
    pub(super) fn leave_out(&mut self, now: Mono) -> Progress {
        if self.cursor < self.items.len() {
            self.items.remove(self.cursor);
        }
        self.replan = self.replan.or(Some(now.plus(ASK_HOLES_AGAIN)));
        self.one_less()
    }

    fn split(&mut self, left: Block, right: Block, one_has_a_hole: bool) {
        let [mut left, right] = [left, right].map(|half| Item::new(Ask::Registers(half)));
        left.implicates_next = one_has_a_hole;
        self.items.splice(self.cursor..=self.cursor, [left, right]);
        self.left += 1;
        self.torn = true;
    }

    /// Joins reads that touch: of their registers each was read before.
    fn join(&mut self) {
        let mut joined: Vec<Item> = Vec::with_capacity(self.items.len());
        for mut item in std::mem::take(&mut self.items) {
            item.implicates_next = false;
            if let (
                false,
                Ask::Registers(block),
                Some(Item { doubted: false, ask: Ask::Registers(last), .. }),
            ) = (item.doubted, &item.ask, joined.last_mut())
                && last.join(block, self.longest)
            {
                continue;
            }
            joined.push(item);
        }
        self.items = joined;
        self.torn = false;
    }

    fn one_less(&mut self) -> Progress {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 { self.over() } else { Progress::More }
    }

    fn over(&self) -> Progress {
        if self.gave { Progress::Done } else { Progress::Missed }
    }
}

/// The reads of a device, by how often they are made and what they are worth.
fn rounds_of(device: &Device) -> Vec<Round> {
    let profile = &device.profile;
    // What tells an event is what alarms are made of.
    let points = device.alarmed.iter().filter_map(|p| profile.span(p));
    let alarmed_spans: Vec<RegisterSpan> = points.chain(profile.event_spans()).collect();
    let alarmed_ids: BTreeSet<Identifier> =
        device.alarmed.iter().filter_map(|p| profile.identifier(p)).collect();
    let blocks = plan(&profile.registers(), &profile.modbus_limits()).into_iter().map(|block| {
        let alarmed = alarmed_spans.iter().any(|span| block.holds(span));
        (block.every, alarmed, Ask::Registers(block))
    });
    let quantities = profile
        .identifiers()
        .into_iter()
        .map(|id| (profile.every(id), alarmed_ids.contains(&id), Ask::Quantity(id)));
    let mut by_rhythm: BTreeMap<(Rank, u16), Vec<Ask>> = BTreeMap::new();
    for (every, alarmed, ask) in blocks.chain(quantities) {
        let rank = match (alarmed, every) {
            (true, _) => Rank::Alarmed,
            (false, 0 | 1) => Rank::Normal,
            (false, _) => Rank::Slow,
        };
        by_rhythm.entry((rank, every.max(1))).or_default().push(ask);
    }
    let round = |((rank, every), asks): ((Rank, u16), Vec<Ask>)| {
        Round::new(Rhythm { period: device.poll.saturating_mul(u32::from(every)), rank }, asks)
    };
    by_rhythm.into_iter().map(round).collect()
}

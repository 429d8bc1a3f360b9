//! One device on the bus: its reads, which of them comes next, and the registers it turned out not to have.

use super::plan::plan;
use super::{Ask, Station};
use crate::config::Device;
use crate::model::Mono;
use std::time::Duration;

/// So many polls in a row without a value make a device one that does not answer.
const MISSES_TO_DOWN: u32 = 3;
/// Registers that a device said it does not have are asked for again after this: it may only have been starting.
const ASK_HOLES_AGAIN: Duration = Duration::from_secs(3600);

/// Where a poll stands after one request of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// More of it is to be read.
    More,
    /// It is over, and gave values.
    Done,
    /// It is over, and gave none.
    Missed,
}

/// A device and the poll in hand. Pure.
#[derive(Debug)]
pub(super) struct PolledUnit {
    pub(super) device: Device,
    pub(super) station: Station,
    asks: Vec<Ask>,
    /// The request that is next.
    cursor: usize,
    /// Requests still to make in the poll in hand; 0 between polls.
    left: usize,
    /// Whether the poll in hand gave values.
    gave: bool,
    misses: u32,
    replan: Option<Mono>,
}

impl PolledUnit {
    /// `None` when the address has not the form of the protocol or the profile has nothing to ask for.
    pub(super) fn new(device: &Device) -> Option<Self> {
        let station = Station::of(device)?;
        let asks = asks_of(device);
        if asks.is_empty() {
            return None;
        }
        let device = device.clone();
        Some(Self { device, station, asks, cursor: 0, left: 0, gave: false, misses: 0, replan: None })
    }

    /// The request that is next; begins a poll when none is in hand.
    pub(super) fn next_ask(&mut self, now: Mono) -> Option<Ask> {
        if self.left == 0 {
            if self.asks.is_empty() || self.replan.is_some_and(|at| now >= at) {
                self.asks = asks_of(&self.device);
                self.replan = None;
            }
            self.left = self.asks.len();
            self.gave = false;
        }
        if self.cursor >= self.asks.len() {
            self.cursor = 0;
        }
        self.asks.get(self.cursor).cloned()
    }

    /// The read gave values.
    pub(super) fn answered(&mut self) -> Progress {
        self.gave = true;
        self.misses = 0;
        self.cursor += 1;
        self.one_less()
    }

    /// The read failed. The rest of the poll is left out, so that the device holds the others up once only; the
    /// next poll begins with the block after this one, so that a bad block does not hide the rest.
    pub(super) fn failed(&mut self) -> Progress {
        self.cursor += 1;
        self.left = 0;
        self.over()
    }

    /// The device does not have (all of) these registers: reads the block in halves, or leaves a single point out.
    /// Returns whether it was left out.
    pub(super) fn split(&mut self, now: Mono) -> (Progress, bool) {
        let Some(ask) = self.asks.get(self.cursor) else { return (self.failed(), false) };
        if let Ask::Registers(block) = ask
            && let Some((left, right)) = block.halves()
        {
            self.asks.splice(self.cursor..=self.cursor, [Ask::Registers(left), Ask::Registers(right)]);
            self.left += 1;
            return (Progress::More, false);
        }
        (self.leave_out(now), true)
    }

    /// The device will not give this block: it is not asked for again for a while.
    pub(super) fn leave_out(&mut self, now: Mono) -> Progress {
        if self.cursor < self.asks.len() {
            self.asks.remove(self.cursor);
        }
        self.replan = self.replan.or(Some(now.plus(ASK_HOLES_AGAIN)));
        self.one_less()
    }

    fn one_less(&mut self) -> Progress {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 { self.over() } else { Progress::More }
    }

    fn over(&mut self) -> Progress {
        if self.gave {
            return Progress::Done;
        }
        self.misses = self.misses.saturating_add(1);
        Progress::Missed
    }

    /// Whether it has failed often enough to be called down.
    pub(super) fn is_down(&self) -> bool {
        self.misses >= MISSES_TO_DOWN
    }
}

fn asks_of(device: &Device) -> Vec<Ask> {
    let blocks = plan(&device.profile.registers(), &device.profile.modbus_limits());
    let quantities = device.profile.identifiers();
    blocks.into_iter().map(Ask::Registers).chain(quantities.into_iter().map(Ask::Quantity)).collect()
}

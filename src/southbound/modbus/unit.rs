//! One device on the bus: its reads, which of them comes next, and the registers it turned out not to have.

use super::plan::{Block, plan};
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
    pub(super) unit: u8,
    blocks: Vec<Block>,
    /// The block that is read next.
    cursor: usize,
    /// Blocks still to read in the poll in hand; 0 between polls.
    left: usize,
    /// Whether the poll in hand gave values.
    gave: bool,
    misses: u32,
    replan: Option<Mono>,
}

impl PolledUnit {
    /// `None` when the address is no unit id or the profile has no registers: then there is nothing to poll.
    pub(super) fn new(device: &Device) -> Option<Self> {
        let unit = device.address.trim().parse().ok()?;
        let blocks = blocks_of(device);
        if blocks.is_empty() {
            return None;
        }
        let device = device.clone();
        Some(Self { device, unit, blocks, cursor: 0, left: 0, gave: false, misses: 0, replan: None })
    }

    /// The read that is next; begins a poll when none is in hand.
    pub(super) fn next_block(&mut self, now: Mono) -> Option<Block> {
        if self.left == 0 {
            if self.blocks.is_empty() || self.replan.is_some_and(|at| now >= at) {
                self.blocks = blocks_of(&self.device);
                self.replan = None;
            }
            self.left = self.blocks.len();
            self.gave = false;
        }
        if self.cursor >= self.blocks.len() {
            self.cursor = 0;
        }
        self.blocks.get(self.cursor).cloned()
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
        let Some(block) = self.blocks.get(self.cursor) else { return (self.failed(), false) };
        if let Some((left, right)) = block.halves() {
            self.blocks.splice(self.cursor..=self.cursor, [left, right]);
            self.left += 1;
            return (Progress::More, false);
        }
        (self.leave_out(now), true)
    }

    /// The device will not give this block: it is not asked for again for a while.
    pub(super) fn leave_out(&mut self, now: Mono) -> Progress {
        if self.cursor < self.blocks.len() {
            self.blocks.remove(self.cursor);
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

fn blocks_of(device: &Device) -> Vec<Block> {
    plan(&device.profile.registers(), &device.profile.modbus_limits())
}

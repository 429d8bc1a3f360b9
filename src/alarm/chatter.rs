//! The chatter guard: an alarm that comes and goes three times within a minute is one alarm, with a count.

use crate::model::{Mono, Wall};
use std::collections::VecDeque;
use std::time::Duration;

/// So many comings and goings …
pub const CHATTER_TIMES: usize = 3;
/// … within so long make it one that chatters; it has settled when it was quiet for as long.
pub const CHATTER_WITHIN: Duration = Duration::from_secs(60);
/// While it chatters its count is written down this often.
pub const CHATTER_NOTED: Duration = Duration::from_secs(300);

/// The comings and goings of one rule and subject.
#[derive(Debug)]
pub(super) struct Pulse {
    recent: VecDeque<Mono>,
    /// What the rule last said.
    pub(super) holds: bool,
    /// When it was last said.
    pub(super) said: Wall,
}

impl Pulse {
    pub(super) fn new(holds: bool, said: Wall) -> Self {
        Self { recent: VecDeque::with_capacity(CHATTER_TIMES), holds, said }
    }

    /// It came or went; whether that was often of late.
    pub(super) fn beat(&mut self, at: Mono, holds: bool, said: Wall) -> bool {
        (self.holds, self.said) = (holds, said);
        if self.recent.len() == CHATTER_TIMES {
            self.recent.pop_front();
        }
        self.recent.push_back(at);
        self.recent.len() == CHATTER_TIMES
            && self.recent.front().is_some_and(|first| at.since(*first) <= CHATTER_WITHIN)
    }
}

//! The periods of one point: a handful, by start. A sorted list grown by one at a time, because there may be 100,000
//! points, most with one period that is not over, for which a tree would hold room for eleven.

use super::Period;
use crate::model::Wall;

/// Periods by start, each start once.
#[derive(Debug, Default)]
pub(super) struct Periods(Vec<(Wall, Period)>);

impl Periods {
    fn place(&self, start: Wall) -> Result<usize, usize> {
        self.0.binary_search_by_key(&start, |(start, _)| *start)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, start: Wall) -> Option<&Period> {
        self.0.get(self.place(start).ok()?).map(|(_, period)| period)
    }

    pub(super) fn get_mut(&mut self, start: Wall) -> Option<&mut Period> {
        let at = self.place(start).ok()?;
        self.0.get_mut(at).map(|(_, period)| period)
    }

    /// The period that begins then, made when it is not there; there always is one.
    pub(super) fn of(&mut self, start: Wall, new: impl FnOnce() -> Period) -> Option<&mut Period> {
        let at = self.place(start).unwrap_or_else(|at| {
            self.0.reserve_exact(1);
            self.0.insert(at, (start, new()));
            at
        });
        self.0.get_mut(at).map(|(_, period)| period)
    }

    /// Puts a period in, in place of one with the same start.
    pub(super) fn put(&mut self, start: Wall, period: Period) {
        self.retain(|own, _| own != start);
        self.of(start, || period);
    }

    /// The first by start.
    pub(super) fn first(&self) -> Option<(Wall, &Period)> {
        self.0.first().map(|(start, period)| (*start, period))
    }

    /// The last that starts at `horizon` or before.
    pub(super) fn last_until(&self, horizon: Wall) -> Option<Wall> {
        self.0.iter().rev().map(|(start, _)| *start).find(|start| *start <= horizon)
    }

    pub(super) fn remove_first(&mut self) {
        if !self.0.is_empty() {
            self.0.remove(0);
        }
    }

    pub(super) fn retain(&mut self, keep: impl Fn(Wall, &Period) -> bool) {
        self.0.retain(|(start, period)| keep(*start, period));
    }
}

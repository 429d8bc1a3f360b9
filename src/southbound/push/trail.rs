//! The numbers of a terminal's events, and the gaps between them.

use crate::model::Wall;

/// A number this far below the last one is of a terminal that counts anew, not of an event sent again.
const COUNTS_ANEW: u64 = 100_000;

/// What came last of one terminal.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trail {
    last: Option<(u64, Option<Wall>)>,
}

/// Events that did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gap {
    /// The last number before it, and the first behind it.
    pub(super) between: (u64, u64),
    /// The times of those two, as far as the terminal said.
    pub(super) from: Option<Wall>,
    pub(super) to: Option<Wall>,
}

impl Trail {
    /// Notes an event; the gap before it, if there is one. `previous` is the number that the terminal says came before.
    pub(super) fn step(&mut self, number: u64, previous: Option<u64>, at: Option<Wall>) -> Option<Gap> {
        let Some((last, last_at)) = self.last else {
            self.last = Some((number, at));
            return None;
        };
        if number <= last {
            // Sent again, or late; a terminal that was set back begins low.
            if last - number >= COUNTS_ANEW || (number < last && previous == Some(0)) {
                self.last = Some((number, at));
            }
            return None;
        }
        self.last = Some((number, at));
        let before = previous.filter(|previous| *previous < number).unwrap_or(number - 1);
        (before > last).then_some(Gap { between: (last, number), from: last_at, to: at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_where_the_number_before_did_not_come() {
        let mut trail = Trail::default();
        let mut step = |number, previous| trail.step(number, previous, Some(Wall(0))).map(|gap| gap.between);
        for (number, previous, gap) in [
            (1234, Some(1233), None),
            (1235, Some(1234), None),
            (1235, Some(1234), None),
            // Numbers of events that are not sent may lie between, if the terminal says which came before.
            (1240, Some(1235), None),
            (1243, Some(1242), Some((1240, 1243))),
            (1241, Some(1240), None),
            (1244, None, None),
            (1250, None, Some((1244, 1250))),
            // Counts anew.
            (1, Some(0), None),
            (2, Some(1), None),
            (300_000, Some(299_999), Some((2, 300_000))),
            (5, None, None),
            (6, Some(5), None),
            // What it says came before cannot be true.
            (7, Some(900), None),
        ] {
            assert_eq!(step(number, previous), gap, "{number} {previous:?}");
        }
    }
}

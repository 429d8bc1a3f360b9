//! How a counter goes on: growth, a wrap, a slip of one value, or another count altogether. Energy is never negative,
//! and no impossible growth is ever counted.

use super::Point;
use crate::model::{Doubt, PointKind, Reading, Wall};

/// A value is read so long after it was true at most, milliseconds: what a meter may grow beyond the time between two
/// readings.
const SLACK_MS: i64 = 60_000;

/// What is known of a counter beside its values.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Nature {
    /// Where it starts again from zero.
    pub wrap: Option<f64>,
    /// The most it can grow in an hour.
    pub most_per_hour: Option<f64>,
}

impl From<&Point> for Nature {
    fn from(point: &Point) -> Self {
        Self { wrap: point.wrap, most_per_hour: point.max_growth_per_hour }
    }
}

/// What a value is to the values before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Counted {
    /// It goes on from the last one, by so much.
    Grown(f64),
    /// It does not follow from the last one. Nothing is counted until the next one decides.
    Odd(Doubt),
    /// It goes on, by so much, from an odd one: the counter was set back, or the meter exchanged.
    Anew {
        /// The last value of the count before.
        from: f64,
        /// The first of the new one.
        to: f64,
        /// How much it has grown since.
        grown: f64,
    },
}

/// The count of one counter.
#[derive(Debug, Default)]
pub struct Counting {
    last: Option<(Wall, f64)>,
    /// A value that does not follow from the last one.
    odd: Option<(Wall, f64)>,
    nature: Nature,
}

/// The value of a reading that a count looks at: a believed one, or one that was odd before a restart.
#[must_use]
pub fn countable(reading: &Reading) -> Option<f64> {
    let odd = matches!(reading.quality.doubt(), Some(Doubt::CounterWentBack | Doubt::ImpossibleJump));
    (reading.kind == PointKind::Counter)
        .then(|| if odd { reading.value } else { reading.good() })
        .flatten()
        .filter(|value| value.is_finite())
}

impl Counting {
    /// Takes up where it stood; what was earlier than what is known is of no use.
    pub fn stood(&mut self, at: Wall, value: f64) {
        if self.last.is_none_or(|(last_at, _)| last_at <= at) {
            (self.last, self.odd) = (Some((at, value)), None);
        }
    }

    /// Takes up a reading that was counted before a restart.
    pub fn replay(&mut self, at: Wall, reading: &Reading) {
        match countable(reading) {
            Some(value) if reading.good().is_some() => self.stood(at, value),
            Some(value) if self.last.is_some_and(|(last_at, _)| last_at <= at) => {
                self.odd = Some((at, value))
            }
            _ => {}
        }
    }

    /// A time after `horizon` was of a clock that has been set back since.
    pub fn clock_set_back(&mut self, horizon: Wall, at: Wall) {
        for known in [&mut self.last, &mut self.odd].into_iter().flatten() {
            if known.0 > horizon {
                known.0 = at;
            }
        }
    }

    /// The next value. Late ones count for nothing: their growth is in a later one already.
    pub fn next(&mut self, at: Wall, value: f64, nature: Nature) -> Counted {
        self.nature.wrap = nature.wrap.or(self.nature.wrap);
        self.nature.most_per_hour = nature.most_per_hour;
        let Some((last_at, last)) = self.last else {
            self.last = Some((at, value));
            return Counted::Grown(0.0);
        };
        if at < last_at {
            return Counted::Grown(0.0);
        }
        if let Some(grown) = self.growth((last_at, last), (at, value)) {
            // An odd one in between was a slip.
            (self.last, self.odd) = (Some((at, value)), None);
            return Counted::Grown(grown);
        }
        if let Some(odd) = self.odd
            && let Some(grown) = self.growth(odd, (at, value))
        {
            (self.last, self.odd) = (Some((at, value)), None);
            return Counted::Anew { from: last, to: odd.1, grown };
        }
        self.odd = Some((at, value));
        Counted::Odd(if value < last { Doubt::CounterWentBack } else { Doubt::ImpossibleJump })
    }

    /// How much it grew from one value to another; `None` when nothing a counter does leads there.
    fn growth(&self, (earlier, from): (Wall, f64), (later, to): (Wall, f64)) -> Option<f64> {
        let grown = if to >= from {
            to - from
        } else {
            // It went back: a wrap, if that explains it by less than half the range.
            self.nature
                .wrap
                .filter(|wrap| from <= *wrap)
                .map(|wrap| (wrap, wrap - from + to))
                .filter(|(wrap, grown)| *grown < wrap / 2.0)?
                .1
        };
        #[expect(clippy::cast_precision_loss, reason = "a span of hours; a limit is no exact thing")]
        let hours = later.since(earlier).saturating_add(SLACK_MS) as f64 / 3_600_000.0;
        self.nature.most_per_hour.is_none_or(|most| grown <= most * hours).then_some(grown)
    }
}

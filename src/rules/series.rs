//! The values of one point in the order in which they were measured, on a time line that no setting of a clock bends.

use crate::model::{ClockQuality, Mono, Now, PointKind, Reading, Stamp, Wall};
use crate::profile::{Counted, Counting, Nature, Point, countable};
use std::time::Duration;

/// Values may come so long out of their order. For longer than that it is the device's clock that was set back, and
/// the series begins anew.
const MOST_OUT_OF_ORDER: Duration = Duration::from_secs(900);

/// A value and the one before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    /// When it was measured.
    pub(super) at: Wall,
    /// In the point's unit; of a counter how much it has grown since the series began.
    pub(super) value: f64,
    /// The same of the value before; nothing of the first one of a series.
    pub(super) before: Option<(Wall, f64)>,
}

/// When the newest value was measured.
#[derive(Debug)]
struct Newest {
    at: Wall,
    arrived: Mono,
    /// By the device's clock.
    told: Option<Wall>,
}

/// One point's values. Those that come late, by the device's own clock, are left out: what is known is newer.
#[derive(Debug)]
pub(super) struct Series {
    newest: Option<Newest>,
    /// The last sample.
    last: Option<(Wall, f64)>,
    counter: Option<Box<(Nature, Counting)>>,
}

impl Series {
    pub(super) fn new(point: &Point) -> Self {
        let nature = (point.kind == PointKind::Counter).then(|| Nature::from(point));
        let counter = nature.map(|nature| Box::new((nature, Counting::default())));
        Self { newest: None, last: None, counter }
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        (self.newest, self.last) = (None, None);
        if let Some(counter) = &mut self.counter {
            counter.1 = Counting::default();
        }
    }

    /// The next value, if it can be believed and is newer than the last. A counter that is set back or exchanged has
    /// not grown.
    pub(super) fn take(&mut self, now: Now, stamp: &Stamp, reading: &Reading) -> Option<Sample> {
        // A count needs the values that it doubted, too: by them it knows an exchanged meter.
        let value = if self.counter.is_some() { countable(reading) } else { reading.good() }?;
        let told = stamp.device.filter(|_| stamp.clock == ClockQuality::Good);
        let mut at = stamp.effective();
        if let Some(newest) = &self.newest {
            let passed_ms = newest.passed_ms(now, told);
            if passed_ms > 0 {
                at = newest.at.plus_ms(passed_ms);
            } else if now.mono.since(newest.arrived) > MOST_OUT_OF_ORDER {
                self.clear();
            } else {
                return None;
            }
        }
        self.newest = Some(Newest { at, arrived: now.mono, told });
        let value = match &mut self.counter {
            None => value,
            Some(counter) => {
                let (nature, counting) = &mut **counter;
                let grown = match counting.next(at, value, *nature) {
                    Counted::Odd(_) => return None,
                    Counted::Grown(grown) | Counted::Anew { grown, .. } => grown,
                };
                self.last.map_or(0.0, |(_, value)| value) + grown
            }
        };
        let before = self.last.replace((at, value));
        Some(Sample { at, value, before })
    }
}

impl Newest {
    /// Milliseconds from this value to the next one: by the device's clock where both have a time of it, for a device
    /// may have kept them and deliver all at once; else by our own that never jumps.
    fn passed_ms(&self, now: Now, told: Option<Wall>) -> i64 {
        let by_device = self.told.zip(told).map(|(before, told)| told.since(before)).filter(|ms| *ms != 0);
        by_device
            .unwrap_or_else(|| i64::try_from(now.mono.since(self.arrived).as_millis()).unwrap_or(i64::MAX))
    }
}

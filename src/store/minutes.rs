//! Minutes: a level that is stored nowhere, made of the readings themselves when somebody asks.

use super::{Reader, Span, StoreError};
use crate::aggregate::Aggregates;
use crate::model::{DeviceId, PointId, RollUp, Wall};
use crate::profile::Nature;
use std::ops::ControlFlow;

/// The longest span whose minutes can be asked for, milliseconds: a day on which clocks are set back.
pub const MINUTES_MS: i64 = 25 * 3_600_000;
/// Most readings that minutes are made of: one every two seconds of a day. They take some 4 MB.
pub const MINUTE_READINGS: usize = 45_000;
const MINUTE_MS: i64 = 60_000;
/// A counter grows from its last value before the span, if that is no older, milliseconds.
const COUNTED_FROM_MS: i64 = 3_600_000;

impl Reader {
    /// The minutes of one point that start in `[from, to)`, at most [`MINUTES_MS`] of them, oldest first; `None` if they
    /// have more than [`MINUTE_READINGS`]. `wrap` is where the point's counter starts again from zero, if known.
    ///
    /// The same computation makes them as makes the roll-ups that are stored, of the same readings in the order of
    /// their times: late ones are in their minute, and the revision is always 0.
    ///
    /// # Errors
    /// When the database or a sealed file cannot be read.
    pub fn minutes(
        &self,
        device: &DeviceId,
        point: &PointId,
        (from, to): (Wall, Wall),
        nature: Nature,
    ) -> Result<Option<Vec<RollUp>>, StoreError> {
        let next_minute = |at: Wall| at.plus_ms(MINUTE_MS - 1).period_start(MINUTE_MS);
        let (from, to) = (next_minute(from), next_minute(to.min(from.plus_ms(MINUTES_MS))));
        let span = Span {
            device: Some(device.clone()),
            point: Some(point.clone()),
            from: from.plus_ms(-COUNTED_FROM_MS),
            to,
        };
        let (mut found, mut whole) = (Vec::new(), true);
        self.scan(&span, |seq, stored| {
            whole = found.len() < MINUTE_READINGS;
            if whole {
                found.push((stored.stamp.effective(), seq, stored.stamp, stored.reading));
                return ControlFlow::Continue(());
            }
            ControlFlow::Break(())
        })?;
        if !whole {
            return Ok(None);
        }
        found.sort_unstable_by_key(|(at, seq, ..)| (*at, *seq));
        let (mut made, mut minutes, mut ends) = (Aggregates::new(60), Vec::new(), Wall(i64::MIN));
        for (at, _, stamp, reading) in &found {
            if *at >= ends {
                minutes.append(&mut made.close(*at));
                ends = at.period_start(MINUTE_MS).plus_ms(MINUTE_MS);
            }
            made.add(device, stamp, reading, nature);
        }
        minutes.append(&mut made.close(to.plus_ms(2 * MINUTE_MS)));
        minutes.retain(|minute| minute.start >= from);
        Ok(Some(minutes))
    }
}

#[cfg(test)]
mod tests;

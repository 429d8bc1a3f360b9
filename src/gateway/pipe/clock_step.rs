//! Notices that the wall clock was set: it and the clock that never jumps have moved by different spans.

use crate::model::{Now, Wall};
use crate::pipeline::Audit;

/// A difference that is no drift any more, milliseconds: time daemons slew what is smaller.
const STEP_MS: i64 = 2000;

/// The moment that was looked at last.
#[derive(Debug)]
pub(super) struct ClockWatch(Now);

/// The wall clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClockStep {
    /// By how much, milliseconds; negative is back.
    pub by_ms: i64,
    /// What it shows now.
    pub to: Wall,
}

impl ClockWatch {
    pub(super) fn new(now: Now) -> Self {
        Self(now)
    }

    /// Looks again.
    pub(super) fn look(&mut self, now: Now) -> Option<ClockStep> {
        let before = std::mem::replace(&mut self.0, now);
        let passed = i64::try_from(now.mono.since(before.mono).as_millis()).unwrap_or(i64::MAX);
        let by_ms = now.wall.since(before.wall).saturating_sub(passed);
        (by_ms.saturating_abs() >= STEP_MS).then_some(ClockStep { by_ms, to: now.wall })
    }
}

impl ClockStep {
    /// The row of the audit trail that dates what was stored before by the new clock: it stands between the rows in
    /// their order, and tells what to add to the times of those before it.
    pub(super) fn entry(self) -> Audit {
        let detail = format!(
            "by_ms={} from={} to={}",
            self.by_ms,
            Wall(self.to.0.saturating_sub(self.by_ms)),
            self.to
        );
        Audit { at: self.to, actor: "system".into(), action: "clock_set", subject: "clock".into(), detail }
    }

    /// Says so in the log.
    pub(super) fn tell(self) {
        let (by_s, known) = (self.by_ms / 1000, self.to.plausible());
        if known {
            tracing::warn!(by_s, to = %self.to, "the wall clock was set; delays are not affected, records carry the new time");
        } else {
            tracing::warn!(by_s, to = %self.to, "the wall clock was set to a time that cannot be true; records are marked so until it is set right");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Mono;

    #[test]
    fn steps_are_told_from_the_passing_of_time() {
        const DAY: i64 = 86_400_000;
        for (passed, wall, step) in [
            (200, 200, None),
            (30_000, 30_000, None),
            (200, 1900, None),
            (200, 200 - DAY, Some(-DAY)),
            (200, 200 + 3652 * DAY, Some(3652 * DAY)),
            (1000, 4000, Some(3000)),
            (0, i64::MIN, Some(i64::MIN)),
        ] {
            let mut watch = ClockWatch::new(Now { mono: Mono(5), wall: Wall(0) });
            let found = watch.look(Now { mono: Mono(5 + passed), wall: Wall(wall) });
            assert_eq!(found.map(|step| step.by_ms), step, "{passed} {wall}");
            assert_eq!(watch.look(Now { mono: Mono(6 + passed), wall: Wall(wall + 1) }), None);
        }
    }
}

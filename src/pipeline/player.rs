//! The pipeline in simulated time: what would happen if this were observed then. Nothing of it is stored or told.

use super::{Pipeline, Remembered, Settings};
use crate::model::{AlarmChange, Delivery, Mono, Now, Wall};
use crate::rules::{Engine, World};
use std::sync::Arc;
use std::time::Duration;

/// A pipeline and the time it is there.
#[derive(Debug)]
pub struct Player {
    pipeline: Pipeline,
    now: Now,
}

impl Player {
    /// Starts a pipeline at that time.
    #[must_use]
    pub fn start(
        at: Wall,
        settings: Settings,
        world: Arc<World>,
        engine: Engine,
        remembered: Remembered,
    ) -> Self {
        let now = Now { mono: Mono(0), wall: at };
        Self { pipeline: Pipeline::start(now, settings, world, engine, remembered), now }
    }

    /// Lets time pass, stopping at each deadline, and hands on what happens to alarms. What is due at `to` itself has
    /// happened then.
    pub fn until(&mut self, to: Wall, each: &mut impl FnMut(&AlarmChange)) {
        loop {
            let left = Duration::from_millis(u64::try_from(to.since(self.now.wall)).unwrap_or(0));
            let due = self.pipeline.next_deadline(self.now).since(self.now.mono);
            // A deadline that stays due must not hold time up.
            let pass = due.max(Duration::from_millis(1)).min(left);
            self.pass(pass);
            self.take([], each);
            if pass == left {
                return;
            }
        }
    }

    /// This arrives now.
    pub fn take(&mut self, batch: impl IntoIterator<Item = Delivery>, each: &mut impl FnMut(&AlarmChange)) {
        self.pipeline.step(self.now, batch).alarm_changes.iter().for_each(each);
    }

    fn pass(&mut self, span: Duration) {
        let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        self.now = Now { mono: self.now.mono.plus(span), wall: self.now.wall.plus_ms(ms) };
    }
}

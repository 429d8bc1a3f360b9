//! What holds for a try by whatever channel: its time is limited, and it is counted.

use super::{Message, Notifier, Rate, TRY_LIMIT, Told, Verdict};
use crate::model::ChannelId;
use crate::runtime::{Clock, Tally};
use std::sync::Arc;

/// A channel whose tries are limited and counted.
pub(super) struct Attempts {
    inner: Box<dyn Notifier>,
    id: ChannelId,
    /// As the configuration has it, where it does.
    rate: Option<Rate>,
    clock: Arc<dyn Clock>,
    tally: Arc<Tally>,
}

impl Attempts {
    pub(super) fn new(
        inner: Box<dyn Notifier>,
        (id, rate): (ChannelId, Option<Rate>),
        clock: Arc<dyn Clock>,
        tally: Arc<Tally>,
    ) -> Self {
        Self { inner, id, rate, clock, tally }
    }
}

impl std::fmt::Debug for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Attempts").field(&self.id).field(&self.inner).finish()
    }
}

impl Notifier for Attempts {
    fn rate(&self) -> Rate {
        self.rate.unwrap_or_else(|| self.inner.rate())
    }

    fn tell<'a>(&'a mut self, message: &'a Message) -> Told<'a> {
        Box::pin(async move {
            let begun = self.clock.now().mono;
            let told = tokio::time::timeout(TRY_LIMIT, self.inner.tell(message)).await;
            let verdict = told.unwrap_or_else(|_| Verdict::Failed {
                why: format!("no answer within {} s", TRY_LIMIT.as_secs()),
            });
            let took = self.clock.now().mono.since(begun);
            self.tally.notify_attempts.of(&(self.id.clone(), verdict.word())).one();
            let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            self.tally.notify_millis.of(&self.id).add(millis);
            verdict
        })
    }

    fn said(&self) -> Option<&str> {
        self.inner.said()
    }
}

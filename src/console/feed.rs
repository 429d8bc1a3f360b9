//! The way of alarm changes from the pipe to whoever follows them, behind the disk: a ring that never waits.

use crate::model::AlarmChange;
use axum::body::Bytes;
use std::sync::{Arc, OnceLock};
use tokio::sync::broadcast;

/// Changes kept for whoever is behind; further back they are read from the store.
const RING: usize = 1024;

/// A change that is durable.
#[derive(Debug)]
pub(super) struct Told {
    /// Its number in the store.
    pub(super) seq: u64,
    /// What happened.
    pub(super) change: AlarmChange,
    text: OnceLock<Bytes>,
}

impl Told {
    /// The message, written once however many follow.
    pub(super) fn text(&self, write: impl FnOnce(u64, &AlarmChange) -> Bytes) -> Bytes {
        self.text.get_or_init(|| write(self.seq, &self.change)).clone()
    }
}

/// Where the pipe says what became durable.
#[derive(Debug, Clone)]
pub struct Feed(broadcast::Sender<Arc<Told>>);

impl Feed {
    /// A feed that nobody follows yet.
    #[must_use]
    pub fn new() -> Self {
        Self::of(RING)
    }

    /// With so much room.
    pub(super) fn of(ring: usize) -> Self {
        Self(broadcast::Sender::new(ring))
    }

    /// These changes are durable; the last of them under this number, the others under those before it.
    pub fn committed(&self, last: u64, changes: Vec<AlarmChange>) {
        let count = u64::try_from(changes.len()).unwrap_or(0);
        for (seq, change) in (last.saturating_sub(count).saturating_add(1)..).zip(changes) {
            // Nobody follows: whoever comes reads the store.
            self.0.send(Arc::new(Told { seq, change, text: OnceLock::new() })).ok();
        }
    }

    /// Everything from now on. Whoever reads the store after this misses nothing: what was said before is in it.
    pub(super) fn follow(&self) -> broadcast::Receiver<Arc<Told>> {
        self.0.subscribe()
    }
}

impl Default for Feed {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::stream::tests::raised;

    #[tokio::test]
    async fn changes_have_the_numbers_of_the_store_and_are_written_once_for_all() {
        let feed = Feed::new();
        feed.committed(3, vec![raised(1)]);
        let (mut one, mut other) = (feed.follow(), feed.follow());
        feed.committed(5, vec![raised(2), raised(3)]);
        feed.committed(5, Vec::new());
        let mut written = 0;
        for reader in [&mut one, &mut other] {
            for seq in [4, 5] {
                let told = reader.recv().await.unwrap();
                let text = told.text(|seq, change| {
                    written += 1;
                    Bytes::from(format!("{seq}: {}", change.alarm.id))
                });
                assert_eq!((told.seq, text), (seq, Bytes::from(format!("{seq}: {}", seq - 2))));
            }
            assert!(reader.is_empty(), "and nothing else");
        }
        assert_eq!(written, 2);
    }
}

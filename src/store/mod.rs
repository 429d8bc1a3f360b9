//! The store: one SQLite file, one transaction per commit, one thread that owns the write connection.

use crate::model::{DestinationId, OutboxItem};
use tokio::sync::watch;

/// What a platform said of records, to be made durable.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settlement {
    /// Numbers of records it has; their rows are deleted.
    pub delivered: Vec<u64>,
    /// Numbers of records it will never take, with its reason; their rows move to `set_aside`.
    pub set_aside: Vec<(u64, String)>,
}

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store's thread has ended.
    #[error("the store is closed")]
    Closed,
}

/// The store's thread, from any task.
#[derive(Debug, Clone)]
pub struct Handle {
    owed: watch::Receiver<u64>,
}

impl Handle {
    /// The next records owed to a destination, alarms first, then by number; at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be read or the store is closed.
    pub async fn owed(&self, to: &DestinationId, limit: usize) -> Result<Vec<OutboxItem>, StoreError> {
        let _ = (to, limit);
        Err(StoreError::Closed)
    }

    /// Makes a platform's answer durable.
    ///
    /// # Errors
    /// When the database cannot be written or the store is closed.
    pub async fn settle(&self, to: &DestinationId, answer: Settlement) -> Result<(), StoreError> {
        let _ = (to, answer);
        Err(StoreError::Closed)
    }

    /// Changes whenever a commit adds records to the outbox.
    #[must_use]
    pub fn owed_changed(&self) -> watch::Receiver<u64> {
        self.owed.clone()
    }
}

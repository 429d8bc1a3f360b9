//! Named tasks: spawned in one place, joined at the end, and a panic in one is its own fault and nobody else's.

use futures_util::FutureExt;
use std::future::Future;
use tokio::task::JoinSet;

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It returned.
    Done,
    /// It panicked, with this message.
    Panicked(String),
    /// It was cut off.
    Aborted,
}

/// A set of named tasks.
#[derive(Debug, Default)]
pub struct Tasks {
    set: JoinSet<&'static str>,
    names: std::collections::HashMap<tokio::task::Id, &'static str>,
}

impl Tasks {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task.
    pub fn spawn(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        // An async block around it would hold it twice.
        let handle = self.set.spawn(work.map(move |()| name));
        self.names.insert(handle.id(), name);
    }

    /// Waits for the next task to end; `None` when there is none left.
    pub async fn next_ended(&mut self) -> Option<(&'static str, Ended)> {
        match self.set.join_next_with_id().await? {
            Ok((id, name)) => {
                self.names.remove(&id);
                Some((name, Ended::Done))
            }
            Err(error) => {
                let name = self.names.remove(&error.id()).unwrap_or("unnamed");
                Some((name, ended(error)))
            }
        }
    }

    /// How many still run, or have ended and were not waited for.
    #[must_use]
    pub fn count(&self) -> usize {
        self.set.len()
    }
}

fn ended(error: tokio::task::JoinError) -> Ended {
    if error.is_cancelled() {
        return Ended::Aborted;
    }
    let panic = error.into_panic();
    let text = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
    Ended::Panicked(text.unwrap_or_else(|| "no message".into()))
}

/// Runs a piece of work as a task of its own, from now on, so that a panic in it comes back as a value.
///
/// No `async fn`: who waits would hold room for the work, too, and there are thousands who do.
pub fn isolated<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = Result<T, Ended>> + Send {
    let mut set = JoinSet::new();
    set.spawn(work);
    async move {
        match set.join_next().await {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(ended(error)),
            None => Err(Ended::Aborted),
        }
    }
}

//! The lock on the data directory: one gateway at a time.

use super::StoreError;
use std::fs::{File, TryLockError};
use std::path::Path;

/// Held while this lives; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct DirLock(File);

impl DirLock {
    /// Takes the lock without waiting.
    pub(super) fn take(dir: &Path) -> Result<Self, StoreError> {
        let file = |doing| move |cause| StoreError::File { path: dir.to_owned(), doing, cause };
        let lock = File::create(dir.join("schoolgate.lock")).map_err(file("making the lock file"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::Locked(dir.to_owned()),
            TryLockError::Error(cause) => file("locking")(cause),
        })?;
        Ok(Self(lock))
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that another thread is starting at this moment has a copy of it,
        // and with it the lock, until it runs its own program. Where unlocking fails, closing is what is left.
        self.0.unlock().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_free_once_dropped_whoever_has_a_copy_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::take(dir.path()).unwrap();
        assert!(matches!(DirLock::take(dir.path()), Err(StoreError::Locked(path)) if path == dir.path()));
        // What a process between fork and exec has.
        let copy = lock.0.try_clone().unwrap();
        drop(lock);
        let again = DirLock::take(dir.path()).unwrap();
        drop(copy);
        assert!(DirLock::take(dir.path()).is_err(), "the copy's end leaves the new lock alone");
        drop(again);
    }
}

//! Deadlines by key: the earliest is known at once, and setting one replaces the one before.

use crate::model::Mono;
use std::collections::{BTreeMap, BTreeSet};

/// At most one deadline per key.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    at: BTreeMap<K, Mono>,
    queue: BTreeSet<(Mono, K)>,
}

impl<K: Ord + Clone> Timers<K> {
    pub(crate) fn new() -> Self {
        Self { at: BTreeMap::new(), queue: BTreeSet::new() }
    }

    /// Sets the key's deadline, or takes it away.
    pub(crate) fn set(&mut self, key: &K, deadline: Option<Mono>) {
        let before = match deadline {
            Some(at) => self.at.insert(key.clone(), at),
            None => self.at.remove(key),
        };
        if before == deadline {
            return;
        }
        if let Some(at) = before {
            self.queue.remove(&(at, key.clone()));
        }
        if let Some(at) = deadline {
            self.queue.insert((at, key.clone()));
        }
    }

    pub(crate) fn is_set(&self, key: &K) -> bool {
        self.at.contains_key(key)
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Mono> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes out the key with the earliest deadline.
    pub(crate) fn pop(&mut self) -> Option<K> {
        let (_, key) = self.queue.pop_first()?;
        self.at.remove(&key);
        Some(key)
    }

    /// Takes out every key whose deadline is not after `now`, earliest first.
    pub(crate) fn take_due(&mut self, now: Mono) -> Vec<K> {
        let mut due = Vec::new();
        while self.next().is_some_and(|at| at <= now) {
            due.extend(self.pop());
        }
        due
    }

    pub(crate) fn clear(&mut self) {
        self.at.clear();
        self.queue.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_a_new_deadline_replaces_the_old() {
        let mut timers = Timers::new();
        for (key, at) in [("a", 5), ("b", 3), ("c", 9)] {
            timers.set(&key, Some(Mono(at)));
        }
        timers.set(&"b", Some(Mono(7)));
        timers.set(&"c", None);
        timers.set(&"d", None);
        assert_eq!(timers.next(), Some(Mono(5)));
        assert_eq!(timers.take_due(Mono(4)), Vec::<&str>::new());
        assert_eq!(timers.take_due(Mono(7)), ["a", "b"]);
        assert!(timers.next().is_none() && !timers.is_set(&"a"));
    }
}

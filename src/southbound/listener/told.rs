//! What was told in the log, so that whoever repeats himself is told once a minute, with how often.

use crate::model::Mono;
use std::collections::HashMap;

/// Shortest pause between two lines about the same.
const EVERY_MS: u64 = 60_000;
/// Most things remembered; what is new beyond them is told once a minute all together.
const MOST: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Told(HashMap<String, (Mono, u64)>);

impl Told {
    /// How many times since it was last told, if it is to be told now.
    pub(super) fn news(&mut self, what: &str, now: Mono) -> Option<u64> {
        let fresh = |last: &Mono| now.0.saturating_sub(last.0) < EVERY_MS;
        if self.0.len() >= MOST && !self.0.contains_key(what) {
            self.0.retain(|_, (last, _)| fresh(last));
        }
        let what = if self.0.len() >= MOST && !self.0.contains_key(what) { "" } else { what };
        match self.0.get_mut(what) {
            Some((last, times)) if fresh(last) => {
                *times += 1;
                None
            }
            Some((last, times)) => {
                *last = now;
                Some(std::mem::take(times) + 1)
            }
            None => {
                self.0.insert(what.to_owned(), (now, 0));
                Some(1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_then_once_a_minute_how_often_and_little_is_remembered() {
        let mut told = Told::default();
        assert_eq!(told.news("a", Mono(0)), Some(1));
        assert_eq!(told.news("a", Mono(1)), None);
        assert_eq!(told.news("b", Mono(2)), Some(1));
        assert_eq!(told.news("a", Mono(60_000)), Some(2));
        let new = (0..10_000).filter(|n| told.news(&n.to_string(), Mono(60_001)).is_some()).count();
        assert!((200..=MOST).contains(&new), "{new}");
        assert!(told.0.len() <= MOST + 1);
        assert_eq!(told.news("c", Mono(200_000)), Some(1), "and room again later");
    }
}

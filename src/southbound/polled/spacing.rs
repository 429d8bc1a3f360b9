//! The pause between an answer and the next request: longer while many answers come damaged.
//!
//! Damaged answers are what two masters on one line make of each other, or a device that needs more time between two
//! requests. Both get better with more silence; whoever looks at the line gets a hint.

use std::time::Duration;

/// The share of damaged answers is that of about so many.
const WINDOW: u32 = 32;
/// A share of one, as a number.
const ONE: u32 = 1024;
/// From this share on the pause grows: one answer in twelve.
const MANY: u32 = ONE / 12;
/// Below this share it shrinks again: one in fifty.
const FEW: u32 = ONE / 50;
/// The first pause.
const FIRST: Duration = Duration::from_millis(5);
/// The longest.
const LONGEST: Duration = Duration::from_millis(200);

/// What a technician should hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Of a hundred answers so many come damaged.
    Bad(u32),
    /// It is over.
    Good,
}

/// The pause after each answer on one bus. Pure.
#[derive(Debug)]
pub(super) struct Spacing {
    least: Duration,
    more: Duration,
    /// Damaged answers, of [`ONE`].
    share: u32,
    /// Answers since the pause last changed, at most [`WINDOW`].
    since: u32,
    bad: bool,
}

impl Spacing {
    /// Never less than `least`.
    pub(super) fn new(least: Duration) -> Self {
        Self { least, more: Duration::ZERO, share: 0, since: 0, bad: false }
    }

    /// The pause before the next request.
    pub(super) fn pause(&self) -> Duration {
        self.least + self.more
    }

    /// Notes how an answer came.
    pub(super) fn note(&mut self, damaged: bool) -> Option<News> {
        let target = if damaged { ONE } else { 0 };
        self.share = (self.share * (WINDOW - 1) + target).div_ceil(WINDOW).min(ONE);
        if !damaged {
            // Rounding up would never let it reach nothing.
            self.share = self.share.saturating_sub(1);
        }
        self.since += 1;
        if self.since < WINDOW {
            return None;
        }
        if self.share >= MANY {
            self.since = 0;
            self.more = (self.more * 2).clamp(FIRST, LONGEST);
            let was_bad = std::mem::replace(&mut self.bad, true);
            return (!was_bad).then_some(News::Bad(self.share * 100 / ONE));
        }
        if self.share < FEW && self.bad {
            self.since = 0;
            self.more /= 2;
            if self.more < FIRST {
                (self.more, self.bad) = (Duration::ZERO, false);
                return Some(News::Good);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m09_the_pause_grows_with_damage_and_shrinks_again_and_both_are_told_once() {
        let least = Duration::from_millis(2);
        let mut spacing = Spacing::new(least);
        for n in 0..1000 {
            assert_eq!(spacing.note(n % 100 == 0), None, "one in a hundred is nothing");
        }
        assert_eq!(spacing.pause(), least);
        let news: Vec<News> = (0..1000).filter_map(|n| spacing.note(n % 4 == 0)).collect();
        assert!(matches!(news[..], [News::Bad(8..=40)]), "{news:?}");
        assert_eq!(spacing.pause(), least + LONGEST);
        let news: Vec<News> = (0..1000).filter_map(|_| spacing.note(false)).collect();
        assert_eq!(news, [News::Good]);
        assert_eq!(spacing.pause(), least);
    }

    #[test]
    fn m09_a_few_bad_answers_at_the_beginning_are_no_news() {
        let mut spacing = Spacing::new(Duration::ZERO);
        assert!((0..WINDOW - 1).all(|_| spacing.note(true).is_none()));
    }
}

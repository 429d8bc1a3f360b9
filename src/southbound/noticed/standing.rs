//! States that a device tells again and again while they last, and whose end it may never tell.

use crate::model::{Mono, Phase};
use crate::notice::Notice;
use std::collections::BTreeMap;
use std::time::Duration;

/// States remembered; beyond, every message is news.
const MOST: usize = 8192;

/// Which states hold, by address, code and part. An event with a number or a person of its own is no state.
#[derive(Debug)]
pub(crate) struct Standing {
    end_after: Option<Duration>,
    /// Whether a state that is told again is news all the same.
    again: bool,
    states: BTreeMap<(String, String, Option<String>), State>,
}

#[derive(Debug)]
enum State {
    /// Told; over by itself at this moment unless it is told again.
    Holds(Option<Mono>),
    Over,
}

impl Standing {
    /// A state that is not told again for `end_after` is over; `None` is never.
    pub(crate) fn new(end_after: Option<Duration>) -> Self {
        Self { end_after, again: false, states: BTreeMap::new() }
    }

    /// Of panels, that tell every end and, as long as somebody must do something, their alarms again: a state told again
    /// is news, an end told again is not.
    pub(crate) fn of_panels() -> Self {
        Self { end_after: None, again: true, states: BTreeMap::new() }
    }

    /// Whether a notice is news: not the state that is known already.
    pub(crate) fn is_news(&mut self, address: &str, notice: &Notice, now: Mono) -> bool {
        if notice.serial.is_some() || notice.subject.is_some() || notice.late {
            return true;
        }
        let new = match notice.phase {
            Some(Phase::Start) => State::Holds(self.end_after.map(|span| now.plus(span))),
            Some(Phase::End) => State::Over,
            Some(Phase::Moment) | None => return true,
        };
        let key = (address.to_owned(), notice.code.clone(), notice.part.clone());
        if !self.states.contains_key(&key) && self.states.len() >= MOST {
            self.states.retain(|_, state| matches!(state, State::Holds(_)));
            if self.states.len() >= MOST {
                return true;
            }
        }
        let starts = matches!(new, State::Holds(_));
        match self.states.insert(key, new) {
            Some(State::Holds(_)) => !starts || self.again,
            Some(State::Over) => starts,
            None => true,
        }
    }

    /// The states that ended because they were not told again: their ends, by address.
    pub(crate) fn ended(&mut self, now: Mono) -> Vec<(String, Notice)> {
        let mut ended = Vec::new();
        for ((address, code, part), state) in &mut self.states {
            if matches!(state, State::Holds(Some(until)) if *until <= now) {
                *state = State::Over;
                let phase = Some(Phase::End);
                let part = part.clone();
                ended.push((address.clone(), Notice { phase, part, ..Notice::bare(code.clone()) }));
            }
        }
        ended
    }

    /// While an address could not be heard it could not tell its states again: they last from now.
    pub(crate) fn heard_again(&mut self, now: Mono) {
        let until = self.end_after.map(|span| now.plus(span));
        for state in self.states.values_mut().filter(|state| matches!(state, State::Holds(_))) {
            *state = State::Holds(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(code: &str, phase: Phase) -> Notice {
        Notice { phase: Some(phase), ..Notice::bare(code) }
    }

    #[test]
    fn a_state_is_news_once_and_ends_when_it_is_not_told_again() {
        let mut standing = Standing::new(Some(Duration::from_secs(60)));
        let (start, end) = (notice("VMD", Phase::Start), notice("VMD", Phase::End));
        let at = |secs: u64| Mono(secs * 1000);
        assert!(standing.is_news("a", &start, at(0)));
        assert!(!standing.is_news("a", &start, at(30)), "told again");
        assert!(standing.is_news("b", &start, at(30)), "another device");
        assert!(standing.ended(at(89)).is_empty(), "told again at 30 s, it lasts to 90 s");
        let ended = standing.ended(at(90));
        assert_eq!(ended.len(), 2);
        assert_eq!((ended[0].0.as_str(), ended[0].1.phase), ("a", Some(Phase::End)));
        assert!(standing.ended(at(500)).is_empty(), "once");
        assert!(!standing.is_news("a", &end, at(501)), "its end is known");
        assert!(standing.is_news("a", &start, at(502)) && standing.is_news("a", &end, at(503)));
        assert!(standing.is_news("c", &end, at(504)), "the end of what began before we were there");
    }

    #[test]
    fn an_event_with_a_number_is_always_news_and_memory_has_an_end() {
        let mut standing = Standing::new(None);
        let pass = Notice { serial: Some("7".into()), ..notice("5/75", Phase::Start) };
        assert!(standing.is_news("a", &pass, Mono(0)) && standing.is_news("a", &pass, Mono(0)));
        for n in 0..3 * MOST {
            assert!(standing.is_news("a", &notice(&n.to_string(), Phase::Start), Mono(0)));
        }
        assert_eq!(standing.states.len(), MOST);
        assert!(standing.ended(Mono(u64::MAX)).is_empty(), "without a span nothing ends by itself");
    }

    #[test]
    fn a_panel_may_tell_its_alarm_again_but_not_that_all_is_well() {
        let mut standing = Standing::of_panels();
        let (start, end) = (notice("fire", Phase::Start), notice("fire", Phase::End));
        for (told, news) in
            [(&end, true), (&end, false), (&start, true), (&start, true), (&end, true), (&end, false)]
        {
            assert_eq!(standing.is_news("a", told, Mono(0)), news, "{:?}", told.phase);
        }
    }

    #[test]
    fn a_connection_that_was_away_does_not_end_states() {
        let mut standing = Standing::new(Some(Duration::from_secs(60)));
        assert!(standing.is_news("a", &notice("VMD", Phase::Start), Mono(0)));
        standing.heard_again(Mono(300_000));
        assert!(standing.ended(Mono(359_999)).is_empty());
        assert_eq!(standing.ended(Mono(360_000)).len(), 1);
    }
}

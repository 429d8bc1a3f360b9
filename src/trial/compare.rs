//! What alarms there were, as stretches of time, and how two accounts of the same time differ.

use crate::model::{AlarmKey, ChangeKind, Wall};
use std::collections::BTreeMap;

/// Most stretches that are kept; what is more is counted.
const MAX_EPISODES: usize = 200_000;

/// From one raising or return of an alarm until its cause was gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Episode {
    /// Of which rule and subject.
    pub key: AlarmKey,
    /// When it began.
    pub from: Wall,
    /// When it ended; `None` for a moment, or when it had not ended.
    pub to: Option<Wall>,
}

impl Episode {
    /// How long it lasted, milliseconds; a moment has no length.
    #[must_use]
    pub fn ms(&self) -> i64 {
        self.to.map_or(0, |to| to.since(self.from).max(0))
    }
}

/// The stretches of some alarms, as their changes come.
#[derive(Debug, Clone, Default)]
pub struct Episodes {
    all: Vec<Episode>,
    open: BTreeMap<AlarmKey, usize>,
    /// Stretches beyond the most that are kept.
    pub more: u64,
}

impl Episodes {
    /// One step in an alarm's life.
    pub fn note(&mut self, key: &AlarmKey, kind: ChangeKind, at: Wall) {
        match kind {
            ChangeKind::Raised | ChangeKind::Recurred if self.all.len() >= MAX_EPISODES => {
                self.more = self.more.saturating_add(1);
                self.open.remove(key);
            }
            ChangeKind::Raised | ChangeKind::Recurred => {
                self.open.insert(key.clone(), self.all.len());
                self.all.push(Episode { key: key.clone(), from: at, to: None });
            }
            ChangeKind::Cleared => {
                let open = self.open.remove(key).and_then(|at| self.all.get_mut(at));
                if let Some(episode) = open {
                    episode.to = Some(at);
                }
            }
            _ => {}
        }
    }

    /// All of them, in order of their beginning.
    #[must_use]
    pub fn into_sorted(self) -> Vec<Episode> {
        let mut all = self.all;
        all.sort_by(|a, b| (a.from, &a.key).cmp(&(b.from, &b.key)));
        all
    }
}

/// Two accounts of the same time, side by side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// In both, as the first has them.
    pub same: Vec<Episode>,
    /// In the first alone.
    pub only_now: Vec<Episode>,
    /// In the second alone.
    pub only_then: Vec<Episode>,
}

/// Compares what comes out now with what was raised then. Two are the same when they are of the same rule and subject
/// and begin within `within_ms` of one another; each is matched once, the earliest first. Both are in order of time.
#[must_use]
pub fn compare(now: &[Episode], then: &[Episode], within_ms: i64) -> Compared {
    let mut by_key: BTreeMap<&AlarmKey, std::collections::VecDeque<&Episode>> = BTreeMap::new();
    then.iter().for_each(|episode| by_key.entry(&episode.key).or_default().push_back(episode));
    let mut compared = Compared::default();
    for episode in now {
        let candidates = by_key.entry(&episode.key).or_default();
        while let Some(early) = candidates.pop_front_if(|c| episode.from.since(c.from) > within_ms) {
            compared.only_then.push(early.clone());
        }
        match candidates.pop_front_if(|c| c.from.since(episode.from) <= within_ms) {
            Some(_) => compared.same.push(episode.clone()),
            None => compared.only_now.push(episode.clone()),
        }
    }
    compared.only_then.extend(by_key.into_values().flatten().cloned());
    compared.only_then.sort_by(|a, b| (a.from, &a.key).cmp(&(b.from, &b.key)));
    compared
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RuleId;

    fn key(subject: &str) -> AlarmKey {
        AlarmKey { rule: RuleId::new("r").unwrap(), subject: subject.into() }
    }

    fn episodes(all: &[(&str, i64)]) -> Vec<Episode> {
        all.iter().map(|(subject, at)| Episode { key: key(subject), from: Wall(*at), to: None }).collect()
    }

    #[test]
    fn a_stretch_lasts_until_its_cause_is_gone() {
        let mut seen = Episodes::default();
        for (subject, kind, at) in [
            ("a", ChangeKind::Cleared, 1),
            ("a", ChangeKind::Raised, 2),
            ("b", ChangeKind::Raised, 3),
            ("a", ChangeKind::Acknowledged, 4),
            ("a", ChangeKind::Cleared, 5),
            ("a", ChangeKind::Closed, 5),
            ("a", ChangeKind::Recurred, 7),
        ] {
            seen.note(&key(subject), kind, Wall(at));
        }
        let seen: Vec<_> = seen.into_sorted().into_iter().map(|e| (e.key.subject, e.from.0, e.to)).collect();
        let expected =
            [("a".to_owned(), 2, Some(Wall(5))), ("b".to_owned(), 3, None), ("a".to_owned(), 7, None)];
        assert_eq!(seen, expected);
    }

    #[test]
    fn each_is_matched_once_and_only_when_near() {
        let now = episodes(&[("a", 100), ("a", 5000), ("b", 100), ("c", 9000)]);
        let then = episodes(&[("a", 0), ("a", 150), ("b", 1200), ("d", 1)]);
        let compared = compare(&now, &then, 1000);
        let of = |all: &[Episode]| all.iter().map(|e| (e.key.subject.clone(), e.from.0)).collect::<Vec<_>>();
        assert_eq!(of(&compared.same), [("a".into(), 100)]);
        assert_eq!(of(&compared.only_now), [("a".into(), 5000), ("b".into(), 100), ("c".into(), 9000)]);
        assert_eq!(of(&compared.only_then), [("d".into(), 1), ("a".into(), 150), ("b".into(), 1200)]);
    }
}

//! Exports of persons: asked for by one person, agreed to by another, fetched once and soon.

use crate::model::{Mono, Wall};
use std::collections::BTreeMap;
use std::time::Duration;

/// Requests kept, open and ended; the oldest that has ended gives way.
const MOST: usize = 50;
/// A request that nobody answers is over after so long.
const ANSWERED_WITHIN: Duration = Duration::from_secs(24 * 3600);
/// What was agreed to is fetched within this time.
const FETCHED_WITHIN: Duration = Duration::from_secs(3600);

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nobody has answered.
    Waiting,
    /// Another person agreed; the file may be fetched.
    Approved,
    /// Another person refused.
    Refused,
    /// The file was fetched.
    Fetched,
    /// Nobody answered, or nobody fetched, in time.
    Expired,
}

impl Stage {
    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Fetched => "fetched",
            Self::Expired => "expired",
        }
    }
}

/// A request.
#[derive(Debug, Clone)]
pub struct Export {
    /// The account or token of who asked.
    pub asker: String,
    /// What for.
    pub purpose: String,
    /// When.
    pub asked_at: Wall,
    /// Who answered, and when.
    pub answered: Option<(String, Wall)>,
    /// How far it is.
    pub stage: Stage,
    /// Since when it is so.
    since: Mono,
}

/// Why something cannot be done with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotNow {
    /// There is none of that number.
    Unknown,
    /// Too many wait for an answer.
    TooMany,
    /// Nobody agrees to their own request.
    Own,
    /// Another person asked.
    NotYours,
    /// It is in another stage.
    Stage(Stage),
}

/// The requests, until the next start.
#[derive(Debug, Default)]
pub struct Approvals {
    last: u64,
    all: BTreeMap<u64, Export>,
}

impl Approvals {
    /// Somebody asks; the number of the request.
    ///
    /// # Errors
    /// When too many are open.
    pub fn ask(&mut self, asker: &str, purpose: &str, (mono, wall): (Mono, Wall)) -> Result<u64, NotNow> {
        self.age(mono);
        if self.all.len() >= MOST {
            let ended = |stage| !matches!(stage, Stage::Waiting | Stage::Approved);
            let oldest = self.all.iter().find(|(_, export)| ended(export.stage)).map(|(id, _)| *id);
            self.all.remove(&oldest.ok_or(NotNow::TooMany)?);
        }
        self.last += 1;
        let export = Export {
            asker: asker.to_owned(),
            purpose: purpose.to_owned(),
            asked_at: wall,
            answered: None,
            stage: Stage::Waiting,
            since: mono,
        };
        self.all.insert(self.last, export);
        Ok(self.last)
    }

    /// All of them, newest first.
    pub fn list(&mut self, now: Mono) -> Vec<(u64, Export)> {
        self.age(now);
        self.all.iter().rev().map(|(id, export)| (*id, export.clone())).collect()
    }

    /// Another person agrees or refuses.
    ///
    /// # Errors
    /// When it is their own, or not waiting.
    pub fn answer(
        &mut self,
        id: u64,
        by: &str,
        agrees: bool,
        (mono, wall): (Mono, Wall),
    ) -> Result<Export, NotNow> {
        self.age(mono);
        let export = self.all.get_mut(&id).ok_or(NotNow::Unknown)?;
        if same(&export.asker, by) {
            return Err(NotNow::Own);
        }
        if export.stage != Stage::Waiting {
            return Err(NotNow::Stage(export.stage));
        }
        export.stage = if agrees { Stage::Approved } else { Stage::Refused };
        export.answered = Some((by.to_owned(), wall));
        export.since = mono;
        Ok(export.clone())
    }

    /// Who asked fetches it; nobody can a second time.
    ///
    /// # Errors
    /// When somebody else asked, or nobody agreed, or it is too late.
    pub fn fetch(&mut self, id: u64, by: &str, now: Mono) -> Result<Export, NotNow> {
        self.age(now);
        let export = self.all.get_mut(&id).ok_or(NotNow::Unknown)?;
        if !same(&export.asker, by) {
            return Err(NotNow::NotYours);
        }
        if export.stage != Stage::Approved {
            return Err(NotNow::Stage(export.stage));
        }
        export.stage = Stage::Fetched;
        Ok(export.clone())
    }

    fn age(&mut self, now: Mono) {
        for export in self.all.values_mut() {
            let limit = match export.stage {
                Stage::Waiting => ANSWERED_WITHIN,
                Stage::Approved => FETCHED_WITHIN,
                _ => continue,
            };
            if now.since(export.since) >= limit {
                export.stage = Stage::Expired;
            }
        }
    }
}

/// Whether two names are one account's.
fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Wall = Wall(1_790_000_000_000);

    fn at(secs: u64) -> (Mono, Wall) {
        (Mono(secs * 1000), NOON)
    }

    #[test]
    fn it_takes_two_people_one_fetch_and_an_hour() {
        let mut all = Approvals::default();
        let id = all.ask("Zhang", "年度统计", at(0)).unwrap();
        assert_eq!(all.fetch(id, "Zhang", Mono(1)).err(), Some(NotNow::Stage(Stage::Waiting)));
        assert_eq!(all.answer(id, "zhang", true, at(1)).err(), Some(NotNow::Own));
        assert_eq!(all.answer(9, "li", true, at(1)).err(), Some(NotNow::Unknown));
        let export = all.answer(id, "li", true, at(2)).unwrap();
        assert_eq!(export.answered, Some(("li".into(), NOON)));
        assert_eq!(all.answer(id, "wang", false, at(3)).err(), Some(NotNow::Stage(Stage::Approved)));
        assert_eq!(all.fetch(id, "li", Mono(4)).err(), Some(NotNow::NotYours));
        assert!(all.fetch(id, "zhang", Mono(5)).is_ok());
        assert_eq!(all.fetch(id, "zhang", Mono(6)).err(), Some(NotNow::Stage(Stage::Fetched)));

        let late = all.ask("zhang", "x", at(10)).unwrap();
        all.answer(late, "li", true, at(20)).unwrap();
        assert_eq!(all.fetch(late, "zhang", at(20 + 3600).0).err(), Some(NotNow::Stage(Stage::Expired)));
        let refused = all.ask("zhang", "x", at(30)).unwrap();
        all.answer(refused, "li", false, at(31)).unwrap();
        assert_eq!(all.fetch(refused, "zhang", at(32).0).err(), Some(NotNow::Stage(Stage::Refused)));
        let slow = all.ask("zhang", "x", at(40)).unwrap();
        let next_day = at(40 + 24 * 3600);
        assert_eq!(all.answer(slow, "li", true, next_day).err(), Some(NotNow::Stage(Stage::Expired)));
    }

    #[test]
    fn there_are_never_more_than_fifty() {
        let mut all = Approvals::default();
        for _ in 0..MOST {
            all.ask("zhang", "x", at(0)).unwrap();
        }
        assert_eq!(all.ask("zhang", "x", at(1)), Err(NotNow::TooMany));
        all.answer(7, "li", false, at(2)).unwrap();
        assert!(all.ask("zhang", "x", at(3)).is_ok());
        assert_eq!(all.list(Mono(4_000)).len(), MOST);
        assert_eq!(all.answer(7, "li", true, at(5)).err(), Some(NotNow::Unknown));
    }
}

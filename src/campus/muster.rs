//! The muster list: everybody who entered and was not seen leaving, until each is safe or seen leaving.

use super::MAX_PERSONS;
use super::crowd::{Crowd, Floor, Known};
use super::picture::{Listing, Missing, MusterPicture, nameless};
use crate::model::{Called, Pass, PersonRef, PlaceId, Wall};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Why an order about the muster was not carried out. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MusterRefused {
    /// There is none.
    #[error("there is no muster: start one first")]
    None,
    /// A person called one already.
    #[error("a muster was called already: close it first")]
    CalledAlready,
    /// A fire alarm holds it open.
    #[error("a fire alarm holds the muster open: it ends when the alarm is reset")]
    FireAlarm,
    /// Nobody of that group is listed.
    #[error("nobody of '{0}' is listed")]
    NobodyListed(String),
    /// A person is not listed.
    #[error("{0} of these persons are not listed")]
    NotListed(usize),
}

/// A muster that is going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Muster {
    /// Since when.
    pub(super) since: Wall,
    /// The end of the day before it began: the night does not take anybody off the list.
    pub(super) floor: Option<Wall>,
    /// A fire alarm holds it open.
    pub(super) fire: bool,
    /// A person called it.
    pub(super) called: Option<Called>,
    /// Everybody who was in when it began or came in since, with the zone.
    listed: BTreeMap<PersonRef, PlaceId>,
    /// Who is safe, since when. What people said is stored; what readers said is read again after a restart.
    safe: BTreeMap<PersonRef, Safe>,
    anonymous_safe: u64,
    unlisted: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Safe {
    at: Wall,
    by_hand: bool,
}

/// What a restart has to know.
#[derive(Serialize, Deserialize)]
struct Row {
    since: Wall,
    floor: Option<Wall>,
    called: Option<Called>,
    safe: Vec<(PersonRef, Wall)>,
}

/// How one of those listed stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Safe,
    Left,
    Missing,
}

impl Muster {
    pub(super) fn new(since: Wall, floor: Option<Wall>) -> Self {
        Self {
            since,
            floor,
            fire: false,
            called: None,
            listed: BTreeMap::new(),
            safe: BTreeMap::new(),
            anonymous_safe: 0,
            unlisted: 0,
        }
    }

    /// Reads what was stored; the list is made of the passes.
    pub(super) fn read(row: &str) -> Option<Self> {
        let Row { since, floor, called, safe } = serde_json::from_str(row).ok()?;
        let safe = safe.into_iter().take(MAX_PERSONS);
        let safe = safe.map(|(person, at)| (person, Safe { at, by_hand: true })).collect();
        Some(Self { called, safe, ..Self::new(since, floor) })
    }

    pub(super) fn written(&self) -> String {
        let by_hand = self.safe.iter().filter(|(_, safe)| safe.by_hand);
        let row = Row {
            since: self.since,
            floor: self.floor,
            called: self.called,
            safe: by_hand.map(|(person, safe)| (person.clone(), safe.at)).collect(),
        };
        serde_json::to_string(&row).unwrap_or_default()
    }

    /// Lists everybody who is in.
    pub(super) fn list(&mut self, people: &Crowd, floor: Floor<'_>) {
        for (person, known) in people.all() {
            if let Some(zone) = floor.zone_of(known) {
                self.add(person, zone);
            }
        }
    }

    fn add(&mut self, person: &PersonRef, zone: &PlaceId) {
        if self.listed.len() >= MAX_PERSONS && !self.listed.contains_key(person) {
            self.unlisted = self.unlisted.saturating_add(1);
        } else {
            self.listed.insert(person.clone(), zone.clone());
        }
    }

    /// Somebody was seen; `people` know it already.
    pub(super) fn pass(&mut self, pass: &Pass, at_assembly: bool, people: &Crowd, floor: Floor<'_>) {
        let at = pass.when.at;
        let since = at >= self.since || !at.plausible();
        let Some(person) = &pass.person else {
            self.anonymous_safe = self.anonymous_safe.saturating_add(u64::from(at_assembly && since));
            return;
        };
        if let Some(zone) = people.get(person).and_then(|known| floor.zone_of(known)) {
            self.add(person, zone);
        }
        // Also of those who are not listed: what lists them may come late.
        if at_assembly && since && (self.safe.len() < MAX_PERSONS || self.safe.contains_key(person)) {
            let safe = self.safe.entry(person.clone()).or_insert(Safe { at, by_hand: false });
            safe.at = safe.at.max(at);
        }
    }

    /// A person says that these are safe.
    pub(super) fn mark(&mut self, now: Wall, persons: &[PersonRef]) -> Result<(), MusterRefused> {
        let unknown = persons.iter().filter(|person| !self.listed.contains_key(person)).count();
        if unknown > 0 {
            return Err(MusterRefused::NotListed(unknown));
        }
        for person in persons {
            self.safe.insert(person.clone(), Safe { at: now, by_hand: true });
        }
        Ok(())
    }

    /// Everybody listed of a class or department.
    pub(super) fn of_group(&self, group: &str, people: &Crowd) -> Vec<PersonRef> {
        let in_group = |person: &&PersonRef| group_of(people.get(person)) == Some(group);
        self.listed.keys().filter(in_group).cloned().collect()
    }

    pub(super) fn listed(&self) -> usize {
        self.listed.len()
    }

    /// Nothing is to be known of a person any more; whether the row has changed.
    pub(super) fn forget(&mut self, person: &PersonRef) -> bool {
        self.listed.remove(person);
        self.safe.remove(person).is_some_and(|safe| safe.by_hand)
    }

    /// How somebody stands, and where they were seen last.
    fn state<'a>(
        &'a self,
        (person, listed): (&PersonRef, &'a PlaceId),
        people: &'a Crowd,
        floor: Floor<'_>,
    ) -> (State, &'a PlaceId) {
        // Somebody who was forgotten because there are too many has not been seen leaving.
        let Some(known) = people.get(person) else { return (self.unknown(person), listed) };
        let zone = floor.zone_of(known);
        let state = match (self.safe.get(person), zone) {
            // Whoever went in again is not safe any more.
            (Some(safe), Some(_)) if !known.went_in_after(safe.at) => State::Safe,
            (Some(_), None) => State::Safe,
            (_, Some(_)) => State::Missing,
            (None, None) => State::Left,
        };
        (state, zone.unwrap_or(listed))
    }

    fn unknown(&self, person: &PersonRef) -> State {
        if self.safe.contains_key(person) { State::Safe } else { State::Missing }
    }

    pub(super) fn sum(&self, people: &Crowd, floor: Floor<'_>) -> Missing {
        let mut sum = Missing::default();
        for (person, place) in &self.listed {
            sum.add(counted(self.state((person, place), people, floor).0));
        }
        sum
    }

    pub(super) fn picture(&self, people: &Crowd, floor: Floor<'_>, lists_persons: bool) -> MusterPicture {
        let mut rows: BTreeMap<(&PlaceId, Option<&str>), Missing> = BTreeMap::new();
        let mut missing = Vec::new();
        for (person, listed) in &self.listed {
            let (state, place) = self.state((person, listed), people, floor);
            rows.entry((place, group_of(people.get(person)))).or_default().add(counted(state));
            if lists_persons && state == State::Missing {
                missing.push((person.clone(), place.clone()));
            }
        }
        let mut sum = Missing::default();
        rows.values().for_each(|count| sum.add(*count));
        let row = |((place, group), count): ((&PlaceId, Option<&str>), Missing)| Listing {
            place: place.clone(),
            group: group.map(ToOwned::to_owned),
            count,
        };
        let zones = floor.world.places.values().filter(|place| place.counts);
        let anonymous = zones.map(|place| (place.id.clone(), nameless(&place.id, people, floor)));
        MusterPicture {
            since: self.since,
            fire: self.fire,
            called: self.called,
            sum,
            rows: rows.into_iter().map(row).collect(),
            anonymous: anonymous.filter(|(_, count)| *count > 0).collect(),
            anonymous_safe: self.anonymous_safe,
            unlisted: self.unlisted,
            persons: lists_persons.then_some(missing),
        }
    }
}

fn group_of(known: Option<&Known>) -> Option<&str> {
    known.and_then(|known| known.who.as_ref()).and_then(|who| who.group.as_deref())
}

fn counted(state: State) -> Missing {
    let one = |is: State| u64::from(state == is);
    Missing { listed: 1, safe: one(State::Safe), left: one(State::Left), missing: one(State::Missing) }
}

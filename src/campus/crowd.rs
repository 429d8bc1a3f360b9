//! Where each person is: where their newest pass leads, and how many came in that nobody named.

use super::{MAX_PERSONS, RECALL_MS};
use crate::model::{Pass, People, Person, PersonRef, PlaceId, Wall};
use crate::rules::{Door, World};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is known of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// When they passed last; not a true date where our clock was not set.
    pub(super) at: Wall,
    /// The zone they are in since, if any.
    pub(super) zone: Option<PlaceId>,
    /// Whether that pass was on the way in; `None` while no pass has said where they are.
    inward: Option<bool>,
    /// Whether its time is the device's own.
    by_device: bool,
    /// When they were last seen anywhere.
    pub(super) last_seen: Wall,
    /// What the school says of them.
    pub(super) who: Option<Arc<Person>>,
}

impl Known {
    /// Whether they are in a zone by a pass on the way in after that.
    pub(super) fn went_in_after(&self, at: Wall) -> bool {
        self.inward == Some(true) && self.at > at
    }
}

/// Since when a pass counts, and for whom it counts longer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Floor<'a> {
    /// Where people sleep.
    pub(super) world: &'a World,
    /// The last moment at which everybody was taken for gone.
    pub(super) at: Option<Wall>,
    /// Groups whose people stay.
    pub(super) boarders: &'a BTreeSet<String>,
}

impl Floor<'_> {
    /// The zone that somebody is in.
    pub(super) fn zone_of<'k>(&self, known: &'k Known) -> Option<&'k PlaceId> {
        known.zone.as_ref().filter(|zone| self.counts(known) || self.sleeps_in(zone))
    }

    fn sleeps_in(&self, zone: &PlaceId) -> bool {
        self.world.up(zone).any(|place| place.overnight)
    }

    fn counts(&self, known: &Known) -> bool {
        let since = self.at.is_none_or(|floor| known.at >= floor || !known.at.plausible());
        let group = known.who.as_ref().and_then(|who| who.group.as_ref());
        since || group.is_some_and(|group| self.boarders.contains(group))
    }

    /// The zone in which somebody was when the last day ended, and who was not seen leaving.
    pub(super) fn left_behind<'k>(&self, known: &'k Known) -> Option<&'k PlaceId> {
        let floor = self.at?;
        let yesterday = known.at.plausible() && known.at >= floor.plus_ms(-RECALL_MS);
        known.zone.as_ref().filter(|_| yesterday && self.zone_of(known).is_none())
    }
}

/// How many are in a zone by its own readers, and when the last of them came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Nameless {
    count: u64,
    last: Wall,
}

/// Persons, or vehicles.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    known: BTreeMap<PersonRef, Known>,
    /// Came in through the readers of a zone and did not go out through them, without a name.
    anonymous: BTreeMap<PlaceId, Nameless>,
    /// Some passes came while our clock was not set.
    undated: bool,
    /// Forgotten because there are too many, while they were in a zone.
    pub(super) dropped: u64,
}

impl Crowd {
    pub(super) fn pass(&mut self, pass: &Pass, door: Option<&Door>, floor: Floor<'_>) {
        match (&pass.person, door) {
            (Some(person), door) => self.named(person, pass, door),
            (None, Some(door)) => self.nameless(pass, door, floor),
            (None, None) => {}
        }
    }

    fn named(&mut self, person: &PersonRef, pass: &Pass, door: Option<&Door>) {
        if self.known.len() >= MAX_PERSONS && !self.known.contains_key(person) {
            self.make_room();
        }
        let at = pass.when.at;
        let new = || Known { at, zone: None, inward: None, by_device: false, last_seen: at, who: None };
        let known = match self.known.get_mut(person) {
            Some(known) => known,
            None => self.known.entry(person.clone()).or_insert_with(new),
        };
        known.last_seen = known.last_seen.max(at);
        if pass.known.is_some() {
            known.who.clone_from(&pass.known);
        }
        let Some(door) = door else { return };
        let newer = known.inward.is_none_or(|inward| match pass.when.against(known.at) {
            Ordering::Less => false,
            Ordering::Greater => true,
            // Two readers say the same moment: rather in than out, unless one of them came at that moment.
            Ordering::Equal => known.by_device && (door.inward, &door.to) > (inward, &known.zone),
        });
        if newer {
            // A time that cannot be true is no measure for what comes later.
            if at.plausible() || known.inward.is_none() {
                known.at = at;
            }
            known.zone.clone_from(&door.to);
            known.inward = Some(door.inward);
            known.by_device = pass.when.by_device;
            self.undated |= !known.at.plausible();
        }
    }

    /// Each zone is counted where its own bounds are crossed.
    fn nameless(&mut self, pass: &Pass, door: &Door, floor: Floor<'_>) {
        let at = pass.when.at;
        if at.plausible() && floor.at.is_some_and(|floor| at < floor) {
            return;
        }
        let within = |zone: &PlaceId, around: &Option<PlaceId>| {
            around.as_ref().is_some_and(|around| floor.world.lies_in(around, zone))
        };
        if let Some(to) = door.to.as_ref().filter(|to| !within(to, &door.from)) {
            let nameless = self.anonymous.entry(to.clone()).or_insert(Nameless { count: 0, last: at });
            nameless.count = nameless.count.saturating_add(1);
            nameless.last = nameless.last.max(at);
        }
        if let Some(from) = door.from.as_ref().filter(|from| !within(from, &door.to))
            && let Some(nameless) = self.anonymous.get_mut(from)
        {
            nameless.count = nameless.count.saturating_sub(1);
        }
    }

    /// Forgets the hundredth seen longest ago; those who are out before those who are in.
    fn make_room(&mut self) {
        let mut oldest: Vec<(bool, Wall, PersonRef)> =
            self.known.iter().map(|(person, k)| (k.zone.is_some(), k.last_seen, person.clone())).collect();
        oldest.sort_unstable();
        for (inside, _, person) in oldest.into_iter().take(MAX_PERSONS / 100) {
            self.known.remove(&person);
            self.dropped = self.dropped.saturating_add(u64::from(inside));
        }
    }

    /// Our clock is set: what came before it was comes from now.
    pub(super) fn date(&mut self, now: Wall) {
        if std::mem::take(&mut self.undated) {
            for known in self.known.values_mut().filter(|known| !known.at.plausible()) {
                known.at = now;
            }
        }
    }

    /// A day has ended: who went out before the last one is of no interest, and who came without a name is gone.
    pub(super) fn new_day(&mut self, floor: Wall) {
        let before = floor.plus_ms(-RECALL_MS);
        self.known.retain(|_, known| known.zone.is_some() || known.last_seen >= before);
        self.anonymous.retain(|_, nameless| !nameless.last.plausible() || nameless.last >= floor);
    }

    pub(super) fn know(&mut self, people: &People) {
        for (person, known) in &mut self.known {
            known.who = people.get(person).cloned();
        }
    }

    pub(super) fn forget(&mut self, person: &PersonRef) {
        self.known.remove(person);
    }

    pub(super) fn get(&self, person: &PersonRef) -> Option<&Known> {
        self.known.get(person)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&PersonRef, &Known)> {
        self.known.iter()
    }

    pub(super) fn anonymous(&self, zone: &PlaceId) -> u64 {
        self.anonymous.get(zone).map_or(0, |nameless| nameless.count)
    }
}

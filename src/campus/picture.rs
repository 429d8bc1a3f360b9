//! How many are where, for pages, the API and the command line.

use super::crowd::{Crowd, Floor};
use crate::model::{Called, PersonRef, PlaceId, Role, Text, Wall};
use serde::Serialize;
use std::collections::BTreeMap;

/// Who is where, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Picture {
    /// Every zone, by its id.
    pub zones: Vec<ZonePicture>,
    /// The muster, while there is one.
    pub muster: Option<MusterPicture>,
    /// The last moment at which who had not been seen leaving was taken out.
    pub reset_at: Option<Wall>,
    /// Persons and vehicles forgotten while they were in, because there were too many.
    pub dropped: u64,
}

/// Who is in a zone, counted with the zones in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ZonePicture {
    /// Which.
    pub place: PlaceId,
    /// Its name, with those of the places around it.
    pub path: Text,
    /// Persons.
    pub persons: Inside,
    /// Vehicles.
    pub vehicles: Inside,
    /// Persons by what they are to the school, where it told us.
    pub roles: BTreeMap<Role, u64>,
    /// Persons who were in it when the last day ended and were not seen leaving.
    pub not_seen_leaving: u64,
}

/// How many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Inside {
    /// Known by a pseudonym.
    pub known: u64,
    /// Without one: at least so many.
    pub anonymous: u64,
}

/// The muster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MusterPicture {
    /// Since when.
    pub since: Wall,
    /// Whether a fire alarm holds it open.
    pub fire: bool,
    /// Whether a person called it, and why.
    pub called: Option<Called>,
    /// Everybody listed.
    pub sum: Missing,
    /// By the place where each was seen last, and by class.
    pub rows: Vec<Listing>,
    /// In each zone without a name.
    pub anonymous: Vec<(PlaceId, u64)>,
    /// Seen without a name at an assembly point since.
    pub anonymous_safe: u64,
    /// Not listed because there are too many.
    pub unlisted: u64,
    /// Who is missing, where the school wants pseudonyms listed.
    pub persons: Option<Vec<(PersonRef, PlaceId)>>,
}

/// Some of those listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// Where they were seen last.
    pub place: PlaceId,
    /// Their class or department; `None` where the school told none.
    pub group: Option<String>,
    /// How many.
    #[serde(flatten)]
    pub count: Missing,
}

/// What became of those listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Entered and not seen leaving when it began, or entered since.
    pub listed: u64,
    /// At an assembly point, or said to be safe.
    pub safe: u64,
    /// Seen leaving since.
    pub left: u64,
    /// None of both.
    pub missing: u64,
}

impl Missing {
    pub(super) fn add(&mut self, other: Self) {
        self.listed += other.listed;
        self.safe += other.safe;
        self.left += other.left;
        self.missing += other.missing;
    }
}

pub(super) fn of(people: &Crowd, vehicles: &Crowd, floor: Floor<'_>) -> Picture {
    let world = floor.world;
    let zones: Vec<&PlaceId> = world.places.values().filter(|p| p.counts).map(|p| &p.id).collect();
    let mut pictures: BTreeMap<PlaceId, ZonePicture> = zones
        .iter()
        .filter_map(|id| world.places.get(*id))
        .map(|place| {
            let new = ZonePicture {
                place: place.id.clone(),
                path: place.path.clone(),
                persons: Inside { known: 0, anonymous: nameless(&place.id, people, floor) },
                vehicles: Inside { known: 0, anonymous: nameless(&place.id, vehicles, floor) },
                roles: BTreeMap::new(),
                not_seen_leaving: 0,
            };
            (place.id.clone(), new)
        })
        .collect();
    let mut each = |zone: &PlaceId, count: &dyn Fn(&mut ZonePicture)| {
        for place in world.up(zone).filter(|place| place.counts) {
            if let Some(picture) = pictures.get_mut(&place.id) {
                count(picture);
            }
        }
    };
    for (_, known) in people.all() {
        if let Some(zone) = floor.zone_of(known) {
            let role = known.who.as_ref().map(|who| who.role);
            each(zone, &|picture| {
                picture.persons.known += 1;
                if let Some(role) = role {
                    *picture.roles.entry(role).or_default() += 1;
                }
            });
        } else if let Some(zone) = floor.left_behind(known) {
            each(zone, &|picture| picture.not_seen_leaving += 1);
        }
    }
    for (_, known) in vehicles.all() {
        if let Some(zone) = floor.zone_of(known) {
            each(zone, &|picture| picture.vehicles.known += 1);
        }
    }
    Picture {
        zones: pictures.into_values().collect(),
        muster: None,
        reset_at: floor.at,
        dropped: people.dropped.saturating_add(vehicles.dropped),
    }
}

/// At least so many without a name: those whom the zone's own readers counted, or those in the zones in it.
pub(super) fn nameless(zone: &PlaceId, crowd: &Crowd, floor: Floor<'_>) -> u64 {
    let world = floor.world;
    let inner = world.places.values().filter(|place| place.counts && place.id != *zone);
    let inner = inner.filter(|place| world.zone_around(place).is_some_and(|around| around.id == *zone));
    let sum = inner.map(|place| nameless(&place.id, crowd, floor)).sum();
    crowd.anonymous(zone).max(sum)
}

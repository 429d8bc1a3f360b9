//! Zones: the places whose people are counted, and where somebody is who has passed a reader.

use super::World;
use super::subject::known;
use crate::document::Reader;
use crate::model::{DeviceId, Direction, EventKind, Pass, PersonRef, Place, PlaceId, Wall};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Places are at most this deep; a circle of parents ends here.
const MAX_PLACE_DEPTH: usize = 16;

/// What a pass leads from and to; `None` is no zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// The zone that is left.
    pub from: Option<PlaceId>,
    /// The zone that is entered.
    pub to: Option<PlaceId>,
    /// Whether it is the way in.
    pub inward: bool,
}

impl World {
    /// A place and those that hold it, nearest first.
    pub fn up<'w>(&'w self, place: &PlaceId) -> impl Iterator<Item = &'w Place> + use<'w> {
        let next = |place: &&'w Place| self.places.get(place.parent.as_ref()?);
        std::iter::successors(self.places.get(place), next).take(MAX_PLACE_DEPTH)
    }

    /// The nearest zone that a place lies in, or is.
    #[must_use]
    pub fn zone_of(&self, place: &PlaceId) -> Option<&Place> {
        self.up(place).find(|place| place.counts)
    }

    /// The zone around a zone.
    #[must_use]
    pub fn zone_around(&self, zone: &Place) -> Option<&Place> {
        zone.parent.as_ref().and_then(|parent| self.zone_of(parent))
    }

    /// Whether a device stands at an assembly point.
    #[must_use]
    pub fn at_assembly(&self, device: &DeviceId) -> bool {
        self.devices.get(device).is_some_and(|device| self.up(&device.place).any(|place| place.assembly))
    }

    /// Where a pass at a device leads; `None` when it says nothing of where the person is. A reader that leads to a
    /// place leads from its own: out through it is back, and one that says no direction has but one.
    #[must_use]
    pub fn door(&self, device: &DeviceId, pass: &Pass) -> Option<Door> {
        if pass.moves { self.leads(device, pass.direction) } else { None }
    }

    /// Where somebody comes who is let through at a device in a direction.
    #[must_use]
    pub fn leads(&self, device: &DeviceId, direction: Direction) -> Option<Door> {
        let watched = self.devices.get(device)?;
        let here = self.zone_of(&watched.place);
        let (outer, inner) = match &watched.leads_to {
            Some(to) => (here, self.zone_of(to)),
            None => (self.zone_around(here?), here),
        };
        let (from, to, inward) = match direction {
            Direction::In => (outer, inner, true),
            Direction::Unknown if watched.leads_to.is_some() => (outer, inner, true),
            Direction::Unknown => return None,
            Direction::Out => (inner, outer, false),
        };
        let id = |zone: Option<&Place>| zone.map(|zone| zone.id.clone());
        Some(Door { from: id(from), to: id(to), inward })
    }

    /// Whether a zone is another one, or lies in it.
    #[must_use]
    pub fn lies_in(&self, zone: &PlaceId, around: &PlaceId) -> bool {
        self.up(zone).any(|place| place.id == *around)
    }
}

/// The readers at the bounds of a zone.
#[derive(Debug)]
pub(super) struct Bounds {
    /// Whether who passes in these directions is in the zone then.
    ways: BTreeMap<DeviceId, Vec<(Direction, bool)>>,
    /// The zone's name.
    pub(super) place: Place,
}

impl Bounds {
    /// Reads `zone`.
    pub(super) fn parse(reader: &Reader<'_>, world: &World) -> Option<Self> {
        let zone = reader.text("zone")?;
        let Some(place) = world.places.get(zone.as_str()) else {
            reader.problem(
                "zone",
                (format!("没有编号为 '{zone}' 的地点"), format!("no place has the id '{zone}'")),
                known(("地点", "places"), world.places.keys()),
            );
            return None;
        };
        if !place.counts {
            reader.problem(
                "zone",
                (format!("'{zone}' 不统计人数"), format!("who is in '{zone}' is not counted")),
                (
                    "在它的 [[place]] 里写 `counts = true`，或换一个有这一行的地点",
                    "write `counts = true` in its [[place]], or name a place that has it",
                ),
            );
            return None;
        }
        let speaks = |kind| [EventKind::Credential, EventKind::Presence].contains(kind);
        let readers = world.devices.iter().filter(|(_, watched)| watched.profile.events.iter().any(speaks));
        let ways: BTreeMap<_, _> = readers
            .map(|(device, _)| (device.clone(), ways(world, device, place)))
            .filter(|(_, ways)| !ways.is_empty())
            .collect();
        if ways.is_empty() {
            reader.problem(
                "zone",
                (
                    format!("没有读卡器通进或通出 '{zone}'"),
                    format!("no reader leads into '{zone}' or out of it"),
                ),
                (
                    "给读卡器写上这个地点，或用 `leads_to` 写其中的地点",
                    "give a reader this place, or `leads_to` one of these places",
                ),
            );
            return None;
        }
        Some(Self { ways, place: place.clone() })
    }

    pub(super) fn readers(&self) -> impl Iterator<Item = &DeviceId> {
        self.ways.keys()
    }

    /// Whether who passed is in the zone now; `None` when the pass says nothing of it.
    pub(super) fn entered(&self, device: &DeviceId, pass: &Pass) -> Option<bool> {
        let ways = self.ways.get(device).filter(|_| pass.moves)?;
        ways.iter().find(|(direction, _)| *direction == pass.direction).map(|(_, inside)| *inside)
    }
}

/// The directions in which a device leads over the bounds of a zone.
fn ways(world: &World, device: &DeviceId, zone: &Place) -> Vec<(Direction, bool)> {
    let within = |place: &Option<PlaceId>| place.as_ref().is_some_and(|p| world.lies_in(p, &zone.id));
    let way = |direction: &Direction| {
        let door = world.leads(device, *direction)?;
        let (from, to) = (within(&door.from), within(&door.to));
        (from != to).then_some((*direction, to))
    };
    Direction::ALL.iter().filter_map(way).collect()
}

/// Persons remembered by one rule at a time; beyond it the one who passed longest ago is forgotten.
pub(super) const MAX_TRACKED: usize = 8192;

/// The newest pass of each person over the bounds of a zone.
#[derive(Debug, Default)]
pub(super) struct Tracked {
    last: BTreeMap<PersonRef, (Wall, bool)>,
}

impl Tracked {
    pub(super) fn clear(&mut self) {
        self.last.clear();
    }

    /// Notes a pass; when and whither the one before led, if this one is newer.
    pub(super) fn note(
        &mut self,
        person: &PersonRef,
        pass: &Pass,
        inside: bool,
    ) -> Option<Option<(Wall, bool)>> {
        let before = self.last.get(person).copied();
        if before.is_some_and(|(at, _)| pass.when.against(at) == Ordering::Less) {
            return None;
        }
        if before.is_none() && self.last.len() >= MAX_TRACKED {
            let oldest = self.last.iter().min_by_key(|(_, (at, _))| *at).map(|(person, _)| person.clone());
            oldest.and_then(|oldest| self.last.remove(&oldest));
        }
        self.last.insert(person.clone(), (pass.when.at, inside));
        Some(before)
    }

    /// How many passed since then and are out of the zone.
    pub(super) fn outside_since(&self, since: Wall) -> usize {
        self.last.values().filter(|(at, inside)| !inside && (*at >= since || !at.plausible())).count()
    }
}

//! What is judged together: a device by itself, or all devices in a place.

use super::subject::{Header, Subject};
use super::{Finding, Level, Watched, World};
use crate::document::Reader;
use crate::model::{Place, PlaceKind, Text};

/// How far "together" reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Device,
    /// The very place that the device is in.
    Place,
    /// The nearest place of a kind around it.
    Around(PlaceKind),
}

impl Scope {
    /// Reads `key`.
    pub(super) fn parse(reader: &Reader<'_>, key: &str) -> Option<Self> {
        let mut words = vec![("device", Self::Device), ("place", Self::Place)];
        words.extend(PlaceKind::ALL.iter().rev().map(|kind| (kind.as_str(), Self::Around(*kind))));
        reader.word_opt(key, &words)
    }

    /// What a device belongs to. A place that does not exist is told with its device: until then it stands for itself.
    pub(super) fn of(self, subject: Subject, watched: &Watched, world: &World) -> Whole {
        let place = match self {
            Self::Device => None,
            Self::Place => world.places.get(&watched.place).cloned(),
            Self::Around(kind) => area(watched, kind, world),
        };
        place.map_or_else(|| Whole::Device(subject), |place| Whole::Place(Box::new(place)))
    }
}

/// The nearest place of a kind around a device, or its own.
pub(super) fn area(watched: &Watched, kind: PlaceKind, world: &World) -> Option<Place> {
    let around = world.up(&watched.place).find(|place| place.kind == kind);
    around.or_else(|| world.places.get(&watched.place)).cloned()
}

/// A device, or a place with all that is in it.
#[derive(Debug, Clone)]
pub(super) enum Whole {
    Device(Subject),
    Place(Box<Place>),
}

impl Whole {
    /// The subject of its alarms.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Device(subject) => subject.device.as_str(),
            Self::Place(place) => place.id.as_str(),
        }
    }

    pub(super) fn finding(&self, header: &Header, level: Level, what: Text) -> Finding {
        match self {
            Self::Device(subject) => header.finding(subject, level, subject.says(what.zh, what.en)),
            Self::Place(place) => header.of_place(place, level, what),
        }
    }
}

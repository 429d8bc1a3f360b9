//! A small school with readers, for the tests of who is where.

use super::{Campus, MusterPicture, Picture, Settings};
use crate::calendar::Calendar;
use crate::document::Problems;
use crate::model::{
    AccessResult, Body, Carrier, CredentialUse, DeviceId, Direction, Event, EventKind, Mono, Now,
    Observation, Person, PersonRef, Phase, Place, PlaceId, PlaceKind, Role, Service, Stamp, SubMeters, Text,
    Wall,
};
use crate::profile;
use crate::rules::{Watched, World};
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, offset};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const PROFILE: &str = r#"
id = "acme-r"
class = "card-reader"
vendor = "Acme"
model = "R"
name_zh = "读卡器"
name_en = "reader"
source = "made up"
confirmed = false
protocol = "modbus"
[[point]]
id = "open"
name_zh = "门"
name_en = "door"
unit = "1"
table = "coil"
address = 0
type = "bit"
kind = "state"
"#;

/// Id, what holds it, whether it counts, is an assembly point, is slept in.
const PLACES: [(&str, Option<&str>, bool, bool, bool); 8] = [
    ("street", None, false, false, false),
    ("campus", None, true, false, false),
    ("gate", Some("campus"), false, false, false),
    ("teaching", Some("campus"), true, false, false),
    ("room", Some("teaching"), false, false, false),
    ("dorm", Some("campus"), true, false, true),
    ("yard", Some("campus"), false, true, false),
    ("lab", Some("teaching"), true, false, false),
];

/// Id, place, whither it leads.
pub(super) const DEVICES: [(&str, &str, Option<&str>); 8] = [
    ("g", "gate", None),
    ("t", "teaching", None),
    ("r", "room", None),
    ("d", "dorm", None),
    ("y", "yard", None),
    ("l", "lab", None),
    ("bridge", "teaching", Some("dorm")),
    ("exit", "gate", Some("street")),
];

pub(super) fn id(text: &str) -> DeviceId {
    DeviceId::new(text).expect("an id")
}

pub(super) fn place(text: &str) -> PlaceId {
    PlaceId::new(text).expect("an id")
}

pub(super) fn who(text: &str) -> PersonRef {
    PersonRef::from_stored(text.to_owned())
}

/// Local time, as "2026-10-09T17:30".
pub(super) fn local(text: &str) -> Wall {
    let at: DateTime = text.parse().expect("a date and time");
    let zone = TimeZone::fixed(offset(8));
    Wall(zone.to_timestamp(at).expect("exists").as_millisecond())
}

pub(super) fn world() -> World {
    let problems = Problems::new();
    let profile = profile::parse("profile.toml", PROFILE, &problems);
    let profile = Arc::new(profile.unwrap_or_else(|| panic!("{:#?}", problems.into_sorted())));
    let devices = DEVICES.map(|(device, at, leads_to)| {
        let watched = Watched {
            name: device.into(),
            profile: Arc::clone(&profile),
            place: place(at),
            bus: None,
            poll: Duration::from_secs(60),
            leads_to: leads_to.map(place),
        };
        (id(device), watched)
    });
    let places = PLACES.map(|(name, parent, counts, assembly, overnight)| {
        let new = Place {
            id: place(name),
            kind: PlaceKind::Room,
            name: name.into(),
            parent: parent.map(place),
            path: Text::same(name),
            counts,
            assembly,
            overnight,
            calendar: None,
        };
        (place(name), new)
    });
    World {
        devices: devices.into_iter().collect(),
        sub_meters: SubMeters::default(),
        places: places.into_iter().collect(),
        calendar: Arc::new(Calendar::default_school(TimeZone::fixed(offset(8)))),
        aggregate_secs: 900,
        calendars: BTreeMap::new(),
    }
}

/// A card at a reader. `who` is empty for somebody without a name; the text before a `.` is the class.
pub(super) fn card(
    device: &str,
    person: &str,
    direction: Direction,
    (at, arrived): (Option<Wall>, Wall),
) -> Observation {
    let group = person.split_once('.').map(|(group, _)| group.to_owned());
    let known = Person { role: Role::Student, group, platform_id: None, valid_from: None, valid_until: None };
    let credential = CredentialUse {
        carrier: Carrier::Card,
        service: Service::Access,
        direction,
        result: AccessResult::Granted,
        reason: None,
        person: (!person.is_empty()).then(|| who(person)),
        known: (!person.is_empty()).then(|| Arc::new(known)),
    };
    let mut event = Event::bare(EventKind::Credential, Phase::Moment);
    event.credential = Some(credential);
    let stamp = Stamp::new(at, arrived);
    Observation { device: id(device), stamp, body: Body::Event(event), retained: false }
}

/// The campus with its world and a clock.
pub(super) struct Player {
    pub(super) campus: Campus,
    pub(super) world: World,
    pub(super) now: Wall,
}

impl Player {
    pub(super) fn at(start: &str, settings: Settings) -> Self {
        Self { campus: Campus::new(settings), world: world(), now: local(start) }
    }

    pub(super) fn moment(&self) -> Now {
        Now { mono: Mono(0), wall: self.now }
    }

    pub(super) fn see(&mut self, seen: &Observation) -> &mut Self {
        self.campus.observe(self.moment(), seen, &self.world);
        self
    }

    pub(super) fn pass(&mut self, device: &str, person: &str, direction: Direction) -> &mut Self {
        self.now = self.now.plus_ms(1000);
        let seen = card(device, person, direction, (None, self.now));
        self.see(&seen)
    }

    /// Delivered now, but it was then.
    pub(super) fn late(&mut self, device: &str, person: &str, direction: Direction, at: &str) -> &mut Self {
        self.now = self.now.plus_ms(1000);
        let seen = card(device, person, direction, (Some(local(at)), self.now));
        self.see(&seen)
    }

    pub(super) fn until(&mut self, time: &str) -> &mut Self {
        self.now = local(time);
        self
    }

    pub(super) fn picture(&mut self) -> Arc<Picture> {
        self.campus.keep_time(self.now, &self.world);
        self.campus.picture(&self.world)
    }

    /// "campus 3+1 teaching 2": how many with and without names in each zone where anybody is.
    pub(super) fn shown(&mut self) -> String {
        let picture = self.picture();
        let zone = |z: &super::ZonePicture| match (z.persons.known, z.persons.anonymous) {
            (0, 0) => None,
            (known, 0) => Some(format!("{} {known}", z.place)),
            (known, anonymous) => Some(format!("{} {known}+{anonymous}", z.place)),
        };
        picture.zones.iter().filter_map(zone).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn muster(&mut self) -> Option<MusterPicture> {
        self.picture().muster.clone()
    }

    /// "teaching 3a missing 2 safe 1 left 0", one for each row.
    pub(super) fn rows(&mut self) -> Vec<String> {
        let muster = self.muster();
        let row = |row: &super::Listing| {
            let group = row.group.as_deref().unwrap_or("-");
            let count = row.count;
            format!("{} {group} missing {} safe {} left {}", row.place, count.missing, count.safe, count.left)
        };
        muster.iter().flat_map(|muster| &muster.rows).map(row).collect()
    }
}

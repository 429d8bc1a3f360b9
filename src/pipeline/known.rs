//! What is known beside an observation: who the person is, and how a point counts.

use crate::model::{DeviceId, Event, People, PointKind, Reading};
use crate::profile::Nature;
use crate::rules::World;

/// Says of an event's person what the school told.
pub(super) fn know(people: &People, event: &mut Event) {
    if let Some(credential) = &mut event.credential {
        credential.known = credential.person.as_ref().and_then(|who| people.get(who)).cloned();
    }
}

/// How a counter counts, as its profile says.
pub(super) fn nature_of(world: &World, device: &DeviceId, reading: &Reading) -> Nature {
    // Most readings are no counters.
    if reading.kind != PointKind::Counter {
        return Nature::default();
    }
    let device = world.devices.get(device);
    let point = device.and_then(|device| device.profile.point(reading.point.as_str()));
    point.map_or_else(Nature::default, Nature::from)
}

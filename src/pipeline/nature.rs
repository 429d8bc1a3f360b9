//! How a counter counts, as the profile of its device says.

use crate::model::{DeviceId, PointKind, Reading};
use crate::profile::Nature;
use crate::rules::World;

pub(super) fn nature_of(world: &World, device: &DeviceId, reading: &Reading) -> Nature {
    // Most readings are no counters.
    if reading.kind != PointKind::Counter {
        return Nature::default();
    }
    let device = world.devices.get(device);
    let point = device.and_then(|device| device.profile.point(reading.point.as_str()));
    point.map_or_else(Nature::default, Nature::from)
}

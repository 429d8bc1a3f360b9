//! What rules on trial need to see of the past, so that nothing else is read.

use crate::model::{DeviceId, PointId};
use crate::rules::{Rule, Watch};
use std::collections::{BTreeMap, BTreeSet};

/// What is needed of a device's point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Nothing.
    No,
    /// That the device gave values; one of each moment is enough.
    Presence,
    /// Every value.
    Values,
}

/// What some rules need.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// A rule sees the events of every device.
    everywhere: bool,
    devices: BTreeMap<DeviceId, Share>,
}

#[derive(Debug, Clone, Default)]
struct Share {
    points: BTreeSet<PointId>,
    presence: bool,
}

impl Wanted {
    /// By these rules. A rule that names no points of a device may still ask whether it speaks; one that watches every
    /// device asks for events alone.
    pub fn of<'r>(rules: impl Iterator<Item = &'r dyn Rule>) -> Self {
        let mut wanted = Self::default();
        for rule in rules {
            let points = rule.points();
            for (device, point) in points.iter().cloned().chain(rule.periods()) {
                wanted.devices.entry(device).or_default().points.insert(point);
            }
            match rule.watches() {
                Watch::All => wanted.everywhere = true,
                Watch::Devices(devices) => {
                    let judged: BTreeSet<&DeviceId> = points.iter().map(|(device, _)| device).collect();
                    for device in devices {
                        let speaks = !judged.contains(&device);
                        wanted.devices.entry(device).or_default().presence |= speaks;
                    }
                }
            }
        }
        wanted
    }

    /// Whether its events and its state count.
    #[must_use]
    pub fn events(&self, device: &str) -> bool {
        self.everywhere || self.devices.contains_key(device)
    }

    /// Whether any of its readings count.
    #[must_use]
    pub fn readings(&self, device: &str) -> bool {
        self.devices.contains_key(device)
    }

    /// What counts of a point's readings.
    #[must_use]
    pub fn point(&self, device: &str, point: &str) -> Want {
        match self.devices.get(device) {
            Some(share) if share.points.contains(point) => Want::Values,
            Some(share) if share.presence => Want::Presence,
            _ => Want::No,
        }
    }
}

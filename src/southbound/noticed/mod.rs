//! What sources that tell notices share: whose a notice is, what goes into the pipe for it, and who is at the door.

pub(super) mod desk;
pub(super) mod door;
pub(super) mod search;
pub(super) mod standing;
pub(super) mod web;

pub(super) use desk::Desk;

use crate::config::Device;
use crate::model::{BusId, DeviceId};
use std::collections::BTreeMap;

/// The devices of a bus by their addresses. One address may have several: its parts.
#[derive(Debug)]
pub(super) struct Roll {
    pub(super) bus: BusId,
    devices: Vec<Device>,
    addresses: BTreeMap<String, Owners>,
}

#[derive(Debug, Default)]
struct Owners {
    whole: Option<usize>,
    parts: BTreeMap<String, usize>,
}

/// An address without the part behind `#`.
pub(super) fn without_part(address: &str) -> &str {
    address.split_once('#').map_or(address, |(whole, _)| whole)
}

impl Roll {
    pub(super) fn new(bus: &BusId, devices: Vec<Device>) -> Self {
        let mut addresses: BTreeMap<String, Owners> = BTreeMap::new();
        for (index, device) in devices.iter().enumerate() {
            let owners = addresses.entry(without_part(&device.address).to_owned()).or_default();
            match device.address.split_once('#') {
                Some((_, part)) => drop(owners.parts.insert(part.to_owned(), index)),
                None => owners.whole = Some(index),
            }
        }
        Self { bus: bus.clone(), devices, addresses }
    }

    pub(super) fn knows(&self, address: &str) -> bool {
        self.addresses.contains_key(address)
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = &str> {
        self.addresses.keys().map(String::as_str)
    }

    pub(super) fn ids(&self) -> Vec<DeviceId> {
        self.devices.iter().map(|device| device.id.clone()).collect()
    }

    /// Every device of an address: they live and die together.
    pub(super) fn all(&self, address: &str) -> impl Iterator<Item = &Device> {
        let owners = self.addresses.get(address);
        let indices = owners.into_iter().flat_map(|owners| owners.whole.iter().chain(owners.parts.values()));
        indices.filter_map(|index| self.devices.get(*index))
    }

    /// The first of them, for what is said of the address as such.
    pub(super) fn first(&self, address: &str) -> Option<&Device> {
        self.all(address).next()
    }

    /// The device of a part: one of its own, or of the part that holds it (`1/3` holds `1/3/25/7`), or the whole.
    pub(super) fn owner(&self, address: &str, part: Option<&str>) -> Option<&Device> {
        let owners = self.addresses.get(address)?;
        let mut part = part;
        while let Some(name) = part {
            if let Some(index) = owners.parts.get(name) {
                return self.devices.get(*index);
            }
            part = name.rsplit_once('/').map(|(outer, _)| outer);
        }
        self.devices.get(owners.whole?)
    }
}

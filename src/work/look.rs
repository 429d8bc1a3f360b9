//! One device on the spot: everything that its profile reads, and what it makes of the answers.

use crate::config::Device;
use crate::model::{SiteKey, Wall};
use crate::profile::{Context, Decoded, Protocol};
use crate::southbound::polled::{Ask, Said, plan};
use jiff::tz::TimeZone;

/// What is asked of a device to have all that its profile reads.
#[must_use]
pub fn asks(device: &Device) -> Vec<Ask> {
    let profile = &device.profile;
    if profile.protocol == Protocol::Modbus {
        plan(&profile.registers(), &profile.modbus_limits()).into_iter().map(Ask::Registers).collect()
    } else {
        profile.identifiers().into_iter().map(Ask::Quantity).collect()
    }
}

/// What the profile makes of an answer. Nothing of it names a person: meters and sensors know none.
#[must_use]
pub fn decoded(device: &Device, now: Wall, zone: &TimeZone, ask: &Ask, said: &Said) -> Vec<Decoded> {
    let site_key = SiteKey::new([0; 32]);
    let cx =
        Context { device: &device.id, now, site_key: &site_key, zone, allow_health: false, withheld: None };
    match (ask, said) {
        (Ask::Registers(block), Said::Words(words)) => {
            device.profile.decode_registers(&cx, block.table, block.address, words)
        }
        (Ask::Quantity(identifier), Said::Bytes(bytes)) => device.profile.decode_digits(*identifier, bytes),
        _ => Vec::new(),
    }
}

//! Which changes of whether a device answers are noted in the audit trail, where nothing is ever given up for want of
//! room: those of a device that comes and goes all day are noted in part.

use crate::model::{DeviceId, Mono};
use std::collections::BTreeMap;
use std::time::Duration;

/// Most notes of one device in an hour.
const NOTED_PER_HOUR: u32 = 12;
const HOUR: Duration = Duration::from_secs(3600);

/// How many were noted of each device in its present hour.
#[derive(Debug, Default)]
pub(super) struct Comings(BTreeMap<DeviceId, (Mono, u32)>);

impl Comings {
    /// Whether this one is noted.
    pub(super) fn notes(&mut self, device: &DeviceId, now: Mono) -> bool {
        let (since, noted) = self.0.entry(device.clone()).or_insert((now, 0));
        if now.since(*since) >= HOUR {
            (*since, *noted) = (now, 0);
        }
        *noted = noted.saturating_add(1);
        *noted <= NOTED_PER_HOUR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_flaps_is_noted_in_part_and_others_as_ever() {
        let (mut comings, flapping) = (Comings::default(), DeviceId::new("m1").unwrap());
        let second = |n: u64| Mono(n * 1000);
        let noted = (0..3 * 3600).filter(|n| comings.notes(&flapping, second(*n))).count();
        assert_eq!(noted, 3 * 12);
        assert!(comings.notes(&DeviceId::new("m2").unwrap(), second(3 * 3600 - 1)));
    }
}

//! Which alarm explains which: a dead bus explains that nothing is heard of its devices, a dead line to the outside that
//! no platform answers.

use crate::model::{AlarmKey, BusId, DeviceId, RuleId};
use crate::rules::{BUS_RULE, UPLINK_ALL, UPLINK_RULE, World};
use std::collections::BTreeMap;
use std::time::Duration;

/// A bus that is back gets this many polls of its slowest device before what still holds is announced.
const SETTLE_POLLS: u32 = 2;
/// The shortest and the longest such time.
const SETTLE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// The table; made of the configuration once.
#[derive(Debug, Default)]
pub struct Causes {
    buses: BTreeMap<DeviceId, BusId>,
    /// The alarm of each bus, and how long to wait once it is back.
    of_bus: BTreeMap<BusId, (AlarmKey, Duration)>,
}

impl Causes {
    /// The table of a configuration.
    #[must_use]
    pub fn new(world: &World) -> Self {
        let mut causes = Self::default();
        for (device, watched) in &world.devices {
            if let Some(bus) = &watched.bus {
                causes.put(device, bus, watched.poll);
            }
        }
        causes
    }

    /// Notes on which bus a device is, and how often it is polled.
    pub(super) fn put(&mut self, device: &DeviceId, bus: &BusId, poll: Duration) {
        self.buses.insert(device.clone(), bus.clone());
        let wait = poll.saturating_mul(SETTLE_POLLS).clamp(SETTLE.0, SETTLE.1);
        let of_bus = self.of_bus.entry(bus.clone()).or_insert_with(|| (key(BUS_RULE, bus.as_str()), wait));
        of_bus.1 = of_bus.1.max(wait);
    }

    /// The bus of a device.
    pub(super) fn bus(&self, device: &DeviceId) -> Option<&BusId> {
        self.buses.get(device)
    }

    /// The alarms that together would explain one: those of the buses of every device of which nothing is heard. None
    /// where it holds for another reason.
    pub(super) fn of(&self, alarm: &AlarmKey, absent: &[DeviceId]) -> Vec<AlarmKey> {
        if alarm.rule.as_str() == UPLINK_RULE && alarm.subject != UPLINK_ALL {
            return vec![key(UPLINK_RULE, UPLINK_ALL)];
        }
        let mut causes: Vec<AlarmKey> = Vec::new();
        for device in absent {
            let Some((cause, _)) = self.buses.get(device).and_then(|bus| self.of_bus.get(bus)) else {
                return Vec::new();
            };
            if !causes.contains(cause) {
                causes.push(cause.clone());
            }
        }
        causes
    }

    /// Whether this alarm may explain others, and then how long what it explained gets once it has ended.
    pub(super) fn settles(&self, alarm: &AlarmKey) -> Option<Duration> {
        match alarm.rule.as_str() {
            UPLINK_RULE if alarm.subject == UPLINK_ALL => Some(SETTLE.0),
            BUS_RULE => self.of_bus.get(alarm.subject.as_str()).map(|(_, wait)| *wait),
            _ => None,
        }
    }
}

/// The key of an alarm that the gateway itself makes.
fn key(rule: &str, subject: &str) -> AlarmKey {
    #[expect(clippy::expect_used, reason = "the texts are ids")]
    let rule = RuleId::new(rule).expect("an id");
    AlarmKey { rule, subject: subject.to_owned() }
}

//! A dead bus: no device of it answers, so that it is the line, the converter or the broker, and not the devices.

use super::subject::Header;
use super::{Finding, Level, Rule, Watch, World};
use crate::model::{
    AlarmClass, AlarmKey, Body, BusId, DeviceId, Link, Mono, Now, Observation, Priority, RuleId, Text,
};
use std::collections::BTreeMap;

/// The rule of dead buses; its subject is the bus.
pub const BUS_RULE: &str = "always.bus";
/// The rule of platforms that do not answer; its subject is the destination.
pub const UPLINK_RULE: &str = "always.uplink";
/// Its subject when none of them does: the line to the outside is dead.
pub const UPLINK_ALL: &str = "all";
/// A bus with fewer devices cannot be told from its device.
const FEWEST: usize = 2;

#[derive(Debug)]
struct Bus {
    /// Whether each device answers; nothing while it is not known.
    answers: BTreeMap<DeviceId, Option<bool>>,
    /// What was last said.
    said: Option<bool>,
}

/// Every bus of several devices.
#[derive(Debug)]
pub(super) struct Buses {
    header: Header,
    buses: BTreeMap<BusId, Bus>,
    of_device: BTreeMap<DeviceId, BusId>,
}

impl Buses {
    pub(super) fn new(world: &World) -> Self {
        let mut buses: BTreeMap<BusId, Bus> = BTreeMap::new();
        for (device, watched) in &world.devices {
            let Some(bus) = &watched.bus else { continue };
            let bus = buses.entry(bus.clone()).or_insert(Bus { answers: BTreeMap::new(), said: None });
            bus.answers.insert(device.clone(), None);
        }
        buses.retain(|_, bus| bus.answers.len() >= FEWEST);
        let of_device =
            buses.iter().flat_map(|(id, bus)| bus.answers.keys().map(|d| (d.clone(), id.clone())));
        let of_device = of_device.collect();
        #[expect(clippy::expect_used, reason = "the text is an id")]
        let rule = RuleId::new(BUS_RULE).expect("an id");
        let header = Header { rule, class: AlarmClass::Equipment, priority: Priority::High };
        Self { header, buses, of_device }
    }
}

impl Rule for Buses {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.of_device.keys().cloned().collect())
    }

    fn judges(&self, subject: &str) -> bool {
        self.buses.contains_key(subject)
    }

    fn start(&mut self, _: Now) {
        for bus in self.buses.values_mut() {
            bus.said = None;
            bus.answers.values_mut().for_each(|answers| *answers = None);
        }
    }

    fn observe(&mut self, _: Now, seen: &Observation, out: &mut Vec<Finding>) {
        let Some(id) = self.of_device.get(&seen.device) else { return };
        let Some(bus) = self.buses.get_mut(id) else { return };
        let answers = match &seen.body {
            Body::Link(Link::Down(_)) => false,
            // What a broker kept says that the broker is there.
            _ => true,
        };
        let Some(before) = bus.answers.get_mut(&seen.device) else { return };
        if before.replace(answers) == Some(answers) && bus.said.is_some() {
            return;
        }
        let dead = bus.answers.values().all(|answers| *answers == Some(false));
        let any = bus.answers.values().any(|answers| *answers == Some(true));
        if bus.said == Some(dead) || !(dead || any) {
            return;
        }
        bus.said = Some(dead);
        let count = bus.answers.len();
        let (level, what) = if dead {
            let zh = format!("总线 {id}：全部 {count} 台设备无应答，请检查线路、转换器或服务器");
            let en = format!(
                "bus {id}: none of its {count} devices answers; look at the line, the converter or the broker"
            );
            (Level::Holds, Text::new(zh, en))
        } else {
            let (zh, en) = (format!("总线 {id}：恢复应答"), format!("bus {id}: devices answer again"));
            (Level::Ended, Text::new(zh, en))
        };
        out.push(Finding {
            key: AlarmKey { rule: self.header.rule.clone(), subject: id.to_string() },
            level,
            class: self.header.class,
            priority: self.header.priority,
            device: None,
            place: None,
            what,
        });
    }

    fn next_deadline(&self) -> Option<Mono> {
        None
    }

    fn expire(&mut self, _: Now, _: &mut Vec<Finding>) {}
}

#[cfg(test)]
mod tests;

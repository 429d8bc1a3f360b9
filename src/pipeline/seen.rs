//! What was here before: the last message fingerprints of each bus and the last event serials of each device.

use super::Remembered;
use crate::model::{BusId, DeviceId, Wall};
use crate::museum;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;

/// Message fingerprints kept per bus. A broker holds at most its in-flight window unacknowledged (mosquitto: 20;
/// others up to some hundreds), so a repeat after a crash is among the last few.
pub const FINGERPRINTS_KEPT: u64 = 1024;
/// Event serials kept in memory per device. Older repeats are caught by the store's unique index.
pub const SERIALS_KEPT: usize = 256;

/// One message's trace, in the ring of its bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The bus.
    pub bus: BusId,
    /// Grows by one per message; its place in the ring is the rest of division by [`FINGERPRINTS_KEPT`].
    pub turn: u64,
    /// The trace.
    pub value: u64,
    /// When it came.
    pub at: Wall,
}

/// An event's own number, and its device's own time for it: a device that begins to count anew has other times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serial {
    /// Whose.
    pub device: DeviceId,
    /// The number.
    pub number: String,
    /// The device's time, if it gave one.
    pub device_at: Option<Wall>,
}

/// When the run before last heard of anything.
pub(super) fn last_heard(remembered: &Remembered) -> Option<Wall> {
    let readings = remembered.recent.iter().flat_map(|recent| &recent.readings);
    let passes = remembered.passes.iter().map(|(_, stamp, _)| stamp.gateway);
    let heard = readings.map(|stored| stored.stamp.gateway).chain(passes);
    heard.chain(remembered.links.iter().map(|link| link.at)).max()
}

/// The last few of something, in order, with a count of each.
#[derive(Debug)]
struct Recent<T> {
    order: VecDeque<T>,
    /// How often it is among them, and when it last came.
    counts: HashMap<T, (u32, Wall)>,
    keep: usize,
}

impl<T: Clone + Eq + Hash> Recent<T> {
    fn new(keep: usize) -> Self {
        Self { order: VecDeque::new(), counts: HashMap::new(), keep }
    }

    fn last(&self, item: &T) -> Option<Wall> {
        self.counts.get(item).map(|(_, at)| *at)
    }

    fn note(&mut self, item: T, at: Wall) {
        let seen = self.counts.entry(item.clone()).or_insert((0, at));
        *seen = (seen.0 + 1, at);
        self.order.push_back(item);
        if self.order.len() > self.keep
            && let Some(old) = self.order.pop_front()
            && let Entry::Occupied(mut old) = self.counts.entry(old)
        {
            match old.get_mut() {
                (1, _) => drop(old.remove()),
                (count, _) => *count -= 1,
            }
        }
    }
}

type NumberAndTime = (Box<str>, Option<Wall>);

#[derive(Debug, Default)]
pub(super) struct Seen {
    messages: BTreeMap<BusId, (u64, Recent<u64>)>,
    serials: BTreeMap<DeviceId, Recent<NumberAndTime>>,
}

impl Seen {
    pub(super) fn restore(mut fingerprints: Vec<Fingerprint>, serials: Vec<Serial>) -> Self {
        let mut seen = Self::default();
        fingerprints.sort_by_key(|f| f.turn);
        for Fingerprint { bus, turn, value, at } in fingerprints {
            let (next, ring) = seen.ring(&bus);
            *next = turn + 1;
            ring.note(value, at);
        }
        for serial in serials {
            seen.note_serial(serial);
        }
        seen
    }

    fn ring(&mut self, bus: &BusId) -> &mut (u64, Recent<u64>) {
        let keep = usize::try_from(FINGERPRINTS_KEPT).unwrap_or(usize::MAX);
        self.messages.entry(bus.clone()).or_insert_with(|| (0, Recent::new(keep)))
    }

    /// When a message of this trace last came, if it is among the last.
    pub(super) fn message(&self, bus: &BusId, fingerprint: u64) -> Option<Wall> {
        let ring = self.messages.get(bus).filter(|_| !museum::on("redelivery_not_recognised"));
        ring.and_then(|(_, ring)| ring.last(&fingerprint))
    }

    pub(super) fn note_message(&mut self, bus: &BusId, value: u64, at: Wall) -> Fingerprint {
        let (next, ring) = self.ring(bus);
        let turn = *next;
        *next += 1;
        ring.note(value, at);
        Fingerprint { bus: bus.clone(), turn, value, at }
    }

    /// Whether the serial is new; it is remembered either way.
    pub(super) fn note_serial(&mut self, Serial { device, number, device_at }: Serial) -> bool {
        let recent = self.serials.entry(device).or_insert_with(|| Recent::new(SERIALS_KEPT));
        let serial = (number.into_boxed_str(), device_at);
        let new = recent.last(&serial).is_none();
        if new {
            recent.note(serial, device_at.unwrap_or(Wall(0)));
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_the_last_ones_only_and_over_a_restart() {
        let bus = BusId::new("b").unwrap();
        let mut seen = Seen::default();
        let mut noted: Vec<Fingerprint> =
            (0..FINGERPRINTS_KEPT + 5).map(|i| seen.note_message(&bus, i, Wall(7))).collect();
        assert_eq!(seen.message(&bus, 4), None, "pushed out");
        assert_eq!(seen.message(&bus, 5), Some(Wall(7)));
        noted.drain(..5);
        noted.reverse();
        let mut again = Seen::restore(noted, Vec::new());
        assert_eq!(again.message(&bus, 5), Some(Wall(7)));
        assert_eq!(again.note_message(&bus, 1, Wall(8)).turn, FINGERPRINTS_KEPT + 5);
    }

    #[test]
    fn a_serial_is_new_once_and_again_after_the_device_began_anew() {
        let serial = |number: &str, at| Serial {
            device: DeviceId::new("d").unwrap(),
            number: number.into(),
            device_at: Some(Wall(at)),
        };
        let mut seen = Seen::default();
        assert!(seen.note_serial(serial("1", 5)));
        assert!(!seen.note_serial(serial("1", 5)));
        assert!(seen.note_serial(serial("2", 5)));
        assert!(seen.note_serial(serial("1", 99)));
    }
}

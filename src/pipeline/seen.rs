//! What was here before: the last message fingerprints of each bus and the last event serials of each device.

use crate::model::{BusId, DeviceId};
use crate::museum;
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
}

/// The last few of something, in order, with a count of each.
#[derive(Debug)]
struct Recent<T> {
    order: VecDeque<T>,
    counts: HashMap<T, u32>,
    keep: usize,
}

impl<T: Clone + Eq + Hash> Recent<T> {
    fn new(keep: usize) -> Self {
        Self { order: VecDeque::new(), counts: HashMap::new(), keep }
    }

    fn has(&self, item: &T) -> bool {
        self.counts.contains_key(item)
    }

    fn note(&mut self, item: T) {
        *self.counts.entry(item.clone()).or_insert(0) += 1;
        self.order.push_back(item);
        if self.order.len() > self.keep
            && let Some(old) = self.order.pop_front()
            && let Some(count) = self.counts.get_mut(&old)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&old);
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    messages: BTreeMap<BusId, (u64, Recent<u64>)>,
    serials: BTreeMap<DeviceId, Recent<Box<str>>>,
}

impl Seen {
    pub(super) fn restore(mut fingerprints: Vec<Fingerprint>, serials: Vec<(DeviceId, String)>) -> Self {
        let mut seen = Self::default();
        fingerprints.sort_by_key(|f| f.turn);
        for Fingerprint { bus, turn, value } in fingerprints {
            let (next, ring) = seen.ring(&bus);
            *next = turn + 1;
            ring.note(value);
        }
        for (device, serial) in serials {
            seen.note_serial(&device, &serial);
        }
        seen
    }

    fn ring(&mut self, bus: &BusId) -> &mut (u64, Recent<u64>) {
        let keep = usize::try_from(FINGERPRINTS_KEPT).unwrap_or(usize::MAX);
        self.messages.entry(bus.clone()).or_insert_with(|| (0, Recent::new(keep)))
    }

    pub(super) fn message(&self, bus: &BusId, fingerprint: u64) -> bool {
        self.messages.get(bus).is_some_and(|(_, ring)| ring.has(&fingerprint))
            && !museum::on("redelivery_not_recognised")
    }

    pub(super) fn note_message(&mut self, bus: &BusId, value: u64) -> Fingerprint {
        let (next, ring) = self.ring(bus);
        let turn = *next;
        *next += 1;
        ring.note(value);
        Fingerprint { bus: bus.clone(), turn, value }
    }

    /// Whether the serial is new; it is remembered either way.
    pub(super) fn note_serial(&mut self, device: &DeviceId, serial: &str) -> bool {
        let recent = self.serials.entry(device.clone()).or_insert_with(|| Recent::new(SERIALS_KEPT));
        let serial: Box<str> = serial.into();
        let new = !recent.has(&serial);
        if new {
            recent.note(serial);
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
            (0..FINGERPRINTS_KEPT + 5).map(|i| seen.note_message(&bus, i)).collect();
        assert!(!seen.message(&bus, 4), "pushed out");
        assert!(seen.message(&bus, 5));
        noted.drain(..5);
        noted.reverse();
        let mut again = Seen::restore(noted, Vec::new());
        assert!(again.message(&bus, 5));
        assert_eq!(again.note_message(&bus, 1).turn, FINGERPRINTS_KEPT + 5);
    }

    #[test]
    fn a_serial_is_new_once() {
        let device = DeviceId::new("d").unwrap();
        let mut seen = Seen::default();
        assert!(seen.note_serial(&device, "1"));
        assert!(!seen.note_serial(&device, "1"));
        assert!(seen.note_serial(&device, "2"));
    }
}

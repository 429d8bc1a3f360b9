//! Turns one received message into one delivery.

use super::super::{Field, Links};
use super::routes::Routes;
use super::skim::{Mark, find_cut};
use crate::config::Device;
use crate::model::{
    Body, BusId, ClockQuality, Delivery, DeviceId, Input, Link, MessageKey, Observation, Refused, Stamp,
    Unknown, Wall,
};
use crate::profile::{Context, Decoded, Refusal};
use rumqttc::{Publish, QoS};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Longest topic told to people, in characters.
const MAX_ORIGIN: usize = 256;

/// What deciphering needs of a driver.
pub(super) struct Inbound<'a> {
    pub(super) bus: &'a BusId,
    pub(super) devices: &'a [Device],
    pub(super) routes: &'a Routes,
    pub(super) max_payload: usize,
    pub(super) mark: Mark,
    pub(super) field: &'a Field,
    pub(super) links: Links,
    pub(super) wrong_clocks: WrongClocks,
}

/// Messages with an impossible device time that are shown in quarantine: the first few of a device, then one an hour,
/// so that one reader with an empty battery does not push out everything else.
#[derive(Debug, Default)]
pub(super) struct WrongClocks(BTreeMap<DeviceId, (u32, Wall)>);

const WRONG_CLOCKS_SHOWN: u32 = 20;
const WRONG_CLOCK_PAUSE_MS: i64 = 3_600_000;

impl WrongClocks {
    fn shows(&mut self, device: &DeviceId, now: Wall) -> bool {
        let (shown, last) = self.0.entry(device.clone()).or_insert((0, now));
        let shows = *shown < WRONG_CLOCKS_SHOWN || now.since(*last).saturating_abs() >= WRONG_CLOCK_PAUSE_MS;
        if shows {
            (*shown, *last) = (shown.saturating_add(1), now);
        }
        shows
    }
}

/// One message, taken apart.
struct Message<'a> {
    topic: &'a str,
    payload: &'a [u8],
    /// The length it had on the wire.
    whole_len: usize,
    retained: bool,
    now: Wall,
}

impl Inbound<'_> {
    /// The delivery of a message: what its devices say by it, or why it could not be understood.
    pub(super) fn delivery(&mut self, publish: &Publish) -> Delivery {
        let cut = find_cut(&publish.payload, &self.mark);
        let (payload, whole_len) =
            cut.map_or((publish.payload.as_ref(), publish.payload.len()), |cut| (cut.head, cut.whole_len));
        let key = (publish.qos != QoS::AtMostOnce).then(|| MessageKey {
            fingerprint: fingerprint(publish.pkid, &publish.topic, payload, whole_len),
            redelivered: publish.dup,
        });
        let now = self.field.clock.now().wall;
        let topic = String::from_utf8_lossy(&publish.topic);
        let message = Message { topic: &topic, payload, whole_len, retained: publish.retain, now };
        Delivery { bus: Some(self.bus.clone()), key, inputs: self.inputs(&message) }
    }

    fn inputs(&mut self, message: &Message<'_>) -> Vec<Input> {
        let owners: Vec<&Device> = self
            .routes
            .devices_of(message.topic)
            .into_iter()
            .filter_map(|index| self.devices.get(index))
            .collect();
        match owners.as_slice() {
            [] => vec![Input::Unknown(Unknown {
                bus: self.bus.clone(),
                origin: origin(message.topic),
                stamp: Stamp::new(None, message.now),
            })],
            [device] => self.inputs_of_one(device, message),
            several => self.inputs_of_several(several, message),
        }
    }

    fn inputs_of_one(&mut self, device: &Device, message: &Message<'_>) -> Vec<Input> {
        let mut inputs = Vec::new();
        match self.decode(device, message) {
            Ok(said) => self.observe(device, said, message, &mut inputs),
            Err(refusal) => {
                self.answers(device, message, &mut inputs);
                let keep_raw = !device.profile.personal();
                inputs.extend(self.refuse(Some(device), refusal, message, keep_raw));
            }
        }
        inputs
    }

    /// A topic that several devices share (a heartbeat with the sender's number inside): it is a sign of life
    /// only of those whose profile finds something in it, and refused once if none does.
    fn inputs_of_several(&mut self, devices: &[&Device], message: &Message<'_>) -> Vec<Input> {
        let mut inputs = Vec::new();
        let mut first_refusal = None;
        let mut understood = false;
        for device in devices {
            match self.decode(device, message) {
                Ok(said) => {
                    understood = true;
                    if !said.is_empty() {
                        self.observe(device, said, message, &mut inputs);
                    }
                }
                Err(refusal) => {
                    first_refusal.get_or_insert(refusal);
                }
            }
        }
        if let (false, Some(refusal)) = (understood, first_refusal) {
            let keep_raw = !devices.iter().any(|device| device.profile.personal());
            inputs.extend(self.refuse(None, refusal, message, keep_raw));
        }
        inputs
    }

    fn decode(&self, device: &Device, message: &Message<'_>) -> Result<Vec<Decoded>, Refusal> {
        if message.whole_len > self.max_payload {
            return Err(Refusal {
                kind: "too_large",
                reason: format!(
                    "the payload has {} bytes; max_payload of bus '{}' is {}",
                    message.whole_len, self.bus, self.max_payload
                ),
            });
        }
        let cx = Context {
            device: &device.id,
            now: message.now,
            site_key: &self.field.site_key,
            zone: &self.field.site.zone,
            allow_health: false,
            withheld: None,
        };
        device.profile.decode_message(&cx, &device.address, message.topic, message.payload)
    }

    fn observe(
        &mut self,
        device: &Device,
        said: Vec<Decoded>,
        message: &Message<'_>,
        inputs: &mut Vec<Input>,
    ) {
        let wrong = said
            .iter()
            .filter_map(|decoded| decoded.device_time)
            .find(|time| Stamp::new(Some(*time), message.now).clock == ClockQuality::DeviceWrong);
        if let Some(time) = wrong
            && self.wrong_clocks.shows(&device.id, message.now)
        {
            let reason = format!(
                "the device says {time}, which cannot be: what it says is stored with the gateway's time; \
                 set the device's clock and zone"
            );
            let refusal = Refusal { kind: "wrong_clock", reason };
            inputs.extend(self.refuse(Some(device), refusal, message, !device.profile.personal()));
        }
        // A device that says itself how it is, is believed: a message "offline" is no sign of life.
        if !said.iter().any(|decoded| matches!(decoded.body, Body::Link(_))) {
            self.answers(device, message, inputs);
        }
        for Decoded { device_time, body } in said {
            if let Body::Link(link) = body
                && self.links.set(&device.id, link, message.now).is_none()
            {
                continue;
            }
            inputs.push(Input::Observed(Observation {
                device: device.id.clone(),
                stamp: Stamp::new(device_time, message.now),
                body,
                retained: message.retained,
            }));
        }
    }

    /// A live message shows that its device answers; a retained one only that it once did.
    fn answers(&mut self, device: &Device, message: &Message<'_>, inputs: &mut Vec<Input>) {
        if !message.retained {
            inputs.extend(self.links.set(&device.id, Link::Up, message.now));
        }
    }

    /// `None` for an empty payload, which is how MQTT clears a retained message (MQTT 3.1.1, section 3.3.1.3).
    fn refuse(
        &self,
        device: Option<&Device>,
        refusal: Refusal,
        message: &Message<'_>,
        keep_raw: bool,
    ) -> Option<Input> {
        if message.whole_len == 0 {
            return None;
        }
        let raw = if keep_raw { message.payload } else { &[] };
        Some(Input::Refused(Refused {
            device: device.map(|device| device.id.clone()),
            bus: self.bus.clone(),
            origin: origin(message.topic),
            kind: refusal.kind,
            reason: refusal.reason,
            raw: raw.iter().take(Refused::MAX_KEPT).copied().collect(),
            raw_len: message.whole_len,
            stamp: Stamp::new(None, message.now),
        }))
    }
}

fn origin(topic: &str) -> String {
    topic.chars().take(MAX_ORIGIN).collect()
}

/// The first 64 bits of SHA-256 over packet id, topic and payload: the same for the same message after any restart
/// (MQTT 3.1.1, 4.4: a message is sent again under its own packet id), and another for the next message even when it
/// says the same.
fn fingerprint(packet_id: u16, topic: &[u8], payload: &[u8], whole_len: usize) -> u64 {
    let mut hash = Sha256::new();
    hash.update(packet_id.to_be_bytes());
    hash.update(u64::try_from(topic.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(topic);
    hash.update(u64::try_from(whole_len).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(payload);
    hash.finalize().first_chunk::<8>().map_or(0, |first| u64::from_be_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_depends_on_packet_id_topic_payload_and_length_alone() {
        let base = fingerprint(7, b"a/b", b"cd", 2);
        assert_eq!(base, fingerprint(7, b"a/b", b"cd", 2));
        for other in [
            fingerprint(8, b"a/b", b"cd", 2),
            fingerprint(7, b"a/bc", b"d", 1),
            fingerprint(7, b"a/b", b"ce", 2),
            fingerprint(7, b"a/b", b"cd", 3),
        ] {
            assert_ne!(base, other);
        }
    }
}

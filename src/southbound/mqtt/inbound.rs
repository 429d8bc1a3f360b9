//! Turns one received message into one delivery, whoever is the broker.

use super::super::{Field, Links};
use super::bucket::Floods;
use super::routes::Routes;
use crate::config::Device;
use crate::model::{
    Body, BusId, ClockQuality, Delivery, DeviceId, EventKind, Input, Link, MessageKey, Observation, Refused,
    Stamp, Unknown, Wall,
};
use crate::notice;
use crate::profile::{Decoded, Refusal, Reply, Said};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Longest topic told to people, in characters.
const MAX_ORIGIN: usize = 256;

/// What deciphering needs of a driver, and what it remembers from message to message.
pub(in crate::southbound) struct Inbound<'a> {
    pub(in crate::southbound) bus: &'a BusId,
    pub(in crate::southbound) devices: &'a [Device],
    pub(in crate::southbound) routes: &'a Routes,
    pub(in crate::southbound) max_payload: usize,
    pub(in crate::southbound) field: &'a Field,
    pub(in crate::southbound) links: Links,
    pub(in crate::southbound) wrong_clocks: WrongClocks,
    pub(in crate::southbound) floods: Floods,
}

/// A message as it arrived.
#[derive(Debug, Clone, Copy)]
pub(in crate::southbound) struct Arrived<'a> {
    /// Whose packet id it is; empty behind a broker, where all are the broker's.
    pub(in crate::southbound) client: &'a str,
    /// `None` at QoS 0.
    pub(in crate::southbound) packet_id: Option<u16>,
    pub(in crate::southbound) dup: bool,
    pub(in crate::southbound) topic: &'a str,
    pub(in crate::southbound) payload: &'a [u8],
    /// The length it had on the wire.
    pub(in crate::southbound) whole_len: usize,
    /// Told on subscribing: a state, not something that happens now.
    pub(in crate::southbound) retained: bool,
    /// Its sender is held back already, so that nothing of it is thrown away.
    pub(in crate::southbound) paced: bool,
}

/// What came of a message.
#[derive(Debug)]
pub(in crate::southbound) struct Heard {
    pub(in crate::southbound) delivery: Delivery,
    /// What its device is to be told once it is stored.
    pub(in crate::southbound) reply: Option<Reply>,
    /// It was one too many and thrown away; nothing is in the delivery.
    pub(in crate::southbound) shed: bool,
}

/// Messages with an impossible device time that are shown in quarantine: the first few of a device, then one an hour,
/// so that one reader with an empty battery does not push out everything else.
#[derive(Debug, Default)]
pub(in crate::southbound) struct WrongClocks(BTreeMap<DeviceId, (u32, Wall)>);

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
    pub(in crate::southbound) fn delivery(&mut self, arrived: &Arrived<'_>) -> Heard {
        let now = self.field.clock.now();
        let Arrived { topic, payload, whole_len, retained, .. } = *arrived;
        let message = Message { topic, payload, whole_len, retained, now: now.wall };
        let owners = self.routes.devices_of(topic);
        let all = self.devices;
        let owners: Vec<&Device> = owners.into_iter().filter_map(|index| all.get(index)).collect();
        let (admitted, late): (Vec<&Device>, Vec<&Device>) = owners.iter().copied().partition(|device| {
            arrived.paced || self.floods.admits(self.bus, Some(&device.id), now.mono, &self.field.tally)
        });
        let (mut inputs, reply) = match (owners.as_slice(), admitted.as_slice()) {
            ([], _) if !self.floods.admits(self.bus, None, now.mono, &self.field.tally) => (Vec::new(), None),
            ([], _) => (vec![self.unknown(&message)], None),
            (_, []) => (Vec::new(), None),
            ([_], [device]) => self.inputs_of_one(device, &message),
            (_, several) => self.inputs_of_several(several, &message),
        };
        for device in late {
            self.urgent_alone(device, &message, &mut inputs);
        }
        if arrived.packet_id.is_none() && !retained {
            admitted.iter().for_each(|device| self.field.tally.at_most_once.of(&device.id).one());
        }
        if admitted.iter().any(|device| device.profile.personal()) && notice::holds_picture(payload) {
            self.field.tally.withheld_pictures.one();
        }
        let shed = inputs.is_empty() && admitted.is_empty();
        // Of a message that was cut short nothing is repeated.
        let reply = reply.filter(|_| whole_len == payload.len());
        let key = arrived.packet_id.filter(|_| !shed).map(|id| MessageKey {
            fingerprint: fingerprint(arrived.client, id, topic, payload, whole_len),
            redelivered: arrived.dup,
        });
        Heard { delivery: Delivery { bus: Some(self.bus.clone()), key, inputs }, reply, shed }
    }

    fn unknown(&self, message: &Message<'_>) -> Input {
        Input::Unknown(Unknown {
            bus: self.bus.clone(),
            origin: origin(message.topic),
            stamp: Stamp::new(None, message.now),
        })
    }

    /// Of a device that says too much, calls for help and fires are heard all the same.
    fn urgent_alone(&mut self, device: &Device, message: &Message<'_>, inputs: &mut Vec<Input>) {
        let urgent = |kind: &EventKind| matches!(kind, EventKind::Help | EventKind::Fire | EventKind::Duress);
        if !device.profile.events.iter().any(urgent) {
            return;
        }
        let said = self.hear(device, message).decoded.unwrap_or_default();
        let said: Vec<Decoded> = said
            .into_iter()
            .filter(|decoded| matches!(&decoded.body, Body::Event(event) if urgent(&event.kind)))
            .collect();
        if !said.is_empty() {
            self.observe(device, said, message, inputs);
        }
    }

    fn inputs_of_one(&mut self, device: &Device, message: &Message<'_>) -> (Vec<Input>, Option<Reply>) {
        let mut inputs = Vec::new();
        let Said { decoded, reply } = self.hear(device, message);
        match decoded {
            Ok(said) => self.observe(device, said, message, &mut inputs),
            Err(refusal) if refusal.kind == Refusal::OTHER_DEVICE => inputs.push(self.unknown(message)),
            Err(refusal) => {
                self.answers(device, message, &mut inputs);
                let keep_raw = !device.profile.personal();
                inputs.extend(self.refuse(Some(device), refusal, message, keep_raw));
            }
        }
        (inputs, reply)
    }

    /// A topic that several devices share (a heartbeat with the sender's number inside): it is a sign of life
    /// only of those whose profile finds something in it, and refused once if none does.
    fn inputs_of_several(
        &mut self,
        devices: &[&Device],
        message: &Message<'_>,
    ) -> (Vec<Input>, Option<Reply>) {
        let mut inputs = Vec::new();
        let mut first_refusal: Option<Refusal> = None;
        let mut understood = false;
        let mut answer = None;
        for device in devices {
            let Said { decoded, reply } = self.hear(device, message);
            // The one that sent it is answered.
            answer = answer.or(reply);
            match decoded {
                Ok(said) => {
                    understood = true;
                    if !said.is_empty() {
                        self.observe(device, said, message, &mut inputs);
                    }
                }
                // What is wrong with it says more than that it is not for the others.
                Err(refusal) if first_refusal.as_ref().is_none_or(|r| r.kind == Refusal::OTHER_DEVICE) => {
                    first_refusal = Some(refusal);
                }
                Err(_) => {}
            }
        }
        if let (false, Some(refusal)) = (understood, first_refusal) {
            if refusal.kind == Refusal::OTHER_DEVICE {
                return (vec![self.unknown(message)], answer);
            }
            let keep_raw = !devices.iter().any(|device| device.profile.personal());
            inputs.extend(self.refuse(None, refusal, message, keep_raw));
        }
        (inputs, answer)
    }

    fn hear(&self, device: &Device, message: &Message<'_>) -> Said {
        if message.whole_len > self.max_payload {
            return Said::refused(Refusal {
                kind: "too_large",
                reason: format!(
                    "the payload has {} bytes; max_payload of bus '{}' is {}",
                    message.whole_len, self.bus, self.max_payload
                ),
            });
        }
        let cx = self.field.context(&device.id, message.now);
        device.profile.hear(&cx, &device.address, message.topic, message.payload)
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

/// A text of somebody else, short enough and without what would play with a terminal.
pub(in crate::southbound) fn origin(text: &str) -> String {
    text.chars()
        .take(MAX_ORIGIN)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// The first 64 bits of SHA-256 over client, packet id, topic and payload: the same for the same message after any
/// restart (MQTT 3.1.1, 4.4: a message is sent again under its own packet id), and another for the next message even
/// when it says the same.
fn fingerprint(client: &str, packet_id: u16, topic: &str, payload: &[u8], whole_len: usize) -> u64 {
    let mut hash = Sha256::new();
    if !client.is_empty() {
        hash.update(u64::try_from(client.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(client);
    }
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
    use crate::document::Problems;
    use crate::model::PlaceId;
    use crate::profile::parse;
    use crate::runtime::ManualClock;
    use crate::southbound::testing;
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn a_fingerprint_depends_on_client_packet_id_topic_payload_and_length_alone() {
        let base = fingerprint("", 7, "a/b", b"cd", 2);
        assert_eq!(base, fingerprint("", 7, "a/b", b"cd", 2));
        for other in [
            fingerprint("c", 7, "a/b", b"cd", 2),
            fingerprint("", 8, "a/b", b"cd", 2),
            fingerprint("", 7, "a/bc", b"d", 1),
            fingerprint("", 7, "a/b", b"ce", 2),
            fingerprint("", 7, "a/b", b"cd", 3),
        ] {
            assert_ne!(base, other);
        }
    }

    const FACE: &str = include_str!("../../../device-profiles/card-reader/face-rec-mqtt/profile.toml");

    fn terminal(id: &str) -> Device {
        Device {
            id: DeviceId::new(id).unwrap(),
            name: id.into(),
            profile: Arc::new(parse("profile.toml", FACE, &Problems::new()).unwrap()),
            bus: BusId::new("campus").unwrap(),
            address: id.into(),
            place: PlaceId::new("gate").unwrap(),
            poll: Duration::from_secs(60),
            alarmed: BTreeSet::new(),
            item: None,
        }
    }

    /// Who is heard of, whether somebody is unknown, and who is answered, for a message on a topic that all share.
    fn shared(devices: &[Device], topic: &str, sender: &str) -> (Vec<String>, bool, Option<String>) {
        let (field, _outlet) = testing::field(Arc::new(ManualClock::new(Wall(1_790_000_000_000))));
        let (bus, routes) = (BusId::new("campus").unwrap(), Routes::new(devices));
        let mut inbound = Inbound {
            bus: &bus,
            devices,
            routes: &routes,
            max_payload: 1000,
            field: &field,
            links: Links::default(),
            wrong_clocks: WrongClocks::default(),
            floods: Floods::default(),
        };
        let payload = format!("{{\"operator\":\"Online\",\"info\":{{\"facesluiceId\":\"{sender}\"}}}}");
        let heard = inbound.delivery(&Arrived {
            client: "",
            packet_id: Some(1),
            dup: false,
            topic,
            payload: payload.as_bytes(),
            whole_len: payload.len(),
            retained: false,
            paced: false,
        });
        let inputs = &heard.delivery.inputs;
        let up = inputs.iter().filter_map(|input| match input {
            Input::Observed(Observation { device, body: Body::Link(Link::Up), .. }) => {
                Some(device.to_string())
            }
            _ => None,
        });
        let unknown = matches!(inputs.as_slice(), [Input::Unknown(_)]);
        (up.collect(), unknown, heard.reply.map(|reply| reply.topic))
    }

    #[test]
    fn on_a_shared_topic_only_the_sender_is_there_and_answered() {
        let (basic, heartbeat) = ("mqtt/face/basic", "mqtt/face/heartbeat");
        let all = [terminal("t1"), terminal("t2"), terminal("t3")];
        for devices in [&all[..1], &all[..]] {
            let answered = Some("mqtt/face/t1".to_owned());
            assert_eq!(shared(devices, basic, "t1"), (vec!["t1".to_owned()], false, answered));
            assert_eq!(shared(devices, heartbeat, "t1"), (vec!["t1".to_owned()], false, None));
            for topic in [basic, heartbeat] {
                assert_eq!(shared(devices, topic, "t9"), (vec![], true, None), "{topic}");
            }
        }
        assert_eq!(shared(&all, basic, "t3").2.as_deref(), Some("mqtt/face/t3"));
    }
}

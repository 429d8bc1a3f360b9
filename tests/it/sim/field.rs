//! The devices and the broker that holds their messages until they are acknowledged.

use super::Dice;
use schoolgate::config::Config;
use schoolgate::model::{
    Body, BusId, Delivery, DeviceId, EventKind, Input, MessageKey, Now, Observation, Phase, PointId,
    PointKind, Reading, SiteKey, Stamp, Unit, Wall,
};
use schoolgate::profile::Context;
use schoolgate::store::{EventFilter, Reader};
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// One message in the broker.
struct Message {
    packet_id: u16,
    device: &'static str,
    topic: String,
    payload: String,
    /// It was sent before, on a connection that is gone.
    again: bool,
    in_flight: bool,
}

#[derive(Default)]
pub(super) struct Field {
    broker: VecDeque<Message>,
    next_packet: u16,
    next_serial: u64,
    next_value: u64,
    loaded: bool,
    energy: f64,
    /// What must be in the store, once each: by serial, by value, and by kind and phase.
    serials: Vec<String>,
    values: Vec<f64>,
    contacts: BTreeMap<Phase, u64>,
    presses: u64,
}

impl Field {
    fn publish(&mut self, device: &'static str, topic: String, payload: String) {
        self.next_packet = self.next_packet.wrapping_add(1).max(1);
        self.broker.push_back(Message {
            packet_id: self.next_packet,
            device,
            topic,
            payload,
            again: false,
            in_flight: false,
        });
    }

    pub(super) fn something_happens(&mut self, dice: &mut Dice, wall: Wall) {
        match dice.below(10) {
            0..=2 => self.card(dice, wall),
            3 => {
                let closed = dice.one_in(2);
                self.contact(closed);
            }
            4 => self.press(),
            5 => self.loaded = !self.loaded,
            _ => {
                self.next_value += 1;
                // Every value is another one, within the sensor's range.
                let value = self.next_value as f64 / 100.0 - 20.0;
                self.values.push(value);
                self.publish("air", "zigbee2mqtt/air".into(), format!(r#"{{"temperature":{value}}}"#));
            }
        }
    }

    /// Somebody calls for help.
    pub(super) fn press(&mut self) {
        self.presses += 1;
        self.publish("help", "zigbee2mqtt/help".into(), r#"{"action":"emergency"}"#.into());
    }

    /// How often somebody called for help.
    pub(super) fn presses(&self) -> u64 {
        self.presses
    }

    fn contact(&mut self, closed: bool) {
        *self.contacts.entry(if closed { Phase::End } else { Phase::Start }).or_insert(0) += 1;
        self.publish("door", "zigbee2mqtt/door".into(), format!(r#"{{"contact":{closed}}}"#));
    }

    fn card(&mut self, dice: &mut Dice, wall: Wall) {
        self.next_serial += 1;
        let serial = self.next_serial.to_string();
        let status = 1 + dice.below(3);
        let time = wall.to_string().replace('T', " ").split('.').next().unwrap_or_default().to_owned();
        let payload = format!(
            r#"{{"operator":"RecPush","info":{{"RecordID":"{serial}","VerifyStatus":"{status}","time":"{time}","direction":"entr","RFIDCard":"{}"}}}}"#,
            dice.below(5)
        );
        self.publish("gate", "mqtt/face/gate/Rec".into(), payload.clone());
        if dice.one_in(6) {
            // The terminal sends it again as a new message: it waited in vain for its own acknowledgement.
            self.publish("gate", "mqtt/face/gate/Rec".into(), payload);
        }
        self.serials.push(serial);
    }

    /// Whatever is wrong in the school ends.
    pub(super) fn all_quiet(&mut self, _: Wall) {
        self.loaded = false;
        self.contact(true);
    }

    pub(super) fn connection_lost(&mut self) {
        for message in &mut self.broker {
            message.again |= message.in_flight;
            message.in_flight = false;
        }
    }

    /// Whether the broker has something to send again.
    pub(super) fn sends_again(&self) -> bool {
        self.broker.iter().any(|message| message.again)
    }

    pub(super) fn nothing_waits(&self) -> bool {
        self.broker.is_empty()
    }

    /// What the broker sends next: at most its window of unacknowledged messages.
    pub(super) fn deliver(&mut self, config: &Config, wall: Wall, dice: &mut Dice) -> Vec<Delivery> {
        let take = usize::try_from(dice.below(20)).unwrap();
        let window = self.broker.iter_mut().take(20).filter(|m| !m.in_flight).take(take);
        window
            .map(|message| {
                message.in_flight = true;
                decode(config, message, wall)
            })
            .collect()
    }

    /// The broker hears the acknowledgements of the first `n` messages.
    pub(super) fn acknowledged(&mut self, n: usize) {
        self.broker.drain(..n);
    }

    /// What the meters say when they are asked.
    pub(super) fn poll(&mut self, dice: &mut Dice, now: Now) -> Vec<Delivery> {
        let wall = now.wall;
        if dice.one_in(5) {
            return Vec::new();
        }
        self.energy += dice.below(30) as f64 / 100.0;
        let power = if self.loaded { 9000.0 } else { 500.0 } + dice.below(100) as f64;
        let reading = |point: &str, value, unit, kind| {
            Input::Observed(Observation {
                device: DeviceId::new("meter").unwrap(),
                stamp: Stamp::new(None, wall),
                body: Body::Reading(Reading::new(PointId::new(point).unwrap(), value, unit, kind)),
                retained: false,
            })
        };
        let inputs = vec![
            reading("power_total", power, Unit::Watt, PointKind::Gauge),
            reading("energy_import", self.energy, Unit::KilowattHour, PointKind::Counter),
        ];
        vec![Delivery { bus: Some(BusId::new("meters").unwrap()), key: None, inputs }]
    }

    /// Everything the broker was told is safe is in the store once.
    pub(super) fn check_stored(&self, reader: &Reader, clock_steps: bool) -> u64 {
        let mut serials = BTreeMap::new();
        let mut contacts = BTreeMap::new();
        let mut presses = 0;
        let mut before = None;
        loop {
            let page = reader.events(&EventFilter::default(), before, 1000).unwrap();
            for (_, stored) in page.rows {
                match stored.event.kind {
                    EventKind::Credential => {
                        *serials.entry(stored.event.serial.expect("a serial")).or_insert(0u32) += 1;
                    }
                    EventKind::Contact => *contacts.entry(stored.event.phase).or_insert(0u64) += 1,
                    EventKind::Help => presses += 1,
                    other => panic!("nobody made a {other}"),
                }
            }
            before = page.next_before;
            if before.is_none() {
                break;
            }
        }
        let expected: BTreeMap<String, u32> = self.serials.iter().map(|s| (s.clone(), 1)).collect();
        assert_eq!(serials, expected, "cards");
        assert_eq!(contacts, self.contacts, "doors");
        assert!(presses >= self.presses, "help: {presses} of {}", self.presses);
        // While the clock jumps, a repeated press cannot be told from a new one: a duplicate is allowed.
        assert!(clock_steps || presses == self.presses, "help: {presses} of {}", self.presses);
        let device = DeviceId::new("air").unwrap();
        let mut stored = Vec::new();
        let mut before = None;
        loop {
            let page = reader.readings(Some(&device), None, before, 1000).unwrap();
            stored.extend(page.rows.into_iter().filter_map(|(_, r)| r.reading.value));
            before = page.next_before;
            if before.is_none() {
                break;
            }
        }
        stored.reverse();
        assert_eq!(stored, self.values, "temperatures, in order");
        presses
    }
}

fn decode(config: &Config, message: &Message, wall: Wall) -> Delivery {
    let device = &config.devices[message.device];
    let key = SiteKey::new([9; 32]);
    let cx = Context {
        device: &device.id,
        now: wall,
        site_key: &key,
        zone: &config.site.zone,
        allow_health: false,
        withheld: None,
    };
    let decoded = device
        .profile
        .hear(&cx, &device.address, &message.topic, message.payload.as_bytes())
        .decoded
        .expect("a good message");
    let inputs = decoded
        .into_iter()
        .map(|d| {
            Input::Observed(Observation {
                device: device.id.clone(),
                stamp: Stamp::new(d.device_time, wall),
                body: d.body,
                retained: false,
            })
        })
        .collect();
    let mut hasher = DefaultHasher::new();
    (message.packet_id, &message.topic, &message.payload).hash(&mut hasher);
    let key = Some(MessageKey { fingerprint: hasher.finish(), redelivered: message.again });
    Delivery { bus: Some(device.bus.clone()), key, inputs }
}

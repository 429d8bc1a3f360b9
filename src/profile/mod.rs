//! The device-profile language: what a device says, as data; parse, validate, and decode samples to observations.
//!
//! A profile is a directory `device-profiles/<class>/<vendor>-<model>/` with `profile.toml` and golden vectors in
//! `vectors.toml`. It is loaded at start; a new meter model needs no new program.

mod cell;
mod counting;
mod credential;
mod digits;
mod fields;
mod format;
mod identity;
mod likeness;
mod message;
mod modbus;
mod notices;
mod onvif;
mod orders;
mod parse;
mod pointer;
mod ratio;
mod register;
mod register_event;
mod reply;
mod topic;
pub mod vectors;
mod writing;

#[cfg(test)]
pub(crate) mod tests;

pub use counting::{Counted, Counting, Nature, countable};
pub use digits::Identifier;
pub use likeness::{Likeness, likeness};
pub use orders::{Guess, orders};
pub use parse::parse;
pub use ratio::{Ratio, Ratios};
pub use topic::topic_matches;
pub use writing::Writable;

use crate::model::{
    Body, DeviceId, Doubt, EventKind, PointId, PointKind, ProfileId, Reading, SiteKey, Text, Unit, Wall,
};
use crate::notice::{Notice, Unreadable};
use digits::Digits;
use jiff::tz::TimeZone;
use message::Messages;
use modbus::Registers;
use notices::Codes;
use onvif::Notifications;
use std::sync::atomic::AtomicU64;

/// A fixed sentence in Chinese and English.
type Both = (&'static str, &'static str);

/// What decoding needs to know besides the bytes.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Whose sample it is.
    pub device: &'a DeviceId,
    /// When it arrived.
    pub now: Wall,
    /// For pseudonyms.
    pub site_key: &'a SiteKey,
    /// For device times without a zone.
    pub zone: &'a TimeZone,
    /// Whether values that are health data may be taken.
    pub allow_health: bool,
    /// Counts those that were not.
    pub withheld: Option<&'a AtomicU64>,
}

/// One quantity a device gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Its id in this profile.
    pub id: PointId,
    /// Its name for people.
    pub name: Text,
    /// The unit of decoded values.
    pub unit: Unit,
    /// How its values follow one another.
    pub kind: PointKind,
    /// For counters: the value at which it starts again from zero, in `unit`, if known.
    pub wrap: Option<f64>,
    /// Values outside are uncertain; also what a rule's limit is checked against.
    pub range: Option<(f64, f64)>,
    /// For counters: the most they can physically grow in an hour, in `unit`, if known. More than that was not measured.
    pub max_growth_per_hour: Option<f64>,
    /// Polled devices: it is read at every so-manieth poll; 1 to 1000.
    pub every: u16,
    /// Which transformers stand before the device, so that its values are to be multiplied.
    pub ratio: Option<Ratio>,
    /// By how much they are; 1 unless [`Profile::behind`] says otherwise.
    pub factor: f64,
}

impl Point {
    /// A point of which nothing else is known.
    #[must_use]
    pub fn new(id: PointId, name: Text, unit: Unit, kind: PointKind) -> Self {
        let (wrap, range, max_growth_per_hour, ratio) = (None, None, None, None);
        Self { id, name, unit, kind, wrap, range, max_growth_per_hour, every: 1, ratio, factor: 1.0 }
    }

    /// A value as the device gave it, multiplied by the transformers' ratio, and doubted when outside the range.
    fn reading(&self, value: f64) -> Reading {
        let value = value * self.factor;
        let reading = Reading::new(self.id.clone(), value, self.unit, self.kind);
        match self.range {
            Some((low, high)) if !(low..=high).contains(&value) => reading.doubted(Doubt::OutOfRange),
            _ => reading,
        }
    }

    /// No value, and why.
    fn absent(&self, doubt: Doubt) -> Reading {
        Reading::absent(self.id.clone(), self.unit, self.kind, doubt)
    }
}

/// One decoded thing: what, and the device's own time if it gave one.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The device's time.
    pub device_time: Option<Wall>,
    /// What it says.
    pub body: Body,
}

/// What a device waits for as the answer to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Where to publish it.
    pub topic: String,
    /// JSON.
    pub payload: Vec<u8>,
}

/// What came of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// What it says. An empty list is a message that says nothing new (an empty action).
    pub decoded: Result<Vec<Decoded>, Refusal>,
    /// What its device waits for, once the message is kept; `None` where it needs no answer or what the answer repeats
    /// is not in the message.
    pub reply: Option<Reply>,
}

impl Said {
    /// It could not be understood, and nobody is answered.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Self {
        Self { decoded: Err(refusal), reply: None }
    }
}

/// Why a sample could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// One word for the metric: `empty`, `not_utf8`, `not_json`, `too_deep`, `bad_number`, `duplicate_key`,
    /// `bad_type`, `missing_field`, `unknown_value`, `nothing_known`, `wrong_topic`, `other_device` or `health`.
    pub kind: &'static str,
    /// What was wrong, where in the payload, and what was expected; never a value of the payload.
    pub reason: String,
}

impl Refusal {
    /// The kind of a message on a shared topic that another device sent.
    pub const OTHER_DEVICE: &'static str = "other_device";

    fn new(kind: &'static str, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into() }
    }

    /// Health data that the school did not allow.
    #[must_use]
    pub fn health() -> Self {
        Self::new("health", "health data is not taken unless the school's privacy settings allow it")
    }
}

impl From<Unreadable> for Refusal {
    fn from(Unreadable { kind, reason }: Unreadable) -> Self {
        Self { kind, reason }
    }
}

/// Which Modbus table a register is in (MODBUS Application Protocol V1.1b3, section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegisterTable {
    /// Function 3.
    Holding,
    /// Function 4.
    Input,
    /// Function 1: bits that can be written.
    Coil,
    /// Function 2: bits that cannot.
    Discrete,
}

impl RegisterTable {
    /// Whether it holds single bits; a bit that was read is one word, 0 or 1.
    #[must_use]
    pub fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }
}

/// Where one point stands in a device's registers, for the request planner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisterSpan {
    /// Which table.
    pub table: RegisterTable,
    /// First register, 0-based as on the wire.
    pub address: u16,
    /// How many registers, or bits.
    pub words: u16,
    /// At every so-manieth poll; 1 to 1000.
    pub every: u16,
}

/// What a control sends to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Coils or holding registers.
    pub table: RegisterTable,
    /// The first of them, 0-based.
    pub address: u16,
    /// One word for each; of a coil 0 or 1.
    pub words: Vec<u16>,
    /// By functions 15 and 16 even if there is only one.
    pub multiple: bool,
}

/// Limits of a device's Modbus side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModbusLimits {
    /// Most registers in one read, 1 to 125.
    pub max_registers: u16,
    /// Unused registers that may be read along to merge two reads.
    pub max_gap: u16,
}

/// What kind of bus a device hangs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Modbus registers.
    Modbus,
    /// DL/T 645-2007, electricity meters.
    Dlt645,
    /// CJ/T 188, water, gas and heat meters.
    Cjt188,
    /// MQTT messages.
    Mqtt,
    /// An ONVIF camera.
    Onvif,
    /// Hikvision ISAPI: alerts and passes, pushed or pulled.
    Isapi,
    /// Dahua's CGI event stream.
    Dahua,
    /// ZKTeco push (`/iclock/`).
    Zkteco,
    /// GB/T 26875.3: fire transmitters.
    Gb26875,
    /// Contact ID in SIA DC-09 frames: intrusion panels.
    ContactId,
}

impl Protocol {
    /// Whether its devices tell notices, which a table of codes in the profile explains.
    #[must_use]
    pub fn is_noticed(self) -> bool {
        matches!(self, Self::Isapi | Self::Dahua | Self::Zkteco | Self::Gb26875 | Self::ContactId)
    }
}

/// What a device says, as data.
#[derive(Debug, Clone)]
pub struct Profile {
    /// `<vendor>-<model>`.
    pub id: ProfileId,
    /// What it is: `energy-meter`, `sensor`, `card-reader` …
    pub class: String,
    /// Its name for people.
    pub name: Text,
    /// Where the addresses, fields and scales come from: manual, page, standard.
    pub source: String,
    /// Whether it was tried on a real device.
    pub confirmed: bool,
    /// What kind of bus it hangs on.
    pub protocol: Protocol,
    /// The quantities it gives.
    pub points: Vec<Point>,
    /// The kinds of events it gives.
    pub events: Vec<EventKind>,
    ratios: Ratios,
    wire: Wire,
}

/// How its words on the wire become points and events.
#[derive(Debug, Clone)]
enum Wire {
    Modbus(Registers),
    Digits(Digits),
    Mqtt(Messages),
    Onvif(Notifications),
    Noticed(Codes),
}

impl Profile {
    /// Finds a point.
    #[must_use]
    pub fn point(&self, id: &str) -> Option<&Point> {
        self.points.iter().find(|p| p.id.as_str() == id)
    }

    /// Whether its raw payloads can hold what names a person; then none of their bytes may be kept.
    #[must_use]
    pub fn personal(&self) -> bool {
        match &self.wire {
            Wire::Mqtt(messages) => messages.personal(),
            Wire::Onvif(notifications) => notifications.personal(),
            Wire::Noticed(_) => true,
            Wire::Modbus(_) | Wire::Digits(_) => false,
        }
    }

    /// The same profile for a device behind transformers: values, ranges, wraps and limits of its points that have a
    /// `ratio` are those of the primary side.
    #[must_use]
    pub fn behind(&self, ratios: Ratios) -> Self {
        let mut profile = self.clone();
        let again = Ratios { ct: ratios.ct / self.ratios.ct, pt: ratios.pt / self.ratios.pt };
        profile.ratios = ratios;
        profile.points.iter_mut().for_each(|point| again.apply(point));
        match &mut profile.wire {
            Wire::Modbus(registers) => registers.points_mut().for_each(|point| again.apply(point)),
            Wire::Digits(digits) => digits.points_mut().for_each(|point| again.apply(point)),
            Wire::Mqtt(messages) => messages.points_mut().for_each(|point| again.apply(point)),
            Wire::Noticed(codes) => codes.points_mut().for_each(|point| again.apply(point)),
            Wire::Onvif(_) => {}
        }
        profile
    }

    /// The transformers its device stands behind.
    #[must_use]
    pub fn ratios(&self) -> Ratios {
        self.ratios
    }

    /// Modbus: what must be read to know that a device is of this model, if the profile says so.
    #[must_use]
    pub fn identity(&self) -> Vec<RegisterSpan> {
        match &self.wire {
            Wire::Modbus(registers) => registers.identities().iter().map(identity::Identity::span).collect(),
            Wire::Digits(_) | Wire::Mqtt(_) | Wire::Onvif(_) | Wire::Noticed(_) => Vec::new(),
        }
    }

    /// Modbus: what to send so that a point takes a value, in its unit.
    ///
    /// # Errors
    /// A sentence for a person: no such point, not writable, outside the limits, between two steps of the register.
    pub fn write(&self, point: &str, value: f64) -> Result<Write, Text> {
        let register = match &self.wire {
            Wire::Modbus(registers) => registers.register(point),
            Wire::Digits(_) | Wire::Mqtt(_) | Wire::Onvif(_) | Wire::Noticed(_) => None,
        };
        let unknown = || {
            Text::new(
                format!("模板 '{}' 没有可写的测点 '{point}'", self.id),
                format!("the profile '{}' has no point '{point}' that could be written", self.id),
            )
        };
        writing::write(register.ok_or_else(unknown)?, value)
    }

    /// Modbus: the points that may be written.
    #[must_use]
    pub fn writable(&self) -> Vec<Writable> {
        match &self.wire {
            Wire::Modbus(registers) => registers.registers().iter().filter_map(writing::writable).collect(),
            Wire::Digits(_) | Wire::Mqtt(_) | Wire::Onvif(_) | Wire::Noticed(_) => Vec::new(),
        }
    }

    /// Modbus: what must be read in one piece each, every place once, by table and address.
    #[must_use]
    pub fn registers(&self) -> Vec<RegisterSpan> {
        match &self.wire {
            Wire::Modbus(registers) => registers.spans(),
            Wire::Digits(_) | Wire::Mqtt(_) | Wire::Onvif(_) | Wire::Noticed(_) => Vec::new(),
        }
    }

    /// Modbus: where one point stands.
    #[must_use]
    pub fn span(&self, point: &PointId) -> Option<RegisterSpan> {
        match &self.wire {
            Wire::Modbus(registers) => registers.span(point),
            Wire::Digits(_) | Wire::Mqtt(_) | Wire::Onvif(_) | Wire::Noticed(_) => None,
        }
    }

    /// Modbus: which of what must be read tells events.
    #[must_use]
    pub fn event_spans(&self) -> Vec<RegisterSpan> {
        match &self.wire {
            Wire::Modbus(registers) => registers.event_spans(),
            Wire::Digits(_) | Wire::Mqtt(_) | Wire::Onvif(_) | Wire::Noticed(_) => Vec::new(),
        }
    }

    /// DL/T 645 and CJ/T 188: what to ask for to have one point.
    #[must_use]
    pub fn identifier(&self, point: &PointId) -> Option<Identifier> {
        match &self.wire {
            Wire::Digits(digits) => digits.identifier_of(point),
            Wire::Modbus(_) | Wire::Mqtt(_) | Wire::Onvif(_) | Wire::Noticed(_) => None,
        }
    }

    /// Modbus: the limits of one read.
    #[must_use]
    pub fn modbus_limits(&self) -> ModbusLimits {
        match &self.wire {
            Wire::Modbus(registers) => registers.limits(),
            Wire::Digits(_) | Wire::Mqtt(_) | Wire::Onvif(_) | Wire::Noticed(_) => {
                ModbusLimits { max_registers: 125, max_gap: 0 }
            }
        }
    }

    /// Modbus: decodes every point that stands wholly within the words read from `address` on, and what every state
    /// among them is now: an event that was told before is told again. Of a table of bits, `words` has one word, 0 or 1,
    /// for each bit.
    ///
    /// Registers carry no device time, so `device_time` is always `None`.
    #[must_use]
    pub fn decode_registers(
        &self,
        _cx: &Context<'_>,
        table: RegisterTable,
        address: u16,
        words: &[u16],
    ) -> Vec<Decoded> {
        match &self.wire {
            Wire::Modbus(registers) => registers.decode(table, address, words),
            Wire::Digits(_) | Wire::Mqtt(_) | Wire::Onvif(_) | Wire::Noticed(_) => Vec::new(),
        }
    }

    /// DL/T 645 and CJ/T 188: what to ask for, each once, in the order of the profile.
    #[must_use]
    pub fn identifiers(&self) -> Vec<Identifier> {
        match &self.wire {
            Wire::Digits(digits) => digits.identifiers(),
            Wire::Modbus(_) | Wire::Mqtt(_) | Wire::Onvif(_) | Wire::Noticed(_) => Vec::new(),
        }
    }

    /// DL/T 645 and CJ/T 188: an identifier is asked for at every so-manieth poll; 1 to 1000.
    #[must_use]
    pub fn every(&self, identifier: Identifier) -> u16 {
        match &self.wire {
            Wire::Digits(digits) => digits.every(identifier),
            Wire::Modbus(_) | Wire::Mqtt(_) | Wire::Onvif(_) | Wire::Noticed(_) => 1,
        }
    }

    /// CJ/T 188: the kind of meter, which is part of its address; AAh is any.
    #[must_use]
    pub fn meter_kind(&self) -> u8 {
        match &self.wire {
            Wire::Digits(digits) => digits.meter_kind(),
            Wire::Modbus(_) | Wire::Mqtt(_) | Wire::Onvif(_) | Wire::Noticed(_) => 0xAA,
        }
    }

    /// DL/T 645 and CJ/T 188: decodes the data of an answer. Points beyond their end are left out.
    #[must_use]
    pub fn decode_digits(&self, identifier: Identifier, data: &[u8]) -> Vec<Decoded> {
        match &self.wire {
            Wire::Digits(digits) => digits.decode(identifier, data),
            Wire::Modbus(_) | Wire::Mqtt(_) | Wire::Onvif(_) | Wire::Noticed(_) => Vec::new(),
        }
    }

    /// MQTT: the topic filters to subscribe for a device of this address.
    #[must_use]
    pub fn topics(&self, address: &str) -> Vec<String> {
        match &self.wire {
            Wire::Mqtt(messages) => messages.topics(address),
            Wire::Modbus(_) | Wire::Digits(_) | Wire::Onvif(_) | Wire::Noticed(_) => Vec::new(),
        }
    }

    /// MQTT: the topics on which a device of this address listens for answers.
    #[must_use]
    pub fn reply_topics(&self, address: &str) -> Vec<String> {
        match &self.wire {
            Wire::Mqtt(messages) => messages.reply_topics(address),
            Wire::Modbus(_) | Wire::Digits(_) | Wire::Onvif(_) | Wire::Noticed(_) => Vec::new(),
        }
    }

    /// MQTT: decodes one message.
    ///
    /// A message that holds a help or fire event gives at least that event, whatever else is wrong with it.
    #[must_use]
    pub fn hear(&self, cx: &Context<'_>, address: &str, topic: &str, payload: &[u8]) -> Said {
        match &self.wire {
            Wire::Mqtt(messages) => messages.hear(cx, address, topic, payload),
            Wire::Modbus(_) | Wire::Digits(_) | Wire::Onvif(_) | Wire::Noticed(_) => {
                Said::refused(Refusal::new("wrong_topic", "a device of this profile sends no MQTT messages"))
            }
        }
    }

    /// Terminals, recorders and panels: what a notice means. An empty list is a code that the profile says to leave
    /// out; one that it does not name is kept as [`EventKind::Other`] with its code.
    ///
    /// # Errors
    /// [`Refusal`] when it cannot be understood.
    pub fn decode_notice(&self, cx: &Context<'_>, notice: &Notice) -> Result<Vec<Decoded>, Refusal> {
        match &self.wire {
            Wire::Noticed(codes) => codes.decode(cx, notice),
            Wire::Modbus(_) | Wire::Digits(_) | Wire::Mqtt(_) | Wire::Onvif(_) => {
                Err(Refusal::new("wrong_topic", "a device of this profile sends no notices"))
            }
        }
    }

    /// ONVIF: decodes one notification. An empty list is a topic the profile does not name.
    ///
    /// # Errors
    /// [`Refusal`] when it cannot be understood.
    pub fn decode_notification(
        &self,
        cx: &Context<'_>,
        note: &Notification,
    ) -> Result<Vec<Decoded>, Refusal> {
        match &self.wire {
            Wire::Onvif(notifications) => notifications.decode(cx, note),
            Wire::Modbus(_) | Wire::Digits(_) | Wire::Mqtt(_) | Wire::Noticed(_) => Ok(Vec::new()),
        }
    }
}

/// One ONVIF notification message (ONVIF Core Specification, section 9).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notification {
    /// The topic without its namespace prefix, trimmed: `RuleEngine/CellMotionDetector/Motion`.
    pub topic: String,
    /// `UtcTime`, if given and readable, corrected by the camera's clock offset.
    pub utc_time: Option<Wall>,
    /// Whether this tells a state as it is on subscribing (`PropertyOperation="Initialized"`), not a change.
    pub initialized: bool,
    /// `Source` simple items, in order.
    pub source: Vec<(String, String)>,
    /// `Data` simple items, in order.
    pub data: Vec<(String, String)>,
}

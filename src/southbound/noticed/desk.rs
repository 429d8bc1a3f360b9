//! Turns what a source told into what goes into the pipe, and keeps who lives and who is silent.

use super::standing::Standing;
use super::{Roll, without_part};
use crate::config::Device;
use crate::model::{
    Body, Delivery, DeviceId, Event, EventKind, Fault, Input, Link, Mono, Observation, Phase, Refused, Stamp,
    Unknown,
};
use crate::notice::{Notice, Unreadable};
use crate::runtime::Receipt;
use crate::runtime::lanes::Stopping;
use crate::southbound::mqtt::Floods;
use crate::southbound::{Field, Links};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest origin told to people, in characters.
const MAX_ORIGIN: usize = 256;
/// Strangers remembered, so that each is told once in a while and not with every message.
const STRANGERS: usize = 1000;
/// A stranger is told again after this.
const STRANGER_PAUSE: Duration = Duration::from_secs(60);
/// Strangers whose fire has a device id of its own; the others share one.
const STRANGE_FIRES: usize = 64;

/// A stranger's same cry is told again after this.
const CRY_PAUSE: Duration = Duration::from_secs(10);

/// What a stranger calls for, which is an alarm whoever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cry {
    pub(crate) kind: EventKind,
    pub(crate) phase: Phase,
}

/// Whether an input is a call that no flood may drown.
pub(crate) fn is_cry(input: &Input) -> bool {
    let Input::Observed(Observation { body: Body::Event(event), .. }) = input else { return false };
    matches!(event.kind, EventKind::Help | EventKind::Fire | EventKind::Duress)
}

/// One bus at work.
pub(crate) struct Desk<'a> {
    roll: &'a Roll,
    field: &'a Field,
    links: Links,
    /// An address that was not heard for so long is down.
    silence: Duration,
    heard: BTreeMap<&'a str, Mono>,
    strangers: BTreeMap<String, Mono>,
    floods: Floods,
    cries: BTreeMap<String, (Cry, Mono)>,
}

impl<'a> Desk<'a> {
    pub(crate) fn new(roll: &'a Roll, field: &'a Field, silence: Duration) -> Self {
        let now = field.clock.now().mono;
        let heard = roll.addresses().map(|address| (address, now)).collect();
        Self {
            roll,
            field,
            links: Links::default(),
            silence,
            heard,
            strangers: BTreeMap::new(),
            floods: Floods::default(),
            cries: BTreeMap::new(),
        }
    }

    pub(crate) fn roll(&self) -> &'a Roll {
        self.roll
    }

    /// Whether one more message of an address, or of a stranger, may pass. One that may not must not be acknowledged.
    pub(crate) fn admits(&mut self, address: Option<&str>) -> bool {
        let device = address.and_then(|address| self.roll.first(address)).map(|device| &device.id);
        self.floods.admits(&self.roll.bus, device, self.field.clock.now().mono, &self.field.tally)
    }

    /// A sign of life of an address.
    pub(crate) fn hears(&mut self, address: &str) -> Vec<Input> {
        let now = self.field.clock.now();
        if let Some(heard) = self.heard.get_mut(address) {
            *heard = now.mono;
        }
        let devices = self.roll.all(address);
        devices.filter_map(|device| self.links.set(&device.id, Link::Up, now.wall)).collect()
    }

    /// Those that were silent for too long.
    pub(crate) fn silent(&mut self) -> Vec<Input> {
        let now = self.field.clock.now();
        let silent = self.heard.iter().filter(|(_, heard)| now.mono.since(**heard) >= self.silence);
        let devices = silent.flat_map(|(address, _)| self.roll.all(address));
        let down = Link::Down(Fault::Unreachable);
        devices.filter_map(|device| self.links.set(&device.id, down, now.wall)).collect()
    }

    /// What notices of an address say; one of a part that nobody has is a stranger's.
    pub(crate) fn take(
        &mut self,
        address: &str,
        notices: Vec<Notice>,
        mut standing: Option<&mut Standing>,
    ) -> Vec<Input> {
        let mut inputs = Vec::new();
        let now = self.field.clock.now().mono;
        for notice in notices {
            if standing.as_mut().is_some_and(|standing| !standing.is_news(address, &notice, now)) {
                continue;
            }
            match self.roll.owner(address, notice.part.as_deref()) {
                Some(device) => inputs.extend(self.decoded(device, &notice)),
                None => {
                    let part = notice.part.as_deref().map_or(String::new(), |part| format!("#{part}"));
                    inputs.extend(self.stranger(&format!("{address}{part}")));
                }
            }
        }
        inputs
    }

    /// The ends of states that were not told again.
    pub(crate) fn ended(&mut self, standing: &mut Standing) -> Vec<Input> {
        let ended = standing.ended(self.field.clock.now().mono);
        let owned = ended.iter().filter_map(|(address, notice)| {
            self.roll.owner(address, notice.part.as_deref()).map(|device| self.decoded(device, notice))
        });
        owned.flatten().collect()
    }

    fn decoded(&self, device: &Device, notice: &Notice) -> Vec<Input> {
        let now = self.field.clock.now().wall;
        let cx = self.field.context(&device.id, now);
        match device.profile.decode_notice(&cx, notice) {
            Ok(said) => {
                let observed = said.into_iter().map(|decoded| {
                    Input::Observed(Observation {
                        device: device.id.clone(),
                        stamp: Stamp::new(decoded.device_time, now),
                        body: decoded.body,
                        retained: notice.late,
                    })
                });
                observed.collect()
            }
            Err(refusal) => {
                let wrong = Unreadable::new(refusal.kind, refusal.reason);
                vec![self.refused(Some(&device.id), &notice.code, wrong, 0)]
            }
        }
    }

    /// What could not be understood of an address, if it is known. It may name a person, so no bytes are kept.
    pub(crate) fn unreadable(
        &self,
        address: Option<&str>,
        origin: &str,
        wrong: Unreadable,
        len: usize,
    ) -> Input {
        let device = address.and_then(|address| self.roll.first(without_part(address)));
        self.refused(device.map(|device| &device.id), origin, wrong, len)
    }

    fn refused(&self, device: Option<&DeviceId>, origin: &str, wrong: Unreadable, len: usize) -> Input {
        Input::Refused(Refused {
            device: device.cloned(),
            bus: self.roll.bus.clone(),
            origin: origin.chars().take(MAX_ORIGIN).collect(),
            kind: wrong.kind,
            reason: wrong.reason,
            raw: Vec::new(),
            raw_len: len,
            stamp: Stamp::new(None, self.field.clock.now().wall),
        })
    }

    /// Whether it is time to tell something of a stranger: at most once a minute for each.
    pub(crate) fn is_time(&mut self, origin: &str) -> bool {
        let now = self.field.clock.now().mono;
        let lately = |told: &Mono| now.since(*told) < STRANGER_PAUSE;
        if self.strangers.get(origin).is_some_and(lately) {
            return false;
        }
        if self.strangers.len() >= STRANGERS {
            self.strangers.clear();
        }
        self.strangers.insert(origin.to_owned(), now);
        true
    }

    /// Somebody whom the configuration does not know, told once a minute.
    pub(crate) fn stranger(&mut self, origin: &str) -> Option<Input> {
        let origin: String = origin.chars().take(MAX_ORIGIN).collect();
        let told = self.is_time(&origin);
        let (bus, stamp) = (self.roll.bus.clone(), Stamp::new(None, self.field.clock.now().wall));
        told.then_some(Input::Unknown(Unknown { bus, origin, stamp }))
    }

    /// A fire or a call for help of a stranger: an event of a device that nobody configured, because an alarm that is
    /// heard must not be lost for want of a line in a file. Nobody acknowledges it to the stranger, who repeats it; the
    /// repeats within some seconds are left out.
    pub(crate) fn cry(&mut self, address: &str, cry: Cry, code: &str) -> Option<Input> {
        let now = self.field.clock.now();
        let own = self.cries.contains_key(&address.to_ascii_lowercase()) || self.cries.len() < STRANGE_FIRES;
        let name = if own { address.to_ascii_lowercase() } else { "others".into() };
        if let Some((last, at)) = self.cries.get(&name)
            && *last == cry
            && now.mono.since(*at) < CRY_PAUSE
        {
            return None;
        }
        self.cries.insert(name.clone(), (cry, now.mono));
        let id = DeviceId::new(&format!("unknown-{}-{name}", self.roll.bus));
        let device = id.or_else(|_| DeviceId::new("unknown-panel")).ok()?;
        let event = Event { code: Some(code.to_owned()), ..Event::bare(cry.kind, cry.phase) };
        tracing::warn!(
            bus = %self.roll.bus, address, kind = %cry.kind, phase = %cry.phase,
            "a panel that is not configured calls: add it as a device"
        );
        let stamp = Stamp::new(None, now.wall);
        Some(Input::Observed(Observation { device, stamp, body: Body::Event(event), retained: false }))
    }

    /// Puts inputs into the pipe; `None` where there is nothing to wait for.
    pub(crate) async fn deliver(&self, inputs: Vec<Input>) -> Result<Option<Receipt>, Stopping> {
        if inputs.is_empty() {
            return Ok(None);
        }
        let delivery = Delivery { bus: Some(self.roll.bus.clone()), key: None, inputs };
        self.field.inlet.deliver(delivery).await.map(Some)
    }
}

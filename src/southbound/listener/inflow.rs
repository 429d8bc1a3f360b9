//! From the hub into the pipe and back: what a message says, and that it is stored.

use super::super::mqtt::Floods;
use super::super::mqtt::at_once;
use super::super::mqtt::inbound::{Arrived, Heard, Inbound, WrongClocks, origin};
use super::super::{Failure, Field, Links};
use super::Ground;
use super::acl::Login;
use super::conn::{Hold, ROOM_KIB};
use super::hub::{Fate, Taken};
use super::told::Told;
use crate::model::{BusId, Delivery, DeviceId, Fault, Input, Link, Refused, Stamp, Unknown};
use crate::profile::Reply;
use crate::runtime::Receipt;
use mqtt_protocol_core::mqtt::packet::Qos;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use tokio::sync::mpsc;

/// What may wait for the pipe: as many messages as there is room for, and who comes and goes besides.
pub(super) const INFLOW: usize = ROOM_KIB + 8192;
/// Messages in the pipe that wait for their commit: twice as many at most.
pub(super) const UNANSWERED: usize = 1024;

/// Messages deciphered before the pipe is told of the first: it is woken for all of them once, and steps them together.
const TOGETHER: usize = 64;

/// What the hub puts into the pipe.
#[derive(Debug)]
pub(super) enum Inflow {
    Message(Box<Taken<Hold>>),
    Online(Arc<Login>),
    Offline(Arc<Login>),
    /// Somebody that nobody knows wants to log in; how it is called.
    Stranger(String),
}

/// A message in the pipe.
pub(super) struct Committing {
    receipt: Receipt,
    /// Whom to tell; nobody for what is no message.
    settled: Option<Settled>,
}

/// A message that came to its end.
pub(super) struct Settled {
    pub(super) taken: Box<Taken<Hold>>,
    pub(super) fate: Fate,
    pub(super) reply: Option<Reply>,
}

fn stopping(bus: &BusId) -> Failure {
    Failure::new(Fault::Internal, format!("handing on a message of bus '{bus}': the gateway is stopping"))
}

/// Puts messages into the pipe in the order in which they came.
pub(super) async fn deliver(
    ground: &Ground,
    field: &Field,
    mut inflows: mpsc::Receiver<Inflow>,
    committing: mpsc::Sender<Committing>,
) -> Failure {
    let mut reception = Reception {
        inbound: Inbound {
            bus: &ground.bus,
            devices: &ground.devices,
            routes: &ground.routes,
            max_payload: ground.listener.max_payload,
            field,
            links: Links::default(),
            wrong_clocks: WrongClocks::default(),
            floods: Floods::default(),
        },
        gone: BTreeSet::new(),
        told: Told::default(),
    };
    let (mut waiting, mut heard) = (Vec::with_capacity(TOGETHER), Vec::with_capacity(TOGETHER));
    while inflows.recv_many(&mut waiting, TOGETHER).await > 0 {
        heard.extend(waiting.drain(..).map(|inflow| match inflow {
            Inflow::Message(taken) => (reception.message(&taken), Some(taken)),
            Inflow::Online(login) => (reception.came(&login), None),
            Inflow::Offline(login) => (reception.went(&login), None),
            Inflow::Stranger(origin) => (reception.stranger(origin), None),
        }));
        for (Heard { delivery, reply, shed }, taken) in heard.drain(..) {
            let nothing = delivery.inputs.is_empty() && delivery.key.is_none();
            let receipt = if nothing { at_once() } else { field.inlet.deliver_direct(delivery).await.ok() };
            let Some(receipt) = receipt else { return stopping(&ground.bus) };
            let fate = if shed { Fate::Shed } else { Fate::Stored };
            let settled = taken.map(|taken| Settled { taken, fate, reply });
            if committing.send(Committing { receipt, settled }).await.is_err() {
                return stopping(&ground.bus);
            }
        }
    }
    stopping(&ground.bus)
}

/// Tells the hub what is stored, in the order in which it came (MQTT 5, section 4.6), and all of a commit together.
pub(super) async fn settle(
    bus: &BusId,
    mut commits: mpsc::Receiver<Committing>,
    hub: mpsc::Sender<Vec<Settled>>,
    delivered: &mut bool,
) -> Failure {
    let mut waiting = VecDeque::with_capacity(UNANSWERED);
    let mut batch = Vec::with_capacity(UNANSWERED);
    loop {
        let Some(next) = waiting.front_mut() else {
            if commits.recv_many(&mut batch, UNANSWERED).await == 0 {
                return stopping(bus);
            }
            waiting.extend(batch.drain(..));
            continue;
        };
        let Committing { receipt, .. } = next;
        if receipt.await.is_err() {
            return stopping(bus);
        }
        *delivered = true;
        let mut stored: Vec<Settled> =
            waiting.pop_front().and_then(|first| first.settled).into_iter().collect();
        while let Some(mut next) = waiting.pop_front_if(|next| next.receipt.try_recv().is_ok()) {
            stored.extend(next.settled.take());
        }
        if hub.send(stored).await.is_err() {
            return stopping(bus);
        }
    }
}

/// What messages say, and who is there.
struct Reception<'a> {
    inbound: Inbound<'a>,
    /// Devices that answered until their login went away.
    gone: BTreeSet<DeviceId>,
    told: Told,
}

impl Reception<'_> {
    fn message(&mut self, taken: &Taken<Hold>) -> Heard {
        let publish = &taken.publish;
        let strange = || self.inbound.routes.devices_of(&publish.message.topic).is_empty();
        if !taken.allowed && (taken.login.devices.is_empty() || !strange()) {
            return self.denied(taken);
        }
        // A login that speaks for one device was held back where it was read.
        let paced = publish.message.qos != Qos::AtMostOnce && taken.login.devices.len() == 1 && taken.allowed;
        self.inbound.delivery(&Arrived {
            client: &format!("{}/{}", taken.client.login, taken.client.id),
            packet_id: publish.id,
            dup: publish.dup,
            topic: &publish.message.topic,
            payload: publish.message.payload.as_slice(),
            whole_len: publish.whole_len,
            retained: false,
            paced,
        })
    }

    /// A login spoke for a device that is not its own: nothing of it is taken, and it is told once a minute.
    fn denied(&mut self, taken: &Taken<Hold>) -> Heard {
        let (field, bus) = (self.inbound.field, self.inbound.bus);
        field.tally.not_allowed.of(bus).one();
        let now = field.clock.now();
        let mut inputs = Vec::new();
        if let Some(times) = self.told.news(&taken.login.name, now.mono) {
            let (login, topic) = (taken.login.name.as_str(), &*taken.publish.message.topic);
            tracing::warn!(%bus, login, topic, times, "not allowed: publishing for a device of another login");
            inputs.push(Input::Refused(Refused {
                device: None,
                bus: bus.clone(),
                origin: origin(topic),
                kind: "not_allowed",
                reason: format!("the login '{login}' may not publish to this topic"),
                raw: Vec::new(),
                raw_len: taken.publish.whole_len,
                stamp: Stamp::new(None, now.wall),
            }));
        }
        Heard { delivery: Delivery { bus: Some(bus.clone()), key: None, inputs }, reply: None, shed: false }
    }

    fn heard(&self, inputs: Vec<Input>) -> Heard {
        let delivery = Delivery { bus: Some(self.inbound.bus.clone()), key: None, inputs };
        Heard { delivery, reply: None, shed: false }
    }

    /// One device is there as soon as its login is. Of several behind one login only those are believed to be there that
    /// were before the login went away: the others speak for themselves.
    fn came(&mut self, login: &Login) -> Heard {
        let now = self.inbound.field.clock.now().wall;
        let alone = login.devices.len() == 1;
        let mut inputs = Vec::new();
        for device in login.devices.iter().filter_map(|index| self.inbound.devices.get(*index)) {
            if self.gone.remove(&device.id) || alone {
                inputs.extend(self.inbound.links.set(&device.id, Link::Up, now));
            }
        }
        self.heard(inputs)
    }

    fn went(&mut self, login: &Login) -> Heard {
        let now = self.inbound.field.clock.now().wall;
        let mut inputs = Vec::new();
        for device in login.devices.iter().filter_map(|index| self.inbound.devices.get(*index)) {
            let before = self.inbound.links.get(&device.id);
            if before == Some(Link::Up) {
                self.gone.insert(device.id.clone());
            }
            if !matches!(before, Some(Link::Down(_))) {
                inputs.extend(self.inbound.links.set(&device.id, Link::Down(Fault::Gone), now));
            }
        }
        self.heard(inputs)
    }

    fn stranger(&mut self, origin: String) -> Heard {
        let field = self.inbound.field;
        let now = field.clock.now();
        let mut inputs = Vec::new();
        if self.inbound.floods.admits(self.inbound.bus, None, now.mono, &field.tally) {
            let stamp = Stamp::new(None, now.wall);
            inputs.push(Input::Unknown(Unknown { bus: self.inbound.bus.clone(), origin, stamp }));
        }
        self.heard(inputs)
    }
}

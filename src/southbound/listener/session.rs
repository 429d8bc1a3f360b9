//! What the listener keeps of a client beyond its connection: subscriptions, what was sent and not acknowledged, what
//! waits, and which QoS 2 messages of its were taken.

use super::acl::Login;
use super::codec::{Message, Step, Tell, Wanted};
use crate::model::Mono;
use crate::profile::topic_matches;
use mqtt_protocol_core::mqtt::packet::Qos;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Most messages sent and not acknowledged.
pub(super) const MAX_FLYING: usize = 32;
/// Most messages that wait, and their bytes; above it the oldest are thrown away.
pub(super) const MAX_QUEUED: usize = 1000;
/// See [`MAX_QUEUED`].
pub(super) const MAX_QUEUED_BYTES: usize = 1024 * 1024;
/// Most subscriptions of a session.
pub(super) const MAX_SUBSCRIPTIONS: usize = 64;

/// A number of each connection, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConnId(pub(super) u64);

/// A message that waits for its turn.
#[derive(Debug)]
struct Queued {
    message: Message,
    /// When nobody wants it any more.
    until: Option<Mono>,
}

impl Queued {
    fn left_secs(&self, now: Mono) -> Option<u32> {
        self.until
            .map(|until| u32::try_from(until.0.saturating_sub(now.0).div_ceil(1000)).unwrap_or(u32::MAX))
    }
}

/// A message that was sent with an id.
#[derive(Debug)]
struct Flying {
    id: u16,
    queued: Queued,
    /// QoS 2: it has arrived, and only the end of the exchange is missing.
    released: bool,
}

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) login: Arc<Login>,
    /// Tells a session from an earlier one of the same client.
    pub(super) born: u64,
    /// Its connection, if there is one.
    pub(super) conn: Option<ConnId>,
    /// When it lost its connection.
    pub(super) left: Mono,
    pub(super) expiry_secs: u32,
    /// Most messages in flight to it, and the size of the largest packet it takes.
    pub(super) window: usize,
    pub(super) max_packet: usize,
    subscriptions: BTreeMap<String, Wanted>,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    flying: VecDeque<Flying>,
    last_id: u16,
    /// QoS 2 messages of its that are on their way to their commit.
    pub(super) committing: BTreeSet<u16>,
    /// QoS 2 messages of its that are stored and not yet released by it.
    pub(super) taken: BTreeSet<u16>,
    /// Messages for it that were thrown away.
    pub(super) dropped: u64,
}

impl Session {
    pub(super) fn new(login: Arc<Login>, born: u64) -> Self {
        Self {
            login,
            born,
            conn: None,
            left: Mono(0),
            expiry_secs: 0,
            window: MAX_FLYING,
            max_packet: usize::MAX,
            subscriptions: BTreeMap::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            flying: VecDeque::new(),
            last_id: 0,
            committing: BTreeSet::new(),
            taken: BTreeSet::new(),
            dropped: 0,
        }
    }

    pub(super) fn expired(&self, now: Mono) -> bool {
        let forever = self.expiry_secs == u32::MAX;
        self.conn.is_none()
            && !forever
            && now.0.saturating_sub(self.left.0) >= u64::from(self.expiry_secs) * 1000
    }

    /// Adds a subscription or replaces it; whether it is new. `None` when there are too many.
    pub(super) fn subscribe(&mut self, wanted: &Wanted) -> Option<bool> {
        let new = !self.subscriptions.contains_key(&wanted.filter);
        if new && self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            return None;
        }
        self.subscriptions.insert(wanted.filter.clone(), wanted.clone());
        Some(new)
    }

    pub(super) fn unsubscribe(&mut self, filter: &str) -> bool {
        self.subscriptions.remove(filter).is_some()
    }

    /// How a message comes to it, by the strongest of its subscriptions: QoS, and whether the retain flag stays.
    pub(super) fn wants(&self, topic: &str, own: bool) -> Option<(Qos, bool)> {
        let matching = self.subscriptions.values().filter(|wanted| topic_matches(&wanted.filter, topic));
        let wanted = matching.filter(|wanted| !(own && wanted.no_local));
        wanted.map(|wanted| (wanted.qos, wanted.as_published)).max_by_key(|(qos, _)| *qos as u8)
    }

    /// Takes a message for the client; what goes out now is told.
    pub(super) fn offer(&mut self, message: Message, now: Mono, tells: &mut Vec<Tell>) {
        let qos_0 = message.qos == Qos::AtMostOnce;
        if message.bytes().saturating_add(16) > self.max_packet || (qos_0 && self.conn.is_none()) {
            self.dropped += u64::from(!qos_0);
            return;
        }
        let until = message.expires_secs.map(|secs| Mono(now.0.saturating_add(u64::from(secs) * 1000)));
        let queued = Queued { message, until };
        if qos_0 {
            tells.push(publish(&queued, None, false, now));
            return;
        }
        self.queued_bytes += queued.message.bytes();
        self.queue.push_back(queued);
        self.pump(now, tells);
        while self.queue.len() > MAX_QUEUED || self.queued_bytes > MAX_QUEUED_BYTES {
            let Some(oldest) = self.queue.pop_front() else { break };
            self.queued_bytes = self.queued_bytes.saturating_sub(oldest.message.bytes());
            self.dropped += 1;
        }
    }

    /// Sends what waits while the client has room.
    fn pump(&mut self, now: Mono, tells: &mut Vec<Tell>) {
        while self.conn.is_some() && self.flying.len() < self.window {
            let Some(queued) = self.queue.pop_front() else { return };
            self.queued_bytes = self.queued_bytes.saturating_sub(queued.message.bytes());
            if queued.left_secs(now) == Some(0) {
                continue;
            }
            let id = self.next_id();
            tells.push(publish(&queued, Some(id), false, now));
            self.flying.push_back(Flying { id, queued, released: false });
        }
    }

    /// The next id that is not in flight; there are far more ids than messages in flight.
    fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.flying.iter().any(|flying| flying.id == self.last_id) {
                return self.last_id;
            }
        }
    }

    /// After a new connection: what was not acknowledged is sent again, then what waits (MQTT 5, section 4.4).
    pub(super) fn resume(&mut self, now: Mono, tells: &mut Vec<Tell>) {
        for flying in &self.flying {
            tells.push(if flying.released {
                Tell::Step { step: Step::Rel, id: flying.id, reason: 0 }
            } else {
                publish(&flying.queued, Some(flying.id), true, now)
            });
        }
        self.pump(now, tells);
    }

    /// An acknowledgement of the client for what it was sent, or the release of what it sent.
    pub(super) fn step(&mut self, step: Step, id: u16, failed: bool, now: Mono, tells: &mut Vec<Tell>) {
        let place = self.flying.iter().position(|flying| flying.id == id);
        let flying = place.and_then(|place| self.flying.get_mut(place));
        match (step, flying) {
            (Step::Rel, _) => {
                let known = self.taken.remove(&id);
                tells.push(Tell::Step { step: Step::Comp, id, reason: if known { 0 } else { 0x92 } });
            }
            (Step::Rec, Some(flying)) if flying.queued.message.qos == Qos::ExactlyOnce && !failed => {
                flying.released = true;
                tells.push(Tell::Step { step: Step::Rel, id, reason: 0 });
            }
            (Step::Rec, None) => tells.push(Tell::Step { step: Step::Rel, id, reason: 0x92 }),
            (Step::Ack | Step::Comp | Step::Rec, Some(_)) => {
                if let Some(place) = place {
                    self.flying.remove(place);
                }
                self.pump(now, tells);
            }
            (Step::Ack | Step::Comp, None) => {}
        }
    }
}

fn publish(queued: &Queued, id: Option<u16>, dup: bool, now: Mono) -> Tell {
    let message = queued.message.clone();
    Tell::Publish { message, id, dup, expires_secs: queued.left_secs(now).map(|secs| secs.max(1)) }
}

//! The listener without its sockets: who is connected, what each may do, and who hears what.
//!
//! Everything that happens goes in as a call with the time; what is to be done comes out as [`Act`]s, in order.

use super::acl::{Login, Logins, Rejected};
use super::codec::{
    Aliases, Hello, MAX_TOPIC_BYTES, Message, Publish, Retained as WantedRetained, Said, Step, Tell, Version,
    Wanted, Welcome, Will,
};
use super::retained::Retained;
use super::session::{ConnId, Session};
use crate::config::valid_filter;
use crate::model::Mono;
use crate::profile::Reply;
use mqtt_protocol_core::mqtt::packet::Qos;
use mqtt_protocol_core::mqtt::result_code::{ConnectReasonCode, ConnectReturnCode};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// Most sessions, and most of one login.
pub(super) const MAX_SESSIONS: usize = 2000;
/// See [`MAX_SESSIONS`].
pub(super) const MAX_SESSIONS_OF_LOGIN: usize = 16;
/// Longest life of a session without a connection, seconds.
pub(super) const MAX_EXPIRY_SECS: u32 = 7 * 86_400;
/// Longest client id, in bytes.
const MAX_CLIENT_ID_BYTES: usize = 256;
/// Messages of a client in flight to the store; told to clients of MQTT 5.
pub(super) const RECEIVE_MAX: u16 = 64;
/// What a client of MQTT 5 that wants no keep-alive is told to keep to, seconds.
const KEEP_ALIVE_SECS: u16 = 300;
/// Take-overs of a client id within a minute that look like two clients with the same id.
const TAKE_OVERS: usize = 3;
const TAKE_OVERS_WITHIN_MS: u64 = 60_000;
/// Packets over the maximum in a row after which a client's session is forgotten, so that it sends something else.
const OVERSIZES: u8 = 3;

/// A client of a login: the same id at two logins is two clients.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Client {
    pub(super) login: Arc<str>,
    pub(super) id: Arc<str>,
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// It sent a packet over the maximum.
    TooLarge,
    /// Anything else.
    Lost,
}

/// What is to be done. `H` is held as long as a message is under way.
#[derive(Debug)]
pub(super) enum Act<H> {
    /// Send it to a connection.
    Tell(ConnId, Tell),
    /// Close a connection after what it was told.
    Close(ConnId),
    /// Somebody may not log in.
    Rejected(ConnId, Tell, Rejected),
    /// Take a message to the store; [`Hub::settled`] is called when it is there.
    Take(Box<Taken<H>>),
    /// The first connection of a login is there.
    Online(Arc<Login>),
    /// Its last one is gone.
    Offline(Arc<Login>),
    /// A login asked for what it may not have.
    Denied(Arc<Login>, String),
    /// A client id was taken over, so many times within a minute.
    TakenOver { client: Client, from: String, by: String, times: usize },
    /// Something was thrown away for want of room; a sentence for the log.
    NoRoom(Arc<Login>, &'static str),
}

impl<H> Act<H> {
    /// The connection that is told something; `None` for what is no connection's, which stays before it.
    pub(super) fn conn(&self) -> Option<ConnId> {
        match self {
            Self::Tell(conn, _) | Self::Close(conn) | Self::Rejected(conn, ..) => Some(*conn),
            _ => None,
        }
    }
}

/// A message under way to the store.
#[derive(Debug)]
pub(super) struct Taken<H> {
    pub(super) login: Arc<Login>,
    pub(super) client: Client,
    /// Where it came from; `None` for the will of a client that is gone.
    from: Option<(ConnId, u64)>,
    pub(super) publish: Publish,
    /// Whether its login may publish to this topic.
    pub(super) allowed: bool,
    #[expect(dead_code, reason = "held until the message is settled, not looked at")]
    hold: H,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is stored.
    Stored,
    /// It was one too many.
    Shed,
}

#[derive(Debug)]
struct Conn {
    client: Client,
    version: Version,
    address: String,
    will: Option<Will>,
}

/// What keeps everybody apart and brings their messages together.
#[derive(Debug)]
pub(super) struct Hub {
    logins: Logins,
    max_packet: u32,
    sessions: HashMap<Client, Session>,
    conns: BTreeMap<ConnId, Conn>,
    /// Those that ever subscribed to something; most devices never do.
    subscribers: BTreeSet<Client>,
    retained: Retained,
    wills: Vec<(Mono, Client, Arc<Login>, Message)>,
    take_overs: HashMap<Client, VecDeque<Mono>>,
    oversizes: HashMap<Client, u8>,
    born: u64,
}

impl Hub {
    pub(super) fn new(logins: Logins, max_packet: u32) -> Self {
        Self {
            logins,
            max_packet,
            sessions: HashMap::new(),
            conns: BTreeMap::new(),
            subscribers: BTreeSet::new(),
            retained: Retained::default(),
            wills: Vec::new(),
            take_overs: HashMap::new(),
            oversizes: HashMap::new(),
            born: 0,
        }
    }

    /// How many devices a connection speaks for; `None` when it is not logged in.
    pub(super) fn devices_of(&self, conn: ConnId) -> Option<usize> {
        let session = self.sessions.get(&self.conns.get(&conn)?.client)?;
        Some(session.login.devices.len())
    }

    /// A client introduces itself. `certified` are the names in its certificate.
    pub(super) fn connect<H: Default>(
        &mut self,
        conn: ConnId,
        hello: Hello,
        certified: &[String],
        address: String,
        now: Mono,
        acts: &mut Vec<Act<H>>,
    ) {
        let turned = |three, five| Tell::Turned { three, five };
        let turn_away = |acts: &mut Vec<Act<H>>, tell| acts.extend([Act::Tell(conn, tell), Act::Close(conn)]);
        let login = match self.logins.judge(&hello, certified) {
            Ok(login) => login,
            Err(rejected) => {
                let tell = turned(ConnectReturnCode::NotAuthorized, ConnectReasonCode::NotAuthorized);
                acts.push(Act::Rejected(conn, tell, rejected));
                return;
            }
        };
        if hello.extended_auth {
            let five = ConnectReasonCode::BadAuthenticationMethod;
            return turn_away(acts, turned(ConnectReturnCode::NotAuthorized, five));
        }
        let nameless = hello.client_id.is_empty();
        let must_have = nameless && hello.version == Version::Three && !hello.clean;
        if must_have || hello.client_id.len() > MAX_CLIENT_ID_BYTES {
            let five = ConnectReasonCode::ClientIdentifierNotValid;
            return turn_away(acts, turned(ConnectReturnCode::IdentifierRejected, five));
        }
        if let Some(will) = &hello.will
            && !(login.may_publish(&will.message.topic) && plain_topic(&will.message.topic))
        {
            acts.push(Act::Denied(Arc::clone(&login), format!("a will on '{}'", will.message.topic)));
            let five = ConnectReasonCode::NotAuthorized;
            return turn_away(acts, turned(ConnectReturnCode::NotAuthorized, five));
        }
        let id: Arc<str> =
            if nameless { format!("auto-{}", conn.0).into() } else { hello.client_id.as_str().into() };
        let client = Client { login: login.name.as_str().into(), id };
        self.detach_older(&client, &address, now, acts);
        if hello.clean {
            self.sessions.remove(&client);
        }
        if !self.make_room(&client) {
            let five = ConnectReasonCode::QuotaExceeded;
            return turn_away(acts, turned(ConnectReturnCode::ServerUnavailable, five));
        }
        let first = !self.conns.values().any(|other| other.client.login == client.login);
        self.welcome(conn, &hello, &client, &login, now, acts);
        self.conns.insert(conn, Conn { client, version: hello.version, address, will: hello.will });
        if first {
            acts.push(Act::Online(login));
        }
    }

    /// Makes the session, or takes the one that is there, and greets.
    fn welcome<H>(
        &mut self,
        conn: ConnId,
        hello: &Hello,
        client: &Client,
        login: &Arc<Login>,
        now: Mono,
        acts: &mut Vec<Act<H>>,
    ) {
        self.wills.retain(|(_, other, _, _)| other != client);
        let resumed = self.sessions.contains_key(client);
        self.born += 1;
        let born = self.born;
        let session =
            self.sessions.entry(client.clone()).or_insert_with(|| Session::new(Arc::clone(login), born));
        session.conn = Some(conn);
        session.login = Arc::clone(login);
        session.expiry_secs = hello.expiry_secs.min(MAX_EXPIRY_SECS);
        session.window = usize::from(hello.receive_max).clamp(1, super::session::MAX_FLYING);
        session.max_packet = usize::try_from(hello.max_packet).unwrap_or(usize::MAX);
        let supervised = hello.keep_alive_secs > 0;
        acts.push(Act::Tell(
            conn,
            Tell::Welcome(Welcome {
                resumed,
                assigned_id: hello.client_id.is_empty().then(|| client.id.to_string()),
                keep_alive_secs: (!supervised).then_some(KEEP_ALIVE_SECS),
                expiry_secs: (hello.expiry_secs > MAX_EXPIRY_SECS).then_some(MAX_EXPIRY_SECS),
                receive_max: RECEIVE_MAX,
                max_packet: self.max_packet,
                alias_max: Aliases::MAX,
            }),
        ));
        let mut tells = Vec::new();
        session.resume(now, &mut tells);
        acts.extend(tells.into_iter().map(|tell| Act::Tell(conn, tell)));
    }

    /// Closes the connection that the same client has already.
    fn detach_older<H: Default>(&mut self, client: &Client, by: &str, now: Mono, acts: &mut Vec<Act<H>>) {
        let Some(old) = self.sessions.get(client).and_then(|session| session.conn) else { return };
        let from = self.conns.get(&old).map(|conn| conn.address.clone()).unwrap_or_default();
        acts.push(Act::Tell(old, Tell::Bye(0x8E)));
        acts.push(Act::Close(old));
        let times = self.take_overs.entry(client.clone()).or_default();
        times.retain(|at| now.0.saturating_sub(at.0) < TAKE_OVERS_WITHIN_MS);
        times.push_back(now);
        times.truncate(100);
        let times = times.len();
        acts.push(Act::TakenOver { client: client.clone(), from, by: by.to_owned(), times });
        self.leave(old, true, now, acts);
    }

    /// Whether so many take-overs look like two clients.
    pub(super) fn suspicious(times: usize) -> bool {
        times >= TAKE_OVERS
    }

    /// Room for one more session: an old one without a connection gives way, first of the same login.
    fn make_room(&mut self, client: &Client) -> bool {
        if self.sessions.contains_key(client) {
            return true;
        }
        let of_login = self.sessions.keys().filter(|other| other.login == client.login).count();
        let crowded = of_login >= MAX_SESSIONS_OF_LOGIN;
        if !crowded && self.sessions.len() < MAX_SESSIONS {
            return true;
        }
        let idle = self
            .sessions
            .iter()
            .filter(|(other, session)| session.conn.is_none() && (!crowded || other.login == client.login));
        let oldest = idle.min_by_key(|(_, session)| session.left).map(|(other, _)| other.clone());
        oldest.is_some_and(|oldest| self.sessions.remove(&oldest).is_some())
    }

    /// A connection is over.
    pub(super) fn gone<H: Default>(&mut self, conn: ConnId, over: Over, now: Mono, acts: &mut Vec<Act<H>>) {
        let Some(client) = self.conns.get(&conn).map(|conn| conn.client.clone()) else { return };
        self.leave(conn, true, now, acts);
        if over != Over::TooLarge {
            return;
        }
        let times = self.oversizes.entry(client.clone()).or_default();
        *times += 1;
        if *times >= OVERSIZES {
            self.oversizes.remove(&client);
            if let Some(session) = self.sessions.remove(&client) {
                let what = "a client sent packets over the maximum again and again: its session is forgotten";
                acts.push(Act::NoRoom(session.login, what));
            }
        }
    }

    fn leave<H: Default>(&mut self, id: ConnId, with_will: bool, now: Mono, acts: &mut Vec<Act<H>>) {
        let Some(conn) = self.conns.remove(&id) else { return };
        let Some(session) = self.sessions.get_mut(&conn.client) else { return };
        let login = Arc::clone(&session.login);
        session.left = now;
        session.conn = None;
        let expiry_secs = session.expiry_secs;
        if expiry_secs == 0 {
            self.sessions.remove(&conn.client);
        }
        if let Some(will) = conn.will.filter(|_| with_will) {
            let delay_ms = u64::from(will.delay_secs.min(expiry_secs)) * 1000;
            if delay_ms == 0 {
                acts.push(Act::Take(Box::new(take_will(
                    conn.client.clone(),
                    Arc::clone(&login),
                    will.message,
                ))));
            } else {
                let at = Mono(now.0.saturating_add(delay_ms));
                self.wills.push((at, conn.client.clone(), Arc::clone(&login), will.message));
            }
        }
        if !self.conns.values().any(|other| other.client.login == conn.client.login) {
            acts.push(Act::Offline(login));
        }
    }

    /// Deadlines that have passed: delayed wills, sessions nobody came back for.
    pub(super) fn tick<H: Default>(&mut self, now: Mono, acts: &mut Vec<Act<H>>) {
        let due = self.wills.extract_if(.., |(at, ..)| *at <= now);
        acts.extend(
            due.map(|(_, client, login, message)| Act::Take(Box::new(take_will(client, login, message)))),
        );
        self.sessions.retain(|_, session| !session.expired(now));
        let recent = |times: &VecDeque<Mono>| {
            times.back().is_some_and(|at| now.0.saturating_sub(at.0) < TAKE_OVERS_WITHIN_MS)
        };
        self.take_overs.retain(|_, times| recent(times));
        let sessions = &self.sessions;
        self.oversizes.retain(|client, _| sessions.contains_key(client));
        self.subscribers.retain(|client| sessions.contains_key(client));
        for session in self.sessions.values_mut().filter(|session| session.dropped > 0) {
            session.dropped = 0;
            acts.push(Act::NoRoom(
                Arc::clone(&session.login),
                "messages for a client that does not fetch them were thrown away",
            ));
        }
    }

    /// A client that is logged in says something.
    pub(super) fn said<H: Default>(
        &mut self,
        conn: ConnId,
        said: Said,
        hold: H,
        now: Mono,
        acts: &mut Vec<Act<H>>,
    ) {
        let Some(client) = self.conns.get(&conn).map(|conn| conn.client.clone()) else { return };
        let Some(session) = self.sessions.get_mut(&client) else { return };
        let mut tells = Vec::new();
        match said {
            Said::Publish(publish) => {
                if !self.oversizes.is_empty() {
                    self.oversizes.remove(&client);
                }
                return session.publish(conn, client, publish, hold, acts);
            }
            Said::Step { step, id, failed } => session.step(step, id, failed, now, &mut tells),
            Said::Subscribe { id, wanted } => return self.subscribe(conn, &client, id, &wanted, now, acts),
            Said::Unsubscribe { id, filters } => {
                let codes = filters.iter().map(|filter| if session.unsubscribe(filter) { 0 } else { 0x11 });
                tells.push(Tell::Unsubscribed { id, codes: codes.collect() });
            }
            Said::Ping => tells.push(Tell::Pong),
            Said::Bye { with_will, expiry_secs } => {
                if let Some(secs) = expiry_secs.filter(|_| session.expiry_secs > 0) {
                    session.expiry_secs = secs.min(MAX_EXPIRY_SECS);
                }
                acts.push(Act::Close(conn));
                self.leave(conn, with_will, now, acts);
            }
        }
        acts.extend(tells.into_iter().map(|tell| Act::Tell(conn, tell)));
    }

    /// What became of a message: its sender is told, and those who subscribed hear it. `reply` goes to whoever listens.
    pub(super) fn settled<H: Default>(
        &mut self,
        taken: &Taken<H>,
        fate: Fate,
        reply: Option<Reply>,
        now: Mono,
        acts: &mut Vec<Act<H>>,
    ) {
        let reason = match fate {
            _ if !taken.allowed => 0x87,
            Fate::Stored => 0,
            Fate::Shed => 0x97,
        };
        if let (Some((conn, born)), Some(id)) = (taken.from, taken.publish.id) {
            self.acknowledge(taken, (conn, born, id), reason, acts);
        }
        let Publish { message, whole_len, .. } = &taken.publish;
        if reason == 0 && *whole_len == message.payload.len() {
            if message.retain && !self.retained.set(message, &taken.client.login, now) {
                let what = "there is no room for another retained message";
                acts.push(Act::NoRoom(Arc::clone(&taken.login), what));
            }
            self.deliver(message, Some(&taken.client), now, acts);
        }
        if let Some(Reply { topic, payload }) = reply.filter(|_| reason == 0) {
            self.deliver(&Message::plain(&topic, &payload, Qos::AtLeastOnce, false), None, now, acts);
        }
    }

    fn acknowledge<H>(
        &mut self,
        taken: &Taken<H>,
        (conn, born, id): (ConnId, u64, u16),
        reason: u8,
        acts: &mut Vec<Act<H>>,
    ) {
        let Some(session) = self.sessions.get_mut(&taken.client).filter(|session| session.born == born)
        else {
            return;
        };
        let version = |conn: ConnId| self.conns.get(&conn).map(|conn| conn.version);
        if taken.publish.message.qos != Qos::ExactlyOnce {
            if session.conn == Some(conn) {
                acts.push(Act::Tell(conn, Tell::Step { step: Step::Ack, id, reason }));
            }
            return;
        }
        session.committing.remove(&id);
        // A failure ends the exchange in MQTT 5; 3.1.1 knows none.
        if reason == 0 || session.conn.and_then(version) == Some(Version::Three) {
            session.taken.insert(id);
        }
        if let Some(conn) = session.conn {
            acts.push(Act::Tell(conn, Tell::Step { step: Step::Rec, id, reason }));
        }
    }

    /// Brings a message to everybody who subscribed to its topic.
    fn deliver<H>(&mut self, message: &Message, from: Option<&Client>, now: Mono, acts: &mut Vec<Act<H>>) {
        for client in &self.subscribers {
            let Some(session) = self.sessions.get_mut(client) else { continue };
            let Some((qos, as_published)) = session.wants(&message.topic, from == Some(client)) else {
                continue;
            };
            let mut copy = message.clone();
            copy.retain = as_published && message.retain;
            copy.qos = lower(qos, message.qos);
            let mut tells = Vec::new();
            session.offer(copy, now, &mut tells);
            if let Some(conn) = session.conn {
                acts.extend(tells.into_iter().map(|tell| Act::Tell(conn, tell)));
            }
        }
    }

    fn subscribe<H>(
        &mut self,
        conn: ConnId,
        client: &Client,
        id: u16,
        wanted: &[Wanted],
        now: Mono,
        acts: &mut Vec<Act<H>>,
    ) {
        let Some(session) = self.sessions.get_mut(client) else { return };
        self.subscribers.insert(client.clone());
        let (mut codes, mut tells) = (Vec::new(), Vec::new());
        for wanted in wanted {
            let code = if wanted.filter.starts_with("$share/") {
                0x9E
            } else if !valid_filter(&wanted.filter) {
                0x8F
            } else if !session.login.may_subscribe(&wanted.filter) {
                let filter: String = wanted.filter.chars().take(MAX_TOPIC_BYTES).collect();
                acts.push(Act::Denied(Arc::clone(&session.login), format!("subscribing to '{filter}'")));
                0x87
            } else {
                match session.subscribe(wanted) {
                    None => 0x97,
                    Some(new) => {
                        let with_retained = match wanted.retained {
                            WantedRetained::Always => true,
                            WantedRetained::IfNew => new,
                            WantedRetained::Never => false,
                        };
                        if with_retained {
                            for mut message in self.retained.matching(&wanted.filter, now) {
                                message.qos = lower(wanted.qos, message.qos);
                                session.offer(message, now, &mut tells);
                            }
                        }
                        wanted.qos as u8
                    }
                }
            };
            codes.push(code);
        }
        acts.push(Act::Tell(conn, Tell::Subscribed { id, codes }));
        acts.extend(tells.into_iter().map(|tell| Act::Tell(conn, tell)));
    }
}

impl Session {
    fn publish<H>(
        &mut self,
        conn: ConnId,
        client: Client,
        publish: Publish,
        hold: H,
        acts: &mut Vec<Act<H>>,
    ) {
        if let (Qos::ExactlyOnce, Some(id)) = (publish.message.qos, publish.id) {
            if self.taken.contains(&id) {
                acts.push(Act::Tell(conn, Tell::Step { step: Step::Rec, id, reason: 0 }));
                return;
            }
            // It comes again before it is stored: its answer is on the way.
            if !self.committing.insert(id) {
                return;
            }
        }
        let login = Arc::clone(&self.login);
        let allowed = login.may_publish(&publish.message.topic);
        let from = Some((conn, self.born));
        acts.push(Act::Take(Box::new(Taken { login, client, from, publish, allowed, hold })));
    }
}

fn lower(a: Qos, b: Qos) -> Qos {
    if (a as u8) < (b as u8) { a } else { b }
}

fn plain_topic(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= MAX_TOPIC_BYTES && !topic.contains(['+', '#', '\0'])
}

fn take_will<H: Default>(client: Client, login: Arc<Login>, message: Message) -> Taken<H> {
    let whole_len = message.payload.len();
    let publish = Publish { message, id: None, dup: false, whole_len };
    Taken { login, client, from: None, publish, allowed: true, hold: H::default() }
}

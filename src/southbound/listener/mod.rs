//! The gateway's own MQTT listener: devices log in to it directly, and PUBACK or PUBREC means *on disk*.
//!
//! [`hub`] decides everything and knows no sockets; [`conn`] is one connection; here they are joined with the pipe. Why
//! it is made this way is in `docs/adr/0013-mqtt-listener.md`.

mod acl;
mod certificate;
mod codec;
mod conn;
mod hub;
mod inflow;
mod retained;
mod session;
mod told;

#[cfg(test)]
mod tests;

use super::mqtt::routes::Routes;
use super::{Driver, DriverKind, Failure, Field, Session};
use crate::config::{Bus, BusKind, Device, MqttListener, server_tls};
use crate::model::{BusId, DeviceId, Fault};
use crate::runtime::Tasks;
use crate::runtime::tasks::Ended;
use acl::Logins;
use codec::Tell;
use conn::{FromConn, Hall, Out, ROOM_KIB};
use futures_util::future::BoxFuture;
use hub::{Act, Hub, Over};
use inflow::{INFLOW, Inflow, Settled, UNANSWERED};
use mqtt_protocol_core::mqtt::result_code::{ConnectReasonCode, ConnectReturnCode};
use rumqttc::tokio_rustls::TlsAcceptor;
use session::ConnId;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use told::Told;

/// The kind `mqtt-listener`.
pub const KIND: DriverKind = DriverKind {
    name: "mqtt-listener",
    doc: "the gateway's own MQTT 3.1.1 and 5 listener; what it acknowledges is on disk",
    drivers,
};

/// Most connections at the same time.
const MAX_CONNECTIONS: usize = 1000;
/// Connections from one address that are not logged in.
const MAX_STRANGERS_OF_ADDRESS: usize = 16;
/// Addresses remembered for that.
const MAX_ADDRESSES: usize = 1024;
/// TLS handshakes and CONNECTs at the same time.
const GREETINGS: usize = 64;
/// Packets waiting for the hub. Above it nothing is read.
const FROM_CONNS: usize = 256;
/// Commits whose messages the hub has not acknowledged yet.
const SETTLED: usize = 4;
/// Whoever fails to log in waits for the answer.
const REJECTED_WAIT: Duration = Duration::from_secs(2);
/// Pause after the system would not give another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Below this room nobody new is let in: all who are there may go at once, each with its will.
const SPARE: usize = 4096;
const TICK: Duration = Duration::from_secs(1);

fn drivers(bus: &Bus, devices: &[Device]) -> Vec<Arc<dyn Driver>> {
    let BusKind::MqttListener(listener) = &bus.kind else { return Vec::new() };
    let devices: Vec<Device> = devices.iter().filter(|device| device.bus == bus.id).cloned().collect();
    let routes = Routes::new(&devices);
    let ground = Ground { bus: bus.id.clone(), listener: listener.clone(), devices, routes };
    vec![Arc::new(ListenerDriver(Arc::new(ground)))]
}

/// What a listener is told by the configuration.
struct Ground {
    bus: BusId,
    listener: MqttListener,
    devices: Vec<Device>,
    routes: Routes,
}

struct ListenerDriver(Arc<Ground>);

impl Driver for ListenerDriver {
    fn bus(&self) -> &BusId {
        &self.0.bus
    }

    fn devices(&self) -> Vec<DeviceId> {
        self.0.devices.iter().map(|device| device.id.clone()).collect()
    }

    fn open<'a>(&'a self, _field: &'a Field) -> BoxFuture<'a, Result<Box<dyn Session>, Failure>> {
        Box::pin(async move {
            let session = ListenerSession::open(Arc::clone(&self.0)).await?;
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }
}

struct ListenerSession {
    ground: Arc<Ground>,
    tls: Option<(TcpListener, TlsAcceptor)>,
    plain: Option<TcpListener>,
    delivered: bool,
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => "another program uses this port",
            io::ErrorKind::AddrNotAvailable => "this machine does not have this address",
            io::ErrorKind::PermissionDenied => "ports below 1024 need the capability CAP_NET_BIND_SERVICE",
            _ => "the system refuses",
        };
        Failure::new(Fault::Misconfigured, format!("listening for MQTT on {address}: {why}")).because(error)
    })
}

impl ListenerSession {
    async fn open(ground: Arc<Ground>) -> Result<Self, Failure> {
        let tls = match &ground.listener.tls {
            Some(tls) => {
                let config = server_tls(tls).map_err(|wrong| {
                    Failure::new(
                        Fault::Misconfigured,
                        format!("listening for MQTT on {}: {}", tls.listen, wrong.en),
                    )
                })?;
                Some((bind(tls.listen).await?, TlsAcceptor::from(Arc::new(config))))
            }
            None => None,
        };
        let plain = match ground.listener.plain {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        Ok(Self { ground, tls, plain, delivered: false })
    }

    /// Lets connections in.
    async fn admit(&self, hall: &Hall) -> Failure {
        let mut tasks = Tasks::new();
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut strangers: HashMap<IpAddr, Arc<Semaphore>> = HashMap::new();
        let mut told = Told::default();
        let mut next = 0;
        loop {
            let (accepted, acceptor) = tokio::select! {
                accepted = accept(self.tls.as_ref().map(|tls| &tls.0)) => (accepted, self.tls.as_ref().map(|tls| tls.1.clone())),
                accepted = accept(self.plain.as_ref()) => (accepted, None),
                Some((_, ended)) = tasks.next_ended() => {
                    if let Ended::Panicked(message) = ended {
                        tracing::error!(bus = %hall.bus, message, "a connection ended by our own fault");
                    }
                    continue;
                }
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if told.news("accept", hall.clock.now().mono).is_some() {
                        tracing::warn!(bus = %hall.bus, %error, "the system gives no more connections");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (place, stranger) =
                (Arc::clone(&places).try_acquire_owned(), stranger(&mut strangers, peer.ip()));
            let (Ok(place), Some(stranger)) = (place, stranger) else {
                if let Some(times) = told.news(&format!("full {}", peer.ip()), hall.clock.now().mono) {
                    tracing::warn!(bus = %hall.bus, address = %peer.ip(), times, "a connection is turned away: too many are open");
                }
                continue;
            };
            next += 1;
            let (hall, conn) = (hall.clone(), ConnId(next));
            tasks.spawn("mqtt client", async move {
                conn::serve(stream, peer, acceptor, hall, conn, stranger).await;
                drop(place);
            });
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// A place among those from an address that are not logged in yet.
fn stranger(
    strangers: &mut HashMap<IpAddr, Arc<Semaphore>>,
    address: IpAddr,
) -> Option<OwnedSemaphorePermit> {
    if strangers.len() >= MAX_ADDRESSES {
        strangers.retain(|_, places| places.available_permits() < MAX_STRANGERS_OF_ADDRESS);
    }
    let places =
        strangers.entry(address).or_insert_with(|| Arc::new(Semaphore::new(MAX_STRANGERS_OF_ADDRESS)));
    Arc::clone(places).try_acquire_owned().ok()
}

impl Session for ListenerSession {
    fn run<'a>(&'a mut self, field: &'a Field) -> BoxFuture<'a, Failure> {
        Box::pin(async move {
            let ground = Arc::clone(&self.ground);
            let (to_hub, from_conns) = mpsc::channel(FROM_CONNS);
            let (inflow, inflows) = mpsc::channel(INFLOW);
            let (committing, commits) = mpsc::channel(UNANSWERED);
            let (settled, settlements) = mpsc::channel(SETTLED);
            let hall = Hall {
                bus: ground.bus.clone(),
                to_hub,
                room: Arc::new(Semaphore::new(ROOM_KIB)),
                greetings: Arc::new(Semaphore::new(GREETINGS)),
                max_payload: ground.listener.max_payload,
                clock: Arc::clone(&field.clock),
            };
            let logins = Logins::new(&ground.listener, &ground.devices);
            let desk = Desk {
                bus: &ground.bus,
                field,
                hub: Hub::new(logins, hall.max_packet()),
                outs: HashMap::new(),
                inflow,
                told: Told::default(),
            };
            let mut delivered = false;
            let failure = tokio::select! {
                failure = self.admit(&hall) => failure,
                failure = desk.run(from_conns, settlements) => failure,
                failure = inflow::deliver(&ground, field, inflows, committing) => failure,
                failure = inflow::settle(&ground.bus, commits, settled, &mut delivered) => failure,
            };
            self.delivered |= delivered;
            failure
        })
    }

    fn delivered(&self) -> bool {
        self.delivered
    }
}

/// Where the hub meets the connections and the pipe. It never waits for either.
struct Desk<'a> {
    bus: &'a BusId,
    field: &'a Field,
    hub: Hub,
    outs: HashMap<ConnId, mpsc::Sender<Out>>,
    inflow: mpsc::Sender<Inflow>,
    told: Told,
}

type Acts = Vec<Act<conn::Hold>>;

impl Desk<'_> {
    async fn run(
        mut self,
        mut from_conns: mpsc::Receiver<FromConn>,
        mut settlements: mpsc::Receiver<Vec<Settled>>,
    ) -> Failure {
        let mut tick = tokio::time::interval(TICK);
        let mut acts = Acts::new();
        let mut heard = Vec::with_capacity(FROM_CONNS);
        loop {
            tokio::select! {
                Some(mut settled) = settlements.recv() => {
                    let now = self.field.clock.now().mono;
                    for Settled { taken, fate, reply } in &mut settled {
                        self.hub.settled(taken, *fate, reply.take(), now, &mut acts);
                    }
                    // Connection by connection: each writes all that it is told in one go.
                    acts.sort_by_key(Act::conn);
                    let carried_out = self.carry_out(&mut acts);
                    // What was held is let go only now, so that each reads on once and not for every message.
                    drop(settled);
                    if let Err(failure) = carried_out {
                        return failure;
                    }
                }
                1.. = from_conns.recv_many(&mut heard, FROM_CONNS) => {
                    for from in heard.drain(..) {
                        self.hear(from, &mut acts);
                        // What one says may end the connection of another.
                        if let Err(failure) = self.carry_out(&mut acts) {
                            return failure;
                        }
                    }
                }
                _ = tick.tick() => {
                    let now = self.field.clock.now().mono;
                    self.hub.tick(now, &mut acts);
                    // A connection that ended by our own fault said nothing.
                    let lost: Vec<ConnId> =
                        self.outs.iter().filter(|(_, out)| out.is_closed()).map(|(conn, _)| *conn).collect();
                    lost.into_iter().for_each(|conn| self.lost(conn, Over::Lost, &mut acts));
                }
            }
            if let Err(failure) = self.carry_out(&mut acts) {
                return failure;
            }
        }
    }

    fn lost(&mut self, conn: ConnId, over: Over, acts: &mut Acts) {
        self.outs.remove(&conn);
        self.hub.gone(conn, over, self.field.clock.now().mono, acts);
    }

    fn hear(&mut self, from: FromConn, acts: &mut Acts) {
        let now = self.field.clock.now().mono;
        match from {
            FromConn::Hello { conn, hello, certified, peer, out, entry } => {
                self.outs.insert(conn, out);
                if self.inflow.capacity() < SPARE {
                    let (three, five) = (ConnectReturnCode::ServerUnavailable, ConnectReasonCode::ServerBusy);
                    acts.extend([Act::Tell(conn, Tell::Turned { three, five }), Act::Close(conn)]);
                    return;
                }
                self.hub.connect(conn, *hello, &certified, peer.to_string(), now, acts);
                if let Some(devices) = self.hub.devices_of(conn) {
                    // It may be gone already.
                    entry.send(devices).ok();
                }
            }
            FromConn::Said { conn, said, hold } => self.hub.said(conn, said, hold, now, acts),
            FromConn::Over { conn, over } => self.lost(conn, over, acts),
            FromConn::Trouble { peer, why } => {
                self.field.tally.refused_logins.of(self.bus).one();
                if let Some(times) = self.told.news(&format!("trouble {} {why}", peer.ip()), now) {
                    tracing::warn!(bus = %self.bus, address = %peer.ip(), times, "nobody logs in: {why}");
                }
            }
        }
    }

    /// Does what the hub decided, and what follows from it.
    fn carry_out(&mut self, acts: &mut Acts) -> Result<(), Failure> {
        while !acts.is_empty() {
            for act in std::mem::take(acts) {
                self.carry_out_one(act, acts)?;
            }
        }
        Ok(())
    }

    fn carry_out_one(&mut self, act: Act<conn::Hold>, more: &mut Acts) -> Result<(), Failure> {
        match act {
            Act::Tell(conn, tell) => self.tell(conn, tell, more),
            Act::Close(conn) => {
                if let Some(out) = self.outs.remove(&conn) {
                    // Where there is no room for it, the channel is closed and says the same.
                    out.try_send(Out::Close).ok();
                }
            }
            Act::Rejected(conn, tell, why) => self.reject(conn, tell, &why)?,
            Act::Take(taken) => self.put(Inflow::Message(taken))?,
            Act::Online(login) => self.put(Inflow::Online(login))?,
            Act::Offline(login) => self.put(Inflow::Offline(login))?,
            Act::Denied(login, what) => {
                self.field.tally.not_allowed.of(self.bus).one();
                if let Some(times) =
                    self.told.news(&format!("denied {}", login.name), self.field.clock.now().mono)
                {
                    tracing::warn!(bus = %self.bus, login = login.name, times, "not allowed: {what}");
                }
            }
            Act::TakenOver { client, from, by, times } => {
                let (bus, login, client_id) = (self.bus, &*client.login, &*client.id);
                if !Hub::suspicious(times) {
                    tracing::info!(%bus, login, client_id, from, by, "an MQTT client connected again");
                } else if self
                    .told
                    .news(&format!("taken {login} {client_id}"), self.field.clock.now().mono)
                    .is_some()
                {
                    tracing::warn!(%bus, login, client_id, from, by, times, "two clients use the client id '{client_id}' and throw each other out: give each its own");
                }
            }
            Act::NoRoom(login, what) => {
                if let Some(times) =
                    self.told.news(&format!("room {} {what}", login.name), self.field.clock.now().mono)
                {
                    tracing::warn!(bus = %self.bus, login = login.name, times, "{what}");
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, conn: ConnId, tell: Tell, more: &mut Acts) {
        let Some(out) = self.outs.get(&conn) else { return };
        let only_once = matches!(&tell, Tell::Publish { id: None, .. });
        if out.try_send(Out::Tell(tell)).is_err() && !only_once {
            tracing::debug!(bus = %self.bus, conn = conn.0, "an MQTT client takes nothing and is cut off");
            self.lost(conn, Over::Lost, more);
        }
    }

    fn reject(&mut self, conn: ConnId, tell: Tell, why: &acl::Rejected) -> Result<(), Failure> {
        self.field.tally.refused_logins.of(self.bus).one();
        let Some(out) = self.outs.remove(&conn) else { return Ok(()) };
        for step in [Out::Wait(REJECTED_WAIT), Out::Tell(tell), Out::Close] {
            out.try_send(step).ok();
        }
        let now = self.field.clock.now().mono;
        if let Some(times) = self.told.news(&format!("rejected {why}"), now) {
            tracing::warn!(bus = %self.bus, times, "a login is refused: {why}");
        }
        match why {
            acl::Rejected::Unknown(name) => self.put(Inflow::Stranger(format!("login {name}"))),
            _ => Ok(()),
        }
    }

    /// There is room: what is under way is bounded by [`ROOM_KIB`], and nobody is let in when it becomes narrow.
    fn put(&self, inflow: Inflow) -> Result<(), Failure> {
        self.inflow.try_send(inflow).map_err(|error| {
            let doing =
                "handing on a message of the MQTT listener: the gateway is stopping, or there is no room";
            Failure::new(Fault::Internal, doing).because(error.to_string())
        })
    }
}

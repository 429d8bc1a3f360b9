//! Terminals that push by HTTP: Hikvision ISAPI at `/isapi`, ZKTeco at `/iclock`. A terminal is answered after the commit.
//!
//! Connections are tasks of their own that read and take apart; one office, in the session, decides and delivers.

mod filler;
mod guard;
mod office;
mod server;
mod trail;

use super::noticed::door::Door;
use super::noticed::{Desk, Roll, without_part};
use super::{Driver, DriverKind, Failure, Field, Session};
use crate::config::{Bus, BusKind, Device, PullFrom, Push, ServerTls};
use crate::model::{BusId, DeviceId, Fault, Wall};
use crate::notice::{Notice, Unreadable, isapi, zkteco};
use crate::runtime::{Receipt, Tasks};
use futures_util::future::BoxFuture;
use guard::Guard;
use office::Office;
use rumqttc::tokio_rustls::TlsAcceptor;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use server::Shared;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use trail::Gap;

/// The receiver of pushed events.
pub const KIND: DriverKind = DriverKind {
    name: "http-push",
    doc: "terminals and recorders that push by HTTP: Hikvision ISAPI and ZKTeco",
    drivers,
};

/// Connections at once.
const SEATS: usize = 512;
/// Requests that were read and wait for the office.
const ASKS: usize = 64;
/// Gaps that wait to be asked for.
const GAPS: usize = 64;
/// How often it is looked who is silent and which states are over.
const TICK: Duration = Duration::from_secs(1);
/// A terminal that was silent for so many heartbeats is down.
const HEARTBEATS: u32 = 3;

fn drivers(bus: &Bus, devices: &[Device]) -> Vec<Arc<dyn Driver>> {
    let BusKind::Push(push) = &bus.kind else { return Vec::new() };
    let devices: Vec<Device> = devices.iter().filter(|device| device.bus == bus.id).cloned().collect();
    // Several parts of one terminal are asked once.
    let pull = devices.iter().filter_map(|device| {
        let pull = push.pull.get(&device.id)?.clone();
        Some((without_part(&device.address).to_owned(), pull))
    });
    let pull = pull.collect();
    let receiver = Receiver { push: push.clone(), pull, roll: Roll::new(&bus.id, devices) };
    vec![Arc::new(PushDriver(Arc::new(receiver)))]
}

struct Receiver {
    push: Push,
    /// By the terminal's address.
    pull: BTreeMap<String, PullFrom>,
    roll: Roll,
}

struct PushDriver(Arc<Receiver>);

impl Driver for PushDriver {
    fn bus(&self) -> &BusId {
        &self.0.roll.bus
    }

    fn devices(&self) -> Vec<DeviceId> {
        self.0.roll.ids()
    }

    fn open<'a>(&'a self, _field: &'a Field) -> BoxFuture<'a, Result<Box<dyn Session>, Failure>> {
        Box::pin(async move {
            let receiver = Arc::clone(&self.0);
            let push = &receiver.push;
            let tls = push.tls.as_ref().map(acceptor).transpose()?;
            let guard = push.login.clone().map(|login| Guard::new(login, tls.is_some())).transpose();
            let guard = guard.map_err(|error| {
                Failure::new(Fault::Internal, "asking the system for random bytes").because(error)
            })?;
            let door = Door::open(&receiver.roll.bus, push.listen, &push.from, SEATS).await?;
            Ok(Box::new(PushSession { door, tls, guard: guard.map(Arc::new), receiver }) as Box<dyn Session>)
        })
    }
}

fn acceptor(tls: &ServerTls) -> Result<TlsAcceptor, Failure> {
    let wrong = |what: &str| Failure::new(Fault::Misconfigured, format!("preparing TLS: {what}"));
    let certs: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&tls.cert_pem).collect();
    let certs = certs.map_err(|error| wrong("the certificate is not PEM").because(error))?;
    let key = PrivateKeyDer::from_pem_slice(tls.key_pem.expose().as_bytes());
    let key = key.map_err(|error| wrong("the key is not PEM").because(error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certs, key));
    let config = config.map_err(|error| wrong("the certificate and the key do not fit").because(error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What was read of one request.
pub(super) enum What {
    Isapi(Result<isapi::Message, Unreadable>),
    Zkteco {
        request: zkteco::Request,
        notices: Vec<Notice>,
        unreadable: Vec<Unreadable>,
    },
    /// It could not be taken apart, and why; with the status to answer.
    Unusable(Unreadable, u16),
    /// A page of what a terminal was asked for.
    Page {
        address: String,
        notices: Vec<Notice>,
    },
}

/// A request that was read, on its way to the office.
pub(super) struct Ask {
    peer: IpAddr,
    /// Its path, for people.
    origin: String,
    /// Bytes of its body.
    len: usize,
    what: What,
    answer: oneshot::Sender<Answer>,
}

/// What to tell the terminal once the receipt is there.
#[derive(Debug)]
pub(super) struct Answer {
    receipt: Option<Receipt>,
    status: u16,
    text: String,
}

/// Events of a terminal that did not come.
#[derive(Debug)]
pub(super) struct Missing {
    address: String,
    gap: Gap,
    /// When it was noticed.
    noticed: Wall,
}

struct PushSession {
    door: Door,
    tls: Option<TlsAcceptor>,
    guard: Option<Arc<Guard>>,
    receiver: Arc<Receiver>,
}

impl Session for PushSession {
    fn run<'a>(&'a mut self, field: &'a Field) -> BoxFuture<'a, Failure> {
        Box::pin(async move {
            let Receiver { push, pull, roll } = &*self.receiver;
            let (asks, mut asked) = mpsc::channel(ASKS);
            let (missing, gaps) = mpsc::channel(GAPS);
            let mut tasks = Tasks::new();
            if !pull.is_empty() {
                let filler = filler::Filler::new(&roll.bus, pull.clone(), asks.clone(), field);
                tasks.spawn("back-fill", filler.run(gaps));
            }
            let desk = Desk::new(roll, field, push.heartbeat * HEARTBEATS);
            let mut office =
                Office::new(desk, field, push.end_after, pull.keys().cloned().collect(), missing);
            let (clock, tally) = (Arc::clone(&field.clock), Arc::clone(&field.tally));
            let shared = Arc::new(Shared::new(push.max_body, self.guard.clone(), asks, clock, tally));
            let mut tick = interval(TICK);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let done = tokio::select! {
                    (stream, peer, seat) = self.door.next() => {
                        let connection = server::serve(Arc::clone(&shared), stream, self.tls.clone(), peer);
                        tasks.spawn("connection", async move {
                            connection.await;
                            drop(seat);
                        });
                        Ok(())
                    }
                    Some(ask) = asked.recv() => office.take(ask).await,
                    _ = tick.tick() => office.look().await,
                    Some((name, ended)) = tasks.next_ended() => {
                        if ended != crate::runtime::tasks::Ended::Done {
                            tracing::error!(bus = %roll.bus, task = name, ?ended, "a task of the receiver failed");
                        }
                        Ok(())
                    }
                };
                if let Err(stopping) = done {
                    return Failure::new(Fault::Internal, "handing on what a terminal pushed")
                        .because(stopping);
                }
            }
        })
    }
}

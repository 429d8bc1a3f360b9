//! Panels that connect by TCP: fire transmitters (GB/T 26875.3) and intrusion panels (Contact ID in SIA DC-09). A frame
//! is acknowledged after the commit that holds it; a call from a panel that nobody configured is an alarm all the same.
//!
//! Connections are tasks of their own that find the frames; one office, in the session, decides and delivers.

mod connection;
mod form;

use super::noticed::door::Door;
use super::noticed::standing::Standing;
use super::noticed::{Desk, Roll};
use super::{Driver, DriverKind, Failure, Field, Session};
use crate::config::{Bus, BusKind, Device, Receiver};
use crate::model::{BusId, DeviceId, Fault, Input};
use crate::runtime::lanes::Stopping;
use crate::runtime::tasks::Ended;
use crate::runtime::{Receipt, Tasks};
use form::{Form, Heard};
use futures_util::future::BoxFuture;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

/// The receiver of fire transmitters.
pub const FIRE: DriverKind =
    DriverKind { name: "fire-receiver", doc: "fire transmitters that connect (GB/T 26875.3)", drivers: fire };

/// The receiver of intrusion panels.
pub const INTRUSION: DriverKind = DriverKind {
    name: "panel-receiver",
    doc: "intrusion panels that connect (Contact ID in SIA DC-09)",
    drivers: intrusion,
};

/// Connections at once.
const SEATS: usize = 128;
/// Frames that were found and wait for the office.
const ASKS: usize = 64;
/// How often it is looked who is silent.
const TICK: Duration = Duration::from_secs(1);

fn fire(bus: &Bus, devices: &[Device]) -> Vec<Arc<dyn Driver>> {
    let BusKind::FireReceiver(fire) = &bus.kind else { return Vec::new() };
    driver(bus, devices, &fire.receiver, Form::Fire { lowest_first: fire.lowest_first })
}

fn intrusion(bus: &Bus, devices: &[Device]) -> Vec<Arc<dyn Driver>> {
    let BusKind::PanelReceiver(receiver) = &bus.kind else { return Vec::new() };
    driver(bus, devices, receiver, Form::ContactId)
}

/// Also where there are no devices: a panel that calls is heard.
fn driver(bus: &Bus, devices: &[Device], receiver: &Receiver, form: Form) -> Vec<Arc<dyn Driver>> {
    let devices = devices.iter().filter(|device| device.bus == bus.id).cloned().collect();
    let panels = Panels { receiver: receiver.clone(), form, roll: Roll::new(&bus.id, devices) };
    vec![Arc::new(PanelDriver(Arc::new(panels)))]
}

struct Panels {
    receiver: Receiver,
    form: Form,
    roll: Roll,
}

struct PanelDriver(Arc<Panels>);

impl Driver for PanelDriver {
    fn bus(&self) -> &BusId {
        &self.0.roll.bus
    }

    fn devices(&self) -> Vec<DeviceId> {
        self.0.roll.ids()
    }

    fn open<'a>(&'a self, _field: &'a Field) -> BoxFuture<'a, Result<Box<dyn Session>, Failure>> {
        Box::pin(async move {
            let panels = Arc::clone(&self.0);
            let receiver = &panels.receiver;
            let door = Door::open(&panels.roll.bus, receiver.listen, &receiver.from, SEATS).await?;
            Ok(Box::new(PanelSession { door, panels }) as Box<dyn Session>)
        })
    }
}

/// A frame that was found, on its way to the office.
struct Ask {
    peer: IpAddr,
    heard: Heard,
    answer: oneshot::Sender<Answer>,
}

/// What to do once the receipt is there.
#[derive(Debug)]
struct Answer {
    receipt: Option<Receipt>,
    /// The bytes for the panel; none for a stranger.
    bytes: Vec<u8>,
}

struct PanelSession {
    door: Door,
    panels: Arc<Panels>,
}

impl Session for PanelSession {
    fn run<'a>(&'a mut self, field: &'a Field) -> BoxFuture<'a, Failure> {
        Box::pin(async move {
            let Panels { receiver, form, roll } = &*self.panels;
            let (asks, mut asked) = mpsc::channel(ASKS);
            let mut tasks = Tasks::new();
            let mut office =
                Office { desk: Desk::new(roll, field, receiver.silence), standing: Standing::of_panels() };
            let mut tick = interval(TICK);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let done = tokio::select! {
                    (stream, peer, seat) = self.door.next() => {
                        let serving = connection::serve(stream, peer, *form, receiver.silence, asks.clone());
                        tasks.spawn("connection", async move {
                            serving.await;
                            drop(seat);
                        });
                        Ok(())
                    }
                    Some(ask) = asked.recv() => office.take(ask).await,
                    _ = tick.tick() => office.look().await,
                    Some((_, ended)) = tasks.next_ended() => {
                        if ended != Ended::Done {
                            tracing::error!(bus = %roll.bus, ?ended, "a panel's connection failed");
                        }
                        Ok(())
                    }
                };
                if let Err(stopping) = done {
                    return Failure::new(Fault::Internal, "handing on what a panel told").because(stopping);
                }
            }
        })
    }
}

/// One receiver's decisions.
struct Office<'a> {
    desk: Desk<'a>,
    standing: Standing,
}

impl Office<'_> {
    async fn take(&mut self, ask: Ask) -> Result<(), Stopping> {
        let Ask { peer, heard, answer } = ask;
        let (inputs, bytes) = self.decide(peer, heard);
        let receipt = self.desk.deliver(inputs).await?;
        // A panel that hung up sends it again.
        answer.send(Answer { receipt, bytes }).ok();
        Ok(())
    }

    async fn look(&mut self) -> Result<(), Stopping> {
        let silent = self.desk.silent();
        self.desk.deliver(silent).await.map(drop)
    }

    fn decide(&mut self, peer: IpAddr, heard: Heard) -> (Vec<Input>, Vec<u8>) {
        let Heard { address, said, len, yes, no } = heard;
        let known = address.as_deref().filter(|address| self.desk.roll().knows(address));
        // A call for help is never too much; of the rest a panel that floods gets no answer and sends it again.
        let cries = said.iter().flatten().any(|notice| form::cry(notice).is_some());
        if !self.desk.admits(known) && !cries {
            return (Vec::new(), Vec::new());
        }
        let Some(address) = address else {
            // Bytes that are no frame do not say whose they are.
            let wrong = said.err().filter(|_| self.desk.is_time(&peer.to_string()));
            let inputs = wrong.map(|wrong| self.desk.unreadable(None, &peer.to_string(), wrong, len));
            return (inputs.into_iter().collect(), Vec::new());
        };
        if !self.desk.roll().knows(&address) {
            let mut inputs: Vec<Input> = self.desk.stranger(&address).into_iter().collect();
            for notice in said.iter().flatten() {
                let cry = form::cry(notice);
                inputs.extend(cry.and_then(|cry| self.desk.cry(&address, cry, &notice.code)));
            }
            return (inputs, Vec::new());
        }
        let mut inputs = self.desk.hears(&address);
        let bytes = match said {
            Ok(notices) => {
                inputs.extend(self.desk.take(&address, notices, Some(&mut self.standing)));
                yes
            }
            Err(wrong) => {
                inputs.push(self.desk.unreadable(Some(&address), &address, wrong, len));
                no
            }
        };
        (inputs, bytes)
    }
}

//! MQTT: one persistent session per broker; a message is acknowledged after the commit that holds it.

mod bucket;
mod dial;
mod failure;
pub(super) mod inbound;
pub(super) mod routes;
pub(super) mod skim;

pub(super) use bucket::Floods;
pub use bucket::{BACKLOG, BURST, Bucket, MESSAGES_PER_SEC};
pub(crate) use dial::dial;

use super::{Driver, DriverKind, Failure, Field, Links, Session};
use crate::config::{Bus, BusKind, Device, Mqtt};
use crate::model::{BusId, DeviceId, Fault, Mono};
use crate::profile::Reply;
use crate::runtime::Receipt;
use failure::{Phase, judge};
use futures_util::future::BoxFuture;
use inbound::{Arrived, Heard, Inbound, WrongClocks};
use routes::Routes;
use rumqttc::{
    AckMode, AsyncClient, Event, EventLoop, ManualAck, MqttOptions, NetworkOptions, Packet, Publish,
    PublishOptions, QoS, SubAck, SubscribeFilter, SubscribeReasonCode,
};
use skim::{Mark, Skimmer, find_cut};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// MQTT brokers.
pub const KIND: DriverKind = DriverKind {
    name: "mqtt",
    doc: "an MQTT 3.1.1 broker; one persistent session with QoS 1 for all devices on it",
    drivers,
};

/// Pause after which PINGREQ is sent on a silent connection, seconds.
const KEEP_ALIVE_SECS: u16 = 30;
/// Longest wait for name, TCP, TLS and CONNACK together, seconds.
const CONNECT_WAIT_SECS: u64 = 20;
/// Longest silence after a SUBSCRIBE.
const SUBACK_WAIT: Duration = Duration::from_secs(10);
/// Filters in one SUBSCRIBE.
const SUBSCRIBE_BATCH: usize = 64;
/// Messages waiting for the lane. Above it nothing is read from the broker.
const WINDOW: usize = 128;
/// Messages in the pipe that wait for their commit; each costs some bytes. A card may stall for half a minute, and an
/// alarm behind a full queue would not be heard: this is a minute of a large school (16 readings a second).
const UNANSWERED: usize = 1024;
/// Packets decoded at once by the library.
const READ_BATCH: usize = 8;
/// A session shorter than this, `KICKS` times in a row, looks like another client with the same client id.
const SHORT_LIFE: Duration = Duration::from_secs(2);
const KICKS: u32 = 3;

fn drivers(bus: &Bus, devices: &[Device]) -> Vec<Arc<dyn Driver>> {
    let BusKind::Mqtt(mqtt) = &bus.kind else { return Vec::new() };
    let devices: Vec<Device> = devices.iter().filter(|device| device.bus == bus.id).cloned().collect();
    if devices.is_empty() {
        return Vec::new();
    }
    let routes = Routes::new(&devices);
    let broker =
        Broker { bus: bus.id.clone(), mqtt: mqtt.clone(), devices, routes, kicks: AtomicU32::new(0) };
    vec![Arc::new(MqttDriver(Arc::new(broker)))]
}

/// A broker and who is behind it.
struct Broker {
    bus: BusId,
    mqtt: Mqtt,
    devices: Vec<Device>,
    routes: Routes,
    /// Sessions in a row that were closed soon after they began.
    kicks: AtomicU32,
}

struct MqttDriver(Arc<Broker>);

impl Driver for MqttDriver {
    fn bus(&self) -> &BusId {
        &self.0.bus
    }

    fn devices(&self) -> Vec<DeviceId> {
        self.0.devices.iter().map(|device| device.id.clone()).collect()
    }

    fn open<'a>(&'a self, field: &'a Field) -> BoxFuture<'a, Result<Box<dyn Session>, Failure>> {
        Box::pin(async move {
            let session = MqttSession::open(Arc::clone(&self.0), field).await?;
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }
}

/// A message on its way to its commit.
struct Taken {
    heard: Heard,
    ack: Option<ManualAck>,
}

/// A message in the pipe.
struct Committing {
    receipt: Receipt,
    ack: Option<ManualAck>,
    reply: Option<Reply>,
}

struct MqttSession {
    broker: Arc<Broker>,
    client: AsyncClient,
    events: EventLoop,
    mark: Mark,
    since: Mono,
    /// Whether a message was committed.
    delivered: bool,
}

impl MqttSession {
    async fn open(broker: Arc<Broker>, field: &Field) -> Result<Self, Failure> {
        broker.check_filters()?;
        let mut mark: Mark = [0; 16];
        getrandom::fill(&mut mark).map_err(|error| {
            Failure::new(Fault::Internal, "asking the system for random bytes").because(error)
        })?;
        // The library never waits for room in this channel: it holds at most one acknowledgement and one answer for
        // each message between the two queues of `run` and the last read batch, and that is less than this.
        let (client, mut events) =
            AsyncClient::builder(options(&broker.mqtt, mark)).capacity(2 * (UNANSWERED + 4 * WINDOW)).build();
        let mut network = NetworkOptions::new();
        network.set_connection_timeout(CONNECT_WAIT_SECS);
        events.set_network_options(network);
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => break,
                Ok(_) => {}
                Err(error) => return Err(judge(error, Phase::Connecting, &broker.mqtt)),
            }
        }
        Ok(Self { broker, client, events, mark, since: field.clock.now().mono, delivered: false })
    }

    /// Reads until something fails. Never waits for a commit, only for room in the window.
    async fn listen(
        broker: &Broker,
        client: &AsyncClient,
        events: &mut EventLoop,
        mut inbound: Inbound<'_>,
        mark: Mark,
        taken: mpsc::Sender<Taken>,
    ) -> Failure {
        let mut subscribing = Subscribing::new(broker);
        if let Err(failure) = subscribing.send_next(client) {
            return failure;
        }
        loop {
            let event = if subscribing.waits() {
                match tokio::time::timeout(SUBACK_WAIT, events.poll()).await {
                    Ok(event) => event,
                    Err(_) => return subscribing.late(),
                }
            } else {
                events.poll().await
            };
            match event {
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    let ack = client.prepare_ack(&publish);
                    let heard = hear(&mut inbound, &publish, &mark);
                    drop(publish);
                    if taken.send(Taken { heard, ack }).await.is_err() {
                        return stopping(broker);
                    }
                }
                Ok(Event::Incoming(Packet::SubAck(answer))) => {
                    if let Err(failure) =
                        subscribing.answered(&answer).and_then(|()| subscribing.send_next(client))
                    {
                        return failure;
                    }
                }
                Ok(_) => {}
                Err(error) => return judge(error, Phase::Connected, &broker.mqtt),
            }
        }
    }

    /// Puts messages into the pipe in the order in which they came.
    async fn deliver(
        broker: &Broker,
        field: &Field,
        mut taken: mpsc::Receiver<Taken>,
        committing: mpsc::Sender<Committing>,
    ) -> Failure {
        while let Some(Taken { heard, ack }) = taken.recv().await {
            let Heard { delivery, reply, shed } = heard;
            let receipt = if shed { at_once() } else { field.inlet.deliver(delivery).await.ok() };
            let Some(receipt) = receipt else { break };
            if committing.send(Committing { receipt, ack, reply }).await.is_err() {
                break;
            }
        }
        stopping(broker)
    }

    /// Acknowledges what is committed, in the order in which it came (MQTT 3.1.1, section 4.6).
    async fn acknowledge(
        broker: &Broker,
        client: &AsyncClient,
        mut committing: mpsc::Receiver<Committing>,
        delivered: &mut bool,
    ) -> Failure {
        while let Some(Committing { receipt, ack, reply }) = committing.recv().await {
            if receipt.await.is_err() {
                break;
            }
            *delivered = true;
            if let Some(ack) = ack
                && let Err(error) = client.try_manual_ack(ack)
            {
                let doing = format!("acknowledging a message to MQTT broker {}", broker.place());
                return Failure::new(Fault::Internal, doing).because(error);
            }
            // At QoS 0: answers in flight would hold up acknowledgements, and a device that misses one asks again.
            if let Some(Reply { topic, payload }) = reply
                && let Err(error) = client.try_publish(topic, payload, PublishOptions::at_most_once())
            {
                tracing::debug!(bus = %broker.bus, %error, "an answer to a device was not sent");
            }
        }
        stopping(broker)
    }
}

impl Session for MqttSession {
    fn run<'a>(&'a mut self, field: &'a Field) -> BoxFuture<'a, Failure> {
        Box::pin(async move {
            let broker = &*self.broker;
            let inbound = Inbound {
                bus: &broker.bus,
                devices: &broker.devices,
                routes: &broker.routes,
                max_payload: broker.mqtt.max_payload,
                field,
                links: Links::default(),
                wrong_clocks: WrongClocks::default(),
                floods: Floods::behind_a_broker(),
            };
            let mark = self.mark;
            let (taken, taken_out) = mpsc::channel(WINDOW);
            let (committing, committing_out) = mpsc::channel(UNANSWERED);
            let failure = tokio::select! {
                failure = Self::listen(broker, &self.client, &mut self.events, inbound, mark, taken) => failure,
                failure = Self::deliver(broker, field, taken_out, committing) => failure,
                failure = Self::acknowledge(broker, &self.client, committing_out, &mut self.delivered) => failure,
            };
            broker.note_end(failure, field.clock.now().mono.since(self.since))
        })
    }

    fn delivered(&self) -> bool {
        self.delivered
    }
}

impl Broker {
    fn place(&self) -> String {
        format!("{}:{}", self.mqtt.host, self.mqtt.port)
    }

    fn device_name(&self, index: usize) -> &str {
        self.devices.get(index).map_or("?", |device| device.id.as_str())
    }

    /// A broker would answer a malformed filter by closing the connection, and an address with a wildcard would
    /// take other devices' messages for its own.
    fn check_filters(&self) -> Result<(), Failure> {
        if let Some(Device { id, address, .. }) = self.devices.iter().find(|d| d.address.contains(['+', '#']))
        {
            let doing = format!(
                "subscribing for device '{id}': its address '{address}' has a wildcard; write the name of one device"
            );
            return Err(Failure::new(Fault::Misconfigured, doing));
        }
        for (filter, index) in self.routes.filters() {
            if !rumqttc::valid_filter(filter) {
                let device = self.device_name(index);
                let doing = format!(
                    "subscribing for device '{device}': '{filter}' is not an MQTT topic filter; check its address"
                );
                return Err(Failure::new(Fault::Misconfigured, doing));
            }
        }
        Ok(())
    }

    /// Names the likeliest cause when the broker closes one young session after the other.
    fn note_end(&self, mut failure: Failure, life: Duration) -> Failure {
        if failure.fault != Fault::Gone || life >= SHORT_LIFE {
            self.kicks.store(0, Ordering::Relaxed);
            return failure;
        }
        let kicks = self.kicks.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if kicks >= KICKS {
            failure.doing.push_str(&format!(
                "; again and again within {} s: another client may use the client id '{}'",
                SHORT_LIFE.as_secs(),
                self.mqtt.client_id
            ));
        }
        failure
    }
}

/// What a message of the broker says.
fn hear(inbound: &mut Inbound<'_>, publish: &Publish, mark: &Mark) -> Heard {
    let cut = find_cut(&publish.payload, mark);
    let (payload, whole_len) =
        cut.map_or((publish.payload.as_ref(), publish.payload.len()), |cut| (cut.head, cut.whole_len));
    inbound.delivery(&Arrived {
        client: "",
        packet_id: (publish.qos != QoS::AtMostOnce).then_some(publish.pkid),
        dup: publish.dup,
        topic: &String::from_utf8_lossy(&publish.topic),
        payload,
        whole_len,
        retained: publish.retain,
        paced: false,
    })
}

/// The receipt of a delivery with nothing in it.
pub(super) fn at_once() -> Option<Receipt> {
    let (committed, receipt) = oneshot::channel();
    committed.send(()).ok().map(|()| receipt)
}

fn stopping(broker: &Broker) -> Failure {
    let doing = format!("handing on a message of MQTT broker {}: the gateway is stopping", broker.place());
    Failure::new(Fault::Internal, doing)
}

fn options(mqtt: &Mqtt, mark: Mark) -> MqttOptions {
    let mut options = MqttOptions::new(mqtt.client_id.clone(), (mqtt.host.clone(), mqtt.port));
    options.set_keep_alive(KEEP_ALIVE_SECS).set_clean_session(false).set_ack_mode(AckMode::Manual);
    options.set_read_batch_size(READ_BATCH);
    // Above `limit` packets are cut before the library sees them, so its own limit is never met.
    let limit = mqtt.max_payload.saturating_add(skim::MAX_VARIABLE_HEADER);
    options.set_max_packet_size(limit.saturating_mul(2), SUBSCRIBE_BATCH * 70_000);
    if let Some(login) = &mqtt.login {
        options.set_credentials(login.username.clone(), login.password.expose().as_bytes().to_vec());
    }
    let mqtt = mqtt.clone();
    options.set_socket_connector(move |_, _| {
        let mqtt = mqtt.clone();
        async move {
            let wire = dial::dial(&mqtt).await.map_err(std::io::Error::other)?;
            Ok(Skimmer::new(wire, limit, mark))
        }
    });
    options
}

/// The subscriptions still to be made, one SUBSCRIBE at a time. They are made anew on every connection: a session
/// kept by the broker may be older than the configuration.
struct Subscribing<'a> {
    broker: &'a Broker,
    left: VecDeque<(&'a str, usize)>,
    asked: Vec<(&'a str, usize)>,
}

impl<'a> Subscribing<'a> {
    fn new(broker: &'a Broker) -> Self {
        Self { broker, left: broker.routes.filters().collect(), asked: Vec::new() }
    }

    fn waits(&self) -> bool {
        !self.asked.is_empty()
    }

    fn send_next(&mut self, client: &AsyncClient) -> Result<(), Failure> {
        let batch = self.left.len().min(SUBSCRIBE_BATCH);
        self.asked = self.left.drain(..batch).collect();
        if self.asked.is_empty() {
            return Ok(());
        }
        let filters =
            self.asked.iter().map(|(filter, _)| SubscribeFilter::new((*filter).to_owned(), QoS::AtLeastOnce));
        client.try_subscribe_many(filters).map_err(|error| {
            Failure::new(Fault::Internal, format!("subscribing at MQTT broker {}", self.broker.place()))
                .because(error)
        })
    }

    fn answered(&mut self, answer: &SubAck) -> Result<(), Failure> {
        for ((filter, index), code) in self.asked.iter().zip(&answer.return_codes) {
            let device = self.broker.device_name(*index);
            match code {
                SubscribeReasonCode::Success(QoS::AtMostOnce) => tracing::warn!(
                    bus = %self.broker.bus, device, filter,
                    "the broker grants QoS 0 only: messages may be lost while the connection is down"
                ),
                SubscribeReasonCode::Success(_) => {}
                SubscribeReasonCode::Failure => {
                    let doing = format!(
                        "subscribing for device '{device}': MQTT broker {} refuses '{filter}'; check its access list",
                        self.broker.place()
                    );
                    return Err(Failure::new(Fault::Misconfigured, doing));
                }
            }
        }
        self.asked.clear();
        Ok(())
    }

    fn late(&self) -> Failure {
        let place = self.broker.place();
        Failure::new(
            Fault::Timeout,
            format!("subscribing at MQTT broker {place}: no SUBACK within {} s", SUBACK_WAIT.as_secs()),
        )
    }
}

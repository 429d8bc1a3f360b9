//! A camera at work: pulls its events and looks at its stream, side by side, until one of them fails.

use super::client::{CallError, Client};
use super::operations as ops;
use super::rtsp::{self, Deadlines, Liveness};
use super::{Found, Memory, failure};
use crate::config::{Device, Onvif};
use crate::model::{
    Body, BusId, Delivery, Event, EventKind, Fault, Input, Link, Observation, Phase, Refused, Stamp,
};
use crate::notice::xml::Node;
use crate::profile::Notification;
use crate::runtime::Chain;
use crate::southbound::{Failure, Field, Session, link_input};
use futures_util::future::BoxFuture;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::sleep;
use url::Url;

/// Pause between two pulls: a camera that answers at once, again and again, is not asked faster than this.
const PULL_GAP: Duration = Duration::from_millis(250);
/// Pause before a camera that gave no subscription is asked again: often its few places are taken for a while.
const SUBSCRIBE_PAUSE: Duration = Duration::from_secs(60);
/// A subscription with less than this left is renewed.
const RENEW_BELOW_MS: i64 = 25_000;
/// How often a camera without events is asked for a sign of life.
const TOUCH_PAUSE: Duration = Duration::from_secs(30);
/// How often the camera's clock is read again.
const CLOCK_PAUSE: Duration = Duration::from_secs(600);
/// A stream that does not play is looked at again after this before anybody is told.
const CONFIRM_PAUSE: Duration = Duration::from_secs(2);
/// The first looks at many cameras are spread over at most this.
const SPREAD_MAX: Duration = Duration::from_secs(20);

/// An open camera.
pub struct CameraSession {
    client: Client,
    events: Option<Url>,
    watch: Watch,
    ear: Ear,
}

/// What hearing events needs.
struct Ear {
    bus: BusId,
    device: Device,
    memory: Arc<Memory>,
    /// Whether anything was answered.
    answered: AtomicBool,
}

/// What watching the stream needs.
struct Watch {
    bus: BusId,
    device: Device,
    settings: Onvif,
    /// Its device service, as configured.
    camera: Url,
    streams: Vec<Url>,
    memory: Arc<Memory>,
}

/// How a subscription ended.
enum Ended {
    /// The camera forgot it, or it could not be renewed; `pulled` tells whether it ever worked.
    Lost { pulled: bool },
    /// Something worse.
    Failed(Failure),
}

impl CameraSession {
    pub(super) fn new(
        bus: &BusId,
        device: &Device,
        settings: &Onvif,
        memory: &Arc<Memory>,
        client: Client,
        found: Found,
    ) -> Self {
        let (bus, device, memory) = (bus.clone(), device.clone(), Arc::clone(memory));
        let ear = Ear {
            bus: bus.clone(),
            device: device.clone(),
            memory: Arc::clone(&memory),
            answered: AtomicBool::new(false),
        };
        let camera = client.device().clone();
        let watch = Watch { bus, device, settings: settings.clone(), camera, streams: found.streams, memory };
        Self { client, events: found.events, watch, ear }
    }
}

impl Session for CameraSession {
    fn run<'a>(&'a mut self, field: &'a Field) -> BoxFuture<'a, Failure> {
        Box::pin(async move {
            let up = link_input(&self.ear.device.id, Link::Up, field.clock.now().wall);
            if let Err(failure) = deliver(field, &self.ear.bus, vec![up]).await {
                return failure;
            }
            tokio::select! {
                failure = self.ear.listen(&mut self.client, self.events.as_ref(), field) => failure,
                failure = self.watch.watch(field) => failure,
            }
        })
    }

    fn delivered(&self) -> bool {
        self.ear.answered.load(Ordering::Relaxed)
    }
}

async fn deliver(field: &Field, bus: &BusId, inputs: Vec<Input>) -> Result<(), Failure> {
    if inputs.is_empty() {
        return Ok(());
    }
    let delivery = Delivery { bus: Some(bus.clone()), key: None, inputs };
    // A camera forgets an event when it has told it, so there is nobody to answer after the commit.
    let sent = field.inlet.deliver(delivery).await.map(drop);
    sent.map_err(|stopping| Failure {
        fault: Fault::Internal,
        doing: "handing over what the camera told".into(),
        cause: Some(Box::new(stopping)),
    })
}

impl Ear {
    async fn listen(&self, client: &mut Client, events: Option<&Url>, field: &Field) -> Failure {
        let Some(events) = events else { return self.keep_in_touch(client, field).await };
        let mut told = false;
        loop {
            match self.subscribe(client, events).await {
                Ok((place, references)) => match self.pull(client, &place, &references, field).await {
                    Ended::Lost { pulled: true } => {
                        told = false;
                        sleep(PULL_GAP).await;
                        continue;
                    }
                    Ended::Lost { pulled: false } => {
                        self.complain(&mut told, "the first PullMessages is refused")
                    }
                    Ended::Failed(failure) => return failure,
                },
                Err(error @ (CallError::Refused(_) | CallError::Missing(_))) => {
                    self.complain(&mut told, &Chain(&error).to_string());
                }
                Err(error) => return self.failed(field, "CreatePullPointSubscription", error),
            }
            sleep(SUBSCRIBE_PAUSE).await;
        }
    }

    /// A camera without events is asked for its time now and then, so that its silence is noticed.
    async fn keep_in_touch(&self, client: &mut Client, field: &Field) -> Failure {
        loop {
            sleep(TOUCH_PAUSE).await;
            match client.measure_clock().await {
                Ok(_)
                | Err(CallError::Refused(_) | CallError::Missing(_) | CallError::Unauthorized { .. }) => {
                    self.answered.store(true, Ordering::Relaxed);
                }
                Err(error) => return self.failed(field, "GetSystemDateAndTime", error),
            }
        }
    }

    fn complain(&self, told: &mut bool, reason: &str) {
        if !std::mem::replace(told, true) {
            tracing::warn!(
                device = %self.device.id, reason, retry_secs = SUBSCRIBE_PAUSE.as_secs(),
                "the camera gives no events for now: only its picture is watched"
            );
        }
    }

    async fn subscribe(&self, client: &mut Client, events: &Url) -> Result<(Url, Vec<String>), CallError> {
        let body = ops::ask_subscription();
        let reply = client.call(ops::CREATE_PULL_POINT, events, &[], &body, Duration::ZERO).await?;
        let made = ops::subscription(&reply).ok_or(CallError::Missing("SubscriptionReference/Address"))?;
        let place =
            client.on_camera(&made.address).ok_or(CallError::Missing("an HTTP address to pull from"))?;
        let states = client
            .call(ops::SET_SYNCHRONIZATION_POINT, &place, &made.references, ops::ASK_STATES, Duration::ZERO)
            .await;
        match states {
            // Many cameras tell every state on subscribing anyway.
            Ok(_) | Err(CallError::Refused(_)) => Ok((place, made.references)),
            Err(error) => Err(error),
        }
    }

    async fn pull(&self, client: &mut Client, place: &Url, references: &[String], field: &Field) -> Ended {
        let wait = Duration::from_secs(ops::PULL_SECS.into());
        let mut clock_read = field.clock.now().mono;
        let mut worked = false;
        loop {
            let reply = client.call(ops::PULL_MESSAGES, place, references, &ops::ask_messages(), wait).await;
            let left_ms = match reply {
                Ok(reply) => match self.take(client.offset_ms(), &reply, field).await {
                    Ok(left_ms) => left_ms,
                    Err(failure) => {
                        unsubscribe(client, place, references).await;
                        return Ended::Failed(failure);
                    }
                },
                Err(CallError::Refused(_)) => return Ended::Lost { pulled: worked },
                Err(error) => return Ended::Failed(self.pull_failed(error, place, field).await),
            };
            worked = true;
            self.answered.store(true, Ordering::Relaxed);
            if left_ms.is_some_and(|left| left < RENEW_BELOW_MS) {
                let body = ops::ask_renewal();
                match client.call(ops::RENEW, place, references, &body, Duration::ZERO).await {
                    Ok(_) => {}
                    Err(CallError::Refused(_)) => {
                        unsubscribe(client, place, references).await;
                        return Ended::Lost { pulled: true };
                    }
                    Err(error) => return Ended::Failed(self.failed(field, "Renew", error)),
                }
            }
            sleep(PULL_GAP).await;
            if field.clock.now().mono.since(clock_read) >= CLOCK_PAUSE {
                clock_read = field.clock.now().mono;
                if let Err(error) = client.measure_clock().await {
                    tracing::debug!(device = %self.device.id, error = %Chain(&error), "the camera's clock is not read");
                }
            }
        }
    }

    /// Decodes and hands over what one pull brought; how long the subscription still lives.
    async fn take(&self, offset_ms: i64, reply: &Node, field: &Field) -> Result<Option<i64>, Failure> {
        let pulled = ops::pulled(reply, offset_ms);
        let inputs = pulled.notes.iter().flat_map(|note| self.inputs(note, field)).collect();
        deliver(field, &self.bus, inputs).await?;
        Ok(pulled.left_ms)
    }

    fn inputs(&self, note: &Notification, field: &Field) -> Vec<Input> {
        let now = field.clock.now().wall;
        let context = field.context(&self.device.id, now);
        match self.device.profile.decode_notification(&context, note) {
            Ok(all) => all
                .into_iter()
                .map(|decoded| {
                    Input::Observed(Observation {
                        device: self.device.id.clone(),
                        stamp: Stamp::new(decoded.device_time, now),
                        body: decoded.body,
                        retained: note.initialized,
                    })
                })
                .collect(),
            Err(refusal) => vec![self.refused(note.topic.clone(), refusal.kind, refusal.reason, field)],
        }
    }

    /// What could not be understood. Access-control notifications may name a person, so no bytes are kept.
    fn refused(&self, origin: String, kind: &'static str, reason: String, field: &Field) -> Input {
        Input::Refused(Refused {
            device: Some(self.device.id.clone()),
            bus: self.bus.clone(),
            origin: origin.chars().take(200).collect(),
            kind,
            reason,
            raw: Vec::new(),
            raw_len: 0,
            stamp: Stamp::new(None, field.clock.now().wall),
        })
    }

    async fn pull_failed(&self, error: CallError, place: &Url, field: &Field) -> Failure {
        let kind = match &error {
            CallError::NotSoap(_) => "not_soap",
            CallError::TooLarge => "too_large",
            _ => return self.failed(field, "PullMessages", error),
        };
        let input = self.refused(place.path().to_owned(), kind, Chain(&error).to_string(), field);
        match deliver(field, &self.bus, vec![input]).await {
            Ok(()) => failure("PullMessages", error),
            Err(stopping) => stopping,
        }
    }

    fn failed(&self, field: &Field, doing: &'static str, error: CallError) -> Failure {
        if matches!(error, CallError::Unauthorized { .. }) {
            self.memory.hold_login(field.clock.now().mono);
        }
        failure(doing, error)
    }
}

/// Best effort: a subscription that is not ended ends by itself within a minute.
async fn unsubscribe(client: &mut Client, place: &Url, references: &[String]) {
    if let Err(error) = client.call(ops::UNSUBSCRIBE, place, references, ops::ASK_END, Duration::ZERO).await {
        tracing::debug!(error = %Chain(&error), "the subscription is left to expire");
    }
}

impl Watch {
    async fn watch(&self, field: &Field) -> Failure {
        if self.streams.is_empty() {
            return std::future::pending().await;
        }
        sleep(self.spread()).await;
        loop {
            if !self.memory.stream_held(field.clock.now().mono) {
                let liveness = self.look(field).await;
                if liveness == Liveness::Unauthorized {
                    self.memory.hold_stream(field.clock.now().mono);
                }
                if let Err(failure) = self.tell(liveness, field).await {
                    return failure;
                }
            }
            sleep(self.settings.probe_every).await;
        }
    }

    /// The cameras of a school must not all be looked at in the same second after a start.
    fn spread(&self) -> Duration {
        let mut hasher = DefaultHasher::new();
        self.device.id.as_str().hash(&mut hasher);
        let part = u32::try_from(hasher.finish() % 1000).unwrap_or(0);
        (self.settings.probe_every / 10).min(SPREAD_MAX) * part / 1000
    }

    /// Looks, and looks again before saying that a stream is lost.
    async fn look(&self, field: &Field) -> Liveness {
        let first = self.probe(field).await;
        if !matches!(first, Liveness::Stalled | Liveness::Gone) {
            return first;
        }
        sleep(CONFIRM_PAUSE).await;
        self.probe(field).await
    }

    async fn probe(&self, field: &Field) -> Liveness {
        let mut liveness = Liveness::Gone;
        for url in &self.streams {
            let Some(url) = rtsp::pinned(url, &self.camera).await else { continue };
            field.tally.requests.of(&self.bus).one();
            liveness = rtsp::probe(&url, self.settings.login.as_ref(), Deadlines::default()).await;
            if liveness != Liveness::Gone {
                break;
            }
        }
        liveness
    }

    /// Tells the pipe when the stream's state is news.
    async fn tell(&self, liveness: Liveness, field: &Field) -> Result<(), Failure> {
        let told = self.memory.told();
        if told == Some(liveness) {
            return Ok(());
        }
        tracing::info!(device = %self.device.id, stream = %liveness, "the camera's stream changed");
        let playing = liveness == Liveness::Playing;
        let phase = if playing { Phase::End } else { Phase::Start };
        let code = (!playing).then(|| liveness.as_str().to_owned());
        let event = Event { code, ..Event::bare(EventKind::VideoLoss, phase) };
        let observation = Observation {
            device: self.device.id.clone(),
            stamp: Stamp::new(None, field.clock.now().wall),
            body: Body::Event(event),
            // A stream found playing at the start ends a loss from before it, if there was one.
            retained: playing && told.is_none(),
        };
        deliver(field, &self.bus, vec![Input::Observed(observation)]).await?;
        self.memory.tell(liveness);
        Ok(())
    }
}

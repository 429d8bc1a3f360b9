//! Cameras: ONVIF for what they notice, RTSP for whether they give a picture.
//!
//! One [`Driver`] per camera. `open` reads the clock, the services and the stream's address; the session then pulls
//! events and looks at the stream side by side. A camera without an event service is still watched, and one
//! without a stream still tells its events.

pub mod client;
pub mod operations;
pub mod rtsp;
pub mod session;
pub mod soap;
pub mod still;

#[cfg(test)]
mod tests;

pub use super::http_login::LOGIN_HOLD;
use super::{Driver, DriverKind, Failure, Field, Session};
use crate::config::{Bus, BusKind, Device, Onvif};
use crate::model::{BusId, DeviceId, Fault, Mono};
use client::{CallError, Client};
use futures_util::future::BoxFuture;
use operations as ops;
use rtsp::Liveness;
use session::CameraSession;
use soap::Operation;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use url::Url;

/// Cameras that speak ONVIF.
pub const KIND: DriverKind =
    DriverKind { name: "onvif", doc: "ONVIF cameras: events by PullPoint, picture by RTSP", drivers };

fn drivers(bus: &Bus, devices: &[Device]) -> Vec<Arc<dyn Driver>> {
    let BusKind::Onvif(settings) = &bus.kind else { return Vec::new() };
    devices.iter().map(|d| Arc::new(Camera::new(bus.id.clone(), settings.clone(), d.clone())) as _).collect()
}

/// What outlives a session.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Until when no ONVIF login is tried, monotonic milliseconds; 0 is now.
    login_held: AtomicU64,
    /// The same for RTSP.
    stream_held: AtomicU64,
    /// The last liveness that was told, as its place in [`Liveness::ALL`] plus one; 0 is none.
    stream: AtomicU8,
}

impl Memory {
    fn hold(until: &AtomicU64, now: Mono) {
        until.store(now.plus(LOGIN_HOLD).0, Ordering::Relaxed);
    }

    fn held(until: &AtomicU64, now: Mono) -> bool {
        now < Mono(until.load(Ordering::Relaxed))
    }

    pub(crate) fn hold_login(&self, now: Mono) {
        Self::hold(&self.login_held, now);
    }

    pub(crate) fn hold_stream(&self, now: Mono) {
        Self::hold(&self.stream_held, now);
    }

    pub(crate) fn stream_held(&self, now: Mono) -> bool {
        Self::held(&self.stream_held, now)
    }

    pub(crate) fn told(&self) -> Option<Liveness> {
        let place = usize::from(self.stream.load(Ordering::Relaxed)).checked_sub(1)?;
        Liveness::ALL.get(place).copied()
    }

    pub(crate) fn tell(&self, liveness: Liveness) {
        let place = Liveness::ALL.iter().position(|l| *l == liveness).unwrap_or_default();
        self.stream.store(u8::try_from(place + 1).unwrap_or_default(), Ordering::Relaxed);
    }
}

/// One camera.
#[derive(Debug)]
pub struct Camera {
    bus: BusId,
    settings: Onvif,
    device: Device,
    memory: Arc<Memory>,
}

impl Camera {
    /// The camera at `device.address`, an `http` or `https` URL of its device service.
    #[must_use]
    pub fn new(bus: BusId, settings: Onvif, device: Device) -> Self {
        Self { bus, settings, device, memory: Arc::default() }
    }

    async fn connect(&self, field: &Field) -> Result<CameraSession, Failure> {
        let now = field.clock.now().mono;
        if Memory::held(&self.memory.login_held, now) {
            return Err(Failure::new(
                Fault::Unauthorized,
                "log in: it was refused, and is not tried again for half an hour, so that the camera does not lock the \
                 account",
            ));
        }
        let url = device_url(&self.device)?;
        let requests = field.tally.requests.of(&self.bus);
        let (login, limit) = (self.settings.login.clone(), self.settings.timeout);
        let mut client = Client::new(url, login, limit, Arc::clone(&field.clock), requests)
            .map_err(|e| failure("preparing to speak ONVIF", e))?;
        let found =
            self.look(&mut client).await.map_err(|(doing, error)| self.failed(field, doing, error))?;
        Ok(CameraSession::new(&self.bus, &self.device, &self.settings, &self.memory, client, found))
    }

    /// Asks what the camera is and has. Only a camera that cannot be spoken to, or refuses the login, fails.
    async fn look(&self, client: &mut Client) -> Result<Found, (&'static str, CallError)> {
        let id = &self.device.id;
        let offset_ms = match client.measure_clock().await {
            // Some want a login even for this, and get it unsigned by time; then HTTP Digest is their way in.
            Err(CallError::Unauthorized { .. }) => 0,
            measured => tolerate("GetSystemDateAndTime", measured)?.unwrap_or(0),
        };
        let device = client.device().clone();
        let zero = Duration::ZERO;
        let reply = client.call(ops::GET_DEVICE_INFORMATION, &device, &[], ops::ASK_DEVICE, zero).await;
        let about =
            tolerate("GetDeviceInformation", reply)?.map(|r| ops::device_information(&r)).unwrap_or_default();
        let services = services(client, &device).await?;
        let streams = match media_address(client, &services, &STREAM).await? {
            Some(told) => client::stream_places(&device, &told),
            None => Vec::new(),
        };
        let events = services.events.as_deref().and_then(|told| client.on_camera(told));
        tracing::info!(
            device = %id, manufacturer = about.manufacturer, model = about.model, firmware = about.firmware,
            clock_offset_ms = offset_ms, events = events.is_some(), stream = !streams.is_empty(),
            "the camera answers"
        );
        if events.is_none() && streams.is_empty() {
            return Err((
                "look for services",
                CallError::Missing("both an event service and an RTSP address"),
            ));
        }
        if events.is_none() {
            tracing::warn!(device = %id, "the camera has no event service: only its picture is watched");
        }
        if streams.is_empty() {
            tracing::warn!(device = %id, "the camera gives no RTSP address: its picture is not watched");
        }
        Ok(Found { events, streams })
    }

    fn failed(&self, field: &Field, doing: &'static str, error: CallError) -> Failure {
        if matches!(error, CallError::Unauthorized { .. }) {
            self.memory.hold_login(field.clock.now().mono);
        }
        failure(doing, error)
    }
}

/// The URL of a camera's device service.
fn device_url(device: &Device) -> Result<Url, Failure> {
    let wrong = |cause| Failure {
        fault: Fault::Misconfigured,
        doing: format!(
            "reading the camera's address: expected the URL of its device service, as in \
             http://192.168.1.64/onvif/device_service (device {})",
            device.id
        ),
        cause,
    };
    let url = Url::parse(&device.address).map_err(|e| wrong(Some(Box::new(e) as _)))?;
    let fits = matches!(url.scheme(), "http" | "https") && url.host().is_some();
    if fits { Ok(url) } else { Err(wrong(None)) }
}

/// What a camera has that can be used.
#[derive(Debug)]
pub(crate) struct Found {
    /// Where its event service is.
    pub(crate) events: Option<Url>,
    /// Where its stream may be, likeliest first.
    pub(crate) streams: Vec<Url>,
}

pub(crate) fn failure(doing: &'static str, error: CallError) -> Failure {
    Failure { fault: error.fault(), doing: doing.into(), cause: Some(Box::new(error)) }
}

/// A camera that will not or cannot do one thing can still do others.
fn tolerate<T>(
    doing: &'static str,
    result: Result<T, CallError>,
) -> Result<Option<T>, (&'static str, CallError)> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(CallError::Refused(_) | CallError::Missing(_)) => Ok(None),
        Err(error) => Err((doing, error)),
    }
}

/// `GetServices`, and where that is unknown or silent about events, the older `GetCapabilities`.
async fn services(client: &mut Client, device: &Url) -> Result<ops::Services, (&'static str, CallError)> {
    let mut services = ops::Services::default();
    let zero = Duration::ZERO;
    let reply = client.call(ops::GET_SERVICES, device, &[], ops::ASK_SERVICES, zero).await;
    if let Some(reply) = tolerate("GetServices", reply)? {
        services.add_services(&reply);
    }
    if services.events.is_none() || services.media.is_none() {
        let reply = client.call(ops::GET_CAPABILITIES, device, &[], ops::ASK_CAPABILITIES, zero).await;
        if let Some(reply) = tolerate("GetCapabilities", reply)? {
            services.add_capabilities(&reply);
        }
    }
    Ok(services)
}

/// An address that Media and Media2 tell of a profile: how each is asked.
struct Wanted {
    media: (Operation, fn(&str) -> String),
    media2: (Operation, fn(&str) -> String),
}

const STREAM: Wanted = Wanted {
    media: (ops::GET_STREAM_URI, ops::ask_stream),
    media2: (ops::GET_STREAM_URI_2, ops::ask_stream_2),
};
const STILL: Wanted = Wanted {
    media: (ops::GET_SNAPSHOT_URI, ops::ask_snapshot),
    media2: (ops::GET_SNAPSHOT_URI_2, ops::ask_snapshot_2),
};

/// The address of the first profile with video, by Media, else by Media2.
async fn media_address(
    client: &mut Client,
    services: &ops::Services,
    wanted: &Wanted,
) -> Result<Option<String>, (&'static str, CallError)> {
    for (told, (profiles, ask_profiles), (operation, ask)) in [
        (&services.media, (ops::GET_PROFILES, ops::ASK_PROFILES), wanted.media),
        (&services.media2, (ops::GET_PROFILES_2, ops::ASK_PROFILES_2), wanted.media2),
    ] {
        let Some(media) = told.as_deref().and_then(|told| client.on_camera(told)) else { continue };
        let reply = client.call(profiles, &media, &[], ask_profiles, Duration::ZERO).await;
        let profiles = tolerate(profiles.name, reply)?;
        let Some(profile) = profiles.as_ref().and_then(ops::video_profile) else { continue };
        let reply = client.call(operation, &media, &[], &ask(profile), Duration::ZERO).await;
        if let Some(uri) = tolerate(operation.name, reply)?.as_ref().and_then(ops::media_uri) {
            return Ok(Some(uri.to_owned()));
        }
    }
    Ok(None)
}

impl Driver for Camera {
    fn bus(&self) -> &BusId {
        &self.bus
    }

    fn devices(&self) -> Vec<DeviceId> {
        vec![self.device.id.clone()]
    }

    fn open<'a>(&'a self, field: &'a Field) -> BoxFuture<'a, Result<Box<dyn Session>, Failure>> {
        Box::pin(async move { self.connect(field).await.map(|s| Box::new(s) as Box<dyn Session>) })
    }
}

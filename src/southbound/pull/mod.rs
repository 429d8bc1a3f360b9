//! Streams of events that are pulled: Hikvision's `alertStream` and Dahua's `eventManager`, one endless answer for each
//! device. After every connection a terminal is asked for the passes that it kept meanwhile.

mod form;
mod session;

use super::http_login::LoginHold;
use super::noticed::standing::Standing;
use super::noticed::web::Web;
use super::noticed::{Roll, without_part};
use super::{Driver, DriverKind, Failure, Field, Session};
use crate::config::{Bus, BusKind, Device, Stream};
use crate::model::{BusId, DeviceId, EventKind, Fault, Wall};
use crate::notice::parts;
use form::Form;
use futures_util::future::BoxFuture;
use session::StreamSession;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use url::Url;

/// Hikvision's streams.
pub const ISAPI: DriverKind = DriverKind {
    name: "isapi",
    doc: "Hikvision cameras, recorders and access terminals: their alert stream is pulled",
    drivers: isapi,
};

/// Dahua's streams.
pub const DAHUA: DriverKind = DriverKind {
    name: "dahua",
    doc: "Dahua cameras and recorders: their event stream is pulled",
    drivers: dahua,
};

/// A terminal's times are whole seconds and its clock is not quite ours: a little more is asked for. Milliseconds.
const MARGIN_MS: i64 = 60_000;

fn isapi(bus: &Bus, devices: &[Device]) -> Vec<Arc<dyn Driver>> {
    let BusKind::Isapi(stream) = &bus.kind else { return Vec::new() };
    drivers(bus, devices, stream, Form::Isapi)
}

fn dahua(bus: &Bus, devices: &[Device]) -> Vec<Arc<dyn Driver>> {
    let BusKind::Dahua(stream) = &bus.kind else { return Vec::new() };
    drivers(bus, devices, stream, Form::Dahua)
}

/// One driver for each base URL: the parts of a device share its stream.
fn drivers(bus: &Bus, devices: &[Device], stream: &Stream, form: Form) -> Vec<Arc<dyn Driver>> {
    let mut sources: BTreeMap<&str, Vec<Device>> = BTreeMap::new();
    for device in devices.iter().filter(|device| device.bus == bus.id) {
        sources.entry(without_part(&device.address)).or_default().push(device.clone());
    }
    let drivers = sources.into_iter().map(|(address, devices)| {
        let passes = devices.iter().any(|device| device.profile.events.contains(&EventKind::Credential));
        let memory = Memory { standing: Standing::new(stream.end_after), heard: None };
        let source = Source {
            address: address.to_owned(),
            stream: stream.clone(),
            form,
            passes: passes && form == Form::Isapi && !stream.back_fill.is_zero(),
            roll: Roll::new(&bus.id, devices),
            hold: Arc::default(),
            memory: Mutex::new(memory),
        };
        Arc::new(StreamDriver(Arc::new(source))) as Arc<dyn Driver>
    });
    drivers.collect()
}

/// One device with a stream.
struct Source {
    /// Its base URL, as devices on it write it.
    address: String,
    stream: Stream,
    form: Form,
    /// Whether it keeps passes that it can be asked for.
    passes: bool,
    roll: Roll,
    hold: Arc<LoginHold>,
    memory: Mutex<Memory>,
}

/// What outlives a session.
struct Memory {
    standing: Standing,
    /// The time of the last pass, by the device's clock where it told one: what is later is asked for.
    heard: Option<Wall>,
}

impl Source {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct StreamDriver(Arc<Source>);

impl Driver for StreamDriver {
    fn bus(&self) -> &BusId {
        &self.0.roll.bus
    }

    fn devices(&self) -> Vec<DeviceId> {
        self.0.roll.ids()
    }

    fn open<'a>(&'a self, field: &'a Field) -> BoxFuture<'a, Result<Box<dyn Session>, Failure>> {
        Box::pin(
            async move { self.connect(field).await.map(|session| Box::new(session) as Box<dyn Session>) },
        )
    }
}

impl StreamDriver {
    async fn connect(&self, field: &Field) -> Result<StreamSession, Failure> {
        let source = Arc::clone(&self.0);
        let Source { address, stream, form, .. } = &*source;
        let base = Url::parse(address).map_err(|error| {
            let doing =
                format!("reading the address '{address}': expected a URL such as http://192.168.1.64");
            Failure::new(Fault::Misconfigured, doing).because(error)
        })?;
        let doing = || format!("opening the stream of events of {address}");
        let requests = field.tally.requests.of(&source.roll.bus);
        let hold = Arc::clone(&source.hold);
        let mut web = Web::new(base, stream.login.clone(), stream.timeout, hold, requests)
            .map_err(|error| error.doing(doing()))?;
        let path = form.path(stream.heartbeat);
        let now = field.clock.now().mono;
        let answer =
            web.ask(reqwest::Method::GET, &path, None, now).await.map_err(|error| error.doing(doing()))?;
        let content_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        let Some(boundary) = content_type.and_then(parts::boundary) else {
            let doing = format!("{}: expected multipart/mixed with a boundary", doing());
            return Err(Failure::new(Fault::Protocol, doing));
        };
        source.memory().standing.heard_again(now);
        Ok(StreamSession::new(source, web, answer, &boundary))
    }
}

//! The field: drivers turn wires into samples, profiles turn samples into observations.
//!
//! A [`Driver`] knows one connection. It opens a [`Session`], and the session runs until it fails; neither retries,
//! sleeps after a failure or logs it: [`supervise()`] does, once, for all.

mod http_login;
pub mod listener;
pub mod modbus;
pub mod mqtt;
mod noticed;
pub mod onvif;
pub mod panel;
pub mod polled;
pub mod pull;
pub mod push;
pub mod serial;
pub mod supervise;
pub mod survey;
#[cfg(test)]
mod testing;

pub use supervise::supervise;

use crate::config::{Bus, Device, Site};
use crate::model::{Body, BusId, DeviceId, Fault, Input, Link, Observation, SiteKey, Stamp, Wall};
use crate::profile::Context;
use crate::runtime::{Clock, Inlet, Tally};
use futures_util::future::BoxFuture;
use polled::CommandBook;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What every session is given.
#[derive(Clone)]
pub struct Field {
    /// The way into the pipe.
    pub inlet: Inlet,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The counters.
    pub tally: Arc<Tally>,
    /// For pseudonyms.
    pub site_key: SiteKey,
    /// The school: its zone for device times.
    pub site: Arc<Site>,
    /// The ways to devices for those who command them.
    pub commands: CommandBook,
    /// Whether values of a person's health may be taken.
    pub allow_health: bool,
}

impl Field {
    /// What decoding a device's sample needs to know.
    #[must_use]
    pub fn context<'a>(&'a self, device: &'a DeviceId, now: Wall) -> Context<'a> {
        Context {
            device,
            now,
            site_key: &self.site_key,
            zone: &self.site.zone,
            allow_health: self.allow_health,
            withheld: Some(self.tally.withheld_health.number()),
        }
    }
}

/// Why a session ended or could not begin.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct Failure {
    /// What kind of failure, for code and for the technician's advice.
    pub fault: Fault,
    /// What was being done, with the address and what was expected.
    pub doing: String,
    /// What caused it.
    #[source]
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    /// A failure with no error behind it.
    pub fn new(fault: Fault, doing: impl Into<String>) -> Self {
        Self { fault, doing: doing.into(), cause: None }
    }

    /// The same failure, caused by `error`.
    #[must_use]
    pub fn because(mut self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(error.into());
        self
    }
}

/// One connection to the field.
pub trait Driver: Send + Sync {
    /// The bus it belongs to.
    fn bus(&self) -> &BusId;
    /// The devices behind this connection.
    fn devices(&self) -> Vec<DeviceId>;
    /// Connects.
    fn open<'a>(&'a self, field: &'a Field) -> BoxFuture<'a, Result<Box<dyn Session>, Failure>>;
}

/// An open connection.
pub trait Session: Send {
    /// Works until it fails. Dropping the future closes the connection.
    fn run<'a>(&'a mut self, field: &'a Field) -> BoxFuture<'a, Failure>;
    /// Whether anything of use came through since it was opened: if so, the next try comes soon.
    fn delivered(&self) -> bool {
        false
    }
}

/// Which devices answer, as last told to the pipe; tells it again only when that changes.
#[derive(Debug, Default)]
pub struct Links(BTreeMap<DeviceId, Link>);

impl Links {
    /// How a device is, as last noted.
    #[must_use]
    pub fn get(&self, device: &DeviceId) -> Option<Link> {
        self.0.get(device).copied()
    }

    /// Notes how a device is; `Some` input to put into the pipe when that is news.
    #[must_use]
    pub fn set(&mut self, device: &DeviceId, link: Link, now: Wall) -> Option<Input> {
        if self.0.get(device) == Some(&link) {
            return None;
        }
        self.0.insert(device.clone(), link);
        Some(link_input(device, link, now))
    }
}

/// The observation that a device answers or not.
#[must_use]
pub fn link_input(device: &DeviceId, link: Link, now: Wall) -> Input {
    Input::Observed(Observation {
        device: device.clone(),
        stamp: Stamp::new(None, now),
        body: Body::Link(link),
        retained: false,
    })
}

/// One kind of bus.
pub struct DriverKind {
    /// The word written as `kind` in the configuration.
    pub name: &'static str,
    /// What it is, in one line.
    pub doc: &'static str,
    /// The drivers for a bus and the devices on it; none for a bus of another kind or without devices.
    pub drivers: MakeDrivers,
}

/// Makes the drivers for a bus and the devices on it.
pub type MakeDrivers = fn(&Bus, &[Device]) -> Vec<Arc<dyn Driver>>;

/// Every kind of bus there is. A new one is a folder here and a line in this table.
pub static DRIVER_KINDS: &[DriverKind] = &[
    modbus::KIND,
    serial::KIND,
    mqtt::KIND,
    listener::KIND,
    onvif::KIND,
    push::KIND,
    pull::ISAPI,
    pull::DAHUA,
    panel::FIRE,
    panel::INTRUSION,
];

/// The drivers for a bus and the devices on it, of whatever kind the bus is.
#[must_use]
pub fn drivers(bus: &Bus, devices: &[Device]) -> Vec<Arc<dyn Driver>> {
    DRIVER_KINDS.iter().flat_map(|kind| (kind.drivers)(bus, devices)).collect()
}

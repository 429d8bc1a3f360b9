//! The field: drivers turn wires into samples, profiles turn samples into observations.
//!
//! A [`Driver`] knows one connection. It opens a [`Session`], and the session runs until it fails; neither retries,
//! sleeps after a failure or logs it: [`supervise()`] does, once, for all.

use crate::config::{Bus, Device, Site};
use crate::model::{BusId, DeviceId, Fault, SiteKey};
use crate::runtime::{Clock, Inlet, Tally};
use futures_util::future::BoxFuture;
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
    pub site: Site,
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
}

/// One kind of bus.
pub struct DriverKind {
    /// The word written as `kind` in the configuration.
    pub name: &'static str,
    /// What it is, in one line.
    pub doc: &'static str,
    /// The drivers for a bus and the devices on it.
    pub drivers: fn(&Bus, &[Device]) -> Vec<Arc<dyn Driver>>,
}

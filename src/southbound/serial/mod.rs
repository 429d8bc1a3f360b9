//! Shared serial lines: RS-485 behind a serial port, or behind a converter that passes bytes on over TCP.
//!
//! A line carries Modbus RTU, DL/T 645 and CJ/T 188, mixed if the school wired it so. It has one owner and one request
//! at a time.

mod channel;
pub mod cjt188;
pub mod codec;
pub mod dlt645;
pub mod line;
pub mod rtu;
pub(super) mod wire;

use super::polled::{Channel, Poller, ReadError};
use super::{Driver, DriverKind, Failure, Field, Session};
use crate::config::{Bus, BusKind, Device, Serial};
use crate::model::{BusId, DeviceId};
use channel::SerialChannel;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// The kind `serial`.
pub const KIND: DriverKind = DriverKind {
    name: "serial",
    doc: "An RS-485 line, on a serial port or behind a transparent converter: Modbus RTU, DL/T 645, CJ/T 188.",
    drivers,
};

fn drivers(bus: &Bus, devices: &[Device]) -> Vec<Arc<dyn Driver>> {
    let BusKind::Serial(settings) = &bus.kind else { return Vec::new() };
    let devices: Vec<Device> = devices.iter().filter(|device| device.bus == bus.id).cloned().collect();
    if devices.is_empty() {
        return Vec::new();
    }
    vec![Arc::new(SharedLine { bus: bus.id.clone(), settings: settings.clone(), devices })]
}

/// One line and the devices on it.
#[derive(Debug)]
struct SharedLine {
    bus: BusId,
    settings: Serial,
    devices: Vec<Device>,
}

impl Driver for SharedLine {
    fn bus(&self) -> &BusId {
        &self.bus
    }

    fn devices(&self) -> Vec<DeviceId> {
        self.devices.iter().map(|device| device.id.clone()).collect()
    }

    fn open<'a>(&'a self, field: &'a Field) -> BoxFuture<'a, Result<Box<dyn Session>, Failure>> {
        Box::pin(async move {
            let channel = SerialChannel::open(self.settings.clone()).await.map_err(|error| {
                Failure::new(error.fault(), format!("open bus '{}', a serial line", self.bus)).because(error)
            })?;
            let Serial { timeout, gap, .. } = self.settings;
            let poller = Poller::new(&self.bus, Box::new(channel), timeout, gap, &self.devices, field);
            Ok(Box::new(poller) as Box<dyn Session>)
        })
    }
}

/// Opens a serial line.
///
/// # Errors
/// [`ReadError::Connect`].
pub async fn open(settings: Serial) -> Result<Box<dyn Channel>, ReadError> {
    Ok(Box::new(SerialChannel::open(settings).await?))
}

#[cfg(test)]
mod tests;

//! The driver of a polled bus: opens its channel and puts a poll loop on it.

use super::{Channel, Poller, ReadError};
use crate::config::{Bus, BusKind, Device, ModbusTcp, Serial};
use crate::model::{BusId, DeviceId};
use crate::southbound::modbus::Connection;
use crate::southbound::{Driver, Failure, Field, Session, serial};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// The driver for a polled bus and the devices on it; none for a bus of another kind or without devices.
pub(in crate::southbound) fn drivers(bus: &Bus, devices: &[Device]) -> Vec<Arc<dyn Driver>> {
    let line = match &bus.kind {
        BusKind::ModbusTcp(endpoint) => Line::Tcp(endpoint.clone()),
        BusKind::Serial(settings) => Line::Serial(settings.clone()),
        _ => return Vec::new(),
    };
    let devices: Box<[Device]> = devices.iter().filter(|device| device.bus == bus.id).cloned().collect();
    if devices.is_empty() {
        return Vec::new();
    }
    vec![Arc::new(PolledBus { bus: bus.id.clone(), line, devices })]
}

/// What carries the requests.
#[derive(Debug)]
enum Line {
    Tcp(ModbusTcp),
    Serial(Serial),
}

impl Line {
    async fn open(&self) -> Result<Box<dyn Channel>, ReadError> {
        match self {
            Self::Tcp(ModbusTcp { host, port, timeout, .. }) => {
                Ok(Box::new(Connection::connect(host, *port, *timeout).await?))
            }
            Self::Serial(settings) => serial::open(settings.clone()).await,
        }
    }

    /// Its name, the longest wait for an answer, and the least pause after one.
    fn manners(&self) -> (&'static str, Duration, Duration) {
        match self {
            Self::Tcp(ModbusTcp { timeout, gap, .. }) => ("Modbus TCP", *timeout, *gap),
            Self::Serial(Serial { timeout, gap, .. }) => ("a serial line", *timeout, *gap),
        }
    }
}

/// One connection and the devices behind it.
#[derive(Debug)]
struct PolledBus {
    bus: BusId,
    line: Line,
    devices: Box<[Device]>,
}

impl Driver for PolledBus {
    fn bus(&self) -> &BusId {
        &self.bus
    }

    fn devices(&self) -> Vec<DeviceId> {
        self.devices.iter().map(|device| device.id.clone()).collect()
    }

    fn open<'a>(&'a self, field: &'a Field) -> BoxFuture<'a, Result<Box<dyn Session>, Failure>> {
        Box::pin(async move {
            let (kind, timeout, gap) = self.line.manners();
            let channel = self.line.open().await.map_err(|error| {
                Failure::new(error.fault(), format!("connect bus '{}' by {kind}", self.bus)).because(error)
            })?;
            Ok(Box::new(Poller::new(&self.bus, channel, timeout, gap, &self.devices, field))
                as Box<dyn Session>)
        })
    }
}

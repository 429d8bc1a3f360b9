//! Modbus TCP: register reads from meters and from converters with several units behind them.
//!
//! One bus is one endpoint, one connection and one owner; its devices take turns, one request at a time. The client is
//! our own (see `docs/adr/0004-own-modbus-tcp-client.md`): a late reply must never become a wrong value.

mod connection;
pub mod frame;
pub mod pdu;

pub use connection::Connection;

use super::polled::Poller;
use super::{Driver, DriverKind, Failure, Field, Session};
use crate::config::{Bus, BusKind, Device, ModbusTcp};
use crate::model::{BusId, DeviceId};
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// The kind `modbus-tcp`.
pub const KIND: DriverKind = DriverKind {
    name: "modbus-tcp",
    doc: "One Modbus TCP endpoint: a meter, or a converter with several units behind it.",
    drivers,
};

fn drivers(bus: &Bus, devices: &[Device]) -> Vec<Arc<dyn Driver>> {
    let BusKind::ModbusTcp(endpoint) = &bus.kind else { return Vec::new() };
    let devices: Vec<Device> = devices.iter().filter(|device| device.bus == bus.id).cloned().collect();
    if devices.is_empty() {
        return Vec::new();
    }
    vec![Arc::new(Endpoint { bus: bus.id.clone(), endpoint: endpoint.clone(), devices })]
}

/// One Modbus TCP endpoint and the devices behind it.
#[derive(Debug)]
struct Endpoint {
    bus: BusId,
    endpoint: ModbusTcp,
    devices: Vec<Device>,
}

impl Driver for Endpoint {
    fn bus(&self) -> &BusId {
        &self.bus
    }

    fn devices(&self) -> Vec<DeviceId> {
        self.devices.iter().map(|device| device.id.clone()).collect()
    }

    fn open<'a>(&'a self, field: &'a Field) -> BoxFuture<'a, Result<Box<dyn Session>, Failure>> {
        Box::pin(async move {
            let ModbusTcp { host, port, timeout, gap } = &self.endpoint;
            let connection = Connection::connect(host, *port, *timeout).await.map_err(|error| {
                Failure::new(error.fault(), format!("connect bus '{}' by Modbus TCP", self.bus))
                    .because(error)
            })?;
            let poller = Poller::new(&self.bus, Box::new(connection), *timeout, *gap, &self.devices, field);
            Ok(Box::new(poller) as Box<dyn Session>)
        })
    }
}

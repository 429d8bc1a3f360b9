//! Modbus TCP: register reads from meters and from converters with several units behind them.
//!
//! One bus is one endpoint, one connection and one owner; its devices take turns, one request at a time. The client is
//! our own (see `docs/adr/0004-own-modbus-tcp-client.md`): a late reply must never become a wrong value.

mod connection;
pub mod frame;
pub mod pdu;

pub use connection::Connection;

use super::{DriverKind, polled};
use crate::config::BusKind;

/// The kind `modbus-tcp`.
pub const KIND: DriverKind = DriverKind {
    name: "modbus-tcp",
    doc: "One Modbus TCP endpoint: a meter, or a converter with several units behind it.",
    drivers: |bus, devices| match &bus.kind {
        BusKind::ModbusTcp(_) => polled::drivers(bus, devices),
        _ => Vec::new(),
    },
};

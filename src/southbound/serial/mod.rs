//! Shared serial lines: RS-485 behind a serial port, or behind a converter that passes bytes on over TCP.
//!
//! A line carries Modbus RTU, DL/T 645 and CJ/T 188, mixed if the school wired it so. It has one owner and one request
//! at a time.

mod channel;
pub mod cjt188;
pub mod codec;
pub mod dlt645;
pub mod line;
mod plate;
pub mod rtu;
pub(super) mod wire;

pub use plate::{BadPlate, Plate};

use super::DriverKind;
use super::polled::{self, Channel, ReadError};
use crate::config::{BusKind, Serial};
use channel::SerialChannel;

/// The kind `serial`.
pub const KIND: DriverKind = DriverKind {
    name: "serial",
    doc: "An RS-485 line, on a serial port or behind a transparent converter: Modbus RTU, DL/T 645, CJ/T 188.",
    drivers: |bus, devices| match &bus.kind {
        BusKind::Serial(_) => polled::drivers(bus, devices),
        _ => Vec::new(),
    },
};

/// Opens a serial line.
///
/// # Errors
/// [`ReadError::Connect`].
pub async fn open(settings: Serial) -> Result<Box<dyn Channel>, ReadError> {
    Ok(Box::new(SerialChannel::open(settings).await?))
}

#[cfg(test)]
mod tests;

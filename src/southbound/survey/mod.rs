//! Looking at a field that is not known yet: who answers on a line or in a network, what it looks like, what it says
//! byte by byte. For the technician's tools; the gateway itself polls (`polled`) and never scans.

pub mod capture;
mod heard;
pub mod likely;
pub mod network;
pub mod plates;
pub mod replay;
pub mod sketch;
mod sweep;

pub use heard::Reply;
pub use sweep::{Step, Sweep};

use crate::config::Serial;
use crate::southbound::polled::ReadError;
use crate::southbound::serial::line::Wire;
use crate::southbound::serial::wire;

/// Opens the bytes of a line, for a scan; a serial port is locked while it lives.
///
/// # Errors
/// [`ReadError::Connect`].
pub async fn open(settings: &Serial) -> Result<Box<dyn Wire>, ReadError> {
    wire::open(settings).await
}

#[cfg(test)]
mod tests;

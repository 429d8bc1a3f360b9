//! Shared serial lines: RS-485 behind a serial port, or behind a converter that passes bytes on over TCP.
//!
//! A line carries Modbus RTU, DL/T 645 and CJ/T 188, mixed if the school wired it so. It has one owner and one request
//! at a time.

pub mod cjt188;
pub mod codec;
pub mod dlt645;
pub mod line;
pub mod rtu;

#[cfg(test)]
mod tests;

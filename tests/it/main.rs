//! Integration tests: one binary, one module per counterpart or property.
#![cfg(test)]
#![expect(
    clippy::cast_precision_loss,
    clippy::string_slice,
    reason = "in a test, a wrong number or a cut letter is a failed test"
)]

mod api;
mod camera;
mod config;
mod daemon;
mod dependencies;
mod kill;
mod layering;
mod metrics;
mod modbus;
mod mosquitto;
mod mqtt;
mod north;
mod payloads;
mod profiles;
mod sim;
mod trouble;
mod unit_file;

//! Integration tests: one binary, one module per counterpart or property.
#![cfg(test)]
#![expect(clippy::cast_precision_loss, reason = "in a test, a wrong number is a failed test")]

mod api;
mod camera;
mod config;
mod daemon;
mod db;
mod dependencies;
mod install;
mod kill;
mod layering;
mod metrics;
mod modbus;
mod mosquitto;
mod mqtt;
mod north;
mod payloads;
mod pipe;
mod profiles;
mod sim;
mod unit_file;

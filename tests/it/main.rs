//! Integration tests: one binary, one module per counterpart or property.
#![cfg(test)]

mod camera;
mod config;
mod modbus;
#[cfg(test)]
mod api;
mod camera;
mod config;
#[cfg(test)]
mod daemon;
mod dependencies;
#[cfg(test)]
mod layering;
#[cfg(test)]
mod mosquitto;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod metrics;
mod modbus;
#[cfg(test)]
mod mosquitto;
mod mqtt;
mod north;
#[cfg(test)]
mod payloads;
mod profiles;
mod sim;
mod modbus;
#[cfg(test)]
mod unit_file;

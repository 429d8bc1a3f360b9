//! Integration tests: one binary, one module per counterpart or property.
#![cfg(test)]
#![expect(clippy::cast_precision_loss, reason = "in a test, a wrong number is a failed test")]

mod api;
mod book;
mod camera;
mod campus;
mod capture;
mod config;
mod control;
mod crash_states;
mod daemon;
mod db;
mod dependencies;
mod discover;
mod drill;
mod escalation;
mod faults;
mod fleet;
mod fuzz;
mod heard;
mod install;
mod io_faults;
mod kill;
mod layering;
mod libmodbus;
mod listener;
mod meters;
mod metrics;
mod modbus;
mod mosquitto;
mod mqtt;
#[cfg(feature = "museum")]
mod museum;
mod newcomer;
mod north;
mod notify;
mod oracle;
mod panel;
mod payloads;
mod people;
mod pipe;
mod power_cut;
mod privacy;
mod profiles;
mod pull;
mod push;
mod pymodbus;
mod report;
mod rig;
mod rules;
mod script;
mod sim;
mod streams;
mod torture;
mod trouble;
mod unit_file;

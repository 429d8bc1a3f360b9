//! Integration tests: one binary, one module per counterpart or property.
#![cfg(test)]

mod camera;
mod config;
mod modbus;
mod mosquitto;
mod mqtt;
mod north;
mod profiles;
mod sim;

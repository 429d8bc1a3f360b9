//! Integration tests: one binary, one module per counterpart or property.

mod camera;
#[cfg(test)]
mod config;
#[cfg(test)]
mod dependencies;
#[cfg(test)]
mod layering;
#[cfg(test)]
mod mosquitto;
#[cfg(test)]
mod mqtt;
mod north;
mod profiles;
mod modbus;
#[cfg(test)]
mod unit_file;

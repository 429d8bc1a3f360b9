//! Integration tests: one binary, one module per counterpart or property.

mod camera;
mod config;
mod mosquitto;
mod mqtt;
mod north;
mod profiles;

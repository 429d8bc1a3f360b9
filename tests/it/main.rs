//! Integration tests: one binary, one module per counterpart or property.

mod config;
mod mosquitto;
mod mqtt;
mod camera;
mod north;

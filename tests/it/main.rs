//! Integration tests: one binary, one module per counterpart or property.

#[cfg(test)]
mod mosquitto;
#[cfg(test)]
mod mqtt;
mod profiles;

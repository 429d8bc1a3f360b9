//! Integration tests: one binary, one module per counterpart or property.

#[cfg(test)]
mod config;
mod profiles;

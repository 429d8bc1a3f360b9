//! Schoolgate (校门): the daemon on a school's edge box.
//!
//! The modules are rooms, listed from the ground up; a module uses only those above it in this list
//! (`tests/it/layering.rs` keeps it so). The pure rooms know no tokio, no files, no clock and no database.

// pure
pub mod aggregate;
pub mod alarm;
pub mod calendar;
pub mod config;
pub mod document;
pub mod model;
pub mod pipeline;
pub mod profile;
pub mod rules;
// edges
pub mod console;
pub mod northbound;
pub mod ops;
pub mod runtime;
pub mod southbound;
pub mod store;
// composition
pub mod cli;
pub mod gateway;

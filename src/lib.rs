//! Schoolgate (校门): the daemon on a school's edge box.
//!
//! The modules are rooms, listed from the ground up; a module uses only those above it in this list
//! (`tests/it/layering.rs` keeps it so). The pure rooms know no tokio, no files, no clock and no database.
//! Each stands under a line of its own, because `cargo fmt` sorts modules that stand together.

// pure: deliberate faults for the tests; in a release none
pub mod museum;
// pure: the words
pub mod model;
// pure: reading TOML that a person wrote
pub mod document;
// pure: what terminals, recorders and panels send, read from its own form
pub mod notice;
// pure: what a device's words mean
pub mod profile;
// pure: when there is teaching
pub mod calendar;
// pure: what is worth an alarm
pub mod rules;
// pure: the lives of alarms
pub mod alarm;
// pure: who is where, and who is missing
pub mod campus;
// pure: roll-ups
pub mod aggregate;
// pure: the step from what arrived to one commit
pub mod pipeline;
// pure: what may be switched, and what counts as done
pub mod control;
// pure: lockdown, evacuation and their like: two steps to begin, a second person to end
pub mod response;
// pure: what is handed over at the end of a shift
pub mod report;
// pure: who may do what
pub mod access;
// pure: what a school wrote, and what it means
pub mod config;
// pure: rules on trial, on written cases and on the past
pub mod trial;

// edge: clocks, tasks, lanes, the service manager
pub mod runtime;
// edge: the database
pub mod store;
// edge: devices
pub mod southbound;
// edge: telling people
pub mod notify;
// edge: pictures of what an alarm is about
pub mod capture;
// edge: platforms
pub mod northbound;
// edge: what takes time: scans, a device on the spot, rules on the past
pub mod work;
// edge: the API
pub mod console;
// edge: metrics and health
pub mod ops;

// composition: builds and joins the tasks
pub mod gateway;
// composition: the command line
pub mod cli;

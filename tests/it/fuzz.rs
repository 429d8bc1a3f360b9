//! Whatever bytes come from outside: no decoder panics, hangs, or makes a value of what is no whole and right frame.
//!
//! `cargo test fuzz` tries some tens of thousands of inputs for each decoder, the same ones every time, after those that
//! are kept in `tests/golden/fuzz`. `make fuzz` goes on for FUZZ_SECS per decoder from a seed of its own (FUZZ_SEED says
//! which) and adds what made a decoder do something new to the kept ones.

#![expect(clippy::cast_possible_truncation, reason = "what is made here is meant to be any bytes")]

mod engine;
mod frames;
mod notices;
mod profiles;
mod tcp;
mod verdicts;

use engine::fuzz;

#[test]
fn modbus_rtu() {
    fuzz(frames::rtu());
}

#[test]
fn mbap() {
    fuzz(frames::mbap());
}

#[test]
fn dlt645() {
    fuzz(frames::dlt645());
}

#[test]
fn cjt188() {
    fuzz(frames::cjt188());
}

#[test]
fn modbus_tcp() {
    fuzz(tcp::modbus_tcp());
}

#[test]
fn registers() {
    fuzz(profiles::registers());
}

#[test]
fn digits() {
    fuzz(profiles::digits());
}

#[test]
fn messages() {
    fuzz(profiles::messages());
}

#[test]
fn notifications() {
    fuzz(profiles::notifications());
}

#[test]
fn captures() {
    fuzz(profiles::captures());
}

#[test]
fn profile_files() {
    fuzz(profiles::files());
}

#[test]
fn isapi() {
    fuzz(notices::isapi());
}

#[test]
fn parts() {
    fuzz(notices::parts());
}

#[test]
fn dahua() {
    fuzz(notices::dahua());
}

#[test]
fn zkteco() {
    fuzz(notices::zkteco());
}

#[test]
fn gb26875() {
    fuzz(notices::gb26875());
}

#[test]
fn contact_id() {
    fuzz(notices::contact_id());
}

#[test]
fn replies() {
    fuzz(notices::replies());
}

#[test]
fn verdicts() {
    fuzz(verdicts::verdicts());
}

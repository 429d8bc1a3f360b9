//! The systemd unit: it is understood whole, it locks the daemon in, and its numbers are those of the code.

use crate::rig::root;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Highest exposure that passes, in tenths: systemd rates from 0 (locked in) to 100 (as exposed as can be).
const MAX_EXPOSURE: &str = "20";

fn unit() -> PathBuf {
    root().join("systemd/schoolgate.service")
}

fn text() -> String {
    std::fs::read_to_string(unit()).expect("the unit file")
}

/// The unit with other text and the program that was built here, under its own name in a directory of its own.
fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("schoolgate.service");
    std::fs::write(&path, text.replace("/usr/bin/schoolgate", env!("CARGO_BIN_EXE_schoolgate")))
        .expect("the unit");
    (directory, path)
}

fn analyze(arguments: &[&str], unit: &Path) -> Output {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).arg(unit).env("SYSTEMD_COLORS", "0").output().unwrap_or_else(|error| {
        panic!("systemd-analyze cannot be run ({error}); install it: apt-get install systemd")
    })
}

fn exposure(unit: &Path) -> Output {
    analyze(&["security", "--offline=true", &format!("--threshold={MAX_EXPOSURE}"), "--no-pager"], unit)
}

/// What systemd does not understand of a unit; other units of the machine do not matter.
fn not_understood(unit: &Path) -> Vec<String> {
    let output = analyze(&["verify", "--man=no"], unit);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    told.lines().filter(|line| line.contains("schoolgate")).map(str::to_owned).collect()
}

/// The value of a key that stands once.
fn value(key: &str) -> String {
    let text = text();
    let values: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect();
    assert_eq!(values.len(), 1, "{key} stands once: {values:?}");
    values[0].to_owned()
}

#[test]
fn the_daemon_is_locked_in() {
    let output = exposure(&unit());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_unit_that_locks_nothing_in_is_found_out() {
    let open: String = text()
        .lines()
        .filter(|line| {
            !["Protect", "Restrict", "Private", "Capability", "SystemCall"]
                .iter()
                .any(|k| line.starts_with(k))
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let (_directory, path) = written(&open);
    assert!(!exposure(&path).status.success(), "systemd-analyze lets an open unit pass");
}

#[test]
fn systemd_understands_every_line() {
    let (_directory, path) = written(&text());
    assert_eq!(not_understood(&path), Vec::<String>::new());
}

#[test]
fn a_misspelt_line_and_a_missing_program_are_found_out() {
    let (_directory, path) = written(&text().replace("WatchdogSec=", "WatchdogSecs="));
    assert!(not_understood(&path).iter().any(|line| line.contains("WatchdogSecs")));
    let (_directory, path) = written(&text().replace("/usr/bin/schoolgate", "/nowhere/schoolgate"));
    assert!(not_understood(&path).iter().any(|line| line.contains("/nowhere/schoolgate")));
}

#[test]
fn its_values_are_those_of_the_code() {
    assert_eq!(value("Type"), "notify");
    let stop_secs: u64 = value("TimeoutStopSec").parse().expect("seconds");
    assert!(stop_secs > schoolgate::gateway::STOP_LIMIT.as_secs(), "a clean stop may take its time");
    assert_eq!(value("RestartPreventExitStatus"), "64", "a wrong configuration, see the command line");
    // The two defaults of the configuration manual.
    assert_eq!(value("StateDirectory"), "schoolgate");
    assert_eq!(value("ExecStart"), "/usr/bin/schoolgate run --config /etc/schoolgate/gateway.toml");
    let secs: u64 = value("WatchdogSec").parse().expect("seconds");
    assert!((30..=300).contains(&secs), "longer than a slow commit, shorter than anybody's patience: {secs}");
}

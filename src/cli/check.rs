//! `schoolgate check`: tells everything that is wrong in the configuration, or what was understood.

use super::{At, EXIT_USAGE};
use crate::config::{self, Config};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;

/// Check the configuration: every problem at once, with its place and what to write instead.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    at: At,
}

impl Check {
    /// Exits with 0 when all is well, else with 64.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        match config::load(&self.at.config) {
            Ok(config) => {
                writeln!(out, "{}", understood(&config))?;
                Ok(ExitCode::SUCCESS)
            }
            Err(problems) => {
                for problem in &problems {
                    writeln!(out, "{problem}")?;
                }
                writeln!(out, "{}", counted(problems.len(), "problem"))?;
                Ok(ExitCode::from(EXIT_USAGE))
            }
        }
    }
}

fn understood(config: &Config) -> String {
    let always = config.rules.iter().filter(|rule| rule.id().as_str().starts_with("always.")).count();
    let parts = [
        counted(config.places.len(), "place"),
        counted(config.buses.len(), "bus"),
        counted(config.devices.len(), "device"),
        format!("{} and {always} always on", counted(config.rules.len() - always, "rule")),
        counted(config.destinations.len(), "destination"),
    ];
    let unconfirmed: BTreeSet<&str> = config
        .devices
        .values()
        .filter(|device| !device.profile.confirmed)
        .map(|device| device.profile.id.as_str())
        .collect();
    let mut line = format!("ok: {}", parts.join(", "));
    if !unconfirmed.is_empty() {
        let names: Vec<&str> = unconfirmed.into_iter().collect();
        line.push_str("; device profiles not yet confirmed on a real device: ");
        line.push_str(&names.join(", "));
    }
    line
}

fn counted(count: usize, what: &str) -> String {
    match (count, what) {
        (1, _) => format!("1 {what}"),
        (_, "bus") => format!("{count} buses"),
        _ => format!("{count} {what}s"),
    }
}

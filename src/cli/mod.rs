//! The command line: one file per subcommand.

mod check;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The command line was wrong, or what it named was (`EX_USAGE` of sysexits.h).
const EXIT_USAGE: u8 = 64;
/// Nothing could be printed (`EX_IOERR` of sysexits.h).
const EXIT_IO: u8 = 74;
/// Where the configuration is unless told otherwise.
const DEFAULT_CONFIG: &str = "/etc/schoolgate/gateway.toml";

/// Schoolgate (校门): the gateway on a school's edge box.
#[derive(Debug, Parser)]
#[command(name = "schoolgate", version, about)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let done = match CommandLine::try_parse() {
        Ok(line) => match line.command {
            Command::Check(check) => check.run(&mut std::io::stdout().lock()),
        },
        Err(told) => {
            let code = if told.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
            told.print().map(|()| code)
        }
    };
    done.unwrap_or_else(|_| ExitCode::from(EXIT_IO))
}

//! The command line: one file per subcommand.

mod access;
mod alarms;
mod areas;
mod calendar;
mod campus;
mod capture;
mod check;
mod client;
mod control;
mod db;
mod discover;
mod drill;
mod hazards;
mod logging;
mod notify;
mod people;
mod probe;
mod profile;
mod progress;
mod quarantine;
mod report;
mod response;
mod rules;
mod run;
mod secret;
mod strangers;
mod table;
mod wired;
mod words;

use crate::config::{self, Config};
use crate::console::setup;
use crate::model::Wall;
use crate::runtime::Chain;
use clap::{Parser, Subcommand};
use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The command line or the configuration it names is wrong (`EX_USAGE` of sysexits.h).
const EXIT_USAGE: u8 = 64;
/// The gateway does not answer (`EX_UNAVAILABLE` of sysexits.h).
const EXIT_UNAVAILABLE: u8 = 69;
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
    Run(run::Run),
    Check(check::Check),
    Account(access::Accounts),
    Token(access::Tokens),
    Alarms(alarms::Alarms),
    Calendar(calendar::Calendars),
    Areas(areas::Areas),
    Hazards(hazards::Hazards),
    Presence(campus::Presence),
    Muster(campus::Muster),
    Control(control::Control),
    Response(response::Response),
    Notify(notify::Notify),
    People(people::People),
    Quarantine(quarantine::Quarantine),
    Strangers(strangers::Strangers),
    Adopt(strangers::Adopt),
    Db(db::Db),
    Discover(discover::Discover),
    Drill(drill::Drill),
    Probe(probe::Probe),
    Profile(profile::Profiles),
    Capture(capture::Capture),
    Replay(capture::Replay),
    Rules(rules::Rules),
    Report(report::Reports),
    Secret(secret::Secrets),
}

/// Which configuration.
#[derive(Debug, clap::Args)]
struct At {
    /// The configuration; `conf.d/*.toml` beside it belongs to it
    #[arg(long, global = true, value_name = "PATH", default_value_os_t = default_config())]
    config: PathBuf,
}

/// The configuration that the console wrote at the first run, unless somebody wrote one by hand.
fn default_config() -> PathBuf {
    let (by_hand, set_up) = (PathBuf::from(DEFAULT_CONFIG), set_up_in(Path::new(config::DEFAULT_DATA_DIR)));
    if !by_hand.exists() && set_up.exists() { set_up } else { by_hand }
}

/// Where the first run puts the configuration of this data directory.
fn set_up_in(data_dir: &Path) -> PathBuf {
    data_dir.join(setup::CONFIG_DIR).join("gateway.toml")
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let out = &mut io::stdout();
    let done = match CommandLine::try_parse() {
        Ok(line) => match line.command {
            Command::Run(run) => return run.run(),
            Command::Check(check) => check.run(out),
            Command::Account(accounts) => accounts.run(out),
            Command::Token(tokens) => tokens.run(out),
            Command::Alarms(alarms) => alarms.run(out),
            Command::Calendar(calendar) => calendar.run(out),
            Command::Areas(areas) => areas.run(out),
            Command::Hazards(hazards) => hazards.run(out),
            Command::Presence(presence) => presence.run(out),
            Command::Muster(muster) => muster.run(out),
            Command::Control(control) => control.run(out),
            Command::Response(response) => response.run(out),
            Command::Notify(notify) => notify.run(out),
            Command::People(people) => people.run(out),
            Command::Quarantine(quarantine) => quarantine.run(out),
            Command::Strangers(strangers) => strangers.run(out),
            Command::Adopt(adopt) => adopt.run(out),
            Command::Db(db) => db.run(out),
            Command::Discover(discover) => discover.run(out),
            Command::Drill(drill) => drill.run(out),
            Command::Probe(probe) => probe.run(out),
            Command::Profile(profile) => profile.run(out),
            Command::Capture(capture) => capture.run(out),
            Command::Replay(replay) => replay.run(out),
            Command::Rules(rules) => rules.run(out),
            Command::Report(report) => report.run(out),
            Command::Secret(secret) => secret.run(out),
        },
        Err(told) => {
            let code = if told.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
            told.print().map(|()| code)
        }
    };
    done.unwrap_or_else(|_| ExitCode::from(EXIT_IO))
}

/// The configuration, or the exit code after its problems are printed.
fn configured(path: &Path, out: &mut impl Write) -> io::Result<Result<Config, ExitCode>> {
    match config::load(path) {
        Ok(config) => Ok(Ok(config)),
        Err(problems) => {
            words::tell(&problems, out)?;
            Ok(Err(ExitCode::from(EXIT_USAGE)))
        }
    }
}

/// One line about what went wrong, with its whole cause.
fn complain(error: &(dyn Error + 'static), code: u8) -> io::Result<ExitCode> {
    writeln!(io::stderr(), "schoolgate: {}", Chain(error))?;
    Ok(ExitCode::from(code))
}

/// A day (UTC) or a moment on the command line.
fn moment(text: &str) -> Result<Wall, String> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Wall(at.as_millisecond()));
    }
    let day: jiff::civil::Date = text
        .parse()
        .map_err(|_| "expected a day (2026-09-01) or a moment (2026-09-01T00:00:00+08:00)".to_owned())?;
    let at = day.to_zoned(jiff::tz::TimeZone::UTC).map_err(|error| error.to_string())?;
    Ok(Wall(at.timestamp().as_millisecond()))
}

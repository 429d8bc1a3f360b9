//! Command line of the simulated school.

use clap::{Parser, Subcommand};
use hil::{demo, school};
use std::path::PathBuf;
use std::process::ExitCode;

/// The simulated school of Schoolgate.
#[derive(Debug, Parser)]
#[command(name = "schoolgate-hil", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts the school alone and says where everything is, for trying a client by hand; ends with Ctrl-C.
    School {
        /// Where the broker keeps its files.
        #[arg(long, default_value = "target/school")]
        dir: PathBuf,
    },
    /// Starts the school and a real gateway in it, and shows what happens.
    Demo {
        /// The gateway's program.
        #[arg(long, default_value = "target/release/schoolgate")]
        gateway: PathBuf,
        /// Ends by itself after so many seconds; otherwise with Ctrl-C. DEMO_SECS in the environment says the same.
        #[arg(long)]
        secs: Option<u64>,
        /// The configuration's templates.
        #[arg(long, default_value = "deploy/demo")]
        templates: PathBuf,
        /// The device profiles.
        #[arg(long, default_value = "device-profiles")]
        profiles: PathBuf,
        /// Where the run keeps its configuration, secrets, data and log; emptied first.
        #[arg(long, default_value = "target/demo")]
        dir: PathBuf,
    },
}

fn main() -> ExitCode {
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = match Arguments::parse().command {
        Command::School { dir } => runtime.block_on(school::show(&dir)).map(|()| true),
        Command::Demo { gateway, secs, templates, profiles, dir } => {
            let secs = match secs.map_or_else(demo::secs_from_environment, |secs| Ok(Some(secs))) {
                Ok(secs) => secs,
                Err(why) => {
                    eprintln!("{why}");
                    return ExitCode::from(64);
                }
            };
            runtime.block_on(demo::run(&demo::Plan { gateway, secs, templates, profiles, dir }))
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("schoolgate-hil: {error}");
            ExitCode::FAILURE
        }
    }
}

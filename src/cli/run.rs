//! `schoolgate run`: the daemon.

use super::{At, EXIT_USAGE, logging, set_up_in};
use crate::config::{self, Config};
use crate::console::setup::{FirstRun, Setup};
use crate::document::Problem;
use crate::gateway;
use crate::runtime::{Chain, service, tls};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Exit code after a second signal, as shells have it for a program that was interrupted.
const EXIT_SECOND_SIGNAL: i32 = 130;

/// Run the gateway until SIGTERM or SIGINT; a second one ends it at once.
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    #[command(flatten)]
    at: At,
    /// Where the console listens while there is no configuration, and in the one that is made there
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    setup_listen: SocketAddr,
    /// Where the plain listener of this machine is then
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8088")]
    setup_http: SocketAddr,
    /// The device profiles then, where they are not in their usual place
    #[arg(long, value_name = "DIR")]
    setup_profiles: Option<PathBuf>,
}

impl Run {
    /// Exits with 0 after a clean stop, 64 when the configuration is wrong, 1 when the gateway failed, 130 after a
    /// second signal.
    pub(super) fn run(&self) -> ExitCode {
        logging::start();
        match self.configuration() {
            Ok(Start { config, first }) => serve(config, first),
            Err(code) => code,
        }
    }

    /// The configuration; where there is none, that of a first run.
    fn configuration(&self) -> Result<Start, ExitCode> {
        // What systemd made for the service, if it did.
        let state = std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
        let data_dir = state.unwrap_or_else(|| config::DEFAULT_DATA_DIR.into());
        let set_up = set_up_in(&data_dir);
        if let Some(path) = [&self.at.config, &set_up].into_iter().find(|path| path.exists()) {
            return load(path).map(|config| Start { config, first: None });
        }
        let (listen, http) = (self.setup_listen, self.setup_http);
        let config = config::first_run(&data_dir, listen, http).map_err(|problems| refused(&problems))?;
        tracing::warn!(
            console = %listen, looked_for = %self.at.config.display(),
            "there is no configuration: set the gateway up in a browser, at https:// and this machine's address"
        );
        let first = FirstRun { data_dir, listen, http, profiles: self.setup_profiles.clone() };
        Ok(Start { config, first: Some(first) })
    }
}

/// What is run.
struct Start {
    config: Config,
    first: Option<FirstRun>,
}

fn load(path: &Path) -> Result<Config, ExitCode> {
    config::load(path).map_err(|problems| refused(&problems))
}

fn refused(problems: &[Problem]) -> ExitCode {
    for problem in problems {
        tracing::error!("{problem}");
    }
    tracing::error!(problems = problems.len(), "not started; run `schoolgate check`");
    ExitCode::from(EXIT_USAGE)
}

fn serve(config: Config, first: Option<FirstRun>) -> ExitCode {
    tls::install_provider();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "no threads from the system");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        let mut signals = Signals::hear();
        let set_up = first.as_ref().map(|first| set_up_in(&first.data_dir));
        match (run(config, first, &mut signals).await, set_up) {
            (Ended::SetUp, Some(path)) => match load(&path) {
                Ok(config) => run(config, None, &mut signals).await.code(),
                Err(code) => code,
            },
            (ended, _) => ended.code(),
        }
    });
    // A name that is being looked up or a file that hangs must not hold up the end; what counts is on disk.
    runtime.shutdown_background();
    code
}

/// Why the gateway ended.
enum Ended {
    Stopped,
    /// Somebody has set it up; now it runs with that.
    SetUp,
    Failed,
}

impl Ended {
    fn code(self) -> ExitCode {
        match self {
            Self::Stopped | Self::SetUp => ExitCode::SUCCESS,
            Self::Failed => ExitCode::FAILURE,
        }
    }
}

async fn run(config: Config, first: Option<FirstRun>, signals: &mut Signals) -> Ended {
    let (stop, stopped) = watch::channel(false);
    let (setup, done) = first.map(Setup::new).unzip();
    let set_up = async {
        match done {
            // The other end lives as long as the gateway.
            Some(mut done) => drop(done.wait_for(|done| *done).await),
            None => std::future::pending().await,
        }
    };
    let mut gateway = Box::pin(gateway::run_with(config, setup, stopped));
    let mut ended = Ended::Stopped;
    let outcome = tokio::select! {
        outcome = &mut gateway => outcome,
        () = set_up => {
            ended = Ended::SetUp;
            stop.send_replace(true);
            gateway.await
        }
        () = signals.asked_to_stop() => {
            service::stopping();
            stop.send_replace(true);
            tokio::select! {
                outcome = gateway => outcome,
                () = signals.asked_to_stop() => {
                    tracing::warn!("a second signal: ending at once; what was acknowledged is on disk");
                    std::process::exit(EXIT_SECOND_SIGNAL);
                }
            }
        }
    };
    if let Err(error) = outcome {
        tracing::error!(error = %Chain(&error), "schoolgate ends; the service manager starts it again");
        return Ended::Failed;
    }
    ended
}

/// The two signals that ask for an end. Heard from the start, so that none is missed between the first and the second.
struct Signals(Option<(Signal, Signal)>);

impl Signals {
    fn hear() -> Self {
        match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(terminate), Ok(interrupt)) => Self(Some((terminate, interrupt))),
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(error = %error, "signals cannot be heard; stop with SIGKILL");
                Self(None)
            }
        }
    }

    async fn asked_to_stop(&mut self) {
        match &mut self.0 {
            Some((terminate, interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            None => std::future::pending().await,
        }
    }
}

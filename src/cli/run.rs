//! `schoolgate run`: the daemon.

use super::{At, EXIT_USAGE, logging};
use crate::config::{self, Config};
use crate::gateway;
use crate::runtime::{Chain, tls};
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
}

impl Run {
    /// Exits with 0 after a clean stop, 64 when the configuration is wrong, 1 when the gateway failed, 130 after a
    /// second signal.
    pub(super) fn run(&self) -> ExitCode {
        logging::start();
        match config::load(&self.at.config) {
            Ok(config) => serve(config),
            Err(problems) => {
                for problem in &problems {
                    tracing::error!("{problem}");
                }
                tracing::error!(problems = problems.len(), "not started; run `schoolgate check`");
                ExitCode::from(EXIT_USAGE)
            }
        }
    }
}

fn serve(config: Config) -> ExitCode {
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
        let (stop, stopped) = watch::channel(false);
        let mut gateway = Box::pin(gateway::run(config, stopped));
        let outcome = tokio::select! {
            outcome = &mut gateway => outcome,
            () = signals.asked_to_stop() => {
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
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(error = %Chain(&error), "schoolgate ends; the service manager starts it again");
                ExitCode::FAILURE
            }
        }
    });
    // A name that is being looked up or a file that hangs must not hold up the end; what counts is on disk.
    runtime.shutdown_background();
    code
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

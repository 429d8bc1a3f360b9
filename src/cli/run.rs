//! `schoolgate run`: the daemon.

use super::{At, EXIT_USAGE, logging};
use crate::config::{self, Config};
use crate::gateway;
use crate::runtime::Chain;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Run the gateway until SIGTERM or SIGINT; a second one ends it at once.
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    #[command(flatten)]
    at: At,
}

impl Run {
    /// Exits with 0 after a clean stop, 64 when the configuration is wrong, 1 when the gateway failed.
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
    // The one TLS implementation of every connection; a second call would only say that it is there already.
    rustls::crypto::ring::default_provider().install_default().ok();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "no threads from the system");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        let mut gateway = Box::pin(gateway::run(config, stopped));
        let outcome = tokio::select! {
            outcome = &mut gateway => outcome,
            () = asked_to_stop() => {
                stop.send_replace(true);
                tokio::select! {
                    outcome = gateway => outcome,
                    () = asked_to_stop() => {
                        tracing::warn!("a second signal: ending at once; what was acknowledged is on disk");
                        std::process::exit(130);
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

async fn asked_to_stop() {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(error = %error, "signals cannot be heard; stop with SIGKILL");
            std::future::pending().await
        }
    }
}

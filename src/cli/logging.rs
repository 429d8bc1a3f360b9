//! Where the log goes: standard error, as lines for a terminal and as JSON for a journal.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging. `SCHOOLGATE_LOG` narrows or widens it (`debug`, `schoolgate::southbound=debug`); `info` unless set.
pub(super) fn start() {
    let filter = EnvFilter::try_from_env("SCHOOLGATE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would tell of a log that cannot be written by `eprintln!`, which panics when nobody reads standard error.
        .log_internal_errors(false);
    let started = if std::io::stderr().is_terminal() {
        builder.compact().try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
    // Only a second start can fail; the first one's log goes on.
    drop(started);
}

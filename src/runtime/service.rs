//! What the service manager is told (sd_notify); without one, nothing happens.

use sd_notify::NotifyState;

/// The store is open and the pipeline runs.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The pipeline made progress.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// The gateway is stopping.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(error = %error, "the service manager could not be told; check NOTIFY_SOCKET");
    }
}

//! What each error of the connection means, in words a technician can act on.

use super::super::Failure;
use crate::config::Mqtt;
use crate::model::Fault;
use rumqttc::{ConnectReturnCode, ConnectionError, StateError};
use std::error::Error;
use std::io;

/// When the error came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before the broker accepted us.
    Connecting,
    /// After.
    Connected,
}

/// Judges an error of the library.
pub(super) fn judge(error: ConnectionError, phase: Phase, mqtt: &Mqtt) -> Failure {
    let broker = format!("MQTT broker {}:{}", mqtt.host, mqtt.port);
    match error {
        ConnectionError::Io(error) => io_failure(error, phase, &broker),
        ConnectionError::ConnectionRefused(code) => refused_connect(code, &broker, mqtt),
        ConnectionError::NetworkTimeout => Failure::new(
            Fault::Timeout,
            format!(
                "connecting to {broker}: no answer to CONNECT; check that MQTT{} listens on this port",
                if mqtt.tls.is_some() { " over TLS" } else { "" }
            ),
        ),
        ConnectionError::FlushTimeout => {
            Failure::new(Fault::Stalled, format!("writing to {broker}: it takes no more bytes"))
        }
        ConnectionError::MqttState(error) => state_failure(error, phase, &broker),
        error => Failure::new(
            Fault::Protocol,
            format!("speaking MQTT 3.1.1 with {broker}: check that it is an MQTT broker"),
        )
        .because(error),
    }
}

fn refused_connect(code: ConnectReturnCode, broker: &str, mqtt: &Mqtt) -> Failure {
    let (fault, why) = match code {
        ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized if mqtt.login.is_some() => {
            (
                Fault::Unauthorized,
                "user name or password refused; check both and the broker's access list".into(),
            )
        }
        ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
            (Fault::Unauthorized, "it wants a user name and password and the configuration gives none".into())
        }
        ConnectReturnCode::BadClientId => {
            (Fault::Misconfigured, format!("client id '{}' refused; choose another", mqtt.client_id))
        }
        ConnectReturnCode::ServiceUnavailable => {
            (Fault::Refused, "it says it is not available; look at the broker's log".into())
        }
        ConnectReturnCode::RefusedProtocolVersion => (Fault::Protocol, "it does not speak MQTT 3.1.1".into()),
        ConnectReturnCode::Success => (Fault::Protocol, "refused without a reason".into()),
    };
    Failure::new(fault, format!("connecting to {broker}: {why}"))
}

fn io_failure(error: io::Error, phase: Phase, broker: &str) -> Failure {
    let kind = error.kind();
    let error = match error.into_inner().map(|inner| inner.downcast::<Failure>()) {
        Some(Ok(failure)) => return *failure,
        Some(Err(other)) => io::Error::new(kind, other),
        None => io::Error::from(kind),
    };
    gone(phase, broker, Some(Box::new(error)))
}

fn state_failure(error: StateError, phase: Phase, broker: &str) -> Failure {
    match error {
        StateError::Io(error) | StateError::Deserialization(rumqttc::Error::Io(error)) => {
            gone(phase, broker, Some(Box::new(error)))
        }
        StateError::ConnectionAborted => gone(phase, broker, None),
        StateError::AwaitPingResp => {
            Failure::new(Fault::Timeout, format!("keeping {broker} alive: it did not answer PINGREQ"))
        }
        error => Failure::new(
            Fault::Protocol,
            format!("speaking MQTT 3.1.1 with {broker}: check that it is an MQTT broker"),
        )
        .because(error),
    }
}

fn gone(phase: Phase, broker: &str, cause: Option<Box<dyn Error + Send + Sync>>) -> Failure {
    let doing = match phase {
        Phase::Connecting => format!(
            "connecting to {broker}: it closed the connection before accepting; check that it is an MQTT broker, and whether this port wants TLS"
        ),
        Phase::Connected => format!("listening to {broker}: the connection was closed"),
    };
    Failure { fault: Fault::Gone, doing, cause }
}

//! Opens the byte stream to a broker: name, TCP, TLS, each with its own failure.

use super::super::Failure;
use crate::config::Mqtt;
use crate::model::Fault;
use crate::runtime::tls;
use rumqttc::tokio_rustls::TlsConnector;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// Longest wait for one address to accept.
const TCP_WAIT: Duration = Duration::from_secs(5);
/// Longest wait for the name to resolve, and for TLS.
const STEP_WAIT: Duration = Duration::from_secs(5);

/// A byte stream, plain or TLS.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Wire for T {}

/// Connects to the broker.
pub(crate) async fn dial(mqtt: &Mqtt) -> Result<Box<dyn Wire>, Failure> {
    let place = format!("{}:{}", mqtt.host, mqtt.port);
    let tcp = connect(mqtt, &place).await?;
    let Some(trust) = &mqtt.tls else { return Ok(Box::new(tcp)) };
    let config = tls::client(trust.ca_pem.as_deref()).map_err(|error| {
        Failure::new(Fault::Misconfigured, format!("TLS to MQTT broker {place}")).because(error)
    })?;
    let name = ServerName::try_from(mqtt.host.clone()).map_err(|error| {
        Failure::new(
            Fault::Misconfigured,
            format!("TLS to MQTT broker {place}: '{}' is neither a DNS name nor an IP address", mqtt.host),
        )
        .because(error)
    })?;
    match timeout(STEP_WAIT, TlsConnector::from(Arc::new(config)).connect(name, tcp)).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(error)) => Err(handshake_failure(error, &place)),
        Err(_) => Err(Failure::new(
            Fault::Timeout,
            format!("TLS to MQTT broker {place}: no answer; check that this port speaks TLS"),
        )),
    }
}

async fn connect(mqtt: &Mqtt, place: &str) -> Result<TcpStream, Failure> {
    let resolving =
        || format!("resolving the name of MQTT broker {place}: check the name and the box's DNS server");
    let addresses: Vec<SocketAddr> =
        match timeout(STEP_WAIT, lookup_host((mqtt.host.as_str(), mqtt.port))).await {
            Ok(Ok(found)) => found.collect(),
            Ok(Err(error)) => return Err(Failure::new(Fault::Unreachable, resolving()).because(error)),
            Err(late) => return Err(Failure::new(Fault::Unreachable, resolving()).because(late)),
        };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses.into_iter().take(4) {
        match timeout(TCP_WAIT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Without it each PUBACK could wait for the one before; failing to set it only costs time.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(error = %error, broker = place, "TCP_NODELAY could not be set");
                }
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, "no answer to the TCP connection"),
        }
    }
    let doing =
        format!("connecting to MQTT broker {place}: check that it runs, its address, port and firewall");
    Err(Failure::new(Fault::Unreachable, doing).because(last))
}

fn handshake_failure(error: io::Error, place: &str) -> Failure {
    let ours = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (fault, what) = match ours {
        Some(rustls::Error::InvalidCertificate(_)) => (
            Fault::Unauthorized,
            "its certificate is not trusted; check the CA file, the host name in it, its dates and this box's clock",
        ),
        Some(rustls::Error::AlertReceived(_)) => (Fault::Unauthorized, "it refused the TLS handshake"),
        Some(_) => (Fault::Protocol, "no TLS; check that this port speaks TLS"),
        None => (Fault::Gone, "it closed the connection during the handshake"),
    };
    Failure::new(fault, format!("TLS to MQTT broker {place}: {what}")).because(error)
}

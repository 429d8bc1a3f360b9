//! Where buses are, and opening one that can be polled.

use crate::config::{Bus, BusKind, ModbusTcp, SerialPlace};
use crate::southbound::polled::{Channel, ReadError};
use crate::southbound::{modbus, serial};
use std::time::Duration;

/// Longest wait for an answer when a device that was found is looked at.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// Opens a bus that can be polled.
///
/// # Errors
/// When it cannot be opened, or is none that is polled.
pub async fn open(bus: &Bus) -> Result<Box<dyn Channel>, ReadError> {
    match &bus.kind {
        BusKind::ModbusTcp(ModbusTcp { host, port, timeout, .. }) => {
            Ok(Box::new(modbus::Connection::connect(host, *port, *timeout).await?))
        }
        BusKind::Serial(settings) => serial::open(settings.clone()).await,
        _ => Err(ReadError::WrongBus),
    }
}

/// A Modbus TCP endpoint as a bus.
pub(super) fn endpoint(host: String, port: u16) -> BusKind {
    BusKind::ModbusTcp(ModbusTcp { host, port, timeout: ANSWER_WITHIN, gap: Duration::ZERO })
}

/// Where a bus is, for people.
#[must_use]
pub fn place_of(kind: &BusKind) -> String {
    match kind {
        BusKind::ModbusTcp(ModbusTcp { host, port, .. }) => format!("{host}:{port}"),
        BusKind::Serial(settings) => match &settings.place {
            SerialPlace::Port { path, .. } => path.clone(),
            SerialPlace::Converter { host, port } => format!("{host}:{port}"),
        },
        BusKind::Mqtt(bus) => format!("{}:{}", bus.host, bus.port),
        BusKind::MqttListener(_) => "MQTT".to_owned(),
        BusKind::Onvif(_) => "ONVIF".to_owned(),
        BusKind::Push(bus) => bus.listen.to_string(),
        BusKind::FireReceiver(bus) => bus.receiver.listen.to_string(),
        BusKind::PanelReceiver(bus) => bus.listen.to_string(),
        BusKind::Isapi(_) => "ISAPI".to_owned(),
        BusKind::Dahua(_) => "Dahua".to_owned(),
    }
}

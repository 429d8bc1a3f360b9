//! Modbus TCP: register reads from meters and converters.

use super::DriverKind;

/// The kind `modbus-tcp`.
pub const KIND: DriverKind = DriverKind {
    name: "modbus-tcp",
    doc: "One Modbus TCP endpoint: a meter, or a converter with several units behind it.",
    drivers: |_, _| Vec::new(),
};

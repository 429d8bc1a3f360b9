//! Buses that are polled: one owner per connection, one request at a time, devices in turn by their own periods.
//!
//! What carries the requests is a [`Channel`]: Modbus TCP, or a shared serial line.

mod commands;
mod dial;
mod driver;
mod exception;
mod plan;
mod schedule;
mod session;
mod silence;
mod spacing;
mod tap;
mod unit;

pub use commands::{COMMAND_DEADLINE, COMMAND_QUEUE, CommandBook, CommandError, Commands};
pub(super) use dial::dial;
pub(super) use driver::drivers;
pub use exception::Exception;
pub use plan::{Block, plan};
pub use session::Poller;
pub(super) use tap::Tapped;
pub use tap::{Frame, Tap};

use super::serial::codec::{Refusal, Stray};
use super::serial::{cjt188, dlt645};
use crate::config::Device;
use crate::model::Fault;
use crate::profile::{Identifier, Protocol, RegisterTable, Write};
use futures_util::future::BoxFuture;
use std::io;
use std::time::Duration;

/// One request, whoever it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Registers, coils or discrete inputs next to one another.
    Registers(Block),
    /// A quantity, or a block of them, of a DL/T 645 or CJ/T 188 meter.
    Quantity(Identifier),
    /// Writes coils or registers.
    Write(Write),
    /// Vendor, product and revision of a Modbus unit (function 43, MEI type 14).
    Identify,
    /// The address of the only DL/T 645 or CJ/T 188 meter on the line; it goes to the wildcard address.
    PlateAddress,
}

/// What answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The registers asked for, all of them; of coils and discrete inputs one word for each, 0 or 1.
    Words(Vec<u16>),
    /// The quantity's bytes; the digits of a plate address, as ASCII.
    Bytes(Vec<u8>),
    /// The device repeated the write, as it must.
    Written,
    /// Objects of the identification by number: 0 vendor, 1 product code, 2 revision.
    Identity(Vec<(u8, String)>),
}

/// A device's address, in the form of its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Station {
    /// Modbus unit id.
    Unit(u8),
    /// DL/T 645 address.
    Meter(dlt645::Address),
    /// CJ/T 188 address, and the kind of meter.
    Flow(u8, cjt188::Address),
}

impl Station {
    /// A device's; `None` when its address has not the form of the profile's protocol.
    #[must_use]
    pub fn of(device: &Device) -> Option<Self> {
        let address = device.address.trim();
        match device.profile.protocol {
            Protocol::Modbus => address.parse().ok().map(Self::Unit),
            Protocol::Dlt645 => address.parse().ok().map(Self::Meter),
            Protocol::Cjt188 => Some(Self::Flow(device.profile.meter_kind(), address.parse().ok()?)),
            Protocol::Mqtt
            | Protocol::Onvif
            | Protocol::Isapi
            | Protocol::Dahua
            | Protocol::Zkteco
            | Protocol::Gb26875
            | Protocol::ContactId => None,
        }
    }
}

/// What carries requests to the devices of one bus.
pub trait Channel: Send {
    /// What it is, for a log line: `Modbus TCP`, `a serial line`.
    fn kind(&self) -> &'static str;
    /// Whether the next request uses the connection that stands.
    fn is_open(&self) -> bool;
    /// Closes what stands and opens it anew.
    fn reopen(&mut self) -> BoxFuture<'_, Result<(), ReadError>>;
    /// One request and its whole answer. After a failure that leaves doubt the channel is closed.
    fn ask<'a>(&'a mut self, station: Station, ask: &'a Ask) -> BoxFuture<'a, Result<Said, ReadError>>;
    /// How many answers were thrown away, late ones among them, since last asked.
    fn take_stale(&mut self) -> u64;
    /// Copies every byte that goes and comes to a tap from now on, or to none.
    fn set_tap(&mut self, tap: Option<Tap>);
}

/// Why a request gave no values.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The connection could not be opened.
    #[error("no connection to {endpoint}")]
    Connect {
        /// Host and port, or the serial port.
        endpoint: String,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// Nothing came within the deadline.
    #[error("no reply within {} ms", within.as_millis())]
    Timeout {
        /// The deadline.
        within: Duration,
    },
    /// The reply was not whole at the deadline.
    #[error("only {bytes} bytes of a reply within {} ms", within.as_millis())]
    Partial {
        /// The deadline.
        within: Duration,
        /// What had come.
        bytes: usize,
    },
    /// Something came, but no reply.
    #[error("no reply within {} ms, only {bytes} bytes: {last}", within.as_millis())]
    Strange {
        /// The deadline.
        within: Duration,
        /// How many bytes.
        bytes: usize,
        /// What the last of them were.
        last: Stray,
    },
    /// The other side closed the connection.
    #[error("the other side closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection broke")]
    Broke(#[source] io::Error),
    /// The device, or the converter before it, said no.
    #[error("{0}")]
    Refused(Refusal),
    /// The reply is not what the protocol says.
    #[error("{what}")]
    Malformed {
        /// What is wrong, and what was expected.
        what: String,
        /// The bytes, at most one frame.
        raw: Vec<u8>,
    },
    /// The reply is the request itself.
    #[error("the reply is our own request: check the RS-485 A/B wires, or turn off echo in the converter")]
    Echo,
    /// The reply has transaction id 0, which is never asked with.
    #[error(
        "the reply has transaction id 0 instead of {asked}: the converter does not copy transaction ids, so a late \
         reply could not be told from a fresh one; update its firmware or set it to true Modbus TCP"
    )]
    NoTransactionId {
        /// The id of the request.
        asked: u16,
    },
    /// Replies came, but only with ids that were never asked with.
    #[error(
        "no reply with transaction id {asked}, but one with {answered}, which was not asked: the converter garbles \
         transaction ids, or another program uses this connection"
    )]
    WrongTransactionId {
        /// The id of the request.
        asked: u16,
        /// The last id seen.
        answered: u16,
    },
    /// The reply came for another unit.
    #[error("unit {answered} answers for unit {asked}: check the unit id in the configuration")]
    WrongUnit {
        /// The unit asked.
        asked: u8,
        /// The unit in the reply.
        answered: u8,
    },
    /// Such a read does not exist; nothing was sent.
    #[error("cannot read {quantity} from {address}: 1 to {most} in one read, none behind 65535")]
    NoSuchRead {
        /// First register or bit.
        address: u16,
        /// How many.
        quantity: u16,
        /// How many at most.
        most: u16,
    },
    /// Such a write does not exist; nothing was sent.
    #[error(
        "cannot write {count} to {address} of the table {table:?}: 1 to 1968 coils or 1 to 123 holding registers"
    )]
    NoSuchWrite {
        /// Which table.
        table: RegisterTable,
        /// First register or coil.
        address: u16,
        /// How many.
        count: usize,
    },
    /// The device's protocol does not run on this bus; nothing was sent.
    #[error("the device's protocol does not run on this bus")]
    WrongBus,
}

impl ReadError {
    /// What kind of fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Connect { .. } => Fault::Unreachable,
            Self::Timeout { .. } | Self::Partial { .. } => Fault::Timeout,
            Self::Closed | Self::Broke(_) => Fault::Gone,
            Self::Refused(refusal) => refusal.fault(),
            Self::Malformed { .. }
            | Self::Strange { .. }
            | Self::Echo
            | Self::NoTransactionId { .. }
            | Self::WrongTransactionId { .. }
            | Self::WrongUnit { .. } => Fault::Protocol,
            Self::NoSuchRead { .. } | Self::NoSuchWrite { .. } | Self::WrongBus => Fault::Misconfigured,
        }
    }

    /// Whether something came that was not as it was sent: noise, a collision, a frame of someone else.
    fn is_damage(&self) -> bool {
        matches!(self, Self::Partial { .. } | Self::Strange { .. } | Self::Malformed { .. })
    }

    /// What a refusal says about the request rather than about the device.
    fn remedy(&self) -> Remedy {
        match self {
            Self::Refused(Refusal::Modbus(Exception::IllegalAddress)) => Remedy::Halve,
            Self::Refused(Refusal::Modbus(Exception::IllegalValue)) => Remedy::Shorten,
            Self::Refused(Refusal::Modbus(Exception::Acknowledge | Exception::Busy)) => Remedy::Later,
            Self::Refused(Refusal::Modbus(Exception::IllegalFunction)) => Remedy::LeaveOut,
            Self::Refused(Refusal::Dlt645(errors)) if errors.no_such_data() => Remedy::LeaveOut,
            _ => Remedy::None,
        }
    }
}

/// What to do about a request that was not answered with values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// Ask for its parts, down to the one that does not exist.
    Halve,
    /// Ask for its parts, and for nothing longer.
    Shorten,
    /// Ask for the same again later.
    Later,
    /// Ask for the rest.
    LeaveOut,
    /// Nothing.
    None,
}

#[cfg(test)]
mod tests;

//! Requests of people and controls to a device on a polled bus: they go before any poll.

use super::{Ask, ReadError, Said};
use crate::model::{BusId, DeviceId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Commands waiting for one bus; one more is refused.
pub const COMMAND_QUEUE: usize = 16;
/// Longest wait for the outcome of a command, from its order to the device's answer.
pub const COMMAND_DEADLINE: Duration = Duration::from_secs(10);

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Nothing was sent.
    #[error("the bus '{bus}' is not connected")]
    NotConnected {
        /// Which.
        bus: BusId,
    },
    /// Nothing was sent.
    #[error("there is no device '{device}' on the bus '{bus}', or its address does not fit its profile")]
    UnknownDevice {
        /// On which.
        bus: BusId,
        /// Which.
        device: DeviceId,
    },
    /// Nothing was sent.
    #[error("{COMMAND_QUEUE} commands are waiting for the bus '{bus}' already")]
    Full {
        /// Which.
        bus: BusId,
    },
    /// It may have been sent.
    #[error("no outcome on the bus '{bus}' within {} s: whether it was carried out is not known", COMMAND_DEADLINE.as_secs())]
    Unknown {
        /// Which.
        bus: BusId,
    },
    /// The device refused, or did not answer; a write may have been carried out unless it refused.
    #[error("the device '{device}' gave no answer to it")]
    Failed {
        /// Which.
        device: DeviceId,
        /// What came instead.
        #[source]
        cause: ReadError,
    },
}

/// One command on its way to the bus.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) device: DeviceId,
    pub(super) ask: Ask,
    pub(super) outcome: oneshot::Sender<Result<Said, CommandError>>,
}

/// The ways to every polled bus that is connected. Orders are boxed: a channel holds room for 32 from the start, and
/// there may be thousands of buses.
#[derive(Debug, Clone, Default)]
pub struct CommandBook(Arc<Mutex<BTreeMap<BusId, mpsc::Sender<Box<Order>>>>>);

impl CommandBook {
    /// The way to a bus, connected or not.
    #[must_use]
    pub fn of(&self, bus: &BusId) -> Commands {
        Commands { bus: bus.clone(), book: self.clone() }
    }

    /// A session on the bus begins; the one before it gets no more.
    pub(super) fn open(&self, bus: &BusId) -> mpsc::Receiver<Box<Order>> {
        let (sender, receiver) = mpsc::channel(COMMAND_QUEUE);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(bus.clone(), sender);
        receiver
    }

    fn sender(&self, bus: &BusId) -> Option<mpsc::Sender<Box<Order>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(bus).cloned()
    }
}

/// The way to the devices of one bus.
#[derive(Debug, Clone)]
pub struct Commands {
    bus: BusId,
    book: CommandBook,
}

impl Commands {
    /// Asks a device for something, before its bus makes any further poll.
    ///
    /// May be dropped: what was not yet sent then never is.
    ///
    /// # Errors
    /// [`CommandError`]; after [`COMMAND_DEADLINE`] at the latest.
    pub async fn ask(&self, device: &DeviceId, ask: Ask) -> Result<Said, CommandError> {
        let bus = || self.bus.clone();
        let Some(sender) = self.book.sender(&self.bus) else {
            return Err(CommandError::NotConnected { bus: bus() });
        };
        let (outcome, told) = oneshot::channel();
        let order = Box::new(Order { device: device.clone(), ask, outcome });
        sender.try_send(order).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => CommandError::Full { bus: bus() },
            mpsc::error::TrySendError::Closed(_) => CommandError::NotConnected { bus: bus() },
        })?;
        match tokio::time::timeout(COMMAND_DEADLINE, told).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(CommandError::Unknown { bus: bus() }),
        }
    }
}

//! The ways into the pipe: deliveries that are answered and never dropped, readings of which the oldest are shed
//! when the pipe cannot follow, and orders of people, who are told what became of them.

use crate::alarm::OrderRefused;
use crate::campus::MusterRefused;
use crate::model::{Command, Delivery, Done, Input, MusterCommand};
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc, oneshot};

/// Deliveries waiting in the lane that never drops; a full lane makes its sender wait.
pub const EVENT_LANE: usize = 1024;
/// Orders of people waiting; a full lane makes them wait.
pub const ORDER_LANE: usize = 16;
/// Polled readings waiting; when full, the oldest are shed and counted.
pub const READING_LANE: usize = 4096;

/// Resolves when the delivery is committed; an error means it never will be (the gateway stops).
pub type Receipt = oneshot::Receiver<()>;

/// A delivery and whom to tell when it is durable.
#[derive(Debug)]
pub struct Parcel {
    /// What arrived.
    pub delivery: Delivery,
    /// Told after the commit.
    pub committed: Option<oneshot::Sender<()>>,
    /// A device itself waits for the answer, and not a broker.
    pub direct: bool,
}

/// What became of an order: the alarm, hazard or area after it, or why not.
pub type OrderOutcome = Result<Done, OrderRefused>;

/// What became of an order about the muster.
pub type MusterOutcome = Result<(), MusterRefused>;

/// An order and whom to tell what became of it, once that is durable.
#[derive(Debug)]
pub enum OrderParcel {
    /// About an alarm.
    Alarm(Command, oneshot::Sender<OrderOutcome>),
    /// About the muster.
    Muster(MusterCommand, oneshot::Sender<MusterOutcome>),
}

/// The pipe is gone: the gateway is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the gateway is stopping")]
pub struct Stopping;

/// Where drivers put what they have.
#[derive(Debug, Clone)]
pub struct Inlet {
    events: mpsc::Sender<Parcel>,
    orders: mpsc::Sender<OrderParcel>,
    readings: broadcast::Sender<Arc<Delivery>>,
}

/// Where people give orders. It does not keep the pipe open: a request that never ends must not hold up a stop.
#[derive(Debug, Clone)]
pub struct OrderDesk(mpsc::WeakSender<OrderParcel>);

/// Where people change what the gateway knows of persons. It does not keep the pipe open either.
#[derive(Debug, Clone)]
pub struct PeopleDesk(mpsc::WeakSender<Parcel>);

/// Where the pipeline takes it.
#[derive(Debug)]
pub struct Outlet {
    /// Deliveries that are answered.
    pub events: mpsc::Receiver<Parcel>,
    /// Orders of people.
    pub orders: mpsc::Receiver<OrderParcel>,
    /// Polled readings.
    pub readings: broadcast::Receiver<Arc<Delivery>>,
}

/// Makes the lanes.
#[must_use]
pub fn lanes() -> (Inlet, Outlet) {
    let (events, events_out) = mpsc::channel(EVENT_LANE);
    let (orders, orders_out) = mpsc::channel(ORDER_LANE);
    let (readings, readings_out) = broadcast::channel(READING_LANE);
    let outlet = Outlet { events: events_out, orders: orders_out, readings: readings_out };
    (Inlet { events, orders, readings }, outlet)
}

impl Inlet {
    /// Puts in a delivery that must not be lost; waits while the lane is full. Everything that is acknowledged
    /// to a device or person goes this way.
    ///
    /// # Errors
    /// [`Stopping`] when nobody takes deliveries any more.
    pub async fn deliver(&self, delivery: Delivery) -> Result<Receipt, Stopping> {
        self.hand_over(delivery, false).await
    }

    /// The same for a device that waits for the answer itself, and may do nothing else meanwhile.
    ///
    /// # Errors
    /// As [`Inlet::deliver`].
    pub async fn deliver_direct(&self, delivery: Delivery) -> Result<Receipt, Stopping> {
        self.hand_over(delivery, true).await
    }

    async fn hand_over(&self, delivery: Delivery, direct: bool) -> Result<Receipt, Stopping> {
        let (committed, receipt) = oneshot::channel();
        let parcel = Parcel { delivery, committed: Some(committed), direct };
        self.events.send(parcel).await.map_err(|_| Stopping)?;
        Ok(receipt)
    }

    /// A desk where people give their orders.
    #[must_use]
    pub fn desk(&self) -> OrderDesk {
        OrderDesk(self.orders.downgrade())
    }

    /// A desk where people change what the gateway knows of persons.
    #[must_use]
    pub fn people_desk(&self) -> PeopleDesk {
        PeopleDesk(self.events.downgrade())
    }

    /// Puts in polled readings; never waits. The next poll brings newer ones, so the oldest may be shed.
    ///
    /// # Errors
    /// [`Stopping`] when nobody takes readings any more.
    pub fn offer(&self, delivery: Delivery) -> Result<(), Stopping> {
        self.readings.send(Arc::new(delivery)).map(drop).map_err(|_| Stopping)
    }
}

impl PeopleDesk {
    /// Puts in what belongs together, and waits until it is durable.
    ///
    /// # Errors
    /// [`Stopping`] when nobody takes it any more; it is not known then whether it became true.
    pub async fn deliver(&self, inputs: Vec<Input>) -> Result<(), Stopping> {
        let (committed, receipt) = oneshot::channel();
        let delivery = Delivery { bus: None, key: None, inputs };
        let events = self.0.upgrade().ok_or(Stopping)?;
        events
            .send(Parcel { delivery, committed: Some(committed), direct: false })
            .await
            .map_err(|_| Stopping)?;
        drop(events);
        receipt.await.map_err(|_| Stopping)
    }
}

impl OrderDesk {
    /// Gives an order and waits until what became of it is durable.
    ///
    /// # Errors
    /// [`Stopping`] when nobody takes orders any more; it is not known then whether it was carried out.
    pub async fn order(&self, command: Command) -> Result<OrderOutcome, Stopping> {
        let (outcome, told) = oneshot::channel();
        self.give(OrderParcel::Alarm(command, outcome)).await?;
        told.await.map_err(|_| Stopping)
    }

    /// Gives an order about the muster and waits until what became of it is durable.
    ///
    /// # Errors
    /// As [`OrderDesk::order`].
    pub async fn muster(&self, command: MusterCommand) -> Result<MusterOutcome, Stopping> {
        let (outcome, told) = oneshot::channel();
        self.give(OrderParcel::Muster(command, outcome)).await?;
        told.await.map_err(|_| Stopping)
    }

    async fn give(&self, parcel: OrderParcel) -> Result<(), Stopping> {
        let orders = self.0.upgrade().ok_or(Stopping)?;
        orders.send(parcel).await.map_err(|_| Stopping)
    }
}

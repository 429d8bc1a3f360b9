//! The way of orders to what may be switched, and the picture of it for pages.

use super::lanes::Stopping;
use crate::control::{By, Outcome, View};
use crate::model::ControlId;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Orders waiting; a full lane makes people wait.
pub const CONTROL_LANE: usize = 16;

/// An order on its way.
#[derive(Debug)]
pub struct ControlParcel {
    /// What is to be switched.
    pub control: ControlId,
    /// What to write.
    pub value: f64,
    /// Who says so.
    pub by: By,
    /// Why.
    pub reason: String,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Told when it is known.
    pub outcome: oneshot::Sender<Outcome>,
}

/// Where people give orders to the field, and see what may be switched.
#[derive(Debug, Clone)]
pub struct ControlDesk {
    enabled: bool,
    orders: mpsc::Sender<ControlParcel>,
    views: watch::Receiver<Arc<Vec<View>>>,
}

/// Where they arrive, and where the picture is shown.
#[derive(Debug)]
pub struct ControlOffice {
    /// Orders of people.
    pub orders: mpsc::Receiver<ControlParcel>,
    /// Every control as it stands.
    pub views: watch::Sender<Arc<Vec<View>>>,
}

/// Makes both ends; `enabled` says whether control is switched on.
#[must_use]
pub fn desk(enabled: bool) -> (ControlDesk, ControlOffice) {
    let (orders, orders_out) = mpsc::channel(CONTROL_LANE);
    let (views_in, views) = watch::channel(Arc::default());
    (ControlDesk { enabled, orders, views }, ControlOffice { orders: orders_out, views: views_in })
}

impl ControlDesk {
    /// Whether control is switched on.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Every control as it stands.
    #[must_use]
    pub fn views(&self) -> Arc<Vec<View>> {
        Arc::clone(&self.views.borrow())
    }

    /// Gives an order and waits until it is known what became of it; whoever stops waiting does not stop the order.
    ///
    /// # Errors
    /// [`Stopping`] when nobody takes orders any more; it is not known then whether it was carried out.
    pub async fn order(
        &self,
        control: ControlId,
        value: f64,
        by: By,
        (reason, dry_run): (String, bool),
    ) -> Result<Outcome, Stopping> {
        let told = self.give(control, value, by, (reason, dry_run)).await?;
        told.await.map_err(|_| Stopping)
    }

    /// Gives an order: those given one after the other arrive in that order. What became of it is told later; nothing is
    /// told where nobody takes orders any more.
    ///
    /// # Errors
    /// As [`ControlDesk::order`].
    pub async fn give(
        &self,
        control: ControlId,
        value: f64,
        by: By,
        (reason, dry_run): (String, bool),
    ) -> Result<oneshot::Receiver<Outcome>, Stopping> {
        let (outcome, told) = oneshot::channel();
        let parcel = ControlParcel { control, value, by, reason, dry_run, outcome };
        self.orders.send(parcel).await.map_err(|_| Stopping)?;
        Ok(told)
    }
}

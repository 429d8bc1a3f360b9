//! The way of orders to responses, and the picture of them for pages.

use super::lanes::Stopping;
use crate::model::ResponseId;
use crate::response::{Given, Refused, View};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Orders waiting; a full lane makes people wait.
const LANE: usize = 16;

/// What a person wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseOrder {
    /// The first step.
    Prepare {
        /// It is practised.
        drill: bool,
    },
    /// The second.
    Start {
        /// What the first gave.
        code: String,
    },
    /// All is clear.
    Clear {
        /// There is nobody else to say so.
        alone: bool,
    },
}

/// What it led to: the code of a first step, nothing else.
pub type ResponseOutcome = Result<Option<String>, Refused>;

/// An order on its way.
#[derive(Debug)]
pub struct ResponseParcel {
    /// Which response.
    pub id: ResponseId,
    /// What is wanted.
    pub order: ResponseOrder,
    /// Who wants it, and what they wrote.
    pub given: Given,
    /// Told at once: what came of each output shows in the picture.
    pub outcome: oneshot::Sender<ResponseOutcome>,
}

/// Where people begin and end responses, and see how they stand.
#[derive(Debug, Clone)]
pub struct ResponseDesk {
    orders: mpsc::Sender<ResponseParcel>,
    views: watch::Receiver<Arc<Vec<View>>>,
}

/// Where orders arrive, and where the picture is shown.
#[derive(Debug)]
pub struct ResponseOffice {
    /// Orders of people.
    pub orders: mpsc::Receiver<ResponseParcel>,
    /// Every response as it stands.
    pub views: watch::Sender<Arc<Vec<View>>>,
}

/// Makes both ends.
#[must_use]
pub fn desk() -> (ResponseDesk, ResponseOffice) {
    let (orders, orders_out) = mpsc::channel(LANE);
    let (views_in, views) = watch::channel(Arc::default());
    (ResponseDesk { orders, views }, ResponseOffice { orders: orders_out, views: views_in })
}

impl ResponseDesk {
    /// Every response as it stands.
    #[must_use]
    pub fn views(&self) -> Arc<Vec<View>> {
        Arc::clone(&self.views.borrow())
    }

    /// Gives an order and waits until it is known whether it is carried out; the picture shows it then.
    ///
    /// # Errors
    /// [`Stopping`] when nobody takes orders any more.
    pub async fn order(
        &self,
        id: ResponseId,
        order: ResponseOrder,
        given: Given,
    ) -> Result<ResponseOutcome, Stopping> {
        let (outcome, told) = oneshot::channel();
        let parcel = ResponseParcel { id, order, given, outcome };
        self.orders.send(parcel).await.map_err(|_| Stopping)?;
        told.await.map_err(|_| Stopping)
    }
}

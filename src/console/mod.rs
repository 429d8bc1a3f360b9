//! The API: how everything stands, what is stored, and the orders of people.
//!
//! It listens on loopback only until sign-in exists. A browser on the same machine must not become a way in for a
//! page from elsewhere, so requests that name another host or come from another origin are refused.

mod alarms;
mod api;
mod campus;
mod controls;
mod drill;
mod feed;
mod guard;
mod herald;
mod pages;
mod people;
mod pictures;
mod problem;
mod reports;
mod responses;
mod route;
mod site;
mod stream;
#[cfg(test)]
mod testing;
mod views;
mod who;

pub use api::router;
pub use feed::Feed;
pub use herald::Herald;
pub use problem::Problem;
pub use stream::{BlankBoard, STREAMS, Streams};
pub use who::{Via, Who};

use crate::capture::Shelf;
use crate::config::{Device, Ground, Site};
use crate::model::{ChannelId, DestinationId, DeviceId, Place, PlaceId};
use crate::northbound::DestinationStatus;
use crate::pipeline::Live;
use crate::report::Duty;
use crate::runtime::lanes::{OrderDesk, PeopleDesk};
use crate::runtime::{Chain, Clock, ControlDesk, ResponseDesk, Tally};
use crate::store::WeakHandle;
use axum::Router;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What the API looks at.
#[derive(Clone)]
pub struct Console {
    /// The configured devices.
    pub devices: Arc<BTreeMap<DeviceId, Device>>,
    /// The places of the school.
    pub places: Arc<BTreeMap<PlaceId, Place>>,
    /// Floor plans, what to do, whom to call.
    pub ground: Arc<Ground>,
    /// The school.
    pub site: Arc<Site>,
    /// Who is on duty, and when shifts begin.
    pub duty: Arc<Duty>,
    /// Where the database lives.
    pub data_dir: PathBuf,
    /// How everything stands.
    pub live: watch::Receiver<Arc<Live>>,
    /// How each destination is doing.
    pub destinations: Arc<BTreeMap<DestinationId, watch::Receiver<DestinationStatus>>>,
    /// What was counted.
    pub tally: Arc<Tally>,
    /// Where orders about alarms go.
    pub orders: OrderDesk,
    /// Where orders to switch something go.
    pub controls: ControlDesk,
    /// Where responses are begun and ended.
    pub responses: ResponseDesk,
    /// Where changes to the table of persons go.
    pub people: PeopleDesk,
    /// The store, for what an erasure has to do to its files.
    pub store: WeakHandle,
    /// Who follows.
    pub streams: Streams,
    /// Pictures of alarms.
    pub pictures: Shelf,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Tracks of persons may be asked for.
    pub track: bool,
    /// The channels by which people are told of drills.
    pub drill_channels: Arc<[ChannelId]>,
}

/// What is being answered at a stop may take this long to end.
const GRACE: Duration = Duration::from_millis(500);

/// Serves until told to stop; what is being answered then is finished, unless it takes longer than half a second.
pub async fn serve(listener: TcpListener, routes: Router, stop: watch::Receiver<bool>) {
    let stopped = |mut stop: watch::Receiver<bool>| async move {
        // A sender that is gone means the same as a stop.
        drop(stop.wait_for(|stop| *stop).await);
    };
    let serving = axum::serve(listener, guard::guarded(routes)).with_graceful_shutdown(stopped(stop.clone()));
    let enough = async {
        stopped(stop).await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = serving.into_future() => {
            if let Err(error) = served {
                tracing::error!(error = %Chain(&error), "the API stopped serving");
            }
        }
        () = enough => tracing::debug!("requests that did not end were cut off"),
    }
}

//! The API: how everything stands, what is stored, and the orders of people.
//!
//! Who asks is known before any route is taken, and a route is taken only with its right. A browser must not become a way
//! in for a page from elsewhere: requests that name another host or come from another origin are refused, and changes by
//! a session bear what only our own page can read.

mod account;
mod accounts;
mod alarms;
mod api;
mod approvals;
mod audit;
mod campus;
mod controls;
pub mod door;
mod drill;
mod energy;
mod feed;
mod guard;
mod herald;
mod jobs;
pub mod oidc;
mod openapi;
mod pages;
mod people;
mod pictures;
mod probe;
mod problem;
mod reports;
mod responses;
mod route;
mod rules;
mod session;
pub mod setup;
mod site;
mod stream;
#[cfg(test)]
mod testing;
mod uploads;
mod views;
mod who;

pub use accounts::{AccessError, Accounts, LOCAL_TOKEN, Notes, Opened, Proof};
pub use api::{router, routes};
pub use feed::Feed;
pub use guard::{Hosts, guarded};
pub use herald::Herald;
pub use jobs::{Desk as JobDesk, Office, Parts as JobParts, Work, office};
pub use problem::Problem;
pub use route::Route;
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
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What the API looks at.
#[derive(Clone)]
pub struct Console {
    /// Who may come in.
    pub accounts: Arc<Accounts>,
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
    /// The first run, while there is no configuration.
    pub setup: Option<Arc<setup::Setup>>,
    /// The door to other machines.
    pub front: door::Front,
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
    /// What jobs and the pages beside them need to know.
    pub work: Arc<Work>,
    /// Where jobs are ordered.
    pub jobs: JobDesk,
}

/// What is being answered at a stop may take this long to end.
const GRACE: Duration = Duration::from_millis(500);

/// Serves until told to stop; what is being answered then is finished, unless it takes longer than half a second.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    accounts: Arc<Accounts>,
    stop: watch::Receiver<bool>,
) {
    let stopped = |mut stop: watch::Receiver<bool>| async move {
        // A sender that is gone means the same as a stop.
        drop(stop.wait_for(|stop| *stop).await);
    };
    let routes = guarded(routes, Hosts::loopback(), accounts);
    let serving = axum::serve(listener, routes.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(stopped(stop.clone()));
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

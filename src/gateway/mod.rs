//! Builds the rooms, joins them, and takes them down in the order in which data flows; decides nothing.

mod heads;
mod pipe;
mod responder;
mod switchboard;

pub use pipe::Pipe;

use crate::alarm::{DayHours, Policy, Route};
use crate::capture::{self, Capture, Shelf};
use crate::config::{self, Bus, BusKind, ChannelKind, Config, Destination, Device};
use crate::console::door::{Door, DoorError};
use crate::console::setup::Setup;
use crate::console::{self, AccessError, Accounts, BlankBoard, Console, Feed, Streams};
use crate::model::{AlarmChange, ChannelId, DestinationId, DeviceId, Now, Place, PlaceId};
use crate::northbound::{DestinationStatus, Outages, Uplink, UplinkError};
use crate::notify::bell::{self, Bell};
use crate::notify::desk::{self, Desk};
use crate::notify::{self, Means, Notifier, NotifyError};
use crate::ops;
use crate::pipeline::{Pipeline, Settings};
use crate::response::{Does, Response};
use crate::rules::{Engine, Finding};
use crate::runtime::lanes::{OrderDesk, lanes};
use crate::runtime::tasks::Ended;
use crate::runtime::{Chain, Clock, Inlet, SystemClock, Tally, Tasks, control_desk, response_desk, service};
use crate::southbound::polled::CommandBook;
use crate::southbound::{self, Field};
use crate::store::{self, Reader, Store, StoreError};
use responder::Responder;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use switchboard::{Parts, Switchboard};
use tokio::sync::{mpsc, oneshot, watch};

/// A clean stop is over within this time, or the process ends all the same.
pub const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Pause between two looks at whether platforms answer.
const OUTAGE_LOOK: Duration = Duration::from_secs(5);

/// Why the gateway could not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The store cannot be used.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// It is not known who may come in.
    #[error("the accounts cannot be used")]
    Access(#[from] AccessError),
    /// A destination cannot be used.
    #[error("an uplink cannot be made")]
    Uplink(#[from] UplinkError),
    /// A channel cannot be used.
    #[error("a way to tell people cannot be made")]
    Notify(#[from] NotifyError),
    /// The API's address cannot be had.
    #[error("cannot listen on {address}: is another program using the port?")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The console's door cannot open.
    #[error("the console")]
    Door(#[from] DoorError),
    /// A task that must not end has ended.
    #[error("the task '{name}' ended: {how}")]
    Task {
        /// Which.
        name: &'static str,
        /// How.
        how: String,
    },
    /// The clean stop took too long.
    #[error("the stop took longer than {} s", STOP_LIMIT.as_secs())]
    StopLimit,
}

/// Runs the gateway until `stop` becomes true.
///
/// # Errors
/// When it cannot start, or when the pipeline or the store fails; the service manager starts it again.
pub async fn run(config: Config, stop: watch::Receiver<bool>) -> Result<(), GatewayError> {
    run_with(config, None, stop).await
}

/// The same, for a gateway that somebody sets up meanwhile.
///
/// # Errors
/// As [`run`].
pub async fn run_with(
    config: Config,
    setup: Option<Arc<Setup>>,
    stop: watch::Receiver<bool>,
) -> Result<(), GatewayError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let tally = Arc::new(Tally::default());
    let (mut store, mut remembered) = Store::take_up(&config.data_dir, config.aggregate_secs)?;
    store.set_budget(config.budget_mb);
    store.school_days(config.site.zone.clone());
    store.set_keep(config.privacy.keep);
    let site_key = store.site_key()?;
    let (forgetful, noted) = (store.rescued().is_some(), std::mem::take(&mut remembered.controls));
    let responses_noted = remembered.responses.take();

    let places = Arc::new(config.world.places.clone());
    let world = Arc::new(config.world);
    let settings = Settings {
        gateway: config.site.gateway.clone(),
        aggregate_secs: config.aggregate_secs,
        destinations: config.destinations.iter().map(|d| d.id.clone()).collect(),
        campus: config.campus,
        alarms: config.alarms,
        areas: config.areas,
    };
    let engine = Engine::new(config.rules);
    let began = clock.now();
    let mut pipeline = Pipeline::start(began, settings, Arc::clone(&world), engine, remembered);
    pipeline.note_start(began);
    warm(&mut pipeline, &store, clock.now());
    let (handle, thread) = store::open(store, Arc::clone(&clock), Arc::clone(&tally))?;
    let (inlet, outlet) = lanes();
    let (live, live_seen) = watch::channel(Arc::new(pipeline.live(clock.now().wall)));
    let (findings, findings_out) = mpsc::channel(switchboard::FINDINGS);
    let (bell, heard) = bell::bell();
    let feed = Feed::new();
    let pipe = Pipe {
        pipeline,
        outlet,
        store: handle.clone(),
        clock: Arc::clone(&clock),
        tally: Arc::clone(&tally),
        live,
        buses: config.devices.values().map(|d| (d.id.clone(), d.bus.clone())).collect(),
        findings: findings_out,
        bell: if config.channels.is_empty() { Bell::unheard() } else { bell },
        feed: feed.clone(),
    };

    let mut uplinks = Tasks::new();
    let (uplinks_stop, uplinks_stopped) = watch::channel(false);
    let statuses = start_uplinks(
        &mut uplinks,
        (&config.destinations, &config.site),
        (&handle, &clock, &tally),
        &uplinks_stopped,
    )?;

    let watching = watch_uplinks(statuses.clone(), findings.clone(), Arc::clone(&clock));
    uplinks.spawn("outages", until_stopped(watching, uplinks_stopped.clone()));
    if !config.destinations.is_empty() {
        let heads = heads::send(config.data_dir.clone(), inlet.people_desk(), Arc::clone(&clock));
        uplinks.spawn("heads", until_stopped(heads, uplinks_stopped));
    }
    let devices = Arc::new(config.devices);
    let (site, duty) = (Arc::new(config.site), Arc::new(config.duty));
    let pictures = Shelf::new(&config.data_dir, config.privacy.pictures_days, picture_room(config.budget_mb));
    let (desk, office) = control_desk::desk(config.controls.enabled);
    let (response_desk, response_office) = response_desk::desk();
    let (accounts, notes) = Accounts::open(&config.data_dir, Arc::clone(&clock), Arc::clone(&tally))?;
    let door = match &config.console {
        Some(console) => Some(Door::open(console, &config.data_dir, Arc::clone(&clock)).await?),
        None => None,
    };
    let commands = CommandBook::default();
    let work = Arc::new(console::Work {
        source: config.source,
        profiles: setup.as_ref().and_then(|setup| setup.profiles().map(Path::to_path_buf)),
        buses: config.buses.clone(),
        commands: commands.clone(),
        rules: config.written_rules,
        world: Arc::clone(&world),
        budget_bytes: u64::from(config.budget_mb) * 1024 * 1024,
    });
    let (jobs, job_office) = console::office(console::JobParts {
        data_dir: config.data_dir.clone(),
        work: Arc::clone(&work),
        devices: Arc::clone(&devices),
        places: Arc::clone(&places),
        zone: site.zone.clone(),
        clock: Arc::clone(&clock),
    });
    let mut edges = Tasks::new();
    let (edges_stop, edges_stopped) = watch::channel(false);
    let (streams, board) = Streams::new(feed, edges_stopped.clone());
    let console = Console {
        accounts,
        setup,
        front: door.as_ref().map(Door::front).unwrap_or_default(),
        devices: Arc::clone(&devices),
        places: Arc::clone(&places),
        ground: Arc::new(config.ground),
        site: Arc::clone(&site),
        duty,
        data_dir: config.data_dir.clone(),
        live: live_seen.clone(),
        tally: Arc::clone(&tally),
        destinations: Arc::new(statuses),
        orders: inlet.desk(),
        controls: desk.clone(),
        responses: response_desk,
        people: inlet.people_desk(),
        store: handle.weak(),
        streams,
        pictures: pictures.clone(),
        clock: Arc::clone(&clock),
        track: config.privacy.track,
        drill_channels: config.channels.iter().filter(|of| of.drill).map(|of| of.id.clone()).collect(),
        work,
        jobs,
    };
    let means = Means {
        clock: Arc::clone(&clock),
        tally: Arc::clone(&tally),
        site: Arc::clone(&site),
        controls: desk.clone(),
    };
    let responder = Responder::new(responder::Parts {
        channels: response_channels(&config.responses, &config.channels, &means)?,
        responses: config.responses,
        noted: responses_noted,
        controls: desk,
        office: response_office,
        live: live_seen.clone(),
        findings: findings.clone(),
        notes: inlet.people_desk(),
        clock: Arc::clone(&clock),
        tally: Arc::clone(&tally),
    });
    let told = Told {
        channels: config.channels,
        drill: live_seen.borrow().drill.is_some(),
        policies: config.ladders.all,
        places: Arc::clone(&places),
        data_dir: config.data_dir.clone(),
        heard,
        orders: inlet.desk(),
        findings: findings.clone(),
    };
    let telling = start_telling(told, means)?;

    edges.spawn("access", notes.run(inlet.people_desk(), edges_stopped.clone()));
    start_api(&mut edges, (config.http, door), (console, board), Arc::clone(&tally), &edges_stopped).await?;
    let field = Field {
        inlet: inlet.clone(),
        clock: Arc::clone(&clock),
        tally,
        site_key,
        site,
        commands,
        allow_health: config.privacy.allow_health,
    };
    start_drivers(&mut edges, &config.buses, &devices, &field, &edges_stopped);
    edges.spawn("responder", responder.run(edges_stopped.clone()));
    edges.spawn("jobs", job_office.run(edges_stopped.clone()));
    let cameras = cameras(&config.buses, &devices, &config.views);
    if !cameras.is_empty() {
        let with = (Arc::clone(&clock), Arc::clone(&field.tally));
        let capture = Capture::new(cameras, places, pictures, with, live_seen.clone());
        edges.spawn("capture", capture.run(edges_stopped));
    }
    let parts = Parts {
        controls: config.controls,
        remembered: noted,
        forgetful,
        devices: Arc::clone(&devices),
        field,
        office,
        live: live_seen,
        findings,
    };
    let (switching, switching_stop) = start_switching(&mut edges, parts, handle);

    let (pipe_done, pipe_ended) = oneshot::channel();
    let mut middle = Tasks::new();
    middle.spawn("pipeline", async move {
        // The receiver is gone only when the process is ending anyway.
        pipe_done.send(pipe.run().await).ok();
    });
    service::ready();
    tracing::info!(
        http = %config.http, buses = config.buses.len(), devices = devices.len(),
        destinations = config.destinations.len(), "schoolgate is ready"
    );
    let running = Running {
        inlet,
        switching,
        switching_stop,
        edges,
        edges_stop,
        middle,
        pipe_ended,
        telling,
        uplinks,
        uplinks_stop,
    };
    running.until(stop, thread).await
}

/// Shows the rules the stored periods that they look back on. Without them they begin anew: no reason not to start.
fn warm(pipeline: &mut Pipeline, store: &Store, now: Now) {
    let wanted = pipeline.recalls();
    if let Err(error) = store.periods(&wanted, now.wall, |period| pipeline.recall(now, period)) {
        tracing::error!(error = %Chain(&error), "rules begin without some of the periods before the start");
    }
}

type Statuses = BTreeMap<DestinationId, watch::Receiver<DestinationStatus>>;

fn start_uplinks(
    uplinks: &mut Tasks,
    (destinations, site): (&[Destination], &crate::config::Site),
    (handle, clock, tally): (&store::Handle, &Arc<dyn Clock>, &Arc<Tally>),
    stopped: &watch::Receiver<bool>,
) -> Result<Statuses, GatewayError> {
    let mut statuses = BTreeMap::new();
    for destination in destinations {
        let uplink = Uplink::new(destination, site, handle.clone(), Arc::clone(clock), Arc::clone(tally))?;
        statuses.insert(destination.id.clone(), uplink.status());
        uplinks.spawn("uplink", uplink.run(stopped.clone()));
    }
    Ok(statuses)
}

/// Reports platforms that do not answer for long.
async fn watch_uplinks(statuses: Statuses, findings: mpsc::Sender<Finding>, clock: Arc<dyn Clock>) {
    let mut outages = Outages::default();
    loop {
        let seen: Vec<_> = statuses.iter().map(|(id, status)| (id, status.borrow().clone())).collect();
        for finding in outages.look(clock.now(), seen.iter().map(|(id, status)| (*id, status))) {
            // A pipe that is gone ends the process anyway.
            findings.send(finding).await.ok();
        }
        tokio::time::sleep(OUTAGE_LOOK).await;
    }
}

async fn until_stopped(work: impl Future<Output = ()>, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        // A sender that is gone means the same as a stop.
        _ = stop.wait_for(|stop| *stop) => {}
        () = work => {}
    }
}

async fn start_api(
    edges: &mut Tasks,
    (address, door): (SocketAddr, Option<Door>),
    (console, board): (Console, BlankBoard),
    tally: Arc<Tally>,
    stopped: &watch::Receiver<bool>,
) -> Result<(), GatewayError> {
    let bound = tokio::net::TcpListener::bind(address).await;
    let listener = bound.map_err(|cause| GatewayError::Listen { address, cause })?;
    let (figures, seen) = ops::figures(&console);
    edges.spawn("herald", until_stopped(board.herald(console.clone()).run(), stopped.clone()));
    edges.spawn("figures", until_stopped(figures, stopped.clone()));
    let pages = ops::router(&console, tally, seen);
    let accounts = Arc::clone(&console.accounts);
    if let Some(door) = door {
        // Without the metrics: they are for this machine's own collector and ask nobody who they are.
        let routes = console::router(console.clone());
        let guarded = console::guarded(routes, door.hosts(), Arc::clone(&accounts));
        edges.spawn("console", door.serve(guarded, stopped.clone()));
    }
    let routes = console::router(console).merge(pages);
    edges.spawn("http", console::serve(listener, routes, accounts, stopped.clone()));
    Ok(())
}

fn start_drivers(
    edges: &mut Tasks,
    buses: &[Bus],
    devices: &BTreeMap<DeviceId, Device>,
    field: &Field,
    stopped: &watch::Receiver<bool>,
) {
    for bus in buses {
        let on_it: Vec<Device> = devices.values().filter(|d| d.bus == bus.id).cloned().collect();
        for driver in southbound::drivers(bus, &on_it) {
            edges.spawn("driver", southbound::supervise(driver, field.clone(), stopped.clone()));
        }
    }
}

/// Pictures take at most this much of the room that all data may take, bytes.
fn picture_room(budget_mb: u32) -> u64 {
    const MIB: u64 = 1024 * 1024;
    (u64::from(budget_mb) * MIB / 8).min(256 * MIB)
}

fn cameras(
    buses: &[Bus],
    devices: &BTreeMap<DeviceId, Device>,
    views: &BTreeMap<DeviceId, Vec<PlaceId>>,
) -> Vec<capture::Camera> {
    let onvif = |device: &Device| match &buses.iter().find(|bus| bus.id == device.bus)?.kind {
        BusKind::Onvif(settings) => Some(capture::Camera {
            device: device.clone(),
            settings: settings.clone(),
            views: views.get(&device.id).cloned().unwrap_or_default(),
        }),
        _ => None,
    };
    devices.values().filter_map(onvif).collect()
}

/// The channels that responses use, with a connection of their own: nobody there waits behind alarms.
fn response_channels(
    responses: &[Arc<Response>],
    channels: &[config::Channel],
    means: &Means,
) -> Result<BTreeMap<ChannelId, Box<dyn Notifier>>, NotifyError> {
    let outputs = responses.iter().flat_map(|response| &response.outputs);
    let named: BTreeSet<&ChannelId> = outputs
        .filter_map(|output| match &output.does {
            Does::Tell { channel, .. } => Some(channel),
            Does::Switch { .. } => None,
        })
        .collect();
    let mut made = BTreeMap::new();
    for channel in channels.iter().filter(|channel| named.contains(&channel.id)) {
        let mut own = channel.clone();
        if let ChannelKind::Mqtt(mqtt) = &mut own.kind {
            // A broker lets nobody in twice by one name.
            mqtt.broker.client_id.push_str("-response");
        }
        made.insert(channel.id.clone(), notify::notifier(&own, means)?);
    }
    Ok(made)
}

/// Whom to tell, and what is needed for it.
struct Told {
    channels: Vec<config::Channel>,
    /// A drill of the run before goes on.
    drill: bool,
    policies: Vec<Policy>,
    places: Arc<BTreeMap<PlaceId, Place>>,
    data_dir: PathBuf,
    heard: mpsc::Receiver<AlarmChange>,
    orders: OrderDesk,
    findings: mpsc::Sender<Finding>,
}

/// Begins to tell people, of what nobody took before the start at once. Without a channel there is nothing to do.
fn start_telling(told: Told, means: Means) -> Result<Tasks, GatewayError> {
    let mut telling = Tasks::new();
    if told.channels.iter().all(|channel| channel.drill) {
        tracing::warn!("there is no [[channel]] but for drills: nobody will be told of alarms");
    }
    if told.channels.is_empty() {
        return Ok(telling);
    }
    let mut climbed = Reader::open(&told.data_dir)?.climbed()?;
    climbed.retain(|one| told.drill || !one.alarm.marks.drill);
    let mut channels = Vec::new();
    for channel in &told.channels {
        let notifier = notify::notifier(channel, &means)?;
        let quiet = channel.quiet.map(|hours| DayHours { from: hours.from, until: hours.until });
        let route = Route { rate: notifier.rate(), local: channel.is_local(), quiet, drill: channel.drill };
        channels.push(desk::Channel { id: channel.id.clone(), route, notifier });
    }
    let parts = desk::Parts {
        channels,
        policies: told.policies,
        places: told.places,
        zone: means.site.zone.clone(),
        climbed,
        heard: told.heard,
        orders: told.orders,
        findings: told.findings,
        clock: means.clock,
        tally: means.tally,
    };
    telling.spawn("desk", Desk::new(parts).run());
    Ok(telling)
}

/// What is switched is written down by a clerk of its own, who ends after the last note.
fn start_switching(edges: &mut Tasks, parts: Parts, handle: store::Handle) -> (Tasks, watch::Sender<bool>) {
    let (stop, stopped) = watch::channel(false);
    let (board, desk) = Switchboard::new(parts);
    let mut switching = Tasks::new();
    switching.spawn("switchboard", board.run(stopped));
    edges.spawn("clerk", switchboard::clerk(desk, handle));
    (switching, stop)
}

struct Running {
    /// Keeps the pipe open until the stop, even where no driver does.
    inlet: Inlet,
    /// What switches things: it needs the drivers to bring them back to rest.
    switching: Tasks,
    switching_stop: watch::Sender<bool>,
    /// Drivers and the API: what puts things into the pipe.
    edges: Tasks,
    edges_stop: watch::Sender<bool>,
    /// The pipeline.
    middle: Tasks,
    pipe_ended: oneshot::Receiver<Result<(), StoreError>>,
    /// What tells people; it ends behind the pipeline.
    telling: Tasks,
    /// What takes things out of the store.
    uplinks: Tasks,
    uplinks_stop: watch::Sender<bool>,
}

impl Running {
    async fn until(
        mut self,
        mut stop: watch::Receiver<bool>,
        store: std::thread::JoinHandle<()>,
    ) -> Result<(), GatewayError> {
        tokio::select! {
            // A sender that is gone means the same as a stop.
            _ = stop.wait_for(|stop| *stop) => {}
            ended = &mut self.pipe_ended => return Err(pipe_failure(ended, &mut self.middle).await),
            Some((name, how)) = self.switching.next_ended() => return Err(task_failure(name, how)),
            Some((name, how)) = self.edges.next_ended() => return Err(task_failure(name, how)),
            Some((name, how)) = self.telling.next_ended() => return Err(task_failure(name, how)),
            Some((name, how)) = self.uplinks.next_ended() => return Err(task_failure(name, how)),
        }
        tracing::info!("stopping");
        tokio::time::timeout(STOP_LIMIT, self.stop(store)).await.map_err(|_| GatewayError::StopLimit)?
    }

    /// What is on for a while returns to rest first. Then it stops in the order in which data flows: the field, the
    /// pipeline, the uplinks, the store.
    async fn stop(mut self, store: std::thread::JoinHandle<()>) -> Result<(), GatewayError> {
        self.switching_stop.send_replace(true);
        while self.switching.next_ended().await.is_some() {}
        self.edges_stop.send_replace(true);
        self.uplinks_stop.send_replace(true);
        while self.edges.next_ended().await.is_some() {}
        drop(self.inlet);
        // Nobody can put anything in any more: the pipe commits what is queued and ends by itself.
        match self.pipe_ended.await {
            Ok(Ok(())) => {}
            ended => return Err(pipe_failure(ended, &mut self.middle).await),
        }
        while self.telling.next_ended().await.is_some() {}
        while self.uplinks.next_ended().await.is_some() {}
        // The last handle is gone with the last uplink; the thread closes the file.
        let closed = tokio::task::spawn_blocking(move || store.join()).await;
        if !matches!(closed, Ok(Ok(()))) {
            return Err(task_failure("store", Ended::Aborted));
        }
        tracing::info!("stopped; everything accepted is on disk");
        Ok(())
    }
}

async fn pipe_failure(
    ended: Result<Result<(), StoreError>, oneshot::error::RecvError>,
    middle: &mut Tasks,
) -> GatewayError {
    match ended {
        Ok(Err(error)) => error.into(),
        Ok(Ok(())) => task_failure("pipeline", Ended::Done),
        Err(_) => match middle.next_ended().await {
            Some((name, how)) => task_failure(name, how),
            None => task_failure("pipeline", Ended::Aborted),
        },
    }
}

fn task_failure(name: &'static str, how: Ended) -> GatewayError {
    let how = match how {
        Ended::Done => "it returned although it should run for ever".to_owned(),
        Ended::Panicked(message) => format!("panic: {message}"),
        Ended::Aborted => "it was cut off".to_owned(),
    };
    GatewayError::Task { name, how }
}

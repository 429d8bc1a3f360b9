//! A console over a store of its own, for tests of what it answers.

use super::door::Front;
use super::{Accounts, BlankBoard, Console, Feed, JobParts, Streams, Work, office};
use crate::calendar::Calendar;
use crate::capture::Shelf;
use crate::config::{Ground, Site};
use crate::model::{DeviceId, SubMeters, Wall};
use crate::pipeline::Live;
use crate::report::Duty;
use crate::rules::World;
use crate::runtime::lanes::{Inlet, Outlet, lanes};
use crate::runtime::{Clock, ManualClock, Tally, control_desk, response_desk};
use crate::southbound::polled::CommandBook;
use crate::store::{self, Handle, Store};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::watch;

/// When tests begin.
pub(super) const AT: Wall = Wall(1_790_000_000_000);

/// A console and what stands behind it.
pub(super) struct Scene {
    pub(super) console: Console,
    pub(super) board: Option<BlankBoard>,
    pub(super) feed: Feed,
    pub(super) clock: Arc<ManualClock>,
    pub(super) live: watch::Sender<Arc<Live>>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) handle: Handle,
    _lanes: (Inlet, Outlet),
    _dir: TempDir,
}

/// A console whose ring has so much room.
pub(super) fn scene(ring: usize) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(AT));
    let dynamic = Arc::clone(&clock) as Arc<dyn Clock>;
    let tally = Arc::new(Tally::default());
    let (handle, _thread) =
        store::open(Store::open(dir.path()).unwrap(), Arc::clone(&dynamic), Arc::clone(&tally)).unwrap();
    let (inlet, outlet) = lanes();
    let (live, seen) = watch::channel(Arc::default());
    let (stop, stopped) = watch::channel(false);
    let feed = Feed::of(ring);
    let (streams, board) = Streams::new(feed.clone(), stopped);
    let (accounts, _) = Accounts::open(dir.path(), Arc::clone(&dynamic), Arc::clone(&tally)).unwrap();
    let work = Arc::new(Work {
        source: PathBuf::new(),
        profiles: None,
        buses: Vec::new(),
        commands: CommandBook::default(),
        rules: Vec::new(),
        world: Arc::new(World {
            devices: BTreeMap::new(),
            sub_meters: SubMeters::default(),
            places: BTreeMap::new(),
            calendar: Arc::new(Calendar::default_school(TimeZone::UTC)),
            calendars: BTreeMap::new(),
            aggregate_secs: 900,
        }),
        budget_bytes: 0,
    });
    let (jobs, _) = office(JobParts {
        data_dir: dir.path().to_owned(),
        work: Arc::clone(&work),
        devices: Arc::default(),
        places: Arc::default(),
        zone: TimeZone::UTC,
        clock: Arc::clone(&dynamic),
    });
    let console = Console {
        accounts,
        front: Front::default(),
        work,
        jobs,
        setup: None,
        devices: Arc::default(),
        places: Arc::default(),
        ground: Arc::new(Ground::default()),
        site: Arc::new(Site {
            gateway: DeviceId::new("gw").unwrap(),
            name: "测试小学".into(),
            school_code: None,
            zone: TimeZone::UTC,
        }),
        duty: Arc::new(Duty::usual(TimeZone::UTC)),
        data_dir: dir.path().to_owned(),
        live: seen,
        destinations: Arc::default(),
        tally,
        orders: inlet.desk(),
        controls: control_desk::desk(false).0,
        responses: response_desk::desk().0,
        people: inlet.people_desk(),
        store: handle.weak(),
        streams,
        pictures: Shelf::new(dir.path(), 30, 1_000_000),
        clock: dynamic,
        track: false,
        drill_channels: Arc::default(),
    };
    Scene { console, board: Some(board), feed, clock, live, stop, handle, _lanes: (inlet, outlet), _dir: dir }
}

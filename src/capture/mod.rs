//! Asks the cameras of an alarm's place for a picture. The alarm never waits for it: this looks at what is open, and
//! what it cannot do is counted.

mod shelf;

pub use shelf::{Name, Shelf};

use crate::config::{Device, Onvif};
use crate::model::{Alarm, AlarmId, DeviceId, Mono, Place, PlaceId, Priority};
use crate::pipeline::Live;
use crate::runtime::tally::Count;
use crate::runtime::{Chain, Clock, Tally};
use crate::southbound::Failure;
use crate::southbound::onvif::still::Still;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Cameras asked for one alarm.
const CAMERAS: usize = 4;
/// Cameras asked at the same time.
const AT_ONCE: usize = 4;
/// Pictures that wait to be taken; of more the least urgent are left out.
const WAITING: usize = 256;
/// A picture that could not be taken within this time would show something else.
const TOO_LATE: Duration = Duration::from_secs(30);
/// Alarms that come so soon after each other share a camera's picture.
const SAME: Duration = Duration::from_secs(2);
/// Pictures of one alarm whose cause comes back again and again.
const PER_ALARM: u32 = 6;
/// Places are at most this deep; a circle of parents ends here.
const MAX_PLACE_DEPTH: usize = 16;

/// A camera and what it looks at.
#[derive(Debug, Clone)]
pub struct Camera {
    /// The camera.
    pub device: Device,
    /// How it is spoken to.
    pub settings: Onvif,
    /// Places that it sees besides its own.
    pub views: Vec<PlaceId>,
}

/// Takes pictures for alarms.
pub struct Capture {
    cameras: BTreeMap<DeviceId, Camera>,
    places: Arc<BTreeMap<PlaceId, Place>>,
    shelf: Shelf,
    clock: Arc<dyn Clock>,
    tally: Arc<Tally>,
    live: watch::Receiver<Arc<Live>>,
}

/// One picture to take. The order is that of urgency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Job {
    priority: Priority,
    alarm: AlarmId,
    camera: DeviceId,
    since: Mono,
}

/// A camera that came back from its work.
struct Back {
    job: Job,
    lens: Lens,
    outcome: Outcome,
}

/// A camera between two pictures.
#[derive(Default)]
struct Lens {
    still: Option<Still>,
    last: Option<(Mono, Name)>,
}

#[derive(Debug)]
enum Outcome {
    Taken,
    Failed(Failure),
    NotKept(io::Error),
}

impl Capture {
    /// For these cameras; what is open already is not looked at again.
    #[must_use]
    pub fn new(
        cameras: Vec<Camera>,
        places: Arc<BTreeMap<PlaceId, Place>>,
        shelf: Shelf,
        (clock, tally): (Arc<dyn Clock>, Arc<Tally>),
        live: watch::Receiver<Arc<Live>>,
    ) -> Self {
        let cameras = cameras.into_iter().map(|camera| (camera.device.id.clone(), camera)).collect();
        Self { cameras, places, shelf, clock, tally, live }
    }

    /// Works until told to stop; a picture that is being taken then is left.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut seen = self.first_look();
        let mut waiting: BTreeSet<Job> = BTreeSet::new();
        let mut lenses: BTreeMap<DeviceId, Lens> =
            self.cameras.keys().map(|id| (id.clone(), Lens::default())).collect();
        let mut working: FuturesUnordered<BoxFuture<'static, Back>> = FuturesUnordered::new();
        self.prune().await;
        loop {
            while working.len() < AT_ONCE
                && let Some((job, lens)) = next(&mut waiting, &mut lenses)
            {
                working.extend(self.begin(job, lens, &mut lenses));
            }
            tokio::select! {
                () = stopped(&mut stop) => return,
                Some(back) = working.next() => self.settle(back, &mut lenses).await,
                changed = self.live.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.look(&mut seen, &mut waiting);
                }
            }
        }
    }

    /// What was open before the start had its pictures then.
    fn first_look(&mut self) -> BTreeMap<AlarmId, u32> {
        let live = self.live.borrow_and_update();
        live.alarms.iter().map(|alarm| (alarm.id, alarm.occurrences)).collect()
    }

    fn look(&mut self, seen: &mut BTreeMap<AlarmId, u32>, waiting: &mut BTreeSet<Job>) {
        let now = self.clock.now().mono;
        let live = Arc::clone(&self.live.borrow_and_update());
        let mut open = BTreeMap::new();
        for alarm in &live.alarms {
            open.insert(alarm.id, alarm.occurrences);
            let before = seen.get(&alarm.id).copied().unwrap_or(0);
            // In a drill there is nothing to see.
            if alarm.marks.drill || alarm.occurrences == before || before >= PER_ALARM {
                continue;
            }
            for camera in self.cameras_of(alarm) {
                waiting.insert(Job { priority: alarm.priority, alarm: alarm.id, camera, since: now });
            }
        }
        *seen = open;
        while waiting.len() > WAITING {
            waiting.pop_last();
            self.tally.pictures.of(&"left_out").one();
        }
    }

    /// The cameras that see the alarm's place; where none does, those of the nearest place around it that has any. A
    /// camera's own alarm is first of all its own.
    fn cameras_of(&self, alarm: &Alarm) -> Vec<DeviceId> {
        if let Some(camera) = alarm.device.as_ref().and_then(|device| self.cameras.get_key_value(device)) {
            return vec![camera.0.clone()];
        }
        let around =
            std::iter::successors(alarm.place.as_ref(), |place| self.places.get(*place)?.parent.as_ref());
        let seen_by = |place: &PlaceId| -> Vec<DeviceId> {
            let sees = |camera: &&Camera| camera.device.place == *place || camera.views.contains(place);
            self.cameras.values().filter(sees).map(|camera| camera.device.id.clone()).take(CAMERAS).collect()
        };
        around.take(MAX_PLACE_DEPTH).map(seen_by).find(|cameras| !cameras.is_empty()).unwrap_or_default()
    }

    /// Sends a camera to work, unless it is too late or there is no room; then it is counted.
    fn begin(
        &self,
        job: Job,
        mut lens: Lens,
        lenses: &mut BTreeMap<DeviceId, Lens>,
    ) -> Option<BoxFuture<'static, Back>> {
        let now = self.clock.now();
        let (used, budget) = (self.tally.store_bytes.get(), self.tally.store_budget_bytes.get());
        let left_out = if now.mono.since(job.since) > TOO_LATE {
            Some("too_late")
        } else {
            (budget > 0 && used >= budget).then_some("no_room")
        };
        if let Some(why) = left_out {
            self.tally.pictures.of(&why).one();
            lenses.insert(job.camera, lens);
            return None;
        }
        let camera = self.cameras.get(&job.camera)?.clone();
        let (shelf, clock) = (self.shelf.clone(), Arc::clone(&self.clock));
        let requests = self.tally.requests.of(&camera.device.bus);
        Some(Box::pin(async move {
            let outcome = lens.shoot(&job, &camera, requests, &clock, shelf).await;
            Back { job, lens, outcome }
        }))
    }

    async fn settle(&self, back: Back, lenses: &mut BTreeMap<DeviceId, Lens>) {
        let Back { job, lens, outcome } = back;
        let (alarm, camera) = (job.alarm, &job.camera);
        let word = match &outcome {
            Outcome::Taken => "taken",
            Outcome::Failed(failure) => {
                tracing::warn!(%alarm, device = %camera, error = %Chain(failure), "no picture for the alarm");
                "failed"
            }
            Outcome::NotKept(error) => {
                tracing::warn!(%alarm, device = %camera, error = %Chain(error), "a picture could not be stored");
                "no_room"
            }
        };
        self.tally.pictures.of(&word).one();
        lenses.insert(job.camera, lens);
        self.prune().await;
    }

    async fn prune(&self) {
        let (shelf, now) = (self.shelf.clone(), self.clock.now().wall);
        match tokio::task::spawn_blocking(move || shelf.prune(now)).await {
            Ok(Ok(gone)) => self.tally.pictures.of(&"deleted").add(gone),
            Ok(Err(error)) => tracing::warn!(error = %Chain(&error), "old pictures could not be deleted"),
            Err(error) => tracing::error!(error = %error, "deleting old pictures was cut off"),
        }
    }
}

impl Lens {
    async fn shoot(
        &mut self,
        job: &Job,
        camera: &Camera,
        requests: Arc<Count>,
        clock: &Arc<dyn Clock>,
        shelf: Shelf,
    ) -> Outcome {
        let now = clock.now();
        let name = Name { at: now.wall, alarm: job.alarm, camera: job.camera.clone() };
        let last = self.last.clone().filter(|(at, _)| now.mono.since(*at) <= SAME);
        if let Some((_, last)) = last {
            return kept(move || shelf.share(&last, &name)).await;
        }
        let still = match self.still.take() {
            Some(still) => Ok(still),
            None => Still::new(&camera.device, &camera.settings, Arc::clone(clock), requests),
        };
        let mut still = match still {
            Ok(still) => still,
            Err(failure) => return Outcome::Failed(failure),
        };
        let picture = still.take().await;
        self.still = Some(still);
        match picture {
            Ok(picture) => {
                self.last = Some((clock.now().mono, name.clone()));
                kept(move || shelf.put(&name, &picture)).await
            }
            Err(failure) => Outcome::Failed(failure),
        }
    }
}

/// A sender that is gone means the same as a stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// Writes on a thread that may block.
async fn kept(write: impl FnOnce() -> io::Result<()> + Send + 'static) -> Outcome {
    match tokio::task::spawn_blocking(write).await {
        Ok(Ok(())) => Outcome::Taken,
        // The same alarm came back within the millisecond.
        Ok(Err(error)) if error.kind() == io::ErrorKind::AlreadyExists => Outcome::Taken,
        Ok(Err(error)) => Outcome::NotKept(error),
        Err(error) => Outcome::NotKept(io::Error::other(error)),
    }
}

/// The most urgent picture whose camera is free.
fn next(waiting: &mut BTreeSet<Job>, lenses: &mut BTreeMap<DeviceId, Lens>) -> Option<(Job, Lens)> {
    let job = waiting.iter().find(|job| lenses.contains_key(&job.camera)).cloned()?;
    waiting.remove(&job);
    let lens = lenses.remove(&job.camera)?;
    Some((job, lens))
}

#[cfg(test)]
mod tests;

//! The task that has the jobs: begins them, one of a kind at a time, hears of their end, keeps what came of them.

use super::Order;
use super::file::Made;
use crate::config::{Bus, Device, WrittenRule};
use crate::model::{Actor, DeviceId, Place, PlaceId, Text, Wall};
use crate::rules::World;
use crate::runtime::tasks::isolated;
use crate::runtime::{Chain, Clock, Tasks};
use crate::southbound::polled::CommandBook;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Ended jobs that are kept.
const KEPT: usize = 20;
/// Files of jobs are kept this long, milliseconds: a day.
const KEEP_FILES_MS: i64 = 24 * 3_600_000;
/// Pause between two looks whether a file was kept long enough.
const SWEEP: Duration = Duration::from_secs(600);
/// Requests that wait; a further one waits for room.
const ASKS: usize = 8;
/// Jobs end within this time of a stop of the gateway, or with the process.
const GRACE: Duration = Duration::from_millis(1_000);
/// Where files of jobs are, below the data directory.
pub(super) const JOBS_DIR: &str = "jobs";

/// What jobs and the pages beside them need to know of the gateway.
#[derive(Debug)]
pub struct Work {
    /// The file with which the configuration begins.
    pub source: PathBuf,
    /// Where the device profiles are, unless `source` says so or they are in their usual place.
    pub profiles: Option<PathBuf>,
    /// Connections to the field.
    pub buses: Vec<Bus>,
    /// The ways to polled buses.
    pub commands: CommandBook,
    /// The rules, as written.
    pub rules: Vec<WrittenRule>,
    /// Calendars, and which meters count what others count already.
    pub world: Arc<World>,
    /// Bytes that the data directory may take.
    pub budget_bytes: u64,
}

/// What a job works with.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) id: u64,
    pub(super) data_dir: PathBuf,
    pub(super) work: Arc<Work>,
    pub(super) devices: Arc<BTreeMap<DeviceId, Device>>,
    pub(super) places: Arc<BTreeMap<PlaceId, Place>>,
    pub(super) zone: TimeZone,
    /// It is to stop.
    pub(super) halt: watch::Receiver<bool>,
    /// Where it stands.
    pub(super) progress: watch::Sender<Progress>,
}

impl Bench {
    /// Whether it is to stop.
    pub(super) fn halted(&self) -> bool {
        *self.halt.borrow()
    }

    /// Waits until it is to stop.
    pub(super) async fn until_halted(&self) {
        let mut halt = self.halt.clone();
        // An office that is gone means the same as a stop.
        drop(halt.wait_for(|halt| *halt).await);
    }

    /// Says where it stands.
    pub(super) fn tell(&self, done: u64, of: Option<u64>, note: Text) {
        self.progress.send_replace(Progress { done, of, note });
    }
}

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) done: u64,
    pub(super) of: Option<u64>,
    pub(super) note: Text,
}

/// How a job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "JobState")]
pub(super) enum State {
    /// It goes on.
    Running,
    /// It came to its end.
    Done,
    /// Somebody stopped it.
    Stopped,
    /// It could not be done.
    Failed,
}

/// What came of a job.
pub(super) struct Outcome {
    pub(super) state: State,
    pub(super) note: Option<Text>,
    pub(super) result: Option<Value>,
    pub(super) file: Option<Made>,
}

impl Outcome {
    pub(super) fn done(result: Value) -> Self {
        Self { state: State::Done, note: None, result: Some(result), file: None }
    }

    pub(super) fn stopped(result: Option<Value>) -> Self {
        let note = Text::new("已停止", "stopped");
        Self { state: State::Stopped, note: Some(note), result, file: None }
    }

    pub(super) fn failed(note: Text) -> Self {
        Self { state: State::Failed, note: Some(note), result: None, file: None }
    }

    /// It failed for a reason that is told in English only.
    pub(super) fn broken(zh: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        let why = Chain(error).to_string();
        Self::failed(Text::new(format!("{zh}：{why}"), why))
    }
}

/// A job.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: u64,
    pub(super) kind: &'static str,
    pub(super) by: Actor,
    pub(super) begun_at: Wall,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) ended: Option<Ended>,
}

/// How a job ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) at: Wall,
    pub(super) state: State,
    pub(super) note: Option<Text>,
    pub(super) result: Option<Value>,
    pub(super) file: Option<Arc<Made>>,
}

/// Why a job is not begun.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Another of its kind is running.
    Busy(u64),
    /// The gateway is stopping.
    Stopping,
}

enum Ask {
    Begin(Box<Order>, Actor, oneshot::Sender<Result<u64, Refused>>),
    Stop(u64, oneshot::Sender<()>),
}

/// Where jobs are ordered and seen.
#[derive(Clone)]
pub struct Desk {
    asks: mpsc::Sender<Ask>,
    seen: watch::Receiver<Arc<Vec<Job>>>,
}

impl Desk {
    /// Every job, oldest first.
    pub(super) fn all(&self) -> Arc<Vec<Job>> {
        self.seen.borrow().clone()
    }

    pub(super) async fn begin(&self, order: Order, by: Actor) -> Result<u64, Refused> {
        let (answer, told) = oneshot::channel();
        let ask = Ask::Begin(Box::new(order), by, answer);
        self.asks.send(ask).await.map_err(|_| Refused::Stopping)?;
        told.await.map_err(|_| Refused::Stopping)?
    }

    /// Tells a job to stop, and waits until it has, or a second.
    pub(super) async fn stop(&self, id: u64) {
        let (answer, told) = oneshot::channel();
        if self.asks.send(Ask::Stop(id, answer)).await.is_err() || told.await.is_err() {
            return;
        }
        let mut seen = self.seen.clone();
        let over = |jobs: &Arc<Vec<Job>>| jobs.iter().all(|job| job.id != id || job.ended.is_some());
        // One that takes longer is told as running.
        drop(tokio::time::timeout(GRACE, seen.wait_for(over)).await);
    }
}

/// What an office is opened with.
pub struct Parts {
    /// Where the database lives.
    pub data_dir: PathBuf,
    /// What jobs need.
    pub work: Arc<Work>,
    /// The configured devices.
    pub devices: Arc<BTreeMap<DeviceId, Device>>,
    /// The places of the school.
    pub places: Arc<BTreeMap<PlaceId, Place>>,
    /// The school's zone.
    pub zone: TimeZone,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Opens the office, and the desk where it is asked.
#[must_use]
pub fn office(parts: Parts) -> (Desk, Office) {
    let (asks, asked) = mpsc::channel(ASKS);
    let (show, seen) = watch::channel(Arc::default());
    (Desk { asks, seen }, Office { parts, asked, show, jobs: Vec::new(), halts: BTreeMap::new() })
}

/// Begins jobs and keeps what came of them.
pub struct Office {
    parts: Parts,
    asked: mpsc::Receiver<Ask>,
    show: watch::Sender<Arc<Vec<Job>>>,
    jobs: Vec<Job>,
    /// How those that run are stopped.
    halts: BTreeMap<u64, watch::Sender<bool>>,
}

impl Office {
    /// Works until the gateway stops; jobs that run are stopped with it.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let dir = self.parts.data_dir.join(JOBS_DIR);
        // Nobody knows of the files of the run before.
        clear(&dir).await;
        let mut tasks = Tasks::new();
        let (done, mut outcomes) = mpsc::channel::<(u64, Outcome)>(ASKS);
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(ask) = self.asked.recv() => self.answer(ask, &mut tasks, &done),
                Some((id, outcome)) = outcomes.recv() => self.ended(id, outcome),
                Some(_) = tasks.next_ended() => {}
                _ = sweep.tick() => self.sweep(),
            }
        }
        for halt in self.halts.values() {
            halt.send_replace(true);
        }
        let over = async { while tasks.next_ended().await.is_some() {} };
        if tokio::time::timeout(GRACE, over).await.is_err() {
            tracing::warn!("a job did not end in time and ends with the process");
        }
        clear(&dir).await;
    }

    fn answer(&mut self, ask: Ask, tasks: &mut Tasks, done: &mpsc::Sender<(u64, Outcome)>) {
        match ask {
            Ask::Begin(order, by, answer) => {
                let begun = self.begin(*order, by, tasks, done);
                // Whoever asked may be gone: the job goes on, and is seen.
                answer.send(begun).ok();
            }
            Ask::Stop(id, answer) => {
                if let Some(halt) = self.halts.get(&id) {
                    halt.send_replace(true);
                }
                answer.send(()).ok();
            }
        }
    }

    fn begin(
        &mut self,
        order: Order,
        by: Actor,
        tasks: &mut Tasks,
        done: &mpsc::Sender<(u64, Outcome)>,
    ) -> Result<u64, Refused> {
        let kind = order.kind();
        if let Some(busy) = self.jobs.iter().find(|job| job.kind == kind && job.ended.is_none()) {
            return Err(Refused::Busy(busy.id));
        }
        let begun_at = self.parts.clock.now().wall;
        // Numbers grow over restarts, so that an old link never shows another job.
        let now = u64::try_from(begun_at.0).unwrap_or(0);
        let id = self.jobs.iter().map(|job| job.id + 1).max().unwrap_or(0).max(now);
        let note = Text::new("开始", "begun");
        let (progress, seen) = watch::channel(Progress { done: 0, of: None, note });
        let (halt, halted) = watch::channel(false);
        let bench = Bench {
            id,
            data_dir: self.parts.data_dir.clone(),
            work: Arc::clone(&self.parts.work),
            devices: Arc::clone(&self.parts.devices),
            places: Arc::clone(&self.parts.places),
            zone: self.parts.zone.clone(),
            halt: halted,
            progress,
        };
        self.halts.insert(id, halt);
        self.jobs.push(Job { id, kind, by, begun_at, progress: seen, ended: None });
        self.publish();
        tracing::info!(job = id, kind, "a job was begun");
        let done = done.clone();
        let work = isolated(async move {
            match order {
                Order::Discovery(order) => super::discovery::run(bench, order).await,
                Order::Replay(order) => super::replay::run(bench, order).await,
                Order::Export(order) => super::export::run(bench, order).await,
                Order::Backup(_) => super::backup::run(bench).await,
            }
        });
        tasks.spawn(kind, async move {
            let outcome = work.await.unwrap_or_else(|how| {
                tracing::error!(job = id, kind, ?how, "a job fell over");
                Outcome::failed(Text::new("任务出错，详见日志", "the job fell over; see the log"))
            });
            // An office that is gone has stopped.
            done.send((id, outcome)).await.ok();
        });
        Ok(id)
    }

    fn ended(&mut self, id: u64, outcome: Outcome) {
        self.halts.remove(&id);
        let at = self.parts.clock.now().wall;
        if let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) {
            let Outcome { state, note, result, file } = outcome;
            tracing::info!(job = id, kind = job.kind, ?state, "a job ended");
            job.ended = Some(Ended { at, state, note, result, file: file.map(Arc::new) });
        }
        while self.jobs.iter().filter(|job| job.ended.is_some()).count() > KEPT
            && let Some(oldest) = self.jobs.iter().position(|job| job.ended.is_some())
        {
            self.jobs.remove(oldest);
        }
        self.publish();
    }

    /// Forgets files that were kept long enough; a file is deleted with the last who knows of it.
    fn sweep(&mut self) {
        let now = self.parts.clock.now().wall;
        for ended in self.jobs.iter_mut().filter_map(|job| job.ended.as_mut()) {
            if now.since(ended.at) >= KEEP_FILES_MS {
                ended.file = None;
            }
        }
        self.publish();
    }

    fn publish(&self) {
        self.show.send_replace(Arc::new(self.jobs.clone()));
    }
}

async fn clear(dir: &Path) {
    match tokio::fs::remove_dir_all(dir).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(error = %Chain(&error), dir = %dir.display(), "files of old jobs cannot be removed");
        }
        _ => {}
    }
}

/// Runs work that blocks on a thread of its own, behind everything else that the machine does; `None` if it fell over.
pub(super) fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Option<T>> {
    let (tell, told) = oneshot::channel();
    let spawned = std::thread::Builder::new().name("job".into()).spawn(move || {
        // Threads that it starts are behind, too. A system that refuses lets it run as others do.
        rustix::process::nice(BEHIND).ok();
        // Whoever asked may be gone.
        tell.send(work()).ok();
    });
    async move {
        spawned.ok()?;
        told.await.ok()
    }
}

/// How far behind, as `nice` has it.
const BEHIND: i32 = 10;

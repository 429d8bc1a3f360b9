//! What everybody who follows is told besides alarms: written once for all of them, the newest of each kind.
//!
//! It lies on a board, not in a queue: whoever looks seldom sees less often, and how everything stands all the same.

use super::{Console, pictures, responses, stream, views};
use crate::model::{AlarmId, DeviceId, Link, Mono, Wall};
use crate::pipeline::Live;
use crate::runtime::Chain;
use axum::body::Bytes;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

/// Pause between two signs of life. They follow the pipeline's own pictures: when it stands still, they cease.
const BEAT_EVERY: Duration = Duration::from_secs(2);
/// Shortest pause between two tellings of the state.
const STATE_EVERY: Duration = Duration::from_secs(1);
/// Alarms whose pictures are told again to whoever comes.
const PICTURED: usize = 64;

/// The newest message of each kind.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// The last sign of life.
    pub(super) beat: Bytes,
    /// Drill, areas, responses, muster and zones.
    pub(super) state: Bytes,
    /// How each device stands of which it is known.
    pub(super) devices: Arc<BTreeMap<DeviceId, Bytes>>,
    /// Which pictures there are of alarms.
    pub(super) pictures: Arc<BTreeMap<AlarmId, Bytes>>,
}

/// Writes the board.
pub struct Herald {
    console: Console,
    board: watch::Sender<Arc<Board>>,
    beaten: Option<Mono>,
    stated: Option<Mono>,
    state: Bytes,
    links: BTreeMap<DeviceId, (Link, Wall)>,
    devices: Arc<BTreeMap<DeviceId, Bytes>>,
    pictures: Arc<BTreeMap<AlarmId, Bytes>>,
}

impl Herald {
    /// For this console and its board.
    pub(super) fn new(console: Console, board: watch::Sender<Arc<Board>>) -> Self {
        Self {
            console,
            board,
            beaten: None,
            stated: None,
            state: Bytes::new(),
            links: BTreeMap::new(),
            devices: Arc::default(),
            pictures: Arc::default(),
        }
    }

    /// Works for ever.
    pub async fn run(mut self) {
        let (mut live, mut taken) = (self.console.live.clone(), self.console.pictures.follow());
        let open = |live: &Live| -> BTreeSet<AlarmId> { live.alarms.iter().map(|alarm| alarm.id).collect() };
        let first = Arc::clone(&live.borrow_and_update());
        self.look_at_pictures(open(&first)).await;
        self.look(&first);
        loop {
            tokio::select! {
                changed = live.changed() => {
                    if changed.is_err() {
                        // The pipeline has ended, and the gateway with it.
                        return std::future::pending().await;
                    }
                }
                alarm = taken.recv() => match alarm {
                    Ok(alarm) => self.look_at_pictures(BTreeSet::from([alarm])).await,
                    Err(RecvError::Lagged(_)) => {
                        let all = open(&live.borrow().clone());
                        self.look_at_pictures(all).await;
                    }
                    Err(RecvError::Closed) => return std::future::pending().await,
                },
            }
            let seen = Arc::clone(&live.borrow_and_update());
            self.look(&seen);
        }
    }

    /// Writes what has changed.
    fn look(&mut self, live: &Live) {
        let now = self.console.clock.now();
        let due = |last: Option<Mono>, every| last.is_none_or(|last| now.mono.since(last) >= every);
        let mut beat = None;
        if due(self.beaten, BEAT_EVERY) {
            self.beaten = Some(now.mono);
            beat = Some(stream::message(None, "beat", &json!({"at": now.wall})));
        }
        if due(self.stated, STATE_EVERY) {
            self.stated = Some(now.mono);
            self.state = state(&self.console, live);
        }
        for (id, device) in &live.devices {
            let Some(link) = device.link else { continue };
            if self.links.get(id) != Some(&link) {
                let data = views::link(id, Some(link));
                self.links.insert(id.clone(), link);
                Arc::make_mut(&mut self.devices).insert(id.clone(), stream::message(None, "device", &data));
            }
        }
        self.board.send_if_modified(|board| {
            let same = beat.is_none()
                && board.state == self.state
                && Arc::ptr_eq(&board.devices, &self.devices)
                && Arc::ptr_eq(&board.pictures, &self.pictures);
            if !same {
                *board = Arc::new(Board {
                    beat: beat.unwrap_or_else(|| board.beat.clone()),
                    state: self.state.clone(),
                    devices: Arc::clone(&self.devices),
                    pictures: Arc::clone(&self.pictures),
                });
            }
            !same
        });
    }

    /// Looks which pictures there are of these alarms.
    async fn look_at_pictures(&mut self, alarms: BTreeSet<AlarmId>) {
        if alarms.is_empty() {
            return;
        }
        let shelf = self.console.pictures.clone();
        let found = tokio::task::spawn_blocking(move || shelf.of_any(&alarms)).await;
        let found = match found.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "pictures of alarms could not be listed");
                return;
            }
        };
        let mut rows: BTreeMap<AlarmId, Vec<serde_json::Value>> = BTreeMap::new();
        for (name, bytes) in &found {
            rows.entry(name.alarm).or_default().push(pictures::row(name, *bytes));
        }
        let told = Arc::make_mut(&mut self.pictures);
        for (alarm, rows) in rows {
            let data = json!({"alarm": alarm, "rows": rows});
            told.insert(alarm, stream::message(None, "picture", &data));
        }
        while told.len() > PICTURED {
            told.pop_first();
        }
    }
}

fn state(console: &Console, live: &Live) -> Bytes {
    let data = json!({
        "drill": live.drill, "areas": live.areas, "responses": responses::rows(console),
        "muster": live.campus.muster, "zones": live.campus.zones,
    });
    stream::message(None, "state", &data)
}

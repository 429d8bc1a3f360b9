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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Name;
    use crate::console::testing::{AT, Scene, scene};
    use crate::model::Fault;
    use crate::pipeline::DeviceLive;
    use crate::runtime::Tasks;
    use serde_json::Value;

    /// A herald at work, and the pictures of the pipeline that it sees.
    struct Work {
        scene: Scene,
        board: watch::Receiver<Arc<Board>>,
        live: Live,
        _tasks: Tasks,
    }

    impl Work {
        fn begin() -> Self {
            let mut scene = scene(8);
            let board = scene.console.streams.board();
            let herald = scene.board.take().unwrap().herald(scene.console.clone());
            let mut tasks = Tasks::new();
            tasks.spawn("herald", herald.run());
            Self { scene, board, live: Live::default(), _tasks: tasks }
        }

        /// The pipeline shows how it stands after so long; the board then, if it was written.
        async fn after(&mut self, ms: u32) -> Option<Arc<Board>> {
            self.scene.clock.advance_ms(ms);
            self.scene.live.send_replace(Arc::new(self.live.clone()));
            // Time is paused: it goes on when nobody has anything left to do.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let changed = self.board.has_changed().unwrap();
            changed.then(|| Arc::clone(&self.board.borrow_and_update()))
        }
    }

    fn data(text: &Bytes, event: &str) -> Value {
        let text = std::str::from_utf8(text).unwrap();
        let data = text.strip_prefix(&format!("event: {event}\ndata: ")).unwrap_or_else(|| panic!("{text}"));
        serde_json::from_str(data).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_board_says_what_changed_and_beats_while_the_pipeline_turns() {
        let mut work = Work::begin();
        let first = work.after(0).await.expect("a first sign of life");
        assert_eq!(data(&first.beat, "beat")["at"], AT.0);
        let state = data(&first.state, "state");
        for key in ["drill", "areas", "responses", "muster", "zones"] {
            assert!(state.get(key).is_some(), "{key}");
        }
        assert!(work.after(1500).await.is_none(), "nothing is new");
        let second = work.after(600).await.expect("two seconds are over");
        assert_ne!(second.beat, first.beat);
        assert_eq!(second.state, first.state);
        tokio::time::sleep(Duration::from_secs(60)).await;
        work.scene.clock.advance_ms(60_000);
        assert!(!work.board.has_changed().unwrap(), "a pipeline that stands still gives no sign of life");

        let meter = DeviceId::new("meter").unwrap();
        let link = |link| Arc::new(DeviceLive { link: Some((link, AT)), ..DeviceLive::default() });
        work.live.devices.insert(meter.clone(), Arc::default());
        assert!(work.after(0).await.expect("a beat").devices.is_empty(), "nothing is known of it");
        work.live.devices.insert(meter.clone(), link(Link::Down(Fault::Unreachable)));
        let down = work.after(1).await.expect("its link changed");
        let told = data(&down.devices["meter"], "device");
        assert_eq!(
            (&told["id"], &told["state"], &told["fault"]),
            (&"meter".into(), &"down".into(), &"unreachable".into())
        );
        assert!(told["advice"]["zh"].is_string() && told["since"] == AT.0, "{told}");
        assert!(work.after(1).await.is_none(), "it did not change again");
    }

    #[tokio::test(start_paused = true)]
    async fn the_state_is_told_whole_at_most_once_a_second() {
        let mut work = Work::begin();
        let mut last = work.after(0).await.unwrap();
        let mut told = Vec::new();
        for n in 0..100_u64 {
            let mut campus = (*work.live.campus).clone();
            campus.zones.push(crate::campus::ZonePicture {
                place: crate::model::PlaceId::new(&format!("z{n}")).unwrap(),
                path: crate::model::Text::same("z"),
                persons: Default::default(),
                vehicles: Default::default(),
                roles: BTreeMap::new(),
                not_seen_leaving: 0,
            });
            work.live.campus = Arc::new(campus);
            if let Some(board) = work.after(100).await {
                if board.state != last.state {
                    told.push(data(&board.state, "state")["zones"].as_array().unwrap().len());
                }
                last = board;
            }
        }
        assert_eq!(
            told,
            (1..=10).map(|second| second * 10).collect::<Vec<_>>(),
            "ten seconds, every zone each time"
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_picture_is_told_when_the_shelf_gets_it() {
        let mut work = Work::begin();
        let shelf = work.scene.console.pictures.clone();
        work.board.changed().await.unwrap();
        for (n, text) in ["7-1790000000000-cam.jpg", "7-1790000000001-cam.jpg"].into_iter().enumerate() {
            let name: Name = text.parse().unwrap();
            let told = async {
                loop {
                    let board = Arc::clone(&work.board.borrow_and_update());
                    if let Some(text) = board.pictures.get(&AlarmId(7)) {
                        let told = data(text, "picture");
                        if told["rows"].as_array().unwrap().len() == n + 1 {
                            return told;
                        }
                    }
                    work.board.changed().await.unwrap();
                }
            };
            shelf.put(&name, b"jpeg").unwrap();
            let told = tokio::time::timeout(Duration::from_secs(30), told).await.expect("in time");
            assert_eq!((&told["alarm"], &told["rows"][n]["picture"]), (&7.into(), &text.into()));
        }
    }
}

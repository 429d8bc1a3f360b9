//! The loop with a real store: nobody is answered before what they sent is on disk, and nothing is left behind.

use super::*;
use crate::calendar::Calendar;
use crate::model::{
    Body, Event, EventKind, MessageKey, Observation, Phase, PointId, PointKind, Reading, Stamp, SubMeters,
    Unit, Wall,
};
use crate::pipeline::{Remembered, Settings};
use crate::rules::{Engine, World};
use crate::runtime::lanes::{READING_LANE, lanes};
use crate::runtime::{Inlet, SystemClock};
use crate::store::{FILE_NAME, Store};
use rusqlite::{Connection, OpenFlags};
use std::collections::VecDeque;
use std::path::Path;
use std::thread::JoinHandle;

/// Events of each sender.
const EVENTS: u64 = 700;
const SENDERS: u64 = 3;

fn plant(dir: &Path) -> (Inlet, Pipe, JoinHandle<()>) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let tally = Arc::new(Tally::default());
    let (store, thread) =
        store::open(Store::open(dir).unwrap(), Arc::clone(&clock), Arc::clone(&tally)).unwrap();
    let settings = Settings {
        gateway: DeviceId::new("gw").unwrap(),
        aggregate_secs: 900,
        destinations: Vec::new(),
        campus: crate::campus::Settings::default(),
        alarms: crate::alarm::Settings::default(),
        areas: Vec::new(),
    };
    let world = World {
        devices: BTreeMap::new(),
        sub_meters: SubMeters::default(),
        places: BTreeMap::new(),
        calendar: Arc::new(Calendar::default_school(jiff::tz::TimeZone::UTC)),
        aggregate_secs: 900,
        calendars: BTreeMap::new(),
    };
    let engine = Engine::new(Vec::new());
    let pipeline = Pipeline::start(clock.now(), settings, Arc::new(world), engine, Remembered::default());
    let (live, _) = watch::channel(Arc::default());
    let (inlet, outlet) = lanes();
    (
        inlet,
        Pipe {
            pipeline,
            outlet,
            store,
            clock,
            tally,
            live,
            buses: BTreeMap::new(),
            findings: tokio::sync::mpsc::channel(1).1,
            bell: Bell::unheard(),
            feed: crate::console::Feed::new(),
        },
        thread,
    )
}

fn event(sender: u64, serial: u64, redelivered: bool) -> Delivery {
    let event = Event { serial: Some(serial.to_string()), ..Event::bare(EventKind::Motion, Phase::Moment) };
    let seen = Observation {
        device: DeviceId::new(&format!("d-{sender}")).unwrap(),
        stamp: Stamp::new(None, Wall(1_790_000_000_000)),
        body: Body::Event(event),
        retained: false,
    };
    Delivery {
        bus: Some(BusId::new(&format!("b-{sender}")).unwrap()),
        key: Some(MessageKey { fingerprint: serial, redelivered }),
        inputs: vec![Input::Observed(seen)],
    }
}

fn stored(db: &Connection, sender: u64, serial: u64) -> bool {
    let device = format!("d-{sender}");
    db.query_row(
        "select count(*) from event where device = ?1 and serial = ?2",
        (device, serial.to_string()),
        |row| row.get::<_, i64>(0),
    )
    .unwrap()
        == 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_follows_the_commit_for_repeats_too() {
    let dir = tempfile::tempdir().unwrap();
    let (inlet, pipe, thread) = plant(dir.path());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { pipe.run().await.unwrap() });
    for sender in 0..SENDERS {
        let (inlet, file) = (inlet.clone(), dir.path().join(FILE_NAME));
        tasks.spawn(async move {
            let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
            let mut receipts = VecDeque::new();
            for serial in 0..EVENTS {
                let first = inlet.deliver(event(sender, serial, false)).await.unwrap();
                // The answer to a repeat says that the message is safe, just as the answer to the message does.
                let again = inlet.deliver(event(sender, serial, true)).await.unwrap();
                receipts.extend([(serial, again), (serial, first)]);
                if receipts.len() > 40 {
                    let (serial, receipt) = receipts.pop_front().unwrap();
                    receipt.await.unwrap();
                    assert!(stored(&db, sender, serial), "event {serial} was answered before it was stored");
                }
            }
            for (serial, receipt) in receipts {
                receipt.await.unwrap();
                assert!(stored(&db, sender, serial), "event {serial} was answered before it was stored");
            }
        });
    }
    drop(inlet);
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    thread.join().unwrap();
    let db = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    let order: Vec<(String, i64)> = db
        .prepare("select device, cast(serial as integer) from event order by seq")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(order.len() as u64, SENDERS * EVENTS);
    for sender in 0..SENDERS {
        let device = format!("d-{sender}");
        let serials = order.iter().filter(|(d, _)| *d == device).map(|(_, serial)| *serial);
        assert!(serials.is_sorted(), "the order of {device} was not kept");
    }
}

/// A polled delivery that can be told by its value.
fn polled(n: u32) -> Delivery {
    let point = PointId::new("power").unwrap();
    let reading = Reading::new(point, f64::from(n), Unit::Watt, PointKind::Gauge);
    let seen = Observation {
        device: DeviceId::new("meter").unwrap(),
        stamp: Stamp::new(None, Wall(1_790_000_000_000)),
        body: Body::Reading(reading),
        retained: false,
    };
    Delivery { bus: Some(BusId::new("line").unwrap()), key: None, inputs: vec![Input::Observed(seen)] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polled_readings_are_shed_oldest_first_and_counted_when_the_pipe_cannot_follow() {
    const SHED: u32 = 10;
    let dir = tempfile::tempdir().unwrap();
    let (inlet, pipe, thread) = plant(dir.path());
    let tally = Arc::clone(&pipe.tally);
    let offered = u32::try_from(READING_LANE).unwrap() + SHED;
    for n in 0..offered {
        inlet.offer(polled(n)).unwrap();
    }
    drop(inlet);
    pipe.run().await.unwrap();
    thread.join().unwrap();
    assert_eq!(tally.shed_deliveries.get(), u64::from(SHED));
    let db = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    let stored: Vec<f64> = db
        .prepare("select value from reading order by seq")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let newest: Vec<f64> = (SHED..offered).map(f64::from).collect();
    assert_eq!(stored, newest, "the newest, in their order");
}

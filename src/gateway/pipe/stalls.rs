//! Stepping and committing apart: what is announced, answered and kept while the medium stalls, fails or follows.

use super::*;
use crate::calendar::Calendar;
use crate::model::*;
use crate::pipeline::{Remembered, Settings};
use crate::rules::{Engine, World, always};
use crate::runtime::lanes::{Inlet, Receipt, lanes};
use crate::runtime::{ManualClock, SystemClock, Tasks};
use crate::store::StoreFault;
use crate::store::doubles::{Fate, Medium};
use staged::STAGED_ROWS;
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(20);

struct Plant {
    inlet: Inlet,
    tally: Arc<Tally>,
    live: watch::Receiver<Arc<Live>>,
    tasks: Tasks,
    thread: std::thread::JoinHandle<()>,
    ended: oneshot::Receiver<Result<(), StoreError>>,
}

fn plant(medium: &Medium, clock: Arc<dyn Clock>) -> Plant {
    let tally = Arc::new(Tally::default());
    let (store, thread) = medium.open(&tally);
    let world = Arc::new(World {
        devices: BTreeMap::new(),
        sub_meters: SubMeters::default(),
        places: BTreeMap::new(),
        calendar: Arc::new(Calendar::default_school(jiff::tz::TimeZone::UTC)),
        aggregate_secs: 900,
        calendars: BTreeMap::new(),
    });
    let settings = Settings {
        gateway: DeviceId::new("gw").unwrap(),
        aggregate_secs: 900,
        destinations: vec![DestinationId::new("city").unwrap()],
        campus: crate::campus::Settings::default(),
        alarms: crate::alarm::Settings::default(),
        areas: Vec::new(),
    };
    let remembered = Remembered { next_alarm: 1, next_seq: 1, ..Remembered::default() };
    let engine = Engine::new(always(&world));
    let pipeline = Pipeline::start(clock.now(), settings, world, engine, remembered);
    let (inlet, outlet) = lanes();
    let (live, seen) = watch::channel(Arc::new(Live::default()));
    let pipe = Pipe {
        pipeline,
        outlet,
        store,
        clock,
        tally: Arc::clone(&tally),
        live,
        buses: BTreeMap::new(),
        findings: tokio::sync::mpsc::channel(1).1,
        bell: Bell::unheard(),
        feed: crate::console::Feed::new(),
    };
    let (end, ended) = oneshot::channel();
    let mut tasks = Tasks::new();
    tasks.spawn("pipe", async move { drop(end.send(pipe.run().await)) });
    Plant { inlet, tally, live: seen, tasks, thread, ended }
}

fn system() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

impl Plant {
    async fn until(&self, what: &str, look: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !look(self) {
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn help(&self, device: &str) -> Receipt {
        let body = Body::Event(Event::bare(EventKind::Help, Phase::Moment));
        self.inlet.deliver(delivery(device, vec![body])).await.unwrap()
    }

    fn announced(&self) -> u64 {
        self.tally.alarms_raised.of(&"help").get()
    }

    async fn close(self) -> Result<(), StoreError> {
        drop(self.inlet);
        let ended = self.ended.await.unwrap();
        drop(self.tasks);
        self.thread.join().unwrap();
        ended
    }
}

fn delivery(device: &str, bodies: Vec<Body>) -> Delivery {
    let device = DeviceId::new(device).unwrap();
    let stamp = Stamp::new(None, SystemClock::new().now().wall);
    let observed =
        |body| Input::Observed(Observation { device: device.clone(), stamp, body, retained: false });
    Delivery { bus: None, key: None, inputs: bodies.into_iter().map(observed).collect() }
}

fn readings(n: usize) -> Vec<Body> {
    let point = PointId::new("p").unwrap();
    let value = |i: usize| f64::from(u32::try_from(i).unwrap());
    (0..n)
        .map(|i| Body::Reading(Reading::new(point.clone(), value(i), Unit::Watt, PointKind::Gauge)))
        .collect()
}

/// Waits for an answer while the clock goes on, a little at a time.
async fn answered(clock: &ManualClock, mut receipt: Receipt) {
    let deadline = Instant::now() + PATIENCE;
    while receipt.try_recv().is_err() {
        assert!(Instant::now() < deadline, "not answered");
        clock.advance_ms(1);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn kept(medium: &Medium) -> (usize, usize) {
    let script = medium.script();
    let count = |rows: fn(&Commit) -> usize| script.stored.iter().map(rows).sum();
    (count(|c| c.readings.len()), count(|c| c.events.len()))
}

#[tokio::test]
async fn while_the_card_stalls_alarms_are_announced_and_nobody_is_answered() {
    let medium = Medium::new(&[]);
    let plant = plant(&medium, system());
    medium.stall(true);
    let mut receipts = Vec::new();
    for n in 1..=5_u64 {
        let asked = Instant::now();
        receipts.push(plant.help(&format!("button-{n}")).await);
        plant.until("the alarm is announced", |plant| plant.announced() == n).await;
        let took = asked.elapsed();
        assert!(took < Duration::from_millis(300), "alarm {n} after {took:?}");
    }
    plant.until("pages show all of them", |plant| plant.live.borrow().alarms.len() == 5).await;
    assert_eq!(plant.tally.commits.get(), 0);
    assert!(receipts.iter_mut().all(|r| r.try_recv().is_err()), "answered before its commit");
    medium.stall(false);
    for receipt in receipts {
        receipt.await.expect("answered");
    }
    plant.close().await.unwrap();
    let script = medium.script();
    assert!(script.stored.len() <= 2, "one under way, and one with everything that waited");
    let ids: Vec<u64> = script.stored.iter().flat_map(|c| &c.outbox).map(|item| item.seq).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5], "in order");
}

/// Half a minute of a school behind a card that does not answer, on a clock that need not be waited for.
#[tokio::test]
async fn thirty_seconds_of_a_stalled_card_delay_no_alarm_and_lose_nothing() {
    const A_SECOND: usize = 16;
    let medium = Medium::new(&[]);
    let clock = Arc::new(ManualClock::new(Wall(1_790_000_000_000)));
    let plant = plant(&medium, Arc::clone(&clock) as Arc<dyn Clock>);
    medium.stall(true);
    let mut receipts = Vec::new();
    for second in 1..=30_u64 {
        plant.inlet.offer(delivery("polled", readings(A_SECOND))).unwrap();
        receipts.push(plant.inlet.deliver(delivery("pushed", readings(1))).await.unwrap());
        let asked = Instant::now();
        receipts.push(plant.help(&format!("button-{second}")).await);
        plant.until("the alarm is announced", |plant| plant.announced() == second).await;
        let took = asked.elapsed();
        assert!(took < Duration::from_millis(300), "alarm of second {second} after {took:?}");
        clock.advance_ms(1000);
    }
    assert!(receipts.iter_mut().all(|r| r.try_recv().is_err()), "answered before its commit");
    assert_eq!(plant.tally.commits.get(), 0);
    medium.stall(false);
    for receipt in receipts {
        answered(&clock, receipt).await;
    }
    plant.close().await.unwrap();
    assert_eq!(kept(&medium), (30 * (A_SECOND + 1), 30), "nothing is lost");
}

#[tokio::test]
async fn a_clock_that_is_set_is_written_down_and_delays_nothing() {
    const DAY: i64 = 86_400_000;
    for by in [-DAY, 3652 * DAY, -1_790_000_000_000] {
        let medium = Medium::new(&[]);
        let clock = Arc::new(ManualClock::new(Wall(1_790_000_000_000)));
        let plant = plant(&medium, Arc::clone(&clock) as Arc<dyn Clock>);
        answered(&clock, plant.help("before").await).await;
        clock.set_wall_ms(by);
        let waits = plant.help("after").await;
        plant.until("it is announced", |plant| plant.announced() == 2).await;
        answered(&clock, waits).await;
        clock.advance_ms(5000);
        plant.close().await.unwrap();
        let script = medium.script();
        let audit: Vec<_> = script.stored.iter().flat_map(|c| &c.audit).collect();
        assert_eq!(audit.len(), 1, "{audit:?}");
        assert!(
            audit[0].action == "clock_set" && audit[0].detail.starts_with(&format!("by_ms={by} ")),
            "{audit:?}"
        );
        let stamps: Vec<_> = script.stored.iter().flat_map(|c| &c.alarm_changes).map(|c| c.at).collect();
        assert_eq!(stamps.len(), 2, "in order of arrival: {stamps:?}");
    }
}

#[tokio::test]
async fn while_nothing_can_be_stored_memory_is_bounded_and_alarms_are_kept() {
    let medium = Medium::new(&[]);
    let plant = plant(&medium, system());
    medium.stall(true);
    let mut receipts = vec![plant.help("early").await];
    plant
        .until("a commit is on its way", |plant| plant.announced() == 1 && plant.tally.staged_rows.get() == 0)
        .await;
    let mut large = readings(LARGE_ROWS);
    large.push(Body::Event(Event::bare(EventKind::Help, Phase::Moment)));
    receipts.push(plant.inlet.deliver(delivery("large", large)).await.unwrap());
    plant
        .until("and a large one", |plant| plant.announced() == 2 && plant.tally.staged_rows.get() == 0)
        .await;
    // The lane takes what the pipe does not, and then its senders wait.
    let chunk = STAGED_ROWS / 10;
    for _ in 0..11 {
        receipts.push(plant.inlet.deliver(delivery("d", readings(chunk))).await.unwrap());
    }
    plant.until("it is full", |plant| plant.tally.staged_rows.get() >= STAGED_ROWS as u64).await;
    let before = plant.tally.staged_rows.get();
    let waits = plant.help("button").await;
    for _ in 0..50 {
        plant.inlet.offer(delivery("polled", readings(100))).unwrap();
    }
    plant
        .until("polled rows are counted as given up", |plant| {
            plant.tally.dropped.of(&"memory_full").get() == 5000
        })
        .await;
    let after = plant.tally.staged_rows.get();
    assert!(after <= before, "{after} rows");
    assert_eq!(plant.announced(), 2, "what is answered waits in its lane");
    medium.stall(false);
    for receipt in receipts {
        receipt.await.expect("answered");
    }
    waits.await.expect("answered");
    plant.close().await.unwrap();
    assert_eq!(kept(&medium), (11 * chunk + LARGE_ROWS, 3), "everything that was answered is there");
    let script = medium.script();
    let dropped: u64 = script.stored.iter().flat_map(|c| &c.dropped).map(|d| d.rows).sum();
    assert_eq!(dropped, 5000, "and what was given up is counted there, too");
    let mut alarms = script.stored.iter().flat_map(|c| &c.alarm_changes).map(|c| c.alarm.key.rule.as_str());
    assert!(alarms.any(|rule| rule == "store.overload"), "and is an alarm");
}

#[tokio::test]
async fn a_full_disk_is_an_alarm_that_is_stored_once_there_is_room_and_then_ends() {
    let medium = Medium::new(&[Fate::Fails(StoreFault::Full); 2]);
    let plant = plant(&medium, system());
    let receipt = plant.help("button").await;
    let full = |plant: &Plant| plant.live.borrow().alarms.iter().any(|a| a.key.rule.as_str() == "store.full");
    plant.until("the full disk is announced", full).await;
    receipt.await.expect("answered once there was room");
    let over = |plant: &Plant| {
        plant.live.borrow().alarms.iter().any(|a| a.key.rule.as_str() == "store.full" && !a.active)
    };
    plant.until("it is over", over).await;
    plant.close().await.unwrap();
    let steps: Vec<(String, ChangeKind)> = medium
        .script()
        .stored
        .iter()
        .flat_map(|c| &c.alarm_changes)
        .map(|change| (change.alarm.key.rule.to_string(), change.kind))
        .collect();
    let said = |rule: &str, kind| (rule.to_owned(), kind);
    assert_eq!(
        steps,
        [
            said("always.help", ChangeKind::Raised),
            said("store.full", ChangeKind::Raised),
            said("store.full", ChangeKind::Cleared),
        ]
    );
}

#[tokio::test]
async fn what_the_store_gives_up_ends_the_pipe_and_is_not_answered() {
    let medium = Medium::new(&[Fate::Fails(StoreFault::Io); 3]);
    let plant = plant(&medium, system());
    let receipt = plant.help("button").await;
    assert!(receipt.await.is_err());
    assert_eq!(plant.close().await.unwrap_err().fault(), StoreFault::Io);
    assert_eq!(kept(&medium), (0, 0));
}

#[tokio::test]
async fn telemetry_waits_for_company_and_goes_with_whatever_people_wait_for() {
    let medium = Medium::new(&[]);
    let clock = Arc::new(ManualClock::new(Wall(1_790_000_000_000)));
    let plant = plant(&medium, Arc::clone(&clock) as Arc<dyn Clock>);
    // The broker shows that it may have ten of its messages waiting.
    let mut shown = Vec::new();
    for _ in 0..10 {
        shown.push(plant.inlet.deliver(delivery("other", readings(1))).await.unwrap());
    }
    plant.until("they are stepped", |plant| plant.tally.staged_rows.get() == 10).await;
    for receipt in shown {
        answered(&clock, receipt).await;
    }
    let before = plant.tally.commits.get();
    let first = plant.inlet.deliver(delivery("d", readings(3))).await.unwrap();
    plant.until("it is stepped", |plant| plant.tally.staged_rows.get() == 3).await;
    clock.advance_ms(4900);
    plant.inlet.offer(delivery("polled", readings(2))).unwrap();
    plant.until("the polled ones are stepped", |plant| plant.tally.staged_rows.get() == 5).await;
    assert_eq!(plant.tally.commits.get(), before, "five seconds are not over");
    let second = plant.help("button").await;
    plant.until("it is announced", |plant| plant.announced() == 1).await;
    clock.advance_ms(20);
    second.await.expect("answered");
    first.await.expect("with it");
    assert_eq!(plant.tally.commits.get(), before + 1, "all in one");
    let third = plant.inlet.deliver(delivery("d", readings(1))).await.unwrap();
    plant.until("it is stepped", |plant| plant.tally.staged_rows.get() == 1).await;
    clock.advance_ms(5000);
    third.await.expect("answered when its five seconds are over");
    plant.close().await.unwrap();
    assert_eq!(kept(&medium), (16, 1));
}

#[tokio::test]
async fn what_waits_at_the_stop_is_stored_and_answered() {
    let medium = Medium::new(&[]);
    let plant = plant(&medium, system());
    let receipt = plant.inlet.deliver(delivery("d", readings(3))).await.unwrap();
    plant.inlet.offer(delivery("polled", readings(2))).unwrap();
    let asked = Instant::now();
    plant.close().await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    receipt.await.expect("answered");
    assert_eq!(kept(&medium), (5, 0));
}

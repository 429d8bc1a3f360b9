//! People are told ahead of the disk, and a power failure at any step of a ladder changes nothing for them: the loop
//! with a real store and the real desk.

use super::*;
use crate::alarm::{Policy, Route, Scope, Step};
use crate::calendar::Calendar;
use crate::model::{
    Actor, AlarmId, Body, ChannelId, Command, Event, EventKind, Message, Mono, Observation, Occasion, Order,
    Phase, Rate, Stamp, SubMeters, Verdict, Wall,
};
use crate::notify::bell::bell;
use crate::notify::desk::{Channel, Desk, Parts};
use crate::notify::{Notifier, Told};
use crate::pipeline::Settings;
use crate::rules::{Engine, World, always};
use crate::runtime::lanes::{Inlet, lanes};
use crate::runtime::{ManualClock, Tasks};
use crate::store::{Reader, Store};
use std::path::Path;
use std::sync::Mutex;
use std::thread::JoinHandle;
use tokio::time::Instant;

const START: Wall = Wall(1_790_000_000_000);
const STEPS_SECS: [u64; 4] = [0, 30, 60, 120];
const CHANNELS: [&str; 4] = ["guard", "leader", "head", "office"];
const PATIENCE: Duration = Duration::from_secs(20);
/// After the start, what nobody took is told again within this time (A2).
const AGAIN_WITHIN: Duration = Duration::from_secs(2);

/// A channel that accepts nothing.
type Deaf = Arc<Mutex<Option<&'static str>>>;
type Log = Arc<Mutex<Vec<(&'static str, Mono, Message)>>>;

struct Recorder {
    id: &'static str,
    clock: Arc<ManualClock>,
    log: Log,
    deaf: Deaf,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

impl Notifier for Recorder {
    fn rate(&self) -> Rate {
        Rate { messages: 20, per: Duration::from_secs(60) }
    }

    fn tell<'a>(&'a mut self, message: &'a Message) -> Told<'a> {
        self.log.lock().unwrap().push((self.id, self.clock.now().mono, message.clone()));
        let deaf = *self.deaf.lock().unwrap() == Some(self.id);
        let verdict = if deaf { Verdict::Failed { why: "500".into() } } else { Verdict::Accepted };
        Box::pin(async { verdict })
    }
}

/// A gateway that is running.
struct Plant {
    inlet: Inlet,
    clock: Arc<ManualClock>,
    log: Log,
    deaf: Deaf,
    tasks: Tasks,
    thread: JoinHandle<()>,
}

fn start(dir: &Path, wall: Wall) -> Plant {
    let clock = Arc::new(ManualClock::new(wall));
    let dynamic = Arc::clone(&clock) as Arc<dyn Clock>;
    let tally = Arc::new(Tally::default());
    let (store, remembered) = Store::take_up(dir, 900).unwrap();
    let climbed = Reader::open(dir).unwrap().climbed().unwrap();
    let (store, thread) = store::open(store, Arc::clone(&dynamic), Arc::clone(&tally)).unwrap();
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
        destinations: Vec::new(),
        campus: crate::campus::Settings::default(),
        alarms: Default::default(),
        areas: Vec::new(),
    };
    let engine = Engine::new(always(&world));
    let pipeline = Pipeline::start(clock.now(), settings, world, engine, remembered);
    let (inlet, outlet) = lanes();
    let (bell, heard) = bell();
    let (found, findings) = mpsc::channel(8);
    let (log, deaf) = (Log::default(), Deaf::default());
    let id = |name: &str| ChannelId::new(name).unwrap();
    let channel = |name: &&'static str| {
        let (clock, log, deaf) = (Arc::clone(&clock), Arc::clone(&log), Arc::clone(&deaf));
        let notifier = Box::new(Recorder { id: name, clock, log, deaf });
        let route = Route { rate: notifier.rate(), local: false, quiet: None, drill: false };
        Channel { id: id(name), route, notifier }
    };
    let steps = STEPS_SECS.iter().zip(CHANNELS);
    let steps =
        steps.map(|(after, name)| Step { after: Duration::from_secs(*after), groups: vec![vec![id(name)]] });
    let policy =
        Policy { id: "p".into(), scope: Scope::default(), steps: steps.collect(), remind: None, over: false };
    let desk = Desk::new(Parts {
        channels: CHANNELS.iter().map(channel).collect(),
        policies: vec![policy],
        places: Arc::default(),
        zone: jiff::tz::TimeZone::UTC,
        climbed,
        heard,
        orders: inlet.desk(),
        findings: found,
        clock: Arc::clone(&dynamic),
        tally: Arc::clone(&tally),
    });
    let (live, _) = watch::channel(Arc::default());
    let pipe = Pipe {
        pipeline,
        outlet,
        store,
        clock: dynamic,
        tally,
        live,
        buses: BTreeMap::new(),
        findings,
        bell,
        feed: crate::console::Feed::new(),
    };
    let mut tasks = Tasks::new();
    tasks.spawn("pipe", async move { drop(pipe.run().await) });
    tasks.spawn("desk", desk.run());
    Plant { inlet, clock, log, deaf, tasks, thread }
}

async fn until(what: &str, within: Duration, mut look: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !look() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

impl Plant {
    async fn help(&self) {
        let body = Body::Event(Event::bare(EventKind::Help, Phase::Moment));
        let (device, stamp) = (DeviceId::new("button").unwrap(), Stamp::new(None, self.clock.now().wall));
        let seen = Observation { device, stamp, body, retained: false };
        let delivery = Delivery { bus: None, key: None, inputs: vec![Input::Observed(seen)] };
        let mut receipt = self.inlet.deliver(delivery).await.unwrap();
        until("it is stored", PATIENCE, || {
            self.clock.advance_ms(1);
            receipt.try_recv().is_ok()
        })
        .await;
    }

    /// Somebody gives an order; when this returns it is stored.
    async fn order(&self, order: Order) {
        let command = Command { order, actor: Actor::named("guard").unwrap(), note: String::new() };
        let (desk, clock) = (self.inlet.desk(), Arc::clone(&self.clock));
        let ordered = desk.order(command);
        tokio::pin!(ordered);
        let outcome = loop {
            tokio::select! {
                outcome = &mut ordered => break outcome,
                () = tokio::time::sleep(Duration::from_millis(1)) => clock.advance_ms(1),
            }
        };
        outcome.unwrap().unwrap();
    }

    /// Which channels were asked for support.
    fn called(&self) -> Vec<&'static str> {
        let log = self.log.lock().unwrap();
        let calls = log.iter().filter(|(.., message)| message.occasion == Occasion::Support);
        let mut called: Vec<&'static str> = calls.map(|(id, ..)| *id).collect();
        called.sort_unstable();
        called.dedup();
        called
    }

    /// When a channel was first told.
    fn told(&self, channel: &str) -> Option<Mono> {
        self.log.lock().unwrap().iter().find(|(id, ..)| *id == channel).map(|(_, at, _)| *at)
    }

    /// The power fails: whatever was not on the disk is gone.
    fn fail(self) -> Wall {
        let wall = self.clock.now().wall;
        drop((self.tasks, self.inlet));
        self.thread.join().unwrap();
        wall
    }
}

fn secs(secs: u64) -> u32 {
    u32::try_from(secs * 1000).unwrap()
}

/// A2 for the ladder: the power fails after each step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a02_a_power_failure_at_any_step_of_a_ladder_is_made_up_for_within_two_seconds() {
    for reached in 0..STEPS_SECS.len() {
        let dir = tempfile::tempdir().unwrap();
        let plant = start(dir.path(), START);
        plant.help().await;
        let mut passed = 0;
        for (step, after) in STEPS_SECS.iter().enumerate().take(reached + 1) {
            plant.clock.advance_ms(secs(after - passed));
            passed = *after;
            until("the channel of the step is told", PATIENCE, || plant.told(CHANNELS[step]).is_some()).await;
            until("the step is written down", PATIENCE, || {
                plant.clock.advance_ms(1);
                Reader::open(dir.path()).unwrap().climbed().unwrap().iter().any(|one| one.step == step + 1)
            })
            .await;
        }
        let wall = plant.fail();
        let plant = start(dir.path(), wall.plus_ms(5000));
        let told_again = || {
            let log = plant.log.lock().unwrap();
            CHANNELS.iter().take(reached + 1).all(|channel| {
                log.iter().any(|(id, _, message)| id == channel && message.alarms == [AlarmId(1)])
            })
        };
        until("all that had been told are told again", AGAIN_WITHIN, told_again).await;
        if let Some(next) = STEPS_SECS.get(reached + 1) {
            assert_eq!(plant.told(CHANNELS[reached + 1]), None, "not before it is due");
            // Five seconds of the step passed without power.
            let left = (next - STEPS_SECS[reached] - 5) * 1000;
            plant.clock.advance_ms(u32::try_from(left).unwrap());
            until("the ladder goes on", PATIENCE, || plant.told(CHANNELS[reached + 1]).is_some()).await;
            let at = plant.told(CHANNELS[reached + 1]).unwrap().0;
            assert!(
                (left.saturating_sub(1000)..=left + 1000).contains(&at),
                "step {next} at {at}, due at {left}"
            );
        }
        plant.fail();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a11_what_was_taken_before_a_restart_is_not_told_again() {
    let dir = tempfile::tempdir().unwrap();
    let plant = start(dir.path(), START);
    plant.help().await;
    plant.order(Order::Acknowledge(AlarmId(1))).await;
    let wall = plant.fail();
    let plant = start(dir.path(), wall.plus_ms(1000));
    plant.clock.advance_ms(600_000);
    // A further alarm comes through, and with it whatever else would have been told.
    let body = Event::bare(EventKind::Fire, Phase::Moment);
    let (device, stamp) = (DeviceId::new("detector").unwrap(), Stamp::new(None, plant.clock.now().wall));
    let seen = Observation { device, stamp, body: Body::Event(body), retained: false };
    let delivery = Delivery { bus: None, key: None, inputs: vec![Input::Observed(seen)] };
    let _receipt = plant.inlet.deliver(delivery).await.unwrap();
    until("the new one is told", PATIENCE, || plant.told("guard").is_some()).await;
    let told: Vec<AlarmId> =
        plant.log.lock().unwrap().iter().flat_map(|(.., message)| message.alarms.clone()).collect();
    assert_eq!(told, [AlarmId(2)]);
    plant.fail();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_for_support_that_not_everybody_had_is_told_again_after_a_power_failure_and_then_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let all = ["guard", "head", "leader", "office"];
    let plant = start(dir.path(), START);
    *plant.deaf.lock().unwrap() = Some("office");
    plant.help().await;
    // Taken, so that its ladder has ended.
    plant.order(Order::Acknowledge(AlarmId(1))).await;
    plant.clock.advance_ms(20_000);
    plant.order(Order::CallSupport(AlarmId(1))).await;
    until("all are asked", PATIENCE, || plant.called() == all).await;
    let steps = || {
        let (_, steps) = Reader::open(dir.path()).unwrap().alarm(AlarmId(1)).unwrap().unwrap();
        steps.iter().map(|step| step.kind.as_str()).collect::<Vec<_>>().join(" ")
    };
    let wall = plant.fail();
    assert_eq!(steps(), "raised acknowledged support_called");
    let plant = start(dir.path(), wall.plus_ms(5000));
    until("all are asked again", AGAIN_WITHIN, || plant.called() == all).await;
    until("it is written down that all have it", PATIENCE, || {
        plant.clock.advance_ms(1);
        steps() == "raised acknowledged support_called support_told"
    })
    .await;
    let wall = plant.fail();
    let plant = start(dir.path(), wall.plus_ms(5000));
    plant.clock.advance_ms(600_000);
    // A further alarm comes through, and with it whatever else would have been told.
    plant.help().await;
    until("the new one is told", PATIENCE, || plant.told("guard").is_some()).await;
    assert_eq!(plant.called(), [""; 0]);
    plant.fail();
}

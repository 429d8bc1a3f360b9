//! A thousand Modbus devices, each on a connection of its own, three of ten dead: the others keep their schedule, and
//! the dead are back soon after they answer. Time is virtual, so that a busy machine changes nothing; `make bench
//! ONLY=meters` does the same with the real program, sockets and clock.

use crate::rig;
use futures_util::future::BoxFuture;
use hil::fleet::{Manner, Mix};
use schoolgate::config::Device;
use schoolgate::model::{BusId, DeviceId, Fault, PlaceId};
use schoolgate::profile::Profile;
use schoolgate::runtime::{Outlet, SystemClock, Tasks};
use schoolgate::southbound::polled::{Ask, Channel, Poller, ReadError, Said, Station, Tap};
use schoolgate::southbound::{Driver, Failure, Field, Session, supervise};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

const PERIOD: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(1);
/// Before polls are counted.
const WARM_UP: Duration = Duration::from_secs(10);
/// While they are.
const WINDOW: u32 = 30;
/// The longest pause between two tries to connect, with its jitter, and a connect that hangs.
const BACK_WITHIN: Duration = Duration::from_secs(70);
/// How long a device takes to answer.
const LATENCY: Duration = Duration::from_millis(8);
/// As `Connection` has it: until a lost SYN is given up, and timeouts in a row until it connects anew.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUTS_TO_RECONNECT: u32 = 3;

/// A device behind an endpoint of its own.
#[derive(Debug)]
struct Endpoint {
    bus: BusId,
    device: Device,
    manner: Manner,
    /// From then on the dead ones answer, too.
    revived: AtomicBool,
    connects: AtomicU32,
    polls: AtomicU32,
}

impl Endpoint {
    fn manner(&self) -> Manner {
        if self.revived.load(Ordering::Relaxed) { Manner::Answers } else { self.manner }
    }

    async fn connect(&self) -> Result<(), ReadError> {
        self.connects.fetch_add(1, Ordering::Relaxed);
        let failed = |kind: io::ErrorKind| {
            Err(ReadError::Connect { endpoint: self.bus.to_string(), cause: io::Error::from(kind) })
        };
        match self.manner() {
            Manner::Answers | Manner::Hangs => Ok(()),
            Manner::Refuses => failed(io::ErrorKind::ConnectionRefused),
            Manner::Drops => {
                sleep(CONNECT_TIMEOUT).await;
                failed(io::ErrorKind::TimedOut)
            }
        }
    }
}

/// The endpoint as the bus's driver, and its connection.
struct Wire {
    endpoint: Arc<Endpoint>,
    timeouts: u32,
}

impl Driver for Wire {
    fn bus(&self) -> &BusId {
        &self.endpoint.bus
    }

    fn devices(&self) -> Vec<DeviceId> {
        vec![self.endpoint.device.id.clone()]
    }

    fn open<'a>(&'a self, field: &'a Field) -> BoxFuture<'a, Result<Box<dyn Session>, Failure>> {
        Box::pin(async move {
            let Endpoint { bus, device, .. } = &*self.endpoint;
            self.endpoint
                .connect()
                .await
                .map_err(|e| Failure::new(Fault::Unreachable, "connect").because(e))?;
            let wire = Self { endpoint: Arc::clone(&self.endpoint), timeouts: 0 };
            let devices = std::slice::from_ref(device);
            let poller = Poller::new(bus, Box::new(wire), TIMEOUT, Duration::ZERO, devices, field);
            Ok(Box::new(poller) as Box<dyn Session>)
        })
    }
}

impl Channel for Wire {
    fn kind(&self) -> &'static str {
        "a wire in memory"
    }

    fn is_open(&self) -> bool {
        self.timeouts < TIMEOUTS_TO_RECONNECT
    }

    fn reopen(&mut self) -> BoxFuture<'_, Result<(), ReadError>> {
        self.timeouts = 0;
        let endpoint = Arc::clone(&self.endpoint);
        Box::pin(async move { endpoint.connect().await })
    }

    fn ask<'a>(&'a mut self, _: Station, ask: &'a Ask) -> BoxFuture<'a, Result<Said, ReadError>> {
        Box::pin(async move {
            let Ask::Registers(block) = ask else { return Err(ReadError::WrongBus) };
            if self.endpoint.manner() != Manner::Answers {
                sleep(TIMEOUT).await;
                self.timeouts += 1;
                return Err(ReadError::Timeout { within: TIMEOUT });
            }
            sleep(LATENCY).await;
            let moved = u16::try_from(self.endpoint.polls.fetch_add(1, Ordering::Relaxed) % 64).unwrap_or(0);
            Ok(Said::Words((0..block.words).map(|n| n ^ moved).collect()))
        })
    }

    fn take_stale(&mut self) -> u64 {
        0
    }

    fn set_tap(&mut self, _: Option<Tap>) {}
}

/// Thirty points in one read.
fn thirty_points() -> Arc<Profile> {
    let mut text =
        "id = 'test-meter'\nclass = 'energy-meter'\nvendor = 'Test'\nmodel = 'Meter'\nname_zh = '电表'\n\
                    name_en = 'meter'\nsource = 'this test'\nconfirmed = true\nprotocol = 'modbus'\n"
            .to_owned();
    for n in 0..30 {
        writeln!(
            text,
            "[[point]]\nid = 'p{n}'\nname_zh = '量'\nname_en = 'p'\ntable = 'input'\naddress = {n}\ntype = 'u16'\n\
             unit = '1'"
        )
        .expect("a string takes it");
    }
    rig::profile(&text)
}

/// Takes everything as the pipe would; the readings taken, and how many deliveries were shed before they could be.
async fn take(mut outlet: Outlet) -> (usize, u64) {
    let (mut readings, mut shed, mut open) = (0, 0, true);
    loop {
        tokio::select! {
            parcel = outlet.events.recv(), if open => match parcel {
                Some(parcel) => drop(parcel.committed.map(|told| told.send(()))),
                None => open = false,
            },
            delivery = outlet.readings.recv() => match delivery {
                Ok(delivery) => readings += delivery.inputs.len(),
                Err(broadcast::error::RecvError::Lagged(lost)) => shed += lost,
                Err(broadcast::error::RecvError::Closed) => return (readings, shed),
            },
        }
    }
}

#[tokio::test(start_paused = true)]
async fn seven_hundred_of_a_thousand_keep_their_schedule_while_three_hundred_are_dead() {
    let (field, outlet) = rig::field(Arc::new(SystemClock::new()));
    let mut taking = JoinSet::new();
    taking.spawn(take(outlet));
    let (stop, stopped) = watch::channel(false);
    let profile = thirty_points();
    let mut tasks = Tasks::new();
    let endpoints: Vec<Arc<Endpoint>> = (0..)
        .zip(Mix::new(700, 100).manners())
        .map(|(n, manner): (u16, Manner)| {
            let bus = BusId::new(&format!("bus-{n}")).unwrap();
            let device = Device {
                id: DeviceId::new(&format!("meter-{n}")).unwrap(),
                name: "meter".into(),
                profile: Arc::clone(&profile),
                bus: bus.clone(),
                address: "1".into(),
                place: PlaceId::new("room").unwrap(),
                poll: PERIOD,
                alarmed: BTreeSet::new(),
                item: None,
            };
            let (revived, connects, polls) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
            Arc::new(Endpoint { bus, device, manner, revived, connects, polls })
        })
        .collect();
    for endpoint in &endpoints {
        let wire = Arc::new(Wire { endpoint: Arc::clone(endpoint), timeouts: 0 });
        tasks.spawn("bus", supervise(wire, field.clone(), stopped.clone()));
    }
    drop(field);

    let polls = || -> Vec<u32> { endpoints.iter().map(|e| e.polls.load(Ordering::Relaxed)).collect() };
    sleep(WARM_UP).await;
    let before = polls();
    sleep(PERIOD * WINDOW).await;
    let after = polls();
    let mut kept = 0;
    for ((endpoint, before), after) in endpoints.iter().zip(before).zip(after) {
        let made = after - before;
        match endpoint.manner {
            Manner::Answers => {
                // The last one may still be under way.
                assert!((WINDOW - 1..=WINDOW + 1).contains(&made), "{}: {made} polls", endpoint.bus);
                kept += made.min(WINDOW);
            }
            _ => assert_eq!(made, 0, "{}", endpoint.bus),
        }
        let connects = endpoint.connects.load(Ordering::Relaxed);
        let limit = (u32::try_from(WARM_UP.as_secs()).unwrap() + WINDOW) / 2;
        assert!((1..=limit).contains(&connects), "{}: {connects} connects", endpoint.bus);
    }
    assert!(kept * 100 >= 700 * WINDOW * 99, "{kept} of {} polls", 700 * WINDOW);

    for endpoint in &endpoints {
        endpoint.revived.store(true, Ordering::Relaxed);
    }
    sleep(BACK_WITHIN).await;
    let silent = endpoints.iter().filter(|endpoint| endpoint.polls.load(Ordering::Relaxed) == 0).count();
    assert_eq!(silent, 0, "devices that answer and are not asked");

    stop.send_replace(true);
    while tasks.next_ended().await.is_some() {}
    let (readings, shed) = taking.join_next().await.unwrap().unwrap();
    let polls: u32 = polls().iter().sum();
    assert_eq!((shed, readings.is_multiple_of(30)), (0, true), "{readings} readings, whole polls");
    // Where a stop cut a poll off, the device had answered and nobody had taken it.
    assert!(polls as usize - readings / 30 <= 1000, "{polls} polls, {readings} readings");
}

//! Drivers that fail, panic, work and are stopped, in paused time.

use super::*;
use crate::model::BusId;
use crate::model::{Body, DeviceId};
use crate::runtime::{Outlet, SystemClock, Tally, Tasks};
use crate::southbound::testing::field;
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::sync::Mutex;

/// What a scripted driver does on one try.
#[derive(Clone, Copy)]
enum Try {
    FailOpen(Fault),
    PanicOpen,
    FailRun(Fault),
    DeliverThenFail(Fault),
    PanicRun,
    RunForEver,
}

struct Scripted {
    bus: BusId,
    tries: Mutex<VecDeque<Try>>,
}

impl Driver for Scripted {
    fn bus(&self) -> &BusId {
        &self.bus
    }

    fn devices(&self) -> Vec<DeviceId> {
        vec![DeviceId::new("a").unwrap(), DeviceId::new("b").unwrap()]
    }

    fn open<'a>(&'a self, _: &'a Field) -> BoxFuture<'a, Result<Box<dyn Session>, Failure>> {
        let this = self.tries.lock().unwrap().pop_front().unwrap_or(Try::RunForEver);
        Box::pin(async move {
            match this {
                Try::FailOpen(fault) => Err(Failure::new(fault, "connect the test bus")),
                Try::PanicOpen => panic!("open broke"),
                _ => Ok(Box::new(Running(this)) as Box<dyn Session>),
            }
        })
    }
}

struct Running(Try);

impl Session for Running {
    fn run<'a>(&'a mut self, _: &'a Field) -> BoxFuture<'a, Failure> {
        Box::pin(async move {
            match self.0 {
                Try::PanicRun => panic!("run broke"),
                Try::FailRun(fault) | Try::DeliverThenFail(fault) => Failure::new(fault, "run the test bus"),
                _ => std::future::pending().await,
            }
        })
    }

    fn delivered(&self) -> bool {
        matches!(self.0, Try::DeliverThenFail(_))
    }
}

struct Rig {
    tasks: Tasks,
    stop: watch::Sender<bool>,
    outlet: Outlet,
    tally: Arc<Tally>,
}

fn rig(tries: &[Try]) -> Rig {
    let (field, outlet) = field(Arc::new(SystemClock::new()));
    let tally = Arc::clone(&field.tally);
    let driver =
        Scripted { bus: BusId::new("bus").unwrap(), tries: Mutex::new(tries.iter().copied().collect()) };
    let (stop, stopped) = watch::channel(false);
    let mut tasks = Tasks::new();
    tasks.spawn("supervise", supervise(Arc::new(driver), field, stopped));
    Rig { tasks, stop, outlet, tally }
}

/// The links told in the next delivery.
async fn told(outlet: &mut Outlet) -> Vec<(String, Link)> {
    let parcel = outlet.events.recv().await.expect("a delivery");
    parcel
        .delivery
        .inputs
        .into_iter()
        .map(|input| match input {
            Input::Observed(seen) => match seen.body {
                Body::Link(link) => (seen.device.to_string(), link),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        })
        .collect()
}

fn both(fault: Fault) -> Vec<(String, Link)> {
    vec![("a".into(), Link::Down(fault)), ("b".into(), Link::Down(fault))]
}

#[tokio::test(start_paused = true)]
async fn a_repeated_failure_is_told_once_and_counted_each_time() {
    let unreachable = Try::FailOpen(Fault::Unreachable);
    let mut rig = rig(&[unreachable, unreachable, unreachable, Try::FailOpen(Fault::Unauthorized)]);
    assert_eq!(told(&mut rig.outlet).await, both(Fault::Unreachable));
    assert_eq!(told(&mut rig.outlet).await, both(Fault::Unauthorized));
    let counts = rig.tally.device_faults.all();
    let of = |fault| counts.iter().filter(|((_, f), _)| *f == fault).map(|(_, n)| *n).collect::<Vec<_>>();
    assert_eq!(of(Fault::Unreachable), [3, 3]);
    assert_eq!(of(Fault::Unauthorized), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_to_a_minute_and_are_short_again_after_a_useful_session() {
    let mut tries = vec![Try::FailRun(Fault::Gone); 10];
    tries.push(Try::DeliverThenFail(Fault::Gone));
    let mut rig = rig(&tries);
    let mut at = Vec::new();
    for _ in 0..11 {
        told(&mut rig.outlet).await;
        at.push(tokio::time::Instant::now());
    }
    let pauses: Vec<Duration> = at.windows(2).map(|w| w[1] - w[0]).collect();
    let sec = Duration::from_secs;
    assert!(pauses[0] >= sec(1) && pauses[0] <= sec(3), "{pauses:?}");
    assert!(pauses[8] >= sec(30) && pauses[8] <= sec(61), "{pauses:?}");
    let before = tokio::time::Instant::now();
    while rig.tally.connects.all().first().map(|(_, n)| *n) < Some(12) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(before.elapsed() <= sec(3), "the pause after a useful session is short");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_fault_of_the_bus_and_nothing_more() {
    let mut rig = rig(&[Try::PanicOpen, Try::FailOpen(Fault::Gone), Try::PanicRun]);
    assert_eq!(told(&mut rig.outlet).await, both(Fault::Internal));
    assert_eq!(told(&mut rig.outlet).await, both(Fault::Gone));
    assert_eq!(told(&mut rig.outlet).await, both(Fault::Internal));
    assert_eq!(rig.tasks.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn stop_ends_a_session_and_a_pause_at_once() {
    for tries in [&[Try::RunForEver][..], &[Try::FailOpen(Fault::Gone); 20][..]] {
        let mut rig = rig(tries);
        tokio::time::sleep(Duration::from_secs(20)).await;
        let before = tokio::time::Instant::now();
        rig.stop.send(true).unwrap();
        let (_, ended) = rig.tasks.next_ended().await.unwrap();
        assert_eq!(ended, crate::runtime::tasks::Ended::Done);
        assert!(before.elapsed() < Duration::from_millis(10));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pipe_that_is_gone_ends_the_work() {
    let Rig { mut tasks, outlet, stop: _stop, .. } = rig(&[Try::FailOpen(Fault::Gone)]);
    drop(outlet);
    assert!(tasks.next_ended().await.is_some());
}

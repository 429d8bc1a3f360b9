//! The desk with channels that do as a test says, on a clock that runs as fast as it can.

use super::*;
use crate::alarm::{ACCEPT_WITHIN, Scope, Step};
use crate::model::{Alarm, ChangeKind, Occasion, Rate, Wall};
use crate::notify::Told;
use crate::notify::bell::{Bell, bell};
use crate::runtime::SystemClock;
use crate::runtime::lanes::{Inlet, OrderParcel, Outlet, lanes};
use serde_json::json;
use tokio::time::{Instant, sleep};

/// What a scripted channel does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Accept,
    Hang,
    Panic,
    Refuse,
}

type Log = mpsc::Receiver<(String, Duration, Message)>;

#[derive(Debug)]
struct Scripted {
    id: &'static str,
    does: Does,
    began: Instant,
    log: mpsc::Sender<(String, Duration, Message)>,
}

impl Notifier for Scripted {
    fn rate(&self) -> Rate {
        Rate { messages: 20, per: Duration::from_secs(60) }
    }

    fn tell<'a>(&'a mut self, message: &'a Message) -> Told<'a> {
        self.log.try_send((self.id.to_owned(), self.began.elapsed(), message.clone())).ok();
        Box::pin(async move {
            match self.does {
                Does::Accept => Verdict::Accepted,
                Does::Hang => std::future::pending().await,
                Does::Panic => panic!("a fault in the channel"),
                Does::Refuse => Verdict::Refused { why: "wrong key".into() },
            }
        })
    }
}

struct Scene {
    bell: Bell,
    log: Log,
    findings: mpsc::Receiver<Finding>,
    outlet: Outlet,
    tally: Arc<Tally>,
    tasks: Tasks,
    _inlet: Inlet,
}

fn scene(channels: &[(&'static str, Does)], steps: &[(u64, &[&[&str]])]) -> Scene {
    let (tell, log) = mpsc::channel(64);
    let began = Instant::now();
    let id = |id: &str| ChannelId::new(id).unwrap();
    let channels = channels.iter().map(|(name, does)| {
        let notifier = Box::new(Scripted { id: name, does: *does, began, log: tell.clone() });
        let route = Route { rate: notifier.rate(), local: false, quiet: None, drill: false };
        Channel { id: id(name), route, notifier }
    });
    let group = |group: &&[&str]| group.iter().map(|name| id(name)).collect();
    let step = |(after, groups): &(u64, &[&[&str]])| Step {
        after: Duration::from_secs(*after),
        groups: groups.iter().map(group).collect(),
    };
    let steps = steps.iter().map(step).collect();
    let policy = Policy { id: "p".into(), scope: Scope::default(), steps, remind: None, over: false };
    let (bell, heard) = bell();
    let (inlet, outlet) = lanes();
    let (findings_in, findings) = mpsc::channel(8);
    let tally = Arc::new(Tally::default());
    let parts = Parts {
        channels: channels.collect(),
        policies: vec![policy],
        places: Arc::default(),
        zone: TimeZone::UTC,
        climbed: Vec::new(),
        heard,
        orders: inlet.desk(),
        findings: findings_in,
        clock: Arc::new(SystemClock::new()),
        tally: Arc::clone(&tally),
    };
    let mut tasks = Tasks::new();
    tasks.spawn("desk", Desk::new(parts).run());
    Scene { bell, log, findings, outlet, tally, tasks, _inlet: inlet }
}

fn alarm(id: u64) -> Alarm {
    let alarm = json!({
        "id": id, "key": {"rule": "always.help", "subject": "d"}, "class": "help", "priority": "critical",
        "device": null, "place": null, "what": {"zh": "求助", "en": "help"}, "raised_at": 1_790_000_000_000_i64,
        "active": false, "occurrences": 1, "cleared_at": null, "acknowledged": null, "latched": true,
        "reset": null, "closed_at": null,
    });
    serde_json::from_value(alarm).unwrap()
}

fn raised(id: u64) -> AlarmChange {
    let (at, actor, note) = (Wall(1_790_000_000_000), Actor::gateway(), String::new());
    AlarmChange { kind: ChangeKind::Raised, at, actor, note, alarm: alarm(id) }
}

impl Scene {
    async fn told(&mut self) -> (String, Duration, Message) {
        self.log.recv().await.expect("a message")
    }
}

#[tokio::test(start_paused = true)]
async fn a08_a_channel_that_hangs_delays_no_other_and_after_five_seconds_the_next_is_asked() {
    let mut scene = scene(
        &[("fast", Does::Accept), ("next", Does::Accept), ("slow", Does::Hang)],
        &[(0, &[&["slow", "next"], &["fast"]])],
    );
    scene.bell.ring(&[raised(1)]);
    let (first, second) = (scene.told().await, scene.told().await);
    assert_eq!((first.0.as_str(), second.0.as_str()), ("fast", "slow"));
    assert!(second.1 < Duration::from_millis(10), "both at once");
    scene.bell.ring(&[raised(2)]);
    let (channel, at, message) = scene.told().await;
    assert_eq!((channel.as_str(), message.alarms.len()), ("fast", 1));
    assert!(at < Duration::from_millis(20), "while the slow one hangs");
    let (channel, at, _) = scene.told().await;
    assert_eq!(channel, "next");
    assert!(at <= ACCEPT_WITHIN + Duration::from_millis(20), "{at:?}");
    assert!(scene.tally.failed_over.get() >= 1);
    // Both are tried there again, after a pause.
    let at = loop {
        let (channel, at, _) = scene.told().await;
        if channel == "slow" {
            break at;
        }
    };
    assert!(at >= ACCEPT_WITHIN * 2, "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn a_fault_inside_a_channel_is_a_failure_and_no_end() {
    let mut scene = scene(&[("bad", Does::Panic), ("good", Does::Accept)], &[(0, &[&["bad", "good"]])]);
    scene.bell.ring(&[raised(1)]);
    assert_eq!(scene.told().await.0, "bad");
    let (channel, at, _) = scene.told().await;
    assert_eq!(channel, "good");
    assert!(at < Duration::from_millis(10), "at once: {at:?}");
    assert_eq!(scene.told().await.0, "bad", "and it is tried again");
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_refuses_is_an_alarm_of_the_gateway_itself() {
    let mut scene = scene(&[("bad", Does::Refuse)], &[(0, &[&["bad"]])]);
    scene.bell.ring(&[raised(1)]);
    let finding = scene.findings.recv().await.expect("a finding");
    assert_eq!((finding.key.rule.as_str(), finding.key.subject.as_str()), ("notify.channel_refused", "bad"));
    assert_eq!((finding.level, finding.class), (Level::Holds, AlarmClass::Equipment));
    assert!(finding.what.zh.contains("wrong key"));
}

#[tokio::test(start_paused = true)]
async fn a_step_is_written_down_by_an_order_of_the_gateway() {
    let mut scene = scene(
        &[("a", Does::Accept), ("b", Does::Accept)],
        &[(0, &[&["a"]]), (30, &[&["b"]]), (90, &[&["a"]])],
    );
    let began = Instant::now();
    scene.bell.ring(&[raised(1)]);
    for (secs, note) in [(30, "step 2 of 3"), (90, "step 3 of 3")] {
        let Some(OrderParcel::Alarm(command, outcome)) = scene.outlet.orders.recv().await else {
            panic!("no order")
        };
        assert_eq!(
            command,
            Command { order: Order::Escalate(AlarmId(1)), actor: Actor::gateway(), note: note.into() }
        );
        assert_eq!(began.elapsed().as_secs(), secs);
        outcome.send(Ok(crate::model::Done::Alarm(Box::new(alarm(1))))).ok();
    }
    let occasions: Vec<Occasion> =
        [scene.told().await, scene.told().await, scene.told().await].map(|told| told.2.occasion).into();
    assert_eq!(
        occasions,
        [Occasion::Raised, Occasion::Escalated, Occasion::Reminder],
        "who had it is reminded"
    );
}

#[tokio::test(start_paused = true)]
async fn when_the_pipe_is_gone_what_it_said_last_is_told_and_what_hangs_is_given_up() {
    let Scene { mut bell, mut log, mut tasks, _inlet, .. } =
        scene(&[("fast", Does::Accept), ("slow", Does::Hang)], &[(0, &[&["slow"], &["fast"]])]);
    bell.ring(&[raised(1)]);
    drop(bell);
    let began = Instant::now();
    assert!(tasks.next_ended().await.is_some());
    assert!(began.elapsed() <= STOP_WITHIN + Duration::from_millis(50), "{:?}", began.elapsed());
    let mut told = Vec::new();
    while let Some((channel, ..)) = log.recv().await {
        told.push(channel);
    }
    told.sort();
    assert_eq!(told, ["fast", "slow"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_happens_while_nothing_is_said() {
    let mut scene = scene(&[("a", Does::Accept)], &[(0, &[&["a"]])]);
    sleep(Duration::from_secs(7200)).await;
    assert!(scene.log.try_recv().is_err());
}

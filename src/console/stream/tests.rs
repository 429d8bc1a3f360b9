//! Nobody who follows misses a step of an alarm or hears it twice, however they are cut off; and nobody is in another's way.

use super::*;
use crate::access::Role;
use crate::console::Via;
use crate::console::testing::{AT, Scene, scene};
use crate::model::{Actor, Alarm, AlarmClass, AlarmId, AlarmKey, ChangeKind, Marks, Priority, RuleId, Text};
use crate::pipeline::Commit;
use crate::store::MOST_MISSED;
use axum::body::BodyDataStream;
use futures_util::StreamExt;
use std::collections::VecDeque;
use tokio::time::Instant;

/// Longest wait for what is to come.
const SOON: Duration = Duration::from_secs(30);

pub(in crate::console) fn raised(id: u64) -> AlarmChange {
    let alarm = Alarm {
        id: AlarmId(id),
        key: AlarmKey { rule: RuleId::new("r").unwrap(), subject: format!("d{id}") },
        class: AlarmClass::Security,
        priority: Priority::High,
        device: None,
        place: None,
        what: Text::new("某事", "something"),
        raised_at: AT,
        active: true,
        occurrences: 1,
        cleared_at: None,
        acknowledged: None,
        latched: false,
        reset: None,
        closed_at: None,
        marks: Marks::default(),
    };
    AlarmChange { kind: ChangeKind::Raised, at: AT, actor: Actor::gateway(), note: String::new(), alarm }
}

fn who(role: Role) -> Who {
    Who { name: Actor::named("desk").unwrap(), role, via: Via::Session }
}

async fn open(scene: &Scene, after: Option<u64>) -> Result<BodyDataStream, StatusCode> {
    let asked = Ok(Query(Asked { after }));
    let answer = stream(
        State(scene.console.clone()),
        who(Role::Guard),
        Extension(Proof::Local),
        HeaderMap::new(),
        asked,
    )
    .await;
    answer.map(|answer| answer.into_body().into_data_stream()).map_err(|problem| problem.status)
}

/// A message: its number if it has one, its kind, its data.
#[derive(Debug, PartialEq)]
struct Heard {
    id: Option<u64>,
    event: String,
    data: Value,
}

fn parse(text: &Bytes) -> Option<Heard> {
    let text = std::str::from_utf8(text).unwrap().strip_suffix("\n\n").unwrap();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let event = field("event")?.to_owned();
    let lines = text.lines().count();
    assert_eq!(lines, 2 + usize::from(field("id").is_some()), "{text}");
    let data = serde_json::from_str(field("data").unwrap()).unwrap();
    Some(Heard { id: field("id").map(|id| id.parse().unwrap()), event, data })
}

/// The next message; `None` at the end.
async fn next(body: &mut BodyDataStream) -> Option<Heard> {
    loop {
        let text = tokio::time::timeout(SOON, body.next()).await.expect("in time")?.unwrap();
        if let Some(heard) = parse(&text) {
            return Some(heard);
        }
    }
}

impl Scene {
    /// Makes so many alarms durable; the number of the last step.
    async fn commit(&self, first: u64, count: u64) -> (u64, Vec<AlarmChange>) {
        let changes: Vec<AlarmChange> = (first..first + count).map(raised).collect();
        let commit = Commit { alarm_changes: changes.clone(), ..Commit::default() };
        (self.handle.commit(commit).await.unwrap().last_step, changes)
    }
}

/// A little chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Somebody who follows, is cut off, and comes back with the last number they heard.
#[derive(Default)]
struct Follower {
    body: Option<BodyDataStream>,
    last: Option<u64>,
    heard: Vec<u64>,
    first: u64,
}

impl Follower {
    fn hear(&mut self, heard: Heard) {
        match (heard.event.as_str(), heard.id) {
            ("hello", Some(id)) => {
                assert_eq!(self.last, None, "whoever comes back is not told everything anew");
                (self.first, self.last) = (id, Some(id));
                assert_eq!(
                    heard.data["alarms"].as_array().unwrap().len() as u64,
                    id,
                    "all that were open then"
                );
            }
            ("alarm", Some(id)) => {
                assert_eq!(heard.data["alarm"]["id"], id, "the step of that number");
                assert_eq!(heard.data["change"]["kind"], "raised");
                self.heard.push(id);
                self.last = Some(id);
            }
            ("reload", _) | (_, Some(_)) => panic!("{heard:?}"),
            _ => {}
        }
    }

    async fn read_through(&mut self, scene: &Scene, last: u64) {
        let deadline = Instant::now() + SOON;
        while self.last.unwrap_or(0) < last {
            assert!(Instant::now() < deadline, "{:?} of {last}", self.last);
            if self.body.is_none() {
                self.body = Some(open(scene, self.last).await.unwrap());
            }
            match next(self.body.as_mut().unwrap()).await {
                Some(heard) => self.hear(heard),
                None => self.body = None,
            }
        }
        assert_eq!(self.heard, (self.first + 1..=last).collect::<Vec<_>>(), "each once and in order");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_is_heard_once_and_in_order_over_random_commits_cuts_and_returns() {
    let mut in_all = 0;
    for seed in 0..12 {
        // A ring so small that readers fall out of it again and again.
        let (scene, mut chance) = (scene(8), Chance(seed));
        let mut followers: Vec<Follower> = (0..4).map(|_| Follower::default()).collect();
        let (mut durable, mut untold) = (0, VecDeque::new());
        for _ in 0..120 {
            let one = usize::try_from(chance.below(4)).unwrap();
            match chance.below(8) {
                0 | 1 if durable < MOST_MISSED - 100 => {
                    let (last, changes) = scene.commit(durable + 1, chance.below(30) + 1).await;
                    durable = last;
                    untold.push_back((last, changes));
                }
                // The pipe is told by the store in its order, a little later.
                2 | 3 => untold.drain(..).for_each(|(last, changes)| scene.feed.committed(last, changes)),
                4 => followers[one].body = None,
                5 => {
                    let last = followers[one].last;
                    followers[one].body = Some(open(&scene, last).await.unwrap());
                }
                _ => {
                    let follower = &mut followers[one];
                    for _ in 0..chance.below(20) {
                        let Some(body) = &mut follower.body else { break };
                        // Whatever is there, now.
                        tokio::task::yield_now().await;
                        match futures_util::FutureExt::now_or_never(body.next()) {
                            Some(Some(text)) => {
                                if let Some(heard) = parse(&text.unwrap()) {
                                    follower.hear(heard);
                                }
                            }
                            Some(None) => follower.body = None,
                            None => break,
                        }
                    }
                }
            }
        }
        let (last, changes) = scene.commit(durable + 1, 3).await;
        untold.push_back((last, changes));
        untold.drain(..).for_each(|(last, changes)| scene.feed.committed(last, changes));
        for follower in &mut followers {
            follower.read_through(&scene, last).await;
        }
        in_all += followers.iter().map(|follower| follower.heard.len()).sum::<usize>();
    }
    assert!(in_all > 2000, "{in_all} steps were heard");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_too_far_back_is_told_to_look_anew() {
    let scene = scene(8);
    let (last, changes) = scene.commit(1, 3).await;
    let mut body = open(&scene, Some(999)).await.unwrap();
    assert_eq!(next(&mut body).await.unwrap().event, "reload", "there was no such step");
    let hello = next(&mut body).await.unwrap();
    assert_eq!((hello.event.as_str(), hello.id), ("hello", Some(3)));
    assert_eq!(hello.data["version"], env!("CARGO_PKG_VERSION"));
    for key in ["at", "alarms", "drill", "areas", "responses"] {
        assert!(hello.data.get(key).is_some(), "{key}");
    }
    scene.feed.committed(last, changes);
    // A restore leaves numbers out.
    let far = last + 1_000_000;
    let db = rusqlite::Connection::open(scene.console.data_dir.join(crate::store::FILE_NAME)).unwrap();
    let sql = "insert into alarm_change (seq, alarm, kind, at, actor, note) values (?1, 3, 'cleared', 0, 'gateway', '')";
    db.execute(sql, [i64::try_from(far).unwrap()]).unwrap();
    scene.feed.committed(far, vec![raised(3)]);
    assert_eq!(next(&mut body).await.unwrap().event, "reload", "not without those in between");
    assert_eq!(next(&mut body).await.unwrap().id, Some(far));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_of_a_browser_that_comes_back_goes_before_that_of_its_address() {
    let scene = scene(8);
    scene.commit(1, 3).await;
    let mut headers = HeaderMap::new();
    headers.insert("last-event-id", "2".parse().unwrap());
    let asked = Ok(Query(Asked { after: Some(0) }));
    let answer =
        stream(State(scene.console.clone()), who(Role::Viewer), Extension(Proof::Local), headers, asked)
            .await
            .unwrap();
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut body = answer.into_body().into_data_stream();
    assert_eq!(next(&mut body).await.unwrap().id, Some(3));
}

#[tokio::test(start_paused = true)]
async fn so_many_may_follow_and_a_place_is_free_as_soon_as_one_goes() {
    let scene = scene(8);
    let mut all = Vec::new();
    for _ in 0..STREAMS {
        all.push(open(&scene, None).await.unwrap());
    }
    assert_eq!(open(&scene, None).await.err(), Some(StatusCode::SERVICE_UNAVAILABLE));
    all.pop();
    let room = &scene.console.streams.room;
    tokio::time::timeout(SOON, room.acquire()).await.expect("a place is free").unwrap().forget();
}

#[tokio::test]
async fn a_reader_who_does_not_keep_up_is_cut_off_and_keeps_nobody_out() {
    let scene = scene(8);
    let mut slow = open(&scene, None).await.unwrap();
    assert_eq!(next(&mut slow).await.unwrap().event, "hello");
    let (last, changes) = scene.commit(1, 200).await;
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    scene.feed.committed(last, changes);
    let room = &scene.console.streams.room;
    let every = u32::try_from(STREAMS).unwrap();
    tokio::time::timeout(SOON, room.acquire_many(every)).await.expect("its place is free").unwrap().forget();
    assert!(began.elapsed() >= PATIENCE, "{:?}", began.elapsed());
    let mut waiting = 0;
    while let Some(heard) = next(&mut slow).await {
        waiting += 1;
        assert_eq!(heard.id, Some(waiting));
    }
    assert_eq!(waiting, BUFFER as u64, "no more than this was kept for it");
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_every_stream_at_once_and_none_lasts_for_ever() {
    let scene = scene(8);
    let mut body = open(&scene, None).await.unwrap();
    while let Some(heard) = next(&mut body).await {
        assert_eq!(heard.event, "hello");
        let _asked = scene.stop.send_replace(true);
    }
    scene.stop.send_replace(false);
    let mut body = open(&scene, None).await.unwrap();
    assert_eq!(next(&mut body).await.unwrap().event, "hello");
    let began = tokio::time::Instant::now();
    let end = tokio::time::timeout(AT_MOST * 2, body.next()).await.expect("it ends by itself");
    assert!(end.is_none() && began.elapsed() >= AT_MOST - Duration::from_secs(1), "{:?}", began.elapsed());
}

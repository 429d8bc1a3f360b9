//! 200 × `kill -9` under MQTT load: what Mosquitto acknowledged to its publishers is in the store, once. Now and then
//! the kill comes while readings of days ago are being sealed.

use crate::daemon::{Daemon, PATIENCE, Publisher, School, device, mqtt_bus, numbered, sum_of, until};
use crate::mosquitto::Mosquitto;
use crate::oracle;
use crate::torture::{self, Progress};
use hil::chance::Chance;
use schoolgate::model::{DeviceId, Now, PointId, PointKind, Reading, Stamp, Unit};
use schoolgate::pipeline::{Commit, StoredReading};
use schoolgate::runtime::{Clock, SystemClock};
use schoolgate::store::{Depth, Reader, Store};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

const KILLS: usize = 200;
const LONG_KILLS: usize = 10_000;
/// Each publisher sends this many messages at a time at most, so that some are under way at every moment.
const BURST: u32 = 8;
/// Pause between two bursts.
const PACE: Duration = Duration::from_millis(10);
/// At most this many for each start, so that a slow machine has no more to do than a fast one.
const PER_ROUND: u32 = 60;
/// Messages of a kind in all rounds together: each start reads what came within the last half hour.
const NUMBERS: usize = 20_000;
/// Loops at the same time, each with a broker, a school and its part of the kills.
const LOOPS: usize = 2;
/// Readings of days ago that it finds then.
const OLD: u32 = 300;
const DAY_MS: i64 = 86_400_000;
/// A call for help; it looks like every other.
const HELP: &str = r#"{"action":"emergency"}"#;
/// Latest moment of a kill after the first commit of a run.
const SPREAD_MS: u64 = 60;
/// The same after the first sign of a seal, microseconds.
const SEAL_SPREAD_MICROS: u64 = 15_000;
/// Ready again within this, median (the service manager and people wait for it).
const READY_GOAL: Duration = Duration::from_millis(500);

/// A card pass that a reader numbers itself.
fn pass(n: u32) -> String {
    format!(
        r#"{{"operator":"RecPush","info":{{"RecordID":"{n}","VerifyStatus":"1","direction":"entr","RFIDCard":"0012345678"}}}}"#
    )
}

/// How far the publishers may go.
pub struct Reins {
    /// Messages of a kind at a time.
    burst: u32,
    allowed: Cell<u32>,
    done: Cell<bool>,
}

impl Reins {
    /// For rounds of so many messages: some are under way at every moment of a round.
    pub fn new(per_round: u32) -> Self {
        let burst = (per_round / 6).clamp(1, BURST);
        Self { burst, allowed: Cell::new(0), done: Cell::new(false) }
    }

    /// So many messages more of each kind.
    pub fn allow(&self, more: u32) {
        self.allowed.set(self.allowed.get() + more);
    }

    /// How many of each kind are allowed so far, and whether that is all.
    pub fn allowed(&self) -> (u32, bool) {
        (self.allowed.get(), self.done.get())
    }

    /// No more.
    pub fn stop(&self) {
        self.done.set(true);
    }
}

/// In how many of the rounds, evenly, the daemon lives until it seals: six seconds each.
pub fn seals(rounds: usize) -> usize {
    (rounds / 50).clamp(2, 40)
}

/// How many messages of a kind each round may have when there are so many rounds.
pub fn per_round(rounds: usize) -> u32 {
    u32::try_from(NUMBERS / rounds.max(1)).map_or(PER_ROUND, |most| most.clamp(1, PER_ROUND))
}

/// Publishes as many messages of each kind as allowed until told that it is done: numbered ones with and without a
/// serial, and calls for help, which all look the same. How many of each, all of them acknowledged by the broker.
pub async fn load(broker: &Mosquitto, reins: &Reins) -> u32 {
    let mut sensor = Publisher::new(broker, "zigbee2mqtt/th");
    let mut reader = Publisher::new(broker, "mqtt/face/1001/Rec");
    let mut button = Publisher::new(broker, "zigbee2mqtt/help");
    let mut pace = tokio::time::interval(PACE);
    let mut n = 0;
    while !reins.done.get() {
        pace.tick().await;
        for n in n..reins.allowed.get().min(n + reins.burst) {
            sensor.publish(&numbered(n)).await;
            reader.publish(&pass(n)).await;
            button.publish(HELP).await;
        }
        n = reins.allowed.get().min(n + reins.burst);
    }
    sensor.finish().await;
    reader.finish().await;
    button.finish().await;
    n
}

/// Readings of days ago, stored while the daemon does not run: the next one seals them when it has lived for a while.
/// How many.
pub fn seed_old(school: &School) -> u32 {
    let now = SystemClock::new().now();
    let old = |n: u32, days: i64| StoredReading {
        device: DeviceId::new("old").unwrap(),
        stamp: Stamp::new(None, now.wall.plus_ms(i64::from(n) - days * DAY_MS)),
        reading: Reading::new(PointId::new("power").unwrap(), f64::from(n), Unit::Watt, PointKind::Gauge),
    };
    let mut store = Store::open(&school.data_dir()).expect("the store opens");
    let stored = |readings| Commit { readings, ..Commit::default() };
    // Everything up to the first of these is sealed here, so that the oldest that is not is old. What is near the
    // newest stays unsealed.
    store.commit(&[&stored(vec![old(0, 5), old(1, 2)])]).expect("stored");
    let later = Now { wall: now.wall.plus_ms(3 * DAY_MS), ..now };
    while store.maintain(later).expect("sealed") {}
    let many = (2..OLD - 1).map(|n| old(n, 5)).chain([old(OLD - 1, 2)]).collect();
    store.commit(&[&stored(many)]).expect("stored");
    OLD
}

/// Files of sealed readings, also unfinished ones.
pub fn sealed_files(school: &School) -> usize {
    std::fs::read_dir(school.data_dir().join("history")).map_or(0, Iterator::count)
}

/// Lets the daemon live until there are more sealed files than `before` it started, and a little longer.
pub async fn until_it_seals(school: &School, before: usize, chance: &mut Chance) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while sealed_files(school) == before {
        assert!(tokio::time::Instant::now() < deadline, "nothing was sealed");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_micros(chance.below(SEAL_SPREAD_MICROS))).await;
}

/// Room for the database is small, and so the ballast, which is written before anything is sealed.
pub fn small_budget(school: &School) {
    let text = std::fs::read_to_string(school.config()).expect("the configuration");
    let text = text.replace("dir = 'data'\n", "dir = 'data'\nbudget_mb = 64\n");
    std::fs::write(school.config(), text).expect("the configuration is written");
}

/// The values of a device's point in thousandths, wherever they are stored, in order.
pub fn values(school: &School, device: &str, point: &str) -> Vec<i64> {
    let (device, point) = (DeviceId::new(device).unwrap(), PointId::new(point).unwrap());
    let reader = Reader::open(&school.data_dir()).expect("the store can be read");
    let (mut values, mut before) = (Vec::new(), None);
    loop {
        let page = reader.readings(Some(&device), Some(&point), before, 1000).expect("readings");
        values.extend(page.rows.iter().filter_map(|(_, r)| r.reading.value));
        before = page.next_before;
        if before.is_none() {
            break;
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "small numbers")]
    let mut values: Vec<i64> = values.into_iter().map(|value| (value * 1000.0).round() as i64).collect();
    values.sort_unstable();
    values
}

/// How many of the numbers that were sent are not there; panics when one is there twice.
pub fn missing(what: &str, sent: u32, found: &[i64]) -> usize {
    let there: BTreeSet<i64> = found.iter().copied().collect();
    assert_eq!(there.len(), found.len(), "{what} stored twice");
    (0..i64::from(sent)).filter(|n| !there.contains(n)).count()
}

/// What happened over all kills.
#[derive(Default)]
pub struct Tale {
    sent: u32,
    lost: usize,
    pub ready: Vec<Duration>,
    /// Messages that came again and were known.
    pub repeats: f64,
    early: u32,
}

/// Kills the daemon again and again: once in ten times while it starts, else in the midst of its work.
pub async fn rounds(school: &School, reins: &Reins, kills: usize, seed: u64) -> (Tale, u32) {
    let progress = Progress::new("kills (of each of two loops)", kills);
    let (mut tale, mut old) = (Tale::default(), 0);
    let mut chance = Chance::seeded(seed);
    let seals = seals(kills);
    while tale.ready.len() < kills {
        reins.allow(per_round(kills));
        let seal = seals * (tale.ready.len() + 1) / kills > seals * tale.ready.len() / kills;
        let early = !seal && chance.one_in(10);
        if seal {
            old += seed_old(school);
        }
        let sealed = sealed_files(school);
        let mut daemon = school.launch();
        if early {
            tokio::time::sleep(Duration::from_millis(chance.below(SPREAD_MS))).await;
            daemon.kill().await;
            tale.early += 1;
            continue;
        }
        tale.ready.push(daemon.ready().await);
        if seal {
            until_it_seals(school, sealed, &mut chance).await;
        } else {
            until("a message is committed", async || {
                let page = school.metrics().await;
                let worked = sum_of(&page, "schoolgate_readings_total", "") > 0.0
                    && sum_of(&page, "schoolgate_events_total", "") > 0.0;
                worked.then_some(())
            })
            .await;
            tokio::time::sleep(Duration::from_millis(chance.below(SPREAD_MS))).await;
            tale.repeats += sum_of(&school.metrics().await, "schoolgate_duplicates_total", "");
        }
        daemon.kill().await;
        assert_eq!(oracle::sound(&school.data_dir(), Depth::Quick), Ok(()), "after a kill");
        progress.one();
    }
    reins.stop();
    (tale, old)
}

/// How many readings of a point are stored.
fn of_point(school: &School, point: &str) -> i64 {
    school.count(&format!(
        "select count(*) from reading r join series s on s.id = r.series where s.point = '{point}'"
    ))
}

/// Waits until the broker keeps the devices' messages for a session that it knows, and kills the daemon.
pub async fn subscribed(school: &School, broker: &Mosquitto, mut first: Daemon<'_>) {
    first.ready().await;
    first.connected().await;
    until("the devices' topics are subscribed", async || {
        broker.publish("zigbee2mqtt/th", br#"{"battery":50}"#, &[]).await;
        broker.publish("mqtt/face/1001/Rec", pass(u32::MAX).as_bytes(), &[]).await;
        let page = school.metrics().await;
        let both = sum_of(&page, "schoolgate_readings_total", "") > 0.0
            && sum_of(&page, "schoolgate_events_total", "") > 0.0;
        both.then_some(())
    })
    .await;
    first.kill().await;
}

/// Waits until everything that the broker kept is stored: the last message of each publisher is the last to arrive.
pub async fn drained(school: &School, broker: &Mosquitto) {
    broker.publish("zigbee2mqtt/th", b"{\"pressure\":1000}", &[]).await;
    until("the queue is drained", async || (of_point(school, "pressure") > 0).then_some(())).await;
}

/// The numbers of the card passes that are stored.
pub fn serials(school: &School) -> Vec<i64> {
    school.column("select cast(serial as integer) from event where serial <> '4294967295' order by 1")
}

/// One loop: its own broker and school.
async fn kills(kills: usize, seed: u64) -> Tale {
    let broker = Mosquitto::start().await;
    let devices = device("th", "aqara-wsdcgq11lm", "th")
        + &device("help", "tuya-ts0215a", "help")
        + &device("reader", "face-rec-mqtt", "1001");
    let school = School::new(&(mqtt_bus(&broker) + &devices));
    small_budget(&school);
    // The broker keeps for a session that it knows.
    subscribed(&school, &broker, school.launch()).await;

    let reins = Reins::new(per_round(kills));
    let (sent, (mut tale, old)) = tokio::join!(load(&broker, &reins), rounds(&school, &reins, kills, seed));

    let last = school.start().await;
    drained(&school, &broker).await;
    assert!(sealed_files(&school) > 0, "nothing was sealed");
    let (readings, passes) = (values(&school, "th", "temperature"), serials(&school));
    tale.sent = sent;
    tale.lost = missing("readings without a serial", sent, &readings) + missing("card passes", sent, &passes);
    assert_eq!(readings.len() + passes.len() + tale.lost, 2 * sent as usize, "what nobody sent");
    let there = values(&school, "old", "power").len();
    tale.lost += (old as usize).abs_diff(there);
    let calls = school.count("select count(*) from event where kind = 'help'");
    assert_eq!(calls, i64::from(sent), "calls for help, which all look the same");
    let alarms: Vec<i64> = school.column("select occurrences from alarm");
    assert_eq!(alarms, [i64::from(sent)], "one alarm that counts every call");
    last.kill().await;
    assert_eq!(oracle::sound(&school.data_dir(), Depth::Whole), Ok(()));
    tale
}

#[test]
fn two_hundred_kills_lose_and_repeat_nothing_that_the_broker_acknowledged() {
    let all = torture::scale("KILLS", KILLS, LONG_KILLS);
    let tales: Vec<Tale> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=LOOPS as u64)
            .map(|seed| {
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                    runtime.expect("a runtime").block_on(kills(all.div_ceil(LOOPS), seed))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let mut ready: Vec<Duration> = tales.iter().flat_map(|tale| tale.ready.iter().copied()).collect();
    ready.sort();
    let (median, longest) = (ready[ready.len() / 2], ready[ready.len() - 1]);
    let early: u32 = tales.iter().map(|tale| tale.early).sum();
    let sent: u32 = tales.iter().map(|tale| tale.sent).sum();
    let lost: usize = tales.iter().map(|tale| tale.lost).sum();
    let repeats: f64 = tales.iter().map(|tale| tale.repeats).sum();
    println!(
        "{} kills at work and {early} while starting: 3 × {sent} messages, {lost} lost, {repeats} known repeats; \
         ready after {median:?} (median), {longest:?} (longest)",
        ready.len()
    );
    torture::kills(ready.len(), lost);
    assert_eq!(lost, 0, "messages lost");
    assert!(repeats > 0.0, "the kills were so gentle that nothing came twice");
    assert!(median <= READY_GOAL, "ready after {median:?}");
}

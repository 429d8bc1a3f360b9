//! 200 × `kill -9` under MQTT load: what Mosquitto acknowledged to its publishers is in the store, once.

use crate::daemon::{Publisher, School, device, mqtt_bus, numbered, stored_numbers, sum_of, until};
use crate::mosquitto::Mosquitto;
use std::cell::Cell;
use std::time::Duration;

const KILLS: usize = 200;
/// Each publisher sends this many messages at a time, so that some are under way at every moment.
const BURST: u32 = 8;
/// Pause between two bursts.
const PACE: Duration = Duration::from_millis(10);
/// At most this many for each start, so that a slow machine has no more to do than a fast one.
const PER_ROUND: u32 = 60;
/// A call for help; it looks like every other.
const HELP: &str = r#"{"action":"emergency"}"#;
/// Latest moment of a kill after the first commit of a run.
const SPREAD_MS: u64 = 60;
/// Ready again within this, median (the service manager and people wait for it).
const READY_GOAL: Duration = Duration::from_millis(500);

/// A card pass that a reader numbers itself.
fn pass(n: u32) -> String {
    format!(
        r#"{{"operator":"RecPush","info":{{"RecordID":"{n}","VerifyStatus":"1","direction":"entr","RFIDCard":"0012345678"}}}}"#
    )
}

/// How far the publishers may go.
#[derive(Default)]
struct Reins {
    allowed: Cell<u32>,
    done: Cell<bool>,
}

/// Publishes as many messages of each kind as allowed until told that it is done: numbered ones with and without a
/// serial, and calls for help, which all look the same. How many of each, all of them acknowledged by the broker.
async fn load(broker: &Mosquitto, reins: &Reins) -> u32 {
    let mut sensor = Publisher::new(broker, "zigbee2mqtt/th");
    let mut reader = Publisher::new(broker, "mqtt/face/1001/Rec");
    let mut button = Publisher::new(broker, "zigbee2mqtt/help");
    let mut pace = tokio::time::interval(PACE);
    let mut n = 0;
    while !reins.done.get() {
        pace.tick().await;
        for n in n..reins.allowed.get().min(n + BURST) {
            sensor.publish(&numbered(n)).await;
            reader.publish(&pass(n)).await;
            button.publish(HELP).await;
        }
        n = reins.allowed.get().min(n + BURST);
    }
    sensor.finish().await;
    reader.finish().await;
    button.finish().await;
    n
}

/// What happened over all kills.
#[derive(Default)]
struct Tale {
    ready: Vec<Duration>,
    /// Messages that came again and were known.
    repeats: f64,
    early: u32,
}

/// Kills the daemon again and again: once in ten times while it starts, else in the midst of its work.
async fn rounds(school: &School, reins: &Reins) -> Tale {
    let mut tale = Tale::default();
    // xorshift: the moments differ, and are the same in every run of this test.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % limit
    };
    while tale.ready.len() < KILLS {
        reins.allowed.set(reins.allowed.get() + PER_ROUND);
        let mut daemon = school.launch();
        if below(10) == 0 {
            tokio::time::sleep(Duration::from_millis(below(SPREAD_MS))).await;
            daemon.kill().await;
            tale.early += 1;
            continue;
        }
        tale.ready.push(daemon.ready().await);
        until("a message is committed", async || {
            let page = school.metrics().await;
            let worked = sum_of(&page, "schoolgate_readings_total", "") > 0.0
                && sum_of(&page, "schoolgate_events_total", "") > 0.0;
            worked.then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(below(SPREAD_MS))).await;
        tale.repeats += sum_of(&school.metrics().await, "schoolgate_duplicates_total", "");
        daemon.kill().await;
    }
    reins.done.set(true);
    tale
}

/// How many readings of a point are stored.
fn of_point(school: &School, point: &str) -> i64 {
    school.count(&format!(
        "select count(*) from reading r join series s on s.id = r.series where s.point = '{point}'"
    ))
}

#[tokio::test]
async fn two_hundred_kills_lose_and_repeat_nothing_that_the_broker_acknowledged() {
    let broker = Mosquitto::start().await;
    let devices = device("th", "aqara-wsdcgq11lm", "th")
        + &device("help", "tuya-ts0215a", "help")
        + &device("reader", "face-rec-mqtt", "1001");
    let school = School::new(&(mqtt_bus(&broker) + &devices));
    // The broker keeps for a session that it knows.
    let first = school.start().await;
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

    let reins = Reins::default();
    let (sent, mut tale) = tokio::join!(load(&broker, &reins), rounds(&school, &reins));

    let _last = school.start().await;
    let wanted: Vec<i64> = (0..i64::from(sent)).collect();
    let serials = || -> Vec<i64> {
        school.column("select cast(serial as integer) from event where serial <> '4294967295' order by 1")
    };
    // The last message of each publisher is the last to arrive.
    broker.publish("zigbee2mqtt/th", b"{\"pressure\":1000}", &[]).await;
    until("the queue is drained", async || (of_point(&school, "pressure") > 0).then_some(())).await;
    tale.ready.sort();
    let median = tale.ready[KILLS / 2];
    println!(
        "{KILLS} kills at work and {} while starting: 3 × {sent} messages, {} known repeats; \
         ready after {median:?} (median), {:?} (longest)",
        tale.early,
        tale.repeats,
        tale.ready[KILLS - 1]
    );
    assert_eq!(stored_numbers(&school), wanted, "readings without a serial");
    assert_eq!(serials(), wanted, "card passes");
    let calls = school.count("select count(*) from event where kind = 'help'");
    assert_eq!(calls, i64::from(sent), "calls for help, which all look the same");
    let alarms: Vec<i64> = school.column("select occurrences from alarm");
    assert_eq!(alarms, [i64::from(sent)], "one alarm that counts every call");
    assert_eq!(school.column::<String>("pragma integrity_check"), ["ok"]);
    assert!(tale.repeats > 0.0, "the kills were so gentle that nothing came twice");
    assert!(median <= READY_GOAL, "ready after {median:?}");
}

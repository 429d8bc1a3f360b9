//! 200 × `kill -9` while devices publish to the listener itself: what it acknowledged is in the store, once.

use super::raw::{Hello, Raw, packet, publish};
use super::{Campus, device};
use crate::daemon::{numbered, until};
use crate::kill::{self, Reins};
use crate::oracle;
use crate::torture;
use schoolgate::store::Depth;
use std::collections::VecDeque;
use std::time::Duration;

const KILLS: usize = 200;
const LONG_KILLS: usize = 2_000;
const LOOPS: usize = 2;
/// Messages of a device without acknowledgement, as many as a client in the field would have.
const WINDOW: usize = 8;
const PASSWORD: &str = "kill-me-200-times";

/// A device that sends numbered messages and keeps each until it is acknowledged.
struct Device<'a> {
    port: u16,
    name: &'a str,
    topic: &'a str,
    qos: u8,
    payload: fn(u32) -> String,
    /// Sent and not acknowledged: number, packet id, and whether its PUBREC came.
    open: VecDeque<(u32, u16, bool)>,
    sent: u32,
}

fn id_of(n: u32) -> u16 {
    u16::try_from(n % 65_000).unwrap() + 1
}

impl Device<'_> {
    /// Sends all that is allowed, over as many connections as it takes; how many, all of them acknowledged.
    async fn work(mut self, reins: &Reins) -> u32 {
        loop {
            if self.converse(reins).await.is_ok() {
                return self.sent;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    fn message(&self, n: u32, dup: u8) -> Vec<u8> {
        publish(false, dup | self.qos << 1, self.topic, id_of(n), (self.payload)(n).as_bytes())
    }

    async fn converse(&mut self, reins: &Reins) -> std::io::Result<()> {
        let hello = Hello { clean: false, keep_alive_secs: 60, ..Hello::new(self.name, PASSWORD) };
        let (mut raw, connack) = Raw::try_connect(self.port, &hello).await?;
        assert_eq!(connack[1], 0, "let in");
        // MQTT 3.1.1, section 4.4: what was not acknowledged is sent again, in order.
        for (n, id, received) in self.open.clone() {
            let again = if received { packet(0x62, &id.to_be_bytes()) } else { self.message(n, 8) };
            raw.try_send(&again).await?;
        }
        loop {
            let (allowed, done) = reins.allowed();
            while self.open.len() < WINDOW && self.sent < allowed {
                self.open.push_back((self.sent, id_of(self.sent), false));
                let message = self.message(self.sent, 0);
                self.sent += 1;
                raw.try_send(&message).await?;
            }
            if self.open.is_empty() {
                if done {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
                // The other side may be gone in the meantime.
                raw.try_send(&[0xC0, 0]).await?;
            }
            let (first, body) = raw.try_next().await?;
            let id = body.get(..2).map_or(0, |id| u16::from_be_bytes([id[0], id[1]]));
            match first {
                0x40 | 0x70 => self.open.retain(|(_, open, _)| *open != id),
                0x50 => {
                    self.open.iter_mut().filter(|(_, open, _)| *open == id).for_each(|open| open.2 = true);
                    raw.try_send(&packet(0x62, &id.to_be_bytes())).await?;
                }
                _ => {}
            }
        }
    }
}

fn pass(n: u32) -> String {
    format!(
        r#"{{"operator":"RecPush","info":{{"RecordID":"{n}","VerifyStatus":"1","direction":"entr","RFIDCard":"0012345678"}}}}"#
    )
}

async fn loop_of(kills: usize, seed: u64) -> (u32, usize, f64) {
    let campus = Campus::new(
        &(device("th", "aqara-wsdcgq11lm", "th")
            + &device("help", "tuya-ts0215a", "help")
            + &device("reader", "face-rec-mqtt", "1001")),
        &[("th", PASSWORD), ("help", PASSWORD), ("reader", PASSWORD)],
    );
    let school = &campus.school;
    kill::small_budget(school);
    let reins = Reins::new(kill::per_round(kills));
    let device = |name: &'static str, topic, qos, payload| Device {
        port: campus.port,
        name,
        topic,
        qos,
        payload,
        open: VecDeque::new(),
        sent: 0,
    };
    let rounds = async {
        let told = kill::rounds(school, &reins, kills, seed).await;
        let last = school.start().await;
        (told, last)
    };
    let (readings, passes, calls, ((tale, old), last)) = tokio::join!(
        device("th", "zigbee2mqtt/th", 1, numbered).work(&reins),
        device("reader", "mqtt/face/1001/Rec", 1, pass).work(&reins),
        device("help", "zigbee2mqtt/help", 2, |_| r#"{"action":"emergency"}"#.to_owned()).work(&reins),
        rounds,
    );
    until("what was acknowledged last is there", async || {
        (school.count("select count(*) from event where kind = 'help'") >= i64::from(calls)).then_some(())
    })
    .await;
    let (values, serials) = (kill::values(school, "th", "temperature"), kill::serials(school));
    let lost = kill::missing("readings without a serial", readings, &values)
        + kill::missing("card passes", passes, &serials)
        + (old as usize).abs_diff(kill::values(school, "old", "power").len());
    assert_eq!(values.len() + serials.len() + lost, (readings + passes) as usize, "what nobody sent");
    assert_eq!(
        school.count("select count(*) from event where kind = 'help'"),
        i64::from(calls),
        "calls for help"
    );
    last.kill().await;
    assert_eq!(oracle::sound(&school.data_dir(), Depth::Whole), Ok(()));
    (readings + passes + calls, lost, tale.repeats)
}

#[test]
fn two_hundred_kills_lose_and_repeat_nothing_that_the_listener_acknowledged() {
    let all = torture::scale("LISTENER_KILLS", KILLS, LONG_KILLS);
    let tales: Vec<(u32, usize, f64)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (11..11 + LOOPS as u64)
            .map(|seed| {
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                    runtime.expect("a runtime").block_on(loop_of(all.div_ceil(LOOPS), seed))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let sent: u32 = tales.iter().map(|tale| tale.0).sum();
    let lost: usize = tales.iter().map(|tale| tale.1).sum();
    let repeats: f64 = tales.iter().map(|tale| tale.2).sum();
    println!("{all} kills: {sent} messages acknowledged, {lost} lost, {repeats} known repeats");
    assert_eq!(lost, 0, "messages lost");
    assert!(repeats > 0.0, "the kills were so gentle that nothing came twice");
}

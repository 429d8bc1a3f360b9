//! The hub without sockets: what goes in, what comes out.

use super::acl::{Logins, Rejected};
use super::codec::{
    Aliases, Hello, Message, Publish, Retained, Said, Step, Tell, Version, Wanted, Will, Wrong,
};
use super::codec::{bytes, hello, said};
use super::hub::{self, Act, Fate, Hub, Over, Taken};
use super::session::{ConnId, MAX_FLYING, MAX_QUEUED};
use crate::config::{Device, MqttClient, MqttListener};
use crate::document::Problems;
use crate::model::{BusId, DeviceId, Mono, PlaceId, Secret};
use crate::profile::{Reply, parse};
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{PacketBuildResult, PacketBuilder};
use mqtt_protocol_core::mqtt::packet::Qos;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const SENSOR: &str = r#"
id = "test-sensor"
class = "sensor"
vendor = "Test"
model = "Sensor"
name_zh = "温度计"
name_en = "thermometer"
source = "made for this test"
confirmed = false
protocol = "mqtt"
[[message]]
topic = "t/{address}"
[[message.point]]
id = "temperature"
name_zh = "温度"
name_en = "temperature"
unit = "°C"
at = "/temperature"
"#;

fn device(id: &str) -> Device {
    Device {
        id: DeviceId::new(id).unwrap(),
        name: id.into(),
        profile: Arc::new(parse("profile.toml", SENSOR, &Problems::new()).unwrap()),
        bus: BusId::new("campus").unwrap(),
        address: id.into(),
        place: PlaceId::new("room").unwrap(),
        poll: Duration::from_secs(60),
        alarmed: BTreeSet::new(),
        item: None,
    }
}

fn client(username: &str, password: Option<&str>, devices: &[&str], subscribe: &[&str]) -> MqttClient {
    MqttClient {
        username: username.into(),
        password: password.map(Secret::from_file_text),
        devices: devices.iter().map(|id| DeviceId::new(id).unwrap()).collect(),
        subscribe: subscribe.iter().map(ToString::to_string).collect(),
    }
}

/// Devices `a`, `b`, and `x`, `y` behind one login; a reader of everything.
fn logins() -> Logins {
    let listener = MqttListener {
        tls: None,
        plain: None,
        max_payload: 1000,
        clients: vec![
            client("a", Some("pa"), &["a"], &["cmd/a"]),
            client("b", None, &["b"], &[]),
            client("bridge", Some("pz"), &["x", "y"], &[]),
            client("board", Some("pr"), &[], &["t/#"]),
        ],
    };
    Logins::new(&listener, &["a", "b", "x", "y"].map(device))
}

fn greeting(username: &str, password: &str, client_id: &str) -> Hello {
    Hello {
        version: Version::Five,
        client_id: client_id.into(),
        clean: true,
        keep_alive_secs: 60,
        expiry_secs: 0,
        receive_max: u16::MAX,
        max_packet: u32::MAX,
        will: None,
        username: Some(username.into()),
        password: Some(password.into()),
        extended_auth: false,
    }
}

/// A hub, the time, and what came out last.
struct Bench {
    hub: Hub,
    now: Mono,
    acts: Vec<Act<()>>,
    conns: u64,
}

impl Bench {
    fn new() -> Self {
        Self { hub: Hub::new(logins(), 5000), now: Mono(0), acts: Vec::new(), conns: 0 }
    }

    fn connect(&mut self, hello: Hello) -> ConnId {
        self.connect_certified(hello, &[])
    }

    fn connect_certified(&mut self, hello: Hello, names: &[&str]) -> ConnId {
        self.conns += 1;
        let conn = ConnId(self.conns);
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        self.acts.clear();
        self.hub.connect(conn, hello, &names, format!("10.0.0.{}:1", self.conns), self.now, &mut self.acts);
        conn
    }

    fn said(&mut self, conn: ConnId, said: Said) {
        self.acts.clear();
        self.hub.said(conn, said, (), self.now, &mut self.acts);
    }

    fn gone(&mut self, conn: ConnId) {
        self.acts.clear();
        self.hub.gone(conn, Over::Lost, self.now, &mut self.acts);
    }

    fn subscribe(&mut self, conn: ConnId, filter: &str, qos: Qos) -> Vec<u8> {
        let retained = Retained::Always;
        let wanted = Wanted { filter: filter.into(), qos, no_local: false, as_published: false, retained };
        self.said(conn, Said::Subscribe { id: 1, wanted: vec![wanted] });
        let codes = self.tells(conn).into_iter().find_map(|tell| match tell {
            Tell::Subscribed { codes, .. } => Some(codes),
            _ => None,
        });
        codes.expect("a SUBACK")
    }

    /// Publishes and lets the store take it; what the hub does then.
    fn publish(&mut self, conn: ConnId, publish: Publish) {
        self.said(conn, Said::Publish(publish));
        for taken in self.taken() {
            self.hub.settled(&taken, Fate::Stored, None, self.now, &mut self.acts);
        }
    }

    fn taken(&mut self) -> Vec<Taken<()>> {
        let (taken, rest): (Vec<_>, Vec<_>) =
            self.acts.drain(..).partition(|act| matches!(act, Act::Take(_)));
        self.acts = rest;
        taken
            .into_iter()
            .filter_map(|act| match act {
                Act::Take(taken) => Some(*taken),
                _ => None,
            })
            .collect()
    }

    fn tells(&self, to: ConnId) -> Vec<Tell> {
        let told = |act: &Act<()>| match act {
            Act::Tell(conn, tell) if *conn == to => Some(tell.clone()),
            _ => None,
        };
        self.acts.iter().filter_map(told).collect()
    }

    /// Messages that a connection gets: topic, id, dup, retain.
    fn messages(&self, to: ConnId) -> Vec<(String, Option<u16>, bool, bool)> {
        let message = |tell| match tell {
            Tell::Publish { message, id, dup, .. } => {
                Some((message.topic.to_string(), id, dup, message.retain))
            }
            _ => None,
        };
        self.tells(to).into_iter().filter_map(message).collect()
    }

    fn steps(&self, to: ConnId) -> Vec<(Step, u16, u8)> {
        let step = |tell| match tell {
            Tell::Step { step, id, reason } => Some((step, id, reason)),
            _ => None,
        };
        self.tells(to).into_iter().filter_map(step).collect()
    }

    fn rejected(&self) -> Option<Rejected> {
        self.acts.iter().find_map(|act| match act {
            Act::Rejected(_, _, why) => Some(why.clone()),
            _ => None,
        })
    }

    fn online(&self) -> Vec<(bool, String)> {
        let change = |act: &Act<()>| match act {
            Act::Online(login) => Some((true, login.name.clone())),
            Act::Offline(login) => Some((false, login.name.clone())),
            _ => None,
        };
        self.acts.iter().filter_map(change).collect()
    }
}

fn message(topic: &str, qos: Qos, id: Option<u16>) -> Publish {
    let message = Message::plain(topic, b"x", qos, false);
    Publish { message, id, dup: false, whole_len: 1 }
}

fn retained(topic: &str, payload: &[u8]) -> Publish {
    let message = Message::plain(topic, payload, Qos::AtLeastOnce, true);
    Publish { message, id: Some(9), dup: false, whole_len: payload.len() }
}

fn answer() -> Option<Reply> {
    Some(Reply { topic: "cmd/a".into(), payload: b"ok".to_vec() })
}

fn resuming(hello: Hello) -> Hello {
    Hello { clean: false, expiry_secs: 100, ..hello }
}

#[test]
fn nobody_comes_in_without_the_right_password_or_certificate() {
    let mut bench = Bench::new();
    let wrong = |bench: &mut Bench, hello, names: &[&str]| {
        bench.connect_certified(hello, names);
        assert!(bench.online().is_empty());
        bench.rejected().expect("rejected")
    };
    let nobody = Hello { username: None, password: None, ..greeting("", "", "c") };
    assert_eq!(wrong(&mut bench, nobody.clone(), &[]), Rejected::Anonymous);
    assert_eq!(wrong(&mut bench, nobody.clone(), &["stranger"]), Rejected::Anonymous);
    assert_eq!(wrong(&mut bench, greeting("eve", "pa", "c"), &[]), Rejected::Unknown("eve".into()));
    assert_eq!(wrong(&mut bench, greeting("a", "pb", "c"), &[]), Rejected::Password("a".into()));
    assert_eq!(wrong(&mut bench, greeting("a", "", "c"), &["b"]), Rejected::Password("a".into()));
    assert_eq!(wrong(&mut bench, greeting("b", "", "c"), &[]), Rejected::Certificate("b".into()));
    for (hello, names) in [
        (greeting("a", "pa", "c"), &[][..]),
        (greeting("a", "pa", "c"), &["b"]),
        (greeting("b", "", "c"), &["b"]),
        (nobody, &["other", "b"]),
    ] {
        let conn = bench.connect_certified(hello, names);
        assert!(matches!(bench.tells(conn).as_slice(), [Tell::Welcome(_)]), "{:?}", bench.acts);
    }
}

#[test]
fn a_login_publishes_and_subscribes_only_what_is_its_own() {
    let mut bench = Bench::new();
    let board = bench.connect(greeting("board", "pr", "board"));
    assert_eq!(bench.subscribe(board, "t/#", Qos::ExactlyOnce), [2]);
    assert_eq!(bench.subscribe(board, "#", Qos::ExactlyOnce), [0x87]);
    assert_eq!(bench.subscribe(board, "$share/g/t/#", Qos::AtLeastOnce), [0x9E]);
    assert_eq!(bench.subscribe(board, "t/#/x", Qos::AtLeastOnce), [0x8F]);
    let a = bench.connect(greeting("a", "pa", "a"));
    for (filter, code) in
        [("cmd/a", 1), ("cmd/b", 0x87), ("t/a", 0x87), ("t/b", 0x87), ("+/a", 0x87), ("#", 0x87)]
    {
        assert_eq!(bench.subscribe(a, filter, Qos::AtLeastOnce), [code], "{filter}");
    }
    for (conn, topic, reason) in [(a, "t/a", 0), (a, "t/b", 0x87), (a, "t", 0x87), (board, "t/a", 0x87)] {
        bench.publish(conn, message(topic, Qos::AtLeastOnce, Some(7)));
        assert_eq!(bench.steps(conn), [(Step::Ack, 7, reason)], "{topic}");
        assert_eq!(bench.messages(board).len(), usize::from(reason == 0), "{topic}");
    }
    let bridge = bench.connect(greeting("bridge", "pz", "z2m"));
    for topic in ["t/x", "t/y"] {
        bench.publish(bridge, message(topic, Qos::AtLeastOnce, Some(7)));
        assert_eq!(bench.steps(bridge), [(Step::Ack, 7, 0)]);
    }
    let will = Will { message: Message::plain("t/b", b"gone", Qos::AtMostOnce, false), delay_secs: 0 };
    bench.connect(Hello { will: Some(will), ..greeting("a", "pa", "a2") });
    assert!(matches!(
        bench.acts.as_slice(),
        [Act::Denied(..), Act::Tell(_, Tell::Turned { .. }), Act::Close(_)]
    ));
}

#[test]
fn nothing_is_acknowledged_or_passed_on_before_it_is_stored() {
    let mut bench = Bench::new();
    let board = bench.connect(greeting("board", "pr", "board"));
    bench.subscribe(board, "t/#", Qos::AtLeastOnce);
    let a = bench.connect(greeting("a", "pa", "a"));
    for (qos, step) in [(Qos::AtLeastOnce, Step::Ack), (Qos::ExactlyOnce, Step::Rec)] {
        bench.said(a, Said::Publish(message("t/a", qos, Some(3))));
        assert!(bench.steps(a).is_empty() && bench.messages(board).is_empty());
        let taken = bench.taken().remove(0);
        bench.hub.settled(&taken, Fate::Stored, answer(), bench.now, &mut bench.acts);
        assert_eq!(bench.steps(a), [(step, 3, 0)]);
        assert_eq!(bench.messages(board).len(), 1);
    }
    bench.said(a, Said::Publish(message("t/a", Qos::AtLeastOnce, Some(4))));
    let taken = bench.taken().remove(0);
    bench.hub.settled(&taken, Fate::Shed, None, bench.now, &mut bench.acts);
    assert_eq!(bench.steps(a), [(Step::Ack, 4, 0x97)], "what was thrown away is not acknowledged as stored");
    assert!(bench.messages(board).is_empty());
}

#[test]
fn an_answer_goes_to_the_device_that_listens() {
    let mut bench = Bench::new();
    let a = bench.connect(greeting("a", "pa", "a"));
    bench.subscribe(a, "cmd/a", Qos::AtLeastOnce);
    bench.said(a, Said::Publish(message("t/a", Qos::AtLeastOnce, Some(3))));
    let taken = bench.taken().remove(0);
    bench.hub.settled(&taken, Fate::Stored, answer(), bench.now, &mut bench.acts);
    assert_eq!(bench.steps(a), [(Step::Ack, 3, 0)]);
    assert_eq!(bench.messages(a), [("cmd/a".to_owned(), Some(1), false, false)]);
}

#[test]
fn a_message_of_qos_2_is_taken_once_however_often_it_comes() {
    let mut bench = Bench::new();
    let a = bench.connect(resuming(greeting("a", "pa", "a")));
    let twice = message("t/a", Qos::ExactlyOnce, Some(5));
    bench.said(a, Said::Publish(twice.clone()));
    let taken = bench.taken().remove(0);
    bench.said(a, Said::Publish(twice.clone()));
    assert!(bench.acts.is_empty(), "its answer is under way: {:?}", bench.acts);
    // The connection is lost before the commit; the answer comes on the next one.
    bench.gone(a);
    let again = bench.connect(resuming(greeting("a", "pa", "a")));
    bench.said(again, Said::Publish(twice.clone()));
    assert!(bench.acts.is_empty());
    bench.hub.settled(&taken, Fate::Stored, None, bench.now, &mut bench.acts);
    assert_eq!(bench.steps(again), [(Step::Rec, 5, 0)]);
    bench.said(again, Said::Publish(twice.clone()));
    assert_eq!(bench.steps(again), [(Step::Rec, 5, 0)]);
    for reason in [0, 0x92] {
        bench.said(again, Said::Step { step: Step::Rel, id: 5, failed: false });
        assert_eq!(bench.steps(again), [(Step::Comp, 5, reason)]);
    }
    bench.said(again, Said::Publish(twice));
    assert_eq!(bench.taken().len(), 1, "the id is free again");
}

#[test]
fn retained_messages_come_with_a_subscription_and_wills_when_a_client_is_lost() {
    let mut bench = Bench::new();
    let a = bench.connect(greeting("a", "pa", "a"));
    bench.publish(a, retained("t/a", b"1"));
    bench.publish(a, retained("t/a", b"2"));
    let board = bench.connect(greeting("board", "pr", "board"));
    bench.subscribe(board, "t/#", Qos::AtLeastOnce);
    assert_eq!(bench.messages(board), [("t/a".to_owned(), Some(1), false, true)]);
    bench.publish(a, retained("t/a", b""));
    let board = bench.connect(greeting("board", "pr", "board"));
    bench.subscribe(board, "t/#", Qos::AtLeastOnce);
    assert!(bench.messages(board).is_empty(), "cleared");

    let will =
        |delay_secs| Will { message: Message::plain("t/b", b"gone", Qos::AtMostOnce, false), delay_secs };
    let with_will = |delay| Hello { will: Some(will(delay)), ..resuming(greeting("b", "", "b")) };
    for (delay_secs, at_once) in [(0, 1), (10, 0)] {
        let b = bench.connect_certified(with_will(delay_secs), &["b"]);
        bench.gone(b);
        assert_eq!(bench.taken().len(), at_once, "{delay_secs}");
        assert_eq!(bench.online(), [(false, "b".to_owned())]);
    }
    bench.now = Mono(9_999);
    bench.hub.tick(bench.now, &mut bench.acts);
    assert!(bench.taken().is_empty());
    bench.now = Mono(10_000);
    bench.hub.tick(bench.now, &mut bench.acts);
    assert_eq!(bench.taken().len(), 1, "after its delay");
    let b = bench.connect_certified(with_will(0), &["b"]);
    bench.said(b, Said::Bye { with_will: false, expiry_secs: None });
    assert!(bench.taken().is_empty(), "who says goodbye has no will");
}

#[test]
fn a_session_keeps_what_was_not_acknowledged_in_order_and_within_its_limits() {
    let mut bench = Bench::new();
    let a = bench.connect(greeting("a", "pa", "a"));
    let reader = || resuming(greeting("board", "pr", "board"));
    let board = bench.connect(reader());
    bench.subscribe(board, "t/#", Qos::AtLeastOnce);
    for _ in 0..MAX_FLYING + 2 {
        bench.publish(a, message("t/a", Qos::AtLeastOnce, Some(1)));
    }
    bench.said(board, Said::Step { step: Step::Ack, id: 1, failed: false });
    assert_eq!(bench.messages(board).len(), 1, "one acknowledged, one more sent");
    bench.gone(board);
    for _ in 0..MAX_QUEUED + 10 {
        bench.publish(a, message("t/a", Qos::AtLeastOnce, Some(1)));
        bench.publish(a, message("t/a", Qos::AtMostOnce, None));
    }
    bench.now = Mono(99_000);
    bench.hub.tick(bench.now, &mut bench.acts);
    assert!(matches!(bench.acts.as_slice(), [.., Act::NoRoom(..)]), "told that some were thrown away");
    let board = bench.connect(reader());
    assert!(matches!(&bench.tells(board)[0], Tell::Welcome(welcome) if welcome.resumed));
    let ids: Vec<u16> = bench.messages(board).iter().filter_map(|m| m.1.filter(|_| m.2)).collect();
    let expected: Vec<u16> = (2..=u16::try_from(MAX_FLYING + 1).unwrap()).collect();
    assert_eq!(ids, expected, "those in flight are sent again, in order, and say so");
    bench.gone(board);
    bench.now = Mono(99_000 + 100_000);
    bench.hub.tick(bench.now, &mut bench.acts);
    let board = bench.connect(reader());
    assert!(matches!(bench.tells(board).as_slice(), [Tell::Welcome(welcome)] if !welcome.resumed), "expired");
}

#[test]
fn the_same_client_takes_its_place_over_and_another_login_cannot() {
    let mut bench = Bench::new();
    let first = bench.connect(greeting("a", "pa", "same"));
    let other = bench.connect(greeting("board", "pr", "same"));
    assert_eq!(bench.online(), [(true, "board".to_owned())]);
    assert!(bench.tells(first).is_empty(), "the same id at another login is another client");
    bench.subscribe(other, "t/#", Qos::AtMostOnce);
    for times in 1..=4 {
        let old = ConnId(if times == 1 { 1 } else { times + 1 });
        bench.connect(greeting("a", "pa", "same"));
        assert!(matches!(bench.tells(old).as_slice(), [Tell::Bye(0x8E)]), "{:?}", bench.acts);
        let told = bench.acts.iter().find_map(|act| match act {
            Act::TakenOver { from, by, times, .. } => Some((from.clone(), by.clone(), *times)),
            _ => None,
        });
        let (from, by, counted) = told.expect("told");
        assert!(from != by && counted == usize::try_from(times).unwrap(), "{from} {by} {counted}");
        assert_eq!(Hub::suspicious(counted), times >= 3);
        bench.gone(old);
        assert!(bench.online().is_empty(), "the login is there all the time");
    }
}

#[test]
fn sessions_are_bounded_and_the_oldest_without_a_connection_gives_way() {
    let mut bench = Bench::new();
    for n in 0..100 {
        let conn = bench.connect(resuming(greeting("a", "pa", &format!("client-{n}"))));
        assert!(matches!(bench.tells(conn).as_slice(), [Tell::Welcome(_)]), "{n}");
        bench.now = Mono(n);
        bench.gone(conn);
    }
    let newest = bench.connect(resuming(greeting("a", "pa", "client-99")));
    assert!(matches!(bench.tells(newest).as_slice(), [Tell::Welcome(welcome)] if welcome.resumed));
    let oldest = bench.connect(resuming(greeting("a", "pa", "client-0")));
    assert!(matches!(bench.tells(oldest).as_slice(), [Tell::Welcome(welcome)] if !welcome.resumed));
    let mut bench = Bench::new();
    for n in 0..=hub::MAX_SESSIONS_OF_LOGIN {
        let conn = bench.connect(greeting("a", "pa", &format!("live-{n}")));
        let turned = matches!(bench.tells(conn).as_slice(), [Tell::Turned { .. }]);
        assert_eq!(turned, n == hub::MAX_SESSIONS_OF_LOGIN, "{n}");
    }
    let conn = bench.connect(greeting("board", "pr", "live"));
    assert!(matches!(bench.tells(conn).as_slice(), [Tell::Welcome(_)]), "other logins have their own");
}

#[test]
fn a_client_that_sends_too_much_three_times_in_a_row_begins_anew() {
    let mut bench = Bench::new();
    for n in 1..=4 {
        let conn = bench.connect(resuming(greeting("a", "pa", "a")));
        let resumed = matches!(bench.tells(conn).as_slice(), [Tell::Welcome(welcome)] if welcome.resumed);
        assert_eq!(resumed, n == 2 || n == 3, "{n}");
        bench.hub.gone(conn, Over::TooLarge, bench.now, &mut bench.acts);
    }
}

/// Reads packets out of bytes, and what is wrong.
fn read(bytes: &[u8]) -> Vec<Result<String, Wrong>> {
    let (mut builder, mut cursor) = (PacketBuilder::with_maximum_packet_size(5000), Cursor::new(bytes));
    let (mut version, mut aliases, mut all) = (None, Aliases::default(), Vec::new());
    loop {
        match builder.feed(&mut cursor) {
            PacketBuildResult::Complete(raw) => {
                let read = match version {
                    None => hello(&raw).map(|hello| {
                        version = Some(hello.version);
                        format!("hello {}", hello.client_id)
                    }),
                    Some(version) => said(&raw, version, &mut aliases).map(|said| format!("{said:?}")),
                };
                let wrong = read.is_err();
                all.push(read);
                if wrong {
                    return all;
                }
            }
            PacketBuildResult::Incomplete => return all,
            PacketBuildResult::Error(error) => {
                all.push(Err(error.into()));
                return all;
            }
        }
    }
}

/// What well-behaved clients send.
fn corpus() -> Vec<Vec<u8>> {
    let three =
        b"\x10\x2b\x00\x04MQTT\x04\xee\x00\x3c\x00\x06gate-1\x00\x03t/a\x00\x04gone\x00\x06gate-1\x00\x02pw";
    let five =
        b"\x10\x20\x00\x04MQTT\x05\xc2\x00\x3c\x05\x11\x00\x00\x00\x64\x00\x02c1\x00\x01a\x00\x02pa\x00\x00";
    let mut three = three.to_vec();
    three[1] = u8::try_from(three.len() - 2).unwrap();
    let mut five = five[..five.len() - 2].to_vec();
    five[1] = u8::try_from(five.len() - 2).unwrap();
    three.extend(b"\x32\x09\x00\x03t/a\x00\x07hi\x82\x08\x00\x02\x00\x03t/+\x01\xa2\x07\x00\x03\x00\x03t/+\xc0\x00\xe0\x00");
    five.extend(b"\x34\x0d\x00\x03t/a\x00\x07\x03\x23\x00\x01hi\x30\x08\x00\x00\x03\x23\x00\x01yo\x62\x02\x00\x07\x82\x09\x00\x02\x00\x00\x03t/+\x2d\xe0\x01\x04");
    vec![three, five]
}

#[test]
fn well_formed_packets_are_read_and_answers_are_packets() {
    for stream in corpus() {
        let read = read(&stream);
        assert!(read.iter().all(Result::is_ok), "{read:?}");
        assert!(read.len() >= 5, "{read:?}");
    }
    let five = read(&corpus()[1]);
    assert!(five[2].as_ref().unwrap().contains("t/a"), "an alias stands for its topic: {five:?}");
    for version in [Version::Three, Version::Five] {
        let message = Message::plain("t/a", &[7; 300], Qos::AtLeastOnce, true);
        let tell = Tell::Publish { message, id: Some(3), dup: true, expires_secs: Some(9) };
        let sent = bytes(&tell, version);
        assert_eq!(sent[0], 0x3b);
        let codes = vec![0, 1, 2, 0x87];
        let suback = bytes(&Tell::Subscribed { id: 2, codes }, version);
        assert_eq!(suback.last(), Some(if version == Version::Five { &0x87 } else { &0x80 }));
        let puback = bytes(&Tell::Step { step: Step::Ack, id: 2, reason: 0x87 }, version);
        assert_eq!(puback.len(), if version == Version::Five { 5 } else { 4 });
    }
}

#[test]
fn broken_packets_are_refused_and_none_panics() {
    let mut seed = 0x9e37_79b9_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    let mut wrong = 0;
    for stream in corpus() {
        for n in 0..stream.len() {
            read(&stream[..n]);
        }
        for _ in 0..20_000 {
            let mut changed = stream.clone();
            for _ in 0..=random(4) {
                let place = random(changed.len());
                changed[place] = u8::try_from(random(256)).unwrap();
            }
            wrong += usize::from(read(&changed).iter().any(Result::is_err));
        }
    }
    assert!(wrong > 5_000, "{wrong}");
    for bad in [
        &b"\x20\x02\x00\x00"[..],
        b"\x10\x0c\x00\x04MQTT\x03\x02\x00\x3c\x00\x00",
        b"\x10\xff\xff\xff\xff\x7f",
        b"\x10\xff\xff\x7f",
    ] {
        assert!(matches!(read(bad).as_slice(), [Err(_)]), "{bad:x?}");
    }
}

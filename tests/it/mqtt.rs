//! The MQTT driver against a real broker, and against a scripted one where a broker cannot be made to misbehave.

mod scripted;

use crate::mosquitto::{Mosquitto, Setup};
use crate::rig::{self, profile};
use schoolgate::config::{Bus, BusKind, Device, Login, Mqtt, Tls};
use schoolgate::model::{Body, BusId, Delivery, DeviceId, Fault, Input, Link, PlaceId, Secret, Wall};
use schoolgate::profile::Profile;
use schoolgate::runtime::lanes::Parcel;
use schoolgate::runtime::{Chain, ManualClock, Outlet};
use schoolgate::southbound::mqtt::KIND;
use schoolgate::southbound::{Driver, Failure, Field, Session};
use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

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
required = true

[[message]]
topic = "t/{address}/availability"

[message.availability]
at = "/state"
online = ["online"]
offline = ["offline"]
"#;

fn device(name: &str, profile: &Arc<Profile>) -> Device {
    Device {
        id: DeviceId::new(name).unwrap(),
        name: name.into(),
        profile: Arc::clone(profile),
        bus: BusId::new("broker").unwrap(),
        address: name.into(),
        place: PlaceId::new("room").unwrap(),
        poll: Duration::from_secs(60),
        alarmed: BTreeSet::new(),
        item: None,
    }
}

fn mqtt(port: u16) -> Mqtt {
    Mqtt {
        host: "127.0.0.1".into(),
        port,
        client_id: "schoolgate-test".into(),
        login: None,
        tls: None,
        max_payload: 262_144,
    }
}

fn driver_of(mqtt: Mqtt, devices: &[Device]) -> Arc<dyn Driver> {
    let bus = Bus { id: BusId::new("broker").unwrap(), kind: BusKind::Mqtt(mqtt) };
    (KIND.drivers)(&bus, devices).remove(0)
}

fn driver_for(mqtt: Mqtt, names: &[&str]) -> Arc<dyn Driver> {
    let profile = profile(SENSOR);
    let devices: Vec<Device> = names.iter().map(|name| device(name, &profile)).collect();
    driver_of(mqtt, &devices)
}

fn driver(port: u16) -> Arc<dyn Driver> {
    driver_for(mqtt(port), &["a", "b"])
}

fn field() -> (Field, Outlet) {
    rig::field(Arc::new(ManualClock::new(Wall(1_790_000_000_000))))
}

async fn open(driver: &Arc<dyn Driver>, field: &Field) -> Box<dyn Session> {
    match timeout(PATIENCE, driver.open(field)).await.expect("opened in time") {
        Ok(session) => session,
        Err(failure) => panic!("{}", Chain(&failure)),
    }
}

async fn refused(driver: &Arc<dyn Driver>, field: &Field) -> Failure {
    timeout(PATIENCE, driver.open(field)).await.expect("refused in time").err().expect("a failure")
}

/// Runs the session until `work` is done; then its connection is cut.
async fn during<T>(session: &mut dyn Session, field: &Field, work: impl Future<Output = T>) -> T {
    tokio::select! {
        failure = session.run(field) => panic!("{}", Chain(&failure)),
        done = work => done,
    }
}

async fn next(outlet: &mut Outlet) -> Parcel {
    timeout(PATIENCE, outlet.events.recv()).await.expect("a message in time").expect("the lane is open")
}

fn commit(parcel: Parcel) -> Delivery {
    parcel.committed.expect("somebody waits").send(()).expect("somebody listens");
    parcel.delivery
}

/// Temperatures in a delivery.
fn values(delivery: &Delivery) -> Vec<f64> {
    let reading = |input: &Input| match input {
        Input::Observed(seen) => match &seen.body {
            Body::Reading(reading) => reading.value,
            _ => None,
        },
        _ => None,
    };
    delivery.inputs.iter().filter_map(reading).collect()
}

fn links(delivery: &Delivery) -> Vec<Link> {
    let link = |input: &Input| match input {
        Input::Observed(seen) => match seen.body {
            Body::Link(link) => Some(link),
            _ => None,
        },
        _ => None,
    };
    delivery.inputs.iter().filter_map(link).collect()
}

fn redelivered(delivery: &Delivery) -> bool {
    delivery.key.expect("QoS 1 has a key").redelivered
}

/// Connects once, so that the broker keeps the session with its subscriptions; nothing is left unacknowledged.
async fn settle(broker: &Mosquitto, driver: &Arc<dyn Driver>, field: &Field, outlet: &mut Outlet) {
    let mut session = open(driver, field).await;
    let work = async {
        // Retained, because it may be there before the subscription is.
        broker.publish("t/a", br#"{"temperature":0}"#, &["-r"]).await;
        assert_eq!(values(&commit(next(outlet).await)), [0.0]);
        broker.publish("t/a", b"", &["-r"]).await;
        assert!(commit(next(outlet).await).inputs.iter().all(|input| matches!(input, Input::Observed(_))));
        // QoS 0 needs no acknowledgement, and those before it were sent when it comes.
        broker.publish("t/b", br#"{"temperature":-1}"#, &["-q", "0"]).await;
        let last = commit(next(outlet).await);
        assert_eq!((values(&last), last.key), (vec![-1.0], None));
    };
    during(&mut *session, field, work).await;
}

#[tokio::test]
async fn a_message_is_acknowledged_after_its_commit_and_not_before() {
    let setup = Setup { extra: vec!["max_inflight_messages 1".into()], ..Setup::default() };
    let broker = Mosquitto::start_with(&setup).await;
    let (field, mut outlet) = field();
    let driver = driver(broker.port());
    settle(&broker, &driver, &field, &mut outlet).await;
    broker.publish("t/b", br#"{"temperature":21.5}"#, &[]).await;
    broker.publish("t/b", br#"{"temperature":22.5}"#, &[]).await;

    // Received, not committed, connection lost: it comes again and says so.
    let mut session = open(&driver, &field).await;
    let held = during(&mut *session, &field, async {
        let parcel = next(&mut outlet).await;
        assert_eq!(values(&parcel.delivery), [21.5]);
        parcel
    })
    .await;
    drop(session);
    let first = held.delivery.clone();
    drop(held);

    let mut session = open(&driver, &field).await;
    let second = during(&mut *session, &field, async {
        let again = next(&mut outlet).await;
        assert_eq!(values(&again.delivery), [21.5]);
        assert!(redelivered(&again.delivery));
        assert_eq!(
            again.delivery.key.map(|key| key.fingerprint),
            first.key.map(|key| key.fingerprint),
            "the same message has the same fingerprint"
        );
        commit(again);
        // The broker sends one at a time: the next one shows that the PUBACK of this one arrived.
        next(&mut outlet).await
    })
    .await;
    assert_eq!(values(&second.delivery), [22.5]);
    drop((session, second));

    let mut session = open(&driver, &field).await;
    during(&mut *session, &field, async {
        let again = commit(next(&mut outlet).await);
        assert_eq!(
            (values(&again), redelivered(&again)),
            (vec![22.5], true),
            "and the committed one is gone"
        );
        broker.publish("t/b", br#"{"temperature":23.5}"#, &[]).await;
        let fresh = commit(next(&mut outlet).await);
        assert_eq!((values(&fresh), redelivered(&fresh)), (vec![23.5], false));
    })
    .await;
}

#[tokio::test]
async fn a_retained_message_is_a_state_and_no_sign_of_life() {
    let broker = Mosquitto::start().await;
    let (field, mut outlet) = field();
    broker.publish("t/a", br#"{"temperature":5}"#, &["-r"]).await;
    broker.publish("t/b/availability", b"offline", &["-r"]).await;
    let driver = driver(broker.port());
    let mut session = open(&driver, &field).await;
    during(&mut *session, &field, async {
        for _ in 0..2 {
            let delivery = commit(next(&mut outlet).await);
            assert_eq!(delivery.inputs.len(), 1, "{delivery:?}");
            for input in &delivery.inputs {
                let Input::Observed(seen) = input else { panic!("{input:?}") };
                assert!(seen.retained);
                assert_ne!(seen.body, Body::Link(Link::Up));
            }
        }
        broker.publish("t/a", br#"{"temperature":6}"#, &[]).await;
        let live = commit(next(&mut outlet).await);
        assert_eq!((values(&live), links(&live)), (vec![6.0], vec![Link::Up]));
        broker.publish("t/a", br#"{"temperature":7}"#, &[]).await;
        let more = commit(next(&mut outlet).await);
        assert_eq!((values(&more), links(&more)), (vec![7.0], vec![]), "told once");
        broker.publish("t/a/availability", b"offline", &[]).await;
        assert_eq!(links(&commit(next(&mut outlet).await)), [Link::Down(Fault::Unreachable)]);
        broker.publish("t/a", b"", &["-r"]).await;
        assert_eq!(
            links(&commit(next(&mut outlet).await)),
            [Link::Up],
            "an empty payload is nothing refused"
        );
    })
    .await;
}

fn deep(levels: usize) -> Vec<u8> {
    let mut payload = br#"{"temperature":1,"x":"#.to_vec();
    payload.extend(std::iter::repeat_n(b'[', levels));
    payload.extend(std::iter::repeat_n(b']', levels));
    payload.push(b'}');
    payload
}

#[tokio::test]
async fn broken_and_huge_payloads_are_refused_one_by_one_and_the_session_goes_on() {
    let broker = Mosquitto::start().await;
    let (field, mut outlet) = field();
    let driver = driver(broker.port());
    settle(&broker, &driver, &field, &mut outlet).await;
    let big = |len: usize| format!(r#"{{"temperature":20,"pad":"{}"}}"#, "x".repeat(len)).into_bytes();
    let cases: Vec<(Vec<u8>, Option<&str>)> = vec![
        (br#"{"temperature":20}"#.to_vec(), None),
        (big(20_000), None),
        (big(1_000_000), Some("too_large")),
        (big(262_144), Some("too_large")),
        (vec![0xff, 0xfe, 0x00], Some("not_utf8")),
        (br#"{"temperature":2"#.to_vec(), Some("not_json")),
        (br#"{"temperature":{"a":1}}"#.to_vec(), Some("bad_type")),
        (br#"{"humidity":1}"#.to_vec(), Some("missing_field")),
        (deep(10_000), Some("too_deep")),
        (big(20_000_000), Some("too_large")),
        (br#"{"temperature":20}"#.to_vec(), None),
    ];
    let mut session = open(&driver, &field).await;
    during(&mut *session, &field, async {
        for (payload, kind) in &cases {
            broker.publish("t/a", payload, &[]).await;
            let delivery = commit(next(&mut outlet).await);
            let refused = delivery.inputs.iter().find_map(|input| match input {
                Input::Refused(refused) => Some(refused),
                _ => None,
            });
            assert_eq!(refused.map(|refused| refused.kind), *kind, "{delivery:?}");
            match refused {
                None => assert_eq!(values(&delivery), [20.0]),
                Some(refused) => {
                    assert_eq!(refused.device.as_ref().map(DeviceId::as_str), Some("a"));
                    assert_eq!((refused.origin.as_str(), refused.raw_len), ("t/a", payload.len()));
                    assert_eq!(refused.raw, payload[..payload.len().min(1024)]);
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_kept_of_a_payload_that_may_name_a_person() {
    let broker = Mosquitto::start().await;
    let (field, mut outlet) = field();
    let personal = profile(&SENSOR.replacen("[[message]]", "[mqtt]\ndrop = [\"/card\"]\n\n[[message]]", 1));
    assert!(personal.personal());
    let driver = driver_of(mqtt(broker.port()), &[device("a", &personal), device("b", &profile(SENSOR))]);
    settle(&broker, &driver, &field, &mut outlet).await;
    let broken = br#"{"card":"0012345678","temperature":"#.to_vec();
    let huge = [broken.clone(), vec![b' '; 400_000]].concat();
    let mut session = open(&driver, &field).await;
    during(&mut *session, &field, async {
        for payload in [broken, huge] {
            broker.publish("t/a", &payload, &[]).await;
            let delivery = commit(next(&mut outlet).await);
            let Some(Input::Refused(refused)) = delivery.inputs.last() else { panic!("{delivery:?}") };
            assert_eq!((refused.raw.as_slice(), refused.raw_len), (&[][..], payload.len()));
            assert!(!format!("{delivery:?}").contains("0012345678"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_topic_that_two_devices_share_speaks_for_both_and_is_refused_once() {
    let broker = Mosquitto::start().await;
    let (field, mut outlet) = field();
    let sensor = profile(SENSOR);
    let shared = |name: &str| Device { address: "shared".into(), ..device(name, &sensor) };
    let driver = driver_of(mqtt(broker.port()), &[shared("one"), shared("two")]);
    broker.publish("t/shared", br#"{"temperature":3}"#, &["-r"]).await;
    let mut session = open(&driver, &field).await;
    during(&mut *session, &field, async {
        assert_eq!(values(&commit(next(&mut outlet).await)), [3.0, 3.0]);
        broker.publish("t/shared", b"{", &[]).await;
        let delivery = commit(next(&mut outlet).await);
        let [Input::Refused(refused)] = delivery.inputs.as_slice() else { panic!("{delivery:?}") };
        assert_eq!(refused.device, None);
    })
    .await;
}

#[tokio::test]
async fn a_device_taken_out_of_the_configuration_becomes_unknown() {
    let broker = Mosquitto::start().await;
    let (field, mut outlet) = field();
    settle(&broker, &driver(broker.port()), &field, &mut outlet).await;
    let driver = driver_for(mqtt(broker.port()), &["a"]);
    broker.publish("t/b", br#"{"temperature":1}"#, &[]).await;
    let mut session = open(&driver, &field).await;
    during(&mut *session, &field, async {
        let delivery = commit(next(&mut outlet).await);
        let [Input::Unknown(unknown)] = delivery.inputs.as_slice() else { panic!("{delivery:?}") };
        assert_eq!(unknown.origin, "t/b");
    })
    .await;
}

#[tokio::test]
async fn what_is_published_while_we_are_away_arrives_after_a_broker_restart() {
    let mut broker = Mosquitto::start().await;
    let (field, mut outlet) = field();
    let driver = driver(broker.port());
    settle(&broker, &driver, &field, &mut outlet).await;
    let mut session = open(&driver, &field).await;
    let (failure, ()) = tokio::join!(timeout(PATIENCE, session.run(&field)), broker.stop());
    let failure = failure.expect("noticed in time");
    assert_eq!(failure.fault, Fault::Gone, "{}", Chain(&failure));
    let down = refused(&driver, &field).await;
    assert_eq!(down.fault, Fault::Unreachable, "{}", Chain(&down));
    assert!(down.doing.contains(&format!("127.0.0.1:{}", broker.port())), "{down}");
    drop(session);
    broker.launch().await;
    for n in 0..50 {
        broker.publish("t/a", format!(r#"{{"temperature":{n}}}"#).as_bytes(), &[]).await;
    }
    let mut session = open(&driver, &field).await;
    during(&mut *session, &field, async {
        let mut got = Vec::new();
        while got.len() < 50 {
            got.extend(values(&commit(next(&mut outlet).await)));
        }
        assert!(got.iter().copied().eq((0..50).map(f64::from)), "{got:?}");
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_is_named_and_never_printed() {
    let setup = Setup { login: Some(("gate".into(), "right".into())), ..Setup::default() };
    let broker = Mosquitto::start_with(&setup).await;
    let (field, _outlet) = field();
    let login =
        |password: &str| Some(Login { username: "gate".into(), password: Secret::from_file_text(password) });
    for (login, expected) in [
        (login("right"), None),
        (login("wrong-secret"), Some("user name or password refused")),
        (None, Some("wants a user name and password")),
    ] {
        let driver = driver_for(Mqtt { login, ..mqtt(broker.port()) }, &["a"]);
        match (driver.open(&field).await, expected) {
            (Ok(_), None) => {}
            (Err(failure), Some(expected)) => {
                let text = Chain(&failure).to_string();
                assert_eq!(failure.fault, Fault::Unauthorized, "{text}");
                assert!(text.contains(expected) && !text.contains("wrong-secret"), "{text}");
            }
            (got, expected) => panic!("{:?} instead of {expected:?}", got.err()),
        }
    }
}

#[tokio::test]
async fn an_unknown_host_is_unreachable() {
    let (field, _outlet) = field();
    let host = "no-such-broker.invalid".to_owned();
    let failure = refused(&driver_for(Mqtt { host, ..mqtt(1883) }, &["a"]), &field).await;
    assert_eq!(failure.fault, Fault::Unreachable);
    assert!(failure.doing.contains("no-such-broker.invalid:1883"), "{failure}");
}

#[tokio::test]
async fn an_address_that_would_take_others_messages_is_refused() {
    let (field, _outlet) = field();
    for address in ["+", "#", "a/+"] {
        let greedy = Device { address: address.into(), ..device("a", &profile(SENSOR)) };
        let failure = refused(&driver_of(mqtt(1), &[greedy]), &field).await;
        assert_eq!(failure.fault, Fault::Misconfigured);
        assert!(failure.doing.contains(&format!("'{address}'")), "{failure}");
    }
}

/// A self-signed certificate for 127.0.0.1.
fn certificate(dir: &Path, name: &str) -> Setup {
    let (cert, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-out")
        .arg(&cert)
        .arg("-keyout")
        .arg(&key)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Setup { tls: Some((cert, key)), ..Setup::default() }
}

#[tokio::test]
async fn tls_is_verified() {
    let dir = tempfile::tempdir().unwrap();
    let setup = certificate(dir.path(), "broker");
    certificate(dir.path(), "other");
    let broker = Mosquitto::start_with(&setup).await;
    let (field, _outlet) = field();
    let pem = |name: &str| Some(std::fs::read(dir.path().join(name)).unwrap());
    for (tls, expected) in [
        (Some(Tls { ca_pem: pem("broker.pem") }), None),
        (Some(Tls { ca_pem: pem("other.pem") }), Some(Fault::Unauthorized)),
        (Some(Tls { ca_pem: None }), Some(Fault::Unauthorized)),
        (Some(Tls { ca_pem: Some(b"-----BEGIN CERTIFICATE-----\nno".to_vec()) }), Some(Fault::Misconfigured)),
        (None, Some(Fault::Gone)),
    ] {
        let driver = driver_for(Mqtt { tls, ..mqtt(broker.port()) }, &["a"]);
        let got = driver.open(&field).await.err();
        assert_eq!(got.as_ref().map(|failure| failure.fault), expected, "{got:?}");
    }
}

#[tokio::test]
async fn a_window_full_of_uncommitted_messages_stops_the_reading_and_not_the_session() {
    let broker =
        Mosquitto::start_with(&Setup { extra: vec!["max_inflight_messages 0".into()], ..Setup::default() })
            .await;
    let (field, mut outlet) = field();
    let driver = driver(broker.port());
    settle(&broker, &driver, &field, &mut outlet).await;
    let lines: String = (0..3000).map(|n| format!("{{\"temperature\":{n}}}\n")).collect();
    broker.publish_lines("t/a", &lines).await;
    let mut session = open(&driver, &field).await;
    during(&mut *session, &field, async {
        let mut held = Vec::new();
        let mut got = Vec::new();
        while got.len() + held.len() < 3000 {
            match outlet.events.try_recv() {
                Ok(parcel) => held.push(parcel),
                // Nothing more comes while these wait: now they are committed, the last one first.
                Err(_) if held.is_empty() => held.push(next(&mut outlet).await),
                Err(_) => {
                    assert!(held.len() <= 1024 + 2, "{}", held.len());
                    got.extend(held.iter().flat_map(|parcel| values(&parcel.delivery)));
                    held.drain(..).rev().map(commit).for_each(drop);
                }
            }
            tokio::task::yield_now().await;
        }
        got.extend(held.iter().flat_map(|parcel| values(&parcel.delivery)));
        held.into_iter().map(commit).for_each(drop);
        assert!(got.iter().copied().eq((0..3000).map(f64::from)), "{} values", got.len());
    })
    .await;
}

//! Q1 to Q10: what MQTT devices do wrong, and what becomes of it.

use super::raw::{Hello, Raw, packet, publish};
use super::{Campus, device, secret};
use crate::daemon::{self, numbered, stored_numbers, sum_of, until};
use crate::mosquitto::Mosquitto;
use crate::payloads::{Fate, broken};
use crate::rig;
use schoolgate::config::{Bus, BusKind, Device, MqttClient, MqttListener};
use schoolgate::model::{Body, BusId, DeviceId, Input, PlaceId, Secret, Wall};
use schoolgate::runtime::lanes::Parcel;
use schoolgate::runtime::{Chain, ManualClock, Outlet};
use schoolgate::southbound::Driver;
use schoolgate::southbound::listener::KIND;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const SENSOR: &str = "zigbee2mqtt/th";

fn number(n: u32) -> Vec<u8> {
    numbered(n).into_bytes()
}

#[tokio::test]
async fn q01_a_message_over_the_limit_is_quarantined_or_refused_and_the_others_flow() {
    let campus = Campus::usual();
    let daemon = campus.school.start().await;
    daemon.connected().await;
    let padded = |n: usize| format!(r#"{{"temperature":21.5,"pad":"{}"}}"#, "x".repeat(n)).into_bytes();
    let mut raw = campus.raw("th").await;
    assert_eq!(raw.publish(SENSOR, 1, &padded(20_000)).await, 0, "20 KB are read");
    assert_eq!(raw.publish(SENSOR, 2, &padded(1_000_000)).await, 0, "1 MB is cut in 3.1.1, and acknowledged");
    assert_eq!(raw.publish(SENSOR, 3, &number(7)).await, 0, "the next one flows");
    assert_eq!(stored_numbers(&campus.school), [7, 21_500]);
    let kept: Vec<i64> = campus.school.column("select raw_len from quarantine where kind = 'too_large'");
    assert_eq!(kept, [1_000_029]);
    // 256 MB announced: the bytes are passed over and not kept; the connection may go at any moment.
    let mut header = vec![0x30, 0xff, 0xff, 0xff, 0x7f, 0, 14];
    header.extend(SENSOR.as_bytes());
    raw.send(&header).await;
    for _ in 0..64 {
        raw.send(&[b'x'; 65_536]).await;
    }
    drop(raw);
    let mut raw = campus.raw("th").await;
    assert_eq!(raw.publish(SENSOR, 1, &number(8)).await, 0);

    // In MQTT 5 the limit is announced. Whoever sends more all the same is told and cut off, and begins anew at last.
    let hello = Hello { five: true, clean: false, client_id: "five", ..Hello::new("th", "pw-th") };
    for n in 1..=4 {
        let (mut raw, connack) = Raw::try_connect(campus.port, &hello).await.expect("a connection");
        assert_eq!(
            connack[0],
            u8::from(n == 2 || n == 3),
            "the session is there, and forgotten after the third"
        );
        let announced = [&[0x27][..], &(262_144_u32 + 65_539).to_be_bytes()].concat();
        assert!(connack.windows(5).any(|found| found == announced), "the maximum packet size: {connack:x?}");
        if n < 4 {
            raw.try_send(&publish(true, 2, SENSOR, 1, &padded(1_000_000))).await.ok();
            let told = raw.closed().await;
            assert!(
                told.iter().any(|(first, body)| *first == 0xE0 && body == &[0x95]) || told.is_empty(),
                "{told:x?}"
            );
        } else {
            assert_eq!(raw.publish(SENSOR, 2, &number(9)).await, 0, "the others flow");
        }
    }
    assert_eq!(stored_numbers(&campus.school), [7, 8, 9, 21_500]);
}

/// A listener inside this test, whose commits the test makes.
struct Inside {
    driver: Arc<dyn Driver>,
    field: schoolgate::southbound::Field,
    outlet: Outlet,
    port: u16,
}

fn inside() -> Inside {
    let profile = rig::profile(include_str!("../../../device-profiles/sensor/aqara-wsdcgq11lm/profile.toml"));
    let bus = BusId::new("campus").unwrap();
    let devices = ["a", "b"].map(|id| Device {
        id: DeviceId::new(id).unwrap(),
        name: id.into(),
        profile: Arc::clone(&profile),
        bus: bus.clone(),
        address: id.into(),
        place: PlaceId::new("room").unwrap(),
        poll: Duration::from_secs(60),
        alarmed: BTreeSet::new(),
        item: None,
    });
    let client = |device: &Device| MqttClient {
        username: device.id.to_string(),
        password: Some(Secret::from_file_text("pw")),
        devices: vec![device.id.clone()],
        subscribe: Vec::new(),
    };
    let port = rig::free_port();
    let listener = MqttListener {
        tls: None,
        plain: Some(([127, 0, 0, 1], port).into()),
        max_payload: 262_144,
        clients: devices.iter().map(client).collect(),
    };
    let bus = Bus { id: bus, kind: BusKind::MqttListener(listener) };
    let driver = (KIND.drivers)(&bus, &devices).remove(0);
    let (field, outlet) = rig::field(Arc::new(ManualClock::new(Wall(1_790_000_000_000))));
    Inside { driver, field, outlet, port }
}

/// The next delivery with a reading or a key: not one about who came and went.
async fn next(outlet: &mut Outlet) -> Parcel {
    loop {
        let parcel = timeout(daemon::PATIENCE, outlet.events.recv()).await.expect("in time").expect("open");
        let link =
            |input: &Input| matches!(input, Input::Observed(seen) if matches!(seen.body, Body::Link(_)));
        if parcel.delivery.key.is_some() || !parcel.delivery.inputs.iter().all(link) {
            return parcel;
        }
        parcel.committed.expect("somebody waits").send(()).expect("somebody listens");
    }
}

fn commit(parcel: Parcel) {
    parcel.committed.expect("somebody waits").send(()).expect("somebody listens");
}

#[tokio::test]
async fn q02_nothing_is_acknowledged_before_its_commit_and_a_repeat_is_known() {
    let Inside { driver, field, mut outlet, port } = inside();
    let mut session = driver.open(&field).await.unwrap_or_else(|failure| panic!("{}", Chain(&failure)));
    let work = async {
        let hello = Hello { clean: false, ..Hello::new("a", "pw") };
        let mut raw = Raw::connect(port, &hello).await;
        let mut keys = Vec::new();
        for (flags, answer) in [(2, 0x40), (4, 0x50)] {
            raw.send(&publish(false, flags, "zigbee2mqtt/a", 9, &number(1))).await;
            let parcel = next(&mut outlet).await;
            keys.push(parcel.delivery.key.expect("a key"));
            raw.ping().await;
            commit(parcel);
            assert_eq!(raw.next().await.0, answer, "after the commit and not before");
        }
        assert_eq!(keys[0].fingerprint, keys[1].fingerprint, "packet id, topic and payload are the same");
        // Received and not committed, and the connection is lost: it comes again and says so.
        raw.send(&publish(false, 2, "zigbee2mqtt/a", 10, &number(2))).await;
        let first = next(&mut outlet).await;
        drop(raw);
        let mut raw = Raw::connect(port, &hello).await;
        raw.send(&publish(false, 10, "zigbee2mqtt/a", 10, &number(2))).await;
        let again = next(&mut outlet).await;
        let (before, after) = (first.delivery.key.expect("a key"), again.delivery.key.expect("a key"));
        assert_eq!(before.fingerprint, after.fingerprint);
        assert!(!before.redelivered && after.redelivered);
        commit(first);
        raw.ping().await;
        commit(again);
        assert_eq!(raw.next().await, (0x40, vec![0, 10]), "acknowledged once");
    };
    tokio::select! {
        failure = session.run(&field) => panic!("{}", Chain(&failure)),
        () = work => {}
    }
}

#[tokio::test]
async fn while_nothing_is_committed_a_device_is_not_read_and_others_are() {
    let Inside { driver, field, mut outlet, port } = inside();
    let mut session = driver.open(&field).await.unwrap_or_else(|failure| panic!("{}", Chain(&failure)));
    let work = async {
        let mut many = Raw::connect(port, &Hello::new("a", "pw")).await;
        for n in 1..=1000 {
            many.send(&publish(false, 2, "zigbee2mqtt/a", n, &number(n.into()))).await;
        }
        let mut held = Vec::new();
        while held.len() < 64 {
            held.push(next(&mut outlet).await);
        }
        let mut one = Raw::connect(port, &Hello::new("b", "pw")).await;
        one.send(&publish(false, 2, "zigbee2mqtt/b", 1, &number(0))).await;
        let parcel = next(&mut outlet).await;
        let of_b = |input: &Input| matches!(input, Input::Observed(seen) if seen.device.as_str() == "b");
        assert!(
            parcel.delivery.inputs.iter().any(of_b),
            "64 of the first, then the other: {:?}",
            parcel.delivery
        );
        held.push(parcel);
        held.into_iter().for_each(commit);
        assert_eq!(one.next().await, (0x40, vec![0, 1]));
        for n in 1..=1000_u16 {
            if n > 64 {
                commit(next(&mut outlet).await);
            }
            assert_eq!(many.next().await, (0x40, n.to_be_bytes().to_vec()), "in order, none left out");
        }
    };
    tokio::select! {
        failure = session.run(&field) => panic!("{}", Chain(&failure)),
        () = work => {}
    }
}

#[tokio::test]
async fn q03_retained_and_repeated_messages_raise_nothing_anew() {
    let campus = Campus::usual();
    let daemon = campus.school.start().await;
    daemon.connected().await;
    let help = br#"{"action":"emergency"}"#;
    let hello = Hello { clean: false, ..Hello::new("help", "pw-help") };
    let mut raw = Raw::connect(campus.port, &hello).await;
    raw.send(&publish(false, 3, "zigbee2mqtt/help", 1, help)).await;
    assert_eq!(raw.next().await.0, 0x40);
    // Its PUBACK is lost with the gateway; it sends the message again.
    daemon.kill().await;
    let daemon = campus.school.start().await;
    daemon.connected().await;
    let mut raw = Raw::connect(campus.port, &hello).await;
    raw.send(&publish(false, 11, "zigbee2mqtt/help", 1, help)).await;
    assert_eq!(raw.next().await.0, 0x40);
    let mut board = campus.raw("board").await;
    assert_eq!(board.subscribe(&["zigbee2mqtt/#"], 0).await, [0]);
    assert_eq!(board.next().await.0, 0x31, "the reader gets it as retained");
    raw.send(&publish(false, 3, "zigbee2mqtt/help", 2, b"")).await;
    assert_eq!(raw.next().await.0, 0x40, "clearing it is no event");
    let occurrences: Vec<i64> = campus.school.column("select occurrences from alarm");
    assert_eq!(occurrences, [1]);
    assert_eq!(campus.school.count("select count(*) from event where kind = 'help'"), 1);
    assert_eq!(campus.school.metric("schoolgate_duplicates_total", "mqtt").await, 1.0);
}

#[tokio::test]
async fn q03_five_hundred_retained_calls_for_help_at_a_broker_are_no_alarm() {
    const TOPICS: u16 = 500;
    let broker = Mosquitto::start().await;
    let mut raw = Raw::connect(broker.port(), &Hello::new("x", "x")).await;
    let mut devices = String::new();
    for n in 1..=TOPICS {
        devices += &daemon::device(&format!("h{n}"), "tuya-ts0215a", &format!("h{n}"));
        raw.send(&publish(false, 3, &format!("zigbee2mqtt/h{n}"), n, br#"{"action":"emergency"}"#)).await;
        assert_eq!(raw.next().await.0, 0x40);
    }
    let school = daemon::School::new(&(daemon::mqtt_bus(&broker) + &devices));
    for _ in 0..2 {
        let before = if school.data_dir().exists() { school.count("select count(*) from event") } else { 0 };
        let daemon = school.start().await;
        daemon.connected().await;
        until("all are stored", async || {
            (school.count("select count(*) from event") >= before + i64::from(TOPICS)).then_some(())
        })
        .await;
        assert_eq!(school.count("select count(*) from alarm"), 0);
        daemon.kill().await;
    }
}

#[tokio::test]
async fn q04_an_impossible_clock_is_kept_and_judged() {
    let campus = Campus::usual();
    let daemon = campus.school.start().await;
    daemon.connected().await;
    let mut raw = campus.raw("reader").await;
    for (id, (serial, time)) in
        (1..).zip([("1970", "1970-01-01 08:00:00"), ("2099", "2099-12-31 23:59:59"), ("ok", "")])
    {
        let time = if time.is_empty() { String::new() } else { format!(r#","time":"{time}""#) };
        let pass =
            format!(r#"{{"operator":"RecPush","info":{{"RecordID":"{serial}","VerifyStatus":"1"{time}}}}}"#);
        assert_eq!(raw.publish("mqtt/face/1001/Rec", id, pass.as_bytes()).await, 0);
    }
    let clocks: Vec<String> = campus.school.column(
        "select serial || ' ' || clock || ' ' || coalesce(device_at, 'none') from event where arrived > 1704067200000 \
         order by serial",
    );
    assert_eq!(clocks, ["1970 2 0", "2099 2 4102415999000", "ok 1 none"]);
    assert_eq!(campus.school.metric("schoolgate_wrong_clocks_total", "mqtt").await, 2.0);
}

#[tokio::test]
async fn q05_two_clients_with_one_id_are_named_and_everybody_is_back_after_a_restart() {
    let campus = Campus::usual();
    let daemon = campus.school.start().await;
    daemon.connected().await;
    let hello = Hello { five: true, client_id: "twin", ..Hello::new("th", "pw-th") };
    let mut before = Raw::connect(campus.port, &hello).await;
    for _ in 0..4 {
        let now = Raw::connect(campus.port, &hello).await;
        assert_eq!(before.closed().await, [(0xE0, vec![0x8E])], "told that its session was taken over");
        before = now;
    }
    until("it is named", async || {
        campus.school.log().contains("two clients use the client id 'twin'").then_some(())
    })
    .await;
    assert_eq!(before.publish(SENSOR, 1, &number(1)).await, 0, "the last one stays");
    // Another login with the same id disturbs nobody.
    let other = Hello { client_id: "twin", ..Hello::new("help", "pw-help") };
    let mut other = Raw::connect(campus.port, &other).await;
    other.ping().await;
    assert_eq!(before.publish(SENSOR, 2, &number(2)).await, 0);

    daemon.kill().await;
    assert!(before.closed().await.is_empty());
    let _daemon = campus.school.start().await;
    let back = timeout(Duration::from_secs(5), async {
        loop {
            match Raw::try_connect(campus.port, &hello).await {
                Ok((raw, _)) => break raw,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    });
    let mut back = back.await.expect("within 5 s");
    assert_eq!(back.publish(SENSOR, 3, &number(3)).await, 0);
    assert_eq!(stored_numbers(&campus.school), [1, 2, 3]);
}

#[tokio::test]
async fn q06_broken_payloads_are_quarantined_one_by_one_and_stop_nothing() {
    let campus = Campus::usual();
    let daemon = campus.school.start().await;
    daemon.connected().await;
    let (mut sensor, mut reader) = (campus.raw("th").await, campus.raw("reader").await);
    let mut wanted = 0.0;
    for (id, case) in (1..).zip(broken()) {
        let raw = if case.topic.starts_with("mqtt/") { &mut reader } else { &mut sensor };
        let before = campus.school.metrics().await;
        assert_eq!(raw.publish(case.topic, id, &case.payload).await, 0, "{}", case.name);
        let after = campus.school.metrics().await;
        let more = |labels: &str| {
            sum_of(&after, "schoolgate_refused_total", labels)
                - sum_of(&before, "schoolgate_refused_total", labels)
        };
        match case.fate {
            Fate::Quarantined(kind) => {
                assert_eq!(
                    (more(""), more(&format!("kind=\"{kind}\""))),
                    (1.0, 1.0),
                    "{}: {kind}",
                    case.name
                );
                wanted += 1.0;
            }
            Fate::Passed => assert_eq!(more(""), 0.0, "{}", case.name),
        }
    }
    assert!(wanted > 20.0);
    assert_eq!(sensor.publish(SENSOR, 900, &number(77)).await, 0);
    assert!(stored_numbers(&campus.school).contains(&77));
}

#[tokio::test]
async fn q07_who_is_not_known_is_listed_within_bounds_and_adopted_with_one_command() {
    let campus = Campus::usual();
    let school = &campus.school;
    let daemon = school.start().await;
    daemon.connected().await;
    let (_, connack) = Raw::try_connect(campus.port, &Hello::new("eve", "guess")).await.expect("an answer");
    assert_eq!(connack[1], 5, "not authorized");
    let mut raw = campus.raw("th").await;
    assert_eq!(raw.publish("zigbee2mqtt/new", 1, &number(1)).await, 0);
    assert!(stored_numbers(school).is_empty(), "nothing of it is stored");
    let listed = school.cli_ok("strangers", &[]).await;
    assert!(listed.contains("login eve") && listed.contains("zigbee2mqtt/new"), "{listed}");
    for n in 0..1200 {
        raw.send(&publish(false, 0, &format!("zigbee2mqtt/noise-{n}"), 0, b"{}")).await;
    }
    assert_eq!(raw.publish("zigbee2mqtt/new", 2, &number(1)).await, 0);
    assert_eq!(school.count("select count(*) from stranger"), 1000);

    for (args, wrong) in [
        (["zigbee2mqtt/new", "--profile", "no-such", "--id", "x", "--place", "gate"], "no device profile"),
        (["zigbee2mqtt/new", "--profile", "face-rec-mqtt", "--id", "x", "--place", "gate"], "none of them"),
        (
            ["zigbee2mqtt/new", "--profile", "aqara-wsdcgq11lm", "--id", "th", "--place", "gate"],
            "'th' already",
        ),
        (
            ["zigbee2mqtt/new", "--profile", "aqara-wsdcgq11lm", "--id", "x", "--place", "moon"],
            "no place 'moon'",
        ),
        (
            ["zigbee2mqtt/nil", "--profile", "aqara-wsdcgq11lm", "--id", "x", "--place", "gate"],
            "nothing came",
        ),
    ] {
        let done = school.cli("adopt", &args).await;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.code() == Some(64) && said.contains(wrong), "{args:?}: {said}");
    }
    let conf_d = school.config().with_file_name("conf.d");
    std::fs::create_dir_all(&conf_d).expect("made");
    let file = conf_d.join("new.toml").display().to_string();
    let adopt = ["zigbee2mqtt/new", "--profile", "aqara-wsdcgq11lm", "--id", "th-2", "--place", "gate"];
    let printed = school.cli_ok("adopt", &adopt).await;
    school.cli_ok("adopt", &[&adopt[..], &["--write", &file]].concat()).await;
    assert_eq!(std::fs::read_to_string(&file).expect("written"), printed);
    secret(school, "th-2.pw", "pw-th-2");
    school.cli_ok("check", &[]).await;
    daemon.terminate().await;
    let daemon = school.start().await;
    daemon.connected().await;
    let mut raw = campus.raw("th-2").await;
    assert_eq!(raw.publish("zigbee2mqtt/new", 1, &number(4)).await, 0);
    assert_eq!(stored_numbers(school), [4]);
}

#[tokio::test]
async fn q08_a_flood_of_one_device_is_shed_and_the_others_lose_nothing() {
    const FLOOD: usize = 10_000;
    let quiet: Vec<String> = (0..5).map(|n| format!("quiet{n}")).collect();
    let names: Vec<&str> = quiet.iter().map(String::as_str).chain(["noisy"]).collect();
    let profile = |name: &str| if name == "noisy" { "aqara-wsdcgq11lm" } else { "aqara-mccgq11lm" };
    let field: String = names.iter().map(|name| device(name, profile(name), name)).collect();
    let passwords: Vec<(&str, &str)> = names.iter().map(|name| (*name, "pw")).collect();
    let campus = Campus::new(&field, &passwords);
    let daemon = campus.school.start().await;
    daemon.connected().await;
    let flood = async {
        let mut raw = Raw::connect(campus.port, &Hello::new("noisy", "pw")).await;
        let message = publish(false, 0, "zigbee2mqtt/noisy", 0, &number(1));
        raw.send(&message.repeat(FLOOD)).await;
        raw.ping().await;
    };
    let others = async {
        let mut raws = Vec::new();
        for name in &quiet {
            raws.push((
                Raw::connect(campus.port, &Hello::new(name, "pw")).await,
                format!("zigbee2mqtt/{name}"),
            ));
        }
        for n in 1..=100_u16 {
            for (raw, topic) in &mut raws {
                let door = format!("{{\"contact\":{}}}", n % 2 == 0);
                assert_eq!(raw.publish(topic, n, door.as_bytes()).await, 0);
            }
        }
    };
    tokio::join!(flood, others);
    let of_others = campus.school.count("select count(*) from event where device like 'quiet%'");
    assert_eq!(of_others, 500, "every message of the others");
    let stored = || campus.school.count("select count(*) from reading") as f64;
    until("the flood is over", async || {
        let shed = campus.school.metric("schoolgate_shed_messages_total", "device=\"noisy\"").await;
        (shed + stored() >= FLOOD as f64).then_some(())
    })
    .await;
    let page = campus.school.metrics().await;
    let shed = sum_of(&page, "schoolgate_shed_messages_total", "noisy");
    assert_eq!(shed + stored(), FLOOD as f64, "each is stored or counted");
    assert!((1000.0..=8000.0).contains(&shed), "{shed} of {FLOOD}");
    assert_eq!(sum_of(&page, "schoolgate_shed_messages_total", "quiet"), 0.0);
    assert!(campus.school.log().contains("too many messages"), "and told");
}

#[tokio::test]
async fn q09_a_device_that_is_gone_is_down_by_its_will_its_silence_or_its_goodbye() {
    let campus = Campus::usual();
    let school = &campus.school;
    let daemon = school.start().await;
    daemon.connected().await;
    let state = async |wanted: &str, fault: &str| {
        until(&format!("the device is {wanted} ({fault})"), async || {
            let device = school.get("/api/v1/devices/th").await;
            let as_wanted = device["state"] == wanted && (fault.is_empty() || device["fault"] == fault);
            as_wanted.then_some(())
        })
        .await;
    };
    let will = Hello { will: Some(("zigbee2mqtt/th/availability", "offline")), ..Hello::new("th", "pw-th") };
    let lost = Raw::connect(campus.port, &will).await;
    state("up", "").await;
    drop(lost);
    state("down", "unreachable").await;

    let silent = Hello { keep_alive_secs: 1, five: true, ..Hello::new("th", "pw-th") };
    let mut silent = Raw::connect(campus.port, &silent).await;
    state("up", "").await;
    assert!(silent.closed().await.is_empty(), "cut off after one and a half times its keep-alive");
    state("down", "gone").await;

    let mut polite = campus.raw("th").await;
    state("up", "").await;
    polite.send(&packet(0xE0, &[])).await;
    state("down", "gone").await;
}

#[tokio::test]
async fn q10_who_wants_no_acknowledgement_is_shown_as_such() {
    let campus = Campus::usual();
    let school = &campus.school;
    let daemon = school.start().await;
    daemon.connected().await;
    let (mut sensor, mut reader) = (campus.raw("th").await, campus.raw("reader").await);
    sensor.send(&publish(false, 0, SENSOR, 0, &number(1))).await;
    let pass = br#"{"operator":"RecPush","info":{"RecordID":"1","VerifyStatus":"1"}}"#;
    assert_eq!(reader.publish("mqtt/face/1001/Rec", 1, pass).await, 0);
    until("the contract is told", async || {
        (school.get("/api/v1/devices/th").await["contract"] == "at_most_once").then_some(())
    })
    .await;
    assert!(school.get("/api/v1/devices/reader").await["contract"].is_null());
    assert_eq!(school.metric("schoolgate_at_most_once_total", "device=\"th\"").await, 1.0);
}

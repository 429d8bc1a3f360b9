//! Jobs through the real daemon: begun, looked at, stopped, and what comes of them; and devices asked on the spot.

use crate::daemon::{School, device, mqtt_bus, until};
use crate::discover::{map_of, served};
use crate::mosquitto::Mosquitto;
use crate::pymodbus::pymodbus_map;
use crate::rig::free_port;
use hil::paced::Paced;
use rusqlite::Connection;
use schoolgate::alarm::{AlarmBook, Before, Setup};
use schoolgate::model::{
    AccessResult, AlarmChange, AlarmClass, AlarmKey, Carrier, CredentialUse, DeviceId, Direction, Event,
    EventKind, Mono, Now, PersonRef, Personal, Phase, PointId, PointKind, Priority, Reading, RuleId, Service,
    SiteKey, Stamp, Text, Unit, Wall,
};
use schoolgate::pipeline::{Commit, StoredEvent, StoredReading};
use schoolgate::rules::{Finding, Level};
use schoolgate::store::{Depth, Reader, Store};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// 2026-10-09T08:00+08:00, a Friday.
const T0: i64 = 1_791_504_000_000;
const MINUTE: i64 = 60_000;

/// Begins a job; its number, or the status and what was said.
async fn begin(school: &School, mut order: Value) -> Result<u64, (u16, String)> {
    order["actor"] = "李工".into();
    let answer = school.client().post(school.url("/api/v1/jobs")).json(&order).send().await.unwrap();
    let status = answer.status().as_u16();
    let said: Value = answer.json().await.unwrap();
    match status {
        202 => Ok(said["id"].as_u64().unwrap()),
        _ => Err((status, said["detail"].to_string())),
    }
}

async fn job(school: &School, id: u64) -> Value {
    school.get(&format!("/api/v1/jobs/{id}")).await
}

/// A job to its end.
async fn ended(school: &School, order: Value) -> Value {
    let id = begin(school, order).await.unwrap();
    until("the job ends", async || {
        let job = job(school, id).await;
        (job["state"] != "running").then_some(job)
    })
    .await
}

async fn file(school: &School, job: &Value) -> (String, Vec<u8>) {
    let answer = school.client().get(school.url(job["file"].as_str().expect("a file"))).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (kind, answer.bytes().await.unwrap().to_vec())
}

/// A meter that nobody answers for, and a rule about it.
fn school() -> School {
    let port = free_port();
    School::new(&format!(
        "[[bus]]\nid = 'line'\nkind = 'modbus-tcp'\nhost = '127.0.0.1'\nport = {port}\n\
         [[device]]\nid = 'm1'\nprofile = 'eastron-sdm630'\nbus = 'line'\naddress = 1\nplace = 'gate'\n\
         [[rule]]\nid = 'too-much'\nkind = 'threshold'\ndevices = ['m1']\npoint = 'power_total'\nabove = 30.0\nunit = 'kW'\n"
    ))
}

/// The pseudonym of somebody.
fn person() -> PersonRef {
    Personal::new("123456".to_owned()).pseudonym(&SiteKey::new([1; 32]))
}

/// An alarm that speaks of somebody.
fn refused() -> Vec<AlarmChange> {
    let finding = Finding {
        key: AlarmKey {
            rule: RuleId::new("refused").unwrap(),
            subject: format!("door/{}", person().as_str()),
        },
        level: Level::Happened,
        class: AlarmClass::Security,
        priority: Priority::Low,
        device: None,
        place: None,
        what: Text::new("拒绝", "refused"),
    };
    let mut book = AlarmBook::restore(Before { next_id: 1, ..Before::default() }, Setup::default());
    book.apply(Now { mono: Mono(0), wall: Wall(T0) }, &finding, &[])
}

/// Two hours of a meter whose power is too high for ten minutes, and a pass of somebody.
fn remembers(school: &School) {
    std::fs::create_dir_all(school.data_dir()).unwrap();
    let mut store = Store::open(&school.data_dir()).unwrap();
    let reading = |minute: i64| {
        let kw = if (60..70).contains(&minute) { 40_000.0 } else { 10_000.0 };
        let at = Wall(T0 + minute * MINUTE);
        let point = PointId::new("power_total").unwrap();
        StoredReading {
            device: DeviceId::new("m1").unwrap(),
            stamp: Stamp::new(None, at),
            reading: Reading::new(point, kw, Unit::Watt, PointKind::Gauge),
        }
    };
    let mut pass = Event::bare(EventKind::Credential, Phase::Moment);
    pass.credential = Some(CredentialUse {
        carrier: Carrier::Card,
        service: Service::Canteen,
        direction: Direction::In,
        result: AccessResult::Granted,
        reason: None,
        known: None,
        person: Some(person()),
    });
    let pass = StoredEvent {
        device: DeviceId::new("door").unwrap(),
        stamp: Stamp::new(None, Wall(T0)),
        retained: false,
        event: pass,
    };
    let commit = Commit {
        readings: (0..120).map(reading).collect(),
        events: vec![pass],
        alarm_changes: refused(),
        ..Commit::default()
    };
    store.commit(&[&commit]).unwrap();
}

#[tokio::test]
async fn readings_and_events_are_exported_without_persons_and_the_file_is_fetched() {
    let school = school();
    remembers(&school);
    let daemon = school.start().await;
    let span = |what: &str| json!({"kind": "export", "what": what, "from": T0, "to": T0 + 120 * MINUTE});
    let done = ended(&school, span("readings")).await;
    assert_eq!((&done["state"], &done["result"]["rows"]), (&json!("done"), &json!(120)), "{done}");
    assert_eq!(done["by"], "李工");
    let (kind, bytes) = file(&school, &done).await;
    assert_eq!(kind, "text/csv; charset=utf-8");
    assert_eq!(done["result"]["bytes"], bytes.len());
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.starts_with("\u{feff}seq,device,point"), "{text}");
    assert_eq!(text.lines().count(), 121);

    let done = ended(&school, span("events")).await;
    assert_eq!(done["result"]["rows"], 1, "{done}");
    let text = String::from_utf8(file(&school, &done).await.1).unwrap();
    assert!(
        text.contains("canteen") && !text.contains("person") && !text.contains(person().as_str()),
        "{text}"
    );
    let done = ended(&school, span("alarms")).await;
    let text = String::from_utf8(file(&school, &done).await.1).unwrap();
    assert!(text.contains(",refused,door,security,") && !text.contains(person().as_str()), "{text}");

    let mut order = span("alarms");
    order["format"] = "parquet".into();
    let done = ended(&school, order).await;
    assert_eq!(&file(&school, &done).await.1[..4], b"PAR1");
    let listed = school.rows("/api/v1/jobs").await;
    assert_eq!(listed.len(), 4);
    assert!(listed[0]["begun_at"].as_i64() >= listed[1]["begun_at"].as_i64(), "newest first");
    assert_eq!(school.count("select count(*) from audit where action = 'job_begin' and actor = '李工'"), 4);

    for (order, status) in [
        (json!({"kind": "export", "what": "persons", "from": 0, "to": 1}), 400),
        (json!({"kind": "export", "what": "events", "from": 1, "to": 1}), 400),
        (json!({"kind": "export", "what": "events", "from": 0, "to": 1, "dir": "/etc"}), 400),
        (json!({"kind": "nothing"}), 400),
        (json!({"kind": "replay", "from": 0, "to": T0}), 400),
        (json!({"kind": "discovery"}), 400),
        (json!({"kind": "discovery", "tcp": "10.0.0.0/8"}), 400),
        (json!({"kind": "discovery", "serial": "/etc/passwd"}), 400),
        (json!({"kind": "discovery", "serial": "/dev/ttyUSB0", "tcp": "10.0.0.0/24"}), 400),
    ] {
        assert_eq!(begin(&school, order.clone()).await.map_err(|(status, _)| status), Err(status), "{order}");
    }
    for path in ["/api/v1/jobs/1", "/api/v1/jobs/x", "/api/v1/jobs/1/file"] {
        let answer = school.client().get(school.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    // Files go with the gateway: nobody would know of them.
    let dir = school.data_dir().join("jobs");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 4);
    daemon.terminate().await;
    assert!(!dir.exists());
}

#[tokio::test]
async fn rules_are_shown_the_past_once_more_and_what_they_would_have_raised_is_told() {
    let school = school();
    remembers(&school);
    let _daemon = school.start().await;
    let order = json!({"kind": "replay", "from": T0, "to": T0 + 120 * MINUTE, "rules": ["too-much"]});
    let done = ended(&school, order.clone()).await;
    let result = &done["result"];
    assert_eq!(
        (&done["state"], &result["would"], &result["did"]),
        (&json!("done"), &json!(1), &json!(0)),
        "{done}"
    );
    let row = &result["rows"][0];
    assert_eq!((&row["rule"], &row["subject"]), (&json!("too-much"), &json!("m1")));
    assert_eq!((&row["from"], &row["to"]), (&json!(T0 + 60 * MINUTE), &json!(T0 + 70 * MINUTE)), "{row}");
    assert_eq!((&row["would"], &row["did"]), (&json!(true), &json!(false)));
    assert_eq!(done["file"], Value::Null);

    // What stands in the configuration now is tried, not what the gateway began with.
    let text = std::fs::read_to_string(school.config()).unwrap();
    std::fs::write(school.config(), text.replace("above = 30.0", "above = 50.0")).unwrap();
    let done = ended(&school, order.clone()).await;
    assert_eq!(done["result"]["would"], 0, "{done}");
    std::fs::write(school.config(), text.replace("above = 30.0", "abve = 30.0")).unwrap();
    let done = ended(&school, order).await;
    assert_eq!(done["state"], "failed");
    assert!(done["note"]["en"].as_str().unwrap().contains("'abve' is not a key that is known"), "{done}");
    std::fs::write(school.config(), text).unwrap();
    let done =
        ended(&school, json!({"kind": "replay", "from": T0, "to": T0 + 1, "rules": ["no-such"]})).await;
    assert!(done["note"]["en"].as_str().unwrap().contains("no rule 'no-such'"), "{done}");
}

#[tokio::test]
async fn devices_in_a_network_are_found_and_what_the_gateway_uses_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let map = served(dir.path(), &[], &[(5, map_of("energy-meter/eastron-sdm630"))]);
    let (_child, port) = pymodbus_map("tcp", "127.0.0.1", &map).await;
    let school = school();
    let _daemon = school.start().await;
    let order = json!({"kind": "discovery", "tcp": "127.0.0.1/32", "port": port, "ids": "1-6", "lang": "en"});
    let done = ended(&school, order).await;
    assert_eq!((&done["state"], &done["result"]["found"]), (&json!("done"), &json!(1)), "{done}");
    let found = &done["result"]["devices"][0];
    assert_eq!((&found["address"], &found["likely"][0]["profile"]), (&json!("5"), &json!("eastron-sdm630")));
    assert_eq!(found["line"], Value::Null, "a network has no baud rate");
    let toml = done["result"]["toml"].as_str().unwrap();
    let made: toml::Table = toml.parse().expect(toml);
    assert_eq!(made["device"][0]["address"].as_integer(), Some(5));
    // The id of the meter that is configured is not used again.
    assert!(toml.contains("Put it into conf.d/") && made["bus"][0]["id"].as_str() != Some("line"), "{toml}");

    let text = std::fs::read_to_string(school.config()).unwrap();
    let used: toml::Table = text.parse().unwrap();
    let used = used["bus"][0]["port"].as_integer().unwrap();
    let order = json!({"kind": "discovery", "converter": format!("127.0.0.1:{used}")});
    let (status, said) = begin(&school, order).await.unwrap_err();
    assert!(status == 409 && said.contains("uses the bus 'line'"), "{status} {said}");
}

#[tokio::test]
async fn a_job_is_stopped_within_a_second_one_of_a_kind_runs_at_a_time_and_a_stop_of_the_gateway_stops_it() {
    // A line of 1200 baud on which nobody answers takes half a minute.
    let paced = Paced::start(None, 1200).await.unwrap();
    let school = school();
    let daemon = school.start().await;
    let order = json!({"kind": "discovery", "converter": paced.address().to_string(), "bauds": [1200]});
    let id = begin(&school, order.clone()).await.unwrap();
    let running = until("it says where it stands", async || {
        let job = job(&school, id).await;
        (job["done"].as_u64() > Some(0)).then_some(job)
    })
    .await;
    assert_eq!((&running["state"], &running["of"]), (&json!("running"), &json!(247)), "{running}");
    assert!(running["note"]["zh"].as_str().unwrap().contains("地址"), "{running}");
    let (status, said) = begin(&school, order.clone()).await.unwrap_err();
    assert!(status == 409 && said.contains(&id.to_string()), "{status} {said}");
    // Another kind goes on beside it.
    ended(&school, json!({"kind": "export", "what": "alarms", "from": 0, "to": T0})).await;

    let asked = Instant::now();
    let answer = school.client().delete(school.url(&format!("/api/v1/jobs/{id}"))).send().await.unwrap();
    let stopped: Value = answer.json().await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_eq!((&stopped["state"], &stopped["result"]["found"]), (&json!("stopped"), &json!(0)), "{stopped}");

    let id = begin(&school, order).await.unwrap();
    assert_eq!(job(&school, id).await["state"], "running");
    let (status, took) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert!(school.log().contains("stopped; everything accepted is on disk"));
}

#[tokio::test]
async fn a_backup_is_whole_and_the_two_newest_are_kept() {
    let school = school();
    remembers(&school);
    let _daemon = school.start().await;
    let mut dirs = Vec::new();
    for _ in 0..3 {
        let done = ended(&school, json!({"kind": "backup"})).await;
        assert_eq!(done["state"], "done", "{done}");
        assert_eq!(done["file"], Value::Null, "it holds pseudonyms and is not served");
        dirs.push(done["result"]["dir"].as_str().unwrap().to_owned());
    }
    let there: Vec<bool> = dirs.iter().map(|dir| std::path::Path::new(dir).exists()).collect();
    assert_eq!(there, [false, true, true]);
    let reader = Reader::open(std::path::Path::new(&dirs[2])).unwrap();
    let verdict = reader.verify(Depth::Whole).unwrap();
    assert!(verdict.broken.is_empty(), "{verdict:?}");
    let copy = Connection::open(std::path::Path::new(&dirs[2]).join("schoolgate.db")).unwrap();
    let readings: i64 = copy.query_row("select count(*) from reading", [], |row| row.get(0)).unwrap();
    assert_eq!(readings, 120);
    let backup = school.get("/api/v1/system").await["last_backup"].take();
    assert!(dirs[2].ends_with(&backup["at"].to_string()) && backup["bytes"].as_u64() > Some(0), "{backup}");
}

#[tokio::test]
async fn a_device_is_asked_between_its_polls_and_one_that_speaks_by_itself_is_told_as_heard() {
    let dir = tempfile::tempdir().unwrap();
    let map = served(dir.path(), &[], &[(1, map_of("energy-meter/eastron-sdm630"))]);
    let (mut child, port) = pymodbus_map("tcp", "127.0.0.1", &map).await;
    let broker = Mosquitto::start().await;
    let school = School::new(&format!(
        "{}{}[[bus]]\nid = 'line'\nkind = 'modbus-tcp'\nhost = '127.0.0.1'\nport = {port}\ntimeout_ms = 300\n\
         [[device]]\nid = 'm1'\nprofile = 'eastron-sdm630'\nbus = 'line'\naddress = 1\nplace = 'gate'\n",
        mqtt_bus(&broker),
        device("help", "tuya-ts0215a", "help")
    ));
    let _daemon = school.start().await;
    until("the meter answers", async || {
        (school.get("/api/v1/devices/m1").await["state"] == "up").then_some(())
    })
    .await;
    let ask = async |id: &str| {
        let url = school.url(&format!("/api/v1/devices/{id}/probe"));
        let answer = school.client().post(url).json(&json!({"actor": "李工"})).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, told) = ask("m1").await;
    assert_eq!((status, &told["ok"], &told["asked"]), (200, &json!(true), &told["answered"]), "{told}");
    let polled = school.get("/api/v1/devices/m1").await["points"].take();
    let value = told["values"].as_array().unwrap().iter().find(|value| value["point"] == "voltage_l1");
    let value = value.expect("a voltage");
    assert_eq!(value["value"], polled["voltage_l1"]["value"], "{told}");
    // One connection for polls and questions alike.
    assert_eq!(school.metric("schoolgate_connects_total", "bus=\"line\"").await, 1.0);

    let (status, told) = ask("help").await;
    assert!(status == 200 && told["says"]["en"].as_str().unwrap().contains("speaks by itself"), "{told}");
    assert_eq!(ask("nobody").await.0, 404);
    child.kill().await.unwrap();
    let began = Instant::now();
    let (status, told) = ask("m1").await;
    assert_eq!((status, &told["ok"]), (200, &json!(false)), "{told}");
    assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
    assert!(!told["says"]["zh"].as_str().unwrap().is_empty());
    assert_eq!(school.count("select count(*) from audit where action = 'probe'"), 3);
}

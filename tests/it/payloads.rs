//! Broken and hostile payloads through a real broker: each is counted and kept for a person, and stops nothing.

use crate::daemon::{School, device, mqtt_bus, numbered, stored_numbers, sum_of, until};
use crate::mosquitto::Mosquitto;
use serde_json::Value;
use std::path::Path;

const SENSOR: &str = "zigbee2mqtt/th";
const READER: &str = "mqtt/face/1001/Rec";

/// What becomes of a payload.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fate {
    /// Counted and quarantined as this kind.
    Quarantined(&'static str),
    /// Nothing is wrong with it, or nothing is in it.
    Passed,
}
use Fate::{Passed, Quarantined};

pub struct Broken {
    pub name: &'static str,
    pub topic: &'static str,
    pub payload: Vec<u8>,
    pub fate: Fate,
}

pub fn broken() -> Vec<Broken> {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let padded = |n: usize| format!(r#"{{"temperature":21.5,"pad":"{}"}}"#, "x".repeat(n)).into_bytes();
    let face = |serial: &str, rest: &str| {
        format!(r#"{{"operator":"RecPush","info":{{"RecordID":"{serial}","VerifyStatus":"1"{rest}}}}}"#)
            .into_bytes()
    };
    let utf_16: Vec<u8> =
        "\u{feff}{\"temperature\":21.5}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let list: Vec<(&str, &str, Vec<u8>, Fate)> = vec![
        ("truncated", SENSOR, b"{\"temperature\":21.".to_vec(), Quarantined("not_json")),
        ("plain text", SENSOR, b"temperature is 21.5".to_vec(), Quarantined("not_json")),
        ("a text for a number", SENSOR, br#"{"temperature":"warm"}"#.to_vec(), Quarantined("bad_type")),
        ("an object for a number", SENSOR, br#"{"temperature":{"c":21}}"#.to_vec(), Quarantined("bad_type")),
        ("a number for an object", SENSOR, b"42".to_vec(), Quarantined("bad_type")),
        ("a list for an object", SENSOR, b"[21.5,40]".to_vec(), Quarantined("nothing_known")),
        ("an empty object", SENSOR, b"{}".to_vec(), Quarantined("nothing_known")),
        ("blanks", SENSOR, b"  \r\n".to_vec(), Quarantined("empty")),
        ("nothing", SENSOR, Vec::new(), Passed),
        ("300 KB", SENSOR, padded(300_000), Quarantined("too_large")),
        ("2 MB", SENSOR, padded(2_000_000), Quarantined("too_large")),
        ("not UTF-8", SENSOR, b"{\"temperature\":\xff\xfe}".to_vec(), Quarantined("not_utf8")),
        (
            "GBK",
            SENSOR,
            b"{\"name\":\"\xce\xc2\xb6\xc8\",\"temperature\":21}".to_vec(),
            Quarantined("not_utf8"),
        ),
        ("UTF-16", SENSOR, utf_16, Quarantined("not_utf8")),
        ("a byte order mark", SENSOR, b"\xef\xbb\xbf{\"temperature\":21.5}".to_vec(), Passed),
        ("NUL bytes", SENSOR, b"{\"temperature\":\0\0\0\0}".to_vec(), Quarantined("not_json")),
        ("10,000 lists in each other", SENSOR, deep.into_bytes(), Quarantined("too_deep")),
        ("NaN", SENSOR, br#"{"temperature":NaN}"#.to_vec(), Quarantined("not_json")),
        ("1e400", SENSOR, br#"{"temperature":1e400}"#.to_vec(), Quarantined("bad_number")),
        (
            "a key twice",
            SENSOR,
            br#"{"temperature":1,"temperature":2}"#.to_vec(),
            Quarantined("duplicate_key"),
        ),
        ("two values", SENSOR, br#"{"temperature":1}{"temperature":2}"#.to_vec(), Quarantined("not_json")),
        ("an unknown word", "zigbee2mqtt/th/availability", b"maybe".to_vec(), Quarantined("not_json")),
        ("a topic nobody has", "zigbee2mqtt/nobody", br#"{"temperature":1}"#.to_vec(), Passed),
        ("no operator", READER, br#"{"info":{"RecordID":"1"}}"#.to_vec(), Quarantined("missing_field")),
        ("an unknown operator", READER, br#"{"operator":"Boo"}"#.to_vec(), Quarantined("unknown_value")),
        (
            "a clock at 1970",
            READER,
            face("1970", r#","time":"1970-01-01 08:00:00""#),
            Quarantined("wrong_clock"),
        ),
        (
            "a clock at 2099",
            READER,
            face("2099", r#","time":"2099-12-31 23:59:59""#),
            Quarantined("wrong_clock"),
        ),
        ("a date that is none", READER, face("13", r#","time":"2026-13-45 99:00:00""#), Passed),
        ("a serial of 1,000 letters", READER, face(&"9".repeat(1000), ""), Quarantined("bad_type")),
    ];
    list.into_iter().map(|(name, topic, payload, fate)| Broken { name, topic, payload, fate }).collect()
}

/// Publishes a good message and waits for it: whatever came before is done with, too.
async fn good_one(broker: &Mosquitto, school: &School, n: u32) {
    // Ten times: a lone reading would wait for company.
    broker.publish_lines(SENSOR, &(numbered(n) + "\n").repeat(10)).await;
    until("the good message after it", async || stored_numbers(school).contains(&i64::from(n)).then_some(()))
        .await;
}

#[tokio::test]
async fn broken_payloads_are_counted_and_kept_and_stop_nothing() {
    let broker = Mosquitto::start().await;
    let devices = device("th", "aqara-wsdcgq11lm", "th") + &device("reader", "face-rec-mqtt", "1001");
    let school = School::new(&(mqtt_bus(&broker) + &devices));
    let daemon = school.start().await;
    daemon.connected().await;
    good_one(&broker, &school, 0).await;

    let broken = broken();
    let mut wrong = Vec::new();
    for (n, case) in (1..).zip(&broken) {
        let before = school.metrics().await;
        broker.publish(case.topic, &case.payload, &[]).await;
        good_one(&broker, &school, n).await;
        let after = school.metrics().await;
        let more = |labels: &str| {
            let [then, now] = [&before, &after].map(|page| sum_of(page, "schoolgate_refused_total", labels));
            now - then
        };
        let fits = match case.fate {
            Quarantined(kind) => more("") == 1.0 && more(&format!("kind=\"{kind}\"")) == 1.0,
            Passed => more("") == 0.0,
        };
        if !fits {
            let last: Vec<String> =
                school.column("select kind || ': ' || reason from quarantine order by seq desc limit 1");
            wrong.push(format!(
                "{}: expected {:?}, {} more refused; the last is {last:?}",
                case.name,
                case.fate,
                more("")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let kept: Vec<(&Broken, &str)> = broken
        .iter()
        .filter_map(|case| match case.fate {
            Quarantined(kind) => Some((case, kind)),
            Passed => None,
        })
        .collect();
    assert!(kept.len() >= 20);
    listed(&school, &kept).await;

    let clocks: Vec<String> = school.column(
        "select serial || ' ' || clock || ' ' || coalesce(device_at, 'none') from event where arrived > 1704067200000 \
         order by serial",
    );
    assert_eq!(
        clocks,
        ["13 1 none", "1970 2 0", "2099 2 4102415999000"],
        "kept with both times, the clock judged"
    );
    let shown = school.rows("/api/v1/events?device=reader").await;
    let of = |serial: &str| shown.iter().find(|row| row["serial"] == serial).expect("the event").clone();
    assert_eq!(school.metric("schoolgate_wrong_clocks_total", "").await, 2.0);
    for serial in ["1970", "2099"] {
        let row = of(serial);
        assert_eq!((&row["clock"], &row["at"]), (&"device_wrong".into(), &row["arrived_at"]), "{row}");
    }
    let (status, _) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    listed(&school, &kept).await;
}

/// `schoolgate quarantine list` shows each, as a table and as JSON, whether the daemon runs or not.
async fn listed(school: &School, kept: &[(&Broken, &str)]) {
    let json: Value =
        serde_json::from_str(&school.cli_ok("quarantine", &["list", "--json"]).await).expect("JSON");
    let rows = json.as_array().expect("a list");
    let table = school.cli_ok("quarantine", &["list"]).await;
    let lines: Vec<&str> = table.lines().skip(1).collect();
    assert_eq!((rows.len(), lines.len()), (kept.len(), kept.len()), "{table}");
    for (((case, kind), row), line) in kept.iter().rev().zip(rows).zip(lines) {
        let personal = case.topic == READER;
        assert_eq!(row["kind"], *kind, "{}", case.name);
        assert_eq!(row["origin"], case.topic, "{}", case.name);
        assert_eq!(row["raw_len"], case.payload.len(), "{}", case.name);
        assert_eq!(row["raw"] == "", personal, "{}: {row}", case.name);
        assert!(!row["reason"].as_str().expect("a reason").is_empty(), "{}", case.name);
        assert!(line.contains(kind) && line.contains(case.topic), "{}: {line}", case.name);
    }
}

#[tokio::test]
async fn a_topic_of_a_device_taken_out_of_the_configuration_is_a_stranger_and_stops_nothing() {
    let broker = Mosquitto::start().await;
    let here = mqtt_bus(&broker) + &device("th", "aqara-wsdcgq11lm", "th");
    let school = School::new(&(here.clone() + &device("old", "aqara-wsdcgq11lm", "old")));
    let daemon = school.start().await;
    daemon.connected().await;
    until("the old device is heard", async || {
        broker.publish("zigbee2mqtt/old", numbered(1).as_bytes(), &[]).await;
        (!stored_numbers(&school).is_empty()).then_some(())
    })
    .await;
    daemon.terminate().await;

    school.write_config(&here);
    let daemon = school.start().await;
    daemon.connected().await;
    // The broker still has the subscription.
    broker.publish("zigbee2mqtt/old", numbered(2).as_bytes(), &[]).await;
    until("the stranger is counted", async || {
        (school.metric("schoolgate_unknown_total", "mqtt").await >= 1.0).then_some(())
    })
    .await;
    good_one(&broker, &school, 3).await;
    let strangers = school.rows("/api/v1/strangers").await;
    assert_eq!(strangers.len(), 1, "{strangers:?}");
    assert_eq!(strangers[0]["origin"], "zigbee2mqtt/old");
    assert!(!stored_numbers(&school).contains(&2));
}

#[tokio::test]
async fn help_gets_through_whatever_else_is_wrong_with_its_message() {
    let broker = Mosquitto::start().await;
    let school = School::new(&(mqtt_bus(&broker) + &device("help", "tuya-ts0215a", "help")));
    let daemon = school.start().await;
    daemon.connected().await;
    until("the alarm is open", async || {
        broker.publish("zigbee2mqtt/help", br#"{"action":"sos","battery":"full","voltage":[]}"#, &[]).await;
        (!school.rows("/api/v1/alarms?open=true").await.is_empty()).then_some(())
    })
    .await;
}

/// Every file below a directory.
fn files(dir: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(dir).expect("a directory");
    entries.map(|entry| std::fs::read(entry.expect("an entry").path()).expect("a file")).collect()
}

#[tokio::test]
async fn what_names_a_child_is_in_no_file_log_metric_or_answer() {
    let broker = Mosquitto::start().await;
    let rule = "[[rule]]\nid = 'refused'\nkind = 'repeated_denied'\nclass = 'card-reader'\ncount = 3\nwindow_secs = 600\n";
    let school = School::new(&(mqtt_bus(&broker) + &device("reader", "face-rec-mqtt", "1001") + rule));
    let daemon = school.start().await;
    daemon.connected().await;
    let canaries =
        ["CANARYCARD4711", "CANARYIDCARD110101", "CANARYPHONE138", "CANARYNAMEzhang", "CANARYPHOTO9j4AAQ"];
    let [card, id_card, phone, name, photo] = canaries;
    let pass = |serial: u32, status: &str| {
        format!(
            r#"{{"operator":"RecPush","info":{{"RecordID":"{serial}","VerifyStatus":{status},"direction":"entr","personName":"{name}","customId":"{id_card}","idCard":"{id_card}","telnum":"{phone}","RFIDCard":"{card}","pic":"data:image/jpeg;base64,{photo}"}}}}"#
        )
    };
    until("a pass is stored", async || {
        broker.publish(READER, pass(1, r#""1""#).as_bytes(), &[]).await;
        (school.metric("schoolgate_events_total", "credential").await >= 1.0).then_some(())
    })
    .await;
    // Broken in three ways: quarantined, and their bytes name the child as well.
    let whole = pass(2, r#""1""#);
    let in_two = whole.len() - 2;
    let broken = [
        whole.as_bytes()[..in_two].to_vec(),
        pass(3, r#"{"nested":true}"#).into_bytes(),
        pass(4, &format!(r#""1","RFIDCard":"{card}""#)).into_bytes(),
        pass(5, &format!(r#""1","pad":"{}""#, "x".repeat(300_000))).into_bytes(),
        format!(r#"{{"operator":"{name}","info":{{"RecordID":"{card}"}}}}"#).into_bytes(),
    ];
    for payload in &broken {
        broker.publish(READER, payload, &[]).await;
    }
    until("the broken ones are refused", async || {
        (school.metric("schoolgate_refused_total", "").await >= 5.0).then_some(())
    })
    .await;
    for serial in 11..14 {
        broker.publish(READER, pass(serial, r#""2""#).as_bytes(), &[]).await;
    }
    until("the card refused again and again raises an alarm", async || {
        (!school.rows("/api/v1/alarms?open=true").await.is_empty()).then_some(())
    })
    .await;
    let mut seen = vec![school.metrics().await.into_bytes()];
    for path in ["events", "quarantine", "devices", "alarms", "strangers"] {
        seen.push(school.get(&format!("/api/v1/{path}")).await.to_string().into_bytes());
    }
    for verb in ["quarantine", "alarms"] {
        seen.push(school.cli_ok(verb, &["list", "--json"]).await.into_bytes());
    }
    seen.extend(files(&school.data_dir()));
    daemon.terminate().await;
    seen.push(school.log().into_bytes());
    seen.extend(files(&school.data_dir()));
    for canary in canaries {
        let found = seen.iter().filter(|bytes| bytes.windows(canary.len()).any(|w| w == canary.as_bytes()));
        assert_eq!(found.count(), 0, "{canary}");
    }
    assert_eq!(
        school.count("select count(*) from event where length(person) = 32"),
        4,
        "pseudonyms are there"
    );
    assert_eq!(school.count("select count(*) from quarantine where length(raw) > 0"), 0);
}

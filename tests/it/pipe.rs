//! The main job through the real program: meters of pymodbus and messages of mosquitto_pub, in the store with value,
//! unit, both times and quality; roll-ups and alarms at two platforms, each record once.

use crate::daemon::{School, device, mqtt_bus, until};
use crate::mosquitto::Mosquitto;
use crate::pymodbus::pymodbus;
use hil::platform::{Family, Mood, Platform, Settings};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

/// A meter of pymodbus in one word order.
fn profile(order: &str, points: &[(&str, &str, u16, &str, &str)]) -> String {
    let mut text = format!(
        "id = 'py-{order}'\nclass = 'energy-meter'\nvendor = 'py'\nmodel = '{order}'\nname_zh = '表'\n\
         name_en = 'meter'\nsource = 'tests/peers/pymodbus_meters.py'\nconfirmed = true\nprotocol = 'modbus'\n\
         [modbus]\norder = '{}'\n",
        order.to_uppercase()
    );
    for (id, table, address, kind, more) in points {
        text.push_str(&format!(
            "[[point]]\nid = '{id}'\nname_zh = '{id}'\nname_en = '{id}'\ntable = '{table}'\naddress = {address}\n\
             type = '{kind}'\n{more}\n"
        ));
    }
    text
}

/// A school whose profiles are the shipped ones and two for pymodbus, with two platforms to upload to.
fn school(field: &str) -> School {
    let school = School::new(field);
    let dir = school.config().parent().expect("a directory").to_owned();
    let profiles = dir.join("profiles");
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/device-profiles");
    std::fs::create_dir_all(profiles.join("energy-meter")).expect("a directory");
    for class in ["sensor", "card-reader", "button"] {
        std::os::unix::fs::symlink(format!("{shipped}/{class}"), profiles.join(class)).expect("a link");
    }
    let abcd = [("voltage", "input", 0, "f32", "unit = 'V'"), ("broken", "input", 2, "f32", "unit = 'A'")];
    let cdab = [
        ("frequency", "holding", 0, "f32", "unit = 'Hz'"),
        ("energy", "holding", 2, "u32", "unit = 'kWh'\nkind = 'counter'\nscale = 0.001"),
    ];
    for (order, points) in [("abcd", abcd), ("cdab", cdab)] {
        let home = profiles.join(format!("energy-meter/py-{order}"));
        std::fs::create_dir_all(&home).expect("a directory");
        std::fs::write(home.join("profile.toml"), profile(order, &points)).expect("a profile");
    }
    let text = std::fs::read_to_string(school.config()).expect("the configuration");
    std::fs::write(school.config(), text.replace(shipped, "profiles")).expect("the configuration");
    for name in ["province", "city"] {
        let secret = dir.join(name);
        std::fs::write(&secret, format!("{name}-secret")).expect("a secret");
        std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).expect("a mode");
    }
    school
}

async fn platform(name: &str, family: Family, moods: Vec<Mood>) -> Platform {
    let (app_id, secret) = ("app".to_owned(), format!("{name}-secret"));
    Platform::start(0, Settings { family, app_id, secret, moods }).await.expect("a platform")
}

#[tokio::test]
async fn from_the_wire_to_the_platform() {
    let broker = Mosquitto::start().await;
    let (_meters, port) = pymodbus().await;
    let province = platform("province", Family::Shield, Vec::new()).await;
    // The first request is cut after it was taken, so every record of it comes again.
    let city = platform("city", Family::Eduyun, vec![Mood::CutAfterTaking, Mood::Broken, Mood::Take]).await;
    let meter = |id: &str, unit: u8| {
        format!(
            "[[device]]\nid = '{id}'\nprofile = 'py-{id}'\nbus = 'line'\naddress = {unit}\nplace = 'gate'\npoll_secs = 1\n"
        )
    };
    let destination = |id: &str, kind: &str, url: &str| {
        format!(
            "[[destination]]\nid = '{id}'\nkind = '{kind}'\nbase_url = '{url}'\napp_id = 'app'\nsecret_file = '{id}'\n"
        )
    };
    let school = school(&format!(
        "{}[[bus]]\nid = 'line'\nkind = 'modbus-tcp'\nhost = '127.0.0.1'\nport = {port}\n{}{}{}{}{}{}{}\
         [uploads]\naggregate_secs = 10\n",
        mqtt_bus(&broker),
        meter("abcd", 1),
        meter("cdab", 2),
        device("air", "aqara-wsdcgq11lm", "air"),
        device("reader", "face-rec-mqtt", "7"),
        device("help", "tuya-ts0215a", "help"),
        destination("province", "shield", &province.base_url()),
        destination("city", "eduyun", &city.base_url()),
    ));
    let daemon = school.start().await;
    daemon.connected().await;

    broker.publish("zigbee2mqtt/air", br#"{"temperature":21.5,"humidity":48.25}"#, &[]).await;
    let pass = r#"{"operator":"RecPush","info":{"RecordID":"71","VerifyStatus":"2","time":"2026-01-02 03:04:05","direction":"exit","RFIDCard":"0012345"}}"#;
    broker.publish("mqtt/face/7/Rec", pass.as_bytes(), &[]).await;
    broker.publish("zigbee2mqtt/help", br#"{"action":"emergency"}"#, &[]).await;

    // Value, unit, quality and times of readings.
    let last = async |device: &str, point: &str| -> Value {
        until(&format!("{device} {point} stored"), async || {
            school.rows(&format!("/api/v1/readings?device={device}&point={point}&limit=1")).await.pop()
        })
        .await
    };
    for (device, point, value, unit, quality) in [
        ("abcd", "voltage", json!(230.5), "V", "good"),
        ("abcd", "broken", Value::Null, "A", "bad"),
        ("cdab", "frequency", json!(50.0625), "Hz", "good"),
        ("cdab", "energy", json!(305_419.896), "kWh", "good"),
        ("air", "temperature", json!(21.5), "°C", "good"),
        ("air", "humidity", json!(48.25), "%RH", "good"),
    ] {
        let row = last(device, point).await;
        assert_eq!(
            (&row["value"], &row["unit"], &row["quality"]),
            (&value, &json!(unit), &json!(quality)),
            "{row}"
        );
        assert_eq!((&row["clock"], &row["device_at"]), (&json!("no_device_time"), &Value::Null), "{row}");
        assert!(row["arrived_at"].as_i64() > Some(1_700_000_000_000), "{row}");
    }
    // Both times of an event: the terminal's own, in the school's zone, and ours.
    let card =
        until("the card stored", async || school.rows("/api/v1/events?kind=credential").await.pop()).await;
    assert_eq!(card["device_at"], 1_767_294_245_000_i64, "2026-01-02T03:04:05+08:00");
    assert!(card["arrived_at"].as_i64() > card["device_at"].as_i64(), "{card}");
    let credential = &card["credential"];
    assert_eq!(
        (&credential["result"], &credential["direction"]),
        (&json!("denied"), &json!("out")),
        "{card}"
    );

    // What is owed arrives at both, alarms and roll-ups, each record once in the end.
    for (platform, name) in [(&province, "province"), (&city, "city")] {
        until(&format!("alarm and roll-ups at the {name}"), async || {
            let records = platform.records();
            let of = |point: &str| records.iter().any(|r| r["point"] == point);
            let alarm = records.iter().any(|r| r["record"] == "alarm");
            let alarm = alarm && records.iter().any(|r| r["record"] == "audit_head");
            (alarm && ["voltage", "energy", "temperature"].iter().all(|point| of(point))).then_some(())
        })
        .await;
    }
    let (status, _) = daemon.terminate().await;
    assert!(status.success(), "{status}");
    for (platform, name) in [(&province, "province"), (&city, "city")] {
        let stats = platform.stats();
        assert_eq!((stats.refused, stats.out_of_order), (0, 0), "{name}: {stats:?}");
        let records = platform.records();
        let uids: BTreeSet<String> = records.iter().map(|r| r["uid"].to_string()).collect();
        assert_eq!(uids.len(), records.len(), "{name}: a record twice");
        let waiting = school.count(&format!("select count(*) from outbox where destination = '{name}'"));
        let owed = school.count("select cast(value as integer) - 1 from meta where key = 'next_seq'");
        let taken = i64::try_from(records.len()).expect("few");
        assert!(taken + waiting >= owed / 2, "{name}: {taken} taken, {waiting} wait, {owed} owed to both");
        let alarm = records.iter().find(|r| r["record"] == "alarm").expect("the alarm");
        assert_eq!(alarm["class"], "help", "{alarm}");
        assert!(records.iter().any(|r| r["point"] == "voltage" && r["last"] == 230.5), "{name}");
        let head = records.iter().find(|r| r["record"] == "audit_head").expect("the head of the audit trail");
        let head = format!("{}:{}", head["entries"], head["hash"].as_str().expect("a hash"));
        school.cli_ok("db", &["verify", "--audit-head", &head]).await;
        let text = json!(records).to_string();
        assert!(!text.contains("0012345") && !text.contains("actor"), "{name}: persons stay in the school");
    }
    assert!(city.stats().repeated > 0, "the cut answer made records come again");
}

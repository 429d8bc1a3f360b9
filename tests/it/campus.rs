//! Who is where and who is missing, for real: cards over MQTT, a fire, a kill, the command line.

use crate::daemon::{School, mqtt_bus, until};
use crate::mosquitto::Mosquitto;
use serde_json::{Value, json};

const PLACES: &str = r#"
[campus]
muster_lists_persons = true
[[place]]
id = 'east'
kind = 'campus'
counts = true
[[place]]
id = 'teaching'
kind = 'building'
parent = 'east'
counts = true
[[place]]
id = 'dorm'
kind = 'building'
parent = 'east'
counts = true
overnight = true
[[place]]
id = 'yard'
kind = 'room'
parent = 'east'
assembly = true
"#;

fn school(broker: &Mosquitto) -> School {
    let device = |id: &str, profile: &str, place: &str| {
        format!(
            "[[device]]\nid = '{id}'\nprofile = '{profile}'\nbus = 'mqtt'\naddress = '{id}'\nplace = '{place}'\n"
        )
    };
    let readers = ["teaching", "dorm", "yard"].map(|place| device(place, "face-rec-mqtt", place)).concat();
    School::new(&(mqtt_bus(broker) + PLACES + &readers + &device("smoke", "tuya-ts0205", "teaching")))
}

/// A card at a reader; the terminal has no clock.
async fn card(broker: &Mosquitto, reader: &str, serial: u32, number: &str, direction: &str) {
    let pass = format!(
        r#"{{"operator":"RecPush","info":{{"RecordID":"{serial}","VerifyStatus":"1","direction":"{direction}","RFIDCard":"{number}"}}}}"#
    );
    broker.publish(&format!("mqtt/face/{reader}/Rec"), pass.as_bytes(), &[]).await;
}

/// How many are in the zones, as "dorm 1 east 5 teaching 3".
async fn presence(school: &School) -> String {
    let answer = school.get("/api/v1/presence").await;
    let zone =
        |zone: &Value| format!("{} {}", zone["place"].as_str().expect("an id"), zone["persons"]["known"]);
    let zones = answer["zones"].as_array().expect("zones");
    zones.iter().map(zone).collect::<Vec<_>>().join(" ")
}

/// Waits until the muster is so: "place class missing/safe/left", one for each row.
async fn muster_is(school: &School, expected: &str) -> Value {
    until(expected, async || {
        let muster = school.get("/api/v1/muster").await["muster"].clone();
        let row = |row: &Value| {
            let place = row["place"].as_str().expect("an id");
            let group = row["group"].as_str().unwrap_or("-");
            format!("{place} {group} {}/{}/{}", row["missing"], row["safe"], row["left"])
        };
        let rows: Vec<String> = muster["rows"].as_array().into_iter().flatten().map(row).collect();
        (rows.join(", ") == expected).then_some(muster)
    })
    .await
}

async fn order(school: &School, path: &str, body: Value) -> (u16, Value) {
    let answer = school.client().post(school.url(path)).json(&body).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

#[tokio::test]
async fn cards_say_who_is_where_and_a_fire_lists_who_is_missing_also_after_a_kill() {
    let broker = Mosquitto::start().await;
    let school = school(&broker);
    let daemon = school.start().await;
    daemon.connected().await;
    for (serial, (reader, number, direction)) in [
        ("teaching", "1001", "entr"),
        ("teaching", "1002", "entr"),
        ("teaching", "1003", "entr"),
        ("dorm", "2001", "entr"),
        ("teaching", "1004", "entr"),
        ("teaching", "1004", "exit"),
    ]
    .into_iter()
    .enumerate()
    {
        card(&broker, reader, u32::try_from(serial).expect("few"), number, direction).await;
    }
    until("five are in", async || (presence(&school).await == "dorm 1 east 5 teaching 3").then_some(()))
        .await;
    assert!(school.cli_ok("presence", &[]).await.contains("PERSONS"));
    assert_eq!(school.cli_ok("muster", &[]).await, "there is no muster\n");

    let list = school.config().with_file_name("list.csv");
    std::fs::write(
        &list,
        "card,role,class\n1001,student,3a\n1002,student,3a\n1003,student,3b\n2001,student,3a\n",
    )
    .expect("written");
    school.cli_ok("people", &["import", list.to_str().expect("a path"), "--as", "zhang"]).await;

    broker.publish("zigbee2mqtt/smoke", br#"{"smoke":true}"#, &[]).await;
    let begun = "dorm 3a 1/0/0, east - 1/0/0, teaching 3a 2/0/0, teaching 3b 1/0/0";
    let muster = muster_is(&school, begun).await;
    assert_eq!((&muster["fire"], &muster["called"]), (&json!(true), &Value::Null));
    assert_eq!(muster["persons"].as_array().map(Vec::len), Some(5), "the school wants them named");
    card(&broker, "yard", 1, "1001", "").await;
    muster_is(&school, "dorm 3a 1/0/0, east - 1/0/0, teaching 3a 1/1/0, teaching 3b 1/0/0").await;
    assert_eq!(school.cli_ok("muster", &["safe", "3b", "--as", "王老师"]).await, "3b: safe\n");
    let rows = "dorm 3a 1/0/0, east - 1/0/0, teaching 3a 1/1/0, teaching 3b 0/1/0";
    muster_is(&school, rows).await;

    daemon.kill().await;
    let daemon = school.start().await;
    daemon.connected().await;
    let again = muster_is(&school, rows).await;
    assert_eq!(again["since"], muster["since"], "it is the same one");
    let table = school.cli_ok("muster", &[]).await;
    assert!(table.starts_with("fire, since ") && table.contains("MISSING"), "{table}");

    let refused = order(&school, "/api/v1/muster/close", json!({"actor": "a"})).await;
    assert_eq!(refused.0, 409, "a fire holds it: {}", refused.1);
    broker.publish("zigbee2mqtt/smoke", br#"{"smoke":false}"#, &[]).await;
    let alarm = until("the detector is quiet", async || {
        let alarms = school.rows("/api/v1/alarms?open=true").await;
        alarms.iter().find(|alarm| alarm["class"] == "fire" && alarm["active"] == false).cloned()
    })
    .await;
    let id = alarm["id"].to_string();
    school.cli_ok("alarms", &["ack", &id, "--as", "王老师"]).await;
    school.cli_ok("alarms", &["reset", &id, "--as", "王老师"]).await;
    until("the muster is over", async || {
        school.get("/api/v1/muster").await["muster"].is_null().then_some(())
    })
    .await;
    let audit: Vec<String> =
        school.column("select action || ' ' || actor from audit where subject = 'muster' order by seq");
    assert_eq!(audit, ["muster_start gateway", "muster_safe 王老师", "muster_close gateway"]);
    assert_eq!(school.count("select count(*) from meta where key = 'muster' and value <> ''"), 0);
    assert_eq!(presence(&school).await, "dorm 1 east 5 teaching 3", "the cards outlive the kill");
}

#[tokio::test]
async fn a_drill_is_called_and_closed_by_people_and_wrong_orders_are_told() {
    let broker = Mosquitto::start().await;
    let school = school(&broker);
    let _daemon = school.start().await;
    let said = school.cli_ok("muster", &["start", "drill", "--as", "王老师", "--note", "second term"]).await;
    assert_eq!(said, "muster started: schoolgate muster\n");
    until("it is shown", async || school.cli_ok("muster", &[]).await.starts_with("drill").then_some(()))
        .await;
    let refused = school.cli("muster", &["start", "evacuation", "--as", "b"]).await;
    assert_eq!(refused.status.code(), Some(69));
    let refused = school.cli("muster", &["safe", "3-1", "--as", "b"]).await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("nobody of '3-1' is listed"));
    for (path, body, status) in [
        ("safe", json!({"actor": "a"}), 400),
        ("safe", json!({"actor": "a", "persons": ["张三"]}), 400),
        ("safe", json!({"actor": "a", "persons": ["0".repeat(32)]}), 404),
        ("safe", json!({"actor": "a", "group": "g", "persons": ["0".repeat(32)]}), 400),
        ("start", json!({"actor": "a", "cause": "fun"}), 400),
        ("close", json!({"actor": " "}), 400),
    ] {
        let answer = order(&school, &format!("/api/v1/muster/{path}"), body.clone()).await;
        assert_eq!(answer.0, status, "{path} {body}: {}", answer.1);
    }
    assert_eq!(school.cli_ok("muster", &["close", "--as", "王老师"]).await, "muster closed\n");
    let detail: Vec<String> = school.column("select detail from audit where subject = 'muster' order by seq");
    assert_eq!(detail, ["cause=drill listed=0 note=second term", "listed=0 safe=0 left=0 missing=0"]);
}

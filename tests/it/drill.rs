//! A drill through the real daemon: who is told of it, who is not, what a kill changes, and how it ends.

use crate::daemon::{School, device, mqtt_bus, until};
use crate::mosquitto::Mosquitto;
use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

type Told = Arc<Mutex<Vec<(String, Value)>>>;

/// A server that takes every message.
async fn hooks() -> (String, Told) {
    let told = Told::default();
    let take = async |Path(who): Path<String>, State(told): State<Told>, Json(message): Json<Value>| {
        told.lock().unwrap().push((who, message));
    };
    let router = Router::new().route("/{who}", post(take)).with_state(Arc::clone(&told));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}"), told)
}

/// The first message that somebody was told about an alarm.
async fn message(told: &Told, who: &str, alarm: u64) -> Value {
    until("somebody is told", async || {
        let told = told.lock().unwrap();
        let about =
            |message: &Value| message["alarms"].as_array().is_some_and(|ids| ids.contains(&json!(alarm)));
        told.iter().find(|(to, message)| to == who && about(message)).map(|(_, message)| message.clone())
    })
    .await
}

fn school(broker: &Mosquitto, base: &str) -> School {
    let channel = |id: &str, more: &str| {
        format!("[[channel]]\nid = '{id}'\nkind = 'webhook'\nurl = '{base}/{id}'\n{more}")
    };
    let platform = "[[destination]]\nid = 'city'\nkind = 'shield'\nbase_url = 'http://127.0.0.1:9/'\n\
                    app_id = 'test'\nsecret_file = 'secret'\n";
    let channels = channel("guard", "") + &channel("practice", "drill = true\n");
    let school =
        School::new(&(mqtt_bus(broker) + &device("help", "tuya-ts0215a", "help") + &channels + platform));
    let secret = school.config().with_file_name("secret");
    std::fs::write(&secret, "s3cret").expect("written");
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).expect("its bits");
    school
}

/// Runs a drill order that is refused; what was said.
async fn refused(school: &School, args: &[&str]) -> String {
    let output = school.cli("drill", args).await;
    assert_eq!(output.status.code(), Some(69), "{args:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const FIRE: [&str; 7] = ["alarm", "--class", "fire", "--place", "gate", "--as", "王老师"];

#[tokio::test]
async fn a_drill_reaches_its_own_channel_and_nobody_else_and_a_real_call_breaks_through() {
    let (broker, (base, told)) = (Mosquitto::start().await, hooks().await);
    let school = school(&broker, &base);
    let daemon = school.start().await;
    daemon.connected().await;
    assert!(refused(&school, &FIRE).await.contains("no drill is running"));
    assert!(refused(&school, &["stop", "--as", "王老师"]).await.contains("no drill is running"));
    let start = ["start", "--for", "2h", "--note", "消防演练", "--as", "王老师"];
    let said = school.cli_ok("drill", &start).await;
    assert!(said.contains("drill 1 is running until") && said.contains("by: practice"), "{said}");
    assert!(refused(&school, &start).await.contains("drill 1 is running"));
    let mut nowhere = FIRE;
    nowhere[4] = "moon";
    assert!(refused(&school, &nowhere).await.contains("there is no place 'moon'"));

    let said = school.cli_ok("drill", &FIRE).await;
    assert_eq!(said, "alarm 1: [DRILL] fire (simulated)\n");
    let practised = message(&told, "practice", 1).await;
    assert_eq!((&practised["drill"], &practised["priority"]), (&json!(true), &json!("critical")));
    assert_eq!(practised["title"], json!({"zh": "【演练】模拟火警", "en": "[DRILL] fire (simulated)"}));
    let alarm = school.get("/api/v1/alarms/1").await;
    assert_eq!((&alarm["drill"], &alarm["state"]), (&json!(true), &json!("B")), "{alarm}");
    assert!(school.cli_ok("alarms", &["list"]).await.contains("[DRILL] fire"));
    assert_eq!(school.get("/api/v1/muster").await["muster"], Value::Null, "nobody is mustered");

    // A person presses the button meanwhile: that is real until somebody says otherwise.
    broker.publish("zigbee2mqtt/help", br#"{"action":"emergency"}"#, &[]).await;
    let real = message(&told, "guard", 2).await;
    assert_eq!((&real["drill"], &real["class"]), (&json!(false), &json!("help")));
    until("only what is real is counted", async || {
        let running = school.metric("schoolgate_drill_running", "").await;
        let open = school.metric("schoolgate_alarms_open", "").await;
        (running == 1.0 && open == 1.0).then_some(())
    })
    .await;
    assert_eq!(school.metric("schoolgate_alarms_raised_total", "").await, 1.0);

    // A kill: the drill goes on, and what nobody took is told again where it was.
    daemon.kill().await;
    let daemon = school.start().await;
    message(&told, "practice", 1).await;
    message(&told, "guard", 2).await;
    let drill = school.get("/api/v1/drill").await;
    assert_eq!((&drill["drill"]["number"], &drill["drill"]["alarms"]), (&json!(1), &json!(1)), "{drill}");
    assert_eq!(drill["channels"], json!(["practice"]));
    school.cli_ok("alarms", &["ack", "1", "--as", "李老师"]).await;

    let said = school.cli_ok("drill", &["stop", "--as", "王老师", "--note", "完成"]).await;
    assert!(said.contains("drill 1 is over"), "{said}");
    let alarm = school.get("/api/v1/alarms/1").await;
    let steps: Vec<(&str, &str)> = alarm["history"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|step| (step["kind"].as_str().expect("a word"), step["actor"].as_str().expect("a name")))
        .collect();
    assert_eq!(steps, [("raised", "王老师"), ("acknowledged", "李老师"), ("closed", "王老师")]);
    until("none is shown", async || {
        school.cli_ok("drill", &["status"]).await.contains("no drill is running").then_some(())
    })
    .await;
    let audit = "select actor || ' ' || action || ' ' || subject from audit where action like 'drill%'";
    let audit: Vec<String> = school.column(audit);
    assert_eq!(
        audit,
        ["drill_start", "drill_alarm", "drill_stop"].map(|word| format!("王老师 {word} drill 1"))
    );
    // What is owed to the platform speaks of the real one alone.
    let owed: Vec<String> = school.column("select record from outbox where record like '%\"alarm\"%'");
    assert!(!owed.is_empty() && owed.iter().all(|record| record.contains("always.help")), "{owed:?}");
    let told = told.lock().unwrap();
    assert!(told.iter().all(|(who, message)| (who == "practice") == (message["drill"] == true)), "{told:?}");
    drop(daemon);
}

#[tokio::test]
async fn a_drill_ends_by_itself_also_over_a_kill() {
    let (broker, (base, told)) = (Mosquitto::start().await, hooks().await);
    let school = school(&broker, &base);
    let order = async |verb: &str, body: Value| {
        let url = school.url(&format!("/api/v1/drill/{verb}"));
        let answer = school.client().post(&url).json(&body).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    let over = async |alarm: u64| {
        until("its alarm is closed", async || {
            let alarm = school.get(&format!("/api/v1/alarms/{alarm}")).await;
            let last = alarm["history"].as_array()?.last()?.clone();
            (alarm["closed_at"].is_i64() && last["actor"] == "gateway").then_some(())
        })
        .await;
    };
    let start = |secs: u32| json!({"actor": "王老师", "note": "试一试", "for_secs": secs});
    let alarm = json!({"actor": "王老师", "class": "security", "place": "gate", "priority": "high", "what": "有人翻墙"});
    let daemon = school.start().await;
    for (verb, body, status) in [
        ("start", json!({"actor": "王老师", "note": " "}), 400),
        ("start", start(4 * 3600 + 1), 400),
        ("start", json!({"actor": "王老师"}), 400),
        ("alarm", alarm.clone(), 409),
        ("start", start(4), 200),
        ("start", start(4), 409),
        ("alarm", json!({"actor": "王老师", "class": "energy", "place": "gate"}), 400),
        ("alarm", alarm.clone(), 200),
    ] {
        let (found, answer) = order(verb, body.clone()).await;
        assert_eq!(found, status, "{verb} {body}: {answer}");
        assert!(status == 200 || answer["detail_zh"].is_string(), "{answer}");
    }
    message(&told, "practice", 1).await;
    over(1).await;
    assert_eq!(order("start", start(3)).await.0, 200);
    assert_eq!(order("alarm", alarm).await.0, 200);
    daemon.kill().await;
    let daemon = school.start().await;
    over(2).await;
    told.lock().unwrap().clear();
    until("no drill is running", async || {
        (school.get("/api/v1/drill").await["drill"] == Value::Null).then_some(())
    })
    .await;
    // What is told next is of the next drill: of the one that is over nobody heard any more.
    assert_eq!(order("start", start(600)).await.0, 200);
    let fire = json!({"actor": "王老师", "class": "fire", "place": "gate"});
    assert_eq!(order("alarm", fire).await.0, 200);
    message(&told, "practice", 3).await;
    assert!(told.lock().unwrap().iter().all(|(_, message)| message["alarms"] == json!([3])), "{told:?}");
    drop(daemon);
}

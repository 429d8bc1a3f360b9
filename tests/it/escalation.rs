//! A button is pressed and nobody comes: who is told by the real daemon, in which turn, and over two power cuts.

use crate::daemon::{Daemon, PATIENCE, School, device, mqtt_bus, until};
use crate::mosquitto::Mosquitto;
use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// From the press to the request (the broker included), and from the start to the repeat (A2).
const TOLD_WITHIN: Duration = Duration::from_secs(1);
const AGAIN_WITHIN: Duration = Duration::from_secs(2);
/// The second step of the ladder.
const STEP: Duration = Duration::from_secs(2);

type Told = Arc<Mutex<Vec<(String, Value, Instant)>>>;

/// A server that takes every message.
async fn hooks() -> (String, Told) {
    let told = Told::default();
    let take = async |Path(who): Path<String>, State(told): State<Told>, Json(message): Json<Value>| {
        told.lock().unwrap().push((who, message, Instant::now()));
    };
    let router = Router::new().route("/{who}", post(take)).with_state(Arc::clone(&told));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}"), told)
}

struct Scene {
    broker: Mosquitto,
    school: School,
    told: Told,
}

impl Scene {
    async fn new() -> Self {
        let (broker, (base, told)) = (Mosquitto::start().await, hooks().await);
        let devices = device("help", "tuya-ts0215a", "help") + &device("other", "tuya-ts0215a", "other");
        let channel = |id: &str| format!("[[channel]]\nid = '{id}'\nkind = 'webhook'\nurl = '{base}/{id}'\n");
        let ladder = format!(
            "[[ladder]]\nid = 'all'\n[[ladder.step]]\nchannels = ['guard']\n[[ladder.step]]\nafter_secs = {}\n\
             channels = ['head']\n",
            STEP.as_secs()
        );
        let field = mqtt_bus(&broker) + &devices + &channel("guard") + &channel("head") + &ladder;
        Self { broker, school: School::new(&field), told }
    }

    async fn press(&self, button: &str) -> Instant {
        let at = Instant::now();
        self.broker.publish(&format!("zigbee2mqtt/{button}"), br#"{"action":"emergency"}"#, &[]).await;
        at
    }

    async fn start(&self) -> Daemon<'_> {
        let daemon = self.school.start().await;
        daemon.connected().await;
        daemon
    }

    fn forget(&self) {
        self.told.lock().unwrap().clear();
    }

    /// The first message that somebody was told about an alarm.
    async fn told(&self, who: &str, alarm: u64) -> (Value, Instant) {
        until("somebody is told", async || {
            let told = self.told.lock().unwrap();
            let about =
                |message: &Value| message["alarms"].as_array().is_some_and(|ids| ids.contains(&json!(alarm)));
            let first = told.iter().find(|(to, message, _)| to == who && about(message));
            first.map(|(_, message, at)| (message.clone(), *at))
        })
        .await
    }
}

#[tokio::test]
async fn a02_nobody_takes_it_so_others_are_told_and_a_power_cut_changes_nothing() {
    let scene = Scene::new().await;
    let daemon = scene.start().await;
    // A subscription is there a little after the session: the first press shows that it is.
    let first = scene.press("help").await;
    let (message, at) = scene.told("guard", 1).await;
    assert_eq!(
        (message["occasion"].as_str(), message["priority"].as_str()),
        (Some("raised"), Some("critical"))
    );
    assert!(at - first < TOLD_WITHIN, "{:?}", at - first);
    let (message, later) = scene.told("head", 1).await;
    assert_eq!(message["occasion"], "escalated");
    let after = later - at;
    assert!(after + Duration::from_millis(200) > STEP && after < STEP + TOLD_WITHIN, "{after:?}");
    let kinds = async || {
        let alarm = scene.school.get("/api/v1/alarms/1").await;
        let steps = alarm["history"].as_array().cloned().unwrap_or_default();
        steps.iter().map(|step| step["kind"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    until("the step is written down", async || (kinds().await == ["raised", "escalated"]).then_some(()))
        .await;
    daemon.kill().await;

    scene.forget();
    let started = Instant::now();
    let daemon = scene.start().await;
    for who in ["guard", "head"] {
        let (_, at) = scene.told(who, 1).await;
        assert!(at - started < AGAIN_WITHIN, "{who} again after {:?}", at - started);
    }
    let url = scene.school.url("/api/v1/alarms/1/acknowledge");
    let taken = scene.school.client().post(url).json(&json!({"actor": "王老师"})).send().await.unwrap();
    assert!(taken.status().is_success());
    daemon.kill().await;

    scene.forget();
    let _daemon = scene.start().await;
    // What happens now comes through, and nothing of what was taken with it.
    scene.press("other").await;
    scene.told("guard", 2).await;
    scene.told("head", 2).await;
    let told = scene.told.lock().unwrap();
    assert!(told.iter().all(|(_, message, _)| message["alarms"] == json!([2])), "{told:?}");
}

#[tokio::test]
async fn who_calls_for_support_has_everybody_told_at_once_although_the_alarm_was_taken() {
    let scene = Scene::new().await;
    let school = &scene.school;
    let daemon = scene.start().await;
    scene.press("help").await;
    scene.told("guard", 1).await;
    school.cli_ok("alarms", &["ack", "1", "--as", "李老师"]).await;
    let told = school.cli_ok("alarms", &["support", "1", "--as", "王老师", "--note", "需要两人"]).await;
    assert!(told.contains("alarm 1 call for support made: latched, to be reset"), "{told}");
    let calls = || {
        let told = scene.told.lock().unwrap();
        let calls = told.iter().filter(|(_, message, _)| message["occasion"] == "support");
        calls.map(|(to, message, _)| (to.clone(), message.clone())).collect::<Vec<_>>()
    };
    until("both have heard", async || (calls().len() == 2).then_some(())).await;
    for (to, message) in calls() {
        assert_eq!((&message["alarms"], &message["priority"]), (&json!([1]), &json!("critical")), "{to}");
        let text = message.to_string();
        assert!(
            text.contains("请立即前往") && !text.contains("王老师") && !text.contains("需要两人"),
            "{text}"
        );
    }
    let alarm = until("it is written down that all have heard", async || {
        let alarm = school.get("/api/v1/alarms/1").await;
        alarm["support"]["told_at"].is_i64().then_some(alarm)
    })
    .await;
    assert_eq!((&alarm["support"]["by"], &alarm["support"]["note"]), (&json!("王老师"), &json!("需要两人")));
    assert_eq!(alarm["acknowledged"]["by"], "李老师");
    let kinds = |alarm: &Value| {
        let steps = alarm["history"].as_array().cloned().unwrap_or_default();
        steps.iter().map(|step| step["kind"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let steps = kinds(&alarm);
    let calls_told: Vec<&str> =
        steps.iter().map(String::as_str).filter(|kind| kind.contains("support")).collect();
    assert_eq!(calls_told, ["support_called", "support_told"]);
    // Pressed again at once it is the same call; what is not open is refused.
    let again = async |id: u64| {
        let url = school.url(&format!("/api/v1/alarms/{id}/support"));
        let answer = school.client().post(url).json(&json!({"actor": "李老师"})).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, stands) = again(1).await;
    assert_eq!((status, &stands["support"]), (200, &alarm["support"]));
    let (status, refused) = again(99).await;
    assert_eq!(status, 404);
    assert!(
        refused["detail_zh"].as_str().is_some_and(|zh| zh.contains("报警 99 不存在或已关闭")),
        "{refused}"
    );
    assert_eq!(kinds(&school.get("/api/v1/alarms/1").await), steps);
    let table = school.cli_ok("alarms", &["list"]).await;
    assert!(table.contains("latched, to be reset, help needed 20"), "{table}");
    let csv = school.data_dir().join("alarms.csv");
    let file = csv.to_str().unwrap();
    school
        .cli_ok(
            "db",
            &[
                "export",
                "--what",
                "alarms",
                "--from",
                "2020-01-01",
                "--to",
                "2100-01-01",
                "--format",
                "csv",
                "--out",
                file,
            ],
        )
        .await;
    let csv = std::fs::read_to_string(&csv).unwrap();
    assert!(csv.contains("support_by,support_at,support_note") && csv.contains(",王老师,20"), "{csv}");
    daemon.kill().await;

    scene.forget();
    let _daemon = scene.start().await;
    scene.press("other").await;
    scene.told("guard", 2).await;
    assert_eq!(calls(), [], "everybody had it");
}

#[tokio::test]
async fn a_clean_stop_does_not_wait_for_somebody_who_never_answers() {
    let broker = Mosquitto::start().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hook = format!(
        "[[channel]]\nid = 'hook'\nkind = 'webhook'\nurl = 'http://{}/'\n",
        silent.local_addr().unwrap()
    );
    let school = School::new(&(mqtt_bus(&broker) + &device("help", "tuya-ts0215a", "help") + &hook));
    let daemon = school.start().await;
    daemon.connected().await;
    broker.publish("zigbee2mqtt/help", br#"{"action":"emergency"}"#, &[]).await;
    let asked = tokio::time::timeout(PATIENCE, silent.accept()).await.expect("asked").unwrap();
    let (status, took) = daemon.terminate().await;
    assert!(status.success() && took < Duration::from_secs(2), "{status} after {took:?}");
    drop(asked);
}

//! A help button is pressed: the alarm through the real daemon, its API and command line, and a power cut between.

use crate::daemon::{Daemon, School, device, mqtt_bus, until};
use crate::mosquitto::Mosquitto;
use reqwest::header::{CONTENT_TYPE, HOST, ORIGIN};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

const BUTTON: &str = "zigbee2mqtt/help";
const PRESSED: &[u8] = br#"{"action":"emergency","battery":97}"#;
/// From the press to an alarm that everyone can see (the broker, the commit and the page included).
const ALARM_WITHIN: Duration = Duration::from_secs(1);

struct Scene {
    broker: Mosquitto,
    school: School,
}

impl Scene {
    async fn new() -> Self {
        let broker = Mosquitto::start().await;
        let devices = device("help", "tuya-ts0215a", "help") + &device("th", "aqara-wsdcgq11lm", "th");
        let school = School::new(&(mqtt_bus(&broker) + &devices));
        Self { broker, school }
    }

    /// A daemon whose subscriptions are there.
    async fn listening(&self) -> Daemon<'_> {
        let daemon = self.school.start().await;
        daemon.connected().await;
        until("the button is heard", async || {
            self.broker.publish(BUTTON, br#"{"battery":98}"#, &[]).await;
            (self.school.metric("schoolgate_readings_total", "").await > 0.0).then_some(())
        })
        .await;
        daemon
    }

    async fn open(&self) -> Vec<Value> {
        self.school.rows("/api/v1/alarms?open=true").await
    }

    /// The only open alarm, once there is one.
    async fn alarm(&self) -> Value {
        let open = until("an alarm is open", async || {
            let open = self.open().await;
            (!open.is_empty()).then_some(open)
        })
        .await;
        assert_eq!(open.len(), 1, "{open:?}");
        open[0].clone()
    }
}

#[tokio::test]
async fn help_is_latched_until_a_person_acknowledges_and_resets_it_and_a_power_cut_changes_nothing() {
    let scene = Scene::new().await;
    let school = &scene.school;
    let daemon = scene.listening().await;
    scene.broker.publish(BUTTON, PRESSED, &[]).await;
    let pressed = Instant::now();
    let alarm = scene.alarm().await;
    assert!(pressed.elapsed() < ALARM_WITHIN, "{:?}", pressed.elapsed());
    let id = alarm["id"].to_string();
    for (field, expected) in [
        ("class", Value::from("help")),
        ("priority", "critical".into()),
        ("device", "help".into()),
        ("place", "gate".into()),
        ("latched", true.into()),
        ("state", "E".into()),
    ] {
        assert_eq!(alarm[field], expected, "{field} of {alarm}");
    }
    // The button's own reset of its state ends nothing.
    scene.broker.publish(BUTTON, br#"{"action":"","battery":96}"#, &[]).await;
    until("the button's next message", async || {
        (school.get("/api/v1/devices/help").await["points"]["battery"]["value"] == 96.0).then_some(())
    })
    .await;
    let raised = alarm["raised_at"].as_i64().expect("a time");
    let span = format!("from={}&to={}", raised - 3_600_000, raised + 3_600_000);
    let minutes = format!("/api/v1/rollups?level=minute&device=help&point=battery&{span}");
    until("the minute of the press", async || {
        let rows = school.get(&minutes).await["rows"].take();
        rows.as_array()?.last().filter(|minute| minute["last"] == 96.0).map(drop)
    })
    .await;
    let table = school.cli_ok("alarms", &["list"]).await;
    assert!(table.lines().count() == 2 && table.contains("critical") && table.contains("help"), "{table}");
    let early = school.cli("alarms", &["reset", &id, "--as", "李保安"]).await;
    assert_eq!(early.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&early.stderr).contains("acknowledge it first"));

    daemon.kill().await;
    let daemon = scene.listening().await;
    assert_eq!(scene.alarm().await, alarm, "as it was");
    let told = school.cli_ok("alarms", &["ack", &id, "--as", "王老师", "--note", "去门口看看"]).await;
    assert!(told.contains("acknowledged: latched, to be reset"), "{told}");

    daemon.kill().await;
    let daemon = scene.listening().await;
    let second = school.cli("alarms", &["ack", &id, "--as", "李保安"]).await;
    assert_eq!(second.status.code(), Some(69));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("acknowledged already, by 王老师 at 20"), "{said}");
    let told = school.cli_ok("alarms", &["reset", &id, "--as", "李保安"]).await;
    assert!(told.contains("over"), "{told}");

    daemon.kill().await;
    let daemon = school.start().await;
    assert_eq!(scene.open().await, Vec::<Value>::new());
    let alarm = school.get(&format!("/api/v1/alarms/{id}")).await;
    let steps = alarm["history"].as_array().expect("a history");
    let told =
        |step: &Value| ["kind", "actor", "note"].map(|k| step[k].as_str().expect(k).to_owned()).join("|");
    let steps_told: Vec<String> = steps.iter().map(told).collect();
    assert_eq!(
        steps_told,
        ["raised|gateway|", "acknowledged|王老师|去门口看看", "reset|李保安|", "closed|gateway|"]
    );
    let times: Vec<i64> = steps.iter().map(|step| step["at"].as_i64().expect("a time")).collect();
    assert!(times.is_sorted() && times[0] > 1_704_067_200_000, "{times:?}");
    assert_eq!(alarm["acknowledged"]["at"], times[1]);
    assert_eq!(alarm["reset"]["by"], "李保安");
    let all = school.cli_ok("alarms", &["list", "--all"]).await;
    assert!(all.contains("王老师"), "{all}");
    let (status, _) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    let silent = school.cli("alarms", &["list"]).await;
    assert_eq!(silent.status.code(), Some(69), "the gateway does not answer");
    assert!(String::from_utf8_lossy(&silent.stderr).contains("is it running?"));
}

#[tokio::test]
async fn a_retained_press_told_again_at_a_restart_is_kept_but_raises_nothing() {
    let scene = Scene::new().await;
    let school = &scene.school;
    let daemon = scene.listening().await;
    scene.broker.publish(BUTTON, PRESSED, &["-r"]).await;
    let id = scene.alarm().await["id"].to_string();
    school.cli_ok("alarms", &["ack", &id, "--as", "王老师"]).await;
    school.cli_ok("alarms", &["reset", &id, "--as", "王老师"]).await;
    daemon.terminate().await;

    let _daemon = school.start().await;
    let again = until("the broker tells it again", async || {
        let events = school.rows("/api/v1/events?kind=help").await;
        (events.len() == 2).then(|| events[0].clone())
    })
    .await;
    assert_eq!(again["retained"], true, "{again}");
    assert_eq!(scene.open().await, Vec::<Value>::new());
    assert_eq!(school.rows("/api/v1/alarms").await.len(), 1);
    // A press that happens now is another matter.
    scene.broker.publish(BUTTON, PRESSED, &[]).await;
    assert_ne!(scene.alarm().await["id"].to_string(), id);
}

#[tokio::test]
async fn a09_of_many_who_acknowledge_at_once_one_does_and_all_see_who_and_when() {
    let scene = Scene::new().await;
    let school = &scene.school;
    let _daemon = scene.listening().await;
    scene.broker.publish(BUTTON, PRESSED, &[]).await;
    let id = scene.alarm().await["id"].to_string();
    let url = school.url(&format!("/api/v1/alarms/{id}/acknowledge"));
    let ask = async |n: u32| {
        let order = json!({"actor": format!("guard {n}")});
        let answer = school.client().post(&url).json(&order).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    let answers = futures_util::future::join_all((0..8).map(&ask)).await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(status, _)| *status == 200);
    assert_eq!((done.len(), refused.len()), (1, 7), "{refused:?}");
    let first = done[0].1["acknowledged"]["by"].as_str().expect("a name");
    for (status, problem) in refused {
        let detail = problem["detail"].as_str().expect("a text");
        assert!(status == 409 && detail.contains(&format!("by {first} at 20")), "{status} {problem}");
    }
    let alarm = school.get(&format!("/api/v1/alarms/{id}")).await;
    assert_eq!(alarm["history"].as_array().map(Vec::len), Some(2), "{alarm}");
    assert_eq!(alarm["acknowledged"], done[0].1["acknowledged"], "and everybody sees the same");
    // A phone that was offline gives its order again: it is told the same, and nothing changes.
    let (status, problem) = ask(0).await;
    let detail = problem["detail"].as_str().expect("a text");
    assert!(status == 409 && detail.contains(&format!("by {first} at 20")), "{status} {problem}");
    assert_eq!(school.get(&format!("/api/v1/alarms/{id}")).await, alarm);
}

#[tokio::test]
async fn requests_that_are_not_meant_for_this_machine_or_not_understood_are_refused() {
    let scene = Scene::new().await;
    let school = &scene.school;
    let _daemon = scene.listening().await;
    scene.broker.publish(BUTTON, PRESSED, &[]).await;
    let id = scene.alarm().await["id"].to_string();
    let (list, ack) = (school.url("/api/v1/alarms"), school.url(&format!("/api/v1/alarms/{id}/acknowledge")));
    let web = school.client();
    let json_type = "application/json";
    let body = r#"{"actor":"evil"}"#;
    let long = format!(r#"{{"actor":"evil","note":"{}"}}"#, "x".repeat(20_000));
    let requests = [
        ("a foreign host", web.get(&list).header(HOST, "school.example"), 421),
        (
            "a foreign host for the metrics",
            web.get(school.url("/metrics")).header(HOST, "evil.example:80"),
            421,
        ),
        ("a page of another origin", web.get(&list).header(ORIGIN, "https://evil.example"), 403),
        (
            "an order from a page of another origin",
            web.post(&ack).header(CONTENT_TYPE, json_type).header(ORIGIN, "http://evil.example").body(body),
            403,
        ),
        ("an order that is a form", web.post(&ack).header(CONTENT_TYPE, "text/plain").body(body), 415),
        ("an order without a type", web.post(&ack).body(body), 415),
        ("an unknown query key", web.get(format!("{list}?opne=true")), 400),
        ("a query of the wrong type", web.get(format!("{list}?limit=many")), 400),
        ("a device that cannot exist", web.get(school.url("/api/v1/events?device=%2e%2e%2f")), 400),
        (
            "minutes of every point",
            web.get(school.url("/api/v1/rollups?level=minute&device=help&from=0&to=60000")),
            400,
        ),
        (
            "minutes of more than a day",
            web.get(school.url("/api/v1/rollups?level=minute&device=help&point=battery&from=0&to=99999999")),
            400,
        ),
        ("a level that is not", web.get(school.url("/api/v1/rollups?level=second")), 400),
        ("nobody's order", web.post(&ack).header(CONTENT_TYPE, json_type).body(r#"{"actor":"  "}"#), 400),
        (
            "an order with an unknown key",
            web.post(&ack).header(CONTENT_TYPE, json_type).body(r#"{"who":"x"}"#),
            400,
        ),
        ("a body that is too large", web.post(&ack).header(CONTENT_TYPE, json_type).body(long), 413),
        ("half an order", web.post(&ack).header(CONTENT_TYPE, json_type).body(r#"{"actor":"#), 400),
        ("an alarm that is not", web.get(school.url("/api/v1/alarms/999")), 404),
        ("an alarm without a number", web.get(school.url("/api/v1/alarms/first")), 404),
        ("a path that is not", web.get(school.url("/api/v2/alarms")), 404),
        ("a method that is not", web.delete(&list), 405),
    ];
    for (what, request, status) in requests {
        let answer = request.send().await.expect(what);
        assert_eq!(answer.status(), status, "{what}");
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        assert_eq!(kind.as_deref(), Some("application/problem+json"), "{what}");
        let problem: Value = answer.json().await.expect(what);
        assert_eq!(problem["status"], status, "{what}: {problem}");
        assert!(problem["detail"].is_string() && problem["detail_zh"].is_string(), "{what}: {problem}");
    }
    assert_eq!(scene.alarm().await["acknowledged"], Value::Null, "nothing of it was done");
    let good = web
        .post(&ack)
        .header(CONTENT_TYPE, json_type)
        .body(r#"{"actor":"王老师"}"#)
        .send()
        .await
        .expect("it");
    assert_eq!(good.status(), 200);
}

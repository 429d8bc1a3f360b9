//! Shelves, areas and hazards through the real daemon, its API and command line.

use crate::daemon::{Daemon, School, device, mqtt_bus, until};
use crate::mosquitto::Mosquitto;
use crate::rig::root;
use serde_json::{Value, json};
use std::path::Path;

const AREA: &str = "[[area]]\nid = 'campus'\nname = '校园'\nplaces = ['gate']\nexit_secs = 0\n";

struct Scene {
    broker: Mosquitto,
    school: School,
}

impl Scene {
    async fn new() -> Self {
        let broker = Mosquitto::start().await;
        let devices = device("help", "tuya-ts0215a", "help") + &device("door", "aqara-mccgq11lm", "door");
        let rule = "[[rule]]\nid = 'door-open'\nkind = 'event'\nevent = 'contact'\ndevices = ['door']\n\
                    alarm_class = 'intrusion'\n";
        let school = School::new(&(mqtt_bus(&broker) + &devices + rule + AREA));
        Self { broker, school }
    }

    async fn listening(&self) -> Daemon<'_> {
        let daemon = self.school.start().await;
        daemon.connected().await;
        until("the button is heard", async || {
            self.broker.publish("zigbee2mqtt/help", br#"{"battery":98}"#, &[]).await;
            (self.school.metric("schoolgate_readings_total", "").await > 0.0).then_some(())
        })
        .await;
        daemon
    }

    async fn order(&self, path: &str, order: Value) -> (u16, Value) {
        let url = self.school.url(&format!("/api/v1/{path}"));
        let answer = self.school.client().post(&url).json(&order).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    async fn door(&self, open: bool) {
        let message = format!(r#"{{"contact":{}}}"#, !open);
        self.broker.publish("zigbee2mqtt/door", message.as_bytes(), &[]).await;
    }

    async fn alarm_of(&self, rule: &str) -> Value {
        until("the alarm is open", async || {
            let open = self.school.rows("/api/v1/alarms?open=true").await;
            open.into_iter().find(|alarm| alarm["key"]["rule"] == rule)
        })
        .await
    }

    async fn area(&self) -> Value {
        self.school.rows("/api/v1/areas").await.remove(0)
    }
}

#[tokio::test]
async fn a07_a_call_for_help_cannot_be_shelved_and_who_tried_is_in_the_audit_trail() {
    let scene = Scene::new().await;
    let _daemon = scene.listening().await;
    scene.broker.publish("zigbee2mqtt/help", br#"{"action":"emergency"}"#, &[]).await;
    let id = scene.alarm_of("always.help").await["id"].to_string();
    for (verb, order) in [
        ("shelve", json!({"actor": "guard", "note": "it disturbs", "for_secs": 60})),
        ("out-of-service", json!({"actor": "guard", "note": "it disturbs"})),
    ] {
        let (status, problem) = scene.order(&format!("alarms/{id}/{verb}"), order).await;
        assert_eq!(status, 403, "{problem}");
        let text = |key: &str| problem[key].as_str().expect("a text").to_owned();
        assert!(
            text("detail").contains("never shelved") && text("detail_zh").contains("不得搁置"),
            "{problem}"
        );
    }
    let refused: Vec<String> =
        scene.school.column("select actor || ' ' || subject from audit where action = 'refused'");
    assert_eq!(refused, vec![format!("guard alarm {id}"); 2]);
    assert_eq!(scene.alarm_of("always.help").await["announced"], true);
}

#[tokio::test]
async fn an_area_is_armed_over_an_open_door_only_with_force_and_stands_so_after_a_power_cut() {
    let scene = Scene::new().await;
    let mut daemon = scene.listening().await;
    scene.door(true).await;
    until("the open door is known", async || {
        (scene.area().await["open"].as_array().map(Vec::len) == Some(1)).then_some(())
    })
    .await;
    assert_eq!(scene.school.rows("/api/v1/alarms").await.len(), 0, "it is no alarm while disarmed");
    let (status, problem) = scene.order("areas/campus/arm", json!({"actor": "guard"})).await;
    assert!(status == 409 && problem["detail"].as_str().is_some_and(|d| d.contains("door")), "{problem}");
    let said = scene.school.cli_ok("areas", &["arm", "campus", "--as", "guard", "--force"]).await;
    assert!(said.contains("door"), "{said}");
    daemon.kill().await;
    daemon = scene.listening().await;
    let area = scene.area().await;
    assert_eq!((&area["mode"], &area["by"]), (&json!("armed"), &json!("guard")), "{area}");
    assert_eq!(area["bypassed"].as_array().map(Vec::len), Some(1), "{area}");
    // It closes, and the next time it is an alarm.
    scene.door(false).await;
    until("the closed door is known", async || {
        (scene.area().await["bypassed"].as_array().map(Vec::len) == Some(0)).then_some(())
    })
    .await;
    scene.door(true).await;
    let id = scene.alarm_of("door-open").await["id"].to_string();
    // Disarmed, it sounds no longer and nobody has lost it.
    let (status, area) = scene.order("areas/campus/disarm", json!({"actor": "guard"})).await;
    assert_eq!((status, &area["mode"]), (200, &json!("disarmed")));
    let alarm = scene.alarm_of("door-open").await;
    assert_eq!((&alarm["state"], &alarm["announced"]), (&json!("H"), &json!(false)), "{alarm}");
    let (status, problem) = scene.order(&format!("alarms/{id}/unshelve"), json!({"actor": "guard"})).await;
    assert_eq!(status, 409, "{problem}");
    daemon.terminate().await;
}

#[tokio::test]
async fn a_shelf_a_confirmation_and_a_hazard_are_there_after_a_power_cut() {
    let scene = Scene::new().await;
    let school = &scene.school;
    let mut daemon = scene.listening().await;
    scene.order("areas/campus/arm", json!({"actor": "guard"})).await;
    scene.door(true).await;
    let id = scene.alarm_of("door-open").await["id"].to_string();
    for (what, path, order, status) in [
        ("no reason", "shelve", json!({"actor": "g", "for_secs": 60}), 400),
        ("no span", "shelve", json!({"actor": "g", "note": "x"}), 400),
        ("too long", "shelve", json!({"actor": "g", "note": "x", "for_secs": 90_000}), 400),
        (
            "a key of another order",
            "shelve",
            json!({"actor": "g", "note": "x", "for_secs": 60, "force": true}),
            400,
        ),
        ("no such order", "silence", json!({"actor": "g"}), 404),
        ("before it was taken", "confirm", json!({"actor": "g", "result": "real"}), 409),
        ("no such result", "confirm", json!({"actor": "g", "result": "maybe"}), 400),
    ] {
        let (found, problem) = scene.order(&format!("alarms/{id}/{path}"), order).await;
        assert_eq!(found, status, "{what}: {problem}");
        assert!(problem["detail"].is_string() && problem["detail_zh"].is_string(), "{what}: {problem}");
    }
    let shelve = ["shelve", &id, "--as", "王老师", "--for", "2h", "--note", "换锁"];
    school.cli_ok("alarms", &shelve).await;
    school.cli_ok("alarms", &["ack", &id, "--as", "王老师"]).await;
    school.cli_ok("alarms", &["confirm", &id, "--as", "王老师", "--result", "nuisance"]).await;
    school.cli_ok("hazards", &["find", "门锁松动", "--alarm", &id, "--as", "李老师"]).await;
    school.cli_ok("hazards", &["check", "1", "--as", "李老师", "--note", "锁舌磨损"]).await;
    daemon.kill().await;
    daemon = scene.listening().await;
    let alarm = school.get(&format!("/api/v1/alarms/{id}")).await;
    assert_eq!((&alarm["state"], &alarm["shelved"]["by"]), (&json!("G"), &json!("王老师")), "{alarm}");
    assert_eq!(
        (&alarm["shelved"]["note"], &alarm["confirmed"]["truth"]),
        (&json!("换锁"), &json!("nuisance"))
    );
    let hazard = school.get("/api/v1/hazards/1").await;
    assert_eq!((&hazard["stage"], &hazard["place"]), (&json!("checked"), &json!("gate")), "{hazard}");
    let (status, _) = scene.order("hazards/1/closed", json!({"actor": "g", "note": "x"})).await;
    assert_eq!(status, 409, "one step after the other");
    for verb in ["handle", "close"] {
        school.cli_ok("hazards", &[verb, "1", "--as", "李老师", "--note", "已更换"]).await;
    }
    assert_eq!(school.rows("/api/v1/hazards?open=true").await.len(), 0);
    let steps = school.count("select count(*) from audit where action = 'hazard' and subject = 'hazard 1'");
    assert_eq!(steps, 4);
    school.cli_ok("alarms", &["unshelve", &id, "--as", "王老师"]).await;
    assert_eq!(scene.alarm_of("door-open").await["announced"], true);
    daemon.terminate().await;
}

/// The table of cases in the manual names tests that there are, for each of A1 to A12.
#[test]
fn the_manual_names_a_test_for_each_case() {
    fn sources(dir: &Path, all: &mut String) {
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                sources(&path, all);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                *all += &std::fs::read_to_string(&path).expect("a source");
            }
        }
    }
    let mut all = String::new();
    ["src", "tests/it"].iter().for_each(|dir| sources(&root().join(dir), &mut all));
    let manual = std::fs::read_to_string(root().join("docs/alarms.md")).expect("the manual");
    for case in 1..=12 {
        let row = manual.lines().find(|line| line.starts_with(&format!("| A{case} |"))).expect("a row");
        let named: Vec<&str> = row.split('`').filter(|word| word.contains('_')).collect();
        assert!(named.iter().any(|name| name.starts_with(&format!("a{case:02}_"))), "A{case}: {named:?}");
        for name in named {
            assert!(all.contains(&format!("fn {name}()")), "A{case}: there is no test {name}");
        }
    }
}

//! The description of the API: judged by a validator that nobody here wrote, and tried by a program that asks whatever
//! it lets through (schemathesis).

use crate::daemon::{School, device, mqtt_bus, until};
use crate::mosquitto::Mosquitto;
use crate::pymodbus::python;
use crate::torture::scale;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// All of the asking, seconds.
const ASKING_SECS: usize = 50;

#[tokio::test]
async fn the_description_is_one_by_the_rules_of_openapi() {
    let school = School::new("");
    let _daemon = school.start().await;
    let document = school.get("/api/v1/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"].as_object().unwrap().len() > 40);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("openapi.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let output =
        Command::new(python()).args(["-m", "openapi_spec_validator"]).arg(&file).output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[tokio::test]
async fn whatever_the_description_lets_through_ends_in_no_server_error_and_answers_are_as_described() {
    let broker = Mosquitto::start().await;
    let devices = device("help", "tuya-ts0215a", "help") + &device("th", "aqara-wsdcgq11lm", "th");
    let school = School::new(&(mqtt_bus(&broker) + &devices));
    let daemon = school.start().await;
    daemon.connected().await;
    // Something that may be asked for by its number.
    until("there is an alarm", async || {
        broker.publish("zigbee2mqtt/help", br#"{"action":"emergency","battery":97}"#, &[]).await;
        (!school.rows("/api/v1/alarms").await.is_empty()).then_some(())
    })
    .await;
    let secs = scale("ASKING_SECS", ASKING_SECS, 600) as u64;
    let dir = tempfile::tempdir().unwrap();
    let known = "[parameters]\n\"path.id\" = [\"help\", \"1\", \"gate\"]\n";
    std::fs::write(dir.path().join("schemathesis.toml"), known).unwrap();
    let mut asking = Command::new(python());
    asking.current_dir(dir.path()).kill_on_drop(true);
    asking.args(["-m", "schemathesis.cli", "run", &school.url("/api/v1/openapi.json")]);
    asking.args(["--checks", "not_a_server_error,response_schema_conformance,content_type_conformance"]);
    // A stream has no end; what is asked of the session would end it.
    asking.args(["--exclude-path-regex", "^/api/v1/(stream|session)"]);
    asking.args(["--phases", "coverage,fuzzing", "--max-examples", "20", "--workers", "2", "--seed", "7"]);
    asking.args([
        "--max-time",
        &secs.to_string(),
        "--request-timeout",
        "20",
        "--suppress-health-check",
        "all",
    ]);
    asking.args(["--continue-on-failure", "--warnings", "off"]);
    if let Ok(token) = std::fs::read_to_string(school.data_dir().join("local.token")) {
        asking.args(["--header", &format!("Authorization: Bearer {}", token.trim())]);
    }
    let output = timeout(Duration::from_secs(4 * secs), asking.output()).await.expect("it ends").unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // It did ask: the daemon counts what it was asked, and it still answers.
    assert!(said.contains("generated"), "{said}");
    school.get("/api/v1/devices").await;
}

//! The first run: a gateway without a configuration is claimed, set up through the API, and starts in the same process.

use crate::daemon::until;
use crate::rig::{free_port, root, signal};
use reqwest::{Certificate, Client};
use schoolgate::runtime::tls::install_provider;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
/// What must be nowhere on the disk or in the log.
const CANARY: &str = "canary-7f3a-secret";

struct Machine {
    dir: TempDir,
    child: Child,
    http: u16,
    door: u16,
}

impl Machine {
    fn start() -> Self {
        install_provider();
        let dir = tempfile::tempdir().unwrap();
        let (http, door) = (free_port(), free_port());
        let child = Self::launch(dir.path(), http, door);
        Self { dir, child, http, door }
    }

    fn launch(dir: &Path, http: u16, door: u16) -> Child {
        let log = File::options().create(true).append(true).open(dir.join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_schoolgate"));
        command.args(["run", "--config"]).arg(dir.join("none/gateway.toml"));
        command.arg("--setup-listen").arg(format!("127.0.0.1:{door}"));
        command.arg("--setup-http").arg(format!("127.0.0.1:{http}"));
        command.arg("--setup-profiles").arg(root().join("device-profiles"));
        command.env("STATE_DIRECTORY", dir.join("state")).env("LC_ALL", "C");
        command.env_remove("NOTIFY_SOCKET").env_remove("CREDENTIALS_DIRECTORY").env_remove("SCHOOLGATE_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true).spawn().unwrap()
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    fn at(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.door)
    }

    async fn client(&self) -> Client {
        let plain = Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        let ca = until("the certificate of its authority", async || {
            let answer = plain.get(format!("http://127.0.0.1:{}/ca.crt", self.http)).send().await.ok()?;
            answer.status().is_success().then_some(answer)?.bytes().await.ok()
        })
        .await;
        let ca = Certificate::from_pem(&ca).unwrap();
        let client =
            Client::builder().no_proxy().pool_max_idle_per_host(0).tls_certs_merge([ca]).timeout(PATIENCE);
        client.build().unwrap()
    }

    fn token(&self) -> String {
        fs::read_to_string(self.state().join("local.token")).unwrap().trim().to_owned()
    }

    async fn post(&self, client: &Client, path: &str, body: &Value) -> (u16, Value) {
        let request = client.post(self.at(path)).bearer_auth(self.token()).json(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

fn draft() -> Value {
    json!({
        "site": {"gateway": "gw-1", "name": "测试小学"},
        "places": [{"id": "gate", "kind": "room", "name": "配电室"}],
        "buses": [{"id": "m", "kind": "modbus-tcp", "host": "192.0.2.7"}],
        "devices": [{"id": "meter", "profile": "chint-dtsu666", "bus": "m", "address": 1, "place": "gate", "ct": 40, "pt": 1}],
        "rules": [],
        "destination": {"id": "city", "kind": "shield", "base_url": "https://192.0.2.9/", "app_id": "a", "secret": CANARY},
    })
}

/// Every file below a directory that holds the canary.
fn holding(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path));
        } else if fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(CANARY.len()).any(|part| part == CANARY.as_bytes()))
        {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn a_box_without_a_configuration_is_set_up_and_starts_in_the_same_process() {
    let mut gateway = Machine::start();
    let client = gateway.client().await;
    let stands = client.get(gateway.at("/api/v1/setup")).send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(stands, json!({"needed": true, "step": "claim"}));
    let barred = client.post(gateway.at("/api/v1/setup/apply")).json(&draft()).send().await.unwrap().status();
    assert!(matches!(barred.as_u16(), 401 | 403), "{barred}");

    let mut wrong = draft();
    wrong["site"]["name"] = json!("");
    wrong["devices"][0]["place"] = json!("nowhere");
    wrong["buses"][0]["ca_file"] = json!("/etc/shadow");
    let (status, told) = gateway.post(&client, "/api/v1/setup/check", &wrong).await;
    let fields: Vec<&str> =
        told["problems"].as_array().unwrap().iter().map(|one| one["field"].as_str().unwrap()).collect();
    assert_eq!(status, 200);
    for field in ["site.name", "devices[0].place", "buses[0].ca_file"] {
        assert!(fields.contains(&field), "{field}: {told}");
    }
    let (status, _) = gateway.post(&client, "/api/v1/setup/apply", &wrong).await;
    assert_eq!((status, gateway.state().join("config").exists()), (422, false));

    let asked = json!({"devices": [{"id": "meter", "profile": "chint-dtsu666"}]});
    let (_, fitting) = gateway.post(&client, "/api/v1/setup/rules", &asked).await;
    let rows = fitting["rows"].as_array().unwrap();
    assert!(!rows.is_empty(), "{fitting}");
    let mut good = draft();
    good["rules"] = rows.iter().map(|row| row["rule"].clone()).collect();
    let (status, told) = gateway.post(&client, "/api/v1/setup/check", &good).await;
    assert_eq!((status, &told), (200, &json!({"problems": []})));

    let process = gateway.child.id().unwrap();
    let (status, _) = gateway.post(&client, "/api/v1/setup/apply", &good).await;
    assert_eq!(status, 202);
    until("the gateway runs with its configuration", async || {
        let answer = client.get(gateway.at("/api/v1/setup")).send().await.ok()?.json::<Value>().await.ok()?;
        (answer == json!({"needed": false, "step": "done"})).then_some(())
    })
    .await;
    assert_eq!(gateway.child.id(), Some(process));
    assert!(gateway.child.try_wait().unwrap().is_none(), "it is the same process");
    let device =
        client.get(gateway.at("/api/v1/devices/meter")).bearer_auth(gateway.token()).send().await.unwrap();
    assert_eq!(device.status().as_u16(), 200);
    let (status, _) = gateway.post(&client, "/api/v1/setup/apply", &good).await;
    assert_eq!(status, 409, "it is set up");

    assert_eq!(holding(gateway.dir.path()), Vec::<PathBuf>::new(), "the secret is nowhere, the log included");
    let sealed = fs::read_to_string(gateway.state().join("config/secrets/city-secret")).unwrap();
    assert!(sealed.starts_with("schoolgate-sealed:v1:"));

    // The next start finds the configuration by itself.
    signal("TERM", process);
    let ended = timeout(PATIENCE, gateway.child.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(0), "{}", gateway.log());
    gateway.child = Machine::launch(gateway.dir.path(), gateway.http, gateway.door);
    let client = gateway.client().await;
    let stands = client.get(gateway.at("/api/v1/setup")).send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(stands["needed"], json!(false));
}

#[tokio::test]
async fn a_configuration_that_is_broken_starts_no_wizard() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("gateway.toml"), "[site]\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_schoolgate"));
    command.arg("run").arg("--config").arg(dir.path().join("gateway.toml"));
    let output = command.env("STATE_DIRECTORY", dir.path().join("state")).kill_on_drop(true).output();
    let output = timeout(PATIENCE, output).await.expect("it ends").unwrap();
    assert_eq!(output.status.code(), Some(64));
}

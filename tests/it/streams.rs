//! The camera and terminal of `tests/peers/streams.py`; killed when dropped.

use crate::daemon::{PATIENCE, until};
use schoolgate::config::Login;
use schoolgate::model::Secret;
use schoolgate::runtime::Tasks;
use serde_json::{Value, json};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

pub struct Streams {
    _child: Child,
    orders: ChildStdin,
    port: u16,
    told: Arc<Mutex<Vec<Value>>>,
    _tasks: Tasks,
}

impl Streams {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With arguments of the script.
    pub async fn start_with(args: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/streams.py");
        let mut child = Command::new("python3")
            .arg(script)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("starting python3");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = timeout(PATIENCE, lines.next_line()).await.expect("it is up in time").unwrap();
        let port = port.expect("streams.py runs").parse().expect("its port");
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&told);
        let mut tasks = Tasks::new();
        tasks.spawn("listener", async move {
            while let Ok(Some(line)) = lines.next_line().await {
                kept.lock().unwrap().push(serde_json::from_str(&line).expect("JSON"));
            }
        });
        Self { orders: child.stdin.take().unwrap(), _child: child, port, told, _tasks: tasks }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn login(password: &str) -> Login {
        Login { username: "admin".into(), password: Secret::from_file_text(password) }
    }

    pub async fn order(&mut self, order: Value) {
        self.orders.write_all(format!("{order}\n").as_bytes()).await.expect("it reads");
    }

    /// A part of every stream.
    pub async fn send(&mut self, part: &str) {
        self.order(json!({"send": part})).await;
    }

    /// Every request so far.
    pub fn told(&self) -> Vec<Value> {
        self.told.lock().unwrap().clone()
    }

    /// Waits for the `n`th stream to be opened.
    pub async fn opened(&self, n: usize) {
        let is_stream = |told: &Value| told["status"] == 200 && told.get("position").is_none();
        until(&format!("{n} streams opened"), async || {
            (self.told().iter().filter(|told| is_stream(told)).count() >= n).then_some(())
        })
        .await;
    }
}

/// A pass as `AcsEvent` has it.
pub fn kept_pass(serial: u32, time: &str) -> Value {
    json!({
        "major": 5, "minor": 75, "time": time, "cardNo": "1234567890", "name": "张三", "employeeNoString": "20260001",
        "doorNo": 1, "serialNo": serial
    })
}

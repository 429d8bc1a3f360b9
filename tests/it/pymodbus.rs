//! Meters of pymodbus, on every kind of wire it has, and two serial ports joined by a cable.

use crate::rig;
use schoolgate::config::{Parity, SerialPlace};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

pub fn python() -> PathBuf {
    let own = || rig::root().join(".venv/bin/python");
    let python = std::env::var_os("SCHOOLGATE_TEST_PYTHON").map_or_else(own, PathBuf::from);
    assert!(
        python.exists(),
        "{} is missing: `make test` sets it up, or set SCHOOLGATE_TEST_PYTHON to a Python with pymodbus 3.16",
        python.display()
    );
    python
}

pub async fn pymodbus() -> (Child, u16) {
    let (child, line) = pymodbus_on(&[]).await;
    (child, line.strip_prefix("port ").and_then(|port| port.parse().ok()).expect(&line))
}

/// Meters on a wire of another kind, and the line they print when they are up.
pub async fn pymodbus_on(wire: &[&str]) -> (Child, String) {
    let script = rig::root().join("tests/peers/pymodbus_meters.py");
    let mut child = Command::new(python())
        .arg(script)
        .args(wire)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("python starts");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line =
        tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await.expect("a line in 20 s");
    (child, line.unwrap().expect("pymodbus says that it is up"))
}

/// Two serial ports joined by a cable.
pub struct Cable {
    _socat: Child,
    dir: tempfile::TempDir,
}

impl Cable {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let end = |name: &str| format!("pty,raw,echo=0,link={}", dir.path().join(name).display());
        let socat = Command::new("socat").args([end("a"), end("b")]).kill_on_drop(true).spawn();
        let cable = Self { _socat: socat.expect("socat runs: `make test` installs it"), dir };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !(cable.end("a").exists() && cable.end("b").exists()) {
            assert!(Instant::now() < deadline, "no serial ports within 10 s");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        cable
    }

    pub fn end(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn port(&self, name: &str) -> SerialPlace {
        let path = self.end(name).display().to_string();
        SerialPlace::Port { path, parity: Parity::None, two_stop_bits: false }
    }
}

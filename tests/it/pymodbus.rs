//! Meters of pymodbus, on every kind of wire it has, and two serial ports joined by a cable.

use crate::rig;
use schoolgate::config::{Parity, SerialPlace};
use std::path::{Path, PathBuf};
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

/// Meters by Modbus TCP, and their port.
pub async fn pymodbus() -> (Child, u16) {
    pymodbus_on(&[]).await
}

/// Meters on a wire of another kind, with the port, if it is one of TCP.
pub async fn pymodbus_on(wire: &[&str]) -> (Child, u16) {
    served_by("pymodbus_meters.py", wire).await
}

/// A map served on a serial port (`rtu`), by RTU over TCP (`rtu-tcp`) or by Modbus TCP (`tcp`); with the port, if it is
/// one of TCP.
pub async fn pymodbus_map(kind: &str, place: &str, map: &Path) -> (Child, u16) {
    served_by("pymodbus_map.py", &[kind, place, &map.display().to_string()]).await
}

async fn served_by(script: &str, args: &[&str]) -> (Child, u16) {
    let mut child = Command::new(python())
        .arg(rig::root().join("tests/peers").join(script))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("python starts");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line =
        tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await.expect("a line in 20 s");
    let line = line.unwrap().expect("pymodbus says that it is up");
    (child, line.strip_prefix("port ").map_or(0, |port| port.parse().expect("a port")))
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

//! The real gateway as a child process.

use super::Failure;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// How long the gateway may take to become ready.
const READY: Duration = Duration::from_secs(30);
/// How long it may take to stop.
const STOP: Duration = Duration::from_secs(2);
/// Bytes of the log shown when something went wrong.
const TAIL: u64 = 4_000;

/// A running gateway; killed when dropped.
pub(super) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts it; it writes to `log`. It has a process group of its own, so that Ctrl-C reaches it only through us.
    pub(super) fn start(program: &Path, config: &Path, log: &Path) -> Result<Self, Failure> {
        let out = File::create(log)?;
        let child = Command::new(program)
            .arg("run")
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .env_remove("NOTIFY_SOCKET")
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("the gateway {} cannot be started: {error}", program.display()))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Waits until it says that it is ready.
    pub(super) async fn ready(&mut self, client: &reqwest::Client, http: SocketAddr) -> Result<(), Failure> {
        let asking = async {
            loop {
                let answer = client.get(format!("http://{http}/readyz")).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    break;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            status = self.child.wait() => Err(format!("the gateway ended before it was ready: {}", status?).into()),
            asked = timeout(READY, asking) => asked.map_err(|_| {
                format!("the gateway was not ready within {} s", READY.as_secs()).into()
            }),
        }
    }

    /// Waits until it ends by itself, which it should not.
    pub(super) async fn ended(&mut self) -> String {
        describe(self.child.wait().await)
    }

    /// Asks it to stop; it must exit with 0 within two seconds.
    pub(super) async fn stop(&mut self) -> Result<(), String> {
        let Some(pid) = self.child.id() else { return Err("the gateway had ended already".into()) };
        // The shell's own `kill`, because there is no safe call for it in the standard library.
        let asked = Command::new("/bin/sh").arg("-c").arg(format!("kill -TERM {pid}")).status().await;
        if !asked.is_ok_and(|status| status.success()) {
            return Err("the gateway could not be asked to stop".into());
        }
        match timeout(STOP, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(status) => Err(format!("the gateway stopped with {}", describe(status))),
            Err(_) => Err(format!("the gateway did not stop within {} s", STOP.as_secs())),
        }
    }

    /// Shows the end of its log.
    pub(super) fn show_tail(&self) {
        let tail = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
            let mut bytes = Vec::new();
            file.take(TAIL).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        match tail() {
            Ok(text) => eprintln!("--- the end of {} ---\n{text}", self.log.display()),
            Err(error) => eprintln!("the log {} cannot be read: {error}", self.log.display()),
        }
    }
}

fn describe(status: std::io::Result<ExitStatus>) -> String {
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}

//! A real Mosquitto broker on a free port, with its own directory, stopped when dropped.

use crate::rig::{free_port, signal};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Longest wait for the broker to start, stop or take a message.
const PATIENCE: Duration = Duration::from_secs(10);

/// How the broker is set up.
#[derive(Debug, Default, Clone)]
pub struct Setup {
    /// User name and password it asks for; anyone may connect without.
    pub login: Option<(String, String)>,
    /// Certificate and key files for TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// More lines for its configuration file.
    pub extra: Vec<String>,
}

/// A running broker.
pub struct Mosquitto {
    port: u16,
    dir: TempDir,
    child: Option<Child>,
    login: Option<(String, String)>,
    /// The configuration file without its first lines.
    conf: String,
}

impl Mosquitto {
    /// Starts one that takes anyone.
    pub async fn start() -> Self {
        Self::start_with(&Setup::default()).await
    }

    /// Starts one as told.
    pub async fn start_with(setup: &Setup) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut conf = String::new();
        if let Some((cert, key)) = &setup.tls {
            writeln!(conf, "certfile {}\nkeyfile {}", cert.display(), key.display()).unwrap();
        }
        writeln!(conf, "persistence true\npersistence_location {}/", dir.path().display()).unwrap();
        writeln!(conf, "autosave_interval 1\nmax_queued_messages 0\nlog_dest none").unwrap();
        match &setup.login {
            Some((user, password)) => {
                let file = dir.path().join("passwd");
                let made = Command::new(program("mosquitto_passwd"))
                    .args(["-b", "-c"])
                    .arg(&file)
                    .args([user, password])
                    .status()
                    .expect("mosquitto_passwd runs (apt-get install mosquitto)");
                assert!(made.success());
                writeln!(conf, "allow_anonymous false\npassword_file {}", file.display()).unwrap();
            }
            None => writeln!(conf, "allow_anonymous true").unwrap(),
        }
        for line in &setup.extra {
            writeln!(conf, "{line}").unwrap();
        }
        let mut broker = Self { port: 0, dir, child: None, login: setup.login.clone(), conf };
        // Somebody may take a free port before Mosquitto does.
        for _ in 0..5 {
            broker.port = free_port();
            if broker.try_launch().await {
                return broker;
            }
        }
        panic!("mosquitto does not start; try `mosquitto -c` with:\n{}", broker.conf);
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts it again on the same port, with what it saved.
    pub async fn launch(&mut self) {
        assert!(self.try_launch().await, "mosquitto does not start again on port {}", self.port);
    }

    async fn try_launch(&mut self) -> bool {
        let file = self.dir.path().join("mosquitto.conf");
        // As root Mosquitto would become the user `mosquitto`, who cannot write into our directory.
        let head = format!("user root\nlistener {} 127.0.0.1\n", self.port);
        std::fs::write(&file, head + &self.conf).unwrap();
        let child = Command::new(program("mosquitto"))
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto runs (apt-get install mosquitto)");
        let child = self.child.insert(child);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let listens = TcpStream::connect(("127.0.0.1", self.port)).await.is_ok();
            if child.try_wait().expect("its state").is_some() {
                return false;
            }
            if listens {
                return true;
            }
            assert!(Instant::now() < deadline, "mosquitto does not listen on port {}", self.port);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Stops it in good order: it saves its sessions.
    pub async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        signal("TERM", child.id());
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().expect("its state").is_none() {
            if Instant::now() >= deadline {
                child.kill().expect("killed");
                panic!("mosquitto does not stop");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Publishes one message with QoS 1 and waits until the broker has it.
    pub async fn publish(&self, topic: &str, payload: &[u8], more: &[&str]) {
        let mut args = vec![if payload.is_empty() { "-n" } else { "-s" }];
        args.extend(more);
        self.mosquitto_pub(topic, payload, &args).await;
    }

    /// Publishes each line as a message with QoS 1 and waits until the broker has all.
    pub async fn publish_lines(&self, topic: &str, lines: &str) {
        self.mosquitto_pub(topic, lines.as_bytes(), &["-l"]).await;
    }

    async fn mosquitto_pub(&self, topic: &str, input: &[u8], args: &[&str]) {
        let mut command = tokio::process::Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-q", "1", "-t", topic]).args(args);
        if let Some((user, password)) = &self.login {
            command.args(["-u", user, "-P", password]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("mosquitto_pub runs (apt-get install mosquitto-clients)");
        let mut stdin = child.stdin.take().expect("its input");
        let work = async {
            stdin.write_all(input).await.expect("it reads");
            drop(stdin);
            child.wait().await.expect("it ends")
        };
        let status = tokio::time::timeout(PATIENCE, work).await.expect("published in time");
        assert!(status.success(), "mosquitto_pub to {topic}: {status}");
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Already gone is as good.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Debian puts the broker into `/usr/sbin`, which is not on every user's path.
fn program(name: &str) -> PathBuf {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| name.into())
}

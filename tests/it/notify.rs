//! Telling people, against servers that are not ours: Python's http.server, aiosmtpd, Mosquitto, aplay, pymodbus.

mod line;
mod mail;
mod near;
mod web;

use crate::pymodbus::python;
use crate::rig;
use schoolgate::config::{self, Channel};
use schoolgate::model::{AlarmClass, AlarmId, Priority, Text, Wall};
use schoolgate::notify::{Means, Message, Notifier, Occasion, TRY_LIMIT, Verdict, notifier};
use schoolgate::runtime::{SystemClock, Tally, control_desk};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, timeout};

/// Longest wait for a peer; none takes nearly so long.
const PATIENCE: Duration = Duration::from_secs(20);
/// Stands in every secret of these tests and must come back nowhere.
const CANARY: &str = "canary4711";
/// A second more than a try may take, for a busy machine.
const IN_TIME: Duration = TRY_LIMIT.saturating_add(Duration::from_secs(2));

/// A server of somebody else.
pub struct Peer {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub port: u16,
}

impl Peer {
    pub async fn start(script: &str, args: &[&str]) -> Self {
        let mut child = Command::new(python())
            .arg(rig::root().join("tests/peers").join(script))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("python starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let line = timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("a line");
        let port = line.as_deref().and_then(|line| line.strip_prefix("port ")).and_then(|p| p.parse().ok());
        Self { _child: child, lines, port: port.expect("a port: see tests/peers/requirements.txt") }
    }

    /// What came next.
    pub async fn heard(&mut self) -> Value {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("in time").expect("a line");
        serde_json::from_str(&line.expect("a peer that lives")).expect("JSON")
    }
}

/// A configuration on disk with its secrets.
struct Desk {
    dir: TempDir,
    tally: Arc<Tally>,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("profiles")).expect("a directory");
        let desk = Self { dir, tally: Arc::new(Tally::default()) };
        desk.secret("key", CANARY);
        desk.secret("sign", &format!("sign-{CANARY}"));
        desk.secret("password", &format!("right-{CANARY}"));
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn secret(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
        fs::set_permissions(self.path(name), PermissionsExt::from_mode(0o600)).expect("its mode");
    }

    /// The one channel that is written.
    fn channel(&self, table: &str) -> Channel {
        let text = format!(
            "[site]\ngateway = 'gw-1'\nname = '示例小学'\n[profiles]\ndir = 'profiles'\n[[channel]]\nid = 'people'\n{table}"
        );
        let file = self.path("gateway.toml");
        fs::write(&file, text).expect("the configuration");
        let config = config::load(&file).unwrap_or_else(|problems| panic!("{problems:#?}"));
        config.channels.into_iter().next().expect("a channel")
    }

    fn notifier(&self, table: &str) -> Box<dyn Notifier> {
        let channel = self.channel(table);
        let site = rig_site();
        let means = Means {
            clock: Arc::new(SystemClock::new()),
            tally: Arc::clone(&self.tally),
            site: Arc::new(site),
            controls: control_desk::desk(true).0,
        };
        notifier(&channel, &means).expect("a notifier")
    }

    fn attempts(&self) -> Vec<(String, u64)> {
        self.tally.notify_attempts.all().into_iter().map(|((_, word), n)| (word.to_owned(), n)).collect()
    }
}

fn rig_site() -> config::Site {
    config::Site {
        gateway: schoolgate::model::DeviceId::new("gw-1").expect("an id"),
        name: "示例小学".into(),
        school_code: None,
        zone: jiff::tz::TimeZone::fixed(jiff::tz::offset(8)),
    }
}

fn message() -> Message {
    Message {
        number: 7,
        occasion: Occasion::Raised,
        priority: Priority::Critical,
        class: Some(AlarmClass::Help),
        drill: false,
        title: Text::new("求助按钮被按下", "help button pressed"),
        place: Some(Text::new("1号楼 \"3层\" & 走廊", "Building 1")),
        lines: vec![Text::new("请立即前往", "go there at once")],
        at: Wall(1_788_220_800_000),
        alarms: vec![AlarmId(12)],
    }
}

/// One try, which must end in time and say nothing that is secret.
async fn tell(notifier: &mut dyn Notifier, message: &Message) -> Verdict {
    let begun = Instant::now();
    let verdict = notifier.tell(message).await;
    assert!(begun.elapsed() < IN_TIME, "{:?}: {verdict:?}", begun.elapsed());
    let shown = format!("{verdict:?} {:?} {notifier:?}", notifier.said());
    assert!(!shown.contains(CANARY) && !shown.contains("13800138"), "{shown}");
    verdict
}

/// A self-signed certificate for 127.0.0.1 and its key.
fn certificate(dir: &Path, name: &str) -> (String, String) {
    let (cert, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-out")
        .arg(&cert)
        .arg("-keyout")
        .arg(&key)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (cert.display().to_string(), key.display().to_string())
}

/// What a server says with HTTP 200 counts, and not that it says 200.
#[cfg(feature = "museum")]
pub fn errors_are_no_success() -> Result<(), String> {
    use schoolgate::config::Success;
    use schoolgate::notify::{ROBOT_CODES, Reply, Scrub, judge_robot, judge_written};
    let body = br#"{"errcode": 40001, "code": 40001}"#.to_vec();
    let (reply, scrub) = (Reply { status: 200, retry_after: None, body }, Scrub::default());
    let pointer = Success::Pointer { pointer: "/code".into(), values: vec!["0".into()] };
    let robots = ROBOT_CODES.iter().map(|(kind, codes)| (*kind, judge_robot(&reply, &scrub, codes)));
    let mut all = robots.chain([("http", judge_written(&reply, &scrub, &pointer))]);
    match all.find(|(_, verdict)| *verdict == Verdict::Accepted) {
        Some((kind, _)) => Err(format!("{kind}: an error counts as success")),
        None => Ok(()),
    }
}

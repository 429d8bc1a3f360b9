//! The program itself, as an operator runs it: a school on disk, a daemon over it, and how it starts and stops.

use crate::mosquitto::Mosquitto;
use crate::rig::{free_port, signal};
use reqwest::{IntoUrl, RequestBuilder};
use rusqlite::{Connection, OpenFlags};
use schoolgate::console::LOCAL_TOKEN;
use schoolgate::runtime::tls::install_provider;
use serde_json::Value;
use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixDatagram};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, timeout};

/// Longest wait for anything in these tests; nothing takes nearly so long on a sound machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Lines of the daemon's log shown when a test fails.
const LOG_LINES_SHOWN: usize = 40;

/// Looks again and again until there is something; panics after [`PATIENCE`].
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A configuration and a data directory; the daemon may run over it many times.
pub struct School {
    dir: TempDir,
    http: u16,
    client: reqwest::Client,
}

impl School {
    /// A school of one place, `gate`, with the buses, devices and so on of `field` (TOML).
    pub fn new(field: &str) -> Self {
        install_provider();
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(PATIENCE);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let school = Self { dir, http: free_port(), client: client.build().expect("an HTTP client") };
        school.write_config(field);
        school
    }

    /// Writes the configuration anew.
    pub fn write_config(&self, field: &str) {
        let profiles = concat!(env!("CARGO_MANIFEST_DIR"), "/device-profiles");
        let text = format!(
            "[site]\ngateway = 'gw-test'\nname = '测试小学'\n[store]\ndir = 'data'\n[profiles]\ndir = '{profiles}'\n\
             [http]\nlisten = '127.0.0.1:{}'\n[[place]]\nid = 'gate'\nkind = 'room'\n{field}",
            self.http
        );
        std::fs::write(self.config(), text).expect("the configuration is written");
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("gateway.toml")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("daemon.log")
    }

    /// Everything every run over this school has logged.
    pub fn log(&self) -> String {
        let mut bytes = Vec::new();
        File::open(self.log_path()).and_then(|mut f| f.read_to_end(&mut bytes)).expect("the log");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The program with `verb`, `args` and this school's configuration, in English.
    pub fn command(&self, verb: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_schoolgate"));
        command.arg(verb).args(args).arg("--config").arg(self.config());
        command.env("LC_ALL", "C").env_remove("SCHOOLGATE_LOG").env_remove("NOTIFY_SOCKET");
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a subcommand to its end.
    pub async fn cli(&self, verb: &str, args: &[&str]) -> Output {
        let run = self.command(verb, args).output();
        timeout(PATIENCE, run).await.expect("the command ends").expect("the command runs")
    }

    /// Runs a subcommand that must succeed; what it printed.
    pub async fn cli_ok(&self, verb: &str, args: &[&str]) -> String {
        let output = self.cli(verb, args).await;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{verb} {args:?}: {}\n{printed}{complaint}", output.status);
        printed
    }

    /// Starts the daemon; does not wait until it is ready.
    pub fn launch(&self) -> Daemon<'_> {
        self.launch_with(&[])
    }

    /// Starts the daemon with more in its environment.
    pub fn launch_with(&self, env: &[(&str, &Path)]) -> Daemon<'_> {
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).expect("the log file");
        self.launch_as(self.command("run", &[]).envs(env.iter().copied()).stderr(log))
    }

    fn launch_as(&self, command: &mut Command) -> Daemon<'_> {
        let since = Instant::now();
        let child = command.stdout(Stdio::null()).spawn().expect("the daemon starts");
        Daemon { school: self, child, since }
    }

    /// Starts the daemon and waits until it is ready.
    pub async fn start(&self) -> Daemon<'_> {
        let mut daemon = self.launch();
        daemon.ready().await;
        daemon
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http)
    }

    /// By which the gateway knows root, once it has started.
    pub fn token(&self) -> String {
        std::fs::read_to_string(self.data_dir().join(LOCAL_TOKEN)).unwrap_or_default().trim().to_owned()
    }

    /// Asks as root of this machine does.
    pub fn client(&self) -> Root<'_> {
        Root { client: &self.client, token: self.token() }
    }

    /// Asks as anybody may.
    pub fn stranger(&self) -> &reqwest::Client {
        &self.client
    }

    /// What the API says.
    pub async fn get(&self, path: &str) -> Value {
        let answer = self.client().get(self.url(path)).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.expect("JSON")
    }

    /// The rows of a list of the API.
    pub async fn rows(&self, path: &str) -> Vec<Value> {
        let answer = self.get(path).await;
        answer["rows"].as_array().expect("rows").clone()
    }

    pub async fn metrics(&self) -> String {
        let answer = self.client.get(self.url("/metrics")).send().await.expect("an answer");
        answer.text().await.expect("a text")
    }

    /// The sum over all series of a metric whose labels hold `labels`.
    pub async fn metric(&self, name: &str, labels: &str) -> f64 {
        sum_of(&self.metrics().await, name, labels)
    }

    /// The database, for looking with SQLite alone.
    pub fn sqlite(&self) -> Connection {
        let path = self.data_dir().join("schoolgate.db");
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the database");
        db.busy_timeout(PATIENCE).expect("patience");
        db
    }

    /// One number out of the database.
    pub fn count(&self, sql: &str) -> i64 {
        self.sqlite().query_row(sql, [], |row| row.get(0)).expect(sql)
    }

    /// The first column of a query.
    pub fn column<T: rusqlite::types::FromSql>(&self, sql: &str) -> Vec<T> {
        let db = self.sqlite();
        let mut statement = db.prepare(sql).expect(sql);
        statement.query_map([], |row| row.get(0)).expect(sql).map(|row| row.expect(sql)).collect()
    }
}

/// Requests with the token of this machine.
pub struct Root<'a> {
    client: &'a reqwest::Client,
    token: String,
}

impl Root<'_> {
    pub fn get(&self, url: impl IntoUrl) -> RequestBuilder {
        self.client.get(url).bearer_auth(&self.token)
    }

    pub fn post(&self, url: impl IntoUrl) -> RequestBuilder {
        self.client.post(url).bearer_auth(&self.token)
    }

    pub fn put(&self, url: impl IntoUrl) -> RequestBuilder {
        self.client.put(url).bearer_auth(&self.token)
    }

    pub fn delete(&self, url: impl IntoUrl) -> RequestBuilder {
        self.client.delete(url).bearer_auth(&self.token)
    }
}

impl Drop for School {
    fn drop(&mut self) {
        if std::thread::panicking() && self.log_path().exists() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            println!("---- the end of the daemon's log\n{}\n----", shown.join("\n"));
        }
    }
}

/// Adds up the series of a metric whose labels hold `labels`.
pub fn sum_of(page: &str, name: &str, labels: &str) -> f64 {
    let of_metric = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let series = page.lines().filter(of_metric).filter(|line| line.contains(labels));
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// An MQTT bus of the name `mqtt`.
pub fn mqtt_bus(broker: &Mosquitto) -> String {
    format!("[[bus]]\nid = 'mqtt'\nkind = 'mqtt'\nhost = '127.0.0.1'\nport = {}\n", broker.port())
}

/// A device on it.
pub fn device(id: &str, profile: &str, address: &str) -> String {
    format!(
        "[[device]]\nid = '{id}'\nprofile = '{profile}'\nbus = 'mqtt'\naddress = '{address}'\nplace = 'gate'\n"
    )
}

/// The running program; killed when dropped.
pub struct Daemon<'a> {
    school: &'a School,
    child: Child,
    since: Instant,
}

impl Daemon<'_> {
    /// Waits until it says that it is ready; how long that took since it was started.
    pub async fn ready(&mut self) -> Duration {
        let request = self.school.client.get(self.school.url("/readyz"));
        until("the daemon is ready", async || {
            let ended = self.child.try_wait().expect("its state");
            assert!(ended.is_none(), "the daemon ended instead: {ended:?}");
            let answer = request.try_clone().expect("a request").send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        self.since.elapsed()
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("its status")
    }

    /// `kill -9`.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Waits until its MQTT session is there.
    pub async fn connected(&self) {
        until("the MQTT session is open", async || {
            (self.school.metric("schoolgate_connects_total", "mqtt").await >= 1.0).then_some(())
        })
        .await;
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Sends a signal, by its name without SIG.
    pub fn signal(&self, name: &str) {
        signal(name, self.pid());
    }

    /// SIGTERM, and what came of it after how long.
    pub async fn terminate(mut self) -> (ExitStatus, Duration) {
        let asked = Instant::now();
        self.signal("TERM");
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("its status");
        (status, asked.elapsed())
    }
}

/// `mosquitto_pub -l`: each line is a message with QoS 1.
pub struct Publisher {
    child: Child,
    lines: ChildStdin,
}

impl Publisher {
    pub fn new(broker: &Mosquitto, topic: &str) -> Self {
        let mut child = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &broker.port().to_string(), "-q", "1", "-l", "-t", topic])
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("mosquitto_pub runs (apt-get install mosquitto-clients)");
        let lines = child.stdin.take().expect("its input");
        Self { child, lines }
    }

    pub async fn publish(&mut self, line: &str) {
        self.lines.write_all(format!("{line}\n").as_bytes()).await.expect("mosquitto_pub reads");
    }

    /// Returns when the broker has acknowledged every line: only then does `mosquitto_pub` end well.
    pub async fn finish(mut self) {
        drop(self.lines);
        let status = timeout(PATIENCE, self.child.wait()).await.expect("acknowledged").expect("its status");
        assert!(status.success(), "mosquitto_pub: {status}");
    }
}

const SENSOR: &str = "aqara-wsdcgq11lm";

/// The numbers that [`numbered`] messages brought into the store.
pub fn stored_numbers(school: &School) -> Vec<i64> {
    school.column(
        "select cast(round(r.value * 1000) as integer) from reading r join series s on s.id = r.series \
         where s.point = 'temperature' order by 1",
    )
}

/// A reading without a serial that can be told from every other up to 80,000.
pub fn numbered(n: u32) -> String {
    format!(r#"{{"temperature":{}.{:03}}}"#, n / 1000, n % 1000)
}

#[tokio::test]
async fn sigterm_under_load_ends_cleanly_within_two_seconds_and_loses_nothing() {
    let broker = Mosquitto::start().await;
    let school = School::new(&(mqtt_bus(&broker) + &device("th", SENSOR, "th")));
    let daemon = school.start().await;
    daemon.connected().await;
    let stopped = Cell::new(false);
    let load = async {
        let mut publisher = Publisher::new(&broker, "zigbee2mqtt/th");
        let mut sent = 0;
        while !stopped.get() {
            for _ in 0..20 {
                publisher.publish(&numbered(sent)).await;
                sent += 1;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        publisher.finish().await;
        sent
    };
    let stop = async {
        until("a hundred readings", async || {
            (school.metric("schoolgate_readings_total", "").await > 100.0).then_some(())
        })
        .await;
        let outcome = daemon.terminate().await;
        stopped.set(true);
        outcome
    };
    let (sent, (status, took)) = tokio::join!(load, stop);
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(school.log().contains("everything accepted is on disk"));
    let before = stored_numbers(&school).len();

    let daemon = school.start().await;
    let wanted: Vec<i64> = (0..i64::from(sent)).collect();
    until("all numbers", async || (stored_numbers(&school).len() >= wanted.len()).then_some(())).await;
    assert_eq!(stored_numbers(&school), wanted, "each once; {before} were there before the stop");
    let (status, _) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_client_that_never_ends_its_request_does_not_hold_up_the_stop() {
    let school = School::new("");
    let daemon = school.start().await;
    let mut half = TcpStream::connect(("127.0.0.1", school.http)).await.expect("a connection");
    half.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\nGET /metrics HT").await.expect("sent");
    let mut start = [0; 15];
    half.read_exact(&mut start).await.expect("an answer to the first request");
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    let mut body = TcpStream::connect(("127.0.0.1", school.http)).await.expect("a connection");
    body.write_all(
        format!(
            "POST /api/v1/alarms/1/acknowledge HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {}\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n",
            school.token()
        )
        .as_bytes(),
    )
    .await
    .expect("sent");
    let mut start = [0; 12];
    body.read_exact(&mut start).await.expect("it waits for the body");
    assert_eq!(&start, b"HTTP/1.1 100");
    let (status, took) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_while_a_platform_keeps_it_waiting() {
    let broker = Mosquitto::start().await;
    let platform = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let school = School::new(&format!(
        "{}{}[[destination]]\nid = 'city'\nkind = 'shield'\nbase_url = 'http://{}/'\napp_id = 'test'\n\
         secret_file = 'secret'\n",
        mqtt_bus(&broker),
        device("help", "tuya-ts0215a", "help"),
        platform.local_addr().expect("its address"),
    ));
    let secret = school.config().with_file_name("secret");
    std::fs::write(&secret, "s3cret").expect("written");
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).expect("its bits");
    for second in ["TERM", "INT"] {
        let mut daemon = school.start().await;
        daemon.connected().await;
        broker.publish("zigbee2mqtt/help", br#"{"action":"sos"}"#, &[]).await;
        let (mut request, _) =
            timeout(PATIENCE, platform.accept()).await.expect("in time").expect("a request");
        request.read_u8().await.expect("it is under way, and is never answered");
        let stops = school.log().matches("stopping").count();
        daemon.signal("TERM");
        until("the stop has begun", async || {
            (school.log().matches("stopping").count() > stops).then_some(())
        })
        .await;
        daemon.signal(second);
        let status = timeout(PATIENCE, daemon.child.wait()).await.expect("it ends").expect("its status");
        assert_eq!(status.code(), Some(130), "SIG{second}");
        assert!(school.log().contains("a second signal"));
    }
}

#[tokio::test]
async fn it_works_on_when_nobody_reads_its_log_any_more() {
    let broker = Mosquitto::start().await;
    let school = School::new(&(mqtt_bus(&broker) + &device("help", "tuya-ts0215a", "help")));
    let mut daemon = school.launch_as(school.command("run", &[]).stderr(Stdio::piped()));
    daemon.ready().await;
    drop(daemon.child.stderr.take());
    daemon.connected().await;
    until("an alarm is open", async || {
        broker.publish("zigbee2mqtt/help", br#"{"action":"sos"}"#, &[]).await;
        (!school.rows("/api/v1/alarms?open=true").await.is_empty()).then_some(())
    })
    .await;
    let (status, _) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_broker_that_is_not_there_yet_is_waited_for_and_holds_up_neither_start_nor_stop() {
    let mut broker = Mosquitto::start().await;
    broker.stop().await;
    let school = School::new(&(mqtt_bus(&broker) + &device("th", SENSOR, "th")));
    let state = async || school.get("/api/v1/devices/th").await;
    let daemon = school.start().await;
    let down = until("the sensor is down", async || {
        let state = state().await;
        (state["state"] == "down").then_some(state)
    })
    .await;
    assert_eq!(down["fault"], "unreachable", "{down}");
    assert!(!down["advice"]["zh"].as_str().expect("advice").is_empty(), "{down}");
    let (status, took) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");

    let daemon = school.start().await;
    broker.launch().await;
    daemon.connected().await;
    until("the sensor is up", async || {
        broker.publish("zigbee2mqtt/th", numbered(1).as_bytes(), &[]).await;
        (state().await["state"] == "up").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_second_gateway_on_the_same_data_is_refused_at_once_and_told_why() {
    let school = School::new("");
    let _first = school.start().await;
    let asked = Instant::now();
    let second = school.cli("run", &[]).await;
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    let dir = school.data_dir();
    assert!(said.contains(dir.to_str().unwrap()) && said.contains("another schoolgate"), "{said}");
    assert_eq!(school.rows("/api/v1/devices").await.len(), 0, "the first still answers");
}

#[tokio::test]
async fn a_port_that_another_program_has_is_named() {
    let school = School::new("");
    let _other = TcpListener::bind(("127.0.0.1", school.http)).expect("the port");
    let run = school.cli("run", &[]).await;
    assert_eq!(run.status.code(), Some(1));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(
        said.contains(&format!("127.0.0.1:{}", school.http)) && said.contains("another program"),
        "{said}"
    );
}

#[tokio::test]
async fn a_damaged_database_is_moved_aside_as_it_is_and_an_alarm_says_so() {
    let school = School::new("");
    let file = school.data_dir().join("schoolgate.db");
    std::fs::create_dir(school.data_dir()).expect("made");
    let damaged = [b"SQLite format 3\0".as_slice(), &[0xA5; 8000]].concat();
    for (starts, bytes) in [vec![0xA5; 8192], damaged].into_iter().enumerate() {
        std::fs::write(&file, &bytes).expect("written");
        let mut daemon = school.launch();
        let took = daemon.ready().await;
        assert!(took < Duration::from_secs(2), "{took:?}");
        until("the alarm is announced", async || {
            (school.log().matches("store.damaged").count() > starts).then_some(())
        })
        .await;
        let kept = std::fs::read_dir(school.data_dir().join("damaged")).expect("the directory");
        let kept: Vec<Vec<u8>> = kept
            .map(|dir| std::fs::read(dir.expect("an entry").path().join("schoolgate.db")).expect("the file"))
            .collect();
        assert_eq!(kept.len(), starts + 1);
        assert!(kept.contains(&bytes), "as it was");
        let (status, _) = daemon.terminate().await;
        assert_eq!(status.code(), Some(0));
    }
}

#[tokio::test]
async fn a_wrong_configuration_is_told_and_exits_with_64() {
    let school = School::new(&device("th", SENSOR, "th"));
    let run = school.cli("run", &[]).await;
    assert_eq!(run.status.code(), Some(64));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(said.contains("there is no bus 'mqtt'") && said.contains("schoolgate check"), "{said}");
    assert!(!school.data_dir().exists(), "nothing was made");
}

#[tokio::test]
async fn the_service_manager_is_told_that_it_is_ready_alive_and_stopping() {
    let school = School::new("");
    let path = school.config().with_file_name("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let hear = async |word: &str| {
        let heard = async {
            let mut told = [0; 256];
            loop {
                let n = socket.recv(&mut told).await.expect("a datagram");
                let text = std::str::from_utf8(&told[..n]).expect("UTF-8").to_owned();
                if text.lines().any(|line| line == word) {
                    return;
                }
            }
        };
        timeout(PATIENCE, heard).await.unwrap_or_else(|_| panic!("{word} was not heard"));
    };
    let mut daemon = school.launch_with(&[("NOTIFY_SOCKET", &path)]);
    hear("READY=1").await;
    assert_eq!(daemon.ready().await.as_secs() / 60, 0, "ready is true when it is said");
    hear("WATCHDOG=1").await;
    hear("WATCHDOG=1").await;
    let (stopped, ()) = tokio::join!(daemon.terminate(), hear("STOPPING=1"));
    assert_eq!(stopped.0.code(), Some(0));
}

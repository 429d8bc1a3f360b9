//! Cards and buttons over the gateway's own MQTT listener: how many a second are committed, what one costs, and what a
//! burst after an outage does to a call for help. Every publish has QoS 1; the real program is a process of its own.

use crate::daemon::{Daemon, Look};
use crate::{Failure, Figure, Goal, median, quantile, scratch, source, spread};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

pub(crate) const RATE: &[&str] = &["events.committed_per_s", "events.ratio_mosquitto", "events.cpu_us"];
pub(crate) const BURST: &[&str] =
    &["events.burst_lost", "events.burst_alarm_p99_ms", "events.burst_cpu_us", "events.burst_rss_mb"];

/// Publishers at full speed, what each publishes, and how many of it may be unanswered.
const PUBLISHERS: usize = 30;
const EACH: usize = 1500;
const WINDOW: usize = 100;
/// Pairs of runs, Mosquitto and the gateway in turn.
const PAIRS: usize = 5;
/// The gate in the morning: so many cards, ten times as fast as they would come.
const GATE_CARDS: usize = 3000;
const GATE_PER_S: f64 = 50.0;
/// What readers held back during an outage, and how fast all of them together send it.
const READERS: usize = 300;
const HELD: usize = 1000;
const BURST_PER_S: f64 = 2000.0;
/// Pause between two calls for help during the burst.
const HELP_EVERY: Duration = Duration::from_millis(250);
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
const PASSWORD: &str = "bench-password-of-one-device";

pub(crate) fn rate(runtime: &Runtime) -> Result<Vec<Figure>, Failure> {
    runtime.block_on(async {
        let (mut rates, mut ratios, mut costs) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..PAIRS {
            let broker = Mosquitto::start().await?;
            let theirs = full_speed(broker.address).await?;
            drop(broker);
            let dir = scratch()?;
            let (config, address) = configure(dir.path(), PUBLISHERS)?;
            let daemon = Daemon::start(&config).await?;
            let before = daemon.look().await?;
            let ours = full_speed(address).await?;
            let after = daemon.look().await?;
            daemon.stop().await?;
            let stored = stored(dir.path())?;
            if stored != (PUBLISHERS * EACH, PUBLISHERS * EACH) {
                return Err(format!("{stored:?} events are in the store, of {}", PUBLISHERS * EACH).into());
            }
            rates.push(ours);
            ratios.push(ours / theirs);
            costs.push((after.cpu_secs - before.cpu_secs) * 1e6 / (PUBLISHERS * EACH) as f64);
        }
        Ok(vec![
            Figure::new(
                "events.committed_per_s",
                median(&rates),
                "1/s",
                Goal::AtLeast(2000.0),
                format!(
                    "card passes from {PUBLISHERS} terminals, {WINDOW} of each unanswered at most, each PUBACK after the \
                     commit that holds the event; {}",
                    spread(&rates)
                ),
            ),
            Figure::new(
                "events.ratio_mosquitto",
                median(&ratios),
                "ratio",
                Goal::Info,
                format!(
                    "Mosquitto acknowledging the same messages of the same publishers, which it neither stores nor \
                     hands on; {}",
                    spread(&ratios)
                ),
            ),
            Figure::new(
                "events.cpu_us",
                median(&costs),
                "us",
                Goal::AtMost(25.0),
                format!("user and system time of the daemon for one of these events; {}", spread(&costs)),
            ),
        ])
    })
}

pub(crate) fn burst(runtime: &Runtime) -> Result<Vec<Figure>, Failure> {
    runtime.block_on(async {
        let dir = scratch()?;
        let (config, address) = configure(dir.path(), READERS)?;
        let daemon = Daemon::start(&config).await?;
        paced(address, GATE_CARDS / READERS, GATE_PER_S, 0).await?;
        let first = daemon.look().await?;
        let (helped, stop) = calls(address);
        let began = Instant::now();
        paced(address, HELD, BURST_PER_S, GATE_CARDS / READERS).await?;
        let took = began.elapsed().as_secs_f64();
        let last = daemon.look().await?;
        // The other side is gone only when it failed, and then it says so itself.
        stop.send(()).ok();
        let waits = helped.await??;
        daemon.stop().await?;
        let sent = GATE_CARDS + READERS * HELD;
        let (rows, distinct) = stored(dir.path())?;
        Ok(burst_figures(&first, &last, (sent, rows, distinct), &waits, took))
    })
}

fn burst_figures(
    first: &Look,
    last: &Look,
    (sent, rows, distinct): (usize, usize, usize),
    waits: &[f64],
    took: f64,
) -> Vec<Figure> {
    let events = (READERS * HELD) as f64;
    let load = format!(
        "{} events that {READERS} readers held back, in {took:.0} s ({:.0}/s)",
        READERS * HELD,
        events / took
    );
    let wrong = sent.abs_diff(distinct) + rows.saturating_sub(distinct);
    vec![
        Figure::new(
            "events.burst_lost",
            wrong as f64,
            "events",
            Goal::AtMost(0.0),
            format!(
                "lost or doubled of {sent}: {GATE_CARDS} cards at the gate at {GATE_PER_S}/s, then {load}; every one \
                 acknowledged; {rows} rows, {distinct} of them different"
            ),
        ),
        Figure::new(
            "events.burst_alarm_p99_ms",
            quantile(waits, 0.99),
            "ms",
            Goal::Below(200.0),
            format!(
                "from publishing a call for help to its PUBACK, which comes after the commit of the alarm's row, amid \
                 {load}; {} calls, median {:.1} ms, worst {:.1} ms",
                waits.len(),
                median(waits),
                quantile(waits, 1.0)
            ),
        ),
        Figure::new(
            "events.burst_cpu_us",
            (last.cpu_secs - first.cpu_secs) * 1e6 / events,
            "us",
            Goal::Info,
            format!(
                "user and system time of the daemon for one of {load}: a commit holds what came within 5 ms"
            ),
        ),
        Figure::new(
            "events.burst_rss_mb",
            last.peak_mb,
            "MB",
            Goal::Below(80.0),
            format!("VmHWM of the daemon after {load}"),
        ),
    ]
}

/// A gateway with a listener, so many card terminals and a button, each with its own login.
fn configure(dir: &Path, terminals: usize) -> Result<(std::path::PathBuf, SocketAddr), Failure> {
    let free = || std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr();
    let (http, mqtt) = (free()?, free()?);
    let secret = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(dir.join("password"));
    secret?.write_all(PASSWORD.as_bytes())?;
    let mut text = format!(
        "[site]\ngateway = \"gw-bench\"\nname = \"早高峰学校\"\nschool_code = \"2134000001\"\n[store]\ndir = \"data\"\n\
         [profiles]\ndir = \"{}\"\n[http]\nlisten = \"{http}\"\n\
         [[place]]\nid = \"gate\"\nkind = \"room\"\nname = \"校门\"\n\
         [[bus]]\nid = \"campus\"\nkind = \"mqtt-listener\"\nplain_listen = \"{mqtt}\"\n\
         [[device]]\nid = \"help\"\nname = \"求助按钮\"\nprofile = \"tuya-ts0215a\"\nbus = \"campus\"\n\
         address = \"help\"\nplace = \"gate\"\npassword_file = \"password\"\n",
        source("device-profiles").display()
    );
    for number in 0..terminals {
        writeln!(
            text,
            "[[device]]\nid = \"reader-{number}\"\nname = \"读卡器{number}\"\nprofile = \"face-rec-mqtt\"\n\
             bus = \"campus\"\naddress = \"{number}\"\nplace = \"gate\"\npassword_file = \"password\""
        )?;
    }
    let config = dir.join("gateway.toml");
    std::fs::write(&config, text)?;
    Ok((config, mqtt))
}

/// Card events in the store, and how many of them are different.
fn stored(dir: &Path) -> Result<(usize, usize), Failure> {
    let db = rusqlite::Connection::open(dir.join("data").join(schoolgate::store::FILE_NAME))?;
    let count =
        "select count(*), count(distinct device || ' ' || serial) from event where kind = 'credential'";
    let (rows, distinct): (i64, i64) = db.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((rows.try_into()?, distinct.try_into()?))
}

/// All publishers as fast as they are answered; messages a second.
async fn full_speed(address: SocketAddr) -> Result<f64, Failure> {
    let mut clients = Vec::new();
    for number in 0..PUBLISHERS {
        clients.push(Client::connect(address, &format!("reader-{number}")).await?);
    }
    let began = Instant::now();
    let mut running = JoinSet::new();
    for (number, mut client) in clients.into_iter().enumerate() {
        running.spawn(async move {
            let mut serial = 0;
            while serial < EACH || client.unanswered > 0 {
                while serial < EACH && client.unanswered < WINDOW {
                    client.publish(&format!("mqtt/face/{number}/Rec"), &pass(serial));
                    serial += 1;
                }
                client.exchange().await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok((PUBLISHERS * EACH) as f64 / began.elapsed().as_secs_f64())
}

/// Every reader sends so many passes, all readers together at this rate, until all are answered.
async fn paced(address: SocketAddr, each: usize, per_s: f64, from: usize) -> Result<(), Failure> {
    let pause = Duration::from_secs_f64(READERS as f64 / per_s);
    let begin = Instant::now() + Duration::from_secs(1);
    let mut running = JoinSet::new();
    for number in 0..READERS {
        let mut client = Client::connect(address, &format!("reader-{number}")).await?;
        let offset = pause.mul_f64(number as f64 / READERS as f64);
        running.spawn(async move {
            let mut pace = interval_at(begin + offset, pause);
            pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for serial in from..from + each {
                pace.tick().await;
                client.publish(&format!("mqtt/face/{number}/Rec"), &pass(serial));
                client.exchange().await?;
                while client.unanswered > WINDOW {
                    client.exchange().await?;
                }
            }
            while client.unanswered > 0 {
                client.exchange().await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

type Waits = tokio::task::JoinHandle<Result<Vec<f64>, Failure>>;

/// Somebody calls for help again and again; how long each call waited for its answer, milliseconds.
fn calls(address: SocketAddr) -> (Waits, tokio::sync::oneshot::Sender<()>) {
    let (stop, mut stopped) = tokio::sync::oneshot::channel();
    let calls = tokio::spawn(async move {
        let mut client = Client::connect(address, "help").await?;
        let mut waits = Vec::new();
        // What the broadcast of the stop says does not matter, only that it came.
        while stopped.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
            let asked = Instant::now();
            client.publish("zigbee2mqtt/help", r#"{"action":"emergency"}"#);
            while client.unanswered > 0 {
                client.exchange().await?;
            }
            waits.push(asked.elapsed().as_secs_f64() * 1000.0);
            sleep(HELP_EVERY).await;
        }
        Ok(waits)
    });
    (calls, stop)
}

/// A card pass that a terminal numbers itself.
pub(crate) fn pass(serial: usize) -> String {
    format!(
        r#"{{"operator":"RecPush","info":{{"RecordID":"{serial}","VerifyStatus":"1","direction":"entr","RFIDCard":"{:010}","time":"2026-09-01 07:30:{:02}"}}}}"#,
        serial % 3000,
        serial % 60
    )
}

/// The least of MQTT 3.1.1 that publishes with QoS 1, so that what is measured is the other side.
pub(crate) struct Client {
    stream: TcpStream,
    out: Vec<u8>,
    heard: Vec<u8>,
    id: u16,
    pub(crate) unanswered: usize,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr, user: &str) -> Result<Self, Failure> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut body = b"\x00\x04MQTT\x04\xC2\x00\x3C".to_vec();
        [user, user, PASSWORD].iter().try_for_each(|text| put(&mut body, text))?;
        let mut packet = vec![0x10];
        put_length(&mut packet, body.len())?;
        packet.extend(body);
        stream.write_all(&packet).await?;
        let mut answer = [0; 4];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer)).await.map_err(|_| "no CONNACK")??;
        if answer != [0x20, 2, 0, 0] {
            return Err(format!("CONNACK is {answer:02X?}").into());
        }
        Ok(Self { stream, out: Vec::new(), heard: Vec::new(), id: 0, unanswered: 0 })
    }

    /// Writes a message down; [`Client::exchange`] sends it.
    pub(crate) fn publish(&mut self, topic: &str, payload: &str) {
        self.id = self.id % u16::MAX + 1;
        let mut body = Vec::new();
        // Topics here are short.
        put(&mut body, topic).ok();
        body.extend(self.id.to_be_bytes());
        body.extend(payload.as_bytes());
        self.out.push(0x32);
        put_length(&mut self.out, body.len()).ok();
        self.out.extend(body);
        self.unanswered += 1;
    }

    /// Sends what was written down and hears at least one answer.
    pub(crate) async fn exchange(&mut self) -> Result<(), Failure> {
        self.stream.write_all(&self.out).await?;
        self.out.clear();
        let mut bytes = [0; 4096];
        loop {
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes));
            let n = read.await.map_err(|_| "no PUBACK")??;
            if n == 0 {
                return Err("the other side closed the connection".into());
            }
            self.heard.extend(bytes.iter().take(n));
            let whole = self.heard.len() / 4;
            let answers: Vec<u8> = self.heard.drain(..whole * 4).collect();
            if answers.chunks(4).any(|packet| !packet.starts_with(&[0x40, 2])) {
                return Err(format!("no PUBACK: {answers:02X?}").into());
            }
            self.unanswered -= whole;
            if whole > 0 {
                return Ok(());
            }
        }
    }
}

fn put(out: &mut Vec<u8>, text: &str) -> Result<(), Failure> {
    out.extend(u16::try_from(text.len())?.to_be_bytes());
    out.extend(text.as_bytes());
    Ok(())
}

/// The remaining length of a packet of less than 16 KiB (MQTT 3.1.1, section 2.2.3).
fn put_length(out: &mut Vec<u8>, length: usize) -> Result<(), Failure> {
    match length {
        0..128 => out.push(u8::try_from(length)?),
        128..16_384 => out.extend([u8::try_from(length % 128)? | 0x80, u8::try_from(length / 128)?]),
        _ => return Err("a packet is too long".into()),
    }
    Ok(())
}

/// Mosquitto as it is without a configuration, on a port of its own.
pub(crate) struct Mosquitto {
    _process: Child,
    pub(crate) address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Mosquitto {
    pub(crate) async fn start() -> Result<Self, Failure> {
        let dir = scratch()?;
        let address = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let config = dir.path().join("mosquitto.conf");
        let text = format!(
            "user root\nlistener {} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\nlog_dest none\n",
            address.port()
        );
        std::fs::write(&config, text)?;
        let program = ["/usr/sbin/mosquitto", "mosquitto"]
            .into_iter()
            .find(|p| !p.starts_with('/') || Path::new(p).exists());
        let process = Command::new(program.unwrap_or("mosquitto"))
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("mosquitto does not start (apt-get install mosquitto): {error}"))?;
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).await.is_err() {
            if Instant::now() > deadline {
                return Err("mosquitto does not listen".into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { _process: process, address, _dir: dir })
    }
}

//! How long an alarm takes from its publish at Mosquitto to the socket of whoever tells people, and to its row: at the
//! load of a school, amid 2,000 events a second, and while the disk does not answer.

use crate::daemon::Daemon;
use crate::events::{Client, Mosquitto, pass};
use crate::{Failure, Figure, Goal, quantile, scratch, source};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

pub(crate) const FIGURES: &[&str] = &[
    "alarms.latency_p50_ms",
    "alarms.latency_p99_ms",
    "alarms.row_p99_ms",
    "alarms.latency_p99_ms_2000",
    "alarms.latency_p99_ms_fsync_stall",
];

/// Gates, each with a ladder and a channel of its own: a channel takes five messages a minute one by one.
pub(crate) const GATES: usize = 60;
/// Buttons of each gate, which is how many are pressed there within a minute.
pub(crate) const BUTTONS: usize = 5;
/// Pause between two presses at the load of a school, and amid the burst.
pub(crate) const PRESS_EVERY: Duration = Duration::from_millis(100);
/// Presses during a stall of the disk, and how long it stalls: each in the middle of it.
const STALLS: usize = 10;
const STALL: Duration = Duration::from_secs(3);
/// Readers, and how many passes they send together: what a school has in the morning, and after an outage.
const READERS: usize = 100;
pub(crate) const SCHOOL_PER_S: f64 = 50.0;
const BURST_PER_S: f64 = 2000.0;
/// Longest wait for an alarm to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// When each button's alarm was at the socket.
type Heard = Arc<Mutex<BTreeMap<String, Instant>>>;

pub(crate) fn measure(runtime: &Runtime) -> Result<Vec<Figure>, Failure> {
    runtime.block_on(async {
        let calm = run(SCHOOL_PER_S, false).await?;
        let burst = run(BURST_PER_S, false).await?;
        let stalled = run(SCHOOL_PER_S, true).await?;
        let told = |run: &Run| {
            format!(
                "{} presses, median {:.1} ms, worst {:.1} ms",
                run.heard.len(),
                quantile(&run.heard, 0.5),
                quantile(&run.heard, 1.0)
            )
        };
        let way = "from publishing at Mosquitto to the whole request at the socket of a webhook";
        let figure = |name, value, goal, text| Figure::new(name, value, "ms", Goal::AtMost(goal), text);
        Ok(vec![
            figure(
                "alarms.latency_p50_ms",
                quantile(&calm.heard, 0.5),
                10.0,
                format!("{way}, amid {SCHOOL_PER_S} passes a second; {}", told(&calm)),
            ),
            figure(
                "alarms.latency_p99_ms",
                quantile(&calm.heard, 0.99),
                50.0,
                format!("as above; {}", told(&calm)),
            ),
            figure(
                "alarms.row_p99_ms",
                quantile(&calm.stored, 0.99),
                50.0,
                "from publishing at Mosquitto to the alarm's row, looked for every millisecond".to_owned(),
            ),
            figure(
                "alarms.latency_p99_ms_2000",
                quantile(&burst.heard, 0.99),
                200.0,
                format!("{way}, amid {BURST_PER_S} passes a second; {}", told(&burst)),
            ),
            figure(
                "alarms.latency_p99_ms_fsync_stall",
                quantile(&stalled.heard, 0.99),
                300.0,
                format!(
                    "{way}, in the middle of {STALLS} stalls of the disk of {} s; {}",
                    STALL.as_secs(),
                    told(&stalled)
                ),
            ),
        ])
    })
}

/// What one run measured, milliseconds.
struct Run {
    heard: Vec<f64>,
    stored: Vec<f64>,
}

async fn run(passes_per_s: f64, stalls: bool) -> Result<Run, Failure> {
    let dir = scratch()?;
    let broker = Mosquitto::start().await?;
    let (listener, heard) = (TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?, Heard::default());
    let config = configure(dir.path(), broker.address, listener.local_addr()?)?;
    let hooks = tokio::spawn(listen(listener, Arc::clone(&heard)));
    let medium = Medium::new(dir.path()).await?;
    let daemon = Daemon::start_with(&config, &medium.environment()).await?;
    let mut presser = Client::connect(broker.address, "presser").await?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let load = tokio::spawn(passes(broker.address, passes_per_s, stopped.clone()));
    let rows = std::thread::spawn({
        let (data, stopped) = (dir.path().join("data"), stopped.clone());
        move || watch_rows(&data, &stopped)
    });
    sleep(Duration::from_secs(3)).await;
    let mut pressed = Vec::new();
    if stalls {
        for _ in 0..STALLS {
            medium.says("stalls")?;
            let end = Instant::now() + STALL;
            for _ in 0..3 {
                sleep(Duration::from_millis(600)).await;
                press(&mut presser, &mut pressed).await?;
            }
            tokio::time::sleep_until(end).await;
            medium.says("sound")?;
            sleep(Duration::from_millis(1500)).await;
        }
    } else {
        for _ in 0..GATES * BUTTONS {
            press(&mut presser, &mut pressed).await?;
            sleep(PRESS_EVERY).await;
        }
    }
    let deadline = Instant::now() + PATIENCE;
    while heard.lock().map_err(|_| "a hook failed")?.len() < pressed.len() {
        if Instant::now() > deadline {
            let there = heard.lock().map_err(|_| "a hook failed")?.len();
            return Err(format!("{there} of {} alarms were told", pressed.len()).into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    stop.send_replace(true);
    load.await??;
    daemon.stop().await?;
    hooks.abort();
    let stored = rows.join().map_err(|_| "the look at the rows failed")??;
    let heard = heard.lock().map_err(|_| "a hook failed")?;
    let since =
        |at: &Instant, pressed: &Instant| at.saturating_duration_since(*pressed).as_secs_f64() * 1000.0;
    let waited = pressed.iter().enumerate().filter_map(|(turn, at)| Some(since(heard.get(&hook(turn))?, at)));
    Ok(Run {
        heard: waited.collect(),
        stored: stored.iter().zip(&pressed).map(|(at, pressed)| since(at, pressed)).collect(),
    })
}

/// The next button is pressed, one gate after the other; returns when Mosquitto has it.
pub(crate) async fn press(presser: &mut Client, pressed: &mut Vec<Instant>) -> Result<(), Failure> {
    let (gate, button) = (pressed.len() % GATES, pressed.len() / GATES);
    pressed.push(Instant::now());
    presser.publish(&format!("zigbee2mqtt/button-{gate}-{button}"), r#"{"action":"emergency"}"#);
    while presser.unanswered > 0 {
        presser.exchange().await?;
    }
    Ok(())
}

/// The name under which the message of the nth press is noted: its gate, and which of the gate it is.
fn hook(turn: usize) -> String {
    format!("/gate-{} {}", turn % GATES, turn / GATES)
}

/// Takes every request, and notes when the whole of it was there.
async fn listen(listener: TcpListener, heard: Heard) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(requests(stream, Arc::clone(&heard)));
    }
}

async fn requests(mut stream: TcpStream, heard: Heard) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 8192];
        let n = stream.read(&mut chunk).await?;
        if n == 0 {
            return Ok(());
        }
        bytes.extend(chunk.iter().take(n));
        while let Some(length) = whole(&bytes) {
            let at = Instant::now();
            let request: Vec<u8> = bytes.drain(..length).collect();
            let line = String::from_utf8_lossy(&request);
            let path = line.split(' ').nth(1).ok_or("no path")?.to_owned();
            {
                let mut heard = heard.lock().map_err(|_| "a hook failed")?;
                let before = heard.keys().filter(|key| key.starts_with(&format!("{path} "))).count();
                heard.insert(format!("{path} {before}"), at);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
        }
    }
}

/// The length of a request that is there as a whole.
fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(bytes.get(..head)?).to_lowercase();
    let length =
        text.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse::<usize>().ok()?;
    (bytes.len() >= head + length).then_some(head + length)
}

/// Every reader sends passes, all together at this rate, until it is told to stop.
pub(crate) async fn passes(
    address: SocketAddr,
    per_s: f64,
    stopped: tokio::sync::watch::Receiver<bool>,
) -> Result<(), Failure> {
    let pause = Duration::from_secs_f64(READERS as f64 / per_s);
    let mut running = JoinSet::new();
    for number in 0..READERS {
        let (mut client, stopped) =
            (Client::connect(address, &format!("load-{number}")).await?, stopped.clone());
        let begin = Instant::now() + pause.mul_f64(number as f64 / READERS as f64);
        running.spawn(async move {
            let mut pace = interval_at(begin, pause);
            pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for serial in 0.. {
                pace.tick().await;
                if *stopped.borrow() {
                    break;
                }
                client.publish(&format!("mqtt/face/{number}/Rec"), &pass(serial));
                while client.unanswered > 0 {
                    client.exchange().await?;
                }
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

/// When each alarm's row could be read, the first first.
fn watch_rows(data: &Path, stopped: &tokio::sync::watch::Receiver<bool>) -> Result<Vec<Instant>, Failure> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let db = rusqlite::Connection::open_with_flags(data.join(schoolgate::store::FILE_NAME), flags)?;
    let mut count = db.prepare("select count(*) from alarm where rule = 'always.help'")?;
    let mut seen = Vec::new();
    while !*stopped.borrow() {
        let rows: i64 = count.query_row([], |row| row.get(0))?;
        seen.resize(usize::try_from(rows)?.max(seen.len()), Instant::now());
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(seen)
}

/// A gateway on this broker with buttons at gates, each gate with a ladder and a webhook of its own, and readers.
pub(crate) fn configure(dir: &Path, broker: SocketAddr, hooks: SocketAddr) -> Result<PathBuf, Failure> {
    let http = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let mut text = format!(
        "[site]\ngateway = \"gw-bench\"\nname = \"报警学校\"\n[store]\ndir = \"data\"\n\
         [profiles]\ndir = \"{}\"\n[http]\nlisten = \"{http}\"\n\
         [[place]]\nid = \"yard\"\nkind = \"campus\"\nname = \"校园\"\n\
         [[bus]]\nid = \"broker\"\nkind = \"mqtt\"\nhost = \"127.0.0.1\"\nport = {}\n",
        source("device-profiles").display(),
        broker.port()
    );
    for gate in 0..GATES {
        writeln!(
            text,
            "[[place]]\nid = \"gate-{gate}\"\nkind = \"room\"\nname = \"校门{gate}\"\nparent = \"yard\"\n\
             [[channel]]\nid = \"hook-{gate}\"\nkind = \"webhook\"\nurl = \"http://{hooks}/gate-{gate}\"\n\
             [[ladder]]\nid = \"ladder-{gate}\"\nplaces = [\"gate-{gate}\"]\n\
             [[ladder.step]]\nchannels = [\"hook-{gate}\"]"
        )?;
        for button in 0..BUTTONS {
            writeln!(
                text,
                "[[device]]\nid = \"button-{gate}-{button}\"\nprofile = \"tuya-ts0215a\"\nbus = \"broker\"\n\
                 address = \"button-{gate}-{button}\"\nplace = \"gate-{gate}\""
            )?;
        }
    }
    for number in 0..READERS {
        writeln!(
            text,
            "[[device]]\nid = \"reader-{number}\"\nprofile = \"face-rec-mqtt\"\nbus = \"broker\"\n\
             address = \"{number}\"\nplace = \"yard\""
        )?;
    }
    let config = dir.join("gateway.toml");
    std::fs::write(&config, text)?;
    Ok(config)
}

/// A medium that stalls when it is told to, in front of the C library's calls.
struct Medium {
    library: PathBuf,
    script: PathBuf,
    data: PathBuf,
}

impl Medium {
    async fn new(dir: &Path) -> Result<Self, Failure> {
        let (library, script, data) = (dir.join("medium.so"), dir.join("medium"), dir.join("data"));
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(source("tests/it/trouble/medium.c"))
            .arg("-ldl");
        let built = cc.stdin(Stdio::null()).status().await?;
        if !built.success() {
            return Err("tests/it/trouble/medium.c cannot be built".into());
        }
        let medium = Self { library, script, data };
        medium.says("sound")?;
        Ok(medium)
    }

    fn environment(&self) -> [(&'static str, &Path); 3] {
        [("LD_PRELOAD", &self.library), ("MEDIUM_SCRIPT", &self.script), ("MEDIUM_DIR", &self.data)]
    }

    fn says(&self, word: &str) -> Result<(), Failure> {
        let new = self.script.with_extension("new");
        std::fs::write(&new, word)?;
        Ok(std::fs::rename(new, &self.script)?)
    }
}

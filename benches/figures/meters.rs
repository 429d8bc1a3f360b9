//! What the gateway needs for many Modbus TCP devices: the real program against devices in another process, so that
//! memory and processor time are the gateway's alone.

use crate::daemon::{Daemon, Look};
use crate::{Failure, Figure, Goal, daemon, median, quantile, scratch, spread};
use hil::fleet::{Fleet, Mix};
use schoolgate::profile::RegisterTable;
use schoolgate::southbound::modbus::Connection;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_modbus::client::{Reader, tcp};
use tokio_modbus::prelude::Slave;

pub(crate) const LOAD: &[&str] =
    &["meters.points_per_s", "meters.rss_mb", "meters.cores", "meters.command_p99_ms"];
pub(crate) const RATIO: &[&str] = &["meters.reads_ratio_bare"];
pub(crate) const DEAD: &[&str] = &["meters.schedule_kept_30pct_dead"];
pub(crate) const STRETCH: &[&str] =
    &["meters.stretch_points_per_s", "meters.stretch_rss_mb", "meters.stretch_cores"];

/// This program as the devices.
const FLEET: &str = "--fleet";
/// Points of one device, each a float: two registers.
const POINTS: u16 = 30;
const REGISTERS: u16 = POINTS * 2;
/// The gateway is looked at after this, and again after the window.
const WARM_UP: Duration = Duration::from_secs(15);
const WINDOW: Duration = Duration::from_secs(60);
/// With dead devices the first tries of all of them are over only then.
const DEAD_WARM_UP: Duration = Duration::from_secs(30);
/// Devices with a coil that is switched, and how often each is.
const SWITCHED: usize = 200;
const ORDERS_EACH: u32 = 2;
/// Longest wait for an answer of the devices' process.
const PATIENCE: Duration = Duration::from_secs(30);

/// The mix given on the command line, when this process is to be the devices.
pub(crate) fn asked_to_be_the_fleet() -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != FLEET);
    arguments.next()?;
    arguments.next()
}

/// Serves the devices until the other process closes the pipe.
pub(crate) fn be_the_fleet(runtime: &Runtime, mix: &str) -> ExitCode {
    let outcome = mix.parse::<Mix>().and_then(|mix| {
        runtime.block_on(Fleet::be_asked(mix)).map_err(|error| format!("the devices: {error}"))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("figures: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Devices in a process of their own.
struct Devices {
    _process: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
    ports: Vec<u16>,
}

impl Devices {
    async fn start(mix: Mix) -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(FLEET)
            .arg(mix.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let to = process.stdin.take().ok_or("no way to the devices")?;
        let from = BufReader::new(process.stdout.take().ok_or("no way from the devices")?).lines();
        let mut devices = Self { _process: process, to, from, ports: Vec::new() };
        devices.ports = devices.line().await?;
        Ok(devices)
    }

    /// How many reads each has answered.
    async fn reads(&mut self) -> Result<Vec<u64>, Failure> {
        self.to.write_all(b"\n").await?;
        self.to.flush().await?;
        self.line().await
    }

    async fn line<T: std::str::FromStr>(&mut self) -> Result<Vec<T>, Failure> {
        let line =
            timeout(PATIENCE, self.from.next_line()).await.map_err(|_| "the devices say nothing")??;
        let line = line.ok_or("the devices have ended")?;
        let numbers = line.split_whitespace().map(str::parse);
        numbers.collect::<Result<_, _>>().map_err(|_| format!("the devices say '{line}'").into())
    }

    fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.ports.iter().map(|port| (Ipv4Addr::LOCALHOST, *port).into())
    }
}

/// The configuration of a gateway that polls each of these endpoints as a bus of its own once a second.
fn configure(dir: &Path, ports: &[u16]) -> Result<PathBuf, Failure> {
    let profile = dir.join("profiles/energy-meter/bench-meter");
    std::fs::create_dir_all(&profile)?;
    std::fs::write(profile.join("profile.toml"), profile_text()?)?;
    let http = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let mut text = format!(
        "[site]\ngateway = \"gw-bench\"\nname = \"多表学校\"\nschool_code = \"2134000001\"\n[store]\ndir = \"data\"\n\
         [profiles]\ndir = \"profiles\"\n[http]\nlisten = \"{http}\"\n[controls]\nenabled = true\n\
         [[place]]\nid = \"campus\"\nkind = \"campus\"\nname = \"校园\"\n"
    );
    for (number, port) in ports.iter().enumerate() {
        writeln!(
            text,
            "[[bus]]\nid = \"bus-{number}\"\nkind = \"modbus-tcp\"\nhost = \"127.0.0.1\"\nport = {port}\n\
             [[device]]\nid = \"meter-{number}\"\nname = \"电表{number}\"\nprofile = \"bench-meter\"\n\
             bus = \"bus-{number}\"\naddress = 1\nplace = \"campus\"\npoll_secs = 1"
        )?;
    }
    for number in 0..SWITCHED.min(ports.len()) {
        writeln!(
            text,
            "[[control]]\nid = \"light-{number}\"\ndevice = \"meter-{number}\"\npoint = \"light\"\nallow = [0, 1]\nmin_interval_secs = 0"
        )?;
    }
    let config = dir.join("gateway.toml");
    std::fs::write(&config, text)?;
    Ok(config)
}

fn profile_text() -> Result<String, Failure> {
    let mut text = "id = \"bench-meter\"\nclass = \"energy-meter\"\nvendor = \"Bench\"\nmodel = \"Meter\"\n\
                    name_zh = \"测试电表\"\nname_en = \"bench meter\"\nsource = \"this measurement\"\n\
                    confirmed = true\nprotocol = \"modbus\"\n"
        .to_owned();
    for point in 0..POINTS {
        writeln!(
            text,
            "[[point]]\nid = \"p{point}\"\nname_zh = \"量{point}\"\nname_en = \"p{point}\"\ntable = \"input\"\n\
             address = {}\ntype = \"f32\"\nunit = \"V\"",
            point * 2
        )?;
    }
    // What is switched is hardly ever polled, so that the load is that of the floats.
    text.push_str(
        "[[point]]\nid = \"light\"\nname_zh = \"照明\"\nname_en = \"light\"\ntable = \"coil\"\naddress = 0\n\
         type = \"bit\"\nkind = \"state\"\nunit = \"1\"\nevery = 1000\nwrite = \"single\"\n",
    );
    Ok(text)
}

/// A run of the gateway with its devices.
struct Run {
    first: Look,
    last: Look,
    secs: f64,
    /// Reads each device answered in the window.
    reads: Vec<u64>,
    /// Milliseconds from each order to its outcome, where orders were given.
    waits: Vec<f64>,
}

impl Run {
    fn per_s(&self, what: impl Fn(&Look) -> f64) -> f64 {
        (what(&self.last) - what(&self.first)) / self.secs
    }
}

async fn run(mix: Mix, warm_up: Duration, orders: u32) -> Result<Run, Failure> {
    let dir = scratch()?;
    let mut devices = Devices::start(mix).await?;
    let daemon = Daemon::start(&configure(dir.path(), &devices.ports)?).await?;
    sleep_until(Instant::now() + warm_up).await;
    let (before, begun, first) = (devices.reads().await?, Instant::now(), daemon.look().await?);
    sleep_until(begun + WINDOW).await;
    let (after, secs, last) = (devices.reads().await?, begun.elapsed().as_secs_f64(), daemon.look().await?);
    let waits = order(&daemon, orders).await?;
    daemon.stop().await?;
    let reads = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    Ok(Run { first, last, secs, reads, waits })
}

/// Switches each light on and off so often, one after another, as a person does by the API; milliseconds until each was
/// read to be so.
async fn order(daemon: &Daemon, orders: u32) -> Result<Vec<f64>, Failure> {
    let (client, mut waits) = (daemon::client()?, Vec::new());
    for turn in 0..orders {
        for number in 0..SWITCHED {
            let url = format!("{}/api/v1/controls/light-{number}", daemon.base());
            let body = serde_json::json!({"actor": "bench", "value": (turn + 1) % 2, "reason": "measured"});
            let begun = Instant::now();
            let answer = client.post(url).json(&body).send().await?;
            waits.push(begun.elapsed().as_secs_f64() * 1000.0);
            if !answer.status().is_success() {
                return Err(format!("light-{number}: {}", answer.text().await?).into());
            }
        }
    }
    Ok(waits)
}

/// So many devices, all of which answer.
fn all_answer(runtime: &Runtime, devices: u16, orders: u32) -> Result<(Run, String), Failure> {
    let run = runtime.block_on(run(Mix::new(usize::from(devices), 0), WARM_UP, orders))?;
    let shed = run.last.shed - run.first.shed;
    let how = format!(
        "{devices} Modbus TCP devices of {POINTS} floats in one read each, every second, each a bus of its own; the \
         gateway stores every value, FULL; {:.0} s, {:.1} reads/s, {shed} deliveries shed",
        run.secs,
        run.reads.iter().sum::<u64>() as f64 / run.secs,
    );
    Ok((run, how))
}

pub(crate) fn load(runtime: &Runtime) -> Result<Vec<Figure>, Failure> {
    let (run, how) = all_answer(runtime, 500, ORDERS_EACH)?;
    let wanted = 500.0 * f64::from(POINTS);
    let points = run.per_s(|look| look.observations);
    Ok(vec![
        Figure::new(
            "meters.points_per_s",
            points,
            "1/s",
            Goal::AtLeast(wanted * 0.99),
            format!("{wanted} due; {how}"),
        ),
        Figure::new(
            "meters.rss_mb",
            run.last.rss_mb,
            "MB",
            Goal::Below(60.0),
            format!(
                "VmRSS of the daemon at the end; {:.1} MB at most since its start; as above",
                run.last.peak_mb
            ),
        ),
        Figure::new(
            "meters.cores",
            run.per_s(|look| look.cpu_secs),
            "cores",
            Goal::Below(0.5),
            "user and system time of the daemon for each second, as above".to_owned(),
        ),
        Figure::new(
            "meters.command_p99_ms",
            quantile(&run.waits, 0.99),
            "ms",
            Goal::Below(100.0),
            format!(
                "from an order by the API to its outcome: intent durable, coil written, coil read back; {} orders to \
                 {SWITCHED} devices one after another under that load; median {:.1} ms, longest {:.1} ms",
                run.waits.len(),
                median(&run.waits),
                quantile(&run.waits, 1.0)
            ),
        ),
    ])
}

pub(crate) fn stretch(runtime: &Runtime) -> Result<Vec<Figure>, Failure> {
    let (run, how) = all_answer(runtime, 3_334, 0)?;
    let points = run.per_s(|look| look.observations);
    Ok(vec![
        Figure::new("meters.stretch_points_per_s", points, "1/s", Goal::AtLeast(99_000.0), how),
        Figure::new(
            "meters.stretch_rss_mb",
            run.last.rss_mb,
            "MB",
            Goal::Below(150.0),
            format!(
                "VmRSS of the daemon at the end; {:.1} MB at most since its start; as above",
                run.last.peak_mb
            ),
        ),
        Figure::new(
            "meters.stretch_cores",
            run.per_s(|look| look.cpu_secs),
            "cores",
            Goal::Info,
            "user and system time of the daemon for each second, as above".to_owned(),
        ),
    ])
}

pub(crate) fn dead(runtime: &Runtime) -> Result<Vec<Figure>, Failure> {
    let mix = Mix::new(700, 100);
    let run = runtime.block_on(run(mix, DEAD_WARM_UP, 0))?;
    let due = run.secs.floor();
    let shares: Vec<f64> = run
        .reads
        .iter()
        .zip(mix.manners())
        .filter(|(_, manner)| *manner == hil::fleet::Manner::Answers)
        .map(|(reads, _)| (*reads as f64 / due).min(1.0))
        .collect();
    let kept = shares.iter().sum::<f64>() / shares.len() as f64 * 100.0;
    let worst = shares.iter().copied().fold(1.0, f64::min) * 100.0;
    Ok(vec![Figure::new(
        "meters.schedule_kept_30pct_dead",
        kept,
        "%",
        Goal::AtLeast(99.0),
        format!(
            "reads the 700 healthy of 1,000 Modbus TCP devices were asked for, counted by the devices, of one each \
             second for {due} s; the worst of them {worst:.1} %; of the others 100 refuse connections, 100 let them \
             vanish, 100 take them and never answer; daemon {:.2} cores, {:.1} MB",
            run.per_s(|look| look.cpu_secs),
            run.last.rss_mb
        ),
    )])
}

/// Connections that read at the same time, and reads of each in one run.
const CONNECTIONS: usize = 8;
const READS: u16 = 500;
/// Pairs of runs that count; one more before them warms the caches.
const PAIRS: usize = 40;
const TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) fn ratio(runtime: &Runtime) -> Result<Vec<Figure>, Failure> {
    let devices = runtime.block_on(Devices::start(Mix::new(CONNECTIONS, 0)))?;
    let addresses: Vec<SocketAddr> = devices.addresses().collect();
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());
    for pair in 0..=PAIRS {
        let ours = runtime.block_on(together(&addresses, ours))?;
        let bare = runtime.block_on(together(&addresses, bare))?;
        if pair > 0 {
            ratios.push(bare / ours);
            rates.push(f64::from(READS) * CONNECTIONS as f64 / ours);
        }
    }
    Ok(vec![Figure::new(
        "meters.reads_ratio_bare",
        median(&ratios),
        "ratio",
        Goal::AtLeast(0.9),
        format!(
            "the bare tokio-modbus client, which has no deadline and keeps no account of late replies, with the same \
             reads of {REGISTERS} registers, {CONNECTIONS} connections at once to devices in another process, in turn \
             with ours ({:.0} reads/s); {}",
            median(&rates),
            spread(&ratios)
        ),
    )])
}

/// Seconds until all connections have made their reads.
async fn together<F: Future<Output = Result<(), Failure>> + Send + 'static>(
    addresses: &[SocketAddr],
    reads: fn(SocketAddr) -> F,
) -> Result<f64, Failure> {
    let begun = Instant::now();
    let mut all: JoinSet<_> = addresses.iter().map(|address| reads(*address)).collect();
    while let Some(done) = all.join_next().await {
        done??;
    }
    Ok(begun.elapsed().as_secs_f64())
}

async fn ours(address: SocketAddr) -> Result<(), Failure> {
    let mut connection = Connection::connect(&address.ip().to_string(), address.port(), TIMEOUT).await?;
    for _ in 0..READS {
        whole(&connection.read(1, RegisterTable::Input, 0, REGISTERS).await?)?;
    }
    Ok(())
}

async fn bare(address: SocketAddr) -> Result<(), Failure> {
    let mut client = tcp::connect_slave(address, Slave(1)).await?;
    for _ in 0..READS {
        whole(&client.read_input_registers(0, REGISTERS).await??)?;
    }
    Ok(())
}

fn whole(words: &[u16]) -> Result<(), Failure> {
    if words.len() == usize::from(REGISTERS) { Ok(()) } else { Err("a short reply".into()) }
}

//! Modbus TCP from the wire to the lanes: against pymodbus, and against servers that misbehave.

#![cfg(test)]

use crate::rig;
use schoolgate::config::{Bus, BusKind, Device, ModbusTcp, Parity, Serial, SerialPlace};
use schoolgate::model::{
    Body, BusId, ClockQuality, DeviceId, Doubt, Fault, Input, Link, PlaceId, Quality, Reading, Stamp, Unit,
};
use schoolgate::profile::Profile;
use schoolgate::runtime::lanes::Parcel;
use schoolgate::runtime::{Outlet, SystemClock, Tasks};
use schoolgate::southbound::{Field, drivers, supervise};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

const MS: Duration = Duration::from_millis(1);

// ---- the gateway's side

fn profile(modbus: &str, points: &[(&str, &str, u16, &str, &str)]) -> Arc<Profile> {
    let mut text = format!(
        "id = 'test-meter'\nclass = 'energy-meter'\nvendor = 'Test'\nmodel = 'Meter'\nname_zh = '电表'\n\
         name_en = 'meter'\nsource = 'this test'\nconfirmed = true\nprotocol = 'modbus'\n[modbus]\n{modbus}\n"
    );
    for (id, table, address, kind, rest) in points {
        writeln!(
            text,
            "[[point]]\nid = '{id}'\nname_zh = '量'\nname_en = '{id}'\ntable = '{table}'\naddress = {address}\n\
             type = '{kind}'\n{rest}"
        )
        .unwrap();
    }
    rig::profile(&text)
}

fn device(id: &str, unit: u8, bus: &str, poll: Duration, profile: &Arc<Profile>) -> Device {
    Device {
        id: DeviceId::new(id).unwrap(),
        name: id.into(),
        profile: Arc::clone(profile),
        bus: BusId::new(bus).unwrap(),
        address: unit.to_string(),
        place: PlaceId::new("room").unwrap(),
        poll,
        alarmed: BTreeSet::new(),
    }
}

#[derive(Debug)]
struct Got {
    device: String,
    reading: Reading,
    stamp: Stamp,
    at: Instant,
}

fn tcp(port: u16, timeout: Duration) -> BusKind {
    BusKind::ModbusTcp(ModbusTcp { host: "127.0.0.1".into(), port, timeout, gap: Duration::ZERO })
}

pub fn serial(place: SerialPlace, timeout: Duration) -> BusKind {
    BusKind::Serial(Serial { place, baud: 9600, timeout, gap: Duration::ZERO })
}

/// Drivers at work, and everything they have put into the pipe so far.
pub struct Gateway {
    field: Field,
    outlet: Outlet,
    tasks: Tasks,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    readings: Vec<Got>,
    links: Vec<(String, Link)>,
    refused: u32,
}

impl Gateway {
    pub fn new() -> Self {
        let (field, outlet) = rig::field(Arc::new(SystemClock::new()));
        let (stop, stopped) = watch::channel(false);
        let (readings, links) = (Vec::new(), Vec::new());
        Self { field, outlet, tasks: Tasks::new(), stop, stopped, readings, links, refused: 0 }
    }

    fn start(&mut self, bus: &str, port: u16, timeout: Duration, devices: &[Device]) {
        self.start_on(bus, tcp(port, timeout), devices);
    }

    pub fn start_on(&mut self, bus: &str, kind: BusKind, devices: &[Device]) {
        let bus = Bus { id: BusId::new(bus).unwrap(), kind };
        for driver in drivers(&bus, devices) {
            self.tasks.spawn("bus", supervise(driver, self.field.clone(), self.stopped.clone()));
        }
    }

    /// Takes what comes until `enough`; panics when that takes longer than `secs`.
    pub async fn until(&mut self, what: &str, secs: u64, enough: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(secs);
        while !enough(self) {
            tokio::select! {
                parcel = self.outlet.events.recv() => self.take_event(parcel.expect("drivers are at work")),
                delivery = self.outlet.readings.recv() => self.take(&delivery.expect("none is shed").inputs),
                () = tokio::time::sleep_until(deadline) => {
                    panic!("no {what} within {secs} s; {} readings, links {:?}", self.readings.len(), self.links)
                }
            }
        }
    }

    fn take_event(&mut self, parcel: Parcel) {
        self.take(&parcel.delivery.inputs);
        parcel.committed.expect("someone to tell").send(()).ok();
    }

    fn take(&mut self, inputs: &[Input]) {
        for input in inputs {
            match input {
                Input::Observed(seen) => {
                    assert!(!seen.retained);
                    let (device, stamp, at) = (seen.device.to_string(), seen.stamp, Instant::now());
                    match seen.body.clone() {
                        Body::Reading(reading) => self.readings.push(Got { device, reading, stamp, at }),
                        Body::Link(link) => self.links.push((device, link)),
                        Body::Event(event) => panic!("{event:?}"),
                    }
                }
                Input::Refused(refused) => {
                    assert!(!refused.raw.is_empty() && refused.kind == "bad_reply", "{refused:?}");
                    self.refused += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    pub fn has_link(&self, device: &str, link: Link) -> bool {
        self.links.iter().any(|(d, l)| d == device && *l == link)
    }

    /// Every reading so far, and whose it is.
    pub fn seen(&self) -> impl Iterator<Item = (&str, &Reading)> {
        self.readings.iter().map(|got| (got.device.as_str(), &got.reading))
    }

    pub fn count(&self, device: &str) -> usize {
        self.readings.iter().filter(|got| got.device == device).count()
    }

    pub async fn stop(mut self) {
        let began = Instant::now();
        self.stop.send(true).unwrap();
        while self.tasks.next_ended().await.is_some() {}
        assert!(began.elapsed() < Duration::from_secs(1), "stopping took {:?}", began.elapsed());
    }
}

// ---- against pymodbus

fn python() -> PathBuf {
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
async fn pymodbus_on(wire: &[&str]) -> (Child, String) {
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
            tokio::time::sleep(MS).await;
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

#[tokio::test]
async fn pymodbus_by_rtu_on_a_serial_port_gives_right_values_units_and_quality() {
    let cable = Cable::new().await;
    let (_child, _) = pymodbus_on(&["rtu", &cable.end("a").display().to_string()]).await;
    reads_pymodbus(serial(cable.port("b"), 300 * MS)).await;
}

#[tokio::test]
async fn pymodbus_by_rtu_behind_a_converter_gives_right_values_units_and_quality() {
    let (_child, line) = pymodbus_on(&["rtu-tcp"]).await;
    let port = line.strip_prefix("port ").and_then(|port| port.parse().ok()).expect(&line);
    reads_pymodbus(serial(SerialPlace::Converter { host: "127.0.0.1".into(), port }, 300 * MS)).await;
}

#[tokio::test]
async fn pymodbus_in_two_word_orders_gives_right_values_units_and_quality() {
    let (_child, port) = pymodbus().await;
    reads_pymodbus(tcp(port, 300 * MS)).await;
}

async fn reads_pymodbus(bus: BusKind) {
    // max_gap makes one read of registers 0 to 9, of which 4 and 5 do not exist: pymodbus answers exception 02.
    let abcd = profile(
        "order = 'ABCD'\nmax_gap = 4",
        &[
            ("voltage", "input", 0, "f32", "unit = 'V'"),
            ("broken", "input", 2, "f32", "unit = 'A'"),
            ("temperature", "input", 6, "f32", "unit = '°C'"),
            ("energy", "input", 8, "u32", "unit = 'kWh'\nkind = 'counter'\nscale = 0.01"),
            ("absent", "input", 700, "u16", "unit = '1'"),
        ],
    );
    let cdab = profile(
        "order = 'CDAB'",
        &[
            ("frequency", "holding", 0, "f32", "unit = 'Hz'"),
            ("energy", "holding", 2, "u32", "unit = 'kWh'\nkind = 'counter'\nscale = 0.001"),
            ("power", "holding", 4, "i32", "unit = 'W'"),
            ("sentinel", "holding", 6, "u16", "unit = '%'\ninvalid = ['FFFF']"),
        ],
    );
    let mut gateway = Gateway::new();
    let devices = [
        device("abcd", 1, "line", 100 * MS, &abcd),
        device("cdab", 2, "line", 100 * MS, &cdab),
        device("nobody", 9, "line", 100 * MS, &cdab),
    ];
    gateway.start_on("line", bus, &devices);
    // pymodbus 3.16 with several devices answers exception 04 for a unit it does not have.
    let (up, down) = (Link::Up, Link::Down(Fault::Refused));
    gateway
        .until("links and 40 readings of both units", 20, |g| {
            g.has_link("nobody", down) && g.count("abcd") >= 40 && g.count("cdab") >= 40
        })
        .await;
    assert_eq!(gateway.links.len(), 3, "each told once: {:?}", gateway.links);
    assert!(gateway.has_link("abcd", up) && gateway.has_link("cdab", up));

    let good = |value: f64, unit| (Some(value), unit, Quality::Good);
    let expected = BTreeMap::from([
        (("abcd", "voltage"), good(230.5, Unit::Volt)),
        (("abcd", "broken"), (None, Unit::Ampere, Quality::Bad(Doubt::NotANumber))),
        (("abcd", "temperature"), good(-12.25, Unit::Celsius)),
        (("abcd", "energy"), good(40_000_000.07, Unit::KilowattHour)),
        (("cdab", "frequency"), good(50.0625, Unit::Hertz)),
        (("cdab", "energy"), good(305_419.896, Unit::KilowattHour)),
        (("cdab", "power"), good(-42_000.0, Unit::Watt)),
        (("cdab", "sentinel"), (None, Unit::Percent, Quality::Bad(Doubt::Sentinel))),
    ]);
    let mut seen = BTreeMap::new();
    for Got { device, reading, stamp, .. } in &gateway.readings {
        assert_eq!((stamp.device, stamp.clock), (None, ClockQuality::NoDeviceTime));
        seen.insert(
            (device.as_str(), reading.point.as_str()),
            (reading.value, reading.unit, reading.quality),
        );
        assert_eq!(
            expected.get(&(device.as_str(), reading.point.as_str())),
            Some(&(reading.value, reading.unit, reading.quality)),
            "{device} {}",
            reading.point
        );
    }
    assert_eq!(seen, expected, "every point there is was read, the absent one was not");
    gateway.stop().await;
}

// ---- against servers that misbehave

#[derive(Debug, Clone, Copy)]
struct Asked {
    id: [u8; 2],
    unit: u8,
    function: u8,
    address: u16,
    quantity: u16,
}

impl Asked {
    /// The right reply, every register holding `value(address)`.
    fn reply(&self, value: fn(u16) -> u16) -> Vec<u8> {
        let count = u8::try_from(self.quantity * 2).unwrap();
        let mut bytes = vec![self.id[0], self.id[1], 0, 0, 0, count + 3, self.unit, self.function, count];
        for offset in 0..self.quantity {
            bytes.extend(value(self.address + offset).to_be_bytes());
        }
        bytes
    }
}

enum Does {
    Answers(Vec<u8>),
    /// The reply comes after this long, while later requests are answered in time.
    AnswersLate(Duration, Vec<u8>),
    Nothing,
    AnswersThenCloses(Vec<u8>),
    Closes,
}

struct Server {
    port: u16,
    connections: Arc<AtomicU32>,
    _task: JoinSet<()>,
}

/// A server that does with each request, numbered from 1, what `script` says; any number of connections.
async fn server(script: impl Fn(u32, Asked) -> Does + Send + Sync + 'static) -> Server {
    serve(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(), script)
}

fn serve(listener: TcpListener, script: impl Fn(u32, Asked) -> Does + Send + Sync + 'static) -> Server {
    let port = listener.local_addr().unwrap().port();
    let (script, requests, connections) = (Arc::new(script), Arc::new(AtomicU32::new(0)), Arc::default());
    let counted: Arc<AtomicU32> = Arc::clone(&connections);
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut clients = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            clients.spawn(client(stream, Arc::clone(&script), Arc::clone(&requests)));
        }
    });
    Server { port, connections, _task: task }
}

async fn client<S: Fn(u32, Asked) -> Does>(stream: TcpStream, script: Arc<S>, requests: Arc<AtomicU32>) {
    stream.set_nodelay(true).unwrap();
    let (mut from, mut to) = stream.into_split();
    let (send, mut sent) = mpsc::channel::<Vec<u8>>(64);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Some(bytes) = sent.recv().await {
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let mut raw = [0; 12];
    while from.read_exact(&mut raw).await.is_ok() {
        let two = |at: usize| u16::from_be_bytes([raw[at], raw[at + 1]]);
        let (id, unit, function) = ([raw[0], raw[1]], raw[6], raw[7]);
        let asked = Asked { id, unit, function, address: two(8), quantity: two(10) };
        match script(requests.fetch_add(1, Ordering::SeqCst) + 1, asked) {
            Does::Answers(bytes) => send.send(bytes).await.unwrap_or(()),
            Does::AnswersLate(after, bytes) => {
                let send = send.clone();
                tasks.spawn(async move {
                    tokio::time::sleep(after).await;
                    send.send(bytes).await.unwrap_or(());
                });
            }
            Does::Nothing => {}
            Does::Closes => return,
            Does::AnswersThenCloses(bytes) => {
                send.send(bytes).await.unwrap_or(());
                drop(send);
                while tasks.join_next().await.is_some() {}
                return;
            }
        }
    }
}

/// A register's value tells its address.
fn mark(address: u16) -> u16 {
    address ^ 0xA5A5
}

/// Single registers that cannot be merged, named after their addresses.
fn scattered(count: u16) -> Arc<Profile> {
    let ids: Vec<(String, u16)> = (0..count).map(|i| (format!("r{}", i * 2), i * 2)).collect();
    let points: Vec<_> =
        ids.iter().map(|(id, at)| (id.as_str(), "holding", *at, "u16", "unit = '1'")).collect();
    profile("", &points)
}

fn assert_no_wrong_value(gateway: &Gateway) {
    for Got { device, reading, .. } in &gateway.readings {
        let address: u16 = reading.point.as_str().trim_start_matches('r').parse().unwrap();
        assert_eq!(reading.value, Some(f64::from(mark(address))), "{device} {}", reading.point);
    }
}

/// Every third request is answered only after our timeout, while the next is already under way: 3,000 reads over
/// four buses, and a healthy device on a bus of its own beside them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_replies_never_become_wrong_values_and_others_keep_their_schedule() {
    const TIMEOUT: Duration = Duration::from_millis(30);
    const PERIOD: Duration = Duration::from_millis(100);
    let mut servers = Vec::new();
    let mut gateway = Gateway::new();
    let many = scattered(250);
    for bus in ["late-1", "late-2", "late-3", "late-4"] {
        let late = server(|n, asked| match n % 3 {
            0 => Does::AnswersLate(TIMEOUT + 5 * MS, asked.reply(mark)),
            _ => Does::Answers(asked.reply(mark)),
        })
        .await;
        gateway.start(bus, late.port, TIMEOUT, &[device(bus, 1, bus, MS, &many)]);
        servers.push(late);
    }
    let healthy = server(|_, asked| Does::Answers(asked.reply(mark))).await;
    gateway.start("fine", healthy.port, 20 * TIMEOUT, &[device("fine", 2, "fine", PERIOD, &scattered(1))]);

    let requests = |g: &Gateway| g.field.tally.requests.all();
    let late_requests = |g: &Gateway| -> u64 {
        requests(g).iter().filter(|(bus, _)| bus.as_str() != "fine").map(|(_, n)| n).sum()
    };
    let began = Instant::now();
    gateway.until("3,000 reads", 60, |g| late_requests(g) >= 3000).await;
    let ran = began.elapsed();
    assert_no_wrong_value(&gateway);
    let late_values = gateway.readings.len() - gateway.count("fine");
    let stale: u64 = gateway.field.tally.stale_replies.all().iter().map(|(_, n)| n).sum();
    assert!(late_values >= 1500, "{late_values} values of 3,000 reads");
    assert!(stale >= 500, "only {stale} late replies were thrown away: the server was not late");
    let fine = gateway.readings.iter().filter(|got| got.device == "fine").map(|got| got.at);
    let fine: Vec<Instant> = fine.collect();
    let due = usize::try_from(ran.as_millis() / PERIOD.as_millis()).unwrap();
    assert!(fine.len() * 10 >= due * 9, "{} polls of {due} in {ran:?}", fine.len());
    assert!(!gateway.links.iter().any(|(device, link)| device == "fine" && *link != Link::Up));
    gateway.stop().await;
}

#[tokio::test]
async fn a_silent_unit_goes_down_once_holds_nobody_up_and_comes_back() {
    let awake = Arc::new(AtomicBool::new(false));
    let answers = Arc::clone(&awake);
    let converter = server(move |_, asked| match asked.unit {
        2 if !answers.load(Ordering::SeqCst) => Does::Nothing,
        _ => Does::Answers(asked.reply(mark)),
    })
    .await;
    let mut gateway = Gateway::new();
    let one = scattered(1);
    let devices = [device("well", 1, "line", 20 * MS, &one), device("dead", 2, "line", 20 * MS, &one)];
    gateway.start("line", converter.port, 40 * MS, &devices);
    let down = Link::Down(Fault::Timeout);
    gateway.until("the dead unit down", 10, |g| g.has_link("dead", down)).await;
    let before = gateway.count("well");
    gateway.until("50 more readings of the other", 5, |g| g.count("well") >= before + 50).await;
    awake.store(true, Ordering::SeqCst);
    gateway.until("the unit back", 20, |g| g.count("dead") >= 3).await;
    let dead: Vec<Link> = gateway.links.iter().filter(|(d, _)| d == "dead").map(|(_, l)| *l).collect();
    assert_eq!(dead, [down, Link::Up]);
    assert!(!gateway.links.iter().any(|(d, l)| d == "well" && *l != Link::Up));
    assert_no_wrong_value(&gateway);
    gateway.stop().await;
}

#[tokio::test]
async fn a_missing_register_is_left_out_and_the_rest_is_read() {
    let meter = server(|_, asked| {
        if (asked.address..asked.address + asked.quantity).contains(&22) {
            return Does::Answers(vec![asked.id[0], asked.id[1], 0, 0, 0, 3, asked.unit, 0x83, 2]);
        }
        Does::Answers(asked.reply(mark))
    })
    .await;
    let ids: Vec<String> = (0..64).map(|at| format!("r{at}")).collect();
    let points: Vec<_> =
        (0..64).zip(&ids).map(|(at, id)| (id.as_str(), "holding", at, "u16", "unit = '1'")).collect();
    let mut gateway = Gateway::new();
    gateway.start(
        "line",
        meter.port,
        500 * MS,
        &[device("meter", 1, "line", 50 * MS, &profile("", &points))],
    );
    gateway.until("three rounds", 10, |g| g.count("meter") >= 3 * 63).await;
    assert_no_wrong_value(&gateway);
    assert!(gateway.readings.iter().all(|got| got.reading.point.as_str() != "r22"));
    let first_round: Vec<&str> = gateway.readings.iter().take(63).map(|g| g.reading.point.as_str()).collect();
    assert!(ids.iter().all(|id| id == "r22" || first_round.contains(&id.as_str())), "{first_round:?}");
    let faults = gateway.field.tally.device_faults.all();
    assert_eq!(faults, [((DeviceId::new("meter").unwrap(), Fault::Misconfigured), 1)]);
    assert_eq!(gateway.links, [("meter".to_owned(), Link::Up)]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_device_with_an_impossible_address_is_down_and_the_others_are_polled() {
    let converter = server(|_, asked| Does::Answers(asked.reply(mark))).await;
    let mut gateway = Gateway::new();
    let one = scattered(1);
    let mut devices = [device("well", 1, "line", 50 * MS, &one), device("lost", 0, "line", 50 * MS, &one)];
    devices[1].address = "meter-7".into();
    gateway.start("line", converter.port, 500 * MS, &devices);
    gateway.until("five readings", 5, |g| g.count("well") >= 5).await;
    let down = ("lost".to_owned(), Link::Down(Fault::Misconfigured));
    assert_eq!(gateway.links, [down, ("well".to_owned(), Link::Up)]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_bad_reply_is_quarantined_and_costs_the_other_unit_nothing() {
    let converter = server(|_, asked| {
        let mut reply = asked.reply(mark);
        if asked.unit == 2 {
            reply[8] = 0;
        }
        Does::Answers(reply)
    })
    .await;
    let mut gateway = Gateway::new();
    let one = scattered(1);
    let devices = [device("well", 1, "line", 50 * MS, &one), device("odd", 2, "line", 50 * MS, &one)];
    gateway.start("line", converter.port, 100 * MS, &devices);
    let down = Link::Down(Fault::Protocol);
    gateway.until("the odd unit down", 20, |g| g.has_link("odd", down) && g.refused >= 3).await;
    assert_eq!(gateway.count("odd"), 0);
    assert!(!gateway.links.iter().any(|(d, l)| d == "well" && *l != Link::Up));
    assert!(converter.connections.load(Ordering::SeqCst) <= 4, "no storm of connects");
    gateway.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_closes_after_each_answer_is_no_failure() {
    let meter = server(|_, asked| Does::AnswersThenCloses(asked.reply(mark))).await;
    let mut gateway = Gateway::new();
    let period = Duration::from_millis(2100);
    gateway.start("line", meter.port, 500 * MS, &[device("meter", 1, "line", period, &scattered(1))]);
    gateway.until("three readings", 15, |g| g.count("meter") >= 3).await;
    assert_eq!(gateway.links, [("meter".to_owned(), Link::Up)]);
    assert_eq!(meter.connections.load(Ordering::SeqCst), 3);
    gateway.stop().await;
}

#[tokio::test]
async fn a_unit_that_makes_the_endpoint_close_keeps_nobody_waiting() {
    let converter = server(|_, asked| match asked.unit {
        1 => Does::Closes,
        _ => Does::Answers(asked.reply(mark)),
    })
    .await;
    let mut gateway = Gateway::new();
    let one = scattered(1);
    // The bad one is asked first, and again after every connect.
    let devices = [device("bad", 1, "line", 50 * MS, &one), device("well", 2, "line", 50 * MS, &one)];
    gateway.start("line", converter.port, 100 * MS, &devices);
    gateway
        .until("the bad unit down", 30, |g| {
            g.has_link("bad", Link::Down(Fault::Gone)) && g.count("well") >= 20
        })
        .await;
    assert_eq!(gateway.count("bad"), 0);
    gateway.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_unreachable_and_found_once_it_is() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut gateway = Gateway::new();
    gateway.start("line", address.port(), 500 * MS, &[device("meter", 1, "line", 50 * MS, &scattered(1))]);
    gateway.until("unreachable", 5, |g| g.has_link("meter", Link::Down(Fault::Unreachable))).await;
    let meter = serve(TcpListener::bind(address).await.unwrap(), |_, asked| Does::Answers(asked.reply(mark)));
    gateway.until("up", 10, |g| g.has_link("meter", Link::Up) && g.count("meter") >= 2).await;
    assert_eq!(gateway.links.len(), 2, "{:?}", gateway.links);
    assert_eq!(meter.connections.load(Ordering::SeqCst), 1);
    gateway.stop().await;
}

//! libmodbus, a library that nobody here wrote, from both sides: its server read by our client over TCP and over a
//! serial line, and its client (mbpoll) reading what our simulators serve.

use crate::modbus::{Gateway, serial};
use crate::pymodbus::Cable;
use crate::rig;
use hil::fleet::{Fleet, Manner};
use hil::meters::{Make, Meters};
use schoolgate::config::{BusKind, Device, ModbusTcp};
use schoolgate::model::{BusId, DeviceId, Fault, Link, PlaceId, Quality};
use schoolgate::profile::{Profile, RegisterTable, Write};
use schoolgate::southbound::modbus::Connection;
use schoolgate::southbound::polled::{Ask, Block, Channel, Exception, ReadError, Said, Station};
use schoolgate::southbound::serial::codec::Refusal;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const MS: Duration = Duration::from_millis(1);
/// The unit that the server is.
const UNIT: u8 = 17;
/// Until a program of another's has started and answered.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server, compiled once.
fn program() -> &'static Path {
    static BUILT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, program) = BUILT.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let program = dir.path().join("libmodbus_meters");
        let source = rig::root().join("tests/peers/libmodbus_meters.c");
        let compiled = std::process::Command::new("cc")
            .args(["-O1", "-Wall", "-Wextra", "-Werror", "-I/usr/include/modbus", "-o"])
            .args([&program, &source])
            .args(["-lmodbus", "-lpthread"])
            .status();
        assert!(
            compiled.expect("cc runs").success(),
            "libmodbus_meters.c compiles (`make test` installs libmodbus-dev)"
        );
        (dir, program)
    });
    program
}

/// Starts the server; the line it prints when it is up.
async fn server(wire: &[&str]) -> (Child, String) {
    let mut child = Command::new(program())
        .args(wire)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the server starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let line = timeout(PATIENCE, lines.next_line()).await.expect("a line in time").expect("a line");
    (child, line.expect("the server says that it is up"))
}

async fn server_by_tcp() -> (Child, u16) {
    let (child, line) = server(&["tcp"]).await;
    (child, line.strip_prefix("port ").and_then(|port| port.parse().ok()).expect(&line))
}

/// Id, address, type, order and value of each point in the server's input registers.
fn numbers() -> [(&'static str, u16, &'static str, &'static str, f64); 12] {
    [
        ("abcd", 100, "f32", "ABCD", f64::from(-273.15f32)),
        ("cdab", 102, "f32", "CDAB", 230.0625),
        ("badc", 104, "f32", "BADC", f64::from(0.1f32)),
        ("dcba", 106, "f32", "DCBA", f64::from(1e-30f32)),
        ("i32", 108, "i32", "ABCD", -2.0),
        ("u32", 110, "u32", "CDAB", 4_000_000_007.0),
        ("i64", 112, "i64", "ABCD", -2.0),
        ("u64", 116, "u64", "ABCD", 1_099_511_627_781.0),
        ("f64", 120, "f64", "ABCD", 1.0 / 3.0),
        ("u16", 124, "u16", "ABCD", 65_535.0),
        ("i16", 125, "i16", "ABCD", -32_768.0),
        ("swapped", 126, "u16", "BADC", 13_330.0),
    ]
}

/// A profile of the server's input registers; with `holes`, also of registers that it does not have, so near that the
/// planner asks for them together with the others.
fn profile(holes: bool) -> Arc<Profile> {
    let mut text =
        "id = 'test-meter'\nclass = 'energy-meter'\nvendor = 'Test'\nmodel = 'Meter'\nname_zh = '电表'\n\
                    name_en = 'meter'\nsource = 'this test'\nconfirmed = true\nprotocol = 'modbus'\n\
                    [modbus]\nmax_gap = 20\n"
            .to_owned();
    let mut point = |id: &str, address: u16, kind: &str, order: &str| {
        writeln!(
            text,
            "[[point]]\nid = '{id}'\nname_zh = '量'\nname_en = '{id}'\ntable = 'input'\naddress = {address}\n\
             type = '{kind}'\norder = '{order}'\nunit = '1'"
        )
        .expect("a string takes it");
    };
    for (id, address, kind, order, _) in numbers() {
        point(id, address, kind, order);
    }
    if holes {
        point("before", 99, "u16", "ABCD");
        point("behind", 140, "u16", "ABCD");
    }
    rig::profile(&text)
}

fn device(id: &str, unit: u8, profile: &Arc<Profile>) -> Device {
    Device {
        id: DeviceId::new(id).unwrap(),
        name: id.into(),
        profile: Arc::clone(profile),
        bus: BusId::new("line").unwrap(),
        address: unit.to_string(),
        place: PlaceId::new("room").unwrap(),
        poll: 100 * MS,
        alarmed: BTreeSet::new(),
        item: None,
    }
}

/// Every value of every poll is the server's, of a device whose map is right and of one with registers too many.
async fn reads_all(bus: BusKind, nobody_is: Fault) {
    let devices = [
        device("meter", UNIT, &profile(false)),
        device("holes", UNIT, &profile(true)),
        device("nobody", 18, &profile(false)),
    ];
    let mut gateway = Gateway::new();
    gateway.start_on("line", bus, &devices);
    gateway
        .until("five polls of each and the dead one told", 60, |g| {
            let polls = 5 * numbers().len();
            g.count("meter") >= polls
                && g.count("holes") >= polls
                && g.has_link("nobody", Link::Down(nobody_is))
        })
        .await;
    let expected: BTreeMap<&str, f64> = numbers().iter().map(|(id, .., value)| (*id, *value)).collect();
    for (device, reading) in gateway.seen() {
        let value = reading.value.zip(expected.get(reading.point.as_str()).copied());
        let (value, expected) = value.unwrap_or_else(|| panic!("{device} {reading:?}"));
        assert!((value - expected).abs() <= expected.abs() * 1e-12, "{device} {}: {value}", reading.point);
        assert_eq!(reading.quality, Quality::Good, "{device} {}", reading.point);
    }
    for id in ["meter", "holes"] {
        let points = gateway.seen().filter(|(device, _)| *device == id).map(|(_, reading)| &reading.point);
        assert_eq!(points.collect::<BTreeSet<_>>().len(), numbers().len(), "{id}: every point");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn libmodbus_by_tcp_gives_the_values_it_holds() {
    let (_server, port) = server_by_tcp().await;
    let tcp = ModbusTcp { host: "127.0.0.1".into(), port, timeout: 2000 * MS, gap: Duration::ZERO };
    // Exception 0B is what a converter says of a device that is silent.
    reads_all(BusKind::ModbusTcp(tcp), Fault::Timeout).await;
}

#[tokio::test]
async fn libmodbus_by_rtu_on_a_serial_port_gives_the_values_it_holds() {
    let cable = Cable::new().await;
    let (_server, _) = server(&["rtu", &cable.end("a").display().to_string()]).await;
    reads_all(serial(cable.port("b"), 500 * MS), Fault::Timeout).await;
}

#[tokio::test]
async fn what_libmodbus_refuses_is_told_with_its_reason() {
    let (_server, port) = server_by_tcp().await;
    let mut connection = Connection::connect("127.0.0.1", port, PATIENCE).await.unwrap();
    let whole = connection.read(UNIT, RegisterTable::Holding, 0, 20).await.unwrap();
    assert_eq!(whole, (0..20).map(|n| n * 1000).collect::<Vec<u16>>());
    for (unit, table, address, quantity, exception) in [
        (UNIT, RegisterTable::Holding, 20, 1, Exception::IllegalAddress),
        (UNIT, RegisterTable::Holding, 0, 21, Exception::IllegalAddress),
        (UNIT, RegisterTable::Input, 99, 1, Exception::IllegalAddress),
        (UNIT, RegisterTable::Input, 0xFFFF, 1, Exception::IllegalAddress),
        (18, RegisterTable::Holding, 0, 1, Exception::GatewayTarget),
    ] {
        match connection.read(unit, table, address, quantity).await {
            Err(ReadError::Refused(Refusal::Modbus(code))) => {
                assert_eq!(code, exception, "{address} × {quantity}")
            }
            other => panic!("{table:?} {address} × {quantity}: {other:?}"),
        }
        assert!(connection.is_open(), "a refusal is an answer");
    }
    assert_eq!(connection.read(UNIT, RegisterTable::Input, 124, 1).await.unwrap(), [0xFFFF]);
}

/// What is asked and answered one request after another.
struct Asking(Box<dyn Channel>);

impl Asking {
    async fn ask(&mut self, ask: Ask) -> Result<Said, ReadError> {
        self.0.ask(Station::Unit(UNIT), &ask).await
    }

    async fn read(&mut self, table: RegisterTable, address: u16, count: u16) -> Vec<u16> {
        match self.ask(Ask::Registers(Block::of(table, address, count))).await {
            Ok(Said::Words(words)) => words,
            other => panic!("{table:?} {address} × {count}: {other:?}"),
        }
    }

    async fn refuses(&mut self, ask: Ask, exception: Exception) {
        match self.ask(ask.clone()).await {
            Err(ReadError::Refused(Refusal::Modbus(code))) => assert_eq!(code, exception, "{ask:?}"),
            other => panic!("{ask:?}: {other:?}"),
        }
    }

    async fn write(&mut self, table: RegisterTable, address: u16, words: &[u16], multiple: bool) {
        let write = Write { table, address, words: words.to_vec(), multiple };
        let said = self.ask(Ask::Write(write)).await;
        assert!(matches!(said, Ok(Said::Written)), "{table:?} {address}, {words:?}: {said:?}");
    }
}

/// The bits of bytes as the specification writes them: the first in the lowest bit of the first byte.
fn bits(bytes: &[u8], count: usize) -> Vec<u16> {
    let all = bytes.iter().flat_map(|byte| (0..8).map(move |bit| u16::from(byte >> bit & 1)));
    all.take(count).collect()
}

/// Bits, writes by all four functions, and what the server does not do.
async fn reads_bits_and_writes(server: &mut Asking) {
    use RegisterTable::{Coil, Discrete, Holding};
    assert_eq!(server.read(Coil, 19, 19).await, bits(&[0xCD, 0x6B, 0x05], 19));
    assert_eq!(server.read(Discrete, 196, 22).await, bits(&[0xAC, 0xDB, 0x35], 22));
    assert_eq!(server.read(Discrete, 217, 1).await, [1]);

    server.write(Coil, 20, &[1], false).await;
    server.write(Coil, 19, &[0], true).await;
    server.write(Coil, 27, &[1, 0, 0, 1, 1, 0, 1, 0, 1, 1], false).await;
    let coils = server.read(Coil, 19, 19).await;
    assert_eq!(coils[..2], [0, 1]);
    assert_eq!(coils[8..18], [1, 0, 0, 1, 1, 0, 1, 0, 1, 1]);

    server.write(Holding, 3, &[0xFFFE], false).await;
    server.write(Holding, 4, &[1], true).await;
    server.write(Holding, 5, &[0x1234, 0x5678, 0], false).await;
    assert_eq!(server.read(Holding, 2, 7).await, [2000, 0xFFFE, 1, 0x1234, 0x5678, 0, 8000]);

    let beyond = Write { table: Holding, address: 20, words: vec![1], multiple: false };
    for (ask, exception) in [
        (Ask::Write(beyond), Exception::IllegalAddress),
        (Ask::Registers(Block::of(Coil, 38, 1)), Exception::IllegalAddress),
    ] {
        server.refuses(ask, exception).await;
    }
}

#[tokio::test]
async fn bits_and_writes_by_tcp_are_as_libmodbus_has_them() {
    let (_server, port) = server_by_tcp().await;
    let connection = Connection::connect("127.0.0.1", port, PATIENCE).await.unwrap();
    let mut server = Asking(Box::new(connection));
    reads_bits_and_writes(&mut server).await;
    // By RTU it does not answer functions it does not know.
    server.refuses(Ask::Identify, Exception::IllegalFunction).await;
}

#[tokio::test]
async fn bits_and_writes_by_rtu_are_as_libmodbus_has_them() {
    let cable = Cable::new().await;
    let (_server, _) = server(&["rtu", &cable.end("a").display().to_string()]).await;
    let BusKind::Serial(settings) = serial(cable.port("b"), 5000 * MS) else { panic!("a serial line") };
    let mut server = Asking(schoolgate::southbound::serial::open(settings).await.unwrap());
    reads_bits_and_writes(&mut server).await;
}

/// Runs mbpoll once, with 0-based addresses; the values it prints, by address.
async fn mbpoll(port: u16, unit: u8, arguments: &[&str]) -> Vec<(u16, f64)> {
    let (port, unit) = (port.to_string(), unit.to_string());
    let output = Command::new("mbpoll")
        .args(["-m", "tcp", "-p", &port, "-a", &unit, "-0", "-1", "-o", "5"])
        .args(arguments)
        .kill_on_drop(true)
        .output();
    let output =
        timeout(PATIENCE, output).await.expect("mbpoll ends").expect("mbpoll runs (`make test` installs it)");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    // "[0]: \t230.5", and for words above 32767 the signed number behind it in brackets.
    let values = text.lines().filter_map(|line| {
        let (address, value) = line.strip_prefix('[')?.split_once("]:")?;
        Some((address.parse().ok()?, value.split_whitespace().next()?.parse().ok()?))
    });
    values.collect()
}

#[tokio::test]
async fn mbpoll_reads_our_meters_as_their_makers_manuals_say() {
    let eastron = Meters::start(0, Make::EastronSdm630, 3, 1).await.unwrap();
    let port = eastron.address().port();
    let volts = mbpoll(port, 3, &["-t", "3:float", "-B", "-r", "0", "-c", "3", "127.0.0.1"]).await;
    assert_eq!(volts.iter().map(|(address, _)| *address).collect::<Vec<_>>(), [0, 2, 4]);
    assert!(volts.iter().all(|(_, volts)| (226.0..234.0).contains(volts)), "{volts:?}");
    let hertz = mbpoll(port, 3, &["-t", "3:float", "-B", "-r", "70", "-c", "1", "127.0.0.1"]).await;
    assert!(matches!(hertz.as_slice(), [(70, hertz)] if (49.9..50.1).contains(hertz)), "{hertz:?}");

    let acrel = Meters::start(0, Make::AcrelAdl400, 1, 2).await.unwrap();
    let decivolts = mbpoll(acrel.address().port(), 1, &["-t", "4", "-r", "97", "-c", "3", "127.0.0.1"]).await;
    assert_eq!(decivolts.len(), 3, "{decivolts:?}");
    assert!(decivolts.iter().all(|(_, volts)| (2260.0..=2340.0).contains(volts)), "{decivolts:?}");
}

#[tokio::test]
async fn what_mbpoll_writes_into_our_fleet_our_client_reads() {
    let fleet = Fleet::start(&[Manner::Answers]).await.unwrap();
    let port = fleet.addresses()[0].port();
    mbpoll(port, 1, &["-t", "4:float", "-B", "-r", "4", "127.0.0.1", "--", "50.0625", "-0.5"]).await;
    mbpoll(port, 1, &["-t", "4", "-r", "10", "127.0.0.1", "4660"]).await;
    let mut connection = Connection::connect("127.0.0.1", port, PATIENCE).await.unwrap();
    let words = connection.read(1, RegisterTable::Holding, 4, 7).await.unwrap();
    assert_eq!(words, [0x4248, 0x4000, 0xBF00, 0, 0, 0, 0x1234]);
}

//! The technician's tools as he runs them, against devices that nobody here wrote: pymodbus on a serial port and on
//! loopback addresses, and the golden frames of DL/T 645.

use crate::daemon::{PATIENCE, School, until};
use crate::meters::hex;
use crate::pymodbus::{Cable, pymodbus_map};
use crate::rig;
use hil::paced::Paced;
use serde_json::{Map, Value, json};
use serial2_tokio::SerialPort;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// The registers of a shipped profile's vectors, those of a name first told.
pub fn map_of(profile: &str) -> Value {
    let path = rig::root().join("device-profiles").join(profile).join("vectors.toml");
    let text = std::fs::read_to_string(&path).expect("vectors");
    let vectors: toml::Table = text.parse().expect("TOML");
    let mut words: BTreeMap<(String, i64), u16> = BTreeMap::new();
    for vector in vectors["registers"].as_array().expect("vectors") {
        let (table, address) = (vector["table"].as_str().unwrap(), vector["address"].as_integer().unwrap());
        for (at, word) in (address..).zip(vector["words"].as_str().unwrap().split_whitespace()) {
            words.entry((table.to_owned(), at)).or_insert(u16::from_str_radix(word, 16).unwrap());
        }
    }
    let mut tables: BTreeMap<String, BTreeMap<i64, Vec<u16>>> = BTreeMap::new();
    let mut last: Option<(String, i64, i64)> = None;
    for ((table, at), word) in words {
        let begin = match &last {
            Some((same, begin, next)) if *same == table && *next == at => *begin,
            _ => at,
        };
        last = Some((table.clone(), begin, at + 1));
        tables.entry(table).or_default().entry(begin).or_default().push(word);
    }
    json!(tables)
}

/// What pymodbus is to serve.
pub fn served(dir: &Path, identity: &[&str], units: &[(u8, Value)]) -> PathBuf {
    let units: Map<String, Value> = units.iter().map(|(unit, map)| (unit.to_string(), map.clone())).collect();
    let path = dir.join("map.json");
    std::fs::write(&path, json!({"identity": identity, "units": units}).to_string()).unwrap();
    path
}

/// A serial port whose other end is a TCP connection.
struct Port {
    _socat: Child,
    dir: TempDir,
}

impl Port {
    async fn to(address: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pty = format!("pty,raw,echo=0,link={}", dir.path().join("tty").display());
        let socat =
            Command::new("socat").args([pty, format!("tcp:{address},nodelay")]).kill_on_drop(true).spawn();
        let port = Self { _socat: socat.expect("socat runs: `make test` installs it"), dir };
        until("a serial port", async || port.path().exists().then_some(())).await;
        port
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("tty")
    }
}

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_schoolgate"));
    command.args(args).env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn run(args: &[&str]) -> Output {
    timeout(3 * PATIENCE, program(args).output()).await.expect("the program ends").expect("the program runs")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn profiles() -> String {
    rig::root().join("device-profiles").display().to_string()
}

/// `discover` on a serial port at one setting.
async fn discover(port: &Path, more: &[&str]) -> Output {
    let (port, profiles) = (port.display().to_string(), profiles());
    let args =
        ["discover", "--serial", &port, "--bauds", "9600", "--parities", "none", "--profiles", &profiles];
    run(&[&args[..], more].concat()).await
}

#[tokio::test]
async fn an_empty_line_of_9600_baud_is_scanned_in_little_time() {
    let paced = Paced::start(None, 9600).await.unwrap();
    let port = Port::to(paced.address()).await;
    let began = Instant::now();
    let output = discover(&port.path(), &[]).await;
    let took = began.elapsed();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("No device was found"), "{}", said(&output));
    // 6.7 s for the ids and 1.1 s for DL/T 645 and CJ/T 188; the rest is for a machine that is busy with other tests.
    assert!(took > Duration::from_secs(6) && took < Duration::from_secs(16), "{took:?}");
}

#[tokio::test]
async fn pymodbus_on_a_serial_port_is_found_told_apart_and_configured() {
    let dir = tempfile::tempdir().unwrap();
    let units = [
        (5, map_of("energy-meter/acrel-adl400")),
        (17, map_of("energy-meter/acrel-adl400")),
        (100, map_of("energy-meter/eastron-sdm630")),
    ];
    let map = served(dir.path(), &["Maker\nof meters", "Model 7", "V1.2"], &units);
    let (_child, port) = pymodbus_map("rtu-tcp", "127.0.0.1", &map).await;
    // Not paced: pymodbus tells frames apart by what is in them and not by silence, and loses requests that come byte by
    // byte among those to units it does not have.
    let line = Port::to(SocketAddr::from(([127, 0, 0, 1], port))).await;
    let file = dir.path().join("found.toml");
    let output = discover(&line.path(), &["--write", &file.display().to_string()]).await;
    assert!(output.status.success(), "{}", said(&output));
    let text = std::fs::read_to_string(&file).unwrap();
    let found: toml::Table = text.parse().expect(&text);
    let devices: Vec<(i64, &str)> = found["device"]
        .as_array()
        .unwrap()
        .iter()
        .map(|device| (device["address"].as_integer().unwrap(), device["profile"].as_str().unwrap()))
        .collect();
    assert_eq!(devices, [(5, "acrel-adl400"), (17, "acrel-adl400"), (100, "eastron-sdm630")], "{text}");
    assert!(text.contains("% looks like acrel-adl400"), "{text}");
    assert!(text.contains("it says it is: Makerof meters, Model 7, V1.2"), "{text}");
    let bus = &found["bus"][0];
    assert_eq!((bus["baud"].as_integer(), bus["parity"].as_str()), (Some(9600), Some("none")));
    assert_eq!(bus["path"].as_str(), Some(line.path().display().to_string().as_str()));

    // A second scan does not write over the first, and does not even begin.
    let output = discover(&line.path(), &["--write", &file.display().to_string()]).await;
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

#[tokio::test]
async fn a_stopped_scan_writes_what_was_found_and_a_taken_port_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let map = served(dir.path(), &[], &[(1, map_of("energy-meter/eastron-sdm630"))]);
    let (_child, port) = pymodbus_map("rtu-tcp", "127.0.0.1", &map).await;
    // At 1200 baud a scan takes half a minute, whatever the port does.
    let line = Port::to(SocketAddr::from(([127, 0, 0, 1], port))).await;
    let (path, file) = (line.path().display().to_string(), dir.path().join("found.toml"));
    let (written, profiles) = (file.display().to_string(), profiles());
    let args =
        ["discover", "--serial", &path, "--bauds", "1200", "--parities", "none", "--profiles", &profiles];
    let mut scan =
        program(&[&args[..], &["--write", &written]].concat()).stderr(Stdio::piped()).spawn().unwrap();
    let mut progress = BufReader::new(scan.stderr.take().unwrap()).lines();
    let line = timeout(PATIENCE, progress.next_line()).await.expect("progress").unwrap().unwrap();
    assert!(line.contains("1200 8N1: id ") && line.contains("left"), "{line}");

    let output = run(&args).await;
    assert_eq!(output.status.code(), Some(69), "{}", said(&output));
    assert!(said(&output).contains("another program has this port: stop it"), "{}", said(&output));

    // Progress comes every ten seconds where there is no terminal; by the next line the first ids have been asked.
    let line = timeout(PATIENCE, progress.next_line()).await.expect("progress").unwrap().unwrap();
    assert!(line.contains("1 answered"), "{line}");
    rig::signal("INT", scan.id().unwrap());
    let status = timeout(PATIENCE, scan.wait()).await.expect("it ends").unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(status.code(), Some(0), "{text}");
    assert!(text.contains("address 1\n"), "{text}");
    assert!(text.contains("before it was compared with the profiles"), "{text}");
}

/// A single-phase meter: the wake-up bytes, then its address; of its quantities a voltage and an energy.
async fn dlt645_meter(port: SerialPort) {
    let answers = [
        (
            "68 AA AA AA AA AA AA 68 13 00 DF 16",
            "FE FE 68 01 00 00 00 00 00 68 93 06 34 33 33 33 33 33 9D 16",
        ),
        (
            "68 01 00 00 00 00 00 68 11 04 33 34 34 35 B6 16",
            "FE FE FE FE 68 01 00 00 00 00 00 68 91 06 33 34 34 35 34 55 C1 16",
        ),
    ];
    let mut held = Vec::new();
    let mut bytes = [0; 64];
    while let Ok(n @ 1..) = port.read(&mut bytes).await {
        held.extend_from_slice(&bytes[..n]);
        for (asked, answer) in answers {
            if held.ends_with(&hex(asked)) {
                held.clear();
                port.write_all(&hex(answer)).await.unwrap();
            }
        }
        // Anything else of this meter: no such data.
        let own = hex("68 01 00 00 00 00 00 68 11 04");
        if held.windows(own.len()).any(|w| w == own) && held.last() == Some(&0x16) {
            held.clear();
            port.write_all(&hex("68 01 00 00 00 00 00 68 D1 01 35 D8 16")).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_dlt645_meter_tells_its_plate_number() {
    let cable = Cable::new().await;
    let mut meter = JoinSet::new();
    meter.spawn(dlt645_meter(SerialPort::open(cable.end("a"), 9600).unwrap()));
    let output = discover(&cable.end("b"), &["--ids", "1-3"]).await;
    assert!(output.status.success(), "{}", said(&output));
    let text = said(&output);
    assert!(text.contains("address 000000000001"), "{text}");
    assert!(text.contains("looks like dl-t-645-2007-single-phase"), "{text}");
}

#[tokio::test]
async fn modbus_tcp_devices_are_found_in_their_network_and_the_running_gateways_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let map = served(dir.path(), &["Eastron", "SDM630", "1"], &[(2, map_of("energy-meter/eastron-sdm630"))]);
    let (_child, port) = pymodbus_map("tcp", "127.0.0.3", &map).await;
    let port_text = port.to_string();
    let scan = ["--tcp", "127.0.0.0/29", "--port", &port_text, "--ids", "1-4"];
    let school = School::new("");
    let found = school.cli_ok("discover", &scan).await;
    assert!(
        found.contains("host = \"127.0.0.3\"") && found.contains("profile = \"eastron-sdm630\""),
        "{found}"
    );
    assert!(found.contains("address = 2") && found.contains("it says it is: Eastron, SDM630, 1"), "{found}");

    school.write_config(&format!(
        "[[bus]]\nid = 'meters'\nkind = 'modbus-tcp'\nhost = '127.0.0.3'\nport = {port}\n\
         [[device]]\nid = 'm'\nprofile = 'eastron-sdm630'\nbus = 'meters'\naddress = 2\nplace = 'gate'\n"
    ));
    let again = school.cli_ok("discover", &scan).await;
    assert!(again.contains("configured already as 'm'") && !again.contains("[[device]]"), "{again}");
    let daemon = school.start().await;
    let while_running = school.cli("discover", &scan).await;
    assert!(said(&while_running).contains("the running gateway uses it"), "{}", said(&while_running));
    let refused = school.cli("probe", &["m"]).await;
    assert_eq!(refused.status.code(), Some(69), "{}", said(&refused));
    assert!(said(&refused).contains("the gateway runs and uses the bus 'meters'"), "{}", said(&refused));
    daemon.terminate().await;
}

#[tokio::test]
async fn an_unknown_device_is_probed_recorded_sketched_and_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    // 220.1 V, 5.02 A and 1234.56 as floats with the low word first, and a hole behind them.
    let words = [0x199A, 0x435C, 0xA3D7, 0x40A0, 0x51EC, 0x449A];
    let map = served(dir.path(), &[], &[(7, json!({"holding": {"0": words, "20": [2201, 5001]}}))]);
    let (_child, port) = pymodbus_map("tcp", "127.0.0.1", &map).await;
    let school = School::new(&format!(
        "[[bus]]\nid = 'line'\nkind = 'modbus-tcp'\nhost = '127.0.0.1'\nport = {port}\n"
    ));

    let probed = school.cli_ok("probe", &["line/7", "--registers", "0-9"]).await;
    assert!(probed.contains("07 03 00 00 00 0A") && probed.contains("220.1000 *"), "{probed}");
    assert!(probed.lines().any(|line| line.starts_with("0 (0x0000)")), "{probed}");

    let capture = path("capture.txt");
    let args = ["line/7", "--secs", "2", "--write", &capture, "--registers", "0-29"];
    school.cli_ok("capture", &args).await;
    let dir_arg = path("profiles");
    let new = ["profile", "new", "--from", &capture, "--id", "maker-m7", "--dir", &dir_arg];
    let output = run(&new).await;
    assert!(output.status.success(), "{}", said(&output));
    let made = dir.path().join("profiles/energy-meter/maker-m7");
    let text = std::fs::read_to_string(made.join("profile.toml")).unwrap();
    assert!(text.contains("type = \"f32\"\norder = \"CDAB\"\nunit = \"V\""), "{text}");
    let tested = run(&["profile", "test", &made.display().to_string()]).await;
    assert!(tested.status.success() && said(&tested).contains("ok: 1 profiles"), "{}", said(&tested));
    let broken = text.replacen("address = 0x0000", "address = 0x0001", 1);
    std::fs::write(made.join("profile.toml"), broken).unwrap();
    let tested = run(&["profile", "test", &made.display().to_string()]).await;
    assert_eq!(tested.status.code(), Some(64), "{}", said(&tested));
    assert!(said(&tested).contains("toml:"), "with its line: {}", said(&tested));

    let mut replay =
        program(&["replay", &capture, "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(replay.stdout.take().unwrap()).lines();
    let port = loop {
        let line = timeout(PATIENCE, lines.next_line()).await.expect("a line").unwrap().expect("its bus");
        if let Some(port) = line.strip_prefix("port = ") {
            break port.to_owned();
        }
    };
    school.write_config(&format!(
        "[[bus]]\nid = 'line'\nkind = 'modbus-tcp'\nhost = '127.0.0.1'\nport = {port}\n"
    ));
    let again = school.cli_ok("probe", &["line/7", "--registers", "0-5"]).await;
    assert!(again.contains("220.1000 *"), "{again}");
}

#[tokio::test]
async fn what_cannot_be_scanned_is_refused_with_advice() {
    let (missing, profiles) = ("/dev/no-such-port", profiles());
    for (args, code, advice) in [
        (vec!["--tcp", "10.0.0.0/16"], 64, "at most /22"),
        (vec!["--serial", missing, "--tcp", "10.0.0.0/24"], 64, "cannot be used with"),
        (vec![], 64, "required"),
        (vec!["--serial", missing, "--ids", "0-5"], 64, "1-247"),
        (vec!["--converter", "nowhere"], 64, "192.168.1.7:8899"),
        (vec!["--serial", missing, "--place-id", "gate"], 64, "no place 'gate'"),
        (vec!["--serial", missing], 69, "No such file"),
    ] {
        let output = run(&[&["discover", "--profiles", &profiles][..], &args].concat()).await;
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", said(&output));
        assert!(said(&output).contains(advice), "{args:?}: {}", said(&output));
    }
}

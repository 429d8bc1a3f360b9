//! Modbus from the wire to the lanes, against pymodbus; and the drivers at work, for other tests.

#![cfg(test)]

use crate::pymodbus::{Cable, pymodbus, pymodbus_on};
use crate::rig;
use schoolgate::config::{Bus, BusKind, Device, ModbusTcp, Serial, SerialPlace};
use schoolgate::model::{
    Body, BusId, ClockQuality, DeviceId, Doubt, Fault, Input, Link, PlaceId, Quality, Reading, Stamp, Unit,
};
use schoolgate::profile::{Profile, RegisterTable, Write};
use schoolgate::runtime::lanes::Parcel;
use schoolgate::runtime::{Outlet, SystemClock, Tasks};
use schoolgate::southbound::modbus::Connection;
use schoolgate::southbound::polled::{Ask, Block, Channel, ReadError, Said, Station};
use schoolgate::southbound::serial::open;
use schoolgate::southbound::{Field, drivers, supervise};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub const MS: Duration = Duration::from_millis(1);

// ---- the gateway's side

pub fn profile(modbus: &str, points: &[(&str, &str, u16, &str, &str)]) -> Arc<Profile> {
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

pub fn device(id: &str, unit: u8, bus: &str, poll: Duration, profile: &Arc<Profile>) -> Device {
    Device {
        id: DeviceId::new(id).unwrap(),
        name: id.into(),
        profile: Arc::clone(profile),
        bus: BusId::new(bus).unwrap(),
        address: unit.to_string(),
        place: PlaceId::new("room").unwrap(),
        poll,
        alarmed: BTreeSet::new(),
        item: None,
    }
}

#[derive(Debug)]
pub struct Got {
    pub device: String,
    pub reading: Reading,
    pub stamp: Stamp,
    pub at: Instant,
}

fn tcp(port: u16, timeout: Duration) -> BusKind {
    BusKind::ModbusTcp(ModbusTcp { host: "127.0.0.1".into(), port, timeout, gap: Duration::ZERO })
}

pub fn serial(place: SerialPlace, timeout: Duration) -> BusKind {
    BusKind::Serial(Serial { place, baud: 9600, timeout, gap: Duration::ZERO })
}

/// Drivers at work, and everything they have put into the pipe so far.
pub struct Gateway {
    pub field: Field,
    outlet: Outlet,
    tasks: Tasks,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    pub readings: Vec<Got>,
    pub links: Vec<(String, Link)>,
    pub refused: u32,
}

impl Gateway {
    pub fn new() -> Self {
        let (field, outlet) = rig::field(Arc::new(SystemClock::new()));
        let (stop, stopped) = watch::channel(false);
        let (readings, links) = (Vec::new(), Vec::new());
        Self { field, outlet, tasks: Tasks::new(), stop, stopped, readings, links, refused: 0 }
    }

    pub fn start(&mut self, bus: &str, port: u16, timeout: Duration, devices: &[Device]) {
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

#[tokio::test]
async fn pymodbus_by_rtu_on_a_serial_port_gives_right_values_units_and_quality() {
    let cable = Cable::new().await;
    let (_child, _) = pymodbus_on(&["rtu", &cable.end("a").display().to_string()]).await;
    reads_pymodbus(serial(cable.port("b"), 300 * MS)).await;
}

#[tokio::test]
async fn pymodbus_by_rtu_behind_a_converter_gives_right_values_units_and_quality() {
    let (_child, port) = pymodbus_on(&["rtu-tcp"]).await;
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

/// Asks the second unit.
async fn ask(channel: &mut dyn Channel, ask: Ask) -> Result<Said, ReadError> {
    channel.ask(Station::Unit(2), &ask).await
}

async fn writes_to_pymodbus(channel: &mut dyn Channel) {
    use RegisterTable::{Coil, Discrete, Holding, Input};
    let (tap, mut tapped) = mpsc::channel(256);
    channel.set_tap(Some(tap));
    let write = |table, address, words: &[u16], multiple| {
        Ask::Write(Write { table, address, words: words.to_vec(), multiple })
    };
    let read = |table, address, words| Ask::Registers(Block::of(table, address, words));
    for (table, address, words, multiple) in [
        (Coil, 3, &[1][..], false),
        (Coil, 4, &[1], true),
        (Coil, 9, &[0, 1, 1, 0, 1], false),
        (Coil, 4, &[0], false),
        (Holding, 6, &[0xABCD], false),
        (Holding, 3, &[0x1234], true),
        (Holding, 4, &[1, 2], false),
    ] {
        let said = ask(channel, write(table, address, words, multiple)).await;
        assert_eq!(said.unwrap(), Said::Written, "{table:?} {address}");
        let back = ask(channel, read(table, address, u16::try_from(words.len()).unwrap())).await;
        assert_eq!(back.unwrap(), Said::Words(words.to_vec()), "{table:?} {address}");
    }
    let coils = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 0, 0];
    assert_eq!(ask(channel, read(Coil, 0, 16)).await.unwrap(), Said::Words(coils.into()));
    assert_eq!(ask(channel, read(Discrete, 1, 9)).await.unwrap(), Said::Words(vec![0; 9]));
    let names = ["Pymodbus", "PM", "3.16"].map(str::to_owned);
    let identity = ask(channel, Ask::Identify).await.unwrap();
    assert_eq!(identity, Said::Identity((0..).zip(names).collect()));
    let refused = ask(channel, write(Coil, 2000, &[1], false)).await;
    assert!(matches!(refused, Err(ReadError::Refused(_))), "{refused:?}");
    for nonsense in [write(Input, 0, &[1], false), write(Holding, 0, &[], false), Ask::PlateAddress] {
        let refused = ask(channel, nonsense).await;
        assert!(matches!(refused, Err(ReadError::NoSuchWrite { .. } | ReadError::WrongBus)), "{refused:?}");
    }
    channel.set_tap(None);
    let (mut sent, mut came) = (0, 0);
    while let Some(frame) = tapped.recv().await {
        assert!(!frame.bytes.is_empty());
        *(if frame.sent { &mut sent } else { &mut came }) += 1;
    }
    assert!(sent == 18 && came >= sent, "{sent} requests and {came} pieces of answers were looked on");
}

#[tokio::test]
async fn pymodbus_takes_writes_gives_bits_and_says_who_it_is_on_every_wire() {
    let timeout = 500 * MS;
    let (_child, port) = pymodbus().await;
    writes_to_pymodbus(&mut Connection::connect("127.0.0.1", port, timeout).await.unwrap()).await;
    let (_child, port) = pymodbus_on(&["rtu-tcp"]).await;
    let cable = Cable::new().await;
    let (_child, _) = pymodbus_on(&["rtu", &cable.end("a").display().to_string()]).await;
    for place in [SerialPlace::Converter { host: "127.0.0.1".into(), port }, cable.port("b")] {
        let settings = Serial { place, baud: 9600, timeout, gap: Duration::ZERO };
        writes_to_pymodbus(open(settings).await.unwrap().as_mut()).await;
    }
}

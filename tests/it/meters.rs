//! DL/T 645 and CJ/T 188 meters on a real serial port: the frames of the standards, answered byte for byte, in the lanes
//! as values; and what a shared line does to them.

use crate::modbus::{Gateway, serial};
use crate::pymodbus::Cable;
use crate::rig;
use schoolgate::config::{Device, Serial};
use schoolgate::model::{BusId, DeviceId, Fault, Link, PlaceId, Quality, Unit};
use schoolgate::southbound::polled::{Ask, Said, Station};
use schoolgate::southbound::serial::{cjt188, dlt645, open};
use serial2_tokio::SerialPort;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const MS: Duration = Duration::from_millis(1);

pub fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect()
}

/// What is asked, and what is answered; frames computed from DL/T 645-2007 and captured from a CJ/T 188 meter.
const ANSWERS: [(&str, &str); 4] = [
    (
        "68 01 00 00 00 00 00 68 11 04 33 33 34 33 B3 16",
        "FE FE 68 01 00 00 00 00 00 68 91 08 33 33 34 33 AB 89 67 45 17 16",
    ),
    (
        "68 01 00 00 00 00 00 68 11 04 33 34 34 35 B6 16",
        "FE FE FE FE 68 01 00 00 00 00 00 68 91 06 33 34 34 35 34 55 C1 16",
    ),
    (
        "68 01 00 00 00 00 00 68 11 04 33 33 36 35 B7 16",
        "68 01 00 00 00 00 00 68 91 07 33 33 36 35 78 56 B4 BC 16",
    ),
    // No such data.
    ("68 01 00 00 00 00 00 68 11 04 35 33 B3 35 36 16", "68 01 00 00 00 00 00 68 D1 01 35 D8 16"),
];
const WATER: &str = "68 10 12 00 00 00 00 00 00 81 16 90 1F 00 10 00 10 00 2C 10 00 10 00 2C \
                     00 00 00 00 00 00 00 00 FF 67 16";

/// Answers on one end of a cable; the water meter's frame with the number it was asked with.
async fn meters(port: SerialPort) {
    let mut held = Vec::new();
    let mut bytes = [0; 64];
    while let Ok(n) = port.read(&mut bytes).await {
        if n == 0 {
            return;
        }
        held.extend_from_slice(&bytes[..n]);
        for (asked, answer) in ANSWERS {
            if held.ends_with(&hex(asked)) {
                held.clear();
                port.write_all(&hex(answer)).await.unwrap();
            }
        }
        let water = hex("68 10 12 00 00 00 00 00 00 01 03 90 1F");
        if let Some(at) = held.windows(water.len()).position(|w| w == water)
            && let Some([serial, _, 0x16]) = held.get(at + water.len()..at + water.len() + 3)
        {
            let mut answer = hex(WATER);
            let end = answer.len() - 2;
            answer[13] = *serial;
            answer[end] = answer[..end].iter().fold(0, |sum: u8, b| sum.wrapping_add(*b));
            held.clear();
            port.write_all(&answer).await.unwrap();
        }
    }
}

fn profile(protocol: &str, points: &str) -> Arc<schoolgate::profile::Profile> {
    rig::profile(&format!(
        "id = 'test-meter'\nclass = 'energy-meter'\nvendor = 'Test'\nmodel = 'Meter'\nname_zh = '表'\n\
         name_en = 'meter'\nsource = 'this test'\nconfirmed = true\nprotocol = '{protocol}'\n{points}"
    ))
}

fn point(id: &str, di: &str, format: &str, unit: &str, more: &str) -> String {
    format!(
        "[[point]]\nid = '{id}'\nname_zh = '{id}'\nname_en = '{id}'\ndi = '{di}'\nformat = '{format}'\nunit = '{unit}'\n{more}\n"
    )
}

#[tokio::test]
async fn meters_of_two_standards_share_a_line_and_a_dead_one_does_not_disturb_them() {
    let cable = Cable::new().await;
    let far = SerialPort::open(cable.end("a"), 9600).expect("the other end opens");
    let mut answering = JoinSet::new();
    answering.spawn(meters(far));
    let electricity = profile(
        "dlt645",
        &[
            point("energy", "00010000", "XXXXXX.XX", "kWh", "kind = 'counter'"),
            point("voltage", "02010100", "XXX.X", "V", ""),
            point("power", "02030000", "XX.XXXX", "kW", "signed = true"),
            point("absent", "02800002", "XX.XX", "Hz", ""),
        ]
        .concat(),
    );
    let water = profile(
        "cjt188",
        &format!("[cjt188]\nkind = '10'\n{}", point("volume", "901F", "XXXXXX.XX", "m3", "unit_byte = true")),
    );
    let device = |id: &str, address: &str, profile: &Arc<_>| Device {
        id: DeviceId::new(id).unwrap(),
        name: id.into(),
        profile: Arc::clone(profile),
        bus: BusId::new("line").unwrap(),
        address: address.into(),
        place: PlaceId::new("room").unwrap(),
        poll: 500 * MS,
        alarmed: BTreeSet::new(),
        item: None,
    };
    let devices = [
        device("meter", "000000000001", &electricity),
        device("dead", "000000000002", &electricity),
        device("water", "00000000000012", &water),
    ];
    let mut gateway = Gateway::new();
    gateway.start_on("line", serial(cable.port("b"), 200 * MS), &devices);
    gateway
        .until("values of both meters and the dead one told", 30, |g| {
            g.count("meter") >= 12 && g.count("water") >= 4 && g.has_link("dead", Link::Down(Fault::Timeout))
        })
        .await;
    for (device, reading) in gateway.seen() {
        let expected = match (device, reading.point.as_str()) {
            ("meter", "energy") => (123_456.78, Unit::KilowattHour),
            ("meter", "voltage") => (220.1, Unit::Volt),
            ("meter", "power") => (-1.2345, Unit::Kilowatt),
            ("water", "volume") => (1000.1, Unit::CubicMetre),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (reading.value, reading.unit, reading.quality),
            (Some(expected.0), expected.1, Quality::Good),
            "{device}"
        );
    }
    gateway.stop().await;
}

/// The only meter on a line tells its address, whoever it is: the frames of both standards, and digits.
#[tokio::test]
async fn a_meter_that_is_alone_tells_the_address_on_its_plate() {
    let cable = Cable::new().await;
    let far = SerialPort::open(cable.end("a"), 9600).expect("the other end opens");
    let mut answering = JoinSet::new();
    answering.spawn(async move {
        let (mut held, mut bytes) = (Vec::new(), [0; 64]);
        while let Ok(n) = far.read(&mut bytes).await {
            held.extend_from_slice(&bytes[..n]);
            if held.ends_with(&hex("68 AA AA AA AA AA AA 68 13 00 DF 16")) {
                held.clear();
                let address = hex("01 00 01 08 26 20");
                let mut answer = [&[0x68], &address[..], &[0x68, 0x93, 6]].concat();
                answer.extend(address.iter().map(|byte| byte + 0x33));
                finish(&far, answer).await;
            }
            let asked = hex("68 AA AA AA AA AA AA AA AA 03 03 81 0A");
            if let [.., serial, _, 0x16] = held[..]
                && held.get(held.len() - 16..held.len() - 3) == Some(&asked[..])
            {
                held.clear();
                let mut answer = hex("68 10 12 00 00 00 00 00 00 83 03 81 0A");
                answer.push(serial);
                finish(&far, answer).await;
            }
        }
    });
    let settings = Serial { place: cable.port("b"), baud: 9600, timeout: 300 * MS, gap: Duration::ZERO };
    let mut line = open(settings).await.unwrap();
    let said = line.ask(Station::Meter(dlt645::Address::ANY), &Ask::PlateAddress).await.unwrap();
    assert_eq!(said, Said::Bytes(b"202608010001".into()));
    let said = line.ask(Station::Flow(0xAA, cjt188::Address::ANY), &Ask::PlateAddress).await.unwrap();
    assert_eq!(said, Said::Bytes(b"00000000000012".into()));
}

async fn finish(port: &SerialPort, mut frame: Vec<u8>) {
    frame.push(frame.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)));
    frame.push(0x16);
    port.write_all(&[&[0xFE; 2], &frame[..]].concat()).await.unwrap();
}

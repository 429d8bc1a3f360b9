//! What a school sends, ready to be put into the lanes: card passes, sensors' messages, meters' polls.

use crate::{Failure, source};
use schoolgate::config::{self, Config, Device};
use schoolgate::model::{
    AccessResult, Body, Carrier, CredentialUse, Delivery, Direction, Event, EventKind, Input, MessageKey,
    Observation, PersonRef, Phase, PointKind, Reading, Service, Stamp, Wall,
};
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Of a hundred deliveries so many are card passes …
const CARDS: u64 = 60;
/// … and so many sensors' messages; the others are meters' polls.
const SENSORS: u64 = 35;
/// People with a card.
const PEOPLE: u64 = 1200;
/// One pass in so many is refused.
const REFUSED_EVERY: u64 = 50;

/// One thing to put into the lanes.
#[derive(Debug)]
pub(crate) enum Sent {
    /// Answered after its commit.
    Delivered(Delivery),
    /// Polled.
    Offered(Delivery),
}

/// The school of the demonstration, with nobody listening behind its addresses.
pub(crate) fn demo_config(dir: &Path) -> Result<Config, Failure> {
    let words = [
        ("@PROFILES@", source("device-profiles").display().to_string()),
        ("@HTTP@", "127.0.0.1:8080".to_owned()),
        ("@METERS_1@", "502".to_owned()),
        ("@METERS_2@", "503".to_owned()),
        ("@MQTT@", "1883".to_owned()),
        ("@CAMERA_1@", "http://127.0.0.1:8001/onvif/device_service".to_owned()),
        ("@CAMERA_2@", "http://127.0.0.1:8002/onvif/device_service".to_owned()),
        ("@PROVINCE@", "http://127.0.0.1:8003".to_owned()),
        ("@CITY@", "http://127.0.0.1:8004".to_owned()),
    ];
    let fill = |from: &Path, to: &Path| -> Result<(), Failure> {
        let text = fs::read_to_string(from).map_err(|error| format!("{}: {error}", from.display()))?;
        let text = words.iter().fold(text, |text, (word, value)| text.replace(word, value));
        Ok(fs::write(to, text)?)
    };
    fs::create_dir_all(dir.join("conf.d"))?;
    fs::create_dir_all(dir.join("secrets"))?;
    for name in ["mqtt", "cameras", "province", "city"] {
        let path = dir.join("secrets").join(name);
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(b"not-a-secret")?;
    }
    let templates = source("deploy/demo");
    let main = dir.join("gateway.toml");
    fill(&templates.join("gateway.toml"), &main)?;
    for entry in fs::read_dir(templates.join("conf.d"))? {
        let entry = entry?;
        fill(&entry.path(), &dir.join("conf.d").join(entry.file_name()))?;
    }
    config::load(&main).map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        problems.join("; ").into()
    })
}

/// `count` deliveries, as they would come from the devices of `config` at `now`.
pub(crate) fn deliveries(config: &Config, count: u64, now: Wall) -> Result<Vec<Sent>, Failure> {
    let of_class = |class: &str| -> Vec<&Device> {
        config.devices.values().filter(|device| device.profile.class == class).collect()
    };
    let (readers, sensors, meters) = (of_class("card-reader"), of_class("sensor"), of_class("energy-meter"));
    let pick = |devices: &[&'_ Device], n: u64| -> Result<Device, Failure> {
        let index = usize::try_from(n)?.checked_rem(devices.len());
        let device = index.and_then(|index| devices.get(index)).ok_or("the demonstration lacks a class")?;
        Ok((*device).clone())
    };
    (0..count)
        .map(|n| {
            // 37 has no factor in common with 100, so that the kinds are mixed as a crowd is.
            Ok(match n * 37 % 100 {
                kind if kind < CARDS => Sent::Delivered(card_pass(&pick(&readers, n)?, n, now)),
                kind if kind < CARDS + SENSORS => {
                    let mut message = all_points(&pick(&sensors, n)?, n, now);
                    message.key = Some(key(n));
                    Sent::Delivered(message)
                }
                _ => Sent::Offered(all_points(&pick(&meters, n)?, n, now)),
            })
        })
        .collect()
}

/// Any 64 bits will do that differ from message to message.
fn key(n: u64) -> MessageKey {
    MessageKey { fingerprint: n.wrapping_mul(0x9e37_79b9_7f4a_7c15), redelivered: false }
}

fn card_pass(reader: &Device, n: u64, now: Wall) -> Delivery {
    let refused = n.is_multiple_of(REFUSED_EVERY);
    let event = Event {
        kind: EventKind::Credential,
        phase: Phase::Moment,
        code: Some("1".to_owned()),
        serial: Some((10_000_000 + n).to_string()),
        credential: Some(CredentialUse {
            carrier: Carrier::Face,
            service: Service::Access,
            direction: if n.is_multiple_of(2) { Direction::In } else { Direction::Out },
            result: if refused { AccessResult::Denied } else { AccessResult::Granted },
            reason: None,
            known: None,
            person: Some(PersonRef::from_stored(format!("{:032x}", u128::from(n % PEOPLE) << 96 | 0x5eed))),
        }),
    };
    let stamp = Stamp::new(Some(now.plus_ms(-300)), now);
    let seen = Observation { device: reader.id.clone(), stamp, body: Body::Event(event), retained: false };
    Delivery { bus: Some(reader.bus.clone()), key: Some(key(n)), inputs: vec![Input::Observed(seen)] }
}

/// A value for every point of the device's profile.
fn all_points(device: &Device, n: u64, now: Wall) -> Delivery {
    let stamp = Stamp::new(None, now);
    let points = device.profile.points.iter();
    let inputs = points.map(|point| {
        let value = match point.kind {
            PointKind::Counter => 1000.0 + n as f64 / 100.0,
            PointKind::Gauge | PointKind::State => 20.0 + (n % 64) as f64 / 8.0,
        };
        let reading = Reading::new(point.id.clone(), value, point.unit, point.kind);
        Input::Observed(Observation {
            device: device.id.clone(),
            stamp,
            body: Body::Reading(reading),
            retained: false,
        })
    });
    Delivery { bus: Some(device.bus.clone()), key: None, inputs: inputs.collect() }
}

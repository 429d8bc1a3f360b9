//! What is scanned, and how: a serial port at several settings, a line behind a converter, or a network.

use super::scan::{Scan, ScanError};
use super::wire::{ANSWER_WITHIN, place_of};
use crate::config::{Bus, Parity, Serial, SerialPlace};
use crate::model::BusId;
use crate::model::reach::Forbidden;
use crate::runtime::reach::{not_own, reach};
use crate::southbound::survey::network::Network;
use std::collections::BTreeSet;
use std::time::Duration;
use url::Url;

/// Unit ids that Modbus knows.
const ALL_IDS: std::ops::RangeInclusive<u8> = 1..=247;
/// Unit ids that are asked behind an address of a network unless told otherwise.
const FEW_IDS: std::ops::RangeInclusive<u8> = 1..=16;
/// The rate of a converter's serial side unless told otherwise.
const USUAL_BAUD: u32 = 9600;

/// Where devices are looked for.
#[derive(Debug, Clone)]
pub enum Where {
    /// On a serial port.
    Serial(String),
    /// Behind a converter that passes bytes on over TCP: its host and port.
    Converter(String, u16),
    /// In a network.
    Network(Network),
}

/// What is scanned, and how.
#[derive(Debug, Clone)]
pub struct Survey {
    /// Where.
    pub place: Where,
    /// Baud rates of a serial port; of a converter the first counts.
    pub bauds: Vec<u32>,
    /// Parities of a serial port.
    pub parities: Vec<Parity>,
    /// Modbus unit ids; `None` is the usual ones.
    pub ids: Option<Vec<u8>>,
    /// The TCP port that is tried in a network.
    pub port: u16,
    /// Every id that is silent is asked once more, with 0.3 s each.
    pub patient: bool,
}

impl Survey {
    /// The bus that is on the line to be scanned.
    #[must_use]
    pub fn used(&self, buses: &[Bus]) -> Option<BusId> {
        let wanted = match &self.place {
            Where::Serial(path) => path.clone(),
            Where::Converter(host, port) => format!("{host}:{port}"),
            Where::Network(_) => return None,
        };
        let same = |other: &str| match (std::fs::canonicalize(&wanted), std::fs::canonicalize(other)) {
            (Ok(wanted), Ok(other)) => wanted == other,
            _ => wanted == other,
        };
        buses.iter().find(|bus| same(&place_of(&bus.kind))).map(|bus| bus.id.clone())
    }

    /// Whether somebody on another machine may have this scanned: not this machine itself, nor what stands for no machine.
    ///
    /// # Errors
    /// Why not.
    pub async fn harmless(&self) -> Result<(), Forbidden> {
        match &self.place {
            Where::Serial(_) => Ok(()),
            Where::Converter(host, port) => {
                let url = Url::parse(&format!("http://{host}:{port}")).map_err(|_| Forbidden::BadUrl)?;
                reach(&url, None, &["http"], *port).await.map(drop)
            }
            Where::Network(network) => network.hosts().try_for_each(|host| not_own(host.into())),
        }
    }

    /// Scans. May be dropped: what was found by then is in the scan.
    ///
    /// # Errors
    /// When the line cannot be opened, or breaks.
    pub async fn run(&self, scan: &mut Scan<'_>) -> Result<(), ScanError> {
        let ids = |usual: std::ops::RangeInclusive<u8>| self.ids.clone().unwrap_or_else(|| usual.collect());
        match &self.place {
            Where::Serial(path) => scan.serial(&self.settings(path), &ids(ALL_IDS), self.patient).await,
            Where::Converter(host, port) => {
                let place = SerialPlace::Converter { host: host.clone(), port: *port };
                let baud = self.bauds.first().copied().unwrap_or(USUAL_BAUD);
                scan.serial(&[serial(place, baud)], &ids(ALL_IDS), self.patient).await
            }
            Where::Network(network) => scan.network(*network, self.port, &ids(FEW_IDS)).await,
        }
    }

    /// Every setting of a serial port that is to be tried.
    fn settings(&self, path: &str) -> Vec<Serial> {
        let mut settings = Vec::new();
        for baud in &self.bauds {
            for parity in &self.parities {
                let place =
                    SerialPlace::Port { path: path.to_owned(), parity: *parity, two_stop_bits: false };
                settings.push(serial(place, *baud));
            }
        }
        settings
    }
}

fn serial(place: SerialPlace, baud: u32) -> Serial {
    Serial { place, baud, timeout: ANSWER_WITHIN, gap: Duration::ZERO }
}

/// The endpoints that buses use.
#[must_use]
pub fn endpoints(buses: &[Bus]) -> BTreeSet<String> {
    buses.iter().map(|bus| place_of(&bus.kind)).collect()
}

/// Modbus unit ids as people write them, each once: `1-247`, `1,2,10-20`.
///
/// # Errors
/// What is expected.
pub fn ids(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || "expected unit ids from 1 to 247, such as 1-247 or 1,2,10-20".to_owned();
    let mut ids = BTreeSet::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let id = |text: &str| text.trim().parse().ok().filter(|id| ALL_IDS.contains(id)).ok_or_else(wrong);
        let (from, to): (u8, u8) = (id(from)?, id(to)?);
        if from > to {
            return Err(wrong());
        }
        ids.extend(from..=to);
    }
    Ok(ids.into_iter().collect())
}

/// A parity's word.
///
/// # Errors
/// What is expected.
pub fn parity(text: &str) -> Result<Parity, String> {
    match text {
        "none" => Ok(Parity::None),
        "even" => Ok(Parity::Even),
        "odd" => Ok(Parity::Odd),
        _ => Err("expected none, even or odd".into()),
    }
}

/// A converter's host and port.
///
/// # Errors
/// What is expected.
pub fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let wrong = || "expected the converter's host and port, such as 192.168.1.7:8899".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    if host.is_empty() || host.contains(char::is_whitespace) { Err(wrong()) } else { Ok((host.into(), port)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_people_write_them() {
        assert_eq!(ids("3,1-2,2").unwrap(), [1, 2, 3]);
        assert_eq!(ids("1-247").unwrap().len(), 247);
        for wrong in ["", "0", "248", "1-", "5-4", "1;2", "a"] {
            assert!(ids(wrong).is_err(), "{wrong}");
        }
        assert_eq!(host_and_port("[::1]:502").unwrap(), ("[::1]".into(), 502));
        for wrong in ["host", "host:", "host:0", ":1", "a b:1", "host:65536"] {
            assert!(host_and_port(wrong).is_err(), "{wrong}");
        }
    }
}

//! The job `discovery`: who answers on a line or in a network, what it looks like, and configuration ready to use. What
//! the running gateway uses is left alone.

use super::office::{Bench, Outcome, Work};
use crate::config::{self, BusKind, Parity, Serial, SerialPlace};
use crate::console::Problem;
use crate::console::people::bad;
use crate::model::{Lang, PlaceId, Text};
use crate::profile::Profile;
use crate::southbound::survey::network::Network;
use crate::work::scan::{Finding, Scan};
use crate::work::written::{self, Known, address_of};
use crate::work::{self, Survey, Told, Where};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Most devices that are listed.
const LISTED: usize = 1_000;
/// Most profiles that a device may look like, the best first.
const LIKELY: usize = 5;
/// Most rates and parities that are tried.
const SETTINGS: usize = 16;

/// Where to look. One of `serial`, `converter` and `tcp` is needed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DiscoveryOrder")]
pub(crate) struct Order {
    /// Who asks, where that is not known by itself.
    pub(super) actor: Option<String>,
    /// A serial port, such as /dev/ttyUSB0.
    serial: Option<String>,
    /// A converter that passes the bytes of a line on over TCP: host:port.
    converter: Option<String>,
    /// A network, such as 192.168.1.0/24, /22 at most: Modbus TCP devices.
    tcp: Option<String>,
    /// Baud rates of a serial port; 9600, 2400, 4800, 19200 unless told otherwise.
    #[serde(default)]
    bauds: Vec<u32>,
    /// Parities of a serial port: none, even, odd; none and even unless told otherwise.
    #[serde(default)]
    parities: Vec<String>,
    /// Modbus unit ids, such as 1-247 or 1,2,10-20.
    ids: Option<String>,
    /// The TCP port that is tried in a network; 502 unless told otherwise.
    port: Option<u16>,
    /// Whether every id that is silent is asked once more, slowly.
    #[serde(default)]
    patient: bool,
    /// The place of the devices in the configuration that is written.
    place: Option<String>,
    /// The language of its comments; Chinese unless told otherwise.
    #[serde(default)]
    lang: Lang,
}

impl Order {
    fn survey(&self) -> Result<Survey, Problem> {
        let wrong = |why: String| bad(format!("扫描范围有误：{why}"), why);
        let place = match (&self.serial, &self.converter, &self.tcp) {
            (Some(path), None, None) if path.starts_with("/dev/") && !path.contains("..") => {
                Where::Serial(path.clone())
            }
            (Some(_), None, None) => {
                return Err(bad(
                    "串口应写 /dev/ 下的设备，如 /dev/ttyUSB0",
                    "a serial port is one below /dev/, such as /dev/ttyUSB0",
                ));
            }
            (None, Some(converter), None) => {
                let (host, port) = work::host_and_port(converter).map_err(wrong)?;
                Where::Converter(host, port)
            }
            (None, None, Some(network)) => Where::Network(network.parse::<Network>().map_err(wrong)?),
            _ => {
                return Err(bad(
                    "请写 serial、converter、tcp 三者之一",
                    "one of 'serial', 'converter' and 'tcp' is needed",
                ));
            }
        };
        if self.bauds.len() > SETTINGS || self.bauds.iter().any(|baud| !(300..=921_600).contains(baud)) {
            return Err(bad("波特率应在 300 到 921600 之间", "baud rates are from 300 to 921600"));
        }
        let parities: Result<Vec<_>, String> =
            self.parities.iter().take(SETTINGS).map(|parity| work::parity(parity)).collect();
        let (mut bauds, mut parities) = (self.bauds.clone(), parities.map_err(wrong)?);
        if bauds.is_empty() {
            bauds = vec![9600, 2400, 4800, 19200];
        }
        if parities.is_empty() {
            parities = vec![config::Parity::None, config::Parity::Even];
        }
        let ids = self.ids.as_deref().map(work::ids).transpose().map_err(wrong)?;
        let port = self.port.unwrap_or(502);
        Ok(Survey { place, bauds, parities, ids, port, patient: self.patient })
    }

    pub(super) fn check(&self, work: &Work) -> Result<(), Problem> {
        if let Some(bus) = self.survey()?.used(&work.buses) {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                format!("网关正在使用总线“{bus}”：换一个端口，或先停止网关"),
                format!("the gateway uses the bus '{bus}': name another port, or stop the gateway first"),
            ));
        }
        let place = self.place.as_deref().map(PlaceId::new).transpose();
        place.map(drop).map_err(|_| bad("地点编号无效", "'place' is not an id"))
    }

    /// Whoever is not on this machine has nothing on it scanned.
    pub(super) async fn harmless(&self) -> Result<(), Problem> {
        let refused = self.survey()?.harmless().await;
        refused.map_err(|why| {
            bad(format!("这个地址不能扫描：{why}"), format!("this address is not scanned: {why}"))
        })
    }

    pub(super) fn words(&self) -> String {
        let place = self.serial.iter().chain(&self.converter).chain(&self.tcp).next();
        place.cloned().unwrap_or_default()
    }
}

pub(super) async fn run(bench: Bench, order: Order) -> Outcome {
    let survey = match order.survey() {
        Ok(survey) => survey,
        Err(problem) => return Outcome::failed(problem.detail),
    };
    let (source, dir) = (bench.work.source.clone(), bench.work.profiles.clone());
    let loaded = super::office::on_thread(move || config::load_profiles(&source, dir.as_deref())).await;
    let Some(Ok(set)) = loaded else {
        return Outcome::failed(Text::new("设备模板无法读取", "the device profiles cannot be read"));
    };
    let profiles: Vec<Arc<Profile>> = set.ids().filter_map(|id| set.get(id)).collect();
    let progress = bench.progress.clone();
    let mut remarks: Vec<Text> = Vec::new();
    let teller = |told| match told {
        Told::At { done, of, words } => {
            progress.send_replace(super::office::Progress { done, of: Some(of), note: words });
        }
        Told::Stays(words) => remarks.push(words),
    };
    let mut scan = Scan::new(&profiles, work::endpoints(&bench.work.buses), Box::new(teller));
    let outcome = tokio::select! {
        outcome = survey.run(&mut scan) => Some(outcome),
        () = bench.until_halted() => None,
    };
    let findings = scan.finish();
    let place = order.place.as_deref().and_then(|place| PlaceId::new(place).ok());
    let place = place.filter(|place| bench.places.contains_key(place));
    let known = Known {
        lang: order.lang,
        buses: &bench.work.buses,
        devices: Some(&bench.devices),
        places: Some(&bench.places),
    };
    let toml = written::configuration(&findings, known, place.as_ref());
    let result = told(&findings, &remarks, toml);
    match outcome {
        None => Outcome::stopped(Some(result)),
        Some(Ok(())) => Outcome::done(result),
        Some(Err(error)) => {
            let mut outcome = Outcome::broken("扫描失败", &error);
            outcome.result = Some(result);
            outcome
        }
    }
}

/// How a line is set on which somebody answered: its keys of `[[bus]]`. A network has none.
fn line(bus: &BusKind) -> Option<Value> {
    let BusKind::Serial(Serial { place, baud, .. }) = bus else { return None };
    let parity = match place {
        SerialPlace::Port { parity, .. } => Some(match parity {
            Parity::None => "none",
            Parity::Even => "even",
            Parity::Odd => "odd",
        }),
        SerialPlace::Converter { .. } => None,
    };
    Some(json!({"baud": baud, "parity": parity}))
}

fn told(findings: &[Finding], remarks: &[Text], toml: String) -> Value {
    let devices = findings.iter().flat_map(|finding| {
        finding.devices.iter().map(|found| {
            let likely = found.matches.iter().take(LIKELY).map(|one| {
                json!({
                    "profile": one.profile.id, "name": one.profile.name, "percent": one.percent,
                    "reasons": one.reasons,
                })
            });
            json!({
                "bus": work::place_of(&finding.bus), "line": line(&finding.bus), "address": address_of(found.station).trim_matches('"'),
                "identity": found.identity, "compared": found.looked_at, "likely": likely.collect::<Vec<_>>(),
            })
        })
    });
    let many: usize = findings.iter().map(|finding| finding.devices.len()).sum();
    let remarks: Vec<&Text> = findings.iter().flat_map(|finding| &finding.remarks).chain(remarks).collect();
    let remarks: Vec<&&Text> = remarks.iter().take(LISTED).collect();
    json!({
        "found": many, "devices": devices.take(LISTED).collect::<Vec<_>>(), "remarks": remarks,
        // Nobody needs a file of a scan in vain.
        "toml": (many > 0).then_some(toml),
    })
}

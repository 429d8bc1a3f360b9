//! `[[bus]]`: connections to the field, by what they speak.

use super::attached::{certificates_opt, secret};
use super::fields::{finish, host, millis, number, port, secs};
use super::names::{Names, at};
use super::resolve::Sources;
use super::{Bus, BusKind, Login, ModbusTcp, Mqtt, Onvif, Tls};
use crate::document::{Reader, Spot};
use crate::model::BusId;
use crate::profile::Protocol;
use std::collections::BTreeMap;

/// Longest MQTT client id, in bytes.
const MAX_CLIENT_ID_BYTES: usize = 64;

/// The buses that were written.
#[derive(Debug, Default)]
pub(super) struct Buses {
    /// Those without a problem.
    pub(super) good: Vec<Bus>,
    /// What each speaks, also those with a problem elsewhere in their table.
    pub(super) protocols: BTreeMap<String, Protocol>,
}

/// Reads every bus.
pub(super) fn buses(
    readers: Vec<Reader<'_>>,
    names: &mut Names,
    gateway: &str,
    sources: &Sources<'_>,
) -> Buses {
    let mut buses = Buses::default();
    let mut endpoints = BTreeMap::new();
    for reader in readers {
        let id = names.declare(&reader, BusId::new);
        let kinds = [("modbus-tcp", Protocol::Modbus), ("mqtt", Protocol::Mqtt), ("onvif", Protocol::Onvif)];
        let Some(protocol) = reader.word("kind", &kinds) else { continue };
        if let Some(id) = &id {
            buses.protocols.insert(id.to_string(), protocol);
        }
        let kind = match protocol {
            Protocol::Modbus => modbus_tcp(&reader).map(BusKind::ModbusTcp),
            Protocol::Mqtt => mqtt(&reader, gateway, sources).map(BusKind::Mqtt),
            Protocol::Onvif => onvif(&reader, sources).map(BusKind::Onvif),
        };
        if let (Some(id), Some(kind)) = (id, kind) {
            check_endpoint(&reader, &kind, &mut endpoints);
            buses.good.push(Bus { id, kind });
        }
        finish(reader, (protocol != Protocol::Modbus).then_some("password_file"));
    }
    buses
}

/// One connection has one owner: a second bus on the same endpoint would fight the first.
fn check_endpoint(reader: &Reader<'_>, kind: &BusKind, endpoints: &mut BTreeMap<String, Spot>) {
    let (endpoint, advice) = match kind {
        BusKind::ModbusTcp(bus) => (
            format!("{}:{}", bus.host, bus.port),
            "keep one of them and hang all devices of this endpoint on it".to_owned(),
        ),
        BusKind::Mqtt(bus) => (
            format!("{}:{} as '{}'", bus.host, bus.port, bus.client_id),
            "keep one of them, or give each its own `client_id`".to_owned(),
        ),
        BusKind::Onvif(_) => return,
    };
    if let Some(first) = endpoints.get(&endpoint) {
        let message = format!("two buses connect to {endpoint}; the first is at {}", at(first));
        reader.problem("host", message, advice);
    } else {
        endpoints.insert(endpoint, reader.spot("host"));
    }
}

fn modbus_tcp(reader: &Reader<'_>) -> Option<ModbusTcp> {
    let host = host(reader);
    let port = port(reader, 502);
    let timeout = millis(reader, "timeout_ms", (50, 60_000), 1000);
    let gap = millis(reader, "gap_ms", (0, 10_000), 0);
    Some(ModbusTcp { host: host?, port: port?, timeout, gap })
}

fn mqtt(reader: &Reader<'_>, gateway: &str, sources: &Sources<'_>) -> Option<Mqtt> {
    let host = host(reader);
    let login = login(reader, sources);
    let tls = if reader.has("tls") { reader.flag_opt("tls") } else { Some(false) };
    let port = port(reader, if tls == Some(true) { 8883 } else { 1883 });
    let ca_pem = certificates_opt(reader, "ca_file", sources);
    if reader.has("ca_file") && tls == Some(false) {
        reader.problem("ca_file", "'ca_file' has no meaning without TLS", "add `tls = true`");
    }
    let advice = format!("write 1 to {MAX_CLIENT_ID_BYTES} visible characters without spaces");
    let client_id = reader.parsed_opt("client_id", &advice, |text| {
        let plain = text.bytes().all(|b| b.is_ascii_graphic());
        if plain && (1..=MAX_CLIENT_ID_BYTES).contains(&text.len()) {
            Ok(text.to_owned())
        } else {
            Err("this cannot be a client id")
        }
    });
    let client_id = if reader.has("client_id") { client_id } else { Some(format!("schoolgate-{gateway}")) };
    let max_payload = number(reader, "max_payload_bytes", (256, 4_194_304), 262_144);
    Some(Mqtt {
        host: host?,
        port: port?,
        client_id: client_id?,
        login,
        tls: tls?.then_some(Tls { ca_pem }),
        max_payload: usize::try_from(max_payload).unwrap_or(usize::MAX),
    })
}

fn onvif(reader: &Reader<'_>, sources: &Sources<'_>) -> Option<Onvif> {
    let login = login(reader, sources);
    let timeout = millis(reader, "timeout_ms", (100, 60_000), 5000);
    let probe_every = secs(reader, "probe_secs", (5, 86_400), 300);
    Some(Onvif { login, timeout, probe_every })
}

/// `username` and `password_file`: both or neither.
fn login(reader: &Reader<'_>, sources: &Sources<'_>) -> Option<Login> {
    if !reader.has("username") && !reader.has("password_file") {
        return None;
    }
    let username = reader.text("username");
    // A password written here is told once, as such, and not also as a missing file.
    let written = reader.keys().any(|key| matches!(key, "password" | "passwd" | "pwd"));
    let password =
        if written && !reader.has("password_file") { None } else { secret(reader, "password_file", sources) };
    Some(Login { username: username?, password: password? })
}

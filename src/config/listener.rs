//! `kind = "mqtt-listener"`: the gateway's own MQTT listener, and who may log in to it.

use super::attached::{certificates_opt, secret};
use super::bus::{Buses, Wiring};
use super::fields::{finish, number};
use super::names::at;
use super::resolve::Sources;
use super::{BusKind, ListenTls, MqttClient, MqttListener};
use crate::document::{Reader, Spot};
use crate::model::{BusId, DeviceId, Secret};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Longest user name, in bytes.
const MAX_USERNAME_BYTES: usize = 64;
/// Most topics of one login that are written by hand.
const MAX_TOPICS: usize = 64;
/// Longest topic filter, in bytes.
const MAX_FILTER_BYTES: usize = 1024;

/// Reads the keys of a listener, with its `[[bus.reader]]` tables.
pub(super) fn listener(reader: &Reader<'_>, sources: &Sources<'_>) -> Option<MqttListener> {
    let max_payload = number(reader, "max_payload_bytes", (256, 4_194_304), 262_144);
    let plain = plain(reader);
    let tls = tls(reader, sources);
    let mut clients: Vec<MqttClient> = Vec::new();
    for table in reader.tables("reader") {
        if let Some(client) = login_of_reader(&table, sources) {
            if clients.iter().any(|other| other.username == client.username) {
                let message = format!("two readers have the user name '{}'", client.username);
                table.problem("username", message, "give each its own user name");
            }
            clients.push(client);
        }
        finish(table, Some("password_file"));
    }
    if !reader.has("listen") && !reader.has("plain_listen") {
        let message = "the listener has no address to listen on";
        let advice = "add `listen = \"0.0.0.0:8883\"` with `cert_file` and `key_file`, or, for this machine alone, \
                      `plain_listen = \"127.0.0.1:1883\"`";
        reader.problem("kind", message, advice);
        return None;
    }
    if (reader.has("listen") && tls.is_none()) || (reader.has("plain_listen") && plain.is_none()) {
        return None;
    }
    let max_payload = usize::try_from(max_payload).unwrap_or(usize::MAX);
    Some(MqttListener { tls, plain, max_payload, clients })
}

fn address(reader: &Reader<'_>, key: &str, example: &str) -> Option<SocketAddr> {
    let advice = format!("write an address of this machine and a port, such as \"{example}\"");
    reader.parsed_opt(key, &advice, |text| {
        text.parse::<SocketAddr>().map_err(|_| "this is no address with a port")
    })
}

fn plain(reader: &Reader<'_>) -> Option<SocketAddr> {
    let plain = address(reader, "plain_listen", "127.0.0.1:1883");
    let allowed = reader.flag_opt("allow_plain").unwrap_or(false);
    let plain = plain?;
    if !plain.ip().is_loopback() && !allowed {
        let message = format!("'plain_listen' {plain} is open to the network without TLS");
        let advice = "use `listen` with a certificate; where a device cannot speak TLS and its network is separate, \
                      add `allow_plain = true`: passwords then cross that network readable";
        reader.problem("plain_listen", message, advice);
        return None;
    }
    Some(plain)
}

fn tls(reader: &Reader<'_>, sources: &Sources<'_>) -> Option<ListenTls> {
    if !reader.has("listen") {
        for key in ["cert_file", "key_file", "client_ca_file"].into_iter().filter(|key| reader.has(key)) {
            reader.problem(
                key,
                format!("'{key}' has no meaning without TLS"),
                "add `listen = \"0.0.0.0:8883\"`",
            );
            reader.text_opt(key);
        }
        return None;
    }
    let listen = address(reader, "listen", "0.0.0.0:8883");
    let cert_pem = certificates_opt(reader, "cert_file", sources);
    if !reader.has("cert_file") {
        let advice = "add `cert_file = \"tls/server.pem\"`, the listener's certificate, and `key_file`";
        reader.problem("listen", "'bus.cert_file' is missing", advice);
    }
    let key_pem = secret(reader, "key_file", sources);
    let client_ca_pem = certificates_opt(reader, "client_ca_file", sources);
    if reader.has("client_ca_file") && client_ca_pem.is_none() {
        return None;
    }
    let tls = ListenTls { listen: listen?, cert_pem: cert_pem?, key_pem: key_pem?, client_ca_pem };
    if let Err(wrong) = server_tls(&tls) {
        let advice = "write the certificate and the private key that belong together, both PEM; the key without a \
                      passphrase";
        reader.problem("cert_file", format!("the listener's certificate cannot be used: {wrong}"), advice);
        return None;
    }
    Some(tls)
}

/// The TLS side of a listener: its own certificate, and client certificates that are wanted but not demanded.
///
/// # Errors
/// What cannot be used, in words: never a byte of the key.
pub fn server_tls(tls: &ListenTls) -> Result<ServerConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&tls.cert_pem).filter_map(Result::ok).collect();
    let key = PrivateKeyDer::from_pem_slice(tls.key_pem.expose().as_bytes())
        .map_err(|_| "the key file holds no private key in PEM".to_owned())?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &tls.client_ca_pem {
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for cert in CertificateDer::pem_slice_iter(pem).filter_map(Result::ok) {
                roots.add(cert).map_err(|error| error.to_string())?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| error.to_string())?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    builder.with_single_cert(chain, key).map_err(|error| error.to_string())
}

fn username(reader: &Reader<'_>) -> Option<String> {
    let advice = format!("write 1 to {MAX_USERNAME_BYTES} characters without spaces");
    reader.parsed_opt("username", &advice, |text| {
        let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
        if plain && (1..=MAX_USERNAME_BYTES).contains(&text.len()) {
            Ok(text.to_owned())
        } else {
            Err("this cannot be a user name")
        }
    })
}

/// Whether a text is a topic filter (MQTT 5, section 4.7): `+` and `#` stand alone in their level, `#` in the last.
#[must_use]
pub fn valid_filter(filter: &str) -> bool {
    let mut levels = filter.split('/').rev();
    let last = levels.next().unwrap_or_default();
    let plain = |level: &str| level == "+" || !level.contains(['+', '#']);
    let sized = !filter.is_empty() && filter.len() <= MAX_FILTER_BYTES;
    sized && !filter.contains('\0') && (last == "#" || plain(last)) && levels.all(plain)
}

fn filters(reader: &Reader<'_>, key: &str) -> Vec<String> {
    let mut good = Vec::new();
    for (filter, spot) in reader.texts(key) {
        if !valid_filter(&filter) || filter.starts_with('$') {
            let advice = "write topics such as \"school/hall/#\": + is one level, # the rest";
            reader.problems().at(&spot, "this is not an MQTT topic filter", advice);
        } else {
            good.push(filter);
        }
    }
    if good.len() > MAX_TOPICS {
        reader.problem(
            key,
            format!("'{key}' has more than {MAX_TOPICS} topics"),
            "use + and # to say more with less",
        );
    }
    good
}

fn login_of_reader(reader: &Reader<'_>, sources: &Sources<'_>) -> Option<MqttClient> {
    if !reader.has("username") {
        reader.text("username");
    }
    let username = username(reader);
    let has_password = reader.has("password_file");
    let password = if has_password { secret(reader, "password_file", sources) } else { None };
    let subscribe = filters(reader, "filters");
    if !reader.has("filters") {
        reader.problem(
            "username",
            "'reader.filters' is missing",
            "add `filters = [\"zigbee2mqtt/#\"]`: what it may read",
        );
    }
    if has_password && password.is_none() {
        return None;
    }
    Some(MqttClient { username: username?, password, devices: Vec::new(), subscribe })
}

/// What a device says of its login.
#[derive(Debug)]
pub(super) struct DeviceLogin {
    device: DeviceId,
    bus: BusId,
    username: String,
    password: Option<Secret>,
    subscribe: Vec<String>,
    spot: Spot,
}

/// Reads the keys of a device's login. On every other bus they have no meaning.
pub(super) fn device_login(
    reader: &Reader<'_>,
    wiring: Option<Wiring>,
    bus: Option<&BusId>,
    device: Option<&DeviceId>,
    sources: &Sources<'_>,
) -> Option<DeviceLogin> {
    let keys = ["username", "password_file", "subscribe"];
    if wiring != Some(Wiring::MqttListener) {
        for key in keys.into_iter().filter(|key| wiring.is_some() && reader.has(key)) {
            let message = format!("'{key}' has no meaning on this bus");
            reader.problem(
                key,
                message,
                "devices log in to a bus of the kind \"mqtt-listener\" only: drop it",
            );
        }
        // Of a bus that is not known nothing can be said; the keys are not strange ones.
        keys.into_iter().for_each(|key| _ = reader.has(key));
        return None;
    }
    let username =
        username(reader).or_else(|| device.filter(|_| !reader.has("username")).map(ToString::to_string));
    let has_password = reader.has("password_file");
    let password = if has_password { secret(reader, "password_file", sources) } else { None };
    let subscribe = filters(reader, "subscribe");
    if has_password && password.is_none() {
        return None;
    }
    let spot = reader.spot("id");
    Some(DeviceLogin {
        device: device?.clone(),
        bus: bus?.clone(),
        username: username?,
        password,
        subscribe,
        spot,
    })
}

/// Gives each listener the logins of its devices; the same user name at several devices is one login.
pub(super) fn attach(buses: &mut Buses, logins: Vec<DeviceLogin>, problems: &crate::document::Problems) {
    let mut by_bus: BTreeMap<BusId, Vec<DeviceLogin>> = BTreeMap::new();
    for login in logins {
        by_bus.entry(login.bus.clone()).or_default().push(login);
    }
    for bus in &mut buses.good {
        let BusKind::MqttListener(listener) = &mut bus.kind else { continue };
        let certificates = listener.tls.as_ref().is_some_and(|tls| tls.client_ca_pem.is_some());
        let mut spots: BTreeMap<String, Spot> = BTreeMap::new();
        for login in by_bus.remove(&bus.id).unwrap_or_default() {
            match listener.clients.iter_mut().find(|client| client.username == login.username) {
                Some(client) if client.devices.is_empty() => {
                    let message = format!(
                        "a reader of the bus '{}' has the user name '{}' too",
                        bus.id, login.username
                    );
                    problems.at(
                        &login.spot,
                        message,
                        "readers never publish: give it a user name of its own",
                    );
                }
                Some(client) => {
                    if login.password.is_some()
                        && client.password.is_some()
                        && login.password != client.password
                    {
                        let first = spots.get(&login.username).map(at).unwrap_or_default();
                        let message = format!(
                            "the login '{}' has two different passwords; the first device with it is at {first}",
                            login.username
                        );
                        problems.at(
                            &login.spot,
                            message,
                            "name the same file, or name it at one of the devices only",
                        );
                    }
                    client.password = client.password.take().or(login.password);
                    client.devices.push(login.device);
                    client.subscribe.extend(login.subscribe);
                }
                None => {
                    spots.insert(login.username.clone(), login.spot);
                    listener.clients.push(MqttClient {
                        username: login.username,
                        password: login.password,
                        devices: vec![login.device],
                        subscribe: login.subscribe,
                    });
                }
            }
        }
        for client in listener.clients.iter().filter(|client| client.password.is_none() && !certificates) {
            let Some(spot) = spots.get(&client.username) else { continue };
            let message = format!(
                "the login '{}' has neither a password nor a way to show a certificate",
                client.username
            );
            let advice = "add `password_file = \"secrets/…\"` here, or `client_ca_file` at the bus for client certificates";
            problems.at(spot, message, advice);
        }
    }
}

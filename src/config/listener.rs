//! `kind = "mqtt-listener"`: the gateway's own MQTT listener, and who may log in to it.

use super::attached::{certificates_opt, secret};
use super::bus::{Buses, Wiring};
use super::fields::{finish, number};
use super::names::at;
use super::resolve::Sources;
use super::{BusKind, ListenTls, MqttClient, MqttListener};
use crate::document::{Problems, Reader, SECRET_KEYS, Spot};
use crate::model::{BusId, DeviceId, Secret, Text};
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
                let message = (
                    format!("有两个只读登录用 '{}' 作用户名", client.username),
                    format!("two readers have the user name '{}'", client.username),
                );
                table.problem("username", message, ("各用一个用户名", "give each its own user name"));
            }
            clients.push(client);
        }
        finish(table, Some("password_file"));
    }
    if !reader.has("listen") && !reader.has("plain_listen") {
        let message = ("没有写监听的地址", "the listener has no address to listen on");
        let advice = (
            "加上 `listen = \"0.0.0.0:8883\"` 和 `cert_file`、`key_file`；只给本机用的，写 `plain_listen = \"127.0.0.1:1883\"`",
            "add `listen = \"0.0.0.0:8883\"` with `cert_file` and `key_file`, or, for this machine alone, \
             `plain_listen = \"127.0.0.1:1883\"`",
        );
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
    reader.parsed_opt(key, listen_advice(example), with_port)
}

/// The advice to write where to listen.
pub(super) fn listen_advice(example: &str) -> (String, String) {
    (
        format!("写本机的地址和端口，如 \"{example}\""),
        format!("write an address of this machine and a port, such as \"{example}\""),
    )
}

/// An address of this machine and a port.
pub(super) fn with_port(text: &str) -> Result<SocketAddr, (&'static str, &'static str)> {
    text.parse().map_err(|_| ("这不是带端口的地址", "this is no address with a port"))
}

fn plain(reader: &Reader<'_>) -> Option<SocketAddr> {
    let plain = address(reader, "plain_listen", "127.0.0.1:1883");
    let allowed = reader.flag_opt("allow_plain").unwrap_or(false);
    let plain = plain?;
    if !plain.ip().is_loopback() && !allowed {
        let message = (
            format!("'plain_listen' 的 {plain} 没有 TLS 就对网络开放"),
            format!("'plain_listen' {plain} is open to the network without TLS"),
        );
        let advice = (
            "用 `listen` 加证书；设备不支持 TLS 而网络又是单独的，写 `allow_plain = true`：密码会在这个网络里明文传送",
            "use `listen` with a certificate; where a device cannot speak TLS and its network is separate, \
             add `allow_plain = true`: passwords then cross that network readable",
        );
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
                (format!("没有 TLS 时 '{key}' 没有用处"), format!("'{key}' has no meaning without TLS")),
                ("加上 `listen = \"0.0.0.0:8883\"`", "add `listen = \"0.0.0.0:8883\"`"),
            );
            reader.text_opt(key);
        }
        return None;
    }
    let listen = address(reader, "listen", "0.0.0.0:8883");
    let cert_pem = certificates_opt(reader, "cert_file", sources);
    if !reader.has("cert_file") {
        let advice = (
            "加上 `cert_file = \"tls/server.pem\"`（监听用的证书）和 `key_file`",
            "add `cert_file = \"tls/server.pem\"`, the listener's certificate, and `key_file`",
        );
        reader.problem("listen", ("缺少 'bus.cert_file'", "'bus.cert_file' is missing"), advice);
    }
    let key_pem = secret(reader, "key_file", sources);
    let client_ca_pem = certificates_opt(reader, "client_ca_file", sources);
    if reader.has("client_ca_file") && client_ca_pem.is_none() {
        return None;
    }
    let tls = ListenTls { listen: listen?, cert_pem: cert_pem?, key_pem: key_pem?, client_ca_pem };
    if let Err(wrong) = server_tls(&tls) {
        let message = (
            format!("监听用的证书不能用：{}", wrong.zh),
            format!("the listener's certificate cannot be used: {}", wrong.en),
        );
        reader.problem("cert_file", message, PAIR);
        return None;
    }
    Some(tls)
}

/// The advice to write a certificate and the key that belongs to it.
pub(super) const PAIR: (&str, &str) = (
    "写配成一对的证书和私钥，都是 PEM；私钥不带密码",
    "write the certificate and the private key that belong together, both PEM; the key without a passphrase",
);

/// The TLS side of a listener: its own certificate, and client certificates that are wanted but not demanded.
///
/// # Errors
/// What cannot be used, in words: never a byte of the key.
pub fn server_tls(tls: &ListenTls) -> Result<ServerConfig, Text> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&tls.cert_pem).filter_map(Result::ok).collect();
    let key = PrivateKeyDer::from_pem_slice(tls.key_pem.expose().as_bytes())
        .map_err(|_| Text::new("密钥文件里没有 PEM 私钥", "the key file holds no private key in PEM"))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Text::same(error.to_string()))?;
    let builder = match &tls.client_ca_pem {
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for cert in CertificateDer::pem_slice_iter(pem).filter_map(Result::ok) {
                roots.add(cert).map_err(|error| Text::same(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| Text::same(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    builder.with_single_cert(chain, key).map_err(|error| Text::same(error.to_string()))
}

fn username(reader: &Reader<'_>) -> Option<String> {
    let advice = (
        format!("写 1 到 {MAX_USERNAME_BYTES} 个字符，不带空格"),
        format!("write 1 to {MAX_USERNAME_BYTES} characters without spaces"),
    );
    reader.parsed_opt("username", advice, |text| {
        let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
        if plain && (1..=MAX_USERNAME_BYTES).contains(&text.len()) {
            Ok(text.to_owned())
        } else {
            Err(("这不能作用户名", "this cannot be a user name"))
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
            let message = ("这不是 MQTT 主题过滤器", "this is not an MQTT topic filter");
            let advice = (
                "写主题，如 \"school/hall/#\"：+ 代表一级，# 代表其余各级",
                "write topics such as \"school/hall/#\": + is one level, # the rest",
            );
            reader.problems().at(&spot, message, advice);
        } else {
            good.push(filter);
        }
    }
    if good.len() > MAX_TOPICS {
        reader.problem(
            key,
            (
                format!("'{key}' 的主题超过 {MAX_TOPICS} 个"),
                format!("'{key}' has more than {MAX_TOPICS} topics"),
            ),
            ("用 + 和 # 合并", "use + and # to say more with less"),
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
            ("缺少 'reader.filters'", "'reader.filters' is missing"),
            (
                "加上 `filters = [\"zigbee2mqtt/#\"]`：它可以读什么",
                "add `filters = [\"zigbee2mqtt/#\"]`: what it may read",
            ),
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
            let message =
                (format!("'{key}' 在这条总线上没有用处"), format!("'{key}' has no meaning on this bus"));
            let advice = (
                "设备只登录 \"mqtt-listener\" 类的总线：删去",
                "devices log in to a bus of the kind \"mqtt-listener\" only: drop it",
            );
            reader.problem(key, message, advice);
        }
        // Of a bus that is not known nothing can be said; the keys are not strange ones.
        keys.into_iter().for_each(|key| _ = reader.has(key));
        return None;
    }
    // A password that stands here is told as such, and not also as one that is missing.
    if !reader.has("password_file") && reader.keys().any(|key| SECRET_KEYS.contains(&key)) {
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
pub(super) fn attach(buses: &mut Buses, logins: Vec<DeviceLogin>, problems: &Problems) {
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
                    let (bus, user) = (&bus.id, &login.username);
                    let message = (
                        format!("总线 '{bus}' 的只读登录也用 '{user}' 作用户名"),
                        format!("a reader of the bus '{bus}' has the user name '{user}' too"),
                    );
                    let advice = (
                        "只读登录不能发布：给它另一个用户名",
                        "readers never publish: give it a user name of its own",
                    );
                    problems.at(&login.spot, message, advice);
                }
                Some(client) => {
                    if login.password.is_some()
                        && client.password.is_some()
                        && login.password != client.password
                    {
                        let first = spots.get(&login.username).map(at).unwrap_or_default();
                        let user = &login.username;
                        let message = (
                            format!("登录名 '{user}' 有两个不同的密码；第一台用它的设备在 {first}"),
                            format!(
                                "the login '{user}' has two different passwords; the first device with it is at {first}"
                            ),
                        );
                        let advice = (
                            "写同一个文件，或只在其中一台设备上写",
                            "name the same file, or name it at one of the devices only",
                        );
                        problems.at(&login.spot, message, advice);
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
            let user = &client.username;
            let message = (
                format!("登录名 '{user}' 既没有密码，也没有办法出示证书"),
                format!("the login '{user}' has neither a password nor a way to show a certificate"),
            );
            let advice = (
                "这里加上 `password_file = \"secrets/…\"`；用客户端证书的，在总线上写 `client_ca_file`",
                "add `password_file = \"secrets/…\"` here, or `client_ca_file` at the bus for client certificates",
            );
            problems.at(spot, message, advice);
        }
    }
}

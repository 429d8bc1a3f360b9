//! `[[bus]]` of event sources that are not MQTT: terminals that push, streams that are pulled, panels that connect.

use super::attached::{certificates_opt, secret};
use super::bus::login;
use super::fields::{millis, number, secs, url};
use super::listener::listen_advice;
use super::resolve::Sources;
use super::site::socket;
use super::{Device, Network, PullFrom, Push, Receiver, ServerTls, Stream};
use crate::document::Reader;
use crate::model::{DeviceId, Secret, Text};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use url::Url;

/// Longest part of an address behind `#`, and longest serial number, in bytes.
const MAX_PART_BYTES: usize = 64;
/// Largest source address of GB/T 26875.3: six bytes.
const MAX_FIRE_ADDRESS: u64 = (1 << 48) - 1;

/// Private, link-local and loopback networks (RFC 1918, RFC 3927, RFC 4193, RFC 4291).
fn private_networks() -> Vec<Network> {
    let v4 = |a, b, bits| Network { address: IpAddr::V4(Ipv4Addr::new(a, b, 0, 0)), bits };
    let v6 = |first, bits| Network { address: IpAddr::V6(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0)), bits };
    let loopback = Network { address: IpAddr::V6(Ipv6Addr::LOCALHOST), bits: 128 };
    vec![
        v4(10, 0, 8),
        v4(172, 16, 12),
        v4(192, 168, 16),
        v4(169, 254, 16),
        v4(127, 0, 8),
        v6(0xfc00, 7),
        v6(0xfe80, 10),
        loopback,
    ]
}

/// The address and port to listen on.
pub(super) fn listen(reader: &Reader<'_>, example: &str) -> Option<SocketAddr> {
    reader.parsed("listen", listen_advice(example), |text| match socket(text)? {
        address if address.port() == 0 => Err(Text::new("不能向端口 0 发送", "port 0 is no port to send to")),
        address => Ok(address),
    })
}

/// The networks that may connect; the private ones unless written.
pub(super) fn networks(reader: &Reader<'_>) -> Vec<Network> {
    if !reader.has("from") {
        return private_networks();
    }
    let written = reader.texts("from");
    if written.is_empty() {
        reader.problem(
            "from",
            ("'from' 没有写网段", "'from' names no network"),
            (
                "写网段，如 `from = [\"192.168.1.0/24\"]`",
                "write networks, as in `from = [\"192.168.1.0/24\"]`",
            ),
        );
    }
    let network = |text: &str| -> Option<Network> {
        let (address, bits) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address.trim().parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = if bits.is_empty() { most } else { bits.trim().parse().ok()? };
        (bits <= most).then_some(Network { address, bits })
    };
    let mut networks = Vec::new();
    for (text, _) in written {
        match network(&text) {
            Some(network) => networks.push(network),
            None => reader.problem(
                "from",
                (
                    format!("'from'：\"{text}\" 不是网段"),
                    format!("'from': \"{text}\" is no network"),
                ),
                (
                    "写地址，或地址加上有效位数，如 \"192.168.1.0/24\"",
                    "write an address, or an address and how many of its bits count, as in \"192.168.1.0/24\"",
                ),
            ),
        }
    }
    networks
}

/// `http-push`.
pub(super) fn push(reader: &Reader<'_>, sources: &Sources<'_>) -> Option<Push> {
    let listen = listen(reader, "0.0.0.0:8090");
    let tls = server_tls(reader, sources);
    let has_tls = reader.has("cert_file") || reader.has("key_file");
    let plain = reader.flag_opt("allow_plain").unwrap_or(false);
    if let Some(listen) = listen.filter(|listen| !listen.ip().is_loopback() && !has_tls && !plain) {
        reader.problem(
            "listen",
            (
                format!("'listen' 是 {listen} 而没有 TLS：同一网络里的人能看到终端发的内容"),
                format!("'listen' is {listen} without TLS: whoever is on this network can read what terminals send"),
            ),
            (
                "加上 `cert_file` 和 `key_file`；终端不支持 TLS 而网络又是单独的，写 `allow_plain = true`",
                "add `cert_file` and `key_file`, or `allow_plain = true` where the terminals cannot speak TLS and \
                 have a network of their own",
            ),
        );
    }
    let login = login(reader, sources);
    let from = networks(reader);
    let heartbeat = secs(reader, "heartbeat_secs", (5, 3600), 30);
    let end_after = secs(reader, "end_after_secs", (5, 86_400), 60);
    let max_body = number(reader, "max_body_bytes", (4096, 16_777_216), 2_097_152);
    Some(Push {
        listen: listen?,
        tls: tls?,
        login,
        from,
        heartbeat,
        end_after,
        max_body: usize::try_from(max_body).unwrap_or(usize::MAX),
        pull: BTreeMap::new(),
    })
}

/// `cert_file` and `key_file`: both or neither. `None` where one of them has a problem.
fn server_tls(reader: &Reader<'_>, sources: &Sources<'_>) -> Option<Option<ServerTls>> {
    if !reader.has("cert_file") && !reader.has("key_file") {
        return Some(None);
    }
    for (key, other) in [("cert_file", "key_file"), ("key_file", "cert_file")] {
        if !reader.has(key) {
            let message = (
                format!("没有 '{key}' 时 '{other}' 没有用处"),
                format!("'{other}' has no meaning without '{key}'"),
            );
            let advice = (format!("加上 `{key} = \"…\"`"), format!("add `{key} = \"…\"`"));
            reader.problem(other, message, advice);
        }
    }
    let cert_pem = certificates_opt(reader, "cert_file", sources);
    let key_pem = if reader.has("key_file") { secret(reader, "key_file", sources) } else { None };
    let key_pem = key_pem.filter(|key| is_key(reader, key));
    Some(Some(ServerTls { cert_pem: cert_pem?, key_pem: key_pem? }))
}

fn is_key(reader: &Reader<'_>, key: &Secret) -> bool {
    let good = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).is_ok();
    if !good {
        reader.problem(
            "key_file",
            ("'key_file' 的文件里没有私钥", "the file of 'key_file' holds no private key"),
            (
                "写 PEM 文件的路径；其中有 -----BEGIN PRIVATE KEY----- 这一行",
                "write the path of a PEM file; it contains the line -----BEGIN PRIVATE KEY-----",
            ),
        );
    }
    good
}

/// `isapi` and `dahua`: heartbeats come this often unless told otherwise, and a state that is not told again for
/// `end_after_secs` is over; 0 is never.
pub(super) fn stream(
    reader: &Reader<'_>,
    sources: &Sources<'_>,
    heartbeat_secs: u32,
    end_after_secs: u32,
) -> Stream {
    let end_after = secs(reader, "end_after_secs", (0, 86_400), end_after_secs);
    let hours = number(reader, "back_fill_hours", (0, 168), 24);
    Stream {
        login: login(reader, sources),
        timeout: millis(reader, "timeout_ms", (100, 60_000), 5000),
        heartbeat: secs(reader, "heartbeat_secs", (1, 600), heartbeat_secs),
        end_after: Some(end_after).filter(|span| !span.is_zero()),
        back_fill: Duration::from_secs(u64::from(hours) * 3600),
    }
}

/// `fire-receiver` and `panel-receiver`.
pub(super) fn receiver(reader: &Reader<'_>, example: &str) -> Option<Receiver> {
    let listen = listen(reader, example);
    let from = networks(reader);
    let silence = secs(reader, "silence_secs", (5, 86_400), 300);
    Some(Receiver { listen: listen?, from, silence })
}

/// Whether the six bytes of a fire transmitter's address are written lowest first.
pub(super) fn lowest_first(reader: &Reader<'_>) -> bool {
    let words = [("low-first", true), ("high-first", false)];
    reader.word_opt("address_order", &words).unwrap_or(true)
}

/// An address and, behind `#`, one part of the device.
pub(super) fn with_part(
    text: &str,
    address: impl FnOnce(&str) -> Result<String, Text>,
) -> Result<String, Text> {
    let (whole, part) = match text.split_once('#') {
        Some((whole, part)) => (whole, Some(part)),
        None => (text, None),
    };
    let whole = address(whole.trim())?;
    match part.map(str::trim) {
        None => Ok(whole),
        Some(part) if part.is_empty() || part.len() > MAX_PART_BYTES => Err(Text::new(
            format!("'#' 后面的部分不是 1 到 {MAX_PART_BYTES} 个字符"),
            format!("the part behind '#' is not 1 to {MAX_PART_BYTES} characters long"),
        )),
        Some(part) if part.chars().any(|c| c.is_control() || c == '#') => Err(Text::new(
            "'#' 后面的部分里有不能用的字符",
            "the part behind '#' has a character that no part has",
        )),
        Some(part) => Ok(format!("{whole}#{part}")),
    }
}

/// A terminal's MAC or IP address in one way of writing, or its serial number as it is.
pub(super) fn terminal(text: &str) -> Result<String, Text> {
    if let Some(mac) = mac(text) {
        return Ok(mac);
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(ip.to_string());
    }
    serial_number(text)
}

/// A MAC address as `01:23:45:67:89:ab`.
#[must_use]
pub fn mac(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect();
    let separated = digits.len() < text.len();
    if digits.len() != 12 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) || !separated {
        return None;
    }
    let digits = digits.to_ascii_lowercase();
    let pairs: Vec<&str> = (0..6).filter_map(|n| digits.get(2 * n..2 * n + 2)).collect();
    Some(pairs.join(":"))
}

/// A serial number as a terminal sends it.
pub(super) fn serial_number(text: &str) -> Result<String, Text> {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if plain && (1..=MAX_PART_BYTES).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err(Text::new(
            format!("这不是 1 到 {MAX_PART_BYTES} 个不带空格的可见字符"),
            format!("this is not 1 to {MAX_PART_BYTES} visible characters without spaces"),
        ))
    }
}

/// The number of a fire transmitter.
pub(super) fn fire_address(text: &str) -> Result<String, Text> {
    match text.parse::<u64>() {
        Ok(number) if number <= MAX_FIRE_ADDRESS => Ok(number.to_string()),
        _ => Err(Text::new(
            format!("这不是 0 到 {MAX_FIRE_ADDRESS} 的数字"),
            format!("this is no number from 0 to {MAX_FIRE_ADDRESS}"),
        )),
    }
}

/// The account of an intrusion panel (SIA DC-09: 3 to 16 hexadecimal digits).
pub(super) fn account(text: &str) -> Result<String, Text> {
    if (3..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(text.to_ascii_uppercase())
    } else {
        Err(Text::new("这不是 3 到 16 位数字或字母 A 到 F", "this is not 3 to 16 digits or letters A to F"))
    }
}

/// The base URL of a camera or terminal, with the part behind `#`.
pub(super) fn base_url(text: &str) -> Result<String, Text> {
    let parsed = Url::parse(text)
        .map_err(|error| Text::new(format!("这不是 URL：{error}"), format!("this is not a URL: {error}")))?;
    let scheme = parsed.scheme();
    if !matches!(scheme, "http" | "https") {
        return Err(Text::new(format!("它以 {scheme}: 开头"), format!("it begins with {scheme}:")));
    }
    if parsed.host_str().is_none_or(str::is_empty) || parsed.query().is_some() {
        return Err(Text::new("它没有主机，或带了 '?'", "it has no host, or a query"));
    }
    Ok(parsed.as_str().trim_end_matches('/').to_owned())
}

/// `pull_url`, `username` and `password_file` of a device that pushes: where what was missed is asked for.
pub(super) fn pull_from(reader: &Reader<'_>, sources: &Sources<'_>) -> Option<PullFrom> {
    let login = login(reader, sources);
    if !reader.has("pull_url") {
        if login.is_some() {
            let message =
                ("没有 'pull_url' 时 'username' 没有用处", "'username' has no meaning without 'pull_url'");
            let advice = (
                "加上 `pull_url = \"http://…\"`，或删去登录",
                "add `pull_url = \"http://…\"`, or remove the login",
            );
            reader.problem("username", message, advice);
        }
        return None;
    }
    let url = url(reader, "pull_url", "http://192.168.1.64");
    if login.is_none() && !reader.has("username") && !reader.has("password_file") {
        let advice = (
            "加上 `username = \"…\"` 和 `password_file = \"secrets/…\"`：不登录，终端什么也不给",
            "add `username = \"…\"` and `password_file = \"secrets/…\"`: terminals give nothing without",
        );
        reader.problem("pull_url", ("'pull_url' 没有登录", "'pull_url' has no login"), advice);
    }
    Some(PullFrom { url: url?, login: login? })
}

/// The same for a device on a bus that cannot use it; of a bus that is not known nothing can be said.
pub(super) fn no_pull_from(reader: &Reader<'_>, known: bool) {
    if reader.has("pull_url") && known {
        let message = (
            "设备的 'pull_url' 只用于 \"http-push\" 类的总线",
            "'pull_url' of a device is for buses of the kind \"http-push\" alone",
        );
        reader.problem("pull_url", message, ("删去", "remove it"));
    }
}

/// Hands each bus what its devices say about asking them.
pub(super) fn hand_over(
    buses: &mut [super::Bus],
    devices: &BTreeMap<DeviceId, Device>,
    mut pull: BTreeMap<DeviceId, PullFrom>,
) {
    for bus in buses {
        let super::BusKind::Push(push) = &mut bus.kind else { continue };
        let on_it = devices.values().filter(|device| device.bus == bus.id);
        push.pull = on_it.filter_map(|device| pull.remove_entry(&device.id)).collect();
    }
}

impl Network {
    /// Whether an address is in it; an IPv4 address in an IPv6 one counts as itself.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let bits = u32::from(self.bits.min(32));
                (u32::from(own) ^ u32::from(other)).checked_shr(32 - bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let bits = u32::from(self.bits.min(128));
                (u128::from(own) ^ u128::from(other)).checked_shr(128 - bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_brought_into_one_form_and_their_part_is_kept() {
        for (text, wanted) in [
            ("4F-E4-2F-81-CD-1B", Some("4f:e4:2f:81:cd:1b")),
            ("4fe4.2f81.cd1b#2", Some("4f:e4:2f:81:cd:1b#2")),
            ("192.168.1.64", Some("192.168.1.64")),
            ("DS-K1T671M20210101", Some("DS-K1T671M20210101")),
            ("000000000001#3", Some("000000000001#3")),
            ("", None),
            ("a b", None),
            ("x#", None),
            ("x#1#2", None),
        ] {
            assert_eq!(with_part(text, terminal).ok().as_deref(), wanted, "{text}");
        }
        assert_eq!(fire_address("001"), Ok("1".into()));
        assert!(fire_address("281474976710656").is_err());
        assert_eq!(account("12ab"), Ok("12AB".into()));
        let url = with_part("http://192.168.1.64/#2", base_url);
        assert_eq!(url, Ok("http://192.168.1.64#2".into()));
        assert!(base_url("rtsp://192.168.1.64").is_err());
    }

    #[test]
    fn a_network_holds_its_own() {
        let net = |text: &str, bits| Network { address: text.parse().unwrap(), bits };
        for (network, address, holds) in [
            (net("192.168.1.7", 24), "192.168.1.200", true),
            (net("192.168.1.0", 24), "192.168.2.1", false),
            (net("192.168.1.0", 24), "::ffff:192.168.1.9", true),
            (net("10.0.0.1", 32), "10.0.0.2", false),
            (net("0.0.0.0", 0), "8.8.8.8", true),
            (net("fe80::", 10), "fe80::1", true),
            (net("fe80::", 10), "10.0.0.1", false),
        ] {
            assert_eq!(network.holds(address.parse().unwrap()), holds, "{network:?} {address}");
        }
        let private = private_networks();
        let inside = |text: &str| private.iter().any(|network| network.holds(text.parse().unwrap()));
        assert!(inside("172.31.0.1") && inside("127.0.0.1") && inside("::1") && !inside("172.32.0.1"));
    }
}

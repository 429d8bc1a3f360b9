//! `[[bus]]`: connections to the field, by what they speak.

use super::attached::{certificates_opt, secret};
use super::fields::{finish, host, millis, number, port, secs};
use super::listener::listener;
use super::names::{Names, at};
use super::resolve::Sources;
use super::source;
use super::{
    Bus, BusKind, FireReceiver, Login, ModbusTcp, Mqtt, Onvif, Parity, Push, Receiver, Serial, SerialPlace,
    Tls,
};
use crate::document::{Reader, Spot};
use crate::model::{BusId, Text};
use crate::profile::Protocol;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Longest MQTT client id, in bytes.
const MAX_CLIENT_ID_BYTES: usize = 64;

/// What a bus is, as its word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wiring {
    ModbusTcp,
    Serial,
    Mqtt,
    MqttListener,
    Onvif,
    Push,
    Isapi,
    Dahua,
    FireReceiver,
    PanelReceiver,
}

impl Wiring {
    const WORDS: &[(&str, Self)] = &[
        ("modbus-tcp", Self::ModbusTcp),
        ("serial", Self::Serial),
        ("mqtt", Self::Mqtt),
        ("mqtt-listener", Self::MqttListener),
        ("onvif", Self::Onvif),
        ("http-push", Self::Push),
        ("isapi", Self::Isapi),
        ("dahua", Self::Dahua),
        ("fire-receiver", Self::FireReceiver),
        ("panel-receiver", Self::PanelReceiver),
    ];

    /// Whether devices of this protocol can hang on it.
    pub(super) fn carries(self, protocol: Protocol) -> bool {
        match self {
            Self::ModbusTcp => protocol == Protocol::Modbus,
            Self::Serial => matches!(protocol, Protocol::Modbus | Protocol::Dlt645 | Protocol::Cjt188),
            Self::Mqtt | Self::MqttListener => protocol == Protocol::Mqtt,
            Self::Onvif => protocol == Protocol::Onvif,
            Self::Push => matches!(protocol, Protocol::Isapi | Protocol::Zkteco),
            Self::Isapi => protocol == Protocol::Isapi,
            Self::Dahua => protocol == Protocol::Dahua,
            Self::FireReceiver => protocol == Protocol::Gb26875,
            Self::PanelReceiver => protocol == Protocol::ContactId,
        }
    }

    /// The words of those that carry a protocol.
    pub(super) fn words_for(protocol: Protocol) -> Text {
        let fitting = Self::WORDS.iter().filter(|(_, wiring)| wiring.carries(protocol));
        let words: Vec<String> = fitting.map(|(word, _)| format!("\"{word}\"")).collect();
        Text::new(words.join(" 或 "), words.join(" or "))
    }
}

/// The buses that were written.
#[derive(Debug, Default)]
pub(super) struct Buses {
    /// Those without a problem.
    pub(super) good: Vec<Bus>,
    /// What each is, also those with a problem elsewhere in their table.
    pub(super) wirings: BTreeMap<String, Wiring>,
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
        let Some(wiring) = reader.word("kind", Wiring::WORDS) else { continue };
        if let Some(id) = &id {
            buses.wirings.insert(id.to_string(), wiring);
        }
        let kind = match wiring {
            Wiring::ModbusTcp => modbus_tcp(&reader).map(BusKind::ModbusTcp),
            Wiring::Serial => serial(&reader).map(BusKind::Serial),
            Wiring::Mqtt => mqtt(&reader, gateway, sources).map(BusKind::Mqtt),
            Wiring::MqttListener => listener(&reader, sources).map(BusKind::MqttListener),
            Wiring::Onvif => onvif(&reader, sources).map(BusKind::Onvif),
            Wiring::Push => source::push(&reader, sources).map(BusKind::Push),
            Wiring::Isapi => Some(BusKind::Isapi(source::stream(&reader, sources, 10, 60))),
            Wiring::Dahua => Some(BusKind::Dahua(source::stream(&reader, sources, 5, 0))),
            Wiring::FireReceiver => fire_receiver(&reader).map(BusKind::FireReceiver),
            Wiring::PanelReceiver => source::receiver(&reader, "0.0.0.0:7700").map(BusKind::PanelReceiver),
        };
        if let (Some(id), Some(kind)) = (id, kind) {
            check_endpoint(&reader, &kind, &mut endpoints);
            buses.good.push(Bus { id, kind });
        }
        let has_login =
            matches!(wiring, Wiring::Mqtt | Wiring::Onvif | Wiring::Push | Wiring::Isapi | Wiring::Dahua);
        finish(reader, has_login.then_some("password_file"));
    }
    buses
}

/// One connection has one owner: a second bus on the same endpoint would fight the first.
fn check_endpoint(reader: &Reader<'_>, kind: &BusKind, endpoints: &mut BTreeMap<String, Spot>) {
    let (endpoint, advice) = match kind {
        BusKind::ModbusTcp(bus) => (
            Text::same(format!("{}:{}", bus.host, bus.port)),
            (
                "留下一条，这个地址后面的设备都接在它上面",
                "keep one of them and hang all devices of this endpoint on it",
            ),
        ),
        BusKind::Serial(bus) => (
            Text::same(match &bus.place {
                SerialPlace::Port { path, .. } => path.clone(),
                SerialPlace::Converter { host, port } => format!("{host}:{port}"),
            }),
            (
                "留下一条，这条线上的设备都接在它上面",
                "keep one of them and hang all devices of this line on it",
            ),
        ),
        BusKind::Mqtt(bus) => (
            Text::new(
                format!("{}:{}（客户端编号 '{}'）", bus.host, bus.port, bus.client_id),
                format!("{}:{} as '{}'", bus.host, bus.port, bus.client_id),
            ),
            ("留下一条，或各写一个 `client_id`", "keep one of them, or give each its own `client_id`"),
        ),
        BusKind::MqttListener(bus) => {
            let tls = bus.tls.as_ref().map(|tls| ("listen", tls.listen));
            let plain = bus.plain.map(|address| ("plain_listen", address));
            check_listening(reader, tls.into_iter().chain(plain), endpoints);
            return;
        }
        BusKind::Push(Push { listen, .. })
        | BusKind::FireReceiver(FireReceiver { receiver: Receiver { listen, .. }, .. })
        | BusKind::PanelReceiver(Receiver { listen, .. }) => {
            check_listening(reader, [("listen", *listen)], endpoints);
            return;
        }
        BusKind::Onvif(_) | BusKind::Isapi(_) | BusKind::Dahua(_) => return,
    };
    let key = if reader.has("path") { "path" } else { "host" };
    if let Some(first) = endpoints.get(&endpoint.en) {
        let message = (
            format!("有两条总线连接 {}；第一条在 {}", endpoint.zh, at(first)),
            format!("two buses connect to {}; the first is at {}", endpoint.en, at(first)),
        );
        reader.problem(key, message, advice);
    } else {
        endpoints.insert(endpoint.en, reader.spot(key));
    }
}

fn fire_receiver(reader: &Reader<'_>) -> Option<FireReceiver> {
    let lowest_first = source::lowest_first(reader);
    Some(FireReceiver { receiver: source::receiver(reader, "0.0.0.0:5200")?, lowest_first })
}

/// An address of this machine has one listener.
fn check_listening(
    reader: &Reader<'_>,
    addresses: impl IntoIterator<Item = (&'static str, SocketAddr)>,
    endpoints: &mut BTreeMap<String, Spot>,
) {
    for (key, address) in addresses {
        let endpoint = format!("listening on {address}");
        if let Some(first) = endpoints.get(&endpoint) {
            let message = (
                format!("有两处要监听 {address}；第一处在 {}", at(first)),
                format!("two listeners want {address}; the first is at {}", at(first)),
            );
            reader.problem(key, message, ("各用一个端口", "give each its own port"));
        } else {
            endpoints.insert(endpoint, reader.spot(key));
        }
    }
}

fn modbus_tcp(reader: &Reader<'_>) -> Option<ModbusTcp> {
    let host = host(reader);
    let port = port(reader, 502);
    let timeout = millis(reader, "timeout_ms", (50, 60_000), 1000);
    let gap = millis(reader, "gap_ms", (0, 10_000), 0);
    Some(ModbusTcp { host: host?, port: port?, timeout, gap })
}

fn serial(reader: &Reader<'_>) -> Option<Serial> {
    let baud = number(reader, "baud", (300, 921_600), 9600);
    let timeout = millis(reader, "timeout_ms", (50, 60_000), 1000);
    let gap = millis(reader, "gap_ms", (0, 10_000), 0);
    Some(Serial { place: serial_place(reader)?, baud, timeout, gap })
}

/// `path` of a serial port, or `host` and `port` of a converter.
fn serial_place(reader: &Reader<'_>) -> Option<SerialPlace> {
    if reader.has("host") {
        for key in ["path", "parity", "stop_bits"].into_iter().filter(|key| reader.has(key)) {
            let message = (
                format!("'{key}' 在转换器后面没有用处"),
                format!("'{key}' has no meaning behind a converter"),
            );
            let advice = (
                "删去：校验位和停止位在转换器里设置；或删去 `host`",
                "drop it: parity and stop bits are set in the converter itself, or drop `host`",
            );
            reader.problem(key, message, advice);
            reader.text_opt(key);
        }
        let host = host(reader);
        if !reader.has("port") {
            let advice = (
                "加上转换器里设置的 TCP 端口，如 `port = 8899`",
                "add the TCP port that is set in the converter, such as `port = 8899`",
            );
            reader.problem("host", ("缺少 'bus.port'", "'bus.port' is missing"), advice);
        }
        let port = reader.integer_opt("port", 1..=65535).and_then(|n| u16::try_from(n).ok());
        return Some(SerialPlace::Converter { host: host?, port: port? });
    }
    let advice = (
        "写串口的设备文件，最好用不会变的名字，如 \"/dev/serial/by-id/usb-…\"；或写转换器的 `host` 和 `port`",
        "write the serial port's device file, best by a name that stays, such as \"/dev/serial/by-id/usb-…\"; or \
         `host` and `port` of a converter",
    );
    let path = reader.parsed("path", advice, |text| match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err(("这不是设备文件", "this is no device file")),
    });
    let words = [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)];
    let parity = reader.word_opt("parity", &words).unwrap_or(Parity::None);
    let stop_bits = number(reader, "stop_bits", (1, 2), 1);
    Some(SerialPlace::Port { path: path?, parity, two_stop_bits: stop_bits == 2 })
}

pub(super) fn mqtt(reader: &Reader<'_>, gateway: &str, sources: &Sources<'_>) -> Option<Mqtt> {
    let host = host(reader);
    let login = login(reader, sources);
    let tls = if reader.has("tls") { reader.flag_opt("tls") } else { Some(false) };
    let port = port(reader, if tls == Some(true) { 8883 } else { 1883 });
    let ca_pem = certificates_opt(reader, "ca_file", sources);
    if reader.has("ca_file") && tls == Some(false) {
        let message = ("没有 TLS 时 'ca_file' 没有用处", "'ca_file' has no meaning without TLS");
        reader.problem("ca_file", message, ("加上 `tls = true`", "add `tls = true`"));
    }
    let advice = (
        format!("写 1 到 {MAX_CLIENT_ID_BYTES} 个可见字符，不带空格"),
        format!("write 1 to {MAX_CLIENT_ID_BYTES} visible characters without spaces"),
    );
    let client_id = reader.parsed_opt("client_id", advice, |text| {
        let plain = text.bytes().all(|b| b.is_ascii_graphic());
        if plain && (1..=MAX_CLIENT_ID_BYTES).contains(&text.len()) {
            Ok(text.to_owned())
        } else {
            Err(("这不能作客户端编号", "this cannot be a client id"))
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
pub(super) fn login(reader: &Reader<'_>, sources: &Sources<'_>) -> Option<Login> {
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

//! `[[device]]`: what hangs where, on which bus, at which address.

use super::bus::{Buses, Wiring};
use super::fields::{finish, id_of, name_opt, quiet, secs, url};
use super::ground::Drawing;
use super::listener::{DeviceLogin, device_login};
use super::names::{Names, at};
use super::profiles::ProfileSet;
use super::resolve::Sources;
use super::{Device, PullFrom, source};
use crate::document::{Reader, Spot, one_of};
use crate::model::{BusId, DeviceId, EnergyItem, PlaceId, Text, Unit};
use crate::profile::{Profile, Protocol, Ratio, Ratios};
use crate::rules::Watched;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Longest MQTT name of a device, in bytes.
const MAX_MQTT_NAME_BYTES: usize = 200;

/// Ratios of transformers: from a wire led through its transformer several times to the largest busbar.
const RATIOS: RangeInclusive<f64> = 0.01..=20_000.0;

/// What a device may refer to.
pub(super) struct Around<'a> {
    pub(super) places: &'a Names,
    pub(super) bus_names: &'a Names,
    pub(super) buses: &'a Buses,
    pub(super) sources: &'a Sources<'a>,
}

/// The devices that were written.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// Those without a problem.
    pub(super) good: BTreeMap<DeviceId, Device>,
    /// What rules may refer to: also those with a problem that is not the rule's.
    pub(super) watched: BTreeMap<DeviceId, Watched>,
    /// Where devices that push are asked for what they missed.
    pub(super) pull: BTreeMap<DeviceId, PullFrom>,
    /// What cameras see besides the place where they are.
    pub(super) views: BTreeMap<DeviceId, Vec<PlaceId>>,
    /// How those on a listener log in.
    pub(super) logins: Vec<DeviceLogin>,
}

/// What was seen of the devices so far.
#[derive(Debug, Default)]
struct Seen {
    addresses: BTreeMap<(BusId, String), Spot>,
    /// Profiles behind transformers: meters of one kind behind the same transformers share theirs.
    behind: Vec<Arc<Profile>>,
}

/// Reads every device.
pub(super) fn devices(
    readers: Vec<Reader<'_>>,
    names: &mut Names,
    around: &Around<'_>,
    drawing: &mut Drawing,
) -> Devices {
    let mut devices = Devices::default();
    let mut seen = Seen::default();
    for reader in readers {
        let wiring = device(&reader, names, around, &mut seen, &mut devices);
        drawing.device(&reader);
        let logs_in = matches!(wiring, Some(Wiring::MqttListener | Wiring::Push));
        finish(reader, logs_in.then_some("password_file"));
    }
    devices
}

fn device(
    reader: &Reader<'_>,
    names: &mut Names,
    around: &Around<'_>,
    seen: &mut Seen,
    devices: &mut Devices,
) -> Option<Wiring> {
    let id = names.declare(reader, DeviceId::new);
    let name = name_opt(reader, "name");
    let profile = profile(reader, around.sources.profiles);
    let ratios = ratios(reader, profile.as_deref());
    let profile = profile.map(|profile| behind(profile, ratios, &mut seen.behind));
    let bus = reader.parsed("bus", id_of("bus"), BusId::new);
    let bus = bus.filter(|bus| around.bus_names.check(reader, "bus", bus.as_str()));
    let wiring = bus.as_ref().and_then(|bus| around.buses.wirings.get(bus.as_str()).copied());
    if let (Some(profile), Some(bus), Some(wiring)) = (&profile, &bus, wiring) {
        check_protocol(reader, profile, bus, wiring);
    }
    let address = address(reader, wiring, profile.as_ref().map(|profile| profile.protocol));
    if let (Some(bus), Some(address)) = (&bus, &address) {
        check_address(reader, bus, address, &mut seen.addresses);
    }
    let pull = if wiring == Some(Wiring::Push) {
        source::pull_from(reader, around.sources)
    } else {
        source::no_pull_from(reader, wiring.is_some());
        devices.logins.extend(device_login(reader, wiring, bus.as_ref(), id.as_ref(), around.sources));
        None
    };
    let place = place(reader, around.places);
    let advice = ("写读卡器后面那个 [[place]] 的编号", "write the id of the [[place]] behind the reader");
    let leads_to = reader.parsed_opt("leads_to", advice, PlaceId::new);
    let leads_to = leads_to.filter(|place| around.places.check(reader, "leads_to", place.as_str()));
    let poll = secs(reader, "poll_secs", (1, 86_400), 60);
    let views = views(reader, wiring, around.places);
    let item = item(reader, profile.as_deref());
    let (Some(id), Some(profile)) = (id, profile) else { return wiring };
    let name = name.unwrap_or_else(|| id.to_string());
    // A rule may choose by place, so a place that was written is told, whether it exists or not.
    let written_place = reader.text_opt("place").and_then(|text| PlaceId::new(&text).ok());
    if let Some(place) = written_place {
        let (name, profile) = (name.clone(), Arc::clone(&profile));
        let watched = Watched { name, profile, place, bus: bus.clone(), poll, leads_to };
        devices.watched.insert(id.clone(), watched);
    }
    if let (Some(bus), Some(address), Some(place)) = (bus, address, place) {
        let alarmed = BTreeSet::new();
        devices.pull.extend(pull.map(|pull| (id.clone(), pull)));
        if !views.is_empty() {
            devices.views.insert(id.clone(), views);
        }
        devices
            .good
            .insert(id.clone(), Device { id, name, profile, bus, address, place, poll, alarmed, item });
    }
    wiring
}

fn profile(reader: &Reader<'_>, profiles: &ProfileSet) -> Option<Arc<Profile>> {
    let id = reader.text("profile")?;
    let profile = profiles.get(&id);
    if profile.is_none() && !profiles.may_have(&id) {
        let known: Vec<&str> = profiles.ids().collect();
        let advice = if known.is_empty() {
            Text::new(
                "写设备模板所在的目录：[profiles] 下的 `dir = \"…\"`",
                "name the directory of the device profiles: `dir = \"…\"` under [profiles]",
            )
        } else {
            one_of(&id, &known)
        };
        let message = (format!("没有设备模板 '{id}'"), format!("there is no device profile '{id}'"));
        reader.problem("profile", message, advice);
    }
    profile
}

/// Reads `ct` and `pt`, that must be there exactly when the profile has values to multiply by them.
fn ratios(reader: &Reader<'_>, profile: Option<&Profile>) -> Ratios {
    let keys = [
        ("ct", ("电流", "current"), ("200/5 A 写 40", "200/5 A is 40")),
        ("pt", ("电压", "voltage"), ("10/0.1 kV 写 100", "10/0.1 kV is 100")),
    ];
    let [ct, pt] = keys.map(|(key, what, example)| {
        let written = reader.number_opt(key, RATIOS);
        let Some(profile) = profile else { return written };
        let concerns = |ratio: Ratio| ratio == Ratio::CtPt || (ratio == Ratio::Ct) == (key == "ct");
        let wanted = profile.points.iter().any(|point| point.ratio.is_some_and(concerns));
        if wanted && !reader.has(key) {
            reader.problem(
                key,
                (
                    format!("设备模板 '{}' 的表可能接在{}互感器后面，却没有写 '{key}'", profile.id, what.0),
                    format!("the meter of the profile '{}' may stand behind {} transformers, and '{key}' is missing", profile.id, what.1),
                ),
                (
                    format!("加上 `{key} = …`，即互感器铭牌上的变比（{}）；没有互感器写 `{key} = 1`", example.0),
                    format!("add `{key} = …`, the ratio on the transformers' plates ({}), or `{key} = 1` where there are none", example.1),
                ),
            );
        }
        if !wanted && reader.has(key) {
            let message = (
                format!("设备模板 '{}' 没有要乘 '{key}' 的数值", profile.id),
                format!("the profile '{}' has no value to multiply by '{key}'", profile.id),
            );
            let advice = (
                format!("删去 `{key}`：它的数值已经是一次侧的"),
                format!("remove `{key}`: its values are those of the primary side already"),
            );
            reader.problem(key, message, advice);
        }
        written
    });
    Ratios { ct: ct.unwrap_or(1.0), pt: pt.unwrap_or(1.0) }
}

/// The profile as it is behind these transformers.
fn behind(profile: Arc<Profile>, ratios: Ratios, shared: &mut Vec<Arc<Profile>>) -> Arc<Profile> {
    if ratios == Ratios::NONE {
        return profile;
    }
    if let Some(same) = shared.iter().find(|p| p.id == profile.id && p.ratios() == ratios) {
        return Arc::clone(same);
    }
    let new = Arc::new(profile.behind(ratios));
    shared.push(Arc::clone(&new));
    new
}

fn place(reader: &Reader<'_>, places: &Names) -> Option<PlaceId> {
    if !reader.has("place") {
        let id = reader.text_opt("id").unwrap_or_default();
        reader.problem(
            "place",
            (format!("设备 '{id}' 没有地点"), format!("the device '{id}' has no place")),
            (
                "加上 `place = \"…\"`，写 [[place]] 的编号：报警要说明去哪里",
                "add `place = \"…\"` with the id of a [[place]]: an alarm must say where to go",
            ),
        );
        return None;
    }
    let place = reader.parsed_opt("place", id_of("place"), PlaceId::new)?;
    places.check(reader, "place", place.as_str()).then_some(place)
}

/// What the energy of a meter is for.
fn item(reader: &Reader<'_>, profile: Option<&Profile>) -> Option<EnergyItem> {
    let items: Vec<_> = EnergyItem::ALL.iter().map(|item| (item.as_str(), *item)).collect();
    let item = reader.word_opt("item", &items);
    let counts = |profile: &Profile| profile.points.iter().any(|point| point.unit == Unit::KilowattHour);
    if reader.has("item") && profile.is_some_and(|profile| !counts(profile)) {
        reader.problem(
            "item",
            ("这台设备不计电量", "this device counts no energy"),
            ("删去 `item`：它只用于电表", "remove `item`: it is for electricity meters"),
        );
    }
    item
}

/// Places that a camera sees besides its own: it is asked for a picture when there is an alarm.
fn views(reader: &Reader<'_>, wiring: Option<Wiring>, places: &Names) -> Vec<PlaceId> {
    let written = reader.texts("views");
    if reader.has("views") && wiring.is_some_and(|wiring| wiring != Wiring::Onvif) {
        let message = ("只向 ONVIF 摄像机要照片", "only an ONVIF camera is asked for pictures");
        reader.problem("views", message, ("删去 `views`", "remove `views`"));
        return Vec::new();
    }
    let place = |(text, spot): (String, Spot)| match PlaceId::new(&text) {
        Ok(place) if places.has(&text) => Some(place),
        _ => {
            reader.problems().at(
                &spot,
                (format!("没有编号为 '{text}' 的地点"), format!("no place has the id '{text}'")),
                ("写 [[place]] 的编号", "write ids of [[place]]"),
            );
            None
        }
    };
    written.into_iter().filter_map(place).collect()
}

fn check_protocol(reader: &Reader<'_>, profile: &Profile, bus: &BusId, wiring: Wiring) {
    if !wiring.carries(profile.protocol) {
        let wanted = Wiring::words_for(profile.protocol);
        reader.problem(
            "profile",
            (
                format!("设备模板 '{}' 不能用在总线 '{bus}' 上", profile.id),
                format!("the profile '{}' does not fit the bus '{bus}'", profile.id),
            ),
            (
                format!("写 {} 类的总线，或写那里那台设备的模板", wanted.zh),
                format!(
                    "name a bus of the kind {}, or the profile of the device that hangs there",
                    wanted.en
                ),
            ),
        );
    }
}

/// The address in the form of the bus and, on a line of several protocols, of the profile; nothing is judged when those
/// are not known.
fn address(reader: &Reader<'_>, wiring: Option<Wiring>, speaks: Option<Protocol>) -> Option<String> {
    let protocol = match wiring {
        None => None,
        Some(Wiring::Serial | Wiring::Push) => speaks,
        Some(Wiring::ModbusTcp) => Some(Protocol::Modbus),
        Some(Wiring::Mqtt | Wiring::MqttListener) => Some(Protocol::Mqtt),
        Some(Wiring::Onvif) => Some(Protocol::Onvif),
        Some(Wiring::Isapi | Wiring::Dahua) => return stream_address(reader),
        Some(Wiring::FireReceiver) => Some(Protocol::Gb26875),
        Some(Wiring::PanelReceiver) => Some(Protocol::ContactId),
    };
    match protocol {
        Some(Protocol::Dlt645) => plate(reader, 12),
        Some(Protocol::Cjt188) => plate(reader, 14),
        // MODBUS over serial line V1.02, section 2.2: 0 is broadcast, 248 to 255 are reserved.
        Some(Protocol::Modbus) => reader.integer("address", 1..=247).map(|unit| unit.to_string()),
        Some(Protocol::Mqtt) => {
            let advice = (
                "写设备在主题里的名称，不带 +、#、空格，两头没有斜杠",
                "write the device's name in its topics, without +, #, spaces and a slash at either end",
            );
            reader.parsed("address", advice, mqtt_name)
        }
        Some(Protocol::Onvif) => {
            url(reader, "address", "http://192.168.1.64/onvif/device_service").map(|url| url.to_string())
        }
        Some(Protocol::Isapi) => {
            let advice = (
                "写终端的 MAC 地址、IP 地址或它发来的序列号；只指其中一个门或通道时，后面加 `#` 和编号",
                "write the terminal's MAC address, IP address or serial number as it sends it, and for one of its \
                 doors or channels `#` and its number",
            );
            reader.parsed("address", advice, |text| source::with_part(text, source::terminal))
        }
        Some(Protocol::Zkteco) => {
            let advice = (
                "照终端菜单里显示的写序列号（SN）",
                "write the terminal's serial number (SN) as its menu shows it",
            );
            reader.parsed("address", advice, |text| source::with_part(text, source::serial_number))
        }
        Some(Protocol::Gb26875) => {
            let advice = (
                "写传输装置的地址，数字加引号；只指它后面的一个部件时，再加 `#` 和编号",
                "write the transmitter's address as a number in quotes, and for one of the parts behind it `#` and \
                 its numbers",
            );
            reader.parsed("address", advice, |text| source::with_part(text, source::fire_address))
        }
        Some(Protocol::ContactId) => {
            let advice = (
                "写报警主机的账号；只指一个防区时，后面加 `#`、分区、`/` 和防区号",
                "write the panel's account, and for one of its zones `#`, partition, `/` and zone",
            );
            reader.parsed("address", advice, |text| source::with_part(text, source::account))
        }
        _ => {
            if !reader.has("address") {
                reader.problem(
                    "address",
                    ("缺少 'device.address'", "'device.address' is missing"),
                    ("加上 `address = …`", "add `address = …`"),
                );
            }
            None
        }
    }
}

/// Where a stream of events is pulled from.
fn stream_address(reader: &Reader<'_>) -> Option<String> {
    let advice = (
        "写它的地址，如 \"http://192.168.1.64\"；只指其中一个门或通道时，后面加 `#` 和编号",
        "write its base URL, such as \"http://192.168.1.64\", and for one of its doors or channels `#` and its number",
    );
    let text = reader.text("address")?;
    if text.contains('@') {
        let message = ("'address' 里有用户名或密码", "'address' has a user name or password in it");
        let advice = (
            "写到总线的 `username` 和 `password_file` 里",
            "write them as `username` and `password_file` of the bus",
        );
        quiet(reader, "address", message, advice);
        return None;
    }
    reader.parsed("address", advice, |text| source::with_part(text, source::base_url))
}

/// The digits on a meter's plate, all of them.
fn plate(reader: &Reader<'_>, digits: usize) -> Option<String> {
    let advice = (
        format!("写表牌上的 {digits} 位数字，加引号"),
        format!("write the {digits} digits on the meter's plate, in quotes"),
    );
    reader.parsed("address", advice, |text| {
        if text.len() == digits && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(text.to_owned())
        } else {
            Err(("不是这种表的表号", "this is not the address of such a meter"))
        }
    })
}

fn mqtt_name(text: &str) -> Result<String, (&'static str, &'static str)> {
    if text.is_empty() || text.len() > MAX_MQTT_NAME_BYTES {
        Err(("名称是空的或太长", "the name is empty or too long"))
    } else if text.contains(['+', '#']) {
        Err(("+ 和 # 是 MQTT 的通配符", "+ and # are wildcards of MQTT"))
    } else if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Err(("名称里有空格或控制字符", "the name has spaces or control characters"))
    } else if text.starts_with('/') || text.ends_with('/') {
        Err(("名称以斜杠开头或结尾", "the name begins or ends with a slash"))
    } else {
        Ok(text.to_owned())
    }
}

fn check_address(
    reader: &Reader<'_>,
    bus: &BusId,
    address: &str,
    addresses: &mut BTreeMap<(BusId, String), Spot>,
) {
    let key = (bus.clone(), address.to_owned());
    if let Some(first) = addresses.get(&key) {
        let first = at(first);
        reader.problem(
            "address",
            (
                format!("总线 '{bus}' 上有两台设备的地址都是 {address}；第一台在 {first}"),
                format!("two devices have the address {address} on the bus '{bus}'; the first is at {first}"),
            ),
            (
                "每台设备各用一个地址，或删去其中一台",
                "give each device its own address, or remove one of them",
            ),
        );
    } else {
        addresses.insert(key, reader.spot("address"));
    }
}

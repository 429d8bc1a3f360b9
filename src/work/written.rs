//! Configuration from what was found: `[[bus]]` and `[[device]]` tables that pass `schoolgate check`, with what a person
//! still has to choose in comments.

use super::scan::{Finding, Found, name_of};
use super::wire::place_of;
use crate::config::{Bus, BusKind, Config, Device, ModbusTcp, Parity, Serial, SerialPlace};
use crate::model::{DeviceId, Lang, Place, PlaceId, Text};
use crate::profile::Ratio;
use crate::southbound::polled::Station;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Least likeness at which a profile is written as a device and not as a comment.
const USABLE_PERCENT: u8 = 50;
/// Ids tried until one is free.
const MOST_IDS: u32 = 100_000;

/// What is configured already, and in which language comments are written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'c> {
    /// Of whoever reads it.
    pub lang: Lang,
    /// Its buses.
    pub buses: &'c [Bus],
    /// Its devices.
    pub devices: Option<&'c BTreeMap<DeviceId, Device>>,
    /// Its places.
    pub places: Option<&'c BTreeMap<PlaceId, Place>>,
}

impl<'c> Known<'c> {
    /// All that a configuration has.
    #[must_use]
    pub fn of(config: Option<&'c Config>, lang: Lang) -> Self {
        Self {
            lang,
            buses: config.map_or(&[], |config| config.buses.as_slice()),
            devices: config.map(|config| &config.devices),
            places: config.map(|config| &config.places),
        }
    }

    fn say(self, zh: impl Into<String>, en: impl Into<String>) -> String {
        self.said(&Text::new(zh, en))
    }

    fn said(self, text: &Text) -> String {
        text.in_lang(self.lang).to_owned()
    }

    fn devices(self) -> impl Iterator<Item = &'c Device> {
        self.devices.into_iter().flat_map(BTreeMap::values)
    }

    /// The bus of this place and kind.
    #[must_use]
    pub fn bus(self, kind: &BusKind) -> Option<&'c Bus> {
        let same_kind = |other: &BusKind| std::mem::discriminant(other) == std::mem::discriminant(kind);
        self.buses.iter().find(|bus| same_kind(&bus.kind) && place_of(&bus.kind) == place_of(kind))
    }

    /// Ids that are in use, whatever uses them.
    fn taken(self) -> BTreeSet<String> {
        let devices = self.devices().map(|device| device.id.to_string());
        let buses = self.buses.iter().map(|bus| bus.id.to_string());
        let places = self.places.into_iter().flat_map(BTreeMap::keys).map(ToString::to_string);
        devices.chain(buses).chain(places).collect()
    }
}

/// The text of a file for `conf.d`.
#[must_use]
pub fn configuration(findings: &[Finding], known: Known<'_>, place: Option<&PlaceId>) -> String {
    let mut taken = known.taken();
    let mut text = known.say(
        "# 由 schoolgate discover 生成。放入 conf.d/，改好名称和地点后运行 schoolgate check。\n",
        "# Made by schoolgate discover. Put it into conf.d/, choose names and places, then run schoolgate check.\n",
    );
    let place = match place {
        Some(place) => place.to_string(),
        None => {
            let id = free("found", &mut taken, true);
            let comment = known.say("改成设备实际所在的地点", "where the devices really are");
            let name = known.say("待定", "to be chosen");
            writeln!(text, "\n[[place]]\nid = \"{id}\"   # {comment}\nkind = \"room\"\nname = \"{name}\"")
                .ok();
            id
        }
    };
    for finding in findings {
        for remark in &finding.remarks {
            writeln!(text, "\n# {}", known.said(remark)).ok();
        }
    }
    let mut lines = BTreeSet::new();
    // A line has one setting: that where most devices answered; the others are written as comments.
    let mut sorted: Vec<&Finding> = findings.iter().filter(|finding| !finding.devices.is_empty()).collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.devices.len()));
    for finding in sorted {
        let second = !lines.insert(place_of(&finding.bus));
        let mut tables = String::new();
        write_finding(&mut tables, finding, known, &place, &mut taken);
        if second {
            let (BusKind::Serial(setting), name) = (&finding.bus, place_of(&finding.bus)) else { continue };
            let speed = name_of(setting);
            let zh = format!(
                "下面的设备以 {speed} 应答，但一条线只能用一种设置：把它们改成同一设置，或接到另一端口。"
            );
            let en = format!(
                "The devices below answer at {speed}, but the line {name} has one setting only: set them alike, or wire \
                 them to another port."
            );
            writeln!(text, "\n# {}", known.say(zh, en)).ok();
            for line in tables.trim().lines() {
                writeln!(text, "{}{line}", if line.is_empty() || line.starts_with('#') { "" } else { "# " })
                    .ok();
            }
        } else {
            text.push_str(&tables);
        }
    }
    text
}

/// An id nobody has: `stem`, or `stem` with a number.
fn free(stem: &str, taken: &mut BTreeSet<String>, bare: bool) -> String {
    let numbered = (1..MOST_IDS).map(|number| format!("{stem}-{number}"));
    let mut ids = bare.then(|| stem.to_owned()).into_iter().chain(numbered);
    let id = ids.find(|id| !taken.contains(id)).unwrap_or_else(|| stem.to_owned());
    taken.insert(id.clone());
    id
}

fn write_finding(
    text: &mut String,
    finding: &Finding,
    known: Known<'_>,
    place: &str,
    taken: &mut BTreeSet<String>,
) {
    let there = known.bus(&finding.bus);
    let bus = match there {
        Some(bus) => {
            let zh = format!("总线“{}”已在配置中", bus.id);
            writeln!(
                text,
                "\n# {}",
                known.say(zh, format!("the bus '{}' is in the configuration already", bus.id))
            )
            .ok();
            if let (BusKind::Serial(is), BusKind::Serial(found)) = (&bus.kind, &finding.bus)
                && name_of(is) != name_of(found)
            {
                let (is, found) = (name_of(is), name_of(found));
                let zh = format!("注意：配置为 {is}，设备却以 {found} 应答，请改 baud 和 parity");
                let en = format!(
                    "mind: it is set to {is}, but these devices answer at {found}: change baud and parity"
                );
                writeln!(text, "# {}", known.say(zh, en)).ok();
            }
            bus.id.to_string()
        }
        None => {
            let stem = if matches!(finding.bus, BusKind::Serial(_)) { "line" } else { "modbus" };
            let id = free(stem, taken, false);
            write_bus(text, &id, &finding.bus, known);
            id
        }
    };
    for found in &finding.devices {
        let address = address_of(found.station);
        let plain = address.trim_matches('"');
        let configured = known
            .devices()
            .find(|device| there.is_some_and(|bus| bus.id == device.bus) && device.address == plain);
        if let Some(device) = configured {
            let zh = format!("地址 {plain}：已配置为“{}”", device.id);
            writeln!(
                text,
                "\n# {}",
                known.say(zh, format!("address {plain}: configured already as '{}'", device.id))
            )
            .ok();
        } else {
            write_device(text, found, (&bus, place), known, taken);
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn write_bus(text: &mut String, id: &str, kind: &BusKind, known: Known<'_>) {
    write!(text, "\n[[bus]]\nid = \"{id}\"\n").ok();
    match kind {
        BusKind::Serial(Serial {
            place: SerialPlace::Port { path, parity, two_stop_bits }, baud, ..
        }) => {
            let parity = match parity {
                Parity::None => "none",
                Parity::Even => "even",
                Parity::Odd => "odd",
            };
            writeln!(
                text,
                "kind = \"serial\"\npath = {}\nbaud = {baud}\nparity = \"{parity}\"",
                quoted(path)
            )
            .ok();
            if *two_stop_bits {
                text.push_str("stop_bits = 2\n");
            }
        }
        BusKind::Serial(Serial { place: SerialPlace::Converter { host, port }, baud, .. }) => {
            let comment =
                known.say("转换器串口侧的波特率，请核对", "of the converter's serial side: check it");
            let host = quoted(host);
            writeln!(text, "kind = \"serial\"\nhost = {host}\nport = {port}\nbaud = {baud}   # {comment}")
                .ok();
        }
        BusKind::ModbusTcp(ModbusTcp { host, port, .. }) => {
            writeln!(text, "kind = \"modbus-tcp\"\nhost = {}\nport = {port}", quoted(host)).ok();
        }
        _ => {}
    }
}

/// A device's address as it is written in the configuration.
#[must_use]
pub fn address_of(station: Station) -> String {
    match station {
        Station::Unit(unit) => unit.to_string(),
        Station::Meter(address) => format!("\"{address}\""),
        Station::Flow(_, address) => format!("\"{address}\""),
    }
}

fn write_device(
    text: &mut String,
    found: &Found,
    (bus, place): (&str, &str),
    known: Known<'_>,
    taken: &mut BTreeSet<String>,
) {
    let address = address_of(found.station);
    let plain = address.trim_matches('"');
    writeln!(text, "\n# {}", known.say(format!("地址 {plain}"), format!("address {plain}"))).ok();
    if !found.identity.is_empty() {
        let identity: Vec<String> = found.identity.iter().map(|part| printable(part)).collect();
        let says = identity.join(", ");
        writeln!(text, "# {}", known.say(format!("设备自报：{says}"), format!("it says it is: {says}"))).ok();
    }
    for m in &found.matches {
        let (percent, name, id) = (m.percent, known.said(&m.profile.name), &m.profile.id);
        let line = known
            .say(format!("{percent} % 像 {id}（{name}）"), format!("{percent} % looks like {id} ({name})"));
        let reasons: Vec<String> = m.reasons.iter().map(|text| known.said(text)).collect();
        let reasons = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) };
        writeln!(text, "# {line}{reasons}").ok();
    }
    if !found.looked_at {
        let zh = "扫描被中止，还没有与设备模板比对：再运行一次";
        writeln!(
            text,
            "# {}",
            known.say(zh, "the scan ended before it was compared with the profiles: run it again")
        )
        .ok();
        return;
    }
    // A meter of DL/T 645 or CJ/T 188 keeps to its standard, however few of its quantities it has.
    let usable = |percent| percent >= USABLE_PERCENT || !matches!(found.station, Station::Unit(_));
    let Some(best) = found.matches.first().filter(|m| usable(m.percent)) else {
        let zh =
            format!("没有合适的设备模板：先 schoolgate capture {bus}/{plain}，再 schoolgate profile new");
        let en = format!(
            "no profile fits: record it with `schoolgate capture {bus}/{plain}`, then make one with `schoolgate profile new`"
        );
        writeln!(text, "# {}", known.say(zh, en)).ok();
        return;
    };
    let id = free(&best.profile.class, taken, false);
    let profile = &best.profile.id;
    writeln!(
        text,
        "[[device]]\nid = \"{id}\"\nprofile = \"{profile}\"\nbus = \"{bus}\"\naddress = {address}\nplace = \"{place}\""
    )
    .ok();
    for (key, zh, en) in [("ct", "电流互感器", "current"), ("pt", "电压互感器", "voltage")] {
        let concerns = |ratio| ratio == Ratio::CtPt || (ratio == Ratio::Ct) == (key == "ct");
        if best.profile.points.iter().any(|point| point.ratio.is_some_and(concerns)) {
            let zh = format!("{zh}变比：请按互感器铭牌填写（200/5 为 40），直接接入为 1");
            let en =
                format!("the ratio on the {en} transformers' plates (200/5 A is 40); 1 where there are none");
            writeln!(text, "{key} = 1   # {}", known.say(zh, en)).ok();
        }
    }
    if !best.profile.confirmed {
        let zh = "此模板尚未经真机确认：把数值与表计显示逐项对照";
        writeln!(
            text,
            "# {}",
            known.say(zh, "this profile was not tried on a real device: compare the values with its display")
        )
        .ok();
    }
}

/// What a device says of itself, on one line and without control characters.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

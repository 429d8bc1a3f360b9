//! `schoolgate strangers` and `schoolgate adopt`: who speaks to the gateway without being configured, and the
//! configuration that makes a device of it. Work while the gateway is stopped, too.

use super::words::{lang, say, tell};
use super::{At, EXIT_UNAVAILABLE, EXIT_USAGE, complain, configured, table};
use crate::config::{self, Config, ProfileSet};
use crate::model::{DeviceId, Lang};
use crate::profile::{Profile, Protocol, topic_matches};
use crate::store::{Reader, StrangerRow};
use clap::Args;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Stands for the address when a profile is asked for its topics.
const ADDRESS: &str = "\u{1}";
/// How a login that is not known is listed.
const LOGIN: &str = "login ";

/// Show who speaks to the gateway without being configured.
#[derive(Debug, Args)]
pub(super) struct Strangers {
    #[command(flatten)]
    at: At,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Write the configuration of a device that `strangers` shows.
#[derive(Debug, Args)]
pub(super) struct Adopt {
    #[command(flatten)]
    at: At,
    /// Topic or address, as `strangers` shows it
    origin: String,
    /// The device profile
    #[arg(long)]
    profile: String,
    /// The id the device shall have
    #[arg(long)]
    id: String,
    /// The id of a [[place]] of the configuration
    #[arg(long)]
    place: String,
    /// By which bus it came, where that is not clear
    #[arg(long)]
    bus: Option<String>,
    /// Its address, where the profile does not tell it from the topic
    #[arg(long)]
    address: Option<String>,
    /// The file to write; must not exist. Otherwise the configuration is printed
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

impl Strangers {
    /// Exits with 0 when done, 64 when the configuration is wrong, 69 when the store cannot be read.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let config = match configured(&self.at.config, out)? {
            Ok(config) => config,
            Err(code) => return Ok(code),
        };
        let rows = match Reader::open(&config.data_dir).and_then(|reader| reader.strangers()) {
            Ok(rows) => rows,
            Err(error) => return complain(&error, EXIT_UNAVAILABLE),
        };
        if self.json {
            return writeln!(out, "{:#}", serde_json::json!(rows)).map(|()| ExitCode::SUCCESS);
        }
        if rows.is_empty() {
            let told = say("没有未知设备", "everybody who speaks is known");
            return writeln!(out, "{told}").map(|()| ExitCode::SUCCESS);
        }
        let zone = &config.site.zone;
        let rows: Vec<[String; 5]> = rows
            .into_iter()
            .map(|row| {
                let (first, last) = (row.first_at.in_zone(zone), row.last_at.in_zone(zone));
                [last, first, row.bus, row.messages.to_string(), row.origin]
            })
            .collect();
        let headings = match lang() {
            Lang::Zh => ["最近", "首次", "总线", "条数", "来源"],
            Lang::En => ["LAST", "FIRST", "BUS", "MESSAGES", "FROM"],
        };
        table::print(out, headings, &rows)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Adopt {
    /// Exits with 0 when done, 64 when something that was written is wrong, 69 when the store cannot be read.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let config = match configured(&self.at.config, out)? {
            Ok(config) => config,
            Err(code) => return Ok(code),
        };
        let profiles = match config::load_profiles(&self.at.config, None) {
            Ok(profiles) => profiles,
            Err(problems) => {
                tell(&problems, out)?;
                return Ok(ExitCode::from(EXIT_USAGE));
            }
        };
        let rows = match Reader::open(&config.data_dir).and_then(|reader| reader.strangers()) {
            Ok(rows) => rows,
            Err(error) => return complain(&error, EXIT_UNAVAILABLE),
        };
        let text = match self.device(&config, &profiles, &rows) {
            Ok(text) => text,
            Err(wrong) => {
                writeln!(io::stderr(), "schoolgate: {wrong}")?;
                return Ok(ExitCode::from(EXIT_USAGE));
            }
        };
        let Some(path) = &self.write else {
            return write!(out, "{text}").map(|()| ExitCode::SUCCESS);
        };
        let made = OpenOptions::new().write(true).create_new(true).open(path);
        if let Err(error) = made.and_then(|mut file| file.write_all(text.as_bytes())) {
            let name = path.display();
            let told = say(format!("不能新建 {name}"), format!("cannot make the file {name}"));
            writeln!(io::stderr(), "schoolgate: {told}")?;
            return complain(&error, EXIT_USAGE);
        }
        let name = path.display();
        let zh = format!("配置已写入 {name}；运行 schoolgate check，再重启服务");
        let en = format!("the configuration is in {name}: run schoolgate check, then restart the service");
        writeln!(out, "{}", say(zh, en))?;
        Ok(ExitCode::SUCCESS)
    }

    /// The `[[device]]` table, or what is wrong.
    fn device(&self, config: &Config, profiles: &ProfileSet, rows: &[StrangerRow]) -> Result<String, String> {
        let bus = self.bus_of(rows)?;
        let bus = config.buses.iter().find(|known| known.id.as_str() == bus).ok_or_else(|| {
            let zh = format!("配置中没有总线“{bus}”");
            say(zh, format!("the configuration has no bus '{bus}'"))
        })?;
        let profile = profiles.get(&self.profile).ok_or_else(|| {
            let zh = format!("没有设备模板“{}”", self.profile);
            say(zh, format!("there is no device profile '{}'", self.profile))
        })?;
        let id = DeviceId::new(&self.id).map_err(|bad| bad.to_string())?;
        if config.devices.contains_key(&id) {
            let zh = format!("已有设备“{id}”");
            return Err(say(zh, format!("there is a device '{id}' already: choose another id")));
        }
        if !config.places.keys().any(|place| place.as_str() == self.place) {
            let known: Vec<&str> = config.places.keys().map(|place| place.as_str()).collect();
            let known = known.join(", ");
            let zh = format!("配置中没有地点“{}”；已有：{known}", self.place);
            return Err(say(zh, format!("the configuration has no place '{}'; it has: {known}", self.place)));
        }
        let address = self.address.clone().or_else(|| address_of(&profile, &self.origin)).ok_or_else(|| {
            let topics = profile.topics("{address}").join(", ");
            let zh = format!("模板“{}”的主题是 {topics}，与“{}”不符：换模板，或用 --address", profile.id, self.origin);
            let en = format!(
                "the topics of the profile '{}' are {topics}, and '{}' is none of them: choose another profile, or give --address",
                profile.id, self.origin
            );
            say(zh, en)
        })?;
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut text = format!(
            "[[device]]\nid = \"{id}\"\nprofile = \"{}\"\nbus = \"{}\"\naddress = {}\nplace = \"{}\"\n",
            profile.id,
            bus.id,
            quoted(&address),
            self.place
        );
        if matches!(bus.kind, config::BusKind::MqttListener(_)) {
            let name = self.origin.strip_prefix(LOGIN);
            if let Some(name) = name.filter(|name| *name != id.as_str()) {
                text.push_str(&format!("username = {}\n", quoted(name)));
            }
            let zh = "没有客户端证书的设备要有密码文件，权限 600；由别的登录代发的设备改写那个 username";
            let en = "without a client certificate it needs a password file of mode 600; behind another login, that username instead";
            text.push_str(&format!("password_file = \"secrets/{id}.pw\"   # {}\n", say(zh, en)));
        }
        if !profile.confirmed {
            let zh = "此模板尚未经真机确认：把数值与设备逐项对照";
            let en = "this profile was not tried on a real device: compare what it says with the device";
            text.push_str(&format!("# {}\n", say(zh, en)));
        }
        Ok(text)
    }

    /// The bus by which it came.
    fn bus_of(&self, rows: &[StrangerRow]) -> Result<String, String> {
        if let Some(bus) = &self.bus {
            return Ok(bus.clone());
        }
        let buses: Vec<&str> =
            rows.iter().filter(|row| row.origin == self.origin).map(|row| row.bus.as_str()).collect();
        match buses.as_slice() {
            [bus] => Ok((*bus).to_owned()),
            [] => {
                let zh = format!("没有来自“{}”的消息：先看 schoolgate strangers", self.origin);
                Err(say(
                    zh,
                    format!(
                        "nothing came from '{}': look at `schoolgate strangers`, or give --bus",
                        self.origin
                    ),
                ))
            }
            several => {
                let several = several.join(", ");
                let zh = format!("“{}”来自多条总线（{several}）：用 --bus 选一条", self.origin);
                Err(say(zh, format!("'{}' came by {several}: choose one with --bus", self.origin)))
            }
        }
    }
}

/// The address that makes an origin one of a profile's topics; other protocols than MQTT are told by their address.
fn address_of(profile: &Profile, origin: &str) -> Option<String> {
    if let Some(name) = origin.strip_prefix(LOGIN) {
        return Some(name.to_owned());
    }
    if profile.protocol != Protocol::Mqtt {
        return Some(origin.to_owned());
    }
    let mut found: Vec<(usize, String)> = Vec::new();
    for filter in profile.topics(ADDRESS) {
        let Some((before, behind)) = filter.split_once(ADDRESS) else { continue };
        let address = origin.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
        let Some(address) = address.filter(|address| !address.is_empty()) else { continue };
        if topic_matches(&filter.replace(ADDRESS, address), origin) {
            found.push((before.len() + behind.len(), address.to_owned()));
        }
    }
    // `a/{address}/state` says more than `a/{address}`.
    found.into_iter().max_by_key(|(known, _)| *known).map(|(_, address)| address)
}

//! The configuration: what was written, and what it means.
//!
//! All problems are found at once, each with file, line, column, the offending text, and what to write instead.

mod alarm;
mod attached;
mod bus;
mod calendar;
mod campus;
mod channel;
mod console;
mod control;
mod destination;
mod device;
mod fields;
mod first;
mod ground;
mod ladder;
mod listener;
mod load;
mod names;
mod place;
mod privacy;
mod profiles;
mod resolve;
mod response;
mod rule;
mod sealed;
mod site;
mod source;

pub use attached::{Attached, MAX_ATTACHED_BYTES, Unreadable};
pub use channel::{
    Channel, ChannelKind, Charset, Content, Control as ControlChannel, DingTalk, Feishu, Hours, Languages,
    MailTls, Method, MqttTopic, Piece, Robot, Smtp, Sound, Success, Template, Templated, WeCom, Web, Webhook,
};
pub use console::{Certificate, CertificateFiles, Console, Oidc};
pub use control::Controls;
pub use first::first_run;
pub use ground::{Contact, Ground, MAX_PLAN_BYTES, Plan, Point};
pub use ladder::{EXAMPLE as LADDER_EXAMPLE, Ladders};
pub use listener::{server_tls, valid_filter};
pub use load::{
    DEFAULT_PROFILES_DIR, SEAL_KEY_FILE, SECRETS_DIR, Trial, data_dir, load, load_profiles, load_trial,
    load_with, read_again, read_plan, seal_key,
};
pub use privacy::{Keep, Privacy};
pub use profiles::ProfileSet;
pub use resolve::{Sources, parse, rules};
pub use sealed::{SealKey, is_sealed};
pub use site::DEFAULT_DATA_DIR;
pub use source::mac;

use crate::document::{Problem, Spot};
use crate::model::{
    AlarmClass, BusId, DestinationId, DeviceId, EnergyItem, Place, PlaceId, PointId, Priority, RuleId,
    Secret, Text,
};
use crate::profile::Profile;
use crate::rules::{Rule, RuleKind, World};
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Everything the gateway is told, checked and connected.
#[derive(Debug)]
pub struct Config {
    /// The school.
    pub site: Site,
    /// Where the database lives.
    pub data_dir: PathBuf,
    /// How much room everything in that directory may take, MiB. 4096 unless told otherwise, at least 64.
    pub budget_mb: u32,
    /// Where the API and metrics listen; loopback until sign-in exists.
    pub http: SocketAddr,
    /// Where people reach it over TLS, if they may.
    pub console: Option<Console>,
    /// Length of an aggregate sent north, in seconds; divides an hour. 900 unless told otherwise.
    pub aggregate_secs: u32,
    /// Places by id.
    pub places: BTreeMap<PlaceId, Place>,
    /// What the desk shows beside an alarm.
    pub ground: Ground,
    /// What is said of who is where.
    pub campus: crate::campus::Settings,
    /// What is said of alarms.
    pub alarms: crate::alarm::Settings,
    /// Who is on duty, and when shifts begin.
    pub duty: crate::report::Duty,
    /// What can be armed.
    pub areas: Vec<crate::alarm::Area>,
    /// Connections to the field.
    pub buses: Vec<Bus>,
    /// Devices by id.
    pub devices: BTreeMap<DeviceId, Device>,
    /// What rules may refer to: devices, places and calendars.
    pub world: World,
    /// The rules that were written and those that are always on.
    pub rules: Vec<Box<dyn Rule>>,
    /// What may be switched.
    pub controls: Controls,
    /// What the school does at once when there is danger.
    pub responses: Vec<Arc<crate::response::Response>>,
    /// Platforms that are owed records.
    pub destinations: Vec<Destination>,
    /// Ways to tell people.
    pub channels: Vec<Channel>,
    /// What cameras see besides the place where they are.
    pub views: BTreeMap<DeviceId, Vec<PlaceId>>,
    /// Who is told of which alarms, in which turn.
    pub ladders: Ladders,
    /// What may be done with persons, and how long data are kept.
    pub privacy: Privacy,
    /// The rules as they were written, in the order of `rules`; those that are always on are not among them.
    pub written_rules: Vec<WrittenRule>,
    /// The file it begins with.
    pub source: PathBuf,
    /// What is allowed and hardly meant: nothing of it keeps the gateway from starting.
    pub cautions: Vec<Problem>,
}

/// A rule as it was written.
#[derive(Debug, Clone)]
pub struct WrittenRule {
    /// Its id.
    pub id: RuleId,
    /// Its kind.
    pub kind: &'static RuleKind,
    /// Where it stands.
    pub spot: Spot,
    /// What its alarms are about.
    pub class: AlarmClass,
    /// How soon to act on them.
    pub priority: Priority,
    /// The devices that it watches, by id; `None` is all.
    pub devices: Option<Vec<DeviceId>>,
    /// The points that it judges.
    pub points: Vec<(DeviceId, PointId)>,
    /// The place by which it chooses, if it does.
    pub place: Option<PlaceId>,
    /// What it says besides, in words: its limits.
    pub says: Text,
    /// Why it can never raise an alarm, if that is certain.
    pub never: Option<Text>,
}

/// The school.
#[derive(Debug, Clone)]
pub struct Site {
    /// Id of this gateway, part of every uid sent north.
    pub gateway: DeviceId,
    /// The school's name.
    pub name: String,
    /// 学校（机构）标识码, 10 digits.
    pub school_code: Option<String>,
    /// Its time zone; Asia/Shanghai unless told otherwise.
    pub zone: TimeZone,
}

/// A connection to the field.
#[derive(Debug, Clone)]
pub struct Bus {
    /// Its id.
    pub id: BusId,
    /// What it speaks.
    pub kind: BusKind,
}

/// What a bus speaks.
#[derive(Debug, Clone)]
pub enum BusKind {
    /// One Modbus TCP endpoint: a meter, or a converter with several units behind it.
    ModbusTcp(ModbusTcp),
    /// One RS-485 line.
    Serial(Serial),
    /// One MQTT broker.
    Mqtt(Mqtt),
    /// The gateway's own MQTT listener.
    MqttListener(MqttListener),
    /// A set of ONVIF cameras with the same credentials; each device on it is one camera.
    Onvif(Onvif),
    /// Terminals and recorders that push by HTTP: Hikvision ISAPI and ZKTeco.
    Push(Push),
    /// Hikvision cameras and terminals whose alert stream is pulled.
    Isapi(Stream),
    /// Dahua cameras and recorders whose event stream is pulled.
    Dahua(Stream),
    /// Fire transmitters that connect (GB/T 26875.3).
    FireReceiver(FireReceiver),
    /// Intrusion panels that connect (Contact ID in SIA DC-09).
    PanelReceiver(Receiver),
}

impl BusKind {
    /// Its word, if it was not tried with a real device yet.
    #[must_use]
    pub fn unconfirmed(&self) -> Option<&'static str> {
        match self {
            Self::ModbusTcp(_) | Self::Serial(_) | Self::Mqtt(_) | Self::MqttListener(_) | Self::Onvif(_) => {
                None
            }
            Self::Push(_) => Some("http-push"),
            Self::Isapi(_) => Some("isapi"),
            Self::Dahua(_) => Some("dahua"),
            Self::FireReceiver(_) => Some("fire-receiver"),
            Self::PanelReceiver(_) => Some("panel-receiver"),
        }
    }
}

/// A Modbus TCP endpoint.
#[derive(Debug, Clone)]
pub struct ModbusTcp {
    /// Host name or address.
    pub host: String,
    /// TCP port; 502 unless told otherwise.
    pub port: u16,
    /// Longest wait for one whole reply. 1 s unless told otherwise.
    pub timeout: Duration,
    /// Shortest pause between a reply and the next request. 0 unless told otherwise.
    pub gap: Duration,
}

/// An RS-485 line.
#[derive(Debug, Clone)]
pub struct Serial {
    /// Where it is.
    pub place: SerialPlace,
    /// Its baud rate; behind a converter, that of the converter's serial side. 9600 unless told otherwise.
    pub baud: u32,
    /// Longest wait for the first byte of a reply; the time its bytes take comes on top. 1 s unless told otherwise.
    pub timeout: Duration,
    /// Shortest pause between a reply and the next request, besides the silence between frames. 0 unless told
    /// otherwise.
    pub gap: Duration,
}

/// Where an RS-485 line is.
#[derive(Debug, Clone)]
pub enum SerialPlace {
    /// On a serial port of this machine. Eight data bits.
    Port {
        /// The port's device file.
        path: String,
        /// Parity; none unless told otherwise.
        parity: Parity,
        /// Two stop bits instead of one.
        two_stop_bits: bool,
    },
    /// Behind a converter that passes the bytes on over TCP.
    Converter {
        /// Host name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
}

/// Parity of a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parity {
    /// None.
    None,
    /// Even.
    Even,
    /// Odd.
    Odd,
}

/// An MQTT broker.
#[derive(Debug, Clone)]
pub struct Mqtt {
    /// Host name or address.
    pub host: String,
    /// TCP port; 1883, with TLS 8883.
    pub port: u16,
    /// Client id of the persistent session; `schoolgate-<gateway>` unless told otherwise.
    pub client_id: String,
    /// User name and password.
    pub login: Option<Login>,
    /// TLS, verified; `None` is plain TCP.
    pub tls: Option<Tls>,
    /// Largest payload that is decoded, in bytes; larger ones are quarantined. 262144 unless told otherwise.
    pub max_payload: usize,
}

/// The gateway's own MQTT listener: where it listens, and who may log in.
#[derive(Debug, Clone)]
pub struct MqttListener {
    /// Where it listens with TLS.
    pub tls: Option<ListenTls>,
    /// Where it listens without.
    pub plain: Option<SocketAddr>,
    /// Largest payload that is decoded, in bytes; larger ones are quarantined. 262144 unless told otherwise.
    pub max_payload: usize,
    /// Who may log in.
    pub clients: Vec<MqttClient>,
}

/// The TLS side of a listener.
#[derive(Debug, Clone)]
pub struct ListenTls {
    /// Address and port.
    pub listen: SocketAddr,
    /// Its certificate and those above it, PEM.
    pub cert_pem: Vec<u8>,
    /// The key of its certificate, PEM.
    pub key_pem: Secret,
    /// Who signs the certificates of clients, PEM; `None` where clients have passwords only.
    pub client_ca_pem: Option<Vec<u8>>,
}

/// Who may log in to a listener.
#[derive(Debug, Clone)]
pub struct MqttClient {
    /// User name, or the name in the client's certificate.
    pub username: String,
    /// Its password; `None` where only a certificate is taken.
    pub password: Option<Secret>,
    /// The devices it speaks for; none for a reader, who may publish nothing.
    pub devices: Vec<DeviceId>,
    /// Topic filters it may subscribe to besides the command topics of its devices.
    pub subscribe: Vec<String>,
}

/// User name and password.
#[derive(Debug, Clone)]
pub struct Login {
    /// User name.
    pub username: String,
    /// Password, from a file.
    pub password: Secret,
}

/// TLS settings; the peer is always verified.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Certificates trusted besides the system's, PEM.
    pub ca_pem: Option<Vec<u8>>,
}

/// Cameras with the same credentials.
#[derive(Debug, Clone)]
pub struct Onvif {
    /// User name and password.
    pub login: Option<Login>,
    /// Longest wait for one HTTP reply besides the pull itself. 5 s unless told otherwise.
    pub timeout: Duration,
    /// Pause between two RTSP liveness probes of one camera. 300 s unless told otherwise, at least 5 s.
    pub probe_every: Duration,
}

/// Where terminals push to.
#[derive(Debug, Clone)]
pub struct Push {
    /// Address and port.
    pub listen: SocketAddr,
    /// Certificate and key; `None` is plain HTTP.
    pub tls: Option<ServerTls>,
    /// What terminals that push ISAPI must know (Digest, over TLS also Basic).
    pub login: Option<Login>,
    /// Who may connect; private networks unless told otherwise.
    pub from: Vec<Network>,
    /// How often a terminal shows that it lives; silent for three times as long it is down. 30 s unless told otherwise.
    pub heartbeat: Duration,
    /// A state that is not told again for so long is over. 60 s unless told otherwise.
    pub end_after: Duration,
    /// Largest request body, bytes; larger ones are quarantined. 2097152 unless told otherwise.
    pub max_body: usize,
    /// Where what a terminal did not push is asked for.
    pub pull: BTreeMap<DeviceId, PullFrom>,
}

/// What a listener proves itself with.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// Its certificate and those above it, PEM.
    pub cert_pem: Vec<u8>,
    /// Its private key, PEM.
    pub key_pem: Secret,
}

/// Where a terminal answers questions.
#[derive(Debug, Clone)]
pub struct PullFrom {
    /// Its base URL.
    pub url: Url,
    /// User name and password.
    pub login: Login,
}

/// A network: an address of it, and how many of its first bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Any address of it.
    pub address: IpAddr,
    /// At most 32, for IPv6 128.
    pub bits: u8,
}

/// Cameras, recorders and terminals with the same credentials whose streams of events are pulled.
#[derive(Debug, Clone)]
pub struct Stream {
    /// User name and password.
    pub login: Option<Login>,
    /// Longest wait for the beginning of an answer. 5 s unless told otherwise.
    pub timeout: Duration,
    /// How often a stream shows that it lives; silent for three times as long it is opened anew. 10 s, Dahua 5 s,
    /// unless told otherwise.
    pub heartbeat: Duration,
    /// A state that is not told again for so long is over; `None` is never. 60 s, Dahua never, unless told otherwise.
    pub end_after: Option<Duration>,
    /// How far back a terminal is asked for passes after the start; zero is never. A day unless told otherwise.
    pub back_fill: Duration,
}

/// Where panels connect to.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Address and port.
    pub listen: SocketAddr,
    /// Who may connect; private networks unless told otherwise.
    pub from: Vec<Network>,
    /// A panel that was silent for so long is down. 300 s unless told otherwise.
    pub silence: Duration,
}

/// Where fire transmitters connect to.
#[derive(Debug, Clone)]
pub struct FireReceiver {
    /// Where, who, and how long they may be silent.
    pub receiver: Receiver,
    /// Whether the lowest byte of an address is sent first, as the standard says; some send the highest first.
    pub lowest_first: bool,
}

/// A device.
#[derive(Debug, Clone)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Its name for people; the id unless told otherwise.
    pub name: String,
    /// What it is.
    pub profile: Arc<Profile>,
    /// By which bus.
    pub bus: BusId,
    /// Where on the bus: a Modbus unit id, an MQTT name, a URL, a MAC address, a serial number; behind
    /// `#` a part of a device that is a device of its own, such as one door of a controller.
    pub address: String,
    /// Where in the school.
    pub place: PlaceId,
    /// Pause between two polls, for devices that are polled. 60 s unless told otherwise.
    pub poll: Duration,
    /// The points that rules judge: they are read before others.
    pub alarmed: BTreeSet<PointId>,
    /// What a meter's energy is used for, where it is for one thing.
    pub item: Option<EnergyItem>,
}

/// A platform that is owed records.
#[derive(Debug, Clone)]
pub struct Destination {
    /// Its id.
    pub id: DestinationId,
    /// How it is spoken to.
    pub kind: DestinationKind,
    /// Base URL, without a slash at the end.
    pub base_url: String,
    /// Application id given by the platform.
    pub app_id: String,
    /// Application secret, from a file.
    pub secret: Secret,
    /// Most records in one request.
    pub max_records: usize,
    /// Most bytes in one request body.
    pub max_bytes: usize,
    /// Longest wait for one reply.
    pub timeout: Duration,
    /// Certificates trusted besides the system's, PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// What was agreed with the platform's operator.
    pub agreed: Agreed,
}

/// What was agreed with a platform's operator; what is `None` is as the platform's family has it.
///
/// Codes are texts as an answer has them. None is in two lists, and at least one means success.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreed {
    /// Path below the base URL that takes records; begins with `/`, has no query.
    pub record_path: Option<String>,
    /// Path below the base URL that gives tokens; as above. `eduyun` only.
    pub token_path: Option<String>,
    /// Group of the record interface at the platform's gateway. `shield` only.
    pub group_id: Option<String>,
    /// Stage of the platform: `RELEASE`, `TEST` or `PRE`. `shield` only.
    pub stage: Option<String>,
    /// Codes that mean success.
    pub ok_codes: Option<Vec<String>>,
    /// Codes that mean "not now".
    pub busy_codes: Option<Vec<String>>,
    /// Codes that mean that the token is no longer valid. `eduyun` only.
    pub token_expired_codes: Option<Vec<String>>,
    /// Codes that mean that we are not known, not allowed, or come from the wrong address.
    pub auth_refused_codes: Option<Vec<String>>,
    /// Codes that mean that something in the request is wrong.
    pub rejected_codes: Option<Vec<String>>,
}

/// The family of a platform's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestinationKind {
    /// Header signature, HMAC-SHA256 over a joined string (the family of the Anhui provincial open platform).
    Shield,
    /// Access token from app id and an HMAC-SHA1 key proof (the eduyun family of several cities).
    Eduyun,
}

impl DestinationKind {
    /// The code that means success unless agreed otherwise.
    #[must_use]
    pub fn success_code(self) -> &'static str {
        match self {
            Self::Shield => "1",
            Self::Eduyun => "000000",
        }
    }
}

#[cfg(test)]
mod tests;

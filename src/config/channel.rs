//! `[[channel]]`: ways to tell people. What is said when, and to whom, is not their business.

use super::{Login, Mqtt, Tls};
use crate::model::{ChannelId, ControlId, Lang, Priority, Secret};
use jiff::civil::Time;
use std::collections::BTreeMap;
use std::path::PathBuf;
use url::Url;

/// A way to tell people.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// Its name for people; the id unless told otherwise.
    pub name: String,
    /// In which languages it speaks.
    pub languages: Languages,
    /// When it is left alone; never where something is critical.
    pub quiet: Option<Hours>,
    /// Most messages a minute; as the kind allows unless told otherwise.
    pub max_per_minute: Option<u32>,
    /// How people are told.
    pub kind: ChannelKind,
}

impl Channel {
    /// Whether it sounds or shows at the place itself: nothing silent may go there.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match &self.kind {
            ChannelKind::Sound(_) | ChannelKind::Control(_) => true,
            ChannelKind::Mqtt(mqtt) => mqtt.local,
            _ => false,
        }
    }

    /// Whether this is a time of day at which it is left alone, unless something is critical.
    #[must_use]
    pub fn quiet_at(&self, time: Time) -> bool {
        self.quiet.is_some_and(|quiet| quiet.hold(time))
    }
}

/// In which languages a channel speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Languages {
    /// Chinese.
    #[default]
    Zh,
    /// English.
    En,
    /// Chinese, and English below it.
    Both,
}

impl Languages {
    /// Each language, in order.
    #[must_use]
    pub fn each(self) -> &'static [Lang] {
        match self {
            Self::Zh => &[Lang::Zh],
            Self::En => &[Lang::En],
            Self::Both => &[Lang::Zh, Lang::En],
        }
    }
}

/// A part of the day, every day; one that ends before it begins goes over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// From here on.
    pub from: Time,
    /// Up to here, which no longer belongs to it.
    pub until: Time,
}

impl Hours {
    /// Whether it holds a time of day.
    #[must_use]
    pub fn hold(self, time: Time) -> bool {
        if self.from <= self.until {
            (self.from..self.until).contains(&time)
        } else {
            time >= self.from || time < self.until
        }
    }
}

/// How people are told.
#[derive(Debug, Clone)]
pub enum ChannelKind {
    /// 企业微信群机器人.
    WeCom(WeCom),
    /// 钉钉自定义机器人.
    DingTalk(DingTalk),
    /// 飞书自定义机器人.
    Feishu(Feishu),
    /// A JSON document is posted.
    Webhook(Webhook),
    /// E-mail.
    Smtp(Smtp),
    /// A request is made as a template says: gateways for short messages and voice calls.
    Http(Templated),
    /// A message on a topic of a broker.
    Mqtt(MqttTopic),
    /// A sound from this machine.
    Sound(Sound),
    /// Something is switched on: a siren, a lamp.
    Control(Control),
}

/// How a server is reached over HTTP.
#[derive(Debug, Clone, Default)]
pub struct Web {
    /// Certificates trusted besides the system's, PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// The proxy to go through; the environment is not asked.
    pub proxy: Option<Url>,
}

/// A robot of a group chat.
#[derive(Debug, Clone)]
pub struct Robot {
    /// Its whole address; whoever knows it may write to the group.
    pub url: Secret,
    /// What messages are signed with.
    pub secret: Option<Secret>,
    /// How it is reached.
    pub web: Web,
    /// A word that the robot wants in every message.
    pub keyword: Option<String>,
}

/// 企业微信群机器人.
#[derive(Debug, Clone)]
pub struct WeCom {
    /// The robot.
    pub robot: Robot,
    /// Markdown instead of plain text.
    pub markdown: bool,
    /// User ids, or `@all`, that are mentioned.
    pub mention: Vec<String>,
    /// Telephone numbers that are mentioned.
    pub mention_mobiles: Vec<Secret>,
}

/// 钉钉自定义机器人.
#[derive(Debug, Clone)]
pub struct DingTalk {
    /// The robot.
    pub robot: Robot,
    /// Telephone numbers that are mentioned.
    pub mention_mobiles: Vec<Secret>,
    /// Whether everybody is mentioned.
    pub mention_all: bool,
}

/// 飞书自定义机器人.
#[derive(Debug, Clone)]
pub struct Feishu {
    /// The robot.
    pub robot: Robot,
    /// Open ids, or `all`, that are mentioned.
    pub mention: Vec<String>,
}

/// A JSON document is posted.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The whole address.
    pub url: Secret,
    /// How it is reached.
    pub web: Web,
    /// What `Authorization: Bearer` says.
    pub token: Option<Secret>,
    /// The header that holds the HMAC-SHA256 of the body, and its key.
    pub signature: Option<(String, Secret)>,
    /// What means success.
    pub success: Success,
}

/// What means success, besides a status of 200 to 299.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Success {
    /// Nothing else.
    Status,
    /// What stands at this JSON pointer (RFC 6901) is one of these texts.
    Pointer {
        /// Where.
        pointer: String,
        /// One of these; numbers as they are written.
        values: Vec<String>,
    },
    /// The body has this in it.
    Contains(String),
}

/// E-mail.
#[derive(Debug, Clone)]
pub struct Smtp {
    /// Host name or address of the server that takes it.
    pub host: String,
    /// TCP port; 587, with implicit TLS 465, without TLS 25.
    pub port: u16,
    /// How it is encrypted.
    pub tls: MailTls,
    /// User name and password.
    pub login: Option<Login>,
    /// Who it is from.
    pub from: String,
    /// Who it is to.
    pub to: Vec<Secret>,
}

/// How mail is encrypted on its way to the server.
#[derive(Debug, Clone)]
pub enum MailTls {
    /// Not at all.
    None,
    /// From the command STARTTLS on (RFC 3207), which must be there.
    StartTls(Tls),
    /// From the first byte (RFC 8314).
    Implicit(Tls),
}

/// A request that is made as a template says.
#[derive(Debug, Clone)]
pub struct Templated {
    /// Its method.
    pub method: Method,
    /// Its address.
    pub url: Template,
    /// Its headers.
    pub headers: Vec<(String, Template)>,
    /// Its body.
    pub body: Option<Template>,
    /// What its body is.
    pub content: Content,
    /// How its text is written in bytes.
    pub charset: Charset,
    /// What `{secret}` stands for.
    pub secret: Option<Secret>,
    /// What `{recipient}` stands for, one request each.
    pub recipients: Vec<Secret>,
    /// Longest `{text}`, in characters.
    pub max_chars: usize,
    /// How it is reached.
    pub web: Web,
    /// What means success.
    pub success: Success,
}

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Without a body.
    Get,
    /// With one.
    Post,
    /// With one.
    Put,
}

/// What a body is, and so how what is put into it is escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// JSON: as in a JSON string.
    Json,
    /// `application/x-www-form-urlencoded`: as in a URL.
    Form,
    /// Plain text: not at all.
    Text,
}

/// How text is written in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8.
    Utf8,
    /// GB 18030, which GBK and GB 2312 are parts of.
    Gb18030,
}

/// A text with gaps to fill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(pub Vec<Piece>);

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it is.
    Plain(String),
    /// `{title}`.
    Title,
    /// `{text}`.
    Text,
    /// `{place}`.
    Place,
    /// `{priority}`.
    Priority,
    /// `{recipient}`.
    Recipient,
    /// `{secret}`.
    Secret,
    /// `{number}`.
    Number,
}

/// A message on a topic of a broker.
#[derive(Debug, Clone)]
pub struct MqttTopic {
    /// The broker.
    pub broker: Mqtt,
    /// Where it is published.
    pub topic: String,
    /// The topic that tells whether it was done, and the text that says so.
    pub state: Option<(String, String)>,
    /// Whether it sounds or shows at the place itself.
    pub local: bool,
}

/// A sound from this machine.
#[derive(Debug, Clone)]
pub struct Sound {
    /// The device in the words of ALSA.
    pub device: String,
    /// A file in WAV by priority; a tone of our own where there is none.
    pub files: BTreeMap<Priority, PathBuf>,
}

/// Something is switched on.
#[derive(Debug, Clone)]
pub struct Control {
    /// What.
    pub control: ControlId,
    /// The value that is on.
    pub on: f64,
}

//! `[[channel]]`: ways to tell people. What is said when, and to whom, is not their business.

mod here;
mod mail;
mod robot;
mod template;
mod web;

use super::attached::secret;
use super::fields::{finish, name_opt};
use super::names::Names;
use super::resolve::Sources;
use super::{Controls, Login, Mqtt, Tls};
use crate::document::{Reader, SECRET_KEYS};
use crate::model::{ChannelId, ControlId, Lang, Priority, Secret, Text};
use jiff::civil::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use url::Url;

/// Most entries of a list: recipients, those who are mentioned.
const MAX_LISTED: usize = 32;

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
    /// Whether it is for drills (演练), and for nothing else.
    pub drill: bool,
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

impl ChannelKind {
    /// The word written as `kind`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::WeCom(_) => "wecom",
            Self::DingTalk(_) => "dingtalk",
            Self::Feishu(_) => "feishu",
            Self::Webhook(_) => "webhook",
            Self::Smtp(_) => "smtp",
            Self::Http(_) => "http",
            Self::Mqtt(_) => "mqtt",
            Self::Sound(_) => "sound",
            Self::Control(_) => "control",
        }
    }
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
    /// Its address; what is put into it is escaped as in a URL.
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
    /// `{time}`.
    Time,
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
    /// What is published; a JSON document of the whole message unless told otherwise.
    pub payload: Option<Template>,
    /// The topic that tells whether it was done, and what says so there.
    pub state: Option<(String, Success)>,
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

/// What a channel may refer to, and what it is read with.
pub(super) struct Around<'a> {
    pub(super) gateway: &'a str,
    pub(super) controls: &'a Controls,
    /// Every control that is written, well or badly.
    pub(super) control_names: &'a BTreeSet<String>,
    pub(super) sources: &'a Sources<'a>,
}

/// Reads the keys of one kind.
type Read = fn(&Reader<'_>, Option<&ChannelId>, &Around<'_>) -> Option<ChannelKind>;

/// Every kind: its word, the key of the file that holds its secret, and what reads the rest.
const KINDS: &[(&str, (Option<&str>, Read))] = &[
    ("wecom", (Some("key_file"), |reader, _, around| robot::wecom(reader, around).map(ChannelKind::WeCom))),
    (
        "dingtalk",
        (Some("key_file"), |reader, _, around| robot::dingtalk(reader, around).map(ChannelKind::DingTalk)),
    ),
    (
        "feishu",
        (Some("key_file"), |reader, _, around| robot::feishu(reader, around).map(ChannelKind::Feishu)),
    ),
    (
        "webhook",
        (Some("token_file"), |reader, _, around| web::webhook(reader, around).map(ChannelKind::Webhook)),
    ),
    ("smtp", (Some("password_file"), |reader, _, around| mail::smtp(reader, around).map(ChannelKind::Smtp))),
    (
        "http",
        (Some("secret_file"), |reader, _, around| web::templated(reader, around).map(ChannelKind::Http)),
    ),
    (
        "mqtt",
        (Some("password_file"), |reader, id, around| here::mqtt(reader, id, around).map(ChannelKind::Mqtt)),
    ),
    ("sound", (None, |reader, _, around| here::sound(reader, around).map(ChannelKind::Sound))),
    ("control", (None, |reader, _, around| here::control(reader, around).map(ChannelKind::Control))),
];

/// Reads every channel.
pub(super) fn channels(readers: Vec<Reader<'_>>, names: &mut Names, around: &Around<'_>) -> Vec<Channel> {
    let mut channels = Vec::new();
    for reader in readers {
        let id = names.declare(&reader, ChannelId::new);
        let Some((secret_file, read)) = reader.word("kind", KINDS) else { continue };
        let name = name_opt(&reader, "name");
        let words = [("zh", Languages::Zh), ("en", Languages::En), ("zh+en", Languages::Both)];
        let languages = reader.word_opt("languages", &words).unwrap_or_default();
        let advice =
            ("写一天里的一段时间，如 \"22:00-06:30\"", "write a part of the day such as \"22:00-06:30\"");
        let quiet = reader.parsed_opt("quiet", advice, hours);
        let max_per_minute =
            reader.integer_opt("max_per_minute", 1..=600).and_then(|n| u32::try_from(n).ok());
        let drill = reader.flag_opt("drill").unwrap_or(false);
        let kind = read(&reader, id.as_ref(), around);
        if let (Some(id), Some(kind)) = (id, kind) {
            let name = name.unwrap_or_else(|| id.to_string());
            channels.push(Channel { id, name, languages, quiet, max_per_minute, drill, kind });
        }
        finish(reader, secret_file);
    }
    channels
}

fn hours(text: &str) -> Result<Hours, (&'static str, &'static str)> {
    let wrong = ("这不是一天里的一段时间", "this is no part of a day");
    let (from, until) = text.split_once('-').ok_or(wrong)?;
    let time = |text: &str| Time::strptime("%H:%M", text.trim()).map_err(|_| wrong);
    let (from, until) = (time(from)?, time(until)?);
    if from == until {
        Err(("开始和结束相同", "it ends when it begins"))
    } else {
        Ok(Hours { from, until })
    }
}

/// The secret in a file; one that is written in its place is told once, as such, and not also as a missing file.
fn secret_at(reader: &Reader<'_>, key: &str, sources: &Sources<'_>) -> Option<Secret> {
    let written = reader.keys().any(|key| SECRET_KEYS.contains(&key));
    if written && !reader.has(key) { None } else { secret(reader, key, sources) }
}

/// The same, where there need be none.
fn secret_at_opt(reader: &Reader<'_>, key: &str, sources: &Sources<'_>) -> Option<Secret> {
    // Asked for in any case, so that it is a key that is known.
    reader.text_opt(key).and_then(|_| secret(reader, key, sources))
}

/// A list of texts, each of which must be good.
fn listed(
    reader: &Reader<'_>,
    key: &str,
    advice: impl Into<Text>,
    good: impl Fn(&str) -> bool,
) -> Vec<String> {
    let (advice, mut found) = (advice.into(), Vec::new());
    for (text, spot) in reader.texts(key) {
        if found.contains(&text) {
            reader.problems().at(
                &spot,
                (format!("'{key}' 里有一项写了两次"), format!("an entry of '{key}' stands there twice")),
                ("留下一个", "keep one of them"),
            );
        } else if good(&text) {
            found.push(text);
        } else {
            let message = (format!("'{key}' 里有一项不能用"), format!("an entry of '{key}' cannot be used"));
            reader.problems().at(&spot, message, advice.clone());
        }
    }
    if found.len() > MAX_LISTED {
        reader.problem(
            key,
            (format!("'{key}' 有 {} 项", found.len()), format!("'{key}' has {} entries", found.len())),
            (
                format!("最多写 {MAX_LISTED} 项；其余的写进另一个 [[channel]]"),
                format!("write at most {MAX_LISTED}; a second [[channel]] may have others"),
            ),
        );
    }
    found
}

/// The same, where they name persons.
fn listed_persons(
    reader: &Reader<'_>,
    key: &str,
    advice: impl Into<Text>,
    good: impl Fn(&str) -> bool,
) -> Vec<Secret> {
    listed(reader, key, advice, good).iter().map(|text| Secret::from_file_text(text)).collect()
}

/// A text on one line without control characters.
fn is_plain(text: &str, most: usize) -> bool {
    let length = text.chars().count();
    (1..=most).contains(&length) && text.trim() == text && !text.contains(char::is_control)
}

/// A telephone number: 5 to 20 digits, perhaps behind a `+`.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    (5..=20).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_go_over_midnight() {
        let time = |text: &str| Time::strptime("%H:%M", text).unwrap();
        for (written, inside, outside) in [
            ("22:00-06:30", ["22:00", "00:00", "06:29"], ["06:30", "12:00", "21:59"]),
            ("12:00-14:00", ["12:00", "13:00", "13:59"], ["14:00", "00:00", "11:59"]),
        ] {
            let hours = hours(written).unwrap();
            assert!(inside.iter().all(|at| hours.hold(time(at))), "{written}");
            assert!(!outside.iter().any(|at| hours.hold(time(at))), "{written}");
        }
        for wrong in ["", "22", "22:00", "22:00-", "24:00-06:00", "22:00-22:00", "22:00-06:30-07:00"] {
            assert!(hours(wrong).is_err(), "{wrong}");
        }
    }
}

//! Telling people: one file per kind of channel, each a [`Notifier`] that sends one message and judges what came back.
//!
//! When somebody is told, by which channel, and what comes next if that fails, is not decided here.

mod attempt;
pub mod bell;
mod control;
pub mod desk;
mod dingtalk;
mod escape;
mod feishu;
mod http;
mod mqtt;
mod reply;
mod robot;
mod several;
mod smtp;
mod sound;
#[cfg(test)]
mod testing;
mod web;
mod webhook;
mod wecom;
mod wording;

pub use reply::{Codes, Reply, Scrub, judge_robot, judge_written};

use crate::config::{Channel, ChannelKind, Site};
use crate::model::ChannelId;
pub use crate::model::{Message, Occasion, Rate, Verdict};
use crate::runtime::control_desk::ControlDesk;
use crate::runtime::{Clock, Tally};
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Longest try: then the next channel has its turn.
pub const TRY_LIMIT: Duration = Duration::from_secs(5);
/// What a channel takes of it that can say more than that it was too late.
const OWN_LIMIT: Duration = Duration::from_millis(4900);

/// What becomes of a message.
pub type Told<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// A way to tell people.
pub trait Notifier: Send + Debug {
    /// How many messages it takes.
    fn rate(&self) -> Rate;
    /// Sends one message. Those that [`notifier`] makes answer within [`TRY_LIMIT`], and count.
    fn tell<'a>(&'a mut self, message: &'a Message) -> Told<'a>;
    /// What the other side said last, in a line without secrets, where it said anything.
    fn said(&self) -> Option<&str> {
        None
    }
}

/// What notifiers are made with.
#[derive(Clone)]
pub struct Means {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The counters.
    pub tally: Arc<Tally>,
    /// The school.
    pub site: Arc<Site>,
    /// Where things are switched.
    pub controls: ControlDesk,
}

/// Why a notifier cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The certificates cannot be used, or the system has none to trust.
    #[error("channel '{id}': the TLS client cannot be made; expected PEM certificates in ca_file")]
    Client {
        /// Which.
        id: ChannelId,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// One kind of channel.
pub struct NotifierKind {
    /// The word written as `kind`.
    pub name: &'static str,
    /// What it is, in one line.
    pub doc: &'static str,
    /// A working example: the TOML below `[[channel]]`.
    pub example: &'static str,
}

/// Every kind of channel.
pub const NOTIFIER_KINDS: &[NotifierKind] = &[
    wecom::KIND,
    dingtalk::KIND,
    feishu::KIND,
    webhook::KIND,
    smtp::KIND,
    http::KIND,
    mqtt::KIND,
    sound::KIND,
    control::KIND,
];

/// What the answers of the three robots mean, by the word of their kind.
pub const ROBOT_CODES: [(&str, Codes); 3] =
    [("wecom", wecom::CODES), ("dingtalk", dingtalk::CODES), ("feishu", feishu::CODES)];

/// The notifier of a channel; connects to nothing yet.
///
/// # Errors
/// When its certificates cannot be used.
pub fn notifier(channel: &Channel, means: &Means) -> Result<Box<dyn Notifier>, NotifyError> {
    let inner: Box<dyn Notifier> = match &channel.kind {
        ChannelKind::WeCom(kind) => Box::new(wecom::Robot::new(channel, kind, means)?),
        ChannelKind::DingTalk(kind) => Box::new(dingtalk::Robot::new(channel, kind, means)?),
        ChannelKind::Feishu(kind) => Box::new(feishu::Robot::new(channel, kind, means)?),
        ChannelKind::Webhook(kind) => Box::new(webhook::Hook::new(channel, kind, means)?),
        ChannelKind::Smtp(kind) => Box::new(smtp::Post::new(channel, kind, means)?),
        ChannelKind::Http(kind) => Box::new(http::Gateway::new(channel, kind, means)?),
        ChannelKind::Mqtt(kind) => Box::new(mqtt::Topic::new(channel, kind, means)),
        ChannelKind::Sound(kind) => Box::new(sound::Loudspeaker::new(channel, kind, means)),
        ChannelKind::Control(kind) => Box::new(control::Siren::new(channel, kind, means)),
    };
    let rate = channel.max_per_minute.map(robot::per_minute);
    let (clock, tally) = (Arc::clone(&means.clock), Arc::clone(&means.tally));
    Ok(Box::new(attempt::Attempts::new(inner, (channel.id.clone(), rate), clock, tally)))
}

#[cfg(test)]
mod tests;

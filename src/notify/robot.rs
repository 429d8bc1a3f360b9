//! What the robots of group chats have in common: a JSON document is posted to a secret address.

use super::reply::{Codes, Scrub, judge_robot};
use super::{Means, Message, NotifyError, Occasion, Rate, Verdict, web};
use crate::config::{Languages, Robot, Site};
use crate::model::{ChannelId, Priority, Secret, Wall};
use crate::runtime::Clock;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::sync::Arc;
use std::time::Duration;

/// A robot and the way to it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) robot: Robot,
    pub(super) languages: Languages,
    pub(super) site: Arc<Site>,
    client: reqwest::Client,
    scrub: Scrub,
    pub(super) said: Option<String>,
}

impl Line {
    pub(super) fn new(
        (id, languages): (&ChannelId, Languages),
        robot: &Robot,
        persons: &[Secret],
        means: &Means,
    ) -> Result<Self, NotifyError> {
        let secrets = [&robot.url].into_iter().chain(&robot.secret).chain(persons);
        Ok(Self {
            robot: robot.clone(),
            languages,
            site: Arc::clone(&means.site),
            client: web::client(id, &robot.web)?,
            scrub: Scrub::of(secrets),
            said: None,
        })
    }

    /// Posts a document and judges the answer.
    pub(super) async fn post(&mut self, query: &[(&str, String)], body: &Value, codes: &Codes) -> Verdict {
        let request = self.client.post(self.robot.url.expose()).query(query).json(body);
        match web::send(request).await {
            Ok(reply) => {
                self.said = Some(self.scrub.said(&reply.body));
                judge_robot(&reply, &self.scrub, codes)
            }
            Err(why) => {
                self.said = None;
                Verdict::Failed { why: self.scrub.line(&why) }
            }
        }
    }

    /// The text with the word that the robot asks for.
    pub(super) fn with_keyword(&self, text: String) -> String {
        match &self.robot.keyword {
            Some(word) if !text.contains(word.as_str()) => format!("{word}\n{text}"),
            _ => text,
        }
    }
}

/// So many in a minute.
pub(super) fn per_minute(messages: u32) -> Rate {
    Rate { messages, per: Duration::from_secs(60) }
}

/// Whether somebody is to be mentioned: somebody must act, and at once.
pub(super) fn mentions(message: &Message) -> bool {
    message.priority == Priority::Critical && !matches!(message.occasion, Occasion::Digest | Occasion::Over)
        || message.occasion == Occasion::Trial
}

/// The HMAC-SHA256 of a text under a key, in Base64.
pub(super) fn signed(key: &str, text: &str) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any key length");
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// The time to sign with.
///
/// # Errors
/// As long as this machine's clock cannot be right: every signature would be refused.
pub(super) fn signing_time(clock: &dyn Clock) -> Result<Wall, Verdict> {
    let now = clock.now().wall;
    if now.plausible() {
        return Ok(now);
    }
    Err(Verdict::Failed {
        why: format!("this machine's clock says {now}: nothing can be signed until it is set"),
    })
}

/// Text that is read as Markdown, without what would be taken for something else.
pub(super) fn plain_in_markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' | '>' | '*' | '`' | '#' | '[' | ']' | '\\' => {
                // Full-width forms read the same and mean nothing.
                out.push(char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c));
            }
            c => out.push(c),
        }
    }
    out
}

//! A request as a template says, one for each recipient: gateways for short messages and voice calls.

use super::reply::{Scrub, judge_written};
use super::robot::per_minute;
use super::several::Several;
use super::wording::gap;
use super::{Means, Message, Notifier, NotifierKind, NotifyError, Rate, Told, Verdict, escape, web};
use crate::config::{Channel, Charset, Content, Languages, Method, Piece, Site, Template, Templated};
use encoding_rs::GB18030;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use reqwest::header::CONTENT_TYPE;
use std::borrow::Cow;
use std::sync::Arc;

/// Requests by a template.
pub const KIND: NotifierKind = NotifierKind {
    name: "http",
    doc: "按模板发 HTTP 请求：短信、语音电话网关。A request by a template: gateways for short messages and voice calls.",
    example: r#"method = "POST"
url = "https://sms.example.cn/v1/send"
content = "json"
body = '{"mobile": "{recipient}", "template": "T1001", "vars": {"place": "{place}", "what": "{title}"}}'
recipients = ["13800138000", "13900139000"]
secret_file = "secrets/sms"
ok_pointer = "/code"
ok_values = ["0", "OK"]
[channel.headers]
Authorization = "Bearer {secret}"
"#,
};

/// A gateway.
#[derive(Debug)]
pub(super) struct Gateway {
    templated: Templated,
    languages: Languages,
    site: Arc<Site>,
    client: reqwest::Client,
    scrub: Scrub,
    said: Option<String>,
    several: Several,
}

impl Gateway {
    pub(super) fn new(channel: &Channel, templated: &Templated, means: &Means) -> Result<Self, NotifyError> {
        Ok(Self {
            templated: templated.clone(),
            languages: channel.languages,
            site: Arc::clone(&means.site),
            client: web::client(&channel.id, &templated.web)?,
            scrub: Scrub::of(templated.secret.iter().chain(&templated.recipients)),
            said: None,
            several: Several::of(&channel.id),
        })
    }

    fn request(&self, message: &Message, recipient: &str) -> reqwest::RequestBuilder {
        let filled = |template: &Template, escape: &dyn Fn(&str) -> String| {
            template.filled(|piece| escape(&self.value(piece, message, recipient)))
        };
        let url = filled(&self.templated.url, &|text| self.percent(text));
        let mut request = match self.templated.method {
            Method::Get => self.client.get(url),
            Method::Post => self.client.post(url),
            Method::Put => self.client.put(url),
        };
        for (name, value) in &self.templated.headers {
            request = request.header(name, filled(value, &str::to_owned));
        }
        let Some(body) = &self.templated.body else { return request };
        let charset = match self.templated.charset {
            Charset::Utf8 => "utf-8",
            Charset::Gb18030 => "gb18030",
        };
        let (kind, body) = match self.templated.content {
            Content::Json => ("application/json", filled(body, &escape::json)),
            Content::Form => ("application/x-www-form-urlencoded", filled(body, &|text| self.percent(text))),
            Content::Text => ("text/plain", filled(body, &str::to_owned)),
        };
        let body = self.bytes(&body).into_owned();
        request.header(CONTENT_TYPE, format!("{kind}; charset={charset}")).body(body)
    }

    fn bytes<'a>(&self, text: &'a str) -> Cow<'a, [u8]> {
        match self.templated.charset {
            Charset::Utf8 => Cow::Borrowed(text.as_bytes()),
            Charset::Gb18030 => GB18030.encode(text).0,
        }
    }

    fn percent(&self, text: &str) -> String {
        escape::percent(&self.bytes(text))
    }

    fn value(&self, piece: &Piece, message: &Message, recipient: &str) -> String {
        match piece {
            Piece::Recipient => recipient.to_owned(),
            Piece::Secret => self.templated.secret.as_ref().map_or("", |secret| secret.expose()).to_owned(),
            piece => gap(piece, message, &self.site, (self.languages, self.templated.max_chars)),
        }
    }
}

impl Notifier for Gateway {
    fn rate(&self) -> Rate {
        per_minute(10)
    }

    fn tell<'a>(&'a mut self, message: &'a Message) -> Told<'a> {
        Box::pin(async move {
            let recipients = self.templated.recipients.len().max(1);
            let left = self.several.left(message.number, recipients);
            let mut under_way = FuturesUnordered::new();
            for nth in left {
                let recipient = self.templated.recipients.get(nth).map_or("", |recipient| recipient.expose());
                let request = self.request(message, recipient);
                under_way.push(async move { (nth, web::send(request).await) });
            }
            let mut verdicts = Vec::with_capacity(recipients);
            while let Some((nth, answer)) = under_way.next().await {
                let verdict = match answer {
                    Ok(reply) => {
                        self.said = Some(self.scrub.said(&reply.body));
                        judge_written(&reply, &self.scrub, &self.templated.success)
                    }
                    Err(why) => Verdict::Failed { why: self.scrub.line(&why) },
                };
                // Noted at once: what is still under way may never end.
                self.several.note(nth, &verdict);
                verdicts.push((nth, verdict));
            }
            self.several.summed(verdicts, recipients)
        })
    }

    fn said(&self) -> Option<&str> {
        self.said.as_deref()
    }
}

//! A JSON document of the whole message is posted, signed where there is a key.

use super::reply::{Scrub, judge_written};
use super::robot::per_minute;
use super::wording::document;
use super::{Means, Message, Notifier, NotifierKind, NotifyError, Rate, Told, Verdict, web};
use crate::config::{Channel, Site, Webhook};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::CONTENT_TYPE;
use sha2::Sha256;
use std::fmt::Write;
use std::sync::Arc;

/// Webhooks.
pub const KIND: NotifierKind = NotifierKind {
    name: "webhook",
    doc: "任意接口：POST 一份 JSON，可带 HMAC-SHA256 签名。A JSON document is posted, signed where there is a key.",
    example: r#"url = "https://notify.example.cn/schoolgate"
secret_file = "secrets/webhook"
ok_pointer = "/code"
ok_values = ["0"]
"#,
};

/// A webhook.
#[derive(Debug)]
pub(super) struct Hook {
    webhook: Webhook,
    site: Arc<Site>,
    client: reqwest::Client,
    scrub: Scrub,
    said: Option<String>,
}

impl Hook {
    pub(super) fn new(channel: &Channel, webhook: &Webhook, means: &Means) -> Result<Self, NotifyError> {
        let key = webhook.signature.as_ref().map(|(_, key)| key);
        let secrets = [&webhook.url].into_iter().chain(&webhook.token).chain(key);
        Ok(Self {
            webhook: webhook.clone(),
            site: Arc::clone(&means.site),
            client: web::client(&channel.id, &webhook.web)?,
            scrub: Scrub::of(secrets),
            said: None,
        })
    }

    fn request(&self, message: &Message) -> reqwest::RequestBuilder {
        let body = document(message, &self.site).to_string();
        let mut request = self
            .client
            .post(self.webhook.url.expose())
            .header(CONTENT_TYPE, "application/json; charset=utf-8");
        if let Some(token) = &self.webhook.token {
            request = request.bearer_auth(token.expose());
        }
        if let Some((header, key)) = &self.webhook.signature {
            request = request.header(header, signature(key.expose(), body.as_bytes()));
        }
        request.body(body)
    }
}

/// `sha256=` and the HMAC-SHA256 of the body in hexadecimal digits.
fn signature(key: &str, body: &[u8]) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any key length");
    mac.update(body);
    let mut text = String::from("sha256=");
    for byte in mac.finalize().into_bytes() {
        // Writing to a text never fails.
        write!(text, "{byte:02x}").ok();
    }
    text
}

impl Notifier for Hook {
    fn rate(&self) -> Rate {
        per_minute(60)
    }

    fn tell<'a>(&'a mut self, message: &'a Message) -> Told<'a> {
        Box::pin(async move {
            match web::send(self.request(message)).await {
                Ok(reply) => {
                    self.said = Some(self.scrub.said(&reply.body));
                    judge_written(&reply, &self.scrub, &self.webhook.success)
                }
                Err(why) => {
                    self.said = None;
                    Verdict::Failed { why: self.scrub.line(&why) }
                }
            }
        })
    }

    fn said(&self) -> Option<&str> {
        self.said.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::signature;

    /// RFC 4231, test case 2.
    #[test]
    fn the_signature_is_an_hmac_sha256() {
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature("Jefe", b"what do ya want for nothing?"), expected);
    }
}

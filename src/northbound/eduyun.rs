//! Platforms that give an access token for a proof of the application key, and take it as a query parameter.
//!
//! The family of several city platforms. The token exchange is public; an interface that takes device records is not,
//! so the path and the body are agreed with the operator.

use super::envelope::{Meaning, PartialFailure, line};
use super::shield::base_path;
use super::{
    AdapterError, AdapterKind, Batch, EncodeContext, Envelope, Interface, PlatformAdapter, Reply, Request,
    TokenVerdict, Verdict, Why,
};
use crate::config::{Destination, DestinationKind};
use crate::model::{Secret, Wall};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;
use std::fmt::Write as _;
use std::time::Duration;

/// The adapter.
#[derive(Debug)]
pub struct Eduyun {
    app_id: String,
    secret: Secret,
    interface: Interface,
}

impl Eduyun {
    /// Its entry in the table.
    pub const KIND: AdapterKind = AdapterKind {
        kind: DestinationKind::Eduyun,
        name: "eduyun",
        doc: "A platform that gives an access token for an HMAC-SHA1 proof of the application key (the eduyun family of several cities).",
        example: r#"[[destination]]
id = "city"
kind = "eduyun"
base_url = "https://api.example.cn"
app_id = "AP000001"
secret_file = "/etc/schoolgate/city.secret"
"#,
        interface: || Interface {
            record_path: "/schoolgate/records".into(),
            token_path: "/apigateway/getAccessToken".into(),
            group_id: None,
            stage: String::new(),
            envelope: Envelope {
                code: "/retCode".into(),
                message: "/retDesc".into(),
                ok: vec![DestinationKind::Eduyun.success_code().into()],
                token_expired: vec![],
                auth_refused: vec![],
                rejected: vec![],
                busy: vec![],
                partial: PartialFailure {
                    list: "/failed".into(),
                    uid: "/uid".into(),
                    code: "/code".into(),
                    message: "/message".into(),
                },
            },
        },
        make: |destination, interface| Ok(Box::new(Self::new(destination, interface)?)),
    };

    /// An adapter for a destination.
    ///
    /// # Errors
    /// When its base URL cannot be read.
    pub fn new(destination: &Destination, interface: Interface) -> Result<Self, AdapterError> {
        base_path(&destination.base_url)?;
        Ok(Self { app_id: destination.app_id.clone(), secret: destination.secret.clone(), interface })
    }
}

/// The proof that we hold the key: upper-case hexadecimal HMAC-SHA1, keyed with the application key, of application
/// id, application key and time in milliseconds.
#[must_use]
pub fn key_info(app_id: &str, key: &Secret, wall: Wall) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha1>::new_from_slice(key.expose().as_bytes()).expect("any key length");
    mac.update(app_id.as_bytes());
    mac.update(key.expose().as_bytes());
    mac.update(wall.0.to_string().as_bytes());
    let mut out = String::with_capacity(40);
    for byte in mac.finalize().into_bytes() {
        // Writing to a String cannot fail.
        write!(out, "{byte:02X}").ok();
    }
    out
}

impl PlatformAdapter for Eduyun {
    fn encode(&self, cx: &EncodeContext<'_>, batch: &Batch) -> Request {
        Request {
            path: self.interface.record_path.clone(),
            query: cx.token.map(|token| ("accessToken", token.clone())).into_iter().collect(),
            headers: vec![("Idempotency-Key", batch.id.clone())],
            body: batch.body.clone(),
        }
    }

    fn judge(&self, reply: &Reply, batch: &Batch) -> Verdict {
        self.interface.envelope.judge(reply, batch)
    }

    fn token_request(&self, cx: &EncodeContext<'_>) -> Option<Request> {
        let body = json!({
            "appId": self.app_id,
            "timeStamp": cx.wall.0.to_string(),
            "keyInfo": key_info(&self.app_id, &self.secret, cx.wall),
        });
        let body = body.to_string().into_bytes();
        Some(Request { path: self.interface.token_path.clone(), query: vec![], headers: vec![], body })
    }

    fn judge_token(&self, reply: &Reply) -> TokenVerdict {
        let body: Option<Value> = serde_json::from_slice(&reply.body).ok();
        let read = body.as_ref().and_then(|b| self.interface.envelope.read(b));
        let said = read.as_ref().map_or_else(String::new, |(_, said)| format!(", {said}"));
        let why = |word| Why { word, said: line(&format!("token request: HTTP {}{said}", reply.status)) };
        match (reply.status, read.as_ref().map(|(meaning, _)| *meaning)) {
            (200..=299, Some(Meaning::Ok)) => {
                let info = body.as_ref().and_then(|b| b.pointer("/tokenInfo"));
                let token =
                    info.and_then(|i| i.get("accessToken")).and_then(Value::as_str).unwrap_or_default();
                if token.is_empty() {
                    return TokenVerdict::Retry(why("envelope"));
                }
                let valid = info.and_then(|i| i.get("validTime")).and_then(seconds).map(Duration::from_secs);
                TokenVerdict::Granted { token: Secret::from_file_text(token), valid }
            }
            (408 | 425 | 429 | 500..=599, _) | (_, Some(Meaning::Busy)) => {
                TokenVerdict::Retry(why("token_busy"))
            }
            (200..=299, None) => TokenVerdict::Retry(why("envelope")),
            // A token request holds nothing but who we are: any other "no" is about that.
            (200..=299, Some(_)) | (400 | 401 | 403, _) => TokenVerdict::AuthRefused(why("auth_refused")),
            _ => TokenVerdict::Retry(why("unexpected_status")),
        }
    }
}

/// A span in seconds, written as a number or as text.
fn seconds(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eduyun() -> Eduyun {
        Eduyun {
            app_id: "AP000001".into(),
            secret: Secret::from_file_text("0123456789abcdef0123456789abcdef"),
            interface: (Eduyun::KIND.interface)(),
        }
    }

    #[test]
    fn proves_its_key_as_known_clients_do() {
        let cx = EncodeContext { wall: Wall(1_609_430_400_000), nonce: [0; 16], token: None };
        let request = eduyun().token_request(&cx).expect("a request");
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        assert_eq!(
            body,
            json!({"appId": "AP000001", "timeStamp": "1609430400000",
                "keyInfo": "8F83DABB98DD4FE0DF175A4D8F6523385C218C35"})
        );
        assert_eq!(request.path, "/apigateway/getAccessToken");
        assert!(!format!("{request:?}{:?}", eduyun()).contains("0123456789abcdef"));
    }

    #[test]
    fn a_token_answer_is_a_token_a_refusal_or_a_reason_to_wait() {
        for (status, body, expected) in [
            (200, r#"{"tokenInfo":{"accessToken":"T","validTime":7200},"retCode":"000000"}"#, "T 7200"),
            (200, r#"{"tokenInfo":{"accessToken":"T","validTime":"60"},"retCode":"000000"}"#, "T 60"),
            (200, r#"{"tokenInfo":{"accessToken":"T"},"retCode":"000000"}"#, "T 0"),
            (200, r#"{"tokenInfo":{},"retCode":"000000"}"#, "retry envelope"),
            (200, r#"{"retCode":"000000"}"#, "retry envelope"),
            (200, r#"{"retCode":"100001","retDesc":"bad keyInfo"}"#, "refused auth_refused"),
            (200, "<html>", "retry envelope"),
            (401, "", "refused auth_refused"),
            (404, "", "retry unexpected_status"),
            (429, "", "retry token_busy"),
            (502, "<html>", "retry token_busy"),
        ] {
            let got = match eduyun().judge_token(&Reply::new(status, body)) {
                TokenVerdict::Granted { token, valid } => {
                    format!("{} {}", token.expose(), valid.unwrap_or_default().as_secs())
                }
                TokenVerdict::AuthRefused(why) => format!("refused {}", why.word),
                TokenVerdict::Retry(why) => format!("retry {}", why.word),
            };
            assert_eq!(got, expected, "{status} {body}");
        }
    }
}

//! Platforms behind a gateway that checks a signature in headers: HMAC-SHA256 over a joined string.
//!
//! The family of the Anhui provincial open platform. What is signed and how is known from working clients; an
//! interface that takes device records is not public, so the path and the body are agreed with the operator.

use super::envelope::PartialFailure;
use super::{
    AdapterError, AdapterKind, Batch, EncodeContext, Envelope, Interface, PlatformAdapter, Reply, Request,
    Verdict,
};
use crate::config::{Destination, DestinationKind};
use crate::model::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;

/// The adapter.
#[derive(Debug)]
pub struct Shield {
    app_id: String,
    secret: Secret,
    /// Path of the base URL; it is part of what is signed.
    base_path: String,
    interface: Interface,
}

impl Shield {
    /// Its entry in the table.
    pub const KIND: AdapterKind = AdapterKind {
        kind: DestinationKind::Shield,
        name: "shield",
        doc: "A gateway that checks an HMAC-SHA256 signature in S-Auth headers (the family of the Anhui provincial open platform).",
        example: r#"[[destination]]
id = "province"
kind = "shield"
base_url = "https://openapi.example.cn"
app_id = "AP000001"
secret_file = "/etc/schoolgate/province.secret"
"#,
        interface: || Interface {
            record_path: "/schoolgate/records".into(),
            token_path: String::new(),
            group_id: None,
            stage: "RELEASE".into(),
            envelope: Envelope {
                code: "/code".into(),
                message: "/message".into(),
                ok: vec![DestinationKind::Shield.success_code().into()],
                token_expired: vec![],
                auth_refused: vec![],
                rejected: vec!["-1".into(), "-3".into()],
                busy: vec![],
                partial: PartialFailure {
                    list: "/data/failed".into(),
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
        let base_path = base_path(&destination.base_url)?;
        let (app_id, secret) = (destination.app_id.clone(), destination.secret.clone());
        Ok(Self { app_id, secret, base_path, interface })
    }
}

/// The path of a base URL, without a slash at its end.
pub(super) fn base_path(url: &str) -> Result<String, AdapterError> {
    let wrong = || AdapterError::BaseUrl { url: url.to_owned() };
    let parsed = url::Url::parse(url).map_err(|_| wrong())?;
    let usable = matches!(parsed.scheme(), "http" | "https") && parsed.has_host();
    if !usable || parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(wrong());
    }
    Ok(parsed.path().trim_end_matches('/').to_owned())
}

/// What is signed: path, nonce, time, application and, if there is a body, its digest, joined by `|`.
#[must_use]
pub fn string_to_sign(
    path: &str,
    nonce: &str,
    wall_ms: i64,
    app_id: &str,
    content_md5: Option<&str>,
) -> String {
    let time = wall_ms.to_string();
    let parts = [Some(path), Some(nonce), Some(&time), Some(app_id), content_md5];
    parts.into_iter().flatten().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("|")
}

/// Base64 of the HMAC-SHA256 (RFC 2104) of a text.
#[must_use]
pub fn signature(secret: &Secret, text: &str) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("any key length");
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Base64 of the MD5 of a body: the platform's check against damage, not a protection.
#[must_use]
pub fn content_md5(body: &[u8]) -> String {
    STANDARD.encode(Md5::digest(body))
}

/// Random bytes written as a version 4 UUID (RFC 9562 5.4).
fn uuid(random: [u8; 16]) -> String {
    let bits = u128::from_be_bytes(random);
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let mut out = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(digit);
    }
    out
}

impl PlatformAdapter for Shield {
    fn encode(&self, cx: &EncodeContext<'_>, batch: &Batch) -> Request {
        let nonce = uuid(cx.nonce);
        let md5 = content_md5(&batch.body);
        let path = format!("{}{}", self.base_path, self.interface.record_path);
        let text = string_to_sign(&path, &nonce, cx.wall.0, &self.app_id, Some(&md5));
        let mut headers = vec![
            ("S-Auth-AppId", self.app_id.clone()),
            ("S-Auth-Stage", self.interface.stage.clone()),
            ("S-Auth-Timestamp", cx.wall.0.to_string()),
            ("S-Auth-Nonce", nonce),
            ("S-Auth-Version", "1".to_owned()),
            ("S-Content-MD5", md5),
            ("S-Auth-Signature", signature(&self.secret, &text)),
            ("Idempotency-Key", batch.id.clone()),
        ];
        if let Some(group) = &self.interface.group_id {
            headers.push(("S-Auth-GroupId", group.clone()));
        }
        Request { path: self.interface.record_path.clone(), query: vec![], headers, body: batch.body.clone() }
    }

    fn judge(&self, reply: &Reply, batch: &Batch) -> Verdict {
        self.interface.envelope.judge(reply, batch)
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::tests::{alarm, sender};
    use super::*;
    use crate::config::Agreed;
    use crate::model::{DestinationId, Wall};
    use std::time::Duration;

    const TS: i64 = 1_609_430_400_000;
    const NONCE: &str = "00000000-0000-4000-8000-000000000000";

    #[test]
    fn signs_as_known_clients_do() {
        let secret = Secret::from_file_text("test-secret");
        let md5 = content_md5(b"schoolId=1");
        assert_eq!(md5, "B5ne8dKCUuEAZ2cU4bxAwg==");
        for (path, md5, expected) in [
            ("/getSchool", None, "b16v7TOpdckIHYspR33hFPUfmUQPwpyfqEm47glUklI="),
            ("/getSchool?schoolId=1", None, "tBXuXUwRXY8qefm5PdIew/M5VpApbqsz67y4AvX8VH0="),
            ("/getSchool", Some(md5.as_str()), "Y5l0ssbWdGGq5CAJuJQuaa1qbpLuZlvArmD8NmWTT+0="),
        ] {
            let text = string_to_sign(path, NONCE, TS, "test-app", md5);
            assert_eq!(signature(&secret, &text), expected, "{text}");
        }
        assert_eq!(string_to_sign("/p", NONCE, TS, "a", None), format!("/p|{NONCE}|{TS}|a"));
    }

    #[test]
    fn a_nonce_is_a_version_4_uuid() {
        assert_eq!(uuid([0; 16]), NONCE);
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    fn destination(base_url: &str) -> Destination {
        Destination {
            id: DestinationId::new("province").expect("id"),
            kind: DestinationKind::Shield,
            base_url: base_url.into(),
            app_id: "test-app".into(),
            secret: Secret::from_file_text("test-secret\n"),
            max_records: 100,
            max_bytes: 65_536,
            timeout: Duration::from_secs(10),
            ca_pem: None,
            agreed: Agreed::default(),
        }
    }

    #[test]
    fn signs_the_whole_path_and_shows_no_secret() {
        let shield = Shield::new(&destination("https://h/api"), (Shield::KIND.interface)()).expect("adapter");
        let batch = Batch::new(&sender(), vec![alarm(1, "a")]).expect("batch");
        let cx = EncodeContext { wall: Wall(TS), nonce: [0; 16], token: None };
        let request = shield.encode(&cx, &batch);
        let header = |name| request.headers.iter().find(|h| h.0 == name).map(|h| h.1.clone());
        let md5 = content_md5(&batch.body);
        let text = format!("/api/schoolgate/records|{NONCE}|{TS}|test-app|{md5}");
        assert_eq!(
            header("S-Auth-Signature"),
            Some(signature(&Secret::from_file_text("test-secret"), &text))
        );
        assert_eq!(header("Idempotency-Key"), Some(batch.id.clone()));
        assert_eq!(request.path, "/schoolgate/records");
        assert!(!format!("{shield:?} {request:?}").contains("test-secret"));
    }

    #[test]
    fn a_base_url_is_http_with_a_host_and_nothing_behind_the_path() {
        for bad in ["", "h", "ftp://h", "https://h?x=1", "https://h/#a", "/p"] {
            assert!(Shield::new(&destination(bad), (Shield::KIND.interface)()).is_err(), "{bad}");
        }
    }
}

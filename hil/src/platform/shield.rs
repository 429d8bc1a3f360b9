//! The family with signed headers: HMAC-SHA256 over path, nonce, time, application and body digest, joined by `|`.

use super::{Desk, is_now};
use axum::http::{HeaderMap, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;

/// Base64 of HMAC-SHA256, keyed with the application's secret, over the non-empty parts joined by `|`.
///
/// # Panics
/// Never: HMAC takes keys of any length.
#[must_use]
pub fn signature(secret: &str, parts: &[&str]) -> String {
    let text = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("|");
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Base64 of the MD5 of a body.
#[must_use]
pub fn content_md5(body: &[u8]) -> String {
    STANDARD.encode(Md5::digest(body))
}

/// Whether the request is signed as it must be; otherwise a code and why not.
pub(super) fn admit(
    desk: &Desk,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), (&'static str, &'static str)> {
    let field = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let (app, nonce, time) = (field("s-auth-appid"), field("s-auth-nonce"), field("s-auth-timestamp"));
    if [app, nonce, time, field("s-auth-version"), field("s-auth-signature")].contains(&"") {
        return Err(("-1", "参数丢失: S-Auth headers"));
    }
    if app != desk.settings.app_id {
        return Err(("-3", "参数校验失败: S-Auth-AppId"));
    }
    if !is_now(time) {
        return Err(("-3", "参数校验失败: S-Auth-Timestamp"));
    }
    let digest = field("s-content-md5");
    if digest != content_md5(body) {
        return Err(("-3", "参数校验失败: S-Content-MD5"));
    }
    let parts = [uri.path(), field("s-auth-randomkey"), nonce, time, app, digest];
    if field("s-auth-signature") != signature(&desk.settings.secret, &parts) {
        return Err(("-3", "参数校验失败: S-Auth-Signature"));
    }
    if !desk.ledger().is_new_nonce(nonce) {
        return Err(("-3", "参数校验失败: S-Auth-Nonce used before"));
    }
    Ok(())
}

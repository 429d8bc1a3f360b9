//! The family with access tokens: a proof of the application key gives a token, and a new token ends the old one.

use super::{Desk, Family, is_now};
use crate::chance::{hex, secret_hex};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::Sha1;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a token lives.
const TOKEN_LIFE: Duration = Duration::from_secs(7_200);

/// The one valid token.
#[derive(Debug)]
pub(super) struct Token {
    text: String,
    ends: Instant,
}

/// Upper-case hex of HMAC-SHA1, keyed with the application key, over application id, key and time.
///
/// # Panics
/// Never: HMAC takes keys of any length.
#[must_use]
pub fn key_info(app_id: &str, app_key: &str, millis: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(app_key.as_bytes()).expect("a key of any length");
    mac.update(app_id.as_bytes());
    mac.update(app_key.as_bytes());
    mac.update(millis.as_bytes());
    hex(&mac.finalize().into_bytes()).to_uppercase()
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Proof {
    app_id: String,
    time_stamp: String,
    key_info: String,
}

/// Gives a token for a proof.
pub(super) async fn token(State(desk): State<Arc<Desk>>, Json(proof): Json<Proof>) -> Response {
    if desk.settings.family != Family::Eduyun {
        return StatusCode::NOT_FOUND.into_response();
    }
    let wanted = key_info(&desk.settings.app_id, &desk.settings.secret, &proof.time_stamp);
    if proof.app_id != desk.settings.app_id || proof.key_info != wanted || !is_now(&proof.time_stamp) {
        desk.ledger().refused += 1;
        return desk.answer(StatusCode::OK, "100001", "keyInfo 校验失败", Value::Null);
    }
    let text = secret_hex(16);
    let mut ledger = desk.ledger();
    ledger.tokens += 1;
    ledger.token = Some(Token { text: text.clone(), ends: Instant::now() + TOKEN_LIFE });
    let info = json!({"accessToken": text, "appId": proof.app_id, "validTime": TOKEN_LIFE.as_secs()});
    desk.answer(StatusCode::OK, "000000", "success", json!({ "tokenInfo": info }))
}

/// Whether the request carries the valid token; otherwise a code and why not.
pub(super) fn admit(
    desk: &Desk,
    query: &BTreeMap<String, String>,
) -> Result<(), (&'static str, &'static str)> {
    let given = query.get("accessToken").ok_or(("100002", "accessToken 缺失"))?;
    match &desk.ledger().token {
        Some(token) if token.text == *given && token.ends > Instant::now() => Ok(()),
        _ => Err(("100002", "accessToken 无效")),
    }
}

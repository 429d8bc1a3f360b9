//! HTTP authentication as devices ask for it: Digest (RFC 7616), and Basic over TLS only, because it sends the password
//! readable.

use crate::config::Login;
use crate::model::Mono;
use http_auth::{PasswordClient, PasswordParams};
use reqwest::header::HeaderMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use url::Url;

/// After a refused login nothing is tried for so long: at most two tries each time make four bad logins an hour,
/// where devices lock an account at five or more.
pub const LOGIN_HOLD: Duration = Duration::from_secs(30 * 60);

/// Until when no login is tried.
#[derive(Debug, Default)]
pub(super) struct LoginHold(AtomicU64);

impl LoginHold {
    /// The login was refused.
    pub(super) fn begin(&self, now: Mono) {
        self.0.store(now.plus(LOGIN_HOLD).0, Ordering::Relaxed);
    }

    pub(super) fn holds(&self, now: Mono) -> bool {
        now < Mono(self.0.load(Ordering::Relaxed))
    }
}

/// The device offers nothing but Basic without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the device offers only HTTP Basic without TLS, which would send the password readable: switch it to Digest, or \
     use https"
)]
pub(super) struct OnlyBasic;

/// How a device wants to be answered.
pub(super) struct HttpLogin(PasswordClient);

impl HttpLogin {
    /// Takes a device's challenge; `None` where it cannot be understood.
    pub(super) fn answering(challenge: &str, to: &Url) -> Result<Option<Self>, OnlyBasic> {
        match PasswordClient::try_from(challenge) {
            Ok(PasswordClient::Basic(_)) if to.scheme() != "https" => Err(OnlyBasic),
            Ok(client) => Ok(Some(Self(client))),
            Err(_) => Ok(None),
        }
    }

    /// The value of `Authorization` for one request.
    pub(super) fn authorization(
        &mut self,
        login: &Login,
        method: &str,
        to: &Url,
        body: Option<&[u8]>,
    ) -> Result<String, String> {
        let uri = match to.query() {
            Some(query) => format!("{}?{query}", to.path()),
            None => to.path().to_owned(),
        };
        self.0.respond(&PasswordParams {
            username: &login.username,
            password: login.password.expose(),
            uri: &uri,
            method,
            body,
        })
    }
}

/// Every challenge of an answer.
pub(super) fn challenge(headers: &HeaderMap) -> Option<String> {
    let challenges: Vec<&str> =
        headers.get_all("www-authenticate").iter().filter_map(|v| v.to_str().ok()).collect();
    Some(challenges.join(", ")).filter(|challenges| !challenges.is_empty())
}

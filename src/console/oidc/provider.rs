//! What is asked of the provider: where its doors are, its keys, and the token for a code.

use super::token::Key;
use crate::config;
use crate::model::Wall;
use crate::model::reach::Forbidden;
use crate::runtime::reach::reach;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use url::Url;
use url::form_urlencoded;

/// Longest wait for an answer.
const WITHIN: Duration = Duration::from_secs(10);
/// Longest answer, bytes.
const MAX_ANSWER: usize = 256 * 1024;
/// Most keys that are kept.
const MAX_KEYS: usize = 64;
/// What is known of the provider is asked again after this.
const KEPT_MS: i64 = 3600 * 1000;

/// Why the provider is of no help.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProviderError {
    #[error("the provider cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("the provider answers with status {0}")]
    Status(u16),
    #[error("the provider's answer is too long")]
    TooLong,
    #[error("the provider's answer cannot be understood")]
    NotUnderstood(#[source] serde_json::Error),
    #[error("the provider says that it is '{0}'")]
    OtherIssuer(String),
    #[error("the provider names an address that is not asked: {0}")]
    Forbidden(Forbidden),
}

/// Where the provider's doors are (OpenID Connect Discovery 1.0).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Doors {
    pub(super) issuer: String,
    #[serde(deserialize_with = "place")]
    pub(super) authorization_endpoint: Url,
    #[serde(deserialize_with = "place")]
    token_endpoint: Url,
    #[serde(deserialize_with = "place")]
    jwks_uri: Url,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

fn place<'de, D: Deserializer<'de>>(from: D) -> Result<Url, D::Error> {
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}

#[derive(Debug, Clone)]
struct Known {
    doors: Doors,
    keys: Arc<[Key]>,
    at: Wall,
}

/// The provider.
#[derive(Debug)]
pub(super) struct Provider {
    config: config::Oidc,
    http: reqwest::Client,
    known: Mutex<Option<Known>>,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

impl Provider {
    pub(super) fn new(config: config::Oidc) -> Result<Self, reqwest::Error> {
        let mut http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(WITHIN)
            .timeout(WITHIN)
            .pool_max_idle_per_host(1);
        if let Some(pem) = &config.ca_pem {
            http = http.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem)?);
        }
        Ok(Self { config, http: http.build()?, known: Mutex::new(None) })
    }

    /// Its doors and keys, as kept or, when they are old, asked anew.
    pub(super) async fn known(&self, now: Wall) -> Result<(Doors, Arc<[Key]>), ProviderError> {
        let kept = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match kept.filter(|known| (0..KEPT_MS).contains(&(now.0 - known.at.0))) {
            Some(known) => Ok((known.doors, known.keys)),
            None => self.anew(now).await,
        }
    }

    /// Its doors and keys, asked now: it signs with a key that was not there before.
    pub(super) async fn anew(&self, now: Wall) -> Result<(Doors, Arc<[Key]>), ProviderError> {
        let base = self.config.issuer.as_str().trim_end_matches('/');
        let place = Url::parse(&format!("{base}/.well-known/openid-configuration"));
        let place = place.map_err(|_| ProviderError::Forbidden(Forbidden::BadUrl))?;
        let doors: Doors = self.get(&place).await?;
        if doors.issuer.trim_end_matches('/') != base {
            return Err(ProviderError::OtherIssuer(doors.issuer.chars().take(200).collect()));
        }
        if !self.is_encrypted(&doors.authorization_endpoint) {
            return Err(ProviderError::Forbidden(Forbidden::BadUrl));
        }
        let keys: Keys = self.get(&doors.jwks_uri).await?;
        // One that is of another kind is no reason to take none.
        let keys = keys.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).take(MAX_KEYS);
        let known = Known { doors, keys: keys.collect(), at: now };
        let answer = (known.doors.clone(), Arc::clone(&known.keys));
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(answer)
    }

    /// The ID token for a code (RFC 6749, section 4.1.3, with RFC 7636).
    pub(super) async fn exchange(
        &self,
        doors: &Doors,
        code: &str,
        (verifier, back): (&str, &str),
    ) -> Result<String, ProviderError> {
        self.may_reach(&doors.token_endpoint).await?;
        let (id, secret) = (self.config.client_id.as_str(), self.config.client_secret.expose());
        let methods = doors.token_endpoint_auth_methods_supported.as_deref();
        // Where nothing is said, it is Basic.
        let basic = methods.is_none_or(|methods| methods.iter().any(|one| one == "client_secret_basic"));
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", back),
            ("code_verifier", verifier),
        ];
        let mut request = self.http.post(doors.token_endpoint.clone());
        if basic {
            let quoted = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let login = STANDARD.encode(format!("{}:{}", quoted(id), quoted(secret)));
            request = request.header(AUTHORIZATION, format!("Basic {login}"));
        } else {
            fields.extend([("client_id", id), ("client_secret", secret)]);
        }
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        let tokens: Tokens = self.ask(request).await?;
        Ok(tokens.id_token)
    }

    async fn get<T: DeserializeOwned>(&self, place: &Url) -> Result<T, ProviderError> {
        self.may_reach(place).await?;
        self.ask(self.http.get(place.clone())).await
    }

    /// Whether the gateway may ask there: the provider's own host, which the configuration names, or anybody else's who is
    /// not on this machine.
    async fn may_reach(&self, place: &Url) -> Result<(), ProviderError> {
        if !self.is_encrypted(place) {
            return Err(ProviderError::Forbidden(Forbidden::BadUrl));
        }
        match reach(place, Some(&self.config.issuer), &["https", "http"], 443).await {
            // Asking will tell, in the words of the network.
            Ok(_) | Err(Forbidden::NoAddress) => Ok(()),
            Err(why) => Err(ProviderError::Forbidden(why)),
        }
    }

    /// As its issuer is: without TLS only on this machine.
    fn is_encrypted(&self, place: &Url) -> bool {
        place.scheme() == "https" || place.scheme() == self.config.issuer.scheme()
    }

    async fn ask<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, ProviderError> {
        let unreachable = |error: reqwest::Error| ProviderError::Unreachable(error.without_url());
        let mut answer = request.header(ACCEPT, "application/json").send().await.map_err(unreachable)?;
        if !answer.status().is_success() {
            return Err(ProviderError::Status(answer.status().as_u16()));
        }
        let mut whole = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(unreachable)? {
            if whole.len() + piece.len() > MAX_ANSWER {
                return Err(ProviderError::TooLong);
            }
            whole.extend_from_slice(&piece);
        }
        serde_json::from_slice(&whole).map_err(ProviderError::NotUnderstood)
    }
}

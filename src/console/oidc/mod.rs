//! Signing in elsewhere: OpenID Connect with an authorization code, PKCE, and a state that only this browser has.

mod provider;
mod token;

use super::route::Route;
use super::{Console, Problem};
use crate::access::{Right, Role};
use crate::config::{self, SealKey};
use crate::model::{Actor, Wall};
use crate::runtime::Chain;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use provider::{Provider, ProviderError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;
use token::{BadToken, Expected};

/// The cookie that holds a sign-in under way. It comes back from the provider's page, so it is not `SameSite=Strict`.
const COOKIE: &str = "__Host-sg-oidc";
/// A sign-in may take this long.
const LASTS_SECS: i64 = 600;
/// Where the provider sends people back to.
const BACK: &str = "/api/v1/session/oidc/callback";
/// Who has several roles gets the first of these.
const ORDER: [Role; 6] =
    [Role::Admin, Role::Privacy, Role::Technician, Role::Guard, Role::Auditor, Role::Viewer];
/// Longest name of an account that is taken from the provider, in characters.
const MAX_NAME_CHARS: usize = 80;

/// A provider that vouches for people.
pub struct Oidc {
    config: config::Oidc,
    provider: Provider,
    /// Seals sign-ins under way; made anew at each start.
    key: SealKey,
}

impl fmt::Debug for Oidc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oidc").field("issuer", &self.config.issuer.as_str()).finish_non_exhaustive()
    }
}

/// Why nobody can be signed in elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The configured certificates cannot be used.
    #[error("the client for the provider of sign-ins cannot be made")]
    Client(#[source] reqwest::Error),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// A sign-in under way, sealed in the cookie.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Way {
    state: String,
    nonce: String,
    verifier: String,
    back: String,
    until_secs: i64,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Back {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/session/oidc",
            Right::Open,
            ("去统一身份认证平台登录", "sign in at the provider"),
            begin,
        ),
        Route::get(BACK, Right::Open, ("从统一身份认证平台回来", "back from the provider"), back)
            .asks::<Back>(),
    ]
}

impl Oidc {
    /// Asks nothing yet: a provider that is down is no reason not to start.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn new(config: config::Oidc) -> Result<Arc<Self>, OidcError> {
        let provider = Provider::new(config.clone()).map_err(OidcError::Client)?;
        let mut bytes = [0; SealKey::BYTES];
        getrandom::fill(&mut bytes).map_err(|_| OidcError::Random)?;
        let key = SealKey::new(&bytes).ok_or(OidcError::Random)?;
        Ok(Arc::new(Self { config, provider, key }))
    }

    /// What the button says.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    async fn begin(&self, host: &str, now: Wall) -> Result<Response, Problem> {
        let (doors, _) = self.provider.known(now).await.map_err(|error| down(&error))?;
        let random = || random().ok_or_else(|| internal("no random bytes"));
        let way = Way {
            state: random()?,
            nonce: random()?,
            verifier: random()?,
            back: format!("https://{host}{BACK}"),
            until_secs: now.0 / 1000 + LASTS_SECS,
        };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&way.verifier));
        let mut place = doors.authorization_endpoint;
        place
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", &way.back)
            .append_pair("scope", "openid profile")
            .append_pair("state", &way.state)
            .append_pair("nonce", &way.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        let text = serde_json::to_string(&way).map_err(|_| internal("a sign-in that cannot be written"))?;
        let mut nonce = [0; SealKey::NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| internal("no random bytes"))?;
        let sealed =
            self.key.seal(nonce, &text).ok_or_else(|| internal("a sign-in that cannot be sealed"))?;
        let cookie = format!(
            "{COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={LASTS_SECS}",
            sealed.trim_end()
        );
        let (Ok(cookie), Ok(place)) = (HeaderValue::from_str(&cookie), HeaderValue::from_str(place.as_str()))
        else {
            return Err(internal("a header that cannot be"));
        };
        Ok((StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, place)]).into_response())
    }

    /// Who came back, and as what.
    async fn back(&self, headers: &HeaderMap, given: &Back, now: Wall) -> Result<(Actor, Role), Problem> {
        let way = self.way(headers, now).ok_or_else(|| {
            refused(
                "这次登录已超时或不是在此浏览器开始的：请重新登录",
                "this sign-in took too long or began in another browser: start again",
            )
        })?;
        if given.state.as_deref() != Some(way.state.as_str()) {
            return Err(refused("登录状态不符：请重新登录", "the answer is of another sign-in: start again"));
        }
        if given.error.is_some() {
            return Err(refused("统一身份认证平台没有同意登录", "the provider did not agree to the sign-in"));
        }
        let code = given
            .code
            .as_deref()
            .ok_or_else(|| refused("统一身份认证平台没有给出授权码", "the provider's answer has no code"))?;
        let (mut doors, mut keys) = self.provider.known(now).await.map_err(|error| down(&error))?;
        if given.iss.as_ref().is_some_and(|issuer| *issuer != doors.issuer) {
            return Err(bad_token(BadToken::Issuer));
        }
        let exchanged = self.provider.exchange(&doors, code, (&way.verifier, &way.back)).await;
        let token = exchanged.map_err(|error| down(&error))?;
        let verify = |doors: &provider::Doors, keys: &[token::Key]| {
            let expected = Expected {
                issuer: &doors.issuer,
                client_id: &self.config.client_id,
                nonce: &way.nonce,
                now_secs: now.0 / 1000,
            };
            token::verify(&token, keys, expected)
        };
        let mut claims = verify(&doors, &keys);
        if matches!(claims, Err(BadToken::UnknownKey | BadToken::Signature)) {
            // It may sign with a new key.
            (doors, keys) = self.provider.anew(now).await.map_err(|error| down(&error))?;
            claims = verify(&doors, &keys);
        }
        let claims = claims.map_err(bad_token)?;
        let role = self.role(&claims).ok_or_else(|| {
            Problem::new(
                StatusCode::FORBIDDEN,
                "您的统一身份没有本系统的角色，请找管理员",
                "you have no role here at the provider; ask the administrator",
            )
        })?;
        let name = name(&claims).ok_or_else(|| bad_token(BadToken::Subject))?;
        Ok((name, role))
    }

    fn way(&self, headers: &HeaderMap, now: Wall) -> Option<Way> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let sealed = cookies
            .flat_map(|line| line.split(';'))
            .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))?;
        let way: Way = serde_json::from_str(&self.key.open(sealed).ok()?).ok()?;
        (now.0 / 1000 < way.until_secs).then_some(way)
    }

    fn role(&self, claims: &Map<String, Value>) -> Option<Role> {
        let values: Vec<&Value> = match claims.get(&self.config.role_claim)? {
            Value::Array(several) => several.iter().collect(),
            one => vec![one],
        };
        let roles: Vec<Role> =
            values.iter().filter_map(|value| self.config.roles.get(value.as_str()?).copied()).collect();
        ORDER.into_iter().find(|role| roles.contains(role))
    }
}

/// The name of the account: what people know somebody by, else the provider's own mark. The prefix keeps it apart from
/// accounts that are made here.
fn name(claims: &Map<String, Value>) -> Option<Actor> {
    let text =
        |name: &str| claims.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let name = text("preferred_username").or_else(|| text("sub"))?;
    let fits = name.chars().count() <= MAX_NAME_CHARS && !name.contains(char::is_control);
    fits.then(|| Actor::named(&format!("oidc:{name}"))).flatten()
}

async fn begin(State(console): State<Console>, headers: HeaderMap) -> Response {
    let asked = async {
        let oidc = oidc(&console)?;
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.ok_or_else(|| internal("a request without a host"))?;
        oidc.begin(host, console.clock.now().wall).await
    };
    asked.await.unwrap_or_else(|problem| shown(&problem, &headers))
}

async fn back(
    State(console): State<Console>,
    headers: HeaderMap,
    given: Result<Query<Back>, QueryRejection>,
) -> Response {
    let signed = async {
        let oidc = oidc(&console)?;
        let given = given.map(|Query(given)| given).unwrap_or_default();
        let (name, role) = oidc.back(&headers, &given, console.clock.now().wall).await?;
        console.accounts.open_session(&name, role, false)
    };
    let over = HeaderValue::from_static("__Host-sg-oidc=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
    match signed.await {
        Ok(opened) => {
            let home = HeaderValue::from_static("/");
            let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, home)]).into_response();
            response.headers_mut().append(header::SET_COOKIE, opened.cookie);
            response.headers_mut().append(header::SET_COOKIE, over);
            response
        }
        Err(problem) => {
            tracing::warn!(why = problem.detail.en, "somebody who came back from the provider is not let in");
            let mut response = shown(&problem, &headers);
            response.headers_mut().append(header::SET_COOKIE, over);
            response
        }
    }
}

fn oidc(console: &Console) -> Result<&Oidc, Problem> {
    let claimed = console.accounts.claimed();
    let oidc = console.front.oidc().filter(|_| claimed);
    oidc.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "本网关没有启用统一身份认证，或还没有第一个管理员",
            "this gateway has no provider of sign-ins, or no administrator yet",
        )
    })
}

/// A problem for the eyes of whoever followed a link, or for a program.
fn shown(problem: &Problem, headers: &HeaderMap) -> Response {
    let html = headers.get(header::ACCEPT).and_then(|kinds| kinds.to_str().ok());
    if !html.is_some_and(|kinds| kinds.contains("text/html")) {
        return problem.clone().into_response();
    }
    let plain = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let page = format!(
        "<!doctype html><html lang=\"zh\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>校门 Schoolgate</title><h1>没有登录 · Not signed in</h1><p>{}</p><p lang=\"en\">{}</p>\
         <p><a href=\"/\">返回 · Back</a></p></html>",
        plain(&problem.detail.zh),
        plain(&problem.detail.en)
    );
    (problem.status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

fn random() -> Option<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

fn refused(zh: &str, en: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, zh, en)
}

fn bad_token(why: BadToken) -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        format!("统一身份认证平台的凭证不能接受：{why}"),
        format!("the provider's token is not taken: {why}"),
    )
}

fn down(error: &ProviderError) -> Problem {
    tracing::warn!(error = %Chain(error), "the provider of sign-ins is of no help");
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "统一身份认证平台没有应答或应答有误：请用本机账号登录，或稍后再试",
        "the provider does not answer, or not as it should: sign in with an account of this gateway, or try later",
    )
}

fn internal(why: &str) -> Problem {
    tracing::error!(why, "nobody can sign in elsewhere");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "登录失败，请查看日志",
        "signing in failed; the log says why",
    )
}

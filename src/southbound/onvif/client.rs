//! One camera's ONVIF services over HTTP: signs with the camera's own time, answers Digest challenges, echoes
//! what the camera wants echoed, and reads no more than it must.

use super::operations as ops;
use super::soap::{self, NotSoap, Operation, Reply, SoapFault, Token};
use crate::config::Login;
use crate::model::Fault;
use crate::notice::xml::{MAX_BODY, Node};
use crate::runtime::Clock;
use crate::runtime::tally::Count;
use crate::southbound::http_login::{HttpLogin, challenge};
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// A clock that moved less than this since it was last read is not why a login failed. Milliseconds.
const SAME_CLOCK_MS: u64 = 2_000;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The HTTP client cannot be made.
    #[error("the HTTP client could not be made")]
    Client(#[source] reqwest::Error),
    /// The machine gives no random bytes.
    #[error("the machine gives no random bytes")]
    Random(#[source] getrandom::Error),
    /// No TCP connection.
    #[error("no connection")]
    Unreachable(#[source] reqwest::Error),
    /// No whole reply in time.
    #[error("no whole reply within {0:?}")]
    Timeout(Duration),
    /// The connection broke.
    #[error("the connection broke off")]
    Gone(#[source] reqwest::Error),
    /// The login is refused.
    #[error("{why}")]
    Unauthorized {
        /// In the camera's words where there are any.
        why: String,
        /// `WWW-Authenticate`, if it came.
        challenge: Option<String>,
    },
    /// A SOAP fault about anything else.
    #[error("the camera refuses: {} ({})", .0.code, .0.text)]
    Refused(SoapFault),
    /// An HTTP status without SOAP.
    #[error("HTTP status {0}: expected 200 with a SOAP reply; is this the address of an ONVIF service?")]
    Status(u16),
    /// The reply is too large.
    #[error("the reply is larger than {MAX_BODY} bytes")]
    TooLarge,
    /// Not SOAP.
    #[error(transparent)]
    NotSoap(#[from] NotSoap),
    /// SOAP that lacks what the operation must return.
    #[error("the reply lacks {0}")]
    Missing(&'static str),
}

impl CallError {
    /// What kind of failure it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Client(_) | Self::Random(_) => Fault::Internal,
            Self::Unreachable(_) => Fault::Unreachable,
            Self::Timeout(_) => Fault::Timeout,
            Self::Gone(_) => Fault::Gone,
            Self::Unauthorized { .. } => Fault::Unauthorized,
            Self::Refused(_) => Fault::Refused,
            Self::Status(_) | Self::TooLarge | Self::NotSoap(_) | Self::Missing(_) => Fault::Protocol,
        }
    }
}

struct HttpReply {
    status: u16,
    challenge: Option<String>,
    text: String,
}

/// One camera's services.
pub struct Client {
    http: reqwest::Client,
    device: Url,
    login: Option<Login>,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    requests: Arc<Count>,
    /// The camera's clock minus ours, in milliseconds.
    offset_ms: i64,
    /// Set once the camera has asked for HTTP authentication; then no UsernameToken is sent.
    http_login: Option<HttpLogin>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("device", &self.device.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client for the camera whose device service is at `device`. `timeout` bounds each call; `requests`
    /// counts them.
    ///
    /// # Errors
    /// [`CallError::Client`].
    pub fn new(
        device: Url,
        login: Option<Login>,
        timeout: Duration,
        clock: Arc<dyn Clock>,
        requests: Arc<Count>,
    ) -> Result<Self, CallError> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeout)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(CallError::Client)?;
        Ok(Self { http, device, login, timeout, clock, requests, offset_ms: 0, http_login: None })
    }

    /// Where the device service is.
    #[must_use]
    pub fn device(&self) -> &Url {
        &self.device
    }

    /// The camera's clock minus ours, in milliseconds, as last measured.
    #[must_use]
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms
    }

    /// Reads the camera's clock, which needs no login, and keeps the offset.
    ///
    /// # Errors
    /// Any [`CallError`]; the offset stays as it was.
    pub async fn measure_clock(&mut self) -> Result<i64, CallError> {
        let device = self.device.clone();
        let before = self.clock.now();
        let reply =
            self.send(ops::GET_SYSTEM_DATE_AND_TIME, &device, &[], ops::ASK_TIME, self.timeout).await?;
        let reply = judge(reply)?;
        let after = self.clock.now();
        let camera = ops::camera_time(&reply).ok_or(CallError::Missing("a UTCDateTime that is a date"))?;
        let way_back = i64::try_from(after.mono.since(before.mono).as_millis() / 2).unwrap_or(0);
        self.offset_ms = camera.since(after.wall.plus_ms(-way_back));
        Ok(self.offset_ms)
    }

    /// Calls an operation; `longer` is what the camera may take on top of the usual timeout.
    ///
    /// A refused login is tried once more when there is a reason to hope: the camera asks for HTTP
    /// authentication, or its clock has moved.
    ///
    /// # Errors
    /// Any [`CallError`].
    pub async fn call(
        &mut self,
        operation: Operation,
        to: &Url,
        references: &[String],
        body: &str,
        longer: Duration,
    ) -> Result<Node, CallError> {
        let limit = self.timeout.saturating_add(longer);
        let first = judge(self.send(operation, to, references, body, limit).await?);
        let Err(CallError::Unauthorized { why, challenge }) = first else {
            return first;
        };
        if self.login.is_none() {
            let why = format!("{why}; the camera wants a login and none is configured for this bus");
            return Err(CallError::Unauthorized { why, challenge });
        }
        let hope = match &challenge {
            Some(challenge) => self.take_challenge(to, challenge)?,
            None => self.clock_moved().await,
        };
        if !hope {
            return Err(CallError::Unauthorized { why, challenge });
        }
        judge(self.send(operation, to, references, body, limit).await?)
    }

    /// Whether the challenge can be answered.
    fn take_challenge(&mut self, to: &Url, challenge: &str) -> Result<bool, CallError> {
        let refused = |why: String| CallError::Unauthorized { why, challenge: None };
        let answering = HttpLogin::answering(challenge, to).map_err(|only| refused(only.to_string()))?;
        let answerable = answering.is_some();
        if answerable {
            self.http_login = answering;
        }
        Ok(answerable)
    }

    async fn clock_moved(&mut self) -> bool {
        let known = self.offset_ms;
        match self.measure_clock().await {
            Ok(offset) => offset.abs_diff(known) > SAME_CLOCK_MS,
            Err(_) => false,
        }
    }

    async fn send(
        &mut self,
        operation: Operation,
        to: &Url,
        references: &[String],
        body: &str,
        limit: Duration,
    ) -> Result<HttpReply, CallError> {
        self.requests.one();
        let message_id = random()?;
        let token = match &self.login {
            Some(login) if operation.signed && self.http_login.is_none() => Some(Token {
                login,
                nonce: random()?,
                created: self.clock.now().wall.plus_ms(self.offset_ms),
            }),
            _ => None,
        };
        let text = soap::request(operation, to.as_str(), message_id, references, token, body);
        let content_type = format!("application/soap+xml; charset=utf-8; action=\"{}\"", operation.action);
        let mut request = self.http.post(to.clone()).timeout(limit).header("content-type", content_type);
        if let (Some(login), Some(http_login), true) = (&self.login, &mut self.http_login, operation.signed) {
            let answer = http_login.authorization(login, "POST", to, Some(text.as_bytes()));
            let answer = answer.map_err(|why| CallError::Unauthorized {
                why: format!("the camera's HTTP authentication cannot be answered: {why}"),
                challenge: None,
            })?;
            request = request.header("authorization", answer);
        }
        let reply = request.body(text).send().await.map_err(|e| sort(e, limit))?;
        read(reply, limit).await
    }

    /// Where a service of this camera really is: the path the camera tells, but on the host that is configured,
    /// because a camera behind address translation, or with a stale setting, tells a host nobody can reach.
    #[must_use]
    pub fn on_camera(&self, told: &str) -> Option<Url> {
        let mut url = match Url::parse(told.trim()) {
            Ok(url) => url,
            Err(_) => self.device.join(told.trim()).ok()?,
        };
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        if url.host() != self.device.host() {
            let (path, query) = (url.path().to_owned(), url.query().map(str::to_owned));
            url = self.device.clone();
            url.set_path(&path);
            url.set_query(query.as_deref());
        }
        Some(url)
    }
}

/// Where a stream may be: as told, unless that can only be the camera itself, and on the configured host.
#[must_use]
pub fn stream_places(device: &Url, told: &str) -> Vec<Url> {
    let Ok(url) = Url::parse(told.trim()) else { return Vec::new() };
    if url.scheme() != "rtsp" {
        return Vec::new();
    }
    let mut on_device = url.clone();
    let moved = device.host_str().is_some_and(|host| on_device.set_host(Some(host)).is_ok());
    if !moved || on_device == url {
        return vec![url];
    }
    if only_itself(&url) { vec![on_device] } else { vec![url, on_device] }
}

fn only_itself(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_unspecified() || ip.is_loopback() || ip.is_link_local(),
        Some(Host::Ipv6(ip)) => ip.is_unspecified() || ip.is_loopback() || ip.is_unicast_link_local(),
        Some(Host::Domain(name)) => match name.parse() {
            Ok(std::net::IpAddr::V4(ip)) => ip.is_unspecified() || ip.is_loopback() || ip.is_link_local(),
            Ok(std::net::IpAddr::V6(ip)) => ip.is_unspecified() || ip.is_loopback(),
            Err(_) => name == "localhost",
        },
        None => true,
    }
}

fn random() -> Result<[u8; 16], CallError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(CallError::Random)?;
    Ok(bytes)
}

fn sort(error: reqwest::Error, limit: Duration) -> CallError {
    let error = error.without_url();
    if error.is_connect() {
        CallError::Unreachable(error)
    } else if error.is_timeout() {
        CallError::Timeout(limit)
    } else {
        CallError::Gone(error)
    }
}

async fn read(mut reply: reqwest::Response, limit: Duration) -> Result<HttpReply, CallError> {
    let status = reply.status().as_u16();
    let challenge = challenge(reply.headers());
    let mut body = Vec::new();
    while let Some(chunk) = reply.chunk().await.map_err(|e| sort(e, limit))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(CallError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    // A name in GB 2312 must not cost the camera: what is not UTF-8 becomes U+FFFD.
    Ok(HttpReply { status, challenge, text: String::from_utf8_lossy(&body).into_owned() })
}

fn judge(reply: HttpReply) -> Result<Node, CallError> {
    let opened = soap::open(&reply.text);
    if let Ok(Reply::Fault(fault)) = opened {
        let about_login = fault.about_login() || reply.status == 401;
        return Err(if about_login {
            let why = format!("the camera refuses the login: {} ({})", fault.code, fault.text);
            CallError::Unauthorized { why, challenge: reply.challenge }
        } else {
            CallError::Refused(fault)
        });
    }
    match (reply.status, opened) {
        (401 | 403, _) => Err(CallError::Unauthorized {
            why: format!("the camera refuses the login: HTTP status {}", reply.status),
            challenge: reply.challenge,
        }),
        (200..=299, Ok(Reply::Body(node))) => Ok(node),
        (200..=299, Err(not_soap)) => Err(CallError::NotSoap(not_soap)),
        (status, _) => Err(CallError::Status(status)),
    }
}

//! Asks a device by HTTP: with Digest where it wants that, and never so often that it locks the account.

use crate::config::Login;
use crate::model::{Fault, Mono};
use crate::notice::Unreadable;
use crate::runtime::tally::Count;
use crate::southbound::Failure;
use crate::southbound::http_login::{HttpLogin, LoginHold, OnlyBasic, challenge};
use reqwest::{Method, Response};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Largest answer to a question that is read whole, bytes.
pub(crate) const MAX_ANSWER: usize = 1_048_576;

/// Why a device did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebError {
    #[error("the HTTP client could not be made")]
    Client(#[source] reqwest::Error),
    #[error("no connection")]
    Unreachable(#[source] reqwest::Error),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the connection broke off")]
    Gone(#[source] reqwest::Error),
    #[error("the login is refused")]
    Unauthorized,
    #[error("the device wants a login and none is configured")]
    NoLogin,
    #[error(
        "the login was refused, and is not tried again for half an hour, so that the device does not lock the account"
    )]
    Held,
    #[error(transparent)]
    OnlyBasic(#[from] OnlyBasic),
    #[error("its challenge cannot be answered: {0}")]
    Challenge(String),
    #[error("HTTP status {0}: expected 200")]
    Status(u16),
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the answer cannot be read")]
    Unreadable(#[source] Unreadable),
}

impl WebError {
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Client(_) => Fault::Internal,
            Self::Unreachable(_) => Fault::Unreachable,
            Self::Timeout(_) => Fault::Timeout,
            Self::Gone(_) => Fault::Gone,
            Self::Unauthorized | Self::NoLogin | Self::Held | Self::OnlyBasic(_) => Fault::Unauthorized,
            Self::Challenge(_) | Self::Status(_) | Self::TooLarge(_) | Self::Unreadable(_) => Fault::Protocol,
        }
    }

    /// The same, with what was being done.
    pub(crate) fn doing(self, doing: impl Into<String>) -> Failure {
        Failure::new(self.fault(), doing).because(self)
    }
}

/// One device.
pub(crate) struct Web {
    http: reqwest::Client,
    base: Url,
    login: Option<Login>,
    answering: Option<HttpLogin>,
    timeout: Duration,
    hold: Arc<LoginHold>,
    requests: Arc<Count>,
}

impl Web {
    /// A client for the device at `base`; `timeout` bounds the beginning of an answer, and a whole one.
    pub(crate) fn new(
        base: Url,
        login: Option<Login>,
        timeout: Duration,
        hold: Arc<LoginHold>,
        requests: Arc<Count>,
    ) -> Result<Self, WebError> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeout)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(WebError::Client)?;
        Ok(Self { http, base, login, answering: None, timeout, hold, requests })
    }

    /// Asks, and once more where the device wants a login; the body of the answer is not read yet.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<String>,
        now: Mono,
    ) -> Result<Response, WebError> {
        if self.hold.holds(now) {
            return Err(WebError::Held);
        }
        // An address with a path is a device behind a proxy.
        let mut to = self.base.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        to.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        to.set_query(query);
        let first = self.send(&method, &to, body.clone()).await?;
        if first.status().as_u16() != 401 {
            return good(first);
        }
        if self.login.is_none() {
            return Err(WebError::NoLogin);
        }
        let again = match challenge(first.headers()) {
            Some(challenge) => HttpLogin::answering(&challenge, &to)?,
            None => None,
        };
        drop(first);
        self.answering = Some(again.ok_or_else(|| WebError::Challenge("it is no Digest".into()))?);
        let second = self.send(&method, &to, body).await?;
        if matches!(second.status().as_u16(), 401 | 403) {
            self.answering = None;
            self.hold.begin(now);
            return Err(WebError::Unauthorized);
        }
        good(second)
    }

    async fn send(&mut self, method: &Method, to: &Url, body: Option<String>) -> Result<Response, WebError> {
        self.requests.one();
        let mut request = self.http.request(method.clone(), to.clone());
        if let (Some(login), Some(answering)) = (&self.login, &mut self.answering) {
            let bytes = body.as_ref().map_or(&[][..], |body| body.as_bytes());
            let value = answering.authorization(login, method.as_str(), to, Some(bytes));
            request = request.header("authorization", value.map_err(WebError::Challenge)?);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        match tokio::time::timeout(self.timeout, request.send()).await {
            Ok(sent) => sent.map_err(|error| self.sorted(error)),
            Err(_) => Err(WebError::Timeout(self.timeout)),
        }
    }

    /// Reads an answer of at most `most` bytes whole.
    pub(crate) async fn whole(&self, mut answer: Response, most: usize) -> Result<Vec<u8>, WebError> {
        let reading = async {
            let mut whole = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(|error| self.sorted(error))? {
                if whole.len() + chunk.len() > most {
                    return Err(WebError::TooLarge(most));
                }
                whole.extend_from_slice(&chunk);
            }
            Ok(whole)
        };
        match tokio::time::timeout(self.timeout, reading).await {
            Ok(whole) => whole,
            Err(_) => Err(WebError::Timeout(self.timeout)),
        }
    }

    pub(crate) fn sorted(&self, error: reqwest::Error) -> WebError {
        let error = error.without_url();
        if error.is_timeout() {
            WebError::Timeout(self.timeout)
        } else if error.is_connect() {
            WebError::Unreachable(error)
        } else {
            WebError::Gone(error)
        }
    }
}

fn good(answer: Response) -> Result<Response, WebError> {
    match answer.status().as_u16() {
        200..=299 => Ok(answer),
        403 => Err(WebError::Unauthorized),
        status => Err(WebError::Status(status)),
    }
}

//! A small client of the running gateway's API.

use super::words::lang;
use crate::model::Lang;
use crate::runtime::tls;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why the gateway did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// It does not answer.
    #[error("the gateway does not answer at {address}: is it running? (systemctl status schoolgate)")]
    Unreachable {
        address: SocketAddr,
        #[source]
        cause: reqwest::Error,
    },
    /// It answered that it will not.
    #[error("{0}")]
    Refused(String),
    /// No client could be made.
    #[error("no HTTP client could be made")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

pub(super) struct Client {
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    address: SocketAddr,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Result<Self, ApiError> {
        Self::patient(address, TIMEOUT)
    }

    /// One that waits longer for its answers.
    pub(super) fn patient(address: SocketAddr, longest: Duration) -> Result<Self, ApiError> {
        tls::install_provider();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| ApiError::Client(e.into()))?;
        let http = reqwest::Client::builder()
            .timeout(longest)
            .no_proxy()
            .build()
            .map_err(|e| ApiError::Client(e.into()))?;
        Ok(Self { runtime, http, address })
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.ask(self.http.get(format!("http://{}{path}", self.address)))
    }

    /// As [`Client::get`], with a query whose values may be any text.
    pub(super) fn ask_for(&self, path: &str, query: &[(&str, &String)]) -> Result<Value, ApiError> {
        self.ask(self.http.get(format!("http://{}{path}", self.address)).query(query))
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.ask(self.http.post(format!("http://{}{path}", self.address)).json(body))
    }

    fn ask(&self, request: reqwest::RequestBuilder) -> Result<Value, ApiError> {
        let unreachable = |cause| ApiError::Unreachable { address: self.address, cause };
        self.runtime.block_on(async {
            let response = request.send().await.map_err(unreachable)?;
            let status = response.status();
            let body: Value = response.json().await.map_err(unreachable)?;
            if status.is_success() {
                return Ok(body);
            }
            let detail = body.get(if lang() == Lang::Zh { "detail_zh" } else { "detail" });
            let detail = detail.and_then(Value::as_str).unwrap_or(status.as_str());
            Err(ApiError::Refused(detail.to_owned()))
        })
    }
}

//! A small client of the running gateway's API, and the arguments of those who use it.

use super::words::{lang, say};
use super::{At, configured};
use crate::model::Lang;
use crate::runtime::tls;
use clap::Args;
use jiff::tz::TimeZone;
use serde_json::Value;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
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

/// Where the gateway is.
#[derive(Debug, Args)]
pub(super) struct Gateway {
    #[command(flatten)]
    at: At,
    /// The gateway's address, instead of the one in the configuration (whose secrets only its owner may read)
    #[arg(long, global = true, value_name = "IP:PORT")]
    gateway: Option<SocketAddr>,
}

impl Gateway {
    /// Its address and the zone in which to print times; a configuration that is wrong is told, and gives an exit code.
    pub(super) fn find(&self, out: &mut impl Write) -> io::Result<Result<(SocketAddr, TimeZone), ExitCode>> {
        match self.gateway {
            Some(address) => Ok(Ok((address, TimeZone::system()))),
            None => Ok(configured(&self.at.config, out)?.map(|config| (config.http, config.site.zone))),
        }
    }
}

/// Who gives an order.
#[derive(Debug, Args)]
pub(super) struct Orderer {
    /// Who you are [default: the login name]
    #[arg(long = "as", value_name = "NAME")]
    actor: Option<String>,
}

impl Orderer {
    pub(super) fn name(&self) -> Result<String, ApiError> {
        let name = self.actor.clone().or_else(|| std::env::var("USER").ok());
        name.filter(|name| !name.trim().is_empty())
            .ok_or_else(|| ApiError::Refused(say("请写明姓名：--as 姓名", "say who you are: --as NAME")))
    }
}

/// The rows of an answer.
pub(super) fn rows(answer: &Value) -> impl Iterator<Item = &Value> {
    answer.get("rows").and_then(Value::as_array).into_iter().flatten()
}

/// The text or number at a JSON pointer, `-` when there is none.
pub(super) fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
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

    /// As [`Client::ask_for`], for an answer that is no JSON.
    pub(super) fn fetch(&self, path: &str, query: &[(&str, &String)]) -> Result<Vec<u8>, ApiError> {
        let request = self.http.get(format!("http://{}{path}", self.address)).query(query);
        let unreachable = |cause| ApiError::Unreachable { address: self.address, cause };
        self.runtime.block_on(async {
            let response = request.send().await.map_err(unreachable)?;
            let status = response.status();
            if status.is_success() {
                return Ok(response.bytes().await.map_err(unreachable)?.to_vec());
            }
            Err(refused(status, &response.json().await.map_err(unreachable)?))
        })
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
            Err(refused(status, &body))
        })
    }
}

fn refused(status: reqwest::StatusCode, body: &Value) -> ApiError {
    let detail = body.get(if lang() == Lang::Zh { "detail_zh" } else { "detail" });
    ApiError::Refused(detail.and_then(Value::as_str).unwrap_or(status.as_str()).to_owned())
}

//! A small client of the running gateway's API, and the arguments of those who use it.

use super::words::{lang, say};
use super::{At, configured};
use crate::config::Config;
use crate::console::LOCAL_TOKEN;
use crate::model::Lang;
use crate::runtime::tls;
use clap::Args;
use jiff::tz::TimeZone;
use serde_json::Value;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Where the packaged gateway keeps its data.
const DEFAULT_DATA_DIR: &str = "/var/lib/schoolgate";

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
    /// Only root and the gateway's own user may ask it from here.
    #[error("{}", may_not_read(path))]
    NotAllowed {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// No client could be made.
    #[error("no HTTP client could be made")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn may_not_read(path: &Path) -> String {
    let path = path.display();
    say(
        format!("无权读取 {path}：请在命令前加 sudo，或以网关的用户运行"),
        format!("{path} may not be read: run this with sudo, or as the gateway's user"),
    )
}

/// Where the gateway listens, and the file by whose text it knows this machine's root.
#[derive(Debug, Clone)]
pub(super) struct Door {
    address: SocketAddr,
    token: PathBuf,
}

impl Door {
    /// That of a configured gateway.
    pub(super) fn of(config: &Config) -> Self {
        Self { address: config.http, token: config.data_dir.join(LOCAL_TOKEN) }
    }
}

/// Where the gateway is.
#[derive(Debug, Args)]
pub(super) struct Gateway {
    #[command(flatten)]
    at: At,
    /// The gateway's address, instead of the one in the configuration (whose secrets only its owner may read)
    #[arg(long, global = true, value_name = "IP:PORT")]
    gateway: Option<SocketAddr>,
    /// The file by which the gateway knows root, with --gateway [default: /var/lib/schoolgate/local.token]
    #[arg(long, global = true, value_name = "PATH", requires = "gateway")]
    token_file: Option<PathBuf>,
}

impl Gateway {
    /// Its door and the zone in which to print times; a configuration that is wrong is told, and gives an exit code.
    pub(super) fn find(&self, out: &mut impl Write) -> io::Result<Result<(Door, TimeZone), ExitCode>> {
        match self.gateway {
            Some(address) => {
                let token = self.token_file.clone();
                let token = token.unwrap_or_else(|| Path::new(DEFAULT_DATA_DIR).join(LOCAL_TOKEN));
                Ok(Ok((Door { address, token }, TimeZone::system())))
            }
            None => Ok(configured(&self.at.config, out)?.map(|config| (Door::of(&config), config.site.zone))),
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
    token: Option<String>,
}

impl Client {
    pub(super) fn new(door: Door) -> Result<Self, ApiError> {
        Self::patient(door, TIMEOUT)
    }

    /// One that waits longer for its answers.
    pub(super) fn patient(Door { address, token: path }: Door, longest: Duration) -> Result<Self, ApiError> {
        let token = match std::fs::read_to_string(&path) {
            Ok(token) => Some(token.trim().to_owned()),
            // It has never run there; that nobody answers says it better.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(cause) => return Err(ApiError::NotAllowed { path, cause }),
        };
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
        Ok(Self { runtime, http, address, token })
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
            let response = self.known(request).send().await.map_err(unreachable)?;
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

    pub(super) fn put(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.ask(self.http.put(format!("http://{}{path}", self.address)).json(body))
    }

    pub(super) fn delete(&self, path: &str, query: &[(&str, &String)]) -> Result<Value, ApiError> {
        self.ask(self.http.delete(format!("http://{}{path}", self.address)).query(query))
    }

    fn known(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    fn ask(&self, request: reqwest::RequestBuilder) -> Result<Value, ApiError> {
        let unreachable = |cause| ApiError::Unreachable { address: self.address, cause };
        self.runtime.block_on(async {
            let response = self.known(request).send().await.map_err(unreachable)?;
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

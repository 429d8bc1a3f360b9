//! Two education platforms that take records: one of the family with signed headers, one of the family with tokens.
//!
//! They check everything a real one would check, keep each record once by its `uid`, watch that records of one device
//! come in order, and can be told to fail in the ways real ones do.

mod eduyun;
mod ledger;
mod shield;

use crate::tasks::{Tasks, listen};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use ledger::Ledger;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use eduyun::key_info;
pub use ledger::Stats;
pub use shield::{content_md5, signature};

/// Path that takes records, below the base URL.
pub const RECORDS_PATH: &str = "/schoolgate/records";
/// Path that gives tokens (token family only).
pub const TOKEN_PATH: &str = "/apigateway/getAccessToken";
/// Largest body taken.
const MAX_BODY: usize = 1024 * 1024;
/// Largest difference between the request's time and ours, in milliseconds.
const CLOCK_WINDOW_MS: u64 = 600_000;

/// How a platform signs in its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Signature in `S-Auth-*` headers; `{"code":"1"}` is success.
    Shield,
    /// Access token in the query; `{"retCode":"000000"}` is success.
    Eduyun,
}

/// One way to treat a request for records that is otherwise in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Take it.
    Take,
    /// 500, nothing taken.
    Broken,
    /// 429 with `Retry-After: 1`, nothing taken.
    TooMany,
    /// Taken, but the connection is cut before the answer is whole.
    CutAfterTaking,
    /// 200 with the family's code for "busy", nothing taken.
    Busy,
}

/// What a platform is set to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Family.
    pub family: Family,
    /// Application id.
    pub app_id: String,
    /// Application secret or key.
    pub secret: String,
    /// Moods in turn, over and over; empty: always [`Mood::Take`].
    pub moods: Vec<Mood>,
}

/// A running platform.
#[derive(Debug)]
pub struct Platform {
    address: SocketAddr,
    state: Arc<Desk>,
    _tasks: Tasks,
}

#[derive(Debug)]
struct Desk {
    settings: Settings,
    ledger: Mutex<Ledger>,
}

impl Desk {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, status: StatusCode, code: &str, why: &str, more: Value) -> Response {
        let mut body = match self.settings.family {
            Family::Shield => json!({"code": code, "message": why, "data": more, "success": code == "1"}),
            Family::Eduyun => json!({"retCode": code, "retDesc": why}),
        };
        if let (Family::Eduyun, Value::Object(more), Some(body)) =
            (self.settings.family, more, body.as_object_mut())
        {
            body.extend(more);
        }
        (status, axum::Json(body)).into_response()
    }

    fn codes(&self) -> Codes {
        match self.settings.family {
            Family::Shield => Codes { ok: "1", malformed: "-1", busy: "503" },
            Family::Eduyun => Codes { ok: "000000", malformed: "400001", busy: "503" },
        }
    }
}

struct Codes {
    ok: &'static str,
    malformed: &'static str,
    busy: &'static str,
}

impl Platform {
    /// Starts it on 127.0.0.1:`port` (0: the system chooses).
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(port: u16, settings: Settings) -> io::Result<Self> {
        let (listener, address) = listen(port).await?;
        let state = Arc::new(Desk { settings, ledger: Mutex::new(Ledger::default()) });
        let routes = Router::new()
            .route(RECORDS_PATH, post(records))
            .route(TOKEN_PATH, post(eduyun::token))
            .route("/stats", get(stats))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(Arc::clone(&state));
        let mut tasks = Tasks::new();
        tasks.spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                eprintln!("simulated platform: {error}");
            }
        });
        Ok(Self { address, state, _tasks: tasks })
    }

    /// Its base URL.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has taken and refused so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.state.ledger().stats()
    }

    /// Every record taken, once, in the order of arrival.
    #[must_use]
    pub fn records(&self) -> Vec<Value> {
        self.state.ledger().records()
    }
}

async fn stats(State(desk): State<Arc<Desk>>) -> axum::Json<Stats> {
    axum::Json(desk.ledger().stats())
}

async fn records(
    State(desk): State<Arc<Desk>>,
    uri: Uri,
    headers: HeaderMap,
    Query(query): Query<BTreeMap<String, String>>,
    body: Bytes,
) -> Response {
    let admitted = match desk.settings.family {
        Family::Shield => shield::admit(&desk, &uri, &headers, &body),
        Family::Eduyun => eduyun::admit(&desk, &query),
    };
    if let Err((code, why)) = admitted {
        desk.ledger().refused += 1;
        return desk.answer(StatusCode::OK, code, why, Value::Null);
    }
    let codes = desk.codes();
    let mut ledger = desk.ledger();
    let mood = ledger.next_mood(&desk.settings.moods);
    if !matches!(mood, Mood::Take) {
        ledger.failed += 1;
    }
    match mood {
        Mood::Broken => return (StatusCode::INTERNAL_SERVER_ERROR, "internal error").into_response(),
        Mood::TooMany => {
            return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")]).into_response();
        }
        Mood::Busy => return desk.answer(StatusCode::OK, codes.busy, "系统繁忙", Value::Null),
        Mood::Take | Mood::CutAfterTaking => {}
    }
    let Some(list) = parse(&body) else {
        ledger.refused += 1;
        return desk.answer(StatusCode::OK, codes.malformed, "参数校验失败: records", Value::Null);
    };
    let failed = ledger.take(list, mood == Mood::Take);
    if mood == Mood::CutAfterTaking {
        return cut();
    }
    desk.answer(StatusCode::OK, codes.ok, "success", json!({ "failed": failed }))
}

/// The records of a body, each an object; `None` when it is not such a body.
fn parse(body: &[u8]) -> Option<Vec<Value>> {
    let mut body: Value = serde_json::from_slice(body).ok()?;
    match body.get_mut("records")?.take() {
        Value::Array(list) if list.iter().all(Value::is_object) => Some(list),
        _ => None,
    }
}

/// An answer that promises more bytes than come before the connection is closed.
fn cut() -> Response {
    let pieces = futures_util::stream::iter([
        Ok(Bytes::from_static(b"{\"ret")),
        Err(io::Error::new(io::ErrorKind::ConnectionReset, "cut on purpose")),
    ]);
    ([(header::CONTENT_LENGTH, "4096")], Body::from_stream(pieces)).into_response()
}

/// Whether a time in milliseconds, as text, is near enough to ours.
fn is_now(millis: &str) -> bool {
    millis.parse::<i64>().is_ok_and(|at| at.abs_diff(crate::moment::unix_millis()) <= CLOCK_WINDOW_MS)
}

#[cfg(test)]
mod tests;

//! One connection of a terminal: TLS, the head and the body of each request with their limits, and the answer.

use super::guard::{Guard, Verdict};
use super::{Answer, Ask, What};
use crate::notice::{self, Unreadable, isapi, zkteco};
use crate::runtime::{Clock, Tally};
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rumqttc::tokio_rustls::TlsAcceptor;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// Longest wait for a TLS handshake, and for the head of a request, also of the next one on a connection.
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// Longest wait for a body.
const BODY_WAIT: Duration = Duration::from_secs(30);
/// Largest head.
const MAX_HEAD: usize = 16 * 1024;
/// Every connection may hold a body of this size, bytes: an event is a few hundred, and pictures come behind it.
const SMALL: usize = 64 * 1024;
/// What is above it is taken from a stock that all connections share, in pieces of 64 KiB.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 512;
/// Longest path told to people, in characters.
const MAX_PATH: usize = 200;

/// What every connection knows.
pub(super) struct Shared {
    max_body: usize,
    guard: Option<Arc<Guard>>,
    asks: mpsc::Sender<Ask>,
    clock: Arc<dyn Clock>,
    tally: Arc<Tally>,
    stock: Arc<Semaphore>,
}

impl Shared {
    pub(super) fn new(
        max_body: usize,
        guard: Option<Arc<Guard>>,
        asks: mpsc::Sender<Ask>,
        clock: Arc<dyn Clock>,
        tally: Arc<Tally>,
    ) -> Self {
        Self { max_body, guard, asks, clock, tally, stock: Arc::new(Semaphore::new(PIECES)) }
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(shared: Arc<Shared>, stream: TcpStream, tls: Option<TlsAcceptor>, peer: IpAddr) {
    let Some(tls) = tls else { return speak(shared, stream, peer).await };
    match timeout(HEAD_WAIT, tls.accept(stream)).await {
        Ok(Ok(stream)) => speak(shared, stream, peer).await,
        Ok(Err(error)) => tracing::debug!(%peer, error = %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
}

async fn speak(shared: Arc<Shared>, stream: impl AsyncRead + AsyncWrite + Unpin, peer: IpAddr) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(shared.answer(request, peer).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_buf_size(MAX_HEAD)
        // Some terminals close their side when they have sent everything.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%peer, error = %error, "a connection ended early");
    }
}

/// Who a path is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Isapi,
    Iclock,
}

fn door(path: &str) -> Option<Door> {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    match first.to_ascii_lowercase().as_str() {
        "isapi" => Some(Door::Isapi),
        "iclock" => Some(Door::Iclock),
        _ => None,
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let origin: String = path.chars().take(MAX_PATH).collect();
        let Some(door) = door(&path) else {
            return plain(404, "not here: ISAPI pushes to /isapi, ZKTeco to /iclock\n", true);
        };
        if door == Door::Isapi {
            if !matches!(*request.method(), Method::POST | Method::PUT) {
                return plain(405, "send events with POST\n", true);
            }
            if let Some(refusal) = self.unwelcome(&request) {
                return refusal;
            }
        }
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let (method, query) =
            (request.method().as_str().to_owned(), request.uri().query().unwrap_or_default().to_owned());
        let (what, len) = match self.body(request.into_body()).await {
            Ok((body, _held)) => {
                if notice::holds_picture(&body) {
                    self.tally.withheld_pictures.one();
                }
                let what = match door {
                    Door::Isapi => What::Isapi(isapi::read(&content_type, &body)),
                    Door::Iclock => iclock(&method, &path, &query, &body),
                };
                (what, body.len())
            }
            Err(Broken::TooLarge(len)) => {
                let reason =
                    format!("the body has more than {} bytes, `max_body_bytes` of the bus", self.max_body);
                (What::Unusable(Unreadable::new("too_large", reason), 413), len)
            }
            Err(Broken::Busy) => return plain(503, "too many large bodies at once; send it again\n", true),
            Err(Broken::Late) => return plain(408, "the body took too long\n", true),
            Err(Broken::Gone) => return plain(400, "the body broke off\n", true),
        };
        let whole = !matches!(what, What::Unusable(_, 413));
        let (answer, told) = oneshot::channel();
        let ask = Ask { peer, origin, len, what, answer };
        if self.asks.send(ask).await.is_err() {
            return plain(503, "the gateway is stopping\n", true);
        }
        let Ok(Answer { receipt, status, text }) = told.await else {
            return plain(503, "the gateway is stopping\n", true);
        };
        if let Some(receipt) = receipt
            && receipt.await.is_err()
        {
            return plain(503, "the gateway is stopping\n", true);
        }
        plain(status, &text, !whole)
    }

    /// The challenge for whoever does not know the login.
    fn unwelcome(&self, request: &Request<Incoming>) -> Option<Response<Body>> {
        let guard = self.guard.as_ref()?;
        let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        let now_ms = self.clock.now().mono.0;
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let Verdict::Challenged { stale } =
            guard.judge(authorization, request.method().as_str(), target, now_ms)
        else {
            return None;
        };
        let mut response = plain(401, "user name and password, please\n", false);
        for challenge in guard.challenges(stale, now_ms) {
            if let Ok(value) = HeaderValue::from_str(&challenge) {
                response.headers_mut().append(WWW_AUTHENTICATE, value);
            }
        }
        Some(response)
    }

    /// Reads a body; what is held of the stock is given back when the second value is dropped.
    async fn body(&self, mut body: Incoming) -> Result<(Vec<u8>, Vec<OwnedSemaphorePermit>), Broken> {
        let told = body.size_hint().lower();
        if told > u64::try_from(self.max_body).unwrap_or(u64::MAX) {
            return Err(Broken::TooLarge(usize::try_from(told).unwrap_or(usize::MAX)));
        }
        let reading = async {
            let (mut whole, mut held) = (Vec::new(), Vec::new());
            while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                let Ok(data) = frame.map_err(|_| Broken::Gone)?.into_data() else { continue };
                if whole.len() + data.len() > self.max_body {
                    return Err(Broken::TooLarge(whole.len() + data.len()));
                }
                while whole.len() + data.len() > SMALL + held.len() * PIECE {
                    held.push(Arc::clone(&self.stock).try_acquire_owned().map_err(|_| Broken::Busy)?);
                }
                whole.extend_from_slice(&data);
            }
            Ok((whole, held))
        };
        timeout(BODY_WAIT, reading).await.unwrap_or(Err(Broken::Late))
    }
}

/// Why there is no body.
enum Broken {
    TooLarge(usize),
    Busy,
    Late,
    Gone,
}

fn iclock(method: &str, path: &str, query: &str, body: &[u8]) -> What {
    match zkteco::request(method, path, query) {
        Ok(request) => {
            let (notices, unreadable) = match &request {
                zkteco::Request::Records { table, .. } => zkteco::records(table, body),
                _ => (Vec::new(), Vec::new()),
            };
            What::Zkteco { request, notices, unreadable }
        }
        Err(wrong) => What::Unusable(wrong, 400),
    }
}

/// A text; where the rest of a body was not read, the connection cannot be used again.
fn plain(status: u16, text: &str, close: bool) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if close {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

//! The door to other machines: TLS always, a few connections, each with a time for everything it does.

mod authority;
mod line;
mod rate;
mod seats;
mod shown;
#[cfg(test)]
mod tests;

pub use authority::AuthorityError;

use super::oidc::{Oidc, OidcError};
use super::route::Route;
use super::{Console, GRACE, Hosts, Problem};
use crate::access::Right;
use crate::config::{self, Unreadable};
use crate::runtime::{Chain, Clock, Tasks};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use line::{HEAD_WAIT, Line, Watched};
use rate::Rates;
use rustls::ServerConfig;
use seats::{Seats, Taken};
use shown::Shown;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

/// How often it is looked whether the certificate has to be another.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Pause after a connection could not be taken: most often there are no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Largest head of a request, bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Connections that are closed already may be so many tasks still.
const CLOSING: usize = 64;
/// The first byte of a TLS handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// Why the door does not open.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The address cannot be had.
    #[error("cannot listen on {address}: is another program using the port?")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The gateway's own certificate cannot be made.
    #[error("the console's own certificate")]
    Authority(#[from] AuthorityError),
    /// A file that the configuration names cannot be read.
    #[error("the console's certificate")]
    Unreadable(#[source] Unreadable),
    /// A file holds no certificate or no key.
    #[error("the console's certificate or key is not PEM")]
    NoCertificate,
    /// There can be no sign-in elsewhere.
    #[error("the sign-in elsewhere")]
    Oidc(#[from] OidcError),
    /// A certificate cannot be used.
    #[error("the console's certificate cannot be used")]
    Tls(#[source] rustls::Error),
}

/// What is said of the door by the routes.
#[derive(Debug, Clone, Default)]
pub struct Front {
    shown: Option<Arc<Shown>>,
    oidc: Option<Arc<Oidc>>,
}

impl Front {
    /// The certificate of the gateway's own authority, PEM, if it has one.
    #[must_use]
    pub fn ca_pem(&self) -> Option<String> {
        self.shown.as_ref()?.ca_pem()
    }

    /// Who vouches for people besides the gateway itself.
    #[must_use]
    pub fn oidc(&self) -> Option<&Oidc> {
        self.oidc.as_deref()
    }
}

/// The listener of the console.
pub struct Door {
    listener: TcpListener,
    shown: Arc<Shown>,
    tls: TlsAcceptor,
    seats: Arc<Seats>,
    most: usize,
    names: Vec<String>,
    oidc: Option<Arc<Oidc>>,
    clock: Arc<dyn Clock>,
}

impl Door {
    /// Makes or reads the certificate, and listens; nobody is let in before [`Door::serve`].
    ///
    /// # Errors
    /// When there is no certificate, or the address cannot be had.
    pub async fn open(
        config: &config::Console,
        data_dir: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, DoorError> {
        let address = config.listen;
        let names: Vec<String> = config.names.iter().cloned().chain(shown::host_names()).collect();
        let shown = Shown::new((&config.certificate, &names), address, data_dir, clock.now().wall)?;
        let shown = Arc::new(shown);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let resolver: Arc<Shown> = Arc::clone(&shown);
        let mut tls = builder.map_err(DoorError::Tls)?.with_no_client_auth().with_cert_resolver(resolver);
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let bound = TcpListener::bind(address).await;
        let listener = bound.map_err(|cause| DoorError::Listen { address, cause })?;
        let most = config.max_connections;
        let tls = TlsAcceptor::from(Arc::new(tls));
        let oidc = config.oidc.clone().map(Oidc::new).transpose()?;
        Ok(Self { listener, shown, tls, seats: Seats::new(most), most, names, oidc, clock })
    }

    /// What the routes say of it.
    #[must_use]
    pub fn front(&self) -> Front {
        Front { shown: Some(Arc::clone(&self.shown)), oidc: self.oidc.clone() }
    }

    /// The names by which it may be asked.
    #[must_use]
    pub fn hosts(&self) -> Hosts {
        Hosts::named(self.names.iter().cloned())
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves routes that are guarded until told to stop; what is being answered then is finished, unless it takes longer than half a second.
    pub async fn serve(self, routes: Router, mut stop: watch::Receiver<bool>) {
        let shared = Arc::new(Shared {
            routes: TowerToHyperService::new(routes),
            requests: Mutex::default(),
            clock: self.clock,
            lasting: self.shown.is_from_elsewhere(),
        });
        let told = stop.clone();
        let mut arrivals = Rates::default();
        let mut tasks = Tasks::new();
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopped(&mut stop) => break,
                _ = look.tick() => renew(Arc::clone(&self.shown), Arc::clone(&shared.clock)).await,
                Some(_) = tasks.next_ended() => {}
                accepted = self.listener.accept(), if tasks.count() < self.most + CLOSING => match accepted {
                    Ok((stream, peer)) => {
                        if arrivals.take(peer.ip(), shared.clock.now().mono.0).is_err() {
                            continue;
                        }
                        let line = Line::new();
                        let Some(seat) = self.seats.take(peer.ip(), &line) else { continue };
                        let connection = Connection {
                            shared: Arc::clone(&shared),
                            shown: Arc::clone(&self.shown),
                            tls: self.tls.clone(),
                            line,
                            peer,
                            stop: told.clone(),
                        };
                        tasks.spawn("connection", connection.run(stream, seat));
                    }
                    Err(error) => {
                        tracing::warn!(error = %Chain(&error), "the console cannot take a connection");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
        drop(self.listener);
        let ended = async { while tasks.next_ended().await.is_some() {} };
        if timeout(GRACE, ended).await.is_err() {
            tracing::debug!("requests at the console that did not end were cut off");
        }
    }
}

/// A sender that is gone means the same as a stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

async fn renew(shown: Arc<Shown>, clock: Arc<dyn Clock>) {
    let looked = tokio::task::spawn_blocking(move || shown.look(clock.now().wall)).await;
    if let Ok(Err(error)) = looked {
        tracing::error!(error = %Chain(&error), "the console goes on with the certificate that it has");
    }
}

/// What every connection knows.
struct Shared {
    routes: TowerToHyperService<Router>,
    requests: Mutex<Rates>,
    clock: Arc<dyn Clock>,
    /// The certificate is one that browsers trust by themselves, so that they may be told to insist on it.
    lasting: bool,
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr, line: &Arc<Line>) -> Response<Body> {
        let request = request.map(|body| Body::new(line.asked(body)));
        let mut response = match self.too_often(peer.ip()) {
            Some(response) => response,
            None => {
                let mut request = request;
                request.extensions_mut().insert(ConnectInfo(peer));
                let Ok(response) = self.routes.call(request).await;
                response
            }
        };
        if self.lasting {
            let year = HeaderValue::from_static("max-age=31536000");
            response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, year);
        }
        response.map(|body| Body::new(line.answered(body)))
    }

    fn too_often(&self, address: IpAddr) -> Option<Response<Body>> {
        let now = self.clock.now().mono.0;
        let taken = self.requests.lock().unwrap_or_else(PoisonError::into_inner).take(address, now);
        let wait = taken.err()?;
        let mut response = Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            format!("请求过于频繁：请 {wait} 秒后再试"),
            format!("too many requests: try again in {wait} s"),
        )
        .into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
        Some(response)
    }
}

/// Somebody who came.
struct Connection {
    shared: Arc<Shared>,
    shown: Arc<Shown>,
    tls: TlsAcceptor,
    line: Arc<Line>,
    peer: SocketAddr,
    stop: watch::Receiver<bool>,
}

impl Connection {
    async fn run(self, stream: TcpStream, mut seat: Taken) {
        let peer = self.peer;
        let accepted = tokio::select! {
            _ = &mut seat.over => return,
            accepted = timeout(HEAD_WAIT, self.accept(stream)) => accepted,
        };
        match accepted {
            Ok(Ok(Some(stream))) => self.speak(stream, seat).await,
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::debug!(%peer, error = %error, "a TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
        }
    }

    async fn accept(
        &self,
        mut stream: TcpStream,
    ) -> io::Result<Option<tokio_rustls::server::TlsStream<TcpStream>>> {
        stream.set_nodelay(true)?;
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Ok(None);
        }
        if first != [HANDSHAKE] {
            stream.write_all(NOT_TLS.as_bytes()).await?;
            stream.shutdown().await?;
            return Ok(None);
        }
        if self.shown.is_new(stream.local_addr()?.ip()) {
            renew(Arc::clone(&self.shown), Arc::clone(&self.shared.clock)).await;
        }
        self.tls.accept(stream).await.map(Some)
    }

    async fn speak(mut self, stream: tokio_rustls::server::TlsStream<TcpStream>, mut seat: Taken) {
        let (shared, line, peer) = (Arc::clone(&self.shared), Arc::clone(&self.line), self.peer);
        let service = service_fn(move |request| {
            let (shared, line) = (Arc::clone(&shared), Arc::clone(&line));
            async move { Ok::<_, Infallible>(shared.answer(request, peer, &line).await) }
        });
        let io = TokioIo::new(Watched::new(stream, Arc::clone(&self.line)));
        let connection = http1::Builder::new()
            // The line has its own times, for all that a connection does.
            .header_read_timeout(None)
            .max_buf_size(MAX_HEAD)
            .serve_connection(io, service);
        let mut connection = pin!(connection);
        let mut stopped = pin!(stopped(&mut self.stop));
        let mut timer = pin!(sleep_until(Instant::now() + HEAD_WAIT));
        let mut stopping = false;
        let ended = poll_fn(|cx| {
            if let Poll::Ready(served) = connection.as_mut().poll(cx) {
                return Poll::Ready(Some(served));
            }
            if pin!(&mut seat.over).poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            if !stopping && stopped.as_mut().poll(cx).is_ready() {
                stopping = true;
                connection.as_mut().graceful_shutdown();
                cx.waker().wake_by_ref();
            }
            // Whatever moved the deadline moved it just now, in the first line.
            let Some(deadline) = self.line.deadline() else { return Poll::Pending };
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            timer.as_mut().poll(cx).map(|()| None)
        });
        match ended.await {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(%peer, error = %error, "a connection ended early"),
            None => {
                tracing::debug!(%peer, "a connection was closed: it took too long, or its place was needed")
            }
        }
    }
}

/// For those who wrote `http://` where they meant `https://`.
const NOT_TLS: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\r\n\
                       请用 https:// 访问。This port speaks TLS: use https://\n";

pub(super) fn routes() -> Vec<Route> {
    let about =
        ("网关自己的 CA 证书，装入浏览器后不再告警", "the certificate of the gateway's own authority, PEM");
    vec![Route::get("/ca.crt", Right::Open, about, ca)]
}

async fn ca(State(console): State<Console>) -> Result<impl IntoResponse, Problem> {
    let pem = console.front.ca_pem().ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "网关使用配置的证书，没有自己的 CA",
            "the gateway has no certificate authority of its own",
        )
    })?;
    let named = "attachment; filename=\"schoolgate-ca.crt\"";
    Ok(([(header::CONTENT_TYPE, "application/x-x509-ca-cert"), (header::CONTENT_DISPOSITION, named)], pem))
}

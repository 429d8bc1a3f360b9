//! Before any route: only requests that mean this gateway, only of a bounded size, from whom is known; and headers that
//! keep browsers from guessing.

use super::accounts::{Accounts, Known};
use super::{Problem, Via};
use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Request};
use axum::http::header::{Entry, HeaderName};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::IntoResponse;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Largest request body, bytes.
pub(super) const MAX_BODY: usize = 16 * 1024;
/// The kind of problem that a page answers with its first-run wizard.
const UNCLAIMED: &str = "urn:schoolgate:unclaimed";
/// What every change by a page bears.
const CSRF: HeaderName = HeaderName::from_static("x-csrf");

/// A page asks for it again and again by itself; that is no sign that somebody sits before it.
const BY_ITSELF: &str = "/api/v1/stream";

/// What a browser may do with an answer of ours, unless it says so itself: nothing from elsewhere, nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
                      connect-src 'self'; media-src 'self'; manifest-src 'self'; frame-ancestors 'none'; \
                      base-uri 'none'; form-action 'self'";

/// Headers of every answer that does not have them.
const HEADERS: [(HeaderName, &str); 8] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=(), payment=(), usb=(), serial=(), bluetooth=()",
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The names by which a listener may be asked: any other is a page's way to reach it through a name of its own.
#[derive(Debug, Clone)]
pub struct Hosts {
    scheme: &'static str,
    /// `None` for this machine alone.
    names: Option<Arc<BTreeSet<String>>>,
}

impl Hosts {
    /// The plain listener: this machine, by `localhost` or an address of loopback.
    #[must_use]
    pub fn loopback() -> Self {
        Self { scheme: "http", names: None }
    }

    /// A listener over TLS: these names, this machine, and any address, which nobody can point elsewhere.
    pub fn named(names: impl IntoIterator<Item = String>) -> Self {
        let names = names.into_iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { scheme: "https", names: Some(Arc::new(names)) }
    }

    fn admits(&self, host: &str) -> bool {
        let Some(names) = &self.names else { return is_loopback(host) };
        is_loopback(host) || host.parse::<IpAddr>().is_ok() || names.contains(&host.to_ascii_lowercase())
    }

    /// Whether the request means this gateway, and comes from no other's page.
    fn allows(&self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        let host = only(headers, &header::HOST).unwrap_or_default();
        if !self.admits(host_of(host)) {
            let (zh, en) = match &self.names {
                None => (
                    "请求的主机名不是本机：请用 localhost 或 127.0.0.1 访问",
                    "the Host header does not name this machine: use localhost or 127.0.0.1",
                ),
                Some(_) => (
                    "请求的主机名不是本网关：请用它的地址访问，或把此名写入 [console] names",
                    "the Host header does not name this gateway: use its address, or write the name into [console] names",
                ),
            };
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, zh, en));
        }
        let own = |origin: &str| {
            let (scheme, authority) = origin.split_once("://").unwrap_or_default();
            scheme == self.scheme && authority.eq_ignore_ascii_case(host)
        };
        if headers.contains_key(header::ORIGIN) && !only(headers, &header::ORIGIN).is_some_and(own) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "来自其他网站的请求被拒绝",
                "a request from a page of another origin is refused",
            ));
        }
        let json =
            only(headers, &header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json"));
        if (method == Method::POST || method == Method::PUT) && !json {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "请以 Content-Type: application/json 提交",
                "send the body with Content-Type: application/json",
            ));
        }
        Ok(())
    }
}

/// A header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    all.next().filter(|_| all.next().is_none()).and_then(|value| value.to_str().ok())
}

/// The host of `host`, `host:port` or `[v6]:port`.
fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => authority.split(':').next().unwrap_or(""),
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// The address that a request came from, for limits and records.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip())))
    }
}

/// Nobody has an account yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unclaimed;

/// Puts the guard before every route. The listener tells where a request comes from ([`ConnectInfo`]).
pub fn guarded(routes: Router, hosts: Hosts, accounts: Arc<Accounts>) -> Router {
    routes.layer(DefaultBodyLimit::max(MAX_BODY)).layer(middleware::from_fn(
        move |request: Request, next: Next| {
            let (hosts, accounts) = (hosts.clone(), Arc::clone(&accounts));
            async move {
                let mut response = match known(&hosts, &accounts, request) {
                    Ok(request) => next.run(request).await,
                    Err(problem) => problem.into_response(),
                };
                for (name, value) in HEADERS {
                    if let Entry::Vacant(vacant) = response.headers_mut().entry(name) {
                        vacant.insert(HeaderValue::from_static(value));
                    }
                }
                response
            }
        },
    ))
}

/// The request, with who asks.
fn known(hosts: &Hosts, accounts: &Accounts, mut request: Request) -> Result<Request, Problem> {
    hosts.allows(request.method(), request.headers())?;
    let by_itself = request.uri().path() == BY_ITSELF;
    let known = accounts.identify(request.headers(), by_itself)?;
    if let Some(known) = known {
        request.extensions_mut().insert(known.who.clone());
        request.extensions_mut().insert(known.proof.clone());
        request.extensions_mut().insert(known);
    }
    if !accounts.claimed() {
        request.extensions_mut().insert(Unclaimed);
    }
    Ok(request)
}

/// Whether whoever asks may have what needs more than to reach the gateway, before their right is looked at.
pub(super) fn may_ask(request: &Request) -> Result<&Known, Problem> {
    let known = request.extensions().get::<Known>();
    let local = known.is_some_and(|known| known.who.via == Via::Local);
    if request.extensions().get::<Unclaimed>().is_some() && !local {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "网关尚未认领：请先用认领码建立管理员账号",
            "nobody has claimed this gateway: make the administrator's account with the claim code first",
        )
        .of_kind(UNCLAIMED));
    }
    let known = known.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "请先登录", "sign in first"))?;
    let looks = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let sent = || only(request.headers(), &CSRF);
    match &known.csrf {
        // Digests are compared, so that the time it takes tells nothing.
        Some(csrf)
            if !looks && sent().map(crate::access::Digest::of) != Some(crate::access::Digest::of(csrf)) =>
        {
            Err(Problem::new(
                StatusCode::FORBIDDEN,
                "缺少或不对的 X-CSRF：取自 GET /api/v1/session",
                "the X-CSRF header is missing or wrong: it is told by GET /api/v1/session",
            ))
        }
        _ => Ok(known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_this_machine_may_ask_and_only_json_may_be_sent() {
        let ask = |method: &Method, pairs: &[(&str, &str)]| {
            Hosts::loopback().allows(method, &headers(pairs)).map_err(|p| p.status.as_u16())
        };
        let json = ("content-type", "application/json");
        for host in ["localhost:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST"] {
            assert_eq!(ask(&Method::GET, &[("host", host)]), Ok(()), "{host}");
        }
        for host in ["school.example", "192.168.1.1:8080", "127.0.0.1.evil.example", "", "[fe80::1]"] {
            assert_eq!(ask(&Method::GET, &[("host", host)]), Err(421), "{host}");
        }
        assert_eq!(ask(&Method::GET, &[]), Err(421));
        let host = ("host", "localhost");
        assert_eq!(ask(&Method::GET, &[host, host]), Err(421), "twice");
        for method in [Method::POST, Method::PUT] {
            assert_eq!(ask(&method, &[host]), Err(415));
            assert_eq!(ask(&method, &[host, json]), Ok(()));
        }
        assert_eq!(ask(&Method::DELETE, &[host]), Ok(()));
    }

    #[test]
    fn an_origin_is_that_of_the_host_or_refused() {
        let tls = Hosts::named(["Gate.School.example".to_owned()]);
        let ask = |hosts: &Hosts, host: &str, origin: &str| {
            let pairs = [("host", host), ("origin", origin), ("content-type", "application/json")];
            hosts.allows(&Method::POST, &headers(&pairs)).map_err(|p| p.status.as_u16())
        };
        for (host, origin) in [
            ("gate.school.example:8443", "https://gate.school.example:8443"),
            ("GATE.school.example", "https://gate.school.EXAMPLE"),
            ("192.168.1.5:8443", "https://192.168.1.5:8443"),
            ("[fd00::5]:8443", "https://[fd00::5]:8443"),
            ("localhost:8443", "https://localhost:8443"),
        ] {
            assert_eq!(ask(&tls, host, origin), Ok(()), "{host} {origin}");
        }
        for (host, origin, status) in [
            ("gate.school.example:8443", "https://evil.example", 403),
            ("gate.school.example:8443", "http://gate.school.example:8443", 403),
            ("gate.school.example:8443", "https://gate.school.example", 403),
            ("gate.school.example:8443", "https://gate.school.example:8443.evil.example", 403),
            ("gate.school.example:8443", "https://gate.school.example:8443@evil.example", 403),
            ("gate.school.example:8443", "null", 403),
            ("gate.school.example:8443", "", 403),
            ("evil.example", "https://evil.example", 421),
            ("gate.school.example.evil.example", "https://gate.school.example.evil.example", 421),
        ] {
            assert_eq!(ask(&tls, host, origin), Err(status), "{host} {origin}");
        }
        let plain = Hosts::loopback();
        assert_eq!(ask(&plain, "localhost:8088", "http://localhost:8088"), Ok(()));
        assert_eq!(ask(&plain, "localhost:8088", "http://localhost:9"), Err(403));
        assert_eq!(ask(&plain, "localhost:8088", "https://evil.example"), Err(403));
    }
}

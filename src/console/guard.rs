//! Before any route: only requests that mean this machine, only of a bounded size, with headers that keep browsers
//! from guessing.

use super::{Problem, Via, Who};
use crate::access::Role;
use crate::model::Actor;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

/// Largest request body, bytes.
pub(super) const MAX_BODY: usize = 16 * 1024;

pub(super) fn guarded(routes: Router) -> Router {
    routes.layer(DefaultBodyLimit::max(MAX_BODY)).layer(middleware::from_fn(check))
}

async fn check(mut request: Request, next: Next) -> Response {
    if let Err(problem) = allowed(request.method(), request.headers()) {
        return problem.into_response();
    }
    if let Some(name) = Actor::named("local") {
        request.extensions_mut().insert(Who { name, role: Role::Admin, via: Via::Local });
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Only the program's own pages may be kept.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn allowed(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if !text(header::HOST).is_some_and(|host| is_loopback(host_of(host))) {
        return Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "请求的主机名不是本机：请用 localhost 或 127.0.0.1 访问",
            "the Host header does not name this machine: use localhost or 127.0.0.1",
        ));
    }
    let from = text(header::ORIGIN).map(|origin| origin.split_once("://").map_or("", |(_, host)| host));
    if from.is_some_and(|host| !is_loopback(host_of(host))) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "来自其他网站的请求被拒绝",
            "a request from a page of another origin is refused",
        ));
    }
    let json = text(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json"));
    if method == Method::POST && !json {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "请以 Content-Type: application/json 提交",
            "send the body with Content-Type: application/json",
        ));
    }
    Ok(())
}

/// The host of `host`, `host:port` or `[v6]:port`.
fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => authority.split(':').next().unwrap_or(""),
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_may_ask_and_only_json_may_be_posted() {
        let ask = |method: &Method, pairs: &[(&str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap());
            }
            allowed(method, &headers).map_err(|p| p.status.as_u16())
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
        assert_eq!(ask(&Method::POST, &[host]), Err(415));
        assert_eq!(ask(&Method::POST, &[host, json]), Ok(()));
        assert_eq!(ask(&Method::POST, &[host, json, ("origin", "http://localhost:9")]), Ok(()));
        assert_eq!(ask(&Method::POST, &[host, json, ("origin", "https://evil.example")]), Err(403));
        assert_eq!(ask(&Method::POST, &[host, json, ("origin", "null")]), Err(403));
    }
}

//! The HTTP of every channel that speaks it: verified TLS, no redirects, no proxy of the environment, bounded answers.

use super::NotifyError;
use super::reply::{MAX_REPLY, Reply, retry_after};
use crate::config::Web;
use crate::model::ChannelId;
use crate::runtime::{Chain, tls};
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// A client for one channel.
pub(super) fn client(id: &ChannelId, web: &Web) -> Result<reqwest::Client, NotifyError> {
    let wrong = |source: reqwest::Error| NotifyError::Client { id: id.clone(), source: source.into() };
    tls::install_provider();
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        // A connection that a firewall forgot would cost the next alarm its five seconds.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("schoolgate/", env!("CARGO_PKG_VERSION")));
    if let Some(pem) = &web.ca_pem {
        builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem).map_err(wrong)?);
    }
    if let Some(proxy) = &web.proxy {
        builder = builder.proxy(reqwest::Proxy::all(proxy.clone()).map_err(wrong)?);
    }
    builder.build().map_err(wrong)
}

/// Sends a request and reads the whole answer.
///
/// # Errors
/// A line that says why there is none; without the address, which may be a secret.
pub(super) async fn send(request: reqwest::RequestBuilder) -> Result<Reply, String> {
    let mut response = request.send().await.map_err(told)?;
    let pause = |headers: &HeaderMap| headers.get(RETRY_AFTER)?.to_str().ok().and_then(retry_after);
    let (status, retry_after) = (response.status().as_u16(), pause(response.headers()));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(told)? {
        if body.len() + chunk.len() > MAX_REPLY {
            return Err(format!("the answer is longer than {MAX_REPLY} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply { status, retry_after, body })
}

fn told(error: reqwest::Error) -> String {
    Chain(&error.without_url()).to_string()
}

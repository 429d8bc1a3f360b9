//! The task of one destination: it does what its [`Pump`] decides, over HTTP and against the store.

use super::{
    AdapterError, DestinationStatus, Limits, Lost, NoReply, Outcome, Pump, Reply, Request, Sender, Step,
    adapter_for, parse_http_date, parse_retry_after,
};
use crate::config::{Destination, Site};
use crate::model::{DestinationId, OutboxItem};
use crate::runtime::{Chain, Clock, Tally};
use crate::store::{Handle, Settlement, StoreError};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Longest answer that is read, bytes.
const MAX_REPLY: usize = 1024 * 1024;
/// Longest wait for a connection; the whole reply has the destination's own limit.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a request in flight may still take when the gateway stops.
pub const STOP_GRACE: Duration = Duration::from_millis(1500);
/// Pause after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Where owed records are read and settled: the store, or a test's own.
pub trait Owed: Send + Sync {
    /// The next records owed, alarms first, then by number.
    fn owed(
        &self,
        to: &DestinationId,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<OutboxItem>, StoreError>> + Send;
    /// Makes a platform's answer durable.
    fn settle(
        &self,
        to: &DestinationId,
        answer: Settlement,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Changes whenever more is owed.
    fn owed_changed(&self) -> watch::Receiver<u64>;
}

impl Owed for Handle {
    async fn owed(&self, to: &DestinationId, limit: usize) -> Result<Vec<OutboxItem>, StoreError> {
        Self::owed(self, to, limit).await
    }

    async fn settle(&self, to: &DestinationId, answer: Settlement) -> Result<(), StoreError> {
        Self::settle(self, to, answer).await
    }

    fn owed_changed(&self) -> watch::Receiver<u64> {
        Self::owed_changed(self)
    }
}

/// Why an uplink cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    /// Its settings do not fit its kind.
    #[error("destination '{id}'")]
    Adapter {
        /// Which.
        id: DestinationId,
        /// Why.
        #[source]
        source: AdapterError,
    },
    /// The certificates cannot be read, or the system has none to trust.
    #[error("destination '{id}': the TLS client cannot be made; expected PEM certificates in ca_file")]
    Client {
        /// Which.
        id: DestinationId,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The file of certificates holds none.
    #[error("destination '{id}': ca_file holds no certificate; expected PEM, '-----BEGIN CERTIFICATE-----'")]
    NoCertificate {
        /// Which.
        id: DestinationId,
    },
    /// The machine gives no random numbers.
    #[error("no random numbers from the system")]
    Random(#[source] getrandom::Error),
}

/// The uplink to one destination.
pub struct Uplink<S> {
    id: DestinationId,
    base_url: String,
    client: reqwest::Client,
    pump: Pump,
    store: S,
    clock: Arc<dyn Clock>,
    tally: Arc<Tally>,
    status: watch::Sender<DestinationStatus>,
}

impl<S: Owed> Uplink<S> {
    /// Prepares the uplink; connects to nothing yet.
    ///
    /// # Errors
    /// When the destination's settings or certificates cannot be used.
    pub fn new(
        destination: &Destination,
        site: &Site,
        store: S,
        clock: Arc<dyn Clock>,
        tally: Arc<Tally>,
    ) -> Result<Self, UplinkError> {
        let id = destination.id.clone();
        let adapter = adapter_for(destination)
            .map_err(|source| UplinkError::Adapter { id: destination.id.clone(), source })?;
        let client = client(destination)?;
        let limits = Limits { max_records: destination.max_records, max_bytes: destination.max_bytes };
        let seed = getrandom::u64().map_err(UplinkError::Random)?;
        let pump = Pump::new(adapter, Sender::from(site), limits, seed);
        let (status, _) = watch::channel(pump.status().clone());
        let base_url = destination.base_url.trim_end_matches('/').to_owned();
        Ok(Self { id, base_url, client, pump, store, clock, tally, status })
    }

    /// How the destination is doing, from now on.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<DestinationStatus> {
        self.status.subscribe()
    }

    /// Works until `stop` turns true (or its sender is gone) or the store is closed. A request in flight is finished
    /// within [`STOP_GRACE`], and what its answer settles is settled.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut changed = self.store.owed_changed();
        loop {
            let stopping = *stop.borrow() || stop.has_changed().is_err();
            // Fresh alarms are looked for between any two requests, also while a batch is being split.
            if changed.has_changed().unwrap_or(false) {
                self.pump.wake();
            }
            let step = match nonce() {
                Ok(nonce) => self.pump.next(self.clock.now(), nonce),
                Err(error) => {
                    tracing::error!(destination = %self.id, error = %Chain(&error), "no random numbers; trying again");
                    Step::Wait(Some(self.clock.now().mono.plus(STORE_PAUSE)))
                }
            };
            match step {
                Step::Settle(settlement) => match self.store.settle(&self.id, settlement).await {
                    Ok(()) => self.pump.settled(),
                    // Not settled: the records are sent again after the next start, under the same uids.
                    Err(_) if stopping => return,
                    Err(error) => {
                        if self.store_failed(&error, &mut stop).await {
                            return;
                        }
                    }
                },
                _ if stopping => return,
                Step::Fetch(limit) => {
                    changed.borrow_and_update();
                    match self.store.owed(&self.id, limit).await {
                        Ok(items) => self.pump.fetched(&items),
                        Err(error) => {
                            if self.store_failed(&error, &mut stop).await {
                                return;
                            }
                        }
                    }
                }
                Step::Send(request) => {
                    let Some(answer) = self.send_until(&request, &mut stop).await else { return };
                    let outcome = self.pump.replied(self.clock.now(), answer);
                    self.count(outcome);
                }
                Step::Wait(until) => {
                    self.publish();
                    if !self
                        .wait(until.map(|m| m.since(self.clock.now().mono)), &mut changed, &mut stop)
                        .await
                    {
                        return;
                    }
                }
            }
            self.publish();
        }
    }

    /// Waits; false when the store is gone.
    async fn wait(
        &mut self,
        span: Option<Duration>,
        changed: &mut watch::Receiver<u64>,
        stop: &mut watch::Receiver<bool>,
    ) -> bool {
        let pause = async {
            match span {
                Some(span) => tokio::time::sleep(span).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stopped(stop) => true,
            more = changed.changed() => {
                self.pump.wake();
                more.is_ok()
            }
            () = pause => true,
        }
    }

    /// The answer; `None` when the gateway stops and the answer did not come within the grace.
    async fn send_until(
        &self,
        request: &Request,
        stop: &mut watch::Receiver<bool>,
    ) -> Option<Result<Reply, NoReply>> {
        let sending = self.send(request);
        tokio::pin!(sending);
        tokio::select! {
            answer = &mut sending => Some(answer),
            () = stopped(stop) => tokio::time::timeout(STOP_GRACE, sending).await.ok(),
        }
    }

    async fn send(&self, request: &Request) -> Result<Reply, NoReply> {
        let mut builder = self
            .client
            .post(format!("{}{}", self.base_url, request.path))
            .header("Content-Type", "application/json; charset=utf-8");
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if !request.query.is_empty() {
            let pairs: Vec<_> = request.query.iter().map(|(name, value)| (*name, value.expose())).collect();
            builder = builder.query(&pairs);
        }
        let mut response = builder.body(request.body.clone()).send().await.map_err(no_reply)?;
        let header =
            |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let date = header("date").and_then(|text| parse_http_date(&text));
        let reckon_from = date.unwrap_or_else(|| self.clock.now().wall);
        let retry_after = header("retry-after").and_then(|text| parse_retry_after(&text, reckon_from));
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_reply)? {
            if body.len() + chunk.len() > MAX_REPLY {
                return Err(Lost::TooLong.into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, retry_after, date, body })
    }

    fn count(&self, outcome: Outcome) {
        if let Some((lane, accepted)) = outcome.accepted {
            self.tally.uploads.of(&(self.id.clone(), lane.as_str())).add(accepted);
        }
        for (uid, reason) in &outcome.set_aside {
            self.tally.set_aside.of(&self.id).one();
            tracing::warn!(destination = %self.id, uid, reason, "the platform rejects a record; it is set aside");
        }
        if let Some(why) = outcome.failed {
            self.tally.upload_failures.of(&(self.id.clone(), why.word)).one();
            let failures = self.pump.status().consecutive_failures;
            // The first failure of a row is news, the following ones are not.
            if failures == 1 {
                tracing::warn!(destination = %self.id, why = why.word, said = why.said, "the platform did not take a request");
            } else {
                tracing::debug!(destination = %self.id, why = why.word, said = why.said, failures, "still not");
            }
        }
    }

    fn publish(&self) {
        let status = self.pump.status();
        self.status.send_if_modified(|published| {
            let news = published != status;
            if news {
                published.clone_from(status);
            }
            news
        });
    }

    /// True when the store is gone for good.
    async fn store_failed(&self, error: &StoreError, stop: &mut watch::Receiver<bool>) -> bool {
        if matches!(error, StoreError::Closed) {
            return true;
        }
        tracing::error!(destination = %self.id, error = %Chain(error), "the outbox cannot be used; trying again");
        tokio::select! {
            () = stopped(stop) => {}
            () = tokio::time::sleep(STORE_PAUSE) => {}
        }
        false
    }
}

/// Resolves when `stop` is true or nobody can set it any more.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

fn nonce() -> Result<[u8; 16], UplinkError> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(UplinkError::Random)?;
    Ok(nonce)
}

/// Sorts an error of the client; the URL is left out, it may hold a token.
fn no_reply(error: reqwest::Error) -> NoReply {
    let error = error.without_url();
    let lost = if error.is_timeout() {
        Lost::Timeout
    } else if error.is_connect() || error.is_builder() {
        Lost::Connect
    } else {
        Lost::Broken
    };
    NoReply { lost, cause: Chain(&error).to_string() }
}

/// A client that verifies its peer, follows no redirect and asks no proxy of the environment.
fn client(destination: &Destination) -> Result<reqwest::Client, UplinkError> {
    let id = &destination.id;
    let wrong = |source| UplinkError::Client { id: id.clone(), source };
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing a race against another uplink is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
    }
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        // The pump alone decides what is sent again.
        .retry(reqwest::retry::never())
        .timeout(destination.timeout)
        .connect_timeout(CONNECT_LIMIT.min(destination.timeout))
        .pool_max_idle_per_host(1)
        .user_agent(concat!("schoolgate/", env!("CARGO_PKG_VERSION")));
    if let Some(pem) = &destination.ca_pem {
        let roots = reqwest::Certificate::from_pem_bundle(pem).map_err(wrong)?;
        if roots.is_empty() {
            return Err(UplinkError::NoCertificate { id: id.clone() });
        }
        builder = builder.tls_certs_merge(roots);
    }
    builder.build().map_err(wrong)
}

//! Asks terminals for the events that did not come.

use super::{Ask, Missing, What};
use crate::config::PullFrom;
use crate::model::BusId;
use crate::notice::Notice;
use crate::runtime::lanes::Stopping;
use crate::runtime::{Chain, Clock, Tally};
use crate::southbound::Field;
use crate::southbound::http_login::LoginHold;
use crate::southbound::noticed::search::Search;
use crate::southbound::noticed::web::{Web, WebError};
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Longest wait for an answer of a terminal.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Its times are whole seconds, and events next to each other are not always in order: a little more is asked for.
const MARGIN_MS: i64 = 60_000;
/// How far back is asked where the time of the last event is not known.
const FAR_MS: i64 = 24 * 3600 * 1000;

/// One receiver's back-fill, one gap after the other.
pub(super) struct Filler {
    bus: BusId,
    pull: BTreeMap<String, PullFrom>,
    webs: BTreeMap<String, Web>,
    asks: mpsc::Sender<Ask>,
    clock: Arc<dyn Clock>,
    tally: Arc<Tally>,
    zone: TimeZone,
}

/// Why a gap stays.
#[derive(Debug, thiserror::Error)]
enum Left {
    #[error("asking the terminal")]
    Asking(#[from] WebError),
    #[error("the gateway is stopping")]
    Stopping(#[from] Stopping),
    #[error("the terminal does not have them")]
    NotThere,
}

impl Filler {
    pub(super) fn new(
        bus: &BusId,
        pull: BTreeMap<String, PullFrom>,
        asks: mpsc::Sender<Ask>,
        field: &Field,
    ) -> Self {
        let (clock, tally) = (Arc::clone(&field.clock), Arc::clone(&field.tally));
        let (bus, zone) = (bus.clone(), field.site.zone.clone());
        Self { bus, pull, webs: BTreeMap::new(), asks, clock, tally, zone }
    }

    pub(super) async fn run(mut self, mut gaps: mpsc::Receiver<Missing>) {
        while let Some(missing) = gaps.recv().await {
            let (before, behind) = missing.gap.between;
            let address = missing.address.clone();
            match self.fill(missing).await {
                Ok(events) => {
                    tracing::info!(bus = %self.bus, address, before, behind, events, "missing events were asked for");
                }
                Err(Left::Stopping(_)) => return,
                Err(left) => {
                    self.tally.gaps_left.of(&self.bus).one();
                    tracing::warn!(bus = %self.bus, address, before, behind, "a gap stays: {}", Chain(&left));
                }
            }
        }
    }

    async fn fill(&mut self, missing: Missing) -> Result<usize, Left> {
        let Missing { address, gap, noticed } = missing;
        let from = gap.from.unwrap_or_else(|| noticed.plus_ms(-FAR_MS)).plus_ms(-MARGIN_MS);
        let to = gap.to.unwrap_or(noticed).plus_ms(MARGIN_MS);
        let mut search = Search::new(from.min(to), to, &self.zone);
        let (before, behind) = gap.between;
        let mut found = BTreeSet::new();
        while let Some(page) = self.page(&address, &mut search).await? {
            let between = |notice: &Notice| {
                let number = notice.serial.as_deref().and_then(|serial| serial.parse::<u64>().ok());
                number.is_some_and(|number| before < number && number < behind)
            };
            let notices: Vec<Notice> = page.notices.into_iter().filter(between).collect();
            found.extend(notices.iter().filter_map(|notice| notice.serial.clone()));
            if !notices.is_empty() {
                self.hand_in(&address, notices).await?;
            }
        }
        if found.is_empty() { Err(Left::NotThere) } else { Ok(found.len()) }
    }

    async fn page(
        &mut self,
        address: &str,
        search: &mut Search,
    ) -> Result<Option<crate::notice::isapi::Page>, Left> {
        let now = self.clock.now().mono;
        if !self.webs.contains_key(address)
            && let Some(PullFrom { url, login }) = self.pull.get(address)
        {
            let (hold, requests) = (Arc::new(LoginHold::default()), self.tally.requests.of(&self.bus));
            let web = Web::new(url.clone(), Some(login.clone()), ANSWER_WAIT, hold, requests)?;
            self.webs.insert(address.to_owned(), web);
        }
        let Some(web) = self.webs.get_mut(address) else { return Ok(None) };
        Ok(search.next(web, now).await?)
    }

    /// The events go the way of those that were pushed, one page after the other.
    async fn hand_in(&self, address: &str, notices: Vec<Notice>) -> Result<(), Left> {
        let (answer, told) = oneshot::channel();
        let what = What::Page { address: address.to_owned(), notices };
        let peer = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let ask = Ask { peer, origin: "AcsEvent".into(), len: 0, what, answer };
        self.asks.send(ask).await.map_err(|_| Stopping)?;
        if let Some(receipt) = told.await.map_err(|_| Stopping)?.receipt {
            receipt.await.map_err(|_| Stopping)?;
        }
        Ok(())
    }
}

//! A stream at work: its parts become notices until it ends or falls silent.

use super::{MARGIN_MS, Source};
use crate::model::{Fault, Wall};
use crate::notice::parts::Parts;
use crate::notice::{self, At, Notice};
use crate::runtime::lanes::Stopping;
use crate::runtime::{Chain, Receipt};
use crate::southbound::noticed::Desk;
use crate::southbound::noticed::desk::is_cry;
use crate::southbound::noticed::search::Search;
use crate::southbound::noticed::web::{Web, WebError};
use crate::southbound::{Failure, Field, Session};
use futures_util::future::BoxFuture;
use reqwest::Response;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Largest text in a stream, bytes.
const MAX_PART: usize = 64 * 1024;
/// A stream that was silent for so many heartbeats is opened anew.
const HEARTBEATS: u32 = 3;
/// How often it is looked which states are over.
const TICK: Duration = Duration::from_secs(1);
/// Deliveries whose commit is waited for; with more nothing is read from the device.
const UNCOMMITTED: usize = 256;
/// The links of a stream fall with its session; the desk's own watch over silence is never needed.
const NEVER: Duration = Duration::from_secs(u64::MAX / 1000);

/// An open stream.
pub(super) struct StreamSession {
    source: Arc<Source>,
    web: Web,
    answer: Response,
    parts: Parts,
    delivered: bool,
}

impl StreamSession {
    pub(super) fn new(source: Arc<Source>, web: Web, answer: Response, boundary: &str) -> Self {
        Self { source, web, answer, parts: Parts::new(boundary, MAX_PART), delivered: false }
    }
}

impl Session for StreamSession {
    fn run<'a>(&'a mut self, field: &'a Field) -> BoxFuture<'a, Failure> {
        Box::pin(async move {
            let source = &*self.source;
            let mut hearing = Hearing {
                source,
                field,
                desk: Desk::new(&source.roll, field, NEVER),
                uncommitted: VecDeque::new(),
            };
            let (pages, mut asked) = mpsc::channel(1);
            let asking = ask(source, &mut self.web, field, pages);
            let listening = async {
                if let Err(stopping) = hearing.take(Vec::new(), true).await {
                    return hearing.stopped(stopping);
                }
                self.delivered = true;
                let mut tick = interval(TICK);
                tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
                let silence = source.stream.heartbeat * HEARTBEATS;
                let mut chunk = Box::pin(timeout(silence, self.answer.chunk()));
                loop {
                    let done = tokio::select! {
                        read = &mut chunk => {
                            let bytes = match read {
                                Ok(Ok(Some(bytes))) => bytes,
                                Ok(Ok(None)) => return hearing.ended(Fault::Gone, "it ended it", None),
                                Ok(Err(error)) => {
                                    let error = WebError::Gone(error.without_url());
                                    return hearing.ended(Fault::Gone, "it broke off", Some(error));
                                }
                                Err(_) => return hearing.ended(Fault::Stalled, "it fell silent", None),
                            };
                            self.parts.feed(&bytes);
                            let heard = hearing.hear(&mut self.parts).await;
                            drop(chunk);
                            chunk = Box::pin(timeout(silence, self.answer.chunk()));
                            heard
                        }
                        Some(notices) = asked.recv() => hearing.take(notices, true).await,
                        _ = tick.tick() => hearing.look().await,
                    };
                    if let Err(stopping) = done {
                        return hearing.stopped(stopping);
                    }
                }
            };
            tokio::select! {
                failure = listening => failure,
                never = asking => match never {},
            }
        })
    }

    fn delivered(&self) -> bool {
        self.delivered
    }
}

/// Asks for the passes since the last one that was heard; then it waits for ever.
async fn ask(
    source: &Source,
    web: &mut Web,
    field: &Field,
    pages: mpsc::Sender<Vec<Notice>>,
) -> std::convert::Infallible {
    if source.passes
        && let Err(error) = ask_once(source, web, field, &pages).await
    {
        let (bus, address) = (&source.roll.bus, &source.address);
        field.tally.gaps_left.of(bus).one();
        tracing::warn!(bus = %bus, address, "passes of before the connection are not known: {}", Chain(&error));
    }
    std::future::pending().await
}

async fn ask_once(
    source: &Source,
    web: &mut Web,
    field: &Field,
    pages: &mpsc::Sender<Vec<Notice>>,
) -> Result<(), WebError> {
    let now = field.clock.now();
    let far = now.wall.plus_ms(-i64::try_from(source.stream.back_fill.as_millis()).unwrap_or(i64::MAX));
    let heard = source.memory().heard.map(|heard| heard.plus_ms(-MARGIN_MS));
    let mut search = Search::new(heard.unwrap_or(far), now.wall.plus_ms(MARGIN_MS), &field.site.zone);
    let mut passes = 0;
    while let Some(page) = search.next(web, now.mono).await? {
        passes += page.notices.len();
        if pages.send(page.notices).await.is_err() {
            return Ok(());
        }
    }
    tracing::info!(bus = %source.roll.bus, address = source.address, passes, "the terminal was asked for its passes");
    Ok(())
}

struct Hearing<'a> {
    source: &'a Source,
    field: &'a Field,
    desk: Desk<'a>,
    /// A device forgets an event when it has told it, so nobody waits for its commit but the next events.
    uncommitted: VecDeque<Receipt>,
}

impl Hearing<'_> {
    async fn hear(&mut self, parts: &mut Parts) -> Result<(), Stopping> {
        while let Some(part) = parts.next() {
            let len = part.as_ref().map_or(0, |part| part.body.len());
            if part.as_ref().is_ok_and(|part| notice::holds_picture(&part.body)) {
                self.field.tally.withheld_pictures.one();
            }
            match part.and_then(|part| self.source.form.read(&part)) {
                Ok(notices) => {
                    let all = notices.is_empty() || self.desk.admits(Some(&self.source.address));
                    self.take(notices, all).await?;
                }
                Err(_) if !self.desk.admits(Some(&self.source.address)) => {}
                Err(wrong) => {
                    let address = &self.source.address;
                    let input = self.desk.unreadable(Some(address), address, wrong, len);
                    self.deliver(vec![input]).await?;
                }
            }
        }
        Ok(())
    }

    /// What is shed here is gone, because a camera tells an event once: of a flood the calls for help pass.
    async fn take(&mut self, notices: Vec<Notice>, all: bool) -> Result<(), Stopping> {
        let address = &self.source.address;
        let mut inputs = self.desk.hears(address);
        let passes = notices.iter().filter(|notice| notice.serial.is_some());
        let last = passes.filter_map(|notice| self.wall(notice)).max();
        {
            let mut memory = self.source.memory();
            memory.heard = memory.heard.max(last);
            let standing = all.then_some(&mut memory.standing);
            let told = self.desk.take(address, notices, standing);
            inputs.extend(told.into_iter().filter(|input| all || is_cry(input)));
        }
        self.deliver(inputs).await
    }

    async fn look(&mut self) -> Result<(), Stopping> {
        let ended = self.desk.ended(&mut self.source.memory().standing);
        self.deliver(ended).await
    }

    async fn deliver(&mut self, inputs: Vec<crate::model::Input>) -> Result<(), Stopping> {
        self.uncommitted.extend(self.desk.deliver(inputs).await?);
        while self.uncommitted.len() > UNCOMMITTED
            && let Some(oldest) = self.uncommitted.pop_front()
        {
            oldest.await.map_err(|_| Stopping)?;
        }
        Ok(())
    }

    /// The device's own time of a notice, unless it cannot be: a clock in the future must not hide what is missing.
    fn wall(&self, notice: &Notice) -> Option<Wall> {
        let at = match notice.at? {
            At::Wall(at) => at,
            At::Local(at) => Wall(self.field.site.zone.to_timestamp(at).ok()?.as_millisecond()),
        };
        (at <= self.field.clock.now().wall.plus_ms(MARGIN_MS)).then_some(at)
    }

    fn ended(&self, fault: Fault, how: &str, error: Option<WebError>) -> Failure {
        let failure =
            Failure::new(fault, format!("listening to the events of {}: {how}", self.source.address));
        match error {
            Some(error) => failure.because(error),
            None => failure,
        }
    }

    fn stopped(&self, stopping: Stopping) -> Failure {
        Failure::new(Fault::Internal, "handing on an event of a stream").because(stopping)
    }
}

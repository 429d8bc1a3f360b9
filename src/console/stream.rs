//! The live stream: `/api/v1/stream`, server-sent events (WHATWG HTML, 9.2).
//!
//! Each desk has a task of its own that fills a small buffer; where that stays full the desk is cut off and may come back.
//! Alarms are told by their numbers in the store: what the ring no longer has is read there, so nobody misses a step or
//! hears one twice.

use super::api::read;
use super::feed::{Feed, Told};
use super::herald::{Board, Herald};
use super::route::Route;
use super::{Console, Problem, Proof, Who, responses, views};
use crate::access::Right;
use crate::model::AlarmChange;
use crate::runtime::tasks::isolated;
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Deserialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, broadcast, mpsc, watch};

/// Streams at the same time.
pub const STREAMS: usize = 64;
/// Messages that wait for a reader.
const BUFFER: usize = 64;
/// A reader for whom there is no room in the buffer for so long is cut off.
const PATIENCE: Duration = Duration::from_secs(10);
/// A stream ends after this time and the browser asks again: so it is looked at anew who may.
const AT_MOST: Duration = Duration::from_secs(15 * 60);
/// Steps of alarms read from the store at once.
const PAGE: u32 = 200;
/// Browsers come back after a second.
const RETRY: &str = "retry: 1000\n\n";

/// The routes of the stream.
pub(super) fn routes() -> Vec<Route> {
    vec![Route::get(
        "/api/v1/stream",
        Right::See,
        ("实时消息流（SSE），可断点续传", "live stream of server-sent events, resumes without loss"),
        stream,
    )]
}

/// What streams are made of.
#[derive(Debug, Clone)]
pub struct Streams {
    feed: Feed,
    board: watch::Receiver<Arc<Board>>,
    room: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

/// The board of a console that is still being built.
pub struct BlankBoard(watch::Sender<Arc<Board>>);

impl BlankBoard {
    /// The herald that writes it.
    #[must_use]
    pub fn herald(self, console: Console) -> Herald {
        Herald::new(console, self.0)
    }
}

impl Streams {
    /// Streams that follow this feed and end when told to stop, and the board that the herald writes.
    #[must_use]
    pub fn new(feed: Feed, stop: watch::Receiver<bool>) -> (Self, BlankBoard) {
        let (board, seen) = watch::channel(Arc::default());
        (Self { feed, board: seen, room: Arc::new(Semaphore::new(STREAMS)), stop }, BlankBoard(board))
    }

    /// How many follow now.
    #[must_use]
    pub fn open(&self) -> usize {
        STREAMS.saturating_sub(self.room.available_permits())
    }

    /// The board, as whoever follows sees it.
    #[cfg(test)]
    pub(super) fn board(&self) -> watch::Receiver<Arc<Board>> {
        self.board.clone()
    }
}

/// From where on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    after: Option<u64>,
}

/// `GET /api/v1/stream`.
pub(super) async fn stream(
    State(console): State<Console>,
    who: Who,
    Extension(proof): Extension<Proof>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Asked { after }) = asked.map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "查询参数有误：只支持 after（最后收到的编号）",
            format!("the query is not understood ({error}); known: after, the number that was heard last"),
        )
    })?;
    // The address of a page that comes back by itself still has the number from before.
    let heard = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let room = Arc::clone(&console.streams.room).try_acquire_owned().map_err(|_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("实时连接已满（{STREAMS} 个），请关闭不用的页面"),
            format!("{STREAMS} streams are open already: close pages that nobody looks at"),
        )
    })?;
    let (out, waiting) = mpsc::channel(BUFFER);
    let desk = Desk::new(console, (&who, proof), out);
    // Whoever goes away drops the body, and with it the task.
    let work = isolated(async move {
        desk.run(heard.or(after)).await;
        drop(room);
    });
    let body = unfold((waiting, work), async |(mut waiting, work)| {
        let text: Bytes = waiting.recv().await?;
        Some((Ok::<_, Infallible>(text), (waiting, work)))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// One message.
pub(super) fn message(id: Option<u64>, event: &str, data: &Value) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Bytes::from(format!("{id}event: {event}\ndata: {data}\n\n"))
}

/// Why a stream ended.
#[derive(Debug)]
enum Over {
    /// Its reader did not keep up.
    Slow,
    /// Its reader went away or may see no more, the store could not be read, or the gateway stops.
    Done,
}

/// Somebody who follows.
struct Desk {
    console: Console,
    out: mpsc::Sender<Bytes>,
    ring: broadcast::Receiver<Arc<Told>>,
    board: watch::Receiver<Arc<Board>>,
    /// What of the board was told.
    seen: Arc<Board>,
    /// The number of the last step that was told.
    after: u64,
    /// Whether they may look at pictures.
    pictures: bool,
    /// By which they are known: a stream does not outlive it.
    proof: Proof,
}

impl Desk {
    fn new(console: Console, (who, proof): (&Who, Proof), out: mpsc::Sender<Bytes>) -> Self {
        // Before the store is read: what becomes durable from now on is in the ring.
        let (ring, board) = (console.streams.feed.follow(), console.streams.board.clone());
        let pictures = who.may(Right::Pictures);
        Self { console, out, ring, board, seen: Arc::default(), after: 0, pictures, proof }
    }

    /// Tells everything until it ends.
    async fn run(mut self, after: Option<u64>) {
        let mut stop = self.console.streams.stop.clone();
        tokio::select! {
            biased;
            // A sender that is gone means the same as a stop.
            _ = stop.wait_for(|stop| *stop) => {}
            Err(over) = self.follow(after) => {
                if matches!(over, Over::Slow) {
                    self.console.tally.streams_cut_off.one();
                    tracing::info!("a page did not keep up with the live stream and was cut off; it may come back");
                }
            }
            () = tokio::time::sleep(AT_MOST) => {}
        }
    }

    async fn follow(&mut self, after: Option<u64>) -> Result<Infallible, Over> {
        self.send(Bytes::from_static(RETRY.as_bytes())).await?;
        match after {
            Some(after) => {
                self.after = after;
                self.catch_up().await?;
            }
            None => self.hello().await?,
        }
        self.look().await?;
        loop {
            tokio::select! {
                biased;
                told = self.ring.recv() => match told {
                    Ok(told) => self.tell(&told).await?,
                    Err(RecvError::Lagged(_)) => self.catch_up().await?,
                    Err(RecvError::Closed) => return Err(Over::Done),
                },
                changed = self.board.changed() => {
                    changed.map_err(|_| Over::Done)?;
                    self.look().await?;
                }
            }
        }
    }

    async fn send(&self, text: Bytes) -> Result<(), Over> {
        if !self.console.accounts.holds(&self.proof) {
            return Err(Over::Done);
        }
        match tokio::time::timeout(PATIENCE, self.out.send(text)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Over::Done),
            Err(_) => Err(Over::Slow),
        }
    }

    /// How everything stands, for whoever has seen nothing yet.
    async fn hello(&mut self) -> Result<(), Over> {
        let standing = read(&self.console, |reader| reader.standing()).await.map_err(|_| Over::Done)?;
        let live = Arc::clone(&self.console.live.borrow());
        let alarms: Vec<Value> =
            standing.open.iter().map(|alarm| views::alarm(&self.console, alarm)).collect();
        let data = json!({
            "at": self.console.clock.now().wall, "version": env!("CARGO_PKG_VERSION"), "alarms": alarms,
            "drill": live.drill, "areas": live.areas, "responses": responses::rows(&self.console),
        });
        self.after = standing.last;
        self.send(message(Some(self.after), "hello", &data)).await
    }

    /// Tells one step, unless it was told.
    async fn tell(&mut self, told: &Told) -> Result<(), Over> {
        match told.seq.checked_sub(self.after) {
            None | Some(0) => Ok(()),
            Some(1) => {
                self.after = told.seq;
                self.send(told.text(|seq, change| step(&self.console, seq, change))).await
            }
            Some(_) => self.catch_up().await,
        }
    }

    /// Tells from the store what was missed; where that is not there any more, how everything stands now.
    async fn catch_up(&mut self) -> Result<(), Over> {
        loop {
            let after = self.after;
            let missed = read(&self.console, move |reader| reader.missed(after, PAGE)).await;
            let Some(missed) = missed.map_err(|_| Over::Done)? else {
                let data = json!({"at": self.console.clock.now().wall});
                self.send(message(None, "reload", &data)).await?;
                return self.hello().await;
            };
            for (seq, change) in &missed.rows {
                self.send(step(&self.console, *seq, change)).await?;
            }
            self.after = missed.through;
            if !missed.more {
                return Ok(());
            }
        }
    }

    /// Tells what is new on the board.
    async fn look(&mut self) -> Result<(), Over> {
        let new = Arc::clone(&self.board.borrow_and_update());
        let old = std::mem::replace(&mut self.seen, Arc::clone(&new));
        if !Arc::ptr_eq(&old.devices, &new.devices) {
            for (_, text) in new.devices.iter().filter(|(id, text)| old.devices.get(*id) != Some(*text)) {
                self.send(text.clone()).await?;
            }
        }
        if self.pictures && !Arc::ptr_eq(&old.pictures, &new.pictures) {
            for (_, text) in new.pictures.iter().filter(|(id, text)| old.pictures.get(*id) != Some(*text)) {
                self.send(text.clone()).await?;
            }
        }
        for (old, new) in [(&old.state, &new.state), (&old.beat, &new.beat)] {
            if old != new {
                self.send(new.clone()).await?;
            }
        }
        Ok(())
    }
}

/// A step in an alarm's life.
fn step(console: &Console, seq: u64, change: &AlarmChange) -> Bytes {
    let data = json!({"alarm": views::alarm(console, &change.alarm), "change": views::step(change)});
    message(Some(seq), "alarm", &data)
}

#[cfg(test)]
pub(super) mod tests;

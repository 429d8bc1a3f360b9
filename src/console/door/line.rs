//! One connection: what it is doing, and how long it may take for that.

use axum::body::{Bytes, HttpBody};
use hyper::body::Frame;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Longest wait for the head of a request, from its first byte; also for the first one.
pub(super) const HEAD_WAIT: Duration = Duration::from_secs(10);
/// Longest wait for the body of a request.
const BODY_WAIT: Duration = Duration::from_secs(30);
/// Longest time between two requests.
const IDLE_WAIT: Duration = Duration::from_secs(60);
/// Longest time in which nothing of an answer is taken.
const WRITE_WAIT: Duration = Duration::from_secs(30);

/// What a connection is doing; the connection itself, its requests and its answers tell.
#[derive(Debug)]
pub(super) struct Line(Mutex<State>);

#[derive(Debug, Clone, Copy)]
struct State {
    phase: Phase,
    since: Instant,
    /// An answer is held up since then.
    stalled: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The handshake, or the head of a request, is being heard.
    Head,
    /// A body is being heard.
    Body,
    /// It is being answered.
    Answer,
    /// Nothing: it is kept for the next request.
    Idle,
}

impl Line {
    /// A connection that begins.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { phase: Phase::Head, since: Instant::now(), stalled: None })))
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn enter(&self, phase: Phase) {
        self.set(|state| (state.phase, state.since) = (phase, Instant::now()));
    }

    fn state(&self) -> State {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when it does nothing for anybody, unless it is being answered: what has to go first when seats are short.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.phase != Phase::Answer && state.stalled.is_none()).then_some(state.since)
    }

    /// When it has to be closed unless something happens before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let state = self.state();
        let wait = match state.phase {
            Phase::Head => Some(HEAD_WAIT),
            Phase::Body => Some(BODY_WAIT),
            Phase::Idle => Some(IDLE_WAIT),
            Phase::Answer => None,
        };
        let phase = wait.map(|wait| state.since + wait);
        phase.into_iter().chain(state.stalled.map(|since| since + WRITE_WAIT)).min()
    }

    /// A request has come; its body, to be read.
    pub(super) fn asked<B: HttpBody>(self: &Arc<Self>, body: B) -> Heard<B> {
        self.enter(if body.is_end_stream() { Phase::Answer } else { Phase::Body });
        Heard { body, line: Arc::clone(self) }
    }

    /// Its answer is there; the body, to be written.
    pub(super) fn answered<B: HttpBody>(self: &Arc<Self>, body: B) -> Said<B> {
        self.enter(Phase::Answer);
        Said { body, line: Arc::clone(self) }
    }
}

/// The body of a request.
#[derive(Debug)]
pub(super) struct Heard<B> {
    body: B,
    line: Arc<Line>,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Heard<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() {
            self.line.enter(Phase::Answer);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer. When it is gone the next request may come.
#[derive(Debug)]
pub(super) struct Said<B> {
    body: B,
    line: Arc<Line>,
}

impl<B> Drop for Said<B> {
    fn drop(&mut self) {
        self.line.enter(Phase::Idle);
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Said<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

/// What is read and written, watched.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    line: Arc<Line>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, line: Arc<Line>) -> Self {
        Self { stream, line }
    }

    fn wrote<T>(&self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let held_up = outcome.is_pending();
        self.line.set(|state| {
            state.stalled = if held_up { state.stalled.or_else(|| Some(Instant::now())) } else { None };
        });
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        if into.filled().len() > before && self.line.state().phase == Phase::Idle {
            self.line.enter(Phase::Head);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, from);
        self.wrote(outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.wrote(outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.wrote(outcome)
    }
}

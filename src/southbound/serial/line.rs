//! One shared line, a serial port or a converter that passes its bytes on: one request at a time, and no answer is ever
//! taken for another's.
//!
//! The protocols on such a line do not number their requests. Modbus RTU does not even say which registers an answer
//! holds, so an answer that comes after its deadline would be believed by whoever asks next. What keeps them apart:
//!
//! - What is in the input when a request is about to be sent is thrown away and counted.
//! - After a deadline has passed the line listens on, until the late answer has come or the line was silent for
//!   [`Pace::patience`], before anything else is sent. How late answers have come is remembered, so a slow device
//!   lengthens that silence and a dead one does not.
//! - A line that was just opened is listened to first: a converter hands what came too late for the connection before
//!   to the next one.
//! - Should an answer be later still, the next answers of the same shape are not believed alone: the line waits
//!   whether another follows, and then the last one is the true one.

use super::codec::{Codec, Look, MAX_FRAME, Refusal, Stray};
use crate::model::Fault;
use crate::museum;
use crate::southbound::polled::Tapped;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// Bits of one character: start, eight of data, parity or a second stop bit, stop.
const BITS_PER_CHAR: u32 = 11;
/// Above this many baud the silences between frames are fixed (MODBUS over Serial Line V1.02, section 2.5.1.1).
const FAST_BAUD: u32 = 19_200;
/// Silence between two frames above [`FAST_BAUD`].
const FAST_SILENCE: Duration = Duration::from_micros(1750);
/// Silence after a missed answer at least, until lateness was seen.
const LEAST_PATIENCE: Duration = Duration::from_millis(300);
/// And at most.
const MOST_PATIENCE: Duration = Duration::from_secs(5);
/// Longest listening after a missed answer on a line that is never silent.
const BABBLE: Duration = Duration::from_secs(10);
/// Bytes that answer nothing, after which a request is given up: a line of pure noise.
const MOST_NOISE: usize = 1024;
/// Missed answers remembered as still to come.
const MOST_OWED: usize = 8;

/// What carries the bytes.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Why a request on the line gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Nothing came.
    #[error("no answer within {} ms", within.as_millis())]
    Silent {
        /// The deadline, from the last byte sent.
        within: Duration,
    },
    /// Something came, but no answer.
    #[error("no answer within {} ms, only {bytes} bytes: {last}", within.as_millis())]
    Strange {
        /// The deadline.
        within: Duration,
        /// How many bytes.
        bytes: usize,
        /// What the last of them were.
        last: Stray,
    },
    /// An answer began and did not end.
    #[error("only the first {bytes} bytes of an answer within {} ms", within.as_millis())]
    Partial {
        /// The deadline.
        within: Duration,
        /// What had come.
        bytes: usize,
    },
    /// The device says no.
    #[error("the device refuses: {0}")]
    Refused(Refusal),
    /// The other side closed the connection.
    #[error("the other side closed the connection")]
    Closed,
    /// The line broke.
    #[error("the line broke")]
    Broke(#[source] io::Error),
}

impl LineError {
    /// What kind of fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Silent { .. } | Self::Partial { .. } => Fault::Timeout,
            Self::Strange { .. } => Fault::Protocol,
            Self::Refused(refusal) => refusal.fault(),
            Self::Closed | Self::Broke(_) => Fault::Gone,
        }
    }

    /// Whether the line itself is lost and must be opened anew.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Closed | Self::Broke(_))
    }
}

/// The times of a line, all from its baud rate but for what its devices have shown.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    baud: u32,
    /// The latest that an answer ever came after its deadline.
    lateness: Duration,
}

impl Pace {
    /// For a line of so many baud (of the serial side, where there is a converter).
    #[must_use]
    pub fn new(baud: u32) -> Self {
        Self { baud: baud.max(1), lateness: Duration::ZERO }
    }

    /// How long so many bytes take on the line.
    #[must_use]
    pub fn of_bytes(self, bytes: usize) -> Duration {
        let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(u64::from(BITS_PER_CHAR));
        Duration::from_micros(bits.saturating_mul(1_000_000) / u64::from(self.baud))
    }

    /// The silence that ends a frame: three and a half characters.
    #[must_use]
    pub fn silence(self) -> Duration {
        if self.baud > FAST_BAUD { FAST_SILENCE } else { self.of_bytes(7) / 2 }
    }

    /// How long the line must be silent after a missed answer.
    fn patience(self, within: Duration) -> Duration {
        within.max(self.lateness * 2).clamp(LEAST_PATIENCE, MOST_PATIENCE) + self.silence()
    }
}

/// Counts of what a line has thrown away, since last taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Thrown {
    /// Answers that came after their deadline.
    pub late: u64,
    /// Bytes that answered nothing.
    pub bytes: u64,
}

/// One missed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owed {
    /// What an answer must look like to be mistaken for it.
    shape: Vec<u8>,
}

/// A line with one owner.
pub struct Line {
    wire: Box<dyn Wire>,
    pace: Pace,
    held: Vec<u8>,
    /// When the last byte came or went.
    quiet_since: Instant,
    /// Nothing was sent yet: whoever had the line before may still be answered.
    fresh: bool,
    owed: VecDeque<Owed>,
    thrown: Thrown,
    tap: Tapped,
}

impl Line {
    /// Takes a line over.
    pub fn new(wire: Box<dyn Wire>, pace: Pace) -> Self {
        Self {
            wire,
            pace,
            held: Vec::with_capacity(MAX_FRAME),
            quiet_since: Instant::now(),
            fresh: true,
            owed: VecDeque::new(),
            thrown: Thrown::default(),
            tap: Tapped::default(),
        }
    }

    /// Copies what goes and comes to a tap.
    pub(super) fn set_tap(&mut self, tap: Tapped) {
        self.tap = tap;
    }

    /// The line's times.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// What was thrown away since last asked.
    pub fn take_thrown(&mut self) -> Thrown {
        std::mem::take(&mut self.thrown)
    }

    /// Sends a request and waits for its answer, `within` from the last byte sent to the first of the answer; the time
    /// the bytes take comes on top, but no device gets more of it by sending slowly.
    ///
    /// When the future is dropped before it ends, the line is in doubt: open a new one.
    ///
    /// # Errors
    /// [`LineError`]; where [`LineError::is_loss`], the line must be opened anew.
    pub async fn ask<C: Codec>(&mut self, codec: &C, within: Duration) -> Result<C::Answer, LineError> {
        self.clear().await?;
        let request = codec.request();
        self.tap.sent(&request);
        self.wire.write_all(&request).await.map_err(LineError::Broke)?;
        self.wire.flush().await.map_err(LineError::Broke)?;
        // The system takes the bytes at once; the line needs its time.
        let sent = Instant::now() + self.pace.of_bytes(request.len());
        let deadline = sent + within + self.pace.of_bytes(codec.expected_len());
        let outcome = self.answer(codec, deadline, within).await;
        self.quiet_since = Instant::now();
        match outcome {
            Err(LineError::Silent { .. } | LineError::Partial { .. } | LineError::Strange { .. }) => {
                if !museum::on("late_answer_not_awaited") {
                    self.listen_on(codec, deadline, within).await?;
                }
                outcome
            }
            Ok(_) if self.owed.iter().any(|owed| owed.shape == codec.shape()) => {
                self.last_of(codec, outcome, within).await
            }
            outcome => outcome,
        }
    }

    /// Sends what nobody answers.
    ///
    /// # Errors
    /// When the line breaks.
    pub async fn tell(&mut self, frame: &[u8]) -> Result<(), LineError> {
        self.clear().await?;
        self.tap.sent(frame);
        self.wire.write_all(frame).await.map_err(LineError::Broke)?;
        self.wire.flush().await.map_err(LineError::Broke)?;
        tokio::time::sleep(self.pace.of_bytes(frame.len())).await;
        self.quiet_since = Instant::now();
        Ok(())
    }

    /// Waits for the silence between frames and throws away what came meanwhile.
    async fn clear(&mut self) -> Result<(), LineError> {
        let silence = if std::mem::take(&mut self.fresh) { LEAST_PATIENCE } else { self.pace.silence() };
        let give_up = Instant::now() + BABBLE;
        let mut until = self.quiet_since + silence;
        loop {
            let fresh = self.receive(until.min(give_up)).await?;
            self.thrown.bytes += u64::try_from(self.held.len()).unwrap_or(0);
            self.held.clear();
            if !fresh {
                return Ok(());
            }
            until = Instant::now() + silence;
        }
    }

    /// Receives something into `held` by then; whether anything came.
    async fn receive(&mut self, until: Instant) -> Result<bool, LineError> {
        let mut bytes = [0; MAX_FRAME];
        // What is there already is taken even when the time is over.
        match timeout_at(until, self.wire.read(&mut bytes)).await {
            Err(_) => Ok(false),
            Ok(Ok(0)) => Err(LineError::Closed),
            Ok(Ok(n)) => {
                self.tap.came(bytes.get(..n).unwrap_or_default());
                self.held.extend(bytes.iter().take(n));
                Ok(true)
            }
            Ok(Err(error)) => Err(LineError::Broke(error)),
        }
    }

    async fn answer<C: Codec>(
        &mut self,
        codec: &C,
        deadline: Instant,
        within: Duration,
    ) -> Result<C::Answer, LineError> {
        let (mut strays, mut last) = (0, None);
        loop {
            match codec.look(&self.held) {
                Look::Wait => {}
                Look::Skip { bytes, what } => {
                    let bytes = bytes.clamp(1, self.held.len().max(1));
                    self.held.drain(..bytes.min(self.held.len()));
                    self.thrown.bytes += u64::try_from(bytes).unwrap_or(0);
                    strays += bytes;
                    last = Some(what);
                    if strays > MOST_NOISE {
                        return Err(LineError::Strange { within, bytes: strays, last: what });
                    }
                    continue;
                }
                Look::Answer { said, bytes } => {
                    self.held.drain(..bytes.min(self.held.len()));
                    return said.map_err(LineError::Refused);
                }
            }
            if !self.receive(deadline).await? {
                return Err(match (self.held.len(), last) {
                    (0, None) => LineError::Silent { within },
                    (bytes, None) => LineError::Partial { within, bytes },
                    (held, Some(last)) => LineError::Strange { within, bytes: strays + held, last },
                });
            }
        }
    }

    /// After a missed answer: listens until it has come or the line has been silent long enough.
    async fn listen_on<C: Codec>(
        &mut self,
        codec: &C,
        deadline: Instant,
        within: Duration,
    ) -> Result<(), LineError> {
        let give_up = Instant::now() + BABBLE;
        let mut until = Instant::now() + self.pace.patience(within);
        while self.receive(until.min(give_up)).await? {
            loop {
                match codec.look(&self.held) {
                    Look::Wait => break,
                    Look::Skip { bytes, .. } => {
                        let bytes = bytes.clamp(1, self.held.len().max(1)).min(self.held.len());
                        self.held.drain(..bytes);
                        self.thrown.bytes += u64::try_from(bytes).unwrap_or(0);
                    }
                    Look::Answer { bytes, .. } => {
                        self.held.drain(..bytes.min(self.held.len()));
                        self.thrown.late += 1;
                        let late = Instant::now().saturating_duration_since(deadline);
                        self.pace.lateness = self.pace.lateness.max(late);
                        self.quiet_since = Instant::now();
                        return Ok(());
                    }
                }
            }
            until = until.max(Instant::now() + self.pace.silence());
        }
        self.held.clear();
        let shape = codec.shape();
        if !shape.is_empty() {
            self.owed.push_back(Owed { shape });
        }
        if self.owed.len() > MOST_OWED {
            self.owed.pop_front();
        }
        Ok(())
    }

    /// An answer that may be one that was given up: waits whether another comes, and believes the last.
    async fn last_of<C: Codec>(
        &mut self,
        codec: &C,
        mut outcome: Result<C::Answer, LineError>,
        within: Duration,
    ) -> Result<C::Answer, LineError> {
        let shape = codec.shape();
        loop {
            let deadline = Instant::now() + within;
            match self.answer(codec, deadline, within).await {
                Err(LineError::Silent { .. } | LineError::Partial { .. } | LineError::Strange { .. }) => {
                    // None is on its way any more that would have come by now.
                    self.owed.retain(|owed| owed.shape != shape);
                    return outcome;
                }
                Err(error) if error.is_loss() => return Err(error),
                newer => {
                    self.thrown.late += 1;
                    if let Some(at) = self.owed.iter().position(|owed| owed.shape == shape) {
                        self.owed.remove(at);
                    }
                    outcome = newer;
                    if !self.owed.iter().any(|owed| owed.shape == shape) {
                        return outcome;
                    }
                }
            }
        }
    }
}

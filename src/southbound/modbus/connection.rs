//! One TCP connection to a Modbus endpoint: one request at a time, and no reply is ever taken for another's.
//!
//! Every request has a transaction id of its own, and only the reply with that id, that unit, that function and
//! exactly the bytes asked for is believed. A reply that comes after its deadline is recognised by its id and thrown
//! away while the next one is waited for, so a timeout costs one read and not the connection. Whatever leaves doubt
//! about where the next frame begins or whose it is closes the connection; the next read opens a new one.
//!
//! Ids start at random and go on over reconnects. They are 16 bits wide and therefore come round again after 65,535
//! requests; an id whose reply is still owed is passed over.

use super::frame::{self, MAX_ADU};
use super::pdu::{self, Answer};
use crate::profile::RegisterTable;
use crate::southbound::polled::{Ask, Channel, ReadError, Said, Station, Tap, Tapped, dial};
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// So many timeouts in a row, of whatever units, mean that the connection itself may be dead.
const TIMEOUTS_TO_RECONNECT: u8 = 3;
/// Most ids whose reply is owed; one more and the connection is closed.
const MAX_OWED: usize = 32;
/// A reply to one of so many requests before this one is late; any other id was never asked for.
const LATE_WINDOW: u16 = 1024;

/// What was received and not yet used.
#[derive(Debug)]
struct Inbox {
    bytes: [u8; MAX_ADU],
    filled: usize,
}

impl Inbox {
    fn held(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// Room for more; never empty unless a whole frame is held.
    fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }

    fn consume(&mut self, len: usize) {
        self.bytes.copy_within(len.min(self.filled)..self.filled, 0);
        self.filled = self.filled.saturating_sub(len);
    }
}

/// Replies that were thrown away while one was waited for.
#[derive(Debug, Default, Clone, Copy)]
struct Strangers {
    id: Option<u16>,
    unit: Option<u8>,
}

/// A connection to one Modbus TCP endpoint, with one owner. After a failure that leaves doubt it is closed, and the
/// next [`Connection::read`] opens it again.
#[derive(Debug)]
pub struct Connection {
    host: String,
    port: u16,
    timeout: Duration,
    stream: Option<TcpStream>,
    inbox: Inbox,
    last_id: u16,
    owed: VecDeque<u16>,
    timeouts_in_row: u8,
    stale: u64,
    tap: Tapped,
}

/// One request under way.
#[derive(Debug, Clone, Copy)]
struct Request<'a> {
    id: u16,
    unit: u8,
    pdu: &'a pdu::Request,
}

impl Connection {
    /// Connects. `timeout` is the longest wait for one whole reply, from sending the request to its last byte.
    ///
    /// # Errors
    /// [`ReadError::Connect`].
    pub async fn connect(host: &str, port: u16, timeout: Duration) -> Result<Self, ReadError> {
        let mut connection = Self {
            host: host.to_owned(),
            port,
            timeout,
            stream: None,
            inbox: Inbox { bytes: [0; MAX_ADU], filled: 0 },
            last_id: getrandom::u32().map_or(0, |random| u16::try_from(random >> 16).unwrap_or(0)),
            owed: VecDeque::with_capacity(MAX_OWED),
            timeouts_in_row: 0,
            stale: 0,
            tap: Tapped::default(),
        };
        connection.reopen().await?;
        Ok(connection)
    }

    /// Whether the next read uses the connection that stands.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Closes what stands and connects anew.
    ///
    /// # Errors
    /// [`ReadError::Connect`].
    pub async fn reopen(&mut self) -> Result<(), ReadError> {
        self.close();
        match dial(&self.host, self.port).await {
            Ok(stream) => {
                self.stream = Some(stream);
                Ok(())
            }
            Err(cause) => Err(ReadError::Connect { endpoint: format!("{}:{}", self.host, self.port), cause }),
        }
    }

    /// How many replies were thrown away since last asked.
    pub fn take_stale_replies(&mut self) -> u64 {
        std::mem::take(&mut self.stale)
    }

    /// Reads `quantity` registers from `address` on: exactly that many values, or none.
    ///
    /// May be dropped at any time: the connection is then closed, and the next read opens a new one.
    ///
    /// # Errors
    /// [`ReadError`]; [`Connection::is_open`] tells whether the connection outlived it.
    pub async fn read(
        &mut self,
        unit: u8,
        table: RegisterTable,
        address: u16,
        quantity: u16,
    ) -> Result<Vec<u16>, ReadError> {
        match self.request(unit, &pdu::Request::read(table, address, quantity)?).await? {
            Answer::Words(words) => Ok(words),
            Answer::Written | Answer::Objects(..) => Ok(Vec::new()),
        }
    }

    async fn request(&mut self, unit: u8, pdu: &pdu::Request) -> Result<Answer, ReadError> {
        if self.stream.is_none() {
            self.reopen().await?;
        }
        let Some(mut stream) = self.stream.take() else { return Err(ReadError::Closed) };
        let request = Request { id: self.next_id(), unit, pdu };
        let mut strangers = Strangers::default();
        let within = self.timeout;
        let exchange = self.exchange(&mut stream, request, &mut strangers);
        let outcome = match tokio::time::timeout(within, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.ran_out(request, strangers)),
        };
        if self.settle(request, &outcome) {
            self.stream = Some(stream);
        } else {
            self.close();
        }
        outcome
    }

    fn close(&mut self) {
        self.stream = None;
        self.inbox.filled = 0;
        self.timeouts_in_row = 0;
    }

    /// The next id: never 0, never one whose reply is owed.
    fn next_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if self.last_id != 0 && !self.owed.contains(&self.last_id) {
                return self.last_id;
            }
        }
    }

    async fn exchange(
        &mut self,
        stream: &mut TcpStream,
        request: Request<'_>,
        strangers: &mut Strangers,
    ) -> Result<Answer, ReadError> {
        let bytes = frame::encode(request.id, request.unit, request.pdu.bytes());
        self.tap.sent(&bytes);
        stream.write_all(&bytes).await.map_err(ReadError::Broke)?;
        loop {
            if let Some(answer) = self.look(request, strangers)? {
                return Ok(answer);
            }
            match stream.read(self.inbox.room()).await {
                Ok(0) => return Err(ReadError::Closed),
                Ok(n) => {
                    self.tap.came(self.inbox.room().get(..n).unwrap_or_default());
                    self.inbox.filled += n;
                }
                Err(error) => return Err(ReadError::Broke(error)),
            }
        }
    }

    /// Takes whole frames out of the inbox until one answers the request or none is left.
    fn look(&mut self, request: Request<'_>, strangers: &mut Strangers) -> Result<Option<Answer>, ReadError> {
        loop {
            let held = self.inbox.held();
            let frame = match frame::first_frame(held) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(None),
                Err(what) => return Err(ReadError::Malformed { what, raw: held.to_vec() }),
            };
            let len = frame.len;
            if frame.id == request.id && frame.unit == request.unit {
                let raw = held.get(..len).unwrap_or_default();
                let answer = request.pdu.judge(frame.pdu).map_err(|verdict| verdict.into_error(raw));
                self.inbox.consume(len);
                return answer.map(Some);
            }
            if frame.id == 0 {
                return Err(ReadError::NoTransactionId { asked: request.id });
            }
            if frame.id == request.id {
                strangers.unit = Some(frame.unit);
            } else if request.id.wrapping_sub(frame.id) > LATE_WINDOW {
                strangers.id = Some(frame.id);
            }
            let id = frame.id;
            self.owed.retain(|owed| *owed != id);
            self.stale += 1;
            self.inbox.consume(len);
        }
    }

    /// What to call it that the deadline passed.
    fn ran_out(&self, request: Request<'_>, strangers: Strangers) -> ReadError {
        let within = self.timeout;
        if let Some(answered) = strangers.unit {
            return ReadError::WrongUnit { asked: request.unit, answered };
        }
        if let Some(answered) = strangers.id {
            return ReadError::WrongTransactionId { asked: request.id, answered };
        }
        match self.inbox.filled {
            0 => ReadError::Timeout { within },
            bytes => ReadError::Partial { within, bytes },
        }
    }

    /// Notes how a request ended; whether the connection may be used again.
    fn settle(&mut self, request: Request<'_>, outcome: &Result<Answer, ReadError>) -> bool {
        match outcome {
            Ok(_) | Err(ReadError::Refused(_)) => {
                self.timeouts_in_row = 0;
                true
            }
            Err(error) => {
                let full = self.owed.len() >= MAX_OWED;
                if full {
                    self.owed.clear();
                }
                self.owed.push_back(request.id);
                self.timeouts_in_row += 1;
                let late_is_harmless = matches!(error, ReadError::Timeout { .. });
                late_is_harmless && !full && self.timeouts_in_row < TIMEOUTS_TO_RECONNECT
            }
        }
    }
}

impl Channel for Connection {
    fn kind(&self) -> &'static str {
        "Modbus TCP"
    }

    fn is_open(&self) -> bool {
        Self::is_open(self)
    }

    fn reopen(&mut self) -> BoxFuture<'_, Result<(), ReadError>> {
        Box::pin(Self::reopen(self))
    }

    fn ask<'a>(&'a mut self, station: Station, ask: &'a Ask) -> BoxFuture<'a, Result<Said, ReadError>> {
        Box::pin(async move {
            match station {
                Station::Unit(unit) => pdu::ask(self, unit, ask).await,
                Station::Meter(_) | Station::Flow(..) => Err(ReadError::WrongBus),
            }
        })
    }

    fn take_stale(&mut self) -> u64 {
        self.take_stale_replies()
    }

    fn set_tap(&mut self, tap: Option<Tap>) {
        self.tap = Tapped::new(tap);
    }
}

impl pdu::Exchange for Connection {
    async fn exchange(&mut self, unit: u8, request: &pdu::Request) -> Result<Answer, ReadError> {
        self.request(unit, request).await
    }
}

#[cfg(test)]
mod tests;

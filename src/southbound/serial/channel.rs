//! A serial line as a channel: which protocol a request takes, and when the line is opened anew.

use super::codec::Codec;
use super::line::{Line, LineError, Pace};
use super::{cjt188, dlt645, rtu, wire};
use crate::config::{Serial, SerialPlace};
use crate::profile::Identifier;
use crate::southbound::modbus::pdu::{self, Answer};
use crate::southbound::polled::{Ask, Channel, ReadError, Said, Station, Tap, Tapped};
use futures_util::future::BoxFuture;

/// So many requests in a row without an answer, of whatever devices, mean that a converter's connection may be dead.
const MISSES_TO_REOPEN: u8 = 6;
/// Most frames of one DL/T 645 quantity.
const MAX_FRAMES: u8 = 16;

/// A serial line and the settings to open it with.
pub(super) struct SerialChannel {
    settings: Serial,
    line: Option<Line>,
    pace: Pace,
    misses: u8,
    /// CJ/T 188: number of the last frame.
    serial: u8,
    stale: u64,
    tap: Tapped,
}

impl SerialChannel {
    pub(super) async fn open(settings: Serial) -> Result<Self, ReadError> {
        let pace = Pace::new(settings.baud);
        let mut channel =
            Self { settings, line: None, pace, misses: 0, serial: 0, stale: 0, tap: Tapped::default() };
        channel.connect().await?;
        Ok(channel)
    }

    async fn connect(&mut self) -> Result<(), ReadError> {
        self.line = None;
        self.misses = 0;
        let mut line = Line::new(wire::open(&self.settings).await?, self.pace);
        line.set_tap(self.tap.clone());
        self.line = Some(line);
        Ok(())
    }

    async fn send<C: Codec>(&mut self, codec: &C) -> Result<C::Answer, ReadError> {
        if self.line.is_none() {
            self.connect().await?;
        }
        // Taken out, so that a request that is cut off leaves a closed line.
        let Some(mut line) = self.line.take() else { return Err(ReadError::Closed) };
        let outcome = line.ask(codec, self.settings.timeout).await;
        // What the line learned of its devices outlives the connection.
        self.pace = line.pace();
        self.stale += line.take_thrown().late;
        match &outcome {
            Ok(_) | Err(LineError::Refused(_)) => self.misses = 0,
            Err(_) => self.misses = self.misses.saturating_add(1),
        }
        let lost = outcome.as_ref().is_err_and(LineError::is_loss);
        let is_converter = matches!(self.settings.place, SerialPlace::Converter { .. });
        if !lost && (!is_converter || self.misses < MISSES_TO_REOPEN) {
            self.line = Some(line);
        }
        outcome.map_err(ReadError::from)
    }

    async fn quantity(&mut self, address: dlt645::Address, di: u32) -> Result<Said, ReadError> {
        let di = dlt645::Di(di);
        let mut answer = self.send(&dlt645::Request { address, ask: dlt645::Ask::Read(di) }).await?;
        let mut bytes = answer.data;
        for number in 1..MAX_FRAMES {
            if !answer.more {
                return Ok(Said::Bytes(bytes));
            }
            answer = self.send(&dlt645::Request { address, ask: dlt645::Ask::ReadOn(di, number) }).await?;
            bytes.append(&mut answer.data);
        }
        let what = format!("the meter sends more than {MAX_FRAMES} frames of one quantity");
        Err(ReadError::Malformed { what, raw: Vec::new() })
    }

    async fn flow(
        &mut self,
        kind: u8,
        address: cjt188::Address,
        ask: cjt188::Ask,
    ) -> Result<cjt188::Answer, ReadError> {
        self.serial = self.serial.wrapping_add(1);
        self.send(&cjt188::Request { kind, address, ask, serial: self.serial }).await
    }
}

impl Channel for SerialChannel {
    fn kind(&self) -> &'static str {
        "a serial line"
    }

    fn is_open(&self) -> bool {
        self.line.is_some()
    }

    fn reopen(&mut self) -> BoxFuture<'_, Result<(), ReadError>> {
        Box::pin(self.connect())
    }

    fn ask<'a>(&'a mut self, station: Station, ask: &'a Ask) -> BoxFuture<'a, Result<Said, ReadError>> {
        Box::pin(async move {
            match (station, ask) {
                (Station::Unit(unit), _) => pdu::ask(self, unit, ask).await,
                (Station::Meter(address), Ask::PlateAddress) => {
                    let request = dlt645::Request { address, ask: dlt645::Ask::ReadAddress };
                    let answer = self.send(&request).await?;
                    Ok(Said::Bytes(answer.address.to_string().into_bytes()))
                }
                (Station::Meter(address), Ask::Quantity(Identifier::Dlt645(di))) => {
                    self.quantity(address, *di).await
                }
                (Station::Flow(kind, address), Ask::Quantity(Identifier::Cjt188(di))) => {
                    let answer = self.flow(kind, address, cjt188::Ask::Read(*di)).await?;
                    Ok(Said::Bytes(answer.data))
                }
                (Station::Flow(kind, address), Ask::PlateAddress) => {
                    let answer = self.flow(kind, address, cjt188::Ask::ReadAddress).await?;
                    Ok(Said::Bytes(answer.address.to_string().into_bytes()))
                }
                _ => Err(ReadError::WrongBus),
            }
        })
    }

    fn take_stale(&mut self) -> u64 {
        std::mem::take(&mut self.stale)
    }

    fn set_tap(&mut self, tap: Option<Tap>) {
        self.tap = Tapped::new(tap);
        if let Some(line) = &mut self.line {
            line.set_tap(self.tap.clone());
        }
    }
}

impl pdu::Exchange for SerialChannel {
    async fn exchange(&mut self, unit: u8, request: &pdu::Request) -> Result<Answer, ReadError> {
        let pdu = self.send(&rtu::Request::new(unit, request.clone())).await?;
        request.judge(&pdu).map_err(|verdict| verdict.into_error(&pdu))
    }
}

impl From<LineError> for ReadError {
    fn from(error: LineError) -> Self {
        match error {
            LineError::Silent { within } => Self::Timeout { within },
            LineError::Partial { within, bytes } => Self::Partial { within, bytes },
            LineError::Strange { within, bytes, last } => Self::Strange { within, bytes, last },
            LineError::Refused(refusal) => Self::Refused(refusal),
            LineError::Closed => Self::Closed,
            LineError::Broke(cause) => Self::Broke(cause),
        }
    }
}

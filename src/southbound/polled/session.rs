//! The poll loop of one bus: the device that is due first, one request, its answer into the pipe, and again.

use super::commands::{CommandError, Order};
use super::schedule::{Next, Schedule};
use super::silence::Allowance;
use super::spacing::{News, Spacing};
use super::unit::{PolledUnit, Progress, Round};
use super::{Ask, Channel, ReadError, Remedy, Said, Station};
use crate::config::Device;
use crate::model::{Body, BusId, Delivery, DeviceId, Fault, Input, Link, Mono, Observation, Refused, Stamp};
use crate::profile::RegisterTable;
use crate::runtime::tally::Count;
use crate::runtime::{Chain, lanes::Stopping};
use crate::southbound::{Failure, Field, Links, Session, supervise};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Shortest time between two connects to the same endpoint, so that a broken converter is not stormed.
const BETWEEN_CONNECTS: Duration = Duration::from_secs(2);

/// So often in a row a read has no answer, while the device gives others, before that is told.
const MISSES_TO_TELL: u8 = 3;
/// So many commands in a row, and a poll that is due has its turn.
const COMMANDS_IN_A_ROW: u8 = 4;

/// An open connection and the devices polled over it.
pub struct Poller {
    bus: BusId,
    channel: Box<dyn Channel>,
    spacing: Spacing,
    units: Vec<PolledUnit>,
    /// Every unit's rounds, each with its unit's place; in the order of the schedule.
    rounds: Vec<(usize, Round)>,
    /// Devices that cannot be polled as they are configured.
    unpollable: Vec<DeviceId>,
    schedule: Schedule,
    allowance: Allowance,
    orders: mpsc::Receiver<Box<Order>>,
    links: Links,
    requests: Arc<Count>,
    stale: Arc<Count>,
    skipped: Arc<Count>,
    connected: Mono,
    /// Whether anything answered since the last connect.
    heard: bool,
    /// Requests in a row that ended in a closed connection with nothing heard on it.
    unheard: usize,
    delivered: bool,
}

impl Poller {
    /// `timeout` is about how long a dead device holds the others up; `gap` the least pause after an answer.
    #[must_use]
    pub fn new(
        bus: &BusId,
        channel: Box<dyn Channel>,
        timeout: Duration,
        gap: Duration,
        devices: &[Device],
        field: &Field,
    ) -> Self {
        let seed = supervise::seed(bus);
        let (mut units, mut rounds, mut unpollable) = (Vec::new(), Vec::new(), Vec::new());
        for (index, device) in (0..).zip(devices) {
            match PolledUnit::new(device, timeout, seed.wrapping_add(index)) {
                Some((unit, own)) => {
                    rounds.extend(own.into_iter().map(|round| (units.len(), round)));
                    units.push(unit);
                }
                None => unpollable.push(device.id.clone()),
            }
        }
        // There may be thousands of buses with one device each.
        units.shrink_to_fit();
        rounds.shrink_to_fit();
        let now = field.clock.now().mono;
        Self {
            schedule: Schedule::new(rounds.iter().map(|(_, round)| round.rhythm), seed, now),
            bus: bus.clone(),
            channel,
            spacing: Spacing::new(gap),
            units,
            rounds,
            unpollable,
            allowance: Allowance::new(now),
            orders: field.commands.open(bus),
            links: Links::default(),
            requests: field.tally.requests.of(bus),
            stale: field.tally.stale_replies.of(bus),
            skipped: field.tally.skipped_polls.of(bus),
            connected: now,
            heard: false,
            unheard: 0,
            delivered: false,
        }
    }

    async fn poll_for_ever(&mut self, field: &Field) -> Result<std::convert::Infallible, Failure> {
        for device in std::mem::take(&mut self.unpollable) {
            tracing::error!(bus = %self.bus, %device, "not polled: its address does not fit \
                its profile, or the profile has nothing to ask for; run `schoolgate check`");
            self.tell(field, &device, Link::Down(Fault::Misconfigured)).await?;
        }
        let mut in_a_row = 0;
        loop {
            if in_a_row < COMMANDS_IN_A_ROW
                && let Ok(order) = self.orders.try_recv()
            {
                in_a_row += 1;
                self.carry_out(order, field).await?;
                continue;
            }
            in_a_row = 0;
            let now = field.clock.now().mono;
            let wait = match self.schedule.next(now) {
                Next::Now(index) => {
                    self.one_request(index, field).await?;
                    continue;
                }
                Next::At(due) => due.since(now),
                Next::Never => Duration::MAX,
            };
            match tokio::time::timeout(wait, self.orders.recv()).await {
                Ok(Some(order)) => {
                    in_a_row += 1;
                    self.carry_out(order, field).await?;
                }
                // Nobody can order anything any more.
                Ok(None) => tokio::time::sleep(wait).await,
                Err(_) => {}
            }
        }
    }

    async fn carry_out(&mut self, order: Box<Order>, field: &Field) -> Result<(), Failure> {
        let Order { device, ask, outcome } = *order;
        if outcome.is_closed() {
            return Ok(());
        }
        let Some(unit) = self.units.iter().find(|unit| unit.device.id == device) else {
            outcome.send(Err(CommandError::UnknownDevice { bus: self.bus.clone(), device })).ok();
            return Ok(());
        };
        let station = unit.station;
        if !self.channel.is_open()
            && let Err(failure) = self.reconnect(field).await
        {
            outcome.send(Err(CommandError::NotConnected { bus: self.bus.clone() })).ok();
            return Err(failure);
        }
        let said = self.exchange(station, &ask).await;
        if let Err(error) = &said {
            tracing::warn!(bus = %self.bus, %device, "command, {}: {}", origin(station, &ask), Chain(error));
        }
        // Whoever ordered it may be gone by now.
        outcome.send(said.map_err(|cause| CommandError::Failed { device, cause })).ok();
        rest(self.spacing.pause()).await;
        Ok(())
    }

    /// Until when the unit is not to be asked: it is silent, or there is no time left for those that are.
    fn must_wait(&self, unit: &PolledUnit, now: Mono) -> Option<Mono> {
        let mut until = unit.silence.until();
        if unit.silence.is_down() && self.units.iter().any(|unit| unit.silence.is_none()) {
            until = until.max(self.allowance.free_at());
        }
        (until > now).then_some(until)
    }

    async fn one_request(&mut self, index: usize, field: &Field) -> Result<(), Failure> {
        let began = field.clock.now().mono;
        let Some(&(at, _)) = self.rounds.get(index) else { return Ok(()) };
        let Some(unit) = self.units.get(at) else { return Ok(()) };
        if let Some(until) = self.must_wait(unit, began) {
            self.schedule.hold(index, until);
            return Ok(());
        }
        let station = unit.station;
        let Some(ask) = self.rounds.get_mut(index).and_then(|(_, round)| round.next_ask(began)) else {
            self.skipped.add(self.schedule.polled(index, began));
            return Ok(());
        };
        if !self.channel.is_open() {
            self.reconnect(field).await?;
        }
        let sent = field.clock.now().mono;
        let mut outcome = self.exchange(station, &ask).await;
        if is_gone(&outcome) && self.heard {
            // Many endpoints close a connection that was idle or long: that is nobody's failure if the same unit is
            // answered on the next one. If it is not, the unit has failed, so that it does not keep the others waiting.
            tracing::debug!(bus = %self.bus, "the connection was closed; connecting again");
            self.reconnect(field).await?;
            outcome = self.exchange(station, &ask).await;
        }
        let answered = matches!(outcome, Ok(_) | Err(ReadError::Refused(_)));
        self.note_damage(&outcome);
        let progress = match outcome {
            Ok(said) => self.take_values(index, &ask, &said, field).await?,
            Err(error) if error.fault() == Fault::Gone && self.unheard >= self.units.len() => {
                let doing = format!("poll bus '{}' by {}", self.bus, self.channel.kind());
                return Err(Failure::new(error.fault(), doing).because(error));
            }
            Err(error) => self.take_failure(index, &ask, &error, field).await?,
        };
        let now = field.clock.now().mono;
        if !answered {
            self.allowance.charge(now.since(sent), now);
        }
        match progress {
            Progress::More => self.schedule.again(index),
            Progress::Done => self.skipped.add(self.schedule.polled(index, now)),
            Progress::Missed => {
                let until = self.units.get(at).map_or(now, |unit| unit.silence.until());
                self.schedule.postpone(index, until.max(now));
            }
        }
        rest(self.spacing.pause()).await;
        Ok(())
    }

    fn note_damage(&mut self, outcome: &Result<Said, ReadError>) {
        let damaged = match outcome {
            Ok(_) | Err(ReadError::Refused(_)) => false,
            Err(error) if error.is_damage() => true,
            // Nothing came: that says nothing about the line.
            Err(_) => return,
        };
        match self.spacing.note(damaged) {
            Some(News::Bad(percent)) => tracing::warn!(
                bus = %self.bus, percent,
                "many answers come damaged: look for a second master on the line, two devices with one address, \
                 missing termination or the wrong baud rate or parity; asking more slowly"
            ),
            Some(News::Good) => tracing::info!(bus = %self.bus, "answers come whole again"),
            None => {}
        }
    }

    async fn exchange(&mut self, station: Station, ask: &Ask) -> Result<Said, ReadError> {
        self.requests.one();
        let outcome = self.channel.ask(station, ask).await;
        self.stale.add(self.channel.take_stale());
        if matches!(outcome, Ok(_) | Err(ReadError::Refused(_))) {
            (self.heard, self.unheard) = (true, 0);
        } else if is_gone(&outcome) && !self.heard {
            self.unheard += 1;
        }
        outcome
    }

    async fn reconnect(&mut self, field: &Field) -> Result<(), Failure> {
        let since = field.clock.now().mono.since(self.connected);
        tokio::time::sleep(BETWEEN_CONNECTS.saturating_sub(since)).await;
        self.connected = field.clock.now().mono;
        self.heard = false;
        field.tally.connects.of(&self.bus).one();
        let doing = format!("connect bus '{}' by {} again", self.bus, self.channel.kind());
        self.channel.reopen().await.map_err(|error| Failure::new(error.fault(), doing).because(error))
    }

    async fn take_values(
        &mut self,
        index: usize,
        ask: &Ask,
        said: &Said,
        field: &Field,
    ) -> Result<Progress, Failure> {
        let Some((at, _)) = self.rounds.get(index) else { return Ok(Progress::More) };
        let Some(polled) = self.units.get_mut(*at) else { return Ok(Progress::More) };
        let now = field.clock.now().wall;
        let device = polled.device.id.clone();
        let cx = field.context(&device, now);
        let profile = &polled.device.profile;
        let decoded = match (ask, said) {
            (Ask::Registers(block), Said::Words(words)) => {
                profile.decode_registers(&cx, block.table, block.address, words)
            }
            (Ask::Quantity(identifier), Said::Bytes(bytes)) => profile.decode_digits(*identifier, bytes),
            _ => Vec::new(),
        };
        // Registers may tell events that say nothing just now; of a quantity something must be left.
        let fits = match (ask, said) {
            (Ask::Registers(block), Said::Words(words)) => words.len() == usize::from(block.words),
            _ => !decoded.is_empty(),
        };
        if !fits {
            let what = "the answer holds none of the points it was asked for".to_owned();
            let error = ReadError::Malformed { what, raw: raw(said) };
            return self.take_failure(index, ask, &error, field).await;
        }
        polled.silence.broken();
        let inputs: Vec<Input> = decoded
            .into_iter()
            .filter_map(|decoded| {
                let retained = match &decoded.body {
                    Body::Event(event) => polled.news(event)?,
                    Body::Reading(_) | Body::Link(_) => false,
                };
                Some(Input::Observed(Observation {
                    device: device.clone(),
                    stamp: Stamp::new(decoded.device_time, now),
                    body: decoded.body,
                    retained,
                }))
            })
            .collect();
        self.tell(field, &device, Link::Up).await?;
        self.hand_on(field, inputs).await?;
        self.delivered = true;
        Ok(self.rounds.get_mut(index).map_or(Progress::More, |(_, round)| round.answered()))
    }

    /// Events are never shed; readings are, where the pipe cannot follow.
    async fn hand_on(&mut self, field: &Field, inputs: Vec<Input>) -> Result<(), Failure> {
        let is_event =
            |input: &Input| matches!(input, Input::Observed(o) if matches!(o.body, Body::Event(_)));
        let (events, readings): (Vec<Input>, Vec<Input>) = inputs.into_iter().partition(is_event);
        if !events.is_empty() {
            let delivery = Delivery { bus: Some(self.bus.clone()), key: None, inputs: events };
            // Nothing to answer for: the receipt is not waited for.
            let _receipt = field.inlet.deliver(delivery).await.map_err(stopped)?;
        }
        self.offer(field, readings)
    }

    async fn take_failure(
        &mut self,
        index: usize,
        ask: &Ask,
        error: &ReadError,
        field: &Field,
    ) -> Result<Progress, Failure> {
        let now = field.clock.now();
        let Some((at, round)) = self.rounds.get_mut(index) else { return Ok(Progress::More) };
        let Some(polled) = self.units.get_mut(*at) else { return Ok(Progress::More) };
        let device = polled.device.id.clone();
        let mut misses = 0;
        let (progress, left_out) = match error.remedy() {
            Remedy::Halve => round.refused(now.mono),
            Remedy::Shorten => round.too_long(now.mono),
            Remedy::LeaveOut => (round.leave_out(now.mono), true),
            Remedy::Later => (round.busy(), false),
            // Each further read of this round would cost the others another connection.
            Remedy::None => {
                let (progress, so_often) = round.failed(polled.silence.is_none());
                misses = so_often;
                (if error.fault() == Fault::Gone { Progress::Missed } else { progress }, false)
            }
        };
        if progress == Progress::Missed {
            polled.silence.goes_on(now.mono);
        }
        let (fault, what) = (error.fault(), origin(polled.station, ask));
        let down = polled.silence.is_down();
        if progress == Progress::More && !left_out {
            tracing::debug!(bus = %self.bus, %device, "{what}: {}; reading it in halves", Chain(error));
            return Ok(progress);
        }
        field.tally.device_faults.of(&(device.clone(), fault)).one();
        if left_out {
            tracing::warn!(bus = %self.bus, %device, advice = fault.advice().en, "{what}: {}; left out for an hour",
                Chain(error));
        } else {
            tracing::debug!(bus = %self.bus, %device, %fault, "{what}: {}", Chain(error));
        }
        if misses == MISSES_TO_TELL {
            tracing::warn!(bus = %self.bus, %device, "{what}: {}; the device answers other reads, so this one is made \
                less often", Chain(error));
        }
        if let ReadError::Malformed { what: reason, raw } = error {
            self.offer(
                field,
                vec![self.quarantined(&device, what.clone(), reason, raw, Stamp::new(None, now.wall))],
            )?;
        }
        if down && progress == Progress::Missed && self.tell(field, &device, Link::Down(fault)).await? {
            tracing::warn!(bus = %self.bus, %device, %fault, advice = fault.advice().en, "device down: {what}: {}",
                Chain(error));
        }
        Ok(progress)
    }

    fn quarantined(
        &self,
        device: &DeviceId,
        origin: String,
        reason: &str,
        raw: &[u8],
        stamp: Stamp,
    ) -> Input {
        Input::Refused(Refused {
            device: Some(device.clone()),
            bus: self.bus.clone(),
            origin,
            kind: "bad_reply",
            reason: reason.to_owned(),
            raw: raw.iter().copied().take(Refused::MAX_KEPT).collect(),
            raw_len: raw.len(),
            stamp,
        })
    }

    /// Tells the pipe how a device is; whether that was news.
    async fn tell(&mut self, field: &Field, device: &DeviceId, link: Link) -> Result<bool, Failure> {
        let Some(input) = self.links.set(device, link, field.clock.now().wall) else { return Ok(false) };
        let delivery = Delivery { bus: Some(self.bus.clone()), key: None, inputs: vec![input] };
        // Nothing to answer for: the receipt is not waited for.
        match field.inlet.deliver(delivery).await {
            Ok(_receipt) => Ok(true),
            Err(stopping) => Err(stopped(stopping)),
        }
    }

    fn offer(&self, field: &Field, inputs: Vec<Input>) -> Result<(), Failure> {
        if inputs.is_empty() {
            return Ok(());
        }
        let delivery = Delivery { bus: Some(self.bus.clone()), key: None, inputs };
        field.inlet.offer(delivery).map_err(stopped)
    }
}

fn is_gone(outcome: &Result<Said, ReadError>) -> bool {
    outcome.as_ref().is_err_and(|error| error.fault() == Fault::Gone)
}

async fn rest(pause: Duration) {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}

fn stopped(stopping: Stopping) -> Failure {
    Failure::new(Fault::Internal, "put readings into the pipe").because(stopping)
}

fn origin(station: Station, ask: &Ask) -> String {
    let whose = match station {
        Station::Unit(unit) => format!("unit {unit}"),
        Station::Meter(address) => format!("meter {address}"),
        Station::Flow(_, address) => format!("meter {address}"),
    };
    match ask {
        Ask::Registers(block) => {
            let table = table_words(block.table);
            format!("{whose}, {} {table} from {}", block.words, block.address)
        }
        Ask::Write(write) => {
            let table = table_words(write.table);
            format!("{whose}, writing {} {table} from {}", write.words.len(), write.address)
        }
        Ask::Identify => format!("{whose}, identification"),
        Ask::PlateAddress => format!("{whose}, address"),
        Ask::Quantity(identifier) => format!("{whose}, data identifier {identifier}"),
    }
}

/// The bytes of an answer, for the quarantine.
fn raw(said: &Said) -> Vec<u8> {
    match said {
        Said::Words(words) => words.iter().flat_map(|word| word.to_be_bytes()).collect(),
        Said::Bytes(bytes) => bytes.clone(),
        Said::Written | Said::Identity(_) => Vec::new(),
    }
}

fn table_words(table: RegisterTable) -> &'static str {
    match table {
        RegisterTable::Holding => "holding registers",
        RegisterTable::Input => "input registers",
        RegisterTable::Coil => "coils",
        RegisterTable::Discrete => "discrete inputs",
    }
}

impl Session for Poller {
    fn run<'a>(&'a mut self, field: &'a Field) -> BoxFuture<'a, Failure> {
        Box::pin(async move {
            match self.poll_for_ever(field).await {
                Err(failure) => failure,
                Ok(never) => match never {},
            }
        })
    }

    fn delivered(&self) -> bool {
        self.delivered
    }
}

#[cfg(test)]
mod tests;

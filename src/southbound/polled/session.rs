//! The poll loop of one bus: the device that is due first, one request, its answer into the pipe, and again.

use super::schedule::Schedule;
use super::unit::{PolledUnit, Progress};
use super::{Ask, Channel, ReadError, Remedy, Said, Station};
use crate::config::Device;
use crate::model::{BusId, Delivery, DeviceId, Fault, Input, Link, Mono, Observation, Refused, Stamp};
use crate::profile::{Context, RegisterTable};
use crate::runtime::tally::Count;
use crate::runtime::{Chain, lanes::Stopping};
use crate::southbound::{Failure, Field, Links, Session, supervise};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// Shortest time between two connects to the same endpoint, so that a broken converter is not stormed.
const BETWEEN_CONNECTS: Duration = Duration::from_secs(2);

/// An open connection and the devices polled over it.
pub(in crate::southbound) struct Poller {
    bus: BusId,
    channel: Box<dyn Channel>,
    gap: Duration,
    units: Vec<PolledUnit>,
    /// Devices that cannot be polled as they are configured.
    unpollable: Vec<DeviceId>,
    schedule: Schedule,
    links: Links,
    requests: Arc<Count>,
    stale: Arc<Count>,
    skipped: Arc<Count>,
    connected: Mono,
    /// Whether anything answered since the last connect.
    heard: bool,
    /// Requests in a row that ended in a closed connection with nothing heard on it.
    unheard: usize,
    /// The unit whose request was under way when the last connection was closed.
    gone: Option<usize>,
    delivered: bool,
}

impl Poller {
    /// `timeout` is about how long a dead device holds the others up.
    pub(in crate::southbound) fn new(
        bus: &BusId,
        channel: Box<dyn Channel>,
        timeout: Duration,
        gap: Duration,
        devices: &[Device],
        field: &Field,
    ) -> Self {
        let units: Vec<PolledUnit> = devices.iter().filter_map(PolledUnit::new).collect();
        let polled = |device: &Device| units.iter().any(|unit| unit.device.id == device.id);
        let unpollable = devices.iter().filter(|d| !polled(d)).map(|d| d.id.clone()).collect();
        let periods: Vec<Duration> = units.iter().map(|unit| unit.device.poll).collect();
        let now = field.clock.now().mono;
        Self {
            schedule: Schedule::new(&periods, timeout, supervise::seed(bus), now),
            bus: bus.clone(),
            channel,
            gap,
            units,
            unpollable,
            links: Links::default(),
            requests: field.tally.requests.of(bus),
            stale: field.tally.stale_replies.of(bus),
            skipped: field.tally.skipped_polls.of(bus),
            connected: now,
            heard: false,
            unheard: 0,
            gone: None,
            delivered: false,
        }
    }

    async fn poll_for_ever(&mut self, field: &Field) -> Result<std::convert::Infallible, Failure> {
        for device in std::mem::take(&mut self.unpollable) {
            tracing::error!(bus = %self.bus, %device, "not polled: its address does not fit \
                its profile, or the profile has nothing to ask for; run `schoolgate check`");
            self.tell(field, &device, Link::Down(Fault::Misconfigured)).await?;
        }
        loop {
            let Some((index, due)) = self.schedule.first_due() else { std::future::pending().await };
            let wait = due.since(field.clock.now().mono);
            if wait.is_zero() {
                self.one_request(index, field).await?;
            } else {
                tokio::time::sleep(wait).await;
            }
        }
    }

    async fn one_request(&mut self, index: usize, field: &Field) -> Result<(), Failure> {
        let now = field.clock.now().mono;
        let Some(polled) = self.units.get_mut(index) else { return Ok(()) };
        let Some(ask) = polled.next_ask(now) else { return Ok(()) };
        let station = polled.station;
        if !self.channel.is_open() {
            self.reconnect(field).await?;
        }
        self.requests.one();
        let outcome = self.channel.ask(station, &ask).await;
        self.stale.add(self.channel.take_stale());
        if matches!(outcome, Ok(_) | Err(ReadError::Refused(_))) {
            (self.heard, self.unheard, self.gone) = (true, 0, None);
        }
        let progress = match outcome {
            Ok(said) => self.take_values(index, &ask, &said, field).await?,
            Err(error) if error.fault() == Fault::Gone && self.forgives(index) => {
                tracing::debug!(bus = %self.bus, "{}; connecting again", Chain(&error));
                return Ok(());
            }
            Err(error) if error.fault() == Fault::Gone && self.unheard >= self.units.len() => {
                let doing = format!("poll bus '{}' by {}", self.bus, self.channel.kind());
                return Err(Failure::new(error.fault(), doing).because(error));
            }
            Err(error) => {
                let progress = self.take_failure(index, &ask, &error, field).await?;
                // Each further block of this poll would cost the others another connection.
                if error.fault() == Fault::Gone { Progress::Missed } else { progress }
            }
        };
        let now = field.clock.now().mono;
        match progress {
            Progress::More => {}
            Progress::Done => self.skipped.add(self.schedule.polled(index, now)),
            Progress::Missed => self.schedule.missed(index, now),
        }
        if !self.gap.is_zero() {
            tokio::time::sleep(self.gap).await;
        }
        Ok(())
    }

    /// Many endpoints close a connection that was idle or long: that is nobody's failure if the same unit is answered
    /// on the next one. If it is not, the unit has failed, so that it does not keep the others waiting.
    fn forgives(&mut self, index: usize) -> bool {
        if self.heard && self.gone != Some(index) {
            self.gone = Some(index);
            return true;
        }
        self.unheard += 1;
        false
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
        let Some(polled) = self.units.get_mut(index) else { return Ok(Progress::More) };
        let progress = polled.answered();
        let now = field.clock.now().wall;
        let device = polled.device.id.clone();
        let cx = Context { device: &device, now, site_key: &field.site_key, zone: &field.site.zone };
        let profile = &polled.device.profile;
        let decoded = match (ask, said) {
            (Ask::Registers(block), Said::Words(words)) => {
                profile.decode_registers(&cx, block.table, block.address, words)
            }
            (Ask::Quantity(identifier), Said::Bytes(bytes)) => profile.decode_digits(*identifier, bytes),
            _ => Vec::new(),
        };
        let inputs: Vec<Input> = decoded
            .into_iter()
            .map(|decoded| {
                Input::Observed(Observation {
                    device: device.clone(),
                    stamp: Stamp::new(decoded.device_time, now),
                    body: decoded.body,
                    retained: false,
                })
            })
            .collect();
        self.tell(field, &device, Link::Up).await?;
        self.offer(field, inputs)?;
        self.delivered = true;
        Ok(progress)
    }

    async fn take_failure(
        &mut self,
        index: usize,
        ask: &Ask,
        error: &ReadError,
        field: &Field,
    ) -> Result<Progress, Failure> {
        let now = field.clock.now();
        let Some(polled) = self.units.get_mut(index) else { return Ok(Progress::More) };
        let device = polled.device.id.clone();
        let (progress, left_out) = match error.remedy() {
            Remedy::Halve => polled.split(now.mono),
            Remedy::LeaveOut => (polled.leave_out(now.mono), true),
            Remedy::None => (polled.failed(), false),
        };
        let (fault, what) = (error.fault(), origin(polled.station, ask));
        let down = polled.is_down();
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
            let table = match block.table {
                RegisterTable::Holding => "holding",
                RegisterTable::Input => "input",
                RegisterTable::Coil => "coil",
                RegisterTable::Discrete => "discrete",
            };
            format!("{whose}, {} {table} registers from {}", block.words, block.address)
        }
        Ask::Quantity(identifier) => format!("{whose}, data identifier {identifier}"),
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

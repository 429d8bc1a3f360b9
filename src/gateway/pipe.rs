//! The loop around the pure step: takes what waits in the lanes, steps at once, commits in windows, answers.
//!
//! Stepping and committing are apart: while a commit is on its way to the disk the pipe goes on stepping, so that
//! an alarm is announced however long a card stalls. What was stepped meanwhile is the next commit: it waits until the one
//! before has returned, because the more a commit holds, the fewer pages of the database are written for each row, unless
//! it is large already.

mod clock_step;
mod overload;
mod staged;

use crate::console::Feed;
use crate::model::{AlarmChange, BusId, ClockQuality, Delivery, DeviceId, Input, Mono, Now};
use crate::notify::bell::Bell;
use crate::pipeline::{Commit, Dropped, Live, Pipeline};
use crate::rules::Finding;
use crate::runtime::lanes::{MusterOutcome, OrderOutcome, OrderParcel, Parcel};
use crate::runtime::tally::Count;
use crate::runtime::{Clock, Outlet, Tally, service};
use crate::store::{self, Committed, Health, PendingCommit, StoreError};
use clock_step::ClockWatch;
use overload::Overload;
use staged::{Staged, Waiting, urgent};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::{mpsc, oneshot, watch};

/// Most deliveries in one step.
const BATCH: usize = 500;
/// Polled readings are looked at this often, so that one step takes those of many meters.
const LOOK: Duration = Duration::from_millis(200);
/// Pause between two pictures for pages and metrics.
const PICTURE_MS: u64 = 250;
/// Most commits on their way to the disk: one that is being written and one that the store finds waiting when it is done.
const UNDER_WAY: usize = 2;
/// The second is sent when it has so many rows. Smaller ones go on gathering.
const LARGE_ROWS: usize = 4096;

/// What the loop works with.
pub struct Pipe {
    /// The pure step.
    pub pipeline: Pipeline,
    /// The lanes.
    pub outlet: Outlet,
    /// The store.
    pub store: store::Handle,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The counters.
    pub tally: Arc<Tally>,
    /// Pictures for pages and metrics.
    pub live: watch::Sender<Arc<Live>>,
    /// The bus of each device, for the counters.
    pub buses: BTreeMap<DeviceId, BusId>,
    /// What the gateway finds about itself.
    pub findings: mpsc::Receiver<Finding>,
    /// Where whoever tells people hears of alarms.
    pub bell: Bell,
    /// Where whoever follows hears of alarms once they are durable.
    pub feed: Feed,
}

/// What was taken from the lanes in one turn, and who waits for its commit.
#[derive(Default)]
struct Taken {
    deliveries: Vec<Delivery>,
    receipts: Vec<oneshot::Sender<()>>,
    orders: Vec<oneshot::Sender<OrderOutcome>>,
    musters: Vec<oneshot::Sender<MusterOutcome>>,
    /// People wait for something in it.
    urgent: bool,
    /// A device itself waits for something in it.
    direct: bool,
    /// Polled deliveries that were pushed out of their lane.
    shed: u64,
}

/// A commit on its way to the disk.
struct Flight {
    /// `None` when there was nothing to store. Its turn is waited for all the same: what it repeats may be in a commit
    /// before it.
    pending: Option<PendingCommit>,
    waiting: Waiting,
    /// What is counted once it is durable.
    counts: Vec<(Arc<Count>, u64)>,
    /// What whoever follows is told then.
    changes: Vec<AlarmChange>,
}

/// The loop's own state.
struct Turning {
    pipe: Pipe,
    staged: Staged,
    flights: VecDeque<Flight>,
    /// Which ways in are closed and empty: those of orders and of events.
    closed: (bool, bool),
    health: watch::Receiver<Health>,
    /// What of the store's health was told to the pipeline.
    told: Health,
    clock_watch: ClockWatch,
    overload: Overload,
}

impl Pipe {
    /// Works until every way into the pipe is closed and what was in it is durable.
    ///
    /// # Errors
    /// When the store gives up. Nothing of what it had not stored was answered, so whoever sent it will send it again
    /// after a restart.
    pub async fn run(self) -> Result<(), StoreError> {
        let health = self.store.health();
        let clock_watch = ClockWatch::new(self.clock.now());
        let turning = Turning {
            pipe: self,
            staged: Staged::default(),
            flights: VecDeque::with_capacity(UNDER_WAY),
            closed: (false, false),
            health,
            told: Health::default(),
            clock_watch,
            overload: Overload::default(),
        };
        turning.run().await
    }
}

impl Turning {
    async fn run(mut self) -> Result<(), StoreError> {
        let (mut pictured, mut burnt) = (None, false);
        loop {
            let taken = self.take().await?;
            let now = self.pipe.clock.now();
            self.step(now, taken);
            // What is locked must be free at once.
            let burns = self.pipe.pipeline.burns();
            if burns != burnt
                || pictured
                    .is_none_or(|at: Now| now.mono.since(at.mono).as_millis() >= u128::from(PICTURE_MS))
            {
                (pictured, burnt) = (Some(now), burns);
                service::alive();
                self.pipe.live.send_replace(Arc::new(self.pipe.pipeline.live(now.wall)));
            }
            self.launch(now.mono).await?;
            self.pipe.tally.staged_rows.set(u64::try_from(self.staged.rows()).unwrap_or(u64::MAX));
            let nothing_left = self.flights.is_empty() && self.staged.is_empty();
            if self.ending() && nothing_left && self.pipe.outlet.readings.is_empty() {
                return Ok(());
            }
        }
    }

    /// Waits for something to do and takes all that waits. A commit that lands meanwhile is answered.
    async fn take(&mut self) -> Result<Taken, StoreError> {
        let mut taken = Taken::default();
        let now = self.pipe.clock.now();
        let mut wait = self.pipe.pipeline.next_deadline(now).since(now.mono).min(LOOK);
        if let Some(due) = self.staged.due()
            && self.may_launch()
        {
            wait = wait.min(due.since(now.mono));
        }
        // Where more waits than one step takes, a pause would only let the lane run over.
        let waiting = self.pipe.outlet.readings.len();
        if waiting >= BATCH || (self.ending() && waiting > 0) {
            wait = Duration::ZERO;
        }
        let room = !self.staged.full();
        let (no_orders, no_events) = self.closed;
        let mut parcels = Vec::new();
        let outlet = &mut self.pipe.outlet;
        tokio::select! {
            biased;
            landed = landing(&mut self.flights) => self.landed(landed)?,
            parcel = outlet.orders.recv(), if room && !no_orders => match parcel {
                Some(parcel) => taken.order(parcel),
                None => self.closed.0 = true,
            },
            // All at once: a sender that waits for room is not woken once for each.
            count = outlet.events.recv_many(&mut parcels, BATCH), if room && !no_events => {
                self.closed.1 = count == 0;
            }
            () = tokio::time::sleep(wait) => {}
        }
        parcels.into_iter().for_each(|parcel| taken.parcel(parcel));
        if room {
            self.sweep(&mut taken);
        }
        self.poll(&mut taken);
        Ok(taken)
    }

    /// Whether every way in is closed, and those that are answered are empty.
    fn ending(&self) -> bool {
        self.closed == (true, true)
    }

    /// Takes what else waits in the lanes that are answered.
    fn sweep(&mut self, taken: &mut Taken) {
        let outlet = &mut self.pipe.outlet;
        while let Ok(parcel) = outlet.orders.try_recv() {
            taken.order(parcel);
        }
        while taken.deliveries.len() < BATCH
            && let Ok(parcel) = outlet.events.try_recv()
        {
            taken.parcel(parcel);
        }
    }

    /// Takes the polled readings that wait.
    fn poll(&mut self, taken: &mut Taken) {
        while taken.deliveries.len() < BATCH {
            match self.pipe.outlet.readings.try_recv() {
                Ok(delivery) => taken.deliveries.push(Arc::unwrap_or_clone(delivery)),
                Err(TryRecvError::Lagged(shed)) => {
                    taken.shed += shed;
                    self.pipe.tally.shed_deliveries.add(shed);
                    tracing::warn!(shed, "polled readings were shed: the processor cannot follow");
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
    }

    /// Steps, announces, and stages what came of it.
    fn step(&mut self, now: Now, taken: Taken) {
        if *self.health.borrow() != self.told {
            let health = self.health.borrow().clone();
            health.findings(&self.told).into_iter().for_each(|finding| self.pipe.pipeline.report(finding));
            self.told = health;
        }
        while let Ok(finding) = self.pipe.findings.try_recv() {
            self.pipe.pipeline.report(finding);
        }
        if let Some(step) = self.clock_watch.look(now) {
            self.pipe.tally.clock_steps.one();
            step.tell();
            self.staged.note(now.mono, step.entry());
        }
        if let Some(finding) = self.overload.look(now.mono) {
            self.pipe.pipeline.report(finding);
        }
        let mut commit = self.pipe.pipeline.step(now, taken.deliveries);
        let mut lost = taken.shed;
        if taken.shed > 0 {
            commit.dropped.push(Dropped { reason: "lane_full", rows: taken.shed, at: now.wall });
        }
        if self.staged.full() {
            let rows = Staged::shed(&mut commit, now.wall);
            self.pipe.tally.dropped.of(&"memory_full").add(rows);
            lost += rows;
        }
        if lost > 0
            && let Some(finding) = self.overload.lost(now.mono)
        {
            self.pipe.pipeline.report(finding);
        }
        let outcomes = std::mem::take(&mut commit.orders);
        let orders = taken.orders.into_iter().zip(outcomes).collect();
        let outcomes = std::mem::take(&mut commit.musters);
        let musters = taken.musters.into_iter().zip(outcomes).collect();
        let waiting = Waiting { receipts: taken.receipts, orders, musters };
        self.announce(&commit);
        self.staged.add(now.mono, commit, waiting, taken.urgent);
        if taken.direct {
            self.staged.answer_device(now.mono);
        }
    }

    /// Whether what is staged may go to the store now.
    fn may_launch(&self) -> bool {
        match self.flights.len() {
            0 => true,
            under_way => under_way < UNDER_WAY && self.staged.rows() >= LARGE_ROWS,
        }
    }

    /// Sends what is due to the store, unless enough is on its way already.
    async fn launch(&mut self, now: Mono) -> Result<(), StoreError> {
        let due = self.staged.due().is_some_and(|due| due <= now || self.ending());
        if !due || !self.may_launch() {
            return Ok(());
        }
        let (commit, waiting) = self.staged.take();
        self.count_left_out(&commit);
        let counts = self.counts(&commit);
        let changes = commit.alarm_changes.clone();
        // The store's queue has room for what is under way, so this does not wait for the disk.
        let pending =
            if commit.is_empty() { None } else { Some(self.pipe.store.begin_commit(commit).await?) };
        self.flights.push_back(Flight { pending, waiting, counts, changes });
        Ok(())
    }

    /// The oldest commit is durable.
    fn landed(&mut self, landed: Result<Committed, StoreError>) -> Result<(), StoreError> {
        let committed = landed?;
        let Some(Flight { waiting, counts, changes, .. }) = self.flights.pop_front() else { return Ok(()) };
        for (count, n) in counts {
            count.add(n);
        }
        self.pipe.tally.repeated_events.add(committed.duplicate_events);
        self.pipe.feed.committed(committed.last_step, changes);
        waiting.answer();
        Ok(())
    }

    /// What a commit adds to the counters once it is durable.
    fn counts(&self, commit: &Commit) -> Vec<(Arc<Count>, u64)> {
        let tally = &self.pipe.tally;
        let bus = |device| self.pipe.buses.get(device);
        let mut counts = Vec::new();
        let mut readings: BTreeMap<&BusId, u64> = BTreeMap::new();
        for bus in commit.readings.iter().filter_map(|stored| bus(&stored.device)) {
            *readings.entry(bus).or_insert(0) += 1;
        }
        counts.extend(readings.into_iter().map(|(bus, n)| (tally.readings.of(bus), n)));
        let mut events: BTreeMap<(&BusId, &'static str), u64> = BTreeMap::new();
        for stored in &commit.events {
            if let Some(bus) = bus(&stored.device) {
                *events.entry((bus, stored.event.kind.as_str())).or_insert(0) += 1;
            }
        }
        counts.extend(events.into_iter().map(|((bus, kind), n)| (tally.events.of(&(bus.clone(), kind)), n)));
        let stamps = commit.readings.iter().map(|r| (&r.device, r.stamp.clock));
        let stamps = stamps.chain(commit.events.iter().map(|e| (&e.device, e.stamp.clock)));
        for (device, _) in stamps.filter(|(_, clock)| *clock == ClockQuality::DeviceWrong) {
            counts.extend(bus(device).map(|bus| (tally.wrong_clocks.of(bus), 1)));
        }
        for refused in &commit.refused {
            counts.push((tally.refused.of(&(refused.bus.clone(), refused.kind)), 1));
        }
        counts.extend(commit.unknown.iter().map(|unknown| (tally.unknown.of(&unknown.bus), 1)));
        counts
    }

    fn count_left_out(&self, commit: &Commit) {
        for bus in &commit.duplicates {
            self.pipe.tally.duplicates.of(bus).one();
        }
    }

    /// Alarms go to people and to the log before they are durable: a siren may run ahead of the disk, silence may not.
    fn announce(&mut self, commit: &Commit) {
        let lost = self.pipe.bell.ring(&commit.alarm_changes);
        self.pipe.tally.only_counted.add(lost);
        for change in &commit.alarm_changes {
            let alarm = &change.alarm;
            if change.kind == crate::model::ChangeKind::Raised && !alarm.marks.drill {
                self.pipe.tally.alarms_raised.of(&alarm.class.as_str()).one();
            }
            tracing::info!(
                alarm = alarm.id.0, rule = %alarm.key.rule, class = %alarm.class, priority = %alarm.priority,
                change = %change.kind, what = alarm.what.en, "alarm"
            );
        }
    }
}

/// Resolves when the oldest commit on its way has returned; never while there is none. May be dropped and called again.
async fn landing(flights: &mut VecDeque<Flight>) -> Result<Committed, StoreError> {
    match flights.front_mut() {
        Some(Flight { pending: Some(pending), .. }) => pending.durable().await,
        Some(Flight { pending: None, .. }) => Ok(Committed::default()),
        None => std::future::pending().await,
    }
}

impl Taken {
    fn parcel(&mut self, parcel: Parcel) {
        self.urgent |= urgent(&parcel.delivery);
        self.direct |= parcel.direct;
        self.deliveries.push(parcel.delivery);
        self.receipts.extend(parcel.committed);
    }

    fn order(&mut self, parcel: OrderParcel) {
        self.urgent = true;
        let input = match parcel {
            OrderParcel::Alarm(command, outcome) => {
                self.orders.push(outcome);
                Input::Command(command)
            }
            OrderParcel::Muster(command, outcome) => {
                self.musters.push(outcome);
                Input::Muster(command)
            }
        };
        self.deliveries.push(Delivery { bus: None, key: None, inputs: vec![input] });
    }
}

#[cfg(test)]
mod stalls;
#[cfg(test)]
mod telling;
#[cfg(test)]
mod tests;

//! The loop around the pure step: takes what waits in the lanes, steps, makes the commit durable, answers. While
//! commits are on their way to the disk the next batch is stepped; each is answered in its turn, once it is durable.

use crate::model::{BusId, ClockQuality, Delivery, DeviceId, Input, Now, Wall};
use crate::pipeline::{Commit, Live, Pipeline};
use crate::runtime::lanes::{OrderOutcome, OrderParcel, Parcel};
use crate::runtime::{Clock, Outlet, Tally, service};
use crate::store::{self, Committed, PendingCommit, StoreError};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::{oneshot, watch};

/// Most deliveries in one commit.
const BATCH: usize = 500;
/// Most commits on their way to the disk; the store makes those that wait one transaction. With so many under way
/// nothing is taken from the lanes until the oldest is durable.
const UNDER_WAY: usize = 4;
/// Polled readings are gathered this long, so that one commit carries those of many meters.
const GATHER: Duration = Duration::from_millis(200);
/// Pause between two pictures for pages and metrics.
const PICTURE_MS: u64 = 250;
/// Pause between two looks for readings that are too old.
const PRUNE_EVERY_MS: u64 = 60_000;
/// Readings deleted in one look: far more than arrive in a minute.
const PRUNE_ROWS: u32 = 50_000;
/// Readings are kept this long, milliseconds (90 days); roll-ups stay.
const KEEP_READINGS_MS: i64 = 90 * 24 * 3600 * 1000;

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
}

/// What was taken from the lanes in one turn, and who waits for its commit.
#[derive(Default)]
struct Taken {
    deliveries: Vec<Delivery>,
    receipts: Vec<oneshot::Sender<()>>,
    orders: Vec<oneshot::Sender<OrderOutcome>>,
}

/// A commit on its way to the disk, and who waits for it.
struct UnderWay {
    /// `None` when there was nothing to store. Its turn is waited for all the same: what it repeats may be in a commit
    /// before it.
    pending: Option<PendingCommit>,
    receipts: Vec<oneshot::Sender<()>>,
    orders: Vec<(oneshot::Sender<OrderOutcome>, OrderOutcome)>,
}

impl Pipe {
    /// Works until every way into the pipe is closed and what was in it is durable.
    ///
    /// # Errors
    /// When a commit fails. Nothing of it was answered, so whoever sent it will send it again after a restart.
    pub async fn run(mut self) -> Result<(), StoreError> {
        let mut pictured = None;
        let mut pruned = self.clock.now();
        let mut under_way: VecDeque<UnderWay> = VecDeque::with_capacity(UNDER_WAY);
        let mut open = true;
        while open || !under_way.is_empty() {
            let taken = tokio::select! {
                biased;
                committed = oldest_durable(&mut under_way), if !under_way.is_empty() => {
                    self.tally.repeated_events.add(committed?.duplicate_events);
                    under_way.pop_front().into_iter().for_each(UnderWay::answer);
                    continue;
                }
                (taken, more) = self.take(), if open && under_way.len() < UNDER_WAY => {
                    open = more;
                    taken
                }
            };
            let now = self.clock.now();
            under_way.push_back(self.commit(now, taken).await?);
            if pictured.is_none_or(|at: Now| now.mono.since(at.mono).as_millis() >= u128::from(PICTURE_MS)) {
                pictured = Some(now);
                service::alive();
                self.live.send_replace(Arc::new(self.pipeline.live(now.wall)));
            }
            if now.mono.since(pruned.mono).as_millis() >= u128::from(PRUNE_EVERY_MS) {
                pruned = now;
                self.prune(now.wall).await?;
            }
        }
        Ok(())
    }

    /// Waits for something to do and takes all that waits; `false` when every way in is closed. Nothing is lost when it
    /// is dropped while it waits.
    async fn take(&mut self) -> (Taken, bool) {
        let mut taken = Taken::default();
        let now = self.clock.now();
        let wait = self.pipeline.next_deadline(now).since(now.mono).min(GATHER);
        let mut parcels = Vec::new();
        let open = tokio::select! {
            biased;
            parcel = self.outlet.orders.recv() => parcel.map(|p| taken.order(p)).is_some(),
            // All at once: a sender that waits for room is not woken once for each.
            count = self.outlet.events.recv_many(&mut parcels, BATCH) => count > 0,
            () = tokio::time::sleep(wait) => true,
        };
        while let Ok(parcel) = self.outlet.orders.try_recv() {
            taken.order(parcel);
        }
        parcels.into_iter().for_each(|parcel| taken.parcel(parcel));
        while taken.deliveries.len() < BATCH
            && let Ok(parcel) = self.outlet.events.try_recv()
        {
            taken.parcel(parcel);
        }
        while taken.deliveries.len() < BATCH {
            match self.outlet.readings.try_recv() {
                Ok(delivery) => taken.deliveries.push(Arc::unwrap_or_clone(delivery)),
                Err(TryRecvError::Lagged(shed)) => {
                    self.tally.shed_deliveries.add(shed);
                    tracing::warn!(shed, "polled readings were shed: the disk or processor cannot follow");
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        let more = open || !taken.deliveries.is_empty();
        (taken, more)
    }

    /// Steps, and sends the commit on its way.
    async fn commit(&mut self, now: Now, taken: Taken) -> Result<UnderWay, StoreError> {
        let mut commit = self.pipeline.step(now, taken.deliveries);
        let orders = taken.orders.into_iter().zip(std::mem::take(&mut commit.orders)).collect();
        let pending = if commit.is_empty() {
            None
        } else {
            self.count(&commit);
            self.announce(&commit);
            Some(self.store.begin_commit(commit).await?)
        };
        Ok(UnderWay { pending, receipts: taken.receipts, orders })
    }

    fn count(&self, commit: &Commit) {
        let bus = |device| self.buses.get(device);
        for stored in &commit.readings {
            bus(&stored.device).iter().for_each(|bus| self.tally.readings.of(bus).one());
        }
        for stored in &commit.events {
            let kind = stored.event.kind.as_str();
            bus(&stored.device).iter().for_each(|bus| self.tally.events.of(&((*bus).clone(), kind)).one());
        }
        let stamps = commit.readings.iter().map(|r| (&r.device, r.stamp.clock));
        for (device, clock) in stamps.chain(commit.events.iter().map(|e| (&e.device, e.stamp.clock))) {
            if clock == ClockQuality::DeviceWrong {
                bus(device).iter().for_each(|bus| self.tally.wrong_clocks.of(bus).one());
            }
        }
        for bus in &commit.duplicates {
            self.tally.duplicates.of(bus).one();
        }
        for refused in &commit.refused {
            self.tally.refused.of(&(refused.bus.clone(), refused.kind)).one();
        }
        for unknown in &commit.unknown {
            self.tally.unknown.of(&unknown.bus).one();
        }
    }

    /// Alarms go to the log before they are durable: a siren may run ahead of the disk, silence may not.
    fn announce(&self, commit: &Commit) {
        for change in &commit.alarm_changes {
            let alarm = &change.alarm;
            if change.kind == crate::model::ChangeKind::Raised {
                self.tally.alarms_raised.of(&alarm.class.as_str()).one();
            }
            tracing::info!(
                alarm = alarm.id.0, rule = %alarm.key.rule, class = %alarm.class, priority = %alarm.priority,
                change = %change.kind, what = alarm.what.en, "alarm"
            );
        }
    }

    async fn prune(&self, now: Wall) -> Result<(), StoreError> {
        if !now.plausible() {
            return Ok(());
        }
        let pruned = self.store.prune_readings(now.plus_ms(-KEEP_READINGS_MS), PRUNE_ROWS).await?;
        if pruned > 0 {
            tracing::debug!(rows = pruned, "readings older than 90 days deleted; their roll-ups stay");
        }
        Ok(())
    }
}

/// Waits until the oldest commit is durable; may be dropped and called again.
async fn oldest_durable(under_way: &mut VecDeque<UnderWay>) -> Result<Committed, StoreError> {
    match under_way.front_mut().and_then(|oldest| oldest.pending.as_mut()) {
        Some(pending) => pending.durable().await,
        None => Ok(Committed::default()),
    }
}

impl UnderWay {
    /// Tells everybody who waits; who gave it up does not need the answer.
    fn answer(self) {
        for receipt in self.receipts {
            receipt.send(()).ok();
        }
        for (sender, outcome) in self.orders {
            sender.send(outcome).ok();
        }
    }
}

impl Taken {
    fn parcel(&mut self, parcel: Parcel) {
        self.deliveries.push(parcel.delivery);
        self.receipts.extend(parcel.committed);
    }

    fn order(&mut self, parcel: OrderParcel) {
        self.deliveries.push(Delivery { bus: None, key: None, inputs: vec![Input::Command(parcel.command)] });
        self.orders.push(parcel.outcome);
    }
}

#[cfg(test)]
mod tests;

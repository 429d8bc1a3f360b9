//! What has been stepped and waits to be committed, and when that is due: soon for what people wait for, later and
//! together for telemetry.

use crate::model::{Delivery, Input, Mono, Record, Wall};
use crate::pipeline::{Audit, Commit, Dropped};
use crate::runtime::lanes::{MusterOutcome, OrderOutcome};
use std::time::Duration;
use tokio::sync::oneshot;

/// Events, alarms and orders wait this long for company. A door reader's answer is to be there within 10 ms on a sound
/// disk, and what arrives while a commit is under way is gathered anyway.
const URGENT: Duration = Duration::from_millis(5);
/// Telemetry waits this long for company: one commit costs the card 10 KB however little it holds, so a school that
/// commits five seconds together writes a sixth of what one does that commits each reading.
const TELEMETRY: Duration = Duration::from_secs(5);
/// What a device itself waits for: small clients give up an answer after a second, and say nothing else meanwhile, not
/// even an alarm.
const DIRECT: Duration = Duration::from_millis(800);
/// Rows with which a commit does not wait any longer: more do not make it cheaper.
const ROWS: usize = 500;
/// Waiting senders from which on they may all be waiting for us: the smallest in-flight window of the brokers in use
/// (HiveMQ 10, mosquitto 20, EMQX 32). A broker whose window is full sends nothing before it is answered, not even an
/// alarm. One that was told to use a smaller window is known by never having had more of its messages waiting.
const WINDOW: usize = 10;
/// The shortest and the longest silence that is taken for a full window: an alarm behind it waits no longer.
const SILENCE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));
/// Rows staged behind a commit that does not come to its end (a card that stalls, a disk that is full), some 10 MB.
/// From there on nothing that is answered is taken, and of what is polled only alarms are kept.
pub(super) const STAGED_ROWS: usize = 20_000;

/// Who waits for a commit.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub receipts: Vec<oneshot::Sender<()>>,
    pub orders: Vec<(oneshot::Sender<OrderOutcome>, OrderOutcome)>,
    pub musters: Vec<(oneshot::Sender<MusterOutcome>, MusterOutcome)>,
}

impl Waiting {
    /// Tells everybody that it is durable. Whoever gave it up does not need the answer. The last is told first: whoever
    /// waits for several waits for the first of them, and is woken once, when all are there.
    pub(super) fn answer(self) {
        for receipt in self.receipts.into_iter().rev() {
            receipt.send(()).ok();
        }
        for (sender, outcome) in self.orders {
            sender.send(outcome).ok();
        }
        for (sender, outcome) in self.musters {
            sender.send(outcome).ok();
        }
    }
}

/// What was stepped and is not on its way to the disk yet.
#[derive(Debug, Default)]
pub(super) struct Staged {
    commit: Commit,
    waiting: Waiting,
    rows: usize,
    /// Since when anything waits.
    since: Option<Mono>,
    /// Since when something waits that people wait for.
    urgent: Option<Mono>,
    /// Since when a device itself waits.
    direct: Option<Mono>,
    /// When the first and the last of the senders came that wait.
    senders: Option<(Mono, Mono)>,
    /// Most senders that ever waited at once, up to [`WINDOW`].
    most: usize,
}

impl Staged {
    /// Adds a step and who waits for it. `soon` says that people wait for it.
    pub(super) fn add(&mut self, now: Mono, commit: Commit, waiting: Waiting, soon: bool) {
        let alarms = !(commit.events.is_empty() && commit.alarm_changes.is_empty());
        let orders = !(waiting.orders.is_empty() && waiting.musters.is_empty());
        if soon || alarms || orders {
            self.urgent.get_or_insert(now);
        }
        if !waiting.receipts.is_empty() {
            let (first, _) = self.senders.unwrap_or((now, now));
            self.senders = Some((first, now));
        }
        if !commit.is_empty() || !waiting.receipts.is_empty() || orders {
            self.since.get_or_insert(now);
        }
        self.rows += commit.rows();
        self.commit.absorb(commit);
        self.waiting.receipts.extend(waiting.receipts);
        self.waiting.orders.extend(waiting.orders);
        self.waiting.musters.extend(waiting.musters);
        self.most = self.most.max(self.waiting.receipts.len()).min(WINDOW);
    }

    /// A device waits for the answer to what was just added.
    pub(super) fn answer_device(&mut self, now: Mono) {
        self.direct.get_or_insert(now);
    }

    /// Adds a row of the audit trail.
    pub(super) fn note(&mut self, now: Mono, entry: Audit) {
        self.add(now, Commit { audit: vec![entry], ..Commit::default() }, Waiting::default(), false);
    }

    /// Leaves out of a step what the memory has no room for: polled readings and periods. Alarms stay.
    pub(super) fn shed(commit: &mut Commit, at: Wall) -> u64 {
        let before = commit.rows();
        commit.readings.clear();
        commit.roll_ups.clear();
        commit.outbox.retain(|item| matches!(item.record, Record::Alarm(_)));
        let rows = u64::try_from(before - commit.rows()).unwrap_or(u64::MAX);
        if rows > 0 {
            commit.dropped.push(Dropped { reason: "memory_full", rows, at });
        }
        rows
    }

    /// When it is to be committed; `None` while there is nothing.
    pub(super) fn due(&self) -> Option<Mono> {
        let since = self.since?;
        if self.rows >= ROWS {
            return Some(since);
        }
        let mut due = since.plus(TELEMETRY);
        if let Some(urgent) = self.urgent {
            due = due.min(urgent.plus(URGENT));
        }
        if let Some(direct) = self.direct {
            due = due.min(direct.plus(DIRECT));
        }
        if let Some((first, last)) = self.senders
            && self.waiting.receipts.len() >= self.most
        {
            // They came in this span; when none has come for as long again, they are waiting for us.
            let (shortest, longest) = SILENCE;
            due = due.min(last.plus(last.since(first).clamp(shortest, longest)));
        }
        Some(due)
    }

    /// How many rows wait.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Whether nothing more that is answered may be taken.
    pub(super) fn full(&self) -> bool {
        self.rows >= STAGED_ROWS
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.since.is_none()
    }

    /// Takes everything, and leaves nothing.
    pub(super) fn take(&mut self) -> (Commit, Waiting) {
        let emptied = Self { most: self.most, ..Self::default() };
        let Self { commit, waiting, .. } = std::mem::replace(self, emptied);
        (commit, waiting)
    }
}

/// Whether people wait for what is in a delivery: anything but readings and the state of a device.
pub(super) fn urgent(delivery: &Delivery) -> bool {
    use crate::model::{Body, Observation};
    delivery.inputs.iter().any(|input| {
        !matches!(input, Input::Observed(Observation { body: Body::Reading(_) | Body::Link(_), .. }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DeviceId, Link};
    use crate::pipeline::LinkChange;

    fn telemetry(rows: usize) -> Commit {
        let device = DeviceId::new("m").unwrap();
        let row = LinkChange { device, at: Wall(0), link: Link::Up };
        Commit { links: vec![row; rows], ..Commit::default() }
    }

    fn senders(n: usize) -> Waiting {
        let receipts = (0..n).map(|_| oneshot::channel().0).collect();
        Waiting { receipts, ..Waiting::default() }
    }

    #[test]
    fn what_waits_is_due_when_its_window_is_over() {
        // (what arrives when: milliseconds, rows, senders, soon), and when it is due
        for (arrivals, due) in [
            (vec![(100, 0, 0, false)], None),
            (vec![(100, 3, 0, false)], Some(5100)),
            (vec![(100, 3, 0, false), (4000, 3, 0, false)], Some(5100)),
            (vec![(100, 3, 0, false), (4000, 1, 1, true)], Some(4005)),
            (vec![(100, 3, 0, false), (200, 497, 0, false)], Some(100)),
            (vec![(100, 9, 9, false)], Some(5100)),
            // Ten at once and then silence: they wait for us.
            (vec![(100, 10, 10, false)], Some(105)),
            // Ten over a tenth of a second: a silence as long. Over a second: no longer than an alarm may wait.
            (vec![(100, 5, 5, false), (200, 5, 5, false)], Some(300)),
            (vec![(100, 5, 5, false), (1100, 5, 5, false)], Some(1300)),
            // A sender whose message was a repeat waits too.
            (vec![(100, 0, 1, false)], Some(5100)),
        ] {
            let mut staged = Staged { most: WINDOW, ..Staged::default() };
            for (at, rows, n, soon) in &arrivals {
                staged.add(Mono(*at), telemetry(*rows), senders(*n), *soon);
            }
            assert_eq!(staged.due(), due.map(Mono), "{arrivals:?}");
            assert_eq!(staged.is_empty(), due.is_none());
        }
    }

    #[test]
    fn a_broker_with_a_small_window_is_not_kept_waiting() {
        let mut staged = Staged::default();
        for (at, n, due) in [
            (100, 1, 105),
            // Two at once: from then on one alone is no full window.
            (200, 2, 205),
            (300, 1, 5300),
        ] {
            staged.add(Mono(at), telemetry(1), senders(n), false);
            assert_eq!(staged.due(), Some(Mono(due)), "{n} at {at}");
            staged.take();
        }
    }

    #[test]
    fn a_device_that_waits_itself_is_answered_within_a_second() {
        let mut staged = Staged { most: WINDOW, ..Staged::default() };
        staged.add(Mono(100), telemetry(1), senders(0), false);
        staged.add(Mono(300), telemetry(1), senders(1), false);
        staged.answer_device(Mono(300));
        staged.answer_device(Mono(900));
        assert_eq!(staged.due(), Some(Mono(1100)));
        staged.take();
        staged.add(Mono(2000), telemetry(1), senders(1), false);
        assert_eq!(staged.due(), Some(Mono(7000)));
    }

    #[test]
    fn full_is_full_until_it_is_taken() {
        let mut staged = Staged::default();
        staged.add(Mono(0), telemetry(STAGED_ROWS - 1), senders(1), false);
        assert!(!staged.full());
        staged.add(Mono(0), telemetry(1), senders(0), false);
        assert!(staged.full());
        let (commit, waiting) = staged.take();
        assert_eq!((commit.rows(), waiting.receipts.len()), (STAGED_ROWS, 1));
        assert!(staged.is_empty() && !staged.full());
    }
}

//! Who came in and who was given what, on its way into the audit trail: in order, and bounded while the disk is full.

use super::Accounts;
use crate::model::{Actor, Audit, Input, Wall};
use crate::runtime::lanes::PeopleDesk;
use crate::runtime::{Tally, Tasks};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

/// Rows waiting for the store; further ones are dropped and counted.
const ROWS: usize = 256;
/// Failures are told of at most so often, in one row.
const FAILURES_EVERY: Duration = Duration::from_secs(60);
/// Accounts named in such a row.
const NAMED: usize = 10;
/// So long an answer waits for its row; then it goes out, and the row follows.
const WAITED_FOR: Duration = Duration::from_secs(2);
/// Pause before sessions are written down again after a failure.
const SAVED_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// The word by which dropped rows are counted.
const DROPPED: &str = "access_audit";

/// Failures that no row has told of yet.
#[derive(Debug, Default)]
struct Failures {
    wrong: u64,
    refused: u64,
    /// By account; names without one are not written down, as they may be passwords in the wrong place.
    accounts: BTreeMap<String, u64>,
    from: Option<IpAddr>,
}

#[derive(Default)]
struct Shared {
    failures: Mutex<Failures>,
    failed: Notify,
    unsaved: Notify,
}

impl Shared {
    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there are some, and until they may be told of.
    async fn failures_at(&self, due: Instant) {
        while self.failures().from.is_none() {
            self.failed.notified().await;
        }
        tokio::time::sleep_until(due).await;
    }
}

/// A row on its way.
#[must_use]
pub(super) struct Written(oneshot::Receiver<()>);

impl Written {
    /// Waits until it is durable; not for long, as nobody is kept out by a disk that is full.
    pub(super) async fn soon(self) {
        // Dropped or late: it was counted, or follows.
        tokio::time::timeout(WAITED_FOR, self.0).await.ok();
    }
}

struct Row {
    entry: Audit,
    written: oneshot::Sender<()>,
}

/// Where rows go in.
pub(super) struct Trail {
    rows: mpsc::Sender<Row>,
    shared: Arc<Shared>,
    tally: Arc<Tally>,
}

pub(super) struct Rows(mpsc::Receiver<Row>);

/// Where they come out, and where sessions are written down that opened and ended.
pub struct Notes {
    rows: mpsc::Receiver<Row>,
    shared: Arc<Shared>,
    accounts: Weak<Accounts>,
}

impl Trail {
    pub(super) fn new(tally: Arc<Tally>) -> (Self, Rows) {
        let (rows, out) = mpsc::channel(ROWS);
        (Self { rows, shared: Arc::default(), tally }, Rows(out))
    }

    /// Sessions are not as the file has them.
    pub(super) fn unsaved(&self) {
        self.shared.unsaved.notify_one();
    }

    /// Puts a row in; what resolves when it is durable.
    pub(super) fn put(&self, entry: Audit) -> Written {
        let (written, told) = oneshot::channel();
        if self.rows.try_send(Row { entry, written }).is_err() {
            self.tally.dropped.of(&DROPPED).one();
            tracing::warn!("a row of the audit trail was dropped: the disk takes nothing for too long");
        }
        Written(told)
    }

    /// Somebody did not come in: a wrong password, or (`refused`) one that was not even looked at.
    pub(super) fn failed(&self, account: Option<&Actor>, refused: bool, from: IpAddr) {
        let mut failures = self.shared.failures();
        if refused {
            failures.refused += 1;
        } else {
            failures.wrong += 1;
        }
        if let Some(account) = account {
            *failures.accounts.entry(account.as_str().to_owned()).or_default() += 1;
        }
        failures.from = Some(from);
        self.shared.failed.notify_one();
    }
}

impl Failures {
    fn told(self) -> Option<String> {
        let Self { wrong, refused, accounts, from } = self;
        let from = from?;
        let mut text = format!("{wrong} wrong, {refused} not looked at; the last from {from}");
        let mut worst: Vec<(String, u64)> = accounts.into_iter().collect();
        worst.sort_by_key(|(_, many)| std::cmp::Reverse(*many));
        for (name, many) in worst.iter().take(NAMED) {
            // Writing to a text does not fail.
            write!(text, "; {name} {many}").ok();
        }
        Some(text)
    }
}

impl Notes {
    pub(super) fn new(Rows(rows): Rows, accounts: &Arc<Accounts>) -> Self {
        Self { rows, shared: Arc::clone(&accounts.trail.shared), accounts: Arc::downgrade(accounts) }
    }

    /// Hands rows to the pipe and sessions to the file until told to stop; what is there then goes with it.
    pub async fn run(mut self, desk: PeopleDesk, mut stop: watch::Receiver<bool>) {
        let shared = Arc::clone(&self.shared);
        let (mut due, mut saving, mut busy) = (Instant::now(), Tasks::new(), false);
        loop {
            tokio::select! {
                biased;
                row = self.rows.recv() => match row {
                    Some(row) => give(&desk, row).await,
                    None => return,
                },
                () = shared.failures_at(due) => {
                    due = Instant::now() + FAILURES_EVERY;
                    self.tell_failures(&desk).await;
                }
                // Beside the rows: a disk that stalls keeps them waiting long enough.
                () = shared.unsaved.notified(), if !busy => {
                    busy = true;
                    saving.spawn("sessions", save(self.accounts.clone(), Arc::clone(&shared)));
                }
                _ = saving.next_ended(), if busy => busy = false,
                // A sender that is gone means the same as a stop.
                () = async { drop(stop.wait_for(|stop| *stop).await) } => break,
            }
        }
        while let Ok(row) = self.rows.try_recv() {
            give(&desk, row).await;
        }
        self.tell_failures(&desk).await;
        if let Some(accounts) = self.accounts.upgrade() {
            accounts.save().await;
        }
    }

    async fn tell_failures(&self, desk: &PeopleDesk) {
        let failures = std::mem::take(&mut *self.shared.failures());
        if let (Some(detail), Some(accounts)) = (failures.told(), self.accounts.upgrade()) {
            let entry = row(accounts.now().wall, "gateway", "sign_in_failed", "access", detail);
            let (written, _) = oneshot::channel();
            give(desk, Row { entry, written }).await;
        }
    }
}

/// What the disk does not take is tried again until it does.
async fn save(accounts: Weak<Accounts>, shared: Arc<Shared>) {
    let Some(accounts) = accounts.upgrade() else { return };
    if !accounts.save().await {
        tokio::time::sleep(SAVED_AGAIN_AFTER).await;
        shared.unsaved.notify_one();
    }
}

/// A row of the audit trail.
pub(super) fn row(at: Wall, actor: &str, action: &'static str, subject: &str, detail: String) -> Audit {
    Audit { at, actor: actor.to_owned().into(), action, subject: subject.to_owned().into(), detail }
}

async fn give(desk: &PeopleDesk, Row { entry, written }: Row) {
    if desk.deliver(vec![Input::Audit(entry)]).await.is_ok() {
        // Who no longer waits has been answered.
        written.send(()).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn rows_that_find_no_room_are_counted_and_keep_nobody_waiting() {
        let tally = Arc::new(Tally::default());
        let (trail, _rows) = Trail::new(Arc::clone(&tally));
        for n in 0..ROWS + 44 {
            let written = trail.put(row(Wall(0), "zhang", "sign_in", "access", n.to_string()));
            if n >= ROWS {
                written.soon().await;
            }
        }
        assert_eq!(tally.dropped.of(&DROPPED).get(), 44);
    }

    #[test]
    fn failures_are_one_row_that_names_accounts_and_nothing_that_was_typed() {
        let (trail, _rows) = Trail::new(Arc::default());
        assert_eq!(std::mem::take(&mut *trail.shared.failures()).told(), None);
        for n in 0..1_000 {
            let account = Actor::named(&format!("user-{}", n % 20)).filter(|_| n % 2 == 0);
            trail.failed(account.as_ref(), n >= 10, HERE);
        }
        let told = std::mem::take(&mut *trail.shared.failures()).told().expect("a row");
        assert!(told.starts_with("10 wrong, 990 not looked at; the last from 127.0.0.1; user-"), "{told}");
        assert_eq!(told.matches("user-").count(), NAMED);
        assert_eq!(std::mem::take(&mut *trail.shared.failures()).told(), None, "told once");
    }
}

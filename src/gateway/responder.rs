//! The loop around responses: takes the steps of people, orders controls and tells channels, all at once, and hears of
//! fire.
//!
//! It decides nothing: [`crate::response::Responses`] does.

use crate::model::{
    Alarm, AlarmClass, Audit, ChannelId, Input, Message, Occasion, Priority, Text, Verdict, Wall,
};
use crate::notify::{Notifier, TRY_LIMIT};
use crate::pipeline::Live;
use crate::response::{Answer, Response, Responses, Step};
use crate::rules::Finding;
use crate::runtime::lanes::PeopleDesk;
use crate::runtime::response_desk::{ResponseOffice, ResponseOrder, ResponseParcel};
use crate::runtime::{Clock, ControlDesk, Tally, Tasks};
use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Messages waiting for one channel; one too many has failed, and is tried again.
const INBOX: usize = 8;
/// Rows of the audit trail waiting for the store; while the disk stalls further ones are dropped and counted.
const ROWS: usize = 1024;
/// Findings waiting for the pipe; the oldest is given up for a new one.
const UNSAID: usize = 256;
/// Longest pause without a look.
const LOOK: Duration = Duration::from_secs(60);

/// What the loop is made of.
pub(super) struct Parts {
    pub(super) responses: Vec<Arc<Response>>,
    /// What the last run noted.
    pub(super) noted: Option<String>,
    /// The channels that responses use: instances of their own.
    pub(super) channels: BTreeMap<ChannelId, Box<dyn Notifier>>,
    pub(super) controls: ControlDesk,
    pub(super) office: ResponseOffice,
    pub(super) live: watch::Receiver<Arc<Live>>,
    pub(super) findings: mpsc::Sender<Finding>,
    /// Where what a restart has to know is made durable.
    pub(super) notes: PeopleDesk,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tally: Arc<Tally>,
}

/// The loop's state.
pub(super) struct Responder {
    responses: Responses,
    begun: Vec<Step>,
    workers: BTreeMap<ChannelId, mpsc::Sender<(u64, Message)>>,
    /// The workers of the channels; they end with it.
    _tasks: Tasks,
    told: mpsc::Receiver<(u64, Verdict)>,
    controls: ControlDesk,
    ordered: FuturesUnordered<BoxFuture<'static, (u64, Answer)>>,
    office: ResponseOffice,
    live: watch::Receiver<Arc<Live>>,
    findings: mpsc::Sender<Finding>,
    /// What the pipe has not taken yet, in turn.
    unsaid: Vec<Finding>,
    notes: PeopleDesk,
    memory: Option<String>,
    rows: Vec<Audit>,
    noting: Option<BoxFuture<'static, ()>>,
    clock: Arc<dyn Clock>,
    tally: Arc<Tally>,
}

impl Responder {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { responses, noted, channels, controls, office, live, findings, notes, clock, tally } =
            parts;
        let (back, told) = mpsc::channel(channels.len().max(1));
        let (mut tasks, mut workers) = (Tasks::new(), BTreeMap::new());
        for (id, notifier) in channels {
            let (work, inbox) = mpsc::channel(INBOX);
            tasks.spawn("response channel", worker(notifier, inbox, back.clone()));
            workers.insert(id, work);
        }
        let seen = live.borrow().clone();
        let open: Vec<_> = seen
            .alarms
            .iter()
            .filter(|alarm| alarm.active && alarm.key.of_response())
            .map(|alarm| alarm.key.clone())
            .collect();
        let fire = fire(&seen).map(|alarm| alarm.key.rule.clone());
        let (responses, begun) = Responses::restore(
            clock.now(),
            &responses,
            noted.as_deref(),
            (&open, fire, seen.drill.is_some()),
        );
        Self {
            responses,
            begun,
            workers,
            _tasks: tasks,
            told,
            controls,
            ordered: FuturesUnordered::new(),
            office,
            live,
            findings,
            unsaid: Vec::new(),
            notes,
            memory: None,
            rows: Vec::new(),
            noting: None,
            clock,
            tally,
        }
    }

    /// Works until it is told to stop. What is on stays noted; the controls bring back what must not stay on.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut steps = std::mem::take(&mut self.begun);
        loop {
            self.take(steps).await;
            self.say();
            self.show();
            self.write_down();
            let now = self.clock.now().mono;
            let wait = self.responses.next_deadline().map_or(LOOK, |due| due.since(now).min(LOOK));
            let wait = if self.unsaid.is_empty() { wait } else { wait.min(Duration::from_millis(100)) };
            steps = tokio::select! {
                biased;
                // A sender that is gone means the same as a stop.
                _ = stop.wait_for(|stop| *stop) => return,
                Ok(()) = self.live.changed() => {
                    let live = self.live.borrow_and_update().clone();
                    let rule = fire(&live).map(|alarm| alarm.key.rule.clone());
                    let now = self.clock.now();
                    let mut steps = self.responses.fire(now, rule.as_ref());
                    steps.extend(self.responses.drill(now, live.drill.is_some()));
                    steps
                }
                Some((ticket, answer)) = self.ordered.next(), if !self.ordered.is_empty() => {
                    self.responses.took(self.clock.now(), ticket, answer)
                }
                Some((ticket, verdict)) = self.told.recv() => {
                    self.responses.took(self.clock.now(), ticket, verdict.into())
                }
                Some(parcel) = self.office.orders.recv() => self.order(parcel),
                () = noted(&mut self.noting) => Vec::new(),
                () = tokio::time::sleep(wait) => Vec::new(),
            };
            steps.extend(self.responses.expire(self.clock.now()));
        }
    }

    fn order(&mut self, parcel: ResponseParcel) -> Vec<Step> {
        let ResponseParcel { id, order, given, outcome } = parcel;
        let now = self.clock.now();
        let done = match order {
            ResponseOrder::Prepare { drill } => {
                let code = code();
                let prepared = self.responses.prepare(now, &id, (given.actor, drill), &code);
                prepared.map(|()| (Some(code), Vec::new()))
            }
            ResponseOrder::Start { code } => {
                self.responses.start(now, &id, &code, &given).map(|steps| (None, steps))
            }
            ResponseOrder::Clear { alone } => {
                self.responses.clear(now, &id, &given, alone).map(|steps| (None, steps))
            }
        };
        let (said, steps) = match done {
            Ok((code, steps)) => (Ok(code), steps),
            Err(refused) => (Err(refused), Vec::new()),
        };
        self.show();
        // Who no longer listens sees it in the picture.
        outcome.send(said).ok();
        steps
    }

    /// Orders of one control are handed over in their turn, so that none to lock overtakes one to free.
    async fn take(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Switch { ticket, control, value, by, reason } => {
                    let given = self.controls.give(control, value, by, (reason, false)).await;
                    self.ordered.push(Box::pin(async move {
                        let gone = || Text::new("网关正在停止", "the gateway is stopping");
                        let outcome = match given {
                            Ok(told) => told.await.ok(),
                            Err(_) => None,
                        };
                        (ticket, outcome.map_or_else(|| Answer::Never(gone()), |outcome| (&outcome).into()))
                    }));
                }
                Step::Tell { ticket, channel, text, over, drill } => {
                    let message = message(self.clock.now().wall, ticket, (text, over, drill));
                    let worker = self.workers.get(&channel);
                    if worker.is_none_or(|worker| worker.try_send((ticket, message)).is_err()) {
                        let why = "too many messages wait for it".to_owned();
                        let answer = Verdict::Failed { why }.into();
                        self.ordered.push(std::future::ready((ticket, answer)).boxed());
                    }
                }
                Step::Report(finding) => {
                    if self.unsaid.len() >= UNSAID {
                        self.unsaid.remove(0);
                    }
                    self.unsaid.push(finding);
                }
                Step::Note(memory, rows) => {
                    self.memory = Some(memory);
                    for row in rows {
                        tracing::warn!(response = %row.subject, "a response: {}", word(&row.detail));
                        self.rows.push(row);
                    }
                    if self.rows.len() > ROWS {
                        let lost = self.rows.len() - ROWS;
                        self.rows.truncate(ROWS);
                        self.tally.dropped.of(&"response_note").add(u64::try_from(lost).unwrap_or(u64::MAX));
                        tracing::warn!("rows of the audit trail were dropped: the disk has stalled too long");
                    }
                }
            }
        }
    }

    /// Tells the pipe what it has room for, in turn.
    fn say(&mut self) {
        while !self.unsaid.is_empty() {
            let Ok(room) = self.findings.try_reserve() else { return };
            room.send(self.unsaid.remove(0));
        }
    }

    fn show(&self) {
        let views = self.responses.views();
        self.office.views.send_if_modified(|shown| {
            let news = **shown != views;
            if news {
                *shown = Arc::new(views);
            }
            news
        });
    }

    /// One note is on its way at a time; what comes meanwhile goes with the next.
    fn write_down(&mut self) {
        if self.noting.is_some() {
            return;
        }
        let Some(memory) = self.memory.take() else { return };
        let rows = std::mem::take(&mut self.rows).into_iter().map(Input::Audit);
        let inputs = rows.chain([Input::Responses(memory)]).collect();
        let notes = self.notes.clone();
        self.noting = Some(Box::pin(async move {
            if notes.deliver(inputs).await.is_err() {
                tracing::warn!("what came of a response could not be written down: the gateway is stopping");
            }
        }));
    }
}

/// Resolves when the note on its way is durable; never while there is none.
async fn noted(noting: &mut Option<BoxFuture<'static, ()>>) {
    match noting {
        Some(under_way) => under_way.await,
        None => std::future::pending().await,
    }
    *noting = None;
}

fn fire(live: &Live) -> Option<&Alarm> {
    live.alarms.iter().find(|alarm| alarm.burns())
}

/// Four digits: they keep fingers from slipping, not people out.
fn code() -> String {
    let random = getrandom::u32().unwrap_or(0x5ee0);
    format!("{:04}", random % 10_000)
}

/// The first word of a row: names of people stand in the audit trail alone.
fn word(detail: &str) -> &str {
    detail.split(' ').next().unwrap_or_default()
}

fn message(at: Wall, ticket: u64, (title, over, drill): (Text, bool, bool)) -> Message {
    Message {
        // Also after a restart another one than any before.
        number: u64::try_from(at.0).unwrap_or(0).saturating_mul(1000).saturating_add(ticket % 1000),
        occasion: if over { Occasion::Over } else { Occasion::Raised },
        priority: Priority::Critical,
        class: Some(AlarmClass::Security),
        drill,
        title,
        place: None,
        lines: Vec::new(),
        at,
        alarms: Vec::new(),
    }
}

/// Sends one message after the other and says what became of each.
async fn worker(
    mut notifier: Box<dyn Notifier>,
    mut inbox: mpsc::Receiver<(u64, Message)>,
    back: mpsc::Sender<(u64, Verdict)>,
) {
    while let Some((ticket, message)) = inbox.recv().await {
        let telling = AssertUnwindSafe(notifier.tell(&message)).catch_unwind();
        let verdict = match tokio::time::timeout(TRY_LIMIT, telling).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => Verdict::Failed { why: "the channel failed inside".to_owned() },
            Err(_) => Verdict::Failed { why: format!("no answer within {} s", TRY_LIMIT.as_secs()) },
        };
        // A loop that is gone needs no verdict.
        back.send((ticket, verdict)).await.ok();
    }
}

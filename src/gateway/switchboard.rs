//! The loop around what may be switched: takes orders, writes and reads by the bus, has it made durable, tells.
//!
//! It decides nothing: [`crate::control::Control`] does. Each control has at most one request on its way.

mod clerk;
mod wire;

use crate::config::{Controls, Device};
use crate::control::{By, Control, Memory, NotWritten, Order, Outcome, Step, View, abandoned};
use crate::model::{ControlId, DeviceId, Mono, RuleId, Text};
use crate::pipeline::{Audit, Commit, Live};
use crate::rules::Finding;
use crate::runtime::control_desk::{ControlOffice, ControlParcel};
use crate::runtime::{Clock, Tally};
use crate::southbound::Field;
use clerk::Note;
pub(super) use clerk::clerk;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use wire::Wire;

/// Notes waiting for the store; while the disk stalls further ones are dropped and counted.
const NOTES: usize = 256;
/// Findings waiting for the pipe.
pub(super) const FINDINGS: usize = 64;
/// A stop waits so long for outputs to return to rest.
const STOP_WITHIN: Duration = Duration::from_millis(700);
/// Longest pause without a look.
const LOOK: Duration = Duration::from_secs(60);

/// Something that was on its way has come back.
enum Back {
    Wrote(ControlId, u64, Result<(), NotWritten>),
    Read(ControlId, u64, Result<f64, Text>),
}

/// What the loop is made of.
pub(super) struct Parts {
    pub(super) controls: Controls,
    /// What the last run noted.
    pub(super) remembered: Vec<(ControlId, String)>,
    /// Some of what was noted may be lost.
    pub(super) forgetful: bool,
    pub(super) devices: Arc<BTreeMap<DeviceId, Device>>,
    pub(super) field: Field,
    pub(super) office: ControlOffice,
    pub(super) live: watch::Receiver<Arc<Live>>,
    pub(super) findings: mpsc::Sender<Finding>,
}

/// The loop's state.
pub(super) struct Switchboard {
    controls: BTreeMap<ControlId, Control>,
    wire: Wire,
    clock: Arc<dyn Clock>,
    tally: Arc<Tally>,
    office: ControlOffice,
    live: watch::Receiver<Arc<Live>>,
    /// Whether an alarm of any rule switches anything off.
    heeds_rules: bool,
    /// Open alarms as last seen: how often each had come.
    seen: HashMap<u64, u32>,
    notes: mpsc::Sender<Note>,
    stored: mpsc::Receiver<(ControlId, u64)>,
    findings: mpsc::Sender<Finding>,
    /// The last word on each alarm that the pipe has not taken yet.
    unsaid: BTreeMap<String, Finding>,
    /// Who waits for an outcome.
    asked: HashMap<u64, oneshot::Sender<Outcome>>,
    number: u64,
    under_way: FuturesUnordered<BoxFuture<'static, Back>>,
}

impl Switchboard {
    /// The loop, and what its clerk needs.
    pub(super) fn new(parts: Parts) -> (Self, clerk::Desk) {
        let Parts { controls, remembered, forgetful, devices, field, office, live, findings } = parts;
        let (clock, tally) = (Arc::clone(&field.clock), Arc::clone(&field.tally));
        let now = clock.now();
        let (notes, notes_out) = mpsc::channel(NOTES);
        let (stored_in, stored) = mpsc::channel(NOTES);
        let remembered: BTreeMap<ControlId, Memory> =
            remembered.into_iter().map(|(id, text)| (id, Memory::of(&text))).collect();
        let lost = Memory { owes_rest: forgetful && controls.enabled, ..Memory::default() };
        let made = controls.all.iter().map(|spec| {
            let pulse = lost.owes_rest && spec.max_on.is_some();
            let memory = remembered.get(&spec.id).or(pulse.then_some(&lost));
            (spec.id.clone(), Control::new(Arc::clone(spec), controls.enabled, memory, now))
        });
        let mut board = Self {
            controls: made.collect(),
            wire: Wire::new(devices, field),
            clock,
            tally,
            office,
            heeds_rules: controls.all.iter().any(|spec| !spec.off_when.is_empty()),
            seen: HashMap::new(),
            live,
            notes,
            stored,
            findings,
            unsaid: BTreeMap::new(),
            asked: HashMap::new(),
            number: 0,
            under_way: FuturesUnordered::new(),
        };
        board.rules_begun();
        for (id, memory) in remembered.into_iter().filter(|(_, memory)| memory.owes_rest) {
            if board.controls.get(&id).is_none_or(|control| control.spec().rest.is_none()) {
                tracing::warn!(control = %id, "it was on and nothing in the configuration can switch it off any more");
                let (audit, finding) = abandoned(&id, now.wall);
                board.note(id, None, Memory { owes_rest: false, ..memory }, vec![audit]);
                board.unsaid.extend(finding.map(|finding| (finding.key.subject.clone(), finding)));
            }
        }
        (board, clerk::Desk { notes: notes_out, stored: stored_in })
    }

    /// Works until it is told to stop, and then until what has to return has returned, or a little longer.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut stopping: Option<Mono> = None;
        loop {
            self.say();
            self.show();
            let now = self.clock.now();
            if stopping.is_some_and(|end| end <= now.mono)
                || (stopping.is_some() && self.controls.values().all(Control::at_peace))
            {
                return;
            }
            let due = self.controls.values().filter_map(Control::next_deadline).chain(stopping).min();
            let wait = due.map_or(LOOK, |due| due.since(now.mono).min(LOOK));
            tokio::select! {
                biased;
                // A sender that is gone means the same as a stop.
                _ = stop.wait_for(|stop| *stop), if stopping.is_none() => {
                    stopping = Some(now.mono.plus(STOP_WITHIN));
                    self.each(|control, now| control.stop(now));
                }
                Some(back) = self.under_way.next(), if !self.under_way.is_empty() => self.back(back),
                Some((id, ticket)) = self.stored.recv() => {
                    let live = self.live.borrow().clone();
                    self.with(&id, |control, now| control.stored(now, &live, ticket));
                }
                Some(parcel) = self.office.orders.recv(), if stopping.is_none() => self.order(parcel),
                Ok(()) = self.live.changed(), if self.heeds_rules && stopping.is_none() => {
                    for rule in self.rules_begun() {
                        self.rule_began(&rule);
                    }
                }
                () = tokio::time::sleep(wait) => {}
            }
            self.each(|control, now| control.expire(now));
        }
    }

    fn order(&mut self, parcel: ControlParcel) {
        let ControlParcel { control, value, by, reason, dry_run, outcome } = parcel;
        self.number += 1;
        let number = self.number;
        if self.controls.contains_key(&control) {
            self.asked.insert(number, outcome);
        }
        let live = self.live.borrow().clone();
        let order = Order { number, value, by, reason, dry_run };
        self.with(&control, |control, now| control.order(now, &live, order));
    }

    /// The rules of which an alarm has begun, or come again, since the last look.
    fn rules_begun(&mut self) -> Vec<RuleId> {
        let live = self.live.borrow_and_update().clone();
        let mut begun = Vec::new();
        let mut seen = HashMap::with_capacity(live.alarms.len());
        for alarm in &live.alarms {
            if self.seen.get(&alarm.id.0).is_none_or(|before| *before < alarm.occurrences) {
                begun.push(alarm.key.rule.clone());
            }
            seen.insert(alarm.id.0, alarm.occurrences);
        }
        self.seen = seen;
        begun
    }

    fn rule_began(&mut self, rule: &RuleId) {
        let named = self.controls.values().map(Control::spec).filter(|spec| spec.off_when.contains(rule));
        let rests: Vec<_> = named.filter_map(|spec| Some((spec.id.clone(), spec.rest?))).collect();
        let live = self.live.borrow().clone();
        for (id, value) in rests {
            self.number += 1;
            let by = By::Rule(rule.clone());
            let reason = by.reason().to_owned();
            let order = Order { number: self.number, value, by, reason, dry_run: false };
            self.with(&id, |control, now| control.order(now, &live, order));
        }
    }

    fn back(&mut self, back: Back) {
        match back {
            Back::Wrote(id, ticket, result) => {
                self.with(&id, |control, now| control.wrote(now, ticket, result));
            }
            Back::Read(id, ticket, result) => {
                self.with(&id, |control, now| control.read(now, ticket, result));
            }
        }
    }

    fn with(&mut self, id: &ControlId, act: impl FnOnce(&mut Control, crate::model::Now) -> Vec<Step>) {
        let now = self.clock.now();
        if let Some(control) = self.controls.get_mut(id) {
            let steps = act(control, now);
            self.take(id, steps);
        }
    }

    fn each(&mut self, mut act: impl FnMut(&mut Control, crate::model::Now) -> Vec<Step>) {
        let now = self.clock.now();
        let all: Vec<_> = self.controls.iter_mut().map(|(id, c)| (id.clone(), act(c, now))).collect();
        for (id, steps) in all {
            self.take(&id, steps);
        }
    }

    fn take(&mut self, id: &ControlId, steps: Vec<Step>) {
        let Some(spec) = self.controls.get(id).map(|control| Arc::clone(control.spec())) else { return };
        for step in steps {
            match step {
                Step::Store { ticket, memory, audit } => self.note(id.clone(), ticket, memory, audit),
                Step::Write { ticket, value } => {
                    let (id, writing) = (id.clone(), self.wire.write(&spec, value));
                    self.under_way.push(Box::pin(async move { Back::Wrote(id, ticket, writing.await) }));
                }
                Step::Read { ticket } => {
                    let (id, reading) = (id.clone(), self.wire.read(&spec));
                    self.under_way.push(Box::pin(async move { Back::Read(id, ticket, reading.await) }));
                }
                Step::Tell { number, outcome } => {
                    self.tally.control_orders.of(&outcome.word()).one();
                    tracing::info!(control = %id, outcome = outcome.word(), "an order: {}", outcome.says().en);
                    if let Some(asked) = self.asked.remove(&number) {
                        // Who no longer listens is in the audit trail all the same.
                        asked.send(outcome).ok();
                    }
                }
                Step::Report(finding) => {
                    self.unsaid.insert(finding.key.subject.clone(), finding);
                }
            }
        }
    }

    fn note(&mut self, id: ControlId, ticket: Option<u64>, memory: Memory, audit: Vec<Audit>) {
        let commit = Commit { audit, controls: vec![(id.clone(), memory.text())], ..Commit::default() };
        if self.notes.try_send(Note { control: id, ticket, commit }).is_err() {
            self.tally.dropped.of(&"control_note").one();
            tracing::warn!("a row of the audit trail was dropped: the disk has stalled too long");
        }
    }

    /// Tells the pipe what it has room for.
    fn say(&mut self) {
        while let Some((subject, finding)) = self.unsaid.pop_first() {
            if let Err(mpsc::error::TrySendError::Full(finding)) = self.findings.try_send(finding) {
                self.unsaid.insert(subject, finding);
                return;
            }
        }
    }

    fn show(&self) {
        let now = self.clock.now();
        let views: Vec<View> = self.controls.values().map(|control| control.view(now)).collect();
        self.office.views.send_if_modified(|shown| {
            let news = shown.len() != views.len()
                || shown.iter().zip(&views).any(|(a, b)| {
                    (a.stage, a.stuck, &a.last, a.rest_at.is_some())
                        != (b.stage, b.stuck, &b.last, b.rest_at.is_some())
                });
            if news {
                *shown = Arc::new(views);
            }
            news
        });
    }
}

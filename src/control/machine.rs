//! One control, from an order to what the device is read to be.

use super::checks::{finding, interlocked, span};
use super::memory::{Memory, dated, placed};
use super::outcome::{Failure, Outcome, Refusal};
use super::{By, NotWritten, Order, STORE_WITHIN, Spec, Step, close};
use crate::model::{Alarm, Mono, Now, Text, Wall};
use crate::museum;
use crate::pipeline::{Audit, Live};
use crate::rules::{Finding, Level};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
/// Pause between two reads while the device settles.
const READ_AGAIN: Duration = Duration::from_millis(250);
/// Most writes of one order: further ones only where the answer was lost and the device reads as before.
const WRITES: u32 = 3;
/// Pauses before rest is tried again: doubled from the first to the last.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Rest that is owed for so long and not reached is an alarm.
const ALARM_AFTER: Duration = Duration::from_secs(10);
/// Refused orders that are written down in an hour; more are only counted.
const REFUSALS_PER_HOUR: u32 = 60;

/// An order that is being carried out.
#[derive(Debug, Clone, PartialEq)]
struct Job {
    /// Whom to tell.
    number: Option<u64>,
    value: f64,
    /// What it was before, as last read.
    from: Option<f64>,
    by: By,
    reason: String,
    to_rest: bool,
    /// Tried before and written down then.
    again: bool,
    /// How often it was written.
    writes: u32,
    /// Nobody knows whether the last write arrived.
    unclear: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Stage {
    Idle,
    /// The intent is on its way to the disk.
    Storing {
        job: Job,
        ticket: u64,
        until: Mono,
    },
    /// The write is on its way. It is waited for, so that none can overtake the next.
    Writing {
        job: Job,
        ticket: u64,
    },
    /// It is read until it is so, or long enough.
    Settling {
        job: Job,
        ticket: u64,
        until: Mono,
        /// `None` while a read is on its way.
        read_at: Option<Mono>,
    },
}

impl Stage {
    fn job(&self) -> Option<&Job> {
        match self {
            Self::Idle => None,
            Self::Storing { job, .. } | Self::Writing { job, .. } | Self::Settling { job, .. } => Some(job),
        }
    }

    /// One word for pages.
    fn word(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Storing { .. } => "storing",
            Self::Writing { .. } => "writing",
            Self::Settling { .. } => "settling",
        }
    }
}

/// Rest has to be written, now or when the time is over.
#[derive(Debug, Clone, PartialEq)]
struct Owed {
    /// `None` until it was written away from rest.
    due: Option<Mono>,
    why: By,
    /// Attempts that failed, and when the first did.
    failed: u32,
    since: Option<Mono>,
    /// The alarm is raised.
    told: bool,
}

/// What became of the last order.
#[derive(Debug, Clone, PartialEq)]
pub struct Last {
    /// When it was known.
    pub at: Wall,
    /// Who gave it.
    pub by: String,
    /// What was to be written.
    pub value: f64,
    /// What became of it.
    pub outcome: Outcome,
}

/// A control as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// What it is.
    pub spec: Arc<Spec>,
    /// Whether control is switched on at all.
    pub enabled: bool,
    /// `idle`, `storing`, `writing` or `settling`.
    pub stage: &'static str,
    /// It is to be at rest by then.
    pub rest_at: Option<Wall>,
    /// It should be at rest and is not.
    pub stuck: bool,
    /// The last order.
    pub last: Option<Last>,
}

/// One control.
#[derive(Debug)]
pub struct Control {
    spec: Arc<Spec>,
    enabled: bool,
    stage: Stage,
    /// Rest that waits for the write on its way.
    next: Option<Job>,
    owed: Option<Owed>,
    /// Orders away from rest in the last hour, on the clock that never jumps.
    orders: VecDeque<i64>,
    /// The last write, likewise.
    switched: Option<i64>,
    ticket: u64,
    /// Refused orders that were written down since, and those that were not.
    refusals: (Option<Mono>, u32, u32),
    last: Option<Last>,
}

impl Control {
    /// Takes up where the last run left off: what it left on is due for rest at once.
    #[must_use]
    pub fn new(spec: Arc<Spec>, enabled: bool, memory: Option<&Memory>, now: Now) -> Self {
        let memory = memory.cloned().unwrap_or_default();
        let owes = memory.owes_rest && spec.rest.is_some();
        let owed = |due| Owed { due: Some(due), why: By::Restart, failed: 0, since: None, told: false };
        Self {
            spec,
            enabled,
            stage: Stage::Idle,
            next: None,
            owed: owes.then(|| owed(now.mono)),
            orders: memory.orders.iter().map(|at| placed(now, *at)).collect(),
            switched: memory.switched.map(|at| placed(now, at)),
            ticket: 0,
            refusals: (None, 0, 0),
            last: None,
        }
    }

    /// What it is.
    #[must_use]
    pub fn spec(&self) -> &Arc<Spec> {
        &self.spec
    }

    /// How it stands.
    #[must_use]
    pub fn view(&self, now: Now) -> View {
        let due = self.owed.as_ref().and_then(|owed| owed.due);
        View {
            spec: Arc::clone(&self.spec),
            enabled: self.enabled,
            stage: self.stage.word(),
            rest_at: due.map(|due| dated(now, millis(due))),
            stuck: self.owed.as_ref().is_some_and(|owed| owed.told),
            last: self.last.clone(),
        }
    }

    /// Nothing is under way, and nothing has to return.
    #[must_use]
    pub fn at_peace(&self) -> bool {
        self.stage == Stage::Idle && self.owed.is_none()
    }

    /// An order is given.
    pub fn order(&mut self, now: Now, live: &Live, order: Order) -> Vec<Step> {
        let mut steps = Vec::new();
        let value = match self.judge(now, live, &order) {
            Ok(value) => value,
            Err(refusal) => {
                let job = self.job(live, order.value, &order);
                self.conclude(now, &job, Outcome::Refused(refusal), &mut steps);
                return steps;
            }
        };
        let job = self.job(live, value, &order);
        if order.dry_run || self.spec.dry_run {
            self.conclude(now, &job, Outcome::DryRun { value }, &mut steps);
        } else if job.to_rest {
            self.rest(now, job, &mut steps);
        } else {
            self.begin(now, job, &mut steps);
        }
        steps
    }

    /// The value that is meant, if the order may be carried out now.
    fn judge(&mut self, now: Now, live: &Live, order: &Order) -> Result<f64, Refusal> {
        if !self.enabled {
            return Err(Refusal::Off);
        }
        let value = self.spec.allowed.find(order.value).ok_or_else(|| Refusal::NotAllowed {
            value: order.value,
            allowed: self.spec.allowed.to_string(),
        })?;
        if self.is_rest(value) {
            return Ok(value);
        }
        if self.spec.exit {
            return Err(Refusal::Exit);
        }
        self.fire(live)?;
        if let Some(job) = self.stage.job() {
            return Err(Refusal::UnderWay { by: job.by.actor() });
        }
        if let Some(owed) = self.owed.as_ref().filter(|owed| owed.failed > 0) {
            return Err(Refusal::UnderWay { by: owed.why.actor() });
        }
        interlocked(&self.spec.interlocks, now, live)?;
        self.rate(now)?;
        Ok(value)
    }

    fn fire(&self, live: &Live) -> Result<(), Refusal> {
        let barred = self.spec.inert_in_fire && live.alarms.iter().any(Alarm::burns);
        if barred { Err(Refusal::Fire) } else { Ok(()) }
    }

    fn is_rest(&self, value: f64) -> bool {
        self.spec.rest.is_some_and(|rest| close(rest, value))
    }

    fn job(&self, live: &Live, value: f64, order: &Order) -> Job {
        let (device, point) = &self.spec.read_back;
        let from = live.devices.get(device).and_then(|d| d.points.get(point)).and_then(|p| p.reading.value);
        let to_rest = self.is_rest(value);
        let (by, reason) = (order.by.clone(), order.reason.clone());
        let number = Some(order.number);
        Job { number, value, from, by, reason, to_rest, again: false, writes: 0, unclear: false }
    }

    fn rate(&mut self, now: Now) -> Result<(), Refusal> {
        let mono = millis(now.mono);
        let (hour, interval) = (span(HOUR), span(self.spec.min_interval));
        while self.orders.front().is_some_and(|at| mono.saturating_sub(*at) >= hour) {
            self.orders.pop_front();
        }
        let left = |at: i64, span: i64| {
            let left = span.saturating_sub(mono.saturating_sub(at));
            Duration::from_millis(u64::try_from(left).unwrap_or(0))
        };
        if let Some(at) = self.switched.filter(|at| mono.saturating_sub(*at) < interval) {
            return Err(Refusal::TooSoon { wait: left(at, interval) });
        }
        let most = usize::try_from(self.spec.max_per_hour).unwrap_or(usize::MAX);
        match self.orders.front() {
            Some(first) if self.orders.len() >= most => {
                Err(Refusal::TooMany { per_hour: self.spec.max_per_hour, wait: left(*first, hour) })
            }
            _ => Ok(()),
        }
    }

    /// Away from rest: first the intent is made durable, with the duty to return.
    fn begin(&mut self, now: Now, job: Job, steps: &mut Vec<Step>) {
        self.orders.push_back(millis(now.mono));
        if self.spec.max_on.is_some() && self.spec.rest.is_some() && self.owed.is_none() {
            self.owed = Some(Owed { due: None, why: By::Time, failed: 0, since: None, told: false });
        }
        let ticket = self.next_ticket();
        let asked = self.row(now, &job, "asked", "");
        steps.push(self.store(now, Some(ticket), vec![asked]));
        self.stage = Stage::Storing { job, ticket, until: now.mono.plus(STORE_WITHIN) };
    }

    /// To rest: nothing bars the way and nothing is waited for, except a write that is on its way already.
    fn rest(&mut self, now: Now, job: Job, steps: &mut Vec<Step>) {
        let by = job.by.actor();
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => self.write_rest(now, job, steps),
            Stage::Writing { job: old, ticket } => {
                let taken = self.next.is_some() || old.to_rest;
                let whose = self.next.as_ref().unwrap_or(&old).by.actor();
                self.stage = Stage::Writing { job: old, ticket };
                if taken {
                    self.conclude(now, &job, Outcome::Refused(Refusal::UnderWay { by: whose }), steps);
                } else {
                    self.next = Some(job);
                }
            }
            Stage::Settling { job: old, ticket, until, read_at } if old.to_rest => {
                let whose = old.by.actor();
                self.stage = Stage::Settling { job: old, ticket, until, read_at };
                self.conclude(now, &job, Outcome::Refused(Refusal::UnderWay { by: whose }), steps);
            }
            Stage::Storing { job: old, .. } | Stage::Settling { job: old, .. } => {
                self.forget_unwritten();
                self.conclude(now, &old, Outcome::Refused(Refusal::Overtaken { by }), steps);
                self.write_rest(now, job, steps);
            }
        }
    }

    fn write_rest(&mut self, now: Now, job: Job, steps: &mut Vec<Step>) {
        if !job.again {
            let asked = self.row(now, &job, "asked", "");
            steps.push(self.store(now, None, vec![asked]));
        }
        self.write(now, job, steps);
    }

    fn write(&mut self, now: Now, mut job: Job, steps: &mut Vec<Step>) {
        job.writes += 1;
        let ticket = self.next_ticket();
        self.switched = Some(millis(now.mono));
        steps.push(Step::Write { ticket, value: job.value });
        self.stage = Stage::Writing { job, ticket };
    }

    /// An intent is durable.
    pub fn stored(&mut self, now: Now, live: &Live, durable: u64) -> Vec<Step> {
        let mut steps = Vec::new();
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Storing { job, ticket, .. } if ticket == durable => {
                // The disk may have taken its time.
                let free = self.fire(live).and_then(|()| interlocked(&self.spec.interlocks, now, live));
                if let Err(refusal) = free {
                    self.forget_unwritten();
                    self.conclude(now, &job, Outcome::Refused(refusal), &mut steps);
                    return steps;
                }
                if let (Some(owed), Some(max_on)) = (&mut self.owed, self.spec.max_on) {
                    owed.due.get_or_insert(now.mono.plus(max_on));
                }
                self.write(now, job, &mut steps);
            }
            other => self.stage = other,
        }
        steps
    }

    /// What came of a write.
    pub fn wrote(&mut self, now: Now, done: u64, result: Result<(), NotWritten>) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut job = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Writing { job, ticket } if ticket == done => job,
            other => {
                self.stage = other;
                return steps;
            }
        };
        if let Some(next) = self.next.take() {
            let by = next.by.actor();
            self.conclude(now, &job, Outcome::Refused(Refusal::Overtaken { by }), &mut steps);
            self.write_rest(now, next, &mut steps);
            return steps;
        }
        match result {
            Ok(()) if museum::on("control_trusts_the_echo") => self.succeed(now, &job, &mut steps),
            Err(NotWritten::Refused(why)) => self.fail(now, job, Failure::Refused(why), &mut steps),
            // Whatever was answered, or not: the device is asked how it is.
            Ok(()) | Err(NotWritten::Unclear(_)) => {
                job.unclear = result.is_err();
                let until = now.mono.plus(self.spec.settle);
                let ticket = self.next_ticket();
                steps.push(Step::Read { ticket });
                self.stage = Stage::Settling { job, ticket, until, read_at: None };
            }
        }
        steps
    }

    /// What came of a read.
    pub fn read(&mut self, now: Now, done: u64, result: Result<f64, Text>) -> Vec<Step> {
        let mut steps = Vec::new();
        let (job, ticket, until) = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Settling { job, ticket, until, read_at: None } if ticket == done => (job, ticket, until),
            other => {
                self.stage = other;
                return steps;
            }
        };
        match result {
            Ok(read) if self.spec.allowed.reached(job.value, read) => self.succeed(now, &job, &mut steps),
            // The write was lost on its way, and nothing was switched by it.
            Ok(_) if job.unclear && job.writes < WRITES => self.write(now, job, &mut steps),
            Ok(read) if now.mono >= until => {
                let wanted = job.value;
                self.fail(now, job, Failure::NotDone { wanted, read }, &mut steps);
            }
            Err(why) if now.mono >= until => self.fail(now, job, Failure::Silent(why), &mut steps),
            Ok(_) | Err(_) => {
                let read_at = Some(now.mono.plus(READ_AGAIN).min(until));
                self.stage = Stage::Settling { job, ticket, until, read_at };
            }
        }
        steps
    }

    /// Time has passed.
    pub fn expire(&mut self, now: Now) -> Vec<Step> {
        let mut steps = Vec::new();
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Storing { job, until, .. } if until <= now.mono => {
                self.forget_unwritten();
                self.conclude(now, &job, Outcome::Refused(Refusal::NotStored), &mut steps);
            }
            Stage::Settling { job, until, read_at: Some(at), .. } if at <= now.mono => {
                let ticket = self.next_ticket();
                steps.push(Step::Read { ticket });
                self.stage = Stage::Settling { job, ticket, until, read_at: None };
            }
            other => self.stage = other,
        }
        if self.rest_due().is_some_and(|due| due <= now.mono) {
            self.pay(now, &mut steps);
        }
        steps
    }

    /// The gateway stops: what would be switched off later is switched off now.
    pub fn stop(&mut self, now: Now) -> Vec<Step> {
        let mut steps = Vec::new();
        if let Some(owed) = self.owed.as_mut().filter(|owed| owed.due.is_some()) {
            owed.due = Some(now.mono);
            owed.why = By::Stop;
            if self.rest_due().is_some() {
                self.pay(now, &mut steps);
            }
        }
        steps
    }

    /// When [`Control::expire`] wants to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let own = match &self.stage {
            Stage::Idle | Stage::Writing { .. } => None,
            Stage::Storing { until, .. } => Some(*until),
            Stage::Settling { read_at, .. } => *read_at,
        };
        [own, self.rest_due()].into_iter().flatten().min()
    }

    /// When the gateway has to write rest by itself, unless it is about to.
    fn rest_due(&self) -> Option<Mono> {
        let owed = self.owed.as_ref()?;
        let under_way = self.next.is_some() || self.stage.job().is_some_and(|job| job.to_rest);
        if under_way { None } else { owed.due }
    }

    /// Writes the rest that is owed.
    fn pay(&mut self, now: Now, steps: &mut Vec<Step>) {
        let (Some(owed), Some(value)) = (&self.owed, self.spec.rest) else { return };
        let (by, again) = (owed.why.clone(), owed.failed > 0);
        let reason = by.reason().to_owned();
        let (from, to_rest) = (None, true);
        let job = Job { number: None, value, from, by, reason, to_rest, again, writes: 0, unclear: false };
        self.rest(now, job, steps);
    }

    fn succeed(&mut self, now: Now, job: &Job, steps: &mut Vec<Step>) {
        if job.to_rest
            && let Some(owed) = self.owed.take()
            && owed.told
        {
            steps.extend(self.report(Level::Ended).map(Step::Report));
        }
        let due = self.owed.as_ref().and_then(|owed| owed.due);
        let back_in = due.map(|due| due.since(now.mono));
        self.conclude(now, job, Outcome::Done { value: job.value, back_in }, steps);
    }

    fn fail(&mut self, now: Now, job: Job, failure: Failure, steps: &mut Vec<Step>) {
        let first = !job.again;
        if let Some(owed) = &mut self.owed {
            if job.to_rest {
                let since = *owed.since.get_or_insert(now.mono);
                let pause = RETRY.0.saturating_mul(1 << owed.failed.min(5)).min(RETRY.1);
                owed.failed = owed.failed.saturating_add(1);
                owed.due = Some(now.mono.plus(pause));
                if !owed.told && now.mono.since(since) >= ALARM_AFTER {
                    owed.told = true;
                    steps.extend(self.report(Level::Holds).map(Step::Report));
                }
            } else {
                owed.due = Some(now.mono);
                owed.why = By::Doubt;
            }
        }
        let outcome = Outcome::Failed(failure);
        if first {
            self.conclude(now, &job, outcome, steps);
        } else {
            self.last = Some(Last { at: now.wall, by: job.by.actor(), value: job.value, outcome });
        }
        steps.extend(self.expire(now));
    }

    /// An order was given up before it was written: nothing has to return because of it.
    fn forget_unwritten(&mut self) {
        if self.owed.as_ref().is_some_and(|owed| owed.due.is_none()) {
            self.owed = None;
        }
    }

    /// Writes down and tells what became of an order.
    fn conclude(&mut self, now: Now, job: &Job, outcome: Outcome, steps: &mut Vec<Step>) {
        let said = match &outcome {
            Outcome::Refused(_) | Outcome::Failed(_) => outcome.says().en,
            Outcome::Done { .. } | Outcome::DryRun { .. } => String::new(),
        };
        let counted = match &outcome {
            Outcome::Refused(refusal) if !matches!(refusal, Refusal::Overtaken { .. }) => {
                self.note_refusal(now)
            }
            _ => Some(String::new()),
        };
        if let Some(more) = counted {
            let row = self.row(now, job, outcome.word(), &format!("{said}{more}"));
            steps.push(self.store(now, None, vec![row]));
        }
        if let Some(number) = job.number {
            steps.push(Step::Tell { number, outcome: outcome.clone() });
        }
        self.last = Some(Last { at: now.wall, by: job.by.actor(), value: job.value, outcome });
    }

    /// Whether a refusal is written down, and what to add: rows of the audit trail are kept for ever.
    fn note_refusal(&mut self, now: Now) -> Option<String> {
        let (since, written, left_out) = &mut self.refusals;
        let mut more = String::new();
        if since.is_none_or(|since| now.mono.since(since) >= HOUR) {
            if *left_out > 0 {
                more = format!(" (and {left_out} refusals before it that were not written down)");
            }
            (*since, *written, *left_out) = (Some(now.mono), 0, 0);
        }
        if *written >= REFUSALS_PER_HOUR {
            *left_out = left_out.saturating_add(1);
            return None;
        }
        *written += 1;
        Some(more)
    }

    fn store(&self, now: Now, ticket: Option<u64>, audit: Vec<Audit>) -> Step {
        let memory = Memory {
            owes_rest: self.owed.is_some() && !museum::on("pulse_not_remembered"),
            switched: self.switched.map(|at| dated(now, at)),
            orders: self.orders.iter().map(|at| dated(now, *at)).collect(),
        };
        Step::Store { ticket, memory, audit }
    }

    fn row(&self, now: Now, job: &Job, result: &str, said: &str) -> Audit {
        let from = job.from.map_or_else(|| "unknown".to_owned(), |from| from.to_string());
        let (device, point) = (&self.spec.device, &self.spec.point);
        let mut detail =
            format!("result={result} from={from} to={} device={device} point={point}", job.value);
        for (key, text) in [("reason", job.reason.as_str()), ("said", said)] {
            if !text.is_empty() {
                detail.push_str(&format!(" {key}={text:?}"));
            }
        }
        Audit {
            at: now.wall,
            actor: job.by.actor().into(),
            action: "control",
            subject: self.spec.id.to_string().into(),
            detail,
        }
    }

    fn report(&self, level: Level) -> Option<Finding> {
        let (name, rest) = (&self.spec.name, self.spec.rest?);
        let what = Text::new(
            format!("“{name}”应恢复到 {rest}，但没有成功：请到现场检查，必要时手动断开"),
            format!(
                "'{name}' should be back at {rest} and is not: go and look, and switch it off by hand if need be"
            ),
        );
        let place = Some((self.spec.device.clone(), self.spec.place.clone()));
        finding(&self.spec.id, level, place, what)
    }

    fn next_ticket(&mut self) -> u64 {
        self.ticket += 1;
        self.ticket
    }
}

/// On the clock that never jumps, so that times before this run have numbers, too.
fn millis(at: Mono) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

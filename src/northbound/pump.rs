//! What to do next for one destination: fetch, send, settle or wait. It decides and does nothing else.
//!
//! A record is settled only when the platform has said what becomes of it. Each lane holds one batch, or the parts it
//! was split into, and sends it unchanged until then. Alarms go first; an alarm that is new does not wait for the
//! backlog's next try, only for a pause the platform itself asked for.
//!
//! A record that alone meets a code in no list is a suspect. It waits beside the lanes and keeps back only what
//! follows it from its own device; it is set aside only when the platform took another record meanwhile.

use super::envelope::line;
use super::status::in_words;
use super::{
    Batch, DestinationStatus, EncodeContext, NoReply, PlatformAdapter, Reply, Request, Sender, TokenVerdict,
    UplinkState, Verdict, Why,
};
use crate::model::{DeviceId, Lane, Mono, Now, OutboxItem, Record, Secret};
use crate::museum;
use crate::runtime::Backoff;
use crate::store::Settlement;
use std::collections::VecDeque;
use std::time::Duration;

/// First pause after a failure.
pub const RETRY_FIRST: Duration = Duration::from_secs(1);
/// Longest pause after a failure.
pub const RETRY_CAP: Duration = Duration::from_secs(300);
/// First pause after a refusal of who we are.
pub const REFUSED_FIRST: Duration = Duration::from_secs(60);
/// Longest pause after a refusal of who we are.
pub const REFUSED_CAP: Duration = Duration::from_secs(1800);
/// A token is used no longer than this, whatever the platform says; no shorter than [`TOKEN_FLOOR`].
pub const TOKEN_CAP: Duration = Duration::from_secs(7200);
/// A token is used at least this long, unless the platform refuses it.
pub const TOKEN_FLOOR: Duration = Duration::from_secs(60);
/// A batch answered this often with a code in no list is halved, so that one record cannot block the rest.
pub const UNKNOWN_TRIES: u32 = 10;
/// A suspect is set aside after so many more refusals that count: the platform took another record since the search
/// began, and refused nothing else since it last took one.
pub const SUSPECT_TRIES: u32 = 3;
/// Most records that are read at once to find one that no suspect keeps back.
pub const MAX_WINDOW: usize = 8192;
/// Clocks further apart than this may be why a signature is refused, milliseconds.
pub const SKEW_MS: i64 = 300_000;

/// Limits of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most records.
    pub max_records: usize,
    /// Most bytes of body; a single record may exceed it.
    pub max_bytes: usize,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Read at most so many owed records and give them to [`Pump::fetched`].
    Fetch(usize),
    /// Make this durable, then call [`Pump::settled`].
    Settle(Settlement),
    /// Send this and give the answer to [`Pump::replied`].
    Send(Request),
    /// Nothing to do until this moment, or until more is owed (then call [`Pump::wake`]).
    Wait(Option<Mono>),
}

/// What an answer brought, for counters and the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Records accepted, of one lane.
    pub accepted: Option<(Lane, u64)>,
    /// Records set aside: uid and the platform's reason.
    pub set_aside: Vec<(String, String)>,
    /// Why the request failed, if it did.
    pub failed: Option<Why>,
}

#[derive(Debug)]
struct Attempt {
    batch: Batch,
    /// Refusals by a code in no list; of a suspect only those that count against it.
    unknown_tries: u32,
    /// [`Pump::acceptances`] when the search for the record at fault began.
    refused_since: Option<u64>,
}

impl Attempt {
    fn new(batch: Batch) -> Self {
        Self { batch, unknown_tries: 0, refused_since: None }
    }
}

/// Whose order a record must keep: records of one lane and device follow one another.
fn order_of(item: &OutboxItem) -> (Lane, Option<&DeviceId>) {
    let device = match &item.record {
        Record::Aggregate(roll_up) => Some(&roll_up.device),
        Record::Alarm(change) => change.alarm.device.as_ref(),
        Record::AuditHead(_) => None,
    };
    (item.record.lane(), device)
}

#[derive(Debug)]
struct Queue {
    /// Of a lane: one batch, or what it was split into, the earliest first. Of suspects: one record each, next first.
    pending: VecDeque<Attempt>,
    due: Mono,
    backoff: Backoff,
}

impl Queue {
    fn new(seed: u64) -> Self {
        let backoff = Backoff::new(RETRY_FIRST, RETRY_CAP, seed);
        Self { pending: VecDeque::new(), due: Mono(0), backoff }
    }
}

#[derive(Debug)]
struct Token {
    secret: Secret,
    renew_at: Mono,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Token,
    Records,
}

/// What was refused by a code in no list since the platform last took a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blame {
    /// No record alone.
    Nobody,
    /// This record, by its number, and nothing that came after.
    One(u64),
    /// Requests that have no record in common: more like an outage.
    Several,
}

/// A place to wait in, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    Alarms,
    Suspects,
    Aggregates,
}

impl Row {
    const ALL: [Self; 3] = [Self::Alarms, Self::Suspects, Self::Aggregates];

    fn of(lane: Lane) -> Self {
        match lane {
            Lane::Alarm => Self::Alarms,
            Lane::Aggregate => Self::Aggregates,
        }
    }
}

/// The state of one destination.
#[derive(Debug)]
pub struct Pump {
    adapter: Box<dyn PlatformAdapter>,
    sender: Sender,
    limits: Limits,
    alarms: Queue,
    aggregates: Queue,
    /// At most one record of each lane and device.
    suspects: Queue,
    /// How often records were accepted.
    acceptances: u64,
    blame: Blame,
    /// How many owed records are read at once.
    window: usize,
    /// More may be owed than is in hand.
    look: bool,
    /// No request before this: the platform asked for it or refuses us.
    hold_until: Mono,
    refusals: Backoff,
    token: Option<Token>,
    /// The token was renewed and nothing has been accepted since.
    renewed: bool,
    settlement: Option<Settlement>,
    in_flight: Option<(Asked, Row)>,
    status: DestinationStatus,
}

impl Pump {
    /// A pump that has everything to find out. `seed` spreads its pauses.
    #[must_use]
    pub fn new(adapter: Box<dyn PlatformAdapter>, sender: Sender, limits: Limits, seed: u64) -> Self {
        Self {
            adapter,
            sender,
            limits,
            alarms: Queue::new(seed),
            aggregates: Queue::new(seed.rotate_left(17)),
            suspects: Queue::new(seed.rotate_left(47)),
            acceptances: 0,
            blame: Blame::Nobody,
            window: limits.max_records.max(1),
            look: true,
            hold_until: Mono(0),
            refusals: Backoff::new(REFUSED_FIRST, REFUSED_CAP, seed.rotate_left(31)),
            token: None,
            renewed: false,
            settlement: None,
            in_flight: None,
            status: DestinationStatus::starting(),
        }
    }

    /// How the destination is doing.
    #[must_use]
    pub fn status(&self) -> &DestinationStatus {
        &self.status
    }

    /// More may be owed.
    pub fn wake(&mut self) {
        self.look = true;
    }

    /// What to do now. `nonce` is random and new for every call.
    #[must_use]
    pub fn next(&mut self, now: Now, nonce: [u8; 16]) -> Step {
        if let Some(settlement) = &self.settlement {
            return Step::Settle(settlement.clone());
        }
        if now.mono < self.hold_until {
            return Step::Wait(Some(self.hold_until));
        }
        // With alarms in hand there is nothing more urgent to find.
        if self.look && self.alarms.pending.is_empty() {
            return Step::Fetch(self.window);
        }
        let row = match self.turn(now.mono) {
            Ok(row) => row,
            Err(until) => return Step::Wait(until),
        };
        if self.token.as_ref().is_some_and(|t| t.renew_at <= now.mono) {
            self.token = None;
        }
        let token = self.token.as_ref().map(|t| &t.secret);
        let cx = EncodeContext { wall: now.wall, nonce, token };
        if token.is_none()
            && let Some(request) = self.adapter.token_request(&cx)
        {
            self.in_flight = Some((Asked::Token, row));
            return Step::Send(request);
        }
        let Some(attempt) = self.queue(row).pending.front() else { return Step::Wait(None) };
        let request = self.adapter.encode(&cx, &attempt.batch);
        if museum::on("outbox_deleted_before_yes") {
            let delivered = attempt.batch.items.iter().map(|i| i.seq).collect();
            self.settlement = Some(Settlement { delivered, set_aside: vec![] });
        }
        self.in_flight = Some((Asked::Records, row));
        Step::Send(request)
    }

    /// Whose turn it is, or until when nobody's.
    fn turn(&self, now: Mono) -> Result<Row, Option<Mono>> {
        let waiting = |row: &Row| !self.queue(*row).pending.is_empty();
        // While alarms wait for their next try, all the rest waits too.
        let rows = if waiting(&Row::Alarms) { &Row::ALL[..1] } else { &Row::ALL[1..] };
        let rows = || rows.iter().copied().filter(waiting);
        let due = rows().find(|row| self.queue(*row).due <= now);
        due.ok_or_else(|| rows().map(|row| self.queue(row).due).min())
    }

    /// Takes what is owed: alarms first, then by number, as the store gives it.
    pub fn fetched(&mut self, items: &[OutboxItem]) {
        self.look = false;
        let Limits { max_records, max_bytes } = self.limits;
        let whole_window = items.len() >= self.window;
        let free: Vec<OutboxItem>;
        let items = if self.suspects.pending.is_empty() {
            self.window = max_records.max(1);
            items
        } else {
            free = items.iter().filter(|item| !self.is_kept_back(item)).cloned().collect();
            &free
        };
        for lane in Lane::ALL {
            if self.first_lane().is_some_and(|first| first <= *lane) {
                break;
            }
            if let Some(batch) = Batch::leading(&self.sender, items, *lane, max_records, max_bytes) {
                self.queue_mut(Row::of(*lane)).pending.push_back(Attempt::new(batch));
            }
        }
        if whole_window && items.is_empty() && self.window < MAX_WINDOW {
            self.window = self.window.saturating_mul(2);
            self.look = true;
        }
        self.note_oldest();
        if self.first_lane().is_none() && self.status.state == UplinkState::Starting {
            self.status.state = UplinkState::Up;
        }
    }

    /// Whether a record is a suspect or follows one.
    fn is_kept_back(&self, item: &OutboxItem) -> bool {
        let mut suspects = self.suspects.pending.iter().flat_map(|a| &a.batch.items);
        suspects.any(|suspect| order_of(suspect) == order_of(item))
    }

    /// The settlement is durable.
    pub fn settled(&mut self) {
        self.settlement = None;
    }

    /// Takes the answer to the request that was sent last.
    pub fn replied(&mut self, now: Now, answer: Result<Reply, NoReply>) -> Outcome {
        let Some((asked, row)) = self.in_flight.take() else { return Outcome::default() };
        let reply = match answer {
            Ok(reply) => reply,
            Err(NoReply { lost, cause }) => {
                let why = Why { word: lost.as_str(), said: line(&cause) };
                return self.retry(now, row, why, None);
            }
        };
        if let Some(date) = reply.date {
            self.status.clock_ahead_ms = Some(date.since(now.wall));
        }
        let outcome = match asked {
            Asked::Token => self.judge_token(now, row, &reply),
            Asked::Records => self.judge_records(now, row, &reply),
        };
        self.note_oldest();
        outcome
    }

    fn judge_token(&mut self, now: Now, row: Row, reply: &Reply) -> Outcome {
        match self.adapter.judge_token(reply) {
            TokenVerdict::Granted { token, valid } => {
                // A tenth earlier than the platform forgets it, so that it does not expire on the way.
                let valid = valid.map_or(TOKEN_CAP, |v| v.min(TOKEN_CAP).mul_f64(0.9)).max(TOKEN_FLOOR);
                self.token = Some(Token { secret: token, renew_at: now.mono.plus(valid) });
                Outcome::default()
            }
            TokenVerdict::AuthRefused(why) => self.refused(now, why, reply.retry_after),
            TokenVerdict::Retry(why) => self.retry(now, row, why, reply.retry_after),
        }
    }

    fn judge_records(&mut self, now: Now, row: Row, reply: &Reply) -> Outcome {
        let Some(attempt) = self.queue_mut(row).pending.pop_front() else { return Outcome::default() };
        match self.adapter.judge(reply, &attempt.batch) {
            Verdict::Accepted => self.accept(now, row, attempt.batch, vec![], &[]),
            Verdict::Partial { rejected, again } => {
                let all_again = again.len() >= attempt.batch.items.len();
                let mut outcome = self.accept(now, row, attempt.batch, rejected, &again);
                if !again.is_empty() {
                    let why = Why { word: "busy", said: format!("{} records not taken now", again.len()) };
                    let waits = self.retry(now, row, why, reply.retry_after);
                    outcome.failed = waits.failed;
                    // Something was taken, so the platform works; the rest waits all the same.
                    if !all_again {
                        self.status.consecutive_failures = 1;
                    }
                }
                outcome
            }
            Verdict::Rejected(_) if museum::on("drop_on_400") => {
                self.accept(now, row, attempt.batch, vec![], &[])
            }
            Verdict::Rejected(why) => self.split(now, row, attempt, why),
            Verdict::Unknown(why) => self.unlisted(now, row, attempt, why, reply.retry_after),
            Verdict::TokenExpired(why) => {
                self.queue_mut(row).pending.push_front(attempt);
                if self.renew_token() {
                    return Outcome { failed: Some(why), ..Outcome::default() };
                }
                self.refused(now, why, reply.retry_after)
            }
            Verdict::AuthRefused(why) => {
                self.queue_mut(row).pending.push_front(attempt);
                self.refused(now, why, reply.retry_after)
            }
            Verdict::Retry(why) => {
                self.queue_mut(row).pending.push_front(attempt);
                self.retry(now, row, why, reply.retry_after)
            }
        }
    }

    /// An answer with a code in no list: an outage, a token that ended, or something wrong with a record.
    fn unlisted(
        &mut self,
        now: Now,
        row: Row,
        mut attempt: Attempt,
        why: Why,
        asked_for: Option<Duration>,
    ) -> Outcome {
        self.blame = match (self.blame, attempt.batch.items.as_slice()) {
            (Blame::Nobody, [item]) => Blame::One(item.seq),
            (Blame::One(seq), [item]) if item.seq == seq => self.blame,
            (Blame::Nobody, _) => Blame::Nobody,
            _ => Blame::Several,
        };
        let works_otherwise = attempt.refused_since.is_some_and(|since| self.acceptances > since);
        if row == Row::Suspects {
            if works_otherwise && self.blame != Blame::Several {
                attempt.unknown_tries += 1;
                if attempt.unknown_tries >= SUSPECT_TRIES {
                    return self.split(now, row, attempt, why);
                }
                self.suspects.pending.push_front(attempt);
            } else {
                self.suspects.pending.push_back(attempt);
            }
            return self.retry(now, row, why, asked_for);
        }
        attempt.unknown_tries += 1;
        if attempt.unknown_tries < UNKNOWN_TRIES {
            self.queue_mut(row).pending.push_front(attempt);
            if self.renew_token() {
                return Outcome { failed: Some(why), ..Outcome::default() };
            }
            return self.retry(now, row, why, asked_for);
        }
        if attempt.unknown_tries == UNKNOWN_TRIES {
            // The search for the record at fault begins with short pauses again.
            attempt.refused_since = Some(self.acceptances);
            self.queue_mut(row).backoff.reset();
        }
        if attempt.batch.items.len() > 1 {
            let outcome = self.split(now, row, attempt, why.clone());
            return if works_otherwise { outcome } else { self.retry(now, row, why, asked_for) };
        }
        self.suspect(row, attempt);
        let pause = self.suspects.backoff.pause();
        self.suspects.due = self.suspects.due.max(now.mono.plus(pause));
        self.retry(now, row, why, asked_for)
    }

    /// Lets a record wait beside its lane, and lets go of what is in hand of the same device: it stays owed.
    fn suspect(&mut self, row: Row, attempt: Attempt) {
        self.suspects.pending.push_back(Attempt { unknown_tries: 0, ..attempt });
        let parts = std::mem::take(&mut self.queue_mut(row).pending);
        for part in parts {
            let Attempt { batch, unknown_tries, refused_since } = part;
            let (mut free, whole) = (batch.items.clone(), batch.items.len());
            free.retain(|item| !self.is_kept_back(item));
            let batch = if free.len() == whole { Some(batch) } else { Batch::new(&self.sender, free) };
            let part = batch.map(|batch| Attempt { batch, unknown_tries, refused_since });
            self.queue_mut(row).pending.extend(part);
        }
        self.look |= self.queue(row).pending.is_empty();
    }

    /// Drops the token if a new one could help: once between two acceptances.
    fn renew_token(&mut self) -> bool {
        let helps = self.token.is_some() && !self.renewed;
        if helps {
            self.token = None;
            self.renewed = true;
        }
        helps
    }

    /// The platform has the batch, except what it refused for good or for now.
    fn accept(
        &mut self,
        now: Now,
        row: Row,
        batch: Batch,
        rejected: Vec<(usize, String)>,
        again: &[usize],
    ) -> Outcome {
        let mut settlement = Settlement::default();
        let mut outcome = Outcome::default();
        let mut kept = Vec::new();
        let mut rejected = rejected.into_iter().peekable();
        let mut accepted = None;
        for (at, item) in batch.items.into_iter().enumerate() {
            if let Some((_, reason)) = rejected.next_if(|(r, _)| *r == at) {
                outcome.set_aside.push((item.uid, reason.clone()));
                settlement.set_aside.push((item.seq, reason));
            } else if again.contains(&at) {
                kept.push(item);
            } else {
                settlement.delivered.push(item.seq);
                accepted = Some(item.record.lane());
            }
        }
        if let Some(batch) = Batch::new(&self.sender, kept) {
            self.queue_mut(row).pending.push_front(Attempt::new(batch));
        }
        if let Some(lane) = accepted {
            outcome.accepted = Some((lane, settlement.delivered.len().try_into().unwrap_or(u64::MAX)));
            self.works(now);
        }
        self.settle(row, settlement);
        outcome
    }

    /// The platform works: nothing that waits needs to wait longer.
    fn works(&mut self, now: Now) {
        for row in Row::ALL {
            let queue = self.queue_mut(row);
            queue.backoff.reset();
            queue.due = now.mono;
        }
        self.acceptances = self.acceptances.saturating_add(1);
        self.blame = Blame::Nobody;
        self.refusals.reset();
        self.renewed = false;
        self.status.state = UplinkState::Up;
        self.status.last_success = Some(now.wall);
        self.status.consecutive_failures = 0;
    }

    /// Halves a batch that was refused as a whole; a single record is set aside with the reason.
    fn split(&mut self, now: Now, row: Row, attempt: Attempt, why: Why) -> Outcome {
        let Attempt { batch, unknown_tries, refused_since } = attempt;
        // The platform answers, so the uplink works; what it refuses is seen in `set_aside` and the last error.
        self.status.state = UplinkState::Up;
        self.status.consecutive_failures = 0;
        let single = batch.items.first().map(|i| (i.seq, i.uid.clone()));
        if let Some((earlier, later)) = batch.halves(&self.sender) {
            let pending = &mut self.queue_mut(row).pending;
            pending.push_front(Attempt { batch: later, unknown_tries, refused_since });
            pending.push_front(Attempt { batch: earlier, unknown_tries, refused_since });
            return Outcome { failed: Some(why), ..Outcome::default() };
        }
        let mut outcome = Outcome::default();
        if let Some((seq, uid)) = single {
            outcome.set_aside.push((uid, why.said.clone()));
            let set_aside = vec![(seq, why.said.clone())];
            self.settle(row, Settlement { delivered: vec![], set_aside });
        }
        self.status.last_failure = Some(now.wall);
        self.status.last_error = Some(in_words(why.word, &why.said));
        outcome.failed = Some(why);
        outcome
    }

    fn settle(&mut self, row: Row, settlement: Settlement) {
        // A suspect that is settled sets free what it kept back.
        if row == Row::Suspects || self.queue(row).pending.is_empty() {
            self.look = true;
        }
        if !(settlement.delivered.is_empty() && settlement.set_aside.is_empty()) {
            self.settlement = Some(settlement);
        }
    }

    fn retry(&mut self, now: Now, row: Row, why: Why, asked_for: Option<Duration>) -> Outcome {
        let queue = self.queue_mut(row);
        let pause = queue.backoff.pause();
        queue.due = now.mono.plus(pause);
        if let Some(span) = asked_for {
            self.hold_until = self.hold_until.max(now.mono.plus(span));
        }
        self.failed(now, UplinkState::Retrying, why)
    }

    fn refused(&mut self, now: Now, why: Why, asked_for: Option<Duration>) -> Outcome {
        let pause = self.refusals.pause().max(asked_for.unwrap_or_default());
        self.hold_until = self.hold_until.max(now.mono.plus(pause));
        self.token = None;
        self.renewed = false;
        let skewed = self.status.clock_ahead_ms.is_some_and(|ms| ms.saturating_abs() > SKEW_MS);
        let state = if skewed { UplinkState::ClockSkew } else { UplinkState::AuthRefused };
        self.failed(now, state, why)
    }

    fn failed(&mut self, now: Now, state: UplinkState, why: Why) -> Outcome {
        self.status.state = state;
        self.status.last_failure = Some(now.wall);
        self.status.last_error = Some(in_words(why.word, &why.said));
        self.status.consecutive_failures = self.status.consecutive_failures.saturating_add(1);
        Outcome { failed: Some(why), ..Outcome::default() }
    }

    fn note_oldest(&mut self) {
        let attempts = Row::ALL.into_iter().flat_map(|row| &self.queue(row).pending);
        let oldest = attempts.flat_map(|a| &a.batch.items).map(|i| i.created).min();
        self.status.oldest_owed = oldest;
    }

    fn first_lane(&self) -> Option<Lane> {
        Lane::ALL.iter().copied().find(|lane| !self.queue(Row::of(*lane)).pending.is_empty())
    }

    fn queue(&self, row: Row) -> &Queue {
        match row {
            Row::Alarms => &self.alarms,
            Row::Suspects => &self.suspects,
            Row::Aggregates => &self.aggregates,
        }
    }

    fn queue_mut(&mut self, row: Row) -> &mut Queue {
        match row {
            Row::Alarms => &mut self.alarms,
            Row::Suspects => &mut self.suspects,
            Row::Aggregates => &mut self.aggregates,
        }
    }
}

#[cfg(test)]
mod tests;

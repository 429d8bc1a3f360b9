//! What to do next for one destination: fetch, send, settle or wait. It decides and does nothing else.
//!
//! A record is settled only when the platform has said what becomes of it. Each lane holds one batch, or the parts it
//! was split into, and sends it unchanged until then. Alarms go first; an alarm that is new does not wait for the
//! backlog's next try, only for a pause the platform itself asked for.

use super::envelope::line;
use super::status::in_words;
use super::{
    Batch, DestinationStatus, EncodeContext, NoReply, PlatformAdapter, Reply, Request, Sender, TokenVerdict,
    UplinkState, Verdict, Why,
};
use crate::model::{Lane, Mono, Now, OutboxItem, Secret};
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
/// A batch answered this often with a code in no list is taken to be rejected, so that it cannot block the rest.
pub const UNKNOWN_TRIES: u32 = 10;
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
    unknown_tries: u32,
}

#[derive(Debug)]
struct Queue {
    /// One batch, or what it was split into, the earliest first.
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

/// The state of one destination.
#[derive(Debug)]
pub struct Pump {
    adapter: Box<dyn PlatformAdapter>,
    sender: Sender,
    limits: Limits,
    alarms: Queue,
    aggregates: Queue,
    /// More may be owed than is in hand.
    look: bool,
    /// No request before this: the platform asked for it or refuses us.
    hold_until: Mono,
    refusals: Backoff,
    token: Option<Token>,
    /// The token was renewed and nothing has been accepted since.
    renewed: bool,
    settlement: Option<Settlement>,
    in_flight: Option<(Asked, Lane)>,
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
            return Step::Fetch(self.limits.max_records.max(1));
        }
        let Some(lane) = self.first_lane() else { return Step::Wait(None) };
        let due = self.queue(lane).due;
        if now.mono < due {
            return Step::Wait(Some(due));
        }
        if self.token.as_ref().is_some_and(|t| t.renew_at <= now.mono) {
            self.token = None;
        }
        let token = self.token.as_ref().map(|t| &t.secret);
        let cx = EncodeContext { wall: now.wall, nonce, token };
        if token.is_none()
            && let Some(request) = self.adapter.token_request(&cx)
        {
            self.in_flight = Some((Asked::Token, lane));
            return Step::Send(request);
        }
        let Some(attempt) = self.queue(lane).pending.front() else { return Step::Wait(None) };
        let request = self.adapter.encode(&cx, &attempt.batch);
        if museum::on("outbox_deleted_before_yes") {
            let delivered = attempt.batch.items.iter().map(|i| i.seq).collect();
            self.settlement = Some(Settlement { delivered, set_aside: vec![] });
        }
        self.in_flight = Some((Asked::Records, lane));
        Step::Send(request)
    }

    /// Takes what is owed: alarms first, then by number, as the store gives it.
    pub fn fetched(&mut self, items: &[OutboxItem]) {
        self.look = false;
        for lane in Lane::ALL {
            if self.first_lane().is_some_and(|first| first <= *lane) {
                break;
            }
            let Limits { max_records, max_bytes } = self.limits;
            if let Some(batch) = Batch::leading(&self.sender, items, *lane, max_records, max_bytes) {
                self.queue_mut(*lane).pending.push_back(Attempt { batch, unknown_tries: 0 });
            }
        }
        self.note_oldest();
        if self.first_lane().is_none() && self.status.state == UplinkState::Starting {
            self.status.state = UplinkState::Up;
        }
    }

    /// The settlement is durable.
    pub fn settled(&mut self) {
        self.settlement = None;
    }

    /// Takes the answer to the request that was sent last.
    pub fn replied(&mut self, now: Now, answer: Result<Reply, NoReply>) -> Outcome {
        let Some((asked, lane)) = self.in_flight.take() else { return Outcome::default() };
        let reply = match answer {
            Ok(reply) => reply,
            Err(NoReply { lost, cause }) => {
                let why = Why { word: lost.as_str(), said: line(&cause) };
                return self.retry(now, lane, why, None);
            }
        };
        if let Some(date) = reply.date {
            self.status.clock_ahead_ms = Some(date.since(now.wall));
        }
        let outcome = match asked {
            Asked::Token => self.judge_token(now, lane, &reply),
            Asked::Records => self.judge_records(now, lane, &reply),
        };
        self.note_oldest();
        outcome
    }

    fn judge_token(&mut self, now: Now, lane: Lane, reply: &Reply) -> Outcome {
        match self.adapter.judge_token(reply) {
            TokenVerdict::Granted { token, valid } => {
                // A tenth earlier than the platform forgets it, so that it does not expire on the way.
                let valid = valid.map_or(TOKEN_CAP, |v| v.min(TOKEN_CAP).mul_f64(0.9)).max(TOKEN_FLOOR);
                self.token = Some(Token { secret: token, renew_at: now.mono.plus(valid) });
                Outcome::default()
            }
            TokenVerdict::AuthRefused(why) => self.refused(now, why, reply.retry_after),
            TokenVerdict::Retry(why) => self.retry(now, lane, why, reply.retry_after),
        }
    }

    fn judge_records(&mut self, now: Now, lane: Lane, reply: &Reply) -> Outcome {
        let Some(mut attempt) = self.queue_mut(lane).pending.pop_front() else { return Outcome::default() };
        match self.adapter.judge(reply, &attempt.batch) {
            Verdict::Accepted => self.accept(now, lane, attempt.batch, vec![], &[]),
            Verdict::Partial { rejected, again } => {
                let all_again = again.len() >= attempt.batch.items.len();
                let mut outcome = self.accept(now, lane, attempt.batch, rejected, &again);
                if !again.is_empty() {
                    let why = Why { word: "busy", said: format!("{} records not taken now", again.len()) };
                    let waits = self.retry(now, lane, why, reply.retry_after);
                    outcome.failed = waits.failed;
                    // Something was taken, so the platform works; the rest waits all the same.
                    if !all_again {
                        self.status.consecutive_failures = 1;
                    }
                }
                outcome
            }
            Verdict::Rejected(_) if museum::on("drop_on_400") => {
                self.accept(now, lane, attempt.batch, vec![], &[])
            }
            Verdict::Rejected(why) => self.split(now, lane, attempt, why),
            Verdict::Unknown(why) => {
                attempt.unknown_tries += 1;
                if attempt.unknown_tries >= UNKNOWN_TRIES {
                    return self.split(now, lane, attempt, why);
                }
                self.queue_mut(lane).pending.push_front(attempt);
                if self.renew_token() {
                    return Outcome { failed: Some(why), ..Outcome::default() };
                }
                self.retry(now, lane, why, reply.retry_after)
            }
            Verdict::TokenExpired(why) => {
                self.queue_mut(lane).pending.push_front(attempt);
                if self.renew_token() {
                    return Outcome { failed: Some(why), ..Outcome::default() };
                }
                self.refused(now, why, reply.retry_after)
            }
            Verdict::AuthRefused(why) => {
                self.queue_mut(lane).pending.push_front(attempt);
                self.refused(now, why, reply.retry_after)
            }
            Verdict::Retry(why) => {
                self.queue_mut(lane).pending.push_front(attempt);
                self.retry(now, lane, why, reply.retry_after)
            }
        }
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
        lane: Lane,
        batch: Batch,
        rejected: Vec<(usize, String)>,
        again: &[usize],
    ) -> Outcome {
        let mut settlement = Settlement::default();
        let mut outcome = Outcome::default();
        let mut kept = Vec::new();
        let mut rejected = rejected.into_iter().peekable();
        let mut accepted = 0;
        for (at, item) in batch.items.into_iter().enumerate() {
            if let Some((_, reason)) = rejected.next_if(|(r, _)| *r == at) {
                outcome.set_aside.push((item.uid, reason.clone()));
                settlement.set_aside.push((item.seq, reason));
            } else if again.contains(&at) {
                kept.push(item);
            } else {
                settlement.delivered.push(item.seq);
                accepted += 1;
            }
        }
        if let Some(batch) = Batch::new(&self.sender, kept) {
            self.queue_mut(lane).pending.push_front(Attempt { batch, unknown_tries: 0 });
        }
        if accepted > 0 {
            outcome.accepted = Some((lane, accepted));
            self.works(now);
        }
        self.settle(lane, settlement);
        outcome
    }

    /// The platform works: nothing that waits needs to wait longer.
    fn works(&mut self, now: Now) {
        for lane in Lane::ALL {
            let queue = self.queue_mut(*lane);
            queue.backoff.reset();
            queue.due = now.mono;
        }
        self.refusals.reset();
        self.renewed = false;
        self.status.state = UplinkState::Up;
        self.status.last_success = Some(now.wall);
        self.status.consecutive_failures = 0;
    }

    /// Halves a batch that was refused as a whole; a single record is set aside with the reason.
    fn split(&mut self, now: Now, lane: Lane, attempt: Attempt, why: Why) -> Outcome {
        let Attempt { batch, unknown_tries } = attempt;
        // The platform answers, so the uplink works; what it refuses is seen in `set_aside` and the last error.
        self.status.state = UplinkState::Up;
        self.status.consecutive_failures = 0;
        let single = batch.items.first().map(|i| (i.seq, i.uid.clone()));
        if let Some((earlier, later)) = batch.halves(&self.sender) {
            let pending = &mut self.queue_mut(lane).pending;
            pending.push_front(Attempt { batch: later, unknown_tries });
            pending.push_front(Attempt { batch: earlier, unknown_tries });
            return Outcome { failed: Some(why), ..Outcome::default() };
        }
        let mut outcome = Outcome::default();
        if let Some((seq, uid)) = single {
            outcome.set_aside.push((uid, why.said.clone()));
            let set_aside = vec![(seq, why.said.clone())];
            self.settle(lane, Settlement { delivered: vec![], set_aside });
        }
        self.status.last_failure = Some(now.wall);
        self.status.last_error = Some(in_words(why.word, &why.said));
        outcome.failed = Some(why);
        outcome
    }

    fn settle(&mut self, lane: Lane, settlement: Settlement) {
        if self.queue(lane).pending.is_empty() {
            self.look = true;
        }
        if !(settlement.delivered.is_empty() && settlement.set_aside.is_empty()) {
            self.settlement = Some(settlement);
        }
    }

    fn retry(&mut self, now: Now, lane: Lane, why: Why, asked_for: Option<Duration>) -> Outcome {
        let queue = self.queue_mut(lane);
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
        let batches = self.alarms.pending.iter().chain(&self.aggregates.pending);
        self.status.oldest_owed = batches.flat_map(|a| &a.batch.items).map(|i| i.created).min();
    }

    fn first_lane(&self) -> Option<Lane> {
        Lane::ALL.iter().copied().find(|lane| !self.queue(*lane).pending.is_empty())
    }

    fn queue(&self, lane: Lane) -> &Queue {
        match lane {
            Lane::Alarm => &self.alarms,
            Lane::Aggregate => &self.aggregates,
        }
    }

    fn queue_mut(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Alarm => &mut self.alarms,
            Lane::Aggregate => &mut self.aggregates,
        }
    }
}

#[cfg(test)]
mod tests;

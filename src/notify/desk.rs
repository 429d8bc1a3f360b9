//! The task that tells people: it hears what changes, asks the ladder whom to tell, has each channel do it, and has
//! written down how far the ladder came.
//!
//! Each channel has a worker of its own, so that a slow one delays no other. The desk itself never waits for anything
//! but news.

use super::{Notifier, TRY_LIMIT};
use crate::alarm::{Climbed, Deed, Ladder, LadderCounts, Plan, Policy, Route};
use crate::model::{
    Actor, AlarmChange, AlarmClass, AlarmId, AlarmKey, ChannelId, Command, Message, Order, Place, PlaceId,
    Priority, RuleId, Text, Verdict, Wall,
};
use crate::rules::{Finding, Level};
use crate::runtime::lanes::OrderDesk;
use crate::runtime::{Clock, Tally, Tasks};
use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// The rule of the alarm that a channel says it will never work.
const REFUSED_RULE: &str = "notify.channel_refused";
/// Steps of ladders that are being written down at the same time; further ones wait.
const WRITING: usize = 16;
/// Changes taken before the ladder is asked again.
const CHANGES_AT_ONCE: usize = 256;
/// Longest pause without a look.
const LOOK: Duration = Duration::from_secs(1);
/// At a stop, messages on their way have so long to arrive.
const STOP_WITHIN: Duration = Duration::from_millis(700);

/// A channel and what the desk has to know of it.
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// Whether nothing silent may go there, and when it is left alone. Its rate is the notifier's.
    pub route: Route,
    /// What sends.
    pub notifier: Box<dyn Notifier>,
}

/// What the desk is made of.
pub struct Parts {
    /// The channels.
    pub channels: Vec<Channel>,
    /// The ladders.
    pub policies: Vec<Policy>,
    /// The places.
    pub places: Arc<BTreeMap<PlaceId, Place>>,
    /// The zone of local time.
    pub zone: TimeZone,
    /// How far the ladders had come.
    pub climbed: Vec<Climbed>,
    /// What changes.
    pub heard: mpsc::Receiver<AlarmChange>,
    /// Where steps are written down.
    pub orders: OrderDesk,
    /// Where the gateway says what it finds about itself.
    pub findings: mpsc::Sender<Finding>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The counters.
    pub tally: Arc<Tally>,
}

type Came = (ChannelId, u64, Verdict);

/// The desk.
pub struct Desk {
    ladder: Ladder,
    workers: BTreeMap<ChannelId, mpsc::Sender<Message>>,
    tasks: Tasks,
    came: mpsc::Receiver<Came>,
    heard: mpsc::Receiver<AlarmChange>,
    orders: OrderDesk,
    /// Steps that wait to be written down; of an alarm the last.
    steps: BTreeMap<AlarmId, usize>,
    /// Calls for support of which it waits to be written down that everybody has them.
    calls: BTreeMap<AlarmId, Wall>,
    writing: FuturesUnordered<BoxFuture<'static, ()>>,
    findings: mpsc::Sender<Finding>,
    /// The last word on each channel that the pipe has not taken yet.
    unsaid: BTreeMap<ChannelId, Finding>,
    counted: LadderCounts,
    clock: Arc<dyn Clock>,
    tally: Arc<Tally>,
}

impl Desk {
    /// Takes its place: the workers are there, nobody was told anything yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { channels, policies, places, zone, climbed, heard, orders, findings, clock, tally } =
            parts;
        let routes = channels
            .iter()
            .map(|channel| (channel.id.clone(), Route { rate: channel.notifier.rate(), ..channel.route }));
        let plan = Plan { routes: routes.collect(), policies, places, zone }.with_drills();
        let (back, came) = mpsc::channel(channels.len().max(1));
        let (mut tasks, mut workers) = (Tasks::new(), BTreeMap::new());
        for Channel { id, notifier, .. } in channels {
            // The ladder has one message on its way to each channel.
            let (work, inbox) = mpsc::channel(1);
            tasks.spawn("channel", worker(id.clone(), notifier, inbox, back.clone()));
            workers.insert(id, work);
        }
        Self {
            ladder: Ladder::restore(plan, climbed, clock.now()),
            workers,
            tasks,
            came,
            heard,
            orders,
            steps: BTreeMap::new(),
            calls: BTreeMap::new(),
            writing: FuturesUnordered::new(),
            findings,
            unsaid: BTreeMap::new(),
            counted: LadderCounts::default(),
            clock,
            tally,
        }
    }

    /// Works until the pipe is gone; what is on its way then has a moment to arrive.
    pub async fn run(mut self) {
        let mut changes = Vec::new();
        loop {
            let now = self.clock.now();
            let deeds = self.ladder.act(now);
            deeds.into_iter().for_each(|deed| self.act(deed));
            self.write_down();
            self.say();
            self.count();
            let due = self.ladder.next_deadline(now);
            let wait = due.map_or(LOOK, |due| due.since(now.mono).min(LOOK));
            tokio::select! {
                biased;
                Some((channel, number, verdict)) = self.came.recv() => self.landed(&channel, number, verdict),
                taken = self.heard.recv_many(&mut changes, CHANGES_AT_ONCE) => {
                    if taken == 0 {
                        break;
                    }
                    let now = self.clock.now();
                    changes.drain(..).for_each(|change| self.ladder.take(now, &change));
                }
                Some(()) = self.writing.next(), if !self.writing.is_empty() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.stop().await;
    }

    fn landed(&mut self, channel: &ChannelId, number: u64, verdict: Verdict) {
        match &verdict {
            Verdict::Accepted => tracing::info!(%channel, number, "people were told"),
            Verdict::Busy { .. } => {
                tracing::warn!(%channel, number, "the channel takes no more for now; tried again later")
            }
            Verdict::Failed { why } => {
                tracing::warn!(%channel, number, why, "the channel failed: the next has its turn, and this one again later");
            }
            Verdict::Refused { why } => {
                tracing::error!(%channel, number, why, "the channel will never work so: mend its configuration");
            }
        }
        self.ladder.verdict(self.clock.now(), channel, number, verdict);
    }

    fn act(&mut self, deed: Deed) {
        match deed {
            Deed::Tell { channel, message } => {
                let number = message.number;
                let sent = self.workers.get(&channel).is_some_and(|worker| worker.try_send(message).is_ok());
                if !sent {
                    let why = "its worker is gone".to_owned();
                    self.landed(&channel, number, Verdict::Failed { why });
                }
            }
            Deed::Reached { alarm, step } => {
                tracing::info!(alarm = alarm.0, step, "nobody took the alarm: further people are told");
                self.steps.insert(alarm, step);
            }
            Deed::SupportTold { alarm, called } => {
                tracing::info!(alarm = alarm.0, "everybody on its ladder has the call for support");
                self.calls.insert(alarm, called);
            }
            Deed::Refused { channel, why } => {
                self.unsaid.extend(refused(&channel, Level::Holds, &why).map(|finding| (channel, finding)));
            }
            Deed::Mended { channel } => {
                self.unsaid.extend(refused(&channel, Level::Ended, "").map(|finding| (channel, finding)));
            }
        }
    }

    /// Has the pipe write down the steps that were reached and the calls that everybody has, a few at a time: each is
    /// committed with whatever else is.
    fn write_down(&mut self) {
        while self.writing.len() < WRITING {
            let (order, note) = if let Some((id, called)) = self.calls.pop_first() {
                (Order::SupportTold { id, called }, String::new())
            } else if let Some((alarm, step)) = self.steps.pop_first() {
                let note = format!("step {step} of {}", self.ladder.steps(alarm).max(step));
                (Order::Escalate(alarm), note)
            } else {
                return;
            };
            let command = Command { order, actor: Actor::gateway(), note };
            let orders = self.orders.clone();
            // What was taken or closed meanwhile needs no step, and a gateway that stops writes no more.
            self.writing.push(Box::pin(async move { drop(orders.order(command).await) }));
        }
    }

    /// Tells the pipe what it has room for.
    fn say(&mut self) {
        while let Some((channel, finding)) = self.unsaid.pop_first() {
            if let Err(TrySendError::Full(finding)) = self.findings.try_send(finding) {
                self.unsaid.insert(channel, finding);
                return;
            }
        }
    }

    fn count(&mut self) {
        for (channel, waiting) in self.ladder.waiting() {
            self.tally.untold.of(channel).set(waiting);
        }
        let counts = self.ladder.counts();
        let before = std::mem::replace(&mut self.counted, counts);
        self.tally.failed_over.add(counts.failed_over.saturating_sub(before.failed_over));
        self.tally.only_counted.add(counts.only_counted.saturating_sub(before.only_counted));
    }

    /// What the pipe said last is still told; then what is on its way has a moment.
    async fn stop(mut self) {
        let deeds = self.ladder.act(self.clock.now());
        deeds.into_iter().for_each(|deed| self.act(deed));
        self.workers.clear();
        let ended = async { while self.tasks.next_ended().await.is_some() {} };
        if tokio::time::timeout(STOP_WITHIN, ended).await.is_err() {
            tracing::warn!("messages on their way were given up: they are told again after the start");
        }
    }
}

/// Sends one message after the other and says what became of each.
async fn worker(
    id: ChannelId,
    mut notifier: Box<dyn Notifier>,
    mut inbox: mpsc::Receiver<Message>,
    back: mpsc::Sender<Came>,
) {
    while let Some(message) = inbox.recv().await {
        let telling = AssertUnwindSafe(notifier.tell(&message)).catch_unwind();
        let verdict = match tokio::time::timeout(TRY_LIMIT, telling).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => Verdict::Failed { why: "the channel failed inside".to_owned() },
            Err(_) => Verdict::Failed { why: format!("no answer within {} s", TRY_LIMIT.as_secs()) },
        };
        // A desk that is gone needs no verdict.
        back.send((id.clone(), message.number, verdict)).await.ok();
    }
}

/// That a channel says it will never work, or works again.
fn refused(channel: &ChannelId, level: Level, why: &str) -> Option<Finding> {
    Some(Finding {
        key: AlarmKey { rule: RuleId::new(REFUSED_RULE).ok()?, subject: channel.to_string() },
        level,
        class: AlarmClass::Equipment,
        priority: Priority::High,
        device: None,
        place: None,
        what: Text::new(
            format!("通知渠道 {channel} 拒绝消息，请检查其配置：{why}"),
            format!("the channel {channel} refuses messages, check its configuration: {why}"),
        ),
    })
}

#[cfg(test)]
mod tests;

//! What a camera sees, and who is told: states, changes of state, and pull points.

use crate::chance::secret_hex;
use crate::moment;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

/// Most messages kept for one subscriber; the oldest is dropped, as cameras do.
const QUEUE: usize = 256;
/// Most pull points; a further one is refused.
const SUBSCRIBERS: usize = 8;
/// Most messages in one answer, whatever the client asks for.
const MESSAGES: usize = 100;

/// What can change. The order is that of the first report after a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Something moves.
    Motion,
    /// The scene has changed altogether: the camera was covered or turned.
    Tamper,
}

impl Topic {
    const ALL: [Self; 2] = [Self::Motion, Self::Tamper];

    /// Topic, source items and name of the state.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Motion => (
                "tns1:RuleEngine/CellMotionDetector/Motion",
                "<tt:SimpleItem Name=\"VideoSourceConfigurationToken\" Value=\"vsc0\"/>\
                 <tt:SimpleItem Name=\"VideoAnalyticsConfigurationToken\" Value=\"vac0\"/>\
                 <tt:SimpleItem Name=\"Rule\" Value=\"MotionRule\"/>",
                "IsMotion",
            ),
            Self::Tamper => (
                "tns1:VideoSource/GlobalSceneChange/ImagingService",
                "<tt:SimpleItem Name=\"Source\" Value=\"vs0\"/>",
                "State",
            ),
        }
    }
}

struct PullPoint {
    queue: VecDeque<String>,
    ends: Instant,
}

#[derive(Default)]
struct Seen {
    states: BTreeMap<Topic, bool>,
    points: BTreeMap<String, PullPoint>,
}

/// The camera's states and its subscribers.
#[derive(Default)]
pub(super) struct Watch {
    seen: Mutex<Seen>,
    news: Notify,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

impl Watch {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        seen.points.retain(|_, point| point.ends > now);
        seen
    }

    /// Moves and is covered for ever.
    pub(super) async fn play(
        self: Arc<Self>,
        motion_every: Duration,
        tamper_every: Duration,
        skew_secs: i64,
    ) {
        let motion = self.toggle(Topic::Motion, motion_every, motion_every / 2, skew_secs);
        let tamper = self.toggle(Topic::Tamper, tamper_every, Duration::from_secs(2), skew_secs);
        tokio::join!(motion, tamper);
    }

    async fn toggle(&self, topic: Topic, every: Duration, lasting: Duration, skew_secs: i64) {
        if every.is_zero() {
            return;
        }
        loop {
            sleep(every.saturating_sub(lasting)).await;
            self.set(topic, true, skew_secs);
            sleep(lasting).await;
            self.set(topic, false, skew_secs);
        }
    }

    /// A state changes; nothing happens when it is so already.
    pub(super) fn set(&self, topic: Topic, state: bool, skew_secs: i64) {
        let mut seen = self.seen();
        if seen.states.insert(topic, state).unwrap_or(false) != state {
            let message = message(topic, state, "Changed", skew_secs);
            for point in seen.points.values_mut() {
                push(&mut point.queue, message.clone());
            }
            drop(seen);
            self.news.notify_waiters();
        }
    }

    /// Makes a pull point; `None` when there are too many.
    pub(super) fn subscribe(&self, lasting: Duration, skew_secs: i64) -> Option<String> {
        let mut seen = self.seen();
        if seen.points.len() >= SUBSCRIBERS {
            return None;
        }
        let id = secret_hex(8);
        let queue = initialized(&seen, skew_secs);
        seen.points.insert(id.clone(), PullPoint { queue, ends: Instant::now() + lasting });
        Some(id)
    }

    /// Tells all states again to one subscriber; false when there is no such subscriber.
    pub(super) fn synchronize(&self, id: &str, skew_secs: i64) -> bool {
        let mut seen = self.seen();
        let states = initialized(&seen, skew_secs);
        let Some(point) = seen.points.get_mut(id) else { return false };
        for message in states {
            push(&mut point.queue, message);
        }
        drop(seen);
        self.news.notify_waiters();
        true
    }

    /// Prolongs a subscription, never shortens it below what it has; false when there is no such subscriber.
    pub(super) fn prolong(&self, id: &str, lasting: Duration) -> bool {
        match self.seen().points.get_mut(id) {
            Some(point) => {
                point.ends = point.ends.max(Instant::now() + lasting);
                true
            }
            None => false,
        }
    }

    /// Ends a subscription; false when there is no such subscriber.
    pub(super) fn unsubscribe(&self, id: &str) -> bool {
        let known = self.seen().points.remove(id).is_some();
        self.news.notify_waiters();
        known
    }

    /// Waits for messages: returns as soon as there are some, and none only when `patience` is over. `None` when
    /// there is no such subscriber (any more).
    pub(super) async fn pull(&self, id: &str, patience: Duration, limit: usize) -> Option<Vec<String>> {
        let deadline = Instant::now() + patience;
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            {
                let mut seen = self.seen();
                let point = seen.points.get_mut(id)?;
                let count = point.queue.len().min(limit.clamp(1, MESSAGES));
                if count > 0 {
                    return Some(point.queue.drain(..count).collect());
                }
            }
            if timeout_at(deadline, news).await.is_err() {
                return self.seen().points.contains_key(id).then(Vec::new);
            }
        }
    }
}

fn push(queue: &mut VecDeque<String>, message: String) {
    if queue.len() >= QUEUE {
        queue.pop_front();
    }
    queue.push_back(message);
}

fn initialized(seen: &Seen, skew_secs: i64) -> VecDeque<String> {
    let state = |topic| seen.states.get(&topic).copied().unwrap_or(false);
    Topic::ALL.iter().map(|topic| message(*topic, state(*topic), "Initialized", skew_secs)).collect()
}

fn message(topic: Topic, state: bool, operation: &str, skew_secs: i64) -> String {
    let (words, source, name) = topic.words();
    let at = moment::utc_text(skew_secs);
    format!(
        "<wsnt:NotificationMessage><wsnt:Topic \
         Dialect=\"http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet\">\n  {words}\n</wsnt:Topic>\
         <wsnt:Message><tt:Message UtcTime=\"{at}\" PropertyOperation=\"{operation}\"><tt:Source>{source}</tt:Source>\
         <tt:Data><tt:SimpleItem Name=\"{name}\" Value=\"{state}\"/></tt:Data></tt:Message></wsnt:Message>\
         </wsnt:NotificationMessage>"
    )
}

//! Who is told of which alarms, by which channels and in which turn: what a school wrote, or what holds without it.

use crate::model::{Alarm, AlarmClass, ChannelId, Place, PlaceId, Priority, Rate, Wall};
use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// When nobody took a critical alarm, others are told after these many seconds.
const USUAL_STEPS_SECS: [u64; 5] = [0, 30, 60, 120, 180];
/// Pause between two reminders of a critical alarm, and of a high one, unless told otherwise.
const USUAL_REMINDERS: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(900));
/// What the ladders are called that no school wrote.
const USUAL: [&str; 2] = ["default-critical", "default"];
/// What the ladder of drills is called that holds where no other does.
const DRILLS: &str = "drills";

/// A part of the day in local time, from the first up to but not including the second; over midnight where the second
/// is the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayHours {
    /// From here on.
    pub from: Time,
    /// Up to here.
    pub until: Time,
}

impl DayHours {
    /// Whether it holds this moment. A wall clock that cannot be true is in no part of a day.
    #[must_use]
    pub fn hold(self, at: Wall, zone: &TimeZone) -> bool {
        let Some(moment) = at.plausible().then(|| Timestamp::from_millisecond(at.0).ok()).flatten() else {
            return false;
        };
        let time = moment.to_zoned(zone.clone()).time();
        if self.from <= self.until {
            (self.from..self.until).contains(&time)
        } else {
            time >= self.from || time < self.until
        }
    }
}

/// A channel, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// How many messages it takes.
    pub rate: Rate,
    /// Whether it sounds or shows at the place itself: nothing silent goes there.
    pub local: bool,
    /// When it is left alone, unless something is critical.
    pub quiet: Option<DayHours>,
    /// Whether it is for drills, and for nothing else.
    pub drill: bool,
}

/// One step of a ladder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// How long after the alarm.
    pub after: Duration,
    /// Groups that are told at the same time; in each the first channel that accepts, tried in turn.
    pub groups: Vec<Vec<ChannelId>>,
}

/// Which alarms a ladder is for. What is empty or `None` says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// These priorities.
    pub priorities: BTreeSet<Priority>,
    /// These classes.
    pub classes: BTreeSet<AlarmClass>,
    /// These places and all within them.
    pub places: BTreeSet<PlaceId>,
    /// Raised at this time of day.
    pub hours: Option<DayHours>,
}

/// A ladder: who is told at once, who later as long as nobody took the alarm, and how often again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its id.
    pub id: String,
    /// Which alarms it is for.
    pub scope: Scope,
    /// Its steps, the earliest first; at least one.
    pub steps: Vec<Step>,
    /// Pause between two reminders while nobody took it, by all channels told so far.
    pub remind: Option<Duration>,
    /// Whether those who were told are also told when it is over.
    pub over: bool,
}

/// Everything that decides whom to tell.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The channels.
    pub routes: BTreeMap<ChannelId, Route>,
    /// The ladders; the first that is for an alarm holds.
    pub policies: Vec<Policy>,
    /// The places, for their names and for what lies within what.
    pub places: Arc<BTreeMap<PlaceId, Place>>,
    /// The zone of local time.
    pub zone: TimeZone,
}

impl Plan {
    /// The same with ladders for drills behind the others: each ladder once more with those of its channels that are
    /// for drills, or all of these at once where it names none. Without such a channel nobody is told of a drill.
    #[must_use]
    pub fn with_drills(mut self) -> Self {
        let routes = &self.routes;
        let for_drills = |channel: &ChannelId| routes.get(channel).is_some_and(|route| route.drill);
        let all: Vec<Vec<ChannelId>> =
            routes.keys().filter(|id| for_drills(id)).map(|id| vec![id.clone()]).collect();
        if all.is_empty() {
            return self;
        }
        let mut exercises: Vec<Policy> = Vec::new();
        let whatever = Policy {
            id: DRILLS.to_owned(),
            scope: Scope::default(),
            steps: Vec::new(),
            remind: None,
            over: false,
        };
        for policy in self.policies.iter().chain([&whatever]) {
            let mut steps = only(&policy.steps, for_drills);
            if steps.is_empty() {
                steps.push(Step { after: Duration::ZERO, groups: all.clone() });
            }
            exercises.push(Policy { steps, over: false, ..policy.clone() });
        }
        for policy in &mut self.policies {
            policy.steps = only(&policy.steps, |channel| !for_drills(channel));
        }
        self.policies.extend(exercises);
        self
    }

    /// The ladder of an alarm raised at this moment.
    pub(super) fn choose(&self, alarm: &Alarm, at: Wall) -> Option<usize> {
        self.policies.iter().position(|policy| {
            policy.scope.holds(alarm, at, self) && self.is_for_drills(policy) == alarm.marks.drill
        })
    }

    /// A ladder has channels for drills alone or none of them, see [`Plan::with_drills`].
    fn is_for_drills(&self, policy: &Policy) -> bool {
        let mut channels = policy.steps.iter().flat_map(|step| &step.groups).flatten();
        channels.any(|channel| self.routes.get(channel).is_some_and(|route| route.drill))
    }

    fn within(&self, place: Option<&PlaceId>, among: &BTreeSet<PlaceId>) -> bool {
        let mut next = place;
        // As many steps as there are places: a ring, which the configuration refuses, would still end.
        for _ in 0..=self.places.len() {
            let Some(place) = next else { return false };
            if among.contains(place) {
                return true;
            }
            next = self.places.get(place).and_then(|place| place.parent.as_ref());
        }
        false
    }

    /// Whether nothing silent may go there.
    pub(super) fn is_local(&self, channel: &ChannelId) -> bool {
        self.routes.get(channel).is_some_and(|route| route.local)
    }
}

/// The steps with these of their channels; what is left first is told at once.
fn only(steps: &[Step], kept: impl Fn(&ChannelId) -> bool) -> Vec<Step> {
    let mut left = Vec::new();
    for Step { after, groups } in steps {
        let groups = groups.iter().map(|group| group.iter().filter(|id| kept(id)).cloned().collect());
        let groups: Vec<Vec<ChannelId>> = groups.filter(|group: &Vec<ChannelId>| !group.is_empty()).collect();
        if !groups.is_empty() {
            left.push(Step { after: if left.is_empty() { Duration::ZERO } else { *after }, groups });
        }
    }
    left
}

impl Scope {
    fn holds(&self, alarm: &Alarm, at: Wall, plan: &Plan) -> bool {
        (self.priorities.is_empty() || self.priorities.contains(&alarm.priority))
            && (self.classes.is_empty() || self.classes.contains(&alarm.class))
            && (self.places.is_empty() || plan.within(alarm.place.as_ref(), &self.places))
            && self.hours.is_none_or(|hours| hours.hold(at, &plan.zone))
    }

    /// Whether it is for every alarm of this priority.
    #[must_use]
    pub fn holds_all(&self, priority: Priority) -> bool {
        (self.priorities.is_empty() || self.priorities.contains(&priority))
            && self.classes.is_empty()
            && self.places.is_empty()
            && self.hours.is_none()
    }
}

/// The ladders of a school that wrote none: every local channel and the first of the others at once, and as long as
/// nobody takes a critical alarm one further channel after 30, 60 and 120 seconds and all the rest after 180.
///
/// `channels` are those of the school in the order in which they are written, each with whether it is local.
#[must_use]
pub fn usual(channels: &[(ChannelId, bool)]) -> Vec<Policy> {
    if channels.is_empty() {
        return Vec::new();
    }
    let at_once = usual_step(channels, 0);
    let steps = (0..USUAL_STEPS_SECS.len()).map(|turn| usual_step(channels, turn)).collect();
    let [critical, others] = USUAL;
    let (remind, remind_high) = USUAL_REMINDERS;
    let policy = |id: &str, priorities: &[Priority], steps, remind| Policy {
        id: id.to_owned(),
        scope: Scope { priorities: priorities.iter().copied().collect(), ..Scope::default() },
        steps,
        remind,
        over: false,
    };
    vec![
        policy(critical, &[Priority::Critical], steps, Some(remind)),
        policy(others, &[Priority::High], vec![at_once.clone()], Some(remind_high)),
        policy(others, &[Priority::Medium, Priority::Low], vec![at_once], None),
    ]
}

fn usual_step(channels: &[(ChannelId, bool)], turn: usize) -> Step {
    let of = |local: bool| channels.iter().filter(move |(_, is)| *is == local).map(|(id, _)| id.clone());
    let others: Vec<ChannelId> = of(false).collect();
    let mut groups: Vec<Vec<ChannelId>> = of(true).map(|id| vec![id]).collect();
    let last = turn + 1 == USUAL_STEPS_SECS.len();
    if last || turn >= others.len() {
        // Whoever was told before and whoever was not.
        groups.extend(others.iter().map(|id| vec![id.clone()]));
    } else {
        // In its turn the next; where it fails, those behind it, and then those before it.
        let around = others.iter().cycle().skip(turn).take(others.len());
        groups.push(around.cloned().collect());
    }
    let after = Duration::from_secs(USUAL_STEPS_SECS.get(turn).copied().unwrap_or_default());
    Step { after, groups }
}

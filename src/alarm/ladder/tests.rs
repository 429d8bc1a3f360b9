//! The ladder step by step, with channels that do as a test says.

mod drills;
mod support;

use super::*;
use crate::alarm::{DayHours, Route, Scope, Step, usual};
use crate::model::{Actor, AlarmClass, AlarmKey, Handled, Place, PlaceId, PlaceKind, Rate, RuleId, Text};
use jiff::civil::time;
use jiff::tz::{TimeZone, offset};

/// 2026-09-21 22:13:20 in China.
const EVENING: Wall = Wall(1_790_000_000_000);

pub(super) fn channel(id: &str) -> ChannelId {
    ChannelId::new(id).unwrap()
}

pub(super) fn route(messages: u32, secs: u64) -> Route {
    Route { rate: Rate { messages, per: Duration::from_secs(secs) }, local: false, quiet: None, drill: false }
}

/// These channels and no ladder yet.
pub(super) fn plan(channels: &[&str]) -> Plan {
    let place = |id: &str, parent: Option<&str>| Place {
        id: PlaceId::new(id).unwrap(),
        kind: PlaceKind::Room,
        name: id.into(),
        parent: parent.map(|id| PlaceId::new(id).unwrap()),
        path: Text::same(format!("path of {id}")),
        counts: false,
        assembly: false,
        overnight: false,
        calendar: None,
    };
    let places = [place("east", None), place("lab", Some("east")), place("west", None)];
    Plan {
        routes: channels.iter().map(|id| (channel(id), route(20, 60))).collect(),
        policies: Vec::new(),
        places: Arc::new(places.into_iter().map(|place| (place.id.clone(), place)).collect()),
        zone: TimeZone::fixed(offset(8)),
    }
}

pub(super) fn alarm(id: u64, priority: Priority) -> Alarm {
    Alarm {
        id: AlarmId(id),
        key: AlarmKey { rule: RuleId::new("r").unwrap(), subject: id.to_string() },
        class: AlarmClass::Intrusion,
        priority,
        device: None,
        place: Some(PlaceId::new("lab").unwrap()),
        what: Text::new(format!("第 {id} 件事"), format!("thing {id}")),
        raised_at: EVENING,
        active: true,
        occurrences: 1,
        cleared_at: None,
        acknowledged: None,
        latched: true,
        reset: None,
        closed_at: None,
        marks: Default::default(),
    }
}

pub(super) fn change(kind: ChangeKind, alarm: &Alarm) -> AlarmChange {
    AlarmChange { kind, at: EVENING, actor: Actor::gateway(), note: String::new(), alarm: alarm.clone() }
}

fn policy(steps: &[(u64, &[&[&str]])]) -> Policy {
    let groups = |groups: &[&[&str]]| {
        groups.iter().map(|group| group.iter().map(|id| channel(id)).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let step =
        |(after, of): &(u64, &[&[&str]])| Step { after: Duration::from_secs(*after), groups: groups(of) };
    let steps = steps.iter().map(step).collect();
    Policy { id: "p".into(), scope: Scope::default(), steps, remind: None, over: false }
}

fn now(ms: u64) -> Now {
    Now { mono: Mono(ms), wall: EVENING.plus_ms(i64::try_from(ms).unwrap()) }
}

/// How a scripted channel answers, and after how long.
type Script = fn(&str, u64) -> (u64, Verdict);

fn accepts(_: &str, _: u64) -> (u64, Verdict) {
    (20, Verdict::Accepted)
}

fn failed() -> Verdict {
    Verdict::Failed { why: "500".into() }
}

/// A ladder with scripted channels on a clock that is moved.
struct Scene {
    ladder: Ladder,
    now: Now,
    script: Script,
    flights: Vec<(Mono, ChannelId, u64, Verdict)>,
    /// When what was sent by which channel.
    told: Vec<(u64, String, Message)>,
    /// When what was accepted by which channel.
    accepted: Vec<(u64, String, Message)>,
    others: Vec<Deed>,
}

impl Scene {
    fn new(plan: Plan, script: Script) -> Self {
        Self::of(Ladder::restore(plan, [], now(0)), script)
    }

    fn of(ladder: Ladder, script: Script) -> Self {
        let (flights, told, accepted, others) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { ladder, now: now(0), script, flights, told, accepted, others }
    }

    fn take(&mut self, kind: ChangeKind, alarm: &Alarm) {
        self.ladder.take(self.now, &change(kind, alarm));
        self.act();
    }

    fn raise(&mut self, id: u64, priority: Priority) {
        self.take(ChangeKind::Raised, &alarm(id, priority));
    }

    fn acknowledge(&mut self, id: u64, priority: Priority) {
        let by = Handled { by: Actor::named("guard").unwrap(), at: EVENING, note: String::new() };
        let taken = Alarm { acknowledged: Some(by), ..alarm(id, priority) };
        self.take(ChangeKind::Acknowledged, &taken);
    }

    fn act(&mut self) {
        for deed in self.ladder.act(self.now) {
            match deed {
                Deed::Tell { channel, message } => {
                    let (after, verdict) = (self.script)(channel.as_str(), self.now.mono.0);
                    let lands = self.now.mono.plus(Duration::from_millis(after));
                    self.flights.push((lands, channel.clone(), message.number, verdict));
                    self.told.push((self.now.mono.0, channel.to_string(), message));
                }
                other => self.others.push(other),
            }
        }
    }

    /// Time passes up to this millisecond.
    fn until(&mut self, ms: u64) {
        while self.now.mono.0 < ms {
            let landing = self.flights.iter().map(|(at, ..)| *at).min();
            let next = self.ladder.next_deadline(self.now).into_iter().chain(landing).min();
            let next = next.map_or(ms, |next| next.0.clamp(self.now.mono.0, ms));
            let passed = i64::try_from(next - self.now.mono.0).unwrap();
            self.now = Now { mono: Mono(next), wall: self.now.wall.plus_ms(passed) };
            let (landed, flying) =
                std::mem::take(&mut self.flights).into_iter().partition(|(at, ..)| at.0 <= next);
            self.flights = flying;
            let landed: Vec<(Mono, ChannelId, u64, Verdict)> = landed;
            for (_, channel, number, verdict) in landed {
                if verdict == Verdict::Accepted {
                    let sent =
                        self.told.iter().rfind(|(_, id, m)| *id == channel.as_str() && m.number == number);
                    self.accepted.extend(sent.map(|(_, id, message)| (next, id.clone(), message.clone())));
                }
                self.ladder.verdict(self.now, &channel, number, verdict);
            }
            self.act();
        }
    }

    /// When which channel was told what for.
    fn log(&self) -> Vec<(u64, &str, Occasion)> {
        self.told.iter().map(|(at, id, message)| (*at, id.as_str(), message.occasion)).collect()
    }

    /// When an alarm was first accepted by any channel.
    fn first(&self, id: u64) -> Option<u64> {
        self.accepted.iter().find(|(_, _, message)| message.alarms.contains(&AlarmId(id))).map(|(at, ..)| *at)
    }
}

#[test]
fn nobody_takes_it_so_one_after_the_other_is_told_and_all_again_until_somebody_does() {
    let mut made = plan(&["guard", "head", "office"]);
    made.policies = vec![Policy {
        remind: Some(Duration::from_secs(100)),
        ..policy(&[(0, &[&["guard"]]), (30, &[&["head"]]), (90, &[&["office"]])])
    }];
    let mut scene = Scene::new(made, accepts);
    scene.raise(1, Priority::Critical);
    scene.until(200_000);
    use Occasion::{Escalated, Raised, Reminder};
    let expected = [
        (0, "guard", Raised),
        (30_000, "head", Escalated),
        (90_000, "office", Escalated),
        (190_000, "guard", Reminder),
        (190_000, "head", Reminder),
        (190_000, "office", Reminder),
    ];
    assert_eq!(scene.log(), expected);
    let reached = |step| Deed::Reached { alarm: AlarmId(1), step };
    assert_eq!(scene.others, [reached(2), reached(3)]);
    scene.acknowledge(1, Priority::Critical);
    scene.until(2_000_000);
    assert_eq!(scene.told.len(), expected.len(), "and then nothing");
    assert_eq!(scene.ladder.next_deadline(scene.now), None);
}

#[test]
fn a_message_says_what_where_and_when() {
    let mut made = plan(&["guard"]);
    made.policies = vec![policy(&[(0, &[&["guard"]])])];
    let mut scene = Scene::new(made, accepts);
    scene.raise(7, Priority::Critical);
    let (_, _, message) = &scene.told[0];
    assert_eq!((message.title.zh.as_str(), message.title.en.as_str()), ("第 7 件事", "thing 7"));
    assert_eq!(message.place, Some(Text::same("path of lab")));
    let lines: Vec<&str> = message.lines.iter().map(|line| line.zh.as_str()).collect();
    assert_eq!(lines, ["发生时间：2026-09-21 22:13:20", "报警编号：7"]);
    assert_eq!((message.class, message.at, message.drill), (Some(AlarmClass::Intrusion), EVENING, false));
}

#[test]
fn the_first_ladder_that_is_for_an_alarm_holds() {
    let night = DayHours { from: time(22, 0, 0, 0), until: time(6, 0, 0, 0) };
    let scoped = |scope: Scope, to: &'static str| Policy { scope, ..policy(&[(0, &[&[to]])]) };
    let place = |id: &str| [PlaceId::new(id).unwrap()].into();
    let mut made = plan(&["fire", "west", "night", "east", "rest"]);
    made.policies = vec![
        scoped(Scope { classes: [AlarmClass::Fire].into(), ..Scope::default() }, "fire"),
        scoped(Scope { places: place("west"), ..Scope::default() }, "west"),
        scoped(Scope { hours: Some(night), priorities: [Priority::Low].into(), ..Scope::default() }, "night"),
        scoped(Scope { places: place("east"), ..Scope::default() }, "east"),
        scoped(Scope::default(), "rest"),
    ];
    let plain = || alarm(1, Priority::Low);
    let noon = EVENING.plus_ms(14 * 3_600_000);
    let nowhere = || Alarm { place: None, ..plain() };
    for (what, wall, expected) in [
        (Alarm { class: AlarmClass::Fire, ..plain() }, noon, "fire"),
        (Alarm { place: place("west").pop_first(), ..plain() }, noon, "west"),
        (plain(), EVENING, "night"),
        (plain(), noon, "east"),
        (nowhere(), noon, "rest"),
        // A clock that was not set yet says nothing of the time of day.
        (nowhere(), Wall(54_000_000), "rest"),
    ] {
        let mut ladder = Ladder::restore(made.clone(), [], now(0));
        let at = Now { mono: Mono(0), wall };
        ladder.take(at, &change(ChangeKind::Raised, &what));
        let deeds = ladder.act(at);
        let [Deed::Tell { channel, .. }] = deeds.as_slice() else { panic!("{deeds:?}") };
        assert_eq!(channel.as_str(), expected, "{what:?} at {wall}");
    }
}

#[test]
fn a_school_that_wrote_no_ladder_has_a_sensible_one() {
    let all = [("siren", true), ("chat", false), ("sms", false), ("mail", false)];
    let all: Vec<(ChannelId, bool)> = all.iter().map(|(id, local)| (channel(id), *local)).collect();
    let policies = usual(&all);
    let shown = |policy: &Policy| -> Vec<String> {
        let group =
            |group: &Vec<ChannelId>| group.iter().map(ChannelId::as_str).collect::<Vec<_>>().join(">");
        let step = |step: &Step| {
            format!(
                "{}: {}",
                step.after.as_secs(),
                step.groups.iter().map(group).collect::<Vec<_>>().join(" + ")
            )
        };
        policy.steps.iter().map(step).collect()
    };
    let expected = [
        "0: siren + chat>sms>mail",
        "30: siren + sms>mail>chat",
        "60: siren + mail>chat>sms",
        "120: siren + chat + sms + mail",
        "180: siren + chat + sms + mail",
    ];
    assert_eq!(shown(&policies[0]), expected);
    assert_eq!(shown(&policies[1]), [expected[0]]);
    for priority in Priority::ALL {
        assert!(policies.iter().any(|policy| policy.scope.priorities.contains(priority)), "{priority}");
    }
    assert!(usual(&[]).is_empty(), "with no channel there is nobody to tell");
}

#[test]
fn what_is_silent_is_never_told_where_it_would_be_heard() {
    let mut made = plan(&["siren", "chat"]);
    made.routes.insert(channel("siren"), Route { local: true, ..route(20, 60) });
    made.policies = vec![Policy {
        remind: Some(Duration::from_secs(60)),
        ..policy(&[(0, &[&["siren"], &["siren", "chat"]]), (30, &[&["siren"]])])
    }];
    let mut scene = Scene::new(made, accepts);
    let mut duress = alarm(1, Priority::Critical);
    duress.key.rule = RuleId::new(crate::model::alarm::DURESS_RULE).unwrap();
    scene.take(ChangeKind::Raised, &duress);
    scene.until(300_000);
    assert!(!scene.told.is_empty());
    assert!(scene.told.iter().all(|(_, id, _)| id == "chat"), "{:?}", scene.log());
}

#[test]
fn in_quiet_hours_only_what_is_critical_is_told_and_the_rest_in_one_digest_when_they_end() {
    let mut made = plan(&["chat"]);
    let night = DayHours { from: time(22, 0, 0, 0), until: time(6, 30, 0, 0) };
    made.routes.insert(channel("chat"), Route { quiet: Some(night), ..route(20, 60) });
    made.policies = vec![policy(&[(0, &[&["chat"]])])];
    let mut scene = Scene::new(made, accepts);
    (1..=40).for_each(|id| scene.raise(id, Priority::High));
    scene.until(1000);
    scene.acknowledge(40, Priority::High);
    assert!(scene.told.is_empty(), "{:?}", scene.log());
    // 22:13:20 to 06:30:00.
    let end = (8 * 3600 + 16 * 60 + 40) * 1000;
    scene.until(end - 1);
    assert!(scene.told.is_empty(), "{:?}", scene.log());
    scene.until(end + 60_000);
    assert_eq!(scene.told.len(), 1, "{:?}", scene.log());
    let (at, _, digest) = &scene.told[0];
    assert!(*at < end + 31_000 && digest.occasion == Occasion::Digest);
    assert_eq!(digest.alarms.len(), 39);
    assert_eq!(digest.title.zh, "39 条报警未确认：高 39");

    let mut made = scene.ladder.plan.clone();
    made.policies[0].remind = Some(Duration::from_secs(300));
    let mut night = Scene::new(made, accepts);
    night.raise(1, Priority::Critical);
    night.until(400_000);
    assert_eq!(night.log(), [(0, "chat", Occasion::Raised), (300_000, "chat", Occasion::Reminder)]);
}

#[test]
fn those_who_were_told_are_told_that_it_is_over_where_the_school_wants_it() {
    for over in [false, true] {
        let mut made = plan(&["a", "b"]);
        made.policies = vec![Policy { over, ..policy(&[(0, &[&["a"]]), (600, &[&["b"]])]) }];
        let mut scene = Scene::new(made, accepts);
        scene.raise(1, Priority::Critical);
        scene.until(20_000);
        scene.acknowledge(1, Priority::Critical);
        scene.until(700_000);
        let closed = Alarm { closed_at: Some(EVENING), ..alarm(1, Priority::Critical) };
        scene.take(ChangeKind::Closed, &closed);
        scene.until(800_000);
        let mut expected = vec![(0, "a", Occasion::Raised)];
        expected.extend(over.then_some((700_000, "a", Occasion::Over)));
        assert_eq!(scene.log(), expected);
        assert!(scene.ladder.cases.is_empty());
    }
}

#[test]
fn what_has_ended_before_it_was_told_drops_out_unless_a_person_must_look() {
    let mut made = plan(&["a"]);
    made.policies = vec![policy(&[(0, &[&["a"]])])];
    let mut scene = Scene::new(made, accepts);
    scene.raise(1, Priority::Low);
    for (id, priority, latched) in
        [(2, Priority::Low, false), (3, Priority::Low, true), (4, Priority::Low, false)]
    {
        let mut one = Alarm { latched, ..alarm(id, priority) };
        scene.take(ChangeKind::Raised, &one);
        one.active = false;
        if id < 4 {
            scene.take(ChangeKind::Cleared, &one);
        }
    }
    scene.until(60_000);
    assert_eq!(scene.told[1].2.alarms, [AlarmId(3), AlarmId(4)]);
}

#[test]
fn a_channel_that_refuses_is_told_once_and_tried_with_the_next_message() {
    let refuses: Script = |_, at| {
        let verdict = if at < 60_000 { Verdict::Refused { why: "key".into() } } else { Verdict::Accepted };
        (20, verdict)
    };
    let mut made = plan(&["a"]);
    made.policies = vec![policy(&[(0, &[&["a"]])])];
    let mut scene = Scene::new(made, refuses);
    scene.raise(1, Priority::Critical);
    scene.until(20_000);
    scene.raise(2, Priority::Critical);
    scene.until(60_000);
    assert_eq!(scene.told.len(), 2, "neither is tried again");
    assert_eq!(scene.others, [Deed::Refused { channel: channel("a"), why: "key".into() }]);
    scene.raise(3, Priority::Critical);
    scene.until(61_000);
    assert_eq!(scene.others.last(), Some(&Deed::Mended { channel: channel("a") }));
}

#[test]
fn something_new_and_critical_does_not_wait_for_the_end_of_a_long_pause() {
    let fails: Script = |_, at| (20, if at < 650_000 { failed() } else { Verdict::Accepted });
    let mut made = plan(&["a"]);
    made.policies = vec![policy(&[(0, &[&["a"]])])];
    let mut scene = Scene::new(made, fails);
    scene.raise(1, Priority::Critical);
    scene.until(700_000);
    let last = scene.told.last().unwrap().0;
    assert!(last < 650_000, "the pause is {} ms long", 700_000 - last);
    scene.raise(2, Priority::Critical);
    scene.until(701_000);
    assert_eq!((scene.first(1), scene.first(2)), (Some(700_020), Some(700_040)));
}

#[test]
fn the_same_message_keeps_its_number_when_it_is_tried_again() {
    let fails: Script = |_, at| (20, if at < 10_000 { failed() } else { Verdict::Accepted });
    let mut made = plan(&["a"]);
    made.policies = vec![policy(&[(0, &[&["a"]])])];
    let mut scene = Scene::new(made, fails);
    scene.raise(1, Priority::Critical);
    scene.until(30_000);
    scene.raise(2, Priority::Critical);
    let numbers: Vec<u64> = scene.told.iter().map(|(_, _, message)| message.number).collect();
    assert_eq!(scene.told.len(), 4, "at once, after 5 and 10 seconds, and another: {:?}", scene.log());
    assert!(numbers[0] == numbers[1] && numbers[1] == numbers[2] && numbers[2] < numbers[3], "{numbers:?}");
}

/// A3: 2,000 alarms in a minute, and three of them critical.
#[test]
fn a03_in_a_flood_what_is_critical_is_told_at_once_and_the_rest_in_a_few_digests() {
    let mut made = plan(&["siren", "chat", "mail"]);
    made.routes.insert(channel("siren"), Route { local: true, ..route(60, 60) });
    let all: Vec<(ChannelId, bool)> =
        made.routes.iter().map(|(id, route)| (id.clone(), route.local)).collect();
    made.policies = usual(&all);
    let slow: Script = |_, _| (400, Verdict::Accepted);
    let mut scene = Scene::new(made, slow);
    let critical = [177, 900, 1999];
    for id in 0..2000_u64 {
        scene.until(id * 30);
        let priority = if critical.contains(&id) {
            Priority::Critical
        } else {
            Priority::ALL[1 + usize::try_from(id % 3).unwrap()]
        };
        scene.raise(id + 1, priority);
        if critical.contains(&id) {
            assert_eq!(scene.told.last().map(|(at, ..)| *at), Some(id * 30), "at once");
        }
    }
    scene.until(200_000);
    for id in critical {
        let took = scene.first(id + 1).unwrap() - id * 30;
        assert!(took <= 1000, "critical {id} after {took} ms");
    }
    for channel in ["siren", "chat", "mail"] {
        let at: Vec<u64> = scene.told.iter().filter(|(_, id, _)| id == channel).map(|(at, ..)| *at).collect();
        let most =
            at.iter().map(|from| at.iter().filter(|at| (*from..from + 60_000).contains(at)).count()).max();
        assert!(most <= Some(5), "{channel}: {most:?} in a minute");
    }
    let told: BTreeSet<AlarmId> =
        scene.accepted.iter().flat_map(|(_, _, message)| message.alarms.clone()).collect();
    assert_eq!(told.len(), 2000, "none is lost");
    let digest = scene
        .told
        .iter()
        .filter(|(_, _, message)| message.occasion == Occasion::Digest)
        .max_by_key(|(.., m)| m.alarms.len());
    let (_, _, digest) = digest.unwrap();
    assert!(
        digest.alarms.len() > 900 && digest.lines.len() < 20 && digest.title.zh.contains("中 "),
        "{:?}",
        digest.title
    );
}

#[test]
fn beyond_ten_thousand_alarms_are_only_counted_but_never_the_critical_ones() {
    let mut made = plan(&["a"]);
    made.policies = vec![policy(&[(0, &[&["a"]])])];
    let mut scene = Scene::new(made, accepts);
    let most = u64::try_from(MAX_FOLLOWED).unwrap();
    (0..most + 50)
        .for_each(|id| scene.ladder.take(scene.now, &change(ChangeKind::Raised, &alarm(id, Priority::Low))));
    scene.raise(most + 100, Priority::Critical);
    scene.until(200_000);
    assert_eq!(scene.first(most + 100), Some(20));
    assert_eq!(scene.ladder.counts().only_counted, 50);
    let (_, _, digest) =
        scene.told.iter().find(|(_, _, message)| message.occasion == Occasion::Digest).unwrap();
    assert_eq!(digest.title.en, "10050 alarms not taken: 10050 low");
}

/// A8: whatever the channels do, the next is asked within 5 s, what is at the place sounds, and all try until somebody
/// takes it.
#[test]
fn a08_whatever_channels_do_the_next_is_asked_within_five_seconds_and_the_siren_sounds() {
    let scripts: [(&str, Script); 5] = [
        ("down", |id, _| (2, if id == "siren" { Verdict::Accepted } else { failed() })),
        ("slow", |id, _| if id == "siren" { (2, Verdict::Accepted) } else { (5000, failed()) }),
        ("429", |id, _| {
            (
                30,
                if id == "siren" {
                    Verdict::Accepted
                } else {
                    Verdict::Busy { retry_after: Some(Duration::from_secs(60)) }
                },
            )
        }),
        // HTTP 200 with an error code in its body is a failure, too: the channel says so.
        ("errcode", |id, _| (30, if id == "siren" { Verdict::Accepted } else { failed() })),
        ("one works", |id, _| if id == "a" { (5000, failed()) } else { (2, Verdict::Accepted) }),
    ];
    for (what, script) in scripts {
        let mut made = plan(&["siren", "a", "b", "c"]);
        made.routes.insert(channel("siren"), Route { local: true, ..route(60, 60) });
        made.policies = vec![Policy {
            remind: Some(Duration::from_secs(600)),
            ..policy(&[(0, &[&["siren"], &["a", "b", "c"]])])
        }];
        let mut scene = Scene::new(made, script);
        scene.raise(1, Priority::Critical);
        scene.until(3_600_000);
        let first = |channel: &str| scene.told.iter().find(|(_, id, _)| id == channel).map(|(at, ..)| *at);
        assert_eq!(first("siren"), Some(0), "{what}");
        assert_eq!(first("a"), Some(0), "{what}");
        assert!(first("b").is_some_and(|at| at <= 5000), "{what}: {:?}", first("b"));
        if what == "one works" {
            assert_eq!(first("c"), None, "one is enough");
            assert!(
                scene.told.iter().filter(|(_, id, _)| id == "a").count() > 5,
                "the one that failed tries again"
            );
        } else {
            assert!(first("c").is_some_and(|at| at <= 10_000), "{what}: {:?}", first("c"));
            for channel in ["a", "b", "c"] {
                let tries: Vec<u64> =
                    scene.told.iter().filter(|(_, id, _)| id == channel).map(|(at, ..)| *at).collect();
                let longest = tries.windows(2).map(|pair| pair[1] - pair[0]).max();
                assert!(tries.len() > 10 && longest <= Some(306_000), "{what}: {channel} at {tries:?}");
            }
        }
        let before = scene.told.len();
        scene.acknowledge(1, Priority::Critical);
        scene.until(8_000_000);
        assert_eq!(scene.told.len(), before, "{what}: told although taken");
    }
}

/// A10: somebody sets the clock in the middle of a ladder.
#[test]
fn a10_a_clock_that_is_set_neither_hurries_nor_delays_a_ladder() {
    const YEAR: i64 = 365 * 86_400_000;
    let log = |by: i64| {
        let mut made = plan(&["a", "b", "c"]);
        made.policies = vec![Policy {
            remind: Some(Duration::from_secs(40)),
            ..policy(&[(0, &[&["a"]]), (30, &[&["b"]]), (60, &[&["c"]])])
        }];
        let mut scene = Scene::new(made, accepts);
        scene.raise(1, Priority::Critical);
        scene.until(20_000);
        scene.now.wall = scene.now.wall.plus_ms(by);
        scene.until(200_000);
        scene.told.iter().map(|(at, id, message)| (*at, id.clone(), message.occasion)).collect::<Vec<_>>()
    };
    let untouched = log(0);
    assert!(untouched.len() > 5);
    for by in [-86_400_000, 10 * YEAR, -EVENING.0, 3_600_000] {
        assert_eq!(log(by), untouched, "set by {by} ms");
    }
}

/// A11: a restart with 500 open alarms.
#[test]
fn a11_after_a_restart_what_was_taken_is_not_told_again_and_the_rest_is_told_at_once() {
    let mut made = plan(&["a", "b"]);
    made.policies = vec![policy(&[(0, &[&["a"]]), (60, &[&["b"]])])];
    let by = Handled { by: Actor::named("guard").unwrap(), at: EVENING, note: String::new() };
    let open = |untaken: u64| {
        let by = by.clone();
        (1..=500_u64).map(move |id| {
            let acknowledged = (id > untaken).then(|| by.clone());
            Climbed { alarm: Alarm { acknowledged, ..alarm(id, Priority::Critical) }, step: 1, at: EVENING }
        })
    };
    let mut scene = Scene::of(Ladder::restore(made.clone(), open(0), now(0)), accepts);
    scene.until(3_600_000);
    assert!(scene.told.is_empty(), "{:?}", scene.log());

    let mut scene = Scene::of(Ladder::restore(made, open(3), now(0)), accepts);
    scene.until(2000);
    let told: BTreeSet<AlarmId> =
        scene.accepted.iter().flat_map(|(_, _, message)| message.alarms.clone()).collect();
    assert_eq!(told, [AlarmId(1), AlarmId(2), AlarmId(3)].into());
}

#[test]
fn a_restart_goes_on_from_the_step_that_was_reached_by_a_clock_that_can_be_believed() {
    let mut made = plan(&["a", "b", "c"]);
    made.policies = vec![policy(&[(0, &[&["a"]]), (60, &[&["b"]]), (180, &[&["c"]])])];
    let start = Now { mono: Mono(500), wall: EVENING };
    for (step, at, b, c) in [
        // Raised 20 s ago; the second step reached 50 s ago; long ago; in a future that cannot be.
        (1, EVENING.plus_ms(-20_000), Some(40_500), Some(160_500)),
        (2, EVENING.plus_ms(-50_000), Some(500), Some(70_500)),
        (1, EVENING.plus_ms(-86_400_000), Some(500), Some(500)),
        (2, EVENING.plus_ms(86_400_000), Some(500), Some(120_500)),
        (1, EVENING.plus_ms(-30 * 86_400_000), Some(60_500), Some(180_500)),
        // A step that the ladder no longer has.
        (9, EVENING, Some(500), Some(500)),
    ] {
        let climbed = [Climbed { alarm: alarm(1, Priority::Critical), step, at }];
        let mut scene = Scene::of(Ladder::restore(made.clone(), climbed, start), accepts);
        scene.now = start;
        scene.act();
        scene.until(400_000);
        let first = |channel: &str| scene.told.iter().find(|(_, id, _)| id == channel).map(|(at, ..)| *at);
        assert_eq!((first("a"), first("b"), first("c")), (Some(500), b, c), "step {step} at {at}");
    }
}

//! Random histories: alarms, people, channels that fail, clocks that are set and restarts, against
//! what must never be.

use super::tests::{alarm, change, channel, plan, route};
use super::*;
use crate::alarm::{DayHours, Route, Step, usual};
use crate::model::alarm::Support;
use crate::model::{Actor, Handled, Rate};
use jiff::civil::time;

/// Histories of each test. With 25,000 here, the hundred thousand take some minutes.
const HISTORIES: u64 = 2_500;
const MOVES: usize = 9;
const NOON: Wall = Wall(1_790_000_000_000);

/// A seeded series of numbers (xorshift), the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    fn is(&mut self, one_in: u64) -> bool {
        self.roll(one_in) == 0
    }

    fn pick(&mut self, of: usize) -> usize {
        usize::try_from(self.roll(u64::try_from(of).unwrap())).unwrap()
    }
}

/// What the witness knows of an alarm.
#[derive(Debug, Clone)]
struct Known {
    alarm: Alarm,
    /// When its ladder began, by the monotonic clock of this run.
    begun_ms: i64,
    steps: usize,
    /// When the last step was written down.
    noted: Wall,
    accepted: bool,
    /// Somebody has it, in this run or before.
    covered: bool,
    refused: bool,
    /// It is not critical and has ended: it may drop out.
    dropped: bool,
    ended: bool,
    /// Who accepted a call for support in this run.
    heard: BTreeSet<ChannelId>,
}

impl Known {
    fn wanted(&self) -> bool {
        self.alarm.acknowledged.is_none() && self.alarm.closed_at.is_none() && !self.dropped
    }

    /// Whether each group of its ladder has the call for support, as far as this run shows.
    fn all_heard(&self, plan: &Plan) -> bool {
        let policy = &plan.policies[plan.choose(&self.alarm, self.alarm.raised_at).expect("a ladder")];
        let mut groups = policy.steps.iter().flat_map(|step| &step.groups);
        groups.all(|group| group.iter().any(|channel| self.heard.contains(channel)))
    }
}

struct History {
    dice: Dice,
    now: Now,
    plan: Plan,
    ladder: Ladder,
    known: BTreeMap<AlarmId, Known>,
    flights: BTreeMap<ChannelId, (Message, Mono)>,
    pushes: BTreeMap<ChannelId, Vec<(Mono, bool)>>,
    /// How late the ladder may be asked.
    tick_ms: u64,
    /// Every channel accepts at once.
    works: bool,
    /// Alarms of drills are among the others.
    drills: bool,
}

fn plans(dice: &mut Dice, drills: bool) -> Plan {
    let mut made = plan(&["siren", "a", "b", "q"]);
    let night = DayHours { from: time(22, 0, 0, 0), until: time(6, 0, 0, 0) };
    made.routes.insert(channel("siren"), Route { local: true, ..route(60, 60) });
    made.routes.insert(channel("b"), route(3, 30));
    made.routes.insert(channel("q"), Route { quiet: Some(night), ..route(20, 60) });
    let all: Vec<(ChannelId, bool)> =
        made.routes.iter().map(|(id, route)| (id.clone(), route.local)).collect();
    made.policies = if dice.is(2) {
        usual(&all)
    } else {
        let step = |after, groups: &[&[&str]]| Step {
            after: Duration::from_secs(after),
            groups: groups.iter().map(|group| group.iter().map(|id| channel(id)).collect()).collect(),
        };
        let steps = vec![
            step(0, &[&["siren"], &["a", "b"]]),
            step(20, if drills && dice.is(2) { &[&["b", "a", "q"], &["d"]] } else { &[&["b", "a", "q"]] }),
            step(45, &[&["q"], &["a"]]),
        ];
        let remind = (!dice.is(3)).then(|| Duration::from_secs(15 + dice.roll(60)));
        let over = dice.is(2);
        vec![Policy { id: "one".into(), scope: crate::alarm::Scope::default(), steps, remind, over }]
    };
    if drills {
        made.routes.insert(channel("d"), Route { drill: true, ..route(20, 60) });
        made.routes.insert(channel("e"), Route { drill: true, ..route(3, 30) });
    }
    made.with_drills()
}

impl History {
    fn new(seed: u64, drills: bool) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let plan = plans(&mut dice, drills);
        let now = Now {
            mono: Mono(dice.roll(100_000)),
            wall: NOON.plus_ms(i64::try_from(dice.roll(86_400_000)).unwrap()),
        };
        let ladder = Ladder::restore(plan.clone(), [], now);
        let tick_ms = dice.roll(3) * 500;
        let (known, flights, pushes) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { dice, now, plan, ladder, known, flights, pushes, tick_ms, works: false, drills }
    }

    fn quiet(&self, channel: &ChannelId) -> bool {
        self.plan.routes[channel].quiet.is_some_and(|hours| hours.hold(self.now.wall, &self.plan.zone))
    }

    /// Asks the ladder and looks at everything it says.
    fn act(&mut self) {
        for deed in self.ladder.act(self.now) {
            match deed {
                Deed::Tell { channel, message } => self.told(channel, message),
                Deed::Reached { alarm, step } => self.reached(alarm, step),
                Deed::SupportTold { alarm, called } => {
                    let known = self.known.get_mut(&alarm).expect("an alarm");
                    assert_eq!(known.alarm.calls(), Some(called), "told once, and only while it is open");
                    assert!(known.all_heard(&self.plan), "somebody has not heard: {known:?}");
                    known.alarm.marks.support.as_mut().unwrap().told_at = Some(self.now.wall);
                }
                Deed::Refused { .. } | Deed::Mended { .. } => {}
            }
        }
        if let Some(next) = self.ladder.next_deadline(self.now) {
            assert!(
                next > self.now.mono,
                "asked at {:?}, it wants to be asked again at {next:?}",
                self.now.mono
            );
        }
        for (id, known) in self.known.iter().filter(|(_, known)| known.alarm.calls().is_some()) {
            let tried = self.ladder.queues.values().any(|queue| queue.holds(*id));
            assert!(known.refused || tried, "nobody is told of a call for support: {known:?}");
        }
        for (id, known) in self.known.iter().filter(|(_, known)| known.wanted()) {
            if known.alarm.priority == Priority::Critical && !known.refused {
                let tried = self.ladder.queues.values().any(|queue| queue.holds(*id));
                assert!(known.accepted || tried, "critical alarm {id} is told nobody: {known:?}");
            }
        }
    }

    fn told(&mut self, channel: ChannelId, message: Message) {
        let urgent = message.occasion != Occasion::Reminder && message.priority == Priority::Critical;
        for id in &message.alarms {
            let known = &self.known[id];
            let drill = known.alarm.marks.drill;
            assert_eq!(
                (message.drill, self.plan.routes[&channel].drill),
                (drill, drill),
                "{channel}: {message:?}"
            );
            let over = self.plan.policies[0].over && known.ended && !drill;
            let calls = message.occasion == Occasion::Support && known.alarm.calls().is_some();
            let open = (message.occasion != Occasion::Over && known.wanted()) || calls;
            let told_over =
                matches!(message.occasion, Occasion::Over | Occasion::Digest | Occasion::Support) && over;
            assert!(open || told_over, "told although taken: {known:?} in {message:?}");
        }
        let called = message.alarms.iter().any(|id| self.known[id].alarm.calls().is_some());
        assert!(called || message.occasion != Occasion::Support, "nobody has called: {message:?}");
        let mut unique = message.alarms.clone();
        unique.dedup();
        assert_eq!(unique.len(), message.alarms.len(), "twice in one message");
        if self.quiet(&channel) {
            assert_eq!(message.priority, Priority::Critical, "in quiet hours: {message:?}");
        }
        let now = self.now.mono;
        let Rate { messages, per } = self.plan.routes[&channel].rate;
        let pushes = self.pushes.entry(channel.clone()).or_default();
        let within = |span: Duration| pushes.iter().filter(|(at, _)| at.plus(span) > now).count();
        assert!(within(per) < usize::try_from(messages).unwrap(), "more than the channel takes");
        let minute = within(Duration::from_secs(60));
        // Somebody has called: that waits for nothing but the channel itself.
        let gathered = within(Duration::from_secs(10)) == 0 || message.occasion == Occasion::Support;
        assert!(minute < 5 || (urgent && gathered), "{minute} in a minute, and then {message:?}");
        let calm =
            pushes.iter().filter(|(at, urgent)| !urgent && at.plus(Duration::from_secs(60)) > now).count();
        assert!(urgent || (calm < 2 && gathered), "what is not critical comes together: {message:?}");
        pushes.push((now, urgent));
        assert!(self.flights.insert(channel, (message, now)).is_none(), "one at a time");
    }

    fn reached(&mut self, id: AlarmId, step: usize) {
        let known = self.known.get_mut(&id).expect("an alarm");
        assert!(known.wanted(), "escalated although taken");
        let policy = self.plan.choose(&known.alarm, known.alarm.raised_at).expect("a ladder");
        let steps = &self.plan.policies[policy].steps;
        assert_eq!(step, known.steps + 1, "one after the other");
        let due = known.begun_ms + i64::try_from(steps[step - 1].after.as_millis()).unwrap();
        let at = i64::try_from(self.now.mono.0).unwrap();
        let tick = i64::try_from(self.tick_ms).unwrap();
        let latest = due.max(known.begun_ms_of_run()) + tick;
        assert!(due <= at && at <= latest, "step {step} of {id} due at {due}, begun at {at}");
        (known.steps, known.noted) = (step, self.now.wall);
    }

    /// Time passes; the ladder is asked when it wants to be, or a tick later.
    fn pass(&mut self, ms: u64) {
        let end = self.now.mono.plus(Duration::from_millis(ms));
        while self.now.mono < end {
            let late = if self.tick_ms == 0 { 0 } else { self.dice.roll(self.tick_ms) };
            let wanted = self.ladder.next_deadline(self.now).map(|at| at.plus(Duration::from_millis(late)));
            let limit = self.flights.values().map(|(_, at)| at.plus(ACCEPT_WITHIN)).min();
            let next = wanted.into_iter().chain(limit).min().map_or(end, |next| next.min(end));
            let step = next.since(self.now.mono);
            self.now.mono = self.now.mono.plus(step);
            self.now.wall = self.now.wall.plus_ms(millis(step));
            let gone: Vec<ChannelId> = self
                .flights
                .iter()
                .filter(|(_, (_, at))| at.plus(ACCEPT_WITHIN) <= self.now.mono)
                .map(|(id, _)| id.clone())
                .collect();
            for channel in gone {
                self.land(&channel, Verdict::Failed { why: "slow".into() });
            }
            self.act();
            self.accept_all();
        }
    }

    fn accept_all(&mut self) {
        while let (true, Some(channel)) = (self.works, self.flights.keys().next().cloned()) {
            self.land(&channel, Verdict::Accepted);
            self.act();
        }
    }

    fn land(&mut self, channel: &ChannelId, verdict: Verdict) {
        let Some((message, _)) = self.flights.remove(channel) else { return };
        for id in &message.alarms {
            let known = self.known.get_mut(id).expect("an alarm");
            match verdict {
                Verdict::Accepted => {
                    (known.accepted, known.covered) = (true, true);
                    if message.occasion == Occasion::Support {
                        known.heard.insert(channel.clone());
                    }
                }
                Verdict::Refused { .. } => known.refused = true,
                _ => {}
            }
        }
        self.ladder.verdict(self.now, channel, message.number, verdict);
    }

    fn step(&mut self) {
        match self.dice.roll(22) {
            20..=21 => self.call(),
            0 if self.drills && self.dice.is(2) => self.end_drill(),
            0..=5 => self.raise(),
            6..=7 => self.end(),
            8..=9 => self.acknowledge(),
            10 => self.recur(),
            11 => {
                let by = i64::try_from(self.dice.roll(90_000_000_000)).unwrap();
                self.now.wall = self.now.wall.plus_ms(if self.dice.is(2) { by } else { -by });
            }
            12 => self.restart(),
            13 => {
                let ms = self.dice.roll(400_000);
                self.pass(ms);
            }
            _ => {
                let ms = self.dice.roll(40_000);
                self.pass(ms);
            }
        }
        for channel in self.flights.keys().cloned().collect::<Vec<_>>() {
            let verdict = match self.dice.roll(8) {
                0..=3 => Verdict::Accepted,
                4 => Verdict::Failed { why: "500".into() },
                5 => Verdict::Busy { retry_after: self.dice.is(2).then(|| Duration::from_secs(30)) },
                6 if self.dice.is(4) => Verdict::Refused { why: "key".into() },
                _ => continue,
            };
            self.land(&channel, verdict);
        }
        self.act();
    }

    fn raise(&mut self) {
        let most = if self.dice.is(6) { 12 } else { 2 };
        for _ in 0..=self.dice.pick(most) {
            let id = AlarmId(u64::try_from(self.known.len()).unwrap() + 1);
            let priority = Priority::ALL[self.dice.pick(4)];
            let mut new = alarm(id.0, priority);
            (new.raised_at, new.active, new.latched) = (self.now.wall, true, self.dice.is(3));
            new.marks.drill = self.drills && self.dice.is(2);
            let known = Known {
                alarm: new.clone(),
                begun_ms: mono_ms(self.now.mono),
                steps: 1,
                noted: self.now.wall,
                accepted: false,
                covered: false,
                refused: false,
                dropped: false,
                ended: false,
                heard: BTreeSet::new(),
            };
            self.known.insert(id, known);
            self.ladder.take(self.now, &change(ChangeKind::Raised, &new));
        }
    }

    fn any(&mut self, which: impl Fn(&Known) -> bool) -> Option<AlarmId> {
        let ids: Vec<AlarmId> =
            self.known.iter().filter(|(_, known)| which(known)).map(|(id, _)| *id).collect();
        (!ids.is_empty()).then(|| ids[self.dice.pick(ids.len())])
    }

    fn end(&mut self) {
        let Some(id) = self.any(|known| known.alarm.active && known.alarm.closed_at.is_none()) else {
            return;
        };
        let known = self.known.get_mut(&id).unwrap();
        (known.alarm.active, known.alarm.cleared_at) = (false, Some(self.now.wall));
        known.dropped = known.alarm.priority != Priority::Critical && !known.alarm.latched;
        known.ended |= known.dropped;
        self.ladder.take(self.now, &change(ChangeKind::Cleared, &known.alarm));
        self.close_if_over(id);
    }

    fn acknowledge(&mut self) {
        let Some(id) =
            self.any(|known| known.alarm.acknowledged.is_none() && known.alarm.closed_at.is_none())
        else {
            return;
        };
        let by = Handled { by: Actor::named("guard").unwrap(), at: self.now.wall, note: String::new() };
        let known = self.known.get_mut(&id).unwrap();
        known.alarm.acknowledged = Some(by);
        self.ladder.take(self.now, &change(ChangeKind::Acknowledged, &known.alarm));
        self.close_if_over(id);
    }

    /// Somebody takes it, if nobody has, and calls for support; from then on it latches.
    fn call(&mut self) {
        let Some(id) = self.any(|known| known.alarm.closed_at.is_none()) else { return };
        let by = Handled { by: Actor::named("guard").unwrap(), at: self.now.wall, note: String::new() };
        let known = self.known.get_mut(&id).unwrap();
        if known.alarm.acknowledged.is_none() {
            known.alarm.acknowledged = Some(by.clone());
            self.ladder.take(self.now, &change(ChangeKind::Acknowledged, &known.alarm));
        }
        known.alarm.marks.support = Some(Support { by, told_at: None });
        known.alarm.latched = true;
        (known.refused, known.heard) = (false, BTreeSet::new());
        self.ladder.take(self.now, &change(ChangeKind::SupportCalled, &known.alarm));
    }

    fn close_if_over(&mut self, id: AlarmId) {
        let known = self.known.get_mut(&id).unwrap();
        if !known.alarm.active && known.alarm.acknowledged.is_some() {
            (known.alarm.closed_at, known.ended) = (Some(self.now.wall), true);
            self.ladder.take(self.now, &change(ChangeKind::Closed, &known.alarm));
        }
    }

    /// The drill is over, and nobody hears more of it.
    fn end_drill(&mut self) {
        let now = self.now;
        let of_drills = self.known.values_mut().filter(|known| known.alarm.marks.drill);
        for known in of_drills.filter(|known| known.alarm.closed_at.is_none()) {
            (known.alarm.active, known.alarm.closed_at) = (false, Some(now.wall));
            self.ladder.take(now, &change(ChangeKind::Closed, &known.alarm));
        }
    }

    /// The condition comes back: of what nobody took the ladder goes on, of what was taken it begins anew.
    fn recur(&mut self) {
        let Some(id) = self.any(|known| !known.alarm.active && known.alarm.closed_at.is_none()) else {
            return;
        };
        let known = self.known.get_mut(&id).unwrap();
        let anew = !known.wanted();
        (known.alarm.active, known.alarm.cleared_at, known.alarm.acknowledged) = (true, None, None);
        (known.dropped, known.ended) = (false, false);
        if anew {
            (known.begun_ms, known.steps, known.noted) = (mono_ms(self.now.mono), 1, self.now.wall);
            (known.accepted, known.covered, known.refused) = (false, false, false);
        }
        self.ladder.take(self.now, &change(ChangeKind::Recurred, &known.alarm));
    }

    /// The power fails, and comes back some time later.
    fn restart(&mut self) {
        let off = i64::try_from(self.dice.roll(100_000)).unwrap();
        self.now = Now { mono: Mono(self.dice.roll(10_000)), wall: self.now.wall.plus_ms(off) };
        self.flights.clear();
        self.pushes.clear();
        let mut climbed = Vec::new();
        let open = |known: &&mut Known| known.wanted() || known.alarm.calls().is_some();
        for known in self.known.values_mut().filter(open) {
            known.heard.clear();
            let policy = self.plan.choose(&known.alarm, known.alarm.raised_at).expect("a ladder");
            let after = self.plan.policies[policy].steps[known.steps - 1].after;
            let ago = self.now.wall.0 - known.noted.0;
            let believed = self.now.wall.plausible() && known.noted.plausible();
            let ago = if believed && (0..=7 * 86_400_000).contains(&ago) { ago } else { 0 };
            known.begun_ms = mono_ms(self.now.mono) - millis(after) - ago;
            (known.accepted, known.refused) = (false, false);
            climbed.push(Climbed { alarm: known.alarm.clone(), step: known.steps, at: known.noted });
        }
        let wanted = climbed.len();
        self.ladder = Ladder::restore(self.plan.clone(), climbed, self.now);
        self.act();
        assert!(wanted == 0 || !self.flights.is_empty(), "told again at once");
    }

    /// Everything works again and nobody does anything for two days: then each alarm was told.
    fn settle(&mut self) {
        self.works = true;
        // Out of quiet hours: a quarter past noon in China.
        self.now.wall = Wall(1_790_050_500_000);
        self.act();
        self.accept_all();
        let untold = |known: &Known| {
            let covered = known.covered && known.alarm.calls().is_none();
            (known.wanted() || known.alarm.calls().is_some()) && !covered && !known.refused
        };
        for _ in 0..10 {
            if !self.known.values().any(untold) {
                return;
            }
            self.pass(60_000);
        }
        let lost = self.known.values().find(|known| untold(known));
        panic!("an alarm was lost: {lost:?}");
    }
}

impl Known {
    /// A step that was due before this run began is begun with it.
    fn begun_ms_of_run(&self) -> i64 {
        self.begun_ms.max(10_000)
    }
}

fn play(seeds: std::ops::RangeInclusive<u64>, drills: bool) {
    for seed in seeds {
        let played = std::panic::catch_unwind(|| {
            let mut history = History::new(seed, drills);
            (0..MOVES).for_each(|_| history.step());
            history.settle();
        });
        assert!(played.is_ok(), "history of seed {seed}");
    }
}

// Four tests, because tests run at the same time.

#[test]
fn in_no_history_is_anything_critical_kept_from_people_or_anybody_told_too_much() {
    play(1..=HISTORIES, false);
}

#[test]
fn nor_in_other_histories() {
    play(HISTORIES + 1..=2 * HISTORIES, false);
}

#[test]
fn nor_in_histories_with_drills() {
    play(2 * HISTORIES + 1..=3 * HISTORIES, true);
}

#[test]
fn nor_in_the_last_histories_with_drills() {
    play(3 * HISTORIES + 1..=4 * HISTORIES, true);
}

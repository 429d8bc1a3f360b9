//! The figures against a naive reference: minute by minute over a random week.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small numbers of a test"
)]

use super::*;
use crate::model::alarm::Confirmed;
use crate::model::{AlarmChange, AlarmClass, Handled, Marks, RuleId, Text};

const AT: i64 = 1_790_000_000_000;
const MINUTE: i64 = 60_000;
const WEEK: i64 = 7 * 24 * 60;

fn step(id: u64, minute: i64, kind: ChangeKind, truth: Option<Truth>) -> AlarmChange {
    let by = Actor::named("guard").unwrap();
    let at = Wall(AT + minute * MINUTE);
    let handled = Handled { by: by.clone(), at, note: String::new() };
    let confirmed = truth.map(|truth| Confirmed { truth, by: handled });
    let alarm = Alarm {
        id: AlarmId(id),
        key: AlarmKey { rule: RuleId::new("r").unwrap(), subject: format!("d{}", id % 40) },
        class: AlarmClass::Energy,
        priority: Priority::ALL[usize::try_from(id % 4).unwrap()],
        device: None,
        place: None,
        what: Text::same("it"),
        raised_at: at,
        active: true,
        occurrences: 1,
        cleared_at: None,
        acknowledged: None,
        latched: false,
        reset: None,
        closed_at: None,
        marks: Marks { confirmed, ..Marks::default() },
    };
    AlarmChange { kind, at, actor: by, note: String::new(), alarm }
}

/// The figures of steps in any order of alarms, each alarm as it stood after its last.
fn kpi(steps: &[AlarmChange], span: (Wall, Wall), guards: u32) -> Kpi {
    let mut alarms: BTreeMap<AlarmId, (Alarm, Vec<Step>)> = BTreeMap::new();
    for change in steps {
        let (alarm, steps) =
            alarms.entry(change.alarm.id).or_insert_with(|| (change.alarm.clone(), Vec::new()));
        *alarm = change.alarm.clone();
        steps.push(Step { at: change.at, kind: change.kind, by: change.actor.clone() });
    }
    let mut reckoning = Reckoning::new(span, guards);
    for (alarm, steps) in alarms.values().rev() {
        reckoning.alarm(alarm, steps);
    }
    reckoning.kpi()
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % n
    }
}

/// A plain life: raised, perhaps on the shelf for a while, taken, confirmed, closed.
struct Plain {
    raised: i64,
    inhibited: bool,
    shelf: Option<(i64, i64)>,
    taken: Option<i64>,
    truth: Option<Truth>,
    chatters: bool,
}

fn lives(dice: &mut Dice) -> Vec<Plain> {
    (0..900)
        .map(|n| {
            // Some come in bursts.
            let raised = if n % 3 == 0 { 2000 + dice.below(30) } else { dice.below(WEEK) };
            let taken = (dice.below(5) > 0).then(|| raised + 50 + dice.below(300));
            Plain {
                raised,
                inhibited: dice.below(10) == 0,
                shelf: (dice.below(10) == 0)
                    .then(|| (raised + 1 + dice.below(10), raised + 20 + dice.below(20))),
                taken,
                truth: taken.and_then(|_| Truth::ALL.get(usize::try_from(dice.below(8)).unwrap()).copied()),
                chatters: dice.below(20) == 0,
            }
        })
        .collect()
}

fn steps(lives: &[Plain]) -> Vec<AlarmChange> {
    let mut steps = Vec::new();
    for (id, life) in (1..).zip(lives) {
        let mut put = |minute, kind, truth| steps.push(step(id, minute, kind, truth));
        put(life.raised, ChangeKind::Raised, None);
        if life.inhibited {
            put(life.raised, ChangeKind::Inhibited, None);
        }
        if life.chatters {
            put(life.raised + 1, ChangeKind::Chattering, None);
        }
        if let Some((from, to)) = life.shelf {
            put(from, ChangeKind::Shelved, None);
            put(to, ChangeKind::Unshelved, None);
        }
        if let Some(taken) = life.taken {
            put(taken, ChangeKind::Acknowledged, None);
            if let Some(truth) = life.truth {
                put(taken + 1, ChangeKind::Confirmed, Some(truth));
            }
            put(taken + 2, ChangeKind::Closed, life.truth);
        }
    }
    steps.sort_by_key(|step| step.at);
    steps
}

#[test]
fn the_figures_are_those_of_a_naive_reference() {
    for seed in 1..6 {
        let lives = lives(&mut Dice(seed));
        let span = (Wall(AT), Wall(AT + WEEK * MINUTE));
        let found = kpi(&steps(&lives), span, 2);
        let counted = |life: &&Plain| life.truth != Some(Truth::Drill);
        let mut told: Vec<(i64, usize)> = Vec::new();
        let mut waits: BTreeMap<Priority, Vec<i64>> = BTreeMap::new();
        for (n, life) in lives.iter().enumerate().filter(|(_, life)| counted(life) && !life.inhibited) {
            told.push((life.raised, n));
            let mut since = life.raised;
            if let Some((_, off)) = life.shelf {
                told.push((off, n));
                since = off;
            }
            if let Some(taken) = life.taken.filter(|taken| *taken < WEEK) {
                let priority = Priority::ALL[(n + 1) % 4];
                waits.entry(priority).or_default().push((taken - since) * MINUTE);
            }
        }
        told.retain(|(at, _)| *at < WEEK);
        assert_eq!(usize::try_from(found.announced).unwrap(), told.len());
        let average = told.len() as f64 / (WEEK as f64 / 10.0) / 2.0;
        assert!((found.per_guard - average).abs() < 1e-9, "{} {average}", found.per_guard);
        // Minute by minute: how many in the last ten.
        let window = |now: i64| told.iter().filter(|(at, _)| now - 10 < *at && *at <= now).count();
        let (mut flooding, mut minutes, mut begun, mut most) = (false, 0, 0, 0);
        for now in 0..WEEK {
            let count = window(now);
            most = most.max(count);
            if !flooding && count > FLOOD_BEGINS {
                flooding = true;
                begun += 1;
            } else if flooding && count < FLOOD_ENDS {
                flooding = false;
            }
            minutes += i64::from(flooding);
        }
        assert_eq!(usize::try_from(found.most).unwrap(), most);
        assert_eq!(found.floods.len(), begun);
        assert!(begun > 0, "the burst is a flood");
        let share = minutes as f64 / WEEK as f64;
        assert!((found.flood_share - share).abs() < 1e-9, "{} {share}", found.flood_share);
        for (priority, mut waits) in waits {
            waits.sort_unstable();
            let share = |ms: i64| waits.iter().filter(|wait| **wait <= ms).count() * 100 / waits.len();
            let taken = found.taken[&priority];
            assert_eq!(usize::try_from(taken.count).unwrap(), waits.len());
            for (ms, percent) in [(taken.p50_ms, 50), (taken.p95_ms, 95)] {
                assert!(share(ms) >= percent && share(ms - 1) < percent, "{priority} {percent}");
            }
        }
        let chatters = lives.iter().filter(counted).filter(|l| l.chatters && l.raised + 1 < WEEK).count();
        assert_eq!(usize::try_from(found.chattering).unwrap(), chatters);
        let inhibited = lives.iter().filter(counted).filter(|life| life.inhibited).count();
        assert_eq!(usize::try_from(found.inhibited).unwrap(), inhibited);
        let open = |life: &&Plain| life.taken.is_none_or(|taken| taken + 2 >= WEEK);
        let standing = lives.iter().filter(open).filter(counted).filter(|l| WEEK - l.raised > 24 * 60);
        assert_eq!(found.standing.len(), standing.count());
        let confirmed = |truth| {
            let of = |life: &&Plain| life.truth == Some(truth) && life.taken.unwrap() + 1 < WEEK;
            lives.iter().filter(of).count() as f64
        };
        let known = confirmed(Truth::Real) + confirmed(Truth::False) + confirmed(Truth::Nuisance);
        let share = confirmed(Truth::False) / known;
        assert!((found.false_share.unwrap() - share).abs() < 1e-9);
        let shelved = |life: &&Plain| {
            life.shelf.is_some_and(|(from, to)| from < WEEK && to >= WEEK) && open(life) && counted(life)
        };
        assert_eq!(found.shelved.len(), lives.iter().filter(shelved).count());
    }
}

#[test]
fn a_quiet_span_has_quiet_figures() {
    let found = kpi(&[], (Wall(AT), Wall(AT)), 0);
    assert_eq!((found.announced, found.false_share, found.most), (0, None, 0));
    assert!(found.per_guard.abs() < f64::EPSILON && found.top_share.abs() < f64::EPSILON);
}

#[test]
fn a_flood_lasts_until_fewer_than_five_come_in_ten_minutes() {
    let minutes: Vec<i64> = (0..12).map(|_| 5).chain([20, 21, 22, 23, 24, 30]).collect();
    let steps: Vec<AlarmChange> =
        (1..).zip(&minutes).map(|(id, minute)| step(id, *minute, ChangeKind::Raised, None)).collect();
    let found = kpi(&steps, (Wall(AT), Wall(AT + 100 * MINUTE)), 1);
    let at = |minute: i64| Wall(AT + minute * MINUTE);
    assert_eq!(found.floods, [Flood { begin: at(5), end: Some(at(15)), announced: 12 }]);
    assert_eq!(found.most, 12);
}

/// An alarm of class and priority with its steps at seconds.
fn lived(
    (id, class, priority): (u64, AlarmClass, Priority),
    truth: Option<Truth>,
    steps: &[(i64, ChangeKind)],
) -> (Alarm, Vec<Step>) {
    let mut alarm = step(id, 0, ChangeKind::Raised, truth).alarm;
    (alarm.class, alarm.priority) = (class, priority);
    let by = Actor::named("guard").unwrap();
    let steps =
        steps.iter().map(|(secs, kind)| Step { at: Wall(AT + secs * 1000), kind: *kind, by: by.clone() });
    (alarm, steps.collect())
}

fn hour(alarms: &[(Alarm, Vec<Step>)]) -> (Kpi, Vec<Option<Life>>) {
    let mut reckoning = Reckoning::new((Wall(AT), Wall(AT + 3_600_000)), 1);
    let lives = alarms.iter().map(|(alarm, steps)| reckoning.alarm(alarm, steps)).collect();
    (reckoning.kpi(), lives)
}

#[test]
fn who_took_it_in_time_is_counted_by_what_it_was() {
    use ChangeKind::{Acknowledged, Raised};
    let taken_after =
        |id, class, priority, secs| lived((id, class, priority), None, &[(0, Raised), (secs, Acknowledged)]);
    let (kpi, _) = hour(&[
        taken_after(1, AlarmClass::Help, Priority::Critical, 30),
        taken_after(2, AlarmClass::Fire, Priority::Critical, 31),
        taken_after(3, AlarmClass::Fire, Priority::Critical, 61),
        taken_after(4, AlarmClass::Intrusion, Priority::Critical, 90),
        taken_after(5, AlarmClass::Security, Priority::High, 181),
        taken_after(6, AlarmClass::Energy, Priority::Low, 1),
        lived((7, AlarmClass::Help, Priority::Critical), None, &[(3_599, Raised)]),
    ]);
    assert_eq!(kpi.life, Prompt { count: 3, first: 1, second: 2 });
    assert_eq!(kpi.others, Prompt { count: 2, first: 1, second: 1 });
    assert_eq!((kpi.untaken, kpi.announced), (1, 7));
    let critical = kpi.taken[&Priority::Critical];
    assert_eq!((critical.count, critical.p50_ms, critical.p95_ms), (4, 31_000, 90_000));
}

#[test]
fn percentiles_are_those_of_the_nearest_rank() {
    // ISO 3534-1: the smallest that at least so many of 100 do not exceed.
    for (n, p50, p95) in [(1, 1, 1), (2, 1, 2), (10, 5, 10), (20, 10, 19), (21, 11, 20), (100, 50, 95)] {
        assert_eq!(
            taken((1..=n).rev().collect()),
            Taken { count: n as u32, p50_ms: p50, p95_ms: p95 },
            "{n}"
        );
    }
    assert_eq!(taken(Vec::new()), Taken { count: 0, p50_ms: 0, p95_ms: 0 });
}

#[test]
fn an_alarm_is_told_as_it_stood_at_the_end_of_the_span() {
    use ChangeKind::*;
    let of = |id, steps: &[(i64, ChangeKind)]| lived((id, AlarmClass::Energy, Priority::Low), None, steps);
    let (kpi, lives) = hour(&[
        of(1, &[(-100_000, Raised), (10, Shelved), (5_000, Unshelved)]),
        of(2, &[(5, Raised), (6, Acknowledged), (7, Cleared), (7, Closed)]),
        of(3, &[(5, Raised), (20, Acknowledged), (30, Cleared), (40, Recurred), (4_000, Acknowledged)]),
        of(4, &[(5, Raised), (5, Suppressed)]),
        of(5, &[(5, Raised), (5, Inhibited)]),
        of(6, &[(5, Raised), (9, OutOfService)]),
        of(7, &[(5, Raised), (5, Chattering), (9, Settled), (10, Chattering)]),
    ]);
    let lives: Vec<Life> = lives.into_iter().map(Option::unwrap).collect();
    let states: String = lives.iter().map(|life| life.isa_state(false)).collect();
    assert_eq!(states, "GABHHIB");
    assert_eq!(lives[2].after_ms, Some(15_000), "the first time counts, though it came back");
    assert_eq!(lives[2].came, 2);
    assert_eq!(lives[0].came, 0, "it was raised before");
    assert_eq!(kpi.standing, [AlarmId(1)]);
    assert_eq!(kpi.shelved, [Quiet { id: AlarmId(1), since: Wall(AT + 10_000) }]);
    assert_eq!(kpi.out_of_service, [Quiet { id: AlarmId(6), since: Wall(AT + 9_000) }]);
    // One that its area keeps quiet from the same moment on was raised all the same: the step before tells.
    assert_eq!((kpi.chattering, kpi.inhibited, kpi.untaken), (1, 1, 2));
    assert!(lives[6].chattering);
}

#[test]
fn a_drill_is_in_none_of_the_figures() {
    use ChangeKind::*;
    let steps = [(0, Raised), (1, Chattering), (20, Acknowledged), (30, Confirmed)];
    let of = |id, truth| lived((id, AlarmClass::Fire, Priority::Critical), Some(truth), &steps);
    let (kpi, lives) = hour(&[of(1, Truth::Drill), of(2, Truth::Real), of(3, Truth::False)]);
    assert!(lives[0].is_none() && lives[1].is_some());
    assert_eq!((kpi.announced, kpi.chattering, kpi.life.count), (2, 2, 2));
    assert_eq!(kpi.false_share, Some(0.5));
    assert_eq!(kpi.confirmed, BTreeMap::from([(Truth::Real, 1), (Truth::False, 1)]));
    // Ten of the busiest are all there are.
    assert!((kpi.top_share - 1.0).abs() < f64::EPSILON);
}

#[test]
fn alarms_of_drills_change_no_figure() {
    let span = (Wall(AT), Wall(AT + WEEK * MINUTE));
    let alone = steps(&lives(&mut Dice(9)));
    let practised = steps(&lives(&mut Dice(10))).into_iter().map(|mut step| {
        (step.alarm.id.0, step.alarm.marks.drill) = (step.alarm.id.0 + 10_000, true);
        step
    });
    let mut both: Vec<AlarmChange> = alone.iter().cloned().chain(practised).collect();
    both.sort_by_key(|step| step.at);
    assert_eq!(kpi(&both, span, 2), kpi(&alone, span, 2));
}

//! The figures against a naive reference: minute by minute over a random week.

use super::*;
use crate::model::alarm::Confirmed;
use crate::model::{Actor, Alarm, AlarmClass, Handled, Marks, RuleId, Text};

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

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % n
    }
}

/// A plain life: raised, perhaps on the shelf for a while, taken, confirmed, closed.
struct Life {
    raised: i64,
    inhibited: bool,
    shelf: Option<(i64, i64)>,
    taken: Option<i64>,
    truth: Option<Truth>,
    chatters: bool,
}

fn lives(dice: &mut Dice) -> Vec<Life> {
    (0..900)
        .map(|n| {
            // Some come in bursts.
            let raised = if n % 3 == 0 { 2000 + dice.below(30) } else { dice.below(WEEK) };
            let taken = (dice.below(5) > 0).then(|| raised + 50 + dice.below(300));
            Life {
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

fn steps(lives: &[Life]) -> Vec<AlarmChange> {
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
        let counted = |life: &&Life| life.truth != Some(Truth::Drill);
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
        let open = |life: &&Life| life.taken.is_none_or(|taken| taken + 2 >= WEEK);
        let standing = lives.iter().filter(open).filter(counted).filter(|l| WEEK - l.raised > 24 * 60);
        assert_eq!(found.standing.len(), standing.count());
        let confirmed = |truth| {
            let of = |life: &&Life| life.truth == Some(truth) && life.taken.unwrap() + 1 < WEEK;
            lives.iter().filter(of).count() as f64
        };
        let known = confirmed(Truth::Real) + confirmed(Truth::False) + confirmed(Truth::Nuisance);
        let share = confirmed(Truth::False) / known;
        assert!((found.false_share.unwrap() - share).abs() < 1e-9);
        let shelved = |life: &&Life| {
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

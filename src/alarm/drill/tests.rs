//! Drills: every order in every state, how they end, what a restart finds, and that nothing real is any different.

use super::*;
use crate::alarm::{Area, Before, Causes, Setup};
use crate::model::{
    AlarmId, AreaId, ArmMode, BusId, ChangeKind, Command, DeviceId, Mono, Order, Truth, Wall,
};
use crate::rules::BUS_RULE;
use std::collections::{BTreeMap, BTreeSet};

const AT: Wall = Wall(1_790_000_000_000);
const HOUR: u32 = 3600;

fn secs(secs: u64) -> Now {
    Now { mono: Mono(secs * 1000), wall: AT.plus_ms(i64::try_from(secs).unwrap() * 1000) }
}

fn place(id: &str) -> PlaceId {
    PlaceId::new(id).unwrap()
}

fn setup() -> Setup {
    let area = Area {
        id: AreaId::new("lab").unwrap(),
        name: "实验楼".into(),
        places: BTreeSet::from([place("lab")]),
        perimeter: BTreeSet::new(),
        entry: BTreeSet::new(),
        entry_delay: Duration::ZERO,
        exit_delay: Duration::ZERO,
        schedule: None,
    };
    let mut causes = Causes::default();
    for device in ["m1", "m2"] {
        causes.put(&DeviceId::new(device).unwrap(), &BusId::new("line").unwrap(), Duration::from_secs(1));
    }
    Setup { causes, areas: vec![area], ..Setup::default() }
}

fn book() -> AlarmBook {
    let mut book = AlarmBook::restore(Before { next_id: 1, ..Before::default() }, setup());
    assert_eq!(book.start(secs(0), |_| Vec::new()), []);
    book
}

/// What a start finds of this book.
fn restarted(book: &mut AlarmBook, at: Now) -> (AlarmBook, Vec<AlarmChange>) {
    let before = Before {
        open: book.open().cloned().collect(),
        next_id: book.next_id,
        areas: book.area_notes(at).rows,
        drill: serde_json::to_string(&book.drills.memory).ok(),
        ..Before::default()
    };
    let mut again = AlarmBook::restore(before, setup());
    let changes = again.start(at, |_| Vec::new());
    (again, changes)
}

fn give(book: &mut AlarmBook, at: Now, order: Order, note: &str) -> Result<Vec<AlarmChange>, OrderRefused> {
    let command = Command { order, actor: Actor::named("王老师").unwrap(), note: note.into() };
    book.order(at, &command).map(|(changes, _)| changes)
}

fn start(book: &mut AlarmBook, at: Now, secs: u32) {
    assert_eq!(give(book, at, Order::StartDrill { secs }, "消防演练"), Ok(Vec::new()));
}

fn fire() -> Order {
    of(AlarmClass::Fire, None)
}

fn of(class: AlarmClass, what: Option<&str>) -> Order {
    let what = what.map(str::to_owned);
    Order::DrillAlarm { class, priority: Priority::Critical, place: place("lab"), what }
}

fn words(changes: &[AlarmChange]) -> Vec<(ChangeKind, &str)> {
    changes.iter().map(|change| (change.kind, change.actor.as_str())).collect()
}

fn actions(book: &mut AlarmBook) -> Vec<String> {
    let audit = book.drill_notes().audit;
    audit.iter().map(|row| format!("{} {} {}: {}", row.actor, row.action, row.subject, row.detail)).collect()
}

/// Every order in every state of a drill.
#[test]
fn each_order_is_carried_out_or_refused_by_the_state_of_the_drill() {
    let refused = |book: &mut AlarmBook, order, note| give(book, secs(5), order, note).unwrap_err();
    type Check = fn(&OrderRefused) -> bool;
    let none: Check = |refused| *refused == OrderRefused::NoDrill;
    // None is running: before the first, and after one.
    let mut ended = book();
    start(&mut ended, secs(0), HOUR);
    give(&mut ended, secs(1), Order::StopDrill, "").unwrap();
    let mut expired = book();
    start(&mut expired, secs(0), 2);
    expired.expire(secs(2));
    for (mut book, next) in [(book(), 1), (ended, 2), (expired, 2)] {
        assert!(none(&refused(&mut book, Order::StopDrill, "")));
        assert!(none(&refused(&mut book, fire(), "")));
        for (secs, note, why) in [
            (HOUR, " ", OrderRefused::NoReason),
            (0, "why", OrderRefused::DrillSpan { most: 4 * HOUR }),
            (4 * HOUR + 1, "why", OrderRefused::DrillSpan { most: 4 * HOUR }),
        ] {
            assert_eq!(refused(&mut book, Order::StartDrill { secs }, note), why);
        }
        assert_eq!(book.drill(), None);
        start(&mut book, secs(5), 4 * HOUR);
        let drill = book.drill().unwrap();
        assert_eq!((drill.number, drill.alarms, drill.until), (next, 0, secs(5 + 4 * 3600).wall));
    }
    // One is running.
    let mut book = book();
    start(&mut book, secs(0), HOUR);
    let again = refused(&mut book, Order::StartDrill { secs: HOUR }, "why");
    assert!(matches!(again, OrderRefused::DrillRunning { number: 1, .. }), "{again}");
    for class in [AlarmClass::Energy, AlarmClass::Environment, AlarmClass::Equipment] {
        assert_eq!(refused(&mut book, of(class, None), ""), OrderRefused::DrillClass(class));
    }
    for what in [" ".to_owned(), "火".repeat(MAX_DRILL_CHARS + 1)] {
        let why = refused(&mut book, of(AlarmClass::Fire, Some(&what)), "");
        assert_eq!(why, OrderRefused::DrillWords(MAX_DRILL_CHARS));
    }
    assert_eq!((book.open().count(), actions(&mut book).len()), (0, 1), "what is refused changes nothing");
    for n in 0..MAX_DRILL_ALARMS {
        let place = place(&format!("room-{n}"));
        let order =
            Order::DrillAlarm { class: AlarmClass::Help, priority: Priority::High, place, what: None };
        give(&mut book, secs(1), order, "").unwrap();
    }
    assert_eq!(refused(&mut book, fire(), ""), OrderRefused::DrillFull(MAX_DRILL_ALARMS));
    let closed = give(&mut book, secs(9), Order::StopDrill, "").unwrap();
    assert_eq!(closed.len(), usize::try_from(MAX_DRILL_ALARMS).unwrap());
}

#[test]
fn an_alarm_of_a_drill_is_taken_as_any_other_and_ends_with_the_drill() {
    let mut book = book();
    start(&mut book, secs(0), HOUR);
    let changes = give(&mut book, secs(1), fire(), "第一次").unwrap();
    assert_eq!(words(&changes), [(ChangeKind::Raised, "王老师")]);
    let alarm = changes[0].alarm.clone();
    assert_eq!((alarm.key.rule.as_str(), alarm.key.subject.as_str()), ("drill.fire", "1:lab"));
    assert_eq!(alarm.what, Text::new("【演练】模拟火警", "[DRILL] fire (simulated)"));
    assert!(alarm.active && alarm.marks.drill && !alarm.latched && !alarm.marks.first);
    assert!(!changes[0].goes_north(), "it never goes north");
    // Told once more, it wants a new look.
    let taken = give(&mut book, secs(2), Order::Acknowledge(alarm.id), "").unwrap();
    assert_eq!(words(&taken), [(ChangeKind::Acknowledged, "王老师")]);
    let changes = give(&mut book, secs(3), of(AlarmClass::Fire, Some("【演练】浓烟")), "").unwrap();
    assert_eq!(words(&changes), [(ChangeKind::Recurred, "王老师")]);
    assert_eq!(changes[0].alarm.what, Text::new("【演练】浓烟", "[DRILL] 浓烟"));
    assert_eq!(changes[0].alarm.acknowledged, None);
    // It cannot be shelved where a real one could not, and needs no reset.
    let shelve = Order::Shelve { id: alarm.id, secs: 60, once: false };
    assert!(matches!(give(&mut book, secs(4), shelve, "why"), Err(OrderRefused::Protected { .. })));
    let reset = give(&mut book, secs(4), Order::Reset(alarm.id), "");
    assert_eq!(reset, Err(OrderRefused::NotLatched(alarm.id)));
    // One that may be shelved ends all the same.
    give(&mut book, secs(5), of(AlarmClass::Security, None), "").unwrap();
    let shelve = Order::Shelve { id: AlarmId(2), secs: 60, once: false };
    give(&mut book, secs(5), shelve, "why").unwrap();
    let closed = give(&mut book, secs(9), Order::StopDrill, "完成").unwrap();
    assert_eq!(words(&closed), [(ChangeKind::Closed, "王老师"); 2]);
    for AlarmChange { note, alarm, .. } in &closed {
        assert_eq!((note.as_str(), alarm.active, alarm.cleared_at), ("完成", false, Some(secs(9).wall)));
        assert_eq!((alarm.closed_at, alarm.isa_state()), (Some(secs(9).wall), 'A'));
    }
    assert_eq!((book.open().count(), book.next_deadline()), (0, None), "nothing is left of it");
    let wanted = [
        "王老师 drill_start drill 1: for 3600 s: 消防演练",
        "王老师 drill_alarm drill 1: alarm 1: fire critical at lab 第一次",
        "王老师 drill_alarm drill 1: alarm 1: fire critical at lab",
        "王老师 drill_alarm drill 1: alarm 2: security critical at lab",
        "王老师 drill_stop drill 1: alarms=2 open=2 完成",
    ];
    assert_eq!(actions(&mut book), wanted);
}

#[test]
fn a_drill_ends_by_itself_when_its_time_has_come_and_a_clock_that_is_set_changes_nothing() {
    for set in [0, -86_400_000, 86_400_000, -AT.0] {
        let mut book = book();
        start(&mut book, secs(0), HOUR);
        give(&mut book, secs(1), fire(), "").unwrap();
        let later = |at: u64| Now { wall: secs(at).wall.plus_ms(set), ..secs(at) };
        assert_eq!(book.next_deadline(), Some(secs(3600).mono));
        assert_eq!(book.expire(later(3599)), []);
        assert_eq!(words(&book.expire(later(3600))), [(ChangeKind::Closed, "gateway")], "set by {set}");
        assert_eq!(book.drill(), None);
        assert!(actions(&mut book)[2].starts_with("gateway drill_stop drill 1: alarms=1 open=1"));
    }
}

#[test]
fn after_a_power_cut_a_drill_goes_on_for_what_is_left_and_in_doubt_it_is_over() {
    // How long the power was away, by which clock; when it ends then: `None` is at once.
    let mono = |secs: u64| Mono(secs * 1000);
    for (wall, end) in [
        (secs(10).wall, Some(mono(7 + 3590))),
        (secs(3599).wall, Some(mono(7 + 1))),
        (secs(3600).wall, None),
        (secs(100_000).wall, None),
        (AT.plus_ms(-1), None), // before it began
        (Wall(0), None),        // no clock at all
    ] {
        let mut book = book();
        start(&mut book, secs(0), HOUR);
        give(&mut book, secs(1), fire(), "").unwrap();
        let (mut again, changes) = restarted(&mut book, Now { mono: mono(7), wall });
        assert_eq!(again.next_deadline(), end, "{wall:?}");
        match end {
            Some(end) => {
                assert_eq!((changes, again.drill()), (Vec::new(), book.drill()));
                assert_eq!(again.open().collect::<Vec<_>>(), book.open().collect::<Vec<_>>());
                assert_eq!(words(&again.expire(Now { mono: end, wall })), [(ChangeKind::Closed, "gateway")]);
            }
            None => assert_eq!(words(&changes), [(ChangeKind::Closed, "gateway")], "{wall:?}"),
        }
        assert_eq!((again.open().count(), again.drill()), (0, None));
        assert_eq!(actions(&mut again).len(), 1, "that it is over is in the audit trail");
        // The next is the next, and not this one again.
        start(&mut again, Now { mono: mono(9000), wall }, HOUR);
        assert_eq!(again.drill().unwrap().number, 2);
    }
}

#[test]
fn what_is_left_of_a_drill_that_nothing_is_known_of_is_closed() {
    let mut book = book();
    start(&mut book, secs(0), HOUR);
    give(&mut book, secs(1), fire(), "").unwrap();
    for drill in [None, Some("{".to_owned()), Some("{\"last\":1,\"running\":null}".to_owned())] {
        let open = book.open().cloned().collect();
        let before = Before { open, next_id: 9, drill, ..Before::default() };
        let mut again = AlarmBook::restore(before, setup());
        assert_eq!(words(&again.start(secs(2), |_| Vec::new())), [(ChangeKind::Closed, "gateway")]);
    }
    // Nobody can write himself a longer one.
    let memory = serde_json::to_string(&book.drills.memory).unwrap();
    let row = memory.replace(&secs(3600).wall.0.to_string(), &secs(1_000_000).wall.0.to_string());
    assert_ne!(row, memory);
    let mut again = AlarmBook::restore(Before { drill: Some(row), ..Before::default() }, setup());
    again.start(secs(0), |_| Vec::new());
    assert_eq!(again.next_deadline(), Some(secs(4 * 3600).mono));
}

#[test]
fn what_is_found_under_a_rule_of_drills_is_of_the_drill_that_runs_and_else_nothing() {
    let finding = |level| Finding {
        key: AlarmKey { rule: RuleId::new("drill.response.lockdown").unwrap(), subject: "1".into() },
        level,
        class: AlarmClass::Security,
        priority: Priority::Critical,
        device: None,
        place: None,
        what: Text::new("封控", "lockdown"),
    };
    let mut book = book();
    for level in [Level::Holds, Level::Ended, Level::Happened] {
        assert_eq!(book.apply(secs(0), &finding(level), &[]), [], "no drill is running");
    }
    start(&mut book, secs(0), HOUR);
    let changes = book.apply(secs(1), &finding(Level::Holds), &[]);
    assert_eq!(words(&changes), [(ChangeKind::Raised, "gateway")]);
    assert!(changes[0].alarm.marks.drill && changes[0].alarm.what.zh == "【演练】封控");
    assert_eq!(book.apply(secs(2), &finding(Level::Holds), &[]), []);
    assert_eq!(words(&book.apply(secs(3), &finding(Level::Ended), &[])), [(ChangeKind::Cleared, "gateway")]);
    assert_eq!(book.apply(secs(4), &finding(Level::Ended), &[]), []);
    for n in 5..30 {
        let recurred = book.apply(secs(n), &finding(Level::Happened), &[]);
        assert_eq!(words(&recurred), [(ChangeKind::Recurred, "gateway")], "it never chatters");
    }
    let taken = give(&mut book, secs(40), Order::Acknowledge(changes[0].alarm.id), "").unwrap();
    assert_eq!(words(&taken), [(ChangeKind::Acknowledged, "王老师"), (ChangeKind::Closed, "gateway")]);
}

/// Two books are told the same of the field, and one of them of drills besides.
struct Twins {
    practises: AlarmBook,
    alone: AlarmBook,
    at: Now,
    /// What the one that practises calls an alarm of the other.
    real: BTreeMap<AlarmId, AlarmId>,
}

/// What is the same of a change although the alarm has another number.
fn seen(changes: &[AlarmChange]) -> Vec<AlarmChange> {
    let real = changes.iter().filter(|change| !change.alarm.marks.drill);
    real.map(|change| {
        let mut change = change.clone();
        change.alarm.id = AlarmId(0);
        change.alarm.marks.inhibited_by = change.alarm.marks.inhibited_by.map(|_| AlarmId(0));
        if let Some(taken) = change.alarm.acknowledged.as_mut().filter(|taken| taken.note != "why") {
            taken.note.clear();
        }
        // Numbers of causes stand in notes.
        AlarmChange { note: String::new(), ..change }
    })
    .collect()
}

impl Twins {
    fn report(&mut self, finding: &Finding, absent: &[DeviceId]) {
        let both = [&mut self.practises, &mut self.alone].map(|book| book.apply(self.at, finding, absent));
        self.same(&both);
    }

    fn expire(&mut self) {
        let both = [&mut self.practises, &mut self.alone].map(|book| book.expire(self.at));
        self.same(&both);
    }

    /// An order about an alarm that the book without drills knows by this number.
    fn order(&mut self, of: AlarmId, order: impl Fn(AlarmId) -> Order) {
        let Some(other) = self.real.get(&of).copied() else { return };
        let practises = give(&mut self.practises, self.at, order(other), "why");
        let alone = give(&mut self.alone, self.at, order(of), "why");
        assert_eq!(practises.is_ok(), alone.is_ok());
        self.same(&[practises.unwrap_or_default(), alone.unwrap_or_default()]);
    }

    fn same(&mut self, [practises, alone]: &[Vec<AlarmChange>; 2]) {
        assert_eq!(seen(practises), seen(alone), "{:?}", self.at);
        let real = practises.iter().filter(|change| !change.alarm.marks.drill);
        self.real.extend(real.zip(alone).map(|(one, other)| (other.alarm.id, one.alarm.id)));
        for change in practises.iter().filter(|change| change.alarm.marks.drill) {
            assert!(change.alarm.marks.audible() || change.kind == ChangeKind::Shelved, "{change:?}");
            assert!(!change.goes_north());
        }
    }
}

/// A small generator; the step is in the message of every failure.
fn below(dice: &mut u64, n: u64) -> u64 {
    *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*dice >> 33) % n
}

#[test]
fn a_real_alarm_lives_with_drills_as_it_does_without() {
    let mut twins = Twins { practises: book(), alone: book(), at: secs(0), real: BTreeMap::new() };
    let classes = [AlarmClass::Fire, AlarmClass::Help, AlarmClass::Intrusion, AlarmClass::Security];
    let mut dice = 0x5EED_u64;
    let mut ms = 0;
    let (mut drills, mut real) = (BTreeMap::new(), BTreeMap::new());
    for step in 0..60_000_u32 {
        ms += match below(&mut dice, 40) {
            0 => 900_000,
            1..=3 => 40_000,
            4..=15 => 3_000,
            _ => 200,
        };
        twins.at = Now { mono: Mono(ms), wall: AT.plus_ms(i64::try_from(ms).unwrap()) };
        let class = classes[usize::try_from(below(&mut dice, 4)).unwrap()];
        let open: Vec<AlarmId> = twins.alone.open().map(|alarm| alarm.id).collect();
        let any = |dice: &mut u64| {
            let n = u64::try_from(open.len().max(1)).unwrap();
            open.get(usize::try_from(below(dice, n)).unwrap()).copied().unwrap_or(AlarmId(0))
        };
        match below(&mut dice, 16) {
            0..=4 => {
                let subject = ["m1", "m2"][usize::try_from(below(&mut dice, 2)).unwrap()];
                let device = DeviceId::new(subject).unwrap();
                let level = [Level::Holds, Level::Ended, Level::Happened]
                    [usize::try_from(below(&mut dice, 3)).unwrap()];
                let finding = Finding {
                    key: AlarmKey { rule: RuleId::new(class.as_str()).unwrap(), subject: subject.into() },
                    level,
                    class,
                    priority: Priority::High,
                    device: Some(device.clone()),
                    place: Some(place("lab")),
                    what: Text::same("it"),
                };
                twins.report(&finding, &[device]);
            }
            5 => {
                let level = [Level::Holds, Level::Ended][usize::try_from(below(&mut dice, 2)).unwrap()];
                let finding = Finding {
                    key: AlarmKey { rule: RuleId::new(BUS_RULE).unwrap(), subject: "line".into() },
                    level,
                    class: AlarmClass::Equipment,
                    priority: Priority::High,
                    device: None,
                    place: None,
                    what: Text::same("dead"),
                };
                twins.report(&finding, &[]);
            }
            6 | 7 => {
                let id = any(&mut dice);
                twins.order(id, Order::Acknowledge);
            }
            8 => {
                let id = any(&mut dice);
                twins.order(id, Order::Reset);
            }
            9 => {
                let (id, once) = (any(&mut dice), below(&mut dice, 2) == 0);
                twins.order(id, |id| Order::Shelve { id, secs: 600, once });
            }
            10 => {
                let id = any(&mut dice);
                twins.order(id, |id| Order::TakeOut { id, secs: Some(900) });
            }
            11 => {
                let id = any(&mut dice);
                twins.order(id, |id| Order::Confirm { id, truth: Truth::Real });
            }
            12 => {
                // The same answer, also where something is open.
                let mode = ArmMode::ALL[usize::try_from(below(&mut dice, 3)).unwrap()];
                let force = below(&mut dice, 2) == 0;
                let order = Order::Arm { area: AreaId::new("lab").unwrap(), mode, force };
                let at = twins.at;
                let both =
                    [&mut twins.practises, &mut twins.alone].map(|book| give(book, at, order.clone(), "why"));
                assert_eq!(both[0].is_ok(), both[1].is_ok(), "step {step}: {both:?}");
                let both = both.map(Result::unwrap_or_default);
                twins.same(&both);
            }
            13 => twins.expire(),
            _ => {
                let of_drills =
                    twins.practises.open().filter(|alarm| alarm.marks.drill).map(|alarm| alarm.id);
                let id = of_drills.last().unwrap_or(AlarmId(0));
                let order = match below(&mut dice, 8) {
                    0 => Order::StartDrill { secs: 1 + u32::try_from(below(&mut dice, 14_400)).unwrap() },
                    1 if below(&mut dice, 4) == 0 => Order::StopDrill,
                    2 => Order::Acknowledge(id),
                    3 => Order::Shelve { id, secs: 60, once: false },
                    _ => of(class, None),
                };
                let at = twins.at;
                let changes = give(&mut twins.practises, at, order, "why").unwrap_or_default();
                assert_eq!(seen(&changes), [], "step {step}: an order about a drill changes nothing real");
                for change in &changes {
                    *drills.entry(change.kind).or_insert(0) += 1;
                }
            }
        }
        for alarm in twins.alone.open() {
            *real.entry(alarm.isa_state()).or_insert(0) += 1;
        }
        let (own, other) = (twins.practises.open().filter(|alarm| !alarm.marks.drill), twins.alone.open());
        assert_eq!(own.count(), other.count(), "step {step}");
        let left = twins.practises.open().any(|alarm| alarm.marks.drill);
        assert!(!left || twins.practises.drill().is_some(), "step {step}: nothing outlives its drill");
    }
    use ChangeKind::{Acknowledged, Closed, Raised, Recurred, Shelved};
    for kind in [Acknowledged, Closed, Raised, Recurred, Shelved] {
        assert!(drills.get(&kind).is_some_and(|n| *n > 20), "{kind} was not tried: {drills:?}");
    }
    assert!("BCDEFGHI".chars().all(|isa| real.contains_key(&isa)), "not everything was tried: {real:?}");
}

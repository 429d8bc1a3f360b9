//! A million random steps against the rules that must never break, and activations through the faults of the field.

use super::*;

/// A small generator; the seed is in the message of every failure by the step.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Alarms as the store has them: made of the steps alone.
#[derive(Default)]
struct Stored {
    open: BTreeMap<AlarmId, Alarm>,
    over: VecDeque<Alarm>,
    next: u64,
}

impl Stored {
    fn take(&mut self, changes: &[AlarmChange], step: u32) {
        for change in changes {
            let alarm = &change.alarm;
            let person = !matches!(change.actor.as_str(), "gateway" | "");
            let by_person = matches!(
                change.kind,
                ChangeKind::Acknowledged
                    | ChangeKind::Reset
                    | ChangeKind::Shelved
                    | ChangeKind::OutOfService
                    | ChangeKind::Suppressed
                    | ChangeKind::Confirmed
                    | ChangeKind::SupportCalled
            );
            assert!(person || !by_person, "step {step}: nobody did it: {change:?}");
            assert!(!change.actor.as_str().is_empty(), "step {step}: {change:?}");
            self.next = self.next.max(alarm.id.0 + 1);
            if change.kind == ChangeKind::Closed {
                assert!(alarm.acknowledged.is_some(), "step {step}: closed unseen: {alarm:?}");
                let reset = alarm.reset.as_ref().is_some_and(|by| by.by.as_str() != "gateway");
                let latches = alarm.class.latches() || alarm.marks.support.is_some();
                assert!(!latches || reset, "step {step}: reset by itself: {alarm:?}");
                assert!(!alarm.active, "step {step}: {alarm:?}");
                assert!(self.open.remove(&alarm.id).is_some(), "step {step}: closed twice");
                self.over.push_back(alarm.clone());
            } else if alarm.closed_at.is_none() {
                self.open.insert(alarm.id, alarm.clone());
            }
        }
        let more = self.over.len().saturating_sub(CONFIRMABLE);
        self.over.drain(..more);
    }

    fn before(&self, areas: Vec<(AreaId, String)>) -> Before {
        Before {
            open: self.open.values().cloned().collect(),
            over: self.over.clone().into(),
            next_id: self.next,
            areas,
            ..Before::default()
        }
    }
}

/// What may differ between the book and the store: what is counted without a word.
fn counted(alarm: &Alarm) -> Alarm {
    let mut alarm = alarm.clone();
    alarm.occurrences = 0;
    if let Some(chatter) = &mut alarm.marks.chattering {
        chatter.count = 0;
        (alarm.active, alarm.cleared_at) = (true, None);
    }
    alarm
}

const CLASSES: [AlarmClass; 4] =
    [AlarmClass::Help, AlarmClass::Intrusion, AlarmClass::Equipment, AlarmClass::Security];

fn absent(key: &AlarmKey) -> Vec<DeviceId> {
    if key.rule.as_str() == "equipment" { vec![device(&key.subject)] } else { Vec::new() }
}

#[test]
fn a01_a_million_random_steps_break_no_rule() {
    let mut dice = Dice(0x9E37_79B9);
    let mut book = book();
    let mut stored = Stored { next: 7, ..Stored::default() };
    let mut areas = stands(ArmMode::Armed);
    let mut ms = 0_u64;
    let mut wall = AT;
    let subjects = [device("m1"), device("m2")];
    let guard = Actor::named("guard").unwrap();
    let findings: Vec<Finding> = CLASSES
        .iter()
        .flat_map(|class| {
            subjects.iter().map(|subject| Finding {
                key: key(class.as_str(), subject.as_str()),
                ..finding(*class, subject.as_str(), Level::Ended)
            })
        })
        .chain([bus(Level::Ended)])
        .collect();
    let mut least = [0_u32; 3];
    for step in 0..1_000_000_u32 {
        let pause = match dice.below(50) {
            0 => 3_600_000,
            1..=5 => 30_000,
            _ => dice.below(3_000),
        };
        ms += pause;
        wall = wall.plus_ms(i64::try_from(pause).unwrap());
        if dice.below(5_000) == 0 {
            wall = wall.plus_ms(if dice.below(2) == 0 { 86_400_000 } else { -7_200_000 });
        }
        let at = Now { mono: Mono(ms), wall };
        let nth = |dice: &mut Dice, book: &AlarmBook| {
            let n = u64::try_from(book.open.len()).unwrap();
            if n == 0 {
                AlarmId(1)
            } else {
                book.open().nth(usize::try_from(dice.below(n)).unwrap()).unwrap().id
            }
        };
        let order = |book: &mut AlarmBook, order| {
            let command = Command { order, actor: guard.clone(), note: "why".into() };
            book.order(at, &command).map(|(changes, _)| changes).unwrap_or_default()
        };
        let changes = match dice.below(20) {
            0..=8 => {
                let mut finding = findings[usize::try_from(dice.below(9)).unwrap()].clone();
                finding.level = match dice.below(5) {
                    0 | 1 => Level::Holds,
                    2 | 3 => Level::Ended,
                    _ if finding.key.rule.as_str() == BUS_RULE => Level::Ended,
                    _ => Level::Happened,
                };
                let absent = absent(&finding.key);
                book.apply(at, &finding, &absent)
            }
            9 | 10 => {
                let id = nth(&mut dice, &book);
                order(&mut book, Order::Acknowledge(id))
            }
            11 => {
                let id = nth(&mut dice, &book);
                order(&mut book, Order::Reset(id))
            }
            12 => {
                let (id, once) = (nth(&mut dice, &book), dice.below(2) == 0);
                let secs = u32::try_from(dice.below(200_000)).unwrap();
                order(&mut book, Order::Shelve { id, secs, once })
            }
            13 => {
                let id = nth(&mut dice, &book);
                order(&mut book, Order::Unshelve(id))
            }
            14 => {
                let id = nth(&mut dice, &book);
                let secs = (dice.below(2) == 0).then(|| u32::try_from(dice.below(9_000)).unwrap());
                order(&mut book, Order::TakeOut { id, secs })
            }
            15 => {
                let id = nth(&mut dice, &book);
                order(&mut book, Order::PutBack(id))
            }
            16 => {
                let (id, truth) =
                    (nth(&mut dice, &book), Truth::ALL[usize::try_from(dice.below(4)).unwrap()]);
                order(&mut book, Order::Confirm { id, truth })
            }
            17 => {
                let mode = ArmMode::ALL[usize::try_from(dice.below(3)).unwrap()];
                order(&mut book, Order::Arm { area: area_id(), mode, force: dice.below(4) > 0 })
            }
            18 => {
                let id = nth(&mut dice, &book);
                let support = book.open().find(|alarm| alarm.id == id).and_then(|a| a.marks.support.clone());
                match support.filter(|_| dice.below(2) == 0) {
                    Some(support) => order(&mut book, Order::SupportTold { id, called: support.by.at }),
                    None => order(&mut book, Order::CallSupport(id)),
                }
            }
            _ => book.expire(at),
        };
        stored.take(&changes, step);
        areas.extend(book.area_notes(at).rows);
        areas.drain(..areas.len() - 1);
        let marked = book.open().any(|alarm| alarm.class.protected() && !alarm.marks.audible());
        assert!(!marked, "step {step}: help was kept quiet");
        if step % 8 == 0 {
            // Whatever the book has, the store has; and the other way round.
            let has: Vec<Alarm> = stored.open.values().map(counted).collect();
            let mut own: Vec<Alarm> = book.open().map(counted).collect();
            own.sort_by_key(|alarm| alarm.id);
            for (own, has) in own.iter_mut().zip(&has) {
                // The words of one that chatters are the newest.
                own.what = has.what.clone();
            }
            assert_eq!(own, has, "step {step}");
            for alarm in book.open() {
                if let Some(shelf) = &alarm.marks.shelved {
                    let length = shelf.until.since(shelf.by.at);
                    let most = i64::from(DEFAULT_SHELF_SECS) * 1000;
                    assert!((1..=most).contains(&length), "step {step}: {shelf:?}");
                    assert!(book.timers.is_set(&Due::Shelf(alarm.id)), "step {step}: a shelf without an end");
                    least[0] += 1;
                }
                least[1] += u32::from(alarm.marks.inhibited_by.is_some());
                least[2] += u32::from(alarm.marks.chattering.is_some());
            }
        }
        if dice.below(2_000) == 0 {
            // The power fails; what is stored is all there is.
            areas = vec![(area_id(), area_row(&book))];
            book = AlarmBook::restore(stored.before(areas.clone()), setup());
            let changes = book.start(at, absent);
            stored.take(&changes, step);
        }
    }
    assert!(least.iter().all(|n| *n > 1_000), "the walk came everywhere: {least:?}");
}

/// The area's row as it would be written now.
fn area_row(book: &AlarmBook) -> String {
    book.areas.row(&area_id()).unwrap()
}

/// 1,000,000 activations of help buttons and detectors, delivered twice, late, in a burst, over restarts and steps of the
/// clock: each is an alarm or its recurrence, or belongs to one that chatters and that nobody has taken yet.
#[test]
fn a12_no_activation_is_missed() {
    let mut dice = Dice(7);
    let mut book = book();
    let mut stored = Stored { next: 7, ..Stored::default() };
    let (mut ms, mut wall) = (0, AT);
    let mut late: VecDeque<Finding> = VecDeque::new();
    let findings: Vec<Finding> = (0..64)
        .map(|n| {
            let class = if n % 2 == 0 { AlarmClass::Help } else { AlarmClass::Intrusion };
            finding(class, &format!("d{n}"), Level::Happened)
        })
        .collect();
    let (mut told, mut counted) = (0_u32, 0_u32);
    let guard = Actor::named("guard").unwrap();
    let mut activations = 0_u32;
    while activations < 1_000_000 {
        ms += dice.below(2_000);
        wall = wall.plus_ms(i64::try_from(dice.below(2_000)).unwrap());
        match dice.below(10_000) {
            0 => wall = wall.plus_ms(-86_400_000),
            1 => wall = wall.plus_ms(86_400_000),
            2 => wall = Wall(0),
            3 => wall = AT.plus_ms(i64::try_from(ms).unwrap()),
            4 => {
                let areas = stands(ArmMode::Armed);
                book = AlarmBook::restore(stored.before(areas), setup());
                stored.take(&book.start(Now { mono: Mono(ms), wall }, absent), 0);
            }
            _ => {}
        }
        let at = Now { mono: Mono(ms), wall };
        let next = findings[usize::try_from(dice.below(64)).unwrap()].clone();
        let arriving = match dice.below(20) {
            0 => {
                late.push_back(next);
                late.pop_front().filter(|_| late.len() > 100).into_iter().collect()
            }
            1 => vec![next.clone(), next],
            _ => vec![next],
        };
        for arrived in arriving {
            activations += 1;
            let changes = book.apply(at, &arrived, &[]);
            let own = changes.iter().filter(|c| c.alarm.key == arrived.key);
            if own.clone().any(|c| matches!(c.kind, ChangeKind::Raised | ChangeKind::Recurred)) {
                told += 1;
            } else {
                let alarm = book.open.get(&arrived.key).expect("an activation was missed");
                let waits = alarm.marks.chattering.is_some() && alarm.acknowledged.is_none();
                assert!(waits, "an activation was missed: {alarm:?}");
                assert_ne!(alarm.class, AlarmClass::Help, "each press is told");
                counted += 1;
            }
            stored.take(&changes, activations);
        }
        let first = book.open().next().map(|alarm| alarm.id);
        if let Some(id) = first.filter(|_| dice.below(4) == 0) {
            for order in [Order::Acknowledge(id), Order::Reset(id)] {
                let command = Command { order, actor: guard.clone(), note: String::new() };
                if let Ok((changes, _)) = book.order(at, &command) {
                    stored.take(&changes, activations);
                }
            }
        }
    }
    assert_eq!(told + counted, activations, "0 missed");
    assert!(counted > 0 && told > activations / 2, "{told} told, {counted} counted");
}

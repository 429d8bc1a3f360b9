//! Arming and disarming, and what is an alarm when.

use super::*;
use crate::alarm::{AlarmBook, Before, Setup};
use crate::model::{Alarm, AlarmId, ChangeKind, Command, Order, RuleId};

const AT: Wall = Wall(1_790_000_000_000);

fn secs(secs: u64) -> Now {
    Now { mono: Mono(secs * 1000), wall: AT.plus_ms(i64::try_from(secs).unwrap() * 1000) }
}

fn id() -> AreaId {
    AreaId::new("lab").unwrap()
}

fn place(text: &str) -> PlaceId {
    PlaceId::new(text).unwrap()
}

fn device(text: &str) -> DeviceId {
    DeviceId::new(text).unwrap()
}

fn area() -> Area {
    Area {
        id: id(),
        name: "实验楼".into(),
        places: BTreeSet::from([place("hall"), place("room")]),
        perimeter: BTreeSet::from([device("window")]),
        entry: BTreeSet::from([device("door")]),
        entry_delay: Duration::from_secs(30),
        exit_delay: Duration::from_secs(60),
        schedule: None,
    }
}

fn finding(subject: &str, level: Level) -> Finding {
    Finding {
        key: AlarmKey { rule: RuleId::new("r").unwrap(), subject: subject.into() },
        level,
        class: AlarmClass::Intrusion,
        priority: Priority::High,
        device: Some(device(subject)),
        place: Some(place("hall")),
        what: Text::same("open"),
    }
}

struct Player {
    book: AlarmBook,
    audit: Vec<String>,
    row: Option<String>,
}

impl Player {
    fn new(area: Area) -> Self {
        let mut book = AlarmBook::restore(
            Before { next_id: 1, ..Before::default() },
            Setup { areas: vec![area], ..Setup::default() },
        );
        assert_eq!(book.start(secs(0), |_| Vec::new()), []);
        Self { book, audit: Vec::new(), row: None }
    }

    fn note(&mut self, at: Now) {
        let notes = self.book.area_notes(at);
        self.audit.extend(notes.audit.iter().map(|a| format!("{} {} {}", a.actor, a.action, a.detail)));
        self.row = notes.rows.last().map(|(_, row)| row.clone()).or(self.row.take());
    }

    fn see(&mut self, at: u64, subject: &str, level: Level) -> Vec<ChangeKind> {
        let changes = self.book.apply(secs(at), &finding(subject, level), &[]);
        self.note(secs(at));
        changes.into_iter().map(|c| c.kind).collect()
    }

    fn expire(&mut self, at: u64) -> Vec<(ChangeKind, String)> {
        let changes = self.book.expire(secs(at));
        self.note(secs(at));
        changes.into_iter().map(|c| (c.kind, c.alarm.key.subject)).collect()
    }

    fn arm(&mut self, at: u64, mode: ArmMode, force: bool) -> Result<(), OrderRefused> {
        let order = Order::Arm { area: id(), mode, force };
        let command = Command { order, actor: Actor::named("guard").unwrap(), note: "night".into() };
        let outcome = self.book.order(secs(at), &command).map(drop);
        self.note(secs(at));
        outcome
    }

    /// The power fails and the gateway starts again.
    fn restart(&mut self, at: u64, area: Area) {
        let open: Vec<Alarm> = self.book.open().cloned().collect();
        let areas = self.row.clone().map(|row| (id(), row)).into_iter().collect();
        let before = Before { open, next_id: 50, areas, ..Before::default() };
        self.book = AlarmBook::restore(before, Setup { areas: vec![area], ..Setup::default() });
        let _ = self.book.start(secs(at), |_| Vec::new());
    }

    fn state(&self) -> AreaState {
        self.book.areas().remove(0)
    }
}

#[test]
fn while_it_is_disarmed_nothing_is_an_alarm_and_what_is_open_is_known() {
    let mut p = Player::new(area());
    for (subject, level) in
        [("pir", Level::Happened), ("window", Level::Holds), ("door", Level::Holds), ("door", Level::Ended)]
    {
        assert_eq!(p.see(1, subject, level), [], "{subject}");
    }
    assert_eq!(p.state().open, [finding("window", Level::Holds).key]);
    let refused = p.arm(2, ArmMode::Armed, false).unwrap_err();
    assert!(refused.to_string().contains("window") && refused.zh().contains("window"), "{refused}");
    assert_eq!(p.state().mode, ArmMode::Disarmed);
    assert_eq!(
        p.arm(3, ArmMode::Disarmed, false),
        Err(OrderRefused::AlreadySo { area: id(), mode: ArmMode::Disarmed })
    );
    // Other places and classes are not its business.
    let elsewhere = Finding { place: Some(place("yard")), ..finding("gate", Level::Holds) };
    assert_eq!(p.book.apply(secs(4), &elsewhere, &[]).len(), 1);
    let fire = Finding { class: AlarmClass::Fire, ..finding("smoke", Level::Holds) };
    assert_eq!(p.book.apply(secs(4), &fire, &[]).len(), 1);
}

#[test]
fn forced_it_passes_over_what_is_open_until_that_closes() {
    let mut p = Player::new(area());
    p.see(1, "window", Level::Holds);
    p.arm(2, ArmMode::Armed, true).unwrap();
    assert_eq!(p.state().bypassed, [finding("window", Level::Holds).key]);
    assert!(p.audit[0].contains("guard armed night; 1 open and passed over: window"), "{:?}", p.audit);
    assert_eq!(p.expire(62), []);
    assert_eq!(p.see(70, "window", Level::Holds), []);
    p.see(71, "window", Level::Ended);
    assert_eq!(p.see(72, "window", Level::Holds), [ChangeKind::Raised]);
}

#[test]
fn whoever_leaves_has_time_and_what_is_open_then_is_an_alarm() {
    let mut p = Player::new(area());
    p.see(1, "door", Level::Holds);
    p.arm(2, ArmMode::Armed, false).unwrap();
    assert!(p.state().leaving);
    assert_eq!(p.see(10, "pir", Level::Happened), []);
    p.see(20, "door", Level::Ended);
    p.see(30, "cupboard", Level::Holds);
    assert_eq!(p.expire(61), []);
    assert_eq!(p.expire(62), [(ChangeKind::Raised, "cupboard".to_owned())]);
    assert_eq!(p.see(63, "pir", Level::Happened), [ChangeKind::Raised]);
}

#[test]
fn whoever_comes_in_by_the_door_has_time_to_disarm() {
    for disarms in [true, false] {
        let mut p = Player::new(area());
        p.arm(0, ArmMode::Armed, false).unwrap();
        p.expire(60);
        assert_eq!(p.see(100, "door", Level::Holds), []);
        assert_eq!(p.see(101, "door", Level::Ended), []);
        assert!(p.state().entering);
        if disarms {
            p.arm(129, ArmMode::Disarmed, false).unwrap();
            assert_eq!(p.expire(200), []);
            assert_eq!(p.book.open().count(), 0);
        } else {
            assert_eq!(p.expire(129), []);
            assert_eq!(p.expire(130), [(ChangeKind::Raised, "door".to_owned())]);
        }
    }
    // By the window there is none.
    let mut p = Player::new(area());
    p.arm(0, ArmMode::Armed, false).unwrap();
    p.expire(60);
    assert_eq!(p.see(100, "window", Level::Holds), [ChangeKind::Raised]);
}

#[test]
fn armed_in_part_only_its_outer_side_counts() {
    let mut p = Player::new(area());
    p.arm(0, ArmMode::Partial, false).unwrap();
    assert!(!p.state().leaving, "people stay");
    assert_eq!(p.see(1, "pir", Level::Happened), []);
    assert_eq!(p.see(2, "window", Level::Holds), [ChangeKind::Raised]);
    let mut bare = Player::new(Area { perimeter: BTreeSet::new(), ..area() });
    assert_eq!(bare.arm(0, ArmMode::Partial, false), Err(OrderRefused::NoPerimeter(id())));
}

#[test]
fn disarming_quiets_an_open_alarm_and_loses_nothing_of_it() {
    let mut p = Player::new(area());
    p.arm(0, ArmMode::Armed, false).unwrap();
    p.expire(60);
    p.see(100, "window", Level::Holds);
    p.arm(101, ArmMode::Disarmed, false).unwrap();
    let alarm = p.book.open().next().unwrap().clone();
    assert_eq!((alarm.isa_state(), alarm.announced(), alarm.acknowledged.is_some()), ('H', false, false));
    assert_eq!(alarm.marks.suppressed.unwrap().by, "area.lab");
    p.see(102, "window", Level::Ended);
    assert_eq!(p.book.open().count(), 1, "nobody took it");
    p.arm(103, ArmMode::Armed, false).unwrap();
    assert!(p.book.open().next().unwrap().announced());
}

#[test]
fn it_stands_after_a_restart_as_before_and_an_entry_is_not_forgotten() {
    let mut p = Player::new(area());
    p.see(0, "cupboard", Level::Holds);
    p.arm(1, ArmMode::Armed, true).unwrap();
    p.restart(30, area());
    assert!(p.state().leaving, "the time to leave begins anew");
    assert_eq!(p.expire(90), []);
    assert_eq!(p.state().bypassed.len(), 1);
    p.see(100, "door", Level::Happened);
    // The intruder cuts the power.
    p.restart(120, area());
    let before = p.state();
    assert!(before.entering);
    assert_eq!((before.mode, before.by.as_str(), before.note.as_str()), (ArmMode::Armed, "guard", "night"));
    assert_eq!(p.expire(150), [(ChangeKind::Raised, "door".to_owned())]);
    // What is open is written down within a minute.
    p.see(200, "desk", Level::Holds);
    p.expire(259);
    assert!(!p.row.as_ref().unwrap().contains("desk"));
    p.expire(261);
    assert!(p.row.as_ref().unwrap().contains("desk"));
}

#[test]
fn an_area_that_is_gone_keeps_nothing_quiet() {
    let mut p = Player::new(area());
    p.arm(0, ArmMode::Armed, false).unwrap();
    p.expire(60);
    p.see(100, "window", Level::Holds);
    p.arm(101, ArmMode::Disarmed, false).unwrap();
    let open: Vec<Alarm> = p.book.open().cloned().collect();
    let mut book = AlarmBook::restore(Before { open, next_id: 9, ..Before::default() }, Setup::default());
    let changes = book.start(secs(200), |_| Vec::new());
    assert_eq!(changes.iter().map(|c| c.kind).collect::<Vec<_>>(), [ChangeKind::Unsuppressed]);
    assert_eq!(changes[0].alarm.id, AlarmId(1));
}

#[test]
fn by_its_times_it_is_armed_every_evening_and_disarmed_on_school_days() {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(8));
    let local = |text: &str| {
        let at: jiff::civil::DateTime = text.parse().unwrap();
        Wall(zone.to_timestamp(at).unwrap().as_millisecond())
    };
    let calendar = Arc::new(Calendar::default_school(zone.clone()));
    let schedule = Schedule { calendar, arm_at: 22 * 60, disarm_at: 6 * 60 };
    let mut p = Player::new(Area { schedule: Some(schedule), ..area() });
    let start = local("2026-10-09T05:00");
    let mut stood = Vec::new();
    let mut mode = None;
    // Friday to Monday, minute by minute.
    for minute in 0..(3 * 24 + 6) * 60 {
        let ms = minute * 60_000;
        let at = Now { mono: Mono(ms), wall: start.plus_ms(i64::try_from(ms).unwrap()) };
        let _ = p.book.expire(at);
        p.note(at);
        let now = p.state().mode;
        if mode.replace(now) != Some(now) {
            stood.push((at.wall.in_zone(&zone), now));
        }
    }
    let stood: Vec<(&str, ArmMode)> = stood.iter().map(|(at, mode)| (at.as_str(), *mode)).collect();
    assert_eq!(
        stood,
        [
            ("2026-10-09 05:00:00", ArmMode::Armed),
            ("2026-10-09 06:00:00", ArmMode::Disarmed),
            ("2026-10-09 22:00:00", ArmMode::Armed),
            ("2026-10-12 06:00:00", ArmMode::Disarmed),
        ]
    );
    assert!(p.audit.iter().all(|entry| entry.starts_with("gateway ")), "{:?}", p.audit);
    // A person disarms in the night; it stays so until the next of its times.
    let mut p = Player::new(Area {
        schedule: Some(Schedule {
            calendar: Arc::new(Calendar::default_school(zone.clone())),
            arm_at: 22 * 60,
            disarm_at: 6 * 60,
        }),
        ..area()
    });
    let night = |secs: u64| Now {
        mono: Mono(secs * 1000),
        wall: local("2026-10-09T23:00").plus_ms(i64::try_from(secs).unwrap() * 1000),
    };
    let _ = p.book.expire(night(0));
    assert_eq!(p.state().mode, ArmMode::Armed);
    let order = Order::Arm { area: id(), mode: ArmMode::Disarmed, force: false };
    p.book
        .order(night(10), &Command { order, actor: Actor::named("head").unwrap(), note: String::new() })
        .unwrap();
    let _ = p.book.expire(night(3600));
    assert_eq!((p.state().mode, p.state().by.as_str().to_owned()), (ArmMode::Disarmed, "head".to_owned()));
}

#[test]
fn what_no_rule_speaks_of_any_more_does_not_stand_open_for_ever() {
    let mut p = Player::new(area());
    p.see(1, "window", Level::Holds);
    p.see(2, "cupboard", Level::Holds);
    p.arm(3, ArmMode::Armed, true).unwrap();
    p.book.keep_open(|key| key.subject != "window");
    assert_eq!(p.state().open, [finding("cupboard", Level::Holds).key]);
    assert_eq!(p.state().bypassed, [finding("cupboard", Level::Holds).key]);
    p.note(secs(4));
    assert!(!p.row.as_ref().unwrap().contains("window"));
}

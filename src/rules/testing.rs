//! A small school and a player that moves time from deadline to deadline, for the tests of rules.

use super::{Engine, Finding, Level, RULE_KINDS, Rule, Watched, World, always};
use crate::calendar::Calendar;
use crate::document::{Document, Problem, Problems};
use crate::model::{
    AccessResult, Body, Carrier, CredentialUse, Direction, Event, EventKind, Link, Mono, Now, Observation,
    Person, PersonRef, Phase, Place, PlaceId, PlaceKind, PointId, PointKind, ProfileId, Reading, RollUp,
    RuleId, Service, Stamp, Text, Unit, Wall,
};
use crate::profile::{self, Point, Profile};
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, offset};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const PROFILE: &str = r#"
id = "acme-x1"
class = "energy-meter"
vendor = "Acme"
model = "X1"
name_zh = "电表"
name_en = "meter"
source = "made up"
confirmed = false
protocol = "modbus"

[[point]]
id = "power_total"
name_zh = "有功功率"
name_en = "active power"
unit = "W"
table = "holding"
address = 0
type = "u16"
range = [0, 60000]
"#;

/// A profile: a class, its points as (id, unit, range), and its events.
fn profile(id: &str, class: &str, points: &[(&str, Unit, (f64, f64))], events: &[EventKind]) -> Arc<Profile> {
    let problems = Problems::new();
    let parsed = profile::parse("profile.toml", PROFILE, &problems);
    let mut profile = parsed.unwrap_or_else(|| panic!("{:#?}", problems.into_sorted()));
    profile.id = ProfileId::new(id).expect("an id");
    profile.class = class.into();
    let names = |id: &str| match id {
        "power_total" => Text::new("有功功率", "active power"),
        "volume" => Text::new("用水量", "volume"),
        _ => Text::new("温度", "temperature"),
    };
    profile.points = points
        .iter()
        .map(|(id, unit, range)| {
            let point = Point::new(PointId::new(id).expect("an id"), names(id), *unit, kind_of(id));
            Point { range: Some(*range), ..point }
        })
        .collect();
    profile.events = events.to_vec();
    Arc::new(profile)
}

fn kind_of(point: &str) -> PointKind {
    if point == "volume" { PointKind::Counter } else { PointKind::Gauge }
}

fn meter_point(id: &str, name: &str, unit: Unit, kind: PointKind) -> Point {
    Point::new(PointId::new(id).expect("an id"), Text::new(name, id.replace('_', " ")), unit, kind)
}

fn metering(like: &Profile, id: &str, class: &str, points: Vec<Point>) -> Arc<Profile> {
    let id = ProfileId::new(id).expect("an id");
    let mut profile = like.clone();
    (profile.id, profile.class, profile.points) = (id, class.into(), points);
    Arc::new(profile)
}

fn point_of(id: &str, point: &str) -> &'static Point {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(world).devices[&device(id)].profile.point(point).expect("a point")
}

/// A closed period: what a counter grew, or the mean of a gauge, with all the values that there should be.
pub(super) fn period(id: &str, point: &str, start: Wall, secs: u32, value: f64) -> RollUp {
    let point = point_of(id, point);
    let count = secs / 10;
    RollUp {
        device: device(id),
        point: point.id.clone(),
        unit: point.unit,
        kind: point.kind,
        start,
        period_secs: secs,
        count,
        sum: value * f64::from(count),
        min: value,
        max: value,
        last: value,
        delta: (point.kind == PointKind::Counter).then_some(value),
        revision: 0,
    }
}

/// US eastern time, whose clocks change on 2026-11-01 and 2027-03-14, from its rule.
pub(super) fn eastern() -> TimeZone {
    TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").expect("a rule")
}

/// Zone of the small school.
pub(super) fn zone() -> TimeZone {
    TimeZone::fixed(offset(8))
}

/// Local time at the small school, as "2026-10-09T17:30".
pub(super) fn local(text: &str) -> Wall {
    let at: DateTime = text.parse().expect("a date and time");
    Wall(zone().to_timestamp(at).expect("exists").as_millisecond())
}

/// Two buildings, meters, a sensor, a card reader, a camera and a help button.
pub(super) fn world() -> World {
    let power = |unit, most| [("power_total", unit, (0.0, most))];
    let watts = profile("acme-w", "energy-meter", &power(Unit::Watt, 60_000.0), &[]);
    let kilowatts = profile("acme-kw", "energy-meter", &power(Unit::Kilowatt, 60.0), &[]);
    let sensor = profile("acme-t", "sensor", &[("temperature", Unit::Celsius, (-40.0, 85.0))], &[]);
    let reader = profile("acme-r", "card-reader", &[], &[EventKind::Credential]);
    let camera = profile("acme-c", "camera", &[], &[EventKind::Motion, EventKind::Tamper]);
    let contact = profile("acme-d", "contact", &[], &[EventKind::Contact, EventKind::DoorForced]);
    let button = profile("acme-b", "help-button", &[], &[EventKind::Help]);
    let energy = |id, name, unit| meter_point(id, name, unit, PointKind::Counter);
    let gauge = |id, name, unit| meter_point(id, name, unit, PointKind::Gauge);
    let counting = metering(
        &watts,
        "acme-e",
        "sub-meter",
        vec![
            energy("energy_total", "电量", Unit::KilowattHour),
            gauge("power_total", "有功功率", Unit::Kilowatt),
        ],
    );
    let water = metering(
        &watts,
        "acme-v",
        "water-meter",
        vec![
            energy("volume_total", "用水量", Unit::CubicMetre),
            gauge("flow", "流量", Unit::CubicMetrePerHour),
            Point { range: Some((0.0, 1e6)), ..energy("volume", "用水量", Unit::CubicMetre) },
        ],
    );
    let phases = ["current_a", "current_b", "current_c"].map(|id| gauge(id, "电流", Unit::Ampere));
    let phases = phases
        .into_iter()
        .chain(["voltage_a", "voltage_b", "voltage_c"].map(|id| gauge(id, "电压", Unit::Volt)));
    let total = [gauge("power_total", "有功功率", Unit::Watt), gauge("power_factor", "功率因数", Unit::One)];
    let phased = metering(&watts, "acme-3", "three-phase-meter", phases.chain(total).collect());
    let detector = profile("acme-i", "detector", &[], &[EventKind::Intrusion]);
    let devices = [
        ("e0", "总表", &counting, "plant"),
        ("e1", "照明分表", &counting, "plant"),
        ("e2", "动力分表", &counting, "plant"),
        ("w1", "水表", &water, "plant"),
        ("p1", "配电柜", &phased, "plant"),
        ("d1", "宿舍电表", &phased, "dorm"),
        ("m1", "1号电表", &watts, "r201"),
        ("m2", "2号电表", &watts, "r101"),
        ("k1", "3号电表", &kilowatts, "gate"),
        ("t1", "温度计", &sensor, "r101"),
        ("card1", "读卡器", &reader, "gate"),
        ("card2", "读卡器2", &reader, "b1"),
        ("card3", "读卡器3", &reader, "r101"),
        ("door1", "门磁", &contact, "b1"),
        ("pir1", "红外探测器", &detector, "gate"),
        ("cam1", "摄像机", &camera, "gate"),
        ("help1", "求助按钮", &button, "r201"),
    ];
    let watched = |(id, name, profile, place): (&str, &str, &Arc<Profile>, &str)| {
        let place = PlaceId::new(place).expect("an id");
        let poll = Duration::from_secs(10);
        let (name, profile) = (name.into(), Arc::clone(profile));
        (device(id), Watched { name, profile, place, bus: None, poll, leads_to: None })
    };
    let places = [
        ("campus", None, "校区"),
        ("b1", Some("campus"), "1号楼"),
        ("f2", Some("b1"), "1号楼 / 2层"),
        ("r201", Some("f2"), "1号楼 / 2层 / 201"),
        ("r101", Some("b1"), "1号楼 / 101"),
        ("gate", Some("campus"), "大门"),
        ("shed", Some("campus"), "车棚"),
        ("plant", None, "配电房"),
        ("dorm", None, "3号宿舍 / 301"),
    ];
    let place = |(id, parent, path): (&str, Option<&str>, &str)| {
        let id = PlaceId::new(id).expect("an id");
        let parent = parent.map(|parent| PlaceId::new(parent).expect("an id"));
        let (kind, counts) = match id.as_str() {
            "campus" => (PlaceKind::Campus, true),
            "b1" => (PlaceKind::Building, true),
            _ => (PlaceKind::Room, false),
        };
        let (name, path, assembly, overnight) = (path.into(), Text::same(path), false, false);
        (id.clone(), Place { id, kind, name, parent, path, counts, assembly, overnight, calendar: None })
    };
    World {
        devices: devices.into_iter().map(watched).collect(),
        places: places.into_iter().map(place).collect(),
        calendar: Arc::new(Calendar::default_school(zone())),
        aggregate_secs: 900,
        calendars: BTreeMap::new(),
    }
}

pub(super) fn device(id: &str) -> crate::model::DeviceId {
    crate::model::DeviceId::new(id).expect("an id")
}

/// A good value of a point.
pub(super) fn reading(point: &str, value: f64, unit: Unit) -> Reading {
    Reading::new(PointId::new(point).expect("an id"), value, unit, kind_of(point))
}

/// A card that is let through, at the device's time and ours.
pub(super) fn card(id: &str, person: &str, direction: Direction, at: (Option<Wall>, Wall)) -> Observation {
    presented(id, person, (direction, AccessResult::Granted), at, None)
}

/// As [`card`], of somebody whom the school knows.
pub(super) fn card_of(
    id: &str,
    person: &str,
    direction: Direction,
    at: (Option<Wall>, Wall),
    who: &Person,
) -> Observation {
    presented(id, person, (direction, AccessResult::Granted), at, Some(Arc::new(who.clone())))
}

/// A card on the way in that is not let through.
pub(super) fn refused(id: &str, person: &str, now: Wall) -> Observation {
    presented(id, person, (Direction::In, AccessResult::Denied), (None, now), None)
}

fn presented(
    id: &str,
    person: &str,
    (direction, result): (Direction, AccessResult),
    (at, arrived): (Option<Wall>, Wall),
    known: Option<Arc<Person>>,
) -> Observation {
    let mut event = Event::bare(EventKind::Credential, Phase::Moment);
    event.credential = Some(CredentialUse {
        carrier: Carrier::Card,
        service: Service::Access,
        direction,
        result,
        reason: None,
        person: (!person.is_empty()).then(|| PersonRef::from_stored(person.to_owned())),
        known,
    });
    let stamp = Stamp::new(at, arrived);
    Observation { device: device(id), stamp, body: Body::Event(event), retained: false }
}

/// Reads every `[[rule]]`, as the configuration does.
pub(super) fn parse(text: &str, world: &World) -> Result<Vec<Box<dyn Rule>>, Vec<Problem>> {
    let problems = Problems::new();
    let document = Document::parse("gateway.toml", text, &problems);
    let reader = document.reader(&problems);
    let kinds: Vec<_> = RULE_KINDS.iter().map(|kind| (kind.name, kind.parse)).collect();
    let mut rules = Vec::new();
    for table in reader.tables("rule") {
        let id = table.parsed("id", ("一个编号", "an id"), RuleId::new);
        let parse = table.word("kind", &kinds);
        if let (Some(id), Some(parse)) = (id, parse) {
            let before = problems.len();
            let rule = parse(&table, &id, world);
            assert_eq!(rule.is_some(), problems.len() == before, "None exactly when there is a problem");
            rules.extend(rule);
        }
        table.finish();
    }
    reader.finish();
    let problems = problems.into_sorted();
    problems.iter().for_each(profile::tests::assert_in_both_languages);
    if problems.is_empty() { Ok(rules) } else { Err(problems) }
}

/// The problems of one rule of a kind, as "message -> advice".
pub(super) fn slips(kind: &str, body: &str) -> Vec<String> {
    let text = format!("[[rule]]\nid = \"r\"\nkind = \"{kind}\"\n{body}");
    let problems = parse(&text, &world()).err().unwrap_or_default();
    problems.iter().map(|p| format!("{}: {} -> {}", p.spot.line, p.message.en, p.advice.en)).collect()
}

/// Exactly one slip, which holds every given text.
pub(super) fn one_slip(kind: &str, body: &str, expected: &[&str]) {
    let found = slips(kind, body);
    let fits = found.len() == 1 && expected.iter().all(|text| found[0].contains(text));
    assert!(fits, "{body}\nexpected {expected:?}, found {found:#?}");
}

/// Rules, a clock, and what was said.
pub(super) struct Player {
    pub(super) engine: Engine,
    pub(super) now: Now,
    pub(super) findings: Vec<Finding>,
}

impl Player {
    pub(super) fn new(rules: Vec<Box<dyn Rule>>, wall: Wall) -> Self {
        let mut engine = Engine::new(rules);
        let now = Now { mono: Mono(5_000), wall };
        engine.start(now);
        Self { engine, now, findings: Vec::new() }
    }

    /// One rule of a kind, started on a Friday at 12:00 local time.
    pub(super) fn of(kind: &str, body: &str) -> Self {
        Self::at("2026-10-09T12:00", kind, body)
    }

    pub(super) fn at(start: &str, kind: &str, body: &str) -> Self {
        Self::in_world(&world(), local(start), kind, body)
    }

    pub(super) fn in_world(world: &World, start: Wall, kind: &str, body: &str) -> Self {
        let text = format!("[[rule]]\nid = \"r\"\nkind = \"{kind}\"\n{body}");
        let rules = parse(&text, world).unwrap_or_else(|problems| panic!("{problems:#?}"));
        Self::new(rules, start)
    }

    /// The clock shows the end of a period and its grace, and it is closed. Nothing is due meanwhile.
    pub(super) fn close(&mut self, period: &RollUp) -> &mut Self {
        let closed = period.start.plus_ms(i64::from(period.period_secs) * 1000 + 15_000);
        let ms = u64::try_from(closed.since(self.now.wall)).unwrap_or(0);
        self.wait_ms(ms);
        self.engine.close(self.now, period, &mut self.findings);
        self
    }

    pub(super) fn close_all(&mut self, periods: &[RollUp]) -> &mut Self {
        for period in periods {
            self.close(period);
        }
        self
    }

    pub(super) fn recall(&mut self, period: &RollUp) -> &mut Self {
        self.engine.recall(self.now, period);
        self
    }

    /// A reading of any point, at our time.
    pub(super) fn reads(&mut self, id: &str, point: &str, value: f64) -> &mut Self {
        let point = point_of(id, point);
        let reading = Reading::new(point.id.clone(), value, point.unit, point.kind);
        self.see(&self.observation(id, Body::Reading(reading)))
    }

    /// What was said since the last call, in Chinese.
    pub(super) fn words(&mut self) -> Vec<String> {
        self.findings.drain(..).map(|finding| finding.what.zh).collect()
    }

    pub(super) fn always(world: &World) -> Self {
        Self::new(always(world), local("2026-10-09T12:00"))
    }

    /// Lets time pass, stopping at each deadline as the pipeline would.
    pub(super) fn wait_ms(&mut self, ms: u64) -> &mut Self {
        let end = self.now.mono.plus(Duration::from_millis(ms));
        loop {
            let stop = self.engine.next_deadline().map_or(end, |at| at.min(end)).max(self.now.mono);
            self.pass(stop);
            self.engine.expire(self.now, &mut self.findings);
            assert!(self.engine.next_deadline().is_none_or(|at| at > self.now.mono), "no deadline stays due");
            if stop >= end {
                return self;
            }
        }
    }

    pub(super) fn wait(&mut self, secs: u64) -> &mut Self {
        self.wait_ms(secs * 1000)
    }

    /// Lets time pass while the pipeline is stuck.
    pub(super) fn stall(&mut self, secs: u64) -> &mut Self {
        self.stall_ms(secs * 1000)
    }

    pub(super) fn stall_ms(&mut self, ms: u64) -> &mut Self {
        self.pass(self.now.mono.plus(Duration::from_millis(ms)));
        self
    }

    fn pass(&mut self, to: Mono) {
        let ms = i64::try_from(to.since(self.now.mono).as_millis()).expect("short");
        self.now = Now { mono: to, wall: self.now.wall.plus_ms(ms) };
    }

    /// The wall clock is set, time does not pass.
    pub(super) fn set_wall(&mut self, wall: Wall) -> &mut Self {
        self.now.wall = wall;
        self
    }

    pub(super) fn restart(&mut self) -> &mut Self {
        self.engine.start(self.now);
        self
    }

    pub(super) fn remember(&mut self, seen: &Observation) -> &mut Self {
        self.engine.remember(self.now, seen);
        self
    }

    /// A card of somebody without a role is let through; an empty pseudonym is none.
    pub(super) fn card(&mut self, id: &str, person: &str, direction: Direction) -> &mut Self {
        let seen = card(id, person, direction, (None, self.now.wall));
        self.see(&seen)
    }

    pub(super) fn see(&mut self, seen: &Observation) -> &mut Self {
        self.engine.observe(self.now, seen, &mut self.findings);
        self
    }

    pub(super) fn observation(&self, id: &str, body: Body) -> Observation {
        Observation { device: device(id), stamp: Stamp::new(None, self.now.wall), body, retained: false }
    }

    pub(super) fn power(&mut self, id: &str, value: f64) -> &mut Self {
        let unit = if id == "k1" { Unit::Kilowatt } else { Unit::Watt };
        self.see(&self.observation(id, Body::Reading(reading("power_total", value, unit))))
    }

    /// The temperature of `t1`.
    pub(super) fn celsius(&mut self, value: f64) -> &mut Self {
        self.see(&self.observation("t1", Body::Reading(reading("temperature", value, Unit::Celsius))))
    }

    /// The counter of `w1`.
    pub(super) fn volume(&mut self, value: f64) -> &mut Self {
        self.see(&self.observation("w1", Body::Reading(reading("volume", value, Unit::CubicMetre))))
    }

    /// So long ago by the device's own clock.
    pub(super) fn see_late(&mut self, mut seen: Observation, secs: i64) -> &mut Self {
        seen.stamp = Stamp::new(Some(self.now.wall.plus_ms(-1000 * secs)), self.now.wall);
        self.see(&seen)
    }

    pub(super) fn event(&mut self, id: &str, kind: EventKind, phase: Phase) -> &mut Self {
        self.see(&self.observation(id, Body::Event(Event::bare(kind, phase))))
    }

    pub(super) fn retained_event(&mut self, id: &str, kind: EventKind, phase: Phase) -> &mut Self {
        let mut seen = self.observation(id, Body::Event(Event::bare(kind, phase)));
        seen.retained = true;
        self.see(&seen)
    }

    pub(super) fn link(&mut self, id: &str, link: Link) -> &mut Self {
        self.see(&self.observation(id, Body::Link(link)))
    }

    /// What was said since the last call, as "subject level".
    pub(super) fn said(&mut self) -> Vec<String> {
        let words = |finding: Finding| {
            let level = match finding.level {
                Level::Holds => "holds",
                Level::Ended => "ended",
                Level::Happened => "happened",
            };
            format!("{} {level}", finding.key.subject)
        };
        self.findings.drain(..).map(words).collect()
    }
}

/// A seeded series of numbers (xorshift), the same on every machine.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// From 0 up to but not including `sides`.
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

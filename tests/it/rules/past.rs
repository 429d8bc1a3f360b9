//! Random days of a school through the real pipeline and store, with restarts and people who take alarms; then the
//! rules are shown what was stored, and raise the same alarms.

use crate::torture::scale;
use schoolgate::config::{self, Config, ProfileSet, Sources};
use schoolgate::document::Problems;
use schoolgate::model::{
    AccessResult, Actor, Alarm, AlarmChange, AreaId, ArmMode, Body, Carrier, ChangeKind, Command,
    CredentialUse, Delivery, DeviceId, Direction, Doubt, Event, EventKind, Fault, Input, Link, Mono, Now,
    Observation, Order, PeopleChange, Person, PersonRef, Phase, PointId, PointKind, Reading, Role, Service,
    Stamp, Unit, Wall,
};
use schoolgate::pipeline::{Pipeline, Settings};
use schoolgate::rules::{Engine, World};
use schoolgate::store::{Reader, Store};
use schoolgate::trial::{Again, Begin, Wanted};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Things that happen in each.
const TURNS: usize = 160;
/// 2026-10-09T08:00+08:00, a Friday.
const T0: Wall = Wall(1_791_504_000_000);
/// Of these it is not known where the past begins whether they held: what was open in an area is not stored, nor whether
/// a moment or a state has raised an alarm, and these devices tell both.
const UNKNOWN: [&str; 5] = ["intruder", "forced", "after-refusal", "opened", "always.help"];
/// Readings of a sealed file.
const SEAL_ROWS: u32 = 40;

/// xorshift64*, so that a run can be played again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()].clone()
    }
}

/// The shipped profiles that the school uses.
pub(super) fn profiles() -> ProfileSet {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("device-profiles");
    let texts: Vec<(String, String)> = [
        "energy-meter/eastron-sdm630",
        "sensor/aqara-wsdcgq11lm",
        "contact/aqara-mccgq11lm",
        "button/tuya-ts0215a",
        "card-reader/face-rec-mqtt",
        "camera/onvif-generic",
    ]
    .into_iter()
    .map(|profile| root.join(profile).join("profile.toml"))
    .map(|file| (file.display().to_string(), std::fs::read_to_string(file).unwrap()))
    .collect();
    let problems = Problems::new();
    let set = ProfileSet::parse(&texts, &problems);
    assert_eq!(problems.into_sorted(), []);
    set
}

fn school(profiles: &ProfileSet) -> Config {
    let files = [("gateway.toml".to_owned(), include_str!("school.toml").to_owned())];
    let read = |_: &Path, _| Ok("shared".to_owned());
    let problems = Problems::new();
    let sources = Sources {
        files: &files,
        base: Path::new(""),
        profiles,
        read: &read,
        plan: config::read_plan,
        rules: None,
    };
    config::parse(&sources, &problems).unwrap_or_else(|| panic!("{:#?}", problems.into_sorted()))
}

fn world(config: &mut Config) -> Arc<World> {
    Arc::new(World {
        devices: std::mem::take(&mut config.world.devices),
        sub_meters: std::mem::take(&mut config.world.sub_meters),
        places: std::mem::take(&mut config.world.places),
        calendar: Arc::clone(&config.world.calendar),
        calendars: std::mem::take(&mut config.world.calendars),
        aggregate_secs: config.aggregate_secs,
    })
}

fn id(text: &str) -> DeviceId {
    DeviceId::new(text).unwrap()
}

fn person(n: u64) -> PersonRef {
    PersonRef::from_digits(&format!("{n:032x}")).unwrap()
}

/// What an alarm's step says without its number.
type Told = (i64, String, String, ChangeKind);

fn told(change: &AlarmChange) -> Option<Told> {
    let of = [ChangeKind::Raised, ChangeKind::Recurred, ChangeKind::Cleared, ChangeKind::Closed];
    let key = &change.alarm.key;
    of.contains(&change.kind).then(|| (change.at.0, key.rule.to_string(), key.subject.clone(), change.kind))
}

/// A gateway whose time is turned by hand.
struct Live<'p> {
    dir: &'p Path,
    profiles: &'p ProfileSet,
    dice: Dice,
    now: Now,
    running: Option<(Store, Pipeline)>,
    raised: Vec<Told>,
    open: BTreeMap<u64, Alarm>,
    serial: u64,
    /// How often each step was made, and how areas turned.
    steps: BTreeMap<String, usize>,
    starts: Vec<Wall>,
}

impl Live<'_> {
    fn start(&mut self) {
        self.starts.push(self.now.wall);
        let mut config = school(self.profiles);
        let mut store = Store::open(self.dir).unwrap();
        store.seal_rows(SEAL_ROWS);
        let remembered = store.recall(config.aggregate_secs).unwrap();
        let settings = Settings {
            gateway: config.site.gateway.clone(),
            aggregate_secs: config.aggregate_secs,
            destinations: Vec::new(),
            campus: config.campus.clone(),
            alarms: config.alarms,
            areas: config.areas.clone(),
        };
        let world = world(&mut config);
        let engine = Engine::new(std::mem::take(&mut config.rules));
        let mut pipeline = Pipeline::start(self.now, settings, world, engine, remembered);
        pipeline.note_start(self.now);
        store.periods(&pipeline.recalls(), self.now.wall, |p| pipeline.recall(self.now, p)).unwrap();
        self.running = Some((store, pipeline));
        self.step(Vec::new());
    }

    fn step(&mut self, inputs: Vec<Input>) {
        let (store, pipeline) = self.running.as_mut().unwrap();
        let batch = (!inputs.is_empty()).then_some(Delivery { bus: None, key: None, inputs });
        let commit = pipeline.step(self.now, batch);
        for change in &commit.alarm_changes {
            *self.steps.entry(change.kind.to_string()).or_default() += 1;
            self.raised.extend(told(change));
            if change.alarm.closed_at.is_some() {
                self.open.remove(&change.alarm.id.0);
            } else {
                self.open.insert(change.alarm.id.0, change.alarm.clone());
            }
        }
        for turned in commit.audit.iter().filter(|entry| entry.subject.starts_with("area ")) {
            *self.steps.entry(format!("{} {}", turned.actor, turned.action)).or_default() += 1;
        }
        // As the gateway's loop does it.
        if !commit.is_empty() {
            store.commit(&[&commit]).unwrap();
        }
    }

    fn pass(&mut self, ms: u64) {
        let mut left = ms;
        loop {
            let due = self.running.as_ref().unwrap().1.next_deadline(self.now).since(self.now.mono);
            let due = u64::try_from(due.as_millis()).unwrap().max(1);
            let span = due.min(left);
            self.jump(span);
            if due > left {
                return;
            }
            left -= span;
            self.step(Vec::new());
        }
    }

    fn jump(&mut self, ms: u64) {
        let mono = self.now.mono.plus(Duration::from_millis(ms));
        self.now = Now { mono, wall: self.now.wall.plus_ms(i64::try_from(ms).unwrap()) };
    }

    fn see(&mut self, device: &str, body: Body, retained: bool) -> Input {
        let late = self.dice.one_in(10).then(|| self.now.wall.plus_ms(-90_000));
        let stamp = Stamp::new(late, self.now.wall);
        Input::Observed(Observation { device: id(device), stamp, body, retained })
    }

    fn reading(&mut self) -> Input {
        let (device, point, unit, kind) = self.dice.pick(&[
            ("m1", "power_total", Unit::Watt, PointKind::Gauge),
            ("m2", "power_total", Unit::Watt, PointKind::Gauge),
            ("m1", "voltage_l1", Unit::Volt, PointKind::Gauge),
            ("t1", "temperature", Unit::Celsius, PointKind::Gauge),
        ]);
        let value = match point {
            "power_total" => self.dice.below(70) as f64 * 100.0,
            "temperature" => self.dice.below(12) as f64,
            _ => 230.0,
        };
        let mut reading = Reading::new(PointId::new(point).unwrap(), value, unit, kind);
        let retained = self.dice.one_in(12);
        if !retained && self.dice.one_in(12) {
            reading = Reading::absent(PointId::new(point).unwrap(), unit, kind, Doubt::Sentinel);
        }
        self.see(device, Body::Reading(reading), retained)
    }

    fn event(&mut self) -> Input {
        let phase = self.dice.pick(&[Phase::Start, Phase::End, Phase::Moment]);
        let (device, mut event) = match self.dice.below(6) {
            0 => ("help", Event::bare(EventKind::Help, phase)),
            1 => ("cam", Event::bare(EventKind::VideoLoss, phase)),
            2 | 3 => (self.dice.pick(&["door", "door", "window"]), Event::bare(EventKind::Contact, phase)),
            _ => {
                let mut event = Event::bare(EventKind::Credential, Phase::Moment);
                let who = self.dice.below(5);
                event.credential = Some(CredentialUse {
                    carrier: Carrier::Card,
                    service: Service::Access,
                    direction: self.dice.pick(&[Direction::In, Direction::Out, Direction::Unknown]),
                    result: self.dice.pick(&[
                        AccessResult::Granted,
                        AccessResult::Granted,
                        AccessResult::Denied,
                        AccessResult::UnknownCredential,
                    ]),
                    reason: None,
                    person: (who > 0).then(|| person(who)),
                    known: None,
                });
                (self.dice.pick(&["gate", "hall"]), event)
            }
        };
        if self.dice.one_in(4) {
            // Now and then the same number comes again.
            self.serial += u64::from(!self.dice.one_in(4));
            event.serial = Some(self.serial.to_string());
        }
        let retained = self.dice.one_in(10);
        self.see(device, Body::Event(event), retained)
    }

    /// What people do: to an alarm that is open, or to the area.
    fn order(&mut self) -> Option<Input> {
        let open: Vec<Alarm> = self.open.values().cloned().collect();
        let order = if open.is_empty() || self.dice.one_in(5) {
            let mode = self.dice.pick(&[ArmMode::Armed, ArmMode::Armed, ArmMode::Partial, ArmMode::Disarmed]);
            Order::Arm { area: AreaId::new("dormitory").unwrap(), mode, force: !self.dice.one_in(4) }
        } else {
            let alarm = self.dice.pick(&open);
            let (id, secs) = (alarm.id, 60 + u32::try_from(self.dice.below(7200)).unwrap());
            let once = self.dice.one_in(2);
            match self.dice.below(8) {
                0 => Order::Shelve { id, secs, once },
                1 if alarm.marks.shelved.is_some() => Order::Unshelve(id),
                2 => Order::TakeOut { id, secs: once.then_some(secs) },
                3 if alarm.marks.out_of_service.is_some() => Order::PutBack(id),
                _ if alarm.acknowledged.is_some() => Order::Reset(id),
                _ => Order::Acknowledge(id),
            }
        };
        let actor = Actor::named("guard").unwrap();
        Some(Input::Command(Command { order, actor, note: "seen".to_owned() }))
    }

    /// A door that comes and goes.
    fn rattle(&mut self) {
        let device = self.dice.pick(&["door", "window"]);
        let first = self.dice.below(2);
        for turn in first..first + 3 + self.dice.below(6) {
            let phase = if turn % 2 == 0 { Phase::Start } else { Phase::End };
            let seen = self.see(device, Body::Event(Event::bare(EventKind::Contact, phase)), false);
            self.step(vec![seen]);
            let pause = 1 + self.dice.below(15_000);
            self.pass(pause);
        }
    }

    /// Every meter is silent, and after a while one or both are back.
    fn bus_dies(&mut self) {
        for meter in ["m1", "m2"] {
            let seen = self.see(meter, Body::Link(Link::Down(Fault::Timeout)), false);
            self.step(vec![seen]);
            self.pass(1000);
        }
        let away = 60_000 + self.dice.below(2 * 3_600_000);
        self.pass(away);
        if self.dice.one_in(2) {
            let bus = self.open.values().find(|alarm| alarm.key.rule.as_str() == "always.bus").cloned();
            if let Some(alarm) = bus.filter(|alarm| alarm.acknowledged.is_none()) {
                let actor = Actor::named("guard").unwrap();
                let order = Order::Acknowledge(alarm.id);
                self.step(vec![Input::Command(Command { order, actor, note: String::new() })]);
                self.pass(5000);
            }
        }
        let both = self.dice.one_in(2);
        for meter in ["m1", "m2"].into_iter().take(1 + usize::from(both)) {
            let seen = self.see(meter, Body::Link(Link::Up), false);
            self.step(vec![seen]);
        }
    }

    fn turn(&mut self) {
        let pause = match self.dice.below(12) {
            0 => 3_600_000 + self.dice.below(6 * 3_600_000),
            1 | 2 => 60_000 + self.dice.below(1_800_000),
            _ => 1 + self.dice.below(45_000),
        };
        self.pass(pause);
        let mut inputs = Vec::new();
        match self.dice.below(24) {
            0 => {
                // The gateway is away for a while. Something was heard a moment before, as it always is in a school.
                let heard = self.reading();
                self.step(vec![heard]);
                self.running = None;
                let away = 1 + self.dice.below(4 * 3_600_000);
                self.jump(away);
                self.start();
            }
            1 | 2 | 20 | 21 => inputs.extend(self.order()),
            22 => self.rattle(),
            23 if self.dice.one_in(3) => self.bus_dies(),
            3 | 4 => {
                let device = self.dice.pick(&["m1", "m2", "cam", "t1"]);
                let link = self.dice.pick(&[Link::Up, Link::Down(Fault::Timeout), Link::Down(Fault::Gone)]);
                inputs.push(self.see(device, Body::Link(link), false));
            }
            5..=11 => inputs.push(self.event()),
            // Several values of one moment.
            _ => (0..=self.dice.below(3)).for_each(|_| inputs.push(self.reading())),
        }
        if !inputs.is_empty() {
            self.step(inputs);
        }
        if self.dice.one_in(10) {
            let (store, _) = self.running.as_mut().unwrap();
            for _ in 0..50 {
                if !store.maintain(self.now).unwrap() {
                    break;
                }
            }
        }
    }
}

fn people(now: Wall) -> Input {
    let new = |role, until: Option<i64>| Person {
        role,
        group: None,
        platform_id: None,
        valid_from: None,
        valid_until: until.map(|ms| now.plus_ms(ms)),
    };
    Input::People(PeopleChange::Put(vec![
        (person(1), new(Role::Student, None)),
        (person(2), new(Role::Visitor, Some(3_600_000))),
        (person(3), new(Role::Guard, None)),
    ]))
}

/// What a run was like.
struct Lived {
    raised: Vec<Told>,
    steps: BTreeMap<String, usize>,
    /// When the gateway started.
    starts: Vec<Wall>,
    /// When it was over.
    to: Wall,
}

/// Lives through random days.
fn live(seed: u64, dir: &Path, profiles: &ProfileSet) -> Lived {
    let dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let now = Now { mono: Mono(0), wall: T0 };
    let (raised, open, steps) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    let mut live =
        Live { dir, profiles, dice, now, running: None, raised, open, serial: 0, steps, starts: Vec::new() };
    live.start();
    live.step(vec![people(T0)]);
    (0..TURNS).for_each(|_| live.turn());
    live.pass(1);
    Lived { raised: live.raised, steps: live.steps, starts: live.starts, to: live.now.wall }
}

/// What the rules raise when they are shown what is stored from a moment on; all of them, or one alone.
fn again(dir: &Path, profiles: &ProfileSet, (from, to): (Wall, Wall), only: Option<&str>) -> Vec<Told> {
    let mut config = school(profiles);
    config.rules.retain(|rule| only.is_none_or(|only| rule.id().as_str() == only));
    let zone = config.site.zone.clone();
    let world = world(&mut config);
    let reader = Reader::open(dir).unwrap();
    let wanted = Wanted::of(config.rules.iter().map(AsRef::as_ref));
    let mut open = reader.open_at(from).unwrap();
    open.retain(|alarm| only.is_none_or(|only| alarm.key.rule.as_str() == only));
    let begin = Begin { at: from, open, armed: reader.armed_at(from).unwrap() };
    let mut again = Again::new(begin, config.rules, world, config.areas);
    let mut past = reader.past(wanted, (from, to), again.recalls(), &zone).unwrap();
    let mut raised = Vec::new();
    while let Some((at, next)) = past.take_next().unwrap() {
        again.tell(at, &next, &mut |change| raised.extend(told(change)));
    }
    again.tell(to, &schoolgate::trial::Told::Alive, &mut |change| raised.extend(told(change)));
    raised
}

#[test]
fn what_is_raised_again_is_what_was_raised() {
    let profiles = profiles();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for seed in (1..).take(scale("REPLAY_SEEDS", 20, 200)) {
        let dir = tempfile::tempdir().unwrap();
        let Lived { raised: then, steps, starts, to } = live(seed, dir.path(), &profiles);
        let now = again(dir.path(), &profiles, (T0, to), None);
        for what in then.iter().map(|(_, rule, _, kind)| format!("{rule} {kind}")) {
            *seen.entry(what).or_default() += 1;
        }
        for (what, times) in steps {
            *seen.entry(what).or_default() += times;
        }
        same(&format!("seed {seed}"), then.clone(), now);
        // From a later start on, too, where it is known what held then.
        let from = starts[starts.len() / 2];
        let known = |t: &Told| t.0 >= from.0 && !UNKNOWN.contains(&t.1.as_str());
        let told = |all: Vec<Told>| all.into_iter().filter(known).collect();
        let now = again(dir.path(), &profiles, (from, to), None);
        same(&format!("seed {seed} from {from}"), told(then.clone()), told(now));
        // A rule alone raises the same, without the bus that explains it and the rules beside it. An intruder's time on
        // the way in begins with whatever rule was first, so `intruder` needs the others that areas hold back.
        for only in ["silent", "opened"] {
            let then: Vec<Told> = then.iter().filter(|told| told.1 == only).cloned().collect();
            let now = again(dir.path(), &profiles, (T0, to), Some(only));
            same(&format!("seed {seed}, {only} alone"), then, now);
        }
    }
    // A test in which nothing happens shows nothing.
    for rule in [
        "overload",
        "cold",
        "night",
        "silent",
        "coverage",
        "exam",
        "refused",
        "forced",
        "opened",
        "twice",
        "overstay",
        "curfew",
        "round",
        "intruder",
        "always.help",
        "always.bus",
    ] {
        let raised = seen.get(&format!("{rule} raised")).copied().unwrap_or(0);
        assert!(raised > 0, "{rule} was never raised: {seen:#?}");
    }
    for step in [
        "shelved",
        "unshelved",
        "out_of_service",
        "in_service",
        "chattering",
        "settled",
        "inhibited",
        "suppressed",
        "reset",
        "guard armed",
        "guard partial",
        "guard disarmed",
        "gateway armed",
        "gateway disarmed",
    ] {
        assert!(seen.get(step).is_some_and(|times| *times > 0), "{step} never came: {seen:#?}");
    }
}

fn same(what: &str, mut then: Vec<Told>, mut now: Vec<Told>) {
    // Two rules that speak at the same moment have no order.
    then.sort();
    now.sort();
    let only = |a: &[Told], b: &[Told]| -> Vec<String> {
        let told = |t: &Told| format!("{} {} {} {}", Wall(t.0), t.1, t.2, t.3);
        let mut left = b.to_vec();
        let more = a.iter().filter(|t| left.iter().position(|l| l == *t).map(|at| left.remove(at)).is_none());
        more.take(8).map(told).collect()
    };
    assert!(then == now, "{what}: only then {:#?}, only now {:#?}", only(&then, &now), only(&now, &then));
}

/// Runs `schoolgate rules …` over what a run left behind.
fn told_by(arguments: &[&str], dir: &Path) -> String {
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_schoolgate"))
        .arg("rules")
        .args(arguments)
        .args(["--config", "gateway.toml"])
        .current_dir(dir)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let said = String::from_utf8(done.stdout).unwrap();
    let complaint = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{arguments:?}: {:?} {said} {complaint}", done.status);
    said
}

#[test]
fn the_command_line_replays_explains_and_lists() {
    let profiles = profiles();
    let dir = tempfile::tempdir().unwrap();
    let Lived { raised, to, .. } = live(7, &dir.path().join("data"), &profiles);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("device-profiles");
    let text = format!("{}\n[profiles]\ndir = \"{}\"\n", include_str!("school.toml"), root.display());
    std::fs::write(dir.path().join("gateway.toml"), text).unwrap();

    let (from, until) = (T0.to_string(), to.to_string());
    let replayed = told_by(&["replay", "--json", "--from", &from, "--to", &until], dir.path());
    let replayed: serde_json::Value = serde_json::from_str(&replayed).unwrap();
    let begun = |kind: &ChangeKind| matches!(kind, ChangeKind::Raised | ChangeKind::Recurred);
    let times = raised.iter().filter(|(at, _, _, kind)| begun(kind) && *at < to.0).count();
    assert_eq!(replayed["same"].as_array().unwrap().len(), times, "{replayed:#}");
    assert_eq!(
        (&replayed["only_now"], &replayed["only_then"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
    let table = told_by(&["replay", "--rule", "overload", "--from", &from, "--to", &until], dir.path());
    assert!(table.contains("ONLY THEN") && !table.contains("\nsilent"), "{table}");
    // What is shown of one rule is right although the time on the way in began with another's.
    let intruder =
        told_by(&["replay", "--rule", "intruder", "--json", "--from", &from, "--to", &until], dir.path());
    let intruder: serde_json::Value = serde_json::from_str(&intruder).unwrap();
    let times =
        raised.iter().filter(|(at, rule, _, kind)| begun(kind) && *at < to.0 && rule == "intruder").count();
    assert!(times > 0 && intruder["same"].as_array().unwrap().len() == times, "{times}: {intruder:#}");
    assert_eq!(
        (&intruder["only_now"], &intruder["only_then"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );

    // Another limit: what it would have raised, beside what was.
    let other =
        include_str!("school.toml").split("[[rule]]").find(|rule| rule.contains("\"overload\"")).unwrap();
    let other = format!("[[rule]]{}", other.replace("above = 5", "above = 6.5"));
    std::fs::write(dir.path().join("other.toml"), other).unwrap();
    let tried =
        told_by(&["replay", "--rules", "other.toml", "--json", "--from", &from, "--to", &until], dir.path());
    let tried: serde_json::Value = serde_json::from_str(&tried).unwrap();
    let sum = &tried["rules"]["overload"];
    assert!(sum["times"].as_u64().unwrap() < sum["then"].as_u64().unwrap(), "{tried:#}");

    let reader = Reader::open(&dir.path().join("data")).unwrap();
    let alarms = reader.alarms(&Default::default(), None, 1000).unwrap();
    let of = |rule: &str| alarms.rows.iter().find(|(_, alarm)| alarm.key.rule.as_str() == rule).unwrap().0;
    let said = told_by(&["explain", &of("overload").to_string()], dir.path());
    for expected in ["above = 5", "on_delay_secs = 60", "power_total", "! ", "raised  gateway"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(!said.contains("there would be no alarm"), "{said}");
    let said = told_by(&["explain", &of("always.help").to_string()], dir.path());
    assert!(said.contains("help help") && said.contains("always on"), "{said}");

    let listed = told_by(&["list"], dir.path());
    let line = listed.lines().find(|line| line.starts_with("overload ")).unwrap();
    assert!(line.contains("threshold") && line.contains("2026-10-"), "{listed}");
}

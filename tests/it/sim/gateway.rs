//! The gateway under trial: the real pipeline and pumps around a real store on disk, turned by hand.

use super::field::Field;
use super::platform::Platform;
use super::trace::Trace;
use super::{Dice, T0};
use crate::{oracle, script};
use hil::disk::{Call, Disk, Fault};
use schoolgate::config::{self, Config, ProfileSet, Sources};
use schoolgate::document::Problems;
use schoolgate::model::{
    Actor, Alarm, AlarmId, ChangeKind, Command, Delivery, DestinationId, DeviceId, EventKind, Input, Now,
    Order, OutboxItem, Phase, PointId,
};
use schoolgate::northbound::{Limits, Pump, Sender, Step, adapter_for};
use schoolgate::pipeline::{Commit, Pipeline, Settings};
use schoolgate::rules::Engine;
use schoolgate::store::{AlarmFilter, Depth, EventFilter, Level, Reader, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// Where in a turn the power fails.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Crash {
    BeforeCommit,
    AfterCommit,
    AfterSomeAcks,
}

/// The shipped profiles, read once: a power failure changes nothing about them.
static PROFILES: LazyLock<ProfileSet> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("device-profiles");
    let directories = |dir: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let texts: Vec<(String, String)> = directories(&root)
        .iter()
        .flat_map(|class| directories(class))
        .map(|profile| profile.join("profile.toml"))
        .map(|file| (file.display().to_string(), std::fs::read_to_string(file).unwrap()))
        .collect();
    let problems = Problems::new();
    let profiles = ProfileSet::parse(&texts, &problems);
    assert_eq!(problems.into_sorted(), []);
    profiles
});

fn load() -> Config {
    let files = [("gateway.toml".to_owned(), include_str!("gateway.toml").to_owned())];
    let read = |_: &Path, _| Ok("shared".to_owned());
    let problems = Problems::new();
    let sources = Sources {
        files: &files,
        base: Path::new(""),
        profiles: &PROFILES,
        read: &read,
        plan: config::read_plan,
        rules: None,
    };
    config::parse(&sources, &problems).unwrap_or_else(|| panic!("{:#?}", problems.into_sorted()))
}

struct Running {
    store: Store,
    pipeline: Pipeline,
    pumps: BTreeMap<String, (DestinationId, Pump)>,
    config: Config,
}

/// Readings of a sealed file: a school's day has several.
const SEAL_ROWS: u32 = 50;
/// Attempts at a commit, or at opening the file anew, after which a disk that failed is well again.
const ATTEMPTS: u32 = 3;

pub(super) struct Gateway {
    dir: PathBuf,
    disk: Disk,
    /// How often the disk refused something.
    refusals: u64,
    running: Option<Running>,
    boots: u64,
    turns: u128,
    /// Every record that was ever made durable, by destination and uid.
    owed: BTreeMap<String, BTreeMap<String, OutboxItem>>,
}

impl Gateway {
    pub(super) fn boot(dir: PathBuf, now: Now) -> Self {
        let disk = Disk::new();
        disk.forget();
        let mut gateway =
            Self { dir, disk, refusals: 0, running: None, boots: 0, turns: 0, owed: BTreeMap::new() };
        gateway.reboot(now);
        gateway
    }

    pub(super) fn reboot(&mut self, now: Now) {
        // The old process lets go of its files first.
        self.running = None;
        self.disk_is_well();
        self.boots += 1;
        let mut config = load();
        let mut store = script::open_on(&self.dir, &self.disk).unwrap();
        assert_eq!(store.rescued(), None, "a power failure is no damage");
        store.seal_rows(SEAL_ROWS);
        let remembered = store.recall(config.aggregate_secs).unwrap();
        let settings = Settings {
            gateway: config.site.gateway.clone(),
            aggregate_secs: config.aggregate_secs,
            destinations: config.destinations.iter().map(|d| d.id.clone()).collect(),
            campus: config.campus.clone(),
            alarms: config.alarms,
            areas: config.areas.clone(),
        };
        let world = schoolgate::rules::World {
            devices: std::mem::take(&mut config.world.devices),
            sub_meters: std::mem::take(&mut config.world.sub_meters),
            places: std::mem::take(&mut config.world.places),
            calendar: Arc::clone(&config.world.calendar),
            aggregate_secs: config.aggregate_secs,
            calendars: std::mem::take(&mut config.world.calendars),
        };
        let engine = Engine::new(std::mem::take(&mut config.rules));
        let mut pipeline = Pipeline::start(now, settings, Arc::new(world), engine, remembered);
        store.periods(&pipeline.recalls(), now.wall, |period| pipeline.recall(now, period)).unwrap();
        let sender = Sender::from(&config.site);
        let limits = Limits { max_records: 10, max_bytes: 60_000 };
        let pumps = config
            .destinations
            .iter()
            .map(|d| {
                let pump = Pump::new(adapter_for(d).unwrap(), sender.clone(), limits, self.boots);
                (d.id.to_string(), (d.id.clone(), pump))
            })
            .collect();
        self.running = Some(Running { store, pipeline, pumps, config });
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub(super) fn destinations(&self) -> impl Iterator<Item = &DestinationId> {
        self.running().config.destinations.iter().map(|d| &d.id)
    }

    /// Takes what waits, steps, commits, acknowledges; `false` when the power failed on the way.
    pub(super) fn turn(
        &mut self,
        now: Now,
        field: &mut Field,
        polls: Vec<Delivery>,
        crash: Option<Crash>,
        dice: &mut Dice,
        trace: &mut Trace,
    ) -> bool {
        let running = self.running.as_mut().unwrap();
        let messages = field.deliver(&running.config, now.wall, dice);
        let count = messages.len();
        let commit = running.pipeline.step(now, messages.into_iter().chain(polls));
        if crash == Some(Crash::BeforeCommit) {
            return false;
        }
        self.commit(commit, trace);
        match crash {
            None => field.acknowledged(count),
            Some(Crash::AfterSomeAcks) => {
                field.acknowledged(usize::try_from(dice.below(count as u64 + 1)).unwrap());
            }
            Some(_) => {}
        }
        crash.is_none()
    }

    /// Some calls of the disk fail: the next few of a kind, or all until it is well.
    pub(super) fn disk_fails(&mut self, dice: &mut Dice) {
        let call = [Call::Write, Call::Sync][usize::try_from(dice.below(2)).unwrap()];
        self.disk.fail(Some(Fault { call, at: 1 + dice.below(12), for_ever: dice.one_in(2) }));
    }

    pub(super) fn disk_is_well(&mut self) {
        self.refusals += self.disk.failed();
        self.disk.fail(None);
    }

    /// Makes a commit durable as the store's thread does: after a failure the file is opened anew, and what is not in
    /// it is sent again.
    fn commit(&mut self, commit: Commit, trace: &mut Trace) {
        trace.note(&commit);
        let mut attempts = 0;
        while !self.attempt(&commit) {
            attempts += 1;
            assert!(attempts <= ATTEMPTS, "the disk is well, and the commit is refused");
            if attempts == ATTEMPTS {
                self.disk_is_well();
            }
        }
        let running = self.running.as_mut().unwrap();
        if !commit.outbox.is_empty() {
            running.pumps.values_mut().for_each(|(_, pump)| pump.wake());
        }
        for item in commit.outbox {
            let before =
                self.owed.entry(item.destination.to_string()).or_default().insert(item.uid.clone(), item);
            assert_eq!(before, None, "a uid was used twice");
        }
    }

    fn attempt(&mut self, commit: &Commit) -> bool {
        self.running.as_mut().unwrap().store.commit(&[commit]).is_ok() || self.reopen()
    }

    /// Opens the file anew, however often that takes; whether the last commit is in it.
    fn reopen(&mut self) -> bool {
        for _ in 0..ATTEMPTS {
            if let Ok(stored) = self.running.as_mut().unwrap().store.reopen() {
                return stored;
            }
        }
        self.disk_is_well();
        self.running.as_mut().unwrap().store.reopen().expect("the disk is well")
    }

    /// A person's order; whether they were told that it is done.
    pub(super) fn order(&mut self, now: Now, order: Order, trace: &mut Trace) -> bool {
        let command = Command { order, actor: Actor::named("guard").unwrap(), note: String::new() };
        let delivery = Delivery { bus: None, key: None, inputs: vec![Input::Command(command)] };
        let commit = self.running.as_mut().unwrap().pipeline.step(now, [delivery]);
        let done = commit.orders.iter().all(Result::is_ok);
        self.commit(commit, trace);
        done
    }

    /// Lets the pump of a destination work; `true` when the power failed after the platform answered and before
    /// that was on disk.
    pub(super) fn pump(
        &mut self,
        id: &str,
        now: Now,
        platform: &mut Platform,
        dice: &mut Dice,
        most: u32,
        trace: &mut Trace,
    ) -> bool {
        let running = self.running.as_mut().unwrap();
        let (destination, pump) = running.pumps.get_mut(id).unwrap();
        for _ in 0..most {
            self.turns += 1;
            match pump.next(now, self.turns.to_be_bytes()) {
                Step::Fetch(limit) => {
                    // What cannot be read now is for the next process.
                    let Ok(items) = running.store.owed(destination, limit) else { return true };
                    pump.fetched(&items);
                }
                Step::Settle(answer) => {
                    if most < 60 && dice.one_in(30) {
                        return true;
                    }
                    if running.store.settle(destination, &answer, now.wall).is_err() {
                        return true;
                    }
                    pump.settled();
                }
                Step::Send(request) => {
                    trace.note(&request);
                    let answer = platform.answer(&request, dice);
                    trace.note(&answer);
                    pump.replied(now, answer);
                }
                Step::Wait(_) => return false,
            }
        }
        false
    }

    pub(super) fn reader(&self) -> Reader {
        Reader::open(&self.dir).unwrap()
    }

    pub(super) fn open_alarms(&mut self) -> Vec<Alarm> {
        self.running.as_mut().unwrap().pipeline.live(T0).alarms
    }

    pub(super) fn backlog(&self) -> Vec<(DestinationId, u64)> {
        self.running().store.backlog().unwrap()
    }

    pub(super) fn nothing_owed(&self) -> bool {
        self.backlog().is_empty()
    }

    pub(super) fn owed_ever(&self, id: &str) -> &BTreeMap<String, OutboxItem> {
        &self.owed[id]
    }

    pub(super) fn set_aside(&self, id: &str) -> BTreeSet<String> {
        let id = DestinationId::new(id).unwrap();
        let mut uids = BTreeSet::new();
        let mut before = None;
        loop {
            let page = self.reader().set_aside(&id, before, 1000).unwrap();
            uids.extend(page.rows.into_iter().map(|(_, row)| row.uid));
            before = page.next_before;
            if before.is_none() {
                return uids;
            }
        }
    }

    /// No alarm was missed, none forgot who took it, and every press of the button counted.
    pub(super) fn check_alarms(&self, done: &BTreeSet<(AlarmId, &'static str)>, presses: u64) {
        let reader = self.reader();
        let (mut helped, mut opened, mut chattered) = (0, 0, false);
        let mut before = None;
        loop {
            let page = reader.alarms(&AlarmFilter::default(), before, 1000).unwrap();
            for (_, alarm) in page.rows {
                assert!(alarm.closed_at.is_some(), "stuck open: {alarm:?}");
                let (_, steps) = reader.alarm(alarm.id).unwrap().unwrap();
                assert!(steps.iter().all(|s| !s.actor.as_str().is_empty()));
                for (_, word) in done.iter().filter(|(id, _)| *id == alarm.id) {
                    let by = steps.iter().find(|s| s.kind.as_str() == *word).map(|s| s.actor.as_str());
                    assert_eq!(by, Some("guard"), "alarm {} forgot that it was {word}", alarm.id);
                }
                let raised = |s: &&schoolgate::model::AlarmChange| {
                    matches!(s.kind, ChangeKind::Raised | ChangeKind::Recurred)
                };
                let times = steps.iter().filter(raised).count() as u64;
                match alarm.key.rule.as_str() {
                    "always.help" => helped += times,
                    "door-open" => {
                        opened += u64::from(alarm.occurrences);
                        chattered |= steps.iter().any(|step| step.kind == ChangeKind::Chattering);
                    }
                    _ => {}
                }
            }
            before = page.next_before;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(helped, presses, "every press of the help button is an alarm or its recurrence");
        let expected = times_opened(&reader);
        // What one that chatters had counted since it was last written down goes with the power.
        let behind = chattered && opened < expected;
        assert!(opened == expected || behind, "every opening of the door is an alarm or its recurrence");
    }

    /// A few steps of what the store does for itself.
    pub(super) fn upkeep(&mut self, now: Now, steps: u64) {
        for _ in 0..steps {
            let store = &mut self.running.as_mut().unwrap().store;
            match store.maintain(now) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => {
                    self.reopen();
                }
            }
        }
    }

    /// Every chain, sum and digest, and every hour and day.
    pub(super) fn check_sound(&self) {
        assert_eq!(oracle::sound(&self.dir, Depth::Whole), Ok(()));
    }

    /// How often the disk refused something.
    pub(super) fn refusals(&self) -> u64 {
        self.refusals + self.disk.failed()
    }

    /// How many readings are in sealed files.
    pub(super) fn sealed(&self) -> u64 {
        let db = oracle::look_at(&self.dir).unwrap();
        let sum: i64 =
            db.query_row("select coalesce(sum(readings), 0) from sealed", [], |row| row.get(0)).unwrap();
        sum.unsigned_abs()
    }

    /// The roll-ups of a counter say together what its readings say.
    pub(super) fn check_roll_ups(&self) {
        let reader = self.reader();
        let device = DeviceId::new("meter").unwrap();
        let point = PointId::new("energy_import").unwrap();
        let mut values = Vec::new();
        let mut before = None;
        loop {
            let page = reader.readings(Some(&device), Some(&point), before, 1000).unwrap();
            values.extend(
                page.rows.into_iter().filter_map(|(_, r)| Some((r.stamp.effective(), r.reading.value?))),
            );
            before = page.next_before;
            if before.is_none() {
                break;
            }
        }
        let all =
            reader.roll_ups(Some(&device), schoolgate::model::Wall(0), schoolgate::model::Wall(i64::MAX));
        let mut all = all.unwrap();
        all.retain(|r| r.point == point);
        let counted: u32 = all.iter().map(|r| r.count).sum();
        // The last period may still be open; every reading before it is in a roll-up.
        let closed = all.iter().map(|r| r.start.plus_ms(i64::from(r.period_secs) * 1000)).max().unwrap();
        let open = values.iter().take_while(|(at, _)| *at >= closed).count();
        assert_eq!(
            values.len() - open,
            usize::try_from(counted).unwrap(),
            "readings before {closed}, in roll-ups"
        );
        let grown: f64 = all.iter().filter_map(|r| r.delta).sum();
        let all_time = (schoolgate::model::Wall(0), schoolgate::model::Wall(i64::MAX));
        // A question has the whole, whatever hours and days are made; and once all are over, each level has.
        let energy = reader.metered(Level::Day, &[all_time], |of| of == device.as_str()).unwrap();
        let told: f64 = energy.iter().filter_map(|meter| meter.kwh()).sum();
        assert!((told - grown).abs() < 1e-6, "{told} kWh told, {grown} in roll-ups");
        for level in [Level::Hour, Level::Day] {
            let rows = reader.levels(level, &device, Some(&point), all_time.0, all_time.1).unwrap();
            let sum: f64 = rows.iter().filter_map(|r| r.delta).sum();
            let count: u32 = rows.iter().map(|r| r.count).sum();
            assert_eq!(count, counted, "{level:?}");
            assert!((sum - grown).abs() < 1e-6, "{sum} kWh in {level:?}, {grown} in roll-ups");
        }
        let (last, first) = (values[open].1, values[values.len() - 1].1);
        assert!(
            (grown - (last - first)).abs() < 1e-6,
            "{grown} kWh in roll-ups, {} in readings",
            last - first
        );
    }
}

/// How often the door went from closed to open, by the events as they are stored.
fn times_opened(reader: &Reader) -> u64 {
    let filter = EventFilter { device: None, kind: Some(EventKind::Contact) };
    let (mut phases, mut before) = (Vec::new(), None);
    loop {
        let page = reader.events(&filter, before, 1000).unwrap();
        phases.extend(page.rows.into_iter().map(|(_, stored)| stored.event.phase));
        before = page.next_before;
        if before.is_none() {
            break;
        }
    }
    phases.reverse();
    let mut open = false;
    let mut times = 0;
    for phase in phases {
        times += u64::from(phase == Phase::Start && !open);
        open = phase == Phase::Start;
    }
    times
}

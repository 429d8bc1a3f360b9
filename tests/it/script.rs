//! A workload for the store, the same for the same seed, and what must be in the store after each step of it.

use hil::chance::Chance;
use schoolgate::alarm::AlarmBook;
use schoolgate::model::{
    Alarm, AlarmClass, AlarmKey, BusId, DestinationId, DeviceId, Event, EventKind, Fault, Link, OutboxItem,
    Phase, PointId, PointKind, Priority, Reading, Record, Refused, RollUp, RuleId, Stamp, Text, Unit,
    Unknown, Wall,
};
use schoolgate::pipeline::{Commit, Fingerprint, LinkChange, StoredEvent, StoredReading};
use schoolgate::rules::{Finding, Level};
use schoolgate::store::{AlarmFilter, EventFilter, Page, Reader, Settlement, Store, StoreError};
use std::collections::BTreeMap;
use std::path::Path;

const START: Wall = Wall(1_790_000_000_000);
const STEP_MS: i64 = 60_000;
/// Length of the roll-ups in the workload, seconds.
const PERIOD_SECS: u32 = 900;

/// One thing done to the store; what it answers is acknowledged to somebody.
#[derive(Debug)]
pub enum Step {
    Commit(Box<Commit>),
    Settle(Settlement),
    /// A clean end and a new start.
    Reopen,
}

/// The workload.
#[derive(Debug)]
pub struct Script {
    pub steps: Vec<Step>,
    /// What is in the store after as many steps.
    pub expected: Vec<Content>,
}

/// All that the store keeps, as it gives it out again.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Content {
    /// Time of arrival and bits of the value, in order of arrival.
    readings: Vec<(i64, u64)>,
    serials: Vec<String>,
    /// Each with the number of its steps.
    alarms: BTreeMap<u64, (Alarm, usize)>,
    links: BTreeMap<String, LinkChange>,
    roll_ups: BTreeMap<i64, RollUp>,
    owed: BTreeMap<u64, OutboxItem>,
    set_aside: BTreeMap<u64, String>,
    quarantine: Vec<String>,
    strangers: BTreeMap<String, u64>,
    fingerprints: BTreeMap<u64, u64>,
    next_seq: u64,
}

fn device() -> DeviceId {
    DeviceId::new("meter").unwrap()
}

fn bus() -> BusId {
    BusId::new("bus").unwrap()
}

fn destination() -> DestinationId {
    DestinationId::new("city").unwrap()
}

fn roll_up(start: Wall, revision: u32, value: f64) -> RollUp {
    RollUp {
        device: device(),
        point: PointId::new("power").unwrap(),
        unit: Unit::Watt,
        kind: PointKind::Gauge,
        start,
        period_secs: PERIOD_SECS,
        count: revision + 1,
        sum: value,
        min: value / 3.0,
        max: value,
        last: value,
        delta: None,
        revision,
    }
}

/// Makes the steps.
struct Writer {
    chance: Chance,
    book: AlarmBook,
    content: Content,
    step: i64,
}

impl Writer {
    fn now(&self) -> Wall {
        START.plus_ms(self.step * STEP_MS)
    }

    fn commit(&mut self) -> Commit {
        let mut commit = Commit::default();
        let now = self.now();
        for _ in 0..=self.chance.below(20) {
            let value = self.chance.between(-1e3, 1e6);
            let point = PointId::new(["power", "voltage"][usize::from(self.chance.one_in(3))]).unwrap();
            let reading = Reading::new(point, value, Unit::Watt, PointKind::Gauge);
            commit.readings.push(StoredReading { device: device(), stamp: Stamp::new(None, now), reading });
            self.content.readings.push((now.0, value.to_bits()));
        }
        for _ in 0..self.chance.below(4) {
            let serial = format!("{}", self.content.serials.len() + 1);
            let mut event = Event::bare(EventKind::Contact, Phase::Start);
            event.serial = Some(serial.clone());
            let stamp = Stamp::new(Some(now), now);
            commit.events.push(StoredEvent { device: device(), stamp, retained: false, event });
            self.content.serials.push(serial);
        }
        let link = if self.step % 2 == 0 { Link::Up } else { Link::Down(Fault::Timeout) };
        let change = LinkChange { device: device(), at: now, link };
        self.content.links.insert(device().to_string(), change.clone());
        commit.links.push(change);
        self.alarm(&mut commit);
        let start = now.period_start(i64::from(PERIOD_SECS) * 1000);
        let revision = self.content.roll_ups.get(&start.0).map_or(0, |before| before.revision + 1);
        let roll_up = roll_up(start, revision, self.chance.fraction());
        self.content.roll_ups.insert(start.0, roll_up.clone());
        self.owe(&mut commit, Record::Aggregate(roll_up.clone()));
        commit.roll_ups.push(roll_up);
        self.odd(&mut commit);
        commit
    }

    fn alarm(&mut self, commit: &mut Commit) {
        let finding = Finding {
            key: AlarmKey { rule: RuleId::new("r").unwrap(), subject: format!("s{}", self.step / 4) },
            level: if self.step % 4 < 2 { Level::Holds } else { Level::Ended },
            class: AlarmClass::Energy,
            priority: Priority::High,
            device: Some(device()),
            place: None,
            what: Text::new("高", "high"),
        };
        for change in self.book.apply(self.now(), &finding) {
            let alarm = change.alarm.clone();
            let before = self.content.alarms.remove(&alarm.id.0).map_or(0, |(_, steps)| steps);
            self.content.alarms.insert(alarm.id.0, (alarm, before + 1));
            self.owe(commit, Record::Alarm(change.clone()));
            commit.alarm_changes.push(change);
        }
    }

    fn owe(&mut self, commit: &mut Commit, record: Record) {
        let seq = self.content.next_seq;
        self.content.next_seq += 1;
        let item = OutboxItem {
            seq,
            destination: destination(),
            uid: format!("gw:{seq}"),
            created: self.now(),
            record,
        };
        self.content.owed.insert(seq, item.clone());
        commit.outbox.push(item);
    }

    fn odd(&mut self, commit: &mut Commit) {
        let stamp = Stamp::new(None, self.now());
        if self.chance.one_in(4) {
            let reason = format!("step {}", self.step);
            self.content.quarantine.push(reason.clone());
            commit.refused.push(Refused {
                device: None,
                bus: bus(),
                origin: "t".into(),
                kind: "not_json",
                reason,
                raw: vec![0x7b; 300],
                raw_len: 300,
                stamp,
            });
        }
        if self.chance.one_in(4) {
            let origin = format!("t/{}", self.chance.below(5));
            *self.content.strangers.entry(origin.clone()).or_insert(0) += 1;
            commit.unknown.push(Unknown { bus: bus(), origin, stamp });
        }
        let turn = self.step.unsigned_abs();
        let value = self.chance.bits();
        self.content.fingerprints.insert(turn, value);
        commit.fingerprints.push(Fingerprint { bus: bus(), turn, value, at: self.now() });
    }

    /// The platform takes some of what it is owed, and refuses one record for ever.
    fn settlement(&mut self) -> Settlement {
        let mut answer = Settlement::default();
        let seqs: Vec<u64> = self.content.owed.keys().copied().take(5).collect();
        for seq in seqs {
            self.content.owed.remove(&seq);
            if answer.set_aside.is_empty() && self.chance.one_in(5) {
                self.content.set_aside.insert(seq, "no such point".into());
                answer.set_aside.push((seq, "no such point".into()));
            } else {
                answer.delivered.push(seq);
            }
        }
        answer
    }
}

impl Script {
    pub fn new(seed: u64, length: usize) -> Self {
        let content = Content { next_seq: 1, ..Content::default() };
        let mut writer = Writer {
            chance: Chance::seeded(seed),
            book: AlarmBook::restore(Vec::new(), 1),
            content: content.clone(),
            step: 0,
        };
        let (mut steps, mut expected) = (Vec::new(), vec![content]);
        while steps.len() < length {
            writer.step += 1;
            steps.push(match writer.step % 23 {
                0 => Step::Reopen,
                n if n % 3 == 0 && !writer.content.owed.is_empty() => Step::Settle(writer.settlement()),
                _ => Step::Commit(Box::new(writer.commit())),
            });
            expected.push(writer.content.clone());
        }
        Self { steps, expected }
    }
}

/// A store under the workload.
pub struct Worker<'a> {
    dir: &'a Path,
    vfs: &'a str,
    store: Option<Store>,
}

impl<'a> Worker<'a> {
    pub fn open(dir: &'a Path, vfs: &'a str) -> Result<Self, StoreError> {
        Ok(Self { dir, vfs, store: Some(Store::open_on(dir, Some(vfs))?) })
    }

    /// The number that the next record owed would have.
    pub fn next_seq(&self) -> Option<u64> {
        self.store.as_ref()?.recall(PERIOD_SECS).ok().map(|remembered| remembered.next_seq)
    }

    /// Does one step; when this says that it is done, it must stay done.
    pub fn step(&mut self, step: &Step) -> Result<(), StoreError> {
        if self.store.is_none() {
            self.store = Some(Store::open_on(self.dir, Some(self.vfs))?);
        }
        let store = self.store.as_mut().unwrap();
        match step {
            Step::Commit(commit) => store.commit(&[commit]).map(drop),
            Step::Settle(answer) => store.settle(&destination(), answer, START).map(drop),
            Step::Reopen => {
                self.store = None;
                self.store = Some(Store::open_on(self.dir, Some(self.vfs))?);
                Ok(())
            }
        }
    }
}

fn all<T>(page: impl Fn(Option<u64>) -> Result<Page<T>, StoreError>) -> Result<Vec<(u64, T)>, StoreError> {
    let mut rows = Vec::new();
    let mut before = None;
    loop {
        let more = page(before)?;
        rows.extend(more.rows);
        before = more.next_before;
        if before.is_none() {
            rows.reverse();
            return Ok(rows);
        }
    }
}

impl Content {
    /// Starts the store on a directory as after a power failure and reads all that it has.
    pub fn read(dir: &Path) -> Result<Self, StoreError> {
        let mut store = Store::open(dir)?;
        let remembered = store.recall(PERIOD_SECS)?;
        let reader = Reader::open(dir)?;
        let readings = all(|before| reader.readings(None, None, before, 1000))?;
        let mut alarms = BTreeMap::new();
        for (id, alarm) in all(|before| reader.alarms(AlarmFilter::default(), before, 1000))? {
            let steps = reader.alarm(alarm.id)?.map_or(0, |(_, steps)| steps.len());
            alarms.insert(id, (alarm, steps));
        }
        let city = destination();
        let bits = |r: &StoredReading| r.reading.value.unwrap_or(f64::NAN).to_bits();
        Ok(Self {
            readings: readings.iter().map(|(_, r)| (r.stamp.gateway.0, bits(r))).collect(),
            serials: all(|before| reader.events(&EventFilter::default(), before, 1000))?
                .into_iter()
                .filter_map(|(_, stored)| stored.event.serial)
                .collect(),
            alarms,
            links: reader.links()?.into_iter().map(|l| (l.device.to_string(), l)).collect(),
            roll_ups: reader
                .roll_ups(None, Wall(0), Wall(i64::MAX))?
                .into_iter()
                .map(|r| (r.start.0, r))
                .collect(),
            owed: store.owed(&city, 1_000_000)?.into_iter().map(|item| (item.seq, item)).collect(),
            set_aside: all(|before| reader.set_aside(&city, before, 1000))?
                .into_iter()
                .map(|(seq, row)| (seq, row.reason))
                .collect(),
            quarantine: all(|before| reader.quarantine(before, 1000))?
                .into_iter()
                .map(|(_, row)| row.reason)
                .collect(),
            strangers: reader.strangers()?.into_iter().map(|s| (s.origin, s.messages)).collect(),
            fingerprints: remembered.fingerprints.iter().map(|f| (f.turn, f.value)).collect(),
            next_seq: remembered.next_seq,
        })
    }

    /// The number that the next record owed would have.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// What differs, in counts.
    pub fn difference(&self, found: &Self) -> String {
        let mut said = Vec::new();
        let mut tell = |what: &str, same: bool, wanted: usize, found: usize| {
            if !same {
                said.push(format!("{what}: {wanted} expected, {found} found"));
            }
        };
        macro_rules! each {
            ($($field:ident),*) => {
                $(tell(stringify!($field), self.$field == found.$field, self.$field.len(), found.$field.len());)*
            };
        }
        each!(
            readings,
            serials,
            alarms,
            links,
            roll_ups,
            owed,
            set_aside,
            quarantine,
            strangers,
            fingerprints
        );
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        tell("next_seq", self.next_seq == found.next_seq, number(self.next_seq), number(found.next_seq));
        said.join("; ")
    }
}

/// Whether the store on this directory opens, is sound and holds what one of `allowed` says, all of it and no more.
pub fn judge(dir: &Path, allowed: &[&Content]) -> Result<(), String> {
    let found = Content::read(dir).map_err(|error| format!("{}", schoolgate::runtime::Chain(&error)))?;
    let db = rusqlite::Connection::open(dir.join(schoolgate::store::FILE_NAME)).map_err(|e| e.to_string())?;
    let sound: String =
        db.query_row("pragma integrity_check", [], |row| row.get(0)).map_err(|e| e.to_string())?;
    if sound != "ok" {
        return Err(format!("the database is corrupt: {sound}"));
    }
    if allowed.contains(&&found) {
        return Ok(());
    }
    let differences: Vec<String> = allowed.iter().map(|wanted| wanted.difference(&found)).collect();
    Err(differences.join(" — or — "))
}

/// A directory in memory where there is some: what is on it is judged, not the disk.
pub fn memory_dir() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.expect("a directory")
}

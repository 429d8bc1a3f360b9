//! A workload for the store, the same for the same seed, and what must be in the store after each step of it.

use crate::oracle;
use hil::chance::Chance;
use hil::disk::{Disk, Files};
use schoolgate::alarm::{AlarmBook, Before, Setup};
use schoolgate::model::{
    Alarm, AlarmClass, AlarmKey, BusId, DestinationId, DeviceId, Event, EventKind, Fault, Link, Mono, Now,
    OutboxItem, Phase, PointId, PointKind, Priority, Reading, Record, Refused, RollUp, RuleId, Stamp, Text,
    Unit, Unknown, Wall,
};
use schoolgate::pipeline::{Commit, Fingerprint, LinkChange, StoredEvent, StoredReading};
use schoolgate::rules::{Finding, Level};
use schoolgate::store::{AlarmFilter, Depth, EventFilter, Page, Reader, Settlement, Store, StoreError};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

const START: Wall = Wall(1_790_000_000_000);
/// What a start looks at stays unsealed: it is of the last six steps.
const STEP_MS: i64 = 20 * 60_000;
/// Readings of a sealed file.
const SEAL_ROWS: u32 = 24;
/// Why readings are dropped here.
const DROPPED: &str = "room";
/// Length of the roll-ups in the workload, seconds.
const PERIOD_SECS: u32 = 900;

/// One thing done to the store; what it answers is acknowledged to somebody.
#[derive(Debug)]
pub enum Step {
    Commit(Box<Commit>),
    Settle(Settlement),
    /// Sealing, deleting what is dead, making hours and days: what the store does when nothing waits, to its end.
    Maintain(Now),
    /// The oldest sealed file makes room, if there is one.
    Drop(Wall),
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

/// A commit of one reading.
pub fn one_reading() -> Commit {
    let point = PointId::new("power").unwrap();
    let reading = Reading::new(point, 1.0, Unit::Watt, PointKind::Gauge);
    let stored = StoredReading { device: device(), stamp: Stamp::new(None, START), reading };
    Commit { readings: vec![stored], ..Commit::default() }
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

    fn moment(&self) -> Now {
        Now { mono: Mono((self.step * STEP_MS).unsigned_abs()), wall: self.now() }
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
        // Each period is made twice: the second time is a revision.
        let start = START.plus_ms(self.step / 2 * STEP_MS).period_start(i64::from(PERIOD_SECS) * 1000);
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
        for change in self.book.apply(self.moment(), &finding, &[]) {
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
            book: AlarmBook::restore(Before { next_id: 1, ..Before::default() }, Setup::default()),
            content: content.clone(),
            step: 0,
        };
        let (mut steps, mut expected) = (Vec::new(), vec![content]);
        while steps.len() < length {
            writer.step += 1;
            steps.push(match writer.step % 23 {
                0 => Step::Reopen,
                n if n % 7 == 0 => Step::Maintain(writer.moment()),
                17 => Step::Drop(writer.now()),
                n if n % 3 == 0 && !writer.content.owed.is_empty() => Step::Settle(writer.settlement()),
                _ => Step::Commit(Box::new(writer.commit())),
            });
            expected.push(writer.content.clone());
        }
        Self { steps, expected }
    }
}

/// The recorder's files as the store uses them.
#[derive(Debug)]
struct Beside(Files);

impl schoolgate::store::Disk for Beside {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.0.make_dir(path)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        self.0.create(path)
    }

    fn append(&self, file: &File, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.0.append(file, path, bytes)
    }

    fn sync(&self, _: &File, path: &Path) -> io::Result<()> {
        self.0.sync(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }
}

/// Opens a store all of whose files are on a disk that records and fails.
pub fn open_on(dir: &Path, disk: &Disk) -> Result<Store, StoreError> {
    Store::open_on(dir, Some(disk.name()), Arc::new(Beside(disk.files(dir))))
}

/// A store under the workload.
pub struct Worker<'a> {
    dir: &'a Path,
    disk: &'a Disk,
    store: Option<Store>,
    /// A step failed: the file is opened anew before anything else.
    distrusted: bool,
    /// How many readings were dropped, at least and at most: a drop that fails may be done all the same.
    pub dropped: RangeInclusive<u64>,
}

impl<'a> Worker<'a> {
    pub fn open(dir: &'a Path, disk: &'a Disk) -> Result<Self, StoreError> {
        let mut worker = Self { dir, disk, store: None, distrusted: false, dropped: 0..=0 };
        worker.start()?;
        Ok(worker)
    }

    fn start(&mut self) -> Result<(), StoreError> {
        self.store = None;
        let mut store = open_on(self.dir, self.disk)?;
        store.seal_rows(SEAL_ROWS);
        self.store = Some(store);
        self.distrusted = false;
        Ok(())
    }

    /// The number that the next record owed would have.
    pub fn next_seq(&self) -> Option<u64> {
        self.store.as_ref()?.recall(PERIOD_SECS).ok().map(|remembered| remembered.next_seq)
    }

    /// Does one step; when this says that it is done, it must stay done. After a failure, call it again with the same
    /// step: the file is opened anew, and a commit that is in it all the same is not made twice.
    pub fn step(&mut self, step: &Step) -> Result<(), StoreError> {
        let outcome = self.attempt(step);
        if outcome.is_err() {
            self.distrusted = true;
        }
        outcome
    }

    fn attempt(&mut self, step: &Step) -> Result<(), StoreError> {
        if let Some(store) = self.store.as_mut().filter(|_| self.distrusted) {
            let stored = store.reopen()?;
            self.distrusted = false;
            if stored && matches!(step, Step::Commit(_)) {
                return Ok(());
            }
        }
        if self.store.is_none() || matches!(step, Step::Reopen) {
            self.start()?;
        }
        let store = self.store.as_mut().unwrap();
        match step {
            Step::Commit(commit) => store.commit(&[commit]).map(drop),
            Step::Settle(answer) => store.settle(&destination(), answer, START).map(drop),
            Step::Maintain(now) => {
                while store.maintain(*now)? {}
                Ok(())
            }
            Step::Drop(at) => {
                let (least, most) = (*self.dropped.start(), *self.dropped.end());
                self.dropped = least..=most + u64::from(SEAL_ROWS);
                let gone = store.drop_oldest_readings(DROPPED, *at)?.map_or(0, |dropped| dropped.readings);
                self.dropped = least + gone..=most + gone;
                Ok(())
            }
            Step::Reopen => Ok(()),
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
    /// All that a store has.
    fn of(store: &mut Store, dir: &Path) -> Result<Self, StoreError> {
        let remembered = store.recall(PERIOD_SECS)?;
        let reader = Reader::open(dir)?;
        let readings = all(|before| reader.readings(None, None, before, 1000))?;
        let mut alarms = BTreeMap::new();
        for (id, alarm) in all(|before| reader.alarms(&AlarmFilter::default(), before, 1000))? {
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

    /// What differs, in counts, when the oldest `gone` readings were dropped.
    fn difference(&self, found: &Self, gone: usize, rescued: bool) -> String {
        let mut said = Vec::new();
        let mut tell = |what: &str, same: bool, wanted: usize, found: usize| {
            if !same {
                said.push(format!("{what}: {wanted} expected, {found} found"));
            }
        };
        let readings = self.readings.get(gone..).unwrap_or_default();
        tell("readings", readings == found.readings, readings.len(), found.readings.len());
        macro_rules! each {
            ($($field:ident),*) => {
                $(tell(stringify!($field), self.$field == found.$field, self.$field.len(), found.$field.len());)*
            };
        }
        each!(serials, alarms, links, roll_ups, owed, set_aside, quarantine, strangers, fingerprints);
        // Who was rescued leaves out numbers that it may have given.
        let same = self.next_seq == found.next_seq || rescued && found.next_seq > self.next_seq;
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        tell("next_seq", same, number(self.next_seq), number(found.next_seq));
        said.join("; ")
    }
}

/// What must be found on a directory.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// One of these, all of it and no more.
    pub contents: [&'a Content; 2],
    /// So many of the oldest readings were dropped on purpose.
    pub dropped: RangeInclusive<u64>,
    /// Calls failed: a database that could not be read may have been rescued.
    pub faults: bool,
}

impl Script {
    /// What must be there when so many steps were acknowledged: they, and of the one under way all or nothing.
    pub fn wanted(&self, marked: usize, dropped: RangeInclusive<u64>) -> Wanted<'_> {
        let here = &self.expected[marked];
        Wanted { contents: [here, self.expected.get(marked + 1).unwrap_or(here)], dropped, faults: false }
    }
}

impl Wanted<'_> {
    /// Starts the store on a directory as after a power failure: it opens, is sound, holds what it must, and still does
    /// so when it has done all that it does for itself.
    pub fn judge(&self, dir: &Path) -> Result<(), String> {
        let told = |error: StoreError| format!("{}", schoolgate::runtime::Chain(&error));
        let mut store = Store::open(dir).map_err(told)?;
        if let Some(rescued) = store.rescued().filter(|_| !self.faults) {
            return Err(format!("it was taken for damaged: {rescued:?}"));
        }
        self.compare(&mut store, dir)?;
        store.seal_rows(SEAL_ROWS);
        // Two days on, every hour and day that has parts is over.
        let later = |ms: u64| Now { mono: Mono(ms), wall: START.plus_ms(4 * 86_400_000) };
        for ms in [1_000, 86_400_000] {
            while store.maintain(later(ms)).map_err(told)? {}
        }
        self.compare(&mut store, dir).map_err(|problem| format!("after its upkeep, {problem}"))
    }

    fn compare(&self, store: &mut Store, dir: &Path) -> Result<(), String> {
        let found =
            Content::of(store, dir).map_err(|error| format!("{}", schoolgate::runtime::Chain(&error)))?;
        oracle::sound(dir, Depth::Whole)?;
        let dropped = dropped(dir).map_err(|error| error.to_string())?;
        let gone = dropped.get(DROPPED).copied().unwrap_or(0);
        if dropped.keys().any(|reason| reason != DROPPED) || !self.dropped.contains(&gone) {
            return Err(format!("{dropped:?} dropped, {:?} on purpose", self.dropped));
        }
        let rescued = self.faults && dir.join("damaged").exists();
        let differences: Vec<String> = self
            .contents
            .iter()
            .map(|wanted| wanted.difference(&found, usize::try_from(gone).unwrap(), rescued))
            .collect();
        if differences.iter().any(String::is_empty) { Ok(()) } else { Err(differences.join(" — or — ")) }
    }
}

/// How many readings were given up, by reason.
fn dropped(dir: &Path) -> rusqlite::Result<BTreeMap<String, u64>> {
    let db = oracle::look_at(dir)?;
    let mut statement = db.prepare("select reason, rows from dropped")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
    rows.collect()
}

/// A directory in memory where there is some: what is on it is judged, not the disk.
pub fn memory_dir() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.expect("a directory")
}

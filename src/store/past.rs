//! What is stored of a stretch of time, in the order in which it arrived, for rules that are tried on it.
//!
//! Readings come a sealed file or a page of rows at a time, events a page at a time: memory does not grow with the
//! stretch. Each table has an order of its own; between them the gateway's time decides.

use super::history::{self, DIRECTORY, HistoryFile, listed, sealed_through};
use super::read::event_of;
use super::recall::{each, passes_since};
use super::rows::{clock_of, get, link_of, quality_of, word};
use super::steps::turn_of;
use super::{AlarmStep, Doing, Reader, StoreError};
use crate::model::{
    Actor, AreaId, ArmMode, Body, ChangeKind, ClockQuality, DeviceId, Doubt, Event, Link, Observation,
    People, PointId, PointKind, Quality, Reading, RollUp, Stamp, Unit, Wall,
};
use crate::pipeline::StoredEvent;
use crate::trial::{Done, Told, Want, Wanted};
use jiff::tz::TimeZone;
use rusqlite::params;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Hot readings of one page.
const PAGE_READINGS: i64 = 50_000;
/// Events of one page.
const PAGE_EVENTS: i64 = 5_000;
/// A device's clock may be ahead, milliseconds; late readings are looked for so far behind.
const AHEAD_MS: i64 = crate::model::time::MAX_AHEAD_MS;
const LATE_MS: i64 = 24 * 3_600_000;

/// From when on there is something to judge by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reach {
    /// The oldest reading.
    pub readings: Option<Wall>,
    /// The oldest event.
    pub events: Option<Wall>,
    /// The oldest note that the gateway started.
    pub starts: Option<Wall>,
}

impl Reader {
    /// The last start of the gateway up to a moment, if it is noted.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn started_before(&self, at: Wall) -> Result<Option<Wall>, StoreError> {
        let sql = "select max(at) as at from audit where action = 'started' and at <= ?1";
        let rows = each(&self.db, sql, [at.0], |row| Ok(get::<Option<i64>>(row, "at")?.map(Wall)))?;
        Ok(rows.into_iter().flatten().next())
    }

    /// From when on there is something to judge by.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn reach(&self) -> Result<Reach, StoreError> {
        let oldest = |sql: &str| -> Result<Option<Wall>, StoreError> {
            let rows = each(&self.db, sql, [], |row| Ok(get::<Option<i64>>(row, "at")?.map(Wall)))?;
            Ok(rows.into_iter().flatten().next())
        };
        let hot = format!("select min(arrived) as at from reading where seq > {}", sealed_through(&self.db)?);
        let sealed = oldest("select min(first_at) as at from sealed")?;
        Ok(Reach {
            readings: sealed.into_iter().chain(oldest(&hot)?).min(),
            events: oldest("select min(arrived) as at from event")?,
            starts: oldest("select min(at) as at from audit where action = 'started'")?,
        })
    }

    /// What is stored of a stretch of time, for rules that need this much of it. It begins with a start. At each start of the gateway the
    /// periods of `recalled` are given, as far back as each says, by the school's days in `zone`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn past(
        &self,
        wanted: Wanted,
        (from, to): (Wall, Wall),
        recalled: BTreeMap<(DeviceId, PointId), Duration>,
        zone: &TimeZone,
    ) -> Result<Past<'_>, StoreError> {
        let people: People =
            self.people()?.into_iter().map(|(who, person)| (who, Arc::new(person))).collect();
        let series = each(&self.db, "select id, device, point, unit, kind from series", [], |row| {
            let id: i64 = get(row, "id")?;
            Ok((
                id,
                Series::of(
                    id,
                    &get::<String>(row, "device")?,
                    &SeriesWords {
                        point: &get::<String>(row, "point")?,
                        unit: &get::<String>(row, "unit")?,
                        kind: &get::<String>(row, "kind")?,
                    },
                )?,
            ))
        })?;
        let steps = self.alarm_steps(from, to)?;
        let mut marks = self.marks(&wanted, (from, to), &steps)?;
        if !matches!(marks.front(), Some((at, Mark::Started)) if *at == from) {
            // Whatever ran then, what is shown begins here.
            marks.push_front((from, Mark::Started));
        }
        let dones = steps.into_iter().filter_map(done).collect();
        Ok(Past {
            reader: self,
            wanted,
            from,
            to,
            people,
            recalled,
            zone: zone.clone(),
            series: series.into_iter().collect(),
            readings: Batch::default(),
            next_reading: 0,
            last_reading: 0,
            no_readings: false,
            events: VecDeque::new(),
            last_event: 0,
            no_events: false,
            marks,
            dones,
            passes: Vec::new(),
            periods: Vec::new(),
            seen: None,
            kept: None,
            count: 0,
        })
    }

    /// The number of the first event that arrived at a moment or later; beyond the last if there is none.
    fn first_event_from(&self, at: Wall) -> Result<i64, StoreError> {
        let sql = "select min(seq) as seq from event where arrived >= ?1";
        let rows = each(&self.db, sql, [at.0], |row| get::<Option<i64>>(row, "seq"))?;
        Ok(rows.into_iter().flatten().next().unwrap_or(i64::MAX))
    }

    /// Starts, links and settings of the clock, in their order.
    fn marks(
        &self,
        wanted: &Wanted,
        (from, to): (Wall, Wall),
        steps: &[AlarmStep],
    ) -> Result<VecDeque<(Wall, Mark)>, StoreError> {
        let rows = each(
            &self.db,
            "select seq, at, actor, action, subject, detail from audit \
             where action in ('started', 'link', 'clock_set', 'armed', 'partial', 'disarmed') \
             and at >= ?1 and at < ?2 order by seq",
            [from.0, to.0],
            |row| {
                let texts: (String, String, String, String) =
                    (get(row, "action")?, get(row, "subject")?, get(row, "detail")?, get(row, "actor")?);
                Ok((Wall(get(row, "at")?), texts))
            },
        )?;
        let mut marks: VecDeque<(Wall, Mark)> = VecDeque::new();
        for (at, (action, subject, detail, actor)) in rows {
            match action.as_str() {
                "started" => {
                    // What was due before the gateway stopped was done, as far as anything is known of it then; nothing
                    // was due after.
                    let heard = number_in(&detail, "last_heard_ms=").map(Wall).filter(|heard| *heard < at);
                    let steps = steps.get(..steps.partition_point(|step| step.at < at)).unwrap_or_default();
                    let alive = steps.last().map(|step| step.at).max(heard);
                    let news =
                        |last: &Wall| *last >= from && marks.back().is_none_or(|(before, _)| before <= last);
                    marks.extend(alive.filter(news).map(|last| (last, Mark::Alive)));
                    marks.push_back((at, Mark::Started));
                }
                "clock_set" => {
                    let by_ms = number_in(&detail, "by_ms=");
                    marks.extend(by_ms.map(|by_ms| (at, Mark::ClockSet(by_ms))));
                }
                "armed" | "partial" | "disarmed" => {
                    let turned = turn_of(&action, &subject).zip(Actor::named(&actor));
                    marks.extend(turned.map(|((area, mode), by)| (at, Mark::Turned(area, mode, by))));
                }
                _ if wanted.events(&subject) => {
                    if let Ok(device) = DeviceId::new(&subject) {
                        marks.push_back((at, Mark::Link(device, link_of(detail == "up", Some(&detail)))));
                    }
                }
                _ => {}
            }
        }
        Ok(marks)
    }
}

/// The number behind a word of a note.
fn number_in(detail: &str, word: &str) -> Option<i64> {
    detail.split(' ').find_map(|part| part.strip_prefix(word))?.parse().ok()
}

/// What was done to an alarm, as against what its rule and time do to it.
fn done(step: AlarmStep) -> Option<(Wall, Done)> {
    let by_itself = matches!(
        step.kind,
        ChangeKind::Raised
            | ChangeKind::Recurred
            | ChangeKind::Cleared
            | ChangeKind::Closed
            | ChangeKind::Chattering
            | ChangeKind::Settled
            | ChangeKind::Suppressed
            | ChangeKind::Unsuppressed
    );
    let AlarmStep { key, kind, at, actor, note } = step;
    (!by_itself).then_some((at, Done { key, kind, actor, note }))
}

/// What the audit trail tells.
#[derive(Debug)]
enum Mark {
    Started,
    ClockSet(i64),
    Link(DeviceId, Link),
    Turned(AreaId, ArmMode, Actor),
    Alive,
}

/// What a series is of.
#[derive(Debug, Clone)]
struct Series {
    device: DeviceId,
    point: PointId,
    unit: Unit,
    kind: PointKind,
}

struct SeriesWords<'a> {
    point: &'a str,
    unit: &'a str,
    kind: &'a str,
}

impl Series {
    fn of(row: i64, device: &str, words: &SeriesWords<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            device: word("series", row, device, |t| DeviceId::new(t).ok())?,
            point: word("series", row, words.point, |t| PointId::new(t).ok())?,
            unit: word("series", row, words.unit, Unit::from_symbol)?,
            kind: word("series", row, words.kind, PointKind::from_word)?,
        })
    }
}

/// Readings of one sealed file, or a page of rows.
#[derive(Debug, Default)]
struct Batch {
    /// One of each series, into which its next reading is written.
    seen: Vec<Observation>,
    rows: Vec<Value>,
}

#[derive(Debug, Clone, Copy)]
struct Value {
    seq: i64,
    stamp: Stamp,
    value: Option<f64>,
    quality: Quality,
    series: usize,
}

impl Batch {
    fn series(&mut self, of: &Series) -> usize {
        let Series { device, point, unit, kind } = of.clone();
        let reading = Reading { point, value: None, unit, kind, quality: Quality::Good };
        let stamp = Stamp { device: None, gateway: Wall(0), clock: ClockQuality::NoDeviceTime };
        self.seen.push(Observation { device, stamp, body: Body::Reading(reading), retained: false });
        self.seen.len() - 1
    }
}

/// What is stored of a stretch of time.
#[derive(Debug)]
pub struct Past<'r> {
    reader: &'r Reader,
    wanted: Wanted,
    from: Wall,
    to: Wall,
    people: People,
    recalled: BTreeMap<(DeviceId, PointId), Duration>,
    zone: TimeZone,
    series: HashMap<i64, Series>,
    readings: Batch,
    next_reading: usize,
    last_reading: i64,
    no_readings: bool,
    events: VecDeque<(i64, StoredEvent)>,
    last_event: i64,
    no_events: bool,
    marks: VecDeque<(Wall, Mark)>,
    dones: VecDeque<(Wall, Done)>,
    passes: Vec<(DeviceId, Stamp, Event)>,
    periods: Vec<RollUp>,
    /// What was given last.
    seen: Option<Observation>,
    kept: Option<Done>,
    /// How many readings were given so far.
    pub count: u64,
}

/// Which of the orders is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stream {
    Marks,
    Dones,
    Events,
    Readings,
}

impl Past<'_> {
    /// The next thing, and when it arrived; `None` at the end.
    ///
    /// # Errors
    /// When the database or a sealed file cannot be read.
    pub fn take_next(&mut self) -> Result<Option<(Wall, Told<'_>)>, StoreError> {
        self.fill()?;
        let heads = [
            self.marks.front().map(|(at, _)| (*at, Stream::Marks)),
            self.dones.front().map(|(at, _)| (*at, Stream::Dones)),
            self.events.front().map(|(_, event)| (event.stamp.gateway, Stream::Events)),
            self.readings.rows.get(self.next_reading).map(|row| (row.stamp.gateway, Stream::Readings)),
        ];
        let Some((at, next)) = heads.into_iter().flatten().min() else { return Ok(None) };
        let told = match next {
            Stream::Marks => self.mark()?,
            Stream::Dones => self.done(),
            Stream::Events => self.event(),
            Stream::Readings => self.reading(),
        };
        Ok(told.map(|told| (at, told)))
    }

    fn reading(&mut self) -> Option<Told<'_>> {
        let row = *self.readings.rows.get(self.next_reading)?;
        self.next_reading += 1;
        self.count += 1;
        let seen = self.readings.seen.get_mut(row.series)?;
        seen.stamp = row.stamp;
        seen.retained = row.quality == Quality::Uncertain(Doubt::Retained);
        if let Body::Reading(reading) = &mut seen.body {
            (reading.value, reading.quality) = (row.value, row.quality);
        }
        Some(Told::Seen(seen))
    }

    fn event(&mut self) -> Option<Told<'_>> {
        let (_, StoredEvent { device, stamp, retained, mut event }) = self.events.pop_front()?;
        if let Some(credential) = &mut event.credential {
            credential.known = credential.person.as_ref().and_then(|who| self.people.get(who)).cloned();
        }
        let seen = Observation { device, stamp, body: Body::Event(event), retained };
        Some(Told::Seen(self.seen.insert(seen)))
    }

    fn done(&mut self) -> Option<Told<'_>> {
        let (_, done) = self.dones.pop_front()?;
        Some(Told::Done(self.kept.insert(done)))
    }

    fn mark(&mut self) -> Result<Option<Told<'_>>, StoreError> {
        let Some((at, mark)) = self.marks.pop_front() else { return Ok(None) };
        Ok(Some(match mark {
            Mark::Alive => Told::Alive,
            Mark::ClockSet(by_ms) => Told::ClockSet(by_ms),
            Mark::Turned(area, mode, by) => Told::Turned { area, mode, by },
            Mark::Link(device, link) => {
                let stamp = Stamp::new(None, at);
                let seen = Observation { device, stamp, body: Body::Link(link), retained: false };
                Told::Seen(self.seen.insert(seen))
            }
            Mark::Started => {
                let before = match self.events.front() {
                    Some((seq, _)) => *seq,
                    None => self.reader.first_event_from(at)?,
                };
                self.passes = passes_since(&self.reader.db, before)?;
                for (_, _, event) in &mut self.passes {
                    if let Some(credential) = &mut event.credential {
                        let who = credential.person.as_ref();
                        credential.known = who.and_then(|who| self.people.get(who)).cloned();
                    }
                }
                self.periods = self.reader.periods_before(&self.recalled, at, &self.zone)?;
                Told::Started { passes: &self.passes, periods: &self.periods }
            }
        }))
    }

    /// Sees to it that the next reading and the next event are at hand, unless there is none.
    fn fill(&mut self) -> Result<(), StoreError> {
        while self.next_reading >= self.readings.rows.len() && !self.no_readings {
            self.readings = Batch::default();
            self.next_reading = 0;
            self.fill_readings()?;
        }
        while self.events.is_empty() && !self.no_events {
            self.fill_events()?;
        }
        Ok(())
    }

    fn fill_events(&mut self) -> Result<(), StoreError> {
        let sql = "select * from event where seq > ?1 order by seq limit ?2";
        let rows = each(&self.reader.db, sql, params![self.last_event, PAGE_EVENTS], |row| {
            Ok((get::<i64>(row, "seq")?, event_of(row)))
        })?;
        self.no_events = rows.is_empty();
        for (seq, stored) in rows {
            self.last_event = seq;
            // `schoolgate db verify` finds one that cannot be read.
            let Ok(stored) = stored else { continue };
            let at = stored.stamp.gateway;
            if at >= self.from && at < self.to && self.wanted.events(stored.device.as_str()) {
                self.events.push_back((seq, stored));
            }
        }
        Ok(())
    }

    fn fill_readings(&mut self) -> Result<(), StoreError> {
        let tx = self.reader.db.unchecked_transaction().doing("beginning to read")?;
        let of_span = "where last_seq > ?1 and last_at >= ?2 and first_at < ?3 order by first_seq limit 1";
        let bounds = [self.last_reading, self.from.plus_ms(-LATE_MS).0, self.to.plus_ms(AHEAD_MS).0];
        let next = listed(&tx, of_span, bounds)?.pop();
        if let Some(sealed) = next {
            tx.finish().doing("ending to read")?;
            match self.fill_sealed(&sealed) {
                // Dropped since it was listed.
                Err(StoreError::File { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {}
                filled => filled?,
            }
            self.last_reading = sealed.last_seq;
            return Ok(());
        }
        let after = sealed_through(&tx)?.max(self.last_reading);
        let rows = each(
            &tx,
            "select seq, series, arrived, device_at, clock, value, quality, doubt from reading \
             where seq > ?1 order by seq limit ?2",
            params![after, PAGE_READINGS],
            |row| {
                let doubt: Option<String> = get(row, "doubt")?;
                let value = Value {
                    seq: get(row, "seq")?,
                    stamp: Stamp {
                        device: get::<Option<i64>>(row, "device_at")?.map(Wall),
                        gateway: Wall(get(row, "arrived")?),
                        clock: clock_of(get(row, "clock")?),
                    },
                    value: get(row, "value")?,
                    quality: quality_of(get(row, "quality")?, doubt.as_deref()),
                    series: 0,
                };
                Ok((get::<i64>(row, "series")?, value))
            },
        )?;
        tx.finish().doing("ending to read")?;
        self.no_readings = rows.is_empty();
        let mut places: HashMap<i64, Option<(usize, Want)>> = HashMap::new();
        let mut last: HashMap<DeviceId, (Wall, bool)> = HashMap::new();
        for (id, value) in rows {
            self.last_reading = value.seq;
            let Some(series) = self.series.get(&id) else { continue };
            let (batch, wanted) = (&mut self.readings, &self.wanted);
            let place = places.entry(id).or_insert_with(|| {
                let want = wanted.point(series.device.as_str(), series.point.as_str());
                (want != Want::No).then(|| (batch.series(series), want))
            });
            let Some((place, want)) = *place else { continue };
            if self.counts(&value, want, last.entry(series.device.clone()).or_insert((Wall(i64::MIN), false)))
            {
                self.readings.rows.push(Value { series: place, ..value });
            }
        }
        Ok(())
    }

    fn fill_sealed(&mut self, sealed: &history::Sealed) -> Result<(), StoreError> {
        let file = HistoryFile::open(&self.reader.dir.join(DIRECTORY).join(&sealed.file))?;
        for place in file.places().iter().filter(|place| self.wanted.readings(&place.device)) {
            let chunk =
                file.chunk(place, |name| self.wanted.point(&place.device, &name.point) != Want::No)?;
            let mut series = Vec::with_capacity(chunk.names.len());
            for name in &chunk.names {
                let words = SeriesWords { point: &name.point, unit: &name.unit, kind: &name.kind };
                let of = Series::of(place.first_seq, &place.device, &words)?;
                series.push((self.readings.series(&of), self.wanted.point(&place.device, &name.point)));
            }
            let mut last = (Wall(i64::MIN), false);
            for row in chunk.rows.iter().filter(|row| row.seq > self.last_reading) {
                let Some((at, want)) = usize::try_from(row.series).ok().and_then(|n| series.get(n)) else {
                    continue;
                };
                let doubt = row.doubt.checked_sub(1).and_then(|n| chunk.doubts.get(usize::from(n)));
                let value = Value {
                    seq: row.seq,
                    stamp: Stamp {
                        device: row.device_at.map(Wall),
                        gateway: Wall(row.arrived),
                        clock: clock_of(i64::from(row.clock)),
                    },
                    value: row.value,
                    quality: quality_of(i64::from(row.quality), doubt.map(String::as_str)),
                    series: *at,
                };
                if self.counts(&value, *want, &mut last) {
                    self.readings.rows.push(value);
                }
            }
        }
        // Each device's are in order already.
        self.readings.rows.sort_by_key(|row| row.seq);
        Ok(())
    }

    /// Whether a reading is within the stretch and not one more of a moment of which one is enough.
    fn counts(&self, value: &Value, want: Want, last: &mut (Wall, bool)) -> bool {
        let at = value.stamp.gateway;
        let here = (at, value.quality == Quality::Uncertain(Doubt::Retained));
        let again = std::mem::replace(last, here) == here;
        at >= self.from && at < self.to && !(again && want == Want::Presence)
    }
}

//! `cold_chain`: a refrigerator or freezer does not keep what is in it cold, or nobody can say that it does.

use super::band::{Band, Side};
use super::subject::{self, Header, Measured, Subject, shown};
use super::timers::Timers;
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::document::Reader;
use crate::model::few::Few;
use crate::model::{
    AlarmClass, Body, DeviceId, EventKind, Mono, Now, Observation, Phase, PointId, Priority, RuleId, Unit,
};
use crate::profile::Point;
use std::collections::BTreeSet;
use std::time::Duration;

const DEFAULT_FOR: Duration = Duration::from_secs(600);
const DEFAULT_SILENCE: Duration = Duration::from_secs(1800);

pub(super) const KIND: RuleKind = RuleKind {
    name: "cold_chain",
    doc: "A refrigerator or freezer is too warm or too cold for longer than a tolerance, gives no good reading for a \
          while (also right after the gateway's start), or its probe is stuck: one alarm per device, which says which. \
          While one of the contacts is open (the door, or a defrosting relay) the tolerance does not run, for open_secs \
          in all until it is cold again. One rule per refrigerator, or group of them behind one door, if there are \
          contacts.",
    example: r#"class = "sensor"               # which devices; see "Which devices"
point = "temperature"
above = 8.0                    # above and/or below
below = 2.0
unit = "°C"
deadband = 0.5                 # good again from 2.5 to 7.5 °C; 0 unless told otherwise
for_secs = 600                 # the tolerance; 600 unless told otherwise
contacts = ["door1"]           # devices with contact events; none unless told otherwise
open_secs = 900                # the allowance while a contact is open; as for_secs unless told otherwise
no_reading_secs = 1800         # 1800 unless told otherwise
stuck_secs = 21600             # the very same value for so long is a stuck probe; never unless told otherwise
alarm_class = "environment"    # environment unless told otherwise
priority = "high"              # high unless told otherwise
"#,
    parse,
};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// Beyond the limit of a side for longer than the tolerance.
    Beyond(Side),
    NoReading,
    Stuck,
}

/// Why a timer runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Tolerance,
    Silence,
}

/// One probe.
#[derive(Debug)]
struct Watching {
    measured: Measured,
    bands: Vec<Band>,
    /// The last good value, and since when it is the very same.
    value: Option<(f64, Mono)>,
    /// Whether it has been seen to change.
    lives: bool,
    stuck: bool,
    /// Which limit it is beyond, and since when.
    beyond: Option<(Band, Mono)>,
    /// How much of the allowance is used, without what is being used now.
    used: Duration,
    tolerance_over: bool,
    silent: bool,
    /// What was last said; nothing since the start.
    said: Option<Option<Wrong>>,
}

#[derive(Debug)]
struct ColdChain {
    header: Header,
    tolerance: Duration,
    allowance: Duration,
    silence: Duration,
    stuck: Option<Duration>,
    watching: Few<DeviceId, Watching>,
    contacts: BTreeSet<DeviceId>,
    open: BTreeSet<DeviceId>,
    /// Since when one of the contacts is open.
    open_from: Option<Mono>,
    timers: Timers<(DeviceId, Due)>,
}

impl Rule for ColdChain {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        let probes = self.watching.iter().map(|(device, _)| device);
        let all: BTreeSet<_> = probes.chain(&self.contacts).collect();
        Watch::Devices(all.into_iter().cloned().collect())
    }

    fn judges(&self, subject: &str) -> bool {
        self.watching.iter().any(|(device, _)| device.as_str() == subject)
    }

    fn points(&self) -> Vec<(DeviceId, PointId)> {
        self.watching.iter().map(|(device, of)| (device.clone(), of.measured.point.clone())).collect()
    }

    fn start(&mut self, now: Now) {
        self.timers.clear();
        self.open.clear();
        self.open_from = None;
        for (device, watching) in self.watching.iter_mut() {
            watching.forget();
            self.timers.set(&(device.clone(), Due::Silence), Some(now.mono.plus(self.silence)));
        }
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        if let Body::Event(event) = &seen.body {
            if event.kind == EventKind::Contact && event.phase != Phase::Moment {
                self.opens(now, &seen.device, event.phase == Phase::Start);
            }
            return;
        }
        let Some(watching) = self.watching.get_mut(&seen.device) else { return };
        let Some(value) = watching.measured.value(seen) else { return };
        watching.see(now, value, self.stuck);
        self.timers.set(&(seen.device.clone(), Due::Silence), Some(now.mono.plus(self.silence)));
        let due = watching.due(self.tolerance, self.allowance, self.open_from.is_some());
        if due.is_some_and(|due| due <= now.mono) {
            watching.tolerance_over = true;
        }
        let due = due.filter(|_| !watching.tolerance_over);
        self.timers.set(&(seen.device.clone(), Due::Tolerance), due);
        out.extend(watching.say(&self.header, self.stuck, self.silence));
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.timers.next()
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        for (device, due) in self.timers.take_due(now.mono) {
            let Some(watching) = self.watching.get_mut(&device) else { continue };
            match due {
                Due::Tolerance => watching.tolerance_over = true,
                Due::Silence => watching.silent = true,
            }
            out.extend(watching.say(&self.header, self.stuck, self.silence));
        }
    }
}

impl ColdChain {
    /// A contact has opened or closed.
    fn opens(&mut self, now: Now, contact: &DeviceId, opens: bool) {
        if !self.contacts.contains(contact) {
            return;
        }
        if opens {
            self.open.insert(contact.clone());
        } else {
            self.open.remove(contact);
        }
        match (self.open.is_empty(), self.open_from) {
            (false, None) => self.open_from = Some(now.mono),
            (true, Some(from)) => {
                self.open_from = None;
                for (_, watching) in self.watching.iter_mut() {
                    watching.use_up(now, from, self.allowance);
                }
            }
            _ => return,
        }
        for (device, watching) in self.watching.iter().filter(|(_, watching)| !watching.tolerance_over) {
            let due = watching.due(self.tolerance, self.allowance, self.open_from.is_some());
            self.timers.set(&(device.clone(), Due::Tolerance), due);
        }
    }
}

impl Watching {
    fn forget(&mut self) {
        self.value = None;
        (self.lives, self.stuck) = (false, false);
        self.back();
        self.silent = false;
        self.said = None;
    }

    /// It is within its limits.
    fn back(&mut self) {
        self.beyond = None;
        self.used = Duration::ZERO;
        self.tolerance_over = false;
    }

    fn see(&mut self, now: Now, value: f64, stuck: Option<Duration>) {
        self.silent = false;
        let since = match self.value {
            // A stuck probe gives the very same bits.
            Some((before, since)) if before.to_bits() == value.to_bits() => since,
            Some(_) => {
                self.lives = true;
                now.mono
            }
            None => now.mono,
        };
        self.value = Some((value, since));
        self.stuck = stuck.is_some_and(|stuck| now.mono.since(since) >= stuck);
        self.lives &= !self.stuck;
        let beyond = self.bands.iter().find(|band| band.judge(value) == Some(true)).copied();
        match (beyond, self.beyond) {
            (Some(now_beyond), Some((before, _))) if now_beyond.side == before.side => {}
            (Some(band), _) => {
                self.back();
                self.beyond = Some((band, now.mono));
            }
            (None, Some((band, _))) if band.judge(value) == Some(false) => self.back(),
            (None, _) => {}
        }
    }

    /// When the tolerance is over. While a contact is open it is as if it stayed so for the whole allowance.
    fn due(&self, tolerance: Duration, allowance: Duration, open: bool) -> Option<Mono> {
        let (_, since) = self.beyond?;
        Some(since.plus(tolerance).plus(if open { allowance } else { self.used }))
    }

    /// The contacts are closed again.
    fn use_up(&mut self, now: Now, open_from: Mono, allowance: Duration) {
        if let Some((_, since)) = self.beyond {
            let opened = now.mono.since(open_from.max(since));
            self.used = self.used.saturating_add(opened).min(allowance);
        }
    }

    fn wrong(&self) -> Option<Wrong> {
        match self.beyond {
            Some((band, _)) if self.tolerance_over => Some(Wrong::Beyond(band.side)),
            _ if self.silent => Some(Wrong::NoReading),
            _ => self.stuck.then_some(Wrong::Stuck),
        }
    }

    fn say(&mut self, header: &Header, stuck: Option<Duration>, silence: Duration) -> Option<Finding> {
        let wrong = self.wrong();
        // It is not well before it is seen to be cold, by a probe that lives.
        let well = self.value.is_some() && self.beyond.is_none() && (stuck.is_none() || self.lives);
        if self.said == Some(wrong) || (wrong.is_none() && !well) {
            return None;
        }
        self.said = Some(wrong);
        let level = if wrong.is_some() { Level::Holds } else { Level::Ended };
        let what = match (wrong, self.value) {
            (Some(Wrong::Beyond(side)), Some((value, _))) => {
                let limit = self.bands.iter().find(|band| band.side == side).map_or(value, |band| band.limit);
                match side {
                    Side::Above => self.measured.says(value, "温度过高，高于", "too warm, above", limit),
                    Side::Below => self.measured.says(value, "温度过低，低于", "too cold, below", limit),
                }
            }
            (Some(Wrong::Stuck), Some((value, _))) => {
                let (value, secs) = (shown(value, self.measured.unit), stuck.unwrap_or_default().as_secs());
                self.measured.subject.says(
                    format!("读数 {value} 已 {secs} 秒不变，探头可能故障"),
                    format!("has read {value} for {secs} s: the probe may be stuck"),
                )
            }
            (Some(_), _) => {
                let secs = silence.as_secs();
                self.measured.subject.says(
                    format!("{secs} 秒没有有效温度读数"),
                    format!("no good reading of its temperature for {secs} s"),
                )
            }
            (None, _) => self.measured.subject.says("温度恢复正常", "its temperature is well again"),
        };
        Some(header.finding(&self.measured.subject, level, what))
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let points = subject::points(reader, world);
    if !reader.has("above") && !reader.has("below") {
        reader.problem(
            "above",
            ("没有写多热、多冷算超限", "nothing is too warm or too cold"),
            (
                "加上 `above = <数>` 或 `below = <数>`，也可以都写",
                "add `above = <number>`, `below = <number>`, or both",
            ),
        );
    }
    let limits: Vec<_> = [(Side::Above, "above"), (Side::Below, "below")]
        .into_iter()
        .filter(|(_, key)| reader.has(key))
        .filter_map(|(side, key)| Some((side, key, subject::limit(reader, key)?)))
        .collect();
    let unit = subject::unit(reader);
    let deadband = reader.number_opt("deadband", 0.0..=1e12).unwrap_or(0.0);
    if let [(_, _, above), (_, _, below)] = limits.as_slice()
        && above - deadband < below + deadband
    {
        reader.problem(
            "deadband",
            ("没有哪个温度算正常", "no temperature would be good"),
            (
                "above 要大于 below，回差要在两者之间留有余地",
                "write above higher than below, and a deadband that leaves room between them",
            ),
        );
    }
    let tolerance = subject::secs_opt(reader, "for_secs", 0..=24 * 3600).unwrap_or(DEFAULT_FOR);
    let contacts = contacts(reader, world);
    let allowance = subject::secs_opt(reader, "open_secs", 0..=24 * 3600);
    if allowance.is_some() && !reader.has("contacts") {
        reader.problem(
            "open_secs",
            ("没有写门磁，无从判断是否打开", "there is no contact to be open"),
            ("加上 contacts = [\"…\"]，或删去这一行", "add contacts = [\"…\"], or leave it out"),
        );
    }
    let silence = subject::secs_opt(reader, "no_reading_secs", 60..=24 * 3600).unwrap_or(DEFAULT_SILENCE);
    let stuck = subject::secs_opt(reader, "stuck_secs", 60..=30 * 24 * 3600);
    let header = Header::parse(reader, id, AlarmClass::Environment, Priority::High);
    let unit = unit?;
    let watch = |(subject, point): (Subject, &Point)| {
        let watched = world.devices.get(&subject.device)?;
        subject::polled_within(reader, "no_reading_secs", (silence, 2), watched, point);
        if let Some(stuck) = stuck {
            subject::polled_within(reader, "stuck_secs", (stuck, 3), watched, point);
        }
        let bands = bands(reader, &limits, (deadband, unit), point)?;
        Some((subject.device.clone(), Watching::new(Measured::new(subject, point), bands)))
    };
    let watching = points.into_iter().filter_map(watch).collect();
    let rule = ColdChain {
        header,
        tolerance,
        allowance: allowance.unwrap_or(tolerance),
        silence,
        stuck,
        watching,
        contacts,
        open: BTreeSet::new(),
        open_from: None,
        timers: Timers::new(),
    };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

impl Watching {
    fn new(measured: Measured, bands: Vec<Band>) -> Self {
        Self {
            measured,
            bands,
            value: None,
            lives: false,
            stuck: false,
            beyond: None,
            used: Duration::ZERO,
            tolerance_over: false,
            silent: false,
            said: None,
        }
    }
}

/// The limits in the point's unit; `None` if one does not fit it.
fn bands(
    reader: &Reader<'_>,
    limits: &[(Side, &str, f64)],
    (deadband, unit): (f64, Unit),
    point: &Point,
) -> Option<Vec<Band>> {
    let mut bands = Vec::new();
    for (side, key, limit) in limits {
        let clear = subject::converted(reader, side.clear(*limit, deadband), unit, point)?;
        let limit = subject::converted(reader, *limit, unit, point)?;
        let band = Band { side: *side, limit, clear };
        if !band.fits(reader, key, point.id.as_str(), point.range, point.unit) {
            return None;
        }
        bands.push(band);
    }
    Some(bands)
}

fn contacts(reader: &Reader<'_>, world: &World) -> BTreeSet<DeviceId> {
    let mut contacts = BTreeSet::new();
    for (id, watched) in subject::named(reader, reader.texts("contacts"), world) {
        if !watched.profile.events.contains(&EventKind::Contact) {
            reader.problem(
                "contacts",
                (
                    format!("模板 '{}' 没有 'contact' 事件", watched.profile.id),
                    format!("the profile '{}' gives no 'contact' events", watched.profile.id),
                ),
                ("写门磁的编号，或化霜触点的编号", "name the contact of the door, or of the defrosting"),
            );
        }
        contacts.insert(id.clone());
    }
    contacts
}

#[cfg(test)]
mod tests;

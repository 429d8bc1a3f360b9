//! `coverage_lost`: no device of an area is there any more.

use super::scope::area;
use super::subject::{self, Header};
use super::timers::Timers;
use super::{Finding, Level, Rule, RuleKind, Watch, World};
use crate::document::Reader;
use crate::model::{
    AlarmClass, Body, DeviceId, Link, Mono, Now, Observation, Place, PlaceId, PlaceKind, Priority, RuleId,
    Text,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// A device may miss three polls.
const MISSED_POLLS: u32 = 3;

pub(super) const KIND: RuleKind = RuleKind {
    name: "coverage_lost",
    doc: "Of the chosen devices in an area none is there: each is known not to answer, or has not been heard of for \
          three of its polls, also right after the gateway's start. A device that gives no values is there while its \
          driver says so.",
    example: r#"class = "camera"               # which devices; see "Which devices"
per = "building"               # one alarm per campus, building, floor or room; building unless told otherwise
alarm_class = "security"       # security unless told otherwise
priority = "high"              # high unless told otherwise
"#,
    parse,
};

#[derive(Debug)]
struct Watching {
    area: PlaceId,
    after: Duration,
    /// It gives values by itself: silence is absence.
    speaks: bool,
    /// Whether it is there; `None` while there was no time to say so.
    there: Option<bool>,
}

#[derive(Debug)]
struct CoverageLost {
    header: Header,
    watching: BTreeMap<DeviceId, Watching>,
    /// What was last said of each area.
    areas: BTreeMap<PlaceId, (Place, Option<bool>)>,
    timers: Timers<DeviceId>,
}

impl Rule for CoverageLost {
    fn id(&self) -> &RuleId {
        &self.header.rule
    }

    fn header(&self) -> Option<&Header> {
        Some(&self.header)
    }

    fn watches(&self) -> Watch {
        Watch::Devices(self.watching.keys().cloned().collect())
    }

    fn judges(&self, subject: &str) -> bool {
        self.areas.contains_key(subject)
    }

    fn absent(&self, subject: &str) -> Vec<DeviceId> {
        let here = self.watching.iter().filter(|(_, watching)| watching.area.as_str() == subject);
        here.map(|(device, _)| device.clone()).collect()
    }

    fn start(&mut self, now: Now) {
        self.timers.clear();
        self.areas.values_mut().for_each(|(_, said)| *said = None);
        for (device, watching) in &mut self.watching {
            watching.there = None;
            self.timers.set(device, Some(now.mono.plus(watching.after)));
        }
    }

    fn observe(&mut self, now: Now, seen: &Observation, out: &mut Vec<Finding>) {
        let Some(watching) = self.watching.get_mut(&seen.device) else { return };
        let there = match &seen.body {
            Body::Link(Link::Down(_)) => false,
            Body::Link(Link::Up) => true,
            Body::Reading(_) | Body::Event(_) if seen.retained => return,
            Body::Reading(_) | Body::Event(_) => true,
        };
        let silence = (there && watching.speaks).then(|| now.mono.plus(watching.after));
        self.timers.set(&seen.device, silence);
        if watching.there.replace(there) != Some(there) {
            let area = watching.area.clone();
            self.judge(&area, out);
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.timers.next()
    }

    fn expire(&mut self, now: Now, out: &mut Vec<Finding>) {
        for device in self.timers.take_due(now.mono) {
            let Some(watching) = self.watching.get_mut(&device) else { continue };
            watching.there = Some(false);
            let area = watching.area.clone();
            self.judge(&area, out);
        }
    }
}

impl CoverageLost {
    fn judge(&mut self, area: &PlaceId, out: &mut Vec<Finding>) {
        let Some((place, said)) = self.areas.get_mut(area) else { return };
        let (mut devices, mut gone, mut there) = (0_usize, 0_usize, 0_usize);
        for watching in self.watching.values().filter(|watching| watching.area == *area) {
            devices += 1;
            gone += usize::from(watching.there == Some(false));
            there += usize::from(watching.there == Some(true));
        }
        // While none is there and some have not had their time, nothing is known.
        let lost = gone == devices;
        if *said == Some(lost) || !(lost || there > 0) {
            return;
        }
        *said = Some(lost);
        let (level, what) = if lost {
            let zh = format!("全部 {devices} 台设备离线，该区域失去覆盖");
            (
                Level::Holds,
                Text::new(zh, format!("none of its {devices} devices is there: the area is not covered")),
            )
        } else {
            (Level::Ended, Text::new("恢复覆盖", "covered again"))
        };
        out.push(self.header.of_place(place, level, what));
    }
}

fn parse(reader: &Reader<'_>, id: &RuleId, world: &World) -> Option<Box<dyn Rule>> {
    let before = reader.problems().len();
    let chosen = subject::devices(reader, world);
    let kinds: Vec<_> = PlaceKind::ALL.iter().map(|kind| (kind.as_str(), *kind)).collect();
    let per = reader.word_opt("per", &kinds).unwrap_or(PlaceKind::Building);
    let header = Header::parse(reader, id, AlarmClass::Security, Priority::High);
    let (mut watching, mut areas) = (BTreeMap::new(), BTreeMap::new());
    for (subject, watched) in chosen {
        // A place that does not exist is told with its device.
        let Some(area) = area(watched, per, world) else { continue };
        let after = watched.poll.saturating_mul(MISSED_POLLS);
        let speaks = !watched.profile.points.is_empty();
        let new = Watching { area: area.id.clone(), after, speaks, there: None };
        watching.insert(subject.device.clone(), new);
        areas.insert(area.id.clone(), (area, None));
    }
    let rule = CoverageLost { header, watching, areas, timers: Timers::new() };
    (reader.problems().len() == before).then(|| Box::new(rule) as Box<dyn Rule>)
}

#[cfg(test)]
mod tests;

//! What is handed over: the content of a report, and the hash by which a printed one is known again.

use super::figures::{Figure, figures};
use crate::alarm::kpi::{Kpi, Life, Reckoning, Step};
use crate::model::{
    Actor, Alarm, AlarmClass, AlarmId, ArmMode, DeviceId, Fault, Hazard, Place, PlaceId, Priority, Text,
    Truth, Wall,
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Most alarms of a shift that are listed; further ones are counted.
pub const MAX_ENTRIES: usize = 20_000;

/// Of whom and of when a report is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Head {
    /// The school's name.
    pub site: String,
    /// Which gateway.
    pub gateway: DeviceId,
    /// From when on.
    pub from: Wall,
    /// Until when; what follows is not in it.
    pub to: Wall,
    /// When it was made.
    pub made_at: Wall,
    /// How many people were on duty at a time.
    pub guards: u32,
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its number.
    pub id: AlarmId,
    /// How soon to act.
    pub priority: Priority,
    /// What it is about.
    pub class: AlarmClass,
    /// What happened.
    pub what: Text,
    /// Where, from the campus down.
    pub place: Option<Text>,
    /// When it was first raised.
    pub raised_at: Wall,
    /// How often it was raised or back again in the span.
    pub came: u32,
    /// The letter of ISA-18.2 at the end of the span.
    pub state: char,
    /// Whether it came and went.
    pub chattering: bool,
    /// Who had taken it.
    pub taken_by: Option<Actor>,
    /// When.
    pub taken_at: Option<Wall>,
    /// How long after it was announced somebody first took it in the span, milliseconds.
    pub taken_after_ms: Option<i64>,
    /// What they wrote.
    pub note: String,
    /// What it turned out to be, as far as known when the report was made.
    pub truth: Option<Truth>,
    /// When somebody last called for support, as far as known when the report was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support_at: Option<Wall>,
}

/// An alarm that was open and kept quiet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quiet {
    /// Its number.
    pub id: AlarmId,
    /// How soon to act.
    pub priority: Priority,
    /// What happened.
    pub what: Text,
    /// Where.
    pub place: Option<Text>,
    /// How.
    pub how: How,
    /// Since when; not known of one that another explains.
    pub since: Option<Wall>,
    /// When that is over at the latest, where it has an end and still went on when the report was made.
    pub until: Option<Wall>,
    /// It is over as soon as the condition ends.
    pub until_clear: bool,
    /// Who, or what, keeps it quiet.
    pub by: String,
    /// Why.
    pub note: String,
}

/// How an alarm is kept quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// A person set it aside for a while.
    Shelved,
    /// Its device is being worked on.
    OutOfService,
    /// Its area is not armed.
    Suppressed,
    /// Another alarm explains it.
    Inhibited,
}

/// A device that did not answer when the report was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Silent {
    /// Which.
    pub device: DeviceId,
    /// Its name.
    pub name: String,
    /// Where.
    pub place: Option<Text>,
    /// Why.
    pub fault: Fault,
    /// Since when.
    pub since: Wall,
}

/// How an area stood when the report was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AreaLine {
    /// Its name.
    pub name: String,
    /// What was watched.
    pub mode: ArmMode,
    /// Who armed or disarmed it.
    pub by: Actor,
    /// When; 0 where nobody ever did.
    pub since: Wall,
    /// How many doors, windows and the like were open.
    pub open: usize,
    /// How many were passed over when it was armed.
    pub bypassed: usize,
}

/// What was owed to a platform when the report was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Upload {
    /// To whom.
    pub destination: String,
    /// How many records waited.
    pub waiting: u64,
    /// How old the oldest was, seconds.
    pub lag_secs: u64,
}

/// The content of a report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shift {
    /// Of whom and of when.
    #[serde(flatten)]
    pub head: Head,
    /// Alarms that were open and announced at the end: those nobody had taken first, then by priority and age.
    pub open: Vec<Entry>,
    /// Alarms that were open and kept quiet at the end.
    pub quiet: Vec<Quiet>,
    /// Alarms that were raised or back again in the span, oldest first.
    pub alarms: Vec<Entry>,
    /// Further ones that are not listed.
    pub not_listed: u32,
    /// Alarms that could not be read back; `schoolgate db verify` tells which.
    pub unreadable: u64,
    /// Hazards that were open at any time in the span, newest first.
    pub hazards: Vec<Hazard>,
    /// What does not answer.
    pub silent: Vec<Silent>,
    /// How areas stand.
    pub areas: Vec<AreaLine>,
    /// What is owed to platforms.
    pub uploads: Vec<Upload>,
    /// The figures, shares to four decimals.
    pub kpi: Kpi,
    /// The figures with their targets.
    pub figures: Vec<Figure>,
}

/// What else stands in a report.
#[derive(Debug, Clone, Default)]
pub struct Rest {
    /// Alarms that could not be read back.
    pub unreadable: u64,
    /// Hazards that were open at any time in the span.
    pub hazards: Vec<Hazard>,
    /// What does not answer.
    pub silent: Vec<Silent>,
    /// How areas stand.
    pub areas: Vec<AreaLine>,
    /// What is owed to platforms.
    pub uploads: Vec<Upload>,
}

/// A report while it is written, one alarm after the other.
#[derive(Debug)]
pub struct Writing<'a> {
    head: Head,
    places: &'a BTreeMap<PlaceId, Place>,
    reckoning: Reckoning,
    open: Vec<Entry>,
    quiet: Vec<Quiet>,
    alarms: Vec<Entry>,
    not_listed: u32,
}

impl<'a> Writing<'a> {
    /// Nothing yet.
    #[must_use]
    pub fn new(head: Head, places: &'a BTreeMap<PlaceId, Place>) -> Self {
        let reckoning = Reckoning::new((head.from, head.to), head.guards);
        let (open, quiet, alarms) = (Vec::new(), Vec::new(), Vec::new());
        Self { head, places, reckoning, open, quiet, alarms, not_listed: 0 }
    }

    /// Takes an alarm that was open in the span, with its steps from the first on. Drills are left out.
    pub fn alarm(&mut self, alarm: &Alarm, steps: &[Step]) {
        let Some(life) = self.reckoning.alarm(alarm, steps) else { return };
        if !life.closed && life.audible() {
            self.open.push(self.entry(alarm, &life));
        } else if !life.closed {
            let quiet = self.kept_quiet(alarm, &life);
            self.quiet.push(quiet);
        }
        if life.came > 0 && self.alarms.len() < MAX_ENTRIES {
            self.alarms.push(self.entry(alarm, &life));
        } else if life.came > 0 {
            self.not_listed = self.not_listed.saturating_add(1);
        }
    }

    fn place(&self, place: Option<&PlaceId>) -> Option<Text> {
        let id = place?;
        Some(self.places.get(id).map_or_else(|| Text::same(id.as_str()), |place| place.path.clone()))
    }

    fn entry(&self, alarm: &Alarm, life: &Life) -> Entry {
        let (taken_by, taken_at) = life.taken.clone().unzip();
        let noted = alarm.acknowledged.as_ref().filter(|handled| Some(handled.at) == taken_at);
        let support = alarm.marks.support.as_ref().map(|support| &support.by);
        // Whoever took it by calling for support wrote that there.
        let mut notes = [noted, support].into_iter().flatten().map(|handled| &handled.note);
        Entry {
            id: alarm.id,
            priority: alarm.priority,
            class: alarm.class,
            what: alarm.what.clone(),
            place: self.place(alarm.place.as_ref()),
            raised_at: alarm.raised_at,
            came: life.came,
            state: life.isa_state(alarm.latched),
            chattering: life.chattering,
            taken_by,
            taken_at,
            taken_after_ms: life.after_ms,
            note: notes.find(|note| !note.is_empty()).cloned().unwrap_or_default(),
            truth: alarm.marks.confirmed.as_ref().map(|confirmed| confirmed.truth),
            support_at: support.map(|handled| handled.at),
        }
    }

    /// What keeps it quiet at the end of the span, told with what is known of it now.
    fn kept_quiet(&self, alarm: &Alarm, life: &Life) -> Quiet {
        let marks = &alarm.marks;
        let mut quiet = Quiet {
            id: alarm.id,
            priority: alarm.priority,
            what: alarm.what.clone(),
            place: self.place(alarm.place.as_ref()),
            how: How::Inhibited,
            since: None,
            until: None,
            until_clear: false,
            by: marks.inhibited_by.map(|id| format!("#{id}")).unwrap_or_default(),
            note: String::new(),
        };
        if let Some(since) = life.shelved {
            (quiet.how, quiet.since) = (How::Shelved, Some(since));
            quiet.by.clear();
            if let Some(shelf) = marks.shelved.as_ref().filter(|shelf| shelf.by.at == since) {
                (quiet.until, quiet.until_clear) = (Some(shelf.until), shelf.once);
                (quiet.by, quiet.note) = (shelf.by.by.as_str().to_owned(), shelf.by.note.clone());
            }
        } else if let Some(since) = life.out {
            (quiet.how, quiet.since) = (How::OutOfService, Some(since));
            quiet.by.clear();
            if let Some(out) = marks.out_of_service.as_ref().filter(|out| out.by.at == since) {
                quiet.until = out.until;
                (quiet.by, quiet.note) = (out.by.by.as_str().to_owned(), out.by.note.clone());
            }
        } else if let Some(since) = life.suppressed {
            (quiet.how, quiet.since) = (How::Suppressed, Some(since));
            quiet.by = marks.suppressed.as_ref().map(|suppressed| suppressed.by.clone()).unwrap_or_default();
        }
        quiet
    }

    /// The figures alone.
    #[must_use]
    pub fn kpi(self) -> Kpi {
        rounded(self.reckoning.kpi())
    }

    /// The content.
    #[must_use]
    pub fn finish(self, rest: Rest) -> Shift {
        let Self { head, reckoning, mut open, quiet, alarms, not_listed, .. } = self;
        open.sort_by_key(|entry| (entry.taken_by.is_some(), entry.priority, entry.id));
        let kpi = rounded(reckoning.kpi());
        let Rest { unreadable, hazards, silent, areas, uploads } = rest;
        let figures = figures(&kpi);
        Shift {
            head,
            open,
            quiet,
            alarms,
            not_listed,
            unreadable,
            hazards,
            silent,
            areas,
            uploads,
            kpi,
            figures,
        }
    }
}

/// Four decimals: every program writes such a number in the same way.
fn rounded(mut kpi: Kpi) -> Kpi {
    let round = |share: f64| (share * 10_000.0).round() / 10_000.0;
    kpi.per_guard = round(kpi.per_guard);
    kpi.flood_share = round(kpi.flood_share);
    kpi.top_share = round(kpi.top_share);
    kpi.false_share = kpi.false_share.map(round);
    kpi
}

impl Shift {
    /// The content as JSON with sorted keys and without blanks: what the hash is of.
    #[must_use]
    pub fn canonical(&self) -> String {
        // A map of `Value` sorts its keys.
        serde_json::to_value(self).unwrap_or_default().to_string()
    }

    /// SHA-256 of [`Shift::canonical`], 64 hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> String {
        Sha256::digest(self.canonical()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The report as JSON: the content, and its hash.
    #[must_use]
    pub fn json(&self) -> String {
        format!("{{\"content\":{},\"sha256\":\"{}\"}}\n", self.canonical(), self.hash())
    }
}

//! The pure step: what arrived and the moment it is → one commit.
//!
//! `step` knows no clock, no file and no network; a test can run it a million times. What it decides becomes true
//! when the store has made its [`Commit`] durable, and only then is anybody answered.

mod comings;
mod commit;
mod entry;
mod live;
mod nature;
mod player;
mod seen;

pub use crate::model::Audit;
pub use commit::{Commit, Dropped, LinkChange, StoredEvent, StoredReading};
pub use live::{DeviceLive, Live, PointLive};
pub use player::Player;
pub use seen::{FINGERPRINTS_KEPT, Fingerprint, SERIALS_KEPT, Serial};

use crate::aggregate::{Aggregates, Standing};
use crate::alarm::{self, AlarmBook, Area, Before, Causes, OrderRefused, Setup};
use crate::campus::{self, Campus};
use crate::model::{
    Alarm, AlarmChange, AreaId, Body, BusId, Command, ControlId, Delivery, DestinationId, DeviceId, Done,
    Doubt, Event, EventKind, Hazard, Input, Link, Mono, Now, Observation, OutboxItem, People, PeopleChange,
    Phase, PointId, Record, RollUp, Stamp, Wall,
};
use crate::museum;
use crate::profile::Counted;
use crate::rules::{Engine, Finding, Level, World};
use comings::Comings;
use entry::{noted, stepped};
use live::LiveBoard;
use nature::nature_of;
use seen::Seen;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a call for help or a fire that may be a repeat is taken for one, milliseconds (10 minutes).
const URGENT_REPEAT_MS: i64 = 10 * 60 * 1000;

/// The word under which the audit trail tells that its head was owed to the platforms.
pub const AUDIT_HEAD: &str = "audit_head";

/// What the last run left behind, read from the store at start.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Alarms that were open.
    pub open_alarms: Vec<Alarm>,
    /// A number above every alarm's.
    pub next_alarm: u64,
    /// The last alarms that were over, oldest first.
    pub closed_alarms: Vec<Alarm>,
    /// Hazards that were open.
    pub hazards: Vec<Hazard>,
    /// A number above every hazard's.
    pub next_hazard: u64,
    /// What was noted of each area.
    pub areas: Vec<(AreaId, String)>,
    /// A number above every record's that was ever owed.
    pub next_seq: u64,
    /// The last roll-ups and readings; nothing when there were none.
    pub recent: Option<Recent>,
    /// Traces of messages.
    pub fingerprints: Vec<Fingerprint>,
    /// The last event serials of each device, oldest first.
    pub serials: Vec<Serial>,
    /// How each device was.
    pub links: Vec<LinkChange>,
    /// What was noted of each control.
    pub controls: Vec<(ControlId, String)>,
    /// Who is who.
    pub people: People,
    /// The passes of the last day and the last pass of each person before, oldest first.
    pub passes: Vec<(DeviceId, Stamp, Event)>,
    /// What was noted of the muster.
    pub muster: Option<String>,
    /// What was noted of responses.
    pub responses: Option<String>,
    /// What was noted of drills.
    pub drill: Option<String>,
}

/// The last roll-ups and readings of the run before.
#[derive(Debug)]
pub struct Recent {
    /// Every roll-up that starts at this time or later is here.
    pub roll_ups_from: Wall,
    /// They, oldest first.
    pub roll_ups: Vec<RollUp>,
    /// Counters whose last roll-up is older, oldest first.
    pub counters: Vec<Standing>,
    /// Every reading that arrived at this time or later is here; it is before the oldest period that was not over.
    pub readings_from: Wall,
    /// They, oldest first.
    pub readings: Vec<StoredReading>,
}

/// The pipeline's own settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This gateway's id, part of every uid.
    pub gateway: DeviceId,
    /// Length of a roll-up, seconds.
    pub aggregate_secs: u32,
    /// To whom records are owed.
    pub destinations: Vec<DestinationId>,
    /// What the school says of who is where.
    pub campus: campus::Settings,
    /// What the school says of its alarms.
    pub alarms: alarm::Settings,
    /// What can be armed.
    pub areas: Vec<Area>,
}

/// Rules, alarms, roll-ups and what was seen: everything between the field and the store.
#[derive(Debug)]
pub struct Pipeline {
    settings: Settings,
    world: Arc<World>,
    engine: Engine,
    book: AlarmBook,
    aggregates: Aggregates,
    seen: Seen,
    board: LiveBoard,
    campus: Campus,
    next_seq: u64,
    people: People,
    /// Findings that no rule made: of `start` and of the gateway about itself. The next step takes them.
    pending: Vec<Finding>,
    /// What the next step writes into the audit trail.
    notes: Vec<Audit>,
    comings: Comings,
    /// Steps of alarms at the start. The next step takes them.
    begun: Vec<AlarmChange>,
    /// When the run before last heard of anything.
    last_heard: Option<Wall>,
}

impl Pipeline {
    /// Takes up where the last run left off and arms the rules.
    #[must_use]
    pub fn start(
        now: Now,
        settings: Settings,
        world: Arc<World>,
        mut engine: Engine,
        mut remembered: Remembered,
    ) -> Self {
        let last_heard = seen::last_heard(&remembered);
        for (_, _, event) in &mut remembered.passes {
            know(&remembered.people, event);
        }
        let mut aggregates = Aggregates::new(settings.aggregate_secs);
        if let Some(recent) = remembered.recent {
            aggregates.remember_from(recent.roll_ups_from, recent.readings_from);
            recent.counters.iter().for_each(|standing| aggregates.restore_counter(standing));
            recent.roll_ups.iter().for_each(|roll_up| aggregates.restore(roll_up));
            for stored in &recent.readings {
                let nature = nature_of(&world, &stored.device, &stored.reading);
                if museum::on("roll_up_replayed_twice") {
                    aggregates.replay(&stored.device, &stored.stamp, &stored.reading, nature);
                }
                aggregates.replay(&stored.device, &stored.stamp, &stored.reading, nature);
            }
        }
        engine.start(now);
        for (device, stamp, event) in &remembered.passes {
            let (device, body) = (device.clone(), Body::Event(event.clone()));
            engine.remember(now, &Observation { device, stamp: *stamp, body, retained: false });
        }
        let mut campus = Campus::new(settings.campus.clone());
        let muster = (remembered.muster.as_deref(), remembered.open_alarms.iter().any(Alarm::burns));
        campus.restore(now, &world, remembered.passes, muster);
        // A rule that was taken out of the configuration, or no longer watches the device, will never say that its
        // alarm has ended.
        let pending = remembered
            .open_alarms
            .iter()
            .filter(|a| a.active && !a.marks.drill && !a.key.of_response())
            .filter(|a| {
                let device = a.device.as_ref();
                !engine.watches(&a.key.rule, device)
                    || !engine.judges(&a.key.rule, &a.key.subject)
                    || device.is_some_and(|d| !world.devices.contains_key(d))
            })
            .map(|a| Finding {
                key: a.key.clone(),
                level: Level::Ended,
                class: a.class,
                priority: a.priority,
                device: a.device.clone(),
                place: a.place.clone(),
                what: a.what.clone(),
            })
            .collect();
        let before = Before {
            open: remembered.open_alarms,
            over: remembered.closed_alarms,
            next_id: remembered.next_alarm,
            hazards: remembered.hazards,
            next_hazard: remembered.next_hazard,
            areas: remembered.areas,
            drill: remembered.drill,
        };
        let (causes, areas) = (Causes::new(&world), settings.areas.clone());
        let mut book = AlarmBook::restore(before, Setup { settings: settings.alarms, causes, areas });
        let begun = book.start(now, |key| engine.absent(&key.rule, &key.subject));
        book.keep_open(|key| engine.judges(&key.rule, &key.subject));
        Self {
            board: LiveBoard::new(world.devices.keys(), &remembered.links),
            book,
            seen: Seen::restore(remembered.fingerprints, remembered.serials),
            next_seq: remembered.next_seq,
            settings,
            world,
            engine,
            campus,
            aggregates,
            people: remembered.people,
            pending,
            notes: Vec::new(),
            comings: Comings::default(),
            begun,
            last_heard,
        }
    }

    /// The points of which the rules want to know closed periods of the runs before, and how far back each.
    #[must_use]
    pub fn recalls(&self) -> BTreeMap<(DeviceId, PointId), Duration> {
        self.engine.periods()
    }

    /// A period of a run before, oldest first; all of them before the first step.
    pub fn recall(&mut self, now: Now, period: &RollUp) {
        self.engine.recall(now, period);
    }

    /// Turns deliveries into one commit. An empty batch is a tick: deadlines and periods that have passed.
    pub fn step(&mut self, now: Now, batch: impl IntoIterator<Item = Delivery>) -> Commit {
        let mut commit = Commit { audit: std::mem::take(&mut self.notes), ..Commit::default() };
        commit.alarm_changes.append(&mut self.begun);
        commit.alarm_changes.extend(self.book.expire(now));
        let pending = std::mem::take(&mut self.pending);
        self.settle_findings(now, &pending, &mut commit);
        for delivery in batch {
            if let (Some(bus), Some(key)) = (&delivery.bus, delivery.key) {
                if key.redelivered && self.here_before(now.wall, bus, key.fingerprint, &delivery.inputs) {
                    commit.duplicates.push(bus.clone());
                    continue;
                }
                commit.fingerprints.push(self.seen.note_message(bus, key.fingerprint, now.wall));
            }
            for input in delivery.inputs {
                self.take(now, input, &mut commit);
            }
        }
        let mut findings = Vec::new();
        self.engine.expire(now, &mut findings);
        commit.roll_ups = self.aggregates.close(now.wall);
        for period in &commit.roll_ups {
            self.engine.close(now, period, &mut findings);
        }
        self.settle_findings(now, &findings, &mut commit);
        self.settle_book(now, &mut commit);
        self.settle_campus(now, &mut commit);
        self.owe(now.wall, &mut commit);
        commit
    }

    /// Whether a message that may be a repeat is one. A broker that uses its lowest free packet id again and again
    /// makes the next press of a button look like the last: so a call for help or a fire counts as a repeat only for
    /// a while. A duplicate is allowed, silence is not.
    fn here_before(&self, now: Wall, bus: &BusId, fingerprint: u64, inputs: &[Input]) -> bool {
        let urgent = inputs.iter().any(|input| {
            matches!(input, Input::Observed(Observation { body: Body::Event(event), .. })
            if matches!(
                event.kind,
                EventKind::Help | EventKind::Fire | EventKind::Duress | EventKind::Smoke
            ))
        });
        self.seen
            .message(bus, fingerprint)
            .is_some_and(|at| !urgent || now.since(at).saturating_abs() <= URGENT_REPEAT_MS)
    }

    fn take(&mut self, now: Now, input: Input, commit: &mut Commit) {
        match input {
            Input::Observed(seen) => self.observe(now, seen, commit),
            Input::Refused(refused) => commit.refused.push(refused),
            Input::Unknown(unknown) => commit.unknown.push(unknown),
            Input::Muster(command) => {
                commit.musters.push(self.campus.order(now.wall, &command, &self.world));
            }
            Input::Audit(entry) => commit.audit.push(entry),
            Input::Responses(note) => commit.responses = Some(note),
            Input::AuditHead(head) => {
                let told = format!("{} {}", head.entries, head.hash);
                commit.audit.push(noted(now.wall, AUDIT_HEAD, "audit".into(), &told));
                self.owe_record(now.wall, &Record::AuditHead(head), commit);
            }
            Input::People(change) => {
                change.apply(&mut self.people);
                if let PeopleChange::Erase(who) = &change {
                    commit.alarm_changes.extend(self.book.forget(now.wall, who));
                }
                match &change {
                    PeopleChange::Erase(who) => self.campus.forget(who),
                    _ => self.campus.know(&self.people),
                }
                commit.people.push((now.wall, change));
            }
            Input::Command(command) => self.order(now, &command, commit),
        }
    }

    fn order(&mut self, now: Now, command: &Command, commit: &mut Commit) {
        let outcome = self.book.order(now, command);
        if let Err(refused @ OrderRefused::Protected { id, .. }) = &outcome {
            let actor = command.actor.as_str().to_owned().into();
            let (subject, detail) = (format!("alarm {id}").into(), refused.to_string());
            commit.audit.push(Audit { at: now.wall, actor, action: "refused", subject, detail });
        }
        commit.orders.push(outcome.map(|(changes, done)| {
            commit.alarm_changes.extend(changes);
            if let Done::Hazard(hazard) = &done {
                commit.audit.push(stepped(now.wall, &command.actor, hazard, &command.note));
            }
            done
        }));
    }

    fn observe(&mut self, now: Now, mut seen: Observation, commit: &mut Commit) {
        if let Body::Event(Event { serial: Some(number), .. }) = &seen.body {
            let (device, device_at) = (seen.device.clone(), seen.stamp.device);
            if !self.seen.note_serial(Serial { device, number: number.clone(), device_at }) {
                return;
            }
        }
        if let Body::Event(event) = &mut seen.body {
            know(&self.people, event);
        }
        let seen = self.count(now, seen, commit);
        let mut findings = Vec::new();
        self.engine.observe(now, &seen, &mut findings);
        self.settle_findings(now, &findings, commit);
        self.campus.observe(now, &seen, &self.world);
        self.board.observe(&seen, now.wall);
        let Observation { device, stamp, body, retained } = seen;
        match body {
            Body::Reading(reading) => {
                commit.readings.push(StoredReading { device, stamp, reading });
            }
            Body::Event(event) => commit.events.push(StoredEvent { device, stamp, retained, event }),
            Body::Link(link) => {
                // The table of links has the last of each; rules that are tried on the past need them all.
                let detail = match link {
                    Link::Up => "up",
                    Link::Down(fault) => fault.as_str(),
                };
                if self.comings.notes(&device, now.mono) {
                    commit.audit.push(noted(stamp.gateway, "link", device.to_string(), detail));
                }
                commit.links.push(LinkChange { device, at: stamp.gateway, link });
            }
        }
    }

    /// Adds a reading to its roll-up before anybody else believes it: a counter's value that cannot be is doubted.
    fn count(&mut self, now: Now, seen: Observation, commit: &mut Commit) -> Observation {
        let Body::Reading(reading) = seen.body else { return seen };
        let reading = if seen.retained { reading.doubted(Doubt::Retained) } else { reading };
        let nature = nature_of(&self.world, &seen.device, &reading);
        let reading = match self.aggregates.add(&seen.device, &seen.stamp, &reading, nature) {
            Some(Counted::Odd(doubt)) => reading.doubted(doubt),
            Some(Counted::Anew { from, to, .. }) => {
                let mut event = Event::bare(EventKind::CountedAnew, Phase::Moment);
                event.code = Some(format!("{}: {from} -> {to} {}", reading.point, reading.unit.symbol()));
                let (device, stamp) = (seen.device.clone(), seen.stamp);
                self.observe(
                    now,
                    Observation { device, stamp, body: Body::Event(event), retained: false },
                    commit,
                );
                reading
            }
            Some(Counted::Grown(_)) | None => reading,
        };
        Observation { body: Body::Reading(reading), ..seen }
    }

    fn settle_findings(&mut self, now: Now, findings: &[Finding], commit: &mut Commit) {
        for finding in findings {
            let absent = match finding.level {
                Level::Holds => self.engine.absent(&finding.key.rule, &finding.key.subject),
                Level::Ended | Level::Happened => Vec::new(),
            };
            commit.alarm_changes.extend(self.book.apply(now, finding, &absent));
        }
    }

    /// Writes down what the book says of areas, hazards and drills.
    fn settle_book(&mut self, now: Now, commit: &mut Commit) {
        commit.alarm_changes.extend(self.book.expire(now));
        let notes = self.book.area_notes(now);
        commit.audit.extend(notes.audit);
        commit.areas.extend(notes.rows);
        commit.hazards.extend(self.book.hazard_notes());
        let notes = self.book.drill_notes();
        commit.audit.extend(notes.audit);
        commit.drill = notes.row.or(commit.drill.take());
    }

    /// A fire alarm that is open holds a muster open.
    fn settle_campus(&mut self, now: Now, commit: &mut Commit) {
        let fire = self.book.open().any(Alarm::burns);
        let settled = self.campus.settle(now.wall, &self.world, fire);
        let entry = |note: campus::Note| Audit {
            at: note.at,
            actor: note.actor.into(),
            action: note.action,
            subject: "muster".into(),
            detail: note.detail,
        };
        commit.audit.extend(settled.notes.into_iter().map(entry));
        commit.muster = settled.row.or(commit.muster.take());
    }

    /// Writes down what every destination is owed.
    fn owe(&mut self, now: Wall, commit: &mut Commit) {
        let records = commit
            .alarm_changes
            .iter()
            .filter(|change| change.goes_north())
            .map(|change| Record::Alarm(change.clone()))
            .chain(commit.roll_ups.iter().map(|r| Record::Aggregate(r.clone())));
        for record in records.collect::<Vec<_>>() {
            self.owe_record(now, &record, commit);
        }
    }

    fn owe_record(&mut self, now: Wall, record: &Record, commit: &mut Commit) {
        for destination in &self.settings.destinations {
            let seq = self.next_seq;
            self.next_seq = self.next_seq.saturating_add(1);
            commit.outbox.push(OutboxItem {
                seq,
                destination: destination.clone(),
                uid: format!("{}:{seq}", self.settings.gateway),
                created: now,
                record: record.clone(),
            });
        }
    }

    /// Takes a finding of the gateway about itself (a full disk, say); the next step makes it an alarm.
    pub fn report(&mut self, finding: Finding) {
        self.pending.push(finding);
    }

    /// Notes in the audit trail that the gateway started, and up to when at least the run before was at work: its rules
    /// know nothing of the time before.
    pub fn note_start(&mut self, now: Now) {
        let last = self.last_heard.map(|at| format!(" last_heard_ms={}", at.0)).unwrap_or_default();
        let detail = format!("{}{last}", env!("CARGO_PKG_VERSION"));
        self.notes.push(noted(now.wall, "started", "gateway".into(), &detail));
    }

    /// When `step` wants to be called next even if nothing arrives.
    #[must_use]
    pub fn next_deadline(&self, now: Now) -> Mono {
        let close = now.mono.plus(Duration::from_millis(self.aggregates.next_close_ms(now.wall)));
        let deadlines = [self.engine.next_deadline(), self.book.next_deadline()];
        deadlines.into_iter().flatten().fold(close, Mono::min)
    }

    /// Whether a fire alarm is open.
    #[must_use]
    pub fn burns(&self) -> bool {
        self.book.open().any(Alarm::burns)
    }

    /// Everything as it stands now, for pages and metrics.
    #[must_use]
    pub fn live(&self, now: Wall) -> Live {
        let campus = self.campus.picture(&self.world);
        let (areas, drill) = (self.book.areas(), self.book.drill().cloned());
        Live { campus, areas, drill, ..self.board.picture(now, self.book.open(), self.aggregates.too_late) }
    }
}

/// Says of an event's person what the school told.
fn know(people: &People, event: &mut Event) {
    if let Some(credential) = &mut event.credential {
        credential.known = credential.person.as_ref().and_then(|who| people.get(who)).cloned();
    }
}

#[cfg(test)]
mod tests;

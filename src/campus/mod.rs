//! What only the gateway can know: who is where by the readers they passed, and who is missing when everybody must out.
//!
//! Where somebody is, is where their newest pass leads; the order in which passes arrive does not matter, so what a
//! reader delivers late, twice or after a restart undoes nothing newer (`docs/campus.md`).

mod crowd;
mod muster;
mod picture;

pub use muster::MusterRefused;
pub use picture::{Inside, Listing, Missing, MusterPicture, Picture, ZonePicture};

use crate::model::{
    DeviceId, Event, MusterCommand, MusterOrder, Now, Observation, Pass, People, PersonRef, Stamp, Wall,
};
use crate::rules::World;
use crowd::{Crowd, Floor};
use muster::Muster;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

/// Most persons, and as many vehicles, that are known; beyond it those seen longest ago are forgotten and counted.
pub const MAX_PERSONS: usize = 50_000;
/// How far back a start looks for passes, milliseconds: one day.
pub const RECALL_MS: i64 = 24 * 3600 * 1000;
/// How far back it looks for the last pass of each person: boarders who have not left the house for two weeks.
pub const RECALL_PERSONS_MS: i64 = 14 * RECALL_MS;
/// A day is no shorter, however clocks are turned, milliseconds.
const SHORTEST_DAY_MS: i64 = 22 * 3600 * 1000;
/// The time of day, in minutes since midnight, at which a place is taken for empty unless told otherwise: 03:00.
pub const DEFAULT_RESET: i64 = 3 * 60;

/// What a school says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Local time, in minutes since midnight, at which who is still in has not been seen leaving.
    pub reset_at: i64,
    /// Whether the muster list names persons by their pseudonyms, or only counts them.
    pub lists_persons: bool,
    /// Classes and departments whose people stay over night.
    pub boarders: BTreeSet<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { reset_at: DEFAULT_RESET, lists_persons: false, boarders: BTreeSet::new() }
    }
}

/// Something to be written into the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: Wall,
    /// Who did it.
    pub actor: String,
    /// What was done, one word.
    pub action: &'static str,
    /// With which words or numbers; never a pseudonym.
    pub detail: String,
}

/// What came of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// What is to be written into the audit trail.
    pub notes: Vec<Note>,
    /// What a restart has to know of the muster; empty when there is none. `None`: as before.
    pub row: Option<String>,
}

/// Who is where, and the muster while there is one.
#[derive(Debug)]
pub struct Campus {
    settings: Settings,
    people: Crowd,
    vehicles: Crowd,
    muster: Option<Muster>,
    /// The last moment at which everybody was taken for gone, while our clock is set.
    floor: Option<Wall>,
    notes: Vec<Note>,
    /// The muster's row is behind.
    unsaved: bool,
    /// Made when somebody looks, and forgotten when something changes.
    picture: OnceLock<Arc<Picture>>,
}

impl Campus {
    /// Nobody is known anywhere.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            people: Crowd::default(),
            vehicles: Crowd::default(),
            muster: None,
            floor: None,
            notes: Vec::new(),
            unsaved: false,
            picture: OnceLock::new(),
        }
    }

    /// Takes up where the last run left off: the stored passes, oldest first, and the muster's row. `fire` says whether
    /// a fire alarm is open. Call it before anything is observed.
    pub fn restore(
        &mut self,
        now: Now,
        world: &World,
        passes: Vec<(DeviceId, Stamp, Event)>,
        (row, fire): (Option<&str>, bool),
    ) {
        self.floor = self.floor_at(now.wall, world);
        let muster = row.filter(|row| !row.is_empty()).and_then(Muster::read);
        let since = muster.as_ref().map(|muster| muster.since);
        let mut during = Vec::new();
        for (device, stamp, event) in passes {
            let body = crate::model::Body::Event(event);
            let seen = Observation { device, stamp, body, retained: false };
            let Some(pass) = Pass::of(&seen) else { continue };
            if since.is_some_and(|since| pass.when.at >= since) {
                during.push((seen, pass));
            } else {
                self.pass(&seen, &pass, world);
            }
        }
        // The list is made anew as it was made then: who was in, and then what has happened since.
        if let Some(mut muster) = muster {
            muster.fire = false;
            muster.list(&self.people, self.floor_of(muster.floor, world));
            self.muster = Some(muster);
        }
        for (seen, pass) in during {
            self.pass(&seen, &pass, world);
        }
        self.settle(now.wall, world, fire);
        // It is what was stored.
        self.notes.clear();
    }

    /// Something was observed.
    pub fn observe(&mut self, now: Now, seen: &Observation, world: &World) {
        self.keep_time(now.wall, world);
        if let Some(pass) = Pass::of(seen) {
            self.pass(seen, &pass, world);
        }
    }

    fn pass(&mut self, seen: &Observation, pass: &Pass, world: &World) {
        self.picture = OnceLock::new();
        let door = world.door(&seen.device, pass);
        let mut floor = Floor { world, at: self.floor, boarders: &self.settings.boarders };
        let crowd = if pass.vehicle { &mut self.vehicles } else { &mut self.people };
        crowd.pass(pass, door.as_ref(), floor);
        if let Some(muster) = self.muster.as_mut().filter(|_| !pass.vehicle) {
            floor.at = muster.floor;
            muster.pass(pass, world.at_assembly(&seen.device), &self.people, floor);
        }
    }

    /// Our clock may have been set, or the hour have come at which nobody is expected to be in.
    fn keep_time(&mut self, now: Wall, world: &World) {
        if !now.plausible() {
            return;
        }
        self.people.date(now);
        self.vehicles.date(now);
        // Days are at least so long: the calendar is not asked with every pass.
        let sure = self.floor.is_some_and(|floor| floor <= now && now < floor.plus_ms(SHORTEST_DAY_MS));
        let floor = if sure { self.floor } else { self.floor_at(now, world) };
        if floor != self.floor {
            self.floor = floor;
            self.picture = OnceLock::new();
            if let Some(floor) = floor {
                self.people.new_day(floor);
                self.vehicles.new_day(floor);
            }
        }
    }

    fn floor_at(&self, now: Wall, world: &World) -> Option<Wall> {
        now.plausible().then(|| world.calendar.last_at(self.settings.reset_at, now)).flatten()
    }

    /// Carries out what a person wants.
    ///
    /// # Errors
    /// [`MusterRefused`]; nothing has changed then.
    pub fn order(&mut self, now: Wall, command: &MusterCommand, world: &World) -> Result<(), MusterRefused> {
        self.keep_time(now, world);
        let actor = command.actor.as_str();
        let (action, detail) = match &command.order {
            MusterOrder::Start(called) => {
                if self.muster.as_ref().is_some_and(|muster| muster.called.is_some()) {
                    return Err(MusterRefused::CalledAlready);
                }
                let mut muster = self.muster.take().unwrap_or_else(|| self.begin(now, world));
                muster.called = Some(*called);
                let listed = muster.listed();
                self.muster = Some(muster);
                ("muster_start", format!("cause={called} listed={listed}"))
            }
            MusterOrder::Close => {
                let Some(muster) = &mut self.muster else { return Err(MusterRefused::None) };
                if muster.called.take().is_none() {
                    return Err(MusterRefused::FireAlarm);
                }
                ("muster_close", self.tallied(world))
            }
            MusterOrder::SafePersons(persons) => {
                let Some(muster) = &mut self.muster else { return Err(MusterRefused::None) };
                muster.mark(now, persons)?;
                ("muster_safe", format!("persons={}", persons.len()))
            }
            MusterOrder::SafeGroup(group) => {
                let Some(muster) = &mut self.muster else { return Err(MusterRefused::None) };
                let persons = muster.of_group(group, &self.people);
                if persons.is_empty() {
                    return Err(MusterRefused::NobodyListed(group.clone()));
                }
                muster.mark(now, &persons)?;
                ("muster_safe", format!("group={group} persons={}", persons.len()))
            }
        };
        let detail = if command.note.is_empty() { detail } else { format!("{detail} note={}", command.note) };
        self.notes.push(Note { at: now, actor: actor.to_owned(), action, detail });
        self.unsaved = true;
        self.picture = OnceLock::new();
        Ok(())
    }

    /// Ends a step: a fire alarm that is open opens a muster, and one that nothing holds open is over. Takes what is to
    /// be stored.
    pub fn settle(&mut self, now: Wall, world: &World, fire: bool) -> Settled {
        self.keep_time(now, world);
        let before = self.muster.as_ref().map(|muster| muster.fire);
        if fire && before != Some(true) {
            let mut muster = self.muster.take().unwrap_or_else(|| self.begin(now, world));
            muster.fire = true;
            let detail = format!("cause=fire listed={}", muster.listed());
            self.muster = Some(muster);
            self.note(now, "muster_start", detail);
        } else if !fire && before == Some(true) {
            let detail = self.tallied(world);
            self.note(now, "muster_close", detail);
            if let Some(muster) = &mut self.muster {
                muster.fire = false;
            }
        }
        if self.muster.as_ref().is_some_and(|muster| !muster.fire && muster.called.is_none()) {
            self.muster = None;
            self.unsaved = true;
            self.picture = OnceLock::new();
        }
        let row = std::mem::take(&mut self.unsaved)
            .then(|| self.muster.as_ref().map(Muster::written).unwrap_or_default());
        Settled { notes: std::mem::take(&mut self.notes), row }
    }

    fn begin(&self, now: Wall, world: &World) -> Muster {
        let mut muster = Muster::new(now, self.floor);
        muster.list(&self.people, self.floor_of(self.floor, world));
        muster
    }

    fn note(&mut self, at: Wall, action: &'static str, detail: String) {
        self.notes.push(Note { at, actor: "gateway".to_owned(), action, detail });
        self.unsaved = true;
        self.picture = OnceLock::new();
    }

    /// How the muster stands, in numbers.
    fn tallied(&self, world: &World) -> String {
        let Some(muster) = &self.muster else { return String::new() };
        let sum = muster.sum(&self.people, self.floor_of(muster.floor, world));
        format!("listed={} safe={} left={} missing={}", sum.listed, sum.safe, sum.left, sum.missing)
    }

    fn floor_of<'a>(&'a self, at: Option<Wall>, world: &'a World) -> Floor<'a> {
        Floor { world, at, boarders: &self.settings.boarders }
    }

    /// What the school says of persons has changed.
    pub fn know(&mut self, people: &People) {
        self.people.know(people);
        self.picture = OnceLock::new();
    }

    /// Nothing is to be known of a person any more.
    pub fn forget(&mut self, person: &PersonRef) {
        self.people.forget(person);
        self.vehicles.forget(person);
        if let Some(muster) = &mut self.muster {
            self.unsaved |= muster.forget(person);
        }
        self.picture = OnceLock::new();
    }

    /// Everything as it stands since the last step.
    #[must_use]
    pub fn picture(&self, world: &World) -> Arc<Picture> {
        let make = || {
            let mut picture = picture::of(&self.people, &self.vehicles, self.floor_of(self.floor, world));
            picture.muster = self.muster.as_ref().map(|muster| {
                muster.picture(&self.people, self.floor_of(muster.floor, world), self.settings.lists_persons)
            });
            Arc::new(picture)
        };
        Arc::clone(self.picture.get_or_init(make))
    }
}

#[cfg(test)]
mod histories;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

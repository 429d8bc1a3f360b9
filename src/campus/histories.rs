//! Ten thousand random histories against a reference so plain that it cannot be wrong: all passes, sorted.

use super::testing::{DEVICES, Player, card, id, local, place, who};
use super::*;
use crate::model::{AccessResult, Actor, Body, Called, Direction, Mono, Wall};
use std::collections::BTreeMap;

const PERSONS: [&str; 5] = ["3a.p", "3a.q", "3b.r", "board.s", "board.t"];
const MINUTE: i64 = 60_000;

/// A seeded series of numbers (xorshift), the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % u64::try_from(sides).expect("small")).expect("small")
    }

    fn minutes(&mut self, most: usize) -> i64 {
        i64::try_from(self.roll(most)).expect("small") * MINUTE
    }
}

/// What the reference knows of a pass: when, by whose clock, whither.
struct Plain {
    at: Wall,
    arrival_counts: bool,
    inward: bool,
    zone: Option<&'static str>,
}

/// Whither a pass leads, written down by hand; `None` is nowhere.
fn leads(device: &str, direction: Direction) -> Option<(bool, Option<&'static str>)> {
    use Direction::{In, Out};
    match (device, direction) {
        ("g", In) => Some((true, Some("campus"))),
        ("g", Out) => Some((false, None)),
        ("t" | "r", In) => Some((true, Some("teaching"))),
        ("t" | "r", Out) => Some((false, Some("campus"))),
        ("d", In) => Some((true, Some("dorm"))),
        ("d", Out) => Some((false, Some("campus"))),
        ("y", In) => Some((true, Some("campus"))),
        ("y", Out) => Some((false, None)),
        ("l", In) => Some((true, Some("lab"))),
        ("l", Out) => Some((false, Some("teaching"))),
        ("bridge", Out) => Some((false, Some("teaching"))),
        ("bridge", _) => Some((true, Some("dorm"))),
        ("exit", Out) => Some((false, Some("campus"))),
        ("exit", _) => Some((true, None)),
        _ => None,
    }
}

/// The latest pass; of several at one moment what arrived then and last, else rather in than out.
fn latest(passes: &[Plain]) -> Option<&Plain> {
    let newest = passes.iter().map(|pass| pass.at).max()?;
    let of_moment = || passes.iter().filter(|pass| pass.at == newest);
    let arrived = of_moment().rfind(|pass| pass.arrival_counts);
    arrived.or_else(|| of_moment().max_by_key(|pass| (pass.inward, pass.zone)))
}

fn inside<'p>(passes: &'p [Plain], person: &str, floor: Wall) -> Option<(&'p Plain, &'static str)> {
    let pass = latest(passes)?;
    let stays = pass.zone == Some("dorm") || person.starts_with("board");
    pass.zone.filter(|_| stays || pass.at >= floor).map(|zone| (pass, zone))
}

/// The last three o'clock.
fn night(now: Wall) -> Wall {
    let day = 24 * 60 * MINUTE;
    let three = local("2026-10-05T03:00");
    Wall(three.0 + (now.0 - three.0).div_euclid(day) * day)
}

struct History {
    dice: Dice,
    player: Player,
    /// Everything that was stored, in its order.
    stored: Vec<Observation>,
    plain: BTreeMap<&'static str, Vec<Plain>>,
    /// The muster: since when, the night before it, who is safe since when.
    muster: Option<(Wall, Wall, BTreeMap<&'static str, Wall>)>,
    row: Option<String>,
    fire: bool,
}

fn settings() -> Settings {
    let boarders = BTreeSet::from(["board".to_owned()]);
    Settings { boarders, lists_persons: true, ..Settings::default() }
}

impl History {
    fn new(seed: u64) -> Self {
        Self {
            dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            player: Player::at("2026-10-09T06:00", settings()),
            stored: Vec::new(),
            plain: PERSONS.iter().map(|person| (*person, Vec::new())).collect(),
            muster: None,
            row: None,
            fire: false,
        }
    }

    fn pass(&mut self) {
        let person = PERSONS[self.dice.roll(PERSONS.len())];
        let (device, ..) = DEVICES[self.dice.roll(DEVICES.len())];
        let direction = Direction::ALL[self.dice.roll(3)];
        let now = self.player.now;
        let told = match self.dice.roll(6) {
            0 => None,
            // 1970, and ahead of ours by as much as is believed.
            1 => Some(Wall(0)),
            2 => Some(now.plus_ms(self.dice.minutes(5))),
            // Late by up to six hours; on a grid, so that moments meet.
            3 => Some(now.plus_ms(-self.dice.minutes(360))),
            _ => Some(now.plus_ms(-self.dice.minutes(3))),
        };
        let mut seen = card(device, person, direction, (told, now));
        let refused = self.dice.roll(10) == 0;
        if let Body::Event(event) = &mut seen.body
            && let Some(credential) = event.credential.as_mut().filter(|_| refused)
        {
            credential.result = AccessResult::Denied;
        }
        for _ in 0..=self.dice.roll(8) / 7 {
            self.take(&seen, person, !refused);
        }
    }

    /// Something arrives; also what was delivered before.
    fn take(&mut self, seen: &Observation, person: &'static str, moves: bool) {
        let at = seen.stamp.effective().min(seen.stamp.gateway);
        let Body::Event(event) = &seen.body else { return };
        let direction = event.credential.as_ref().expect("a card").direction;
        if let Some((inward, zone)) = leads(seen.device.as_str(), direction).filter(|_| moves) {
            let arrival_counts = seen.stamp.clock != crate::model::ClockQuality::Good;
            let plain = Plain { at, arrival_counts, inward, zone };
            self.plain.get_mut(person).expect("known").push(plain);
        }
        if let Some((since, _, safe)) = &mut self.muster
            && seen.device == id("y")
            && at >= *since
        {
            let mark = safe.entry(person).or_insert(at);
            *mark = (*mark).max(at);
        }
        self.stored.push(seen.clone());
        self.player.see(seen);
        self.settle();
    }

    fn settle(&mut self) {
        let settled = self.player.campus.settle(self.player.now, &self.player.world, self.fire);
        self.row = settled.row.or(self.row.take());
    }

    fn toggle_muster(&mut self) {
        // After what came before it.
        self.player.now = self.player.now.plus_ms(1);
        let now = self.player.now;
        if self.muster.take().is_some() {
            self.fire = false;
            let order = MusterOrder::Close;
            let command = MusterCommand { order, actor: Actor::gateway(), note: String::new() };
            // A fire ends by itself.
            drop(self.player.campus.order(now, &command, &self.player.world));
        } else {
            self.muster = Some((now, night(now), BTreeMap::new()));
            self.fire = self.dice.roll(2) == 0;
            if !self.fire {
                let order = MusterOrder::Start(Called::Drill);
                let command = MusterCommand { order, actor: Actor::gateway(), note: String::new() };
                self.player.campus.order(now, &command, &self.player.world).expect("there is none");
            }
        }
        self.settle();
    }

    /// What the store hands to a start: the last day, and before that the last pass of each person.
    fn restart(&mut self) {
        let newest = self.stored.last().map_or(self.player.now, |seen| seen.stamp.gateway);
        let day = newest.plus_ms(-RECALL_MS);
        let mut kept: BTreeMap<_, (Wall, Vec<usize>)> = BTreeMap::new();
        let mut recalled: BTreeSet<usize> = BTreeSet::new();
        for (seq, seen) in self.stored.iter().enumerate() {
            let Body::Event(event) = &seen.body else { continue };
            let credential = event.credential.as_ref().expect("a card");
            if seen.stamp.gateway >= day {
                recalled.insert(seq);
            } else if !credential.result.refused() {
                let unknown = credential.direction == Direction::Unknown;
                let device = unknown.then(|| seen.device.clone());
                let at = crate::model::When::of(&seen.stamp).at;
                let (latest, all) = kept
                    .entry((credential.person.clone(), credential.direction, device))
                    .or_insert((at, Vec::new()));
                if at > *latest {
                    (*latest, *all) = (at, Vec::new());
                }
                if at == *latest {
                    all.push(seq);
                }
            }
        }
        recalled.extend(kept.into_values().flat_map(|(_, all)| all));
        let passes = recalled
            .iter()
            .map(|seq| {
                let Observation { device, stamp, body: Body::Event(event), .. } = self.stored[*seq].clone()
                else {
                    panic!("passes are events")
                };
                (device, stamp, event)
            })
            .collect();
        let mut fresh = Campus::new(settings());
        let now = Now { mono: Mono(0), wall: self.player.now };
        fresh.restore(now, &self.player.world, passes, (self.row.as_deref(), self.fire));
        self.player.campus = fresh;
    }

    fn check(&mut self, seed: u64) {
        let floor = night(self.player.now);
        let mut zones: BTreeMap<String, u64> = BTreeMap::new();
        for (person, passes) in &self.plain {
            let Some((_, zone)) = inside(passes, person, floor) else { continue };
            let around: &[&str] = match zone {
                "lab" => &["lab", "teaching", "campus"],
                "teaching" => &["teaching", "campus"],
                "dorm" => &["dorm", "campus"],
                _ => &["campus"],
            };
            for zone in around {
                *zones.entry((*zone).to_owned()).or_default() += 1;
            }
        }
        let picture = self.player.picture();
        let shown: BTreeMap<String, u64> = picture
            .zones
            .iter()
            .filter(|zone| zone.persons.known > 0)
            .map(|zone| (zone.place.to_string(), zone.persons.known))
            .collect();
        assert_eq!(shown, zones, "seed {seed} at {}", self.player.now);
        assert_eq!(picture.muster.is_some(), self.muster.is_some(), "seed {seed}");
        let (Some(muster), Some((since, floor, safe))) = (&picture.muster, &self.muster) else { return };
        let missing: BTreeMap<PersonRef, _> = muster.persons.iter().flatten().cloned().collect();
        for (person, passes) in &self.plain {
            let here = inside(passes, person, *floor)
                .filter(|(pass, _)| safe.get(person).is_none_or(|safe| pass.inward && pass.at > *safe));
            let expected = here.map(|(_, zone)| place(zone));
            assert_eq!(missing.get(&who(person)), expected.as_ref(), "seed {seed} {person} since {since}");
        }
        assert_eq!(muster.sum.missing, u64::try_from(missing.len()).expect("few"));
        assert_eq!(muster.sum.listed, muster.sum.missing + muster.sum.safe + muster.sum.left);
    }
}

#[test]
fn presence_is_as_the_reference_has_it_and_no_muster_omits_anybody() {
    for seed in 1..=10_000 {
        let mut history = History::new(seed);
        for _ in 0..30 {
            let pause = match history.dice.roll(8) {
                0 => history.dice.minutes(600),
                1 => 0,
                _ => history.dice.minutes(10),
            };
            history.player.now = history.player.now.plus_ms(pause);
            // What a start looks back over holds the whole of a muster that is not a day old.
            if history
                .muster
                .as_ref()
                .is_some_and(|(since, ..)| history.player.now.since(*since) > RECALL_MS / 2)
            {
                history.toggle_muster();
            }
            match history.dice.roll(20) {
                0 => history.restart(),
                1 => history.toggle_muster(),
                2 if !history.stored.is_empty() => {
                    // A reader sends again what it sent: with its own time it is the same pass.
                    let old = history.stored[history.dice.roll(history.stored.len())].clone();
                    let stamp = crate::model::Stamp::new(old.stamp.device, history.player.now);
                    if stamp.clock == crate::model::ClockQuality::Good
                        && stamp.device <= Some(old.stamp.gateway)
                    {
                        let seen = Observation { stamp, ..old };
                        history.player.see(&seen);
                        history.settle();
                    }
                }
                _ => history.pass(),
            }
            if history.dice.roll(4) == 0 {
                history.check(seed);
            }
        }
        history.check(seed);
        history.restart();
        history.check(seed);
    }
}

//! A person or vehicle at a reader: who, which way, and whether that is newer than what is known of them.

use super::{
    Body, Carrier, ClockQuality, Direction, EventKind, Observation, Person, PersonRef, Phase, Stamp, Wall,
};
use std::cmp::Ordering;
use std::sync::Arc;

/// When something happened, as far as it can be set in order with what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// The time to reckon with; never later than its arrival.
    pub at: Wall,
    /// Our time at arrival.
    arrived: Wall,
    /// Whether `at` is the device's own time and may lie before what came earlier.
    pub by_device: bool,
}

impl When {
    /// Of an observation's times. A device whose clock is ahead cannot outdo what comes after it.
    #[must_use]
    pub fn of(stamp: &Stamp) -> Self {
        let by_device = stamp.clock == ClockQuality::Good;
        Self { at: stamp.effective().min(stamp.gateway), arrived: stamp.gateway, by_device }
    }

    /// How it stands to what is known since `known`: what arrives is newer, unless the device says that it was
    /// earlier. Nothing that was noted by a clock ahead of ours now, or comes while ours is not set, can be earlier.
    #[must_use]
    pub fn against(&self, known: Wall) -> Ordering {
        let ordered = self.by_device && self.arrived.plausible() && known <= self.arrived;
        if ordered { self.at.cmp(&known) } else { Ordering::Greater }
    }
}

/// One presentation at a reader, or one tag heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// Whose; `None` is somebody.
    pub person: Option<PersonRef>,
    /// Who that is to the school, where it told us.
    pub known: Option<Arc<Person>>,
    /// A vehicle, by its plate or without.
    pub vehicle: bool,
    /// Which way.
    pub direction: Direction,
    /// They were let through, or heard here: refused, or no longer heard, moves nobody.
    pub moves: bool,
    /// When.
    pub when: When,
}

impl Pass {
    /// What an observation says of a person or vehicle. Nothing that was retained says anything.
    ///
    /// A tag that is heard in a place is in it; one that is no longer heard has not been seen leaving.
    #[must_use]
    pub fn of(seen: &Observation) -> Option<Self> {
        let Body::Event(event) = &seen.body else { return None };
        let credential = event.credential.as_ref();
        let told = matches!(event.kind, EventKind::Presence | EventKind::VehiclePass)
            || (matches!(event.kind, EventKind::Credential | EventKind::Duress) && credential.is_some());
        if seen.retained || !told {
            return None;
        }
        let heard = event.kind == EventKind::Presence && event.phase != Phase::End;
        let direction = match credential.map_or(Direction::Unknown, |c| c.direction) {
            Direction::Unknown if heard => Direction::In,
            direction => direction,
        };
        let lost = event.kind == EventKind::Presence && direction == Direction::Unknown;
        Some(Self {
            person: credential.and_then(|c| c.person.clone()),
            known: credential.and_then(|c| c.known.clone()),
            vehicle: event.kind == EventKind::VehiclePass
                || credential.is_some_and(|c| c.carrier == Carrier::Plate),
            direction,
            moves: !lost && credential.is_none_or(|c| !c.result.refused()),
            when: When::of(&seen.stamp),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AccessResult, CredentialUse, DeviceId, Event, Service};

    const NOW: Wall = Wall(1_790_000_000_000);

    #[test]
    fn late_is_earlier_only_by_a_clock_to_believe() {
        let ms = |ms| NOW.plus_ms(ms);
        for (device, arrived, known, expected) in [
            (Some(ms(-60_000)), NOW, ms(-1000), Ordering::Less),
            (Some(ms(-1000)), NOW, ms(-1000), Ordering::Equal),
            (Some(ms(-500)), NOW, ms(-1000), Ordering::Greater),
            (None, NOW, NOW, Ordering::Greater),
            (Some(Wall(0)), NOW, ms(-1000), Ordering::Greater),
            // Ahead by four minutes: it still happened no later than now.
            (Some(ms(240_000)), NOW, ms(-1), Ordering::Greater),
            (Some(ms(-60_000)), Wall(5000), ms(0), Ordering::Greater),
            // Our clock was set back.
            (Some(ms(-60_000)), NOW, ms(3_600_000), Ordering::Greater),
        ] {
            let when = When::of(&Stamp::new(device, arrived));
            assert_eq!(when.against(known), expected, "{device:?} {arrived:?} {known:?}");
            assert!(when.at <= arrived);
        }
    }

    #[test]
    fn what_moves_somebody() {
        use Direction::{In, Out, Unknown};
        let credential = |direction, result| CredentialUse {
            carrier: Carrier::Card,
            service: Service::Access,
            direction,
            result,
            reason: None,
            person: None,
            known: None,
        };
        for (kind, phase, given, expected) in [
            (EventKind::Credential, Phase::Moment, Some((In, AccessResult::Granted)), Some((In, true))),
            (EventKind::Credential, Phase::Moment, Some((Out, AccessResult::Denied)), Some((Out, false))),
            (EventKind::Credential, Phase::Moment, None, None),
            (EventKind::Duress, Phase::Moment, Some((In, AccessResult::Granted)), Some((In, true))),
            (EventKind::Presence, Phase::Start, None, Some((In, true))),
            (EventKind::Presence, Phase::End, None, Some((Unknown, false))),
            (EventKind::Presence, Phase::Moment, Some((Out, AccessResult::Reported)), Some((Out, true))),
            (EventKind::VehiclePass, Phase::Moment, None, Some((Unknown, true))),
            (EventKind::Help, Phase::Moment, Some((In, AccessResult::Granted)), None),
        ] {
            let mut event = Event::bare(kind, phase);
            event.credential = given.map(|(direction, result)| credential(direction, result));
            let mut seen = Observation {
                device: DeviceId::new("d").unwrap(),
                stamp: Stamp::new(None, NOW),
                body: Body::Event(event),
                retained: false,
            };
            let pass = Pass::of(&seen);
            assert_eq!(pass.map(|p| (p.direction, p.moves)), expected, "{kind} {phase} {given:?}");
            seen.retained = true;
            assert_eq!(Pass::of(&seen), None);
        }
    }
}

//! What happened: one vocabulary for every reader, button, contact and camera.

use super::{Person, PersonRef};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[derive(schemars::JsonSchema)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every word, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word used in profiles, rules, the database and the API.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Finds the value of a word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.as_str() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What kind of thing happened.
    EventKind {
        /// A card, phone, face or code was presented.
        Credential = "credential",
        /// A door, gate or window contact opened (`start`) or closed (`end`).
        Contact = "contact",
        /// A help button was pressed (紧急求助).
        Help = "help",
        /// A fire detector or fire panel alarms (火警).
        Fire = "fire",
        /// An intrusion detector alarms (入侵).
        Intrusion = "intrusion",
        /// A camera or detector sees motion.
        Motion = "motion",
        /// A device was opened, covered, moved or blinded (防拆、遮挡).
        Tamper = "tamper",
        /// A door was forced.
        DoorForced = "door_forced",
        /// A door was held open too long.
        DoorHeld = "door_held",
        /// Water where none should be.
        WaterLeak = "water_leak",
        /// Gas.
        Gas = "gas",
        /// A camera gives no picture.
        VideoLoss = "video_loss",
        /// The device reports a fault of its own.
        Fault = "fault",
        /// A counter goes on from another value: the meter was exchanged or set back (换表、清零).
        CountedAnew = "counted_anew",
        /// The device's battery is low.
        BatteryLow = "battery_low",
        /// Somebody opened under threat (胁迫): a silent call for help.
        Duress = "duress",
        /// A smoke detector of its own, not behind a fire panel.
        Smoke = "smoke",
        /// A device behind a panel or a hub is no longer heard (监管失联), or is again.
        Supervision = "supervision",
        /// Mains or reserve power of a device fails (主电、备电故障).
        PowerFault = "power_fault",
        /// Part of a panel is shielded, bypassed or taken out of service (屏蔽、旁路).
        Bypass = "bypass",
        /// A panel or zone was armed (`start`) or disarmed (`end`).
        Armed = "armed",
        /// A vehicle passed a barrier or plate reader.
        VehiclePass = "vehicle_pass",
        /// A wristband or tag is heard in a place (`start`) or no longer (`end`).
        Presence = "presence",
        /// Something the profile names but this list does not; the raw code is kept.
        Other = "other",
    }
}

words! {
    /// Whether an event is a moment, or the beginning or end of a state.
    Phase {
        /// It happened, and that is all.
        Moment = "moment",
        /// A state began.
        Start = "start",
        /// The state ended.
        End = "end",
    }
}

words! {
    /// What carried a credential (AC-01).
    Carrier {
        /// Card.
        Card = "card",
        /// Phone (NFC, Bluetooth).
        Phone = "phone",
        /// Wristband.
        Wristband = "wristband",
        /// Face.
        Face = "face",
        /// Fingerprint.
        Fingerprint = "fingerprint",
        /// QR code.
        Qr = "qr",
        /// PIN.
        Pin = "pin",
        /// A vehicle's plate.
        Plate = "plate",
        /// The device does not say.
        Unknown = "unknown",
    }
}

words! {
    /// What a credential was presented for (AC-02).
    Service {
        /// Door or gate.
        Access = "access",
        /// Attendance.
        Attendance = "attendance",
        /// Canteen.
        Canteen = "canteen",
        /// Shop.
        Shop = "shop",
        /// Library.
        Library = "library",
        /// Dormitory.
        Dormitory = "dormitory",
        /// Visitor.
        Visitor = "visitor",
        /// Family telephone.
        FamilyPhone = "family_phone",
        /// A checkpoint of a patrol (电子巡更).
        Patrol = "patrol",
        /// Sitting an examination.
        Exam = "exam",
        /// Something else; the raw code is kept.
        Other = "other",
    }
}

words! {
    /// Which way a person passed.
    Direction {
        /// Into the place.
        In = "in",
        /// Out of the place.
        Out = "out",
        /// The device does not say.
        Unknown = "unknown",
    }
}

words! {
    /// What the reader decided.
    AccessResult {
        /// Let through.
        Granted = "granted",
        /// Refused.
        Denied = "denied",
        /// Refused because nobody knows this credential.
        UnknownCredential = "unknown_credential",
        /// The device only reports the presentation.
        Reported = "reported",
    }
}

impl AccessResult {
    /// Whether the person was refused.
    #[must_use]
    pub fn refused(self) -> bool {
        matches!(self, Self::Denied | Self::UnknownCredential)
    }
}

words! {
    /// Why a reader refused.
    Reason {
        /// The credential has no right here (未分配权限).
        NoRight = "no_right",
        /// Not at this time (无效时段).
        WrongTime = "wrong_time",
        /// It is no longer valid, or not yet (过期).
        Expired = "expired",
        /// It is on the list of those to be stopped (黑名单).
        Blocked = "blocked",
        /// PIN or second credential wrong.
        WrongPin = "wrong_pin",
        /// Entered twice without leaving (反潜回).
        AntiPassback = "anti_passback",
        /// Another door of the lock is open (互锁).
        Interlock = "interlock",
        /// The face, finger or identity card does not match.
        NoMatch = "no_match",
        /// A picture instead of a living face.
        NotAlive = "not_alive",
        /// The second credential did not come in time.
        Timeout = "timeout",
        /// Something else; the raw code is kept.
        Other = "other",
    }
}

/// One presentation of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialUse {
    /// What carried it.
    pub carrier: Carrier,
    /// What for.
    pub service: Service,
    /// Which way.
    pub direction: Direction,
    /// With what result.
    pub result: AccessResult,
    /// Why it was refused, if it was and the device says.
    pub reason: Option<Reason>,
    /// Whose, as a pseudonym; the number itself never leaves the parser.
    pub person: Option<PersonRef>,
    /// Who that is to the school, where the table of persons says; never stored with the event.
    #[serde(skip)]
    pub known: Option<Arc<Person>>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// A moment, a beginning or an end.
    pub phase: Phase,
    /// The device's own code, kept when the vocabulary is coarser than it.
    pub code: Option<String>,
    /// The device's own number for this event: the same number twice is the same event.
    pub serial: Option<String>,
    /// Details when a credential was presented.
    pub credential: Option<CredentialUse>,
}

impl Event {
    /// An event with nothing but a kind and a phase.
    #[must_use]
    pub fn bare(kind: EventKind, phase: Phase) -> Self {
        Self { kind, phase, code: None, serial: None, credential: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_again() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_word(kind.as_str()), Some(*kind));
        }
        assert_eq!(Service::from_word("nonsense"), None);
    }
}

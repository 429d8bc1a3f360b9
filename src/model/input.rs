//! What enters the pipe: deliveries of observations, orders from people, and what could not be understood.

use super::{
    Actor, Alarm, AlarmClass, AlarmId, AreaId, AreaState, ArmMode, AuditHead, BusId, DeviceId, Drill, Event,
    Fault, Hazard, HazardId, MusterCommand, PeopleChange, PlaceId, Priority, Reading, Stage, Stamp, Truth,
    Wall,
};
use std::borrow::Cow;

/// Whether a device answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// It answers.
    Up,
    /// It does not, and why.
    Down(Fault),
}

/// What an observation says.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A value.
    Reading(Reading),
    /// Something happened.
    Event(Event),
    /// The device began or ceased to answer.
    Link(Link),
}

/// One thing seen of one device.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Of whom.
    pub device: DeviceId,
    /// When.
    pub stamp: Stamp,
    /// What.
    pub body: Body,
    /// A state told to us on connecting (MQTT retained, ONVIF `Initialized`): it is true now, but it did not
    /// happen now, and never raises a one-shot alarm.
    pub retained: bool,
}

/// What could not be understood; it is counted and kept for a person to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The device, if known.
    pub device: Option<DeviceId>,
    /// The bus it came by.
    pub bus: BusId,
    /// Topic, register range or URL: where it came from.
    pub origin: String,
    /// One word for the metric: `not_json`, `too_large`, `bad_type` …
    pub kind: &'static str,
    /// What was wrong and what was expected, for a person.
    pub reason: String,
    /// The first bytes as received, at most [`Refused::MAX_KEPT`]. Empty where they could name a person.
    pub raw: Vec<u8>,
    /// Its whole length in bytes.
    pub raw_len: usize,
    /// When.
    pub stamp: Stamp,
}

impl Refused {
    /// How many raw bytes are kept.
    pub const MAX_KEPT: usize = 1024;
}

/// A message from something the configuration does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The bus it came by.
    pub bus: BusId,
    /// Its topic or address.
    pub origin: String,
    /// When.
    pub stamp: Stamp,
}

/// What a person wants done to an alarm, a hazard, an area or a drill, or the gateway itself. The note is the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Take it.
    Acknowledge(AlarmId),
    /// Reset a latched one.
    Reset(AlarmId),
    /// Write down that a further step of its ladder was begun; the note says which. Only the gateway orders this.
    Escalate(AlarmId),
    /// Take it, if nobody has, and ask for more people: it is real.
    CallSupport(AlarmId),
    /// Write down that every group of its ladder has the call for support. Only the gateway orders this.
    SupportTold {
        /// Which.
        id: AlarmId,
        /// When that call was made; of another, nothing is written down.
        called: Wall,
    },
    /// Set it aside.
    Shelve {
        /// Which.
        id: AlarmId,
        /// For how long at most, seconds.
        secs: u32,
        /// Only until the condition ends.
        once: bool,
    },
    /// Take it from the shelf.
    Unshelve(AlarmId),
    /// Its device is being worked on.
    TakeOut {
        /// Which.
        id: AlarmId,
        /// For how long, seconds; until somebody says otherwise if absent.
        secs: Option<u32>,
    },
    /// It is in service again.
    PutBack(AlarmId),
    /// Say what it turned out to be; also of one that is over, for a while.
    Confirm {
        /// Which.
        id: AlarmId,
        /// What it was.
        truth: Truth,
    },
    /// Write down a hazard.
    FindHazard {
        /// The alarm that showed it.
        alarm: Option<AlarmId>,
        /// Where, if no alarm says it.
        place: Option<PlaceId>,
        /// What it is.
        what: String,
    },
    /// Go a step on with it.
    StepHazard {
        /// Which.
        id: HazardId,
        /// To which stage; the one behind the present.
        stage: Stage,
    },
    /// Arm an area, in part or whole, or disarm it.
    Arm {
        /// Which.
        area: AreaId,
        /// To what.
        mode: ArmMode,
        /// Also while something is open, which is passed over then.
        force: bool,
    },
    /// Begin a drill; the note says what for.
    StartDrill {
        /// For how long at most, seconds.
        secs: u32,
    },
    /// End it, and close every alarm of it.
    StopDrill,
    /// Raise an alarm of it.
    DrillAlarm {
        /// What it is about.
        class: AlarmClass,
        /// How soon people are to act.
        priority: Priority,
        /// Where.
        place: PlaceId,
        /// What happens, in words; its class unless told otherwise.
        what: Option<String>,
    },
}

/// What an order that was carried out has led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The alarm after it.
    Alarm(Box<Alarm>),
    /// The hazard after it.
    Hazard(Box<Hazard>),
    /// The area after it.
    Area(Box<AreaState>),
    /// The drill after it.
    Drill(Box<Drill>),
}

impl Done {
    /// The alarm, if the order was about one.
    #[must_use]
    pub fn alarm(&self) -> Option<&Alarm> {
        match self {
            Self::Alarm(alarm) => Some(alarm),
            _ => None,
        }
    }
}

/// An order with who gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What to do.
    pub order: Order,
    /// Who says so.
    pub actor: Actor,
    /// What they wrote, possibly nothing.
    pub note: String,
}

/// A row of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// When.
    pub at: Wall,
    /// Who did it.
    pub actor: Cow<'static, str>,
    /// What was done, one word.
    pub action: &'static str,
    /// To what.
    pub subject: Cow<'static, str>,
    /// With which words or values.
    pub detail: String,
}

/// One thing that enters the pipe.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Something was seen.
    Observed(Observation),
    /// A person gave an order.
    Command(Command),
    /// Something could not be understood.
    Refused(Refused),
    /// Something came from a stranger.
    Unknown(Unknown),
    /// A person gave an order about the muster.
    Muster(MusterCommand),
    /// The school told who is who.
    People(PeopleChange),
    /// Somebody did something that is to be written down, in the commit of what comes with it.
    Audit(Audit),
    /// What a restart has to know of responses, in their own words.
    Responses(String),
    /// How far the audit trail has come, for every platform.
    AuditHead(AuditHead),
}

/// How a repeated message is told from a new one that looks the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageKey {
    /// A 64-bit hash of packet id, topic and payload.
    pub fingerprint: u64,
    /// The transport says it may have sent this before (MQTT DUP).
    pub redelivered: bool,
}

/// What arrived in one piece and is acknowledged in one piece, after the commit that holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The bus it came by; `None` for orders.
    pub bus: Option<BusId>,
    /// Set where the transport may deliver twice.
    pub key: Option<MessageKey>,
    /// What it holds.
    pub inputs: Vec<Input>,
}

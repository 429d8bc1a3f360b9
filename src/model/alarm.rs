//! An alarm and the changes of its state, in the terms of ISA-18.2 with the fields kept apart.

use super::event::words;
use super::{DeviceId, PlaceId, RuleId, Text, Wall};
use serde::{Deserialize, Serialize};
use std::fmt;

words! {
    /// How soon a person must act.
    Priority {
        /// Now: life or intrusion.
        Critical = "critical",
        /// Within minutes.
        High = "high",
        /// Within the shift.
        Medium = "medium",
        /// When there is time.
        Low = "low",
    }
}

words! {
    /// What an alarm is about.
    AlarmClass {
        /// A person asks for help. Latches; cannot be switched off (GB 50394-2007 5.2.3).
        Help = "help",
        /// Fire. Latches; cannot be switched off.
        Fire = "fire",
        /// Intrusion. Latches.
        Intrusion = "intrusion",
        /// Doors, cards, cameras.
        Security = "security",
        /// Energy and water.
        Energy = "energy",
        /// Rooms: temperature, humidity, air.
        Environment = "environment",
        /// A device, a bus or an uplink is not working.
        Equipment = "equipment",
    }
}

impl Priority {
    /// Its name for people.
    #[must_use]
    pub fn name(self) -> Text {
        match self {
            Self::Critical => Text::new("紧急", "critical"),
            Self::High => Text::new("高", "high"),
            Self::Medium => Text::new("中", "medium"),
            Self::Low => Text::new("低", "low"),
        }
    }
}

impl AlarmClass {
    /// Its name for people.
    #[must_use]
    pub fn name(self) -> Text {
        match self {
            Self::Help => Text::new("求助", "help"),
            Self::Fire => Text::new("火警", "fire"),
            Self::Intrusion => Text::new("入侵", "intrusion"),
            Self::Security => Text::new("安防", "security"),
            Self::Energy => Text::new("能耗", "energy"),
            Self::Environment => Text::new("环境", "environment"),
            Self::Equipment => Text::new("设备", "equipment"),
        }
    }

    /// Whether such an alarm stays until a person resets it.
    #[must_use]
    pub fn latches(self) -> bool {
        matches!(self, Self::Help | Self::Fire | Self::Intrusion)
    }

    /// Whether nothing and nobody may keep such an alarm quiet (GB 50394-2007 5.2.3); duress is a call for help.
    #[must_use]
    pub fn protected(self) -> bool {
        matches!(self, Self::Help | Self::Fire)
    }
}

/// The number of an alarm in this school; never used twice.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct AlarmId(pub u64);

impl fmt::Display for AlarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an alarm is the alarm of: one rule and one subject have at most one open alarm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlarmKey {
    /// The rule that holds.
    pub rule: RuleId,
    /// What it holds for: a device, or a device and a person's pseudonym.
    pub subject: String,
}

/// Who did something: a person at the command line or page, or the gateway itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Actor(String);

/// Longest actor name, in characters.
pub const MAX_ACTOR_CHARS: usize = 64;
/// Longest note, in characters.
pub const MAX_NOTE_CHARS: usize = 1000;

impl Actor {
    /// The gateway itself.
    #[must_use]
    pub fn gateway() -> Self {
        Self("gateway".into())
    }

    /// A person or program; cut to 64 characters, control characters dropped. `None` when nothing is left.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name: String = name.trim().chars().filter(|c| !c.is_control()).take(MAX_ACTOR_CHARS).collect();
        (!name.is_empty()).then_some(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who did it, when, and what they wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handled {
    /// Who.
    pub by: Actor,
    /// When.
    pub at: Wall,
    /// What they wrote, possibly nothing.
    pub note: String,
}

words! {
    /// What an alarm turned out to be.
    Truth {
        /// It was one.
        Real = "real",
        /// There was nothing.
        False = "false",
        /// It was set off on purpose, to practise.
        Drill = "drill",
        /// What it reports was so, and nobody needed to know.
        Nuisance = "nuisance",
    }
}

impl Truth {
    /// Its name for people.
    #[must_use]
    pub fn name(self) -> Text {
        match self {
            Self::Real => Text::new("真实", "real"),
            Self::False => Text::new("误报", "false"),
            Self::Drill => Text::new("演练", "drill"),
            Self::Nuisance => Text::new("无需处理", "nuisance"),
        }
    }
}

/// A person does not want to hear of an alarm for a while (ISA-18.2: shelved). There is no shelf without an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shelf {
    /// Who, when, and why.
    #[serde(flatten)]
    pub by: Handled,
    /// When it is over at the latest.
    pub until: Wall,
    /// It is over as soon as the condition ends.
    pub once: bool,
}

/// What an alarm reports cannot be judged at present, because its device is being worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutOfService {
    /// Who said so, when, and why.
    #[serde(flatten)]
    pub by: Handled,
    /// When it is in service again by itself, if ever; reports list it until then.
    pub until: Option<Wall>,
}

/// The school's own arrangement keeps an alarm quiet (ISA-18.2: suppressed by design).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppressed {
    /// What does: `area.<id>` of an area that is not armed.
    pub by: String,
    /// Since when.
    pub at: Wall,
}

/// An alarm that comes and goes; while it does it counts as active, and is one alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chatter {
    /// Since when.
    pub since: Wall,
    /// How often it came or went.
    pub count: u32,
}

/// What an alarm turned out to be, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// What it was.
    pub truth: Truth,
    /// Who says so, when, and what they wrote.
    #[serde(flatten)]
    pub by: Handled,
}

/// Somebody has seen that it is real, and asked for more people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Support {
    /// Who called last, when, and what they wrote.
    #[serde(flatten)]
    pub by: Handled,
    /// When every group of the alarm's ladder had that call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Wall>,
}

/// What keeps an alarm quiet, and what else is noted of it; each independent of the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Marks {
    /// A person set it aside for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shelved: Option<Shelf>,
    /// The school's own arrangement keeps it quiet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<Suppressed>,
    /// Its device is being worked on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_of_service: Option<OutOfService>,
    /// The alarm that explains it and is announced in its stead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inhibited_by: Option<AlarmId>,
    /// It comes and goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chattering: Option<Chatter>,
    /// It was the first of its place and of its bus for a while: those that came behind may follow from it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub first: bool,
    /// What it turned out to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Confirmed>,
    /// Somebody asked for more people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support: Option<Support>,
    /// A person raised it to practise: nothing has happened.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drill: bool,
}

impl Marks {
    /// Whether nothing keeps the alarm from being announced.
    #[must_use]
    pub fn audible(&self) -> bool {
        self.shelved.is_none()
            && self.suppressed.is_none()
            && self.out_of_service.is_none()
            && self.inhibited_by.is_none()
    }
}

/// An alarm as it stands. The fields are independent, as in OPC UA Part 9; [`Alarm::isa_state`] gives the letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Its number.
    pub id: AlarmId,
    /// What it is the alarm of.
    pub key: AlarmKey,
    /// What it is about.
    pub class: AlarmClass,
    /// How soon to act.
    pub priority: Priority,
    /// The device concerned.
    pub device: Option<DeviceId>,
    /// Where.
    pub place: Option<PlaceId>,
    /// What happened, in words.
    pub what: Text,
    /// When it was first raised.
    pub raised_at: Wall,
    /// Whether the condition holds now.
    pub active: bool,
    /// How often the condition came back while the alarm was open.
    pub occurrences: u32,
    /// When the condition last ended.
    pub cleared_at: Option<Wall>,
    /// Who took it.
    pub acknowledged: Option<Handled>,
    /// Whether only a manual reset closes it: by its class, or because somebody called for support.
    pub latched: bool,
    /// Who reset it, if latched.
    pub reset: Option<Handled>,
    /// When it was over: cleared, acknowledged and, if latched, reset.
    pub closed_at: Option<Wall>,
    /// What keeps it quiet, and what else is noted of it.
    #[serde(flatten)]
    pub marks: Marks,
}

/// The rule of calls for help under threat.
pub const DURESS_RULE: &str = "always.duress";

/// What the rules of the alarms of responses begin with.
pub const RESPONSE_RULES: &str = "response.";
/// What they begin with in drills.
pub const DRILLED_RULES: &str = "drill.response.";
/// What they end with where nothing may sound.
pub const SILENT_RULES: &str = ".silent";

impl AlarmKey {
    /// Whether it is the alarm of a response, which alone says when that is over.
    #[must_use]
    pub fn of_response(&self) -> bool {
        let rule = self.rule.as_str();
        rule.starts_with(RESPONSE_RULES) || rule.starts_with(DRILLED_RULES)
    }
}

impl Alarm {
    /// Whether nothing may sound or show where it was raised: somebody there is under threat (胁迫), or nobody is to
    /// hear that the school locks itself down.
    #[must_use]
    pub fn silent(&self) -> bool {
        let rule = self.key.rule.as_str();
        rule == DURESS_RULE || (self.key.of_response() && rule.ends_with(SILENT_RULES))
    }

    /// Whether there is fire as far as anybody knows, and not in a drill: nothing may be locked then.
    #[must_use]
    pub fn burns(&self) -> bool {
        self.class == AlarmClass::Fire && self.closed_at.is_none() && !self.marks.drill
    }

    /// When the call for support was made that not every group of its ladder has yet.
    #[must_use]
    pub fn calls(&self) -> Option<Wall> {
        let support = self.marks.support.as_ref().filter(|support| support.told_at.is_none())?;
        self.closed_at.is_none().then_some(support.by.at)
    }

    /// Whether people are told of it: it is not over, and nothing keeps it quiet.
    #[must_use]
    pub fn announced(&self) -> bool {
        self.closed_at.is_none() && self.marks.audible()
    }

    /// The state by ISA-18.2: A normal, B unacknowledged, C acknowledged, D returned to normal unacknowledged,
    /// E latched unacknowledged, F latched acknowledged, G shelved, H suppressed by design (also where another alarm
    /// explains it), I out of service.
    #[must_use]
    pub fn isa_state(&self) -> char {
        let marks = &self.marks;
        match (self.closed_at.is_some(), self.active, self.acknowledged.is_some(), self.latched) {
            (true, ..) => 'A',
            _ if marks.out_of_service.is_some() => 'I',
            _ if marks.suppressed.is_some() || marks.inhibited_by.is_some() => 'H',
            _ if marks.shelved.is_some() => 'G',
            (_, true, false, _) => 'B',
            (_, true, true, _) => 'C',
            (_, false, false, false) => 'D',
            (_, false, false, true) => 'E',
            (_, false, true, _) => 'F',
        }
    }
}

/// What a state of [`Alarm::isa_state`] means and what to do next.
#[must_use]
pub fn state_name(isa: char) -> Text {
    match isa {
        'B' => Text::new("未确认", "not taken"),
        'C' => Text::new("已确认", "taken"),
        'D' => Text::new("已恢复，未确认", "gone, not taken"),
        'E' => Text::new("锁定，未确认", "latched, not taken"),
        'F' => Text::new("锁定，待复位", "latched, to be reset"),
        'G' => Text::new("已搁置", "shelved"),
        'H' => Text::new("按设计抑制", "suppressed by design"),
        'I' => Text::new("停用", "out of service"),
        _ => Text::new("已结束", "over"),
    }
}

words! {
    /// One step in an alarm's life.
    ChangeKind {
        /// It was raised.
        Raised = "raised",
        /// The condition came back while the alarm was still open.
        Recurred = "recurred",
        /// A person took it.
        Acknowledged = "acknowledged",
        /// The condition ended.
        Cleared = "cleared",
        /// A person reset a latched alarm.
        Reset = "reset",
        /// It is over.
        Closed = "closed",
        /// Nobody took it, so a further step of its ladder was begun.
        Escalated = "escalated",
        /// A person set it aside for a while.
        Shelved = "shelved",
        /// That while is over, or a person ended it.
        Unshelved = "unshelved",
        /// The school's own arrangement keeps it quiet.
        Suppressed = "suppressed",
        /// It does so no longer.
        Unsuppressed = "unsuppressed",
        /// Its device is being worked on.
        OutOfService = "out_of_service",
        /// It is no longer.
        InService = "in_service",
        /// Another alarm explains it.
        Inhibited = "inhibited",
        /// None does any longer.
        Uninhibited = "uninhibited",
        /// It comes and goes; again from time to time with a new count.
        Chattering = "chattering",
        /// It came and went, and is quiet now.
        Settled = "settled",
        /// A person said what it turned out to be.
        Confirmed = "confirmed",
        /// A person has seen it and asked for more people.
        SupportCalled = "support_called",
        /// Every group of its ladder has that call.
        SupportTold = "support_told",
    }
}

impl ChangeKind {
    /// Whether platforms are told: they have no place for what only the school's own people deal with.
    #[must_use]
    pub fn goes_north(self) -> bool {
        matches!(
            self,
            Self::Raised | Self::Recurred | Self::Acknowledged | Self::Cleared | Self::Reset | Self::Closed
        )
    }

    /// Whether people who were not told of the alarm, or not any more, are to be told from this step on.
    #[must_use]
    pub fn announces(self) -> bool {
        matches!(
            self,
            Self::Raised
                | Self::Recurred
                | Self::Unshelved
                | Self::Unsuppressed
                | Self::InService
                | Self::Uninhibited
        )
    }
}

/// One step, with who and when, and the alarm as it stood after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmChange {
    /// What happened to it.
    pub kind: ChangeKind,
    /// When.
    pub at: Wall,
    /// Who did it.
    pub actor: Actor,
    /// What they wrote, possibly nothing.
    pub note: String,
    /// The alarm after the step.
    pub alarm: Alarm,
}

impl AlarmChange {
    /// Whether platforms are told: of a step that is theirs, and never of a drill.
    #[must_use]
    pub fn goes_north(&self) -> bool {
        self.kind.goes_north() && !self.alarm.marks.drill
    }
}

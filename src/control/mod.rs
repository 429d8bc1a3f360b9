//! Switching things in the field: what may be ordered, when, and what counts as done.
//!
//! A [`Control`] decides and touches nothing: it is told of orders, of what came of writes and reads, and of time, and
//! answers with [`Step`]s for whoever has the bus and the store. Three things hold always. An order away from rest is
//! written only after its intent is durable. It is done when the device is *read* to be so, never because it echoed.
//! And the way back to rest is never barred: no interlock, no rate, no waiting for the disk.

mod checks;
mod machine;
mod memory;
mod outcome;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use machine::{Control, Last, View};
pub use memory::Memory;
pub use outcome::{Failure, Outcome, Refusal};

use crate::model::{Actor, ControlId, DeviceId, PlaceId, PointId, RuleId, Text, Wall};
use crate::pipeline::Audit;
use crate::rules::{Finding, Level};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// Longest wait until an intent is durable; then the order is refused.
pub const STORE_WITHIN: Duration = Duration::from_secs(5);
/// Longest reason of an order, in characters.
pub const MAX_REASON_CHARS: usize = 200;

/// What may be switched, and within which limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Its id.
    pub id: ControlId,
    /// Its name for people.
    pub name: String,
    /// The device that is written to.
    pub device: DeviceId,
    /// Its point.
    pub point: PointId,
    /// Where it is.
    pub place: PlaceId,
    /// The values that may be written.
    pub allowed: Allowed,
    /// The value that is safe and always allowed: off.
    pub rest: Option<f64>,
    /// Longest time away from rest; then, and after every restart, rest is written.
    pub max_on: Option<Duration>,
    /// Shortest time between a switching and an order away from rest.
    pub min_interval: Duration,
    /// Most orders away from rest in any hour.
    pub max_per_hour: u32,
    /// What must hold before it is switched away from rest.
    pub interlocks: Vec<Interlock>,
    /// The point that tells whether it was done.
    pub read_back: (DeviceId, PointId),
    /// How long the device may take until it reads so.
    pub settle: Duration,
    /// Everything is done but the write.
    pub dry_run: bool,
    /// Rules whose alarm, when it begins, writes rest.
    pub off_when: BTreeSet<RuleId>,
    /// It is on the way out (疏散门): nobody brings it away from rest.
    pub exit: bool,
    /// A lockdown uses it: while there is fire nobody brings it away from rest.
    pub inert_in_fire: bool,
}

impl Spec {
    /// The points that it hangs on: their devices are read before others.
    pub fn points(&self) -> impl Iterator<Item = (DeviceId, PointId)> {
        self.interlocks.iter().map(|lock| (lock.device.clone(), lock.point.clone()))
    }
}

/// The values that may be written.
#[derive(Debug, Clone, PartialEq)]
pub enum Allowed {
    /// These.
    Values(Vec<f64>),
    /// From `min` to `max`, in steps from `min` if there are any.
    Range {
        /// The smallest.
        min: f64,
        /// The largest.
        max: f64,
        /// Between two of them.
        step: Option<f64>,
    },
}

/// Numbers this close are the same: registers are far coarser.
fn close(a: f64, b: f64) -> bool {
    a.is_finite() && b.is_finite() && (a - b).abs() <= 1e-6 * a.abs().max(b.abs()).max(1.0)
}

impl Allowed {
    /// The value that is meant, if it may be written.
    #[must_use]
    pub fn find(&self, value: f64) -> Option<f64> {
        match self {
            Self::Values(values) => values.iter().copied().find(|allowed| close(*allowed, value)),
            Self::Range { min, max, .. } if !(*min..=*max).contains(&value) => None,
            Self::Range { step: None, .. } => Some(value),
            Self::Range { min, step: Some(step), .. } => {
                let on_grid = min + ((value - min) / step).round() * step;
                close(on_grid, value).then_some(on_grid)
            }
        }
    }

    /// Values that stand for all: the list, or the ends and the first step.
    #[must_use]
    pub fn named(&self) -> Vec<f64> {
        match self {
            Self::Values(values) => values.clone(),
            Self::Range { min, max, step } => vec![*min, *max, step.map_or(*min, |step| min + step)],
        }
    }

    /// Whether a value that was read is the one that was written.
    fn reached(&self, written: f64, read: f64) -> bool {
        match self {
            // A register that holds half steps only is rounded to the nearest.
            Self::Range { step: Some(step), .. } => (written - read).abs() < step / 2.0,
            _ => close(written, read),
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Values(values) => {
                let words: Vec<String> = values.iter().map(f64::to_string).collect();
                f.write_str(&words.join(", "))
            }
            Self::Range { min, max, step: None } => write!(f, "{min}..{max}"),
            Self::Range { min, max, step: Some(step) } => write!(f, "{min}..{max}, step {step}"),
        }
    }
}

/// What another point must say, freshly and well, before something is switched away from rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Interlock {
    /// Whose point.
    pub device: DeviceId,
    /// Which.
    pub point: PointId,
    /// What it must say.
    pub holds: Condition,
    /// Older values count as none.
    pub max_age: Duration,
}

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Condition {
    /// This.
    Is(f64),
    /// More than this.
    Above(f64),
    /// Less than this.
    Below(f64),
}

impl Condition {
    fn met(self, value: f64) -> bool {
        match self {
            Self::Is(wanted) => close(wanted, value),
            Self::Above(limit) => value > limit,
            Self::Below(limit) => value < limit,
        }
    }

    fn says(self) -> Text {
        match self {
            Self::Is(value) => Text::new(format!("等于 {value}"), format!("{value}")),
            Self::Above(limit) => Text::new(format!("大于 {limit}"), format!("above {limit}")),
            Self::Below(limit) => Text::new(format!("小于 {limit}"), format!("below {limit}")),
        }
    }
}

/// On whose behalf something is switched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// A person.
    Person(Actor),
    /// An alarm of a rule began.
    Rule(RuleId),
    /// Its longest time is over.
    Time,
    /// It was on when the gateway stopped.
    Restart,
    /// The gateway stops.
    Stop,
    /// An order away from rest failed, so nobody knows how it is.
    Doubt,
}

impl By {
    /// As it stands in the audit trail.
    #[must_use]
    pub fn actor(&self) -> String {
        match self {
            Self::Person(actor) => actor.as_str().to_owned(),
            Self::Rule(rule) => format!("rule:{rule}"),
            Self::Time | Self::Restart | Self::Stop | Self::Doubt => "gateway".to_owned(),
        }
    }

    /// Why, where no person says so.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Person(_) => "",
            Self::Rule(_) => "the rule's alarm began",
            Self::Time => "max_on_secs is over",
            Self::Restart => "it was on when the gateway ended",
            Self::Stop => "the gateway stops",
            Self::Doubt => "the order before it was not confirmed",
        }
    }
}

/// An order.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The number under which its outcome is told.
    pub number: u64,
    /// What to write.
    pub value: f64,
    /// Who says so.
    pub by: By,
    /// Why.
    pub reason: String,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What a control wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make this durable, after everything before it; where there is a ticket [`Control::stored`] is called then.
    Store {
        /// Who waits for it.
        ticket: Option<u64>,
        /// What a restart has to know.
        memory: Memory,
        /// Rows of the audit trail.
        audit: Vec<Audit>,
    },
    /// Write to the device; [`Control::wrote`] is called within a deadline.
    Write {
        /// Of which write.
        ticket: u64,
        /// What.
        value: f64,
    },
    /// Read the point that tells; [`Control::read`] is called within a deadline.
    Read {
        /// Of which read.
        ticket: u64,
    },
    /// Say what became of an order.
    Tell {
        /// Which.
        number: u64,
        /// What.
        outcome: Outcome,
    },
    /// Tell the pipeline.
    Report(Finding),
}

/// Why a write is not known to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotWritten {
    /// The device, or the bus, said no: nothing was changed.
    Refused(Text),
    /// Nobody knows whether it was.
    Unclear(Text),
}

/// What to say of a control that was away from rest when it, or its rest, was taken out of the configuration.
#[must_use]
pub fn abandoned(id: &ControlId, at: Wall) -> (Audit, Option<Finding>) {
    let said = "it was on and nothing in the configuration can switch it off any more";
    let audit = Audit {
        at,
        actor: "gateway".into(),
        action: "control",
        subject: id.to_string().into(),
        detail: format!("result=abandoned said={said:?}"),
    };
    let what = Text::new(
        format!("控制“{id}”在开启状态下被从配置中删除，不会再自动关闭：请到现场检查并手动关闭"),
        format!(
            "the control '{id}' was on when it was taken out of the configuration; nothing will switch it off: go and do it by hand"
        ),
    );
    (audit, checks::finding(id, Level::Happened, None, what))
}

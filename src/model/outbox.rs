//! What is owed to a platform: records with a number that is fixed before the first send.

use super::event::words;
use super::{AlarmChange, DestinationId, DeviceId, PointId, PointKind, Unit, Wall};
use serde::{Deserialize, Serialize};

words! {
    /// Which queue a record waits in; an earlier lane is always sent before a later one.
    Lane {
        /// Alarms, and heads of the audit trail.
        Alarm = "alarm",
        /// Aggregates.
        Aggregate = "aggregate",
    }
}

/// A point over one period. Only good values count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RollUp {
    /// Whose.
    pub device: DeviceId,
    /// Of what.
    pub point: PointId,
    /// In what.
    pub unit: Unit,
    /// How its values follow one another.
    pub kind: PointKind,
    /// First moment of the period.
    pub start: Wall,
    /// Length of the period in seconds.
    pub period_secs: u32,
    /// Good values in it.
    pub count: u32,
    /// Their sum.
    pub sum: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The last by time.
    pub last: f64,
    /// For counters: how much it grew in the period, wrap and reset considered; never negative.
    pub delta: Option<f64>,
    /// 0 when first sent; one more each time late data changed it.
    pub revision: u32,
}

/// How far the audit trail has come. Whoever keeps it elsewhere can tell later that nothing up to there was changed or
/// taken away, not even by somebody who owns the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// When this was so.
    pub at: Wall,
    /// The number of the last entry.
    pub entries: u64,
    /// Its SHA-256, which covers every entry before; hexadecimal.
    pub hash: String,
}

/// One record for a platform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "records are written and read one at a time, never kept in bulk"
)]
pub enum Record {
    /// A point over one period.
    Aggregate(RollUp),
    /// A step in an alarm's life.
    Alarm(AlarmChange),
    /// How far the audit trail has come.
    AuditHead(AuditHead),
}

impl Record {
    /// Which queue it waits in.
    #[must_use]
    pub fn lane(&self) -> Lane {
        match self {
            Self::Aggregate(_) => Lane::Aggregate,
            // Once a day, and of use only if it leaves before somebody can hold it back.
            Self::Alarm(_) | Self::AuditHead(_) => Lane::Alarm,
        }
    }
}

/// A record and the destination it is owed to.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxItem {
    /// Its number in this gateway: grows by one per record and destination, never used twice.
    pub seq: u64,
    /// To whom.
    pub destination: DestinationId,
    /// The name by which the platform can tell a repeat: `<gateway>:<seq>`, fixed before the first send.
    pub uid: String,
    /// When it was owed.
    pub created: Wall,
    /// The record.
    pub record: Record,
}

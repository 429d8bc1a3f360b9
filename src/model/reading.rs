//! One value of one point of a device.

use super::event::words;
use super::{Doubt, PointId, Quality, Unit};
use serde::{Deserialize, Serialize};

words! {
    /// How values of a point follow one another.
    PointKind {
        /// Goes up and down: voltage, temperature.
        Gauge = "gauge",
        /// Only grows until it wraps or is reset: energy, volume. Aggregated by difference.
        Counter = "counter",
        /// One of a few numbers: a relay, a valve.
        State = "state",
    }
}

/// One value, right or absent.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Which point of the device.
    pub point: PointId,
    /// The value in `unit`; `None` exactly when the quality is bad.
    pub value: Option<f64>,
    /// The unit of the value, as the profile says.
    pub unit: Unit,
    /// How values of this point follow one another.
    pub kind: PointKind,
    /// How far it may be believed.
    pub quality: Quality,
}

impl Reading {
    /// A believed value; NaN and infinities become absent.
    #[must_use]
    pub fn new(point: PointId, value: f64, unit: Unit, kind: PointKind) -> Self {
        if value.is_finite() {
            Self { point, value: Some(value), unit, kind, quality: Quality::Good }
        } else {
            Self::absent(point, unit, kind, Doubt::NotANumber)
        }
    }

    /// No value, and why.
    #[must_use]
    pub fn absent(point: PointId, unit: Unit, kind: PointKind, doubt: Doubt) -> Self {
        Self { point, value: None, unit, kind, quality: Quality::Bad(doubt) }
    }

    /// The same value, doubted; an absent one stays absent.
    #[must_use]
    pub fn doubted(mut self, doubt: Doubt) -> Self {
        if self.value.is_some() {
            self.quality = Quality::Uncertain(doubt);
        }
        self
    }

    /// The value if it may enter aggregates and rules.
    #[must_use]
    pub fn good(&self) -> Option<f64> {
        match self.quality {
            Quality::Good => self.value,
            Quality::Uncertain(_) | Quality::Bad(_) => None,
        }
    }
}

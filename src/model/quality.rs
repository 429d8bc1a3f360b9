//! How far a value may be believed, and why not further.

use serde::{Deserialize, Serialize};

/// Why a value is doubted or absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// NaN or infinite.
    NotANumber,
    /// One of the values the profile lists as "no value" (0xFFFF, 0x8000 …).
    Sentinel,
    /// Outside the range the profile gives.
    OutOfRange,
    /// A counter went back without a wrap that explains it.
    CounterWentBack,
    /// A retained message: true when it was sent, of unknown age now.
    Retained,
    /// The device itself says the value is bad.
    DeviceSays,
}

impl Doubt {
    /// The word stored in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotANumber => "not_a_number",
            Self::Sentinel => "sentinel",
            Self::OutOfRange => "out_of_range",
            Self::CounterWentBack => "counter_went_back",
            Self::Retained => "retained",
            Self::DeviceSays => "device_says",
        }
    }
}

/// Good, usable with care, or absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quality {
    /// Believed.
    Good,
    /// A value is there but doubted; it is stored and shown, and enters no aggregate.
    Uncertain(Doubt),
    /// There is no value.
    Bad(Doubt),
}

impl Quality {
    /// `good`, `uncertain` or `bad`, as stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Uncertain(_) => "uncertain",
            Self::Bad(_) => "bad",
        }
    }

    /// The reason, unless good.
    #[must_use]
    pub fn doubt(self) -> Option<Doubt> {
        match self {
            Self::Good => None,
            Self::Uncertain(d) | Self::Bad(d) => Some(d),
        }
    }
}

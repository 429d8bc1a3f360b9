//! How far a value may be believed, and why not further.

use super::event::words;
use serde::{Deserialize, Serialize};

words! {
    /// Why a value is doubted or absent.
    Doubt {
        /// NaN or infinite.
        NotANumber = "not_a_number",
        /// One of the values the profile lists as "no value" (0xFFFF, 0x8000 …).
        Sentinel = "sentinel",
        /// Outside the range the profile gives.
        OutOfRange = "out_of_range",
        /// A counter went back without a wrap that explains it.
        CounterWentBack = "counter_went_back",
        /// A counter grew by more than is physically possible.
        ImpossibleJump = "impossible_jump",
        /// A retained message: true when it was sent, of unknown age now.
        Retained = "retained",
        /// The device itself says the value is bad.
        DeviceSays = "device_says",
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

//! What electricity is used for (分项), as the energy of buildings is told apart, and which meter counts what another one
//! counts already.

use super::DeviceId;
use super::event::words;
use super::text::Text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

words! {
    /// What the energy of a meter is used for.
    EnergyItem {
        /// Lighting and sockets (照明插座用电).
        Lighting = "lighting",
        /// Heating, ventilation and air conditioning (空调用电).
        Hvac = "hvac",
        /// Lifts, pumps and fans (动力用电).
        Power = "power",
        /// Kitchens, computer rooms, laundries, pools (特殊用电).
        Special = "special",
    }
}

impl EnergyItem {
    /// Its name for people.
    #[must_use]
    pub fn name(self) -> Text {
        match self {
            Self::Lighting => Text::new("照明插座用电", "lighting and sockets"),
            Self::Hvac => Text::new("空调用电", "air conditioning"),
            Self::Power => Text::new("动力用电", "power"),
            Self::Special => Text::new("特殊用电", "special uses"),
        }
    }

    /// Its code in the guideline for transmitting the itemised energy use of buildings (分项能耗数据传输技术导则).
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Lighting => "01A00",
            Self::Hvac => "01B00",
            Self::Power => "01C00",
            Self::Special => "01D00",
        }
    }
}

/// Sub-meters (下级表), each with the meter that counts its energy already (上级表).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubMeters(BTreeMap<DeviceId, DeviceId>);

impl SubMeters {
    /// So many meters may stand in a row, each within the next.
    pub const MOST_IN_A_ROW: usize = 8;

    /// The meter that counts the energy of this one already.
    #[must_use]
    pub fn within(&self, meter: &str) -> Option<&DeviceId> {
        self.0.get(meter)
    }

    /// The meters that count its energy already, nearest first; ends also where a ring, which the configuration refuses,
    /// would go on.
    pub fn above<'s>(&'s self, meter: &str) -> impl Iterator<Item = &'s DeviceId> + use<'s> {
        let next = |at: &&'s DeviceId| self.within(at.as_str());
        std::iter::successors(self.within(meter), next).take(Self::MOST_IN_A_ROW)
    }

    /// The meters right below it.
    pub fn below<'s>(&'s self, meter: &str) -> impl Iterator<Item = &'s DeviceId> {
        self.0.iter().filter(move |(_, within)| within.as_str() == meter).map(|(sub, _)| sub)
    }
}

impl FromIterator<(DeviceId, DeviceId)> for SubMeters {
    fn from_iter<I: IntoIterator<Item = (DeviceId, DeviceId)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

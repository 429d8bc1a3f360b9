//! What electricity is used for (分项), as the energy of buildings is told apart.

use super::event::words;
use super::text::Text;
use serde::{Deserialize, Serialize};

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

//! Terms, holidays with make-up workdays, bell schedule: "is this teaching time?"

use crate::model::Wall;

/// The school's calendar.
#[derive(Debug, Clone)]
pub struct Calendar {}

impl Calendar {
    /// Reads the table `[calendar]`.
    #[must_use]
    pub fn parse(reader: &crate::document::Reader<'_>, zone: &jiff::tz::TimeZone) -> Option<Self> {
        let _ = (reader, zone);
        None
    }

    /// A calendar for a school that wrote none.
    #[must_use]
    pub fn default_school(zone: jiff::tz::TimeZone) -> Self {
        let _ = zone;
        Self {}
    }

    /// Whether lessons or self-study are scheduled at `at`.
    #[must_use]
    pub fn is_teaching_time(&self, at: Wall) -> bool {
        let _ = at;
        false
    }
}

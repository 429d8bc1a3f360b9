//! `[campus]`: when a day ends for those who were not seen leaving, who stays over night, and what a muster list shows.

use super::fields::finish;
use crate::calendar::time_of_day;
use crate::campus::Settings;
use crate::document::Reader;

/// Most groups of boarders.
const MAX_GROUPS: usize = 1000;

/// `[campus]`.
pub(super) fn campus(reader: Option<Reader<'_>>) -> Settings {
    let mut settings = Settings::default();
    let Some(reader) = reader else { return settings };
    let advice = "write a time of day at which nobody is expected to be in, such as \"03:00\"";
    let reset_at = reader.parsed_opt("reset_at", advice, |text| {
        time_of_day(text).ok_or_else(|| format!("\"{text}\" is not a time of day"))
    });
    settings.reset_at = reset_at.unwrap_or(settings.reset_at);
    settings.lists_persons = reader.flag_opt("muster_lists_persons").unwrap_or(false);
    let groups = reader.texts("boarders");
    if groups.len() > MAX_GROUPS {
        reader.problem(
            "boarders",
            format!("there are {} groups of boarders", groups.len()),
            format!("name at most {MAX_GROUPS}, or mark the dormitory with `overnight = true`"),
        );
    }
    settings.boarders = groups.into_iter().map(|(group, _)| group).collect();
    finish(reader, None);
    settings
}

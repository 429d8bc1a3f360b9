//! `[campus]`: when a day ends for those who were not seen leaving, who stays over night, and what a muster list shows.

use super::alarm::no_time;
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
    let advice = (
        "写校内应当没有人的时刻，如 \"03:00\"",
        "write a time of day at which nobody is expected to be in, such as \"03:00\"",
    );
    let reset_at =
        reader.parsed_opt("reset_at", advice, |text| time_of_day(text).ok_or_else(|| no_time(text)));
    settings.reset_at = reset_at.unwrap_or(settings.reset_at);
    settings.lists_persons = reader.flag_opt("muster_lists_persons").unwrap_or(false);
    let groups = reader.texts("boarders");
    if groups.len() > MAX_GROUPS {
        reader.problem(
            "boarders",
            (
                format!("有 {} 个住宿班级", groups.len()),
                format!("there are {} groups of boarders", groups.len()),
            ),
            (
                format!("最多写 {MAX_GROUPS} 个，或给宿舍写 `overnight = true`"),
                format!("name at most {MAX_GROUPS}, or mark the dormitory with `overnight = true`"),
            ),
        );
    }
    settings.boarders = groups.into_iter().map(|(group, _)| group).collect();
    finish(reader, None);
    settings
}

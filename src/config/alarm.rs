//! `[alarms]` and `[[area]]`: how long an alarm may be shelved, who is on duty, and what can be armed against intruders.

use super::fields::{finish, name_opt, number, secs};
use super::names::{Names, at};
use crate::alarm::{Area, DEFAULT_SHELF_SECS, Schedule, Settings};
use crate::calendar::{Calendar, time_of_day};
use crate::document::{Reader, Spot};
use crate::model::{AreaId, DeviceId, Place, PlaceId};
use crate::report::{Duty, MAX_GUARDS, MAX_SHIFTS};
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The longest shelf that may be allowed, hours: a week.
const MOST_SHELF_HOURS: u32 = 7 * 24;
/// The longest delay on the way in or out, seconds.
const MOST_DELAY_SECS: u32 = 300;

/// `[alarms]`: what is said of alarms, and who is on duty.
pub(super) fn alarms(reader: Option<Reader<'_>>, zone: &TimeZone) -> (Settings, Duty) {
    let mut duty = Duty::usual(zone.clone());
    let Some(reader) = reader else { return (Settings::default(), duty) };
    let hours = number(&reader, "most_shelf_hours", (1, MOST_SHELF_HOURS), DEFAULT_SHELF_SECS / 3600);
    duty.guards = number(&reader, "guards", (1, MAX_GUARDS), 1);
    if reader.has("shifts") {
        duty.shifts = shifts(&reader).unwrap_or(duty.shifts);
    }
    finish(reader, None);
    (Settings { most_shelf_secs: hours * 3600 }, duty)
}

/// The times of day at which a shift begins, in order.
fn shifts(reader: &Reader<'_>) -> Option<Vec<i64>> {
    const ADVICE: (&str, &str) = (
        "写各班开始的时刻，如 [\"08:00\", \"16:00\", \"00:00\"]",
        "write the times of day at which a shift begins, such as [\"08:00\", \"16:00\", \"00:00\"]",
    );
    let written = reader.texts("shifts");
    let mut times = BTreeSet::new();
    for (text, _) in &written {
        let Some(time) = time_of_day(text) else {
            reader.problem("shifts", no_time(text), ADVICE);
            return None;
        };
        if !times.insert(time) {
            let message = (format!("\"{text}\" 写了两次"), format!("\"{text}\" is there twice"));
            reader.problem("shifts", message, ("每个时刻只写一次", "write each time once"));
            return None;
        }
    }
    if times.is_empty() || times.len() > MAX_SHIFTS {
        let count = times.len();
        let message = (
            format!("一天有 1 到 {MAX_SHIFTS} 个班，这里有 {count} 个"),
            format!("a day has 1 to {MAX_SHIFTS} shifts, these are {count}"),
        );
        reader.problem("shifts", message, ADVICE);
        return None;
    }
    Some(times.into_iter().collect())
}

/// That a text is no time of day.
pub(super) fn no_time(text: &str) -> (String, String) {
    (format!("\"{text}\" 不是时刻"), format!("\"{text}\" is not a time of day"))
}

/// What areas may refer to.
pub(super) struct Around<'a> {
    pub(super) places: &'a BTreeMap<PlaceId, Place>,
    pub(super) place_names: &'a Names,
    pub(super) device_names: &'a Names,
    pub(super) calendar: &'a Arc<Calendar>,
}

/// Reads every area; a place lies in one of them at most.
pub(super) fn areas(readers: Vec<Reader<'_>>, names: &mut Names, around: &Around<'_>) -> Vec<Area> {
    let mut taken: BTreeMap<PlaceId, (AreaId, Spot)> = BTreeMap::new();
    let mut areas = Vec::new();
    for reader in readers {
        let id = names.declare(&reader, AreaId::new);
        let name = name_opt(&reader, "name");
        let places = places(&reader, around);
        let perimeter = devices(&reader, "perimeter", around);
        let entry = devices(&reader, "entry", around);
        let entry_delay = secs(&reader, "entry_secs", (0, MOST_DELAY_SECS), 30);
        let exit_delay = secs(&reader, "exit_secs", (0, MOST_DELAY_SECS), 60);
        let schedule = schedule(&reader, around);
        if reader.has("entry_secs") && entry.is_empty() {
            let message = (
                "没有写进门路上的设备：延时永远不会开始",
                "nothing is on the way in: the delay would never begin",
            );
            let advice = (
                "加上 `entry = [\"…\"]`，写进门路上的设备，或删去 `entry_secs`",
                "add `entry = [\"…\"]` with the devices on the way in, or remove `entry_secs`",
            );
            reader.problem("entry_secs", message, advice);
        }
        if let Some(id) = id {
            for place in &places {
                if let Some((other, first)) = taken.get(place).filter(|(other, _)| *other != id) {
                    let first = at(first);
                    let message = (
                        format!("地点 '{place}' 已在防区 '{other}' 里，见 {first}"),
                        format!("the place '{place}' lies in the area '{other}' already, at {first}"),
                    );
                    let advice = ("一个地点只放进一个防区", "give each place to one area");
                    reader.problem("places", message, advice);
                    break;
                }
                taken.insert(place.clone(), (id.clone(), reader.spot("places")));
            }
            let name = name.unwrap_or_else(|| id.to_string());
            areas.push(Area { id, name, places, perimeter, entry, entry_delay, exit_delay, schedule });
        }
        finish(reader, None);
    }
    areas
}

/// The places that are named, with all that lies in them.
fn places(reader: &Reader<'_>, around: &Around<'_>) -> BTreeSet<PlaceId> {
    let written = reader.texts("places");
    if written.is_empty() {
        reader.problem(
            "places",
            ("这个防区没有地点", "the area has no place"),
            ("加上 `places = [\"…\"]`，写 [[place]] 的编号", "add `places = [\"…\"]` with ids of [[place]]"),
        );
    }
    let mut all = BTreeSet::new();
    for (text, _) in written {
        if around.place_names.check(reader, "places", &text) {
            all.extend(around.places.keys().filter(|place| lies_in(place, &text, around.places)).cloned());
        }
    }
    all
}

/// Whether a place is `above` or somewhere in it.
fn lies_in(place: &PlaceId, above: &str, places: &BTreeMap<PlaceId, Place>) -> bool {
    // As many steps as there are places: a ring, which is told elsewhere, would still end.
    std::iter::successors(Some(place), |place| places.get(*place)?.parent.as_ref())
        .take(places.len().max(1))
        .any(|place| place.as_str() == above)
}

fn devices(reader: &Reader<'_>, key: &str, around: &Around<'_>) -> BTreeSet<DeviceId> {
    let known = reader.texts(key).into_iter();
    let known = known.filter(|(text, _)| around.device_names.check(reader, key, text));
    known.filter_map(|(text, _)| DeviceId::new(&text).ok()).collect()
}

fn schedule(reader: &Reader<'_>, around: &Around<'_>) -> Option<Schedule> {
    let time = |key: &str| {
        let advice = ("写时刻，如 \"22:30\"", "write a time of day, such as \"22:30\"");
        reader.parsed_opt(key, advice, |text| time_of_day(text).ok_or_else(|| no_time(text)))
    };
    let (arm_at, disarm_at) = (time("arm_at"), time("disarm_at"));
    let (has_arm, has_disarm) = (reader.has("arm_at"), reader.has("disarm_at"));
    if has_arm != has_disarm {
        let (there, missing) = if has_arm { ("arm_at", "disarm_at") } else { ("disarm_at", "arm_at") };
        reader.problem(
            there,
            (format!("只写了 '{there}'"), format!("'{there}' stands alone")),
            (
                format!("加上 `{missing} = \"…\"`，或两个都删去，人工布防"),
                format!("add `{missing} = \"…\"`, or remove both and arm by hand"),
            ),
        );
    }
    let (arm_at, disarm_at) = (arm_at?, disarm_at?);
    if arm_at == disarm_at {
        let message = ("布防和撤防是同一时刻", "it is armed and disarmed at the same time");
        reader.problem("disarm_at", message, ("写两个不同的时刻", "write two times of day"));
        return None;
    }
    Some(Schedule { calendar: Arc::clone(around.calendar), arm_at, disarm_at })
}

//! `[calendar]`, `[[calendars]]` and `[[calendar_days]]`: the school's calendar, others by name, and days that were
//! imported.

use super::fields::name;
use crate::calendar::{Calendar, MAIN, Written};
use crate::document::{Problems, Reader, one_of};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most calendars besides the main one.
const MAX_CALENDARS: usize = 32;
/// Longest name of a calendar, characters.
const MAX_NAME_CHARS: usize = 64;

/// The main calendar, and all others by name.
pub(super) struct Calendars {
    pub(super) main: Arc<Calendar>,
    pub(super) others: BTreeMap<String, Arc<Calendar>>,
}

pub(super) fn calendars(
    main: Option<Reader<'_>>,
    others: Vec<Reader<'_>>,
    days: Vec<Reader<'_>>,
    zone: &TimeZone,
    problems: &Problems,
) -> Calendars {
    let mut written = BTreeMap::from([(MAIN.to_owned(), Written::default())]);
    if let Some(main) = main {
        written.insert(MAIN.to_owned(), Written::read(&main));
        main.finish();
    }
    let mut like_main = Vec::new();
    for reader in others {
        let advice = ("写 1 到 64 个字的名称，只写一行", "write a name of 1 to 64 characters on one line");
        let name = reader.parsed("name", advice, |text| name(text, MAX_NAME_CHARS));
        let like = reader.word_opt("like", &[(MAIN, ())]).is_some();
        let calendar = Written::read(&reader);
        if let Some(name) = name {
            let taken = written.contains_key(&name);
            if taken || written.len() > MAX_CALENDARS {
                let why = match taken {
                    true if name == MAIN => (
                        format!("'{MAIN}' 是写成 [calendar] 的那个校历"),
                        format!("'{MAIN}' is the calendar that is written as [calendar]"),
                    ),
                    true => (format!("有两个校历 '{name}'"), format!("there are two calendars '{name}'")),
                    false => (
                        format!("校历超过 {MAX_CALENDARS} 个"),
                        format!("there are more than {MAX_CALENDARS} calendars"),
                    ),
                };
                let advice = ("每个校历各用一个名称", "give each calendar a name of its own");
                reader.problem("name", why, advice);
            } else {
                if like {
                    like_main.push(name.clone());
                }
                written.insert(name, calendar);
            }
        }
        reader.finish();
    }
    let (to_main, to_others): (Vec<_>, Vec<_>) =
        days.into_iter().partition(|days| days.text_opt("calendar").is_none_or(|name| name == MAIN));
    add(&mut written, to_main);
    // Taken over only now, with the days that were added to the main calendar.
    let main = written.get(MAIN).cloned().unwrap_or_default();
    for name in like_main {
        if let Some(calendar) = written.get_mut(&name) {
            *calendar = std::mem::take(calendar).like(&main);
        }
    }
    add(&mut written, to_others);
    let meant = |calendar: &Written| Arc::new(calendar.calendar(zone, problems));
    let main = meant(&main);
    let others = written.iter().filter(|(name, _)| *name != MAIN);
    Calendars { main, others: others.map(|(name, calendar)| (name.clone(), meant(calendar))).collect() }
}

/// Adds every `[[calendar_days]]` to the calendar that it names.
fn add(written: &mut BTreeMap<String, Written>, days: Vec<Reader<'_>>) {
    for reader in days {
        let name = reader.text_opt("calendar").unwrap_or_else(|| MAIN.to_owned());
        match written.get_mut(&name) {
            Some(calendar) => calendar.add_days(&reader),
            None => {
                let known: Vec<&str> = written.keys().map(String::as_str).collect();
                reader.problem("calendar", no_calendar(&name), one_of(&name, &known));
                Written::default().add_days(&reader);
            }
        }
        reader.finish();
    }
}

/// That no calendar has this name.
pub(super) fn no_calendar(name: &str) -> (String, String) {
    (format!("没有校历 '{name}'"), format!("there is no calendar '{name}'"))
}

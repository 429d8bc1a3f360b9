//! What is told of a week, a month or a quarter: alarms, energy beside the period before, how long devices answered, how
//! complete uploads are.

use super::document::{Document, Section};
use super::figures::{Figure, lasting};
use super::shift::Head;
use super::wording::{Words, facts, judged};
use crate::model::event::words;
use crate::model::{DeviceId, EnergyItem, Lang, Text, Wall};
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

words! {
    /// How long a period is.
    Unit {
        /// From Monday on.
        Week = "week",
        /// The month.
        Month = "month",
        /// Three months, from January, April, July and October on.
        Quarter = "quarter",
    }
}

impl Unit {
    /// The local period that holds a moment: its first moment and the next one's. `None` for times that no calendar has.
    #[must_use]
    pub fn span(self, at: Wall, zone: &TimeZone) -> Option<(Wall, Wall)> {
        let today = Timestamp::from_millisecond(at.0).ok()?.to_zoned(zone.clone()).date();
        let (first, next) = match self {
            Self::Week => {
                let first =
                    today.checked_sub(i64::from(today.weekday().since(Weekday::Monday)).days()).ok()?;
                (first, first.checked_add(1.week()).ok()?)
            }
            Self::Month => (today.first_of_month(), today.first_of_month().checked_add(1.month()).ok()?),
            Self::Quarter => {
                let first = Date::new(today.year(), (today.month() - 1) / 3 * 3 + 1, 1).ok()?;
                (first, first.checked_add(3.months()).ok()?)
            }
        };
        let begin = |day: Date| Some(Wall(day.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond()));
        Some((begin(first)?, begin(next)?))
    }

    fn title(self) -> (&'static str, &'static str) {
        match self {
            Self::Week => ("周报", "Weekly report"),
            Self::Month => ("月报", "Monthly report"),
            Self::Quarter => ("季报", "Quarterly report"),
        }
    }
}

/// What was used.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Used {
    /// In the period, kWh.
    pub kwh: f64,
    /// What its days would have used had each taken the mean of its sort in the period before; teaching days beside
    /// teaching days.
    pub comparable_kwh: Option<f64>,
    /// In the period before.
    pub before_kwh: Option<f64>,
    /// In the same period a year before.
    pub year_before_kwh: Option<f64>,
    /// What it was used for; `None` is what is not told apart.
    pub items: Vec<(Option<EnergyItem>, f64)>,
    /// How many meters there are.
    pub meters: usize,
    /// How many of them are not added: another one of them counts their energy already.
    pub within: usize,
    /// Main meters of which nothing is known: the meters below them count instead.
    pub unknown: usize,
    /// Names of meters below which there is more than they have themselves, and how much more, kWh.
    pub over: Vec<(String, f64)>,
}

/// How long a device answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Uptime {
    /// Which.
    pub device: DeviceId,
    /// Its name for people.
    pub name: String,
    /// Where it is.
    pub place: Option<Text>,
    /// Share of the time of which it is known, 0 to 1.
    pub share: Option<f64>,
    /// How long it did not answer, milliseconds.
    pub down_ms: i64,
    /// How often it began not to answer.
    pub outages: u32,
}

impl Uptime {
    /// Of a device, by the changes of whether it answers, oldest first, the last before the span among them.
    #[must_use]
    pub fn of(
        (device, name, place): (DeviceId, String, Option<Text>),
        changes: &[(Wall, bool)],
        (from, to): (Wall, Wall),
    ) -> Self {
        let (mut known_ms, mut down_ms, mut outages, mut was) = (0, 0, 0, None);
        let ends = changes.iter().skip(1).map(|(at, _)| *at).chain([to]);
        for ((at, up), end) in changes.iter().zip(ends) {
            let ms = end.min(to).since((*at).max(from)).max(0);
            known_ms += ms;
            if !up {
                down_ms += ms;
                outages += u32::from(*at >= from && *at < to && was != Some(false));
            }
            was = Some(*up);
        }
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a quarter stay far below 2^52")]
        let share = (known_ms > 0).then(|| 1.0 - down_ms as f64 / known_ms as f64);
        Self { device, name, place, share, down_ms, outages }
    }
}

/// How complete the uploads to a platform are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Delivered {
    /// The platform.
    pub destination: String,
    /// Records that were owed.
    pub owed: u64,
    /// Records that it took.
    pub accepted: u64,
    /// Records that wait.
    pub waiting: u64,
    /// Records that it will never take.
    pub set_aside: u64,
    /// Accepted of owed, 0 to 1.
    pub share: Option<f64>,
}

/// The content.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Period {
    /// Of whom and of when.
    pub head: Head,
    /// How long it is.
    pub unit: Unit,
    /// The figures of alarms.
    pub figures: Vec<Figure>,
    /// The energy.
    pub energy: Used,
    /// The devices, those that answered least first.
    pub devices: Vec<Uptime>,
    /// The platforms.
    pub uploads: Vec<Delivered>,
}

impl Period {
    /// What is signed for, in one form only.
    #[must_use]
    pub fn canonical(&self) -> String {
        serde_json::to_value(self).unwrap_or_default().to_string()
    }

    /// SHA-256 of [`Period::canonical`], 64 hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> String {
        Sha256::digest(self.canonical()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The report as JSON: the content, and its hash.
    #[must_use]
    pub fn json(&self) -> String {
        format!("{{\"content\":{},\"sha256\":\"{}\"}}\n", self.canonical(), self.hash())
    }

    /// In the words of one language, with times of this zone.
    #[must_use]
    pub fn document(&self, lang: Lang, zone: &TimeZone) -> Document {
        let words = Words { lang, zone };
        let (zh, en) = self.unit.title();
        Document {
            lang,
            title: words.say(zh, en),
            site: self.head.site.clone(),
            facts: facts(&words, &self.head),
            sections: vec![
                energy(&words, &self.energy),
                judged(&words, &self.figures),
                devices(&words, &self.devices),
                uploads(&words, &self.uploads),
            ],
            signatures: vec![words.say("制表人", "Made by"), words.say("审核人", "Checked by")],
            hash: self.hash(),
        }
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(String::new, |share| format!("{:.2}%", share * 100.0))
}

/// So much more or less than something else, in percent.
fn change(kwh: f64, than: Option<f64>) -> String {
    than.filter(|than| *than > 0.0)
        .map_or_else(String::new, |than| format!("{:+.1}%", (kwh / than - 1.0) * 100.0))
}

fn energy(words: &Words<'_>, used: &Used) -> Section {
    let mut section = words.section(
        ("用电", "Energy"),
        ("没有用电数据", "there is no energy data"),
        &[("项目", "Item", 50), ("用电量 kWh", "kWh", 25), ("变化", "Change", 20)],
    );
    let mut row = |name: String, kwh: Option<f64>, change: String| {
        section.rows.extend(kwh.map(|kwh| vec![name, format!("{kwh:.1}"), change]));
    };
    row(words.say("本期", "this period"), Some(used.kwh), String::new());
    let name = words.say("按上期可比日折算", "as comparable days of the period before");
    row(name, used.comparable_kwh, change(used.kwh, used.comparable_kwh));
    row(words.say("上期", "the period before"), used.before_kwh, change(used.kwh, used.before_kwh));
    row(words.say("去年同期", "a year before"), used.year_before_kwh, change(used.kwh, used.year_before_kwh));
    for (item, kwh) in &used.items {
        let name = item.map_or_else(
            || words.say("未分项", "not told apart"),
            |item| format!("{} {}", item.code(), words.text(&item.name())),
        );
        let share = if used.kwh > 0.0 { percent(Some(kwh / used.kwh)) } else { String::new() };
        row(name, Some(*kwh), share);
    }
    section.note = Some(counted(words, used)).filter(|note| !note.is_empty());
    section
}

/// Which meters count, and what is to be looked at.
fn counted(words: &Words<'_>, used: &Used) -> String {
    let mut notes = Vec::new();
    let Used { meters, within, unknown, .. } = used;
    if *within > 0 {
        notes.push(words.say(
            &format!("{meters} 只表，其中 {within} 只在总表之下，不重复计。"),
            &format!("{meters} meters; {within} of them are below a main meter and are not added again."),
        ));
    }
    if *unknown > 0 {
        notes.push(words.say(
            &format!("{unknown} 只总表没有数据，以其下的表代替。"),
            &format!("Of {unknown} main meters nothing is known; the meters below them count instead."),
        ));
    }
    notes.extend(used.over.iter().map(|(name, kwh)| {
        words.say(
            &format!("“{name}”的分表合计大于总表 {kwh:.1} kWh：检查变比、接线，以及总表是否缺数。"),
            &format!(
                "The meters below '{name}' have {kwh:.1} kWh more than it: check ratios, wiring, and whether it was silent."
            ),
        )
    }));
    notes.join(match words.lang {
        Lang::Zh => "",
        Lang::En => " ",
    })
}

fn devices(words: &Words<'_>, devices: &[Uptime]) -> Section {
    let mut section = words.section(
        ("设备在线率", "How long devices answered"),
        ("没有设备", "there are no devices"),
        &[
            ("设备", "Device", 26),
            ("地点", "Place", 30),
            ("在线率", "Answered", 14),
            ("离线时长", "Silent for", 16),
            ("离线次数", "Times", 10),
        ],
    );
    let row = |one: &Uptime| {
        vec![
            one.name.clone(),
            words.place(one.place.as_ref()),
            percent(one.share),
            if one.down_ms > 0 { words.text(&lasting(one.down_ms)) } else { String::new() },
            one.outages.to_string(),
        ]
    };
    section.rows = devices.iter().map(row).collect();
    section
}

fn uploads(words: &Words<'_>, uploads: &[Delivered]) -> Section {
    let mut section = words.section(
        ("上报完整率", "How complete uploads are"),
        ("没有上级平台", "there is no platform"),
        &[
            ("平台", "Platform", 24),
            ("应报", "Owed", 14),
            ("已收", "Accepted", 14),
            ("待报", "Waiting", 14),
            ("拒收", "Refused", 14),
            ("完整率", "Complete", 14),
        ],
    );
    let row = |one: &Delivered| {
        let numbers = [one.owed, one.accepted, one.waiting, one.set_aside].map(|n| n.to_string());
        let [owed, accepted, waiting, refused] = numbers;
        vec![one.destination.clone(), owed, accepted, waiting, refused, percent(one.share)]
    };
    section.rows = uploads.iter().map(row).collect();
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Wall {
        Wall(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_week_begins_on_monday_and_a_quarter_with_its_first_month() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let moment = at("2026-11-22T15:59:59Z"); // Sunday, just before midnight
        for (unit, from, to) in [
            (Unit::Week, "2026-11-16T00:00:00+08:00", "2026-11-23T00:00:00+08:00"),
            (Unit::Month, "2026-11-01T00:00:00+08:00", "2026-12-01T00:00:00+08:00"),
            (Unit::Quarter, "2026-10-01T00:00:00+08:00", "2027-01-01T00:00:00+08:00"),
        ] {
            assert_eq!(unit.span(moment, &zone), Some((at(from), at(to))), "{unit}");
            let (first, next) = unit.span(at(to), &zone).unwrap();
            assert!(first == at(to) && next > first, "{unit}: the next one begins where it ends");
        }
        assert_eq!(Unit::Week.span(Wall(i64::MAX), &zone), None);
    }

    #[test]
    fn a_device_answered_for_the_share_of_the_time_that_is_known() {
        let id = || (DeviceId::new("m").unwrap(), "m".to_owned(), None);
        let wall = |all: &[(i64, bool)]| -> Vec<(Wall, bool)> {
            all.iter().map(|(at, up)| (Wall(*at), *up)).collect()
        };
        for (changes, share, down_ms, outages) in [
            (vec![], None, 0, 0),
            (vec![(-50, true)], Some(1.0), 0, 0),
            (vec![(-50, false)], Some(0.0), 100, 0),
            (vec![(-50, true), (25, false), (50, true)], Some(0.75), 25, 1),
            (vec![(-50, false), (25, false), (50, true), (150, false)], Some(0.5), 50, 0),
            (vec![(50, true), (75, false)], Some(0.5), 25, 1),
        ] {
            let found = Uptime::of(id(), &wall(&changes), (Wall(0), Wall(100)));
            assert_eq!((found.share, found.down_ms, found.outages), (share, down_ms, outages), "{changes:?}");
        }
    }
}

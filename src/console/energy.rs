//! The route of energy over time, beside comparable times and by what it is used for: `/api/v1/energy/series`.

use super::api::{not_found, read};
use super::people::bad;
use super::route::Route;
use super::{Console, Problem};
use crate::access::Right;
use crate::model::{DeviceId, EnergyItem, Lang, PlaceId, Text, Wall};
use crate::report::energy::{Against, Comparing, Periods};
use crate::store::{Level, Metered};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

const DAY_MS: i64 = 24 * 3_600_000;
/// Longest span by days, and by hours, milliseconds: three years, a month and a day on which clocks are set back.
const MOST_MS: (i64, i64) = (3 * 366 * DAY_MS, 32 * DAY_MS);
/// What is shown unless told otherwise, milliseconds: 30 days, and a day by hours.
const USUAL_MS: (i64, i64) = (30 * DAY_MS, DAY_MS);

/// The route.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/energy/series",
            Right::Energy,
            ("逐时、逐日用电及对比", "energy by hours or days, beside comparable times"),
            series,
        )
        .asks::<Asked>()
        .gives::<Series>()
        .gives_media(&["text/csv"]),
    ]
}

/// Whose energy, and of when.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Of the meters in this place and below it; everything unless told otherwise.
    place: Option<String>,
    /// Of this meter.
    device: Option<String>,
    /// Of meters for this use only.
    item: Option<EnergyItem>,
    /// From when on, milliseconds since 1970.
    from: Option<i64>,
    /// Until when.
    to: Option<i64>,
    /// Day unless told otherwise.
    level: Option<By>,
    /// What it is compared with; nothing unless told otherwise.
    compare: Option<With>,
    /// JSON unless told otherwise.
    format: Option<Form>,
    /// The language of the CSV file.
    lang: Option<Lang>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "EnergyLevel")]
enum By {
    Hour,
    Day,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "EnergyCompare")]
enum With {
    /// The median of the last comparable days: teaching days with teaching days.
    Comparable,
    /// The same weekday of the week before.
    Week,
    /// The same weekday a year before.
    Year,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "EnergyForm")]
enum Form {
    Json,
    Csv,
}

/// Energy over time.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EnergySeries")]
struct Series {
    unit: &'static str,
    level: &'static str,
    from: i64,
    to: i64,
    /// First moment of each period, and what was used in it.
    rows: Vec<(i64, f64)>,
    /// What a period is compared with; one that nothing is comparable with is left out.
    compare: Option<Vec<(i64, f64)>>,
    total: f64,
    /// The sum of what is compared with.
    compare_total: Option<f64>,
    /// What was used in the periods that are compared.
    compared_total: Option<f64>,
    /// How many meters count.
    meters: usize,
    /// What it was used for; null is what is not told apart.
    items: Vec<Item>,
}

/// What energy was used for.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EnergyUse")]
struct Item {
    item: Option<EnergyItem>,
    /// Its code in the guideline for itemised energy use.
    code: Option<&'static str>,
    name: Text,
    kwh: f64,
}

async fn series(
    State(console): State<Console>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|error| {
        bad(
            format!("查询参数有误：{error}"),
            format!("the query is not understood ({error}); known: place, device, item, from, to, level, compare, format, lang"),
        )
    })?;
    let meters = chosen(&console, &asked)?;
    let hourly = asked.level == Some(By::Hour);
    let span = span(&console, &asked, hourly)?;
    let against = asked.compare.map(|with| match with {
        With::Comparable => Against::Comparable,
        With::Week => Against::Week,
        With::Year => Against::Year,
    });
    let (calendar, now) = (Arc::clone(&console.work.calendar), console.clock.now().wall);
    let (rows, compare, metered) = read(&console, move |reader| {
        let level = if hourly { Level::Hour } else { Level::Day };
        let wanted = |device: &str| meters.contains(device);
        let comparing = against.map(|against| Comparing::new(&calendar, against, span));
        let metered = reader.metered(level, &[span], wanted)?;
        let rows = total(&metered);
        let compare = match comparing {
            None => None,
            Some(comparing) => {
                let mut all = total(&reader.metered(level, &comparing.needs(), wanted)?);
                all.extend(rows.iter().map(|(start, kwh)| (*start, *kwh)));
                Some(comparing.compare(&all, hourly, now))
            }
        };
        Ok((rows, compare, metered))
    })
    .await?;
    let compared = |compare: &Periods| compare.keys().filter_map(|start| rows.get(start)).sum();
    let flat = |periods: &Periods| periods.iter().map(|(start, kwh)| (start.0, *kwh)).collect();
    let series = Series {
        unit: "kWh",
        level: if hourly { "hour" } else { "day" },
        from: span.0.0,
        to: span.1.0,
        total: rows.values().sum(),
        compare_total: compare.as_ref().map(|compare| compare.values().sum()),
        compared_total: compare.as_ref().map(compared),
        compare: compare.as_ref().map(flat),
        meters: metered.len(),
        items: items(&console, &metered),
        rows: flat(&rows),
    };
    Ok(match asked.format {
        Some(Form::Csv) => csv(&console, &series, asked.lang.unwrap_or_default(), compare.as_ref()),
        _ => Json(series).into_response(),
    })
}

/// The devices whose energy is asked for.
fn chosen(console: &Console, asked: &Asked) -> Result<BTreeSet<String>, Problem> {
    let device = asked.device.as_deref().map(DeviceId::new).transpose();
    let device = device.map_err(|_| not_found("设备", "device"))?;
    if let Some(id) = device.as_ref().filter(|id| !console.devices.contains_key(*id)) {
        tracing::debug!(device = %id, "energy of a device that is not configured");
        return Err(not_found("设备", "device"));
    }
    let place = asked.place.as_deref().map(PlaceId::new).transpose();
    let place = place.map_err(|_| not_found("地点", "place"))?;
    if place.as_ref().is_some_and(|id| !console.places.contains_key(id)) {
        return Err(not_found("地点", "place"));
    }
    let within = |of: &PlaceId| {
        let parent = |id: &&PlaceId| console.places.get(*id).and_then(|place| place.parent.as_ref());
        let Some(wanted) = &place else { return true };
        // As many steps as there are places: a ring, which the configuration refuses, would still end.
        std::iter::successors(Some(of), parent).take(console.places.len()).any(|id| id == wanted)
    };
    let all = console.devices.values().filter(|one| device.as_ref().is_none_or(|id| one.id == *id));
    let all = all.filter(|one| within(&one.place) && (asked.item.is_none() || one.item == asked.item));
    Ok(all.map(|one| one.id.to_string()).collect())
}

fn span(console: &Console, asked: &Asked, hourly: bool) -> Result<(Wall, Wall), Problem> {
    let pick = |(days, hours): (i64, i64)| if hourly { hours } else { days };
    let to = asked.to.map_or_else(|| console.clock.now().wall.plus_ms(1), Wall);
    let from = asked.from.map_or_else(|| Wall(to.0.saturating_sub(pick(USUAL_MS))), Wall);
    if (1..=pick(MOST_MS)).contains(&to.0.saturating_sub(from.0)) {
        return Ok((from, to));
    }
    Err(bad(
        "时段有误：to 须晚于 from；逐日最长 3 年，逐时最长 32 天",
        "the span cannot be: 'to' must come after 'from', at most 3 years later by days and 32 days by hours",
    ))
}

/// What all of them used together.
pub(super) fn total(metered: &[Metered]) -> Periods {
    let mut sums = Periods::new();
    for (start, kwh) in metered.iter().flat_map(|meter| &meter.rows) {
        *sums.entry(*start).or_default() += kwh;
    }
    sums
}

/// What they used it for, by item.
pub(super) fn by_item(console: &Console, metered: &[Metered]) -> BTreeMap<Option<EnergyItem>, f64> {
    let mut sums: BTreeMap<Option<EnergyItem>, f64> = BTreeMap::new();
    for meter in metered {
        let item = console.devices.get(meter.device.as_str()).and_then(|device| device.item);
        *sums.entry(item).or_default() += meter.rows.iter().map(|(_, kwh)| kwh).sum::<f64>();
    }
    sums
}

fn items(console: &Console, metered: &[Metered]) -> Vec<Item> {
    let item = |(item, kwh): (Option<EnergyItem>, f64)| Item {
        item,
        code: item.map(EnergyItem::code),
        name: item.map_or_else(|| Text::new("未分项", "not told apart"), EnergyItem::name),
        kwh,
    };
    by_item(console, metered).into_iter().map(item).collect()
}

/// The rows for a spreadsheet; with the mark by which Excel knows UTF-8.
fn csv(console: &Console, series: &Series, lang: Lang, compare: Option<&Periods>) -> Response {
    let heading = Text::new("时间,用电量 kWh,对比 kWh", "time,kWh,compared with kWh");
    let mut text = format!("\u{feff}{}\r\n", heading.in_lang(lang));
    for (start, kwh) in &series.rows {
        let start = Wall(*start);
        let with = compare.and_then(|compare| compare.get(&start)).map(|kwh| format!("{kwh:.3}"));
        let (at, with) = (start.in_zone(&console.site.zone), with.unwrap_or_default());
        // Writing to a text cannot fail.
        write!(text, "{at},{kwh:.3},{with}\r\n").ok();
    }
    let name = format!("attachment; filename=\"energy-{}.csv\"", series.from);
    let headers =
        [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
    (headers, text).into_response()
}

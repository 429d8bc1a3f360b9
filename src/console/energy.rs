//! The route of energy over time, beside comparable times and by what it is used for: `/api/v1/energy/series`.

use super::api::{not_found, read};
use super::people::bad;
use super::route::Route;
use super::{Console, Problem};
use crate::access::Right;
use crate::calendar::Calendar;
use crate::model::{DeviceId, EnergyItem, Lang, PlaceId, Text, Wall};
use crate::report::energy::{Against, Comparing, Periods};
use crate::report::{Over, Sums};
use crate::store::{Level, Metered};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
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
    /// Of this use only: what meters for it counted, without what meters for another one below them did.
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
    /// How many meters there are.
    meters: usize,
    /// How many of them are not added: another one of them counts their energy already.
    within: usize,
    /// Main meters of which nothing is known in the span: the meters below them count instead.
    unknown: usize,
    /// What it was used for; null is what is not told apart. Adds up to the total.
    items: Vec<Item>,
    /// Where sub-meters have more than the meter above them, by more than a hundredth of that.
    over: Vec<More>,
    /// Of one device: the meters right below it.
    below: Option<Below>,
}

/// A meter with less than those right below it have together.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EnergyOver")]
struct More {
    device: String,
    name: String,
    /// How much more they have.
    kwh: f64,
}

/// The meters right below one.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EnergyBelow")]
struct Below {
    rows: Vec<Part>,
    /// What none of them counts; null where nothing is known of the meter itself.
    rest: Option<f64>,
}

/// What a meter below another one counted.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EnergyPart")]
struct Part {
    device: String,
    name: String,
    /// Null where nothing is known.
    kwh: Option<f64>,
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
    let Chosen { meters, below, calendar } = chosen(&console, &asked)?;
    let hourly = asked.level == Some(By::Hour);
    let span = span(&console, &asked, hourly)?;
    let against = asked.compare.map(|with| match with {
        With::Comparable => Against::Comparable,
        With::Week => Against::Week,
        With::Year => Against::Year,
    });
    let (now, cx, only) = (console.clock.now().wall, console.clone(), asked.item);
    let (rows, compare, sums, under) = read(&console, move |reader| {
        let level = if hourly { Level::Hour } else { Level::Day };
        let wanted = |device: &str| meters.contains(device);
        let comparing = against.map(|against| Comparing::new(&calendar, against, span));
        let metered = reader.metered(level, &[span], wanted)?;
        let sums = sums(&cx, &metered, only);
        let rows = periods(&sums, &metered);
        let compare = match comparing {
            None => None,
            Some(comparing) => {
                let mut all = periods(&sums, &reader.metered(level, &comparing.needs(), wanted)?);
                all.extend(rows.iter().map(|(start, kwh)| (*start, *kwh)));
                Some(comparing.compare(&all, hourly, now))
            }
        };
        let subs = match below.is_empty() {
            true => Vec::new(),
            false => reader.metered(level, &[span], |device| below.contains(device))?,
        };
        Ok((rows, compare, sums, under(&cx, &below, &metered, &subs)))
    })
    .await?;
    let over: Vec<Over> = under.iter().flat_map(|(_, over)| over).chain(&sums.over).cloned().collect();
    let compared = |compare: &Periods| compare.keys().filter_map(|start| rows.get(start)).sum();
    let flat = |periods: &Periods| periods.iter().map(|(start, kwh)| (start.0, *kwh)).collect();
    let series = Series {
        unit: "kWh",
        level: if hourly { "hour" } else { "day" },
        from: span.0.0,
        to: span.1.0,
        total: rows.values().sum(),
        below: under.map(|(below, _)| below),
        over: over.into_iter().map(|over| more(&console, over)).collect(),
        compare_total: compare.as_ref().map(|compare| compare.values().sum()),
        compared_total: compare.as_ref().map(compared),
        compare: compare.as_ref().map(flat),
        meters: sums.meters,
        within: sums.within,
        unknown: sums.unknown,
        items: sums.items.iter().map(item).collect(),
        rows: flat(&rows),
    };
    Ok(match asked.format {
        Some(Form::Csv) => csv(&console, &series, asked.lang.unwrap_or_default(), compare.as_ref()),
        _ => Json(series).into_response(),
    })
}

/// Whose energy is asked for.
struct Chosen {
    meters: BTreeSet<String>,
    /// Those right below a single one.
    below: BTreeSet<DeviceId>,
    /// That of the place or of the device's place, otherwise the school's.
    calendar: Arc<Calendar>,
}

fn chosen(console: &Console, asked: &Asked) -> Result<Chosen, Problem> {
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
    let all = all.filter(|one| device.is_some() || is_used(console, one.id.as_str()));
    let meters = all.filter(|one| within(&one.place)).map(|one| one.id.to_string()).collect();
    let world = &console.work.world;
    let alone = device.as_ref().filter(|_| asked.item.is_none());
    let below = alone.iter().flat_map(|id| world.sub_meters.below(id.as_str())).cloned().collect();
    let of_device = device.as_ref().and_then(|id| console.devices.get(id)).map(|device| &device.place);
    let calendar = of_device.or(place.as_ref()).and_then(|at| world.calendar_named(world.calendar_at(at)));
    Ok(Chosen { meters, below, calendar: Arc::clone(calendar.unwrap_or(&world.calendar)) })
}

/// Whether what a device counts was used: an inverter counts what was made.
pub(super) fn is_used(console: &Console, device: &str) -> bool {
    console.devices.get(device).is_none_or(|device| device.profile.class != "inverter")
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

/// What meters used together.
pub(super) fn sums<'m>(
    console: &Console,
    metered: impl IntoIterator<Item = &'m Metered>,
    only: Option<EnergyItem>,
) -> Sums {
    let known = |meter: &Metered| Some((DeviceId::new(&meter.device).ok()?, meter.kwh()));
    let meters: BTreeMap<DeviceId, Option<f64>> = metered.into_iter().filter_map(known).collect();
    let item = |id: &DeviceId| console.devices.get(id).and_then(|device| device.item);
    Sums::of(&meters, &console.work.world.sub_meters, item, only)
}

/// The same by hours or days.
pub(super) fn periods(sums: &Sums, metered: &[Metered]) -> Periods {
    sums.periods(metered.iter().map(|meter| (meter.device.as_str(), meter.rows.as_slice())))
}

fn item((item, kwh): (&Option<EnergyItem>, &f64)) -> Item {
    Item {
        item: *item,
        code: item.map(EnergyItem::code),
        name: item.map_or_else(|| Text::new("未分项", "not told apart"), EnergyItem::name),
        kwh: *kwh,
    }
}

/// The meters right below a single one, if any, and whether they have more than it.
fn under(
    console: &Console,
    below: &BTreeSet<DeviceId>,
    metered: &[Metered],
    subs: &[Metered],
) -> Option<(Below, Vec<Over>)> {
    let kwh = |id: &DeviceId| subs.iter().find(|meter| meter.device == id.as_str()).and_then(Metered::kwh);
    let part = |id: &DeviceId| Part { device: id.to_string(), name: name(console, id), kwh: kwh(id) };
    let rows: Vec<Part> = below.iter().map(part).collect();
    let counted: f64 = rows.iter().filter_map(|part| part.kwh).sum();
    let rest = metered.first().and_then(Metered::kwh).map(|kwh| kwh - counted);
    let over = sums(console, metered.iter().chain(subs), None).over;
    (!rows.is_empty()).then_some((Below { rows, rest }, over))
}

fn more(console: &Console, Over { device, kwh }: Over) -> More {
    More { name: name(console, &device), device: device.to_string(), kwh }
}

/// The name of a device for people.
pub(super) fn name(console: &Console, id: &DeviceId) -> String {
    console.devices.get(id).map_or_else(|| id.to_string(), |device| device.name.clone())
}

/// What the meters of each place and below it used together, where there are any.
pub(super) fn by_place(console: &Console, metered: &[Metered]) -> Vec<Value> {
    let mut of: BTreeMap<&PlaceId, Vec<&Metered>> = BTreeMap::new();
    for meter in metered {
        let mut next = console.devices.get(meter.device.as_str()).map(|device| &device.place);
        // As many steps as there are places: a ring, which the configuration refuses, would still end.
        for _ in 0..console.places.len() {
            let Some(place) = next.and_then(|id| console.places.get(id)) else { break };
            of.entry(&place.id).or_default().push(meter);
            next = place.parent.as_ref();
        }
    }
    let row = |(id, meters): (&PlaceId, Vec<&Metered>)| {
        let path = console.places.get(id).map(|place| &place.path);
        json!({"place": id, "path": path, "kwh": sums(console, meters, None).total})
    };
    of.into_iter().map(row).collect()
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

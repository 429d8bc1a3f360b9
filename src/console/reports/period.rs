//! `GET /api/v1/reports/period`: what is told of a week, a month or a quarter.

use super::{Form, Span, answer, head, note, reader_of};
use crate::console::api::read;
use crate::console::energy::{is_used, name, periods, sums};
use crate::console::people::bad;
use crate::console::{Console, Problem, Who};
use crate::model::{DestinationId, Lang, Wall};
use crate::report::energy::expected;
use crate::report::{self, Delivered, Head, Period, Unit, Uptime, Used, Writing, figures};
use crate::store::{Level, Reader, StoreError};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;

/// A year, in whole weeks, milliseconds.
const YEAR_MS: i64 = 52 * 7 * 24 * 3_600_000;

/// Which report.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// A week, which begins on Monday, unless told otherwise.
    unit: Option<Unit>,
    /// A moment in it, milliseconds since 1970; now unless told otherwise.
    at: Option<i64>,
    format: Option<Form>,
    lang: Option<Lang>,
    /// Who reads it, where that is not known by itself.
    actor: Option<String>,
}

pub(super) async fn period(
    State(console): State<Console>,
    who: Who,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|error| {
        bad(
            format!("查询参数有误：{error}"),
            format!("the query is not understood ({error}); known: unit (week, month, quarter), at, format, lang, actor"),
        )
    })?;
    let (unit, now) = (asked.unit.unwrap_or(Unit::Week), console.clock.now().wall);
    let zone = console.duty.zone.clone();
    let wrong = || bad("没有这样的时间", "there is no such time");
    let at = asked.at.map_or(now, Wall);
    let (from, to) = unit.span(at, &zone).ok_or_else(wrong)?;
    let before = unit.span(from.plus_ms(-1), &zone).ok_or_else(wrong)?;
    // A period that goes on is told up to now.
    let to = if from <= now { to.min(now.plus_ms(1)) } else { to };
    let actor = reader_of(&who, asked.actor.as_deref())?;
    let (form, lang) = (asked.format.unwrap_or_default(), asked.lang.unwrap_or_default());
    let span = Span { from, to, form, lang, actor };
    let head = head(&console, &span);
    let cx = console.clone();
    let (hash, body) = read(&console, move |reader| {
        let period = content(reader, &cx, unit, (head, before))?;
        let document = || period.document(lang, &zone);
        let body = match form {
            Form::Json => period.json().into_bytes(),
            Form::Text => report::text::text(&document()).into_bytes(),
            Form::Csv => report::csv::csv(&document()).into_bytes(),
            Form::Html => report::html::html(&document()).into_bytes(),
            Form::Pdf => report::pdf::pdf(&document()),
        };
        Ok((period.hash(), body))
    })
    .await?;
    note(&console, &span, "report_period", format!("{unit}, sha256 {hash}")).await?;
    Ok(answer(&span, unit.as_str(), body))
}

fn content(
    reader: &Reader,
    console: &Console,
    unit: Unit,
    (head, before): (Head, (Wall, Wall)),
) -> Result<Period, StoreError> {
    let span = (head.from, head.to);
    let mut writing = Writing::new(head.clone(), &console.places);
    reader.lives(span, |alarm, steps| writing.alarm(alarm, steps))?;
    let kpi = writing.kpi();
    let mut uploads = Vec::new();
    for destination in console.destinations.keys() {
        uploads.push(delivered(reader, destination, span)?);
    }
    Ok(Period {
        figures: figures(&kpi),
        energy: energy(reader, console, span, before)?,
        devices: devices(reader, console, span)?,
        uploads,
        head,
        unit,
    })
}

fn delivered(
    reader: &Reader,
    destination: &DestinationId,
    span: (Wall, Wall),
) -> Result<Delivered, StoreError> {
    let found = reader.uploaded(destination, span)?;
    Ok(Delivered {
        destination: destination.to_string(),
        owed: found.owed(),
        accepted: found.accepted,
        waiting: found.waiting,
        set_aside: found.set_aside,
        share: found.share(),
    })
}

fn energy(
    reader: &Reader,
    console: &Console,
    span: (Wall, Wall),
    before: (Wall, Wall),
) -> Result<Used, StoreError> {
    let ours = |device: &str| console.devices.contains_key(device) && is_used(console, device);
    let year_before = (span.0.plus_ms(-YEAR_MS), span.1.plus_ms(-YEAR_MS));
    let metered = reader.metered(Level::Day, &[span], ours)?;
    let sums = sums(console, &metered, None);
    let days = periods(&sums, &metered);
    let earlier = periods(&sums, &reader.metered(Level::Day, &[before], ours)?);
    let year = periods(&sums, &reader.metered(Level::Day, &[year_before], ours)?);
    let sum = |days: &report::energy::Periods| (!days.is_empty()).then(|| days.values().sum());
    Ok(Used {
        kwh: days.values().sum(),
        comparable_kwh: expected(&console.work.world.calendar, &days, &earlier),
        before_kwh: sum(&earlier),
        year_before_kwh: sum(&year),
        items: sums.items.into_iter().collect(),
        meters: sums.meters,
        within: sums.within,
        unknown: sums.unknown,
        over: sums.over.into_iter().map(|over| (name(console, &over.device), over.kwh)).collect(),
    })
}

/// How long each device answered, those that did least first.
fn devices(reader: &Reader, console: &Console, span: (Wall, Wall)) -> Result<Vec<Uptime>, StoreError> {
    let changes = reader.link_changes(span)?;
    let one = |device: &crate::config::Device| {
        let place = console.places.get(&device.place).map(|place| place.path.clone());
        let own = changes.get(device.id.as_str()).map_or(&[][..], Vec::as_slice);
        Uptime::of((device.id.clone(), device.name.clone(), place), own, span)
    };
    let mut all: Vec<Uptime> = console.devices.values().map(one).collect();
    all.sort_by(|a, b| {
        a.share.unwrap_or(2.0).total_cmp(&b.share.unwrap_or(2.0)).then_with(|| a.device.cmp(&b.device))
    });
    Ok(all)
}

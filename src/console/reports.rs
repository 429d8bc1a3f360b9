//! The routes of reports: the hand-over of a shift, and the figures of alarms. Who read one is in the audit trail.

mod period;

use super::api::read;
use super::people::{bad, entry, settle};
use super::route::Route;
use super::{Console, Problem, Via, Who};
use crate::access::Right;
use crate::model::{Actor, Lang, Link, Wall};
use crate::report::{
    self, AreaLine, Head, MAX_SPAN_MS, Rest, Shift, Silent, Upload, Writing, figures_document, shift_document,
};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// The routes of reports.
pub(super) fn routes() -> Vec<Route> {
    use Right::Reports;
    vec![
        Route::get(
            "/api/v1/reports/shift",
            Reports,
            ("交接班报告", "what is handed over after a shift"),
            shift,
        )
        .asks::<Wanted>()
        .gives_media(MEDIA),
        Route::get("/api/v1/reports/alarm-kpi", Reports, ("报警指标", "figures of alarms"), alarm_kpi)
            .asks::<Wanted>()
            .gives_media(MEDIA),
        Route::get(
            "/api/v1/reports/period",
            Reports,
            ("周报、月报、季报", "what is told of a week, a month or a quarter"),
            period::period,
        )
        .asks::<period::Asked>()
        .gives_media(MEDIA),
    ]
}

/// In which forms a report comes besides JSON.
const MEDIA: &[&str] = &["application/json", "text/plain", "text/csv", "text/html", "application/pdf"];

/// Who asks when nobody says.
const UNNAMED: &str = "api";

/// Which report.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    at: Option<i64>,
    from: Option<i64>,
    to: Option<i64>,
    format: Option<Form>,
    lang: Option<Lang>,
    actor: Option<String>,
}

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ReportForm")]
enum Form {
    #[default]
    Json,
    Text,
    Csv,
    Html,
    Pdf,
}

type Asked = Result<Query<Wanted>, QueryRejection>;

impl Form {
    /// Its media type, and how a file of it ends.
    fn kind(self) -> (&'static str, &'static str) {
        match self {
            Self::Json => ("application/json", "json"),
            Self::Text => ("text/plain; charset=utf-8", "txt"),
            Self::Csv => ("text/csv; charset=utf-8", "csv"),
            Self::Html => ("text/html; charset=utf-8", "html"),
            Self::Pdf => ("application/pdf", "pdf"),
        }
    }
}

/// What is asked for, understood.
struct Span {
    from: Wall,
    to: Wall,
    form: Form,
    lang: Lang,
    actor: Actor,
}

fn understood(console: &Console, who: &Who, asked: Asked, forms: &[Form]) -> Result<Span, Problem> {
    let Query(wanted) = asked.map_err(|error| {
        bad(
            format!("查询参数有误：{error}；可用：at 或 from 和 to（毫秒）、format、lang（zh、en）、actor"),
            format!(
                "the query is not understood ({error}); known: 'at', or 'from' and 'to' (milliseconds), 'format', 'lang' (zh, en), 'actor'"
            ),
        )
    })?;
    let now = console.clock.now().wall;
    let (from, to) = match (wanted.from.map(Wall), wanted.to.map(Wall), wanted.at.map(Wall)) {
        (Some(from), Some(to), None) => (from, to),
        // The shift that goes on is told up to now.
        (None, None, at) => {
            let at = at.unwrap_or(now);
            let (from, to) = console.duty.shift(at).ok_or_else(wrong_span)?;
            (from, if from <= now { to.min(now.plus_ms(1)) } else { to })
        }
        _ => {
            return Err(bad(
                "请同时给出 from 和 to，或只给 at，或都不给（当前班次）",
                "give both 'from' and 'to', or 'at' alone, or none of them for the shift that goes on",
            ));
        }
    };
    if !(1..=MAX_SPAN_MS).contains(&to.since(from)) {
        return Err(wrong_span());
    }
    let form = wanted.format.unwrap_or(Form::Json);
    if !forms.contains(&form) {
        return Err(bad("format 只能是 json 或 csv", "'format' must be json or csv"));
    }
    let actor = reader_of(who, wanted.actor.as_deref())?;
    Ok(Span { from, to, form, lang: wanted.lang.unwrap_or_default(), actor })
}

/// Who reads a report: a program need not say for whom.
fn reader_of(who: &Who, given: Option<&str>) -> Result<Actor, Problem> {
    let unnamed = (who.via != Via::Session).then_some(UNNAMED);
    who.acts_as(given.or(unnamed))
}

fn wrong_span() -> Problem {
    bad(
        "时段有误：to 须晚于 from，最长 31 天",
        "the span cannot be: 'to' must come after 'from', at most 31 days later",
    )
}

fn head(console: &Console, span: &Span) -> Head {
    Head {
        site: console.site.name.clone(),
        gateway: console.site.gateway.clone(),
        from: span.from,
        to: span.to,
        made_at: console.clock.now().wall,
        guards: console.duty.guards,
    }
}

/// `GET /api/v1/reports/shift`.
pub(super) async fn shift(
    State(console): State<Console>,
    who: Who,
    asked: Asked,
) -> Result<Response, Problem> {
    const FORMS: [Form; 5] = [Form::Json, Form::Text, Form::Csv, Form::Html, Form::Pdf];
    let span = understood(&console, &who, asked, &FORMS)?;
    let (form, lang, head) = (span.form, span.lang, head(&console, &span));
    let mut rest = standing(&console);
    let (places, zone) = (Arc::clone(&console.places), console.duty.zone.clone());
    let destinations: Vec<_> = console.destinations.keys().cloned().collect();
    let (hash, body) = read(&console, move |reader| {
        let (whole, now) = ((head.from, head.to), head.made_at);
        for destination in destinations {
            let (waiting, oldest) = reader.waiting(&destination)?;
            let lag_ms = oldest.map_or(0, |oldest| now.since(oldest).max(0));
            let lag_secs = u64::try_from(lag_ms / 1000).unwrap_or(0);
            rest.uploads.push(Upload { destination: destination.to_string(), waiting, lag_secs });
        }
        rest.hazards = reader.hazards_in(whole)?;
        let mut writing = Writing::new(head, &places);
        rest.unreadable = reader.lives(whole, |alarm, steps| writing.alarm(alarm, steps))?;
        let shift: Shift = writing.finish(rest);
        let document = || shift_document(&shift, &places, lang, &zone);
        let body = match form {
            Form::Json => shift.json().into_bytes(),
            Form::Text => report::text::text(&document()).into_bytes(),
            Form::Csv => report::csv::csv(&document()).into_bytes(),
            Form::Html => report::html::html(&document()).into_bytes(),
            Form::Pdf => report::pdf::pdf(&document()),
        };
        Ok((shift.hash(), body))
    })
    .await?;
    note(&console, &span, "report_shift", format!("sha256 {hash}")).await?;
    Ok(answer(&span, "shift", body))
}

/// `GET /api/v1/reports/alarm-kpi`.
pub(super) async fn alarm_kpi(
    State(console): State<Console>,
    who: Who,
    asked: Asked,
) -> Result<Response, Problem> {
    let span = understood(&console, &who, asked, &[Form::Json, Form::Csv])?;
    let (form, lang, head) = (span.form, span.lang, head(&console, &span));
    let (places, zone) = (Arc::clone(&console.places), console.duty.zone.clone());
    let body = read(&console, move |reader| {
        let mut writing = Writing::new(head.clone(), &places);
        reader.lives((head.from, head.to), |alarm, steps| writing.alarm(alarm, steps))?;
        let kpi = writing.kpi();
        Ok(match form {
            Form::Csv => report::csv::csv(&figures_document(&head, &kpi, lang, &zone)),
            _ => serde_json::json!({
                "from": head.from, "to": head.to, "guards": head.guards, "kpi": kpi,
                "figures": report::figures(&kpi),
            })
            .to_string(),
        })
    })
    .await?;
    note(&console, &span, "report_alarm_kpi", String::new()).await?;
    Ok(answer(&span, "alarm-kpi", body.into_bytes()))
}

/// What does not answer, and how areas stand.
fn standing(console: &Console) -> Rest {
    let live = console.live.borrow().clone();
    let silent = live.devices.iter().filter_map(|(id, device)| match device.link {
        Some((Link::Down(fault), since)) => {
            let known = console.devices.get(id);
            let place = known.and_then(|device| console.places.get(&device.place));
            let name = known.map_or_else(|| id.to_string(), |device| device.name.clone());
            let place = place.map(|place| place.path.clone());
            Some(Silent { device: id.clone(), name, place, fault, since })
        }
        _ => None,
    });
    let areas = live.areas.iter().map(|area| AreaLine {
        name: area.name.clone(),
        mode: area.mode,
        by: area.by.clone(),
        since: area.since,
        open: area.open.len(),
        bypassed: area.bypassed.len(),
    });
    Rest { silent: silent.collect(), areas: areas.collect(), ..Rest::default() }
}

/// Writes down who read which report, before they have it.
async fn note(console: &Console, span: &Span, action: &'static str, detail: String) -> Result<(), Problem> {
    let at = console.clock.now().wall;
    let subject = format!("{} to {}", span.from, span.to);
    settle(console, vec![entry(at, &span.actor, action, subject, detail)]).await
}

fn answer(span: &Span, name: &str, body: Vec<u8>) -> Response {
    let (kind, ending) = span.form.kind();
    let file = format!("inline; filename=\"{name}-{}.{ending}\"", span.from.0);
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, file),
        (header::CONTENT_SECURITY_POLICY, report::html::policy()),
    ];
    (headers, body).into_response()
}

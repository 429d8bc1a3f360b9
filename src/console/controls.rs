//! The routes of what may be switched: `/api/v1/controls`.

use super::api::{Answer, not_found, not_understood};
use super::route::Route;
use super::{Console, Problem, Who};
use crate::access::Right;
use crate::control::{By, MAX_REASON_CHARS, Outcome, Refusal, View};
use crate::model::{ControlId, Wall};
use crate::pipeline::Live;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// The routes of controls.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/controls", Right::See, ("可控制的输出", "outputs that may be switched"), list),
        Route::post("/api/v1/controls/{id}", Right::Control, ("控制一个输出", "switch an output"), order)
            .takes::<Given>(),
    ]
}

/// An order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ControlOrder")]
pub(super) struct Given {
    actor: Option<String>,
    value: f64,
    reason: String,
    #[serde(default)]
    dry_run: bool,
}

/// Everything that may be switched, as it stands.
pub(super) async fn list(State(console): State<Console>) -> Answer {
    let live = console.live.borrow().clone();
    let rows: Vec<Value> = console.controls.views().iter().map(|view| row(view, &live)).collect();
    Ok(Json(json!({"enabled": console.controls.enabled(), "rows": rows})))
}

fn row(view: &View, live: &Live) -> Value {
    let spec = &view.spec;
    let (device, point) = &spec.read_back;
    let seen = live.devices.get(device).and_then(|device| device.points.get(point));
    let last = view.last.as_ref().map(|last| {
        let said = last.outcome.says();
        json!({
            "at": last.at.0, "by": last.by, "value": last.value, "outcome": last.outcome.word(),
            "detail": said.en, "detail_zh": said.zh,
        })
    });
    json!({
        "id": spec.id, "name": spec.name, "device": spec.device, "point": spec.point, "place": spec.place,
        "allowed": spec.allowed.to_string(), "rest": spec.rest,
        "max_on_secs": spec.max_on.map(|span| span.as_secs()), "dry_run": spec.dry_run,
        "value": seen.and_then(|seen| seen.reading.value),
        "quality": seen.map(|seen| seen.reading.quality.as_str()),
        "read_at": seen.map(|seen| seen.stamp.gateway.0),
        "stage": view.stage, "rest_at": view.rest_at.map(|Wall(at)| at), "stuck": view.stuck, "last": last,
    })
}

/// Switches something, and answers when it is known what came of it.
pub(super) async fn order(
    State(console): State<Console>,
    who: Who,
    Path(id): Path<String>,
    body: Result<Json<Given>, JsonRejection>,
) -> Answer {
    let example = r#"{"actor": "姓名 name", "value": 1, "reason": "原因 why"}"#;
    let Json(given) = body.map_err(|error| not_understood(&error, example))?;
    let bad = |zh, en| Problem::new(StatusCode::BAD_REQUEST, zh, en);
    let actor = who.acts_as(given.actor.as_deref())?;
    let reason: String = given.reason.trim().chars().take(MAX_REASON_CHARS).collect();
    if reason.is_empty() {
        return Err(bad("“reason”不能为空：请写明原因", "'reason' must not be empty: why?"));
    }
    if !console.controls.enabled() {
        return Err(refusal(&Refusal::Off));
    }
    let id = ControlId::new(&id).ok();
    let known = |id: &ControlId| console.controls.views().iter().any(|view| view.spec.id == *id);
    let id = id.filter(known).ok_or_else(|| not_found("控制点", "control"))?;
    let given = (reason, given.value, given.dry_run);
    let told = console.controls.order(id.clone(), given.1, By::Person(actor), (given.0, given.2)).await;
    let outcome = told.map_err(|stopping| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "网关正在停止", stopping.to_string())
    })?;
    let said = outcome.says();
    let (value, back_in) = match &outcome {
        Outcome::Done { value, back_in } => (*value, *back_in),
        Outcome::DryRun { value } => (*value, None),
        Outcome::Refused(why) => return Err(refusal(why)),
        Outcome::Failed(_) => return Err(Problem::new(StatusCode::BAD_GATEWAY, said.zh, said.en)),
    };
    Ok(Json(json!({
        "id": id, "outcome": outcome.word(), "value": value,
        "back_in_secs": back_in.map(|span| span.as_secs()), "detail": said.en, "detail_zh": said.zh,
    })))
}

fn refusal(refusal: &Refusal) -> Problem {
    let status = match refusal {
        Refusal::NotAllowed { .. } => StatusCode::BAD_REQUEST,
        Refusal::TooSoon { .. } | Refusal::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        Refusal::NotStored => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Off
        | Refusal::Exit
        | Refusal::Fire
        | Refusal::Interlock(_)
        | Refusal::UnderWay { .. }
        | Refusal::Overtaken { .. } => StatusCode::CONFLICT,
    };
    let said = refusal.says();
    Problem::new(status, said.zh, said.en)
}

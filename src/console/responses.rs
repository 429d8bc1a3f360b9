//! The routes of responses: `/api/v1/responses`.

use super::api::{Answer, not_found, not_understood};
use super::route::Route;
use super::{Console, Problem, Who};
use crate::access::Right;
use crate::model::alarm::MAX_NOTE_CHARS;
use crate::model::{Actor, ResponseId};
use crate::response::{CODE_FOR, Does, Given, Refused, View};
use crate::runtime::response_desk::ResponseOrder;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// The routes of responses.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/responses",
            Right::See,
            ("封控、疏散等处置", "lockdown, evacuation and the like"),
            list,
        ),
        Route::post(
            "/api/v1/responses/{id}/{step}",
            Right::Respond,
            ("启动或解除处置，分两步", "begin or end a response, in two steps"),
            order,
        )
        .takes::<Body>(),
    ]
}

/// What a person gives with a step; each step has its own keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ResponseStep")]
pub(super) struct Body {
    actor: Option<String>,
    #[serde(default)]
    note: String,
    drill: Option<bool>,
    code: Option<String>,
    alone: Option<bool>,
}

/// `GET /api/v1/responses`.
pub(super) async fn list(State(console): State<Console>) -> Answer {
    Ok(Json(json!({"rows": rows(&console)})))
}

/// Every response as it stands.
pub(super) fn rows(console: &Console) -> Vec<Value> {
    console.responses.views().iter().map(row).collect()
}

fn row(view: &View) -> Value {
    let spec = &view.spec;
    let outputs = view.outputs.iter().map(|(output, state)| {
        let (kind, id) = match &output.does {
            Does::Switch { control, .. } => ("control", control.as_str()),
            Does::Tell { channel, .. } => ("channel", channel.as_str()),
        };
        let said = state.says();
        json!({
            "kind": kind, "id": id, "name": output.name, "state": state.word(), "known": state.known(),
            "failing": state.failing(), "detail": said.en, "detail_zh": said.zh,
        })
    });
    let stage = view.stage.name();
    json!({
        "id": spec.id, "kind": spec.kind, "name": spec.name.en, "name_zh": spec.name.zh, "place": spec.place,
        "silent": spec.silent, "stage": view.stage.word(), "stage_zh": stage.zh, "stage_en": stage.en,
        "drill": view.drill, "by": view.begun.as_ref().map(|(by, _)| by.as_str()),
        "at": view.begun.as_ref().map(|(_, at)| at.0),
        "prepared_by": view.prepared_by.as_ref().map(Actor::as_str),
        "outputs": outputs.collect::<Vec<_>>(),
    })
}

/// Takes a step. What came of each output is told by [`list`].
pub(super) async fn order(
    State(console): State<Console>,
    who: Who,
    Path((id, step)): Path<(String, String)>,
    body: Result<Json<Body>, JsonRejection>,
) -> Answer {
    let example = r#"{"actor": "姓名 name", "code": "1234", "note": "原因 why"}"#;
    let Json(body) = body.map_err(|error| not_understood(&error, example))?;
    let bad = |zh, en| Problem::new(StatusCode::BAD_REQUEST, zh, en);
    let actor = who.acts_as(body.actor.as_deref())?;
    let note: String = body.note.trim().chars().filter(|c| !c.is_control()).take(MAX_NOTE_CHARS).collect();
    let order = match (step.as_str(), body.code, body.drill, body.alone) {
        ("prepare", None, drill, None) => ResponseOrder::Prepare { drill: drill.unwrap_or(false) },
        ("start", Some(code), None, None) => ResponseOrder::Start { code },
        ("start", None, None, None) => {
            return Err(bad("缺少“code”：先 prepare", "'code' is missing: prepare it first"));
        }
        ("clear", None, None, alone) => ResponseOrder::Clear { alone: alone.unwrap_or(false) },
        ("prepare" | "start" | "clear", ..) => {
            return Err(bad(
                "这一步只用：prepare 用 drill，start 用 code，clear 用 alone",
                "this step has other keys: prepare takes drill, start code, clear alone",
            ));
        }
        _ => return Err(not_found("步骤：prepare、start、clear", "step: prepare, start, clear")),
    };
    let unknown = || not_found("应急响应", "response");
    let id = ResponseId::new(&id).map_err(|_| unknown())?;
    let told = console.responses.order(id.clone(), order, Given { actor, note }).await;
    let code = told
        .map_err(|stopping| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "网关正在停止", stopping.to_string())
        })?
        .map_err(|refused| refusal(&refused))?;
    let views = console.responses.views();
    let mut answer = row(views.iter().find(|view| view.spec.id == id).ok_or_else(unknown)?);
    if let (Some(code), Some(fields)) = (code, answer.as_object_mut()) {
        fields.insert("code".into(), json!(code));
        fields.insert("code_secs".into(), json!(CODE_FOR.as_secs()));
    }
    Ok(Json(answer))
}

fn refusal(refused: &Refused) -> Problem {
    let status = match refused {
        Refused::Unknown => return not_found("应急响应", "response"),
        Refused::WrongCode | Refused::NoReason => StatusCode::BAD_REQUEST,
        Refused::SamePerson => StatusCode::FORBIDDEN,
        Refused::Fire
        | Refused::Evacuating
        | Refused::InUse { .. }
        | Refused::InEarnest
        | Refused::NoDrill
        | Refused::NotPrepared
        | Refused::NotOn => StatusCode::CONFLICT,
    };
    let said = refused.says();
    Problem::new(status, said.zh, said.en)
}

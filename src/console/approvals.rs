//! The routes of exports of persons: asked for with a purpose, agreed to by another person, fetched once and soon.

use super::api::{Answer, not_found};
use super::people::{entry, persons, settle};
use super::route::Route;
use super::{Console, Problem, Via, Who};
use crate::access::{Approvals, Export, NotNow, Right, Role, Stage};
use crate::model::Now;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// The routes of approvals.
pub(super) fn routes() -> Vec<Route> {
    use Right::{Approve, Persons};
    vec![
        Route::get("/api/v1/approvals", Approve, ("人员导出的申请", "exports that were asked for"), list),
        Route::post("/api/v1/approvals/{id}/approve", Approve, ("同意导出", "agree to an export"), approve),
        Route::post("/api/v1/approvals/{id}/refuse", Approve, ("拒绝导出", "refuse an export"), refuse),
        Route::get(
            "/api/v1/approvals/{id}/file",
            Persons,
            ("下载导出，仅一次", "fetch an export, once"),
            file,
        ),
    ]
}

fn not_now(why: NotNow) -> Problem {
    let (zh, en) = match why {
        NotNow::Unknown => return not_found("申请", "request"),
        NotNow::TooMany => ("待处理的申请过多：请先处理", "too many requests are waiting: answer them first"),
        NotNow::Own => {
            ("不能审批自己的申请：须由另一人同意", "nobody agrees to their own request: another person does")
        }
        NotNow::NotYours => ("只有申请人可以下载", "only the person who asked may fetch it"),
        NotNow::Stage(stage) => match stage {
            Stage::Waiting => ("申请尚未获得同意", "nobody has agreed yet"),
            Stage::Approved => ("申请已获得同意", "somebody has agreed already"),
            Stage::Refused => ("申请已被拒绝", "the request was refused"),
            Stage::Fetched => {
                ("已下载过：每个申请只能下载一次", "it was fetched: a request gives one file, once")
            }
            Stage::Expired => ("申请已过期：请重新申请", "the request has expired: ask again"),
        },
    };
    let status = match why {
        NotNow::Own | NotNow::NotYours => StatusCode::FORBIDDEN,
        NotNow::TooMany => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::CONFLICT,
    };
    Problem::new(status, zh, en)
}

fn numbered(id: &str) -> Result<u64, Problem> {
    id.parse().map_err(|_| not_now(NotNow::Unknown))
}

fn view((id, export): &(u64, Export)) -> Value {
    let (by, at) = export.answered.clone().unzip();
    json!({
        "id": id, "kind": "people", "by": export.asker, "purpose": export.purpose, "asked_at": export.asked_at,
        "stage": export.stage.as_str(), "answered_by": by, "answered_at": at,
    })
}

/// Asks for an export; told by its number. It is written down before anybody sees it.
pub(super) async fn ask(console: &Console, who: &Who, purpose: &str) -> Result<Response, Problem> {
    person(who)?;
    let asker = who.name.as_str();
    let asked = |all: &mut Approvals, now: Now| all.ask(asker, purpose, (now.mono, now.wall));
    let id = console.accounts.approvals(asked).map_err(not_now)?;
    note(console, who, "people_export_asked", id, purpose.to_owned()).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"request": id}))).into_response())
}

/// Two programs are no two persons.
fn person(who: &Who) -> Result<(), Problem> {
    if who.via == Via::Session && who.role != Role::Kiosk {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "人员导出须由本人登录后申请和审批",
        "a person who signed in asks for an export of persons and agrees to it, and no program",
    ))
}

async fn list(State(console): State<Console>) -> Answer {
    let rows = console.accounts.approvals(|all, now| all.list(now.mono));
    Ok(Json(json!({"rows": rows.iter().map(view).collect::<Vec<_>>()})))
}

async fn approve(State(console): State<Console>, who: Who, Path(id): Path<String>) -> Answer {
    answer(&console, &who, numbered(&id)?, true).await
}

async fn refuse(State(console): State<Console>, who: Who, Path(id): Path<String>) -> Answer {
    answer(&console, &who, numbered(&id)?, false).await
}

async fn answer(console: &Console, who: &Who, id: u64, agrees: bool) -> Answer {
    person(who)?;
    let by = who.name.as_str();
    let answered = console.accounts.approvals(|all, now| all.answer(id, by, agrees, (now.mono, now.wall)));
    let export = answered.map_err(not_now)?;
    let action = if agrees { "people_export_approved" } else { "people_export_refused" };
    note(console, who, action, id, format!("asked by {}", export.asker)).await?;
    Ok(Json(view(&(id, export))))
}

/// The file, for who asked: its head and each of its rows say where it comes from.
async fn file(State(console): State<Console>, who: Who, Path(id): Path<String>) -> Result<Response, Problem> {
    let id = numbered(&id)?;
    let rows = persons(&console).await?;
    let by = who.name.as_str();
    let fetched = console.accounts.approvals(|all, now| all.fetch(id, by, now.mono));
    let export = fetched.map_err(not_now)?;
    let approver = export.answered.map(|(by, _)| by).unwrap_or_default();
    let (many, at) = (rows.len(), console.clock.now().wall);
    let detail = format!("{many} persons; agreed by {approver}; {}", export.purpose);
    note(&console, &who, "people_export", id, detail).await?;
    let mark = format!("{}-{id}", console.site.gateway);
    let marked = |mut row: Value| {
        if let Some(fields) = row.as_object_mut() {
            fields.insert("export".into(), json!(mark));
        }
        row
    };
    let body = json!({
        "export": mark, "site": console.site.name, "asked_by": export.asker, "agreed_by": approver,
        "purpose": export.purpose, "at": at, "persons": many,
        "mark": format!("{} {by} {}：{}", console.site.name, at, export.purpose),
        "rows": rows.into_iter().map(marked).collect::<Vec<_>>(),
    });
    let name = format!("attachment; filename=\"people-{id}.json\"");
    Ok(([(header::CONTENT_DISPOSITION, name)], Json(body)).into_response())
}

async fn note(
    console: &Console,
    who: &Who,
    action: &'static str,
    id: u64,
    detail: String,
) -> Result<(), Problem> {
    let at = console.clock.now().wall;
    settle(console, vec![entry(at, &who.name, action, format!("request {id}"), detail)]).await
}

//! The routes of pictures: what the cameras saw when an alarm was raised. Who looks is written down first.

use super::api::{Answer, not_found};
use super::people::{bad, entry, settle};
use super::route::Route;
use super::{Console, Problem, Who};
use crate::access::Right;
use crate::capture::Name;
use crate::model::{AlarmId, Text};
use crate::runtime::Chain;
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io;

/// The routes of pictures.
pub(super) fn routes() -> Vec<Route> {
    use Right::Pictures;
    vec![
        Route::get(
            "/api/v1/alarms/{id}/pictures",
            Pictures,
            ("一条报警的照片", "pictures of an alarm"),
            list,
        ),
        Route::get("/api/v1/alarms/{id}/pictures/{name}", Pictures, ("一张照片", "one picture"), picture)
            .asks::<Looks>()
            .gives_media(&["image/jpeg"]),
    ]
}

/// Which pictures there are of an alarm, oldest first.
pub(super) async fn list(State(console): State<Console>, id: Result<Path<u64>, PathRejection>) -> Answer {
    let alarm = alarm(id)?;
    let shelf = console.pictures.clone();
    let found = tokio::task::spawn_blocking(move || shelf.of(alarm)).await;
    let pictures =
        found.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| unreadable(&error))?;
    let rows: Vec<Value> = pictures.iter().map(|(name, bytes)| row(name, *bytes)).collect();
    Ok(Json(json!({"rows": rows})))
}

/// One of them in a list.
pub(super) fn row(name: &Name, bytes: u64) -> Value {
    json!({"picture": name.to_string(), "device": name.camera, "at": name.at, "bytes": bytes})
}

/// Who looks.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Looks {
    actor: Option<String>,
}

/// One picture.
pub(super) async fn picture(
    State(console): State<Console>,
    asker: Who,
    path: Result<Path<(u64, String)>, PathRejection>,
    looks: Result<Query<Looks>, QueryRejection>,
) -> Result<impl IntoResponse, Problem> {
    let Ok(Path((id, name))) = path else { return Err(none()) };
    let Query(Looks { actor }) = looks.map_err(|_| {
        bad(
            "查询参数有误：只能有 actor（谁在查看）",
            "the query is not understood: only 'actor' is known: who looks?",
        )
    })?;
    let who = asker.looks_as(actor.as_deref())?;
    let name: Name = name.parse().map_err(|()| none())?;
    if name.alarm != AlarmId(id) {
        return Err(none());
    }
    let (shelf, wanted) = (console.pictures.clone(), name.clone());
    let read = tokio::task::spawn_blocking(move || shelf.read(&wanted)).await;
    let bytes = match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(none()),
        read => read.map_err(|error| unreadable(&error))?,
    };
    let at = console.clock.now().wall;
    settle(&console, vec![entry(at, &who, "picture_view", format!("alarm {id}"), name.to_string())]).await?;
    // A picture of children stays in no cache.
    Ok(([(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "no-store")], bytes))
}

fn alarm(id: Result<Path<u64>, PathRejection>) -> Result<AlarmId, Problem> {
    id.map(|Path(id)| AlarmId(id)).map_err(|_| not_found("报警", "alarm"))
}

fn none() -> Problem {
    let Text { zh, en } = Text::new(
        "没有这张照片：可能已过保存期限",
        "there is no such picture: perhaps it was kept long enough and deleted",
    );
    Problem::new(StatusCode::NOT_FOUND, zh, en)
}

fn unreadable(error: &io::Error) -> Problem {
    tracing::error!(error = %Chain(error), "a picture could not be read");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "照片读取失败，请查看日志",
        "the picture could not be read; the log says why",
    )
}

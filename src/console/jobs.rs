//! The routes of jobs: `/api/v1/jobs`. What takes time is begun, looked at and stopped here.

mod backup;
mod discovery;
mod export;
mod file;
mod office;
mod replay;

pub(super) use backup::{BACKUPS_DIR, backups};
pub use office::{Desk, Office, Parts, Work, office};

use super::api::{not_found, not_understood};
use super::people::{bad, entry, settle};
use super::route::Route;
use super::{Console, Problem, Via, Who};
use crate::access::Right;
use crate::model::Text;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use office::{Job, Refused, State as JobState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The routes of jobs.
pub(super) fn routes() -> Vec<Route> {
    use Right::Work;
    vec![
        Route::get("/api/v1/jobs", Work, ("耗时任务，新的在前", "jobs, newest first"), list).gives::<Rows>(),
        Route::post("/api/v1/jobs", Work, ("开始一项任务", "begin a job"), begin)
            .takes::<Order>()
            .gives::<Begun>()
            .answers(StatusCode::ACCEPTED),
        Route::get("/api/v1/jobs/{id}", Work, ("一项任务", "one job"), one).gives::<View>(),
        Route::delete("/api/v1/jobs/{id}", Work, ("停止任务", "stop a job"), stop).gives::<View>(),
        Route::get("/api/v1/jobs/{id}/file", Work, ("任务生成的文件", "the file that a job made"), made)
            .gives_media(&["text/csv", "application/vnd.apache.parquet"]),
    ]
}

/// What is to be done.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[schemars(rename = "JobOrder")]
pub(crate) enum Order {
    /// Looks for devices on a line or in a network.
    Discovery(discovery::Order),
    /// Shows the rules, as the configuration has them now, the past once more.
    Replay(replay::Order),
    /// Writes what is stored into a file.
    Export(export::Order),
    /// Copies the data into a directory of their own.
    Backup(backup::Order),
}

impl Order {
    fn kind(&self) -> &'static str {
        match self {
            Self::Discovery(_) => "discovery",
            Self::Replay(_) => "replay",
            Self::Export(_) => "export",
            Self::Backup(_) => "backup",
        }
    }

    fn actor(&self) -> Option<&str> {
        match self {
            Self::Discovery(order) => order.actor.as_deref(),
            Self::Replay(order) => order.actor.as_deref(),
            Self::Export(order) => order.actor.as_deref(),
            Self::Backup(order) => order.actor.as_deref(),
        }
    }

    /// What it is about, for the audit trail.
    fn words(&self) -> String {
        match self {
            Self::Discovery(order) => order.words(),
            Self::Replay(order) => order.words(),
            Self::Export(order) => order.words(),
            Self::Backup(_) => String::new(),
        }
    }
}

/// Jobs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Jobs")]
struct Rows {
    rows: Vec<View>,
}

/// A job that was begun.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "JobBegun")]
struct Begun {
    id: u64,
}

/// A job.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Job")]
struct View {
    id: u64,
    /// discovery, replay, export or backup.
    kind: &'static str,
    /// Who began it.
    by: String,
    begun_at: i64,
    ended_at: Option<i64>,
    state: JobState,
    /// So much of it is done.
    done: u64,
    /// Of so much, where that is known.
    of: Option<u64>,
    /// Where it stands, or why it ended.
    note: Text,
    /// What came of it; each kind has its own.
    result: Option<Value>,
    /// Where its file is.
    file: Option<String>,
}

fn view(job: &Job) -> View {
    let progress = job.progress.borrow().clone();
    let ended = job.ended.as_ref();
    View {
        id: job.id,
        kind: job.kind,
        by: job.by.as_str().to_owned(),
        begun_at: job.begun_at.0,
        ended_at: ended.map(|ended| ended.at.0),
        state: ended.map_or(JobState::Running, |ended| ended.state),
        done: progress.done,
        of: progress.of,
        note: ended.and_then(|ended| ended.note.clone()).unwrap_or(progress.note),
        result: ended.and_then(|ended| ended.result.clone()),
        file: ended.and_then(|ended| ended.file.as_ref()).map(|_| format!("/api/v1/jobs/{}/file", job.id)),
    }
}

async fn list(State(console): State<Console>) -> Json<Rows> {
    Json(Rows { rows: console.jobs.all().iter().rev().map(view).collect() })
}

fn job(console: &Console, id: &str) -> Result<Job, Problem> {
    let id: u64 = id.parse().map_err(|_| not_found("任务", "job"))?;
    let all = console.jobs.all();
    all.iter().find(|job| job.id == id).cloned().ok_or_else(|| not_found("任务", "job"))
}

async fn one(State(console): State<Console>, Path(id): Path<String>) -> Result<Json<View>, Problem> {
    Ok(Json(view(&job(&console, &id)?)))
}

async fn begin(
    State(console): State<Console>,
    who: Who,
    body: Result<Json<Order>, JsonRejection>,
) -> Result<(StatusCode, Json<Begun>), Problem> {
    let example = r#"{"kind": "discovery", "tcp": "192.168.1.0/24"} | {"kind": "replay", "from": 0, "to": 0, "rules": []} | {"kind": "export", "what": "readings", "from": 0, "to": 0, "format": "csv"} | {"kind": "backup"}"#;
    let Json(order) = body.map_err(|error| not_understood(&error, example))?;
    let actor = who.acts_as(order.actor())?;
    match &order {
        Order::Discovery(order) => {
            order.check(&console.work)?;
            if who.via != Via::Local {
                order.harmless().await?;
            }
        }
        Order::Replay(order) => order.check(&console.work)?,
        Order::Export(order) => order.check()?,
        Order::Backup(_) => {}
    }
    let (kind, words) = (order.kind(), order.words());
    let id = console.jobs.begin(order, actor.clone()).await.map_err(|refused| match refused {
        Refused::Busy(id) => Problem::new(
            StatusCode::CONFLICT,
            format!("同类任务正在进行（{id}）：等它结束，或先停止它"),
            format!("a job of this kind is running ({id}): wait for its end, or stop it"),
        ),
        Refused::Stopping => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "网关正在停止", "the gateway is stopping")
        }
    })?;
    let at = console.clock.now().wall;
    settle(&console, vec![entry(at, &actor, "job_begin", format!("job {kind}"), words)]).await?;
    Ok((StatusCode::ACCEPTED, Json(Begun { id })))
}

async fn stop(State(console): State<Console>, Path(id): Path<String>) -> Result<Json<View>, Problem> {
    let job = job(&console, &id)?;
    console.jobs.stop(job.id).await;
    one(State(console), Path(id)).await
}

async fn made(State(console): State<Console>, Path(id): Path<String>) -> Result<Response, Problem> {
    let job = job(&console, &id)?;
    let file = job.ended.and_then(|ended| ended.file).ok_or_else(|| not_found("文件", "file"))?;
    file::answer(&file).await
}

/// A span of time that may be asked for.
fn span(from: i64, to: i64) -> Result<(), Problem> {
    if from < to {
        return Ok(());
    }
    Err(bad("时段有误：to 须晚于 from", "the span cannot be: 'to' must come after 'from'"))
}

//! The routes of the audit trail: what was done, by whom, and whether it is as it was written.

use super::Console;
use super::api::{Answer, Asked, DEFAULT_ROWS, listed, narrowed, read};
use super::route::Route;
use crate::access::Right;
use axum::Json;
use axum::extract::State;
use serde_json::json;

/// The routes of the audit trail.
pub(super) fn routes() -> Vec<Route> {
    use Right::Audit;
    vec![
        Route::get("/api/v1/audit", Audit, ("审计日志，新的在前", "the audit trail, newest first"), list),
        Route::post("/api/v1/audit/verify", Audit, ("核对审计日志", "verify the audit trail"), verify),
    ]
}

async fn list(State(console): State<Console>, asked: Asked) -> Answer {
    let asked = narrowed(asked)?;
    let limit = asked.limit.unwrap_or(DEFAULT_ROWS);
    let page = read(&console, move |reader| reader.trail(asked.before, limit)).await?;
    listed(page, |row| json!(row))
}

async fn verify(State(console): State<Console>) -> Answer {
    let looked = read(&console, |reader| reader.verify_trail()).await?;
    let broken: Vec<_> = looked
        .broken
        .iter()
        .map(|broken| json!({"seq": broken.seq, "detail": broken.problem.en, "detail_zh": broken.problem.zh}))
        .collect();
    Ok(Json(json!({
        "ok": broken.is_empty(), "entries": looked.rows, "head": looked.head, "seq": looked.seq, "broken": broken,
    })))
}

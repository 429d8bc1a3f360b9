//! The routes of the audit trail: what was done, by whom, and whether it is as it was written.

use super::Console;
use super::api::{Answer, DEFAULT_ROWS, listed, read};
use super::people::bad;
use super::route::Route;
use crate::access::Right;
use crate::store::TrailSought;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Longest text that is looked for, in characters.
const MAX_SOUGHT: usize = 100;

/// The routes of the audit trail.
pub(super) fn routes() -> Vec<Route> {
    use Right::Audit;
    vec![
        Route::get("/api/v1/audit", Audit, ("审计日志，新的在前", "the audit trail, newest first"), list)
            .asks::<Asked>(),
        Route::post("/api/v1/audit/verify", Audit, ("核对审计日志", "verify the audit trail"), verify),
    ]
}

/// What the trail may be narrowed by.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// What the name of who did it begins with.
    actor: Option<String>,
    /// What was done, one word such as `sign_in`.
    action: Option<String>,
    /// What stands in the subject or the detail.
    q: Option<String>,
    before: Option<u64>,
    limit: Option<u32>,
}

async fn list(State(console): State<Console>, asked: Result<Query<Asked>, QueryRejection>) -> Answer {
    let Query(Asked { actor, action, q, before, limit }) = asked.map_err(|error| {
        bad(
            format!("查询参数有误：{error}"),
            format!("the query is not understood ({error}); known: actor, action, q, before, limit"),
        )
    })?;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let sought = TrailSought { actor: given(actor), action: given(action), text: given(q) };
    let all = [&sought.actor, &sought.action, &sought.text];
    if all.into_iter().flatten().any(|text| text.chars().count() > MAX_SOUGHT) {
        return Err(bad(
            format!("查找的内容太长：最多 {MAX_SOUGHT} 个字"),
            format!("what is looked for is too long: at most {MAX_SOUGHT} characters"),
        ));
    }
    let limit = limit.unwrap_or(DEFAULT_ROWS);
    let page = read(&console, move |reader| reader.trail(&sought, before, limit)).await?;
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

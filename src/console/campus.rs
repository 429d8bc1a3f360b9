//! The routes of who is where: `/api/v1/presence` and `/api/v1/muster`.

use super::api::{Answer, not_understood};
use super::route::Route;
use super::{Console, Problem, Who};
use crate::access::Right;
use crate::campus::MusterRefused;
use crate::model::alarm::MAX_NOTE_CHARS;
use crate::model::{Actor, Called, MusterCommand, MusterOrder, PersonRef};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// The routes of who is where.
pub(super) fn routes() -> Vec<Route> {
    use Right::{Respond, See};
    vec![
        Route::get("/api/v1/presence", See, ("各区域人数", "how many are in each zone"), presence),
        Route::get("/api/v1/muster", See, ("清点情况", "the muster as it stands"), muster),
        Route::post("/api/v1/muster/start", Respond, ("开始清点", "begin a muster"), start).takes::<Start>(),
        Route::post("/api/v1/muster/close", Respond, ("结束清点", "end the muster"), close).takes::<Close>(),
        Route::post("/api/v1/muster/safe", Respond, ("登记已安全人员", "who is safe"), safe).takes::<Safe>(),
    ]
}

/// Most persons in one order.
const MAX_PERSONS: usize = 1000;
/// Hexadecimal digits of a pseudonym.
const PSEUDONYM_DIGITS: usize = 32;

/// How many are in each zone.
pub(super) async fn presence(State(console): State<Console>) -> Answer {
    let live = console.live.borrow().clone();
    let campus = &live.campus;
    Ok(Json(json!({
        "zones": campus.zones, "reset_at": campus.reset_at, "dropped": campus.dropped, "at": live.at,
    })))
}

/// The muster as it stands; null when there is none.
pub(super) async fn muster(State(console): State<Console>) -> Answer {
    let live = console.live.borrow().clone();
    Ok(Json(json!({"muster": live.campus.muster, "at": live.at})))
}

/// An order to start one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MusterStart")]
pub(super) struct Start {
    actor: Option<String>,
    cause: Called,
    #[serde(default)]
    note: String,
}

/// An order to close it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MusterClose")]
pub(super) struct Close {
    actor: Option<String>,
    #[serde(default)]
    note: String,
}

/// Who is safe: persons by their pseudonyms, or everybody of a group.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MusterSafe")]
pub(super) struct Safe {
    actor: Option<String>,
    #[serde(default)]
    persons: Vec<String>,
    group: Option<String>,
    #[serde(default)]
    note: String,
}

type Given<T> = Result<Json<T>, JsonRejection>;

pub(super) async fn start(State(console): State<Console>, who: Who, body: Given<Start>) -> Answer {
    let example = r#"{"actor": "姓名 name", "cause": "drill"}，cause: drill 演练, evacuation 疏散"#;
    let Json(given) = body.map_err(|error| not_understood(&error, example))?;
    order(&console, MusterOrder::Start(given.cause), who.acts_as(given.actor.as_deref())?, &given.note).await
}

pub(super) async fn close(State(console): State<Console>, who: Who, body: Given<Close>) -> Answer {
    let Json(given) = body.map_err(|error| not_understood(&error, r#"{"actor": "姓名 name"}"#))?;
    order(&console, MusterOrder::Close, who.acts_as(given.actor.as_deref())?, &given.note).await
}

pub(super) async fn safe(State(console): State<Console>, who: Who, body: Given<Safe>) -> Answer {
    let example = r#"{"actor": "姓名 name", "group": "班级 class"} 或 or {"actor": "…", "persons": ["…"]}"#;
    let Json(given) = body.map_err(|error| not_understood(&error, example))?;
    let order_of = |given: &Safe| match (&given.group, given.persons.as_slice()) {
        (Some(group), []) => Some(MusterOrder::SafeGroup(group.clone())),
        (None, persons) if !persons.is_empty() && persons.len() <= MAX_PERSONS => {
            let persons: Option<Vec<PersonRef>> = persons.iter().map(|text| pseudonym(text)).collect();
            persons.map(MusterOrder::SafePersons)
        }
        _ => None,
    };
    let safe = order_of(&given).ok_or_else(|| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("请写明 group（班级）或 persons（1 到 {MAX_PERSONS} 个 32 位代码），二者取一"),
            format!("name a group, or 1 to {MAX_PERSONS} persons by their 32 hexadecimal digits, not both"),
        )
    })?;
    order(&console, safe, who.acts_as(given.actor.as_deref())?, &given.note).await
}

fn pseudonym(text: &str) -> Option<PersonRef> {
    let digits = text.len() == PSEUDONYM_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit());
    digits.then(|| PersonRef::from_stored(text.to_ascii_lowercase()))
}

async fn order(console: &Console, order: MusterOrder, actor: Actor, note: &str) -> Answer {
    let note = note.chars().take(MAX_NOTE_CHARS).collect();
    match console.orders.muster(MusterCommand { order, actor, note }).await {
        Ok(Ok(())) => Ok(Json(json!({"done": true}))),
        Ok(Err(refused)) => Err(refusal(&refused)),
        Err(stopping) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "网关正在停止", stopping.to_string()))
        }
    }
}

fn refusal(refused: &MusterRefused) -> Problem {
    let (status, zh) = match refused {
        MusterRefused::None => (StatusCode::CONFLICT, "现在没有清点：请先开始".to_owned()),
        MusterRefused::CalledAlready => (StatusCode::CONFLICT, "清点已经开始：请先结束".to_owned()),
        MusterRefused::FireAlarm => (StatusCode::CONFLICT, "清点由火警开启：火警复位后自动结束".to_owned()),
        MusterRefused::NobodyListed(group) => (StatusCode::NOT_FOUND, format!("清点名单中没有“{group}”的人")),
        MusterRefused::NotListed(count) => (StatusCode::NOT_FOUND, format!("其中 {count} 人不在清点名单中")),
    };
    Problem::new(status, zh, refused.to_string())
}

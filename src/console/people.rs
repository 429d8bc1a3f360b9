//! The routes of persons: `/api/v1/people`, and the track of one. Nobody is named: the school's own program makes
//! pseudonyms of card numbers before it asks.

use super::api::{Answer, read};
use super::route::Route;
use super::{Console, Problem, Via, Who, approvals, views};
use crate::access::Right;
use crate::model::person::MAX_PEOPLE;
use crate::model::{Actor, Audit, Input, PeopleChange, Person, PersonRef, Role, Text, Wall};
use crate::runtime::Chain;
use crate::store::{self, StoreError};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// The routes of persons.
pub(super) fn routes() -> Vec<Route> {
    use Right::Persons;
    vec![
        Route::get("/api/v1/people", Persons, ("人员数量", "how many persons there are"), list),
        Route::post("/api/v1/people", Persons, ("导入人员", "take persons in"), import)
            .bodies_up_to(MAX_IMPORT)
            .takes::<Import>(),
        Route::post("/api/v1/people/export", Persons, ("导出人员", "export persons"), export)
            .takes::<Asked>(),
        Route::post("/api/v1/people/erase", Persons, ("删除一个人的数据", "erase a person"), erase)
            .takes::<Erasure>(),
        Route::get(
            "/api/v1/people/{person}/track",
            Persons,
            ("一个人的通行记录", "where a person passed"),
            track,
        )
        .asks::<Span>(),
    ]
}

/// Largest body of an import, bytes: the most persons, each with everything.
pub(super) const MAX_IMPORT: usize = 16 * 1024 * 1024;
/// Most events of a track.
const TRACK_EVENTS: u32 = 5_000;
/// Longest purpose or reason that is written down, characters.
const MAX_PURPOSE_CHARS: usize = 200;
/// Nothing is to be left of an erased person within a minute: what stands in the way is waited for until then.
const ERASED_WITHIN: Duration = Duration::from_secs(50);
/// Pause between two attempts at emptying the log.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

pub(super) fn bad(zh: impl Into<String>, en: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, zh, en)
}

fn stopping() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "网关正在停止", "the gateway is stopping")
}

fn not_understood(error: &JsonRejection, example: &str) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let mib = MAX_IMPORT / 1024 / 1024;
        let (zh, en) =
            (format!("提交的内容过大：最多 {mib} MiB"), format!("the body is too large: at most {mib} MiB"));
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, zh, en);
    }
    // What was sent may name somebody, and an error of the reader repeats it.
    bad(format!("请提交 {example}"), format!("send {example}"))
}

fn purpose(text: &str) -> Result<String, Problem> {
    let purpose: String = text.trim().chars().take(MAX_PURPOSE_CHARS).collect();
    if purpose.is_empty() {
        return Err(bad("“purpose”不能为空：请写明用途", "'purpose' must not be empty: what for?"));
    }
    Ok(purpose)
}

fn person(text: &str) -> Result<PersonRef, Problem> {
    PersonRef::from_digits(text).ok_or_else(|| {
        bad(
            "“person”应是 32 位十六进制假名，不能是卡号；用 schoolgate people 命令换算",
            "'person' must be a pseudonym of 32 hexadecimal digits, never a card number; `schoolgate people` makes it",
        )
    })
}

pub(super) fn entry(at: Wall, actor: &Actor, action: &'static str, subject: String, detail: String) -> Input {
    let actor = actor.as_str().to_owned().into();
    Input::Audit(Audit { at, actor, action, subject: subject.into(), detail })
}

/// Makes it true, and answers when it is.
pub(super) async fn settle(console: &Console, inputs: Vec<Input>) -> Result<(), Problem> {
    console.people.deliver(inputs).await.map_err(|_| stopping())
}

/// How many persons there are, by role and class.
pub(super) async fn list(State(console): State<Console>) -> Answer {
    let groups = read(&console, store::Reader::people_by_group).await?;
    let total: u64 = groups.iter().map(|(.., n)| n).sum();
    let rows: Vec<Value> = groups
        .into_iter()
        .map(|(role, group, n)| json!({"role": role, "group": group, "persons": n}))
        .collect();
    Ok(Json(json!({"total": total, "rows": rows})))
}

/// Persons, as the school's program hands them over.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PeopleImport")]
pub(super) struct Import {
    actor: Option<String>,
    #[serde(default)]
    replace: bool,
    rows: Vec<Row>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PersonRow")]
struct Row {
    person: String,
    role: Role,
    group: Option<String>,
    platform_id: Option<String>,
    valid_from: Option<i64>,
    valid_until: Option<i64>,
}

/// Takes persons into the table, all of them or none.
pub(super) async fn import(
    State(console): State<Console>,
    asker: Who,
    body: Result<Json<Import>, JsonRejection>,
) -> Answer {
    let example =
        r#"{"actor": "姓名 name", "replace": false, "rows": [{"person": "…32 hex…", "role": "student"}]}"#;
    let Json(Import { actor, replace, rows }) = body.map_err(|error| not_understood(&error, example))?;
    let who = asker.acts_as(actor.as_deref())?;
    let mut people = Vec::with_capacity(rows.len());
    let mut seen = BTreeSet::new();
    for (row, number) in rows.into_iter().zip(1_usize..) {
        let wrong = |why: Text| {
            bad(format!("第 {number} 人有误：{}", why.zh), format!("person {number}: {}", why.en))
        };
        let pseudonym = person(&row.person).map_err(|problem| wrong(problem.detail))?;
        if !seen.insert(pseudonym.clone()) {
            return Err(wrong(Text::new("名单中出现了两次", "is in the list twice")));
        }
        let person = Person {
            role: row.role,
            group: row.group,
            platform_id: row.platform_id,
            valid_from: row.valid_from.map(Wall),
            valid_until: row.valid_until.map(Wall),
        };
        person.check().map_err(wrong)?;
        people.push((pseudonym, person));
    }
    let many = people.len();
    let there = if replace { Vec::new() } else { read(&console, store::Reader::people).await? };
    if many + there.iter().filter(|(who, _)| !seen.contains(who)).count() > MAX_PEOPLE {
        return Err(bad(
            format!("人员表最多 {MAX_PEOPLE} 人"),
            format!("the table would hold more than {MAX_PEOPLE} persons"),
        ));
    }
    let at = console.clock.now().wall;
    let (change, how) = if replace {
        (PeopleChange::Replace(people), "replaced")
    } else {
        (PeopleChange::Put(people), "added to")
    };
    let detail = format!("{many} persons; the table was {how}");
    settle(&console, vec![entry(at, &who, "people_import", "people".into(), detail), Input::People(change)])
        .await?;
    Ok(Json(json!({"persons": many, "replaced": replace})))
}

/// Who asks, and what for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PeopleExport")]
pub(super) struct Asked {
    actor: Option<String>,
    purpose: String,
}

/// The whole table by pseudonyms; that it was asked for is written down first. Whoever is root on this machine has it at
/// once, anybody else when another person agrees.
pub(super) async fn export(
    State(console): State<Console>,
    asker: Who,
    body: Result<Json<Asked>, JsonRejection>,
) -> Result<Response, Problem> {
    let example = r#"{"actor": "姓名 name", "purpose": "用途 what for"}"#;
    let Json(asked) = body.map_err(|error| not_understood(&error, example))?;
    let why = purpose(&asked.purpose)?;
    if asker.via != Via::Local {
        return approvals::ask(&console, &asker, &why).await;
    }
    let who = asker.acts_as(asked.actor.as_deref())?;
    let rows = persons(&console).await?;
    let detail = format!("{} persons; {why}", rows.len());
    let at = console.clock.now().wall;
    settle(&console, vec![entry(at, &who, "people_export", "people".into(), detail)]).await?;
    Ok(Json(json!({"rows": rows})).into_response())
}

/// Everybody in the table.
pub(super) async fn persons(console: &Console) -> Result<Vec<Value>, Problem> {
    let people = read(console, store::Reader::people).await?;
    let rows = people
        .into_iter()
        .map(|(pseudonym, person)| {
            json!({
                "person": pseudonym, "role": person.role, "group": person.group,
                "platform_id": person.platform_id, "valid_from": person.valid_from.map(|w| w.0),
                "valid_until": person.valid_until.map(|w| w.0),
            })
        })
        .collect();
    Ok(rows)
}

/// Who is to be erased, and who says so.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PersonErasure")]
pub(super) struct Erasure {
    actor: Option<String>,
    person: String,
    reason: String,
}

/// Takes a person out of everything stored, and looks whether anything is left.
pub(super) async fn erase(
    State(console): State<Console>,
    asker: Who,
    body: Result<Json<Erasure>, JsonRejection>,
) -> Answer {
    let example = r#"{"actor": "姓名 name", "person": "…32 hex…", "reason": "原因 why"}"#;
    let Json(asked) = body.map_err(|error| not_understood(&error, example))?;
    let (who, person) = (asker.acts_as(asked.actor.as_deref())?, person(&asked.person)?);
    let reason = asked.reason.replace(person.as_str(), "");
    let reason = purpose(&reason)?;
    let at = console.clock.now().wall;
    let subject = format!("person {}", person.tag());
    let asked_for = entry(at, &who, "people_erase", subject.clone(), reason);
    settle(&console, vec![asked_for, Input::People(PeopleChange::Erase(person.clone()))]).await?;
    let deadline = Instant::now() + ERASED_WITHIN;
    empty_log(&console, deadline).await?;
    let mut left = traces(&console, &person).await?;
    if left.iter().any(|name| store::is_database(name)) {
        // What rows left behind when they moved: the file is written anew.
        if cleared(console.store.rewrite().await)? {
            empty_log(&console, deadline).await?;
            left = traces(&console, &person).await?;
        }
    }
    let looked_for = person.clone();
    let done = read(&console, move |reader| reader.erasure(&looked_for)).await?;
    if !left.is_empty() {
        tracing::warn!(files = left.join(", "), "an erased person still stands in files");
    }
    Ok(Json(json!({"subject": subject, "erased": done, "left_in": left})))
}

fn cleared<T>(outcome: Result<T, StoreError>) -> Result<T, Problem> {
    outcome.map_err(|error| {
        tracing::error!(error = %Chain(&error), "an erasure could not be carried to its end");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "已从数据库删除，但未能清除文件中的残留；请查看日志后重试",
            "it is erased from the tables, but what is left in the files could not be cleared; see the log, then ask again",
        )
    })
}

/// Empties the write-ahead log, in which the rows stand as they were before.
async fn empty_log(console: &Console, deadline: Instant) -> Result<(), Problem> {
    loop {
        match console.store.flush().await {
            Ok(true) => return Ok(()),
            Ok(false) | Err(StoreError::Waiting) if Instant::now() < deadline => {
                tokio::time::sleep(AGAIN_AFTER).await;
            }
            Ok(false) => return cleared(Err(StoreError::Waiting)),
            Err(error) => return cleared(Err(error)),
        }
    }
}

async fn traces(console: &Console, person: &PersonRef) -> Result<Vec<String>, Problem> {
    let (dir, person) = (console.data_dir.clone(), person.clone());
    let looked = tokio::task::spawn_blocking(move || store::traces(&dir, &person)).await;
    cleared(looked.unwrap_or(Err(StoreError::Closed)))
}

/// Which part of a track.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Span {
    from: i64,
    to: i64,
    actor: Option<String>,
    #[serde(default)]
    purpose: String,
}

/// What a person did in a span, in order; who asked, what for and how much it was is written down first.
pub(super) async fn track(
    State(console): State<Console>,
    asker: Who,
    Path(who): Path<String>,
    asked: Result<Query<Span>, QueryRejection>,
) -> Answer {
    if !console.track {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "未开启人员轨迹查询：须经学校批准并在 [privacy] 中写 track = true",
            "tracks are off: with the school's approval, write track = true under [privacy]",
        ));
    }
    let Query(asked) = asked.map_err(|_| {
        bad(
            "查询参数有误：需要 from、to（毫秒）、actor 和 purpose",
            "the query is not understood: 'from', 'to' (milliseconds), 'actor' and 'purpose' are needed",
        )
    })?;
    let by = asker.acts_as(asked.actor.as_deref())?;
    let (why, person) = (purpose(&asked.purpose)?, person(&who)?);
    let why = why.replace(person.as_str(), "");
    let (from, to) = (Wall(asked.from), Wall(asked.to));
    let looked_for = person.clone();
    let events = read(&console, move |reader| reader.track(&looked_for, (from, to), TRACK_EVENTS)).await?;
    let detail = format!("{} events from {from} to {to}; {why}", events.len());
    let subject = format!("person {}", person.tag());
    settle(&console, vec![entry(console.clock.now().wall, &by, "people_track", subject, detail)]).await?;
    let more = events.len() == usize::try_from(TRACK_EVENTS).unwrap_or(usize::MAX);
    let rows: Vec<Value> = events.iter().map(views::event).collect();
    Ok(Json(json!({"rows": rows, "more": more})))
}

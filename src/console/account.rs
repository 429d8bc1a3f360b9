//! The routes of accounts, tokens and sessions, for whoever gives them.

use super::accounts::Known;
use super::api::Answer;
use super::people::bad;
use super::route::Route;
use super::session::{Typed, secretly};
use super::{Console, Problem, Who};
use crate::access::{Right, Role, Session, Token};
use crate::model::{Actor, Wall};
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// The routes of accounts, tokens and sessions.
pub(super) fn routes() -> Vec<Route> {
    use Right::Accounts;
    vec![
        Route::get("/api/v1/accounts", Accounts, ("全部账号", "every account"), list),
        Route::post("/api/v1/accounts", Accounts, ("新建账号", "a new account"), add).takes::<New>(),
        Route::put("/api/v1/accounts/{name}", Accounts, ("修改账号", "change an account"), alter)
            .takes::<Altered>(),
        Route::delete("/api/v1/accounts/{name}", Accounts, ("删除账号", "take an account away"), remove)
            .asks::<By>(),
        Route::post("/api/v1/claim/code", Accounts, ("换一个认领码", "another claim code"), claim_code)
            .takes::<NewCode>(),
        Route::get("/api/v1/tokens", Accounts, ("全部令牌", "every token"), tokens),
        Route::post("/api/v1/tokens", Accounts, ("新建令牌", "a new token"), add_token).takes::<NewToken>(),
        Route::delete("/api/v1/tokens/{name}", Accounts, ("撤销令牌", "take a token away"), revoke)
            .asks::<By>(),
        Route::get("/api/v1/sessions", Accounts, ("全部会话", "every session"), sessions),
        Route::delete("/api/v1/sessions/{id}", Accounts, ("结束一个会话", "end a session"), end_session)
            .asks::<By>(),
    ]
}

type Given<T> = Result<Json<T>, JsonRejection>;

/// Who gives an order that has no body.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct By {
    actor: Option<String>,
}

type Asked = Result<Query<By>, QueryRejection>;

fn by(who: &Who, asked: Asked) -> Result<Actor, Problem> {
    let Query(By { actor }) = asked.map_err(|_| {
        bad("查询参数有误：只能有 actor", "the query is not understood: only 'actor' is known")
    })?;
    who.acts_as(actor.as_deref())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    role: Role,
    #[schemars(with = "String")]
    password: Typed,
    actor: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Altered {
    role: Option<Role>,
    disabled: Option<bool>,
    #[schemars(with = "Option<String>")]
    password: Option<Typed>,
    actor: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    name: String,
    role: Role,
    expires_at: i64,
    actor: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewCode {
    actor: Option<String>,
}

async fn list(State(console): State<Console>) -> Answer {
    let rows = console.accounts.accounts().into_iter().map(|(account, sessions)| {
        json!({
            "name": account.name, "role": account.role, "disabled": account.disabled,
            "made_at": account.made_at, "sessions": sessions,
        })
    });
    Ok(Json(json!({"rows": rows.collect::<Vec<_>>()})))
}

async fn add(
    State(console): State<Console>,
    who: Who,
    body: Given<New>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let roles = words();
    let New { name, role, password, actor } =
        secretly(body, &format!(r#"{{"name": "账号 name", "role": "{roles}", "password": "密码"}}"#))?;
    let actor = who.acts_as(actor.as_deref())?;
    console.accounts.add(&actor, (name.clone(), role, password.0)).await?;
    Ok((StatusCode::CREATED, Json(json!({"name": name.trim(), "role": role, "disabled": false}))))
}

async fn alter(
    State(console): State<Console>,
    who: Who,
    Path(name): Path<String>,
    body: Given<Altered>,
) -> Answer {
    let roles = words();
    let example =
        format!(r#"{{"role": "{roles}", "disabled": false, "password": "密码"}}，可只写要改的 what changes"#);
    let Altered { role, disabled, password, actor } = secretly(body, &example)?;
    if role.is_none() && disabled.is_none() && password.is_none() {
        return Err(bad(format!("请提交 {example}"), format!("send {example}")));
    }
    let actor = who.acts_as(actor.as_deref())?;
    console.accounts.alter(&actor, name, (role, disabled, password.map(|Typed(password)| password))).await?;
    Ok(Json(json!({"done": true})))
}

async fn remove(State(console): State<Console>, who: Who, Path(name): Path<String>, asked: Asked) -> Answer {
    console.accounts.remove(&by(&who, asked)?, name).await?;
    Ok(Json(json!({"done": true})))
}

async fn claim_code(State(console): State<Console>, who: Who, body: Given<NewCode>) -> Answer {
    let NewCode { actor } = secretly(body, r#"{"actor": "姓名 name"}"#)?;
    let code = console.accounts.new_claim(&who.acts_as(actor.as_deref())?).await?;
    Ok(Json(json!({"code": code})))
}

fn token(token: &Token) -> Value {
    json!({"name": token.name, "role": token.role, "made_at": token.made_at, "expires_at": token.expires_at})
}

async fn tokens(State(console): State<Console>) -> Answer {
    let rows: Vec<Value> = console.accounts.tokens().iter().map(token).collect();
    Ok(Json(json!({"rows": rows})))
}

async fn add_token(
    State(console): State<Console>,
    who: Who,
    body: Given<NewToken>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let roles = words();
    let example = format!(r#"{{"name": "程序 program", "role": "{roles}", "expires_at": 1790000000000}}"#);
    let NewToken { name, role, expires_at, actor } = secretly(body, &example)?;
    let actor = who.acts_as(actor.as_deref())?;
    let text = console.accounts.add_token(&actor, (name.clone(), role, Wall(expires_at))).await?;
    let told = json!({"name": name.trim(), "role": role, "expires_at": expires_at, "token": text});
    Ok((StatusCode::CREATED, Json(told)))
}

async fn revoke(State(console): State<Console>, who: Who, Path(name): Path<String>, asked: Asked) -> Answer {
    console.accounts.revoke(&by(&who, asked)?, name).await?;
    Ok(Json(json!({"done": true})))
}

async fn sessions(State(console): State<Console>, Extension(known): Extension<Known>) -> Answer {
    let own = known.session().map(crate::access::Digest::short);
    let row = |(id, session, idle): (String, Session, u64)| {
        let own = own.as_ref() == Some(&id);
        json!({
            "id": id, "name": session.name, "role": session.role, "kiosk": session.kiosk,
            "opened_at": session.opened_at, "quiet_secs": idle, "own": own,
        })
    };
    let rows: Vec<Value> = console.accounts.sessions().into_iter().map(row).collect();
    Ok(Json(json!({"rows": rows})))
}

async fn end_session(
    State(console): State<Console>,
    who: Who,
    Path(id): Path<String>,
    asked: Asked,
) -> Answer {
    console.accounts.end_session(&by(&who, asked)?, id).await?;
    Ok(Json(json!({"done": true})))
}

/// Every role, as a body has it.
fn words() -> String {
    let words: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
    words.join(" | ")
}

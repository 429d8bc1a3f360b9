//! The routes of signing in and out, of one's own password, and of the first account.

use super::accounts::{Known, Opened, SignIn, no_cookie};
use super::guard::Peer;
use super::people::bad;
use super::route::Route;
use super::{Console, Problem, Via, Who};
use crate::access::Role;
use crate::access::{IDLE_LIMIT, Right};
use crate::model::Secret;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// The routes of one's own session.
pub(super) fn routes() -> Vec<Route> {
    use Right::{Open, Own};
    vec![
        Route::get("/api/v1/session", Open, ("当前登录", "who is signed in"), look),
        Route::post("/api/v1/session", Open, ("登录", "sign in"), sign_in).takes::<Sign>(),
        Route::delete("/api/v1/session", Own, ("退出", "sign out"), sign_out),
        Route::post(
            "/api/v1/session/password",
            Own,
            ("修改自己的密码", "change one's own password"),
            password,
        )
        .takes::<Password>(),
        Route::post("/api/v1/claim", Open, ("用认领码建立第一个账号", "make the first account"), claim)
            .takes::<Claim>(),
    ]
}

type Given<T> = Result<Json<T>, JsonRejection>;

/// A password in a body.
pub(super) struct Typed(pub(super) Secret);

impl<'de> Deserialize<'de> for Typed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Secret::from_file_text(&text)))
    }
}

/// A body that may hold a secret: what is wrong with it repeats nothing of it.
pub(super) fn secretly<T>(body: Given<T>, example: &str) -> Result<T, Problem> {
    match body {
        Ok(Json(given)) => Ok(given),
        Err(_) => Err(bad(format!("请提交 {example}"), format!("send {example}"))),
    }
}

/// A name and a password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sign {
    name: String,
    #[schemars(with = "String")]
    password: Typed,
    #[serde(default)]
    kiosk: bool,
}

/// Another password for oneself.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Password {
    #[schemars(with = "String")]
    old: Typed,
    #[schemars(with = "String")]
    new: Typed,
}

/// The first account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Claim {
    code: String,
    name: String,
    #[schemars(with = "String")]
    password: Typed,
}

async fn look(State(console): State<Console>, known: Option<Extension<Known>>) -> Json<Value> {
    let known = known.as_deref();
    Json(view(&console, known.map(|known| (&known.who, known.csrf.as_deref()))))
}

async fn sign_in(
    State(console): State<Console>,
    Peer(from): Peer,
    known: Option<Extension<Known>>,
    body: Given<Sign>,
) -> Result<Response, Problem> {
    let Sign { name, password, kiosk } =
        secretly(body, r#"{"name": "账号 name", "password": "密码", "kiosk": false}"#)?;
    let before = known.as_deref().and_then(Known::session);
    let given = SignIn { name, password: password.0, kiosk };
    console.accounts.sign_in(given, from, before).await.map(|opened| told(&console, opened))
}

async fn sign_out(State(console): State<Console>, Extension(known): Extension<Known>) -> Response {
    console.accounts.sign_out(&known).await;
    ([(header::SET_COOKIE, no_cookie())], Json(view(&console, None))).into_response()
}

async fn password(
    State(console): State<Console>,
    Peer(from): Peer,
    Extension(known): Extension<Known>,
    body: Given<Password>,
) -> Result<Response, Problem> {
    let Password { old, new } = secretly(body, r#"{"old": "原密码", "new": "新密码"}"#)?;
    let opened = console.accounts.change_password(&known, (old.0, new.0), from).await?;
    Ok(told(&console, opened))
}

async fn claim(
    State(console): State<Console>,
    Peer(from): Peer,
    body: Given<Claim>,
) -> Result<Response, Problem> {
    let example = r#"{"code": "7K3M-…", "name": "账号 name", "password": "密码"}"#;
    let Claim { code, name, password } = secretly(body, example)?;
    let opened = console.accounts.claim(code, (name, password.0), from).await?;
    Ok(told(&console, opened))
}

fn told(console: &Console, opened: Opened) -> Response {
    let Opened { cookie, csrf, who } = opened;
    ([(header::SET_COOKIE, cookie)], Json(view(console, Some((&who, Some(&csrf)))))).into_response()
}

/// Who is signed in, and what they may do; before that nothing about the school is told.
fn view(console: &Console, signed: Option<(&Who, Option<&str>)>) -> Value {
    let claimed = console.accounts.claimed();
    let oidc = console.front.oidc().map(|oidc| json!({"name": oidc.name()}));
    let Some((who, csrf)) = signed else {
        return json!({"claimed": claimed, "signed_in": false, "oidc": oidc, "lang": "zh"});
    };
    let rights: Vec<Right> =
        Right::ALL.iter().copied().filter(|right| *right != Right::Open && who.may(*right)).collect();
    let kiosk = who.role == Role::Kiosk;
    let idle = (who.via == Via::Session && !kiosk).then_some(IDLE_LIMIT.as_secs());
    json!({
        "claimed": claimed, "signed_in": true, "name": who.name, "role": who.role, "rights": rights,
        "kiosk": kiosk, "idle_secs": idle, "csrf": csrf, "oidc": oidc, "site": console.site.name, "lang": "zh",
    })
}

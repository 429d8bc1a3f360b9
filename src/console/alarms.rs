//! The routes of what people do about alarms, hazards and areas.

use super::api::{
    Answer, Asked, DEFAULT_ROWS, Narrowed, alarm_id, listed, narrowed, not_found, not_understood, read,
};
use super::route::Route;
use super::{Console, Problem, Who, views};
use crate::access::Right;
use crate::alarm::OrderRefused;
use crate::model::alarm::MAX_NOTE_CHARS;
use crate::model::{Actor, AlarmId, AreaId, ArmMode, Command, Done, HazardId, Order, PlaceId, Stage, Truth};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// The routes of alarms, hazards and areas.
pub(super) fn routes() -> Vec<Route> {
    use Right::{Act, Arm, Hush, See};
    vec![
        Route::post(
            "/api/v1/alarms/{id}/acknowledge",
            Act,
            ("确认报警", "acknowledge an alarm"),
            acknowledge,
        )
        .takes::<Given>(),
        Route::post(
            "/api/v1/alarms/{id}/support",
            Act,
            (
                "请求支援：未确认则先确认，并立即通知升级规则中的所有人",
                "call for support: takes the alarm where nobody has, and tells everybody on its ladder at once",
            ),
            call_support,
        )
        .takes::<Given>(),
        Route::post("/api/v1/alarms/{id}/reset", Act, ("复位报警", "reset an alarm"), reset).takes::<Given>(),
        Route::post(
            "/api/v1/alarms/{id}/confirm",
            Act,
            ("认定真假", "say what an alarm turned out to be"),
            confirm,
        )
        .takes::<Given>(),
        Route::post(
            "/api/v1/alarms/{id}/shelve",
            Hush,
            ("搁置报警", "keep an alarm quiet for a while"),
            shelve,
        )
        .takes::<Given>(),
        Route::post("/api/v1/alarms/{id}/unshelve", Hush, ("取消搁置", "keep it quiet no longer"), unshelve)
            .takes::<Given>(),
        Route::post("/api/v1/alarms/{id}/out-of-service", Hush, ("停用", "take it out of service"), take_out)
            .takes::<Given>(),
        Route::post("/api/v1/alarms/{id}/in-service", Hush, ("恢复启用", "put it back in service"), put_back)
            .takes::<Given>(),
        Route::get("/api/v1/hazards", See, ("隐患，新的在前", "hazards, newest first"), hazards)
            .asks::<Narrowed>(),
        Route::post("/api/v1/hazards", Act, ("登记隐患", "write down a hazard"), find_hazard)
            .takes::<Given>(),
        Route::get("/api/v1/hazards/{id}", See, ("一条隐患及其经过", "one hazard and its steps"), hazard),
        Route::post(
            "/api/v1/hazards/{id}/{stage}",
            Act,
            ("隐患的下一步", "the next step of a hazard"),
            step_hazard,
        )
        .takes::<Given>(),
        Route::get("/api/v1/areas", See, ("防区状态", "how areas stand"), areas),
        Route::post("/api/v1/areas/{id}/{order}", Arm, ("布防、撤防", "arm and disarm"), arm)
            .takes::<Given>(),
    ]
}

/// What an order may say; who gives it always, the rest as it needs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AlarmOrder")]
pub(super) struct Given {
    actor: Option<String>,
    #[serde(default)]
    note: String,
    for_secs: Option<u32>,
    until_clear: Option<bool>,
    result: Option<Truth>,
    force: Option<bool>,
    alarm: Option<AlarmId>,
    place: Option<PlaceId>,
    what: Option<String>,
}

type Body = Result<Json<Given>, JsonRejection>;

const NOTED: &str = r#"{"actor": "姓名 name", "note": "备注 text"}"#;
const NAMED: &str = r#"{"actor": "姓名 name"}"#;

/// `POST /api/v1/alarms/{id}/acknowledge`.
async fn acknowledge(State(console): State<Console>, who: Who, Path(id): Path<String>, body: Body) -> Answer {
    plain(&console, (&who, &id), body, NOTED, Order::Acknowledge).await
}

/// `POST /api/v1/alarms/{id}/support`.
async fn call_support(
    State(console): State<Console>,
    who: Who,
    Path(id): Path<String>,
    body: Body,
) -> Answer {
    plain(&console, (&who, &id), body, NOTED, Order::CallSupport).await
}

/// `POST /api/v1/alarms/{id}/reset`.
async fn reset(State(console): State<Console>, who: Who, Path(id): Path<String>, body: Body) -> Answer {
    plain(&console, (&who, &id), body, NOTED, Order::Reset).await
}

/// `POST /api/v1/alarms/{id}/unshelve`.
async fn unshelve(State(console): State<Console>, who: Who, Path(id): Path<String>, body: Body) -> Answer {
    plain(&console, (&who, &id), body, NAMED, Order::Unshelve).await
}

/// `POST /api/v1/alarms/{id}/in-service`.
async fn put_back(State(console): State<Console>, who: Who, Path(id): Path<String>, body: Body) -> Answer {
    plain(&console, (&who, &id), body, NAMED, Order::PutBack).await
}

/// An order that says nothing but who gives it and what they write.
async fn plain(
    console: &Console,
    (who, id): (&Who, &str),
    body: Body,
    example: &str,
    order: impl Fn(AlarmId) -> Order,
) -> Answer {
    let id = alarm_id(id)?;
    let given = understood(body, &[], example)?;
    give(console, order(id), who.acts_as(given.actor.as_deref())?, &given.note).await
}

/// `POST /api/v1/alarms/{id}/shelve`.
async fn shelve(State(console): State<Console>, who: Who, Path(id): Path<String>, body: Body) -> Answer {
    let example = r#"{"actor": "姓名 name", "note": "原因 reason", "for_secs": 3600, "until_clear": false}"#;
    let id = alarm_id(&id)?;
    let given = understood(body, &["for_secs", "until_clear"], example)?;
    let secs = given.for_secs.ok_or_else(|| wanting("for_secs", example))?;
    let order = Order::Shelve { id, secs, once: given.until_clear.unwrap_or(false) };
    give(&console, order, who.acts_as(given.actor.as_deref())?, &given.note).await
}

/// `POST /api/v1/alarms/{id}/out-of-service`.
async fn take_out(State(console): State<Console>, who: Who, Path(id): Path<String>, body: Body) -> Answer {
    let example = r#"{"actor": "姓名 name", "note": "原因 reason", "for_secs": 86400}"#;
    let id = alarm_id(&id)?;
    let given = understood(body, &["for_secs"], example)?;
    let order = Order::TakeOut { id, secs: given.for_secs };
    give(&console, order, who.acts_as(given.actor.as_deref())?, &given.note).await
}

/// `POST /api/v1/alarms/{id}/confirm`.
async fn confirm(State(console): State<Console>, who: Who, Path(id): Path<String>, body: Body) -> Answer {
    let example =
        r#"{"actor": "姓名 name", "result": "real | false | drill | nuisance", "note": "备注 text"}"#;
    let id = alarm_id(&id)?;
    let given = understood(body, &["result"], example)?;
    let truth = given.result.ok_or_else(|| wanting("result", example))?;
    let order = Order::Confirm { id, truth };
    give(&console, order, who.acts_as(given.actor.as_deref())?, &given.note).await
}

/// `GET /api/v1/hazards`.
pub(super) async fn hazards(State(console): State<Console>, asked: Asked) -> Answer {
    let asked = narrowed(asked)?;
    let (open, limit) = (asked.open.unwrap_or(false), asked.limit.unwrap_or(DEFAULT_ROWS));
    let page = read(&console, move |r| r.hazards(open, asked.before, limit)).await?;
    listed(page, views::hazard)
}

/// `GET /api/v1/hazards/{id}`.
pub(super) async fn hazard(State(console): State<Console>, Path(id): Path<String>) -> Answer {
    let id = hazard_id(&id)?;
    let hazard = read(&console, move |r| r.hazard(id)).await?;
    Ok(Json(views::hazard(&hazard.ok_or_else(|| not_found("隐患", "hazard"))?)))
}

/// `POST /api/v1/hazards`.
pub(super) async fn find_hazard(State(console): State<Console>, who: Who, body: Body) -> Answer {
    let example = r#"{"actor": "姓名 name", "what": "隐患 hazard", "alarm": 7, "place": "地点 id", "note": "备注 text"}"#;
    let mut given = understood(body, &["alarm", "place", "what"], example)?;
    given.place.as_ref().map_or(Ok(()), |place| known_place(&console, place))?;
    let what = given.what.take().ok_or_else(|| wanting("what", example))?;
    let order = Order::FindHazard { alarm: given.alarm, place: given.place.take(), what };
    give(&console, order, who.acts_as(given.actor.as_deref())?, &given.note).await
}

/// A place of the school, or what to say of it.
pub(super) fn known_place(console: &Console, place: &PlaceId) -> Result<(), Problem> {
    if console.places.contains_key(place) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::BAD_REQUEST,
        format!("没有地点“{place}”"),
        format!("there is no place '{place}'"),
    ))
}

/// `POST /api/v1/hazards/{id}/{stage}`.
pub(super) async fn step_hazard(
    State(console): State<Console>,
    who: Who,
    Path((id, stage)): Path<(String, String)>,
    body: Body,
) -> Answer {
    let stage = Stage::from_word(&stage).filter(|stage| *stage != Stage::Found);
    let stage = stage.ok_or_else(|| not_found("步骤", "stage"))?;
    let order = Order::StepHazard { id: hazard_id(&id)?, stage };
    let given = understood(body, &[], r#"{"actor": "姓名 name", "note": "情况 what was seen or done"}"#)?;
    give(&console, order, who.acts_as(given.actor.as_deref())?, &given.note).await
}

/// `GET /api/v1/areas`.
pub(super) async fn areas(State(console): State<Console>) -> Answer {
    let live = console.live.borrow().clone();
    Ok(Json(json!({"rows": live.areas, "at": live.at})))
}

/// `POST /api/v1/areas/{id}/{order}`: `arm`, `arm-partial` or `disarm`.
pub(super) async fn arm(
    State(console): State<Console>,
    who: Who,
    Path((id, verb)): Path<(String, String)>,
    body: Body,
) -> Answer {
    let mode = match verb.as_str() {
        "arm" => ArmMode::Armed,
        "arm-partial" => ArmMode::Partial,
        "disarm" => ArmMode::Disarmed,
        _ => return Err(not_found("操作", "order")),
    };
    let area = AreaId::new(&id).map_err(|_| not_found("防区", "area"))?;
    let keys: &[&str] = if mode == ArmMode::Disarmed { &[] } else { &["force"] };
    let given = understood(body, keys, r#"{"actor": "姓名 name", "note": "备注 text", "force": false}"#)?;
    let order = Order::Arm { area, mode, force: given.force.unwrap_or(false) };
    give(&console, order, who.acts_as(given.actor.as_deref())?, &given.note).await
}

fn hazard_id(text: &str) -> Result<HazardId, Problem> {
    text.parse().map(HazardId).map_err(|_| not_found("隐患", "hazard"))
}

fn wanting(key: &str, example: &str) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        format!("缺少“{key}”：请提交 {example}"),
        format!("'{key}' is missing: send {example}"),
    )
}

/// The body; a key that this order does not take is a slip, and not passed over.
fn understood(body: Body, keys: &[&str], example: &str) -> Result<Given, Problem> {
    let Json(given) = body.map_err(|error| not_understood(&error, example))?;
    let there = [
        ("for_secs", given.for_secs.is_some()),
        ("until_clear", given.until_clear.is_some()),
        ("result", given.result.is_some()),
        ("force", given.force.is_some()),
        ("alarm", given.alarm.is_some()),
        ("place", given.place.is_some()),
        ("what", given.what.is_some()),
    ];
    match there.iter().find(|(key, there)| *there && !keys.contains(key)) {
        None => Ok(given),
        Some((key, _)) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            format!("此操作不支持“{key}”：请提交 {example}"),
            format!("this order does not take '{key}': send {example}"),
        )),
    }
}

pub(super) async fn give(console: &Console, order: Order, actor: Actor, note: &str) -> Answer {
    let note = note.chars().take(MAX_NOTE_CHARS).collect();
    match console.orders.order(Command { order, actor, note }).await {
        Ok(Ok(done)) => Ok(Json(view(console, &done))),
        Ok(Err(refused)) => Err(refusal(&refused)),
        Err(stopping) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "网关正在停止", stopping.to_string()))
        }
    }
}

fn view(console: &Console, done: &Done) -> Value {
    match done {
        Done::Alarm(alarm) => views::alarm(console, alarm),
        Done::Hazard(hazard) => views::hazard(hazard),
        Done::Area(area) => json!(area),
        Done::Drill(drill) => json!(drill),
    }
}

fn refusal(refused: &OrderRefused) -> Problem {
    let status = match refused {
        OrderRefused::NotOpen(_) | OrderRefused::NoHazard(_) | OrderRefused::NoArea(_) => {
            StatusCode::NOT_FOUND
        }
        OrderRefused::NoReason
        | OrderRefused::BadSpan { .. }
        | OrderRefused::NoWords(_)
        | OrderRefused::DrillSpan { .. }
        | OrderRefused::DrillClass(_)
        | OrderRefused::DrillWords(_) => StatusCode::BAD_REQUEST,
        OrderRefused::Protected { .. } => StatusCode::FORBIDDEN,
        _ => StatusCode::CONFLICT,
    };
    Problem::new(status, refused.zh(), refused.to_string())
}

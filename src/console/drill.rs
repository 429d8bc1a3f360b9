//! The routes of drills: `/api/v1/drill`.

use super::alarms::{give, known_place};
use super::api::{Answer, not_understood};
use super::route::Route;
use super::{Console, Who};
use crate::access::Right;
use crate::alarm::USUAL_DRILL_SECS;
use crate::model::{AlarmClass, Order, PlaceId, Priority};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// The routes of drills.
pub(super) fn routes() -> Vec<Route> {
    use Right::{Drill, See};
    vec![
        Route::get("/api/v1/drill", See, ("进行中的演练", "the drill that is running"), drill),
        Route::post("/api/v1/drill/start", Drill, ("开始演练", "begin a drill"), start).takes::<Start>(),
        Route::post("/api/v1/drill/stop", Drill, ("结束演练", "end the drill"), stop).takes::<Stop>(),
        Route::post("/api/v1/drill/alarm", Drill, ("演练报警", "raise an alarm of the drill"), alarm)
            .takes::<Alarm>(),
    ]
}

/// An order to begin one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DrillStart")]
pub(super) struct Start {
    actor: Option<String>,
    note: String,
    for_secs: Option<u32>,
}

/// An order to end it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DrillStop")]
pub(super) struct Stop {
    actor: Option<String>,
    #[serde(default)]
    note: String,
}

/// An order to raise an alarm of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DrillAlarm")]
pub(super) struct Alarm {
    actor: Option<String>,
    #[serde(default)]
    note: String,
    class: AlarmClass,
    place: PlaceId,
    priority: Option<Priority>,
    what: Option<String>,
}

type Given<T> = Result<Json<T>, JsonRejection>;

/// `GET /api/v1/drill`: the drill that is running, null when there is none, and by which channels people are told of it.
pub(super) async fn drill(State(console): State<Console>) -> Answer {
    let live = console.live.borrow().clone();
    Ok(Json(json!({"drill": live.drill, "channels": &*console.drill_channels, "at": live.at})))
}

/// `POST /api/v1/drill/start`.
pub(super) async fn start(State(console): State<Console>, who: Who, body: Given<Start>) -> Answer {
    let example = r#"{"actor": "姓名 name", "note": "消防演练 what for", "for_secs": 3600}"#;
    let Json(given) = body.map_err(|error| not_understood(&error, example))?;
    let order = Order::StartDrill { secs: given.for_secs.unwrap_or(USUAL_DRILL_SECS) };
    told(&console, give(&console, order, who.acts_as(given.actor.as_deref())?, &given.note).await)
}

/// `POST /api/v1/drill/stop`.
pub(super) async fn stop(State(console): State<Console>, who: Who, body: Given<Stop>) -> Answer {
    let example = r#"{"actor": "姓名 name", "note": "备注 text"}"#;
    let Json(given) = body.map_err(|error| not_understood(&error, example))?;
    told(&console, give(&console, Order::StopDrill, who.acts_as(given.actor.as_deref())?, &given.note).await)
}

/// `POST /api/v1/drill/alarm`: answers with the alarm.
pub(super) async fn alarm(State(console): State<Console>, who: Who, body: Given<Alarm>) -> Answer {
    let example = r#"{"actor": "姓名 name", "class": "fire | help | intrusion | security", "place": "地点 id", "priority": "critical | high | medium | low", "what": "情况 what happens"}"#;
    let Json(given) = body.map_err(|error| not_understood(&error, example))?;
    known_place(&console, &given.place)?;
    let Alarm { actor, note, class, place, priority, what } = given;
    let order = Order::DrillAlarm { class, priority: priority.unwrap_or(Priority::Critical), place, what };
    give(&console, order, who.acts_as(actor.as_deref())?, &note).await
}

/// The drill after an order, and who is told of it.
fn told(console: &Console, answer: Answer) -> Answer {
    let Json(drill) = answer?;
    Ok(Json(json!({"drill": drill, "channels": &*console.drill_channels})))
}

//! The route that asks a device on the spot: `POST /api/v1/devices/{id}/probe`. The requests go between the polls of its
//! bus, so nothing on it is disturbed.

use super::api::{not_found, not_understood};
use super::people::{entry, settle};
use super::route::Route;
use super::{Console, Problem, Who};
use crate::access::Right;
use crate::config::Device;
use crate::model::{Body, Link, Reading, Text};
use crate::pipeline::DeviceLive;
use crate::runtime::Chain;
use crate::southbound::polled::{CommandError, Station};
use crate::work::look;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// All of it is over within this time.
const WITHIN: Duration = Duration::from_secs(10);
/// So many requests in a row without an answer, and the device is given up.
const GIVEN_UP: u32 = 2;

/// The route.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post(
            "/api/v1/devices/{id}/probe",
            Right::Work,
            ("立即读一台设备", "ask a device on the spot"),
            probe,
        )
        .takes::<Asks>()
        .gives::<Answered>(),
    ]
}

/// Who asks.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProbeOrder")]
struct Asks {
    /// Who asks, where that is not known by itself.
    actor: Option<String>,
}

/// What the device answered.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Probe")]
struct Answered {
    ok: bool,
    took_ms: u64,
    /// Requests that were made.
    asked: u32,
    /// Requests that were answered.
    answered: u32,
    says: Text,
    values: Vec<Said>,
}

/// A value.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ProbeValue")]
struct Said {
    point: String,
    value: Option<f64>,
    unit: &'static str,
    quality: &'static str,
    doubt: Option<&'static str>,
}

impl Said {
    fn of(reading: &Reading) -> Self {
        Self {
            point: reading.point.to_string(),
            value: reading.value,
            unit: reading.unit.symbol(),
            quality: reading.quality.as_str(),
            doubt: reading.quality.doubt().map(|doubt| doubt.as_str()),
        }
    }
}

async fn probe(
    State(console): State<Console>,
    who: Who,
    Path(id): Path<String>,
    body: Result<Json<Asks>, JsonRejection>,
) -> Result<Json<Answered>, Problem> {
    let Json(asks) = body.map_err(|error| not_understood(&error, r#"{"actor": "姓名 name"}"#))?;
    let actor = who.acts_as(asks.actor.as_deref())?;
    let device = console.devices.get(id.as_str()).ok_or_else(|| not_found("设备", "device"))?;
    let at = console.clock.now().wall;
    settle(&console, vec![entry(at, &actor, "probe", device.id.to_string(), String::new())]).await?;
    if Station::of(device).is_none() {
        let live = console.live.borrow().clone();
        return Ok(Json(heard(live.devices.get(&device.id).map(Arc::as_ref))));
    }
    Ok(Json(asked(&console, device).await))
}

/// What a device that speaks by itself said last.
fn heard(live: Option<&DeviceLive>) -> Answered {
    let up = live.is_some_and(|live| matches!(live.link, Some((Link::Up, _))));
    let seen = live.and_then(|live| live.last_seen);
    let (zh, en) = match seen {
        Some(at) => (format!("，最后一次在 {at}"), format!("; last at {at}")),
        None => ("，启动后还没有消息".into(), "; nothing came since the start".into()),
    };
    Answered {
        ok: up,
        took_ms: 0,
        asked: 0,
        answered: 0,
        says: Text::new(
            format!("此设备主动上报，不能询问{zh}"),
            format!("this device speaks by itself and cannot be asked{en}"),
        ),
        values: live
            .into_iter()
            .flat_map(|live| &live.points)
            .map(|(_, point)| Said::of(&point.reading))
            .collect(),
    }
}

async fn asked(console: &Console, device: &Device) -> Answered {
    let (began, way) = (console.clock.now(), console.work.commands.of(&device.bus));
    let deadline = Instant::now() + WITHIN;
    let (mut asked, mut answered, mut silent, mut values) = (0_u32, 0_u32, 0_u32, Vec::new());
    let mut trouble = None;
    for ask in look::asks(device) {
        asked += 1;
        match timeout_at(deadline, way.ask(&device.id, ask.clone())).await {
            Ok(Ok(said)) => {
                (answered, silent) = (answered + 1, 0);
                let decoded = look::decoded(device, began.wall, &console.site.zone, &ask, &said);
                values.extend(decoded.iter().filter_map(|one| match &one.body {
                    Body::Reading(reading) => Some(Said::of(reading)),
                    Body::Event(_) | Body::Link(_) => None,
                }));
            }
            Ok(Err(error)) => {
                silent += 1;
                let over = !matches!(error, CommandError::Failed { .. }) || silent >= GIVEN_UP;
                trouble = Some(words(&error));
                if over {
                    break;
                }
            }
            Err(_) => {
                trouble = Some(Text::new("10 秒内没有读完", "it was not read through within 10 s"));
                break;
            }
        }
    }
    let took_ms = u64::try_from(console.clock.now().mono.since(began.mono).as_millis()).unwrap_or(0);
    let counted = Text::new(
        format!("{asked} 次请求，{answered} 次应答"),
        format!("{asked} requests, {answered} answered"),
    );
    let says = match trouble {
        None => counted,
        Some(why) => Text::new(format!("{}；{}", counted.zh, why.zh), format!("{}; {}", counted.en, why.en)),
    };
    Answered { ok: answered > 0, took_ms, asked, answered, says, values }
}

fn words(error: &CommandError) -> Text {
    let zh = match error {
        CommandError::NotConnected { .. } => "总线未连接",
        CommandError::UnknownDevice { .. } => "设备地址与模板不符，没有轮询它",
        CommandError::Full { .. } => "总线上等待的请求太多，请稍后再试",
        CommandError::Unknown { .. } => "总线没有及时给出结果",
        CommandError::Failed { .. } => "设备没有应答或拒绝",
    };
    Text::new(format!("{zh}（{}）", Chain(error)), Chain(error).to_string())
}

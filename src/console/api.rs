//! The routes under `/api/v1/`.

use super::route::{self, Route};
use super::{
    Console, Problem, account, alarms, approvals, audit, campus, controls, door, drill, energy, jobs, oidc,
    openapi, pages, people, pictures, probe, reports, responses, rules, session, setup, site, stream,
    uploads, views,
};
use crate::access::Right;
use crate::model::{
    AlarmClass, AlarmId, DestinationId, DeviceId, EventKind, Place, PlaceId, PointId, Priority, Wall,
};
use crate::profile::Nature;
use crate::runtime::Chain;
use crate::store::{
    AlarmFilter, AlarmState, EventFilter, Level, MINUTE_READINGS, MINUTES_MS, Metered, Page, Reader,
    StoreError,
};
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Semaphore;

pub(super) type Answer = Result<Json<Value>, Problem>;

/// Looks at the store at the same time; further ones wait. Each holds a thread, a connection and a snapshot.
static LOOKS: Semaphore = Semaphore::const_new(4);

/// Rows returned when the asker names no number.
pub(super) const DEFAULT_ROWS: u32 = 100;

/// Every route, by the room's files in turn.
#[must_use]
pub fn routes() -> Vec<Route> {
    [
        own(),
        alarms::routes(),
        pictures::routes(),
        controls::routes(),
        responses::routes(),
        reports::routes(),
        drill::routes(),
        campus::routes(),
        people::routes(),
        door::routes(),
        oidc::routes(),
        setup::routes(),
        session::routes(),
        account::routes(),
        audit::routes(),
        approvals::routes(),
        probe::routes(),
        rules::routes(),
        energy::routes(),
        uploads::routes(),
        jobs::routes(),
        openapi::own(),
        stream::routes(),
        site::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn own() -> Vec<Route> {
    use Right::{Diagnose, Energy, See};
    vec![
        Route::get("/api/v1/devices", See, ("全部设备及其状态", "every device and how it stands"), devices),
        Route::get("/api/v1/devices/{id}", See, ("一台设备", "one device"), device),
        Route::get("/api/v1/readings", See, ("读数，新的在前", "readings, newest first"), readings)
            .asks::<Narrowed>(),
        Route::get(
            "/api/v1/rollups",
            Energy,
            ("分钟、上报周期、小时、日汇总", "minutes, upload periods, hours, days"),
            roll_ups,
        )
        .asks::<Narrowed>(),
        Route::get("/api/v1/energy", Energy, ("一段时间的用电量", "energy of a span"), energy_of)
            .asks::<Narrowed>(),
        Route::get("/api/v1/events", See, ("事件，新的在前", "events, newest first"), events)
            .asks::<Narrowed>(),
        Route::get("/api/v1/alarms", See, ("报警，新的在前", "alarms, newest first"), list_alarms)
            .asks::<Sought>(),
        Route::get("/api/v1/alarms/{id}", See, ("一条报警及其经过", "one alarm and its history"), alarm),
        Route::get("/api/v1/destinations", Diagnose, ("上报情况", "how uploads are doing"), destinations),
        Route::get(
            "/api/v1/destinations/{id}/set-aside",
            Diagnose,
            ("平台拒收的记录", "records that a platform refused"),
            set_aside,
        )
        .asks::<Narrowed>(),
        Route::get(
            "/api/v1/quarantine",
            Diagnose,
            ("无法理解的报文", "messages that were not understood"),
            quarantine,
        )
        .asks::<Narrowed>(),
        Route::get(
            "/api/v1/strangers",
            Diagnose,
            ("未登记的设备", "devices that nobody configured"),
            strangers,
        ),
    ]
}

/// The routes.
pub fn router(console: Console) -> Router {
    route::router(routes())
        .fallback(pages::page)
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "此路径不支持该方法：查看用 GET，操作用 POST、PUT 或 DELETE",
                "this path does not take that method: GET to look, POST, PUT or DELETE to change",
            )
        })
        .with_state(console)
}

/// What a list may be narrowed by.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Narrowed {
    device: Option<String>,
    point: Option<String>,
    kind: Option<String>,
    pub(super) open: Option<bool>,
    pub(super) before: Option<u64>,
    pub(super) limit: Option<u32>,
    from: Option<i64>,
    to: Option<i64>,
    level: Option<String>,
    by: Option<String>,
}

pub(super) type Asked = Result<Query<Narrowed>, QueryRejection>;

pub(super) fn narrowed(asked: Asked) -> Result<Narrowed, Problem> {
    asked.map(|Query(narrowed)| narrowed).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("查询参数有误：{error}"),
            format!(
                "the query is not understood ({error}); known: device, point, kind, open, before, limit, from, to, level, by"
            ),
        )
    })
}

fn id_of<T>(
    text: Option<String>,
    what: &str,
    make: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Problem> {
    text.map(|text| {
        make(&text).ok_or_else(|| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                format!("“{what}”的值无效"),
                format!("'{what}' is not a value that can exist"),
            )
        })
    })
    .transpose()
}

pub(super) fn not_found(zh: &str, en: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("没有这个{zh}"), format!("there is no such {en}"))
}

/// Reads the store on a thread that may block.
pub(super) async fn read<T: Send + 'static>(
    console: &Console,
    look: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let dir = console.data_dir.clone();
    // The permit goes along: a look whose asker has gone away still runs to its end.
    let permit = LOOKS.acquire().await;
    let looked = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        look(&Reader::open(&dir)?)
    })
    .await;
    match looked {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => {
            tracing::error!(error = %Chain(&error), "the API could not read the store");
            Err(unreadable())
        }
        Err(error) => {
            tracing::error!(error = %error, "the API's look at the store was cut off");
            Err(unreadable())
        }
    }
}

fn unreadable() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "数据库读取失败，请查看日志",
        "the store could not be read; the log says why",
    )
}

pub(super) fn listed<T>(page: Page<T>, view: impl Fn(&T) -> Value) -> Answer {
    let rows: Vec<Value> = page
        .rows
        .iter()
        .map(|(seq, row)| {
            let mut value = view(row);
            if let Some(fields) = value.as_object_mut() {
                fields.insert("seq".into(), json!(seq));
            }
            value
        })
        .collect();
    Ok(Json(json!({"rows": rows, "next_before": page.next_before})))
}

async fn devices(State(console): State<Console>) -> Answer {
    let live = console.live.borrow().clone();
    let rows: Vec<Value> = console
        .devices
        .values()
        .map(|d| {
            views::device(
                d,
                live.devices.get(&d.id).map(Arc::as_ref),
                console.tally.at_most_once.of(&d.id).get(),
            )
        })
        .collect();
    Ok(Json(json!({"rows": rows, "at": live.at})))
}

async fn device(State(console): State<Console>, Path(id): Path<String>) -> Answer {
    let live = console.live.borrow().clone();
    let device = console.devices.get(id.as_str()).ok_or_else(|| not_found("设备", "device"))?;
    let at_most_once = console.tally.at_most_once.of(&device.id).get();
    Ok(Json(views::device(device, live.devices.get(&device.id).map(Arc::as_ref), at_most_once)))
}

async fn readings(State(console): State<Console>, asked: Asked) -> Answer {
    let asked = narrowed(asked)?;
    let device = id_of(asked.device, "device", |t| DeviceId::new(t).ok())?;
    let point = id_of(asked.point, "point", |t| PointId::new(t).ok())?;
    let limit = asked.limit.unwrap_or(DEFAULT_ROWS);
    let page =
        read(&console, move |r| r.readings(device.as_ref(), point.as_ref(), asked.before, limit)).await?;
    listed(page, views::reading)
}

async fn roll_ups(State(console): State<Console>, asked: Asked) -> Answer {
    let asked = narrowed(asked)?;
    if asked.level.as_deref() == Some("minute") {
        return minutes(&console, asked).await;
    }
    let device = id_of(asked.device, "device", |t| DeviceId::new(t).ok())?;
    let point = id_of(asked.point, "point", |t| PointId::new(t).ok())?;
    let level =
        one_of(asked.level, "level", "minute, upload, hour, day", Level::from_word)?.unwrap_or(Level::Upload);
    let (from, to) = (Wall(asked.from.unwrap_or(0)), Wall(asked.to.unwrap_or(i64::MAX)));
    let rows = match device {
        Some(device) => read(&console, move |r| r.levels(level, &device, point.as_ref(), from, to)).await?,
        None if level == Level::Upload && point.is_none() => {
            read(&console, move |r| r.roll_ups(None, from, to)).await?
        }
        None => {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "按测点、小时或日查询时必须指定 device",
                "'device' is needed when a point, hours or days are asked for",
            ));
        }
    };
    Ok(Json(json!({"rows": rows, "level": level.as_str()})))
}

/// Minutes are stored nowhere: they are made of the readings of one point and one day.
async fn minutes(console: &Console, asked: Narrowed) -> Answer {
    let device = id_of(asked.device, "device", |t| DeviceId::new(t).ok())?;
    let point = id_of(asked.point, "point", |t| PointId::new(t).ok())?;
    let span = asked.from.zip(asked.to).filter(|(from, to)| to.saturating_sub(*from) <= MINUTES_MS);
    let (Some(device), Some(point), Some((from, to))) = (device, point, span) else {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "按分钟查询时必须指定 device、point、from 和 to，且最长一天",
            "'device', 'point', 'from' and 'to' are needed when minutes are asked for, at most a day apart",
        ));
    };
    let known = console.devices.get(&device).and_then(|device| device.profile.point(point.as_str()));
    let nature = known.map_or_else(Nature::default, Nature::from);
    let look = move |r: &Reader| r.minutes(&device, &point, (Wall(from), Wall(to)), nature);
    let rows = read(console, look).await?.ok_or_else(|| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("这段时间的读数超过 {MINUTE_READINGS} 条，请缩短时间范围"),
            format!("there are more than {MINUTE_READINGS} readings in this span; ask for a shorter one"),
        )
    })?;
    Ok(Json(json!({"rows": rows, "level": "minute"})))
}

/// Energy of the school days that start in a span, in kWh, from the days' roll-ups.
async fn energy_of(State(console): State<Console>, asked: Asked) -> Answer {
    let asked = narrowed(asked)?;
    let by = one_of(asked.by, "by", "device, place, total", |word| {
        ["device", "place", "total"].into_iter().find(|known| *known == word)
    })?;
    let (from, to) = (Wall(asked.from.unwrap_or(0)), Wall(asked.to.unwrap_or(i64::MAX)));
    let meters = read(&console, move |r| r.metered(Level::Day, &[(from, to)], |_| true)).await?;
    let used: Vec<Metered> =
        meters.iter().filter(|meter| energy::is_used(&console, &meter.device)).cloned().collect();
    let rows = match by {
        Some("device") => {
            let row = |m: &Metered| {
                let within = console.work.world.sub_meters.within(&m.device);
                json!({"device": m.device, "point": m.point, "kwh": m.kwh().unwrap_or(0.0), "within": within})
            };
            meters.iter().map(row).collect()
        }
        Some("place") => energy::by_place(&console, &used),
        _ => Vec::new(),
    };
    Ok(Json(json!({"total_kwh": energy::sums(&console, &used, None).total, "rows": rows})))
}

/// A word that must be one of those listed in `known`.
fn one_of<T>(
    text: Option<String>,
    what: &str,
    known: &str,
    find: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Problem> {
    text.map(|text| {
        find(&text).ok_or_else(|| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                format!("“{what}”的值无效，可用：{known}"),
                format!("'{what}' must be one of {known}"),
            )
        })
    })
    .transpose()
}

async fn events(State(console): State<Console>, asked: Asked) -> Answer {
    let asked = narrowed(asked)?;
    let filter = EventFilter {
        device: id_of(asked.device, "device", |t| DeviceId::new(t).ok())?,
        kind: id_of(asked.kind, "kind", EventKind::from_word)?,
    };
    let limit = asked.limit.unwrap_or(DEFAULT_ROWS);
    let page = read(&console, move |r| r.events(&filter, asked.before, limit)).await?;
    listed(page, views::event)
}

async fn list_alarms(State(console): State<Console>, asked: Result<Query<Sought>, QueryRejection>) -> Answer {
    let Query(asked) = asked.map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("查询参数有误：{error}"),
            format!(
                "the query is not understood ({error}); known: open, state, class, priority, place, device, rule, \
                 from, to, before, limit"
            ),
        )
    })?;
    let place = id_of(asked.place, "place", |t| PlaceId::new(t).ok())?;
    let filter = AlarmFilter {
        state: word_of(asked.state, "state", AlarmState::ALL, AlarmState::as_str)?
            .or(asked.open.unwrap_or(false).then_some(AlarmState::Open)),
        class: word_of(asked.class, "class", AlarmClass::ALL, AlarmClass::as_str)?,
        priority: word_of(asked.priority, "priority", Priority::ALL, Priority::as_str)?,
        places: place.map(|place| below(&place, &console.places)),
        device: id_of(asked.device, "device", |t| DeviceId::new(t).ok())?,
        rule: asked.rule.filter(|rule| !rule.is_empty()),
        from: asked.from.map(Wall),
        to: asked.to.map(Wall),
    };
    let limit = asked.limit.unwrap_or(DEFAULT_ROWS);
    let page = read(&console, move |r| r.alarms(&filter, asked.before, limit)).await?;
    listed(page, |alarm| views::alarm(&console, alarm))
}

/// One of all the words of a kind.
fn word_of<T: Copy>(
    text: Option<String>,
    what: &str,
    all: &[T],
    word: fn(T) -> &'static str,
) -> Result<Option<T>, Problem> {
    let known: Vec<&str> = all.iter().map(|value| word(*value)).collect();
    one_of(text, what, &known.join(", "), |text| all.iter().copied().find(|value| word(*value) == text))
}

/// What the list of alarms may be narrowed by.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sought {
    open: Option<bool>,
    state: Option<String>,
    class: Option<String>,
    priority: Option<String>,
    place: Option<String>,
    device: Option<String>,
    rule: Option<String>,
    from: Option<i64>,
    to: Option<i64>,
    before: Option<u64>,
    limit: Option<u32>,
}

/// A place and all that lies in it.
fn below(place: &PlaceId, places: &BTreeMap<PlaceId, Place>) -> Vec<PlaceId> {
    let lies_in = |id: &&PlaceId| {
        std::iter::successors(Some(*id), |id| places.get(*id)?.parent.as_ref())
            // As many steps as there are places: a ring, which the configuration refuses, would still end.
            .take(places.len())
            .any(|above| above == place)
    };
    // A place that is no longer configured may still have alarms.
    std::iter::once(place).chain(places.keys().filter(lies_in).filter(|id| *id != place)).cloned().collect()
}

pub(super) fn alarm_id(text: &str) -> Result<AlarmId, Problem> {
    text.parse().map(AlarmId).map_err(|_| not_found("报警", "alarm"))
}

async fn alarm(State(console): State<Console>, Path(id): Path<String>) -> Answer {
    let id = alarm_id(&id)?;
    let found = read(&console, move |r| Ok((r.alarm(id)?, r.explained(id)?))).await?;
    let (found, explains) = found;
    let (alarm, steps) = found.ok_or_else(|| not_found("报警", "alarm"))?;
    let explains: Vec<Value> = explains.iter().map(|alarm| views::alarm(&console, alarm)).collect();
    let steps: Vec<Value> = steps.iter().map(views::step).collect();
    let mut value = views::alarm(&console, &alarm);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("history".into(), json!(steps));
        fields.insert("explains".into(), json!(explains));
    }
    Ok(Json(value))
}

/// A body that is not as in the example.
pub(super) fn not_understood(error: &JsonRejection, example: &str) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let kib = super::guard::MAX_BODY / 1024;
        return Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("提交的内容过大：最多 {kib} KiB"),
            format!("the body is too large: at most {kib} KiB"),
        );
    }
    Problem::new(StatusCode::BAD_REQUEST, format!("请提交 {example}"), format!("send {example}: {error}"))
}

async fn destinations(State(console): State<Console>) -> Answer {
    let mut rows = Vec::new();
    for (id, status) in console.destinations.iter() {
        let asked = id.clone();
        let (waiting, oldest) = read(&console, move |r| r.waiting(&asked)).await?;
        let status = status.borrow().clone();
        rows.push(views::destination(id.as_str(), &status, waiting, oldest.map(|w| w.0)));
    }
    Ok(Json(json!({"rows": rows})))
}

async fn set_aside(State(console): State<Console>, Path(id): Path<String>, asked: Asked) -> Answer {
    let asked = narrowed(asked)?;
    let id = DestinationId::new(&id)
        .ok()
        .filter(|id| console.destinations.contains_key(id))
        .ok_or_else(|| not_found("上级平台", "destination"))?;
    let limit = asked.limit.unwrap_or(DEFAULT_ROWS);
    let page = read(&console, move |r| r.set_aside(&id, asked.before, limit)).await?;
    listed(page, |row| json!(row))
}

async fn quarantine(State(console): State<Console>, asked: Asked) -> Answer {
    let asked = narrowed(asked)?;
    let limit = asked.limit.unwrap_or(DEFAULT_ROWS);
    let page = read(&console, move |r| r.quarantine(asked.before, limit)).await?;
    listed(page, |row| json!(row))
}

async fn strangers(State(console): State<Console>) -> Answer {
    let rows = read(&console, Reader::strangers).await?;
    Ok(Json(json!({"rows": rows})))
}

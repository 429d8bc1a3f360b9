//! The routes of the school itself: places, devices on floor plans, what to do and whom to call.

use super::api::{Answer, not_found};
use super::route::Route;
use super::{Console, Problem, responses};
use crate::access::Right;
use crate::config::Point;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use std::sync::Arc;

/// The routes of the school.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/site",
            Right::See,
            (
                "学校：地点、平面图、处置步骤、电话",
                "the school: places, floor plans, what to do, whom to call",
            ),
            site,
        ),
        Route::get(
            "/api/v1/places/{id}/plan",
            Right::See,
            ("一处的平面图", "the floor plan of a place"),
            plan,
        ),
    ]
}

/// No script of a drawing runs, and nothing that it names is fetched.
const PLAN_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");

/// `GET /api/v1/site`.
pub(super) async fn site(State(console): State<Console>) -> Answer {
    let ground = &console.ground;
    let part = |point: Option<&Point>| (point.map(|point| point.x), point.map(|point| point.y));
    let places = console.places.values().map(|place| {
        let (x, y) = part(ground.places.get(&place.id));
        let plan = ground.plans.contains_key(&place.id).then(|| format!("/api/v1/places/{}/plan", place.id));
        json!({
            "id": place.id, "kind": place.kind, "name": place.name, "parent": place.parent, "path": place.path,
            "plan": plan, "x": x, "y": y, "counts": place.counts, "assembly": place.assembly,
        })
    });
    let devices = console.devices.values().map(|device| {
        let (x, y) = part(ground.devices.get(&device.id));
        json!({
            "id": device.id, "name": device.name, "class": device.profile.class, "place": device.place,
            "x": x, "y": y,
        })
    });
    let of_rules =
        ground.rules.iter().map(|(rule, steps)| json!({"rule": rule, "class": null, "steps": steps}));
    let of_classes =
        ground.classes.iter().map(|(class, steps)| json!({"rule": null, "class": class, "steps": steps}));
    Ok(Json(json!({
        "name": console.site.name,
        "gateway": console.site.gateway,
        "timezone": console.site.zone.iana_name(),
        "places": places.collect::<Vec<Value>>(),
        "devices": devices.collect::<Vec<Value>>(),
        "guidance": of_rules.chain(of_classes).collect::<Vec<Value>>(),
        "contacts": ground.contacts,
        "responses": responses::rows(&console),
    })))
}

/// `GET /api/v1/places/{id}/plan`.
pub(super) async fn plan(
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let plan = console.ground.plans.get(id.as_str()).ok_or_else(|| not_found("平面图", "floor plan"))?;
    let headers: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(plan.media_type)),
        (header::CONTENT_SECURITY_POLICY, PLAN_POLICY),
    ];
    Ok((headers, Bytes::from_owner(Arc::clone(&plan.bytes))))
}

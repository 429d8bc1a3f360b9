//! What the API shows: plain JSON, times in milliseconds since 1970 UTC.

use super::Console;
use crate::config::{Contact, Device};
use crate::model::{Alarm, AlarmChange, DeviceId, Hazard, Link, Quality, Stamp, Wall};
use crate::northbound::DestinationStatus;
use crate::pipeline::{DeviceLive, PointLive, StoredEvent, StoredReading};
use serde_json::{Value, json};

fn quality(quality: Quality) -> Value {
    json!({"quality": quality.as_str(), "doubt": quality.doubt().map(|d| d.as_str())})
}

fn merged(mut into: Value, from: Value) -> Value {
    if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
    into
}

fn stamp(stamp: &Stamp) -> Value {
    json!({
        "at": stamp.effective().0,
        "device_at": stamp.device.map(|w| w.0),
        "arrived_at": stamp.gateway.0,
        "clock": stamp.clock.as_str(),
    })
}

/// `at_most_once` is how many of its messages came without wanting an acknowledgement.
pub(super) fn device(device: &Device, live: Option<&DeviceLive>, at_most_once: u64) -> Value {
    let points: serde_json::Map<String, Value> = live
        .into_iter()
        .flat_map(|live| &live.points)
        .map(|(id, point)| (id.to_string(), point_live(point)))
        .collect();
    let about = json!({
        "name": device.name, "profile": device.profile.id, "class": device.profile.class,
        "bus": device.bus, "place": device.place,
        "last_seen": live.and_then(|live| live.last_seen).map(|w| w.0),
        "points": points,
        "contract": (at_most_once > 0).then_some("at_most_once"),
    });
    merged(link(&device.id, live.and_then(|live| live.link)), about)
}

/// Whether a device answers, and why not.
pub(super) fn link(device: &DeviceId, link: Option<(Link, Wall)>) -> Value {
    let (state, fault) = match link {
        None => ("unknown", None),
        Some((Link::Up, _)) => ("up", None),
        Some((Link::Down(fault), _)) => ("down", Some(fault)),
    };
    json!({
        "id": device, "state": state, "since": link.map(|(_, at)| at.0), "fault": fault.map(|f| f.as_str()),
        "advice": fault.map(|f| f.advice()),
    })
}

fn point_live(point: &PointLive) -> Value {
    let value = json!({"value": point.reading.value, "unit": point.reading.unit});
    merged(merged(value, quality(point.reading.quality)), stamp(&point.stamp))
}

pub(super) fn reading(stored: &StoredReading) -> Value {
    let reading = &stored.reading;
    let value = json!({
        "device": stored.device, "point": reading.point, "value": reading.value, "unit": reading.unit,
    });
    merged(merged(value, quality(reading.quality)), stamp(&stored.stamp))
}

pub(super) fn event(stored: &StoredEvent) -> Value {
    let event = &stored.event;
    let value = json!({
        "device": stored.device, "kind": event.kind, "phase": event.phase, "code": event.code,
        "serial": event.serial, "retained": stored.retained, "credential": event.credential,
    });
    merged(value, stamp(&stored.stamp))
}

/// An alarm, with what whoever goes there has to know.
pub(super) fn alarm(console: &Console, alarm: &Alarm) -> Value {
    let ground = &console.ground;
    let contact = |of: &Contact| json!({"name": of.name, "phone": of.phone});
    let contacts: Vec<Value> = ground.contacts(alarm.class).map(contact).collect();
    let place = alarm.place.as_ref().and_then(|place| console.places.get(place));
    let device = alarm.device.as_ref().and_then(|device| console.devices.get(device));
    let mut value = serde_json::to_value(alarm).unwrap_or(Value::Null);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("state".into(), json!(alarm.isa_state().to_string()));
        fields.insert("silent".into(), json!(alarm.silent()));
        fields.insert("announced".into(), json!(alarm.announced()));
        fields.insert("device_name".into(), json!(device.map(|device| &device.name)));
        fields.insert("place_path".into(), json!(place.map(|place| &place.path)));
        fields.insert("steps".into(), json!(ground.steps(&alarm.key.rule, alarm.class)));
        fields.insert("contacts".into(), json!(contacts));
    }
    value
}

pub(super) fn hazard(hazard: &Hazard) -> Value {
    merged(json!({"stage": hazard.stage()}), serde_json::to_value(hazard).unwrap_or(Value::Null))
}

pub(super) fn step(change: &AlarmChange) -> Value {
    json!({"kind": change.kind, "at": change.at.0, "actor": change.actor, "note": change.note})
}

pub(super) fn destination(id: &str, status: &DestinationStatus, waiting: u64, oldest: Option<i64>) -> Value {
    let status = serde_json::to_value(status).unwrap_or(Value::Null);
    merged(json!({"id": id, "waiting": waiting, "oldest_waiting": oldest}), status)
}

//! Pulled streams against a camera and terminal made with Python's own HTTP server.

use crate::daemon::until;
use crate::heard::{Heard, device, profile};
use crate::streams::{Streams, kept_pass};
use schoolgate::config::{BusKind, Device, Login, Stream};
use schoolgate::model::{EventKind, Fault, Link, Phase};
use serde_json::{Value, json};
use std::time::Duration;

const ISAPI: &str = "isapi";
const DAHUA: &str = "dahua";

fn stream(login: Option<Login>, end_after: Option<Duration>) -> Stream {
    Stream {
        login,
        timeout: Duration::from_secs(5),
        heartbeat: Duration::from_secs(1),
        end_after,
        back_fill: Duration::from_secs(3600),
    }
}

fn start(camera: &Streams, form: &str, parts: &[&str], password: &str, end_after: Option<Duration>) -> Heard {
    let profile = profile(form);
    let devices: Vec<Device> = parts
        .iter()
        .map(|part| {
            device(&format!("cam{}", part.replace('#', "-")), &profile, &format!("{}{part}", camera.url()))
        })
        .collect();
    let stream = stream(Some(Streams::login(password)), end_after);
    let kind = if form == ISAPI { BusKind::Isapi(stream) } else { BusKind::Dahua(stream) };
    Heard::start(kind, &devices)
}

fn alert(kind: &str, state: &str, channel: u32) -> String {
    format!(
        "<EventNotificationAlert version=\"2.0\" xmlns=\"http://www.hikvision.com/ver20/XMLSchema\">\
         <macAddress>4f:e4:2f:81:cd:1b</macAddress><channelID>{channel}</channelID>\
         <dateTime>2026-11-19T16:53:28+08:00</dateTime><activePostCount>1</activePostCount>\
         <eventType>{kind}</eventType><eventState>{state}</eventState></EventNotificationAlert>"
    )
}

#[tokio::test]
async fn an_alert_stream_tells_each_state_once_by_channel_and_ends_what_is_not_told_again() {
    let mut camera = Streams::start().await;
    let heard = start(&camera, ISAPI, &["", "#2"], "right-1", Some(Duration::from_millis(800)));
    heard.link("cam", Link::Up).await;
    heard.link("cam-2", Link::Up).await;
    camera.opened(1).await;
    for _ in 0..3 {
        camera.send(&alert("VMD", "active", 1)).await;
    }
    camera.send(&alert("fielddetection", "active", 2)).await;
    let (device, event, late) = heard.event("fielddetection", 1).await;
    assert_eq!((device.as_str(), event.phase, late), ("cam-2", Phase::Start, false));
    let (device, event, _) = heard.event("VMD", 2).await;
    assert_eq!((device.as_str(), event.phase), ("cam", Phase::End), "nobody told it again");
    let motions: Vec<Phase> = heard
        .events()
        .into_iter()
        .filter(|(_, event, _)| event.code.as_deref().is_some_and(|code| code.starts_with("VMD")))
        .map(|(_, event, _)| event.phase)
        .collect();
    assert_eq!(motions, [Phase::Start, Phase::End], "three messages of one state are one event");
    assert!(heard.refused().is_empty(), "{:?}", heard.refused());
}

#[tokio::test]
async fn malformed_and_huge_parts_are_quarantined_and_the_stream_goes_on() {
    let mut camera = Streams::start().await;
    let heard = start(&camera, ISAPI, &[""], "right-1", None);
    camera.opened(1).await;
    camera.send("<EventNotificationAlert><eventType>VMD").await;
    camera.send(&"[".repeat(10_000)).await;
    camera.send(&"x".repeat(1_000_000)).await;
    camera.send(&alert("IO", "active", 1)).await;
    heard.event("IO", 1).await;
    let refused = heard.refused();
    assert_eq!(refused.len(), 3, "{refused:?}");
    for refused in refused {
        assert_eq!(refused.device.as_ref().map(|id| id.as_str()), Some("cam"), "{refused:?}");
        assert!(refused.raw.is_empty() && !refused.reason.is_empty());
    }
}

#[tokio::test]
async fn a_dahua_stream_tells_begin_end_and_moments() {
    let mut camera = Streams::start().await;
    let heard = start(&camera, DAHUA, &[""], "right-1", None);
    heard.link("cam", Link::Up).await;
    camera.opened(1).await;
    camera.send("Code=VideoMotion;action=Start;index=0;data={\"Name\":\"x\"").await;
    camera.send("Code=VideoMotion;action=Stop;index=0").await;
    camera.send("Code=AlarmLocal;action=Pulse;index=3;data={}").await;
    camera.send("no event at all").await;
    let (_, event, _) = heard.event("AlarmLocal", 1).await;
    assert_eq!(event.phase, Phase::Moment);
    let phases: Vec<Phase> = heard.events().into_iter().map(|(_, event, _)| event.phase).collect();
    assert_eq!(phases, [Phase::Start, Phase::End, Phase::Moment]);
    heard.until("the quarantine", |_| (heard.refused().len() == 1).then_some(())).await;
    let asked = camera.told();
    assert!(
        asked.iter().all(|told| told["path"].as_str().unwrap().ends_with("codes=[All]&heartbeat=1")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_stream_that_falls_silent_or_ends_is_opened_anew() {
    let mut camera = Streams::start().await;
    let heard = start(&camera, DAHUA, &[""], "right-1", None);
    camera.opened(1).await;
    heard.link("cam", Link::Up).await;
    camera.order(json!({"heartbeat": false})).await;
    heard.link("cam", Link::Down(Fault::Stalled)).await;
    camera.order(json!({"heartbeat": true})).await;
    camera.opened(2).await;
    heard.link("cam", Link::Up).await;
    camera.order(json!({"close": true})).await;
    heard.until("it is gone", |inputs| format!("{inputs:?}").contains("Down(Gone)").then_some(())).await;
    camera.opened(3).await;
    heard.link("cam", Link::Up).await;
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_then_held_back() {
    let camera = Streams::start().await;
    let heard = start(&camera, ISAPI, &[""], "wrong", None);
    heard.link("cam", Link::Down(Fault::Unauthorized)).await;
    // The next tries are refused before they reach the camera.
    let faults = || heard.tally.device_faults.all().into_iter().map(|(_, n)| n).sum::<u64>();
    until("a second try", async || (faults() >= 2).then_some(())).await;
    let tried = camera.told().iter().filter(|told| told["tried"] == true).count();
    assert_eq!(tried, 1, "{:?}", camera.told());
}

fn minutes_ago(minutes: i64) -> String {
    let now = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes);
    now.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

#[tokio::test]
async fn a_terminal_is_asked_for_the_passes_of_the_time_without_a_connection() {
    let mut terminal = Streams::start().await;
    let passes: Vec<Value> = (1..=5).map(|n| kept_pass(n, &minutes_ago(30 - i64::from(n)))).collect();
    let old = kept_pass(99, &minutes_ago(90));
    let all = [&[old], passes.as_slice()].concat();
    terminal.order(json!({"passes": all})).await;
    let heard = start(&terminal, ISAPI, &[""], "right-1", None);
    let (_, event, late) = heard.event("5/75", 5).await;
    assert!(late, "what was missed is true but does not happen now");
    assert_eq!((event.kind, event.serial.as_deref()), (EventKind::Credential, Some("5")));
    assert!(event.credential.is_some_and(|pass| pass.person.is_some()));
    let positions: Vec<Value> =
        terminal.told().iter().filter_map(|told| told.get("position").cloned()).collect();
    assert_eq!(positions, [json!(0), json!(2), json!(4)], "page by page");
    assert!(!format!("{:?}", heard.inputs()).contains("张三"));
    // While the connection was away there was one more: only what is new is asked for.
    let sixth = kept_pass(6, &minutes_ago(1));
    let all = [passes.as_slice(), &[sixth]].concat();
    terminal.order(json!({"passes": all})).await;
    terminal.order(json!({"close": true})).await;
    let serials = || heard.events().into_iter().filter_map(|(_, event, _)| event.serial).collect::<Vec<_>>();
    until("the sixth pass", async || serials().contains(&"6".to_owned()).then_some(())).await;
    assert!(!serials().contains(&"99".to_owned()), "longer ago than is asked for");
    assert_eq!(heard.tally.gaps_left.all().into_iter().map(|(_, n)| n).sum::<u64>(), 0);
}

//! Pictures of alarms: by ONVIF's address, with Digest, from servers written by others; kept, shown and written down.

use crate::daemon::{School, device, mqtt_bus, until};
use crate::mosquitto::Mosquitto;
use crate::streams::Streams;
use hil::doubles::{ONVIFD_LOGIN, Onvifd, Oxvif};
use schoolgate::config::{Device, Login, Onvif};
use schoolgate::model::{BusId, DeviceId, Fault, PlaceId, Secret};
use schoolgate::runtime::SystemClock;
use schoolgate::runtime::tls::install_provider;
use schoolgate::southbound::onvif::still::{MAX_STILL, Still};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/hil/assets/test-picture.jpg");

fn still(url: &str, password: &str) -> Still {
    install_provider();
    let profile = include_str!("../../device-profiles/camera/onvif-generic/profile.toml");
    let profile = schoolgate::profile::parse("profile.toml", profile, &schoolgate::document::Problems::new());
    let device = Device {
        id: DeviceId::new("cam").unwrap(),
        name: "cam".into(),
        profile: Arc::new(profile.unwrap()),
        bus: BusId::new("cameras").unwrap(),
        address: url.into(),
        place: PlaceId::new("gate").unwrap(),
        poll: Duration::from_secs(60),
        alarmed: BTreeSet::new(),
        item: None,
    };
    let login = Login { username: "admin".into(), password: Secret::from_file_text(password) };
    let settings =
        Onvif { login: Some(login), timeout: Duration::from_secs(20), probe_every: Duration::from_secs(300) };
    Still::new(&device, &settings, Arc::new(SystemClock::new()), Arc::default()).unwrap()
}

#[tokio::test]
async fn a_still_picture_is_where_onvif_says_and_behind_digest() {
    let password = ONVIFD_LOGIN.1;
    let mut web = Streams::start_with(&[password]).await;
    let onvif = Onvifd::start("rtsp://127.0.0.1/", &format!("{}/still.jpg?main", web.url())).await.unwrap();
    web.order(json!({"still": PICTURE})).await;
    let mut camera = still(onvif.url(), password);
    let picture = camera.take().await.unwrap();
    assert_eq!(picture, std::fs::read(PICTURE).unwrap());

    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let mut huge = picture.clone();
    huge.resize(MAX_STILL + 1, 0);
    for (path, said) in [
        (file("page.jpg", b"<html>busy</html>"), "expected a JPEG, and 17 other bytes came"),
        (file("empty.jpg", b""), "expected a JPEG, and 0 other bytes came"),
        (file("huge.jpg", &huge), "the answer is larger than 4194304 bytes"),
    ] {
        web.order(json!({"still": path})).await;
        until("the next picture is served", async || {
            let failure = camera.take().await.err()?;
            let whole = format!("{}: {:?}", failure.doing, failure.cause.map(|cause| cause.to_string()));
            assert_eq!(failure.fault, Fault::Protocol, "{whole}");
            whole.contains(said).then_some(())
        })
        .await;
    }
    web.order(json!({"still": PICTURE})).await;
    until("the camera is itself again", async || camera.take().await.ok()).await;
}

#[tokio::test]
async fn a_refused_login_leaves_the_camera_alone() {
    let web = Streams::start_with(&["another"]).await;
    let password = ONVIFD_LOGIN.1;
    let onvif = Onvifd::start("rtsp://127.0.0.1/", &format!("{}/still.jpg?main", web.url())).await.unwrap();
    let mut camera = still(onvif.url(), password);
    for _ in 0..3 {
        assert_eq!(camera.take().await.unwrap_err().fault, Fault::Unauthorized);
    }
    let tried = web.told().into_iter().filter(|line| line["status"] == 401).count();
    assert_eq!(tried, 2, "the challenge and one answer, then half an hour of nothing");
    assert_eq!(still(onvif.url(), "wrong").take().await.unwrap_err().fault, Fault::Unauthorized);
    // This server tells an address where there is no picture.
    let oxvif = Oxvif::start(true).await.unwrap();
    assert_eq!(still(oxvif.url(), "admin").take().await.unwrap_err().fault, Fault::Protocol);
}

/// A camera at the gate, and a help button.
fn field(broker: &Mosquitto, camera: &str, rest: &str) -> String {
    let cameras = format!(
        "[[bus]]\nid = 'cameras'\nkind = 'onvif'\nusername = 'admin'\npassword_file = 'password'\n\
         [[device]]\nid = 'cam-1'\nprofile = 'onvif-generic'\nbus = 'cameras'\naddress = '{camera}'\nplace = 'yard'\n\
         views = ['gate']\n[[place]]\nid = 'yard'\nkind = 'campus'\n{rest}"
    );
    mqtt_bus(broker) + &device("help", "tuya-ts0215a", "help") + &cameras
}

#[tokio::test]
async fn an_alarm_has_its_picture_and_who_looks_at_it_is_written_down() {
    let broker = Mosquitto::start().await;
    let password = ONVIFD_LOGIN.1;
    let mut web = Streams::start_with(&[password]).await;
    web.order(json!({"still": PICTURE})).await;
    let onvif = Onvifd::start("rtsp://127.0.0.1/", &format!("{}/still.jpg?main", web.url())).await.unwrap();
    let school = School::new(&field(&broker, onvif.url(), ""));
    let secret = school.config().with_file_name("password");
    std::fs::write(&secret, password).unwrap();
    std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let daemon = school.start().await;
    daemon.connected().await;
    broker.publish("zigbee2mqtt/help", br#"{"action":"emergency"}"#, &["-q", "1"]).await;
    let name = until("the alarm has its picture", async || {
        let rows = school.get("/api/v1/alarms/1/pictures").await;
        Some(rows["rows"].get(0)?["picture"].as_str()?.to_owned())
    })
    .await;

    let at = format!("/api/v1/alarms/1/pictures/{name}");
    let look = async |path: &str| school.client().get(school.url(path)).send().await.unwrap();
    let shown = look(&format!("{at}?actor=guard-1")).await;
    assert_eq!(
        (shown.status().as_u16(), &shown.headers()["cache-control"]),
        (200, &"no-store".parse().unwrap())
    );
    assert_eq!(shown.bytes().await.unwrap(), std::fs::read(PICTURE).unwrap());
    let read = school.data_dir().join("pictures").join(&name);
    let mode = std::fs::metadata(&read).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "nobody else may read it");
    for (asked, status) in [
        (at.clone(), 400),
        (format!("{at}?actor="), 400),
        (at.replace("alarms/1/", "alarms/2/") + "?actor=guard-1", 404),
        ("/api/v1/alarms/1/pictures/..%2F..%2Fgateway.toml?actor=guard-1".into(), 404),
        (format!("{}?actor=guard-1", at.replace("cam-1", "cam-2")), 404),
        ("/api/v1/alarms/one/pictures".into(), 404),
    ] {
        assert_eq!(look(&asked).await.status().as_u16(), status, "{asked}");
    }
    let metrics = school.metrics().await;
    assert!(metrics.contains("\nschoolgate_pictures_total{outcome=\"taken\"} 1\n"), "{metrics}");
    daemon.terminate().await;
    let looked: Vec<String> =
        school.column("select actor || ' ' || detail from audit where action = 'picture_view'");
    assert_eq!(looked, [format!("guard-1 {name}")], "once, and not for what was refused");
}

#[tokio::test]
async fn a_camera_that_does_not_answer_costs_the_alarm_nothing() {
    let broker = Mosquitto::start().await;
    let field = field(&broker, "http://127.0.0.1:9/onvif/device_service", "");
    let school = School::new(&field);
    let secret = school.config().with_file_name("password");
    std::fs::write(&secret, "password").unwrap();
    std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let daemon = school.start().await;
    daemon.connected().await;
    broker.publish("zigbee2mqtt/help", br#"{"action":"emergency"}"#, &["-q", "1"]).await;
    until("the failure is counted and the alarm is there", async || {
        let failed = school.metrics().await.contains("\nschoolgate_pictures_total{outcome=\"failed\"} 1\n");
        let alarms = school.get("/api/v1/alarms?open=true").await;
        let help = alarms["rows"].as_array()?.iter().any(|alarm| alarm["class"] == "help");
        (failed && help).then_some(())
    })
    .await;
    assert!(school.log().contains("no picture for the alarm"));
    daemon.terminate().await;
}

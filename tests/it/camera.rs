//! Cameras against servers written by others: GStreamer's RTSP server, and the ONVIF device servers of two crates.

use crate::rig;
use hil::doubles::{ONVIFD_LOGIN, Onvifd, Oxvif};
use schoolgate::config::{Bus, BusKind, Device, Login, Onvif};
use schoolgate::model::{
    Body, BusId, DeviceId, Event, EventKind, Fault, Input, Link, Observation, Phase, PlaceId, Secret, Wall,
};
use schoolgate::runtime::lanes::Outlet;
use schoolgate::runtime::tls::install_provider;
use schoolgate::runtime::{Clock, ManualClock, SystemClock, Tasks};
use schoolgate::southbound::onvif::KIND;
use schoolgate::southbound::onvif::client::Client;
use schoolgate::southbound::onvif::operations as ops;
use schoolgate::southbound::onvif::rtsp::{Deadlines, Liveness, probe};
use schoolgate::southbound::{Driver, supervise};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;
use url::Url;

/// Longest wait for anything in these tests; nothing takes nearly so long on a sound machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// GStreamer's RTSP server; killed when dropped.
struct Gstreamer {
    child: Child,
    ports: BTreeMap<String, u16>,
}

impl Gstreamer {
    async fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/gst_rtspd.py");
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("starting /usr/bin/python3");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line =
            timeout(PATIENCE, lines.next_line()).await.expect("the RTSP server is up in time").unwrap();
        let line = line.expect(
            "gst_rtspd.py ended: needs python3-gi, gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-*",
        );
        Self { child, ports: serde_json::from_str(&line).unwrap() }
    }

    fn url(&self, listener: &str, path: &str) -> Url {
        Url::parse(&format!("rtsp://127.0.0.1:{}{path}", self.ports[listener])).unwrap()
    }

    /// `STOP` halts the process where it is, while the system still accepts connections for it; `CONT` goes on.
    fn signal(&self, name: &str) {
        rig::signal(name, self.child.id().expect("it runs"));
    }

    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

fn login(username: &str, password: &str) -> Login {
    Login { username: username.into(), password: Secret::from_file_text(password) }
}

async fn look(url: &Url, login: Option<&Login>) -> Liveness {
    let deadlines = Deadlines { answer: Duration::from_secs(20), ..Deadlines::default() };
    timeout(PATIENCE, probe(url, login, deadlines)).await.expect("a probe ends by its own deadlines")
}

#[tokio::test]
async fn a_stream_that_plays_stalls_is_gone_or_locked_is_told_apart() {
    let server = Gstreamer::start().await;
    let (right, wrong) = (login("admin", "camera1"), login("admin", "camera2"));
    for (listener, path, login, expected) in [
        ("open", "/cam0", None, Liveness::Playing),
        ("open", "/cam0", Some(&right), Liveness::Playing),
        ("open", "/stall", None, Liveness::Stalled),
        ("open", "/nothing-here", None, Liveness::Gone),
        ("digest", "/cam0", Some(&right), Liveness::Playing),
        ("digest", "/cam0", Some(&wrong), Liveness::Unauthorized),
        ("digest", "/cam0", None, Liveness::Unauthorized),
        ("basic", "/cam0", Some(&right), Liveness::Playing),
        ("basic", "/cam0", Some(&wrong), Liveness::Unauthorized),
    ] {
        assert_eq!(look(&server.url(listener, path), login).await, expected, "{listener}{path}");
    }
    let url = server.url("open", "/cam0");
    server.signal("STOP");
    let hurried = Deadlines { answer: Duration::from_secs(1), ..Deadlines::default() };
    assert_eq!(probe(&url, None, hurried).await, Liveness::Stalled, "the server hangs");
    server.kill().await;
    assert_eq!(look(&url, None).await, Liveness::Gone, "the server is down");
}

fn client(url: &str, login: Option<Login>, clock: Arc<dyn Clock>) -> Client {
    install_provider();
    Client::new(Url::parse(url).unwrap(), login, Duration::from_secs(5), clock, Arc::default()).unwrap()
}

#[tokio::test]
async fn the_oxvif_server_tells_clock_device_services_stream_and_events() {
    let server = Oxvif::start(true).await.unwrap();
    let mut client = client(server.url(), Some(login("admin", "admin")), Arc::new(SystemClock::new()));
    let (device, zero) = (client.device().clone(), Duration::ZERO);
    assert!(client.measure_clock().await.unwrap().abs() < 5_000);
    let reply = client.call(ops::GET_DEVICE_INFORMATION, &device, &[], ops::ASK_DEVICE, zero).await.unwrap();
    assert_eq!(ops::device_information(&reply).manufacturer, "oxvif-mock");
    let mut services = ops::Services::default();
    services
        .add_services(&client.call(ops::GET_SERVICES, &device, &[], ops::ASK_SERVICES, zero).await.unwrap());
    assert_eq!(services.events, None, "this server names its event service in the capabilities only");
    let reply = client.call(ops::GET_CAPABILITIES, &device, &[], ops::ASK_CAPABILITIES, zero).await.unwrap();
    services.add_capabilities(&reply);
    for (place, profiles, ask, uri) in [
        (&services.media, ops::GET_PROFILES, ops::ASK_PROFILES, ops::GET_STREAM_URI),
        (&services.media2, ops::GET_PROFILES_2, ops::ASK_PROFILES_2, ops::GET_STREAM_URI_2),
    ] {
        let place = client.on_camera(place.as_deref().unwrap()).unwrap();
        let reply = client.call(profiles, &place, &[], ask, zero).await.unwrap();
        let profile = ops::video_profile(&reply).unwrap();
        let ask =
            if uri.action.contains("ver20") { ops::ask_stream_2(profile) } else { ops::ask_stream(profile) };
        let reply = client.call(uri, &place, &[], &ask, zero).await.unwrap();
        assert!(ops::media_uri(&reply).unwrap().starts_with("rtsp://127.0.0.1"));
    }
    let events = client.on_camera(services.events.as_deref().unwrap()).unwrap();
    let reply =
        client.call(ops::CREATE_PULL_POINT, &events, &[], &ops::ask_subscription(), zero).await.unwrap();
    let made = ops::subscription(&reply).unwrap();
    let place = client.on_camera(&made.address).unwrap();
    let reply =
        client.call(ops::PULL_MESSAGES, &place, &made.references, &ops::ask_messages(), zero).await.unwrap();
    let note = &ops::pulled(&reply, client.offset_ms()).notes[0];
    assert_eq!(note.topic, "VideoSource/MotionAlarm");
    assert!(note.utc_time.is_some() && !note.initialized);
}

#[tokio::test]
async fn the_onvif_server_crate_accepts_our_login_and_gets_its_reference_parameters_back() {
    let server = Onvifd::start("rtsp://127.0.0.1:8554/stream", "http://127.0.0.1/").await.unwrap();
    // Our clock is at 1976 and theirs is right; they refuse a login that is minutes old.
    let clock = Arc::new(ManualClock::new(Wall(200_000_000_000)));
    let (user, password) = ONVIFD_LOGIN;
    let mut client = client(server.url(), Some(login(user, password)), clock);
    let (device, zero) = (client.device().clone(), Duration::ZERO);
    assert!(client.measure_clock().await.unwrap() > 45 * 365 * 86_400_000);
    let reply = client.call(ops::GET_DEVICE_INFORMATION, &device, &[], ops::ASK_DEVICE, zero).await.unwrap();
    assert_eq!(ops::device_information(&reply).model, "T-1");
    let mut services = ops::Services::default();
    services
        .add_services(&client.call(ops::GET_SERVICES, &device, &[], ops::ASK_SERVICES, zero).await.unwrap());
    let events = client.on_camera(services.events.as_deref().unwrap()).unwrap();
    let reply =
        client.call(ops::CREATE_PULL_POINT, &events, &[], &ops::ask_subscription(), zero).await.unwrap();
    let made = ops::subscription(&reply).unwrap();
    assert_eq!(made.references.len(), 1);
    let place = client.on_camera(&made.address).unwrap();
    let ask = ops::ask_messages();
    let reply = client.call(ops::PULL_MESSAGES, &place, &made.references, &ask, zero).await.unwrap();
    let left_ms = ops::pulled(&reply, 0).left_ms.unwrap();
    assert!((30_000..=60_000).contains(&left_ms), "{left_ms}");
    let error = client.call(ops::PULL_MESSAGES, &place, &[], &ask, zero).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Refused, "without the echo this server knows no subscription: {error}");
    let error =
        client.call(ops::RENEW, &place, &made.references, &ops::ask_renewal(), zero).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Refused, "this server renews nothing: {error}");
}

#[tokio::test]
async fn a_wrong_password_is_unauthorized_at_both_servers() {
    let (oxvif, onvifd) = (
        Oxvif::start(true).await.unwrap(),
        Onvifd::start("rtsp://127.0.0.1/", "http://127.0.0.1/").await.unwrap(),
    );
    for url in [oxvif.url(), onvifd.url()] {
        let mut client = client(url, Some(login("admin", "wrong")), Arc::new(SystemClock::new()));
        client.measure_clock().await.unwrap();
        let device = client.device().clone();
        let result =
            client.call(ops::GET_DEVICE_INFORMATION, &device, &[], ops::ASK_DEVICE, Duration::ZERO).await;
        let error = result.unwrap_err();
        assert_eq!(error.fault(), Fault::Unauthorized, "{url}: {error}");
    }
}

/// Motion as the oxvif server tells it: `IsMotion` where the specification has `State`.
const PROFILE: &str = r#"
id = "oxvif-server"
class = "camera"
vendor = "oxvif"
model = "server"
name_zh = "测试摄像机"
name_en = "test camera"
source = "oxvif 0.17, mock/services/events.rs"
confirmed = false
protocol = "onvif"
[[notification]]
topics = ["VideoSource/MotionAlarm"]
kind = "motion"
item = "IsMotion"
"#;

/// A supervised camera and what it puts into the pipe.
struct Rig {
    outlet: Outlet,
    stop: watch::Sender<bool>,
    _tasks: Tasks,
}

impl Rig {
    fn start(address: &str, login: Login) -> Self {
        install_provider();
        let id = BusId::new("cameras").unwrap();
        let settings = Onvif {
            login: Some(login),
            timeout: Duration::from_secs(5),
            probe_every: Duration::from_secs(5),
        };
        let device = Device {
            id: DeviceId::new("cam-1").unwrap(),
            name: "cam-1".into(),
            profile: rig::profile(PROFILE),
            bus: id.clone(),
            address: address.into(),
            place: PlaceId::new("gate").unwrap(),
            poll: Duration::from_secs(60),
            alarmed: BTreeSet::new(),
            item: None,
        };
        let bus = Bus { id, kind: BusKind::Onvif(settings) };
        let driver: Arc<dyn Driver> = (KIND.drivers)(&bus, &[device]).pop().expect("one driver per camera");
        let (field, outlet) = rig::field(Arc::new(SystemClock::new()));
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Tasks::new();
        tasks.spawn("camera", supervise(driver, field, stopped));
        Self { outlet, stop, _tasks: tasks }
    }

    /// The next observation that is `wanted`.
    async fn wait_for(&mut self, wanted: impl Fn(&Observation) -> bool) -> Observation {
        let found = timeout(PATIENCE, async {
            loop {
                let parcel = self.outlet.events.recv().await.expect("the camera is at work");
                for input in parcel.delivery.inputs {
                    match input {
                        Input::Observed(observation) if wanted(&observation) => return observation,
                        Input::Refused(refused) => panic!("{refused:?}"),
                        _ => {}
                    }
                }
            }
        });
        found.await.expect("the camera tells it in time")
    }
}

fn event(observation: &Observation, kind: EventKind, phase: Phase) -> Option<&Event> {
    match &observation.body {
        Body::Event(event) if event.kind == kind && event.phase == phase => Some(event),
        _ => None,
    }
}

#[tokio::test]
async fn motion_comes_through_a_whole_session_and_survives_a_lost_subscription() {
    let server = Oxvif::start(true).await.unwrap();
    let mut rig = Rig::start(server.url(), login("admin", "admin"));
    rig.wait_for(|o| o.body == Body::Link(Link::Up)).await;
    let motion = rig.wait_for(|o| event(o, EventKind::Motion, Phase::Start).is_some()).await;
    assert!(!motion.retained);
    assert!(motion.stamp.device.is_some(), "the camera's own time is kept");
    rig.wait_for(|o| event(o, EventKind::Motion, Phase::End).is_some()).await;
    server.fail_next("PullMessagesRequest", "ter:InvalidArgVal", "no such subscription");
    rig.wait_for(|o| event(o, EventKind::Motion, Phase::Start).is_some()).await;
    rig.stop.send(true).unwrap();
}

#[tokio::test]
async fn a_refused_login_takes_the_link_down() {
    let server = Oxvif::start(true).await.unwrap();
    let mut rig = Rig::start(server.url(), login("admin", "wrong"));
    rig.wait_for(|o| o.body == Body::Link(Link::Down(Fault::Unauthorized))).await;
}

#[tokio::test]
async fn a_picture_that_goes_is_told_and_its_return_too() {
    let gstreamer = Gstreamer::start().await;
    let stream = gstreamer.url("digest", "/cam0");
    let (user, password) = ONVIFD_LOGIN;
    let server = Onvifd::start(stream.as_str(), "http://127.0.0.1/").await.unwrap();
    let mut rig = Rig::start(server.url(), login(user, password));
    let found = rig.wait_for(|o| event(o, EventKind::VideoLoss, Phase::End).is_some()).await;
    assert!(found.retained, "a stream found playing is a state, not news");
    gstreamer.signal("STOP");
    let lost = rig.wait_for(|o| event(o, EventKind::VideoLoss, Phase::Start).is_some()).await;
    let code = event(&lost, EventKind::VideoLoss, Phase::Start).and_then(|e| e.code.as_deref());
    assert_eq!((code, lost.retained), (Some("stalled"), false));
    gstreamer.signal("CONT");
    let back = rig.wait_for(|o| event(o, EventKind::VideoLoss, Phase::End).is_some()).await;
    assert!(!back.retained);
}

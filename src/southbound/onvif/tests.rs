//! Replies as cameras really send them, broken ones included, against the readers and over a real socket.

use super::client::{CallError, Client, stream_places};
use super::operations::{self as ops, Services};
use super::soap::{self, Reply};
use super::{Camera, Driver as _};
use crate::config::{Device, Login, Onvif};
use crate::document::Problems;
use crate::model::{Body, BusId, DeviceId, Fault, Input, Link, PlaceId, Secret, Wall};
use crate::notice::xml::Node;
use crate::runtime::{Clock, ManualClock, Outlet, Tasks, tls};
use crate::southbound::{Field, testing};
use jiff::tz::TimeZone;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use url::Url;

const NOW: Wall = Wall(1_790_000_000_000);

fn body(inside: &str) -> String {
    format!(
        r#"<?xml version="1.0"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body>{inside}</e:Body></e:Envelope>"#
    )
}

fn opened(inside: &str) -> Node {
    match soap::open(&body(inside)) {
        Ok(Reply::Body(node)) => node,
        other => panic!("{other:?}"),
    }
}

fn clock_reply(wall: Wall) -> String {
    let t = jiff::Timestamp::from_millisecond(wall.0).unwrap().to_zoned(TimeZone::UTC);
    body(&format!(
        "<GetSystemDateAndTimeResponse><SystemDateAndTime><UTCDateTime><Time><Hour>{}</Hour><Minute>{}</Minute>\
         <Second>{}</Second></Time><Date><Year>{}</Year><Month>{}</Month><Day>{}</Day></Date></UTCDateTime>\
         </SystemDateAndTime></GetSystemDateAndTimeResponse>",
        t.hour(),
        t.minute(),
        t.second(),
        t.year(),
        t.month(),
        t.day()
    ))
}

#[test]
fn reads_the_cameras_clock_in_every_form() {
    let time = |inside: &str| {
        ops::camera_time(&opened(&format!("<x:R><SystemDateAndTime>{inside}</SystemDateAndTime></x:R>")))
    };
    let at = |tag: &str, year: &str, hour: &str| {
        format!(
            "<q:{tag}><Time><Hour>{hour}</Hour><Minute>0</Minute><Second>60</Second></Time><Date><Year>{year}</Year>\
             <Month>1</Month><Day>1</Day></Date></q:{tag}>"
        )
    };
    let utc = at("UTCDateTime", "2026", "4");
    let local = format!("<TimeZone><TZ>CST-8</TZ></TimeZone>{}", at("LocalDateTime", "2026", "12"));
    let same = Some(Wall(1_767_240_059_000));
    assert_eq!(time(&utc), same);
    assert_eq!(time(&local), same, "local time in the camera's POSIX zone");
    assert_eq!(time(&format!("{local}{utc}")), same);
    for broken in [
        String::new(),
        at("UTCDateTime", "2026", "24"),
        at("UTCDateTime", "99999", "1"),
        at("UTCDateTime", "soon", "1"),
        at("LocalDateTime", "2026", "1"),
        format!("<TimeZone><TZ>Beijing!</TZ></TimeZone>{}", at("LocalDateTime", "2026", "1")),
    ] {
        assert_eq!(time(&broken), None, "{broken}");
    }
}

#[test]
fn reads_date_times_with_and_without_a_zone() {
    for (text, expected) in [
        ("2026-01-01T00:00:00Z", Some(1_767_225_600_000)),
        (" 2026-01-01T08:00:00.250+08:00 ", Some(1_767_225_600_250)),
        ("2026-01-01T00:00:00", Some(1_767_225_600_000)),
        ("1970-01-01T00:00:00Z", Some(0)),
        ("", None),
        ("yesterday", None),
        ("2026-13-01T00:00:00Z", None),
    ] {
        assert_eq!(ops::xs_date_time(text), expected.map(Wall), "{text}");
    }
}

#[test]
fn notifications_keep_what_was_said_and_nothing_of_its_form() {
    let reply = opened(
        r#"<weird:PullMessagesResponse>
        <CurrentTime>2026-01-01T00:00:00Z</CurrentTime><TerminationTime>2026-01-01T00:00:30Z</TerminationTime>
        <b:NotificationMessage><b:Topic Dialect="x">
            tns1:RuleEngine/
            CellMotionDetector/tnsacme:Motion
        </b:Topic><b:Message><c:Message UtcTime="2026-01-01T00:00:10Z" PropertyOperation="Initialized">
            <c:Source><c:SimpleItem Name="Rule" Value="a &amp; b"/><c:SimpleItem Value="no name"/></c:Source>
            <c:Data><c:SimpleItem Name="IsMotion" Value="true"/><c:ElementItem Name="Box"><z/></c:ElementItem></c:Data>
        </c:Message></b:Message></b:NotificationMessage>
        <b:NotificationMessage><b:Topic>tns1:VideoSource/MotionAlarm</b:Topic><b:Message>
            <c:Message UtcTime="not a time" PropertyOperation="Changed"><c:Data/></c:Message></b:Message></b:NotificationMessage>
        <b:NotificationMessage><b:Topic>tns1:VideoSource/MotionAlarm</b:Topic><b:Message>
            <c:Message PropertyOperation="Deleted"/></b:Message></b:NotificationMessage>
        <b:NotificationMessage><b:Topic>tns1:Device/Trigger</b:Topic></b:NotificationMessage>
        <b:NotificationMessage><b:Topic>  </b:Topic></b:NotificationMessage>
        </weird:PullMessagesResponse>"#,
    );
    let pulled = ops::pulled(&reply, -3_600_000);
    assert_eq!(pulled.left_ms, Some(30_000));
    let topics: Vec<&str> = pulled.notes.iter().map(|n| n.topic.as_str()).collect();
    assert_eq!(topics, ["RuleEngine/CellMotionDetector/Motion", "VideoSource/MotionAlarm", "Device/Trigger"]);
    let first = &pulled.notes[0];
    assert!(first.initialized && !pulled.notes[1].initialized);
    assert_eq!(first.utc_time, Some(Wall(1_767_225_610_000 + 3_600_000)), "an hour slow");
    assert_eq!(first.source, [("Rule".to_owned(), "a & b".to_owned())]);
    assert_eq!(first.data, [("IsMotion".to_owned(), "true".to_owned())]);
    assert_eq!((pulled.notes[1].utc_time, pulled.notes[1].data.len()), (None, 0));
}

#[test]
fn a_lifetime_that_is_none_is_not_told() {
    for (now, end, left) in [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", None),
        ("2026-01-01T00:00:00Z", "1970-01-01T00:00:00Z", None),
        ("", "2026-01-01T00:00:00Z", None),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", Some(60_000)),
    ] {
        let reply = opened(&format!(
            "<R><CurrentTime>{now}</CurrentTime><TerminationTime>{end}</TerminationTime></R>"
        ));
        assert_eq!(ops::pulled(&reply, 0).left_ms, left, "{now} {end}");
    }
}

#[test]
fn finds_services_profiles_streams_and_subscriptions() {
    let mut services = Services::default();
    services.add_services(&opened(
        "<R><Service><Namespace>http://www.onvif.org/ver10/media/wsdl/</Namespace><XAddr>http://a/m</XAddr></Service>\
         <Service><Namespace>urn:other</Namespace><XAddr>http://a/o</XAddr></Service><Service/></R>",
    ));
    services.add_capabilities(&opened(
        "<R><Capabilities><Media><XAddr>http://a/other</XAddr></Media><Events><XAddr>http://a/e</XAddr></Events>\
         </Capabilities></R>",
    ));
    let told = |x: &Option<String>| x.clone().unwrap_or_default();
    assert_eq!(
        (told(&services.media).as_str(), told(&services.events).as_str()),
        ("http://a/m", "http://a/e")
    );
    assert_eq!(services.media2, None);

    let profiles = opened(
        r#"<R><Profiles token="audio"/><Profiles token="main"><VideoEncoderConfiguration/></Profiles></R>"#,
    );
    assert_eq!(ops::video_profile(&profiles), Some("main"));
    assert_eq!(ops::video_profile(&opened(r#"<R><Profiles token="only"/></R>"#)), Some("only"));
    assert_eq!(ops::video_profile(&opened("<R><Profiles/></R>")), None);
    assert_eq!(ops::media_uri(&opened("<R><MediaUri><Uri>rtsp://a</Uri></MediaUri></R>")), Some("rtsp://a"));
    assert_eq!(ops::media_uri(&opened("<R><Uri> rtsp://b </Uri></R>")), Some("rtsp://b"));

    let made = opened(
        r#"<R xmlns:d="urn:d"><SubscriptionReference><Address>http://a/s</Address><ReferenceParameters><d:Id>7</d:Id>
        </ReferenceParameters></SubscriptionReference></R>"#,
    );
    let made = ops::subscription(&made).unwrap();
    assert_eq!((made.address.as_str(), made.references.len()), ("http://a/s", 1));
    assert!(made.references[0].contains("xmlns:d=\"urn:d\""), "{}", made.references[0]);
    assert_eq!(ops::subscription(&opened("<R><SubscriptionReference/></R>")), None);
}

#[test]
fn declarations_on_the_envelope_reach_the_echo() {
    let text = r#"<e:Envelope xmlns:e="soap" xmlns:v="urn:vendor"><e:Body><R><SubscriptionReference><Address>http://a</Address><ReferenceParameters><v:Id/></ReferenceParameters></SubscriptionReference></R></e:Body></e:Envelope>"#;
    let Ok(Reply::Body(reply)) = soap::open(text) else { panic!("{text}") };
    let made = ops::subscription(&reply).unwrap();
    assert!(made.references[0].contains("xmlns:v=\"urn:vendor\""), "{}", made.references[0]);
}

#[test]
fn streams_are_looked_for_where_they_can_be() {
    let device = Url::parse("http://10.0.0.9:8080/onvif/device_service").unwrap();
    for (told, expected) in [
        ("rtsp://10.0.0.9:554/s", vec!["rtsp://10.0.0.9:554/s"]),
        ("rtsp://192.168.1.2:554/s?x=1", vec!["rtsp://192.168.1.2:554/s?x=1", "rtsp://10.0.0.9:554/s?x=1"]),
        ("rtsp://127.0.0.1/s", vec!["rtsp://10.0.0.9/s"]),
        ("rtsp://0.0.0.0:8554/s", vec!["rtsp://10.0.0.9:8554/s"]),
        ("rtsp://169.254.1.1/s", vec!["rtsp://10.0.0.9/s"]),
        ("http://10.0.0.9/s", vec![]),
        ("not an address", vec![]),
    ] {
        let places: Vec<String> = stream_places(&device, told).iter().map(ToString::to_string).collect();
        assert_eq!(places, expected, "{told}");
    }
}

/// A camera that answers each request with the next of its canned replies and remembers what it was asked.
struct Canned {
    url: Url,
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: Tasks,
}

fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn ok(body: &str) -> Vec<u8> {
    http("200 OK", "Content-Type: application/soap+xml\r\n", body)
}

impl Canned {
    async fn start(replies: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/onvif/device_service", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Tasks::new();
        let record = Arc::clone(&asked);
        tasks.spawn("canned camera", async move {
            for reply in replies {
                let (mut socket, _) = listener.accept().await.unwrap();
                let request = read_request(&mut socket).await;
                record.lock().unwrap().push(request);
                // The client may hang up in the middle of a reply that is too large.
                drop(socket.write_all(&reply).await);
                drop(socket.shutdown().await);
            }
        });
        Self { url: Url::parse(&url).unwrap(), asked, _tasks: tasks }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn client(&self, clock: &Arc<ManualClock>) -> Client {
        tls::install_provider();
        let clock = Arc::clone(clock) as Arc<dyn Clock>;
        Client::new(self.url.clone(), Some(login()), Duration::from_millis(500), clock, Arc::default())
            .unwrap()
    }
}

async fn read_request(socket: &mut tokio::net::TcpStream) -> String {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let n = socket.read(&mut buffer).await.unwrap();
        request.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_ascii_lowercase();
        let length =
            length.lines().find_map(|l| l.strip_prefix("content-length: ")).unwrap_or("0").to_owned();
        if n == 0 || body.len() >= length.parse::<usize>().unwrap() {
            return text;
        }
    }
}

fn login() -> Login {
    Login { username: "admin".into(), password: Secret::from_file_text("camera1") }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(NOW))
}

async fn ask(client: &mut Client) -> Result<Node, CallError> {
    let device = client.device().clone();
    client.call(ops::GET_DEVICE_INFORMATION, &device, &[], ops::ASK_DEVICE, Duration::ZERO).await
}

#[tokio::test]
async fn every_broken_reply_is_an_error_of_its_kind() {
    let fault =
        body("<Fault><faultcode>ter:ActionNotSupported</faultcode><faultstring>no</faultstring></Fault>");
    let half = body("<R/>");
    for (reply, expected, words) in [
        (ok("<!DOCTYPE html><html>login</html>"), Fault::Protocol, "HTML"),
        (ok(&"x".repeat(2 * 1024 * 1024)), Fault::Protocol, "larger than 1048576"),
        (ok(r#"<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>"#), Fault::Protocol, "DTD"),
        (ok(half.split_at(half.len() - 13).0), Fault::Protocol, "cut off"),
        (ok(""), Fault::Protocol, "empty"),
        (ok("<NotSoap/>"), Fault::Protocol, "<NotSoap>"),
        (ok(&fault), Fault::Refused, "ActionNotSupported"),
        (http("500 Internal Server Error", "", &fault), Fault::Refused, "ActionNotSupported"),
        (http("404 Not Found", "", "<html/>"), Fault::Protocol, "404"),
        (http("302 Found", "Location: http://elsewhere/\r\n", ""), Fault::Protocol, "302"),
        (http("403 Forbidden", "", ""), Fault::Unauthorized, "403"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort".to_vec(), Fault::Gone, "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n".to_vec(), Fault::Gone, "broke off"),
        (b"RTSP/1.0 200 OK\r\n\r\n".to_vec(), Fault::Gone, "broke off"),
        (Vec::new(), Fault::Gone, "broke off"),
    ] {
        let camera = Canned::start(vec![reply]).await;
        let error = ask(&mut camera.client(&clock())).await.unwrap_err();
        assert_eq!(error.fault(), expected, "{error}");
        assert!(error.to_string().contains(words), "{error} should say {words}");
    }
}

#[tokio::test]
async fn no_listener_and_no_answer_are_told_apart() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut camera = Canned::start(Vec::new()).await;
    camera.url = Url::parse(&format!("http://{}/", silent.local_addr().unwrap())).unwrap();
    let error = ask(&mut camera.client(&clock())).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Timeout, "{error}");
    drop(silent);
    let error = ask(&mut camera.client(&clock())).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Unreachable, "{error}");
}

#[tokio::test]
async fn the_login_is_signed_with_the_cameras_time_fifty_years_off_either_way() {
    const FIFTY_YEARS_MS: i64 = 50 * 365 * 24 * 3600 * 1000;
    for offset in [FIFTY_YEARS_MS, -FIFTY_YEARS_MS, 6_000, 0] {
        let theirs = NOW.plus_ms(offset);
        let camera = Canned::start(vec![ok(&clock_reply(theirs)), ok(&body("<R/>"))]).await;
        let mut client = camera.client(&clock());
        assert_eq!(client.measure_clock().await.unwrap(), offset);
        ask(&mut client).await.unwrap();
        let asked = camera.asked();
        assert!(!asked[0].contains("UsernameToken"), "the clock is read without a login");
        assert!(asked[1].contains(&format!("<wsu:Created>{theirs}</wsu:Created>")), "{}", asked[1]);
    }
}

#[tokio::test]
async fn a_digest_challenge_is_answered_once_and_kept() {
    let challenge = "WWW-Authenticate: Digest realm=\"cam\", qop=\"auth\", nonce=\"abc\", algorithm=MD5\r\n";
    let replies = vec![http("401 Unauthorized", challenge, ""), ok(&body("<R/>")), ok(&body("<R/>"))];
    let camera = Canned::start(replies).await;
    let mut client = camera.client(&clock());
    ask(&mut client).await.unwrap();
    ask(&mut client).await.unwrap();
    let asked = camera.asked();
    let digest = |text: &str| text.to_ascii_lowercase().contains("authorization: digest username=\"admin\"");
    assert!(asked[0].contains("UsernameToken") && !digest(&asked[0]));
    for again in &asked[1..] {
        assert!(digest(again) && !again.contains("UsernameToken"), "{again}");
    }
}

#[tokio::test]
async fn a_refused_login_is_tried_twice_at_most() {
    let challenge = "WWW-Authenticate: Digest realm=\"cam\", qop=\"auth\", nonce=\"abc\"\r\n";
    let no = http("401 Unauthorized", challenge, "");
    let camera = Canned::start(vec![no.clone(), no.clone(), no]).await;
    let error = ask(&mut camera.client(&clock())).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Unauthorized);
    assert_eq!(camera.asked().len(), 2);
}

#[tokio::test]
async fn a_password_is_never_sent_readable() {
    let camera =
        Canned::start(vec![http("401 Unauthorized", "WWW-Authenticate: Basic realm=\"cam\"\r\n", "")]).await;
    let error = ask(&mut camera.client(&clock())).await.unwrap_err();
    assert!(error.to_string().contains("Basic without TLS"), "{error}");
    assert_eq!((error.fault(), camera.asked().len()), (Fault::Unauthorized, 1));
    assert!(!camera.asked()[0].contains("camera1"));
}

#[tokio::test]
async fn a_clock_that_moved_explains_a_refused_login() {
    let no = body(
        "<Fault><Code><Value>Sender</Value><Subcode><Value>ter:NotAuthorized</Value></Subcode></Code></Fault>",
    );
    let (no, yes) = (http("400 Bad Request", "", &no), ok(&body("<R/>")));
    let moved = Canned::start(vec![no.clone(), ok(&clock_reply(NOW.plus_ms(3_600_000))), yes]).await;
    ask(&mut moved.client(&clock())).await.unwrap();
    let same = Canned::start(vec![no, ok(&clock_reply(NOW))]).await;
    let error = ask(&mut same.client(&clock())).await.unwrap_err();
    assert_eq!((error.fault(), same.asked().len()), (Fault::Unauthorized, 2));
}

#[tokio::test]
async fn services_are_reached_on_the_configured_host() {
    let camera = Canned::start(Vec::new()).await;
    let client = camera.client(&clock());
    let own = |path: &str| camera.url.join(path).ok();
    assert_eq!(client.on_camera("http://192.168.0.5:80/onvif/events?id=3"), own("/onvif/events?id=3"));
    assert_eq!(client.on_camera("/onvif/events"), own("/onvif/events"));
    let told = Url::parse("http://127.0.0.1:9999/x").ok();
    assert_eq!(client.on_camera("http://127.0.0.1:9999/x"), told, "another port of the same host stands");
    assert_eq!(client.on_camera("ftp://127.0.0.1/x"), None);
}

const PROFILE: &str = r#"
id = "test-camera"
class = "camera"
vendor = "test"
model = "camera"
name_zh = "摄像机"
name_en = "camera"
source = "this test"
confirmed = false
protocol = "onvif"
[[notification]]
topics = ["VideoSource/MotionAlarm"]
kind = "motion"
item = "State"
"#;

fn camera_at(address: &str) -> Camera {
    let problems = Problems::default();
    let profile = crate::profile::parse("profile.toml", PROFILE, &problems).unwrap();
    let bus = BusId::new("cameras").unwrap();
    let settings = Onvif {
        login: Some(login()),
        timeout: Duration::from_millis(500),
        probe_every: Duration::from_secs(300),
    };
    let device = Device {
        id: DeviceId::new("cam-1").unwrap(),
        name: "cam-1".into(),
        profile: Arc::new(profile),
        bus: bus.clone(),
        address: address.into(),
        place: PlaceId::new("gate").unwrap(),
        poll: Duration::from_secs(60),
        alarmed: BTreeSet::new(),
        item: None,
    };
    Camera::new(bus, settings, device)
}

fn field(clock: &Arc<ManualClock>) -> Field {
    field_and_outlet(clock).0
}

fn field_and_outlet(clock: &Arc<ManualClock>) -> (Field, Outlet) {
    testing::field(Arc::clone(clock) as Arc<dyn Clock>)
}

#[tokio::test]
async fn a_refused_login_is_not_tried_again_for_half_an_hour() {
    let no = || http("401 Unauthorized", "", "");
    let theirs = || ok(&clock_reply(NOW));
    let answers = Canned::start(vec![theirs(), no(), theirs(), theirs()]).await;
    tls::install_provider();
    let (camera, clock) = (camera_at(answers.url.as_str()), clock());
    let field = field(&clock);
    for minute in 0..30 {
        let failure = camera.open(&field).await.map(drop).unwrap_err();
        assert_eq!(failure.fault, Fault::Unauthorized, "minute {minute}");
        assert_eq!(answers.asked().len(), 3, "minute {minute}: clock, one login, clock again");
        clock.advance_ms(60_000);
    }
    let failure = camera.open(&field).await.map(drop).unwrap_err();
    assert_eq!((failure.fault, answers.asked().len()), (Fault::Unreachable, 4), "tried again after the hold");
}

#[tokio::test]
async fn an_address_that_is_none_is_a_mistake_of_configuration() {
    for address in ["", "192.168.1.64", "rtsp://a/b", "http://"] {
        let failure = camera_at(address).open(&field(&clock())).await.map(drop).unwrap_err();
        assert_eq!(failure.fault, Fault::Misconfigured, "{address}");
        assert!(failure.to_string().contains("device_service"), "{failure}");
    }
}

#[tokio::test]
async fn what_a_camera_says_wrongly_is_set_aside_and_a_state_is_no_news() {
    let note = |item: &str, operation: &str| {
        format!(
            "<NotificationMessage><Topic>tns1:VideoSource/MotionAlarm</Topic><Message><Message \
             PropertyOperation=\"{operation}\"><Data><SimpleItem Name=\"{item}\" Value=\"true\"/></Data></Message></Message>\
             </NotificationMessage>"
        )
    };
    let stranger = "<NotificationMessage><Topic>tns1:Vendor/Heartbeat</Topic></NotificationMessage>";
    let pulled =
        [note("State", "Initialized"), note("State", "Changed"), note("Wrong", "Changed"), stranger.into()];
    let events =
        "<R><Capabilities><Events><XAddr>http://10.9.8.7/onvif/events</XAddr></Events></Capabilities></R>";
    let made = "<R><SubscriptionReference><Address>http://10.9.8.7/s</Address></SubscriptionReference></R>";
    let answers = Canned::start(vec![
        ok(&clock_reply(NOW)),
        ok(&body("<R/>")),
        ok(&body("<Fault><faultcode>ter:ActionNotSupported</faultcode></Fault>")),
        ok(&body(events)),
        ok(&body(made)),
        ok(&body("<Fault><faultcode>ter:ActionNotSupported</faultcode></Fault>")),
        ok(&body(&format!("<R>{}</R>", pulled.concat()))),
        ok("<html>busy</html>"),
    ])
    .await;
    tls::install_provider();
    let (field, mut outlet) = field_and_outlet(&clock());
    let camera = camera_at(answers.url.as_str());
    let mut session = camera.open(&field).await.unwrap();
    let failure = session.run(&field).await;
    assert_eq!((failure.fault, session.delivered()), (Fault::Protocol, true));
    let mut inputs = Vec::new();
    while let Ok(parcel) = outlet.events.try_recv() {
        inputs.extend(parcel.delivery.inputs);
    }
    let said: Vec<String> = inputs
        .iter()
        .map(|input| match input {
            Input::Observed(o) => match &o.body {
                Body::Link(Link::Up) => "up".to_owned(),
                Body::Event(e) => format!("{} {} retained={}", e.kind, e.phase, o.retained),
                other => format!("{other:?}"),
            },
            Input::Refused(refused) => format!("refused {}", refused.kind),
            other => format!("{other:?}"),
        })
        .collect();
    let expected = [
        "up",
        "motion start retained=true",
        "motion start retained=false",
        "refused missing_field",
        "refused not_soap",
    ];
    assert_eq!(said, expected);
}

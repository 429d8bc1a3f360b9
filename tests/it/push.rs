//! The receiver of pushed events, driven with curl as terminals do, and with raw connections as attackers do.

use crate::daemon::{PATIENCE, until};
use crate::heard::{Heard, device, listen, listening, loopback, profile};
use crate::streams::{Streams, kept_pass};
use schoolgate::config::{BusKind, Device, PullFrom, Push, ServerTls};
use schoolgate::model::{EventKind, Fault, Link, Phase, Secret};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const MAC: &str = "4f:e4:2f:81:cd:1b";

fn push(listen: SocketAddr) -> Push {
    Push {
        listen,
        tls: None,
        login: None,
        from: loopback(),
        heartbeat: Duration::from_secs(30),
        end_after: Duration::from_secs(60),
        max_body: 2_097_152,
        pull: BTreeMap::new(),
    }
}

/// A terminal with two doors, and a clock that counts attendance.
fn devices() -> Vec<Device> {
    let (isapi, zkteco) = (profile("isapi"), profile("zkteco"));
    vec![
        device("gate", &isapi, MAC),
        device("back-door", &isapi, &format!("{MAC}#2")),
        device("clock", &zkteco, "CGXH201360029"),
    ]
}

/// Curl with what every call has; the last line of its output is the status.
fn curl(args: &[&str]) -> Child {
    Command::new("curl")
        .args(["-sS", "--noproxy", "*", "-m", "30", "-w", "\n%{http_code}"])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("curl runs")
}

/// Body and status of a finished curl.
async fn answer(curl: Child) -> (String, String) {
    let output = timeout(PATIENCE, curl.wait_with_output()).await.expect("curl ends").unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or(("", &text));
    (body.to_owned(), status.to_owned())
}

async fn ask(args: &[&str]) -> (String, String) {
    answer(curl(args)).await
}

fn pass(serial: u32, front: u32, door: u32, at: &str) -> String {
    json!({
        "ipAddress": "192.168.1.64", "portNo": 80, "protocol": "HTTP", "macAddress": MAC, "channelID": 1,
        "dateTime": at, "activePostCount": 1, "eventType": "AccessControllerEvent", "eventState": "active",
        "eventDescription": "Access Controller Event",
        "AccessControllerEvent": {
            "deviceName": "gate", "majorEventType": 5, "subEventType": 75, "cardNo": "1234567890", "name": "张三",
            "doorNo": door, "employeeNoString": "20260001", "serialNo": serial, "frontSerialNo": front,
            "currentVerifyMode": "cardOrFace", "attendanceStatus": "checkIn", "mask": "no"
        }
    })
    .to_string()
}

const AT: &str = "2026-11-19T07:31:02+08:00";

/// Files for curl to send.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_multipart_pass_with_a_picture_is_answered_after_its_commit() {
    let (at, files) = (listen(), Files::new());
    let heard = Heard::start(BusKind::Push(push(at)), &devices());
    listening(at).await;
    heard.hold(true);
    let event =
        format!("AccessControllerEvent=<{};type=application/json", files.put("e", pass(1234, 1233, 2, AT)));
    // A picture is a JPEG's beginning and a lot of bytes that look like anything.
    let picture: Vec<u8> =
        b"\xff\xd8\xff\xe0".iter().copied().chain((0..300_000u32).map(|n| (n % 251) as u8)).collect();
    let picture = format!("Picture=@{};type=image/jpeg", files.put("x.jpg", picture));
    let url = format!("http://{at}/isapi/event");
    let mut sent = curl(&["-F", &event, "-F", &picture, &url]);
    let (device, event, late) = heard.event("5/75", 1).await;
    assert_eq!((device.as_str(), event.kind, late), ("back-door", EventKind::Credential, false));
    assert_eq!(event.serial.as_deref(), Some("1234"));
    assert!(event.credential.unwrap().person.is_some());
    assert!(sent.try_wait().unwrap().is_none(), "answered before the commit");
    heard.hold(false);
    assert_eq!(answer(sent).await.1, "200");
    heard.link("gate", Link::Up).await;
    heard.link("back-door", Link::Up).await;
    let everything = format!("{:?}", heard.inputs());
    assert!(!everything.contains("张三") && !everything.contains("1234567890"), "{everything}");
    assert!(heard.refused().is_empty());
}

#[tokio::test]
async fn whoever_is_not_configured_is_told_so_and_listed() {
    let (at, files) = (listen(), Files::new());
    let heard = Heard::start(BusKind::Push(push(at)), &devices());
    listening(at).await;
    let strange = files.put("e", pass(1, 0, 1, AT).replace("4f:e4", "aa:bb"));
    let data = format!("@{strange}");
    for _ in 0..2 {
        let url = format!("http://{at}/isapi");
        let said = ask(&["--data-binary", &data, "-H", "Content-Type: application/json", &url]).await;
        assert_eq!(said.1, "403");
        // No OK: the terminal keeps its records until somebody adopts it.
        let (body, status) =
            ask(&[&format!("http://{at}/iclock/cdata?SN=ZZZ1&options=all&pushver=2.4.1")]).await;
        assert_eq!(status, "403");
        assert!(!body.contains("OK"), "{body}");
    }
    assert_eq!(heard.strangers(), ["aa:bb:2f:81:cd:1b", "ZZZ1"], "once a minute each");
    assert!(heard.events().is_empty());
    for (path, status) in [("/", "404"), ("/admin", "404"), ("/isapi", "405")] {
        assert_eq!(ask(&[&format!("http://{at}{path}")]).await.1, status, "{path}");
    }
}

#[tokio::test]
async fn malformed_and_huge_bodies_are_quarantined_with_their_device_and_the_rest_flows() {
    let (at, files) = (listen(), Files::new());
    let kind = BusKind::Push(Push { max_body: 1_500_000, ..push(at) });
    let heard = Heard::start(kind, &devices());
    listening(at).await;
    let url = format!("http://{at}/isapi");
    let send = async |bytes: &[u8]| {
        let data = format!("@{}", files.put("b", bytes));
        ask(&["-H", "Expect:", "-H", "Content-Type: application/json", "--data-binary", &data, &url]).await.1
    };
    assert_eq!(send(pass(1, 0, 1, AT).as_bytes()).await, "200");
    let deep = "[".repeat(10_000);
    for (body, status) in [
        (b"not json".to_vec(), "200"),
        (b"{\"eventType\":\"a\",\"eventType\":\"b\"}".to_vec(), "200"),
        (deep.into_bytes(), "200"),
        (b"\xb0\xa1\xb0\xa1".to_vec(), "200"),
        (vec![b'x'; 1_000_000], "200"),
        (vec![b'x'; 1_500_001], "413"),
    ] {
        assert_eq!(send(&body).await, status, "{} bytes", body.len());
    }
    assert_eq!(send(pass(2, 1, 1, AT).as_bytes()).await, "200");
    assert_eq!(heard.events().len(), 2);
    let refused = heard.refused();
    assert_eq!(refused.len(), 6, "{refused:#?}");
    for refused in &refused {
        assert_eq!(refused.device.as_ref().map(|id| id.as_str()), Some("gate"), "{refused:?}");
        assert!(!refused.reason.is_empty() && refused.raw.is_empty() && refused.raw_len > 0, "{refused:?}");
    }
    assert_eq!(refused.last().unwrap().kind, "too_large");
}

#[tokio::test]
async fn a_zkteco_terminal_goes_through_its_whole_sequence() {
    let at = listen();
    let heard = Heard::start(BusKind::Push(push(at)), &devices());
    listening(at).await;
    let sn = "CGXH201360029";
    let iclock = |rest: &str| format!("http://{at}/iclock/{rest}");
    let (options, status) =
        ask(&["-D", "-", &iclock(&format!("cdata?SN={sn}&options=all&pushver=2.4.1&language=83"))]).await;
    assert_eq!(status, "200");
    assert!(options.to_ascii_lowercase().contains("content-type: text/plain"), "{options}");
    assert!(options.contains(&format!("GET OPTION FROM: {sn}\nATTLOGStamp=0\n")), "{options}");
    heard.link("clock", Link::Up).await;
    assert_eq!(ask(&[&iclock(&format!("getrequest.aspx?SN={sn}"))]).await, ("OK".into(), "200".into()));
    let now =
        jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string();
    let records = format!("1001\t{now}\t0\t15\t0\t0\n1002\t2026-03-02 07:31:00\t1\t1\t0\t0\nbroken line\n");
    let post = iclock(&format!("cdata?SN={sn}&table=ATTLOG&Stamp=9999"));
    for _ in 0..2 {
        assert_eq!(ask(&["--data-binary", &records, &post]).await, ("OK: 3".into(), "200".into()));
    }
    let events = heard.events();
    let told: Vec<(&str, bool)> =
        events.iter().map(|(_, event, late)| (event.code.as_deref().unwrap_or(""), *late)).collect();
    assert!(told[0].0.starts_with("0/15") && !told[0].1, "{told:?}");
    assert!(told[1].0.starts_with("1/1") && told[1].1, "kept by the terminal since March: {told:?}");
    let serial = |n: usize| events[n].1.serial.clone().expect("a number");
    assert_eq!((serial(0), serial(1)), (serial(2), serial(3)), "what is sent again is known again");
    assert_ne!(serial(0), serial(1));
    assert_eq!(heard.refused().len(), 2, "the broken line of each upload");
    let done = iclock(&format!("devicecmd?SN={sn}"));
    assert_eq!(ask(&["--data-binary", "ID=1&Return=0&CMD=CHECK", &done]).await, ("OK".into(), "200".into()));
    let (options, _) = ask(&[&iclock(&format!("cdata?SN={sn}&options=all"))]).await;
    assert!(options.contains("\nATTLOGStamp=9999\n"), "it goes on behind what it sent: {options}");
}

#[tokio::test]
async fn a_login_is_asked_for_and_a_certificate_shown() {
    let (at, files) = (listen(), Files::new());
    let (cert, key) = (files.0.path().join("cert.pem"), files.0.path().join("key.pem"));
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=schoolgate"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .expect("openssl runs");
    assert!(made.status.success());
    let read = |path| std::fs::read_to_string(path).unwrap();
    let tls = ServerTls { cert_pem: read(&cert).into_bytes(), key_pem: Secret::from_file_text(&read(&key)) };
    let login = Some(Streams::login("right-1"));
    let secure = listen();
    let plain = Heard::start(BusKind::Push(Push { login: login.clone(), ..push(at) }), &devices());
    let tls = Heard::start(BusKind::Push(Push { login, tls: Some(tls), ..push(secure) }), &devices());
    listening(at).await;
    listening(secure).await;
    let cacert = cert.to_str().unwrap();
    let heartbeat = format!("{{\"macAddress\":\"{MAC}\",\"eventType\":\"heartBeat\"}}");
    for (at, scheme, args, status) in [
        (at, "http", vec![], "401"),
        (at, "http", vec!["--digest", "-u", "admin:right-1"], "200"),
        (at, "http", vec!["--digest", "-u", "admin:wrong"], "401"),
        // Basic would send the password readable, so it is not taken.
        (at, "http", vec!["--basic", "-u", "admin:right-1"], "401"),
        (secure, "https", vec!["--cacert", cacert, "--basic", "-u", "admin:right-1"], "200"),
        (secure, "https", vec!["--cacert", cacert, "--anyauth", "-u", "admin:right-1"], "200"),
        (secure, "https", vec!["--cacert", cacert, "--digest", "-u", "admin:wrong"], "401"),
    ] {
        let url = format!("{scheme}://{at}/isapi");
        let said = ask(&[args.as_slice(), &["--data-binary", &heartbeat, &url]].concat()).await;
        assert_eq!(said.1, status, "{args:?} {scheme}");
    }
    plain.link("gate", Link::Up).await;
    tls.link("gate", Link::Up).await;
}

#[tokio::test]
async fn a_gap_is_filled_by_asking_the_terminal_or_counted() {
    let mut terminal = Streams::start().await;
    let (at, files) = (listen(), Files::new());
    let pull = PullFrom { url: terminal.url().parse().unwrap(), login: Streams::login("right-1") };
    let devices = devices();
    let pull = [(devices[0].id.clone(), pull)].into();
    let heard = Heard::start(BusKind::Push(Push { pull, ..push(at) }), &devices);
    listening(at).await;
    let time = |second: u32| format!("2026-11-19T07:31:{second:02}+00:00");
    let kept: Vec<_> = (10..=15).map(|n| kept_pass(n, &time(n))).collect();
    terminal.order(json!({"passes": kept})).await;
    let url = format!("http://{at}/isapi");
    let send = async |serial: u32, front: u32| {
        let data = format!("@{}", files.put("b", pass(serial, front, 1, &time(serial % 60))));
        let said = ask(&["-H", "Content-Type: application/json", "--data-binary", &data, &url]).await;
        assert_eq!(said.1, "200");
    };
    send(10, 9).await;
    send(11, 10).await;
    send(15, 14).await;
    let serials = || {
        let mut serials: Vec<(u32, bool)> = heard
            .events()
            .into_iter()
            .map(|(_, event, late)| (event.serial.unwrap().parse().unwrap(), late))
            .collect();
        serials.sort_unstable();
        serials
    };
    until("the gap is filled", async || (serials().len() == 6).then_some(())).await;
    let wanted = [(10, false), (11, false), (12, true), (13, true), (14, true), (15, false)];
    assert_eq!(serials(), wanted, "each once, those that were asked for late");
    let counted = |left: bool| {
        let family = if left { &heard.tally.gaps_left } else { &heard.tally.gaps };
        family.all().into_iter().map(|(_, n)| n).sum::<u64>()
    };
    assert_eq!((counted(false), counted(true)), (1, 0));
    // The terminal has not kept these.
    send(20, 19).await;
    until("a gap is left", async || (counted(true) == 1).then_some(())).await;
    assert_eq!(counted(false), 2);
}

#[tokio::test]
async fn a_silent_terminal_is_down_and_a_state_not_told_again_is_over() {
    let (at, files) = (listen(), Files::new());
    let (heartbeat, end_after) = (Duration::from_millis(400), Duration::from_millis(600));
    let heard = Heard::start(BusKind::Push(Push { heartbeat, end_after, ..push(at) }), &devices());
    listening(at).await;
    let alert = format!(
        "<EventNotificationAlert version=\"1.0\" xmlns=\"urn:psialliance-org\"><macAddress>{MAC}</macAddress>\
         <channelID>1</channelID><eventType>VMD</eventType><eventState>active</eventState></EventNotificationAlert>"
    );
    let data = format!("@{}", files.put("b", alert));
    let url = format!("http://{at}/isapi");
    assert_eq!(ask(&["-H", "Content-Type: application/xml", "--data-binary", &data, &url]).await.1, "200");
    let (_, event, _) = heard.event("VMD", 2).await;
    assert_eq!(event.phase, Phase::End);
    heard.link("gate", Link::Down(Fault::Unreachable)).await;
    let heartbeat = format!("{{\"macAddress\":\"{MAC}\",\"eventType\":\"heartBeat\"}}");
    assert_eq!(ask(&["--data-binary", &heartbeat, &url]).await.1, "200");
    heard.link("gate", Link::Up).await;
}

#[tokio::test]
async fn two_hundred_slow_connections_stop_nobody() {
    let (at, files) = (listen(), Files::new());
    let heard = Heard::start(BusKind::Push(push(at)), &devices());
    listening(at).await;
    let mut slow = Vec::new();
    for n in 0..200u32 {
        // From eight of this machine's addresses.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 1, u8::try_from(n % 8).unwrap() + 1], 0))).unwrap();
        let mut stream = socket.connect(at).await.unwrap();
        let begun: &[u8] = if n.is_multiple_of(2) {
            b"POST /isapi HTTP/1.1\r\nHost: x\r\nX-"
        } else {
            b"POST /isapi HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{"
        };
        stream.write_all(begun).await.unwrap();
        slow.push(stream);
    }
    let data = format!("@{}", files.put("b", pass(1, 0, 1, AT)));
    let url = format!("http://{at}/isapi");
    for _ in 0..5 {
        let said =
            ask(&["-m", "5", "-H", "Content-Type: application/json", "--data-binary", &data, &url]).await;
        assert_eq!(said.1, "200");
    }
    heard.event("5/75", 5).await;
    // A head that never ends is given up.
    let ended = timeout(PATIENCE, slow[0].read(&mut [0; 1024])).await.expect("it is closed");
    assert!(matches!(ended, Ok(_) | Err(_)));
    let closed = async |stream: &mut TcpStream| {
        let mut rest = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut rest)).await.is_ok()
    };
    assert!(closed(&mut slow[2]).await, "its connection is closed by the receiver");
}

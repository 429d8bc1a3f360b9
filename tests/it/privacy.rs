//! What names a child does not get in: a thousand passes with names, numbers and photographs, and the bytes of
//! everything that is written, shown or sent, searched in every spelling.

use crate::daemon::{Daemon, PATIENCE, School, device, mqtt_bus, until};
use crate::mosquitto::Mosquitto;
use crate::rig::free_port;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use schoolgate::model::{DeviceId, Mono, Now, Personal, PointId, PointKind, Reading, Stamp, Unit, Wall};
use schoolgate::pipeline::{Commit, StoredReading};
use schoolgate::store::{self, Store};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

/// Passes of each source.
const PASSES: usize = 1000;
/// The terminal's address, and its id, which must be found where the rest must not.
const ADDRESS: &str = "1305433";
const TERMINAL: &str = "terminal-east";
/// Others: a barrier, a terminal that pushes over HTTP, and a clock that counts attendance.
const BARRIER: &str = "265e1040-85e01fb7";
const MAC: &str = "4f:e4:2f:81:cd:1b";
const SERIAL: &str = "CGXH201360029";
/// Nothing is to be left of an erased person within this time.
const ERASED_WITHIN: Duration = Duration::from_secs(60);

/// A platform that takes everything and keeps it as it came.
struct Platform {
    address: String,
    bodies: Arc<Mutex<Vec<u8>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Platform {
    async fn start() -> Self {
        let bodies: Arc<Mutex<Vec<u8>>> = Arc::default();
        let routes = Router::new().fallback(take).with_state(Arc::clone(&bodies));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        #[expect(clippy::disallowed_methods, reason = "a task of the test, cut off when it ends")]
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.expect("it serves") });
        Self { address, bodies, task }
    }

    fn received(&self) -> Vec<u8> {
        self.bodies.lock().expect("lock").clone()
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(State(bodies): State<Arc<Mutex<Vec<u8>>>>, body: Bytes) -> impl IntoResponse {
    bodies.lock().expect("lock").extend_from_slice(&body);
    axum::Json(json!({"code": "1", "message": "ok"}))
}

struct Scene {
    broker: Mosquitto,
    platform: Platform,
    school: School,
    /// Where the gateway's own MQTT listener and the receiver of pushed events listen.
    own: u16,
    push: u16,
}

impl Scene {
    async fn new() -> Self {
        let (broker, platform) = (Mosquitto::start().await, Platform::start().await);
        let (own, push) = (free_port(), free_port());
        let field = [
            mqtt_bus(&broker),
            device(TERMINAL, "face-rec-mqtt", ADDRESS),
            device("th", "aqara-wsdcgq11lm", "th"),
            device("barrier", "vzenith-plate-reader", BARRIER),
            format!("[[bus]]\nid = 'own'\nkind = 'mqtt-listener'\nplain_listen = '127.0.0.1:{own}'\n"),
            device("terminal-own", "face-rec-mqtt", "2001").replace("'mqtt'", "'own'")
                + "username = 'own'\npassword_file = 'secret'\n",
            format!("[[bus]]\nid = 'push'\nkind = 'http-push'\nlisten = '127.0.0.1:{push}'\n"),
            device("hik", "hikvision-ds-k1t", MAC).replace("'mqtt'", "'push'"),
            device("clock", "zkteco-attendance-push", SERIAL).replace("'mqtt'", "'push'"),
            "[privacy]\ntrack = true\n".into(),
            "[[rule]]\nid = 'denied'\nkind = 'repeated_denied'\nclass = 'card-reader'\ncount = 3\n\
             window_secs = 3600\nsame_person = true\n"
                .into(),
            format!(
                "[[destination]]\nid = 'city'\nkind = 'shield'\nbase_url = 'http://{}/'\napp_id = 'test'\n\
                 secret_file = 'secret'\n",
                platform.address
            ),
        ];
        let school = School::new(&field.concat());
        let secret = school.config().with_file_name("secret");
        std::fs::write(&secret, "s3cret").expect("written");
        std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).expect("its bits");
        Self { broker, platform, school, own, push }
    }

    async fn daemon(&self) -> Daemon<'_> {
        let daemon = self.school.start().await;
        daemon.connected().await;
        until("the broker has the subscriptions", async || {
            self.broker.publish("zigbee2mqtt/th", br#"{"temperature":20.5}"#, &[]).await;
            (self.school.metric("schoolgate_readings_total", "").await > 0.0).then_some(())
        })
        .await;
        daemon
    }

    fn topic() -> String {
        format!("mqtt/face/{ADDRESS}/Rec")
    }

    /// Everything that was sent before is in the store when this returns.
    async fn settled(&self, mark: &str) {
        let last =
            json!({"operator": "RecPush", "info": {"RecordID": mark, "VerifyStatus": "1"}}).to_string();
        self.broker.publish(&Self::topic(), last.as_bytes(), &[]).await;
        until("the last message is stored", async || {
            (self.school.count(&format!("select count(*) from event where serial = '{mark}'")) == 1)
                .then_some(())
        })
        .await;
    }
}

/// A child as a card system knows one.
struct Child {
    name: String,
    identity: String,
    phone: String,
    card: String,
    plate: String,
    photo: String,
}

impl Child {
    fn number(n: usize) -> Self {
        let pick = |from: &str, n: usize| from.chars().nth(n % from.chars().count()).expect("a letter");
        let name = format!(
            "{}{}{}",
            pick("赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许", n),
            pick("梓浩雨欣子涵宇轩诗", n / 20),
            pick("琪墨彤睿瑶", n / 180)
        );
        let digits = format!("34042220{:02}0{}{:02}{:03}", 10 + n % 8, 1 + n % 9, 10 + n % 18, n % 1000);
        let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
        let sum: usize =
            digits.bytes().zip(weights).map(|(digit, weight)| usize::from(digit - b'0') * weight).sum();
        let identity = format!("{digits}{}", b"10X98765432"[sum % 11] as char);
        let jpeg: Vec<u8> = [0xFF, 0xD8, 0xFF, 0xE0, 0, 0x10]
            .into_iter()
            .chain(b"JFIF".iter().copied())
            .chain((0..600).map(|i| u8::try_from((i * 31 + n * 7919 + i * n) % 251).expect("a byte")))
            .collect();
        Self {
            name,
            identity,
            phone: format!("138{:08}", (55_000_000 + n * 7919) % 100_000_000),
            card: format!("00{:08}", 71_000_000 + n * 6131),
            plate: format!("皖K{:05}", (10_000 + n * 37) % 100_000),
            photo: STANDARD.encode(jpeg),
        }
    }

    /// What must not be found; of the photograph a part that is this one's alone.
    fn canaries(&self) -> [String; 6] {
        let [name, identity, phone, card, plate, photo] =
            [&self.name, &self.identity, &self.phone, &self.card, &self.plate, &self.photo].map(Clone::clone);
        [name, identity, phone, card, plate, photo.chars().skip(60).take(40).collect()]
    }

    /// What the terminal says of a pass. One child in three is known by the identity number, and one comes by car: the
    /// plate stands in place of the card.
    fn pass(&self, n: usize) -> Value {
        let credential = if n % 3 == 2 { &self.plate } else { &self.card };
        json!({"operator": "RecPush", "info": {
            "customId": if n % 3 == 1 { &self.identity } else { "0" }, "personId": self.card, "RecordID": n.to_string(),
            "VerifyStatus": if n.is_multiple_of(10) { "2" } else { "1" }, "direction": "entr", "personName": self.name,
            "persionName": self.name, "idCard": self.identity, "telnum": self.phone, "RFIDCard": credential,
            "plateNo": self.plate, "pic": format!("data:image/jpeg;base64,{}", self.photo),
            "guardian": {"name": self.name, "phones": [self.phone]},
        }})
    }
}

/// The same pass as a terminal with a fault sends it: cut off, of the wrong types, with the names where they do not
/// belong, in GBK, twice the same key.
fn malformed(child: &Child, n: usize) -> Vec<u8> {
    let mut pass = child.pass(n + 1_000_000);
    let info = &mut pass["info"];
    match n % 8 {
        0 => {
            let text = pass.to_string();
            return text.as_bytes()[..text.len() * (20 + n % 75) / 100].to_vec();
        }
        1 => info["time"] = json!(child.name),
        2 => info["RFIDCard"] = json!({"number": child.card, "of": child.name}),
        3 => pass["operator"] = json!(child.name),
        4 => info["RecordID"] = json!([child.identity, child.phone]),
        5 => return encoding_rs::GBK.encode(&pass.to_string()).0.into_owned(),
        6 => {
            let (name, card) = (&child.name, &child.card);
            return format!(r#"{{"operator":"RecPush","operator":"{name}","info":{{"RFIDCard":"{card}"}}}}"#)
                .into();
        }
        _ => info["RFIDCard"] = json!(format!("{} {} {}", child.name, child.phone, child.photo)),
    }
    pass.to_string().into_bytes()
}

/// A way in: sends everything and says what must not be found afterwards.
type Source = fn(&Scene) -> LocalBoxFuture<'_, Vec<String>>;

/// Every way in.
const SOURCES: &[Source] = &[good_passes, malformed_passes, strangers, plates, own_listener, pushed];

fn good_passes(scene: &Scene) -> LocalBoxFuture<'_, Vec<String>> {
    async {
        let children: Vec<Child> = (0..PASSES).map(Child::number).collect();
        let lines: Vec<String> = children.iter().enumerate().map(|(n, c)| c.pass(n).to_string()).collect();
        scene.broker.publish_lines(&Scene::topic(), &(lines.join("\n") + "\n")).await;
        // One is refused again and again, which is an alarm about a person.
        let refused = |n: usize| {
            let mut pass = children[0].pass(n);
            pass["info"]["VerifyStatus"] = json!("2");
            pass["info"]["RFIDCard"] = json!(children[0].card);
            pass["info"]["customId"] = json!("0");
            pass.to_string()
        };
        let again: Vec<String> = (0..6).map(|n| refused(50_000 + n)).collect();
        scene.broker.publish_lines(&Scene::topic(), &(again.join("\n") + "\n")).await;
        children.iter().flat_map(Child::canaries).collect()
    }
    .boxed_local()
}

fn malformed_passes(scene: &Scene) -> LocalBoxFuture<'_, Vec<String>> {
    async {
        let children: Vec<Child> = (PASSES..PASSES + 240).map(Child::number).collect();
        // Messages that are lines of one sender, but for those that are no text.
        let (texts, bytes): (Vec<Vec<u8>>, Vec<Vec<u8>>) = children
            .iter()
            .enumerate()
            .map(|(n, child)| malformed(child, n))
            .partition(|message| std::str::from_utf8(message).is_ok() && !message.contains(&b'\n'));
        let lines = texts.join(&b'\n');
        scene.broker.publish_lines(&Scene::topic(), std::str::from_utf8(&lines).expect("text")).await;
        for message in bytes {
            scene.broker.publish(&Scene::topic(), &message, &[]).await;
        }
        children.iter().flat_map(Child::canaries).collect()
    }
    .boxed_local()
}

/// A terminal that nobody configured.
fn strangers(scene: &Scene) -> LocalBoxFuture<'_, Vec<String>> {
    async {
        let children: Vec<Child> = (3000..3020).map(Child::number).collect();
        let lines: Vec<String> = children.iter().enumerate().map(|(n, c)| c.pass(n).to_string()).collect();
        scene.broker.publish_lines("mqtt/face/777/Rec", &(lines.join("\n") + "\n")).await;
        children.iter().flat_map(Child::canaries).collect()
    }
    .boxed_local()
}

fn plates(scene: &Scene) -> LocalBoxFuture<'_, Vec<String>> {
    async {
        let children: Vec<Child> = (4000..4200).map(Child::number).collect();
        let car = |(n, child): (usize, &Child)| {
            let plate = json!({"license": STANDARD.encode(&child.plate), "full_image_content": child.photo,
                "plates": [{"license": child.plate}]});
            let info = json!({"channel": 0, "result": {"PlateResult": plate}, "user_data": child.name});
            let mut car =
                json!({"id": format!("car-{n}"), "name": "ivs_result", "payload": {"AlarmInfoPlate": info}});
            match n % 4 {
                1 => car["id"] = json!({"of": child.name}),
                2 => {
                    car["payload"]["AlarmInfoPlate"]["result"]["PlateResult"]["license"] = json!(child.plate)
                }
                _ => {}
            }
            car.to_string()
        };
        let lines: Vec<String> = children.iter().enumerate().map(car).collect();
        let topic = format!("device/{BARRIER}/message/up/ivs_result");
        scene.broker.publish_lines(&topic, &(lines.join("\n") + "\n")).await;
        let stored = "select count(*) from event where device = 'barrier' and person is not null";
        until("cars are stored", async || (scene.school.count(stored) >= 100).then_some(())).await;
        children.iter().flat_map(Child::canaries).collect()
    }
    .boxed_local()
}

/// The gateway's own listener.
fn own_listener(scene: &Scene) -> LocalBoxFuture<'_, Vec<String>> {
    async {
        let children: Vec<Child> = (5000..5200).map(Child::number).collect();
        let port = scene.own.to_string();
        let login = ["-p", &port, "-i", "own", "-u", "own", "-P", "s3cret", "-q", "1", "-l"];
        let mut command = tokio::process::Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-t", "mqtt/face/2001/Rec"]).args(login);
        let mut sender =
            command.stdin(Stdio::piped()).kill_on_drop(true).spawn().expect("mosquitto_pub runs");
        let mut lines = sender.stdin.take().expect("its input");
        for (n, child) in children.iter().enumerate() {
            let bad = malformed(child, n);
            let text = if n.is_multiple_of(4) && std::str::from_utf8(&bad).is_ok() {
                bad
            } else {
                child.pass(n).to_string().into_bytes()
            };
            lines.write_all(&[text, b"\n".to_vec()].concat()).await.expect("it reads");
        }
        drop(lines);
        let ended = timeout(PATIENCE, sender.wait()).await.expect("it ends").expect("its status");
        assert!(ended.success(), "every message was acknowledged: {ended}");
        assert!(scene.school.count("select count(*) from event where device = 'terminal-own'") >= 100);
        children.iter().flat_map(Child::canaries).collect()
    }
    .boxed_local()
}

/// Terminals that push over HTTP: passes beside photographs, attendance, and lists of people that nobody asked for.
fn pushed(scene: &Scene) -> LocalBoxFuture<'_, Vec<String>> {
    async {
        let children: Vec<Child> = (6000..6150).map(Child::number).collect();
        let at = format!("http://127.0.0.1:{}", scene.push);
        let send = async |path: &str, kind: &str, body: String| {
            let request = scene.school.stranger().post(format!("{at}{path}")).header("Content-Type", kind);
            request.body(body).send().await.expect("an answer").status()
        };
        for (n, child) in children.iter().enumerate() {
            let pass = json!({
                "ipAddress": "127.0.0.1", "macAddress": MAC, "channelID": 1, "dateTime": "2026-11-19T07:31:02+08:00",
                "activePostCount": 1, "eventType": "AccessControllerEvent", "eventState": "active",
                "AccessControllerEvent": {
                    "majorEventType": 5, "subEventType": 75, "cardNo": child.card, "name": child.name, "doorNo": 1,
                    "employeeNoString": child.card, "serialNo": n, "frontSerialNo": n.saturating_sub(1),
                    "telephone": child.phone, "idCardInfo": {"name": child.name, "idNumber": child.identity},
                }
            });
            let pass = if n % 5 == 4 { pass.to_string().chars().take(300).collect() } else { pass.to_string() };
            let part = "Content-Disposition: form-data; name=\"e\"\r\nContent-Type: application/json";
            let picture = "Content-Disposition: form-data; name=\"p\"\r\nContent-Type: image/jpeg";
            let body = format!("--b\r\n{part}\r\n\r\n{pass}\r\n--b\r\n{picture}\r\n\r\n{}\r\n--b--\r\n", child.photo);
            send("/isapi", "multipart/form-data; boundary=b", body).await;
            let (table, row) = match n % 3 {
                0 => ("ATTLOG", format!("{}\t2026-11-19 07:41:05\t0\t15\t0\t0\t0\r\n", child.card)),
                1 => ("ATTLOG", format!("{}\t{}\t{}\r\n", child.card, child.name, child.identity)),
                _ => (
                    "OPERLOG",
                    format!("USER PIN={}\tName={}\tPri=0\tCard={}\r\nUSERPIC PIN={}\tContent={}\r\n",
                        child.card, child.name, child.card, child.card, child.photo),
                ),
            };
            send(&format!("/iclock/cdata?SN={SERIAL}&table={table}&Stamp={n}"), "text/plain", row).await;
        }
        for device in ["hik", "clock"] {
            let stored = format!("select count(*) from event where device = '{device}' and person is not null");
            assert!(scene.school.count(&stored) >= 50, "{device}");
        }
        children.iter().flat_map(Child::canaries).collect()
    }
    .boxed_local()
}

/// Every way in which a text may be written down.
fn spellings(text: &str) -> Vec<Vec<u8>> {
    let mut all = vec![text.as_bytes().to_vec()];
    if !text.is_ascii() {
        all.push(encoding_rs::GBK.encode(text).0.into_owned());
        all.push(text.encode_utf16().flat_map(|unit| format!("\\u{unit:04x}").into_bytes()).collect());
        all.push(text.bytes().flat_map(|byte| format!("%{byte:02X}").into_bytes()).collect());
    }
    all.push(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    all.push(text.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect());
    // Base64 of a text that holds it, wherever it begins: the letters that depend on it alone.
    for before in 0..3 {
        let padded = [vec![0; before], text.as_bytes().to_vec()].concat();
        let whole = padded.len() / 3 * 3;
        let encoded = STANDARD.encode(&padded[..whole]);
        all.push(encoded.as_bytes()[if before == 0 { 0 } else { 4 }..].to_vec());
    }
    all.retain(|spelling| spelling.len() >= PREFIX);
    all
}

/// Bytes by which a place is looked up.
const PREFIX: usize = 6;

/// What is looked for, by its first bytes.
#[derive(Default)]
struct Search(HashMap<[u8; PREFIX], Vec<(Vec<u8>, String)>>);

impl Search {
    fn of(texts: impl IntoIterator<Item = String>) -> Self {
        let mut search = Self::default();
        for text in texts {
            for spelling in spellings(&text) {
                let prefix = *spelling.first_chunk().expect("long enough");
                search.0.entry(prefix).or_default().push((spelling, text.clone()));
            }
        }
        search
    }

    /// The first of them that stands in some bytes.
    fn found(&self, bytes: &[u8]) -> Option<&str> {
        (0..bytes.len()).find_map(|at| {
            let rest = &bytes[at..];
            let here = self.0.get(rest.first_chunk::<PREFIX>()?)?;
            here.iter().find(|(spelling, _)| rest.starts_with(spelling)).map(|(_, text)| text.as_str())
        })
    }
}

/// The bytes of every file below a directory, by name.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.file_name().is_none_or(|name| name != "ballast") {
            found.push((path.display().to_string(), std::fs::read(&path).expect("a file")));
        }
    }
    found
}

/// Everything that was written, shown, exported and sent, and what must be found in it.
async fn everything(scene: &Scene) -> Vec<(String, Vec<u8>, &'static str)> {
    let school = &scene.school;
    let mut all = vec![
        ("log".to_owned(), school.log().into_bytes(), "schoolgate is ready"),
        ("metrics".into(), school.metrics().await.into_bytes(), "schoolgate_events_total"),
        ("uploads".into(), scene.platform.received(), TERMINAL),
    ];
    for (path, sure) in [
        ("/api/v1/events?limit=1000", TERMINAL),
        ("/api/v1/quarantine?limit=1000", TERMINAL),
        ("/api/v1/alarms", TERMINAL),
        ("/api/v1/strangers", ""),
        ("/api/v1/devices", TERMINAL),
    ] {
        all.push((path.into(), school.get(path).await.to_string().into_bytes(), sure));
    }
    let exports = tempfile::tempdir().expect("a directory");
    for what in ["events", "alarms"] {
        for format in ["csv", "parquet"] {
            let out = exports.path().join(format!("{what}.{format}"));
            let out_text = out.to_str().expect("a path");
            let span = ["--from", "2020-01-01", "--to", "2100-01-01"];
            let args = ["export", "--what", what, "--format", format, "--out", out_text];
            school.cli_ok("db", &[&args[..], &span].concat()).await;
            all.push((format!("{what}.{format}"), std::fs::read(&out).expect("the export"), TERMINAL));
        }
    }
    let data: Vec<(String, Vec<u8>)> = files(&school.data_dir());
    let stored: Vec<u8> = data.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    all.push(("data directory".into(), stored, TERMINAL));
    for (name, bytes) in data {
        all.push((name, bytes, ""));
    }
    all
}

#[test]
fn the_search_finds_every_spelling_wherever_it_stands() {
    let child = Child::number(7);
    let search = Search::of(child.canaries());
    let gbk = |text: &str| encoding_rs::GBK.encode(text).0.into_owned();
    for text in child.canaries() {
        for around in ["", "x", "xy", "xyz"] {
            let sentence = format!("{around}{text}{around}");
            for bytes in [
                sentence.clone().into_bytes(),
                gbk(&sentence),
                STANDARD.encode(&sentence).into_bytes(),
                json!({ "a": sentence }).to_string().into_bytes(),
            ] {
                assert_eq!(search.found(&bytes), Some(text.as_str()), "{sentence}");
            }
        }
    }
    assert_eq!(search.found("陌生人 00123 13900000000".as_bytes()), None);
}

#[tokio::test]
async fn nothing_that_names_a_child_is_stored_shown_exported_logged_or_sent() {
    let scene = Scene::new().await;
    let daemon = scene.daemon().await;
    let mut canaries = Vec::new();
    for (source, n) in SOURCES.iter().zip(0..) {
        canaries.extend(source(&scene).await);
        scene.settled(&format!("mark-{n}")).await;
    }
    assert!(scene.school.count("select count(*) from event where person is not null") >= 1000);
    assert!(scene.school.count("select count(*) from quarantine") >= 60);
    let search = Search::of(canaries);
    until("an alarm about a person was sent", async || {
        Search::of(["denied".to_owned()]).found(&scene.platform.received()).map(drop)
    })
    .await;
    let look = async |when: &str| {
        for (place, bytes, sure) in everything(&scene).await {
            if let Some(canary) = search.found(&bytes) {
                panic!("{when}: {place} holds '{canary}'");
            }
            let holds = |text: &str| bytes.windows(text.len().max(1)).any(|window| window == text.as_bytes());
            assert!(sure.is_empty() || holds(sure), "{when}: the search must find '{sure}' in {place}");
        }
    };
    look("while it runs").await;

    // A child leaves the school.
    let child = Child::number(0);
    let key = store::site_key(&scene.school.data_dir()).expect("the key");
    let pseudonym = Personal::new(child.card.clone()).pseudonym(&key);
    let left = || {
        let data = files(&scene.school.data_dir());
        let wanted = pseudonym.as_str().as_bytes();
        data.into_iter()
            .filter(|(_, b)| b.windows(32).any(|w| w == wanted))
            .map(|(n, _)| n)
            .collect::<Vec<_>>()
    };
    assert!(!left().is_empty(), "it is there before");
    let begun = Instant::now();
    let body = json!({"actor": "张老师", "person": pseudonym, "reason": "转学"});
    let request = scene.school.client().post(scene.school.url("/api/v1/people/erase")).json(&body);
    let answer = request.send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["left_in"], json!([]), "{answer}");
    assert!(begun.elapsed() < ERASED_WITHIN);
    assert_eq!(left(), Vec::<String>::new());
    assert!(answer["erased"].as_str().expect("a text").starts_with("7 events"), "{answer}");
    assert!(scene.school.cli_ok("db", &["verify"]).await.contains("ok"));
    look("after the erasure").await;

    let (status, _) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    assert_eq!(left(), Vec::<String>::new());
    // What is sealed holds no persons either; what is near the newest reading is never sealed.
    let dir = scene.school.data_dir();
    let mut store = Store::open(&dir).expect("the store");
    store.seal_rows(1);
    let later = Wall(scene.school.count("select max(arrived) from reading") + 48 * 3600 * 1000);
    store.commit(&[&Commit { readings: vec![reading(later)], ..Commit::default() }]).expect("stored");
    let mut mono = 0;
    until("something is sealed", async || {
        mono += 3_600_000;
        store.maintain(Now { mono: Mono(mono), wall: later }).expect("kept in order");
        (scene.school.count("select count(*) from sealed") > 0).then_some(())
    })
    .await;
    drop(store);
    let left = files(&dir);
    assert!(left.iter().any(|(name, _)| name.ends_with(".sgh")), "a sealed file");
    for (name, bytes) in left {
        assert_eq!(search.found(&bytes), None, "{name}");
    }
}

fn reading(at: Wall) -> StoredReading {
    let point = PointId::new("temperature").expect("an id");
    StoredReading {
        device: DeviceId::new("th").expect("an id"),
        stamp: Stamp::new(None, at),
        reading: Reading::new(point, 21.0, Unit::Celsius, PointKind::Gauge),
    }
}

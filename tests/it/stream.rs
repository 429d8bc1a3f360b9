//! The live stream of the real daemon, heard as a page hears it; the school as its pages see it; the pages themselves.

use crate::daemon::{PATIENCE, School, device, mqtt_bus, until};
use crate::mosquitto::Mosquitto;
use reqwest::RequestBuilder;
use rusqlite::Connection;
use schoolgate::console::STREAMS;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

const BUTTON: &str = "zigbee2mqtt/help";
const PRESSED: &[u8] = br#"{"action":"emergency","battery":97}"#;
const GUIDANCE: &str = "[[guidance]]\nfor = ['help']\nsteps = ['去现场', '打电话']\n[[contact]]\nname = '保卫处'\n\
    phone = '0554-4022222'\nfor = ['help']\n[[contact]]\nname = '消防'\nphone = '119'\nfor = ['fire']\n";

/// Whoever asks proves who they are here.
fn known(request: RequestBuilder, school: &School) -> RequestBuilder {
    request.bearer_auth(school.token())
}

/// A message of the stream.
#[derive(Debug, Clone, PartialEq)]
struct Message {
    id: Option<u64>,
    event: String,
    data: Value,
}

/// A page that listens.
struct Page {
    answer: reqwest::Response,
    unread: Vec<u8>,
}

impl Page {
    /// Opens a stream, after the message of that number; or the status and problem.
    async fn open(school: &School, after: Option<u64>) -> Result<Self, (u16, Value)> {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut request = known(client.get(school.url("/api/v1/stream")), school);
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let answer = request.send().await.expect("an answer");
        if answer.status() != 200 {
            let status = answer.status().as_u16();
            return Err((status, answer.json().await.expect("a problem")));
        }
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        Ok(Self { answer, unread: Vec::new() })
    }

    /// The next message; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n") {
                let text: Vec<u8> = self.unread.drain(..end + 2).collect();
                let text = String::from_utf8(text).expect("UTF-8");
                let field =
                    |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                let Some(event) = field("event") else { continue };
                return Some(Message {
                    id: field("id").map(|id| id.parse().expect("a number")),
                    event: event.to_owned(),
                    data: serde_json::from_str(field("data").expect("data")).expect("JSON"),
                });
            }
            let more = timeout(PATIENCE, self.answer.chunk()).await.expect("something comes");
            self.unread.extend(more.ok().flatten()?);
        }
    }

    /// The next message of a kind.
    async fn next_of(&mut self, event: &str) -> Message {
        let found = async {
            loop {
                let message = self.next().await.unwrap_or_else(|| panic!("the stream ended before {event}"));
                if message.event == event {
                    return message;
                }
            }
        };
        timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("there was no {event}"))
    }
}

/// A school with a help button on the plan of its gate.
async fn school(broker: &Mosquitto) -> School {
    let button = device("help", "tuya-ts0215a", "help") + "name = '求助按钮'\nat = [0.25, 0.75]\n";
    let field = String::from("name = '南大门'\nplan = 'gate.svg'\n") + &mqtt_bus(broker) + &button + GUIDANCE;
    let school = School::new(&field);
    std::fs::write(school.config().with_file_name("gate.svg"), PLAN).expect("the plan");
    school
}

const PLAN: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";

async fn acknowledge(school: &School, alarm: &Value) {
    let url = school.url(&format!("/api/v1/alarms/{alarm}/acknowledge"));
    let order = school.client().post(url).json(&json!({"actor": "王老师", "note": "去看"}));
    assert_eq!(order.send().await.expect("an answer").status(), 200);
}

fn last_step(school: &School) -> u64 {
    u64::try_from(school.count("select coalesce(max(seq), 0) from alarm_change")).expect("a number")
}

#[tokio::test]
async fn a_page_hears_how_all_stands_and_then_every_step_by_its_number_over_a_restart() {
    let mut broker = Mosquitto::start().await;
    let school = school(&broker).await;
    let daemon = school.start().await;
    daemon.connected().await;
    let mut page = Page::open(&school, None).await.expect("a stream");
    let hello = page.next().await.expect("a first message");
    assert_eq!((hello.event.as_str(), hello.id), ("hello", Some(0)));
    assert_eq!(hello.data["alarms"], json!([]));
    assert_eq!(hello.data["version"], env!("CARGO_PKG_VERSION"));
    let state = page.next_of("state").await;
    assert!(state.id.is_none() && state.data["zones"].is_array(), "{state:?}");
    let beat = page.next_of("beat").await;
    let next = timeout(Duration::from_secs(5), page.next_of("beat")).await.expect("within five seconds");
    assert!(beat.id.is_none() && next.data["at"].as_i64() > beat.data["at"].as_i64(), "{beat:?} {next:?}");

    broker.publish(BUTTON, PRESSED, &[]).await;
    let raised = page.next_of("alarm").await;
    assert_eq!(raised.id, Some(1));
    let alarm = &raised.data["alarm"];
    for (field, wanted) in [
        ("class", json!("help")),
        ("device_name", json!("求助按钮")),
        ("steps", json!(["去现场", "打电话"])),
        ("contacts", json!([{"name": "保卫处", "phone": "0554-4022222"}])),
        ("place_path", json!({"zh": "南大门", "en": "南大门"})),
    ] {
        assert_eq!(alarm[field], wanted, "{field}");
    }
    assert_eq!(
        (&raised.data["change"]["kind"], &raised.data["change"]["actor"]),
        (&json!("raised"), &json!("gateway"))
    );
    let mut one = school.get(&format!("/api/v1/alarms/{}", alarm["id"])).await;
    for more in ["history", "explains"] {
        one.as_object_mut().expect("an alarm").remove(more).expect(more);
    }
    assert_eq!(*alarm, one, "as the API has it");
    for (query, wanted) in [
        ("state=unacknowledged&class=help&priority=critical&place=gate&device=help&rule=help&from=0", 1),
        ("class=help", 1),
        ("class=fire", 0),
        ("state=acknowledged", 0),
        ("state=closed&class=help", 0),
        ("place=elsewhere", 0),
        ("to=1", 0),
    ] {
        let rows = school.rows(&format!("/api/v1/alarms?{query}")).await;
        assert_eq!(rows.len(), wanted, "{query}");
    }
    for query in ["state=gone", "class=Fire", "priority=1", "place=%2e", "from=today"] {
        let url = school.url(&format!("/api/v1/alarms?{query}"));
        let refused = school.client().get(url).send().await.expect("an answer");
        assert_eq!(refused.status(), 400, "{query}");
    }
    acknowledge(&school, &alarm["id"]).await;
    let taken = page.next_of("alarm").await;
    assert_eq!((taken.id, &taken.data["change"]["actor"]), (Some(2), &json!("王老师")));
    assert_eq!(last_step(&school), 2);

    // Away from here on: what happens meanwhile is told to whoever comes back.
    drop(page);
    let url = school.url(&format!("/api/v1/alarms/{}/reset", alarm["id"]));
    let reset = school.client().post(url).json(&json!({"actor": "李保安"}));
    assert_eq!(reset.send().await.expect("an answer").status(), 200);
    let (status, took) = daemon.terminate().await;
    assert!(status.success() && took < Duration::from_secs(2), "{took:?}");
    let daemon = school.start().await;
    daemon.connected().await;
    let mut page = Page::open(&school, Some(2)).await.expect("a stream");
    let first = page.next().await.expect("what was missed");
    assert_eq!((first.id, &first.data["change"]["kind"]), (Some(3), &json!("reset")), "no hello");
    assert_eq!(first.data["change"]["actor"], "李保安");
    let closed = page.next().await.expect("what was missed");
    assert_eq!((closed.id, &closed.data["change"]["kind"]), (Some(4), &json!("closed")));
    broker.publish(BUTTON, PRESSED, &[]).await;
    let again = page.next_of("alarm").await;
    assert_eq!((again.id, last_step(&school)), (Some(5), 5), "the numbers go on");
    assert_ne!(again.data["alarm"]["id"], *alarm.get("id").expect("an id"));

    // Whoever was never here, and whoever heard what never was, is told how all stands.
    let mut lost = Page::open(&school, Some(1_000_000)).await.expect("a stream");
    assert_eq!(lost.next().await.expect("a message").event, "reload");
    let hello = lost.next().await.expect("a message");
    assert_eq!((hello.id, hello.data["alarms"].as_array().map(Vec::len)), (Some(5), Some(1)));

    let up = lost.next_of("device").await;
    assert_eq!((&up.data["id"], &up.data["state"]), (&json!("help"), &json!("up")));
    broker.stop().await;
    let down = lost.next_of("device").await;
    assert_eq!((&down.data["id"], &down.data["state"]), (&json!("help"), &json!("down")), "{down:?}");
    assert!(down.data["fault"].is_string() && down.data["advice"]["zh"].is_string(), "{down:?}");
}

#[tokio::test]
async fn no_more_than_so_many_listen_and_a_stop_ends_them_all_at_once() {
    let school = School::new("");
    let daemon = school.start().await;
    let mut pages = Vec::new();
    for _ in 0..STREAMS {
        let mut page = Page::open(&school, None).await.expect("a stream");
        assert_eq!(page.next().await.expect("a message").event, "hello");
        pages.push(page);
    }
    let (status, problem) = Page::open(&school, None).await.err().expect("no room");
    assert_eq!((status, &problem["status"]), (503, &json!(503)));
    assert!(problem["detail"].is_string() && problem["detail_zh"].is_string(), "{problem}");
    pages.pop();
    let again = until("a place is free", async || Page::open(&school, None).await.ok()).await;
    pages.push(again);
    let bad = school.client().get(school.url("/api/v1/stream?after=first"));
    assert_eq!(bad.send().await.expect("an answer").status(), 400);

    let (status, took) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
    for page in &mut pages {
        while page.next().await.is_some() {}
    }
}

#[tokio::test]
async fn a_page_that_does_not_read_is_cut_off_and_the_others_hear_on() {
    let broker = Mosquitto::start().await;
    let school = school(&broker).await;
    let daemon = school.start().await;
    daemon.connected().await;
    broker.publish(BUTTON, PRESSED, &[]).await;
    until("the alarm is stored", async || (last_step(&school) == 1).then_some(())).await;
    daemon.kill().await;
    // A long history, as after a day of chatter.
    let db = Connection::open(school.data_dir().join("schoolgate.db")).expect("the database");
    db.execute(
        "with recursive n(i) as (select 2 union all select i + 1 from n where i < 1900) \
         insert into alarm_change (seq, alarm, kind, at, actor, note) \
         select i, 1, 'chattering', 1790000000000 + i, 'gateway', ?1 from n",
        ["很长的备注".repeat(180)],
    )
    .expect("a history");
    drop(db);
    let daemon = school.start().await;

    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small window");
    let address = school.url("").trim_start_matches("http://").parse().expect("an address");
    let mut deaf = socket.connect(address).await.expect("a connection");
    let token = school.token();
    let request = format!(
        "GET /api/v1/stream?after=0 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    deaf.write_all(request.as_bytes()).await.expect("sent");
    let mut begin = [0; 15];
    deaf.read_exact(&mut begin).await.expect("an answer");
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
    let mut others = Vec::new();
    for _ in 1..STREAMS {
        others.push(Page::open(&school, None).await.expect("a stream"));
    }
    assert_eq!(Page::open(&school, None).await.err().map(|(status, _)| status), Some(503));
    let began = Instant::now();
    let hears = &mut others[0];
    let cut_off =
        async { until("the deaf page is cut off", async || Page::open(&school, None).await.ok()).await };
    let hear = async {
        hears.next_of("hello").await;
        loop {
            let beat = timeout(Duration::from_secs(5), hears.next_of("beat")).await;
            assert!(beat.is_ok(), "the others hear nothing any more");
        }
    };
    tokio::select! {
        _page = cut_off => {}
        () = hear => {}
    }
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    until("it is told", async || school.log().contains("did not keep up").then_some(())).await;
    let (status, took) = daemon.terminate().await;
    assert!(status.success() && took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn the_school_is_shown_with_its_plans_and_no_script_of_a_plan_runs() {
    let broker = Mosquitto::start().await;
    let school = school(&broker).await;
    let _daemon = school.start().await;
    let site = school.get("/api/v1/site").await;
    assert_eq!((&site["name"], &site["gateway"]), (&json!("测试小学"), &json!("gw-test")));
    assert_eq!(site["timezone"], "Asia/Shanghai");
    let place = &site["places"][0];
    assert_eq!((&place["id"], &place["plan"]), (&json!("gate"), &json!("/api/v1/places/gate/plan")));
    assert_eq!((&place["x"], &place["kind"]), (&Value::Null, &json!("room")));
    let button = &site["devices"][0];
    assert_eq!((&button["x"], &button["y"], &button["place"]), (&json!(0.25), &json!(0.75), &json!("gate")));
    assert_eq!(site["guidance"], json!([{"rule": null, "class": "help", "steps": ["去现场", "打电话"]}]));
    assert_eq!(site["contacts"][1], json!({"name": "消防", "phone": "119", "for": ["fire"]}));
    assert_eq!(site["responses"], json!([]));

    let plan = school.client().get(school.url("/api/v1/places/gate/plan"));
    let plan = plan.send().await.expect("an answer");
    assert_eq!(plan.headers()["content-type"], "image/svg+xml");
    let policy = plan.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert_eq!(policy, "default-src 'none'; style-src 'unsafe-inline'; sandbox");
    assert_eq!(plan.headers()["x-content-type-options"], "nosniff");
    assert_eq!(plan.text().await.expect("the plan"), PLAN);
    for path in ["/api/v1/places/other/plan", "/api/v1/places/..%2fgate.svg/plan"] {
        let none = school.client().get(school.url(path)).send().await.expect("an answer");
        assert_eq!(none.status(), 404, "{path}");
    }
}

/// The status and body of a request that no client would write.
async fn raw(school: &School, request: &str) -> (u16, String) {
    let address = school.url("").trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let text = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("in time").expect("an answer");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status =
        answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer}"));
    (status, answer)
}

#[tokio::test]
async fn pages_are_those_of_the_program_and_no_path_leads_out_of_it() {
    let school = School::new("");
    let _daemon = school.start().await;
    // With pages or without: that depends on how the program was built.
    let (index, text) = raw(&school, "GET /").await;
    assert!(matches!(index, 200 | 501), "{text}");
    for header in
        ["content-security-policy: default-src 'none'; script-src 'self';", "x-content-type-options: nosniff"]
    {
        assert!(text.to_ascii_lowercase().contains(header), "{header}: {text}");
    }
    for path in ["/alarms", "/devices/em-01", "/%E6%A0%A1%E9%97%A8"] {
        assert_eq!(raw(&school, &format!("GET {path}")).await.0, index, "{path}");
    }
    let (status, text) = raw(&school, "HEAD /").await;
    let (_, body) = text.split_once("\r\n\r\n").expect("an end of the head");
    assert_eq!((status, body), (index, ""));
    for path in [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/assets/../../Cargo.toml",
        "/assets/%2e%2e/%2e%2e/Cargo.toml",
        "/assets/..%5c..%5cCargo.toml",
        "/assets\\..\\Cargo.toml",
        "//etc/passwd",
        "/assets//etc/passwd",
        "/assets/index.js%00.css",
        "/assets/none-12345678.js",
        "/none.txt",
        "/api/v2/alarms",
    ] {
        let (status, text) = raw(&school, &format!("GET {path}")).await;
        assert!(matches!(status, 400 | 404), "{path}: {text}");
        assert!(!text.contains("root:") && !text.contains("[package]"), "{path}: {text}");
    }
    let (status, _) = raw(&school, "DELETE /alarms").await;
    assert_eq!(status, 404);
}

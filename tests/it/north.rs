//! Uplinks against real HTTP servers that check signatures and tokens by the documented rules, in code of their own.

use crate::daemon;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use schoolgate::config::{Agreed, Destination, DestinationKind, Site};
use schoolgate::model::{
    Actor, Alarm, AlarmChange, AlarmClass, AlarmId, AlarmKey, ChangeKind, DestinationId, DeviceId,
    OutboxItem, PointId, PointKind, Priority, Record, RollUp, RuleId, Secret, Text, Unit, Wall,
};
use schoolgate::northbound::{Owed, Uplink, UplinkError, UplinkState};
use schoolgate::runtime::{SystemClock, Tally, Tasks};
use schoolgate::store::{Settlement, StoreError};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Notify, watch};

const SECRET: &str = "s3cret-of-the-school";

/// An outbox in memory.
#[derive(Clone)]
struct Outbox {
    rows: Arc<Mutex<BTreeMap<DestinationId, Vec<OutboxItem>>>>,
    set_aside: Arc<Mutex<Vec<(u64, String)>>>,
    changed: watch::Sender<u64>,
}

impl Outbox {
    fn new() -> Self {
        Self { rows: Arc::default(), set_aside: Arc::default(), changed: watch::channel(0).0 }
    }

    fn owe(&self, item: OutboxItem) {
        let mut rows = self.rows.lock().expect("lock");
        let list = rows.entry(item.destination.clone()).or_default();
        list.push(item);
        list.sort_by_key(|i| (i.record.lane(), i.seq));
        self.changed.send_modify(|n| *n += 1);
    }

    fn left(&self, to: &DestinationId) -> usize {
        self.rows.lock().expect("lock").get(to).map_or(0, Vec::len)
    }
}

impl Owed for Outbox {
    async fn owed(&self, to: &DestinationId, limit: usize) -> Result<Vec<OutboxItem>, StoreError> {
        let rows = self.rows.lock().expect("lock");
        Ok(rows.get(to).into_iter().flatten().take(limit).cloned().collect())
    }

    async fn settle(&self, to: &DestinationId, answer: Settlement) -> Result<(), StoreError> {
        let aside: Vec<u64> = answer.set_aside.iter().map(|s| s.0).collect();
        let mut rows = self.rows.lock().expect("lock");
        let list = rows.get_mut(to).expect("a known destination");
        list.retain(|i| !answer.delivered.contains(&i.seq) && !aside.contains(&i.seq));
        self.set_aside.lock().expect("lock").extend(answer.set_aside);
        Ok(())
    }

    fn owed_changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

fn item(to: &DestinationId, seq: u64, record: Record) -> OutboxItem {
    let created = Wall(1_790_000_000_000);
    OutboxItem { seq, destination: to.clone(), uid: format!("gw-1:{seq}"), created, record }
}

fn aggregate(to: &DestinationId, seq: u64) -> OutboxItem {
    let record = Record::Aggregate(RollUp {
        device: DeviceId::new("meter-1").expect("id"),
        point: PointId::new("energy").expect("id"),
        unit: Unit::KilowattHour,
        kind: PointKind::Counter,
        start: Wall(1_790_000_100_000),
        period_secs: 900,
        count: 3,
        sum: 6.0,
        min: 1.0,
        max: 3.0,
        last: 3.0,
        delta: Some(2.0),
        revision: 0,
    });
    item(to, seq, record)
}

fn alarm(to: &DestinationId, seq: u64) -> OutboxItem {
    let at = Wall(1_790_000_000_000);
    let alarm = Alarm {
        id: AlarmId(seq),
        key: AlarmKey { rule: RuleId::new("help").expect("id"), subject: "help-1".into() },
        class: AlarmClass::Help,
        priority: Priority::Critical,
        device: Some(DeviceId::new("help-1").expect("id")),
        place: None,
        what: Text::new("紧急求助", "help button"),
        raised_at: at,
        active: true,
        occurrences: 1,
        cleared_at: None,
        acknowledged: None,
        latched: true,
        reset: None,
        closed_at: None,
        marks: schoolgate::model::Marks::default(),
    };
    let change =
        AlarmChange { kind: ChangeKind::Raised, at, actor: Actor::gateway(), note: String::new(), alarm };
    item(to, seq, Record::Alarm(change))
}

fn destination(id: &str, kind: DestinationKind, address: SocketAddr) -> Destination {
    Destination {
        id: DestinationId::new(id).expect("id"),
        kind,
        base_url: format!("http://{address}/edge"),
        app_id: "AP000001".into(),
        secret: Secret::from_file_text(SECRET),
        max_records: 10,
        max_bytes: 65_536,
        timeout: Duration::from_secs(10),
        ca_pem: None,
        agreed: Agreed::default(),
    }
}

fn site() -> Site {
    Site {
        gateway: DeviceId::new("gw-1").expect("id"),
        name: "第一小学".into(),
        school_code: Some("3134000001".into()),
        zone: jiff::tz::TimeZone::UTC,
    }
}

/// What a platform saw.
#[derive(Default)]
struct Platform {
    uids: Mutex<Vec<String>>,
    refused: Mutex<Vec<String>>,
    tokens: AtomicU32,
    asked: AtomicU32,
    elsewhere: AtomicU32,
    gate: Notify,
}

impl Platform {
    fn take(&self, body: &Bytes) {
        let body: Value = serde_json::from_slice(body).expect("JSON");
        assert_eq!((&body["gateway"], &body["school_code"]), (&json!("gw-1"), &json!("3134000001")));
        let records = body["records"].as_array().expect("records");
        assert_eq!(body["count"], records.len());
        assert_eq!(body["seq_from"], records.first().expect("one")["seq"]);
        assert_eq!(body["seq_to"], records.last().expect("one")["seq"]);
        let uids = records.iter().map(|r| r["uid"].as_str().expect("uid").to_owned());
        self.uids.lock().expect("lock").extend(uids);
    }

    fn taken(&self) -> Vec<String> {
        self.uids.lock().expect("lock").clone()
    }
}

/// Checks S-Auth headers as the platform's documents say, not as the gateway's code does.
fn shield_signature_holds(uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).ok_or(format!("no {name}"));
    let b64 = base64::engine::general_purpose::STANDARD;
    let mut md5 = Md5::new();
    md5.update(body);
    if b64.encode(md5.finalize()) != header("s-content-md5")? {
        return Err("body digest".into());
    }
    let text = format!(
        "{}|{}|{}|{}|{}",
        uri.path(),
        header("s-auth-nonce")?,
        header("s-auth-timestamp")?,
        header("s-auth-appid")?,
        header("s-content-md5")?
    );
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).expect("key");
    mac.update(text.as_bytes());
    let given = b64.decode(header("s-auth-signature")?).map_err(|e| e.to_string())?;
    mac.verify_slice(&given).map_err(|_| "signature".to_owned())?;
    let age =
        jiff::Timestamp::now().as_millisecond() - header("s-auth-timestamp")?.parse::<i64>().expect("ms");
    if age.abs() > 60_000 || header("idempotency-key")?.len() != 32 || header("s-auth-version")? != "1" {
        return Err("time, key or version".into());
    }
    Ok(())
}

async fn shield(State(p): State<Arc<Platform>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    p.asked.fetch_add(1, Ordering::SeqCst);
    if let Err(why) = shield_signature_holds(&uri, &headers, &body) {
        p.refused.lock().expect("lock").push(why);
        return StatusCode::UNAUTHORIZED.into_response();
    }
    p.take(&body);
    axum::Json(json!({"code": "1", "message": "success"})).into_response()
}

async fn token(State(p): State<Arc<Platform>>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let stamp = body["timeStamp"].as_str().expect("timeStamp is text");
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(SECRET.as_bytes()).expect("key");
    mac.update(format!("AP000001{SECRET}{stamp}").as_bytes());
    let expected: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02X}")).collect();
    if body["keyInfo"] != expected || body["appId"] != "AP000001" {
        return axum::Json(json!({"retCode": "100001", "retDesc": "keyInfo"})).into_response();
    }
    let number = p.tokens.fetch_add(1, Ordering::SeqCst) + 1;
    let info = json!({"accessToken": format!("T+{number}&="), "validTime": 7200});
    axum::Json(json!({"retCode": "000000", "tokenInfo": info})).into_response()
}

async fn eduyun(State(p): State<Arc<Platform>>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    // The first token ends early, as if someone else had fetched one.
    let asked = p.asked.fetch_add(1, Ordering::SeqCst);
    let valid = format!("accessToken=T%2B{}%26%3D", p.tokens.load(Ordering::SeqCst));
    if asked == 0 || query.as_deref() != Some(&valid) {
        return (StatusCode::UNAUTHORIZED, axum::Json(json!({"retCode": "100002"}))).into_response();
    }
    p.take(&body);
    axum::Json(json!({"retCode": "000000"})).into_response()
}

/// Answers when the test opens the gate.
async fn slow(State(p): State<Arc<Platform>>, body: Bytes) -> Response {
    p.take(&body);
    p.gate.notified().await;
    axum::Json(json!({"code": "1"})).into_response()
}

async fn redirect(State(p): State<Arc<Platform>>) -> Response {
    p.asked.fetch_add(1, Ordering::SeqCst);
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/elsewhere")]).into_response()
}

async fn elsewhere(State(p): State<Arc<Platform>>) -> &'static str {
    p.elsewhere.fetch_add(1, Ordering::SeqCst);
    r#"{"code":"1"}"#
}

async fn endless() -> Vec<u8> {
    vec![b' '; 2 * 1024 * 1024]
}

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Everything that runs in a test; it ends with the test.
struct Rig {
    outbox: Outbox,
    tally: Arc<Tally>,
    tasks: Tasks,
    stop: watch::Sender<bool>,
}

impl Rig {
    fn new() -> Self {
        Self {
            outbox: Outbox::new(),
            tally: Arc::default(),
            tasks: Tasks::new(),
            stop: watch::channel(false).0,
        }
    }

    fn serve(&mut self, listener: TcpListener, router: Router<Arc<Platform>>) -> Arc<Platform> {
        let platform = Arc::new(Platform::default());
        let router = router.with_state(Arc::clone(&platform));
        self.tasks.spawn("platform", async move { axum::serve(listener, router).await.expect("serve") });
        platform
    }

    fn start(
        &mut self,
        destination: &Destination,
    ) -> watch::Receiver<schoolgate::northbound::DestinationStatus> {
        let clock = Arc::new(SystemClock::new());
        let uplink = Uplink::new(destination, &site(), self.outbox.clone(), clock, Arc::clone(&self.tally));
        let uplink = uplink.expect("an uplink");
        let status = uplink.status();
        self.tasks.spawn("uplink", uplink.run(self.stop.subscribe()));
        status
    }

    fn failures(&self, id: &DestinationId, word: &'static str) -> u64 {
        self.tally.upload_failures.of(&(id.clone(), word)).get()
    }

    /// Stops and waits until one uplink has ended.
    async fn stopped(&mut self) {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(Duration::from_secs(10), self.tasks.next_ended()).await;
        assert_eq!(ended.expect("in time").expect("a task").0, "uplink");
    }
}

/// Waits until something holds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    daemon::until(what, async || holds().then_some(())).await;
}

fn uids(seqs: impl IntoIterator<Item = u64>) -> Vec<String> {
    seqs.into_iter().map(|n| format!("gw-1:{n}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_platforms_are_served_and_one_that_is_down_delays_nobody() {
    let mut rig = Rig::new();
    let (city_listener, city_address) = bind().await;
    // Bound and not listening: the port is ours and refuses connections.
    let down = TcpSocket::new_v4().expect("a socket");
    down.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let province_address = down.local_addr().expect("an address");
    let city_routes = Router::new()
        .route("/edge/apigateway/getAccessToken", post(token))
        .route("/edge/schoolgate/records", post(eduyun));
    let city_platform = rig.serve(city_listener, city_routes);
    let province = destination("province", DestinationKind::Shield, province_address);
    let city = destination("city", DestinationKind::Eduyun, city_address);
    let province_status = rig.start(&province);
    let city_status = rig.start(&city);
    for to in [&province.id, &city.id] {
        (1..=25).for_each(|n| rig.outbox.owe(aggregate(to, n)));
    }
    until("the city has everything", || rig.outbox.left(&city.id) == 0).await;
    until("the province is tried", || rig.failures(&province.id, "connect") > 0).await;
    assert_eq!(rig.outbox.left(&province.id), 25);
    assert_eq!(city_platform.taken(), uids(1..=25), "once and in order, over an expired token");
    assert_eq!(city_platform.tokens.load(Ordering::SeqCst), 2);
    assert_eq!(rig.tally.uploads.of(&(city.id.clone(), "aggregate")).get(), 25);
    until("the state is seen", || province_status.borrow().state == UplinkState::Retrying).await;
    until("the city is up", || city_status.borrow().state == UplinkState::Up).await;
    // Alarms while it is down, then it is back.
    let failed = rig.failures(&province.id, "connect");
    rig.outbox.owe(alarm(&province.id, 26));
    until("it is tried again", || rig.failures(&province.id, "connect") > failed).await;
    let listener = down.listen(16).expect("it listens");
    let routes = Router::new().route("/edge/schoolgate/records", post(shield));
    let platform = rig.serve(listener, routes);
    until("the province has everything", || rig.outbox.left(&province.id) == 0).await;
    assert_eq!(*platform.refused.lock().expect("lock"), Vec::<String>::new());
    assert_eq!(platform.taken(), uids([26].into_iter().chain(1..=25)), "the alarm first, then in order");
    until("the province is up", || province_status.borrow().state == UplinkState::Up).await;
    assert_eq!(rig.tally.uploads.of(&(province.id.clone(), "alarm")).get(), 1);
    rig.stopped().await;
    rig.stopped().await;
}

#[tokio::test]
async fn a_wrong_secret_is_said_to_be_one_and_nothing_is_lost() {
    let mut rig = Rig::new();
    let (listener, address) = bind().await;
    let platform = rig.serve(listener, Router::new().route("/edge/schoolgate/records", post(shield)));
    let mut province = destination("province", DestinationKind::Shield, address);
    province.secret = Secret::from_file_text("another");
    let status = rig.start(&province);
    rig.outbox.owe(alarm(&province.id, 1));
    until("the refusal is seen", || status.borrow().state == UplinkState::AuthRefused).await;
    assert_eq!(*platform.refused.lock().expect("lock"), ["signature"]);
    assert_eq!((rig.outbox.left(&province.id), platform.asked.load(Ordering::SeqCst)), (1, 1));
    rig.stopped().await;
}

#[tokio::test]
async fn stopping_finishes_the_request_in_flight_but_does_not_wait_for_ever() {
    for answers in [true, false] {
        let mut rig = Rig::new();
        let (listener, address) = bind().await;
        let platform = rig.serve(listener, Router::new().route("/edge/schoolgate/records", post(slow)));
        let province = destination("province", DestinationKind::Shield, address);
        let _status = rig.start(&province);
        (1..=20).for_each(|n| rig.outbox.owe(aggregate(&province.id, n)));
        until("a request is in flight", || !platform.taken().is_empty()).await;
        let in_flight = platform.taken().len();
        rig.stop.send_replace(true);
        if answers {
            platform.gate.notify_one();
        }
        rig.stopped().await;
        let settled = if answers { in_flight } else { 0 };
        assert_eq!(rig.outbox.left(&province.id), 20 - settled, "answers: {answers}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed_and_endless_answers_are_not_read() {
    let mut rig = Rig::new();
    let (listener, address) = bind().await;
    let routes = Router::new()
        .route("/edge/schoolgate/records", post(redirect))
        .route("/elsewhere", post(elsewhere).get(elsewhere));
    let platform = rig.serve(listener, routes);
    let province = destination("province", DestinationKind::Shield, address);
    let _province = rig.start(&province);
    let (listener, address) = bind().await;
    let _endless = rig.serve(listener, Router::new().route("/edge/schoolgate/records", post(endless)));
    let city = destination("city", DestinationKind::Shield, address);
    let _city = rig.start(&city);
    for to in [&province.id, &city.id] {
        rig.outbox.owe(aggregate(to, 1));
    }
    until("the redirect is a failure", || rig.failures(&province.id, "redirect") > 0).await;
    until("the endless answer is a failure", || rig.failures(&city.id, "too_long") > 0).await;
    assert_eq!(platform.elsewhere.load(Ordering::SeqCst), 0);
    assert_eq!((rig.outbox.left(&province.id), rig.outbox.left(&city.id)), (1, 1));
    rig.stopped().await;
    rig.stopped().await;
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_start() {
    let (_listener, address) = bind().await;
    let refusal = |change: fn(&mut Destination)| {
        let mut bad = destination("province", DestinationKind::Shield, address);
        change(&mut bad);
        let clock = Arc::new(SystemClock::new());
        Uplink::new(&bad, &site(), Outbox::new(), clock, Arc::default()).err()
    };
    let no_certificate = refusal(|d| d.ca_pem = Some(b"not a certificate".to_vec()));
    assert!(matches!(no_certificate, Some(UplinkError::NoCertificate { .. })), "{no_certificate:?}");
    let broken = refusal(|d| {
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        d.ca_pem = Some(pem.into());
    });
    assert!(matches!(broken, Some(UplinkError::Client { .. })), "{broken:?}");
    let url = refusal(|d| d.base_url = "province".into());
    assert!(matches!(url, Some(UplinkError::Adapter { .. })), "{url:?}");
}

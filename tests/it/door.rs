//! The console's door over real sockets: what TLS it speaks, who is let in when it is full, and how long anything may
//! take.

use crate::daemon::{School, until};
use crate::rig::free_port;
use axum::Router;
use axum::routing::get;
use reqwest::StatusCode;
use reqwest::header::{RETRY_AFTER, STRICT_TRANSPORT_SECURITY};
use rustls::pki_types::ServerName;
use schoolgate::config::{Certificate, CertificateFiles, Console};
use schoolgate::console::door::{Door, Front};
use schoolgate::model::Wall;
use schoolgate::runtime::{Clock, ManualClock, SystemClock, tls};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

/// Longest wait; the longest time that a connection has is 30 s.
const PATIENCE: Duration = Duration::from_secs(45);

/// A door before a room with one page.
struct House {
    dir: TempDir,
    address: SocketAddr,
    front: Front,
    stop: watch::Sender<bool>,
    serving: JoinSet<()>,
}

impl House {
    async fn open(clock: Arc<dyn Clock>) -> Self {
        Self::with(tempfile::tempdir().unwrap(), Certificate::Own, clock).await
    }

    async fn with(dir: TempDir, certificate: Certificate, clock: Arc<dyn Clock>) -> Self {
        tls::install_provider();
        let listen = "127.0.0.1:0".parse().unwrap();
        let names = vec!["gw.school.example".into()];
        let config = Console { listen, names, certificate, max_connections: 512, oidc: None };
        let door = Door::open(&config, dir.path(), clock).await.unwrap();
        let (stop, stopped) = watch::channel(false);
        let (address, front) = (door.address().unwrap(), door.front());
        let answers = get(async || "open").post(async |body: String| body);
        let mut serving = JoinSet::new();
        serving.spawn(door.serve(Router::new().route("/", answers), stopped));
        Self { dir, address, front, stop, serving }
    }

    fn ca(&self) -> PathBuf {
        let path = self.dir.path().join("ca.pem");
        std::fs::write(&path, self.front.ca_pem().expect("an authority of its own")).unwrap();
        path
    }

    fn client(&self) -> reqwest::Client {
        client(&self.front.ca_pem().unwrap())
    }

    fn url(&self) -> String {
        format!("https://{}/", self.address)
    }

    async fn tls(&self) -> tokio_rustls::client::TlsStream<TcpStream> {
        let config = tls::client(self.front.ca_pem().map(String::into_bytes).as_deref()).unwrap();
        let stream = TcpStream::connect(self.address).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await.unwrap()
    }
}

fn client(ca: &str) -> reqwest::Client {
    tls::install_provider();
    let ca = reqwest::Certificate::from_pem(ca.as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).tls_certs_merge([ca]);
    client.timeout(PATIENCE).build().unwrap()
}

fn now() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

async fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).stdin(std::process::Stdio::null()).kill_on_drop(true);
    timeout(PATIENCE, command.output())
        .await
        .expect("it ends")
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// `curl` that trusts this certificate; its exit code, 60 where it does not trust the server.
async fn curl(ca: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut all = vec!["--silent", "--noproxy", "*", "--max-time", "20", "--cacert", ca.to_str().unwrap()];
    all.extend(arguments);
    let output = run("curl", &all).await;
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn old_versions_and_weak_ciphers_are_refused_and_plain_http_is_told_so() {
    let house = House::open(now()).await;
    let address = house.address.to_string();
    let cases: [(&[&str], Result<&str, &str>); 5] = [
        (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"], Err("SSL alert number")),
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], Err("SSL alert number")),
        // A cipher without forward secrecy.
        (&["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"], Err("SSL alert number 40")),
        (&["-tls1_2"], Ok("TLSv1.2")),
        (&["-tls1_3"], Ok("TLSv1.3")),
    ];
    for (arguments, expected) in cases {
        let output = run("openssl", &[&["s_client", "-connect", &address], arguments].concat()).await;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        match expected {
            Ok(version) => assert!(said.contains(&format!("New, {version}")), "{arguments:?}: {said}"),
            Err(alert) => assert!(said.contains(alert), "{arguments:?}: {said}"),
        }
    }
    let mut plain = TcpStream::connect(house.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    timeout(PATIENCE, plain.read_to_end(&mut said)).await.unwrap().ok();
    let said = String::from_utf8_lossy(&said);
    assert!(said.starts_with("HTTP/1.1 400") && said.contains("https://"), "{said}");
}

#[tokio::test]
async fn whoever_trusts_the_authority_gets_in_by_the_right_names_only() {
    let house = House::open(now()).await;
    let (ca, port) = (house.ca(), house.address.port());
    let at = |host: &str| format!("https://{host}:{port}/");
    let resolved = |host: &str| format!("{host}:{port}:127.0.0.1");
    for host in ["127.0.0.1", "localhost"] {
        assert_eq!(curl(&ca, &[&at(host)]).await, (Some(0), "open".into()), "{host}");
    }
    let named = curl(&ca, &["--resolve", &resolved("gw.school.example"), &at("gw.school.example")]).await;
    assert_eq!(named, (Some(0), "open".into()));
    let other = curl(&ca, &["--resolve", &resolved("evil.example"), &at("evil.example")]).await;
    assert_eq!(other.0, Some(60), "another name");
    let stranger = House::open(now()).await;
    assert_eq!(curl(&stranger.ca(), &[&at("127.0.0.1")]).await.0, Some(60), "another authority");
    let answer = house.client().get(house.url()).send().await.unwrap();
    assert_eq!(
        answer.headers().get(STRICT_TRANSPORT_SECURITY),
        None,
        "an own certificate may have to be replaced"
    );
    let text = run("openssl", &["x509", "-in", ca.to_str().unwrap(), "-noout", "-text"]).await;
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    for part in ["CA:TRUE, pathlen:0", "NIST CURVE: P-256", "Certificate Sign", "CN = Schoolgate CA "] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_over_is_refused_and_the_next_start_makes_another() {
    let day = 24 * 3600 * 1000;
    let today = SystemClock::new().now().wall.0;
    let mut house = House::open(Arc::new(ManualClock::new(Wall(today - 398 * day)))).await;
    let (ca, url) = (house.ca(), house.url());
    assert_eq!(curl(&ca, &[&url]).await.0, Some(60), "it ended yesterday");
    house.stop.send_replace(true);
    house.serving.join_next().await.unwrap().unwrap();
    let tls_dir = house.dir.path().join("tls");
    let modes = std::fs::read_dir(&tls_dir).unwrap().map(|entry| {
        use std::os::unix::fs::PermissionsExt;
        entry.unwrap().metadata().unwrap().permissions().mode() & 0o777
    });
    assert_eq!(modes.collect::<Vec<_>>(), [0o600, 0o600]);
    // The authority is still good, so nobody has to trust another.
    let again = House::with(house.dir, Certificate::Own, now()).await;
    assert_eq!(curl(&ca, &[&again.url()]).await, (Some(0), "open".into()));
}

#[tokio::test]
async fn certificates_from_elsewhere_are_insisted_on_and_there_is_no_authority_to_fetch() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    let (cert, key) = (text("cert.pem"), text("key.pem"));
    let made = run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=school",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            &key,
            "-out",
            &cert,
        ],
    )
    .await;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let files = CertificateFiles {
        base: dir.path().into(),
        data_dir: dir.path().into(),
        cert: path("cert.pem"),
        key: path("key.pem"),
    };
    let ca = path("cert.pem");
    let house = House::with(dir, Certificate::Files(files), now()).await;
    assert_eq!(house.front.ca_pem(), None);
    let (code, head) = curl(&ca, &["--head", &house.url()]).await;
    assert_eq!(code, Some(0));
    assert!(head.to_lowercase().contains("strict-transport-security: max-age=31536000"), "{head}");
}

/// How long after `began` the other side closes.
async fn closed(stream: &mut (impl AsyncReadExt + Unpin), began: Instant) -> Duration {
    let mut rest = Vec::new();
    // A connection that is reset is closed, too.
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it is closed").ok();
    began.elapsed()
}

/// Writes a byte, again and again, until the other side has closed; how long that took.
async fn drip(mut stream: impl AsyncWriteExt + AsyncReadExt + Unpin, byte: u8) -> Duration {
    let began = Instant::now();
    let mut pace = tokio::time::interval(Duration::from_millis(500));
    let dripping = async {
        let mut answer = [0; 64];
        loop {
            tokio::select! {
                _ = pace.tick() => if stream.write_all(&[byte]).await.is_err() || stream.flush().await.is_err() { break },
                read = stream.read(&mut answer) => if !matches!(read, Ok(n) if n > 0) { break },
            }
        }
    };
    timeout(PATIENCE, dripping).await.expect("it is closed");
    began.elapsed()
}

#[tokio::test]
async fn whatever_is_sent_a_byte_at_a_time_is_closed_in_its_time() {
    let house = House::open(now()).await;
    let hello = async {
        let mut stream = TcpStream::connect(house.address).await.unwrap();
        stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
        drip(stream, 0).await
    };
    let nothing = async {
        let mut stream = TcpStream::connect(house.address).await.unwrap();
        closed(&mut stream, Instant::now()).await
    };
    let head = async {
        let mut stream = house.tls().await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await.unwrap();
        drip(stream, b'a').await
    };
    let second = async {
        let mut stream = house.tls().await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut start = [0; 15];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200 OK");
        stream.write_all(b"GET / HTTP/1.1\r\nX-Slow: ").await.unwrap();
        drip(stream, b'a').await
    };
    let body = async {
        let mut stream = house.tls().await;
        let head =
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 9999\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        drip(stream, b'a').await
    };
    let (hello, nothing, head, second, body) = tokio::join!(hello, nothing, head, second, body);
    for (name, took, limit) in [
        ("hello", hello, 10),
        ("nothing", nothing, 10),
        ("head", head, 10),
        ("second head", second, 10),
        ("body", body, 30),
    ] {
        println!("{name}: closed after {took:?}");
        let (least, most) = (Duration::from_secs(limit - 1), Duration::from_secs(limit + 5));
        assert!(took > least && took < most, "{name}: {took:?}");
    }
    let answer = house.client().get(house.url()).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "open");
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    // This clock stands still: no token comes back.
    let house = House::open(Arc::new(ManualClock::new(SystemClock::new().now().wall))).await;
    let mut stream = house.tls().await;
    let mut asked = 0;
    let refused = loop {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.windows(4).any(|four| four == b"\r\n\r\n") {
            answer.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
        }
        let answer = String::from_utf8(answer).unwrap();
        if !answer.starts_with("HTTP/1.1 200") {
            break answer;
        }
        asked += 1;
        stream.read_exact(&mut [0; 4]).await.unwrap();
    };
    assert_eq!(asked, 200);
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("retry-after: 1"), "{refused}");
}

/// A connection from one of the loopback addresses.
async fn from(source: [u8; 4], to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::from(source), 0).into())?;
    socket.connect(to).await
}

#[tokio::test]
async fn ten_thousand_idle_connections_keep_nobody_out() {
    let me = std::process::id().to_string();
    let raised = run("prlimit", &["--pid", &me, "--nofile=16384:"]).await;
    assert!(raised.status.success(), "{}", String::from_utf8_lossy(&raised.stderr));
    let port = free_port();
    let school = School::new(&format!("[console]\nlisten = '127.0.0.1:{port}'\n"));
    let _daemon = school.start().await;
    let rss = async || school.metric("process_resident_memory_bytes", "").await / 1024.0 / 1024.0;
    let ca = school.client().get(school.url("/ca.crt")).send().await.unwrap().text().await.unwrap();
    let honest = client(&ca);
    let url = format!("https://127.0.0.1:{port}/ca.crt");
    let asks = async || {
        let began = Instant::now();
        let answer = honest.get(&url).send().await.expect("an honest client gets in");
        assert_eq!(answer.status(), StatusCode::OK);
        began.elapsed()
    };
    asks().await;
    let before = rss().await;
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    let connector = TlsConnector::from(Arc::new(tls::client(Some(ca.as_bytes())).unwrap()));
    let mut held = Vec::new();
    let mut spoken = Vec::new();
    let mut slowest = Duration::ZERO;
    for machine in 0..100_u8 {
        for _ in 0..100 {
            held.push(from([127, 0, 1, 1 + machine], to).await.expect("a connection"));
        }
        // Some take the trouble to speak TLS, which costs the gateway more.
        for _ in 0..6 {
            let stream = from([127, 0, 2, 1 + machine], to).await.expect("a connection");
            let name: ServerName<'static> = "localhost".try_into().unwrap();
            // It may be closed already for another.
            spoken.extend(connector.connect(name, stream).await.ok());
        }
        slowest = slowest.max(asks().await);
    }
    assert!(held.len() == 10_000 && spoken.len() > 300, "{} and {}", held.len(), spoken.len());
    let full = rss().await;
    println!(
        "10,000 idle connections: {before:.1} MiB before, {full:.1} MiB with them; slowest answer {slowest:?}"
    );
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    assert!(full - before < 40.0, "{before} MiB before, {full} MiB with them");
    until("the guard is still seen at the plain listener", async || {
        school.client().get(school.url("/readyz")).send().await.ok().filter(|a| a.status().is_success())
    })
    .await;
}

#[tokio::test]
async fn nobody_is_let_in_through_the_door_without_saying_who_they_are() {
    let port = free_port();
    let school = School::new(&format!("[console]\nlisten = '127.0.0.1:{port}'\n"));
    let daemon = school.start().await;
    let ca = school.client().get(school.url("/ca.crt")).send().await.unwrap().text().await.unwrap();
    let honest = client(&ca);
    let at = |path: &str| format!("https://127.0.0.1:{port}{path}");
    for path in ["/api/v1/devices", "/api/v1/alarms"] {
        let status = honest.get(at(path)).send().await.unwrap().status().as_u16();
        assert!(matches!(status, 401 | 403), "{path}: {status}");
    }
    // What is for this machine's own collector is a page like any other here.
    for path in ["/metrics", "/readyz"] {
        let said = honest.get(at(path)).send().await.unwrap().text().await.unwrap();
        assert!(!said.contains("schoolgate_") && !said.contains("ready"), "{path}: {said}");
    }
    assert_eq!(honest.get(at("/ca.crt")).send().await.unwrap().headers().get(RETRY_AFTER), None);
    let (status, took) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
}
